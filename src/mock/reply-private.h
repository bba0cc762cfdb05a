/* SPDX-License-Identifier: Apache-2.0 */
/* Inside a reply: plan.c decides what is said, reply.c says it. */
#ifndef PENSTOCK_MOCK_REPLY_PRIVATE_H
#define PENSTOCK_MOCK_REPLY_PRIVATE_H

#include "mock/completion.h"
#include "mock/reply.h"
#include "mock/source.h"

enum {
    REPLY_MAX_CHOICES = 128,
    REPLY_MAX_CALLS = 8,
    REPLY_MAX_SEGMENTS = 2 * COMPLETION_MAX_PROMPTS,   /* and more than all calls and two */
    REPLY_MAX_STOPS = 16,
    REPLY_MAX_STOP_BYTES = 256,
    REPLY_STORE_BYTES = 4 << 20,      /* texts and arguments of one plan */
    REPLY_ID_BYTES = 32               /* of the answer, of a call, of an item */
};

/* One block of the answer. Spans are into the plan's store. */
struct segment {
    enum block_kind kind;
    enum source_kind source;
    enum prose_kind prose;            /* SOURCE_PROSE */
    struct span text;                 /* the text; the topic of prose; the tag of a count */
    struct span name, name_space;     /* of the tool */
    bool is_hidden;                   /* thought of and counted, but not said */
    bool is_echo;                     /* the prompt: said at once, and not counted */
    uint64_t count_to;                /* SOURCE_COUNT */
};

struct plan {
    const struct dialect *dialect;
    struct buf store;
    struct segment segments[REPLY_MAX_SEGMENTS];
    unsigned n_segments;
    unsigned n_choices;
    /* choice i answers prompt i / choices_per_prompt, with so many segments */
    unsigned choices_per_prompt, segments_per_prompt;
    struct span stops[REPLY_MAX_STOPS];
    unsigned n_stops;
    size_t longest_stop;
    struct span model;
    uint64_t seed;                    /* of this answer: the mock's, mixed with the request */
    uint64_t exact_tokens;            /* 0: natural */
    uint64_t max_tokens;              /* UINT64_MAX: no bound */
    uint64_t prompt_tokens, cache_read, cache_write;
    uint64_t seal_seed;               /* the mock's own */
    bool proves;                      /* thoughts get a proof */
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
