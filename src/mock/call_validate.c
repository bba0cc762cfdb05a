/* SPDX-License-Identifier: Apache-2.0 */
/* The stage that looks for broken rules, and how a request is refused that cannot be read. */
#include "mock/call.h"
#include "mock/validate.h"

enum { VIOLATIONS_BYTES = 64 << 10 };

/* To the journal, the metrics and the answer's head. */
static void note(struct mock_call *c, const struct violations *v) {
    struct buf text;
    buf_init(&text, VIOLATIONS_BYTES);
    int rc = validate_write(v, &text);
    const struct journal_notes notes = {.violations = rc < 0 ? SLICE_NULL : buf_slice(&text),
                                        .n_violations = v->n};
    c->facts.violations += v->n;
    for (const struct violation *at = v->first; at; at = at->next) {
        atomic_fetch_add_explicit(&c->w->hub->violations[at->rule], 1, memory_order_relaxed);
    }
    journal_note(c->w->hub->journal, c->journal, &notes);
    buf_dispose(&text);
}

bool mock_call_validate(struct mock_call *c) {
    const struct validate_request in = {.api = c->api,
                                        .headers = &c->ex->headers,
                                        .body = bytes_slice(c->ex->body),
                                        .rq = &c->rq};
    struct violations v = {.n = 0};
    struct api_error er;
    validate_request(&in, c->ex->arena, &v);
    note(c, &v);
    const struct violation *error = c->o->strict ? validate_error(&v) : NULL;
    if (error) {
        validate_api_error(error, &er);
        mock_respond_error(c->w, c->ex, &er, 0);
    }
    return !error;
}

void mock_call_refuse(struct mock_call *c, enum rule_id rule, const struct request_fault *fault,
                      unsigned status) {
    struct violations v = {.n = 0};
    validate_refused(&v, rule, fault, c->ex->arena);
    note(c, &v);
    mock_respond_fault_of_request(c->w, c->ex, fault, status);
}
