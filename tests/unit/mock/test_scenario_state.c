/* SPDX-License-Identifier: Apache-2.0 */
/* What is counted: calls, scripts, sessions, pushed answers; what continues; what is chosen. */
#include "scenario_world.h"

#include <pthread.h>

static void in_session(struct world *w, const char *name) {
    w->headers.count = 0;
    if (name) {
        world_header(w, "x-penstock-session", name);
    }
}

/* ---- calls ---- */

static void test_nth_call(void **state) {
    struct world *w = *state;
    world_use(w, "- {name: second, respond: two, match: {user: hi, call: 2}}\n"
                 "- {name: late, respond: \"late {{n}}\", match: {user: hi, call: [4, 6-]}}\n"
                 "- {name: rest, respond: rest}\n");
    assert_says(w, "hi", "rest");
    assert_says(w, "other", "rest");         /* counts for nobody's `hi` */
    assert_says(w, "hi", "two");
    assert_says(w, "hi", "rest");
    assert_says(w, "hi", "rest");            /* late's third: what second took did not come to it */
    assert_says(w, "hi", "late 4");
    assert_says(w, "hi", "rest");
    assert_says(w, "hi", "late 6");
    assert_says(w, "hi", "late 7");
    scenario_state_reset(w->state);
    assert_says(w, "hi", "rest");
    assert_says(w, "hi", "two");
}

static void test_calls_of_a_session(void **state) {
    struct world *w = *state;
    world_use(w, "- {name: a, respond: \"{{session}} {{n}}\", match: {call: 1-2}}\n");
    in_session(w, "one");
    assert_says(w, "hi", "one 1");
    in_session(w, "two");
    assert_says(w, "hi", "two 1");
    in_session(w, NULL);
    assert_says(w, "hi", " 1");
    in_session(w, "one");
    assert_says(w, "hi", "one 2");
    assert_silent(w, "hi");
    in_session(w, "two");
    assert_says(w, "hi", "two 2");
}

static void test_where_a_session_is_named(void **state) {
    struct world *w = *state;
    world_use(w, "- {name: a, respond: \"{{session}}\"}");
    world_ask(w, "/v1/chat/completions",
              "{\"model\":\"m\",\"user\":\"u1\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}");
    assert_string_equal(world_text(w), "u1");
    world_ask(w, "/v1/chat/completions",
              "{\"model\":\"m\",\"user\":\"u1\",\"metadata\":{\"session\":\"m1\"},\"messages\":"
              "[{\"role\":\"user\",\"content\":\"x\"}]}");
    assert_string_equal(world_text(w), "m1");
    in_session(w, "h1");
    world_ask(w, "/v1/messages",
              "{\"model\":\"m\",\"max_tokens\":5,\"metadata\":{\"user_id\":\"u2\"},\"messages\":"
              "[{\"role\":\"user\",\"content\":\"x\"}]}");
    assert_string_equal(world_text(w), "h1");
    in_session(w, NULL);
    world_ask(w, "/v1/messages",
              "{\"model\":\"m\",\"max_tokens\":5,\"metadata\":{\"user_id\":\"u2\"},\"messages\":"
              "[{\"role\":\"user\",\"content\":\"x\"}]}");
    assert_string_equal(world_text(w), "u2");
}

static void test_times(void **state) {
    struct world *w = *state;
    world_use(w, "- {name: a, respond: once, times: 1}\n- {name: b, respond: then}\n");
    in_session(w, "one");
    assert_says(w, "hi", "once");
    in_session(w, "two");                    /* of all sessions together */
    assert_says(w, "hi", "then");
}

/* ---- scripts ---- */

static void test_script_and_what_comes_after(void **state) {
    struct world *w = *state;
    world_use(w, "- {name: repeats, script: [a, b], match: {user: r}}\n"
                 "- {name: wraps, script: [c, d], after: wrap, match: {user: w}}\n"
                 "- {name: falls, script: [e], after: fall_through, match: {user: f}}\n"
                 "- {name: rest, respond: z}\n");
    assert_says(w, "r", "a");
    assert_says(w, "w", "c");
    assert_says(w, "f", "e");
    assert_says(w, "r", "b");
    assert_says(w, "w", "d");
    assert_says(w, "f", "z");
    assert_says(w, "r", "b");
    assert_says(w, "w", "c");
    assert_says(w, "f", "z");
}

static void test_a_session_goes_through_a_script_alone(void **state) {
    struct world *w = *state;
    world_use(w, "defaults: {after: fall_through}\nscenarios:\n- {name: s, script: [a, b]}\n");
    in_session(w, "one");
    assert_says(w, "hi", "a");
    in_session(w, "two");
    assert_says(w, "hi", "a");
    in_session(w, "one");
    assert_says(w, "hi", "b");
    assert_silent(w, "hi");
    in_session(w, "two");
    assert_says(w, "hi", "b");
}

