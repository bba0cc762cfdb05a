/* SPDX-License-Identifier: Apache-2.0 */
/* The server over the kernel's sockets: what the simulated ones cannot prove. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <unistd.h>
#include <errno.h>
#include <fcntl.h>

#include <cmocka.h>

#include "base/mem.h"
#include "http/server-private.h"
#include "unit/net/certs.h"

struct world {
    struct loop *loop;
    struct listener *listener;
    struct http_server *server;
    struct http_exchange *held;
    unsigned cancels, dones;
    char in[65536];
    size_t in_len;
    bool is_eof, is_reset;
    struct tls_context *server_tls;
    struct conn *tls_client;
    size_t tls_len;
};

static const struct http_response ok = {.status = 200};

static void on_head(void *self, struct http_exchange *ex) {
    (void)self;
    (void)ex;
}

static void on_request(void *self, struct http_exchange *ex) {
    struct world *w = self;
    if (slice_eq(ex->path, SLICE("/hello"))) http_respond(ex, &ok, SLICE("hello"));
    else w->held = ex;
}

static void on_writable(void *self, struct http_exchange *ex) {
    on_head(self, ex);
}

static void on_cancel(void *self, struct http_exchange *ex) {
    struct world *w = self;
    (void)ex;
    w->cancels++;
    w->held = NULL;
}

static void on_done(void *self, struct http_exchange *ex) {
    struct world *w = self;
    (void)ex;
    w->dones++;
    w->held = NULL;
}

static void on_accept(void *self, int fd, const struct addr *from) {
    struct world *w = self;
    http_server_accept(w->server, fd, from, w->server_tls);
}

static int setup(void **state) {
    static struct world w;
    w = (struct world){0};
    struct err e;
    struct addr at;
    struct http_limits limits;
    const struct listen_options options = {0};
    const struct http_app app = {on_head, on_request, on_writable, on_cancel, on_done, NULL, &w};
    w.loop = loop_new(&e);
    http_limits_default(&limits);
    w.server = http_server_new(w.loop, &limits, &app);
    assert_int_equal(addr_parse(SLICE("127.0.0.1:0"), &at, &e), 0);
    assert_int_equal(listener_open(w.loop, &at, &options, on_accept, &w, &w.listener, &e), 0);
    *state = &w;
    return 0;
}

static int teardown(void **state) {
    struct world *w = *state;
    http_server_close_all(w->server);
    loop_turn(w->loop, false);
    assert_int_equal(http_server_stats(w->server)->connections_open, 0);
    http_server_free(w->server);
    listener_close(&w->listener);
    loop_free(w->loop);
    return 0;
}

static int client_connect(struct world *w) {
    const struct addr *at = listener_addr(w->listener);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, &at->u.sa, at->len), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    w->in_len = 0;
    w->is_eof = w->is_reset = false;
    return fd;
}

static void client_send(int fd, struct slice bytes) {
    assert_int_equal(send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL), (ssize_t)bytes.len);
}

static void client_read(struct world *w, int fd) {
    const ssize_t n = recv(fd, w->in + w->in_len, sizeof w->in - w->in_len, 0);
    if (n > 0) w->in_len += (size_t)n;
    w->is_eof = w->is_eof || n == 0;
    w->is_reset = w->is_reset || (n < 0 && errno == ECONNRESET);
    w->in[w->in_len < sizeof w->in ? w->in_len : sizeof w->in - 1] = '\0';
}

/* Turns until `done`; a hang is the test runner's to end. */
#define UNTIL(w, fd, done)               \
    while (!(done)) {                    \
        loop_turn((w)->loop, false);     \
        client_read(w, fd);              \
    }

static const struct slice get_later = {"GET /later HTTP/1.1\r\nHost: a\r\n\r\n", 32};
static const struct slice get_hello = {"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n", 32};

static void test_events_cost_one_call_and_no_memory(void **state) {
    struct world *w = *state;
    const int fd = client_connect(w);
    client_send(fd, get_later);
    UNTIL(w, fd, w->held);
    http_start(w->held, &ok, -1);
    http_flush_head(w->held);
    http_exchange_drop_request(w->held);
    const struct slice pieces[] = {SLICE("data: "), SLICE("{\"x\":1}"), SLICE("\n\n")};
    const uint64_t calls = loop_stats(w->loop)->send_calls, allocations = mem_alloc_count();
    for (unsigned i = 0; i < 500; i++) assert_int_equal(http_write(w->held, pieces, 3), 1);
    assert_int_equal(mem_alloc_count() - allocations, 0);
    assert_int_equal(loop_stats(w->loop)->send_calls - calls, 500);
    http_end(w->held);
    assert_int_equal(slab_in_use_bytes(loop_slab(w->loop)), 0);
    UNTIL(w, fd, w->in_len > 500 * 20 && memcmp(w->in + w->in_len - 5, "0\r\n\r\n", 5) == 0);
    close(fd);
}

static void test_requests_cost_one_call_and_little_memory(void **state) {
    struct world *w = *state;
    const int fd = client_connect(w);
    client_send(fd, get_hello);
    UNTIL(w, fd, w->in_len > 0);
    const uint64_t calls = loop_stats(w->loop)->send_calls, allocations = mem_alloc_count();
    for (unsigned i = 0; i < 50; i++) {
        w->in_len = 0;
        client_send(fd, get_hello);
        UNTIL(w, fd, w->in_len > 0);
    }
    assert_int_equal(loop_stats(w->loop)->send_calls - calls, 50);
#ifndef PENSTOCK_ARENA_SPLIT
    /* The exchange, the arena and its first chunk. */
    assert_true(mem_alloc_count() - allocations <= 3 * 50);
#endif
    (void)allocations;
    close(fd);
}

