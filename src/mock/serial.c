/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/serial.h"

enum {
    END_BYTES = 16 << 10,                /* of a large body, its ends and its length */
    PROBES = 32
};

static uint64_t hash_of(struct slice path, struct slice body) {
    uint64_t h = slice_hash(SLICE_HASH_START, path) ^ body.len;
    if (body.len <= 2 * END_BYTES) {
        return slice_hash(h, body);
    }
    h = slice_hash(h, slice_sub(body, 0, END_BYTES));
    return slice_hash(h, slice_from(body, body.len - END_BYTES));
}

/* SplitMix64's last step: no two numbers become one. */
static uint64_t spread(uint64_t n) {
    n = (n ^ (n >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    n = (n ^ (n >> 27)) * UINT64_C(0x94d049bb133111eb);
    return n ^ (n >> 31);
}

static uint64_t serial_nth(uint64_t hash, uint64_t nth) {
    return spread(hash + nth * UINT64_C(0x9e3779b97f4a7c15));
}

uint64_t serial_of(struct slice path, struct slice body, uint64_t nth) {
    return serial_nth(hash_of(path, body), nth);
}

/* The slot of these, or the free one that they would take; NULL: all that they may have are taken.
 * Slots are never given back: a free one ends the search. */
static struct serial_slot *slot_find(struct serials *s, uint64_t whose, uint64_t *out_seen) {
    uint64_t at = spread(whose), step = at >> 32 | 1;
    for (unsigned i = 0; i < PROBES; i++, at += step) {
        struct serial_slot *slot = &s->slots[at % SERIAL_SLOTS];
        *out_seen = atomic_load_explicit(&slot->whose, memory_order_relaxed);
        if (*out_seen == whose || *out_seen == 0) {
            return slot;
        }
    }
    return NULL;
}

static uint64_t whose_of(uint64_t hash) {
    return hash ? hash : 1;
}

/* When there is no other, somebody else's. */
static struct serial_slot *slot_shared(struct serials *s, uint64_t whose) {
    return &s->slots[spread(whose) % SERIAL_SLOTS];
}

static struct serial_slot *slot_take(struct serials *s, uint64_t whose) {
    struct serial_slot *slot;
    uint64_t seen;
    while ((slot = slot_find(s, whose, &seen)) != NULL) {
        if (seen == whose ||
            atomic_compare_exchange_strong_explicit(&slot->whose, &seen, whose,
                                                    memory_order_relaxed, memory_order_relaxed)) {
            return slot;
        }
    }
    return slot_shared(s, whose);
}

uint64_t serials_take(struct serials *s, struct slice path, struct slice body) {
    uint64_t hash = hash_of(path, body);
    struct serial_slot *slot = slot_take(s, whose_of(hash));
    return serial_nth(hash, atomic_fetch_add_explicit(&slot->count, 1, memory_order_relaxed));
}

uint64_t serials_next(struct serials *s, struct slice path, struct slice body) {
    uint64_t hash = hash_of(path, body), seen;
    struct serial_slot *slot = slot_find(s, whose_of(hash), &seen);
    slot = slot ? slot : slot_shared(s, whose_of(hash));
    return serial_nth(hash, atomic_load_explicit(&slot->count, memory_order_relaxed));
}
