/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hist.h"

#include <stddef.h>

#define SUB_BUCKETS (UINT64_C(1) << HIST_SUB_BITS)
#define VALUE_MAX ((UINT64_C(1) << HIST_MAX_BITS) - 1)

/* Values below SUB_BUCKETS have a bucket each; above, the top HIST_SUB_BITS + 1 bits choose. */
static size_t bucket_of(uint64_t value) {
    if (value > VALUE_MAX) value = VALUE_MAX;
    if (value < SUB_BUCKETS) return (size_t)value;
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - HIST_SUB_BITS;
    return (size_t)(shift * SUB_BUCKETS + (value >> shift));
}

static uint64_t bucket_highest(size_t bucket) {
    if (bucket < SUB_BUCKETS) return bucket;
    if (bucket == HIST_BUCKETS - 1) return UINT64_MAX; /* holds everything larger, too */
    unsigned shift = (unsigned)(bucket / SUB_BUCKETS) - 1;
    return ((bucket % SUB_BUCKETS + SUB_BUCKETS + 1) << shift) - 1;
}

static uint64_t get(const _Atomic uint64_t *counter) {
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void set(_Atomic uint64_t *counter, uint64_t value) {
    atomic_store_explicit(counter, value, memory_order_relaxed);
}

/* One writer: a load and a store do, and cost less than an atomic addition. */
static void add(_Atomic uint64_t *counter, uint64_t n) {
    set(counter, get(counter) + n);
}

void hist_init(struct hist *h) {
    set(&h->count, 0);
    set(&h->sum, 0);
    set(&h->max, 0);
    set(&h->min, UINT64_MAX);
    for (size_t i = 0; i < HIST_BUCKETS; i++) set(&h->buckets[i], 0);
}

void hist_record_n(struct hist *h, int64_t value, uint64_t n) {
    uint64_t v = value > 0 ? (uint64_t)value : 0;
    if (n == 0) return;
    add(&h->buckets[bucket_of(v)], n);
    add(&h->sum, v * n);
    if (v > get(&h->max)) set(&h->max, v);
    if (v < get(&h->min)) set(&h->min, v);
    add(&h->count, n);
}

void hist_record(struct hist *h, int64_t value) {
    hist_record_n(h, value, 1);
}

void hist_merge(struct hist *into, const struct hist *from) {
    uint64_t max = get(&from->max), min = get(&from->min);
    for (size_t i = 0; i < HIST_BUCKETS; i++) {
        uint64_t n = get(&from->buckets[i]);
        if (n > 0) add(&into->buckets[i], n);
    }
    add(&into->count, get(&from->count));
    add(&into->sum, get(&from->sum));
    if (max > get(&into->max)) set(&into->max, max);
    if (min < get(&into->min)) set(&into->min, min);
}

/* The writer may be between two counters: what the buckets do not hold yet counts as the max. */
uint64_t hist_quantile(const struct hist *h, double q) {
    uint64_t count = get(&h->count), max = get(&h->max), seen = 0;
    if (count == 0) return 0;
    double exact = (q > 0 ? q < 1 ? q : 1 : 0) * (double)count;
    exact -= exact * 1e-15; /* 0.07 * 100 is a little over 7, and must not mean the eighth */
    uint64_t rank = (uint64_t)exact;
    if ((double)rank < exact || rank == 0) rank++;
    for (size_t i = 0; i < HIST_BUCKETS; i++) {
        seen += get(&h->buckets[i]);
        if (seen >= rank) {
            uint64_t value = bucket_highest(i);
            return value < max ? value : max;
        }
    }
    return max;
}

uint64_t hist_count_le(const struct hist *h, uint64_t bound) {
    uint64_t n = 0;
    for (size_t i = 0, last = bucket_of(bound); i <= last; i++) n += get(&h->buckets[i]);
    return n;
}
