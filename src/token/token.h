/* SPDX-License-Identifier: Apache-2.0 */
/* Byte-pair encoding as the public tokenizers do it: o200k_base and cl100k_base, so that counts
 * agree with tiktoken. Ranks are read once from a data file (find.h tells where it is looked for);
 * without it, word pieces stand in for them, about four letters each, and tokenizer_is_exact says
 * so. Special tokens (<|endoftext|>) are text here, as in a user's message.
 *
 * A tokenizer is immutable and lives as long as the program: any thread. */
#ifndef PENSTOCK_TOKEN_TOKEN_H
#define PENSTOCK_TOKEN_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

struct tokenizer;

enum encoding { ENCODING_O200K, ENCODING_CL100K, ENCODING_PIECES };

/* The one that was asked for when its ranks are at hand, else word pieces. Loaded at the first call
 * (a file is mapped: not on a loop's thread for the first time). Never NULL. */
const struct tokenizer *tokenizer_get(enum encoding want);
/* By the model's name, as tiktoken's table has it: "gpt-4o-2024-08-06" is o200k_base, "gpt-4" and
 * "text-embedding-3-small" are cl100k_base; names that the table does not know: o200k_base. */
enum encoding encoding_of_model(struct slice model);
/* "o200k_base", "cl100k_base", "word pieces". */
const char *tokenizer_name(const struct tokenizer *t);
/* False: word pieces. */
bool tokenizer_is_exact(const struct tokenizer *t);
/* The file of its ranks; "" for word pieces. */
const char *tokenizer_path(const struct tokenizer *t);
/* False, and the name wanted is found nothing of: "o200k_base". */
bool encoding_find(struct slice name, enum encoding *out);

/* Tokens of the whole text; any bytes (what is not UTF-8 is counted by its bytes). Time is about
 * linear in the text for texts of any kind. */
uint64_t tokenizer_count(const struct tokenizer *t, struct slice text);
/* Appends the ids, native uint32_t each. 0 or -ERR_LIMIT. Word pieces have the ids of their order
 * of coming. */
int tokenizer_encode(const struct tokenizer *t, struct slice text, struct buf *out_ids) MUST_CHECK;
/* The bytes of a token, static; ptr NULL: there is no such id (word pieces: never one). */
struct slice tokenizer_bytes(const struct tokenizer *t, uint32_t id);

/* Cutting a text into tokens as it is said. Zeroed to begin with (word pieces), or by
 * token_cut_start; holds no memory. `ahead` is the text not yet said, at its full length or (is_all
 * false) at least TOKEN_AHEAD_BYTES of it; it begins where a character does. `want` tokens are
 * asked for, 1 or a burst. Returns how many bytes to say: whole code points, so that a character of
 * several tokens comes at once, with all its tokens; *out_tokens: how many they are (0 at the end,
 * and only there; fewer than wanted near a window's end, more for a character's sake). What is
 * given must be said in full before the next call; whoever says less (a stop in the middle) starts
 * anew.
 *
 * Over a whole text the tokens add up to tokenizer_count of it, whatever the windows, but for one
 * case: a run of letters, of marks or of blanks of over TOKEN_AHEAD_BYTES that is not at its full
 * length ahead may be cut differently where a window ends (a run of blanks with line ends far
 * apart, above all). */
#define TOKEN_AHEAD_BYTES 4096
struct token_cut {
    const struct tokenizer *tokenizer;
    uint64_t left;                  /* of the pre-token that they belong to, behind them, bytes */
    uint16_t lens[64];              /* of the tokens that are known to come next */
    uint8_t at, n;
};
void token_cut_start(struct token_cut *c, const struct tokenizer *t);
size_t token_cut_next(struct token_cut *c, struct slice ahead, bool is_all, uint32_t want,
                      uint32_t *out_tokens);

#endif
