/* SPDX-License-Identifier: Apache-2.0 */
#include "request_test.h"

/* ---- decode, encode: the same JSON value, numbers as they were spelt ---- */

static void decode(struct slice body, struct arena *a, struct llm_request *rq) {
    read_request(&dialect_chat, body, a, rq);
}

/* As a policy leaves it that has touched everything: nothing goes out as it came. */
static void empty_raws(struct llm_request *rq) {
    for (struct message *m = rq->messages; m; m = m->next) {
        for (unsigned i = 0; i < m->n_parts; i++) {
            struct part *p = &m->parts[i];
            if (p->name.ptr && (p->kind == PART_REASONING || p->kind == PART_AUDIO)) continue;
            p->raw = SLICE_NULL;
            for (unsigned k = 0; k < p->n_inner; k++) p->inner[k].raw = SLICE_NULL;
        }
    }
    for (struct tool *t = rq->tools; t; t = t->next) t->raw = SLICE_NULL;
    rq->tool_choice_raw = SLICE_NULL;
}

static void check_round_trip(struct slice body, bool is_touched) {
    struct arena *a = arena_new();
    struct llm_request rq;
    struct buf out;
    struct request_fault fault;
    decode(body, a, &rq);
    if (is_touched) empty_raws(&rq);
    buf_init(&out, TEST_BYTES);
    assert_int_equal(dialect_chat.encode_request(&rq, NULL, &out, &fault), 0);
    assert_same_json(body, buf_slice(&out));
    buf_dispose(&out);
    arena_free(a);
}

#define R(rest) "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]," rest "}"
#define MSG(list) "{\"model\":\"m\",\"messages\":[" list "]}"

/* Written from the model's fields as well: nothing in them that only the raw text keeps. */
static const char *const plain[] = {
    MSG("{\"role\":\"user\",\"content\":\"h\\\"\\u00e9\\ud83d\\ude00\\n\"}"),
    MSG("{\"role\":\"developer\",\"content\":\"x\",\"name\":\"n\"},{\"role\":\"system\","
        "\"content\":[{\"type\":\"text\",\"text\":\"\"}]}"),
    MSG("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\",\"cache_control\":{"
        "\"type\":\"ephemeral\"}},"
        "{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://x/y.png\",\"detail\":\"low\"}},"
        "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AA==\"}},"
        "{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AA==\",\"format\":\"wav\"}},"
        "{\"type\":\"file\",\"file\":{\"file_id\":\"f1\"}},{\"type\":\"file\",\"file\":{"
        "\"filename\":\"a.pdf\",\"file_data\":\"data:x\"}}]}"),
    MSG("{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":null,\"tool_"
        "calls\":["
        "{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"},"
        "\"extra_content\":{\"g\":1}},"
        "{\"id\":\"c2\",\"type\":\"custom\",\"custom\":{\"name\":\"q\",\"input\":\"SELECT\"}}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"r\"},"
        "{\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}"
        ",{\"type\":\"text\",\"text\":\"b\"}]}"),
    MSG("{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":"
        "{\"name\":\"f\",\"arguments\":\"\"}}]}"),
    MSG("{\"role\":\"assistant\",\"content\":\"\",\"refusal\":\"no\",\"audio\":{\"id\":\"a1\"}}"),
    MSG("{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":"
        "\"refusal\",\"refusal\":\"b\"}],\"refusal\":null}"),
    MSG("{\"role\":\"assistant\",\"content\":\"a\",\"reasoning_content\":\"hm\",\"reasoning\":"
        "\"hm\",\"reasoning_details\":[{\"x\":1}],"
        "\"prefix\":true,\"thinking_blocks\":[]}"),
    MSG("{\"role\":\"assistant\",\"content\":null,\"function_call\":{\"name\":\"f\",\"arguments\":"
        "\"{}\"}},"
        "{\"role\":\"function\",\"name\":\"f\",\"content\":\"r\"},{\"role\":\"function\",\"name\":"
        "\"f\",\"content\":null}"),
    MSG("{\"role\":\"user\",\"content\":\"a\",\"tool_call_id\":\"odd\",\"name\":null,\"tool_"
        "calls\":[],\"function_call\":null}"),
    R("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\","
      "\"parameters\":{\"type\":\"object\","
      "\"properties\":{}},\"strict\":true}},{\"type\":\"custom\",\"custom\":{\"name\":\"q\","
      "\"format\":{\"type\":\"grammar\",\"grammar\":{\"syntax\":\"lark\",\"definition\":"
      "\"a: \\\"b\\\"\"}}}}]"),
    R("\"tools\":[],\"tool_choice\":null,\"stop\":null,\"user\":null"),
    R("\"tool_choice\":\"auto\""),
    R("\"tool_choice\":\"none\""),
    R("\"tool_choice\":\"required\""),
    R("\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}"),
    R("\"tool_choice\":{\"type\":\"custom\",\"custom\":{\"name\":\"f\"}}"),
    R("\"functions\":[{\"name\":\"f\",\"parameters\":{}}],\"function_call\":{\"name\":\"f\"}"),
    R("\"functions\":[{\"name\":\"f\"}],\"function_call\":\"auto\""),
    R("\"functions\":[{\"name\":\"f\"}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":"
      "\"f\"}}],\"function_call\":\"none\""),
    R("\"function_call\":\"auto\""),
    R("\"stop\":\"\\n\""),
    R("\"stop\":[\"a\",\"b\"]"),
    R("\"stop\":[]"),
    R("\"user\":\"\""),
    R("\"user\":\"u\""),
    R("\"stream\":true,\"stream_options\":{\"include_usage\":true,\"include_obfuscation\":false}"),
    R("\"stream\":false"),
    R("\"stream\":null"),
    R("\"max_completion_tokens\":10,\"max_tokens\":null,\"temperature\":1.0,\"top_p\":1e-1,\"n\":2,"
      "\"presence_penalty\":-0.0,"
      "\"frequency_penalty\":0.50,\"logit_bias\":{\"50256\":-100},\"logprobs\":true,\"top_"
      "logprobs\":0,\"seed\":9223372036854775807,"
      "\"safety_identifier\":\"s\",\"prompt_cache_key\":\"k\",\"prompt_cache_options\":{\"mode\":"
      "\"implicit\"},"
      "\"prompt_cache_retention\":\"24h\",\"parallel_tool_calls\":false,\"response_format\":{"
      "\"type\":\"json_object\"},"
      "\"reasoning_effort\":\"low\",\"verbosity\":null,\"service_tier\":\"auto\",\"metadata\":{"
      "\"a\":\"b\"},\"store\":false,"
      "\"modalities\":[\"text\",\"audio\"],\"audio\":{\"voice\":\"x\",\"format\":\"pcm16\"},"
      "\"prediction\":{\"type\":\"content\","
      "\"content\":\"x\"},\"web_search_options\":{},\"moderation\":{\"model\":\"m\"}"),
    R("\"top_k\":40,\"min_p\":0.05,\"chat_template_kwargs\":{\"enable_thinking\":false},\"guided_"
      "json\":{},\"x\\u0079\\\"z\":1,"
      "\"big\":123456789012345678901234567890.10"),
};

