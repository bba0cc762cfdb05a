/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of Anthropic's Messages: read, and written again as they came. */
#include "request_test.h"

#include "dialect/estimate.h"
#include "dialect/messages/messages-private.h"

static void decode(struct slice body, struct arena *a, struct llm_request *rq) {
    read_request(&dialect_messages, body, a, rq);
}

#define HEAD              "\"model\":\"m\",\"max_tokens\":9,"
#define MSG(list)         "{" HEAD "\"messages\":[" list "]}"
#define R(rest)           "{" HEAD "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]," rest "}"
#define USER(blocks)      "{\"role\":\"user\",\"content\":[" blocks "]}"
#define ASSISTANT(blocks) "{\"role\":\"assistant\",\"content\":[" blocks "]}"
#define TEXT(text)        "{\"type\":\"text\",\"text\":\"" text "\"}"
#define USE(id, input)                                                                             \
    "{\"type\":\"tool_use\",\"id\":\"" id "\",\"name\":\"f\",\"input\":" input "}"
#define RESULT(id, content)                                                                        \
    "{\"type\":\"tool_result\",\"tool_use_id\":\"" id "\",\"content\":" content "}"
#define PNG                                                                                        \
    "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":"   \
    "\"AA==\"}}"

/* ---- as it came ---- */

static const char *const same[] = {
    MSG("{\"role\":\"user\",\"content\":\"h\\\"\\u00e9\\ud83d\\ude00\\n\"}"),
    "{" HEAD "\"system\":\"s\",\"messages\":[{\"role\":\"user\",\"content\":\"\"}]}",
    "{" HEAD "\"system\":[" TEXT(
        "a") ",{\"type\":\"text\",\"text\":\"b\",\"cache_control\":{"
             "\"type\":\"ephemeral\",\"ttl\":\"1h\"}}],\"messages\":[" USER(TEXT("x")) "]}",
    "{" HEAD "\"system\":[],\"messages\":[" USER("") "," ASSISTANT("") "]}",
    MSG("{\"role\":\"system\",\"content\":\"in place\"},{\"role\":\"user\",\"content\":\"x\"},"
        "{\"role\":\"system\",\"content\":[" TEXT("again") "]}"),
    /* every block that has a type of its own, and one that has none */
    MSG(USER(TEXT(
        "a") "," PNG ",{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://x/y\"},"
             "\"transformations\":{\"oversized_image\":\"error\"}}"
             ",{\"type\":\"image\",\"source\":{\"type\":\"file\",\"file_id\":\"f1\"}}"
             ",{\"type\":\"document\",\"source\":{\"type\":\"base64\",\"media_type\":\"application/"
             "pdf\",\"data\":\"AA==\"},\"title\":\"t\",\"context\":\"c\",\"citations\":{\"enabled\":"
             "true}}"
             ",{\"type\":\"document\",\"source\":{\"type\":\"text\",\"media_type\":\"text/plain\","
             "\"data\":\"plain\"}}"
             ",{\"type\":\"document\",\"source\":{\"type\":\"content\",\"content\":[" TEXT("p") "," PNG "," TEXT(
                 "q") "]},\"title\":\"t\"}"
                      ",{\"type\":\"document\",\"source\":{\"type\":\"content\",\"content\":\"str\"}}"
                      ",{\"type\":\"search_result\",\"source\":\"https://s\",\"title\":\"t\",\"content\":[" TEXT(
                          "r") "]}"
                               ",{\"type\":\"container_upload\",\"file_id\":\"f2\"},{\"type\":\"brand_new\",\"x\":[1,2."
                               "50]}")),
    MSG(ASSISTANT(
        "{\"type\":\"thinking\",\"thinking\":\" t \",\"signature\":\"c2ln\"},"
        "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"only\"},"
        "{\"type\":\"redacted_thinking\",\"data\":\"b3Bh\"}," TEXT("x") "," USE(
            "toolu_1",
            "{\"b\": 1.50, \"a\":[1e400]}") ",{\"type\":\"server_tool_use\",\"id\":\"s1\",\"name\":\"web_search\",\"input\":{"
                                            "}},{\"type\":\"web_search_tool_result\",\"tool_use_id\":\"s1\",\"content\":[]}")),
    /* results first: so the turn is put together again as it was */
    MSG(ASSISTANT(USE("a", "{}") "," USE("b", "{}")) "," USER(RESULT(
        "a", "[" TEXT("4 C") "]") ","
                                  "{\"type\":\"tool_result\",\"tool_use_id\":\"b\","
                                  "\"is_error\":true,\"content\":\"timeout\"}," TEXT("Continue."))),
    MSG(USER(RESULT("a", "\"x\"")) ",{\"role\":\"user\",\"content\":\"y\"}"),
    MSG(USER(
        "{\"type\":\"tool_result\",\"tool_use_id\":\"a\",\"cache_control\":{\"type\":"
        "\"ephemeral\"}}," RESULT("b", "[]") "," RESULT("c", "[" PNG ",{\"type\":\"tool_"
                                                             "reference\",\"tool_name\":\"f\"}]"))),
    "{" HEAD "\"messages\":[{\"role\":\"user\",\"content\":\"x\",\"strange\":1.0},{\"role\":"
    "\"user\",\"content\":[" RESULT(
        "a",
        "\"r\"") "],\"odd\":[]},{\"role\":\"user\",\"content\":[" RESULT("b",
                                                                         "\"r\"") "],\"odd\":2}]}",
    R("\"tools\":[{\"name\":\"f\",\"description\":\"d\",\"input_schema\":{\"type\":\"object\"},"
      "\"strict\":true,\"cache_control\":{\"type\":\"ephemeral\"}},{\"type\":\"custom\",\"name\":"
      "\"g\",\"input_schema\":{}},{\"type\":\"web_search_20250305\",\"name\":\"web_search\",\"max_"
      "uses\":3}],\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\",\"disable_parallel_tool_use\":"
      "true}"),
    R("\"tools\":[],\"stop_sequences\":[],\"tool_choice\":null,\"system\":null"),
    R("\"stop_sequences\":[\"a\",\"\\u0041\"],\"stream\":true,\"temperature\":0.70,\"top_p\":1e0,"
      "\"top_k\":5,\"service_tier\":\"auto\",\"metadata\":{\"user_id\":\"u\"},\"inference_geo\":"
      "null"),
    R("\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2048},\"output_config"
      "\":{\"effort\":\"high\",\"format\":{\"type\":\"json_schema\",\"schema\":{}}},\"mcp_servers"
      "\":[{\"url\":\"u\"}],\"container\":{\"id\":\"c\"},\"cache_control\":{\"type\":\"ephemeral\"}"
      ",\"context_management\":{\"edits\":[]},\"unheard_of\":123456789012345678901234567890"),
    "{\"max_tokens\":0,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"model\":\"m\"}",
};

