/* SPDX-License-Identifier: Apache-2.0 */
/* The shaper, by scripts: each is run with its deltas whole, byte by byte and in odd pieces, which
 * must make no difference. */
#include "shape_script.h"

#include "dialect/proof.h"

#define HELD ((size_t)1 << 20)

static const struct capabilities anthropic = {.family = PROOF_ANTHROPIC},
                                 openai = {.family = PROOF_OPENAI},
                                 plain = {.family = PROOF_NONE},
                                 details = {.reasoning_history = REASONING_DETAILS};

static void expect(const struct translation *t, const char *script, const char *expected) {
    static const size_t steps[] = {0, 1, 2, 3, 7};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct shown out;
        struct err e = {0};
        int rc = script_run(t, script, steps[i], HELD, &out, &e);
        if (rc) fprintf(stderr, "%s\n", e.text);
        assert_int_equal(rc, 0);
        assert_slices(buf_slice(&out.out), slice_cstr(expected));
        shown_dispose(&out);
    }
}

static void expect_error(const struct translation *t, const char *script, int error,
                         const char *text) {
    struct shown out;
    struct err e = {0};
    assert_int_equal(script_run(t, script, 0, HELD, &out, &e), error);
    if (!strstr(e.text, text)) fail_msg("the text is: %s", e.text);
    shown_dispose(&out);
}

static struct translation pair(const struct dialect *from, const struct dialect *to,
                               const struct capabilities *caps) {
    return (struct translation){.from = from, .to = to, .caps = caps};
}

/* ---- one block at a time ---- */

static void blocks_in_order_pass(void **state) {
    (void)state;
    struct translation t = pair(&test_messages, &test_chat, &plain);
    expect(&t,
           "start\nbegin 0 reasoning\ndelta 0 think\nend 0\nbegin 1 text\ndelta 1 Hi_there\nend 1\n"
           "ping\nfinish end\nusage\nover\n",
           "start\n0 reasoning {\n0 \"think\"\n0 }\n1 text {\n1 \"Hi there\"\n1 }\n"
           "ping\nfinish end\nusage\nend\n");
}

static void blocks_without_content_are_left_out(void **state) {
    (void)state;
    struct translation t = pair(&test_responses, &test_messages, &anthropic);
    expect(&t, "start\nbegin 0 text\nend 0\nbegin 1 reasoning\npart 1\nend 1\nbegin 2 refusal\n"
               "end 2\nfinish end\nover\n",
           "start\nfinish end\nend\n");
}

/* What repeats is for those who listen to deltas nothing. */
static void recaps_are_left_out(void **state) {
    (void)state;
    struct translation t = pair(&test_messages, &test_responses, &openai);
    expect(&t, "start\nbegin 0 text\ndelta 0 ab\nrecap 0 ab\nend 0\nfinish end\nover\n",
           "start\n0 text {\n0 \"ab\"\n0 }\nfinish end\nend\n");
}

static const char interleaved[] =
    "start\n"
    "begin 0 tool_call a f\nbegin 1 tool_call b g\n"
    "delta 0 {\"x\":\ndelta 1 {\"y\":\ndelta 0 1}\ndelta 1 [2,\"}\\\"\"]}\n"
    "end 0\nend 1\nfinish tool\nover\n";

static void interleaved_calls_are_put_in_order(void **state) {
    (void)state;
    struct translation t = pair(&test_messages, &test_chat, &plain);
    const char *expected = "start\n0 tool_call a f {\n0 \"{\"x\":1}\"\n0 }\n"
                           "1 tool_call b g {\n1 \"{\"y\":[2,\"}\\\"\"]}\"\n1 }\n"
                           "finish tool\nend\n";
    expect(&t, interleaved, expected);
    t.from = &test_responses;
    expect(&t, interleaved, expected);
}

/* A chat client's calls have indices of their own. */
static void interleaved_calls_pass_to_chat(void **state) {
    (void)state;
    struct translation t = pair(&test_chat, &test_responses, &openai);
    expect(&t, interleaved,
           "start\n0 tool_call a f {\n1 tool_call b g {\n0 \"{\"x\":\"\n1 \"{\"y\":\"\n"
           "0 \"1}\"\n1 \"[2,\"}\\\"\"]}\"\n0 }\n1 }\nfinish tool\nend\n");
}

static void text_waits_behind_an_open_call(void **state) {
    (void)state;
    struct translation t = pair(&test_messages, &test_chat, &plain);
    expect(&t,
           "start\nbegin 0 tool_call a f\ndelta 0 {\"x\nbegin 1 text\ndelta 1 say\ndelta 0 \":1}\n"
           "delta 1 ing\nend 1\nend 0\nfinish tool\nover\n",
           "start\n0 tool_call a f {\n0 \"{\"x\":1}\"\n0 }\n1 text {\n1 \"saying\"\n1 }\n"
           "finish tool\nend\n");
    /* no arguments yet is not complete, either */
    expect(&t,
           "start\nbegin 0 tool_call a f\nbegin 1 text\ndelta 1 say\nend 1\nend 0\nfinish tool\n"
           "over\n",
           "start\n0 tool_call a f {\n0 \"{}\"\n0 }\n1 text {\n1 \"say\"\n1 }\nfinish tool\nend\n");
}

