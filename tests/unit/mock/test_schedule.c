/* SPDX-License-Identifier: Apache-2.0 */
/* Schedules of answers, to the nanosecond, and the prefix cache. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "mock/prefix_cache.h"
#include "mock/schedule.h"

#define MS INT64_C(1000000)
#define S (1000 * MS)

static struct arena *arena;

static int setup(void **state) {
    (void)state;
    arena = arena_new();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_free(arena);
    return 0;
}

static struct law law_of(const char *text) {
    const struct law_scope scope = {.arena = arena};
    struct law l;
    struct err e;
    if (law_parse(slice_cstr(text), &scope, &l, &e) < 0) {
        fail_msg("%s: %s", text, e.text);
    }
    return l;
}

/* ---- schedules ---- */

enum { SLOTS = 200 };

static void run(const struct schedule_plan *p, int64_t dues[SLOTS], const struct law *pause) {
    struct schedule s = {.due_ns = 0};
    assert_true(schedule_start(&s, p, S));
    for (unsigned k = 0; k < SLOTS; k++) {
        assert_false(schedule_is_due(&s, s.due_ns - 1));
        assert_true(schedule_is_due(&s, s.due_ns));
        dues[k] = s.due_ns;
        schedule_next(&s, k == 9 ? pause : NULL);
    }
    schedule_stop(&s, S);
}

/* The longest times, added up over the longest answers, stay in the future. */
static void test_far_times_do_not_wrap(void **state) {
    (void)state;
    const struct schedule_plan p = {.itl = law_of("86399s")};
    struct schedule s = {.due_ns = 0};
    assert_true(schedule_start(&s, &p, S));
    for (unsigned k = 0; k < 300000; k++) {
        int64_t before_ns = s.due_ns;
        schedule_next(&s, &p.itl);
        assert_true(s.due_ns >= before_ns);
    }
    assert_false(schedule_is_due(&s, INT64_C(50) * 365 * 86400 * S));
    schedule_stop(&s, S);
}

static void test_constant_times(void **state) {
    const struct schedule_plan p = {.ttft = law_of("137ms"), .itl = law_of("7.3ms"), .prefill = law_of("10us"),
                                    .uncached = 300, .hidden = 5};
    struct law pause = law_of("1s");
    int64_t dues[SLOTS];
    (void)state;
    run(&p, dues, &pause);
    for (int k = 0; k < SLOTS; k++) {
        int64_t wanted = S + 137 * MS + 3 * MS + (5 + k) * 7300000 + (k >= 10 ? S : 0);
        assert_true(dues[k] == wanted);
    }
}

/* What leaves is exactly the sum of the draws: the same as drawn by hand. */
static void test_drawn_times(void **state) {
    static const char *const laws[] = {"20ms:50%", "normal(20ms, 5ms)", "lognormal(20ms, 0.5)", "gamma(4, 5ms)",
                                       "exponential(20ms)", "pareto(10ms, 2.5)", "uniform(1ms, 2ms)",
                                       "mixture(9:20ms, 1:pareto(100ms, 1.5))"};
    int64_t first[SLOTS], again[SLOTS], other[SLOTS];
    (void)state;
    for (size_t i = 0; i < sizeof laws / sizeof laws[0]; i++) {
        struct schedule_plan p = {.ttft = law_of("lognormal(300ms, 0.4)"), .itl = law_of(laws[i]), .seed = 7,
                                  .serial = 3};
        struct rng r;
        run(&p, first, NULL);
        run(&p, again, NULL);
        assert_memory_equal(first, again, sizeof first);
        rng_seed(&r, 7 ^ 3 * UINT64_C(0xd1342543de82ef95));
        int64_t due = S + law_draw(&p.ttft, &r);
        for (unsigned k = 0; k < SLOTS; k++) {
            assert_true(first[k] == due);
            due += law_draw(&p.itl, &r);
        }
        p.serial = 4;
        run(&p, other, NULL);
        assert_memory_not_equal(first, other, sizeof first);
        p.serial = 3;
        p.seed = 8;
        run(&p, other, NULL);
        assert_memory_not_equal(first, other, sizeof first);
    }
}

