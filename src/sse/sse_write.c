/* SPDX-License-Identifier: Apache-2.0 */
/* The event-stream writer: the form that every known client reads. */
#include "sse/sse.h"

#define REPLACEMENT SLICE("\xef\xbf\xbd") /* U+FFFD */

/* The line up to the first CR, LF or CR LF, and the rest behind it. False when there is no line
 * end. */
static bool split_line(struct slice text, struct slice *out_line, struct slice *out_rest) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '\n' && text.ptr[i] != '\r') continue;
        size_t n = text.ptr[i] == '\r' && i + 1 < text.len && text.ptr[i + 1] == '\n' ? 2 : 1;
        *out_line = slice_sub(text, 0, i);
        *out_rest = slice_from(text, i + n);
        return true;
    }
    *out_line = text;
    *out_rest = SLICE_NULL;
    return false;
}

static int write_field(struct buf *out, struct slice field, struct slice value) {
    char *to = buf_reserve(out, field.len + 2 + value.len + 1);
    if (!to) return -ERR_LIMIT;
    memcpy(to, field.ptr, field.len);
    memcpy(to + field.len, ": ", 2);
    if (value.len > 0) memcpy(to + field.len + 2, value.ptr, value.len);
    to[field.len + 2 + value.len] = '\n';
    buf_commit(out, field.len + 2 + value.len + 1);
    return 0;
}

static int write_lines(struct buf *out, struct slice name, struct slice data) {
    struct slice line, rest;
    split_line(name, &line, &rest); /* a name has one line */
    int rc = line.len > 0 ? write_field(out, SLICE("event"), line) : 0;
    for (bool more = true; rc == 0 && more; data = rest) {
        more = split_line(data, &line, &rest);
        rc = write_field(out, SLICE("data"), line);
    }
    return rc ? rc : buf_append_byte(out, '\n');
}

int sse_write(struct buf *out, struct slice name, struct slice data) {
    size_t before = out->len;
    int rc = write_lines(out, name, data);
    if (rc) out->len = before;
    return rc;
}

/* ---- repair ---- */

static bool is_tail(char c) {
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* Length of the maximal subpart of an ill-formed sequence at s (Unicode 3.9, as decoders of
 * browsers do): that many bytes become one U+FFFD. */
static size_t bad_subpart(struct slice s) {
    unsigned char lead = (unsigned char)s.ptr[0];
    if (lead < 0xc2 || lead > 0xf4 || s.len < 2) return 1;
    unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    unsigned char second = (unsigned char)s.ptr[1];
    if (lead < 0xe0 || second < low || second > high) return 1;
    return lead >= 0xf0 && s.len > 2 && is_tail(s.ptr[2]) ? 3 : 2;
}

static int append_well_formed(struct buf *out, struct slice s) {
    int rc = 0;
    while (rc == 0 && s.len > 0) {
        size_t good = slice_utf8_valid(s);
        rc = buf_append(out, slice_sub(s, 0, good));
        s = slice_from(s, good);
        if (rc || s.len == 0) break;
        rc = buf_append(out, REPLACEMENT);
        s = slice_from(s, bad_subpart(s));
    }
    return rc;
}

static struct slice trim_done(struct slice data) {
    struct slice s = data;
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t' || s.ptr[0] == '\n'))
        s = slice_from(s, 1);
    while (s.len > 0 &&
           (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t' || s.ptr[s.len - 1] == '\n')) {
        s.len--;
    }
    return slice_eq(s, SLICE("[DONE]")) ? s : data;
}

int sse_write_repaired(struct buf *out, const struct sse_frame *f) {
    struct slice name = f->name, data = trim_done(f->data);
    if (!(f->flags & SSE_BAD_UTF8)) return sse_write(out, name, data);
    struct buf text; /* rare: the cost of a copy is fine */
    buf_init(&text, (name.len + data.len) * 3 + 1);
    int rc = append_well_formed(&text, name);
    size_t name_len = text.len;
    if (rc == 0) rc = append_well_formed(&text, data);
    if (rc == 0) {
        struct slice all = buf_slice(&text);
        rc = sse_write(out, slice_sub(all, 0, name_len), slice_from(all, name_len));
    }
    buf_dispose(&text);
    return rc;
}
