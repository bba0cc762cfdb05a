/* SPDX-License-Identifier: Apache-2.0 */
/* Whole answers: read into the events that their stream would have, and written from them. */
#include "dialect_test.h"

#define HEAD                                                                                       \
    "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":"

static void read_body(const char *body, int expected_rc, struct buf *out, struct err *e) {
    struct event_sink sink = {collect_event, out};
    buf_init(out, TEST_BYTES);
    assert_int_equal(dialect_messages.decode_response(slice_cstr(body), &sink, e), expected_rc);
}

static void expect_events(const char *body, const char *events) {
    struct buf b;
    struct err e;
    read_body(body, 0, &b, &e);
    assert_slices(buf_slice(&b), slice_cstr(events));
    buf_dispose(&b);
}

static void every_block_is_read(void **state) {
    (void)state;
    expect_events(
        HEAD "[{\"type\":\"thinking\",\"thinking\":\"Hm\",\"signature\":\"c2ln\"},"
             "{\"type\":\"redacted_thinking\",\"data\":\"ZW5j\"},"
             "{\"type\":\"text\",\"text\":\"a\\u00e9\",\"citations\":[{\"type\":"
             "\"web_search_result_location\",\"url\":\"https://e\",\"title\":\"T\"}]},"
             "{\"type\":\"server_tool_use\",\"id\":\"s\",\"name\":\"w\",\"input\":{\"q\":1}},"
             "{\"type\":\"tool_use\",\"id\":\"toolu_a\",\"name\":\"f\",\"input\":{\"n\":1.0}},"
             "{\"type\":\"tool_use\",\"id\":\"toolu_b\",\"name\":\"g\",\"input\":{}}],"
             "\"stop_reason\":\"tool_use\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":10,"
             "\"cache_read_input_tokens\":90,\"output_tokens\":7,\"service_tier\":\"standard\"}}",
        "start id=\"msg_1\" model=\"m\" role=\"assistant\" tier=\"default\"\n"
        "block_begin 0/0 reasoning\n"
        "delta 0/0 reasoning @0 \"Hm\" +content\n"
        "signature 0/0 reasoning @0 \"c2ln\"\n"
        "block_end 0/0 reasoning\n"
        "block_begin 0/1 redacted\n"
        "signature 0/1 redacted @0 \"ZW5j\"\n"
        "block_end 0/1 redacted\n"
        "block_begin 0/2 text\n"
        "delta 0/2 text @0 \"a\xc3\xa9\" +content\n"
        "annotation 0 text url=\"https://e\" title=\"T\" {\"type\":\"web_search_result_location\","
        "\"url\":\"https://e\",\"title\":\"T\"}\n"
        "block_end 0/2 text\n"
        "block_begin 0/3 opaque {\"type\":\"server_tool_use\",\"id\":\"s\",\"name\":\"w\","
        "\"input\":{\"q\":1}}\n"
        "block_end 0/3 opaque\n"
        "block_begin 0/4 tool_call id=\"toolu_a\" name=\"f\" wire=4 input={\"n\":1.0} +content\n"
        "block_end 0/4 tool_call\n"
        "block_begin 0/5 tool_call id=\"toolu_b\" name=\"g\" wire=5 +content\n"
        "block_end 0/5 tool_call\n"
        "usage in=100 out=7 cache_read=90\n"
        "finish 0 tool wire=\"tool_use\"\n"
        "end +last\n");
}

static void an_error_for_an_answer_is_an_error(void **state) {
    (void)state;
    expect_events("{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":"
                  "\"Overloaded\"}}",
                  "error 503 message=\"Overloaded\" type=\"overloaded_error\" "
                  "raw={\"type\":\"overloaded_error\",\"message\":\"Overloaded\"} +last\n");
    expect_events("{\"error\":\"model not loaded\"}",
                  "error 0 message=\"model not loaded\" raw={\"error\":\"model not loaded\"} "
                  "+last\n");
}

