/* SPDX-License-Identifier: Apache-2.0 */
/* The server over the simulated loop: real sockets' behaviour, a clock that moves when the test
 * says so. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "http/server-private.h"
#include "net/loop_sim.h"

#define CLIENTS_MAX 8
#define LOG_BYTES 16384
#define CLIENT_MAX_BYTES (16 * 1024 * 1024)

/* ---- a client: writes what it is told, collects what comes ---- */

struct client {
    struct world *world;
    struct sock *sock;
    struct buf out, in;
    bool is_paused;        /* takes nothing */
    bool is_eof, is_reset;
};

/* ---- an application that logs what happens and answers by path ---- */

struct world {
    struct loop *loop;
    struct listener *listener;
    struct http_limits limits;
    struct http_server *server;
    struct client clients[CLIENTS_MAX];
    unsigned n_clients;
    bool is_silent;                 /* nothing is logged */
    char log[LOG_BYTES];
    size_t log_len;
    struct http_exchange *held;     /* the last one that the test is to answer */
    unsigned format_error_count;
    char about[200];                /* what the last error was about: path, and its key */
    size_t refill_bytes;            /* on_writable writes on until so many are out, then ends */
    size_t written_bytes;
};

static void note(struct world *w, const char *format, ...) PRINTF_LIKE(2, 3);
static void note(struct world *w, const char *format, ...) {
    if (w->is_silent) return;
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(w->log + w->log_len, sizeof w->log - w->log_len, format, args);
    va_end(args);
    w->log_len += (size_t)n;
    assert_true(w->log_len < sizeof w->log);
}

static void assert_log(struct world *w, const char *expected) {
    assert_string_equal(w->log, expected);
    w->log_len = 0;
    w->log[0] = '\0';
}

static void respond(struct http_exchange *ex, unsigned status, struct slice body) {
    static const struct http_header headers[] = {{{"X-App", 5}, {"yes", 3}}};
    const struct http_response r = {status, headers, 1};
    http_respond(ex, &r, body);
}

static void start(struct http_exchange *ex, int64_t content_length) {
    const struct http_response r = {.status = 200};
    http_start(ex, &r, content_length);
}

static bool path_is(const struct http_exchange *ex, const char *path) {
    return slice_eq(ex->path, slice_cstr(path));
}

static int write_text(struct http_exchange *ex, const char *text) {
    const struct slice piece = slice_cstr(text);
    return http_write(ex, &piece, 1);
}

static void app_on_head(void *self, struct http_exchange *ex) {
    struct world *w = self;
    note(w, "head %.*s\n", SLICE_FMT(ex->path));
    ex->app = w;
    if (path_is(ex, "/early")) respond(ex, 401, SLICE("no"));
    else if (path_is(ex, "/abort-head")) http_abort(ex);
    else if (path_is(ex, "/early-stream")) {
        start(ex, -1);
        assert_int_equal(write_text(ex, "early"), 1);
        w->held = ex;
    }
}

static void app_on_request(void *self, struct http_exchange *ex) {
    struct world *w = self;
    const struct slice body = bytes_slice(ex->body);
    note(w, "request %.*s %zu\n", SLICE_FMT(ex->path), body.len);
    if (path_is(ex, "/echo")) respond(ex, 200, body);
    else if (path_is(ex, "/hello")) respond(ex, 200, SLICE("hello"));
    else if (path_is(ex, "/204")) respond(ex, 204, SLICE(""));
    else if (path_is(ex, "/304")) respond(ex, 304, SLICE("unsent"));
    else if (path_is(ex, "/stream")) {
        start(ex, -1);
        assert_int_equal(write_text(ex, "one"), 1);
        assert_int_equal(write_text(ex, ""), 1);
        assert_int_equal(write_text(ex, "two"), 1);
        http_end(ex);
    } else w->held = ex;
}

/* 10,000 bytes a write, until told to wait or all is out. */
static void refill(struct world *w, struct http_exchange *ex) {
    static char block[10000];
    const struct slice piece = {block, sizeof block};
    memset(block, 'x', sizeof block);
    while (w->written_bytes < w->refill_bytes) {
        w->written_bytes += sizeof block;
        const int rc = http_write(ex, &piece, 1);
        if (rc < 0) return;
        if (rc == 0) return;
    }
    http_end(ex);
}

static void app_on_writable(void *self, struct http_exchange *ex) {
    struct world *w = self;
    assert_int_equal(http_queued_bytes(ex), 0);
    if (w->refill_bytes == 0) note(w, "writable\n");
    else refill(w, ex);
}

static void app_on_cancel(void *self, struct http_exchange *ex) {
    struct world *w = self;
    note(w, "cancel\n");
    if (w->held == ex) w->held = NULL;
    http_abort(ex);  /* too late: nothing happens */
}

static void app_on_done(void *self, struct http_exchange *ex) {
    struct world *w = self;
    note(w, "done\n");
    if (w->held == ex) w->held = NULL;
    assert_ptr_equal(ex->app, w);
    assert_int_equal(write_text(ex, "late"), -1);
    http_end(ex);
}

static void app_format_error(void *self, unsigned status, const char *message,
                             const struct http_exchange *about, struct buf *out,
                             const char **out_type) {
    struct world *w = self;
    struct slice key = http_headers_get(&about->headers, SLICE("x-key"));
    w->format_error_count++;
    snprintf(w->about, sizeof w->about, "%.*s %.*s", SLICE_FMT(about->path), SLICE_FMT(key));
    assert_true(strlen(message) > 5);
    *out_type = "application/json";
    assert_int_equal(buf_appendf(out, "{\"status\":%u}", status), 0);
}

/* ---- the world ---- */

static void on_accept(void *self, int fd, const struct addr *from) {
    struct world *w = self;
    http_server_accept(w->server, fd, from, NULL);
}