static void test_load_slows_down(void **state) {
    _Atomic uint64_t running = 1;
    const struct schedule_plan p = {.ttft = law_of("100ms"), .itl = law_of("10ms"), .slowdown = 0.25,
                                    .running = &running};
    struct law pause = law_of("1s");
    struct schedule s = {.due_ns = 0};
    (void)state;
    assert_true(schedule_start(&s, &p, S));
    assert_true(s.due_ns == S + 100 * MS);
    atomic_store(&running, 5);                       /* 1 + 4 × 0.25 */
    schedule_next(&s, NULL);
    assert_true(s.due_ns == S + 120 * MS);
    schedule_next(&s, &pause);                       /* a pause is what it is */
    assert_true(s.due_ns == 2 * S + 140 * MS);
    atomic_store(&running, 1);
    schedule_next(&s, NULL);
    assert_true(s.due_ns == 2 * S + 150 * MS);
    schedule_put_off(&s, 3 * MS);
    assert_true(s.due_ns == 2 * S + 153 * MS);
    schedule_stop(&s, S);
    atomic_store(&running, 3);
    assert_true(schedule_start(&s, &p, S));
    assert_true(s.due_ns == S + 150 * MS);
    schedule_stop(&s, S);
}

static int64_t wait_for_slot(struct schedule *s, int64_t now_ns) {
    while (!schedule_is_due(s, now_ns)) {
        assert_true(schedule_wake_ns(s) > now_ns);
        now_ns = schedule_wake_ns(s);
    }
    return s->due_ns;
}

static void test_with_an_engine(void **state) {
    struct engine *e = engine_new(1);
    const struct engine_options eo = {.max_batch = 1, .queue = 1, .step = law_of("10ms"), .prefill = law_of("1ms")};
    const struct schedule_plan p = {.ttft = law_of("9s"), .itl = law_of("9s"), .engine = e, .engine_options = &eo,
                                    .uncached = 20, .hidden = 2, .slots = 3};
    struct schedule a = {.due_ns = 0}, b = {.due_ns = 0}, c = {.due_ns = 0};
    struct law pause = law_of("5ms");
    (void)state;
    assert_true(schedule_start(&a, &p, S));
    assert_true(schedule_start(&b, &p, S));
    assert_false(schedule_start(&c, &p, S));
    schedule_stop(&c, S);
    assert_true(schedule_is_paced(&a));
    int64_t at = wait_for_slot(&a, S);
    assert_true(at == S + 50 * MS);                  /* 10 + 20, and two hidden ones */
    schedule_next(&a, NULL);
    assert_true((at = wait_for_slot(&a, at)) == S + 60 * MS);
    schedule_next(&a, &pause);
    assert_true((at = wait_for_slot(&a, at)) == S + 75 * MS);
    schedule_stop(&a, at);
    assert_true((at = wait_for_slot(&b, at)) == S + 120 * MS);   /* a's seat was free at 70 */
    schedule_stop(&b, at);
    engine_free(&e);
}

/* ---- the prefix cache ---- */

static struct llm_request *request_of(const char *model, unsigned n, const char *const *texts) {
    struct llm_request *rq = arena_alloc(arena, sizeof *rq);
    rq->env.model = slice_cstr(model);
    for (unsigned i = 0; i < n; i++) {
        struct message *m = arena_alloc(arena, sizeof *m);
        m->role = i % 2 ? ROLE_ASSISTANT : ROLE_USER;
        m->parts = arena_alloc(arena, sizeof *m->parts);
        m->n_parts = 1;
        m->parts[0] = (struct part){.kind = PART_TEXT, .text = slice_cstr(texts[i])};
        if (rq->messages_end) {
            rq->messages_end->next = m;
        } else {
            rq->messages = m;
        }
        rq->messages_end = m;
    }
    return rq;
}

