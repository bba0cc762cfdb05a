/* SPDX-License-Identifier: Apache-2.0 */
/* Fixed-size chunks for one worker, with a free list, and the bounded byte queue made of them. */
#ifndef PENSTOCK_BASE_SLAB_H
#define PENSTOCK_BASE_SLAB_H

#include <sys/uio.h>

#include "base/err.h"
#include "base/slice.h"

#define SLAB_CHUNK_BYTES 4096 /* the whole chunk, header included */

struct slab;
struct slab_chunk;

/* keep_free_bytes: how much the free list may keep before chunks go back to malloc. One thread. */
struct slab *slab_new(size_t keep_free_bytes);
void slab_free(struct slab *s); /* all chunks must have been returned */
size_t slab_in_use_bytes(const struct slab *s);

/* A FIFO of bytes waiting to be written. An empty queue holds no chunk. `len` may be read by
 * anyone. */
struct byteq {
    struct slab *slab;
    struct slab_chunk *head, *tail;
    size_t len, max;
};

void byteq_init(struct byteq *q, struct slab *slab, size_t max_bytes);
void byteq_dispose(struct byteq *q);
/* Copies all or nothing: 0, or -ERR_LIMIT when len would pass max ("not yet": the queue does not
 * grow). */
int byteq_append(struct byteq *q, struct slice s) MUST_CHECK;
/* Fills up to max_iov entries from the front; returns how many. Valid until the next call that
 * changes q. */
int byteq_peek(const struct byteq *q, struct iovec *out_iov, int max_iov);
void byteq_consume(struct byteq *q, size_t bytes);

#endif
