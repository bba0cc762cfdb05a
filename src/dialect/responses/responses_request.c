/* SPDX-License-Identifier: Apache-2.0 */
/* The whole request to the model: the root's members by a table, the input by responses_items.c. */
#include "dialect/responses/responses-private.h"

#include <stdio.h>

#include "dialect/peek.h"

/* ---- values by their type ---- */

static int want_string(struct responses_reader *r, const char *name, struct slice value,
                       struct slice *out) {
    if (!json_text_is(value, '"')) return request_refuse_type(r->fault, name, "a string", value);
    *out = json_text_string(value, r->a);
    return 0;
}

static int want_bool(struct responses_reader *r, const char *name, struct slice value, int *out) {
    *out = slice_eq(value, SLICE("true"));
    if (*out || slice_eq(value, SLICE("false"))) return 0;
    return request_refuse_type(r->fault, name, "a boolean", value);
}

static int want_number(struct responses_reader *r, const char *name, struct slice value,
                       struct slice *out) {
    bool is_number =
        value.len > 0 && (value.ptr[0] == '-' || (value.ptr[0] >= '0' && value.ptr[0] <= '9'));
    if (!is_number) return request_refuse_type(r->fault, name, "a number", value);
    *out = value;
    return 0;
}

static int want_object(struct responses_reader *r, const char *name, struct slice value,
                       struct slice *out) {
    if (!json_text_is(value, '{')) return request_refuse_type(r->fault, name, "an object", value);
    *out = value;
    return 0;
}

/* ---- members with a structure ---- */

static int read_instructions(struct responses_reader *r, struct slice value) {
    struct slice text;
    int rc = want_string(r, "instructions", value, &text);
    if (rc) return rc;
    struct message *m = message_add(r->rq, r->a, ROLE_SYSTEM);
    struct parts ps = {0};
    parts_add(&ps, r->a, PART_TEXT)->text = text;
    m->is_instructions = m->content_is_string = true;
    m->parts = ps.list;
    m->n_parts = ps.n;
    return 0;
}

static int read_tools(struct responses_reader *r, struct slice value) {
    return responses_read_tools(r, value, SLICE_NULL, "tools");
}

static int read_background(struct responses_reader *r, struct slice value) {
    int is_set = 0;
    int rc = want_bool(r, "background", value, &is_set);
    r->rq->background = is_set;
    return rc;
}

static int read_parallel(struct responses_reader *r, struct slice value) {
    return want_bool(r, "parallel_tool_calls", value, &r->rq->parallel_tools);
}

static int read_json_schema(struct responses_reader *r, struct field *members) {
    struct output_format *f = &r->rq->format;
    struct slice strict = responses_take(&members, "strict"),
                 schema = responses_take(&members, "schema");
    f->kind = FORMAT_JSON_SCHEMA;
    int rc = responses_take_string(r, &members, "text.format", "name", false, &f->name);
    if (rc == 0)
        rc = responses_take_string(r, &members, "text.format", "description", false,
                                   &f->description);
    if (rc == 0 && !schema.ptr) rc = responses_refuse_missing(r, "text.format", "schema");
    if (rc == 0) rc = want_object(r, "text.format.schema", schema, &f->schema);
    if (rc == 0 && strict.ptr && !json_text_is_null(strict))
        rc = want_bool(r, "text.format.strict", strict, &f->strict);
    return rc;
}

static int read_format(struct responses_reader *r, struct slice value) {
    struct slice type;
    if (!json_text_is(value, '{'))
        return request_refuse_type(r->fault, "text.format", "an object", value);
    struct field *members = responses_members(r, value);
    int rc = responses_take_string(r, &members, "text.format", "type", true, &type);
    if (rc) return rc;
    if (slice_eq(type, SLICE("json_schema"))) return read_json_schema(r, members);
    if (slice_eq(type, SLICE("text"))) r->rq->format.kind = FORMAT_TEXT;
    if (slice_eq(type, SLICE("json_object"))) r->rq->format.kind = FORMAT_JSON_OBJECT;
    if (r->rq->format.kind != FORMAT_UNSET) return 0;
    return request_refuse(r->fault, "invalid_value", "text.format.type",
                          "Invalid value for 'text.format.type': '%.*s'. Supported values are: "
                          "'text', 'json_object' and 'json_schema'.",
                          (int)(type.len < 32 ? type.len : 32), type.ptr);
}

