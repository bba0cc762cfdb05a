/* SPDX-License-Identifier: Apache-2.0 */
/* The checker: what it accepts, and each of its rules broken once. */
#include "dialect_test.h"

#define R(status, output, rest)                                                                    \
    "{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":7,\"status\":\"" status             \
    "\",\"model\":\"m\",\"output\":[" output "]" rest "}"
#define CREATED "{\"type\":\"response.created\",\"response\":" R("in_progress", "", "") "}"
#define COMPLETED(output)                                                                          \
    "{\"type\":\"response.completed\",\"response\":" R("completed", output, ",\"usage\":null") "}"
#define ADDED(index, item)                                                                         \
    "{\"type\":\"response.output_item.added\",\"output_index\":" index ",\"item\":" item "}"
#define DONE(index, item)                                                                          \
    "{\"type\":\"response.output_item.done\",\"output_index\":" index ",\"item\":" item "}"
#define INNER(type, members)                                                                       \
    "{\"type\":\"response." type "\",\"item_id\":\"i0\",\"output_index\":0," members "}"
#define MSG(id, status, content)                                                                   \
    "{\"id\":\"" id "\",\"type\":\"message\",\"role\":\"assistant\",\"status\":\"" status          \
    "\",\"content\":[" content "]}"
#define CALL(id, status, args)                                                                     \
    "{\"id\":\"" id                                                                                \
    "\",\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"status\":\"" status          \
    "\",\"arguments\":\"" args "\"}"
#define TEXT(text, more)                                                                           \
    "{\"type\":\"output_text\",\"text\":\"" text "\",\"annotations\":[" more "],\"logprobs\":[]}"
#define OPEN_MSG        ADDED("0", MSG("i0", "in_progress", ""))
#define OPEN_PART       INNER("content_part.added", "\"content_index\":0,\"part\":" TEXT("", ""))
#define DELTA(text)     INNER("output_text.delta", "\"content_index\":0,\"delta\":\"" text "\"")
#define TEXT_DONE(text) INNER("output_text.done", "\"content_index\":0,\"text\":\"" text "\"")
#define PART_DONE(text) INNER("content_part.done", "\"content_index\":0,\"part\":" TEXT(text, ""))
#define MSG_DONE(text)  DONE("0", MSG("i0", "completed", TEXT(text, "")))
#define OPEN_CALL       ADDED("0", CALL("i0", "in_progress", ""))
#define ARGS(text)      INNER("function_call_arguments.delta", "\"delta\":\"" text "\"")
#define ARGS_DONE(text) INNER("function_call_arguments.done", "\"arguments\":\"" text "\"")

#define MAX_FRAMES 16

struct fault {
    const char *frames[MAX_FRAMES]; /* the last one breaks a rule; NULL: the end does */
    const char *text;               /* part of what is said */
};

static int give(struct checker *c, const char *data, struct err *e) {
    struct sse_frame f = {.data = slice_cstr(data), .flags = SSE_EVENT | SSE_DATA};
    return dialect_responses.checker_frame(c, &f, e);
}

