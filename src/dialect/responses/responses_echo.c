/* SPDX-License-Identifier: Apache-2.0 */
/* What an answer repeats of its request: each member with the API's default where the request does
 * not say it. */
#include "base/json_scan.h"
#include "dialect/responses/responses-stream.h"

/* Of one member: every lifecycle event of a stream carries all of them. */
#define MEMBER_MAX_BYTES ((size_t)512 << 10)

static const struct field *param(const struct responses_writer *x, const char *name) {
    const struct field *f = x->is_native ? x->rq->params : NULL;
    while (f && !slice_eq(f->key, slice_cstr(name)))
        f = f->next;
    return f && !json_text_is_null(f->value) ? f : NULL;
}

static bool may_repeat(struct slice raw) {
    return raw.len <= MEMBER_MAX_BYTES && responses_may_quote(raw);
}

static void raw_or(struct responses_writer *x, const char *name, struct slice value,
                   const char *otherwise) {
    responses_w_raw(x, name, may_repeat(value) ? value : slice_cstr(otherwise));
}

static void string_or(struct responses_writer *x, const char *name, struct slice value,
                      const char *otherwise) {
    if (value.ptr && value.len <= MEMBER_MAX_BYTES)
        responses_w_string(x, name, value);
    else
        responses_w_raw(x, name, slice_cstr(otherwise));
}

static void param_or(struct responses_writer *x, const char *name, const char *otherwise) {
    const struct field *f = param(x, name);
    raw_or(x, name, f ? f->value : SLICE_NULL, otherwise);
}

static void number_or(struct responses_writer *x, const char *name, int64_t value,
                      const char *otherwise) {
    responses_w_key(x, name);
    if (value >= 0)
        jw_int(&x->w, value);
    else
        jw(&x->w, slice_cstr(otherwise));
}

/* The member that `write` makes, or the default where it makes none, or one too large or too
 * deep. */
static void member_or(struct responses_writer *x, const char *name,
                      void (*write)(struct responses_writer *x), const char *otherwise) {
    size_t before = x->w.out->len;
    bool had_member = x->has_member;
    write(x);
    struct slice made = slice_from(buf_slice(x->w.out), before);
    if (x->w.rc == 0 && (made.len > MEMBER_MAX_BYTES || !json_depth_ok(made, QUOTE_MAX_DEPTH))) {
        x->w.out->len = before;
        x->has_member = had_member;
    }
    if (x->w.out->len == before) responses_w_raw(x, name, slice_cstr(otherwise));
}

static void instructions(struct responses_writer *x) {
    const struct message *m = x->rq->messages;
    if (!x->is_native || (m && m->is_instructions)) responses_w_instructions(x);
}

static void tools(struct responses_writer *x) {
    const struct field *f = param(x, "tools");
    if (f)
        responses_w_raw(x, "tools", f->value);
    else if (!x->is_native)
        responses_w_tools(x);
}

static void tool_choice(struct responses_writer *x) {
    if (x->is_native && x->rq->tool_choice_raw.len > 0)
        responses_w_raw(x, "tool_choice", x->rq->tool_choice_raw);
    else
        responses_w_tool_choice(x);
}

static void text(struct responses_writer *x) {
    responses_w_key(x, "text");
    responses_w_open(x, '{');
    responses_w_key(x, "format");
    responses_w_format(x);
    if (x->rq->verbosity.len > 0) responses_w_string(x, "verbosity", x->rq->verbosity);
    responses_w_close(x, '}');
}

static void reasoning(struct responses_writer *x) {
    const struct reasoning_ask *ask = &x->rq->reasoning;
    responses_w_key(x, "reasoning");
    responses_w_open(x, '{');
    string_or(x, "effort", ask->effort, "null");
    string_or(x, "summary", ask->summary, "null");
    responses_w_close(x, '}');
}

/* Always an object here; where there is none, there is no member. */
static void conversation(struct responses_writer *x) {
    struct slice raw = x->rq->conversation;
    if (!may_repeat(raw)) return;
    if (json_text_is(raw, '{')) {
        responses_w_raw(x, "conversation", raw);
    } else {
        responses_w_key(x, "conversation");
        responses_w_open(x, '{');
        responses_w_raw(x, "id", raw);
        responses_w_close(x, '}');
    }
}

int responses_encode_echo(const struct llm_request *rq, struct buf *out) {
    struct responses_writer x = {.w = jw_begin(out), .rq = rq};
    x.is_native = rq->origin && strcmp(rq->origin, "responses") == 0;
    responses_w_bool(&x, "background", rq->background);
    conversation(&x);
    member_or(&x, "instructions", instructions, "null");
    number_or(&x, "max_output_tokens", rq->env.max_tokens, "null");
    param_or(&x, "max_tool_calls", "null");
    raw_or(&x, "metadata", rq->metadata, "{}");
    responses_w_bool(&x, "parallel_tool_calls", rq->parallel_tools != 0);
    string_or(&x, "previous_response_id", rq->previous_response_id, "null");
    if (rq->prompt.len > 0) raw_or(&x, "prompt", rq->prompt, "null");
    string_or(&x, "prompt_cache_key", rq->prompt_cache_key, "null");
    reasoning(&x);
    string_or(&x, "safety_identifier", rq->safety_identifier, "null");
    string_or(&x, "service_tier", rq->service_tier, "\"default\"");
    responses_w_bool(&x, "store", rq->store == 1);
    raw_or(&x, "temperature", rq->temperature, "1");
    member_or(&x, "text", text, "{\"format\":{\"type\":\"text\"}}");
    member_or(&x, "tool_choice", tool_choice, "\"auto\"");
    member_or(&x, "tools", tools, "[]");
    number_or(&x, "top_logprobs", rq->top_logprobs, "0");
    raw_or(&x, "top_p", rq->top_p, "1");
    string_or(&x, "truncation", rq->truncation, "\"disabled\"");
    string_or(&x, "user", rq->user, "null");
    return jw_end(&x.w);
}
