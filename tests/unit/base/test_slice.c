/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/slice.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void test_parts(void **state) {
    (void)state;
    struct slice s = SLICE("hello");
    assert_true(slice_eq(slice_from(s, 2), SLICE("llo")));
    assert_true(slice_is_empty(slice_from(s, 99)));
    assert_true(slice_eq(slice_sub(s, 1, 3), SLICE("ell")));
    assert_true(slice_eq(slice_sub(s, 3, 99), SLICE("lo")));
    assert_true(slice_starts_with(s, SLICE_NULL));
    assert_false(slice_starts_with(s, SLICE("hello!")));
    assert_true(slice_eq(SLICE_NULL, SLICE("")));
    assert_true(slice_is_empty(slice_cstr(NULL)));
    assert_int_equal(slice_index(s, 'l'), 2);
    assert_int_equal(slice_index(s, 'x'), -1);
    assert_int_equal(slice_index(SLICE_NULL, 'x'), -1);
}

static void test_nocase_and_trim(void **state) {
    (void)state;
    assert_true(slice_eq_nocase(SLICE("Content-Type"), SLICE("cONTENT-tYPE")));
    assert_false(slice_eq_nocase(SLICE("@[`{"), SLICE("`{@[")));
    assert_false(slice_eq_nocase(SLICE("\xc3\x84"), SLICE("\xc3\xa4")));
    assert_false(slice_eq_nocase(SLICE("a"), SLICE("ab")));
    assert_true(slice_eq(slice_trim(SLICE(" \t a b\t ")), SLICE("a b")));
    assert_true(slice_eq(slice_trim(SLICE("\ra\n")), SLICE("\ra\n")));
    assert_true(slice_is_empty(slice_trim(SLICE(" \t "))));
    assert_true(slice_is_empty(slice_trim(SLICE_NULL)));
}

static void test_to_u64(void **state) {
    (void)state;
    uint64_t v = 77;
    assert_true(slice_to_u64(SLICE("18446744073709551615"), UINT64_MAX, &v));
    assert_true(v == UINT64_MAX);
    v = 77;
    assert_false(slice_to_u64(SLICE("18446744073709551616"), UINT64_MAX, &v));
    assert_false(slice_to_u64(SLICE("99999999999999999999999"), UINT64_MAX, &v));
    assert_false(slice_to_u64(SLICE(""), 9, &v));
    assert_false(slice_to_u64(SLICE("+1"), 9, &v));
    assert_false(slice_to_u64(SLICE("-1"), 9, &v));
    assert_false(slice_to_u64(SLICE("1 "), 9, &v));
    assert_false(slice_to_u64(SLICE("1a"), 99, &v));
    assert_false(slice_to_u64(SLICE("10"), 9, &v));
    assert_int_equal(v, 77);
    assert_true(slice_to_u64(SLICE("0009"), 9, &v));
    assert_int_equal(v, 9);
    assert_true(slice_to_u64(SLICE("0"), 0, &v));
    assert_int_equal(v, 0);
}

static void test_glob(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool hit;
    } rows[] = {
        {"", "", true},
        {"", "a", false},
        {"a", "", false},
        {"*", "", true},
        {"***", "anything", true},
        {"?", "", false},
        {"?", "a", true},
        {"??", "a", false},
        {"gpt-*", "gpt-4o", true},
        {"gpt-*", "gpt-", true},
        {"gpt-*", "xgpt-4", false},
        {"*-mini", "gpt-4o-mini", true},
        {"*-mini", "gpt-4o-mini-x", false},
        {"a*b*c", "aXbYbZc", true},
        {"a*b*c", "aXcYb", false},
        {"*ab", "aab", true},
        {"a?c", "abc", true},
        {"[a-z]x", "qx", true},
        {"[a-z]x", "Qx", false},
        {"[!a-z]x", "Qx", true},
        {"[!a-z]x", "qx", false},
        {"[abc]", "b", true},
        {"[abc]", "", false},
        {"[]]", "]", true},
        {"[!]]", "]", false},
        {"[!]]", "a", true},
        {"[a-]", "-", true},
        {"[-a]", "-", true},
        {"[a\\]b]", "]", true},
        {"[\\!a]", "!", true},
        {"[z-a]", "m", false},
        {"[\x80-\xff]", "\xc3", true},
        {"*[0-9]", "model-7", true},
        {"*[0-9]*[0-9]", "m7x", false},
        {"[abc", "[abc", true},
        {"[abc", "a", false},
        {"*[", "x[", true},
        {"[", "[", true},
        {"[]", "[]", true},
        {"\\*", "*", true},
        {"\\*", "x", false},
        {"\\[a]", "[a]", true},
        {"\\\\", "\\", true},
        {"a\\", "a\\", true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        bool hit = slice_glob(slice_cstr(rows[i].pattern), slice_cstr(rows[i].text));
        if (hit != rows[i].hit) fail_msg("'%s' against '%s'", rows[i].pattern, rows[i].text);
    }
}

