/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of the HTTP client and its pool, on the simulated loop: reuse and retry, timeouts without
 * waiting, pauses, calls that end at every step, early answers. */
#include "http_client_world.h"

/* ---- stale connections ---- */

static void make_idle(void) {
    script_add(&server, OK_HELLO, THEN_KEEP);
    probe_get(&probes[5]);
    wait_for(&probes[5]);
    expect_end(&probes[5], SLICE("hello"));
    assert_int_equal(idle_count(), 1);
}

static void add_close(enum script_then then) {
    server.replies[server.n_replies++] =
        (struct script_reply){.before_reading = true, .then = then};
}

static void test_stale_is_retried_once(void **state) {
    (void)state;
    const enum script_then ways[] = {THEN_FIN, THEN_RST};
    for (int i = 0; i < 2; i++) {
        world_open(&plain_sim);
        make_idle();
        add_close(ways[i]);
        script_add(&server, OK_HELLO, THEN_KEEP);
        probe_post(&probes[0], SLICE("{}"));
        wait_for(&probes[0]);
        expect_end(&probes[0], SLICE("hello"));
        assert_false(probes[0].answer.is_reused);
        assert_int_equal(http_pool_stats(pool)->stale_retries, 1);
        assert_int_equal(http_pool_stats(pool)->connects, 2);

        add_close(ways[i]); /* the idle one is stale again … */
        add_close(ways[i]); /* … and the fresh one breaks too */
        probe_post(&probes[1], SLICE("{}"));
        wait_for(&probes[1]);
        expect_fail(&probes[1], ERR_CLOSED);
        assert_false(probes[1].any_answer_byte);
        assert_int_equal(http_pool_stats(pool)->stale_retries, 2);
        assert_int_equal(http_pool_stats(pool)->connects, 3);
        world_close();
    }
}

static void test_stale_is_not_retried_after_a_byte(void **state) {
    (void)state;
    make_idle();
    script_add(&server, SLICE("H"), THEN_FIN);
    script_add(&server, OK_HELLO, THEN_KEEP);
    probe_post(&probes[0], SLICE("{}"));
    wait_for(&probes[0]);
    expect_fail(&probes[0], ERR_CLOSED);
    assert_true(probes[0].any_answer_byte);
    assert_int_equal(http_pool_stats(pool)->stale_retries, 0);
    assert_int_equal(server.n_replied, 2);
}

static void test_stale_is_not_retried_after_a_timeout(void **state) {
    (void)state;
    make_idle();
    struct http_call_request r = {.method = HTTP_METHOD_GET, .target = SLICE("/"), .first_byte_timeout_ns = 2 * NS_PER_S};
    probe_send(&probes[0], &r);
    wait_for(&probes[0]);
    expect_fail(&probes[0], ERR_TIMEOUT);
    assert_int_equal(http_pool_stats(pool)->stale_retries, 0);
    assert_int_equal(http_pool_stats(pool)->connects, 1);
}

static void test_stale_retry_can_be_switched_off(void **state) {
    (void)state;
    options.retry_stale = false;
    world_again();
    make_idle();
    add_close(THEN_RST);
    script_add(&server, OK_HELLO, THEN_KEEP);
    probe_get(&probes[0]);
    wait_for(&probes[0]);
    expect_fail(&probes[0], ERR_CLOSED);
    assert_int_equal(server.n_conns, 1);
}

static void test_fresh_is_not_retried(void **state) {
    (void)state;
    add_close(THEN_FIN);
    script_add(&server, OK_HELLO, THEN_KEEP);
    probe_get(&probes[0]);
    wait_for(&probes[0]);
    expect_fail(&probes[0], ERR_CLOSED);
    assert_int_equal(server.n_conns, 1);
}

static void test_asked_for_fresh(void **state) {
    (void)state;
    make_idle();
    script_add(&server, OK_HELLO, THEN_KEEP);
    struct http_call_request r = {.method = HTTP_METHOD_GET, .target = SLICE("/"), .fresh = true};
    probe_send(&probes[0], &r);
    wait_for(&probes[0]);
    expect_end(&probes[0], SLICE("hello"));
    assert_false(probes[0].answer.is_reused);
    assert_int_equal(server.n_conns, 2);
    assert_int_equal(idle_count(), 2);
}

/* ---- the pool ---- */

