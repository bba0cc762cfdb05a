/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/wheel.h"

#define SLOT WHEEL_SLOT_NS

static void count_fire(struct timer *t, void *self) {
    assert_false(timer_is_active(t));
    ++*(unsigned *)self;
}

static void test_basics(void **state) {
    (void)state;
    struct wheel *w = wheel_new(1000 * SLOT);
    struct timer t = {0};
    unsigned fired = 0;
    assert_true(wheel_next_ns(w) == TIME_NEVER);
    timer_stop(&t);
    timer_start(w, &t, 1010 * SLOT + 1, count_fire, &fired);
    assert_true(timer_is_active(&t));
    assert_int_equal(wheel_count(w), 1);
    assert_true(wheel_next_ns(w) <= 1011 * SLOT);
    assert_int_equal(wheel_advance(w, 1010 * SLOT + 1), 0); /* its slot ends at 1011 */
    assert_int_equal(wheel_advance(w, 1011 * SLOT - 1), 0);
    assert_int_equal(wheel_advance(w, 1011 * SLOT), 1);
    assert_int_equal(fired, 1);
    assert_int_equal(wheel_count(w), 0);
    assert_true(wheel_next_ns(w) == TIME_NEVER);
    assert_int_equal(wheel_advance(w, 5000 * SLOT), 0);
    wheel_free(w);
}

static void test_exact_slot_border(void **state) {
    (void)state;
    struct wheel *w = wheel_new(0);
    struct timer t = {0};
    unsigned fired = 0;
    timer_start(w, &t, 3 * SLOT, count_fire, &fired);
    assert_int_equal(wheel_advance(w, 3 * SLOT - 1), 0);
    assert_int_equal(wheel_advance(w, 3 * SLOT), 1);
    wheel_free(w);
}

static void test_past_fires_at_next_advance(void **state) {
    (void)state;
    static const int64_t deadlines[] = {INT64_MIN, -1, 0, 1, 99 * SLOT, 100 * SLOT};
    struct wheel *w = wheel_new(100 * SLOT + 7);
    struct timer t = {0};
    unsigned fired = 0;
    for (size_t i = 0; i < 6; i++) {
        timer_start(w, &t, deadlines[i], count_fire, &fired);
        assert_true(wheel_next_ns(w) <= 100 * SLOT + 7);
        assert_int_equal(wheel_advance(w, 100 * SLOT + 7), 1);
    }
    assert_int_equal(fired, 6);
    wheel_free(w);
}

static void test_restart_moves(void **state) {
    (void)state;
    struct wheel *w = wheel_new(0), *other = wheel_new(0);
    struct timer t = {0};
    unsigned fired = 0;
    timer_start(w, &t, 10 * SLOT, count_fire, &fired);
    timer_start(w, &t, 5000 * SLOT, count_fire, &fired);
    assert_int_equal(wheel_count(w), 1);
    assert_int_equal(wheel_advance(w, 100 * SLOT), 0);
    timer_start(other, &t, 10 * SLOT, count_fire, &fired);
    assert_int_equal(wheel_count(w), 0);
    assert_int_equal(wheel_advance(w, 10000 * SLOT), 0);
    assert_int_equal(wheel_advance(other, 10 * SLOT), 1);
    wheel_free(w);
    wheel_free(other);
}

static void test_free_stops(void **state) {
    (void)state;
    struct wheel *w = wheel_new(0);
    struct timer t[4] = {0};
    unsigned fired = 0;
    static const int64_t deadlines[] = {0, 10 * SLOT, 70000 * SLOT, TIME_NEVER};
    for (int i = 0; i < 4; i++) timer_start(w, &t[i], deadlines[i], count_fire, &fired);
    wheel_free(w);
    for (int i = 0; i < 4; i++) assert_false(timer_is_active(&t[i]));
    assert_int_equal(fired, 0);
    wheel_free(NULL);
}

/* Every level, on both sides of its border, reached in one jump and by following wheel_next_ns. */
static void test_levels(void **state) {
    (void)state;
    for (int step = 0; step < 2; step++) {
        for (unsigned bit = 0; bit < 47; bit++) {
            for (int64_t around = -2; around <= 2; around++) {
                int64_t start = INT64_C(12345) * SLOT,
                        deadline = ((INT64_C(1) << bit) + around) * SLOT;
                if (deadline <= start) continue;
                struct wheel *w = wheel_new(start);
                struct timer t = {0};
                unsigned fired = 0;
                timer_start(w, &t, deadline, count_fire, &fired);
                unsigned stops = 0;
                while (step && timer_is_active(&t)) {
                    int64_t next = wheel_next_ns(w);
                    assert_true(next <= deadline);
                    assert_in_range(stops++, 0, 8); /* a cascade a level, at most */
                    assert_int_equal(wheel_advance(w, next), next == deadline);
                }
                if (!step) assert_int_equal(wheel_advance(w, deadline - 1), 0);
                if (!step) assert_int_equal(wheel_advance(w, deadline), 1);
                wheel_free(w);
            }
        }
    }
}

