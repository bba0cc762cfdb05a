/* SPDX-License-Identifier: Apache-2.0 */
#include "error_test.h"

static void any_provider_s_form_is_read(void **state) {
    (void)state;
    static const struct error_read cases[] = {
        {529,
         "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"},"
         "\"request_id\":\"req_1\"}",
         " 529 message=\"Overloaded\" type=\"overloaded_error\" "
         "raw={\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}"},
        {429,
         "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"m\","
         "\"details\":{\"error_code\":\"ramp_limit_exceeded\"}}}",
         " 429 message=\"m\" type=\"rate_limit_error\" code=\"ramp_limit_exceeded\" "
         "raw={\"type\":\"rate_limit_error\",\"message\":\"m\",\"details\":{\"error_code\":"
         "\"ramp_limit_exceeded\"}}"},
        {404, "{\"error\":{\"message\":\"no model\",\"code\":\"model_not_found\"}}",
         " 404 message=\"no model\" code=\"model_not_found\" "
         "raw={\"message\":\"no model\",\"code\":\"model_not_found\"}"},
        {502, "<html><title>502 Bad Gateway</title>", " 502 message=\"502 Bad Gateway\""},
        {500, "", " 500 message=\"the upstream answered with status 500 and no message\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_error_is_read(&dialect_messages, &cases[i]);
}

static void one_form_is_written(void **state) {
    (void)state;
    static const struct error_written cases[] = {
        {{.status = 400, .message = {"a\"b\xff", 4}, .type = {"invalid_request_error", 21}},
         "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":"
         "\"a\\\"b\xef\xbf\xbd\"}}"},
        {{.status = 500, .message = {"m", 1}, .request_id = {"req_7", 5}},
         "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"m\"},"
         "\"request_id\":\"req_7\"}"},
        {{.message = {"m", 1},
          .raw = {"{\"details\":{\"error_code\":\n\"x\"},\"message\":\"o\"}", 43}},
         "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"m\",\"details\":"
         "{\"error_code\": \"x\"}}}"},
        {{.message = {"m", 1}, .raw = {"{\"details\":null}", 16}},
         "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"m\"}}"},
        {{.message = {"m", 1}, .raw = {"{\"details\":[{\"@type\":\"x\"}]}", 27}},
         "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"m\"}}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_error_is_written(&dialect_messages, &cases[i], SLICE("event: error\ndata: "));
}

static void a_status_has_its_type(void **state) {
    (void)state;
    static const struct {
        unsigned status;
        const char *type;
    } cases[] = {
        {0, "api_error"},
        {400, "invalid_request_error"},
        {401, "authentication_error"},
        {402, "billing_error"},
        {403, "permission_error"},
        {404, "not_found_error"},
        {408, "timeout_error"},
        {409, "conflict_error"},
        {413, "request_too_large"},
        {422, "invalid_request_error"},
        {429, "rate_limit_error"},
        {500, "api_error"},
        {502, "api_error"},
        {503, "overloaded_error"},
        {504, "timeout_error"},
        {529, "overloaded_error"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct api_error er = {.status = cases[i].status, .message = SLICE("m")};
        struct buf b;
        char expected[128];
        buf_init(&b, TEST_BYTES);
        snprintf(expected, sizeof expected,
                 "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":\"m\"}}",
                 cases[i].type);
        assert_int_equal(dialect_messages.encode_error(&er, &b), 0);
        assert_slices(buf_slice(&b), slice_cstr(expected));
        buf_dispose(&b);
    }
}

static void all_or_nothing(void **state) {
    (void)state;
    assert_error_event_is_whole(&dialect_messages, 80);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_provider_s_form_is_read),
        cmocka_unit_test(one_form_is_written),
        cmocka_unit_test(a_status_has_its_type),
        cmocka_unit_test(all_or_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
