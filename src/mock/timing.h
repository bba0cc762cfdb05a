/* SPDX-License-Identifier: Apache-2.0 */
/* The times of one answer: the provider's settings, over them a scenario's, over them the request's
 * own. */
#ifndef PENSTOCK_MOCK_TIMING_H
#define PENSTOCK_MOCK_TIMING_H

#include "mock/call.h"
#include "mock/reply.h"
#include "mock/schedule.h"

struct timing {
    struct law ttft, itl, prefill;   /* itl: between two chunks */
    struct burst burst;              /* tokens a chunk */
    /* a scenario or the request says its own ttft or itl: it keeps to them, beside the engine */
    bool is_own;
};

void timing_of(const struct mock_call *c, struct timing *out);
/* Reads and writes the prefix cache, when there is one and nobody said what was cached; the reply's
 * usage says it. */
void timing_use_prefix_cache(const struct mock_call *c, struct reply *r);
/* Into s, zeroed. ro: what the reply was made with. False: the engine is full. */
bool timing_start(const struct mock_call *c, const struct timing *t, const struct reply_options *ro,
                  const struct reply *r, struct schedule *s) MUST_CHECK;
/* 429 or 503, as the provider says it. */
void timing_refuse(struct mock_worker *w, struct http_exchange *ex, const struct mock_options *o);

#endif
