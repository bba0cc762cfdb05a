/* SPDX-License-Identifier: Apache-2.0 */
/* Files that change while the mock runs. */
#include "scenario_world.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mock/file_watch.h"
#include "mock/scenario-private.h"
#include "mock/scenario_book.h"

enum { PATIENCE_S = 30 };

static char folder[64];

static int open_folder(void **state) {
    snprintf(folder, sizeof folder, "/tmp/penstock-book-XXXXXX");
    assert_non_null(mkdtemp(folder));
    return world_open(state);
}

static void path_of(const char *name, char out[160]) {
    snprintf(out, 160, "%s/%s", folder, name);
}

static void drop(const char *name) {
    char path[160];
    path_of(name, path);
    (void)unlink(path);
}

static int close_folder(void **state) {
    drop("a.yaml");
    drop("b.yaml");
    drop("new.tmp");
    assert_int_equal(rmdir(folder), 0);
    return world_close(state);
}

static void put(const char *name, const char *text) {
    char path[160];
    path_of(name, path);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    fclose(f);
}

static struct scenario_book *open_book(void) {
    const char *path = folder;
    struct buf report;
    buf_init(&report, 4096);
    struct scenario_book *b = scenario_book_open(&path, 1, &report);
    assert_non_null(b);
    buf_dispose(&report);
    return b;
}

static const char *ask(struct world *w, struct scenario_book *b) {
    world_say(w, "hi");
    w->in.serial++;
    if (!scenario_book_find(b, &w->in, w->arena, &w->script)) {
        return NULL;
    }
    return arena_printf(w->arena, "%.*s", SLICE_FMT(w->script.blocks[0].pieces[0]));
}

static void assert_tells(struct scenario_book *b, const char *part) {
    struct buf out;
    buf_init(&out, 65536);
    assert_int_equal(scenario_book_write(b, &out), 0);
    assert_int_equal(buf_append_byte(&out, '\0'), 0);
    if (!strstr(out.ptr, part)) {
        fail_msg("no %s in %s", part, out.ptr);
    }
    buf_dispose(&out);
}

/* ---- reloading ---- */

static void test_a_good_file_takes_over(void **state) {
    struct world *w = *state;
    put("a.yaml", "- {name: s, script: [a, b, c]}");
    struct scenario_book *b = open_book();
    assert_string_equal(ask(w, b), "a");
    put("a.yaml", "- {name: s, script: [A, B, C]}");
    assert_true(scenario_book_reload(b));
    assert_string_equal(ask(w, b), "B");          /* its count went on */
    assert_tells(b, "\"reload\":{\"count\":1,\"ok\":true,");
    scenario_book_close(&b);
}

static void test_a_broken_file_changes_nothing(void **state) {
    struct world *w = *state;
    put("a.yaml", "- {name: s, respond: good}");
    struct scenario_book *b = open_book();
    put("a.yaml", "- {name: s, respnd: bad}");
    assert_false(scenario_book_reload(b));
    assert_string_equal(ask(w, b), "good");
    assert_tells(b, "\"ok\":false");
    assert_tells(b, "a.yaml:1:13: [0].respnd: there is no such key; did you mean respond?");
    put("a.yaml", "- {name: s, respond: better}");
    assert_true(scenario_book_reload(b));
    assert_string_equal(ask(w, b), "better");
    assert_tells(b, "\"reload\":{\"count\":2,\"ok\":true,");
    scenario_book_close(&b);
}

static void test_a_broken_start(void **state) {
    const char *path = folder;
    struct buf report;
    (void)state;
    put("a.yaml", "- {name: s}");
    buf_init(&report, 4096);
    assert_null(scenario_book_open(&path, 1, &report));
    assert_true(report.len > 0);
    buf_dispose(&report);
}

/* ---- watching ---- */

struct bell {
    pthread_mutex_t lock;
    pthread_cond_t rung;
    unsigned count;
};

static void ring(void *self) {
    struct bell *b = self;
    pthread_mutex_lock(&b->lock);
    b->count++;
    pthread_cond_signal(&b->rung);
    pthread_mutex_unlock(&b->lock);
}

