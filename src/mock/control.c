/* SPDX-License-Identifier: Apache-2.0 */
/* POST /penstock/step and GET /penstock/wait: tests go on when something has happened. */
#include <inttypes.h>
#include <stdio.h>

#include "base/json_scan.h"
#include "base/mem.h"
#include "http/url.h"
#include "mock/parked.h"

enum { ANSWER_BYTES = 1024, NAME_BYTES = 32 };

/* ---- step ---- */

struct step_wait {
    struct parked parked;            /* first */
    struct step_key *step;
    uint64_t target;
    bool is_all;
};

static bool step_is_reached(struct parked *p) {
    struct step_wait *s = (struct step_wait *)p;
    struct step_view v = step_look(p->worker->hub, s->step);
    bool granted_all = s->is_all && v.is_joined;
    return v.is_ended || granted_all || (!s->is_all && v.written >= s->target);
}

static void step_answer(struct parked *p, bool is_in_time) {
    struct step_wait *s = (struct step_wait *)p;
    struct step_view v = step_look(p->worker->hub, s->step);
    unsigned status = is_in_time ? 200 : v.is_joined ? 504 : 404;
    struct buf out;
    buf_init(&out, ANSWER_BYTES);
    int rc = buf_append(&out, SLICE("{\"key\":\"")) |
             json_escape(&out, slice_make(s->step->text, s->step->len)) |
             buf_appendf(&out, "\",\"written\":%" PRIu64 ",\"ended\":%s}\n", v.written,
                         v.is_ended ? "true" : "false");
    mock_respond_json(p->worker, p->ex, rc < 0 ? 500 : status, buf_slice(&out));
    buf_dispose(&out);
}

static void step_dispose(struct parked *p) {
    struct step_wait *s = (struct step_wait *)p;
    step_release(p->worker->hub, &s->step);
}

static const struct parked_ops step_ops = {step_is_reached, step_answer, step_dispose};

void control_step(struct mock_worker *w, struct http_exchange *ex) {
    struct slice key = url_query_get(ex->query, SLICE("key"), ex->arena);
    struct slice count = url_query_get(ex->query, SLICE("n"), ex->arena);
    bool all = slice_eq(count, SLICE("all"));
    uint64_t n = 1;
    int64_t timeout_ns;
    if (!key.ptr || !parked_read_timeout(ex, &timeout_ns) ||
        (count.ptr && !all && !slice_to_u64(count, UINT64_C(1000000000), &n))) {
        mock_respond_simple_error(w, ex, 400, "invalid_value",
                                  "POST /penstock/step?key=KEY&n=1|all&timeout_ms=10000");
        return;
    }
    struct step_key *step = step_acquire(w->hub, key);
    if (!step) {
        mock_respond_simple_error(w, ex, 400, "invalid_value",
                                  "the key is longer than %d bytes, or %d are waiting",
                                  STEP_KEY_BYTES, STEP_KEYS_MAX);
        return;
    }
    struct step_wait *s = mem_zalloc(sizeof *s);
    s->step = step;
    s->is_all = all;
    s->target = step_grant(w->hub, step, all ? STEP_ALL : n);
    parked_begin(&s->parked, w, ex, &step_ops, timeout_ns);
}

/* ---- wait ---- */

struct counter_wait {
    struct parked parked;            /* first */
    enum hub_counter counter;
    uint64_t bound;
    bool is_upper;                   /* counter <= bound, else >= */
};

static bool counter_is_reached(struct parked *p) {
    struct counter_wait *c = (struct counter_wait *)p;
    uint64_t now = atomic_load(&p->worker->hub->counters[c->counter]);
    return c->is_upper ? now <= c->bound : now >= c->bound;
}

static int append_counters(struct hub *h, struct buf *out) {
    int rc = buf_append_byte(out, '{');
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        rc |= buf_appendf(out, "%s\"%s\":%" PRIu64, i ? "," : "", hub_counter_names[i],
                          atomic_load(&h->counters[i]));
    }
    return rc | buf_append(out, SLICE("}\n"));
}

static void counter_answer(struct parked *p, bool is_in_time) {
    struct buf out;
    buf_init(&out, ANSWER_BYTES);
    int rc = append_counters(p->worker->hub, &out);
    mock_respond_json(p->worker, p->ex, rc < 0 ? 500 : is_in_time ? 200 : 504, buf_slice(&out));
    buf_dispose(&out);
}

static const struct parked_ops counter_ops = {counter_is_reached, counter_answer, NULL};

static bool read_condition(const struct http_exchange *ex, struct counter_wait *c) {
    char name[NAME_BYTES];
    for (unsigned i = 0; i < COUNTER_COUNT * 2; i++) {
        snprintf(name, sizeof name, i % 2 ? "%s_max" : "%s", hub_counter_names[i / 2]);
        struct slice value = url_query_get(ex->query, slice_cstr(name), ex->arena);
        if (value.ptr) {
            c->counter = (enum hub_counter)(i / 2);
            c->is_upper = i % 2;
            return slice_to_u64(value, UINT64_MAX, &c->bound);
        }
    }
    return false;
}

void control_wait(struct mock_worker *w, struct http_exchange *ex) {
    struct counter_wait *c = mem_zalloc(sizeof *c);
    int64_t timeout_ns;
    if (!read_condition(ex, c) || !parked_read_timeout(ex, &timeout_ns)) {
        mem_free(c);
        mock_respond_simple_error(w, ex, 400, "invalid_value",
                                  "GET /penstock/wait?NAME=N or NAME_max=N, with NAME one of "
                                  "requests, started, completed, cancelled, open");
        return;
    }
    parked_begin(&c->parked, w, ex, &counter_ops, timeout_ns);
}
