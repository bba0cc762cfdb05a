/* SPDX-License-Identifier: Apache-2.0 */
/* Chaos, seeded: clients that pipeline, dawdle, leave and talk rubbish, against an upstream that
 * answers in every way, good and bad, while the gateway may be draining or stopped. Whatever
 * happens, a client that stays gets for each request one whole answer: what the upstream said, or
 * an error that it can see; and in the end nothing is left: no relay, no count, no memory. A
 * failure names its seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway_rig.c"
#include "http/server-private.h"

#define SEEDS          300 /* CHAOS_SEEDS asks for more, CHAOS_SEED for one */
#define MAX_CLIENTS 8
#define MAX_ASKS 4
#define MAX_UPSTREAMS 256
#define RESPONSE_LIMIT 65536
#define BEAT ": keep-alive\n\n"
#define DONE "data: [DONE]"

/* What the upstream does with a request. */
enum plan {
    PLAN_GOOD,
    PLAN_NO_DONE,
    PLAN_CUT,
    PLAN_ERROR_EVENT,
    PLAN_STATUS,
    PLAN_REFUSED_KEY,
    PLAN_PAGE,
    PLAN_JSON,
    PLAN_CLOSE,
    PLAN_SILENCE,
    PLAN_RUBBISH,
    PLAN_HUGE,
    PLAN_REDIRECT,
    PLAN_COUNT
};

struct ask {
    char marker[32];
    enum plan plan;
    /* is_known: `want` is what must come, unless there is an error */
    bool stream, wants_usage, is_rubbish, is_known;
    /* part of an answer passes before it is whole */
    bool may_abort;
    struct buf sent, want;                            /* the upstream's body, and the client's */
    unsigned seen;                                    /* by the upstream */
};

struct client {
    struct world *world;
    struct rig_client link;
    struct timer timer;
    struct ask asks[MAX_ASKS];
    unsigned n_asks, n_sent, n_answered;
    size_t parsed;
    bool pipelines, dawdles, said_close;
    int64_t leaves_ns;                                /* 0: stays */
    bool has_left, with_reset;
    /* the rest of a request that is sent in two parts */
    struct buf half;
};

struct upstream_conn {
    struct world *world;
    struct sock *sock;
    struct timer timer;
    struct buf request, out;
    size_t parsed, written, piece_max;                /* of request, of out */
    enum rig_then then;
    bool is_busy, fin_sent;
};

struct world {
    struct rig rig;
    /* the loop of everybody else: it outlives the worker's */
    struct rig outside;
    struct rng rng;
    uint64_t seed;
    struct client clients[MAX_CLIENTS];
    unsigned n_clients;
    struct listener *listener;
    struct upstream_conn upstreams[MAX_UPSTREAMS];
    unsigned n_upstreams;
    bool injects, drains, stops;
    struct timer end_timer;
    /* requests that reached the application whole, or were refused by it at their head */
    unsigned begun;
};

static struct world *the_world;                       /* for the counting wrappers and messages */

#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "seed %llu: ", (unsigned long long)the_world->seed);                   \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fprintf(stderr, "\n");                                                                 \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static struct slice brief(struct slice s) {
    return slice_sub(s, 0, 900);
}

/* ---- chance ---- */

static unsigned below(struct world *w, unsigned n) {
    return (unsigned)(rng_next(&w->rng) % n);
}

static bool chance(struct world *w, unsigned percent) {
    return below(w, 100) < percent;
}

static int64_t later(struct world *w, int64_t max_ns) {
    return sim_now_ns() + (int64_t)(rng_next(&w->rng) % (uint64_t)max_ns);
}

/* ---- what is asked, and what is answered ---- */

struct style {
    const char *eol;
    bool metered;                                     /* the upstream was asked for usage */
    bool shown;                                       /* and the client wants to see it */
};

static void put(struct buf *b, const char *text) {
    must(buf_append(b, slice_cstr(text)));
}

/* One frame, to the upstream's body and, as the client must see it, to the client's. */
static void put_frame(struct world *w, struct ask *a, const struct style *s, const char *delta,
                      const char *finish) {
    bool has_id = chance(w, 10);
    const char *eol = has_id ? "\n" : s->eol;         /* rewritten */
    char json[512];
    snprintf(json, sizeof json, "{\"id\":\"%s\",\"x\":1.50,\"choices\":[{\"index\":0,\"delta\":%s,\"finish_reason\":%s}]", a->marker, delta, finish);
    must(buf_appendf(&a->sent, "%s%sdata: %s%s}%s%s", has_id ? "id: 7" : "", has_id ? s->eol : "", json, s->metered ? ",\"usage\":null" : "", s->eol, s->eol));
    must(buf_appendf(&a->want, "data: %s%s}%s%s", json, s->metered && s->shown ? ",\"usage\":null" : "", eol, eol));
}