static void check_same(struct slice body) {
    struct arena *a = arena_new();
    struct llm_request rq;
    struct buf out;
    decode(body, a, &rq);
    buf_init(&out, TEST_BYTES);
    assert_int_equal(messages_encode_request(&rq, NULL, &out, NULL), 0);
    assert_same_json(body, buf_slice(&out));
    buf_dispose(&out);
    arena_free(a);
}

static void test_same(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        check_same(slice_cstr(same[i]));
    }
    check_same(SLICE(R("\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2048,\"new\":1}")));
}

/* What was changed loses its raw, and is written from the model. */
static void forget_raw(struct part *parts, unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        if (parts[i].kind != PART_OPAQUE) parts[i].raw = SLICE_NULL;
        forget_raw(parts[i].inner, parts[i].n_inner);
    }
}

static const char *const rewritten[][2] = {
    {MSG(USER(TEXT(
         "a") "," PNG ",{\"type\":\"document\",\"source\":{\"type\":\"base64\",\"media_"
              "type\":\"application/pdf\",\"data\":\"AA==\"},\"title\":\"t\",\"context\":\"c\","
              "\"citations\":{\"enabled\":true}},{\"type\":\"document\",\"source\":{\"type\":"
              "\"text\",\"media_type\":\"text/plain\",\"data\":\"p\"}},{\"type\":\"image\","
              "\"source\":{\"type\":\"url\",\"url\":\"https://x\"}},{\"type\":\"image\",\"source\":"
              "{\"type\":\"file\",\"file_id\":\"f\"},\"cache_control\":{\"type\":\"ephemeral\"}}")),
     NULL},
    {MSG(ASSISTANT("{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\"s\"},{\"type\":"
                   "\"redacted_thinking\",\"data\":\"d\"}," USE("i", "{\"k\":[1.50]}"))),
     NULL},
    {MSG(USER(RESULT("a", "[" TEXT("x") "," PNG "]") ",{\"type\":\"tool_result\",\"tool_use_id\":"
                                                     "\"b\",\"content\":\"t\",\"is_error\":true}")),
     NULL},
    /* a document of texts and images is a text, then images */
    {MSG(USER("{\"type\":\"document\",\"title\":\"T\",\"context\":\"C\",\"source\":{\"type\":"
              "\"content\",\"content\":[" TEXT("p") "," PNG "," TEXT("q") "]}}")),
     MSG(USER(TEXT("T\\nC\\np\\nq") "," PNG))},
    {MSG(USER("{\"type\":\"search_result\",\"source\":\"u\",\"title\":\"T\",\"content\":[" TEXT(
         "p") "," TEXT("q") "]}")),
     MSG(USER(TEXT("T\\np\\nq")))},
};

