/* SPDX-License-Identifier: Apache-2.0 */
/* Dialling under a clock of our own: the race, the name cache, timeouts, TLS over a network that
 * splits and cuts anywhere. */
#include "net/loop_sim.h"
#include "unit/net/certs.h"
#include "unit/net/net_test.h"

#include <errno.h>

#define MS NS_PER_MS

static struct certs certs;
static struct loop *l;
static struct listener *listeners[4];
static unsigned listener_count;
static struct end server, client;
static struct tls_context *server_tls, *client_tls;

static struct addr parsed(const char *text) {
    struct addr a;
    struct err e = {0};
    if (addr_parse(slice_cstr(text), &a, &e) < 0) fail_msg("%s", e.text);
    return a;
}

/* The newest connection is the one that is served. */
static void on_accept(void *self, int fd, const struct addr *from) {
    (void)self, (void)from;
    conn_close(&server.c);
    buf_dispose(&server.got);
    void (*on_bytes)(struct end *end, struct slice bytes) = server.on_bytes;
    end_init(&server);
    server.on_bytes = on_bytes;
    server.c = conn_accept(l, fd, server_tls, &end_callbacks, &server);
    conn_read_on(server.c);
}

static void open_with(struct sim_options o) {
    sim_start(&o);
    l = loop_new(NULL);
    listener_count = 0;
    end_init(&server);
    end_init(&client);
}

static void serve(const char *at) {
    struct addr a = parsed(at);
    struct err e;
    assert_int_equal(listener_open(l, &a, NULL, on_accept, NULL, &listeners[listener_count++], &e),
                     0);
}

static void close_all(void) {
    end_dispose(&server);
    end_dispose(&client);
    for (unsigned i = 0; i < listener_count; i++) listener_close(&listeners[i]);
    loop_free(l);
    sim_stop();
    assert_int_equal(sim_open_connections(), 0);
}

static void name(const char *host, int64_t delay_ns, unsigned count, const char *const *texts) {
    struct addr addrs[LOOP_MAX_ADDRS];
    for (unsigned i = 0; i < count; i++) addrs[i] = parsed(texts[i]);
    sim_name(host, addrs, count, delay_ns);
}

static void fault(const char *at, int os_errno) {
    struct addr a = parsed(at);
    sim_connect_fault(&a, os_errno);
}

static struct dial *dial(const char *host, struct end *end) {
    struct dial_options o = {.host = slice_cstr(host),
                             .port = 80,
                             .connect_timeout_ns = 10 * NS_PER_S,
                             .tls = client_tls,
                             .tls_timeout_ns = 5 * NS_PER_S};
    end->has_dialed = false;
    return dial_start(l, &o, end_on_ready, end);
}

static void dial_to_end(const char *host) {
    (void)dial(host, &client);
    turn_until(l, client.has_dialed);
}

static void check_peer(const char *want) {
    char text[ADDR_TEXT_BYTES];
    if (!client.c) fail_msg("%s", client.e.text);
    assert_string_equal(addr_text(&client.timing.peer, text), want);
}

static void check_about(int64_t ns, int64_t want_ns) {
    assert_in_range(ns, want_ns, want_ns + MS);
}

/* ---- the race ---- */

static const char *const dual[] = {"[2001:db8::1]:0", "10.0.0.1:0"};

static void test_silent_address_is_overtaken(void **state) {
    (void)state;
    open_with((struct sim_options){.seed = 1});
    serve("10.0.0.1:80");
    name("api.test", 0, 2, dual);
    fault("[2001:db8::1]:80", ETIMEDOUT);
    dial_to_end("api.test");
    check_peer("10.0.0.1:80");
    check_about(client.timing.connect_ns, 250 * MS);
    conn_close(&client.c);
    dial_to_end("api.test");   /* the winner is first now */
    check_peer("10.0.0.1:80");
    check_about(client.timing.connect_ns, 0);
    close_all();
}

static void test_refused_address_is_left_at_once(void **state) {
    (void)state;
    open_with((struct sim_options){.seed = 1});
    serve("10.0.0.1:80");
    name("api.test", 0, 2, dual);
    dial_to_end("api.test");
    check_peer("10.0.0.1:80");
    check_about(client.timing.connect_ns, 0);
    close_all();
}

