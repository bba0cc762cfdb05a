/* SPDX-License-Identifier: Apache-2.0 */
/* What responses clients ask of what is stored: an answer, its input, its removal; conversations.
 * One function a verb; each looks something up and goes on with what was found. */
#include "base/clock.h"
#include "base/json_scan.h"
#include "dialect/dialect.h"
#include "dialect/json_doc.h"
#include "dialect/json_text.h"
#include "dialect/request_read.h"
#include "dialect/responses/responses_state.h"
#include "gateway/state-private.h"
#include "http/url.h"

/* ---- answers ---- */

static void finish(struct state_question *q, unsigned status) {
    q->status = status;
    q->done(q);
}

static void put(struct state_question *q, struct slice text) {
    if (buf_append(&q->out, text) < 0)
        buf_reset(&q->out);              /* the cap is above all that is stored */
}

static void put_string(struct state_question *q, struct slice text) {
    put(q, SLICE("\""));
    if (json_escape(&q->out, text) < 0)
        buf_reset(&q->out);
    put(q, SLICE("\""));
}

static void fail(struct state_question *q, unsigned status, const char *param,
                 const char *message) {
    buf_reset(&q->out);
    put(q, SLICE("{\"error\":{\"message\":"));
    put_string(q, slice_cstr(message));
    put(q, SLICE(",\"type\":\"invalid_request_error\",\"param\":"));
    if (param)
        put_string(q, slice_cstr(param));
    else
        put(q, SLICE("null"));
    put(q, SLICE(",\"code\":null}}"));
    finish(q, status);
}

static void fail_unknown(struct state_question *q, const char *what, struct slice id) {
    id = slice_sub(id, 0, 128);
    fail(q, 404, NULL, arena_printf(q->arena, "%s with id '%.*s' not found.", what, SLICE_FMT(id)));
}

/* ---- looking things up ---- */

static void on_answer(struct store_call *c, enum store_status status, struct slice value) {
    struct state_question *q = c->self;
    q->next(q, status, value);
}

typedef void next_fn(struct state_question *q, enum store_status status, struct slice value);

static struct store_key key_of(const struct state_question *q, const char *space, struct slice id) {
    return (struct store_key){space, slice_cstr(q->tenant.id), id};
}

static void prepare(struct state_question *q, next_fn *next) {
    q->call = (struct store_call){.done = on_answer, .self = q, .loop = q->loop};
    q->next = next;
}

static void look_up(struct state_question *q, const char *space, struct slice id, next_fn *next) {
    struct store_key key = key_of(q, space, id);
    prepare(q, next);
    store_get(q->state->store, &key, 0, &q->call);
}

static void take(struct state_question *q, const char *space, struct slice id, next_fn *next) {
    struct store_key key = key_of(q, space, id);
    prepare(q, next);
    store_take(q->state->store, &key, &q->call);
}

static void keep(struct state_question *q, const char *space, struct slice id, struct slice value) {
    struct store_key key = key_of(q, space, id);
    store_put(q->state->store, &key, value, q->state->ttl_ns, NULL);
}

/* ---- answers that a provider keeps ---- */

static void pass_to(struct state_question *q, int provider) {
    q->pass_to = (unsigned)provider;
    finish(q, 0);
}

static void on_native(struct state_question *q, enum store_status status, struct slice value) {
    int owner = status == STORE_OK ? state_native_read(q->state, &q->tenant, value) : -1;
    if (owner == -1)
        owner = q->state->keeper;
    if (owner >= 0)
        pass_to(q, owner);
    else
        fail_unknown(q, "Response", q->id);
}

static void ask_provider(struct state_question *q) {
    struct store_key key = {SPACE_NATIVE, SLICE_NULL, q->id};
    prepare(q, on_native);
    store_get(q->state->store, &key, 0, &q->call);
}

/* ---- lists ---- */

struct range {
    int64_t limit;
    bool is_descending;
    struct slice after;
};

