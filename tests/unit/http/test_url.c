/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "http/url.h"

static void assert_slice(struct slice s, const char *expected) {
    assert_int_equal(s.len, strlen(expected));
    assert_memory_equal(s.ptr ? s.ptr : "", expected, s.len);
}

static void test_good(void **state) {
    (void)state;
    static const struct {
        const char *text, *host, *authority, *path, *unix_path;
        uint16_t port;
        bool is_tls;
    } rows[] = {
        {"https://api.example.com/v1", "api.example.com", "api.example.com", "/v1", "", 443, true},
        {"http://127.0.0.1:8000", "127.0.0.1", "127.0.0.1:8000", "", "", 8000, false},
        {"http://h/", "h", "h", "", "", 80, false},
        {"http://h:80/a/b///", "h", "h", "/a/b", "", 80, false},
        {"HTTPS://API.Example.COM:443", "api.example.com", "api.example.com", "", "", 443, true},
        {"https://h:80", "h", "h:80", "", "", 80, true},
        {"http://[::1]:9000/v1/", "::1", "[::1]:9000", "/v1", "", 9000, false},
        {"http://[FE80::1]", "fe80::1", "[fe80::1]", "", "", 80, false},
        {"http://my_host-1.internal/x%20y;z=1", "my_host-1.internal", "my_host-1.internal", "/x%20y;z=1", "", 80, false},
        {"http+unix://%2Frun%2Fx.sock/v1", "localhost", "localhost", "/v1", "/run/x.sock", 80, false},
        {"http+unix://%2ftmp%2Fa%20b", "localhost", "localhost", "", "/tmp/a b", 80, false},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena *a = arena_new();
        struct url u;
        struct err e;
        assert_int_equal(url_parse(slice_cstr(rows[i].text), a, &u, &e), 0);
        assert_slice(u.host, rows[i].host);
        assert_slice(u.authority, rows[i].authority);
        assert_slice(u.path, rows[i].path);
        assert_slice(u.unix_path, rows[i].unix_path);
        assert_int_equal(u.port, rows[i].port);
        assert_int_equal(u.is_tls, rows[i].is_tls);
        arena_free(a);
    }
}

static void test_bad(void **state) {
    (void)state;
    static const struct {
        const char *text, *fault;
    } rows[] = {
        {"", "empty"},
        {"api.example.com", "no scheme"},
        {"http:/h", "no scheme"},
        {"://h", "scheme"},
        {"ftp://h", "scheme"},
        {"http://", "no host"},
        {"http:///v1", "no host"},
        {"http://:80", "no host"},
        {"http://user:secret@h/", "password"},
        {"http://h/?a=b", "query"},
        {"http://h/#a", "fragment"},
        {"http://h/a b", "space"},
        {"http://h/\xc3\xa9", "ASCII"},
        {"http://h/\n", "control"},
        {"http://h:", "port"},
        {"http://h:0", "port"},
        {"http://h:65536", "port"},
        {"http://h:80x", "port"},
        {"http://h:80:90", "port"},
        {"http://[::1", "']'"},
        {"http://[::1]x", "']'"},
        {"http://[]", "IPv6"},
        {"http://[1.2.3.4]", "IPv6"},
        {"http://[fe80::1%25eth0]", "IPv6"},
        {"http://::1/", "no host"},
        {"http://h%20/", "host holds"},
        {"http://h\\/", "host holds"},
        {"http+unix://run/x", "absolute"},
        {"http+unix:///run/x", "absolute"},
        {"http+unix://%2Frun%2", "escape"},
        {"http+unix://%2Frun%00x", "escape"},
        {"http+unix://%2Faaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaa", "longer"},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena *a = arena_new();
        struct url u;
        struct err e;
        assert_true(url_parse(slice_cstr(rows[i].text), a, &u, &e) < 0);
        if (!strstr(e.text, rows[i].fault)) print_error("%s: %s\n", rows[i].text, e.text);
        assert_non_null(strstr(e.text, rows[i].fault));
        assert_null(strstr(e.text, "secret"));
        arena_free(a);
    }
}

static void test_long(void **state) {
    (void)state;
    static char text[5000];
    memset(text, 'a', sizeof text);
    memcpy(text, "http://", 7);
    struct arena *a = arena_new();
    struct url u;
    struct err e;
    assert_true(url_parse(slice_make(text, 7 + 254), a, &u, &e) < 0);
    assert_int_equal(url_parse(slice_make(text, 7 + 253), a, &u, &e), 0);
    text[8] = '/';
    assert_int_equal(url_parse(slice_make(text, 4096), a, &u, &e), 0);
    assert_true(url_parse(slice_make(text, 4097), a, &u, &e) < 0);
    arena_free(a);
}

static void test_decode(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct slice out;
    assert_true(url_decode(SLICE("a%2Fb%20c+d%c3%A9"), a, &out));
    assert_slice(out, "a/b c+d\xc3\xa9");
    assert_true(url_decode(SLICE(""), a, &out));
    assert_int_equal(out.len, 0);
    static const char *const bad[] = {"%", "a%2", "%zz", "%0g", "%00", "%%41"};
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(url_decode(slice_cstr(bad[i]), a, &out));
    arena_free(a);
}

static void test_query(void **state) {
    (void)state;
    struct arena *a = arena_new();
    const struct slice q = SLICE("limit=2&after=a%20b+c&&empty=&flag&na%6De=x&bad=%zz&limit=3&eq=a=b");
    assert_slice(url_query_get(q, SLICE("limit"), a), "2");
    assert_slice(url_query_get(q, SLICE("after"), a), "a b c");
    assert_slice(url_query_get(q, SLICE("name"), a), "x");
    assert_slice(url_query_get(q, SLICE("eq"), a), "a=b");
    assert_slice(url_query_get(q, SLICE("bad"), a), "%zz");
    assert_non_null(url_query_get(q, SLICE("empty"), a).ptr);
    assert_non_null(url_query_get(q, SLICE("flag"), a).ptr);
    assert_int_equal(url_query_get(q, SLICE("flag"), a).len, 0);
    assert_null(url_query_get(q, SLICE("lim"), a).ptr);
    assert_null(url_query_get(SLICE_NULL, SLICE("x"), a).ptr);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),   cmocka_unit_test(test_bad),   cmocka_unit_test(test_long),
        cmocka_unit_test(test_decode), cmocka_unit_test(test_query),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
