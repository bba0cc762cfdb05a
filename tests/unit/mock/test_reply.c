/* SPDX-License-Identifier: Apache-2.0 */
/* Requests become answers: deterministic, within their bounds, and the same streamed or not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "mock/reply.h"

#define TEST_BYTES ((size_t)16 << 20)

struct said {
    struct answer *direct;      /* from the reply's events */
    struct answer *streamed;    /* the same by way of the wire */
    struct answer *whole;       /* the same by way of a body */
    struct buf body;            /* the whole answer as JSON */
    struct buf wire;
};

static int add_to(void *self, const struct event *ev) {
    return answer_add(self, ev);
}

static int decode_frame(void *self, const struct sse_frame *f) {
    void **pair = self;
    const struct event_sink sink = {add_to, pair[1]};
    struct err e;
    return f->flags & SSE_DATA ? dialect_chat.decoder_feed(pair[0], f, &sink, &e) : 0;
}

static void decode_wire(struct said *s) {
    struct sse_parser p;
    struct err e;
    struct decoder *d = dialect_chat.decoder_new();
    void *pair[] = {d, s->streamed};
    const struct sse_sink frames = {decode_frame, pair};
    const struct event_sink events = {add_to, s->streamed};
    sse_parser_init(&p, NULL);
    assert_int_equal(sse_parser_feed(&p, buf_slice(&s->wire), &frames, &e), 0);
    assert_int_equal(sse_parser_finish(&p, &frames, &e), 0);
    assert_int_equal(dialect_chat.decoder_finish(d, &events, &e), 0);
    dialect_chat.decoder_free(d);
    sse_parser_dispose(&p);
}

static void say(struct said *s, const char *body, const struct reply_options *o) {
    struct arena *a = arena_new();
    struct llm_request rq;
    struct request_fault fault;
    struct event ev;
    struct err e;
    if (dialect_chat.decode_request(slice_cstr(body), a, &rq, &fault) < 0) {
        fail_msg("%s: %s", body, fault.message);
    }
    struct reply *r = reply_new(&rq, o);
    struct encoder_options eo = {
        .id = reply_id(r), .model = rq.env.model, .created = o->created, .include_usage = true};
    struct encoder *x = dialect_chat.encoder_new(&eo);
    *s = (struct said){
        answer_new(TEST_BYTES), answer_new(TEST_BYTES), answer_new(TEST_BYTES), {0}, {0}};
    buf_init(&s->wire, TEST_BYTES);
    buf_init(&s->body, TEST_BYTES);
    while (reply_next(r, &ev) != REPLY_OVER) {
        assert_int_equal(answer_add(s->direct, &ev), 0);
        assert_int_equal(dialect_chat.encoder_event(x, &ev, &s->wire), 0);
    }
    assert_int_equal(dialect_chat.encode_response(s->direct, &eo, &s->body), 0);
    const struct event_sink sink = {add_to, s->whole};
    assert_int_equal(dialect_chat.decode_response(buf_slice(&s->body), &sink, &e), 0);
    decode_wire(s);
    dialect_chat.encoder_free(x);
    reply_free(&r);
    arena_free(a);
}

static void forget(struct said *s) {
    answer_free(s->direct);
    answer_free(s->streamed);
    answer_free(s->whole);
    buf_dispose(&s->body);
    buf_dispose(&s->wire);
}

/* ---- comparing answers ---- */

static const struct answer_block *nth_block(const struct answer *an, unsigned choice, unsigned n) {
    const struct answer_block *blocks;
    unsigned count = answer_blocks(an, &blocks);
    for (unsigned i = 0; i < count; i++) {
        if (blocks[i].choice == choice && n-- == 0) {
            return &blocks[i];
        }
    }
    return NULL;
}

static void check_same_block(const struct answer_block *a, const struct answer_block *b) {
    assert_int_equal(a->kind, b->kind);
    assert_true(slice_eq(a->text, b->text));
    assert_true(slice_eq(a->tool_id, b->tool_id) && slice_eq(a->tool_name, b->tool_name));
}