static void test_rewritten(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rewritten / sizeof *rewritten; i++) {
        struct arena *a = arena_new();
        struct llm_request rq;
        struct buf out;
        const char *expected = rewritten[i][1] ? rewritten[i][1] : rewritten[i][0];
        decode(slice_cstr(rewritten[i][0]), a, &rq);
        for (struct message *m = rq.messages; m; m = m->next)
            forget_raw(m->parts, m->n_parts);
        buf_init(&out, TEST_BYTES);
        assert_int_equal(messages_encode_request(&rq, NULL, &out, NULL), 0);
        assert_same_json(slice_cstr(expected), buf_slice(&out));
        buf_dispose(&out);
        arena_free(a);
    }
}

/* The envelope goes before what came. */
static void test_envelope_is_written(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct llm_request rq;
    struct buf out;
    decode(SLICE(R("\"stream\":false,\"x\":1")), a, &rq);
    rq.env.stream = true;
    rq.env.max_tokens = 77;
    rq.env.model = SLICE("other \"m\"");
    buf_init(&out, TEST_BYTES);
    assert_int_equal(messages_encode_request(&rq, NULL, &out, NULL), 0);
    assert_same_json(SLICE("{\"model\":\"other \\\"m\\\"\",\"max_tokens\":77,\"messages\":[{"
                           "\"role\":\"user\",\"content\":\"hi\"}],\"stream\":true,\"x\":1}"),
                     buf_slice(&out));
    buf_dispose(&out);
    /* what does not fit is taken back whole */
    buf_init(&out, 20);
    put(&out, SLICE("before"));
    assert_int_equal(messages_encode_request(&rq, NULL, &out, NULL), -ERR_LIMIT);
    assert_slices(buf_slice(&out), SLICE("before"));
    buf_dispose(&out);
    arena_free(a);
}

/* ---- the normal form ---- */

static void put_part(struct buf *b, const struct part *p, const char *indent) {
    static const char *const kinds[] = {"text",    "image",     "audio",    "file",
                                        "refusal", "reasoning", "redacted", "call",
                                        "custom",  "function",  "result",   "opaque"};
    assert_int_equal(buf_appendf(b, "%s%s", indent, kinds[p->kind]), 0);
    put_named(b, "text", p->text);
    put_named(b, "id", p->id);
    put_named(b, "name", p->name);
    put_named(b, "proof", p->proof);
    put_named(b, "url", p->url);
    put_named(b, "type", p->media_type);
    put_named(b, "encoded", p->encoded);
    put_named(b, "file", p->file_id);
    put_named(b, "filename", p->filename);
    put_named(b, "context", p->context);
    if (p->is_error) put(b, SLICE(" error"));
    for (const struct field *f = p->extras; f; f = f->next)
        assert_int_equal(buf_appendf(b, " +%.*s", SLICE_FMT(f->key)), 0);
    put(b, SLICE("\n"));
    for (unsigned i = 0; i < p->n_inner; i++)
        put_part(b, &p->inner[i], "    ");
}

