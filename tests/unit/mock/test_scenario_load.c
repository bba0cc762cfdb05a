/* SPDX-License-Identifier: Apache-2.0 */
/* Scenario files: what is read, and what is said of faults, with their places. */
#include "scenario_world.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "docs_page.h"
#include "mock/scenario_schema.h"

/* ---- faults ---- */

static char *faults_of(struct slice text, unsigned *out_n) {
    struct report r;
    report_init(&r);
    struct scenario_set *set = scenario_set_parse(text, "t.yaml", &r);
    assert_true((set == NULL) == (r.n_faults > 0));
    scenario_set_unref(&set);
    *out_n = r.n_faults;
    char *told = mem_dup_cstr(buf_slice(&r.faults));
    report_dispose(&r);
    return told;
}

static const struct {
    const char *text;
    unsigned n;                      /* faults */
    const char *told[4];             /* among the lines */
} broken[] = {
    {"scenarios: [{respnd: x}]", 1,
     {"t.yaml:1:14: scenarios[0].respnd: there is no such key; did you mean respond?"}},
    {"scenaros:\n  - respond: x\n", 1,
     {"t.yaml:1:1: scenaros: there is no such key; did you mean scenarios?"}},
    {"version: 1", 1, {"t.yaml:1:1: no scenarios in it"}},
    {"version: 2\nscenarios: []\n", 1, {"t.yaml:1:10: version: expected 1, got '2'"}},
    {"- respond: {text: hi, json: {a: 1}}", 1, {"either text or json"}},
    {"- respond: {error: 200}", 1,
     {"[0].respond.error: expected a whole number from 400 to 599, got '200'"}},
    {"- respond: {error: {code: x}}", 1, {"an error needs its status"}},
    {"- {respond: a, script: [b]}", 1, {"t.yaml:1:16: [0].script: either respond or script"}},
    {"- {continue: true, respond: a}", 1, {"with continue the search goes on"}},
    {"- {continue: true}", 1, {"continue alone does nothing"}},
    {"- {name: a}", 1, {"it says nothing"}},
    {"- {name: \"a b\", respond: x}", 1, {"a name has 1 to 63 letters"}},
    {"- {name: a, respond: x}\n- {name: a, respond: y}", 1,
     {"t.yaml:2:3: [1]: the name a is taken, by t.yaml:1"}},
    {"{respnd: x}", 1, {"respnd: there is no such key; did you mean respond?"}},
    {"- {respond: x, after: wrap}", 1, {"after is of a script"}},
    {"- {script: [x], after: wrapp}", 1,
     {"t.yaml:1:24: [0].after: expected one of repeat|wrap|fall_through, got 'wrapp'; did you mean "
      "wrap?"}},
    {"- {respond: x, times: 0}", 1, {"from 1 to 1000000000, got '0'"}},
    {"- {respond: x, match: {user: {regexp: a}}}", 1,
     {"[0].match.user.regexp: there is no such key; did you mean regex?"}},
    {"- {respond: x, match: {user: {ignore_case: true}}}", 1,
     {"one of contains, equals, glob and regex is wanted"}},
    {"- {respond: x, match: {user: {regex: \"a(b\"}}}", 1,
     {"t.yaml:1:38: [0].match.user: not a regular expression: missing closing parenthesis, at "
      "character 4"}},
    {"- {respond: x, match: {dialect: anthropic}}", 1,
     {"expected one of chat|completions|responses|messages, got 'anthropic'"}},
    {"- {respond: x, match: {role: [user, asistant]}}", 1, {"did you mean assistant?"}},
    {"- {respond: x, match: {turn: [1, 0]}}", 1, {"t.yaml:1:34: [0].match.turn: expected a number"}},
    {"- {respond: x, match: {call: 5-3}}", 1, {"expected a number from 1 on, a range such as 2-4"}},
    {"- {respond: x, match: {probability: 1.5}}", 1, {"from 0 to 1"}},
    {"- {respond: x, match: {probability: often}}", 1, {"from 0 to 1"}},
    {"- {respond: x, match: {stream: maybe}}", 1, {"expected true or false, got 'maybe'"}},
    {"- {respond: x, match: {any_of: {user: a}}}", 1, {"a list of 1 to 100 maps of conditions"}},
    {"- {respond: x, match: {not: {}}}", 1, {"no condition: it always holds"}},
    {"- {respond: x, match: {header: {\"a b\": x}}}", 1, {"no name for a header"}},
    {"- {respond: x, match: [user]}", 1, {"[0].match: expected a map, got a list"}},
    {"- respond: \"{{lastuser}}\"", 1,
     {"t.yaml:1:12: [0].respond.text: {{lastuser}}: there is no such name; did you mean last_user?"}},
    {"- respond: \"a {{model\"", 1, {"{{ without its }}"}},
    {"- respond: \"{{}}\"", 1, {"{{}} has nothing in it"}},
    {"- respond: \"{{random 5 1}}\"", 1, {"{{random LOW HIGH}} wants two whole numbers"}},
    {"- respond: \"{{json foo.bar}}\"", 1, {"{{json PATH}} wants a path"}},
    {"- respond: \"{{json request.a[x]}}\"", 1, {"{{json PATH}} wants a path"}},
    {"- respond: \"{{header}}\"", 1, {"it is written {{header NAME}}"}},
    {"- respond: \"{{now iso}}\"", 1, {"is followed by nothing, `unix` or `ms`"}},
    {"- respond: {json: {a: [\"{{nope}}\"]}}", 1, {"t.yaml:1:24: [0].respond.json: {{nope}}"}},
    {"- {respond: x, ttft: soon}", 1, {"t.yaml:1:22: [0].ttft: "}},
    {"- {respond: x, itl: 10ms, tps: 3}", 1, {"itl and tps say the same"}},
    {"- {respond: x, tps: 0}", 1, {"expected tokens a second"}},
    {"- {respond: x, burst: 0}", 1, {"[0].burst: '0' is no number of tokens"}},
    {"- {respond: x, burst: 4-1}", 1, {"'4-1' is no number of tokens"}},
    {"- {respond: x, fault: cutt}", 1, {"t.yaml:1:23: [0].fault: "}},
    {"- {respond: x, headers: {content-length: 5}}", 1, {"this header is the server's own"}},
    {"- {respond: x, headers: {x-a: \"b\\nc\"}}", 1, {"a header's value has no line ends"}},
    {"- respond: {tool_calls: [{arguments: {a: 1}}]}", 1, {"a call needs the name of its tool"}},
    {"- respond: {tool_calls: {name: a}}", 1, {"tool_calls: expected a list, got a map"}},
    {"- respond: {tool_calls: [{name: a, arguments: {}, chunks: [x]}]}", 1,
     {"a list of chunks stands in place of arguments"}},
    {"- respond: {tool_calls: [{name: a, input: x, arguments: {}}]}", 1,
     {"either input or arguments"}},
    {"- respond: {blocks: [{text: a}], text: b}", 1, {"blocks say everything"}},
    {"- respond: {blocks: [{text: a, refusal: b}]}", 1, {"a block is one of"}},
    {"- respond: {blocks: [{text: a}, {pause: 1s}]}", 1, {"a pause, and nothing behind it"}},
    {"- respond: {blocks: [{pause: 1s}, {pause: 1s}, {text: a}]}", 1, {"a pause behind a pause"}},
    {"- respond: {text: a, error: 500}", 1, {"either an error or an answer"}},
    {"- respond: {text: [a, b], chunks: 3}", 1, {"without chunks"}},
    {"- respond: {text: a, citations: [{title: b}]}", 1, {"a citation needs a url"}},
    {"- respond: {text: a, citations: [{url: u, start: 3}]}", 1, {"start and end go together"}},
    {"- respond: {choices: [{text: a, choices: [b]}]}", 1, {"no choices within choices"}},
    {"- respond: {choices: [{weight: 0, text: a}]}", 1, {"all weights are 0"}},
    {"- respond: {text: a, weight: 2}", 1, {"weight has a meaning in choices alone"}},
    {"- respond: {choices: []}", 1, {"choices: expected a list of 1 to 256 answers"}},
    {"- respond: {stop: stop}", 1, {"expected one of end|length|tool|filter|pause, got 'stop'"}},
    {"- respond: [a, b]", 1, {"answers one after the other to script"}},
    {"- script: []", 1, {"[0].script: expected a list of 1 to 1024 answers"}},
    {"- script: [{text: a}, {txt: b}]", 1, {"[0].script[1].txt: there is no such key"}},
    {"- 5", 1, {"expected a map, got a value"}},
    {"just words", 1, {"expected a map, got a value"}},
    {"- respond: &a x", 1, {"anchors"}},
    {"a: [", 1, {"not valid YAML"}},
    /* every fault, not only the first */
    {"scenarios:\n"
     "  - match: {modle: x, user: {regex: \"[\"}}\n"
     "    respond: {texts: a, usage: {input: many}}\n"
     "  - {name: b, respond: \"{{x}}\", ttft: never}\n",
     6,
     {"t.yaml:2:13: scenarios[0].match.modle: there is no such key; did you mean model?",
      "t.yaml:2:37: scenarios[0].match.user: not a regular expression",
      "t.yaml:3:40: scenarios[0].respond.usage.input: expected a whole number",
      "t.yaml:4:24: scenarios[1].respond.text: {{x}}"}},
};

