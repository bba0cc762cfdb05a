/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated network and clock keep their promises: the rest of the tests stands on them. */
#include "net/loop_sim.h"
#include "unit/net/net_test.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MS NS_PER_MS
#define START_NS NS_PER_S

static struct stage st;

static void open_with(struct sim_options o) {
    sim_start(&o);
    stage_open(&st, "10.0.0.1:80");
}

static void open_stage(struct sim_options o) {
    open_with(o);
    struct dial_options d = {.host = SLICE("10.0.0.1"), .port = 80};
    (void)dial_start(st.l, &d, end_on_ready, &st.client);
    turn_until(st.l, st.client.has_dialed && st.server.c);
    assert_non_null(st.client.c);
}

static void close_stage(void) {
    stage_close(&st);
    sim_stop();
}

/* ---- the clock ---- */

struct tick {
    struct timer t;
    int64_t deadline_ns, fired_ns;
};

static void on_tick(struct timer *t, void *self) {
    (void)t;
    ((struct tick *)self)->fired_ns = sim_now_ns();
}

static void tick_start(struct loop *l, struct tick *tick, int64_t after_ns) {
    *tick = (struct tick){.deadline_ns = sim_now_ns() + after_ns};
    loop_timer_start(l, &tick->t, tick->deadline_ns, on_tick, tick);
}

static bool has_fired(void *self) {
    return ((struct tick *)self)->fired_ns > 0;
}

static void check_fired(const struct tick *tick) {
    assert_in_range(tick->fired_ns - tick->deadline_ns, 0, WHEEL_SLOT_NS);
}

static void test_clock_jumps(void **state) {
    (void)state;
    sim_start(&(struct sim_options){.seed = 1});
    struct loop *l = loop_new(NULL);
    struct tick hour, minute, second;
    assert_int_equal(clock_mono_ns(), START_NS);
    assert_int_equal(loop_now_ns(l), START_NS);
    tick_start(l, &hour, 3600 * NS_PER_S);
    tick_start(l, &minute, 60 * NS_PER_S);
    tick_start(l, &second, NS_PER_S);
    assert_true(sim_run(has_fired, &second, TIME_NEVER));
    check_fired(&second);
    assert_int_equal(minute.fired_ns, 0);
    assert_false(sim_run(has_fired, &minute, START_NS + 30 * NS_PER_S));   /* not until then */
    assert_int_equal(sim_now_ns(), START_NS + 30 * NS_PER_S);
    sim_advance(60 * NS_PER_S);
    assert_int_equal(sim_now_ns(), START_NS + 90 * NS_PER_S);
    check_fired(&minute);
    assert_int_equal(hour.fired_ns, 0);
    assert_false(sim_run(NULL, NULL, TIME_NEVER));   /* to the end of all things */
    check_fired(&hour);
    assert_false(loop_turn(l, true));
    loop_free(l);
    sim_stop();
}

/* ---- delivery ---- */

static void test_latency(void **state) {
    (void)state;
    open_stage((struct sim_options){.seed = 1, .latency_min_ns = 5 * MS, .latency_max_ns = 5 * MS});
    assert_in_range(sim_now_ns() - START_NS, 5 * MS, 6 * MS);   /* the hello's way */
    conn_read_on(st.server.c);
    int64_t sent_ns = sim_now_ns();
    assert_int_equal(end_write(&st.client, SLICE("a")), 1);
    sim_advance(5 * MS - 1);
    assert_int_equal(st.server.got_bytes, 0);
    sim_advance(1);
    assert_int_equal(st.server.got_bytes, 1);
    assert_int_equal(sim_now_ns() - sent_ns, 5 * MS);
    close_stage();
}

static void test_order_is_kept_under_jitter(void **state) {
    (void)state;
    open_stage((struct sim_options){.seed = 7, .latency_min_ns = 0, .latency_max_ns = 50 * MS});
    conn_read_on(st.server.c);
    for (char c = 'a'; c <= 'z'; c++) assert_int_equal(end_write(&st.client, slice_make(&c, 1)), 1);
    conn_close(&st.client.c);
    turn_until(st.l, st.server.eofs == 1);
    assert_got(&st.server, "abcdefghijklmnopqrstuvwxyz");
    close_stage();
}

static void test_byte_by_byte(void **state) {
    (void)state;
    open_stage((struct sim_options){.seed = 1, .max_read_bytes = 1});
    conn_read_on(st.server.c);
    assert_int_equal(end_write(&st.client, SLICE("abc")), 3);
    turn_until(st.l, st.server.got_bytes == 3);
    assert_int_equal(st.server.reads, 3);
    close_stage();
}

