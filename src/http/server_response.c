/* SPDX-License-Identifier: Apache-2.0 */
/* Responses: the head, the framing of the body, and the way to the kernel. Whatever is to be sent
 * goes out in one writev together with what is queued; what the kernel does not take is copied to
 * the queue. While the kernel is full, and while the app gathers (cork), all goes to the queue. */
#include <assert.h>
#include <stdio.h>
#include <time.h>

#include "http/server-private.h"

#define QUEUE_MAX_BYTES (1024 * 1024)
#define QUEUED_IOV 16
#define PIECES_MAX 16                 /* pieces of one http_write that go out without a copy */
#define SEND_IOV (PIECES_MAX + 2)     /* with the chunk's size and CR LF */
#define ERROR_BODY_MAX_BYTES 16384

static struct server_exchange *exchange_of(struct http_exchange *ex) {
    return (struct server_exchange *)ex;
}

static struct iovec iov_of(struct slice s) {
    return (struct iovec){(void *)(uintptr_t)s.ptr, s.len};
}

/* ---- output queue ---- */

static void enqueue(struct server_conn *c, const struct iovec *iov, int n_iov, size_t skip) {
    for (int i = 0; i < n_iov; i++) {
        const struct slice piece = slice_make(iov[i].iov_base, iov[i].iov_len);
        if (skip >= piece.len) {
            skip -= piece.len;
            continue;
        }
        const int rc = byteq_append(&c->out, slice_from(piece, skip));
        assert(rc == 0); /* the queue has no limit of its own: http_write keeps the cap */
        (void)rc;
        skip = 0;
    }
}

/* Offers the queue's front and, when that is all of the queue, `iov`. */
static ssize_t offer(struct server_conn *c, const struct iovec *iov, int n_iov,
                     bool *out_is_whole) {
    struct iovec all[QUEUED_IOV + SEND_IOV];
    int n = byteq_peek(&c->out, all, QUEUED_IOV);
    size_t len = 0;
    for (int i = 0; i < n; i++) len += all[i].iov_len;
    *out_is_whole = len == c->out.len;
    if (*out_is_whole) {
        for (int i = 0; i < n_iov; i++) {
            if (iov[i].iov_len == 0) continue;
            all[n++] = iov[i];
            len += iov[i].iov_len;
        }
    }
    if (len == 0) return 0;
    const ssize_t taken = conn_writev(c->conn, all, n, NULL);
    if (taken < 0) return taken;
    c->active_ns = loop_now_ns(c->server->loop);
    c->is_blocked = (size_t)taken < len;
    return taken;
}

int server_conn_send(struct server_conn *c, const struct iovec *iov, int n_iov) {
    assert(n_iov <= SEND_IOV);
    if (c->is_lost || c->state == CONN_CLOSED) return -1;
    const bool is_corked = c->exchange && c->exchange->is_corked;
    while (!c->is_blocked && !is_corked) {
        const size_t queued = c->out.len;
        bool is_whole;
        const ssize_t taken = offer(c, iov, n_iov, &is_whole);
        if (taken < 0) {
            server_conn_lose(c);
            return -1;
        }
        const size_t from_queue = (size_t)taken < queued ? (size_t)taken : queued;
        byteq_consume(&c->out, from_queue);
        if (!is_whole) continue;
        if (!c->is_blocked) return 1;
        enqueue(c, iov, n_iov, (size_t)taken - from_queue);
        server_conn_settle(c);
        return 0;
    }
    enqueue(c, iov, n_iov, 0);
    return 0;
}

int server_conn_flush(struct server_conn *c) {
    return server_conn_send(c, NULL, 0);
}

/* ---- heads ---- */

