/* SPDX-License-Identifier: Apache-2.0 */
/* From the tree, the environment and the flags into fields and drafts. One walker for all maps: the
 * rows say what a key means, so that a new scalar setting needs a row and nothing here. */
#include "config/loader.h"
#include "config/suggest.h"

#include <stdio.h>

static void apply_group(struct loader *l, const struct scope *s, struct slice group,
                        const struct node *map);

/* A name as long as messages need it; no setting's is longer. */
static struct slice clip(struct slice name) {
    return slice_sub(name, 0, 80);
}

/* ---- unknown keys ---- */

/* "level" of row "log.level" in group "log". Empty when the row is not below, or below a "*". */
static struct slice child_name(const struct setting *row, struct slice group) {
    if (!setting_is_below(row, group)) return SLICE_NULL;
    struct slice rest = slice_from(slice_cstr(row->name), group.len > 0 ? group.len + 1 : 0);
    ptrdiff_t dot = slice_index(rest, '.');
    if (dot >= 0) rest = slice_sub(rest, 0, (size_t)dot);
    return slice_eq(rest, SLICE("*")) ? SLICE_NULL : rest;
}

/* A key that exists, but elsewhere: "level" is found as "log.level". */
static const char *find_elsewhere(struct slice key) {
    for (unsigned i = 0; i < n_settings; i++) {
        const char *last = strrchr(settings[i].name, '.');
        if (last && slice_eq(slice_cstr(last + 1), key)) return settings[i].name;
    }
    return NULL;
}

static void report_unknown(struct loader *l, struct place at, const char *path, struct slice key,
                           struct slice group) {
    if (!report_has_room(&l->report)) {
        l->report.n_faults++;
        return;
    }
    struct suggestion s;
    suggestion_init(&s, key);
    for (unsigned i = 0; i < n_settings; i++) suggestion_offer(&s, child_name(&settings[i], group));
    const char *elsewhere = s.nearest.ptr ? NULL : find_elsewhere(key);
    if (s.nearest.ptr) {
        report_fault(&l->report, at, path, "unknown setting; did you mean %.*s?",
                     SLICE_FMT(s.nearest));
    } else if (elsewhere) {
        report_fault(&l->report, at, path, "unknown setting here; did you mean %s?", elsewhere);
    } else {
        report_fault(&l->report, at, path, "unknown setting");
    }
}

/* ---- scalars ---- */

static const char *path_of_row(struct loader *l, const struct scope *s, const struct setting *row) {
    return arena_printf(l->scratch, "%s%s", s->path, row->name + strlen(s->prefix));
}

static void report_kind(struct loader *l, const struct node *n, const char *path,
                        const char *expected) {
    report_fault(&l->report, n->at, path, "expected %s, got %s", expected, node_kind_name(n));
}

/* Fills the variables in. False: a fault is reported. */
static bool scalar_from_node(struct loader *l, const struct node *n, const char *path,
                             struct scalar *out) {
    const char *message = NULL;
    struct slice text;
    enum expand_result result = env_expand(&l->env, n->text, &text, &message);
    if (result == EXPAND_FAILED) {
        report_fault(&l->report, n->at, path, "%s", message);
        return false;
    }
    *out = (struct scalar){.text = text, .at = n->at, .path = path, .shown = n->text.ptr};
    out->at.is_variable = result == EXPAND_DONE;
    return true;
}

static void apply_scalar(struct loader *l, const struct scope *s, const struct setting *row,
                         const struct node *n, bool is_appended) {
    const char *path = path_of_row(l, s, row);
    struct scalar v;
    if (node_is_null(n)) return;
    s->places[setting_index(row)] = n->at;
    if (n->kind != NODE_SCALAR) {
        report_kind(l, n, path, "a single value");
        return;
    }
    if (!scalar_from_node(l, n, path, &v)) return;
    v.is_appended = is_appended;
    if (!setting_store(row, s, &v, l->arena, &l->report)) return; /* reported */
}

