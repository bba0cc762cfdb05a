/* SPDX-License-Identifier: Apache-2.0 */
/* The real loop: turns, timers, posting, and what sockets and listeners of the kernel do. */
#include "net_test.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct loop *new_loop(void) {
    struct err e = {0};
    struct loop *l = loop_new(&e);
    if (!l) fail_msg("%s", e.text);
    return l;
}

static struct addr parsed(const char *text) {
    struct addr a;
    struct err e = {0};
    if (addr_parse(slice_cstr(text), &a, &e) < 0) fail_msg("%s", e.text);
    return a;
}

/* ---- turns ---- */

static char order[64];
static char letter_p[] = "p", letter_e[] = "e", letter_t[] = "t";

static void note(const char *what) {
    strncat(order, what, sizeof order - strlen(order) - 1);
}

static void note_task(struct loop_task *task, void *self) {
    (void)task;
    note(self);
}

static void note_timer(struct timer *t, void *self) {
    (void)t;
    note(self);
}

/* A socket of ours, and the descriptor of the other side. */
struct probe {
    struct loop *l;
    struct sock *s;
    int peer;
    unsigned calls, hups, readables, writables;
    unsigned last;
    void (*then)(struct probe *p, unsigned events);
};

static void probe_event(void *self, unsigned events) {
    struct probe *p = self;
    p->calls++;
    p->hups += (events & SOCK_HUP) != 0;
    p->readables += (events & SOCK_READABLE) != 0;
    p->writables += (events & SOCK_WRITABLE) != 0;
    p->last = events;
    if (p->then) p->then(p, events);
}

static void probe_open(struct probe *p, struct loop *l) {
    int pair[2];
    *p = (struct probe){.l = l};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    p->peer = pair[1];
    p->s = sock_adopt(l, pair[0], probe_event, p);
}

static void probe_close(struct probe *p) {
    sock_close(&p->s);
    if (p->peer >= 0) close(p->peer);
}

static void note_socket(struct probe *p, unsigned events) {
    char byte;
    struct err e;
    (void)events;
    note("s");
    assert_int_equal(sock_read(p->s, &byte, 1, &e), 1);
}

static void test_order_of_a_turn(void **state) {
    (void)state;
    struct loop *l = new_loop();
    struct probe p;
    struct timer t = {0};
    struct loop_task posted = {.fn = note_task, .self = letter_p},
                     end = {.fn = note_task, .self = letter_e};
    probe_open(&p, l);
    p.then = note_socket;
    sock_watch(p.s, SOCK_READABLE);
    assert_int_equal(write(p.peer, "x", 1), 1);
    order[0] = '\0';
    loop_at_turn_end(l, &end);
    loop_post(l, &posted);
    loop_timer_start(l, &t, loop_now_ns(l) - NS_PER_MS, note_timer, letter_t);
    turn_until(l, strlen(order) >= 4);
    assert_string_equal(order, "stpe");
    probe_close(&p);
    loop_free(l);
}

static void test_nothing_left(void **state) {
    (void)state;
    struct loop *l = new_loop();
    struct timer t = {0};
    struct loop_task posted = {.fn = note_task, .self = letter_p},
                     end = {.fn = note_task, .self = letter_e};
    assert_false(loop_turn(l, true));
    order[0] = '\0';
    loop_timer_start(l, &t, loop_now_ns(l) + NS_PER_MS, note_timer, letter_t);
    assert_true(loop_turn(l, false));
    while (loop_turn(l, true)) {}
    assert_string_equal(order, "t");
    loop_at_turn_end(l, &end);
    while (loop_turn(l, true)) {}   /* and does not sleep */
    loop_post(l, &posted);
    while (loop_turn(l, true)) {}
    assert_string_equal(order, "tep");
    loop_free(l);
}

struct again {
    struct loop *l;
    struct loop_task task;
    unsigned runs;
    uint64_t turn_of[3];
};

static void run_again(struct loop_task *task, void *self) {
    struct again *a = self;
    a->turn_of[a->runs] = loop_stats(a->l)->turns;
    if (++a->runs < 3) loop_at_turn_end(a->l, task);
}

