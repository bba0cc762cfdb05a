/* SPDX-License-Identifier: Apache-2.0 */
/* Answers in every dialect: streams that the dialect's checker accepts, the same as the whole
 * answer, deterministic; and conversations that are taken back only as they were given. */
#include "said.h"

#include "base/json_scan.h"
#include "base/mem.h"
#include "mock/given.h"
#include "mock/history.h"

static const struct reply_options plain = {.seed = 1, .created = 1700000000};

/* ---- what is asked ---- */

#define SCHEMA "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}},\"required\":[\"city\"]}"
#define MSG(extra, text)                                                                           \
    "{\"model\":\"m\",\"max_tokens\":4000," extra "\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]}"
#define RSP(extra, text) "{\"model\":\"m\"," extra "\"input\":\"" text "\"}"
#define CMP(extra, text) "{\"model\":\"m\",\"max_tokens\":900," extra "\"prompt\":\"" text "\"}"
#define CHT(extra, text) "{\"model\":\"m\"," extra "\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]}"
#define MSG_TOOLS "\"tools\":[{\"name\":\"get_weather\",\"input_schema\":" SCHEMA "},{\"name\":\"searchDocs\",\"input_schema\":{\"type\":\"object\"}}],"
#define RSP_TOOLS "\"tools\":[{\"type\":\"function\",\"name\":\"get_weather\",\"parameters\":" SCHEMA "}," \
                  "{\"type\":\"custom\",\"name\":\"run_sql\"}],"
#define MANUAL "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024},"
#define SEALED "\"reasoning\":{\"effort\":\"low\",\"summary\":\"auto\"},\"include\":[\"reasoning.encrypted_content\"],\"store\":false,"

static const struct {
    const struct dialect *dialect;
    const char *body;
} asks[] = {
    {&dialect_messages, MSG("", "tell me a story")},
    {&dialect_messages, MSG("", "echo: a \\\"quote\\\", a tab\\t, \\u00e9\\ud83d\\ude00 and a line\\nend")},
    {&dialect_messages, MSG("", "count x to 20")},
    {&dialect_messages, MSG("", "")},
    {&dialect_messages, MSG(MANUAL, "What is a lighthouse?")},
    {&dialect_messages, MSG("\"thinking\":{\"type\":\"adaptive\",\"display\":\"omitted\"},", "What is a lighthouse?")},
    {&dialect_messages, "{\"model\":\"m\",\"max_tokens\":7," MANUAL "\"messages\":[{\"role\":\"user\",\"content\":\"hi there\"}]}"},
    {&dialect_messages, "{\"model\":\"m\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"tell me a story\"}]}"},
    {&dialect_messages, MSG("\"stop_sequences\":[\".\",\"the\"],", "tell me a story")},
    {&dialect_messages, MSG("\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":" SCHEMA "}},", "hi")},
    {&dialect_messages, MSG(MSG_TOOLS, "What is the weather in both Paris and Lisbon?")},
    {&dialect_messages, MSG(MSG_TOOLS MANUAL, "the weather, and look into the docs")},
    {&dialect_messages, MSG(MSG_TOOLS "\"tool_choice\":{\"type\":\"any\"},", "hi")},
    {&dialect_messages, MSG(MSG_TOOLS "\"tool_choice\":{\"type\":\"none\"},", "weather in Paris")},
    {&dialect_messages, MSG("", "refuse")},
    {&dialect_messages, MSG("", "think: echo: aloud")},
    {&dialect_responses, RSP("", "tell me a story")},
    {&dialect_responses, RSP("", "echo: a \\\"quote\\\", \\u00e9\\ud83d\\ude00 and a line\\nend")},
    {&dialect_responses, RSP("\"max_output_tokens\":16,", "tell me a story")},
    {&dialect_responses, RSP("\"reasoning\":{\"effort\":\"high\"},", "What is a lighthouse?")},
    {&dialect_responses, RSP(SEALED, "What is a lighthouse?")},
    {&dialect_responses, RSP(SEALED "\"max_output_tokens\":16,", "What is a lighthouse?")},
    {&dialect_responses, RSP(SEALED RSP_TOOLS, "What is the weather in both Paris and Lisbon?")},
    {&dialect_responses, RSP(RSP_TOOLS "\"tool_choice\":{\"type\":\"custom\",\"name\":\"run_sql\"},", "hi")},
    {&dialect_responses, RSP(RSP_TOOLS "\"tool_choice\":\"required\",\"parallel_tool_calls\":false,", "hi")},
    {&dialect_responses, RSP("\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"x\",\"schema\":" SCHEMA "}},", "hi")},
    {&dialect_responses, RSP("\"include\":[\"message.output_text.logprobs\"],\"top_logprobs\":2,", "hello")},
    {&dialect_responses, RSP("", "refuse: not that")},
    {&dialect_completions, CMP("", "tell me a story")},
    {&dialect_completions, CMP("\"n\":3,", "count x to 20")},
    {&dialect_completions, CMP("\"stop\":\".\",", "tell me a story")},
    {&dialect_completions, CMP("", "refuse")},
    {&dialect_completions, CMP("\"echo\":true,\"n\":2,", "count x to 4")},
    {&dialect_completions, "{\"model\":\"m\",\"n\":2,\"logprobs\":0,\"prompt\":[\"count a to 3\",\"tell me a story\"]}"},
    {&dialect_completions, "{\"model\":\"m\",\"prompt\":[[1,2,3],[4]],\"stop\":[\".\"]}"},
    {&dialect_chat, CHT("", "refuse")},
    {&dialect_chat, CHT("\"reasoning_effort\":\"low\",", "What is a lighthouse?")},
    {&dialect_chat, CHT("\"n\":2,\"logprobs\":true,\"top_logprobs\":2,", "hello")},
};
#define ASKS (sizeof asks / sizeof asks[0])

