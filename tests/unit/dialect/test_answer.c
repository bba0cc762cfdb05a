/* SPDX-License-Identifier: Apache-2.0 */
#include "dialect_test.h"

static void add(struct answer *an, struct event ev) {
    assert_int_equal(answer_add(an, &ev), 0);
}

static void add_text(struct answer *an, uint32_t block, struct slice text) {
    add(an, (struct event){.kind = EV_DELTA, .block = block, .text = text});
}

static struct answer *sample(void) {
    struct answer *an = answer_new(100000);
    add(an, (struct event){.kind = EV_START,
                           .u.start = {.id = SLICE("id"),
                                       .model = SLICE("m"),
                                       .role = SLICE("assistant"),
                                       .created = 7}});
    add(an,
        (struct event){.kind = EV_BLOCK_BEGIN, .choice = 1, .block = 0, .block_kind = BLOCK_TEXT});
    add_text(an, 0, SLICE("one "));
    add(an, (struct event){.kind = EV_BLOCK_BEGIN,
                           .choice = 0,
                           .block = 1,
                           .block_kind = BLOCK_TOOL_CALL,
                           .u.begin = {.id = SLICE("call"), .name = SLICE("f")}});
    add_text(an, 1, SLICE("{}"));
    add_text(an, 0, SLICE("two"));
    add(an,
        (struct event){.kind = EV_DELTA, .flags = EVF_RECAP, .block = 0, .text = SLICE("one two")});
    add(an, (struct event){.kind = EV_LOGPROBS,
                           .choice = 1,
                           .block_kind = BLOCK_TEXT,
                           .raw_json = SLICE("[{\"a\":1},{\"a\":2}]")});
    add(an, (struct event){.kind = EV_LOGPROBS,
                           .choice = 1,
                           .block_kind = BLOCK_TEXT,
                           .raw_json = SLICE("[{\"a\":3}]")});
    add(an, (struct event){.kind = EV_ANNOTATION, .choice = 1, .raw_json = SLICE("{\"b\":1}")});
    add(an, (struct event){.kind = EV_ANNOTATION, .choice = 1, .raw_json = SLICE("{\"b\":2}")});
    add(an, (struct event){.kind = EV_PING});
    add(an, (struct event){.kind = EV_BLOCK_END, .block = 0});
    add(an, (struct event){
                .kind = EV_FINISH, .choice = 1, .u.finish = {STOP_END, SLICE("stop"), SLICE_NULL}});
    add(an,
        (struct event){.kind = EV_USAGE,
                       .u.usage = {.in_total = 1, .out_total = 1, .wire = SLICE("{\"first\":1}")}});
    add(an,
        (struct event){.kind = EV_USAGE,
                       .u.usage = {.in_total = 1, .out_total = 2, .wire = SLICE("{\"last\":1}")}});
    return an;
}

static void events_are_collected(void **state) {
    (void)state;
    struct answer *an = sample();
    const struct answer_block *b;
    const struct answer_choice *c;
    assert_int_equal(answer_blocks(an, &b), 2);
    assert_int_equal(b[0].choice, 1);
    assert_slices(b[0].text, SLICE("one two"));
    assert_true(b[0].closed);
    assert_false(b[1].closed);
    assert_slices(b[1].tool_id, SLICE("call"));
    assert_slices(b[1].tool_name, SLICE("f"));
    assert_slices(b[1].text, SLICE("{}"));
    assert_int_equal(answer_choices(an, &c), 2);
    assert_int_equal(c[0].index, 0);
    assert_false(c[0].has_finish);
    assert_true(c[1].has_finish);
    assert_slices(c[1].logprobs_json, SLICE("{\"a\":1},{\"a\":2},{\"a\":3}"));
    assert_slices(c[1].annotations_json, SLICE("{\"b\":1},{\"b\":2}"));
    assert_int_equal(answer_usage(an)->out_total, 2);
    assert_slices(answer_usage(an)->wire, SLICE("{\"last\":1}"));
    assert_slices(answer_start(an)->model, SLICE("m"));
    assert_null(answer_error(an));
    answer_free(an);
}