static void test_turn_end_that_queues_anew(void **state) {
    (void)state;
    struct loop *l = new_loop();
    struct again a = {.l = l, .task = {.fn = run_again, .self = &a}};
    loop_at_turn_end(l, &a.task);
    while (loop_turn(l, true)) {}
    assert_int_equal(a.runs, 3);
    /* sockets had theirs in between */
    assert_true(a.turn_of[0] < a.turn_of[1] && a.turn_of[1] < a.turn_of[2]);
    loop_free(l);
}

static void test_turn_end_runs_before_loop_is_freed(void **state) {
    (void)state;
    struct loop *l = new_loop();
    struct loop_task end = {.fn = note_task, .self = letter_e};
    order[0] = '\0';
    loop_at_turn_end(l, &end);
    loop_free(l);
    assert_string_equal(order, "e");
}

/* ---- timers ---- */

struct tick {
    struct loop *l;
    struct timer t;
    int64_t deadline_ns;
    bool was_early, has_fired;
};

static void on_tick(struct timer *t, void *self) {
    struct tick *tick = self;
    (void)t;
    tick->has_fired = true;
    tick->was_early =
        loop_now_ns(tick->l) < tick->deadline_ns || clock_mono_ns() < tick->deadline_ns;
}

static void tick_start(struct tick *tick, struct loop *l, int64_t after_ns) {
    *tick = (struct tick){.l = l, .deadline_ns = loop_now_ns(l) + after_ns};
    loop_timer_start(l, &tick->t, tick->deadline_ns, on_tick, tick);
}

static void test_timers(void **state) {
    (void)state;
    struct loop *l = new_loop();
    struct tick far, near, mid, stopped;
    tick_start(&far, l, 8 * NS_PER_MS);
    (void)loop_turn(l, false);             /* armed for it */
    tick_start(&near, l, 1 * NS_PER_MS);   /* must be armed anew */
    tick_start(&mid, l, 3 * NS_PER_MS);
    tick_start(&stopped, l, 2 * NS_PER_MS);
    timer_stop(&stopped.t);
    turn_until(l, near.has_fired);
    assert_false(mid.has_fired && far.has_fired && loop_now_ns(l) < mid.deadline_ns);
    turn_until(l, mid.has_fired);
    turn_until(l, far.has_fired);
    assert_false(near.was_early || mid.was_early || far.was_early);
    assert_false(stopped.has_fired);
    assert_true(loop_stats(l)->timer_late_ns.count >= 1);
    assert_false(loop_turn(l, true));   /* all is over: it does not wait for a dead timer */
    loop_free(l);
}

/* Turns that pass while a timer runs: a loop that spins has thousands. */
static uint64_t turns_in_5_ms(struct loop *l) {
    struct tick tick;
    uint64_t before = loop_stats(l)->turns;
    tick_start(&tick, l, 5 * NS_PER_MS);
    turn_until(l, tick.has_fired);
    return loop_stats(l)->turns - before;
}

static void test_idle_loop_sleeps(void **state) {
    (void)state;
    struct loop *l = new_loop();
    struct probe p;
    probe_open(&p, l);
    struct tick stopped;
    tick_start(&stopped, l, NS_PER_MS);
    (void)loop_turn(l, false);
    timer_stop(&stopped.t);   /* the timerfd still fires: once */
    assert_in_range(turns_in_5_ms(l), 1, 12);
    assert_int_equal(p.calls, 0);
    probe_close(&p);
    loop_free(l);
}

/* ---- posting, stopping, signals ---- */

#define POSTERS 4
#define POSTS 2000

struct poster {
    struct loop *l;
    pthread_t thread;
    struct loop_task tasks[POSTS];
    unsigned ran;
    bool is_in_order;
    unsigned *total;
};

static void on_posted(struct loop_task *task, void *self) {
    struct poster *p = self;
    if (task != &p->tasks[p->ran]) p->is_in_order = false;
    p->ran++;
    if (++*p->total == POSTERS * POSTS) loop_stop(p->l);
}

static void *post_all(void *self) {
    struct poster *p = self;
    for (int i = 0; i < POSTS; i++) {
        p->tasks[i] = (struct loop_task){.fn = on_posted, .self = p};
        loop_post(p->l, &p->tasks[i]);
    }
    return NULL;
}

