/* SPDX-License-Identifier: Apache-2.0 */
/* Continuous batching, as inference engines do it: requests sit in a batch of at most max_batch,
 * and the engine goes from step to step. At the end of a step every request whose prompt has been
 * read says its next chunk. A step takes
 *
 *     a draw of `step`  +  batch_cost × requests in the batch  +  a draw of `prefill` × prompt
 *     tokens
 *
 * of which it reads at most prefill_budget a step, first come, first served. Who comes while a step
 * is under way waits for its end, and for a seat, in order; when max_batch and queue are full, it
 * is refused. A seat is free at the end of the step that said its last chunk.
 *
 * Nothing ticks here: steps are worked out when somebody asks, from the instants at which requests
 * came, so the schedule is the same whoever asks first, and exact. A client that does not read does
 * not hold up its engine.
 *
 * One engine a provider. Any thread; a lock of its own. */
#ifndef PENSTOCK_MOCK_ENGINE_H
#define PENSTOCK_MOCK_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "mock/law.h"

struct engine;

#define ENGINE_ENDLESS UINT64_MAX

struct engine_options {
    unsigned max_batch;              /* at least 1 */
    unsigned queue;                  /* more than the batch, at most */
    struct law step, prefill;
    int64_t batch_cost_ns;
    unsigned prefill_budget;         /* 0: no bound */
};

enum engine_state { ENGINE_OUT, ENGINE_QUEUED, ENGINE_PREFILL, ENGINE_DECODE, ENGINE_DONE };
/* Embedded in its owner, zeroed at first; the engine's from join to leave. */
struct engine_seat {
    struct engine_seat *prev, *next;
    enum engine_state state;
    uint64_t chunks;                 /* that it says in all */
    uint64_t prefill_left;           /* tokens */
    uint64_t first_step;             /* at whose end chunk 0 is said: DECODE, DONE */
};

struct engine *engine_new(uint64_t seed);
void engine_free(struct engine **e);

/* Options as they are from the next step on. False: full. */
bool engine_join(struct engine *e, const struct engine_options *o, struct engine_seat *s,
                 uint64_t prompt_tokens, uint64_t chunks, int64_t now_ns) MUST_CHECK;
/* Whoever has not joined, or is done, may leave as well. */
void engine_leave(struct engine *e, struct engine_seat *s, int64_t now_ns);
/* When chunk k is said. False: that is not known yet; ask again at *out_ns. An instant that is long
 * past may be told as a later one that is past, too. */
bool engine_chunk_due(struct engine *e, const struct engine_seat *s, uint64_t k, int64_t now_ns,
                      int64_t *out_ns) MUST_CHECK;

struct engine_view {
    unsigned running, queued, most_running, most_queued;
    uint64_t steps, refused, prefill_tokens;
    uint64_t seats;                  /* of all steps: / steps is the mean batch */
};
void engine_look(struct engine *e, int64_t now_ns, struct engine_view *out);

#endif
