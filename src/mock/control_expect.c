/* SPDX-License-Identifier: Apache-2.0 */
/* POST /penstock/expect: 200 when it holds, 417 when it does not (within its time). */
#include "mock/expect.h"
#include "mock/parked.h"

#include "base/mem.h"

enum { NOT_AS_EXPECTED = 417, FAULTS_BYTES = 4096 };

struct expect_wait {
    struct parked parked;            /* first */
    struct expectation *x;
};

static bool expect_is_reached(struct parked *p) {
    struct expect_wait *e = (struct expect_wait *)p;
    return expectation_check(e->x, p->worker->hub->journal);
}

static void expect_answer(struct parked *p, bool is_in_time) {
    struct expect_wait *e = (struct expect_wait *)p;
    struct mock_worker *w = p->worker;
    mock_worker_scratch(&w->body);
    int rc = expectation_write(e->x, w->hub->journal, &w->body);
    mock_respond_json(w, p->ex, rc < 0 ? 500 : is_in_time ? 200 : NOT_AS_EXPECTED,
                      buf_slice(&w->body));
}

static void expect_dispose(struct parked *p) {
    struct expect_wait *e = (struct expect_wait *)p;
    expectation_free(&e->x);
}

static const struct parked_ops expect_ops = {expect_is_reached, expect_answer, expect_dispose};

static void respond_faults(struct mock_worker *w, struct http_exchange *ex,
                           const struct report *r) {
    struct buf text;
    buf_init(&text, FAULTS_BYTES);
    report_write(r, &text);
    struct slice lines = buf_slice(&text);
    lines.len -= lines.len > 0 && lines.ptr[lines.len - 1] == '\n';
    mock_respond_simple_error(w, ex, 400, "invalid_value", "%.*s", SLICE_FMT(lines));
    buf_dispose(&text);
}

void control_expect(struct mock_worker *w, struct http_exchange *ex) {
    struct slice body = bytes_slice(ex->body);
    struct report r;
    report_init(&r);
    struct expectation *x = expectation_parse(body.len > 0 ? body : SLICE("{}"), &r);
    if (x) {
        struct expect_wait *e = mem_zalloc(sizeof *e);
        e->x = x;
        parked_begin(&e->parked, w, ex, &expect_ops, expectation_within_ns(x));
    } else {
        respond_faults(w, ex, &r);
    }
    report_dispose(&r);
}
