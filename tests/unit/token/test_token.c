/* SPDX-License-Identifier: Apache-2.0 */
/* Whole texts: the same ids as tiktoken's, round trips, models, word pieces. */
#include "token_test.h"

#include "base/mem.h"

static const struct {
    const char *text;
    unsigned len, n_ids[2];
    uint32_t ids[2][200];
} vectors[] = {
#include "vectors.h"
};
static const enum encoding exact[] = {ENCODING_O200K, ENCODING_CL100K};

static void encode(const struct tokenizer *t, struct slice text, struct buf *out) {
    buf_reset(out);
    assert_int_equal(tokenizer_encode(t, text, out), 0);
    assert_int_equal(out->len / sizeof(uint32_t), tokenizer_count(t, text));
}

static void test_ids_are_tiktokens(void **state) {
    (void)state;
    struct buf ids;
    buf_init(&ids, 1 << 20);
    for (unsigned e = 0; e < 2; e++) {
        const struct tokenizer *t = exact_tokenizer(exact[e]);
        for (unsigned i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
            encode(t, slice_make(vectors[i].text, vectors[i].len), &ids);
            if (ids.len != vectors[i].n_ids[e] * sizeof(uint32_t) ||
                (ids.len && memcmp(ids.ptr, vectors[i].ids[e], ids.len) != 0)) {
                fail_msg("%s: other tokens for \"%s\"", tokenizer_name(t), vectors[i].text);
            }
        }
    }
    buf_dispose(&ids);
}

/* The ids' bytes put together, which must be the text. */
static void check_round_trip(const struct tokenizer *t, struct slice text, struct buf *ids,
                             struct buf *back) {
    encode(t, text, ids);
    buf_reset(back);
    const uint32_t *id = (const void *)ids->ptr;
    for (size_t i = 0; i < ids->len / sizeof *id; i++) {
        struct slice bytes = tokenizer_bytes(t, id[i]);
        assert_non_null(bytes.ptr);
        append(back, bytes);
    }
    assert_true(slice_eq(buf_slice(back), text));
}

static void test_any_bytes_come_back(void **state) {
    (void)state;
    struct buf text, ids, back;
    struct rng r;
    rng_seed(&r, 7);
    buf_init(&text, 1 << 22);
    buf_init(&ids, 1 << 24);
    buf_init(&back, 1 << 22);
    for (unsigned round = 0; round < 400; round++) {
        random_text(&text, &r, rng_below(&r, 300), 200);
        check_round_trip(exact_tokenizer(exact[round % 2]), buf_slice(&text), &ids, &back);
    }
    buf_reset(&text);
    for (unsigned i = 0; i < 3000; i++) {
        assert_int_equal(buf_append_byte(&text, (char)rng_below(&r, 256)), 0);
    }
    check_round_trip(exact_tokenizer(ENCODING_O200K), buf_slice(&text), &ids, &back);
    check_round_trip(exact_tokenizer(ENCODING_CL100K), buf_slice(&text), &ids, &back);
    buf_dispose(&text);
    buf_dispose(&ids);
    buf_dispose(&back);
}

/* What would take minutes if any step were quadratic. */
static void test_long_runs_are_counted(void **state) {
    static const struct {
        const char *unit;
        unsigned times;
        uint64_t o200k, cl100k;
    } rows[] = {
        {"a", 400000, 50000, 50000},
        {" ", 640000, 5000, 5000},
        {"\xf0\x9f\x98\x80", 100000, 100000, 200000},
        {"\x80", 300000, 300000, 300000},
        {"internationalisation", 10000, 20000, 20000},
        {"\n ", 100000, 0, 0},              /* only that it ends */
        {"\xe4\xb8\xad" "A", 100000, 200000, 200000},
    };
    (void)state;
    struct buf text;
    buf_init(&text, 1 << 22);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        buf_reset(&text);
        for (unsigned n = 0; n < rows[i].times; n++) append(&text, slice_cstr(rows[i].unit));
        uint64_t o200k = tokenizer_count(exact_tokenizer(ENCODING_O200K), buf_slice(&text));
        uint64_t cl100k = tokenizer_count(exact_tokenizer(ENCODING_CL100K), buf_slice(&text));
        if (rows[i].o200k) assert_int_equal(o200k, rows[i].o200k);
        if (rows[i].cl100k) assert_int_equal(cl100k, rows[i].cl100k);
    }
    buf_dispose(&text);
}

static void test_words_take_no_memory(void **state) {
    (void)state;
    struct slice text = SLICE("Usual words, unusual antidisestablishmentarianism; 12345 — naïve 😀\n");
    const struct tokenizer *t = exact_tokenizer(ENCODING_O200K);
    uint64_t before = mem_alloc_count();
    assert_true(tokenizer_count(t, text) > 10);
    assert_int_equal(mem_alloc_count(), before);
}