static void test_post_from_threads(void **state) {
    (void)state;
    struct loop *l = new_loop();
    unsigned total = 0;
    struct poster *posters = mem_zalloc(POSTERS * sizeof *posters);
    for (int i = 0; i < POSTERS; i++) {
        posters[i].l = l;
        posters[i].is_in_order = true;
        posters[i].total = &total;
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
    }
    assert_int_equal(loop_run(l), 0);
    for (int i = 0; i < POSTERS; i++) {
        pthread_join(posters[i].thread, NULL);
        assert_int_equal(posters[i].ran, POSTS);
        assert_true(posters[i].is_in_order);
    }
    mem_free(posters);
    loop_free(l);
}

static void *stop_it(void *l) {
    loop_stop(l);
    return NULL;
}

static void test_stop(void **state) {
    (void)state;
    struct loop *l = new_loop();
    pthread_t thread;
    loop_stop(l);
    assert_int_equal(loop_run(l), 0);   /* asked before it ran: at once */
    assert_int_equal(pthread_create(&thread, NULL, stop_it, l), 0);
    assert_int_equal(loop_run(l), 0);
    pthread_join(thread, NULL);
    loop_free(l);
}

static void on_usr1(void *self, int signo) {
    *(int *)self = signo;
}

static void test_signal(void **state) {
    (void)state;
    struct loop *l = new_loop();
    int got = 0;
    assert_int_equal(loop_on_signal(l, SIGUSR1, on_usr1, &got), 0);
    assert_int_equal(raise(SIGUSR1), 0);
    turn_until(l, got == SIGUSR1);
    loop_free(l);
}

/* A connection accepted here is served there. */
struct worker {
    struct loop *l;
    pthread_t thread;
    struct loop_task task;
    int fd;
    struct sock *s;
};

static void worker_event(void *self, unsigned events) {
    struct worker *w = self;
    struct iovec iov = {.iov_base = (char[]){"hi"}, .iov_len = 2};
    struct err e;
    (void)events;
    assert_int_equal(sock_writev(w->s, &iov, 1, &e), 2);
    sock_close(&w->s);
    loop_stop(w->l);
}

static void worker_adopts(struct loop_task *task, void *self) {
    struct worker *w = self;
    (void)task;
    w->s = sock_adopt(w->l, w->fd, worker_event, w);
    sock_watch(w->s, SOCK_WRITABLE);
}

static void *worker_runs(void *self) {
    struct worker *w = self;
    (void)loop_run(w->l);
    return NULL;
}

static void hand_over(void *self, int fd, const struct addr *from) {
    struct worker *w = self;
    (void)from;
    w->fd = fd;
    w->task = (struct loop_task){.fn = worker_adopts, .self = w};
    loop_post(w->l, &w->task);
}

static void test_hand_over_to_another_loop(void **state) {
    (void)state;
    struct loop *l = new_loop();
    struct worker w = {.l = new_loop()};
    struct listener *ln;
    struct end client;
    struct err e;
    struct addr at = parsed("127.0.0.1:0");
    assert_int_equal(pthread_create(&w.thread, NULL, worker_runs, &w), 0);
    assert_int_equal(listener_open(l, &at, NULL, hand_over, &w, &ln, &e), 0);
    end_init(&client);
    struct dial_options o = {.host = SLICE("127.0.0.1"), .port = addr_port(listener_addr(ln))};
    (void)dial_start(l, &o, end_on_ready, &client);
    turn_until(l, client.has_dialed);
    conn_read_on(client.c);
    turn_until(l, client.eofs == 1);
    assert_got(&client, "hi");
    pthread_join(w.thread, NULL);
    end_dispose(&client);
    listener_close(&ln);
    loop_free(w.l);
    loop_free(l);
}

/* ---- sockets ---- */

static void turn_some(struct loop *l) {
    for (int i = 0; i < 5; i++) (void)loop_turn(l, false);
}

static void test_level_triggered(void **state) {
    (void)state;
    struct loop *l = new_loop();
    struct probe p;
    probe_open(&p, l);
    assert_int_equal(write(p.peer, "xy", 2), 2);
    turn_some(l);
    assert_int_equal(p.calls, 0);   /* nothing is wanted */
    sock_watch(p.s, SOCK_READABLE);
    turn_some(l);
    assert_int_equal(p.calls, 5);   /* nobody read it */
    sock_watch(p.s, 0);
    turn_some(l);
    assert_int_equal(p.calls, 5);
    assert_in_range(turns_in_5_ms(l), 1, 12);   /* unread bytes do not keep the loop awake */
    sock_watch(p.s, SOCK_READABLE | SOCK_WRITABLE);
    turn_until(l, p.calls == 6);
    assert_int_equal(p.last, SOCK_READABLE | SOCK_WRITABLE);
    sock_watch(p.s, SOCK_WRITABLE);
    turn_until(l, p.calls == 7);
    assert_int_equal(p.last, SOCK_WRITABLE);
    sock_watch(p.s, 0);
    assert_in_range(turns_in_5_ms(l), 1, 12);
    probe_close(&p);
    loop_free(l);
}

