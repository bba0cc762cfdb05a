/* SPDX-License-Identifier: Apache-2.0 */
/* Each rule has a request that breaks it and nothing else; ordinary requests break none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <yyjson.h>

#include "docs_page.h"
#include "mock/completion.h"
#include "mock/validate.h"

#define USER     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define CHAT     "{\"model\":\"gpt-4o\"," USER
#define O3       "{\"model\":\"o3-mini\"," USER
#define COMPLETE "{\"model\":\"gpt-3.5-turbo-instruct\",\"prompt\":\"hi\""
#define RESPOND  "{\"model\":\"gpt-4o\",\"input\":\"hi\""
#define ITEMS(x) "{\"model\":\"gpt-4o\",\"input\":[" x "]}"
#define CLAUDE   "{\"model\":\"claude-x\",\"max_tokens\":4000," USER
#define TURNS(x) "{\"model\":\"m\",\"max_tokens\":4000,\"messages\":[" x "]}"
#define TALK(x)  "{\"model\":\"m\",\"messages\":[" x "]}"
#define SAYS(x)  "{\"role\":\"user\",\"content\":" x "}"
#define ASKED    SAYS("\"a\"")
#define PNG      "data:image/png;base64,aGk="
#define TOOL(x)  "\"tools\":[{\"type\":\"function\",\"function\":{" x "}}]"
#define NO_ARGS  "\"parameters\":{\"type\":\"object\",\"properties\":{}}"
#define LONG     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

struct rule_case {
    const struct dialect *dialect;
    const char *body;
    /* "rule@path" of all violations, with a blank between; "": none */
    const char *wanted;
    const char *code;                /* of the first; NULL: not looked at */
    const char *message;             /* a part of the first one's; NULL: not looked at */
};