static void test_error_is_read_although_bytes_were_not(void **state) {
    struct world *w = *state;
    static char block[100000];
    memset(block, 'a', sizeof block);
    const int fd = client_connect(w);
    client_send(fd, SLICE("GET / HTTP/1.1\r\nHost: a\r\nX: "));
    client_send(fd, slice_make(block, sizeof block));
    UNTIL(w, fd, w->is_eof || w->is_reset);
    assert_false(w->is_reset);
    assert_memory_equal(w->in, "HTTP/1.1 431 ", 13);
    close(fd);
    w->is_eof = false;
    while (http_server_stats(w->server)->connections_open > 0) loop_turn(w->loop, false);
}

static void test_leaving_is_seen_while_reads_are_off(void **state) {
    struct world *w = *state;
    int fd = client_connect(w);
    client_send(fd, get_later);
    UNTIL(w, fd, w->held);
    http_start(w->held, &ok, -1);
    http_flush_head(w->held);
    client_send(fd, get_hello);   /* lies unread: the end is behind it */
    close(fd);
    while (w->cancels == 0) loop_turn(w->loop, false);
    assert_null(w->held);
}

static void test_abort_resets(void **state) {
    struct world *w = *state;
    const int fd = client_connect(w);
    client_send(fd, get_later);
    UNTIL(w, fd, w->held);
    http_start(w->held, &ok, -1);
    http_flush_head(w->held);
    http_abort(w->held);
    assert_int_equal(w->dones, 1);
    UNTIL(w, fd, w->is_eof || w->is_reset);
    assert_true(w->is_reset);
    close(fd);
}

/* ---- over TLS: a body of many records to a client that reads as it comes, then an orderly end
 * ---- */

#define TLS_BODY_BYTES (3 * 1024 * 1024)

static void tls_on_bytes(void *self, struct slice bytes) {
    struct world *w = self;
    w->tls_len += bytes.len;
}

static void tls_on_eof(void *self) {
    struct world *w = self;
    w->is_eof = true;
}

static void tls_on_gone(void *self, const struct err *e) {
    (void)self;
    fail_msg("%s", e->text);
}

static void tls_on_writable(void *self) {
    (void)self;
}

static void tls_on_ready(void *self, struct conn *c, const struct dial_timing *timing,
                         const struct err *e) {
    static const struct conn_callbacks callbacks = {tls_on_bytes, tls_on_writable, tls_on_eof,
                                                    tls_on_gone};
    struct world *w = self;
    (void)timing;
    if (!c) fail_msg("%s", e->text);
    w->tls_client = c;
    conn_set_callbacks(c, &callbacks, w);
    conn_read_on(c);
}

static void tls_connect(struct world *w, const struct certs *certs) {
    const struct tls_server_options server = {certs->good, certs->key};
    const struct tls_client_options client = {.ca_file = certs->ca};
    struct tls_context *tls;
    struct err e;
    assert_int_equal(tls_context_server(&server, &w->server_tls, &e), 0);
    assert_int_equal(tls_context_client(&client, &tls, &e), 0);
    const struct dial_options o = {.host = SLICE("127.0.0.1"),
                                   .port = addr_port(listener_addr(w->listener)),
                                   .tls = tls,
                                   .connect_timeout_ns = INT64_C(60000000000),
                                   .tls_timeout_ns = INT64_C(60000000000)};
    dial_start(w->loop, &o, tls_on_ready, w);
    while (!w->tls_client) loop_turn(w->loop, true);
    tls_context_free(&tls);
}

static void tls_send(struct world *w, struct slice text) {
    const struct iovec iov = {(void *)(uintptr_t)text.ptr, text.len};
    assert_int_equal(conn_writev(w->tls_client, &iov, 1, NULL), (ssize_t)text.len);
}

static void test_tls(void **state) {
    struct world *w = *state;
    struct certs certs;
    certs_init(&certs);
    tls_connect(w, &certs);
    tls_send(w, get_hello);
    while (w->dones == 0 || w->tls_len == 0) loop_turn(w->loop, true);
    w->tls_len = 0;
    tls_send(w, SLICE("GET /later HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    while (!w->held) loop_turn(w->loop, true);
    char *body = mem_zalloc(TLS_BODY_BYTES);
    http_respond(w->held, &ok, slice_make(body, TLS_BODY_BYTES));
    mem_free(body);
    while (!w->is_eof) loop_turn(w->loop, true);
    assert_int_equal(w->dones, 2);
    assert_true(w->tls_len > TLS_BODY_BYTES && w->tls_len < TLS_BODY_BYTES + 300);
    conn_close(&w->tls_client);
    while (http_server_stats(w->server)->connections_open > 0) loop_turn(w->loop, true);
    tls_context_free(&w->server_tls);
    certs_dispose(&certs);
    dial_forget(w->loop);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_events_cost_one_call_and_no_memory),
        TEST(test_requests_cost_one_call_and_little_memory),
        TEST(test_error_is_read_although_bytes_were_not),
        TEST(test_leaving_is_seen_while_reads_are_off),
        TEST(test_abort_resets),
        TEST(test_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
