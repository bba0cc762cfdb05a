/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <assert.h>
#include <stdio.h>

#include "base/mem.h"

#define BUF_FIRST_BYTES 64

void buf_init(struct buf *b, size_t max_bytes) {
    *b = (struct buf){.max = max_bytes};
}

void buf_dispose(struct buf *b) {
    mem_free(b->ptr);
    buf_init(b, b->max);
}

void buf_reset(struct buf *b) {
    b->len = 0;
}

/* Storage for `need` bytes, and one more for vsnprintf's NUL, which cap does not count. */
static void grow(struct buf *b, size_t need) {
    size_t bytes = b->cap < BUF_FIRST_BYTES / 2 ? BUF_FIRST_BYTES : (b->cap + 1) * 2;
    if (bytes <= need) bytes = need + 1;
    if (bytes - 1 > b->max) bytes = b->max + 1;
    b->ptr = mem_realloc(b->ptr, bytes);
    b->cap = bytes - 1;
}

char *buf_reserve(struct buf *b, size_t bytes) {
    if (bytes > b->max - b->len) return NULL;
    if (!b->ptr || bytes > b->cap - b->len) grow(b, b->len + bytes);
    return b->ptr + b->len;
}

void buf_commit(struct buf *b, size_t bytes) {
    assert(bytes <= b->cap - b->len);
    b->len += bytes;
}

int buf_append(struct buf *b, struct slice s) {
    if (s.len == 0) return 0;
    char *to = buf_reserve(b, s.len);
    if (!to) return -ERR_LIMIT;
    memcpy(to, s.ptr, s.len);
    b->len += s.len;
    return 0;
}

int buf_append_byte(struct buf *b, char byte) {
    if (b->len == b->cap && !buf_reserve(b, 1)) return -ERR_LIMIT;
    b->ptr[b->len++] = byte;
    return 0;
}

int buf_appendf(struct buf *b, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    size_t room = b->ptr ? b->cap - b->len + 1 : 0;
    int n = vsnprintf(room > 0 ? b->ptr + b->len : NULL, room, format, args);
    int rc = n < 0 ? -ERR_LIMIT : 0;
    if (n >= 0 && (size_t)n >= room) {
        char *to = buf_reserve(b, (size_t)n);
        rc = to ? 0 : -ERR_LIMIT;
        if (to) vsnprintf(to, (size_t)n + 1, format, again);
    }
    if (rc == 0) b->len += (size_t)n;
    va_end(again);
    va_end(args);
    return rc;
}

void buf_consume(struct buf *b, size_t bytes) {
    assert(bytes <= b->len);
    b->len -= bytes;
    if (b->len > 0 && bytes > 0) memmove(b->ptr, b->ptr + bytes, b->len);
}
