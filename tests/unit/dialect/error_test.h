/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of all dialects' errors share. */
#ifndef PENSTOCK_TESTS_ERROR_TEST_H
#define PENSTOCK_TESTS_ERROR_TEST_H

#include "dialect_test.h"

struct error_read {
    unsigned status;
    const char *body;
    const char *error; /* as put_api_error writes it */
};

struct error_written {
    struct api_error er;
    const char *body;
};

static inline void assert_error_is_read(const struct dialect *d, const struct error_read *row) {
    struct arena *a = arena_new();
    struct api_error er;
    struct buf b;
    buf_init(&b, TEST_BYTES);
    d->decode_error(row->status, slice_cstr(row->body), a, &er);
    put_api_error(&b, &er);
    assert_slices(buf_slice(&b), slice_cstr(row->error));
    assert_int_equal(er.request_id.len, 0); /* that is ours to give */
    buf_dispose(&b);
    arena_free(a);
}

/* As a body, and as an event, which is the same behind its head. */
static inline void assert_error_is_written(const struct dialect *d, const struct error_written *row,
                                           struct slice event_head) {
    struct buf b, event, expected;
    buf_init(&b, TEST_BYTES);
    buf_init(&event, TEST_BYTES);
    buf_init(&expected, TEST_BYTES);
    assert_int_equal(d->encode_error(&row->er, &b), 0);
    assert_slices(buf_slice(&b), slice_cstr(row->body));
    assert_int_equal(d->encode_error_event(&row->er, NULL, &event), 0);
    put(&expected, event_head);
    put(&expected, buf_slice(&b));
    put(&expected, SLICE("\n\n"));
    assert_slices(buf_slice(&event), buf_slice(&expected));
    buf_dispose(&b);
    buf_dispose(&event);
    buf_dispose(&expected);
}

/* An event that does not fit leaves nothing of it; max_bytes: of outputs that are all too small. */
static inline void assert_error_event_is_whole(const struct dialect *d, size_t max_bytes) {
    struct api_error er = {.status = 500, .message = SLICE("message")};
    for (size_t max = 0; max < max_bytes; max++) {
        struct buf b;
        buf_init(&b, max);
        assert_int_equal(d->encode_error_event(&er, NULL, &b), -ERR_LIMIT);
        assert_int_equal(b.len, 0);
        buf_dispose(&b);
    }
}

#endif
