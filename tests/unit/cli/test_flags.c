/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "cli/flags.h"

struct options {
    bool quiet, banner;
    const char *config;
    unsigned workers;
    uint64_t tokens;
    double rate;
    int64_t timeout_ns;
    struct text_list models;
    struct override_list settings;
    int custom;
};

static int parse_custom(struct slice text, void *field, struct err *e) {
    if (!slice_eq(text, SLICE("right"))) return err_set(e, ERR_USAGE, "wrong");
    *(int *)field = 42;
    return 0;
}

static const struct flag flags[] = {
    {.name = "quiet", .letter = 'q', .type = FLAG_BOOL, FLAG_FIELD(struct options, quiet)},
    {.name = "banner", .letter = 'b', .type = FLAG_BOOL, FLAG_FIELD(struct options, banner), .default_text = "true"},
    {.name = "config", .letter = 'c', .type = FLAG_TEXT, FLAG_FIELD(struct options, config), .argument = "FILE"},
    {.name = "workers", .letter = 'w', .type = FLAG_COUNT, FLAG_FIELD(struct options, workers), .argument = "N", .max = 16},
    {.name = "tokens", .type = FLAG_COUNT, FLAG_FIELD(struct options, tokens), .argument = "N"},
    {.name = "rate", .type = FLAG_REAL, FLAG_FIELD(struct options, rate), .argument = "N"},
    {.name = "timeout", .type = FLAG_DURATION, FLAG_FIELD(struct options, timeout_ns), .argument = "TIME"},
    {.name = "model", .letter = 'm', .type = FLAG_TEXTS, FLAG_FIELD(struct options, models), .argument = "NAME"},
    {.name = "mode", .type = FLAG_TEXT, FLAG_FIELD(struct options, config), .argument = "MODE", .choices = "one|two"},
    {.name = "log-level", .type = FLAG_SETTING, FLAG_FIELD(struct options, settings), .argument = "LEVEL", .setting = "log.level"},
    {.name = "set", .type = FLAG_ANY_SETTING, FLAG_FIELD(struct options, settings), .argument = "NAME=VALUE"},
    {.name = "custom", .type = FLAG_CUSTOM, FLAG_FIELD(struct options, custom), .argument = "X", .parse = parse_custom},
    {.name = NULL},
};

struct parsed {
    struct options o;
    struct arena *arena;
    struct arguments arguments;
    struct err err;
    int rc;
};

/* Words, NULL at the end. */
static struct parsed parse(char **words) {
    struct parsed p = {.o.banner = true, .arena = arena_new()};
    unsigned n = 0;
    while (words[n]) n++;
    p.rc = flags_parse(flags, n, words, &p.o, p.arena, &p.arguments, &p.err);
    return p;
}

#define WORDS(...) (char *[]){__VA_ARGS__, NULL}
static char s_c[] = "-c", s_file[] = "f.yaml";

static void test_forms(void **state) {
    (void)state;
    char a[] = "--config=a=b", b[] = "-w4", d[] = "--no-banner", e[] = "-q", f[] = "word",
         g[] = "--model", h[] = "m1", i[] = "-m=m2", j[] = "--", k[] = "--quiet", l[] = "-",
         m[] = "--tokens=12", n[] = "--rate", o[] = "1.5", p_[] = "--timeout=1.5s";
    struct parsed p = parse(WORDS(a, b, d, f, e, g, h, i, m, n, o, p_, l, j, k));
    assert_int_equal(p.rc, FLAGS_OK);
    assert_string_equal(p.o.config, "a=b");
    assert_int_equal(p.o.workers, 4);
    assert_false(p.o.banner);
    assert_true(p.o.quiet);
    assert_true(p.o.tokens == 12);
    assert_true(p.o.rate > 1.49 && p.o.rate < 1.51);
    assert_true(p.o.timeout_ns == 1500 * NS_PER_MS);
    assert_int_equal(p.o.models.n, 2);
    assert_string_equal(p.o.models.items[1], "m2");
    assert_int_equal(p.arguments.n, 3);
    assert_string_equal(p.arguments.items[0], "word");
    assert_string_equal(p.arguments.items[1], "-");
    assert_string_equal(p.arguments.items[2], "--quiet");
    arena_free(p.arena);
}

