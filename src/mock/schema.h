/* SPDX-License-Identifier: Apache-2.0 */
/* JSON that satisfies a JSON schema, for tool calls and structured output: deterministic by seed,
 * with words and numbers of the user's text where they fit. What is made is checked against the
 * schema (schema_check.h tells what is understood), and made again when it does not hold. */
#ifndef PENSTOCK_MOCK_SCHEMA_H
#define PENSTOCK_MOCK_SCHEMA_H

#include "base/buf.h"

enum schema_taste {
    SCHEMA_SENSIBLE,         /* what a caller of tools would say */
    SCHEMA_WILD              /* edges now and then: nothing, much, far, escaped */
};

/* Appends one value for the schema (raw JSON; empty: an empty object). user_text: hints, may be
 * empty. 0; -ERR_PROTOCOL when the schema is no JSON object; -ERR_LIMIT when out is full or the
 * schema is larger than 256 KiB or nested deeper than 64. A schema that nothing satisfies gets a
 * value all the same. Allocates while it runs. */
int schema_fill(struct slice schema, enum schema_taste taste, struct slice user_text, uint64_t seed,
                struct buf *out) MUST_CHECK;

#endif