static void test_faults_are_told_with_their_places(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        unsigned n;
        char *told = faults_of(slice_cstr(broken[i].text), &n);
        if (n != broken[i].n) {
            fail_msg("%s\n%u faults, not %u:\n%s", broken[i].text, n, broken[i].n, told);
        }
        for (size_t k = 0; k < 4 && broken[i].told[k]; k++) {
            if (!strstr(told, broken[i].told[k])) {
                fail_msg("%s\nnot told: %s\n%s", broken[i].text, broken[i].told[k], told);
            }
        }
        mem_free(told);
    }
}

/* ---- hostile files ---- */

static struct slice repeat(struct buf *b, const char *head, const char *unit, unsigned n) {
    buf_init(b, (size_t)16 << 20);
    assert_int_equal(buf_append(b, slice_cstr(head)), 0);
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(buf_append(b, slice_cstr(unit)), 0);
    }
    return buf_slice(b);
}

static void assert_refused(struct slice text, const char *why) {
    unsigned n;
    char *told = faults_of(text, &n);
    if (!strstr(told, why)) {
        fail_msg("%s: %s", why, told);
    }
    mem_free(told);
}

static void test_hostile_files_are_refused(void **state) {
    struct buf b;
    (void)state;
    assert_refused(repeat(&b, "- respond: ", "x", (4 << 20) + 1), "larger than 4 MiB");
    buf_dispose(&b);
    assert_refused(repeat(&b, "- respond: ", "x", (3 << 20)), "longer than");
    buf_dispose(&b);
    assert_refused(repeat(&b, "- respond: {json: ", "[", 40), "nested too deep");
    buf_dispose(&b);
    assert_refused(repeat(&b, "- respond: {text: [", "a,", 60000), "too many values");
    buf_dispose(&b);
    assert_refused(repeat(&b, "- respond: {text: [", "a,", 5000), "");
    buf_dispose(&b);
    assert_refused(repeat(&b, "", "- {respond: x}\n", 4097), "more than 4096 scenarios");
    buf_dispose(&b);
    assert_refused(repeat(&b, "respond: x\nmatch:\n  model: a", "*b", 2048), "longer than 4096 bytes");
    buf_dispose(&b);
    assert_refused(repeat(&b, "- {respond: x, match: {user: {regex: \"", "(a", 200), "");
    buf_dispose(&b);
    assert_refused(SLICE("- {respond: x, match: {user: {regex: \"((a{999}){999}){999}\"}}}"),
                   "not a regular expression");
}

