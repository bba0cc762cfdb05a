/* SPDX-License-Identifier: Apache-2.0 */
/* What is played: folders are read, captures found. capture_save.c writes. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "mock/capture_store-private.h"

enum { KEPT_LINES_BYTES = 64 * 1024, MAX_FILES = 100000, MAX_COMPARED_BYTES = 8 << 20 };
#define MAX_LOADED_BYTES ((uint64_t)1 << 30)

struct entry {
    struct capture *capture;
    uint64_t soft;
    char *lines;                         /* of its request, for misses; may be cut */
    size_t n_lines;
    uint64_t played;
    uint32_t next;                       /* of the same bucket, + 1 */
};

struct captures_index {
    pthread_mutex_t lock;
    struct entry *entries;
    uint32_t n, cap;
    uint32_t buckets[1024];              /* + 1 */
    uint64_t bytes;
};

/* ---- the index ---- */

static uint32_t *bucket_of(struct captures_index *x, const char *key) {
    return &x->buckets[slice_hash(SLICE_HASH_START, slice_cstr(key)) % 1024];
}

/* Behind those that are there. */
static void link_entry(struct captures_index *x, uint32_t index) {
    uint32_t *at = bucket_of(x, x->entries[index].capture->key);
    while (*at) {
        at = &x->entries[*at - 1].next;
    }
    *at = index + 1;
}

static void index_add(struct captures_index *x, struct capture *c, const struct capture_norm *n) {
    pthread_mutex_lock(&x->lock);
    if (x->n == x->cap) {
        x->cap = x->cap ? 2 * x->cap : 64;
        x->entries = mem_realloc(x->entries, x->cap * sizeof *x->entries);
    }
    struct slice lines = slice_sub(buf_slice(&n->lines), 0, KEPT_LINES_BYTES);
    x->entries[x->n] = (struct entry){.capture = capture_ref(c),
                                      .soft = capture_norm_soft(n),
                                      .lines = mem_dup_cstr(lines),
                                      .n_lines = lines.len};
    x->bytes += c->body_len;
    link_entry(x, x->n++);
    pthread_mutex_unlock(&x->lock);
}

int captures_index_add(struct captures *s, struct capture *c) {
    struct capture_norm n;
    capture_norm_init(&n);
    int rc = capture_norm_of(&n, c);
    if (rc == 0 && (c->key[0] == '\0' || c->request_scrubbed == 0)) {
        capture_norm_key(&n, c->key);
    }
    if (rc == 0 || c->key[0] != '\0') {
        index_add(s->index, c, &n);
        rc = 0;
    }
    capture_norm_dispose(&n);
    return rc;
}

static struct captures_index *index_new(void) {
    struct captures_index *x = mem_zalloc(sizeof *x);
    pthread_mutex_init(&x->lock, NULL);
    return x;
}

static void index_free(struct captures_index *x) {
    for (uint32_t i = 0; i < x->n; i++) {
        capture_unref(&x->entries[i].capture);
        mem_free(x->entries[i].lines);
    }
    pthread_mutex_destroy(&x->lock);
    mem_free(x->entries);
    mem_free(x);
}

/* ---- finding ---- */

static unsigned fitness(const struct entry *n, uint64_t soft, const struct dialect *dialect,
                        bool stream) {
    return (n->capture->dialect == dialect ? 4u : 0u) + (n->soft == soft ? 2u : 0u) +
           (n->capture->stream == stream ? 1u : 0u);
}

static struct entry *best_entry(struct captures_index *x, const char *key, uint64_t soft,
                                const struct dialect *dialect, bool stream) {
    struct entry *best = NULL;
    unsigned best_fits = 0;
    for (uint32_t at = *bucket_of(x, key); at; at = x->entries[at - 1].next) {
        struct entry *n = &x->entries[at - 1];
        unsigned fits = fitness(n, soft, dialect, stream);
        bool is_other = strcmp(n->capture->key, key) != 0 ||
                        (dialect == NULL) != (n->capture->dialect == NULL);
        if (is_other || (best && fits < best_fits)) {
            continue;
        }
        if (!best || fits > best_fits || best->played > 0) {
            best = n;
            best_fits = fits;
        }
    }
    return best;
}

