/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens: what usage says is what the tokenizer counts, of prompts and of answers, however they are
 * cut; bounds are met to the token. With real ranks and without. */
#include "said.h"

#include "dialect/estimate.h"

#define MSG(extra, text)                                                                           \
    "{\"model\":\"m\",\"max_tokens\":4000," extra "\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]}"
#define RSP(extra, text) "{\"model\":\"m\"," extra "\"input\":\"" text "\"}"
#define CMP(extra, text) "{\"model\":\"m\",\"max_tokens\":9000," extra "\"prompt\":\"" text "\"}"
#define CHT(extra, text) "{\"model\":\"m\"," extra "\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]}"
#define ODD "echo: Grüße, 世界 👩‍👩‍👧 naïve\\t\\ttabs\\n\\n\\nlines  and   blanks ... don't 1234567 internationalisation, and once more: Grüße, 世界 👩‍👩‍👧 naïve"

static const struct {
    const struct dialect *dialect;
    const char *body;
} asks[] = {
    {&dialect_chat, CHT("", "tell me a story")},       {&dialect_chat, CHT("", ODD)},
    {&dialect_chat, CHT("", "count word to 300")},     {&dialect_chat, CHT("", "stream a demo")},
    {&dialect_chat, CHT("", "explain the tides")},     {&dialect_responses, RSP("", "tell me a story")},
    {&dialect_responses, RSP("", ODD)},                {&dialect_messages, MSG("", "explain the tides")},
    {&dialect_messages, MSG("", ODD)},                 {&dialect_completions, CMP("", "tell me a story")},
    {&dialect_completions, CMP("", "count word to 7")}, {&dialect_chat, CHT("", "hello")},
};
#define ASKS (sizeof asks / sizeof asks[0])

static const enum encoding encodings[] = {ENCODING_O200K, ENCODING_CL100K, ENCODING_PIECES};

static struct reply_options options_for(unsigned i, uint64_t seed) {
    struct reply_options o = {.seed = seed, .created = 1, .cached = -1};
    o.tokenizer = tokenizer_get(encodings[i % 3]);
    o.burst = burst_between(1 + i % 4, 1 + i % 4 + i % 3);
    return o;
}

static void test_usage_is_what_the_tokenizer_counts(void **state) {
    (void)state;
    for (unsigned i = 0; i < ASKS * 36; i++) {
        struct reply_options o = options_for(i / ASKS, i);
        struct said s;
        say(&s, asks[i % ASKS].dialect, asks[i % ASKS].body, &o);
        uint64_t want = tokenizer_count(o.tokenizer, nth_block(s.whole, 0, 0)->text);
        if (answer_usage(s.whole)->out_total != (int64_t)want) {
            fail_msg("%s: %lld, not %llu: %.*s", asks[i % ASKS].body, (long long)answer_usage(s.whole)->out_total,
                     (unsigned long long)want, SLICE_FMT(nth_block(s.whole, 0, 0)->text));
        }
        assert_int_equal(s.slot_tokens, want);
        forget(&s);
    }
}

static void check_bound(const struct said *s, uint64_t bound) {
    const struct answer_choice *c;
    answer_choices(s->whole, &c);
    assert_int_equal(answer_usage(s->whole)->out_total, bound);
    assert_int_equal(c[0].finish.reason, STOP_LENGTH);
}

/* What is said is at most the bound, and less only when a character of several tokens did not fit.
 * */
static void test_bounds_are_met_to_the_token(void **state) {
    static const char *const texts[] = {"tell me a story", "count word to 300", ODD};
    (void)state;
    for (unsigned i = 0; i < 450; i++) {
        struct reply_options o = options_for(i, i);
        struct arena *a = arena_new();
        struct said s;
        unsigned bound = 1 + i % 23;
        say(&s, &dialect_chat, arena_printf(a, "{\"model\":\"m\",\"max_tokens\":%u,\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}",
                                            bound, texts[i % 3]), &o);
        uint64_t said = tokenizer_count(o.tokenizer, nth_block(s.whole, 0, 0)->text);
        check_bound(&s, bound);
        assert_in_range(said, i % 3 == 2 ? 0 : bound, bound);
        forget(&s);
        arena_free(a);
    }
}

