/* SPDX-License-Identifier: Apache-2.0 */
/* The mock's own time (--clock), which all providers of a process share. Deliveries, faults,
 * limits, stamps and what answers say of the date take it from here; HTTP timeouts and control
 * requests stay on the loop.
 *
 *   real      the machine's
 *   virtual   jumps to the next due thing as soon as the loop has had a turn with nothing to read
 *             or write: no request waits for anything, and what is due is met to the nanosecond
 *   manual    stands still; POST /penstock/clock?advance=50ms moves it over all that becomes due,
 *             each at its own instant
 *
 * Both begin at the same instant in every run, MOCK_CLOCK_EPOCH_S. One thread. */
#ifndef PENSTOCK_MOCK_MOCK_CLOCK_H
#define PENSTOCK_MOCK_MOCK_CLOCK_H

#include "mock/worker.h"

#define MOCK_CLOCK_EPOCH_S INT64_C(1735689600)    /* 2025-01-01T00:00:00Z */

struct mock_time;

/* NULL for the real one. */
struct mock_time *mock_time_new(enum mock_clock kind, struct loop *l);
/* Its timers are stopped already. Its last turn of the loop may be still to come. */
void mock_time_free(struct mock_time **t);

/* Monotonic; as of the loop's entry. */
int64_t mock_now_ns(const struct mock_worker *w);
/* The same read now: what a frame's lateness is measured with. */
int64_t mock_exact_now_ns(const struct mock_worker *w);
/* Unix epoch. */
int64_t mock_wall_ns(const struct mock_worker *w);
/* As loop_timer_start, on this clock; timer_stop (base/wheel.h) stops. */
void mock_timer_start(struct mock_worker *w, struct timer *t, int64_t deadline_ns, timer_fn *fn,
                      void *self);

/* What clients must have the time to run into, such as a door that is shut: a manual clock's time,
 * else the loop's. A virtual clock would jump over it before anybody could knock. */
int64_t mock_door_now_ns(const struct mock_worker *w);
void mock_door_timer_start(struct mock_worker *w, struct timer *t, int64_t deadline_ns,
                           timer_fn *fn, void *self);

/* GET and POST /penstock/clock */
void control_clock(struct mock_worker *w, struct http_exchange *ex);
void control_clock_move(struct mock_worker *w, struct http_exchange *ex);

#endif
