/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated network. A connection has two sides; each side has a pipe of what comes towards it:
 *
 *   writev ──▶ in flight (ordered, delayed) ──▶ ready ──▶ read
 *
 * As in a kernel: in flight and ready together are bounded; FIN and RST queue behind the bytes
 * before them; bytes that are ready when an RST comes can still be read, then reads fail; a close
 * with unread bytes, and bytes for a side that is closed, are answered by RST; RDHUP and errors
 * show whether or not reads are wanted. Readiness is level-triggered and taken at the start of a
 * turn, so that an event may be stale when its callback runs: a read may find nothing. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/loop_sim-private.h"

#define FIRST_FD 1000000
#define FIRST_PORT 20000
#define ACCEPTS_A_TURN 64
#define DEFAULT_BACKLOG 1024

struct segment {
    struct segment *next;
    size_t len, off;
    char bytes[];
};

struct pipe {
    struct segment *head, **tail;
    size_t ready_bytes, flight_bytes;
    int64_t last_delivery_ns;        /* the next one is not earlier */
    bool fin, rst;                   /* arrived */
    bool is_stalled;                 /* nothing arrives any more */
    bool is_severed;                 /* after a cut: what is sent here is answered by RST */
    struct sim_plan_for_pipe plan;
    unsigned next_read_size;
    size_t read_size_left;           /* of the planned read that is going on */
};

struct side {
    struct connection *connection;
    struct side *other;
    struct pipe in;
    struct addr local, remote;
    struct sock *sock;               /* NULL: not adopted yet, or closed */
    bool is_open, is_write_shut;
};

struct connection {
    struct side client, server;
    unsigned refs;                   /* open sides and planned events */
};

enum sock_state { SOCK_CONNECTING, SOCK_CONNECTED, SOCK_REFUSED };

struct sock {
    struct sock *next;
    struct loop *loop;
    struct side *side;
    sock_event_fn *fn;
    void *self;
    enum sock_state state;
    int connect_errno;
    unsigned wanted, ready;          /* ready: at the start of this turn */
    bool has_reported_hup, is_closed;
};

struct listener {
    struct listener *next;
    struct loop *loop;
    accept_fn *fn;
    void *self;
    struct addr at;
    bool is_shared, is_paused;
    unsigned backlog, queue_count;
    int queue[DEFAULT_BACKLOG];      /* descriptors */
};

/* Descriptors that no socket has adopted. */
static struct side **descriptors;
static unsigned descriptor_count;
static uint16_t next_port = FIRST_PORT;

/* ---- connections ---- */

static void connection_unref(struct connection *c) {
    assert(c->refs > 0);
    if (--c->refs > 0) return;
    struct side *sides[2] = {&c->client, &c->server};
    for (int i = 0; i < 2; i++) {
        for (struct segment *s = sides[i]->in.head; s;) {
            struct segment *next = s->next;
            free(s);
            s = next;
        }
        mem_free(sides[i]->in.plan.read_sizes);
    }
    sim.open_connections--;
    free(c);
}

static void side_init(struct side *side, struct connection *c, struct side *other) {
    side->connection = c;
    side->other = other;
    side->in.tail = &side->in.head;
    side->in.plan.cut = CUT_NONE;
}

static struct connection *connection_new(void) {
    struct connection *c = sim_alloc(sizeof *c);
    side_init(&c->client, c, &c->server);
    side_init(&c->server, c, &c->client);
    sim.open_connections++;
    return c;
}

static void side_open(struct side *side) {
    side->is_open = true;
    side->connection->refs++;
    sim.open_sides++;
}

unsigned sim_open_connections(void) {
    return sim.open_connections;
}

static int64_t latency_ns(void) {
    int64_t min_ns = sim.options.latency_min_ns, max_ns = sim.options.latency_max_ns;
    if (max_ns <= min_ns) return min_ns;
    return min_ns + (int64_t)rng_below(&sim.rng, (uint64_t)(max_ns - min_ns) + 1);
}