static int read_text(struct responses_reader *r, struct slice value) {
    struct slice object, format;
    int rc = want_object(r, "text", value, &object);
    if (rc) return rc;
    struct field *members = responses_members(r, object);
    rc = responses_take_string(r, &members, "text", "verbosity", false, &r->rq->verbosity);
    format = responses_take(&members, "format");
    if (rc == 0 && format.ptr && !json_text_is_null(format)) rc = read_format(r, format);
    return rc;
}

static int read_reasoning(struct responses_reader *r, struct slice value) {
    struct reasoning_ask *ask = &r->rq->reasoning;
    struct slice object, old;
    int rc = want_object(r, "reasoning", value, &object);
    if (rc) return rc;
    struct field *members = responses_members(r, object);
    rc = responses_take_string(r, &members, "reasoning", "effort", false, &ask->effort);
    if (rc == 0)
        rc = responses_take_string(r, &members, "reasoning", "summary", false, &ask->summary);
    if (rc == 0)
        rc = responses_take_string(r, &members, "reasoning", "generate_summary", false, &old);
    if (rc == 0 && !ask->summary.ptr) ask->summary = old;
    if (ask->summary.len > 0) ask->is_visible = 1;
    return rc;
}

static int read_include(struct responses_reader *r, struct slice value) {
    struct json_walk w = json_walk_begin(value);
    struct slice item, word;
    if (!json_text_is(value, '['))
        return request_refuse_type(r->fault, "include", "an array of strings", value);
    for (unsigned i = 0; json_walk_element(&w, &item); i++) {
        char at[32];
        snprintf(at, sizeof at, "include[%u]", i);
        int rc = want_string(r, at, item, &word);
        if (rc) return rc;
        if (slice_eq(word, SLICE("reasoning.encrypted_content")))
            r->rq->wants_encrypted_reasoning = true;
        if (slice_eq(word, SLICE("message.output_text.logprobs"))) r->rq->logprobs = 1;
    }
    return 0;
}

static int read_top_logprobs(struct responses_reader *r, struct slice value) {
    int64_t n;
    if (!json_text_int(value, &n))
        return request_refuse_type(r->fault, "top_logprobs", "an integer", value);
    if (n < 0 || n > 20) {
        return request_refuse(
            r->fault, n < 0 ? "integer_below_min_value" : "integer_above_max_value", "top_logprobs",
            "Invalid 'top_logprobs': expected a value between 0 and 20, but got "
            "%lld instead.",
            (long long)n);
    }
    r->rq->top_logprobs = n;
    return 0;
}

/* Checked by the envelope. */
static int read_nothing(struct responses_reader *r, struct slice value) {
    (void)r;
    (void)value;
    return 0;
}

static int read_raw_conversation(struct responses_reader *r, struct slice value) {
    r->rq->conversation = value;
    return 0;
}

static int read_previous(struct responses_reader *r, struct slice value) {
    r->rq->previous_response_id = json_text_string(value, r->a);
    return 0;
}

/* ---- the root ---- */

