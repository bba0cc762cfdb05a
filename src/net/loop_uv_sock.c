/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets of the real loop: one uv_poll each, our own recv and sendmsg.
 *
 * Changing a uv_poll's mask costs two epoll_ctl calls, so it is avoided:
 * - What sock_watch asks for inside the socket's callback takes effect once, after it.
 * - Reads that are no longer wanted stay armed until an event comes that nobody wants: most are
 *   switched on again before. Writes are disarmed at once, as a socket is nearly always writable.
 * Level-triggered RDHUP would spin, so it is unwatched once reported. On an error libuv stops the
 * poll by itself; it is started again only while something is wanted. */
#include "loop_uv-private.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <linux/sockios.h>
#include <unistd.h>

#include "base/mem.h"

#define NOTSENT_LOWAT_BYTES 16384
#define KEEP_FREE_SOCKS 4096

struct sock {
    uv_poll_t poll;
    struct loop *loop;
    sock_event_fn *fn;
    void *self;
    struct sock *next_free;
    int fd;
    uint8_t wanted;        /* SOCK_READABLE, SOCK_WRITABLE */
    uint8_t armed;         /* the same, and SOCK_HUP, as uv_poll has it */
    bool has_reported_hup;
    bool is_dispatching;   /* sock_watch waits for the end of the callback */
    bool is_closed;
};

int socket_open(const struct addr *a) {
    int fd = socket(a->u.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

void socket_set(int fd, int level, int option, int value) {
    (void)setsockopt(fd, level, option, &value, sizeof value);
}

/* ---- polling ---- */

static void on_poll(uv_poll_t *poll, int status, int uv_events);

static void sock_arm(struct sock *s, unsigned mask) {
    if (mask == s->armed) return;
    s->armed = (uint8_t)mask;
    int uv_mask = (mask & SOCK_READABLE ? UV_READABLE : 0) |
                  (mask & SOCK_WRITABLE ? UV_WRITABLE : 0) | (mask & SOCK_HUP ? UV_DISCONNECT : 0);
    int rc = uv_mask ? uv_poll_start(&s->poll, uv_mask, on_poll) : uv_poll_stop(&s->poll);
    assert(rc == 0);
    (void)rc;
}

static unsigned full_mask(const struct sock *s) {
    return s->wanted | (s->has_reported_hup ? 0u : SOCK_HUP);
}

static void sock_update(struct sock *s) {
    sock_arm(s, full_mask(s) | (s->armed & SOCK_READABLE));
}

static unsigned events_from_uv(struct sock *s, int status, int uv_events) {
    if (status < 0) {   /* EPOLLERR: libuv has stopped the poll */
        s->armed = 0;
        return s->wanted | SOCK_HUP;
    }
    unsigned events = (uv_events & UV_READABLE ? SOCK_READABLE : 0u) |
                      (uv_events & UV_WRITABLE ? SOCK_WRITABLE : 0u) |
                      (uv_events & UV_DISCONNECT ? SOCK_HUP : 0u);
    return events ? events : SOCK_HUP;
}

static void on_poll(uv_poll_t *poll, int status, int uv_events) {
    struct sock *s = poll->data;
    loop_enter(s->loop);
    unsigned events = events_from_uv(s, status, uv_events);
    bool is_unwanted = (events & ~(unsigned)s->wanted & (SOCK_READABLE | SOCK_WRITABLE)) != 0;
    events &= full_mask(s);
    if (events & SOCK_HUP) s->has_reported_hup = true;
    if (events) {
        s->is_dispatching = true;
        s->fn(s->self, events);
        /* the memory lives until libuv's close callback, later in this turn */
        if (s->is_closed) return;
        s->is_dispatching = false;
    }
    if (status < 0) sock_arm(s, s->wanted);
    else if (is_unwanted) sock_arm(s, full_mask(s));
    else sock_update(s);
}

void sock_watch(struct sock *s, unsigned events) {
    s->wanted = (uint8_t)(events & (SOCK_READABLE | SOCK_WRITABLE));
    if (!s->is_dispatching) sock_update(s);
}

/* ---- life ---- */

static struct sock *sock_new(struct loop *l, int fd, sock_event_fn *fn, void *self) {
    struct sock *s = l->free_socks;
    if (s) {
        l->free_socks = s->next_free;
        l->free_sock_count--;
    } else {
        s = mem_alloc(sizeof *s);
    }
    *s = (struct sock){.loop = l, .fn = fn, .self = self, .fd = fd};
    int rc = uv_poll_init(&l->uv, &s->poll, fd);
    assert(rc == 0);   /* a socket of ours, polled once */
    (void)rc;
    s->poll.data = s;
    return s;
}

void loop_free_socks(struct loop *l) {
    while (l->free_socks) {
        struct sock *s = l->free_socks;
        l->free_socks = s->next_free;
        mem_free(s);
    }
}

static void on_sock_closed(uv_handle_t *handle) {
    struct sock *s = handle->data;
    struct loop *l = s->loop;
    if (l->free_sock_count >= KEEP_FREE_SOCKS) {
        mem_free(s);
        return;
    }
    s->next_free = l->free_socks;
    l->free_socks = s;
    l->free_sock_count++;
}

/* uv_close takes the descriptor out of epoll before it returns, so that it may be closed, and the
 * other side knows, at once. */
void sock_close(struct sock **s) {
    if (!*s) return;
    struct sock *dying = *s;
    *s = NULL;
    dying->is_closed = true;
    uv_close((uv_handle_t *)&dying->poll, on_sock_closed);
    close(dying->fd);
}

void sock_close_reset(struct sock **s) {
    if (!*s) return;
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt((*s)->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    sock_close(s);
}

struct sock *sock_adopt(struct loop *l, int fd, sock_event_fn *fn, void *self) {
    socket_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    socket_set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_LOWAT_BYTES);
    struct sock *s = sock_new(l, fd, fn, self);
    sock_arm(s, SOCK_HUP | SOCK_READABLE);   /* reads will be wanted in a moment */
    return s;
}

void sock_set_callback(struct sock *s, sock_event_fn *fn, void *self) {
    s->fn = fn;
    s->self = self;
    s->has_reported_hup = false;
    if (!s->is_dispatching) sock_update(s);
}

static int connect_failed(const struct addr *to, int os_errno, struct err *e) {
    char text[ADDR_TEXT_BYTES];
    return err_set_os(e, ERR_CONNECT, os_errno, "connect to %s", addr_text(to, text));
}

int sock_connect(struct loop *l, const struct addr *to, sock_event_fn *fn, void *self,
                 struct sock **out_sock, struct err *e) {
    int fd = socket_open(to);
    if (fd < 0) return connect_failed(to, -fd, e);
    socket_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    /* EINTR cannot be: it does not block. */
    if (connect(fd, &to->u.sa, to->len) < 0 && errno != EINPROGRESS) {
        int os_errno = errno;
        close(fd);
        return connect_failed(to, os_errno, e);
    }
    *out_sock = sock_new(l, fd, fn, self);
    sock_watch(*out_sock, SOCK_WRITABLE);
    return 0;
}

int sock_connect_result(struct sock *s, struct err *e) {
    int os_errno = 0;
    socklen_t len = sizeof os_errno;
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &os_errno, &len) < 0) os_errno = errno;
    return os_errno ? err_set_os(e, ERR_CONNECT, os_errno, "connect") : 0;
}

