/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "config/suggest.h"
#include "config/value.h"

static void test_bytes(void **state) {
    static const struct {
        const char *text;
        uint64_t bytes;
        const char *again;
    } good[] = {
        {"0", 0, "0"},          {"100", 100, "100"},      {"64KiB", 65536, "64KiB"},
        {"64kib", 65536, "64KiB"}, {"16MB", 16000000, "16MB"}, {"1 GiB", 1 << 30, "1GiB"},
        {"1024KiB", 1 << 20, "1MiB"}, {"7B", 7, "7"},     {"1536", 1536, "1536"},
    };
    static const char *const bad[] = {"",    "KiB", "-1", "1.5MB", "1XB", "1  KB", "1 ",
                                      "1 K", "18446744073709551616", "17179869184GiB", "0x10"};
    char text[VALUE_TEXT_BYTES];
    uint64_t bytes;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(value_parse_bytes(slice_cstr(good[i].text), &bytes));
        assert_true(bytes == good[i].bytes);
        assert_string_equal(value_format_bytes(bytes, text), good[i].again);
        assert_true(value_parse_bytes(slice_cstr(text), &bytes) && bytes == good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (value_parse_bytes(slice_cstr(bad[i]), &bytes)) fail_msg("accepted: %s", bad[i]);
    }
}

static void test_durations(void **state) {
    static const struct {
        const char *text;
        int64_t ns;
        const char *again;
    } good[] = {
        {"0", 0, "0"},
        {"0s", 0, "0"},
        {"10s", 10 * NS_PER_S, "10s"},
        {"500ms", 500 * NS_PER_MS, "500ms"},
        {"1h30m", 5400 * NS_PER_S, "1h30m"},
        {"1.5s", 1500 * NS_PER_MS, "1s500ms"},
        {"0.000001s", NS_PER_US, "1us"},
        {"90s", 90 * NS_PER_S, "1m30s"},
        {"1d1us", 86400 * NS_PER_S + NS_PER_US, "1d1us"},
    };
    static const char *const bad[] = {"",     "10",  "s",     "10 s",    "-1s",  "1.s", ".5s",
                                      "30m1h", "1s1s", "1ms1s", "1week", "1e3s", "9223372037s",
                                      "99999999999999999999s", "1.1234567890s"};
    char text[VALUE_TEXT_BYTES];
    int64_t ns;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(value_parse_duration(slice_cstr(good[i].text), &ns));
        assert_true(ns == good[i].ns);
        assert_string_equal(value_format_duration(ns, text), good[i].again);
        assert_true(value_parse_duration(slice_cstr(text), &ns) && ns == good[i].ns);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (value_parse_duration(slice_cstr(bad[i]), &ns)) fail_msg("accepted: %s", bad[i]);
    }
}

static void test_bools(void **state) {
    bool value = false;
    (void)state;
    assert_true(value_parse_bool(SLICE("true"), &value) && value);
    assert_true(value_parse_bool(SLICE("Off"), &value) && !value);
    assert_true(value_parse_bool(SLICE("yes"), &value) && value);
    assert_false(value_parse_bool(SLICE("1"), &value));
    assert_false(value_parse_bool(SLICE(""), &value));
}

static const char *nearest(const char *word) {
    static const char *const words[] = {"listen", "workers", "log", "base_url", "api_key"};
    struct suggestion s;
    suggestion_init(&s, slice_cstr(word));
    for (size_t i = 0; i < 5; i++) suggestion_offer(&s, slice_cstr(words[i]));
    return s.nearest.ptr;
}

static void test_suggestions(void **state) {
    char long_word[200];
    (void)state;
    assert_string_equal(nearest("lisen"), "listen");
    assert_string_equal(nearest("wrokers"), "workers");
    assert_string_equal(nearest("base-url"), "base_url");
    assert_string_equal(nearest("bas_url"), "base_url");
    assert_string_equal(nearest("APIKEY"), "api_key");
    assert_string_equal(nearest("lg"), "log");
    assert_null(nearest("database"));
    assert_null(nearest(""));
    memset(long_word, 'x', sizeof long_word - 1);
    long_word[sizeof long_word - 1] = '\0';
    assert_null(nearest(long_word));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_bools),
        cmocka_unit_test(test_suggestions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
