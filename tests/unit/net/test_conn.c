/* SPDX-License-Identifier: Apache-2.0 */
/* Conns, plain, over whichever loop is linked: test_conn_sim.c runs the same over the simulated
 * one. */
#include "net_test.h"

#include <errno.h>

#define BIG_BYTES ((size_t)8 << 20)

static void reads_on(struct stage *st) {
    conn_read_on(st->server.c);
    conn_read_on(st->client.c);
}

static void stage_start(struct stage *st) {
    stage_open(st, "127.0.0.1:0");
    stage_connect(st);
}

/* ---- bytes and ends ---- */

static void test_both_ways_and_half_close(void **state) {
    (void)state;
    struct stage st;
    stage_start(&st);
    reads_on(&st);
    assert_int_equal(end_write(&st.client, SLICE("question")), 8);
    turn_until(st.l, st.server.got.len == 8);
    conn_shutdown_write(st.client.c);
    turn_until(st.l, st.server.eofs == 1);
    /* the other direction is still open */
    assert_int_equal(end_write(&st.server, SLICE("answer")), 6);
    turn_until(st.l, st.client.got.len == 6);
    conn_close(&st.server.c);
    turn_until(st.l, st.client.eofs == 1);
    assert_got(&st.server, "question");
    assert_got(&st.client, "answer");
    assert_int_equal(st.client.gones + st.server.gones, 0);
    stage_close(&st);
}

static void test_dial_timing_and_addresses(void **state) {
    (void)state;
    struct stage st;
    struct addr a, b;
    char text_a[ADDR_TEXT_BYTES], text_b[ADDR_TEXT_BYTES];
    stage_start(&st);
    assert_int_equal(st.client.timing.dns_ns, 0);
    assert_int_equal(st.client.timing.tls_ns, 0);
    assert_string_equal(addr_text(&st.client.timing.peer, text_a),
                        addr_text(listener_addr(st.ln), text_b));
    assert_true(conn_local_addr(st.client.c, &a));
    assert_true(conn_remote_addr(st.server.c, &b));
    assert_string_equal(addr_text(&a, text_a), addr_text(&b, text_b));
    assert_false(conn_is_tls(st.client.c));
    assert_ptr_equal(conn_loop(st.client.c), st.l);
    stage_close(&st);
}

static void test_unix_socket(void **state) {
    (void)state;
    struct stage st;
    char path[64];
    snprintf(path, sizeof path, "unix:/tmp/penstock-test-%p", (void *)&st);
    stage_open(&st, path);
    struct dial_options o = {.unix_path = slice_cstr(path + 5), .connect_timeout_ns = NS_PER_S};
    st.dial = dial_start(st.l, &o, end_on_ready, &st.client);
    turn_until(st.l, st.client.has_dialed && st.server.c);
    reads_on(&st);
    assert_int_equal(end_write(&st.client, SLICE("hello")), 5);
    turn_until(st.l, st.server.got.len == 5);
    stage_close(&st);
}

static void test_reset(void **state) {
    (void)state;
    struct stage st;
    stage_start(&st);
    reads_on(&st);
    conn_close_reset(&st.server.c);
    assert_null(st.server.c);
    turn_until(st.l, st.client.gones == 1);
    assert_int_equal(st.client.e.kind, ERR_CLOSED);
    assert_int_equal(st.client.e.os_errno, ECONNRESET);
    assert_int_equal(st.client.eofs, 0);
    assert_int_equal(end_write(&st.client, SLICE("x")), -ERR_CLOSED);
    stage_close(&st);
}

static void test_write_to_the_lost(void **state) {
    (void)state;
    struct stage st;
    stage_start(&st);
    conn_close_reset(&st.server.c);
    ssize_t n;
    turn_until(st.l, (n = end_write(&st.client, SLICE("x"))) < 0);
    assert_int_equal(n, -ERR_CLOSED);
    conn_read_on(st.client.c);
    for (int i = 0; i < 3; i++) (void)loop_turn(st.l, false);
    assert_int_equal(st.client.gones, 0);   /* the write said it */
    stage_close(&st);
}

/* ---- HUP ---- */

static void test_hup_while_reads_are_off(void **state) {
    (void)state;
    struct stage st;
    stage_start(&st);
    conn_watch_hup(st.server.c, true);
    assert_int_equal(end_write(&st.client, SLICE("unread")), 6);
    conn_shutdown_write(st.client.c);
    turn_until(st.l, st.server.gones == 1);
    assert_int_equal(st.server.e.kind, ERR_CLOSED);
    assert_int_equal(st.server.reads, 0);
    stage_close(&st);
}

