/* SPDX-License-Identifier: Apache-2.0 */
/* The members beside messages and tools: one table, from the wire's names to the model's fields. */
#include "dialect/chat/chat-request.h"

#include <stddef.h>

#include "dialect/peek.h"

/* ---- members that are more than one value ---- */

static struct slice trimmed_string(struct chat_reader *r, struct slice object, const char *name) {
    return json_member_string(object, slice_cstr(name), r->a);
}

/* OpenRouter's: {"effort"} or {"max_tokens"}, {"exclude"}, {"enabled"}. */
static int take_reasoning(struct chat_reader *r, struct field *f) {
    struct reasoning_ask *ask = &r->rq->reasoning;
    struct slice budget = json_member(f->value, SLICE("max_tokens"), r->a),
                 effort = trimmed_string(r, f->value, "effort");
    int is_on = json_member_bool(f->value, SLICE("enabled"), r->a),
        is_hidden = json_member_bool(f->value, SLICE("exclude"), r->a);
    if (!json_text_is(f->value, '{')) return 0;
    f->is_understood = true;
    if (ask->effort.len == 0) ask->effort = effort;
    if (json_text_int(budget, &ask->budget_tokens)) ask->thinking = THINKING_BUDGET;
    else if (is_on == 1 && effort.len == 0) ask->thinking = THINKING_ADAPTIVE;
    else if (is_on == 0) ask->thinking = THINKING_OFF;
    ask->is_visible = is_hidden == 1 ? 0 : 1;
    return 0;
}

/* Anthropic's, which many compatible servers take. */
static int take_thinking(struct chat_reader *r, struct field *f) {
    struct reasoning_ask *ask = &r->rq->reasoning;
    struct slice type = trimmed_string(r, f->value, "type");
    if (!type.ptr) return 0;
    f->is_understood = true;
    ask->thinking = THINKING_OTHER;
    if (slice_eq(type, SLICE("disabled"))) ask->thinking = THINKING_OFF;
    if (slice_eq(type, SLICE("adaptive"))) ask->thinking = THINKING_ADAPTIVE;
    if (slice_eq(type, SLICE("enabled"))) {
        bool has_budget = json_text_int(json_member(f->value, SLICE("budget_tokens"), r->a),
                                        &ask->budget_tokens);
        ask->thinking = has_budget ? THINKING_BUDGET : THINKING_ADAPTIVE;
    }
    if (ask->thinking != THINKING_OFF) ask->is_visible = 1;
    return 0;
}

static int take_format(struct chat_reader *r, struct field *f) {
    struct output_format *format = &r->rq->format;
    struct slice type = trimmed_string(r, f->value, "type"),
                 schema = json_member(f->value, SLICE("json_schema"), r->a);
    if (!json_text_is(f->value, '{'))
        return request_refuse_type(r->fault, "response_format", "an object", f->value);
    f->is_understood = true;
    if (slice_eq(type, SLICE("text"))) format->kind = FORMAT_TEXT;
    else if (slice_eq(type, SLICE("json_object"))) format->kind = FORMAT_JSON_OBJECT;
    else if (!slice_eq(type, SLICE("json_schema"))) format->kind = FORMAT_OTHER;
    if (format->kind != FORMAT_UNSET) return 0;
    if (!json_text_is(schema, '{'))
        return request_refuse_missing(r->fault, "response_format.json_schema");
    format->kind = FORMAT_JSON_SCHEMA;
    format->name = trimmed_string(r, schema, "name");
    format->description = trimmed_string(r, schema, "description");
    format->strict = json_member_bool(schema, SLICE("strict"), r->a);
    struct slice inner = json_member(schema, SLICE("schema"), r->a);
    if (json_text_is(inner, '{')) format->schema = inner;
    return 0;
}

static int take_modalities(struct chat_reader *r, struct field *f) {
    struct json_walk w = json_walk_begin(f->value);
    struct slice one;
    f->is_understood = json_text_is(f->value, '[');
    while (json_walk_element(&w, &one))
        r->rq->wants_audio |= slice_eq(json_text_string(one, r->a), SLICE("audio"));
    return 0;
}

/* Says how audio shall sound; whether it is wanted, `modalities` says. */
static int take_audio_settings(struct chat_reader *r, struct field *f) {
    (void)r;
    f->is_understood = true;
    return 0;
}

/* ---- the table ---- */

enum param_kind {
    PARAM_ENVELOPE, /* peek has read it */
    PARAM_NUMBER,   /* as it is spelt */
    PARAM_OBJECT,   /* raw */
    PARAM_STRING,
    PARAM_BOOL,     /* int: 0, 1 */
    PARAM_INT64,
    PARAM_OTHER     /* take */
};

