/* SPDX-License-Identifier: Apache-2.0 */
#include "dialect_test.h"

#include "dialect/splice.h"

static int peek(struct slice body, struct arena *a, struct envelope *env,
                struct request_fault *fault) {
    return dialect_chat.peek_request(body, a, env, fault);
}

/* ---- what is refused, and how it is told ---- */

#define M "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

static const struct refusal {
    const char *body, *code, *param, *message; /* message: its start */
} refusals[] = {
    {"", NULL, "", "We could not parse the JSON body of your request: the body is empty"},
    {" \n ", NULL, "", "We could not parse the JSON body of your request: the body is empty"},
    {"{\"model\":\"m\",\n " M ",}", NULL, "", "We could not parse the JSON body of your request: "},
    {"[]", NULL, "", "We could not parse the JSON body of your request: "},
    {"{\"model\":\"\xff\"," M "}", NULL, "", "We could not parse the JSON body of your request: "},
    {"{}", "missing_required_parameter", "model", "Missing required parameter: 'model'."},
    {"{" M "}", "missing_required_parameter", "model", "Missing required parameter: 'model'."},
    {"{\"model\":7," M "}", "invalid_type", "model",
     "Invalid type for 'model': expected a string, but got an integer instead."},
    {"{\"model\":null," M "}", "invalid_type", "model",
     "Invalid type for 'model': expected a string, but got null instead."},
    {"{\"model\":\"\"," M "}", "invalid_value", "model", "Invalid 'model': the name is empty."},
    {"{\"model\":\"m\",\"model\":\"n\"," M "}", "invalid_value", "model",
     "Invalid request: the key 'model' is there twice."},
    {"{\"model\":\"m\",\"mod\\u0065l\":\"n\"," M "}", "invalid_value", "model",
     "Invalid request: the key 'model' is there twice."},
    {"{\"model\":\"m\"}", "missing_required_parameter", "messages",
     "Missing required parameter: 'messages'."},
    {"{\"model\":\"m\",\"messages\":{}}", "invalid_type", "messages",
     "Invalid type for 'messages': expected an array of objects, but got an object instead."},
    {"{\"model\":\"m\",\"messages\":null}", "invalid_type", "messages",
     "Invalid type for 'messages'"},
    {"{\"model\":\"m\",\"messages\":[ ]}", "empty_array", "messages",
     "Invalid 'messages': empty array."},
    {"{\"model\":\"m\",\"messages\":[\"hi\"]}", "invalid_type", "messages[0]",
     "Invalid type for 'messages[0]': expected an object"},
    {"{\"model\":\"m\"," M "," M "}", "invalid_value", "messages",
     "Invalid request: the key 'messages' is there twice."},
    {"{\"model\":\"m\"," M ",\"stream\":\"yes\"}", "invalid_type", "stream",
     "Invalid type for 'stream': expected a boolean, but got a string instead."},
    {"{\"model\":\"m\"," M ",\"stream\":1}", "invalid_type", "stream", "Invalid type for 'stream'"},
    {"{\"model\":\"m\"," M ",\"stream_options\":{}}", NULL, "stream_options",
     "The 'stream_options' parameter is only allowed when 'stream' is enabled."},
    {"{\"model\":\"m\"," M ",\"stream\":true,\"stream_options\":[]}", "invalid_type",
     "stream_options", "Invalid type"},
    {"{\"model\":\"m\"," M ",\"stream\":true,\"stream_options\":{\"include_usage\":\"\"}}",
     "invalid_type", "stream_options.include_usage",
     "Invalid type for 'stream_options.include_usage': expected a boolean, but got a string "
     "instead."},
    {"{\"model\":\"m\"," M
     ",\"stream\":true,\"stream_options\":{\"include_usage\":true,\"include_usage\":false}}",
     "invalid_value", "stream_options.include_usage",
     "Invalid request: the key 'stream_options.include_usage' is there twice."},
    {"{\"model\":\"m\"," M ",\"n\":0}", "integer_below_min_value", "n",
     "Invalid 'n': integer below minimum value. Expected a value >= 1, but got 0 instead."},
    {"{\"model\":\"m\"," M ",\"n\":129}", "integer_above_max_value", "n",
     "Invalid 'n': integer above maximum value. Expected a value <= 128, but got 129 instead."},
    {"{\"model\":\"m\"," M ",\"n\":1.5}", "invalid_type", "n",
     "Invalid type for 'n': expected an integer, but got a decimal number"},
    {"{\"model\":\"m\"," M ",\"max_tokens\":-1}", "integer_below_min_value", "max_tokens",
     "Invalid 'max_tokens'"},
    {"{\"model\":\"m\"," M ",\"max_completion_tokens\":\"9\"}", "invalid_type",
     "max_completion_tokens", "Invalid type"},
};

