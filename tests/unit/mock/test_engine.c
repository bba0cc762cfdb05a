/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's steps, to the nanosecond; that nothing depends on who asks when; threads. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "mock/engine.h"

#define MS INT64_C(1000000)
#define FAR_NS (INT64_C(1) << 60)

static struct engine_options options(unsigned max_batch, unsigned queue) {
    return (struct engine_options){
        .max_batch = max_batch, .queue = queue, .step = LAW_NS(10 * MS), .prefill = LAW_NS(MS)};
}

/* The instant of chunk k, asked as a delivery does: again and again. */
static int64_t due_of(struct engine *e, const struct engine_seat *s, uint64_t k, int64_t now_ns) {
    int64_t at_ns;
    while (!engine_chunk_due(e, s, k, now_ns, &at_ns)) {
        assert_true(at_ns > now_ns);
        now_ns = at_ns;
    }
    return at_ns;
}

static void check_due(struct engine *e, const struct engine_seat *s, uint64_t k, int64_t now_ms,
                      int64_t wanted_ms) {
    int64_t got = due_of(e, s, k, now_ms * MS);
    if (got != wanted_ms * MS) {
        fail_msg("chunk %u is due at %.6f ms, not %lld", (unsigned)k, (double)got / 1e6, (long long)wanted_ms);
    }
}

static void test_one_request(void **state) {
    struct engine *e = engine_new(1);
    struct engine_seat s = {0};
    struct engine_options o = options(4, 0);
    (void)state;
    assert_true(engine_join(e, &o, &s, 5, 3, 1000 * MS));
    check_due(e, &s, 0, 1000, 1015);                   /* 10 and 5 tokens of the prompt */
    check_due(e, &s, 1, 1015, 1025);
    check_due(e, &s, 2, 1025, 1035);
    check_due(e, &s, 0, 1035, 1015);                   /* what is past is remembered */
    struct engine_view v;
    engine_look(e, 1035 * MS, &v);
    assert_int_equal(v.running, 0);
    assert_int_equal(v.steps, 3);
    assert_int_equal(v.prefill_tokens, 5);
    engine_leave(e, &s, 1040 * MS);
    engine_leave(e, &s, 1040 * MS);
    /* idle in between: the next one begins when it comes */
    assert_true(engine_join(e, &o, &s, 0, 1, 2000 * MS));
    check_due(e, &s, 0, 2000, 2010);
    engine_leave(e, &s, 2010 * MS);
    engine_free(&e);
}

/* An endless answer that nobody reads for years costs no step for each of its chunks, and whoever
 * comes then finds the steps where they would have been. */
static void test_long_absence(void **state) {
    struct engine *e = engine_new(1);
    struct engine_seat a = {0}, b = {0};
    struct engine_options o = options(4, 0);
    struct engine_view v;
    (void)state;
    assert_true(engine_join(e, &o, &a, 0, ENGINE_ENDLESS, 1000 * MS));
    int64_t now_ms = INT64_C(1000) + 10 * INT64_C(100000000000);
    engine_look(e, now_ms * MS, &v);
    assert_int_equal(v.steps, 100000000001);
    assert_int_equal(v.seats, v.steps);
    check_due(e, &a, 100000000000 - 1, now_ms, now_ms);
    assert_true(engine_join(e, &o, &b, 0, 2, (now_ms + 3) * MS));
    check_due(e, &b, 0, now_ms + 3, now_ms + 20);
    check_due(e, &b, 1, now_ms + 20, now_ms + 30);
    engine_leave(e, &a, (now_ms + 30) * MS);
    engine_leave(e, &b, (now_ms + 30) * MS);
    engine_free(&e);
}

static void test_who_comes_in_a_step_waits_for_its_end(void **state) {
    struct engine *e = engine_new(1);
    struct engine_seat a = {0}, b = {0};
    struct engine_options o = options(4, 0);
    (void)state;
    assert_true(engine_join(e, &o, &a, 0, 4, 1000 * MS));
    assert_true(engine_join(e, &o, &b, 7, 2, 1003 * MS));
    check_due(e, &a, 0, 1003, 1010);
    check_due(e, &b, 0, 1003, 1027);
    check_due(e, &a, 1, 1010, 1027);                   /* b's prompt holds a up */
    check_due(e, &a, 2, 1027, 1037);
    check_due(e, &b, 1, 1027, 1037);
    check_due(e, &a, 3, 1037, 1047);
    engine_leave(e, &a, 1047 * MS);
    engine_leave(e, &b, 1047 * MS);
    engine_free(&e);
}

