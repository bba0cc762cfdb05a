/* SPDX-License-Identifier: Apache-2.0 */
/* Laws of time: how they are written, and that what is drawn is what theory says. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "mock/law-private.h"

#define MS INT64_C(1000000)
#define DRAWS 200000

static struct arena *arena;
static struct law_scope scope;

static int setup(void **state) {
    (void)state;
    arena = arena_new();
    scope = (struct law_scope){.arena = arena, .reads_files = true};
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_free(arena);
    return 0;
}

static struct law law_of(const char *text) {
    struct law l;
    struct err e;
    if (law_parse(slice_cstr(text), &scope, &l, &e) < 0) {
        fail_msg("%s: %s", text, e.text);
    }
    return l;
}

/* ---- draws against theory ---- */

/* How many of n draws fall at or below the theoretical quantile q is binomial(n, F(q)). With the
 * seed fixed this is a fact and no chance; 4.5 standard deviations would be passed by one honest
 * seed in 150,000. */
static void check_quantile(const struct law *l, const char *text, const int64_t *draws, double q) {
    int64_t at = law_quantile_ns(l, q);
    double p = law_cdf(l, (double)at + 0.5), below = 0;   /* draws are rounded to whole ns */
    for (unsigned i = 0; i < DRAWS; i++) {
        below += draws[i] <= at;
    }
    double sd = sqrt(p * (1 - p) * DRAWS), off = below - p * DRAWS;
    assert_true(p >= q - 1e-9);
    if (fabs(off) > 4.5 * sd + 1e-6) {
        fail_msg("%s: %.0f of %d draws are at most %lld ns (p%g), not %.0f ± %.0f", text, below, DRAWS,
                 (long long)at, q * 100, p * DRAWS, 4.5 * sd);
    }
}

/* The mean of n draws is normal around the law's, with the deviation that the draws show. */
static void check_mean(const struct law *l, const char *text, const int64_t *draws) {
    double sum = 0, squares = 0, mean;
    for (unsigned i = 0; i < DRAWS; i++) {
        sum += (double)draws[i];
    }
    mean = sum / DRAWS;
    for (unsigned i = 0; i < DRAWS; i++) {
        squares += ((double)draws[i] - mean) * ((double)draws[i] - mean);
    }
    double error = sqrt(squares / DRAWS / DRAWS);
    if (fabs(mean - law_mean_ns(l)) > 4.5 * error + 0.5) {
        fail_msg("%s: the mean is %.1f ns, not %.1f ± %.1f", text, mean, law_mean_ns(l), 4.5 * error);
    }
    assert_true(fabs((double)l->mean_ns - law_mean_ns(l)) <= 0.5 || l->mean_ns == 1);
}

static void check_draws(const char *text) {
    static const double quantiles[] = {0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999};
    static int64_t draws[DRAWS];
    struct law l = law_of(text);
    struct rng r;
    rng_seed(&r, 7);
    for (unsigned i = 0; i < DRAWS; i++) {
        draws[i] = law_draw(&l, &r);
        assert_in_range(draws[i], 0, LAW_MAX_NS);
    }
    for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++) {
        check_quantile(&l, text, draws, quantiles[i]);
    }
    check_mean(&l, text, draws);
}

static void test_draws_are_what_theory_says(void **state) {
    static const char *const laws[] = {
        "20ms", "20ms:10%", "uniform(10ms, 30ms)", "normal(20ms, 5ms)", "normal(5ms, 10ms)",
        "lognormal(300ms, 0.4)", "lognormal(20ms, 1.5)", "lognormal(mean=250ms, sd=100ms)",
        "gamma(4, 5ms)", "gamma(0.5, 40ms)", "gamma(1, 20ms)", "gamma(400, 50us)",
        "exponential(20ms)", "pareto(10ms, 3.5)", "pareto(10ms, 2.2)",
        "mixture(95:20ms:10%, 5:lognormal(200ms, 0.5))",
        "mixture(1:10ms, 1:mixture(1:20ms, 3:exponential(5ms)))", "normal(30us, 10us)"};
    (void)state;
    for (size_t i = 0; i < sizeof laws / sizeof laws[0]; i++) {
        check_draws(laws[i]);
    }
}

