/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever the bytes and however they are cut: all of them come out, the frames are the same, and
 * what a client gets is the same and has nothing left to repair. */
#include "base/random.h"
#include "fuzz.h"
#include "sse/sse.h"

#define MAX_BYTES ((size_t)64 << 20)

struct run {
    struct buf raw, frames, client;
};

static void put(struct buf *b, struct slice s) {
    must(buf_append(b, s) == 0);
}

static int on_frame(void *self, const struct sse_frame *f) {
    struct run *r = self;
    enum sse_verdict v = sse_frame_verdict(f);
    put(&r->raw, f->raw);
    if (v == SSE_PASS) put(&r->client, f->raw);
    if (v == SSE_REPAIR) must(sse_write_repaired(&r->client, f) == 0);
    if (f->flags & (SSE_BLANK | SSE_PIECE)) return 0;
    must(buf_appendf(&r->frames, "\n%x|", f->flags) == 0);
    put(&r->frames, f->name);
    put(&r->frames, f->data);
    put(&r->frames, f->last_event_id);
    if (f->flags & SSE_DATA && !(f->flags & (SSE_MULTILINE | SSE_BAD_UTF8)))
        must(f->raw.ptr + f->data_off == f->data.ptr);
    return 0;
}

static int on_client_frame(void *self, const struct sse_frame *f) {
    (void)self;
    must(sse_frame_verdict(f) == SSE_PASS);
    return 0;
}

static void run(struct run *r, struct slice in, size_t max_step, uint64_t seed,
                const struct sse_options *o, int (*frame)(void *, const struct sse_frame *)) {
    struct sse_parser p;
    struct sse_sink sink = {frame, r};
    struct rng g;
    rng_seed(&g, seed);
    buf_init(&r->raw, MAX_BYTES);
    buf_init(&r->frames, MAX_BYTES);
    buf_init(&r->client, MAX_BYTES);
    sse_parser_init(&p, o);
    for (size_t at = 0; at < in.len;) {
        struct slice piece = slice_sub(in, at, max_step ? 1 + rng_below(&g, max_step) : in.len);
        char *copy = malloc(piece.len);
        memcpy(copy, piece.ptr, piece.len);
        must(sse_parser_feed(&p, slice_make(copy, piece.len), &sink, NULL) == 0);
        free(copy);
        at += piece.len;
    }
    must(sse_parser_finish(&p, &sink, NULL) == 0);
    sse_parser_dispose(&p);
}

static void run_dispose(struct run *r) {
    buf_dispose(&r->raw);
    buf_dispose(&r->frames);
    buf_dispose(&r->client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const size_t steps[] = {1, 2, 3, 17, 100};
    struct slice in = slice_make((const char *)data, size);
    struct run whole, split, client;
    run(&whole, in, 0, 0, NULL, on_frame);
    must(slice_eq(buf_slice(&whole.raw), in));
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        run(&split, in, steps[i], size, NULL, on_frame);
        must(slice_eq(buf_slice(&split.raw), in));
        must(slice_eq(buf_slice(&split.frames), buf_slice(&whole.frames)));
        must(slice_eq(buf_slice(&split.client), buf_slice(&whole.client)));
        run_dispose(&split);
        const struct sse_options cut = {.cut_through_bytes = 8};
        run(&split, in, steps[i], size, &cut, on_frame);
        must(slice_eq(buf_slice(&split.raw), in));
        run_dispose(&split);
    }
    run(&client, buf_slice(&whole.client), 7, size, NULL, on_client_frame);
    run_dispose(&client);
    run_dispose(&whole);
    return 0;
}