/* False: refused. */
static bool read_range(struct state_question *q, struct range *out) {
    struct slice limit = url_query_get(q->query, SLICE("limit"), q->arena);
    struct slice order = url_query_get(q->query, SLICE("order"), q->arena);
    uint64_t n = 20;
    out->after = url_query_get(q->query, SLICE("after"), q->arena);
    out->is_descending = !slice_eq(order, SLICE("asc"));
    if (limit.ptr && (!slice_to_u64(limit, 100, &n) || n == 0)) {
        fail(q, 400, "limit", "Invalid 'limit': expected an integer from 1 to 100.");
        return false;
    }
    if (order.ptr && out->is_descending && !slice_eq(order, SLICE("desc"))) {
        fail(q, 400, "order", "Invalid 'order': expected one of 'asc', 'desc'.");
        return false;
    }
    out->limit = (int64_t)n;
    return true;
}

struct items {
    struct slice *list;
    size_t n;
};

/* text: with commas, without brackets. */
static struct items split(struct slice text, struct arena *a) {
    struct items items = {0};
    struct slice array = slice_cstr(arena_printf(a, "[%.*s]", SLICE_FMT(text))), item;
    for (struct json_walk w = json_walk_begin(array); json_walk_element(&w, &item);)
        items.n++;
    items.list = arena_alloc(a, (items.n + 1) * sizeof *items.list);
    size_t i = 0;
    for (struct json_walk w = json_walk_begin(array); json_walk_element(&w, &item);)
        items.list[i++] = item;
    return items;
}

static struct slice id_of(struct slice item, struct arena *a) {
    return json_member_string(item, SLICE("id"), a);
}

static void put_id(struct state_question *q, struct slice item) {
    struct slice id = item.ptr ? id_of(item, q->arena) : SLICE_NULL;
    if (id.ptr)
        put_string(q, id);
    else
        put(q, SLICE("null"));
}

static void reverse(struct items *items) {
    for (size_t i = 0; i < items->n / 2; i++) {
        struct slice swap = items->list[i];
        items->list[i] = items->list[items->n - 1 - i];
        items->list[items->n - 1 - i] = swap;
    }
}

/* Where a list goes on behind an id; behind all of it for an id that is not there. */
static size_t index_behind(const struct items *items, struct slice id, struct arena *a) {
    size_t i = 0;
    while (i < items->n && !slice_eq(id_of(items->list[i], a), id))
        i++;
    return i < items->n ? i + 1 : i;
}

static void answer_list(struct state_question *q, struct slice text) {
    struct range range;
    if (!read_range(q, &range))
        return;
    struct items items = split(text, q->arena);
    if (range.is_descending)
        reverse(&items);
    size_t from = range.after.ptr ? index_behind(&items, range.after, q->arena) : 0, to = from;
    put(q, SLICE("{\"object\":\"list\",\"data\":["));
    for (; to < items.n && (int64_t)(to - from) < range.limit; to++) {
        if (to > from)
            put(q, SLICE(","));
        put(q, items.list[to]);
    }
    put(q, SLICE("],\"first_id\":"));
    put_id(q, to > from ? items.list[from] : SLICE_NULL);
    put(q, SLICE(",\"last_id\":"));
    put_id(q, to > from ? items.list[to - 1] : SLICE_NULL);
    put(q, to < items.n ? SLICE(",\"has_more\":true}") : SLICE(",\"has_more\":false}"));
    finish(q, 200);
}

/* ---- GET /responses/{id} ---- */

static int encode(void *self, const struct event *ev) {
    struct encoder **x = self;
    struct buf *out = *(struct buf **)(void *)(x + 1);
    return dialect_find(SLICE("responses"))->encoder_event(*x, ev, out);
}

/* The members that the encoder does not make itself. */
static struct slice echo_of(struct slice object, struct arena *a) {
    static const char made[] = " id object created_at status completed_at error incomplete_details "
                               "model output usage service_tier ";
    struct buf echo;
    struct slice key, value;
    int rc = 0;
    buf_init(&echo, object.len + 1);
    for (struct json_walk w = json_walk_begin(object); json_walk_member(&w, &key, &value);) {
        const char *word = arena_printf(a, " %.*s ", SLICE_FMT(key));
        if (strstr(made, word))
            continue;
        rc |= buf_appendf(&echo, "%s\"%.*s\":", echo.len ? "," : "", SLICE_FMT(key));
        rc |= buf_append(&echo, value);
    }
    struct slice out = rc ? SLICE_NULL : arena_dup(a, buf_slice(&echo));
    buf_dispose(&echo);
    return out;
}