/* Written as they came: the model has no place for all of it. */
static const char *const strange[] = {
    MSG("{\"role\":\"user\",\"content\":[{\"type\":\"video_url\",\"video_url\":{\"url\":\"x\"}},{"
        "\"text\":\"no type\"},"
        "{\"type\":\"text\",\"text\":7},{\"type\":\"image_url\",\"image_url\":\"plain\"},"
        "{\"type\":\"image_url\",\"image_url\":{\"url\":\"u\",\"extra\":1}}]}"),
    MSG("{\"role\":\"assistant\",\"content\":\"x\",\"tool_calls\":[{\"id\":\"c\",\"type\":\"mcp\","
        "\"mcp\":{}},"
        "{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":{\"a\":1}}}"
        "]}"),
    MSG("{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":[]}"),
    MSG("{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":null}"),
    MSG("{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":[{\"type\":\"image_url\",\"image_"
        "url\":{\"url\":\"u\"}}]}"),
    MSG("{\"role\":\"tool\",\"tool_call_id\":\"c\"}"),
    MSG("{\"role\":\"user\",\"content\":[]}"),
    R("\"tools\":[{\"type\":\"web_search\"},{\"type\":\"function\",\"function\":{\"name\":\"f\","
      "\"strict\":null,\"parameters\":null,"
      "\"x\":1},\"cache_control\":{}},{\"type\":\"function\"}]"),
    R("\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"auto\",\"tools\":["
      "]}}"),
    R("\"tool_choice\":\"sometimes\""),
    R("\"tool_choice\":{\"type\":\"mcp\"}"),
    R("\"user\":7"),
    R("\"tool_choice\":\"any\",\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":\"q\","
      "\"format\":{\"type\":\"text\"}}},{\"type\":\"custom\",\"custom\":{\"name\":\"r\","
      "\"format\":{\"type\":\"odd\"}}}]"),
    R("\"reasoning\":{\"effort\":\"low\"},\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":"
      "2000},\"response_format\":{\"type\":\"grammar\"},\"reasoning\":7"),
    MSG("{\"role\":\"assistant\",\"content\":\"a\",\"reasoning_content\":\"AB\","
        "\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"A\",\"index\":0},"
        "{\"type\":\"reasoning.text\",\"text\":\"B\",\"signature\":\"s\",\"index\":0}],"
        "\"thinking_blocks\":[{\"type\":\"redacted_thinking\",\"data\":\"d\",\"x\":1}]}"),
};

static void requests_round_trip(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        check_round_trip(slice_cstr(plain[i]), false);
        check_round_trip(slice_cstr(plain[i]), true);
    }
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++)
        check_round_trip(slice_cstr(strange[i]), false);
}

/* ---- the model ---- */

/* As they were streamed, a word each: they grow in one place, which is not copied for each. */
static void reasoning_in_pieces_grows(void **state) {
    (void)state;
    enum { PIECES = 20000 };
    struct arena *a = arena_new();
    struct llm_request rq;
    struct buf b;
    buf_init(&b, (size_t)4 << 20);
    put(&b, SLICE("{\"model\":\"m\",\"messages\":[{\"role\":\"assistant\",\"content\":\"x\","
                  "\"reasoning_details\":["));
    for (unsigned i = 0; i < PIECES; i++)
        put(&b, SLICE("{\"text\":\"word \",\"index\":0},"));
    put(&b, SLICE("{\"signature\":\"s1\",\"index\":0},{\"signature\":\"s2\",\"index\":0},"
                  "{\"text\":\"next\",\"index\":1}]}]}"));
    decode(buf_slice(&b), a, &rq);
    const struct part *p = rq.messages->parts;
    assert_int_equal(rq.messages->n_parts, 3);
    assert_int_equal(p[0].kind, PART_REASONING);
    assert_int_equal(p[0].text.len, PIECES * 5);
    for (unsigned i = 0; i < PIECES; i++)
        assert_slices(slice_sub(p[0].text, i * 5, 5), SLICE("word "));
    assert_slices(p[0].proof, SLICE("s1s2"));
    assert_slices(p[1].text, SLICE("next"));
    assert_in_range(arena_used_bytes(a), 0, 4 << 20);
    buf_dispose(&b);
    arena_free(a);
}

static void messages_are_understood(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct llm_request rq;
    decode(slice_cstr(plain[3]), a, &rq);
    assert_int_equal(rq.n_messages, 4);
    const struct message *m = rq.messages->next;
    assert_int_equal(m->role, ROLE_ASSISTANT);
    assert_true(m->content_is_null);
    assert_int_equal(m->n_parts, 2);
    assert_int_equal(m->parts[0].kind, PART_TOOL_CALL);
    assert_slices(m->parts[0].id, SLICE("c1"));
    assert_slices(m->parts[0].name, SLICE("f"));
    assert_slices(m->parts[0].text, SLICE("{}"));
    assert_int_equal(m->parts[1].kind, PART_CUSTOM_TOOL_CALL);
    assert_slices(m->parts[1].text, SLICE("SELECT"));
    m = m->next;
    assert_int_equal(m->role, ROLE_TOOL);
    assert_int_equal(m->parts[0].kind, PART_TOOL_RESULT);
    assert_slices(m->parts[0].id, SLICE("c1"));
    assert_slices(m->parts[0].text, SLICE("r"));
    assert_int_equal(m->next->n_parts, 1); /* one result, with parts of its own */
    assert_int_equal(m->next->parts[0].kind, PART_TOOL_RESULT);
    assert_true(m->next->parts[0].is_custom);
    assert_false(m->parts[0].is_custom);
    assert_int_equal(m->next->parts[0].n_inner, 2);
    assert_slices(m->next->parts[0].inner[1].text, SLICE("b"));
    decode(slice_cstr(plain[2]), a, &rq);
    const struct part *p = rq.messages->parts;
    assert_int_equal(p[0].kind, PART_TEXT);
    assert_slices(p[0].extras->key, SLICE("cache_control"));
    assert_int_equal(p[1].kind, PART_IMAGE);
    assert_slices(p[1].url, SLICE("https://x/y.png"));
    assert_slices(p[1].detail, SLICE("low"));
    assert_int_equal(p[3].kind, PART_AUDIO);
    assert_slices(p[3].media_type, SLICE("wav"));
    assert_int_equal(p[5].kind, PART_FILE);
    assert_slices(p[5].filename, SLICE("a.pdf"));
    decode(slice_cstr(plain[7]), a, &rq);
    assert_int_equal(rq.messages->parts[0].kind, PART_REASONING);
    assert_slices(rq.messages->parts[0].name, SLICE("reasoning_content"));
    arena_free(a);
}

static void tools_and_choices_are_understood(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct llm_request rq;
    decode(SLICE(R("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":"
                   "\"d\",\"parameters\":{\"a\":1},"
                   "\"strict\":false}},{\"type\":\"custom\",\"custom\":{\"name\":\"q\"}},{\"type\":"
                   "\"web_search\"}],"
                   "\"tool_choice\":{\"type\":\"custom\",\"custom\":{\"name\":\"q\"}},\"stop\":["
                   "\"a\",\"b\\n\"]")),
           a, &rq);
    assert_int_equal(rq.n_tools, 3);
    assert_int_equal(rq.tools->kind, TOOL_FUNCTION);
    assert_slices(rq.tools->parameters, SLICE("{\"a\":1}"));
    assert_int_equal(rq.tools->strict, 0);
    assert_int_equal(rq.tools->next->kind, TOOL_CUSTOM);
    assert_int_equal(rq.tools->next->strict, -1);
    assert_int_equal(rq.tools->next->next->kind, TOOL_OTHER);
    assert_int_equal(rq.tool_choice, TOOL_CHOICE_NAMED_CUSTOM);
    assert_slices(rq.tool_choice_name, SLICE("q"));
    assert_int_equal(rq.n_stop, 2);
    assert_slices(rq.stop[1], SLICE("b\n"));
    decode(SLICE(R("\"functions\":[{\"name\":\"f\"}],\"function_call\":{\"name\":\"f\"}")), a, &rq);
    assert_true(rq.tools_are_functions);
    assert_int_equal(rq.tool_choice, TOOL_CHOICE_NAMED);
    arena_free(a);
}

static void the_stream_flag_follows_the_envelope(void **state) {
    (void)state;
    static const char *const bodies[] = {R("\"a\":1"), R("\"stream\":false"), R("\"stream\":null"),
                                         R("\"stream\":true")};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct arena *a = arena_new();
        struct llm_request rq;
        struct envelope env;
        struct request_fault fault;
        struct buf out;
        decode(slice_cstr(bodies[i]), a, &rq);
        for (int want = 0; want < 2; want++) {
            rq.env.stream = want;
            buf_init(&out, TEST_BYTES);
            assert_int_equal(dialect_chat.encode_request(&rq, NULL, &out, &fault), 0);
            assert_int_equal(dialect_chat.peek_request(buf_slice(&out), a, &env, &fault), 0);
            assert_int_equal(env.stream, want);
            buf_dispose(&out);
        }
        arena_free(a);
    }
}

