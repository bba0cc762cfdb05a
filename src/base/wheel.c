/* SPDX-License-Identifier: Apache-2.0 */
/* Time is counted in ticks of one slot. Level 0 holds the ticks that share all but their lowest six
 * bits with the current tick, level 1 those that share all but the lowest twelve, and so on: the
 * highest bit in which a timer's tick differs from the current one gives its level. So every
 * occupied slot lies ahead of the current position, the lowest occupied level holds the earliest
 * timer, and the next stop is one bit scan away. When time enters a slot of an upper level, its
 * timers move down.
 * Eight levels cover every int64_t nanosecond, eleven those of an exact wheel: nothing overflows
 * and nothing is rounded. */
#include "base/wheel.h"

#include <assert.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/mem.h"

#define SLOT_BITS 6
#define SLOTS (1u << SLOT_BITS)
#define LEVELS 11

/* Two lists beside the wheel proper: what is due already, and what wheel_advance is firing now. */
#define LIST_DUE (LEVELS * SLOTS)
#define LIST_FIRING (LIST_DUE + 1)
#define LIST_COUNT (LIST_FIRING + 1)

struct wheel {
    uint64_t tick;     /* where the levels stand */
    uint64_t due_tick; /* to here a new timer is due; differs in wheel_advance only */
    unsigned count;
    bool advancing;
    bool is_exact;     /* a tick is a nanosecond */
    uint64_t occupied[LEVELS + 1];  /* one bit a list */
    struct timer lists[LIST_COUNT]; /* sentinels of circular lists */
};

/* The tick that this instant is in. */
static uint64_t tick_at(const struct wheel *w, int64_t ns) {
    if (ns <= 0) return 0;
    return w->is_exact ? (uint64_t)ns : (uint64_t)(ns / WHEEL_SLOT_NS);
}

static struct wheel *make(int64_t now_ns, bool is_exact) {
    struct wheel *w = mem_zalloc(sizeof *w);
    w->is_exact = is_exact;
    w->tick = w->due_tick = tick_at(w, now_ns);
    for (size_t i = 0; i < LIST_COUNT; i++) w->lists[i].prev = w->lists[i].next = &w->lists[i];
    return w;
}

struct wheel *wheel_new(int64_t now_ns) {
    return make(now_ns, false);
}

struct wheel *wheel_new_exact(int64_t now_ns) {
    return make(now_ns, true);
}

static void list_append(struct wheel *w, size_t index, struct timer *t) {
    struct timer *list = &w->lists[index];
    t->prev = list->prev;
    t->next = list;
    list->prev->next = t;
    list->prev = t;
    w->occupied[index >> SLOT_BITS] |= UINT64_C(1) << (index & (SLOTS - 1));
}

static void list_remove(struct timer *t) {
    t->prev->next = t->next;
    t->next->prev = t->prev;
    if (t->prev == t->next) { /* the only neighbour left is the sentinel */
        struct wheel *w = t->wheel;
        size_t index = (size_t)(t->prev - w->lists);
        w->occupied[index >> SLOT_BITS] &= ~(UINT64_C(1) << (index & (SLOTS - 1)));
    }
}

static bool list_is_empty(const struct wheel *w, size_t index) {
    return w->lists[index].next == &w->lists[index];
}

/* First tick that does not start before the deadline. */
static uint64_t deadline_tick(const struct wheel *w, int64_t deadline_ns) {
    if (deadline_ns <= 0) return 0;
    if (w->is_exact) return (uint64_t)deadline_ns;
    return (uint64_t)(deadline_ns / WHEEL_SLOT_NS) + (deadline_ns % WHEEL_SLOT_NS != 0);
}

static size_t list_for(const struct wheel *w, uint64_t tick) {
    unsigned highest_bit = 63u - (unsigned)__builtin_clzll(tick ^ w->tick);
    unsigned level = highest_bit / SLOT_BITS;
    return level * SLOTS + ((tick >> (level * SLOT_BITS)) & (SLOTS - 1));
}