/* The stream that the answer might have come as. */
static int replay(struct state_question *q, struct slice object) {
    const struct dialect *d = dialect_find(SLICE("responses"));
    int64_t created = 0;
    struct err e = {0};
    if (!d)
        return -ERR_USAGE;
    (void)json_text_int(json_member(object, SLICE("created_at"), q->arena), &created);
    struct encoder_options o = {.id = id_of(object, q->arena),
                                .model = json_member_string(object, SLICE("model"), q->arena),
                                .created = created,
                                .echo = echo_of(object, q->arena),
                                .max_bytes = q->out.max};
    struct {
        struct encoder *x;
        struct buf *out;
    } to = {d->encoder_new(&o), &q->out};
    struct event_sink sink = {encode, &to};
    int rc = d->decode_response(object, &sink, &e);
    d->encoder_free(to.x);
    return rc;
}

static void on_get(struct state_question *q, enum store_status status, struct slice value) {
    struct state_record r;
    if (status != STORE_OK || !state_record_read(value, q->arena, &r)) {
        ask_provider(q);
        return;
    }
    struct slice stream = url_query_get(q->query, SLICE("stream"), q->arena);
    q->is_stream = slice_eq(stream, SLICE("true"));
    if (q->is_stream && replay(q, r.response) < 0) {
        q->is_stream = false;
        fail(q, 400, "stream", "This response cannot be streamed again.");
        return;
    }
    if (!q->is_stream)
        put(q, r.response);
    finish(q, 200);
}

/* ---- DELETE, cancel ---- */

static void put_deleted(struct state_question *q, struct slice kind) {
    put(q, SLICE("{\"id\":"));
    put_string(q, q->id);
    put(q, SLICE(",\"object\":\""));
    put(q, kind);
    put(q, SLICE("\",\"deleted\":true}"));
    finish(q, 200);
}

static void on_deleted(struct state_question *q, enum store_status status, struct slice value) {
    (void)value;
    if (status == STORE_OK)
        put_deleted(q, SLICE("response"));
    else
        ask_provider(q);
}

static void on_cancel(struct state_question *q, enum store_status status, struct slice value) {
    (void)value;
    if (status == STORE_OK)
        fail(q, 400, NULL, "Cannot cancel a synchronous response.");
    else
        ask_provider(q);
}

/* ---- GET /responses/{id}/input_items: all that the answer was made from ---- */

static void on_input(struct state_question *q, enum store_status status, struct slice value);

static void list_input(struct state_question *q) {
    struct buf items;
    buf_init(&items, q->out.max);
    if (state_pieces_join(q->pieces, &items) < 0)
        buf_reset(&items);
    answer_list(q, buf_slice(&items));
    buf_dispose(&items);
}

/* A loop while answers come at once, so that a long chain is no deep recursion. */
static void follow_chain(struct state_question *q) {
    q->is_stepping = true;
    while (q->looked_for.ptr) {
        q->is_answered = false;
        look_up(q, SPACE_RESPONSE, q->looked_for, on_input);
        if (!q->is_answered) {
            q->is_stepping = false;
            return;
        }
    }
    q->is_stepping = false;
    if (q->depth > 0)
        list_input(q);
    else
        ask_provider(q);
}

/* Where the chain is broken, what is left is listed. */
static void on_input(struct state_question *q, enum store_status status, struct slice value) {
    struct state_record r;
    q->is_answered = true;
    q->looked_for = SLICE_NULL;
    if (status == STORE_OK && state_record_read(value, q->arena, &r)) {
        if (q->depth++ > 0)
            state_piece_push(&q->pieces, r.output, q->arena);
        state_piece_push(&q->pieces, r.input, q->arena);
        if (r.previous.ptr && q->depth < STATE_MAX_DEPTH)
            q->looked_for = arena_dup(q->arena, r.previous);
    }
    if (!q->is_stepping)
        follow_chain(q);
}

/* ---- conversations ---- */