/* The watch of scenarios that rings; path is borrowed. */
static struct file_watch *watch(const char *const *path, struct bell *b, struct err *e) {
    const struct file_watch_options o = {
        .paths = path, .n_paths = 1, .is_one = scenario_is_file, .changed = ring, .self = b};
    return file_watch_start(&o, e);
}

static void wait_for_ring(struct bell *b, unsigned count) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&b->lock);
    while (b->count < count) {
        if (pthread_cond_timedwait(&b->rung, &b->lock, &until) != 0) {
            fail_msg("nobody saw change %u", count);
        }
    }
    pthread_mutex_unlock(&b->lock);
}

static void test_every_kind_of_change_is_seen(void **state) {
    struct bell bell = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    char from[160], to[160];
    const char *path = folder;
    struct err e;
    (void)state;
    put("a.yaml", "- {name: a, respond: a}");
    struct file_watch *w = watch(&path, &bell, &e);
    assert_non_null(w);
    put("a.yaml", "- {name: a, respond: written}");
    wait_for_ring(&bell, 1);
    put("b.yaml", "- {name: b, respond: new}");
    wait_for_ring(&bell, 2);
    put("new.tmp", "- {name: b, respond: renamed}");
    path_of("new.tmp", from);
    path_of("b.yaml", to);
    assert_int_equal(rename(from, to), 0);
    wait_for_ring(&bell, 3);
    drop("b.yaml");
    wait_for_ring(&bell, 4);
    file_watch_stop(&w);
    assert_int_equal(bell.count, 4);
}

static void test_one_file_is_watched_through_its_folder(void **state) {
    struct bell bell = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    char path[160];
    struct err e;
    (void)state;
    put("a.yaml", "- {name: a, respond: a}");
    path_of("a.yaml", path);
    const char *const paths[] = {path};
    struct file_watch *w = watch(paths, &bell, &e);
    assert_non_null(w);
    put("b.yaml", "- {name: b, respond: nobody's business}");
    put("new.tmp", "- {name: a, respond: replaced}");
    char from[160];
    path_of("new.tmp", from);
    assert_int_equal(rename(from, path), 0);
    wait_for_ring(&bell, 1);
    file_watch_stop(&w);
    assert_int_equal(bell.count, 1);
}

static void make_folder(const char *name, char out[160]) {
    path_of(name, out);
    assert_int_equal(mkdir(out, 0777), 0);
}

static void test_a_folder_that_is_replaced_is_watched_on(void **state) {
    struct bell bell = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    char path[160], next[160], before[160];
    struct err e;
    (void)state;
    make_folder("sub", path);
    make_folder("next", next);
    path_of("before", before);
    put("sub/a.yaml", "- {name: a, respond: a}");
    put("next/a.yaml", "- {name: a, respond: another}");
    const char *const paths[] = {path};
    struct file_watch *w = watch(paths, &bell, &e);
    assert_non_null(w);
    assert_int_equal(rename(path, before), 0);
    wait_for_ring(&bell, 1);
    assert_int_equal(rename(next, path), 0);
    wait_for_ring(&bell, 2);
    put("sub/a.yaml", "- {name: a, respond: in the new folder}");
    wait_for_ring(&bell, 3);
    file_watch_stop(&w);
    drop("sub/a.yaml");
    drop("before/a.yaml");
    assert_int_equal(rmdir(path) | rmdir(before), 0);
}

static void test_a_file_whose_folder_is_replaced_is_watched_on(void **state) {
    struct bell bell = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    char sub[160], next[160], path[160];
    struct err e;
    (void)state;
    make_folder("sub", sub);
    make_folder("next", next);
    path_of("sub/a.yaml", path);
    put("sub/a.yaml", "- {name: a, respond: a}");
    put("next/a.yaml", "- {name: a, respond: another}");
    const char *const paths[] = {path};
    struct file_watch *w = watch(paths, &bell, &e);
    assert_non_null(w);
    drop("sub/a.yaml");
    wait_for_ring(&bell, 1);
    assert_int_equal(rmdir(sub), 0);
    assert_int_equal(rename(next, sub), 0);
    wait_for_ring(&bell, 2);
    put("sub/a.yaml", "- {name: a, respond: in the new folder}");
    wait_for_ring(&bell, 3);
    file_watch_stop(&w);
    drop("sub/a.yaml");
    assert_int_equal(rmdir(sub), 0);
}

