/* SPDX-License-Identifier: Apache-2.0 */
/* The real loop. Sockets, timer and wake-ups are in an epoll set of our own; libuv has listeners,
 * names and signals, and its backend's descriptor is one more member of the set. One turn:
 *
 *   arm       the timerfd, if the wheel's next deadline came nearer
 *   poll      epoll_wait; then the clock is read, once
 *   events    sockets (loop_uv_sock.c); libuv's, when it has any (loop_uv_listen.c, look-ups,
 *             signals)
 *   rest      due timers, posted work, turn-end work
 *
 * Why not uv_poll for sockets: it is level-triggered, so that epoll looks at each socket once more
 * after its event, and changes of its mask cost system calls. Edge-triggered and registered once
 * for everything, a token costs epoll_wait, recv and send, and a request no epoll_ctl.
 *
 * The timerfd is never read: setting it anew clears it. It is set only when a deadline comes nearer
 * or when it fired, so timers that are started and stopped (one a request) cost no system call; the
 * price is one idle wake-up per armed deadline that was stopped. */
#include "net/loop_uv-private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define SLAB_KEEP_FREE_BYTES (1024 * 1024)
#define EVENTS_A_TURN 256

struct signal_watch {
    uv_signal_t handle;
    struct loop *loop;
    struct signal_watch *next;
    void (*fn)(void *self, int signo);
    void *self;
};

struct loop_lookup {
    uv_getaddrinfo_t request;
    struct loop *loop;
    loop_names_fn *fn;   /* NULL: cancelled */
    void *self;
    struct loop_task refused;
    uint16_t port;
    char host[256];
};

/* ---- the turn ---- */

void loop_enter(struct loop *l) {
    if (l->in_turn) return;
    l->now_ns = clock_mono_ns();
    l->in_turn = true;
}

static void timer_set(struct loop *l, int64_t at_ns) {
    struct itimerspec at = {0};   /* all zero: disarmed */
    if (at_ns != TIME_NEVER) {
        if (at_ns < 1) at_ns = 1;
        at.it_value = (struct timespec){.tv_sec = at_ns / NS_PER_S, .tv_nsec = at_ns % NS_PER_S};
    }
    int rc = timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
    assert(rc == 0);
    (void)rc;
    l->timer_armed_ns = at_ns;
    l->timer_fired = false;
}

static void timer_arm(struct loop *l) {
    int64_t next_ns = wheel_next_ns(l->wheel);
    if (l->timer_fired || next_ns < l->timer_armed_ns) timer_set(l, next_ns);
}

/* Every turn, also with nothing due: a wheel that stands at the present needs no detour for a timer
 * that is near. */
static void timers_fire(struct loop *l) {
    int64_t next_ns = wheel_next_ns(l->wheel);
    if (wheel_advance(l->wheel, l->now_ns) > 0) {
        hist_record(&l->stats.timer_late_ns, l->now_ns - next_ns);
    }
}

static void run_tasks(struct loop_task *task) {
    while (task) {
        struct loop_task *next = task->next;   /* fn may free or queue the task anew */
        task->fn(task, task->self);
        task = next;
    }
}

static struct loop_task *take_posted(struct loop *l) {
    uv_mutex_lock(&l->posted_lock);
    struct loop_task *head = l->posted_head;
    l->posted_head = NULL;
    l->posted_tail = &l->posted_head;
    uv_mutex_unlock(&l->posted_lock);
    return head;
}

/* What is queued while this runs has its turn next time, so that sockets get theirs in between. */
static void turn_end_drain(struct loop *l) {
    struct loop_task *head = l->turn_end_head;
    l->turn_end_head = NULL;
    l->turn_end_tail = &l->turn_end_head;
    run_tasks(head);
}

static void wake_fd_clear(struct loop *l) {
    uint64_t count;
    ssize_t n = read(l->wake_fd, &count, sizeof count);   /* nothing there: fine */
    (void)n;
}

static void loop_wake(struct loop *l) {
    uint64_t one = 1;
    ssize_t n = write(l->wake_fd, &one, sizeof one);      /* full: it is awake */
    (void)n;
}

