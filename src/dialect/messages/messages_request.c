/* SPDX-License-Identifier: Apache-2.0 */
/* The whole request to the model. model, system, messages, tools, tool_choice and stop_sequences
 * have fields of their own; every other member goes through `params` as it came, and what the model
 * has a word for is read beside that. */
#include <stdio.h>

#include "dialect/estimate.h"
#include "dialect/messages/messages-request.h"
#include "dialect/peek.h"
#include "dialect/request_read.h"

struct reader {
    struct arena *a;
    struct llm_request *rq;
    struct request_fault *fault;
    struct field **params_end;
    struct slice messages, system, tools;
};

/* ---- faults ---- */

/* Where a value stands: messages[i].content[part].content[inner], or system[i]. */
struct place {
    const char *list;
    int i, part, inner; /* -1: not in one */
};

/* member: "text", or NULL for the thing itself. */
static void place_name(const struct place *p, const char *member, char *out, size_t size) {
    int n = snprintf(out, size, "%s[%d]", p->list, p->i);
    if (p->part >= 0) n += snprintf(out + n, size - (size_t)n, ".content[%d]", p->part);
    if (p->inner >= 0) n += snprintf(out + n, size - (size_t)n, ".content[%d]", p->inner);
    if (member) snprintf(out + n, size - (size_t)n, ".%s", member);
}

static int refuse_missing(struct reader *r, const struct place *p, const char *member) {
    char name[96];
    place_name(p, member, name, sizeof name);
    return request_refuse_missing(r->fault, name);
}

static int refuse_type(struct reader *r, const struct place *p, const char *member,
                       const char *expected, struct slice got) {
    char name[96];
    place_name(p, member, name, sizeof name);
    return request_refuse_type(r->fault, name, expected, got);
}

/* ---- members of a block ---- */

static bool is_absent(struct slice value) {
    return !value.ptr || json_text_is_null(value);
}

static struct slice member(struct reader *r, struct slice object, const char *name) {
    return json_member(object, slice_cstr(name), r->a);
}

/* A string, or absent (or null). */
static int take_optional(struct reader *r, const struct place *p, struct slice object,
                         const char *name, struct slice *out) {
    struct slice value = member(r, object, name);
    if (is_absent(value)) return 0;
    if (!json_text_is(value, '"')) return refuse_type(r, p, name, "a string", value);
    *out = json_text_string(value, r->a);
    return 0;
}

static int take_string(struct reader *r, const struct place *p, struct slice object,
                       const char *name, struct slice *out) {
    int rc = take_optional(r, p, object, name, out);
    return rc == 0 && !out->ptr ? refuse_missing(r, p, name) : rc;
}

static bool has_word(const char *words, struct slice word) {
    for (const char *w = words; *w;) {
        size_t len = strcspn(w, " ");
        if (slice_eq(word, slice_make(w, len))) return true;
        w += len + strspn(w + len, " ");
    }
    return false;
}

/* Members that are not among `known` ("type text"). */
static struct field *take_extras(struct reader *r, struct slice object, const char *known) {
    struct json_walk w = json_walk_begin(object);
    struct field *first = NULL, **end = &first;
    struct slice key, value;
    while (json_walk_member(&w, &key, &value)) {
        key = json_text_unescape(key, r->a);
        if (!has_word(known, key)) field_add(r->a, &end, key, value);
    }
    return first;
}

/* ---- blocks ---- */

/* They add to the last part of ps, which has its kind, raw and extras; PART_OPAQUE when the block
 * is in no form that the model knows. May add further parts. */
typedef int read_block_fn(struct reader *r, const struct place *at, struct slice raw,
                          struct parts *ps);

static struct part *last(struct parts *ps) {
    return &ps->list[ps->n - 1];
}

static int read_text(struct reader *r, const struct place *at, struct slice raw, struct parts *ps) {
    return take_string(r, at, raw, "text", &last(ps)->text);
}