static void world_open_server(struct world *w) {
    const struct http_app app = {app_on_head, app_on_request, app_on_writable, app_on_cancel,
                                 app_on_done, app_format_error, w};
    w->server = http_server_new(w->loop, &w->limits, &app);
}

static void world_start(struct world *w, const struct sim_options *options) {
    *w = (struct world){0};
    sim_start(options);
    struct err e;
    w->loop = loop_new(&e);
    assert_non_null(w->loop);
    struct addr at;
    const struct listen_options listen = {0};
    assert_int_equal(addr_parse(SLICE("127.0.0.1:8080"), &at, &e), 0);
    assert_int_equal(listener_open(w->loop, &at, &listen, on_accept, w, &w->listener, &e), 0);
    http_limits_default(&w->limits);
    world_open_server(w);
}

static void world_limits_changed(struct world *w) {
    http_server_free(w->server);
    world_open_server(w);
}

/* All that can happen without time passing. */
static void settle(void) {
    sim_run(NULL, NULL, sim_now_ns());
}

static void client_close(struct client *c) {
    sock_close(&c->sock);
}

static void world_stop(struct world *w) {
    for (unsigned i = 0; i < w->n_clients; i++) {
        client_close(&w->clients[i]);
        buf_dispose(&w->clients[i].in);
        buf_dispose(&w->clients[i].out);
    }
    settle();
    http_server_close_all(w->server);
    const struct http_server_stats *stats = http_server_stats(w->server);
    assert_int_equal(stats->connections_open, 0);
    assert_int_equal(stats->responses_open, 0);
    http_server_free(w->server);
    listener_close(&w->listener);
    settle();
    assert_int_equal(slab_in_use_bytes(loop_slab(w->loop)), 0);
    loop_free(w->loop);
    sim_stop();
}

/* ---- clients ---- */

static void client_watch(struct client *c) {
    const unsigned reads = c->is_paused || c->is_eof ? 0 : SOCK_READABLE;
    sock_watch(c->sock, reads | (c->out.len > 0 ? SOCK_WRITABLE : 0u));
}

static void client_ended(struct client *c, bool is_reset) {
    c->is_eof = true;
    c->is_reset = is_reset;
    if (is_reset) sock_close(&c->sock);
}

static void client_read(struct client *c) {
    static char bytes[65536];
    struct err e;
    ssize_t n;
    while ((n = sock_read(c->sock, bytes, sizeof bytes, &e)) > 0) {
        assert_int_equal(buf_append(&c->in, slice_make(bytes, (size_t)n)), 0);
    }
    if (n < 0) client_ended(c, e.os_errno != 0);
}

static void client_write(struct client *c) {
    struct err e;
    const struct iovec iov = {c->out.ptr, c->out.len};
    const ssize_t n = sock_writev(c->sock, &iov, 1, &e);
    if (n < 0) buf_reset(&c->out);
    else buf_consume(&c->out, (size_t)n);
}

static void client_event(void *self, unsigned events) {
    struct client *c = self;
    if (!c->is_paused && !c->is_eof && events & (SOCK_READABLE | SOCK_HUP)) client_read(c);
    if (c->sock && events & SOCK_WRITABLE && c->out.len > 0) client_write(c);
    if (c->sock) client_watch(c);
}

static struct client *client_open(struct world *w) {
    assert_true(w->n_clients < CLIENTS_MAX);
    struct client *c = &w->clients[w->n_clients++];
    *c = (struct client){.world = w};
    buf_init(&c->in, CLIENT_MAX_BYTES);
    buf_init(&c->out, CLIENT_MAX_BYTES);
    struct err e;
    assert_int_equal(
        sock_connect(w->loop, listener_addr(w->listener), client_event, c, &c->sock, &e), 0);
    client_watch(c);
    settle();
    return c;
}

static void client_queue(struct client *c, struct slice bytes) {
    assert_int_equal(buf_append(&c->out, bytes), 0);
    if (c->sock) client_watch(c);
}

static void client_send(struct client *c, const char *text) {
    client_queue(c, slice_cstr(text));
    settle();
}

static void client_pause(struct client *c, bool is_paused) {
    c->is_paused = is_paused;
    client_watch(c);
}

/* What came, without its date lines; then forgotten. */
static const char *client_take(struct client *c) {
    static char text[LOG_BYTES];
    assert_true(c->in.len < sizeof text);
    if (c->in.len > 0) memcpy(text, c->in.ptr, c->in.len);
    text[c->in.len] = '\0';
    buf_reset(&c->in);
    for (char *date; (date = strstr(text, "date: "));) {
        char *end = strstr(date, " GMT\r\n");
        assert_non_null(end);
        assert_int_equal(end - date, 31);
        memmove(date, end + 6, strlen(end + 6) + 1);
    }
    return text;
}

#define assert_took(client, expected) assert_string_equal(client_take(client), expected)

#define HEAD "HTTP/1.1 200 OK\r\n"
#define KEEP "connection: keep-alive\r\n\r\n"
#define CLOSE "connection: close\r\n\r\n"
#define HELLO HEAD "x-app: yes\r\ncontent-length: 5\r\n" KEEP "hello"
#define ERROR(status, text) \
    "HTTP/1.1 " text "\r\ncontent-type: application/json\r\ncontent-length: 14\r\n" CLOSE "{\"status\":" #status "}"
#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define POST(path, headers, body) "POST " path " HTTP/1.1\r\nHost: a\r\n" headers "\r\n" body

static struct world world;

static int setup(void **state) {
    const struct sim_options options = {.seed = 1};
    world_start(&world, &options);
    *state = &world;
    return 0;
}

static int teardown(void **state) {
    world_stop(*state);
    return 0;
}

/* ---- keep-alive and pipelining ---- */