static void test_idle_timeout(void **state) {
    (void)state;
    make_idle();
    run_for(54 * NS_PER_S);
    assert_int_equal(idle_count(), 1);
    script_add(&server, OK_HELLO, THEN_KEEP);
    probe_get(&probes[0]);
    wait_for(&probes[0]);
    assert_true(probes[0].answer.is_reused); /* and the clock starts anew */
    run_for(54 * NS_PER_S);
    assert_int_equal(idle_count(), 1);
    run_for(2 * NS_PER_S);
    assert_int_equal(idle_count(), 0);
    assert_int_equal(sim_open_connections(), 0);
}

static void test_max_age_is_spread(void **state) {
    (void)state;
    int64_t low = INT64_MAX, high = 0;
    options.idle_timeout_ns = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim_options sim = {.seed = seed};
        world_open(&sim);
        make_idle();
        int64_t start = sim_now_ns();
        while (idle_count() > 0) {
            run_for(NS_PER_S);
        }
        int64_t age = sim_now_ns() - start;
        low = age < low ? age : low;
        high = age > high ? age : high;
        world_close();
    }
    assert_true(low >= 539 * NS_PER_S && high <= 662 * NS_PER_S);
    assert_true(high - low > 30 * NS_PER_S);
}

static void test_old_connection_is_not_parked(void **state) {
    (void)state;
    options.max_age_ns = 10 * NS_PER_S;
    world_again();
    script_add(&server, SLICE(HEAD_OK "Content-Length: 5\r\n\r\nhe"), THEN_KEEP);
    probe_get(&probes[0]);
    run_for(30 * NS_PER_S);
    script_say(&server.conns[0], SLICE("llo"));
    wait_for(&probes[0]);
    expect_end(&probes[0], SLICE("hello"));
    assert_int_equal(idle_count(), 0);
}

static void test_max_idle(void **state) {
    (void)state;
    options.max_idle = 2;
    world_again();
    for (int i = 0; i < 5; i++) {
        script_add(&server, OK_HELLO, THEN_KEEP);
        probe_get(&probes[i]);
    }
    for (int i = 0; i < 5; i++) {
        wait_for(&probes[i]);
    }
    settle();
    assert_int_equal(idle_count(), 2);
    assert_int_equal(sim_open_connections(), 2);
}

static void test_max_connections(void **state) {
    (void)state;
    options.max_connections = 2;
    world_again();
    for (int i = 0; i < 4; i++) {
        script_add(&server, OK_HELLO, THEN_KEEP);
    }
    probe_get(&probes[0]);
    probe_get(&probes[1]);
    probe_get(&probes[2]);
    assert_int_equal(probes[2].n_fails, 0); /* later, from the loop */
    wait_for(&probes[2]);
    expect_fail(&probes[2], ERR_LIMIT);
    wait_for(&probes[0]);
    wait_for(&probes[1]);
    struct http_call_request r = {.method = HTTP_METHOD_GET, .target = SLICE("/"), .fresh = true};
    probe_send(&probes[3], &r); /* an idle one makes room */
    wait_for(&probes[3]);
    expect_end(&probes[3], SLICE("hello"));
}

/* Dials that fail or are cancelled give their place back. */
static void test_max_connections_and_dials(void **state) {
    (void)state;
    options.max_connections = 1;
    world_again();
    script_add(&server, OK_HELLO, THEN_KEEP);
    struct addr at = server_addr();
    probe_get(&probes[0]);
    http_call_cancel(&probes[0].call);
    settle();
    sim_connect_fault(&at, ECONNREFUSED);
    probe_get(&probes[1]);
    wait_for(&probes[1]);
    expect_fail(&probes[1], ERR_CONNECT);
    sim_connect_fault(&at, 0);
    probe_get(&probes[2]);
    wait_for(&probes[2]);
    expect_end(&probes[2], SLICE("hello"));
}

/* One turn brings the end of a call, whose on_end starts another, and the FIN of the connection
 * that this one would take. */
static void check_fin_in_the_same_turn(unsigned dies, bool dies_first) {
    options.retry_stale = false;
    world_open(&plain_sim);
    unsigned lives = !dies;
    script_add(&server, SLICE(HEAD_OK "Content-Length: 5\r\n\r\n"), THEN_KEEP);
    script_add(&server, SLICE(HEAD_OK "Content-Length: 5\r\n\r\n"), THEN_KEEP);
    script_add(&server, OK_HELLO, THEN_KEEP);
    probe_get(&probes[0]);
    probe_get(&probes[1]);
    settle();
    script_say(&server.conns[dies], SLICE("hello"));
    settle();
    assert_int_equal(idle_count(), 1);
    run_for(5 * NS_PER_S);
    struct probe *last = probes[0].n_ends ? &probes[1] : &probes[0];
    last->end_hook = start_next;
    last->more = &probes[2];
    if (dies_first) {
        script_conn_close(&server.conns[dies], false);
    }
    script_say(&server.conns[lives], SLICE("hello"));
    if (!dies_first) {
        script_conn_close(&server.conns[dies], false);
    }
    wait_for(&probes[2]);
    expect_end(&probes[2], SLICE("hello"));
    world_close();
}

