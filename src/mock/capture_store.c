/* SPDX-License-Identifier: Apache-2.0 */
/* What is played: folders are read, captures found. capture_save.c writes. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "mock/capture_store-private.h"
#include "mock/file_watch.h"

enum { KEPT_LINES_BYTES = 64 * 1024, MAX_FILES = 100000, MAX_COMPARED_BYTES = 8 << 20 };
#define MAX_LOADED_BYTES ((uint64_t)1 << 30)

struct entry {
    struct capture *capture;
    uint64_t soft;
    char *lines;                         /* of its request, for misses; may be cut */
    size_t n_lines;
    uint64_t played;
    uint64_t stamp;                      /* of its file as it was read; 0: it was written here */
    uint32_t before;                     /* in the index that this one is made after, + 1 */
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

/* Takes over the entry's reference and lines. */
static void add_entry(struct captures_index *x, struct entry n) {
    if (x->n == x->cap) {
        x->cap = x->cap ? 2 * x->cap : 64;
        x->entries = mem_realloc(x->entries, x->cap * sizeof *x->entries);
    }
    x->entries[x->n] = n;
    x->bytes += n.capture->body_len;
    link_entry(x, x->n++);
}

static struct entry entry_of(struct capture *c, const struct capture_norm *n) {
    struct slice lines = slice_sub(buf_slice(&n->lines), 0, KEPT_LINES_BYTES);
    return (struct entry){.capture = capture_ref(c),
                          .soft = capture_norm_soft(n),
                          .lines = mem_dup_cstr(lines),
                          .n_lines = lines.len};
}

/* -ERR_USAGE: its request cannot be decoded, and it has no key. */
static int index_add(struct captures_index *x, struct capture *c, uint64_t stamp) {
    struct capture_norm n;
    capture_norm_init(&n);
    int rc = capture_norm_of(&n, c);
    if (rc == 0 && (c->key[0] == '\0' || c->request_scrubbed == 0)) {
        capture_norm_key(&n, c->key);
    }
    if (rc == 0 || c->key[0] != '\0') {
        struct entry made = entry_of(c, &n);
        made.stamp = stamp;
        pthread_mutex_lock(&x->lock);
        add_entry(x, made);
        pthread_mutex_unlock(&x->lock);
        rc = 0;
    }
    capture_norm_dispose(&n);
    return rc;
}

int captures_add_recorded(struct captures *s, struct capture *c) {
    return index_add(s->index, c, 0);
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

static int load_one(struct captures_index *x, const char *folder, const char *name,
                    uint64_t stamp, struct err *e) {
    struct capture *c = capture_load(folder, name, e);
    if (!c) {
        return -ERR_USAGE;
    }
    int rc = 0;
    if (c->end == CAPTURE_TRUNCATED) {
        log_event(LOG_WARN, "a truncated capture is not played", LOG_CSTR("file", name));
    } else if (x->bytes + c->body_len > MAX_LOADED_BYTES) {
        rc = err_set(e, ERR_LIMIT, "the captures in %s are larger than 1 GiB together", folder);
    } else if (index_add(x, c, stamp) < 0) {
        rc = err_set(e, ERR_USAGE, "%s/%s: its request is not one of dialect %s", folder, name,
                     c->dialect ? c->dialect->name : "");
    }
    capture_unref(&c);
    return rc;
}

/* ---- the folder that is played, and what is known of it already ---- */

struct reading {
    struct captures *s;
    struct captures_index *made;
    const struct entry **known;          /* of this folder, by name */
    uint32_t n_known, n_read, n_kept;
};

static int by_file(const void *a, const void *b) {
    const struct entry *const *x = a, *const *y = b;
    return strcmp((*x)->capture->file, (*y)->capture->file);
}

static bool is_written_elsewhere(const struct captures *s, const struct entry *n) {
    return n->stamp == 0 && !s->is_one_folder;
}

/* NULL: it is new, or another than it was. */
static const struct entry *known_entry(const struct reading *r, const char *name, uint64_t stamp) {
    struct capture named;
    const struct entry wanted = {.capture = &named}, *key = &wanted;
    snprintf(named.file, sizeof named.file, "%s", name);
    const struct entry **found =
        r->n_known ? bsearch(&key, r->known, r->n_known, sizeof(struct entry *), by_file) : NULL;
    return found && ((*found)->stamp == stamp || (*found)->stamp == 0) ? *found : NULL;
}

static void keep_entry(struct reading *r, const struct entry *n, uint64_t stamp) {
    const struct entry same = {.capture = capture_ref(n->capture),
                               .soft = n->soft,
                               .lines = mem_dup_cstr(slice_make(n->lines, n->n_lines)),
                               .n_lines = n->n_lines,
                               .stamp = stamp,
                               .before = (uint32_t)(n - r->s->index->entries) + 1};
    add_entry(r->made, same);
}

static int read_one(struct reading *r, const char *name, struct err *e) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", r->s->played_folder, name);
    uint64_t stamp = file_watch_stamp(path);
    const struct entry *known = known_entry(r, name, stamp);
    if (known) {
        keep_entry(r, known, stamp);
        r->n_kept++;
        return 0;
    }
    r->n_read++;
    return load_one(r->made, r->s->played_folder, name, stamp, e);
}

