/* SPDX-License-Identifier: Apache-2.0 */
/* POST /conversations; GET, POST, DELETE /conversations/{id}[/items[/{item}]]. */
#include "base/clock.h"
#include "base/json_scan.h"
#include "dialect/json_doc.h"
#include "dialect/json_text.h"
#include "dialect/json_write.h"
#include "dialect/request_read.h"
#include "mock/endpoint_stored.h"
#include "mock/fault_answer.h"
#include "mock/mock_clock.h"

enum { ITEMS_MAX = 20 };                 /* that one request may bring */

static void refuse(struct mock_call *c, const char *param, const char *why) {
    struct api_error er = {.status = 400,
                           .message = slice_cstr(why),
                           .type = SLICE("invalid_request_error"),
                           .param = slice_cstr(param)};
    mock_respond_error(c->w, c->ex, &er, 0);
}

/* False: refused, and answered. Nothing is an object with nothing in it. */
static bool read_body(struct mock_call *c, struct slice *out) {
    struct slice body = bytes_slice(c->ex->body);
    body = slice_from(body, json_text_skip_space(body, 0));
    *out = body.len > 0 ? body : SLICE("{}");
    if (json_scan_object(*out, WIRE_MAX_DEPTH, NULL, NULL, NULL) == 0) {
        return true;
    }
    refuse(c, NULL, "We could not parse the JSON body of your request.");
    return false;
}

/* The body's items as they are listed; empty: none. False: refused, and answered. */
static bool read_items(struct mock_call *c, struct slice body, struct slice *out) {
    struct arena *a = c->ex->arena;
    struct stored *s = c->stored;
    struct slice items = json_member(body, SLICE("items"), a), first;
    struct json_walk w = json_walk_begin(items);
    *out = SLICE_NULL;
    if (!items.ptr || json_text_is_null(items)) {
        return true;
    }
    struct slice as_input = slice_cstr(arena_printf(a, "{\"input\":%.*s}", SLICE_FMT(items)));
    if (!json_text_is(items, '[') ||
        stored_items_of(as_input, stored_id(s, "", c->facts.serial, a), a, out) < 0) {
        refuse(c, "items", "Invalid type for 'items': expected an array of objects.");
        return false;
    }
    unsigned n = 0;
    while (json_walk_element(&w, &first)) n++;
    if (n > ITEMS_MAX) {
        refuse(c, "items", "Invalid 'items': array too long. Expected an array with maximum length "
                           "20.");
        return false;
    }
    return true;
}

static void respond_unknown(struct mock_call *c, struct slice id) {
    stored_respond_unknown(c, "Conversation", id);
}

/* ---- the conversation ---- */

static void create(struct mock_call *c) {
    struct arena *a = c->ex->arena;
    struct stored *s = c->stored;
    struct slice body, items;
    if (!read_body(c, &body) || !read_items(c, body, &items)) {
        return;
    }
    struct slice id = stored_id(s, "conv_", c->facts.serial, a);
    struct slice metadata = json_member(body, SLICE("metadata"), a);
    mock_respond_json(c->w, c->ex, 200,
                      stored_conversation_new(s, id, mock_wall_ns(c->w) / NS_PER_S, metadata, items,
                                              a));
}

static void get(struct mock_call *c, struct slice id) {
    struct slice text;
    if (stored_conversation_get(c->stored, id, c->ex->arena, &text)) {
        mock_respond_json(c->w, c->ex, 200, text);
    } else {
        respond_unknown(c, id);
    }
}

static void set(struct mock_call *c, struct slice id) {
    struct arena *a = c->ex->arena;
    struct slice body, text;
    if (!read_body(c, &body)) {
        return;
    }
    struct slice metadata = json_member(body, SLICE("metadata"), a);
    if (stored_conversation_set(c->stored, id, metadata, a, &text)) {
        mock_respond_json(c->w, c->ex, 200, text);
    } else {
        respond_unknown(c, id);
    }
}