static void test_fin_in_the_same_turn(void **state) {
    (void)state;
    for (unsigned dies = 0; dies < 2; dies++) {
        check_fin_in_the_same_turn(dies, false);
        check_fin_in_the_same_turn(dies, true);
    }
}

static void test_dead_idle_connection_is_not_used(void **state) {
    (void)state;
    make_idle();
    run_for(5 * NS_PER_S);
    script_conn_close(&server.conns[0], false); /* not seen by the loop yet */
    script_add(&server, OK_HELLO, THEN_KEEP);
    probe_get(&probes[0]);
    wait_for(&probes[0]);
    expect_end(&probes[0], SLICE("hello"));
}

/* The answer ends where a read ends, and stray bytes are behind it: they must not answer the call
 * that on_end starts. */
static void test_stray_bytes_behind_a_full_read(void **state) {
    (void)state;
    options.read_bytes = OK_HELLO.len;
    world_again();
    script_add(&server, SLICE(HEAD_OK "Content-Length: 5\r\n\r\nhello" HEAD_OK "Content-Length: 5\r\n\r\nevil!"), THEN_KEEP);
    script_add(&server, OK_HELLO, THEN_KEEP);
    probes[0].end_hook = start_next;
    probes[0].more = &probes[1];
    probe_get(&probes[0]);
    wait_for(&probes[1]);
    expect_end(&probes[0], SLICE("hello"));
    expect_end(&probes[1], SLICE("hello"));
    assert_false(probes[1].answer.is_reused);
}

static void test_refused_and_silent(void **state) {
    (void)state;
    struct addr at = server_addr();
    sim_connect_fault(&at, ECONNREFUSED);
    probe_get(&probes[0]);
    wait_for(&probes[0]);
    expect_fail(&probes[0], ERR_CONNECT);
    sim_connect_fault(&at, ETIMEDOUT);
    int64_t start = sim_now_ns();
    probe_get(&probes[1]);
    wait_for(&probes[1]);
    expect_fail(&probes[1], ERR_TIMEOUT);
    assert_true(sim_now_ns() - start >= 5 * NS_PER_S && sim_now_ns() - start < 6 * NS_PER_S);
    assert_int_equal(http_pool_stats(pool)->connect_fails, 2);
    probe_get(&probes[2]);
    http_call_cancel(&probes[2].call);
    settle();
    assert_int_equal(sim_open_connections(), 0);
}

/* ---- requests that cannot be sent ---- */

static void expect_usage(const struct http_call_request *r) {
    probe_dispose(&probes[0]);
    probe_init(&probes[0], pool);
    probe_send(&probes[0], r);
    assert_int_equal(probes[0].n_fails, 0);
    wait_for(&probes[0]);
    expect_fail(&probes[0], ERR_USAGE);
    assert_null(strstr(probes[0].err.text, "secret"));
    assert_int_equal(server.n_conns, 0);
}

static void test_bad_requests(void **state) {
    (void)state;
    struct http_header bad[] = {
        {SLICE("x-key"), SLICE("secret\r\nx: y")}, {SLICE("x y"), SLICE("secret")}, {SLICE(""), SLICE("secret")},
        {SLICE("x"), SLICE("secret\0")},           {SLICE("x\n"), SLICE("secret")},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        expect_usage(&(struct http_call_request){.method = HTTP_METHOD_GET, .target = SLICE("/"), .headers = &bad[i], .n_headers = 1});
    }
    const struct slice targets[] = {SLICE(""), SLICE("x"), SLICE("/a b"), SLICE("/\r\nx: y"), SLICE("*"), SLICE("/\x7f")};
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        expect_usage(&(struct http_call_request){.method = HTTP_METHOD_GET, .target = targets[i]});
    }
    expect_usage(&(struct http_call_request){.method = HTTP_METHOD_OTHER, .target = SLICE("/")});
    probe_dispose(&probes[0]);
    probe_init(&probes[0], pool);
    probe_send(&probes[0], &(struct http_call_request){.method = HTTP_METHOD_OTHER, .target = SLICE("/")});
    http_call_cancel(&probes[0].call); /* before it has failed */
    settle();
    assert_int_equal(probes[0].n_fails, 0);
}

