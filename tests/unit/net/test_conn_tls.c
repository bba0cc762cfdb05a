/* SPDX-License-Identifier: Apache-2.0 */
/* Conns under TLS, over whichever loop is linked: test_conn_tls_sim.c runs the same over the
 * simulated one. conn.c is included, to reach the socket beneath. */
#include "../../../src/net/conn.c"

#include "certs.h"
#include "net_test.h"

static struct certs certs;

static struct tls_context *server_context(const char *cert_file) {
    struct tls_server_options o = {.cert_file = cert_file, .key_file = certs.key};
    struct tls_context *c = NULL;
    struct err e = {0};
    if (tls_context_server(&o, &c, &e) < 0) fail_msg("%s", e.text);
    return c;
}

static struct tls_context *client_context(bool trusts_ours, bool skips_verify) {
    struct tls_client_options o = {.ca_file = trusts_ours ? certs.ca : NULL,
                                   .insecure_skip_verify = skips_verify};
    struct tls_context *c = NULL;
    struct err e = {0};
    if (tls_context_client(&o, &c, &e) < 0) fail_msg("%s", e.text);
    return c;
}

struct tls_stage {
    struct stage st;
    struct tls_context *client_tls;
    struct tls_session_slot *slot;
    const char *host;
};

static void tls_open_with(struct tls_stage *ts, const char *cert_file,
                          struct tls_context *client_tls) {
    *ts = (struct tls_stage){.client_tls = client_tls, .host = "127.0.0.1"};
    stage_open(&ts->st, "127.0.0.1:0");
    if (cert_file) ts->st.server_tls = server_context(cert_file);
}

static void tls_dial(struct tls_stage *ts) {
    struct dial_options o = stage_dial_options(&ts->st);
    o.host = slice_cstr(ts->host);
    o.tls = ts->client_tls;
    o.session = ts->slot;
    ts->st.client.has_dialed = false;
    ts->st.dial = dial_start(ts->st.l, &o, end_on_ready, &ts->st.client);
    turn_until(ts->st.l, ts->st.client.has_dialed);
}

/* Both ends are there, over TLS, and both read. */
static void tls_start(struct tls_stage *ts) {
    tls_open_with(ts, certs.good, client_context(true, false));
    tls_dial(ts);
    if (!ts->st.client.c) fail_msg("%s", ts->st.client.e.text);
    conn_read_on(ts->st.client.c);
    turn_until(ts->st.l, tls_is_open(ts->st.server.c->tls));
}

static void tls_close(struct tls_stage *ts) {
    struct tls_context *server_tls = ts->st.server_tls;
    stage_close(&ts->st);
    if (server_tls) tls_context_free(&server_tls);
    tls_context_free(&ts->client_tls);
    tls_session_slot_free(&ts->slot);
}

static void exchange(struct tls_stage *ts) {
    size_t server_got = ts->st.server.got_bytes, client_got = ts->st.client.got_bytes;
    assert_int_equal(end_write(&ts->st.client, SLICE("ping")), 4);
    turn_until(ts->st.l, ts->st.server.got_bytes == server_got + 4);
    assert_int_equal(end_write(&ts->st.server, SLICE("pong!")), 5);
    turn_until(ts->st.l, ts->st.client.got_bytes == client_got + 5);
}

/* ---- the good case ---- */

static void test_both_ways(void **state) {
    (void)state;
    struct tls_stage ts;
    tls_start(&ts);
    assert_true(conn_is_tls(ts.st.client.c) && conn_is_tls(ts.st.server.c));
    assert_false(ts.st.client.timing.tls_resumed);
    exchange(&ts);
    conn_shutdown_write(ts.st.client.c);   /* half closed: the server may still answer */
    turn_until(ts.st.l, ts.st.server.eofs == 1);
    assert_int_equal(end_write(&ts.st.server, SLICE("late")), 4);
    turn_until(ts.st.l, ts.st.client.got_bytes == 9);
    conn_close(&ts.st.server.c);
    turn_until(ts.st.l, ts.st.client.eofs == 1);
    assert_got(&ts.st.server, "ping");
    assert_got(&ts.st.client, "pong!late");
    assert_int_equal(ts.st.client.gones + ts.st.server.gones, 0);
    tls_close(&ts);
}