/* Something on its way to a side, behind what is on its way already. */
static void send_to(struct side *to, sim_event_fn *arrives, size_t number) {
    int64_t at_ns = sim.now_ns + latency_ns();
    if (at_ns < to->in.last_delivery_ns) at_ns = to->in.last_delivery_ns;
    to->in.last_delivery_ns = at_ns;
    to->connection->refs++;
    sim_plan(at_ns, arrives, to, number);
}

/* ---- what arrives ---- */

static bool is_deaf(const struct side *side) {
    return !side->is_open || side->in.is_stalled || side->in.rst;
}

static void rst_arrives(void *self, size_t unused) {
    struct side *side = self;
    (void)unused;
    if (!is_deaf(side)) side->in.rst = true;
    connection_unref(side->connection);
}

static void fin_arrives(void *self, size_t unused) {
    struct side *side = self;
    (void)unused;
    if (!is_deaf(side) && !side->in.is_severed) side->in.fin = true;
    connection_unref(side->connection);
}

/* The cut of the test: the receiver sees FIN or RST, the sender RST, as if a box in between had
 * died. */
static void pipe_cut(struct side *receiver) {
    struct pipe *in = &receiver->in;
    int how = in->plan.cut;
    in->plan.cut = CUT_NONE;
    if (how == SIM_CUT_STALL) {
        in->is_stalled = true;
        return;
    }
    if (how == SIM_CUT_FIN) in->fin = true;
    else in->rst = true;
    in->is_severed = true;
    if (!is_deaf(receiver->other)) receiver->other->in.rst = true;
    receiver->other->in.is_severed = true;
}

static void bytes_become_ready(struct side *side, size_t bytes) {
    struct pipe *in = &side->in;
    bool is_cut = in->plan.cut != CUT_NONE && bytes >= in->plan.cut_after_bytes;
    size_t arrived = is_cut ? in->plan.cut_after_bytes : bytes;
    if (in->plan.cut != CUT_NONE) in->plan.cut_after_bytes -= arrived;
    in->ready_bytes += arrived;
    in->flight_bytes -= arrived;
    if (is_cut) pipe_cut(side);
}

static void bytes_arrive(void *self, size_t bytes) {
    struct side *side = self;
    if (!side->in.is_stalled && (!side->is_open || side->in.is_severed))
        send_to(side->other, rst_arrives, 0);
    else if (!is_deaf(side)) bytes_become_ready(side, bytes);
    connection_unref(side->connection);
}

/* ---- reading and writing ---- */

/* The size that the test wants for the next read, 0 when any will do. */
static size_t planned_read(const struct pipe *in) {
    if (in->read_size_left > 0) return in->read_size_left;
    return in->next_read_size < in->plan.read_size_count ? in->plan.read_sizes[in->next_read_size]
                                                         : 0;
}

static size_t readable_bytes(const struct pipe *in) {
    size_t planned = planned_read(in);
    if (planned == 0 || in->ready_bytes < planned) {
        /* A planned read waits until it can have all, or an end. */
        return planned > 0 && !in->fin && !in->rst ? 0 : in->ready_bytes;
    }
    return planned;
}

static bool pipe_is_readable(const struct pipe *in) {
    return readable_bytes(in) > 0 || in->fin || in->rst;
}

static void note_planned_read(struct pipe *in, size_t bytes) {
    size_t planned = planned_read(in);
    if (planned == 0) return;
    if (in->read_size_left == 0) in->next_read_size++;
    in->read_size_left = bytes < planned ? planned - bytes : 0;
}

static void pipe_take(struct pipe *in, char *into, size_t bytes) {
    in->ready_bytes -= bytes;
    while (bytes > 0) {
        struct segment *s = in->head;
        size_t n = s->len - s->off < bytes ? s->len - s->off : bytes;
        memcpy(into, s->bytes + s->off, n);
        into += n;
        bytes -= n;
        s->off += n;
        if (s->off < s->len) break;
        in->head = s->next;
        if (!in->head) in->tail = &in->head;
        free(s);
    }
}

static int lost(struct err *e, const char *what) {
    return err_set_os(e, ERR_CLOSED, ECONNRESET, "%s", what);
}