/* ---- timeouts ---- */

static void get_with_timeouts(struct probe *p, int64_t first_byte_s, int64_t idle_s) {
    struct http_call_request r = {
        .method = HTTP_METHOD_GET,
        .target = SLICE("/"),
        .first_byte_timeout_ns = first_byte_s * NS_PER_S,
        .idle_timeout_ns = idle_s * NS_PER_S,
    };
    probe_send(p, &r);
}

static void expect_time(int64_t start, int64_t seconds) {
    int64_t took = sim_now_ns() - start;
    assert_true(took >= seconds * NS_PER_S && took < seconds * NS_PER_S + 100 * NS_PER_MS);
}

static void test_first_byte_timeout(void **state) {
    (void)state;
    int64_t start = sim_now_ns();
    /* a head that is not whole does not count */
    script_add(&server, SLICE("HTTP/1.1 100 Continue\r\n\r\n" HEAD_OK "X: "), THEN_KEEP);
    get_with_timeouts(&probes[0], 30, 5);
    wait_for(&probes[0]);
    expect_fail(&probes[0], ERR_TIMEOUT);
    assert_true(probes[0].any_answer_byte);
    expect_time(start, 30);
    settle();
    assert_int_equal(sim_open_connections(), 0);
}

static void test_idle_timeout_of_a_body(void **state) {
    (void)state;
    script_add(&server, SLICE(HEAD_OK CHUNKED "\r\n"), THEN_KEEP);
    get_with_timeouts(&probes[0], 30, 5); /* the shorter one counts as soon as the head is in */
    for (int i = 0; i < 10; i++) {
        run_for(4 * NS_PER_S);
        assert_int_equal(probes[0].n_fails, 0);
        script_say(&server.conns[0], SLICE("1\r\nx\r\n"));
        settle();
    }
    int64_t start = sim_now_ns();
    run_for(3 * NS_PER_S);
    script_say(&server.conns[0], SLICE("1;no-body-byte=x")); /* framing is no answer */
    wait_for(&probes[0]);
    expect_fail(&probes[0], ERR_TIMEOUT);
    assert_true(sim_now_ns() - start >= 4900 * NS_PER_MS &&
                sim_now_ns() - start < 5100 * NS_PER_MS);
    assert_int_equal(probes[0].body.len, 10);
}

/* Both count from the head, however late it came, and the shorter one is due first. */
static void test_idle_timeout_after_a_late_head(void **state) {
    (void)state;
    int64_t start = sim_now_ns();
    get_with_timeouts(&probes[0], 30, 5);
    run_for(20 * NS_PER_S);
    script_say(&server.conns[0], SLICE(HEAD_OK CHUNKED "\r\n"));
    wait_for(&probes[0]);
    expect_fail(&probes[0], ERR_TIMEOUT);
    expect_time(start, 25);
    assert_int_equal(probes[0].n_heads, 1);
}

static void test_no_timeout_while_paused(void **state) {
    (void)state;
    script_add(&server, SLICE(HEAD_OK "Content-Length: 4\r\n\r\nab"), THEN_KEEP);
    get_with_timeouts(&probes[0], 30, 5);
    run_for(NS_PER_S);
    assert_int_equal(probes[0].body.len, 2);
    http_call_pause(probes[0].call);
    run_for(100 * NS_PER_S);
    assert_int_equal(probes[0].n_fails, 0);
    int64_t start = sim_now_ns();
    http_call_resume(probes[0].call);
    wait_for(&probes[0]);
    expect_fail(&probes[0], ERR_TIMEOUT);
    expect_time(start, 5);
}

static void test_no_timeouts_asked(void **state) {
    (void)state;
    get_with_timeouts(&probes[0], 0, 0);
    run_for(3000 * NS_PER_S);
    assert_int_equal(probes[0].n_fails, 0);
    http_call_cancel(&probes[0].call);
}

static void test_upstream_that_takes_no_request(void **state) {
    (void)state;
    struct slice body = {mem_zalloc(1 << 20), 1 << 20};
    server.never_reads = true;
    int64_t start = sim_now_ns();
    struct http_call_request r = {
        .method = HTTP_METHOD_POST, .target = SLICE("/"), .body = &body, .n_body = 1, .first_byte_timeout_ns = 7 * NS_PER_S};
    probe_send(&probes[0], &r);
    wait_for(&probes[0]);
    expect_fail(&probes[0], ERR_TIMEOUT);
    expect_time(start, 7);
    mem_free((void *)(uintptr_t)body.ptr);
}

