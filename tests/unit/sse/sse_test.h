/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of this room share: feeding a stream in pieces, and writing down what came of it.
 */
#ifndef PENSTOCK_TESTS_SSE_TEST_H
#define PENSTOCK_TESTS_SSE_TEST_H

#include "base/mem.h"
#include "slice_test.h"
#include "sse/sse.h"

/* `text` lists the frames, one a line, without what may depend on the split (blanks); `raw` is all
 * raws; `client` is what a gateway would send. */
struct recorder {
    struct buf text, raw, client;
    unsigned n_frames;
};

static inline void recorder_init(struct recorder *r) {
    *r = (struct recorder){.n_frames = 0};
    buf_init(&r->text, TEST_BYTES);
    buf_init(&r->raw, TEST_BYTES);
    buf_init(&r->client, TEST_BYTES);
}

static inline void recorder_dispose(struct recorder *r) {
    buf_dispose(&r->text);
    buf_dispose(&r->raw);
    buf_dispose(&r->client);
}

static inline void put_escaped(struct buf *b, struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        const char *form = c == '\n'   ? "\\n"
                           : c == '\r' ? "\\r"
                           : c == '\t' ? "\\t"
                           : c == '\\' ? "\\\\"
                                       : NULL;
        if (form) put(b, slice_cstr(form));
        else if (c >= 0x20 && c < 0x7f) assert_int_equal(buf_append_byte(b, (char)c), 0);
        else assert_int_equal(buf_appendf(b, "\\x%02x", c), 0);
    }
}

static inline const char *flag_names(uint32_t flags, char *to, size_t size) {
    static const char *const names[] = {
        "EVENT", "COMMENT", "BLANK", "PIECE",    "PIECE_LAST",   "DATA", "MULTILINE", "NAME", "ID",
        "RETRY", "LONE_CR", "BOM",   "BAD_UTF8", "UNTERMINATED", "TAIL", "ORPHAN"};
    size_t at = 0;
    to[0] = '\0';
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (flags & 1u << i)
            at += (size_t)snprintf(to + at, size - at, "%s%s", at ? "+" : "", names[i]);
    }
    return to;
}

static inline int record(void *self, const struct sse_frame *f) {
    struct recorder *r = self;
    char flags[200];
    r->n_frames++;
    put(&r->raw, f->raw);
    enum sse_verdict v = sse_frame_verdict(f);
    if (v == SSE_PASS) put(&r->client, f->raw);
    if (v == SSE_REPAIR) assert_int_equal(sse_write_repaired(&r->client, f), 0);
    if (f->flags & SSE_BLANK) return 0;
    if (f->flags & SSE_DATA && !(f->flags & (SSE_MULTILINE | SSE_BAD_UTF8))) {
        assert_ptr_equal(f->raw.ptr + f->data_off, f->data.ptr);
    }
    assert_int_equal(buf_appendf(&r->text, "%s [", flag_names(f->flags, flags, sizeof flags)), 0);
    put_escaped(&r->text, f->name);
    put(&r->text, SLICE("] ["));
    put_escaped(&r->text, f->data);
    put(&r->text, SLICE("] ["));
    put_escaped(&r->text, f->last_event_id);
    put(&r->text, SLICE("]\n"));
    return 0;
}

/* Feeds a copy of exactly that size that is gone after the call, so that stale pointers and
 * overruns show. */
static inline int feed_copy(struct sse_parser *p, struct slice s, const struct sse_sink *sink,
                            struct err *e) {
    char *copy = malloc(s.len ? s.len : 1);
    if (s.len > 0) memcpy(copy, s.ptr, s.len);
    int rc = sse_parser_feed(p, slice_make(copy, s.len), sink, e);
    free(copy);
    return rc;
}

/* Whole stream cut at the given ascending offsets. */
static inline int replay(struct recorder *r, const struct sse_options *o, struct slice in,
                         const size_t *cuts, size_t n_cuts) {
    struct sse_parser p;
    struct err e;
    struct sse_sink sink = {record, r};
    sse_parser_init(&p, o);
    size_t at = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i <= n_cuts; i++) {
        size_t end = i < n_cuts ? cuts[i] : in.len;
        rc = feed_copy(&p, slice_sub(in, at, end - at), &sink, &e);
        at = end;
    }
    if (rc == 0) rc = sse_parser_finish(&p, &sink, &e);
    sse_parser_dispose(&p);
    return rc;
}

#endif