/* What images and documents share: base64, url, file. *out_type: the source's. */
static int read_source(struct reader *r, const struct place *at, struct slice raw, struct part *p,
                       struct slice *out_source, struct slice *out_type) {
    struct slice source = member(r, raw, "source");
    *out_source = source;
    if (is_absent(source)) return refuse_missing(r, at, "source");
    if (!json_text_is(source, '{')) return refuse_type(r, at, "source", "an object", source);
    *out_type = json_member_string(source, SLICE("type"), r->a);
    if (!out_type->ptr) return refuse_missing(r, at, "source.type");
    int rc = take_optional(r, at, source, "media_type", &p->media_type);
    if (rc == 0 && slice_eq(*out_type, SLICE("base64"))) {
        rc = take_string(r, at, source, "data", &p->encoded);
        if (rc == 0 && !p->media_type.ptr) rc = refuse_missing(r, at, "source.media_type");
    } else if (rc == 0 && slice_eq(*out_type, SLICE("url"))) {
        rc = take_string(r, at, source, "url", &p->url);
    } else if (rc == 0 && slice_eq(*out_type, SLICE("file"))) {
        rc = take_string(r, at, source, "file_id", &p->file_id);
    }
    return rc;
}

static int read_image(struct reader *r, const struct place *at, struct slice raw,
                      struct parts *ps) {
    struct part *p = last(ps);
    struct slice source, type;
    int rc = read_source(r, at, raw, p, &source, &type);
    if (rc == 0 && !p->encoded.ptr && !p->url.ptr && !p->file_id.ptr) p->kind = PART_OPAQUE;
    return rc;
}

/* A run of texts as one text, each on a line of its own. */
struct joined {
    struct buf text;
    bool has_one;
};

static void join(struct joined *j, struct slice s) {
    if (s.len == 0) return;
    /* the buffer takes whatever the body held */
    if ((j->has_one && buf_append_byte(&j->text, '\n')) || buf_append(&j->text, s)) return;
    j->has_one = true;
}

static int read_block(struct reader *r, const struct place *at, struct slice raw, unsigned role,
                      struct parts *ps);

/* The texts of a list of blocks go to j, images become parts behind. */
static int join_blocks(struct reader *r, const struct place *at, struct slice list,
                       struct joined *j, struct parts *ps) {
    struct json_walk w = json_walk_begin(list);
    struct slice item;
    while (json_walk_element(&w, &item)) {
        struct slice type = json_member_string(item, SLICE("type"), r->a);
        if (slice_eq(type, SLICE("text"))) {
            join(j, json_member_string(item, SLICE("text"), r->a));
        } else if (slice_eq(type, SLICE("image"))) {
            struct part *p = parts_add(ps, r->a, PART_IMAGE);
            p->raw = item;
            int rc = read_image(r, at, item, ps);
            if (rc) return rc;
        }
    }
    return 0;
}

/* Documents made of blocks and search results: a text, title first, then images. */
static int read_joined(struct reader *r, const struct place *at, struct slice first,
                       struct slice second, struct slice content, struct parts *ps) {
    unsigned own = ps->n - 1;
    struct joined j = {.has_one = false};
    buf_init(&j.text, r->messages.len + 16);
    join(&j, first);
    join(&j, second);
    if (json_text_is(content, '"')) join(&j, json_text_string(content, r->a));
    int rc = json_text_is(content, '[') ? join_blocks(r, at, content, &j, ps) : 0;
    ps->list[own].kind = PART_TEXT;
    ps->list[own].text = j.has_one ? arena_dup(r->a, buf_slice(&j.text)) : SLICE("");
    buf_dispose(&j.text);
    return rc;
}

static int read_document(struct reader *r, const struct place *at, struct slice raw,
                         struct parts *ps) {
    struct part *p = last(ps);
    struct slice source, type;
    int rc = read_source(r, at, raw, p, &source, &type);
    if (rc == 0) rc = take_optional(r, at, raw, "title", &p->filename);
    if (rc == 0) rc = take_optional(r, at, raw, "context", &p->context);
    if (rc) return rc;
    if (slice_eq(type, SLICE("content")))
        return read_joined(r, at, p->filename, p->context, member(r, source, "content"), ps);
    if (slice_eq(type, SLICE("text"))) {
        if (!p->media_type.ptr) p->media_type = SLICE("text/plain");
        return take_string(r, at, source, "data", &p->text);
    }
    if (!p->encoded.ptr && !p->url.ptr && !p->file_id.ptr) p->kind = PART_OPAQUE;
    return 0;
}