static void test_seats_queue_and_refusal(void **state) {
    struct engine *e = engine_new(1);
    struct engine_seat s[5] = {{0}};
    struct engine_options o = options(2, 2);
    struct engine_view v;
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        assert_true(engine_join(e, &o, &s[i], 0, 2 + i, 1000 * MS + (int64_t)i));
    }
    assert_false(engine_join(e, &o, &s[4], 0, 1, 1001 * MS));
    engine_look(e, 1001 * MS, &v);
    assert_int_equal(v.running, 1);                    /* the others wait for the end of the step */
    assert_int_equal(v.queued, 3);
    assert_int_equal(v.refused, 1);
    check_due(e, &s[0], 1, 1001, 1020);                /* two chunks: its seat is free at 1020 */
    check_due(e, &s[1], 0, 1001, 1020);
    check_due(e, &s[2], 0, 1001, 1030);
    check_due(e, &s[1], 2, 1001, 1040);
    check_due(e, &s[3], 0, 1001, 1050);
    check_due(e, &s[3], 4, 1001, 1090);
    engine_look(e, 2000 * MS, &v);
    assert_int_equal(v.running + v.queued, 0);
    assert_int_equal(v.most_running, 2);
    assert_int_equal(v.most_queued, 3);
    for (unsigned i = 0; i < 5; i++) {
        engine_leave(e, &s[i], 2000 * MS);
    }
    engine_free(&e);
}

static void test_who_leaves_gives_room(void **state) {
    struct engine *e = engine_new(1);
    struct engine_seat a = {0}, b = {0}, c = {0};
    struct engine_options o = options(1, 2);
    (void)state;
    assert_true(engine_join(e, &o, &a, 0, ENGINE_ENDLESS, 1000 * MS));
    assert_true(engine_join(e, &o, &b, 0, 5, 1001 * MS));
    assert_true(engine_join(e, &o, &c, 0, 5, 1002 * MS));
    check_due(e, &a, 99, 1002, 2000);
    engine_leave(e, &b, 2001 * MS);                    /* while it waits */
    engine_leave(e, &a, 2004 * MS);                    /* in the step that ends at 2010 */
    check_due(e, &c, 0, 2004, 2020);
    engine_leave(e, &c, 2020 * MS);
    engine_free(&e);
}

static void test_long_prompts_are_read_in_portions(void **state) {
    struct engine *e = engine_new(1);
    struct engine_seat a = {0}, b = {0}, c = {0};
    struct engine_options o = options(4, 0);
    (void)state;
    o.prefill_budget = 100;
    assert_true(engine_join(e, &o, &a, 250, 2, 1000 * MS));
    assert_true(engine_join(e, &o, &b, 60, 2, 1000 * MS));
    assert_true(engine_join(e, &o, &c, 0, 2, 1000 * MS));
    /* 1000 +110: a alone; +110: a 100, c is through; +110: a 50, b 50; +20: b 10 */
    check_due(e, &a, 0, 1000, 1330);
    check_due(e, &b, 0, 1000, 1350);
    check_due(e, &c, 0, 1000, 1220);
    check_due(e, &c, 1, 1000, 1330);
    engine_free(&e);
}

static void test_each_request_costs(void **state) {
    struct engine *e = engine_new(1);
    struct engine_seat s[8] = {{0}};
    struct engine_options o = options(8, 0);
    (void)state;
    o.batch_cost_ns = 2 * MS;
    for (unsigned i = 0; i < 8; i++) {
        assert_true(engine_join(e, &o, &s[i], 0, 3, 1000 * MS));
    }
    check_due(e, &s[0], 0, 1000, 1012);
    check_due(e, &s[7], 0, 1000, 1038);                /* 10 + 8 × 2 */
    check_due(e, &s[0], 2, 1000, 1064);
    engine_free(&e);
}

/* Who is far behind hears of instants that are past, whatever they are. */
static void test_what_is_long_past(void **state) {
    struct engine *e = engine_new(1);
    struct engine_seat a = {0};
    struct engine_options o = options(1, 0);
    (void)state;
    assert_true(engine_join(e, &o, &a, 0, ENGINE_ENDLESS, 1000 * MS));
    check_due(e, &a, 99999, 1000, 1001000);
    check_due(e, &a, 99000, 1001000, 991010);
    int64_t old_ns = due_of(e, &a, 3, 1001000 * MS);
    assert_true(old_ns < 1001000 * MS && old_ns > 1040 * MS);
    engine_free(&e);
}

