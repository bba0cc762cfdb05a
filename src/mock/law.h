/* SPDX-License-Identifier: Apache-2.0 */
/* A law of time: how long something takes, drawn from a seeded generator. Spelled as people write
 * it:
 *   "20ms"       constant        "0"       no time at all
 *   "20ms:10%"   uniform between 18 and 22 ms
 * Units: ns, us, ms, s; a bare number is milliseconds. More laws get a row in law.c. */
#ifndef PENSTOCK_MOCK_LAW_H
#define PENSTOCK_MOCK_LAW_H

#include <stdint.h>

#include "base/err.h"
#include "base/random.h"
#include "base/slice.h"

struct law {
    int64_t mean_ns;
    double spread;      /* 0 … 1: uniform in mean ± spread × mean */
};

#define LAW_ZERO ((struct law){0, 0.0})
#define LAW_MAX_NS (INT64_C(24) * 3600 * 1000000000)

/* 0 or -ERR_USAGE, naming the text and the forms that are known. */
int law_parse(struct slice text, struct law *out_law, struct err *e) MUST_CHECK;
/* One draw. A constant law does not touch the generator. */
int64_t law_draw(const struct law *law, struct rng *r);
static inline bool law_is_zero(const struct law *law) {
    return law->mean_ns == 0;
}

#endif
