/* SPDX-License-Identifier: Apache-2.0 */
/* Tools and the choice among them in this API's flat forms (translation.md 1.4, 1.5). */
#include "dialect/responses/responses-private.h"

#include <stdio.h>

/* A schema must be an object's. */
static void parameters(struct responses_writer *x, struct slice schema) {
    struct json_walk w = json_walk_begin(schema);
    struct slice key, value;
    struct slice type = SLICE_NULL;
    bool is_empty = true;
    responses_w_key(x, "parameters");
    while (json_walk_member(&w, &key, &value)) {
        is_empty = false;
        if (slice_eq(key, SLICE("type"))) type = value;
    }
    if (is_empty) {
        jw(&x->w, SLICE("{\"type\":\"object\",\"properties\":{}}"));
    } else if (type.ptr && !json_text_is_null(type)) {
        jw_raw(&x->w, schema);
    } else if (type.ptr) {
        size_t at = (size_t)(type.ptr - schema.ptr);
        jw_raw(&x->w, slice_sub(schema, 0, at));
        jw(&x->w, SLICE("\"object\""));
        jw_raw(&x->w, slice_from(schema, at + type.len));
    } else {
        jw(&x->w, SLICE("{\"type\":\"object\","));
        jw_raw(&x->w, slice_from(schema, 1));
    }
}

/* An omitted `strict` is read as true here: it is always said. */
static void function_tool(struct responses_writer *x, const struct tool *t) {
    responses_w_string(x, "type", SLICE("function"));
    responses_w_string(x, "name", t->name);
    responses_w_string(x, "description", t->description);
    parameters(x, t->parameters);
    responses_w_bool(x, "strict", t->strict == 1);
    responses_w_dropped(x, "tools[]", t->extras);
}

static void custom_tool(struct responses_writer *x, const struct tool *t) {
    responses_w_string(x, "type", SLICE("custom"));
    responses_w_string(x, "name", t->name);
    responses_w_string(x, "description", t->description);
    if (t->format.len > 0) responses_w_raw(x, "format", t->format);
    responses_w_dropped(x, "tools[]", t->extras);
}

/* ---- the hosted search ---- */

static void search_of_messages(struct responses_writer *x, struct slice raw) {
    struct arena *a = x->t->arena;
    struct slice place = json_member(raw, SLICE("user_location"), a),
                 domains = json_member(raw, SLICE("allowed_domains"), a);
    responses_w_string(x, "type", SLICE("web_search"));
    if (json_text_is(place, '{')) responses_w_raw(x, "user_location", place);
    if (!json_text_is(domains, '[')) return;
    responses_w_key(x, "filters");
    responses_w_open(x, '{');
    responses_w_raw(x, "allowed_domains", domains);
    responses_w_close(x, '}');
}

/* The place is one level deeper there: {"type":"approximate","approximate":{…}}. */
static void search_of_chat(struct responses_writer *x, struct slice options) {
    struct arena *a = x->t->arena;
    struct slice size = json_member_string(options, SLICE("search_context_size"), a),
                 place = json_member(options, SLICE("user_location"), a),
                 inner = json_member(place, SLICE("approximate"), a), key, value;
    responses_w_string(x, "type", SLICE("web_search"));
    responses_w_string(x, "search_context_size", size);
    if (!json_text_is(inner, '{')) return;
    struct json_walk w = json_walk_begin(inner);
    responses_w_key(x, "user_location");
    responses_w_open(x, '{');
    responses_w_string(x, "type", SLICE("approximate"));
    while (json_walk_member(&w, &key, &value)) {
        struct field f = {.key = json_text_unescape(key, a), .value = value};
        if (!slice_eq(f.key, SLICE("type"))) responses_w_fields(x, &f);
    }
    responses_w_close(x, '}');
}

static struct slice search_options(const struct responses_writer *x) {
    const struct field *f = x->is_native || !x->t ? NULL : x->rq->params;
    for (; f; f = f->next) {
        if (slice_eq(f->key, SLICE("web_search_options")) && json_text_is(f->value, '{'))
            return f->value;
    }
    return SLICE_NULL;
}