static void remove_all(struct mock_call *c, struct slice id) {
    if (!stored_conversation_delete(c->stored, id)) {
        respond_unknown(c, id);
        return;
    }
    mock_worker_scratch(&c->w->body);
    struct json_writer j = jw_begin(&c->w->body);
    jw(&j, SLICE("{\"id\":"));
    jw_string(&j, id);
    jw(&j, SLICE(",\"object\":\"conversation.deleted\",\"deleted\":true}"));
    mock_respond_json(c->w, c->ex, jw_end(&j) < 0 ? 500 : 200, buf_slice(&c->w->body));
}

/* ---- its items ---- */

static void list_items(struct mock_call *c, struct slice id) {
    struct slice items;
    if (stored_items_get(c->stored, id, c->ex->arena, &items)) {
        stored_respond_items(c, items);
    } else {
        respond_unknown(c, id);
    }
}

static void add_items(struct mock_call *c, struct slice id) {
    struct slice body, items;
    if (!read_body(c, &body) || !read_items(c, body, &items)) {
        return;
    }
    if (!stored_items_add(c->stored, id, items, c->ex->arena)) {
        respond_unknown(c, id);
        return;
    }
    c->ex->query = SLICE("order=asc&limit=100");     /* what was added, all of it */
    stored_respond_items(c, items);
}

static void get_item(struct mock_call *c, struct slice id, struct slice item) {
    struct arena *a = c->ex->arena;
    struct slice items;
    if (!stored_items_get(c->stored, id, a, &items)) {
        respond_unknown(c, id);
        return;
    }
    struct stored_list list = stored_split(items, a);
    for (size_t i = 0; i < list.n; i++) {
        if (slice_eq(stored_item_id(list.items[i], a), item)) {
            mock_respond_json(c->w, c->ex, 200, list.items[i]);
            return;
        }
    }
    stored_respond_unknown(c, "Conversation item", item);
}

/* The answer is the conversation. */
static void delete_item(struct mock_call *c, struct slice id, struct slice item) {
    struct stored *s = c->stored;
    struct slice text;
    if (!stored_conversation_get(s, id, c->ex->arena, &text)) {
        respond_unknown(c, id);
    } else if (!stored_items_delete(s, id, item, c->ex->arena)) {
        stored_respond_unknown(c, "Conversation item", item);
    } else {
        mock_respond_json(c->w, c->ex, 200, text);
    }
}

/* ---- routes ---- */

static void serve(struct mock_call *c) {
    struct slice parts[STORED_MAX_PARTS];
    unsigned n = stored_path(c->ex, SLICE("/conversations/"), parts);
    enum http_method m = c->ex->method == HTTP_METHOD_HEAD ? HTTP_METHOD_GET : c->ex->method;
    bool has_items = n >= 2 && slice_eq(parts[1], SLICE("items"));
    if (n == 0 || (n >= 2 && !has_items)) stored_respond_no_such(c, NULL);
    else if (n == 1 && m == HTTP_METHOD_GET) get(c, parts[0]);
    else if (n == 1 && m == HTTP_METHOD_POST) set(c, parts[0]);
    else if (n == 1 && m == HTTP_METHOD_DELETE) remove_all(c, parts[0]);
    else if (n == 2 && m == HTTP_METHOD_GET) list_items(c, parts[0]);
    else if (n == 2 && m == HTTP_METHOD_POST) add_items(c, parts[0]);
    else if (n == 3 && m == HTTP_METHOD_GET) get_item(c, parts[0], parts[2]);
    else if (n == 3 && m == HTTP_METHOD_DELETE) delete_item(c, parts[0], parts[2]);
    else stored_respond_no_such(c, n == 1   ? "GET, HEAD, POST, DELETE"
                                   : n == 2 ? "GET, HEAD, POST"
                                            : "GET, HEAD, DELETE");
}

static void answer(struct mock_worker *w, struct http_exchange *ex,
                   void (*with)(struct mock_call *)) {
    struct mock_call c;
    if (mock_call_begin(&c, w, ex)) {
        c.api = api_of_dialect(&dialect_responses);
        mock_call_journal(&c, SLICE_NULL, false);
        if (!fault_strikes_unasked(&c)) {
            with(&c);
        }
    }
    mock_call_end(&c);
}

void mock_endpoint_conversations(struct mock_worker *w, struct http_exchange *ex) {
    answer(w, ex, create);
}

void mock_endpoint_conversation(struct mock_worker *w, struct http_exchange *ex) {
    answer(w, ex, serve);
}