ssize_t sock_read(struct sock *s, void *into, size_t max, struct err *e) {
    struct pipe *in = &s->side->in;
    if (max == 0 || s->state == SOCK_CONNECTING) return 0;
    if (s->state == SOCK_REFUSED) return err_set_os(e, ERR_IO, ENOTCONN, "read");
    s->loop->stats.recv_calls++;
    size_t n = readable_bytes(in);
    if (n == 0) {
        if (in->rst) return lost(e, "read");
        return in->fin ? err_set(e, ERR_CLOSED, "the other side closed the connection") : 0;
    }
    if (n > max) n = max;
    size_t limit = sim.options.max_read_bytes;
    if (limit > 0 && planned_read(in) == 0) n = 1 + rng_below(&sim.rng, n < limit ? n : limit);
    note_planned_read(in, n);
    pipe_take(in, into, n);
    s->loop->stats.recv_bytes += n;
    if (into == s->loop->read_buffer && n > s->loop->read_buffer_used)
        s->loop->read_buffer_used = n;
    return (ssize_t)n;
}

static size_t pipe_room(const struct pipe *to) {
    size_t used = to->ready_bytes + to->flight_bytes;
    return used < sim.options.socket_buffer_bytes ? sim.options.socket_buffer_bytes - used : 0;
}

static struct segment *gather(const struct iovec *iov, int n_iov, size_t bytes) {
    struct segment *s = sim_alloc(sizeof *s + bytes);
    s->len = bytes;
    for (size_t at = 0; at < bytes; iov++) {
        assert(n_iov-- > 0);
        size_t n = iov->iov_len < bytes - at ? iov->iov_len : bytes - at;
        if (n > 0) memcpy(s->bytes + at, iov->iov_base, n);
        at += n;
    }
    return s;
}

ssize_t sock_writev(struct sock *s, const struct iovec *iov, int n_iov, struct err *e) {
    if (s->state == SOCK_CONNECTING) return 0;
    if (s->state == SOCK_REFUSED || s->side->is_write_shut) {
        return err_set_os(e, ERR_CLOSED, EPIPE, "write");
    }
    s->loop->stats.send_calls++;
    if (s->side->in.rst) return lost(e, "write");
    struct side *to = s->side->other;
    size_t bytes = 0, room = pipe_room(&to->in);
    for (int i = 0; i < n_iov; i++) bytes += iov[i].iov_len;
    if (bytes > room) bytes = room;
    if (bytes == 0) return 0;
    size_t limit = sim.options.max_write_bytes;
    if (limit > 0) bytes = 1 + rng_below(&sim.rng, bytes < limit ? bytes : limit);
    struct segment *segment = gather(iov, n_iov, bytes);
    *to->in.tail = segment;
    to->in.tail = &segment->next;
    to->in.flight_bytes += bytes;
    send_to(to, bytes_arrive, bytes);
    s->loop->stats.send_bytes += bytes;
    return (ssize_t)bytes;
}

static void side_send_fin(struct side *side) {
    if (side->is_write_shut) return;
    side->is_write_shut = true;
    send_to(side->other, fin_arrives, 0);
}

void sock_shutdown_write(struct sock *s) {
    if (s->state == SOCK_CONNECTED) side_send_fin(s->side);
}

bool sock_is_quiet(struct sock *s) {
    const struct pipe *in = &s->side->in;
    return s->state == SOCK_CONNECTED && in->ready_bytes == 0 && !in->fin && !in->rst;
}

size_t sock_kernel_bytes(const struct sock *s) {
    return s->side->in.ready_bytes + s->side->other->in.flight_bytes;
}

/* ---- sockets ---- */

static bool is_writable(const struct sock *s) {
    return pipe_room(&s->side->other->in) > 0 || s->side->in.rst || s->side->is_write_shut;
}

static unsigned sock_ready(const struct sock *s) {
    const struct pipe *in = &s->side->in;
    switch (s->state) {
    case SOCK_CONNECTING:
        return 0;
    case SOCK_REFUSED:
        return SOCK_WRITABLE | SOCK_HUP;
    default:
        return (pipe_is_readable(in) ? SOCK_READABLE : 0u) | (is_writable(s) ? SOCK_WRITABLE : 0u) |
               (in->fin || in->rst ? SOCK_HUP : 0u);
    }
}