static void apply_strings(struct loader *l, const struct scope *s, const struct setting *row,
                          const struct node *n) {
    if (n->kind != NODE_LIST) {
        apply_scalar(l, s, row, n, false);
        return;
    }
    struct scalar none = {.text = SLICE(""), .at = n->at};
    if (!setting_store(row, s, &none, l->arena, &l->report)) return;
    unsigned count = 0;
    bool is_variable = false;
    struct place *at = &s->places[setting_index(row)];
    for (const struct node *item = n->first; item && count < 1024; item = item->next, count++) {
        apply_scalar(l, s, row, item, true);
        is_variable = is_variable || at->is_variable;
    }
    if (n->n_children > count) {
        report_fault(&l->report, n->at, path_of_row(l, s, row), "too long a list: more than 1024");
    }
    *at = n->at;
    at->is_variable = is_variable;
}

/* An enum whose value has settings of its own: `on_client_gone: {drain: {bytes: 1MiB}}`. */
static bool apply_enum_with_options(struct loader *l, const struct scope *s,
                                    const struct setting *row, const struct node *n) {
    if (row->type != SET_ENUM || n->kind != NODE_MAP || n->n_children != 1) return false;
    char group[128];
    snprintf(group, sizeof group, "%s.%.60s", row->name, n->first->key.ptr);
    bool is_known = false;
    for (unsigned i = 0; i < n_settings; i++) {
        is_known = is_known || setting_is_below(&settings[i], slice_cstr(group));
    }
    if (!is_known) return false;
    struct scalar v = {.text = n->first->key, .at = n->first->key_at, .shown = n->first->key.ptr,
                       .path = path_of_row(l, s, row)};
    if (!setting_store(row, s, &v, l->arena, &l->report)) return true;
    if (n->first->kind == NODE_MAP) apply_group(l, s, slice_cstr(group), n->first);
    else if (!node_is_null(n->first)) report_kind(l, n->first, v.path, "a map");
    return true;
}

/* ---- listen ---- */

static struct listen_draft *add_listen(struct loader *l, struct place at) {
    if (l->n_listen == MAX_LISTEN) {
        report_fault(&l->report, at, "listen", "too many addresses: more than %d", MAX_LISTEN);
        return NULL;
    }
    struct listen_draft *d = arena_alloc(l->scratch, sizeof *d);
    d->at = at;
    *l->listen_end = d;
    l->listen_end = &d->next;
    l->n_listen++;
    return d;
}

static void clear_listen(struct loader *l) {
    l->listen = NULL;
    l->listen_end = &l->listen;
    l->n_listen = 0;
}

void apply_listen_text(struct loader *l, struct slice text, struct place at, bool is_appended) {
    if (!is_appended) clear_listen(l);
    for (struct slice rest = text; rest.len > 0;) {
        ptrdiff_t comma = slice_index(rest, ',');
        struct slice item = slice_trim(comma < 0 ? rest : slice_sub(rest, 0, (size_t)comma));
        rest = comma < 0 ? SLICE_NULL : slice_from(rest, (size_t)comma + 1);
        struct listen_draft *d = item.len > 0 ? add_listen(l, at) : NULL;
        if (d) d->listen.address = arena_dup(l->arena, item).ptr;
    }
    if (l->n_listen == 0) {
        report_fault(&l->report, at, "listen", "expected an address, such as 127.0.0.1:8080");
    }
    l->out->places[setting_index(setting_find(SLICE("listen")))] = at;
}

static void apply_listen_item(struct loader *l, const struct node *n) {
    if (n->kind == NODE_LIST || node_is_null(n)) {
        report_fault(&l->report, n->at, "listen", "expected an address, or a map with address, tls");
        return;
    }
    if (n->kind == NODE_SCALAR) {
        struct scalar v;
        if (scalar_from_node(l, n, "listen", &v)) apply_listen_text(l, v.text, v.at, true);
        return;
    }
    struct listen_draft *d = add_listen(l, n->at);
    if (!d) return;
    struct scope s = {&d->listen, "listen.*", "listen", setting_places_new(l->scratch)};
    apply_group(l, &s, SLICE("listen.*"), n);
    for (unsigned i = 0; i < n_settings; i++) d->at.is_variable |= s.places[i].is_variable;
    struct place address = s.places[setting_index(setting_find(SLICE("listen.*.address")))];
    if (!address.source) report_fault(&l->report, n->at, "listen.address", "missing");
}

