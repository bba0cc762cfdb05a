/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

__extension__ typedef unsigned __int128 uint128;

static uint64_t splitmix64(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t rotate_left(uint64_t x, int bits) {
    return (x << bits) | (x >> (64 - bits));
}

void rng_seed(struct rng *r, uint64_t seed) {
    for (int i = 0; i < 4; i++) r->state[i] = splitmix64(&seed);
}

void rng_seed_from_os(struct rng *r) {
    uint64_t seed;
    ssize_t n;
    do n = getrandom(&seed, sizeof seed, 0);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof seed) {
        perror("penstock: getrandom");
        abort();
    }
    rng_seed(r, seed);
}

uint64_t rng_next(struct rng *r) {
    uint64_t *s = r->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

/* The high half of a 128-bit product spreads evenly once the products whose low half falls below
 * 2^64 mod bound are drawn again. */
uint64_t rng_below(struct rng *r, uint64_t bound) {
    uint128 product = (uint128)rng_next(r) * bound;
    if ((uint64_t)product < bound) {
        uint64_t threshold = (0 - bound) % bound;
        while ((uint64_t)product < threshold) product = (uint128)rng_next(r) * bound;
    }
    return (uint64_t)(product >> 64);
}

double rng_unit(struct rng *r) {
    return (double)(rng_next(r) >> 11) * 0x1p-53;
}

void rng_base62(struct rng *r, char *out, size_t len) {
    static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    size_t n = 0;
    while (n < len) {
        uint64_t bits = rng_next(r);
        for (int i = 0; i < 10 && n < len; i++, bits >>= 6) {
            if ((bits & 63) < 62) out[n++] = alphabet[bits & 63];
        }
    }
}
