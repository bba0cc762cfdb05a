/* SPDX-License-Identifier: Apache-2.0 */
/* A conn is a sock, or a sock under TLS, and the rules of net/conn.h about when it calls whom.
 *
 * Lifetime. Callbacks may close the conn. `busy` counts the calls that are on the stack; conn_close
 * closes the socket at once, and the memory goes when the last of them returns and no turn-end task
 * is queued (`conn_release`, `on_later`). Code that comes back from a callback asks conn_is_live
 * before it goes on.
 *
 * Watching. What the socket is to report follows from the flags alone (wanted_events); it is told
 * once, when the event is over. */
#include "net/conn.h"

#include <assert.h>

#include "base/mem.h"
#include "net/conn-private.h"
#include "net/tls-private.h"

#define DEFAULT_READ_BYTES 16384
#define READ_BYTES_A_TURN 65536

struct conn {
    struct loop *loop;
    struct sock *sock;             /* NULL: closed */
    struct tls_stream *tls;        /* NULL: plain */
    struct conn_callbacks cb;
    void *self;
    /* client's, until the handshake is over; then the callbacks above count */
    conn_handshake_fn *on_handshake;
    void *handshake_self;
    struct loop_task later;
    uint32_t read_bytes;
    uint16_t busy;
    bool is_later_queued;
    bool reads_on;
    bool owes_writable;            /* a write was short: on_writable is due */
    bool owes_close_notify;        /* conn_shutdown_write could not send it yet */
    bool watches_hup, has_hup;
    bool is_eof;                   /* on_eof was called */
    bool is_gone;                  /* on_gone was called, or a write told the owner */
};

static bool conn_is_live(const struct conn *c) {
    return c->sock && !c->is_gone;
}

/* ---- watching ---- */

/* TLS may have to write to read, and the reverse: that counts while there is somebody to read, or
 * to write. */
static unsigned tls_events(const struct conn *c) {
    unsigned events = tls_wanted_events(c->tls);
    if (!c->reads_on || c->is_eof) events &= ~(unsigned)SOCK_WRITABLE;
    if (!c->owes_writable) events &= ~(unsigned)SOCK_READABLE;
    return events;
}

static bool waits_for_room(const struct conn *c) {
    if (c->owes_close_notify) return true;
    if (!c->owes_writable || !c->tls) return c->owes_writable;
    /* Before the handshake is over, or while TLS must read first, a writable socket is no help. */
    return tls_is_open(c->tls) && !(tls_wanted_events(c->tls) & SOCK_READABLE);
}

static unsigned wanted_events(const struct conn *c) {
    if (c->is_gone) return 0;
    return (c->reads_on && !c->is_eof ? SOCK_READABLE : 0u) |
           (waits_for_room(c) ? SOCK_WRITABLE : 0u) | (c->tls ? tls_events(c) : 0u);
}

static void conn_update_watch(struct conn *c) {
    if (c->sock && c->busy == 0) sock_watch(c->sock, wanted_events(c));
}

static void conn_hold(struct conn *c) {
    c->busy++;
}

static void conn_free_if_over(struct conn *c) {
    if (c->sock || c->busy > 0 || c->is_later_queued) return;
    tls_stream_free(&c->tls);
    mem_free(c);
}

/* May free c. */
static void conn_release(struct conn *c) {
    assert(c->busy > 0);
    c->busy--;
    conn_update_watch(c);
    conn_free_if_over(c);
}

/* ---- what the owner hears ---- */

static void report_gone(struct conn *c, const struct err *e) {
    c->is_gone = true;
    if (c->cb.on_gone) c->cb.on_gone(c->self, e);
}

static void report_eof(struct conn *c) {
    c->is_eof = true;
    if (c->cb.on_eof) c->cb.on_eof(c->self);
}

static void report_hup(struct conn *c) {
    struct err e;
    err_set(&e, ERR_CLOSED, "the other side closed the connection");
    report_gone(c, &e);
}

static void report_writable(struct conn *c) {
    c->owes_writable = false;
    if (c->cb.on_writable) c->cb.on_writable(c->self);
}

static bool hup_is_due(const struct conn *c) {
    return c->has_hup && c->watches_hup && !c->reads_on && !c->is_eof;
}

/* ---- reading ---- */

static void on_later(struct loop_task *task, void *self);

static void queue_later(struct conn *c) {
    if (c->is_later_queued) return;
    c->is_later_queued = true;
    c->later = (struct loop_task){.fn = on_later, .self = c};
    loop_at_turn_end(c->loop, &c->later);
}

