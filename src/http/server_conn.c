/* SPDX-License-Identifier: Apache-2.0 */
/* One connection. Bytes come in by on_bytes, conn_run feeds them to the parser and moves the state,
 * the application is called from there and answers then or later, and server_conn_settle brings the
 * socket in line with what came of it. */
#include "base/mem.h"
#include "http/server-private.h"

#define LINGER_NS (2 * NS_PER_S)
#define LINGER_BYTES (256 * 1024)

/* ---- life ---- */

void server_conn_pin(struct server_conn *c) {
    c->pins++;
}

void server_conn_unpin(struct server_conn *c) {
    if (--c->pins == 0 && c->state == CONN_CLOSED) mem_free(c);
}

static int64_t now_ns(const struct server_conn *c) {
    return loop_now_ns(c->server->loop);
}

static void remember_client(struct server_conn *c, const struct addr *from) {
    c->is_unix = addr_is_unix(from);
    c->client.sa.sa_family = from->u.sa.sa_family;
    if (from->u.sa.sa_family == AF_INET) c->client.in4 = from->u.in4;
    if (from->u.sa.sa_family == AF_INET6) c->client.in6 = from->u.in6;
}

void server_conn_client(const struct server_conn *c, struct addr *out) {
    *out = (struct addr){.len = sizeof(sa_family_t)};
    out->u.sa.sa_family = c->client.sa.sa_family;
    if (c->client.sa.sa_family == AF_INET) {
        out->u.in4 = c->client.in4;
        out->len = sizeof out->u.in4;
    } else if (c->client.sa.sa_family == AF_INET6) {
        out->u.in6 = c->client.in6;
        out->len = sizeof out->u.in6;
    }
}

static const struct conn_callbacks callbacks;

struct server_conn *server_conn_new(struct http_server *s, int fd, const struct addr *from,
                                    struct tls_context *tls, bool is_refusal) {
    struct server_conn *c = mem_zalloc(sizeof *c);
    c->server = s;
    c->is_refusal = is_refusal;
    c->is_fresh = true;
    c->is_tls = tls != NULL;
    remember_client(c, from);
    request_parser_init(&c->parser, &s->limits, s->scratch);
    byteq_init(&c->out, loop_slab(s->loop), SIZE_MAX);
    buf_init(&c->surplus, LOOP_READ_BYTES);
    c->since_ns = loop_now_ns(s->loop);
    c->next = s->conns;
    if (c->next) c->next->prev = c;
    s->conns = c;
    c->conn = conn_accept(s->loop, fd, tls, &callbacks, c);
    return c;
}

static void exchange_free(struct server_exchange *ex) {
    arena_free(ex->pub.arena);
    bytes_unref(&ex->pub.body);
    mem_free(ex);
}

/* Takes the exchange off its connection: from here on nothing finds it any more. */
static struct server_exchange *detach_exchange(struct server_conn *c) {
    struct server_exchange *ex = c->exchange;
    c->exchange = NULL;
    stat_add(&c->server->stats.responses_open, -1);
    return ex;
}

void server_conn_close(struct server_conn *c, enum server_close how) {
    if (c->state == CONN_CLOSED) return;
    server_conn_pin(c);
    c->state = CONN_CLOSED;
    timer_stop(&c->timer);
    switch (how) {
    case CLOSE_WELL: conn_close(&c->conn); break;
    case CLOSE_RESET: conn_close_reset(&c->conn); break;
    case CLOSE_SILENT: conn_close_silent(&c->conn); break;
    }
    request_parser_dispose(&c->parser);
    byteq_dispose(&c->out);
    buf_dispose(&c->surplus);
    server_forget(c);
    server_conn_unpin(c);
}

void server_conn_gone(struct server_conn *c) {
    if (c->state == CONN_CLOSED) return;
    /* Closed first: on_cancel must not find a way to write. A response that is cut must not look
     * whole: reset. */
    struct server_exchange *ex = c->exchange ? detach_exchange(c) : NULL;
    const struct http_app app = c->server->app;
    server_conn_close(c, ex && ex->is_started ? CLOSE_RESET : CLOSE_WELL);
    if (!ex) return;
    app.on_cancel(app.self, &ex->pub);
    exchange_free(ex);
}

