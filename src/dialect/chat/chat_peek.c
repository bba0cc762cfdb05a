/* SPDX-License-Identifier: Apache-2.0 */
/* The envelope of a request: one validating scan over the body, no tree. */
#include "dialect/chat/chat-private.h"

#include <stdio.h>

#include "base/json_scan.h"
#include "dialect/json_text.h"

enum known {
    K_MODEL,
    K_MESSAGES,
    K_STREAM,
    K_STREAM_OPTIONS,
    K_N,
    K_MAX_TOKENS,
    K_MAX_COMPLETION_TOKENS,
    K_COUNT
};
static const char *const known_names[K_COUNT] = {
    "model", "messages", "stream", "stream_options", "n", "max_tokens", "max_completion_tokens"};

struct peek {
    struct slice body;
    struct arena *a;
    struct request_fault *fault;
    unsigned n_members;
    struct slice values[K_COUNT]; /* ptr NULL: absent */
};

static int refuse(struct request_fault *fault, const char *code, const char *param,
                  const char *format, ...) PRINTF_LIKE(4, 5);
static int refuse(struct request_fault *fault, const char *code, const char *param,
                  const char *format, ...) {
    struct err e;
    va_list args;
    fault->code = code;
    snprintf(fault->param, sizeof fault->param, "%s", param);
    va_start(args, format);
    char text[ERR_TEXT_BYTES];
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    err_set(&e, ERR_USAGE, "%s", text); /* one well-formed line, whatever was quoted */
    memcpy(fault->message, e.text, sizeof fault->message);
    return -ERR_USAGE;
}

static int refuse_type(struct request_fault *fault, const char *param, const char *expected,
                       struct slice got) {
    return refuse(fault, "invalid_type", param,
                  "Invalid type for '%s': expected %s, but got %s instead.", param, expected,
                  json_text_type(got));
}

/* Keys that we act on are found however they are spelt: an upstream would find them, too. */
static int known_key(struct peek *p, struct slice key) {
    if (slice_index(key, '\\') >= 0)
        key = key.len > 256 ? SLICE_NULL : json_text_unescape(key, p->a);
    for (int k = 0; k < K_COUNT; k++) {
        if (slice_eq(key, slice_cstr(known_names[k]))) return k;
    }
    return -1;
}

static int take_member(void *self, const struct json_member *m) {
    struct peek *p = self;
    p->n_members++;
    int k = known_key(p, m->key);
    if (k < 0) return 0;
    if (p->values[k].ptr) {
        return refuse(p->fault, "invalid_value", known_names[k],
                      "Invalid request: the key '%s' is there twice.", known_names[k]);
    }
    p->values[k] = m->value;
    return 0;
}

static struct span span_in(struct slice body, struct slice part) {
    return (struct span){(uint32_t)(part.ptr - body.ptr), (uint32_t)part.len};
}

static int read_model(struct peek *p, struct envelope *out) {
    struct slice v = p->values[K_MODEL];
    if (!v.ptr)
        return refuse(p->fault, "missing_required_parameter", "model",
                      "Missing required parameter: 'model'.");
    if (!json_text_is(v, '"')) return refuse_type(p->fault, "model", "a string", v);
    out->model = json_text_string(v, p->a);
    out->model_token = span_in(p->body, v);
    if (out->model.len == 0) {
        return refuse(p->fault, "invalid_value", "model",
                      "Invalid 'model': the name is empty. Name a model that this server lists.");
    }
    return 0;
}

static int read_messages(struct peek *p) {
    struct slice v = p->values[K_MESSAGES], first;
    if (!v.ptr)
        return refuse(p->fault, "missing_required_parameter", "messages",
                      "Missing required parameter: 'messages'.");
    if (!json_text_is(v, '[')) return refuse_type(p->fault, "messages", "an array of objects", v);
    struct json_walk w = json_walk_begin(v);
    if (!json_walk_element(&w, &first)) {
        return refuse(p->fault, "empty_array", "messages",
                      "Invalid 'messages': empty array. Expected an array with minimum length 1, "
                      "but got an empty array instead.");
    }
    if (!json_text_is(first, '{')) return refuse_type(p->fault, "messages[0]", "an object", first);
    return 0;
}

static int read_bool(struct request_fault *fault, const char *param, struct slice v, bool *out) {
    *out = slice_eq(v, SLICE("true"));
    if (*out || !v.ptr || json_text_is_null(v) || slice_eq(v, SLICE("false"))) return 0;
    return refuse_type(fault, param, "a boolean", v);
}

