/* SPDX-License-Identifier: Apache-2.0 */
/* The short cut for text deltas: what stands around the one string that changes from frame to
 * frame. Any dialect; one a stream. */
#ifndef PENSTOCK_DIALECT_MOULD_H
#define PENSTOCK_DIALECT_MOULD_H

#include "base/slice.h"

struct mould; /* freed by mem_free */
/* Whether `data` is the mould around another plain string; that string's token, between its quotes.
 * m may be NULL. */
bool mould_fits(struct mould *m, struct slice data, struct span *out_string);
/* Of a frame that meant one DELTA, of the string whose token is at `string`, and nothing else.
 * False: none was made, and what *m holds is of another frame. Allocates for the first one, and for
 * a larger one than before. */
bool mould_make(struct mould **m, struct slice data, struct span string);

#endif
