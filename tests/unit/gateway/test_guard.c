/* SPDX-License-Identifier: Apache-2.0 */
/* Who may come in: Host, Origin and content type, as tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway/guard.c"

static struct config_listen listens[] = {
    {"127.0.0.1:8080", NULL, NULL}, {"unix:/run/penstock.sock", NULL, NULL}, {"[2001:db8::1]:8080", NULL, NULL}};
static const char *const hosts[] = {"Gateway.Example", NULL};
static const char *const origins[] = {"https://app.example", "https://app.example:8443", NULL};
static const char *const any_origin[] = {"*", NULL};
static const char *const none[] = {NULL};

static const struct config named = {
    .listen = listens, .n_listen = 3, .allowed = {hosts}, .cors = {origins}};
static const struct config open_cors = {.allowed = {none}, .cors = {any_origin}};

static void hosts_are_addresses_or_known_names(void **state) {
    (void)state;
    static const struct {
        const char *host;
        bool is_allowed;
    } rows[] = {
        {"127.0.0.1", true},
        {"127.0.0.1:8080", true},
        {"127.0.0.1:1", true},
        {"192.168.1.7:8080", true},      /* an address cannot be rebound */
        {"[::1]:8080", true},
        {"[::1]", true},
        {"[2001:DB8::1]:8080", true},
        {"localhost", true},
        {"LocalHost:8080", true},
        {"gateway.example", true},
        {"GATEWAY.EXAMPLE:443", true},
        {"localhost.", false},
        {"gateway.example.", false},
        {"localhost.evil.example", false},
        {"evil.localhost", false},
        {"evil.example", false},
        {"gateway.example.evil.example", false},
        {"127.0.0.1.evil.example", false},
        {"127.0.0.1.", false},
        {"127.1", false},
        {"2130706433", false},
        {"0x7f.0.0.1", false},
        {"[::1", false},
        {"[::1%25lo]:8080", false},
        {"[::1%lo]:8080", false},
        /* not a host that the parser lets in: only a name in odd clothes */
        {"[gateway.example]", true},
        {"[evil.example]", false},
        {"unix", false},                 /* the listener's scheme is no name */
        {":8080", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (host_is_allowed(&named, slice_cstr(rows[i].host)) != rows[i].is_allowed)
            fail_msg("host '%s' is %sallowed", rows[i].host, rows[i].is_allowed ? "not " : "");
}

static void origins_are_listed_or_our_own(void **state) {
    (void)state;
    static const struct {
        const char *origin, *host;
        bool is_listed, is_same;
    } rows[] = {
        {"https://app.example", "127.0.0.1:8080", true, false},
        {"HTTPS://APP.example", "127.0.0.1:8080", true, false},
        {"https://app.example:8443", "127.0.0.1:8080", true, false},
        {"http://app.example", "127.0.0.1:8080", false, false},
        {"https://app.example.evil.example", "127.0.0.1:8080", false, false},
        {"https://app.example:444", "127.0.0.1:8080", false, false},
        {"http://127.0.0.1:8080", "127.0.0.1:8080", false, true},
        {"https://localhost:8080", "LOCALHOST:8080", false, true},
        {"http://127.0.0.1:8081", "127.0.0.1:8080", false, false},
        {"http://127.0.0.1", "127.0.0.1:8080", false, false},
        {"http://localhost:8080", "127.0.0.1:8080", false, false},
        {"http://127.0.0.1:8080.evil.example", "127.0.0.1:8080", false, false},
        {"ftp://127.0.0.1:8080", "127.0.0.1:8080", false, false},
        {"127.0.0.1:8080", "127.0.0.1:8080", false, false},
        {"null", "127.0.0.1:8080", false, false},
        {"null", "null", false, false},
        {"", "127.0.0.1:8080", false, false},
        {"http://", "", false, false},
        {"", "", false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slice origin = slice_cstr(rows[i].origin), host = slice_cstr(rows[i].host);
        if (origin_is_listed(&named, origin) != rows[i].is_listed ||
            origin_is_same(origin, host) != rows[i].is_same)
            fail_msg("origin '%s' on host '%s'", rows[i].origin, rows[i].host);
        assert_true(origin_is_listed(&open_cors, origin));
    }
}

static void content_types_that_need_a_preflight(void **state) {
    (void)state;
    static const struct {
        const char *type;
        bool is_json;
    } rows[] = {
        {"application/json", true},
        {"Application/JSON; charset=utf-8", true},
        {"application/json ;x", true},
        {"application/problem+json", true},
        {"text/plain", false},
        {"text/plain; application/json", false},
        {"text/plain, application/json", false},
        {"application/x-www-form-urlencoded", false},
        {"multipart/form-data; boundary=application/json", false},
        {"application/jsonx", false},
        {"text/x+json", false},
        {"application/+json", false},
        {"application/", false},
        {"json", false},
        {";application/json", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (content_type_is_json(slice_cstr(rows[i].type)) != rows[i].is_json)
            fail_msg("content type '%s'", rows[i].type);
    assert_false(content_type_is_json(SLICE_NULL));
}

/* SDKs cancel with an empty POST that names no content type. */
static void empty_bodies_have_no_type(void **state) {
    (void)state;
    struct http_header empty = {SLICE("Content-Length"), SLICE("0")},
                       full = {SLICE("Content-Length"), SLICE("1")},
                       chunked = {SLICE("Transfer-Encoding"), SLICE("chunked")};
    struct http_exchange ex = {.headers = {&empty, 1}};
    assert_true(has_no_body(&ex, SLICE_NULL));
    assert_false(has_no_body(&ex, SLICE("text/plain")));
    assert_false(has_no_body(&ex, SLICE("")));
    ex.headers.items = &full;
    assert_false(has_no_body(&ex, SLICE_NULL));
    ex.headers.items = &chunked;
    assert_false(has_no_body(&ex, SLICE_NULL));
}

static struct http_exchange exchange_with(const struct http_header *origin) {
    return (struct http_exchange){.headers = {origin, origin != NULL}};
}

static void only_listed_origins_get_cors_headers(void **state) {
    (void)state;
    struct gateway g = {.config = &named};
    struct worker w = {.gateway = &g};
    struct http_header out[3];
    struct http_header listed = {SLICE("Origin"), SLICE("https://app.example")}, foreign = {SLICE("Origin"), SLICE("https://evil.example")};
    struct http_exchange ex = exchange_with(&listed);
    assert_int_equal(guard_cors_headers(&w, &ex, out), 3);
    assert_true(slice_eq(out[0].name, SLICE("access-control-allow-origin")) && slice_eq(out[0].value, listed.value));
    assert_true(slice_eq(out[2].name, SLICE("vary")));
    ex = exchange_with(&foreign);
    assert_int_equal(guard_cors_headers(&w, &ex, out), 0);
    ex = exchange_with(NULL);
    assert_int_equal(guard_cors_headers(&w, &ex, out), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_are_addresses_or_known_names),
        cmocka_unit_test(origins_are_listed_or_our_own),
        cmocka_unit_test(content_types_that_need_a_preflight),
        cmocka_unit_test(empty_bodies_have_no_type),
        cmocka_unit_test(only_listed_origins_get_cors_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
