/* SPDX-License-Identifier: Apache-2.0 */
/* What the mock answers: a request becomes a plan (who thinks, what is said, which tools are
 * called), and the plan gives canonical events one by one. Deterministic by (seed, request):
 * whether the answer is streamed has no part in it. No I/O, no clock. One thread. */
#ifndef PENSTOCK_MOCK_REPLY_H
#define PENSTOCK_MOCK_REPLY_H

#include "dialect/dialect.h"
#include "mock/burst.h"
#include "mock/prompt.h"
#include "mock/script.h"
#include "token/token.h"

struct reply;

enum reply_thinking {
    REPLY_THINK_AS_ASKED,
    REPLY_THINK_NOT,
    REPLY_THINK_ALOUD,
    REPLY_THINK_REDACTED          /* its proof alone; shown as usual where there is no such thing */
};

struct reply_options {
    const struct dialect *dialect; /* NULL: chat */
    /* What is said, by somebody; NULL: made up. Its status, times, fault and headers are the
     * caller's to see to. */
    const struct script *script;
    const struct tokenizer *tokenizer; /* NULL: by the model's name */
    /* of this request, by this tokenizer; NULL: it is counted here */
    const struct prompt_count *prompt;
    enum reply_thinking thinking;
    int64_t cached;            /* tokens of the prompt that were cached; -1: as it seems fit */
    uint64_t seed;
    uint64_t tokens;           /* exact length of the text; 0: its natural one */
    struct burst burst;        /* tokens a delta, never over the end of a block */
    struct slice text;         /* ptr NULL: made up from the request */
    bool is_echo;              /* the last user text is the answer */
    uint64_t serial;           /* of the request: makes ids unique */
    int64_t created;           /* Unix seconds */
};

/* Copies what it needs: request and script may be freed. Never NULL. */
struct reply *reply_new(const struct llm_request *rq, const struct reply_options *o);
void reply_free(struct reply **r);

enum reply_step {
    REPLY_OVER,      /* no event: the answer has ended */
    REPLY_EVENT,     /* an event that goes with the next slot, or with the end */
    REPLY_TOKEN      /* an event that completes a slot: the unit of pacing, a delta as a rule */
};
/* The event's slices live until the next call. No allocation in steady state. */
enum reply_step reply_next(struct reply *r, struct event *out);
/* How many tokens the slot had that REPLY_TOKEN ended last: 1, or those of a burst, of a call's
 * name, of a piece that a script has written; 0 when all of its text belongs to a token that was
 * counted before. */
uint32_t reply_slot_tokens(const struct reply *r);
/* Between two slots: extra time to pass before the next one; NULL: none. */
const struct law *reply_pause(const struct reply *r);
/* Tokens that are thought and not shown before the first slot. */
uint64_t reply_hidden_tokens(const struct reply *r);

struct slice reply_id(const struct reply *r);
struct slice reply_model(const struct reply *r);   /* that answers, by its own account */
uint64_t reply_tokens(const struct reply *r);      /* said so far, hidden ones with them */
uint64_t reply_prompt_tokens(const struct reply *r);
/* What usage says that the cache knew of the prompt. */
uint64_t reply_cached_tokens(const struct reply *r);
/* What a cache of prefixes says, instead of what seemed fit; before the first reply_next. */
void reply_set_cache(struct reply *r, uint64_t read, uint64_t written);
/* Anthropic caches where it is told to: somewhere in the request is a cache_control. */
bool reply_asks_for_cache(const struct llm_request *rq);
/* Until what a stream shows before any token has been given. */
bool reply_is_opening(const struct reply *r);

#endif