static unsigned due_events(const struct sock *s) {
    return s->ready & (s->wanted | (s->has_reported_hup ? 0u : SOCK_HUP));
}

static struct sock *sock_new(struct loop *l, struct side *side, sock_event_fn *fn, void *self) {
    struct sock *s = sim_alloc(sizeof *s);
    *s = (struct sock){.loop = l, .side = side, .fn = fn, .self = self};
    side->sock = s;
    *l->socks_tail = s;
    l->socks_tail = &s->next;
    l->open_socks++;
    return s;
}

void net_sweep(struct loop *l) {
    for (struct sock **at = &l->socks; *at;) {
        struct sock *s = *at;
        if (!s->is_closed) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        free(s);
    }
    l->socks_tail = &l->socks;
    while (*l->socks_tail) l->socks_tail = &(*l->socks_tail)->next;
}

static void shuffle(struct sock **list, size_t count) {
    for (size_t i = count; i > 1; i--) {
        size_t j = rng_below(&sim.rng, i);
        struct sock *moved = list[i - 1];
        list[i - 1] = list[j];
        list[j] = moved;
    }
}

static size_t collect_ready(struct loop *l, struct sock **list) {
    size_t count = 0;
    for (struct sock *s = l->socks; s; s = s->next) {
        if (s->is_closed) continue;
        s->ready = sock_ready(s);
        if (due_events(s)) list[count++] = s;
    }
    return count;
}

unsigned net_run_sockets(struct loop *l) {
    if (l->open_socks == 0) return 0;
    struct sock **list = sim_alloc(l->open_socks * sizeof *list);
    size_t count = collect_ready(l, list);
    unsigned called = 0;
    if (sim.options.shuffle_events) shuffle(list, count);
    for (size_t i = 0; i < count; i++) {
        struct sock *s = list[i];
        /* what others' callbacks left of it */
        unsigned events = s->is_closed ? 0 : due_events(s);
        if (!events) continue;
        if (events & SOCK_HUP) s->has_reported_hup = true;
        called++;
        s->fn(s->self, events);
    }
    free(list);
    return called;
}

void sock_watch(struct sock *s, unsigned events) {
    s->wanted = events & (SOCK_READABLE | SOCK_WRITABLE);
}

void sock_set_callback(struct sock *s, sock_event_fn *fn, void *self) {
    s->fn = fn;
    s->self = self;
    s->has_reported_hup = false;
}

static void side_close(struct side *side, bool with_reset) {
    side->is_open = false;
    side->sock = NULL;
    if (with_reset || (side->in.ready_bytes > 0 && !side->in.rst))
        send_to(side->other, rst_arrives, 0);
    else side_send_fin(side);
    sim.open_sides--;
    connection_unref(side->connection);
}

static void close_sock(struct sock **s, bool with_reset) {
    if (!*s) return;
    struct sock *dying = *s;
    *s = NULL;
    dying->is_closed = true;   /* freed by net_sweep */
    dying->loop->open_socks--;
    side_close(dying->side, with_reset);
}

void sock_close(struct sock **s) {
    close_sock(s, false);
}

void sock_close_reset(struct sock **s) {
    close_sock(s, true);
}

bool sock_local_addr(const struct sock *s, struct addr *out) {
    *out = s->side->local;
    return true;
}

bool sock_remote_addr(const struct sock *s, struct addr *out) {
    *out = s->side->remote;
    return s->state == SOCK_CONNECTED;
}

/* ---- descriptors ---- */

static int descriptor_give(struct side *side) {
    unsigned i = 0;
    while (i < descriptor_count && descriptors[i]) i++;
    if (i == descriptor_count) {
        descriptors = realloc(descriptors, ++descriptor_count * sizeof(struct side *));
        if (!descriptors) sim_die("out of memory");
    }
    descriptors[i] = side;
    return FIRST_FD + (int)i;
}

static struct side *descriptor_take(int fd) {
    unsigned i = (unsigned)(fd - FIRST_FD);
    if (fd < FIRST_FD || i >= descriptor_count || !descriptors[i]) sim_die("no such descriptor");
    struct side *side = descriptors[i];
    descriptors[i] = NULL;
    return side;
}