static void test_counts_survive_a_reload(void **state) {
    struct world *w = *state;
    world_use(w, "- {name: s, script: [a, b, c]}");
    assert_says(w, "hi", "a");
    world_use(w, "- {name: new, respond: n, match: {user: n}}\n- {name: s, script: [A, B, C]}");
    assert_says(w, "hi", "B");
}

static void test_many_sessions_are_bounded(void **state) {
    struct world *w = *state;
    char session[32];
    world_use(w, "- {name: s, script: [a, b]}");
    in_session(w, "first");
    assert_says(w, "hi", "a");
    world_say(w, "hi");
    for (unsigned i = 0; i < SCENARIO_MAX_TALLIES; i++) {
        snprintf(session, sizeof session, "s%u", i);
        w->in.session = slice_cstr(session);
        struct arena *a = arena_new();
        assert_true(scenario_find(w->set, w->state, &w->in, a, &w->script));
        arena_free(a);
    }
    assert_says(w, "hi", "a");               /* forgotten: the longest unused go */
}

/* ---- continue ---- */

static void test_terms_of_those_that_continue(void **state) {
    struct world *w = *state;
    world_use(w, "- {name: slow, continue: true, ttft: 2s, tps: 10, headers: {x-a: \"{{model}}\"}}\n"
                 "- {name: faulty, continue: true, match: {user: f}, fault: cut, burst: 3}\n"
                 "- {name: says, match: {user: s}, respond: {text: hi, ttft: 1s}}\n");
    assert_says(w, "s", "hi");
    assert_slice(w->script.scenario, "says");
    assert_int_equal(w->script.ttft.mean_ns, 1000000000);
    assert_true(w->script.tps > 9.9 && w->script.tps < 10.1);
    assert_int_equal(w->script.n_headers, 1);
    assert_slice(w->script.headers[1], "m");
    assert_int_equal(w->script.fault.len, 0);

    assert_says(w, "f", "");                 /* the generator speaks, on these terms */
    assert_int_equal(w->script.n_blocks, 0);
    assert_int_equal(w->script.status, 0);
    assert_slice(w->script.scenario, "faulty");
    assert_slice(w->script.place, "t.yaml:2");
    assert_slice(w->script.fault, "cut");
    assert_true(burst_mean(&w->script.burst) == 3);
    assert_int_equal(w->script.ttft.mean_ns, 2000000000);
}

static void test_a_scenario_may_leave_the_words_to_the_generator(void **state) {
    struct world *w = *state;
    world_use(w, "- {name: a, ttft: 5ms}\n- {name: b, respond: never}\n");
    assert_says(w, "hi", "");
    assert_true(w->script.has_ttft);
    assert_slice(w->script.scenario, "a");
}

static void test_inner_terms_win(void **state) {
    struct world *w = *state;
    world_use(w, "defaults: {itl: 1ms, burst: 2, headers: {x-a: d}}\n"
                 "scenarios:\n"
                 "- {name: a, itl: 2ms, match: {user: a}, respond: {itl: 3ms, choices: [{text: x, "
                 "tps: 4}, {text: y, weight: 0}]}}\n"
                 "- {name: b, itl: 2ms, match: {user: b}, respond: x}\n"
                 "- {name: c, match: {user: c}, respond: {text: x, headers: {x-b: e}}}\n");
    assert_says(w, "a", "x");
    assert_false(w->script.has_itl);
    assert_true(w->script.tps > 3.9);
    assert_true(burst_mean(&w->script.burst) == 2);
    assert_says(w, "b", "x");
    assert_int_equal(w->script.itl.mean_ns, 2000000);
    assert_slice(w->script.headers[0], "x-a");
    assert_says(w, "c", "x");
    assert_int_equal(w->script.itl.mean_ns, 1000000);
    assert_int_equal(w->script.n_headers, 1);
    assert_slice(w->script.headers[0], "x-b");
}

/* ---- choices ---- */

static void test_choices_by_their_weights(void **state) {
    struct world *w = *state;
    unsigned n[3] = {0};
    world_use(w, "- respond: {ttft: 7ms, choices: [{weight: 3, text: A}, {text: B}, {weight: 0, "
                 "text: C}]}");
    for (unsigned i = 0; i < 1000; i++) {
        const char *text = world_answer(w, "hi");
        n[text[0] - 'A']++;
        assert_int_equal(w->script.ttft.mean_ns, 7000000);
    }
    assert_int_equal(n[0], 745);             /* exactly: by the seed */
    assert_int_equal(n[1], 255);
    assert_int_equal(n[2], 0);
}

