/* SPDX-License-Identifier: Apache-2.0 */
/* Each rule of the grammar, broken once. */
#include "dialect_test.h"

#include "sse/sse.h"

/* name: NULL for none */
static int feed(struct checker *c, const char *name, const char *data, struct err *e) {
    struct sse_frame f = {.data = slice_cstr(data), .flags = SSE_EVENT | SSE_DATA};
    if (name) {
        f.name = slice_cstr(name);
        f.flags |= SSE_NAME;
    }
    return dialect_messages.checker_frame(c, &f, e);
}

/* Payloads; the name of each is its type, but where the line begins with "name:". */
struct row {
    const char *frames[12];
    const char *problem; /* of the last frame, or of the end; NULL: none */
};

#define MESSAGE                                                                                    \
    "\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"x\",\"content\":[],"     \
    "\"usage\":{\"input_tokens\":1,\"output_tokens\":0}"
#define START       "{\"type\":\"message_start\",\"message\":{" MESSAGE "}}"
#define BLOCK(i, b) "{\"type\":\"content_block_start\",\"index\":" #i ",\"content_block\":{" b "}}"
#define TEXT(i)     BLOCK(i, "\"type\":\"text\",\"text\":\"\"")
#define TOOL(i)     BLOCK(i, "\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}")
#define THINKING(i) BLOCK(i, "\"type\":\"thinking\",\"thinking\":\"\"")
#define DELTA(i, d) "{\"type\":\"content_block_delta\",\"index\":" #i ",\"delta\":{" d "}}"
#define A(i)        DELTA(i, "\"type\":\"text_delta\",\"text\":\"a\"")
#define ARGS(i, s)  DELTA(i, "\"type\":\"input_json_delta\",\"partial_json\":\"" s "\"")
#define STOP(i)     "{\"type\":\"content_block_stop\",\"index\":" #i "}"
#define FINISH(reason)                                                                             \
    "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"" reason                             \
    "\"},\"usage\":{\"output_tokens\":1}}"
#define END   "{\"type\":\"message_stop\"}"
#define PING  "{\"type\":\"ping\"}"
#define ERROR "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"m\"}}"

