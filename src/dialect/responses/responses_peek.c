/* SPDX-License-Identifier: Apache-2.0 */
/* The envelope of a request: one validating scan over the body, no tree. */
#include "dialect/json_text.h"
#include "dialect/peek.h"
#include "dialect/request_read.h"
#include "dialect/responses/responses-private.h"

enum {
    K_MODEL,
    K_INPUT,
    K_STREAM,
    K_STREAM_OPTIONS,
    K_MAX_OUTPUT_TOKENS,
    K_STORE,
    K_PREVIOUS_RESPONSE_ID,
    K_CONVERSATION,
    K_PROMPT,
    K_COUNT
};
static const char *const names[K_COUNT] = {"model",
                                           "input",
                                           "stream",
                                           "stream_options",
                                           "max_output_tokens",
                                           "store",
                                           "previous_response_id",
                                           "conversation",
                                           "prompt"};

static bool is_given(const struct peek *p, unsigned key) {
    return p->values[key].ptr && !json_text_is_null(p->values[key]);
}

/* Routes go by the model's name, so that a stored prompt's own is not enough. */
static int peek_model_name(struct peek *p, struct envelope *out) {
    if (!p->values[K_MODEL].ptr && is_given(p, K_PROMPT)) {
        return request_refuse(p->fault, "missing_required_parameter", "model",
                              "Missing required parameter: 'model'. Requests are routed by it, so "
                              "that it is needed beside 'prompt', too.");
    }
    return peek_model(p, K_MODEL, out);
}

static int peek_previous(struct peek *p, struct envelope *out) {
    struct slice id = p->values[K_PREVIOUS_RESPONSE_ID], talk = p->values[K_CONVERSATION];
    bool has_id = is_given(p, K_PREVIOUS_RESPONSE_ID), has_talk = is_given(p, K_CONVERSATION);
    if (has_id && !json_text_is(id, '"'))
        return request_refuse_type(p->fault, "previous_response_id", "a string", id);
    if (has_talk && !json_text_is(talk, '"') && !json_text_is(talk, '{'))
        return request_refuse_type(p->fault, "conversation", "one of a string or an object", talk);
    if (has_talk && json_text_is(talk, '{') && !json_member_string(talk, SLICE("id"), p->a).ptr)
        return request_refuse_missing(p->fault, "conversation.id");
    if (has_id && has_talk) {
        return request_refuse(p->fault, "mutually_exclusive_parameters", "previous_response_id",
                              "'previous_response_id' and 'conversation' cannot both be given: use "
                              "one of them.");
    }
    out->has_previous = has_id || has_talk;
    return 0;
}

/* May be absent where earlier turns or a stored prompt say what to answer. */
static int peek_input(struct peek *p, const struct envelope *env) {
    struct slice v = p->values[K_INPUT], first;
    if (!is_given(p, K_INPUT) && (env->has_previous || is_given(p, K_PROMPT))) return 0;
    if (!v.ptr) return request_refuse_missing(p->fault, "input");
    if (json_text_is(v, '"') || json_text_is(v, '{')) return 0;
    if (!json_text_is(v, '['))
        return request_refuse_type(p->fault, "input", "one of a string or array of objects", v);
    struct json_walk w = json_walk_begin(v);
    if (!json_walk_element(&w, &first) || json_text_is(first, '{')) return 0;
    return request_refuse_type(p->fault, "input[0]", "an object", first);
}

/* Usage is part of every stream here: there is nothing in the options that we act on. */
static int peek_options(struct peek *p, struct envelope *out) {
    struct slice v = p->values[K_STREAM_OPTIONS];
    if (!v.ptr) return 0;
    out->stream_options_token = (struct span){(uint32_t)(v.ptr - p->body.ptr), (uint32_t)v.len};
    out->has_stream_options = json_text_is(v, '{');
    if (out->has_stream_options || json_text_is_null(v)) return 0;
    return request_refuse_type(p->fault, "stream_options", "an object", v);
}

static int peek_store(struct peek *p, struct envelope *out) {
    bool store;
    int rc = peek_bool(p, K_STORE, &store);
    if (rc == 0 && is_given(p, K_STORE)) out->store = store;
    return rc;
}

int responses_peek_request(struct slice body, struct arena *a, struct envelope *out,
                           struct request_fault *fault) {
    struct peek p = {.body = body, .a = a, .fault = fault, .names = names, .n_names = K_COUNT};
    *out = (struct envelope){.n = 1, .max_tokens = -1, .store = -1};
    *fault = (struct request_fault){.code = NULL};
    int rc = peek_scan(&p);
    if (rc == 0) rc = peek_model_name(&p, out);
    if (rc == 0) rc = peek_previous(&p, out);
    if (rc == 0) rc = peek_input(&p, out);
    if (rc == 0) rc = peek_bool(&p, K_STREAM, &out->stream);
    if (rc == 0) rc = peek_options(&p, out);
    if (rc == 0) rc = peek_int(&p, K_MAX_OUTPUT_TOKENS, 1, INT64_MAX, &out->max_tokens);
    if (rc == 0) rc = peek_store(&p, out);
    peek_root(&p, out);
    return rc;
}
