/* SPDX-License-Identifier: Apache-2.0 */
/* The second step of the encodings: the bytes of a pre-token are merged, always the pair with the
 * lowest rank first and of equals the leftmost, until no pair of neighbours is a token. */
#ifndef PENSTOCK_TOKEN_BPE_H
#define PENSTOCK_TOKEN_BPE_H

#include "base/slice.h"
#include "token/ranks.h"

/* Where the tokens go, one by one. */
struct token_sink {
    void (*put)(struct token_sink *sink, uint32_t id, uint32_t len);
};

/* Memory for long pre-tokens, kept between calls. Zeroed to begin with. */
struct bpe_scratch {
    void *memory;
    size_t places;                   /* bytes of a stretch that it is enough for */
};
void bpe_scratch_dispose(struct bpe_scratch *s);

/* Longer pre-tokens are merged in stretches that overlap: what lies BPE_MARGIN_BYTES behind a token
 * has no say in it but in theory (it takes a chain of merges over all that way, each prevented by
 * the next one). Bounds the memory: about 28 bytes for each of a stretch. */
enum { BPE_STRETCH_BYTES = 64 * 1024, BPE_MARGIN_BYTES = 8 * 1024 };

/* The tokens of a pre-token that is not empty. */
void bpe_encode(const struct ranks *r, struct slice word, struct bpe_scratch *scratch,
                struct token_sink *sink);

#endif