static void check_same(const struct answer *a, const struct answer *b) {
    const struct answer_choice *ca, *cb;
    unsigned n = answer_choices(a, &ca);
    assert_int_equal(n, answer_choices(b, &cb));
    for (unsigned c = 0; c < n; c++) {
        assert_true(slice_eq(ca[c].finish.wire, cb[c].finish.wire));
        assert_true(slice_eq(ca[c].logprobs_json, cb[c].logprobs_json));
        for (unsigned i = 0; nth_block(a, c, i) || nth_block(b, c, i); i++) {
            assert_non_null(nth_block(a, c, i));
            assert_non_null(nth_block(b, c, i));
            check_same_block(nth_block(a, c, i), nth_block(b, c, i));
        }
    }
    assert_int_equal(answer_usage(a)->out_total, answer_usage(b)->out_total);
}

static const struct answer_choice *choice_of(const struct said *s, unsigned i) {
    const struct answer_choice *c;
    assert_true(i < answer_choices(s->direct, &c));
    return &c[i];
}

static void check_finish(const struct said *s, const char *wire) {
    assert_true(slice_eq(choice_of(s, 0)->finish.wire, slice_cstr(wire)));
}

static struct slice text_of(const struct said *s) {
    const struct answer_block *b = nth_block(s->direct, 0, 0);
    return b ? b->text : SLICE_NULL;
}

static const struct reply_options plain = {.seed = 1, .created = 1700000000};

#define TOOLS "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"parameters\":{\"type\":\"object\"," \
              "\"properties\":{\"city\":{\"type\":\"string\"}},\"required\":[\"city\"]}}}," \
              "{\"type\":\"function\",\"function\":{\"name\":\"searchDocs\",\"parameters\":{\"type\":\"object\"," \
              "\"properties\":{\"query\":{\"type\":\"string\"}}}}},{\"type\":\"custom\",\"custom\":{\"name\":\"run_sql\"}}]"
#define ASK(extra, text) "{\"model\":\"m\"," extra "\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]}"

static const char *const requests[] = {
    ASK("", "tell me a story"),
    ASK("", "hello"),
    ASK("", ""),
    ASK("", "echo: a \\\"quote\\\", a tab\\t, \\u00e9\\ud83d\\ude00 and a line\\nend"),
    ASK("", "count x to 20"),
    ASK("\"n\":3,", "tell me a story"),
    ASK("\"n\":2,\"logprobs\":true,\"top_logprobs\":3,\"max_tokens\":9,", "tell me a story"),
    ASK("\"max_tokens\":1,", "tell me a story"),
    ASK("\"max_completion_tokens\":12,\"reasoning_effort\":\"low\",", "What is a lighthouse?"),
    ASK("\"reasoning_effort\":\"high\",", "What is a lighthouse?"),
    ASK("\"stop\":[\".\",\"the\"],", "tell me a story"),
    ASK("\"response_format\":{\"type\":\"json_object\"},", "hi"),
    ASK("\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x\",\"schema\":{\"type\":\"object\","
        "\"properties\":{\"a\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}},\"required\":[\"a\"]}}},", "hi"),
    ASK(TOOLS ",", "What is the weather in Paris?"),
    ASK(TOOLS ",", "What is the weather in both Paris and Lisbon?"),
    ASK(TOOLS ",", "the weather, and look into the docs"),
    ASK(TOOLS ",\"tool_choice\":\"required\",", "hi"),
    ASK(TOOLS ",\"tool_choice\":{\"type\":\"custom\",\"custom\":{\"name\":\"run_sql\"}},", "hi"),
    ASK(TOOLS ",\"tool_choice\":\"none\",", "What is the weather in Paris?"),
    ASK(TOOLS ",\"max_tokens\":4,", "What is the weather in Paris?"),
    ASK("\"functions\":[{\"name\":\"f\",\"parameters\":{\"type\":\"object\",\"properties\":{\"k\":{\"type\":\"integer\"}}}}],"
        "\"function_call\":{\"name\":\"f\"},", "hi"),
};

static void test_streamed_is_whole(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        for (uint64_t seed = 0; seed < 20; seed++) {
            struct reply_options o = plain;
            struct said s;
            o.seed = seed;
            say(&s, requests[i], &o);
            check_same(s.direct, s.streamed);
            check_same(s.direct, s.whole);
            forget(&s);
        }
    }
}

static void test_deterministic(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        struct said a, b;
        say(&a, requests[i], &plain);
        say(&b, requests[i], &plain);
        assert_true(slice_eq(buf_slice(&a.wire), buf_slice(&b.wire)));
        assert_true(slice_eq(buf_slice(&a.body), buf_slice(&b.body)));
        forget(&a);
        forget(&b);
    }
    struct reply_options other = plain;
    struct said a, b;
    other.seed = 2;
    say(&a, requests[0], &plain);
    say(&b, requests[0], &other);
    assert_false(slice_eq(text_of(&a), text_of(&b)));
    forget(&b);
    other = plain;
    other.serial = 1;                  /* the same text under another id */
    say(&b, requests[0], &other);
    assert_true(slice_eq(text_of(&a), text_of(&b)));
    assert_false(slice_eq(answer_start(a.direct)->id, answer_start(b.direct)->id));
    forget(&a);
    forget(&b);
}

