/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

/* What is to be done at the end. Lives in the arena itself. */
struct link {
    struct link *next;
    void (*drop)(void *self);
    void *self;
};

#ifdef PENSTOCK_ARENA_SPLIT

struct arena {
    struct link *links;
    void **allocations; /* not threaded through them: the bytes before each are guarded, too */
    size_t count, cap, used_bytes;
};

struct arena *arena_new(void) {
    struct arena *a = mem_zalloc(sizeof *a);
    a->used_bytes = sizeof *a;
    return a;
}

static void *alloc_raw(struct arena *a, size_t bytes) {
    if (a->count == a->cap) {
        a->cap = a->cap > 0 ? a->cap * 2 : 16;
        a->allocations = mem_realloc(a->allocations, a->cap * sizeof *a->allocations);
    }
    void *ptr = mem_alloc(bytes);
    a->allocations[a->count++] = ptr;
    a->used_bytes += bytes;
    return ptr;
}

static void free_storage(struct arena *a) {
    for (size_t i = 0; i < a->count; i++) mem_free(a->allocations[i]);
    mem_free(a->allocations);
    mem_free(a);
}

#else

#define CHUNK_FIRST_BYTES 2048
#define CHUNK_MAX_BYTES 32768
#define ALIGNMENT 16

struct chunk {
    struct chunk *next;
    size_t bytes;
};
_Static_assert(sizeof(struct chunk) % ALIGNMENT == 0, "what follows a chunk head must be aligned");

/* Lives at the start of its first chunk, the last one of the list. */
struct arena {
    struct link *links;
    struct chunk *chunks;
    char *at, *end;
    size_t next_chunk_bytes, used_bytes;
};

static size_t align_up(size_t bytes) {
    return (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

struct arena *arena_new(void) {
    struct chunk *first = mem_alloc(CHUNK_FIRST_BYTES);
    *first = (struct chunk){NULL, CHUNK_FIRST_BYTES};
    struct arena *a = (struct arena *)(void *)(first + 1);
    *a = (struct arena){
        .chunks = first,
        .at = (char *)(first + 1) + align_up(sizeof *a),
        .end = (char *)first + CHUNK_FIRST_BYTES,
        .next_chunk_bytes = CHUNK_FIRST_BYTES * 2,
        .used_bytes = CHUNK_FIRST_BYTES,
    };
    return a;
}

static char *add_chunk(struct arena *a, size_t bytes) {
    struct chunk *c = mem_alloc(bytes);
    *c = (struct chunk){a->chunks, bytes};
    a->chunks = c;
    a->used_bytes += bytes;
    return (char *)(c + 1);
}

static void *alloc_raw(struct arena *a, size_t bytes) {
    if (bytes > SIZE_MAX / 2) mem_exhausted(bytes);
    size_t need = align_up(bytes > 0 ? bytes : 1);
    if (need > (size_t)(a->end - a->at)) {
        /* A large one gets its own chunk, and the current one goes on serving small ones. */
        if (need > a->next_chunk_bytes / 4) return add_chunk(a, sizeof(struct chunk) + need);
        a->at = add_chunk(a, a->next_chunk_bytes);
        a->end = a->at + a->next_chunk_bytes - sizeof(struct chunk);
        if (a->next_chunk_bytes < CHUNK_MAX_BYTES) a->next_chunk_bytes *= 2;
    }
    void *ptr = a->at;
    a->at += need;
    return ptr;
}

static void free_storage(struct arena *a) {
    struct chunk *c = a->chunks; /* a itself lives in the last one */
    while (c) {
        struct chunk *next = c->next;
        mem_free(c);
        c = next;
    }
}

#endif

void arena_free(struct arena *a) {
    if (!a) return;
    for (struct link *l = a->links; l; l = l->next) l->drop(l->self);
    free_storage(a);
}

void *arena_alloc(struct arena *a, size_t bytes) {
    void *ptr = alloc_raw(a, bytes);
    memset(ptr, 0, bytes);
    return ptr;
}

struct slice arena_dup(struct arena *a, struct slice s) {
    char *copy = alloc_raw(a, s.len + 1);
    if (s.len > 0) memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return slice_make(copy, s.len);
}

char *arena_printf(struct arena *a, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    if (n < 0) abort(); /* only a format that cannot be printed at all: a bug of the caller */
    char *text = alloc_raw(a, (size_t)n + 1);
    vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    va_end(args);
    return text;
}

void arena_defer(struct arena *a, void (*drop)(void *self), void *self) {
    struct link *l = arena_alloc(a, sizeof *l);
    *l = (struct link){a->links, drop, self};
    a->links = l;
}

size_t arena_used_bytes(const struct arena *a) {
    return a->used_bytes;
}
