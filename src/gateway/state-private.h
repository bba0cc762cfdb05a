/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's memory without the relay: turns, questions and notes, over a store. Keys have their
 * tenant in them: nobody finds what another one stored. Answers come through `done`, which may run
 * inside the call that asked: with the store in memory it always does. Any worker's thread. state.h
 * is what the relay sees of it. */
#ifndef PENSTOCK_GATEWAY_STATE_PRIVATE_H
#define PENSTOCK_GATEWAY_STATE_PRIVATE_H

#include "config/config.h"
#include "dialect/request.h"
#include "store/store.h"

/* One part of a list of items, without brackets, with commas inside. */
struct state_piece {
    struct state_piece *next;
    struct slice text;
};

struct state {
    const struct config *config;
    struct store *store;
    int64_t ttl_ns;
    /* the one provider that keeps responses itself; -1: none, or several */
    int keeper;
    size_t max_body_bytes;           /* of a body with the earlier items in it */
};
struct state *state_new(const struct config *c);
void state_free(struct state **s);
void state_get_stats(struct state *s, struct store_stats *out);

/* ---- tenants ---- */

#define TENANT_BYTES 32
struct tenant {
    char id[TENANT_BYTES + 1];
};
/* Of the client's own credential, which is not kept; all clients without one are one tenant. */
void state_tenant(struct slice credential, struct tenant *out);

/* ---- turns ---- */

struct state_turn {
    /* ---- the caller's ---- */
    void (*done)(struct state_turn *t);
    void *self;
    struct loop *loop;               /* whose thread done runs on */
    /* ---- told when done is called ---- */
    unsigned refused_status;         /* 0: not refused; 400, 404 */
    struct request_fault fault;
    struct slice body;               /* see below; valid until dispose */
    /* taken out of the body, for the answer to repeat; ptr NULL: not */
    struct slice previous, conversation;
    bool wants_answer;               /* state_turn_keep has something to do */
    bool is_stored;                  /* the gateway stores the answer */
    /* ---- its own ---- */
    struct state *state;
    struct tenant tenant;
    struct arena *arena;
    struct store_call call;
    void (*next)(struct state_turn *t, enum store_status status, struct slice value);
    struct slice original;           /* the client's body */
    struct slice previous_id, conversation_id, looked_for;
    struct state_piece *pieces;
    struct buf made, input;
    unsigned provider, depth;
    bool is_native, is_over, is_stepping, is_answered, is_broken;
};
/* Behind peek and routing, before anything is decoded. Afterwards the turn is refused, or t->body
 * is what is decoded, translated or sent: the client's own, or one with the earlier items in front
 * and without previous_response_id and conversation.
 *
 * t: zeroed, with the caller's part filled in. body: what peek accepted; needed until done is
 * called, and longer where t->body is the same.
 * provider: the target's index. is_native: it is spoken to in responses, untranslated. */
void state_turn_begin(struct state *s, struct state_turn *t, const struct tenant *tenant,
                      struct slice body, unsigned provider, bool is_native);
/* The response object of an answer. Keeps nothing of one that has failed. Once. */
void state_turn_keep(struct state_turn *t, struct slice response);
/* Not begun, or twice: fine. */
void state_turn_dispose(struct state_turn *t);

/* ---- endpoints ---- */

