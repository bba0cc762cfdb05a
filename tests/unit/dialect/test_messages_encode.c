/* SPDX-License-Identifier: Apache-2.0 */
/* What answers of other dialects look like to a client of this one, frame by frame. */
#include "dialect_test.h"

struct writer {
    struct encoder *x;
    struct buf out;
    uint32_t block;
    enum block_kind kind;
};

static void open_with(struct writer *w, const struct encoder_options *o) {
    *w = (struct writer){.x = dialect_messages.encoder_new(o)};
    buf_init(&w->out, TEST_BYTES);
}

static void open(struct writer *w) {
    open_with(w, &(struct encoder_options){.id = SLICE("msg_1"), .model = SLICE("fast")});
}

static int try_send(struct writer *w, struct event ev) {
    return dialect_messages.encoder_event(w->x, &ev, &w->out);
}

static void send(struct writer *w, struct event ev) {
    assert_int_equal(try_send(w, ev), 0);
}

static void start(struct writer *w, uint8_t flags) {
    send(w, (struct event){.kind = EV_START,
                           .flags = flags,
                           .u.start = {.origin = "chat",
                                       .id = SLICE("chatcmpl-9"),
                                       .model = SLICE("gpt"),
                                       .role = SLICE("assistant"),
                                       .created = 1}});
}

static void begin(struct writer *w, enum block_kind kind) {
    w->kind = kind;
    send(w, (struct event){.kind = EV_BLOCK_BEGIN, .block_kind = kind, .block = w->block});
}

static void call(struct writer *w, enum block_kind kind, const char *id, const char *name,
                 const char *input) {
    w->kind = kind;
    send(w, (struct event){.kind = EV_BLOCK_BEGIN,
                           .block_kind = kind,
                           .block = w->block,
                           .u.begin = {.id = slice_cstr(id),
                                       .name = slice_cstr(name),
                                       .input_json = slice_cstr(input)}});
}

static void of_block(struct writer *w, enum event_kind kind, const char *text) {
    send(w, (struct event){.kind = kind,
                           .block_kind = w->kind,
                           .block = w->block,
                           .text = slice_cstr(text)});
}

static void end(struct writer *w) {
    of_block(w, EV_BLOCK_END, NULL);
    w->block++;
}

static void text(struct writer *w, enum block_kind kind, const char *s) {
    begin(w, kind);
    of_block(w, EV_DELTA, s);
    end(w);
}

static void finish(struct writer *w, enum stop_reason reason) {
    send(w, (struct event){.kind = EV_FINISH,
                           .u.finish = {.reason = reason, .wire = SLICE("stop")}});
}

static void usage(struct writer *w, struct usage u) {
    send(w, (struct event){.kind = EV_USAGE, .u.usage = u});
}

static void stop(struct writer *w, enum stop_reason reason) {
    finish(w, reason);
    send(w, (struct event){.kind = EV_END});
}

static int check_frame(void *self, const struct sse_frame *f) {
    struct err e;
    if (dialect_messages.checker_frame(self, f, &e))
        fail_msg("%s: %.*s", e.text, SLICE_FMT(f->raw));
    return 0;
}

/* The payloads, one a line; each frame keeps the grammar. */
static void close_and_expect(struct writer *w, bool is_over, const char *expected) {
    struct checker *c = dialect_messages.checker_new();
    struct sse_sink sink = {check_frame, c};
    struct sse_parser p;
    struct buf lines;
    buf_init(&lines, TEST_BYTES);
    sse_parser_init(&p, NULL);
    assert_int_equal(sse_parser_feed(&p, buf_slice(&w->out), &sink, NULL), 0);
    assert_int_equal(dialect_messages.checker_end(c, NULL) == 0, is_over);
    struct slice rest = buf_slice(&w->out);
    while (rest.len > 0) {
        struct slice line = slice_sub(rest, 0, (size_t)slice_index(rest, '\n') + 1);
        if (slice_starts_with(line, SLICE("data: "))) put(&lines, slice_from(line, 6));
        rest = slice_from(rest, line.len);
    }
    assert_slices(buf_slice(&lines), slice_cstr(expected));
    buf_dispose(&lines);
    sse_parser_dispose(&p);
    dialect_messages.checker_free(c);
    dialect_messages.encoder_free(w->x);
    buf_dispose(&w->out);
}

