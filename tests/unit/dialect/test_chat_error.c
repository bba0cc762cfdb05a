/* SPDX-License-Identifier: Apache-2.0 */
#include "dialect_test.h"

static const struct row {
    unsigned status;
    const char *body;
    const char *error; /* as put_api_error writes it */
} rows[] = {
    {404,
     "{\"error\":{\"message\":\"no such "
     "model\",\"type\":\"invalid_request_error\",\"param\":\"model\",\"code\":\"model_not_found\"}"
     "}",
     " 404 message=\"no such model\" type=\"invalid_request_error\" code=\"model_not_found\" "
     "param=\"model\" raw={\"message\":\"no such "
     "model\",\"type\":\"invalid_request_error\",\"param\":\"model\",\"code\":\"model_not_"
     "found\"}"},
    {400,
     "{\"object\":\"error\",\"message\":\"too "
     "long\",\"type\":\"BadRequestError\",\"param\":null,\"code\":400}",
     " 400 message=\"too long\" type=\"BadRequestError\" code=\"400\" "
     "raw={\"object\":\"error\",\"message\":\"too long\",\"type\":"
     "\"BadRequestError\",\"param\":null,\"code\":400}"},
    {422, "{\"detail\":\"Not authenticated\"}",
     " 422 message=\"Not authenticated\" raw={\"detail\":\"Not authenticated\"}"},
    {422, "{\"detail\":[{\"loc\":[\"body\"],\"msg\":\"field required\"}]}",
     " 422 message=\"[{\\\"loc\\\":[\\\"body\\\"],\\\"msg\\\":\\\"field required\\\"}]\" "
     "raw={\"detail\":[{\"loc\":[\"body\"],\"msg\":"
     "\"field required\"}]}"},
    {402,
     "{\"error\":{\"code\":402,\"message\":\"no "
     "credits\",\"metadata\":{\"a\":1}},\"user_id\":\"u\"}",
     " 402 message=\"no credits\" code=\"402\" raw={\"code\":402,\"message\":\"no "
     "credits\",\"metadata\":{\"a\":1}}"},
    {429, "[{\"error\":{\"code\":429,\"message\":\"slow\",\"status\":\"RESOURCE_EXHAUSTED\"}}]",
     " 429 message=\"slow\" type=\"RESOURCE_EXHAUSTED\" code=\"429\" "
     "raw={\"code\":429,\"message\":\"slow\",\"status\":"
     "\"RESOURCE_EXHAUSTED\"}"},
    {529,
     "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}",
     " 529 message=\"Overloaded\" type=\"overloaded_error\" "
     "raw={\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}"},
    {500, "{\"error\":\"model not found\"}",
     " 500 message=\"model not found\" raw={\"error\":\"model not found\"}"},
    {403, "{\"message\":\"no\",\"type\":\"forbidden\"}",
     " 403 message=\"no\" type=\"forbidden\" raw={\"message\":\"no\",\"type\":\"forbidden\"}"},
    {401, "{\"error\":{\"code\":\"401\",\"message\":\"denied\"}}",
     " 401 message=\"denied\" code=\"401\" raw={\"code\":\"401\",\"message\":\"denied\"}"},
    {0, "{\"error\":{\"code\":\"429\",\"message\":\"x\"}}",
     " 429 message=\"x\" code=\"429\" raw={\"code\":\"429\",\"message\":\"x\"}"},
    {0, "{\"error\":{\"type\":\"rate_limit_error\",\"message\":\"x\"}}",
     " 429 message=\"x\" type=\"rate_limit_error\" "
     "raw={\"type\":\"rate_limit_error\",\"message\":\"x\"}"},
    {502, "<html>\r\n<head><title>502 Bad Gateway</title></head><body>nginx</body></html>",
     " 502 message=\"502 Bad Gateway\""},
    {502, "<html><body>no title</body></html>",
     " 502 message=\"<html><body>no title</body></html>\""},
    {503, "  upstream connect error  ", " 503 message=\"upstream connect error\""},
    {503, "", " 503 message=\"the upstream answered with status 503 and no message\""},
    {500, "{\"error\":{}}", " 500 message=\"{\\\"error\\\":{}}\" raw={}"},
    {500, "{\"error\":null}", " 500 message=\"{\\\"error\\\":null}\" raw={\"error\":null}"},
    {500, "7", " 500 message=\"7\""},
    {500, "[]", " 500 message=\"[]\""},
    {500, "{\"broken\":", " 500 message=\"{\\\"broken\\\":\""},
};

