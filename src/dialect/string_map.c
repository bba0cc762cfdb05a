/* SPDX-License-Identifier: Apache-2.0 */
#include "dialect/string_map.h"

/* Seeded by where it lies, so that nobody can choose keys that meet. */
static struct string_slot *slot_of(const struct string_map *m, struct slice key) {
    uint64_t hash = SLICE_HASH_START ^ (uint64_t)(uintptr_t)m->slots;
    for (size_t i = 0; i < key.len; i++) {
        hash = (hash ^ (unsigned char)key.ptr[i]) * SLICE_HASH_PRIME;
        hash ^= hash >> 29;
    }
    for (size_t at = hash & (m->cap - 1);; at = (at + 1) & (m->cap - 1)) {
        if (!m->slots[at].value || slice_eq(m->slots[at].key, key)) return &m->slots[at];
    }
}

void *string_map_get(const struct string_map *m, struct slice key) {
    return m->cap > 0 ? slot_of(m, key)->value : NULL;
}

void string_map_put(struct string_map *m, struct slice key, void *value) {
    if (m->n * 2 >= m->cap) {
        struct string_map old = *m;
        m->cap = old.cap ? old.cap * 4 : 64;
        m->slots = arena_alloc(m->a, m->cap * sizeof *m->slots);
        for (size_t i = 0; i < old.cap; i++) {
            if (old.slots[i].value) *slot_of(m, old.slots[i].key) = old.slots[i];
        }
    }
    struct string_slot *slot = slot_of(m, key);
    m->n += !slot->value;
    *slot = (struct string_slot){key, value};
}