/* ---- every answer ---- */

/* No arguments are none, or an empty object. */
static struct slice text_of(const struct answer_block *b) {
    bool is_empty = b->kind == BLOCK_TOOL_CALL && slice_eq(b->text, SLICE("{}"));
    return is_empty ? SLICE("") : b->text;
}

static void check_same_block(const struct answer_block *a, const struct answer_block *b) {
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->choice, b->choice);
    if (!slice_eq(text_of(a), text_of(b))) {
        fail_msg("streamed: %.*s\nwhole: %.*s", SLICE_FMT(a->text), SLICE_FMT(b->text));
    }
    assert_true(slice_eq(a->tool_id, b->tool_id) && slice_eq(a->tool_name, b->tool_name));
    assert_true(slice_eq(a->signature, b->signature) && slice_eq(a->item_id, b->item_id));
}

static void check_same(const struct said *s) {
    const struct answer_choice *ca, *cb;
    const struct usage *ua = answer_usage(s->streamed), *ub = answer_usage(s->whole);
    unsigned n = answer_choices(s->streamed, &ca);
    assert_int_equal(n, answer_choices(s->whole, &cb));
    for (unsigned c = 0; c < n; c++) {
        assert_int_equal(ca[c].finish.reason, cb[c].finish.reason);
        assert_true(slice_eq(ca[c].finish.stop_sequence, cb[c].finish.stop_sequence));
        assert_true(slice_eq(ca[c].logprobs_json, cb[c].logprobs_json));
        for (unsigned i = 0; nth_block(s->streamed, c, i) || nth_block(s->whole, c, i); i++) {
            assert_non_null(nth_block(s->streamed, c, i));
            assert_non_null(nth_block(s->whole, c, i));
            check_same_block(nth_block(s->streamed, c, i), nth_block(s->whole, c, i));
        }
    }
    assert_int_equal(ua->in_total, ub->in_total);
    assert_int_equal(ua->out_total, ub->out_total);
    assert_int_equal(ua->reasoning, ub->reasoning);
    assert_true(ua->in_total > 0);
    assert_true(slice_eq(answer_start(s->streamed)->id, answer_start(s->whole)->id));
}

static void test_streamed_is_whole(void **state) {
    (void)state;
    for (size_t i = 0; i < ASKS; i++) {
        for (uint64_t seed = 0; seed < 10; seed++) {
            struct reply_options o = plain;
            struct said s;
            o.seed = seed;
            say(&s, asks[i].dialect, asks[i].body, &o);
            check_same(&s);
            forget(&s);
        }
    }
}

static void test_same_seed_same_bytes(void **state) {
    (void)state;
    for (size_t i = 0; i < ASKS; i++) {
        struct said a, b;
        say(&a, asks[i].dialect, asks[i].body, &plain);
        say(&b, asks[i].dialect, asks[i].body, &plain);
        assert_true(slice_eq(buf_slice(&a.wire), buf_slice(&b.wire)));
        assert_true(slice_eq(buf_slice(&a.body), buf_slice(&b.body)));
        forget(&a);
        forget(&b);
    }
}

