/* SPDX-License-Identifier: Apache-2.0 */
/* A law of bursts: how many tokens come at once, drawn from a seeded generator.
 *   4                        always
 *   1-4                      evenly 1, 2, 3 or 4; the same as uniform(1, 4)
 *   speculative(4, 70%)      decoding with a draft of so many tokens, each accepted with this
 *                            probability if all before it were: 1 to 5
 *   mixture(80:1, 20:4-8)    weights, of any sum, and laws that are no mixtures
 * A plain value without memory of its own; any thread. */
#ifndef PENSTOCK_MOCK_BURST_H
#define PENSTOCK_MOCK_BURST_H

#include "base/err.h"
#include "base/random.h"
#include "base/slice.h"

#define BURST_MAX 64
#define BURST_MAX_PARTS 8
#define BURST_TEXT_BYTES 512

/* One law of a mixture, or the only one: evenly from least to most; with an acceptance, one more
 * after another as long as the lot falls so. */
struct burst_part {
    double weight;                   /* as given */
    double acceptance;               /* 0 … 1; negative: evenly */
    unsigned least, most;            /* 1 … BURST_MAX */
};

struct burst {
    unsigned n_parts;                /* 0: always one token */
    struct burst_part parts[BURST_MAX_PARTS];
};

static inline struct burst burst_between(unsigned least, unsigned most) {
    return (struct burst){1, {{.weight = 1, .acceptance = -1, .least = least, .most = most}}};
}

/* 0 or -ERR_USAGE, naming the text and the forms that are known. */
int burst_parse(struct slice text, struct burst *out, struct err *e) MUST_CHECK;
/* 1 … BURST_MAX. What is always the same does not touch the generator. */
unsigned burst_draw(const struct burst *b, struct rng *r);
bool burst_is_constant(const struct burst *b);
double burst_mean(const struct burst *b);
/* Text that gives the same law again; returns out. */
const char *burst_print(const struct burst *b, char out[BURST_TEXT_BYTES]);

#endif
