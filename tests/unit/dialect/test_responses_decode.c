/* SPDX-License-Identifier: Apache-2.0 */
/* What the transcripts do not show: bodies, errors, limits, and the short cut's equivalence to the
 * long way. */
#include "dialect_test.h"

#include "dialect/responses/responses-stream.h"

struct rig {
    struct decoder *d;
    struct buf events;
    struct event_sink sink;
    struct err e;
};

static void rig_init(struct rig *r) {
    r->d = dialect_responses.decoder_new();
    buf_init(&r->events, TEST_BYTES);
    r->sink = (struct event_sink){collect_event, &r->events};
}

static void rig_dispose(struct rig *r) {
    dialect_responses.decoder_free(r->d);
    buf_dispose(&r->events);
}

static int feed(struct rig *r, struct slice data) {
    struct sse_frame f = {.data = data, .flags = SSE_EVENT | SSE_DATA};
    return dialect_responses.decoder_feed(r->d, &f, &r->sink, &r->e);
}

static void assert_events(struct rig *r, const char *wanted) {
    assert_slices(buf_slice(&r->events), slice_cstr(wanted));
    buf_reset(&r->events);
}

/* ---- whole answers ---- */

static int decode_body(struct rig *r, const char *body) {
    return dialect_responses.decode_response(slice_cstr(body), &r->sink, &r->e);
}

static void a_body_gives_the_events_of_its_stream(void **state) {
    (void)state;
    struct rig r;
    rig_init(&r);
    assert_int_equal(
        decode_body(
            &r,
            "{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":7.0,\"status\":"
            "\"incomplete\",\"incomplete_details\":{\"reason\":\"max_output_tokens\"},"
            "\"model\":\"m\",\"service_tier\":\"flex\",\"error\":null,\"output\":[null,"
            "{\"id\":\"rs_1\",\"type\":\"reasoning\",\"summary\":[{\"text\":\"a\"},{\"text\":"
            "\"b\"}],\"encrypted_content\":\"e\"},"
            "{\"id\":\"ws_1\",\"type\":\"web_search_call\"},"
            "{\"id\":\"msg_1\",\"type\":\"message\",\"content\":[{\"type\":\"output_text\","
            "\"text\":\"Hi\",\"annotations\":[{\"type\":\"file_path\"}],\"logprobs\":[{"
            "\"token\":\"Hi\"}]},{\"type\":\"later\"},{\"type\":\"refusal\",\"refusal\":\"No\"}]},"
            "{\"id\":\"fc_1\",\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\","
            "\"arguments\":\"{\"}],"
            "\"usage\":{\"input_tokens\":5,\"output_tokens\":2}}"),
        0);
    assert_events(
        &r, "start id=\"resp_1\" model=\"m\" role=\"assistant\" tier=\"flex\" created=7\n"
            "block_begin 0/0 reasoning item=\"rs_1\"\n"
            "delta 0/0 reasoning @0 \"a\" +content\n"
            "part 0/0 reasoning\n"
            "delta 0/0 reasoning @1 \"b\" +content\n"
            "signature 0/0 reasoning @0 \"e\"\n"
            "block_end 0/0 reasoning +synth\n"
            "block_begin 0/1 opaque item=\"ws_1\" {\"id\":\"ws_1\",\"type\":\"web_search_call\"}"
            " +content\n"
            "block_end 0/1 opaque +synth\n"
            "block_begin 0/2 text item=\"msg_1\" group=3\n"
            "logprobs 0 text [{\"token\":\"Hi\",\"bytes\":null,\"top_logprobs\":[]}]\n"
            "delta 0/2 text @0 \"Hi\" +content\n"
            "annotation 0 text {\"type\":\"file_path\"}\n"
            "block_end 0/2 text +synth\n"
            "block_begin 0/3 refusal item=\"msg_1\" group=3\n"
            "delta 0/3 refusal @0 \"No\" +content\n"
            "block_end 0/3 refusal +synth\n"
            "block_begin 0/4 tool_call id=\"c\" name=\"f\" wire=4 item=\"fc_1\" +content\n"
            "delta 0/4 tool_call @0 \"{\" +content\n"
            "block_end 0/4 tool_call +synth\n"
            "finish 0 length wire=\"max_output_tokens\"\n"
            "usage in=5 out=2\n"
            "end +last\n");
    rig_dispose(&r);
}