static void put_request(struct buf *b, const struct llm_request *rq) {
    static const char *const roles[] = {"system",    "developer", "user",
                                        "assistant", "tool",      "function"};
    unsigned n = 0;
    for (const struct message *m = rq->messages; m; m = m->next, n++) {
        assert_int_equal(buf_appendf(b, "%s%s%s\n", roles[m->role],
                                     m->is_instructions ? " instructions" : "",
                                     m->content_is_string ? " string" : ""),
                         0);
        for (unsigned i = 0; i < m->n_parts; i++)
            put_part(b, &m->parts[i], "  ");
    }
    assert_int_equal(n, rq->n_messages);
}

static const struct {
    const char *body, *form;
} forms[] = {
    {"{" HEAD "\"system\":[" TEXT("a") "," TEXT(
         "b") "],\"messages\":[{\"role\":\"user\","
              "\"content\":\"x\"},{\"role\":\"system\",\"content\":\"y\"}]}",
     "system instructions\n  text text=\"a\"\n  text text=\"b\"\nuser string\n  text text=\"x\"\n"
     "system string\n  text text=\"y\"\n"},
    /* results before the rest of their turn, wherever they stood */
    {MSG(USER(TEXT("t") "," RESULT(
         "a", "\"r\"") "," PNG ","
                       "{\"type\":\"tool_result\",\"tool_use_id\":\"b\",\"content\":[" TEXT(
                           "i") "," PNG "],\"is_error\":true,\"toolset_name\":\"s\"}")),
     "tool string\n  result text=\"r\" id=\"a\"\n"
     "tool\n  result text=\"\" id=\"b\" error +toolset_name\n    text text=\"i\"\n"
     "    image type=\"image/png\" encoded=\"AA==\"\n"
     "user\n  text text=\"t\"\n  image type=\"image/png\" encoded=\"AA==\"\n"},
    {MSG(USER("{\"type\":\"tool_result\",\"tool_use_id\":\"a\"}")),
     "tool\n  result text=\"\" id=\"a\"\n"},
    {MSG(USER("{\"type\":\"document\",\"title\":\"T\",\"source\":{\"type\":\"url\",\"url\":\"u\"},"
              "\"cache_control\":{}},{\"type\":\"document\",\"context\":\"c\",\"source\":{\"type\":"
              "\"text\",\"data\":\"p\"}},{\"type\":\"document\",\"source\":{\"type\":\"file\","
              "\"file_id\":\"f\"}},{\"type\":\"image\",\"source\":{\"type\":\"moon\"}},"
              "{\"type\":\"tool_use\",\"id\":\"x\"}")),
     "user\n  file url=\"u\" filename=\"T\" +cache_control\n"
     "  file text=\"p\" type=\"text/plain\" context=\"c\"\n  file file=\"f\"\n  opaque\n"
     "  opaque\n"},
};

static void test_normal_form(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct arena *a = arena_new();
        struct llm_request rq;
        struct buf out;
        decode(slice_cstr(forms[i].body), a, &rq);
        buf_init(&out, TEST_BYTES);
        put_request(&out, &rq);
        assert_slices(buf_slice(&out), slice_cstr(forms[i].form));
        buf_dispose(&out);
        arena_free(a);
    }
}

static void test_assistant_form(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct llm_request rq;
    decode(
        SLICE(MSG(ASSISTANT(
            "{\"type\":\"thinking\",\"thinking\":\"h\",\"signature\":\"s\"},"
            "{\"type\":\"thinking\",\"thinking\":\"\"},"
            "{\"type\":\"redacted_thinking\",\"data\":\"d\"}," TEXT("x") "," USE(
                "i",
                "{ \"z\" : [ 1.50 , 1e5 ],\n \"a\":\"\\ud800 \\ud83d\\ude00\\n\" }") ","
                                                                                     "{\"type\":\"tool_use\",\"id\":\"j\",\"name\":\"g\",\"caller\":1},"
                                                                                     "{\"type\":\"server_tool_use\",\"id\":\"s\"}"))),
        a, &rq);
    const struct message *m = rq.messages;
    assert_int_equal(m->n_parts, 7);
    assert_int_equal(m->parts[0].kind, PART_REASONING);
    assert_slices(m->parts[0].proof, SLICE("s"));
    assert_int_equal(m->parts[1].kind, PART_REASONING);
    assert_true(m->parts[1].proof.len == 0 && m->parts[1].text.len == 0);
    assert_int_equal(m->parts[2].kind, PART_REDACTED);
    assert_slices(m->parts[2].proof, SLICE("d"));
    assert_slices(m->parts[4].text, SLICE("{\"z\":[1.50,1e5],\"a\":\"\\ufffd \\ud83d\\ude00\\n"
                                          "\"}"));
    assert_slices(m->parts[5].text, SLICE("{}"));
    assert_int_equal(m->parts[6].kind, PART_OPAQUE);
    arena_free(a);
}