static void test_hup_once_and_no_spin(void **state) {
    (void)state;
    struct loop *l = new_loop();
    struct probe p;
    char bytes[8];
    struct err e;
    probe_open(&p, l);
    assert_int_equal(write(p.peer, "xy", 2), 2);
    assert_int_equal(shutdown(p.peer, SHUT_WR), 0);
    turn_until(l, p.calls == 1);
    assert_int_equal(p.last, SOCK_HUP);
    assert_in_range(turns_in_5_ms(l), 1, 12);
    assert_int_equal(p.calls, 1);
    sock_watch(p.s, SOCK_READABLE);
    turn_until(l, p.calls == 2);
    assert_int_equal(p.last, SOCK_READABLE);
    assert_int_equal(sock_read(p.s, bytes, sizeof bytes, &e), 2);
    assert_int_equal(sock_read(p.s, bytes, sizeof bytes, &e), -ERR_CLOSED);
    assert_int_equal(e.os_errno, 0);
    sock_watch(p.s, 0);
    close(p.peer);   /* now both directions are shut: EPOLLHUP, which cannot be masked */
    p.peer = -1;
    assert_in_range(turns_in_5_ms(l), 1, 12);
    sock_set_callback(p.s, probe_event, &p);
    turn_until(l, p.hups == 2);   /* the new owner hears it too */
    probe_close(&p);
    loop_free(l);
}

/* A connected pair over TCP: the socket under test, and the other's descriptor. */
static void take_fd(void *self, int fd, const struct addr *from) {
    (void)from;
    *(int *)self = fd;
}

static void tcp_probe_open(struct probe *p, struct loop *l) {
    struct addr at = parsed("127.0.0.1:0");
    struct listener *ln;
    struct err e;
    int fd = -1;
    *p = (struct probe){.l = l, .peer = -1};
    assert_int_equal(listener_open(l, &at, NULL, take_fd, &fd, &ln, &e), 0);
    assert_int_equal(sock_connect(l, listener_addr(ln), probe_event, p, &p->s, &e), 0);
    assert_int_equal(p->calls, 0);
    turn_until(l, fd >= 0 && p->calls > 0);
    assert_int_equal(sock_connect_result(p->s, &e), 0);
    sock_watch(p->s, 0);
    p->peer = fd;
    p->calls = p->writables = 0;
    listener_close(&ln);
}

