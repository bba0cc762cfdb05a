/* SPDX-License-Identifier: Apache-2.0 */
/* Walks the table: what a row promises must be true of it. */
#include "config_test.h"
#include "docs_page.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_number(const struct setting *row) {
    return row->type >= SET_INT && row->type <= SET_DURATION;
}

static void test_rows_are_documented(void **state) {
    (void)state;
    for (unsigned i = 0; i < n_settings; i++) {
        const struct setting *row = &settings[i];
        assert_non_null(row->name);
        if (!row->description || strlen(row->description) < 12) {
            fail_msg("%s has no description", row->name);
        }
        if (row->description[strlen(row->description) - 1] != '.') {
            fail_msg("%s: the description is not a whole sentence", row->name);
        }
        if (row->type == SET_INT && !row->unit) fail_msg("%s has no unit", row->name);
        if (row->type != SET_INT && row->unit) fail_msg("%s: its type is its unit", row->name);
        if (is_number(row) && !row->max) fail_msg("%s has no upper bound", row->name);
        if (row->type == SET_ENUM && !row->choices) fail_msg("%s has no choices", row->name);
        for (unsigned k = 0; k < i; k++) assert_string_not_equal(row->name, settings[k].name);
    }
}

static void test_numbers_have_defaults(void **state) {
    (void)state;
    for (unsigned i = 0; i < n_settings; i++) {
        const struct setting *row = &settings[i];
        bool needs = is_number(row) || row->type == SET_BOOL || row->type == SET_ENUM;
        if (setting_is_below(row, SLICE("providers.*.quirks"))) needs = false; /* the preset's */
        if (needs && !row->default_text) fail_msg("%s has no default", row->name);
    }
}

static void test_names_flags_and_variables_agree(void **state) {
    (void)state;
    for (unsigned i = 0; i < n_settings; i++) {
        const struct setting *row = &settings[i];
        if (row->env || row->flag) assert_null(strchr(row->name, '*'));
        char env[128] = "PENSTOCK_", flag[128] = "--";
        for (size_t c = 0; c <= strlen(row->name); c++) {
            char upper = (char)toupper((unsigned char)row->name[c]);
            env[9 + c] = upper == '.' ? '_' : upper;
            flag[2 + c] = row->name[c] == '.' || row->name[c] == '_' ? '-' : row->name[c];
        }
        if (row->env) assert_string_equal(row->env, env);
        if (row->flag) assert_string_equal(row->flag, flag);
        bool is_top = !strchr(row->name, '*') && row->size > 0;
        if (is_top && !row->env) fail_msg("%s has no environment variable", row->name);
    }
}

static void test_reserved_rows_have_no_field(void **state) {
    (void)state;
    for (unsigned i = 0; i < n_settings; i++) {
        bool is_built = settings[i].type >= SET_LISTEN;
        assert_int_equal(settings[i].size == 0, is_built);
    }
}

/* A value of every top-level row through every source, and out again. */
static void check_round_trip(const struct setting *row, const char *value) {
    struct config_override flag = {row->name, value};
    struct test_load l = test_load_with((struct config_sources){.flags = &flag, .n_flags = 1},
                                        TEST_SERVED);
    if (!l.config) fail_msg("%s=%s: %s", row->name, value, l.report.ptr);
    struct buf shown, again;
    buf_init(&shown, 1 << 20);
    buf_init(&again, 1 << 20);
    const struct loaded *loaded = (const struct loaded *)(const void *)l.config;
    assert_int_equal(setting_print(row, loaded, &shown), 0);
    const char *vars[] = {row->env, value, NULL};
    test_env_vars = vars;
    struct test_load by_env = test_load_text(TEST_SERVED);
    test_env_vars = NULL;
    assert_non_null(by_env.config);
    loaded = (const struct loaded *)(const void *)by_env.config;
    assert_int_equal(setting_print(row, loaded, &again), 0);
    assert_true(slice_eq(buf_slice(&shown), buf_slice(&again)));
    assert_string_equal(loaded->places[setting_index(row)].source, row->env);
    buf_dispose(&shown);
    buf_dispose(&again);
    test_load_dispose(&by_env);
    test_load_dispose(&l);
}

static void test_every_top_level_row_can_be_set(void **state) {
    (void)state;
    for (unsigned i = 0; i < n_settings; i++) {
        const struct setting *row = &settings[i];
        if (strchr(row->name, '*') || row->size == 0 || strncmp(row->name, "tls", 3) == 0) continue;
        if (row->choices) check_round_trip(row, row->choices[1]);
        else if (is_number(row)) check_round_trip(row, row->max);
        else if (row->type == SET_BOOL) check_round_trip(row, "false");
        else if (strcmp(row->name, "cors.origins") == 0) check_round_trip(row, "http://a, http://b");
        else check_round_trip(row, "one,two");
    }
}

static void test_bounds_are_kept(void **state) {
    (void)state;
    for (unsigned i = 0; i < n_settings; i++) {
        const struct setting *row = &settings[i];
        if (!is_number(row) || strchr(row->name, '*')) continue;
        char above[64], expected[160];
        size_t digits = strspn(row->max, "0123456789");
        snprintf(above, sizeof above, "%llu%s", strtoull(row->max, NULL, 10) + 1, row->max + digits);
        snprintf(expected, sizeof expected, "%s: expected ", row->name);
        struct config_override flag = {row->name, above};
        struct test_load l = test_load_with((struct config_sources){.flags = &flag, .n_flags = 1},
                                            TEST_SERVED);
        assert_null(l.config);
        assert_report_has(&l, expected);
        test_load_dispose(&l);
    }
}

static void test_docs_name_every_row(void **state) {
    struct buf page;
    const struct setting_doc *docs;
    (void)state;
    buf_init(&page, 1 << 20);
    assert_int_equal(config_docs_markdown(&page), 0);
    assert_int_equal(buf_append_byte(&page, '\0'), 0);
    unsigned n = config_setting_docs(&docs);
    assert_int_equal(n, n_settings);
    for (unsigned i = 0; i < n; i++) {
        char cell[160];
        snprintf(cell, sizeof cell, "`%s`", docs[i].name);
        if (!strstr(page.ptr, cell)) fail_msg("not in docs/config.md: %s", docs[i].name);
    }
    buf_dispose(&page);
}

static void test_docs_file_is_current(void **state) {
    (void)state;
    struct buf page = docs_page("config.md"), want;
    buf_init(&want, 1 << 20);
    assert_int_equal(config_docs_markdown(&want), 0);
    assert_page_is(&page, buf_slice(&want), "penstock config docs > docs/config.md");
    buf_dispose(&want);
    buf_dispose(&page);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_documented),
        cmocka_unit_test(test_numbers_have_defaults),
        cmocka_unit_test(test_names_flags_and_variables_agree),
        cmocka_unit_test(test_reserved_rows_have_no_field),
        cmocka_unit_test(test_every_top_level_row_can_be_set),
        cmocka_unit_test(test_bounds_are_kept),
        cmocka_unit_test(test_docs_name_every_row),
        cmocka_unit_test(test_docs_file_is_current),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
