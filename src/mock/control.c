/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/json_scan.h"
#include "base/mem.h"
#include "http/url.h"
#include "mock/worker.h"

enum { WAIT_DEFAULT_MS = 10000, WAIT_MAX_MS = 600000, ANSWER_BYTES = 1024 };

/* A control request that waits for its condition: a step for its tokens, a wait for its counter. */
struct parked {
    struct owner owner;
    struct parked *prev, *next;
    struct mock_worker *worker;
    struct http_exchange *ex;
    struct timer timer;
    struct step_key *step;             /* NULL: a wait */
    uint64_t step_target;
    bool step_all;
    enum hub_counter counter;
    uint64_t bound;
    bool is_upper;                     /* counter <= bound, else >= */
};

/* ---- parking ---- */

static void park(struct parked *p) {
    struct mock_worker *w = p->worker;
    p->owner.kind = OWNER_PARKED;
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
    if (p->step) {
        step_release(w->hub, &p->step);
    }
    atomic_fetch_sub(&w->hub->parked, 1);
    mem_free(p);
}

void control_cancel(struct parked *p) {
    unpark(p);
}

static void answer_step(struct parked *p, unsigned status) {
    struct step_view v = step_look(p->worker->hub, p->step);
    struct buf out;
    buf_init(&out, ANSWER_BYTES);
    int rc = buf_append(&out, SLICE("{\"key\":\"")) |
             json_escape(&out, slice_make(p->step->text, p->step->len)) |
             buf_appendf(&out, "\",\"written\":%" PRIu64 ",\"ended\":%s}\n", v.written,
                         v.is_ended ? "true" : "false");
    struct http_exchange *ex = p->ex;
    struct mock_worker *w = p->worker;
    ex->app = NULL;
    unpark(p);
    mock_respond_json(w, ex, rc < 0 ? 500 : status, buf_slice(&out));
    buf_dispose(&out);
}

static int append_counters(struct hub *h, struct buf *out) {
    int rc = buf_append_byte(out, '{');
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        rc |= buf_appendf(out, "%s\"%s\":%" PRIu64, i ? "," : "", hub_counter_names[i],
                          atomic_load(&h->counters[i]));
    }
    return rc | buf_append(out, SLICE("}\n"));
}

static void respond_counters(struct mock_worker *w, struct http_exchange *ex, unsigned status) {
    struct buf out;
    buf_init(&out, ANSWER_BYTES);
    int rc = append_counters(w->hub, &out);
    mock_respond_json(w, ex, rc < 0 ? 500 : status, buf_slice(&out));
    buf_dispose(&out);
}

static void answer_wait(struct parked *p, unsigned status) {
    struct http_exchange *ex = p->ex;
    struct mock_worker *w = p->worker;
    ex->app = NULL;
    unpark(p);
    respond_counters(w, ex, status);
}

static void on_timeout(struct timer *t, void *self) {
    (void)t;
    struct parked *p = self;
    if (p->step) {
        answer_step(p, step_look(p->worker->hub, p->step).is_joined ? 504 : 404);
    } else {
        answer_wait(p, 504);
    }
}

static bool is_reached(const struct parked *p) {
    struct hub *h = p->worker->hub;
    if (p->step) {
        struct step_view v = step_look(h, p->step);
        bool granted_all = p->step_all && v.is_joined;
        return v.is_ended || granted_all || (!p->step_all && v.written >= p->step_target);
    }
    uint64_t now = atomic_load(&h->counters[p->counter]);
    return p->is_upper ? now <= p->bound : now >= p->bound;
}

static void answer(struct parked *p) {
    if (p->step) {
        answer_step(p, 200);
    } else {
        answer_wait(p, 200);
    }
}

void control_recheck(struct mock_worker *w) {
    for (struct parked *p = w->parked, *next; p; p = next) {
        next = p->next;
        if (is_reached(p)) {
            answer(p);
        }
    }
}

/* Counted as parked before the condition is looked at: what changes from now on wakes us. */
static void park_or_answer(struct parked *p, int64_t timeout_ns) {
    park(p);
    if (is_reached(p)) {
        answer(p);
        return;
    }
    loop_timer_start(p->worker->loop, &p->timer, loop_now_ns(p->worker->loop) + timeout_ns,
                     on_timeout, p);
}

static bool read_timeout(const struct http_exchange *ex, int64_t *out_ns) {
    struct slice text = url_query_get(ex->query, SLICE("timeout_ms"), ex->arena);
    uint64_t ms = WAIT_DEFAULT_MS;
    bool ok = !text.ptr || slice_to_u64(text, WAIT_MAX_MS, &ms);
    *out_ns = (int64_t)ms * NS_PER_MS;
    return ok;
}

/* ---- step ---- */

void control_step(struct mock_worker *w, struct http_exchange *ex) {
    struct slice key = url_query_get(ex->query, SLICE("key"), ex->arena);
    struct slice count = url_query_get(ex->query, SLICE("n"), ex->arena);
    bool all = slice_eq(count, SLICE("all"));
    uint64_t n = 1;
    int64_t timeout_ns;
    if (!read_timeout(ex, &timeout_ns) ||
        (count.ptr && !all && !slice_to_u64(count, UINT64_C(1000000000), &n))) {
        mock_respond_simple_error(w, ex, 400, "invalid_value",
                             "POST /penstock/step?key=KEY&n=1|all&timeout_ms=10000");
        return;
    }
    struct step_key *step = step_acquire(w->hub, key.ptr ? key : SLICE(""));
    if (!step) {
        mock_respond_simple_error(w, ex, 400, "invalid_value", "the key is longer than %d bytes, or %d are waiting",
                             STEP_KEY_BYTES, STEP_KEYS_MAX);
        return;
    }
    struct parked *p = mem_zalloc(sizeof *p);
    p->worker = w;
    p->ex = ex;
    p->step = step;
    p->step_all = all;
    p->step_target = step_grant(w->hub, step, all ? STEP_ALL : n);
    park_or_answer(p, timeout_ns);
}