static void apply_listen(struct loader *l, const struct node *n) {
    clear_listen(l);
    l->out->places[setting_index(setting_find(SLICE("listen")))] = n->at;
    if (n->kind != NODE_LIST) apply_listen_item(l, n);
    for (const struct node *item = n->first; item && n->kind == NODE_LIST; item = item->next) {
        apply_listen_item(l, item);
    }
    if (n->kind == NODE_LIST && !n->first) {
        report_fault(&l->report, n->at, "listen", "an empty list: nobody could connect");
    }
}

/* ---- providers ---- */

static bool is_provider_name(struct slice name) {
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_word && c != '-' && c != '_') return false;
    }
    return name.len > 0 && name.len <= 64;
}

struct scope provider_scope(struct loader *l, struct provider_draft *p) {
    return (struct scope){&p->p, "providers.*",
                          arena_printf(l->scratch, "providers.%s", p->p.name), p->places};
}

struct provider_draft *add_provider(struct loader *l, struct slice name, struct place at) {
    if (!is_provider_name(name)) {
        report_fault(&l->report, at, "providers",
                     "a provider's name is 1 to 64 of letters, digits, - and _");
        return NULL;
    }
    if (slice_eq(name, SLICE("none"))) {
        report_fault(&l->report, at, "providers", "none cannot be a provider's name: in the metrics "
                     "it is the provider of requests that reached none");
        return NULL;
    }
    if (l->n_providers == MAX_PROVIDERS) {
        report_fault(&l->report, at, "providers", "too many: more than %d", MAX_PROVIDERS);
        return NULL;
    }
    struct provider_draft *p = arena_alloc(l->scratch, sizeof *p);
    p->p.name = arena_dup(l->arena, name).ptr;
    p->at = at;
    p->places = setting_places_new(l->arena);
    *l->providers_end = p;
    l->providers_end = &p->next;
    l->n_providers++;
    struct scope s = provider_scope(l, p);
    setting_store_defaults(&s, l->arena);
    return p;
}

static void apply_providers(struct loader *l, const struct node *n) {
    l->has_providers = true;
    if (n->kind != NODE_MAP) {
        report_kind(l, n, "providers", "a map of names to providers");
        return;
    }
    for (const struct node *child = n->first; child; child = child->next) {
        struct provider_draft *p = add_provider(l, child->key, child->key_at);
        if (!p) continue;
        struct scope s = provider_scope(l, p);
        if (child->kind == NODE_MAP) apply_group(l, &s, SLICE("providers.*"), child);
        else report_kind(l, child, s.path, "a map with dialect, base_url, api_key, ...");
    }
}

/* ---- models ---- */

struct model_draft *add_model(struct loader *l, struct place at) {
    struct model_draft *m = arena_alloc(l->scratch, sizeof *m);
    m->at = at;
    m->places = setting_places_new(l->scratch);
    *l->models_end = m;
    l->models_end = &m->next;
    l->n_models++;
    return m;
}

struct target_draft *add_target(struct loader *l, struct model_draft *m, struct place at) {
    struct target_draft *t = arena_alloc(l->scratch, sizeof *t);
    t->at = at;
    t->places = setting_places_new(l->scratch);
    if (m->last_target) m->last_target->next = t;
    else m->targets = t;
    m->last_target = t;
    return t;
}

static void apply_targets(struct loader *l, struct model_draft *m, const char *path,
                          const struct node *n) {
    m->has_targets = true;
    if (n->kind != NODE_LIST || n->n_children > MAX_TARGETS) {
        report_fault(&l->report, n->at, path, "expected a list of 1 to %d {provider, model}",
                     MAX_TARGETS);
        return;
    }
    unsigned i = 0;
    for (const struct node *item = n->first; item; item = item->next, i++) {
        struct target_draft *t = add_target(l, m, item->at);
        struct scope s = {t, "models.*.targets.*", arena_printf(l->scratch, "%s.%u", path, i),
                          t->places};
        if (item->kind == NODE_MAP) apply_group(l, &s, SLICE("models.*.targets.*"), item);
        else report_kind(l, item, s.path, "a map {provider, model}");
    }
    if (i == 0) report_fault(&l->report, n->at, path, "an empty list: nobody would answer");
}