#define START_USAGE(usage)                                                                         \
    "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":"     \
    "\"assistant\",\"model\":\"fast\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null," \
    "\"usage\":{" usage "}}}\n"
#define START                                                                                      \
    START_USAGE("\"input_tokens\":0,\"cache_creation_input_tokens\":0,"                            \
                "\"cache_read_input_tokens\":0,\"output_tokens\":0")
#define BLOCK(i, block)                                                                            \
    "{\"type\":\"content_block_start\",\"index\":" #i ",\"content_block\":" block "}\n"
#define TEXT(i) BLOCK(i, "{\"type\":\"text\",\"text\":\"\"}")
#define THINKING(i) BLOCK(i, "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}")
#define DELTA(i, type, key, value)                                                                 \
    "{\"type\":\"content_block_delta\",\"index\":" #i ",\"delta\":{\"type\":\"" type               \
    "\",\"" key "\":\"" value "\"}}\n"
#define TEXT_DELTA(i, s) DELTA(i, "text_delta", "text", s)
#define THINKING_DELTA(i, s) DELTA(i, "thinking_delta", "thinking", s)
#define SIGNATURE(i, s) DELTA(i, "signature_delta", "signature", s)
#define INPUT(i, s) DELTA(i, "input_json_delta", "partial_json", s)
#define STOP(i) "{\"type\":\"content_block_stop\",\"index\":" #i "}\n"
#define END_WITH(stop, usage)                                                                      \
    "{\"type\":\"message_delta\",\"delta\":{" stop "},\"usage\":{" usage "}}\n"                    \
    "{\"type\":\"message_stop\"}\n"
#define END(reason)                                                                                \
    END_WITH("\"stop_reason\":\"" reason "\",\"stop_sequence\":null", "\"output_tokens\":0")

/* ---- the start and usage ---- */

static void the_start_waits_for_the_usage_of_its_frame(void **state) {
    (void)state;
    struct writer w;
    open(&w);
    start(&w, 0);
    assert_int_equal(w.out.len, 0);
    usage(&w, (struct usage){.in_total = 100, .out_total = 3, .cache_read = 75, .cache_write = -1});
    assert_true(w.out.len > 0);
    close_and_expect(&w, false,
                     START_USAGE("\"input_tokens\":25,\"cache_creation_input_tokens\":0,"
                                 "\"cache_read_input_tokens\":75,\"output_tokens\":0"));
}

static void a_start_that_is_its_whole_frame_does_not_wait(void **state) {
    (void)state;
    struct writer w;
    open(&w);
    start(&w, EVF_LAST_IN_FRAME);
    assert_true(w.out.len > 0);
    start(&w, EVF_LAST_IN_FRAME);
    text(&w, BLOCK_TEXT, "a");
    stop(&w, STOP_END);
    close_and_expect(&w, true, START TEXT(0) TEXT_DELTA(0, "a") STOP(0) END("end_turn"));
}

static void what_was_not_told_is_not_made_up(void **state) {
    (void)state;
    struct writer w;
    open_with(&w, &(struct encoder_options){.id = SLICE_NULL});
    start(&w, EVF_LAST_IN_FRAME);
    close_and_expect(&w, false,
                     "{\"type\":\"message_start\",\"message\":{\"id\":\"chatcmpl-9\",\"type\":"
                     "\"message\",\"role\":\"assistant\",\"model\":\"gpt\",\"content\":[],"
                     "\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":0,"
                     "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,"
                     "\"output_tokens\":0}}}\n");
}