/* Returns whether libuv has something. */
static bool events_note(struct loop *l, const struct epoll_event *events, int n) {
    bool is_uv_due = uv_backend_timeout(&l->uv) == 0;
    for (int i = 0; i < n; i++) {
        void *of = events[i].data.ptr;
        if (of == &l->uv) is_uv_due = true;
        else if (of == &l->timer_fd) l->timer_fired = true;
        else if (of == &l->wake_fd) wake_fd_clear(l);
        else sock_note(of, events[i].events);
    }
    return is_uv_due;
}

static bool must_not_sleep(const struct loop *l) {
    return l->due_head || l->turn_end_head || uv_backend_timeout(&l->uv) == 0;
}

static void turn(struct loop *l, bool may_wait) {
    struct epoll_event events[EVENTS_A_TURN];
    timer_arm(l);
    int n = epoll_wait(l->poll_fd, events, EVENTS_A_TURN, may_wait && !must_not_sleep(l) ? -1 : 0);
    loop_enter(l);
    bool is_uv_due = events_note(l, events, n);
    socks_run_due(l);
    if (is_uv_due) uv_run(&l->uv, UV_RUN_NOWAIT);
    timers_fire(l);
    run_tasks(take_posted(l));
    turn_end_drain(l);
    socks_release_closed(l);
    hist_record(&l->stats.turn_ns, clock_mono_ns() - l->now_ns);
    stat_add(&l->stats.turns, 1);
    l->in_turn = false;
}

/* ---- life ---- */

static int uv_failed(struct err *e, int rc, const char *what) {
    return err_set(e, ERR_IO, "event loop: %s: %s", what, uv_strerror(rc));
}

static int os_failed(struct err *e, const char *what) {
    return err_set_os(e, ERR_IO, errno, "event loop: %s", what);
}

static int poll_add(struct loop *l, int fd, uint32_t events, void *tag) {
    struct epoll_event ev = {.events = events, .data.ptr = tag};
    return epoll_ctl(l->poll_fd, EPOLL_CTL_ADD, fd, &ev);
}

static int descriptors_open(struct loop *l, struct err *e) {
    l->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (l->poll_fd < 0) return os_failed(e, "epoll");
    l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (l->timer_fd < 0) return os_failed(e, "timer descriptor");
    l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (l->wake_fd < 0) return os_failed(e, "wake-up descriptor");
    if (poll_add(l, l->timer_fd, EPOLLIN | EPOLLET, &l->timer_fd) < 0 ||
        poll_add(l, l->wake_fd, EPOLLIN, &l->wake_fd) < 0 ||
        poll_add(l, uv_backend_fd(&l->uv), EPOLLIN, &l->uv) < 0) {
        return os_failed(e, "epoll");
    }
    return 0;
}

static void descriptors_close(struct loop *l) {
    const int fds[] = {l->poll_fd, l->timer_fd, l->wake_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0) close(fds[i]);
    }
}

static void anchor_close(struct loop *l) {
    uv_close((uv_handle_t *)&l->anchor, NULL);
    uv_run(&l->uv, UV_RUN_DEFAULT);
}

static int loop_open(struct loop *l, struct err *e) {
    l->poll_fd = l->timer_fd = l->wake_fd = -1;
    int rc = uv_loop_init(&l->uv);
    if (rc < 0) return uv_failed(e, rc, "cannot be created");
    rc = uv_async_init(&l->uv, &l->anchor, NULL);
    if (rc == 0) {
        if (descriptors_open(l, e) == 0) return 0;
        descriptors_close(l);
        anchor_close(l);
    } else {
        uv_failed(e, rc, "wake-up descriptor");
    }
    uv_loop_close(&l->uv);
    return -ERR_IO;
}

struct loop *loop_new(struct err *e) {
    struct loop *l = mem_zalloc(sizeof *l);
    if (loop_open(l, e) < 0) {
        mem_free(l);
        return NULL;
    }
    if (uv_mutex_init(&l->posted_lock) != 0) abort();
    l->posted_tail = &l->posted_head;
    l->turn_end_tail = &l->turn_end_head;
    l->due_tail = &l->due_head;
    l->timer_armed_ns = TIME_NEVER;
    l->now_ns = clock_mono_ns();
    l->wheel = wheel_new(l->now_ns);
    l->slab = slab_new(SLAB_KEEP_FREE_BYTES);
    l->read_buffer = mem_alloc(LOOP_READ_BYTES);
    rng_seed_from_os(&l->rng);
    hist_init(&l->stats.turn_ns);
    hist_init(&l->stats.timer_late_ns);
    return l;
}

