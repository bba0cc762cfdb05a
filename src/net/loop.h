/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop: sockets, timers, name look-up, posted work. One loop belongs to one worker
 * thread, and everything that hangs on it is called and callable on that thread only, except where
 * "any thread" is said.
 *
 * Two implementations share this header; the executable links one of them:
 *   loop_uv.c   real: an epoll set of our own for sockets, a timerfd for the wheel's 50 µs
 *               slots, libuv for listeners, names and signals;
 *   loop_sim.c  simulated: sockets, clock and scheduling are in memory and seeded (loop_sim.h adds
 *               the controls), so that any cut at any offset, any order and any delay can be
 *               tested, without sleeping.
 *
 * One turn: poll → socket events → due timers → posted work → turn-end hooks → sleep until the next
 * event or wheel deadline. */
#ifndef PENSTOCK_NET_LOOP_H
#define PENSTOCK_NET_LOOP_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/err.h"
#include "base/hist.h"
#include "base/random.h"
#include "base/slab.h"
#include "base/wheel.h"
#include "net/addr.h"

struct loop;

/* ---- the loop ---- */

struct loop *loop_new(struct err *e);
/* Everything on it must be closed. Runs what waits for the end of the turn, and waits for look-ups
 * that are with the resolver (cancelled or not); posted work that has not run is dropped. */
void loop_free(struct loop *l);
/* Runs until loop_stop. Returns 0. */
int loop_run(struct loop *l);
/* One turn; waits for something only if `may_wait`. Returns false when nothing is left that could
 * ever happen. */
bool loop_turn(struct loop *l, bool may_wait);
void loop_stop(struct loop *l);                 /* any thread */

/* Monotonic. In a turn: as read when poll returned ("loop entry"); outside: the clock itself. */
int64_t loop_now_ns(const struct loop *l);
struct rng *loop_rng(struct loop *l);
struct slab *loop_slab(struct loop *l);
/* The worker's one scratch for reads: 64 KiB, contents valid until the next read on any socket of
 * this loop. */
#define LOOP_READ_BYTES 65536
char *loop_read_buffer(struct loop *l);

/* Deadlines are absolute, on the clock of loop_now_ns. */
void loop_timer_start(struct loop *l, struct timer *t, int64_t deadline_ns, timer_fn *fn,
                      void *self);   /* timer_stop (base/wheel.h) stops */

/* Work handed to the loop. loop_post may be called from any thread; `task` is owned by the caller
 * until fn runs, on the loop's thread, once per post. Posting a task that is still pending is an
 * error of the caller. */
struct loop_task {
    struct loop_task *next;
    void (*fn)(struct loop_task *task, void *self);
    void *self;
};
void loop_post(struct loop *l, struct loop_task *task);
/* Runs fn at the end of the current turn (before sleeping), once; loop's thread only. Same
 * ownership. */
void loop_at_turn_end(struct loop *l, struct loop_task *task);

/* Signals arrive on this loop as calls. The simulated loop's are raised by the test. */
int loop_on_signal(struct loop *l, int signo, void (*fn)(void *self, int signo),
                   void *self) MUST_CHECK;

/* How late and how long turns are. Written by the loop's thread, readable by any. */
struct loop_stats {
    /* from poll's return until the next poll: how long events waited for one another */
    struct hist turn_ns;
    /* fired minus deadline: one value each time that timers fired, that of the earliest */
    struct hist timer_late_ns;
    _Atomic uint64_t turns;
    _Atomic uint64_t recv_calls, send_calls, recv_bytes, send_bytes;
    _Atomic uint64_t refused;   /* connections accepted and closed for want of descriptors */
};
const struct loop_stats *loop_stats(const struct loop *l);

/* ---- sockets ---- */

struct sock;

enum { SOCK_READABLE = 1, SOCK_WRITABLE = 2, SOCK_HUP = 4 };
/* events: what is so now. SOCK_HUP: the other side closed its sending half, or the connection
 * failed (RDHUP, HUP, ERR): reported once, and also while reads are not wanted; sock_read then
 * tells which. The callback may close the socket. */
typedef void sock_event_fn(void *self, unsigned events);

/* Starts a non-blocking connect. On success *out_sock is set, and SOCK_WRITABLE wanted; when the
 * callback first reports SOCK_WRITABLE or SOCK_HUP, sock_connect_result says how it went.
 * TCP_NODELAY is set. The callback never runs before this returns. */
