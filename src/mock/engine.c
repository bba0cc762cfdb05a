/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/engine.h"

#include <math.h>
#include <pthread.h>

#include "base/mem.h"

enum {
    HISTORY = 1024,                  /* steps whose ends are remembered: for who is behind */
    STEP_MIN_NS = 1000,              /* a batch of endless answers must not stand still */
    WALK_MAX = 1 << 20               /* steps in one go; then those that change nothing are leapt */
};

struct list {
    struct engine_seat *first, *last;
    unsigned n;
};

struct engine {
    pthread_mutex_t lock;
    struct engine_options o;         /* laws are held */
    struct rng rng;
    struct list running, queue;
    bool is_stepping;
    uint64_t step;                   /* under way, or the last one; the first is 1 */
    int64_t end_ns;                  /* of it */
    int64_t ends[HISTORY];
    struct engine_view view;
};

struct engine *engine_new(uint64_t seed) {
    struct engine *e = mem_zalloc(sizeof *e);
    pthread_mutex_init(&e->lock, NULL);
    rng_seed(&e->rng, seed ^ UINT64_C(0x656e67696e65));
    return e;
}

static void hold_law(struct law *io, const struct law *now) {
    if (io->shape != now->shape || io->mean_ns != now->mean_ns || io->spread != now->spread) {
        law_release(io);
        *io = law_copy(now, NULL);
    }
}

void engine_free(struct engine **engine) {
    struct engine *e = *engine;
    *engine = NULL;
    if (e) {
        law_release(&e->o.step);
        law_release(&e->o.prefill);
        pthread_mutex_destroy(&e->lock);
        mem_free(e);
    }
}

/* ---- lists ---- */

static void append(struct list *l, struct engine_seat *s) {
    s->prev = l->last;
    s->next = NULL;
    if (l->last) {
        l->last->next = s;
    } else {
        l->first = s;
    }
    l->last = s;
    l->n++;
}

static void take_out(struct list *l, struct engine_seat *s) {
    if (s->prev) {
        s->prev->next = s->next;
    } else {
        l->first = s->next;
    }
    if (s->next) {
        s->next->prev = s->prev;
    } else {
        l->last = s->prev;
    }
    s->prev = s->next = NULL;
    l->n--;
}

/* ---- steps ---- */

static void admit(struct engine *e) {
    while (e->queue.first && e->running.n < e->o.max_batch) {
        struct engine_seat *s = e->queue.first;
        take_out(&e->queue, s);
        append(&e->running, s);
        s->state = ENGINE_PREFILL;
    }
    e->view.most_running =
        e->running.n > e->view.most_running ? e->running.n : e->view.most_running;
}

/* Reads of the prompts what this step has room for; who is through says its first chunk at the
 * step's end. */
static uint64_t prefill(struct engine *e) {
    uint64_t room = e->o.prefill_budget ? e->o.prefill_budget : UINT64_MAX, read = 0;
    for (struct engine_seat *s = e->running.first; s; s = s->next) {
        if (s->state != ENGINE_PREFILL) {
            continue;
        }
        uint64_t portion = s->prefill_left < room ? s->prefill_left : room;
        s->prefill_left -= portion;
        room -= portion;
        read += portion;
        if (s->prefill_left == 0) {
            s->state = ENGINE_DECODE;
            s->first_step = e->step;
        }
    }
    return read;
}

static void step_begin(struct engine *e, int64_t at_ns) {
    admit(e);
    e->is_stepping = e->running.n > 0;
    if (!e->is_stepping) {
        return;
    }
    e->step++;
    uint64_t tokens = prefill(e);
    double ns = (double)law_draw(&e->o.step, &e->rng);
    ns += (double)e->o.batch_cost_ns * e->running.n;
    ns += tokens ? (double)law_draw(&e->o.prefill, &e->rng) * (double)tokens : 0;
    ns = fmin(fmax(ns, STEP_MIN_NS), (double)LAW_MAX_NS);
    e->end_ns = at_ns + (int64_t)ns;
    e->view.steps++;
    e->view.seats += e->running.n;
    e->view.prefill_tokens += tokens;
}

static void step_end(struct engine *e) {
    e->ends[e->step % HISTORY] = e->end_ns;
    for (struct engine_seat *s = e->running.first, *next; s; s = next) {
        next = s->next;
        if (s->state == ENGINE_DECODE && e->step - s->first_step + 1 >= s->chunks) {
            take_out(&e->running, s);
            s->state = ENGINE_DONE;
        }
    }
}

/* Steps after this one in which nobody comes to an end; 0 while prompts are being read. */
static uint64_t steps_alike(const struct engine *e) {
    uint64_t least = UINT64_MAX;
    for (const struct engine_seat *s = e->running.first; s; s = s->next) {
        uint64_t said = e->step - s->first_step + 1;
        if (s->state != ENGINE_DECODE || said >= s->chunks) {
            return 0;
        }
        least = s->chunks - said < least ? s->chunks - said : least;
    }
    return least - 1;
}