/* ---- pausing ---- */

static void pause_and_resume(struct probe *p) {
    http_call_pause(p->call);
    http_call_resume(p->call);
}

static void resume_call(struct probe *p) {
    http_call_resume(p->call);
}

#define FIVE_CHUNKS HEAD_OK CHUNKED "\r\n1\r\na\r\n1\r\nb\r\n1\r\nc\r\n1\r\nd\r\n1\r\ne\r\n0\r\n\r\n"

/* All in one read: what a pause holds back comes piece by piece, and on_end last. */
static void test_pause_in_every_callback(void **state) {
    (void)state;
    script_add(&server, SLICE(FIVE_CHUNKS), THEN_KEEP);
    probes[0].head_hook = pause_call;
    probes[0].body_hook = pause_call;
    probe_get(&probes[0]);
    settle();
    assert_int_equal(probes[0].n_heads, 1);
    assert_int_equal(probes[0].body.len, 0);
    unsigned resumes = 0;
    while (!probe_is_over(&probes[0])) {
        unsigned before = probes[0].n_bodies;
        http_call_resume(probes[0].call);
        assert_int_equal(probes[0].n_bodies, before);
        settle();
        assert_true(probes[0].n_bodies <= before + 1);
        assert_true(++resumes < 10);
    }
    expect_end(&probes[0], SLICE("abcde"));
    assert_int_equal(idle_count(), 1);
}

static void test_pause_and_resume_at_once(void **state) {
    (void)state;
    script_add(&server, SLICE(FIVE_CHUNKS), THEN_KEEP);
    probes[0].head_hook = pause_and_resume;
    probes[0].body_hook = pause_and_resume;
    probe_get(&probes[0]);
    wait_for(&probes[0]);
    expect_end(&probes[0], SLICE("abcde"));

    script_add(&server, SLICE(FIVE_CHUNKS), THEN_KEEP);
    probes[1].body_hook = pause_call;
    probes[1].batch_hook = resume_call;
    probe_get(&probes[1]);
    wait_for(&probes[1]);
    expect_end(&probes[1], SLICE("abcde"));
}

static void test_reading_goes_on_after_a_pause(void **state) {
    (void)state;
    script_add(&server, SLICE(HEAD_OK CHUNKED "\r\n1\r\na\r\n1\r\nb\r\n"), THEN_KEEP);
    probes[0].body_hook = pause_call;
    probe_get(&probes[0]);
    settle();
    probes[0].body_hook = NULL;
    http_call_resume(probes[0].call);
    settle();
    assert_int_equal(probes[0].body.len, 2);
    script_say(&server.conns[0], SLICE("1\r\nc\r\n0\r\n\r\n"));
    wait_for(&probes[0]);
    expect_end(&probes[0], SLICE("abc"));
}

static void test_pause_before_the_answer(void **state) {
    (void)state;
    make_idle();
    script_add(&server, OK_HELLO, THEN_KEEP);
    script_add(&server, OK_HELLO, THEN_KEEP);
    for (int i = 0; i < 2; i++) { /* reused and fresh */
        struct http_call_request r = {.method = HTTP_METHOD_GET, .target = SLICE("/"), .fresh = i == 1};
        probe_send(&probes[i], &r);
        http_call_pause(probes[i].call);
        settle();
        assert_int_equal(probes[i].n_heads, 0);
        http_call_resume(probes[i].call);
        wait_for(&probes[i]);
        expect_end(&probes[i], SLICE("hello"));
    }
}

static void test_pause_fills_the_sockets(void **state) {
    (void)state;
    struct sim_options sim = {.seed = 1, .socket_buffer_bytes = 4096};
    world_close();
    world_open(&sim);
    struct buf b;
    buf_init(&b, 1 << 20);
    repeat(&b, HEAD_OK "Content-Length: 100000\r\n\r\n", 1);
    repeat(&b, "0123456789", 10000);
    script_add(&server, buf_slice(&b), THEN_KEEP);
    probes[0].body_hook = pause_call;
    probe_get(&probes[0]);
    settle();
    size_t got = probes[0].body.len, stuck = server.conns[0].out.len;
    assert_true(got > 0 && got < 17000 && stuck > 60000);
    run_for(60 * NS_PER_S);
    assert_int_equal(probes[0].body.len, got);
    assert_int_equal(server.conns[0].out.len, stuck);
    probes[0].body_hook = NULL;
    http_call_resume(probes[0].call);
    wait_for(&probes[0]);
    assert_int_equal(probes[0].n_ends, 1);
    assert_int_equal(probes[0].body.len, 100000);
    buf_dispose(&b);
}

