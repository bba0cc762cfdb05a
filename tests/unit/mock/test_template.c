/* SPDX-License-Identifier: Apache-2.0 */
/* What is filled in, and what answers are made of. */
#include "scenario_world.h"

static const char body[] =
    "{\"model\":\"gpt-4o\",\"temperature\":0.5,\"metadata\":{\"order\":\"A-1\",\"a.b\":\"dotted\","
    "\"n\":7,\"quote\":\"say \\\"hi\\\"\"},\"messages\":[{\"role\":\"system\",\"content\":\"Be "
    "brief\"},{\"role\":\"user\",\"content\":\"first\"},{\"role\":\"assistant\",\"content\":\"ok\"},"
    "{\"role\":\"user\",\"content\":\"last \\\"one\\\"\"}],\"tools\":[]}";

static const struct {
    const char *text, *filled;
} texts[] = {
    {"plain", "plain"},
    {"", ""},
    {"{{last_user}}", "last \"one\""},
    {"[{{ model }}]", "[gpt-4o]"},
    {"{{system}}/{{dialect}}/{{turn}}/{{n}}/{{scenario}}", "Be brief/chat/2/1/s"},
    {"{{json request.metadata.order}}", "A-1"},
    {"{{json request.metadata.n}}", "7"},
    {"{{json request.temperature}}", "0.5"},
    {"{{json request.metadata[\\\"a.b\\\"]}}", "dotted"},
    {"{{json request.metadata['a.b']}}", "dotted"},
    {"{{json request.messages[1].content}}", "first"},
    {"{{json request.messages.1.content}}", "first"},
    {"{{json request.messages[-1].role}}", "user"},
    {"{{json request.messages[9].role}}|{{json request.nothing.there}}", "|"},
    {"{{json request.metadata.quote}}", "say \"hi\""},
    {"{{json request.tools}}", "[]"},
    {"{{header x-team}}-{{header x-none}}", "blue-"},
    {"{{now}} {{now unix}} {{now ms}}", "2025-01-01T00:00:00Z 1735689600 1735689600000"},
    {"{{\\\"{{\\\"}}x}} {{ \\\"a b\\\" }}", "{{x}} a b"},
    {"{{random 5 5}}{{random -2 -2}}", "5-2"},
    {"{ {{model}} }", "{ gpt-4o }"},
    {"{{tool_result}}", ""},
};

static void test_texts(void **state) {
    struct world *w = *state;
    char yaml[512];
    world_header(w, "X-Team", "blue");
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        snprintf(yaml, sizeof yaml, "- {name: s, respond: \"%s\"}", texts[i].text);
        world_use(w, yaml);
        scenario_state_reset(w->state);
        world_ask(w, "/v1/chat/completions", body);
        assert_string_equal(world_text(w), texts[i].filled);
    }
}

static void test_json_keeps_types_and_escapes(void **state) {
    struct world *w = *state;
    world_use(w, "- name: s\n"
                 "  respond:\n"
                 "    json:\n"
                 "      said: \"{{last_user}}!\"\n"
                 "      meta: \"{{json request.metadata}}\"\n"
                 "      n: \"{{n}}\"\n"
                 "      both: \"{{n}}.\"\n"
                 "      none: \"{{json request.x}}\"\n"
                 "      when: \"{{now unix}}\"\n"
                 "      list: [1, -2.5e3, true, false, null, ~, \"true\", 007, 1., yes, \"\", .5]\n"
                 "      empty: {}\n"
                 "      'key \"{{n}}\"': x\n");
    world_ask(w, "/v1/chat/completions", body);
    assert_string_equal(
        world_text(w),
        "{\"said\":\"last \\\"one\\\"!\",\"meta\":{\"order\":\"A-1\",\"a.b\":\"dotted\",\"n\":7,"
        "\"quote\":\"say \\\"hi\\\"\"},\"n\":1,\"both\":\"1.\",\"none\":null,\"when\":1735689600,"
        "\"list\":[1,-2.5e3,true,false,null,null,\"true\",\"007\",\"1.\",\"yes\",\"\",\".5\"],"
        "\"empty\":{},\"key \\\"{{n}}\\\"\":\"x\"}");
}