enum want { WANT_READ, WANT_STRING, WANT_NUMBER, WANT_OBJECT };
#define AT(field) offsetof(struct llm_request, field)
static const struct root_member {
    const char *name;
    enum want want;
    size_t at; /* the slice in the request, but for WANT_READ */
    int (*read)(struct responses_reader *r, struct slice value);
} root_members[] = {
    {"instructions", WANT_READ, 0, read_instructions},
    {"input", WANT_READ, 0, responses_read_input},
    {"tools", WANT_READ, 0, read_tools},
    {"tool_choice", WANT_READ, 0, responses_read_tool_choice},
    {"parallel_tool_calls", WANT_READ, 0, read_parallel},
    {"text", WANT_READ, 0, read_text},
    {"reasoning", WANT_READ, 0, read_reasoning},
    {"include", WANT_READ, 0, read_include},
    {"top_logprobs", WANT_READ, 0, read_top_logprobs},
    {"background", WANT_READ, 0, read_background},
    {"stream", WANT_READ, 0, read_nothing},
    {"stream_options", WANT_READ, 0, read_nothing},
    {"max_output_tokens", WANT_READ, 0, read_nothing},
    {"store", WANT_READ, 0, read_nothing},
    {"previous_response_id", WANT_READ, 0, read_previous},
    {"conversation", WANT_READ, 0, read_raw_conversation},
    {"prompt", WANT_OBJECT, AT(prompt), NULL},
    {"metadata", WANT_OBJECT, AT(metadata), NULL},
    {"temperature", WANT_NUMBER, AT(temperature), NULL},
    {"top_p", WANT_NUMBER, AT(top_p), NULL},
    {"user", WANT_STRING, AT(user), NULL},
    {"safety_identifier", WANT_STRING, AT(safety_identifier), NULL},
    {"prompt_cache_key", WANT_STRING, AT(prompt_cache_key), NULL},
    {"service_tier", WANT_STRING, AT(service_tier), NULL},
    {"truncation", WANT_STRING, AT(truncation), NULL},
};
#define N_MEMBERS (sizeof root_members / sizeof *root_members)

static int read_member(struct responses_reader *r, const struct root_member *m,
                       struct slice value) {
    struct slice *to = (struct slice *)(void *)((char *)r->rq + m->at);
    switch (m->want) {
    case WANT_STRING: return want_string(r, m->name, value, to);
    case WANT_NUMBER: return want_number(r, m->name, value, to);
    case WANT_OBJECT: return want_object(r, m->name, value, to);
    case WANT_READ: break;
    }
    return m->read(r, value);
}

static bool is_empty_list(struct slice value) {
    struct json_walk w = json_walk_begin(value);
    struct slice first;
    return json_text_is(value, '[') && !json_walk_element(&w, &first);
}

/* Keeps every member as it came, and finds those that have a reader. */
static int note_members(struct responses_reader *r, struct slice body, struct slice *values) {
    struct json_walk w = json_walk_begin(slice_from(body, r->rq->env.root_open));
    struct slice key, value;
    while (json_walk_member(&w, &key, &value)) {
        size_t k = 0;
        key = json_text_unescape(key, r->a);
        if (slice_eq(key, SLICE("model"))) continue;
        while (k < N_MEMBERS && !slice_eq(key, slice_cstr(root_members[k].name)))
            k++;
        struct field *f = field_add(r->a, &r->params_end, key, value);
        f->is_understood = k < N_MEMBERS || json_text_is_null(value) || is_empty_list(value);
        if (k == N_MEMBERS) continue;
        if (values[k].ptr) {
            return request_refuse(r->fault, "invalid_value", root_members[k].name,
                                  "Invalid request: the key '%s' is there twice.",
                                  root_members[k].name);
        }
        values[k] = value;
    }
    return 0;
}

int responses_decode_request(struct slice body, struct arena *a, struct llm_request *out,
                             struct request_fault *fault) {
    struct slice values[N_MEMBERS] = {{NULL, 0}};
    request_init(out, "responses");
    struct responses_reader r = {
        .a = a, .rq = out, .fault = fault, .params_end = &out->params, .calls = {.a = a}};
    int rc = responses_peek_request(body, a, &out->env, fault);
    out->store = out->env.store;
    if (rc == 0) rc = request_check_size(body, fault);
    if (rc == 0) rc = note_members(&r, body, values);
    for (size_t k = 0; rc == 0 && k < N_MEMBERS; k++) {
        if (values[k].ptr && !json_text_is_null(values[k]))
            rc = read_member(&r, &root_members[k], values[k]);
    }
    return rc;
}
