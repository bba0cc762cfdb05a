/* SPDX-License-Identifier: Apache-2.0 */
/* An owned, growing run of bytes that is told its maximum at init. Idle costs nothing: storage
 * comes with the first byte. One thread at a time. */
#ifndef PENSTOCK_BASE_BUF_H
#define PENSTOCK_BASE_BUF_H

#include "base/err.h"
#include "base/slice.h"

struct buf {
    char *ptr;
    size_t len, cap, max;
};

/* Never holds more than max_bytes. */
void buf_init(struct buf *b, size_t max_bytes);
void buf_dispose(struct buf *b); /* frees; b may be used again as after init */
void buf_reset(struct buf *b);   /* len = 0, storage kept */
/* All or nothing: 0, or -ERR_LIMIT with nothing appended. The slice must not point into b. */
int buf_append(struct buf *b, struct slice s) MUST_CHECK;
int buf_append_byte(struct buf *b, char byte) MUST_CHECK;
int buf_appendf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3) MUST_CHECK;
/* Room for `bytes` more, contiguous; NULL when over max. Write there, then buf_commit what was
 * written. Valid until the next call that changes b. */
char *buf_reserve(struct buf *b, size_t bytes) MUST_CHECK;
void buf_commit(struct buf *b, size_t bytes);
void buf_consume(struct buf *b, size_t bytes); /* drops from the front; moves the rest */
static inline struct slice buf_slice(const struct buf *b) {
    return (struct slice){b->ptr, b->len};
}

#endif