static void what_is_no_answer_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *body, *problem;
    } cases[] = {
        {"{\"type\":\"message\"}", "an answer without content"},
        {"[]", "an answer without content"},
        {HEAD "\"text\",\"stop_reason\":\"end_turn\"}", "an answer without content"},
        {HEAD "[],\"stop_reason\":null}", "an answer without a stop reason"},
        {"<html>", "not JSON: unexpected character, expected a valid JSON value at byte 0 of 6"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b;
        struct err e;
        read_body(cases[i].body, -ERR_PROTOCOL, &b, &e);
        assert_int_equal(b.len, 0);
        if (i < 4) assert_string_equal(e.text, cases[i].problem);
        buf_dispose(&b);
    }
}

static void strange_blocks_are_survived(void **state) {
    (void)state;
    struct buf b;
    struct err e;
    expect_events(HEAD "[null,{\"type\":\"text\",\"text\":null},{\"type\":\"new\",\"x\":\n1}],"
                       "\"stop_reason\":\"end_turn\"}",
                  "start id=\"msg_1\" model=\"m\" role=\"assistant\"\n"
                  "block_begin 0/0 text\n"
                  "block_end 0/0 text\n"
                  "block_begin 0/1 opaque {\"type\":\"new\",\"x\": 1}\n"
                  "block_end 0/1 opaque\n"
                  "finish 0 end wire=\"end_turn\"\n"
                  "end +last\n");
    read_body(HEAD "[{\"x\":1}],\"stop_reason\":\"end_turn\"}", -ERR_PROTOCOL, &b, &e);
    assert_string_equal(e.text, "a block without a type");
    buf_dispose(&b);
    read_body(HEAD "[{\"type\":\"text\",\"text\":\"a\"},7],\"stop_reason\":\"end_turn\"}", -ERR_PROTOCOL,
              &b, &e);
    assert_string_equal(e.text, "a block that is not an object");
    buf_dispose(&b);
}

/* ---- writing ---- */

static int reduce(void *self, const struct event *ev) {
    return answer_add(self, ev);
}

static const struct encoder_options options = {.id = {"msg_made", 8}, .model = {"fast", 4}};

static void expect_body(const struct event *events, unsigned n, const char *body) {
    struct answer *an = answer_new(TEST_BYTES);
    struct buf b;
    buf_init(&b, TEST_BYTES);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(answer_add(an, &events[i]), 0);
    assert_int_equal(dialect_messages.encode_response(an, &options, &b), body ? 0 : -ERR_PROTOCOL);
    if (body)
        assert_slices(buf_slice(&b), slice_cstr(body));
    else
        assert_int_equal(b.len, 0);
    buf_dispose(&b);
    answer_free(an);
}

#define EXPECT_BODY(events, body) expect_body(events, sizeof events / sizeof *events, body)

static void an_upstream_s_own_body_comes_back(void **state) {
    (void)state;
    static const char body[] = HEAD
        "[{\"type\":\"thinking\",\"thinking\":\"Hm\",\"signature\":\"c2ln\"},"
        "{\"type\":\"redacted_thinking\",\"data\":\"ZW5j\"},"
        "{\"type\":\"text\",\"text\":\"a\",\"citations\":[{\"type\":\"char_location\",\"n\":1.0},"
        "{\"type\":\"page_location\"}]},"
        "{\"type\":\"web_search_tool_result\",\"tool_use_id\":\"s\",\"content\":[1e400]},"
        "{\"type\":\"tool_use\",\"id\":\"toolu_a\",\"name\":\"f\",\"input\":{\"n\":1.0}},"
        "{\"type\":\"tool_use\",\"id\":\"toolu_b\",\"name\":\"g\",\"input\":{}}],"
        "\"stop_reason\":\"stop_sequence\",\"stop_sequence\":\"E\",\"stop_details\":{\"x\":1},"
        "\"usage\":{\"input_tokens\":10,\"cache_creation_input_tokens\":0,"
        "\"cache_read_input_tokens\":90,\"output_tokens\":7,\"output_tokens_details\":"
        "{\"thinking_tokens\":0},\"service_tier\":\"batch\"}}";
    struct answer *an = answer_new(TEST_BYTES);
    struct event_sink sink = {reduce, an};
    struct buf b;
    buf_init(&b, TEST_BYTES);
    assert_int_equal(dialect_messages.decode_response(slice_cstr(body), &sink, NULL), 0);
    assert_int_equal(dialect_messages.encode_response(an, &options, &b), 0);
    assert_slices(buf_slice(&b), slice_cstr(body));
    buf_dispose(&b);
    answer_free(an);
}