static void every_known_form_is_read(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena *a = arena_new();
        struct api_error er;
        struct buf b;
        buf_init(&b, TEST_BYTES);
        dialect_chat.decode_error(rows[i].status, slice_cstr(rows[i].body), a, &er);
        put_api_error(&b, &er);
        assert_slices(buf_slice(&b), slice_cstr(rows[i].error));
        buf_dispose(&b);
        arena_free(a);
    }
}

static void a_long_page_is_cut_between_characters(void **state) {
    (void)state;
    static char page[5000];
    struct arena *a = arena_new();
    struct api_error er;
    for (size_t i = 0; i + 2 < sizeof page; i += 3) memcpy(page + i, "\xe2\x82\xac", 3);
    dialect_chat.decode_error(500, slice_make(page, sizeof page), a, &er);
    assert_int_equal(er.message.len, 1023);
    assert_int_equal(slice_utf8_valid(er.message), 1023);
    arena_free(a);
}

static void deep_nesting_is_text(void **state) {
    (void)state;
    static char deep[1 << 20];
    struct arena *a = arena_new();
    struct api_error er;
    memset(deep, '[', sizeof deep);
    dialect_chat.decode_error(500, slice_make(deep, sizeof deep), a, &er);
    assert_int_equal(er.message.len, 1024);
    arena_free(a);
}

static void one_form_is_written(void **state) {
    (void)state;
    static const struct {
        struct api_error er;
        const char *body;
    } cases[] = {
        {{.status = 404,
          .message = {"a\"b", 3},
          .type = {"t", 1},
          .code = {"c", 1},
          .param = {"p", 1}},
         "{\"error\":{\"message\":\"a\\\"b\",\"type\":\"t\",\"param\":\"p\",\"code\":\"c\"}}"},
        {{.status = 404, .message = {"m", 1}},
         "{\"error\":{\"message\":\"m\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":"
         "null}}"},
        {{.status = 429, .message = {"m", 1}},
         "{\"error\":{\"message\":\"m\",\"type\":\"requests\",\"param\":null,\"code\":null}}"},
        {{.status = 0, .message = {"\xff", 1}},
         "{\"error\":{\"message\":\"\xef\xbf\xbd\",\"type\":\"server_error\",\"param\":null,"
         "\"code\":null}}"},
        {{.status = 400,
          .message = {"m", 1},
          .raw = {"{\"innererror\":{\"a\":\n1},\"message\":\"old\"}", 38}},
         "{\"error\":{\"message\":\"m\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":"
         "null,\"innererror\":{\"a\": 1}}}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b, event;
        buf_init(&b, TEST_BYTES);
        buf_init(&event, TEST_BYTES);
        assert_int_equal(dialect_chat.encode_error(&cases[i].er, &b), 0);
        assert_slices(buf_slice(&b), slice_cstr(cases[i].body));
        assert_int_equal(dialect_chat.encode_error_event(&cases[i].er, NULL, &event), 0);
        assert_int_equal(event.len, b.len + 8);
        assert_memory_equal(event.ptr, "data: ", 6);
        assert_memory_equal(event.ptr + 6, b.ptr, b.len);
        assert_memory_equal(event.ptr + 6 + b.len, "\n\n", 2);
        buf_dispose(&b);
        buf_dispose(&event);
    }
}

static void all_or_nothing(void **state) {
    (void)state;
    struct api_error er = {.status = 500, .message = SLICE("message")};
    for (size_t max = 0; max < 70; max++) {
        struct buf b;
        buf_init(&b, max);
        assert_int_equal(dialect_chat.encode_error_event(&er, NULL, &b), -ERR_LIMIT);
        assert_int_equal(b.len, 0);
        buf_dispose(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_known_form_is_read),
        cmocka_unit_test(a_long_page_is_cut_between_characters),
        cmocka_unit_test(deep_nesting_is_text),
        cmocka_unit_test(one_form_is_written),
        cmocka_unit_test(all_or_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
