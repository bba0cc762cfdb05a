/* SPDX-License-Identifier: Apache-2.0 */
/* Inside a reply: plan.c decides what is said, reply.c says it. */
#ifndef PENSTOCK_MOCK_REPLY_PRIVATE_H
#define PENSTOCK_MOCK_REPLY_PRIVATE_H

#include "mock/reply.h"
#include "mock/source.h"

enum {
    REPLY_MAX_CHOICES = 128,
    REPLY_MAX_CALLS = 8,
    REPLY_MAX_SEGMENTS = REPLY_MAX_CALLS + 2,
    REPLY_MAX_STOPS = 4,
    REPLY_MAX_STOP_BYTES = 256,
    REPLY_STORE_BYTES = 4 << 20,      /* texts and arguments of one plan */
    REPLY_ID_BYTES = 32,
    REPLY_CALL_ID_BYTES = 24
};

/* One block of the answer. Spans are into the plan's store. */
struct segment {
    enum block_kind kind;
    enum source_kind source;
    enum prose_kind prose;            /* SOURCE_PROSE */
    struct span text;                 /* the text; the topic of prose; the tag of a count */
    struct span name;                 /* of the tool */
    uint64_t count_to;                /* SOURCE_COUNT */
};

struct plan {
    struct buf store;
    struct segment segments[REPLY_MAX_SEGMENTS];
    unsigned n_segments;
    unsigned n_choices;
    struct span stops[REPLY_MAX_STOPS];
    unsigned n_stops;
    size_t longest_stop;
    struct span model;
    uint64_t seed;                    /* of this answer: the mock's, mixed with the request */
    uint64_t exact_tokens;            /* 0: natural */
    uint64_t max_tokens;              /* UINT64_MAX: no bound */
    uint64_t prompt_tokens;
    enum stop_reason stop;            /* when all has been said */
    bool calls_are_functions;         /* legacy function_call */
    bool logprobs;
    unsigned top_logprobs;
};

/* plan must be zeroed. */
void plan_make(struct plan *p, const struct llm_request *rq, const struct reply_options *o);
void plan_dispose(struct plan *p);
static inline struct slice plan_text(const struct plan *p, struct span s) {
    return s.len ? slice_make(p->store.ptr + s.off, s.len) : slice_make("", 0);
}

#endif
