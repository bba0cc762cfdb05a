/* SPDX-License-Identifier: Apache-2.0 */
/* What the targets of all dialects share. */
#ifndef PENSTOCK_TESTS_FUZZ_DIALECT_H
#define PENSTOCK_TESTS_FUZZ_DIALECT_H

#include "base/json_scan.h"
#include "dialect/dialect.h"
#include "fuzz.h"

#define MAX_BYTES ((size_t)256 << 20)

static inline void must_be_object(struct slice text) {
    must(json_scan_object(text, JSON_DEPTH_MAX, NULL, NULL, NULL) == 0);
}

/* What is refused is refused with words. */
static inline void check_fault(const struct request_fault *fault) {
    must(fault->message[0] != '\0');
    must(slice_utf8_valid(slice_cstr(fault->message)) == strlen(fault->message));
    must(slice_utf8_valid(slice_cstr(fault->param)) == strlen(fault->param));
}

/* A whole stream, as frames. */
static inline void parse(struct slice bytes, int (*frame)(void *, const struct sse_frame *),
                         void *self) {
    struct sse_parser p;
    struct sse_sink sink = {frame, self};
    sse_parser_init(&p, NULL);
    must(sse_parser_feed(&p, bytes, &sink, NULL) == 0);
    must(sse_parser_finish(&p, &sink, NULL) == 0);
    sse_parser_dispose(&p);
}

/* Any bytes as the body of an upstream's error: it has words, and is an error's body again. */
static inline void check_error(const struct dialect *d, struct slice in) {
    struct arena *a = arena_new();
    struct api_error er, translated;
    struct buf body;
    buf_init(&body, MAX_BYTES);
    d->decode_error(500, in, a, &er);
    must(er.message.len > 0);
    must(d->encode_error(&er, &body) == 0);
    must_be_object(buf_slice(&body));
    buf_reset(&body);
    d->translate_error(&er, &translated);
    must(d->encode_error(&translated, &body) == 0);
    must_be_object(buf_slice(&body));
    buf_dispose(&body);
    arena_free(a);
}

#endif