static const struct rule_case cases[] = {
    /* ---- ordinary ---- */
    {&dialect_chat, CHAT "}", "", NULL, NULL},
    {&dialect_chat,
     CHAT ",\"temperature\":0.7,\"top_p\":1,\"n\":2,\"stream\":true,\"stream_options\":{"
          "\"include_usage\":true},\"max_tokens\":5,\"stop\":[\"a\"],\"seed\":1,\"user\":\"u\",\"logprobs\":"
          "true,\"top_logprobs\":3,\"logit_bias\":{\"50256\":-100},\"metadata\":{\"a\":\"b\"},\"store\":false,"
          "\"presence_penalty\":-2,\"response_format\":{\"type\":\"text\"},\"service_tier\":null}",
     "", NULL, NULL},
    {&dialect_chat,
     TALK("{\"role\":\"system\",\"content\":[{\"type\":\"text\",\"text\":\"s\"}]},"
          "{\"role\":\"user\",\"name\":\"n\",\"content\":[{\"type\":\"text\",\"text\":\"t\"},{\"type\":"
          "\"image_url\",\"image_url\":{\"url\":\"" PNG "\",\"detail\":\"low\"}},{\"type\":\"file\",\"file\":{"
          "\"file_id\":\"f\"}},{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"aGk=\",\"format\":\"wav\"}}]},"
          "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\","
          "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"
          "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"r\"}"),
     "", NULL, NULL},
    {&dialect_chat, CHAT "," TOOL("\"name\":\"get-it_1\"," NO_ARGS) ",\"tool_choice\":{\"type\":\"function\",\"function\":{"
                         "\"name\":\"get-it_1\"}},\"parallel_tool_calls\":false}", "", NULL, NULL},
    {&dialect_chat, "{\"model\":\"o3\",\"reasoning_effort\":\"low\",\"max_completion_tokens\":9,\"temperature\":1," USER "}", "",
     NULL, NULL},
    {&dialect_chat, "{\"model\":\"gpt-5.1\",\"reasoning_effort\":\"none\",\"temperature\":0.2," USER "}", "", NULL, NULL},
    {&dialect_chat, "{\"model\":\"gpt-5-chat-latest\",\"temperature\":0.2," USER "}", "", NULL, NULL},
    {&dialect_completions, COMPLETE ",\"max_tokens\":0,\"logprobs\":null,\"n\":1,\"stream\":false}", "", NULL, NULL},
    {&dialect_responses, RESPOND ",\"max_output_tokens\":16,\"text\":{},\"include\":[\"reasoning.encrypted_content\"],"
                         "\"truncation\":\"auto\",\"metadata\":{}}", "", NULL, NULL},
    {&dialect_responses,
     ITEMS("{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"t\"},{\"type\":\"input_image\","
           "\"image_url\":\"https://x.example/a.png\"},{\"type\":\"input_file\",\"filename\":\"a\",\"file_data\":"
           "\"data:application/pdf;base64,aGk=\"}]},"
           "{\"type\":\"message\",\"role\":\"assistant\",\"id\":\"msg_1\",\"status\":\"completed\",\"content\":[{"
           "\"type\":\"output_text\",\"text\":\"t\",\"annotations\":[]}]},"
           "{\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":\"f\",\"arguments\":\"{}\"},"
           "{\"type\":\"function_call_output\",\"call_id\":\"c1\",\"output\":\"r\"}"),
     "", NULL, NULL},
    {&dialect_messages, CLAUDE ",\"system\":[{\"type\":\"text\",\"text\":\"s\",\"cache_control\":{\"type\":\"ephemeral\"}}],"
                        "\"temperature\":1,\"stop_sequences\":[\"x\"],\"metadata\":{\"user_id\":\"u\"},\"stream\":true,"
                        "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}}", "", NULL, NULL},
    {&dialect_messages,
     TURNS(ASKED ",{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"t\"},{\"type\":\"tool_use\",\"id\":\"u1\","
           "\"name\":\"f\",\"input\":{}}]}," SAYS("[{\"type\":\"tool_result\",\"tool_use_id\":\"u1\",\"content\":[{\"type\":"
           "\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\"aGk=\"}}]},{\"type\":\"text\","
           "\"text\":\"and\"}]")),
     "", NULL, NULL},
    {&dialect_messages, CLAUDE ",\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"}},{\"type\":\"bash_20250124\","
                        "\"name\":\"bash\"}],\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\"}}", "", NULL, NULL},

    /* ---- parameters ---- */
    {&dialect_chat, CHAT ",\"temprature\":1}", "unknown-parameter@temprature", "unknown_parameter",
     "Unknown parameter: 'temprature'."},
    {&dialect_chat, CHAT ",\"response_format\":{\"type\":\"text\",\"x\":1}}", "unknown-parameter@response_format.x", NULL,
     NULL},
    {&dialect_chat, TALK("{\"role\":\"user\",\"content\":\"a\",\"reasoning_content\":\"r\"}"),
     "unknown-parameter@messages[0].reasoning_content", NULL, NULL},
    {&dialect_messages, CLAUDE ",\"presence_penalty\":1}", "unknown-parameter@presence_penalty", NULL,
     "presence_penalty: Extra inputs are not permitted"},
    {&dialect_messages, CLAUDE ",\"thinking\":{\"type\":\"disabled\",\"tokens\":1}}", "unknown-parameter@thinking.tokens", NULL,
     NULL},
    {&dialect_chat, CHAT ",\"user\":5}", "type@user", "invalid_type",
     "Invalid type for 'user': expected a string, but got an integer instead."},
    {&dialect_messages, CLAUDE ",\"container\":5}", "type@container", NULL, "container: Input should be a valid"},
    {&dialect_chat, CHAT ",\"temperature\":2.5}", "range@temperature", "decimal_above_max_value",
     "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 2.5 instead."},
    {&dialect_chat, CHAT ",\"frequency_penalty\":-3}", "range@frequency_penalty", "decimal_below_min_value", NULL},
    {&dialect_chat, CHAT ",\"top_logprobs\":21,\"logprobs\":true}", "range@top_logprobs", "integer_above_max_value", NULL},
    {&dialect_responses, RESPOND ",\"max_output_tokens\":15}", "range@max_output_tokens", "integer_below_min_value", NULL},
    {&dialect_messages, CLAUDE ",\"top_p\":1.5}", "range@top_p", NULL, "top_p: Input should be less than or equal to 1"},
    {&dialect_completions, COMPLETE ",\"presence_penalty\":3}", "range@presence_penalty", NULL, NULL},
    {&dialect_chat, CHAT ",\"verbosity\":\"loud\"}", "choice@verbosity", "invalid_value",
     "Invalid value: 'loud'. Supported values are: 'low', 'medium' and 'high'."},
    {&dialect_responses, RESPOND ",\"include\":[\"everything\"]}", "choice@include[0]", NULL, NULL},
    {&dialect_responses, RESPOND ",\"reasoning\":{\"summary\":\"long\"}}", "choice@reasoning.summary", NULL, NULL},
    {&dialect_messages, CLAUDE ",\"speed\":\"slow\"}", "choice@speed", NULL, "speed: Input should be 'standard' or 'fast'"},
    {&dialect_chat, CHAT ",\"stop\":[\"a\",\"b\",\"c\",\"d\",\"e\"]}", "length@stop", "array_above_max_length", NULL},
    {&dialect_chat, CHAT ",\"safety_identifier\":\"" LONG "\"}", "length@safety_identifier", "string_above_max_length", NULL},
    {&dialect_messages, CLAUDE ",\"stop_sequences\":[\" \"]}", "length@stop_sequences", NULL, "non-whitespace"},
    {&dialect_chat, TALK(SAYS("[{\"type\":\"text\"}]")), "missing@messages[0].content[0].text", "missing_required_parameter",
     NULL},
    {&dialect_messages, TURNS(ASKED ",{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"u1\",\"name\":\"f\"}]}"),
     "missing@messages[1].content[0].input", NULL, "messages.1.content.0.input: Field required"},
    {&dialect_chat, CHAT ",\"metadata\":{\"a\":5}}", "metadata@metadata.a", "invalid_type", NULL},
    {&dialect_chat, CHAT ",\"metadata\":{\"" LONG "\":\"v\"}}", "metadata@metadata", "string_above_max_length", NULL},
    {&dialect_responses, RESPOND ",\"metadata\":{\"1\":\"\",\"2\":\"\",\"3\":\"\",\"4\":\"\",\"5\":\"\",\"6\":\"\",\"7\":\"\","
                         "\"8\":\"\",\"9\":\"\",\"10\":\"\",\"11\":\"\",\"12\":\"\",\"13\":\"\",\"14\":\"\",\"15\":\"\",\"16\":\"\","
                         "\"17\":\"\"}}", "metadata@metadata", "object_above_max_properties", NULL},
    {&dialect_messages, CLAUDE ",\"metadata\":{\"session\":\"x\"}}", "metadata@metadata", NULL,
     "metadata.session: Extra inputs are not permitted"},
    {&dialect_chat, CHAT ",\"logit_bias\":{\"hello\":1}}", "logit-bias@logit_bias", NULL, NULL},
    {&dialect_chat, CHAT ",\"logit_bias\":{\"1\":101}}", "logit-bias@logit_bias", NULL, NULL},
    {&dialect_chat, CHAT ",\"functions\":[{\"name\":\"f\"}]}", "deprecated@functions", NULL, NULL},

    /* ---- settings and each other ---- */
    {&dialect_responses, RESPOND ",\"stream_options\":{\"include_obfuscation\":false}}", "stream-options@stream_options", NULL,
     NULL},
    {&dialect_chat, CHAT ",\"top_logprobs\":2}", "top-logprobs@top_logprobs", NULL, NULL},
    {&dialect_chat, CHAT ",\"max_tokens\":5,\"max_completion_tokens\":5}", "two-max-tokens@max_tokens",
     "invalid_parameter_combination", NULL},
    {&dialect_chat, O3 ",\"max_tokens\":5}", "reasoning-max-tokens@max_tokens", "unsupported_parameter",
     "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."},
    {&dialect_chat, O3 ",\"temperature\":0.5}", "reasoning-sampling@temperature", "unsupported_value",
     "Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) value is supported."},
    {&dialect_chat, O3 ",\"logit_bias\":{\"1\":1}}", "reasoning-sampling@logit_bias", "unsupported_parameter", NULL},
    {&dialect_responses, "{\"model\":\"gpt-5\",\"input\":\"hi\",\"top_p\":0.5}", "reasoning-sampling@top_p",
     "unsupported_parameter", "Unsupported parameter: 'top_p' is not supported with this model."},
    {&dialect_chat, CHAT ",\"reasoning_effort\":\"low\"}", "no-reasoning@reasoning_effort", NULL, NULL},
    {&dialect_responses, RESPOND ",\"reasoning\":{\"effort\":\"low\"}}", "no-reasoning@reasoning.effort", NULL, NULL},
    {&dialect_messages, CLAUDE ",\"temperature\":0.5,\"top_p\":0.5}", "sampling-twice@temperature", NULL, NULL},
    {&dialect_chat, CHAT ",\"response_format\":{\"type\":\"json_object\"}}", "json-word@messages", NULL, NULL},
    {&dialect_responses, RESPOND ",\"text\":{\"format\":{\"type\":\"json_object\"}}}", "json-word@input", NULL, NULL},

    /* ---- messages and parts ---- */
    {&dialect_chat, TALK("{\"role\":\"user\",\"content\":null}"), "empty-content@messages[0].content", NULL,
     "Invalid value for 'content': expected a string, got null."},
    {&dialect_chat, TALK(ASKED ",{\"role\":\"assistant\"}"), "empty-content@messages[1].content", NULL, NULL},
    {&dialect_chat, TALK(SAYS("[]")), "empty-content@messages[0].content", "empty_array", NULL},
    {&dialect_messages, TURNS(SAYS("\"\"")), "empty-content@messages[0].content", NULL,
     "messages.0: user messages must have non-empty content"},
    {&dialect_messages, TURNS(SAYS("[{\"type\":\"text\",\"text\":\"\"}]")), "empty-content@messages[0].content[0].text", NULL,
     "text content blocks must be non-empty"},
    {&dialect_messages, TURNS(SAYS("\" \"")), "empty-content@messages[0].content", NULL, "non-whitespace"},
    {&dialect_messages, TURNS("{\"role\":\"assistant\",\"content\":\"a\"}," ASKED), "first-message@messages[0]", NULL, NULL},
    {&dialect_messages, TURNS(ASKED ",{\"role\":\"assistant\",\"content\":\"so \"}"), "prefill@messages[1].content", NULL,
     "trailing whitespace"},
    {&dialect_chat, TALK(SAYS("[{\"type\":\"picture\"}]")), "part-type@messages[0].content[0].type", "invalid_value",
     "Invalid value: 'picture'. Supported values are: 'text', 'image_url', 'input_audio' and 'file'."},
    {&dialect_chat, TALK("{\"role\":\"system\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"" PNG "\"}}]}"),
     "part-type@messages[0].content[0].type", NULL, NULL},
    {&dialect_responses, ITEMS("{\"role\":\"assistant\",\"content\":[{\"type\":\"input_text\",\"text\":\"t\"}]}"),
     "part-type@input[0].content[0].type", NULL,
     "Invalid value: 'input_text'. Supported values are: 'output_text' and 'refusal'."},
    {&dialect_responses, ITEMS("{\"type\":\"nonsense\"}"), "part-type@input[0].type", NULL, NULL},
    {&dialect_messages, TURNS(SAYS("[{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"s\"}]")),
     "part-type@messages[0].content[0].type", NULL, NULL},
    {&dialect_chat, TALK(SAYS("[{\"type\":\"image_url\",\"image_url\":{\"url\":\"picture.png\"}}]")),
     "image@messages[0].content[0].image_url.url", "invalid_image_url", NULL},
    {&dialect_chat, TALK(SAYS("[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/tiff;base64,aGk=\"}}]")),
     "image@messages[0].content[0].image_url.url", "invalid_image_format", NULL},
    {&dialect_responses, ITEMS(SAYS("[{\"type\":\"input_image\",\"image_url\":\"data:image/png,raw\"}]")),
     "image@input[0].content[0].image_url", "invalid_base64", NULL},
    {&dialect_messages, TURNS(SAYS("[{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/tiff\",\"data\":"
                                   "\"aGk=\"}}]")), "image@messages[0].content[0].source.media_type", NULL, NULL},
    {&dialect_messages, TURNS(SAYS("[{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":"
                                   "\"" PNG "\"}}]")), "image@messages[0].content[0].source.data", NULL, NULL},
    {&dialect_chat, TALK(SAYS("[{\"type\":\"file\",\"file\":{}}]")), "file@messages[0].content[0].file", NULL, NULL},
    {&dialect_chat, TALK(SAYS("[{\"type\":\"file\",\"file\":{\"file_data\":\"data:application/pdf;base64,aGk=\"}}]")),
     "file@messages[0].content[0].file.filename", NULL, NULL},
    {&dialect_messages, TURNS(SAYS("[{\"type\":\"document\",\"source\":{\"type\":\"url\",\"url\":\"x\"}}]")),
     "file@messages[0].content[0].source.url", NULL, NULL},
    {&dialect_chat, TALK(SAYS("[{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"aGk=\",\"format\":\"ogg\"}}]")),
     "audio@messages[0].content[0].input_audio.format", NULL, NULL},
    {&dialect_responses, ITEMS("{\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":\"f\",\"arguments\":\"{oops\"}"),
     "arguments@input[0].arguments", NULL, NULL},
    {&dialect_messages,
     TURNS(ASKED ",{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"u1\",\"name\":\"f\",\"input\":{}}]}," SAYS(
         "[{\"type\":\"text\",\"text\":\"so\"},{\"type\":\"tool_result\",\"tool_use_id\":\"u1\",\"content\":\"r\"}]")),
     "results-first@messages[2].content[1]", NULL, NULL},
    {&dialect_messages,
     TURNS(SAYS("[{\"type\":\"text\",\"text\":\"1\",\"cache_control\":{}},{\"type\":\"text\",\"text\":\"2\",\"cache_control\":{}},"
                "{\"type\":\"text\",\"text\":\"3\",\"cache_control\":{}},{\"type\":\"text\",\"text\":\"4\",\"cache_control\":{}},"
                "{\"type\":\"text\",\"text\":\"5\",\"cache_control\":{}}]")),
     "cache-points@", NULL, "A maximum of 4 blocks with cache_control may be provided. Found 5."},

    /* ---- tools ---- */
    {&dialect_chat, CHAT "," TOOL("\"name\":\"get it\"," NO_ARGS) "}", "tool-name@tools[0].function.name", "invalid_value", NULL},
    {&dialect_chat, CHAT "," TOOL("\"name\":\"" LONG "\"") "}", "tool-name@tools[0].function.name", "string_above_max_length",
     NULL},
    {&dialect_messages, CLAUDE ",\"tools\":[{\"name\":\"get it\",\"input_schema\":{\"type\":\"object\"}}]}",
     "tool-name@tools[0].name", NULL, "tools.0.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"},
    {&dialect_responses, RESPOND ",\"tools\":[{\"type\":\"function\",\"name\":\"f\"},{\"type\":\"function\",\"name\":\"f\"}]}",
     "tool-twice@tools[1]", NULL, NULL},
    {&dialect_chat, CHAT "," TOOL("\"name\":\"f\",\"parameters\":{\"type\":\"string\"}") "}",
     "tool-parameters@tools[0].function.parameters", "invalid_function_parameters", NULL},
    {&dialect_messages, CLAUDE ",\"tools\":[{\"name\":\"f\",\"input_schema\":{}}]}", "tool-parameters@tools[0].input_schema.type",
     NULL, "tools.0.input_schema.type: Field required"},
    {&dialect_chat, CHAT ",\"tool_choice\":\"auto\"}", "tool-choice@tool_choice", NULL, NULL},
    {&dialect_chat, CHAT ",\"parallel_tool_calls\":true}", "tool-choice@parallel_tool_calls", NULL, NULL},
    {&dialect_responses, RESPOND ",\"tool_choice\":\"required\"}", "tool-choice@tool_choice", NULL, NULL},
    {&dialect_messages, CLAUDE ",\"tool_choice\":{\"type\":\"auto\"}}", "tool-choice@tool_choice", NULL, NULL},
    {&dialect_chat, CHAT "," TOOL("\"name\":\"f\"") ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"g\"}}}",
     "tool-choice-unknown@tool_choice", NULL, NULL},
    {&dialect_chat,
     TALK(ASKED ",{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":"
          "\"f\",\"arguments\":\"{}\"}},{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}"),
     "call-ids@messages[1].tool_calls[1].id", NULL, NULL},
    {&dialect_messages,
     TURNS(ASKED ",{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"u\",\"name\":\"f\",\"input\":{}},{\"type\":"
           "\"tool_use\",\"id\":\"u\",\"name\":\"f\",\"input\":{}}]}"),
     "use-ids@messages[1].content[1].id", NULL, "`tool_use` ids must be unique"},
    {&dialect_chat,
     CHAT ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x\",\"strict\":true,\"schema\":{\"type\":"
          "\"object\",\"properties\":{\"a\":{\"type\":\"object\",\"properties\":{},\"required\":[]}},\"required\":[\"a\"],"
          "\"additionalProperties\":false}}}}",
     "strict-schema@response_format.json_schema", NULL,
     "Invalid schema for response_format 'x': In context=('properties', 'a'), 'additionalProperties' is required to be "
     "supplied and to be false."},
    {&dialect_responses,
     RESPOND ",\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"x\",\"strict\":true,\"schema\":{\"type\":\"object\","
             "\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{}},\"required\":[\"a\"],\"additionalProperties\":false}}}}",
     "strict-schema@text.format.schema", NULL, "Missing 'b'."},
    {&dialect_chat,
     CHAT "," TOOL("\"name\":\"f\",\"strict\":true,\"parameters\":{\"type\":\"object\",\"properties\":{}}") "}",
     "strict-schema@tools[0].function.parameters", "invalid_function_parameters", NULL},
    {&dialect_messages,
     CLAUDE ",\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\",\"properties\":{\"a\":{}}}}}}",
     "strict-schema@output_config.format", NULL, NULL},
};
#define N_CASES (sizeof cases / sizeof cases[0])