static void apply_models(struct loader *l, const struct node *n) {
    l->has_models = true;
    if (n->kind != NODE_LIST || n->n_children > MAX_MODELS) {
        report_fault(&l->report, n->at, "models",
                     "expected a list of up to %d {name, targets}, got %s", MAX_MODELS,
                     n->kind == NODE_LIST ? "a longer one" : node_kind_name(n));
        return;
    }
    unsigned i = 0;
    for (const struct node *item = n->first; item; item = item->next, i++) {
        struct model_draft *m = add_model(l, item->at);
        struct scope s = {m, "models.*", arena_printf(l->scratch, "models.%u", i), m->places};
        if (item->kind == NODE_MAP) apply_group(l, &s, SLICE("models.*"), item);
        else report_kind(l, item, s.path, "a map {name, targets}");
    }
}

/* ---- the walker ---- */

static void apply_row(struct loader *l, const struct scope *s, const struct setting *row,
                      const struct node *n) {
    switch (row->type) {
    case SET_RESERVED:
        report_fault(&l->report, n->key_at, path_of_row(l, s, row), "comes in a later version");
        break;
    case SET_LISTEN: if (!node_is_null(n)) apply_listen(l, n); break;
    case SET_PROVIDERS: if (!node_is_null(n)) apply_providers(l, n); break;
    case SET_MODELS: if (!node_is_null(n)) apply_models(l, n); break;
    case SET_TARGETS: apply_targets(l, s->base, path_of_row(l, s, row), n); break;
    case SET_STRINGS: apply_strings(l, s, row, n); break;
    default:
        if (!apply_enum_with_options(l, s, row, n)) apply_scalar(l, s, row, n, false);
        break;
    }
}

static bool is_group(struct slice name) {
    for (unsigned i = 0; i < n_settings; i++) {
        if (setting_is_below(&settings[i], name)) return true;
    }
    return false;
}

/* One key of a map whose keys are the rows below `group`. */
static void apply_key(struct loader *l, const struct scope *s, struct slice group,
                      const struct node *n) {
    bool is_word = slice_index(n->key, '.') < 0 && slice_index(n->key, '*') < 0 && n->key.len > 0;
    const char *name = arena_printf(l->scratch, "%.*s%s%.*s", SLICE_FMT(group),
                                    group.len > 0 ? "." : "", SLICE_FMT(clip(n->key)));
    const char *path = arena_printf(l->scratch, "%s%s", s->path, name + strlen(s->prefix));
    const struct setting *row = is_word ? setting_find(slice_cstr(name)) : NULL;
    if (row) apply_row(l, s, row, n);
    else if (!is_word || !is_group(slice_cstr(name)))
        report_unknown(l, n->key_at, path, n->key, group);
    else if (n->kind == NODE_MAP) apply_group(l, s, slice_cstr(name), n);
    else if (!node_is_null(n)) report_kind(l, n, path, "a map");
}

static void apply_group(struct loader *l, const struct scope *s, struct slice group,
                        const struct node *map) {
    for (const struct node *n = map->first; n; n = n->next) apply_key(l, s, group, n);
}

void apply_root(struct loader *l, const struct node *root) {
    if (node_is_null(root)) return;
    if (root->kind == NODE_MAP) apply_group(l, &l->top, SLICE_NULL, root);
    else report_kind(l, root, NULL, "a map of settings");
}

/* ---- environment and flags ---- */

static void apply_text(struct loader *l, const struct scope *s, const struct setting *row,
                       const char *text, struct place at, bool is_appended) {
    struct scalar v = {.text = slice_cstr(text), .at = at, .path = path_of_row(l, s, row),
                       .shown = text, .is_appended = is_appended};
    if (row->type == SET_LISTEN) apply_listen_text(l, v.text, at, is_appended);
    else if (!setting_store(row, s, &v, l->arena, &l->report)) return; /* reported */
}

