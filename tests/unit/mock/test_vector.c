/* SPDX-License-Identifier: Apache-2.0 */
/* Vectors of texts: of length 1, the same for the same text, nearer for texts that share more. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "mock/vector.h"

static double cosine(const char *a, const char *b, unsigned whole, unsigned n) {
    static float v[VECTOR_MAX], w[VECTOR_MAX];
    double sum = 0;
    vector_of_text(slice_cstr(a), 7, v, whole, n);
    vector_of_text(slice_cstr(b), 7, w, whole, n);
    for (unsigned i = 0; i < n; i++) {
        sum += (double)v[i] * (double)w[i];
    }
    return sum;
}

static void test_length_and_likeness(void **state) {
    static const unsigned sizes[][2] = {{1536, 1536}, {3072, 3072}, {3072, 256},
                                        {1536, 512},  {1536, 64},   {4096, 4096}};
    static const char *const texts[] = {"", " ", "a", "the lighthouse keeper counts the ships", "Grüße aus dem Tal", "!?", "1 2 3"};
    (void)state;
    for (unsigned k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
            double own = cosine(texts[i], texts[i], sizes[k][0], sizes[k][1]);
            assert_true(fabs(own - 1) < 1e-5);
        }
    }
}

/* Pairs from near to far: each is nearer than the next. */
static void test_shared_words_score_closer(void **state) {
    static const char base[] = "The lighthouse keeper counts the ships in the harbour";
    static const char *const others[] = {
        "the lighthouse keeper counts the ships in the harbour",
        "the lighthouse keeper counts three ships in the bay",
        "lighthouses and their keepers",
        "quarterly revenue fell sharply",
    };
    static const unsigned sizes[][2] = {{1536, 1536}, {3072, 3072}, {3072, 256}, {1536, 256}};
    (void)state;
    for (unsigned k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        double before = 1.001;
        for (unsigned i = 0; i < 4; i++) {
            double now = cosine(base, others[i], sizes[k][0], sizes[k][1]);
            if (!(now < before - 0.0005)) {
                fail_msg("%u of %u: %s: %f, after %f", sizes[k][1], sizes[k][0], others[i], now, before);
            }
            before = now;
        }
        assert_true(before < 0.25);
        assert_true(cosine(base, others[1], sizes[k][0], sizes[k][1]) > 0.5);
    }
}

/* Fewer dimensions are the first ones of more, made as long again. */
static void test_fewer_dimensions_are_a_part(void **state) {
    static float all[3072], some[3072];
    double ratio = 0;
    (void)state;
    vector_of_text(SLICE("a quiet harbour"), 1, all, 3072, 3072);
    vector_of_text(SLICE("a quiet harbour"), 1, some, 3072, 200);
    for (unsigned i = 0; i < 200; i++) {
        double own = (double)some[i] / (double)all[i];
        assert_true(i == 0 || fabs(own - ratio) < 1e-3 * fabs(ratio));
        ratio = own;
    }
    assert_true(ratio > 1);
}

static void test_models(void **state) {
    static float a[1536], b[1536];
    (void)state;
    assert_int_equal(vector_dimensions(SLICE("text-embedding-3-large")), 3072);
    assert_int_equal(vector_dimensions(SLICE("text-embedding-3-small")), 1536);
    assert_int_equal(vector_dimensions(SLICE("text-embedding-ada-002")), 1536);
    assert_int_equal(vector_dimensions(SLICE("m")), 1536);
    vector_of_text(SLICE("x y"), 1, a, 1536, 1536);
    vector_of_text(SLICE("x y"), 2, b, 1536, 1536);
    assert_memory_not_equal(a, b, sizeof a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_length_and_likeness),
        cmocka_unit_test(test_shared_words_score_closer),
        cmocka_unit_test(test_fewer_dimensions_are_a_part),
        cmocka_unit_test(test_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