static ssize_t read_some(struct conn *c, char *into, struct err *e) {
    if (c->tls) return tls_read(c->tls, into, c->read_bytes, e);
    return sock_read(c->sock, into, c->read_bytes, e);
}

/* Whether the next read is likely to give something now: a full buffer, or an end that has shown
 * already. */
static bool expects_more(const struct conn *c, size_t last_read) {
    if (c->has_hup) return true;
    return c->tls ? tls_may_have_more(c->tls) : last_read == c->read_bytes;
}

static void read_ended(struct conn *c, const struct err *e) {
    if (e->kind == ERR_CLOSED && e->os_errno == 0) report_eof(c);
    else report_gone(c, e);
}

static void conn_read(struct conn *c) {
    char *buffer = loop_read_buffer(c->loop);
    for (size_t total = 0; total < READ_BYTES_A_TURN;) {
        struct err e;
        ssize_t n = read_some(c, buffer, &e);
        if (n < 0) read_ended(c, &e);
        if (n <= 0) return;
        total += (size_t)n;
        if (c->cb.on_bytes) c->cb.on_bytes(c->self, slice_make(buffer, (size_t)n));
        if (!conn_is_live(c) || !c->reads_on || !expects_more(c, (size_t)n)) return;
    }
    if (c->tls && tls_has_pending(c->tls)) queue_later(c);   /* no event will tell of it */
}

static void conn_readable(struct conn *c) {
    if (c->reads_on && !c->is_eof) conn_read(c);
    else if (hup_is_due(c)) report_hup(c);
}

/* ---- the handshake ---- */

static void handshake_ended(struct conn *c, const struct err *e) {
    conn_handshake_fn *fn = c->on_handshake;
    void *self = c->handshake_self;
    c->on_handshake = NULL;
    if (fn) {
        c->reads_on = false;
        if (e) c->is_gone = true;
        fn(self, c, e);
    } else if (e) {
        report_gone(c, e);
    }
}

static void conn_handshake(struct conn *c) {
    struct err e;
    int rc = tls_handshake(c->tls, &e);
    if (rc == 0) return;
    handshake_ended(c, rc < 0 ? &e : NULL);
    /* The first bytes may have come in the same packet. */
    if (conn_is_live(c) && c->reads_on && tls_may_have_more(c->tls)) conn_read(c);
}

static bool is_handshaking(const struct conn *c) {
    return c->tls && !tls_is_open(c->tls);
}

/* ---- events ---- */

static void finish_close_notify(struct conn *c) {
    if (!tls_close_notify(c->tls)) return;
    c->owes_close_notify = false;
    sock_shutdown_write(c->sock);
}

static bool is_writable_now(const struct conn *c, unsigned events) {
    if (!c->owes_writable) return false;
    if (events & SOCK_WRITABLE) return true;
    return c->tls && events & tls_events(c) & SOCK_READABLE;
}

static void conn_events(struct conn *c, unsigned events) {
    if (is_handshaking(c)) {
        if (c->reads_on) conn_handshake(c);
        else if (hup_is_due(c)) report_hup(c);
        return;
    }
    bool is_writable = is_writable_now(c, events);
    bool tls_can_go_on = c->tls && tls_events(c) & events;
    if (events & (SOCK_READABLE | SOCK_HUP) || tls_can_go_on) conn_readable(c);
    if (!conn_is_live(c)) return;
    if (c->owes_close_notify && events & SOCK_WRITABLE) finish_close_notify(c);
    if (is_writable && c->owes_writable) report_writable(c);
}

static void on_sock_event(void *self, unsigned events) {
    struct conn *c = self;
    if (c->is_gone) return;
    conn_hold(c);
    if (events & SOCK_HUP) c->has_hup = true;
    conn_events(c, events);
    conn_release(c);
}

/* Turn's end: what no socket event would bring. */
static void on_later(struct loop_task *task, void *self) {
    struct conn *c = self;
    (void)task;
    c->is_later_queued = false;
    conn_hold(c);
    if (conn_is_live(c)) conn_events(c, c->reads_on ? SOCK_READABLE : SOCK_HUP);
    conn_release(c);
}

/* ---- life ---- */

struct conn *conn_new(struct loop *l, struct sock *sock) {
    struct conn *c = mem_alloc(sizeof *c);
    *c = (struct conn){.loop = l, .sock = sock, .read_bytes = DEFAULT_READ_BYTES};
    sock_set_callback(sock, on_sock_event, c);
    sock_watch(sock, 0);
    return c;
}