/* ---- pushed answers ---- */

static void push(struct world *w, const char *yaml, const char *session) {
    struct err e;
    struct scenario_set *set = set_of(yaml);
    assert_int_equal(scenario_push(w->state, set, slice_cstr(session), &e), 0);
    scenario_set_unref(&set);
}

static void test_pushed_answers_come_first_and_once(void **state) {
    struct world *w = *state;
    world_use(w, "- {name: file, respond: file}");
    push(w, "[{\"respond\":\"one\"},{\"respond\":\"two\"}]", NULL);
    push(w, "respond: three", NULL);
    assert_says(w, "hi", "one");
    assert_slice(w->script.place, "");
    assert_says(w, "hi", "two");
    assert_says(w, "hi", "three");
    assert_says(w, "hi", "file");
}

static void test_pushed_answers_wait_for_their_request(void **state) {
    struct world *w = *state;
    push(w, "[{\"match\":{\"user\":\"b\"},\"respond\":\"for b\"},{\"respond\":\"any\"}]", NULL);
    assert_says(w, "a", "any");
    assert_silent(w, "a");
    assert_says(w, "b", "for b");
    assert_silent(w, "b");
}

static void test_pushed_for_a_session(void **state) {
    struct world *w = *state;
    push(w, "respond: mine", "one");
    in_session(w, "two");
    assert_silent(w, "hi");
    in_session(w, "one");
    assert_says(w, "hi", "mine");
    assert_silent(w, "hi");
}

static void test_pushed_times_and_scripts(void **state) {
    struct world *w = *state;
    push(w, "{name: t, respond: \"{{n}}\", times: 2}", NULL);
    push(w, "{name: s, script: [a, b]}", NULL);
    push(w, "{name: f, respond: always, times: forever}", NULL);
    assert_says(w, "hi", "1");
    assert_says(w, "hi", "2");
    assert_says(w, "hi", "a");
    assert_says(w, "hi", "b");
    assert_says(w, "hi", "always");
    assert_says(w, "hi", "always");
    assert_int_equal(scenario_unpush(w->state, SLICE("nobody")), 0);
    assert_int_equal(scenario_unpush(w->state, SLICE("f")), 1);
    assert_silent(w, "hi");
}

static void test_pushed_continue_lends_its_terms_once(void **state) {
    struct world *w = *state;
    world_use(w, "- {name: file, respond: file}");
    push(w, "{continue: true, fault: cut, headers: {x-a: \"{{last_user}}\"}}", NULL);
    assert_says(w, "hi", "file");
    assert_slice(w->script.fault, "cut");
    assert_slice(w->script.headers[1], "hi");
    assert_says(w, "hi", "file");
    assert_int_equal(w->script.fault.len, 0);
    push(w, "{continue: true, fault: stall}", NULL);
    scenario_set_unref(&w->set);
    assert_says(w, "hi", "");
    assert_slice(w->script.fault, "stall");
}

static void test_pushed_in_the_middle_may_go(void **state) {
    struct world *w = *state;
    push(w, "{name: a, respond: a, match: {user: x}}", NULL);
    push(w, "{name: b, respond: b, match: {user: y}}", NULL);
    assert_says(w, "y", "b");
    push(w, "{name: c, respond: c}", NULL);
    assert_says(w, "x", "a");
    assert_says(w, "x", "c");
    push(w, "{name: d, respond: d}", NULL);
    assert_says(w, "x", "d");
}

static void test_pushed_are_bounded(void **state) {
    struct world *w = *state;
    struct err e;
    struct scenario_set *set = set_of("respond: x");
    for (unsigned i = 0; i < SCENARIO_MAX_PUSHED; i++) {
        assert_int_equal(scenario_push(w->state, set, SLICE(""), &e), 0);
    }
    assert_int_equal(scenario_push(w->state, set, SLICE(""), &e), -ERR_LIMIT);
    assert_int_equal(scenario_unpush(w->state, SLICE("")), SCENARIO_MAX_PUSHED);
    scenario_set_unref(&set);
}

