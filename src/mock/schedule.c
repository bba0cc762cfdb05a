/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/schedule.h"

enum { HIDDEN_DRAWS = 100000 };      /* so many are drawn; the rest count as the mean */

/* An odd number, far from the step of the generator's own seeding. */
#define SERIAL_STRIDE UINT64_C(0xd1342543de82ef95)

/* No schedule goes further: the longest times, added up over a long answer, do not fit. */
#define FAR_NS (INT64_MAX / 4)

static int64_t later(int64_t at_ns, int64_t by_ns) {
    return by_ns < FAR_NS - at_ns ? at_ns + by_ns : FAR_NS;
}

static double load_of(const struct schedule *s) {
    uint64_t running = s->running ? atomic_load_explicit(s->running, memory_order_relaxed) : 1;
    return running > 1 ? 1 + s->slowdown * (double)(running - 1) : 1;
}

static int64_t slowed(const struct schedule *s, int64_t ns) {
    if (s->slowdown <= 0) {
        return ns;
    }
    double slow = (double)ns * load_of(s);
    return slow < (double)LAW_MAX_NS ? (int64_t)slow : LAW_MAX_NS;
}

static int64_t draw_prefill(struct schedule *s, const struct schedule_plan *p) {
    if (law_is_zero(&p->prefill) || p->uncached == 0) {
        return 0;
    }
    double ns = (double)law_draw(&p->prefill, &s->rng) * (double)p->uncached;
    return ns < (double)LAW_MAX_NS ? (int64_t)ns : LAW_MAX_NS;
}

static int64_t draw_hidden(struct schedule *s, uint64_t n) {
    uint64_t drawn = n < HIDDEN_DRAWS ? n : HIDDEN_DRAWS;
    double ns = (double)s->itl.mean_ns * (double)(n - drawn);
    for (uint64_t i = 0; i < drawn && !law_is_zero(&s->itl); i++) {
        ns += (double)law_draw(&s->itl, &s->rng);
    }
    return ns < (double)LAW_MAX_NS ? (int64_t)ns : LAW_MAX_NS;
}

static bool join(struct schedule *s, const struct schedule_plan *p, int64_t now_ns) {
    uint64_t chunks = p->slots < ENGINE_ENDLESS - p->hidden ? p->slots + p->hidden : ENGINE_ENDLESS;
    s->engine = p->engine;
    s->hidden = p->hidden;
    return engine_join(s->engine, p->engine_options, &s->seat, p->uncached, chunks, now_ns);
}

/* Before slot 0, whoever says it. */
static int64_t draw_first_pause(struct schedule *s, const struct schedule_plan *p) {
    return p->first_pause ? law_draw(p->first_pause, &s->rng) : 0;
}

bool schedule_start(struct schedule *s, const struct schedule_plan *p, int64_t now_ns) {
    s->due_ns = now_ns;
    s->slowdown = p->slowdown;
    s->running = p->running;
    rng_seed(&s->rng, p->seed ^ p->serial * SERIAL_STRIDE);
    if (p->engine) {
        s->put_off_ns = draw_first_pause(s, p);
        return join(s, p, now_ns);
    }
    s->itl = law_copy(&p->itl, NULL);
    int64_t wait_ns = law_draw(&p->ttft, &s->rng);
    wait_ns += draw_prefill(s, p);
    wait_ns += draw_hidden(s, p->hidden);
    s->due_ns = later(s->due_ns, slowed(s, wait_ns) + draw_first_pause(s, p));
    s->is_known = true;
    return true;
}

void schedule_stop(struct schedule *s, int64_t now_ns) {
    if (s->engine) {
        engine_leave(s->engine, &s->seat, now_ns);
    }
    law_release(&s->itl);
    s->engine = NULL;
    s->is_known = false;
}

bool schedule_is_due(struct schedule *s, int64_t now_ns) {
    if (!s->is_known && s->engine) {
        int64_t at_ns;
        s->is_known = engine_chunk_due(s->engine, &s->seat, s->hidden + s->slot, now_ns, &at_ns);
        s->due_ns = s->is_known ? later(at_ns, s->put_off_ns) : at_ns;
    }
    return s->is_known && s->due_ns <= now_ns;
}

void schedule_next(struct schedule *s, const struct law *pause) {
    int64_t pause_ns = pause ? law_draw(pause, &s->rng) : 0;
    s->slot++;
    if (s->engine) {
        s->put_off_ns = later(s->put_off_ns, pause_ns);
        s->is_known = false;
    } else {
        s->due_ns = later(s->due_ns, slowed(s, law_draw(&s->itl, &s->rng)) + pause_ns);
    }
}

void schedule_put_off(struct schedule *s, int64_t ns) {
    s->put_off_ns += s->engine ? ns : 0;
    s->due_ns += s->is_known ? ns : 0;
}