static void peer_reset(struct probe *p) {
    struct linger at_once = {.l_onoff = 1};
    assert_int_equal(setsockopt(p->peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    close(p->peer);
    p->peer = -1;
}

static void test_reset_while_nothing_is_wanted(void **state) {
    (void)state;
    struct loop *l = new_loop();
    struct probe p;
    char bytes[8];
    struct err e;
    tcp_probe_open(&p, l);
    peer_reset(&p);
    turn_until(l, p.calls == 1);
    assert_int_equal(p.last, SOCK_HUP);
    assert_in_range(turns_in_5_ms(l), 1, 12);
    assert_int_equal(p.calls, 1);
    sock_watch(p.s, SOCK_READABLE);
    turn_until(l, p.calls == 2);
    assert_int_equal(p.last, SOCK_READABLE);
    assert_int_equal(sock_read(p.s, bytes, sizeof bytes, &e), -ERR_CLOSED);
    assert_int_equal(e.os_errno, ECONNRESET);
    sock_watch(p.s, 0);
    assert_in_range(turns_in_5_ms(l), 1, 12);
    probe_close(&p);
    loop_free(l);
}

static void test_write_after_the_other_side_is_gone(void **state) {
    (void)state;
    struct loop *l = new_loop();
    struct probe p;
    struct err e;
    struct iovec iov = {.iov_base = (char[]){"x"}, .iov_len = 1};
    probe_open(&p, l);
    close(p.peer);
    p.peer = -1;
    assert_int_equal(sock_writev(p.s, &iov, 1, &e), -ERR_CLOSED);   /* and no SIGPIPE */
    assert_int_equal(e.os_errno, EPIPE);
    probe_close(&p);
    loop_free(l);
}

/* The peer sees the end in the same turn, before the loop polls again. */
static void test_close_is_at_once(void **state) {
    (void)state;
    struct loop *l = new_loop();
    struct probe p, q;
    char byte;
    tcp_probe_open(&p, l);
    tcp_probe_open(&q, l);
    sock_watch(p.s, SOCK_READABLE);
    (void)loop_turn(l, false);
    sock_close(&p.s);
    assert_null(p.s);
    assert_int_equal(recv(p.peer, &byte, 1, MSG_DONTWAIT), 0);
    sock_close_reset(&q.s);
    assert_int_equal(recv(q.peer, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, ECONNRESET);
    probe_close(&p);
    probe_close(&q);
    loop_free(l);
}

static struct probe *victim;

static void close_both(struct probe *p, unsigned events) {
    (void)events;
    sock_close(&p->s);
    sock_close(&victim->s);
    /* The freed descriptor numbers go to a new socket: events of the old ones must not reach it. */
    probe_open(victim, p->l);
    sock_watch(victim->s, SOCK_READABLE);
}

static void test_close_another_in_callback(void **state) {
    (void)state;
    struct loop *l = new_loop();
    struct probe p, q;
    probe_open(&p, l);
    probe_open(&q, l);
    int q_peer = q.peer;
    sock_watch(p.s, SOCK_READABLE);
    sock_watch(q.s, SOCK_READABLE);
    assert_int_equal(write(p.peer, "x", 1), 1);
    assert_int_equal(write(q.peer, "x", 1), 1);
    victim = &q;
    p.then = close_both;
    turn_until(l, p.calls == 1 || q.calls > 0);
    if (p.calls == 0) turn_until(l, p.calls == 1);   /* q came first: fine as well */
    turn_some(l);
    assert_int_equal(q.calls, 0);
    close(q_peer);
    probe_close(&p);
    probe_close(&q);
    loop_free(l);
}

static void test_facts(void **state) {
    (void)state;
    struct loop *l = new_loop();
    struct probe p;
    char bytes[8];
    struct err e;
    tcp_probe_open(&p, l);
    assert_true(sock_is_quiet(p.s));
    assert_int_equal(sock_kernel_bytes(p.s), 0);
    assert_int_equal(write(p.peer, "abc", 3), 3);
    turn_until(l, !sock_is_quiet(p.s));
    assert_int_equal(sock_kernel_bytes(p.s), 3);
    uint64_t calls = loop_stats(l)->recv_calls, got = loop_stats(l)->recv_bytes;
    assert_int_equal(sock_read(p.s, bytes, sizeof bytes, &e), 3);
    assert_int_equal(sock_read(p.s, bytes, sizeof bytes, &e), 0);
    assert_int_equal(sock_read(p.s, bytes, 0, &e), 0);
    assert_int_equal(loop_stats(l)->recv_calls - calls, 2);
    assert_int_equal(loop_stats(l)->recv_bytes - got, 3);
    probe_close(&p);
    loop_free(l);
}

static void test_adopted_sockets_are_tuned(void **state) {
    (void)state;
    struct loop *l = new_loop();
    struct addr at = parsed("127.0.0.1:0");
    struct listener *ln;
    struct err e;
    int fd = -1, value = 0;
    socklen_t len = sizeof value;
    struct probe p = {.l = l};
    assert_int_equal(listener_open(l, &at, NULL, take_fd, &fd, &ln, &e), 0);
    assert_int_equal(sock_connect(l, listener_addr(ln), probe_event, &p, &p.s, &e), 0);
    turn_until(l, fd >= 0);
    struct sock *s = sock_adopt(l, fd, probe_event, &p);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &len), 0);
    assert_true(value != 0);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, &len), 0);
    assert_int_equal(value, 16384);
    sock_close(&s);
    sock_close(&p.s);
    listener_close(&ln);
    loop_free(l);
}

/* The performance target, counted: a token costs one recv and one send on each side, and never a
 * second, empty recv. */
static void relay(struct end *end, struct slice bytes) {
    assert_int_equal(end_write(end, bytes), (ssize_t)bytes.len);
}