/* The first address is slow but not silent: it wins over the second, which started later and is
 * dropped. */
static void test_slow_first_wins(void **state) {
    (void)state;
    open_with(
        (struct sim_options){.seed = 1, .latency_min_ns = 300 * MS, .latency_max_ns = 300 * MS});
    serve("10.0.0.1:80");
    serve("[2001:db8::1]:80");
    name("api.test", 0, 2, dual);
    dial_to_end("api.test");
    check_peer("[2001:db8::1]:80");
    check_about(client.timing.connect_ns, 300 * MS);
    turn_until(l, server.c);
    sim_advance(NS_PER_S);
    assert_int_equal(sim_open_connections(), 1);
    assert_int_equal(server.gones + server.eofs, 0);
    close_all();
}

static void test_families_take_turns(void **state) {
    (void)state;
    static const char *const four[] = {"[2001:db8::1]:0", "[2001:db8::2]:0", "10.0.0.1:0", "10.0.0.2:0"};
    open_with((struct sim_options){.seed = 1});
    serve("10.0.0.2:80");
    name("api.test", 0, 4, four);
    fault("[2001:db8::1]:80", ETIMEDOUT);
    fault("[2001:db8::2]:80", ETIMEDOUT);
    fault("10.0.0.1:80", ETIMEDOUT);
    dial_to_end("api.test");
    check_peer("10.0.0.2:80");
    check_about(client.timing.connect_ns, 750 * MS);   /* ::1, .1, ::2, .2 */
    conn_close(&client.c);
    fault("10.0.0.1:80", 0);
    serve("10.0.0.1:80");
    fault("10.0.0.2:80", ETIMEDOUT);
    dial_to_end("api.test");
    check_peer("10.0.0.1:80");
    check_about(client.timing.connect_ns, 500 * MS);   /* .2, ::1, .1 */
    close_all();
}

static void test_all_fail(void **state) {
    (void)state;
    open_with((struct sim_options){.seed = 1});
    name("api.test", 0, 2, dual);
    fault("10.0.0.1:80", ENETUNREACH);   /* says less than the refusal before it */
    dial_to_end("api.test");
    assert_null(client.c);
    assert_int_equal(client.e.kind, ERR_CONNECT);
    assert_string_equal(client.e.text, "connect to api.test:80: Connection refused");
    fault("[2001:db8::1]:80", EHOSTUNREACH);
    fault("10.0.0.1:80", ECONNREFUSED);
    dial_to_end("api.test");
    assert_string_equal(client.e.text, "connect to api.test:80: Connection refused");
    dial_to_end("::1");
    assert_string_equal(client.e.text, "connect to [::1]:80: Connection refused");
    close_all();
}

/* ---- timeouts ---- */

static void test_timeout_covers_names_and_tcp(void **state) {
    (void)state;
    open_with((struct sim_options){.seed = 1});
    name("slow.test", 8 * NS_PER_S, 2, dual);
    name("dead.test", 60 * NS_PER_S, 2, dual);
    fault("[2001:db8::1]:80", ETIMEDOUT);
    fault("10.0.0.1:80", ETIMEDOUT);
    int64_t start_ns = sim_now_ns();
    dial_to_end("slow.test");
    assert_int_equal(client.e.kind, ERR_TIMEOUT);
    assert_string_equal(client.e.text, "connect to slow.test:80: connecting took longer than 10000 ms");
    check_about(sim_now_ns() - start_ns, 10 * NS_PER_S);
    check_about(client.timing.dns_ns, 8 * NS_PER_S);
    dial_to_end("dead.test");
    assert_int_equal(client.e.kind, ERR_TIMEOUT);
    assert_non_null(strstr(client.e.text, "the name look-up took longer"));
    dial_to_end("10.0.0.1");
    assert_string_equal(client.e.text, "connect to 10.0.0.1:80: connecting took longer than 10000 ms");
    close_all();
}

/* ---- names ---- */

static const char *const one[] = {"10.0.0.1:0"};