static void test_hup_asked_for_late(void **state) {
    (void)state;
    struct stage st;
    stage_start(&st);
    conn_close(&st.client.c);
    for (int i = 0; i < 5; i++) (void)loop_turn(st.l, false);
    assert_int_equal(st.server.gones + st.server.eofs, 0);
    conn_watch_hup(st.server.c, true);
    assert_int_equal(st.server.gones, 0);   /* not inside */
    turn_until(st.l, st.server.gones == 1);
    stage_close(&st);
}

static void test_hup_does_not_overtake_reads(void **state) {
    (void)state;
    struct stage st;
    stage_start(&st);
    conn_watch_hup(st.server.c, true);
    conn_read_on(st.server.c);
    assert_int_equal(end_write(&st.client, SLICE("last words")), 10);
    conn_close(&st.client.c);
    turn_until(st.l, st.server.eofs == 1);
    assert_got(&st.server, "last words");
    assert_int_equal(st.server.gones, 0);
    stage_close(&st);
}

static void test_no_hup_after_eof(void **state) {
    (void)state;
    struct stage st;
    stage_start(&st);
    conn_watch_hup(st.server.c, true);
    conn_read_on(st.server.c);
    conn_close(&st.client.c);
    turn_until(st.l, st.server.eofs == 1);
    conn_read_off(st.server.c);
    for (int i = 0; i < 5; i++) (void)loop_turn(st.l, false);
    assert_int_equal(st.server.gones, 0);   /* it was told of the end */
    stage_close(&st);
}

static void test_reads_off_then_end(void **state) {
    (void)state;
    struct stage st;
    stage_start(&st);
    assert_int_equal(end_write(&st.client, SLICE("kept")), 4);
    conn_close(&st.client.c);
    for (int i = 0; i < 5; i++) (void)loop_turn(st.l, false);
    assert_int_equal(st.server.reads + st.server.eofs + st.server.gones, 0);
    conn_read_on(st.server.c);
    assert_int_equal(st.server.reads, 0);
    turn_until(st.l, st.server.eofs == 1);
    assert_got(&st.server, "kept");
    stage_close(&st);
}

static void test_quiet(void **state) {
    (void)state;
    struct stage st;
    stage_start(&st);
    assert_true(conn_is_quiet(st.client.c));
    assert_int_equal(end_write(&st.server, SLICE("stray")), 5);
    turn_until(st.l, !conn_is_quiet(st.client.c));
    conn_read_on(st.client.c);
    turn_until(st.l, st.client.got.len == 5);
    conn_read_off(st.client.c);
    assert_true(conn_is_quiet(st.client.c));
    conn_close(&st.server.c);
    turn_until(st.l, !conn_is_quiet(st.client.c));
    stage_close(&st);
}

/* ---- reading in measure ---- */

static void read_once(struct end *end, struct slice bytes) {
    (void)bytes;
    conn_read_off(end->c);
}

static void test_read_off_inside_stops(void **state) {
    (void)state;
    struct stage st;
    stage_start(&st);
    st.server.on_bytes = read_once;
    conn_set_read_size(st.server.c, 1);
    assert_int_equal(end_write(&st.client, SLICE("abc")), 3);
    for (unsigned i = 1; i <= 3; i++) {
        conn_read_on(st.server.c);
        turn_until(st.l, st.server.reads == i);
        for (int t = 0; t < 3; t++) (void)loop_turn(st.l, false);
        assert_int_equal(st.server.reads, i);
    }
    assert_got(&st.server, "abc");
    stage_close(&st);
}

/* Writes the big pattern as far as it goes. */
struct flood {
    size_t sent;
};
static struct flood flood;

static char pattern_at(size_t i) {
    return (char)('a' + (i * 7 + i / 251) % 26);
}

static void flood_more(struct end *end) {
    static char block[100000];
    while (flood.sent < BIG_BYTES) {
        size_t n = BIG_BYTES - flood.sent < sizeof block ? BIG_BYTES - flood.sent : sizeof block;
        for (size_t i = 0; i < n; i++) block[i] = pattern_at(flood.sent + i);
        struct iovec iov[3] = {{block, n / 3}, {block + n / 3, 0}, {block + n / 3, n - n / 3}};
        struct err e;
        ssize_t taken = conn_writev(end->c, iov, 3, &e);
        if (taken < 0) fail_msg("%s", e.text);
        flood.sent += (size_t)taken;
        if ((size_t)taken < n) return;
    }
    conn_shutdown_write(end->c);
}

static void check_pattern(struct end *end, struct slice bytes) {
    size_t from = end->got_bytes - bytes.len;
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.ptr[i] != pattern_at(from + i)) fail_msg("byte %zu differs", from + i);
    }
}

static void check_pattern_slowly(struct end *end, struct slice bytes) {
    check_pattern(end, bytes);
    if (end->reads % 3 == 0) conn_read_off(end->c);
}