/* A check that cannot fail proves nothing: a law's draws against the theory of one that is 2 % off.
 * */
static void test_the_check_would_see_a_wrong_law(void **state) {
    struct law l = law_of("lognormal(300ms, 0.4)"), off = law_of("lognormal(306ms, 0.4)");
    struct rng r;
    unsigned below = 0;
    (void)state;
    rng_seed(&r, 7);
    int64_t median = law_quantile_ns(&off, 0.5);
    for (unsigned i = 0; i < DRAWS; i++) {
        below += law_draw(&l, &r) <= median;
    }
    assert_true(fabs(below - DRAWS / 2.0) > 4.5 * sqrt(DRAWS / 4.0));
}

/* ---- theory against numbers from tables ---- */

static void check_at(const char *text, double q, double wanted_ms) {
    struct law l = law_of(text);
    double got = (double)law_quantile_ns(&l, q) / (double)MS;
    if (fabs(got - wanted_ms) > wanted_ms * 1e-5 + 1e-6) {
        fail_msg("%s: p%g is %.6f ms, not %.6f", text, q * 100, got, wanted_ms);
    }
}

static void test_known_quantiles(void **state) {
    (void)state;
    check_at("normal(100ms, 10ms)", 0.975, 119.59964);
    check_at("normal(100ms, 10ms)", 0.001, 69.09768);
    check_at("lognormal(100ms, 0.5)", 0.99, 320.00740);
    check_at("exponential(10ms)", 0.99, 46.051702);
    check_at("gamma(4, 5ms)", 0.5, 18.360303);      /* chi square of 8: 7.344121 */
    check_at("gamma(4, 5ms)", 0.99, 50.225588);     /* 20.090235 */
    check_at("gamma(0.5, 2ms)", 0.95, 3.841459);    /* chi square of 1 */
    check_at("gamma(100, 1ms)", 0.95, 116.9972);    /* chi square of 200: 233.9943 */
    check_at("pareto(10ms, 2)", 0.99, 100);
    check_at("uniform(10ms, 30ms)", 0.25, 15);
    check_at("20ms", 0.5, 20);
    check_at("20ms:50%", 0.75, 25);
    check_at("lognormal(mean=100ms, p99=300ms)", 0.99, 300);
    check_at("lognormal(median=100ms, p99=300ms)", 0.99, 300);
    check_at("lognormal(p99=300ms, median=100ms)", 0.5, 100);
    assert_true(fabs(law_mean_ns(&(struct law){.mean_ns = 5}) - 5) < 1e-9);
    struct law l = law_of("lognormal(mean=100ms, p99=300ms)");
    assert_in_range(l.mean_ns, 100 * MS - 10, 100 * MS + 10);
    l = law_of("lognormal(mean=100ms, cv=50%)");
    assert_in_range(l.mean_ns, 100 * MS - 10, 100 * MS + 10);
    l = law_of("gamma(mean=20ms, cv=0.5)");
    assert_in_range(l.mean_ns, 20 * MS - 10, 20 * MS + 10);
    l = law_of("pareto(mean=20ms, alpha=2)");
    assert_in_range(l.mean_ns, 20 * MS - 10000, 20 * MS + 10);
}

/* A tail without a mean is cut, and its mean is that of what is cut. */
static void test_endless_tails_are_cut(void **state) {
    struct law l = law_of("pareto(1s, 0.5)");
    struct rng r;
    double sum = 0;
    unsigned cut = 0;
    (void)state;
    rng_seed(&r, 3);
    for (unsigned i = 0; i < DRAWS; i++) {
        int64_t ns = law_draw(&l, &r);
        assert_in_range(ns, 1000 * MS, LAW_MAX_NS);
        cut += ns == LAW_MAX_NS;
        sum += (double)ns;
    }
    /* P(X > 24 h) = (1 / 86400) ^ 0.5 = 0.34 % */
    assert_in_range(cut, 560, 800);
    assert_true(fabs(sum / DRAWS / law_mean_ns(&l) - 1) < 0.05);
    assert_true(law_quantile_ns(&l, 1) == LAW_MAX_NS);
}