struct conn *conn_accept(struct loop *l, int fd, struct tls_context *tls,
                         const struct conn_callbacks *cb, void *self) {
    struct conn *c = mem_alloc(sizeof *c);
    *c = (struct conn){.loop = l, .read_bytes = DEFAULT_READ_BYTES, .cb = *cb, .self = self};
    c->sock = sock_adopt(l, fd, on_sock_event, c);
    if (tls) c->tls = tls_stream_new_server(tls, c->sock);
    return c;
}

void conn_start_tls(struct conn *c, struct tls_context *tls, struct slice host,
                    struct tls_session_slot *slot, conn_handshake_fn *on_handshake, void *self) {
    c->tls = tls_stream_new_client(tls, c->sock, host, slot);
    c->on_handshake = on_handshake;
    c->handshake_self = self;
    c->reads_on = true;
    queue_later(c);   /* says hello at the end of this turn */
}

bool conn_tls_is_resumed(const struct conn *c) {
    return c->tls && tls_is_resumed(c->tls);
}

void conn_set_callbacks(struct conn *c, const struct conn_callbacks *cb, void *self) {
    c->cb = *cb;
    c->self = self;
}

static void conn_end(struct conn **conn, void (*close_sock)(struct sock **s)) {
    struct conn *c = *conn;
    *conn = NULL;
    close_sock(&c->sock);
    conn_free_if_over(c);
}

void conn_close(struct conn **c) {
    if (!*c) return;
    if ((*c)->tls) (void)tls_close_notify((*c)->tls);
    conn_end(c, sock_close);
}

void conn_close_reset(struct conn **c) {
    if (*c) conn_end(c, sock_close_reset);
}

void conn_close_silent(struct conn **c) {
    if (*c) conn_end(c, sock_close);
}

/* ---- the owner's side ---- */

void conn_read_on(struct conn *c) {
    if (c->reads_on) return;
    c->reads_on = true;
    if (!conn_is_live(c) || c->is_eof) return;
    if (c->tls && tls_has_pending(c->tls)) queue_later(c);
    conn_update_watch(c);
}

void conn_read_off(struct conn *c) {
    c->reads_on = false;
    if (hup_is_due(c) && conn_is_live(c)) queue_later(c);
    conn_update_watch(c);
}

void conn_set_read_size(struct conn *c, size_t bytes) {
    if (bytes < 1) bytes = 1;
    c->read_bytes = (uint32_t)(bytes < LOOP_READ_BYTES ? bytes : LOOP_READ_BYTES);
}

void conn_watch_hup(struct conn *c, bool on) {
    c->watches_hup = on;
    if (hup_is_due(c) && conn_is_live(c)) queue_later(c);
}

static size_t iov_bytes(const struct iovec *iov, int n_iov) {
    size_t bytes = 0;
    for (int i = 0; i < n_iov; i++) bytes += iov[i].iov_len;
    return bytes;
}

static ssize_t write_some(struct conn *c, const struct iovec *iov, int n_iov, struct err *e) {
    if (!c->tls) return sock_writev(c->sock, iov, n_iov, e);
    return tls_is_open(c->tls) ? tls_writev(c->tls, iov, n_iov, e) : 0;
}

ssize_t conn_writev(struct conn *c, const struct iovec *iov, int n_iov, struct err *e) {
    if (!conn_is_live(c)) return err_set(e, ERR_CLOSED, "the connection is gone");
    size_t bytes = iov_bytes(iov, n_iov);
    if (bytes == 0) return 0;
    ssize_t n = write_some(c, iov, n_iov, e);
    if (n < 0) c->is_gone = true;
    else if ((size_t)n < bytes) c->owes_writable = true;
    else return n;
    conn_update_watch(c);
    return n;
}

void conn_shutdown_write(struct conn *c) {
    if (!conn_is_live(c)) return;
    if (c->tls && !tls_close_notify(c->tls)) {
        c->owes_close_notify = true;
        conn_update_watch(c);
        return;
    }
    sock_shutdown_write(c->sock);
}

bool conn_is_tls(const struct conn *c) {
    return c->tls != NULL;
}

bool conn_remote_addr(const struct conn *c, struct addr *out) {
    return c->sock && sock_remote_addr(c->sock, out);
}

bool conn_local_addr(const struct conn *c, struct addr *out) {
    return c->sock && sock_local_addr(c->sock, out);
}

struct loop *conn_loop(const struct conn *c) {
    return c->loop;
}

bool conn_is_quiet(struct conn *c) {
    if (!conn_is_live(c) || c->is_eof) return false;
    return c->tls ? tls_is_quiet(c->tls) : sock_is_quiet(c->sock);
}

size_t conn_kernel_bytes(const struct conn *c) {
    return c->sock ? sock_kernel_bytes(c->sock) : 0;
}