/* With headers that nothing is wrong with. */
static const struct http_header good_headers[] = {
    {{"content-type", 12}, {"application/json; charset=utf-8", 31}},
    {{"authorization", 13}, {"Bearer x", 8}},
    {{"anthropic-version", 17}, {"2023-06-01", 10}},
};

static void validate(const struct dialect *d, const char *body, const struct http_headers *h,
                     struct arena *a, struct violations *out) {
    struct llm_request rq;
    struct request_fault fault;
    struct slice text = slice_cstr(body);
    int rc = d == &dialect_completions ? completion_decode(text, a, &rq, &fault)
                                       : d->decode_request(text, a, &rq, &fault);
    if (rc < 0) {
        fail_msg("%s: %s", body, fault.message);
    }
    const struct validate_request in = {
        .api = api_of_dialect(d), .headers = h, .body = text, .rq = &rq};
    *out = (struct violations){0};
    validate_request(&in, a, out);
}

static void list_of(const struct violations *v, char *out, size_t size) {
    out[0] = '\0';
    for (const struct violation *at = v->first; at; at = at->next) {
        snprintf(out + strlen(out), size - strlen(out), "%s%s@%s", at == v->first ? "" : " ",
                 validate_rules[at->rule].id, at->path);
    }
}

static void check_case(const struct rule_case *rc) {
    const struct http_headers headers = {good_headers, 3};
    struct arena *a = arena_new();
    struct violations v;
    char found[1024];
    validate(rc->dialect, rc->body, &headers, a, &v);
    list_of(&v, found, sizeof found);
    if (strcmp(found, rc->wanted) != 0) {
        fail_msg("%s\n  found: %s\n  wanted: %s", rc->body, found, rc->wanted);
    }
    if (rc->code && (!v.first->code || strcmp(v.first->code, rc->code) != 0)) {
        fail_msg("%s: code %s", rc->body, v.first->code ? v.first->code : "null");
    }
    if (rc->message && !strstr(v.first->message, rc->message)) {
        fail_msg("%s: message %s", rc->body, v.first->message);
    }
    arena_free(a);
}