static void a_body_may_be_an_error(void **state) {
    (void)state;
    struct rig r;
    rig_init(&r);
    assert_int_equal(decode_body(&r, "{\"error\":{\"message\":\"m\",\"code\":\"invalid_prompt\"}}"),
                     0);
    assert_events(&r, "error 400 message=\"m\" code=\"invalid_prompt\" "
                      "raw={\"message\":\"m\",\"code\":\"invalid_prompt\"} +last\n");
    assert_int_equal(decode_body(&r, "{\"id\":\"r\",\"status\":\"failed\",\"output\":[],\"error\":{"
                                     "\"code\":\"server_error\",\"message\":\"broke\"}}"),
                     0);
    assert_events(&r, "start id=\"r\" role=\"assistant\"\n"
                      "error 500 message=\"broke\" code=\"server_error\" "
                      "raw={\"code\":\"server_error\",\"message\":\"broke\"} +last\n");
    assert_int_equal(decode_body(&r, "{\"id\":\"r\",\"status\":\"cancelled\",\"output\":[],"
                                     "\"usage\":{\"input_tokens\":1}}"),
                     0);
    assert_events(&r, "start id=\"r\" role=\"assistant\"\nusage in=1\n"
                      "error 0 message=\"the response was cancelled\" +last\n");
    rig_dispose(&r);
}

static void other_bodies_are_no_answers(void **state) {
    (void)state;
    static const struct {
        const char *body, *text;
    } bodies[] = {
        {"", "not JSON"},
        {"<html>", "not JSON"},
        {"[1]", "an answer without output"},
        {"{}", "an answer without output"},
        {"{\"choices\":[]}", "an answer without output"},
        {"{\"output\":7}", "an answer without output"},
        {"{\"status\":\"queued\",\"output\":[]}", "an answer that is not finished"},
        {"{\"status\":\"in_progress\",\"output\":[]}", "an answer that is not finished"},
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct rig r;
        rig_init(&r);
        assert_int_equal(decode_body(&r, bodies[i].body), -ERR_PROTOCOL);
        assert_non_null(strstr(r.e.text, bodies[i].text));
        assert_int_equal(r.events.len, 0);
        rig_dispose(&r);
    }
}

static int refuse_third(void *self, const struct event *ev) {
    (void)ev;
    return ++*(int *)self == 3 ? 42 : 0;
}

static void what_the_sink_returns_comes_back(void **state) {
    (void)state;
    int n = 0;
    struct event_sink sink = {refuse_third, &n};
    struct slice body = SLICE("{\"output\":[{\"type\":\"function_call\",\"name\":\"f\"}]}");
    assert_int_equal(dialect_responses.decode_response(body, &sink, NULL), 42);
    assert_int_equal(n, 3);
}

/* ---- what is said twice ---- */

#define MESSAGE "\"output_index\":0,\"item_id\":\"m\",\"content_index\":0"
#define NUMBER(n) ",\"sequence_number\":" n "}"
#define ADDED(n)                                                                                   \
    "{\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"id\":\"m\",\"type\":"          \
    "\"message\",\"content\":[]}" NUMBER(n)
#define PIECE(text, n)                                                                             \
    "{\"type\":\"response.output_text.delta\"," MESSAGE ",\"delta\":\"" text "\"" NUMBER(n)
#define WHOLE(text, n)                                                                             \
    "{\"type\":\"response.output_text.done\"," MESSAGE ",\"text\":\"" text "\"" NUMBER(n)
#define ITEM(text)                                                                                 \
    "{\"id\":\"m\",\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"" text      \
    "\"}]}"
#define ITEM_DONE(text, n)                                                                         \
    "{\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":" ITEM(text) NUMBER(n)
#define COMPLETED(output, n)                                                                       \
    "{\"type\":\"response.completed\",\"response\":{\"status\":\"completed\",\"output\":[" output      \
    "]}" NUMBER(n)
