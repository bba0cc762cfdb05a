/* SPDX-License-Identifier: Apache-2.0 */
/* What the property tests of all dialects' streams share: random texts, and the properties that
 * hold whatever the dialect. */
#ifndef PENSTOCK_TESTS_STREAM_TEST_H
#define PENSTOCK_TESTS_STREAM_TEST_H

#include "dialect_test.h"

#include "base/random.h"

/* One to four pieces of what escaping, splitting and framing could get wrong. */
static inline struct slice random_text(struct rng *g, struct arena *a) {
    static const char *const bits[] = {"a",
                                       " whale",
                                       "\"",
                                       "\\",
                                       "\n",
                                       "\xc3\xa9",
                                       "\xe2\x82\xac",
                                       "\xf0\x9f\x98\x80",
                                       "{\"x\":",
                                       "}",
                                       "\t\x01",
                                       "\"}],\"usage\":",
                                       "\"}}\n\nevent: message_stop",
                                       "data: [DONE]\n\n",
                                       "\xe2\x80\xa8"};
    struct buf b;
    buf_init(&b, 4096);
    for (uint64_t n = 1 + rng_below(g, 4); n > 0; n--)
        put(&b, slice_cstr(bits[rng_below(g, sizeof bits / sizeof *bits)]));
    struct slice s = arena_dup(a, buf_slice(&b));
    buf_dispose(&b);
    return s;
}

static inline void encode_stream(const struct dialect *d, const struct encoder_options *o,
                                 const struct event *events, unsigned n, struct buf *out) {
    struct encoder *x = d->encoder_new(o);
    for (unsigned i = 0; i < n; i++) assert_int_equal(d->encoder_event(x, &events[i], out), 0);
    d->encoder_free(x);
}

struct stream_reader {
    const struct dialect *d;
    struct decoder *decoder;
    struct checker *checker;
    const struct event_sink *sink;
};

static inline int read_frame(void *self, const struct sse_frame *f) {
    struct stream_reader *r = self;
    struct err e;
    assert_int_equal(sse_frame_verdict(f), SSE_PASS);
    if (r->d->checker_frame(r->checker, f, &e)) fail_msg("%s: %.*s", e.text, SLICE_FMT(f->raw));
    int rc = r->d->decoder_feed(r->decoder, f, r->sink, &e);
    if (rc) print_error("%s: %.*s\n", e.text, SLICE_FMT(f->data));
    return rc;
}

/* A whole stream, in random pieces: it keeps its dialect's grammar, and its events go to sink. */
static inline void decode_stream(const struct dialect *d, struct slice bytes, struct rng *g,
                                 const struct event_sink *sink) {
    struct stream_reader r = {d, d->decoder_new(), d->checker_new(), sink};
    struct sse_sink frames = {read_frame, &r};
    struct sse_parser p;
    struct err e;
    sse_parser_init(&p, NULL);
    while (bytes.len > 0) {
        struct slice piece = slice_sub(bytes, 0, 1 + rng_below(g, 600));
        assert_int_equal(sse_parser_feed(&p, piece, &frames, NULL), 0);
        bytes = slice_from(bytes, piece.len);
    }
    assert_true(sse_parser_at_border(&p));
    assert_int_equal(sse_parser_finish(&p, &frames, NULL), 0);
    assert_int_equal(d->decoder_finish(r.decoder, sink, NULL), 0);
    if (d->checker_end(r.checker, &e)) fail_msg("%s", e.text);
    d->decoder_free(r.decoder);
    d->checker_free(r.checker);
    sse_parser_dispose(&p);
}

/* Writes the events and reads them again. collect writes an event down as far as the wire tells it;
 * its self is a buf. */
static inline void assert_comes_back(const struct dialect *d, const struct encoder_options *o,
                                     const struct event *events, unsigned n, struct rng *g,
                                     int (*collect)(void *, const struct event *)) {
    struct buf wire, before, after;
    struct event_sink sink = {collect, &after};
    buf_init(&wire, TEST_BYTES);
    buf_init(&before, TEST_BYTES);
    buf_init(&after, TEST_BYTES);
    encode_stream(d, o, events, n, &wire);
    for (unsigned i = 0; i < n; i++) collect(&before, &events[i]);
    decode_stream(d, buf_slice(&wire), g, &sink);
    assert_slices(buf_slice(&after), buf_slice(&before));
    buf_dispose(&wire);
    buf_dispose(&before);
    buf_dispose(&after);
}

static inline int reduce(void *self, const struct event *ev) {
    return answer_add(self, ev);
}

static inline void write_body(const struct dialect *d, const struct answer *an,
                              const struct encoder_options *o, struct buf *out) {
    buf_init(out, TEST_BYTES);
    assert_int_equal(d->encode_response(an, o, out), 0);
    assert_int_equal(json_scan_object(buf_slice(out), 128, NULL, NULL, NULL), 0);
}

/* The events themselves, the stream that was made of them, and the body that was: all three, put
 * together, give the same body. */
static inline void assert_whole_is_streamed(const struct dialect *d,
                                            const struct encoder_options *stream,
                                            const struct encoder_options *body,
                                            const struct event *events, unsigned n, struct rng *g) {
    struct answer *direct = answer_new(TEST_BYTES), *streamed = answer_new(TEST_BYTES),
                  *whole = answer_new(TEST_BYTES);
    struct event_sink to_streamed = {reduce, streamed}, to_whole = {reduce, whole};
    struct buf wire, x, y, z;
    buf_init(&wire, TEST_BYTES);
    encode_stream(d, stream, events, n, &wire);
    for (unsigned i = 0; i < n; i++) assert_int_equal(answer_add(direct, &events[i]), 0);
    decode_stream(d, buf_slice(&wire), g, &to_streamed);
    write_body(d, direct, body, &x);
    write_body(d, streamed, body, &y);
    assert_slices(buf_slice(&y), buf_slice(&x));
    assert_int_equal(d->decode_response(buf_slice(&x), &to_whole, NULL), 0);
    write_body(d, whole, body, &z);
    assert_slices(buf_slice(&z), buf_slice(&x));
    answer_free(direct);
    answer_free(streamed);
    answer_free(whole);
    buf_dispose(&wire);
    buf_dispose(&x);
    buf_dispose(&y);
    buf_dispose(&z);
}

/* An output that fills up ends behind a frame. */
static inline void assert_frames_are_whole(const struct dialect *d, const struct encoder_options *o,
                                           const struct event *events, unsigned n,
                                           size_t max_bytes) {
    struct encoder *x = d->encoder_new(o);
    struct buf wire;
    int rc = 0;
    buf_init(&wire, max_bytes);
    for (unsigned i = 0; rc == 0 && i < n; i++) {
        rc = d->encoder_event(x, &events[i], &wire);
        assert_true(rc == 0 || rc == -ERR_LIMIT);
        assert_true(wire.len == 0 ||
                    (wire.ptr[wire.len - 1] == '\n' && wire.ptr[wire.len - 2] == '\n'));
    }
    d->encoder_free(x);
    buf_dispose(&wire);
}

#endif