static void test_far_deadlines(void **state) {
    (void)state;
    struct wheel *w = wheel_new(0);
    struct timer never = {0}, last = {0};
    unsigned fired = 0;
    timer_start(w, &never, TIME_NEVER, count_fire, &fired);
    timer_start(w, &last, TIME_NEVER / SLOT * SLOT, count_fire, &fired);
    assert_int_equal(wheel_advance(w, TIME_NEVER / SLOT * SLOT - 1), 0);
    assert_int_equal(wheel_advance(w, TIME_NEVER), 1);
    assert_false(timer_is_active(&last));
    assert_true(timer_is_active(&never));
    assert_true(wheel_next_ns(w) == TIME_NEVER);
    wheel_free(w);
}

static void test_time_going_backwards(void **state) {
    (void)state;
    struct wheel *w = wheel_new(1000 * SLOT);
    struct timer t = {0};
    unsigned fired = 0;
    timer_start(w, &t, 1005 * SLOT, count_fire, &fired);
    assert_int_equal(wheel_advance(w, 3 * SLOT), 0);
    assert_int_equal(wheel_advance(w, -5), 0);
    assert_int_equal(wheel_advance(w, 1005 * SLOT), 1);
    wheel_free(w);
}

/* ---- callbacks that change things ---- */

struct actor {
    struct timer timer;
    struct wheel *w;
    struct actor *other;
    int64_t again_ns;
    unsigned fired;
};

static void fire_and_stop_other(struct timer *t, void *self) {
    struct actor *a = self;
    (void)t;
    a->fired++;
    if (a->other) timer_stop(&a->other->timer);
}

/* Two timers of one slot, each stopping the other: exactly one fires, wherever the slot lies. */
static void test_callback_stops_sibling(void **state) {
    (void)state;
    static const int64_t deadlines[] = {-1, 5, 100, 5000, 300000};
    for (size_t i = 0; i < 5; i++) {
        struct wheel *w = wheel_new(0);
        struct actor a = {.w = w}, b = {.w = w, .other = &a};
        a.other = &b;
        timer_start(w, &a.timer, deadlines[i] * SLOT, fire_and_stop_other, &a);
        timer_start(w, &b.timer, deadlines[i] * SLOT, fire_and_stop_other, &b);
        assert_int_equal(wheel_advance(w, 400000 * SLOT), 1);
        assert_int_equal(a.fired + b.fired, 1);
        assert_int_equal(wheel_count(w), 0);
        wheel_free(w);
    }
}

static void fire_and_restart(struct timer *t, void *self) {
    struct actor *a = self;
    a->fired++;
    timer_start(a->w, t, a->again_ns, fire_and_restart, a);
}

/* Restarting into the past must not keep wheel_advance from returning. */
static void test_callback_restarts_itself(void **state) {
    (void)state;
    static const int64_t again[] = {-1, 0, 10, 50, 100};
    for (size_t i = 0; i < 5; i++) {
        struct wheel *w = wheel_new(0);
        struct actor a = {.w = w, .again_ns = again[i] * SLOT};
        timer_start(w, &a.timer, 10 * SLOT, fire_and_restart, &a);
        assert_int_equal(wheel_advance(w, 100 * SLOT), 1);
        assert_true(wheel_next_ns(w) <= 100 * SLOT);
        assert_int_equal(wheel_advance(w, 100 * SLOT), 1);
        a.again_ns = 101 * SLOT;
        assert_int_equal(wheel_advance(w, 100 * SLOT), 1);
        assert_int_equal(wheel_advance(w, 100 * SLOT), 0);
        assert_int_equal(wheel_advance(w, 101 * SLOT), 1);
        wheel_free(w);
    }
}

static void fire_and_free(struct timer *t, void *self) {
    (void)t;
    mem_free(self);
}

static void test_callback_frees_its_memory(void **state) {
    (void)state;
    struct wheel *w = wheel_new(0);
    for (int i = 0; i < 200; i++) {
        struct actor *a = mem_zalloc(sizeof *a);
        timer_start(w, &a->timer, (i % 7) * 60 * SLOT, fire_and_free, a);
    }
    assert_int_equal(wheel_advance(w, 1000 * SLOT), 200);
    wheel_free(w);
}