/* ---- fields ---- */

static const struct field *param(const struct llm_request *rq, const char *name) {
    const struct field *f = rq->params;
    while (f && !slice_eq(f->key, slice_cstr(name)))
        f = f->next;
    return f;
}

static void assert_param(const struct llm_request *rq, const char *name, bool is_understood) {
    const struct field *f = param(rq, name);
    if (!f || f->is_understood != is_understood) print_error("param %s\n", name);
    assert_non_null(f);
    assert_true(f->is_understood == is_understood);
}

static void test_fields(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct llm_request rq;
    decode(
        SLICE(R("\"stream\":true,\"temperature\":0.70,\"top_p\":1e0,\"top_k\":5,\"stop_sequences"
                "\":[\"a\",\"\\u0042\"],\"service_tier\":\"standard_only\",\"metadata\":{"
                "\"user_id\":\"u\"},\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":31999,"
                "\"display\":\"summarized\"},\"output_config\":{\"effort\":\"xhigh\",\"format\":"
                "{\"type\":\"json_schema\",\"schema\":{\"a\":1}}},\"mcp_servers\":[{\"a\":1}],"
                "\"cache_control\":{\"type\":\"ephemeral\"},\"container\":\"c\",\"speed\":null")),
        a, &rq);
    assert_true(rq.env.stream && rq.env.n == 1 && rq.env.max_tokens == 9);
    assert_slices(rq.temperature, SLICE("0.70"));
    assert_slices(rq.top_p, SLICE("1e0"));
    assert_slices(rq.top_k, SLICE("5"));
    assert_int_equal(rq.n_stop, 2);
    assert_slices(rq.stop[1], SLICE("B"));
    assert_slices(rq.service_tier, SLICE("default"));
    assert_slices(rq.user, SLICE("u"));
    assert_int_equal(rq.reasoning.thinking, THINKING_BUDGET);
    assert_int_equal(rq.reasoning.budget_tokens, 31999);
    assert_int_equal(rq.reasoning.is_visible, 1);
    assert_slices(rq.reasoning.effort, SLICE("xhigh"));
    assert_int_equal(rq.format.kind, FORMAT_JSON_SCHEMA);
    assert_slices(rq.format.schema, SLICE("{\"a\":1}"));
    assert_slices(rq.mcp_servers, SLICE("[{\"a\":1}]"));
    assert_true(rq.cache_control.len > 0);
    static const char *const known[] = {
        "stream",   "temperature",   "top_p",       "top_k",         "service_tier", "metadata",
        "thinking", "output_config", "mcp_servers", "cache_control", "max_tokens",   "speed"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_param(&rq, known[i], true);
    assert_param(&rq, "container", false);
    assert_null(param(&rq, "stop_sequences"));
    arena_free(a);
}

static void test_fields_partly_known(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct llm_request rq;
    decode(
        SLICE(R("\"service_tier\":\"other\",\"metadata\":{\"user_id\":null,\"x\":1},"
                "\"output_config\":{\"effort\":null,\"task_budget\":{}},\"thinking\":{\"type\":"
                "\"between_tools\"},\"output_format\":{\"type\":\"json_schema\",\"schema\":{}}")),
        a, &rq);
    assert_null(rq.service_tier.ptr);
    assert_null(rq.user.ptr);
    assert_int_equal(rq.reasoning.thinking, THINKING_OTHER);
    assert_int_equal(rq.reasoning.effort.len, 0);
    assert_int_equal(rq.format.kind, FORMAT_JSON_SCHEMA);
    assert_param(&rq, "service_tier", false);
    assert_param(&rq, "metadata", false);
    assert_param(&rq, "output_config", false);
    assert_param(&rq, "output_format", true);
    /* the newer spelling is the one */
    decode(SLICE(R("\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{\"new\":1}}"
                   "},\"output_format\":{\"type\":\"json_schema\",\"schema\":{\"old\":1}}")),
           a, &rq);
    assert_slices(rq.format.schema, SLICE("{\"new\":1}"));
    arena_free(a);
}

static const struct {
    const char *json;
    enum tool_choice_kind kind;
    const char *name;
    int parallel;
} choices[] = {
    {"{\"type\":\"auto\"}", TOOL_CHOICE_AUTO, NULL, -1},
    {"{\"type\":\"auto\",\"disable_parallel_tool_use\":true}", TOOL_CHOICE_AUTO, NULL, 0},
    {"{\"type\":\"any\",\"disable_parallel_tool_use\":false}", TOOL_CHOICE_REQUIRED, NULL, 1},
    {"{\"type\":\"none\"}", TOOL_CHOICE_NONE, NULL, -1},
    {"{\"type\":\"tool\",\"name\":\"f\"}", TOOL_CHOICE_NAMED, "f", -1},
    {"{\"type\":\"new\"}", TOOL_CHOICE_OTHER, NULL, -1},
};

static void test_tools(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct llm_request rq;
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++) {
        const char *body = arena_printf(a, R("\"tool_choice\":%s"), choices[i].json);
        decode(slice_cstr(body), a, &rq);
        assert_int_equal(rq.tool_choice, choices[i].kind);
        assert_slices(rq.tool_choice_name, slice_cstr(choices[i].name));
        assert_int_equal(rq.parallel_tools, choices[i].parallel);
    }
    decode(SLICE(R("\"tools\":[{\"name\":\"f\",\"description\":\"d\",\"input_schema\":{\"a\":1},"
                   "\"strict\":true,\"defer_loading\":true},{\"type\":\"custom\",\"name\":\"g\"},"
                   "{\"type\":null,\"name\":\"h\",\"input_schema\":null},{\"type\":\"bash_20250124"
                   "\",\"name\":\"bash\"}]")),
           a, &rq);
    assert_int_equal(rq.n_tools, 4);
    const struct tool *t = rq.tools;
    assert_int_equal(t->kind, TOOL_FUNCTION);
    assert_slices(t->name, SLICE("f"));
    assert_slices(t->description, SLICE("d"));
    assert_slices(t->parameters, SLICE("{\"a\":1}"));
    assert_int_equal(t->strict, 1);
    assert_slices(t->extras->key, SLICE("defer_loading"));
    t = t->next;
    assert_int_equal(t->kind, TOOL_FUNCTION);
    assert_true(t->parameters.len == 0 && t->strict == -1);
    assert_int_equal(t->next->kind, TOOL_FUNCTION);
    t = t->next->next;
    assert_int_equal(t->kind, TOOL_OTHER);
    assert_slices(t->type, SLICE("bash_20250124"));
    assert_slices(t->name, SLICE("bash"));
    arena_free(a);
}

