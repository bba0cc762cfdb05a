/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slab.h"

#include <assert.h>

#include "base/mem.h"

/* Bytes [start, end) of data are queued. A chunk in a queue is never empty. */
struct slab_chunk {
    struct slab_chunk *next;
    uint32_t start, end;
    char data[];
};

#define CHUNK_DATA_BYTES (SLAB_CHUNK_BYTES - sizeof(struct slab_chunk))

struct slab {
    struct slab_chunk *free;
    size_t free_count, keep_free_count, in_use_count;
};

struct slab *slab_new(size_t keep_free_bytes) {
    struct slab *s = mem_zalloc(sizeof *s);
    s->keep_free_count = keep_free_bytes / SLAB_CHUNK_BYTES;
    return s;
}

void slab_free(struct slab *s) {
    if (!s) return;
    assert(s->in_use_count == 0);
    while (s->free) {
        struct slab_chunk *c = s->free;
        s->free = c->next;
        mem_free(c);
    }
    mem_free(s);
}

size_t slab_in_use_bytes(const struct slab *s) {
    return s->in_use_count * SLAB_CHUNK_BYTES;
}

static struct slab_chunk *chunk_take(struct slab *s) {
    struct slab_chunk *c = s->free;
    if (c) {
        s->free = c->next;
        s->free_count--;
    } else {
        c = mem_alloc(SLAB_CHUNK_BYTES);
    }
    s->in_use_count++;
    c->next = NULL;
    c->start = c->end = 0;
    return c;
}

static void chunk_give_back(struct slab *s, struct slab_chunk *c) {
    s->in_use_count--;
    if (s->free_count >= s->keep_free_count) {
        mem_free(c);
        return;
    }
    c->next = s->free;
    s->free = c;
    s->free_count++;
}

void byteq_init(struct byteq *q, struct slab *slab, size_t max_bytes) {
    *q = (struct byteq){.slab = slab, .max = max_bytes};
}

void byteq_dispose(struct byteq *q) {
    byteq_consume(q, q->len);
}

/* The last chunk with room in it, a new one when it has none. */
static struct slab_chunk *writable_tail(struct byteq *q) {
    if (q->tail && q->tail->end < CHUNK_DATA_BYTES) return q->tail;
    struct slab_chunk *c = chunk_take(q->slab);
    if (q->tail) q->tail->next = c;
    else q->head = c;
    return q->tail = c;
}

int byteq_append(struct byteq *q, struct slice s) {
    if (s.len > q->max - q->len) return -ERR_LIMIT;
    q->len += s.len;
    while (s.len > 0) {
        struct slab_chunk *c = writable_tail(q);
        size_t room = CHUNK_DATA_BYTES - c->end, n = s.len < room ? s.len : room;
        memcpy(c->data + c->end, s.ptr, n);
        c->end += (uint32_t)n;
        s = slice_from(s, n);
    }
    return 0;
}

int byteq_peek(const struct byteq *q, struct iovec *out_iov, int max_iov) {
    int n = 0;
    for (struct slab_chunk *c = q->head; c && n < max_iov; c = c->next) {
        out_iov[n++] = (struct iovec){c->data + c->start, c->end - c->start};
    }
    return n;
}

void byteq_consume(struct byteq *q, size_t bytes) {
    assert(bytes <= q->len);
    q->len -= bytes;
    while (bytes > 0) {
        struct slab_chunk *c = q->head;
        size_t have = c->end - c->start;
        if (bytes < have) {
            c->start += (uint32_t)bytes;
            return;
        }
        bytes -= have;
        q->head = c->next;
        if (!q->head) q->tail = NULL;
        chunk_give_back(q->slab, c);
    }
}