static void signals_close(struct loop *l) {
    for (struct signal_watch *w = l->signals; w; w = w->next)
        uv_close((uv_handle_t *)&w->handle, NULL);
}

static void signals_free(struct loop *l) {
    while (l->signals) {
        struct signal_watch *w = l->signals;
        l->signals = w->next;
        mem_free(w);
    }
}

static void uv_shut(struct loop *l) {
    signals_close(l);
    anchor_close(l);
    int rc = uv_loop_close(&l->uv);
    assert(rc == 0 && l->open_sock_count == 0 && "a socket or listener is still open on this loop");
    (void)rc;
    descriptors_close(l);
}

void loop_free(struct loop *l) {
    if (!l) return;
    for (unsigned i = 0; i < LOOP_SLOT_COUNT; i++) {
        struct loop_attachment *a = &l->attachments[i];
        if (a->ptr) a->dispose(a->ptr);
        a->ptr = NULL;
    }
    while (l->turn_end_head) turn_end_drain(l);
    socks_run_due(l);
    uv_shut(l);
    signals_free(l);
    socks_release_closed(l);
    loop_free_socks(l);
    uv_mutex_destroy(&l->posted_lock);
    wheel_free(l->wheel);
    slab_free(l->slab);
    mem_free(l->read_buffer);
    mem_free(l);
}

int loop_run(struct loop *l) {
    while (!atomic_load(&l->stop)) turn(l, true);
    atomic_store(&l->stop, false);
    return 0;
}

static bool has_posted(struct loop *l) {
    uv_mutex_lock(&l->posted_lock);
    bool has = l->posted_head != NULL;
    uv_mutex_unlock(&l->posted_lock);
    return has;
}

static bool uv_is_alive(struct loop *l) {
    uv_unref((uv_handle_t *)&l->anchor);
    bool is_alive = uv_loop_alive(&l->uv) != 0;
    uv_ref((uv_handle_t *)&l->anchor);
    return is_alive;
}

static bool loop_is_alive(struct loop *l) {
    return l->open_sock_count > 0 || uv_is_alive(l) || wheel_count(l->wheel) > 0 ||
           l->turn_end_head || has_posted(l);
}

bool loop_turn(struct loop *l, bool may_wait) {
    if (!loop_is_alive(l)) return false;
    turn(l, may_wait);
    return loop_is_alive(l);
}

void loop_stop(struct loop *l) {
    atomic_store(&l->stop, true);
    loop_wake(l);
}

/* ---- what hangs on it ---- */

int64_t loop_now_ns(const struct loop *l) {
    return l->in_turn ? l->now_ns : clock_mono_ns();
}

struct rng *loop_rng(struct loop *l) {
    return &l->rng;
}

struct slab *loop_slab(struct loop *l) {
    return l->slab;
}

char *loop_read_buffer(struct loop *l) {
    return l->read_buffer;
}

const struct loop_stats *loop_stats(const struct loop *l) {
    return &l->stats;
}

struct loop_attachment *loop_attachment(struct loop *l, enum loop_slot slot) {
    return &l->attachments[slot];
}

void loop_timer_start(struct loop *l, struct timer *t, int64_t deadline_ns, timer_fn *fn,
                      void *self) {
    timer_start(l->wheel, t, deadline_ns, fn, self);
}

void loop_post(struct loop *l, struct loop_task *task) {
    task->next = NULL;
    uv_mutex_lock(&l->posted_lock);
    bool was_empty = l->posted_head == NULL;
    *l->posted_tail = task;
    l->posted_tail = &task->next;
    uv_mutex_unlock(&l->posted_lock);
    if (was_empty) loop_wake(l);
}

void loop_at_turn_end(struct loop *l, struct loop_task *task) {
    task->next = NULL;
    *l->turn_end_tail = task;
    l->turn_end_tail = &task->next;
}

