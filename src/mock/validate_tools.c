/* SPDX-License-Identifier: Apache-2.0 */
/* Tools: names, schemas, choices; and the rules of strict schemas. */
#include "mock/validate-private.h"

enum {
    MAX_TOOLS = 128,
    TWICE_MAX = 512,
    PATH_BYTES = 200,
    MISSING_BYTES = 80,
    REQUIRED_MAX_BYTES = 16 << 20    /* that one schema has us read, each list once a property */
};

/* ---- strict schemas ---- */

struct strict {
    struct check *c;
    const char *path, *code, *what;
    size_t read_bytes;               /* of lists of what is required */
    bool is_over;                    /* one violation a schema: providers tell the first */
};

/* Where in the schema: "('properties', 'a')". */
static void violate_strict(struct strict *s, const char *at, const char *why) {
    if (s->c->is_anthropic) {
        violate_code(s->c, RULE_STRICT_SCHEMA, s->code, s->path, "%s: schema at %s: %s",
                     dotted(s->c, s->path), at[0] ? at : "the root", why);
    } else {
        violate_code(s->c, RULE_STRICT_SCHEMA, s->code, s->path,
                     "Invalid schema for %s: In context=(%s), %s", s->what, at, why);
    }
    s->is_over = true;
}

/* A schema that takes too long is believed. */
static bool requires(struct strict *s, struct slice required, struct slice key) {
    struct json_walk w = json_walk_begin(required);
    struct slice one;
    while (s->read_bytes < REQUIRED_MAX_BYTES && json_walk_element(&w, &one)) {
        s->read_bytes += one.len;
        if (slice_eq(json_text_string(one, s->c->a), key)) return true;
    }
    s->is_over = s->read_bytes >= REQUIRED_MAX_BYTES;
    return s->is_over;
}

static const char *deeper(struct strict *s, const char *at, const char *word, struct slice key) {
    const char *comma = at[0] ? ", " : "";
    if (strlen(at) > PATH_BYTES) return at;
    return key.ptr ? arena_printf(s->c->a, "%s%s'%s', '%.*s'", at, comma, word, SHOW(key))
                   : arena_printf(s->c->a, "%s%s'%s'", at, comma, word);
}

static void check_node(struct strict *s, const char *at, struct slice schema);

static void check_object_node(struct strict *s, const char *at, struct slice schema) {
    struct check *c = s->c;
    struct slice properties = member_of(c, schema, "properties"),
                 required = member_of(c, schema, "required"), key, value;
    struct json_walk w = json_walk_begin(properties);
    if (!slice_eq(member_of(c, schema, "additionalProperties"), SLICE("false"))) {
        violate_strict(s, at,
                       "'additionalProperties' is required to be supplied and to be false.");
        return;
    }
    while (json_walk_member(&w, &key, &value) && !s->is_over) {
        key = json_text_unescape(key, c->a);
        if (!c->is_anthropic && !requires(s, required, key)) {
            violate_strict(s, at,
                           arena_printf(c->a,
                                        "'required' is required to be supplied and to be an array "
                                        "including every key in properties. Missing '%.*s'.",
                                        (int)(key.len < MISSING_BYTES ? key.len : MISSING_BYTES),
                                        key.len ? key.ptr : ""));
            return;
        }
        check_node(s, deeper(s, at, "properties", key), value);
    }
}

static void check_each(struct strict *s, const char *at, const char *word, struct slice list) {
    struct json_walk w = json_walk_begin(list);
    struct slice key, value;
    for (unsigned i = 0; json_text_is(list, '[') && !s->is_over && json_walk_element(&w, &value);
         i++) {
        check_node(s, deeper(s, at, word, slice_cstr(arena_printf(s->c->a, "%u", i))), value);
    }
    while (json_text_is(list, '{') && !s->is_over && json_walk_member(&w, &key, &value)) {
        check_node(s, deeper(s, at, word, key), value);
    }
}

static bool is_object_schema(struct check *c, struct slice schema) {
    struct slice type = member_of(c, schema, "type"), one;
    struct json_walk w = json_walk_begin(type);
    if (slice_eq(json_text_string(type, c->a), SLICE("object"))) return true;
    while (json_text_is(type, '[') && json_walk_element(&w, &one)) {
        if (slice_eq(json_text_string(one, c->a), SLICE("object"))) return true;
    }
    return !is_said(type) && json_text_is(member_of(c, schema, "properties"), '{');
}

