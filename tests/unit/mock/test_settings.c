/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "mock/settings.h"

static struct arena *arena;
static struct buf report, out;

static int set_up(void **state) {
    (void)state;
    arena = arena_new();
    buf_init(&report, 64 << 10);
    buf_init(&out, 64 << 10);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    arena_free(arena);
    buf_dispose(&report);
    buf_dispose(&out);
    return 0;
}

static bool said(const char *text) {
    return buf_append_byte(&report, '\0') == 0 && strstr(report.ptr, text) != NULL;
}

static int read_text(const char *text, bool use_fixed, struct mock_options *o) {
    mock_options_default(o);
    return mock_settings_read(slice_cstr(text), "test", use_fixed, o, arena, &report);
}

static void test_rows_are_sound(void **state) {
    (void)state;
    for (unsigned i = 0; i < mock_n_settings; i++) {
        const struct mock_setting *row = &mock_settings[i];
        assert_ptr_equal(mock_setting_find(slice_cstr(row->name)), row);
        assert_non_null(row->description);
        assert_true((row->type == MOCK_SET_BOOL) == (row->argument == NULL));
        assert_true((row->type == MOCK_SET_CHOICE) == (row->choices != NULL));
        assert_true(row->type != MOCK_SET_OWN || row->parse);
        assert_true((row->type == MOCK_SET_TEXTS) == (row->count_offset != 0));
        for (unsigned k = 0; k < i; k++) {
            assert_true(row->letter == 0 || mock_settings[k].letter != row->letter);
        }
    }
}

/* What the table calls the default is what a mock without settings does. */
static void test_defaults_are_what_the_table_says(void **state) {
    (void)state;
    const struct law_scope scope = {.arena = arena};
    for (unsigned i = 0; i < mock_n_settings; i++) {
        const struct mock_setting *row = &mock_settings[i];
        struct mock_options fresh, set;
        struct err e;
        bool is_kept_elsewhere = row->type == MOCK_SET_TEXTS || row->type == MOCK_SET_OWN;
        if (!row->default_text || is_kept_elsewhere) {
            continue;
        }
        mock_options_default(&fresh);
        mock_options_default(&set);
        assert_int_equal(mock_setting_store(row, slice_cstr(row->default_text), &set, &scope, &e),
                         0);
        assert_true(mock_setting_is_given(row, &set));
        if (row->type == MOCK_SET_TEXT) {
            const char *was, *is;
            memcpy(&was, (char *)&fresh + row->offset, sizeof was);
            memcpy(&is, (char *)&set + row->offset, sizeof is);
            assert_string_equal(was, is);
        } else {
            assert_memory_equal((char *)&fresh + row->offset, (char *)&set + row->offset,
                                row->size);
        }
    }
}

static void test_dashes_and_underscores_are_alike(void **state) {
    (void)state;
    assert_non_null(mock_setting_find(SLICE("tls-cert")));
    assert_ptr_equal(mock_setting_find(SLICE("tls-cert")), mock_setting_find(SLICE("tls_cert")));
    assert_null(mock_setting_find(SLICE("tls")));
    assert_null(mock_setting_find(SLICE("tls_cert_")));
}

static void test_yaml_and_json(void **state) {
    (void)state;
    struct mock_options o;
    assert_int_equal(read_text("itl: 5ms\ntokens: 7\nstrict: yes\nmodel: [a, b]\n", false, &o), 0);
    assert_int_equal(o.itl.mean_ns, 5 * NS_PER_MS);
    assert_int_equal(o.ttft.mean_ns, 200 * NS_PER_MS);
    assert_int_equal(o.tokens, 7);
    assert_true(o.strict);
    assert_int_equal(o.n_models, 2);
    assert_string_equal(o.models[1], "b");
    assert_int_equal(read_text("{\"itl\":\"1ms\",\"text\":\"hi\",\"rpm\":3}", false, &o), 0);
    assert_string_equal(o.text, "hi");
    assert_int_equal(o.rpm, 3);
}

static void test_a_list_is_replaced_and_null_resets(void **state) {
    (void)state;
    struct mock_options o;
    assert_int_equal(read_text("model: [a, b]\ntext: x\nkey: [k1, k2]\n", false, &o), 0);
    assert_int_equal(mock_settings_read(SLICE("model: c\ntext: null\nkey: []\n"), "t", false, &o, arena,
                                        &report), 0);
    assert_int_equal(o.n_models, 1);
    assert_string_equal(o.models[0], "c");
    assert_null(o.text);
    assert_int_equal(o.n_keys, 0);
}