/* ---- faults ---- */

static const struct {
    const char *body, *param, *code;
} refused[] = {
    {"", "", NULL},
    {"[1]", "", NULL},
    {"{\"messages\":[{}],\"max_tokens\":1}", "model", "missing_required_parameter"},
    {"{\"model\":\"m\",\"max_tokens\":1}", "messages", "missing_required_parameter"},
    {"{\"model\":\"m\",\"max_tokens\":1,\"messages\":[]}", "messages", "empty_array"},
    {"{\"model\":\"m\",\"max_tokens\":1,\"messages\":{}}", "messages", "invalid_type"},
    {"{\"model\":\"m\",\"messages\":[{}]}", "max_tokens", "missing_required_parameter"},
    {"{\"model\":\"m\",\"max_tokens\":null,\"messages\":[{}]}", "max_tokens",
     "missing_required_parameter"},
    {"{\"model\":\"m\",\"max_tokens\":-1,\"messages\":[{}]}", "max_tokens",
     "integer_below_min_value"},
    {"{\"model\":\"m\",\"max_tokens\":\"5\",\"messages\":[{}]}", "max_tokens", "invalid_type"},
    {"{\"model\":\"m\",\"max_tokens\":1,\"max_tokens\":2,\"messages\":[{}]}", "max_tokens",
     "invalid_value"},
    {R("\"stream\":\"yes\""), "stream", "invalid_type"},
    {MSG("1"), "messages[0]", "invalid_type"},
    {MSG("{\"role\":\"user\",\"content\":\"a\"},[]"), "messages[1]", "invalid_type"},
    {MSG("{\"content\":\"a\"}"), "messages[0].role", "missing_required_parameter"},
    {MSG("{\"role\":1,\"content\":\"a\"}"), "messages[0].role", "invalid_type"},
    {MSG("{\"role\":\"tool\",\"content\":\"a\"}"), "messages[0].role", "invalid_value"},
    {MSG("{\"role\":\"user\"}"), "messages[0].content", "missing_required_parameter"},
    {MSG("{\"role\":\"user\",\"content\":null}"), "messages[0].content", "invalid_type"},
    {MSG("{\"role\":\"user\",\"content\":[\"a\"]}"), "messages[0].content[0]", "invalid_type"},
    {MSG(USER("{\"text\":\"a\"}")), "messages[0].content[0].type", "missing_required_parameter"},
    {MSG("{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"user\",\"content\":\"a\"}," USER(
         "{\"type\":\"text\",\"text\":5}")),
     "messages[2].content[0].text", "invalid_type"},
    {MSG(USER(TEXT("a") ",{\"type\":\"text\"}")), "messages[0].content[1].text",
     "missing_required_parameter"},
    {MSG(USER("{\"type\":\"image\"}")), "messages[0].content[0].source",
     "missing_required_parameter"},
    {MSG(USER(
         "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\"}}")),
     "messages[0].content[0].data", "missing_required_parameter"},
    {MSG(USER("{\"type\":\"tool_result\",\"content\":\"a\"}")),
     "messages[0].content[0].tool_use_id", "missing_required_parameter"},
    {MSG(USER(RESULT("a", "5"))), "messages[0].content[0].content", "invalid_type"},
    {MSG(USER(RESULT("a", "[" TEXT("x") ",{\"type\":\"text\",\"text\":null}]"))),
     "messages[0].content[0].content[1].text", "missing_required_parameter"},
    {MSG(USER("{\"type\":\"tool_result\",\"tool_use_id\":\"a\",\"is_error\":\"x\"}")),
     "messages[0].content[0].is_error", "invalid_type"},
    {MSG(ASSISTANT(USE("a", "\"{}\""))), "messages[0].content[0].input", "invalid_type"},
    {MSG(ASSISTANT("{\"type\":\"tool_use\",\"name\":\"f\"}")), "messages[0].content[0].id",
     "missing_required_parameter"},
    {MSG(ASSISTANT("{\"type\":\"thinking\",\"thinking\":1}")), "messages[0].content[0].thinking",
     "invalid_type"},
    {R("\"system\":5"), "system", "invalid_type"},
    {R("\"system\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\"}]"), "system[1].text",
     "missing_required_parameter"},
    {R("\"system\":\"a\",\"system\":\"b\""), "system", "invalid_value"},
    {R("\"tools\":{}"), "tools", "invalid_type"},
    {R("\"tools\":[1]"), "tools[0]", "invalid_type"},
    {R("\"tools\":[{\"input_schema\":{}}]"), "tools[0].name", "missing_required_parameter"},
    {R("\"tools\":[{\"name\":\"a\",\"input_schema\":\"x\"}]"), "tools[0].input_schema",
     "invalid_type"},
    {R("\"tool_choice\":\"auto\""), "tool_choice", "invalid_type"},
    {R("\"tool_choice\":{}"), "tool_choice.type", "missing_required_parameter"},
    {R("\"tool_choice\":{\"type\":\"tool\"}"), "tool_choice.name", "missing_required_parameter"},
    {R("\"stop_sequences\":\"a\""), "stop_sequences", "invalid_type"},
    {R("\"stop_sequences\":[\"a\",1]"), "stop_sequences[1]", "invalid_type"},
    {R("\"temperature\":\"1\""), "temperature", "invalid_type"},
    {R("\"temperature\":1,\"temperature\":2"), "temperature", "invalid_value"},
    {R("\"top_k\":true"), "top_k", "invalid_type"},
    {R("\"thinking\":true"), "thinking", "invalid_type"},
    {R("\"thinking\":{}"), "thinking.type", "missing_required_parameter"},
    {R("\"thinking\":{\"type\":\"enabled\"}"), "thinking.budget_tokens",
     "missing_required_parameter"},
    {R("\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":0}"), "thinking.budget_tokens",
     "integer_below_min_value"},
    {R("\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1e30}"), "thinking.budget_tokens",
     "invalid_type"},
    {R("\"output_config\":1"), "output_config", "invalid_type"},
    {R("\"output_config\":{\"effort\":1}"), "output_config.effort", "invalid_type"},
    {R("\"output_config\":{\"format\":{\"type\":\"json_schema\"}}"), "output_config.format.schema",
     "missing_required_parameter"},
    {R("\"metadata\":{\"user_id\":1}"), "metadata.user_id", "invalid_type"},
    {R("\"service_tier\":1"), "service_tier", "invalid_type"},
    {R("\"mcp_servers\":{}"), "mcp_servers", "invalid_type"},
};