/* What other dialects than chat say of blocks. */
static void rich_blocks(void **state) {
    (void)state;
    struct answer *an = answer_new(100000);
    add(an, (struct event){
                .kind = EV_START,
                .u.start = {.origin = "messages", .service_tier = SLICE("flex"), .created = -1}});
    add(an, (struct event){.kind = EV_BLOCK_BEGIN,
                           .block = 0,
                           .block_kind = BLOCK_REASONING,
                           .u.begin = {.item_id = SLICE("rs_1"), .group = 3, .is_raw = true}});
    add_text(an, 0, SLICE("first"));
    add(an, (struct event){.kind = EV_PART, .block = 0, .block_kind = BLOCK_REASONING});
    add_text(an, 0, SLICE("second"));
    add(an, (struct event){.kind = EV_PART, .block = 0, .block_kind = BLOCK_REASONING});
    add(an, (struct event){.kind = EV_SIGNATURE, .block = 0, .text = SLICE("proof")});
    add(an, (struct event){.kind = EV_BLOCK_END, .block = 0});
    add(an, (struct event){.kind = EV_BLOCK_BEGIN,
                           .block = 1,
                           .block_kind = BLOCK_TOOL_CALL,
                           .u.begin = {.id = SLICE("c"),
                                       .name = SLICE("f"),
                                       .name_space = SLICE("ns"),
                                       .input_json = SLICE("{\"a\":1}")}});
    add(an, (struct event){.kind = EV_BLOCK_BEGIN, .block = 2, .block_kind = BLOCK_TEXT});
    add(an, (struct event){.kind = EV_ANNOTATION,
                           .block = 2,
                           .raw_json = SLICE("{\"x\":1}"),
                           .u.annotation = {.kind = ANNOTATION_URL,
                                            .url = SLICE("https://e.example"),
                                            .title = SLICE("E"),
                                            .start = 1,
                                            .end = 4}});
    add(an, (struct event){.kind = EV_ANNOTATION,
                           .block = 2,
                           .raw_json = SLICE("{\"x\":2}"),
                           .u.annotation = {.kind = ANNOTATION_OTHER, .start = -1, .end = -1}});
    add(an, (struct event){.kind = EV_BLOCK_BEGIN,
                           .block = 3,
                           .block_kind = BLOCK_OPAQUE,
                           .raw_json = SLICE("{\"type\":\"server_tool_use\"}")});
    for (int i = 0; i < 2; i++)
        add(an, (struct event){.kind = EV_OPAQUE,
                               .block = 3,
                               .block_kind = BLOCK_OPAQUE,
                               .raw_json = SLICE("{\"d\":1}")});
    add(an, (struct event){.kind = EV_BLOCK_END, .block = 3});
    /* of the stream: nobody's */
    add(an, (struct event){
                .kind = EV_OPAQUE, .block_kind = BLOCK_OPAQUE, .raw_json = SLICE("{\"s\":1}")});
    add(an, (struct event){.kind = EV_FINISH,
                           .u.finish = {.reason = STOP_FILTER, .details = SLICE("{\"type\":1}")}});

    const struct answer_block *b;
    const struct answer_choice *c;
    assert_int_equal(answer_blocks(an, &b), 4);
    assert_string_equal(answer_start(an)->origin, "messages");
    assert_slices(answer_start(an)->service_tier, SLICE("flex"));
    assert_slices(b[0].item_id, SLICE("rs_1"));
    assert_int_equal(b[0].group, 3);
    assert_true(b[0].is_raw);
    assert_slices(b[0].text, SLICE("firstsecond"));
    assert_int_equal(b[0].n_parts, 2);
    assert_int_equal(b[0].parts[0], 5);
    assert_int_equal(b[0].parts[1], 11);
    assert_slices(b[0].signature, SLICE("proof"));
    assert_slices(b[1].name_space, SLICE("ns"));
    assert_slices(b[1].text, SLICE("{\"a\":1}"));
    assert_int_equal(b[2].n_annotations, 2);
    assert_int_equal(b[2].annotations[0].kind, ANNOTATION_URL);
    assert_slices(b[2].annotations[0].url, SLICE("https://e.example"));
    assert_slices(b[2].annotations[0].title, SLICE("E"));
    assert_int_equal(b[2].annotations[0].end, 4);
    assert_int_equal(b[2].annotations[1].kind, ANNOTATION_OTHER);
    assert_slices(b[2].annotations_json, SLICE("{\"x\":1},{\"x\":2}"));
    assert_slices(b[3].raw_json, SLICE("{\"type\":\"server_tool_use\"}"));
    assert_slices(b[3].opaque_json, SLICE("{\"d\":1},{\"d\":1}"));
    assert_int_equal(answer_choices(an, &c), 1);
    assert_slices(c[0].annotations_json, SLICE("{\"x\":1},{\"x\":2}"));
    assert_slices(c[0].finish.details, SLICE("{\"type\":1}"));
    answer_free(an);
}

