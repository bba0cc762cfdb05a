/* SPDX-License-Identifier: Apache-2.0 */
/* Laws of bursts: how they are written, and that what is drawn is what theory says. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mock/burst.h"

#define DRAWS 200000

static struct burst burst_of(const char *text) {
    struct burst b;
    struct err e;
    if (burst_parse(slice_cstr(text), &b, &e) < 0) {
        fail_msg("%s: %s", text, e.text);
    }
    return b;
}

/* The share of n tokens, by the book. */
struct expected {
    const char *text, *printed;
    double mean;
    double shares[10];
};
static const struct expected known[] = {
    {"4", "4", 4, {[4] = 1}},
    {" 1 ", "1", 1, {[1] = 1}},
    {"1-4", "1-4", 2.5, {[1] = .25, [2] = .25, [3] = .25, [4] = .25}},
    {"uniform(2, 3)", "2-3", 2.5, {[2] = .5, [3] = .5}},
    {"speculative(3, 50%)", "speculative(3, 0.5)", 1.875, {[1] = .5, [2] = .25, [3] = .125, [4] = .125}},
    {"speculative(2,0.9)", "speculative(2, 0.9)", 2.71, {[1] = .1, [2] = .09, [3] = .81}},
    {"speculative(5,0)", "speculative(5, 0)", 1, {[1] = 1}},
    {"speculative(5,100%)", "speculative(5, 1)", 6, {[6] = 1}},
    {"mixture(3:1, 1:4-5)", "mixture(3:1, 1:4-5)", 1.875, {[1] = .75, [4] = .125, [5] = .125}},
    {"mixture(0.5:2,0.5:speculative(1,50%))", "mixture(0.5:2, 0.5:speculative(1, 0.5))", 1.75,
     {[1] = .25, [2] = .75}},
};

/* Of n draws, how many show a value is binomial; 4.5 standard deviations, with the seed fixed. */
static void check_draws(const struct expected *x) {
    struct burst b = burst_of(x->text);
    unsigned seen[BURST_MAX + 1] = {0};
    struct rng r;
    rng_seed(&r, 7);
    for (unsigned i = 0; i < DRAWS; i++) {
        unsigned n = burst_draw(&b, &r);
        assert_in_range(n, 1, BURST_MAX);
        seen[n]++;
    }
    for (unsigned n = 1; n < 10; n++) {
        double p = x->shares[n], off = (double)seen[n] - p * DRAWS;
        if (fabs(off) > 4.5 * sqrt(p * (1 - p) * DRAWS) + 1e-6) {
            fail_msg("%s: %u of %d are %u", x->text, seen[n], DRAWS, n);
        }
    }
    assert_true(fabs(burst_mean(&b) - x->mean) < 1e-9);
}

static void test_draws_are_what_is_written(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        check_draws(&known[i]);
    }
}

static void test_printed_and_read_again(void **state) {
    char text[BURST_TEXT_BYTES], again[BURST_TEXT_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        struct burst b = burst_of(known[i].text);
        assert_string_equal(burst_print(&b, text), known[i].printed);
        b = burst_of(text);
        assert_string_equal(burst_print(&b, again), text);
    }
    struct burst none = {.n_parts = 0};
    assert_string_equal(burst_print(&none, text), "1");
    assert_true(burst_mean(&none) == 1 && burst_is_constant(&none));
}

/* The longest that can be written has room. */
static void test_the_longest_text(void **state) {
    char text[BURST_TEXT_BYTES];
    (void)state;
    struct burst b = burst_of(
        "mixture(999999.123456789:speculative(63,0.123456789),999999.123456789:speculative(63,0.123456789),"
        "999999.123456789:speculative(63,0.123456789),999999.123456789:speculative(63,0.123456789),"
        "999999.123456789:speculative(63,0.123456789),999999.123456789:speculative(63,0.123456789),"
        "999999.123456789:speculative(63,0.123456789),999999.123456789:speculative(63,0.123456789))");
    struct slice printed = slice_cstr(burst_print(&b, text));
    assert_int_equal(printed.ptr[printed.len - 1], ')');
    assert_int_equal(printed.ptr[printed.len - 2], ')');
}

static void test_constants_leave_the_generator_alone(void **state) {
    struct burst one = burst_of("4"), range = burst_of("3-3"), lot = burst_of("1-2");
    struct rng r, same;
    (void)state;
    rng_seed(&r, 1);
    same = r;
    assert_int_equal(burst_draw(&one, &r), 4);
    assert_int_equal(burst_draw(&range, &r), 3);
    assert_memory_equal(&r, &same, sizeof r);
    (void)burst_draw(&lot, &r);
    assert_memory_not_equal(&r, &same, sizeof r);
    assert_true(burst_is_constant(&one) && burst_is_constant(&range) && !burst_is_constant(&lot));
}

static void test_what_is_none(void **state) {
    static const char *const bad[] = {
        "", "0", "65", "-1", "1-", "-", "4-1", "0-3", "1-65", "4ms", "1.5", "many", "uniform(1)", "uniform(1,2,3)",
        "uniform(3,1)", "uniform 1-2", "uniform(1,2", "speculative(0,50%)", "speculative(64,50%)", "speculative(4,101%)",
        "speculative(4,-1)", "speculative(4)", "normal(2,1)", "mixture()", "mixture(1)", "mixture(0:1)", "mixture(1:0)",
        "mixture(1:mixture(1:1))", "mixture(1:1,)", "mixture(1:1,1:1,1:1,1:1,1:1,1:1,1:1,1:1,1:1)",
        "mixture(1e9:1)", "mixture(9999999:1)", "mixture(", "mixture(1:1"};
    struct burst b = burst_between(7, 7);
    struct err e;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (burst_parse(slice_cstr(bad[i]), &b, &e) == 0) {
            fail_msg("'%s' was taken", bad[i]);
        }
        assert_non_null(strstr(e.text, "is no number of tokens"));
    }
    assert_true(burst_mean(&b) == 7);                /* untouched */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_draws_are_what_is_written),
        cmocka_unit_test(test_printed_and_read_again),
        cmocka_unit_test(test_the_longest_text),
        cmocka_unit_test(test_constants_leave_the_generator_alone),
        cmocka_unit_test(test_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
