/* SPDX-License-Identifier: Apache-2.0 */
/* The whole request to the model. What is not carried as it came: model, messages, tools or
 * functions, tool_choice, stop, user. Every other member goes through `params`; so do members of
 * these names whose value says nothing (null, []). */
#include "dialect/chat/chat-request.h"

#include <stdio.h>

#include "dialect/peek.h"

struct reader {
    struct chat_reader c;
    /* Raw values, ptr NULL when absent. */
    struct slice messages, tools, tool_choice, functions, function_call, stop, user;
};

static struct slice string_of(struct reader *r, struct slice token) {
    return json_text_string(token, r->c.a);
}

static struct slice member(struct reader *r, struct slice object, struct slice name) {
    return json_member(object, name, r->c.a);
}

/* ---- tools ---- */

/* A grammar is nested here, and flat in the model; text is what an absent format means. False: in
 * no known form. */
static bool take_format(struct reader *r, struct tool *t, struct slice format) {
    struct arena *a = r->c.a;
    struct slice type = json_member_string(format, SLICE("type"), a),
                 grammar = member(r, format, SLICE("grammar"));
    struct slice syntax = member(r, grammar, SLICE("syntax")),
                 text = member(r, grammar, SLICE("definition"));
    if (slice_eq(type, SLICE("text"))) return true;
    if (!slice_eq(type, SLICE("grammar")) || !json_text_is(syntax, '"') ||
        !json_text_is(text, '"'))
        return false;
    t->format = slice_cstr(
        arena_printf(a, "{\"type\":\"grammar\",\"syntax\":%.*s,\"definition\":%.*s}",
                     SLICE_FMT(syntax), SLICE_FMT(text)));
    return true;
}

static void read_definition(struct reader *r, struct tool *t, struct slice definition,
                            bool is_custom) {
    struct field **end = &t->extras;
    struct json_walk w = json_walk_begin(definition);
    struct slice key, value;
    while (json_walk_member(&w, &key, &value)) {
        key = json_text_unescape(key, r->c.a);
        bool is_string = json_text_is(value, '"');
        if (slice_eq(key, SLICE("name")) && is_string) t->name = string_of(r, value);
        else if (slice_eq(key, SLICE("description")) && is_string)
            t->description = string_of(r, value);
        else if (slice_eq(key, SLICE("parameters")) && json_text_is(value, '{'))
            t->parameters = value;
        else if (slice_eq(key, SLICE("strict")) && slice_eq(value, SLICE("true"))) t->strict = 1;
        else if (slice_eq(key, SLICE("strict")) && slice_eq(value, SLICE("false"))) t->strict = 0;
        else if (!is_custom || !slice_eq(key, SLICE("format")) || !take_format(r, t, value))
            field_add(r->c.a, &end, key, value);
    }
}

static void read_tool(struct reader *r, struct tool *t, struct slice raw) {
    bool is_legacy = r->c.rq->tools_are_functions;
    struct slice definition = SLICE_NULL;
    t->type = is_legacy ? SLICE("function") : json_member_string(raw, SLICE("type"), r->c.a);
    bool is_function = slice_eq(t->type, SLICE("function")),
         is_custom = slice_eq(t->type, SLICE("custom"));
    t->raw = raw;
    if (is_legacy) definition = raw;
    else if (is_function || is_custom) definition = member(r, raw, t->type);
    if (!json_text_is(definition, '{')) return;
    read_definition(r, t, definition, is_custom);
    if (t->name.ptr) t->kind = is_custom ? TOOL_CUSTOM : TOOL_FUNCTION;
}

static int read_tools(struct reader *r) {
    struct llm_request *rq = r->c.rq;
    struct slice list = rq->tools_are_functions ? r->functions : r->tools, raw;
    const char *param = rq->tools_are_functions ? "functions" : "tools";
    if (list.ptr && !json_text_is(list, '['))
        return request_refuse_type(r->c.fault, param, "an array of objects", list);
    struct json_walk w = json_walk_begin(list);
    while (json_walk_element(&w, &raw)) {
        char where[32];
        snprintf(where, sizeof where, "%s[%u]", param, rq->n_tools);
        if (!json_text_is(raw, '{'))
            return request_refuse_type(r->c.fault, where, "an object", raw);
        read_tool(r, tool_add(rq, r->c.a), raw);
    }
    return 0;
}

/* ---- tool_choice ---- */

/* {"mode","tools":[{"type":"function","function":{"name"}}]} */
static enum tool_choice_kind read_allowed(struct reader *r, struct slice raw) {
    struct llm_request *rq = r->c.rq;
    struct slice list = member(r, raw, SLICE("tools")), one;
    unsigned n = 0;
    if (!json_text_is(list, '[')) return TOOL_CHOICE_OTHER;
    struct json_walk w = json_walk_begin(list);
    while (json_walk_element(&w, &one)) n++;
    rq->allowed = arena_alloc(r->c.a, (n + 1) * sizeof *rq->allowed);
    w = json_walk_begin(list);
    while (json_walk_element(&w, &one)) {
        struct slice type = json_member_string(one, SLICE("type"), r->c.a);
        struct slice inner = type.ptr ? member(r, one, type) : SLICE_NULL;
        struct slice name = json_member_string(json_text_is(inner, '{') ? inner : one,
                                               SLICE("name"), r->c.a);
        if (name.ptr) rq->allowed[rq->n_allowed++] = name;
    }
    rq->allowed_is_required = slice_eq(json_member_string(raw, SLICE("mode"), r->c.a),
                                       SLICE("required"));
    return TOOL_CHOICE_ALLOWED;
}

