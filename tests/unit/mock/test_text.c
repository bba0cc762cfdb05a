/* SPDX-License-Identifier: Apache-2.0 */
/* What the mock's texts are made of: laws of time, prose, small talk, sources. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "mock/law.h"
#include "mock/smalltalk.h"
#include "mock/source.h"
#include "token/token.h"

/* ---- laws ---- */

static void check_law(const char *text, int64_t mean_ns, double spread) {
    struct law l;
    struct err e;
    if (law_parse(slice_cstr(text), NULL, &l, &e) < 0) {
        fail_msg("%s: %s", text, e.text);
    }
    assert_true(l.mean_ns == mean_ns);
    assert_true(l.spread > spread - 1e-9 && l.spread < spread + 1e-9);
}

static void test_laws(void **state) {
    static const char *const bad[] = {"", "ms", "20m", "-1ms", "1e3ms", "20ms:", "20ms:10", "20ms:101%", "20 ms",
                                      "25h", "99999999999999999s", "20ms:10%x", "."};
    struct law l;
    struct err e;
    (void)state;
    check_law("20ms", 20000000, 0);
    check_law(" 20 ", 20000000, 0);
    check_law("0", 0, 0);
    check_law("1.5s", 1500000000, 0);
    check_law("250us", 250000, 0);
    check_law("50ns", 50, 0);
    check_law("7.3ms", 7300000, 0);
    check_law("20ms:10%", 20000000, 0.1);
    check_law("20ms:2.5%", 20000000, 0.025);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (law_parse(slice_cstr(bad[i]), NULL, &l, &e) != -ERR_USAGE) {
            fail_msg("taken: %s", bad[i]);
        }
        assert_non_null(strstr(e.text, "20ms"));
    }
}

static void test_draws_keep_the_spread(void **state) {
    struct law l = {.mean_ns = 20000000, .spread = 0.25};
    struct rng r;
    int64_t least = INT64_MAX, most = 0, sum = 0;
    (void)state;
    rng_seed(&r, 1);
    for (unsigned i = 0; i < 10000; i++) {
        int64_t d = law_draw(&l, &r);
        least = d < least ? d : least;
        most = d > most ? d : most;
        sum += d;
    }
    assert_in_range(least, 15000000, 15100000);
    assert_in_range(most, 24900000, 25000000);
    assert_in_range(sum / 10000, 19900000, 20100000);
}

/* ---- prose ---- */

static void write_prose(struct buf *out, enum prose_kind kind, uint64_t seed, struct slice topic) {
    struct prose p;
    int rc;
    buf_reset(out);
    prose_init(&p, kind, seed, topic, false);
    while ((rc = prose_next(&p, out)) > 0) {
    }
    assert_int_equal(rc, 0);
}

static void check_reads_well(struct slice text) {
    assert_true(text.len > 60);
    assert_true(text.ptr[0] == '"' || (text.ptr[0] >= 'A' && text.ptr[0] <= 'Z'));
    assert_true(text.ptr[text.len - 1] == '.');
    for (size_t i = 0; i + 1 < text.len; i++) {
        char c = text.ptr[i], next = text.ptr[i + 1];
        if (c == '{' || c == '}' || (c == ' ' && next == ' ') || (c == ' ' && next == '.')) {
            fail_msg("at %zu: %.*s", i, SLICE_FMT(text));
        }
        if (c == '.' && next == ' ' && text.ptr[i + 2] >= 'a' && text.ptr[i + 2] <= 'z') {
            fail_msg("no capital at %zu: %.*s", i, SLICE_FMT(text));
        }
    }
}

static void test_prose_is_deterministic_and_reads_well(void **state) {
    struct buf a, b;
    unsigned differ = 0;
    (void)state;
    buf_init(&a, 1 << 16);
    buf_init(&b, 1 << 16);
    for (uint64_t seed = 0; seed < 300; seed++) {
        enum prose_kind kind = (enum prose_kind)(seed % PROSE_KIND_COUNT);
        write_prose(&a, kind, seed, SLICE("tides"));
        write_prose(&b, kind, seed, SLICE("tides"));
        assert_true(slice_eq(buf_slice(&a), buf_slice(&b)));
        check_reads_well(buf_slice(&a));
        write_prose(&b, kind, seed + 1000, SLICE("tides"));
        differ += !slice_eq(buf_slice(&a), buf_slice(&b));
    }
    assert_in_range(differ, 295, 300);
    buf_dispose(&a);
    buf_dispose(&b);
}

static void test_small_talk(void **state) {
    (void)state;
    assert_non_null(smalltalk_answer(SLICE("Hello!"), 1).ptr);
    assert_non_null(smalltalk_answer(SLICE("tell me a JOKE please"), 2).ptr);
    /* "hi" is no part of a word */
    assert_null(smalltalk_answer(SLICE("which things are here"), 2).ptr);
    assert_null(smalltalk_answer(SLICE("hello, tell me a story"), 2).ptr);
    assert_null(smalltalk_answer(SLICE(""), 0).ptr);
    for (uint64_t seed = 0; seed < 9; seed++) {
        assert_true(smalltalk_answer(SLICE("weather?"), seed).len > 20);
    }
}

/* ---- sources ---- */

static void drain(struct source *s, struct buf *out, size_t min_bytes) {
    buf_reset(out);
    for (struct slice ahead; (ahead = source_peek(s, min_bytes)).len > 0 && out->len < 20000;) {
        struct token_cut cut;
        uint32_t tokens;
        token_cut_start(&cut, tokenizer_get(ENCODING_PIECES));
        size_t n = token_cut_next(&cut, ahead, true, 1, &tokens);
        assert_int_equal(buf_append(out, slice_sub(ahead, 0, n)), 0);
        source_said(s, n);
    }
}

/* How far one looks ahead has no part in the text. */
static void test_sources(void **state) {
    struct source s = {.kind = SOURCE_FIXED};
    struct buf a, b;
    (void)state;
    buf_init(&a, 1 << 16);
    buf_init(&b, 1 << 16);
    source_start_prose(&s, PROSE_STORY, 5, SLICE(""), false);
    drain(&s, &a, 64);
    source_start_prose(&s, PROSE_STORY, 5, SLICE(""), false);
    drain(&s, &b, 700);
    assert_true(slice_eq(buf_slice(&a), buf_slice(&b)));
    source_start_count(&s, SLICE("a-b c"), 3);
    drain(&s, &a, 64);
    assert_true(slice_eq(buf_slice(&a), SLICE("abcn1 abcn2 abcn3")));
    source_start_fixed(&s, SLICE(" one two"), true);
    drain(&s, &a, 64);
    assert_true(a.len >= 20000 && slice_starts_with(buf_slice(&a), SLICE("one two one two one")));
    source_start_fixed(&s, SLICE(" "), true);
    drain(&s, &a, 64);
    assert_int_equal(a.len, 0);
    source_start_prose(&s, PROSE_ESSAY, 5, SLICE("x"), true);
    drain(&s, &a, 64);
    assert_true(a.len >= 20000);
    source_dispose(&s);
    buf_dispose(&a);
    buf_dispose(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_laws),
        cmocka_unit_test(test_draws_keep_the_spread),
        cmocka_unit_test(test_prose_is_deterministic_and_reads_well),
        cmocka_unit_test(test_small_talk),
        cmocka_unit_test(test_sources),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
