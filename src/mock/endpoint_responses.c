/* SPDX-License-Identifier: Apache-2.0 */
/* GET, POST, DELETE /responses/{id}[/input_items|/cancel]: what is remembered, and what is being
 * made. POST /responses/input_tokens. */
#include <inttypes.h>
#include <stdio.h>

#include "dialect/dialect.h"
#include "dialect/json_text.h"
#include "dialect/json_write.h"
#include "dialect/request_read.h"
#include "http/url.h"
#include "mock/background.h"
#include "mock/endpoint_stored.h"
#include "mock/fault_answer.h"
#include "mock/reply.h"
#include "mock/tokenizer_choice.h"
#include "mock/wire.h"

enum { SHOWN_BYTES = 128, STREAM_MAX_BYTES = 64 << 20, LIMIT_DEFAULT = 20, LIMIT_MAX = 100 };

/* ---- shared ---- */

unsigned stored_path(const struct http_exchange *ex, struct slice collection,
                     struct slice out[STORED_MAX_PARTS]) {
    struct slice rest = slice_from(api_path(ex->path), collection.len);
    for (unsigned n = 0; n < STORED_MAX_PARTS; n++) {
        ptrdiff_t slash = slice_index(rest, '/');
        struct slice part = slash < 0 ? rest : slice_sub(rest, 0, (size_t)slash);
        if (part.len == 0 || !url_decode(part, ex->arena, &out[n])) {
            return 0;
        }
        if (slash < 0) {
            return n + 1;
        }
        rest = slice_from(rest, (size_t)slash + 1);
    }
    return 0;
}

void stored_respond_unknown(struct mock_call *c, const char *what, struct slice id) {
    mock_respond_simple_error(c->w, c->ex, 404, NULL, "%s with id '%.*s' not found.", what,
                              SLICE_FMT(slice_sub(id, 0, SHOWN_BYTES)));
}

void stored_respond_no_such(struct mock_call *c, const char *allow) {
    struct slice path = slice_sub(c->ex->path, 0, SHOWN_BYTES);
    const char *method = http_method_name(c->ex->method);
    if (allow) {
        head_facts_add(&c->facts, SLICE("allow"), slice_cstr(allow));
        mock_respond_simple_error(c->w, c->ex, 405, "method_not_supported",
                                  "Not allowed to %s on %.*s.", method, SLICE_FMT(path));
    } else {
        mock_respond_simple_error(c->w, c->ex, 404, "unknown_url",
                                  "Unknown request URL: %s %.*s.", method, SLICE_FMT(path));
    }
}

/* ---- lists ---- */

struct range {
    uint64_t limit;
    bool is_descending;
    struct slice after, before;
};

/* False: refused, and answered. */
static bool read_range(struct mock_call *c, struct range *out) {
    const struct http_exchange *ex = c->ex;
    struct slice limit = url_query_get(ex->query, SLICE("limit"), ex->arena);
    struct slice order = url_query_get(ex->query, SLICE("order"), ex->arena);
    *out = (struct range){.limit = LIMIT_DEFAULT,
                          .is_descending = !slice_eq(order, SLICE("asc")),
                          .after = url_query_get(ex->query, SLICE("after"), ex->arena),
                          .before = url_query_get(ex->query, SLICE("before"), ex->arena)};
    struct request_fault fault = {.code = "invalid_value"};
    if (limit.ptr && (!slice_to_u64(limit, LIMIT_MAX, &out->limit) || out->limit == 0)) {
        snprintf(fault.param, sizeof fault.param, "limit");
        snprintf(fault.message, sizeof fault.message,
                 "Invalid 'limit': expected an integer from 1 to %d.", LIMIT_MAX);
    } else if (order.ptr && out->is_descending && !slice_eq(order, SLICE("desc"))) {
        snprintf(fault.param, sizeof fault.param, "order");
        snprintf(fault.message, sizeof fault.message,
                 "Invalid 'order': expected one of 'asc', 'desc'.");
    }
    if (fault.param[0]) {
        mock_respond_fault_of_request(c->w, c->ex, &fault, 400);
    }
    return !fault.param[0];
}