static int read_search_result(struct reader *r, const struct place *at, struct slice raw,
                              struct parts *ps) {
    struct slice title = SLICE_NULL;
    int rc = take_optional(r, at, raw, "title", &title);
    return rc ? rc : read_joined(r, at, title, SLICE_NULL, member(r, raw, "content"), ps);
}

static int read_thinking(struct reader *r, const struct place *at, struct slice raw,
                         struct parts *ps) {
    struct part *p = last(ps);
    p->text = SLICE("");
    int rc = take_optional(r, at, raw, "thinking", &p->text);
    return rc ? rc : take_optional(r, at, raw, "signature", &p->proof);
}

static int read_redacted(struct reader *r, const struct place *at, struct slice raw,
                         struct parts *ps) {
    return take_string(r, at, raw, "data", &last(ps)->proof);
}

static int read_tool_use(struct reader *r, const struct place *at, struct slice raw,
                         struct parts *ps) {
    struct part *p = last(ps);
    struct slice input = member(r, raw, "input");
    int rc = take_string(r, at, raw, "id", &p->id);
    if (rc == 0) rc = take_string(r, at, raw, "name", &p->name);
    if (rc) return rc;
    if (!is_absent(input) && !json_text_is(input, '{'))
        return refuse_type(r, at, "input", "an object", input);
    p->text = is_absent(input) ? SLICE("{}") : messages_compact(input, r->a);
    return 0;
}

#define IN_SYSTEM    1u
#define IN_USER      2u
#define IN_ASSISTANT 4u
#define IN_RESULT    8u

static const struct block_type {
    const char *name;
    unsigned roles;
    enum part_kind kind;
    read_block_fn *read;
    const char *known;
} block_types[] = {
    {"text", IN_SYSTEM | IN_USER | IN_ASSISTANT | IN_RESULT, PART_TEXT, read_text, "type text"},
    {"image", IN_USER | IN_RESULT, PART_IMAGE, read_image, "type source"},
    {"document", IN_USER | IN_RESULT, PART_FILE, read_document, "type source title context"},
    {"search_result", IN_USER | IN_RESULT, PART_TEXT, read_search_result,
     "type source title content"},
    {"thinking", IN_ASSISTANT, PART_REASONING, read_thinking, "type thinking signature"},
    {"redacted_thinking", IN_ASSISTANT, PART_REDACTED, read_redacted, "type data"},
    {"tool_use", IN_ASSISTANT, PART_TOOL_CALL, read_tool_use, "type id name input"},
};

static int block_type(struct reader *r, const struct place *at, struct slice raw,
                      struct slice *out) {
    if (!json_text_is(raw, '{')) return refuse_type(r, at, NULL, "an object", raw);
    return take_string(r, at, raw, "type", out);
}

static int read_block(struct reader *r, const struct place *at, struct slice raw, unsigned role,
                      struct parts *ps) {
    struct slice name = SLICE_NULL;
    int rc = block_type(r, at, raw, &name);
    if (rc) return rc;
    struct part *p = parts_add(ps, r->a, PART_OPAQUE);
    p->raw = raw;
    for (size_t i = 0; i < sizeof block_types / sizeof *block_types; i++) {
        const struct block_type *type = &block_types[i];
        if (!(type->roles & role) || !slice_eq(name, slice_cstr(type->name))) continue;
        p->kind = type->kind;
        p->extras = take_extras(r, raw, type->known);
        return type->read(r, at, raw, ps);
    }
    return 0;
}

/* index: the one of `at` that counts the list's elements. */
static int read_blocks(struct reader *r, struct place *at, int *index, struct slice list,
                       unsigned role, struct parts *ps) {
    struct json_walk w = json_walk_begin(list);
    struct slice item;
    for (*index = 0; json_walk_element(&w, &item); ++*index) {
        int rc = read_block(r, at, item, role, ps);
        if (rc) return rc;
    }
    *index = -1;
    return 0;
}

static void take_parts(struct message *m, const struct parts *ps) {
    m->parts = ps->list;
    m->n_parts = ps->n;
}