#define CALL_ADDED(n)                                                                              \
    "{\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"id\":\"f\",\"type\":"          \
    "\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"\"}" NUMBER(n)
#define CALL_PIECE(text, n)                                                                        \
    "{\"type\":\"response.function_call_arguments.delta\",\"item_id\":\"f\",\"output_index\":0,"      \
    "\"delta\":\"" text "\"" NUMBER(n)
#define CALL_WHOLE(text, n)                                                                        \
    "{\"type\":\"response.function_call_arguments.done\",\"item_id\":\"f\",\"output_index\":0,"       \
    "\"arguments\":\"" text "\"" NUMBER(n)
#define CALL(text)                                                                                 \
    "{\"id\":\"f\",\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"" text   \
    "\"}"

struct told {
    struct buf text;
    bool is_broken, is_over;
};

static int listen(void *self, const struct event *ev) {
    struct told *t = self;
    if (ev->kind == EV_DELTA && !(ev->flags & EVF_RECAP)) put(&t->text, ev->text);
    t->is_broken |= (ev->flags & EVF_BROKEN) != 0;
    t->is_over |= ev->kind == EV_END;
    return 0;
}

/* Streams of a few events, in the numbers of servers that do not count unless said otherwise. */
static void a_stream_that_contradicts_itself_is_told(void **state) {
    (void)state;
    static const struct {
        const char *what, *frames[10], *text;
        bool is_broken;
    } rows[] = {
        {"all is well",
         {ADDED("0"), PIECE("a", "1"), PIECE("b", "2"), WHOLE("ab", "3"), COMPLETED(ITEM("ab"), "4")},
         "ab", false},
        {"a piece is missing",
         {ADDED("0"), PIECE("a", "0"), PIECE("c", "0"), WHOLE("abc", "0"), COMPLETED("", "0")},
         "ac", true},
        {"a piece comes twice",
         {ADDED("0"), PIECE("a", "0"), PIECE("a", "0"), WHOLE("a", "0"), COMPLETED("", "0")},
         "aa", true},
        {"two change places",
         {ADDED("0"), PIECE("b", "0"), PIECE("a", "0"), COMPLETED(ITEM("ab"), "0")},
         "ba", true},
        {"the last one is missing: its recap has it",
         {ADDED("0"), PIECE("a", "0"), WHOLE("ab", "0"), COMPLETED(ITEM("ab"), "0")},
         "ab", false},
        {"the same, in the terminal event alone",
         {ADDED("0"), PIECE("a", "0"), COMPLETED(ITEM("abc"), "0")}, "abc", false},
        {"the last one comes behind its recap",
         {ADDED("0"), PIECE("a", "0"), WHOLE("ab", "0"), PIECE("b", "0"), COMPLETED("", "0")},
         "abb", true},
        {"a recap says more than the one before it",
         {ADDED("0"), PIECE("a", "0"), WHOLE("a", "0"), COMPLETED(ITEM("ab"), "0")}, "a", true},
        {"blanks at the ends are trimmed",
         {ADDED("0"), PIECE("\\n a", "0"), PIECE(" b \\n", "0"), WHOLE("a b", "0"), COMPLETED("", "0")},
         "\n a b \n", false},
        {"a blank inside is not",
         {ADDED("0"), PIECE("a", "0"), PIECE("b", "0"), WHOLE("a b", "0"), COMPLETED("", "0")},
         "ab", true},
        {"blanks, and then the text",
         {ADDED("0"), PIECE("\\n", "0"), WHOLE("\\nab", "0"), COMPLETED("", "0")}, "\nab", false},
        {"half a character, whole in the recap",
         {ADDED("0"), PIECE("a\xef\xbf\xbd", "0"), WHOLE("a\xf0\x9f\x98\x80", "0"), COMPLETED("", "0")},
         "a\xef\xbf\xbd", false},
        {"no recap, no count",
         {ADDED("0"), PIECE("a", "0"), PIECE("b", "0"), COMPLETED("", "0")}, "ab", false},
        {"no numbers at all",
         {ADDED("null"), PIECE("a", "-1"), PIECE("b", "\"3\""), COMPLETED("", "1.5")}, "ab", false},
        {"numbers that grow by more",
         {ADDED("0"), PIECE("a", "2"), PIECE("b", "4"), PIECE("c", "6"), COMPLETED("", "8")},
         "abc", false},
        {"a number left out, and no recap",
         {ADDED("1"), PIECE("a", "2"), PIECE("b", "3"), PIECE("d", "5"), COMPLETED("", "6")},
         "abd", true},
        {"a number that comes twice, and no recap",
         {ADDED("0"), PIECE("a", "1"), PIECE("b", "2"), PIECE("b", "2"), COMPLETED("", "3")},
         "abb", true},
        {"a number left out, and a recap that knows of nothing",
         {ADDED("0"), PIECE("a", "1"), PIECE("b", "2"), WHOLE("ab", "7"), COMPLETED(ITEM("ab"), "9")},
         "ab", false},
        {"a number left out, and nothing but the recap of another item",
         {ADDED("0"), PIECE("a", "1"), PIECE("b", "2"), WHOLE("ab", "7"), COMPLETED("", "8")},
         "ab", true},
        {"events without a number, which was counted",
         {ADDED("0"), PIECE("a", "1"), PIECE("b", "2"), PIECE("c", "null"), PIECE("d", "4"), COMPLETED("", "5")},
         "abcd", false},
        {"events without a number, which was not",
         {ADDED("0"), PIECE("a", "1"), PIECE("b", "2"), PIECE("c", "0"), PIECE("d", "3"), COMPLETED("", "4")},
         "abcd", false},
        {"numbers that begin anew, no list in the end",
         {ADDED("1"), PIECE("a", "2"), PIECE("b", "3"), WHOLE("ab", "4"), ITEM_DONE("ab", "1"), COMPLETED("", "2")},
         "ab", false},
        {"marks that are taken out of the text",
         {ADDED("0"), PIECE("a <|f-1|>", "1"), PIECE("b", "2"), WHOLE("a b", "3"), COMPLETED(ITEM("a b"), "4")},
         "a <|f-1|>b", false},
        {"the same, and a number is missing",
         {ADDED("0"), PIECE("a <|f-1|>", "1"), PIECE("b", "2"), PIECE("b", "4"), WHOLE("a b", "5"), COMPLETED("", "6")},
         "a <|f-1|>bb", true},
        {"the text says less than its recap, by the numbers nothing is missing",
         {ADDED("0"), PIECE("a", "1"), PIECE("c", "2"), WHOLE("abc", "3"), COMPLETED("", "4")},
         "ac", true},
        {"a call without id and index, known by its call_id",
         {"{\"type\":\"response.output_item.added\",\"item\":{\"type\":\"function_call\",\"call_id\":\"fc_1\",\"name\":\"f\",\"arguments\":\"\"}}",
          "{\"type\":\"response.function_call_arguments.delta\",\"item_id\":\"fc_1\",\"delta\":\"{\\\"a\\\":\"}",
          "{\"type\":\"response.function_call_arguments.delta\",\"item_id\":\"fc_1\",\"delta\":\"1}\"}",
          "{\"type\":\"response.output_item.done\",\"item\":{\"type\":\"function_call\",\"call_id\":\"fc_1\",\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}}",
          COMPLETED("{\"type\":\"function_call\",\"call_id\":\"fc_1\",\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}", "0")},
         "{\"a\":1}", false},
        {"arguments with other blanks",
         {CALL_ADDED("0"), CALL_PIECE("{\\\"a b\\\":", "0"), CALL_PIECE(" 1}", "0"), CALL_WHOLE("{ \\\"a b\\\":1}\\n", "0"), COMPLETED(CALL("{\\\"a b\\\":1}"), "0")},
         "{\"a b\": 1}", false},
        {"arguments with another text",
         {CALL_ADDED("0"), CALL_PIECE("{\\\"a b\\\":", "0"), CALL_PIECE("1}", "0"), COMPLETED(CALL("{\\\"ab\\\":1}"), "0")},
         "{\"a b\":1}", true},
        {"arguments spelt otherwise, and nothing is missing",
         {CALL_ADDED("0"), CALL_PIECE("{\\\"a\\\":1.0", "1"), CALL_PIECE("}", "2"), CALL_WHOLE("{\\\"a\\\":1}", "3"), COMPLETED("", "4")},
         "{\"a\":1.0}", false},
        {"the same, and a number is missing",
         {CALL_ADDED("0"), CALL_PIECE("{\\\"a\\\":1.0", "1"), CALL_PIECE("}", "2"), CALL_WHOLE("{\\\"a\\\":1}", "4"), COMPLETED("", "5")},
         "{\"a\":1.0}", true},
        {"arguments without their end",
         {CALL_ADDED("0"), CALL_PIECE("{\\\"a\\\":", "0"), COMPLETED(CALL("{\\\"a\\\": 1}"), "0")},
         "{\"a\": 1}", false},
        {"arguments before their call",
         {CALL_PIECE("{\\\"a\\\":", "0"), CALL_ADDED("1"), CALL_PIECE("1}", "2"), CALL_WHOLE("{\\\"a\\\":1}", "3"), COMPLETED("", "4")},
         "{\"a\":1}", false},
        {"arguments of a call that never came",
         {CALL_PIECE("{\\\"a\\\":1}", "0"), COMPLETED("", "0")}, "", true},
        {"arguments of a call that came too late, and no recap",
         {CALL_PIECE("{", "0"), CALL_ADDED("0"), CALL_PIECE("}", "0"), COMPLETED("", "0")}, "", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct told t = {0};
        struct rig r;
        rig_init(&r);
        buf_init(&t.text, TEST_BYTES);
        r.sink = (struct event_sink){listen, &t};
        for (size_t k = 0; k < 10 && rows[i].frames[k]; k++) {
            if (feed(&r, slice_cstr(rows[i].frames[k]))) fail_msg("%s: %s", rows[i].what, r.e.text);
        }
        if (!slice_eq(buf_slice(&t.text), slice_cstr(rows[i].text)) ||
            t.is_broken != rows[i].is_broken || !t.is_over)
            fail_msg("%s: '%.*s', %s", rows[i].what, SLICE_FMT(buf_slice(&t.text)),
                     t.is_broken ? "broken" : "well");
        buf_dispose(&t.text);
        rig_dispose(&r);
    }
}

static void a_text_of_another_type_breaks_its_frame(void **state) {
    (void)state;
    static const char *const frames[] = {
        "{\"type\":\"response.output_text.delta\"," MESSAGE ",\"delta\":7}",
        "{\"type\":\"response.output_text.done\"," MESSAGE ",\"text\":[\"a\"]}",
        "{\"type\":\"response.refusal.delta\"," MESSAGE ",\"delta\":true}",
        "{\"type\":\"response.reasoning_text.delta\",\"item_id\":\"r\",\"delta\":{\"a\":1}}",
        "{\"type\":\"response.function_call_arguments.delta\",\"item_id\":\"f\",\"delta\":{\"a\":1}}",
        "{\"type\":\"response.function_call_arguments.done\",\"item_id\":\"f\",\"arguments\":1}",
        "{\"type\":\"response.output_item.done\",\"item\":{\"type\":\"message\",\"content\":7}}",
        "{\"type\":\"response.output_item.done\",\"item\":{\"type\":\"message\",\"content\":[7]}}",
        "{\"type\":\"response.output_item.done\",\"item\":{\"type\":\"reasoning\",\"summary\":\"a\"}}",
        "{\"type\":\"response.completed\",\"response\":{\"output\":7}}",
        "{\"type\":\"response.completed\",\"response\":{\"output\":[7]}}",
    };
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        struct rig r;
        rig_init(&r);
        if (feed(&r, slice_cstr(frames[i])) != -ERR_PROTOCOL) fail_msg("%s", frames[i]);
        rig_dispose(&r);
    }
}