/* The body's depth is bounded, and with it this one's. */
static void check_node(struct strict *s, const char *at, struct slice schema) {
    struct check *c = s->c;
    if (s->is_over || !json_text_is(schema, '{')) {
        return;
    }
    if (is_object_schema(c, schema)) check_object_node(s, at, schema);
    struct slice items = member_of(c, schema, "items");
    if (items.ptr && !s->is_over) check_node(s, deeper(s, at, "items", SLICE_NULL), items);
    check_each(s, at, "anyOf", member_of(c, schema, "anyOf"));
    check_each(s, at, "$defs", member_of(c, schema, "$defs"));
    check_each(s, at, "definitions", member_of(c, schema, "definitions"));
}

void check_strict_schema(struct check *c, const char *path, const char *code, const char *what,
                         struct slice schema) {
    struct strict s = {.c = c, .path = path, .code = code, .what = what};
    if (!json_text_is(schema, '{')) {
        return;
    }
    if (!c->is_anthropic && !slice_eq(string_in(c, schema, "type"), SLICE("object"))) {
        violate_strict(&s, "", "schema must be a JSON Schema of 'type: \"object\"'.");
        return;
    }
    check_node(&s, "", schema);
}

/* ---- one tool ---- */

bool rule_name_fits(struct slice s, size_t max) {
    for (size_t i = 0; i < s.len; i++) {
        char ch = s.ptr[i];
        bool is_ok = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
                     (ch >= '0' && ch <= '9') || ch == '_' || ch == '-';
        if (!is_ok) return false;
    }
    return s.len > 0 && s.len <= max;
}

static void check_name(struct check *c, const char *path, struct slice name) {
    const char *at = place_of(c, path, "name");
    if (rule_name_fits(name, c->is_anthropic ? 128 : 64)) {
        return;
    }
    if (!name.ptr) {
        violate_missing(c, at);
    } else if (c->is_anthropic) {
        violate(c, RULE_TOOL_NAME, at, "%s: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'",
                dotted(c, at));
    } else if (name.len > 64) {
        violate_code(c, RULE_TOOL_NAME, "string_above_max_length", at,
                     "Invalid '%s': string too long. Expected a string with maximum length 64, but "
                     "got a string with length %zu instead.",
                     at, name.len);
    } else {
        violate(c, RULE_TOOL_NAME, at,
                "Invalid '%s': string does not match pattern. Expected a string that matches the "
                "pattern '^[a-zA-Z0-9_-]+$'.",
                at);
    }
}

static void check_parameters(struct check *c, const char *path, struct slice name,
                             struct slice schema, bool is_strict) {
    const char *at = place_of(c, path, c->is_anthropic ? "input_schema" : "parameters");
    struct slice type = member_of(c, schema, "type");
    const char *what = arena_printf(c->a, "function '%.*s'", SHOW(name));
    if (!is_said(schema)) {
        if (c->is_anthropic) violate_missing(c, at);
    } else if (!json_text_is(schema, '{')) {
        violate_type(c, at, "an object", schema);
    } else if (!slice_eq(json_text_string(type, c->a), SLICE("object"))) {
        struct slice got = type.ptr ? type : SLICE("None");
        if (c->is_anthropic)
            violate(c, RULE_TOOL_PARAMETERS, place_of(c, at, "type"),
                    type.ptr ? "%s.type: Input should be 'object'" : "%s.type: Field required",
                    dotted(c, at));
        else
            violate(c, RULE_TOOL_PARAMETERS, at,
                    "Invalid schema for %s: schema must be a JSON Schema of 'type: \"object\"', got "
                    "'type: %.*s'.",
                    what, SHOW(got));
    } else if (is_strict) {
        check_strict_schema(c, at, "invalid_function_parameters", what, schema);
    }
}

/* Chat's stand in a member named like their type; the others' are flat. */
static void check_tool(struct check *c, const char *path, struct slice tool,
                       struct slice *out_name) {
    struct slice type = string_in(c, tool, "type"), definition = tool;
    bool is_custom = slice_eq(type, SLICE("custom"));
    bool is_function = slice_eq(type, SLICE("function"));
    const char *at = path;
    *out_name = SLICE_NULL;
    if (c->is_anthropic && type.ptr && !is_custom) return;     /* the provider's own */
    if (!c->is_anthropic && !type.ptr) {
        violate_missing(c, place_of(c, path, "type"));
        return;
    }
    if (c->dialect == RULE_CHAT && !is_custom && !is_function) {
        violate_choice(c, RULE_PART_TYPE, place_of(c, path, "type"), type, "function|custom");
        return;
    }
    if (c->dialect == RULE_RESPONSES && !is_custom && !is_function) return;
    if (c->dialect == RULE_CHAT) {
        const char *inner = is_custom ? "custom" : "function";
        at = place_of(c, path, inner);
        definition = member_of(c, tool, inner);
        if (!json_text_is(definition, '{')) {
            violate_missing(c, at);
            return;
        }
    }
    *out_name = string_in(c, definition, "name");
    check_name(c, at, *out_name);
    if (c->is_anthropic || is_function) {
        bool is_strict = slice_eq(member_of(c, definition, "strict"), SLICE("true"));
        check_parameters(c, at, *out_name,
                         member_of(c, definition, c->is_anthropic ? "input_schema" : "parameters"),
                         is_strict);
    }
}

