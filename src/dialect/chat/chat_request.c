/* SPDX-License-Identifier: Apache-2.0 */
/* The whole request to the model. What has a field of its own there: model, messages, tools or
 * functions, tool_choice, stop, user. Every other member goes through `params` as it came; so do
 * members of these names whose value says nothing (null, []). */
#include "dialect/chat/chat-private.h"

#include <stdio.h>

#include "base/json_scan.h"
#include "dialect/peek.h"
#include "dialect/request_read.h"

struct reader {
    struct arena *a;
    struct llm_request *rq;
    struct request_fault *fault;
    struct field **params_end;
    /* Raw values, ptr NULL when absent. */
    struct slice messages, tools, tool_choice, functions, function_call, stop, user;
};

#define refuse(r, ...) request_refuse((r)->fault, __VA_ARGS__)

static int refuse_type(struct reader *r, const char *param, const char *expected,
                       struct slice got) {
    return request_refuse_type(r->fault, param, expected, got);
}

/* ---- small pieces ---- */

static void add_field(struct reader *r, struct field ***end, struct slice key, struct slice value) {
    field_add(r->a, end, key, value);
}

static struct slice string_of(struct reader *r, struct slice token) {
    return json_text_string(token, r->a);
}

static struct slice member(struct reader *r, struct slice object, struct slice name) {
    return json_member(object, name, r->a);
}

static struct part *add_part(struct reader *r, struct parts *ps, enum part_kind kind) {
    return parts_add(ps, r->a, kind);
}

/* ---- content parts ---- */

/* Each takes the member named after the part's type; false: not in a form that the model knows. */
static bool take_text(struct reader *r, struct part *p, struct slice value) {
    p->text = string_of(r, value);
    return p->text.ptr;
}

static bool take_image(struct reader *r, struct part *p, struct slice value) {
    p->url = json_text_is(value, '"') ? string_of(r, value)
                                      : string_of(r, member(r, value, SLICE("url")));
    p->detail = string_of(r, member(r, value, SLICE("detail")));
    return p->url.ptr;
}

static bool take_audio(struct reader *r, struct part *p, struct slice value) {
    p->encoded = string_of(r, member(r, value, SLICE("data")));
    p->media_type = string_of(r, member(r, value, SLICE("format")));
    return p->encoded.ptr && p->media_type.ptr;
}

static bool take_file(struct reader *r, struct part *p, struct slice value) {
    p->file_id = string_of(r, member(r, value, SLICE("file_id")));
    p->filename = string_of(r, member(r, value, SLICE("filename")));
    p->encoded = string_of(r, member(r, value, SLICE("file_data")));
    return json_text_is(value, '{');
}

static const struct part_type {
    const char *name; /* of the type, and of the member that holds the value */
    enum part_kind kind;
    bool (*take)(struct reader *r, struct part *p, struct slice value);
} part_types[] = {
    {"text", PART_TEXT, take_text},          {"image_url", PART_IMAGE, take_image},
    {"input_audio", PART_AUDIO, take_audio}, {"file", PART_FILE, take_file},
    {"refusal", PART_REFUSAL, take_text},
};

static const struct part_type *find_part_type(struct slice name) {
    for (size_t i = 0; i < sizeof part_types / sizeof *part_types; i++) {
        if (slice_eq(name, slice_cstr(part_types[i].name))) return &part_types[i];
    }
    return NULL;
}

static void read_part(struct reader *r, struct slice raw, struct parts *ps) {
    struct part *p = add_part(r, ps, PART_OPAQUE);
    const struct part_type *type = find_part_type(string_of(r, member(r, raw, SLICE("type"))));
    struct field **end = &p->extras;
    bool known = false;
    p->raw = raw;
    if (!type) return;
    struct json_walk w = json_walk_begin(raw);
    struct slice key, value;
    while (json_walk_member(&w, &key, &value)) {
        key = json_text_unescape(key, r->a);
        if (slice_eq(key, SLICE("type"))) continue;
        if (slice_eq(key, slice_cstr(type->name))) known = type->take(r, p, value);
        else add_field(r, &end, key, value);
    }
    if (known) p->kind = type->kind;
}

