/* SPDX-License-Identifier: Apache-2.0 */
/* What tests expect of requests: counts, orders, filters, and the nearest misses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <yyjson.h>

#include "mock/expect.h"

static unsigned n_asked;
static bool counted_asks(const struct journal_view *v, const struct journal_query *q) {
    n_asked++;
    return journal_view_asks(v, q);
}
#define journal_view_asks counted_asks
#include "mock/expect.c"
#undef journal_view_asks

static struct journal *j;

static uint64_t ask(const char *dialect, const char *path, const char *body) {
    struct bytes *b = bytes_copy(slice_cstr(body));
    static const struct http_header headers[] = {{{"x-team", 6}, {"blue", 4}}};
    const struct http_exchange ex = {.method = HTTP_METHOD_POST, .path = slice_cstr(path),
                                     .headers = {headers, 1}, .body = b};
    const struct journal_request rq = {.ex = &ex, .dialect = dialect, .wall_ns = 1};
    uint64_t seq = journal_open(j, &rq);
    bytes_unref(&b);
    return seq;
}

static void chat(const char *text) {
    char body[512];
    snprintf(body, sizeof body, "{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}", text);
    uint64_t seq = ask("chat", "/v1/chat/completions", body);
    journal_close(j, seq, &(struct journal_answer){.status = 200, .end = JOURNAL_COMPLETED});
}

static int setup(void **state) {
    (void)state;
    j = journal_new();
    chat("hello");
    chat("the tide");
    uint64_t seq = ask("messages", "/v1/messages",
                       "{\"model\":\"claude-x\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}");
    journal_close(j, seq, &(struct journal_answer){.status = 429, .end = JOURNAL_COMPLETED});
    ask("chat", "/v1/chat/completions", "{oops");
    return 0;
}

static int teardown(void **state) {
    (void)state;
    journal_free(&j);
    return 0;
}

static struct expectation *parse(const char *body) {
    struct report r;
    struct buf faults;
    report_init(&r);
    buf_init(&faults, 4096);
    struct expectation *x = expectation_parse(slice_cstr(body), &r);
    if (!x) {
        report_write(&r, &faults);
        fail_msg("%s: %.*s", body, SLICE_FMT(buf_slice(&faults)));
    }
    buf_dispose(&faults);
    report_dispose(&r);
    return x;
}

/* "ok 1 3" or "no 2": whether it holds, and what matched. */
static void check(const char *body, const char *wanted) {
    struct expectation *x = parse(body);
    struct buf out;
    char found[128];
    size_t i, n;
    yyjson_val *one;
    buf_init(&out, 1 << 20);
    bool holds = expectation_check(x, j);
    assert_int_equal(expectation_write(x, j, &out), 0);
    yyjson_doc *doc = yyjson_read(out.ptr, out.len, 0);
    assert_non_null(doc);
    yyjson_val *root = yyjson_doc_get_root(doc);
    assert_int_equal(yyjson_get_bool(yyjson_obj_get(root, "ok")), holds);
    assert_int_equal(yyjson_is_arr(yyjson_obj_get(root, "nearest")), !holds);
    snprintf(found, sizeof found, "%s", holds ? "ok" : "no");
    yyjson_arr_foreach(yyjson_obj_get(root, "matched"), i, n, one) {
        snprintf(found + strlen(found), sizeof found - strlen(found), " %llu",
                 (unsigned long long)yyjson_get_uint(one));
    }
    if (strcmp(found, wanted) != 0) {
        fail_msg("%s: %s, wanted %s", body, found, wanted);
    }
    yyjson_doc_free(doc);
    buf_dispose(&out);
    expectation_free(&x);
}

static void test_counts(void **state) {
    (void)state;
    check("{}", "ok 1 2 3 4");
    check("{\"match\":{\"user\":\"hello\"}}", "ok 1 3");
    check("{\"match\":{\"user\":\"hello\"},\"count\":2}", "ok 1 3");
    check("{\"match\":{\"user\":\"hello\"},\"count\":1}", "no 1 3");
    check("{\"match\":{\"user\":\"hello\",\"dialect\":\"chat\"},\"at_least\":1,\"at_most\":1}", "ok 1");
    check("{\"match\":{\"user\":\"hello\"},\"at_least\":3}", "no 1 3");
    check("{\"match\":{\"user\":\"hello\"},\"at_most\":1}", "no 1 3");
    check("{\"match\":{\"user\":\"nothing\"},\"at_most\":0}", "ok");
    check("{\"match\":{\"user\":\"nothing\"},\"count\":0}", "ok");
    check("{\"match\":{\"user\":\"hello\"},\"since\":1}", "ok 3");
    check("{\"match\":{\"model\":\"claude-*\"}}", "ok 3");
}

static void test_where(void **state) {
    (void)state;
    check("{\"where\":{\"status\":\"4xx\"}}", "ok 3");
    check("{\"match\":{\"user\":\"hello\"},\"where\":{\"status\":200}}", "ok 1");
    check("{\"where\":{\"dialect\":\"chat\",\"end\":\"open\"}}", "ok 4");
    check("{\"match\":{\"user\":\"hello\"},\"where\":{\"session\":\"s\"}}", "no");
}