static void next_connection(struct tls_stage *ts) {
    conn_close(&ts->st.client.c);
    conn_close(&ts->st.server.c);
    tls_dial(ts);
    if (!ts->st.client.c) fail_msg("%s", ts->st.client.e.text);
    conn_read_on(ts->st.client.c);
}

static void test_resumption(void **state) {
    (void)state;
    struct tls_stage ts;
    tls_open_with(&ts, certs.good, client_context(true, false));
    ts.slot = tls_session_slot_new();
    tls_dial(&ts);
    assert_non_null(ts.st.client.c);
    conn_read_on(ts.st.client.c);
    turn_until(ts.st.l, ts.st.server.c && tls_is_open(ts.st.server.c->tls));
    assert_false(ts.st.client.timing.tls_resumed);
    exchange(&ts);   /* the tickets come with the first bytes */
    for (int i = 0; i < 3; i++) {
        next_connection(&ts);
        assert_true(ts.st.client.timing.tls_resumed);
        turn_until(ts.st.l, ts.st.server.c && tls_is_open(ts.st.server.c->tls));
        exchange(&ts);
    }
    /* A connection that was cut does not spoil the session. */
    conn_close_reset(&ts.st.client.c);
    conn_close_reset(&ts.st.server.c);
    next_connection(&ts);
    assert_true(ts.st.client.timing.tls_resumed);
    tls_close(&ts);
}

static void test_slot_dies_before_conn(void **state) {
    (void)state;
    struct tls_stage ts;
    tls_open_with(&ts, certs.good, client_context(true, false));
    ts.slot = tls_session_slot_new();
    tls_dial(&ts);
    tls_session_slot_free(&ts.slot);
    conn_read_on(ts.st.client.c);
    turn_until(ts.st.l, ts.st.server.c && tls_is_open(ts.st.server.c->tls));
    exchange(&ts);   /* tickets come, for the slot that only the conn holds */
    tls_close(&ts);
}

/* ---- refusals ---- */

static void check_refused(const char *cert_file, struct tls_context *client_tls, const char *text) {
    struct tls_stage ts;
    tls_open_with(&ts, cert_file, client_tls);
    tls_dial(&ts);
    assert_null(ts.st.client.c);
    assert_int_equal(ts.st.client.e.kind, ERR_TLS);
    if (!strstr(ts.st.client.e.text, text)) fail_msg("%s", ts.st.client.e.text);
    assert_non_null(strstr(ts.st.client.e.text, "connect to 127.0.0.1:"));
    turn_until(ts.st.l, ts.st.server.gones == 1);
    assert_int_equal(ts.st.server.e.kind, ERR_TLS);
    tls_close(&ts);
}

static void test_unknown_ca(void **state) {
    (void)state;
    check_refused(certs.good, client_context(false, false), "unable to get local issuer certificate");
}

static void test_wrong_name(void **state) {
    (void)state;
    check_refused(certs.other, client_context(true, false), "IP address mismatch");
}

static void test_expired(void **state) {
    (void)state;
    check_refused(certs.expired, client_context(true, false), "certificate has expired");
}

static void test_skip_verify(void **state) {
    (void)state;
    struct tls_stage ts;
    tls_open_with(&ts, certs.expired, client_context(false, true));
    tls_dial(&ts);
    assert_non_null(ts.st.client.c);
    tls_close(&ts);
}

static void say_http(struct end *end, struct slice bytes) {
    (void)bytes;
    if (end->c) assert_true(end_write(end, SLICE("HTTP/1.1 400 Bad Request\r\n\r\n")) > 0);
}

static void test_server_speaks_no_tls(void **state) {
    (void)state;
    struct tls_stage ts;
    tls_open_with(&ts, NULL, client_context(true, false));
    ts.st.server.on_bytes = say_http;
    struct dial_options o = stage_dial_options(&ts.st);
    o.tls = ts.client_tls;
    ts.st.dial = dial_start(ts.st.l, &o, end_on_ready, &ts.st.client);
    turn_until(ts.st.l, ts.st.server.c);
    conn_read_on(ts.st.server.c);
    turn_until(ts.st.l, ts.st.client.has_dialed);
    assert_null(ts.st.client.c);
    assert_int_equal(ts.st.client.e.kind, ERR_TLS);
    assert_non_null(strstr(ts.st.client.e.text, "wrong version number"));
    tls_close(&ts);
}