static void test_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct refusal row = {refused[i].body, refused[i].code, refused[i].param};
        assert_refused(&dialect_messages, &row);
    }
}

static void test_deep_nesting(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct buf b;
    struct llm_request rq;
    struct request_fault fault;
    buf_init(&b, TEST_BYTES);
    put(&b,
        SLICE("{\"model\":\"m\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":"));
    for (int i = 0; i < 100000; i++)
        put(&b, SLICE("["));
    assert_int_equal(messages_decode_request(buf_slice(&b), a, &rq, &fault), -ERR_USAGE);
    buf_dispose(&b);
    arena_free(a);
}

/* ---- count_tokens ---- */

static int64_t estimate(const char *body, struct arena *a) {
    struct llm_request rq;
    struct request_fault fault;
    assert_int_equal(messages_decode_count(slice_cstr(body), a, &rq, &fault), 0);
    assert_int_equal(rq.env.max_tokens, -1);
    return request_estimate_tokens(&rq);
}

#define COUNT(rest) "{\"model\":\"m\"," rest "}"
#define HI          "\"messages\":[{\"role\":\"user\",\"content\":\"hi you\"}]"

static void test_estimate(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct envelope env;
    struct request_fault fault;
    assert_int_equal(messages_peek_count(SLICE(COUNT(HI)), a, &env, &fault), 0);
    assert_int_equal(messages_peek_count(SLICE("{\"model\":\"m\"}"), a, &env, &fault), -ERR_USAGE);
    /* 6 bytes of text in a message */
    assert_int_equal(estimate(COUNT(HI), a), 4 + 2);
    /* a system of 8 bytes is a message, too */
    assert_int_equal(estimate(COUNT("\"system\":\"be brief\"," HI), a), 4 + 4 + 4);
    /* f, d, {"type":"object"}: 19 bytes and the message's 6 */
    assert_int_equal(estimate(COUNT(HI ",\"tools\":[{\"name\":\"f\",\"description\":\"dd\",\"input_"
                                       "schema\":{\"type\":\"object\"}}]"),
                              a),
                     4 + 200 + 8 + 7);
    assert_int_equal(estimate(COUNT("\"messages\":[" USER(PNG) "]"), a), 4 + 1200);
    /* a result's inner parts; proofs do not count */
    assert_int_equal(
        estimate(COUNT("\"messages\":[" ASSISTANT(
                     "{\"type\":\"thinking\",\"thinking\":\"abcd\",\"signature\":"
                     "\"0123456789\"}," USE(
                         "i", "{\"a\":1}")) "," USER(RESULT("i", "[" TEXT("abcd") "]")) "]"),
                 a),
        4 + 4 + 8 + 8 + 4);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_rewritten),
        cmocka_unit_test(test_envelope_is_written),
        cmocka_unit_test(test_normal_form),
        cmocka_unit_test(test_assistant_form),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_fields_partly_known),
        cmocka_unit_test(test_tools),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_deep_nesting),
        cmocka_unit_test(test_estimate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