static const struct fault faults[] = {
    {{DELTA("x")}, "before response.created"},
    {{CREATED, CREATED}, "a second response.created"},
    {{CREATED}, "without a terminal event"},
    {{CREATED, OPEN_MSG,
      "{\"type\":\"response.in_progress\",\"response\":" R("in_progress", "", "") "}"},
     "after output items"},
    {{"{\"type\":\"response.created\",\"response\":{\"id\":\"r\"}}"}, "object is not \"response\""},
    {{"{\"type\":\"response.created\",\"response\":" R("completed", "", "") "}"},
     "status is not \"in_progress\""},
    {{CREATED,
      "{\"type\":\"response.completed\",\"response\":{\"id\":\"other\",\"object\":\"response\","
      "\"created_at\":7,\"status\":\"completed\",\"model\":\"m\",\"output\":[],\"usage\":null}}"},
     "the response's id changed"},
    {{CREATED, COMPLETED(""), CREATED}, "after the terminal event"},
    {{CREATED, "{\"type\":\"response.completed\",\"response\":" R("completed", "", "") "}"},
     "usage is missing"},
    {{CREATED, "{\"type\":\"response.completed\",\"response\":" R(
                   "completed", "", ",\"usage\":{\"input_tokens\":1}") "}"},
     "usage.output_tokens is not a number"},
    {{CREATED,
      "{\"type\":\"response.completed\",\"response\":" R("incomplete", "", ",\"usage\":null") "}"},
     "status is not \"completed\""},
    {{CREATED, "{\"type\":\"response.completed\",\"response\":" R(
                   "completed", "", ",\"usage\":null,\"incomplete_details\":{}") "}"},
     "incomplete_details is not null"},
    {{CREATED,
      "{\"type\":\"response.incomplete\",\"response\":" R("incomplete", "", ",\"usage\":null") "}"},
     "reason is not a string"},
    {{CREATED, "{\"type\":\"response.failed\",\"response\":" R("failed", "", "") "}"},
     "error is not an object"},
    {{CREATED, "{\"type\":\"error\",\"sequence_number\":0}"}, "message is not a string"},
    {{CREATED, "{\"type\":\"error\",\"message\":\"m\"}"}, "sequence_number is missing"},
    {{CREATED, "{\"type\":\"response.x_new\"}"}, "clients do not know"},
    {{CREATED, "{\"type\":\"response.cancelled\"}"}, "clients do not know"},
    {{CREATED, "{\"no\":1}"}, "type is missing"},
    {{CREATED, "[]"}, "not a JSON object"},
    {{CREATED, "{"}, "not JSON"},
    /* numbers */
    {{"{\"type\":\"response.created\",\"sequence_number\":1,\"response\":" R("in_progress", "",
                                                                             "") "}"},
     "sequence_number is 1, the next one is 0"},
    {{"{\"type\":\"response.created\",\"sequence_number\":0,\"response\":" R("in_progress", "",
                                                                             "") "}",
      OPEN_MSG},
     "sequence_number is missing"},
    {{"{\"type\":\"response.created\",\"sequence_number\":0,\"response\":" R("in_progress", "",
                                                                             "") "}",
      "{\"type\":\"keepalive\",\"sequence_number\":2}"},
     "sequence_number is 2, the next one is 1"},
    {{"{\"type\":\"keepalive\",\"sequence_number\":\"0\"}"}, "sequence_number is not a number"},
    /* items */
    {{CREATED, ADDED("1", MSG("i0", "in_progress", ""))}, "output_index is 1, the next one is 0"},
    {{CREATED, ADDED("-1", MSG("i0", "in_progress", ""))}, "output_index is not a number"},
    {{CREATED, ADDED("0", MSG("", "in_progress", ""))}, "id is empty"},
    {{CREATED, ADDED("0", MSG("i0", "completed", ""))}, "status is not \"in_progress\""},
    {{CREATED, ADDED("0", MSG("i0", "in_progress", TEXT("x", "")))}, "content is not empty"},
    {{CREATED, ADDED("0", CALL("i0", "in_progress", "{}"))}, "has its value already"},
    {{CREATED, ADDED("0", "{\"id\":\"i0\",\"type\":\"function_call\",\"name\":\"f\"}")},
     "call_id is not a string"},
    {{CREATED, ADDED("0", "{\"id\":\"i0\",\"type\":\"reasoning\"}")}, "summary is not an array"},
    {{CREATED, DELTA("x")}, "output_index 0 was never added"},
    {{CREATED, ADDED("0", MSG("other", "in_progress", "")), OPEN_PART},
     "item_id is not the item's id"},
    {{CREATED, OPEN_MSG, DONE("0", MSG("i0", "completed", "")), OPEN_PART},
     "item 0 is done already"},
    {{CREATED, OPEN_MSG, DONE("0", MSG("i1", "completed", ""))}, "the item's id changed"},
    {{CREATED, OPEN_MSG, DONE("0", CALL("i0", "completed", ""))}, "the item's type changed"},
    {{CREATED, OPEN_MSG, DONE("0", MSG("i0", "in_progress", ""))}, "still \"in_progress\""},
    {{CREATED, OPEN_MSG, COMPLETED(MSG("i0", "completed", ""))}, "item 0 has no output_item.done"},
    {{CREATED, OPEN_MSG, DONE("0", MSG("i0", "completed", "")), COMPLETED("")},
     "output has 0 items, the stream had 1"},
    {{CREATED, OPEN_MSG, DONE("0", MSG("i0", "completed", "")),
      COMPLETED(MSG("i9", "completed", ""))},
     "output[0].id is another"},
    {{CREATED, OPEN_MSG, DONE("0", MSG("i0", "completed", "")),
      COMPLETED(CALL("i0", "completed", ""))},
     "output[0].type is another"},
    /* parts */
    {{CREATED, OPEN_MSG, DELTA("x")}, "part 0 was never opened"},
    {{CREATED, OPEN_MSG, INNER("content_part.added", "\"content_index\":1,\"part\":" TEXT("", ""))},
     "the part's index is 1, the next one is 0"},
    {{CREATED, OPEN_MSG,
      INNER("content_part.added", "\"content_index\":0,\"part\":" TEXT("x", ""))},
     "the part has its value already"},
    {{CREATED, OPEN_MSG,
      INNER("content_part.added",
            "\"content_index\":0,\"part\":{\"type\":\"summary_text\",\"text\":\"\"}")},
     "no parts of this type"},
    {{CREATED, OPEN_CALL, OPEN_PART}, "no parts of this type"},
    {{CREATED, OPEN_MSG, OPEN_PART, INNER("refusal.delta", "\"content_index\":0,\"delta\":\"x\"")},
     "part 0 is of another type"},
    {{CREATED, OPEN_MSG, OPEN_PART, DELTA("x"), TEXT_DONE("y")},
     "text is not what the deltas made"},
    {{CREATED, OPEN_MSG, OPEN_PART, DELTA("x"), TEXT_DONE("x"), TEXT_DONE("x")}, "ended before"},
    {{CREATED, OPEN_MSG, OPEN_PART, TEXT_DONE(""), DELTA("x")}, "a delta behind its value's end"},
    {{CREATED, OPEN_MSG, OPEN_PART, DELTA("x"), PART_DONE("xx")},
     "text is not what the deltas made"},
    {{CREATED, OPEN_MSG, OPEN_PART, PART_DONE(""), PART_DONE("")}, "the part is done already"},
    {{CREATED, OPEN_MSG, OPEN_PART, DELTA("x"), TEXT_DONE("x"), PART_DONE("x"), MSG_DONE("z")},
     "text is not what the deltas made"},
    {{CREATED, OPEN_MSG, OPEN_PART, DELTA("x"), TEXT_DONE("x"), MSG_DONE("x")},
     "content[0] has no .done event"},
    {{CREATED, OPEN_MSG, OPEN_PART, TEXT_DONE(""), PART_DONE(""),
      DONE("0", MSG("i0", "completed", ""))},
     "content has 0 parts, 1 were opened"},
    /* annotations */
    {{CREATED, OPEN_MSG, OPEN_PART,
      INNER("output_text.annotation.added",
            "\"content_index\":0,\"annotation_index\":1,\"annotation\":{\"type\":\"file_path\"}")},
     "annotation_index is 1, the next one is 0"},
    {{CREATED, OPEN_MSG, OPEN_PART,
      INNER(
          "output_text.annotation.added",
          "\"content_index\":0,\"annotation_index\":0,\"annotation\":{\"type\":\"url_citation\"}")},
     "without start_index"},
    {{CREATED, OPEN_MSG, OPEN_PART, TEXT_DONE(""),
      INNER("output_text.annotation.added",
            "\"content_index\":0,\"annotation_index\":0,\"annotation\":{\"type\":\"file_path\"}")},
     "behind its text's end"},
    {{CREATED, OPEN_MSG, OPEN_PART,
      INNER("content_part.done",
            "\"content_index\":0,\"part\":" TEXT("", "{\"type\":\"file_path\"}"))},
     "the part has 1 annotations, 0 were added"},
    /* calls */
    {{CREATED, OPEN_CALL, ARGS("{}"), ARGS_DONE("{ }")}, "arguments is not what the deltas made"},
    {{CREATED, OPEN_CALL, ARGS("{}"), DONE("0", CALL("i0", "completed", "{}"))},
     "had no .done event"},
    {{CREATED, OPEN_CALL, ARGS("{}"), ARGS_DONE("{}"), DONE("0", CALL("i0", "completed", ""))},
     "the item's arguments is not"},
    {{CREATED, OPEN_MSG, ARGS("{}")}, "the item is no such call"},
    {{CREATED, OPEN_CALL, ARGS_DONE(""),
      DONE("0", "{\"id\":\"i0\",\"type\":\"function_call\",\"call_id\":\"d\",\"name\":\"f\","
                "\"status\":\"completed\",\"arguments\":\"\"}")},
     "the item's call_id changed"},
    /* reasoning */
    {{CREATED, ADDED("0", "{\"id\":\"i0\",\"type\":\"reasoning\",\"summary\":[]}"),
      INNER("reasoning_summary_text.delta", "\"summary_index\":0,\"delta\":\"x\"")},
     "part 0 was never opened"},
    {{CREATED, ADDED("0", "{\"id\":\"i0\",\"type\":\"reasoning\",\"summary\":[]}"),
      INNER("reasoning_summary_part.added",
            "\"summary_index\":0,\"part\":{\"type\":\"summary_text\",\"text\":\"\"}"),
      DONE("0", "{\"id\":\"i0\",\"type\":\"reasoning\",\"summary\":[]}")},
     "summary has 0 parts, 1 were opened"},
    {{CREATED, ADDED("0", "{\"id\":\"i0\",\"type\":\"reasoning\",\"summary\":[]}"),
      DONE("0", "{\"id\":\"i0\",\"type\":\"reasoning\"}")},
     "summary is not an array"},
    /* hosted tools */
    {{CREATED,
      "{\"type\":\"response.web_search_call.searching\",\"output_index\":0,\"item_id\":\"x\"}"},
     "was never added"},
};