static void test_rules(void **state) {
    (void)state;
    for (size_t i = 0; i < N_CASES; i++) {
        check_case(&cases[i]);
    }
}

static void test_headers(void **state) {
    static const struct http_header bad[] = {{{"content-type", 12}, {"text/plain", 10}}};
    const struct http_headers none = {bad, 1};
    struct arena *a = arena_new();
    struct violations v;
    char found[256];
    (void)state;
    validate(&dialect_messages, CLAUDE "}", &none, a, &v);
    list_of(&v, found, sizeof found);
    assert_string_equal(found, "content-type@ version-header@");
    assert_int_equal(v.n_errors, 2);
    validate(&dialect_chat, CHAT "}", &none, a, &v);
    list_of(&v, found, sizeof found);
    assert_string_equal(found, "content-type@");
    struct api_error er;
    validate_api_error(validate_error(&v), &er);
    assert_int_equal(er.status, 415);
    assert_true(slice_eq(er.code, SLICE("unsupported_content_type")));
    assert_null(er.param.ptr);
    validate(&dialect_chat, CHAT "}", NULL, a, &v);
    assert_int_equal(v.n, 0);
    arena_free(a);
}

/* What is refused before is told in the same way. */
static void test_refused(void **state) {
    struct request_fault fault = {.code = "invalid_type", .param = "messages", .message = "Why."};
    struct arena *a = arena_new();
    struct violations v = {0};
    struct api_error er;
    struct buf out;
    (void)state;
    buf_init(&out, 4096);
    validate_refused(&v, RULE_UNREADABLE, &fault, a);
    validate_api_error(validate_error(&v), &er);
    assert_int_equal(er.status, 400);
    assert_true(slice_eq(er.param, SLICE("messages")));
    assert_int_equal(validate_write(&v, &out), 0);
    assert_true(slice_eq(buf_slice(&out),
                         SLICE("{\"rule\":\"unreadable\",\"severity\":\"error\",\"path\":\"messages\","
                               "\"message\":\"Why.\"}")));
    buf_dispose(&out);
    arena_free(a);
}