void timer_start(struct wheel *w, struct timer *t, int64_t deadline_ns, timer_fn *fn, void *self) {
    timer_stop(t);
    uint64_t tick = deadline_tick(w, deadline_ns);
    t->wheel = w;
    t->deadline_ns = deadline_ns;
    t->fn = fn;
    t->self = self;
    list_append(w, tick <= w->due_tick ? LIST_DUE : list_for(w, tick), t);
    w->count++;
}

void timer_stop(struct timer *t) {
    if (!t->wheel) return;
    list_remove(t);
    t->wheel->count--;
    t->wheel = NULL;
    t->prev = t->next = NULL;
}

void wheel_free(struct wheel *w) {
    if (!w) return;
    assert(!w->advancing);
    for (size_t i = 0; i < LIST_COUNT; i++) {
        while (!list_is_empty(w, i)) timer_stop(w->lists[i].next);
    }
    mem_free(w);
}

/* The earliest occupied slot of the levels; false when they are empty. */
static bool next_slot(const struct wheel *w, size_t *out_index, uint64_t *out_tick) {
    for (unsigned level = 0; level < LEVELS; level++) {
        if (w->occupied[level] == 0) continue;
        unsigned slot = (unsigned)__builtin_ctzll(w->occupied[level]);
        unsigned shift = level * SLOT_BITS, above = shift + SLOT_BITS;
        *out_index = level * SLOTS + slot;
        uint64_t higher = above < 64 ? w->tick >> above << above : 0;
        *out_tick = higher | (uint64_t)slot << shift;
        return true;
    }
    return false;
}

/* The levels stand at the start of this slot: what is due is to be fired, the rest moves down. */
static void enter_slot(struct wheel *w, size_t index) {
    while (!list_is_empty(w, index)) {
        struct timer *t = w->lists[index].next;
        uint64_t tick = deadline_tick(w, t->deadline_ns);
        list_remove(t);
        list_append(w, tick <= w->tick ? LIST_FIRING : list_for(w, tick), t);
    }
}

static unsigned fire_all(struct wheel *w) {
    unsigned fired = 0;
    while (!list_is_empty(w, LIST_FIRING)) {
        struct timer *t = w->lists[LIST_FIRING].next;
        timer_stop(t);
        t->fn(t, t->self); /* t may be gone after this */
        fired++;
    }
    return fired;
}

unsigned wheel_advance(struct wheel *w, int64_t now_ns) {
    assert(!w->advancing);
    w->advancing = true;
    uint64_t now_tick = tick_at(w, now_ns);
    if (now_tick > w->due_tick) w->due_tick = now_tick;
    while (!list_is_empty(w, LIST_DUE)) {
        struct timer *t = w->lists[LIST_DUE].next;
        list_remove(t);
        list_append(w, LIST_FIRING, t);
    }
    unsigned fired = fire_all(w);
    size_t index;
    uint64_t tick;
    while (next_slot(w, &index, &tick) && tick <= w->due_tick) {
        w->tick = tick;
        enter_slot(w, index);
        fired += fire_all(w);
    }
    w->tick = w->due_tick;
    w->advancing = false;
    return fired;
}

int64_t wheel_next_ns(const struct wheel *w) {
    size_t index;
    uint64_t tick;
    if (w->count == 0) return TIME_NEVER;
    if (!list_is_empty(w, LIST_DUE) || !list_is_empty(w, LIST_FIRING)) tick = w->tick;
    else if (!next_slot(w, &index, &tick)) return TIME_NEVER;
    int64_t slot_ns = w->is_exact ? 1 : WHEEL_SLOT_NS;
    if (tick > (uint64_t)(TIME_NEVER / slot_ns)) return TIME_NEVER;
    return (int64_t)tick * slot_ns;
}

unsigned wheel_count(const struct wheel *w) {
    return w->count;
}