static void test_client_speaks_no_tls(void **state) {
    (void)state;
    struct stage st;
    stage_open(&st, "127.0.0.1:0");
    st.server_tls = server_context(certs.good);
    stage_connect(&st);
    assert_true(end_write(&st.client, SLICE("GET / HTTP/1.1\r\n\r\n")) > 0);
    turn_until(st.l, st.server.gones == 1);
    assert_int_equal(st.server.e.kind, ERR_TLS);
    assert_non_null(strstr(st.server.e.text, "http request"));
    struct tls_context *context = st.server_tls;
    stage_close(&st);
    tls_context_free(&context);
}

static void test_client_leaves_in_handshake(void **state) {
    (void)state;
    struct stage st;
    stage_open(&st, "127.0.0.1:0");
    st.server_tls = server_context(certs.good);
    stage_connect(&st);
    assert_true(end_write(&st.client, SLICE("\x16\x03\x01\x02")) > 0);
    conn_close(&st.client.c);
    turn_until(st.l, st.server.gones == 1);
    assert_int_equal(st.server.e.kind, ERR_TLS);
    assert_non_null(strstr(st.server.e.text, "closed"));
    struct tls_context *context = st.server_tls;
    stage_close(&st);
    tls_context_free(&context);
}

static void test_handshake_timeout(void **state) {
    (void)state;
    struct tls_stage ts;
    tls_open_with(&ts, NULL, client_context(true, false));
    struct dial_options o = stage_dial_options(&ts.st);
    o.tls = ts.client_tls;
    o.tls_timeout_ns = 20 * NS_PER_MS;
    ts.st.dial = dial_start(ts.st.l, &o, end_on_ready, &ts.st.client);
    turn_until(ts.st.l, ts.st.client.has_dialed);
    assert_null(ts.st.client.c);
    assert_int_equal(ts.st.client.e.kind, ERR_TIMEOUT);
    assert_non_null(strstr(ts.st.client.e.text, "TLS handshake took longer than 20 ms"));
    tls_close(&ts);
}

static void test_cancel_in_handshake(void **state) {
    (void)state;
    struct tls_stage ts;
    tls_open_with(&ts, NULL, client_context(true, false));
    ts.slot = tls_session_slot_new();
    struct dial_options o = stage_dial_options(&ts.st);
    o.tls = ts.client_tls;
    o.session = ts.slot;
    ts.st.dial = dial_start(ts.st.l, &o, end_on_ready, &ts.st.client);
    turn_until(ts.st.l, ts.st.server.c);
    conn_read_on(ts.st.server.c);
    turn_until(ts.st.l, ts.st.server.got_bytes > 0);   /* the hello is out */
    dial_cancel(&ts.st.dial);
    turn_until(ts.st.l, ts.st.server.eofs + ts.st.server.gones == 1);
    assert_false(ts.st.client.has_dialed);
    tls_close(&ts);
}

/* ---- ends ---- */

static void test_truncation_shows(void **state) {
    (void)state;
    struct tls_stage ts;
    tls_start(&ts);
    assert_int_equal(end_write(&ts.st.server, SLICE("half an ans")), 11);
    sock_shutdown_write(ts.st.server.c->sock);   /* FIN, and no close_notify before it */
    turn_until(ts.st.l, ts.st.client.gones == 1);
    assert_got(&ts.st.client, "half an ans");
    assert_int_equal(ts.st.client.eofs, 0);
    assert_int_equal(ts.st.client.e.kind, ERR_PROTOCOL);
    assert_non_null(strstr(ts.st.client.e.text, "truncated"));
    tls_close(&ts);
}

static void test_reset_shows(void **state) {
    (void)state;
    struct tls_stage ts;
    tls_start(&ts);
    conn_close_reset(&ts.st.server.c);
    turn_until(ts.st.l, ts.st.client.gones == 1);
    assert_int_equal(ts.st.client.e.kind, ERR_CLOSED);
    assert_int_not_equal(ts.st.client.e.os_errno, 0);
    tls_close(&ts);
}