/* ---- messages ---- */

static int read_result(struct reader *r, struct place *at, struct slice raw) {
    struct message *m = message_add(r->rq, r->a, ROLE_TOOL);
    struct parts ps = {0}, inner = {0};
    struct part *p = parts_add(&ps, r->a, PART_TOOL_RESULT);
    struct slice content = member(r, raw, "content"), is_error = member(r, raw, "is_error");
    p->raw = raw;
    p->extras = take_extras(r, raw, "type tool_use_id content is_error");
    p->text = SLICE("");
    p->is_error = slice_eq(is_error, SLICE("true"));
    take_parts(m, &ps);
    int rc = take_string(r, at, raw, "tool_use_id", &p->id);
    if (rc) return rc;
    if (!is_absent(is_error) && !p->is_error && !slice_eq(is_error, SLICE("false")))
        return refuse_type(r, at, "is_error", "a boolean", is_error);
    m->content_is_string = json_text_is(content, '"');
    if (m->content_is_string) p->text = json_text_string(content, r->a);
    if (m->content_is_string || is_absent(content)) return 0;
    if (!json_text_is(content, '['))
        return refuse_type(r, at, "content", "one of a string or array of objects", content);
    rc = read_blocks(r, at, &at->inner, content, IN_RESULT, &inner);
    p->inner = inner.list;
    p->n_inner = inner.n;
    return rc;
}

/* Results become messages of their own, before the one with the rest. */
static int read_turn(struct reader *r, struct place *at, struct slice list, struct parts *ps) {
    struct json_walk w = json_walk_begin(list);
    struct slice item, type = SLICE_NULL;
    for (at->part = 0; json_walk_element(&w, &item); at->part++) {
        int rc = block_type(r, at, item, &type);
        if (rc == 0 && slice_eq(type, SLICE("tool_result")))
            rc = read_result(r, at, item);
        else if (rc == 0)
            rc = read_block(r, at, item, IN_USER, ps);
        if (rc) return rc;
    }
    at->part = -1;
    return 0;
}

static int read_role(struct reader *r, const struct place *at, struct slice raw,
                     enum role *out_role) {
    struct slice role = SLICE_NULL;
    char name[96];
    int rc = take_string(r, at, raw, "role", &role);
    if (rc) return rc;
    *out_role = ROLE_USER;
    if (slice_eq(role, SLICE("user"))) return 0;
    *out_role = ROLE_ASSISTANT;
    if (slice_eq(role, SLICE("assistant"))) return 0;
    *out_role = ROLE_SYSTEM;
    if (slice_eq(role, SLICE("system"))) return 0;
    place_name(at, "role", name, sizeof name);
    return request_refuse(r->fault, "invalid_value", name,
                          "Invalid value for '%s': '%.*s'. Supported values are: 'user', "
                          "'assistant' and 'system'.",
                          name, (int)(role.len < 32 ? role.len : 32), role.ptr);
}

static int read_message(struct reader *r, struct slice raw, int i) {
    struct place at = {"messages", i, -1, -1};
    struct message *before = r->rq->messages_end;
    struct parts ps = {0};
    enum role role = ROLE_USER;
    if (!json_text_is(raw, '{')) return refuse_type(r, &at, NULL, "an object", raw);
    int rc = read_role(r, &at, raw, &role);
    if (rc) return rc;
    struct slice content = member(r, raw, "content");
    bool is_string = json_text_is(content, '"');
    if (!content.ptr) return refuse_missing(r, &at, "content");
    if (!is_string && !json_text_is(content, '['))
        return refuse_type(r, &at, "content", "one of a string or array of objects", content);
    if (is_string)
        parts_add(&ps, r->a, PART_TEXT)->text = json_text_string(content, r->a);
    else if (role == ROLE_USER)
        rc = read_turn(r, &at, content, &ps);
    else
        rc = read_blocks(r, &at, &at.part, content, role == ROLE_SYSTEM ? IN_SYSTEM : IN_ASSISTANT,
                         &ps);
    if (rc) return rc;
    if (ps.n > 0 || r->rq->messages_end == before) {
        struct message *m = message_add(r->rq, r->a, role);
        m->content_is_string = is_string;
        take_parts(m, &ps);
    }
    /* the turn's own are with its first message */
    struct message *first = before ? before->next : r->rq->messages;
    first->extras = take_extras(r, raw, "role content");
    return 0;
}

