/* SPDX-License-Identifier: Apache-2.0 */
/* data: URLs (RFC 2397), as clients make them: base64 with and without line breaks, percent-encoded
 * or both. */
#include "dialect/messages/messages-request.h"

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

static struct slice trimmed_lower(struct slice s, struct arena *a) {
    s = slice_trim(s);
    char *copy = arena_alloc(a, s.len + 1);
    for (size_t i = 0; i < s.len; i++)
        copy[i] = lower(s.ptr[i]);
    return slice_make(copy, s.len);
}

/* Cuts the front up to `byte` off, or all of it. */
static struct slice take_until(struct slice *s, char byte) {
    ptrdiff_t at = slice_index(*s, byte);
    struct slice front = at < 0 ? *s : slice_sub(*s, 0, (size_t)at);
    *s = slice_from(*s, at < 0 ? s->len : (size_t)at + 1);
    return front;
}

bool messages_data_read(struct slice url, struct arena *a, struct messages_data *out) {
    struct slice scheme = SLICE("data:");
    ptrdiff_t comma = slice_index(url, ',');
    if (comma < 0 || !slice_eq_nocase(slice_sub(url, 0, scheme.len), scheme)) return false;
    struct slice header = slice_sub(url, scheme.len, (size_t)comma - scheme.len);
    *out = (struct messages_data){.data = slice_from(url, (size_t)comma + 1)};
    out->media_type = trimmed_lower(take_until(&header, ';'), a);
    if (slice_eq(out->media_type, SLICE("image/jpg"))) out->media_type = SLICE("image/jpeg");
    while (header.len > 0)
        out->is_base64 |= slice_eq_nocase(slice_trim(take_until(&header, ';')), SLICE("base64"));
    return true;
}

static int hex(char c) {
    c = lower(c);
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static struct slice percent_decode(struct slice s, struct arena *a) {
    if (slice_index(s, '%') < 0) return s;
    char *to = arena_alloc(a, s.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        int high = i + 2 < s.len && s.ptr[i] == '%' ? hex(s.ptr[i + 1]) : -1;
        int low = high >= 0 ? hex(s.ptr[i + 2]) : -1;
        to[n++] = low >= 0 ? (char)(high * 16 + low) : s.ptr[i];
        if (low >= 0) i += 2;
    }
    return slice_make(to, n);
}

static bool is_space(char c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Base64 that was broken into lines, in one. */
static struct slice without_spaces(struct slice s, struct arena *a) {
    size_t i = 0, n = 0;
    while (i < s.len && !is_space(s.ptr[i]))
        i++;
    if (i == s.len) return s;
    char *to = arena_alloc(a, s.len);
    for (i = 0; i < s.len; i++) {
        if (!is_space(s.ptr[i])) to[n++] = s.ptr[i];
    }
    return slice_make(to, n);
}

static struct slice base64_encode(struct slice s, struct arena *a) {
    char *to = arena_alloc(a, (s.len + 2) / 3 * 4 + 1), *p = to;
    for (size_t i = 0; i < s.len; i += 3) {
        size_t left = s.len - i;
        uint32_t v = (uint32_t)(unsigned char)s.ptr[i] << 16;
        if (left > 1) v |= (uint32_t)(unsigned char)s.ptr[i + 1] << 8;
        if (left > 2) v |= (unsigned char)s.ptr[i + 2];
        *p++ = base64_digits[v >> 18];
        *p++ = base64_digits[v >> 12 & 63];
        *p++ = left > 1 ? base64_digits[v >> 6 & 63] : '=';
        *p++ = left > 2 ? base64_digits[v & 63] : '=';
    }
    return slice_make(to, (size_t)(p - to));
}

static int base64_value(char c) {
    const char *at = c ? strchr(base64_digits, c) : NULL;
    if (c == '-') return 62;
    if (c == '_') return 63;
    return at ? (int)(at - base64_digits) : -1;
}

static struct slice base64_decode(struct slice s, struct arena *a) {
    char *to = arena_alloc(a, s.len / 4 * 3 + 4);
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t n = 0;
    while (s.len > 0 && s.ptr[s.len - 1] == '=')
        s.len--;
    for (size_t i = 0; i < s.len; i++) {
        int v = base64_value(s.ptr[i]);
        if (v < 0) return SLICE_NULL;
        bits = bits << 6 | (uint32_t)v;
        n_bits += 6;
        if (n_bits < 8) continue;
        n_bits -= 8;
        to[n++] = (char)(bits >> n_bits & 0xff);
    }
    return slice_make(to, n);
}

struct slice messages_data_base64(const struct messages_data *d, struct arena *a) {
    struct slice s = percent_decode(d->data, a);
    return d->is_base64 ? without_spaces(s, a) : base64_encode(s, a);
}

struct slice messages_data_bytes(const struct messages_data *d, struct arena *a) {
    struct slice s = percent_decode(d->data, a);
    return d->is_base64 ? base64_decode(without_spaces(s, a), a) : s;
}
