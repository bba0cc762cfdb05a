/* SPDX-License-Identifier: Apache-2.0 */
/* A law of time: how long something takes, drawn from a seeded generator. Spelled as people write
 * it:
 *   20ms                                 always
 *   0                                    no time at all
 *   20ms:10%                             evenly between 18 and 22 ms
 *   uniform(10ms, 30ms)                  (min, max)
 *   normal(20ms, 5ms)                    (mean, sd); what falls below nothing is nothing
 *   lognormal(300ms, 0.4)                (median, sigma), sigma that of the logarithm; also by
 *                                        name: (mean=, sd=), (mean=, cv=), (mean=, p99=), (median=,
 *                                        p99=)
 *   gamma(4, 5ms)                        (shape, scale); also (mean=, cv=), (mean=, shape=)
 *   exponential(20ms)                    (mean)
 *   pareto(10ms, 2.5)                    (min, alpha); also (mean=, alpha=)
 *   mixture(95:20ms, 5:pareto(1s, 1.5))  weights, of any sum, and laws
 *   empirical(FILE)                      what was measured: one number a line; `quantile value`
 *                                        lines; a column of a CSV file (column=NAME or a number
 *                                        from 1); straight lines between the order statistics
 * Units: ns, us, ms, s; a bare number is milliseconds (in a file: unit=). cv is sd / mean. No draw
 * is negative or longer than LAW_MAX_NS, and means and quantiles are those of what is drawn. */
#ifndef PENSTOCK_MOCK_LAW_H
#define PENSTOCK_MOCK_LAW_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/random.h"
#include "base/slice.h"

struct law_shape;

/* A value: copy it as you like, it lives as long as its shape does. */
struct law {
    int64_t mean_ns;                /* rounded; at least 1 with a shape */
    double spread;                  /* 0 … 1, without a shape: evenly in mean ± spread × mean */
    const struct law_shape *shape;  /* NULL: mean and spread say all. Immutable, any thread */
};

#define LAW_ZERO LAW_NS(0)
#define LAW_NS(ns) ((struct law){.mean_ns = (ns)})
#define LAW_MAX_NS (INT64_C(24) * 3600 * 1000000000)
#define LAW_TEXT_BYTES 512

/* Where a law's text comes from. */
struct law_scope {
    struct arena *arena;            /* keeps the shape; NULL: only laws without one are taken */
    bool reads_files;               /* empirical(); never for text from the network */
    const char *folder;             /* what relative paths are relative to; NULL: where we run */
};

/* 0 or -ERR_USAGE, naming the text and the forms that are known. */
int law_parse(struct slice text, const struct law_scope *scope, struct law *out_law,
              struct err *e) MUST_CHECK;
/* One draw. A constant law does not touch the generator. Same seed, same draws, on every machine
 * whose log, exp, sqrt and pow round alike. */
int64_t law_draw(const struct law *law, struct rng *r);
static inline bool law_is_zero(const struct law *law) {
    return law->mean_ns == 0;
}
/* Text that gives the same law again; returns out. */
const char *law_print(const struct law *law, char out[LAW_TEXT_BYTES]);

/* The same law in another arena's keeping (NULL: it was none's, law_release drops it). */
struct law law_copy(const struct law *law, struct arena *a);
void law_release(struct law *law);

/* ---- theory, for tests and documents ---- */

double law_mean_ns(const struct law *law);
/* The share of draws that are at most so long. */
double law_cdf(const struct law *law, double ns);
/* The shortest time that at least this share (0 … 1) of the draws keep to. */
int64_t law_quantile_ns(const struct law *law, double q);

#endif