/* ---- refusals ---- */

static void bad_members_are_refused(void **state) {
    (void)state;
    static const struct refusal rows[] = {
        {MSG("{\"content\":\"x\"}"), "missing_required_parameter", "messages[0].role"},
        {MSG("{\"role\":7}"), "invalid_type", "messages[0].role"},
        {MSG("{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"robot\"}"), "invalid_value",
         "messages[1].role"},
        {MSG("{\"role\":\"user\",\"content\":7}"), "invalid_type", "messages[0].content"},
        {MSG("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"\"},\"x\"]}"),
         "invalid_type", "messages[0].content[1]"},
        {MSG("{\"role\":\"user\"},7"), "invalid_type", "messages[1]"},
        {MSG("{\"role\":\"tool\",\"content\":\"x\"}"), "missing_required_parameter",
         "messages[0].tool_call_id"},
        {R("\"tools\":{}"), "invalid_type", "tools"},
        {R("\"tools\":[7]"), "invalid_type", "tools[0]"},
        {R("\"functions\":7"), "invalid_type", "functions"},
        {R("\"stop\":7"), "invalid_type", "stop"},
        {R("\"stop\":[7]"), "invalid_type", "stop"},
        {R("\"stop\":\"a\",\"stop\":\"b\""), "invalid_value", "stop"},
        {R("\"n\":0"), "integer_below_min_value", "n"},
        {"{\"model\":", NULL, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) assert_refused(&dialect_chat, &rows[i]);
}

static void a_full_buffer_is_told(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct llm_request rq;
    struct buf out;
    struct request_fault fault;
    decode(slice_cstr(plain[3]), a, &rq);
    for (size_t max = 0; max < 300; max += 7) {
        buf_init(&out, max);
        assert_int_equal(dialect_chat.encode_request(&rq, NULL, &out, &fault), -ERR_LIMIT);
        assert_int_equal(out.len, 0);
        buf_dispose(&out);
    }
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_round_trip),
        cmocka_unit_test(reasoning_in_pieces_grows),
        cmocka_unit_test(messages_are_understood),
        cmocka_unit_test(tools_and_choices_are_understood),
        cmocka_unit_test(the_stream_flag_follows_the_envelope),
        cmocka_unit_test(bad_members_are_refused),
        cmocka_unit_test(a_full_buffer_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
