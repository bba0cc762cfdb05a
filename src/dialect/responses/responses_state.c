/* SPDX-License-Identifier: Apache-2.0 */
#include "dialect/responses/responses_state.h"

#include <ctype.h>

#include "base/json_scan.h"
#include "dialect/json_doc.h"
#include "dialect/json_write.h"
#include "dialect/request_read.h"

/* ---- ids ---- */

static const struct {
    const char *type, *prefix;
} id_prefixes[] = {
    {"message", "msg"},          {"reasoning", "rs"},
    {"function_call", "fc"},     {"function_call_output", "fco"},
    {"custom_tool_call", "ctc"}, {"custom_tool_call_output", "ctco"},
};

static void id_value(struct json_writer *w, struct slice type, struct slice seed, unsigned n) {
    const char *prefix = "item";
    for (size_t i = 0; i < sizeof id_prefixes / sizeof *id_prefixes; i++)
        if (slice_eq(type, slice_cstr(id_prefixes[i].type))) prefix = id_prefixes[i].prefix;
    jw(w, SLICE("\""));
    jw(w, slice_cstr(prefix));
    jw(w, SLICE("_"));
    for (size_t i = 0; i < seed.len; i++) {
        char c = seed.ptr[i];
        if (isalnum((unsigned char)c) || c == '_' || c == '-') jw(w, slice_make(&c, 1));
    }
    jw(w, SLICE("_"));
    jw_int(w, n);
    jw(w, SLICE("\""));
}

/* ---- items ---- */

static void message_of_string(struct json_writer *w, struct slice token) {
    jw(w, SLICE("\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\","
                "\"text\":"));
    jw_raw(w, token);
    jw(w, SLICE("}]"));
}

/* The members but those that are said anew. */
static void members_but(struct json_writer *w, struct slice item, bool but_id, bool but_type,
                        struct arena *a) {
    struct json_walk walk = json_walk_begin(item);
    struct slice key, value;
    while (json_walk_member(&walk, &key, &value)) {
        struct slice name = json_text_unescape(key, a);
        if (but_id && slice_eq(name, SLICE("id"))) continue;
        if (but_type && slice_eq(name, SLICE("type"))) continue;
        jw(w, SLICE(",\""));
        jw_raw(w, key);
        jw(w, SLICE("\":"));
        jw_raw(w, value);
    }
}

static void item_with_id(struct json_writer *w, struct slice item, struct slice seed, unsigned n,
                         struct arena *a) {
    struct slice type = json_member_string(item, SLICE("type"), a),
                 id = json_member_string(item, SLICE("id"), a);
    bool has_type = type.ptr != NULL;
    if (!has_type) {
        bool is_message = json_member(item, SLICE("role"), a).ptr != NULL;
        type = is_message ? SLICE("message") : SLICE("item_reference");
    }
    if (has_type && id.len > 0) {
        jw_raw(w, item);
        return;
    }
    jw(w, SLICE("{\"id\":"));
    if (id.len > 0)
        jw_string(w, id);
    else
        id_value(w, type, seed, n);
    if (!has_type) {
        jw(w, SLICE(",\"type\":"));
        jw_string(w, type);
    }
    members_but(w, item, true, !has_type, a);
    jw(w, SLICE("}"));
}

static bool is_body(struct slice body) {
    return json_scan_object(body, WIRE_MAX_DEPTH, NULL, NULL, NULL) == 0;
}

int responses_input_items(struct slice body, struct slice seed, struct arena *a, struct buf *out) {
    struct json_writer w = jw_begin(out);
    if (!is_body(body)) return -ERR_PROTOCOL;
    body = slice_from(body, json_text_skip_space(body, 0));
    struct slice input = json_member(body, SLICE("input"), a), item;
    if (json_text_is(input, '"')) {
        jw(&w, SLICE("{\"id\":"));
        id_value(&w, SLICE("message"), seed, 0);
        jw(&w, SLICE(","));
        message_of_string(&w, input);
        jw(&w, SLICE("}"));
    }
    if (json_text_is(input, '{')) item_with_id(&w, input, seed, 0, a);
    struct json_walk walk = json_walk_begin(input);
    bool is_list = json_text_is(input, '[');
    for (unsigned n = 0; is_list && json_walk_element(&walk, &item); n++) {
        if (!json_text_is(item, '{')) w.rc = w.rc ? w.rc : -ERR_PROTOCOL;
        if (n > 0) jw(&w, SLICE(","));
        item_with_id(&w, item, seed, n, a);
    }
    return jw_end(&w);
}

/* ---- a body with more items ---- */

static void input_member(struct json_writer *w, struct slice items, struct slice own) {
    bool has_own = json_text_is(own, '"') || json_text_is(own, '{');
    struct slice inside = SLICE_NULL, first;
    if (json_text_is(own, '[')) {
        struct json_walk walk = json_walk_begin(own);
        has_own = json_walk_element(&walk, &first);
        inside = slice_sub(own, 1, own.len - 2);
    }
    jw(w, SLICE("\"input\":["));
    jw_raw(w, items);
    if (items.len > 0 && has_own) jw(w, SLICE(","));
    if (json_text_is(own, '"')) {
        jw(w, SLICE("{"));
        message_of_string(w, own);
        jw(w, SLICE("}"));
    } else if (has_own) {
        jw_raw(w, inside.ptr ? inside : own);
    }
    jw(w, SLICE("]"));
}

int responses_prepend_items(struct slice body, struct slice items, struct arena *a,
                            struct buf *out) {
    struct json_writer w = jw_begin(out);
    if (!is_body(body)) return -ERR_PROTOCOL;
    body = slice_from(body, json_text_skip_space(body, 0));
    struct json_walk walk = json_walk_begin(body);
    struct slice key, value, own = SLICE_NULL;
    jw(&w, SLICE("{"));
    while (json_walk_member(&walk, &key, &value)) {
        struct slice name = json_text_unescape(key, a);
        if (slice_eq(name, SLICE("input"))) own = value;
        if (slice_eq(name, SLICE("input")) || slice_eq(name, SLICE("previous_response_id")) ||
            slice_eq(name, SLICE("conversation")))
            continue;
        jw(&w, SLICE("\""));
        jw_raw(&w, key);
        jw(&w, SLICE("\":"));
        jw_raw(&w, value);
        jw(&w, SLICE(","));
    }
    input_member(&w, items, own);
    jw(&w, SLICE("}"));
    return jw_end(&w);
}