static void test_short_writes(void **state) {
    (void)state;
    open_stage((struct sim_options){.seed = 1, .max_write_bytes = 4});
    ssize_t n = end_write(&st.client, SLICE("a long text"));
    assert_in_range(n, 1, 4);
    turn_until(st.l, st.client.writables == 1);
    close_stage();
}

static size_t sizes_seen[8];
static unsigned sizes_count;

static void note_size(struct end *end, struct slice bytes) {
    (void)end;
    if (sizes_count < 8) sizes_seen[sizes_count++] = bytes.len;
}

static void test_exact_read_sizes(void **state) {
    (void)state;
    open_with((struct sim_options){.seed = 1});
    struct addr at = *listener_addr(st.ln);
    static const size_t sizes[] = {1, 5, 2};
    sim_read_sizes(&at, 0, false, sizes, 3);
    struct dial_options d = {.host = SLICE("10.0.0.1"), .port = 80};
    (void)dial_start(st.l, &d, end_on_ready, &st.client);
    turn_until(st.l, st.client.has_dialed && st.server.c);
    sizes_count = 0;
    st.server.on_bytes = note_size;
    conn_read_on(st.server.c);
    assert_int_equal(end_write(&st.client, SLICE("abc")), 3);
    while (loop_turn(st.l, true)) {}
    assert_int_equal(sizes_count, 1);   /* five are not there yet */
    assert_int_equal(end_write(&st.client, SLICE("defghijklm")), 10);
    while (loop_turn(st.l, true)) {}
    assert_int_equal(sizes_count, 4);
    assert_int_equal(sizes_seen[0], 1);
    assert_int_equal(sizes_seen[1], 5);
    assert_int_equal(sizes_seen[2], 2);
    assert_int_equal(sizes_seen[3], 5);
    assert_got(&st.server, "abcdefghijklm");
    close_stage();
}

static void test_buffers_are_bounded(void **state) {
    (void)state;
    static char block[100000];
    open_stage((struct sim_options){.seed = 1, .socket_buffer_bytes = 1000});
    assert_int_equal(end_write(&st.client, slice_make(block, sizeof block)), 1000);
    assert_int_equal(end_write(&st.client, slice_make(block, sizeof block)), 0);
    while (loop_turn(st.l, true)) {}
    assert_int_equal(st.client.writables, 0);
    conn_read_on(st.server.c);
    turn_until(st.l, st.client.writables == 1);
    close_stage();
}

static const char *kept;

static void keep(struct end *end, struct slice bytes) {
    (void)end;
    kept = bytes.ptr;
    assert_int_equal(kept[0], 'x');
}

static void test_kept_pointers_show(void **state) {
    (void)state;
    open_stage((struct sim_options){.seed = 1});
    st.server.on_bytes = keep;
    conn_read_on(st.server.c);
    assert_int_equal(end_write(&st.client, SLICE("x")), 1);
    turn_until(st.l, st.server.got_bytes == 1);
    assert_int_not_equal(kept[0], 'x');
    close_stage();
}

/* ---- ends, as a kernel has them ---- */

static void test_close_with_unread_bytes_resets(void **state) {
    (void)state;
    open_stage((struct sim_options){.seed = 1});
    conn_read_on(st.client.c);
    assert_int_equal(end_write(&st.client, SLICE("never read")), 10);
    while (loop_turn(st.l, true)) {}
    conn_close(&st.server.c);
    turn_until(st.l, st.client.gones == 1);
    assert_int_equal(st.client.e.os_errno, ECONNRESET);
    close_stage();
}

static void test_bytes_for_the_closed_are_answered_by_reset(void **state) {
    (void)state;
    open_stage((struct sim_options){.seed = 1});
    conn_close(&st.server.c);
    conn_read_on(st.client.c);
    turn_until(st.l, st.client.eofs == 1);
    assert_int_equal(end_write(&st.client, SLICE("too late")), 8);   /* nobody knows yet */
    while (loop_turn(st.l, true)) {}
    assert_int_equal(end_write(&st.client, SLICE("again")), -ERR_CLOSED);
    close_stage();
}

static void test_bytes_before_a_reset_can_be_read(void **state) {
    (void)state;
    open_stage((struct sim_options){.seed = 1});
    assert_int_equal(end_write(&st.server, SLICE("tail")), 4);
    conn_close_reset(&st.server.c);
    while (loop_turn(st.l, true)) {}
    conn_read_on(st.client.c);
    turn_until(st.l, st.client.gones == 1);
    assert_got(&st.client, "tail");
    close_stage();
}