static void every_rule_is_checked(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct checker *c = dialect_responses.checker_new();
        const char *const *at = faults[i].frames;
        struct err e = {0};
        int rc = 0;
        for (; *at && rc == 0; at++)
            rc = give(c, *at, &e);
        bool is_last = !*at;
        if (rc == 0) rc = dialect_responses.checker_end(c, &e);
        if (rc != -ERR_PROTOCOL || !is_last || !strstr(e.text, faults[i].text))
            fail_msg("rule %zu, \"%s\": %d \"%s\"", i, faults[i].text, rc, e.text);
        dialect_responses.checker_free(c);
    }
}

/* It goes on: a later break is found as well, and what is right is still right. */
static void it_goes_on_after_a_fault(void **state) {
    (void)state;
    struct checker *c = dialect_responses.checker_new();
    struct err e;
    assert_int_equal(give(c, CREATED, &e), 0);
    assert_int_equal(give(c, DELTA("x"), &e), -ERR_PROTOCOL);
    assert_string_equal(e.text,
                        "event 1 (response.output_text.delta): output_index 0 was never added");
    assert_int_equal(give(c, OPEN_CALL, &e), 0);
    assert_int_equal(give(c, ARGS("{"), &e), 0);
    assert_int_equal(give(c, ARGS_DONE("}"), NULL), -ERR_PROTOCOL);
    assert_int_equal(give(c, COMPLETED(""), &e), -ERR_PROTOCOL);
    assert_int_equal(dialect_responses.checker_end(c, &e), 0);
    dialect_responses.checker_free(c);
}

