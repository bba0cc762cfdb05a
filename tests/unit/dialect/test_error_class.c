/* SPDX-License-Identifier: Apache-2.0 */
/* Errors between vendors: one row a thing that some upstream says. */
#include "dialect_test.h"

#include "dialect/error_class.h"

struct row {
    unsigned status;
    const char *type, *code, *message;
    const char *class;
    const char *openai;    /* "status type code" */
    const char *anthropic; /* "status type" */
};

static const struct row rows[] = {
    /* the status table, from servers that say nothing else */
    {400, NULL, NULL, "m", "invalid_request", "400 invalid_request_error null",
     "400 invalid_request_error"},
    {401, NULL, NULL, "m", "authentication", "401 invalid_request_error invalid_api_key",
     "401 authentication_error"},
    {402, NULL, NULL, "m", "quota", "429 insufficient_quota insufficient_quota",
     "402 billing_error"},
    {403, NULL, NULL, "m", "permission", "403 invalid_request_error null", "403 permission_error"},
    {404, NULL, NULL, "no such thing", "not_found", "404 invalid_request_error null",
     "404 not_found_error"},
    {404, NULL, NULL, "The model `x` does not exist.", "model_not_found",
     "404 invalid_request_error model_not_found", "404 not_found_error"},
    {408, NULL, NULL, "m", "request_timeout", "408 timeout null", "408 timeout_error"},
    {409, NULL, NULL, "m", "conflict", "409 conflict null", "409 conflict_error"},
    {413, NULL, NULL, "m", "too_large", "413 invalid_request_error null", "413 request_too_large"},
    {418, NULL, NULL, "m", "invalid_request", "418 invalid_request_error null",
     "418 invalid_request_error"},
    {422, NULL, NULL, "m", "unprocessable", "422 invalid_request_error null",
     "400 invalid_request_error"},
    {429, NULL, NULL, "m", "rate_limit", "429 requests rate_limit_exceeded",
     "429 rate_limit_error"},
    {500, NULL, NULL, "m", "server", "500 server_error upstream_error", "500 api_error"},
    {507, NULL, NULL, "m", "server", "500 server_error upstream_error", "500 api_error"},
    {502, NULL, NULL, "m", "gateway", "502 server_error bad_gateway", "500 api_error"},
    {503, NULL, NULL, "m", "overloaded", "503 server_error server_overloaded",
     "529 overloaded_error"},
    {529, NULL, NULL, "m", "overloaded", "503 server_error server_overloaded",
     "529 overloaded_error"},
    {504, NULL, NULL, "m", "timeout", "504 server_error upstream_timeout", "504 timeout_error"},
    {302, NULL, NULL, "m", "gateway", "502 server_error bad_gateway", "500 api_error"},
    {0, NULL, NULL, "m", "server", "500 server_error upstream_error", "500 api_error"},

    /* OpenAI's own words stay for its clients */
    {429, "tokens", "rate_limit_exceeded", "m", "rate_limit", "429 tokens rate_limit_exceeded",
     "429 rate_limit_error"},
    {429, "insufficient_quota", "insufficient_quota", "m", "quota",
     "429 insufficient_quota insufficient_quota", "402 billing_error"},
    {500, "server_error", NULL, "m", "server", "500 server_error null", "500 api_error"},
    {400, "invalid_request_error", "invalid_value", "m", "invalid_request",
     "400 invalid_request_error invalid_value", "400 invalid_request_error"},
    {400, "invalid_request_error", "context_length_exceeded", "m", "context_length",
     "400 invalid_request_error context_length_exceeded", "400 invalid_request_error"},
    {403, "request_forbidden", "host_not_allowed", "m", "permission",
     "403 request_forbidden host_not_allowed", "403 permission_error"},
    {503, "service_unavailable", "slow_down", "m", "overloaded",
     "503 service_unavailable slow_down", "529 overloaded_error"},
    {404, "invalid_request_error", "unknown_url", "m", "not_found",
     "404 invalid_request_error unknown_url", "404 not_found_error"},
    /* without a status, as in a stream */
    {0, "server_error", "rate_limit_exceeded", "m", "rate_limit",
     "429 requests rate_limit_exceeded", "429 rate_limit_error"},
    {0, NULL, "invalid_prompt", "m", "invalid_request", "400 invalid_request_error invalid_prompt",
     "400 invalid_request_error"},
    {0, NULL, "server_error", "m", "server", "500 server_error server_error", "500 api_error"},

    /* Anthropic's */
    {529, "overloaded_error", NULL, "m", "overloaded", "503 server_error server_overloaded",
     "529 overloaded_error"},
    {0, "overloaded_error", NULL, "m", "overloaded", "503 server_error server_overloaded",
     "529 overloaded_error"},
    {503, "api_error", NULL, "m", "overloaded", "503 server_error server_overloaded",
     "503 api_error"},
    {0, "api_error", NULL, "m", "server", "500 server_error upstream_error", "500 api_error"},
    {0, "timeout_error", NULL, "m", "timeout", "504 server_error upstream_timeout",
     "504 timeout_error"},
    {408, "timeout_error", NULL, "m", "request_timeout", "408 timeout null", "408 timeout_error"},
    {0, "billing_error", NULL, "m", "quota", "429 insufficient_quota insufficient_quota",
     "402 billing_error"},
    {404, "not_found_error", NULL, "model: claude-x", "model_not_found",
     "404 invalid_request_error model_not_found", "404 not_found_error"},
    {400, "invalid_request_error", NULL, "prompt is too long: 9 tokens > 8 maximum",
     "context_length", "400 invalid_request_error context_length_exceeded",
     "400 invalid_request_error"},
    {400, "invalid_request_error", NULL, "Your credit balance is too low to access the API",
     "quota", "429 insufficient_quota insufficient_quota", "402 billing_error"},
    {413, "request_too_large", NULL, "Request exceeds the maximum size", "too_large",
     "413 invalid_request_error null", "413 request_too_large"},

    /* vLLM, Azure, OpenRouter: the status in the code */
    {0, "BadRequestError", "400", "This model's maximum context length is 8 tokens.",
     "context_length", "400 invalid_request_error context_length_exceeded",
     "400 invalid_request_error"},
    {0, NULL, "429", "m", "rate_limit", "429 requests rate_limit_exceeded",
     "429 rate_limit_error"},
    {0, NULL, "402", "m", "quota", "429 insufficient_quota insufficient_quota",
     "402 billing_error"},
    {0, NULL, "502", "m", "gateway", "502 server_error bad_gateway", "500 api_error"},
    {404, NULL, "DeploymentNotFound", "m", "model_not_found",
     "404 invalid_request_error model_not_found", "404 not_found_error"},
    /* Mistral's numbers are no statuses */
    {422, "invalid_request_error", "3051", "m", "unprocessable",
     "422 invalid_request_error null", "400 invalid_request_error"},
    /* Google */
    {429, "RESOURCE_EXHAUSTED", "429", "You exceeded your current quota", "rate_limit",
     "429 requests rate_limit_exceeded", "429 rate_limit_error"},
    {400, "INVALID_ARGUMENT", "400", "The input token count (9) exceeds the maximum",
     "context_length", "400 invalid_request_error context_length_exceeded",
     "400 invalid_request_error"},
    {503, "UNAVAILABLE", "503", "The model is overloaded", "overloaded",
     "503 server_error server_overloaded", "529 overloaded_error"},
    /* a rate limit that talks of tokens is no long prompt */
    {429, NULL, NULL, "input is too long for this minute", "rate_limit",
     "429 requests rate_limit_exceeded", "429 rate_limit_error"},
};

