/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.c"

/* First outputs of the reference implementations. */
static void test_splitmix64(void **state) {
    (void)state;
    static const uint64_t want[] = {
        UINT64_C(6457827717110365317),  UINT64_C(3203168211198807973),
        UINT64_C(9817491932198370423),  UINT64_C(4593380528125082431),
        UINT64_C(16408922859458223821),
    };
    uint64_t seed = 1234567;
    for (size_t i = 0; i < 5; i++) assert_true(splitmix64(&seed) == want[i]);
    seed = 0;
    assert_true(splitmix64(&seed) == UINT64_C(0xe220a8397b1dcdaf));
}

static void test_xoshiro256starstar(void **state) {
    (void)state;
    static const uint64_t want[] = {
        UINT64_C(11520),
        UINT64_C(0),
        UINT64_C(1509978240),
        UINT64_C(1215971899390074240),
        UINT64_C(1216172134540287360),
        UINT64_C(607988272756665600),
        UINT64_C(16172922978634559625),
        UINT64_C(8476171486693032832),
        UINT64_C(10595114339597558777),
        UINT64_C(2904607092377533576),
    };
    struct rng r = {{1, 2, 3, 4}};
    for (size_t i = 0; i < 10; i++) assert_true(rng_next(&r) == want[i]);
}

static void test_seed_is_reproducible(void **state) {
    (void)state;
    struct rng a, b, c;
    rng_seed(&a, 42);
    rng_seed(&b, 42);
    rng_seed(&c, 43);
    unsigned same = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t x = rng_next(&a);
        assert_true(x == rng_next(&b));
        same += x == rng_next(&c);
    }
    assert_int_equal(same, 0);
    rng_seed_from_os(&a);
    rng_seed_from_os(&b);
    assert_memory_not_equal(&a, &b, sizeof a);
}

static void test_below(void **state) {
    (void)state;
    struct rng r;
    unsigned counts[6] = {0};
    rng_seed(&r, 1);
    for (int i = 0; i < 60000; i++) {
        uint64_t x = rng_below(&r, 6);
        assert_true(x < 6);
        counts[x]++;
    }
    for (int i = 0; i < 6; i++) assert_in_range(counts[i], 9500, 10500); /* five sigma */
    for (int i = 0; i < 100; i++) assert_true(rng_below(&r, 1) == 0);
    /* Two thirds of 2^64: a plain modulo would hit the lower half twice as often as the upper. */
    uint64_t bound = UINT64_C(0xaaaaaaaaaaaaaaaa);
    unsigned low = 0;
    for (int i = 0; i < 10000; i++) {
        uint64_t x = rng_below(&r, bound);
        assert_true(x < bound);
        low += x < bound / 2;
    }
    assert_in_range(low, 4750, 5250);
}

static void test_unit(void **state) {
    (void)state;
    struct rng r;
    double sum = 0;
    rng_seed(&r, 2);
    for (int i = 0; i < 10000; i++) {
        double x = rng_unit(&r);
        assert_true(x >= 0 && x < 1);
        sum += x;
    }
    assert_true(sum > 4850 && sum < 5150);
    struct rng ones = {{0, UINT64_MAX, 0, 0}};
    assert_true(rng_unit(&ones) < 1);
}

static void test_base62(void **state) {
    (void)state;
    struct rng r;
    unsigned seen[256] = {0};
    char text[1001];
    rng_seed(&r, 3);
    for (int i = 0; i < 62; i++) {
        text[1000] = '#';
        rng_base62(&r, text, 1000);
        assert_int_equal(text[1000], '#');
        for (int j = 0; j < 1000; j++) seen[(unsigned char)text[j]]++;
    }
    unsigned kinds = 0;
    for (int c = 0; c < 256; c++) {
        bool ok = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!ok) assert_int_equal(seen[c], 0);
        if (ok) assert_in_range(seen[c], 800, 1200);
        kinds += seen[c] > 0;
    }
    assert_int_equal(kinds, 62);
    rng_base62(&r, text, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_splitmix64),
        cmocka_unit_test(test_xoshiro256starstar),
        cmocka_unit_test(test_seed_is_reproducible),
        cmocka_unit_test(test_below),
        cmocka_unit_test(test_unit),
        cmocka_unit_test(test_base62),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
