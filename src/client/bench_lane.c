/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/resource.h>

#include "base/clock.h"
#include "base/mem.h"
#include "client/bench-private.h"

enum { FAILURE_PAUSE_NS = 10 * 1000 * 1000, HOPELESS_CONNECTS = 3 };

static const struct bench_options *options_of(const struct lane *l) {
    return l->bench->o;
}

bool bench_lane_in_window(const struct lane *l) {
    return l->is_open;
}

static int64_t thread_cpu_ns(void) {
    struct rusage u;
    getrusage(RUSAGE_THREAD, &u);
    return ((int64_t)u.ru_utime.tv_sec + u.ru_stime.tv_sec) * NS_PER_S +
           ((int64_t)u.ru_utime.tv_usec + u.ru_stime.tv_usec) * NS_PER_US;
}

/* ---- the window ---- */

static void open_window(struct timer *t, void *self) {
    struct lane *l = self;
    (void)t;
    l->is_open = true;
    l->open_ns = loop_now_ns(l->loop);
    l->cpu_at_open_ns = thread_cpu_ns();
}

static void lane_over(struct lane *l) {
    if (l->is_over) {
        return;
    }
    struct bench_figures *f = &l->figures;
    l->is_over = true;
    if (l->is_open) {
        l->is_open = false;
        f->wall_ns = clock_mono_ns() - l->open_ns;
        f->cpu_ns = thread_cpu_ns() - l->cpu_at_open_ns;
        f->cpu_share = f->wall_ns > 0 ? (double)f->cpu_ns / (double)f->wall_ns : 0;
    }
    timer_stop(&l->arrival);
    timer_stop(&l->window_open);
    timer_stop(&l->window_close);
    for (unsigned i = 0; i < l->n_slots; i++) {
        bench_slot_stop(&l->slots[i]);
    }
    loop_stop(l->loop);
}

static void close_window(struct timer *t, void *self) {
    (void)t;
    lane_over(self);
}

static void on_stop(struct loop_task *task, void *self) {
    (void)task;
    lane_over(self);
}

void bench_lane_stop(struct lane *l) {
    if (!atomic_exchange(&l->stop_posted, true)) {
        loop_post(l->loop, &l->stop);
    }
}

/* ---- starting calls ---- */

/* A closed loop has an arrival for each slot and then starts what it can; an open one goes by the
 * clock. */
static int64_t arrival_ns(const struct lane *l, uint64_t k) {
    const struct bench *b = l->bench;
    const struct bench_options *o = b->o;
    if (o->rate > 0) {
        double gap_ns = 1e9 / o->rate;
        return b->begin_ns + (int64_t)(gap_ns * (double)(k * b->n_lanes + l->index));
    }
    double gap_ns = (double)o->ramp_ns / (double)o->connections;
    return b->begin_ns + (int64_t)(gap_ns * (double)(k * b->n_lanes + l->index));
}

static bool take_number(struct lane *l, uint64_t *out_number) {
    const struct bench_options *o = options_of(l);
    *out_number = atomic_fetch_add_explicit(&l->bench->next_request, 1, memory_order_relaxed);
    l->no_more = o->requests > 0 && *out_number >= o->requests;
    return !l->no_more;
}

static void start_one(struct lane *l, int64_t scheduled_ns) {
    uint64_t number;
    if (l->is_over || !take_number(l, &number)) {
        return;
    }
    struct slot *s = l->free;
    l->free = s->next_free;
    l->busy++;
    bench_slot_start(s, number, scheduled_ns);
}

static void on_arrival(struct timer *t, void *self);

/* Starts every arrival that is due and has a slot, and sets the timer for the next one. */
static void start_due(struct lane *l) {
    bool closed = options_of(l)->rate <= 0;
    int64_t now_ns = loop_now_ns(l->loop);
    while (l->free && !l->no_more && !l->is_over) {
        if (closed && l->next_arrival >= l->n_slots) {
            return;
        }
        int64_t due_ns = arrival_ns(l, l->next_arrival);
        if (due_ns > now_ns) {
            loop_timer_start(l->loop, &l->arrival, due_ns, on_arrival, l);
            return;
        }
        l->next_arrival++;
        start_one(l, due_ns);
    }
}

