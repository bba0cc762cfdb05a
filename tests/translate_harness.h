/* SPDX-License-Identifier: Apache-2.0 */
/* One request through the translation between two dialects, without a gateway: what golden
 * transcripts, properties and fuzzers share. All results are bytes, comparable for every split. */
#ifndef PENSTOCK_TESTS_TRANSLATE_HARNESS_H
#define PENSTOCK_TESTS_TRANSLATE_HARNESS_H

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "dialect/dialect.h"
#include "dialect/translation.h"
#include "sse/sse.h"

#define HARNESS_BYTES ((size_t)64 << 20)

struct harness {
    const struct dialect *from, *to;
    const struct capabilities *caps;
    struct arena *arena;
    struct translation *t;
    struct llm_request rq;
    struct buf echo;
    struct encoder_options options;
    bool is_stream;
};

/* The request: 0 with the upstream's body in `sent`, else -ERR_USAGE with the fault. */
static inline int harness_open(struct harness *h, const char *from, const char *to,
                               const char *preset, struct slice body, struct buf *sent,
                               struct request_fault *fault) {
    *h = (struct harness){.from = dialect_find(slice_cstr(from)),
                          .to = dialect_find(slice_cstr(to))};
    const struct preset *row = preset_find(preset);
    if (!h->from || !h->to || !row) abort();
    h->caps = &row->caps;
    h->arena = arena_new();
    buf_init(&h->echo, HARNESS_BYTES);
    h->t = translation_new(h->arena, h->from, h->to, h->caps);
    int rc = h->from->decode_request(body, h->arena, &h->rq, fault);
    if (rc) return rc;
    h->is_stream = h->rq.env.stream;
    /* what the response repeats is the client's request, before it was made to fit */
    if (h->from->encode_echo && h->from->encode_echo(&h->rq, &h->echo)) abort();
    h->options = (struct encoder_options){
        .id = SLICE("id-0123456789"),
        .model = arena_dup(h->arena, h->rq.env.model),
        .created = 1763683200,
        .include_usage = h->rq.env.include_usage,
        .echo = buf_slice(&h->echo),
    };
    return request_translate(&h->rq, h->t, sent, fault);
}

static inline void harness_close(struct harness *h) {
    buf_dispose(&h->echo);
    arena_free(h->arena);
}

/* ---- streams ---- */

struct harness_stream {
    const struct harness *h;
    struct decoder *decoder;
    struct shaper *shaper;
    struct encoder *encoder;
    struct buf *out;
    bool is_over;                    /* the client's stream has ended, well or not */
};

static inline int harness_encode(void *self, const struct event *ev) {
    struct harness_stream *s = self;
    struct event own = *ev;
    if (ev->kind == EV_ERROR || ev->kind == EV_END) s->is_over = true;
    if (ev->kind == EV_ERROR) s->h->from->translate_error(&ev->u.error, &own.u.error);
    return s->h->from->encoder_event(s->encoder, &own, s->out);
}

static inline int harness_shape(void *self, const struct event *ev) {
    struct harness_stream *s = self;
    struct event_sink sink = {harness_encode, s};
    struct err e = {0};
    if (s->is_over) return 0;
    int rc = shaper_event(s->shaper, ev, &sink, &e);
    if (shaper_is_over(s->shaper)) s->is_over = true;
    return rc;
}

/* What the gateway does when the upstream breaks its own rules, or is cut. */
static inline void harness_fail(struct harness_stream *s, const char *message) {
    struct event ev = {.kind = EV_ERROR,
                       .u.error = {.status = 502,
                                   .message = slice_cstr(message),
                                   .type = SLICE("server_error"),
                                   .code = SLICE("bad_gateway")}};
    if (s->is_over) return;
    if (harness_encode(s, &ev)) abort();
}

static inline int harness_frame(void *self, const struct sse_frame *f) {
    struct harness_stream *s = self;
    struct event_sink sink = {harness_shape, s};
    struct err e = {0};
    if (s->is_over || !(f->flags & SSE_EVENT) || sse_frame_verdict(f) == SSE_DROP) return 0;
    int rc = s->h->to->decoder_feed(s->decoder, f, &sink, &e);
    if (rc == -ERR_PROTOCOL) harness_fail(s, "The provider's stream breaks its own rules.");
    else if (rc == -ERR_LIMIT) harness_fail(s, "The provider's answer is too large.");
    return 0;
}

/* in: the upstream's bytes, fed in pieces of `step` bytes (0: whole), each in memory of its own. */
static inline void harness_stream(const struct harness *h, struct slice in, size_t step,
                                  size_t cut, struct buf *out) {
    struct harness_stream s = {.h = h, .out = out};
    struct sse_sink frames = {harness_frame, &s};
    struct event_sink sink = {harness_shape, &s};
    struct sse_parser p;
    struct err e = {0};
    s.decoder = h->to->decoder_new();
    s.shaper = shaper_new(h->t, HARNESS_BYTES);
    s.encoder = h->from->encoder_new(&h->options);
    sse_parser_init(&p, NULL);
    for (size_t at = 0; at < in.len;) {
        size_t n = step ? step : in.len - at;
        if (at < cut && cut - at < n) n = cut - at;
        if (n > in.len - at) n = in.len - at;
        char *copy = malloc(n);
        memcpy(copy, in.ptr + at, n);
        if (sse_parser_feed(&p, slice_make(copy, n), &frames, &e)) abort();
        free(copy);
        at += n;
    }
    if (sse_parser_finish(&p, &frames, &e)) abort();
    if (!s.is_over && (h->to->decoder_finish(s.decoder, &sink, &e) || !s.is_over))
        harness_fail(&s, "The provider closed its stream before the answer was complete.");
    sse_parser_dispose(&p);
    h->to->decoder_free(s.decoder);
    shaper_free(s.shaper);
    h->from->encoder_free(s.encoder);
}