/* ---- what is read ---- */

static void test_forms_of_a_document(void **state) {
    static const char *const same[] = {
        "scenarios:\n  - name: a\n    respond: hello\n",
        "- name: a\n  respond: {text: hello}\n",
        "name: a\nrespond: hello\n",
        "{\"scenarios\":[{\"name\":\"a\",\"respond\":\"hello\"}]}",
        "[{\"name\":\"a\",\"script\":[\"hello\"]}]",
        "{\"name\":\"a\",\"respond\":{\"blocks\":[{\"text\":\"hello\"}]}}",
    };
    struct world *w = *state;
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        world_use(w, same[i]);
        assert_int_equal(scenario_set_count(w->set), 1);
        assert_slice(scenario_set_name(w->set, 0), "a");
        assert_says(w, "x", "hello");
    }
}

static void test_json_escapes_of_other_writers(void **state) {
    struct world *w = *state;
    world_use(w, "[{\"respond\":\"\\ud83d\\ude00 \\u00fc \\\\ud83d \\/\"}]");
    assert_says(w, "x", "\xf0\x9f\x98\x80 \xc3\xbc \\ud83d /");
}

static void test_unnamed_ones_are_named_by_their_file(void **state) {
    struct world *w = *state;
    world_use(w, "- respond: x\n- {name: b, respond: x}\n- respond: x\n");
    assert_slice(scenario_set_name(w->set, 0), "t#1");
    assert_slice(scenario_set_name(w->set, 2), "t#3");
    assert_string_equal(w->set->items[2]->place, "t.yaml:3");
}

