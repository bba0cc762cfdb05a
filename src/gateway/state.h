/* SPDX-License-Identifier: Apache-2.0 */
/* What the gateway remembers between requests, as the relay and the endpoints see it: answers and
 * conversations of `responses` clients whose upstream keeps none, which provider an answer came
 * from where it does, and the reasoning of tool loops whose clients drop it (translation.md 6, rule
 * 6). Kept in a store (store/store.h) with a lifetime and a cap; every key has its tenant in it. A
 * tenant is whoever has the client's credential; all clients without one are one tenant. */
#ifndef PENSTOCK_GATEWAY_STATE_H
#define PENSTOCK_GATEWAY_STATE_H

#include "gateway/relay.h"
#include "store/store.h"

struct state;
/* The gateway's; c must outlive it. */
struct state *state_new(const struct config *c);
void state_free(struct state **s);
/* For /metrics. */
void state_get_stats(struct state *s, struct store_stats *out);

/* ---- requests of responses clients ---- */

enum state_step {
    STATE_GO,
    STATE_WAIT,                      /* relay_resume is called when it is known */
    STATE_REFUSED                    /* and answered */
};
/* Behind peek and routing, before anything is decoded; r->up is chosen. Puts a body with the
 * earlier items in front, and without previous_response_id and conversation, into r->body where the
 * gateway has to; the answer then repeats both from state_echo. Sets r->turn, and r->is_kept when
 * the answer is to be told to state_keep. To be called for every responses client: where the
 * provider keeps its answers itself, whose they are is noted. */
enum state_step state_resolve(struct relay *r, const struct envelope *env);
/* What the answer repeats of the request though r->body has it no more; for encode_echo alone. */
void state_echo(const struct relay *r, struct llm_request *rq);
/* The response object of a complete answer, as the client gets it. */
void state_keep(struct relay *r, struct slice response);
void state_turn_free(struct state_turn *t);

/* ---- reasoning that clients drop ---- */

/* Of a foreign client's request, between decode_request and request_adapt: puts what is remembered
 * into messages with calls and without a proof. Sets r->notes_events where the answer's reasoning
 * is worth remembering; r->leg's caps are known. */
void state_recall_reasoning(struct relay *r, struct llm_request *rq, struct arena *a);
/* One of the upstream's events, before the shaper. EV_END makes it remembered. */
void state_note_event(struct relay *r, const struct event *ev);

/* ---- endpoints ---- */

void state_get(struct worker *w, struct http_exchange *ex);          /* /responses/{rest} */
void state_delete(struct worker *w, struct http_exchange *ex);
void state_cancel(struct worker *w, struct http_exchange *ex);
void state_input_items(struct worker *w, struct http_exchange *ex);
void state_conversations(struct worker *w, struct http_exchange *ex); /* POST /conversations */
/* GET, POST, DELETE /conversations/{rest}, where rest may go on with /items and /items/{id}. */
void state_conversation(struct worker *w, struct http_exchange *ex);

/* The relay's: passes this exchange on to a provider as it is, method, path behind /v1 and query
 * included. Takes over ex. */
void relay_begin_on(struct worker *w, struct http_exchange *ex, const struct upstream *u);

#endif
