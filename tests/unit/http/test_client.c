/* SPDX-License-Identifier: Apache-2.0 */
/* The client on the real loop, against a scripted server on the same loop.
 * tests/sim/test_http_client_sim.c has the splits, cuts and clocks. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "http_script.h"

#define GIVE_UP_NS (20 * NS_PER_S)   /* a hung test fails; no outcome depends on it */

static struct loop *loop;
static struct script server;
static struct http_pool *pool;
static struct probe probes[8];

static int set_up(void **state) {
    (void)state;
    struct err e;
    loop = loop_new(&e);
    assert_non_null(loop);
    script_open(&server, loop, "127.0.0.1:0");
    pool = script_pool(&server, NULL);
    for (unsigned i = 0; i < 8; i++) {
        probe_init(&probes[i], pool);
    }
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    http_pool_close(&pool);
    script_close(&server);
    dial_forget(loop);
    loop_free(loop);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(probes[i].n_late, 0);
        probe_dispose(&probes[i]);
    }
    return 0;
}

static void on_give_up(struct timer *t, void *self) {
    (void)t;
    *(bool *)self = true;
}

static void wait_until(bool (*done)(void *self), void *self) {
    bool is_hung = false;
    struct timer give_up = {0};
    loop_timer_start(loop, &give_up, clock_mono_ns() + GIVE_UP_NS, on_give_up, &is_hung);
    while (!done(self) && !is_hung) {
        loop_turn(loop, true);
    }
    timer_stop(&give_up);
    assert_false(is_hung);
}

static void wait_for(struct probe *p) {
    wait_until(probe_is_over, p);
}

static bool is_pool_empty(void *self) {
    (void)self;
    return http_pool_stats(pool)->idle == 0;
}

static void expect_body(struct probe *p, const char *body) {
    assert_int_equal(p->n_fails, 0);
    assert_int_equal(p->n_ends, 1);
    assert_true(slice_eq(buf_slice(&p->body), slice_cstr(body)));
}

#define OK_HELLO SLICE("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Id:  a b \r\n\r\nhello")

static void test_get(void **state) {
    (void)state;
    script_add(&server, OK_HELLO, THEN_KEEP);
    probe_get(&probes[0]);
    assert_int_equal(probes[0].n_heads + probes[0].n_fails, 0); /* nothing runs inside start */
    wait_for(&probes[0]);
    expect_body(&probes[0], "hello");
    assert_int_equal(probes[0].answer.status, 200);
    assert_int_equal(probes[0].answer.content_length, 5);
    assert_false(probes[0].answer.is_reused);
    assert_true(probes[0].answer.connect_ns > 0);
    assert_true(slice_eq(buf_slice(&probes[0].headers), SLICE("Content-Length: 5\nX-Id: a b\n")));
    assert_true(slice_eq(buf_slice(&server.requests), SLICE("GET / HTTP/1.1\r\nhost: api.test\r\n\r\n")));
    assert_int_equal(http_pool_stats(pool)->idle, 1);
    assert_int_equal(http_pool_stats(pool)->active, 0);
}

static void test_post_in_pieces(void **state) {
    (void)state;
    script_add(&server, OK_HELLO, THEN_KEEP);
    struct slice pieces[] = {SLICE("{\"a\":"), SLICE(""), SLICE("1}")};
    struct http_header headers[] = {
        {SLICE("Content-Type"), SLICE("application/json")},
        {SLICE("Content-Length"), SLICE("99")},
        {SLICE("x-empty"), SLICE("")},
    };
    struct http_call_request r = {
        .method = HTTP_METHOD_POST,
        .target = SLICE("/v1?x=y"),
        .headers = headers,
        .n_headers = 3,
        .body = pieces,
        .n_body = 3,
    };
    probe_send(&probes[0], &r);
    wait_for(&probes[0]);
    expect_body(&probes[0], "hello");
    assert_true(slice_eq(buf_slice(&server.requests),
                         SLICE("POST /v1?x=y HTTP/1.1\r\nhost: api.test\r\ncontent-type: application/json\r\nx-empty: \r\n"
                               "content-length: 7\r\n\r\n{\"a\":1}")));
}