struct sock *sock_adopt(struct loop *l, int fd, sock_event_fn *fn, void *self) {
    struct sock *s = sock_new(l, descriptor_take(fd), fn, self);
    s->state = SOCK_CONNECTED;
    return s;
}

void loop_close_fd(struct loop *l, int fd) {
    (void)l;
    side_close(descriptor_take(fd), false);
}

void net_reset(void) {
    free(descriptors);
    descriptors = NULL;
    descriptor_count = 0;
    next_port = FIRST_PORT;
}

/* ---- listening ---- */

static uint16_t give_port(void) {
    if (next_port < FIRST_PORT) next_port = FIRST_PORT;   /* all were given out: from the start */
    return next_port++;
}

static bool same_addr(const struct addr *a, const struct addr *b) {
    return addr_same_host(a, b) && addr_port(a) == addr_port(b);
}

static bool is_any_host(const struct addr *a) {
    static const struct in6_addr any6 = IN6ADDR_ANY_INIT;
    if (a->u.sa.sa_family == AF_INET) return a->u.in4.sin_addr.s_addr == 0;
    return a->u.sa.sa_family == AF_INET6 && memcmp(&a->u.in6.sin6_addr, &any6, sizeof any6) == 0;
}

static bool serves(const struct listener *ln, const struct addr *to) {
    if (same_addr(&ln->at, to)) return true;
    return is_any_host(&ln->at) && ln->at.u.sa.sa_family == to->u.sa.sa_family &&
           addr_port(&ln->at) == addr_port(to);
}

/* One of those that serve this address (several when shared), drawn by the seed. */
static struct listener *find_listener(const struct addr *to) {
    struct listener *found = NULL;
    unsigned seen = 0;
    for (struct loop *l = sim.loops; l; l = l->next) {
        for (struct listener *ln = l->listeners; ln; ln = ln->next) {
            if (!serves(ln, to)) continue;
            if (++seen == 1 || rng_below(&sim.rng, seen) == 0) found = ln;
        }
    }
    return found;
}

static bool is_taken(const struct addr *at, const struct listen_options *o) {
    for (struct loop *l = sim.loops; l; l = l->next) {
        for (struct listener *ln = l->listeners; ln; ln = ln->next) {
            bool is_sharing = o->shared && !o->first && ln->is_shared;
            if (same_addr(&ln->at, at) && !is_sharing) return true;
        }
    }
    return false;
}

int listener_open(struct loop *l, const struct addr *at, const struct listen_options *options,
                  accept_fn *fn, void *self, struct listener **out_listener, struct err *e) {
    static const struct listen_options defaults;
    const struct listen_options *o = options ? options : &defaults;
    struct addr bound = *at;
    if (!addr_is_unix(at) && addr_port(at) == 0) addr_set_port(&bound, give_port());
    if (is_taken(&bound, o)) {
        char text[ADDR_TEXT_BYTES];
        return err_set_os(e, ERR_IO, EADDRINUSE, "listen on %s", addr_text(at, text));
    }
    struct listener *ln = sim_alloc(sizeof *ln);
    ln->loop = l;
    ln->fn = fn;
    ln->self = self;
    ln->at = bound;
    ln->is_shared = o->shared;
    ln->backlog =
        o->backlog > 0 && o->backlog < DEFAULT_BACKLOG ? (unsigned)o->backlog : DEFAULT_BACKLOG;
    struct listener **last = &l->listeners;
    while (*last) last = &(*last)->next;
    *last = ln;
    sim.open_listeners++;
    *out_listener = ln;
    return 0;
}

const struct addr *listener_addr(const struct listener *ln) {
    return &ln->at;
}

void listener_pause(struct listener *ln, bool paused) {
    ln->is_paused = paused;
}

uint64_t listener_refused(const struct listener *ln) {
    (void)ln;
    return 0;
}

static int queue_take(struct listener *ln) {
    int fd = ln->queue[0];
    ln->queue_count--;
    memmove(&ln->queue[0], &ln->queue[1], ln->queue_count * sizeof ln->queue[0]);
    return fd;
}

