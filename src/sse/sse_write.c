/* SPDX-License-Identifier: Apache-2.0 */
/* The event-stream writer: the form that every known client reads. */
#include "sse/sse.h"

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
    return sse_write(out, f->name, trim_done(f->data));
}