/* ---- the client's view of a stream ---- */

struct harness_reader {
    const struct dialect *d;
    struct decoder *decoder;
    struct checker *checker;
    struct answer *answer;
    struct err broken;               /* the first rule that was broken */
    bool is_broken;
};

static inline int harness_collect(void *self, const struct event *ev) {
    struct harness_reader *r = self;
    return answer_add(r->answer, ev);
}

static inline int harness_read_frame(void *self, const struct sse_frame *f) {
    struct harness_reader *r = self;
    struct event_sink sink = {harness_collect, r};
    struct err e = {0};
    if (!(f->flags & SSE_EVENT)) return 0;
    if (r->d->checker_frame(r->checker, f, &e) && !r->is_broken) {
        r->broken = e;
        r->is_broken = true;
    }
    if (r->d->decoder_feed(r->decoder, f, &sink, &e) && !r->is_broken) {
        r->broken = e;
        r->is_broken = true;
    }
    return 0;
}

static inline bool harness_has_usage(const struct harness *h) {
    return !h->from->strip_usage || h->rq.env.include_usage;
}

/* What an answer says, a line a fact: the same for a stream and for the body of the same answer. */
static inline void harness_tell(const struct answer *an, bool with_usage, struct buf *out) {
    const struct answer_block *b;
    const struct answer_choice *c;
    const struct usage *u = with_usage ? answer_usage(an) : NULL;
    unsigned n = answer_blocks(an, &b);
    int rc = 0;
    for (unsigned i = 0; i < n; i++) {
        if (b[i].kind == BLOCK_OPAQUE) continue;
        rc |= buf_appendf(out, "%s", block_kind_name(b[i].kind));
        if (b[i].tool_name.len > 0)
            rc |= buf_appendf(out, " %.*s(%.*s)", SLICE_FMT(b[i].tool_name), SLICE_FMT(b[i].tool_id));
        /* a call without arguments may say so, or say nothing */
        bool is_empty_call = b[i].kind == BLOCK_TOOL_CALL && b[i].text.len == 0;
        rc |= buf_append(out, SLICE(": ")) |
              buf_append(out, is_empty_call ? SLICE("{}") : b[i].text);
        if (b[i].signature.len > 0)
            rc |= buf_append(out, SLICE(" proof ")) | buf_append(out, b[i].signature);
        for (unsigned k = 0; k < b[i].n_annotations; k++)
            rc |= buf_appendf(out, " [%.*s %lld-%lld]", SLICE_FMT(b[i].annotations[k].url),
                              (long long)b[i].annotations[k].start,
                              (long long)b[i].annotations[k].end);
        rc |= buf_append(out, SLICE("\n"));
    }
    n = answer_choices(an, &c);
    for (unsigned i = 0; i < n; i++) {
        rc |= buf_appendf(out, "finish %d %.*s\n", (int)c[i].finish.reason,
                          SLICE_FMT(c[i].finish.stop_sequence));
    }
    if (u)
        rc |= buf_appendf(out, "usage %lld %lld %lld %lld %lld\n", (long long)u->in_total,
                          (long long)u->out_total, (long long)u->cache_read,
                          (long long)u->cache_write, (long long)u->reasoning);
    if (rc) abort();
}

/* The same of a client's whole body. False: it is no answer. */
static inline bool harness_tell_body(const struct harness *h, struct slice body, bool with_usage,
                                     struct buf *out) {
    struct harness_reader r = {.d = h->from, .answer = answer_new(HARNESS_BYTES)};
    struct event_sink sink = {harness_collect, &r};
    struct err e;
    bool ok = r.d->decode_response(body, &sink, &e) == 0 && !answer_error(r.answer);
    if (ok) harness_tell(r.answer, with_usage, out);
    answer_free(r.answer);
    return ok;
}

/* Reads what harness_stream wrote, as a client would. True: the grammar of its dialect holds, and
 * `told` (may be NULL) has what it says, nothing when that is an error. e: the rule that was
 * broken. Usage is told where the client asked for it. */
static inline bool harness_read(const struct harness *h, struct slice stream, struct buf *told,
                                struct err *e) {
    struct harness_reader r = {.d = h->from};
    struct sse_sink frames = {harness_read_frame, &r};
    struct event_sink sink = {harness_collect, &r};
    struct sse_parser p;
    struct err ignored = {0};
    r.decoder = r.d->decoder_new();
    r.checker = r.d->checker_new();
    r.answer = answer_new(HARNESS_BYTES);
    sse_parser_init(&p, NULL);
    if (sse_parser_feed(&p, stream, &frames, &ignored)) abort();
    if (sse_parser_finish(&p, &frames, &ignored)) abort();
    if (!r.is_broken && r.d->checker_end(r.checker, &r.broken)) r.is_broken = true;
    if (!r.is_broken && r.d->decoder_finish(r.decoder, &sink, &r.broken)) r.is_broken = true;
    if (told && !r.is_broken && !answer_error(r.answer))
        harness_tell(r.answer, harness_has_usage(h), told);
    *e = r.broken;
    sse_parser_dispose(&p);
    r.d->decoder_free(r.decoder);
    r.d->checker_free(r.checker);
    answer_free(r.answer);
    return !r.is_broken;
}

#endif
