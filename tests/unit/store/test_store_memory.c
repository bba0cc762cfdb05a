/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <pthread.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/store.h"

/* ---- a clock of the test's own ---- */

static int64_t now_ns;
static int64_t test_now(void *self) {
    (void)self;
    return now_ns;
}
static const struct clock_source test_clock = {.mono_ns = test_now, .wall_ns = test_now};

static int set_up(void **state) {
    (void)state;
    now_ns = NS_PER_S;
    clock_set_source(&test_clock);
    return 0;
}
static int tear_down(void **state) {
    (void)state;
    clock_set_source(NULL);
    return 0;
}

/* ---- calls ---- */

struct result {
    struct store_call call;
    unsigned n_calls;
    enum store_status status;
    char text[256];
    size_t len;
};

static void on_done(struct store_call *c, enum store_status status, struct slice value) {
    struct result *r = c->self;
    r->n_calls++;
    r->status = status;
    r->len = value.len;
    snprintf(r->text, sizeof r->text, "%.*s", SLICE_FMT(value));
}

static struct result result_new(void) {
    return (struct result){.call.done = on_done};
}

static struct store_key key_of(const char *tenant, const char *id) {
    return (struct store_key){"test", slice_cstr(tenant), slice_cstr(id)};
}

static enum store_status put(struct store *s, const char *tenant, const char *id, const char *text,
                             int64_t ttl_ns) {
    struct result r = result_new();
    struct store_key k = key_of(tenant, id);
    r.call.self = &r;
    store_put(s, &k, slice_cstr(text), ttl_ns, &r.call);
    assert_int_equal(r.n_calls, 1);
    return r.status;
}

/* The value, "-" when there is none. Static. */
static const char *get_kept(struct store *s, const char *tenant, const char *id, int64_t keep_ns) {
    static struct result r;
    struct store_key k = key_of(tenant, id);
    r = result_new();
    r.call.self = &r;
    store_get(s, &k, keep_ns, &r.call);
    assert_int_equal(r.n_calls, 1);
    assert_true(r.status == STORE_OK || r.status == STORE_NONE);
    return r.status == STORE_OK ? r.text : "-";
}
static const char *get(struct store *s, const char *tenant, const char *id) {
    return get_kept(s, tenant, id, 0);
}

static enum store_status append(struct store *s, const char *id, const char *text, int64_t ttl_ns) {
    struct result r = result_new();
    struct store_key k = key_of("t", id);
    r.call.self = &r;
    store_append(s, &k, slice_cstr(text), ttl_ns, &r.call);
    assert_int_equal(r.n_calls, 1);
    return r.status;
}

static const char *take(struct store *s, const char *id) {
    static struct result r;
    struct store_key k = key_of("t", id);
    r = result_new();
    r.call.self = &r;
    store_take(s, &k, &r.call);
    assert_int_equal(r.n_calls, 1);
    return r.status == STORE_OK ? r.text : "-";
}

static struct store_stats stats(struct store *s) {
    struct store_stats out;
    store_get_stats(s, &out);
    return out;
}

/* ---- tests ---- */

static void test_put_get_take(void **state) {
    (void)state;
    struct store *s = store_memory_new(1 << 20);
    assert_string_equal(get(s, "t", "a"), "-");
    assert_int_equal(put(s, "t", "a", "one", NS_PER_S), STORE_OK);
    assert_int_equal(put(s, "t", "b", "", NS_PER_S), STORE_OK);
    assert_string_equal(get(s, "t", "a"), "one");
    assert_string_equal(get(s, "t", "b"), "");
    assert_int_equal(put(s, "t", "a", "two", NS_PER_S), STORE_OK);
    assert_string_equal(get(s, "t", "a"), "two");
    assert_int_equal(stats(s).entries, 2);
    assert_string_equal(take(s, "a"), "two");
    assert_string_equal(take(s, "a"), "-");
    assert_string_equal(get(s, "t", "a"), "-");
    assert_int_equal(stats(s).entries, 1);
    store_put(s, &(struct store_key){"test", SLICE("t"), SLICE("n")}, SLICE("v"), NS_PER_S, NULL);
    assert_string_equal(get(s, "t", "n"), "v"); /* nobody waited */
    store_free(&s);
    assert_null(s);
}