static void test_one_recv_and_one_send_a_token(void **state) {
    (void)state;
    struct stage st;
    stage_open(&st, "127.0.0.1:0");
    stage_connect(&st);
    st.server.on_bytes = relay;
    st.server.keeps_nothing = st.client.keeps_nothing = true;
    conn_read_on(st.server.c);
    conn_read_on(st.client.c);
    const struct loop_stats *stats = loop_stats(st.l);
    uint64_t recvs = stats->recv_calls, sends = stats->send_calls;
    for (unsigned i = 1; i <= 100; i++) {
        assert_int_equal(end_write(&st.client, SLICE("token")), 5);
        turn_until(st.l, st.client.got_bytes == 5 * (size_t)i);
    }
    assert_int_equal(stats->recv_calls - recvs, 200);
    assert_int_equal(stats->send_calls - sends, 200);
    stage_close(&st);
}

/* ---- listeners ---- */

static void count_fd(void *self, int fd, const struct addr *from) {
    (void)from;
    close(fd);
    ++*(unsigned *)self;
}

static void test_address_in_use(void **state) {
    (void)state;
    struct loop *l = new_loop();
    struct listener *a, *b = NULL;
    struct err e;
    unsigned count = 0;
    char text[ADDR_TEXT_BYTES], want[200];
    struct addr at = parsed("127.0.0.1:0");
    struct listen_options first = {.shared = true, .first = true}, more = {.shared = true};
    assert_int_equal(listener_open(l, &at, &first, count_fd, &count, &a, &e), 0);
    at = *listener_addr(a);
    assert_true(addr_port(&at) != 0);
    snprintf(want, sizeof want, "listen on %s: Address already in use", addr_text(&at, text));
    assert_int_equal(listener_open(l, &at, NULL, count_fd, &count, &b, &e), -ERR_IO);
    assert_int_equal(e.os_errno, EADDRINUSE);
    assert_string_equal(e.text, want);
    /* A stranger that shares its port would be let in by the kernel: the first of ours looks. */
    assert_int_equal(listener_open(l, &at, &first, count_fd, &count, &b, &e), -ERR_IO);
    assert_int_equal(e.os_errno, EADDRINUSE);
    assert_int_equal(listener_open(l, &at, &more, count_fd, &count, &b, &e), 0);
    listener_close(&b);
    listener_close(&a);
    assert_int_equal(listener_open(l, &at, &first, count_fd, &count, &a, &e), 0);   /* free again */
    listener_close(&a);
    loop_free(l);
}

static void test_v6_beside_v4(void **state) {
    (void)state;
    struct loop *l = new_loop();
    struct listener *four = NULL, *six = NULL;
    struct err e;
    unsigned count = 0;
    struct addr at = parsed("[::]:0"), at4 = parsed("0.0.0.0:0");
    for (int tries = 0; tries < 20 && !four; tries++) {   /* a port may be taken over IPv4 alone */
        if (listener_open(l, &at, NULL, count_fd, &count, &six, &e) < 0) {
            loop_free(l);
            skip();   /* a machine without IPv6 */
        }
        addr_set_port(&at4, addr_port(listener_addr(six)));
        if (listener_open(l, &at4, NULL, count_fd, &count, &four, &e) < 0) four = NULL;
        listener_close(&six);
    }
    if (!four) fail_msg("%s", e.text);
    listener_close(&four);
    loop_free(l);
}