/* Whoever asks, in whatever dialect, is told the same story. */
static void test_all_dialects_say_the_same(void **state) {
    static const struct {
        const struct dialect *dialect;
        const char *body;
    } same[] = {
        {&dialect_chat, "{\"model\":\"m\",\"messages\":[{\"role\":\"developer\",\"content\":\"Be kind.\"},{\"role\":\"user\",\"content\":\"tell me a story\"}]}"},
        {&dialect_messages, MSG("\"system\":\"Be kind.\",", "tell me a story")},
        {&dialect_responses, RSP("\"instructions\":\"Be kind.\",", "tell me a story")},
    };
    struct said first;
    (void)state;
    say(&first, same[0].dialect, same[0].body, &plain);
    for (size_t i = 1; i < sizeof same / sizeof same[0]; i++) {
        struct said s;
        say(&s, same[i].dialect, same[i].body, &plain);
        assert_true(slice_eq(nth_block(s.whole, 0, 0)->text, nth_block(first.whole, 0, 0)->text));
        forget(&s);
    }
    forget(&first);
}

/* ---- single things ---- */

static void check_has(const struct said *s, const char *in_body) {
    struct buf body = {.max = TEST_BYTES};
    assert_int_equal(buf_append(&body, buf_slice(&s->body)), 0);
    assert_int_equal(buf_append_byte(&body, '\0'), 0);
    if (!strstr(body.ptr, in_body)) {
        fail_msg("%s is not in %s", in_body, body.ptr);
    }
    buf_dispose(&body);
}

static void check_says(const struct dialect *d, const char *body, const char *in_body) {
    struct reply_options o = plain;
    struct said s;
    o.tokenizer = tokenizer_get(ENCODING_PIECES);
    say(&s, d, body, &o);
    check_has(&s, in_body);
    forget(&s);
}

static void test_words_of_each_dialect(void **state) {
    (void)state;
    check_says(&dialect_messages, MSG("\"stop_sequences\":[\"b\"],", "echo: abc"),
               "\"stop_reason\":\"stop_sequence\",\"stop_sequence\":\"b\"");
    check_says(&dialect_messages, MSG("", "refuse"), "\"stop_reason\":\"refusal\"");
    check_says(&dialect_messages, MSG(MSG_TOOLS, "weather in Paris"), "\"type\":\"tool_use\",\"id\":\"toolu_01");
    check_says(&dialect_messages, MSG(MSG_TOOLS, "weather in Paris"), "\"input\":{\"city\":\"Paris\"}");
    check_says(&dialect_messages, MSG("", "echo: hi"), "{\"id\":\"msg_01");
    check_says(&dialect_responses, RSP("", "refuse: no"), "{\"type\":\"refusal\",\"refusal\":\"no\"}");
    check_says(&dialect_responses, RSP("", "echo: hi"), "{\"id\":\"resp_");
    check_says(&dialect_responses, RSP("\"max_output_tokens\":16,", "tell me a story"),
               "\"incomplete_details\":{\"reason\":\"max_output_tokens\"}");
    check_says(&dialect_messages, "{\"model\":\"m\",\"max_tokens\":0,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
               "\"stop_reason\":\"max_tokens\"");
    check_says(&dialect_completions, CMP("", "echo: hi"), "{\"text\":\"hi\",\"index\":0");
    check_says(&dialect_completions, CMP("", "echo: hi"), "{\"id\":\"cmpl-");
    check_says(&dialect_chat, CHT("", "refuse"), "\"content\":null,\"refusal\":\"I cannot help with that.\"");
    check_says(&dialect_chat, CHT("", "think: echo: hi"), "\"reasoning_content\":\"");
}