/* Two tenants, two kinds, and keys whose parts together are the same text. */
static void test_keys_are_apart(void **state) {
    (void)state;
    struct store *s = store_memory_new(1 << 20);
    put(s, "t", "a", "1", NS_PER_S);
    put(s, "u", "a", "2", NS_PER_S);
    put(s, "", "a", "3", NS_PER_S);
    put(s, "ta", "", "4", NS_PER_S);
    struct store_key other = {"tes", SLICE("tt"), SLICE("a")};
    store_put(s, &other, SLICE("5"), NS_PER_S, NULL);
    assert_string_equal(get(s, "t", "a"), "1");
    assert_string_equal(get(s, "u", "a"), "2");
    assert_string_equal(get(s, "", "a"), "3");
    assert_string_equal(get(s, "ta", ""), "4");
    assert_string_equal(get(s, "tt", "a"), "-");
    assert_int_equal(stats(s).entries, 5);
    store_free(&s);
}

static void test_too_long_a_key(void **state) {
    char id[600];
    (void)state;
    struct store *s = store_memory_new(1 << 20);
    memset(id, 'x', sizeof id);
    id[sizeof id - 1] = '\0';
    assert_int_equal(put(s, "t", id, "v", NS_PER_S), STORE_REFUSED);
    assert_string_equal(get(s, "t", id), "-");
    assert_int_equal(append(s, id, "v", NS_PER_S), STORE_NONE);
    assert_string_equal(take(s, id), "-");
    id[STORE_KEY_MAX_BYTES - 6 - 4 - 1] = '\0'; /* three lengths, "test", "t" */
    assert_int_equal(put(s, "t", id, "v", NS_PER_S), STORE_OK);
    assert_string_equal(get(s, "t", id), "v");
    store_free(&s);
}

static void test_ttl(void **state) {
    (void)state;
    struct store *s = store_memory_new(1 << 20);
    put(s, "t", "a", "v", 10);
    now_ns += 9;
    assert_string_equal(get(s, "t", "a"), "v");
    now_ns += 1;
    assert_string_equal(get(s, "t", "a"), "-");
    assert_int_equal(stats(s).expired, 1);
    assert_int_equal(stats(s).entries, 0);
    assert_true(stats(s).bytes == 0);
    /* a reader may lengthen it, never shorten */
    put(s, "t", "a", "v", 10);
    assert_string_equal(get_kept(s, "t", "a", 20), "v");
    now_ns += 15;
    assert_string_equal(get_kept(s, "t", "a", 1), "v");
    now_ns += 4;
    assert_string_equal(get(s, "t", "a"), "v");
    now_ns += 1;
    assert_string_equal(take(s, "a"), "-");
    put(s, "t", "a", "v", INT64_MAX); /* no overflow */
    assert_string_equal(get(s, "t", "a"), "v");
    store_free(&s);
}

/* What is over goes although nobody asks for it. */
static void test_sweep(void **state) {
    char id[16];
    (void)state;
    struct store *s = store_memory_new(1 << 20);
    for (unsigned i = 0; i < 40; i++) {
        snprintf(id, sizeof id, "%u", i);
        put(s, "t", id, "v", 10);
    }
    now_ns += 10;
    for (unsigned i = 0; i < 10; i++) (void)get(s, "t", "nothing");
    assert_int_equal(stats(s).entries, 0);
    assert_int_equal(stats(s).expired, 40);
    store_free(&s);
}

static void test_append(void **state) {
    (void)state;
    struct store *s = store_memory_new(4096);
    assert_int_equal(append(s, "a", "x", 10), STORE_NONE);
    put(s, "t", "a", "one", 10);
    now_ns += 5;
    assert_int_equal(append(s, "a", ",two", 10), STORE_OK);
    assert_string_equal(get(s, "t", "a"), "one,two");
    now_ns += 9; /* its life began anew */
    assert_string_equal(get(s, "t", "a"), "one,two");
    now_ns += 1;
    assert_int_equal(append(s, "a", "x", 10), STORE_NONE);
    char large[2048];
    memset(large, 'y', sizeof large);
    large[sizeof large - 1] = '\0';
    put(s, "t", "a", "one", 10);
    assert_int_equal(append(s, "a", large, 10), STORE_REFUSED);
    assert_string_equal(get(s, "t", "a"), "one");
    store_free(&s);
}