static void test_letters_and_bools(void **state) {
    (void)state;
    char a[] = "-qc", b[] = "--banner=no", c[] = "--quiet=false", d[] = "-qh";
    struct parsed p = parse(WORDS(a, s_file, b));
    assert_int_equal(p.rc, FLAGS_OK);
    assert_true(p.o.quiet && !p.o.banner);
    assert_string_equal(p.o.config, "f.yaml");
    arena_free(p.arena);
    p = parse(WORDS(a, s_file, c));
    assert_false(p.o.quiet);
    arena_free(p.arena);
    p = parse(WORDS(d));
    assert_int_equal(p.rc, FLAGS_HELP);
    arena_free(p.arena);
}

static void test_settings(void **state) {
    (void)state;
    char a[] = "--log-level", b[] = "debug", c[] = "--set", d[] = "timeouts.idle=2m=x";
    struct parsed p = parse(WORDS(a, b, c, d));
    assert_int_equal(p.rc, FLAGS_OK);
    assert_int_equal(p.o.settings.n, 2);
    assert_string_equal(p.o.settings.items[0].name, "log.level");
    assert_string_equal(p.o.settings.items[0].value, "debug");
    assert_string_equal(p.o.settings.items[1].name, "timeouts.idle");
    assert_string_equal(p.o.settings.items[1].value, "2m=x");
    arena_free(p.arena);
}

static void test_faults(void **state) {
    static const struct {
        const char *words[3], *expected;
    } cases[] = {
        {{"--confg", "x"}, "unknown flag --confg; did you mean --config?"},
        {{"--nobanner"}, "unknown flag --nobanner; did you mean --no-banner?"},
        {{"--zzzzzzzz=secret"}, "unknown flag --zzzzzzzz"},
        {{"-x"}, "unknown flag -x"},
        {{"--config"}, "--config needs a value: FILE"},
        {{"-c"}, "--config needs a value: FILE"},
        {{"--no-config"}, "unknown flag --no-config; did you mean --config?"},
        {{"--no-quiet=true"}, "--no-quiet takes no value"},
        {{"--quiet=maybe"}, "--quiet: expected true or false"},
        {{"--workers", "17"}, "--workers: expected a whole number within bounds, got \"17\""},
        {{"--workers", "-1"}, "--workers: expected a whole number within bounds, got \"-1\""},
        {{"--tokens", "1x"}, "--tokens: expected a whole number, got \"1x\""},
        {{"--rate", "nan"}, "--rate: expected a number"},
        {{"--rate", ""}, "--rate: expected a number"},
        {{"--timeout", "5"}, "--timeout: expected a duration (10s, 500ms), got \"5\""},
        {{"--mode", "three"}, "--mode: expected one of one|two, got \"three\""},
        {{"--log-level", "loud"}, "--log-level: expected one of debug|info|warn|error|off, got \"loud\""},
        {{"--set", "workers"}, "--set: expected name=value, such as timeouts.idle=2m"},
        {{"--set", "=x"}, "--set: expected name=value, such as timeouts.idle=2m"},
        {{"--custom", "left"}, "--custom: wrong"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char copies[2][64] = {"", ""}, *words[3] = {NULL, NULL, NULL};
        for (unsigned k = 0; cases[i].words[k]; k++) {
            words[k] = strcpy(copies[k], cases[i].words[k]);
        }
        struct parsed p = parse(words);
        assert_int_equal(p.rc, -ERR_USAGE);
        assert_string_equal(p.err.text, cases[i].expected);
        arena_free(p.arena);
    }
}

static void test_lists_are_bounded(void **state) {
    char flag[] = "-mx", *words[FLAG_LIST_MAX + 2];
    (void)state;
    for (unsigned i = 0; i <= FLAG_LIST_MAX; i++) words[i] = flag;
    words[FLAG_LIST_MAX + 1] = NULL;
    struct parsed p = parse(words);
    assert_int_equal(p.rc, -ERR_USAGE);
    assert_string_equal(p.err.text, "--model: too often");
    arena_free(p.arena);
    words[FLAG_LIST_MAX] = NULL;
    p = parse(words);
    assert_int_equal(p.rc, FLAGS_OK);
    arena_free(p.arena);
}

static void test_last_one_wins(void **state) {
    char other[] = "g.yaml";
    (void)state;
    struct parsed p = parse(WORDS(s_c, s_file, s_c, other));
    assert_string_equal(p.o.config, "g.yaml");
    arena_free(p.arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),    cmocka_unit_test(test_letters_and_bools),
        cmocka_unit_test(test_settings), cmocka_unit_test(test_faults),
        cmocka_unit_test(test_lists_are_bounded), cmocka_unit_test(test_last_one_wins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