static void test_exact_lengths(void **state) {
    (void)state;
    for (uint64_t n = 1; n < 1500; n += 83) {
        for (unsigned k = 0; k < 3; k++) {
            static const char *const bodies[] = {CHT("", "tell me a story"), CHT("", "echo: one two, three!"), CHT("", "count z to 5")};
            struct reply_options o = options_for((unsigned)n + k, n);
            struct said s;
            o.tokens = n;
            say(&s, &dialect_chat, bodies[k], &o);
            assert_int_equal(answer_usage(s.whole)->out_total, n);
            assert_int_equal(tokenizer_count(o.tokenizer, nth_block(s.whole, 0, 0)->text), n);
            forget(&s);
        }
    }
}

/* ---- prompts ---- */

static uint64_t count(const struct dialect *d, const char *body) {
    struct arena *a = arena_new();
    struct llm_request rq;
    struct request_fault fault;
    if (d == &dialect_completions) {
        assert_int_equal(completion_decode(slice_cstr(body), a, &rq, &fault), 0);
    } else {
        decode(d, body, a, &rq);
    }
    uint64_t n = count_prompt(&rq, tokenizer_get(ENCODING_PIECES)).all;
    arena_free(a);
    return n;
}

static void test_prompts(void **state) {
    (void)state;
    assert_int_equal(count(&dialect_chat, CHT("", "one two")), 3 + 1 + 2 + 3);
    assert_int_equal(count(&dialect_chat, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"name\":\"ada\",\"content\":\"one two\"}]}"), 9 + 1 + 1);
    assert_int_equal(count(&dialect_chat, "{\"model\":\"m\",\"messages\":[{\"role\":\"developer\",\"content\":\"a b c\"},{\"role\":\"user\",\"content\":\"one\"}]}"), 4 + 3 + 4 + 1 + 3);
    assert_int_equal(count(&dialect_messages, "{\"model\":\"m\",\"max_tokens\":9,\"system\":\"a b c\",\"messages\":[{\"role\":\"user\",\"content\":\"one\"}]}"), 15);
    assert_int_equal(count(&dialect_responses, RSP("\"instructions\":\"a b c\",", "one")), 15);
    assert_int_equal(count(&dialect_completions, CMP("", "one two")), 2);
    assert_int_equal(count(&dialect_completions, "{\"model\":\"m\",\"prompt\":[1,2,3,4]}"), 4);
    assert_int_equal(count(&dialect_completions, "{\"model\":\"m\",\"prompt\":[[1,2,3],[4,5]]}"), 5);
    assert_int_equal(count(&dialect_completions, "{\"model\":\"m\",\"prompt\":[\"one two\",\"three\"]}"), 3);
    uint64_t image = count(&dialect_chat, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"one two\"},"
                                          "{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://example.com/a.png\"}}]}]}");
    assert_int_equal(image, 9 + 765);
    uint64_t tools = count(&dialect_chat, CHT("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\"}}}],", "one two"));
    assert_in_range(tools, 20, 60);
}

/* count_tokens and the answer's usage agree. */
static void test_messages_count_as_they_are_charged(void **state) {
    static const char *const rest[] = {
        "\"messages\":[{\"role\":\"user\",\"content\":\"Grüße aus dem Tal\"}]}",
        "\"system\":\"Be brief.\",\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"}}],\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},"
        "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"f\",\"input\":{\"a\":1}}]},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"t1\",\"content\":\"19 degrees\"}]}]}"};
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct arena *a = arena_new();
        struct llm_request rq;
        struct request_fault fault;
        struct reply_options o = {.created = 1, .cached = -1};
        struct said s;
        const char *body = arena_printf(a, "{\"model\":\"claude-sonnet-4-5\",%s", rest[i]);
        assert_int_equal(messages_decode_count(slice_cstr(body), a, &rq, &fault), 0);
        say(&s, &dialect_messages, arena_printf(a, "{\"model\":\"claude-sonnet-4-5\",\"max_tokens\":99,%s", rest[i]), &o);
        assert_int_equal(answer_usage(s.whole)->in_total, count_prompt(&rq, NULL).all);
        forget(&s);
        arena_free(a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usage_is_what_the_tokenizer_counts),
        cmocka_unit_test(test_bounds_are_met_to_the_token),
        cmocka_unit_test(test_exact_lengths),
        cmocka_unit_test(test_prompts),
        cmocka_unit_test(test_messages_count_as_they_are_charged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