static void test_garbage_shows(void **state) {
    (void)state;
    struct tls_stage ts;
    tls_start(&ts);
    static const char forged[] = "\x17\x03\x03\x00\x14 twenty forged bytes";
    struct iovec iov = {.iov_base = (void *)(uintptr_t)forged, .iov_len = 25};
    struct err e;
    assert_int_equal(sock_writev(ts.st.server.c->sock, &iov, 1, &e), 25);
    turn_until(ts.st.l, ts.st.client.gones == 1);
    assert_int_equal(ts.st.client.e.kind, ERR_TLS);
    assert_int_equal(ts.st.client.got_bytes, 0);
    tls_close(&ts);
}

static void test_hup_while_reads_are_off(void **state) {
    (void)state;
    struct tls_stage ts;
    tls_start(&ts);
    conn_read_off(ts.st.server.c);
    conn_watch_hup(ts.st.server.c, true);
    conn_close(&ts.st.client.c);
    turn_until(ts.st.l, ts.st.server.gones == 1);
    assert_int_equal(ts.st.server.e.kind, ERR_CLOSED);
    assert_int_equal(ts.st.server.eofs, 0);
    tls_close(&ts);
}

static void test_quiet(void **state) {
    (void)state;
    struct tls_stage ts;
    tls_open_with(&ts, certs.good, client_context(true, false));
    tls_dial(&ts);
    turn_until(ts.st.l, ts.st.server.c && tls_is_open(ts.st.server.c->tls));
    for (int i = 0; i < 5; i++) (void)loop_turn(ts.st.l, false);
    assert_true(conn_is_quiet(ts.st.client.c));   /* tickets wait in the socket: they don't count */
    assert_int_equal(end_write(&ts.st.server, SLICE("stray")), 5);
    turn_until(ts.st.l, !conn_is_quiet(ts.st.client.c));
    conn_read_on(ts.st.client.c);
    turn_until(ts.st.l, ts.st.client.got_bytes == 5);
    assert_true(conn_is_quiet(ts.st.client.c));
    conn_close(&ts.st.server.c);
    turn_until(ts.st.l, ts.st.client.eofs == 1);
    assert_false(conn_is_quiet(ts.st.client.c));
    tls_close(&ts);
}

/* ---- measure ---- */

static void read_once(struct end *end, struct slice bytes) {
    (void)bytes;
    conn_read_off(end->c);
}

/* What OpenSSL holds already comes later in the turn, without any event of the socket. */
static void test_pending_bytes_come_after_read_on(void **state) {
    (void)state;
    struct tls_stage ts;
    tls_start(&ts);
    ts.st.client.on_bytes = read_once;
    conn_set_read_size(ts.st.client.c, 3);
    assert_int_equal(end_write(&ts.st.server, SLICE("abcdefgh")), 8);
    turn_until(ts.st.l, ts.st.client.reads == 1);
    for (unsigned i = 2; i <= 3; i++) {
        for (int t = 0; t < 3; t++) (void)loop_turn(ts.st.l, false);
        assert_int_equal(ts.st.client.reads, i - 1);
        conn_read_on(ts.st.client.c);
        assert_int_equal(ts.st.client.reads, i - 1);   /* never inside */
        turn_until(ts.st.l, ts.st.client.reads == i);
    }
    assert_got(&ts.st.client, "abcdefgh");
    tls_close(&ts);
}

#define BIG_BYTES ((size_t)4 << 20)
static size_t flood_sent;

static char pattern_at(size_t i) {
    return (char)('a' + (i * 7 + i / 251) % 26);
}

static void flood_more(struct end *end) {
    static char block[100000];
    while (flood_sent < BIG_BYTES) {
        size_t n = BIG_BYTES - flood_sent < sizeof block ? BIG_BYTES - flood_sent : sizeof block;
        for (size_t i = 0; i < n; i++) block[i] = pattern_at(flood_sent + i);
        struct iovec iov[4] = {
            {block, 10}, {block + 10, 20000}, {block, 0}, {block + 20010, n - 20010}};
        bool is_short = n <= 20010;
        if (is_short) iov[0].iov_len = n;
        struct err e;
        ssize_t taken = conn_writev(end->c, iov, is_short ? 1 : 4, &e);
        if (taken < 0) fail_msg("%s", e.text);
        flood_sent += (size_t)taken;
        if ((size_t)taken < n) return;
    }
    conn_shutdown_write(end->c);
}

static void check_pattern_slowly(struct end *end, struct slice bytes) {
    size_t from = end->got_bytes - bytes.len;
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.ptr[i] != pattern_at(from + i)) fail_msg("byte %zu differs", from + i);
    }
    if (end->reads % 3 == 0) conn_read_off(end->c);
}