static int read_content(struct reader *r, struct message *m, struct slice raw, struct parts *ps,
                        const char *where) {
    char param[64];
    struct slice item;
    snprintf(param, sizeof param, "%s.content", where);
    m->content_is_absent = !raw.ptr;
    m->content_is_null = json_text_is_null(raw);
    m->content_is_string = json_text_is(raw, '"');
    if (m->content_is_absent || m->content_is_null) return 0;
    if (m->content_is_string) {
        add_part(r, ps, PART_TEXT)->text = string_of(r, raw);
        return 0;
    }
    if (!json_text_is(raw, '['))
        return refuse_type(r, param, "one of a string or array of objects", raw);
    struct json_walk w = json_walk_begin(raw);
    for (unsigned i = 0; json_walk_element(&w, &item); i++) {
        if (!json_text_is(item, '{')) {
            snprintf(param, sizeof param, "%s.content[%u]", where, i);
            return refuse_type(r, param, "an object", item);
        }
        read_part(r, item, ps);
    }
    return 0;
}

/* ---- tool calls in messages ---- */

static void read_tool_call(struct reader *r, struct slice raw, struct parts *ps) {
    struct part *p = add_part(r, ps, PART_OPAQUE);
    struct slice key, value, inner = SLICE_NULL;
    struct field **end = &p->extras;
    enum part_kind kind = PART_OPAQUE;
    p->raw = raw;
    p->name = SLICE("tool_calls");
    struct json_walk w = json_walk_begin(raw);
    while (json_walk_member(&w, &key, &value)) {
        key = json_text_unescape(key, r->a);
        if (slice_eq(key, SLICE("id"))) p->id = string_of(r, value);
        else if (slice_eq(key, SLICE("function"))) kind = PART_TOOL_CALL, inner = value;
        else if (slice_eq(key, SLICE("custom"))) kind = PART_CUSTOM_TOOL_CALL, inner = value;
        else if (!slice_eq(key, SLICE("type"))) add_field(r, &end, key, value);
    }
    struct slice name = string_of(r, member(r, inner, SLICE("name")));
    p->text = string_of(
        r, member(r, inner, kind == PART_CUSTOM_TOOL_CALL ? SLICE("input") : SLICE("arguments")));
    if (!name.ptr || !p->text.ptr || !p->id.ptr) return;
    p->name = name;
    p->kind = kind;
}

/* ---- messages ---- */

static const struct {
    const char *name;
    enum role role;
} roles[] = {
    {"system", ROLE_SYSTEM},       {"developer", ROLE_DEVELOPER}, {"user", ROLE_USER},
    {"assistant", ROLE_ASSISTANT}, {"tool", ROLE_TOOL},           {"function", ROLE_FUNCTION},
};

static int read_role(struct reader *r, struct message *m, struct slice raw, const char *where) {
    char param[64];
    snprintf(param, sizeof param, "%s.role", where);
    if (!raw.ptr)
        return refuse(r, "missing_required_parameter", param, "Missing required parameter: '%s'.",
                      param);
    if (!json_text_is(raw, '"')) return refuse_type(r, param, "a string", raw);
    struct slice name = string_of(r, raw);
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        if (!slice_eq(name, slice_cstr(roles[i].name))) continue;
        m->role = roles[i].role;
        return 0;
    }
    return refuse(r, "invalid_value", param,
                  "Invalid value for '%s': '%.*s'. Supported values are: 'system', 'developer', "
                  "'user', 'assistant', 'tool' and "
                  "'function'.",
                  param, (int)(name.len < 32 ? name.len : 32), name.ptr);
}

/* The members of a message that are not carried as they came. */
struct message_members {
    struct slice role, content, name, tool_call_id, tool_calls, function_call, refusal,
        reasoning_content, reasoning;
};