static void test_big_write_to_slow_reader(void **state) {
    (void)state;
    struct stage st;
    stage_start(&st);
    flood = (struct flood){0};
    st.server.on_writable = flood_more;
    st.client.on_bytes = check_pattern_slowly;
    st.client.keeps_nothing = true;
    flood_more(&st.server);
    assert_true(flood.sent < BIG_BYTES);   /* the kernel's buffers are finite */
    while (!st.client.eofs) {
        conn_read_on(st.client.c);
        turn_until(st.l, st.client.reads % 3 == 0 || st.client.eofs);
        st.client.reads++;
    }
    assert_int_equal(st.client.got_bytes, BIG_BYTES);
    assert_true(st.server.writables > 0);
    stage_close(&st);
}

static void test_64_kib_a_turn(void **state) {
    (void)state;
    struct stage st;
    stage_start(&st);
    flood = (struct flood){0};
    st.server.on_writable = flood_more;
    st.client.on_bytes = check_pattern;
    st.client.keeps_nothing = true;
    flood_more(&st.server);
    conn_read_on(st.client.c);
    size_t most = 0;
    while (!st.client.eofs) {
        size_t before = st.client.got_bytes;
        (void)loop_turn(st.l, true);
        if (st.client.got_bytes - before > most) most = st.client.got_bytes - before;
    }
    assert_int_equal(st.client.got_bytes, BIG_BYTES);
    assert_true(most <= 65536 + 16384);
    assert_true(most >= 16384);
    stage_close(&st);
}

static void send_back(struct end *end, struct slice bytes) {
    assert_int_equal(end_write(end, bytes), (ssize_t)bytes.len);
}

static void test_no_allocation_per_event(void **state) {
    (void)state;
    struct stage st;
    stage_start(&st);
    st.server.on_bytes = send_back;
    st.server.keeps_nothing = st.client.keeps_nothing = true;
    reads_on(&st);
    uint64_t before = 0;
    for (unsigned i = 1; i <= 200; i++) {
        if (i == 10) before = mem_alloc_count();
        assert_int_equal(end_write(&st.client, SLICE("token")), 5);
        turn_until(st.l, st.client.got_bytes == 5 * (size_t)i);
    }
    assert_int_equal(mem_alloc_count() - before, 0);
    stage_close(&st);
}

/* ---- closing inside callbacks ---- */

static void close_on_bytes(struct end *end, struct slice bytes) {
    (void)bytes;
    conn_close(&end->c);
}

static void close_now(struct end *end) {
    conn_close(&end->c);
}

static void reset_now(struct end *end) {
    conn_close_reset(&end->c);
}

static void test_close_inside_on_bytes(void **state) {
    (void)state;
    struct stage st;
    stage_start(&st);
    st.server.on_bytes = close_on_bytes;
    conn_set_read_size(st.server.c, 1);   /* it would go on reading */
    reads_on(&st);
    assert_int_equal(end_write(&st.client, SLICE("bye bye")), 7);
    turn_until(st.l, st.client.gones + st.client.eofs == 1);
    assert_int_equal(st.server.reads, 1);
    stage_close(&st);
}

static void test_close_inside_on_eof(void **state) {
    (void)state;
    struct stage st;
    stage_start(&st);
    st.server.on_end = close_now;
    reads_on(&st);
    conn_shutdown_write(st.client.c);
    turn_until(st.l, st.client.eofs == 1);
    assert_int_equal(st.server.eofs, 1);
    stage_close(&st);
}

static void test_close_inside_on_gone(void **state) {
    (void)state;
    struct stage st;
    stage_start(&st);
    st.server.on_end = reset_now;
    reads_on(&st);
    conn_close_reset(&st.client.c);
    turn_until(st.l, st.server.gones == 1);
    stage_close(&st);
}

static void test_close_inside_on_writable(void **state) {
    (void)state;
    struct stage st;
    stage_start(&st);
    flood = (struct flood){0};
    flood_more(&st.server);
    st.server.on_writable = close_now;
    st.client.keeps_nothing = true;
    conn_read_on(st.client.c);
    turn_until(st.l, st.client.eofs + st.client.gones == 1);
    assert_int_equal(st.server.writables, 1);
    assert_true(st.client.got_bytes > 0);
    stage_close(&st);
}

static void close_in_task(struct loop_task *task, void *self) {
    (void)task;
    conn_close(&((struct end *)self)->c);
}