static const char *text_of(size_t bytes, char fill) {
    char *text = arena_alloc(arena, bytes + 1);
    memset(text, fill, bytes);
    return text;
}

static struct prefix_use use(struct prefix_cache *c, const struct llm_request *rq,
                             uint64_t tokens) {
    return prefix_cache_use(c, 100000, 0, rq, tokens, S);
}

static void check_use(struct prefix_use got, uint64_t read, uint64_t written) {
    assert_int_equal(got.read, read);
    assert_int_equal(got.written, written);
}

static void test_prefixes(void **state) {
    struct prefix_cache *c = prefix_cache_new();
    const char *turns[] = {text_of(2048, 'a'), text_of(1024, 'b'), text_of(1024, 'c')};
    const char *others[] = {text_of(2048, 'a'), text_of(1024, 'x'), text_of(1024, 'c')};
    (void)state;
    /* the last token is never cached */
    check_use(use(c, request_of("m", 1, turns), 512), 0, 384);
    check_use(use(c, request_of("m", 1, turns), 512), 384, 0);
    check_use(use(c, request_of("m", 3, turns), 1024), 512, 384);
    check_use(use(c, request_of("m", 3, turns), 1024), 896, 0);
    check_use(use(c, request_of("m", 3, others), 1024), 512, 384);
    check_use(use(c, request_of("other", 3, turns), 1024), 0, 896);
    /* the same, not at the beginning */
    check_use(use(c, request_of("m", 1, &turns[1]), 256), 0, 128);
    const char *shorter[] = {text_of(1500, 'a')};
    check_use(use(c, request_of("m", 1, shorter), 375), 256, 0);     /* two full blocks */
    const char *tiny[] = {"hi"};
    check_use(use(c, request_of("m", 1, tiny), 9), 0, 0);
    check_use(use(c, request_of("m", 1, tiny), 0), 0, 0);
    struct prefix_view v;
    prefix_cache_look(c, &v);
    assert_int_equal(v.prompts, 10);
    assert_int_equal(v.read_tokens, 384 + 512 + 896 + 512 + 256);
    prefix_cache_free(&c);
}

/* The same bytes in other roles, or cut into other messages, are another prompt. */
static void test_where_a_message_ends_counts(void **state) {
    struct prefix_cache *c = prefix_cache_new();
    const char *two[] = {text_of(512, 'a'), text_of(512, 'a')}, *one[] = {text_of(1024, 'a')};
    (void)state;
    check_use(use(c, request_of("m", 2, two), 256), 0, 128);
    check_use(use(c, request_of("m", 1, one), 256), 128, 0);
    struct llm_request *rq = request_of("m", 1, one);
    rq->messages->role = ROLE_SYSTEM;
    check_use(use(c, rq, 256), 0, 128);
    struct tool t = {.name = SLICE("look"), .description = SLICE("looks")};
    rq = request_of("m", 1, one);
    rq->tools = &t;
    check_use(use(c, rq, 256), 0, 128);
    prefix_cache_free(&c);
}

