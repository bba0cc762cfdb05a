/* SPDX-License-Identifier: Apache-2.0 */
/* Base URLs, keys and headers of a client: what is sent, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/target.h"

static void test_targets(void **state) {
    static const char *const headers[] = {"X-One: 1 ", "x-two:2"};
    static const char *const bad[] = {"no colon", ": empty", "x-a: b\r\nc: d"};
    struct client_target t;
    struct err e;
    struct client_target_options o = {.base_url = "http://127.0.0.1:8080/v1", .api_key = "k", .headers = headers, .n_headers = 2};
    (void)state;
    assert_int_equal(client_target_init(&t, &o, &e), 0);
    assert_true(slice_eq(t.path, SLICE("/v1/chat/completions")));
    assert_true(slice_eq(t.origin.scheme_host, SLICE("127.0.0.1:8080")));
    const struct http_headers h = {t.headers, t.n_headers};
    assert_true(slice_eq(http_headers_get(&h, SLICE("authorization")), SLICE("Bearer k")));
    assert_true(slice_eq(http_headers_get(&h, SLICE("x-one")), SLICE("1")));
    assert_true(slice_eq(http_headers_get(&h, SLICE("x-two")), SLICE("2")));
    client_target_dispose(&t);
    o.api_key = "with\nnewline";
    assert_int_equal(client_target_init(&t, &o, &e), -ERR_USAGE);
    assert_null(strstr(e.text, "newline"));     /* keys are in no message */
    o.api_key = NULL;
    o.n_headers = 1;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        o.headers = &bad[i];
        assert_int_equal(client_target_init(&t, &o, &e), -ERR_USAGE);
    }
    o.n_headers = 0;
    o.base_url = "ftp://x";
    assert_true(client_target_init(&t, &o, &e) < 0);
}

static void check_path(const struct dialect *d, const char *base_url, const char *path) {
    const struct client_target_options o = {.base_url = base_url, .dialect = d};
    struct client_target t;
    struct err e;
    assert_int_equal(client_target_init(&t, &o, &e), 0);
    assert_true(slice_eq(t.path, slice_cstr(path)));
    client_target_dispose(&t);
}

static void test_dialects(void **state) {
    const struct client_target_options o = {
        .base_url = "http://h/v1", .dialect = &dialect_messages, .api_key = "k"};
    struct client_target t;
    struct err e;
    (void)state;
    check_path(&dialect_responses, "http://h/v1", "/v1/responses");
    check_path(&dialect_completions, "http://h/v1/", "/v1/completions");
    check_path(&dialect_messages, "http://h/v1", "/v1/messages");     /* never /v1/v1 */
    check_path(&dialect_messages, "http://h", "/v1/messages");
    check_path(&dialect_messages, "http://h/proxy", "/proxy/v1/messages");
    assert_int_equal(client_target_init(&t, &o, &e), 0);
    const struct http_headers h = {t.headers, t.n_headers};
    assert_true(slice_eq(http_headers_get(&h, SLICE("x-api-key")), SLICE("k")));
    assert_true(slice_eq(http_headers_get(&h, SLICE("anthropic-version")), SLICE("2023-06-01")));
    assert_null(http_headers_get(&h, SLICE("authorization")).ptr);
    client_target_dispose(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_dialects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
