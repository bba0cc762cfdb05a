/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/parked.h"

#include "base/clock.h"
#include "base/mem.h"
#include "http/url.h"

static void parked_ended(struct owner *self, bool is_cancelled);
static const struct owner_ops owner_ops = {NULL, parked_ended};

static void park(struct parked *p) {
    struct mock_worker *w = p->worker;
    p->owner.ops = &owner_ops;
    p->next = w->parked;
    if (p->next) {
        p->next->prev = p;
    }
    w->parked = p;
    p->ex->app = p;
    atomic_fetch_add(&w->hub->parked, 1);
}

static void unpark(struct parked *p) {
    struct mock_worker *w = p->worker;
    if (p->prev) {
        p->prev->next = p->next;
    } else {
        w->parked = p->next;
    }
    if (p->next) {
        p->next->prev = p->prev;
    }
    timer_stop(&p->timer);
    atomic_fetch_sub(&w->hub->parked, 1);
}

static void parked_free(struct parked *p) {
    if (p->ops->dispose) {
        p->ops->dispose(p);
    }
    mem_free(p);
}

/* Its client is gone. */
static void parked_ended(struct owner *self, bool is_cancelled) {
    struct parked *p = (struct parked *)self;
    (void)is_cancelled;
    unpark(p);
    parked_free(p);
}

static void answer(struct parked *p, bool is_in_time) {
    p->ex->app = NULL;
    unpark(p);
    p->ops->answer(p, is_in_time);
    parked_free(p);
}

static void on_timeout(struct timer *t, void *self) {
    (void)t;
    answer(self, false);
}

void control_recheck(struct mock_worker *w) {
    for (struct parked *p = w->parked, *next; p; p = next) {
        next = p->next;
        if (p->ops->is_reached(p)) {
            answer(p, true);
        }
    }
}

/* Counted as parked before the condition is looked at: what changes from now on wakes us. */
void parked_begin(struct parked *p, struct mock_worker *w, struct http_exchange *ex,
                  const struct parked_ops *ops, int64_t timeout_ns) {
    p->ops = ops;
    p->worker = w;
    p->ex = ex;
    park(p);
    if (ops->is_reached(p)) {
        answer(p, true);
    } else if (timeout_ns <= 0) {
        answer(p, false);
    } else {
        loop_timer_start(w->loop, &p->timer, loop_now_ns(w->loop) + timeout_ns, on_timeout, p);
    }
}

bool parked_read_timeout(const struct http_exchange *ex, int64_t *out_ns) {
    struct slice text = url_query_get(ex->query, SLICE("timeout_ms"), ex->arena);
    uint64_t ms = PARKED_DEFAULT_MS;
    bool ok = !text.ptr || slice_to_u64(text, PARKED_MAX_MS, &ms);
    *out_ns = (int64_t)ms * NS_PER_MS;
    return ok;
}