static struct slice *message_slot(struct message_members *x, struct slice key, struct slice value) {
    bool is_string = json_text_is(value, '"');
    if (slice_eq(key, SLICE("role"))) return &x->role;
    if (slice_eq(key, SLICE("content"))) return &x->content;
    if (slice_eq(key, SLICE("name"))) return is_string ? &x->name : NULL;
    if (slice_eq(key, SLICE("tool_call_id"))) return is_string ? &x->tool_call_id : NULL;
    if (slice_eq(key, SLICE("refusal"))) return is_string ? &x->refusal : NULL;
    if (slice_eq(key, SLICE("reasoning_content"))) return is_string ? &x->reasoning_content : NULL;
    if (slice_eq(key, SLICE("reasoning"))) return is_string ? &x->reasoning : NULL;
    if (slice_eq(key, SLICE("function_call")))
        return json_text_is(value, '{') ? &x->function_call : NULL;
    if (!slice_eq(key, SLICE("tool_calls")) || !json_text_is(value, '[')) return NULL;
    struct json_walk w = json_walk_begin(value);
    struct slice first;
    return json_walk_element(&w, &first) ? &x->tool_calls : NULL;
}

static void read_reasoning(struct reader *r, struct slice raw, struct slice name,
                           struct parts *ps) {
    if (!raw.ptr) return;
    struct part *p = add_part(r, ps, PART_REASONING);
    p->text = string_of(r, raw);
    p->name = name;
}

static void read_calls(struct reader *r, const struct message_members *x, struct parts *ps) {
    struct json_walk w = json_walk_begin(x->tool_calls);
    struct slice call;
    while (json_walk_element(&w, &call)) read_tool_call(r, call, ps);
    if (!x->function_call.ptr) return;
    struct part *p = add_part(r, ps, PART_FUNCTION_CALL);
    p->raw = x->function_call;
    p->name = string_of(r, member(r, p->raw, SLICE("name")));
    p->text = string_of(r, member(r, p->raw, SLICE("arguments")));
}

/* The content of a tool's message is its result: at least one part, so that the id has a place. */
static int read_result(struct reader *r, struct message *m, const struct message_members *x,
                       struct parts *ps, const char *where) {
    char param[64];
    snprintf(param, sizeof param, "%s.tool_call_id", where);
    if (!x->tool_call_id.ptr)
        return refuse(r, "missing_required_parameter", param, "Missing required parameter: '%s'.",
                      param);
    int rc = read_content(r, m, x->content, ps, where);
    if (rc) return rc;
    if (ps->n == 0) add_part(r, ps, PART_TOOL_RESULT);
    for (unsigned i = 0; i < ps->n; i++) {
        if (ps->list[i].kind == PART_TEXT) ps->list[i].kind = PART_TOOL_RESULT;
        ps->list[i].id = string_of(r, x->tool_call_id);
    }
    return 0;
}

static int read_message(struct reader *r, struct message *m, struct slice raw, unsigned i) {
    struct message_members x = {.role = SLICE_NULL};
    struct field **end = &m->extras;
    struct parts ps = {0};
    char where[32];
    snprintf(where, sizeof where, "messages[%u]", i);
    if (!json_text_is(raw, '{')) return refuse_type(r, where, "an object", raw);
    struct json_walk w = json_walk_begin(raw);
    struct slice key, value;
    while (json_walk_member(&w, &key, &value)) {
        key = json_text_unescape(key, r->a);
        struct slice *slot = message_slot(&x, key, value);
        if (slot) *slot = value;
        else add_field(r, &end, key, value);
    }
    int rc = read_role(r, m, x.role, where);
    if (rc) return rc;
    m->name = string_of(r, x.name);
    read_reasoning(r, x.reasoning_content, SLICE("reasoning_content"), &ps);
    read_reasoning(r, x.reasoning, SLICE("reasoning"), &ps);
    if (m->role == ROLE_TOOL) {
        rc = read_result(r, m, &x, &ps, where);
    } else {
        if (x.tool_call_id.ptr) add_field(r, &end, SLICE("tool_call_id"), x.tool_call_id);
        rc = read_content(r, m, x.content, &ps, where);
    }
    if (x.refusal.ptr) {
        struct part *p = add_part(r, &ps, PART_REFUSAL);
        p->text = string_of(r, x.refusal);
        p->name = SLICE("refusal");
    }
    read_calls(r, &x, &ps);
    m->parts = ps.list;
    m->n_parts = ps.n;
    return rc;
}