/* What waits is given as soon as it can be: before the upstream ends anything. */
static void a_complete_call_lets_others_go_on(void **state) {
    (void)state;
    struct translation t = pair(&test_messages, &test_chat, &plain);
    expect(&t, "start\nbegin 0 tool_call a f\ndelta 0 {}\nbegin 1 text\ndelta 1 say\n",
           "start\n0 tool_call a f {\n0 \"{}\"\n0 }\n1 text {\n1 \"say\"\n");
    expect(&t, "start\nbegin 0 tool_call a f\nbegin 1 tool_call b g\ndelta 0 {}\ndelta 1 {\n",
           "start\n0 tool_call a f {\n0 \"{}\"\n0 }\n1 tool_call b g {\n1 \"{\"\n");
}

static void blanks_between_calls_are_no_text(void **state) {
    (void)state;
    struct translation t = pair(&test_messages, &test_chat, &plain);
    expect(&t,
           "start\nbegin 0 tool_call a f\ndelta 0 {}\nbegin 1 text\ndelta 1 |_|\nend 1\n"
           "begin 2 tool_call b g\ndelta 2 {}\nbegin 3 text\ndelta 3 |\nend 3\nend 0\nend 2\n"
           "finish tool\nover\n",
           "start\n0 tool_call a f {\n0 \"{}\"\n0 }\n1 tool_call b g {\n1 \"{}\"\n1 }\n"
           "finish tool\nend\n");
    /* unless text follows */
    expect(&t,
           "start\nbegin 0 tool_call a f\ndelta 0 {}\nbegin 1 text\ndelta 1 |\ndelta 1 so\nend 1\n"
           "end 0\nfinish tool\nover\n",
           "start\n0 tool_call a f {\n0 \"{}\"\n0 }\n1 text {\n1 \"\nso\"\n1 }\nfinish tool\nend\n");
}

static void items_of_responses_that_interleave(void **state) {
    (void)state;
    struct translation t = pair(&test_messages, &test_responses, &openai);
    expect(&t,
           "start\nbegin 0 reasoning rs_1\nbegin 1 text\ndelta 1 a\nbegin 2 tool_call c f\n"
           "delta 0 r\ndelta 2 {}\ndelta 1 b\nend 0\nend 2\nend 1\nfinish end\nover\n",
           "start\n0 text {\n0 \"ab\"\n0 }\n1 tool_call c f {\n1 \"{}\"\n1 }\n"
           "2 reasoning {\n2 \"r\"\n2 }\nfinish tool\nend\n");
}

static void a_finish_gives_all_that_waits(void **state) {
    (void)state;
    struct translation t = pair(&test_messages, &test_chat, &plain);
    expect(&t,
           "start\nbegin 0 tool_call a f\ndelta 0 {\"x\nbegin 1 text\ndelta 1 say\n"
           "begin 2 tool_call b g\ndelta 2 {\"y\":2}\nfinish length\nover\n",
           "start\n0 tool_call a f {\n0 \"{\"x\"\n0 }\n1 text {\n1 \"say\"\n1 }\n"
           "2 tool_call b g {\n2 \"{\"y\":2}\"\n2 }\nfinish length\nend\n");
}

static void marks_wait_with_their_block(void **state) {
    (void)state;
    struct translation t = pair(&test_responses, &test_chat, &plain);
    expect(&t,
           "start\nbegin 0 tool_call a f\nlogprobs text [1]\nbegin 1 text\ndelta 1 ab\n"
           "note 1 {\"n\":1}\nlogprobs text [2]\ndelta 1 cd\npart 1\ndelta 0 {}\nnote 1 {\"n\":2}\n"
           "end 1\nend 0\nfinish tool\nover\n",
           "start\n0 tool_call a f {\n0 \"{}\"\n0 }\n1 text {\nlogprobs [1]\n1 \"ab\"\n"
           "1 note u t {\"n\":1}\nlogprobs [2]\n1 \"cd\"\n1 part\n1 note u t {\"n\":2}\n1 }\n"
           "finish tool\nend\n");
}

/* ---- arguments ---- */

static void arguments_are_trimmed(void **state) {
    (void)state;
    struct translation t = pair(&test_messages, &test_chat, &plain);
    expect(&t,
           "start\nbegin 0 tool_call a f\ndelta 0 _|_{\"x\":_1}_|}}_\nend 0\n"
           "begin 1 tool_call b g\ndelta 1 _|_\nend 1\nbegin 2 tool_call c h\nend 2\n"
           "finish tool\nover\n",
           "start\n0 tool_call a f {\n0 \"{\"x\": 1}\"\n0 }\n1 tool_call b g {\n1 \"{}\"\n1 }\n"
           "2 tool_call c h {\n2 \"{}\"\n2 }\nfinish tool\nend\n");
}

