/* SPDX-License-Identifier: Apache-2.0 */
/* When the slots of one answer leave. Without an engine
 *
 *     slot 0    start + ttft + prefill × uncached prompt tokens + an itl for each hidden chunk
 *     slot k    that of slot k - 1 + itl + the pause that a script makes before it
 *
 * each a draw, added up from the start: an absolute schedule, so nothing drifts. A slot is what one
 * chunk carries (a token, or a burst); what stands behind the last one is a slot, too. Load: with
 * `slowdown` s, every draw is s longer for each other answer that is under way as it is made,
 * 1 + s × (running − 1); pauses are not.
 *
 * With an engine (engine.h), slot k leaves at the end of the step that says it, and pauses put off
 * what is still to come. ttft and itl have no part in it.
 *
 * The draws of a schedule come from (seed, serial): same pair, same schedule to the nanosecond. One
 * thread. */
#ifndef PENSTOCK_MOCK_SCHEDULE_H
#define PENSTOCK_MOCK_SCHEDULE_H

#include <stdatomic.h>

#include "mock/engine.h"

struct schedule_plan {
    struct law ttft, itl, prefill;
    uint64_t uncached;               /* tokens of the prompt that must be read */
    /* chunks that are thought and not shown, before the first slot */
    uint64_t hidden;
    double slowdown;
    const _Atomic uint64_t *running; /* answers under way, this one among them; NULL: one */
    const struct law *first_pause;   /* before slot 0; NULL: none */
    uint64_t seed, serial;
    struct engine *engine;           /* NULL: none */
    const struct engine_options *engine_options;
    uint64_t slots;                  /* for the engine; ENGINE_ENDLESS: nobody knows */
};

struct schedule {
    int64_t due_ns;                  /* of the next slot; when is_known is false: ask again then */
    bool is_known;
    uint64_t slot;                   /* the next one */
    struct law itl;                  /* held */
    struct rng rng;
    double slowdown;
    const _Atomic uint64_t *running;
    struct engine *engine;
    struct engine_seat seat;
    uint64_t hidden;
    int64_t put_off_ns;              /* pauses, with an engine */
};

/* s is zeroed. False: the engine is full; schedule_stop is called all the same. */
bool schedule_start(struct schedule *s, const struct schedule_plan *p, int64_t now_ns) MUST_CHECK;
void schedule_stop(struct schedule *s, int64_t now_ns);

/* False: everything leaves as fast as the client takes it. */
static inline bool schedule_is_paced(const struct schedule *s) {
    return s->engine || !law_is_zero(&s->itl);
}
/* The next slot may leave; due_ns is when it was to. */
bool schedule_is_due(struct schedule *s, int64_t now_ns);
/* When to look again; after schedule_is_due said no. */
static inline int64_t schedule_wake_ns(const struct schedule *s) {
    return s->due_ns;
}
/* The slot has been made; pause: before the next one, NULL: none. */
void schedule_next(struct schedule *s, const struct law *pause);
/* Puts off everything that is to come. */
void schedule_put_off(struct schedule *s, int64_t ns);

#endif