static void test_thinking_is_asked_for(void **state) {
    struct reply_options o = plain;
    struct said s;
    (void)state;
    /* effort alone asks for none of Anthropic's thinking */
    say(&s, &dialect_messages, MSG("\"output_config\":{\"effort\":\"high\"},", "What is a lighthouse?"), &plain);
    assert_int_equal(nth_block(s.whole, 0, 0)->kind, BLOCK_TEXT);
    forget(&s);
    say(&s, &dialect_messages, MSG(MANUAL, "What is a lighthouse?"), &plain);
    assert_int_equal(nth_block(s.whole, 0, 0)->kind, BLOCK_REASONING);
    assert_true(nth_block(s.whole, 0, 0)->text.len > 0);
    assert_true(nth_block(s.whole, 0, 0)->signature.len > 0);
    assert_true(answer_usage(s.whole)->reasoning > 10);
    forget(&s);
    /* not shown, and signed and counted all the same */
    say(&s, &dialect_messages, MSG("\"thinking\":{\"type\":\"adaptive\",\"display\":\"omitted\"},", "What is a lighthouse?"), &plain);
    assert_int_equal(nth_block(s.whole, 0, 0)->text.len, 0);
    assert_true(nth_block(s.whole, 0, 0)->signature.len > 0);
    assert_true(answer_usage(s.whole)->reasoning > 10);
    forget(&s);
    say(&s, &dialect_responses, RSP("\"reasoning\":{\"effort\":\"high\"},", "What is a lighthouse?"), &plain);
    check_has(&s, "\"type\":\"reasoning\",\"summary\":[]}");
    assert_true(answer_usage(s.whole)->reasoning > 10);
    forget(&s);
    o.thinking = REPLY_THINK_NOT;
    say(&s, &dialect_messages, MSG(MANUAL, "What is a lighthouse?"), &o);
    assert_int_equal(nth_block(s.whole, 0, 0)->kind, BLOCK_TEXT);
    forget(&s);
    o.thinking = REPLY_THINK_REDACTED;
    say(&s, &dialect_messages, MSG("", "echo: hi"), &o);
    assert_int_equal(nth_block(s.whole, 0, 0)->kind, BLOCK_REDACTED);
    assert_int_equal(nth_block(s.whole, 0, 1)->kind, BLOCK_TEXT);
    forget(&s);
    o.thinking = REPLY_THINK_ALOUD;
    say(&s, &dialect_responses, RSP("", "echo: hi"), &o);
    assert_int_equal(nth_block(s.whole, 0, 0)->kind, BLOCK_REASONING);
    assert_true(nth_block(s.whole, 0, 0)->text.len > 0);
    forget(&s);
}

static void check_thinks(const struct dialect *d, const char *body, bool is_shown,
                         bool is_counted) {
    struct said s;
    say(&s, d, body, &plain);
    const struct answer_block *first = nth_block(s.whole, 0, 0);
    bool shows = first->kind == BLOCK_REASONING && first->text.len > 0;
    if (shows != is_shown || (answer_usage(s.whole)->reasoning > 10) != is_counted) {
        fail_msg("%s: shown %d, %lld tokens", body, shows, (long long)answer_usage(s.whole)->reasoning);
    }
    check_same(&s);
    forget(&s);
}

/* As each dialect shows it: OpenAI hides what its models think, and counts it. */
static void test_some_models_think_by_their_name(void **state) {
    static const char *const secret[] = {"o1", "o3-mini", "openai/o4-mini", "gpt-5", "gpt-5-nano"};
    static const char *const loud[] = {"deepseek-r1", "deepseek-reasoner", "kimi-k2-thinking", "phi-4-reasoning"};
    static const char *const plain_ones[] = {"gpt-4o", "gpt-5-chat-latest", "o30", "olmo-3", "mock", "m"};
    struct arena *a = arena_new();
    (void)state;
    for (size_t i = 0; i < sizeof secret / sizeof secret[0]; i++) {
        check_thinks(&dialect_chat, arena_printf(a, "{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}", secret[i]), false, true);
        check_thinks(&dialect_responses, arena_printf(a, "{\"model\":\"%s\",\"input\":\"hello\"}", secret[i]), false, true);
        check_thinks(&dialect_responses, arena_printf(a, "{\"model\":\"%s\",\"reasoning\":{\"summary\":\"auto\"},\"input\":\"hello\"}", secret[i]), true, true);
    }
    for (size_t i = 0; i < sizeof loud / sizeof loud[0]; i++) {
        check_thinks(&dialect_chat, arena_printf(a, "{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}", loud[i]), true, true);
        check_thinks(&dialect_chat, arena_printf(a, "{\"model\":\"%s\",\"reasoning_effort\":\"none\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}", loud[i]), false, false);
    }
    for (size_t i = 0; i < sizeof plain_ones / sizeof plain_ones[0]; i++) {
        check_thinks(&dialect_chat, arena_printf(a, "{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}", plain_ones[i]), false, false);
    }
    arena_free(a);
}

static void test_hidden_thoughts_take_from_the_bound(void **state) {
    struct reply_options o = plain;
    struct said s;
    (void)state;
    say(&s, &dialect_chat, "{\"model\":\"o3\",\"max_completion_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":\"tell me a story\"}]}", &plain);
    check_has(&s, "\"content\":\"\",\"refusal\":null");
    check_has(&s, "\"finish_reason\":\"length\"");
    assert_int_equal(answer_usage(s.whole)->reasoning, 5);
    forget(&s);
    o.thinking = REPLY_THINK_ALOUD;
    say(&s, &dialect_chat, "{\"model\":\"o3\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}", &o);
    check_has(&s, "\"reasoning_content\":\"");
    forget(&s);
}

