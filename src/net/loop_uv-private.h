/* SPDX-License-Identifier: Apache-2.0 */
/* The real loop's inside, shared by loop_uv.c, loop_uv_sock.c and loop_uv_listen.c. */
#ifndef PENSTOCK_NET_LOOP_UV_PRIVATE_H
#define PENSTOCK_NET_LOOP_UV_PRIVATE_H

#include <uv.h>

#include "net/loop-private.h"

struct signal_watch;

struct loop {
    int poll_fd;             /* epoll: sockets, edge-triggered, and the next three */
    int timer_fd;            /* the wheel's next deadline */
    int wake_fd;             /* eventfd: loop_post and loop_stop knock here */
    /* listeners, names, signals; its backend's descriptor is polled by poll_fd */
    uv_loop_t uv;
    uv_async_t anchor;       /* without an active handle libuv would always ask to be run */
    int64_t timer_armed_ns;  /* what timer_fd is set to; TIME_NEVER: nothing */
    bool timer_fired;        /* it is readable until it is set anew */

    int64_t now_ns;
    bool in_turn;            /* now_ns was read since poll returned */
    _Atomic bool stop;

    struct wheel *wheel;
    struct rng rng;
    struct slab *slab;
    char *read_buffer;
    struct loop_stats stats;
    struct loop_attachment attachments[LOOP_SLOT_COUNT];

    struct loop_task *turn_end_head, **turn_end_tail;
    uv_mutex_t posted_lock;
    struct loop_task *posted_head, **posted_tail;   /* under posted_lock */

    struct sock *due_head, **due_tail;  /* have what is wanted of them */
    struct sock *closed_socks;          /* since the turn began: epoll may still name them */
    struct sock *free_socks;            /* kept for the next connections */
    unsigned free_sock_count, open_sock_count;
    struct signal_watch *signals;
};

/* Every callback from libuv passes here first: the turn's clock is read once. */
void loop_enter(struct loop *l);
void loop_free_socks(struct loop *l);
/* What epoll said of a socket; then the calls that are due, each socket's once. */
void sock_note(struct sock *s, uint32_t epoll_events);
void socks_run_due(struct loop *l);
void socks_release_closed(struct loop *l);

/* Counters have one writer: no read-modify-write needed. */
static inline void stat_add(_Atomic uint64_t *counter, uint64_t n) {
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* A stream socket for this address' family: non-blocking, close-on-exec. Negative: errno. */
int socket_open(const struct addr *a);
/* failure is fine: Unix sockets know none of them */
void socket_set(int fd, int level, int option, int value);

#endif