static void test_reuse_is_lifo(void **state) {
    (void)state;
    for (int i = 0; i < 5; i++) {
        script_add(&server, OK_HELLO, THEN_KEEP);
    }
    probe_get(&probes[0]);
    probe_get(&probes[1]);
    wait_for(&probes[0]);
    wait_for(&probes[1]);
    assert_int_equal(http_pool_stats(pool)->idle, 2);
    for (int i = 2; i < 5; i++) {
        probe_get(&probes[i]);
        wait_for(&probes[i]);
        assert_true(probes[i].answer.is_reused);
        assert_int_equal(probes[i].answer.connect_ns, 0);
    }
    assert_int_equal(server.n_conns, 2);
    assert_int_equal(http_pool_stats(pool)->connects, 2);
    assert_int_equal(http_pool_stats(pool)->reuses, 3);
}

static void start_next(struct probe *p) {
    probe_get(p->more);
}

static void test_next_call_in_on_end_reuses(void **state) {
    (void)state;
    script_add(&server, OK_HELLO, THEN_KEEP);
    script_add(&server, OK_HELLO, THEN_KEEP);
    probes[0].end_hook = start_next;
    probes[0].more = &probes[1];
    probe_get(&probes[0]);
    wait_for(&probes[1]);
    expect_body(&probes[0], "hello");
    expect_body(&probes[1], "hello");
    assert_true(probes[1].answer.is_reused);
    assert_int_equal(server.n_conns, 1);
}

static void test_idle_connection_is_dropped_on_fin(void **state) {
    (void)state;
    script_add(&server, OK_HELLO, THEN_FIN);
    probe_get(&probes[0]);
    wait_for(&probes[0]);
    expect_body(&probes[0], "hello");
    wait_until(is_pool_empty, NULL);
    assert_int_equal(http_pool_stats(pool)->stale_retries, 0);
}

static void test_idle_connection_is_dropped_on_stray_bytes(void **state) {
    (void)state;
    script_add(&server, OK_HELLO, THEN_KEEP);
    probe_get(&probes[0]);
    wait_for(&probes[0]);
    assert_int_equal(http_pool_stats(pool)->idle, 1);
    script_say(&server.conns[0], SLICE("HTTP/1.1 408 Request Timeout\r\n\r\n"));
    wait_until(is_pool_empty, NULL);
}

static void test_stale_connection_is_retried(void **state) {
    (void)state;
    script_add(&server, OK_HELLO, THEN_KEEP);
    server.replies[server.n_replies++] =
        (struct script_reply){.before_reading = true, .then = THEN_RST};
    script_add(&server, OK_HELLO, THEN_KEEP);
    probe_get(&probes[0]);
    wait_for(&probes[0]);
    probe_post(&probes[1], SLICE("{\"again\":1}"));
    wait_for(&probes[1]);
    expect_body(&probes[1], "hello");
    assert_false(probes[1].answer.is_reused);
    assert_int_equal(http_pool_stats(pool)->stale_retries, 1);
    assert_int_equal(server.n_conns, 2);
    assert_non_null(memmem(server.requests.ptr, server.requests.len, "{\"again\":1}", 11));
}

static void test_refused_connection(void **state) {
    (void)state;
    listener_close(&server.listener);
    probe_get(&probes[0]);
    wait_for(&probes[0]);
    assert_int_equal(probes[0].n_fails, 1);
    assert_int_equal(probes[0].err.kind, ERR_CONNECT);
    assert_false(probes[0].any_answer_byte);
    assert_int_equal(http_pool_stats(pool)->connect_fails, 1);
    script_open(&server, loop, "127.0.0.1:0"); /* for tear_down */
}