static bool has_case(unsigned rule) {
    const struct rule *r = &validate_rules[rule];
    char start[64];
    snprintf(start, sizeof start, "%s@", r->id);
    for (size_t i = 0; i < N_CASES; i++) {
        if (strstr(cases[i].wanted, start)) return true;
    }
    return rule <= RULE_VERSION_HEADER;      /* the tests above */
}

/* Rows are whole, have names of their own, and a request that breaks them. */
static void test_table(void **state) {
    (void)state;
    for (unsigned i = 0; i < RULE_COUNT; i++) {
        const struct rule *r = &validate_rules[i];
        assert_non_null(r->id);
        assert_true(r->dialects > 0 && r->dialects <= RULE_ALL);
        assert_true(strlen(r->what) > 20 && r->what[strlen(r->what) - 1] != ' ');
        for (unsigned k = 0; k < i; k++) {
            assert_string_not_equal(r->id, validate_rules[k].id);
        }
        if (!has_case(i)) {
            fail_msg("no request breaks %s", r->id);
        }
    }
}

/* A request with very much wrong with it: the number is told, the list ends. */
static int append_names(struct buf *b, const char *format, unsigned from, unsigned to) {
    int rc = 0;
    for (unsigned i = from; i < to; i++) {
        rc |= buf_append(b, i > from ? SLICE(",") : SLICE("")) | buf_appendf(b, format, i);
    }
    return rc;
}

