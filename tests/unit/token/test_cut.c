/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting while it is said: the same tokens as of the whole text, whatever the windows. */
#include "token_test.h"

#include "token/pretoken.h"

struct said {
    uint64_t tokens;
    size_t bytes;
};

/* Says a text through windows of random sizes; each piece ends where a character does. */
static struct said say(const struct tokenizer *t, struct slice text, struct rng *r,
                       uint32_t most_wanted) {
    struct said said = {0, 0};
    struct token_cut c;
    token_cut_start(&c, t);
    size_t whole = 0;                /* how far code points have been looked at */
    while (said.bytes < text.len) {
        struct slice rest = slice_from(text, said.bytes);
        size_t window = TOKEN_AHEAD_BYTES + rng_below(r, TOKEN_AHEAD_BYTES);
        bool is_all = rng_below(r, 4) == 0 || window >= rest.len;
        uint32_t n, want = 1 + (uint32_t)rng_below(r, most_wanted);
        struct slice ahead = is_all ? rest : slice_sub(rest, 0, window);
        size_t len = token_cut_next(&c, ahead, is_all, want, &n);
        assert_true(len > 0 && n > 0 && len <= rest.len && n < want + 4);
        said.bytes += len;
        said.tokens += n;
        while (whole < said.bytes) {
            size_t step = code_point_len(slice_from(text, whole));
            whole += step ? step : 1;
        }
        if (tokenizer_is_exact(t)) assert_int_equal(whole, said.bytes);
    }
    uint32_t n;
    assert_int_equal(token_cut_next(&c, slice_from(text, text.len), true, 1, &n), 0);
    assert_int_equal(n, 0);
    return said;
}

static void test_tokens_add_up(void **state) {
    (void)state;
    struct buf text;
    struct rng r;
    rng_seed(&r, 11);
    buf_init(&text, 1 << 22);
    for (unsigned round = 0; round < 150; round++) {
        const struct tokenizer *t = exact_tokenizer(round % 2 ? ENCODING_CL100K : ENCODING_O200K);
        random_text(&text, &r, rng_below(&r, 20000), 500);
        static const uint32_t wanted[] = {1, 1, 40, 5000}; /* more than a window has */
        struct said said = say(t, buf_slice(&text), &r, wanted[round / 2 % 4]);
        assert_int_equal(said.tokens, tokenizer_count(t, buf_slice(&text)));
    }
    buf_dispose(&text);
}

static void test_pieces_add_up(void **state) {
    (void)state;
    struct buf text;
    struct rng r;
    rng_seed(&r, 12);
    buf_init(&text, 1 << 20);
    const struct tokenizer *t = tokenizer_get(ENCODING_PIECES);
    for (unsigned round = 0; round < 50; round++) {
        random_text(&text, &r, rng_below(&r, 9000), 3);
        struct said said = say(t, buf_slice(&text), &r, 8);
        assert_int_equal(said.tokens, tokenizer_count(t, buf_slice(&text)));
    }
    buf_dispose(&text);
}

/* Runs that no window shows the end of: of one letter, of marks, of blanks without line ends. */
static void test_long_runs_add_up(void **state) {
    static const char *const units[] = {"a", "A", "ab", "!", " ", "\xf0\x9f\x98\x80", "\xe4\xb8\xad",
                                        "=-", "\xff", "\n", "xyzzy", "\xe3\x90\x80"};
    (void)state;
    struct buf text;
    struct rng r;
    rng_seed(&r, 13);
    buf_init(&text, 1 << 20);
    for (unsigned i = 0; i < sizeof units / sizeof units[0]; i++) {
        buf_reset(&text);
        append(&text, SLICE("start "));
        for (unsigned n = 0; n < 9001; n++) append(&text, slice_cstr(units[i]));
        append(&text, SLICE("x end"));
        for (unsigned e = 0; e < 2; e++) {
            const struct tokenizer *t = exact_tokenizer(e ? ENCODING_CL100K : ENCODING_O200K);
            assert_int_equal(say(t, buf_slice(&text), &r, 3).tokens,
                             tokenizer_count(t, buf_slice(&text)));
        }
    }
    buf_dispose(&text);
}

static void test_characters_of_several_tokens(void **state) {
    (void)state;
    /* A hieroglyph that no token holds: four bytes, several tokens, one piece. */
    struct slice text = SLICE("\xf0\x93\x80\x80\xf0\x93\x80\x81.");
    struct token_cut c;
    uint32_t n;
    token_cut_start(&c, exact_tokenizer(ENCODING_O200K));
    assert_int_equal(token_cut_next(&c, text, true, 1, &n), 4);
    assert_in_range(n, 2, 4);
    assert_int_equal(token_cut_next(&c, slice_from(text, 4), true, 1, &n), 4);
    assert_int_equal(token_cut_next(&c, slice_from(text, 8), true, 1, &n), 1);
    assert_int_equal(n, 1);
}

static void test_starting_anew(void **state) {
    (void)state;
    struct slice text = SLICE("internationalisation of everything");
    struct token_cut c;
    uint32_t n;
    token_cut_start(&c, exact_tokenizer(ENCODING_O200K));
    size_t len = token_cut_next(&c, text, true, 1, &n);
    assert_true(len > 0 && len < text.len);
    token_cut_start(&c, c.tokenizer);
    assert_int_equal(token_cut_next(&c, SLICE(" of"), true, 5, &n), 3);
    assert_int_equal(n, 1);
}

/* Whoever breaks the contract gets nonsense, but in bounds. */
static void test_another_text_in_the_middle(void **state) {
    (void)state;
    struct buf text;
    struct rng r;
    rng_seed(&r, 14);
    buf_init(&text, 1 << 20);
    struct token_cut c;
    token_cut_start(&c, exact_tokenizer(ENCODING_O200K));
    for (unsigned round = 0; round < 2000; round++) {
        uint32_t n;
        random_text(&text, &r, rng_below(&r, 6000), 3000);
        size_t len = token_cut_next(&c, buf_slice(&text), rng_below(&r, 2), 1, &n);
        assert_true(len <= text.len && (len > 0) == (text.len > 0));
    }
    buf_dispose(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens_add_up),
        cmocka_unit_test(test_pieces_add_up),
        cmocka_unit_test(test_long_runs_add_up),
        cmocka_unit_test(test_characters_of_several_tokens),
        cmocka_unit_test(test_starting_anew),
        cmocka_unit_test(test_another_text_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
