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

struct world {
    struct loop *loop;
    struct listener *listener;
    struct http_server *server;
    struct http_exchange *held;
    unsigned cancels, dones;
    char in[65536];
    size_t in_len;
    bool is_eof, is_reset;
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
    http_server_accept(w->server, fd, from, NULL);
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

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_events_cost_one_call_and_no_memory),
        TEST(test_requests_cost_one_call_and_little_memory),
        TEST(test_error_is_read_although_bytes_were_not),
        TEST(test_leaving_is_seen_while_reads_are_off),
        TEST(test_abort_resets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