static void end_if_done(struct lane *l) {
    if (l->no_more && l->busy == 0) {
        lane_over(l);
    }
}

static void on_arrival(struct timer *t, void *self) {
    (void)t;
    start_due(self);
    end_if_done(self);
}

static void give_back(struct slot *s) {
    struct lane *l = s->lane;
    s->next_free = l->free;
    l->free = s;
    l->busy--;
    if (options_of(l)->rate > 0 || l->next_arrival < l->n_slots) {
        start_due(l);
    }
    if (options_of(l)->rate <= 0 && l->free == s && !l->no_more) {
        start_one(l, loop_now_ns(l->loop));
    }
    end_if_done(l);
}

static void on_again(struct timer *t, void *self) {
    (void)t;
    give_back(self);
}

static bool is_hopeless(const struct lane *l) {
    return l->figures.completed == 0 && l->figures.failures[FAILURE_CONNECT] >= HOPELESS_CONNECTS;
}

void bench_lane_slot_free(struct slot *s) {
    struct lane *l = s->lane;
    if (l->is_over) {
        return;
    }
    if (is_hopeless(l)) {
        lane_over(l);
    } else if (s->has_failed) {
        loop_timer_start(l->loop, &s->again, loop_now_ns(l->loop) + FAILURE_PAUSE_NS, on_again, s);
    } else {
        give_back(s);
    }
}

/* ---- life ---- */

static unsigned share_of(unsigned total, unsigned lanes, unsigned index) {
    return total / lanes + (index < total % lanes);
}

int bench_lane_init(struct lane *l, struct bench *b, unsigned index, struct err *e) {
    struct http_pool_options po;
    l->bench = b;
    l->index = index;
    bench_figures_init(&l->figures);
    l->loop = loop_new(e);
    if (!l->loop) {
        return -ERR_IO;
    }
    l->stop = (struct loop_task){.fn = on_stop, .self = l};
    l->n_slots = share_of(b->o->connections, b->n_lanes, index);
    http_pool_options_default(&po);
    po.max_idle = l->n_slots + 1;
    po.read_bytes = LOOP_READ_BYTES;
    l->pool = http_pool_new(l->loop, &b->target.origin, &po);
    l->slots = mem_zalloc((l->n_slots + 1) * sizeof l->slots[0]);
    for (unsigned i = 0; i < l->n_slots; i++) {
        bench_slot_init(&l->slots[i], l);
        l->slots[i].next_free = i + 1 < l->n_slots ? &l->slots[i + 1] : NULL;
    }
    l->free = l->n_slots ? &l->slots[0] : NULL;
    return 0;
}

void bench_lane_run(struct lane *l) {
    const struct bench_options *o = options_of(l);
    int64_t ramp_ns = o->rate > 0 || o->duration_ns == 0 ? 0 : o->ramp_ns;
    int64_t open_ns = l->bench->begin_ns + ramp_ns + o->warmup_ns;
    if (l->n_slots == 0) {
        return;
    }
    loop_timer_start(l->loop, &l->window_open, open_ns, open_window, l);
    if (o->duration_ns > 0) {
        loop_timer_start(l->loop, &l->window_close, open_ns + o->duration_ns, close_window, l);
    }
    loop_timer_start(l->loop, &l->arrival, arrival_ns(l, 0), on_arrival, l);
    loop_run(l->loop);
}

void bench_lane_dispose(struct lane *l) {
    if (!l->loop) {
        return;
    }
    for (unsigned i = 0; i < l->n_slots; i++) {
        bench_slot_dispose(&l->slots[i]);
    }
    mem_free(l->slots);
    http_pool_close(&l->pool);
    loop_turn(l->loop, false);
    dial_forget(l->loop);
    loop_free(l->loop);
}