/* Nobody adds to it meanwhile: the files' lock is held. What is played is counted on. */
static void list_known(struct reading *r) {
    struct captures_index *x = r->s->index;
    r->known = mem_alloc((x->n + 1) * sizeof(struct entry *));
    for (uint32_t i = 0; i < x->n; i++) {
        if (!is_written_elsewhere(r->s, &x->entries[i])) {
            r->known[r->n_known++] = &x->entries[i];
        }
    }
    if (r->n_known > 0) {
        qsort(r->known, r->n_known, sizeof(struct entry *), by_file);
    }
}

static int read_folder_played(struct reading *r, struct err *e) {
    const char *folder = r->s->played_folder;
    struct dirent **names;
    int n = read_folder(folder, &names, e), rc = n < 0 ? n : n > MAX_FILES ? -ERR_LIMIT : 0;
    for (int i = 0; i < n && rc == 0; i++) {
        rc = read_one(r, names[i]->d_name, e);
    }
    if (n >= 0) {
        free_names(names, n);
    }
    return rc;
}

/* What was made in the place of what was, which r->made then is. */
static void put_in_force(struct reading *r) {
    struct captures_index *x = r->s->index, *made = r->made;
    pthread_mutex_lock(&x->lock);
    struct entry *before = x->entries;
    uint32_t n_before = x->n;
    for (uint32_t i = 0; i < made->n; i++) {
        struct entry *n = &made->entries[i];
        n->played = n->before ? before[n->before - 1].played : 0;
        n->before = 0;
    }
    x->entries = made->entries;
    x->n = made->n;
    x->cap = made->cap;
    x->bytes = made->bytes;
    memcpy(x->buckets, made->buckets, sizeof x->buckets);
    pthread_mutex_unlock(&x->lock);
    made->entries = before;
    made->n = n_before;
}

static void keep_those_elsewhere(struct reading *r) {
    const struct captures_index *x = r->s->index;
    for (uint32_t i = 0; i < x->n; i++) {
        if (is_written_elsewhere(r->s, &x->entries[i])) {
            keep_entry(r, &x->entries[i], 0);
        }
    }
}

static int read_again(struct captures *s, struct err *e, bool *out_is_other) {
    struct reading r = {.s = s, .made = index_new()};
    pthread_mutex_lock(&s->files_lock);
    list_known(&r);
    int rc = read_folder_played(&r, e);
    *out_is_other = r.n_read > 0 || r.n_kept < r.n_known;
    if (rc == 0) {
        atomic_store(&s->loaded, r.made->n);
        keep_those_elsewhere(&r);
        put_in_force(&r);
    }
    pthread_mutex_unlock(&s->files_lock);
    index_free(r.made);
    mem_free(r.known);
    return rc;
}

bool captures_reload(struct captures *s) {
    struct err e;
    bool is_other;
    int rc = read_again(s, &e, &is_other);
    if (rc < 0) {
        fprintf(stderr, "penstock mock: the captures stay as they are: %s\n", e.text);
    } else if (is_other && !s->quiet) {
        fprintf(stderr, "penstock mock: captures read again: %" PRIu64 "\n",
                atomic_load(&s->loaded));
    }
    return rc == 0;
}

static void on_change(void *self) {
    (void)captures_reload(self);
}

int captures_watch(struct captures *s, bool quiet, struct err *e) {
    if (!s || !s->plays || s->watch) {
        return 0;
    }
    const struct file_watch_options o = {.paths = (const char *const *)&s->played_folder,
                                         .n_paths = 1,
                                         .is_one = is_capture_name,
                                         .by_stamp = true,
                                         .changed = on_change,
                                         .self = s};
    s->quiet = quiet;
    s->watch = file_watch_start(&o, e);
    return s->watch ? 0 : -ERR_IO;
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

static bool is_one_folder(const struct captures_options *o) {
    struct stat a, b;
    return o->record && o->replay && stat(o->record, &a) == 0 && stat(o->replay, &b) == 0 &&
           a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

struct captures *captures_open(const struct captures_options *o, struct err *e) {
    struct captures *s = mem_zalloc(sizeof *s);
    s->index = index_new();
    s->plays = o->replay != NULL;
    s->played_folder = o->replay ? mem_dup_cstr(slice_cstr(o->replay)) : NULL;
    pthread_mutex_init(&s->files_lock, NULL);
    captures_writer_init(s);
    s->scrub = scrub_new(o->scrub, o->n_scrub, e);
    int rc = s->scrub ? 0 : -ERR_USAGE;
    if (rc == 0 && o->record) {
        s->folder = mem_dup_cstr(slice_cstr(o->record));
        rc = open_record_folder(s, o->record, e);
    }
    if (rc == 0 && o->replay) {
        bool is_other;
        s->is_one_folder = is_one_folder(o);
        rc = read_again(s, e, &is_other);
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
    file_watch_stop(&(*s)->watch);
    captures_writer_dispose(*s);
    index_free((*s)->index);
    scrub_free(&(*s)->scrub);
    pthread_mutex_destroy(&(*s)->files_lock);
    mem_free((*s)->played_folder);
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
                                    .loaded = atomic_load(&s->loaded),
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
