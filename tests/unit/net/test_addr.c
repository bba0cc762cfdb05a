/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/addr.h"

static void check_parse(const char *text, const char *want) {
    struct addr a;
    struct err e = {0};
    char out[ADDR_TEXT_BYTES];
    if (addr_parse(slice_cstr(text), &a, &e) < 0) fail_msg("%s: %s", text, e.text);
    assert_string_equal(addr_text(&a, out), want);
}

static void test_parse(void **state) {
    (void)state;
    check_parse("127.0.0.1:8080", "127.0.0.1:8080");
    check_parse("10.1.2.3:0", "10.1.2.3:0");
    check_parse(":65535", "0.0.0.0:65535");
    check_parse("localhost:80", "127.0.0.1:80");
    check_parse("LocalHost:80", "127.0.0.1:80");
    check_parse("[::1]:8080", "[::1]:8080");
    check_parse("[::]:1", "[::]:1");
    check_parse("[::ffff:1.2.3.4]:1", "[::ffff:1.2.3.4]:1");
    check_parse("unix:/run/x.sock", "unix:/run/x.sock");
    check_parse("unix:relative", "unix:relative");
}

static void check_refused(const char *text, size_t len) {
    struct addr a;
    struct err e = {0};
    if (addr_parse(slice_make(text, len), &a, &e) != -ERR_USAGE) fail_msg("taken: %s", text);
    assert_int_equal(e.kind, ERR_USAGE);
    assert_true(strlen(e.text) > 10);
}

static void test_parse_refuses(void **state) {
    (void)state;
    static const char *const bad[] = {"",          "127.0.0.1",      "127.0.0.1:",     "127.0.0.1:65536", "127.0.0.1:-1",
                                      "1.2.3:80",  "::1:80",         "[::1]",          "[::1]80",         "[127.0.0.1]:80",
                                      "[::1:80",   "example.com:80", "127.0.0.1:80:1", "unix:",           "127.0.0.1:8x",
                                      "[]:80",     " 127.0.0.1:80",  "[::1%eth0]:80",  "127.0.0.1:+80"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) check_refused(bad[i], strlen(bad[i]));
    check_refused("unix:/a\0b", 9);
    check_refused("127.0.0.1\0:80", 13);
    char path[200] = "unix:";
    memset(path + 5, 'p', sizeof path - 6);
    check_refused(path, strlen(path));   /* sun_path has 108 */
}

static struct addr parsed(const char *text) {
    struct addr a;
    struct err e = {0};
    if (addr_parse(slice_cstr(text), &a, &e) < 0) fail_msg("%s: %s", text, e.text);
    return a;
}

static void test_longest_unix_path(void **state) {
    (void)state;
    char text[5 + 108] = "unix:", out[ADDR_TEXT_BYTES];
    memset(text + 5, 'p', 107);
    struct addr a = parsed(text);
    assert_string_equal(addr_text(&a, out), text);
}

static void test_literal(void **state) {
    (void)state;
    struct addr a;
    char out[ADDR_TEXT_BYTES];
    assert_true(addr_from_literal(SLICE("::1"), 9, &a));
    assert_string_equal(addr_text(&a, out), "[::1]:9");
    assert_true(addr_from_literal(SLICE("1.2.3.4"), 9, &a));
    assert_int_equal(addr_port(&a), 9);
    assert_false(addr_from_literal(SLICE("example.com"), 9, &a));
    assert_false(addr_from_literal(SLICE("[::1]"), 9, &a));
    assert_false(addr_from_literal(SLICE_NULL, 9, &a));
    assert_false(addr_from_literal(SLICE("1.2.3.4\0"), 9, &a));
}

static void test_questions(void **state) {
    (void)state;
    struct addr v4 = parsed("127.3.2.1:1"), v6 = parsed("[::1]:1"), mapped = parsed("[::ffff:127.3.2.1]:2");
    struct addr path = parsed("unix:/a");
    assert_true(addr_is_unix(&path));
    assert_false(addr_is_unix(&v4));
    assert_true(addr_same_host(&v4, &mapped));
    assert_false(addr_same_host(&v4, &v6));
    assert_false(addr_same_host(&v4, &path));
    struct addr other_port = v6, other_path = parsed("unix:/b"), same_path = parsed("unix:/a");
    addr_set_port(&other_port, 99);
    assert_int_equal(addr_port(&other_port), 99);
    assert_true(addr_same_host(&v6, &other_port));
    assert_false(addr_same_host(&path, &other_path));
    assert_true(addr_same_host(&path, &same_path));
    assert_int_equal(addr_port(&path), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_parse_refuses),
        cmocka_unit_test(test_longest_unix_path),
        cmocka_unit_test(test_literal),
        cmocka_unit_test(test_questions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