static void test_one_lookup_for_all(void **state) {
    (void)state;
    struct end other;
    open_with((struct sim_options){.seed = 1});
    end_init(&other);
    serve("10.0.0.1:80");
    name("api.test", 100 * MS, 1, one);
    (void)dial("api.test", &client);
    sim_advance(60 * MS);
    (void)dial("API.test", &other);
    turn_until(l, client.has_dialed && other.has_dialed);
    check_about(client.timing.dns_ns, 100 * MS);
    check_about(other.timing.dns_ns, 40 * MS);   /* it joined the first one's */
    end_dispose(&other);
    conn_close(&client.c);
    dial_to_end("api.test");
    check_about(client.timing.dns_ns, 0);
    conn_close(&client.c);
    sim_advance(31 * NS_PER_S);                  /* the default TTL is 30 s */
    dial_to_end("api.test");
    check_about(client.timing.dns_ns, 100 * MS);
    conn_close(&client.c);
    dial_set_dns_ttl(l, 50 * MS);
    sim_advance(60 * NS_PER_S);
    dial_to_end("api.test");
    conn_close(&client.c);
    sim_advance(60 * MS);
    dial_to_end("api.test");
    check_about(client.timing.dns_ns, 100 * MS);
    conn_close(&client.c);
    dial_forget(l);
    dial_to_end("api.test");
    check_about(client.timing.dns_ns, 100 * MS);
    close_all();
}

static void test_failures_are_kept_a_second(void **state) {
    (void)state;
    open_with((struct sim_options){.seed = 1});
    serve("10.0.0.1:80");
    dial_to_end("new.test");
    assert_int_equal(client.e.kind, ERR_DNS);
    assert_string_equal(client.e.text, "cannot resolve 'new.test': unknown node or service");
    name("new.test", 0, 1, one);
    (void)dial("new.test", &client);
    assert_false(client.has_dialed);   /* known at once, told later */
    turn_until(l, client.has_dialed);
    assert_null(client.c);
    sim_advance(1100 * MS);
    dial_to_end("new.test");
    check_peer("10.0.0.1:80");
    close_all();
}

/* What waiters do inside their callback: cancel one another, dial again, forget the cache. */
static struct dial *waiters[3];
static unsigned waiters_called;

static void first_waiter(void *self, struct conn *c, const struct dial_timing *timing,
                         const struct err *e) {
    (void)self, (void)timing;
    waiters_called++;
    assert_null(c);
    assert_int_equal(e->kind, ERR_DNS);
    dial_cancel(&waiters[1]);
    dial_forget(l);
    (void)dial("gone.test", &client);
}

static void later_waiter(void *self, struct conn *c, const struct dial_timing *timing,
                         const struct err *e) {
    (void)self, (void)timing, (void)c, (void)e;
    waiters_called++;
}

static void test_waiters_interfere(void **state) {
    (void)state;
    open_with((struct sim_options){.seed = 1});
    sim_name("gone.test", NULL, 0, 10 * MS);
    struct dial_options o = {.host = SLICE("gone.test"), .port = 80};
    waiters_called = 0;
    for (int i = 0; i < 3; i++)
        waiters[i] = dial_start(l, &o, i == 0 ? first_waiter : later_waiter, NULL);
    turn_until(l, client.has_dialed);
    assert_int_equal(waiters_called, 2);
    assert_int_equal(client.e.kind, ERR_DNS);
    close_all();
}

static void test_many_names(void **state) {
    (void)state;
    open_with((struct sim_options){.seed = 1});
    serve("10.0.0.1:80");
    for (int i = 0; i < 600; i++) {   /* more than the cache keeps */
        char host[32];
        snprintf(host, sizeof host, "h%d.test", i);
        name(host, MS, 1, one);
        dial_to_end(host);
        check_peer("10.0.0.1:80");
        conn_close(&client.c);
    }
    dial_to_end("h599.test");
    assert_int_equal(client.timing.dns_ns, 0);
    conn_close(&client.c);
    dial_to_end("h0.test");   /* made room for others */
    check_about(client.timing.dns_ns, MS);
    close_all();
}

/* ---- cancelling ---- */

/* Look-up 50 ms, a silent address, 250 ms later a good one, 10 ms for each way, and a handshake:
 * cancelled at every one of 400 ms. */