static void test_chance_is_seeded(void **state) {
    struct world *w = *state;
    char first[128];
    world_use(w, "- {name: s, respond: \"{{uuid}} {{uuid}} {{random 1 1000000}}\"}");
    world_ask(w, "/v1/chat/completions", body);
    snprintf(first, sizeof first, "%s", world_text(w));
    assert_int_equal(first[14], '4');
    assert_int_equal(first[8], '-');
    assert_true(strncmp(first, first + 37, 36) != 0);
    assert_string_not_equal(world_text(w), first);
    w->in.serial = 0;
    assert_string_equal(world_text(w), first);
}

static void test_what_grows_is_cut(void **state) {
    struct world *w = *state;
    struct buf yaml, ask;
    buf_init(&yaml, 1 << 20);
    buf_init(&ask, 8 << 20);
    assert_int_equal(buf_append(&yaml, SLICE("- name: s\n  respond: \"")), 0);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(buf_append(&yaml, SLICE("{{last_user}}")), 0);
    }
    assert_int_equal(buf_appendf(&yaml, "\"\n%c", '\0'), 0);
    assert_int_equal(buf_append(&ask, SLICE("{\"model\":\"m\",\"messages\":[{\"role\":\"user\","
                                            "\"content\":\"")), 0);
    for (unsigned i = 0; i < 300000; i++) {
        assert_int_equal(buf_append(&ask, SLICE("\xe2\x82\xac")), 0);
    }
    assert_int_equal(buf_appendf(&ask, "\"}]}%c", '\0'), 0);
    world_use(w, yaml.ptr);
    world_ask(w, "/v1/chat/completions", ask.ptr);
    assert_true(world_find(w));
    struct slice text = w->script.blocks[0].pieces[0];
    assert_true(text.len <= SCENARIO_ANSWER_BYTES && text.len > SCENARIO_ANSWER_BYTES - 4);
    assert_int_equal(slice_utf8_valid(text), text.len);
    buf_dispose(&yaml);
    buf_dispose(&ask);
}

/* ---- answers ---- */

static void test_everything_an_answer_may_say(void **state) {
    struct world *w = *state;
    world_use(w, "- name: s\n"
                 "  respond:\n"
                 "    pause: 5ms\n"
                 "    thinking: {text: [Let, \" me\"], signature: c2ln}\n"
                 "    redacted: true\n"
                 "    text: The quick fox\n"
                 "    chunks: 4\n"
                 "    citations:\n"
                 "      - {url: \"https://x/{{n}}\", title: T, quote: quick}\n"
                 "      - {url: u, start: 0, end: 3}\n"
                 "      - {url: v, quote: absent}\n"
                 "    tool_calls:\n"
                 "      - {name: f, arguments: {a: \"{{model}}\"}, id: c1, chunks: 2}\n"
                 "      - {name: g, arguments: \"{broken\"}\n"
                 "      - {name: h, chunks: ['{\"a\"', ':1}']}\n"
                 "      - {name: i, input: text}\n"
                 "      - {name: j}\n"
                 "    interleaved: true\n"
                 "    stop: {sequence: END}\n"
                 "    usage: {input: 10, cached: 4, reasoning: 2}\n"
                 "    id: \"id-{{n}}\"\n"
                 "    model: other\n"
                 "    burst: 2\n");
    world_ask(w, "/v1/chat/completions", body);
    assert_true(world_find(w));
    const struct script *s = &w->script;
    const struct script_block *b = s->blocks;
    assert_int_equal(s->n_blocks, 8);
    assert_int_equal(b[0].kind, BLOCK_REASONING);
    assert_true(b[0].as_written && b[0].has_pause && b[0].pause.mean_ns == 5000000);
    assert_slice(b[0].pieces[1], " me");
    assert_slice(b[0].proof, "c2ln");
    assert_int_equal(b[1].kind, BLOCK_REDACTED);
    assert_null(b[1].proof.ptr);
    assert_int_equal(b[2].kind, BLOCK_TEXT);
    assert_int_equal(b[2].chunk_bytes, 4);
    assert_false(b[2].as_written);
    assert_int_equal(b[2].n_annotations, 3);
    assert_slice(b[2].annotations[0].url, "https://x/1");
    assert_int_equal(b[2].annotations[0].start, 4);
    assert_int_equal(b[2].annotations[0].end, 9);
    assert_int_equal(b[2].annotations[1].end, 3);
    assert_int_equal(b[2].annotations[2].start, -1);
    assert_slice(b[3].pieces[0], "{\"a\":\"gpt-4o\"}");
    assert_slice(b[3].id, "c1");
    assert_int_equal(b[3].chunk_bytes, 2);
    assert_slice(b[4].pieces[0], "{broken");
    assert_null(b[4].id.ptr);
    assert_true(b[5].as_written);
    assert_int_equal(b[5].n_pieces, 2);
    assert_int_equal(b[6].kind, BLOCK_CUSTOM_TOOL_CALL);
    assert_slice(b[7].pieces[0], "{}");
    assert_true(s->is_interleaved && s->has_stop && s->stop == STOP_SEQUENCE);
    assert_slice(s->stop_sequence, "END");
    assert_int_equal(s->usage.in_total, 10);
    assert_int_equal(s->usage.out_total, -1);
    assert_int_equal(s->usage.cache_read, 4);
    assert_int_equal(s->usage.reasoning, 2);
    assert_slice(s->id, "id-1");
    assert_slice(s->model, "other");
    assert_true(burst_mean(&s->burst) == 2);
    assert_slice(s->place, "t.yaml:1");
}