/* They are copied to grow. */
static void test_lists_are_bounded(void **state) {
    static const char *const names[] = {"model", "key"};
    (void)state;
    for (unsigned k = 0; k < 2; k++) {
        struct mock_options o;
        struct buf text;
        buf_init(&text, 1 << 16);
        assert_int_equal(buf_appendf(&text, "%s: [a", names[k]), 0);
        for (unsigned i = 0; i < 2000; i++) {
            assert_int_equal(buf_append(&text, SLICE(",a")), 0);
        }
        assert_int_equal(buf_append(&text, SLICE("]\n")), 0);
        assert_true(mock_settings_read(buf_slice(&text), "t", false, &o, arena, &report) < 0);
        assert_non_null(memmem(report.ptr, report.len, "more than 2000", 14));
        buf_dispose(&text);
    }
}

static void test_every_fault_is_told_with_its_place(void **state) {
    (void)state;
    struct mock_options o;
    assert_true(read_text("itl: soon\ntoken: 3\nlisten: x\nclock: virtual\ntokens: {a: 1}\n", false,
                          &o) < 0);
    assert_true(said("test:1:6: itl:"));
    assert_true(said("test:2:1: token: unknown setting; did you mean tokens?"));
    assert_true(said("test:3:1: listen: cannot change while the mock is running"));
    assert_true(said("test:4:1: clock: cannot change"));
    assert_true(said("test:5:9: tokens: expected a value, got a map"));
}

static void test_no_files_by_the_network(void **state) {
    (void)state;
    struct mock_options o;
    assert_true(read_text("itl: empirical(/etc/passwd)\n", false, &o) < 0);
}

static void test_providers(void **state) {
    (void)state;
    struct mock_options base, list[MOCK_MAX_PROVIDERS];
    unsigned n;
    mock_options_default(&base);
    assert_int_equal(mock_config_read(SLICE("itl: 5ms\nworkers: 2\n"
                                            "providers:\n"
                                            "  one: {listen: '127.0.0.1:1', itl: 9ms}\n"
                                            "  two: {listen: ['127.0.0.1:2', 'unix:/x']}\n"),
                                      "f", &base, list, &n, arena, &report), 0);
    assert_int_equal(n, 2);
    assert_string_equal(list[0].name, "one");
    assert_int_equal(list[0].itl.mean_ns, 9 * NS_PER_MS);
    assert_int_equal(list[0].workers, 2);
    assert_string_equal(list[1].name, "two");
    assert_int_equal(list[1].itl.mean_ns, 5 * NS_PER_MS);
    assert_int_equal(list[1].n_listen, 2);
    assert_true(mock_config_read(SLICE("providers: {a: {workers: 3}}\n"), "f", &base, list, &n, arena,
                                 &report) < 0);
    assert_true(said("f:1:17: workers: is for all providers"));
    assert_int_equal(mock_config_read(SLICE(""), "f", &base, list, &n, arena, &report), 0);
    assert_int_equal(n, 1);
}

static void test_a_copy_stands_alone(void **state) {
    (void)state;
    struct mock_options o, copy;
    assert_int_equal(read_text("model: [a]\ntext: hello\nkey: ['k,rpm=2']\nttft: 'normal(50ms, 5ms)'\n",
                               false, &o), 0);
    struct arena *a = arena_new();
    mock_options_copy(&copy, &o, a);
    arena_free(arena);
    arena = a;
    assert_string_equal(copy.models[0], "a");
    assert_string_equal(copy.text, "hello");
    assert_string_equal(copy.keys[0].key, "k");
    assert_int_equal(copy.keys[0].rpm, 2);
    assert_int_equal(law_quantile_ns(&copy.ttft, 0.5), 50 * NS_PER_MS);
}

static void test_written_without_secrets(void **state) {
    (void)state;
    struct mock_options o;
    assert_int_equal(read_text("key: [sk-secret]\ntext: hello\nitl: 7ms\n", false, &o), 0);
    assert_int_equal(mock_settings_write(&o, &out), 0);
    assert_int_equal(buf_append_byte(&out, '\0'), 0);
    assert_null(strstr(out.ptr, "sk-secret"));
    assert_non_null(strstr(out.ptr, "\"text\":\"hello\""));
    assert_non_null(strstr(out.ptr, "\"itl\":\"7ms\""));
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_rows_are_sound),
        CASE(test_defaults_are_what_the_table_says),
        CASE(test_dashes_and_underscores_are_alike),
        CASE(test_yaml_and_json),
        CASE(test_lists_are_bounded),
        CASE(test_a_list_is_replaced_and_null_resets),
        CASE(test_every_fault_is_told_with_its_place),
        CASE(test_no_files_by_the_network),
        CASE(test_providers),
        CASE(test_a_copy_stands_alone),
        CASE(test_written_without_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
