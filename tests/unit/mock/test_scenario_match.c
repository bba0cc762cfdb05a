/* SPDX-License-Identifier: Apache-2.0 */
/* Each condition, both ways, in the dialects. */
#include "scenario_world.h"

#define CHAT "/v1/chat/completions"
#define RESPONSES "/v1/responses"
#define MESSAGES "/v1/messages"

static const char hello[] = "{\"model\":\"gpt-4o-mini\",\"messages\":["
                            "{\"role\":\"system\",\"content\":\"You are a pirate\"},"
                            "{\"role\":\"user\",\"content\":\"Hello there\"}]}";
static const char parts[] =
    "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":["
    "{\"type\":\"text\",\"text\":\"What is\"},{\"type\":\"text\",\"text\":\"this?\"},"
    "{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://example.com/a.png\"}}]}]}";
static const char with_tools[] =
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"weather?\"}],\"tools\":["
    "{\"type\":\"function\",\"function\":{\"name\":\"get_weather\"}},"
    "{\"type\":\"function\",\"function\":{\"name\":\"get_time\"}}]}";
static const char with_result[] =
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"weather?\"},"
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\","
    "\"function\":{\"name\":\"get_weather\",\"arguments\":\"{}\"}}]},"
    "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"heavy rain\"}]}";
static const char after_result[] =
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"weather?\"},"
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\","
    "\"function\":{\"name\":\"get_weather\",\"arguments\":\"{}\"}}]},"
    "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":\"heavy rain\"},"
    "{\"role\":\"assistant\",\"content\":\"It rains.\"},{\"role\":\"user\",\"content\":\"thanks\"}]}";
static const char messages_result[] =
    "{\"model\":\"claude-x\",\"max_tokens\":9,\"system\":\"You are a pirate\",\"messages\":["
    "{\"role\":\"user\",\"content\":\"weather?\"},{\"role\":\"assistant\",\"content\":["
    "{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"get_weather\",\"input\":{}}]},"
    "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"toolu_1\","
    "\"content\":[{\"type\":\"text\",\"text\":\"heavy rain\"}]}]}]}";
static const char responses_result[] =
    "{\"model\":\"m\",\"instructions\":\"You are a pirate\",\"input\":["
    "{\"role\":\"user\",\"content\":\"weather?\"},{\"type\":\"function_call\",\"call_id\":\"c1\","
    "\"name\":\"get_weather\",\"arguments\":\"{}\"},{\"type\":\"function_call_output\","
    "\"call_id\":\"c1\",\"output\":\"heavy rain\"}]}";
static const char with_schema[] =
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"response_format\":"
    "{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"invoice_v2\",\"schema\":{\"type\":"
    "\"object\"}}}}";
static const char with_object[] =
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"response_format\":"
    "{\"type\":\"json_object\"}}";

static const struct {
    const char *match, *path, *body;
    bool holds;
} cases[] = {
    {"{}", CHAT, hello, true},
    {"{dialect: chat}", CHAT, hello, true},
    {"{dialect: messages}", CHAT, hello, false},
    {"{dialect: [responses, messages]}", MESSAGES, messages_result, true},
    {"{dialect: responses}", RESPONSES, responses_result, true},
    {"{dialect: completions, user: once, turn: 1}", "/v1/completions",
     "{\"model\":\"m\",\"prompt\":\"once upon a time\"}", true},
    {"{model: \"gpt-4*\"}", CHAT, hello, true},
    {"{model: gpt-4}", CHAT, hello, false},
    {"{model: [claude-*, \"gpt-?o-mini\"]}", CHAT, hello, true},
    {"{role: user}", CHAT, hello, true},
    {"{role: [tool, assistant]}", CHAT, hello, false},
    {"{role: tool}", CHAT, with_result, true},
    {"{role: tool}", MESSAGES, messages_result, true},
    {"{role: tool}", RESPONSES, responses_result, true},
    {"{user: llo th}", CHAT, hello, true},
    {"{user: LLO TH}", CHAT, hello, false},
    {"{user: {contains: LLO TH, ignore_case: true}}", CHAT, hello, true},
    {"{user: {equals: Hello there}}", CHAT, hello, true},
    {"{user: {equals: Hello}}", CHAT, hello, false},
    {"{user: {equals: [Hello, Hello there]}}", CHAT, hello, true},
    {"{user: {equals: hello THERE, ignore_case: true}}", CHAT, hello, true},
    {"{user: {equals: hello, ignore_case: true}}", CHAT, hello, false},
    {"{user: {glob: \"Hello*\"}}", CHAT, hello, true},
    {"{user: {glob: \"hello*\"}}", CHAT, hello, false},
    {"{user: {glob: \"h?LLO*[a-f]\", ignore_case: true}}", CHAT, hello, true},
    {"{user: {glob: \"hello\", ignore_case: true}}", CHAT, hello, false},
    {"{user: {regex: \"^Hello\\\\s+\\\\w+$\"}}", CHAT, hello, true},
    {"{user: {regex: \"^there\"}}", CHAT, hello, false},
    {"{user: {regex: \"^HELLO\", ignore_case: true}}", CHAT, hello, true},
    {"{user: {contains: Hello, regex: \"there$\"}}", CHAT, hello, true},
    {"{user: {contains: Hello, regex: \"^there\"}}", CHAT, hello, false},
    {"{user: [nothing, {regex: \"re$\"}]}", CHAT, hello, true},
    {"{user: \"What is\\nthis?\"}", CHAT, parts, true},
    {"{user: weather}", CHAT, with_result, true},
    {"{user: weather}", CHAT, after_result, false},
    {"{user: pirate}", CHAT, hello, false},
    {"{message: pirate}", CHAT, hello, true},
    {"{message: {contains: heavy rain}}", CHAT, after_result, true},
    {"{message: snow}", CHAT, after_result, false},
    {"{system: pirate}", CHAT, hello, true},
    {"{system: pirate}", MESSAGES, messages_result, true},
    {"{system: pirate}", RESPONSES, responses_result, true},
    {"{system: Hello}", CHAT, hello, false},
    {"{system: {equals: \"\"}}", CHAT, parts, true},
    {"{tool: get_weather}", CHAT, with_tools, true},
    {"{tool: \"*_time\"}", CHAT, with_tools, true},
    {"{tool: weather}", CHAT, with_tools, false},
    {"{tool: \"*\"}", CHAT, hello, false},
    {"{tool_result: true}", CHAT, with_result, true},
    {"{tool_result: true}", CHAT, hello, false},
    {"{tool_result: false}", CHAT, hello, true},
    {"{tool_result: false}", CHAT, with_result, false},
    {"{tool_result: true}", CHAT, after_result, false},
    {"{tool_result: {anywhere: true}}", CHAT, after_result, true},
    {"{tool_result: rain}", MESSAGES, messages_result, true},
    {"{tool_result: rain}", RESPONSES, responses_result, true},
    {"{tool_result: snow}", MESSAGES, messages_result, false},
    {"{tool_result: {tool: get_weather, contains: rain}}", CHAT, with_result, true},
    {"{tool_result: {tool: get_weather}}", MESSAGES, messages_result, true},
    {"{tool_result: {tool: \"get_*\", regex: \"^heavy\"}}", RESPONSES, responses_result, true},
    {"{tool_result: {tool: get_time}}", CHAT, with_result, false},
    {"{tool_result: {tool: get_time, present: false}}", CHAT, with_result, true},
    {"{tool_result: {contains: rain, present: false}}", CHAT, with_result, false},
    {"{tool_result: {equals: heavy rain}}", MESSAGES, messages_result, true},
    {"{image: true}", CHAT, parts, true},
    {"{image: false}", CHAT, parts, false},
    {"{image: true}", CHAT, hello, false},
    {"{response_format: text}", CHAT, hello, true},
    {"{response_format: json_schema}", CHAT, with_schema, true},
    {"{response_format: json_object}", CHAT, with_object, true},
    {"{response_format: [json_object, json_schema]}", CHAT, hello, false},
    {"{schema: \"invoice_*\"}", CHAT, with_schema, true},
    {"{schema: order}", CHAT, with_schema, false},
    {"{schema: \"*\"}", CHAT, hello, false},
    {"{stream: true}", CHAT, parts, true},
    {"{stream: true}", CHAT, hello, false},
    {"{stream: false}", CHAT, hello, true},
    {"{header: {x-team: blue}}", CHAT, hello, true},
    {"{header: {X-Team: \"b*\"}}", CHAT, hello, true},
    {"{header: {x-team: lue}}", CHAT, hello, false},
    {"{header: {x-team: {contains: lue}}}", CHAT, hello, true},
    {"{header: {x-team: {regex: \"^b.*e$\"}}}", CHAT, hello, true},
    {"{header: {x-none: \"*\"}}", CHAT, hello, false},
    {"{header: {x-team: \"*\", x-none: \"*\"}}", CHAT, hello, false},
    {"{header: {x-team: second}}", CHAT, hello, true},
    {"{path: \"/v1/chat/*\"}", CHAT, hello, true},
    {"{path: /v1/messages}", CHAT, hello, false},
    {"{session: test-*}", CHAT, hello, true},
    {"{session: other}", CHAT, hello, false},
    {"{turn: 1}", CHAT, hello, true},
    {"{turn: 1}", CHAT, with_result, false},
    {"{turn: 2}", CHAT, with_result, true},
    {"{turn: 2-}", CHAT, after_result, true},
    {"{turn: 1-2}", CHAT, after_result, false},
    {"{turn: [1, 3]}", CHAT, after_result, true},
    {"{turn: 2}", MESSAGES, messages_result, true},
    {"{turn: 2}", RESPONSES, responses_result, true},
    {"{call: 1}", CHAT, hello, true},
    {"{call: 2-}", CHAT, hello, false},
    {"{probability: 1}", CHAT, hello, true},
    {"{probability: 100%}", CHAT, hello, true},
    {"{probability: 0}", CHAT, hello, false},
    {"{not: {user: Hello}}", CHAT, hello, false},
    {"{not: {user: Goodbye}}", CHAT, hello, true},
    {"{not: {user: Hello, model: other}}", CHAT, hello, true},
    {"{any_of: [{user: Goodbye}, {model: \"gpt*\"}]}", CHAT, hello, true},
    {"{any_of: [{user: Goodbye}, {model: other}]}", CHAT, hello, false},
    {"{any_of: [{user: Hello, not: {stream: true}}], turn: 1}", CHAT, hello, true},
    {"{user: Hello, model: other}", CHAT, hello, false},
    {"{user: Hello, model: \"gpt*\"}", CHAT, hello, true},
};

static void give_headers(struct world *w) {
    world_header(w, "X-Team", "blue");
    world_header(w, "x-team", "second");
    world_header(w, "x-penstock-session", "test-7");
}

static void test_conditions(void **state) {
    struct world *w = *state;
    char yaml[512];
    give_headers(w);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf why;
        snprintf(yaml, sizeof yaml, "- {name: s, respond: yes, match: %s}", cases[i].match);
        world_use(w, yaml);
        scenario_state_reset(w->state);
        world_ask(w, cases[i].path, cases[i].body);
        if (world_find(w) != cases[i].holds) {
            fail_msg("%s is to be %d of %s", cases[i].match, cases[i].holds, cases[i].body);
        }
        /* said alone, and in words, it is the same */
        buf_init(&why, 4096);
        assert_int_equal(scenario_match_test(w->set->items[0]->match, &w->in, &why),
                         cases[i].holds);
        assert_int_equal(why.len > 0, !cases[i].holds);
        buf_dispose(&why);
    }
}