/* ---- cuts ---- */

#define TEXT "0123456789"

static void dial_cut(bool to_client, size_t after, enum sim_cut how) {
    open_with((struct sim_options){.seed = after, .max_read_bytes = 3});
    sim_cut_after(listener_addr(st.ln), 0, to_client, after, how);
    struct dial_options d = {.host = SLICE("10.0.0.1"), .port = 80};
    (void)dial_start(st.l, &d, end_on_ready, &st.client);
    turn_until(st.l, st.client.has_dialed && st.server.c);
    conn_read_on(st.client.c);
    conn_read_on(st.server.c);
}

static void check_cut(bool to_client, size_t after, enum sim_cut how) {
    dial_cut(to_client, after, how);
    struct end *from = to_client ? &st.server : &st.client,
               *to = to_client ? &st.client : &st.server;
    ssize_t n = end_write(from, SLICE(TEXT));
    assert_true(n == 10 || (n < 0 && after == 0));
    while (loop_turn(st.l, true)) {}
    assert_int_equal(to->got_bytes, after);
    assert_memory_equal(to->got.ptr ? to->got.ptr : "", TEXT, after);
    assert_int_equal(to->eofs, how == SIM_CUT_FIN);
    assert_int_equal(to->gones, how == SIM_CUT_RST);
    assert_int_equal(from->eofs, 0);
    if (n > 0) assert_int_equal(from->gones, how != SIM_CUT_STALL);
    if (how == SIM_CUT_FIN) {   /* what the receiver writes now finds nobody */
        (void)end_write(to, SLICE("x"));
        while (loop_turn(st.l, true)) {}
        assert_int_equal(end_write(to, SLICE("x")), -ERR_CLOSED);
    }
    if (how == SIM_CUT_STALL) {   /* the other direction still works */
        assert_int_equal(end_write(to, SLICE("back")), 4);
        turn_until(st.l, from->got_bytes == 4);
    }
    close_stage();
}

static void test_cut_at_every_offset(void **state) {
    (void)state;
    for (size_t after = 0; after <= 10; after++) {
        for (int how = SIM_CUT_FIN; how <= SIM_CUT_STALL; how++) {
            check_cut(true, after, (enum sim_cut)how);
            check_cut(false, after, (enum sim_cut)how);
        }
    }
}

static void test_nth_connection(void **state) {
    (void)state;
    open_with((struct sim_options){.seed = 1});
    sim_cut_after(listener_addr(st.ln), 1, true, 2, SIM_CUT_FIN);
    for (int i = 0; i < 3; i++) {
        struct dial_options d = {.host = SLICE("10.0.0.1"), .port = 80};
        (void)dial_start(st.l, &d, end_on_ready, &st.client);
        turn_until(st.l, st.client.c && st.server.c);
        conn_read_on(st.client.c);
        assert_int_equal(end_write(&st.server, SLICE(TEXT)), 10);
        conn_close(&st.server.c);
        turn_until(st.l, st.client.eofs == 1);
        assert_int_equal(st.client.got_bytes, i == 1 ? 2 : 10);
        end_dispose(&st.client);
        end_init(&st.client);
    }
    close_stage();
}

/* ---- many sockets ---- */

#define MANY 8

static struct end many_servers[MANY], many_clients[MANY];
static unsigned many_accepted;
static char many_trace[4096];

static void many_accept(void *self, int fd, const struct addr *from) {
    struct loop *l = self;
    struct end *end = &many_servers[many_accepted++];
    (void)from;
    end->c = conn_accept(l, fd, NULL, &end_callbacks, end);
    conn_read_on(end->c);
}

static void many_note(struct end *end, struct slice bytes) {
    char entry[32];
    snprintf(entry, sizeof entry, "%d:%zu@%lld ", (int)(end - many_servers), bytes.len,
             (long long)(sim_now_ns() - START_NS));
    strncat(many_trace, entry, sizeof many_trace - strlen(many_trace) - 1);
}