#define FOREIGN                                                                                    \
    {                                                                                              \
        .kind = EV_START, .u.start = {.origin = "chat", .id = {"c", 1}, .created = 1 }             \
    }
#define MADE                                                                                       \
    "{\"id\":\"msg_made\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"fast\","         \
    "\"content\":["
#define NO_USAGE                                                                                   \
    "\"usage\":{\"input_tokens\":0,\"cache_creation_input_tokens\":0,"                             \
    "\"cache_read_input_tokens\":0,\"output_tokens\":0}}"
#define TAIL(reason) "],\"stop_reason\":\"" reason "\",\"stop_sequence\":null," NO_USAGE

static void arguments_become_an_object(void **state) {
    (void)state;
    static const struct {
        const char *args, *input;
    } cases[] = {
        {"", "{}"},
        {" \n", "{}"},
        {" {\"a\":1.0}\n", "{\"a\":1.0}"},
        {"{\"a\":\n1}", "{\"a\": 1}"},
        {"[1]", "{\"value\":[1]}"},
        {"\"s\"", "{\"value\":\"s\"}"},
        {"{\"a\":", "{\"_raw\":\"{\\\"a\\\":\"}"},
        {"{}}", "{\"_raw\":\"{}}\"}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct event events[] = {
            FOREIGN,
            {.kind = EV_BLOCK_BEGIN,
             .block_kind = BLOCK_TOOL_CALL,
             .u.begin = {.id = {"a", 1}, .name = {"f", 1}}},
            {.kind = EV_DELTA, .block_kind = BLOCK_TOOL_CALL, .text = slice_cstr(cases[i].args)},
            {.kind = EV_FINISH, .u.finish = {.reason = STOP_END}}};
        char body[512];
        snprintf(body, sizeof body,
                 MADE "{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":%s}" TAIL(
                     "tool_use"),
                 cases[i].input);
        EXPECT_BODY(events, body);
    }
}

static void parts_of_reasoning_are_paragraphs(void **state) {
    (void)state;
    const struct event events[] = {
        FOREIGN,
        {.kind = EV_BLOCK_BEGIN, .block_kind = BLOCK_REASONING},
        {.kind = EV_PART, .block_kind = BLOCK_REASONING},
        {.kind = EV_DELTA, .block_kind = BLOCK_REASONING, .text = SLICE("one")},
        {.kind = EV_PART, .block_kind = BLOCK_REASONING},
        {.kind = EV_DELTA, .block_kind = BLOCK_REASONING, .text = SLICE("two")},
        {.kind = EV_BLOCK_END, .block_kind = BLOCK_REASONING},
        {.kind = EV_BLOCK_BEGIN, .block = 1, .block_kind = BLOCK_REASONING},
        {.kind = EV_BLOCK_BEGIN, .block = 2, .block_kind = BLOCK_REFUSAL},
        {.kind = EV_DELTA, .block = 2, .block_kind = BLOCK_REFUSAL, .text = SLICE("No.")},
        {.kind = EV_FINISH, .u.finish = {.reason = STOP_END}}};
    EXPECT_BODY(events,
                MADE "{\"type\":\"thinking\",\"thinking\":\"one\\n\\ntwo\",\"signature\":\"\"},"
                     "{\"type\":\"text\",\"text\":\"No.\"}" TAIL("refusal"));
}

