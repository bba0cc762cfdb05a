/* SPDX-License-Identifier: Apache-2.0 */
/* What was left out, and whole answers from one dialect to another. */
#include "dialect_test.h"

#include "dialect/translation.h"

static const struct capabilities plain = {.tool_name_max_bytes = 64};

/* ---- what was left out ---- */

static void each_once(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct translation *t = translation_new(a, &dialect_chat, &dialect_messages, &plain);
    assert_string_equal(t->dropped, "");
    translation_drop(t, "seed");
    translation_drop(t, "logit_bias");
    translation_drop(t, "seed");
    translation_drop(t, "see");
    translation_drop_slice(t, SLICE(""));
    assert_string_equal(t->dropped, "seed,logit_bias,see");
    arena_free(a);
}

/* Clients name fields as they like; a header takes less. */
static void a_header_is_made_of_it(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct translation *t = translation_new(a, &dialect_chat, &dialect_messages, &plain);
    translation_drop_slice(t, SLICE("a\r\nset-cookie: b,c\0\xff"));
    assert_string_equal(t->dropped, "a??set-cookie:?b?c??");
    arena_free(a);
}

static void it_never_overflows(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct translation *t = translation_new(a, &dialect_chat, &dialect_messages, &plain);
    char name[200];
    for (int i = 0; i < 300; i++) {
        int n = snprintf(name, sizeof name, "field_%d", i);
        memset(name + n, 'x', (size_t)(i % 100));
        translation_drop_slice(t, slice_make(name, (size_t)n + (size_t)(i % 100)));
    }
    size_t len = strlen(t->dropped);
    assert_true(len > DROPPED_BYTES - 100 && len < DROPPED_BYTES);
    assert_int_not_equal(t->dropped[len - 1], ',');
    arena_free(a);
}

/* ---- whole answers ---- */

static const char chat_answer[] =
    "{\"id\":\"c1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"up\",\"choices\":[{"
    "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hi\",\"tool_calls\":[{\"id\":"
    "\"a\",\"type\":\"function\",\"function\":{\"name\":\"f_1\",\"arguments\":\"{\\\"x\\\":1}\"}}]},"
    "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":7,"
    "\"total_tokens\":107,\"prompt_tokens_details\":{\"cached_tokens\":75}}}";

static bool has(const struct buf *b, const char *part) {
    if (b->len > 0 && memmem(b->ptr, b->len, part, strlen(part))) return true;
    fprintf(stderr, "no %s in %.*s\n", part, (int)b->len, b->ptr);
    return false;
}

static void a_whole_answer(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct translation *t = translation_new(a, &dialect_messages, &dialect_chat, &plain);
    struct tool_name name = {.name = SLICE("f.1"), .sent = SLICE("f_1")};
    struct encoder_options o = {.id = SLICE("msg_1"), .model = SLICE("mine")};
    struct usage usage;
    struct api_error er = {0};
    struct err e = {0};
    struct buf out;
    t->names = &name;
    buf_init(&out, TEST_BYTES);
    int rc = response_translate(t, slice_cstr(chat_answer), &o, TEST_BYTES, &out, &usage, &er, &e);
    assert_int_equal(rc, 0);
    assert_true(has(&out, "\"stop_reason\":\"tool_use\""));
    assert_true(has(&out, "\"name\":\"f.1\",\"input\":{\"x\":1}"));
    assert_true(has(&out, "\"input_tokens\":25"));
    assert_true(has(&out, "\"cache_read_input_tokens\":75"));
    assert_true(has(&out, "\"model\":\"mine\""));
    assert_int_equal(usage.in_total, 100);
    assert_int_equal(usage.out_total, 7);
    buf_dispose(&out);
    arena_free(a);
}

static void an_answer_that_is_none(void **state) {
    (void)state;
    static const char *const bodies[] = {"", "<html>", "{}", "[]",
                                         "{\"choices\":[]}", "{\"choices\":[{\"index\":0}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct arena *a = arena_new();
        struct translation *t = translation_new(a, &dialect_messages, &dialect_chat, &plain);
        struct encoder_options o = {.id = SLICE("msg_1")};
        struct api_error er = {0};
        struct err e = {0};
        struct buf out;
        buf_init(&out, TEST_BYTES);
        int rc = response_translate(t, slice_cstr(bodies[i]), &o, TEST_BYTES, &out, NULL, &er, &e);
        if (rc == 0) fail_msg("taken for an answer: %s", bodies[i]);
        assert_true(rc == -ERR_PROTOCOL || (rc == -ERR_USAGE && er.message.len > 0));
        if (rc == -ERR_PROTOCOL) assert_true(e.text[0]);
        assert_int_equal(out.len, 0);
        buf_dispose(&out);
        arena_free(a);
    }
}

/* The error's strings outlive the body. */
static void an_error_in_a_body(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct translation *t = translation_new(a, &dialect_messages, &dialect_chat, &plain);
    struct encoder_options o = {.id = SLICE("msg_1")};
    struct api_error er = {0};
    struct err e = {0};
    struct buf out;
    char *body = mem_dup_cstr(SLICE("{\"error\":{\"message\":\"Too many\",\"type\":\"requests\","
                                    "\"code\":\"rate_limit_exceeded\"}}"));
    buf_init(&out, TEST_BYTES);
    int rc = response_translate(t, slice_cstr(body), &o, TEST_BYTES, &out, NULL, &er, &e);
    mem_free(body);
    assert_int_equal(rc, -ERR_USAGE);
    assert_slices(er.message, SLICE("Too many"));
    assert_slices(er.code, SLICE("rate_limit_exceeded"));
    assert_int_equal(out.len, 0);
    buf_dispose(&out);
    arena_free(a);
}

static void limits(void **state) {
    (void)state;
    struct encoder_options o = {.id = SLICE("msg_1")};
    unsigned taken = 0, refused = 0;
    for (size_t limit = 0; limit < 4000; limit += 7) {
        struct arena *a = arena_new();
        struct translation *t = translation_new(a, &dialect_messages, &dialect_chat, &plain);
        struct api_error er = {0};
        struct err e = {0};
        struct buf out;
        buf_init(&out, TEST_BYTES);
        int rc = response_translate(t, slice_cstr(chat_answer), &o, limit, &out, NULL, &er, &e);
        assert_true(rc == 0 || rc == -ERR_LIMIT);
        if (rc) assert_true(e.text[0]);
        taken += rc == 0;
        refused += rc != 0;
        assert_true(rc == 0 || taken == 0);
        buf_dispose(&out);
        arena_free(a);
    }
    assert_true(taken > 50 && refused > 50);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_once),         cmocka_unit_test(a_header_is_made_of_it),
        cmocka_unit_test(it_never_overflows), cmocka_unit_test(a_whole_answer),
        cmocka_unit_test(an_answer_that_is_none), cmocka_unit_test(an_error_in_a_body),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