/* Each property is looked for in all that is required: what would take hours is believed. */
static void test_large_strict_schema(void **state) {
    static const struct {
        unsigned n_properties, n_errors;
    } schemas[] = {{20, 1}, {20000, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof schemas / sizeof schemas[0]; i++) {
        struct arena *a = arena_new();
        struct violations v;
        struct buf body;
        unsigned n = schemas[i].n_properties;
        buf_init(&body, 2 << 20);
        assert_int_equal(buf_append(&body, SLICE(CHAT ",\"response_format\":{\"type\":\"json_schema\","
                                                 "\"json_schema\":{\"name\":\"x\",\"strict\":true,"
                                                 "\"schema\":{\"type\":\"object\","
                                                 "\"additionalProperties\":false,\"properties\":{")), 0);
        assert_int_equal(append_names(&body, "\"p%u\":{\"type\":\"null\"}", 0, n), 0);
        assert_int_equal(buf_append(&body, SLICE("},\"required\":[")), 0);
        assert_int_equal(append_names(&body, "\"p%u\"", 0, n - 1), 0);
        assert_int_equal(buf_append(&body, slice_make("]}}}}", 6)), 0);
        validate(&dialect_chat, body.ptr, NULL, a, &v);
        assert_int_equal(v.n_errors, schemas[i].n_errors);
        buf_dispose(&body);
        arena_free(a);
    }
}

static void test_many(void **state) {
    struct arena *a = arena_new();
    struct violations v;
    struct buf body;
    unsigned listed = 0;
    (void)state;
    buf_init(&body, 1 << 20);
    assert_int_equal(buf_append(&body, SLICE(CHAT)), 0);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(buf_appendf(&body, ",\"x%u\":1", i), 0);
    }
    assert_int_equal(buf_append(&body, slice_make(",\"n\":1}", 8)), 0);
    validate(&dialect_chat, body.ptr, NULL, a, &v);
    for (const struct violation *at = v.first; at; at = at->next) listed++;
    assert_int_equal(v.n, 1000);
    assert_int_equal(v.n_errors, 0);
    assert_int_equal(listed, VIOLATIONS_MAX);
    buf_dispose(&body);
    arena_free(a);
}

static void test_every_rule_is_on_the_page(void **state) {
    struct buf page;
    (void)state;
    buf_init(&page, 1 << 20);
    assert_int_equal(validate_write_docs(&page), 0);
    for (unsigned i = 0; i < RULE_COUNT; i++) {
        struct slice what = slice_cstr(validate_rules[i].what);
        assert_non_null(memmem(page.ptr, page.len, what.ptr, what.len));
    }
    buf_dispose(&page);
}

static void test_the_page_is_up_to_date(void **state) {
    (void)state;
    struct buf page = docs_page("validation.md"), want;
    buf_init(&want, 1 << 20);
    assert_int_equal(validate_write_docs(&want), 0);
    assert_page_is(&page, buf_slice(&want), "penstock mock --docs rules > docs/validation.md");
    buf_dispose(&want);
    buf_dispose(&page);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),   cmocka_unit_test(test_headers),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_table),
        cmocka_unit_test(test_large_strict_schema),
        cmocka_unit_test(test_many),    cmocka_unit_test(test_every_rule_is_on_the_page),
        cmocka_unit_test(test_the_page_is_up_to_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
