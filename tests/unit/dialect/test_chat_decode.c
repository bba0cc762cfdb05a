/* SPDX-License-Identifier: Apache-2.0 */
/* What the golden transcripts do not show: sinks that stop, limits, memory. */
#include "dialect_test.h"

#define CHUNK(delta)                                                                               \
    "{\"id\":\"c\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{" delta      \
    "},\"finish_reason\":null}]}"

static struct sse_frame frame_of(struct slice data) {
    return (struct sse_frame){.raw = data, .data = data, .flags = SSE_EVENT | SSE_DATA};
}

static int feed(struct decoder *d, struct slice data, const struct event_sink *sink,
                struct err *e) {
    struct sse_frame f = frame_of(data);
    return dialect_chat.decoder_feed(d, &f, sink, e);
}

static int count(void *self, const struct event *ev) {
    (void)ev;
    ++*(unsigned *)self;
    return 0;
}

static int stop_at(void *self, const struct event *ev) {
    (void)ev;
    return --*(int *)self == 0 ? -77 : 0;
}

static void a_sink_that_stops_is_obeyed(void **state) {
    (void)state;
    struct slice chunk = SLICE("{\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":"
                               "\"assistant\",\"content\":\"a\",\"refusal\":\"b\","
                               "\"tool_calls\":[{\"index\":0,\"id\":\"i\",\"function\":{\"name\":"
                               "\"f\"}},{\"index\":1,\"id\":\"j\","
                               "\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]},\"finish_"
                               "reason\":\"stop\"}],\"usage\":{}}");
    unsigned n = 0;
    struct event_sink counter = {count, &n};
    struct decoder *d = dialect_chat.decoder_new();
    assert_int_equal(feed(d, chunk, &counter, NULL), 0);
    dialect_chat.decoder_free(d);
    assert_int_equal(n, 14);
    for (int at = 1; at <= (int)n; at++) {
        int left = at;
        struct event_sink sink = {stop_at, &left};
        d = dialect_chat.decoder_new();
        assert_int_equal(feed(d, chunk, &sink, NULL), -77);
        assert_int_equal(left, 0);
        dialect_chat.decoder_free(d);
    }
}

static void too_many_calls_are_a_protocol_error(void **state) {
    (void)state;
    struct decoder *d = dialect_chat.decoder_new();
    unsigned n = 0;
    struct event_sink sink = {count, &n};
    struct err e;
    char chunk[256];
    for (int i = 0; i < 130; i++) {
        snprintf(chunk, sizeof chunk,
                 CHUNK("\"tool_calls\":[{\"index\":%d,\"id\":\"c%d\",\"function\":{\"name\":\"f\","
                       "\"arguments\":\"\"}}]"),
                 i, i);
        assert_int_equal(feed(d, slice_cstr(chunk), &sink, &e), i < 128 ? 0 : -ERR_PROTOCOL);
    }
    assert_string_equal(e.text, "more than 128 tool calls in one choice");
    dialect_chat.decoder_free(d);
}

static void a_name_without_end_is_a_protocol_error(void **state) {
    (void)state;
    struct decoder *d = dialect_chat.decoder_new();
    unsigned n = 0;
    struct event_sink sink = {count, &n};
    struct err e;
    int rc = 0;
    for (int i = 0; rc == 0 && i < 10000; i++) {
        rc = feed(
            d,
            SLICE(CHUNK(
                "\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"aaaaaaaaaaaaaaaa\"}}]")),
            &sink, &e);
    }
    assert_int_equal(rc, -ERR_PROTOCOL);
    assert_string_equal(e.text, "a tool call's name is too long");
    dialect_chat.decoder_free(d);
}

static void deep_nesting_is_refused(void **state) {
    (void)state;
    static char deep[1 << 20];
    struct decoder *d = dialect_chat.decoder_new();
    unsigned n = 0;
    struct event_sink sink = {count, &n};
    struct err e;
    memset(deep, '[', sizeof deep);
    assert_int_equal(feed(d, slice_make(deep, sizeof deep), &sink, &e), -ERR_PROTOCOL);
    assert_int_equal(feed(d, slice_make(deep, 5000), &sink, &e), -ERR_PROTOCOL);
    assert_int_equal(feed(d, SLICE(CHUNK("\"content\":\"still here\"")), &sink, &e), 0);
    assert_int_equal(n, 3);
    dialect_chat.decoder_free(d);
}