static void test_echo_mode_and_the_demo(void **state) {
    struct reply_options o = plain;
    struct said s;
    (void)state;
    o.is_echo = true;
    say(&s, &dialect_messages, MSG(MSG_TOOLS "\"tool_choice\":{\"type\":\"any\"},", "think: weather in \\\"Paris\\\""), &o);
    assert_true(slice_eq(nth_block(s.whole, 0, 0)->text, SLICE("think: weather in \"Paris\"")));
    forget(&s);
    say(&s, &dialect_chat, CHT("", "Stream a demo!"), &plain);
    assert_true(slice_eq(nth_block(s.whole, 0, 0)->text, SLICE("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20")));
    assert_int_equal(s.slots, 20);
    forget(&s);
}

/* The prompt of a conversation that began long ago is in the cache; Anthropic wants to be told. */
static void test_cached_tokens(void **state) {
    static char chat[16384], messages[16384], words[8192];
    struct reply_options o = plain;
    struct said s;
    (void)state;
    for (size_t i = 0; i + 7 < sizeof words; i += 6) {
        memcpy(words + i, "stone ", 7);
    }
    snprintf(chat, sizeof chat, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\"},{\"role\":\"assistant\","
             "\"content\":\"yes\"},{\"role\":\"user\",\"content\":\"echo: a\"}]}", words);
    say(&s, &dialect_chat, chat, &(struct reply_options){.seed = 1, .cached = -1});
    assert_in_range(answer_usage(s.whole)->cache_read, 1024, answer_usage(s.whole)->in_total - 1);
    forget(&s);
    snprintf(messages, sizeof messages, "{\"model\":\"m\",\"max_tokens\":9,\"cache_control\":{\"type\":\"ephemeral\"},"
             "\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}", words);
    o.cached = -1;
    say(&s, &dialect_messages, messages, &o);
    assert_int_equal(answer_usage(s.whole)->cache_read, 0);
    assert_in_range(answer_usage(s.whole)->cache_write, 1024, answer_usage(s.whole)->in_total);
    assert_int_equal(answer_usage(s.streamed)->cache_write, answer_usage(s.whole)->cache_write);
    forget(&s);
    o.cached = 5;
    say(&s, &dialect_responses, RSP("", "tell me a long story"), &o);
    assert_int_equal(answer_usage(s.whole)->cache_read, 5);
    forget(&s);
}

/* Choice p × n + k is the k-th answer to prompt p. */
static void test_prompts_of_completions(void **state) {
    static const char *const texts[] = {"an1 an2 an3", "an1 an2 an3", "bn1 bn2", "bn1 bn2"};
    struct reply_options pieces = plain;
    struct said s;
    (void)state;
    pieces.tokenizer = tokenizer_get(ENCODING_PIECES);
    say(&s, &dialect_completions, "{\"model\":\"m\",\"n\":2,\"prompt\":[\"count a to 3\",\"count b to 2\"]}", &pieces);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(slice_eq(nth_block(s.whole, i, 0)->text, slice_cstr(texts[i])));
    }
    assert_null(nth_block(s.whole, 4, 0));
    assert_int_equal(answer_usage(s.whole)->out_total, 10);
    forget(&s);
    say(&s, &dialect_completions, CMP("\"echo\":true,", "count a to 3"), &pieces);
    check_has(&s, "\"text\":\"count a to 3an1 an2 an3\"");
    assert_int_equal(answer_usage(s.whole)->out_total, 3);
    forget(&s);
    check_says(&dialect_completions, "{\"model\":\"m\",\"echo\":true,\"max_tokens\":0,\"prompt\":\"as it is\"}", "\"text\":\"as it is\"");
    check_says(&dialect_completions, CMP("\"logprobs\":1,", "echo: a b"),
               "\"logprobs\":{\"tokens\":[\"a\",\" b\"],\"token_logprobs\":[-");
    check_says(&dialect_completions, CMP("\"logprobs\":0,", "echo: a b"), "\"top_logprobs\":null,\"text_offset\":[0,1]}");
    check_says(&dialect_completions, "{\"model\":\"m\",\"echo\":true,\"max_tokens\":0,\"logprobs\":2,\"prompt\":\"as it is\"}",
               "\"logprobs\":{\"tokens\":[\"as\",\" it\",\" is\"],\"token_logprobs\":[null,-");
    /* OpenAI's default */
    check_says(&dialect_completions, "{\"model\":\"m\",\"prompt\":\"count a to 30\"}", "an16\",");
}