void server_conn_lose(struct server_conn *c) {
    if (c->is_lost || c->state == CONN_CLOSED) return;
    c->is_lost = true;
    c->is_blocked = false;
    byteq_dispose(&c->out);
    server_defer(c);
}

/* ---- deadlines: one timer, moved only when the new deadline is earlier; a timer that fires too
 * early is started again ---- */

static int64_t after(int64_t start_ns, int64_t timeout_ns) {
    return timeout_ns > 0 ? start_ns + timeout_ns : TIME_NEVER;
}

static int64_t deadline_ns(const struct server_conn *c) {
    const struct http_limits *limits = &c->server->limits;
    switch ((enum server_conn_state)c->state) {
    case CONN_IDLE:
        return after(c->since_ns, c->is_fresh ? limits->head_timeout_ns : limits->idle_timeout_ns);
    case CONN_HEAD: return after(c->since_ns, limits->head_timeout_ns);
    case CONN_BODY: {
        const int64_t silence = after(c->active_ns, limits->body_timeout_ns);
        const int64_t total = after(c->since_ns, limits->body_total_timeout_ns);
        return silence < total ? silence : total;
    }
    case CONN_RESPONSE:
    case CONN_FLUSH:
        return c->is_blocked ? after(c->active_ns, limits->write_timeout_ns) : TIME_NEVER;
    case CONN_LINGER: return after(c->since_ns, LINGER_NS);
    case CONN_CLOSED: break;
    }
    return TIME_NEVER;
}

static void on_deadline(struct timer *t, void *self);

static void arm_timer(struct server_conn *c) {
    const int64_t deadline = deadline_ns(c);
    if (deadline == TIME_NEVER) return;
    if (timer_is_active(&c->timer) && c->timer.deadline_ns <= deadline) return;
    loop_timer_start(c->server->loop, &c->timer, deadline, on_deadline, c);
}

static void on_deadline(struct timer *t, void *self) {
    (void)t;
    struct server_conn *c = self;
    if (now_ns(c) < deadline_ns(c)) {
        arm_timer(c);
        return;
    }
    server_conn_pin(c);
    switch ((enum server_conn_state)c->state) {
    case CONN_HEAD: server_conn_refuse(c, 408, "the request's head took too long"); break;
    case CONN_BODY: server_conn_refuse(c, 408, "the request's body took too long"); break;
    /* Idle, or a client that takes nothing: there is nobody to say it to. */
    default: server_conn_gone(c); break;
    }
    server_conn_unpin(c);
}

/* ---- settling ---- */

void server_conn_settle(struct server_conn *c) {
    if (c->state == CONN_CLOSED || c->is_running) return;
    const bool wants_bytes =
        c->state == CONN_IDLE || c->state == CONN_HEAD || c->state == CONN_BODY;
    const bool reads = c->state == CONN_LINGER || (wants_bytes && c->surplus.len == 0);
    if (reads != c->is_reading) {
        c->is_reading = reads;
        conn_watch_hup(c->conn, !reads);
        if (reads) conn_read_on(c->conn);
        else conn_read_off(c->conn);
    }
    if (wants_bytes && c->surplus.len > 0) server_defer(c);
    arm_timer(c);
}

/* All is said. The client may still be sending: closing now would reset the connection and take
 * from it what it has not read yet. */
static void begin_linger(struct server_conn *c) {
    c->state = CONN_LINGER;
    c->since_ns = now_ns(c);
    c->linger_left = LINGER_BYTES;
    request_parser_dispose(&c->parser);
    buf_dispose(&c->surplus);
    conn_shutdown_write(c->conn);
    server_conn_settle(c);
}

static void begin_next(struct server_conn *c) {
    request_parser_reset(&c->parser);
    c->request_done = c->rest_is_here = false;
    c->is_fresh = false;
    c->state = CONN_IDLE;
    c->since_ns = now_ns(c);
    server_conn_settle(c);
}

/* ---- responses, as the connection sees them ---- */

void server_conn_response_started(struct server_conn *c) {
    c->exchange->is_started = true;
    if (c->request_done || c->rest_is_here) return;
    /* The body's rest is not read: no next request can be found behind it. */
    c->close_after = true;
    c->state = CONN_RESPONSE;
    request_parser_dispose(&c->parser);
}

