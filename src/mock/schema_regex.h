/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that fit a regular expression of a JSON schema: literals, classes, groups, alternatives,
 * repeats, anchors. What looks around is read over; references back are not understood. Pure, any
 * thread. */
#ifndef PENSTOCK_MOCK_SCHEMA_REGEX_H
#define PENSTOCK_MOCK_SCHEMA_REGEX_H

#include "base/buf.h"
#include "base/random.h"

struct regex_say {
    struct rng *rng;
    unsigned reach;          /* repeats without a bound go so far beyond their least */
    bool is_wild;            /* any character of a class, not the plain ones alone */
};

/* Appends a text; ASCII where the pattern leaves the choice. 0; -ERR_USAGE when the pattern has
 * what is not understood; -ERR_LIMIT. Whoever needs to be sure matches the text. */
int regex_say(struct slice pattern, const struct regex_say *how, struct buf *out) MUST_CHECK;

#endif