/* Nobody writes into it: a watch that reads it never comes back. */
static void test_a_pipe_is_not_read(void **state) {
    struct bell bell = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};
    char path[160];
    struct err e;
    (void)state;
    path_of("b.yaml", path);
    assert_int_equal(mkfifo(path, 0600), 0);
    const char *const paths[] = {folder};
    struct file_watch *w = watch(paths, &bell, &e);
    assert_non_null(w);
    put("a.yaml", "- {name: a, respond: a}");
    wait_for_ring(&bell, 1);
    file_watch_stop(&w);
}

static void test_what_cannot_be_watched(void **state) {
    const char *const path[] = {"/nowhere/at/all/a.yaml"};
    struct err e;
    (void)state;
    assert_null(watch(path, NULL, &e));
    assert_non_null(strstr(e.text, "/nowhere/at/all/"));
}

/* ---- reloads while others ask ---- */

struct asker {
    pthread_t id;
    struct scenario_book *book;
    const struct scenario_request *in;
    atomic_bool *is_over;
    unsigned answers, strange;
};

static void *ask_on(void *self) {
    struct asker *k = self;
    while (!atomic_load(k->is_over)) {
        struct arena *a = arena_new();
        struct script s;
        bool found = scenario_book_find(k->book, k->in, a, &s);
        struct slice text = found && s.n_blocks ? s.blocks[0].pieces[0] : SLICE("");
        k->answers += found;
        k->strange += !slice_eq(text, SLICE("even hi")) && !slice_eq(text, SLICE("odd hi"));
        arena_free(a);
    }
    return NULL;
}

static void test_reloads_under_load(void **state) {
    struct world *w = *state;
    struct asker askers[3];
    atomic_bool is_over = false;
    put("a.yaml", "- {name: s, respond: \"even {{last_user}}\"}");
    struct scenario_book *b = open_book();
    int rc = scenario_book_watch(b, true, &(struct err){.kind = ERR_NONE});
    assert_int_equal(rc, 0);
    world_say(w, "hi");
    for (unsigned i = 0; i < 3; i++) {
        askers[i] = (struct asker){.book = b, .in = &w->in, .is_over = &is_over};
        assert_int_equal(pthread_create(&askers[i].id, NULL, ask_on, &askers[i]), 0);
    }
    for (unsigned i = 0; i < 100; i++) {
        char path[160], from[160];
        put("new.tmp", i % 2 ? "- {name: s, respond: \"even {{last_user}}\"}"
                             : "- {name: s, respond: \"odd {{last_user}}\"}");
        path_of("new.tmp", from);
        path_of("a.yaml", path);
        assert_int_equal(rename(from, path), 0);
        assert_true(scenario_book_reload(b));
    }
    atomic_store(&is_over, true);
    for (unsigned i = 0; i < 3; i++) {
        pthread_join(askers[i].id, NULL);
        assert_int_equal(askers[i].strange, 0);
    }
    scenario_book_close(&b);
}

int main(void) {
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, open_folder, close_folder)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_a_good_file_takes_over),
        IN_FOLDER(test_a_broken_file_changes_nothing),
        IN_FOLDER(test_a_broken_start),
        IN_FOLDER(test_every_kind_of_change_is_seen),
        IN_FOLDER(test_one_file_is_watched_through_its_folder),
        IN_FOLDER(test_a_folder_that_is_replaced_is_watched_on),
        IN_FOLDER(test_a_file_whose_folder_is_replaced_is_watched_on),
        IN_FOLDER(test_a_pipe_is_not_read),
        IN_FOLDER(test_what_cannot_be_watched),
        IN_FOLDER(test_reloads_under_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
