/* SPDX-License-Identifier: Apache-2.0 */
/* Short answers to what people type first. Pure functions over one table. */
#ifndef PENSTOCK_MOCK_SMALLTALK_H
#define PENSTOCK_MOCK_SMALLTALK_H

#include "base/slice.h"

/* An answer for this text, chosen among the row's by seed; ptr NULL when no row fits. Static
 * storage. */
struct slice smalltalk_answer(struct slice user_text, uint64_t seed);
/* True when text holds the word (a-z only, lower case), without case, between non-letters. */
bool text_has_word(struct slice text, struct slice word);

#endif
