/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of all dialects' requests share. */
#ifndef PENSTOCK_TESTS_REQUEST_TEST_H
#define PENSTOCK_TESTS_REQUEST_TEST_H

#include "dialect_test.h"

#include <yyjson.h>

/* JSON written with ' for ", as a new string in the arena. */
static inline struct slice json(struct arena *a, const char *text) {
    char *copy = arena_printf(a, "%s", text);
    for (char *p = copy; *p; p++)
        if (*p == '\'') *p = '"';
    return slice_cstr(copy);
}

static inline yyjson_doc *parse(struct slice s) {
    yyjson_doc *doc = yyjson_read(s.ptr, s.len, YYJSON_READ_NUMBER_AS_RAW);
    if (!doc) print_error("not JSON: %.*s\n", SLICE_FMT(s));
    assert_non_null(doc);
    return doc;
}

/* The same value, numbers as they were spelt. */
static inline void assert_same_json(struct slice expected, struct slice got) {
    yyjson_doc *x = parse(expected), *y = parse(got);
    bool same = yyjson_equals(yyjson_doc_get_root(x), yyjson_doc_get_root(y));
    if (!same)
        print_error("expected\n%.*s\ngot\n%.*s\n", SLICE_FMT(expected), SLICE_FMT(got));
    assert_true(same);
    yyjson_doc_free(x);
    yyjson_doc_free(y);
}

static inline void read_request(const struct dialect *d, struct slice body, struct arena *a,
                                struct llm_request *rq) {
    struct request_fault fault;
    int rc = d->decode_request(body, a, rq, &fault);
    if (rc) print_error("%.*s\n%s (%s)\n", SLICE_FMT(body), fault.message, fault.param);
    assert_int_equal(rc, 0);
    assert_string_equal(rq->origin, d->name);
}

/* code NULL: the fault has none. */
struct refusal {
    const char *body, *code, *param;
};

static inline void assert_fault(const struct refusal *row, int rc,
                                const struct request_fault *fault) {
    if (rc != -ERR_USAGE || strcmp(fault->param, row->param) != 0)
        print_error("%s\n%d %s (%s)\n", row->body, rc, fault->message, fault->param);
    assert_int_equal(rc, -ERR_USAGE);
    assert_string_equal(fault->param, row->param);
    if (row->code) assert_string_equal(fault->code, row->code);
    else assert_null(fault->code);
    assert_true(fault->message[0]);
}

/* A body without any " is written with '. */
static inline void assert_refused(const struct dialect *d, const struct refusal *row) {
    struct arena *a = arena_new();
    struct llm_request rq;
    struct request_fault fault = {.code = "unset"};
    struct slice body = strchr(row->body, '"') ? slice_cstr(row->body) : json(a, row->body);
    assert_fault(row, d->decode_request(body, a, &rq, &fault), &fault);
    arena_free(a);
}

#endif