/* ---- conversations ---- */

/* Joins what does not fit into one literal. */
static const char *text(struct arena *a, const char *before, struct slice middle,
                        const char *after) {
    return arena_printf(a, "%s%.*s%s", before, SLICE_FMT(middle), after);
}

static struct slice member(const struct said *s, const char *name) {
    struct json_member m;
    assert_true(json_find_member(buf_slice(&s->body), slice_cstr(name), &m));
    return m.value;
}

static void check_history(const struct dialect *d, const char *body, uint64_t seed, unsigned status,
                          const char *message) {
    struct arena *a = arena_new();
    struct llm_request rq;
    struct request_fault fault = {.message = ""};
    unsigned got = 0;
    decode(d, body, a, &rq);
    int rc = history_check(&rq, api_of_dialect(d), seed, NULL, &fault, &got);
    if ((rc == 0) != (status == 0) || (message && !strstr(fault.message, message))) {
        fail_msg("%s\n%s", body, fault.message);
    }
    assert_true(status == 0 || got == status);
    arena_free(a);
}

static const char *changed(struct arena *a, const char *body, const char *from, const char *to) {
    const char *at = strstr(body, from);
    assert_non_null(at);
    return arena_printf(a, "%.*s%s%s", (int)(at - body), body, to, at + strlen(from));
}