static void what_is_empty_is_no_text(void **state) {
    (void)state;
    static const char *const frames[] = {
        "{\"type\":\"response.output_text.delta\"," MESSAGE ",\"delta\":null}",
        "{\"type\":\"response.output_text.delta\"," MESSAGE "}",
        "{\"type\":\"response.output_text.done\"," MESSAGE ",\"text\":null}",
        "{\"type\":\"response.content_part.done\"," MESSAGE ",\"part\":null}",
        "{\"type\":\"response.output_item.done\",\"item\":{\"type\":\"message\",\"content\":null}}",
        "{\"type\":\"response.output_item.done\",\"item\":{\"type\":\"reasoning\",\"summary\":null,"
        "\"content\":null}}",
        "{\"type\":\"response.output_item.done\",\"item\":{\"type\":\"reasoning\",\"summary\":{},"
        "\"content\":\"\"}}",
        "{\"type\":\"response.output_text.delta\"," MESSAGE ",\"delta\":false}",
        "{\"type\":\"response.completed\",\"response\":{\"output\":{}}}",
    };
    struct rig r;
    rig_init(&r);
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        if (feed(&r, slice_cstr(frames[i]))) fail_msg("%s: %s", frames[i], r.e.text);
    }
    rig_dispose(&r);
}

/* ---- limits ---- */

