/* SPDX-License-Identifier: Apache-2.0 */
/* Writing JSON into a buffer: after the first failure nothing more is written. */
#ifndef PENSTOCK_DIALECT_JSON_WRITE_H
#define PENSTOCK_DIALECT_JSON_WRITE_H

#include "base/buf.h"

struct json_writer {
    struct buf *out;
    size_t start; /* where the frame or body began: jw_end takes a broken one back */
    int rc;
};
static inline struct json_writer jw_begin(struct buf *out) {
    return (struct json_writer){out, out->len, 0};
}
static inline int jw_end(struct json_writer *w) {
    if (w->rc) w->out->len = w->start;
    return w->rc;
}
static inline void jw(struct json_writer *w, struct slice text) {
    if (w->rc == 0) w->rc = buf_append(w->out, text);
}
void jw_escaped(struct json_writer *w, struct slice text); /* the body of a JSON string */
void jw_string(struct json_writer *w, struct slice text);  /* with its quotes */
/* JSON as it came, its line breaks (which can only stand between tokens) as spaces: a frame has one
 * data line. Ill-formed bytes as '?'. */
void jw_raw(struct json_writer *w, struct slice json);
void jw_int(struct json_writer *w, int64_t n);
/* key with whatever stands around it (`,"code":`), then the text, or null when it has no ptr. */
void jw_string_or_null(struct json_writer *w, struct slice key, struct slice value);
/* `,"key":"value"`, or nothing when the value is empty. */
void jw_member(struct json_writer *w, struct slice key, struct slice value);

#endif
