/* SPDX-License-Identifier: Apache-2.0 */
#include "dialect/peek.h"

#include <assert.h>
#include <stdio.h>

#include "base/json_scan.h"
#include "dialect/json_doc.h"
#include "dialect/json_text.h"

/* ---- faults ---- */

int request_refuse(struct request_fault *fault, const char *code, const char *param,
                   const char *format, ...) {
    struct err e;
    va_list args;
    char text[ERR_TEXT_BYTES];
    fault->code = code;
    snprintf(fault->param, sizeof fault->param, "%s", param);
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    err_set(&e, ERR_USAGE, "%s", text); /* one well-formed line, whatever was quoted */
    memcpy(fault->message, e.text, sizeof fault->message);
    return -ERR_USAGE;
}

int request_refuse_missing(struct request_fault *fault, const char *param) {
    return request_refuse(fault, "missing_required_parameter", param,
                          "Missing required parameter: '%s'.", param);
}

int request_refuse_type(struct request_fault *fault, const char *param, const char *expected,
                        struct slice got) {
    return request_refuse(fault, "invalid_type", param,
                          "Invalid type for '%s': expected %s, but got %s instead.", param,
                          expected, json_text_type(got));
}

/* ---- the scan ---- */

/* Keys that we act on are found however they are spelt: an upstream would find them, too. */
static int known_key(struct peek *p, struct slice key) {
    if (slice_index(key, '\\') >= 0)
        key = key.len > 256 ? SLICE_NULL : json_text_unescape(key, p->a);
    for (unsigned k = 0; k < p->n_names; k++) {
        if (slice_eq(key, slice_cstr(p->names[k]))) return (int)k;
    }
    return -1;
}

static int take_member(void *self, const struct json_member *m) {
    struct peek *p = self;
    p->n_members++;
    int k = known_key(p, m->key);
    if (k < 0) return 0;
    if (p->values[k].ptr) {
        return request_refuse(p->fault, "invalid_value", p->names[k],
                              "Invalid request: the key '%s' is there twice.", p->names[k]);
    }
    p->values[k] = m->value;
    return 0;
}

int peek_scan(struct peek *p) {
    struct err e = {.kind = ERR_NONE};
    assert(p->n_names <= PEEK_KEYS_MAX);
    if (p->body.len > UINT32_MAX)
        return request_refuse(p->fault, NULL, "", "The body of your request is larger than 4 GiB.");
    if (json_text_skip_space(p->body, 0) == p->body.len) {
        return request_refuse(p->fault, NULL, "",
                              "We could not parse the JSON body of your request: the body is "
                              "empty. Send a JSON object.");
    }
    int rc = json_scan_object(p->body, WIRE_MAX_DEPTH, take_member, p, &e);
    if (rc == 0 || rc == -ERR_USAGE) return rc;
    struct slice what = slice_cstr(e.text), prefix = SLICE("invalid JSON: ");
    if (slice_starts_with(what, prefix)) what = slice_from(what, prefix.len);
    return request_refuse(p->fault, NULL, "",
                          "We could not parse the JSON body of your request: %.*s",
                          SLICE_FMT(what));
}

int request_check_size(struct slice body, struct request_fault *fault) {
    unsigned n = 0;
    for (size_t at = 0; at < body.len;) {
        n += body.ptr[at] == '{';
        at = body.ptr[at] == '"' ? json_text_value_end(body, at) : at + 1;
    }
    if (n <= REQUEST_MAX_OBJECTS) return 0;
    return request_refuse(fault, "invalid_value", "",
                          "Your request is made of %u JSON objects. At most %u can be translated "
                          "for this model's provider.",
                          n, REQUEST_MAX_OBJECTS);
}

void peek_root(const struct peek *p, struct envelope *out) {
    out->root_open = (uint32_t)json_text_skip_space(p->body, 0);
    out->root_is_empty = p->n_members == 0;
}

/* ---- members ---- */

static struct span span_in(struct slice body, struct slice part) {
    return (struct span){(uint32_t)(part.ptr - body.ptr), (uint32_t)part.len};
}