/* ---- bytes ---- */

static int io_failed(struct err *e, int os_errno, const char *what) {
    bool is_lost = os_errno == ECONNRESET || os_errno == EPIPE || os_errno == ECONNABORTED;
    return err_set_os(e, is_lost ? ERR_CLOSED : ERR_IO, os_errno, "%s", what);
}

ssize_t sock_read(struct sock *s, void *into, size_t max, struct err *e) {
    if (max == 0) return 0;
    ssize_t n;
    do {
        n = recv(s->fd, into, max, 0);
    } while (n < 0 && errno == EINTR);
    stat_add(&s->loop->stats.recv_calls, 1);
    if (n > 0) {
        stat_add(&s->loop->stats.recv_bytes, (uint64_t)n);
        return n;
    }
    if (n == 0) return err_set(e, ERR_CLOSED, "the other side closed the connection");
    if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
    return io_failed(e, errno, "read");
}

ssize_t sock_writev(struct sock *s, const struct iovec *iov, int n_iov, struct err *e) {
    /* sendmsg does not write there */
    struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov,
                         .msg_iovlen = (size_t)(n_iov < IOV_MAX ? n_iov : IOV_MAX)};
    ssize_t n;
    do {
        n = sendmsg(s->fd, &msg, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    stat_add(&s->loop->stats.send_calls, 1);
    if (n >= 0) {
        stat_add(&s->loop->stats.send_bytes, (uint64_t)n);
        return n;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
    return io_failed(e, errno, "write");
}

void sock_shutdown_write(struct sock *s) {
    (void)shutdown(s->fd, SHUT_WR);
}

bool sock_is_quiet(struct sock *s) {
    char byte;
    ssize_t n = recv(s->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}

/* ---- facts ---- */

bool sock_local_addr(const struct sock *s, struct addr *out) {
    *out = (struct addr){.len = sizeof out->u};
    return getsockname(s->fd, &out->u.sa, &out->len) == 0;
}

bool sock_remote_addr(const struct sock *s, struct addr *out) {
    *out = (struct addr){.len = sizeof out->u};
    return getpeername(s->fd, &out->u.sa, &out->len) == 0;
}

size_t sock_kernel_bytes(const struct sock *s) {
    int unread = 0, unsent = 0;
    if (ioctl(s->fd, SIOCINQ, &unread) < 0) unread = 0;
    if (ioctl(s->fd, SIOCOUTQ, &unsent) < 0) unsent = 0;
    return (size_t)unread + (size_t)unsent;
}
