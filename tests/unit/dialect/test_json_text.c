/* SPDX-License-Identifier: Apache-2.0 */
#include "dialect_test.h"

#include "dialect/json_text.h"

static void members_and_elements_are_walked(void **state) {
    (void)state;
    struct json_walk w = json_walk_begin(SLICE(" {}"));
    struct slice key, value;
    assert_false(json_walk_member(&w, &key, &value));
    w = json_walk_begin(
        SLICE("{ \"a\" : {\"x\":[1,\"}\\\\\"]} , \"b\\\"c\":\"y\\\\\" ,\"d\":-1.5e3}"));
    assert_true(json_walk_member(&w, &key, &value));
    assert_slices(key, SLICE("a"));
    assert_slices(value, SLICE("{\"x\":[1,\"}\\\\\"]}"));
    assert_true(json_walk_member(&w, &key, &value));
    assert_slices(key, SLICE("b\\\"c"));
    assert_slices(value, SLICE("\"y\\\\\""));
    assert_true(json_walk_member(&w, &key, &value));
    assert_slices(value, SLICE("-1.5e3"));
    assert_false(json_walk_member(&w, &key, &value));
    w = json_walk_begin(SLICE("[ null,[],\n\"]\" ]"));
    assert_true(json_walk_element(&w, &value));
    assert_slices(value, SLICE("null"));
    assert_true(json_walk_element(&w, &value));
    assert_slices(value, SLICE("[]"));
    assert_true(json_walk_element(&w, &value));
    assert_slices(value, SLICE("\"]\""));
    assert_false(json_walk_element(&w, &value));
}

/* On text that no parser accepted, walks end, and stay inside. */
static void any_text_is_survived(void **state) {
    (void)state;
    struct slice all = SLICE("{\"a\":[1,{\"b\":\"\\\"\"},:,,]}\"\\\\\"[}{\"");
    for (size_t from = 0; from < all.len; from++) {
        for (size_t n = 0; n <= all.len - from; n++) {
            char *copy = malloc(n ? n : 1);
            memcpy(copy, all.ptr + from, n);
            struct json_walk w = json_walk_begin(slice_make(copy, n)), v = w;
            struct slice key, value;
            unsigned steps = 0;
            while (json_walk_member(&w, &key, &value))
                assert_true(++steps < 100 && value.ptr + value.len <= copy + n);
            while (json_walk_element(&v, &value))
                assert_true(++steps < 100 && value.ptr + value.len <= copy + n);
            free(copy);
        }
    }
}

static void whole_numbers_are_read(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        int64_t value;
    } rows[] = {{"0", true, 0},
                {"-7", true, -7},
                {"9223372036854775807", true, INT64_MAX},
                {"12.0", true, 12},
                {"1e3", true, 1000},
                {"1.5", false, 0},
                {"1e300", false, 0},
                {"\"1\"", false, 0},
                {"null", false, 0},
                {"", false, 0},
                {"99999999999999999999", false, 0},
                {"true", false, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t n = 0;
        assert_int_equal(json_text_int(slice_cstr(rows[i].text), &n), rows[i].ok);
        assert_int_equal(n, rows[i].value);
    }
}

static void types_are_named(void **state) {
    (void)state;
    assert_string_equal(json_text_type(SLICE("\"\"")), "a string");
    assert_string_equal(json_text_type(SLICE("{}")), "an object");
    assert_string_equal(json_text_type(SLICE("[]")), "an array");
    assert_string_equal(json_text_type(SLICE("null")), "null");
    assert_string_equal(json_text_type(SLICE("false")), "a boolean");
    assert_string_equal(json_text_type(SLICE("-12")), "an integer");
    assert_string_equal(json_text_type(SLICE("1E2")), "a decimal number");
}

static void strings_are_decoded_where_needed(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct slice plain = SLICE("\"abc\"");
    assert_ptr_equal(json_text_string(plain, a).ptr, plain.ptr + 1);
    assert_slices(json_text_string(SLICE("\"a\\n\\u00e9\""), a), SLICE("a\n\xc3\xa9"));
    assert_slices(json_text_string(SLICE("\"\""), a), SLICE(""));
    assert_non_null(json_text_string(SLICE("\"\""), a).ptr);
    assert_null(json_text_string(SLICE("7"), a).ptr);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_and_elements_are_walked),  cmocka_unit_test(any_text_is_survived),
        cmocka_unit_test(whole_numbers_are_read),           cmocka_unit_test(types_are_named),
        cmocka_unit_test(strings_are_decoded_where_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