static void test_cancel_at_every_moment(void **state) {
    (void)state;
    struct tls_server_options so = {.cert_file = certs.good, .key_file = certs.key};
    struct tls_client_options co = {.ca_file = certs.ca, .insecure_skip_verify = true};
    struct err e;
    assert_int_equal(tls_context_server(&so, &server_tls, &e), 0);
    assert_int_equal(tls_context_client(&co, &client_tls, &e), 0);
    bool did_connect = false;
    for (int ms = 0; ms < 400; ms += ms < 300 ? 7 : 1) {
        open_with((struct sim_options){
            .seed = (uint64_t)ms, .latency_min_ns = 10 * MS, .latency_max_ns = 10 * MS});
        serve("10.0.0.1:80");
        name("api.test", 50 * MS, 2, dual);
        fault("[2001:db8::1]:80", ETIMEDOUT);
        struct dial *d = dial("api.test", &client);
        sim_advance(ms * MS);
        if (client.has_dialed) {
            did_connect = true;
            assert_non_null(client.c);
        } else {
            dial_cancel(&d);
            sim_advance(NS_PER_S);
            assert_false(client.has_dialed);
        }
        close_all();
    }
    assert_true(did_connect);
    tls_context_free(&server_tls);
    tls_context_free(&client_tls);
}

/* ---- TLS over a bad network ---- */

static void open_tls(bool skip_verify) {
    struct tls_server_options so = {.cert_file = certs.good, .key_file = certs.key};
    struct tls_client_options co = {.ca_file = certs.ca, .insecure_skip_verify = skip_verify};
    struct err e;
    assert_int_equal(tls_context_server(&so, &server_tls, &e), 0);
    assert_int_equal(tls_context_client(&co, &client_tls, &e), 0);
}

static void close_tls(void) {
    tls_context_free(&server_tls);
    tls_context_free(&client_tls);
}

static void test_name_is_verified(void **state) {
    (void)state;
    open_tls(false);
    open_with((struct sim_options){.seed = 1});
    serve("10.0.0.1:80");
    name("localhost", 0, 1, one);
    name("evil.test", 0, 1, one);
    dial_to_end("localhost");
    check_peer("10.0.0.1:80");
    conn_close(&client.c);
    dial_to_end("evil.test");
    assert_null(client.c);
    assert_int_equal(client.e.kind, ERR_TLS);
    assert_string_equal(client.e.text,
                        "connect to evil.test:80: the certificate of 'evil.test' is not accepted: hostname mismatch");
    close_all();
    close_tls();
}

static void send_back(struct end *end, struct slice bytes) {
    assert_int_equal(end_write(end, bytes), (ssize_t)bytes.len);
}

static void test_tls_over_fragments(void **state) {
    (void)state;
    open_tls(false);
    for (uint64_t seed = 1; seed <= 6; seed++) {
        open_with((struct sim_options){.seed = seed,
                                       .max_read_bytes = seed == 1 ? 1 : 40 * seed,
                                       .max_write_bytes = seed % 2 ? 0 : 100,
                                       .latency_max_ns = 3 * MS,
                                       .socket_buffer_bytes = 4096,
                                       .shuffle_events = true});
        serve("10.0.0.1:80");
        name("localhost", 0, 1, one);
        server.on_bytes = send_back;
        dial_to_end("localhost");
        check_peer("10.0.0.1:80");
        conn_read_on(client.c);
        turn_until(l, server.c);
        for (size_t i = 1; i <= 20; i++) {
            ssize_t n = end_write(&client, SLICE("a token"));
            if (n == 0) {   /* what TLS could not send yet is offered again */
                unsigned before = client.writables;
                turn_until(l, client.writables > before);
                n = end_write(&client, SLICE("a token"));
            }
            assert_int_equal(n, 7);
            turn_until(l, server.got_bytes == 7 * i);
        }
        close_all();
    }
    close_tls();
}

/* The network dies after each number of bytes of the handshake, in each way and direction: the dial
 * ends, says why, leaks nothing. */
static void check_cut_handshake(bool to_client, size_t after, enum sim_cut how,
                                unsigned *connected) {
    open_with((struct sim_options){.seed = after, .max_read_bytes = 300});
    serve("10.0.0.1:80");
    sim_cut_after(listener_addr(listeners[0]), 0, to_client, after, how);
    dial_to_end("10.0.0.1");
    if (client.c) {
        ++*connected;
    } else if (how == SIM_CUT_STALL) {
        assert_int_equal(client.e.kind, ERR_TIMEOUT);
    } else if (client.e.kind != ERR_TLS) {
        fail_msg("after %zu: %s", after, client.e.text);
    }
    for (int i = 0; i < 10; i++) (void)loop_turn(l, false);
    if (server.c && how != SIM_CUT_STALL && !client.c) assert_int_equal(server.gones, 1);
    close_all();
}