static void items_are_bounded(void **state) {
    (void)state;
    struct rig r;
    char data[200];
    int rc = 0;
    unsigned n = 0;
    rig_init(&r);
    for (; rc == 0 && n < 5000; n++) {
        int len = snprintf(data, sizeof data,
                           "{\"type\":\"response.output_item.added\",\"output_index\":%u,\"item\":{"
                           "\"id\":\"i%u\",\"type\":\"message\"}}",
                           n, n);
        rc = feed(&r, slice_make(data, (size_t)len));
    }
    assert_int_equal(rc, -ERR_PROTOCOL);
    assert_int_equal(n, 1025);
    assert_string_equal(r.e.text, "more than 1024 output items");
    assert_int_equal(feed(&r, SLICE("{\"type\":\"response.output_text.delta\",\"output_index\":0,"
                                    "\"content_index\":4096,\"delta\":\"x\"}")),
                     -ERR_PROTOCOL);
    rig_dispose(&r);
}

/* ---- errors ---- */

static void an_error_event_has_the_next_number(void **state) {
    (void)state;
    struct rig r;
    struct api_error er = {.status = 429, .message = SLICE("m"), .param = SLICE("p")};
    struct buf out;
    buf_init(&out, TEST_BYTES);
    rig_init(&r);
    assert_int_equal(dialect_responses.encode_error_event(&er, NULL, &out), 0);
    assert_slices(buf_slice(&out),
                  SLICE("event: error\ndata: {\"type\":\"error\",\"sequence_number\":0,\"error\":{"
                        "\"type\":\"requests\",\"code\":null,\"message\":\"m\",\"param\":\"p\"},"
                        "\"code\":null,\"message\":\"m\",\"param\":\"p\"}\n\n"));
    static const struct {
        const char *data;
        unsigned next;
    } frames[] = {
        {"{\"type\":\"response.output_text.delta\",\"delta\":\"a\",\"sequence_number\":41}", 42},
        {"{\"type\":\"response.output_text.delta\",\"delta\":\"b\",\"sequence_number\":42}", 43},
        {"{\"type\":\"response.output_text.delta\",\"delta\":\"c\"}", 44},
        {"{\"type\":\"keepalive\",\"sequence_number\":-1}", 45},
        {"{\"type\":\"keepalive\",\"sequence_number\":18446744073709551615}", 46},
    };
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        char wanted[64];
        assert_int_equal(feed(&r, slice_cstr(frames[i].data)), 0);
        buf_reset(&out);
        assert_int_equal(dialect_responses.encode_error_event(&er, r.d, &out), 0);
        snprintf(wanted, sizeof wanted, "\"sequence_number\":%u,", frames[i].next);
        assert_non_null(memmem(out.ptr, out.len, wanted, strlen(wanted)));
    }
    rig_dispose(&r);
    buf_dispose(&out);
}

