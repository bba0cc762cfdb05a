/* SPDX-License-Identifier: Apache-2.0 */
#include "dialect/json_write.h"

#include "base/json_scan.h"

void jw_escaped(struct json_writer *w, struct slice text) {
    if (w->rc == 0) w->rc = json_escape(w->out, text);
}

void jw_string(struct json_writer *w, struct slice text) {
    jw(w, SLICE("\""));
    jw_escaped(w, text);
    jw(w, SLICE("\""));
}

void jw_raw(struct json_writer *w, struct slice json) {
    char *to = w->rc == 0 && json.len > 0 ? buf_reserve(w->out, json.len) : NULL;
    if (w->rc || json.len == 0) return;
    if (!to) {
        w->rc = -ERR_LIMIT;
        return;
    }
    for (size_t i = 0; i < json.len; i++)
        to[i] = json.ptr[i] == '\n' || json.ptr[i] == '\r' ? ' ' : json.ptr[i];
    struct slice s = slice_make(to, json.len);
    for (size_t bad = 0; (bad += slice_utf8_valid(slice_from(s, bad))) < s.len; bad++)
        to[bad] = '?';
    buf_commit(w->out, json.len);
}

void jw_int(struct json_writer *w, int64_t n) {
    char text[24];
    size_t at = sizeof text;
    uint64_t rest = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    do {
        text[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (n < 0) text[--at] = '-';
    jw(w, slice_make(text + at, sizeof text - at));
}

void jw_string_or_null(struct json_writer *w, struct slice key, struct slice value) {
    jw(w, key);
    if (value.ptr) jw_string(w, value);
    else jw(w, SLICE("null"));
}

void jw_member(struct json_writer *w, struct slice key, struct slice value) {
    if (value.len == 0) return;
    jw(w, SLICE(",\""));
    jw(w, key);
    jw(w, SLICE("\":"));
    jw_string(w, value);
}
