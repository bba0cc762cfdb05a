/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/mock_clock.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/mem.h"
#include "config/value.h"
#include "http/url.h"

#define START_NS NS_PER_S    /* 0 is no instant in many places */
#define MOVE_MAX_NS (INT64_C(100) * 24 * 3600 * NS_PER_S)
enum { ANSWER_BYTES = 512 };

/* A POST that waits for its time to come. */
struct move {
    struct owner owner;
    struct move *next;
    struct mock_worker *worker;
    struct http_exchange *ex;
    bool to_next;                    /* until something has become due */
    int64_t by_ns;
    unsigned fired;
};

struct mock_time {
    enum mock_clock kind;
    struct loop *loop;
    struct wheel *wheel;             /* to the nanosecond */
    int64_t now_ns, limit_ns;        /* time may go so far */
    struct loop_task tick;
    bool is_queued, is_dead;
    bool is_moving;                  /* for the first of moves */
    uint64_t traffic;                /* calls to sockets, as of the last tick */
    struct move *moves, **moves_end; /* first come, first served */
};

static void tick(struct loop_task *task, void *self);

struct mock_time *mock_time_new(enum mock_clock kind, struct loop *l) {
    if (kind == MOCK_CLOCK_REAL) {
        return NULL;
    }
    struct mock_time *t = mem_zalloc(sizeof *t);
    t->kind = kind;
    t->loop = l;
    t->wheel = wheel_new_exact(START_NS);
    t->now_ns = START_NS;
    t->limit_ns = kind == MOCK_CLOCK_VIRTUAL ? TIME_NEVER - 1 : START_NS;
    t->tick = (struct loop_task){.fn = tick, .self = t};
    t->moves_end = &t->moves;
    return t;
}

void mock_time_free(struct mock_time **time) {
    struct mock_time *t = *time;
    *time = NULL;
    if (!t) {
        return;
    }
    wheel_free(t->wheel);
    while (t->moves) {
        struct move *m = t->moves;
        t->moves = m->next;
        mem_free(m);
    }
    t->is_dead = true;
    if (!t->is_queued) {
        mem_free(t);
    }
}

static void queue_tick(struct mock_time *t) {
    if (!t->is_queued) {
        t->is_queued = true;
        loop_at_turn_end(t->loop, &t->tick);
    }
}

/* ---- reading ---- */

int64_t mock_now_ns(const struct mock_worker *w) {
    return w->time ? w->time->now_ns : loop_now_ns(w->loop);
}

int64_t mock_exact_now_ns(const struct mock_worker *w) {
    return w->time ? w->time->now_ns : clock_mono_ns();
}

int64_t mock_wall_ns(const struct mock_worker *w) {
    return w->time ? MOCK_CLOCK_EPOCH_S * NS_PER_S + w->time->now_ns - START_NS : clock_wall_ns();
}

void mock_timer_start(struct mock_worker *w, struct timer *timer, int64_t deadline_ns, timer_fn *fn,
                      void *self) {
    struct mock_time *t = w->time;
    if (!t) {
        loop_timer_start(w->loop, timer, deadline_ns, fn, self);
        return;
    }
    timer_start(t->wheel, timer, deadline_ns, fn, self);
    if (deadline_ns <= t->limit_ns || t->is_moving) {
        queue_tick(t);
    }
}

/* ---- doors ---- */

static bool is_manual(const struct mock_worker *w) {
    return w->time && w->time->kind == MOCK_CLOCK_MANUAL;
}

int64_t mock_door_now_ns(const struct mock_worker *w) {
    return is_manual(w) ? mock_now_ns(w) : loop_now_ns(w->loop);
}

void mock_door_timer_start(struct mock_worker *w, struct timer *timer, int64_t deadline_ns,
                           timer_fn *fn, void *self) {
    if (is_manual(w)) {
        mock_timer_start(w, timer, deadline_ns, fn, self);
    } else {
        loop_timer_start(w->loop, timer, deadline_ns, fn, self);
    }
}

/* ---- moves ---- */

static void move_begin(struct mock_time *t) {
    struct move *m = t->moves;
    t->is_moving = true;
    bool is_far = m->to_next || m->by_ns > TIME_NEVER / 2 - t->now_ns;
    t->limit_ns = m->to_next ? TIME_NEVER - 1 : is_far ? TIME_NEVER / 2 : t->now_ns + m->by_ns;
    queue_tick(t);
}

static void move_end(struct mock_time *t) {
    struct move *m = t->moves;
    t->moves = m->next;
    t->moves_end = t->moves ? t->moves_end : &t->moves;
    t->is_moving = false;
    t->limit_ns = t->now_ns;
    if (t->moves) {
        move_begin(t);
    }
}