/* ---- wait ---- */

static bool read_condition(const struct http_exchange *ex, struct parked *p) {
    char name[32];
    for (unsigned i = 0; i < COUNTER_COUNT * 2; i++) {
        snprintf(name, sizeof name, i % 2 ? "%s_max" : "%s", hub_counter_names[i / 2]);
        struct slice value = url_query_get(ex->query, slice_cstr(name), ex->arena);
        if (value.ptr) {
            p->counter = (enum hub_counter)(i / 2);
            p->is_upper = i % 2;
            return slice_to_u64(value, UINT64_MAX, &p->bound);
        }
    }
    return false;
}

void control_wait(struct mock_worker *w, struct http_exchange *ex) {
    struct parked *p = mem_zalloc(sizeof *p);
    int64_t timeout_ns;
    p->worker = w;
    p->ex = ex;
    if (!read_condition(ex, p) || !read_timeout(ex, &timeout_ns)) {
        mem_free(p);
        mock_respond_simple_error(w, ex, 400, "invalid_value",
                             "GET /penstock/wait?NAME=N or NAME_max=N, with NAME one of requests, "
                             "started, completed, cancelled, open");
        return;
    }
    park_or_answer(p, timeout_ns);
}

/* ---- journal, health, metrics ---- */

void control_journal(struct mock_worker *w, struct http_exchange *ex) {
    mock_worker_scratch(&w->body);
    int rc = journal_write(w->hub->journal, &w->body);
    mock_respond_json(w, ex, rc < 0 ? 500 : 200, buf_slice(&w->body));
}

void control_journal_clear(struct mock_worker *w, struct http_exchange *ex) {
    journal_clear(w->hub->journal);
    mock_respond_json(w, ex, 200, SLICE("{\"cleared\":true}\n"));
}

void control_health(struct mock_worker *w, struct http_exchange *ex) {
    mock_respond_json(w, ex, 200, SLICE("{\"status\":\"ok\"}\n"));
}

static int append_metric(struct buf *out, const char *name, const char *kind, const char *help,
                         double value) {
    return buf_appendf(out, "# HELP penstock_mock_%s %s\n# TYPE penstock_mock_%s %s\npenstock_mock_%s %.15g\n",
                       name, help, name, kind, name, value);
}

static int append_lateness(struct hub *h, struct buf *out) {
    static const double quantiles[] = {0.5, 0.9, 0.99, 0.999};
    struct hist *all = mem_alloc(sizeof *all);
    hist_init(all);
    for (unsigned i = 0; i < h->n_workers; i++) {
        hist_merge(all, &h->workers[i]->late_ns);
    }
    int rc = buf_append(out, SLICE("# HELP penstock_mock_token_late_seconds Paced tokens: written minus due.\n"
                                   "# TYPE penstock_mock_token_late_seconds summary\n"));
    for (unsigned i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++) {
        rc |= buf_appendf(out, "penstock_mock_token_late_seconds{quantile=\"%g\"} %.9f\n", quantiles[i],
                          (double)hist_quantile(all, quantiles[i]) / 1e9);
    }
    rc |= buf_appendf(out, "penstock_mock_token_late_seconds_sum %.9f\npenstock_mock_token_late_seconds_count %" PRIu64 "\n",
                      (double)atomic_load(&all->sum) / 1e9, atomic_load(&all->count));
    rc |= append_metric(out, "token_late_max_seconds", "gauge", "The latest token.",
                        (double)atomic_load(&all->max) / 1e9);
    mem_free(all);
    return rc;
}

void control_metrics(struct mock_worker *w, struct http_exchange *ex) {
    struct hub *h = w->hub;
    uint64_t tokens = 0;
    for (unsigned i = 0; i < h->n_workers; i++) {
        tokens += atomic_load(&h->workers[i]->tokens);
    }
    mock_worker_scratch(&w->body);
    int rc = append_metric(&w->body, "requests_total", "counter", "Requests of any kind.",
                           (double)atomic_load(&h->counters[COUNT_REQUESTS]));
    rc |= append_metric(&w->body, "streams_started_total", "counter", "Answers begun, streamed or whole.",
                        (double)atomic_load(&h->counters[COUNT_STARTED]));
    rc |= append_metric(&w->body, "streams_completed_total", "counter", "Answers brought to their end.",
                        (double)atomic_load(&h->counters[COUNT_COMPLETED]));
    rc |= append_metric(&w->body, "streams_cancelled_total", "counter", "Answers whose client left.",
                        (double)atomic_load(&h->counters[COUNT_CANCELLED]));
    rc |= append_metric(&w->body, "streams_open", "gauge", "Answers under way.",
                        (double)atomic_load(&h->counters[COUNT_OPEN]));
    rc |= append_metric(&w->body, "tokens_total", "counter", "Tokens written.", (double)tokens);
    rc |= append_lateness(h, &w->body);
    struct header_set set;
    header_set_init(w, &set, api_of(ex), SLICE("text/plain; version=0.0.4; charset=utf-8"));
    struct http_response r = {rc < 0 ? 500 : 200, set.items, set.count};
    http_respond(ex, &r, buf_slice(&w->body));
}
