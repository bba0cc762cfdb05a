/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/random.h"
#include "base/slab.h"

static void test_empty_holds_nothing(void **state) {
    (void)state;
    struct slab *s = slab_new(1 << 20);
    struct byteq q;
    byteq_init(&q, s, 100);
    struct iovec iov[2];
    assert_int_equal(byteq_peek(&q, iov, 2), 0);
    assert_int_equal(byteq_append(&q, SLICE_NULL), 0);
    assert_int_equal(slab_in_use_bytes(s), 0);
    assert_int_equal(byteq_append(&q, SLICE("x")), 0);
    assert_int_equal(slab_in_use_bytes(s), SLAB_CHUNK_BYTES);
    byteq_consume(&q, 1);
    assert_int_equal(slab_in_use_bytes(s), 0);
    assert_null(q.head);
    assert_null(q.tail);
    byteq_dispose(&q);
    slab_free(s);
}

static void test_limit(void **state) {
    (void)state;
    struct slab *s = slab_new(0);
    struct byteq q;
    byteq_init(&q, s, 10);
    assert_int_equal(byteq_append(&q, SLICE("12345678901")), -ERR_LIMIT);
    assert_int_equal(q.len, 0);
    assert_int_equal(slab_in_use_bytes(s), 0);
    assert_int_equal(byteq_append(&q, SLICE("1234567890")), 0);
    assert_int_equal(byteq_append(&q, SLICE("1")), -ERR_LIMIT);
    byteq_consume(&q, 1);
    assert_int_equal(byteq_append(&q, SLICE("A")), 0);
    struct iovec iov[1];
    assert_int_equal(byteq_peek(&q, iov, 1), 1);
    assert_int_equal(iov[0].iov_len, 10);
    assert_memory_equal(iov[0].iov_base, "234567890A", 10);
    byteq_dispose(&q);
    assert_int_equal(q.len, 0);
    slab_free(s);
}

/* The free list serves again what it kept, and keeps no more than it may. */
static void test_free_list(void **state) {
    (void)state;
    static const char zeroes[10 * SLAB_CHUNK_BYTES];
    struct slab *s = slab_new(3 * SLAB_CHUNK_BYTES);
    struct byteq q;
    byteq_init(&q, s, SIZE_MAX);
    assert_int_equal(byteq_append(&q, slice_make(zeroes, sizeof zeroes)), 0);
    size_t chunks = slab_in_use_bytes(s) / SLAB_CHUNK_BYTES;
    assert_in_range(chunks, 10, 11);
    byteq_consume(&q, sizeof zeroes);
    assert_int_equal(slab_in_use_bytes(s), 0);
    uint64_t before = mem_alloc_count();
    assert_int_equal(byteq_append(&q, slice_make(zeroes, 2 * SLAB_CHUNK_BYTES)), 0);
    assert_int_equal(mem_alloc_count() - before, 0);
    assert_int_equal(byteq_append(&q, slice_make(zeroes, 7 * SLAB_CHUNK_BYTES)), 0);
    assert_in_range(mem_alloc_count() - before, 6, 8);
    byteq_dispose(&q);
    slab_free(s);
    slab_free(NULL);
}

static size_t gather(const struct byteq *q, char *out, size_t room) {
    struct iovec iov[64];
    int n = byteq_peek(q, iov, 64);
    size_t len = 0;
    for (int i = 0; i < n; i++) {
        assert_true(iov[i].iov_len > 0);
        assert_true(iov[i].iov_len <= room - len);
        memcpy(out + len, iov[i].iov_base, iov[i].iov_len);
        len += iov[i].iov_len;
    }
    return len;
}

/* Two queues on one slab, random appends and consumes, against plain arrays. */
static void test_against_model(void **state) {
    (void)state;
    enum { MAX = 60000 };
    static char model[2][MAX], seen[MAX], bytes[20000];
    size_t len[2] = {0};
    struct slab *s = slab_new(4 * SLAB_CHUNK_BYTES);
    struct byteq q[2];
    struct rng r;
    rng_seed(&r, 21);
    byteq_init(&q[0], s, MAX);
    byteq_init(&q[1], s, MAX);
    for (int i = 0; i < 6000; i++) {
        int k = (int)rng_below(&r, 2);
        size_t n = (size_t)rng_below(&r, i % 4 == 0 ? sizeof bytes : 300);
        if (rng_below(&r, 100) < 52) {
            rng_base62(&r, bytes, n);
            bool fits = n <= MAX - len[k];
            assert_int_equal(byteq_append(&q[k], slice_make(bytes, n)), fits ? 0 : -ERR_LIMIT);
            if (fits) memcpy(model[k] + len[k], bytes, n);
            if (fits) len[k] += n;
        } else {
            if (n > len[k]) n = len[k];
            byteq_consume(&q[k], n);
            memmove(model[k], model[k] + n, len[k] - n);
            len[k] -= n;
        }
        assert_int_equal(q[k].len, len[k]);
        assert_int_equal(gather(&q[k], seen, MAX), len[k]);
        assert_memory_equal(seen, model[k], len[k]);
        assert_true(slab_in_use_bytes(s) <= len[0] + len[1] + 4 * SLAB_CHUNK_BYTES + MAX / 8);
    }
    byteq_dispose(&q[0]);
    byteq_dispose(&q[1]);
    assert_int_equal(slab_in_use_bytes(s), 0);
    slab_free(s);
}

static void test_peek_stops_at_max(void **state) {
    (void)state;
    static const char zeroes[5 * SLAB_CHUNK_BYTES];
    struct slab *s = slab_new(0);
    struct byteq q;
    struct iovec iov[8];
    byteq_init(&q, s, SIZE_MAX);
    assert_int_equal(byteq_append(&q, slice_make(zeroes, sizeof zeroes)), 0);
    assert_int_equal(byteq_peek(&q, iov, 0), 0);
    assert_int_equal(byteq_peek(&q, iov, 2), 2);
    assert_int_equal(byteq_peek(&q, iov, 8), 6);
    byteq_dispose(&q);
    slab_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_holds_nothing), cmocka_unit_test(test_limit),
        cmocka_unit_test(test_free_list),           cmocka_unit_test(test_against_model),
        cmocka_unit_test(test_peek_stops_at_max),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
