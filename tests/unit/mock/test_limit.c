/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "mock/limit.h"

#define MINUTE (60 * NS_PER_S)

struct world {
    struct limits *limits;
    struct mock_options o;
    struct limit_view view;
    int64_t wait_ns;
};

static int open_world(void **state) {
    static struct world w;
    w = (struct world){.limits = limits_new()};
    mock_options_default(&w.o);
    *state = &w;
    return 0;
}

static int close_world(void **state) {
    struct world *w = *state;
    limits_free(&w->limits);
    return 0;
}

static enum limit_verdict take(struct world *w, const char *key, uint64_t tokens, int64_t now_ns) {
    return limits_take(w->limits, &w->o, slice_cstr(key), tokens, now_ns, &w->view, &w->wait_ns);
}

static void test_no_limit_counts_nothing(void **state) {
    struct world *w = *state;
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(take(w, "k", 1000000, 0), LIMIT_OK);
    }
    assert_int_equal(w->view.requests.limit, 0);
    assert_int_equal(w->view.tokens.limit, 0);
}

static void test_requests_run_out_and_come_back(void **state) {
    struct world *w = *state;
    w->o.rpm = 60;
    for (unsigned i = 0; i < 60; i++) {
        assert_int_equal(take(w, "k", 0, 5), LIMIT_OK);
        assert_int_equal(w->view.requests.remaining, 59 - i);
    }
    assert_int_equal(take(w, "k", 0, 5), LIMIT_REQUESTS);
    /* one a second comes back */
    assert_in_range(w->wait_ns, NS_PER_S - 10, NS_PER_S + 10);
    assert_int_equal(w->view.requests.remaining, 0);
    assert_int_equal(w->view.requests.reset_ns, MINUTE);
    assert_int_equal(take(w, "k", 0, 5 + NS_PER_S - NS_PER_MS), LIMIT_REQUESTS);
    assert_int_equal(take(w, "k", 0, 5 + NS_PER_S + NS_PER_MS), LIMIT_OK);
    assert_int_equal(take(w, "k", 0, 5 + NS_PER_S + 2 * NS_PER_MS), LIMIT_REQUESTS);
    /* what was refused took nothing */
    assert_int_equal(take(w, "k", 0, 5 + NS_PER_S + 2 * MINUTE), LIMIT_OK);
    assert_int_equal(w->view.requests.remaining, 59);
}

static void test_keys_are_apart(void **state) {
    struct world *w = *state;
    w->o.rpm = 1;
    assert_int_equal(take(w, "a", 0, 0), LIMIT_OK);
    assert_int_equal(take(w, "a", 0, 0), LIMIT_REQUESTS);
    assert_int_equal(take(w, "b", 0, 0), LIMIT_OK);
    assert_int_equal(take(w, "", 0, 0), LIMIT_OK);
    assert_int_equal(take(w, "", 0, 0), LIMIT_REQUESTS);
}

static void test_tokens_of_answers_are_owed(void **state) {
    struct world *w = *state;
    w->o.tpm = 600;
    assert_int_equal(take(w, "k", 100, 0), LIMIT_OK);
    assert_int_equal(w->view.tokens.remaining, 500);
    limits_charge(w->limits, limits_key_id(SLICE("k")), 700);    /* more than there is */
    assert_int_equal(take(w, "k", 1, 0), LIMIT_TOKENS);
    assert_int_equal(w->view.tokens.remaining, 0);
    /* 800 taken, 10 come back a second: room for one after 201 / 10 s */
    assert_in_range(w->wait_ns, 201 * NS_PER_S / 10 - 10, 201 * NS_PER_S / 10 + 10);
    assert_int_equal(take(w, "k", 1, 20 * NS_PER_S), LIMIT_TOKENS);
    assert_int_equal(take(w, "k", 1, 21 * NS_PER_S), LIMIT_OK);
    limits_charge(w->limits, limits_key_id(SLICE("nobody")), 700);
}

static void test_a_prompt_over_the_limit_needs_all_of_it(void **state) {
    struct world *w = *state;
    w->o.tpm = 100;
    assert_int_equal(take(w, "k", 5000, 0), LIMIT_OK);           /* full: it may */
    assert_int_equal(take(w, "k", 1, 0), LIMIT_TOKENS);
}

static void test_keys_have_limits_of_their_own(void **state) {
    struct world *w = *state;
    struct arena *a = arena_new();
    struct err e;
    w->o.rpm = 1;
    assert_int_equal(mock_key_parse(SLICE("sk-big,rpm=3,tpm=50"), &w->o, a, &e), 0);
    assert_int_equal(mock_key_parse(SLICE("sk-tier,tier=tier1"), &w->o, a, &e), 0);
    assert_int_equal(mock_key_parse(SLICE("sk-plain"), &w->o, a, &e), 0);
    assert_int_equal(w->o.n_keys, 3);
    assert_int_equal(w->o.keys[1].rpm, 500);
    assert_ptr_equal(mock_key_find(&w->o, SLICE("sk-plain")), &w->o.keys[2]);
    assert_null(mock_key_find(&w->o, SLICE("sk-plai")));
    assert_null(mock_key_find(&w->o, SLICE("sk-plain2")));
    assert_null(mock_key_find(&w->o, SLICE("")));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(take(w, "sk-big", 1, 0), LIMIT_OK);
    }
    assert_int_equal(take(w, "sk-big", 1, 0), LIMIT_REQUESTS);
    assert_int_equal(take(w, "sk-plain", 1, 0), LIMIT_OK);
    assert_int_equal(take(w, "sk-plain", 1, 0), LIMIT_REQUESTS);
    arena_free(a);
}

static void test_wrong_keys_are_named(void **state) {
    static const char *const wrong[] = {"", ",rpm=3", "k,rpm=", "k,rpm=x", "k,tier=gold", "k,what=3"};
    struct world *w = *state;
    struct arena *a = arena_new();
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct err e = {0};
        assert_true(mock_key_parse(slice_cstr(wrong[i]), &w->o, a, &e) < 0);
        assert_true(e.text[0] != '\0');
    }
    assert_int_equal(w->o.n_keys, 0);
    arena_free(a);
}

static void test_made_up_keys_do_not_fill_memory(void **state) {
    struct world *w = *state;
    w->o.rpm = 1;
    for (unsigned i = 0; i < 200000; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%u", i);
        assert_int_equal(take(w, key, 0, 0), LIMIT_OK);
    }
}

int main(void) {
#define CASE(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)
    const struct CMUnitTest tests[] = {
        CASE(test_no_limit_counts_nothing),
        CASE(test_requests_run_out_and_come_back),
        CASE(test_keys_are_apart),
        CASE(test_tokens_of_answers_are_owed),
        CASE(test_a_prompt_over_the_limit_needs_all_of_it),
        CASE(test_keys_have_limits_of_their_own),
        CASE(test_wrong_keys_are_named),
        CASE(test_made_up_keys_do_not_fill_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