enum state_verb {
    STATE_RESPONSE_GET,              /* query: stream */
    STATE_RESPONSE_DELETE,
    STATE_RESPONSE_CANCEL,
    STATE_RESPONSE_INPUT,            /* query: limit, order, after */
    STATE_CONVERSATION_NEW,          /* body: items, metadata; may be empty */
    STATE_CONVERSATION_GET,
    STATE_CONVERSATION_SET,          /* body: metadata */
    STATE_CONVERSATION_DELETE,
    STATE_ITEMS_LIST,                /* query as above */
    STATE_ITEMS_ADD,                 /* body: items */
    STATE_ITEM_GET,
    STATE_ITEM_DELETE
};
struct state_question {
    /* ---- the caller's ---- */
    enum state_verb verb;
    struct tenant tenant;
    struct slice id, item, query, body;   /* id and item: decoded; must outlive the question */
    void (*done)(struct state_question *q);
    void *self;
    struct loop *loop;
    /* ---- told when done is called ---- */
    unsigned status;                 /* of the answer; 0: it is to be asked of provider `pass_to` */
    unsigned pass_to;
    bool is_stream;                  /* out is text/event-stream, else application/json */
    struct buf out;
    /* ---- its own ---- */
    struct state *state;
    struct arena *arena;
    struct store_call call;
    struct state_piece *pieces;
    void (*next)(struct state_question *q, enum store_status status, struct slice value);
    struct slice looked_for, object;
    unsigned depth;
    bool is_stepping, is_answered;
};
/* q: zeroed, with the caller's part filled in.
 *
 * An id that the gateway does not know goes to the one provider that keeps responses itself, if
 * there is exactly one and the id is not known to be another tenant's; else it is 404. */
void state_ask(struct state *s, struct state_question *q);
void state_question_dispose(struct state_question *q);

/* ---- reasoning that clients drop (translation.md 6, rule 6) ---- */

/* Gathers an answer's reasoning and the ids of its calls from the upstream's events; proofs are put
 * into our envelope. Nothing is kept of answers without calls or without a proof, and nothing above
 * max_bytes. */
struct reasoning_notes;
struct reasoning_notes *reasoning_notes_new(enum proof_family family, size_t max_bytes);
void reasoning_notes_add(struct reasoning_notes *n, const struct event *ev);
/* NULL is fine. */
void reasoning_notes_free(struct reasoning_notes *n);
/* When the answer was complete. */
void state_remember_reasoning(struct state *s, const struct tenant *tenant,
                              const struct reasoning_notes *n);

/* Puts it back into a foreign client's request, between decode_request and request_adapt: into
 * every message of the assistant's with calls and without a proof. */
struct state_recall {
    /* ---- the caller's ---- */
    void (*done)(struct state_recall *r);
    void *self;
    struct loop *loop;
    /* ---- its own ---- */
    struct state *state;
    struct tenant tenant;
    struct arena *arena;
    struct message *message;
    unsigned part, n_asked;
    struct store_call call;
    bool is_stepping, is_answered;
    bool is_chat;                    /* the client's dialect */
};
/* r: zeroed, with the caller's part filled in. rq and a (rq's arena) must outlive it. */
void state_recall_begin(struct state *s, struct state_recall *r, const struct tenant *tenant,
                        struct llm_request *rq, struct arena *a);
void state_recall_dispose(struct state_recall *r);

/* ---- shared by the files of the memory ---- */

/* {"previous":…,"input":[…],"response":{…}} */
#define SPACE_RESPONSE "response"
/* tenant's id, then the provider's name: without a tenant in the key */
#define SPACE_NATIVE "native"
#define SPACE_CONVERSATION "conversation"        /* the object */
#define SPACE_ITEMS "conversation_items"         /* a comma before each */
#define SPACE_REASONING "reasoning"              /* by the id of a call */

/* A chain of answers longer than this is not followed. */
#define STATE_MAX_DEPTH 10000

struct state_record {
    struct slice previous;           /* decoded; NULL: none */
    struct slice input, output;      /* items without brackets */
    struct slice response;
};
/* False: damaged. */
bool state_record_read(struct slice text, struct arena *a, struct state_record *out);
/* In front of what is there; empty ones are left out. */
void state_piece_push(struct state_piece **list, struct slice text, struct arena *a);
/* All of them, with commas between. */
int state_pieces_join(const struct state_piece *list, struct buf *out) MUST_CHECK;
/* Whose an answer of a provider's is. The provider's index, -1: nobody's that is known; -2:
 * somebody else's, or of a provider that is gone. */
int state_native_read(const struct state *s, const struct tenant *tenant, struct slice value);
struct slice state_inside(struct slice array);
/* The answer's own id in letters and digits: for items without one. */
struct slice state_seed(struct arena *a);

#endif
