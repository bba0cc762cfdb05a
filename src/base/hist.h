/* SPDX-License-Identifier: Apache-2.0 */
/* Log-linear histogram: 32 sub-buckets a power of two (relative error under 3.2 %), values 0 …
 * 2^40-1 (larger ones count in the last bucket), fixed memory, mergeable. One writer thread;
 * readers may read at any time from other threads: counters are relaxed atomics written without
 * read-modify-write. Values are whatever unit the owner says, usually nanoseconds or bytes. */
#ifndef PENSTOCK_BASE_HIST_H
#define PENSTOCK_BASE_HIST_H

#include <stdatomic.h>
#include <stdint.h>

#define HIST_SUB_BITS 5
#define HIST_MAX_BITS 40
#define HIST_BUCKETS ((HIST_MAX_BITS - HIST_SUB_BITS + 1) * (1 << HIST_SUB_BITS))

struct hist {
    _Atomic uint64_t count, sum, max, min; /* min is UINT64_MAX while empty */
    _Atomic uint64_t buckets[HIST_BUCKETS];
};

void hist_init(struct hist *h);
void hist_record(struct hist *h, int64_t value); /* negative counts as 0 */
void hist_record_n(struct hist *h, int64_t value, uint64_t n);
void hist_merge(struct hist *into, const struct hist *from); /* into: private to the caller */
/* Highest value that is equivalent to the one at this quantile (0 … 1), capped by max. 0 when
 * empty: look at count first. */
uint64_t hist_quantile(const struct hist *h, double q);
/* How many recorded values are <= bound (bucket resolution: values of the bucket that holds bound
 * count in). */
uint64_t hist_count_le(const struct hist *h, uint64_t bound);

#endif
