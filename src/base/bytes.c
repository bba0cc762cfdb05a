/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

#include <assert.h>

#include "base/mem.h"

struct bytes *bytes_new(size_t len) {
    /* A length near SIZE_MAX must fail in mem_alloc, not wrap around it. */
    size_t total = len <= SIZE_MAX - sizeof(struct bytes) ? sizeof(struct bytes) + len : SIZE_MAX;
    struct bytes *b = mem_alloc(total);
    b->refs = 1;
    b->len = len;
    return b;
}

struct bytes *bytes_copy(struct slice s) {
    struct bytes *b = bytes_new(s.len);
    if (s.len > 0) memcpy(b->data, s.ptr, s.len);
    return b;
}

struct bytes *bytes_ref(struct bytes *b) {
    assert(b->refs > 0 && b->refs < UINT32_MAX);
    b->refs++;
    return b;
}

void bytes_unref(struct bytes **b) {
    struct bytes *mine = *b;
    *b = NULL;
    if (!mine) return;
    assert(mine->refs > 0);
    if (--mine->refs == 0) mem_free(mine);
}