static int read_include_usage(struct peek *p, struct slice options, struct envelope *out) {
    struct json_walk w = json_walk_begin(options);
    struct slice key, value;
    while (json_walk_member(&w, &key, &value)) {
        if (key.len > 256 || !slice_eq(json_text_unescape(key, p->a), SLICE("include_usage")))
            continue;
        if (out->include_usage_token.len > 0) {
            return refuse(
                p->fault, "invalid_value", "stream_options.include_usage",
                "Invalid request: the key 'stream_options.include_usage' is there twice.");
        }
        out->include_usage_token = span_in(p->body, value);
        int rc = read_bool(p->fault, "stream_options.include_usage", value, &out->include_usage);
        if (rc) return rc;
    }
    return 0;
}

static int read_stream(struct peek *p, struct envelope *out) {
    struct slice options = p->values[K_STREAM_OPTIONS];
    int rc = read_bool(p->fault, "stream", p->values[K_STREAM], &out->stream);
    if (rc || !options.ptr) return rc;
    out->stream_options_token = span_in(p->body, options);
    if (json_text_is_null(options)) return 0;
    if (!json_text_is(options, '{'))
        return refuse_type(p->fault, "stream_options", "an object", options);
    if (!out->stream) {
        return refuse(p->fault, NULL, "stream_options",
                      "The 'stream_options' parameter is only allowed when 'stream' is enabled.");
    }
    out->has_stream_options = true;
    return read_include_usage(p, options, out);
}

static int read_int(struct peek *p, enum known k, int64_t max, int64_t *out) {
    struct slice v = p->values[k];
    const char *name = known_names[k];
    int64_t n;
    if (!v.ptr || json_text_is_null(v)) return 0;
    if (!json_text_int(v, &n)) return refuse_type(p->fault, name, "an integer", v);
    if (n < 1) {
        return refuse(p->fault, "integer_below_min_value", name,
                      "Invalid '%s': integer below minimum value. Expected a value >= 1, but got "
                      "%lld instead.",
                      name, (long long)n);
    }
    if (n > max) {
        return refuse(p->fault, "integer_above_max_value", name,
                      "Invalid '%s': integer above maximum value. Expected a value <= %lld, but "
                      "got %lld instead.",
                      name, (long long)max, (long long)n);
    }
    *out = n;
    return 0;
}

static int scan(struct peek *p) {
    struct err e = {.kind = ERR_NONE};
    if (p->body.len > UINT32_MAX)
        return refuse(p->fault, NULL, "", "The body of your request is larger than 4 GiB.");
    if (json_text_skip_space(p->body, 0) == p->body.len) {
        return refuse(p->fault, NULL, "",
                      "We could not parse the JSON body of your request: the body is empty. Send a "
                      "JSON object.");
    }
    int rc = json_scan_object(p->body, WIRE_MAX_DEPTH, take_member, p, &e);
    if (rc == 0 || rc == -ERR_USAGE) return rc;
    struct slice what = slice_cstr(e.text), prefix = SLICE("invalid JSON: ");
    if (slice_starts_with(what, prefix)) what = slice_from(what, prefix.len);
    return refuse(p->fault, NULL, "", "We could not parse the JSON body of your request: %.*s",
                  SLICE_FMT(what));
}

int chat_peek_request(struct slice body, struct arena *a, struct envelope *out,
                      struct request_fault *fault) {
    struct peek p = {.body = body, .a = a, .fault = fault};
    *out = (struct envelope){.n = 1, .max_tokens = -1};
    *fault = (struct request_fault){.code = NULL};
    int rc = scan(&p);
    if (rc == 0) rc = read_model(&p, out);
    if (rc == 0) rc = read_messages(&p);
    if (rc == 0) rc = read_stream(&p, out);
    if (rc == 0) rc = read_int(&p, K_N, CHAT_MAX_CHOICES, &out->n);
    if (rc == 0) rc = read_int(&p, K_MAX_TOKENS, INT64_MAX, &out->max_tokens);
    if (rc == 0) rc = read_int(&p, K_MAX_COMPLETION_TOKENS, INT64_MAX, &out->max_tokens);
    out->root_open = (uint32_t)json_text_skip_space(body, 0);
    out->root_is_empty = p.n_members == 0;
    return rc;
}