/* The obvious definition, exponential, for short inputs of '*', '?' and letters. */
static bool glob_model(const char *p, const char *t) {
    if (*p == '\0') return *t == '\0';
    if (*p == '*') return glob_model(p + 1, t) || (*t != '\0' && glob_model(p, t + 1));
    return *t != '\0' && (*p == '?' || *p == *t) && glob_model(p + 1, t + 1);
}

static void test_glob_against_model(void **state) {
    (void)state;
    struct rng r;
    unsigned hits = 0;
    rng_seed(&r, 11);
    for (int i = 0; i < 20000; i++) {
        char p[9] = {0}, t[9] = {0};
        for (uint64_t n = rng_below(&r, 9), j = 0; j < n; j++) p[j] = "ab*?"[rng_below(&r, 4)];
        for (uint64_t n = rng_below(&r, 9), j = 0; j < n; j++) t[j] = "ab"[rng_below(&r, 2)];
        bool want = glob_model(p, t);
        hits += want;
        if (slice_glob(slice_cstr(p), slice_cstr(t)) != want) fail_msg("'%s' against '%s'", p, t);
    }
    assert_in_range(hits, 1000, 19000);
}

/* Would run until the end of time if matching branched at each star, or rescanned open classes. */
static void test_glob_pathological(void **state) {
    (void)state;
    enum { N = 4000 };
    char *pattern = mem_alloc(2 * N), *text = mem_alloc(N);
    memset(text, 'a', N);
    for (size_t i = 0; i < N; i++) memcpy(pattern + 2 * i, "*a", 2);
    assert_true(slice_glob(slice_make(pattern, 2 * N), slice_make(text, N)));
    pattern[2 * N - 1] = 'b';
    assert_false(slice_glob(slice_make(pattern, 2 * N), slice_make(text, N)));
    memset(text, '[', N);
    memset(pattern, '[', N);
    pattern[0] = '*';
    pattern[N - 1] = 'x';
    assert_false(slice_glob(slice_make(pattern, N), slice_make(text, N)));
    pattern[N - 1] = '[';
    assert_true(slice_glob(slice_make(pattern, N), slice_make(text, N)));
    mem_free(pattern);
    mem_free(text);
}

/* Unicode 15, table 3-7: each row's ranges at their borders, and one step beyond. */
static void test_utf8_vectors(void **state) {
    (void)state;
    static const char *const good[] = {
        "\x7f",
        "\xc2\x80",
        "\xdf\xbf",
        "\xe0\xa0\x80",
        "\xe0\xbf\xbf",
        "\xe1\x80\x80",
        "\xec\xbf\xbf",
        "\xed\x80\x80",
        "\xed\x9f\xbf",
        "\xee\x80\x80",
        "\xef\xbf\xbf",
        "\xf0\x90\x80\x80",
        "\xf0\xbf\xbf\xbf",
        "\xf1\x80\x80\x80",
        "\xf3\xbf\xbf\xbf",
        "\xf4\x80\x80\x80",
        "\xf4\x8f\xbf\xbf",
    };
    static const char *const bad[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc0\xaf",
        "\xc1\xbf",
        "\xc2\x7f",
        "\xc2\xc0",
        "\xdf\xc0",
        "\xe0\x80\x80",
        "\xe0\x9f\xbf",
        "\xe0\xc0\x80",
        "\xe1\x80\x7f",
        "\xe1\x7f\x80",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xef\xbf\xc0",
        "\xf0\x80\x80\x80",
        "\xf0\x8f\xbf\xbf",
        "\xf0\x90\x80\x7f",
        "\xf0\x90\x7f\x80",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xf8\x88\x80\x80\x80",
        "\xfe",
        "\xff",
        "\xc2",
        "\xe1\x80",
        "\xf1\x80\x80",
        "\xf1\x80",
        "\xe1",
        "\xf1",
    };
    for (size_t pad = 0; pad < 40; pad++) {
        for (size_t i = 0; i < COUNT(good) + COUNT(bad); i++) {
            const char *seq = i < COUNT(good) ? good[i] : bad[i - COUNT(good)];
            size_t n = strlen(seq);
            char *text = mem_alloc(pad + n); /* exact, so that ASan sees a byte too far */
            memset(text, 'x', pad);
            memcpy(text + pad, seq, n);
            size_t want = i < COUNT(good) ? pad + n : pad;
            if (slice_utf8_valid(slice_make(text, pad + n)) != want) fail_msg("%zu at %zu", i, pad);
            mem_free(text);
        }
    }
    assert_int_equal(slice_utf8_valid(SLICE_NULL), 0);
    assert_int_equal(slice_utf8_valid(SLICE("a\0b")), 3);
}

