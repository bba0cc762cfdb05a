/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken for valid; and texts that are said by a pattern fit it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "mock/schema_check.h"
#include "mock/schema_regex.h"

/* ---- valid or not ---- */

static const struct {
    const char *schema;
    const char *good[4], *bad[6];
} cases[] = {
    {"{}", {"1", "null", "{}", "[]"}, {NULL}},
    {"{\"type\":\"integer\"}", {"1", "-7", "1.0"}, {"1.5", "\"1\"", "null", "true"}},
    {"{\"type\":[\"string\",\"null\"]}", {"\"\"", "null"}, {"0", "[]"}},
    {"{\"type\":\"string\",\"nullable\":true}", {"null", "\"x\""}, {"1"}},
    {"{\"enum\":[1,\"a\",null]}", {"1", "\"a\"", "null"}, {"2", "\"b\"", "false"}},
    {"{\"const\":{\"a\":[1]}}", {"{\"a\":[1]}"}, {"{\"a\":[2]}", "{}"}},
    {"{\"minimum\":1,\"maximum\":3}", {"1", "3", "2.5", "\"x\""}, {"0.999", "3.1"}},
    {"{\"exclusiveMinimum\":1,\"exclusiveMaximum\":3}", {"2", "1.1"}, {"1", "3"}},
    {"{\"minimum\":1,\"exclusiveMinimum\":true}", {"1.5"}, {"1"}},
    {"{\"multipleOf\":7}", {"0", "-14", "21"}, {"1", "22"}},
    {"{\"multipleOf\":0.01}", {"0.5", "3"}, {"0.005"}},
    {"{\"minLength\":2,\"maxLength\":3}", {"\"ab\"", "\"\\u00e9\\ud83d\\ude00x\""}, {"\"a\"", "\"abcd\""}},
    {"{\"pattern\":\"^a+$\"}", {"\"aa\"", "7"}, {"\"b\"", "\"aab\"", "\"a\\n\""}},
    {"{\"minItems\":1,\"maxItems\":2,\"items\":{\"type\":\"integer\"}}", {"[1]", "[1,2]"}, {"[]", "[1,2,3]", "[\"a\"]"}},
    {"{\"prefixItems\":[{\"type\":\"string\"}],\"items\":false}", {"[]", "[\"a\"]"}, {"[1]", "[\"a\",1]"}},
    {"{\"items\":[{\"type\":\"string\"}],\"additionalItems\":{\"type\":\"null\"}}", {"[\"a\",null]"}, {"[\"a\",1]", "[1]"}},
    {"{\"uniqueItems\":true}", {"[1,2,\"1\"]", "[[1],[2]]"}, {"[1,1]", "[{\"a\":1},{\"a\":1}]"}},
    {"{\"contains\":{\"type\":\"integer\"},\"minContains\":2}", {"[1,\"a\",2]"}, {"[1]", "[]", "[\"a\"]"}},
    {"{\"properties\":{\"a\":{\"type\":\"integer\"}},\"required\":[\"a\"],\"additionalProperties\":false}", {"{\"a\":1}"},
     {"{}", "{\"a\":\"1\"}", "{\"a\":1,\"b\":2}"}},
    {"{\"patternProperties\":{\"^x-\":{\"type\":\"integer\"}},\"additionalProperties\":{\"type\":\"string\"}}",
     {"{\"x-a\":1,\"b\":\"c\"}"}, {"{\"x-a\":\"1\"}", "{\"b\":1}"}},
    {"{\"propertyNames\":{\"maxLength\":2},\"minProperties\":1,\"maxProperties\":2}", {"{\"ab\":1}"},
     {"{}", "{\"abc\":1}", "{\"a\":1,\"b\":2,\"c\":3}"}},
    {"{\"dependentRequired\":{\"a\":[\"b\"]}}", {"{\"a\":1,\"b\":2}", "{\"b\":1}"}, {"{\"a\":1}"}},
    {"{\"dependencies\":{\"a\":{\"required\":[\"c\"]}}}", {"{\"a\":1,\"c\":2}"}, {"{\"a\":1}"}},
    {"{\"anyOf\":[{\"type\":\"integer\"},{\"minLength\":2}]}", {"1", "\"ab\"", "null"}, {"\"a\""}},
    {"{\"oneOf\":[{\"multipleOf\":3},{\"multipleOf\":5}]}", {"3", "5"}, {"15", "1"}},
    {"{\"allOf\":[{\"minimum\":1},{\"maximum\":2}]}", {"1", "2"}, {"0", "3"}},
    {"{\"not\":{\"type\":\"string\"}}", {"1"}, {"\"a\""}},
    {"{\"if\":{\"minimum\":10},\"then\":{\"multipleOf\":10},\"else\":{\"multipleOf\":3}}", {"20", "9"}, {"15", "4"}},
    {"{\"$ref\":\"#/$defs/a~1b\",\"maximum\":5,\"$defs\":{\"a/b\":{\"type\":\"integer\"}}}", {"5"}, {"6", "1.5"}},
    {"{\"$ref\":\"#/definitions/x%20y\",\"definitions\":{\"x y\":{\"const\":1}}}", {"1"}, {"2"}},
    {"{\"$ref\":\"#leaf\",\"$defs\":{\"q\":{\"$anchor\":\"leaf\",\"type\":\"null\"}}}", {"null"}, {"1"}},
    {"{\"properties\":{\"c\":{\"type\":\"array\",\"items\":{\"$ref\":\"#\"}}},\"required\":[\"c\"]}",
     {"{\"c\":[{\"c\":[]}]}"}, {"{\"c\":[{}]}", "{\"c\":1}"}},
    {"{\"$ref\":\"https://example.com/elsewhere\"}", {"1"}, {NULL}},
};

