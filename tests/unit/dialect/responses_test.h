/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of responses' requests share. */
#ifndef PENSTOCK_TESTS_RESPONSES_TEST_H
#define PENSTOCK_TESTS_RESPONSES_TEST_H

#include "dialect_test.h"

#include <yyjson.h>

#include "dialect/responses/responses-private.h"

/* JSON written with ' for ". */
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

static inline void assert_same_json(struct slice expected, struct slice got) {
    yyjson_doc *x = parse(expected), *y = parse(got);
    bool same = yyjson_equals(yyjson_doc_get_root(x), yyjson_doc_get_root(y));
    if (!same)
        print_error("expected\n%.*s\ngot\n%.*s\n", SLICE_FMT(expected), SLICE_FMT(got));
    assert_true(same);
    yyjson_doc_free(x);
    yyjson_doc_free(y);
}

static inline void decode(struct slice body, struct arena *a, struct llm_request *rq) {
    struct request_fault fault;
    int rc = responses_decode_request(body, a, rq, &fault);
    if (rc) print_error("%.*s\n%s (%s)\n", SLICE_FMT(body), fault.message, fault.param);
    assert_int_equal(rc, 0);
    assert_string_equal(rq->origin, "responses");
}

#endif
