/* SPDX-License-Identifier: Apache-2.0 */
#include "config_test.h"

struct fixture {
    struct env env;
    struct report report;
};

static void read_env(struct fixture *f, const char *text, bool is_strict) {
    *f = (struct fixture){.env = {.get = test_getenv, .arena = arena_new()}};
    report_init(&f->report);
    env_parse_file(&f->env, slice_cstr(text), "t.env", is_strict, &f->report);
}

static void dispose(struct fixture *f) {
    report_dispose(&f->report);
    arena_free(f->env.arena);
}

static void test_env_file(void **state) {
    static const struct {
        const char *name, *value;
    } expected[] = {
        {"PLAIN", "some value"}, {"EXPORTED", "x"},      {"EMPTY", ""},
        {"SINGLE", "a $b \\n #c"}, {"DOUBLE", "a\n\"b\"\tc"}, {"COMMENTED", "v"},
        {"HASH", "a#b"},         {"SPACED", "s"},        {"LINES", "one\ntwo"},
        {"TWICE", "2"},          {"LAST", "end"},        {"CR", "x"},
    };
    struct fixture f;
    (void)state;
    test_env_vars = NULL;
    read_env(&f,
             "\xef\xbb\xbf# comment\n"
             "PLAIN=some value  \n"
             "export EXPORTED=x\n"
             "EMPTY=\n"
             "SINGLE='a $b \\n #c'\n"
             "DOUBLE=\"a\\n\\\"b\\\"\\tc\" # behind\n"
             "COMMENTED=v # not this\n"
             "HASH=a#b\n"
             "  SPACED = s\n"
             "LINES=\"one\ntwo\"\n"
             "TWICE=1\n"
             "TWICE=2\n"
             "CR=x\r\n"
             "LAST=end",
             true);
    assert_int_equal(f.report.n_faults, 0);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        const char *value = env_get(&f.env, expected[i].name);
        assert_non_null(value);
        assert_string_equal(value, expected[i].value);
    }
    assert_null(env_get(&f.env, "NONE"));
    dispose(&f);
}

static void test_real_environment_wins(void **state) {
    static const char *const vars[] = {"A", "real", NULL};
    struct fixture f;
    (void)state;
    test_env_vars = vars;
    read_env(&f, "A=file\nB=file\n", true);
    assert_string_equal(env_get(&f.env, "A"), "real");
    assert_string_equal(env_get(&f.env, "B"), "file");
    dispose(&f);
}

static void test_malformed_lines(void **state) {
    static const char *const texts[] = {
        "GOOD=1\nsk-secret without equals\nMORE=2\n", "GOOD=1\n9KEY=sk-secret\nMORE=2\n",
        "GOOD=1\nK='a' sk-secret\nMORE=2\n",
    };
    struct fixture f;
    (void)state;
    test_env_vars = NULL;
    for (size_t i = 0; i < 3; i++) {
        read_env(&f, texts[i], true);
        assert_int_equal(f.report.n_faults, 1);
        assert_string_equal(env_get(&f.env, "MORE"), "2");
        assert_int_equal(buf_append_byte(&f.report.faults, '\0'), 0);
        assert_non_null(strstr(f.report.faults.ptr, "t.env:2:1: "));
        assert_null(strstr(f.report.faults.ptr, "sk-secret"));
        dispose(&f);
        read_env(&f, texts[i], false);
        assert_int_equal(f.report.n_faults, 0);
        assert_true(f.report.warnings.len > 0);
        dispose(&f);
    }
    read_env(&f, "A=1\nB=\"never closed\nC=3\n", true);
    assert_int_equal(f.report.n_faults, 1);
    assert_null(env_get(&f.env, "C"));
    dispose(&f);
}

static void test_expansion(void **state) {
    static const char *const vars[] = {"NAME", "value", "EMPTY", "", "YAML", "a: [b]", NULL};
    static const struct {
        const char *text, *expected;
        enum expand_result result;
    } cases[] = {
        {"plain", "plain", EXPAND_SAME},
        {"$$5", "$5", EXPAND_SAME},
        {"5$", "5$", EXPAND_SAME},
        {"a $ b", "a $ b", EXPAND_SAME},
        {"$$${NAME}", "$value", EXPAND_DONE},
        {"${NAME}", "value", EXPAND_DONE},
        {"<${NAME}${NAME}>", "<valuevalue>", EXPAND_DONE},
        {"${EMPTY}", "", EXPAND_DONE},
        {"${EMPTY:-d}", "d", EXPAND_DONE},
        {"${NONE:-a b}", "a b", EXPAND_DONE},
        {"${NONE:-}", "", EXPAND_DONE},
        {"${NAME:-d}", "value", EXPAND_DONE},
        {"${YAML}", "a: [b]", EXPAND_DONE},
        {"${NONE}", NULL, EXPAND_FAILED},
        {"${NAME", NULL, EXPAND_FAILED},
        {"${}", NULL, EXPAND_FAILED},
        {"${1A}", NULL, EXPAND_FAILED},
        {"${NAME-x}", NULL, EXPAND_FAILED},
        {"${NONE:-${NAME}}", NULL, EXPAND_FAILED},
        {"$NAME", NULL, EXPAND_FAILED},
    };
    struct fixture f;
    (void)state;
    test_env_vars = vars;
    read_env(&f, "", true);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct slice out = SLICE_NULL;
        const char *message = NULL;
        enum expand_result result = env_expand(&f.env, slice_cstr(cases[i].text), &out, &message);
        if (result != cases[i].result) fail_msg("%s: result %d", cases[i].text, (int)result);
        if (result == EXPAND_FAILED) assert_non_null(message);
        else assert_true(slice_eq(out, slice_cstr(cases[i].expected)));
    }
    dispose(&f);
}

static void test_expansion_is_bounded(void **state) {
    static char big[40000];
    const char *vars[] = {"BIG", big, NULL};
    struct fixture f;
    struct slice out;
    const char *message = NULL;
    (void)state;
    memset(big, 'x', sizeof big - 1);
    test_env_vars = vars;
    read_env(&f, "", true);
    assert_int_equal(env_expand(&f.env, SLICE("${BIG}"), &out, &message), EXPAND_DONE);
    assert_int_equal(env_expand(&f.env, SLICE("${BIG}${BIG}"), &out, &message), EXPAND_FAILED);
    assert_non_null(strstr(message, "64 KiB"));
    test_env_vars = NULL;
    dispose(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_env_file),
        cmocka_unit_test(test_real_environment_wins),
        cmocka_unit_test(test_malformed_lines),
        cmocka_unit_test(test_expansion),
        cmocka_unit_test(test_expansion_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