static void arguments_that_are_no_object_become_one(void **state) {
    (void)state;
    struct translation t = pair(&test_messages, &test_chat, &plain);
    const char *script = "start\nbegin 0 tool_call a f\ndelta 0 _[1,2]\nend 0\n"
                         "begin 1 tool_call b g\ndelta 1 say_\"hi\"\nend 1\nfinish tool\nover\n";
    expect(&t, script,
           "start\n0 tool_call a f {\n0 \"{\"value\":[1,2]}\"\n0 }\n"
           "1 tool_call b g {\n1 \"{\"_raw\":\"say \\\"hi\\\"\"}\"\n1 }\nfinish tool\nend\n");
    /* responses' arguments are a string */
    t.from = &test_responses;
    expect(&t, script,
           "start\n0 tool_call a f {\n0 \"[1,2]\"\n0 }\n1 tool_call b g {\n1 \"say \"hi\"\"\n1 }\n"
           "finish tool\nend\n");
}

static void arguments_told_at_once(void **state) {
    (void)state;
    struct translation t = pair(&test_chat, &test_messages, &anthropic);
    expect(&t, "start\nbegin 0 tool_call a f {\"x\":1}\nend 0\nfinish tool\nover\n",
           "start\n0 tool_call a f {\n0 \"{\"x\":1}\"\n0 }\nfinish tool\nend\n");
}

static void late_arguments(void **state) {
    (void)state;
    struct translation t = pair(&test_messages, &test_chat, &plain);
    const char *blank = "start\nbegin 0 tool_call a f\ndelta 0 {}\nbegin 1 tool_call b g\n"
                        "delta 0 _|\nend 0\nend 1\nfinish tool\nover\n";
    expect(&t, blank,
           "start\n0 tool_call a f {\n0 \"{}\"\n0 }\n1 tool_call b g {\n1 \"{}\"\n1 }\n"
           "finish tool\nend\n");
    expect_error(&t,
                 "start\nbegin 0 tool_call a f\ndelta 0 {}\nbegin 1 tool_call b g\n"
                 "delta 0 {\"x\":1}\n",
                 -ERR_PROTOCOL, "more arguments for the tool call \"f\"");
}

static void a_call_needs_a_name(void **state) {
    (void)state;
    struct translation t = pair(&test_messages, &test_chat, &plain);
    expect_error(&t, "start\nbegin 0 tool_call a\ndelta 0 {}\nend 0\n", -ERR_PROTOCOL,
                 "without a name");
    expect_error(&t, "start\nbegin 0 tool_call a\nfinish tool\n", -ERR_PROTOCOL, "without a name");
    t.from = &test_chat;
    expect_error(&t, "start\nbegin 0 tool_call a\ndelta 0 {}\nend 0\n", -ERR_PROTOCOL,
                 "without a name");
}

/* ---- names, ids ---- */

static void names_and_ids_are_restored(void **state) {
    (void)state;
    struct tool_name names[2] = {
        {.next = &names[1], .name = SLICE("a.long.name"), .sent = SLICE("a_long_name_1234")},
        {.name = SLICE("open"), .name_space = SLICE("files"), .sent = SLICE("files__open")}};
    struct tool_id ids[1] = {{.id = SLICE("call:1"), .sent = SLICE("call_1_x")}};
    struct translation t = pair(&test_responses, &test_messages, &anthropic);
    t.names = names;
    t.ids = ids;
    expect(&t,
           "start\nbegin 0 tool_call call_1_x a_long_name_1234\ndelta 0 {}\nend 0\n"
           "begin 1 tool_call toolu_2 files__open\ndelta 1 {}\nend 1\n"
           "begin 2 tool_call toolu_3 other\ndelta 2 {}\nend 2\nfinish tool\nover\n",
           "start\n0 tool_call call:1 a.long.name {\n0 \"{}\"\n0 }\n"
           "1 tool_call toolu_2 files. open {\n1 \"{}\"\n1 }\n"
           "2 tool_call toolu_3 other {\n2 \"{}\"\n2 }\nfinish tool\nend\n");
}

static void missing_ids_are_made(void **state) {
    (void)state;
    struct translation t = pair(&test_messages, &test_chat, &plain);
    struct shown a, b;
    struct err e;
    const char *script = "start\nbegin 0 tool_call - f\ndelta 0 {}\nend 0\n"
                         "begin 1 function_call - f\ndelta 1 {}\nend 1\nfinish tool\nover\n";
    assert_int_equal(script_run(&t, script, 0, HELD, &a, &e), 0);
    assert_int_equal(script_run(&t, script, 1, HELD, &b, &e), 0);
    assert_slices(buf_slice(&a.out), buf_slice(&b.out));
    struct slice text = buf_slice(&a.out);
    const char *first = memmem(text.ptr, text.len, "tool_call call_", 15);
    assert_non_null(first);
    struct slice rest = slice_from(text, (size_t)(first - text.ptr) + 1);
    const char *second = memmem(rest.ptr, rest.len, "tool_call call_", 15);
    assert_non_null(second);
    assert_memory_not_equal(first, second, 39);
    assert_int_equal(first[39], ' ');
    shown_dispose(&a);
    shown_dispose(&b);
}

