/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

static _Thread_local uint64_t alloc_count;

_Noreturn void mem_exhausted(size_t bytes) {
    fprintf(stderr, "penstock: out of memory allocating %zu bytes\n", bytes);
    abort();
}

static void *checked(void *ptr, size_t bytes) {
    if (!ptr) mem_exhausted(bytes);
    return ptr;
}

void *mem_alloc(size_t bytes) {
    alloc_count++;
    return checked(malloc(bytes > 0 ? bytes : 1), bytes);
}

void *mem_zalloc(size_t bytes) {
    alloc_count++;
    return checked(calloc(1, bytes > 0 ? bytes : 1), bytes);
}

void *mem_realloc(void *ptr, size_t bytes) {
    alloc_count++;
    return checked(realloc(ptr, bytes > 0 ? bytes : 1), bytes);
}

void mem_free(void *ptr) {
    free(ptr);
}

char *mem_dup_cstr(struct slice s) {
    char *copy = mem_alloc(s.len + 1);
    if (s.len > 0) memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return copy;
}

uint64_t mem_alloc_count(void) {
    return alloc_count;
}

void mem_count_foreign(void) {
    alloc_count++;
}
