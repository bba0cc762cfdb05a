/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte seeds cuts and the application's behaviour, the rest is what a client sends.
 * Twice:
 *  - through the parser alone, whole and cut: both must find the same requests, and agree on
 *    whether the bytes are refused;
 *  - through a server on the simulated network, with an application that answers early, late, in
 *    pieces, or breaks off. Whatever comes, each request that was begun ends exactly once, nothing
 *    is left over, and what the client reads begins like a response. */
#include "base/clock.h"
#include "base/mem.h"
#include "fuzz.h"
#include "http/server-private.h"
#include "net/loop_sim.h"

static void require(bool is_so, const char *what) {
    if (is_so) return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

/* ---- the parser alone ---- */

struct outcome {
    uint64_t hash;
    unsigned requests;
    bool has_failed;
};

static void mix(struct outcome *o, struct slice s) {
    for (size_t i = 0; i < s.len; i++)
        o->hash = (o->hash ^ (unsigned char)s.ptr[i]) * UINT64_C(0x100000001b3);
    o->hash = (o->hash ^ s.len) * UINT64_C(0x100000001b3);
}

static void mix_head(struct outcome *o, struct request_parser *p) {
    struct arena *a = arena_new();
    struct request_facts f;
    struct http_headers headers;
    request_parser_take_head(p, a, &f, &headers);
    mix(o, f.method_text);
    mix(o, f.target);
    mix(o, f.path);
    mix(o, f.query);
    mix(o, f.host);
    for (unsigned i = 0; i < headers.count; i++) {
        require(http_header_is_valid(headers.items[i].name, headers.items[i].value), "a header that may not be written");
        mix(o, headers.items[i].name);
        mix(o, headers.items[i].value);
    }
    arena_free(a);
}

static void mix_body(struct outcome *o, struct request_parser *p) {
    struct bytes *body = request_parser_take_body(p);
    mix(o, bytes_slice(body));
    bytes_unref(&body);
    o->requests++;
    request_parser_reset(p);
}

static void parse(struct outcome *o, struct request_parser *p, struct slice in) {
    while (!o->has_failed) {
        size_t used;
        const enum parse_result result = request_parser_feed(p, in, &used);
        require(used <= in.len, "used more than there is");
        in = slice_from(in, used);
        if (result == PARSE_MORE) {
            require(in.len == 0, "bytes left");
            return;
        }
        if (result == PARSE_FAILED) {
            require(p->fail_status >= 400 && p->fail_text, "a failure without a reason");
            o->has_failed = true;
        }
        if (result == PARSE_HEAD) mix_head(o, p);
        if (result == PARSE_DONE) mix_body(o, p);
    }
}

static struct http_limits small_limits(void) {
    struct http_limits limits;
    http_limits_default(&limits);
    limits.request_line_bytes = 200;
    limits.header_bytes = 1000;
    limits.header_count = 16;
    limits.body_bytes = 1000;
    return limits;
}

static struct outcome parse_all(struct slice in, struct rng *cuts) {
    const struct http_limits limits = small_limits();
    struct parse_scratch *scratch = parse_scratch_new(&limits);
    struct request_parser p;
    struct outcome o = {0};
    request_parser_init(&p, &limits, scratch);
    while (in.len > 0) {
        const size_t n = cuts ? 1 + (size_t)rng_below(cuts, in.len < 40 ? in.len : 40) : in.len;
        char *copy = mem_alloc(n); /* of the exact size, gone after the feed */
        memcpy(copy, in.ptr, n);
        parse(&o, &p, slice_make(copy, n));
        mem_free(copy);
        in = slice_from(in, n);
    }
    request_parser_dispose(&p);
    mem_free(scratch);
    return o;
}

static void fuzz_parser(struct slice in, uint64_t seed) {
    struct rng cuts;
    rng_seed(&cuts, seed);
    const struct outcome whole = parse_all(in, NULL), cut = parse_all(in, &cuts);
    require(whole.has_failed == cut.has_failed, "refused or not depends on the cuts");
    require(whole.requests == cut.requests, "the number of requests depends on the cuts");
    /* A refused head may be over a limit and malformed both: which is found first is free, what
     * came before is not. */
    require(whole.has_failed || whole.hash == cut.hash, "the requests depend on the cuts");
}

/* ---- the server ---- */

struct world {
    struct rng rng;
    struct loop *loop;
    struct http_server *server;
    struct sock *client;
    struct slice out;
    char first[16];                /* of what the client read */
    size_t first_len;
    struct http_exchange *open;    /* one connection: one at a time */
    unsigned begun, ended;
};

static const struct http_response ok = {.status = 200};

static void forget(struct world *w, struct http_exchange *ex) {
    require(w->open == ex, "an exchange that is not open ends");
    w->open = NULL;
    w->ended++;
}

/* One thing that an application may do with an exchange at any time. Returns false when the
 * exchange may be gone. */
static bool act(struct world *w, struct http_exchange *ex) {
    static char block[30000];
    const struct slice pieces[] = {SLICE("data: x"), SLICE(""), {block, rng_below(&w->rng, 4) ? 7 : sizeof block}};
    if (!http_started(ex)) {
        switch (rng_below(&w->rng, 6)) {
        case 0: http_respond(ex, &ok, SLICE("hello")); return false;
        case 1: http_start(ex, &ok, 9); return true;
        case 2: http_start(ex, &ok, -1); return true;
        case 3: http_abort(ex); return false;
        case 4: http_exchange_drop_request(ex); return true;
        default: return true;
        }
    }
    switch (rng_below(&w->rng, 8)) {
    case 0: http_end(ex); return false;
    case 1: http_abort(ex); return false;
    case 2: http_flush_head(ex); return true;
    case 3: http_cork(ex); return true;
    case 4: return http_uncork(ex) >= 0;
    case 5: http_exchange_drop_request(ex); return true;
    default: return http_write(ex, pieces, 3) >= 0;
    }
}

static void act_some(struct world *w, struct http_exchange *ex) {
    for (uint64_t n = rng_below(&w->rng, 5); n > 0 && w->open == ex; n--) {
        if (!act(w, ex)) return;
    }
}

static void on_head(void *self, struct http_exchange *ex) {
    struct world *w = self;
    require(!w->open, "two requests at once");
    w->open = ex;
    w->begun++;
    if (rng_below(&w->rng, 4) == 0) act_some(w, ex);
}

static void on_request(void *self, struct http_exchange *ex) {
    act_some(self, ex);
}

static void on_writable(void *self, struct http_exchange *ex) {
    require(http_queued_bytes(ex) == 0, "writable with a queue");
    act_some(self, ex);
}

static void on_ended(void *self, struct http_exchange *ex) {
    forget(self, ex);
}

static void on_accept(void *self, int fd, const struct addr *from) {
    struct world *w = self;
    http_server_accept(w->server, fd, from, NULL);
}

static void client_reads(struct world *w) {
    static char bytes[4096];
    struct err e;
    ssize_t n;
    while ((n = sock_read(w->client, bytes, sizeof bytes, &e)) > 0) {
        for (ssize_t i = 0; i < n && w->first_len < sizeof w->first; i++)
            w->first[w->first_len++] = bytes[i];
    }
    if (n < 0) sock_close(&w->client);
}

static void client_event(void *self, unsigned events) {
    struct world *w = self;
    struct err e;
    if (events & (SOCK_READABLE | SOCK_HUP)) client_reads(w);
    if (!w->client) return;
    if (events & SOCK_WRITABLE && w->out.len > 0) {
        const struct iovec iov = {(void *)(uintptr_t)w->out.ptr, w->out.len};
        const ssize_t n = sock_writev(w->client, &iov, 1, &e);
        w->out = n < 0 ? SLICE_NULL : slice_from(w->out, (size_t)n);
    }
    sock_watch(w->client, SOCK_READABLE | (w->out.len > 0 ? SOCK_WRITABLE : 0u));
}

static struct listener *world_open(struct world *w) {
    const struct http_limits limits = small_limits();
    const struct http_app app = {on_head, on_request, on_writable, on_ended, on_ended, NULL, w};
    const struct listen_options options = {0};
    struct listener *listener;
    struct addr at;
    struct err e;
    w->loop = loop_new(&e);
    w->server = http_server_new(w->loop, &limits, &app);
    require(addr_parse(SLICE("127.0.0.1:80"), &at, &e) == 0, "address");
    require(listener_open(w->loop, &at, &options, on_accept, w, &listener, &e) == 0, "listen");
    require(sock_connect(w->loop, &at, client_event, w, &w->client, &e) == 0, "connect");
    sock_watch(w->client, SOCK_READABLE | SOCK_WRITABLE);
    return listener;
}

static void fuzz_server(struct slice in, uint64_t seed) {
    struct world w = {.out = in};
    rng_seed(&w.rng, seed);
    const struct sim_options sim = {.seed = seed,
                                    .socket_buffer_bytes = 20000,
                                    .max_read_bytes = seed % 5 * 10,
                                    .max_write_bytes = seed % 3 * 1000,
                                    .shuffle_events = true};
    sim_start(&sim);
    struct listener *listener = world_open(&w);
    for (unsigned i = 0; i < 20; i++) {
        sim_run(NULL, NULL, sim_now_ns() + 10 * NS_PER_MS);
        if (w.open) act_some(&w, w.open);
    }
    if (rng_below(&w.rng, 2)) sim_advance(400 * NS_PER_S);
    if (rng_below(&w.rng, 2)) sock_close(&w.client);
    sim_run(NULL, NULL, sim_now_ns() + 10 * NS_PER_MS);
    http_server_close_all(w.server);
    const struct http_server_stats *stats = http_server_stats(w.server);
    require(stats->connections_open == 0 && stats->responses_open == 0, "something is left open");
    require(w.begun == w.ended && !w.open, "a request did not end, or ended twice");
    require(memcmp(w.first, "HTTP/1.1 ", w.first_len < 9 ? w.first_len : 9) == 0, "not a response");
    http_server_free(w.server);
    listener_close(&listener);
    sock_close(&w.client);
    sim_run(NULL, NULL, sim_now_ns());
    require(slab_in_use_bytes(loop_slab(w.loop)) == 0, "queued bytes are left");
    loop_free(w.loop);
    sim_stop();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    const struct slice in = slice_make((const char *)data + 1, size - 1);
    fuzz_parser(in, data[0]);
    fuzz_server(in, data[0]);
    return 0;
}