static int keep_text(void *self, const struct event *ev) {
    if (ev->kind == EV_DELTA) put(self, ev->text);
    return 0;
}

/* As in streams, whose parser sees to it. Half a character in an escape is one, too. */
static void ill_formed_bodies_are_decoded_as_text(void **state) {
    (void)state;
    struct buf text;
    struct event_sink sink = {keep_text, &text};
    struct err e;
    buf_init(&text, TEST_BYTES);
    assert_int_equal(
        dialect_chat.decode_response(SLICE("{\"choices\":[{\"index\":0,\"message\":{\"content\":"
                                           "\"a\xff\xe2\x82 \\ud83d\"},\"finish_reason\":\"stop\"}]}"),
                                     &sink, &e),
        0);
    assert_slices(buf_slice(&text), SLICE("a\xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd"));
    buf_dispose(&text);
}

/* What it says would be lost to clients of another dialect. */
static void a_text_of_another_type_breaks_its_chunk(void **state) {
    (void)state;
    static const char *const deltas[] = {
        "\"content\":7", "\"content\":true", "\"content\":{\"a\":1}", "\"content\":[7]",
        "\"content\":[{\"type\":\"text\",\"text\":7}]", "\"refusal\":7",
        "\"reasoning_content\":7", "\"reasoning\":7", "\"reasoning_details\":7",
        "\"thinking_blocks\":{\"a\":1}", "\"tool_calls\":7", "\"tool_calls\":[7]",
        "\"tool_calls\":[{\"index\":0,\"function\":7}]",
        "\"tool_calls\":[{\"index\":0,\"function\":{\"name\":7}}]",
        "\"tool_calls\":[{\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":7}}]",
        "\"function_call\":7", "\"audio\":7",
    };
    static const char *const chunks[] = {
        "{\"choices\":7}",
        "{\"choices\":[7]}",
        "{\"choices\":[{\"delta\":7}]}",
    };
    unsigned n = 0;
    struct event_sink sink = {count, &n};
    char chunk[300];
    struct err e;
    for (size_t i = 0; i < sizeof deltas / sizeof *deltas; i++) {
        struct decoder *d = dialect_chat.decoder_new();
        snprintf(chunk, sizeof chunk, "{\"choices\":[{\"index\":0,\"delta\":{%s}}]}", deltas[i]);
        if (feed(d, slice_cstr(chunk), &sink, &e) != -ERR_PROTOCOL) fail_msg("%s", chunk);
        dialect_chat.decoder_free(d);
    }
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        struct decoder *d = dialect_chat.decoder_new();
        if (feed(d, slice_cstr(chunks[i]), &sink, &e) != -ERR_PROTOCOL) fail_msg("%s", chunks[i]);
        dialect_chat.decoder_free(d);
    }
    assert_int_equal(dialect_chat.decode_response(SLICE("{\"choices\":[{\"index\":0}]}"), &sink, &e),
                     -ERR_PROTOCOL);
    assert_int_equal(
        dialect_completions.decode_response(SLICE("{\"choices\":[{\"index\":0}]}"), &sink, &e),
        -ERR_PROTOCOL);
}

static int count_deltas(void *self, const struct event *ev) {
    *(unsigned *)self += ev->kind == EV_DELTA;
    return 0;
}