static int read_messages(struct reader *r) {
    struct json_walk w = json_walk_begin(r->messages);
    struct slice raw;
    while (json_walk_element(&w, &raw)) {
        unsigned i = r->rq->n_messages;
        int rc = read_message(r, message_add(r->rq, r->a, ROLE_USER), raw, i);
        if (rc) return rc;
    }
    return 0;
}

/* ---- tools ---- */

static void read_definition(struct reader *r, struct tool *t, struct slice definition) {
    struct field **end = &t->extras;
    struct json_walk w = json_walk_begin(definition);
    struct slice key, value;
    while (json_walk_member(&w, &key, &value)) {
        key = json_text_unescape(key, r->a);
        bool is_string = json_text_is(value, '"');
        if (slice_eq(key, SLICE("name")) && is_string) t->name = string_of(r, value);
        else if (slice_eq(key, SLICE("description")) && is_string)
            t->description = string_of(r, value);
        else if (slice_eq(key, SLICE("parameters")) && json_text_is(value, '{'))
            t->parameters = value;
        else if (slice_eq(key, SLICE("strict")) && slice_eq(value, SLICE("true"))) t->strict = 1;
        else if (slice_eq(key, SLICE("strict")) && slice_eq(value, SLICE("false"))) t->strict = 0;
        else add_field(r, &end, key, value);
    }
}

static void read_tool(struct reader *r, struct tool *t, struct slice raw) {
    struct slice type = string_of(r, member(r, raw, SLICE("type"))), definition = SLICE_NULL;
    t->raw = raw;
    t->strict = -1;
    t->kind = TOOL_OTHER;
    if (r->rq->tools_are_functions) definition = raw;
    else if (slice_eq(type, SLICE("function"))) definition = member(r, raw, SLICE("function"));
    else if (slice_eq(type, SLICE("custom"))) definition = member(r, raw, SLICE("custom"));
    if (!json_text_is(definition, '{')) return;
    read_definition(r, t, definition);
    if (t->name.ptr)
        t->kind = slice_eq(type, SLICE("custom")) && !r->rq->tools_are_functions ? TOOL_CUSTOM
                                                                                 : TOOL_FUNCTION;
}

static int read_tools(struct reader *r) {
    struct slice list = r->rq->tools_are_functions ? r->functions : r->tools, raw;
    const char *param = r->rq->tools_are_functions ? "functions" : "tools";
    if (list.ptr && !json_text_is(list, '['))
        return refuse_type(r, param, "an array of objects", list);
    struct json_walk w = json_walk_begin(list);
    while (json_walk_element(&w, &raw)) {
        char where[32];
        snprintf(where, sizeof where, "%s[%u]", param, r->rq->n_tools);
        if (!json_text_is(raw, '{')) return refuse_type(r, where, "an object", raw);
        read_tool(r, tool_add(r->rq, r->a), raw);
    }
    return 0;
}

static enum tool_choice_kind choice_kind(struct reader *r, struct slice raw) {
    struct slice word = string_of(r, raw);
    if (slice_eq(word, SLICE("auto"))) return TOOL_CHOICE_AUTO;
    if (slice_eq(word, SLICE("none"))) return TOOL_CHOICE_NONE;
    if (slice_eq(word, SLICE("required"))) return TOOL_CHOICE_REQUIRED;
    struct slice type = string_of(r, member(r, raw, SLICE("type"))), inner = raw;
    if (slice_eq(type, SLICE("allowed_tools"))) return TOOL_CHOICE_ALLOWED;
    if (type.ptr) inner = member(r, raw, type);
    struct slice name = string_of(r, member(r, inner, SLICE("name")));
    bool is_function = slice_eq(type, SLICE("function")) ||
                       (!type.ptr && r->rq->tools_are_functions);
    if (!name.ptr || !(is_function || slice_eq(type, SLICE("custom")))) return TOOL_CHOICE_OTHER;
    r->rq->tool_choice_name = name;
    return is_function ? TOOL_CHOICE_NAMED : TOOL_CHOICE_NAMED_CUSTOM;
}

