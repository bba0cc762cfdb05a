/* SPDX-License-Identifier: Apache-2.0 */
/* How new connections fare while a provider's doors behave strangely. */
#include "base/mem.h"
#include "mock/fault_answer.h"
#include "mock/fault_book.h"
#include "mock/mock_clock.h"

enum { RETRY_NS = 100 * 1000 * 1000 };

struct trip {
    struct trip *prev, *next;
    struct fault_gate *gate;
    struct sock *sock;
};

struct fault_gate {
    struct mock_worker *worker;
    struct timer timer;                  /* the end of it */
    bool is_shut;
    struct trip *trips;                  /* that wait for the first bytes */
};

static struct fault_gate *gate_of(struct mock_worker *w) {
    if (!w->gate) {
        w->gate = mem_zalloc(sizeof *w->gate);
        w->gate->worker = w;
    }
    return w->gate;
}

/* ---- tripped behind the first bytes ---- */

static void trip_free(struct trip *t) {
    if (t->prev) {
        t->prev->next = t->next;
    } else {
        t->gate->trips = t->next;
    }
    if (t->next) {
        t->next->prev = t->prev;
    }
    sock_close_reset(&t->sock);
    mem_free(t);
}

static void on_first_bytes(void *self, unsigned events) {
    (void)events;
    trip_free(self);
}

static void trip_new(struct mock_worker *w, int fd) {
    struct fault_gate *g = gate_of(w);
    struct trip *t = mem_zalloc(sizeof *t);
    *t = (struct trip){.gate = g, .next = g->trips};
    if (t->next) {
        t->next->prev = t;
    }
    g->trips = t;
    t->sock = sock_adopt(w->loop, fd, on_first_bytes, t);
    sock_watch(t->sock, SOCK_READABLE);
}

static void ignore(void *self, unsigned events) {
    (void)self;
    (void)events;
}

bool fault_gate_takes(struct mock_worker *w, int fd) {
    int64_t until_ns;
    struct sock *s;
    switch (fault_book_door(w->hub->faults, mock_door_now_ns(w), &until_ns)) {
    case FAULT_DOOR_OPEN:
        return false;
    case FAULT_DOOR_TRIPS:
        trip_new(w, fd);
        return true;
    case FAULT_DOOR_SHUT:                /* it came just before */
    case FAULT_DOOR_RESETS:
        s = sock_adopt(w->loop, fd, ignore, NULL);
        sock_close_reset(&s);
        return true;
    }
    return false;
}

/* ---- shut ---- */

static void on_time(struct timer *t, void *self) {
    (void)t;
    fault_gate_check(self);
}

void fault_gate_check(struct mock_worker *w) {
    int64_t until_ns, now_ns = mock_door_now_ns(w);
    bool shut = fault_book_door(w->hub->faults, now_ns, &until_ns) == FAULT_DOOR_SHUT;
    if (shut && (!w->gate || !w->gate->is_shut)) {
        gate_of(w)->is_shut = true;
        mock_worker_deafen(w);
    } else if (!shut && w->gate && w->gate->is_shut) {
        w->gate->is_shut = !mock_worker_relisten(w);
        until_ns = now_ns + RETRY_NS;    /* somebody took the address */
    }
    if (w->gate && w->gate->is_shut && until_ns < INT64_MAX) {
        mock_door_timer_start(w, &w->gate->timer, until_ns, on_time, w);
    }
}

void fault_gate_free(struct mock_worker *w) {
    if (!w->gate) {
        return;
    }
    timer_stop(&w->gate->timer);
    while (w->gate->trips) {
        trip_free(w->gate->trips);
    }
    mem_free(w->gate);
    w->gate = NULL;
}