/* ---- all of them ---- */

static void check_twice(struct check *c, const char *path, const struct slice *names, unsigned n) {
    for (unsigned i = 0; i < n && names[n].ptr; i++) {
        if (!slice_eq(names[i], names[n])) continue;
        if (c->is_anthropic) violate(c, RULE_TOOL_TWICE, path, "tools: Tool names must be unique.");
        else
            violate(c, RULE_TOOL_TWICE, path, "Duplicate tool name: '%.*s'. Tool names must be "
                                              "unique.", SHOW(names[n]));
        return;
    }
}

static void check_list(struct check *c, struct slice list) {
    struct json_walk w = json_walk_begin(list);
    struct slice one, *names = arena_alloc(c->a, (TWICE_MAX + 1) * sizeof *names);
    unsigned n = count_elements(list);
    if (n > MAX_TOOLS && !c->is_anthropic) {
        violate(c, RULE_LENGTH, "tools",
                "Invalid 'tools': array too long. Expected an array with maximum length %d, but got "
                "an array with length %u instead.",
                MAX_TOOLS, n);
    }
    for (unsigned i = 0; i < TWICE_MAX && json_walk_element(&w, &one); i++) {
        const char *path = place_at(c, "tools", i);
        check_tool(c, path, one, &names[i]);
        check_twice(c, path, names, i);
    }
}

static bool offers(const struct llm_request *rq, struct slice name) {
    for (const struct tool *t = rq->tools; t; t = t->next) {
        if (slice_eq(t->name, name)) return true;
    }
    return false;
}

static void check_choice_name(struct check *c, struct slice name) {
    if (offers(c->in->rq, name)) {
        return;
    }
    if (c->is_anthropic)
        violate(c, RULE_TOOL_CHOICE_UNKNOWN, "tool_choice.name",
                "tool_choice: Tool '%.*s' not found in provided tools", SHOW(name));
    else if (c->dialect == RULE_RESPONSES)
        violate(c, RULE_TOOL_CHOICE_UNKNOWN, "tool_choice",
                "Tool choice '%.*s' not found in 'tools' parameter.", SHOW(name));
    else
        violate(c, RULE_TOOL_CHOICE_UNKNOWN, "tool_choice",
                "Invalid value for 'tool_choice': the function '%.*s' is not among the 'tools'.",
                SHOW(name));
}

static bool is_named(enum tool_choice_kind kind) {
    return kind == TOOL_CHOICE_NAMED || kind == TOOL_CHOICE_NAMED_CUSTOM;
}

static void check_choice(struct check *c) {
    const struct llm_request *rq = c->in->rq;
    if (rq->tools) {
        if (is_named(rq->tool_choice)) check_choice_name(c, rq->tool_choice_name);
        for (unsigned i = 0; i < rq->n_allowed && i < TWICE_MAX; i++)
            check_choice_name(c, rq->allowed[i]);
        return;
    }
    if (c->dialect == RULE_CHAT && rq->tool_choice != TOOL_CHOICE_ABSENT &&
        rq->tool_choice != TOOL_CHOICE_NONE) {
        violate(c, RULE_TOOL_CHOICE, "tool_choice",
                "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are "
                "specified.");
    } else if (c->dialect == RULE_RESPONSES &&
               (rq->tool_choice == TOOL_CHOICE_REQUIRED || is_named(rq->tool_choice))) {
        violate(c, RULE_TOOL_CHOICE, "tool_choice",
                "Tool choice '%.*s' must be specified with 'tools' parameter.",
                SHOW(is_named(rq->tool_choice) ? rq->tool_choice_name : SLICE("required")));
    } else if (c->is_anthropic && rq->tool_choice != TOOL_CHOICE_ABSENT) {
        violate(c, RULE_TOOL_CHOICE, "tool_choice",
                "tool_choice: may only be specified while providing tools");
    }
    if (c->dialect == RULE_CHAT && rq->parallel_tools >= 0) {
        violate(c, RULE_TOOL_CHOICE, "parallel_tool_calls",
                "Invalid value for 'parallel_tool_calls': 'parallel_tool_calls' is only allowed when "
                "'tools' are specified.");
    }
}

void check_tools(struct check *c) {
    struct slice body = slice_from(c->in->body, json_text_skip_space(c->in->body, 0));
    struct slice tools = member_of(c, body, "tools");
    if (json_text_is(tools, '[')) check_list(c, tools);
    if (!c->in->rq->tools_are_functions) check_choice(c);
}