static void test_ids_that_do_not_fit(void **state) {
    (void)state;
    struct buf ids;
    buf_init(&ids, 8);
    assert_int_equal(tokenizer_encode(exact_tokenizer(ENCODING_O200K), SLICE("a b c"), &ids),
                     -ERR_LIMIT);
    buf_dispose(&ids);
}

static void test_ids_that_are_none(void **state) {
    (void)state;
    const struct tokenizer *t = exact_tokenizer(ENCODING_CL100K);
    assert_int_equal(tokenizer_bytes(t, 100255).len > 0, 1);
    assert_null(tokenizer_bytes(t, 100256).ptr);
    assert_null(tokenizer_bytes(t, UINT32_MAX).ptr);
    assert_null(tokenizer_bytes(tokenizer_get(ENCODING_PIECES), 0).ptr);
}

static void test_models(void **state) {
    static const struct {
        const char *model;
        enum encoding encoding;
    } rows[] = {
        {"gpt-4o", ENCODING_O200K}, {"gpt-4o-2024-08-06", ENCODING_O200K},
        {"gpt-4o-mini", ENCODING_O200K}, {"gpt-4.1-nano", ENCODING_O200K},
        {"o1", ENCODING_O200K}, {"o3-mini", ENCODING_O200K}, {"gpt-5-nano", ENCODING_O200K},
        {"gpt-oss-120b", ENCODING_O200K}, {"chatgpt-4o-latest", ENCODING_O200K},
        {"gpt-4", ENCODING_CL100K}, {"gpt-4-turbo", ENCODING_CL100K},
        {"gpt-4-0613", ENCODING_CL100K}, {"gpt-3.5-turbo-0125", ENCODING_CL100K},
        {"gpt-35-turbo", ENCODING_CL100K}, {"text-embedding-3-small", ENCODING_CL100K},
        {"text-embedding-ada-002", ENCODING_CL100K}, {"davinci-002", ENCODING_CL100K},
        {"ft:gpt-4o-mini-2024-07-18:org::id", ENCODING_O200K},
        {"ft:gpt-4-0613:org::id", ENCODING_CL100K}, {"ft:gpt-3.5-turbo:org", ENCODING_CL100K},
        {"claude-sonnet-4-5", ENCODING_O200K}, {"", ENCODING_O200K}, {"gpt-4x", ENCODING_O200K},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (encoding_of_model(slice_cstr(rows[i].model)) != rows[i].encoding) {
            fail_msg("%s", rows[i].model);
        }
    }
}

static void test_names(void **state) {
    (void)state;
    enum encoding e;
    assert_true(encoding_find(SLICE("cl100k_base"), &e));
    assert_int_equal(e, ENCODING_CL100K);
    assert_true(encoding_find(SLICE("word pieces"), &e));
    assert_false(tokenizer_is_exact(tokenizer_get(e)));
    assert_string_equal(tokenizer_path(tokenizer_get(e)), "");
    assert_false(encoding_find(SLICE("p50k_base"), &e));
    assert_string_equal(tokenizer_name(exact_tokenizer(ENCODING_O200K)), "o200k_base");
    assert_non_null(strstr(tokenizer_path(exact_tokenizer(ENCODING_O200K)), "o200k_base.ranks"));
}

static void check_pieces(const char *text, const char *wanted) {
    char got[200] = "";
    struct slice s = slice_cstr(text);
    struct token_cut c = {0};
    for (uint32_t n = 1; s.len > 0;) {
        size_t len = token_cut_next(&c, s, true, 1, &n);
        assert_int_equal(n, 1);
        snprintf(got + strlen(got), sizeof got - strlen(got), "[%.*s]", (int)len, s.ptr);
        s = slice_from(s, len);
    }
    assert_string_equal(got, wanted);
    struct buf ids;
    buf_init(&ids, 1000);
    encode(tokenizer_get(ENCODING_PIECES), slice_cstr(text), &ids);
    for (size_t i = 0; i < ids.len / sizeof(uint32_t); i++) {
        assert_int_equal(((const uint32_t *)(const void *)ids.ptr)[i], i);
    }
    buf_dispose(&ids);
}

static void test_word_pieces(void **state) {
    (void)state;
    check_pieces("", "");
    check_pieces("Hello, world!", "[Hello][,][ world][!]");
    check_pieces(" a  b\n\nc", "[ a][ ][ b][\n\n][c]");
    check_pieces("internationalisation", "[internationa][lisation]");
    check_pieces("----", "[---][-]");
    check_pieces("aaaaaaaaaaa\xc3\xa9z", "[aaaaaaaaaaa\xc3\xa9][z]");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_are_tiktokens),
        cmocka_unit_test(test_any_bytes_come_back),
        cmocka_unit_test(test_long_runs_are_counted),
        cmocka_unit_test(test_words_take_no_memory),
        cmocka_unit_test(test_ids_that_do_not_fit),
        cmocka_unit_test(test_ids_that_are_none),
        cmocka_unit_test(test_models),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_word_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
