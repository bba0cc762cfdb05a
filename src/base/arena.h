/* SPDX-License-Identifier: Apache-2.0 */
/* A request's memory: everything that lives as long as the request comes from its arena, and one
 * call ends it. With -DPENSTOCK_ARENA_SPLIT (the sanitizer builds) each allocation is its own
 * malloc, so that ASan sees every overrun. One thread. Chunks come from malloc: 2 KiB first, then
 * doubling up to 32 KiB; a large allocation gets its own. */
#ifndef PENSTOCK_BASE_ARENA_H
#define PENSTOCK_BASE_ARENA_H

#include "base/slice.h"

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *a);                        /* NULL is fine; what is deferred first */
void *arena_alloc(struct arena *a, size_t bytes);        /* 16-aligned, zeroed, never NULL */
struct slice arena_dup(struct arena *a, struct slice s); /* also NUL-terminated behind len */
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Called by arena_free, the last one first, before the memory goes: gives back what the arena holds
 * besides. */
void arena_defer(struct arena *a, void (*drop)(void *self), void *self);
size_t arena_used_bytes(const struct arena *a);    /* held from malloc, for accounting */

#endif
