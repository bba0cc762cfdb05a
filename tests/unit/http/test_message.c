/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/message.h"

static const struct http_header items[] = {
    {{"Accept", 6}, {"a", 1}},
    {{"Connection", 10}, {"keep-alive , X-Mine", 19}},
    {{"ACCEPT", 6}, {"b", 1}},
    {{"X-Empty", 7}, {"", 0}},
    {{"connection", 10}, {",,\tclose", 8}},
};
static const struct http_headers headers = {items, sizeof items / sizeof items[0]};

static void test_get_and_count(void **state) {
    (void)state;
    assert_true(slice_eq(http_headers_get(&headers, SLICE("accept")), SLICE("a")));
    assert_int_equal(http_headers_count(&headers, SLICE("accept")), 2);
    assert_null(http_headers_get(&headers, SLICE("accep")).ptr);
    assert_int_equal(http_headers_count(&headers, SLICE("accep")), 0);
    const struct slice empty = http_headers_get(&headers, SLICE("x-empty"));
    assert_non_null(empty.ptr);
    assert_int_equal(empty.len, 0);
    const struct http_headers none = {NULL, 0};
    assert_null(http_headers_get(&none, SLICE("a")).ptr);
}

static void test_has_token(void **state) {
    (void)state;
    assert_true(http_headers_has_token(&headers, SLICE("connection"), SLICE("Keep-Alive")));
    assert_true(http_headers_has_token(&headers, SLICE("connection"), SLICE("x-mine")));
    assert_true(http_headers_has_token(&headers, SLICE("connection"), SLICE("close")));
    assert_false(http_headers_has_token(&headers, SLICE("connection"), SLICE("clos")));
    assert_false(http_headers_has_token(&headers, SLICE("connection"), SLICE("keep")));
    assert_false(http_headers_has_token(&headers, SLICE("upgrade"), SLICE("close")));
}

static void test_hop_by_hop(void **state) {
    (void)state;
    static const char *const hop[] = {"Connection", "keep-alive", "proxy-connection", "TE", "trailer", "Transfer-Encoding",
                                      "upgrade", "proxy-authenticate", "proxy-authorization", "x-mine"};
    static const char *const end[] = {"authorization", "content-type", "content-length", "host", "x-mine2", "t"};
    for (unsigned i = 0; i < sizeof hop / sizeof hop[0]; i++)
        assert_true(http_header_is_hop_by_hop(&headers, slice_cstr(hop[i])));
    for (unsigned i = 0; i < sizeof end / sizeof end[0]; i++)
        assert_false(http_header_is_hop_by_hop(&headers, slice_cstr(end[i])));
}

static void test_is_valid(void **state) {
    (void)state;
    assert_true(http_header_is_valid(SLICE("x-A!#$%&'*+-.^_`|~09z"), SLICE("any \t thing \xff")));
    assert_true(http_header_is_valid(SLICE("x"), SLICE("")));
    assert_false(http_header_is_valid(SLICE(""), SLICE("a")));
    static const char bad_in_names[] = " \t:;,/\\\"()[]{}<>=?@\r\n\x7f\x80\xff";
    for (unsigned i = 0; i < sizeof bad_in_names; i++) { /* the closing NUL as well */
        const char name[] = {'x', bad_in_names[i], 'y'};
        assert_false(http_header_is_valid(slice_make(name, 3), SLICE("a")));
    }
    assert_false(http_header_is_valid(SLICE("x"), SLICE("a\r")));
    assert_false(http_header_is_valid(SLICE("x"), SLICE("\na")));
    assert_false(http_header_is_valid(SLICE("x"), SLICE("a\0b")));
}

static void test_names(void **state) {
    (void)state;
    assert_string_equal(http_method_name(HTTP_METHOD_GET), "GET");
    assert_string_equal(http_method_name(HTTP_METHOD_PATCH), "PATCH");
    assert_string_equal(http_method_name(HTTP_METHOD_OTHER), "OTHER");
    assert_string_equal(http_method_name((enum http_method)99), "OTHER");
    assert_string_equal(http_status_text(200), "OK");
    assert_string_equal(http_status_text(429), "Too Many Requests");
    assert_string_equal(http_status_text(529), "Overloaded");
    assert_string_equal(http_status_text(299), "Unknown");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get_and_count), cmocka_unit_test(test_has_token),
        cmocka_unit_test(test_hop_by_hop),    cmocka_unit_test(test_is_valid),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