/* Endless answers that nobody reads, and a long time gone by: steps of the mean length, but for the
 * last ones, whose ends are remembered. */
static void leap(struct engine *e, int64_t now_ns) {
    double ns = (double)e->o.step.mean_ns + (double)e->o.batch_cost_ns * e->running.n;
    int64_t mean_ns = (int64_t)fmin(fmax(ns, STEP_MIN_NS), (double)LAW_MAX_NS);
    uint64_t steps = (uint64_t)((now_ns - e->end_ns) / mean_ns), alike = steps_alike(e);
    steps = steps < alike ? steps : alike;
    if (steps > HISTORY) {
        steps -= HISTORY;
        e->step += steps;
        e->end_ns += (int64_t)steps * mean_ns;
        e->view.steps += steps;
        e->view.seats += steps * e->running.n;
    }
}

static void advance(struct engine *e, int64_t now_ns) {
    for (unsigned walked = 0; e->is_stepping && e->end_ns <= now_ns; walked++) {
        if (walked == WALK_MAX) {
            leap(e, now_ns);
            walked = 0;
        }
        step_end(e);
        step_begin(e, e->end_ns);
    }
}

/* ---- coming and going ---- */

bool engine_join(struct engine *e, const struct engine_options *o, struct engine_seat *s,
                 uint64_t prompt_tokens, uint64_t chunks, int64_t now_ns) {
    pthread_mutex_lock(&e->lock);
    advance(e, now_ns);
    hold_law(&e->o.step, &o->step);
    hold_law(&e->o.prefill, &o->prefill);
    e->o.max_batch = o->max_batch > 0 ? o->max_batch : 1;
    e->o.queue = o->queue;
    e->o.batch_cost_ns = o->batch_cost_ns;
    e->o.prefill_budget = o->prefill_budget;
    bool has_room = (uint64_t)e->running.n + e->queue.n < (uint64_t)e->o.max_batch + e->o.queue;
    if (has_room) {
        *s = (struct engine_seat){
            .state = ENGINE_QUEUED, .chunks = chunks ? chunks : 1, .prefill_left = prompt_tokens};
        append(&e->queue, s);
        if (!e->is_stepping) {
            step_begin(e, now_ns);
        }
        e->view.most_queued = e->queue.n > e->view.most_queued ? e->queue.n : e->view.most_queued;
    }
    e->view.refused += !has_room;
    pthread_mutex_unlock(&e->lock);
    return has_room;
}

void engine_leave(struct engine *e, struct engine_seat *s, int64_t now_ns) {
    pthread_mutex_lock(&e->lock);
    if (s->state != ENGINE_OUT) {
        advance(e, now_ns);
    }
    if (s->state == ENGINE_QUEUED) {
        take_out(&e->queue, s);
    } else if (s->state == ENGINE_PREFILL || s->state == ENGINE_DECODE) {
        take_out(&e->running, s);
    }
    s->state = ENGINE_OUT;
    pthread_mutex_unlock(&e->lock);
}

/* ---- asking ---- */

/* The end of a step that is over: of one that is forgotten, that of the oldest that is known. */
static int64_t end_of(const struct engine *e, uint64_t step) {
    uint64_t last = e->is_stepping ? e->step - 1 : e->step;
    uint64_t oldest = last >= HISTORY ? last - HISTORY + 1 : 1;
    return e->ends[(step > oldest ? step : oldest) % HISTORY];
}

static bool find_chunk(const struct engine *e, const struct engine_seat *s, uint64_t k,
                       int64_t *out_ns) {
    bool has_begun = s->state == ENGINE_DECODE || s->state == ENGINE_DONE;
    uint64_t step = s->first_step + k;
    *out_ns = e->end_ns;
    if (!has_begun || (e->is_stepping && step > e->step)) {
        return false;
    }
    if (step < e->step) {
        *out_ns = end_of(e, step);
    }
    return true;
}

bool engine_chunk_due(struct engine *e, const struct engine_seat *s, uint64_t k, int64_t now_ns,
                      int64_t *out_ns) {
    pthread_mutex_lock(&e->lock);
    advance(e, now_ns);
    bool is_known = find_chunk(e, s, k, out_ns);
    pthread_mutex_unlock(&e->lock);
    return is_known;
}

void engine_look(struct engine *e, int64_t now_ns, struct engine_view *out) {
    pthread_mutex_lock(&e->lock);
    advance(e, now_ns);
    *out = e->view;
    out->running = e->running.n;
    out->queued = e->queue.n;
    pthread_mutex_unlock(&e->lock);
}