void server_conn_response_out(struct server_conn *c) {
    const struct http_app app = c->server->app;
    struct server_exchange *ex = detach_exchange(c);
    app.on_done(app.self, &ex->pub);
    exchange_free(ex);
    if (c->state == CONN_CLOSED) return;
    if (c->close_after || c->server->is_draining) begin_linger(c);
    else if (c->request_done) begin_next(c);
    /* else: conn_run skips the body that is here, then comes the next request. */
}

/* The queue has become empty. */
static void all_out(struct server_conn *c) {
    if (c->state == CONN_FLUSH) {
        begin_linger(c);
    } else if (c->exchange && c->exchange->is_ended) {
        server_conn_response_out(c);
    }
}

static void send_refusal(struct server_conn *c, unsigned status, const char *text,
                         const struct http_exchange *about) {
    const bool has_body = llhttp_get_method(&c->parser.llhttp) != HTTP_HEAD;
    c->state = CONN_FLUSH;
    c->close_after = true;
    server_conn_send_error(c, status, text, about, has_body);
}

void server_conn_refuse(struct server_conn *c, unsigned status, const char *text) {
    struct http_header items[SEEN_MAX_HEADERS];
    struct http_exchange seen = {.headers = {.items = items}};
    if (!c->is_refusal) stat_add(&c->server->stats.bad_requests, 1);
    struct server_exchange *ex = c->exchange ? detach_exchange(c) : NULL;
    if (ex) c->server->app.on_cancel(c->server->app.self, &ex->pub);
    else if (c->state != CONN_BODY) request_parser_seen(&c->parser, items, &seen);
    if (c->state != CONN_CLOSED) {
        send_refusal(c, status, text, ex ? &ex->pub : &seen);
        if (c->out.len == 0 && !c->is_lost) all_out(c);
        server_conn_settle(c);
    }
    if (ex) exchange_free(ex);
}

/* ---- requests ---- */

static void begin_exchange(struct server_conn *c) {
    struct server_exchange *ex = mem_zalloc(sizeof *ex);
    ex->conn = c;
    struct http_exchange *pub = &ex->pub;
    struct request_facts f;
    pub->arena = arena_new();
    request_parser_take_head(&c->parser, pub->arena, &f, &pub->headers);
    pub->method = f.method;
    pub->method_text = f.method_text;
    pub->target = f.target;
    pub->path = f.path;
    pub->query = f.query;
    pub->host = f.host;
    pub->version_minor = f.version_minor;
    pub->start_ns = c->head_ns;
    pub->is_tls = c->is_tls;
    pub->is_unix = c->is_unix;
    server_conn_client(c, &pub->client);
    ex->keeps_alive = f.keeps_alive;
    c->exchange = ex;
    c->state = CONN_BODY;
    c->since_ns = c->active_ns = now_ns(c);
    c->request_done = false;
    c->close_after = false;
    stat_add(&c->server->stats.requests, 1);
    stat_add(&c->server->stats.responses_open, 1);
}

/* RFC 9110 10.1.1: not when the body is already coming. */
static void send_continue(struct server_conn *c) {
    static const struct slice text = {"HTTP/1.1 100 Continue\r\n\r\n", 25};
    const struct iovec iov = {(void *)(uintptr_t)text.ptr, text.len};
    (void)server_conn_send(c, &iov, 1); /* a failure comes back by server_conn_lose */
}

static void head_is_whole(struct server_conn *c, struct slice rest) {
    const struct request_facts f = c->server->scratch->facts;
    begin_exchange(c);
    struct server_exchange *ex = c->exchange;
    c->rest_is_here = f.content_length >= 0 && (uint64_t)f.content_length <= rest.len;
    c->server->app.on_head(c->server->app.self, &ex->pub);
    if (c->state != CONN_BODY) return;
    if (!c->exchange || ex->is_started) {
        c->parser.skip_body = true;
    } else if (f.expects_continue && rest.len == 0) {
        send_continue(c);
    }
}