static void fire_and_free_other(struct timer *t, void *self) {
    struct actor *a = self;
    (void)t;
    a->fired++;
    if (!a->other) return;
    timer_stop(&a->other->timer);
    mem_free(a->other);
    a->other = NULL;
}

static void test_callback_frees_sibling(void **state) {
    (void)state;
    struct wheel *w = wheel_new(0);
    struct actor a = {.w = w, .other = mem_zalloc(sizeof a)};
    timer_start(w, &a.timer, 9 * SLOT, fire_and_free_other, &a);
    timer_start(w, &a.other->timer, 9 * SLOT, fire_and_free_other, a.other);
    assert_int_equal(wheel_advance(w, 10 * SLOT), 1);
    wheel_free(w);
}

/* ---- against a model ---- */

enum { TIMERS = 300 };

struct model_timer {
    struct timer timer;
    bool active, armed_now; /* armed_now: started by a callback of the advance that runs */
    int64_t deadline_ns;
};

struct model {
    struct wheel *w;
    struct rng r;
    int64_t now_ns;
    unsigned fired;
    bool in_advance;
    struct model_timer timers[TIMERS];
};

static int64_t slot_ns = SLOT; /* 1: exact wheels are under test */

static struct wheel *any_wheel(int64_t now_ns) {
    return slot_ns == 1 ? wheel_new_exact(now_ns) : wheel_new(now_ns);
}

static int64_t slot_of(int64_t deadline_ns) {
    return deadline_ns <= 0 ? 0 : deadline_ns / slot_ns + (deadline_ns % slot_ns != 0);
}

static int64_t random_delay(struct rng *r) {
    uint64_t bits = rng_below(r, 50);
    int64_t delay = (int64_t)(rng_next(r) >> (63 - bits));
    return rng_below(r, 20) == 0 ? -delay : delay;
}

static void model_fire(struct timer *t, void *self);

static void model_start(struct model *m, struct model_timer *t, int64_t deadline_ns) {
    t->active = true;
    t->armed_now = m->in_advance;
    t->deadline_ns = deadline_ns;
    timer_start(m->w, &t->timer, deadline_ns, model_fire, m);
}

static void model_stop(struct model_timer *t) {
    t->active = false;
    timer_stop(&t->timer);
}

static void random_change(struct model *m) {
    struct model_timer *t = &m->timers[rng_below(&m->r, TIMERS)];
    if (rng_below(&m->r, 3) == 0) model_stop(t);
    else model_start(m, t, m->now_ns + random_delay(&m->r));
}

static void model_fire(struct timer *timer, void *self) {
    struct model *m = self;
    struct model_timer *t = (struct model_timer *)(void *)timer;
    assert_true(m->in_advance);
    assert_true(t->active);
    assert_true(t->deadline_ns <= m->now_ns);
    assert_false(t->armed_now && t->deadline_ns <= m->now_ns);
    assert_false(timer_is_active(timer));
    m->fired++;
    t->active = false;
    for (uint64_t n = rng_below(&m->r, 3); n > 0; n--) random_change(m);
}

static int64_t model_earliest(const struct model *m) {
    int64_t earliest = TIME_NEVER;
    for (int i = 0; i < TIMERS; i++) {
        const struct model_timer *t = &m->timers[i];
        if (t->active && t->deadline_ns < earliest) earliest = t->deadline_ns;
    }
    return earliest;
}

static void model_check(struct model *m) {
    unsigned active = 0;
    for (int i = 0; i < TIMERS; i++) {
        struct model_timer *t = &m->timers[i];
        assert_int_equal(t->active, timer_is_active(&t->timer));
        active += t->active;
    }
    assert_int_equal(wheel_count(m->w), active);
    int64_t earliest = model_earliest(m), next = wheel_next_ns(m->w);
    if (active == 0) assert_true(next == TIME_NEVER);
    else assert_true(next <= m->now_ns || next <= slot_of(earliest) * slot_ns);
}

static void model_advance(struct model *m) {
    unsigned before = m->fired;
    for (int i = 0; i < TIMERS; i++) m->timers[i].armed_now = false;
    m->in_advance = true;
    unsigned fired = wheel_advance(m->w, m->now_ns);
    m->in_advance = false;
    assert_int_equal(fired, m->fired - before);
    for (int i = 0; i < TIMERS;
         i++) { /* nothing that was due is left, but what callbacks started */
        const struct model_timer *t = &m->timers[i];
        if (t->active && !t->armed_now) assert_true(slot_of(t->deadline_ns) > m->now_ns / slot_ns);
    }
}