static void many_run(struct sim_options o, unsigned writes) {
    struct listener *ln;
    struct err e;
    struct addr at;
    sim_start(&o);
    struct loop *l = loop_new(NULL);
    many_accepted = 0;
    many_trace[0] = '\0';
    assert_int_equal(addr_parse(SLICE("0.0.0.0:80"), &at, &e), 0);
    assert_int_equal(listener_open(l, &at, NULL, many_accept, l, &ln, &e), 0);
    for (int i = 0; i < MANY; i++) {
        end_init(&many_servers[i]);
        end_init(&many_clients[i]);
        many_servers[i].on_bytes = many_note;
        struct dial_options d = {.host = SLICE("10.0.0.1"), .port = 80};
        (void)dial_start(l, &d, end_on_ready, &many_clients[i]);
    }
    turn_until(l, many_accepted == MANY);
    while (loop_turn(l, true)) {}
    assert_int_equal(sim_open_connections(), MANY);
    for (unsigned w = 0; w < writes; w++) {
        for (int i = 0; i < MANY; i++) assert_true(end_write(&many_clients[i], SLICE(TEXT)) > 0);
        while (loop_turn(l, true)) {}
    }
    for (int i = 0; i < MANY; i++) {
        end_dispose(&many_servers[i]);
        end_dispose(&many_clients[i]);
    }
    listener_close(&ln);
    loop_free(l);
    sim_stop();
    assert_int_equal(sim_open_connections(), 0);
}

static void test_each_ready_socket_once_a_turn(void **state) {
    (void)state;
    many_run((struct sim_options){.seed = 1, .max_read_bytes = 5}, 1);
    bool seen[MANY] = {false};
    char *at = many_trace;
    for (int i = 0; i < MANY; i++, at = strchr(at, ' ') + 1) {
        int who = at[0] - '0';
        assert_false(seen[who]);   /* all had theirs before one had its second */
        seen[who] = true;
    }
}

static void test_same_seed_same_trace(void **state) {
    (void)state;
    struct sim_options o = {.seed = 42,
                            .max_read_bytes = 7,
                            .max_write_bytes = 9,
                            .latency_min_ns = 0,
                            .latency_max_ns = 20 * MS,
                            .shuffle_events = true};
    many_run(o, 3);
    char *first = mem_dup_cstr(slice_cstr(many_trace));
    many_run(o, 3);
    assert_string_equal(first, many_trace);
    assert_true(strlen(first) > 200);
    o.seed = 43;
    many_run(o, 3);
    assert_string_not_equal(first, many_trace);
    mem_free(first);
}

static void test_shuffle(void **state) {
    (void)state;
    many_run((struct sim_options){.seed = 1}, 1);
    char *plain = mem_dup_cstr(slice_cstr(many_trace));
    many_run((struct sim_options){.seed = 1, .shuffle_events = true}, 1);
    assert_string_not_equal(plain, many_trace);
    assert_int_equal(strlen(plain), strlen(many_trace));   /* the same, in another order */
    mem_free(plain);
}

/* ---- listeners and loops ---- */

static void unused_accept(void *self, int fd, const struct addr *from) {
    (void)from;
    loop_close_fd(self, fd);
}

static void test_addresses(void **state) {
    (void)state;
    sim_start(&(struct sim_options){.seed = 1});
    struct loop *l = loop_new(NULL);
    struct listener *a, *b;
    struct err e;
    struct addr at;
    struct listen_options first = {.shared = true, .first = true}, more = {.shared = true};
    assert_int_equal(addr_parse(SLICE("127.0.0.1:0"), &at, &e), 0);
    assert_int_equal(listener_open(l, &at, &first, unused_accept, l, &a, &e), 0);
    at = *listener_addr(a);
    assert_true(addr_port(&at) > 0);
    assert_int_equal(listener_open(l, &at, NULL, unused_accept, l, &b, &e), -ERR_IO);
    assert_int_equal(e.os_errno, EADDRINUSE);
    assert_int_equal(listener_open(l, &at, &first, unused_accept, l, &b, &e), -ERR_IO);
    assert_int_equal(listener_open(l, &at, &more, unused_accept, l, &b, &e), 0);
    listener_close(&a);
    listener_close(&b);
    loop_free(l);
    sim_stop();
}

static void test_refused_when_listener_goes(void **state) {
    (void)state;
    open_with((struct sim_options){.seed = 1, .latency_min_ns = MS, .latency_max_ns = MS});
    listener_pause(st.ln, true);
    struct dial_options d = {.host = SLICE("10.0.0.1"), .port = 80};
    (void)dial_start(st.l, &d, end_on_ready, &st.client);
    turn_until(st.l, st.client.has_dialed);   /* connected before it is accepted */
    assert_non_null(st.client.c);
    assert_null(st.server.c);
    conn_read_on(st.client.c);
    listener_close(&st.ln);                   /* those in its queue are reset */
    turn_until(st.l, st.client.gones == 1);
    close_stage();
}

struct hand_over {
    struct loop *other;
    struct loop_task task;
    int fd;
    struct end end;
};

