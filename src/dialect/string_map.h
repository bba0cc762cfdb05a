/* SPDX-License-Identifier: Apache-2.0 */
/* Strings to pointers, in an arena: for ids and names that a request brings, as many as it
 * likes. */
#ifndef PENSTOCK_DIALECT_STRING_MAP_H
#define PENSTOCK_DIALECT_STRING_MAP_H

#include "base/arena.h"
#include "base/slice.h"

struct string_slot {
    struct slice key;
    void *value;
};
/* Zeroed but for the arena at first. */
struct string_map {
    struct arena *a;
    struct string_slot *slots;
    size_t n, cap;
};
/* NULL: none. */
void *string_map_get(const struct string_map *m, struct slice key);
/* In the place of what was there; the key must live as long as the map; value is not NULL. */
void string_map_put(struct string_map *m, struct slice key, void *value);

#endif
