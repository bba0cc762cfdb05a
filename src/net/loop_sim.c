/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated loop: turns, and the one clock that they share. Nothing here sleeps, asks the
 * system for anything, or depends on an address of memory: the seed decides what is not decided by
 * the program. */
#include "net/loop_sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/loop_sim-private.h"

#define SLAB_KEEP_FREE_BYTES (1024 * 1024)
#define WALL_CLOCK_START_NS (INT64_C(1700000000) * NS_PER_S)   /* 2023-11-14T22:13:20Z */
/* As many turns without the clock moving mean that somebody wants an event and does nothing about
 * it. */
#define BUSY_TURNS 5000000

struct sim sim;

struct signal_watch {
    struct signal_watch *next;
    int signo;
    unsigned raised;
    void (*fn)(void *self, int signo);
    void *self;
};

void sim_die(const char *why) {
    fprintf(stderr, "simulated loop at %lld ns: %s\n", (long long)sim.now_ns, why);
    abort();
}

void *sim_alloc(size_t bytes) {
    void *p = calloc(1, bytes);
    if (!p) sim_die("out of memory");
    return p;
}

/* ---- the clock and the queue of events ---- */

static int64_t sim_mono_ns(void *self) {
    (void)self;
    return sim.now_ns;
}

static int64_t sim_wall_ns(void *self) {
    (void)self;
    return WALL_CLOCK_START_NS + sim.now_ns;
}

void sim_start(const struct sim_options *options) {
    static const struct clock_source source = {.mono_ns = sim_mono_ns, .wall_ns = sim_wall_ns};
    if (sim.loops) sim_die("sim_start: a loop exists");
    sim_stop();
    sim = (struct sim){.is_started = true, .options = *options, .now_ns = NS_PER_S};
    if (sim.options.socket_buffer_bytes == 0) sim.options.socket_buffer_bytes = 65536;
    rng_seed(&sim.rng, options->seed);
    clock_set_source(&source);
}

void sim_stop(void) {
    if (!sim.is_started) return;
    if (sim.open_sides > 0) sim_die("a socket or an accepted descriptor was not closed");
    if (sim.open_listeners > 0) sim_die("a listener was not closed");
    if (sim.open_lookups > 0) sim_die("a look-up was neither finished nor cancelled");
    while (sim.event_count > 0) {   /* what is under way to sockets that are closed */
        struct sim_event event = sim.events[--sim.event_count];
        event.fn(event.self, event.number);
    }
    free(sim.events);
    sim.events = NULL;
    sim.event_room = 0;
    net_reset();
    plan_reset();
    clock_set_source(NULL);
    sim.is_started = false;
}

int64_t sim_now_ns(void) {
    return sim.now_ns;
}

static bool is_before(const struct sim_event *a, const struct sim_event *b) {
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->seq < b->seq;
}

