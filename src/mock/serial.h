/* SPDX-License-Identifier: Apache-2.0 */
/* Where chance comes from, besides the seed: what was asked, and how many of the same were before
 * it. Not when it came: of clients that ask side by side, each meets the same ids, times and faults
 * in every run. Any thread. */
#ifndef PENSTOCK_MOCK_SERIAL_H
#define PENSTOCK_MOCK_SERIAL_H

#include <stdatomic.h>

#include "base/slice.h"

#define SERIAL_SLOTS 65536

struct serial_slot {
    _Atomic uint64_t whose;          /* the request's hash; 0: nobody's */
    _Atomic uint64_t count;
};
/* Zeroed at first. Each of the first 30,000 different requests counts for itself (most of the next
 * 30,000, too). Those that share a counter skip numbers, and stay different. */
struct serials {
    struct serial_slot slots[SERIAL_SLOTS];
};

/* Of the nth request of these bytes, from 0. Different for different requests, but for chance. */
uint64_t serial_of(struct slice path, struct slice body, uint64_t nth);
/* Of one that has come. */
uint64_t serials_take(struct serials *s, struct slice path, struct slice body);
/* Of the next one, if it comes. */
uint64_t serials_next(struct serials *s, struct slice path, struct slice body);

#endif
