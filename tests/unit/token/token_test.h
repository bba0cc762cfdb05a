/* SPDX-License-Identifier: Apache-2.0 */
/* Texts for the tokenizers' tests. */
#ifndef PENSTOCK_TESTS_TOKEN_TEST_H
#define PENSTOCK_TESTS_TOKEN_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/random.h"
#include "token/token.h"

/* The exact one: these tests are about nothing else. */
static inline const struct tokenizer *exact_tokenizer(enum encoding e) {
    const struct tokenizer *t = tokenizer_get(e);
    if (!tokenizer_is_exact(t)) {
        fail_msg("the tokenizers' data is not there: run `make ranks`");
    }
    return t;
}

static inline void append(struct buf *b, struct slice s) {
    assert_int_equal(buf_append(b, s), 0);
}

/* Appends some bytes of some kind: words, blanks, marks, other scripts, bytes that are no UTF-8,
 * and sometimes a long run. */
static inline void append_random(struct buf *b, struct rng *r, size_t longest_run) {
    static const char *const bits[] = {
        "the", "Token", "HTTPServer", "it's", "WE'LL", "12345", " ", "  ", "\n", " \n\n", "\t", "!", "...",
        "//", "'s", "\xc5\xbf", "\xe4\xb8\xad", "\xc3\xa9", "\xd0\x96", "\xf0\x9f\x98\x80", "\xcc\x81",
        "\xe2\x80\x8d", "\xc2\xa0", "\xe3\x80\x80", "\xff", "\x80", "\xf0\x9f", "\xed\xa0\x80", "\xc2", "{\"",
        "\":", "a", "A", "=", "\xd9\xa3", "\xe0\xa4\xa8\xe0\xa4\xbf",
    };
    struct slice bit = slice_cstr(bits[rng_below(r, sizeof bits / sizeof bits[0])]);
    size_t times = rng_below(r, 40) ? 1 : 1 + rng_below(r, longest_run);
    while (times-- > 0) append(b, bit);
}

static inline void random_text(struct buf *b, struct rng *r, size_t bytes, size_t longest_run) {
    buf_reset(b);
    while (b->len < bytes) append_random(b, r, longest_run);
}

#endif
