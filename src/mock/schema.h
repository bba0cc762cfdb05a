/* SPDX-License-Identifier: Apache-2.0 */
/* JSON that satisfies a JSON schema, for tool calls and structured output: deterministic by seed,
 * with words and numbers of the user's text where they fit. Understood: type (one or several),
 * enum, const, default, properties, required, items, prefixItems, min/max of everything,
 * multipleOf, format, anyOf/oneOf (the first), allOf, local $ref. `pattern` and conditions are
 * not. */
#ifndef PENSTOCK_MOCK_SCHEMA_H
#define PENSTOCK_MOCK_SCHEMA_H

#include "base/buf.h"

/* Appends one value for the schema (raw JSON; empty: an empty object). user_text: hints, may be
 * empty. 0; -ERR_PROTOCOL when the schema is no JSON object; -ERR_LIMIT when out is full or the
 * schema is larger than 256 KiB or nested deeper than 64. Allocates while it runs. */
int schema_fill(struct slice schema, struct slice user_text, uint64_t seed,
                struct buf *out) MUST_CHECK;

#endif