static int read_messages(struct reader *r) {
    struct json_walk w = json_walk_begin(r->messages);
    struct slice raw;
    for (int i = 0; json_walk_element(&w, &raw); i++) {
        int rc = read_message(r, raw, i);
        if (rc) return rc;
    }
    return 0;
}

static int read_system(struct reader *r) {
    struct place at = {"system", 0, -1, -1};
    struct parts ps = {0};
    if (!r->system.ptr) return 0;
    bool is_string = json_text_is(r->system, '"');
    if (!is_string && !json_text_is(r->system, '['))
        return request_refuse_type(r->fault, "system", "one of a string or array of objects",
                                   r->system);
    int rc = 0;
    if (is_string)
        parts_add(&ps, r->a, PART_TEXT)->text = json_text_string(r->system, r->a);
    else
        rc = read_blocks(r, &at, &at.i, r->system, IN_SYSTEM, &ps);
    struct message *m = message_add(r->rq, r->a, ROLE_SYSTEM);
    m->is_instructions = true;
    m->content_is_string = is_string;
    take_parts(m, &ps);
    return rc;
}

/* ---- tools ---- */

static int read_tool(struct reader *r, struct slice raw, int i) {
    struct place at = {"tools", i, -1, -1};
    if (!json_text_is(raw, '{')) return refuse_type(r, &at, NULL, "an object", raw);
    struct tool *t = tool_add(r->rq, r->a);
    t->raw = raw;
    int rc = take_optional(r, &at, raw, "type", &t->type);
    if (rc) return rc;
    if (t->type.ptr && !slice_eq(t->type, SLICE("custom"))) {
        t->name = json_member_string(raw, SLICE("name"), r->a);
        return 0;
    }
    struct slice schema = member(r, raw, "input_schema");
    t->kind = TOOL_FUNCTION;
    rc = take_string(r, &at, raw, "name", &t->name);
    if (rc == 0) rc = take_optional(r, &at, raw, "description", &t->description);
    if (rc) return rc;
    if (!is_absent(schema) && !json_text_is(schema, '{'))
        return refuse_type(r, &at, "input_schema", "an object", schema);
    if (!is_absent(schema)) t->parameters = schema;
    t->strict = json_member_bool(raw, SLICE("strict"), r->a);
    t->extras = take_extras(r, raw, "type name description input_schema strict");
    return 0;
}

static int read_tools(struct reader *r) {
    struct json_walk w = json_walk_begin(r->tools);
    struct slice raw;
    if (!r->tools.ptr) return 0;
    if (!json_text_is(r->tools, '['))
        return request_refuse_type(r->fault, "tools", "an array of objects", r->tools);
    for (int i = 0; json_walk_element(&w, &raw); i++) {
        int rc = read_tool(r, raw, i);
        if (rc) return rc;
    }
    return 0;
}

/* ---- top level: each takes a value that is not null; *is_whole: the model has all of it ---- */

typedef int read_member_fn(struct reader *r, struct slice value, bool *is_whole);

static int read_tool_choice(struct reader *r, struct slice value, bool *is_whole) {
    static const char *const words[] = {[TOOL_CHOICE_AUTO] = "auto",
                                        [TOOL_CHOICE_NONE] = "none",
                                        [TOOL_CHOICE_REQUIRED] = "any",
                                        [TOOL_CHOICE_NAMED] = "tool"};
    struct llm_request *rq = r->rq;
    (void)is_whole;
    if (!json_text_is(value, '{'))
        return request_refuse_type(r->fault, "tool_choice", "an object", value);
    struct slice type = json_member_string(value, SLICE("type"), r->a);
    int serial = json_member_bool(value, SLICE("disable_parallel_tool_use"), r->a);
    if (!type.ptr) return request_refuse_missing(r->fault, "tool_choice.type");
    rq->tool_choice_raw = value;
    rq->tool_choice = TOOL_CHOICE_OTHER;
    if (serial >= 0) rq->parallel_tools = !serial;
    for (unsigned i = TOOL_CHOICE_AUTO; i <= TOOL_CHOICE_NAMED; i++) {
        if (slice_eq(type, slice_cstr(words[i]))) rq->tool_choice = (enum tool_choice_kind)i;
    }
    if (rq->tool_choice != TOOL_CHOICE_NAMED) return 0;
    rq->tool_choice_name = json_member_string(value, SLICE("name"), r->a);
    return rq->tool_choice_name.ptr ? 0 : request_refuse_missing(r->fault, "tool_choice.name");
}

