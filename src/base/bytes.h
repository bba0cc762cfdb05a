/* SPDX-License-Identifier: Apache-2.0 */
/* Reference-counted bytes for what outlives a request or is shared. One thread: the count is not
 * atomic. */
#ifndef PENSTOCK_BASE_BYTES_H
#define PENSTOCK_BASE_BYTES_H

#include "base/slice.h"

struct bytes {
    uint32_t refs;
    size_t len;
    char data[];
};

struct bytes *bytes_new(size_t len); /* refs = 1, data uninitialised */
struct bytes *bytes_copy(struct slice s);
struct bytes *bytes_ref(struct bytes *b);
void bytes_unref(struct bytes **b); /* clears the caller's pointer; NULL is fine */
static inline struct slice bytes_slice(const struct bytes *b) {
    return b ? (struct slice){b->data, b->len} : SLICE_NULL;
}

#endif