static void test_errors(void **state) {
    struct world *w = *state;
    world_use(w, "- {name: a, match: {user: last}, respond: {error: {status: 429, type: t, code: c, "
                 "param: p, message: \"{{model}} is busy\", retry_after: 3}}}");
    world_ask(w, "/v1/chat/completions", body);
    assert_true(world_find(w));
    assert_int_equal(w->script.status, 429);
    assert_int_equal(w->script.retry_after_s, 3);
    assert_slice(w->script.error_message, "gpt-4o is busy");
    assert_slice(w->script.error_type, "t");
    assert_slice(w->script.error_code, "c");
    assert_slice(w->script.error_param, "p");
    world_use(w, "- {name: a, respond: {error: 503}}");
    assert_true(world_find(w));
    assert_null(w->script.error_message.ptr);
}

static void test_blocks_in_their_order(void **state) {
    struct world *w = *state;
    world_use(w, "- respond:\n"
                 "    blocks:\n"
                 "      - thinking: hm\n"
                 "        signature: \"\"\n"
                 "      - text: one\n"
                 "      - pause: 1s\n"
                 "      - tool_call: {name: f}\n"
                 "      - redacted: ZGF0YQ==\n"
                 "      - refusal: no\n"
                 "      - json: {a: 1}\n"
                 "        chunks: 2\n");
    world_ask(w, "/v1/chat/completions", body);
    assert_true(world_find(w));
    const struct script_block *b = w->script.blocks;
    assert_int_equal(w->script.n_blocks, 6);
    assert_non_null(b[0].proof.ptr);
    assert_int_equal(b[0].proof.len, 0);
    assert_slice(b[1].pieces[0], "one");
    assert_int_equal(b[2].kind, BLOCK_TOOL_CALL);
    assert_true(b[2].has_pause);
    assert_false(b[3].has_pause);
    assert_slice(b[3].proof, "ZGF0YQ==");
    assert_int_equal(b[4].kind, BLOCK_REFUSAL);
    assert_slice(b[5].pieces[0], "{\"a\":1}");
    assert_int_equal(b[5].chunk_bytes, 2);
}

/* What a request says must not become a header of its own. */
static void test_headers_cannot_be_broken(void **state) {
    struct world *w = *state;
    world_use(w, "- {respond: x, headers: {x-said: \"{{last_user}}\", x-ok: \" {{model}} \"}}");
    world_ask(w, "/v1/chat/completions",
              "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\\r\\nx-evil: 1\"}]}");
    assert_true(world_find(w));
    assert_int_equal(w->script.n_headers, 1);
    assert_slice(w->script.headers[0], "x-ok");
    assert_slice(w->script.headers[1], "m");
}

int main(void) {
#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)
    const struct CMUnitTest tests[] = {
        WITH_WORLD(test_texts),
        WITH_WORLD(test_json_keeps_types_and_escapes),
        WITH_WORLD(test_chance_is_seeded),
        WITH_WORLD(test_what_grows_is_cut),
        WITH_WORLD(test_everything_an_answer_may_say),
        WITH_WORLD(test_errors),
        WITH_WORLD(test_blocks_in_their_order),
        WITH_WORLD(test_headers_cannot_be_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
