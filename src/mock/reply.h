/* SPDX-License-Identifier: Apache-2.0 */
/* What the mock answers: a request becomes a plan (who thinks, what is said, which tools are
 * called), and the plan gives canonical events one by one. Deterministic by (seed, request):
 * whether the answer is streamed has no part in it. No I/O, no clock. One thread. */
#ifndef PENSTOCK_MOCK_REPLY_H
#define PENSTOCK_MOCK_REPLY_H

#include "dialect/dialect.h"

struct reply;

enum reply_thinking {
    REPLY_THINK_AS_ASKED,
    REPLY_THINK_NOT,
    REPLY_THINK_ALOUD,
    REPLY_THINK_REDACTED          /* its proof alone; shown as usual where there is no such thing */
};

struct reply_options {
    const struct dialect *dialect; /* NULL: chat */
    enum reply_thinking thinking;
    int64_t cached;            /* tokens of the prompt that were cached; -1: as it seems fit */
    uint64_t seed;
    uint64_t tokens;           /* exact length of the text; 0: its natural one */
    struct slice text;         /* ptr NULL: made up from the request */
    uint64_t serial;           /* of the request: makes ids unique */
    int64_t created;           /* Unix seconds */
};

/* Copies what it needs: the request may be freed. Never NULL. */
struct reply *reply_new(const struct llm_request *rq, const struct reply_options *o);
void reply_free(struct reply **r);

enum reply_step {
    REPLY_OVER,      /* no event: the answer has ended */
    REPLY_EVENT,     /* an event that goes with the next token, or with the end */
    REPLY_TOKEN      /* an event that completes a token: the unit of pacing and counting */
};
/* The event's slices live until the next call. No allocation in steady state. */
enum reply_step reply_next(struct reply *r, struct event *out);

struct slice reply_id(const struct reply *r);
uint64_t reply_tokens(const struct reply *r);      /* said so far */
/* Until what a stream shows before any token has been given. */
bool reply_is_opening(const struct reply *r);

#endif
