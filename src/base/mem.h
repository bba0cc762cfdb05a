/* SPDX-License-Identifier: Apache-2.0 */
/* The one place where allocation may fail: it says so and aborts. Sizes that input controls are
 * limited before. */
#ifndef PENSTOCK_BASE_MEM_H
#define PENSTOCK_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* Says so and aborts: for sizes that cannot be had. */
_Noreturn void mem_exhausted(size_t bytes);
void *mem_alloc(size_t bytes);              /* never NULL; uninitialised */
void *mem_zalloc(size_t bytes);             /* never NULL; zeroed */
void *mem_realloc(void *ptr, size_t bytes); /* never NULL */
void mem_free(void *ptr);                   /* NULL is fine */
char *mem_dup_cstr(struct slice s);         /* NUL-terminated copy, freed by mem_free */

/* How many allocations this thread made through the functions above and through the JSON and TLS
 * hooks that count themselves with mem_count_foreign. Tests assert that events do not move it. */
uint64_t mem_alloc_count(void);
void mem_count_foreign(void);

#endif
