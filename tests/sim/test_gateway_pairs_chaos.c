/* SPDX-License-Identifier: Apache-2.0 */
/* Chaos over pairs of dialects, seeded: upstreams that answer well, badly, in the wrong form, with
 * broken bytes or not to the end; clients that dawdle and leave.
 * Whatever happens, a client that stays gets for each request one whole answer: a stream that keeps
 * its dialect's grammar and ends well or in an error, a whole answer, or an error body; and in the
 * end nothing is left. The gateway checks its own streams besides, and aborts. A failure names its
 * seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json_scan.h"
#include "gateway_rig.c"
#include "pair_words.h"
#include "sse/sse.h"

#define SEEDS 300 /* CHAOS_SEEDS asks for more, CHAOS_SEED for one */
#define STREAM_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
#define MAX_ASKS 3

enum plan {
    PLAN_GOOD,
    PLAN_WRONG_FORM,     /* JSON for a stream, a stream for JSON */
    PLAN_BROKEN,         /* some bytes are others */
    PLAN_SHUFFLED,       /* frames out of order, twice, or missing */
    PLAN_CUT,
    PLAN_ERROR_EVENT,
    PLAN_STATUS,
    PLAN_PAGE,
    PLAN_SILENCE,
    PLAN_COUNT
};

struct world {
    struct rig rig;
    struct rig_client client;
    struct arena *arena;
    struct rng rng;
    uint64_t seed;
    const struct pair_words *from, *to;
    enum plan plan;
    bool stream, leaves, dawdles;
    unsigned n_asks;
};

static struct world *the_world;

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "seed %llu, %s client, %s upstream, plan %d: ",                        \
                    (unsigned long long)the_world->seed, the_world->from->dialect,                 \
                    the_world->to->dialect, the_world->plan);                                      \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fprintf(stderr, "\n");                                                                 \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static unsigned below(struct world *w, size_t n) {
    return (unsigned)rng_below(&w->rng, n);
}

static bool chance(struct world *w, unsigned percent) {
    return below(w, 100) < percent;
}

/* ---- the upstream ---- */

static void break_bytes(struct world *w, char *bytes, size_t n) {
    static const char odd[] = "\"\\{}[]:,0\n\r \377\001e-";
    for (unsigned i = 1 + below(w, 4); i > 0; i--)
        bytes[below(w, n)] = chance(w, 70) ? odd[below(w, sizeof odd - 1)] : (char)below(w, 256);
}

static size_t frames_of(const char *stream, struct slice *out, size_t max) {
    size_t n = 0;
    while (*stream && n < max) {
        const char *end = strstr(stream, "\n\n");
        size_t len = end ? (size_t)(end - stream) + 2 : strlen(stream);
        out[n++] = slice_make(stream, len);
        stream += len;
    }
    return n;
}

static const char *shuffled(struct world *w, const char *stream) {
    struct slice frames[64];
    size_t n = frames_of(stream, frames, 64);
    struct buf b;
    buf_init(&b, 1u << 20);
    for (size_t i = 0; i < n; i++) {
        size_t k = chance(w, 15) ? below(w, n) : i;
        if (chance(w, 10))
            continue;
        must(buf_append(&b, frames[k]));
        if (chance(w, 10))
            must(buf_append(&b, frames[k]));
    }
    const char *made = arena_dup(w->arena, buf_slice(&b)).ptr;
    buf_dispose(&b);
    return made ? made : "";
}

