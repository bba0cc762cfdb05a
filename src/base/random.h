/* SPDX-License-Identifier: Apache-2.0 */
/* Seeded pseudo-random numbers (xoshiro256**): same seed, same sequence, on every machine. Not for
 * secrets. */
#ifndef PENSTOCK_BASE_RANDOM_H
#define PENSTOCK_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t state[4];
};

void rng_seed(struct rng *r, uint64_t seed); /* SplitMix64 spreads the seed */
/* The nth of the sequences that belong to one seed. */
static inline void rng_seed_nth(struct rng *r, uint64_t seed, uint64_t n) {
    rng_seed(r, seed ^ (n * UINT64_C(0x9e3779b97f4a7c15)));
}
void rng_seed_from_os(struct rng *r);        /* getrandom */
uint64_t rng_next(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t bound); /* 0 … bound-1, unbiased; bound > 0 */
double rng_unit(struct rng *r);                    /* [0, 1) */
/* Writes `len` characters of [0-9A-Za-z] and no NUL. */
void rng_base62(struct rng *r, char *out, size_t len);

#endif