static int connect_raw(const struct addr *to) {
    int fd = socket(to->u.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (connect(fd, &to->u.sa, to->len) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void test_pause(void **state) {
    (void)state;
    struct loop *l = new_loop();
    struct listener *ln;
    struct err e;
    unsigned count = 0;
    struct addr at = parsed("127.0.0.1:0");
    assert_int_equal(listener_open(l, &at, NULL, count_fd, &count, &ln, &e), 0);
    listener_pause(ln, true);
    int fd = connect_raw(listener_addr(ln));
    turn_some(l);
    assert_int_equal(count, 0);
    listener_pause(ln, false);
    turn_until(l, count == 1);
    close(fd);
    listener_close(&ln);
    loop_free(l);
}

static void close_listener(void *self, int fd, const struct addr *from) {
    (void)from;
    close(fd);
    listener_close(self);
}

static void test_close_listener_in_callback(void **state) {
    (void)state;
    struct loop *l = new_loop();
    struct listener *ln;
    struct err e;
    struct addr at = parsed("127.0.0.1:0");
    assert_int_equal(listener_open(l, &at, NULL, close_listener, &ln, &ln, &e), 0);
    at = *listener_addr(ln);
    int a = connect_raw(&at), b = connect_raw(&at);
    turn_until(l, ln == NULL);
    assert_int_equal(connect_raw(&at), -1);
    close(a);
    close(b);
    loop_free(l);
}

/* With no descriptor left, clients are turned away, the loop sleeps, and later ones are served. */
static void test_out_of_descriptors(void **state) {
    (void)state;
    struct loop *l = new_loop();
    struct listener *ln;
    struct err e;
    struct rlimit old, low;
    unsigned count = 0;
    char byte;
    struct addr at = parsed("127.0.0.1:0");
    assert_int_equal(listener_open(l, &at, NULL, count_fd, &count, &ln, &e), 0);
    (void)loop_turn(l, false);
    int clients[3];
    for (int i = 0; i < 3; i++) clients[i] = connect_raw(listener_addr(ln));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur = (rlim_t)clients[2] + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    int holes[64], hole_count = 0;   /* lower numbers that are free */
    while (hole_count < 64 && (holes[hole_count] = dup(0)) >= 0) hole_count++;
    turn_until(l, listener_refused(ln) == 3);
    assert_int_equal(count, 0);
    assert_in_range(turns_in_5_ms(l), 1, 12);
    for (int i = 0; i < 3; i++) {
        ssize_t n = recv(clients[i], &byte, 1, 0);
        assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
        close(clients[i]);
    }
    for (int i = 0; i < hole_count; i++) close(holes[i]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    int late = connect_raw(listener_addr(ln));
    turn_until(l, count == 1);
    close(late);
    listener_close(&ln);
    loop_free(l);
}

/* ---- Unix sockets ---- */

struct unix_place {
    char dir[40], path[64], text[80];
    struct addr at;
};

static void unix_place_open(struct unix_place *place) {
    snprintf(place->dir, sizeof place->dir, "/tmp/penstock-net-XXXXXX");
    assert_non_null(mkdtemp(place->dir));
    snprintf(place->path, sizeof place->path, "%s/s", place->dir);
    snprintf(place->text, sizeof place->text, "unix:%s", place->path);
    place->at = parsed(place->text);
}

static void unix_place_close(struct unix_place *place) {
    unlink(place->path);
    rmdir(place->dir);
}

static bool exists(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0;
}

static void test_unix_listener(void **state) {
    (void)state;
    struct loop *l = new_loop();
    struct unix_place place;
    struct listener *ln, *other = NULL;
    struct err e;
    struct stat st;
    unsigned count = 0;
    unix_place_open(&place);
    mode_t mask = umask(077);
    assert_int_equal(listener_open(l, &place.at, NULL, count_fd, &count, &ln, &e), 0);
    umask(mask);
    assert_int_equal(stat(place.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    int fd = connect_raw(&place.at);
    turn_until(l, count == 1);
    close(fd);
    /* it lives */
    assert_int_equal(listener_open(l, &place.at, NULL, count_fd, &count, &other, &e), -ERR_IO);
    assert_int_equal(e.os_errno, EADDRINUSE);
    assert_true(exists(place.path));
    listener_close(&ln);
    assert_false(exists(place.path));
    unix_place_close(&place);
    loop_free(l);
}

static void test_stale_unix_socket_is_replaced(void **state) {
    (void)state;
    struct loop *l = new_loop();
    struct unix_place place;
    struct listener *ln;
    struct err e;
    unsigned count = 0;
    unix_place_open(&place);
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(dead, &place.at.u.sa, place.at.len), 0);
    close(dead);
    assert_true(exists(place.path));
    struct listen_options o = {.unix_mode = 0600};
    if (listener_open(l, &place.at, &o, count_fd, &count, &ln, &e) < 0) fail_msg("%s", e.text);
    int fd = connect_raw(&place.at);
    assert_true(fd >= 0);
    close(fd);
    /* Somebody put another file there meanwhile: it is not ours to remove. */
    unlink(place.path);
    int file = open(place.path, O_CREAT | O_WRONLY, 0600);
    close(file);
    listener_close(&ln);
    assert_true(exists(place.path));
    assert_int_equal(listener_open(l, &place.at, NULL, count_fd, &count, &ln, &e), -ERR_IO);
    assert_non_null(strstr(e.text, "not a socket"));
    assert_true(exists(place.path));
    unix_place_close(&place);
    loop_free(l);
}

/* ---- names ---- */

struct names {
    unsigned calls, count;
    struct addr addrs[LOOP_MAX_ADDRS];
    struct err e;
};

static void on_names(void *self, const struct addr *addrs, unsigned count, const struct err *e) {
    struct names *n = self;
    n->calls++;
    n->count = count;
    for (unsigned i = 0; i < count; i++) n->addrs[i] = addrs[i];
    if (e) n->e = *e;
}

static void test_names(void **state) {
    (void)state;
    struct loop *l = new_loop();
    struct names good = {0}, bad = {0}, cancelled = {0};
    (void)loop_lookup_start(l, SLICE("127.0.0.1"), 81, on_names, &good);
    (void)loop_lookup_start(l, SLICE("a\0b"), 81, on_names, &bad);
    struct loop_lookup *lookup = loop_lookup_start(l, SLICE("127.0.0.2"), 81, on_names, &cancelled);
    struct loop_lookup *refused = loop_lookup_start(l, SLICE_NULL, 81, on_names, &cancelled);
    loop_lookup_cancel(&lookup);
    loop_lookup_cancel(&refused);
    assert_null(lookup);
    assert_int_equal(good.calls + bad.calls, 0);
    turn_until(l, good.calls == 1 && bad.calls == 1);
    assert_int_equal(good.count, 1);
    assert_int_equal(addr_port(&good.addrs[0]), 81);
    assert_int_equal(bad.count, 0);
    assert_int_equal(bad.e.kind, ERR_DNS);
    while (loop_turn(l, true)) {}
    assert_int_equal(cancelled.calls, 0);
    loop_free(l);
}

/* Non-blocking connects to a socket whose queue is full are refused at once: they wait for room. */
static void test_full_queue_of_a_unix_socket(void **state) {
    (void)state;
    struct stage st;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int waiting[64], n = 0, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    stage_open(&st, "127.0.0.1:0");
    snprintf(at.sun_path, sizeof at.sun_path, "/tmp/penstock-full-%p", (void *)&st);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 1), 0);
    for (; n < 64; n++) {
        waiting[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (connect(waiting[n], (struct sockaddr *)&at, sizeof at) < 0) break;
    }
    assert_true(n < 64);
    struct dial_options o = {.unix_path = slice_cstr(at.sun_path), .connect_timeout_ns = GUARD_NS};
    st.dial = dial_start(st.l, &o, end_on_ready, &st.client);
    for (int turn = 0; turn < 3; turn++) (void)loop_turn(st.l, true);
    assert_false(st.client.has_dialed);
    int accepted = accept(fd, NULL, NULL);
    turn_until(st.l, st.client.has_dialed);
    assert_non_null(st.client.c);
    close(accepted);
    for (int i = 0; i <= n; i++) close(waiting[i]);
    close(fd);
    unlink(at.sun_path);
    stage_close(&st);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_of_a_turn),
        cmocka_unit_test(test_nothing_left),
        cmocka_unit_test(test_turn_end_that_queues_anew),
        cmocka_unit_test(test_turn_end_runs_before_loop_is_freed),
        cmocka_unit_test(test_timers),
        cmocka_unit_test(test_idle_loop_sleeps),
        cmocka_unit_test(test_post_from_threads),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_signal),
        cmocka_unit_test(test_hand_over_to_another_loop),
        cmocka_unit_test(test_level_triggered),
        cmocka_unit_test(test_hup_once_and_no_spin),
        cmocka_unit_test(test_reset_while_nothing_is_wanted),
        cmocka_unit_test(test_write_after_the_other_side_is_gone),
        cmocka_unit_test(test_close_is_at_once),
        cmocka_unit_test(test_close_another_in_callback),
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_adopted_sockets_are_tuned),
        cmocka_unit_test(test_one_recv_and_one_send_a_token),
        cmocka_unit_test(test_address_in_use),
        cmocka_unit_test(test_v6_beside_v4),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_close_listener_in_callback),
        cmocka_unit_test(test_out_of_descriptors),
        cmocka_unit_test(test_unix_listener),
        cmocka_unit_test(test_stale_unix_socket_is_replaced),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_full_queue_of_a_unix_socket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
