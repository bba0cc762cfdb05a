/* SPDX-License-Identifier: Apache-2.0 */
/* The endpoints of what is stored. */
#include "gateway/state.h"
#include "gateway/state-private.h"

static void on_answered(struct state_question *q) {
    *(bool *)q->self = true;
}

static void respond_stream(struct worker *w, struct http_exchange *ex, struct slice body) {
    struct http_header h[8] = {{SLICE("content-type"), SLICE("text/event-stream; charset=utf-8")},
                               {SLICE("cache-control"), SLICE("no-cache")}};
    unsigned n = 2 + guard_cors_headers(w, ex, h + 2);
    http_respond(ex, &(struct http_response){200, h, n}, body);
}

/* The store in memory has answered when state_ask returns; one that takes its time needs an
 * exchange that waits, and has to bring that. */
static void ask(struct worker *w, struct http_exchange *ex, enum state_verb verb, struct slice id,
                struct slice item) {
    bool is_done = false;
    struct state_question q = {.verb = verb, .id = id, .item = item, .query = ex->query,
                               .body = bytes_slice(ex->body), .done = on_answered,
                               .self = &is_done, .loop = w->loop};
    state_tenant(relay_client_credential(&ex->headers), &q.tenant);
    state_ask(w->gateway->state, &q);
    if (!is_done)
        answer_fault(w, ex, FAULT_INTERNAL, NULL, "The store did not answer.");
    else if (q.status == 0)
        relay_begin_on(w, ex, &w->gateway->upstreams[q.pass_to]);
    else if (q.is_stream)
        respond_stream(w, ex, buf_slice(&q.out));
    else
        answer_json(w, ex, q.status, buf_slice(&q.out));
    state_question_dispose(&q);
}

/* False: refused, and answered. */
static bool decode(struct worker *w, struct http_exchange *ex, struct slice raw,
                   struct slice *out) {
    if (raw.len > 0 && url_decode(raw, ex->arena, out) && out->len <= 256)
        return true;
    answer_fault(w, ex, FAULT_NOT_FOUND, NULL, "There is nothing with this id.");
    return false;
}

static void ask_one(struct worker *w, struct http_exchange *ex, enum state_verb verb) {
    struct slice id;
    if (decode(w, ex, w->match.rest, &id))
        ask(w, ex, verb, id, SLICE_NULL);
}

void state_get(struct worker *w, struct http_exchange *ex) {
    ask_one(w, ex, STATE_RESPONSE_GET);
}
void state_delete(struct worker *w, struct http_exchange *ex) {
    ask_one(w, ex, STATE_RESPONSE_DELETE);
}
void state_cancel(struct worker *w, struct http_exchange *ex) {
    ask_one(w, ex, STATE_RESPONSE_CANCEL);
}
void state_input_items(struct worker *w, struct http_exchange *ex) {
    ask_one(w, ex, STATE_RESPONSE_INPUT);
}
void state_conversations(struct worker *w, struct http_exchange *ex) {
    ask(w, ex, STATE_CONVERSATION_NEW, SLICE_NULL, SLICE_NULL);
}

enum what { THE_CONVERSATION, ITS_ITEMS, AN_ITEM };

/* By what the path names, and the method: GET, POST, DELETE. */
static const struct {
    enum what what;
    enum http_method method;
    enum state_verb verb;
} verbs[] = {
    {THE_CONVERSATION, HTTP_METHOD_GET, STATE_CONVERSATION_GET},
    {THE_CONVERSATION, HTTP_METHOD_POST, STATE_CONVERSATION_SET},
    {THE_CONVERSATION, HTTP_METHOD_DELETE, STATE_CONVERSATION_DELETE},
    {ITS_ITEMS, HTTP_METHOD_GET, STATE_ITEMS_LIST},
    {ITS_ITEMS, HTTP_METHOD_POST, STATE_ITEMS_ADD},
    {AN_ITEM, HTTP_METHOD_GET, STATE_ITEM_GET},
    {AN_ITEM, HTTP_METHOD_DELETE, STATE_ITEM_DELETE},
};

/* "conv_1", "conv_1/items", "conv_1/items/msg_1" */
static enum what split(struct slice rest, struct slice *out_id, struct slice *out_item) {
    ptrdiff_t slash = slice_index(rest, '/');
    *out_id = slash < 0 ? rest : slice_sub(rest, 0, (size_t)slash);
    *out_item = SLICE_NULL;
    if (slash < 0)
        return THE_CONVERSATION;
    rest = slice_from(rest, (size_t)slash + 1);
    if (slice_eq(rest, SLICE("items")))
        return ITS_ITEMS;
    *out_item = slice_starts_with(rest, SLICE("items/")) ? slice_from(rest, 6) : SLICE("");
    return AN_ITEM;
}

void state_conversation(struct worker *w, struct http_exchange *ex) {
    struct slice raw_id, raw_item, id, item = SLICE_NULL;
    enum what what = split(w->match.rest, &raw_id, &raw_item);
    enum http_method method = ex->method == HTTP_METHOD_HEAD ? HTTP_METHOD_GET : ex->method;
    char allow[HTTP_ALLOW_BYTES] = "";
    if (!decode(w, ex, raw_id, &id) || (what == AN_ITEM && !decode(w, ex, raw_item, &item)))
        return;
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (verbs[i].what != what)
            continue;
        http_allow_add(allow, verbs[i].method);
        if (verbs[i].method != method)
            continue;
        ask(w, ex, verbs[i].verb, id, item);
        return;
    }
    http_allow_add(allow, HTTP_METHOD_OPTIONS);
    answer_not_allowed(w, ex, allow);
}