static void test_reset_while_paused(void **state) {
    (void)state;
    script_add(&server, SLICE(HEAD_OK "Content-Length: 4\r\n\r\nab"), THEN_KEEP);
    probe_get(&probes[0]);
    settle();
    http_call_pause(probes[0].call);
    script_conn_close(&server.conns[0], true);
    settle();
    if (!probe_is_over(&probes[0])) {
        http_call_resume(probes[0].call);
    }
    wait_for(&probes[0]);
    expect_fail(&probes[0], ERR_CLOSED);
}

static void test_batches(void **state) {
    (void)state;
    script_add(&server, SLICE(HEAD_OK CHUNKED "\r\n1\r\na\r\n1\r\nb\r\n"), THEN_KEEP);
    probe_get(&probes[0]);
    settle();
    assert_int_equal(probes[0].n_bodies, 2);
    assert_int_equal(probes[0].n_batches, 1);
    script_say(&server.conns[0], SLICE("1\r\nc\r\n0\r"));
    settle();
    assert_int_equal(probes[0].n_batches, 2);
    script_say(&server.conns[0], SLICE("\n\r\n"));
    settle();
    assert_int_equal(probes[0].n_batches, 2); /* not after, and not for, the end */
    expect_end(&probes[0], SLICE("abc"));
}

/* ---- ends at every step ---- */

static void cancel_call(struct probe *p) {
    http_call_cancel(&p->call);
    p->n_fails = 100; /* anything later is late */
}

static void close_pool(struct probe *p) {
    (void)p;
    http_pool_close(&pool);
}

static const struct sim_options slow_sim = {.seed = 5,
                                            .max_read_bytes = 7,
                                            .max_write_bytes = 50,
                                            .latency_min_ns = NS_PER_MS,
                                            .latency_max_ns = 3 * NS_PER_MS};

/* Stops the call after so many turns. Returns false when it had ended by itself. */
static bool check_stop_after(unsigned turns, void (*stop)(struct probe *p),
                             const struct slice wire) {
    world_open(&slow_sim);
    make_idle();
    script_add(&server, wire, THEN_KEEP);
    script_add(&server, wire, THEN_KEEP);
    probe_post(&probes[0], SLICE("{\"reused\":true}"));
    probe_post(&probes[1], SLICE("{\"reused\":false}"));
    for (unsigned i = 0; i < turns; i++) {
        sim_advance(NS_PER_MS);
    }
    bool was_running = !probe_is_over(&probes[0]) || !probe_is_over(&probes[1]);
    for (int i = 0; i < 2; i++) {
        if (!probe_is_over(&probes[i])) {
            stop(&probes[i]);
        }
    }
    if (!pool) { /* its close is what stopped them */
        assert_int_equal(probes[0].n_ends + probes[0].n_fails, 1);
        assert_int_equal(probes[1].n_ends + probes[1].n_fails, 1);
    }
    run_for(NS_PER_S);
    if (pool) {
        assert_int_equal(http_pool_stats(pool)->active, 0);
        assert_int_equal(sim_open_connections(), idle_count());
    } else {
        assert_int_equal(sim_open_connections(), 0);
    }
    world_close();
    return was_running;
}

static void test_stop_at_every_step(void **state) {
    (void)state;
    struct buf encoded;
    gzip_answer(&encoded, PLAIN, "gzip", 15 + 16);
    void (*const stops[])(struct probe *) = {cancel_call, close_pool};
    const struct slice wires[] = {SLICE(FIVE_CHUNKS), SLICE("HTTP/1.1 103 Hints\r\n\r\n" HEAD_OK "X: y\r\n\r\nuntil close"), buf_slice(&encoded)};
    for (size_t s = 0; s < 2; s++) {
        for (size_t w = 0; w < 3; w++) {
            for (unsigned turns = 0; turns < 400 && check_stop_after(turns, stops[s], wires[w]);
                 turns++) {
            }
        }
    }
    buf_dispose(&encoded);
}

static void hook(struct probe *p, unsigned which, void (*fn)(struct probe *p)) {
    void (**const hooks[])(struct probe *) = {&p->head_hook, &p->body_hook, &p->batch_hook,
                                              &p->end_hook, &p->fail_hook};
    *hooks[which] = fn;
}