static void put_both(struct ask *a, const char *text, const char *eol) {
    must(buf_appendf(&a->sent, "%s%s%s", text, eol, eol));
    must(buf_appendf(&a->want, "%s%s%s", text, eol, eol));
}

static void put_huge_frame(struct world *w, struct ask *a, const struct style *s, size_t bytes) {
    size_t before = a->sent.len;
    must(buf_appendf(&a->sent, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s ", a->marker));
    for (size_t i = 0; i < bytes; i += 16)
        put(&a->sent, "0123456789abcdef");
    must(buf_appendf(&a->sent, "\"}}]}%s%s", s->eol, s->eol));
    must(buf_append(&a->want, slice_from(buf_slice(&a->sent), before)));
    a->may_abort = true;
    (void)w;
}

static void make_stream(struct world *w, struct ask *a) {
    struct style s = {chance(w, 25) ? "\r\n" : "\n", a->wants_usage || w->injects, a->wants_usage};
    unsigned n_tokens = 1 + below(w, 12);
    if (chance(w, 30))
        put_both(a, ": PROCESSING", s.eol);
    put_frame(w, a, &s, "{\"role\":\"assistant\",\"content\":\"\"}", "null");
    for (unsigned i = 0; i < n_tokens; i++) {
        char delta[100];
        snprintf(delta, sizeof delta, "{\"content\":\"%s/%u \360\237\230\200 \"}", a->marker, i);
        put_frame(w, a, &s, delta, "null");
        if (chance(w, 10))
            put_both(a, ": still there", s.eol);
        if (chance(w, 5))
            put_both(a, "data: {\"not json", s.eol);
        if (chance(w, 4))
            put_huge_frame(w, a, &s, 70000 + below(w, 60000));
    }
    if (a->plan == PLAN_ERROR_EVENT) {
        put_both(a, "data: {\"error\":{\"message\":\"enough\",\"type\":\"server_error\",\"code\":500}}", s.eol);
        return;
    }
    if (a->plan == PLAN_HUGE) {
        for (unsigned i = 0; i < 20000; i++)
            put(&a->sent, "data: abcdefghijklm\n");
        a->may_abort = true;
        return;
    }
    put_frame(w, a, &s, "{}", "\"stop\"");
    if (s.metered) {
        static const char usage[] = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}";
        must(buf_appendf(&a->sent, "%s%s%s", usage, s.eol, s.eol));
        if (s.shown)
            must(buf_appendf(&a->want, "%s%s%s", usage, s.eol, s.eol));
    }
    if (a->plan == PLAN_NO_DONE)
        put(&a->want, DONE "\n\n");
    else
        put_both(a, DONE, s.eol);
}

static void make_whole(struct world *w, struct ask *a) {
    must(buf_appendf(&a->sent, "{\"id\":\"x\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%s ", a->marker));
    size_t pad = chance(w, 30) ? below(w, 4 * RESPONSE_LIMIT) : below(w, 500);
    for (size_t i = 0; i < pad; i += 16)
        put(&a->sent, "fedcba9876543210");
    put(&a->sent, "\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}");
    must(buf_append(&a->want, buf_slice(&a->sent)));
    a->may_abort = a->sent.len > RESPONSE_LIMIT;
}

static void make_answer(struct world *w, struct ask *a) {
    bool is_stream = a->stream && a->plan != PLAN_JSON;
    a->is_known = a->plan == PLAN_GOOD || a->plan == PLAN_NO_DONE || a->plan == PLAN_CUT ||
                  a->plan == PLAN_ERROR_EVENT || a->plan == PLAN_HUGE;
    switch (a->plan) {
    case PLAN_STATUS:
        must(buf_appendf(&a->sent, "{\"error\":{\"message\":\"no %s\",\"type\":\"requests\",\"code\":null}}", a->marker));
        break;
    case PLAN_REFUSED_KEY:
        put(&a->sent, "{\"error\":{\"message\":\"Incorrect key sk-secret\",\"type\":\"x\"}}");
        break;
    case PLAN_PAGE:
        put(&a->sent, "<html><title>Bad \377 gateway</title></html>");
        break;
    default:
        if (is_stream)
            make_stream(w, a);
        else
            make_whole(w, a);
        break;
    }
}

static void ask_init(struct world *w, struct client *c, unsigned index) {
    struct ask *a = &c->asks[index];
    *a = (struct ask){.stream = chance(w, 70), .is_rubbish = chance(w, 4)};
    snprintf(a->marker, sizeof a->marker, "q%u-%u", (unsigned)(c - w->clients), index);
    a->wants_usage = a->stream && chance(w, 30);
    a->plan = chance(w, 45) ? PLAN_GOOD : (enum plan)below(w, PLAN_COUNT);
    if (!a->stream && (a->plan == PLAN_ERROR_EVENT || a->plan == PLAN_NO_DONE ||
                       a->plan == PLAN_HUGE || a->plan == PLAN_JSON))
        a->plan = PLAN_GOOD;
    buf_init(&a->sent, RIG_BUF_BYTES);
    buf_init(&a->want, RIG_BUF_BYTES);
    make_answer(w, a);
}

/* ---- the upstream ---- */

static void upstream_close(struct upstream_conn *u, bool with_reset) {
    timer_stop(&u->timer);
    if (with_reset)
        sock_close_reset(&u->sock);
    else
        sock_close(&u->sock);
}

static void upstream_over(struct upstream_conn *u) {
    u->is_busy = false;
    if (u->then == RIG_RST) {
        upstream_close(u, true);
    } else if (u->then == RIG_FIN) {
        u->fin_sent = true;
        sock_shutdown_write(u->sock);
    }
}

/* The next piece of the answer, or what there is room for. */
static bool upstream_piece(struct upstream_conn *u) {
    size_t left = 1 + below(u->world, (unsigned)u->piece_max);
    ssize_t took = 1;
    struct err e;
    while (left > 0 && u->written < u->out.len && took > 0) {
        size_t rest = u->out.len - u->written;
        struct iovec iov = {u->out.ptr + u->written, left < rest ? left : rest};
        took = sock_writev(u->sock, &iov, 1, &e);
        u->written += took > 0 ? (size_t)took : 0;
        left -= took > 0 ? (size_t)took : 0;
    }
    return took >= 0;
}

static void on_upstream_timer(struct timer *t, void *self) {
    struct upstream_conn *u = self;
    struct world *w = u->world;
    if (!upstream_piece(u))
        upstream_close(u, false);
    else if (u->written < u->out.len)
        loop_timer_start(w->outside.loop, t,
                         later(w, chance(w, 3) ? 900 * NS_PER_MS : 2 * NS_PER_MS),
                         on_upstream_timer, u);
    else if (u->is_busy)
        upstream_over(u);
}

static void frame_body(struct world *w, struct upstream_conn *u, struct slice body,
                       bool is_chunked) {
    if (!is_chunked) {
        must(buf_append(&u->out, body));
        return;
    }
    while (body.len) {
        struct slice piece = slice_sub(body, 0, 1 + below(w, chance(w, 50) ? 50 : 20000));
        must(buf_appendf(&u->out, "%zx\r\n", piece.len));
        must(buf_append(&u->out, piece));
        put(&u->out, "\r\n");
        body = slice_from(body, piece.len);
    }
    put(&u->out, "0\r\n\r\n");
}

static const char *status_line(struct world *w, const struct ask *a) {
    static const char *const statuses[] = {"429 Slow", "500 Oops", "503 Busy", "404 No", "400 Bad"};
    switch (a->plan) {
    case PLAN_STATUS: return statuses[below(w, 5)];
    case PLAN_REFUSED_KEY: return "401 No";
    case PLAN_PAGE: return "502 Proxy";
    case PLAN_REDIRECT: return "302 Go";
    default: return "200 OK";
    }
}

static void answer_ask(struct world *w, struct upstream_conn *u, struct ask *a) {
    enum { LENGTH, CHUNKED, UNTIL_CLOSE };
    unsigned framing = below(w, 3);
    bool is_event_stream = a->stream && a->is_known, is_old = chance(w, 10);
    struct slice body = buf_slice(&a->sent);
    if (is_old && framing == CHUNKED)
        framing = UNTIL_CLOSE;
    for (unsigned i = below(w, 8); i > 6 && !is_old; i--)
        put(&u->out, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    must(buf_appendf(&u->out, "HTTP/1.%d %s\r\nContent-Type: %s\r\n", !is_old, status_line(w, a), is_event_stream ? "text/event-stream" : "application/json"));
    if (framing == LENGTH)
        must(buf_appendf(&u->out, "Content-Length: %zu\r\n", body.len));
    if (framing == CHUNKED)
        put(&u->out, "Transfer-Encoding: chunked\r\n");
    put(&u->out, "\r\n");
    size_t head = u->out.len;
    frame_body(w, u, body, framing == CHUNKED);
    u->then = framing == UNTIL_CLOSE || chance(w, 20) ? RIG_FIN : RIG_KEEP;
    if (a->plan == PLAN_CUT) {
        size_t at = head + below(w, (unsigned)(u->out.len - head));
        u->out.len = chance(w, 10) ? below(w, (unsigned)head) : at;
        u->then = chance(w, 50) ? RIG_FIN : chance(w, 50) ? RIG_RST : RIG_SILENCE;
    } else if (framing == UNTIL_CLOSE && (a->plan == PLAN_NO_DONE || a->plan == PLAN_ERROR_EVENT) &&
               chance(w, 30)) {
        u->then = RIG_SILENCE;
    }
}

static void serve(struct world *w, struct upstream_conn *u, struct slice request) {
    struct ask *found = NULL;
    CHECK(!memmem(request.ptr, request.len, "client-secret", 13), "a client's credential went upstream");
    CHECK(memmem(request.ptr, request.len, "Bearer sk-secret", 16), "the gateway's key is missing");
    for (unsigned i = 0; i < w->n_clients; i++)
        for (unsigned k = 0; k < w->clients[i].n_asks; k++) {
            struct ask *a = &w->clients[i].asks[k];
            char quoted[40];
            snprintf(quoted, sizeof quoted, "\"%s\"", a->marker);
            if (memmem(request.ptr, request.len, quoted, strlen(quoted)))
                found = a;
        }
    CHECK(found, "an unknown request: %.*s", SLICE_FMT(request));
    CHECK(++found->seen <= 2, "%s was sent %u times", found->marker, found->seen);
    u->is_busy = true;
    u->written = 0;
    buf_reset(&u->out);
    u->piece_max = chance(w, 20) ? 7 : chance(w, 50) ? 300 : 40000;
    if (u->piece_max < 100 && found->sent.len > 5000)
        u->piece_max = 5000;
    if (found->sent.len > 100000)
        u->piece_max = 40000;
    if (found->plan == PLAN_CLOSE) {
        u->then = chance(w, 50) ? RIG_FIN : RIG_RST;
    } else if (found->plan == PLAN_SILENCE) {
        u->then = RIG_SILENCE;
    } else if (found->plan == PLAN_RUBBISH) {
        put(&u->out, chance(w, 50) ? "SMTP ready\r\n\r\n" : "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n");
        u->then = RIG_FIN;
    } else {
        answer_ask(w, u, found);
    }
    loop_timer_start(w->outside.loop, &u->timer, later(w, 20 * NS_PER_MS), on_upstream_timer, u);
}

static void on_upstream_socket(void *self, unsigned events) {
    struct upstream_conn *u = self;
    char chunk[8192];
    struct err e;
    ssize_t n;
    (void)events;
    while ((n = sock_read(u->sock, chunk, sizeof chunk, &e)) > 0)
        must(buf_append(&u->request, slice_make(chunk, (size_t)n)));
    if (n < 0) {
        upstream_close(u, false);
        return;
    }
    struct slice rest = slice_from(buf_slice(&u->request), u->parsed);
    const char *end = rest.len ? memmem(rest.ptr, rest.len, "\r\n\r\n", 4) : NULL;
    if (!end || u->fin_sent)
        return;
    size_t head = (size_t)(end - rest.ptr) + 4,
           whole = head + content_length(slice_sub(rest, 0, head));
    if (rest.len < whole)
        return;
    CHECK(!u->is_busy, "two requests at once on one connection");
    u->parsed += whole;
    serve(u->world, u, slice_sub(rest, 0, whole));
}

static void on_upstream_connection(void *self, int fd, const struct addr *from) {
    struct world *w = self;
    (void)from;
    CHECK(w->n_upstreams < MAX_UPSTREAMS, "too many connections to the upstream");
    struct upstream_conn *u = &w->upstreams[w->n_upstreams++];
    *u = (struct upstream_conn){.world = w};
    buf_init(&u->request, RIG_BUF_BYTES);
    buf_init(&u->out, RIG_BUF_BYTES);
    u->sock = sock_adopt(w->outside.loop, fd, on_upstream_socket, u);
    sock_watch(u->sock, SOCK_READABLE);
}

/* ---- judging an answer ---- */

static void strip_beats(struct buf *body) {
    size_t to = 0, beat = strlen(BEAT);
    for (size_t from = 0; from < body->len; ) {
        if (body->len - from >= beat && memcmp(body->ptr + from, BEAT, beat) == 0)
            from += beat;
        else
            body->ptr[to++] = body->ptr[from++];
    }
    body->len = to;
}

static bool ends_in_error_event(struct slice body, size_t *out_at) {
    static const char start[] = "data: {\"error\":{";
    const char *at = NULL;
    for (struct slice rest = body;
         rest.len && (rest.ptr = memmem(rest.ptr, rest.len, start, sizeof start - 1));
         rest = slice_make(at + 1, (size_t)(body.ptr + body.len - at) - 1))
        at = rest.ptr;
    if (!at)
        return false;
    *out_at = (size_t)(at - body.ptr);
    struct slice event = slice_from(body, *out_at);
    bool is_terminated = event.ptr[event.len - 1] == '\n' &&
                         (event.ptr[event.len - 2] == '\n' || event.ptr[event.len - 2] == '\r');
    char before = *out_at ? body.ptr[*out_at - 1] : '\n';
    return is_terminated && (before == '\n' || before == '\r');
}

/* A cut behind the finish took nothing of the answer: its end mark is put in. */
static bool is_finished(struct slice got, struct slice want) {
    static const char end[] = DONE "\n\n";
    if (slice_eq(got, want))
        return true;
    if (got.len < sizeof end ||
        memcmp(got.ptr + got.len - (sizeof end - 1), end, sizeof end - 1) != 0)
        return false;
    struct slice before = slice_sub(got, 0, got.len - (sizeof end - 1));
    return slice_starts_with(want, before) && memmem(before.ptr, before.len, "\"stop\"", 6);
}

static void judge_stream(struct world *w, const struct ask *a, struct buf *body) {
    strip_beats(body);
    struct slice got = buf_slice(body), want = buf_slice(&a->want);
    size_t at;
    if (a->is_known && slice_eq(got, want) && a->plan != PLAN_CUT && a->plan != PLAN_HUGE)
        return;
    if (a->plan == PLAN_CUT && is_finished(got, want))
        return;
    if (a->plan == PLAN_JSON && memmem(got.ptr, got.len, a->marker, strlen(a->marker)) &&
        got.len > 14 && memcmp(got.ptr + got.len - 14, DONE "\n\n", 14) == 0)
        return;
    CHECK(ends_in_error_event(got, &at), "%s (plan %d): neither whole nor an error\n--- got\n%.*s\n--- want\n%.*s", a->marker, a->plan, SLICE_FMT(brief(got)),
          SLICE_FMT(brief(want)));
    CHECK(!memmem(got.ptr + at, got.len - at, DONE, strlen(DONE)), "%s: [DONE] behind an error", a->marker);
    if (a->is_known)
        CHECK(slice_starts_with(want, slice_sub(got, 0, at)), "%s (plan %d): what came before the error is not what was said\n--- got\n%.*s\n--- want\n%.*s",
              a->marker, a->plan, SLICE_FMT(brief(got)), SLICE_FMT(brief(want)));
    CHECK(w->drains || w->stops || a->plan != PLAN_GOOD, "%s: a good stream became an error: %.*s", a->marker, SLICE_FMT(brief(slice_from(got, at))));
}

static void judge(struct world *w, const struct client *c, unsigned index, unsigned status,
                  struct slice head, struct buf *body) {
    const struct ask *a = &c->asks[index];
    struct slice got = buf_slice(body);
    if (status >= 400) {
        CHECK(slice_starts_with(got, SLICE("{\"error\":{")) && got.ptr[got.len - 1] == '}', "%s: status %u with %.*s", a->marker, status, SLICE_FMT(brief(got)));
        CHECK(slice_utf8_valid(got) == got.len, "%s: an error body that is not UTF-8", a->marker);
        CHECK(a->plan != PLAN_GOOD || a->is_rubbish || w->drains || w->stops || status == 408, "%s: status %u for a good answer: %.*s", a->marker, status,
              SLICE_FMT(brief(got)));
        return;
    }
    CHECK(status == 200 && !a->is_rubbish, "%s: status %u", a->marker, status);
    CHECK(rig_header(head, "x-request-id").len > 0, "%s: no request id", a->marker);
    if (slice_starts_with(rig_header(head, "content-type"), SLICE("text/event-stream")))
        judge_stream(w, a, body);
    else
        CHECK(!a->stream && slice_eq(got, buf_slice(&a->want)), "%s (plan %d): not the answer: %.*s", a->marker, a->plan, SLICE_FMT(brief(got)));
}

/* Takes the next answer from what has come. False: it is not whole yet. */
static bool take_answer(struct world *w, struct client *c) {
    struct slice in = slice_from(buf_slice(&c->link.in), c->parsed);
    struct rig_client part = {.in = {.ptr = (char *)(uintptr_t)in.ptr, .len = in.len}};
    unsigned status;
    struct slice head;
    struct buf body;
    buf_init(&body, RIG_BUF_BYTES);
    bool is_whole = rig_response(&part, &status, &head, &body);
    if (is_whole) {
        bool is_chunked = slice_eq(rig_header(head, "transfer-encoding"), SLICE("chunked"));
        size_t used = head.len + 2 + body.len;
        for (struct slice rest = slice_from(in, head.len + 2); is_chunked; ) {
            size_t size = strtoul(rest.ptr, NULL, 16), line = (size_t)((char *)memmem(rest.ptr, rest.len < 20 ? rest.len : 20, "\r\n", 2) - rest.ptr) + 2;
            rest = slice_from(rest, line + size + 2);
            used = (size_t)(rest.ptr - in.ptr);
            if (size == 0)
                break;
        }
        CHECK(c->n_answered < c->n_sent, "an answer that nobody asked for: %.*s", SLICE_FMT(brief(in)));
        c->said_close = slice_eq(rig_header(head, "connection"), SLICE("close"));
        judge(w, c, c->n_answered++, status, head, &body);
        c->parsed += used;
    }
    buf_dispose(&body);
    return is_whole;
}

/* The connection is over: were all answers there, and if not, was that allowed? */
static void judge_end(struct world *w, struct client *c) {
    struct slice rest = slice_from(buf_slice(&c->link.in), c->parsed);
    if (c->has_left)
        return;
    if (c->n_answered == c->n_sent || c->said_close) {
        CHECK(rest.len == 0, "bytes behind the last answer: %.*s", SLICE_FMT(brief(rest)));
        return;
    }
    const struct ask *a = &c->asks[c->n_answered];
    bool may_abort = w->drains || w->stops || (a->may_abort && a->plan != PLAN_GOOD);
    CHECK(may_abort, "%s (plan %d): the connection ended in the middle: %.*s", a->marker, a->plan, SLICE_FMT(brief(rest)));
    CHECK(c->link.saw_reset || rest.len == 0 || w->stops, "%s: half an answer and an orderly end: %.*s", a->marker, SLICE_FMT(brief(rest)));
}

/* ---- clients ---- */

static void send_ask(struct world *w, struct client *c) {
    struct ask *a = &c->asks[c->n_sent++];
    struct buf b;
    char body[400];
    buf_init(&b, 4096);
    snprintf(body, sizeof body, "{\"model\":\"%s\",\"stream\":%s,%s\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}", chance(w, 50) ? "m" : "renamed",
             a->stream ? "true" : "false", a->wants_usage ? "\"stream_options\":{\"include_usage\":true}," : "", a->marker);
    if (a->is_rubbish && chance(w, 30))
        put(&b, "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
    else if (a->is_rubbish && chance(w, 50))
        put(&b, "POST /v1/\377 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
    else
        must(buf_appendf(&b, "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\n"
                             "Authorization: Bearer client-secret\r\nCookie: client-secret\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), a->is_rubbish ? "" : body));
    if (a->is_rubbish && b.len > 100 && b.ptr[b.len - 1] == '\n')
        for (size_t i = 0; i < strlen(body); i++)
            must(buf_append_byte(&b, '!'));
    size_t now = chance(w, 20) ? below(w, (unsigned)b.len) : b.len;
    must(buf_append(&c->half, slice_from(buf_slice(&b), now)));
    rig_client_send(&c->link, slice_sub(buf_slice(&b), 0, now));
    buf_dispose(&b);
}

static bool is_over(const struct client *c) {
    return c->has_left || !c->link.sock || c->n_answered == c->n_asks || c->said_close;
}

static void on_client_tick(struct timer *t, void *self) {
    struct client *c = self;
    struct world *w = c->world;
    int64_t now_ns = sim_now_ns();
    while (c->n_answered < c->n_sent && take_answer(w, c))
        ;
    if (is_over(c))
        return;
    if (c->leaves_ns && now_ns >= c->leaves_ns) {
        c->has_left = true;
        rig_client_close(&c->link, c->with_reset);
        return;
    }
    if (c->half.len) {
        rig_client_send(&c->link, buf_slice(&c->half));
        buf_reset(&c->half);
    } else if (c->n_sent < c->n_asks && (c->pipelines || c->n_answered == c->n_sent)) {
        send_ask(w, c);
    }
    if (c->dawdles)
        rig_client_read(&c->link, now_ns > 8 * NS_PER_S || chance(w, 40));
    loop_timer_start(w->outside.loop, t,
                     later(w, now_ns > 3 * NS_PER_S ? NS_PER_S : 60 * NS_PER_MS), on_client_tick,
                     c);
}

static void client_start(struct world *w, struct client *c) {
    *c = (struct client){.world = w,
                         .pipelines = chance(w, 30),
                         .dawdles = chance(w, 30),
                         .with_reset = chance(w, 50)};
    c->n_asks = 1 + below(w, MAX_ASKS);
    c->leaves_ns = chance(w, 30) ? later(w, 400 * NS_PER_MS) : 0;
    buf_init(&c->half, RIG_BUF_BYTES);
    for (unsigned i = 0; i < c->n_asks; i++)
        ask_init(w, c, i);
    rig_client_open(&w->outside, &c->link);
    loop_timer_start(w->outside.loop, &c->timer, later(w, 100 * NS_PER_MS), on_client_tick, c);
}

static bool all_over(void *self) {
    const struct world *w = self;
    for (unsigned i = 0; i < w->n_clients; i++)
        if (!is_over(&w->clients[i]))
            return false;
    return true;
}

/* ---- one seed ---- */

static uint64_t recorded(const struct world *w) {
    uint64_t n = 0;
    for (int end = 0; end < END_REASON_COUNT; end++)
        n += rig_ended(&w->rig, (enum end_reason)end, false) +
             rig_ended(&w->rig, (enum end_reason)end, true);
    return n;
}

static void counting_head(void *self, struct http_exchange *ex) {
    uint64_t before = recorded(the_world);
    gateway_app_template.on_head(self, ex);
    the_world->begun += (unsigned)(recorded(the_world) - before);
}

static void counting_request(void *self, struct http_exchange *ex) {
    the_world->begun++;
    gateway_app_template.on_request(self, ex);
}

static void on_the_end(struct timer *t, void *self) {
    struct world *w = self;
    (void)t;
    if (w->drains)
        worker_drain(w->rig.worker);
    else
        worker_stop(w->rig.worker);
}

static void world_start(struct world *w, uint64_t seed) {
    char more[300], top[400];
    struct err e;
    struct addr at;
    memset(w, 0, sizeof *w);
    the_world = w;
    w->seed = seed;
    rng_seed(&w->rng, seed);
    struct sim_options o = {.seed = seed,
                            .shuffle_events = chance(w, 70),
                            .latency_max_ns = chance(w, 50) ? 2 * NS_PER_MS : 0,
                            .socket_buffer_bytes = chance(w, 40) ? 2048u << below(w, 5) : 0,
                            .max_read_bytes = chance(w, 40) ? 1 + below(w, 3000) : 0,
                            .max_write_bytes = chance(w, 40) ? 1 + below(w, 3000) : 0};
    w->injects = chance(w, 60);
    w->drains = chance(w, 15);
    w->stops = !w->drains && chance(w, 8);
    snprintf(more, sizeof more, "metering: %s\nidle_timeout: 2s\nfirst_byte_timeout: 10s\n%s", w->injects ? "inject" : "observe",
             chance(w, 30) ? "on_client_gone: {drain: {bytes: 100kB, time: 2s}}\n" : "");
    snprintf(top, sizeof top, "drain_timeout: %us\nlimits: {event: 256KiB, response: 64KiB}\ntimeouts: {hold: %s, heartbeat: %s}\n", 1 + below(w, 3),
             chance(w, 50) ? "10s" : "20ms", chance(w, 50) ? "15s" : "50ms");
    rig_start(&w->rig, &o, more, top);
    w->rig.worker->server->app.on_head = counting_head;
    w->rig.worker->server->app.on_request = counting_request;
    listener_close(&w->rig.upstream);
    w->outside.loop = loop_new(&e);
    must(addr_parse(SLICE("127.0.0.1:9000"), &at, &e));
    must(listener_open(w->outside.loop, &at, &(struct listen_options){0}, on_upstream_connection, w,
                       &w->listener, &e));
    w->n_clients = 1 + below(w, MAX_CLIENTS);
    for (unsigned i = 0; i < w->n_clients; i++)
        client_start(w, &w->clients[i]);
    if (w->drains || w->stops)
        loop_timer_start(w->outside.loop, &w->end_timer, later(w, 600 * NS_PER_MS), on_the_end, w);
}

static void check_nothing_is_left(struct world *w) {
    const struct meter *m = w->rig.worker->meter;
    CHECK(!w->rig.worker->relays, "a relay is left");
    CHECK(recorded(w) == w->begun, "%llu requests were recorded, %u begun", (unsigned long long)recorded(w), w->begun);
    CHECK(meter_get(&m->streams_open) == 0 && meter_get(&m->requests_open) == 0, "open requests are counted");
    CHECK(slab_in_use_bytes(loop_slab(w->rig.loop)) == 0, "%zu bytes of the slab are held", slab_in_use_bytes(loop_slab(w->rig.loop)));
    CHECK(w->rig.worker->out.len == 0, "the batch holds %zu bytes", w->rig.worker->out.len);
}

static void world_stop(struct world *w) {
    for (unsigned i = 0; i < w->n_clients; i++) {
        struct client *c = &w->clients[i];
        timer_stop(&c->timer);
        for (unsigned k = 0; k < c->n_asks; k++) {
            buf_dispose(&c->asks[k].sent);
            buf_dispose(&c->asks[k].want);
        }
        buf_dispose(&c->half);
        rig_client_dispose(&c->link);
    }
    timer_stop(&w->end_timer);
    worker_free(w->rig.worker);
    w->rig.worker = NULL;
    CHECK(atomic_load(&w->rig.gateway->streams) == 0, "admitted streams are left");
    for (unsigned i = 0; i < w->n_upstreams; i++) {
        upstream_close(&w->upstreams[i], false);
        buf_dispose(&w->upstreams[i].request);
        buf_dispose(&w->upstreams[i].out);
    }
    listener_close(&w->listener);
    loop_free(w->outside.loop);
    rig_stop(&w->rig);
}

static void one_seed(uint64_t seed) {
    static struct world w;
    world_start(&w, seed);
    bool is_over_in_time = sim_run(all_over, &w, sim_now_ns() + 120 * NS_PER_S);
    for (unsigned i = 0; i < w.n_clients; i++) {
        const struct client *c = &w.clients[i];
        CHECK(is_over_in_time || is_over(c),
              "client %u waits for ever: %u of %u answered, %u sent, %s (plan %d): %.*s", i,
              c->n_answered, c->n_asks, c->n_sent, c->asks[c->n_answered].marker,
              c->asks[c->n_answered].plan,
              SLICE_FMT(brief(slice_from(buf_slice(&c->link.in), c->parsed))));
    }
    for (unsigned i = 0; i < w.n_clients; i++) {
        struct client *c = &w.clients[i];
        while (c->n_answered < c->n_sent && take_answer(&w, c))
            ;
        judge_end(&w, c);
        CHECK(!c->link.in.len || !memmem(c->link.in.ptr, c->link.in.len, "-secret", 7), "a secret was shown");
        rig_client_close(&c->link, false);
    }
    sim_run(NULL, NULL, sim_now_ns() + 20 * NS_PER_S);
    if (!w.stops)
        check_nothing_is_left(&w);
    world_stop(&w);
}

static void chaos(void **state) {
    (void)state;
    const char *one = getenv("CHAOS_SEED"), *many = getenv("CHAOS_SEEDS");
    if (one) {
        one_seed(strtoull(one, NULL, 10));
        return;
    }
    uint64_t n = many ? strtoull(many, NULL, 10) : SEEDS;
    for (uint64_t seed = 1; seed <= n; seed++)
        one_seed(seed);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(chaos)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
