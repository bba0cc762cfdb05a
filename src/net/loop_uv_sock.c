/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets of the real loop: each registered with epoll once, edge-triggered, for everything.
 *
 * An edge says that something changed; `ready` remembers what, until a read or a write shows that
 * it is used up. A socket that has something ready that is wanted is queued as due, and called once
 * a turn: to its owner it is level-triggered. A short read means that nothing more is there, and
 * saves asking once more (epoll(7)), unless the other side's end has shown: then only the end
 * itself says so. */
#include "net/loop_uv-private.h"

#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

#define NOTSENT_LOWAT_BYTES 16384
#define KEEP_FREE_SOCKS 4096

struct sock {
    struct loop *loop;
    sock_event_fn *fn;
    void *self;
    struct sock *next;     /* due, closed or free */
    int fd;
    uint8_t wanted;        /* SOCK_READABLE, SOCK_WRITABLE */
    uint8_t ready;         /* the same: seen and not used up */
    bool has_hup;          /* the other side's end, or a failure, has shown */
    bool has_reported_hup;
    bool is_dispatching;
    bool is_due;           /* in the loop's queue */
    bool is_closed;
};

int socket_open(const struct addr *a) {
    int fd = socket(a->u.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

void socket_set(int fd, int level, int option, int value) {
    (void)setsockopt(fd, level, option, &value, sizeof value);
}

/* ---- events ---- */

static unsigned events_due(const struct sock *s) {
    return (s->ready & s->wanted) | (s->has_hup && !s->has_reported_hup ? SOCK_HUP : 0u);
}

static void queue_if_due(struct sock *s) {
    if (s->is_due || s->is_dispatching || events_due(s) == 0) return;
    struct loop *l = s->loop;
    s->is_due = true;
    s->next = NULL;
    *l->due_tail = s;
    l->due_tail = &s->next;
}

static void sock_run(struct sock *s) {
    unsigned events = events_due(s);
    if (s->is_closed || events == 0) return;
    if (events & SOCK_HUP) s->has_reported_hup = true;
    s->is_dispatching = true;
    s->fn(s->self, events);
    s->is_dispatching = false;
    if (!s->is_closed) queue_if_due(s);
}

void sock_note(struct sock *s, uint32_t epoll_events) {
    if (epoll_events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) s->ready |= SOCK_READABLE;
    if (epoll_events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) s->ready |= SOCK_WRITABLE;
    if (epoll_events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) s->has_hup = true;
    queue_if_due(s);
}

void socks_run_due(struct loop *l) {
    struct sock *s = l->due_head;
    l->due_head = NULL;
    l->due_tail = &l->due_head;
    while (s) {
        struct sock *next = s->next;
        s->is_due = false;
        if (s->is_closed) {
            s->next = l->closed_socks;   /* sock_close left it here */
            l->closed_socks = s;
        } else {
            sock_run(s);
        }
        s = next;
    }
}

void sock_watch(struct sock *s, unsigned events) {
    s->wanted = (uint8_t)(events & (SOCK_READABLE | SOCK_WRITABLE));
    queue_if_due(s);
}

/* ---- life ---- */

static struct sock *sock_new(struct loop *l, int fd, sock_event_fn *fn, void *self) {
    struct sock *s = l->free_socks;
    if (s) {
        l->free_socks = s->next;
        l->free_sock_count--;
    } else {
        s = mem_alloc(sizeof *s);
    }
    *s = (struct sock){.loop = l, .fn = fn, .self = self, .fd = fd};
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = s};
    int rc = epoll_ctl(l->poll_fd, EPOLL_CTL_ADD, fd, &ev);
    if (rc < 0) abort();   /* no memory for it, or not a socket of ours */
    l->open_sock_count++;
    return s;
}

void loop_free_socks(struct loop *l) {
    while (l->free_socks) {
        struct sock *s = l->free_socks;
        l->free_socks = s->next;
        mem_free(s);
    }
}

void socks_release_closed(struct loop *l) {
    while (l->closed_socks) {
        struct sock *s = l->closed_socks;
        l->closed_socks = s->next;
        if (l->free_sock_count >= KEEP_FREE_SOCKS) {
            mem_free(s);
            continue;
        }
        s->next = l->free_socks;
        l->free_socks = s;
        l->free_sock_count++;
    }
}

/* close(2) takes the descriptor out of epoll, and the other side knows at once. The memory stays
 * until the turn's events are all looked at, since they may name it; a socket that is queued as due
 * is released from there. */
void sock_close(struct sock **s) {
    if (!*s) return;
    struct sock *dying = *s;
    *s = NULL;
    dying->is_closed = true;
    dying->loop->open_sock_count--;
    close(dying->fd);
    if (dying->is_due) return;
    dying->next = dying->loop->closed_socks;
    dying->loop->closed_socks = dying;
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
    return sock_new(l, fd, fn, self);
}

void sock_set_callback(struct sock *s, sock_event_fn *fn, void *self) {
    s->fn = fn;
    s->self = self;
    s->has_reported_hup = false;
    queue_if_due(s);
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
    if (n > 0 && ((size_t)n == max || s->has_hup)) s->ready |= SOCK_READABLE;
    else if (n != 0) s->ready &= (uint8_t)~SOCK_READABLE;
    if (n > 0) {
        stat_add(&s->loop->stats.recv_bytes, (uint64_t)n);
        return n;
    }
    if (n == 0) return err_set(e, ERR_CLOSED, "the other side closed the connection");
    if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
    return io_failed(e, errno, "read");
}

/* Below this, a copy and send cost less than sendmsg and its vector. */
#define GATHER_BYTES 2048

static ssize_t send_gathered(int fd, const struct iovec *iov, int n_iov) {
    char all[GATHER_BYTES];
    size_t len = 0;
    for (int i = 0; i < n_iov; i++) {
        memcpy(all + len, iov[i].iov_base, iov[i].iov_len);
        len += iov[i].iov_len;
    }
    return send(fd, all, len, MSG_NOSIGNAL);
}

static ssize_t send_vector(int fd, const struct iovec *iov, int n_iov, size_t len) {
    if (n_iov == 1) return send(fd, iov[0].iov_base, len, MSG_NOSIGNAL);
    if (len > 0 && len <= GATHER_BYTES) return send_gathered(fd, iov, n_iov);
    /* sendmsg does not write there */
    struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n_iov};
    return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

ssize_t sock_writev(struct sock *s, const struct iovec *iov, int n_iov, struct err *e) {
    if (n_iov > IOV_MAX) n_iov = IOV_MAX;
    size_t len = 0;
    for (int i = 0; i < n_iov; i++) len += iov[i].iov_len;
    ssize_t n;
    do {
        n = send_vector(s->fd, iov, n_iov, len);
    } while (n < 0 && errno == EINTR);
    stat_add(&s->loop->stats.send_calls, 1);
    if (n < 0 || (size_t)n < len) s->ready &= (uint8_t)~SOCK_WRITABLE;
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