static void test_signatures_come_back(void **state) {
    struct arena *a = arena_new();
    struct said s;
    (void)state;
    say(&s, &dialect_messages, MSG(MSG_TOOLS MANUAL, "What is the weather in Paris?"), &plain);
    struct slice id = nth_block(s.whole, 0, 1)->tool_id;
    const char *next = text(a, "{\"model\":\"m\",\"max_tokens\":4000," MANUAL "\"messages\":[{\"role\":\"user\",\"content\":\"q\"},"
                               "{\"role\":\"assistant\",\"content\":",
                            member(&s, "content"), "},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"");
    next = text(a, next, id, "\",\"content\":\"19\"}]}]}");
    check_history(&dialect_messages, next, 1, 0, NULL);
    check_history(&dialect_messages, next, 2, 400, "messages.1.content.0: Invalid `signature` in `thinking` block");
    check_history(&dialect_messages, changed(a, next, "\"thinking\":\"", "\"thinking\":\"x"), 1, 400, "Invalid `signature`");
    check_history(&dialect_messages, changed(a, next, "\"signature\":\"", "\"signature\":\"A"), 1, 400, "Invalid `signature`");
    check_history(&dialect_messages, changed(a, next, "\"signature\":\"bW9j", "\"signature\":\"bW9k"), 1, 400, "Invalid `signature`");
    check_history(&dialect_messages, changed(a, next, "\"tool_use_id\":\"toolu", "\"tool_use_id\":\"other"), 1, 400, "`tool_use` ids were found");
    forget(&s);
    say(&s, &dialect_messages, MSG("\"thinking\":{\"type\":\"adaptive\",\"display\":\"omitted\"},", "echo: a"), &plain);
    next = text(a, "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":",
                member(&s, "content"), "},{\"role\":\"user\",\"content\":\"and?\"}]}");
    check_history(&dialect_messages, next, 1, 0, NULL);
    check_history(&dialect_messages, changed(a, next, "\"thinking\":\"\"", "\"thinking\":\"mine\""), 1, 400, "Invalid `signature`");
    forget(&s);
    arena_free(a);
}

/* What a script gave, word for word, comes back like any other proof. */
static void test_given_proofs_come_back(void **state) {
    static const char body[] =
        "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"q\"},"
        "{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"so\",\"signature\":\"Z2l2ZW4=\"},"
        "{\"type\":\"text\",\"text\":\"a\"}]},{\"role\":\"user\",\"content\":\"and?\"}]}";
    const struct script_block block = {.kind = BLOCK_REASONING, .proof = SLICE("Z2l2ZW4=")};
    const struct script script = {.blocks = &block, .n_blocks = 1};
    const struct api *api = api_of_dialect(&dialect_messages);
    struct given *given = given_new();
    struct arena *a = arena_new();
    struct llm_request rq;
    struct request_fault fault;
    unsigned status;
    (void)state;
    decode(&dialect_messages, body, a, &rq);
    assert_int_equal(history_check(&rq, api, 1, given, &fault, &status), -ERR_USAGE);
    given_add(given, &script);
    assert_int_equal(history_check(&rq, api, 1, given, &fault, &status), 0);
    assert_false(given_knows(given, SLICE("")));
    arena_free(a);
    given_free(&given);
}

static void test_messages_that_anthropic_refuses(void **state) {
    static const char ask[] = "{\"model\":\"m\",\"max_tokens\":4000,%s\"messages\":[{\"role\":\"user\",\"content\":\"q\"},%s]}";
    static const char result[] = ",{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"t1\",\"content\":\"19\"}]}";
    static const char call[] = "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"f\",\"input\":{}}]}";
    struct arena *a = arena_new();
    (void)state;
    const char *pair = arena_printf(a, "%s%s", call, result);
    check_history(&dialect_messages, arena_printf(a, ask, "", pair), 1, 0, NULL);
    check_history(&dialect_messages, arena_printf(a, ask, MANUAL, pair), 1, 400, "messages.1.content.0.type: Expected `thinking`");
    check_history(&dialect_messages, arena_printf(a, ask, "", call), 1, 400, "messages.1: `tool_use` ids were found");
    check_history(&dialect_messages, arena_printf(a, ask, "", result + 1), 1, 400, "unexpected `tool_use_id`");
    check_history(&dialect_messages,
                  arena_printf(a, ask, "", "{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"x\",\"signature\":\"\"}]}"),
                  1, 400, "messages.1.content.0.thinking.signature: Field required");
    check_history(&dialect_messages,
                  arena_printf(a, ask, "", "{\"role\":\"assistant\",\"content\":[{\"type\":\"redacted_thinking\",\"data\":\"eA==\"}]}"),
                  1, 400, "Invalid `data` in `redacted_thinking` block");
    arena_free(a);
}

static void test_settings_that_anthropic_refuses(void **state) {
    static const struct {
        const char *extra, *message;
    } bad[] = {
        {"\"temperature\":1.5,", "temperature: range"},
        {MANUAL "\"temperature\":0.5,", "`temperature` may only be set to 1"},
        {MANUAL "\"top_p\":0.5,", "`top_p` must be"},
        {MANUAL "\"top_k\":5,", "`top_k` must be unset"},
        {MANUAL MSG_TOOLS "\"tool_choice\":{\"type\":\"any\"},", "Thinking may not be enabled"},
        {"\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1023},", "greater than or equal to 1024"},
        {"\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":4000},", "`max_tokens` must be greater"},
        {"\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\"},", "tool_choice: may only be"},
    };
    static const char *const good[] = {
        "", MANUAL, MANUAL "\"temperature\":1,\"top_p\":0.95,", "\"temperature\":0,\"top_k\":5,\"top_p\":0.1,",
        MSG_TOOLS "\"tool_choice\":{\"type\":\"any\"},", "\"thinking\":{\"type\":\"disabled\"},\"temperature\":0.2,"};
    struct arena *a = arena_new();
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        check_history(&dialect_messages, arena_printf(a, MSG("%s", "hi"), bad[i].extra), 1, 400, bad[i].message);
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        check_history(&dialect_messages, arena_printf(a, MSG("%s", "hi"), good[i]), 1, 0, NULL);
    }
    arena_free(a);
}

static void test_encrypted_reasoning_comes_back(void **state) {
    struct arena *a = arena_new();
    struct said s;
    (void)state;
    say(&s, &dialect_responses, RSP(SEALED RSP_TOOLS, "What is the weather in Paris?"), &plain);
    struct slice output = member(&s, "output");
    const char *next = text(a, "{\"model\":\"m\",\"store\":false,\"input\":[{\"role\":\"user\",\"content\":\"q\"},",
                            slice_sub(output, 1, output.len - 2), ",{\"type\":\"function_call_output\",\"call_id\":\"");
    next = text(a, next, nth_block(s.whole, 0, 1)->tool_id, "\",\"output\":\"19\"}]}");
    check_history(&dialect_responses, next, 1, 0, NULL);
    check_history(&dialect_responses, next, 2, 400, "could not be verified");
    check_history(&dialect_responses, changed(a, next, "\"encrypted_content\":\"", "\"encrypted_content\":\"A"), 1, 400, "could not be verified");
    check_history(&dialect_responses, changed(a, next, "{\"id\":\"rs_", "{\"id\":\"rs_x"), 1, 400, "could not be verified");
    check_history(&dialect_responses, changed(a, next, "\"encrypted_content\":", "\"other\":"), 1, 404, "not found. Items are not persisted");
    check_history(&dialect_responses, changed(a, next, "\"type\":\"function_call_output\",\"call_id\":\"", "\"type\":\"function_call_output\",\"call_id\":\"x"),
                  1, 400, "No tool output found for function call");
    forget(&s);
    check_history(&dialect_responses, "{\"model\":\"m\",\"input\":[{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":\"x\"}]}", 1, 400, "No tool call found");
    arena_free(a);
}