static void body_is_whole(struct server_conn *c) {
    struct server_exchange *ex = c->exchange;
    c->request_done = true;
    if (!ex) {   /* answered from on_head, the answer is out */
        begin_next(c);
        return;
    }
    c->state = CONN_RESPONSE;
    if (ex->is_started) return;
    ex->pub.body = request_parser_take_body(&c->parser);
    ex->pub.ready_ns = now_ns(c);
    c->server->app.on_request(c->server->app.self, &ex->pub);
}

/* One step of the parser. Returns false when there is nothing left to do now. */
static bool step(struct server_conn *c, struct slice *in) {
    size_t used;
    if (c->state == CONN_IDLE) c->head_ns = now_ns(c);
    const enum parse_result result = request_parser_feed(&c->parser, *in, &used);
    *in = slice_from(*in, used);
    switch (result) {
    case PARSE_MORE:
        if (c->state == CONN_IDLE && c->parser.phase == PARSE_IN_HEAD) {
            c->state = CONN_HEAD;
            if (!c->is_fresh) c->since_ns = c->head_ns;
        }
        return false;
    case PARSE_HEAD: head_is_whole(c, *in); return true;
    case PARSE_DONE: body_is_whole(c); return true;
    case PARSE_FAILED:
        server_conn_refuse(c, c->parser.fail_status, c->parser.fail_text);
        return false;
    }
    return false;
}

/* Pipelined requests are taken one after the other, as long as each is answered at once. Returns
 * what was not used. */
static struct slice conn_run(struct server_conn *c, struct slice in) {
    c->is_running = true;
    while (c->state == CONN_BODY ||
           ((c->state == CONN_IDLE || c->state == CONN_HEAD) && in.len > 0)) {
        if (c->is_lost || !step(c, &in)) break;
    }
    c->is_running = false;
    return in;
}

static bool keeps_surplus(const struct server_conn *c) {
    return (c->state == CONN_RESPONSE || c->state == CONN_IDLE) && !c->close_after;
}

/* ---- callbacks of the socket ---- */

static void on_bytes(void *self, struct slice bytes) {
    struct server_conn *c = self;
    if (c->state == CONN_LINGER) {
        if (bytes.len >= c->linger_left) server_conn_close(c, CLOSE_WELL);
        else c->linger_left -= bytes.len;
        return;
    }
    server_conn_pin(c);
    if (c->state == CONN_BODY) c->active_ns = now_ns(c);
    const struct slice rest = conn_run(c, bytes);
    if (rest.len > 0 && keeps_surplus(c) && buf_append(&c->surplus, rest) < 0) server_conn_gone(c);
    server_conn_settle(c);
    server_conn_unpin(c);
}

static void on_writable(void *self) {
    struct server_conn *c = self;
    server_conn_pin(c);
    c->is_blocked = false;
    if (server_conn_flush(c) == 1) {
        struct server_exchange *ex = c->exchange;
        if (ex && ex->is_waiting && !ex->is_ended) {
            ex->is_waiting = false;
            c->server->app.on_writable(c->server->app.self, &ex->pub);
        } else {
            all_out(c);
        }
    }
    server_conn_settle(c);
    server_conn_unpin(c);
}

static void on_end(struct server_conn *c) {
    server_conn_pin(c);
    server_conn_gone(c);
    server_conn_unpin(c);
}

static void on_eof(void *self) {
    on_end(self);
}

static void on_gone(void *self, const struct err *e) {
    (void)e;
    on_end(self);
}

static const struct conn_callbacks callbacks = {
    .on_bytes = on_bytes,
    .on_writable = on_writable,
    .on_eof = on_eof,
    .on_gone = on_gone,
};

/* ---- at the end of the turn ---- */

void server_conn_run_deferred(struct server_conn *c) {
    if (c->state == CONN_CLOSED) return;
    if (c->is_lost) {
        server_conn_gone(c);
        return;
    }
    if (c->surplus.len == 0 || (c->state != CONN_IDLE && c->state != CONN_BODY)) return;
    const size_t len = c->surplus.len;
    const struct slice rest = conn_run(c, buf_slice(&c->surplus));
    if (c->state == CONN_CLOSED) return;
    if (keeps_surplus(c) && rest.len > 0) buf_consume(&c->surplus, len - rest.len);
    else buf_dispose(&c->surplus);
    server_conn_settle(c);
}