static void test_an_empty_file_is_no_fault(void **state) {
    struct report r;
    (void)state;
    report_init(&r);
    struct scenario_set *set = scenario_set_parse(SLICE("# nothing yet\n"), "t.yaml", &r);
    assert_non_null(set);
    assert_int_equal(scenario_set_count(set), 0);
    assert_true(r.warnings.len > 0);
    scenario_set_unref(&set);
    report_dispose(&r);
}

/* ---- files and folders ---- */

static void write_file(const char *folder, const char *name, const char *text) {
    char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    fclose(f);
}

static void remove_file(const char *folder, const char *name) {
    char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(unlink(path), 0);
}

static void test_folders_are_read_in_order(void **state) {
    char folder[] = "/tmp/penstock-scenarios-XXXXXX";
    struct world *w = *state;
    struct report r;
    assert_non_null(mkdtemp(folder));
    write_file(folder, "b.yaml", "- respond: second\n");
    write_file(folder, "a.yml", "- respond: first\n");
    write_file(folder, ".hidden.yaml", "not: [read");
    write_file(folder, "notes.txt", "not: [read");
    const char *path = folder;
    report_init(&r);
    w->set = scenario_set_load(&path, 1, &r);
    assert_non_null(w->set);
    assert_int_equal(scenario_set_count(w->set), 2);
    assert_slice(scenario_set_name(w->set, 0), "a#1");
    assert_slice(scenario_set_name(w->set, 1), "b#1");
    report_dispose(&r);
    remove_file(folder, "b.yaml");
    remove_file(folder, "a.yml");
    remove_file(folder, ".hidden.yaml");
    remove_file(folder, "notes.txt");
    assert_int_equal(rmdir(folder), 0);
}

static void test_files_that_are_not_there(void **state) {
    const char *const paths[] = {"/nowhere/a.yaml", "/nowhere/b"};
    struct report r;
    (void)state;
    report_init(&r);
    assert_null(scenario_set_load(paths, 2, &r));
    assert_int_equal(r.n_faults, 2);
    report_dispose(&r);
}

