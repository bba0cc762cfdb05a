/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles: every row can be read, and gives way to what the user says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "mock/profile.h"
#include "mock/settings.h"

#define MS INT64_C(1000000)

static struct arena *arena;

static int setup(void **state) {
    (void)state;
    arena = arena_new();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_free(arena);
    return 0;
}

static void give(struct mock_options *o, const char *name, const char *value) {
    const struct law_scope scope = {.arena = arena};
    struct err e;
    if (mock_setting_store(mock_setting_find(slice_cstr(name)), slice_cstr(value), o, &scope, &e) <
        0) {
        fail_msg("%s %s: %s", name, value, e.text);
    }
}

static void test_every_profile(void **state) {
    const struct profile *p;
    unsigned n = 0;
    (void)state;
    for (; (p = profile_at(n)) != NULL; n++) {
        struct mock_options o;
        mock_options_default(&o);
        give(&o, "profile", p->name);
        mock_profile_apply(&o, arena);
        assert_true(strlen(p->description) > 10);
        assert_true(o.itl.mean_ns >= 3 * MS && o.itl.mean_ns <= 200 * MS);
        assert_true(o.prefill.mean_ns > 0);
        assert_true(burst_mean(&o.burst) >= 1 && o.queue > 0);
        bool is_engine = o.max_batch > 0;
        assert_int_equal(is_engine, o.batch_cost_ns > 0);
        assert_true(is_engine || o.ttft.mean_ns > 200 * MS);
        for (unsigned i = 0; i < n; i++) {
            assert_string_not_equal(profile_at(i)->name, p->name);
        }
    }
    assert_true(n > 15);
}

static void test_what_is_given_wins(void **state) {
    struct mock_options o;
    (void)state;
    mock_options_default(&o);
    give(&o, "profile", "llama-3.1-8b@a100");
    give(&o, "max-batch", "3");
    give(&o, "itl", "5ms");
    mock_profile_apply(&o, arena);
    assert_int_equal(o.max_batch, 3);
    assert_true(o.itl.mean_ns == 5 * MS);
    assert_true(o.prefill.mean_ns == 100000);
    mock_profile_apply(&o, arena);                    /* again: the same */
    assert_int_equal(o.max_batch, 3);
    assert_true(o.prefill.mean_ns == 100000);
}

static void test_profiles_come_and_go(void **state) {
    struct mock_options o;
    (void)state;
    mock_options_default(&o);
    mock_profile_apply(&o, arena);
    assert_true(o.ttft.mean_ns == 200 * MS);
    o.ttft = LAW_NS(7);                               /* set by a program: no profile, no change */
    mock_profile_apply(&o, arena);
    assert_true(o.ttft.mean_ns == 7);
    give(&o, "profile", "llama-3.1-8b@a100");
    mock_profile_apply(&o, arena);
    assert_int_equal(o.max_batch, 256);
    give(&o, "profile", "claude-sonnet");
    mock_profile_apply(&o, arena);
    assert_int_equal(o.max_batch, 0);
    assert_true(burst_mean(&o.burst) == 3);
    give(&o, "profile", "");
    mock_profile_apply(&o, arena);
    assert_true(burst_mean(&o.burst) == 1);
    assert_true(o.itl.mean_ns == 20 * MS);
}

static void test_unknown_profiles(void **state) {
    const struct law_scope scope = {.arena = arena};
    struct mock_options o;
    struct err e;
    (void)state;
    mock_options_default(&o);
    const struct mock_setting *row = mock_setting_find(SLICE("profile"));
    assert_int_equal(mock_setting_store(row, SLICE("gpt-4oo"), &o, &scope, &e), -ERR_USAGE);
    assert_non_null(strstr(e.text, "did you mean gpt-4o?"));
    assert_int_equal(mock_setting_store(row, SLICE("a model of the far future"), &o, &scope, &e), -ERR_USAGE);
    assert_non_null(strstr(e.text, "--list-profiles"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_profile),
        cmocka_unit_test(test_what_is_given_wins),
        cmocka_unit_test(test_profiles_come_and_go),
        cmocka_unit_test(test_unknown_profiles),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
