/* SPDX-License-Identifier: Apache-2.0 */
#include "error_test.h"

static const struct error_read rows[] = {
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
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_error_is_read(&dialect_chat, &rows[i]);
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

/* It is decoded in a copy, which the error outlives. */
static void an_ill_formed_body_is_text(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct api_error er;
    dialect_chat.decode_error(500, SLICE("{\"error\":{\"message\":\"a\xff\",\"later\":1}}"), a, &er);
    assert_slices(er.message, SLICE("a\xef\xbf\xbd"));
    assert_slices(er.raw, SLICE("{\"message\":\"a\xef\xbf\xbd\",\"later\":1}"));
    arena_free(a);
}

static void one_form_is_written(void **state) {
    (void)state;
    static const struct error_written cases[] = {
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
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_error_is_written(&dialect_chat, &cases[i], SLICE("data: "));
}

static void all_or_nothing(void **state) {
    (void)state;
    assert_error_event_is_whole(&dialect_chat, 70);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_known_form_is_read),
        cmocka_unit_test(a_long_page_is_cut_between_characters),
        cmocka_unit_test(deep_nesting_is_text),
        cmocka_unit_test(an_ill_formed_body_is_text),
        cmocka_unit_test(one_form_is_written),
        cmocka_unit_test(all_or_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