/* ---- nobody's asking changes anything ---- */

enum { CROWD = 40, CHUNKS = 12 };

static void run_crowd(uint64_t seed, bool ask_often, int64_t dues[CROWD][CHUNKS]) {
    struct engine *e = engine_new(seed);
    struct engine_seat s[CROWD] = {{0}};
    struct engine_options o = {
        .max_batch = 5, .queue = CROWD, .batch_cost_ns = 300000, .prefill_budget = 64};
    struct arena *arena = arena_new();
    const struct law_scope scope = {.arena = arena};
    struct rng r;
    struct err err;
    int64_t now_ns = 1000 * MS, ignored;
    assert_int_equal(law_parse(SLICE("lognormal(8ms, 0.6)"), &scope, &o.step, &err), 0);
    assert_int_equal(law_parse(SLICE("gamma(2, 20us)"), &scope, &o.prefill, &err), 0);
    rng_seed(&r, seed);
    for (unsigned i = 0; i < CROWD; i++) {
        now_ns += (int64_t)rng_below(&r, 9 * (uint64_t)MS);
        uint64_t prompt = rng_below(&r, 200), chunks = 1 + rng_below(&r, CHUNKS);
        assert_true(engine_join(e, &o, &s[i], prompt, chunks, now_ns));
        for (unsigned k = 0; ask_often && k <= i; k++) {
            (void)!engine_chunk_due(e, &s[(k * 7) % (i + 1)], k % CHUNKS, now_ns + (int64_t)k,
                                    &ignored);
        }
    }
    for (unsigned i = 0; i < CROWD; i++) {
        for (unsigned k = 0; k < CHUNKS; k++) {
            dues[i][k] = k < s[i].chunks ? due_of(e, &s[i], k, now_ns) : 0;
        }
    }
    for (unsigned i = 0; i < CROWD; i++) {
        engine_leave(e, &s[i], FAR_NS);
    }
    engine_free(&e);
    arena_free(arena);
}

static void test_asking_changes_nothing(void **state) {
    static int64_t often[CROWD][CHUNKS], once[CROWD][CHUNKS];
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        run_crowd(seed, true, often);
        run_crowd(seed, false, once);
        assert_memory_equal(often, once, sizeof once);
        for (unsigned i = 0; i < CROWD; i++) {
            for (unsigned k = 1; k < CHUNKS && once[i][k]; k++) {
                assert_true(once[i][k] > once[i][k - 1]);
            }
        }
    }
}

/* ---- threads: a worker each, one clock; the sanitizer looks ---- */

enum { THREADS = 4, ROUNDS = 200 };
static struct engine *shared;
static _Atomic int64_t clock_ns;

static void *worker(void *self) {
    struct engine_options o = options(3, 100);
    uint64_t chunks = 3 + (uint64_t)(uintptr_t)self;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct engine_seat s = {0};
        int64_t at_ns, now_ns = atomic_fetch_add(&clock_ns, MS);
        if (!engine_join(shared, &o, &s, i % 5, chunks, now_ns)) {
            continue;
        }
        for (uint64_t k = 0; k < chunks && i % 7;) {
            k += engine_chunk_due(shared, &s, k, atomic_fetch_add(&clock_ns, MS), &at_ns);
        }
        engine_leave(shared, &s, atomic_load(&clock_ns));
    }
    return NULL;
}

static void test_threads(void **state) {
    pthread_t threads[THREADS];
    struct engine_view v;
    (void)state;
    shared = engine_new(1);
    atomic_store(&clock_ns, 1000 * MS);
    for (uintptr_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, worker, (void *)i), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    engine_look(shared, atomic_load(&clock_ns), &v);
    assert_int_equal(v.running + v.queued + v.refused, 0);
    assert_in_range(v.most_running, 1, 3);
    engine_free(&shared);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_request),
        cmocka_unit_test(test_long_absence),
        cmocka_unit_test(test_who_comes_in_a_step_waits_for_its_end),
        cmocka_unit_test(test_seats_queue_and_refusal),
        cmocka_unit_test(test_who_leaves_gives_room),
        cmocka_unit_test(test_long_prompts_are_read_in_portions),
        cmocka_unit_test(test_each_request_costs),
        cmocka_unit_test(test_what_is_long_past),
        cmocka_unit_test(test_asking_changes_nothing),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