static void a_client_of_functions_gets_a_function_call(void **state) {
    (void)state;
    struct translation t = pair(&test_chat, &test_messages, &anthropic);
    t.legacy_functions = true;
    expect(&t,
           "start\nbegin 0 tool_call a f\ndelta 0 {}\nend 0\nbegin 1 tool_call b g\ndelta 1 {}\n"
           "end 1\nfinish tool\nover\n",
           "start\n0 function_call a f {\n0 \"{}\"\n0 }\n1 tool_call b g {\n1 \"{}\"\n1 }\n"
           "finish tool\nend\n");
}

/* ---- custom tools ---- */

static void functions_that_stand_for_custom_tools(void **state) {
    (void)state;
    struct tool_name name = {.name = SLICE("apply_patch"),
                             .sent = SLICE("apply_patch"),
                             .kind = TOOL_CUSTOM,
                             .is_custom = true};
    struct translation t = pair(&test_responses, &test_messages, &anthropic);
    t.names = &name;
    const char *script =
        "start\nbegin 0 tool_call a apply_patch\ndelta 0 {\"input\":_\"*\\n\\u20ac\\\"\"}_\nend 0\n"
        "begin 1 tool_call b apply_patch {\"input\":\"x\"}\nend 1\n"
        "begin 2 tool_call c apply_patch\nend 2\n"
        /* other arguments, and arguments that were cut */
        "begin 3 tool_call d apply_patch\ndelta 3 {\"other\":1}\nend 3\n"
        "begin 4 tool_call e apply_patch\ndelta 4 {\"input\":_\"ab\\ncd\\u20\nend 4\n"
        "finish tool\nover\n";
    const char *expected =
        "start\n0 custom_tool_call a apply_patch {\n0 \"*\n\xe2\x82\xac\"\"\n0 }\n"
        "1 custom_tool_call b apply_patch {\n1 \"x\"\n1 }\n"
        "2 custom_tool_call c apply_patch {\n2 }\n"
        "3 custom_tool_call d apply_patch {\n3 \"{\"other\":1}\"\n3 }\n"
        "4 custom_tool_call e apply_patch {\n4 \"ab\ncd\"\n4 }\nfinish tool\nend\n";
    expect(&t, script, expected);
    t.from = &test_chat;
    expect(&t, script, expected);
    /* a second one goes on as soon as the first one is complete */
    t.from = &test_responses;
    expect(&t,
           "start\nbegin 0 tool_call a apply_patch\ndelta 0 {\"input\":\"x\nbegin 1 text\n"
           "delta 1 t\ndelta 0 \"}\n",
           "start\n0 custom_tool_call a apply_patch {\n0 \"x\"\n0 }\n1 text {\n1 \"t\"\n");
}

static void custom_calls_to_those_who_have_none(void **state) {
    (void)state;
    struct translation t = pair(&test_messages, &test_responses, &openai);
    const char *script = "start\nbegin 0 custom_tool_call a f\ndelta 0 say_\"x\"|\nend 0\n"
                         "begin 1 custom_tool_call b f\nend 1\nfinish tool\nover\n";
    const char *as_functions =
        "start\n0 tool_call a f {\n0 \"{\"input\":\"say \\\"x\\\"\\n\"}\"\n0 }\n"
        "1 tool_call b f {\n1 \"{\"input\":\"\"}\"\n1 }\nfinish tool\nend\n";
    expect(&t, script, as_functions);
    t.from = &test_chat;
    expect(&t, script, as_functions);
    struct tool_name name = {.name = SLICE("f"), .sent = SLICE("f"), .kind = TOOL_CUSTOM};
    t.names = &name;
    expect(&t, script,
           "start\n0 custom_tool_call a f {\n0 \"say \"x\"\n\"\n0 }\n"
           "1 custom_tool_call b f {\n1 }\nfinish tool\nend\n");
}

/* ---- structured output by a tool ---- */

static void the_hidden_tool_is_the_text(void **state) {
    (void)state;
    struct translation t = pair(&test_chat, &test_messages, &anthropic);
    t.json_tool = SLICE("json_output");
    expect(&t,
           "start\nbegin 0 text\ndelta 0 Here:\nend 0\nbegin 1 tool_call a json_output\n"
           "delta 1 _{\"x\":\ndelta 1 1}\nend 1\nbegin 2 text\ndelta 2 Done.\nend 2\n"
           "finish tool\nover\n",
           "start\n0 text {\n0 \"{\"x\":1}\"\n0 }\nfinish end\nend\n");
    /* other calls stay, and so does their reason */
    expect(&t,
           "start\nbegin 0 tool_call a json_output\ndelta 0 {}\nend 0\nbegin 1 tool_call b f\n"
           "delta 1 {}\nend 1\nfinish tool\nover\n",
           "start\n0 text {\n0 \"{}\"\n0 }\n1 tool_call b f {\n1 \"{}\"\n1 }\nfinish tool\nend\n");
    /* not called: the text is the answer */
    expect(&t,
           "start\nbegin 0 text\ndelta 0 {\"x\":2}\nend 0\nbegin 1 text\ndelta 1 !\nend 1\n"
           "finish end\nover\n",
           "start\n0 text {\n0 \"{\"x\":2}\"\n0 }\n1 text {\n1 \"!\"\n1 }\nfinish end\nend\n");
    t.from = &test_responses;
    expect(&t, "start\nbegin 0 text\ndelta 0 {}\nend 0\nfinish end\nover\n",
           "start\n0 text {\n0 \"{}\"\n0 }\nfinish end\nend\n");
}