/* Whatever is left of a list that was pushed keeps all of it. */
static void test_pushed_bytes_are_bounded(void **state) {
    struct world *w = *state;
    struct buf text;
    struct err e;
    unsigned n = 0;
    int rc = 0;
    buf_init(&text, 1 << 20);
    rc |= buf_append(&text, SLICE("- {name: first, respond: a}\n- {name: last, respond: \""));
    for (unsigned i = 0; i < 10000; i++) {
        rc |= buf_append(&text, SLICE("A few words, again. "));
    }
    rc |= buf_append(&text, SLICE("\"}")) | buf_append_byte(&text, '\0');
    assert_int_equal(rc, 0);
    struct scenario_set *set = set_of(text.ptr);
    while (scenario_push(w->state, set, SLICE(""), &e) == 0) n++;
    assert_in_range(n, 50, SCENARIO_MAX_PUSHED_BYTES / text.len);
    assert_non_null(strstr(e.text, "67108864"));
    assert_int_equal(scenario_unpush(w->state, SLICE("first")), n);
    assert_int_equal(scenario_push(w->state, set, SLICE(""), &e), -ERR_LIMIT);
    assert_int_equal(scenario_unpush(w->state, SLICE("last")), n);
    assert_int_equal(scenario_push(w->state, set, SLICE(""), &e), 0);
    scenario_set_unref(&set);
    buf_dispose(&text);
}

static void test_lists_tell_the_counts(void **state) {
    struct world *w = *state;
    struct buf out;
    world_use(w, "- {name: a, about: first, respond: x, match: {user: hi, call: 2-}}\n"
                 "- {name: b, continue: true, ttft: 1s}\n");
    push(w, "{name: p, respond: y, match: {user: never}, times: 3}", "s1");
    world_answer(w, "hi");
    world_answer(w, "hi");
    world_answer(w, "bye");
    buf_init(&out, 4096);
    assert_int_equal(scenario_list_files(w->set, w->state, &out), 0);
    assert_slice(buf_slice(&out),
                 "{\"name\":\"a\",\"place\":\"t.yaml:1\",\"about\":\"first\",\"matched\":2,"
                 "\"answered\":1},{\"name\":\"b\",\"place\":\"t.yaml:2\",\"continue\":true,"
                 "\"matched\":2,\"answered\":2}");
    buf_reset(&out);
    assert_int_equal(scenario_list_pushed(w->state, &out), 0);
    assert_slice(buf_slice(&out), "{\"name\":\"p\",\"session\":\"s1\",\"left\":3,\"matched\":0,"
                                  "\"answered\":0}");
    buf_dispose(&out);
}

/* ---- many at once ---- */

struct asker {
    pthread_t id;
    struct world *w;
    unsigned answers, pushed;
};

static void *ask_often(void *self) {
    struct asker *k = self;
    for (unsigned i = 0; i < 500; i++) {
        struct arena *a = arena_new();
        struct script s;
        if (scenario_find(k->w->set, k->w->state, &k->w->in, a, &s)) {
            k->answers += slice_eq(s.scenario, SLICE("file"));
            k->pushed += slice_eq(s.scenario, SLICE("p"));
        }
        arena_free(a);
    }
    return NULL;
}

static void test_each_answer_goes_out_once(void **state) {
    struct world *w = *state;
    struct asker askers[4];
    unsigned answers = 0, pushed = 0;
    world_use(w, "- {name: file, respond: x, times: 700}");
    push(w, "{name: p, respond: y, times: 300}", NULL);
    world_say(w, "hi");
    for (unsigned i = 0; i < 4; i++) {
        askers[i] = (struct asker){.w = w};
        assert_int_equal(pthread_create(&askers[i].id, NULL, ask_often, &askers[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(askers[i].id, NULL);
        answers += askers[i].answers;
        pushed += askers[i].pushed;
    }
    assert_int_equal(pushed, 300);
    assert_int_equal(answers, 700);
}

int main(void) {
#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, world_open, world_close)
    const struct CMUnitTest tests[] = {
        WITH_WORLD(test_nth_call),
        WITH_WORLD(test_calls_of_a_session),
        WITH_WORLD(test_where_a_session_is_named),
        WITH_WORLD(test_times),
        WITH_WORLD(test_script_and_what_comes_after),
        WITH_WORLD(test_a_session_goes_through_a_script_alone),
        WITH_WORLD(test_counts_survive_a_reload),
        WITH_WORLD(test_many_sessions_are_bounded),
        WITH_WORLD(test_terms_of_those_that_continue),
        WITH_WORLD(test_a_scenario_may_leave_the_words_to_the_generator),
        WITH_WORLD(test_inner_terms_win),
        WITH_WORLD(test_choices_by_their_weights),
        WITH_WORLD(test_pushed_answers_come_first_and_once),
        WITH_WORLD(test_pushed_answers_wait_for_their_request),
        WITH_WORLD(test_pushed_for_a_session),
        WITH_WORLD(test_pushed_times_and_scripts),
        WITH_WORLD(test_pushed_continue_lends_its_terms_once),
        WITH_WORLD(test_pushed_in_the_middle_may_go),
        WITH_WORLD(test_pushed_are_bounded),
        WITH_WORLD(test_pushed_bytes_are_bounded),
        WITH_WORLD(test_lists_tell_the_counts),
        WITH_WORLD(test_each_answer_goes_out_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