/* Cancelling the call, closing the pool, and starting another call, from inside each callback. */
static void check_from_inside(unsigned which, void (*fn)(struct probe *p), struct slice wire,
                              enum script_then then) {
    world_open(&plain_sim);
    script_add(&server, wire, then);
    script_add(&server, OK_HELLO, THEN_KEEP);
    hook(&probes[0], which, fn);
    probes[0].more = &probes[1];
    probe_get(&probes[0]);
    settle();
    if (fn == start_next) {
        expect_end(&probes[1], SLICE("hello"));
    }
    if (fn == close_pool) {
        assert_null(pool);
        assert_int_equal(sim_open_connections(), 0);
        assert_int_equal(probes[0].n_ends + probes[0].n_fails, 1);
    }
    world_close();
}

static void test_from_inside_each_callback(void **state) {
    (void)state;
    struct buf encoded;
    gzip_answer(&encoded, PLAIN, "gzip", 15 + 16);
    struct slice chunks = SLICE(HEAD_OK CHUNKED "\r\n1\r\na\r\n1\r\nb\r\n");
    const struct slice wires[] = {chunks, SLICE(FIVE_CHUNKS), buf_slice(&encoded), SLICE(HEAD_OK "Content-Length: 0\r\n\r\n")};
    for (size_t w = 0; w < 4; w++) {
        for (unsigned which = 0; which < 5; which++) {
            bool is_run = !(w > 0 && (which == 2 || which == 4)) && !(w == 0 && which == 3) &&
                          !(w == 3 && which == 1);
            enum script_then then = which == 4 ? THEN_FIN : THEN_KEEP;
            if (!is_run) {
                continue;
            }
            if (which < 3) {
                check_from_inside(which, cancel_call, wires[w], then);
            }
            check_from_inside(which, close_pool, wires[w], then);
            if (which > 2) {
                check_from_inside(which, start_next, wires[w], then);
            }
        }
    }
    buf_dispose(&encoded);
}

static void test_cancel_of_a_whole_but_paused_answer_keeps_the_connection(void **state) {
    (void)state;
    script_add(&server, SLICE(FIVE_CHUNKS), THEN_KEEP);
    probes[0].body_hook = pause_call;
    probe_get(&probes[0]);
    settle();
    assert_int_equal(probes[0].body.len, 1);
    http_call_cancel(&probes[0].call);
    assert_int_equal(idle_count(), 1);
    assert_int_equal(sim_open_connections(), 1);
}

/* ---- early answers ---- */

static void test_early_answer(void **state) {
    (void)state;
    struct slice body = {mem_zalloc(1 << 20), 1 << 20};
    server.replies[server.n_replies++] = (struct script_reply){
        .bytes = SLICE("HTTP/1.1 413 Large\r\nContent-Length: 3\r\n\r\nbig"), .then = THEN_KEEP, .at_head = true};
    probe_post(&probes[0], body);
    wait_for(&probes[0]);
    expect_end(&probes[0], SLICE("big"));
    assert_int_equal(idle_count(), 0); /* half a request is in it */
    mem_free((void *)(uintptr_t)body.ptr);
}

/* It answers and closes while there is room to write: what it said is read before more is written.
 * */
static void test_early_answer_and_close(void **state) {
    (void)state;
    struct sim_options sim = {.seed = 1, .socket_buffer_bytes = 4096};
    struct slice body = {mem_zalloc(1 << 20), 1 << 20};
    world_close();
    world_open(&sim);
    server.replies[server.n_replies++] = (struct script_reply){
        .bytes = SLICE("HTTP/1.1 413 Large\r\nContent-Length: 3\r\n\r\nbig"), .then = THEN_FIN, .at_head = true};
    probe_post(&probes[0], body);
    wait_for(&probes[0]);
    expect_end(&probes[0], SLICE("big"));
    settle();
    assert_int_equal(sim_open_connections(), 0);
    mem_free((void *)(uintptr_t)body.ptr);
}

static void test_interim_answer_goes_on_sending(void **state) {
    (void)state;
    struct slice body = {mem_zalloc(1 << 20), 1 << 20};
    script_add(&server, OK_HELLO, THEN_KEEP);
    probe_post(&probes[0], body);
    wait_for_accept();
    script_say(&server.conns[0], SLICE("HTTP/1.1 102 Processing\r\n\r\n"));
    wait_for(&probes[0]);
    expect_end(&probes[0], SLICE("hello"));
    assert_int_equal(idle_count(), 1);
    assert_true(server.requests.len > 1 << 20);
    mem_free((void *)(uintptr_t)body.ptr);
}