static void test_big_write_to_slow_reader(void **state) {
    (void)state;
    struct tls_stage ts;
    tls_start(&ts);
    struct end *client = &ts.st.client;
    flood_sent = 0;
    ts.st.server.on_writable = flood_more;
    client->on_bytes = check_pattern_slowly;
    client->keeps_nothing = true;
    conn_read_off(client->c);
    flood_more(&ts.st.server);
    assert_true(flood_sent < BIG_BYTES);
    while (!client->eofs) {
        conn_read_on(client->c);
        client->reads = 1;
        turn_until(ts.st.l, client->reads % 3 == 0 || client->eofs);
        assert_int_equal(client->gones, 0);
    }
    assert_int_equal(client->got_bytes, BIG_BYTES);
    assert_true(ts.st.server.writables > 0);
    tls_close(&ts);
}

/* The turn's 64 KiB are over while OpenSSL holds records that no socket event will tell of: it has
 * emptied the socket. */
static void test_rest_comes_after_a_full_turn(void **state) {
    (void)state;
    static const char block[4000];
    struct tls_stage ts;
    tls_start(&ts);
    exchange(&ts);   /* the tickets are through */
    size_t sent = 0, got = ts.st.client.got_bytes;
    conn_read_off(ts.st.client.c);
    for (int i = 0; i < 18 && end_write(&ts.st.server, slice_make(block, sizeof block)) > 0; i++) {
        sent += sizeof block;
    }
    turn_until(ts.st.l, sock_kernel_bytes(ts.st.client.c->sock) > sent);
    conn_read_on(ts.st.client.c);
    turn_until(ts.st.l, ts.st.client.got_bytes == got + sent);
    tls_close(&ts);
}

/* What TLS sealed but could not send must come again: less is refused, not sent in its place. */
static void test_retry_with_less_is_refused(void **state) {
    (void)state;
    struct tls_stage ts;
    tls_start(&ts);
    conn_read_off(ts.st.client.c);
    flood_sent = 0;
    flood_more(&ts.st.server);
    assert_true(flood_sent < BIG_BYTES);
    assert_int_equal(end_write(&ts.st.server, SLICE("x")), -ERR_INTERNAL);
    tls_close(&ts);
}

static void relay(struct end *end, struct slice bytes) {
    assert_int_equal(end_write(end, bytes), (ssize_t)bytes.len);
}

/* A record costs one recv and one send, as plain bytes do. */
static void test_one_recv_and_one_send_a_token(void **state) {
    (void)state;
    struct tls_stage ts;
    tls_start(&ts);
    exchange(&ts);   /* the tickets are through */
    ts.st.server.on_bytes = relay;
    const struct loop_stats *stats = loop_stats(ts.st.l);
    uint64_t recvs = stats->recv_calls, sends = stats->send_calls;
    size_t got = ts.st.client.got_bytes;
    for (unsigned i = 1; i <= 50; i++) {
        assert_int_equal(end_write(&ts.st.client, SLICE("token")), 5);
        turn_until(ts.st.l, ts.st.client.got_bytes == got + 5 * (size_t)i);
    }
    assert_int_equal(stats->recv_calls - recvs, 100);
    assert_int_equal(stats->send_calls - sends, 100);
    tls_close(&ts);
}

/* The server writes before the handshake is over: nothing is taken, and on_writable tells when it
 * will be. */
static void greet(struct end *end) {
    assert_int_equal(end_write(end, SLICE("welcome")), 7);
}

static void test_write_before_handshake(void **state) {
    (void)state;
    struct tls_stage ts;
    tls_open_with(&ts, certs.good, client_context(true, false));
    struct dial_options o = stage_dial_options(&ts.st);
    o.tls = ts.client_tls;
    ts.st.server.on_writable = greet;
    ts.st.dial = dial_start(ts.st.l, &o, end_on_ready, &ts.st.client);
    turn_until(ts.st.l, ts.st.server.c);
    assert_int_equal(end_write(&ts.st.server, SLICE("welcome")), 0);
    turn_until(ts.st.l, ts.st.client.has_dialed);
    conn_read_on(ts.st.client.c);
    turn_until(ts.st.l, ts.st.client.got_bytes == 7);
    assert_int_equal(ts.st.server.writables, 1);
    tls_close(&ts);
}