static void adopt_there(struct loop_task *task, void *self) {
    struct hand_over *h = self;
    (void)task;
    h->end.c = conn_accept(h->other, h->fd, NULL, &end_callbacks, &h->end);
    conn_read_on(h->end.c);
}

static void hand_over(void *self, int fd, const struct addr *from) {
    struct hand_over *h = self;
    (void)from;
    h->fd = fd;
    h->task = (struct loop_task){.fn = adopt_there, .self = h};
    loop_post(h->other, &h->task);
}

static bool got_five(void *self) {
    return ((struct end *)self)->got_bytes == 5;
}

static void test_two_loops(void **state) {
    (void)state;
    sim_start(&(struct sim_options){.seed = 1});
    struct loop *a = loop_new(NULL), *b = loop_new(NULL);
    struct hand_over h = {.other = b};
    struct listener *ln;
    struct end client;
    struct err e;
    struct addr at;
    end_init(&h.end);
    end_init(&client);
    assert_int_equal(addr_parse(SLICE("unix:/run/s"), &at, &e), 0);
    assert_int_equal(listener_open(a, &at, NULL, hand_over, &h, &ln, &e), 0);
    struct dial_options d = {.unix_path = SLICE("/run/s")};
    (void)dial_start(a, &d, end_on_ready, &client);
    assert_false(sim_run(NULL, NULL, TIME_NEVER));
    assert_int_equal(end_write(&client, SLICE("hello")), 5);
    assert_true(sim_run(got_five, &h.end, TIME_NEVER));
    assert_ptr_equal(conn_loop(h.end.c), b);
    end_dispose(&h.end);
    end_dispose(&client);
    listener_close(&ln);
    loop_free(a);
    loop_free(b);
    sim_stop();
}

static void on_signal(void *self, int signo) {
    *(int *)self = signo;
}

static void test_signals_and_stop(void **state) {
    (void)state;
    sim_start(&(struct sim_options){.seed = 1});
    struct loop *l = loop_new(NULL);
    struct tick tick;
    int got = 0;
    assert_int_equal(loop_on_signal(l, SIGTERM, on_signal, &got), 0);
    sim_raise(l, SIGTERM);
    assert_int_equal(got, 0);   /* not inside */
    assert_true(loop_turn(l, true));
    assert_int_equal(got, SIGTERM);
    tick_start(l, &tick, NS_PER_S);
    loop_stop(l);
    assert_int_equal(loop_run(l), 0);
    assert_int_equal(tick.fired_ns, 0);
    assert_int_equal(loop_run(l), 0);   /* nothing to do any more ends it, too */
    check_fired(&tick);
    loop_free(l);
    sim_stop();
}

/* ---- leaks ---- */

static void leak_listener(void) {
    open_with((struct sim_options){.seed = 1});
    sim_stop();
}

static void leak_socket(void) {
    open_stage((struct sim_options){.seed = 1});
    listener_close(&st.ln);
    sim_stop();
}

static void leak_lookup(void) {
    sim_start(&(struct sim_options){.seed = 1});
    (void)loop_lookup_start(loop_new(NULL), SLICE("x"), 1, NULL, NULL);
    sim_stop();
}

static void check_aborts(void (*fn)(void)) {
    pid_t child = fork();
    if (child == 0) {
        struct rlimit none = {0};
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL);
        if (!freopen("/dev/null", "w", stderr)) _exit(1);
        fn();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void test_leaks_abort(void **state) {
    (void)state;
    check_aborts(leak_listener);
    check_aborts(leak_socket);
    check_aborts(leak_lookup);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock_jumps),
        cmocka_unit_test(test_latency),
        cmocka_unit_test(test_order_is_kept_under_jitter),
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_short_writes),
        cmocka_unit_test(test_exact_read_sizes),
        cmocka_unit_test(test_buffers_are_bounded),
        cmocka_unit_test(test_kept_pointers_show),
        cmocka_unit_test(test_close_with_unread_bytes_resets),
        cmocka_unit_test(test_bytes_for_the_closed_are_answered_by_reset),
        cmocka_unit_test(test_bytes_before_a_reset_can_be_read),
        cmocka_unit_test(test_cut_at_every_offset),
        cmocka_unit_test(test_nth_connection),
        cmocka_unit_test(test_each_ready_socket_once_a_turn),
        cmocka_unit_test(test_same_seed_same_trace),
        cmocka_unit_test(test_shuffle),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_refused_when_listener_goes),
        cmocka_unit_test(test_two_loops),
        cmocka_unit_test(test_signals_and_stop),
        cmocka_unit_test(test_leaks_abort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