static void told(struct buf *b, const struct api_error *er, bool with_code) {
    buf_reset(b);
    assert_int_equal(buf_appendf(b, "%u %.*s", er->status, SLICE_FMT(er->type)), 0);
    if (!with_code) return;
    put(b, SLICE(" "));
    put(b, er->code.ptr ? er->code : SLICE("null"));
}

static void every_row(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, TEST_BYTES);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        struct api_error in = {.status = r->status,
                               .type = slice_cstr(r->type),
                               .code = slice_cstr(r->code),
                               .message = slice_cstr(r->message),
                               .param = SLICE("input"),
                               .request_id = SLICE("req_1")},
                         out;
        assert_string_equal(error_class_name(error_classify(&in)), r->class);
        error_for_openai(&in, &out);
        told(&b, &out, true);
        assert_int_equal(buf_append_byte(&b, 0), 0);
        assert_string_equal(b.ptr, r->openai);
        assert_true(slice_eq(out.message, in.message));
        assert_true(slice_eq(out.param, in.param));
        assert_true(slice_eq(out.request_id, in.request_id));
        error_for_anthropic(&in, &out);
        told(&b, &out, false);
        assert_int_equal(buf_append_byte(&b, 0), 0);
        assert_string_equal(b.ptr, r->anthropic);
    }
    buf_dispose(&b);
}

/* What was made for one vendor and is read again says the same. */
static void there_and_back(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct api_error in = {.status = rows[i].status,
                               .type = slice_cstr(rows[i].type),
                               .code = slice_cstr(rows[i].code),
                               .message = slice_cstr(rows[i].message)},
                         once, twice;
        error_for_openai(&in, &once);
        error_for_openai(&once, &twice);
        assert_int_equal(twice.status, once.status);
        assert_true(slice_eq(twice.type, once.type) && slice_eq(twice.code, once.code));
        error_for_anthropic(&in, &once);
        error_for_anthropic(&once, &twice);
        assert_int_equal(twice.status, once.status);
        assert_true(slice_eq(twice.type, once.type));
    }
}

static void agents_read_that_the_prompt_is_too_long(void **state) {
    (void)state;
    struct api_error in = {.status = 400,
                           .code = SLICE("context_length_exceeded"),
                           .message = SLICE("You sent 9 of 8 tokens.")},
                     out;
    error_for_anthropic(&in, &out);
    assert_true(
        slice_eq(out.message, SLICE("prompt is too long: You sent 9 of 8 tokens.")));
    in.message = SLICE("Prompt is too long: 9 > 8");
    error_for_anthropic(&in, &out);
    assert_true(slice_eq(out.message, in.message));

    /* a long one is cut between characters */
    char text[3 * ERROR_MESSAGE_BYTES];
    for (size_t i = 0; i < sizeof text; i += 3) memcpy(text + i, "\xe2\x82\xac", 3);
    for (size_t shift = 0; shift < 3; shift++) {
        text[0] = 'a', text[1] = 'b', text[2] = 'c';
        in.message = slice_make(text + shift, sizeof text - shift);
        error_for_anthropic(&in, &out);
        assert_true(out.message.len > 1000 && out.message.len < ERROR_MESSAGE_BYTES);
        assert_int_equal(slice_utf8_valid(out.message), out.message.len);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(agents_read_that_the_prompt_is_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