static const struct row rows[] = {
    /* sound ones */
    {{START, TEXT(0), A(0), STOP(0), FINISH("end_turn"), END}, NULL},
    {{PING, START, PING, TEXT(0), PING, A(0), STOP(0), PING, FINISH("end_turn"), PING, END}, NULL},
    {{START, FINISH("refusal"), END}, NULL},
    {{START, TOOL(0), STOP(0), TOOL(1), ARGS(1, "{\\\"a\\\":\\\"}\\\\\\\"\\\"}"), ARGS(1, " "),
      STOP(1), FINISH("tool_use"), END},
     NULL},
    {{START, TOOL(0), ARGS(0, "{\\\"a"), STOP(0), FINISH("max_tokens"), END}, NULL},
    {{START, TEXT(0), ERROR}, NULL},
    {{ERROR}, NULL},
    {{START, THINKING(0), DELTA(0, "\"type\":\"thinking_delta\",\"thinking\":\"a\""),
      DELTA(0, "\"type\":\"signature_delta\",\"signature\":\"\""), STOP(0), FINISH("end_turn"),
      END},
     NULL},
    {{START, BLOCK(0, "\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\""), STOP(0),
      FINISH("end_turn"), END},
     NULL},
    {{START, BLOCK(0, "\"type\":\"redacted_thinking\",\"data\":\"x\""), STOP(0), FINISH("end_turn"),
      END},
     NULL},
    {{START, BLOCK(0, "\"type\":\"server_tool_use\",\"id\":\"s\""), ARGS(0, "[1"), STOP(0),
      BLOCK(1, "\"type\":\"web_search_tool_result\""), STOP(1), FINISH("end_turn"), END},
     NULL},
    {{START, BLOCK(0, "\"type\":\"new\""), DELTA(0, "\"type\":\"newer\""), STOP(0),
      "{\"type\":\"unheard_of\"}", FINISH("end_turn"), END},
     NULL},
    {{START, "{\"type\":\"message_delta\",\"delta\":{},\"usage\":{\"output_tokens\":1}}",
      FINISH("end_turn"), END},
     NULL},
    {{START, BLOCK(0, "\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"a\":1}"),
      STOP(0), FINISH("tool_use"), END},
     NULL},
    /* frames */
    {{"[DONE]"}, "data that is not JSON"},
    {{"name:ping {\"a\":1}"}, "an event without a type"},
    {{"name:ping []"}, "an event without a type"},
    {{"name: {\"type\":\"ping\"}"}, "an event without its name"},
    {{"name:pong {\"type\":\"ping\"}"}, "an event's name is not its type"},
    /* the start */
    {{TEXT(0)}, "a block before message_start"},
    {{A(0)}, "a delta for a block that is not open"},
    {{FINISH("end_turn")}, "message_delta before message_start"},
    {{END}, "message_stop before message_delta"},
    {{START, START}, "a second message_start"},
    {{START, TEXT(0), START}, "a second message_start"},
    {{"{\"type\":\"message_start\"}"}, "message_start without a message"},
    {{"{\"type\":\"message_start\",\"message\":{\"id\":\"m\"}}"},
     "message_start without id or model"},
    {{"{\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"x\",\"role\":\"user\"}}"},
     "message_start whose message is not an assistant's"},
    {{"{\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"x\",\"type\":\"message\","
      "\"role\":\"assistant\"}}"},
     "message_start whose content is not []"},
    {{"{\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"x\",\"type\":\"message\","
      "\"role\":\"assistant\",\"content\":[],\"usage\":{\"input_tokens\":null,\"output_tokens\":0}"
      "}}"},
     "message_start without input_tokens and output_tokens"},
    /* blocks */
    {{START, TEXT(1)}, "a block's index is not the next one"},
    {{START, TEXT(0), STOP(0), TEXT(0)}, "a block's index is not the next one"},
    {{START, TEXT(0), STOP(0), TEXT(2)}, "a block's index is not the next one"},
    {{START, "{\"type\":\"content_block_start\",\"content_block\":{\"type\":\"text\",\"text\":"
             "\"\"}}"},
     "a block's index is not the next one"},
    {{START, TEXT(0), TEXT(1)}, "a block begins while another is open"},
    {{START, TEXT(0), A(1)}, "a delta for a block that is not open"},
    {{START, TEXT(0), STOP(0), A(0)}, "a delta for a block that is not open"},
    {{START, TEXT(0), STOP(1)}, "content_block_stop for a block that is not open"},
    {{START, TEXT(0), STOP(0), STOP(0)}, "content_block_stop for a block that is not open"},
    {{START, FINISH("end_turn"), TEXT(0)}, "a block after message_delta"},
    {{START, BLOCK(0, "\"type\":\"text\"")}, "a text block without text"},
    {{START, BLOCK(0, "\"type\":\"text\",\"text\":null")}, "a text block without text"},
    {{START, BLOCK(0, "\"type\":\"thinking\"")}, "a thinking block without thinking"},
    {{START, BLOCK(0, "\"text\":\"\"")}, "a block without a type"},
    {{START, BLOCK(0, "\"type\":\"redacted_thinking\"")}, "a redacted_thinking block without data"},
    {{START, BLOCK(0, "\"type\":\"tool_use\",\"id\":\"\",\"name\":\"f\",\"input\":{}")},
     "a tool_use without id or name"},
    {{START, BLOCK(0, "\"type\":\"tool_use\",\"id\":\"t\",\"input\":{}")},
     "a tool_use without id or name"},
    {{START, BLOCK(0, "\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":\"\"")},
     "a tool_use whose input is not an object"},
    {{START, THINKING(0), STOP(0)}, "a thinking block without signature"},
    /* deltas */
    {{START, TEXT(0), DELTA(0, "\"text\":\"a\"")}, "a delta without a type"},
    {{START, TEXT(0), DELTA(0, "\"type\":\"text_delta\",\"text\":null")},
     "a delta without its text"},
    {{START, TEXT(0), ARGS(0, "{}")}, "a delta of another kind than its block"},
    {{START, TEXT(0), DELTA(0, "\"type\":\"thinking_delta\",\"thinking\":\"a\"")},
     "a delta of another kind than its block"},
    {{START, TOOL(0), A(0)}, "a delta of another kind than its block"},
    {{START, THINKING(0), A(0)}, "a delta of another kind than its block"},
    {{START, BLOCK(0, "\"type\":\"redacted_thinking\",\"data\":\"x\""), A(0)},
     "a delta of another kind than its block"},
    {{START, BLOCK(0, "\"type\":\"redacted_thinking\",\"data\":\"x\""),
      DELTA(0, "\"type\":\"newer\"")},
     "a delta of a block that has none"},
    /* arguments */
    {{START, TOOL(0), ARGS(0, "[1]")}, "a call's arguments are not one JSON object"},
    {{START, TOOL(0), ARGS(0, "{}"), ARGS(0, "}")}, "a call's arguments are not one JSON object"},
    {{START, TOOL(0), ARGS(0, "{}"), ARGS(0, "{}")}, "a call's arguments are not one JSON object"},
    {{START, TOOL(0), ARGS(0, " \\n"), STOP(0)}, "a call's arguments are blank"},
    {{START, TOOL(0), ARGS(0, "{\\\"a\\\":\\\"}"), STOP(0), FINISH("tool_use")},
     "a call's arguments are cut, the answer is not"},
    {{START, BLOCK(0, "\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"a\":1}"),
      ARGS(0, "{}")},
     "a call's arguments are not one JSON object"},
    /* the end */
    {{START, TEXT(0), FINISH("end_turn")}, "message_delta while a block is open"},
    {{START, "{\"type\":\"message_delta\",\"usage\":{\"output_tokens\":1}}"},
     "message_delta without a delta"},
    {{START, "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}"},
     "message_delta without output_tokens"},
    {{START, TOOL(0), STOP(0), FINISH("end_turn")}, "end_turn after a call"},
    {{START, END}, "message_stop before message_delta"},
    {{START,
      "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":null},\"usage\":"
      "{\"output_tokens\":1}}",
      END},
     "message_stop without a stop reason"},
    {{START, FINISH("end_turn"), END, END}, "an event after message_stop"},
    {{START, FINISH("end_turn"), END, PING}, "an event after message_stop"},
    {{ERROR, PING}, "an event after an error"},
    {{"{\"type\":\"error\",\"error\":\"text\"}"}, "an error without type or message"},
};

