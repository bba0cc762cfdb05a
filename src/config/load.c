/* SPDX-License-Identifier: Apache-2.0 */
#include "config/loader.h"

#include <errno.h>

#include "config/file.h"

#define FILE_NAME "penstock.yaml"
#define ENV_FILE_NAME ".env"

/* ---- files ---- */

enum read_result { READ_OK, READ_ABSENT, READ_FAILED };

/* A file that is not there is no fault unless somebody asked for it. */
static enum read_result read_file(const char *path, bool is_asked_for, struct buf *out,
                                  struct report *r) {
    struct err e = {0};
    if (file_read(path, out, &e) == 0) return READ_OK;
    if (e.os_errno == ENOENT && !is_asked_for) return READ_ABSENT;
    report_fault(r, (struct place){.source = path}, NULL, "%s", e.text);
    return READ_FAILED;
}

/* The texts hold keys. */
static void wipe(struct buf *b) {
    if (b->ptr) explicit_bzero(b->ptr, b->len);
    buf_dispose(b);
}

static void read_env_file(struct loader *l, const char *path, bool is_asked_for) {
    struct buf text;
    buf_init(&text, ENV_FILE_MAX_BYTES);
    if (read_file(path, is_asked_for, &text, &l->report) == READ_OK) {
        env_parse_file(&l->env, buf_slice(&text), arena_dup(l->arena, slice_cstr(path)).ptr,
                       is_asked_for, &l->report);
    }
    wipe(&text);
}

/* ---- the load ---- */

static void loader_init(struct loader *l, const struct config_sources *sources) {
    struct arena *arena = arena_new();
    *l = (struct loader){.sources = sources, .arena = arena, .scratch = arena_new()};
    report_init(&l->report);
    l->env = (struct env){.get = sources->getenv_fn, .arena = l->scratch};
    l->listen_end = &l->listen;
    l->providers_end = &l->providers;
    l->models_end = &l->models;
    l->out = arena_alloc(arena, sizeof *l->out);
    l->out->config.arena = arena;
    l->out->config.source = "embedded defaults";
    l->out->places = setting_places_new(arena);
    l->top = (struct scope){l->out, "", "", l->out->places};
    setting_store_defaults(&l->top, arena);
    const struct setting *listen = setting_find(SLICE("listen"));
    apply_listen_text(l, slice_cstr(listen->default_text), (struct place){0}, false);
}

/* False: the tree is unusable, and whatever else was said would only be its echo. */
static bool apply_file(struct loader *l, struct slice text, const char *name) {
    l->has_file = true;
    l->out->config.source = arena_dup(l->arena, slice_cstr(name)).ptr;
    unsigned faults_before = l->report.n_faults;
    struct node *root = tree_parse(text, l->out->config.source, l->scratch, &l->report);
    if (root) apply_root(l, root);
    return root || l->report.n_faults == faults_before;
}

static void apply_others(struct loader *l) {
    apply_environment(l);
    add_embedded(l);
    apply_flags(l);
    check_and_freeze(l);
}

static int loader_finish(struct loader *l, struct config **out, struct buf *report) {
    bool is_ok = l->report.n_faults == 0;
    report_write(&l->report, report);
    report_dispose(&l->report);
    arena_free(l->scratch);
    *out = &l->out->config;
    if (!is_ok) config_free(out);
    return is_ok ? 0 : -ERR_USAGE;
}

int config_load_text(const struct config_sources *sources, struct slice text, const char *name,
                     struct config **out, struct buf *report) {
    struct loader l;
    loader_init(&l, sources);
    if (sources->env_file) read_env_file(&l, sources->env_file, true);
    if (apply_file(&l, text, name)) apply_others(&l);
    return loader_finish(&l, out, report);
}

int config_load(const struct config_sources *sources, struct config **out, struct buf *report) {
    struct loader l;
    struct buf text;
    loader_init(&l, sources);
    buf_init(&text, TREE_MAX_BYTES);
    read_env_file(&l, sources->env_file ? sources->env_file : ENV_FILE_NAME,
                  sources->env_file != NULL);
    const char *name = sources->file ? sources->file : FILE_NAME;
    enum read_result result = read_file(name, sources->file != NULL, &text, &l.report);
    bool is_usable = result == READ_ABSENT;
    if (result == READ_OK) is_usable = apply_file(&l, buf_slice(&text), name);
    if (is_usable) apply_others(&l);
    wipe(&text);
    return loader_finish(&l, out, report);
}

void config_free(struct config **c) {
    if (!*c) return;
    for (unsigned i = 0; i < (*c)->n_providers; i++) {
        /* Ours: the arena's bytes are const to readers only. */
        char *key = (char *)(uintptr_t)(*c)->providers[i].api_key;
        if (key) explicit_bzero(key, strlen(key));
    }
    arena_free((*c)->arena);
    *c = NULL;
}

const struct config_model *config_route(const struct config *c, struct slice name) {
    const struct config_model *first_glob = NULL;
    for (unsigned i = 0; i < c->n_models; i++) {
        const struct config_model *m = &c->models[i];
        if (!m->is_glob && slice_eq(name, slice_cstr(m->name))) return m;
        if (m->is_glob && !first_glob && slice_glob(slice_cstr(m->name), name)) first_glob = m;
    }
    return first_glob;
}
