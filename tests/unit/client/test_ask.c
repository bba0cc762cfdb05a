/* SPDX-License-Identifier: Apache-2.0 */
/* Questions in every dialect are what its decoder takes, and mean what was asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "client/ask.h"

struct asked {
    struct arena *arena;
    struct buf history, body;
    struct llm_request rq;
};

static void asked_open(struct asked *q, const struct ask *k, bool answered) {
    struct request_fault fault;
    *q = (struct asked){.arena = arena_new()};
    buf_init(&q->history, 4096);
    buf_init(&q->body, 4096);
    assert_int_equal(ask_add_turn(k, false, SLICE("one \"two\"\n"), &q->history), 0);
    if (answered) {
        assert_int_equal(ask_add_turn(k, true, SLICE("three"), &q->history), 0);
        assert_int_equal(ask_add_turn(k, false, SLICE("four"), &q->history), 0);
    }
    assert_int_equal(ask_write(k, buf_slice(&q->history), &q->body), 0);
    if (k->dialect->decode_request(buf_slice(&q->body), q->arena, &q->rq, &fault) < 0) {
        fail_msg("%.*s: %s", SLICE_FMT(buf_slice(&q->body)), fault.message);
    }
}

static void asked_close(struct asked *q) {
    buf_dispose(&q->history);
    buf_dispose(&q->body);
    arena_free(q->arena);
}

static void check_text(const struct message *m, enum role role, const char *text) {
    assert_non_null(m);
    assert_int_equal(m->role == ROLE_DEVELOPER ? ROLE_SYSTEM : m->role, role);
    assert_int_equal(m->n_parts, 1);
    assert_true(slice_eq(m->parts[0].text, slice_cstr(text)));
}

static void test_conversations(void **state) {
    (void)state;
    for (unsigned i = 0; dialects[i]; i++) {
        const struct ask k = {.dialect = dialects[i], .model = SLICE("m\"1"), .system = "Be \"kind\"."};
        struct asked q;
        asked_open(&q, &k, true);
        assert_true(slice_eq(q.rq.env.model, SLICE("m\"1")));
        assert_false(q.rq.env.stream);
        const struct message *m = q.rq.messages;
        if (k.dialect == &dialect_completions) {
            check_text(m, ROLE_USER, "Be \"kind\".\n\none \"two\"\n\n\nthree\n\nfour");
            asked_close(&q);
            continue;
        }
        check_text(m, ROLE_SYSTEM, "Be \"kind\".");
        check_text(m->next, ROLE_USER, "one \"two\"\n");
        check_text(m->next->next, ROLE_ASSISTANT, "three");
        check_text(m->next->next->next, ROLE_USER, "four");
        assert_null(m->next->next->next->next);
        asked_close(&q);
    }
}

static void test_settings(void **state) {
    (void)state;
    for (unsigned i = 0; dialects[i]; i++) {
        bool is_prompt = dialects[i] == &dialect_completions;
        bool needs_bound = is_prompt || dialects[i] == &dialect_messages;
        struct ask k = {.dialect = dialects[i], .model = SLICE("m"), .streams = true,
                        .include_usage = true, .max_tokens = 77, .reasoning_effort = "low"};
        struct asked q;
        asked_open(&q, &k, false);
        assert_true(q.rq.env.stream);
        assert_int_equal(q.rq.env.max_tokens, 77);
        bool is_told = dialects[i] == &dialect_chat || is_prompt;
        assert_int_equal(q.rq.env.has_stream_options, is_told);
        assert_true(slice_eq(q.rq.reasoning.effort, is_prompt ? SLICE("") : SLICE("low")));
        if (dialects[i] == &dialect_messages) {
            assert_int_equal(q.rq.reasoning.thinking, THINKING_ADAPTIVE);
        }
        asked_close(&q);
        k = (struct ask){.dialect = dialects[i], .model = SLICE("m"), .needed_max_tokens = 5};
        asked_open(&q, &k, false);
        assert_int_equal(q.rq.env.max_tokens, needs_bound ? 5 : -1);
        asked_close(&q);
    }
}

static void test_limits(void **state) {
    const struct ask k = {.dialect = &dialect_messages, .model = SLICE("m")};
    struct buf history, body;
    (void)state;
    buf_init(&history, 64);
    buf_init(&body, 64);
    assert_int_equal(ask_add_turn(&k, false, SLICE("1234567890123456789012345678901234567890"), &history), -ERR_LIMIT);
    buf_reset(&history);
    assert_int_equal(ask_add_turn(&k, false, SLICE("short"), &history), 0);
    assert_int_equal(ask_write(&k, buf_slice(&history), &body), -ERR_LIMIT);
    buf_dispose(&history);
    buf_dispose(&body);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conversations),
        cmocka_unit_test(test_settings),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