/* {"id":…,"object":"conversation","created_at":…,"metadata":…} */
static struct slice conversation_text(struct state_question *q, struct slice id, int64_t created,
                                      struct slice metadata) {
    if (!json_text_is(metadata, '{'))
        metadata = SLICE("{}");
    return slice_cstr(arena_printf(
        q->arena, "{\"id\":\"%.*s\",\"object\":\"conversation\",\"created_at\":%lld,\"metadata\":%.*s}",
        SLICE_FMT(id), (long long)created, SLICE_FMT(metadata)));
}

/* False: refused. An empty body is an object with nothing in it. */
static bool body_is_object(struct state_question *q) {
    struct err e = {0};
    if (json_text_skip_space(q->body, 0) == q->body.len)
        q->body = SLICE("{}");
    if (json_scan_object(q->body, WIRE_MAX_DEPTH, NULL, NULL, &e) == 0)
        return true;
    fail(q, 400, NULL, "We could not parse the JSON body of your request. Send a JSON object.");
    return false;
}

/* The body's items, each with an id, a comma before each; empty: none. False: refused. */
static bool read_items(struct state_question *q, struct slice *out) {
    struct slice items = json_member(q->body, SLICE("items"), q->arena), body;
    struct buf list;
    *out = SLICE_NULL;
    if (!items.ptr || json_text_is_null(items))
        return true;
    if (!json_text_is(items, '[')) {
        fail(q, 400, "items", "Invalid type for 'items': expected an array of objects.");
        return false;
    }
    body = slice_cstr(arena_printf(q->arena, "{\"model\":\"\",\"input\":%.*s}", SLICE_FMT(items)));
    buf_init(&list, q->out.max);
    int rc = buf_append_byte(&list, ',');
    if (rc == 0)
        rc = responses_input_items(body, state_seed(q->arena), q->arena, &list);
    if (rc == 0 && list.len > 1)
        *out = arena_dup(q->arena, buf_slice(&list));
    buf_dispose(&list);
    if (rc < 0)
        fail(q, 400, "items", "Invalid 'items': expected an array of items.");
    return rc == 0;
}

static void new_conversation(struct state_question *q) {
    struct slice items;
    if (!body_is_object(q) || !read_items(q, &items))
        return;
    struct slice seed = state_seed(q->arena);
    struct slice id = slice_cstr(arena_printf(q->arena, "conv_%.*s%.*s", SLICE_FMT(seed),
                                              SLICE_FMT(state_seed(q->arena))));
    struct slice metadata = json_member(q->body, SLICE("metadata"), q->arena);
    struct slice text = conversation_text(q, id, clock_wall_ns() / NS_PER_S, metadata);
    keep(q, SPACE_CONVERSATION, id, text);
    keep(q, SPACE_ITEMS, id, items);
    put(q, text);
    finish(q, 200);
}

static void unknown_conversation(struct state_question *q) {
    if (q->state->keeper >= 0)
        pass_to(q, q->state->keeper);
    else
        fail_unknown(q, "Conversation", q->id);
}

static void on_conversation(struct state_question *q, enum store_status status,
                            struct slice value) {
    if (status != STORE_OK) {
        unknown_conversation(q);
        return;
    }
    put(q, value);
    finish(q, 200);
}

static void on_conversation_set(struct state_question *q, enum store_status status,
                                struct slice value) {
    int64_t created = 0;
    if (status != STORE_OK) {
        unknown_conversation(q);
        return;
    }
    (void)json_text_int(json_member(value, SLICE("created_at"), q->arena), &created);
    struct slice text = conversation_text(q, q->id, created,
                                          json_member(q->body, SLICE("metadata"), q->arena));
    keep(q, SPACE_CONVERSATION, q->id, text);
    put(q, text);
    finish(q, 200);
}

static void on_conversation_deleted(struct state_question *q, enum store_status status,
                                    struct slice value) {
    (void)value;
    struct store_key items = key_of(q, SPACE_ITEMS, q->id);
    if (status != STORE_OK) {
        unknown_conversation(q);
        return;
    }
    store_take(q->state->store, &items, NULL);
    put_deleted(q, SLICE("conversation.deleted"));
}

/* ---- a conversation's items ---- */

static void on_items_listed(struct state_question *q, enum store_status status,
                            struct slice value) {
    if (status == STORE_OK)
        answer_list(q, slice_from(value, 1));
    else
        unknown_conversation(q);
}

