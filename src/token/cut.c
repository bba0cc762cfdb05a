/* SPDX-License-Identifier: Apache-2.0 */
#include "token/bpe.h"
#include "token/pieces.h"
#include "token/token-private.h"

/* A long pre-token is merged in stretches of this; see bpe.h about the margin. The longest token
 * is half as long as the margin. */
enum { SPAN_BYTES = 2048, MARGIN_BYTES = 512, LENS = 64 };

_Static_assert(RANKS_TOKEN_BYTES_MAX * 2 <= MARGIN_BYTES, "the longest token fits twice");
_Static_assert(SPAN_BYTES * 2 <= TOKEN_AHEAD_BYTES, "a stretch fits into what is ahead");

void token_cut_start(struct token_cut *c, const struct tokenizer *t) {
    memset(c, 0, sizeof *c);
    c->tokenizer = t;
}

/* ---- the tokens to come ---- */

struct collector {
    struct token_sink sink;
    struct token_cut *cut;
    size_t stop;                     /* tokens that begin from here on are not yet known */
    size_t at;
};

static void collect(struct token_sink *sink, uint32_t id, uint32_t len) {
    (void)id;
    struct collector *k = (struct collector *)sink;
    bool is_next = k->cut->n < LENS && k->at < k->stop && k->cut->left >= len;
    if (!is_next) {
        k->stop = 0;                 /* nor what follows */
        return;
    }
    k->cut->lens[k->cut->n++] = (uint16_t)len;
    k->cut->left -= len;
    k->at += len;
}

/* Fills lens from the pre-token's rest; text begins with it, and has SPAN_BYTES of it or all. */
static void fill(struct token_cut *c, struct slice text) {
    struct bpe_scratch scratch = {0};
    bool is_all = c->left <= SPAN_BYTES;
    struct slice span = slice_sub(text, 0, is_all ? (size_t)c->left : SPAN_BYTES);
    struct collector k = {.sink.put = collect, .cut = c,
                          .stop = is_all ? SIZE_MAX : SPAN_BYTES - MARGIN_BYTES};
    const struct ranks *r = &c->tokenizer->ranks;
    c->at = c->n = 0;
    if (is_all && ranks_find(r, (const unsigned char *)span.ptr, span.len) != RANK_NONE) {
        collect(&k.sink, 0, (uint32_t)span.len);
        return;
    }
    bpe_encode(r, span, &scratch, &k.sink);
    bpe_scratch_dispose(&scratch);
}

/* ---- whole code points ---- */

/* Whether a place is inside a character's bytes. */
static bool is_inside(struct slice text, size_t at) {
    if (at >= text.len || (text.ptr[at] & 0xc0) != 0x80) return false;
    for (size_t back = 1; back <= 3 && back <= at; back++) {
        if (code_point_len(slice_from(text, at - back)) > back) return true;
    }
    return false;
}

/* ---- asking ---- */

/* The window ends before it is sure where the pre-token does: as if the text ended there, but only
 * as far as that seems safe. The rest is a pre-token of its own. */
static void guess_next(struct token_cut *c, struct slice text) {
    bool is_sure;
    c->left = pretoken_len(&c->tokenizer->pretokenizer, text, true, &is_sure);
    bool is_long = c->left > SPAN_BYTES;
    fill(c, text);
    if (is_long) c->left = 0;
}

/* Sees to it that lens holds the token that `text` begins with. */
static void know_next(struct token_cut *c, struct slice text, bool is_all) {
    if (c->at < c->n) return;
    if (is_all && c->left > text.len) c->left = text.len;
    if (c->left == 0) {
        bool is_sure;
        c->left = pretoken_len(&c->tokenizer->pretokenizer, text, is_all, &is_sure);
        if (!is_sure) {
            guess_next(c, text);
            return;
        }
    }
    fill(c, text);
}

static size_t cut_pieces(struct slice ahead, uint32_t want, uint32_t *out_tokens) {
    size_t off = 0;
    uint32_t n = 0;
    while (off < ahead.len && (n < want || n == 0)) {
        off += piece_len(slice_from(ahead, off));
        n++;
    }
    *out_tokens = n;
    return off;
}

static size_t cut_tokens(struct token_cut *c, struct slice ahead, bool is_all, uint32_t want,
                         uint32_t *out_tokens) {
    size_t off = 0;
    uint32_t n = 0;
    bool is_whole = true;            /* off is at the end of a code point */
    while (off < ahead.len && (n < want || n == 0 || !is_whole)) {
        bool is_short = !is_all && ahead.len - off < SPAN_BYTES + MARGIN_BYTES;
        if (is_short && is_whole && n > 0) break;
        know_next(c, slice_from(ahead, off), is_all);
        size_t len = c->lens[c->at++];
        off += len < ahead.len - off ? len : ahead.len - off;
        n++;
        is_whole = !is_inside(ahead, off);
    }
    *out_tokens = n;
    return off;
}

size_t token_cut_next(struct token_cut *c, struct slice ahead, bool is_all, uint32_t want,
                      uint32_t *out_tokens) {
    if (!c->tokenizer || !tokenizer_is_exact(c->tokenizer)) {
        return cut_pieces(ahead, want, out_tokens);
    }
    return cut_tokens(c, ahead, is_all || ahead.len < TOKEN_AHEAD_BYTES, want, out_tokens);
}
