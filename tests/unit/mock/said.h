/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: an answer said in a dialect, read back from its stream, which the dialect's checker
 * has looked at, and from its body. Included by one .c file a program. */
#ifndef PENSTOCK_TESTS_SAID_H
#define PENSTOCK_TESTS_SAID_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "mock/completion.h"
#include "mock/reply.h"

#define TEST_BYTES ((size_t)16 << 20)

struct said {
    const struct dialect *dialect;
    struct answer *streamed, *whole; /* by way of the wire, by way of a body */
    struct buf body, wire;
    uint64_t slots, slot_tokens, tokens;
};

/* ---- saying ---- */

static int add_to(void *self, const struct event *ev) {
    return answer_add(self, ev);
}

struct reading {
    const struct dialect *dialect;
    struct decoder *decoder;
    struct checker *checker;
    struct answer *to;
};

static int read_frame(void *self, const struct sse_frame *f) {
    struct reading *r = self;
    const struct event_sink sink = {add_to, r->to};
    struct err e;
    if (!(f->flags & SSE_DATA)) {
        return 0;
    }
    if (r->dialect->checker_frame(r->checker, f, &e) < 0) {
        fail_msg("%s: %s: %.*s", r->dialect->name, e.text, SLICE_FMT(f->data));
    }
    return r->dialect->decoder_feed(r->decoder, f, &sink, &e);
}

static void read_wire(struct said *s) {
    struct reading r = {s->dialect, s->dialect->decoder_new(), s->dialect->checker_new(),
                        s->streamed};
    const struct sse_sink frames = {read_frame, &r};
    const struct event_sink events = {add_to, s->streamed};
    struct sse_parser p;
    struct err e = {.text = ""};
    sse_parser_init(&p, NULL);
    assert_int_equal(sse_parser_feed(&p, buf_slice(&s->wire), &frames, &e), 0);
    assert_int_equal(sse_parser_finish(&p, &frames, &e), 0);
    if (s->dialect->checker_end(r.checker, &e) < 0) {
        fail_msg("%s: %s", s->dialect->name, e.text);
    }
    assert_int_equal(s->dialect->decoder_finish(r.decoder, &events, &e), 0);
    s->dialect->decoder_free(r.decoder);
    s->dialect->checker_free(r.checker);
    sse_parser_dispose(&p);
}

static void decode(const struct dialect *d, const char *body, struct arena *a,
                   struct llm_request *rq) {
    struct request_fault fault;
    if (d->decode_request(slice_cstr(body), a, rq, &fault) < 0) {
        fail_msg("%s: %s: %s", d->name, body, fault.message);
    }
}

static void say(struct said *s, const struct dialect *d, const char *body,
                const struct reply_options *said_options) {
    struct arena *a = arena_new();
    struct llm_request rq;
    struct reply_options o = *said_options;
    struct answer *direct = answer_new(TEST_BYTES);
    struct request_fault fault;
    struct event ev;
    struct err e;
    o.dialect = d;
    if (d == &dialect_completions) {
        assert_int_equal(completion_decode(slice_cstr(body), a, &rq, &fault), 0);
    } else {
        decode(d, body, a, &rq);
    }
    struct reply *r = reply_new(&rq, &o);
    const struct encoder_options eo = {
        .id = reply_id(r), .model = reply_model(r), .created = o.created, .include_usage = true};
    struct encoder *x = d->encoder_new(&eo);
    *s = (struct said){
        .dialect = d, .streamed = answer_new(TEST_BYTES), .whole = answer_new(TEST_BYTES)};
    buf_init(&s->wire, TEST_BYTES);
    buf_init(&s->body, TEST_BYTES);
    for (enum reply_step step; (step = reply_next(r, &ev)) != REPLY_OVER;) {
        s->slots += step == REPLY_TOKEN;
        s->slot_tokens += step == REPLY_TOKEN ? reply_slot_tokens(r) : 0;
        assert_int_equal(answer_add(direct, &ev), 0);
        assert_int_equal(d->encoder_event(x, &ev, &s->wire), 0);
    }
    assert_int_equal(d->encode_response(direct, &eo, &s->body), 0);
    const struct event_sink sink = {add_to, s->whole};
    assert_int_equal(d->decode_response(buf_slice(&s->body), &sink, &e), 0);
    read_wire(s);
    s->tokens = reply_tokens(r);
    d->encoder_free(x);
    answer_free(direct);
    reply_free(&r);
    arena_free(a);
}

static void forget(struct said *s) {
    answer_free(s->streamed);
    answer_free(s->whole);
    buf_dispose(&s->body);
    buf_dispose(&s->wire);
}

/* Choices take turns in a stream, and stand one after the other in a body. */
static const struct answer_block *nth_block(const struct answer *an, unsigned choice, unsigned n) {
    const struct answer_block *blocks;
    unsigned count = answer_blocks(an, &blocks);
    for (unsigned i = 0; i < count; i++) {
        if (blocks[i].choice == choice && n-- == 0) {
            return &blocks[i];
        }
    }
    return NULL;
}

#endif
