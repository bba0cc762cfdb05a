/* SPDX-License-Identifier: Apache-2.0 */
/* Where the patterns cut, and the classes of code points that they go by. Needs no data. */
#include "token_test.h"

#include "token/pretoken.h"

static struct pretokenizer patterns[2];

static int set_up(void **state) {
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        patterns[i] = (struct pretokenizer){.map = class_map_get(), .is_cl100k = i};
    }
    return 0;
}

/* wanted: pre-tokens with bars between. */
static void check(unsigned pattern, const char *text, const char *wanted) {
    char got[400] = "";
    for (struct slice s = slice_cstr(text); s.len > 0;) {
        bool is_sure;
        size_t len = pretoken_len(&patterns[pattern], s, true, &is_sure);
        assert_true(is_sure && len > 0 && len <= s.len);
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%.*s", *got ? "|" : "", (int)len,
                 s.ptr);
        s = slice_from(s, len);
    }
    assert_string_equal(got, wanted);
}

static void both(const char *text, const char *wanted) {
    check(0, text, wanted);
    check(1, text, wanted);
}

static void test_words(void **state) {
    (void)state;
    both("Hello, big world!", "Hello|,| big| world|!");
    both("(word) -word_word", "(word|)| -|word|_word");
    both("\tfoo\t\tbar", "\tfoo|\t|\tbar");
    check(0, "camelCaseHTTPServer ABC", "camel|Case|HTTPServer| ABC");
    check(1, "camelCaseHTTPServer ABC", "camelCaseHTTPServer| ABC");
    check(0, "\xe4\xb8\xad" "A\xe4\xb8\xad" "AB", "\xe4\xb8\xad" "A\xe4\xb8\xad|AB");
    check(1, "\xe4\xb8\xad" "A", "\xe4\xb8\xad" "A");
    check(0, "e\xcc\x81t \xcc\x81X", "e\xcc\x81t| \xcc\x81|X");
    check(1, "e\xcc\x81t \xcc\x81X", "e|\xcc\x81t| \xcc\x81|X");
    check(0, "\n\xcc\x81" "AB", "\n|\xcc\x81|AB");
    check(1, "\n\xcc\x81" "AB", "\n|\xcc\x81" "AB");
}

static void test_contractions(void **state) {
    (void)state;
    check(0, "it's WE'LL don'T x'y 's", "it's| WE'LL| don'T| x|'y| '|s");
    check(1, "it's WE'LL don'T x'y 's", "it|'s| WE|'LL| don|'T| x|'y| '|s");
    check(0, "he'\xc5\xbft", "he'\xc5\xbf|t");
    check(1, "he'\xc5\xbft", "he|'\xc5\xbf|t");
    check(0, "a'r a'l a're", "a|'r| a|'l| a're");
    check(1, "'sun 'rex", "'s|un| '|rex");
}

static void test_numbers_and_marks(void **state) {
    (void)state;
    both("1234567 12", "123|456|7| |12");
    both("x=-1;\ny", "x|=-|1|;\n|y");
    check(0, "a//b/\n/c ?/\r\n", "a|//|b|/\n/|c| ?/\r\n");
    check(1, "a//\n/c", "a|//\n|/c");
    both("!a", "!a");
    both("!!a", "!!|a");
    both("\xff\x80z", "\xff\x80|z");
    both("z\xff", "z|\xff");
}

static void test_white_space(void **state) {
    (void)state;
    both("a  b", "a| | b");
    both("a   \n  \n  b", "a|   \n  \n| | b");
    both("a ", "a| ");
    check(0, "a\n  ", "a|\n|  ");
    check(1, "a\n  ", "a|\n  ");
    check(0, "\xe3\x80\x80\xc2\xa0" "a", "\xe3\x80\x80|\xc2\xa0" "a");
    both("\xe3\x80\x80\xc2\xa0" "1", "\xe3\x80\x80|\xc2\xa0|1");
}

