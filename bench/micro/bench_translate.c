/* SPDX-License-Identifier: Apache-2.0 */
/* Nanoseconds and allocations per token of a stream that is passed on as it came, and of one that
 * is translated, for every pair of dialects, on one core. Build it with `meson compile
 * bench_translate` in a release build.
 *
 * The upstream's stream is what the dialect's own encoder writes: a text of many tokens. "passed"
 * is the work of the same-dialect path: parse, decode for the meter, copy the frame. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "dialect/translation.h"

#define TOKENS 256
#define ROUNDS 30
#define REPEATS 60
#define MAX_BYTES ((size_t)16 << 20)

struct pair {
    const struct dialect *client, *upstream;
    struct translation *t;           /* NULL: passed */
    struct arena *arena;
    struct encoder_options options;
    struct sse_parser parser;
    struct decoder *decoder;
    struct shaper *shaper;
    struct encoder *encoder;
    struct buf out;
    size_t n_deltas;
};

static void must(int rc) {
    if (rc) abort();
}

/* ---- the upstream's bytes ---- */

static void emit(const struct dialect *d, struct encoder *x, struct event ev, struct buf *out) {
    must(d->encoder_event(x, &ev, out));
}

/* head: up to the first token; tokens; tail: from the last one's end */
static void make_stream(const struct dialect *d, struct buf *head, struct buf *tokens,
                        struct buf *tail) {
    static const char *const words[] = {" whale", " the", " is", " largest", ",", " animal"};
    struct encoder_options o = {.id = SLICE("id-0123456789abcdef"),
                                .model = SLICE("some-model-2026-01-01"),
                                .created = 1763683200};
    struct encoder *x = d->encoder_new(&o);
    struct event begin = {.kind = EV_BLOCK_BEGIN, .block_kind = BLOCK_TEXT};
    struct event start = {.kind = EV_START,
                          .u.start = {.origin = d->name, .role = SLICE("assistant"), .created = -1}};
    struct event usage = {.kind = EV_USAGE, .u.usage = USAGE_NONE};
    usage.u.usage.in_total = 12;
    usage.u.usage.out_total = TOKENS;
    emit(d, x, start, head);
    emit(d, x, begin, head);
    for (int i = 0; i < TOKENS; i++) {
        struct event delta = {.kind = EV_DELTA,
                              .flags = EVF_CONTENT,
                              .block_kind = BLOCK_TEXT,
                              .text = slice_cstr(words[i % 6])};
        emit(d, x, delta, tokens);
    }
    emit(d, x, (struct event){.kind = EV_BLOCK_END, .block_kind = BLOCK_TEXT}, tail);
    emit(d, x, (struct event){.kind = EV_FINISH, .u.finish = {.reason = STOP_END}}, tail);
    emit(d, x, usage, tail);
    emit(d, x, (struct event){.kind = EV_END}, tail);
    d->encoder_free(x);
}

/* ---- the work ---- */

static int on_encoded(void *self, const struct event *ev) {
    struct pair *p = self;
    return p->client->encoder_event(p->encoder, ev, &p->out);
}

static int on_decoded(void *self, const struct event *ev) {
    struct pair *p = self;
    struct event_sink sink = {on_encoded, p};
    struct err e;
    p->n_deltas += ev->kind == EV_DELTA;
    return p->t ? shaper_event(p->shaper, ev, &sink, &e) : 0;
}

static int on_frame(void *self, const struct sse_frame *f) {
    struct pair *p = self;
    struct event_sink sink = {on_decoded, p};
    struct err e;
    if (!(f->flags & SSE_EVENT)) return 0;
    must(p->upstream->decoder_feed(p->decoder, f, &sink, &e));
    return p->t ? 0 : buf_append(&p->out, f->raw);
}

static void feed(struct pair *p, const struct buf *bytes) {
    struct sse_sink sink = {on_frame, p};
    struct err e;
    must(sse_parser_feed(&p->parser, buf_slice(bytes), &sink, &e));
}

static void open_pair(struct pair *p) {
    p->decoder = p->upstream->decoder_new();
    sse_parser_init(&p->parser, NULL);
    if (!p->t) return;
    p->shaper = shaper_new(p->t, MAX_BYTES);
    p->encoder = p->client->encoder_new(&p->options);
}

static void close_pair(struct pair *p) {
    p->upstream->decoder_free(p->decoder);
    sse_parser_dispose(&p->parser);
    if (!p->t) return;
    shaper_free(p->shaper);
    p->client->encoder_free(p->encoder);
}

/* One frame at a time, as paced tokens come. */
static void feed_each(struct pair *p, const struct buf *tokens) {
    struct sse_sink sink = {on_frame, p};
    struct slice rest = buf_slice(tokens);
    struct err e;
    while (rest.len > 0) {
        const char *end = memmem(rest.ptr, rest.len, "\n\n", 2);
        size_t n = (size_t)(end - rest.ptr) + 2;
        must(sse_parser_feed(&p->parser, slice_sub(rest, 0, n), &sink, &e));
        buf_reset(&p->out);
        rest = slice_from(rest, n);
    }
}

static double measure(const struct dialect *client, const struct dialect *upstream,
                      double passed_ns) {
    struct pair p = {.client = client, .upstream = upstream};
    struct buf head, tokens, tail;
    int64_t best = INT64_MAX;
    uint64_t allocs = 0;
    size_t sizes = 0;
    buf_init(&head, MAX_BYTES);
    buf_init(&tokens, MAX_BYTES);
    buf_init(&tail, MAX_BYTES);
    buf_init(&p.out, MAX_BYTES);
    make_stream(upstream, &head, &tokens, &tail);
    p.arena = arena_new();
    p.options = (struct encoder_options){
        .id = SLICE("id-0123456789abcdef"), .model = SLICE("some-model"), .created = 1763683200};
    if (client != upstream)
        p.t = translation_new(p.arena, client, upstream, &preset_find(upstream->name)->caps);
    for (int round = 0; round < ROUNDS; round++) {
        int64_t took = 0;
        for (int i = 0; i < REPEATS; i++) {
            open_pair(&p);
            feed(&p, &head);
            feed_each(&p, &tokens);      /* scratch grows here, once a stream */
            uint64_t before = mem_alloc_count();
            int64_t start = clock_mono_ns();
            feed_each(&p, &tokens);
            took += clock_mono_ns() - start;
            allocs += mem_alloc_count() - before;
            feed(&p, &tail);
            sizes = p.out.len;
            buf_reset(&p.out);
            close_pair(&p);
        }
        if (took < best) best = took;
    }
    double ns = (double)best / (REPEATS * TOKENS);
    printf("%-12s <- %-12s %8.1f ns a token  %5.2f x passed  %7.4f allocations a token\n",
           client->name, upstream->name, ns, passed_ns > 0 ? ns / passed_ns : 1.0,
           (double)allocs / ((double)ROUNDS * REPEATS * TOKENS));
    if (p.n_deltas == 0 || (p.t && sizes == 0)) abort();
    buf_dispose(&head);
    buf_dispose(&tokens);
    buf_dispose(&tail);
    buf_dispose(&p.out);
    arena_free(p.arena);
    return ns;
}

int main(void) {
    for (unsigned u = 0; dialects[u]; u++) {
        double passed = measure(dialects[u], dialects[u], 0);
        for (unsigned c = 0; dialects[c]; c++) {
            if (c != u && dialects[u] != &dialect_completions)
                measure(dialects[c], dialects[u], passed);
        }
    }
    return 0;
}