static void an_unfinished_answer_is_not_written(void **state) {
    (void)state;
    struct answer *an = sample();
    struct encoder_options o = {.id = SLICE("x")};
    struct buf out;
    buf_init(&out, TEST_BYTES);
    assert_int_equal(dialect_chat.encode_response(an, &o, &out), -ERR_PROTOCOL);
    assert_int_equal(out.len, 0);
    add(an, (struct event){.kind = EV_FINISH,
                           .choice = 0,
                           .u.finish = {STOP_TOOL, SLICE("tool_calls"), SLICE_NULL}});
    assert_int_equal(dialect_chat.encode_response(an, &o, &out), 0);
    assert_slices(buf_slice(&out),
                  SLICE("{\"id\":\"id\",\"object\":\"chat.completion\",\"created\":7,\"model\":"
                        "\"m\",\"choices\":[{\"index\":0,\"message\":{"
                        "\"role\":\"assistant\",\"content\":null,\"refusal\":null,\"tool_calls\":[{"
                        "\"id\":\"call\",\"type\":\"function\","
                        "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}],\"annotations\":[]},"
                        "\"logprobs\":null,\"finish_reason\":"
                        "\"tool_calls\"},{\"index\":1,\"message\":{\"role\":\"assistant\","
                        "\"content\":\"one two\",\"refusal\":null,"
                        "\"annotations\":[{\"b\":1},{\"b\":2}]},\"logprobs\":{\"content\":[{\"a\":"
                        "1},{\"a\":2},{\"a\":3}],\"refusal\":null},"
                        "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_"
                        "tokens\":2,\"total_tokens\":3,"
                        "\"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},"
                        "\"completion_tokens_details\":{"
                        "\"reasoning_tokens\":0,\"audio_tokens\":0,\"accepted_prediction_tokens\":"
                        "0,\"rejected_prediction_tokens\":0}}}"));
    add(an,
        (struct event){.kind = EV_ERROR, .u.error = {.status = 500, .message = SLICE("broke")}});
    assert_slices(answer_error(an)->message, SLICE("broke"));
    assert_int_equal(dialect_chat.encode_response(an, &o, &out), -ERR_PROTOCOL);
    answer_free(an);
    buf_dispose(&out);
}

static void a_delta_without_block_is_refused(void **state) {
    (void)state;
    struct answer *an = answer_new(1000);
    struct event ev = {.kind = EV_DELTA, .block = 3, .text = SLICE("x")};
    assert_int_equal(answer_add(an, &ev), -ERR_PROTOCOL);
    answer_free(an);
}

/* Whatever is sent without end, the answer stops at its limit. */
static void every_kind_meets_the_limit(void **state) {
    (void)state;
    static const struct event kinds[] = {
        {.kind = EV_DELTA, .text = {"0123456789", 10}},
        {.kind = EV_SIGNATURE, .text = {"0123456789", 10}},
        {.kind = EV_BLOCK_BEGIN, .block_kind = BLOCK_TEXT},
        {.kind = EV_LOGPROBS, .raw_json = {"[{},{}]", 7}},
        {.kind = EV_ANNOTATION, .raw_json = {"{}", 2}},
        {.kind = EV_OPAQUE, .block_kind = BLOCK_AUDIO, .raw_json = {"\"QUJD\"", 6}},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct answer *an = answer_new(10000);
        add(an, (struct event){.kind = EV_BLOCK_BEGIN, .block_kind = BLOCK_AUDIO});
        int rc = 0;
        for (int n = 0; rc == 0 && n < 100000; n++) rc = answer_add(an, &kinds[i]);
        assert_int_equal(rc, -ERR_LIMIT);
        answer_free(an);
    }
}

static void names_are_complete(void **state) {
    (void)state;
    for (int k = 0; k < EV_KIND_COUNT; k++) assert_non_null(event_kind_name((enum event_kind)k));
    for (int k = 0; k < BLOCK_KIND_COUNT; k++) assert_non_null(block_kind_name((enum block_kind)k));
    assert_string_equal(event_kind_name(EV_KIND_COUNT), "unknown");
    assert_string_equal(block_kind_name(BLOCK_KIND_COUNT), "unknown");
}

static void dialects_are_found_by_name(void **state) {
    (void)state;
    assert_ptr_equal(dialect_find(SLICE("chat")), &dialect_chat);
    assert_null(dialect_find(SLICE("Chat")));
    assert_null(dialect_find(SLICE("")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_collected),
        cmocka_unit_test(rich_blocks),
        cmocka_unit_test(an_unfinished_answer_is_not_written),
        cmocka_unit_test(a_delta_without_block_is_refused),
        cmocka_unit_test(every_kind_meets_the_limit),
        cmocka_unit_test(names_are_complete),
        cmocka_unit_test(dialects_are_found_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
