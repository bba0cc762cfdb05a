/* SPDX-License-Identifier: Apache-2.0 */
/* Texts as unit vectors: the same text the same vector, texts that share words near each other,
 * words of the same stem somewhat. The sum of one sparse random direction a word and a part of a
 * word; the order of words has no part in it. Pure, any thread. */
#ifndef PENSTOCK_MOCK_VECTOR_H
#define PENSTOCK_MOCK_VECTOR_H

#include "base/slice.h"

#define VECTOR_MAX 4096

/* How long the model's vectors are when nobody says. */
unsigned vector_dimensions(struct slice model);
/* The first n dimensions of a vector that has `whole` of them, at length 1 again. n <= whole <=
 * VECTOR_MAX, n > 0; v has room for `whole`. */
void vector_of_text(struct slice text, uint64_t seed, float *v, unsigned whole, unsigned n);

#endif
