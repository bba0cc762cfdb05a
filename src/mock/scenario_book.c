/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/scenario_book.h"

#include <pthread.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "dialect/json_write.h"
#include "mock/file_watch.h"
#include "mock/scenario-private.h"

enum { REPORT_BYTES = 256 << 10 };

struct scenario_book {
    char **paths;
    unsigned n_paths;
    bool quiet;
    struct scenario_state *state;
    struct file_watch *watch;            /* NULL: nobody watches */
    pthread_mutex_t reload_lock;         /* one reload at a time */
    pthread_mutex_t lock;                /* of what follows */
    struct scenario_set *set;
    struct buf faults;                   /* of the last reload; empty: it went well */
    uint64_t reloads;
    int64_t reloaded_wall_ns;
};

/* ---- reading ---- */

static struct scenario_set *load(const struct scenario_book *b, struct buf *report) {
    struct report r;
    report_init(&r);
    struct scenario_set *set =
        scenario_set_load((const char *const *)b->paths, b->n_paths, &r);
    report_write(&r, report);
    report_dispose(&r);
    return set;
}

static void announce(const struct scenario_book *b, const struct scenario_set *set,
                     struct slice faults) {
    if (!set) {
        fprintf(stderr, "penstock mock: the scenarios stay as they are:\n%.*s", SLICE_FMT(faults));
    } else if (!b->quiet) {
        fprintf(stderr, "penstock mock: scenarios read again: %u\n", scenario_set_count(set));
    }
}

bool scenario_book_reload(struct scenario_book *b) {
    struct buf report;
    buf_init(&report, REPORT_BYTES);
    pthread_mutex_lock(&b->reload_lock);
    struct scenario_set *set = load(b, &report), *old = NULL;
    bool is_good = set != NULL;
    announce(b, set, buf_slice(&report));
    if (is_good) {
        buf_reset(&report);              /* warnings */
    }
    pthread_mutex_lock(&b->lock);
    if (is_good) {
        old = b->set;
        b->set = set;
    }
    struct buf before = b->faults;
    b->faults = report;
    b->reloads++;
    b->reloaded_wall_ns = clock_wall_ns();
    pthread_mutex_unlock(&b->lock);
    pthread_mutex_unlock(&b->reload_lock);
    scenario_set_unref(&old);
    buf_dispose(&before);
    return is_good;
}

/* ---- life ---- */

static void copy_paths(struct scenario_book *b, const char *const *paths, unsigned n) {
    b->paths = mem_zalloc(sizeof *b->paths * (n + 1));
    for (unsigned i = 0; i < n; i++) {
        b->paths[b->n_paths++] = mem_dup_cstr(slice_cstr(paths[i]));
    }
}

struct scenario_book *scenario_book_open(const char *const *paths, unsigned n,
                                         struct buf *report) {
    struct scenario_book *b = mem_zalloc(sizeof *b);
    pthread_mutex_init(&b->lock, NULL);
    pthread_mutex_init(&b->reload_lock, NULL);
    buf_init(&b->faults, REPORT_BYTES);
    b->state = scenario_state_new();
    copy_paths(b, paths, n);
    b->set = load(b, report);
    if (!b->set) {
        scenario_book_close(&b);
    }
    return b;
}

void scenario_book_close(struct scenario_book **b) {
    struct scenario_book *book = *b;
    *b = NULL;
    if (!book) {
        return;
    }
    file_watch_stop(&book->watch);
    scenario_set_unref(&book->set);
    scenario_state_free(&book->state);
    for (unsigned i = 0; i < book->n_paths; i++) {
        mem_free(book->paths[i]);
    }
    mem_free(book->paths);
    buf_dispose(&book->faults);
    pthread_mutex_destroy(&book->lock);
    pthread_mutex_destroy(&book->reload_lock);
    mem_free(book);
}

static void on_change(void *self) {
    (void)scenario_book_reload(self);
}

int scenario_book_watch(struct scenario_book *b, bool quiet, struct err *e) {
    b->quiet = quiet;
    if (b->n_paths == 0 || b->watch) {
        return 0;
    }
    const struct file_watch_options o = {.paths = (const char *const *)b->paths,
                                         .n_paths = b->n_paths,
                                         .is_one = scenario_is_file,
                                         .changed = on_change,
                                         .self = b};
    b->watch = file_watch_start(&o, e);
    return b->watch ? 0 : -ERR_IO;
}

/* ---- use ---- */

struct scenario_state *scenario_book_state(struct scenario_book *b) {
    return b->state;
}

struct scenario_set *scenario_book_set(struct scenario_book *b) {
    pthread_mutex_lock(&b->lock);
    struct scenario_set *set = scenario_set_ref(b->set);
    pthread_mutex_unlock(&b->lock);
    return set;
}

bool scenario_book_find(struct scenario_book *b, const struct scenario_request *in,
                        struct arena *a, struct script *out) {
    struct scenario_set *set = scenario_book_set(b);
    bool found = scenario_find(set, b->state, in, a, out);
    scenario_set_unref(&set);
    return found;
}

static void write_reload(struct scenario_book *b, struct json_writer *w) {
    pthread_mutex_lock(&b->lock);
    jw(w, SLICE("],\"reload\":{\"count\":"));
    jw_int(w, (int64_t)b->reloads);
    jw(w, b->faults.len ? SLICE(",\"ok\":false") : SLICE(",\"ok\":true"));
    if (b->reloads) {
        jw(w, SLICE(",\"unix_ms\":"));
        jw_int(w, b->reloaded_wall_ns / NS_PER_MS);
    }
    jw_member(w, SLICE("faults"), buf_slice(&b->faults));
    pthread_mutex_unlock(&b->lock);
}

int scenario_book_write(struct scenario_book *b, struct buf *out) {
    struct json_writer w = jw_begin(out);
    struct scenario_set *set = scenario_book_set(b);
    jw(&w, SLICE("{\"files\":["));
    for (unsigned i = 0; i < b->n_paths; i++) {
        jw(&w, i ? SLICE(",") : SLICE(""));
        jw_string(&w, slice_cstr(b->paths[i]));
    }
    write_reload(b, &w);
    jw(&w, SLICE("},\"scenarios\":["));
    w.rc |= w.rc ? 0 : scenario_list_files(set, b->state, out);
    jw(&w, SLICE("],\"pushed\":["));
    w.rc |= w.rc ? 0 : scenario_list_pushed(b->state, out);
    jw(&w, SLICE("]}\n"));
    scenario_set_unref(&set);
    return jw_end(&w);
}