static void test_cap(void **state) {
    char id[16], value[200];
    (void)state;
    struct store *s = store_memory_new(16384);
    memset(value, 'v', sizeof value);
    value[sizeof value - 1] = '\0';
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(id, sizeof id, "%u", i);
        assert_int_equal(put(s, "t", id, value, NS_PER_S), STORE_OK);
        assert_true(stats(s).bytes <= 16384);
        assert_string_equal(get(s, "t", "0"), value); /* used, and so kept */
    }
    assert_true(stats(s).entries > 30 && stats(s).entries < 80);
    assert_int_equal(stats(s).evicted, 1000 - stats(s).entries);
    assert_string_equal(get(s, "t", "1"), "-");
    assert_string_equal(get(s, "t", "999"), value);
    store_free(&s);
}

static void test_too_large_a_value(void **state) {
    (void)state;
    struct store *s = store_memory_new(4096);
    char *large = mem_alloc(4096);
    memset(large, 'v', 4096);
    struct store_key k = key_of("t", "a");
    struct result r = result_new();
    r.call.self = &r;
    put(s, "t", "b", "kept", NS_PER_S);
    store_put(s, &k, slice_make(large, 1025), NS_PER_S, &r.call);
    assert_int_equal(r.status, STORE_REFUSED);
    store_put(s, &k, slice_make(large, 700), NS_PER_S, &r.call);
    assert_int_equal(r.status, STORE_OK);
    assert_string_equal(get(s, "t", "b"), "kept");
    assert_int_equal(stats(s).refused, 1);
    mem_free(large);
    store_free(&s);
}

/* A value that is being read outlives its removal. */
struct removing {
    struct store_call call;
    struct store *store;
    bool is_same;
};
static void remove_while_reading(struct store_call *c, enum store_status status,
                                 struct slice value) {
    struct removing *r = c->self;
    struct store_key k = key_of("t", "a");
    assert_int_equal(status, STORE_OK);
    store_take(r->store, &k, NULL);
    r->is_same = slice_eq(value, SLICE("value"));
}
static void test_reading_holds(void **state) {
    (void)state;
    struct store *s = store_memory_new(4096);
    struct removing r = {.store = s};
    struct store_key k = key_of("t", "a");
    r.call = (struct store_call){.done = remove_while_reading, .self = &r};
    put(s, "t", "a", "value", NS_PER_S);
    store_get(s, &k, 0, &r.call);
    assert_true(r.is_same);
    assert_string_equal(get(s, "t", "a"), "-");
    store_cancel(s, &r.call); /* nothing under way */
    store_free(&s);
}

/* Several workers at once: nothing is lost, nothing is torn. */
struct worker {
    pthread_t thread;
    struct store *store;
    unsigned index;
};
static void *work(void *self) {
    struct worker *w = self;
    char id[16], text[32];
    for (unsigned i = 0; i < 2000; i++) {
        snprintf(id, sizeof id, "%u", i % 50);
        snprintf(text, sizeof text, "%u", w->index);
        struct store_key own = {"own", slice_cstr(text), slice_cstr(id)}, all = key_of("t", "all");
        store_put(w->store, &own, slice_cstr(id), NS_PER_S, NULL);
        store_append(w->store, &all, SLICE("x"), NS_PER_S, NULL);
        if (i % 3 == 0) store_take(w->store, &own, NULL);
    }
    return NULL;
}
static void test_threads(void **state) {
    enum { N = 4 };
    struct worker workers[N];
    (void)state;
    struct store *s = store_memory_new(1 << 20);
    put(s, "t", "all", "", NS_PER_S);
    for (unsigned i = 0; i < N; i++) {
        workers[i] = (struct worker){.store = s, .index = i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < N; i++) pthread_join(workers[i].thread, NULL);
    struct result r = result_new();
    struct store_key all = key_of("t", "all");
    r.call.self = &r;
    store_get(s, &all, 0, &r.call);
    assert_int_equal(r.len, N * 2000); /* every append is there */
    store_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_put_get_take, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_keys_are_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_long_a_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ttl, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sweep, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_append, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cap, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_large_a_value, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reading_holds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_threads, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