static void free_body(struct probe *p) {
    mem_free(p->more);
}

/* From on_head on, the request's body is the app's again. */
static void test_body_is_not_touched_after_the_head(void **state) {
    (void)state;
    const struct sim_options sim = {.seed = 1,
                                    .socket_buffer_bytes = 4096,
                                    .latency_min_ns = NS_PER_MS,
                                    .latency_max_ns = NS_PER_MS};
    size_t bytes = 1 << 20;
    world_close();
    world_open(&sim);
    probes[0].more = mem_zalloc(bytes);
    probes[0].head_hook = free_body;
    probe_post(&probes[0], slice_make(probes[0].more, bytes));
    wait_for_accept();
    script_say(&server.conns[0], SLICE(HEAD_OK CHUNKED "\r\n"));
    run_for(NS_PER_S);
    assert_int_equal(probes[0].n_heads, 1);
    script_say(&server.conns[0], SLICE("1\r\nx\r\n0\r\n\r\n"));
    wait_for(&probes[0]);
    expect_end(&probes[0], SLICE("x"));
    assert_int_equal(idle_count(), 0);
}

/* A paused call does not read, and does not write into what may be the answer's end. */
static void test_paused_while_sending(void **state) {
    (void)state;
    const struct sim_options sim = {.seed = 1, .socket_buffer_bytes = 4096};
    struct slice body = {mem_zalloc(1 << 20), 1 << 20};
    for (int i = 0; i < 2; i++) {
        world_open(&sim);
        bool is_refused = i == 1;
        server.never_reads = true;
        script_add(&server, OK_HELLO, THEN_KEEP);
        probe_post(&probes[0], body);
        http_call_pause(probes[0].call);
        wait_for_accept();
        script_say(&server.conns[0], SLICE("HTTP/1.1 102 Processing\r\n\r\n"));
        if (is_refused) {
            char some[1000];
            struct err e;
            script_say(&server.conns[0], SLICE("HTTP/1.1 413 Large\r\nContent-Length: 3\r\n\r\nbig"));
            /* there is room to write again */
            assert_true(sock_read(server.conns[0].sock, some, sizeof some, &e) > 0);
            script_conn_close(&server.conns[0], false);
        }
        settle();
        server.never_reads = false;
        script_watch(&server.conns[0]);
        settle();
        http_call_resume(probes[0].call);
        wait_for(&probes[0]);
        expect_end(&probes[0], is_refused ? SLICE("big") : SLICE("hello"));
        world_close();
    }
    mem_free((void *)(uintptr_t)body.ptr);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE_OF_WORLDS(test_stale_is_retried_once),
        CASE(test_stale_is_not_retried_after_a_byte),
        CASE(test_stale_is_not_retried_after_a_timeout),
        CASE(test_stale_retry_can_be_switched_off),
        CASE(test_fresh_is_not_retried),
        CASE(test_asked_for_fresh),
        CASE(test_idle_timeout),
        CASE_OF_WORLDS(test_max_age_is_spread),
        CASE(test_old_connection_is_not_parked),
        CASE(test_max_idle),
        CASE(test_max_connections),
        CASE(test_max_connections_and_dials),
        CASE_OF_WORLDS(test_fin_in_the_same_turn),
        CASE(test_dead_idle_connection_is_not_used),
        CASE(test_stray_bytes_behind_a_full_read),
        CASE(test_refused_and_silent),
        CASE(test_bad_requests),
        CASE(test_first_byte_timeout),
        CASE(test_idle_timeout_of_a_body),
        CASE(test_idle_timeout_after_a_late_head),
        CASE(test_no_timeout_while_paused),
        CASE(test_no_timeouts_asked),
        CASE(test_upstream_that_takes_no_request),
        CASE(test_pause_in_every_callback),
        CASE(test_pause_and_resume_at_once),
        CASE(test_reading_goes_on_after_a_pause),
        CASE(test_pause_before_the_answer),
        CASE(test_pause_fills_the_sockets),
        CASE(test_reset_while_paused),
        CASE(test_batches),
        CASE_OF_WORLDS(test_stop_at_every_step),
        CASE_OF_WORLDS(test_from_inside_each_callback),
        CASE(test_cancel_of_a_whole_but_paused_answer_keeps_the_connection),
        CASE(test_early_answer),
        CASE(test_early_answer_and_close),
        CASE(test_interim_answer_goes_on_sending),
        CASE(test_body_is_not_touched_after_the_head),
        CASE_OF_WORLDS(test_paused_while_sending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
