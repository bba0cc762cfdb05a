/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens, approximately, for where no ranks are at hand. A piece is
 *   - an optional single space and then up to 12 bytes of letters and digits (whole code points;
 *     every byte from 0x80 on counts as a letter), or
 *   - an optional single space and then up to 3 times the same other character, or
 *   - a run of blanks that is not a single space before a word.
 * English prose comes out near four characters a piece, like the byte-pair encodings of real
 * models; the counts are close, not equal. Pure functions. */
#ifndef PENSTOCK_TOKEN_PIECES_H
#define PENSTOCK_TOKEN_PIECES_H

#include "base/slice.h"

/* Length of the first piece; 0 only when text is empty. Never cuts a UTF-8 sequence. */
size_t piece_len(struct slice text);

#endif