static void give_all(const char *const *frames) {
    struct checker *c = dialect_responses.checker_new();
    struct err e;
    for (; *frames; frames++) {
        if (give(c, *frames, &e)) fail_msg("%s: %s", e.text, *frames);
    }
    assert_int_equal(dialect_responses.checker_end(c, &e), 0);
    dialect_responses.checker_free(c);
}

static void what_clients_take_is_accepted(void **state) {
    (void)state;
    static const char *const plain[] = {CREATED,
                                        OPEN_MSG,
                                        OPEN_PART,
                                        DELTA("x"),
                                        DELTA("\\u00e9"),
                                        TEXT_DONE("x\xc3\xa9"),
                                        PART_DONE("x\xc3\xa9"),
                                        MSG_DONE("x\xc3\xa9"),
                                        COMPLETED(MSG("i0", "completed", "")),
                                        NULL};
    static const char *const swapped[] = {CREATED,
                                          OPEN_MSG,
                                          OPEN_PART,
                                          DELTA("x"),
                                          PART_DONE("x"),
                                          TEXT_DONE("x"),
                                          MSG_DONE("x"),
                                          COMPLETED(MSG("i0", "completed", "")),
                                          NULL};
    static const char *const background[] = {
        "{\"type\":\"response.created\",\"response\":" R("queued", "", "") "}",
        "{\"type\":\"response.queued\",\"response\":" R("queued", "", "") "}",
        "{\"type\":\"keepalive\"}",
        "{\"type\":\"response.in_progress\",\"response\":" R("in_progress", "", "") "}",
        "{\"type\":\"response.failed\",\"response\":" R(
            "failed", "", ",\"error\":{\"code\":\"x\",\"message\":\"y\"}") "}",
        NULL};
    static const char *const hosted[] = {
        CREATED,
        ADDED("0", "{\"id\":\"i0\",\"type\":\"shell_call\"}"),
        ADDED("1", "{\"id\":\"i1\",\"type\":\"web_search_call\",\"status\":\"in_progress\"}"),
        "{\"type\":\"response.shell_call_command.added\",\"output_index\":0,\"command_index\":0}",
        "{\"type\":\"response.web_search_call.searching\",\"output_index\":1,\"item_id\":\"i1\"}",
        DONE("1", "{\"id\":\"i1\",\"type\":\"web_search_call\"}"),
        DONE("0", "{\"id\":\"i0\",\"type\":\"shell_call\"}"),
        COMPLETED(
            "{\"id\":\"i0\",\"type\":\"shell_call\"},{\"id\":\"i1\",\"type\":\"web_search_call\"}"),
        NULL};
    static const char *const early[] = {
        "{\"type\":\"error\",\"sequence_number\":0,\"error\":{\"message\":\"m\"}}", NULL};
    give_all(plain);
    give_all(swapped);
    give_all(background);
    give_all(hosted);
    give_all(early);
}

static void the_name_is_the_type(void **state) {
    (void)state;
    struct checker *c = dialect_responses.checker_new();
    struct err e;
    struct sse_frame f = {.data = SLICE(CREATED), .flags = SSE_EVENT | SSE_DATA | SSE_NAME};
    f.name = SLICE("response.create");
    assert_int_equal(dialect_responses.checker_frame(c, &f, &e), -ERR_PROTOCOL);
    assert_non_null(strstr(e.text, "the event's name is another"));
    struct sse_frame comment = {.raw = SLICE(": x\n"), .flags = SSE_COMMENT};
    assert_int_equal(dialect_responses.checker_frame(c, &comment, &e), 0);
    dialect_responses.checker_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_is_checked),
        cmocka_unit_test(it_goes_on_after_a_fault),
        cmocka_unit_test(what_clients_take_is_accepted),
        cmocka_unit_test(the_name_is_the_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