/* ---- in words ---- */

static void test_why_not(void **state) {
    struct world *w = *state;
    struct buf why;
    give_headers(w);
    world_use(w, "- {respond: x, match: {model: \"claude*\", user: {contains: [bye, Bye]}, "
                 "turn: 2-4, header: {authorization: \"Bearer x\"}, stream: true, role: [tool]}}");
    world_header(w, "authorization", "Bearer secret");
    world_ask(w, CHAT, hello);
    buf_init(&why, 4096);
    assert_false(scenario_match_test(w->set->items[0]->match, &w->in, &why));
    assert_int_equal(buf_append_byte(&why, '\0'), 0);
    assert_string_equal(
        why.ptr,
        "model: wanted glob \"claude*\", got \"gpt-4o-mini\"\n"
        "user: wanted contains \"bye\" or contains \"Bye\", got \"Hello there\"\n"
        "turn: wanted 2 to 4, got 1\n"
        "header: wanted \"authorization\" glob \"Bearer x\", got another value\n"
        "stream: wanted true, got false\n"
        "role: wanted tool, got user\n");
    buf_dispose(&why);
}

static void test_explain_names_the_nearest(void **state) {
    struct world *w = *state;
    struct buf text;
    world_use(w, "- {name: far, respond: x, match: {model: a, user: b}}\n"
                 "- {name: slow, continue: true, ttft: 1s}\n"
                 "- {name: near, respond: x, match: {model: m, user: refund, turn: 1}}\n");
    world_say(w, "hello");
    buf_init(&text, 8192);
    assert_int_equal(scenario_explain_text(w->set, w->state, &w->in, &text), 0);
    assert_int_equal(buf_append_byte(&text, '\0'), 0);
    assert_string_equal(
        text.ptr,
        "request: chat, model m, turn 1, user \"hello\"\n"
        "nothing matched: the generator answers\n"
        "nearest: near (t.yaml:3), 2 of 3 conditions hold\n"
        "  user (line 3, column 46): wanted contains \"refund\", got \"hello\"\n"
        "the others:\n"
        "  far (t.yaml:1): 0 of 2\n"
        "    model (line 1, column 35): wanted glob \"a\", got \"m\"\n"
        "    user (line 1, column 45): wanted contains \"b\", got \"hello\"\n"
        "  slow (t.yaml:2): continued\n");
    buf_reset(&text);
    world_say(w, "a refund");
    assert_int_equal(scenario_explain_json(w->set, w->state, &w->in, &text), 0);
    assert_int_equal(buf_append_byte(&text, '\0'), 0);
    assert_non_null(strstr(text.ptr, "{\"matched\":\"near\",\"place\":\"t.yaml:3\",\"continued\":"
                                     "[\"slow\"],\"nearest\":null,"));
    buf_dispose(&text);
    assert_non_null(world_text(w));          /* explaining has counted nothing */
    assert_int_equal(w->script.ttft.mean_ns, 1000000000);
}