static void an_estimate_stands_in_the_start_alone(void **state) {
    (void)state;
    struct writer w;
    struct event ev = {.kind = EV_USAGE, .u.usage = USAGE_NONE};
    open_with(&w, &(struct encoder_options){.id = SLICE("msg_1"), .input_estimate = 77});
    start(&w, EVF_LAST_IN_FRAME);
    ev.u.usage.in_total = 12;
    ev.u.usage.out_total = 3;
    finish(&w, STOP_END);
    send(&w, ev);
    send(&w, (struct event){.kind = EV_END});
    struct slice out = buf_slice(&w.out);
    char *text = mem_dup_cstr(out);
    assert_non_null(strstr(text, "\"usage\":{\"input_tokens\":77,"));
    assert_non_null(strstr(strstr(text, "message_delta"), "\"input_tokens\":12,"));
    mem_free(text);
    dialect_messages.encoder_free(w.x);
    buf_dispose(&w.out);
}

static void usage_behind_the_finish_is_told(void **state) {
    (void)state;
    static const struct {
        struct usage u;
        const char *end;
    } cases[] = {
        {{.in_total = 100, .out_total = 12, .cache_read = 75, .cache_write = 5, .reasoning = 4},
         START END_WITH("\"stop_reason\":\"max_tokens\",\"stop_sequence\":null",
                        "\"input_tokens\":20,\"cache_creation_input_tokens\":5,"
                        "\"cache_read_input_tokens\":75,\"output_tokens\":12,"
                        "\"output_tokens_details\":{\"thinking_tokens\":4}")},
        /* cached beside the rest, not in it */
        {{.in_total = 10, .out_total = 1, .cache_read = 90, .cache_write = -1, .reasoning = 0},
         START END_WITH("\"stop_reason\":\"max_tokens\",\"stop_sequence\":null",
                        "\"input_tokens\":10,\"cache_creation_input_tokens\":0,"
                        "\"cache_read_input_tokens\":90,\"output_tokens\":1")},
        {{.in_total = 10, .out_total = 1, .cache_read = 8, .cache_write = 5, .reasoning = -1},
         START END_WITH("\"stop_reason\":\"max_tokens\",\"stop_sequence\":null",
                        "\"input_tokens\":0,\"cache_creation_input_tokens\":5,"
                        "\"cache_read_input_tokens\":8,\"output_tokens\":1")},
        {{.in_total = -1, .out_total = 7, .cache_read = -1, .cache_write = -1, .reasoning = -1},
         START END_WITH("\"stop_reason\":\"max_tokens\",\"stop_sequence\":null",
                        "\"output_tokens\":7")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct writer w;
        open(&w);
        start(&w, EVF_LAST_IN_FRAME);
        finish(&w, STOP_LENGTH);
        usage(&w, cases[i].u);
        send(&w, (struct event){.kind = EV_END});
        close_and_expect(&w, true, cases[i].end);
    }
}

static void foreign_usage_objects_and_tiers_are_translated(void **state) {
    (void)state;
    struct writer w;
    open_with(&w, &(struct encoder_options){
                      .id = SLICE("msg_1"), .model = SLICE("fast"), .service_tier = SLICE("flex")});
    send(&w, (struct event){.kind = EV_START,
                            .u.start = {.origin = "responses", .service_tier = SLICE("priority")}});
    usage(&w, (struct usage){.in_total = 1,
                             .wire = SLICE("{\"input_tokens\":9,\"output_tokens\":9,\"x\":1}")});
    stop(&w, STOP_END);
    close_and_expect(
        &w, true,
        START_USAGE("\"input_tokens\":1,\"cache_creation_input_tokens\":0,"
                    "\"cache_read_input_tokens\":0,\"output_tokens\":0,\"service_tier\":"
                    "\"priority\"")
            END_WITH("\"stop_reason\":\"end_turn\",\"stop_sequence\":null",
                     "\"input_tokens\":1,\"cache_creation_input_tokens\":0,"
                     "\"cache_read_input_tokens\":0,\"output_tokens\":0"));
}

/* ---- blocks ---- */

static void blocks_begin_with_their_content(void **state) {
    (void)state;
    struct writer w;
    open(&w);
    start(&w, EVF_LAST_IN_FRAME);
    begin(&w, BLOCK_TEXT);
    end(&w);
    begin(&w, BLOCK_REASONING);
    end(&w);
    begin(&w, BLOCK_REDACTED);
    end(&w);
    text(&w, BLOCK_AUDIO, "said");
    begin(&w, BLOCK_OPAQUE);
    of_block(&w, EV_OPAQUE, NULL);
    end(&w);
    text(&w, BLOCK_TEXT, "a");
    stop(&w, STOP_END);
    close_and_expect(&w, true, START TEXT(0) TEXT_DELTA(0, "a") STOP(0) END("end_turn"));
}

static void thinking_is_signed_before_it_ends(void **state) {
    (void)state;
    struct writer w;
    open(&w);
    start(&w, EVF_LAST_IN_FRAME);
    text(&w, BLOCK_REASONING, "Hm");
    begin(&w, BLOCK_REASONING);
    of_block(&w, EV_PART, NULL); /* nothing stands before it */
    of_block(&w, EV_SIGNATURE, "c2");
    of_block(&w, EV_DELTA, "one");
    of_block(&w, EV_PART, NULL);
    of_block(&w, EV_DELTA, "two");
    of_block(&w, EV_SIGNATURE, "ln");
    end(&w);
    begin(&w, BLOCK_REASONING);
    of_block(&w, EV_SIGNATURE, "c2ln");
    end(&w);
    begin(&w, BLOCK_REDACTED);
    of_block(&w, EV_SIGNATURE, "ZW5");
    of_block(&w, EV_SIGNATURE, "j");
    end(&w);
    stop(&w, STOP_END);
    close_and_expect(
        &w, true,
        START THINKING(0) THINKING_DELTA(0, "Hm") SIGNATURE(0, "") STOP(0)
        THINKING(1) THINKING_DELTA(1, "one") THINKING_DELTA(1, "\\n\\n") THINKING_DELTA(1, "two")
        SIGNATURE(1, "c2ln") STOP(1)
        THINKING(2) SIGNATURE(2, "c2ln") STOP(2)
        BLOCK(3, "{\"type\":\"redacted_thinking\",\"data\":\"ZW5j\"}") STOP(3)
        END("end_turn"));
}

static void calls_of_every_kind_are_tool_use(void **state) {
    (void)state;
    struct writer w;
    open(&w);
    start(&w, EVF_LAST_IN_FRAME);
    call(&w, BLOCK_TOOL_CALL, "call_a", "f", NULL);
    of_block(&w, EV_DELTA, "{\"a\":");
    of_block(&w, EV_DELTA, "\"\n\"}");
    end(&w);
    call(&w, BLOCK_FUNCTION_CALL, "", "g", NULL);
    end(&w);
    call(&w, BLOCK_CUSTOM_TOOL_CALL, "ctc_1", "patch", NULL);
    of_block(&w, EV_DELTA, "*** \"x\"\n");
    of_block(&w, EV_DELTA, "+y");
    end(&w);
    call(&w, BLOCK_CUSTOM_TOOL_CALL, "ctc_2", "patch", NULL);
    end(&w);
    call(&w, BLOCK_TOOL_CALL, "call_b", "h", "{\"n\":1.0}");
    end(&w);
    stop(&w, STOP_END);
    close_and_expect(
        &w, true,
        START BLOCK(0, "{\"type\":\"tool_use\",\"id\":\"call_a\",\"name\":\"f\",\"input\":{}}")
        INPUT(0, "{\\\"a\\\":") INPUT(0, "\\\"\\n\\\"}") STOP(0)
        BLOCK(1, "{\"type\":\"tool_use\",\"id\":\"toolu_eda819331023d8421\",\"name\":\"g\","
                 "\"input\":{}}")
        INPUT(1, "{}") STOP(1)
        BLOCK(2, "{\"type\":\"tool_use\",\"id\":\"ctc_1\",\"name\":\"patch\",\"input\":{}}")
        INPUT(2, "{\\\"input\\\":\\\"*** \\\\\\\"x\\\\\\\"\\\\n") INPUT(2, "+y") INPUT(2, "\\\"}")
        STOP(2)
        BLOCK(3, "{\"type\":\"tool_use\",\"id\":\"ctc_2\",\"name\":\"patch\",\"input\":{}}")
        INPUT(3, "{\\\"input\\\":\\\"") INPUT(3, "\\\"}") STOP(3)
        BLOCK(4, "{\"type\":\"tool_use\",\"id\":\"call_b\",\"name\":\"h\",\"input\":{}}")
        INPUT(4, "{\\\"n\\\":1.0}") STOP(4)
        END("tool_use"));
}

static void a_refusal_is_text_and_a_reason(void **state) {
    (void)state;
    static const struct {
        enum stop_reason said;
        const char *end;
    } cases[] = {
        {STOP_END, START TEXT(0) TEXT_DELTA(0, "No.") STOP(0) END("refusal")},
        {STOP_FILTER, START TEXT(0) TEXT_DELTA(0, "No.") STOP(0) END("refusal")},
        {STOP_LENGTH, START TEXT(0) TEXT_DELTA(0, "No.") STOP(0) END("max_tokens")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct writer w;
        open(&w);
        start(&w, EVF_LAST_IN_FRAME);
        text(&w, BLOCK_REFUSAL, "No.");
        stop(&w, cases[i].said);
        close_and_expect(&w, true, cases[i].end);
    }
}

static void every_reason_has_its_word(void **state) {
    (void)state;
    static const struct {
        struct finish f;
        const char *end;
    } cases[] = {
        {{.reason = STOP_END}, START END("end_turn")},
        {{.reason = STOP_LENGTH}, START END("max_tokens")},
        {{.reason = STOP_TOOL}, START END("tool_use")},
        {{.reason = STOP_FILTER}, START END("refusal")},
        {{.reason = STOP_PAUSE}, START END("pause_turn")},
        {{.reason = STOP_SEQUENCE, .stop_sequence = {"E\"", 2}},
         START END_WITH("\"stop_reason\":\"stop_sequence\",\"stop_sequence\":\"E\\\"\"",
                        "\"output_tokens\":0")},
        {{.reason = STOP_SEQUENCE}, START END("stop_sequence")},
        /* a word of messages' in another dialect's mouth */
        {{.reason = STOP_LENGTH, .wire = {"model_context_window_exceeded", 29}},
         START END("max_tokens")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct writer w;
        open(&w);
        start(&w, EVF_LAST_IN_FRAME);
        send(&w, (struct event){.kind = EV_FINISH, .u.finish = cases[i].f});
        send(&w, (struct event){.kind = EV_END});
        close_and_expect(&w, true, cases[i].end);
    }
}

static void what_has_no_word_is_left_out(void **state) {
    (void)state;
    struct writer w;
    struct event logprobs = {.kind = EV_LOGPROBS, .raw_json = SLICE("[]")};
    struct event note = {
        .kind = EV_ANNOTATION, .block_kind = BLOCK_TEXT, .raw_json = SLICE("{\"type\":\"x\"}")};
    struct event opaque = {.kind = EV_OPAQUE, .block = BLOCK_NONE, .raw_json = SLICE("{}")};
    struct event recap = {.kind = EV_DELTA, .flags = EVF_RECAP, .text = SLICE("again")};
    struct event second = {.kind = EV_BLOCK_BEGIN, .choice = 1, .block = 1};
    open(&w);
    start(&w, EVF_LAST_IN_FRAME);
    begin(&w, BLOCK_TEXT);
    send(&w, logprobs);
    of_block(&w, EV_DELTA, "a");
    send(&w, note);
    send(&w, opaque);
    send(&w, recap);
    send(&w, second);
    end(&w);
    finish(&w, STOP_END);
    finish(&w, STOP_LENGTH);
    text(&w, BLOCK_TEXT, "late");
    send(&w, (struct event){.kind = EV_END});
    send(&w, (struct event){.kind = EV_PING});
    send(&w, (struct event){.kind = EV_END});
    close_and_expect(&w, true, START TEXT(0) TEXT_DELTA(0, "a") STOP(0) END("end_turn"));
}

/* ---- errors ---- */

#define ERROR(type, message) \
    "{\"type\":\"error\",\"error\":{\"type\":\"" type "\",\"message\":\"" message "\"}}\n"

static void errors_are_told_in_messages_words(void **state) {
    (void)state;
    struct writer w;
    open(&w);
    start(&w, 0);
    send(&w, (struct event){.kind = EV_ERROR,
                            .u.error = {.status = 429,
                                        .type = SLICE("requests"),
                                        .code = SLICE("rate_limit_exceeded"),
                                        .message = SLICE("slow"),
                                        .request_id = SLICE("req_7")}});
    text(&w, BLOCK_TEXT, "late");
    close_and_expect(&w, true,
                     "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":"
                     "\"slow\"},\"request_id\":\"req_7\"}\n");
    open(&w);
    start(&w, EVF_LAST_IN_FRAME);
    stop(&w, STOP_ERROR);
    close_and_expect(&w, true,
                     START ERROR("api_error", "the upstream ended the answer with an error"));
    open(&w);
    send(&w, (struct event){.kind = EV_PING});
    send(&w, (struct event){.kind = EV_END});
    close_and_expect(&w, true,
                     "{\"type\":\"ping\"}\n" START ERROR(
                         "api_error", "the upstream ended the answer without saying why"));
}

static void what_is_not_shaped_is_refused(void **state) {
    (void)state;
    struct writer w;
    struct event begin_other = {.kind = EV_BLOCK_BEGIN, .block_kind = BLOCK_TEXT, .block = 1};
    struct event delta_other = {
        .kind = EV_DELTA, .block_kind = BLOCK_TEXT, .block = 1, .text = SLICE("a")};
    struct event nameless = {.kind = EV_BLOCK_BEGIN, .block_kind = BLOCK_TOOL_CALL, .block = 1};
    open(&w);
    start(&w, EVF_LAST_IN_FRAME);
    assert_int_equal(try_send(&w, delta_other), -ERR_PROTOCOL);
    assert_int_equal(try_send(&w, nameless), -ERR_PROTOCOL);
    begin(&w, BLOCK_TEXT);
    assert_int_equal(try_send(&w, begin_other), -ERR_PROTOCOL);
    of_block(&w, EV_DELTA, "a");
    assert_int_equal(try_send(&w, delta_other), -ERR_PROTOCOL);
    end(&w);
    stop(&w, STOP_END);
    close_and_expect(&w, true, START TEXT(0) TEXT_DELTA(0, "a") STOP(0) END("end_turn"));
}

static void deltas_allocate_nothing(void **state) {
    (void)state;
    struct writer w;
    open(&w);
    start(&w, EVF_LAST_IN_FRAME);
    begin(&w, BLOCK_TEXT);
    for (unsigned i = 0; i < 10; i++) of_block(&w, EV_DELTA, "some text");
    uint64_t before = mem_alloc_count();
    for (unsigned i = 0; i < 1000; i++) {
        buf_reset(&w.out);
        of_block(&w, EV_DELTA, "some text");
    }
    assert_int_equal(mem_alloc_count(), before);
    dialect_messages.encoder_free(w.x);
    buf_dispose(&w.out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_start_waits_for_the_usage_of_its_frame),
        cmocka_unit_test(a_start_that_is_its_whole_frame_does_not_wait),
        cmocka_unit_test(what_was_not_told_is_not_made_up),
        cmocka_unit_test(an_estimate_stands_in_the_start_alone),
        cmocka_unit_test(usage_behind_the_finish_is_told),
        cmocka_unit_test(foreign_usage_objects_and_tiers_are_translated),
        cmocka_unit_test(blocks_begin_with_their_content),
        cmocka_unit_test(thinking_is_signed_before_it_ends),
        cmocka_unit_test(calls_of_every_kind_are_tool_use),
        cmocka_unit_test(a_refusal_is_text_and_a_reason),
        cmocka_unit_test(every_reason_has_its_word),
        cmocka_unit_test(what_has_no_word_is_left_out),
        cmocka_unit_test(errors_are_told_in_messages_words),
        cmocka_unit_test(what_is_not_shaped_is_refused),
        cmocka_unit_test(deltas_allocate_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
