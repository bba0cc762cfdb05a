/* SPDX-License-Identifier: Apache-2.0 */
/* The real loop. One libuv iteration is one turn:
 *
 *   prepare   arms the timerfd, if the wheel's next deadline came nearer
 *   poll      socket events (loop_uv_sock.c), accepts (loop_uv_listen.c), look-ups, signals
 *   check     due timers, posted work, turn-end work
 *
 * The timerfd is a plain uv_poll beside the sockets: uv_timer has millisecond steps and was
 * measured late. It is never read: setting it anew clears it. It is set only when a deadline comes
 * nearer or when it fired, so timers that are started and stopped (one a request) cost no system
 * call; the price is one idle wake-up per armed deadline that was stopped. */
#include "loop_uv-private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define SLAB_KEEP_FREE_BYTES (1024 * 1024)

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

static void on_timer_fd(uv_poll_t *poll, int status, int events) {
    struct loop *l = poll->data;
    (void)status, (void)events;
    loop_enter(l);
    l->timer_fired = true;
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

static void on_no_sleep(uv_idle_t *idle) {
    (void)idle;
}

/* What is queued while this runs has its turn next time, so that sockets get theirs in between. */
static void turn_end_drain(struct loop *l) {
    struct loop_task *head = l->turn_end_head;
    l->turn_end_head = NULL;
    l->turn_end_tail = &l->turn_end_head;
    l->draining = true;
    run_tasks(head);
    l->draining = false;
    if (l->turn_end_head) uv_idle_start(&l->no_sleep, on_no_sleep);
    else uv_idle_stop(&l->no_sleep);
}

static void on_after_poll(uv_check_t *check) {
    struct loop *l = check->data;
    loop_enter(l);
    timers_fire(l);
    run_tasks(take_posted(l));
    turn_end_drain(l);
    hist_record(&l->stats.turn_ns, clock_mono_ns() - l->now_ns);
    stat_add(&l->stats.turns, 1);
    l->in_turn = false;
    if (atomic_load(&l->stop)) uv_stop(&l->uv);
}

static void on_before_poll(uv_prepare_t *prepare) {
    timer_arm(prepare->data);
}

static void on_wakeup(uv_async_t *wakeup) {
    loop_enter(wakeup->data);   /* the rest is done after the poll */
}

/* ---- life ---- */

static int uv_failed(struct err *e, int rc, const char *what) {
    return err_set(e, ERR_IO, "event loop: %s: %s", what, uv_strerror(rc));
}

static void unref_all(struct loop *l) {
    uv_unref((uv_handle_t *)&l->wakeup);
    uv_unref((uv_handle_t *)&l->before_poll);
    uv_unref((uv_handle_t *)&l->after_poll);
    uv_unref((uv_handle_t *)&l->no_sleep);
    uv_unref((uv_handle_t *)&l->timer_poll);
}

static int handles_open(struct loop *l, struct err *e) {
    int rc = uv_async_init(&l->uv, &l->wakeup, on_wakeup);
    if (rc < 0) return uv_failed(e, rc, "wake-up descriptor");
    l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    rc = l->timer_fd < 0 ? uv_translate_sys_error(errno)
                         : uv_poll_init(&l->uv, &l->timer_poll, l->timer_fd);
    if (rc < 0) {
        if (l->timer_fd >= 0) close(l->timer_fd);
        uv_close((uv_handle_t *)&l->wakeup, NULL);
        uv_run(&l->uv, UV_RUN_DEFAULT);
        return uv_failed(e, rc, "timer descriptor");
    }
    uv_prepare_init(&l->uv, &l->before_poll);
    uv_check_init(&l->uv, &l->after_poll);
    uv_idle_init(&l->uv, &l->no_sleep);
    l->wakeup.data = l->timer_poll.data = l->before_poll.data = l->after_poll.data = l;
    uv_prepare_start(&l->before_poll, on_before_poll);
    uv_check_start(&l->after_poll, on_after_poll);
    uv_poll_start(&l->timer_poll, UV_READABLE, on_timer_fd);
    unref_all(l);
    return 0;
}

static int uv_open(struct loop *l, struct err *e) {
    int rc = uv_loop_init(&l->uv);
    if (rc < 0) return uv_failed(e, rc, "cannot be created");
    if (handles_open(l, e) < 0) {
        uv_loop_close(&l->uv);
        return -ERR_IO;
    }
    return 0;
}

struct loop *loop_new(struct err *e) {
    struct loop *l = mem_zalloc(sizeof *l);
    if (uv_open(l, e) < 0) {
        mem_free(l);
        return NULL;
    }
    if (uv_mutex_init(&l->posted_lock) != 0) abort();
    l->posted_tail = &l->posted_head;
    l->turn_end_tail = &l->turn_end_head;
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
    uv_close((uv_handle_t *)&l->wakeup, NULL);
    uv_close((uv_handle_t *)&l->before_poll, NULL);
    uv_close((uv_handle_t *)&l->after_poll, NULL);
    uv_close((uv_handle_t *)&l->no_sleep, NULL);
    uv_close((uv_handle_t *)&l->timer_poll, NULL);
    signals_close(l);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    int rc = uv_loop_close(&l->uv);
    assert(rc == 0 && "a socket or listener is still open on this loop");
    (void)rc;
    close(l->timer_fd);
}

void loop_free(struct loop *l) {
    if (!l) return;
    for (unsigned i = 0; i < LOOP_SLOT_COUNT; i++) {
        struct loop_attachment *a = &l->attachments[i];
        if (a->ptr) a->dispose(a->ptr);
        a->ptr = NULL;
    }
    while (l->turn_end_head) turn_end_drain(l);
    uv_shut(l);
    signals_free(l);
    loop_free_socks(l);
    uv_mutex_destroy(&l->posted_lock);
    wheel_free(l->wheel);
    slab_free(l->slab);
    mem_free(l->read_buffer);
    mem_free(l);
}

int loop_run(struct loop *l) {
    uv_ref((uv_handle_t *)&l->wakeup);
    while (!atomic_load(&l->stop)) uv_run(&l->uv, UV_RUN_DEFAULT);
    uv_unref((uv_handle_t *)&l->wakeup);
    atomic_store(&l->stop, false);
    return 0;
}

static bool has_posted(struct loop *l) {
    uv_mutex_lock(&l->posted_lock);
    bool has = l->posted_head != NULL;
    uv_mutex_unlock(&l->posted_lock);
    return has;
}

static bool loop_is_alive(struct loop *l) {
    return uv_loop_alive(&l->uv) || wheel_count(l->wheel) > 0 || l->turn_end_head || has_posted(l);
}

bool loop_turn(struct loop *l, bool may_wait) {
    if (!loop_is_alive(l)) return false;
    uv_ref((uv_handle_t *)&l->wakeup);   /* libuv does not turn for handles that nobody waits for */
    uv_run(&l->uv, may_wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    uv_unref((uv_handle_t *)&l->wakeup);
    return loop_is_alive(l);
}

void loop_stop(struct loop *l) {
    atomic_store(&l->stop, true);
    uv_async_send(&l->wakeup);
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
    if (was_empty) uv_async_send(&l->wakeup);
}

void loop_at_turn_end(struct loop *l, struct loop_task *task) {
    task->next = NULL;
    *l->turn_end_tail = task;
    l->turn_end_tail = &task->next;
    if (!l->in_turn) uv_idle_start(&l->no_sleep, on_no_sleep);
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