static void test_keep_alive(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    client_send(c, GET("/hello"));
    assert_took(c, HELLO);
    assert_log(w, "head /hello\nrequest /hello 0\ndone\n");
    client_send(c, POST("/echo", "Content-Length: 3\r\n", "abc"));
    assert_took(c, HEAD "x-app: yes\r\ncontent-length: 3\r\n" KEEP "abc");
    client_send(c, "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_took(c, HEAD "x-app: yes\r\ncontent-length: 5\r\n" CLOSE "hello");
    assert_true(c->is_eof);
    assert_int_equal(http_server_stats(w->server)->requests, 3);
    assert_int_equal(http_server_stats(w->server)->bad_requests, 0);
}

static void test_http_1_0(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    client_send(c, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_took(c, HELLO);
    client_send(c, "GET /hello HTTP/1.0\r\n\r\n");
    assert_took(c, HEAD "x-app: yes\r\ncontent-length: 5\r\n" CLOSE "hello");
    assert_true(c->is_eof);
    c = client_open(w);
    client_send(c, "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_took(c, HEAD CLOSE "onetwo");
    assert_true(c->is_eof);
    assert_false(c->is_reset);
}

static void test_pipelined_in_order(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    client_send(c, GET("/hello") GET("/later") POST("/echo", "Content-Length: 2\r\n", "ab") GET("/stream"));
    assert_took(c, HELLO);
    /* The third is not looked at before the second is answered. */
    assert_log(w, "head /hello\nrequest /hello 0\ndone\nhead /later\nrequest /later 0\n");
    respond(w->held, 200, SLICE("now"));
    assert_log(w, "done\n");
    settle();
    assert_log(w, "head /echo\nrequest /echo 2\ndone\nhead /stream\nrequest /stream 0\ndone\n");
    assert_took(c, HEAD "x-app: yes\r\ncontent-length: 3\r\n" KEEP "now"
                   HEAD "x-app: yes\r\ncontent-length: 2\r\n" KEEP "ab"
                   HEAD "transfer-encoding: chunked\r\n" KEEP "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n");
}

static void test_many_pipelined(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    w->is_silent = true;
    enum { COUNT = 20000 };
    for (unsigned i = 0; i < COUNT; i++) client_queue(c, SLICE(GET("/204")));
    settle();
    assert_int_equal(http_server_stats(w->server)->requests, COUNT);
    assert_int_equal(c->in.len % COUNT, 0);
}

static void test_pipelined_while_streaming(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    client_send(c, GET("/later"));
    start(w->held, -1);
    assert_int_equal(write_text(w->held, "a"), 1);
    client_send(c, GET("/hello"));   /* stays in the kernel */
    assert_took(c, HEAD "transfer-encoding: chunked\r\n" KEEP "1\r\na\r\n");
    assert_log(w, "head /later\nrequest /later 0\n");
    http_end(w->held);
    settle();
    assert_took(c, "0\r\n\r\n" HELLO);
}

static void test_pipelined_garbage(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    client_send(c, GET("/hello") "\x01\x02garbage\r\n\r\n");
    assert_took(c, HELLO ERROR(400, "400 Bad Request"));
    assert_true(c->is_eof);
    c = client_open(w);
    client_send(c, GET("/later") "garbage\r\n\r\n");
    assert_took(c, "");
    respond(w->held, 200, SLICE("hello"));
    settle();
    assert_took(c, HELLO ERROR(400, "400 Bad Request"));
    assert_int_equal(http_server_stats(w->server)->bad_requests, 2);
}

/* ---- splits ---- */

static bool never(void *self) {
    (void)self;
    return false;
}

static void test_same_for_every_split(void **state) {
    (void)state;
    static const char requests[] =
        GET("/hello") "\r\n" POST("/echo", "Transfer-Encoding: chunked\r\n", "5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nT: v\r\n\r\n")
        POST("/echo", "Content-Length: 11\r\nExpect: nothing\r\n", "hello world");
    static const char answers[] =
        HELLO HEAD "x-app: yes\r\ncontent-length: 11\r\n" KEEP "hello world" ERROR(417, "417 Expectation Failed");
    for (uint64_t seed = 1; seed <= 60; seed++) {
        const struct sim_options options = {.seed = seed,
                                            .max_read_bytes = seed % 7,
                                            .max_write_bytes = seed % 5,
                                            .latency_max_ns =
                                                seed % 3 ? (int64_t)seed * NS_PER_MS : 0,
                                            .shuffle_events = seed % 2};
        world_start(&world, &options);
        struct client *c = client_open(&world);
        sim_run(never, NULL, sim_now_ns() + NS_PER_S);
        client_queue(c, slice_cstr(requests));
        sim_run(never, NULL, sim_now_ns() + 5 * NS_PER_S);
        assert_took(c, answers);
        assert_true(c->is_eof);
        assert_false(c->is_reset);
        world_stop(&world);
    }
}

/* ---- refusals ---- */

static void test_refused_by_the_server(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    client_send(c, "GET / HTTP/1.1\r\n\r\n");
    assert_took(c, ERROR(400, "400 Bad Request"));
    assert_true(c->is_eof);
    assert_log(w, "");
    assert_int_equal(w->format_error_count, 1);
    c = client_open(w);
    client_send(c, "HEAD / HTTP/1.1\r\n\r\n");
    assert_took(c, "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: 14\r\n" CLOSE);
    c = client_open(w);
    client_send(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_took(c, ERROR(505, "505 HTTP Version Not Supported"));
    assert_int_equal(http_server_stats(w->server)->bad_requests, 3);
    assert_int_equal(http_server_stats(w->server)->requests, 0);
}

/* As far as it came: the application tells from it whose client it is. */
static void test_errors_know_their_request(void **state) {
    struct world *w = *state;
    static const struct {
        const char *request, *about;
    } rows[] = {
        {"GET /hello?x HTTP/1.1\r\nX-Key: k\r\n\r\n", "/hello k"},
        {"GET /hello HTTP/1.1\r\nX-Key: k\r\nHost: a\r\nbad header\r\n\r\n", "/hello k"},
        {"GET /hello HTTP/9.9\r\n\r\n", "/hello "},
        {"GET \r\n\r\n", " "},
        {"\x16\x03\x01", " "},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", " "},
        {POST("/echo", "X-Key: k\r\nTransfer-Encoding: chunked\r\n", "x\r\n"), "/echo k"},
        {POST("/echo", "X-Key: k\r\nContent-Length: 99999999999\r\n", ""), "/echo k"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct client *c = client_open(w);
        w->about[0] = 0;
        client_send(c, rows[i].request);
        client_take(c);
        assert_string_equal(w->about, rows[i].about);
    }
    w->log_len = 0;
}

/* In many reads, or cut off by the clock. */
static void test_errors_know_what_came_in_pieces(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    static const char *const pieces[] = {"GE", "T /he", "llo HT", "TP/1.1\r\nX-K", "ey: k\r\n"};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        client_send(c, pieces[i]);
    sim_run(never, NULL, sim_now_ns() + 20 * NS_PER_S);
    assert_took(c, ERROR(408, "408 Request Timeout"));
    assert_string_equal(w->about, "/hello k");
}

static void test_error_is_read_although_more_comes(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    static char block[100000];
    memset(block, 'a', sizeof block);
    client_queue(c, SLICE("GET / HTTP/1.1\r\nHost: a\r\nX: "));
    client_queue(c, slice_make(block, sizeof block));
    for (unsigned i = 0; i < 10; i++) settle();
    assert_took(c, ERROR(431, "431 Request Header Fields Too Large"));
    assert_true(c->is_eof);
    assert_false(c->is_reset);
    /* The client closes: so do we. */
    assert_int_equal(http_server_stats(w->server)->connections_open, 1);
    client_close(c);
    settle();
    assert_int_equal(http_server_stats(w->server)->connections_open, 0);
}

static void test_lingering_ends(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    client_send(c, "garbage\r\n\r\n");
    assert_int_equal(http_server_stats(w->server)->connections_open, 1);
    sim_advance(1900 * NS_PER_MS);
    assert_int_equal(http_server_stats(w->server)->connections_open, 1);
    sim_advance(200 * NS_PER_MS);
    assert_int_equal(http_server_stats(w->server)->connections_open, 0);
    /* Or after 256 KiB. */
    c = client_open(w);
    static char block[400000];
    memset(block, 'a', sizeof block);
    client_queue(c, slice_make(block, sizeof block));
    for (unsigned i = 0; i < 20; i++) settle();
    assert_int_equal(http_server_stats(w->server)->connections_open, 0);
}

static void test_body_refused(void **state) {
    struct world *w = *state;
    w->limits.body_bytes = 10;
    world_limits_changed(w);
    struct client *c = client_open(w);
    client_send(c, POST("/echo", "Content-Length: 11\r\n", "hello"));
    assert_took(c, ERROR(413, "413 Content Too Large"));
    assert_log(w, "");
    /* A chunked one is known late: the app has seen its head. */
    c = client_open(w);
    client_send(c, POST("/echo", "Transfer-Encoding: chunked\r\n", "8\r\n12345678\r\n3\r\n"));
    assert_took(c, ERROR(413, "413 Content Too Large"));
    assert_log(w, "head /echo\ncancel\n");
    c = client_open(w);
    client_send(c, POST("/echo", "Transfer-Encoding: chunked\r\n", "8\r\n123456789"));
    assert_took(c, ERROR(400, "400 Bad Request"));
    assert_log(w, "head /echo\ncancel\n");
}

/* ---- deadlines ---- */

static void test_slow_head(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    static const char head[] = "GET /hello HTTP/1.1\r\nHost: a\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy";
    /* A byte each 200 ms does not help: the head as a whole has 10 s. */
    for (size_t i = 0; i < 49; i++) {
        client_queue(c, slice_make(head + i, 1));
        sim_advance(200 * NS_PER_MS);
    }
    assert_took(c, "");
    sim_advance(400 * NS_PER_MS);
    assert_took(c, ERROR(408, "408 Request Timeout"));
    assert_true(c->is_eof);
    assert_log(w, "");
}

static void test_head_clock_of_later_requests(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    client_send(c, GET("/hello"));
    assert_took(c, HELLO);
    sim_advance(60 * NS_PER_S);   /* idle: fine */
    client_send(c, "GET /hello HTTP/1.1\r\n");
    sim_advance(9900 * NS_PER_MS);
    client_send(c, "Host: a\r\n\r\n");
    assert_took(c, HELLO);
    client_send(c, "GET /");
    sim_advance(10100 * NS_PER_MS);
    assert_took(c, ERROR(408, "408 Request Timeout"));
}

static void test_idle_connections_close_silently(void **state) {
    struct world *w = *state;
    struct client *fresh = client_open(w), *used = client_open(w), *blank = client_open(w);
    client_send(used, GET("/hello"));
    client_send(blank, "\r\n\r\n");
    assert_took(used, HELLO);
    sim_advance(9900 * NS_PER_MS);
    assert_false(fresh->is_eof);
    sim_advance(200 * NS_PER_MS);
    assert_true(fresh->is_eof && blank->is_eof);
    assert_took(fresh, "");
    assert_took(blank, "");
    sim_advance(64 * NS_PER_S);
    assert_false(used->is_eof);
    sim_advance(1 * NS_PER_S);
    assert_true(used->is_eof);
    assert_took(used, "");
}

static void test_slow_body(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    client_send(c, POST("/echo", "Content-Length: 100\r\n", ""));
    for (unsigned i = 0; i < 3; i++) {
        sim_advance(29 * NS_PER_S);
        client_send(c, "x");
    }
    assert_took(c, "");
    sim_advance(31 * NS_PER_S);
    assert_took(c, ERROR(408, "408 Request Timeout"));
    assert_log(w, "head /echo\ncancel\n");
    /* Bytes keep coming, but the whole has a limit as well. */
    c = client_open(w);
    client_send(c, POST("/echo", "Content-Length: 100\r\n", ""));
    for (unsigned i = 0; i < 16; i++) {
        sim_advance(20 * NS_PER_S);
        client_send(c, "x");
    }
    assert_took(c, ERROR(408, "408 Request Timeout"));
}

static void test_no_deadline_while_the_app_thinks(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    client_send(c, GET("/later"));
    sim_advance(3600 * NS_PER_S);
    respond(w->held, 200, SLICE("hello"));
    settle();
    assert_took(c, HELLO);
    sim_advance(74 * NS_PER_S);
    assert_false(c->is_eof);
    sim_advance(2 * NS_PER_S);
    assert_true(c->is_eof);
}

static void test_client_that_takes_nothing(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    client_send(c, GET("/later"));
    client_pause(c, true);
    sim_advance(1000 * NS_PER_S);   /* no timer of earlier states is left */
    w->refill_bytes = 10000000;
    start(w->held, -1);
    refill(w, w->held);
    settle();
    assert_true(http_queued_bytes(w->held) > 0);
    assert_log(w, "head /later\nrequest /later 0\n");
    sim_advance(299 * NS_PER_S);
    assert_log(w, "");
    sim_advance(2 * NS_PER_S);
    assert_log(w, "cancel\n");
    assert_null(w->held);
}

/* ---- responses ---- */

static void test_expect_continue(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    client_send(c, POST("/echo", "Content-Length: 2\r\nExpect: 100-continue\r\n", ""));
    assert_took(c, "HTTP/1.1 100 Continue\r\n\r\n");
    client_send(c, "ab");
    assert_took(c, HEAD "x-app: yes\r\ncontent-length: 2\r\n" KEEP "ab");
    /* The body has come already: no word is needed. */
    client_send(c, POST("/echo", "Content-Length: 2\r\nExpect: 100-continue\r\n", "ab"));
    assert_took(c, HEAD "x-app: yes\r\ncontent-length: 2\r\n" KEEP "ab");
    client_send(c, POST("/early", "Content-Length: 2\r\nExpect: 100-continue\r\n", ""));
    assert_took(c, "HTTP/1.1 401 Unauthorized\r\nx-app: yes\r\ncontent-length: 2\r\n" CLOSE "no");
    assert_true(c->is_eof);
}

static void test_no_body(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    client_send(c, "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_took(c, HEAD "x-app: yes\r\ncontent-length: 5\r\n" KEEP);
    client_send(c, "HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_took(c, HEAD "transfer-encoding: chunked\r\n" KEEP);
    client_send(c, GET("/204") GET("/304"));
    assert_took(c, "HTTP/1.1 204 No Content\r\nx-app: yes\r\n" KEEP "HTTP/1.1 304 Not Modified\r\nx-app: yes\r\n" KEEP);
    client_send(c, GET("/hello"));
    assert_took(c, HELLO);
}

static void test_response_headers(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    client_send(c, GET("/later"));
    const struct http_header headers[] = {
        {SLICE("Content-Type"), SLICE("text/event-stream")},
        {SLICE("Content-Length"), SLICE("999")},
        {SLICE("TRANSFER-ENCODING"), SLICE("gzip")},
        {SLICE("Connection"), SLICE("close")},
        {SLICE("Date"), SLICE("never")},
        {SLICE("x-split"), SLICE("a\r\nx-forged: b")},
        {SLICE("x bad"), SLICE("a")},
        {SLICE("x-empty"), SLICE_NULL},
    };
    const struct http_response r = {299, headers, sizeof headers / sizeof headers[0]};
    http_respond(w->held, &r, SLICE(""));
    settle();
    assert_took(c, "HTTP/1.1 299 Unknown\r\ncontent-type: text/event-stream\r\nx-empty: \r\ncontent-length: 0\r\n" KEEP);
}

static void test_early_answer(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    /* The body is here: the connection stays. */
    client_send(c, POST("/early", "Content-Length: 3\r\n", "abc") GET("/hello"));
    assert_took(c, "HTTP/1.1 401 Unauthorized\r\nx-app: yes\r\ncontent-length: 2\r\n" KEEP "no" HELLO);
    assert_log(w, "head /early\ndone\nhead /hello\nrequest /hello 0\ndone\n");
    /* It is not: the answer is the last, and the rest is not read as a request. */
    client_send(c, POST("/early", "Content-Length: 300\r\n", GET("/hello")));
    assert_took(c, "HTTP/1.1 401 Unauthorized\r\nx-app: yes\r\ncontent-length: 2\r\n" CLOSE "no");
    assert_true(c->is_eof);
    assert_log(w, "head /early\ndone\n");
}

static void test_early_stream(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    client_send(c, POST("/early-stream", "Content-Length: 3\r\n", "abc") GET("/hello"));
    assert_took(c, HEAD "transfer-encoding: chunked\r\n" KEEP "5\r\nearly\r\n");
    assert_log(w, "head /early-stream\n");
    http_end(w->held);
    settle();
    assert_took(c, "0\r\n\r\n" HELLO);
    assert_log(w, "done\nhead /hello\nrequest /hello 0\ndone\n");
    client_send(c, POST("/early-stream", "Content-Length: 3\r\n", ""));
    client_send(c, "abc");
    assert_took(c, HEAD "transfer-encoding: chunked\r\n" CLOSE "5\r\nearly\r\n");
    http_end(w->held);
    settle();
    assert_took(c, "0\r\n\r\n");
    assert_true(c->is_eof);
}

/* The app answers between two reads of the body, from outside of any callback. */
static void test_answer_inside_the_body(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    client_send(c, POST("/echo", "Content-Length: 10\r\n", "abc"));
    struct http_exchange *ex = &w->server->conns->exchange->pub;
    respond(ex, 500, SLICE("x"));
    client_send(c, "defghij" GET("/hello"));
    assert_took(c, "HTTP/1.1 500 Internal Server Error\r\nx-app: yes\r\ncontent-length: 1\r\n" CLOSE "x");
    assert_log(w, "head /echo\ndone\n");
}

static void test_announced_length(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    client_send(c, GET("/later"));
    start(w->held, 6);
    assert_int_equal(write_text(w->held, "abc"), 1);
    assert_int_equal(write_text(w->held, "def"), 1);
    http_end(w->held);
    settle();
    assert_took(c, HEAD "content-length: 6\r\n" KEEP "abcdef");
    /* Too little must not look whole. */
    client_send(c, GET("/later"));
    start(w->held, 6);
    assert_int_equal(write_text(w->held, "abc"), 1);
    w->log_len = 0;
    http_end(w->held);
    assert_log(w, "done\n");
    settle();
    assert_true(c->is_reset);
    /* Too much is not written. */
    c = client_open(w);
    client_send(c, GET("/later"));
    start(w->held, 2);
    assert_int_equal(write_text(w->held, "abc"), -1);
    settle();
    assert_log(w, "head /later\nrequest /later 0\ncancel\n");
    assert_took(c, "");
}

static void test_abort_shows(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    client_send(c, GET("/later"));
    start(w->held, -1);
    assert_int_equal(write_text(w->held, "abc"), 1);
    settle();
    assert_took(c, HEAD "transfer-encoding: chunked\r\n" KEEP "3\r\nabc\r\n");
    http_abort(w->held);
    settle();
    assert_log(w, "head /later\nrequest /later 0\ndone\n");
    assert_took(c, "");
    assert_true(c->is_reset);
    c = client_open(w);
    client_send(c, GET("/abort-head"));
    assert_log(w, "head /abort-head\ndone\n");
    assert_true(c->is_reset);
}

/* Bytes pass as they are, and the connection goes on, ends or breaks as is said. */
static void test_raw_responses(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    client_send(c, GET("/later"));
    http_start_raw(w->held);
    assert_true(http_started(w->held));
    assert_int_equal(write_text(w->held, "HTTP/1.1 100 Maybe\r\n\r\nHTTP/7 "), 1);
    assert_int_equal(write_text(w->held, ""), 1);
    assert_int_equal(write_text(w->held, "20x\n\n"), 1);
    settle();
    assert_took(c, "HTTP/1.1 100 Maybe\r\n\r\nHTTP/7 20x\n\n");
    http_end_raw(w->held, HTTP_RAW_KEEP);
    settle();
    client_send(c, GET("/hello") GET("/later"));
    assert_took(c, HELLO);
    http_start_raw(w->held);
    assert_int_equal(write_text(w->held, "zzz"), 1);
    http_end_raw(w->held, HTTP_RAW_FIN);
    settle();
    assert_took(c, "zzz");
    assert_true(c->is_eof && !c->is_reset);
    client_close(c);
    static const enum http_raw_end ends[] = {HTTP_RAW_RST, HTTP_RAW_DROP};
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned started = 0; started < 2; started++) {
            c = client_open(w);
            client_send(c, GET("/later"));
            if (started) http_start_raw(w->held);
            http_end_raw(w->held, ends[i]);
            settle();
            assert_true(c->is_eof);
            assert_int_equal(c->is_reset, ends[i] == HTTP_RAW_RST);
            client_close(c);
        }
    }
    /* a client that wants no other request gets none */
    c = client_open(w);
    client_send(c, "GET /later HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    http_start_raw(w->held);
    http_end_raw(w->held, HTTP_RAW_KEEP);
    settle();
    assert_true(c->is_eof && !c->is_reset);
}

static void test_head_waits_for_the_first_write(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    client_send(c, GET("/later"));
    assert_false(http_started(w->held));
    start(w->held, -1);
    assert_true(http_started(w->held));
    settle();
    assert_took(c, "");
    http_flush_head(w->held);
    settle();
    assert_took(c, HEAD "transfer-encoding: chunked\r\n" KEEP);
    assert_int_equal(write_text(w->held, "0123456789abcdefg"), 1);
    settle();
    assert_took(c, "11\r\n0123456789abcdefg\r\n");
    http_end(w->held);
    client_send(c, GET("/later"));
    start(w->held, 0);
    http_end(w->held);
    settle();
    assert_took(c, "0\r\n\r\n" HEAD "content-length: 0\r\n" KEEP);
}

static uint64_t send_calls(const struct world *w) {
    return loop_stats(w->loop)->send_calls;
}

static void test_one_write_an_event(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    client_send(c, GET("/later"));
    uint64_t calls = send_calls(w);
    start(w->held, -1);
    const struct slice pieces[] = {SLICE("data: "), SLICE("{}"), SLICE("\n\n")};
    assert_int_equal(http_write(w->held, pieces, 3), 1);
    assert_int_equal(send_calls(w) - calls, 1);
    settle();
    assert_took(c, HEAD "transfer-encoding: chunked\r\n" KEEP "a\r\ndata: {}\n\n\r\n");
    http_exchange_drop_request(w->held);
    assert_null(w->held->arena);
    calls = send_calls(w);
    for (unsigned i = 0; i < 100; i++) assert_int_equal(http_write(w->held, pieces, 3), 1);
    assert_int_equal(send_calls(w) - calls, 100);
    http_end(w->held);
    settle();
    buf_reset(&c->in);
    calls = send_calls(w);
    client_send(c, GET("/hello"));
    assert_int_equal(send_calls(w) - calls, 2);   /* the client's and ours */
    assert_took(c, HELLO);
}

static void test_cork(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    client_send(c, GET("/later"));
    start(w->held, -1);
    const uint64_t calls = send_calls(w);
    http_cork(w->held);
    assert_int_equal(write_text(w->held, "a"), 1);
    assert_int_equal(write_text(w->held, "b"), 1);
    assert_int_equal(send_calls(w) - calls, 0);
    assert_int_equal(http_uncork(w->held), 1);
    assert_int_equal(send_calls(w) - calls, 1);
    http_cork(w->held);
    assert_int_equal(write_text(w->held, "c"), 1);
    http_end(w->held);
    assert_int_equal(send_calls(w) - calls, 2);
    settle();
    assert_took(c, HEAD "transfer-encoding: chunked\r\n" KEEP "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n");
}

/* More in the queue than one call takes. */
static void test_cork_much(void **state) {
    (void)state;
    const struct sim_options options = {.seed = 1, .socket_buffer_bytes = 4 * 1024 * 1024};
    world_start(&world, &options);
    struct client *c = client_open(&world);
    client_send(c, GET("/later"));
    static char block[100000];
    memset(block, 'x', sizeof block);
    const struct slice piece = {block, sizeof block};
    start(world.held, 700000);
    http_cork(world.held);
    for (unsigned i = 0; i < 6; i++) assert_int_equal(http_write(world.held, &piece, 1), 1);
    assert_int_equal(http_queued_bytes(world.held) > 600000, 1);
    assert_int_equal(http_uncork(world.held), 1);
    assert_int_equal(http_queued_bytes(world.held), 0);
    assert_int_equal(http_write(world.held, &piece, 1), 1);
    http_end(world.held);
    settle();
    assert_true(c->in.len > 700000);
    for (size_t i = 0; i < 700000; i++) assert_true(c->in.ptr[c->in.len - 1 - i] == 'x');
    world_stop(&world);
}

static void test_many_pieces(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    client_send(c, GET("/later"));
    start(w->held, -1);
    struct slice pieces[40];
    for (unsigned i = 0; i < 40; i++) pieces[i] = SLICE("x");
    assert_int_equal(http_write(w->held, pieces, 40), 1);
    http_end(w->held);
    settle();
    assert_took(c, HEAD "transfer-encoding: chunked\r\n" KEEP
                   "28\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n0\r\n\r\n");
}

/* ---- slow readers and leaving clients ---- */

static void test_slow_reader_gets_all(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    client_send(c, GET("/later"));
    client_pause(c, true);
    w->refill_bytes = 1000000;
    start(w->held, 1000000);
    refill(w, w->held);
    settle();
    const size_t written = w->written_bytes;
    assert_true(written < 300000);
    for (unsigned i = 0; i < 5; i++) {
        sim_advance(100 * NS_PER_S);   /* it takes some now and then: no write timeout */
        client_pause(c, false);
        settle();
        client_pause(c, true);
    }
    client_pause(c, false);
    for (unsigned i = 0; i < 100; i++) settle();
    assert_int_equal(w->written_bytes, 1000000);
    assert_true(c->in.len > 1000000);
    assert_log(w, "head /later\nrequest /later 0\ndone\n");
}

static void test_on_writable_comes_when_all_is_out(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    client_send(c, GET("/later"));
    client_pause(c, true);
    start(w->held, -1);
    int rc = 1;
    while (rc == 1) rc = write_text(w->held, "0123456789012345678901234567890123456789");
    assert_int_equal(rc, 0);
    assert_int_equal(write_text(w->held, "more"), 0);
    settle();
    assert_log(w, "head /later\nrequest /later 0\n");
    client_pause(c, false);
    for (unsigned i = 0; i < 10; i++) settle();
    assert_log(w, "writable\n");
    assert_int_equal(write_text(w->held, "x"), 1);
    http_end(w->held);
    assert_log(w, "done\n");
}

static void test_queue_has_a_cap(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    client_send(c, GET("/later"));
    client_pause(c, true);
    start(w->held, -1);
    static char block[100000];
    memset(block, 'x', sizeof block);
    const struct slice piece = {block, sizeof block};
    size_t most = 0;
    int rc = 1;
    while (rc >= 0) {
        most = http_queued_bytes(w->held);
        rc = http_write(w->held, &piece, 1);
    }
    assert_true(most > 1024 * 1024 && most <= 1024 * 1024 + sizeof block + 20);
    /* The app is on the stack: it hears of it later. */
    assert_log(w, "head /later\nrequest /later 0\n");
    assert_int_equal(http_write(w->held, &piece, 1), -1);
    http_end(w->held);
    settle();
    assert_log(w, "cancel\n");
}

static void test_client_leaves(void **state) {
    struct world *w = *state;
    /* While the app thinks. */
    struct client *c = client_open(w);
    client_send(c, GET("/later"));
    client_close(c);
    settle();
    assert_log(w, "head /later\nrequest /later 0\ncancel\n");
    /* While a stream is open, nothing is being written and a pipelined request lies unread. */
    c = client_open(w);
    client_send(c, GET("/later"));
    start(w->held, -1);
    assert_int_equal(write_text(w->held, "a"), 1);
    client_send(c, GET("/hello"));
    client_close(c);
    settle();
    assert_log(w, "head /later\nrequest /later 0\ncancel\n");
    /* While it takes nothing and the queue is full. */
    c = client_open(w);
    client_send(c, GET("/later"));
    client_pause(c, true);
    start(w->held, -1);
    w->refill_bytes = 10000000;
    refill(w, w->held);
    settle();
    sock_close_reset(&c->sock);
    settle();
    assert_log(w, "head /later\nrequest /later 0\ncancel\n");
    /* With half a body sent. */
    c = client_open(w);
    client_send(c, POST("/echo", "Content-Length: 10\r\n", "abc"));
    client_close(c);
    settle();
    assert_log(w, "head /echo\ncancel\n");
    /* It only says that it has finished sending: gone as well. */
    c = client_open(w);
    client_send(c, GET("/later"));
    sock_shutdown_write(c->sock);
    settle();
    assert_log(w, "head /later\nrequest /later 0\ncancel\n");
    assert_int_equal(http_server_stats(w->server)->connections_open, 0);
}

static void test_half_closing_client_gets_an_answer_given_at_once(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    client_queue(c, SLICE(GET("/hello")));
    client_write(c);
    sock_shutdown_write(c->sock);
    settle();
    assert_took(c, HELLO);
    assert_true(c->is_eof);
}

/* ---- the server as a whole ---- */

static void test_drain(void **state) {
    struct world *w = *state;
    struct client *idle = client_open(w), *busy = client_open(w), *started = client_open(w),
                  *half = client_open(w);
    client_send(idle, GET("/hello"));
    client_send(started, GET("/later"));
    start(w->held, -1);
    assert_int_equal(write_text(w->held, "a"), 1);
    struct http_exchange *streaming = w->held;
    client_send(busy, GET("/later"));
    client_send(half, "GET /hello HTTP/1.1\r\n");
    assert_took(idle, HELLO);
    http_server_drain(w->server);
    settle();
    assert_true(idle->is_eof);
    assert_false(busy->is_eof || started->is_eof || half->is_eof);
    respond(w->held, 200, SLICE("x"));
    http_end(streaming);
    client_send(half, "Host: a\r\n\r\n");
    assert_took(busy, HEAD "x-app: yes\r\ncontent-length: 1\r\n" CLOSE "x");
    assert_took(started, HEAD "transfer-encoding: chunked\r\n" KEEP "1\r\na\r\n0\r\n\r\n");
    assert_took(half, HEAD "x-app: yes\r\ncontent-length: 5\r\n" CLOSE "hello");
    assert_true(busy->is_eof && started->is_eof && half->is_eof);
}

/* A request that has been read already is answered before the connection goes. */
static void test_drain_with_a_request_at_hand(void **state) {
    struct world *w = *state;
    struct client *c = client_open(w);
    client_send(c, GET("/later") GET("/hello"));
    respond(w->held, 200, SLICE("hello"));
    http_server_drain(w->server);
    settle();
    assert_took(c, HELLO HEAD "x-app: yes\r\ncontent-length: 5\r\n" CLOSE "hello");
    assert_true(c->is_eof);
}

static void test_close_all(void **state) {
    struct world *w = *state;
    struct client *idle = client_open(w), *busy = client_open(w), *streaming = client_open(w);
    client_send(idle, GET("/hello"));
    client_send(busy, GET("/later"));
    client_send(streaming, GET("/later"));
    start(w->held, -1);
    assert_int_equal(write_text(w->held, "a"), 1);
    w->log_len = 0;
    http_server_close_all(w->server);
    assert_log(w, "cancel\ncancel\n");
    settle();
    assert_true(idle->is_eof && busy->is_eof);
    assert_true(streaming->is_reset);   /* half a response must not look whole */
}

static void test_caps(void **state) {
    struct world *w = *state;
    w->limits.max_connections = 2;
    world_limits_changed(w);
    client_open(w);
    struct client *second = client_open(w), *third = client_open(w);
    settle();
    assert_took(third, ERROR(503, "503 Service Unavailable"));
    assert_true(third->is_eof);
    assert_int_equal(http_server_stats(w->server)->refused, 1);
    assert_int_equal(http_server_stats(w->server)->connections_open, 2);
    client_close(second);
    settle();
    struct client *fourth = client_open(w);
    client_send(fourth, GET("/hello"));
    assert_took(fourth, HELLO);
}

static void test_caps_by_address(void **state) {
    struct world *w = *state;
    w->limits.max_connections_per_ip = 1;
    world_limits_changed(w);
    struct client *first = client_open(w), *second = client_open(w);
    settle();
    assert_took(second, ERROR(503, "503 Service Unavailable"));
    client_close(first);
    client_close(second);
    settle();
    struct client *third = client_open(w);
    client_send(third, GET("/hello"));
    assert_took(third, HELLO);
}

static void test_what_a_connection_weighs(void **state) {
    (void)state;
    assert_true(sizeof(struct server_conn) <= 640);
    assert_true(sizeof(struct server_conn) + sizeof(struct server_exchange) <= 1024);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_keep_alive),
        TEST(test_http_1_0),
        TEST(test_pipelined_in_order),
        TEST(test_many_pipelined),
        TEST(test_pipelined_while_streaming),
        TEST(test_pipelined_garbage),
        cmocka_unit_test(test_same_for_every_split),
        TEST(test_refused_by_the_server),
        TEST(test_errors_know_their_request),
        TEST(test_errors_know_what_came_in_pieces),
        TEST(test_error_is_read_although_more_comes),
        TEST(test_lingering_ends),
        TEST(test_body_refused),
        TEST(test_slow_head),
        TEST(test_head_clock_of_later_requests),
        TEST(test_idle_connections_close_silently),
        TEST(test_slow_body),
        TEST(test_no_deadline_while_the_app_thinks),
        TEST(test_client_that_takes_nothing),
        TEST(test_expect_continue),
        TEST(test_no_body),
        TEST(test_response_headers),
        TEST(test_early_answer),
        TEST(test_early_stream),
        TEST(test_answer_inside_the_body),
        TEST(test_announced_length),
        TEST(test_abort_shows),
        TEST(test_raw_responses),
        TEST(test_head_waits_for_the_first_write),
        TEST(test_one_write_an_event),
        TEST(test_cork),
        cmocka_unit_test(test_cork_much),
        TEST(test_many_pieces),
        TEST(test_slow_reader_gets_all),
        TEST(test_on_writable_comes_when_all_is_out),
        TEST(test_queue_has_a_cap),
        TEST(test_client_leaves),
        TEST(test_half_closing_client_gets_an_answer_given_at_once),
        TEST(test_drain),
        TEST(test_drain_with_a_request_at_hand),
        TEST(test_close_all),
        TEST(test_caps),
        TEST(test_caps_by_address),
        cmocka_unit_test(test_what_a_connection_weighs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