static void respond(struct mock_worker *w, struct http_exchange *ex, const unsigned *fired) {
    static const char *const names[] = {"real", "virtual", "manual"};
    const struct mock_time *t = w->time;
    int64_t next_ns = t ? wheel_next_ns(t->wheel) : TIME_NEVER;
    struct buf out;
    buf_init(&out, ANSWER_BYTES);
    int rc = buf_appendf(&out, "{\"clock\":\"%s\",\"now_ns\":%" PRId64 ",\"wall_ns\":%" PRId64,
                         names[t ? t->kind : MOCK_CLOCK_REAL], mock_now_ns(w), mock_wall_ns(w));
    if (t) {
        rc |= buf_appendf(&out, ",\"elapsed_ns\":%" PRId64 ",\"waiting\":%u,\"idle\":%s", t->now_ns - START_NS,
                          wheel_count(t->wheel), next_ns == TIME_NEVER ? "true" : "false");
    }
    rc |= fired ? buf_appendf(&out, ",\"fired\":%u", *fired) : 0;
    rc |= buf_append(&out, SLICE("}\n"));
    mock_respond_json(w, ex, rc < 0 ? 500 : 200, buf_slice(&out));
    buf_dispose(&out);
}

/* All that became due has been written. */
static void move_answer(struct mock_time *t) {
    struct move *m = t->moves;
    struct mock_worker *w = m->worker;
    struct http_exchange *ex = m->ex;
    unsigned fired = m->fired;
    if (ex) {
        ex->app = NULL;
        respond(w, ex, &fired);
    }
    move_end(t);
    mem_free(m);
}

/* Its client left: time goes on all the same. */
static void move_ended(struct owner *owner, bool is_cancelled) {
    struct move *m = (struct move *)(void *)owner;
    (void)is_cancelled;
    m->ex = NULL;
}

static const struct owner_ops move_ops = {.ended = move_ended};

/* ---- ticks ---- */

/* A turn without a call to a socket: whoever had something to say has said it. */
static bool is_quiet(struct mock_time *t) {
    const struct loop_stats *s = loop_stats(t->loop);
    uint64_t before = t->traffic;
    t->traffic = atomic_load(&s->recv_calls) + atomic_load(&s->send_calls);
    return t->traffic == before;
}

static bool may_fire(const struct mock_time *t) {
    return wheel_next_ns(t->wheel) <= t->limit_ns;
}

/* To the next instant at which something is due, over borders of the wheel where nothing is. */
static void jump(struct mock_time *t) {
    unsigned fired = 0;
    while (fired == 0 && may_fire(t)) {
        int64_t next_ns = wheel_next_ns(t->wheel);
        t->now_ns = next_ns > t->now_ns ? next_ns : t->now_ns;
        fired = wheel_advance(t->wheel, t->now_ns);
    }
    if (t->is_moving) {
        t->moves->fired += fired;
        t->limit_ns = t->moves->to_next && fired > 0 ? t->now_ns : t->limit_ns;
    }
}

static void move_arrive(struct mock_time *t) {
    t->now_ns = t->moves->to_next ? t->now_ns : t->limit_ns;
    move_answer(t);
}

static void tick(struct loop_task *task, void *self) {
    struct mock_time *t = self;
    (void)task;
    t->is_queued = false;
    if (t->is_dead) {
        mem_free(t);
        return;
    }
    bool has_due = may_fire(t);
    if (!has_due && !t->is_moving) {
        return;
    }
    queue_tick(t);
    if (!is_quiet(t)) {
        return;
    }
    if (has_due) {
        jump(t);
    } else {
        move_arrive(t);
    }
}

/* ---- control ---- */

void control_clock(struct mock_worker *w, struct http_exchange *ex) {
    respond(w, ex, NULL);
}

static bool read_move(const struct http_exchange *ex, struct move *m) {
    struct slice by = url_query_get(ex->query, SLICE("advance"), ex->arena);
    m->to_next = slice_eq(by, SLICE("next"));
    return m->to_next || (value_parse_duration(by, &m->by_ns) && m->by_ns <= MOVE_MAX_NS);
}

void control_clock_move(struct mock_worker *w, struct http_exchange *ex) {
    struct mock_time *t = w->time;
    struct move asked = {.owner.ops = &move_ops, .worker = w, .ex = ex};
    if (!t || t->kind != MOCK_CLOCK_MANUAL) {
        mock_respond_simple_error(w, ex, 409, "invalid_value",
                                  "the clock moves by itself: start the mock with --clock manual");
        return;
    }
    if (!read_move(ex, &asked)) {
        mock_respond_simple_error(w, ex, 400, "invalid_value",
                                  "POST /penstock/clock?advance=50ms, at most 100 days, or advance=next");
        return;
    }
    struct move *m = mem_alloc(sizeof *m);
    *m = asked;
    *t->moves_end = m;
    t->moves_end = &m->next;
    ex->app = m;
    if (!t->is_moving) {
        move_begin(t);
    }
}