/* ---- writing them ---- */

static void check_printed(const char *text, const char *wanted) {
    struct law l = law_of(text), again;
    struct err e;
    struct rng a, b;
    char out[LAW_TEXT_BYTES], twice[LAW_TEXT_BYTES];
    assert_string_equal(law_print(&l, out), wanted);
    assert_int_equal(law_parse(slice_cstr(out), &scope, &again, &e), 0);
    assert_string_equal(law_print(&again, twice), out);
    assert_true(again.mean_ns == l.mean_ns);
    rng_seed(&a, 5);
    rng_seed(&b, 5);
    for (unsigned i = 0; i < 100; i++) {
        assert_true(law_draw(&l, &a) == law_draw(&again, &b));
    }
}

static void test_printing(void **state) {
    (void)state;
    check_printed("0", "0");
    check_printed("20", "20ms");
    check_printed("1500ms", "1.5s");
    check_printed("0.25ms", "250us");
    check_printed("86400s", "86400s");                   /* a day, the longest */
    check_printed("uniform(0, 86400s)", "uniform(0, 86400s)");
    check_printed("7.3ms:2.5%", "7.3ms:2.5%");
    check_printed(" normal( 20ms ,sd=5 ) ", "normal(20ms, 5ms)");
    check_printed("uniform(max=30ms, min=10ms)", "uniform(10ms, 30ms)");
    check_printed("lognormal(300ms, 40%)", "lognormal(300ms, 0.4)");
    check_printed("lognormal(mean=300ms, sd=0)", "lognormal(300ms, 0)");
    check_printed("gamma(mean=20ms, cv=0.5)", "gamma(4, 5ms)");
    check_printed("gamma(shape=4, mean=20ms)", "gamma(4, 5ms)");
    check_printed("exponential(mean=1s)", "exponential(1s)");
    check_printed("pareto(10ms, 2.5)", "pareto(10ms, 2.5)");
    check_printed("mixture(95:20ms:10%,5:pareto(1s,1.5))", "mixture(95:uniform(18ms, 22ms), 5:pareto(1s, 1.5))");
    check_printed("mixture(1:1ms, 1:mixture(1:2ms, 3:4ms))", "mixture(1:1ms, 0.25:2ms, 0.75:4ms)");
}

static void check_bad(const char *text, const char *part) {
    struct law l;
    struct err e;
    if (law_parse(slice_cstr(text), &scope, &l, &e) != -ERR_USAGE) {
        fail_msg("taken: %s", text);
    }
    if (!strstr(e.text, part)) {
        fail_msg("%s: \"%s\" does not say \"%s\"", text, e.text, part);
    }
}

static void test_bad_laws(void **state) {
    (void)state;
    check_bad("gauss(20ms, 5ms)", "lognormal");
    check_bad("normal", "20ms");
    check_bad("normal(20ms", "20ms");
    check_bad("normal()", "(mean, sd)");
    check_bad("normal(20ms)", "(mean, sd)");
    check_bad("normal(20ms, 5ms, 1ms)", "(mean, sd)");
    check_bad("normal(20ms, sigma=5ms)", "(mean, sd)");
    check_bad("normal(20ms, -5ms)", "-5ms");
    check_bad("lognormal(300ms, 120ms)", "(mean=, sd)");
    check_bad("lognormal(300ms, 11)", "no law");
    check_bad("lognormal(mean=100ms, p99=2000ms)", "no law");
    check_bad("lognormal(mean=100ms, p99=50ms)", "no law");
    check_bad("uniform(30ms, 10ms)", "no law");
    check_bad("gamma(0, 5ms)", "no law");
    check_bad("pareto(mean=10ms, alpha=1)", "no law");
    check_bad("pareto(0, 2)", "no law");
    check_bad("mixture()", "weight");
    check_bad("mixture(20ms)", "weight");
    check_bad("mixture(0:20ms)", "weight");
    check_bad("mixture(1:soon)", "not a time");
    check_bad("mixture(1:mixture(1:mixture(1:mixture(1:mixture(1:1ms)))))", "deep");
    check_bad("mixture(1:1,1:2,1:3,1:4,1:5,1:6,1:7,1:8,1:9,1:10,1:11,1:12,1:13,1:14,1:15,1:16,1:17)", "16");
    check_bad("exponential(25h)", "25h");
    check_bad("exponential(25000s, 1)", "(mean)");
    check_bad("exponential(99999s)", "(mean)");
    check_bad("86400.000001s", "not a time");
}

