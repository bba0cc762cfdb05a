/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hist.c"
#include "base/random.h"

static struct hist h; /* static: 9 KiB each */

static void test_buckets(void **state) {
    (void)state;
    size_t last = 0;
    for (uint64_t v = 0; v < 1 << 20; v++) { /* no gap, no overlap, v lies in its bucket */
        size_t b = bucket_of(v);
        assert_true(b == last || b == last + 1);
        if (b == last + 1) assert_true(bucket_highest(last) == v - 1);
        assert_true(v <= bucket_highest(b));
        last = b;
    }
    for (unsigned bit = 5; bit < 64; bit++) {
        uint64_t v = UINT64_C(1) << bit;
        size_t b = bucket_of(v);
        assert_true(b < HIST_BUCKETS);
        if (v > VALUE_MAX) assert_int_equal(b, HIST_BUCKETS - 1);
        else assert_true((double)(bucket_highest(b) - v) <= (double)v * 0.032);
    }
    assert_int_equal(bucket_of(VALUE_MAX), HIST_BUCKETS - 1);
    assert_int_equal(bucket_of(VALUE_MAX + 1), HIST_BUCKETS - 1);
}

static void test_empty(void **state) {
    (void)state;
    hist_init(&h);
    assert_true(hist_quantile(&h, 0.5) == 0);
    assert_true(hist_count_le(&h, UINT64_MAX) == 0);
    assert_true(h.min == UINT64_MAX);
    hist_record_n(&h, 5, 0);
    assert_true(h.min == UINT64_MAX && h.count == 0);
}

static void test_extremes(void **state) {
    (void)state;
    hist_init(&h);
    hist_record(&h, -7);
    hist_record(&h, INT64_MIN);
    assert_true(h.min == 0 && h.max == 0 && h.sum == 0 && h.count == 2);
    hist_record(&h, INT64_MAX);
    assert_true(h.max == INT64_MAX);
    assert_true(hist_quantile(&h, 1) == INT64_MAX);
    assert_true(hist_quantile(&h, 0.5) == 0);
    assert_true(hist_count_le(&h, 0) == 2);
    assert_true(hist_count_le(&h, UINT64_MAX) == 3);
    assert_true(hist_quantile(&h, -1) == 0);
    assert_true(hist_quantile(&h, 7) == INT64_MAX);
}

static void test_single_value_is_exact(void **state) {
    (void)state;
    for (int64_t v = 1; v < INT64_C(1) << 40; v = v * 3 + 1) {
        hist_init(&h);
        hist_record(&h, v);
        assert_true(hist_quantile(&h, 0) == (uint64_t)v);
        assert_true(hist_quantile(&h, 0.99) == (uint64_t)v);
        assert_true(h.sum == (uint64_t)v && h.min == (uint64_t)v && h.max == (uint64_t)v);
    }
}

/* Values below 32 have their own bucket: ranks must be exact, whatever 0.07 * 100 is in binary. */
static void test_ranks(void **state) {
    (void)state;
    hist_init(&h);
    for (int v = 1; v <= 25; v++) hist_record_n(&h, v, 4);
    for (int percent = 1; percent <= 100; percent++) {
        assert_int_equal(hist_quantile(&h, percent / 100.0), (percent + 3) / 4);
    }
}

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void test_quantiles_against_exact(void **state) {
    (void)state;
    enum { N = 20000 };
    static uint64_t values[N];
    static const double quantiles[] = {0, 0.001, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 1};
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct rng r;
        rng_seed(&r, seed);
        hist_init(&h);
        for (int i = 0; i < N; i++) {
            values[i] = seed % 2 ? rng_below(&r, UINT64_C(1) << (5 * seed))
                                 : rng_next(&r) >> (24 + rng_below(&r, 40));
            hist_record(&h, (int64_t)values[i]);
        }
        qsort(values, N, sizeof values[0], compare);
        assert_true(h.min == values[0] && h.max == values[N - 1] && h.count == N);
        for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++) {
            double rank = quantiles[i] * (double)N;
            size_t k = (size_t)rank;
            if ((double)k < rank - 1e-6) k++;
            uint64_t exact = values[k > 0 ? k - 1 : 0], got = hist_quantile(&h, quantiles[i]);
            assert_true(got >= exact);
            assert_true((double)(got - exact) <= (double)exact * 0.032);
        }
    }
}

static void test_count_le(void **state) {
    (void)state;
    hist_init(&h);
    for (int v = 0; v < 1000; v++) hist_record(&h, v);
    for (uint64_t bound = 0; bound < 1100; bound++) {
        uint64_t n = hist_count_le(&h, bound), exact = bound < 1000 ? bound + 1 : 1000;
        assert_true(n >= exact && (double)n <= (double)exact * 1.032);
        if (bound < 32) assert_true(n == exact);
    }
}

static void test_merge(void **state) {
    (void)state;
    static struct hist parts[3], whole, merged;
    struct rng r;
    rng_seed(&r, 4);
    hist_init(&whole);
    hist_init(&merged);
    for (int i = 0; i < 3; i++) hist_init(&parts[i]);
    for (int i = 0; i < 10000; i++) {
        int64_t v = (int64_t)(rng_next(&r) >> (20 + rng_below(&r, 40)));
        hist_record(&whole, v);
        hist_record(&parts[i % 2], v); /* the third stays empty */
    }
    for (int i = 0; i < 3; i++) hist_merge(&merged, &parts[i]);
    assert_true(merged.count == whole.count && merged.sum == whole.sum);
    assert_true(merged.min == whole.min && merged.max == whole.max);
    for (size_t i = 0; i < HIST_BUCKETS; i++) assert_true(merged.buckets[i] == whole.buckets[i]);
}

static void test_record_n(void **state) {
    (void)state;
    static struct hist one_by_one;
    hist_init(&h);
    hist_init(&one_by_one);
    hist_record_n(&h, 777, 50);
    for (int i = 0; i < 50; i++) hist_record(&one_by_one, 777);
    assert_true(h.count == one_by_one.count && h.sum == one_by_one.sum);
    assert_true(h.buckets[bucket_of(777)] == 50);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buckets),  cmocka_unit_test(test_empty),
        cmocka_unit_test(test_extremes), cmocka_unit_test(test_single_value_is_exact),
        cmocka_unit_test(test_ranks),    cmocka_unit_test(test_quantiles_against_exact),
        cmocka_unit_test(test_count_le), cmocka_unit_test(test_merge),
        cmocka_unit_test(test_record_n),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