static void close_on_bytes(struct end *end, struct slice bytes) {
    (void)bytes;
    conn_close(&end->c);
}

static void close_now(struct end *end) {
    conn_close(&end->c);
}

static void test_close_inside_on_bytes(void **state) {
    (void)state;
    struct tls_stage ts;
    tls_start(&ts);
    ts.st.server.on_bytes = close_on_bytes;
    conn_set_read_size(ts.st.server.c, 1);
    assert_int_equal(end_write(&ts.st.client, SLICE("bye bye")), 7);
    turn_until(ts.st.l, ts.st.client.eofs + ts.st.client.gones == 1);
    assert_int_equal(ts.st.server.reads, 1);
    tls_close(&ts);
}

static void test_close_inside_ends(void **state) {
    (void)state;
    struct tls_stage ts;
    tls_start(&ts);
    ts.st.server.on_end = ts.st.client.on_end = close_now;
    conn_shutdown_write(ts.st.client.c);
    turn_until(ts.st.l, ts.st.client.eofs + ts.st.client.gones == 1);
    assert_int_equal(ts.st.server.eofs, 1);
    tls_close(&ts);
}

/* ---- contexts ---- */

static void test_bad_files(void **state) {
    (void)state;
    struct tls_context *c = NULL;
    struct err e;
    struct tls_server_options missing = {.cert_file = "/nonexistent/cert.pem", .key_file = certs.key};
    assert_int_equal(tls_context_server(&missing, &c, &e), -ERR_TLS);
    assert_non_null(strstr(e.text, "/nonexistent/cert.pem"));
    assert_non_null(strstr(e.text, "No such file"));
    struct tls_server_options swapped = {.cert_file = certs.key, .key_file = certs.good};
    assert_int_equal(tls_context_server(&swapped, &c, &e), -ERR_TLS);
    assert_non_null(strstr(e.text, "certificate"));
    struct tls_server_options no_key = {.cert_file = certs.good, .key_file = certs.good};
    assert_int_equal(tls_context_server(&no_key, &c, &e), -ERR_TLS);
    assert_non_null(strstr(e.text, "private key"));
    struct tls_client_options bad_ca = {.ca_file = certs.key};
    assert_int_equal(tls_context_client(&bad_ca, &c, &e), -ERR_TLS);
    assert_non_null(strstr(e.text, certs.key));
    assert_null(c);
}

static int make_certs(void **state) {
    (void)state;
    certs_init(&certs);
    return 0;
}

static int drop_certs(void **state) {
    (void)state;
    certs_dispose(&certs);
    return 0;
}

#ifndef CONN_GROUP
#define CONN_GROUP "conn under TLS"
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_resumption),
        cmocka_unit_test(test_slot_dies_before_conn),
        cmocka_unit_test(test_unknown_ca),
        cmocka_unit_test(test_wrong_name),
        cmocka_unit_test(test_expired),
        cmocka_unit_test(test_skip_verify),
        cmocka_unit_test(test_server_speaks_no_tls),
        cmocka_unit_test(test_client_speaks_no_tls),
        cmocka_unit_test(test_client_leaves_in_handshake),
        cmocka_unit_test(test_handshake_timeout),
        cmocka_unit_test(test_cancel_in_handshake),
        cmocka_unit_test(test_truncation_shows),
        cmocka_unit_test(test_reset_shows),
        cmocka_unit_test(test_garbage_shows),
        cmocka_unit_test(test_hup_while_reads_are_off),
        cmocka_unit_test(test_quiet),
        cmocka_unit_test(test_pending_bytes_come_after_read_on),
        cmocka_unit_test(test_big_write_to_slow_reader),
        cmocka_unit_test(test_rest_comes_after_a_full_turn),
        cmocka_unit_test(test_retry_with_less_is_refused),
        cmocka_unit_test(test_one_recv_and_one_send_a_token),
        cmocka_unit_test(test_write_before_handshake),
        cmocka_unit_test(test_close_inside_on_bytes),
        cmocka_unit_test(test_close_inside_ends),
        cmocka_unit_test(test_bad_files),
    };
    return cmocka_run_group_tests_name(CONN_GROUP, tests, make_certs, drop_certs);
}
