/* SPDX-License-Identifier: Apache-2.0 */
/* Nanoseconds per chunk of each step that a token takes through the dialect room, on one core.
 * Build it with `meson compile bench_chat` in a release build (buildtype=release, b_lto=true).
 *
 * The best of several rounds: what the code costs, not what else ran. Says how many allocations a
 * chunk took. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "dialect/dialect.h"
#include "dialect/splice.h"

#define CHUNKS 64
#define ROUNDS 40
#define REPEATS 200

static const char start_chunk[] =
    "data: "
    "{\"id\":\"chatcmpl-AbCdEfGhIjKlMnOpQrStUvWx\",\"object\":\"chat.completion.chunk\","
    "\"created\":1763683200,"
    "\"model\":\"gpt-4o-mini-2024-07-18\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_"
    "0392822090\",\"choices\":"
    "[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},"
    "\"logprobs\":null,"
    "\"finish_reason\":null}],\"usage\":null}\n\n";
static const char text_chunk[] =
    "data: "
    "{\"id\":\"chatcmpl-AbCdEfGhIjKlMnOpQrStUvWx\",\"object\":\"chat.completion.chunk\","
    "\"created\":1763683200,"
    "\"model\":\"gpt-4o-mini-2024-07-18\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_"
    "0392822090\",\"choices\":"
    "[{\"index\":0,\"delta\":{\"content\":\" "
    "whale\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null,"
    "\"obfuscation\":\"k3n2\"}\n\n";

struct job {
    struct sse_parser parser;
    struct decoder *decoder;
    struct encoder *encoder;
    struct buf out;
    struct event deltas[CHUNKS];
    size_t n_events, n_cuts;
    bool decodes, strips;
};

static int on_event(void *self, const struct event *ev) {
    struct job *j = self;
    j->n_events += ev->kind == EV_DELTA;
    return 0;
}

static int on_frame(void *self, const struct sse_frame *f) {
    struct job *j = self;
    struct event_sink sink = {on_event, j};
    struct span cuts[4];
    unsigned n = 0;
    if (!j->decodes) return 0;
    if (sse_frame_verdict(f) != SSE_PASS) abort();
    int rc = dialect_chat.decoder_feed(j->decoder, f, &sink, NULL);
    if (rc == 0 && j->strips && dialect_chat.strip_usage(j->decoder, f, cuts, 4, &n) == FRAME_CUT)
        j->n_cuts += n;
    return rc;
}

static void run_feed(struct job *j, struct slice bytes) {
    struct sse_sink sink = {on_frame, j};
    if (sse_parser_feed(&j->parser, bytes, &sink, NULL)) abort();
}

static void run_encode(struct job *j, struct slice bytes) {
    struct event ev = {.kind = EV_DELTA, .block_kind = BLOCK_TEXT, .text = SLICE(" whale")};
    (void)bytes;
    buf_reset(&j->out);
    for (int i = 0; i < CHUNKS; i++) {
        if (dialect_chat.encoder_event(j->encoder, &ev, &j->out)) abort();
    }
}

static void measure(const char *what, struct job *j, struct slice bytes,
                    void (*run)(struct job *, struct slice)) {
    int64_t best = INT64_MAX;
    run(j, bytes);
    uint64_t allocs = mem_alloc_count();
    for (int round = 0; round < ROUNDS; round++) {
        int64_t start = clock_mono_ns();
        for (int i = 0; i < REPEATS; i++) run(j, bytes);
        int64_t took = clock_mono_ns() - start;
        if (took < best) best = took;
    }
    allocs = mem_alloc_count() - allocs;
    printf("%-28s %7.1f ns a chunk  %6.3f allocations a chunk\n", what,
           (double)best / (REPEATS * CHUNKS), (double)allocs / ((double)ROUNDS * REPEATS * CHUNKS));
}

static void run_peek(void) {
    static const char body[] =
        "{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"system\",\"content\":\"You are "
        "terse.\"},"
        "{\"role\":\"user\",\"content\":\"Name the largest animal that has ever lived, please, and "
        "how much "
        "it weighs, in two short sentences without any \\\"adjectives\\\".\"}],\"temperature\":0.2,"
        "\"stream\":true,\"max_tokens\":200}";
    int64_t best = INT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t start = clock_mono_ns();
        for (int i = 0; i < REPEATS; i++) {
            struct arena *a = arena_new();
            struct envelope env;
            struct request_fault fault;
            struct slice pieces[SPLICE_PIECES];
            unsigned n;
            if (dialect_chat.peek_request(slice_cstr(body), a, &env, &fault)) abort();
            if (request_splice(slice_cstr(body), &env, SLICE("gpt-4o"), true, a, pieces, &n))
                abort();
            arena_free(a);
        }
        int64_t took = clock_mono_ns() - start;
        if (took < best) best = took;
    }
    printf("%-28s %7.1f ns a request of %zu bytes, arena included\n", "peek + splice",
           (double)best / REPEATS, sizeof body - 1);
}

int main(void) {
    struct job j = {.n_events = 0};
    struct encoder_options o = {
        .id = SLICE("chatcmpl-1"), .model = SLICE("gpt-4o-mini"), .created = 1763683200};
    struct event start = {.kind = EV_START, .u.start.created = -1};
    struct buf in;
    buf_init(&in, 1 << 20);
    buf_init(&j.out, 1 << 20);
    for (int i = 0; i < CHUNKS; i++) {
        if (buf_append(&in, slice_cstr(text_chunk))) abort();
    }
    sse_parser_init(&j.parser, NULL);
    j.decoder = dialect_chat.decoder_new();
    j.encoder = dialect_chat.encoder_new(&o);
    if (dialect_chat.encoder_event(j.encoder, &start, &j.out)) abort();
    printf("a chunk: %zu bytes\n", sizeof text_chunk - 1);
    measure("sse", &j, buf_slice(&in), run_feed);
    j.decodes = true;
    run_feed(&j, slice_cstr(start_chunk));
    measure("sse + decode", &j, buf_slice(&in), run_feed);
    j.strips = true;
    measure("sse + decode + strip usage", &j, buf_slice(&in), run_feed);
    measure("encode", &j, SLICE_NULL, run_encode);
    run_peek();
    if (j.n_events == 0 || j.n_cuts == 0) abort();
    dialect_chat.decoder_free(j.decoder);
    dialect_chat.encoder_free(j.encoder);
    sse_parser_dispose(&j.parser);
    buf_dispose(&in);
    buf_dispose(&j.out);
    return 0;
}
