/* SPDX-License-Identifier: Apache-2.0 */
/* The relay's side of the gateway's memory. */
#include "gateway/state.h"
#include "gateway/state-private.h"

/* Of one answer's reasoning. */
#define NOTES_MAX_BYTES ((size_t)1 << 20)

/* What a relay has of the memory; relay->turn is its first member. */
struct memory_leg {
    struct state_turn turn;
    struct reasoning_notes *notes;
    bool is_told, is_inline;
};

static struct memory_leg *leg_of(struct relay *r) {
    if (!r->turn) {
        struct memory_leg *leg = mem_zalloc(sizeof *leg);
        r->turn = &leg->turn;
    }
    return (struct memory_leg *)(void *)r->turn;
}

static struct state *state_of(const struct relay *r) {
    return r->worker->gateway->state;
}

static void tenant_of(const struct http_exchange *ex, struct tenant *out) {
    state_tenant(relay_client_credential(&ex->headers), out);
}

void state_turn_free(struct state_turn *t) {
    struct memory_leg *leg = (struct memory_leg *)(void *)t;
    if (!leg)
        return;
    state_turn_dispose(t);
    reasoning_notes_free(leg->notes);
    mem_free(leg);
}

/* ---- turns ---- */

/* False: refused, and answered. */
static bool take_turn(struct relay *r, const struct state_turn *t) {
    if (t->refused_status) {
        enum fault_id id = t->refused_status == 404 ? FAULT_NOT_FOUND : FAULT_BAD_REQUEST;
        relay_refuse(r, id, t->fault.code, t->fault.param, t->fault.message);
        return false;
    }
    r->body = t->body;
    r->is_kept = t->wants_answer;
    return true;
}

static void on_turn(struct state_turn *t) {
    struct memory_leg *leg = (struct memory_leg *)(void *)t;
    struct relay *r = t->self;
    leg->is_told = true;
    if (!leg->is_inline)
        relay_resume(r, !r->ex || !take_turn(r, t));
}

enum state_step state_resolve(struct relay *r, const struct envelope *env) {
    (void)env;
    struct memory_leg *leg = leg_of(r);
    struct tenant tenant;
    tenant_of(r->ex, &tenant);
    leg->turn.done = on_turn;
    leg->turn.self = r;
    leg->turn.loop = r->worker->loop;
    leg->is_inline = true;
    state_turn_begin(state_of(r), &leg->turn, &tenant, r->body, r->upstream->index,
                     r->up == r->client);
    leg->is_inline = false;
    if (!leg->is_told)
        return STATE_WAIT;
    return take_turn(r, &leg->turn) ? STATE_GO : STATE_REFUSED;
}

void state_echo(const struct relay *r, struct llm_request *rq) {
    const struct state_turn *t = r->turn;
    if (!t || !t->arena)
        return;
    if (t->previous.ptr)
        rq->previous_response_id = t->previous;
    if (t->conversation.ptr) /* one of ours: its id needs no escapes */
        rq->conversation = slice_cstr(
            arena_printf(t->arena, "{\"id\":\"%.*s\"}", SLICE_FMT(t->conversation)));
    rq->store = t->is_stored;
}

void state_keep(struct relay *r, struct slice response) {
    if (r->turn && r->turn->arena)
        state_turn_keep(r->turn, response);
}

/* ---- reasoning ---- */

static void on_recalled(struct state_recall *recall) {
    *(bool *)recall->self = true;
}

/* A store that does not answer at once is not waited for: the request goes without. */
static void recall(struct relay *r, const struct tenant *tenant, struct llm_request *rq,
                   struct arena *a) {
    bool is_done = false;
    struct state_recall call = {.done = on_recalled, .self = &is_done, .loop = r->worker->loop};
    state_recall_begin(state_of(r), &call, tenant, rq, a);
    if (!is_done)
        state_recall_dispose(&call);
}

void state_recall_reasoning(struct relay *r, struct llm_request *rq, struct arena *a) {
    const struct capabilities *caps = &r->upstream->config->caps;
    struct tenant tenant;
    if (caps->family == PROOF_NONE && caps->reasoning_history != REASONING_DETAILS)
        return;                          /* nobody who takes it back */
    tenant_of(r->ex, &tenant);
    struct memory_leg *leg = leg_of(r);
    leg->turn.tenant = tenant;
    leg->notes = reasoning_notes_new(caps->family, NOTES_MAX_BYTES);
    r->notes_events = true;
    recall(r, &tenant, rq, a);
}

void state_note_event(struct relay *r, const struct event *ev) {
    struct memory_leg *leg = (struct memory_leg *)(void *)r->turn;
    if (!leg || !leg->notes)
        return;
    if (ev->kind == EV_END)
        state_remember_reasoning(state_of(r), &leg->turn.tenant, leg->notes);
    else
        reasoning_notes_add(leg->notes, ev);
}