void sim_plan(int64_t at_ns, sim_event_fn *fn, void *self, size_t number) {
    if (sim.event_count == sim.event_room) {
        sim.event_room = sim.event_room ? 2 * sim.event_room : 64;
        sim.events = realloc(sim.events, sim.event_room * sizeof *sim.events);
        if (!sim.events) sim_die("out of memory");
    }
    struct sim_event event = {
        .at_ns = at_ns, .seq = sim.seq++, .fn = fn, .self = self, .number = number};
    size_t i = sim.event_count++;
    while (i > 0 && is_before(&event, &sim.events[(i - 1) / 2])) {
        sim.events[i] = sim.events[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    sim.events[i] = event;
}

static struct sim_event take_first_event(void) {
    struct sim_event first = sim.events[0], last = sim.events[--sim.event_count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= sim.event_count) break;
        if (child + 1 < sim.event_count && is_before(&sim.events[child + 1], &sim.events[child]))
            child++;
        if (!is_before(&sim.events[child], &last)) break;
        sim.events[i] = sim.events[child];
        i = child;
    }
    if (sim.event_count > 0) sim.events[i] = last;
    return first;
}

/* Events that these plan for now wait for the next turn. */
static unsigned events_happen(void) {
    unsigned count = 0;
    uint64_t limit = sim.seq;
    while (sim.event_count > 0 && sim.events[0].at_ns <= sim.now_ns && sim.events[0].seq < limit) {
        struct sim_event event = take_first_event();
        event.fn(event.self, event.number);
        count++;
    }
    return count;
}

/* ---- turns ---- */

static unsigned run_tasks(struct loop_task **head, struct loop_task ***tail) {
    unsigned count = 0;
    struct loop_task *task = *head;
    *head = NULL;
    *tail = head;
    for (; task; count++) {
        struct loop_task *next = task->next;
        task->fn(task, task->self);
        task = next;
    }
    return count;
}

static unsigned run_signals(struct loop *l) {
    unsigned count = 0;
    for (struct signal_watch *w = l->signals; w; w = w->next) {
        for (; w->raised > 0; count++) {
            w->raised--;
            w->fn(w->self, w->signo);
        }
    }
    return count;
}

static unsigned run_timers(struct loop *l) {
    int64_t next_ns = wheel_next_ns(l->wheel);
    unsigned fired = wheel_advance(l->wheel, sim.now_ns);
    if (fired > 0) hist_record(&l->stats.timer_late_ns, sim.now_ns - next_ns);
    return fired;
}

/* Whoever kept a pointer to what was read finds rubbish. */
static void poison_read_buffer(struct loop *l) {
    memset(l->read_buffer, 0xDB, l->read_buffer_used);
    l->read_buffer_used = 0;
}

/* How many things happened. */
static unsigned turn(struct loop *l) {
    unsigned count = events_happen();
    count += net_run_sockets(l);
    count += net_run_listeners(l);
    count += plan_run_lookups(l);
    count += run_signals(l);
    count += run_timers(l);
    count += run_tasks(&l->posted_head, &l->posted_tail);
    count += run_tasks(&l->turn_end_head, &l->turn_end_tail);
    net_sweep(l);
    poison_read_buffer(l);
    hist_record(&l->stats.turn_ns, 0);
    l->stats.turns++;
    return count;
}

static int64_t next_instant_ns(void) {
    int64_t next_ns = sim.event_count > 0 ? sim.events[0].at_ns : TIME_NEVER;
    for (struct loop *l = sim.loops; l; l = l->next) {
        int64_t timer_ns = l->stop ? TIME_NEVER : wheel_next_ns(l->wheel);
        if (timer_ns < next_ns) next_ns = timer_ns;
    }
    return next_ns;
}

static void move_clock(int64_t to_ns) {
    if (to_ns > sim.now_ns) sim.now_ns = to_ns;
}

static unsigned turn_all(void) {
    unsigned count = 0;
    for (struct loop *l = sim.loops; l; l = l->next) {
        if (!l->stop) count += turn(l);
    }
    return count;
}

bool sim_run(bool (*done)(void *self), void *self, int64_t until_ns) {
    unsigned busy = 0;
    for (;;) {
        if (done && done(self)) return true;
        int64_t before_ns = sim.now_ns;
        if (turn_all() == 0) {
            int64_t next_ns = next_instant_ns();
            if (next_ns == TIME_NEVER) return false;
            if (next_ns > until_ns) {
                move_clock(until_ns);
                return false;
            }
            move_clock(next_ns);
        }
        busy = sim.now_ns == before_ns ? busy + 1 : 0;
        if (busy > BUSY_TURNS) sim_die("it turns and turns, and time does not pass");
    }
}

void sim_advance(int64_t ns) {
    int64_t until_ns = sim.now_ns + ns;
    (void)sim_run(NULL, NULL, until_ns);
    move_clock(until_ns);
    (void)turn_all();   /* what is due at that very instant */
}

static bool is_stopped(void *self) {
    return ((struct loop *)self)->stop;
}

int loop_run(struct loop *l) {
    (void)sim_run(is_stopped, l, TIME_NEVER);
    l->stop = false;
    return 0;
}

bool loop_turn(struct loop *l, bool may_wait) {
    if (turn(l) > 0) return true;
    int64_t next_ns = next_instant_ns();
    if (next_ns == TIME_NEVER) return false;
    if (may_wait) {
        move_clock(next_ns);
        (void)turn(l);
    }
    return true;
}

void loop_stop(struct loop *l) {
    l->stop = true;
}

/* ---- life ---- */

struct loop *loop_new(struct err *e) {
    static const struct sim_options defaults = {.seed = 1};
    (void)e;
    if (!sim.is_started) sim_start(&defaults);
    struct loop *l = mem_zalloc(sizeof *l);
    l->wheel = wheel_new(sim.now_ns);
    rng_seed(&l->rng, rng_next(&sim.rng));
    l->slab = slab_new(SLAB_KEEP_FREE_BYTES);
    l->read_buffer = mem_alloc(LOOP_READ_BYTES);
    hist_init(&l->stats.turn_ns);
    hist_init(&l->stats.timer_late_ns);
    l->turn_end_tail = &l->turn_end_head;
    l->posted_tail = &l->posted_head;
    l->socks_tail = &l->socks;
    struct loop **last = &sim.loops;
    while (*last) last = &(*last)->next;
    *last = l;
    return l;
}

static void loop_unlink(struct loop *l) {
    struct loop **at = &sim.loops;
    while (*at != l) at = &(*at)->next;
    *at = l->next;
}

void loop_free(struct loop *l) {
    if (!l) return;
    for (unsigned i = 0; i < LOOP_SLOT_COUNT; i++) {
        struct loop_attachment *a = &l->attachments[i];
        if (a->ptr) a->dispose(a->ptr);
        a->ptr = NULL;
    }
    while (l->turn_end_head) run_tasks(&l->turn_end_head, &l->turn_end_tail);
    (void)plan_run_lookups(l);   /* cancelled ones */
    if (l->open_socks > 0 || l->listeners) sim_die("loop_free: a socket or listener is still open");
    net_sweep(l);
    loop_unlink(l);
    while (l->signals) {
        struct signal_watch *w = l->signals;
        l->signals = w->next;
        mem_free(w);
    }
    wheel_free(l->wheel);
    slab_free(l->slab);
    mem_free(l->read_buffer);
    mem_free(l);
}

/* ---- what hangs on it ---- */

int64_t loop_now_ns(const struct loop *l) {
    (void)l;
    return sim.now_ns;
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

static void append(struct loop_task ***tail, struct loop_task *task) {
    task->next = NULL;
    **tail = task;
    *tail = &task->next;
}

void loop_post(struct loop *l, struct loop_task *task) {
    append(&l->posted_tail, task);
}

void loop_at_turn_end(struct loop *l, struct loop_task *task) {
    append(&l->turn_end_tail, task);
}

int loop_on_signal(struct loop *l, int signo, void (*fn)(void *self, int signo), void *self) {
    struct signal_watch *w = mem_zalloc(sizeof *w);
    *w = (struct signal_watch){.next = l->signals, .signo = signo, .fn = fn, .self = self};
    l->signals = w;
    return 0;
}

void sim_raise(struct loop *l, int signo) {
    for (struct signal_watch *w = l->signals; w; w = w->next) {
        if (w->signo == signo) w->raised++;
    }
}