static void on_items_added(struct state_question *q, enum store_status status, struct slice value) {
    (void)value;
    if (status == STORE_NONE) {
        unknown_conversation(q);
    } else if (status != STORE_OK) {
        fail(q, 400, "items", "The conversation has grown larger than the gateway keeps "
                              "(state.max_bytes).");
    } else {
        q->query = SLICE("order=asc&limit=100");
        answer_list(q, slice_from(q->object, 1));
    }
}

static void add_items(struct state_question *q) {
    struct slice items;
    if (!body_is_object(q) || !read_items(q, &items))
        return;
    struct store_key key = key_of(q, SPACE_ITEMS, q->id);
    q->object = items;
    prepare(q, on_items_added);
    store_append(q->state->store, &key, items, q->state->ttl_ns, &q->call);
}

static void on_item(struct state_question *q, enum store_status status, struct slice value) {
    if (status != STORE_OK) {
        unknown_conversation(q);
        return;
    }
    struct items items = split(slice_from(value, 1), q->arena);
    for (size_t i = 0; i < items.n; i++) {
        if (!slice_eq(id_of(items.list[i], q->arena), q->item))
            continue;
        put(q, items.list[i]);
        finish(q, 200);
        return;
    }
    fail_unknown(q, "Conversation item", q->item);
}

/* The answer is the conversation. */
/* What is left, written over what was: an item added in between is lost, which only a client that
 * does both at once can see. */
static void on_item_to_delete(struct state_question *q, enum store_status status,
                              struct slice value) {
    if (status != STORE_OK) {
        unknown_conversation(q);
        return;
    }
    struct items items = split(slice_from(value, 1), q->arena);
    struct buf rest;
    bool is_there = false;
    int rc = 0;
    buf_init(&rest, value.len + 1);
    for (size_t i = 0; i < items.n; i++) {
        if (!slice_eq(id_of(items.list[i], q->arena), q->item))
            rc |= buf_append_byte(&rest, ',') | buf_append(&rest, items.list[i]);
        else
            is_there = true;
    }
    if (is_there && rc == 0)
        keep(q, SPACE_ITEMS, q->id, buf_slice(&rest));
    buf_dispose(&rest);
    if (is_there)
        look_up(q, SPACE_CONVERSATION, q->id, on_conversation);
    else
        fail_unknown(q, "Conversation item", q->item);
}

/* ---- the table ---- */

void state_ask(struct state *s, struct state_question *q) {
    q->state = s;
    q->arena = arena_new();
    buf_init(&q->out, s->config->state.max_bytes + (1u << 20));
    switch (q->verb) {
    case STATE_RESPONSE_GET: look_up(q, SPACE_RESPONSE, q->id, on_get); break;
    case STATE_RESPONSE_DELETE: take(q, SPACE_RESPONSE, q->id, on_deleted); break;
    case STATE_RESPONSE_CANCEL: look_up(q, SPACE_RESPONSE, q->id, on_cancel); break;
    case STATE_RESPONSE_INPUT:
        q->looked_for = q->id;
        follow_chain(q);
        break;
    case STATE_CONVERSATION_NEW: new_conversation(q); break;
    case STATE_CONVERSATION_GET: look_up(q, SPACE_CONVERSATION, q->id, on_conversation); break;
    case STATE_CONVERSATION_SET:
        if (body_is_object(q))
            look_up(q, SPACE_CONVERSATION, q->id, on_conversation_set);
        break;
    case STATE_CONVERSATION_DELETE:
        take(q, SPACE_CONVERSATION, q->id, on_conversation_deleted);
        break;
    case STATE_ITEMS_LIST: look_up(q, SPACE_ITEMS, q->id, on_items_listed); break;
    case STATE_ITEMS_ADD: add_items(q); break;
    case STATE_ITEM_GET: look_up(q, SPACE_ITEMS, q->id, on_item); break;
    case STATE_ITEM_DELETE: look_up(q, SPACE_ITEMS, q->id, on_item_to_delete); break;
    }
}

void state_question_dispose(struct state_question *q) {
    if (!q->arena)
        return;
    store_cancel(q->state->store, &q->call);
    buf_dispose(&q->out);
    arena_free(q->arena);
    q->arena = NULL;
}