/* ---- the list ---- */

static bool is_search(const struct responses_writer *x, const struct tool *t) {
    return x->t && slice_starts_with(t->type, SLICE("web_search"));
}

static void drop_tool(struct responses_writer *x, const struct tool *t) {
    char name[64];
    snprintf(name, sizeof name, "tools[].%.*s", (int)(t->type.len < 40 ? t->type.len : 40),
             t->type.ptr ? t->type.ptr : "");
    if (x->t) translation_drop(x->t, name);
}

static void open_tool(struct responses_writer *x, unsigned *n) {
    if ((*n)++ == 0) {
        responses_w_key(x, "tools");
        responses_w_open(x, '[');
    }
    responses_w_element(x);
    responses_w_open(x, '{');
}

void responses_w_tools(struct responses_writer *x) {
    struct slice options = search_options(x);
    unsigned n = 0;
    for (const struct tool *t = x->rq->tools; t; t = t->next) {
        if (t->kind == TOOL_OTHER && !is_search(x, t)) {
            drop_tool(x, t);
            continue;
        }
        open_tool(x, &n);
        if (t->kind == TOOL_FUNCTION)
            function_tool(x, t);
        else if (t->kind == TOOL_CUSTOM)
            custom_tool(x, t);
        else
            search_of_messages(x, t->raw);
        responses_w_close(x, '}');
    }
    if (options.ptr) {
        open_tool(x, &n);
        search_of_chat(x, options);
        responses_w_close(x, '}');
    }
    if (n > 0) responses_w_close(x, ']');
}

/* ---- the choice ---- */

static const struct tool *find_tool(const struct responses_writer *x, struct slice name) {
    const struct tool *t = x->rq->tools;
    while (t && !slice_eq(t->name, name))
        t = t->next;
    return t;
}

static void named(struct responses_writer *x, struct slice name) {
    const struct tool *t = find_tool(x, name);
    bool is_custom = t ? t->kind == TOOL_CUSTOM : x->rq->tool_choice == TOOL_CHOICE_NAMED_CUSTOM;
    responses_w_open(x, '{');
    if (t && t->kind == TOOL_OTHER) {
        responses_w_string(x, "type", is_search(x, t) ? SLICE("web_search") : t->type);
    } else {
        responses_w_string(x, "type", slice_cstr(is_custom ? "custom" : "function"));
        responses_w_string(x, "name", name);
    }
    responses_w_close(x, '}');
}

static void allowed(struct responses_writer *x) {
    responses_w_open(x, '{');
    responses_w_string(x, "type", SLICE("allowed_tools"));
    responses_w_string(x, "mode", slice_cstr(x->rq->allowed_is_required ? "required" : "auto"));
    responses_w_key(x, "tools");
    responses_w_open(x, '[');
    for (unsigned i = 0; i < x->rq->n_allowed; i++) {
        responses_w_element(x);
        named(x, x->rq->allowed[i]);
    }
    responses_w_close(x, ']');
    responses_w_close(x, '}');
}

void responses_w_tool_choice(struct responses_writer *x) {
    static const char *const words[] = {[TOOL_CHOICE_AUTO] = "auto",
                                        [TOOL_CHOICE_NONE] = "none",
                                        [TOOL_CHOICE_REQUIRED] = "required"};
    const struct llm_request *rq = x->rq;
    switch (rq->tool_choice) {
    case TOOL_CHOICE_AUTO:
    case TOOL_CHOICE_NONE:
    case TOOL_CHOICE_REQUIRED:
        responses_w_string(x, "tool_choice", slice_cstr(words[rq->tool_choice]));
        break;
    case TOOL_CHOICE_NAMED:
    case TOOL_CHOICE_NAMED_CUSTOM:
        responses_w_key(x, "tool_choice");
        named(x, rq->tool_choice_name);
        break;
    case TOOL_CHOICE_ALLOWED:
        responses_w_key(x, "tool_choice");
        allowed(x);
        break;
    case TOOL_CHOICE_OTHER: /* in another's words: adapting has refused what mattered */
    case TOOL_CHOICE_ABSENT: break;
    }
}
