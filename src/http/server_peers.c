/* SPDX-License-Identifier: Apache-2.0 */
/* Open addressing with linear probing; removal shifts back, so that no tombstones pile up. Keys are
 * mixed with a seed: clients choose their addresses. */
#include "base/mem.h"
#include "http/server-private.h"

struct peer {
    uint64_t high, low;   /* IPv6: the /64 and 0; IPv4: 0 and the address with a mark */
    unsigned count;       /* 0: free */
};

struct peer_table {
    uint64_t seed;
    unsigned n_slots, n_used;   /* slots: a power of two, at most half used */
    struct peer *slots;
};

#define FIRST_SLOTS 64

struct peer_table *peer_table_new(uint64_t seed) {
    struct peer_table *t = mem_alloc(sizeof *t);
    *t = (struct peer_table){.seed = seed, .n_slots = FIRST_SLOTS};
    t->slots = mem_zalloc(FIRST_SLOTS * sizeof *t->slots);
    return t;
}

void peer_table_free(struct peer_table **t) {
    if (*t) mem_free((*t)->slots);
    mem_free(*t);
    *t = NULL;
}

static struct peer key_of(const struct addr *a) {
    struct peer key = {0, 0, 0};
    const unsigned char *v6 = a->u.in6.sin6_addr.s6_addr;
    uint32_t v4 = 0;
    if (a->u.sa.sa_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&a->u.in6.sin6_addr)) {
        memcpy(&key.high, v6, sizeof key.high);
        return key;
    }
    if (a->u.sa.sa_family == AF_INET6) memcpy(&v4, v6 + 12, sizeof v4);
    if (a->u.sa.sa_family == AF_INET) memcpy(&v4, &a->u.in4.sin_addr, sizeof v4);
    key.low = UINT64_C(1) << 32 | v4;
    return key;
}

static unsigned home_slot(const struct peer_table *t, const struct peer *key) {
    uint64_t h = key->high * UINT64_C(0x9e3779b97f4a7c15) ^ key->low ^ t->seed;
    h = (h ^ h >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    h = (h ^ h >> 27) * UINT64_C(0x94d049bb133111eb);
    return (unsigned)(h >> 32) & (t->n_slots - 1);
}

/* The key's slot, or the free one where it belongs. */
static unsigned find_slot(const struct peer_table *t, const struct peer *key) {
    unsigned i = home_slot(t, key);
    while (t->slots[i].count > 0 &&
           (t->slots[i].high != key->high || t->slots[i].low != key->low)) {
        i = (i + 1) & (t->n_slots - 1);
    }
    return i;
}

static void grow(struct peer_table *t) {
    struct peer *old = t->slots;
    const unsigned n_old = t->n_slots;
    t->n_slots *= 2;
    t->slots = mem_zalloc(t->n_slots * sizeof *t->slots);
    for (unsigned i = 0; i < n_old; i++) {
        if (old[i].count > 0) t->slots[find_slot(t, &old[i])] = old[i];
    }
    mem_free(old);
}

bool peer_table_add(struct peer_table *t, const struct addr *a, unsigned max) {
    if (t->n_used * 2 >= t->n_slots) grow(t);
    struct peer key = key_of(a);
    struct peer *slot = &t->slots[find_slot(t, &key)];
    if (slot->count >= max) return false;
    if (slot->count == 0) {
        *slot = key;
        t->n_used++;
    }
    slot->count++;
    return true;
}

/* Moves later entries of the probe run into the hole when their home allows it. */
static void close_hole(struct peer_table *t, unsigned hole) {
    const unsigned mask = t->n_slots - 1;
    for (unsigned i = (hole + 1) & mask; t->slots[i].count > 0; i = (i + 1) & mask) {
        const unsigned home = home_slot(t, &t->slots[i]);
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            t->slots[hole] = t->slots[i];
            t->slots[i].count = 0;
            hole = i;
        }
    }
}

void peer_table_remove(struct peer_table *t, const struct addr *a) {
    struct peer key = key_of(a);
    const unsigned i = find_slot(t, &key);
    if (t->slots[i].count == 0 || --t->slots[i].count > 0) return;
    t->n_used--;
    close_hole(t, i);
}