static void test_room_and_age(void **state) {
    struct prefix_cache *c = prefix_cache_new();
    struct prefix_view v;
    const char *a[] = {text_of(4096, 'a')}, *b[] = {text_of(4096, 'b')},
               *half[] = {text_of(2048, 'a')};
    (void)state;
    /* eight blocks each, room for twelve: the second takes the first one's last four */
    prefix_cache_use(c, 12 * 128, 0, request_of("m", 1, a), 1025, S);
    prefix_cache_use(c, 12 * 128, 0, request_of("m", 1, b), 1025, S);
    prefix_cache_look(c, &v);
    assert_int_equal(v.tokens, 12 * 128);
    assert_int_equal(v.evicted_blocks, 4);
    check_use(prefix_cache_use(c, 12 * 128, 0, request_of("m", 1, half), 513, S), 512, 0);
    check_use(prefix_cache_use(c, 12 * 128, 0, request_of("m", 1, b), 1025, S), 1024, 0);
    /* a prompt that is larger than the cache fills it with its beginning */
    const char *large[] = {text_of(100000, 'l')};
    check_use(prefix_cache_use(c, 12 * 128, 0, request_of("m", 1, large), 25000, S), 0, 1536);
    check_use(prefix_cache_use(c, 12 * 128, 0, request_of("m", 1, large), 25000, S), 1536, 0);
    /* ten minutes */
    int64_t ttl = 600 * S;
    check_use(prefix_cache_use(c, 100000, ttl, request_of("m", 1, a), 1025, 2 * S), 0, 1024);
    check_use(prefix_cache_use(c, 100000, ttl, request_of("m", 1, a), 1025, 601 * S), 1024, 0);
    check_use(prefix_cache_use(c, 100000, ttl, request_of("m", 1, a), 1025, 1200 * S), 1024, 0);
    check_use(prefix_cache_use(c, 100000, ttl, request_of("m", 1, a), 1025, 1800 * S), 0, 1024);
    /* no room at all */
    check_use(prefix_cache_use(c, 0, 0, request_of("m", 1, a), 1025, 1800 * S), 0, 0);
    prefix_cache_look(c, &v);
    assert_int_equal(v.tokens, 0);
    prefix_cache_free(&c);
}

/* Against a model: a thousand prompts over a small alphabet; what is read is what was there. */
static void test_many_prompts(void **state) {
    struct prefix_cache *c = prefix_cache_new();
    struct rng r;
    uint64_t hits = 0;
    static bool known[8][8][8];
    (void)state;
    rng_seed(&r, 1);
    for (unsigned i = 0; i < 1000; i++) {
        unsigned x = (unsigned)rng_below(&r, 8), y = (unsigned)rng_below(&r, 8),
                 z = (unsigned)rng_below(&r, 8);
        const char *texts[] = {text_of(512, (char)('a' + x)), text_of(512, (char)('a' + y)),
                               text_of(512, (char)('a' + z))};
        bool has_xyz = known[x][y][z], has_xy = false, has_x = false;
        for (unsigned k = 0; k < 64; k++) {
            has_xy |= known[x][y][k % 8];
            has_x |= known[x][k / 8][k % 8];
        }
        struct prefix_use u = use(c, request_of("m", 3, texts), 385);
        unsigned blocks = has_xyz ? 3 : has_xy ? 2 : has_x ? 1 : 0;
        assert_int_equal(u.read, 128 * blocks);
        hits += blocks;
        known[x][y][z] = true;
    }
    assert_true(hits > 1000);
    prefix_cache_free(&c);
}

/* ---- threads: the sanitizer looks ---- */

static struct prefix_cache *shared;
static const struct llm_request *prompts[8];

static void *reader(void *self) {
    for (unsigned i = 0; i < 500; i++) {
        struct prefix_view v;
        prefix_cache_use(shared, 20 * 128, 0, prompts[(i + (unsigned)(uintptr_t)self) % 8], 1025,
                         S + i);
        prefix_cache_look(shared, &v);
        assert_true(v.tokens <= 20 * 128);
    }
    return NULL;
}

static void test_threads_share_a_cache(void **state) {
    pthread_t threads[4];
    (void)state;
    shared = prefix_cache_new();
    for (unsigned i = 0; i < 8; i++) {
        const char *texts[] = {text_of(4096, (char)('a' + i))};
        prompts[i] = request_of("m", 1, texts);
    }
    for (uintptr_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, reader, (void *)i), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    prefix_cache_free(&shared);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_constant_times),
        cmocka_unit_test(test_far_times_do_not_wrap),
        cmocka_unit_test(test_drawn_times),
        cmocka_unit_test(test_load_slows_down),
        cmocka_unit_test(test_with_an_engine),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_where_a_message_ends_counts),
        cmocka_unit_test(test_room_and_age),
        cmocka_unit_test(test_many_prompts),
        cmocka_unit_test(test_threads_share_a_cache),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