static void test_against_model(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        static struct model m;
        m = (struct model){.now_ns = (int64_t)seed * 1234567891};
        rng_seed(&m.r, seed);
        m.w = any_wheel(m.now_ns);
        for (int i = 0; i < 1500; i++) {
            for (uint64_t n = rng_below(&m.r, 6); n > 0; n--) random_change(&m);
            int64_t next = wheel_next_ns(m.w),
                    jump = (int64_t)(rng_next(&m.r) >> (30 + rng_below(&m.r, 33)));
            bool follow = next != TIME_NEVER && next > m.now_ns && next < INT64_C(1) << 60 &&
                          rng_below(&m.r, 2);
            m.now_ns = follow ? next : m.now_ns + jump;
            model_advance(&m);
            model_check(&m);
        }
        assert_true(m.fired > 200);
        wheel_free(m.w);
    }
}

/* ---- order ---- */

static int64_t fired_deadlines[1000];
static unsigned fired_count;

static void note_fire(struct timer *t, void *self) {
    (void)self;
    fired_deadlines[fired_count++] = t->deadline_ns;
}

static int compare(const void *a, const void *b) {
    int64_t x = slot_of(*(const int64_t *)a), y = slot_of(*(const int64_t *)b);
    return (x > y) - (x < y);
}

/* One long jump over all levels: everything, in order of slot. */
static void test_order(void **state) {
    (void)state;
    struct timer timers[1000] = {0};
    int64_t want[1000];
    struct rng r;
    rng_seed(&r, 9);
    struct wheel *w = any_wheel(0);
    for (int i = 0; i < 1000; i++) {
        want[i] = 1 + (int64_t)(rng_next(&r) >> (4 + rng_below(&r, 50)));
        timer_start(w, &timers[i], want[i], note_fire, NULL);
    }
    fired_count = 0;
    assert_int_equal(wheel_advance(w, INT64_C(1) << 61), 1000);
    qsort(want, 1000, sizeof want[0], compare);
    for (int i = 0; i < 1000; i++) assert_true(slot_of(fired_deadlines[i]) == slot_of(want[i]));
    wheel_free(w);
}

static void test_no_allocation(void **state) {
    (void)state;
    struct wheel *w = wheel_new(0);
    struct timer t = {0};
    unsigned fired = 0;
    uint64_t before = mem_alloc_count();
    for (int i = 1; i < 10000; i++) {
        timer_start(w, &t, (int64_t)i * i * SLOT, count_fire, &fired);
        if (i % 3 == 0) timer_stop(&t);
        wheel_advance(w, (int64_t)i * i * SLOT);
    }
    assert_int_equal(fired, 6666);
    assert_true(mem_alloc_count() == before);
    wheel_free(w);
}

static void test_exact_wheels(void **state) {
    slot_ns = 1;
    test_against_model(state);
    test_order(state);
    slot_ns = SLOT;
    struct wheel *w = wheel_new_exact(NS_PER_S);
    struct timer t = {0}, far = {0};
    unsigned fired = 0;
    timer_start(w, &t, NS_PER_S + 3, count_fire, &fired);
    timer_start(w, &far, TIME_NEVER - 1, count_fire, &fired);
    assert_int_equal(wheel_advance(w, NS_PER_S + 2), 0);
    assert_true(wheel_next_ns(w) == NS_PER_S + 3);
    assert_int_equal(wheel_advance(w, NS_PER_S + 3), 1);
    assert_int_equal(wheel_advance(w, TIME_NEVER - 2), 0);
    assert_int_equal(wheel_advance(w, TIME_NEVER - 1), 1);
    wheel_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_basics),
        cmocka_unit_test(test_exact_slot_border),
        cmocka_unit_test(test_past_fires_at_next_advance),
        cmocka_unit_test(test_restart_moves),
        cmocka_unit_test(test_free_stops),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_far_deadlines),
        cmocka_unit_test(test_time_going_backwards),
        cmocka_unit_test(test_callback_stops_sibling),
        cmocka_unit_test(test_callback_restarts_itself),
        cmocka_unit_test(test_callback_frees_its_memory),
        cmocka_unit_test(test_callback_frees_sibling),
        cmocka_unit_test(test_against_model),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_no_allocation),
        cmocka_unit_test(test_exact_wheels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