/* Whatever is written: refused, or a law that can be drawn from, printed, and read again. */
static void test_any_text(void **state) {
    static const char *const parts[] = {"normal", "lognormal", "gamma", "mixture", "pareto", "uniform", "exponential",
                                        "empirical", "(", "(", ")", ")", ",", ",", ":", "=", "mean", "sd", "p99",
                                        "median", "cv", "shape", "alpha", "min", "20ms", "5ms", "1s", "0", "0.5",
                                        "10%", "3", " ", "99999999999", ".", "-1", "24000s", "\xff"};
    unsigned taken = 0;
    struct rng r, draws;
    (void)state;
    rng_seed(&r, 11);
    rng_seed(&draws, 1);
    for (unsigned i = 0; i < 100000; i++) {
        char text[256] = "", out[LAW_TEXT_BYTES];
        struct arena *own = arena_new();
        const struct law_scope s = {.arena = own};
        struct law l, again;
        struct err e;
        if (i % 2) {                                     /* likelier to be one */
            snprintf(text, sizeof text, "%s(", parts[rng_below(&r, 7)]);
        }
        for (uint64_t n = 1 + rng_below(&r, 7); n > 0; n--) {
            strcat(text, parts[rng_below(&r, sizeof parts / sizeof parts[0])]);
        }
        strcat(text, i % 2 ? ")" : "");
        if (law_parse(slice_cstr(text), &s, &l, &e) == 0) {
            taken++;
            assert_in_range(law_draw(&l, &draws), 0, LAW_MAX_NS);
            law_print(&l, out);
            assert_int_equal(law_parse(slice_cstr(out), &s, &again, &e), 0);
            assert_true(again.mean_ns == l.mean_ns && l.mean_ns >= 0 && l.mean_ns <= LAW_MAX_NS);
        } else {
            assert_true(strlen(e.text) > 10);
        }
        arena_free(own);
    }
    assert_true(taken > 500);
}

/* What comes over the network may not read files, and a place without an arena takes plain times.
 * */
static void test_scopes(void **state) {
    const struct law_scope network = {.arena = arena};
    struct law l;
    struct err e;
    (void)state;
    assert_int_equal(law_parse(SLICE("empirical(/etc/passwd)"), &network, &l, &e), -ERR_USAGE);
    assert_non_null(strstr(e.text, "may not"));
    assert_int_equal(law_parse(SLICE("mixture(1:empirical(/etc/passwd))"), &network, &l, &e), -ERR_USAGE);
    assert_int_equal(law_parse(SLICE("normal(20ms, 1ms)"), NULL, &l, &e), -ERR_USAGE);
    assert_int_equal(law_parse(SLICE("20ms:10%"), NULL, &l, &e), 0);
}

/* A law outlives the arena that it was read into when somebody else holds it. */
static void test_copies(void **state) {
    struct arena *first = arena_new(), *second = arena_new();
    const struct law_scope s = {.arena = first};
    struct law l, in_arena, held;
    struct err e;
    struct rng r;
    (void)state;
    assert_int_equal(law_parse(SLICE("gamma(4, 5ms)"), &s, &l, &e), 0);
    in_arena = law_copy(&l, second);
    held = law_copy(&l, NULL);
    arena_free(first);
    rng_seed(&r, 1);
    assert_true(law_draw(&in_arena, &r) > 0);
    arena_free(second);
    assert_true(law_draw(&held, &r) > 0);
    law_release(&held);
    assert_true(law_is_zero(&held));
    law_release(&held);
}

/* ---- what was measured ---- */

