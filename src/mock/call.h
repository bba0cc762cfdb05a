/* SPDX-License-Identifier: Apache-2.0 */
/* One request of the API on its way to its answer. Lives on the stack of its handler: whoever
 * answers later copies what it needs (delivery_start does). The stages, in order, are in
 * endpoint_answer.c. */
#ifndef PENSTOCK_MOCK_CALL_H
#define PENSTOCK_MOCK_CALL_H

#include "mock/api.h"
#include "mock/knobs.h"
#include "mock/limit.h"
#include "mock/prompt.h"
#include "mock/script.h"
#include "mock/stored.h"
#include "mock/validate.h"
#include "mock/worker.h"

/* What the head of every answer says, errors included; small, and copied by who answers later. */
struct head_facts {
    uint64_t serial;                 /* serial.h: ids, times and faults come from it and the seed */
    bool has_serial;
    struct limit_view limits;
    unsigned violations;             /* of the request: x-penstock-violations */
    char scenario[64];               /* x-penstock-scenario; empty: none */
    /* a name of a table (static), when the client asked for it: x-penstock-fault; NULL: none */
    const char *fault;
    char cors[128];                  /* access-control-allow-origin; empty: none */
    char extra[512];                 /* further ones: name NUL value NUL … */
    size_t extra_len;
};
/* A header that does not fit is left out. */
void head_facts_add(struct head_facts *f, struct slice name, struct slice value);

struct mock_call {
    struct mock_worker *w;
    struct http_exchange *ex;
    const struct api *api;
    const struct mock_options *o;    /* as they are now */
    struct slice key;                /* that the client came with; empty: none */
    struct stored *stored;           /* what the client sees of it */
    struct llm_request rq;
    struct prompt_count prompt;      /* of mock_call_prompt */
    bool is_prompt_counted;
    struct knobs k;
    const struct script *script;     /* NULL: the generator makes it up */
    /* responses: what it refers to, and whether it is remembered */
    struct stored_turn turn;
    struct job *job;                 /* background.c: who takes the answer; else NULL */
    struct slice session;            /* scenario_session, from the journal's entry on */
    uint64_t journal;                /* its entry; 0: none */
    unsigned status;                 /* of the answer, once it is given at once; 0: not yet */
    /* somebody answers later, and closes the journal's entry */
    bool is_passed_on;
    int64_t start_ns;                /* mock time */
    struct head_facts facts;
};

/* The call that is being answered now on this worker: errors take their heads' facts from it. NULL
 * outside of a handler. */
static inline const struct head_facts *mock_facts(const struct mock_worker *w) {
    return w->call ? &w->call->facts : NULL;
}
/* Opens the journal's entry: as soon as it is known what was asked for, and c->rq is there as far
 * as it could be read. */
void mock_call_journal(struct mock_call *c, struct slice model, bool stream);
/* Tells it the answer's own id. */
void mock_call_note_response(struct mock_call *c, struct slice id);

/* endpoint_answer.c: the body, which peek_request accepts, to c->rq; responses: with what it refers
 * to. 0 or -ERR_USAGE with the fault and its status. */
int mock_call_decode(struct mock_call *c, struct request_fault *fault,
                     unsigned *out_status) MUST_CHECK;
/* What c->rq counts as: counted once, for the first who asks. */
const struct prompt_count *mock_call_prompt(struct mock_call *c);
/* call_validate.c: looks for broken rules, which the journal and the head then tell. False:
 * answered (--strict). */
bool mock_call_validate(struct mock_call *c);
/* Of a request that cannot be read, or a history that does not fit: told in the same way. */
void mock_call_refuse(struct mock_call *c, enum rule_id rule, const struct request_fault *fault,
                      unsigned status);

/* endpoint_responses.c: reads a body of /responses for an endpoint that does not generate, then
 * calls serve_call with c->rq filled in. */
void mock_endpoint_of_request(struct mock_worker *w, struct http_exchange *ex,
                              void (*serve_call)(struct mock_call *c));

#endif