static bool is_sure_of(unsigned pattern, const char *text) {
    bool is_sure;
    pretoken_len(&patterns[pattern], slice_cstr(text), false, &is_sure);
    return is_sure;
}

static void test_what_may_go_on_is_not_sure(void **state) {
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        assert_false(is_sure_of(i, "word"));
        assert_true(is_sure_of(i, "word "));
        assert_false(is_sure_of(i, "  "));
        assert_true(is_sure_of(i, "  x"));
        assert_false(is_sure_of(i, "!\n"));
        assert_false(is_sure_of(i, "12"));
        assert_true(is_sure_of(i, "123"));
        assert_false(is_sure_of(i, "a\xc3"));
        assert_false(is_sure_of(i, "\xf0\x9f"));
    }
    assert_false(is_sure_of(0, "it'"));
    assert_false(is_sure_of(0, "it'r"));
    assert_true(is_sure_of(0, "it'x"));
    assert_true(is_sure_of(1, "it'"));
}

static void test_classes(void **state) {
    static const struct {
        uint32_t code;
        enum class class;
    } rows[] = {
        {0, CLASS_OTHER}, {' ', CLASS_SPACE}, {0x85, CLASS_SPACE}, {'0', CLASS_NUMBER},
        {'A', CLASS_UPPER}, {'z', CLASS_LOWER}, {0xaa, CLASS_LETTER}, {0x100, CLASS_UPPER},
        {0x101, CLASS_LOWER}, {0x1c5, CLASS_UPPER}, {0x2b0, CLASS_LETTER}, {0x301, CLASS_MARK},
        {0x4e2d, CLASS_LETTER}, {0x9fff, CLASS_LETTER}, {0xfeff, CLASS_OTHER},
        {0x200b, CLASS_OTHER}, {0x2028, CLASS_SPACE}, {0x3000, CLASS_SPACE}, {0x1f600, CLASS_OTHER},
        {0x20000, CLASS_LETTER}, {0xe0100, CLASS_MARK}, {0x10ffff, CLASS_OTHER},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(class_of(class_map_get(), rows[i].code), rows[i].class);
    }
    /* Unicode 16.0's numbers of code points. */
    static const unsigned wanted[] = {[CLASS_UPPER] = 1858 + 31, [CLASS_LOWER] = 2258,
                                      [CLASS_LETTER] = 404 + 136477, [CLASS_MARK] = 2501,
                                      [CLASS_NUMBER] = 1911, [CLASS_SPACE] = 25};
    unsigned n[CLASS_END] = {0};
    for (uint32_t code = 0; code <= 0x10ffff; code++) n[class_of(class_map_get(), code)]++;
    for (unsigned i = CLASS_UPPER; i <= CLASS_SPACE; i++) assert_int_equal(n[i], wanted[i]);
}

/* The same sequences as everywhere else are UTF-8. */
static void test_code_points(void **state) {
    (void)state;
    struct rng r;
    rng_seed(&r, 3);
    for (unsigned round = 0; round < 200000; round++) {
        char bytes[4];
        for (unsigned i = 0; i < 4; i++) {
            bytes[i] = (char)(rng_below(&r, 3) ? 0x80 + rng_below(&r, 128) : rng_below(&r, 256));
        }
        size_t len = code_point_len(slice_make(bytes, 4));
        assert_in_range(len, 1, 4);
        bool is_valid = slice_utf8_valid(slice_make(bytes, len)) == len;
        assert_true(is_valid || len == 1);
        for (size_t longer = len + 1; longer <= 4 && !is_valid; longer++) {
            assert_int_not_equal(slice_utf8_valid(slice_make(bytes, longer)), longer);
        }
    }
    assert_int_equal(code_point_len(SLICE("\xf0\x9f\x98")), 0);
    assert_int_equal(code_point_len(SLICE_NULL), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_contractions),
        cmocka_unit_test(test_numbers_and_marks),
        cmocka_unit_test(test_white_space),
        cmocka_unit_test(test_what_may_go_on_is_not_sure),
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_code_points),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
