/* SPDX-License-Identifier: Apache-2.0 */
/* Tools and the choice among them to the model: a namespace's tools become tools of the list. */
#include "dialect/responses/responses-private.h"

#include <stdio.h>

#include "dialect/peek.h"

static int take_strict(struct responses_reader *r, struct field **members, const char *where,
                       int *out) {
    struct slice value = responses_take(members, "strict");
    *out = slice_eq(value, SLICE("true")) ? 1 : slice_eq(value, SLICE("false")) ? 0 : -1;
    if (*out >= 0 || !value.ptr || json_text_is_null(value)) return 0;
    return responses_refuse_type(r, where, "strict", "a boolean", value);
}

static int take_object(struct responses_reader *r, struct field **members, const char *where,
                       const char *name, struct slice *out) {
    struct slice value = responses_take(members, name);
    *out = json_text_is(value, '{') ? value : SLICE_NULL;
    if (out->ptr || !value.ptr || json_text_is_null(value)) return 0;
    return responses_refuse_type(r, where, name, "an object", value);
}

static int read_definition(struct responses_reader *r, struct tool *t, struct field *members,
                           const char *where) {
    int rc = responses_take_string(r, &members, where, "name", true, &t->name);
    if (rc == 0)
        rc = responses_take_string(r, &members, where, "description", false, &t->description);
    if (rc == 0 && t->kind == TOOL_FUNCTION)
        rc = take_object(r, &members, where, "parameters", &t->parameters);
    if (rc == 0 && t->kind == TOOL_FUNCTION) rc = take_strict(r, &members, where, &t->strict);
    if (rc == 0 && t->kind == TOOL_CUSTOM)
        rc = take_object(r, &members, where, "format", &t->format);
    if (slice_eq(json_member_string(t->format, SLICE("type"), r->a), SLICE("text")))
        t->format = SLICE_NULL;
    t->extras = members;
    return rc;
}

static int read_namespace(struct responses_reader *r, struct field *members, const char *where) {
    char at[96];
    struct slice name, list = responses_take(&members, "tools");
    int rc = responses_take_string(r, &members, where, "name", true, &name);
    if (rc) return rc;
    if (!list.ptr) return responses_refuse_missing(r, where, "tools");
    snprintf(at, sizeof at, "%.80s.tools", where);
    return responses_read_tools(r, list, name, at);
}

static int read_tool(struct responses_reader *r, struct slice raw, struct slice name_space,
                     const char *where) {
    struct field *members = responses_members(r, raw);
    struct slice type;
    int rc = responses_take_string(r, &members, where, "type", true, &type);
    if (rc) return rc;
    /* one inside of another does not exist: it is a tool that we do not know */
    if (slice_eq(type, SLICE("namespace")) && !name_space.ptr)
        return read_namespace(r, members, where);
    struct tool *t = tool_add(r->rq, r->a);
    t->type = type;
    t->raw = raw;
    t->name_space = name_space;
    if (slice_eq(type, SLICE("function"))) t->kind = TOOL_FUNCTION;
    if (slice_eq(type, SLICE("custom"))) t->kind = TOOL_CUSTOM;
    if (t->kind != TOOL_OTHER) return read_definition(r, t, members, where);
    t->extras = members;
    return 0;
}

int responses_read_tools(struct responses_reader *r, struct slice list, struct slice name_space,
                         const char *where) {
    struct json_walk w = json_walk_begin(list);
    struct slice raw;
    if (!json_text_is(list, '['))
        return request_refuse_type(r->fault, where, "an array of objects", list);
    for (unsigned i = 0; json_walk_element(&w, &raw); i++) {
        char at[96];
        snprintf(at, sizeof at, "%.80s[%u]", where, i);
        if (!json_text_is(raw, '{')) return request_refuse_type(r->fault, at, "an object", raw);
        int rc = read_tool(r, raw, name_space, at);
        if (rc) return rc;
    }
    return 0;
}

/* ---- the choice ---- */

static int read_allowed(struct responses_reader *r, struct field *members) {
    struct llm_request *rq = r->rq;
    struct slice list = responses_take(&members, "tools"), mode, raw;
    int rc = responses_take_string(r, &members, "tool_choice", "mode", false, &mode);
    if (rc) return rc;
    if (!list.ptr) return responses_refuse_missing(r, "tool_choice", "tools");
    if (!json_text_is(list, '['))
        return responses_refuse_type(r, "tool_choice", "tools", "an array of objects", list);
    unsigned n = 0;
    struct json_walk w = json_walk_begin(list);
    while (json_walk_element(&w, &raw))
        n++;
    rq->allowed = arena_alloc(r->a, (n + 1) * sizeof *rq->allowed);
    w = json_walk_begin(list);
    while (json_walk_element(&w, &raw)) {
        struct slice name = json_member_string(raw, SLICE("name"), r->a);
        if (name.ptr) rq->allowed[rq->n_allowed++] = name;
    }
    rq->allowed_is_required = slice_eq(mode, SLICE("required"));
    rq->tool_choice = TOOL_CHOICE_ALLOWED;
    return 0;
}

static enum tool_choice_kind choice_of_word(struct slice word) {
    if (slice_eq(word, SLICE("auto"))) return TOOL_CHOICE_AUTO;
    if (slice_eq(word, SLICE("none"))) return TOOL_CHOICE_NONE;
    if (slice_eq(word, SLICE("required"))) return TOOL_CHOICE_REQUIRED;
    return TOOL_CHOICE_OTHER;
}

int responses_read_tool_choice(struct responses_reader *r, struct slice value) {
    struct llm_request *rq = r->rq;
    struct slice type;
    rq->tool_choice_raw = value;
    if (json_text_is(value, '"')) {
        rq->tool_choice = choice_of_word(json_text_string(value, r->a));
        return 0;
    }
    if (!json_text_is(value, '{'))
        return request_refuse_type(r->fault, "tool_choice", "one of a string or an object", value);
    struct field *members = responses_members(r, value);
    int rc = responses_take_string(r, &members, "tool_choice", "type", true, &type);
    if (rc) return rc;
    if (slice_eq(type, SLICE("allowed_tools"))) return read_allowed(r, members);
    bool is_custom = slice_eq(type, SLICE("custom"));
    rq->tool_choice = TOOL_CHOICE_OTHER;
    if (!is_custom && !slice_eq(type, SLICE("function"))) return 0;
    rq->tool_choice = is_custom ? TOOL_CHOICE_NAMED_CUSTOM : TOOL_CHOICE_NAMED;
    return responses_take_string(r, &members, "tool_choice", "name", true, &rq->tool_choice_name);
}