/* Closed from elsewhere while its own turn-end work is queued. */
static void test_close_with_later_queued(void **state) {
    (void)state;
    struct stage st;
    stage_start(&st);
    conn_close(&st.client.c);
    for (int i = 0; i < 5; i++) (void)loop_turn(st.l, false);
    struct loop_task task = {.fn = close_in_task, .self = &st.server};
    loop_at_turn_end(st.l, &task);
    conn_watch_hup(st.server.c, true);   /* would report at the end of this turn */
    turn_until(st.l, st.server.c == NULL);
    for (int i = 0; i < 3; i++) (void)loop_turn(st.l, false);
    assert_int_equal(st.server.gones, 0);
    stage_close(&st);
}

/* ---- dialling ---- */

static void test_refused(void **state) {
    (void)state;
    struct stage st;
    char want[128];
    stage_open(&st, "127.0.0.1:0");
    struct dial_options o = stage_dial_options(&st);
    snprintf(want, sizeof want, "connect to 127.0.0.1:%u: Connection refused", o.port);
    listener_close(&st.ln);
    st.dial = dial_start(st.l, &o, end_on_ready, &st.client);
    assert_false(st.client.has_dialed);
    turn_until(st.l, st.client.has_dialed);
    assert_null(st.client.c);
    assert_int_equal(st.client.e.kind, ERR_CONNECT);
    assert_string_equal(st.client.e.text, want);
    stage_close(&st);
}

static void test_no_such_unix_socket(void **state) {
    (void)state;
    struct stage st;
    stage_open(&st, "127.0.0.1:0");
    struct dial_options o = {.unix_path = SLICE("/nonexistent/penstock.sock")};
    st.dial = dial_start(st.l, &o, end_on_ready, &st.client);
    assert_false(st.client.has_dialed);   /* the kernel says no at once; the owner hears it later */
    turn_until(st.l, st.client.has_dialed);
    assert_int_equal(st.client.e.kind, ERR_CONNECT);
    assert_non_null(strstr(st.client.e.text, "unix:/nonexistent/penstock.sock"));
    stage_close(&st);
}

static void test_no_such_name(void **state) {
    (void)state;
    struct stage st;
    stage_open(&st, "127.0.0.1:0");
    char long_name[301];
    memset(long_name, 'a', 300);
    struct slice names[] = {SLICE("a..b"), slice_make(long_name, 300), SLICE_NULL};
    for (int i = 0; i < 3; i++) {
        st.client.has_dialed = false;
        struct dial_options o = {.host = names[i], .port = 80, .connect_timeout_ns = 10 * NS_PER_S};
        st.dial = dial_start(st.l, &o, end_on_ready, &st.client);
        assert_false(st.client.has_dialed);
        turn_until(st.l, st.client.has_dialed);
        assert_int_equal(st.client.e.kind, ERR_DNS);
    }
    stage_close(&st);
}

static void test_cancel_early(void **state) {
    (void)state;
    struct stage st;
    stage_open(&st, "127.0.0.1:0");
    struct dial_options o = stage_dial_options(&st);
    struct dial *dials[3];
    for (int i = 0; i < 3; i++) dials[i] = dial_start(st.l, &o, end_on_ready, &st.client);
    o.host = SLICE("a..b");
    struct dial *lookup = dial_start(st.l, &o, end_on_ready, &st.client);
    for (int i = 0; i < 3; i++) dial_cancel(&dials[i]);
    dial_cancel(&lookup);
    assert_null(lookup);
    for (int i = 0; i < 5; i++) (void)loop_turn(st.l, false);
    assert_false(st.client.has_dialed);
    dial_forget(st.l);
    stage_close(&st);
}

#ifndef CONN_GROUP
#define CONN_GROUP "conn"
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways_and_half_close),
        cmocka_unit_test(test_dial_timing_and_addresses),
        cmocka_unit_test(test_unix_socket),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_write_to_the_lost),
        cmocka_unit_test(test_hup_while_reads_are_off),
        cmocka_unit_test(test_hup_asked_for_late),
        cmocka_unit_test(test_hup_does_not_overtake_reads),
        cmocka_unit_test(test_no_hup_after_eof),
        cmocka_unit_test(test_reads_off_then_end),
        cmocka_unit_test(test_quiet),
        cmocka_unit_test(test_read_off_inside_stops),
        cmocka_unit_test(test_big_write_to_slow_reader),
        cmocka_unit_test(test_64_kib_a_turn),
        cmocka_unit_test(test_no_allocation_per_event),
        cmocka_unit_test(test_close_inside_on_bytes),
        cmocka_unit_test(test_close_inside_on_eof),
        cmocka_unit_test(test_close_inside_on_gone),
        cmocka_unit_test(test_close_inside_on_writable),
        cmocka_unit_test(test_close_with_later_queued),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_such_unix_socket),
        cmocka_unit_test(test_no_such_name),
        cmocka_unit_test(test_cancel_early),
    };
    return cmocka_run_group_tests_name(CONN_GROUP, tests, NULL, NULL);
}