static int read_stop(struct reader *r, struct slice value, bool *is_whole) {
    struct llm_request *rq = r->rq;
    struct json_walk w = json_walk_begin(value);
    struct slice item;
    unsigned n = 0;
    (void)is_whole;
    if (!json_text_is(value, '['))
        return request_refuse_type(r->fault, "stop_sequences", "an array of strings", value);
    while (json_walk_element(&w, &item))
        n++;
    rq->stop = arena_alloc(r->a, (n + 1) * sizeof *rq->stop);
    w = json_walk_begin(value);
    while (json_walk_element(&w, &item)) {
        char name[48];
        snprintf(name, sizeof name, "stop_sequences[%u]", rq->n_stop);
        if (!json_text_is(item, '"')) return request_refuse_type(r->fault, name, "a string", item);
        rq->stop[rq->n_stop++] = json_text_string(item, r->a);
    }
    return 0;
}

static int take_number(struct reader *r, const char *name, struct slice value, struct slice *out) {
    if (strchr("\"{[tf", value.ptr[0]))
        return request_refuse_type(r->fault, name, "a number", value);
    *out = value;
    return 0;
}

static int read_temperature(struct reader *r, struct slice value, bool *is_whole) {
    (void)is_whole;
    return take_number(r, "temperature", value, &r->rq->temperature);
}

static int read_top_p(struct reader *r, struct slice value, bool *is_whole) {
    (void)is_whole;
    return take_number(r, "top_p", value, &r->rq->top_p);
}

static int read_top_k(struct reader *r, struct slice value, bool *is_whole) {
    (void)is_whole;
    return take_number(r, "top_k", value, &r->rq->top_k);
}

static int read_budget(struct slice value, struct arena *a, struct reasoning_ask *out,
                       struct request_fault *fault) {
    static const char name[] = "thinking.budget_tokens";
    struct slice budget = json_member(value, SLICE("budget_tokens"), a);
    if (is_absent(budget)) return request_refuse_missing(fault, name);
    if (!json_text_int(budget, &out->budget_tokens))
        return request_refuse_type(fault, name, "an integer", budget);
    if (out->budget_tokens >= 1) return 0;
    return request_refuse(fault, "integer_below_min_value", name,
                          "Invalid '%s': integer below minimum value. Expected a value >= 1024, "
                          "but got %lld instead.",
                          name, (long long)out->budget_tokens);
}

int messages_read_thinking(struct slice value, struct arena *a, struct reasoning_ask *out,
                           struct request_fault *fault) {
    if (!json_text_is(value, '{'))
        return request_refuse_type(fault, "thinking", "an object", value);
    struct slice type = json_member_string(value, SLICE("type"), a);
    struct slice display = json_member_string(value, SLICE("display"), a);
    if (!type.ptr) return request_refuse_missing(fault, "thinking.type");
    if (slice_eq(display, SLICE("summarized"))) out->is_visible = 1;
    if (slice_eq(display, SLICE("omitted"))) out->is_visible = 0;
    out->thinking = THINKING_OTHER;
    if (slice_eq(type, SLICE("disabled"))) out->thinking = THINKING_OFF;
    if (slice_eq(type, SLICE("adaptive"))) out->thinking = THINKING_ADAPTIVE;
    if (!slice_eq(type, SLICE("enabled"))) return 0;
    out->thinking = THINKING_BUDGET;
    return read_budget(value, a, out, fault);
}

static int read_thinking_member(struct reader *r, struct slice value, bool *is_whole) {
    (void)is_whole;
    return messages_read_thinking(value, r->a, &r->rq->reasoning, r->fault);
}

