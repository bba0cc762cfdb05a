/* SPDX-License-Identifier: Apache-2.0 */
/* Proofs of thoughts that scripts gave, word for word: they come back in the next turn, and cannot
 * be recomputed. Hashes of the last ones are kept. Any thread. */
#ifndef PENSTOCK_MOCK_GIVEN_H
#define PENSTOCK_MOCK_GIVEN_H

#include "mock/script.h"

struct given;

struct given *given_new(void);
void given_free(struct given **g);
/* All that the script gives. */
void given_add(struct given *g, const struct script *s);
bool given_knows(struct given *g, struct slice proof);

#endif