static void error_bodies(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct api_error er;
    struct buf out;
    buf_init(&out, TEST_BYTES);
    dialect_responses.decode_error(
        529,
        SLICE("{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"O\"}}"),
        a, &er);
    assert_slices(er.type, SLICE("overloaded_error"));
    assert_int_equal(dialect_responses.encode_error(&er, &out), 0);
    assert_slices(buf_slice(&out), SLICE("{\"error\":{\"type\":\"overloaded_error\",\"code\":null,"
                                         "\"message\":\"O\",\"param\":null}}"));
    buf_dispose(&out);
    arena_free(a);
}

/* ---- the short cut ---- */

#define FRAME(n, text, pad)                                                                        \
    "{\"type\":\"response.output_text.delta\",\"sequence_number\":" n ",\"item_id\":\"m\","        \
    "\"output_index\":0,\"content_index\":0,\"delta\":\"" text "\",\"logprobs\":[],"               \
    "\"obfuscation\":\"" pad "\"}"

static struct span find(struct slice data, const char *text) {
    const char *at = memmem(data.ptr, data.len, text, strlen(text));
    return (struct span){(uint32_t)(at - data.ptr), (uint32_t)strlen(text)};
}

static void a_mould_takes_what_differs_in_its_places_only(void **state) {
    (void)state;
    struct responses_mould *m = NULL;
    struct slice made = SLICE(FRAME("9", "Blue", "xyz"));
    struct span text;
    uint64_t number;
    static const struct {
        const char *data;
        bool fits;
    } frames[] = {
        {FRAME("9", "Blue", "xyz"), true},
        {FRAME("10", "w", ""), true},
        {FRAME("0", "}]", "longer than before"), true},
        {FRAME("123456789012345", "\xc3\xa9", "p"), true},
        {FRAME("1234567890123456", "a", "p"), false},
        {FRAME("01", "a", "p"), false},
        {FRAME("-1", "a", "p"), false},
        {FRAME("1.5", "a", "p"), false},
        {FRAME("", "a", "p"), false},
        {FRAME("1", "", "p"), false},
        {FRAME("1", "a\\n", "p"), false},
        {FRAME("1", "a", "p\\u0041"), false},
        {FRAME("1", "a\t", "p"), false},
        {FRAME("1", "a\",\"delta\":\"b", "p"), false},
        {FRAME("1", "a", "p") " ", false},
        {FRAME("1", "a", "p\",\"x\":\""), false},
        {"{\"type\":\"response.output_text.delta\"", false},
        {"{", false},
        {"", false},
    };
    assert_false(responses_mould_fits(NULL, made, &text, &number));
    assert_true(
        responses_mould_make(&m, made, find(made, "Blue"), find(made, "9"), find(made, "xyz")));
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        if (responses_mould_fits(m, slice_cstr(frames[i].data), &text, &number) != frames[i].fits)
            fail_msg("%s", frames[i].data);
    }
    assert_true(responses_mould_fits(m, SLICE(FRAME("77", "here", "q")), &text, &number));
    assert_int_equal(number, 77);
    assert_slices(slice_sub(SLICE(FRAME("77", "here", "q")), text.off, text.len), SLICE("here"));
    mem_free(m);
}