int peek_model(struct peek *p, unsigned key, struct envelope *out) {
    struct slice v = p->values[key];
    if (!v.ptr) return request_refuse_missing(p->fault, p->names[key]);
    if (!json_text_is(v, '"')) return request_refuse_type(p->fault, p->names[key], "a string", v);
    out->model = json_text_string(v, p->a);
    out->model_token = span_in(p->body, v);
    if (out->model.len == 0) {
        return request_refuse(
            p->fault, "invalid_value", "model",
            "Invalid 'model': the name is empty. Name a model that this server lists.");
    }
    return 0;
}

int peek_messages(struct peek *p, unsigned key) {
    struct slice v = p->values[key], first;
    const char *name = p->names[key];
    char where[64];
    if (!v.ptr) return request_refuse_missing(p->fault, name);
    if (!json_text_is(v, '['))
        return request_refuse_type(p->fault, name, "an array of objects", v);
    struct json_walk w = json_walk_begin(v);
    if (!json_walk_element(&w, &first)) {
        return request_refuse(p->fault, "empty_array", name,
                              "Invalid '%s': empty array. Expected an array with minimum length 1, "
                              "but got an empty array instead.",
                              name);
    }
    snprintf(where, sizeof where, "%s[0]", name);
    return json_text_is(first, '{') ? 0
                                    : request_refuse_type(p->fault, where, "an object", first);
}

static int read_bool(struct request_fault *fault, const char *param, struct slice v, bool *out) {
    *out = slice_eq(v, SLICE("true"));
    if (*out || !v.ptr || json_text_is_null(v) || slice_eq(v, SLICE("false"))) return 0;
    return request_refuse_type(fault, param, "a boolean", v);
}

int peek_bool(struct peek *p, unsigned key, bool *out) {
    return read_bool(p->fault, p->names[key], p->values[key], out);
}

static int read_include_usage(struct peek *p, struct slice options, struct envelope *out) {
    struct json_walk w = json_walk_begin(options);
    struct slice key, value;
    while (json_walk_member(&w, &key, &value)) {
        if (key.len > 256 || !slice_eq(json_text_unescape(key, p->a), SLICE("include_usage")))
            continue;
        if (out->include_usage_token.len > 0) {
            return request_refuse(
                p->fault, "invalid_value", "stream_options.include_usage",
                "Invalid request: the key 'stream_options.include_usage' is there twice.");
        }
        out->include_usage_token = span_in(p->body, value);
        int rc = read_bool(p->fault, "stream_options.include_usage", value, &out->include_usage);
        if (rc) return rc;
    }
    return 0;
}

int peek_stream_options(struct peek *p, unsigned key, struct envelope *out) {
    struct slice options = p->values[key];
    if (!options.ptr) return 0;
    out->stream_options_token = span_in(p->body, options);
    if (json_text_is_null(options)) return 0;
    if (!json_text_is(options, '{'))
        return request_refuse_type(p->fault, "stream_options", "an object", options);
    if (!out->stream) {
        return request_refuse(
            p->fault, NULL, "stream_options",
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.");
    }
    out->has_stream_options = true;
    return read_include_usage(p, options, out);
}

int peek_int(struct peek *p, unsigned key, int64_t min, int64_t max, int64_t *out) {
    struct slice v = p->values[key];
    const char *name = p->names[key];
    int64_t n;
    if (!v.ptr || json_text_is_null(v)) return 0;
    if (!json_text_int(v, &n)) return request_refuse_type(p->fault, name, "an integer", v);
    if (n < min) {
        return request_refuse(p->fault, "integer_below_min_value", name,
                              "Invalid '%s': integer below minimum value. Expected a value >= "
                              "%lld, but got %lld instead.",
                              name, (long long)min, (long long)n);
    }
    if (n > max) {
        return request_refuse(p->fault, "integer_above_max_value", name,
                              "Invalid '%s': integer above maximum value. Expected a value <= "
                              "%lld, but got %lld instead.",
                              name, (long long)max, (long long)n);
    }
    *out = n;
    return 0;
}