/* ---- patterns that would take for ever ---- */

static void test_a_regex_bomb_fits_nothing(void **state) {
    struct world *w = *state;
    struct buf why;
    char user[2000];
    memset(user, 'a', sizeof user);
    user[sizeof user - 1] = '\0';
    world_use(w, "- {respond: x, match: {user: {regex: \"^(a+)+$\"}}}\n"
                 "- {respond: y, match: {user: {regex: \"(.*)(.*)(.*)(.*)(.*)[0-9]x\"}}}\n"
                 "- {respond: z, match: {user: {glob: \"*A*a*A*a*A*b\", ignore_case: true}}}\n");
    memcpy(user + sizeof user - 2, "!", 1);
    world_say(w, user);
    buf_init(&why, 8192);
    assert_false(scenario_match_test(w->set->items[0]->match, &w->in, &why));
    assert_int_equal(buf_append_byte(&why, '\0'), 0);
    assert_non_null(strstr(why.ptr, "the regex took too many steps and was given up"));
    assert_null(world_text(w));
    buf_dispose(&why);
}

static void test_texts_that_are_no_utf8(void **state) {
    struct world *w = *state;
    world_header(w, "x-a", "\xff\xfe caf\xc3\xa9");
    world_use(w, "- {respond: x, match: {header: {x-a: {regex: \"caf.$\"}}}}");
    assert_says(w, "hi", "x");
}

/* ---- chance ---- */

static void test_probability_is_seeded(void **state) {
    struct world *w = *state;
    bool first[1000];
    unsigned n = 0;
    world_use(w, "- {name: a, respond: x, match: {probability: 20%}}");
    world_say(w, "hi");
    for (unsigned i = 0; i < 1000; i++) {
        first[i] = world_find(w);
        n += first[i];
    }
    assert_int_equal(n, 209);        /* exactly: by the seed */
    w->in.serial = 0;
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(world_find(w), first[i]);
    }
    w->in.serial = 0;
    w->in.seed = 1;
    unsigned same = 0;
    for (unsigned i = 0; i < 1000; i++) {
        same += world_find(w) == first[i];
    }
    assert_true(same < 1000);
}

int main(void) {
#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)
    const struct CMUnitTest tests[] = {
        WITH_WORLD(test_conditions),
        WITH_WORLD(test_why_not),
        WITH_WORLD(test_explain_names_the_nearest),
        WITH_WORLD(test_a_regex_bomb_fits_nothing),
        WITH_WORLD(test_texts_that_are_no_utf8),
        WITH_WORLD(test_probability_is_seeded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