/* ---- the table ---- */

static const char *const wrappers[SCOPE_COUNT] = {
    [SCOPE_FILE] = "%s: %s\n",
    [SCOPE_DEFAULTS] = "defaults: {%s: %s}\nscenarios: [{respond: x}]\n",
    [SCOPE_SCENARIO] = "- %s: %s\n",
    [SCOPE_MATCH] = "- {respond: x, match: {%s: %s}}\n",
    [SCOPE_TEXT] = "- {respond: x, match: {user: {%s: %s}}}\n",
    [SCOPE_RESULT] = "- {respond: x, match: {tool_result: {%s: %s}}}\n",
    [SCOPE_RESPONSE] = "- respond: {%s: %s}\n",
    [SCOPE_BLOCK] = "- respond: {blocks: [{%s: %s}]}\n",
    [SCOPE_CALL] = "- respond: {tool_calls: [{%s: %s}]}\n",
    [SCOPE_THOUGHT] = "- respond: {thinking: {%s: %s}}\n",
    [SCOPE_CITATION] = "- respond: {text: abc, citations: [{%s: %s}]}\n",
    [SCOPE_STOP] = "- respond: {stop: {%s: %s}}\n",
    [SCOPE_USAGE] = "- respond: {usage: {%s: %s}}\n",
    [SCOPE_ERROR] = "- respond: {error: {%s: %s}}\n",
};

/* Keys that cannot stand alone, with what they need besides. */
static const struct {
    enum schema_scope scope;
    const char *name, *wrapper;
} needs[] = {
    {SCOPE_FILE, "version", "%s: %s\nscenarios: []\n"},
    {SCOPE_FILE, "defaults", "%s: %s\nscenarios: []\n"},
    {SCOPE_SCENARIO, "name", "- {%s: %s, respond: x}\n"},
    {SCOPE_SCENARIO, "about", "- {%s: %s, respond: x}\n"},
    {SCOPE_SCENARIO, "match", "- {%s: %s, respond: x}\n"},
    {SCOPE_SCENARIO, "continue", "- {%s: %s, ttft: 1s}\n"},
    {SCOPE_SCENARIO, "after", "- {%s: %s, script: [x]}\n"},
    {SCOPE_SCENARIO, "times", "- {%s: %s, respond: x}\n"},
    {SCOPE_TEXT, "ignore_case", "- {respond: x, match: {user: {%s: %s, contains: a}}}\n"},
    {SCOPE_RESPONSE, "chunks", "- respond: {text: abc, %s: %s}\n"},
    {SCOPE_RESPONSE, "citations", "- respond: {text: abc, %s: %s}\n"},
    {SCOPE_RESPONSE, "pause", "- respond: {text: abc, %s: %s}\n"},
    {SCOPE_RESPONSE, "weight", "- respond: {choices: [{text: a, %s: %s}]}\n"},
    {SCOPE_BLOCK, "signature", "- respond: {blocks: [{thinking: a, %s: %s}]}\n"},
    {SCOPE_BLOCK, "chunks", "- respond: {blocks: [{text: a, %s: %s}]}\n"},
    {SCOPE_BLOCK, "citations", "- respond: {blocks: [{text: a, %s: %s}]}\n"},
    {SCOPE_BLOCK, "pause", "- respond: {blocks: [{%s: %s}, {text: a}]}\n"},
    {SCOPE_CALL, "arguments", "- respond: {tool_calls: [{name: f, %s: %s}]}\n"},
    {SCOPE_CALL, "input", "- respond: {tool_calls: [{name: f, %s: %s}]}\n"},
    {SCOPE_CALL, "chunks", "- respond: {tool_calls: [{name: f, %s: %s}]}\n"},
    {SCOPE_CALL, "id", "- respond: {tool_calls: [{name: f, %s: %s}]}\n"},
    {SCOPE_CITATION, "title", "- respond: {text: abc, citations: [{url: u, %s: %s}]}\n"},
    {SCOPE_CITATION, "quote", "- respond: {text: abc, citations: [{url: u, %s: %s}]}\n"},
    {SCOPE_CITATION, "start", "- respond: {text: abc, citations: [{url: u, end: 1, %s: %s}]}\n"},
    {SCOPE_CITATION, "end", "- respond: {text: abc, citations: [{url: u, start: 1, %s: %s}]}\n"},
    {SCOPE_ERROR, "type", "- respond: {error: {status: 400, %s: %s}}\n"},
    {SCOPE_ERROR, "code", "- respond: {error: {status: 400, %s: %s}}\n"},
    {SCOPE_ERROR, "message", "- respond: {error: {status: 400, %s: %s}}\n"},
    {SCOPE_ERROR, "param", "- respond: {error: {status: 400, %s: %s}}\n"},
    {SCOPE_ERROR, "retry_after", "- respond: {error: {status: 400, %s: %s}}\n"},
};