static const struct param_row {
    const char *name;
    enum param_kind kind;
    size_t offset; /* in struct llm_request */
    int (*take)(struct chat_reader *r, struct field *f);
} rows[] = {
#define FIELD(name) offsetof(struct llm_request, name), NULL
    {"stream", PARAM_ENVELOPE, 0, NULL},
    {"stream_options", PARAM_ENVELOPE, 0, NULL},
    {"n", PARAM_ENVELOPE, 0, NULL},
    {"max_tokens", PARAM_ENVELOPE, 0, NULL},
    {"max_completion_tokens", PARAM_ENVELOPE, 0, NULL},
    {"temperature", PARAM_NUMBER, FIELD(temperature)},
    {"top_p", PARAM_NUMBER, FIELD(top_p)},
    {"top_k", PARAM_NUMBER, FIELD(top_k)},
    {"seed", PARAM_NUMBER, FIELD(seed)},
    {"presence_penalty", PARAM_NUMBER, FIELD(presence_penalty)},
    {"frequency_penalty", PARAM_NUMBER, FIELD(frequency_penalty)},
    {"logit_bias", PARAM_OBJECT, FIELD(logit_bias)},
    {"metadata", PARAM_OBJECT, FIELD(metadata)},
    {"cache_control", PARAM_OBJECT, FIELD(cache_control)},
    {"verbosity", PARAM_STRING, FIELD(verbosity)},
    {"service_tier", PARAM_STRING, FIELD(service_tier)},
    {"prompt_cache_key", PARAM_STRING, FIELD(prompt_cache_key)},
    {"safety_identifier", PARAM_STRING, FIELD(safety_identifier)},
    {"reasoning_effort", PARAM_STRING, FIELD(reasoning.effort)},
    {"include_reasoning", PARAM_BOOL, FIELD(reasoning.is_visible)},
    {"logprobs", PARAM_BOOL, FIELD(logprobs)},
    {"top_logprobs", PARAM_INT64, FIELD(top_logprobs)},
    {"store", PARAM_BOOL, FIELD(store)},
    {"parallel_tool_calls", PARAM_BOOL, FIELD(parallel_tools)},
    {"reasoning", PARAM_OTHER, 0, take_reasoning},
    {"thinking", PARAM_OTHER, 0, take_thinking},
    {"response_format", PARAM_OTHER, 0, take_format},
    {"modalities", PARAM_OTHER, 0, take_modalities},
    {"audio", PARAM_OTHER, 0, take_audio_settings},
#undef FIELD
};

static const struct param_row *find_row(struct slice name) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (slice_eq(name, slice_cstr(rows[i].name))) return &rows[i];
    }
    return NULL;
}

static bool is_number(struct slice v) {
    return v.len > 0 && (v.ptr[0] == '-' || (v.ptr[0] >= '0' && v.ptr[0] <= '9'));
}

static int take(struct chat_reader *r, const struct param_row *row, struct field *f) {
    char *at = (char *)r->rq + row->offset;
    struct slice v = f->value;
    if (row->kind == PARAM_OTHER) return row->take(r, f);
    f->is_understood = true;
    switch (row->kind) {
    case PARAM_NUMBER:
        if (!is_number(v)) return request_refuse_type(r->fault, row->name, "a number", v);
        *(struct slice *)(void *)at = v;
        return 0;
    case PARAM_OBJECT:
        if (!json_text_is(v, '{')) return request_refuse_type(r->fault, row->name, "an object", v);
        *(struct slice *)(void *)at = v;
        return 0;
    case PARAM_STRING:
        if (!json_text_is(v, '"')) return request_refuse_type(r->fault, row->name, "a string", v);
        *(struct slice *)(void *)at = json_text_string(v, r->a);
        return 0;
    case PARAM_BOOL:
        *(int *)(void *)at = slice_eq(v, SLICE("true"));
        if (v.ptr[0] == 't' || v.ptr[0] == 'f') return 0;
        return request_refuse_type(r->fault, row->name, "a boolean", v);
    case PARAM_INT64:
        if (json_text_int(v, (int64_t *)(void *)at)) return 0;
        return request_refuse_type(r->fault, row->name, "an integer", v);
    case PARAM_ENVELOPE:
    case PARAM_OTHER: break;
    }
    return 0;
}

int chat_read_params(struct chat_reader *r) {
    int rc = 0;
    for (struct field *f = r->rq->params; f && rc == 0; f = f->next) {
        const struct param_row *row = find_row(f->key);
        if (!chat_says_something(f->value)) f->is_understood = true;
        else if (row) rc = take(r, row, f);
    }
    return rc;
}

/* ---- stop ---- */

bool chat_says_something(struct slice value) {
    struct json_walk w = json_walk_begin(value);
    struct slice first;
    if (json_text_is_null(value)) return false;
    return !json_text_is(value, '[') || json_walk_element(&w, &first);
}

static int refuse_stop(struct chat_reader *r, struct slice got) {
    return request_refuse_type(r->fault, "stop", "one of a string or array of strings", got);
}

int chat_read_stop(struct chat_reader *r, struct slice value) {
    struct llm_request *rq = r->rq;
    struct slice item;
    unsigned n = 0;
    if (!value.ptr) return 0;
    rq->stop_is_string = json_text_is(value, '"');
    if (!rq->stop_is_string && !json_text_is(value, '[')) return refuse_stop(r, value);
    struct json_walk w = json_walk_begin(value);
    while (json_walk_element(&w, &item)) n++;
    rq->stop = arena_alloc(r->a, (n + 1) * sizeof *rq->stop);
    if (rq->stop_is_string) rq->stop[rq->n_stop++] = json_text_string(value, r->a);
    w = json_walk_begin(value);
    while (json_walk_element(&w, &item)) {
        if (!json_text_is(item, '"')) return refuse_stop(r, item);
        rq->stop[rq->n_stop++] = json_text_string(item, r->a);
    }
    return 0;
}