static enum tool_choice_kind choice_kind(struct reader *r, struct slice raw) {
    struct slice word = string_of(r, raw);
    if (slice_eq(word, SLICE("auto"))) return TOOL_CHOICE_AUTO;
    if (slice_eq(word, SLICE("none"))) return TOOL_CHOICE_NONE;
    if (slice_eq(word, SLICE("required")) || slice_eq(word, SLICE("any")))
        return TOOL_CHOICE_REQUIRED;
    struct slice type = json_member_string(raw, SLICE("type"), r->c.a), inner = raw;
    if (type.ptr) inner = member(r, raw, type);
    if (slice_eq(type, SLICE("allowed_tools"))) return read_allowed(r, inner);
    struct slice name = json_member_string(inner, SLICE("name"), r->c.a);
    bool is_function = slice_eq(type, SLICE("function")) ||
                       (!type.ptr && r->c.rq->tools_are_functions);
    if (!name.ptr || !(is_function || slice_eq(type, SLICE("custom")))) return TOOL_CHOICE_OTHER;
    r->c.rq->tool_choice_name = name;
    return is_function ? TOOL_CHOICE_NAMED : TOOL_CHOICE_NAMED_CUSTOM;
}

static void read_tool_choice(struct reader *r) {
    struct slice raw = r->c.rq->tools_are_functions ? r->function_call : r->tool_choice;
    if (!raw.ptr) return;
    r->c.rq->tool_choice_raw = raw;
    r->c.rq->tool_choice = choice_kind(r, raw);
}

/* ---- top level ---- */

static struct slice *root_slot(struct reader *r, struct slice key, struct slice value) {
    if (slice_eq(key, SLICE("messages"))) return &r->messages;
    if (!chat_says_something(value)) return NULL;
    if (slice_eq(key, SLICE("tools"))) return &r->tools;
    if (slice_eq(key, SLICE("tool_choice"))) return &r->tool_choice;
    if (slice_eq(key, SLICE("functions"))) return &r->functions;
    if (slice_eq(key, SLICE("function_call"))) return &r->function_call;
    if (slice_eq(key, SLICE("stop"))) return &r->stop;
    return slice_eq(key, SLICE("user")) && json_text_is(value, '"') ? &r->user : NULL;
}

static int read_root(struct reader *r, struct slice body) {
    struct json_walk w = json_walk_begin(slice_from(body, r->c.rq->env.root_open));
    struct slice key, value;
    while (json_walk_member(&w, &key, &value)) {
        key = json_text_unescape(key, r->c.a);
        struct slice *slot = root_slot(r, key, value);
        if (slot && slot->ptr) {
            char name[32];
            snprintf(name, sizeof name, "%.*s", SLICE_FMT(key));
            return request_refuse(r->c.fault, "invalid_value", name,
                                  "Invalid request: the key '%s' is there twice.", name);
        }
        if (slot) *slot = value;
        else if (!slice_eq(key, SLICE("model")))
            field_add(r->c.a, &r->c.params_end, key, value);
    }
    return 0;
}

/* Old and new style in one request: the new one is read, the old one carried as it came. */
static void settle_functions(struct reader *r) {
    struct arena *a = r->c.a;
    bool is_legacy = r->functions.ptr && !r->tools.ptr && !r->tool_choice.ptr;
    r->c.rq->tools_are_functions = is_legacy;
    if (is_legacy) return;
    if (r->functions.ptr) field_add(a, &r->c.params_end, SLICE("functions"), r->functions);
    if (r->function_call.ptr)
        field_add(a, &r->c.params_end, SLICE("function_call"), r->function_call);
}

int chat_decode_request(struct slice body, struct arena *a, struct llm_request *out,
                        struct request_fault *fault) {
    request_init(out, dialect_chat.name);
    struct reader r = {
        .c = {.a = a, .rq = out, .fault = fault, .params_end = &out->params}};
    int rc = chat_peek_request(body, a, &out->env, fault);
    if (rc == 0) rc = request_check_size(body, fault);
    if (rc == 0) rc = read_root(&r, body);
    if (rc) return rc;
    settle_functions(&r);
    rc = chat_read_messages(&r.c, r.messages);
    if (rc == 0) rc = read_tools(&r);
    if (rc == 0) rc = chat_read_stop(&r.c, r.stop);
    if (rc == 0) rc = chat_read_params(&r.c);
    read_tool_choice(&r);
    out->user = string_of(&r, r.user);
    return rc;
}