static void test_order(void **state) {
    (void)state;
    check("{\"order\":[{\"user\":\"hello\"},{\"user\":\"tide\"}]}", "ok 1 2");
    check("{\"order\":[{\"user\":\"tide\"},{\"user\":\"hello\"}]}", "ok 2 3");
    check("{\"order\":[{\"user\":\"hello\"},{\"user\":\"hello\"},{\"user\":\"hello\"}]}", "no 1 3");
    check("{\"order\":[{\"user\":\"tide\"},{\"user\":\"tide\"}]}", "no 2");
}

/* One that waits looks at what is new, and sees it. */
static void test_later(void **state) {
    struct expectation *x = parse("{\"match\":{\"user\":\"late\"},\"where\":{\"status\":200},\"count\":2,\"within_ms\":50}");
    (void)state;
    assert_int_equal(expectation_within_ns(x), 50 * 1000000);
    assert_false(expectation_check(x, j));
    chat("late");
    assert_false(expectation_check(x, j));
    uint64_t seq = ask("chat", "/v1/chat/completions",
                       "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"late\"}]}");
    assert_false(expectation_check(x, j));
    journal_close(j, seq, &(struct journal_answer){.status = 200, .end = JOURNAL_COMPLETED});
    assert_true(expectation_check(x, j));
    chat("late");
    assert_false(expectation_check(x, j));
    expectation_free(&x);
}

/* The body of each request is searched once, however often it is waited for. */
static void test_where_looks_at_what_is_new(void **state) {
    struct expectation *x = parse("{\"where\":{\"contains\":\"hello\",\"status\":200},\"count\":2}");
    (void)state;
    n_asked = 0;
    assert_false(expectation_check(x, j));
    assert_int_equal(n_asked, 4);
    uint64_t seq = ask("chat", "/v1/chat/completions", "{\"messages\":\"hello again\"}");
    assert_false(expectation_check(x, j));
    journal_close(j, seq, &(struct journal_answer){.status = 200, .end = JOURNAL_COMPLETED});
    assert_true(expectation_check(x, j));
    assert_int_equal(n_asked, 5);
    expectation_free(&x);
    check("{\"where\":{\"contains\":\"hello\"}}", "ok 1 3 5");
    check("{\"where\":{\"contains\":\"absent\"}}", "no");
}

static void test_nearest(void **state) {
    struct expectation *x = parse("{\"match\":{\"user\":\"tide\",\"model\":\"gpt-*\",\"dialect\":\"messages\"}}");
    struct buf out;
    (void)state;
    buf_init(&out, 1 << 20);
    assert_false(expectation_check(x, j));
    assert_int_equal(expectation_write(x, j, &out), 0);
    yyjson_doc *doc = yyjson_read(out.ptr, out.len, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    assert_string_equal(yyjson_get_str(yyjson_obj_get(root, "wanted")), "at least 1");
    /* all but the dialect fit */
    assert_int_equal(yyjson_get_uint(yyjson_ptr_get(root, "/nearest/0/seq")), 2);
    assert_int_equal(yyjson_arr_size(yyjson_ptr_get(root, "/nearest/0/why_not")), 1);
    const char *why = yyjson_get_str(yyjson_ptr_get(root, "/nearest/0/why_not/0"));
    assert_non_null(strstr(why, "dialect"));
    assert_true(yyjson_arr_size(yyjson_ptr_get(root, "/nearest/1/why_not")) >= 2);
    yyjson_doc_free(doc);
    buf_dispose(&out);
    expectation_free(&x);
}

static void test_bad(void **state) {
    static const char *const bodies[] = {
        "[]",
        "{\"match\":5}",
        "{\"match\":{\"nonsense\":1}}",
        "{\"mach\":{}}",
        "{\"count\":\"x\"}",
        "{\"count\":-1}",
        "{\"count\":1,\"at_least\":1}",
        "{\"at_least\":2,\"at_most\":1}",
        "{\"order\":[]}",
        "{\"order\":{}}",
        "{\"order\":[{}],\"match\":{}}",
        "{\"order\":[{}],\"count\":1}",
        "{\"where\":{\"nonsense\":1}}",
        "{\"where\":{\"status\":\"x\"}}",
        "{\"where\":[]}",
        "{\"where\":{\"limit\":1}}",
        "{\"where\":{\"body\":true}}",
        "{\"within_ms\":999999999}",
        "{\"since\":{}}",
        "{oops",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct report r;
        report_init(&r);
        struct expectation *x = expectation_parse(slice_cstr(bodies[i]), &r);
        if (x || r.n_faults == 0) {
            fail_msg("%s was taken", bodies[i]);
        }
        report_dispose(&r);
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_counts), TEST(test_where), TEST(test_order),
        TEST(test_later), TEST(test_where_looks_at_what_is_new),
        TEST(test_nearest), TEST(test_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
