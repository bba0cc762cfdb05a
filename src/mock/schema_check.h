/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a value satisfies a JSON schema: types, enum and const, all bounds, local references,
 * anyOf, oneOf, allOf, not, conditions, properties of all kinds, items of all kinds. Formats and
 * what reaches out of the document (remote references) are taken as they are. Drafts 4 to 2020-12
 * and OpenAPI's `nullable`. Pure, any thread. */
#ifndef PENSTOCK_MOCK_SCHEMA_CHECK_H
#define PENSTOCK_MOCK_SCHEMA_CHECK_H

#include <yyjson.h>

#include "base/slice.h"

enum schema_type {
    SCHEMA_NULL = 1 << 0,
    SCHEMA_BOOL = 1 << 1,
    SCHEMA_INTEGER = 1 << 2,
    SCHEMA_FRACTION = 1 << 3,      /* a number that is no integer */
    SCHEMA_STRING = 1 << 4,
    SCHEMA_ARRAY = 1 << 5,
    SCHEMA_OBJECT = 1 << 6,
    SCHEMA_NUMBER = SCHEMA_INTEGER | SCHEMA_FRACTION,
    SCHEMA_ANY = (1 << 7) - 1
};

/* Steps that may still be taken: schemas can be made to take for ever. When they are used up, what
 * has not been looked at fits. */
struct schema_check {
    yyjson_val *root;
    unsigned steps;
    unsigned depth;
};

bool schema_holds(struct schema_check *c, yyjson_val *schema, yyjson_val *value);

/* ---- shared with who makes values ---- */

/* What `$ref` points to in the document: "#", "#/a/b", "#anchor"; NULL when it is elsewhere. */
yyjson_val *schema_target(yyjson_val *root, struct slice ref);
/* `type` (and `nullable`) as bits; SCHEMA_ANY when it is absent. */
unsigned schema_types(yyjson_val *schema);
/* A bound as a number; `absent` when there is none. Booleans of draft 4 are none. */
double schema_number(yyjson_val *schema, const char *key, double absent);
/* False, too, for a pattern that cannot be compiled: *out_is_known tells. */
bool schema_pattern_fits(struct slice pattern, struct slice text, bool *out_is_known);
size_t schema_code_points(struct slice text);
struct slice schema_text(yyjson_val *v);

#endif