/* Nobody reads the body: the answer is there all the same. */
static void test_early_answer_to_a_large_body(void **state) {
    (void)state;
    struct slice body = {mem_zalloc(32 << 20), 32 << 20};
    server.replies[server.n_replies++] = (struct script_reply){
        .bytes = SLICE("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig"),
        .then = THEN_FIN,
        .at_head = true,
    };
    probe_post(&probes[0], body);
    wait_for(&probes[0]);
    expect_body(&probes[0], "big");
    assert_int_equal(probes[0].answer.status, 413);
    assert_int_equal(http_pool_stats(pool)->idle, 0);
    mem_free((void *)(uintptr_t)body.ptr);
}

static void test_large_body_both_ways(void **state) {
    (void)state;
    size_t bytes = 3 << 20;
    char *text = mem_alloc(bytes);
    for (size_t i = 0; i < bytes; i++) {
        text[i] = (char)('a' + i % 23);
    }
    struct buf reply;
    buf_init(&reply, bytes + 100);
    assert_int_equal(buf_appendf(&reply, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", bytes), 0);
    assert_int_equal(buf_append(&reply, slice_make(text, bytes)), 0);
    script_add(&server, buf_slice(&reply), THEN_KEEP);
    probe_post(&probes[0], slice_make(text, bytes));
    wait_for(&probes[0]);
    assert_int_equal(probes[0].n_ends, 1);
    assert_true(slice_eq(buf_slice(&probes[0].body), slice_make(text, bytes)));
    assert_memory_equal(server.requests.ptr + server.requests.len - bytes, text, bytes);
    assert_int_equal(http_pool_stats(pool)->idle, 1);
    buf_dispose(&reply);
    mem_free(text);
}

static void pause_once(struct probe *p) {
    http_call_pause(p->call);
    p->body_hook = NULL;
}

static bool has_body_byte(void *self) {
    const struct probe *p = self;
    return p->body.len > 0;
}

static void test_pause_stops_reading(void **state) {
    (void)state;
    size_t bytes = 24 << 20; /* more than both kernel buffers take */
    struct buf reply;
    buf_init(&reply, bytes + 100);
    assert_int_equal(buf_appendf(&reply, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", bytes), 0);
    memset(buf_reserve(&reply, bytes), 'x', bytes);
    buf_commit(&reply, bytes);
    script_add(&server, buf_slice(&reply), THEN_KEEP);
    probes[0].body_hook = pause_once;
    probe_get(&probes[0]);
    wait_until(has_body_byte, &probes[0]);
    size_t before = probes[0].body.len;
    unsigned batches = probes[0].n_batches;
    for (int i = 0; i < 50; i++) {
        loop_turn(loop, false);
    }
    assert_int_equal(probes[0].body.len, before);
    assert_int_equal(probes[0].n_batches, batches);
    assert_true(batches == 1);
    assert_true(server.conns[0].out.len > 0); /* the server is stuck */
    assert_true(http_call_kernel_bytes(probes[0].call) > 0);
    http_call_resume(probes[0].call);
    assert_int_equal(probes[0].body.len, before); /* not inside */
    wait_for(&probes[0]);
    assert_int_equal(probes[0].n_ends, 1);
    assert_int_equal(probes[0].body.len, bytes);
    buf_dispose(&reply);
}

static bool server_saw_end(void *self) {
    (void)self;
    return server.n_eofs > 0;
}

static void test_cancel_closes_the_connection(void **state) {
    (void)state;
    script_add(&server, SLICE("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"), THEN_KEEP);
    probe_get(&probes[0]);
    wait_until(has_body_byte, &probes[0]);
    http_call_cancel(&probes[0].call);
    assert_null(probes[0].call);
    assert_int_equal(http_pool_stats(pool)->active, 0);
    wait_until(server_saw_end, NULL);
    http_call_cancel(&probes[0].call); /* NULL is fine */
    assert_int_equal(http_pool_stats(pool)->cancels, 1);
}

static void test_pool_close_fails_running_calls(void **state) {
    (void)state;
    script_add(&server, OK_HELLO, THEN_KEEP);
    script_add(&server, SLICE("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"), THEN_KEEP);
    probe_get(&probes[0]);
    wait_for(&probes[0]);
    probe_get(&probes[1]);
    wait_until(has_body_byte, &probes[1]);
    probe_get(&probes[2]);
    http_pool_close(&pool);
    assert_int_equal(probes[1].err.kind, ERR_CANCELLED);
    assert_int_equal(probes[2].err.kind, ERR_CANCELLED);
    assert_true(probes[1].any_answer_byte);
}

static void test_unix_socket(void **state) {
    (void)state;
    char path[100], at[120];
    snprintf(path, sizeof path, "/tmp/penstock-test-client-%d.sock", (int)getpid());
    snprintf(at, sizeof at, "unix:%s", path);
    struct script unix_server;
    script_open(&unix_server, loop, at);
    script_add(&unix_server, OK_HELLO, THEN_KEEP);
    struct http_origin origin = {.scheme_host = SLICE("localhost"), .unix_path = slice_cstr(path)};
    struct http_pool *unix_pool = http_pool_new(loop, &origin, NULL);
    probes[0].pool = unix_pool;
    probe_get(&probes[0]);
    wait_for(&probes[0]);
    expect_body(&probes[0], "hello");
    http_pool_close(&unix_pool);
    script_close(&unix_server);
}

#define N_TOKENS 20

static void say_token(struct probe *p) {
    if (p->n_batches < N_TOKENS) {
        script_say(&server.conns[0], SLICE("9\r\ndata: 1\n\n\r\n"));
    } else {
        script_say(&server.conns[0], SLICE("0\r\n\r\n"));
    }
}

/* From start to on_end, a token a read; the server's and the probe's buffers have their storage
 * already. */
static unsigned count_allocs_of_a_call(struct probe *p) {
    p->n_heads = p->n_ends = p->n_batches = 0;
    script_add(&server, SLICE("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"), THEN_KEEP);
    uint64_t before = mem_alloc_count();
    probe_post(p, SLICE("{}"));
    wait_for(p);
    assert_int_equal(p->n_ends, 1);
    return (unsigned)(mem_alloc_count() - before);
}

static void test_steady_state_allocates_nothing(void **state) {
    (void)state;
    assert_non_null(buf_reserve(&server.requests, 100000));
    assert_non_null(buf_reserve(&probes[0].body, 100000));
    assert_non_null(buf_reserve(&probes[0].headers, 100000));
    probes[0].head_hook = say_token;
    probes[0].batch_hook = say_token;
    count_allocs_of_a_call(&probes[0]);
    count_allocs_of_a_call(&probes[0]);
    probes[0].n_bodies = 0;
    assert_int_equal(count_allocs_of_a_call(&probes[0]), 0);
    assert_int_equal(probes[0].n_bodies, N_TOKENS);
    assert_int_equal(http_pool_stats(pool)->reuses, 2);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_get),
        CASE(test_post_in_pieces),
        CASE(test_reuse_is_lifo),
        CASE(test_next_call_in_on_end_reuses),
        CASE(test_idle_connection_is_dropped_on_fin),
        CASE(test_idle_connection_is_dropped_on_stray_bytes),
        CASE(test_stale_connection_is_retried),
        CASE(test_refused_connection),
        CASE(test_early_answer_to_a_large_body),
        CASE(test_large_body_both_ways),
        CASE(test_pause_stops_reading),
        CASE(test_cancel_closes_the_connection),
        CASE(test_pool_close_fails_running_calls),
        CASE(test_unix_socket),
        CASE(test_steady_state_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