/* ---- reasons ---- */

static void reasons_follow_what_was_shown(void **state) {
    (void)state;
    struct translation t = pair(&test_messages, &test_chat, &plain);
    const char *call = "start\nbegin 0 tool_call a f\ndelta 0 {}\nend 0\nfinish %s\nover\n";
    static const char *const rows[][2] = {{"end", "tool"},       {"tool", "tool"},
                                          {"length", "length"},  {"filter", "filter"},
                                          {"pause", "pause"},    {"sequence", "sequence"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char script[200], expected[200];
        snprintf(script, sizeof script, call, rows[i][0]);
        snprintf(expected, sizeof expected,
                 "start\n0 tool_call a f {\n0 \"{}\"\n0 }\nfinish %s\nend\n", rows[i][1]);
        expect(&t, script, expected);
    }
    /* calls that nobody made */
    expect(&t, "start\nfinish tool\nover\n", "start\nfinish end\nend\n");
}

static void refusals(void **state) {
    (void)state;
    struct translation t = pair(&test_messages, &test_chat, &plain);
    const char *script = "start\nbegin 0 refusal\ndelta 0 No.\nend 0\nfinish end\nover\n";
    expect(&t, script, "start\n0 text {\n0 \"No.\"\n0 }\nfinish filter\nend\n");
    t.from = &test_responses;
    expect(&t, script, "start\n0 refusal {\n0 \"No.\"\n0 }\nfinish end\nend\n");
    t.from = &test_chat;
    t.to = &test_responses;
    expect(&t, script, "start\n0 refusal {\n0 \"No.\"\n0 }\nfinish end\nend\n");
}

static void errors(void **state) {
    (void)state;
    struct translation t = pair(&test_messages, &test_chat, &plain);
    expect(&t, "start\nbegin 0 text\ndelta 0 ab\nfinish error\nover\n",
           "start\n0 text {\n0 \"ab\"\nerror\n");
    expect(&t, "start\nbegin 0 tool_call a f\nbegin 1 text\ndelta 1 ab\nerror\ndelta 1 c\nover\n",
           "start\n0 tool_call a f {\nerror\n");
}

static void choices(void **state) {
    (void)state;
    struct translation t = pair(&test_messages, &test_chat, &plain);
    const char *script = "start\nchoice 1\nbegin 0 text\ndelta 0 no\nchoice 0\nbegin 1 text\n"
                         "delta 1 yes\nend 1\nchoice 1\nend 0\nfinish end\nchoice 0\nfinish end\n"
                         "begin 2 text\ndelta 2 late\nend 2\nfinish length\nover\n";
    expect(&t, script, "start\n0 text {\n0 \"yes\"\n0 }\nfinish end\nend\n");
    static const struct dialect several = {.name = "completions", .has_choices = true};
    t.from = &several;
    expect(&t, script,
           "start\n0 text/1 {\n0 \"no\"\n1 text {\n1 \"yes\"\n1 }\n0 }\nfinish end/1\nfinish end\n"
           "end\n");
}

/* ---- stops ---- */

static void stops_end_the_answer(void **state) {
    (void)state;
    struct slice stops[] = {SLICE("END"), SLICE("ENDING"), SLICE("xx"), SLICE("\xe2\x82\xac!")};
    struct translation t = pair(&test_messages, &test_responses, &openai);
    t.stops = stops;
    t.n_stops = 4;
    expect(&t,
           "start\nbegin 0 text\ndelta 0 abE\ndelta 0 NDcd\ndelta 0 ef\nend 0\nfinish end\nover\n",
           "start\n0 text {\n0 \"ab\"\n0 }\nfinish sequence END\nend\n");
    /* of two that begin together the longer one; at the end of the block it is known */
    expect(&t, "start\nbegin 0 text\ndelta 0 abENDING\nend 0\n",
           "start\n0 text {\n0 \"ab\"\n0 }\nfinish sequence ENDING\nend\n");
    expect(&t, "start\nbegin 0 text\ndelta 0 abENDIN\nend 0\n",
           "start\n0 text {\n0 \"ab\"\n0 }\nfinish sequence END\nend\n");
    /* the earliest */
    expect(&t, "start\nbegin 0 text\ndelta 0 axxEND\nend 0\n",
           "start\n0 text {\n0 \"a\"\n0 }\nfinish sequence xx\nend\n");
    /* beginnings that came to nothing */
    expect(&t, "start\nbegin 0 text\ndelta 0 EENxENEN\nend 0\nfinish end\nover\n",
           "start\n0 text {\n0 \"EENxENEN\"\n0 }\nfinish end\nend\n");
    /* a block of its own */
    expect(&t,
           "start\nbegin 0 text\ndelta 0 EN\nend 0\nbegin 1 text\ndelta 1 D\nend 1\nfinish end\n"
           "over\n",
           "start\n0 text {\n0 \"EN\"\n0 }\n1 text {\n1 \"D\"\n1 }\nfinish end\nend\n");
    /* nothing of the stop's block was text */
    expect(&t, "start\nbegin 0 text\ndelta 0 ENDxyz\n",
           "start\n0 text {\n0 }\nfinish sequence END\nend\n");
    /* not in reasoning, not in arguments */
    expect(&t,
           "start\nbegin 0 reasoning\ndelta 0 END\nend 0\nbegin 1 tool_call a f\n"
           "delta 1 {\"x\":\"END\"}\nend 1\nfinish tool\nover\n",
           "start\n0 reasoning {\n0 \"END\"\n0 }\n1 tool_call a f {\n1 \"{\"x\":\"END\"}\"\n1 }\n"
           "finish tool\nend\n");
}

/* Two that overlap: "abcX" may still come where "bc" is there already. */
static void a_stop_inside_another(void **state) {
    (void)state;
    struct slice stops[] = {SLICE("bc"), SLICE("abcX")};
    struct translation t = pair(&test_chat, &test_responses, &openai);
    t.stops = stops;
    t.n_stops = 2;
    expect(&t, "start\nbegin 0 text\ndelta 0 __abcX\nend 0\n",
           "start\n0 text {\n0 \"  \"\n0 }\nfinish sequence abcX\nend\n");
    expect(&t, "start\nbegin 0 text\ndelta 0 __abcY\nend 0\n",
           "start\n0 text {\n0 \"  a\"\n0 }\nfinish sequence bc\nend\n");
    expect(&t, "start\nbegin 0 text\ndelta 0 __abc\nend 0\n",
           "start\n0 text {\n0 \"  a\"\n0 }\nfinish sequence bc\nend\n");
}

static void a_stop_ends_what_else_is_open(void **state) {
    (void)state;
    struct slice stops[] = {SLICE("END")};
    struct translation t = pair(&test_chat, &test_responses, &openai);
    t.stops = stops;
    t.n_stops = 1;
    expect(&t, "start\nbegin 0 tool_call a f\ndelta 0 {\nbegin 1 text\ndelta 1 aEND\n",
           "start\n0 tool_call a f {\n0 \"{\"\n1 text {\n1 \"a\"\n0 }\n1 }\nfinish sequence END\n"
           "end\n");
}

/* Text that can be no stop is not held. */
static void nothing_is_held_without_need(void **state) {
    (void)state;
    struct slice stops[] = {SLICE("STOPPING")};
    struct translation t = pair(&test_messages, &test_responses, &openai);
    t.stops = stops;
    t.n_stops = 1;
    expect(&t, "start\nbegin 0 text\ndelta 0 abcdeSTO\n", "start\n0 text {\n0 \"abcde\"\n");
}

/* ---- proofs ---- */

static void assert_proof(struct slice shown, const char *line_start, const struct proof *expected) {
    struct arena *a = arena_new();
    struct proof p;
    const char *at = memmem(shown.ptr, shown.len, line_start, strlen(line_start));
    assert_non_null(at);
    struct slice rest = slice_from(shown, (size_t)(at - shown.ptr) + strlen(line_start));
    rest.len = (size_t)slice_index(rest, '\n');
    assert_true(proof_unwrap(rest, a, &p));
    assert_int_equal(p.family, expected->family);
    assert_int_equal(p.kind, expected->kind);
    assert_slices(p.model, expected->model);
    assert_slices(p.item_id, expected->item_id);
    assert_slices(p.payload, expected->payload);
    arena_free(a);
}

static void foreign_proofs_are_wrapped(void **state) {
    (void)state;
    struct shown out;
    struct err e;
    struct translation t = pair(&test_messages, &test_responses, &openai);
    const char *script = "start\nbegin 0 reasoning rs_1\ndelta 0 sum\nsig 0 gAA\nsig 0 BB\nend 0\n"
                         "begin 1 reasoning rs_2\nsig 1 CC\nend 1\nfinish end\nover\n";
    assert_int_equal(script_run(&t, script, 0, HELD, &out, &e), 0);
    assert_proof(buf_slice(&out.out), "0 sig ",
                 &(struct proof){PROOF_OPENAI, PROOF_ENCRYPTED, SLICE("m"), SLICE("rs_1"),
                                 SLICE("gAABB")});
    assert_proof(buf_slice(&out.out), "1 sig ",
                 &(struct proof){PROOF_OPENAI, PROOF_ENCRYPTED, SLICE("m"), SLICE("rs_2"),
                                 SLICE("CC")});
    shown_dispose(&out);

    t = pair(&test_chat, &test_messages, &anthropic);
    script = "start\nbegin 0 reasoning\ndelta 0 sum\nsig 0 sig\nend 0\n"
             "begin 1 redacted\nsig 1 data\nend 1\nfinish end\nover\n";
    assert_int_equal(script_run(&t, script, 0, HELD, &out, &e), 0);
    assert_proof(buf_slice(&out.out), "0 sig ",
                 &(struct proof){PROOF_ANTHROPIC, PROOF_SIGNATURE, SLICE("m"), SLICE(""),
                                 SLICE("sig")});
    assert_proof(buf_slice(&out.out), "1 sig ",
                 &(struct proof){PROOF_ANTHROPIC, PROOF_REDACTED, SLICE("m"), SLICE(""),
                                 SLICE("data")});
    shown_dispose(&out);

    /* a server that wants its details back unchanged */
    t = pair(&test_messages, &test_chat, &details);
    assert_int_equal(script_run(&t, script, 0, HELD, &out, &e), 0);
    assert_proof(buf_slice(&out.out), "1 sig ",
                 &(struct proof){PROOF_NONE, PROOF_REDACTED, SLICE("m"), SLICE(""), SLICE("data")});
    shown_dispose(&out);
}

static void proofs_of_the_clients_own_family_pass(void **state) {
    (void)state;
    struct translation t = pair(&test_messages, &test_chat, &anthropic);
    expect(&t, "start\nbegin 0 reasoning\ndelta 0 sum\nsig 0 native\nend 0\nfinish end\nover\n",
           "start\n0 reasoning {\n0 \"sum\"\n0 sig native\n0 }\nfinish end\nend\n");
}

/* Nobody could give them back. */
static void proofs_of_no_family_are_left_out(void **state) {
    (void)state;
    struct translation t = pair(&test_messages, &test_chat, &plain);
    expect(&t,
           "start\nbegin 0 reasoning\ndelta 0 sum\nsig 0 foreign\nend 0\nbegin 1 redacted\n"
           "sig 1 data\nend 1\nbegin 2 reasoning\nsig 2 only\nend 2\nfinish end\nover\n",
           "start\n0 reasoning {\n0 \"sum\"\n0 }\nfinish end\nend\n");
}

static void opaque_blocks_of_others_are_left_out(void **state) {
    (void)state;
    struct translation t = pair(&test_chat, &test_messages, &anthropic);
    const char *script = "start\nbegin 0 opaque\nopaque 0 {\"d\":1}\nend 0\nbegin 1 text\n"
                         "delta 1 a\nopaque 1 {\"d\":2}\nend 1\nfinish end\nover\n";
    expect(&t, script, "start\n0 text {\n0 \"a\"\n0 }\nfinish end\nend\n");
    t.to = &test_chat;
    expect(&t, script,
           "start\n0 opaque {\n0 opaque {\"d\":1}\n0 }\n1 text {\n1 \"a\"\n1 opaque {\"d\":2}\n"
           "1 }\nfinish end\nend\n");
}

/* ---- limits ---- */

static void what_waits_is_bounded(void **state) {
    (void)state;
    struct translation t = pair(&test_messages, &test_chat, &plain);
    struct shown out;
    struct err e = {0};
    const char *script = "start\nbegin 0 tool_call a f\nbegin 1 text\ndelta 1 0123456789\n"
                         "delta 1 0123456789\ndelta 1 0123456789\ndelta 1 0123456789\n"
                         "delta 1 0123456789\ndelta 1 0123456789\ndelta 1 0123456789\n"
                         "end 1\nend 0\nfinish tool\nover\n";
    int got_through = 0, refused = 0;
    for (size_t limit = 0; limit < 400; limit++) {
        int rc = script_run(&t, script, 0, limit, &out, &e);
        assert_true(rc == 0 || rc == -ERR_LIMIT);
        if (rc == 0) got_through++;
        else refused++, assert_int_equal(got_through, 0);
        shown_dispose(&out);
    }
    assert_true(got_through > 100 && refused > 70);
}

static void too_many_blocks(void **state) {
    (void)state;
    struct translation t = pair(&test_chat, &test_responses, &openai);
    struct shown out = {0};
    struct event_sink sink = {shown_event, &out};
    struct err e = {0};
    buf_init(&out.out, TEST_BYTES);
    buf_init(&out.text, TEST_BYTES);
    struct shaper *s = shaper_new(&t, HELD);
    int rc = 0;
    unsigned n = 0;
    for (; rc == 0 && n < 5000; n++) {
        struct event ev = {.kind = EV_BLOCK_BEGIN, .block = n, .block_kind = BLOCK_TOOL_CALL};
        ev.u.begin.name = SLICE("f");
        rc = shaper_event(s, &ev, &sink, &e);
    }
    assert_int_equal(rc, -ERR_PROTOCOL);
    assert_int_equal(n, 129); /* what a chat client takes */
    shaper_free(s);
    t.from = &test_responses;
    t.to = &test_chat;
    s = shaper_new(&t, HELD);
    for (rc = 0, n = 0; rc == 0 && n < 5000; n++) {
        struct event ev = {.kind = EV_BLOCK_BEGIN, .block = n, .block_kind = BLOCK_TEXT};
        rc = shaper_event(s, &ev, &sink, &e);
    }
    assert_int_equal(rc, -ERR_PROTOCOL);
    assert_int_equal(n, 1025);
    /* and it stays so */
    struct event ping = {.kind = EV_PING};
    assert_int_equal(shaper_event(s, &ping, &sink, &e), -ERR_PROTOCOL);
    shaper_free(s);
    shown_dispose(&out);
}

static int refuse_delta(void *self, const struct event *ev) {
    (void)self;
    return ev->kind == EV_DELTA ? 42 : 0;
}

static void the_sinks_answer_comes_back(void **state) {
    (void)state;
    struct translation t = pair(&test_messages, &test_chat, &plain);
    struct event_sink sink = {refuse_delta, NULL};
    struct shaper *s = shaper_new(&t, HELD);
    struct event begin = {.kind = EV_BLOCK_BEGIN}, delta = {.kind = EV_DELTA, .text = SLICE("a")};
    assert_int_equal(shaper_event(s, &begin, &sink, NULL), 0);
    assert_int_equal(shaper_event(s, &delta, &sink, NULL), 42);
    shaper_free(s);
}

/* ---- cost ---- */

static int count_event(void *self, const struct event *ev) {
    *(uint64_t *)self += ev->text.len;
    return 0;
}

static void give_deltas(struct shaper *s, const struct event_sink *sink, uint32_t block,
                        enum block_kind kind, struct slice text, unsigned n) {
    struct event ev = {.block = block, .block_kind = kind};
    ev.kind = EV_BLOCK_BEGIN;
    ev.u.begin.name = SLICE("f");
    assert_int_equal(shaper_event(s, &ev, sink, NULL), 0);
    for (unsigned i = 0; i < n; i++) {
        ev = (struct event){.kind = EV_DELTA,
                            .block = block,
                            .block_kind = kind,
                            .block_off = i * text.len,
                            .text = text};
        assert_int_equal(shaper_event(s, &ev, sink, NULL), 0);
    }
    ev = (struct event){.kind = EV_BLOCK_END, .block = block, .block_kind = kind};
    assert_int_equal(shaper_event(s, &ev, sink, NULL), 0);
}

static void no_allocation_in_steady_state(void **state) {
    (void)state;
    static const struct dialect *const clients[] = {&test_chat, &test_responses, &test_messages};
    struct slice stops[] = {SLICE("ST"), SLICE("\nx")};
    for (size_t i = 0; i < 3; i++) {
        struct translation t = pair(clients[i], &test_chat, &plain);
        static const struct dialect other = {.name = "other"};
        t.to = &other;
        t.stops = stops;
        t.n_stops = 2;
        uint64_t bytes = 0;
        struct event_sink sink = {count_event, &bytes};
        struct shaper *s = shaper_new(&t, HELD);
        uint64_t warm = 0;
        for (uint32_t round = 0; round < 6; round++) {
            if (round == 2) warm = mem_alloc_count();
            give_deltas(s, &sink, round * 3, BLOCK_TEXT, SLICE("some S text S"), 100);
            give_deltas(s, &sink, round * 3 + 1, BLOCK_TOOL_CALL, SLICE("{\"a\":"), 100);
            give_deltas(s, &sink, round * 3 + 2, BLOCK_REASONING, SLICE("thought"), 100);
        }
        assert_int_equal(mem_alloc_count(), warm);
        assert_int_equal(bytes, 6 * 100 * (13 + 5 + 7));
        shaper_free(s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_in_order_pass),
        cmocka_unit_test(blocks_without_content_are_left_out),
        cmocka_unit_test(recaps_are_left_out),
        cmocka_unit_test(interleaved_calls_are_put_in_order),
        cmocka_unit_test(interleaved_calls_pass_to_chat),
        cmocka_unit_test(text_waits_behind_an_open_call),
        cmocka_unit_test(a_complete_call_lets_others_go_on),
        cmocka_unit_test(blanks_between_calls_are_no_text),
        cmocka_unit_test(items_of_responses_that_interleave),
        cmocka_unit_test(a_finish_gives_all_that_waits),
        cmocka_unit_test(marks_wait_with_their_block),
        cmocka_unit_test(arguments_are_trimmed),
        cmocka_unit_test(arguments_that_are_no_object_become_one),
        cmocka_unit_test(arguments_told_at_once),
        cmocka_unit_test(late_arguments),
        cmocka_unit_test(a_call_needs_a_name),
        cmocka_unit_test(names_and_ids_are_restored),
        cmocka_unit_test(missing_ids_are_made),
        cmocka_unit_test(a_client_of_functions_gets_a_function_call),
        cmocka_unit_test(functions_that_stand_for_custom_tools),
        cmocka_unit_test(custom_calls_to_those_who_have_none),
        cmocka_unit_test(the_hidden_tool_is_the_text),
        cmocka_unit_test(reasons_follow_what_was_shown),
        cmocka_unit_test(refusals),
        cmocka_unit_test(errors),
        cmocka_unit_test(choices),
        cmocka_unit_test(stops_end_the_answer),
        cmocka_unit_test(a_stop_inside_another),
        cmocka_unit_test(a_stop_ends_what_else_is_open),
        cmocka_unit_test(nothing_is_held_without_need),
        cmocka_unit_test(foreign_proofs_are_wrapped),
        cmocka_unit_test(proofs_of_the_clients_own_family_pass),
        cmocka_unit_test(proofs_of_no_family_are_left_out),
        cmocka_unit_test(opaque_blocks_of_others_are_left_out),
        cmocka_unit_test(what_waits_is_bounded),
        cmocka_unit_test(too_many_blocks),
        cmocka_unit_test(the_sinks_answer_comes_back),
        cmocka_unit_test(no_allocation_in_steady_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