static void frames_that_never_repeat_are_given_up(void **state) {
    (void)state;
    struct responses_mould *m = NULL;
    struct slice data = SLICE(FRAME("9", "Blue", "xyz"));
    unsigned n = 0;
    while (n < 100 && responses_mould_make(&m, data, find(data, "Blue"), (struct span){0, 0},
                                           (struct span){0, 0}))
        n++;
    assert_in_range(n, 2, 20);
    mem_free(m);
}

/* Frames that take the short cut cost no allocation, and mean what they mean the long way. */
static void deltas_take_the_short_cut(void **state) {
    (void)state;
    struct rig r;
    char data[300];
    rig_init(&r);
    buf_reset(&r.events);
    uint64_t before = 0;
    for (unsigned i = 0; i < 50; i++) {
        int len =
            snprintf(data, sizeof data, FRAME("%u", "t%u", "%.*s"), i, i, (int)(i % 7), "abcdefg");
        if (i == 10) before = mem_alloc_count();
        r.events.len = 0;
        assert_int_equal(feed(&r, slice_make(data, (size_t)len)), 0);
    }
    assert_int_equal(mem_alloc_count(), before);
    assert_events(&r, "delta 0/0 text @137 \"t49\" +content +last\n");
    assert_int_equal(responses_decoder_next_sequence(r.d), 50);
    /* the next event is of another item: the mould must not be used for it, nor behind it */
    assert_int_equal(
        feed(&r, SLICE("{\"type\":\"response.output_item.done\",\"output_index\":0,"
                       "\"item\":{\"id\":\"m\",\"type\":\"message\",\"content\":[]}}")),
        0);
    assert_events(&r, "block_end 0/0 text +last\n");
    assert_int_equal(feed(&r, SLICE(FRAME("51", "late", "x"))), -ERR_PROTOCOL);
    assert_non_null(strstr(r.e.text, "a piece behind its item's end"));
    assert_events(&r, "");
    rig_dispose(&r);
}