static void bad_requests_are_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const struct refusal *r = &refusals[i];
        struct arena *a = arena_new();
        struct envelope env;
        struct request_fault fault;
        int rc = peek(slice_cstr(r->body), a, &env, &fault);
        if (rc != -ERR_USAGE || strncmp(fault.message, r->message, strlen(r->message)) != 0) {
            print_error("%s\n%d %s\n", r->body, rc, fault.message);
        }
        assert_int_equal(rc, -ERR_USAGE);
        assert_memory_equal(fault.message, r->message, strlen(r->message));
        assert_string_equal(fault.param, r->param);
        if (r->code) assert_string_equal(fault.code, r->code);
        else assert_null(fault.code);
        arena_free(a);
    }
}

static void the_place_of_a_syntax_error_is_told(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct envelope env;
    struct request_fault fault;
    assert_int_equal(peek(SLICE("{\"model\":\"m\",\n  \"messages\":[}]}"), a, &env, &fault),
                     -ERR_USAGE);
    assert_non_null(strstr(fault.message, "line 2"));
    assert_non_null(strstr(fault.message, "column 15"));
    assert_non_null(strstr(fault.message, "byte 28"));
    arena_free(a);
}

static void deep_nesting_is_refused(void **state) {
    (void)state;
    struct buf b;
    struct arena *a = arena_new();
    struct envelope env;
    struct request_fault fault;
    for (int depth = 120; depth < 140; depth++) {
        buf_init(&b, TEST_BYTES);
        put(&b, SLICE("{\"model\":\"m\"," M ",\"x\":"));
        for (int i = 1; i < depth; i++) put(&b, SLICE("["));
        for (int i = 1; i < depth; i++) put(&b, SLICE("]"));
        put(&b, SLICE("}"));
        assert_int_equal(peek(buf_slice(&b), a, &env, &fault), depth <= 128 ? 0 : -ERR_USAGE);
        buf_dispose(&b);
    }
    static char brackets[10 << 20];
    memset(brackets, '[', sizeof brackets);
    assert_int_equal(peek(slice_make(brackets, sizeof brackets), a, &env, &fault), -ERR_USAGE);
    arena_free(a);
}

/* ---- what is found ---- */

static struct slice in_body(struct slice body, struct span s) {
    return slice_sub(body, s.off, s.len);
}

static void the_envelope_is_found(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct envelope env;
    struct request_fault fault;
    struct slice body = SLICE(
        " {" M
        ",\"model\" : "
        "\"gpt\\u002d4o\",\"stream\":true,\"n\":2,\"max_tokens\":5,\"max_completion_tokens\":7.0,"
        "\"stream_options\":{\"x\":{\"include_usage\":false},\"include_usage\":true}}");
    assert_int_equal(peek(body, a, &env, &fault), 0);
    assert_slices(env.model, SLICE("gpt-4o"));
    assert_slices(in_body(body, env.model_token), SLICE("\"gpt\\u002d4o\""));
    assert_true(env.stream);
    assert_true(env.has_stream_options);
    assert_true(env.include_usage);
    assert_slices(in_body(body, env.include_usage_token), SLICE("true"));
    assert_slices(in_body(body, env.stream_options_token),
                  SLICE("{\"x\":{\"include_usage\":false},\"include_usage\":true}"));
    assert_int_equal(env.root_open, 1);
    assert_int_equal(env.n, 2);
    assert_int_equal(env.max_tokens, 7);
    arena_free(a);
}

static void nulls_are_absent(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct envelope env;
    struct request_fault fault;
    assert_int_equal(
        peek(SLICE("{\"model\":\"m\"," M
                   ",\"stream\":null,\"stream_options\":null,\"n\":null,\"max_tokens\":null}"),
             a, &env, &fault),
        0);
    assert_false(env.stream);
    assert_false(env.has_stream_options);
    assert_int_equal(env.n, 1);
    assert_int_equal(env.max_tokens, -1);
    arena_free(a);
}