/* By word pieces: with them a word and the blank before it are a token. */
static void check_text(const char *body, const struct reply_options *given, const char *text,
                       const char *finish) {
    struct reply_options o = *given;
    struct said s;
    o.tokenizer = tokenizer_get(ENCODING_PIECES);
    say(&s, body, &o);
    assert_true(slice_eq(text_of(&s), slice_cstr(text)));
    check_finish(&s, finish);
    forget(&s);
}

static void test_said_texts(void **state) {
    struct reply_options o = plain;
    (void)state;
    check_text(ASK("", "echo: one, two"), &plain, "one, two", "stop");
    check_text(ASK("", "count ab to 3"), &plain, "abn1 abn2 abn3", "stop");
    check_text(ASK("\"max_tokens\":2,", "count ab to 3"), &plain, "abn1 abn2", "length");
    check_text(ASK("\"max_tokens\":3,", "count ab to 3"), &plain, "abn1 abn2 abn3", "stop");
    o.text = SLICE("as told");
    check_text(ASK("", "hello"), &o, "as told", "stop");
    o.tokens = 5;
    check_text(ASK("", "hello"), &o, "as told as told as", "stop");
}

static void test_stops(void **state) {
    (void)state;
    check_text(ASK("\"stop\":\"two\",", "echo: one two three"), &plain, "one ", "stop");
    check_text(ASK("\"stop\":[\"three\",\"ne t\"],", "echo: one two three"), &plain, "o", "stop");
    check_text(ASK("\"stop\":\"o\",", "echo: one two three"), &plain, "", "stop");
    check_text(ASK("\"stop\":\"four\",", "echo: one two three"), &plain, "one two three", "stop");
    check_text(ASK("\"stop\":\"bn2 \",", "count ab to 3"), &plain, "abn1 a", "stop");
    check_text(ASK("\"stop\":[],", "echo: one"), &plain, "one", "stop");
}

static void test_exact_lengths(void **state) {
    (void)state;
    for (uint64_t n = 1; n < 2000; n += 199) {
        struct reply_options o = plain;
        struct said s;
        o.tokens = n;
        say(&s, requests[0], &o);
        assert_int_equal(answer_usage(s.direct)->out_total, n);
        check_finish(&s, "stop");
        forget(&s);
    }
}

static void test_reasoning_first(void **state) {
    struct said s;
    (void)state;
    say(&s, ASK("\"reasoning_effort\":\"low\",", "What is a lighthouse?"), &plain);
    assert_int_equal(nth_block(s.direct, 0, 0)->kind, BLOCK_REASONING);
    assert_int_equal(nth_block(s.direct, 0, 1)->kind, BLOCK_TEXT);
    assert_true(answer_usage(s.direct)->reasoning > 10);
    assert_true(answer_usage(s.direct)->out_total > answer_usage(s.direct)->reasoning);
    forget(&s);
    /* The bound falls into the reasoning: no text is begun. */
    say(&s, ASK("\"reasoning_effort\":\"low\",\"max_tokens\":3,", "What is a lighthouse?"), &plain);
    assert_null(nth_block(s.direct, 0, 1));
    check_finish(&s, "length");
    forget(&s);
    say(&s, ASK("\"reasoning_effort\":\"none\",", "What is a lighthouse?"), &plain);
    assert_int_equal(nth_block(s.direct, 0, 0)->kind, BLOCK_TEXT);
    forget(&s);
}

static void check_call(const char *body, unsigned n, const char *name, const char *arguments) {
    struct said s;
    say(&s, body, &plain);
    assert_null(nth_block(s.direct, 0, n + 1));
    const struct answer_block *b = nth_block(s.direct, 0, n);
    assert_non_null(b);
    assert_true(slice_eq(b->tool_name, slice_cstr(name)));
    assert_true(b->kind == BLOCK_FUNCTION_CALL || slice_starts_with(b->tool_id, SLICE("call_")));
    if (arguments) {
        assert_true(slice_eq(b->text, slice_cstr(arguments)));
    }
    check_finish(&s, b->kind == BLOCK_FUNCTION_CALL ? "function_call" : "tool_calls");
    forget(&s);
}