static void reverse(struct stored_list *l) {
    for (size_t i = 0; i < l->n / 2; i++) {
        struct slice swap = l->items[i];
        l->items[i] = l->items[l->n - 1 - i];
        l->items[l->n - 1 - i] = swap;
    }
}

/* n for an id that is not there. */
static size_t index_of(const struct stored_list *l, struct slice id, struct arena *a) {
    size_t i = 0;
    while (i < l->n && !slice_eq(stored_item_id(l->items[i], a), id)) i++;
    return i;
}

static void w_id(struct json_writer *w, const struct stored_list *l, size_t i, bool is_there,
                 struct arena *a) {
    struct slice id = is_there ? stored_item_id(l->items[i], a) : SLICE_NULL;
    if (id.ptr) jw_string(w, id);
    else jw(w, SLICE("null"));
}

void stored_respond_items(struct mock_call *c, struct slice items) {
    struct arena *a = c->ex->arena;
    struct mock_worker *w = c->w;
    struct range range;
    if (!read_range(c, &range)) {
        return;
    }
    struct stored_list list = stored_split(items, a);
    if (range.is_descending) {
        reverse(&list);
    }
    size_t from = range.after.ptr ? index_of(&list, range.after, a) + 1 : 0;
    size_t end = range.before.ptr ? index_of(&list, range.before, a) : list.n;
    from = from > end ? end : from;
    size_t to = end - from > range.limit ? from + range.limit : end;
    mock_worker_scratch(&w->body);
    struct json_writer j = jw_begin(&w->body);
    jw(&j, SLICE("{\"object\":\"list\",\"data\":["));
    for (size_t i = from; i < to; i++) {
        jw(&j, i > from ? SLICE(",") : SLICE(""));
        jw_raw(&j, list.items[i]);
    }
    jw(&j, SLICE("],\"first_id\":"));
    w_id(&j, &list, from, to > from, a);
    jw(&j, SLICE(",\"last_id\":"));
    w_id(&j, &list, to - 1, to > from, a);
    jw(&j, to < end ? SLICE(",\"has_more\":true}") : SLICE(",\"has_more\":false}"));
    mock_respond_json(w, c->ex, jw_end(&j) < 0 ? 500 : 200, buf_slice(&w->body));
}

/* ---- streams of what is over ---- */

struct replay {
    struct encoder *encoder;
    struct buf *out;
};

static int encode(void *self, const struct event *ev) {
    struct replay *r = self;
    return dialect_responses.encoder_event(r->encoder, ev, r->out);
}

/* The members that the encoder does not make itself. */
static struct slice echo_of(struct slice object, struct arena *a) {
    static const char *const made[] = {"id",     "object", "created_at", "status",
                                       "completed_at", "error", "incomplete_details", "model",
                                       "output", "usage",  "service_tier"};
    struct json_walk walk = json_walk_begin(object);
    struct slice key, value;
    struct buf echo;
    buf_init(&echo, object.len + 1);
    struct json_writer w = jw_begin(&echo);
    while (json_walk_member(&walk, &key, &value)) {
        bool is_made = false;
        for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) {
            is_made |= slice_eq(key, slice_cstr(made[i]));
        }
        if (is_made) continue;
        jw(&w, echo.len > 0 ? SLICE(",\"") : SLICE("\""));
        jw(&w, key);
        jw(&w, SLICE("\":"));
        jw(&w, value);
    }
    struct slice text = jw_end(&w) ? SLICE_NULL : arena_dup(a, buf_slice(&echo));
    buf_dispose(&echo);
    return text;
}