static void on_signal(uv_signal_t *handle, int signo) {
    struct signal_watch *w = handle->data;
    loop_enter(w->loop);
    w->fn(w->self, signo);
}

int loop_on_signal(struct loop *l, int signo, void (*fn)(void *self, int signo), void *self) {
    struct signal_watch *w = mem_zalloc(sizeof *w);
    *w = (struct signal_watch){.loop = l, .next = l->signals, .fn = fn, .self = self};
    int rc = uv_signal_init(&l->uv, &w->handle);
    if (rc < 0) {
        mem_free(w);
        return -ERR_IO;
    }
    w->handle.data = w;
    l->signals = w;
    return uv_signal_start(&w->handle, on_signal, signo) < 0 ? -ERR_IO : 0;
}

/* ---- names ---- */

static bool is_known(const struct addr *addrs, unsigned count, const struct addr *a) {
    for (unsigned i = 0; i < count; i++) {
        if (addr_same_host(&addrs[i], a)) return true;
    }
    return false;
}

static unsigned copy_addrs(const struct addrinfo *info, uint16_t port, struct addr *out_addrs) {
    unsigned count = 0;
    for (; info && count < LOOP_MAX_ADDRS; info = info->ai_next) {
        struct addr a = {.len = info->ai_addrlen};
        bool is_ours = info->ai_family == AF_INET || info->ai_family == AF_INET6;
        if (!is_ours || info->ai_addrlen > sizeof a.u) continue;
        memcpy(&a.u, info->ai_addr, info->ai_addrlen);
        addr_set_port(&a, port);
        if (!is_known(out_addrs, count, &a)) out_addrs[count++] = a;
    }
    return count;
}

static void on_names(uv_getaddrinfo_t *request, int status, struct addrinfo *info) {
    struct loop_lookup *lookup = request->data;
    loop_enter(lookup->loop);
    if (lookup->fn) {
        struct addr addrs[LOOP_MAX_ADDRS];
        struct err e = {0};
        unsigned count = status == 0 ? copy_addrs(info, lookup->port, addrs) : 0;
        if (count == 0) {
            err_set(&e, ERR_DNS, "cannot resolve '%s': %s", lookup->host,
                    status < 0 ? uv_strerror(status) : "no IPv4 or IPv6 address");
        }
        lookup->fn(lookup->self, addrs, count, count > 0 ? NULL : &e);
    }
    uv_freeaddrinfo(info);
    mem_free(lookup);
}

static void on_refused_name(struct loop_task *task, void *self) {
    struct loop_lookup *lookup = self;
    (void)task;
    on_names(&lookup->request, UV_EAI_NONAME, NULL);
}

static int copy_host(struct slice host, char out[256]) {
    if (host.len == 0 || host.len >= 256 || memchr(host.ptr, '\0', host.len)) return UV_EINVAL;
    memcpy(out, host.ptr, host.len);
    return 0;
}

struct loop_lookup *loop_lookup_start(struct loop *l, struct slice host, uint16_t port,
                                      loop_names_fn *fn, void *self) {
    static const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct loop_lookup *lookup = mem_zalloc(sizeof *lookup);
    lookup->loop = l;
    lookup->fn = fn;
    lookup->self = self;
    lookup->port = port;
    lookup->request.data = lookup;
    int rc = copy_host(host, lookup->host);
    if (rc == 0)
        rc = uv_getaddrinfo(&l->uv, &lookup->request, on_names, lookup->host, NULL, &hints);
    if (rc < 0) {   /* no resolver would take such a name (too long, not to be encoded) */
        lookup->refused = (struct loop_task){.fn = on_refused_name, .self = lookup};
        loop_at_turn_end(l, &lookup->refused);
    }
    return lookup;
}

void loop_lookup_cancel(struct loop_lookup **lookup) {
    if (!*lookup) return;
    (*lookup)->fn = NULL;
    /* Too late for one that a thread works on: it is dropped when it ends. */
    if (!(*lookup)->refused.fn) uv_cancel((uv_req_t *)&(*lookup)->request);
    *lookup = NULL;
}
