/* SPDX-License-Identifier: Apache-2.0 */
#include "dialect_test.h"

#include "dialect/proof.h"

static struct proof sample(void) {
    return (struct proof){.family = PROOF_OPENAI,
                          .kind = PROOF_ENCRYPTED,
                          .model = SLICE("gpt-5"),
                          .item_id = SLICE("rs_\"1\""),
                          .payload = SLICE("gAAAA+/==\xf0\x9f\x98\x80")};
}

static void assert_same(const struct proof *a, const struct proof *b) {
    assert_int_equal(a->family, b->family);
    assert_int_equal(a->kind, b->kind);
    assert_slices(a->model, b->model);
    assert_slices(a->item_id, b->item_id);
    assert_slices(a->payload, b->payload);
}

static void what_is_wrapped_is_unwrapped(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct buf out;
    buf_init(&out, TEST_BYTES);
    for (int family = PROOF_NONE; family <= PROOF_ANTHROPIC; family++) {
        for (int kind = PROOF_SIGNATURE; kind <= PROOF_ENCRYPTED; kind++) {
            struct proof p = sample(), q;
            p.family = (enum proof_family)family;
            p.kind = (enum proof_kind)kind;
            p.payload.len -= 4 * (size_t)(kind == PROOF_SIGNATURE);
            buf_reset(&out);
            put(&out, SLICE("before"));
            assert_int_equal(proof_wrap(&out, &p), 0);
            assert_true(proof_unwrap(slice_from(buf_slice(&out), 6), a, &q));
            assert_same(&p, &q);
        }
    }
    buf_dispose(&out);
    arena_free(a);
}

/* Only letters that survive any field, header or URL. */
static void the_envelope_is_plain(void **state) {
    (void)state;
    struct proof p = sample();
    struct buf out;
    buf_init(&out, TEST_BYTES);
    assert_int_equal(proof_wrap(&out, &p), 0);
    assert_true(slice_starts_with(buf_slice(&out), SLICE("penstock1.eyJ2IjoxLC")));
    for (size_t i = 10; i < out.len; i++)
        assert_non_null(strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
                               out.ptr[i]));
    buf_dispose(&out);
}

static bool unwraps(const char *text) {
    struct arena *a = arena_new();
    struct proof p;
    bool yes = proof_unwrap(slice_cstr(text), a, &p);
    arena_free(a);
    return yes;
}

static void others_are_not_ours(void **state) {
    (void)state;
    /* {"v":1,"p":"openai","m":"","id":"","k":"enc","d":"x"} */
    assert_true(unwraps("penstock1.eyJ2IjoxLCJwIjoib3BlbmFpIiwibSI6IiIsImlkIjoiIiwiayI6ImVuYyIsImQi"
                        "OiJ4In0"));
    static const char *const bad[] = {
        "",
        "penstock1.",
        "EqoBCkYIARgCKkD",
        "gAAAAABo",
        /* another version; one member too many; a family that is none; no payload; not JSON */
        "penstock1.eyJ2IjoyLCJwIjoib3BlbmFpIiwibSI6IiIsImlkIjoiIiwiayI6ImVuYyIsImQiOiJ4In0",
        "penstock1.eyJ2IjoxLCJwIjoib3BlbmFpIiwibSI6IiIsImlkIjoiIiwiayI6ImVuYyIsImQiOiJ4IiwieiI6MX0",
        "penstock1.eyJ2IjoxLCJwIjoib3BlbnVwIiwibSI6IiIsImlkIjoiIiwiayI6ImVuYyIsImQiOiJ4In0",
        "penstock1.eyJ2IjoxLCJwIjoib3BlbmFpIiwibSI6IiIsImlkIjoiIiwiayI6ImVuYyIsImQiOiIifQ",
        "penstock1.aGVsbG8",
        "penstock1.W10",
        /* padding, another alphabet, bits behind the end, a prefix of another case */
        "penstock1.eyJ2IjoxLCJwIjoib3BlbmFpIiwibSI6IiIsImlkIjoiIiwiayI6ImVuYyIsImQiOiJ4In0=",
        "penstock1.eyJ2IjoxLCJwIjoib3BlbmFpIiwibSI6IiIsImlkIjoiIiwiayI6ImVuYyIsImQiOiJ4In0 ",
        "penstock1.eyJ2IjoxLCJwIjoib3BlbmFpIiwibSI6IiIsImlkIjoiIiwiayI6ImVuYyIsImQiOiJ4In1",
        "Penstock1.eyJ2IjoxLCJwIjoib3BlbmFpIiwibSI6IiIsImlkIjoiIiwiayI6ImVuYyIsImQiOiJ4In0",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (unwraps(bad[i])) fail_msg("taken for ours: %s", bad[i]);
    }
}

static void a_cut_one_is_not_ours(void **state) {
    (void)state;
    struct proof p = sample(), q;
    struct arena *a = arena_new();
    struct buf out;
    buf_init(&out, TEST_BYTES);
    assert_int_equal(proof_wrap(&out, &p), 0);
    for (size_t n = 0; n < out.len; n++)
        assert_false(proof_unwrap(slice_sub(buf_slice(&out), 0, n), a, &q));
    buf_dispose(&out);
    arena_free(a);
}

static void limits(void **state) {
    (void)state;
    struct buf out, big;
    struct proof p = sample();
    buf_init(&out, 64);
    put(&out, SLICE("x"));
    assert_int_equal(proof_wrap(&out, &p), -ERR_LIMIT);
    assert_int_equal(out.len, 1); /* all or nothing */
    buf_dispose(&out);
    buf_init(&out, TEST_BYTES);
    buf_init(&big, TEST_BYTES);
    for (size_t i = 0; i < (4u << 20); i++) assert_int_equal(buf_append_byte(&big, 'a'), 0);
    p.payload = buf_slice(&big);
    assert_int_equal(proof_wrap(&out, &p), -ERR_LIMIT);
    p.payload.len = 1u << 20;
    assert_int_equal(proof_wrap(&out, &p), 0);
    struct arena *a = arena_new();
    struct proof q;
    assert_true(proof_unwrap(buf_slice(&out), a, &q));
    assert_same(&p, &q);
    arena_free(a);
    buf_dispose(&out);
    buf_dispose(&big);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrapped_is_unwrapped), cmocka_unit_test(the_envelope_is_plain),
        cmocka_unit_test(others_are_not_ours),          cmocka_unit_test(a_cut_one_is_not_ours),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