static bool holds(const char *schema, const char *value) {
    yyjson_doc *s = yyjson_read(schema, strlen(schema), 0),
               *v = yyjson_read(value, strlen(value), 0);
    struct schema_check c = {.root = yyjson_doc_get_root(s), .steps = 10000};
    assert_non_null(s);
    assert_non_null(v);
    bool result = schema_holds(&c, c.root, yyjson_doc_get_root(v));
    yyjson_doc_free(s);
    yyjson_doc_free(v);
    return result;
}

static void test_good_and_bad(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (unsigned k = 0; k < 4 && cases[i].good[k]; k++) {
            if (!holds(cases[i].schema, cases[i].good[k])) {
                fail_msg("%s refuses %s", cases[i].schema, cases[i].good[k]);
            }
        }
        for (unsigned k = 0; k < 6 && cases[i].bad[k]; k++) {
            if (holds(cases[i].schema, cases[i].bad[k])) {
                fail_msg("%s takes %s", cases[i].schema, cases[i].bad[k]);
            }
        }
    }
}

/* Schemas that go round, or branch without end, are given up on. */
static void test_it_ends(void **state) {
    (void)state;
    assert_true(holds("{\"$ref\":\"#\"}", "1"));
    assert_true(holds("{\"allOf\":[{\"$ref\":\"#\"},{\"$ref\":\"#\"}]}", "1"));
    (void)holds("{\"anyOf\":[{\"not\":{\"$ref\":\"#\"}},{\"not\":{\"$ref\":\"#\"}}]}", "1");
}

/* ---- patterns ---- */

