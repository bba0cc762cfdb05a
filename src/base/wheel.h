/* SPDX-License-Identifier: Apache-2.0 */
/* Hierarchical timer wheel, one a worker: 50 µs slots, O(1) start and stop, no allocation, no I/O,
 * no clock of its own. A timer never fires early, and at most one slot plus the caller's own delay
 * late. */
#ifndef PENSTOCK_BASE_WHEEL_H
#define PENSTOCK_BASE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#define WHEEL_SLOT_NS INT64_C(50000)

struct wheel;
struct timer;
/* Runs inside wheel_advance. May start or stop any timer, this one included, and may free the
 * memory it lives in. */
typedef void timer_fn(struct timer *t, void *self);

/* Embedded in its owner. Zero-initialised memory is a stopped timer. */
struct timer {
    struct timer *prev, *next;
    struct wheel *wheel; /* NULL while stopped */
    int64_t deadline_ns;
    timer_fn *fn;
    void *self;
};

struct wheel *wheel_new(int64_t now_ns);
/* The same with slots of one nanosecond: for clocks that are not the machine's, where every
 * deadline is met to the nanosecond. */
struct wheel *wheel_new_exact(int64_t now_ns);
void wheel_free(struct wheel *w); /* stops what is left */
/* (Re)starts: moves an active timer. A deadline in the past fires at the next advance. */
void timer_start(struct wheel *w, struct timer *t, int64_t deadline_ns, timer_fn *fn, void *self);
void timer_stop(struct timer *t); /* stopped already: fine */
static inline bool timer_is_active(const struct timer *t) {
    return t->wheel != 0;
}
/* Fires everything due at or before now, in order of deadline slot. Returns how many fired. What a
 * callback starts with a deadline at or before now fires at the next advance, so that this one
 * ends. */
unsigned wheel_advance(struct wheel *w, int64_t now_ns);
/* When wheel_advance should be called next: never later than the earliest deadline's slot end (than
 * the last advance, if that deadline was past already), TIME_NEVER when empty. May be early by a
 * cascade (an upper level's slot border), never late. */
int64_t wheel_next_ns(const struct wheel *w);
unsigned wheel_count(const struct wheel *w);

#endif