static struct slice date_now(struct http_server *s) {
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const int64_t wall_ns = s->wall_ns ? s->wall_ns(s->wall_self) : clock_wall_ns();
    const int64_t now_s = wall_ns / NS_PER_S;
    if (now_s != s->date_s) {
        const time_t t = (time_t)now_s;
        struct tm tm;
        gmtime_r(&t, &tm);
        /* RFC 9110 5.6.7, whatever the locale. */
        snprintf(s->date, sizeof s->date, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[tm.tm_wday],
                 (unsigned)tm.tm_mday % 100, months[tm.tm_mon],
                 (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)tm.tm_hour % 100,
                 (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
        s->date_s = now_s;
    }
    return slice_cstr(s->date);
}

static bool is_servers_own(struct slice name) {
    return slice_eq_nocase(name, SLICE("content-length")) || slice_eq_nocase(name, SLICE("date")) ||
           slice_eq_nocase(name, SLICE("transfer-encoding")) || slice_eq_nocase(name, SLICE("connection"));
}

static char *put(char *to, struct slice s) {
    if (s.len > 0) memcpy(to, s.ptr, s.len);
    return to + s.len;
}

static char *put_lower(char *to, struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        const char c = s.ptr[i];
        *to++ = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
    return to;
}

static char *put_number(char *to, uint64_t n) {
    char digits[20];
    size_t len = 0;
    do {
        digits[len++] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    while (len > 0) *to++ = digits[--len];
    return to;
}

struct head_plan {
    const struct http_response *response;
    enum body_framing framing;
    uint64_t content_length;
    bool keeps_alive;
};

static size_t head_size(const struct head_plan *plan, struct slice status_text) {
    size_t bytes = 256 + status_text.len; /* 256: all that is not the app's */
    for (unsigned i = 0; i < plan->response->n_headers; i++) {
        const struct http_header *h = &plan->response->headers[i];
        bytes += h->name.len + h->value.len + 4;
    }
    return bytes;
}

static char *put_headers(char *to, const struct http_response *r) {
    for (unsigned i = 0; i < r->n_headers; i++) {
        const struct http_header *h = &r->headers[i];
        if (is_servers_own(h->name) || !http_header_is_valid(h->name, h->value)) continue;
        to = put_lower(to, h->name);
        to = put(to, SLICE(": "));
        to = put(to, h->value);
        to = put(to, SLICE("\r\n"));
    }
    return to;
}

static char *put_framing(char *to, const struct head_plan *plan) {
    if (plan->framing == FRAMING_CHUNKED) return put(to, SLICE("transfer-encoding: chunked\r\n"));
    if (plan->framing != FRAMING_LENGTH) return to;
    to = put(to, SLICE("content-length: "));
    to = put_number(to, plan->content_length);
    return put(to, SLICE("\r\n"));
}

/* Made in the server's buffer: valid until the next one. Empty when the app's headers are over
 * HEAD_MAX_BYTES. */
static struct slice make_head(struct http_server *s, const struct head_plan *plan) {
    const struct slice text = slice_cstr(http_status_text(plan->response->status));
    buf_reset(&s->head);
    char *const start = buf_reserve(&s->head, head_size(plan, text));
    if (!start) return SLICE_NULL;
    char *to = put(start, SLICE("HTTP/1.1 "));
    to = put_number(to, plan->response->status);
    to = put(to, SLICE(" "));
    to = put(to, text);
    to = put(to, SLICE("\r\ndate: "));
    to = put(to, date_now(s));
    to = put(to, SLICE("\r\n"));
    to = put_headers(to, plan->response);
    to = put_framing(to, plan);
    to = put(to, plan->keeps_alive ? SLICE("connection: keep-alive\r\n\r\n") : SLICE("connection: close\r\n\r\n"));
    return slice_make(start, (size_t)(to - start));
}

static bool status_has_body(unsigned status) {
    return status >= 200 && status != 204 && status != 304;
}

/* RFC 9112 6.1 and 6.3. Settles how the body is framed and whether the connection goes on. */
static struct slice begin_response(struct server_exchange *ex, const struct http_response *r,
                                   int64_t length) {
    struct server_conn *c = ex->conn;
    server_conn_response_started(c);
    struct head_plan plan = {.response = r, .framing = FRAMING_NONE};
    if (status_has_body(r->status)) {
        if (length >= 0) plan.framing = FRAMING_LENGTH;
        else plan.framing = ex->pub.version_minor == 0 ? FRAMING_UNTIL_CLOSE : FRAMING_CHUNKED;
    }
    plan.content_length = length >= 0 ? (uint64_t)length : 0;
    if (!ex->keeps_alive || c->server->is_draining || plan.framing == FRAMING_UNTIL_CLOSE)
        c->close_after = true;
    plan.keeps_alive = !c->close_after;
    ex->framing = ex->pub.method == HTTP_METHOD_HEAD ? FRAMING_NONE : (uint8_t)plan.framing;
    ex->body_left = ex->framing == FRAMING_LENGTH ? plan.content_length : 0;
    return make_head(c->server, &plan);
}

/* ---- errors of the server's own ---- */

void server_conn_send_error(struct server_conn *c, unsigned status, const char *text,
                            const struct http_exchange *about, bool has_body) {
    struct http_server *s = c->server;
    struct buf body;
    buf_init(&body, ERROR_BODY_MAX_BYTES);
    const char *type = "text/plain; charset=utf-8";
    if (s->app.format_error) s->app.format_error(s->app.self, status, text, about, &body, &type);
    else if (buf_appendf(&body, "%s\n", text) < 0) buf_reset(&body);
    const struct http_header header = {SLICE("content-type"), slice_cstr(type)};
    const struct http_response response = {status, &header, 1};
    const struct head_plan plan = {&response, FRAMING_LENGTH, body.len, false};
    const struct iovec iov[] = {iov_of(make_head(s, &plan)), iov_of(buf_slice(&body))};
    (void)server_conn_send(c, iov, has_body ? 2 : 1); /* a failure comes back by server_conn_lose */
    buf_dispose(&body);
}

/* ---- the application's functions ---- */

static bool is_dead(const struct server_exchange *ex) {
    return ex->conn->is_lost || ex->conn->state == CONN_CLOSED;
}

/* The app has said all. Out already: on_done now; else when the queue is empty. */
static void end_response(struct server_exchange *ex) {
    struct server_conn *c = ex->conn;
    ex->is_ended = true;
    server_conn_pin(c);
    if (c->out.len == 0 && !is_dead(ex)) server_conn_response_out(c);
    server_conn_settle(c);
    server_conn_unpin(c);
}

void http_respond(struct http_exchange *ex_pub, const struct http_response *r, struct slice body) {
    struct server_exchange *ex = exchange_of(ex_pub);
    assert(!ex->is_started);
    if (is_dead(ex)) return;
    const struct slice head = begin_response(ex, r, (int64_t)body.len);
    const struct iovec iov[] = {iov_of(head), iov_of(body)};
    if (head.len == 0) {
        http_abort(ex_pub);
        return;
    }
    ex->is_corked = false;
    (void)server_conn_send(ex->conn, iov, ex->framing == FRAMING_LENGTH ? 2 : 1);
    end_response(ex);
}

void http_start(struct http_exchange *ex_pub, const struct http_response *r,
                int64_t content_length) {
    struct server_exchange *ex = exchange_of(ex_pub);
    assert(!ex->is_started);
    if (is_dead(ex)) return;
    const struct slice head = begin_response(ex, r, content_length);
    if (head.len == 0) {
        server_conn_lose(ex->conn);
        return;
    }
    const struct iovec iov = iov_of(head);
    enqueue(ex->conn, &iov, 1, 0);
    server_conn_settle(ex->conn);
}

void http_flush_head(struct http_exchange *ex) {
    (void)server_conn_flush(exchange_of(ex)->conn);
}

bool http_started(const struct http_exchange *ex) {
    return ((const struct server_exchange *)ex)->is_started;
}

/* One answer for the app: anything left in the queue means wait, except what it gathers itself. */
static int write_result(struct server_exchange *ex, int rc) {
    if (rc < 0 || is_dead(ex)) return -1;
    if (ex->is_corked && !ex->conn->is_blocked) return 1;
    ex->is_waiting = rc == 0;
    return rc;
}

/* "1a2b\r\n" */
static struct slice chunk_line(char out[static 20], size_t len) {
    char digits[16];
    size_t n = 0, at = 0;
    for (; len > 0; len >>= 4) digits[n++] = "0123456789abcdef"[len & 15];
    while (n > 0) out[at++] = digits[--n];
    out[at++] = '\r';
    out[at++] = '\n';
    return slice_make(out, at);
}

/* More pieces than fit in one call: through the queue, still one chunk and as few calls as can
 * be. */
static int send_many(struct server_conn *c, struct slice line, const struct slice *pieces,
                     unsigned n, struct slice tail) {
    struct iovec iov = iov_of(line);
    enqueue(c, &iov, 1, 0);
    for (unsigned i = 0; i < n; i++) {
        iov = iov_of(pieces[i]);
        enqueue(c, &iov, 1, 0);
    }
    iov = iov_of(tail);
    return server_conn_send(c, &iov, 1);
}

static int send_pieces(struct server_conn *c, struct slice line, const struct slice *pieces,
                       unsigned n, struct slice tail) {
    if (n > PIECES_MAX) return send_many(c, line, pieces, n, tail);
    struct iovec iov[SEND_IOV];
    int n_iov = 0;
    iov[n_iov++] = iov_of(line);
    for (unsigned i = 0; i < n; i++) iov[n_iov++] = iov_of(pieces[i]);
    iov[n_iov++] = iov_of(tail);
    return server_conn_send(c, iov, n_iov);
}

int http_write(struct http_exchange *ex_pub, const struct slice *pieces, unsigned n_pieces) {
    struct server_exchange *ex = exchange_of(ex_pub);
    struct server_conn *c = ex->conn;
    if (is_dead(ex) || !ex->is_started || ex->is_ended) return -1;
    size_t len = 0;
    for (unsigned i = 0; i < n_pieces; i++) len += pieces[i].len;
    if (c->out.len > QUEUE_MAX_BYTES || (ex->framing == FRAMING_LENGTH && len > ex->body_left)) {
        server_conn_lose(c);
        return -1;
    }
    char line[20];
    switch ((enum body_framing)ex->framing) {
    case FRAMING_NONE: return write_result(ex, server_conn_flush(c));
    case FRAMING_CHUNKED:
        /* An empty chunk would end the body. */
        if (len == 0) return write_result(ex, server_conn_flush(c));
        return write_result(ex, send_pieces(c, chunk_line(line, len), pieces, n_pieces, SLICE("\r\n")));
    case FRAMING_LENGTH: ex->body_left -= len; break;
    case FRAMING_UNTIL_CLOSE: break;
    }
    return write_result(ex, send_pieces(c, SLICE(""), pieces, n_pieces, SLICE("")));
}

void http_cork(struct http_exchange *ex) {
    exchange_of(ex)->is_corked = true;
}

int http_uncork(struct http_exchange *ex_pub) {
    struct server_exchange *ex = exchange_of(ex_pub);
    ex->is_corked = false;
    if (is_dead(ex)) return -1;
    return write_result(ex, server_conn_flush(ex->conn));
}

void http_end(struct http_exchange *ex_pub) {
    struct server_exchange *ex = exchange_of(ex_pub);
    if (is_dead(ex) || ex->is_ended) return;
    if (!ex->is_started || ex->body_left > 0) {
        http_abort(ex_pub);
        return;
    }
    ex->is_corked = false;
    const struct iovec last = iov_of(SLICE("0\r\n\r\n"));
    (void)server_conn_send(ex->conn, &last, ex->framing == FRAMING_CHUNKED);
    end_response(ex);
}

static void close_now(struct http_exchange *ex, enum server_close how) {
    struct server_conn *c = exchange_of(ex)->conn;
    if (c->exchange != exchange_of(ex)) return; /* from inside on_done or on_cancel: it is over */
    server_conn_pin(c);
    server_conn_close(c, how);
    server_conn_response_out(c);
    server_conn_unpin(c);
}

void http_abort(struct http_exchange *ex) {
    close_now(ex, CLOSE_RESET);
}

void http_start_raw(struct http_exchange *ex_pub) {
    struct server_exchange *ex = exchange_of(ex_pub);
    assert(!ex->is_started);
    if (is_dead(ex)) return;
    server_conn_response_started(ex->conn);
    ex->framing = FRAMING_UNTIL_CLOSE; /* as it is; the connection's fate comes with the end */
    server_conn_settle(ex->conn);
}

void http_end_raw(struct http_exchange *ex_pub, enum http_raw_end how) {
    struct server_exchange *ex = exchange_of(ex_pub);
    if (how == HTTP_RAW_RST || how == HTTP_RAW_DROP) {
        close_now(ex_pub, how == HTTP_RAW_RST ? CLOSE_RESET : CLOSE_SILENT);
        return;
    }
    if (is_dead(ex) || ex->is_ended) return;
    assert(ex->is_started);
    if (how == HTTP_RAW_FIN || !ex->keeps_alive) ex->conn->close_after = true;
    ex->is_corked = false;
    (void)server_conn_flush(ex->conn);
    end_response(ex);
}

size_t http_queued_bytes(const struct http_exchange *ex) {
    return ((const struct server_exchange *)ex)->conn->out.len;
}

void http_exchange_drop_request(struct http_exchange *ex) {
    arena_free(ex->arena);
    ex->arena = NULL;
    bytes_unref(&ex->body);
    ex->method_text = ex->target = ex->path = ex->query = ex->host = SLICE_NULL;
    ex->headers = (struct http_headers){NULL, 0};
}