static bool is_dialled(size_t after) {
    open_with((struct sim_options){.seed = 1});
    serve("10.0.0.1:80");
    sim_cut_after(listener_addr(listeners[0]), 0, true, after, SIM_CUT_STALL);
    dial_to_end("10.0.0.1");
    bool is_connected = client.c != NULL;
    close_all();
    return is_connected;
}

/* How many bytes the client must get: it depends on OpenSSL's version and its key shares. One
 * handshake differs from the next too: a signature's DER form drops leading zero bytes. */
enum { HANDSHAKE_SPREAD = 64 };

static size_t handshake_bytes(void) {
    size_t bytes = 0;
    while (bytes < 65536 && !is_dialled(bytes)) bytes += 64;
    return bytes + HANDSHAKE_SPREAD;
}

static void test_cut_handshake(void **state) {
    (void)state;
    open_tls(true);
    unsigned connected = 0, tried = 0;
    size_t enough = handshake_bytes();
    for (size_t after = 0; after < enough + 256; after += enough / 20) {
        for (int how = SIM_CUT_FIN; how <= SIM_CUT_STALL; how++) {
            check_cut_handshake(true, after, (enum sim_cut)how, &connected);
            check_cut_handshake(false, after, (enum sim_cut)how, &connected);
            tried += 2;
        }
    }
    assert_true(connected > 0 && connected < tried);
    close_tls();
}

/* A stream of records cut anywhere is never taken for a complete one. */
static void check_cut_stream(size_t after, enum sim_cut how, unsigned *untouched) {
    open_with((struct sim_options){.seed = after});
    serve("10.0.0.1:80");
    sim_cut_after(listener_addr(listeners[0]), 0, true, after, how);
    dial_to_end("10.0.0.1");
    assert_non_null(client.c);
    conn_read_on(client.c);
    turn_until(l, server.c);
    while (loop_turn(l, true)) {}
    for (int i = 0; i < 5 && end_write(&server, SLICE("0123456789")) == 10; i++) {}
    conn_close(&server.c);
    while (loop_turn(l, true)) {}
    assert_memory_equal(client.got.ptr ? client.got.ptr : "",
                        "01234567890123456789012345678901234567890123456789", client.got_bytes);
    if (client.eofs) {
        assert_int_equal(client.got_bytes, 50);
        ++*untouched;
    } else {
        assert_int_equal(client.gones, 1);
        assert_int_equal(client.e.kind, how == SIM_CUT_FIN ? ERR_PROTOCOL : ERR_CLOSED);
    }
    close_all();
}

static void test_cut_stream(void **state) {
    (void)state;
    open_tls(true);
    unsigned untouched = 0;
    size_t enough = handshake_bytes();
    for (size_t after = enough; after < enough + 500; after += 7) {
        check_cut_stream(after, SIM_CUT_FIN, &untouched);
        check_cut_stream(after, SIM_CUT_RST, &untouched);
    }
    close_tls();
    assert_true(untouched < 144);
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_silent_address_is_overtaken),
        cmocka_unit_test(test_refused_address_is_left_at_once),
        cmocka_unit_test(test_slow_first_wins),
        cmocka_unit_test(test_families_take_turns),
        cmocka_unit_test(test_all_fail),
        cmocka_unit_test(test_timeout_covers_names_and_tcp),
        cmocka_unit_test(test_one_lookup_for_all),
        cmocka_unit_test(test_failures_are_kept_a_second),
        cmocka_unit_test(test_waiters_interfere),
        cmocka_unit_test(test_many_names),
        cmocka_unit_test(test_cancel_at_every_moment),
        cmocka_unit_test(test_name_is_verified),
        cmocka_unit_test(test_tls_over_fragments),
        cmocka_unit_test(test_cut_handshake),
        cmocka_unit_test(test_cut_stream),
    };
    return cmocka_run_group_tests(tests, make_certs, drop_certs);
}