static void check_no_call(const char *body) {
    struct said s;
    say(&s, body, &plain);
    assert_int_equal(nth_block(s.direct, 0, 0)->kind, BLOCK_TEXT);
    check_finish(&s, "stop");
    forget(&s);
}

static void test_calls(void **state) {
    (void)state;
    check_call(ASK(TOOLS ",", "What is the weather in Paris?"), 0, "get_weather", "{\"city\":\"Paris\"}");
    check_call(ASK(TOOLS ",", "What is the weather in both Paris and Lisbon?"), 1, "get_weather", "{\"city\":\"Lisbon\"}");
    check_call(ASK(TOOLS ",", "the weather, then look into the docs"), 1, "searchDocs", NULL);
    check_call(ASK(TOOLS ",\"parallel_tool_calls\":false,", "the weather, then look into the docs"), 0, "get_weather", NULL);
    check_call(ASK(TOOLS ",\"tool_choice\":\"required\",", "hi"), 0, "get_weather", NULL);
    check_call(ASK(TOOLS ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"searchDocs\"}},", "weather"), 0,
               "searchDocs", NULL);
    check_call(ASK(TOOLS ",\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"required\",\"tools\":"
                         "[{\"type\":\"function\",\"function\":{\"name\":\"searchDocs\"}}]}},", "weather"), 0, "searchDocs", NULL);
    check_call(ASK(TOOLS ",\"tool_choice\":{\"type\":\"custom\",\"custom\":{\"name\":\"run_sql\"}},", "hi"), 0, "run_sql", "hi");
    check_call(ASK("\"functions\":[{\"name\":\"f\"}],\"function_call\":{\"name\":\"f\"},", "hi"), 0, "f", "{}");
    check_no_call(ASK(TOOLS ",", "tell me a story"));
    check_no_call(ASK(TOOLS ",\"tool_choice\":\"none\",", "What is the weather in Paris?"));
}

/* Agent loops end: after a tool's result the answer is text, and speaks of it. */
static void test_text_after_a_tool_result(void **state) {
    struct said s;
    (void)state;
    say(&s, "{\"model\":\"m\"," TOOLS ",\"tool_choice\":\"required\",\"messages\":[{\"role\":\"user\",\"content\":\"weather in Paris\"},"
            "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":"
            "{\"name\":\"get_weather\",\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"19 degrees\"}]}", &plain);
    assert_int_equal(nth_block(s.direct, 0, 0)->kind, BLOCK_TEXT);
    assert_true(slice_starts_with(text_of(&s), SLICE("The tool answered: 19 degrees\n")));
    check_finish(&s, "stop");
    forget(&s);
}

/* Making a token costs no allocation once the stream is under way. */
static void test_no_allocation_per_token(void **state) {
    struct arena *a = arena_new();
    struct llm_request rq;
    struct request_fault fault;
    struct reply_options o = plain;
    struct encoder_options eo = {.id = SLICE("i"), .model = SLICE("m")};
    struct encoder *x = dialect_chat.encoder_new(&eo);
    struct buf out;
    struct event ev;
    (void)state;
    o.tokens = 20000;
    buf_init(&out, TEST_BYTES);
    assert_int_equal(dialect_chat.decode_request(slice_cstr(requests[0]), a, &rq, &fault), 0);
    struct reply *r = reply_new(&rq, &o);
    uint64_t before = 0;
    for (unsigned i = 0; i < 20000; i++) {
        if (i == 4000) {
            before = mem_alloc_count();
        }
        buf_reset(&out);
        assert_int_not_equal(reply_next(r, &ev), REPLY_OVER);
        assert_int_equal(dialect_chat.encoder_event(x, &ev, &out), 0);
    }
    assert_int_equal(mem_alloc_count(), before);
    reply_free(&r);
    dialect_chat.encoder_free(x);
    buf_dispose(&out);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streamed_is_whole),
        cmocka_unit_test(test_deterministic),
        cmocka_unit_test(test_said_texts),
        cmocka_unit_test(test_stops),
        cmocka_unit_test(test_exact_lengths),
        cmocka_unit_test(test_reasoning_first),
        cmocka_unit_test(test_calls),
        cmocka_unit_test(test_text_after_a_tool_result),
        cmocka_unit_test(test_no_allocation_per_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