static struct slice type_of(struct slice data, char *out, size_t size) {
    struct json_member m;
    *out = '\0';
    if (json_find_member(data, SLICE("type"), &m) && m.value.len > 2)
        snprintf(out, size, "%.*s", (int)m.value.len - 2, m.value.ptr + 1);
    return slice_cstr(out);
}

static int feed_row(struct checker *c, const char *frame, struct err *e) {
    char name[64];
    if (strncmp(frame, "name:", 5) != 0) {
        type_of(slice_cstr(frame), name, sizeof name);
        return feed(c, name[0] ? name : NULL, frame, e);
    }
    const char *data = strchr(frame, ' ') + 1;
    snprintf(name, sizeof name, "%.*s", (int)(data - 1 - (frame + 5)), frame + 5);
    return feed(c, name[0] ? name : NULL, data, e);
}

static void each_rule_is_checked(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct checker *c = dialect_messages.checker_new();
        struct err e = {0};
        unsigned n = 0;
        int rc = 0;
        for (; rows[i].frames[n]; n++) {
            if (rc) fail_msg("row %zu, frame %u: %s", i, n, e.text);
            rc = feed_row(c, rows[i].frames[n], &e);
        }
        if (rows[i].problem) {
            char expected[200];
            snprintf(expected, sizeof expected, "frame %u: %s", n, rows[i].problem);
            assert_int_equal(rc, -ERR_PROTOCOL);
            assert_string_equal(e.text, expected);
        } else {
            if (rc) fail_msg("row %zu, frame %u: %s", i, n, e.text);
            assert_int_equal(dialect_messages.checker_end(c, &e), 0);
        }
        dialect_messages.checker_free(c);
    }
}

static void a_sound_stream_cut_anywhere_is_not_whole(void **state) {
    (void)state;
    static const char *const frames[] = {START, TEXT(0), A(0), STOP(0), FINISH("end_turn")};
    struct checker *c = dialect_messages.checker_new();
    struct err e;
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        assert_int_equal(dialect_messages.checker_end(c, &e), -ERR_PROTOCOL);
        assert_string_equal(e.text, "the stream ended before message_stop");
        assert_int_equal(feed_row(c, frames[i], &e), 0);
    }
    assert_int_equal(dialect_messages.checker_end(c, &e), -ERR_PROTOCOL);
    assert_int_equal(feed_row(c, END, &e), 0);
    assert_int_equal(dialect_messages.checker_end(c, &e), 0);
    dialect_messages.checker_free(c);
}

static void it_goes_on_after_a_broken_rule(void **state) {
    (void)state;
    struct checker *c = dialect_messages.checker_new();
    struct err e;
    assert_int_equal(feed_row(c, START, &e), 0);
    assert_int_equal(feed_row(c, TEXT(3), &e), -ERR_PROTOCOL);
    assert_int_equal(feed_row(c, A(3), &e), 0);
    assert_int_equal(feed_row(c, TEXT(4), &e), -ERR_PROTOCOL);
    assert_int_equal(feed_row(c, A(4), &e), 0);
    assert_int_equal(feed_row(c, FINISH("end_turn"), &e), -ERR_PROTOCOL);
    assert_int_equal(feed_row(c, END, &e), 0);
    assert_int_equal(dialect_messages.checker_end(c, &e), 0);
    dialect_messages.checker_free(c);
}

static void comments_are_no_events(void **state) {
    (void)state;
    struct checker *c = dialect_messages.checker_new();
    struct sse_frame comment = {.raw = SLICE(": x\n"), .flags = SSE_COMMENT};
    struct sse_frame empty = {.raw = SLICE("event: x\n\n"), .flags = SSE_EVENT | SSE_NAME};
    struct sse_frame lines = {.data = SLICE("{\"type\":\n\"ping\"}"),
                              .name = SLICE("ping"),
                              .flags = SSE_EVENT | SSE_NAME | SSE_DATA | SSE_MULTILINE};
    struct err e;
    assert_int_equal(dialect_messages.checker_frame(c, &comment, &e), 0);
    assert_int_equal(dialect_messages.checker_frame(c, &empty, &e), -ERR_PROTOCOL);
    assert_string_equal(e.text, "frame 1: an event without data");
    assert_int_equal(dialect_messages.checker_frame(c, &lines, &e), -ERR_PROTOCOL);
    assert_string_equal(e.text, "frame 2: data on several lines");
    dialect_messages.checker_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_is_checked),
        cmocka_unit_test(a_sound_stream_cut_anywhere_is_not_whole),
        cmocka_unit_test(it_goes_on_after_a_broken_rule),
        cmocka_unit_test(comments_are_no_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
