/* SPDX-License-Identifier: Apache-2.0 */
#include "dialect/json_text.h"

#include <math.h>
#include <stdlib.h>

#include "base/json_scan.h"

static bool is_space(char c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

size_t json_text_skip_space(struct slice text, size_t at) {
    while (at < text.len && is_space(text.ptr[at])) at++;
    return at;
}

/* Behind the closing quote of the string whose opening quote is at `at`. */
static size_t string_end(struct slice text, size_t at) {
    for (size_t from = at + 1; from < text.len;) {
        const char *quote = memchr(text.ptr + from, '"', text.len - from);
        if (!quote) return text.len;
        size_t q = (size_t)(quote - text.ptr), slashes = 0;
        while (q - slashes > from && text.ptr[q - slashes - 1] == '\\') slashes++;
        if (slashes % 2 == 0) return q + 1;
        from = q + 1;
    }
    return text.len;
}

static size_t container_end(struct slice text, size_t at) {
    size_t depth = 0;
    while (at < text.len) {
        char c = text.ptr[at];
        if (c == '"') {
            at = string_end(text, at);
            continue;
        }
        at++;
        if (c == '{' || c == '[') depth++;
        if ((c == '}' || c == ']') && --depth == 0) return at;
    }
    return text.len;
}

size_t json_text_value_end(struct slice text, size_t at) {
    if (at >= text.len) return text.len;
    char c = text.ptr[at];
    if (c == '"') return string_end(text, at);
    if (c == '{' || c == '[') return container_end(text, at);
    while (at < text.len && !is_space(text.ptr[at]) && text.ptr[at] != ',' && text.ptr[at] != '}' &&
           text.ptr[at] != ']' && text.ptr[at] != ':') {
        at++;
    }
    return at;
}

struct json_walk json_walk_begin(struct slice container) {
    bool fits = json_text_is(container, '{') || json_text_is(container, '[');
    return (struct json_walk){container, fits ? 1 : container.len};
}

/* The next value of the walk; it takes at least one byte, so that every walk ends. */
static bool take_value(struct json_walk *w, struct slice *out_value) {
    size_t start = json_text_skip_space(w->text, w->at), end = json_text_value_end(w->text, start);
    if (end <= start) return false;
    *out_value = slice_sub(w->text, start, end - start);
    w->at = end;
    return true;
}

static bool at_next(struct json_walk *w) {
    w->at = json_text_skip_space(w->text, w->at);
    if (w->at < w->text.len && w->text.ptr[w->at] == ',')
        w->at = json_text_skip_space(w->text, w->at + 1);
    return w->at < w->text.len && w->text.ptr[w->at] != '}' && w->text.ptr[w->at] != ']';
}

bool json_walk_element(struct json_walk *w, struct slice *out_value) {
    return at_next(w) && take_value(w, out_value);
}

bool json_walk_member(struct json_walk *w, struct slice *out_key, struct slice *out_value) {
    struct slice key;
    if (!at_next(w) || !take_value(w, &key) || key.len < 2 || key.ptr[0] != '"') return false;
    w->at = json_text_skip_space(w->text, w->at);
    if (w->at >= w->text.len || w->text.ptr[w->at] != ':') return false;
    w->at++;
    *out_key = slice_sub(key, 1, key.len - 2);
    return take_value(w, out_value);
}

const char *json_text_type(struct slice value) {
    if (value.len == 0) return "nothing";
    switch (value.ptr[0]) {
    case '"': return "a string";
    case '{': return "an object";
    case '[': return "an array";
    case 'n': return "null";
    case 't':
    case 'f': return "a boolean";
    default: break;
    }
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] == '.' || value.ptr[i] == 'e' || value.ptr[i] == 'E')
            return "a decimal number";
    }
    return "an integer";
}

struct slice json_text_unescape(struct slice raw, struct arena *a) {
    if (slice_index(raw, '\\') < 0) return raw;
    struct buf b;
    buf_init(&b, raw.len * 3); /* a lone surrogate's six bytes become three: it never grows */
    struct slice s = json_unescape(&b, raw) == 0 ? arena_dup(a, buf_slice(&b)) : raw;
    buf_dispose(&b);
    return s;
}

struct slice json_text_string(struct slice token, struct arena *a) {
    if (token.len < 2 || token.ptr[0] != '"') return SLICE_NULL;
    return json_text_unescape(slice_sub(token, 1, token.len - 2), a);
}

bool json_text_int(struct slice token, int64_t *out_value) {
    bool negative = json_text_is(token, '-');
    uint64_t magnitude;
    if (slice_to_u64(slice_from(token, negative), INT64_MAX, &magnitude)) {
        *out_value = negative ? -(int64_t)magnitude : (int64_t)magnitude;
        return true;
    }
    char text[64];
    if (token.len == 0 || token.len >= sizeof text ||
        !(negative || (token.ptr[0] >= '0' && token.ptr[0] <= '9')))
        return false;
    memcpy(text, token.ptr, token.len);
    text[token.len] = '\0';
    double d = strtod(text, NULL);
    if (!(fabs(d) < 9e15) || d != floor(d)) return false;
    *out_value = (int64_t)d;
    return true;
}