static void an_event_named_error_is_no_delta(void **state) {
    (void)state;
    struct rig r;
    rig_init(&r);
    assert_int_equal(feed(&r, SLICE(FRAME("0", "a", "x"))), 0);
    assert_int_equal(feed(&r, SLICE(FRAME("1", "b", "x"))), 0);
    buf_reset(&r.events);
    struct sse_frame f = {.data = SLICE(FRAME("2", "c", "x")),
                          .name = SLICE("error"),
                          .flags = SSE_EVENT | SSE_DATA | SSE_NAME};
    assert_int_equal(dialect_responses.decoder_feed(r.d, &f, &r.sink, &r.e), 0);
    assert_true(slice_starts_with(buf_slice(&r.events), SLICE("error ")));
    rig_dispose(&r);
}

/* Five megabytes of arguments in 10,000 pieces, by turns with another call's. */
static int add_len(void *self, const struct event *ev) {
    if (ev->kind == EV_DELTA && !(ev->flags & EVF_RECAP))
        ((uint64_t *)self)[ev->block] += ev->text.len;
    return 0;
}

static void long_arguments_by_turns(void **state) {
    (void)state;
    struct decoder *d = dialect_responses.decoder_new();
    uint64_t lens[2] = {0, 0};
    struct event_sink sink = {add_len, lens};
    char *data = malloc(1000), piece[501];
    memset(piece, 'p', 500);
    piece[500] = 0;
    for (unsigned i = 0; i < 10002; i++) {
        int n =
            i < 2
                ? snprintf(data, 1000,
                           "{\"type\":\"response.output_item.added\",\"output_index\":%u,\"item\":{"
                           "\"type\":\"function_call\",\"id\":\"i%u\",\"name\":\"f\"}}",
                           i, i)
                : snprintf(
                      data, 1000,
                      "{\"type\":\"response.function_call_arguments.delta\",\"item_id\":\"i%u\","
                      "\"output_index\":%u,\"delta\":\"%s\",\"sequence_number\":%u}",
                      i & 1, i & 1, piece, i);
        struct sse_frame f = {.data = slice_make(data, (size_t)n), .flags = SSE_EVENT | SSE_DATA};
        assert_int_equal(dialect_responses.decoder_feed(d, &f, &sink, NULL), 0);
    }
    assert_int_equal(lens[0], 2500000);
    assert_int_equal(lens[1], 2500000);
    free(data);
    dialect_responses.decoder_free(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_gives_the_events_of_its_stream),
        cmocka_unit_test(a_body_may_be_an_error),
        cmocka_unit_test(a_stream_that_contradicts_itself_is_told),
        cmocka_unit_test(a_text_of_another_type_breaks_its_frame),
        cmocka_unit_test(what_is_empty_is_no_text),
        cmocka_unit_test(other_bodies_are_no_answers),
        cmocka_unit_test(what_the_sink_returns_comes_back),
        cmocka_unit_test(items_are_bounded),
        cmocka_unit_test(an_error_event_has_the_next_number),
        cmocka_unit_test(error_bodies),
        cmocka_unit_test(a_mould_takes_what_differs_in_its_places_only),
        cmocka_unit_test(frames_that_never_repeat_are_given_up),
        cmocka_unit_test(deltas_take_the_short_cut),
        cmocka_unit_test(an_event_named_error_is_no_delta),
        cmocka_unit_test(long_arguments_by_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