void apply_environment(struct loader *l) {
    for (unsigned i = 0; i < n_settings; i++) {
        const struct setting *row = &settings[i];
        const char *value = row->env ? env_get(&l->env, row->env) : NULL;
        if (value && value[0]) {
            apply_text(l, &l->top, row, value, (struct place){.source = row->env}, false);
        }
    }
}

static struct provider_draft *find_provider(struct loader *l, struct slice name) {
    for (struct provider_draft *p = l->providers; p; p = p->next) {
        if (slice_eq(name, slice_cstr(p->p.name))) return p;
    }
    return NULL;
}

static const char *clip_cstr(struct loader *l, struct slice name) {
    return arena_dup(l->scratch, clip(name)).ptr;
}

static void report_unknown_flag(struct loader *l, struct slice name) {
    struct suggestion s;
    suggestion_init(&s, name);
    for (unsigned i = 0; i < n_settings; i++) {
        struct slice candidate = slice_cstr(settings[i].name);
        if (slice_index(candidate, '*') < 0) suggestion_offer(&s, candidate);
    }
    const char *elsewhere = s.nearest.ptr ? s.nearest.ptr : find_elsewhere(name);
    report_fault(&l->report, (struct place){.source = "--set"}, clip_cstr(l, name),
                 "unknown setting%s%s%s", elsewhere ? "; did you mean " : "",
                 elsewhere ? elsewhere : "", elsewhere ? "?" : "");
}

/* "providers.openai.base_url" → its row and the provider's scope. False: reported. */
static bool find_provider_row(struct loader *l, struct slice name, struct scope *out_scope,
                              const struct setting **out_row) {
    struct slice rest = slice_from(name, sizeof "providers." - 1);
    ptrdiff_t dot = slice_index(rest, '.');
    struct slice who = dot < 0 ? rest : slice_sub(rest, 0, (size_t)dot);
    struct provider_draft *p = find_provider(l, who);
    struct place at = {.source = "--set"};
    if (!p) {
        report_fault(&l->report, at, clip_cstr(l, name), "there is no provider %.*s",
                     SLICE_FMT(clip(who)));
        return false;
    }
    *out_scope = provider_scope(l, p);
    struct slice key = dot < 0 ? SLICE_NULL : slice_from(rest, (size_t)dot + 1);
    *out_row = setting_find(
        slice_cstr(arena_printf(l->scratch, "providers.*.%.*s", SLICE_FMT(clip(key)))));
    if (!*out_row) report_unknown(l, at, clip_cstr(l, name), key, SLICE("providers.*"));
    return *out_row != NULL;
}

static void apply_flag(struct loader *l, const struct config_override *flag, bool *is_seen) {
    struct slice name = slice_cstr(flag->name);
    struct scope scope = l->top;
    const struct setting *row = NULL;
    bool is_provider = slice_starts_with(name, SLICE("providers."));
    if (is_provider && !find_provider_row(l, name, &scope, &row)) return;
    if (!is_provider && slice_index(name, '*') < 0) row = setting_find(name);
    struct place at = {.source = row && row->flag ? row->flag : "--set"};
    if (!row) {
        report_unknown_flag(l, name);
    } else if (row->type == SET_RESERVED) {
        report_fault(&l->report, at, flag->name, "comes in a later version");
    } else if (row->size == 0 && row->type != SET_LISTEN) {
        report_fault(&l->report, at, flag->name, "cannot be set by a flag: it needs a config file");
    } else {
        bool is_appended = !is_provider && is_seen[setting_index(row)];
        is_seen[setting_index(row)] = true;
        apply_text(l, &scope, row, flag->value, at, is_appended);
    }
}

void apply_flags(struct loader *l) {
    bool *is_seen = arena_alloc(l->scratch, n_settings * sizeof *is_seen);
    for (unsigned i = 0; i < l->sources->n_flags; i++)
        apply_flag(l, &l->sources->flags[i], is_seen);
}