/* The stream that the answer might have come as. */
static int replay(struct slice object, struct arena *a, struct buf *out) {
    int64_t created = 0;
    struct err e;
    (void)json_text_int(json_member(object, SLICE("created_at"), a), &created);
    const struct encoder_options o = {.id = stored_item_id(object, a),
                                      .model = json_member_string(object, SLICE("model"), a),
                                      .created = created,
                                      .service_tier = SLICE("default"),
                                      .echo = echo_of(object, a),
                                      .max_bytes = STREAM_MAX_BYTES};
    struct replay r = {dialect_responses.encoder_new(&o), out};
    const struct event_sink sink = {encode, &r};
    int rc = dialect_responses.decode_response(object, &sink, &e);
    dialect_responses.encoder_free(r.encoder);
    return rc;
}

static struct slice behind(struct slice events, uint64_t skip) {
    for (; skip > 0 && events.len > 0; skip--) {
        const char *end = memmem(events.ptr, events.len, "\n\n", 2);
        events = end ? slice_from(events, (size_t)(end - events.ptr) + 2) : SLICE_NULL;
    }
    return events;
}

static void respond_events(struct mock_call *c, struct slice events) {
    const struct fault_use *fault = c->k.fault;
    struct header_set set;
    header_set_init(c->w, &set, c->api, SLICE("text/event-stream; charset=utf-8"), &c->facts);
    header_set_add(&set, SLICE("cache-control"), SLICE("no-cache"));
    struct http_response r = {200, set.items, set.count};
    c->status = 200;
    if (fault && fault_is_on_the_wire(fault->row)) {
        wire_stream_alone(c->w, c->ex, c->api, fault, &r, events);
    } else {
        http_respond(c->ex, &r, events);
    }
}

static void respond_stream(struct mock_call *c, const struct stored_response *r, uint64_t skip) {
    struct buf made;
    buf_init(&made, STREAM_MAX_BYTES);
    int rc = r->events.len > 0 ? 0 : replay(r->response, c->ex->arena, &made);
    struct slice events = r->events.len > 0 ? r->events : buf_slice(&made);
    if (rc < 0) {
        mock_respond_simple_error(c->w, c->ex, 400, "invalid_value",
                                  "This response cannot be streamed again.");
    } else {
        respond_events(c, behind(events, skip));
    }
    buf_dispose(&made);
}

/* ---- one response ---- */

static bool wants_stream(const struct http_exchange *ex) {
    return slice_eq(url_query_get(ex->query, SLICE("stream"), ex->arena), SLICE("true"));
}

/* How many events the client has; false: it makes no sense. */
static bool read_start(const struct http_exchange *ex, uint64_t *out_skip) {
    struct slice after = url_query_get(ex->query, SLICE("starting_after"), ex->arena);
    *out_skip = 0;
    if (!after.ptr) {
        return true;
    }
    bool ok = slice_to_u64(after, UINT32_MAX, out_skip);
    *out_skip += 1;
    return ok;
}

static void get_response(struct mock_call *c, struct slice id) {
    struct stored_response r;
    struct slice object;
    uint64_t skip;
    if (!read_start(c->ex, &skip)) {
        mock_respond_simple_error(c->w, c->ex, 400, "invalid_type",
                                  "Invalid type for 'starting_after': expected an integer.");
        return;
    }
    if (wants_stream(c->ex) && background_follow(c, id, skip)) {
        return;
    }
    if (background_get(c, id, &object)) {
        mock_respond_json(c->w, c->ex, 200, object);
    } else if (!stored_response_get(c->stored, id, c->ex->arena, &r)) {
        stored_respond_unknown(c, "Response", id);
    } else if (wants_stream(c->ex)) {
        respond_stream(c, &r, skip);
    } else {
        mock_respond_json(c->w, c->ex, 200, r.response);
    }
}

static void cancel_response(struct mock_call *c, struct slice id) {
    struct stored_response r;
    struct slice object;
    if (background_cancel(c, id, &object)) {
        mock_respond_json(c->w, c->ex, 200, object);
    } else if (!stored_response_get(c->stored, id, c->ex->arena, &r)) {
        stored_respond_unknown(c, "Response", id);
    } else if (!r.is_background) {
        mock_respond_simple_error(c->w, c->ex, 400, NULL, "Cannot cancel a synchronous response.");
    } else {
        mock_respond_json(c->w, c->ex, 200, r.response);
    }
}