static int read_format(struct reader *r, const char *name, struct slice value) {
    struct output_format *f = &r->rq->format;
    char schema_name[48];
    snprintf(schema_name, sizeof schema_name, "%s.schema", name);
    if (!json_text_is(value, '{')) return request_refuse_type(r->fault, name, "an object", value);
    struct slice schema = json_member(value, SLICE("schema"), r->a);
    if (!slice_eq(json_member_string(value, SLICE("type"), r->a), SLICE("json_schema"))) {
        f->kind = FORMAT_OTHER;
        return 0;
    }
    if (is_absent(schema)) return request_refuse_missing(r->fault, schema_name);
    if (!json_text_is(schema, '{'))
        return request_refuse_type(r->fault, schema_name, "an object", schema);
    f->kind = FORMAT_JSON_SCHEMA;
    f->schema = schema;
    return 0;
}

/* The older spelling gives way to the newer one, whichever comes first. */
static int read_old_format(struct reader *r, struct slice value, bool *is_whole) {
    (void)is_whole;
    return r->rq->format.kind ? 0 : read_format(r, "output_format", value);
}

static int read_output_config(struct reader *r, struct slice value, bool *is_whole) {
    if (!json_text_is(value, '{'))
        return request_refuse_type(r->fault, "output_config", "an object", value);
    struct slice effort = member(r, value, "effort"), format = member(r, value, "format");
    if (take_extras(r, value, "effort format")) *is_whole = false;
    if (!is_absent(effort) && !json_text_is(effort, '"'))
        return request_refuse_type(r->fault, "output_config.effort", "a string", effort);
    if (!is_absent(effort)) r->rq->reasoning.effort = json_text_string(effort, r->a);
    return is_absent(format) ? 0 : read_format(r, "output_config.format", format);
}

static int read_metadata(struct reader *r, struct slice value, bool *is_whole) {
    if (!json_text_is(value, '{'))
        return request_refuse_type(r->fault, "metadata", "an object", value);
    struct slice user = member(r, value, "user_id");
    if (take_extras(r, value, "user_id")) *is_whole = false;
    if (!is_absent(user) && !json_text_is(user, '"'))
        return request_refuse_type(r->fault, "metadata.user_id", "a string", user);
    if (!is_absent(user)) r->rq->user = json_text_string(user, r->a);
    return 0;
}

static int read_service_tier(struct reader *r, struct slice value, bool *is_whole) {
    struct slice tier = json_text_string(value, r->a);
    if (!tier.ptr) return request_refuse_type(r->fault, "service_tier", "a string", value);
    if (slice_eq(tier, SLICE("auto")))
        r->rq->service_tier = SLICE("auto");
    else if (slice_eq(tier, SLICE("standard_only")))
        r->rq->service_tier = SLICE("default");
    else
        *is_whole = false;
    return 0;
}

static int read_thread(struct reader *r, struct slice value, bool *is_whole) {
    *is_whole = true;
    if (messages_is_said(value)) r->rq->thread = value;
    return 0;
}

static int read_mcp_servers(struct reader *r, struct slice value, bool *is_whole) {
    (void)is_whole;
    if (!json_text_is(value, '['))
        return request_refuse_type(r->fault, "mcp_servers", "an array of objects", value);
    if (messages_is_said(value)) r->rq->mcp_servers = value;
    return 0;
}

static int read_cache_control(struct reader *r, struct slice value, bool *is_whole) {
    (void)is_whole;
    if (!json_text_is(value, '{'))
        return request_refuse_type(r->fault, "cache_control", "an object", value);
    r->rq->cache_control = value;
    return 0;
}

/* The envelope has it. */
static int read_nothing(struct reader *r, struct slice value, bool *is_whole) {
    (void)r;
    (void)value;
    (void)is_whole;
    return 0;
}

