/* SPDX-License-Identifier: Apache-2.0 */
/* The first step of the encodings: a text is cut into words, numbers, runs of marks and runs of
 * blanks, none of which a token goes beyond. The published patterns (tiktoken 0.12) are regular
 * expressions; here they are functions, so that time is linear whatever the text, bytes that are
 * not UTF-8 have a meaning (each is a mark of its own), and Unicode's version is always the
 * same. */
#ifndef PENSTOCK_TOKEN_PRETOKEN_H
#define PENSTOCK_TOKEN_PRETOKEN_H

#include "base/slice.h"
#include "token/classes.h"

struct pretokenizer {
    const struct class_map *map;
    bool is_cl100k;                  /* else o200k */
};

/* Length of the first pre-token of a text that is not empty. is_all false: the text may go on;
 * *out_is_sure says whether the answer holds whatever comes. 0 only when not sure. */
size_t pretoken_len(const struct pretokenizer *p, struct slice text, bool is_all,
                    bool *out_is_sure);
/* Length of the code point that the text begins with, 1 for a byte that belongs to none, 0 for one
 * that is cut by the text's end or an empty text. */
size_t code_point_len(struct slice text);

#endif