int sock_connect(struct loop *l, const struct addr *to, sock_event_fn *fn, void *self,
                 struct sock **out_sock, struct err *e) MUST_CHECK;
int sock_connect_result(struct sock *s, struct err *e) MUST_CHECK;

/* Wraps a connected descriptor from a listener (same or another loop's). Takes ownership of fd;
 * cannot fail. Sets TCP_NODELAY and TCP_NOTSENT_LOWAT (16 KiB) on TCP. Nothing is wanted until
 * sock_watch. */
struct sock *sock_adopt(struct loop *l, int fd, sock_event_fn *fn, void *self);

/* Which of SOCK_READABLE and SOCK_WRITABLE are wanted (SOCK_HUP is always watched).
 * Level-triggered. */
void sock_watch(struct sock *s, unsigned events);

/* Hands the socket to another owner; also inside its callback. A SOCK_HUP that was reported is
 * reported anew. */
void sock_set_callback(struct sock *s, sock_event_fn *fn, void *self);

/* read: > 0 bytes; 0 would block; -ERR_CLOSED with os_errno 0 orderly end (FIN); -ERR_CLOSED with
 * os_errno set for resets, -ERR_IO for the rest.
 * write: >= 0 bytes taken (0 would block, or a part), or negative as above. SIGPIPE is never
 * raised. */
ssize_t sock_read(struct sock *s, void *into, size_t max, struct err *e) MUST_CHECK;
ssize_t sock_writev(struct sock *s, const struct iovec *iov, int n_iov, struct err *e) MUST_CHECK;
void sock_shutdown_write(struct sock *s);
/* Closes at once; no callback after it. NULL is fine; clears the pointer. With _reset the other
 * side sees RST, not FIN. */
void sock_close(struct sock **s);
void sock_close_reset(struct sock **s);
bool sock_local_addr(const struct sock *s, struct addr *out);
bool sock_remote_addr(const struct sock *s, struct addr *out);
/* One peek: true when there is nothing to read, no end and no error. */
bool sock_is_quiet(struct sock *s);
/* Bytes that the kernel holds for us, unread and unsent, where it can say (SIOCINQ, SIOCOUTQ); 0
 * otherwise. */
size_t sock_kernel_bytes(const struct sock *s);

/* ---- listeners ---- */

struct listener;
/* fd is the callee's: sock_adopt it here or on another loop, or close it with loop_close_fd. */
typedef void accept_fn(void *self, int fd, const struct addr *from);

struct listen_options {
    int backlog;        /* 0: 1024 */
    bool shared;        /* TCP: SO_REUSEPORT, one listener a worker */
    bool first;         /* the first of the shared ones: an address that somebody else listens on,
                         * shared or not, is refused with ERR_IO and EADDRINUSE */
    unsigned unix_mode; /* permissions of a Unix socket, 0: 0660. A stale socket file that nobody
                         * serves is replaced. */
};
/* Accepts until the queue is empty or 64 in one turn. At EMFILE/ENFILE a spare descriptor is spent
 * to accept and close one connection, so that the loop does not spin; counted. */
int listener_open(struct loop *l, const struct addr *at, const struct listen_options *options,
                  accept_fn *fn, void *self, struct listener **out_listener,
                  struct err *e) MUST_CHECK;   /* options NULL: all zero */
/* The bound address: tells the port when 0 was asked. */
const struct addr *listener_addr(const struct listener *ln);
void listener_pause(struct listener *ln, bool paused);
void listener_close(struct listener **ln);           /* unlinks its Unix socket */
/* Accepted and closed for want of descriptors. */
uint64_t listener_refused(const struct listener *ln);
void loop_close_fd(struct loop *l, int fd);

/* ---- names ---- */

#define LOOP_MAX_ADDRS 16
/* count 0 with an error, or 1 … LOOP_MAX_ADDRS addresses, in getaddrinfo's order, port set. */
typedef void loop_names_fn(void *self, const struct addr *addrs, unsigned count,
                           const struct err *e);
struct loop_lookup;
/* Asynchronous getaddrinfo off the loop's thread. The callback runs later, never before this
 * returns, unless cancelled. */
struct loop_lookup *loop_lookup_start(struct loop *l, struct slice host, uint16_t port,
                                      loop_names_fn *fn, void *self);
void loop_lookup_cancel(struct loop_lookup **lookup);

#endif