/* Results of a turn's calls, then the user's words behind them: the loop ends. */
static void test_text_after_results_in_any_dialect(void **state) {
    (void)state;
    check_says(&dialect_messages,
               "{\"model\":\"m\",\"max_tokens\":900," MSG_TOOLS "\"tool_choice\":{\"type\":\"any\"},\"messages\":[{\"role\":\"user\",\"content\":\"weather in Paris\"},"
               "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"get_weather\",\"input\":{}}]},"
               "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"t1\",\"content\":[{\"type\":\"text\",\"text\":\"19 degrees\"}]}]}]}",
               "The tool answered: 19 degrees");
    check_says(&dialect_messages,
               "{\"model\":\"m\",\"max_tokens\":900," MSG_TOOLS "\"messages\":[{\"role\":\"user\",\"content\":\"weather in Paris\"},"
               "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"get_weather\",\"input\":{}}]},"
               "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"t1\",\"content\":\"19\"},{\"type\":\"text\",\"text\":\"echo: the weather\"}]}]}",
               "\"text\":\"the weather\"");
    check_says(&dialect_responses,
               "{\"model\":\"m\"," RSP_TOOLS "\"tool_choice\":\"required\",\"input\":[{\"role\":\"user\",\"content\":\"weather in Paris\"},"
               "{\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":\"get_weather\",\"arguments\":\"{}\"},"
               "{\"type\":\"function_call_output\",\"call_id\":\"c1\",\"output\":\"19 degrees\"}]}",
               "The tool answered: 19 degrees");
}

/* Making a token costs no allocation once the stream is under way. (Responses keeps what was said.)
 * */
static void test_no_allocation_per_token(void **state) {
    static const struct {
        const struct dialect *dialect;
        const char *body;
    } endless[] = {
        {&dialect_messages, MSG("", "tell me a story")},
        {&dialect_completions, "{\"model\":\"m\",\"max_tokens\":100000,\"prompt\":\"tell me a story\"}"},
    };
    (void)state;
    for (size_t k = 0; k < sizeof endless / sizeof endless[0]; k++) {
        const struct dialect *d = endless[k].dialect;
        struct arena *a = arena_new();
        struct llm_request rq;
        struct reply_options o = plain;
        struct event ev;
        struct buf out;
        uint64_t before = 0;
        o.dialect = d;
        o.tokens = 20000;
        decode(d, endless[k].body, a, &rq);
        rq.env.max_tokens = -1;
        struct reply *r = reply_new(&rq, &o);
        struct encoder *x = d->encoder_new(&(struct encoder_options){.id = SLICE("i"), .model = SLICE("m")});
        buf_init(&out, TEST_BYTES);
        for (unsigned i = 0; i < 20000; i++) {
            before = i == 4000 ? mem_alloc_count() : before;
            buf_reset(&out);
            assert_int_not_equal(reply_next(r, &ev), REPLY_OVER);
            assert_int_equal(d->encoder_event(x, &ev, &out), 0);
        }
        assert_int_equal(mem_alloc_count(), before);
        d->encoder_free(x);
        reply_free(&r);
        buf_dispose(&out);
        arena_free(a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streamed_is_whole),
        cmocka_unit_test(test_same_seed_same_bytes),
        cmocka_unit_test(test_all_dialects_say_the_same),
        cmocka_unit_test(test_words_of_each_dialect),
        cmocka_unit_test(test_thinking_is_asked_for),
        cmocka_unit_test(test_some_models_think_by_their_name),
        cmocka_unit_test(test_hidden_thoughts_take_from_the_bound),
        cmocka_unit_test(test_echo_mode_and_the_demo),
        cmocka_unit_test(test_cached_tokens),
        cmocka_unit_test(test_prompts_of_completions),
        cmocka_unit_test(test_signatures_come_back),
        cmocka_unit_test(test_given_proofs_come_back),
        cmocka_unit_test(test_messages_that_anthropic_refuses),
        cmocka_unit_test(test_settings_that_anthropic_refuses),
        cmocka_unit_test(test_encrypted_reasoning_comes_back),
        cmocka_unit_test(test_text_after_results_in_any_dialect),
        cmocka_unit_test(test_no_allocation_per_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
