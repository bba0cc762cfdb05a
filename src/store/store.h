/* SPDX-License-Identifier: Apache-2.0 */
/* Keys to bytes with a lifetime: what outlives a request. One interface for all stores; the one in
 * memory (store_memory.c) is always there, others may take its place.
 *
 * Every operation may be asked for from any thread. What it answers comes by a call on the thread
 * of the loop that asked: within the operation itself (as the store in memory does it) or in a
 * later turn, unless it was cancelled. Values are copied in, and borrowed by the callback for its
 * time. Nobody reads a store once for each event. */
#ifndef PENSTOCK_STORE_STORE_H
#define PENSTOCK_STORE_STORE_H

#include "base/slice.h"

struct loop;

/* What belongs to whom: the same id of two tenants is two entries. */
struct store_key {
    const char *space;               /* a literal, one for each kind of value */
    struct slice tenant;             /* empty: of all */
    struct slice id;
};
/* All three together; a longer key is never found and never kept. */
#define STORE_KEY_MAX_BYTES 512

enum store_status {
    STORE_OK,
    STORE_NONE,                      /* not there, or over */
    STORE_REFUSED,                   /* larger than the store takes */
    STORE_FAILED                     /* the store cannot be reached; never the one in memory */
};

/* One operation under way. The caller's memory; it may be gone when done is called. */
struct store_call {
    /* value: of a get that is STORE_OK, valid until the callback returns */
    void (*done)(struct store_call *c, enum store_status status, struct slice value);
    void *self;
    struct loop *loop;               /* whose thread done is called on; NULL in tests */
    void *pending;                   /* the store's own; NULL: nothing under way */
};

struct store_stats {
    uint64_t entries, bytes, max_bytes;
    uint64_t gets, hits, puts, evicted, expired, refused;
};

struct store;
struct store_ops {
    void (*put)(struct store *s, const struct store_key *k, struct slice value, int64_t ttl_ns,
                struct store_call *c);
    void (*append)(struct store *s, const struct store_key *k, struct slice value, int64_t ttl_ns,
                   struct store_call *c);
    void (*get)(struct store *s, const struct store_key *k, int64_t keep_ns, struct store_call *c);
    void (*take)(struct store *s, const struct store_key *k, struct store_call *c);
    void (*cancel)(struct store *s, struct store_call *c);
    void (*stats)(struct store *s, struct store_stats *out);
    void (*free)(struct store *s);
};
struct store {
    const struct store_ops *ops;
};

/* ---- operations; c may be NULL where nobody waits ---- */

/* In the place of what was there. */
static inline void store_put(struct store *s, const struct store_key *k, struct slice value,
                             int64_t ttl_ns, struct store_call *c) {
    s->ops->put(s, k, value, ttl_ns, c);
}
/* Behind what is there, in one step; STORE_NONE when nothing is. Lives for ttl_ns from now. */
static inline void store_append(struct store *s, const struct store_key *k, struct slice value,
                                int64_t ttl_ns, struct store_call *c) {
    s->ops->append(s, k, value, ttl_ns, c);
}
/* What is found lives for keep_ns from now at least; 0: as long as it had. */
static inline void store_get(struct store *s, const struct store_key *k, int64_t keep_ns,
                             struct store_call *c) {
    s->ops->get(s, k, keep_ns, c);
}
/* Removes it; STORE_OK with the value when it was there. */
static inline void store_take(struct store *s, const struct store_key *k, struct store_call *c) {
    s->ops->take(s, k, c);
}
/* done is not called any more. Nothing under way: fine. */
static inline void store_cancel(struct store *s, struct store_call *c) {
    if (c->pending) s->ops->cancel(s, c);
}
static inline void store_get_stats(struct store *s, struct store_stats *out) {
    s->ops->stats(s, out);
}
/* Nothing may be under way. */
static inline void store_free(struct store **s) {
    if (*s) (*s)->ops->free(*s);
    *s = NULL;
}

/* ---- the one in memory ---- */

/* Holds up to max_bytes, keys and its own overhead counted. When it is full, what was used least
 * recently goes; a value above a quarter of it is refused. What is over goes when it is asked for,
 * and a few with every operation. Clock: clock_mono_ns. */
struct store *store_memory_new(uint64_t max_bytes);

#endif
