/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the HTTP client on the simulated loop share: a loop, a scripted server, a pool
 * and some probes, made anew for each test; helpers to let time pass and to say what to expect. */
#ifndef PENSTOCK_TESTS_SIM_HTTP_CLIENT_WORLD_H
#define PENSTOCK_TESTS_SIM_HTTP_CLIENT_WORLD_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <errno.h>
#include <zlib.h>

#include "base/clock.h"
#include "http_script.h"
#include "net/loop_sim.h"

#define SERVER_AT "127.0.0.1:9000"
#define LONG_NS (3600 * NS_PER_S)
#define HEAD_OK "HTTP/1.1 200 OK\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n"
#define OK_HELLO SLICE(HEAD_OK "Content-Length: 5\r\n\r\nhello")

static struct loop *loop;
static struct script server;
static struct http_pool *pool;
static struct http_pool_options options;
static struct probe probes[6];

static inline void world_open(const struct sim_options *sim) {
    struct err e;
    sim_start(sim);
    loop = loop_new(&e);
    assert_non_null(loop);
    script_open(&server, loop, SERVER_AT);
    pool = script_pool(&server, &options);
    for (unsigned i = 0; i < 6; i++) {
        probe_init(&probes[i], pool);
    }
}

static inline void world_close(void) {
    http_pool_close(&pool);
    script_close(&server);
    dial_forget(loop);
    loop_free(loop);
    sim_stop();
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(probes[i].n_late, 0);
        probe_dispose(&probes[i]);
    }
}

static const struct sim_options plain_sim = {.seed = 1};

static inline int set_up(void **state) {
    (void)state;
    http_pool_options_default(&options);
    world_open(&plain_sim);
    return 0;
}

static inline int tear_down(void **state) {
    (void)state;
    world_close();
    return 0;
}

static inline int set_up_options(void **state) {
    (void)state;
    http_pool_options_default(&options);
    return 0;
}

/* The world again, with what the test put in `options`. */
static inline void world_again(void) {
    world_close();
    world_open(&plain_sim);
}

static inline struct addr server_addr(void) {
    return *listener_addr(server.listener);
}

static inline void run_for(int64_t ns) {
    int64_t until_ns = sim_now_ns() + ns;
    sim_run(NULL, NULL, until_ns);
    if (sim_now_ns() < until_ns) {
        sim_advance(until_ns - sim_now_ns()); /* nothing was left to happen */
    }
}

static inline void wait_for(struct probe *p) {
    assert_true(sim_run(probe_is_over, p, sim_now_ns() + LONG_NS));
}

static inline void settle(void) {
    sim_run(NULL, NULL, sim_now_ns() + 10 * NS_PER_MS);
}

static inline void wait_for_accept(void) {
    while (server.n_conns == 0) {
        sim_advance(NS_PER_MS);
    }
}

static inline uint64_t idle_count(void) {
    return http_pool_stats(pool)->idle;
}

static inline void expect_end(struct probe *p, struct slice body) {
    assert_int_equal(p->n_fails, 0);
    assert_int_equal(p->n_ends, 1);
    assert_int_equal(p->n_heads, 1);
    assert_true(slice_eq(buf_slice(&p->body), body));
}

static inline void expect_fail(struct probe *p, enum err_kind kind) {
    assert_int_equal(p->n_ends, 0);
    assert_int_equal(p->n_fails, 1);
    if (p->err.kind != kind) {
        fail_msg("expected %s, got %s: %s", err_kind_name(kind), err_kind_name(p->err.kind), p->err.text);
    }
}

static inline void start_next(struct probe *p) {
    probe_get(p->more);
}

static inline void pause_call(struct probe *p) {
    http_call_pause(p->call);
}

static inline void repeat(struct buf *b, const char *text, unsigned times) {
    for (unsigned i = 0; i < times; i++) {
        assert_int_equal(buf_append(b, slice_cstr(text)), 0);
    }
}

/* A whole answer with this content-encoding. */
static inline void gzip_answer(struct buf *out, struct slice plain, const char *header,
                               int window) {
    z_stream z = {0};
    unsigned char *bytes = mem_alloc(plain.len + 1024);
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)(uintptr_t)plain.ptr;
    z.avail_in = (uInt)plain.len;
    z.next_out = bytes;
    z.avail_out = (uInt)plain.len + 1024;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    buf_init(out, 1 << 20);
    assert_int_equal(buf_appendf(out, HEAD_OK "Content-Encoding: %s\r\nContent-Length: %lu\r\n\r\n", header, z.total_out), 0);
    assert_int_equal(buf_append(out, slice_make((char *)bytes, z.total_out)), 0);
    mem_free(bytes);
}

#define PLAIN SLICE("data: {\"a\":1}\n\ndata: {\"a\":2}\n\ndata: [DONE]\n\n")

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define CASE_OF_WORLDS(name) cmocka_unit_test_setup(name, set_up_options)

#endif