/* Doubled finishes, fragments of calls without anything, the whole message once more. */
static void what_says_nothing_new_may_follow_a_finish(void **state) {
    (void)state;
    static const struct {
        const char *choice;
        bool is_late;
    } rows[] = {
        {"\"delta\":{},\"finish_reason\":\"stop\"", false},
        {"\"finish_reason\":\"stop\"", false},
        {"\"delta\":{\"content\":\"\",\"tool_calls\":[]}", false},
        {"\"delta\":{\"content\":\"\\n\"}", false},
        {"\"delta\":{\"content\":[{\"type\":\"text\",\"text\":\"\"}]}", false},
        {"\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"name\":null,\"arguments\":\"\"}}]}", false},
        {"\"delta\":{\"function_call\":{\"name\":null,\"arguments\":null}}", false},
        {"\"message\":{\"role\":\"assistant\",\"content\":\"ab\"}", false},
        {"\"delta\":{},\"message\":{\"content\":\"ab\"}", false},
        {"\"delta\":{\"content\":\"c\"}", true},
        {"\"delta\":{\"content\":[{\"type\":\"text\",\"text\":\"c\"}]}", true},
        {"\"delta\":{\"reasoning_content\":\"c\"}", true},
        {"\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"1\"}}]}", true},
        {"\"delta\":{\"tool_calls\":[{\"index\":1,\"function\":{\"name\":\"f\"}}]}", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned n = 0;
        struct event_sink sink = {count_deltas, &n};
        struct decoder *d = dialect_chat.decoder_new();
        char chunk[300];
        struct err e;
        assert_int_equal(feed(d, SLICE(CHUNK("\"content\":\"ab\"")), &sink, &e), 0);
        assert_int_equal(feed(d, SLICE("{\"choices\":[{\"index\":0,\"delta\":{},"
                                       "\"finish_reason\":\"stop\"}]}"), &sink, &e), 0);
        snprintf(chunk, sizeof chunk, "{\"choices\":[{\"index\":0,%s}]}", rows[i].choice);
        if ((feed(d, slice_cstr(chunk), &sink, &e) == -ERR_PROTOCOL) != rows[i].is_late)
            fail_msg("%s", chunk);
        assert_int_equal(n, 1);
        dialect_chat.decoder_free(d);
    }
}

/* What a filter stopped has a reason, and nothing else; an empty delta stands beside a message. */
static void a_choice_may_be_without_its_message(void **state) {
    (void)state;
    static const struct {
        const char *choice;
        unsigned n_deltas;
        int rc;
    } rows[] = {
        {"\"finish_reason\":\"content_filter\"", 0, 0},
        {"\"finish_reason\":\"content_filter\",\"message\":null", 0, 0},
        {"\"finish_reason\":\"stop\",\"delta\":{},\"message\":{\"content\":\"a\"}", 1, 0},
        {"\"finish_reason\":\"stop\",\"text\":\"a\"", 0, -ERR_PROTOCOL},
        {"\"finish_reason\":null", 0, -ERR_PROTOCOL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned n = 0;
        struct event_sink sink = {count_deltas, &n};
        char body[200];
        struct err e;
        snprintf(body, sizeof body, "{\"choices\":[{\"index\":0,%s}]}", rows[i].choice);
        if (dialect_chat.decode_response(slice_cstr(body), &sink, &e) != rows[i].rc ||
            n != rows[i].n_deltas)
            fail_msg("%s", body);
    }
}

static void what_says_nothing_breaks_no_chunk(void **state) {
    (void)state;
    static const char *const deltas[] = {
        "", "\"content\":null", "\"content\":[]", "\"refusal\":null,\"tool_calls\":null",
        "\"tool_calls\":[]", "\"tool_calls\":\"\"", "\"function_call\":\"\",\"audio\":null",
        "\"reasoning\":null,\"reasoning_content\":null,\"reasoning_details\":[]",
        "\"reasoning\":{\"effort\":\"low\"}", "\"role\":7,\"later\":7",
        "\"content\":{},\"refusal\":false,\"audio\":false", "\"tool_calls\":{},\"function_call\":[]",
        "\"reasoning_content\":[],\"reasoning_details\":{},\"thinking_blocks\":false",
        "\"tool_calls\":[null,{\"index\":0,\"function\":[]}]",
        "\"tool_calls\":[{\"index\":0,\"id\":null,\"function\":{\"name\":null,\"arguments\":null}}]",
    };
    unsigned n = 0;
    struct event_sink sink = {count, &n};
    struct decoder *d = dialect_chat.decoder_new();
    char chunk[300];
    struct err e;
    for (size_t i = 0; i < sizeof deltas / sizeof *deltas; i++) {
        snprintf(chunk, sizeof chunk, "{\"choices\":[{\"index\":0,\"delta\":{%s}}]}", deltas[i]);
        if (feed(d, slice_cstr(chunk), &sink, &e)) fail_msg("%s: %s", chunk, e.text);
    }
    assert_int_equal(feed(d, SLICE("{\"choices\":[{\"index\":0,\"delta\":null,"
                                   "\"finish_reason\":\"stop\"}]}"), &sink, &e), 0);
    assert_int_equal(feed(d, SLICE("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},"
                                   "\"finish_reason\":\"stop\"}]}"), &sink, &e), 0);
    assert_int_equal(feed(d, SLICE("{\"choices\":[{\"index\":0,\"delta\":[]}]}"), &sink, &e), 0);
    assert_int_equal(feed(d, SLICE("{\"choices\":[{\"index\":0,\"delta\":\"\"}]}"), &sink, &e), 0);
    assert_int_equal(feed(d, SLICE("{\"choices\":{},\"usage\":{}}"), &sink, &e), 0);
    assert_int_equal(feed(d, SLICE("{\"choices\":null,\"usage\":{}}"), &sink, &e), 0);
    assert_int_equal(feed(d, SLICE(CHUNK("\"content\":\"late\"")), &sink, &e), -ERR_PROTOCOL);
    dialect_chat.decoder_free(d);
}

static int check_large(void *self, const struct event *ev) {
    size_t *len = self;
    if (ev->kind == EV_DELTA) {
        assert_int_equal(ev->text.len, *len);
        assert_int_equal(ev->val.len, *len);
        *len = 0;
    }
    return 0;
}

static void large_chunks_are_read(void **state) {
    (void)state;
    for (size_t len = 1000; len < 4000000; len = len * 3 + 1) {
        struct buf b;
        struct decoder *d = dialect_chat.decoder_new();
        size_t left = len;
        struct event_sink sink = {check_large, &left};
        buf_init(&b, TEST_BYTES);
        put(&b, SLICE("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\""));
        for (size_t i = 0; i < len; i++) put(&b, SLICE("a"));
        put(&b, SLICE("\"}}]}"));
        assert_int_equal(feed(d, buf_slice(&b), &sink, NULL), 0);
        assert_int_equal(left, 0);
        dialect_chat.decoder_free(d);
        buf_dispose(&b);
    }
}

static const struct slice usual[] = {
    {"" CHUNK("\"content\":\"x\""), sizeof CHUNK("\"content\":\"x\"") - 1},
    {"" CHUNK("\"content\":\"\\u00e9\\n\""), sizeof CHUNK("\"content\":\"\\u00e9\\n\"") - 1},
    {"" CHUNK("\"reasoning_content\":\"x\""), sizeof CHUNK("\"reasoning_content\":\"x\"") - 1},
    {"" CHUNK("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"x\"}}]"),
     sizeof CHUNK("\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"x\"}}]") - 1},
};

/* What a token costs in steady state, decoded and encoded: nothing from malloc. */
struct relay {
    struct encoder *x;
    struct buf out;
};

static int relay_event(void *self, const struct event *ev) {
    struct relay *r = self;
    buf_reset(&r->out);
    return dialect_chat.encoder_event(r->x, ev, &r->out);
}

static void steady_state_does_not_allocate(void **state) {
    (void)state;
    struct encoder_options o = {.id = SLICE("i"), .model = SLICE("m")};
    struct relay r = {.x = dialect_chat.encoder_new(&o)};
    struct event_sink sink = {relay_event, &r};
    struct decoder *d = dialect_chat.decoder_new();
    buf_init(&r.out, TEST_BYTES);
    assert_int_equal(feed(d,
                          SLICE(CHUNK("\"role\":\"assistant\",\"tool_calls\":[{\"index\":0,\"id\":"
                                      "\"i\",\"function\":{\"name\":\"f\","
                                      "\"arguments\":\"\"}}]")),
                          &sink, NULL),
                     0);
    uint64_t before = 0;
    for (int i = 0; i < 1000; i++) {
        if (i == 1) before = mem_alloc_count(); /* the first round makes the mould */
        for (size_t k = 0; k < sizeof usual / sizeof *usual; k++)
            assert_int_equal(feed(d, usual[k], &sink, NULL), 0);
    }
    assert_int_equal(mem_alloc_count(), before);
    dialect_chat.decoder_free(d);
    dialect_chat.encoder_free(r.x);
    buf_dispose(&r.out);
}

/* ---- whole answers ---- */

static const struct response_row {
    const char *body, *events; /* NULL: refused */
} responses[] = {
    {"{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":5,\"model\":\"m\",\"choices\":[{"
     "\"index\":0,\"message\":{\"role\":"
     "\"assistant\",\"content\":\"Blue "
     "whale\",\"refusal\":null,\"annotations\":[]},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
     "\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":5,\"total_tokens\":17},\"service_"
     "tier\":\"default\"}",
     "start id=\"c\" model=\"m\" role=\"assistant\" tier=\"default\" created=5\nblock_begin 0/0 "
     "text\ndelta 0/0 text @0 \"Blue whale\" +content\n"
     "block_end 0/0 text +synth\nfinish 0 end wire=\"stop\"\nusage in=12 out=5\nend +last\n"},
    {"\n\n "
     "{\"id\":\"c\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":null,"
     "\"reasoning\":\"hm\",\"tool_calls\":"
     "[{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},{"
     "\"id\":\"b\",\"type\":\"custom\",\"custom\":"
     "{\"name\":\"q\",\"input\":\"x\"}},{\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":"
     "\"g\"}}]},\"finish_reason\":\"tool_calls\"}]}",
     "start id=\"c\" role=\"assistant\"\nblock_begin 0/0 reasoning\ndelta 0/0 reasoning @0 \"hm\" "
     "+content\nblock_end 0/0 reasoning +synth\n"
     "block_begin 0/1 tool_call id=\"a\" name=\"f\" wire=0 +content\ndelta 0/1 tool_call @0 \"{}\" "
     "+content\n"
     "block_begin 0/2 custom_tool_call id=\"b\" name=\"q\" wire=1 +content\ndelta 0/2 "
     "custom_tool_call @0 \"x\" +content\n"
     "block_begin 0/3 tool_call id=\"b\" name=\"g\" wire=2 +content\n"
     "block_end 0/1 tool_call +synth\nblock_end 0/2 custom_tool_call +synth\nblock_end 0/3 "
     "tool_call +synth\n"
     "finish 0 tool wire=\"tool_calls\"\nend +last\n"},
    {"{\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\"},\"finish_reason\":\"stop\"},{"
     "\"index\":1,\"message\":{\"content\":\"b\"},"
     "\"finish_reason\":\"length\"}]}",
     "start role=\"assistant\" +synth\nblock_begin 0/0 text\ndelta 0/0 text @0 \"a\" "
     "+content\nblock_end 0/0 text +synth\n"
     "finish 0 end wire=\"stop\"\nblock_begin 1/1 text\ndelta 1/1 text @0 \"b\" "
     "+content\nblock_end 1/1 text +synth\n"
     "finish 1 length wire=\"length\"\nend +last\n"},
    {"{\"error\":{\"message\":\"m\",\"type\":\"t\",\"code\":null}}",
     "error 0 message=\"m\" type=\"t\" raw={\"message\":\"m\",\"type\":\"t\",\"code\":null} "
     "+last\n"},
    {"{\"detail\":\"no\"}", "error 0 message=\"no\" raw={\"detail\":\"no\"} +last\n"},
    {"{}", NULL},
    {"[]", NULL},
    {"7", NULL},
    {"", NULL},
    {"{\"choices\":[]}", NULL},
    {"{\"choices\":{}}", NULL},
    {"<html>", NULL},
};

static void whole_answers_are_the_same_events(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof responses / sizeof *responses; i++) {
        struct buf b;
        struct err e = {.kind = ERR_NONE};
        struct event_sink sink = {collect_event, &b};
        buf_init(&b, TEST_BYTES);
        int rc = dialect_chat.decode_response(slice_cstr(responses[i].body), &sink, &e);
        assert_int_equal(rc, responses[i].events ? 0 : -ERR_PROTOCOL);
        assert_slices(buf_slice(&b), slice_cstr(responses[i].events));
        if (rc) assert_true(e.text[0]);
        buf_dispose(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sink_that_stops_is_obeyed),
        cmocka_unit_test(too_many_calls_are_a_protocol_error),
        cmocka_unit_test(a_name_without_end_is_a_protocol_error),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(a_text_of_another_type_breaks_its_chunk),
        cmocka_unit_test(ill_formed_bodies_are_decoded_as_text),
        cmocka_unit_test(what_says_nothing_breaks_no_chunk),
        cmocka_unit_test(what_says_nothing_new_may_follow_a_finish),
        cmocka_unit_test(a_choice_may_be_without_its_message),
        cmocka_unit_test(large_chunks_are_read),
        cmocka_unit_test(steady_state_does_not_allocate),
        cmocka_unit_test(whole_answers_are_the_same_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