static struct slice with_length(struct world *w, const char *status, const char *type,
                                const char *body) {
    return slice_cstr(arena_printf(w->arena, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s", status, type, strlen(body), body));
}

static struct slice good(struct world *w, bool as_stream) {
    return as_stream ? slice_cstr(arena_printf(w->arena, STREAM_HEAD "%s", w->to->stream))
                     : with_length(w, "200 OK", "application/json", w->to->whole);
}

static struct slice broken(struct world *w) {
    struct slice all = arena_dup(w->arena, good(w, w->stream));
    size_t head = (size_t)((char *)memmem(all.ptr, all.len, "\r\n\r\n", 4) - all.ptr) + 4;
    break_bytes(w, (char *)(uintptr_t)all.ptr + head, all.len - head);
    return all;
}

static void script(struct world *w) {
    struct rig_script *s = &w->rig.script;
    static const char *const statuses[] = {"400 Bad", "404 No", "429 Slow", "500 Oops", "529 Busy", "413 Big"};
    s->then = w->stream ? RIG_FIN : RIG_KEEP;
    switch (w->plan) {
    case PLAN_GOOD: s->answer = good(w, w->stream); break;
    case PLAN_WRONG_FORM:
        s->answer = good(w, !w->stream);
        s->then = w->stream ? RIG_KEEP : RIG_FIN;
        break;
    case PLAN_BROKEN:
        s->answer = broken(w);
        s->then = RIG_FIN;
        break;
    case PLAN_SHUFFLED:
        s->answer = slice_cstr(arena_printf(w->arena, STREAM_HEAD "%s", shuffled(w, w->to->stream)));
        s->then = RIG_FIN;
        break;
    case PLAN_CUT:
        s->answer = good(w, w->stream);
        s->answer.len = below(w, s->answer.len);
        s->then = chance(w, 50) ? RIG_FIN : RIG_RST;
        break;
    case PLAN_ERROR_EVENT:
        s->answer = slice_cstr(arena_printf(w->arena, STREAM_HEAD "%s%s", chance(w, 50) ? w->to->text_part : "", w->to->error_event));
        s->then = RIG_FIN;
        break;
    case PLAN_STATUS:
        s->answer = with_length(w, statuses[below(w, 6)], "application/json", chance(w, 80) ? w->to->error : "oops");
        s->then = RIG_KEEP;
        break;
    case PLAN_PAGE:
        s->answer = with_length(w, "200 OK", "text/html", "<html><title>\377</title></html>");
        break;
    case PLAN_SILENCE:
    case PLAN_COUNT:
        s->answer = good(w, w->stream);
        s->answer.len = below(w, s->answer.len);
        s->then = RIG_SILENCE;
        break;
    }
}

/* ---- the client's answers ---- */

struct reading {
    const struct dialect *dialect;
    struct decoder *decoder;
    struct checker *checker;
    unsigned ends, errors;
    struct err e;
};

static int on_event(void *self, const struct event *ev) {
    struct reading *r = self;
    r->ends += ev->kind == EV_END;
    r->errors += ev->kind == EV_ERROR;
    return 0;
}

static int on_frame(void *self, const struct sse_frame *f) {
    struct reading *r = self;
    struct event_sink sink = {on_event, r};
    if (!(f->flags & SSE_DATA))
        return 0;
    if (the_world->from != the_world->to && r->dialect->checker_frame(r->checker, f, &r->e) < 0)
        return -ERR_PROTOCOL;
    int rc = r->dialect->decoder_feed(r->decoder, f, &sink, &r->e);
    return the_world->from != the_world->to ? rc : 0;  /* what is untouched may be anything */
}

/* The stream's answer may be told only if it is one, and its failure must be told. */
static void expect_stream(struct world *w, struct slice body) {
    struct reading r = {.dialect = dialect_find(slice_cstr(w->from->dialect))};
    struct sse_sink sink = {on_frame, &r};
    struct event_sink events = {on_event, &r};
    struct sse_parser p;
    r.decoder = r.dialect->decoder_new();
    r.checker = r.dialect->checker_new();
    sse_parser_init(&p, NULL);
    int rc = sse_parser_feed(&p, body, &sink, &r.e);
    if (rc == 0)
        rc = sse_parser_finish(&p, &sink, &r.e);
    CHECK(rc == 0, "%s\n%.*s", r.e.text, SLICE_FMT(body));
    if (!r.ends && !r.errors)
        CHECK(r.dialect->decoder_finish(r.decoder, &events, &r.e) == 0, "a silent end\n%.*s", SLICE_FMT(body));
    if (w->from != w->to)
        CHECK(r.ends + r.errors == 1, "%u ends, %u errors\n%.*s", r.ends, r.errors, SLICE_FMT(body));
    sse_parser_dispose(&p);
    r.dialect->decoder_free(r.decoder);
    r.dialect->checker_free(r.checker);
}

static void expect_body(struct world *w, unsigned status, struct slice body) {
    struct reading r = {.dialect = dialect_find(slice_cstr(w->from->dialect))};
    struct event_sink sink = {on_event, &r};
    struct json_member m, inner;
    struct err e;
    CHECK(json_scan_object(body, 128, NULL, NULL, &e) == 0, "status %u, no JSON: %.*s", status, SLICE_FMT(body));
    if (status == 200) {
        CHECK(r.dialect->decode_response(body, &sink, &e) == 0 && !r.errors, "no answer: %.*s", SLICE_FMT(body));
        return;
    }
    CHECK(status >= 400, "status %u", status);
    CHECK(json_find_member(body, SLICE("error"), &m) && json_find_member(m.value, SLICE("message"), &inner), "status %u: %.*s", status, SLICE_FMT(body));
    bool is_messages = strcmp(w->from->dialect, "messages") == 0;
    CHECK(json_find_member(body, SLICE("type"), &inner) == is_messages, "another shape: %.*s", SLICE_FMT(body));
    CHECK(status != 529 || is_messages, "529");
}

/* False: cut, as an aborted answer is. */
static bool take_answer(struct world *w) {
    struct buf body;
    struct slice head;
    unsigned status;
    buf_init(&body, RIG_BUF_BYTES);
    bool is_whole = rig_response(&w->client, &status, &head, &body);
    if (is_whole) {
        CHECK(rig_header(head, "x-request-id").len > 0, "no request id");
        CHECK(!memmem(w->client.in.ptr, w->client.in.len, "sk-secret", 9), "the key is out");
        if (slice_starts_with(rig_header(head, "content-type"), SLICE("text/event-stream")))
            expect_stream(w, buf_slice(&body));
        else
            expect_body(w, status, buf_slice(&body));
    }
    buf_dispose(&body);
    return is_whole;
}

/* ---- one run ---- */

static const char *request_of(struct world *w) {
    return arena_printf(w->arena, "{\"model\":\"%s\"%s,%s}", chance(w, 20) ? "renamed" : "m", w->stream ? ",\"stream\":true" : "", w->from->request);
}

static void world_start(struct world *w, uint64_t seed) {
    static const size_t reads[] = {0, 1, 5, 60, 700};
    struct sim_options o = {.seed = seed, .shuffle_events = true};
    *w = (struct world){.seed = seed, .arena = arena_new()};
    rng_seed(&w->rng, seed);
    do {
        w->from = &pair_words[below(w, N_PAIR_WORDS)];
        w->to = &pair_words[below(w, N_PAIR_WORDS)];
    } while (w->from != w->to && strcmp(w->to->dialect, "completions") == 0);
    w->plan = (enum plan)below(w, PLAN_COUNT);
    w->stream = chance(w, 75) || w->plan == PLAN_SHUFFLED;
    w->leaves = chance(w, 15);
    w->dawdles = chance(w, 20);
    w->n_asks = 1 + below(w, MAX_ASKS);
    o.max_read_bytes = reads[below(w, 5)];
    o.max_write_bytes = chance(w, 30) ? 50 : 0;
    o.socket_buffer_bytes = chance(w, 30) ? 700 : 0;
    o.latency_max_ns = chance(w, 50) ? 3 * NS_PER_MS : 0;
    bool checks = w->from != w->to && chance(w, 30);
    rig_start_dialect(&w->rig, &o, w->to->dialect, "first_byte_timeout: 20s\nidle_timeout: 25s\n",
                      arena_printf(w->arena, "timeouts: {hold: %ds, heartbeat: %ds}\ndrain_timeout: 1s\ncheck_order: %s\n",
                                   1 + (int)below(w, 30), 1 + (int)below(w, 20), checks ? "true" : "false"));
    script(w);
}

static void world_stop(struct world *w) {
    rig_client_dispose(&w->client);
    sim_run(NULL, NULL, sim_now_ns() + 100 * NS_PER_S);
    CHECK(!w->rig.worker->relays, "a relay is left");
    CHECK(atomic_load(&w->rig.gateway->streams) == 0, "a stream is counted");
    CHECK(meter_get(&w->rig.worker->meter->streams_open) == 0 && meter_get(&w->rig.worker->meter->requests_open) == 0, "something is open");
    CHECK(slab_in_use_bytes(loop_slab(w->rig.loop)) == 0, "chunks are left");
    CHECK(meter_get(&w->rig.worker->meter->providers[0].order_broken_own) == 0, "our own order");
    rig_stop(&w->rig);
    arena_free(w->arena);
}

static void ask(struct world *w) {
    rig_client_dispose(&w->client);
    rig_client_open(&w->rig, &w->client);
    rig_client_post_to(&w->client, w->from->path, "Authorization: Bearer client-secret\r\n", request_of(w));
    if (w->dawdles) {
        rig_client_read(&w->client, false);
        sim_run(NULL, NULL, sim_now_ns() + (int64_t)below(w, 3000) * NS_PER_MS);
        rig_client_read(&w->client, true);
    }
    if (w->leaves) {
        sim_run(NULL, NULL, sim_now_ns() + (int64_t)below(w, 40) * NS_PER_MS);
        rig_client_close(&w->client, chance(w, 50));
        return;
    }
    rig_run_response(&w->rig, &w->client);
    bool is_whole = take_answer(w);
    CHECK(is_whole || (w->from == w->to && w->plan == PLAN_BROKEN), "no whole answer: %.*s", SLICE_FMT(buf_slice(&w->client.in)));
}

static void run_seed(uint64_t seed) {
    struct world w;
    the_world = &w;
    world_start(&w, seed);
    for (unsigned i = 0; i < w.n_asks; i++)
        ask(&w);
    world_stop(&w);
}

static void chaos(void **state) {
    (void)state;
    const char *one = getenv("CHAOS_SEED"), *many = getenv("CHAOS_SEEDS");
    uint64_t n = many ? strtoull(many, NULL, 10) : SEEDS;
    if (one) {
        run_seed(strtoull(one, NULL, 10));
        return;
    }
    for (uint64_t seed = 1; seed <= n; seed++)
        run_seed(seed);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(chaos)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