static void read_tool_choice(struct reader *r) {
    struct slice raw = r->rq->tools_are_functions ? r->function_call : r->tool_choice;
    if (!raw.ptr) return;
    r->rq->tool_choice_raw = raw;
    r->rq->tool_choice = choice_kind(r, raw);
}

static int read_stop(struct reader *r) {
    struct llm_request *rq = r->rq;
    struct slice item;
    unsigned n = 0;
    if (!r->stop.ptr) return 0;
    rq->stop_is_string = json_text_is(r->stop, '"');
    if (!rq->stop_is_string && !json_text_is(r->stop, '[')) {
        return refuse_type(r, "stop", "one of a string or array of strings", r->stop);
    }
    struct json_walk w = json_walk_begin(r->stop);
    while (json_walk_element(&w, &item)) n++;
    rq->stop = arena_alloc(r->a, (n + 1) * sizeof *rq->stop);
    if (rq->stop_is_string) rq->stop[rq->n_stop++] = string_of(r, r->stop);
    w = json_walk_begin(r->stop);
    while (json_walk_element(&w, &item)) {
        if (!json_text_is(item, '"'))
            return refuse_type(r, "stop", "one of a string or array of strings", item);
        rq->stop[rq->n_stop++] = string_of(r, item);
    }
    return 0;
}

/* ---- top level ---- */

static bool says_something(struct slice value) {
    struct json_walk w = json_walk_begin(value);
    struct slice first;
    if (json_text_is_null(value)) return false;
    return !json_text_is(value, '[') || json_walk_element(&w, &first);
}

static struct slice *root_slot(struct reader *r, struct slice key, struct slice value) {
    if (slice_eq(key, SLICE("messages"))) return &r->messages;
    if (!says_something(value)) return NULL;
    if (slice_eq(key, SLICE("tools"))) return &r->tools;
    if (slice_eq(key, SLICE("tool_choice"))) return &r->tool_choice;
    if (slice_eq(key, SLICE("functions"))) return &r->functions;
    if (slice_eq(key, SLICE("function_call"))) return &r->function_call;
    if (slice_eq(key, SLICE("stop"))) return &r->stop;
    return slice_eq(key, SLICE("user")) && json_text_is(value, '"') ? &r->user : NULL;
}

static int read_root(struct reader *r, struct slice body) {
    struct json_walk w = json_walk_begin(slice_from(body, r->rq->env.root_open));
    struct slice key, value;
    while (json_walk_member(&w, &key, &value)) {
        key = json_text_unescape(key, r->a);
        struct slice *slot = root_slot(r, key, value);
        if (slot && slot->ptr) {
            char name[32];
            snprintf(name, sizeof name, "%.*s", SLICE_FMT(key));
            return refuse(r, "invalid_value", name, "Invalid request: the key '%s' is there twice.",
                          name);
        }
        if (slot) *slot = value;
        else if (!slice_eq(key, SLICE("model"))) add_field(r, &r->params_end, key, value);
    }
    return 0;
}

/* Old and new style in one request: the new one is read, the old one carried as it came. */
static void settle_functions(struct reader *r) {
    r->rq->tools_are_functions = r->functions.ptr && !r->tools.ptr && !r->tool_choice.ptr;
    if (r->rq->tools_are_functions) return;
    if (r->functions.ptr) add_field(r, &r->params_end, SLICE("functions"), r->functions);
    if (r->function_call.ptr)
        add_field(r, &r->params_end, SLICE("function_call"), r->function_call);
}

int chat_decode_request(struct slice body, struct arena *a, struct llm_request *out,
                        struct request_fault *fault) {
    request_init(out, dialect_chat.name);
    struct reader r = {.a = a, .rq = out, .fault = fault, .params_end = &out->params};
    int rc = chat_peek_request(body, a, &out->env, fault);
    if (rc == 0) rc = read_root(&r, body);
    if (rc) return rc;
    settle_functions(&r);
    rc = read_messages(&r);
    if (rc == 0) rc = read_tools(&r);
    if (rc == 0) rc = read_stop(&r);
    read_tool_choice(&r);
    out->user = string_of(&r, r.user);
    return rc;
}