struct capture *captures_pick(struct captures *s, const char *key, uint64_t soft,
                              const struct dialect *dialect, bool stream) {
    struct captures_index *x = s->index;
    struct capture *c = NULL;
    pthread_mutex_lock(&x->lock);
    struct entry *n = best_entry(x, key, soft, dialect, stream);
    if (n) {
        n->played++;
        c = capture_ref(n->capture);
    }
    pthread_mutex_unlock(&x->lock);
    atomic_fetch_add(c ? &s->played : &s->missed, 1);
    return c;
}

void captures_explain(struct captures *s, const struct capture_norm *n, char *out, size_t size) {
    struct captures_index *x = s->index;
    struct slice here = slice_sub(buf_slice(&n->lines), 0, KEPT_LINES_BYTES);
    const struct entry *nearest = NULL;
    unsigned most = 0;
    char difference[400];
    size_t compared = 0;
    pthread_mutex_lock(&x->lock);
    for (uint32_t i = 0; i < x->n && compared < MAX_COMPARED_BYTES; i++) {
        struct slice there = slice_make(x->entries[i].lines, x->entries[i].n_lines);
        compared += there.len;
        unsigned likeness = capture_norm_likeness(here, there);
        if (!nearest || likeness > most) {
            nearest = &x->entries[i];
            most = likeness;
        }
    }
    if (nearest) {
        capture_norm_difference(here, slice_make(nearest->lines, nearest->n_lines), difference,
                                sizeof difference);
        snprintf(out, size, "No capture answers this request. The nearest is %s: %s.",
                 nearest->capture->file, difference);
    } else {
        snprintf(out, size, "No capture answers this request: there are none.");
    }
    pthread_mutex_unlock(&x->lock);
}

/* ---- folders ---- */

static int is_capture_name(const struct dirent *d) {
    size_t len = strlen(d->d_name);
    return d->d_name[0] != '.' && len > 6 && len < 200 &&
           strcmp(d->d_name + len - 6, ".jsonl") == 0;
}

/* With numbers of different lengths in order, too. */
static int by_number(const struct dirent **a, const struct dirent **b) {
    const char *x = (*a)->d_name, *y = (*b)->d_name;
    uint64_t m = strtoull(x, NULL, 10), n = strtoull(y, NULL, 10);
    return m != n ? (m < n ? -1 : 1) : strcmp(x, y);
}

static int read_folder(const char *folder, struct dirent ***out, struct err *e) {
    int n = scandir(folder, out, is_capture_name, by_number);
    if (n < 0) {
        return err_set_os(e, ERR_USAGE, errno, "cannot read the folder of captures %s", folder);
    }
    if (n > MAX_FILES) {
        err_set(e, ERR_LIMIT, "%s has %d captures; at most %d are played", folder, n, MAX_FILES);
    }
    return n;
}

static void free_names(struct dirent **names, int n) {
    for (int i = 0; i < n; i++) {
        free(names[i]);
    }
    free(names);
}

static int load_one(struct captures *s, const char *folder, const char *name, struct err *e) {
    struct capture *c = capture_load(folder, name, e);
    if (!c) {
        return -ERR_USAGE;
    }
    int rc = 0;
    if (c->end == CAPTURE_TRUNCATED) {
        log_event(LOG_WARN, "a truncated capture is not played", LOG_CSTR("file", name));
    } else if (s->index->bytes + c->body_len > MAX_LOADED_BYTES) {
        rc = err_set(e, ERR_LIMIT, "the captures in %s are larger than 1 GiB together", folder);
    } else if (captures_index_add(s, c) < 0) {
        rc = err_set(e, ERR_USAGE, "%s/%s: its request is not one of dialect %s", folder, name,
                     c->dialect ? c->dialect->name : "");
    } else {
        s->loaded++;
    }
    capture_unref(&c);
    return rc;
}

