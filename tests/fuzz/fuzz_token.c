/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes: as tokens they come back, and cut through windows they are as many. Without the
 * tokenizers' data (make ranks), word pieces only. */
#include "fuzz.h"
#include "token/token.h"

static void check_round_trip(const struct tokenizer *t, struct slice text) {
    struct buf ids;
    buf_init(&ids, 1 << 26);
    must(tokenizer_encode(t, text, &ids) == 0);
    size_t n = ids.len / sizeof(uint32_t), at = 0;
    must(n == tokenizer_count(t, text));
    for (size_t i = 0; i < n && tokenizer_is_exact(t); i++) {
        struct slice bytes = tokenizer_bytes(t, ((const uint32_t *)(const void *)ids.ptr)[i]);
        must(bytes.len > 0 && slice_starts_with(slice_from(text, at), bytes));
        at += bytes.len;
    }
    must(at == text.len || !tokenizer_is_exact(t));
    buf_dispose(&ids);
}

/* Where a text is given in full, or its runs are shorter than a window. */
static void check_cut(const struct tokenizer *t, struct slice text, uint32_t want, bool in_full) {
    struct token_cut c;
    uint64_t tokens = 0;
    size_t at = 0;
    token_cut_start(&c, t);
    while (at < text.len) {
        struct slice rest = slice_from(text, at);
        bool is_all = in_full || rest.len <= TOKEN_AHEAD_BYTES;
        uint32_t n;
        size_t len = token_cut_next(&c, is_all ? rest : slice_sub(rest, 0, TOKEN_AHEAD_BYTES),
                                    is_all, want, &n);
        must(len > 0 && len <= rest.len && n > 0);
        at += len;
        tokens += n;
    }
    must(tokens == tokenizer_count(t, text) || !in_full);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    struct slice text = {(const char *)data + 1, size - 1};
    for (enum encoding e = ENCODING_O200K; e <= ENCODING_PIECES; e++) {
        const struct tokenizer *t = tokenizer_get(e);
        check_round_trip(t, text);
        check_cut(t, text, 1 + data[0] % 8, true);
        check_cut(t, text, 1 + data[0] % 8, false);
    }
    (void)encoding_of_model(text);
    return 0;
}