static const char *wrapper_of(const struct schema_row *row) {
    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++) {
        if (needs[i].scope == row->scope && strcmp(needs[i].name, row->name) == 0) {
            return needs[i].wrapper;
        }
    }
    return wrappers[row->scope];
}

static void put_in(const char *wrapper, const char *name, const char *example, struct buf *out) {
    const char *values[] = {name, example};
    unsigned used = 0;
    for (const char *c = wrapper; *c; c++) {
        if (c[0] == '%' && c[1] == 's') {
            assert_int_equal(buf_append(out, slice_cstr(values[used++])), 0);
            c++;
        } else {
            assert_int_equal(buf_append_byte(out, *c), 0);
        }
    }
}

static void test_each_row_has_an_example_that_loads(void **state) {
    (void)state;
    for (unsigned i = 0; i < schema_n_rows; i++) {
        const struct schema_row *row = &schema_rows[i];
        struct buf text;
        assert_non_null(row->example);
        assert_true(strlen(row->description) > 5);
        assert_true(row->description[strlen(row->description) - 1] == '.');
        buf_init(&text, 4096);
        put_in(wrapper_of(row), row->name, row->example, &text);
        assert_int_equal(buf_append_byte(&text, '\0'), 0);
        struct scenario_set *set = set_of(text.ptr);
        scenario_set_unref(&set);
        buf_dispose(&text);
    }
}

static const char begin_mark[] = "<!-- reference -->\n", end_mark[] = "<!-- end of reference -->";

static void test_docs_hold_the_reference(void **state) {
    (void)state;
    struct buf page = docs_page("scenarios.md"), text;
    buf_init(&text, 1 << 20);
    assert_int_equal(scenario_docs(&text), 0);
    char *begin = strstr(page.ptr, begin_mark);
    assert_non_null(begin);
    begin += strlen(begin_mark);
    char *end = strstr(begin, end_mark);
    assert_non_null(end);
    struct slice held = slice_make(begin, (size_t)(end - begin));
    if (!slice_eq(held, buf_slice(&text))) {
        fail_msg("out of date; renew it: scripts/check-docs --renew");
    }
    buf_dispose(&page);
    buf_dispose(&text);
}

int main(void) {
#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults_are_told_with_their_places),
        cmocka_unit_test(test_hostile_files_are_refused),
        WITH_WORLD(test_forms_of_a_document),
        WITH_WORLD(test_json_escapes_of_other_writers),
        WITH_WORLD(test_unnamed_ones_are_named_by_their_file),
        cmocka_unit_test(test_an_empty_file_is_no_fault),
        WITH_WORLD(test_folders_are_read_in_order),
        cmocka_unit_test(test_files_that_are_not_there),
        cmocka_unit_test(test_each_row_has_an_example_that_loads),
        cmocka_unit_test(test_docs_hold_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