void listener_close(struct listener **ln) {
    if (!*ln) return;
    struct listener *dying = *ln;
    *ln = NULL;
    while (dying->queue_count > 0) side_close(descriptor_take(queue_take(dying)), true);
    struct listener **at = &dying->loop->listeners;
    while (*at != dying) at = &(*at)->next;
    *at = dying->next;
    sim.open_listeners--;
    free(dying);
}

static bool is_open_listener(const struct loop *l, const struct listener *ln) {
    for (const struct listener *at = l->listeners; at; at = at->next) {
        if (at == ln) return true;
    }
    return false;
}

static unsigned accept_some(struct loop *l, struct listener *ln) {
    unsigned count = 0;
    while (count < ACCEPTS_A_TURN && is_open_listener(l, ln) && !ln->is_paused &&
           ln->queue_count > 0) {
        int fd = queue_take(ln);
        struct addr from = descriptors[fd - FIRST_FD]->remote;
        count++;
        ln->fn(ln->self, fd, &from);
    }
    return count;
}

unsigned net_run_listeners(struct loop *l) {
    unsigned count = 0;
    for (struct listener *ln = l->listeners; ln;) {
        count += accept_some(l, ln);
        /* it was closed: the others have the next turn */
        ln = is_open_listener(l, ln) ? ln->next : NULL;
    }
    return count;
}

/* ---- connecting ---- */

static void plan_pipes(struct connection *c, const struct listener *ln) {
    plan_take(&c->client.remote, &ln->at, true, &c->client.in.plan);
    plan_take(&c->client.remote, &ln->at, false, &c->server.in.plan);
    if (c->client.in.plan.cut != CUT_NONE && c->client.in.plan.cut_after_bytes == 0)
        pipe_cut(&c->client);
    if (c->server.in.plan.cut != CUT_NONE && c->server.in.plan.cut_after_bytes == 0)
        pipe_cut(&c->server);
}

/* The hello reaches the other host: it is refused, lost, or queued for the listener, which is what
 * makes the client's side connected. */
static void hello_arrives(void *self, size_t unused) {
    struct side *server = self, *client = server->other;
    struct connection *c = server->connection;
    struct sock *s = client->sock;
    (void)unused;
    if (s) {
        int os_errno = plan_connect_errno(&client->remote);
        struct listener *ln = os_errno ? NULL : find_listener(&client->remote);
        if (!os_errno && !ln) os_errno = ECONNREFUSED;
        if (ln && ln->queue_count >= ln->backlog) os_errno = ETIMEDOUT;   /* dropped */
        if (os_errno == 0) {
            s->state = SOCK_CONNECTED;
            side_open(server);
            plan_pipes(c, ln);
            ln->queue[ln->queue_count++] = descriptor_give(server);
        } else if (os_errno != ETIMEDOUT) {
            s->state = SOCK_REFUSED;
            s->connect_errno = os_errno;
        }
    }
    connection_unref(c);
}

/* A made-up address of the connecting side: loopback, as everything is on one machine. */
static void local_addr(const struct addr *to, struct addr *out) {
    *out = (struct addr){.len = to->len};
    out->u.sa.sa_family = to->u.sa.sa_family;
    if (to->u.sa.sa_family == AF_INET) out->u.in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (to->u.sa.sa_family == AF_INET6)
        out->u.in6.sin6_addr = (struct in6_addr)IN6ADDR_LOOPBACK_INIT;
    if (addr_is_unix(to)) out->len = sizeof(sa_family_t);
    else addr_set_port(out, give_port());
}

int sock_connect(struct loop *l, const struct addr *to, sock_event_fn *fn, void *self,
                 struct sock **out_sock, struct err *e) {
    struct connection *c = connection_new();
    (void)e;
    side_open(&c->client);
    local_addr(to, &c->client.local);
    c->client.remote = *to;
    c->server.local = *to;
    c->server.remote = c->client.local;
    *out_sock = sock_new(l, &c->client, fn, self);
    sock_watch(*out_sock, SOCK_WRITABLE);
    send_to(&c->server, hello_arrives, 0);
    return 0;
}

int sock_connect_result(struct sock *s, struct err *e) {
    if (s->state != SOCK_REFUSED) return 0;
    return err_set_os(e, ERR_CONNECT, s->connect_errno, "connect");
}