static size_t utf8_encode(uint32_t c, char out[4]) {
    if (c < 0x80) return out[0] = (char)c, 1;
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; c >>= 6) out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)((0xf00u >> n & 0xffu) | c);
    return n;
}

static void test_utf8_every_code_point(void **state) {
    (void)state;
    for (uint32_t c = 0; c < 0x110400; c++) {
        char text[4] = {0};
        size_t n = utf8_encode(c, text);
        bool good = c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff);
        if (slice_utf8_valid(slice_make(text, n)) != (good ? n : 0)) fail_msg("U+%04X", c);
        for (size_t cut = 1; cut < n; cut++) {
            if (slice_utf8_valid(slice_make(text, cut)) != 0) fail_msg("U+%04X cut", c);
        }
    }
}

/* The offset is the first bad byte's, wherever it lies among words of ASCII. */
static void test_utf8_offset(void **state) {
    (void)state;
    char text[100];
    for (size_t at = 0; at < sizeof text; at++) {
        memset(text, 'a', sizeof text);
        text[at] = (char)0xff;
        assert_int_equal(slice_utf8_valid(slice_make(text, sizeof text)), at);
    }
}

static void test_err(void **state) {
    (void)state;
    struct err e = {0};
    assert_int_equal(err_set(&e, ERR_LIMIT, "body over %d bytes", 10), -ERR_LIMIT);
    assert_string_equal(e.text, "body over 10 bytes");
    assert_int_equal(err_set(&e, ERR_USAGE, "config: %s", e.text), -ERR_USAGE);
    assert_string_equal(e.text, "config: body over 10 bytes");
    assert_int_equal(err_set_os(&e, ERR_IO, 2, "open x"), -ERR_IO);
    assert_string_equal(e.text, "open x: No such file or directory");
    assert_int_equal(e.os_errno, 2);
    assert_int_equal(err_set(NULL, ERR_DNS, "x"), -ERR_DNS);
    err_set(&e, ERR_PROTOCOL, "got '%s'\n", "a\r\nb\x1b\xff");
    assert_string_equal(e.text, "got 'a  b ?'");
    for (int i = 0; i < ERR_KIND_COUNT; i++) assert_non_null(err_kind_name((enum err_kind)i));
    assert_string_equal(err_kind_name(ERR_LIMIT), "limit");
}

/* A text that is too long is cut between characters. */
static void test_err_cut(void **state) {
    (void)state;
    struct err e;
    for (int pad = ERR_TEXT_BYTES - 12; pad < ERR_TEXT_BYTES + 2; pad++) {
        err_set(&e, ERR_USAGE, "%0*d%s", pad, 7, "\xf0\x9f\x98\x80\xe2\x82\xac\xc3\xa4");
        size_t len = strlen(e.text);
        assert_true(len < ERR_TEXT_BYTES);
        assert_int_equal(slice_utf8_valid(slice_make(e.text, len)), len);
        assert_int_not_equal(e.text[len - 1], '?');
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_nocase_and_trim),
        cmocka_unit_test(test_to_u64),
        cmocka_unit_test(test_glob),
        cmocka_unit_test(test_glob_against_model),
        cmocka_unit_test(test_glob_pathological),
        cmocka_unit_test(test_utf8_vectors),
        cmocka_unit_test(test_utf8_every_code_point),
        cmocka_unit_test(test_utf8_offset),
        cmocka_unit_test(test_err),
        cmocka_unit_test(test_err_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
