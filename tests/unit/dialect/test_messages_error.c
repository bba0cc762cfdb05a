/* SPDX-License-Identifier: Apache-2.0 */
#include "dialect_test.h"

static void any_provider_s_form_is_read(void **state) {
    (void)state;
    static const struct {
        unsigned status;
        const char *body, *error;
    } cases[] = {
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
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena *a = arena_new();
        struct api_error er;
        struct buf b;
        buf_init(&b, TEST_BYTES);
        dialect_messages.decode_error(cases[i].status, slice_cstr(cases[i].body), a, &er);
        put_api_error(&b, &er);
        assert_slices(buf_slice(&b), slice_cstr(cases[i].error));
        assert_int_equal(er.request_id.len, 0); /* that is ours to give */
        buf_dispose(&b);
        arena_free(a);
    }
}

static void one_form_is_written(void **state) {
    (void)state;
    static const struct {
        struct api_error er;
        const char *body;
    } cases[] = {
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
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b, event;
        buf_init(&b, TEST_BYTES);
        buf_init(&event, TEST_BYTES);
        assert_int_equal(dialect_messages.encode_error(&cases[i].er, &b), 0);
        assert_slices(buf_slice(&b), slice_cstr(cases[i].body));
        assert_int_equal(dialect_messages.encode_error_event(&cases[i].er, NULL, &event), 0);
        assert_int_equal(event.len, b.len + 21);
        assert_memory_equal(event.ptr, "event: error\ndata: ", 19);
        assert_memory_equal(event.ptr + 19, b.ptr, b.len);
        assert_memory_equal(event.ptr + 19 + b.len, "\n\n", 2);
        buf_dispose(&b);
        buf_dispose(&event);
    }
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
    struct api_error er = {.status = 500, .message = SLICE("message")};
    for (size_t max = 0; max < 80; max++) {
        struct buf b;
        buf_init(&b, max);
        assert_int_equal(dialect_messages.encode_error_event(&er, NULL, &b), -ERR_LIMIT);
        assert_int_equal(b.len, 0);
        buf_dispose(&b);
    }
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