static const struct root_member {
    const char *name;
    read_member_fn *read;
    bool is_field; /* of the model alone: not among params when it says something */
} root_members[] = {
    {"max_tokens", read_nothing, false},
    {"stream", read_nothing, false},
    {"tool_choice", read_tool_choice, true},
    {"stop_sequences", read_stop, true},
    {"temperature", read_temperature, false},
    {"top_p", read_top_p, false},
    {"top_k", read_top_k, false},
    {"thinking", read_thinking_member, false},
    {"output_config", read_output_config, false},
    {"output_format", read_old_format, false},
    {"metadata", read_metadata, false},
    {"service_tier", read_service_tier, false},
    {"mcp_servers", read_mcp_servers, false},
    {"thread", read_thread, false},
    {"cache_control", read_cache_control, false},
};
#define N_ROOT_MEMBERS (sizeof root_members / sizeof *root_members)

static int refuse_twice(struct reader *r, struct slice key) {
    char name[32];
    snprintf(name, sizeof name, "%.*s", (int)(key.len < 31 ? key.len : 31), key.ptr);
    return request_refuse(r->fault, "invalid_value", name,
                          "Invalid request: the key '%s' is there twice.", name);
}

/* What the model keeps in a place of its own and reads when all of the root is known. */
static struct slice *root_slot(struct reader *r, struct slice key) {
    if (slice_eq(key, SLICE("messages"))) return &r->messages;
    if (slice_eq(key, SLICE("system"))) return &r->system;
    return slice_eq(key, SLICE("tools")) ? &r->tools : NULL;
}

static bool is_empty_list(struct slice value) {
    struct json_walk w = json_walk_begin(value);
    struct slice first;
    return json_text_is(value, '[') && !json_walk_element(&w, &first);
}

static int read_param(struct reader *r, struct slice key, struct slice value, unsigned *seen) {
    const struct root_member *m = NULL;
    bool is_whole = true; /* null and [] are: they say nothing */
    for (unsigned i = 0; i < N_ROOT_MEMBERS && !m; i++) {
        if (!slice_eq(key, slice_cstr(root_members[i].name))) continue;
        m = &root_members[i];
        if (*seen & 1u << i) return refuse_twice(r, key);
        *seen |= 1u << i;
    }
    bool says_nothing = json_text_is_null(value) || (m && m->is_field && is_empty_list(value));
    int rc = m && !says_nothing ? m->read(r, value, &is_whole) : 0;
    if (rc || (m && m->is_field && !says_nothing)) return rc;
    field_add(r->a, &r->params_end, key, value)->is_understood =
        (m && is_whole) || !messages_is_said(value);
    return 0;
}

static int read_root(struct reader *r, struct slice body) {
    struct json_walk w = json_walk_begin(slice_from(body, r->rq->env.root_open));
    struct slice key, value;
    unsigned seen = 0;
    while (json_walk_member(&w, &key, &value)) {
        key = json_text_unescape(key, r->a);
        struct slice *slot = root_slot(r, key);
        if (slice_eq(key, SLICE("model"))) continue;
        if (slot && slot->ptr) return refuse_twice(r, key);
        bool says_nothing = json_text_is_null(value) || (slot == &r->tools && is_empty_list(value));
        if (slot && !says_nothing) {
            *slot = value;
            continue;
        }
        int rc = read_param(r, key, value, &seen);
        if (rc) return rc;
    }
    return 0;
}

static int decode(struct slice body, struct arena *a, bool is_count, struct llm_request *out,
                  struct request_fault *fault) {
    request_init(out, dialect_messages.name);
    struct reader r = {.a = a, .rq = out, .fault = fault, .params_end = &out->params};
    int rc = is_count ? messages_peek_count(body, a, &out->env, fault)
                      : messages_peek_request(body, a, &out->env, fault);
    if (rc == 0) rc = request_check_size(body, fault);
    if (rc == 0) rc = read_root(&r, body);
    if (rc == 0) rc = read_system(&r);
    if (rc == 0) rc = read_messages(&r);
    if (rc == 0) rc = read_tools(&r);
    return rc;
}

int messages_decode_request(struct slice body, struct arena *a, struct llm_request *out,
                            struct request_fault *fault) {
    return decode(body, a, false, out, fault);
}

int messages_decode_count(struct slice body, struct arena *a, struct llm_request *out,
                          struct request_fault *fault) {
    return decode(body, a, true, out, fault);
}