/* ---- splicing ---- */

static const struct splice_row {
    const char *body, *model;
    bool force;
    const char *out;
} splices[] = {
    {"{\"model\":\"m\"," M "}", NULL, false, "{\"model\":\"m\"," M "}"},
    {"{\"model\":\"m\"," M "}", NULL, true, "{\"model\":\"m\"," M "}"},
    {"{\"model\":\"m\"," M "}", "x\"y", false, "{\"model\":\"x\\\"y\"," M "}"},
    {" { \"temperature\" : 1.00 , \"model\" : \"m\" , " M " } ", "n", false,
     " { \"temperature\" : 1.00 , \"model\" : \"n\" , " M " } "},
    {"{\"model\":\"m\"," M ",\"stream\":true}", NULL, true,
     "{\"stream_options\":{\"include_usage\":true},\"model\":\"m\"," M ",\"stream\":true}"},
    {"{\"model\":\"m\"," M ",\"stream\":true,\"stream_options\":null}", "n", true,
     "{\"model\":\"n\"," M ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}"},
    {"{\"stream_options\":{ },\"model\":\"m\"," M ",\"stream\":true}", "n", true,
     "{\"stream_options\":{\"include_usage\":true },\"model\":\"n\"," M ",\"stream\":true}"},
    {"{\"stream_options\":{\"include_obfuscation\":false},\"model\":\"m\"," M ",\"stream\":true}",
     NULL, true,
     "{\"stream_options\":{\"include_usage\":true,\"include_obfuscation\":false},\"model\":\"m\"," M
     ",\"stream\":true}"},
    {"{\"model\":\"m\"," M ",\"stream\":true,\"stream_options\":{\"include_usage\":false}}", NULL,
     true, "{\"model\":\"m\"," M ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}"},
    {"{\"model\":\"m\"," M ",\"stream\":true,\"stream_options\":{\"include_usage\":null}}", "n",
     true, "{\"model\":\"n\"," M ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}"},
    {"{\"model\":\"m\"," M ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}", NULL,
     true, "{\"model\":\"m\"," M ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}"},
};

static void bodies_are_spliced(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof splices / sizeof *splices; i++) {
        const struct splice_row *r = &splices[i];
        struct slice body = slice_cstr(r->body), pieces[SPLICE_PIECES];
        struct arena *a = arena_new();
        struct envelope env;
        struct request_fault fault;
        struct buf out;
        unsigned n;
        assert_int_equal(peek(body, a, &env, &fault), 0);
        assert_int_equal(request_splice(body, &env, slice_cstr(r->model), r->force, a, pieces, &n),
                         0);
        assert_true(n <= SPLICE_PIECES);
        buf_init(&out, TEST_BYTES);
        for (unsigned k = 0; k < n; k++) put(&out, pieces[k]);
        assert_slices(buf_slice(&out), slice_cstr(r->out));
        assert_int_equal(peek(buf_slice(&out), a, &env, &fault), 0);
        assert_true(!r->force || !env.stream || env.include_usage);
        if (r->model) assert_slices(env.model, slice_cstr(r->model));
        buf_dispose(&out);
        arena_free(a);
    }
}

static void a_model_without_end_is_refused(void **state) {
    (void)state;
    static char name[70000];
    struct slice body = SLICE("{\"model\":\"m\"," M "}"), pieces[SPLICE_PIECES];
    struct arena *a = arena_new();
    struct envelope env;
    struct request_fault fault;
    unsigned n;
    memset(name, 'a', sizeof name);
    assert_int_equal(peek(body, a, &env, &fault), 0);
    assert_int_equal(
        request_splice(body, &env, slice_make(name, sizeof name), false, a, pieces, &n),
        -ERR_LIMIT);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_requests_are_refused),
        cmocka_unit_test(the_place_of_a_syntax_error_is_told),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(the_envelope_is_found),
        cmocka_unit_test(nulls_are_absent),
        cmocka_unit_test(bodies_are_spliced),
        cmocka_unit_test(a_model_without_end_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
