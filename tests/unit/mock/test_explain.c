/* SPDX-License-Identifier: Apache-2.0 */
/* `penstock mock --explain`. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "mock/explain.h"

static char folder[64], scenarios[128], request[128];
static char *told, *complained;

static void put(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    fclose(f);
}

static int open_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/penstock-explain-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(scenarios, sizeof scenarios, "%s/s.yaml", folder);
    snprintf(request, sizeof request, "%s/r.json", folder);
    put(scenarios, "- {name: a, respond: x, match: {dialect: messages, user: hi}}\n"
                   "- {name: b, respond: x, match: {header: {x-team: blue}}}\n"
                   "- {name: c, respond: x, match: {dialect: [responses, completions]}}\n");
    told = complained = NULL;
    return 0;
}

static int close_folder(void **state) {
    (void)state;
    free(told);
    free(complained);
    (void)unlink(scenarios);
    (void)unlink(request);
    return rmdir(folder);
}

static int explain(const char *body, const char *path, const char *header, bool json) {
    const char *const files[] = {scenarios};
    const struct mock_explain x = {.request = request, .path = path, .headers = &header,
                                   .n_headers = header != NULL, .scenarios = files,
                                   .n_scenarios = 1, .json = json};
    size_t n, m;
    free(told);
    free(complained);
    if (body) {
        put(request, body);
    }
    FILE *out = open_memstream(&told, &n), *errors = open_memstream(&complained, &m);
    int code = mock_explain(&x, out, errors);
    fclose(out);
    fclose(errors);
    return code;
}

static void assert_has(const char *text, const char *part) {
    if (!strstr(text, part)) {
        fail_msg("no %s in %s", part, text);
    }
}

static const char plain[] = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";

static void test_a_match(void **state) {
    (void)state;
    assert_int_equal(explain("{\"model\":\"m\",\"max_tokens\":5,\"system\":\"s\",\"messages\":"
                             "[{\"role\":\"user\",\"content\":\"hi\"}]}", NULL, NULL, false), 0);
    assert_has(told, "matched: a (");
    assert_has(told, "not reached: 2 behind it\n");
    assert_int_equal(explain(plain, NULL, "x-team: blue", false), 0);
    assert_has(told, "matched: b (");
    assert_has(told, "a (");
    assert_int_equal(explain("{\"model\":\"m\",\"input\":\"hi\"}", NULL, NULL, false), 0);
    assert_has(told, "request: responses,");
    assert_int_equal(explain("{\"model\":\"m\",\"prompt\":\"hi\"}", NULL, NULL, true), 0);
    assert_has(told, "{\"matched\":\"c\"");
    assert_string_equal(complained, "");
}

/* Of whatever the scenario may answer. */
static void test_what_has_no_place(void **state) {
    (void)state;
    put(scenarios, "- name: a\n"
                   "  respond:\n"
                   "    choices:\n"
                   "      - {thinking: hm, text: x}\n"
                   "      - {tool_calls: [{name: f, arguments: {}}], redacted: true}\n");
    assert_int_equal(explain("{\"model\":\"m\",\"prompt\":\"hi\"}", NULL, NULL, false), 0);
    assert_has(told, "left out: thinking, redacted, tool_calls, which completions has no place for\n");
    assert_int_equal(explain("{\"model\":\"m\",\"prompt\":\"hi\"}", NULL, NULL, true), 0);
    assert_has(told, "\"left_out\":[\"thinking\",\"redacted\",\"tool_calls\"],");
    assert_int_equal(explain(plain, NULL, NULL, false), 0);
    assert_null(strstr(told, "left out"));
    assert_int_equal(explain(plain, NULL, NULL, true), 0);
    assert_has(told, "\"left_out\":[],");
}

static void test_no_match(void **state) {
    (void)state;
    assert_int_equal(explain(plain, NULL, NULL, false), 1);
    assert_has(told, "nothing matched: the generator answers\nnearest: a (");
    assert_has(told, ", 1 of 2 conditions hold\n  dialect (line 1, column 33): wanted messages, "
                     "got chat\n");
}

static void test_what_is_broken(void **state) {
    (void)state;
    assert_int_equal(explain("{\"model\":", NULL, NULL, false), 2);
    assert_has(complained, "r.json: ");
    assert_int_equal(explain("{\"model\":5}", NULL, NULL, false), 2);
    assert_has(complained, "model");
    assert_int_equal(explain(plain, "/v1/models", NULL, false), 2);
    assert_has(complained, "no API is called at /v1/models");
    assert_int_equal(explain(plain, NULL, "no colon", false), 2);
    assert_has(complained, "'name: value'");
    put(scenarios, "- {name: a, respnd: x}");
    assert_int_equal(explain(plain, NULL, NULL, false), 2);
    assert_has(complained, "did you mean respond?");
    put(scenarios, "[]");
    (void)unlink(request);
    assert_int_equal(explain(NULL, NULL, NULL, false), 2);
    assert_has(complained, "No such file");
}

int main(void) {
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, open_folder, close_folder)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_a_match),
        IN_FOLDER(test_what_has_no_place),
        IN_FOLDER(test_no_match),
        IN_FOLDER(test_what_is_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