static char path[] = "/tmp/penstock-law-XXXXXX";

static struct law measured(const char *content, const char *arguments) {
    char text[256];
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(content, f);
    fclose(f);
    snprintf(text, sizeof text, "empirical(%s%s)", path, arguments);
    return law_of(text);
}

static void bad_file(const char *content, const char *arguments, const char *part) {
    char text[256];
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(content, f);
    fclose(f);
    snprintf(text, sizeof text, "empirical(%s%s)", path, arguments);
    check_bad(text, part);
}

static void test_measured_times(void **state) {
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct law l = measured("# in milliseconds\r\n30\n10\n\n20ms\n0.04s\n", "");
    assert_true(l.mean_ns == 25 * MS);
    assert_true(law_quantile_ns(&l, 0.25) == 17500000);
    assert_true(law_quantile_ns(&l, 0.5) == 25 * MS);
    assert_true(law_quantile_ns(&l, 1) == 40 * MS);
    l = measured("7\n", "");
    assert_true(l.mean_ns == 7 * MS && law_quantile_ns(&l, 0.3) == 7 * MS);
    l = measured("5\n5\n5\n5\n9\n", "");
    assert_true(law_quantile_ns(&l, 0.75) == 5 * MS);
    assert_true(law_quantile_ns(&l, 0.875) == 7 * MS);
    l = measured("0 10\n0.5 20ms\n1 100ms\n", "");
    assert_true(law_quantile_ns(&l, 0.25) == 15 * MS);
    assert_true(l.mean_ns == 37500000);
    l = measured("p50 20ms\np99 100ms\n", ", unit=s");
    assert_true(law_quantile_ns(&l, 0.4) == 20 * MS);
    assert_true(law_quantile_ns(&l, 0.999) == 100 * MS);
    l = measured("when,ttft,\"itl\"\n1,200,10\n2,400,30\n", ", column=itl");
    assert_true(l.mean_ns == 20 * MS);
    l = measured("when,ttft,itl\n1,200,10\n2,400,30\n", ", column=2, unit=us");
    assert_true(l.mean_ns == 300000);
    bad_file("", "", "no values");
    bad_file("10\nsoon\n", "", "line 2");
    bad_file("0.5 10\n0.4 20\n", "", "ascend");
    bad_file("0.5 10\n0.6 5\n", "", "ascend");
    bad_file("1.5 10\n", "", "quantile");
    bad_file("a,b\n1,2\n", ", column=c", "no column");
    bad_file("1,2\n", ", column=0", "from 1");
    bad_file("1\n", ", unit=h", "unit");
    bad_file("1\n", ", speed=2", "column=");
    check_bad("empirical()", "file");
    check_bad("empirical(/nowhere/at/all)", "cannot read");
    check_bad("empirical(/tmp)", "plain file");
    /* draws of each kind, and of one inside a mixture */
    measured("30\n10\n20\n40\n90\n", "");
    char text[256];
    snprintf(text, sizeof text, "empirical(%s)", path);
    check_draws(text);
    snprintf(text, sizeof text, "mixture(2:empirical(%s), 1:5ms)", path);
    check_draws(text);
    measured("0 10\n0.5 20ms\n0.9 25ms\n1 100ms\n", "");
    snprintf(text, sizeof text, "empirical(%s)", path);
    check_draws(text);
    char *slash = strrchr(path, '/');
    char folder[64];
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    struct law_scope there = {.arena = arena, .reads_files = true, .folder = folder};
    struct err e;
    snprintf(text, sizeof text, "empirical(%s)", slash + 1);
    assert_int_equal(law_parse(slice_cstr(text), &there, &l, &e), 0);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_draws_are_what_theory_says),
        cmocka_unit_test(test_the_check_would_see_a_wrong_law),
        cmocka_unit_test(test_known_quantiles),
        cmocka_unit_test(test_endless_tails_are_cut),
        cmocka_unit_test(test_printing),
        cmocka_unit_test(test_bad_laws),
        cmocka_unit_test(test_any_text),
        cmocka_unit_test(test_scopes),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_measured_times),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
