/* SPDX-License-Identifier: Apache-2.0 */
/* Time behind an interface that can be faked. Durations and instants are int64_t nanoseconds. Any
 * thread. */
#ifndef PENSTOCK_BASE_CLOCK_H
#define PENSTOCK_BASE_CLOCK_H

#include <stdint.h>

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)
#define TIME_NEVER INT64_MAX

int64_t clock_mono_ns(void); /* CLOCK_MONOTONIC: for deadlines and durations */
int64_t clock_wall_ns(void); /* CLOCK_REALTIME, Unix epoch: for people and protocols only */

/* "2025-11-21T10:24:39Z": a second of the wall clock as RFC 3339 writes it, in UTC. Empty when the
 * calendar does not reach that far. */
#define CLOCK_TEXT_BYTES 40
void clock_utc_text(int64_t wall_s, char out_text[CLOCK_TEXT_BYTES]);

/* Replaces both clocks for the whole process; NULL brings the real ones back. Tests and the
 * simulated loop only, before threads. */
struct clock_source {
    int64_t (*mono_ns)(void *self);
    int64_t (*wall_ns)(void *self);
    void *self;
};
void clock_set_source(const struct clock_source *source);

#endif
