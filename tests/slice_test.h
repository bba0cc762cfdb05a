/* SPDX-License-Identifier: Apache-2.0 */
/* Texts in tests: collected in a buffer, and compared so that a difference can be found. */
#ifndef PENSTOCK_TESTS_SLICE_TEST_H
#define PENSTOCK_TESTS_SLICE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"

/* More than any test writes into one buffer. */
#define TEST_BYTES ((size_t)64 << 20)

static inline void put(struct buf *b, struct slice s) {
    assert_int_equal(buf_append(b, s), 0);
}

static inline void assert_slices(struct slice a, struct slice b) {
    if (slice_eq(a, b)) return;
    size_t same = 0;
    while (same < a.len && same < b.len && a.ptr[same] == b.ptr[same]) same++;
    size_t from = same > 300 ? same - 300 : 0;
    fprintf(stderr, "differs at byte %zu\n---- got:\n%.*s\n---- expected:\n%.*s\n", same,
            SLICE_FMT(slice_sub(a, from, 600)), SLICE_FMT(slice_sub(b, from, 600)));
    fail();
}

#endif