static void deltas_of_unknown_blocks_are_merged(void **state) {
    (void)state;
    static const struct event start = {
        .kind = EV_START, .u.start = {.origin = "messages", .id = {"i", 1}, .model = {"m", 1}}};
    static const struct {
        const char *block, *deltas[3], *merged;
    } cases[] = {
        {"{\"type\":\"server_tool_use\",\"input\":{},\"name\":\"w\"}",
         {"{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"q\\\":\"}",
          "{\"type\":\"input_json_delta\",\"partial_json\":\"1}\"}"},
         "{\"type\":\"server_tool_use\",\"input\":{\"q\":1},\"name\":\"w\"}"},
        {"{\"type\":\"server_tool_use\",\"input\":{\"a\":1}}",
         {"{\"type\":\"input_json_delta\",\"partial_json\":\"\"}"},
         "{\"type\":\"server_tool_use\",\"input\":{\"a\":1}}"},
        {"{\"type\":\"compaction\",\"content\":null}",
         {"{\"type\":\"compaction_delta\",\"content\":\"a\"}",
          "{\"type\":\"compaction_delta\",\"content\":\"\\u00e9\","
          "\"encrypted\\u005fcontent\":\"x\"}",
          "{\"type\":\"compaction_delta\",\"n\":1,\"n\":{\"a\":2.0}}"},
         "{\"type\":\"compaction\",\"content\":\"a\xc3\xa9\",\"encrypted_content\":\"x\","
         "\"n\":{\"a\":2.0}}"},
        {"{\"type\":\"new\",\"text\":\"a\"}",
         {"{\"type\":\"new_delta\",\"text\":\"b\"}"},
         "{\"type\":\"new\",\"text\":\"ab\"}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct event events[6] = {start,
                                  {.kind = EV_BLOCK_BEGIN,
                                   .block_kind = BLOCK_OPAQUE,
                                   .raw_json = slice_cstr(cases[i].block)}};
        unsigned n = 2;
        for (unsigned k = 0; k < 3 && cases[i].deltas[k]; k++)
            events[n++] = (struct event){.kind = EV_OPAQUE,
                                         .block_kind = BLOCK_OPAQUE,
                                         .raw_json = slice_cstr(cases[i].deltas[k])};
        events[n++] = (struct event){.kind = EV_FINISH, .u.finish = {.reason = STOP_END}};
        char body[512];
        snprintf(body, sizeof body,
                 "{\"id\":\"i\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\","
                 "\"content\":[%s" TAIL("end_turn"),
                 cases[i].merged);
        expect_body(events, n, body);
    }
}

static void nothing_is_invented(void **state) {
    (void)state;
    const struct event unfinished[] = {FOREIGN, {.kind = EV_BLOCK_BEGIN, .block_kind = BLOCK_TEXT}};
    const struct event failed[] = {FOREIGN,
                                   {.kind = EV_FINISH, .u.finish = {.reason = STOP_ERROR}}};
    const struct event error[] = {FOREIGN,
                                  {.kind = EV_FINISH, .u.finish = {.reason = STOP_END}},
                                  {.kind = EV_ERROR, .u.error = {.message = {"m", 1}}}};
    const struct event empty[] = {FOREIGN, {.kind = EV_FINISH, .u.finish = {.reason = STOP_END}}};
    EXPECT_BODY(unfinished, NULL);
    EXPECT_BODY(failed, NULL);
    EXPECT_BODY(error, NULL);
    EXPECT_BODY(empty, MADE TAIL("end_turn"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_block_is_read),
        cmocka_unit_test(an_error_for_an_answer_is_an_error),
        cmocka_unit_test(what_is_no_answer_is_refused),
        cmocka_unit_test(strange_blocks_are_survived),
        cmocka_unit_test(an_upstream_s_own_body_comes_back),
        cmocka_unit_test(arguments_become_an_object),
        cmocka_unit_test(parts_of_reasoning_are_paragraphs),
        cmocka_unit_test(deltas_of_unknown_blocks_are_merged),
        cmocka_unit_test(nothing_is_invented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