static void test_said_texts_fit_their_pattern(void **state) {
    static const char *const patterns[] = {
        "abc", "^$", "^a*$", "^[a-z]{3,5}$", "^[^a-z\\s]+$", "^\\d{3}-\\d{4}$", "^(a|bc|d(e|f)g)+h?$", "^\\w+@\\w+\\.(com|org)$",
        "^[\\w.-]+$", "^[\\]\\[^-]+$", "^\\$\\{\\}$", "^(?:x|y){2}z$", "^(?<year>\\d{4})$", "^.{7}$", "^\\u00e9+$", "^\\x41\\t$",
        "^[\\u4e00-\\u9fff]{2}$", "a|b|", "^a{2,}?$", "^a{,3}$", "x{y}", "^(?=a)[ab]{1}$", "^[+-]?\\d+(\\.\\d+)?([eE][+-]?\\d+)?$",
        "^((a|b)(c|d)){3}$", "\\bword\\b", "^[A-Za-z0-9+/]{4}={0,2}$", "^世界{2}$"};
    struct rng rng;
    struct buf out;
    (void)state;
    rng_seed(&rng, 1);
    buf_init(&out, 1 << 16);
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        unsigned fitting = 0;
        for (unsigned k = 0; k < 100; k++) {
            const struct regex_say how = {.rng = &rng, .reach = k % 7, .is_wild = k % 2};
            bool is_known;
            buf_reset(&out);
            assert_int_equal(regex_say(slice_cstr(patterns[i]), &how, &out), 0);
            fitting += schema_pattern_fits(slice_cstr(patterns[i]), out.ptr ? buf_slice(&out) : SLICE(""), &is_known);
            assert_true(is_known);
        }
        bool is_exact = !strstr(patterns[i], "(?=");      /* what looks ahead is left to luck */
        if (fitting < (is_exact ? 100 : 20)) {
            fail_msg("%s: %u of 100, like %.*s", patterns[i], fitting, SLICE_FMT(buf_slice(&out)));
        }
    }
    buf_dispose(&out);
}

static void test_strange_patterns_are_refused(void **state) {
    static const char *const patterns[] = {"(", "[a", "a)", "\\1", "\\p{L}", "a{3,1}", "(?#x)", "[z-a]", "\\", "(?"};
    struct rng rng;
    struct buf out;
    (void)state;
    rng_seed(&rng, 1);
    buf_init(&out, 1 << 16);
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        const struct regex_say how = {.rng = &rng, .reach = 2};
        if (regex_say(slice_cstr(patterns[i]), &how, &out) == 0) {
            fail_msg("taken: %s", patterns[i]);
        }
        assert_int_equal(out.len, 0);
    }
    buf_dispose(&out);
}

/* What nobody could match is not read: a class is read anew for each character of its repeat. */
static void test_long_patterns_are_refused(void **state) {
    char pattern[4096];
    struct rng rng;
    struct buf out;
    (void)state;
    rng_seed(&rng, 1);
    buf_init(&out, 1 << 16);
    memset(pattern, 'a', sizeof pattern);
    const struct regex_say how = {.rng = &rng, .reach = 2};
    assert_int_equal(regex_say(slice_make(pattern, sizeof pattern), &how, &out), -ERR_LIMIT);
    pattern[0] = '[';
    memcpy(pattern + 1000, "]{500}", 6);
    assert_int_equal(regex_say(slice_make(pattern, 1006), &how, &out), -ERR_LIMIT);
    memcpy(pattern + 30, "]{500}", 6);
    assert_int_equal(regex_say(slice_make(pattern, 36), &how, &out), 0);
    assert_int_equal(out.len, 500);
    buf_dispose(&out);
}

/* Any bytes: it ends, and what it says is within its bounds. */
static void test_any_bytes_for_a_pattern(void **state) {
    static const char letters[] = "ab()[]{}|*+?\\^$.-,0123dwsxu<>=!:\xc3\xa9";
    struct rng rng;
    struct buf out;
    (void)state;
    rng_seed(&rng, 3);
    buf_init(&out, 1 << 16);
    for (unsigned round = 0; round < 20000; round++) {
        char pattern[32];
        size_t len = rng_below(&rng, sizeof pattern);
        const struct regex_say how = {.rng = &rng, .reach = 3, .is_wild = round % 2};
        for (size_t i = 0; i < len; i++) {
            pattern[i] = letters[rng_below(&rng, sizeof letters - 1)];
        }
        buf_reset(&out);
        (void)(regex_say(slice_make(pattern, len), &how, &out) == 0);
        assert_in_range(out.len, 0, 5000);
    }
    buf_dispose(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_and_bad),
        cmocka_unit_test(test_it_ends),
        cmocka_unit_test(test_said_texts_fit_their_pattern),
        cmocka_unit_test(test_strange_patterns_are_refused),
        cmocka_unit_test(test_long_patterns_are_refused),
        cmocka_unit_test(test_any_bytes_for_a_pattern),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