static void delete_response(struct mock_call *c, struct slice id) {
    struct slice object;
    bool was_made = background_cancel(c, id, &object);
    bool was_stored = stored_response_delete(c->stored, id);
    if (!was_made && !was_stored) {
        stored_respond_unknown(c, "Response", id);
        return;
    }
    mock_worker_scratch(&c->w->body);
    struct json_writer j = jw_begin(&c->w->body);
    jw(&j, SLICE("{\"id\":"));
    jw_string(&j, id);
    jw(&j, SLICE(",\"object\":\"response\",\"deleted\":true}"));
    mock_respond_json(c->w, c->ex, jw_end(&j) < 0 ? 500 : 200, buf_slice(&c->w->body));
}

static void list_input(struct mock_call *c, struct slice id) {
    struct slice items;
    if (background_input(c, id, &items) ||
        stored_response_input(c->stored, id, c->ex->arena, &items)) {
        stored_respond_items(c, items);
    } else {
        stored_respond_unknown(c, "Response", id);
    }
}

static void serve(struct mock_call *c) {
    struct slice parts[STORED_MAX_PARTS];
    unsigned n = stored_path(c->ex, SLICE("/responses/"), parts);
    enum http_method m = c->ex->method;
    bool is_get = m == HTTP_METHOD_GET || m == HTTP_METHOD_HEAD;
    bool is_input = n == 2 && slice_eq(parts[1], SLICE("input_items"));
    bool is_cancel = n == 2 && slice_eq(parts[1], SLICE("cancel"));
    if (n == 1 || is_cancel) mock_call_note_response(c, parts[0]);
    if (n == 1 && is_get) get_response(c, parts[0]);
    else if (n == 1 && m == HTTP_METHOD_DELETE) delete_response(c, parts[0]);
    else if (is_input && is_get) list_input(c, parts[0]);
    else if (is_cancel && m == HTTP_METHOD_POST) cancel_response(c, parts[0]);
    else stored_respond_no_such(c, n == 1      ? "GET, HEAD, DELETE"
                                   : is_input  ? "GET, HEAD"
                                   : is_cancel ? "POST"
                                               : NULL);
}

void mock_endpoint_response(struct mock_worker *w, struct http_exchange *ex) {
    struct mock_call c;
    if (mock_call_begin(&c, w, ex)) {
        c.api = api_of_dialect(&dialect_responses);
        mock_call_journal(&c, SLICE_NULL, wants_stream(ex));
        if (!fault_strikes_unasked(&c)) {
            serve(&c);
        }
    }
    mock_call_end(&c);
}

/* ---- requests that are answered otherwise: what one would cost ---- */

void mock_endpoint_of_request(struct mock_worker *w, struct http_exchange *ex,
                              void (*serve_call)(struct mock_call *c)) {
    struct envelope env = {.stream = false};
    struct request_fault fault;
    struct mock_call c;
    unsigned status = 400;
    if (mock_call_begin(&c, w, ex)) {
        c.api = api_of_dialect(&dialect_responses);
        bool is_read =
            c.api->dialect->peek_request(bytes_slice(ex->body), ex->arena, &env, &fault) == 0;
        int rc = is_read ? mock_call_decode(&c, &fault, &status) : -ERR_USAGE;
        mock_call_journal(&c, is_read ? env.model : SLICE_NULL, false);
        if (rc == 0) {
            serve_call(&c);
        } else {
            mock_call_refuse(&c, RULE_UNREADABLE, &fault, status);
        }
    }
    mock_call_end(&c);
}

static void count(struct mock_call *c) {
    mock_call_count(c, "\"object\":\"response.input_tokens\",");
}

void mock_endpoint_input_tokens(struct mock_worker *w, struct http_exchange *ex) {
    mock_endpoint_of_request(w, ex, count);
}