static int load_folder(struct captures *s, const char *folder, struct err *e) {
    struct dirent **names;
    int n = read_folder(folder, &names, e), rc = n < 0 ? n : n > MAX_FILES ? -ERR_LIMIT : 0;
    for (int i = 0; i < n && rc == 0; i++) {
        rc = load_one(s, folder, names[i]->d_name, e);
    }
    if (n >= 0) {
        free_names(names, n);
    }
    return rc;
}

static int open_record_folder(struct captures *s, const char *folder, struct err *e) {
    struct dirent **names;
    if (mkdir(folder, 0777) < 0 && errno != EEXIST) {
        return err_set_os(e, ERR_USAGE, errno, "cannot make the folder of captures %s", folder);
    }
    int n = read_folder(folder, &names, e);
    if (n < 0) {
        return n;
    }
    atomic_store(&s->number, n > 0 ? strtoull(names[n - 1]->d_name, NULL, 10) : 0);
    free_names(names, n);
    return 0;
}

/* ---- life ---- */

struct captures *captures_open(const struct captures_options *o, struct err *e) {
    struct captures *s = mem_zalloc(sizeof *s);
    s->index = index_new();
    s->plays = o->replay != NULL;
    captures_writer_init(s);
    s->scrub = scrub_new(o->scrub, o->n_scrub, e);
    int rc = s->scrub ? 0 : -ERR_USAGE;
    if (rc == 0 && o->record) {
        s->folder = mem_dup_cstr(slice_cstr(o->record));
        rc = open_record_folder(s, o->record, e);
    }
    if (rc == 0 && o->replay) {
        rc = load_folder(s, o->replay, e);
    }
    if (rc < 0) {
        captures_close(&s);
    }
    return s;
}

void captures_close(struct captures **s) {
    if (!*s) {
        return;
    }
    captures_writer_dispose(*s);
    index_free((*s)->index);
    scrub_free(&(*s)->scrub);
    mem_free((*s)->folder);
    mem_free(*s);
    *s = NULL;
}

bool captures_records(const struct captures *s) {
    return s && s->folder;
}

bool captures_plays(const struct captures *s) {
    return s && s->plays;
}

bool captures_scrub_text(const struct captures *s, const struct scrub_secrets *secrets, char *text,
                         size_t len) {
    return scrub_text(s->scrub, secrets, text, len) == 0;
}

void captures_count(struct captures *s, struct captures_counts *out) {
    *out = (struct captures_counts){.saved = atomic_load(&s->saved),
                                    .failed = atomic_load(&s->failed),
                                    .dropped = atomic_load(&s->dropped),
                                    .loaded = s->loaded,
                                    .played = atomic_load(&s->played),
                                    .missed = atomic_load(&s->missed)};
}

/* ---- listing ---- */

static void list_one(const struct capture *c, FILE *out) {
    char size[32];
    snprintf(size, sizeof size, "%zu B", c->body_len);
    fprintf(out, "%-44s %-12s %-24.*s %-6s %3u %12s %8u %9.3f s  %s\n", c->file,
            c->dialect ? c->dialect->name : "-", SLICE_FMT(slice_sub(c->model, 0, 24)),
            c->stream ? "stream" : "whole", c->status, size, c->n_chunks,
            (double)c->end_ns / (double)NS_PER_S, capture_end_name(c->end));
}

int captures_list(const char *folder, FILE *out, struct err *e) {
    struct dirent **names;
    int n = read_folder(folder, &names, e), rc = 0;
    if (n < 0) {
        return n;
    }
    fprintf(out, "%-44s %-12s %-24s %-6s %3s %12s %8s %11s  %s\n", "file", "dialect", "model",
            "form", "", "body", "pieces", "duration", "end");
    for (int i = 0; i < n; i++) {
        struct capture *c = capture_load(folder, names[i]->d_name, e);
        if (c) {
            list_one(c, out);
        } else {
            rc = -ERR_USAGE;                 /* e tells of the last one */
        }
        capture_unref(&c);
    }
    free_names(names, n);
    return rc;
}
