/* SPDX-License-Identifier: Apache-2.0 */
/* The store in memory: a hash table whose entries also hang on one list in order of use. One lock;
 * it is held to find and to link, never to copy a value: an entry's value is counted by reference,
 * so that a reader's copy outlives an eviction. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "store/store.h"

#define MIN_BUCKETS 64u
/* How many of the least used an operation looks at for what is over. */
#define SWEEP 4u

struct value {
    _Atomic unsigned refs;
    size_t len;
    char data[];
};

struct entry {
    struct entry *bucket_next;
    struct entry *newer, *older;     /* in order of use; older also links a list of the dead */
    struct value *value;
    int64_t end_ns;
    uint64_t hash;
    size_t key_len;
    char key[];
};

struct memory {
    struct store base;               /* first */
    pthread_mutex_t lock;
    struct entry **buckets;
    unsigned n_buckets;
    struct entry *newest, *oldest;
    uint64_t seed;
    struct store_stats stats;
};

/* ---- values ---- */

static struct value *value_new(struct slice head, struct slice tail) {
    struct value *v = mem_alloc(sizeof *v + head.len + tail.len);
    atomic_init(&v->refs, 1);
    v->len = head.len + tail.len;
    if (head.len > 0) memcpy(v->data, head.ptr, head.len);
    if (tail.len > 0) memcpy(v->data + head.len, tail.ptr, tail.len);
    return v;
}

static void value_unref(struct value *v) {
    if (v && atomic_fetch_sub(&v->refs, 1) == 1) mem_free(v);
}

static struct slice value_slice(const struct value *v) {
    return v ? slice_make(v->data, v->len) : SLICE_NULL;
}

/* ---- keys ---- */

struct key {
    uint64_t hash;
    size_t len;
    char text[STORE_KEY_MAX_BYTES];
};

static uint64_t mix(uint64_t h) {
    h ^= h >> 33;
    h *= UINT64_C(0xff51afd7ed558ccd);
    h ^= h >> 33;
    h *= UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ h >> 33;
}

/* Lengths stand between the parts: no two keys are the same text. False: too long. */
static bool key_make(const struct memory *m, const struct store_key *k, struct key *out) {
    struct slice parts[] = {slice_cstr(k->space), k->tenant, k->id};
    size_t len = 0;
    for (unsigned i = 0; i < 3; i++) {
        if (parts[i].len > 0xffff || len + 2 + parts[i].len > sizeof out->text) return false;
        out->text[len++] = (char)(parts[i].len & 0xff);
        out->text[len++] = (char)(parts[i].len >> 8);
        if (parts[i].len > 0) memcpy(out->text + len, parts[i].ptr, parts[i].len);
        len += parts[i].len;
    }
    uint64_t h = m->seed;
    for (size_t i = 0; i < len; i++) h = mix(h ^ (unsigned char)out->text[i]) + m->seed;
    out->hash = h;
    out->len = len;
    return true;
}

/* ---- the table; all with the lock held ---- */

static uint64_t cost_of(size_t key_len, size_t value_len) {
    return sizeof(struct entry) + key_len + sizeof(struct value) + value_len;
}
static uint64_t entry_cost(const struct entry *e) {
    return cost_of(e->key_len, e->value->len);
}

static struct entry **find(struct memory *m, const struct key *k) {
    struct entry **at = &m->buckets[k->hash & (m->n_buckets - 1)];
    while (*at && ((*at)->hash != k->hash || (*at)->key_len != k->len ||
                   memcmp((*at)->key, k->text, k->len) != 0)) {
        at = &(*at)->bucket_next;
    }
    return at;
}

static void unlink_use(struct memory *m, struct entry *e) {
    *(e->newer ? &e->newer->older : &m->newest) = e->older;
    *(e->older ? &e->older->newer : &m->oldest) = e->newer;
}

static void link_newest(struct memory *m, struct entry *e) {
    e->newer = NULL;
    e->older = m->newest;
    *(m->newest ? &m->newest->newer : &m->oldest) = e;
    m->newest = e;
}

/* Out of the table, onto the list of those to free behind the lock. */
static void kill_at(struct memory *m, struct entry **at, struct entry **dead) {
    struct entry *e = *at;
    *at = e->bucket_next;
    unlink_use(m, e);
    m->stats.entries--;
    m->stats.bytes -= entry_cost(e);
    e->older = *dead;
    *dead = e;
}

static void kill_entry(struct memory *m, struct entry *e, struct entry **dead) {
    struct entry **at = &m->buckets[e->hash & (m->n_buckets - 1)];
    while (*at != e) at = &(*at)->bucket_next;
    kill_at(m, at, dead);
}

static void sweep(struct memory *m, int64_t now_ns, struct entry **dead) {
    struct entry *e = m->oldest;
    for (unsigned i = 0; e && i < SWEEP; i++) {
        struct entry *next = e->newer;
        if (e->end_ns <= now_ns) {
            m->stats.expired++;
            kill_entry(m, e, dead);
        }
        e = next;
    }
}

static void make_room(struct memory *m, uint64_t bytes, struct entry **dead) {
    while (m->oldest && m->stats.bytes + bytes > m->stats.max_bytes) {
        m->stats.evicted++;
        kill_entry(m, m->oldest, dead);
    }
}

static void grow(struct memory *m) {
    unsigned n = m->n_buckets * 2;
    struct entry **buckets = mem_zalloc(n * sizeof *buckets);
    for (struct entry *e = m->newest; e; e = e->older) {
        struct entry **at = &buckets[e->hash & (n - 1)];
        e->bucket_next = *at;
        *at = e;
    }
    mem_free(m->buckets);
    m->buckets = buckets;
    m->n_buckets = n;
}

/* The entry, alive; NULL when there is none, or it is over. */
static struct entry *find_alive(struct memory *m, const struct key *k, int64_t now_ns,
                                struct entry **dead) {
    struct entry **at = find(m, k);
    if (*at && (*at)->end_ns <= now_ns) {
        m->stats.expired++;
        kill_at(m, at, dead);
        return NULL;
    }
    return *at;
}

static void insert(struct memory *m, const struct key *k, struct entry *e) {
    struct entry **at = &m->buckets[k->hash & (m->n_buckets - 1)];
    e->bucket_next = *at;
    *at = e;
    link_newest(m, e);
    m->stats.entries++;
    m->stats.bytes += entry_cost(e);
    if (m->stats.entries > m->n_buckets) grow(m);
}

/* ---- around the lock ---- */

static struct memory *enter(struct store *s) {
    struct memory *m = (struct memory *)(void *)s;
    pthread_mutex_lock(&m->lock);
    return m;
}

static void leave(struct memory *m, struct entry *dead) {
    pthread_mutex_unlock(&m->lock);
    while (dead) {
        struct entry *next = dead->older;
        value_unref(dead->value);
        mem_free(dead);
        dead = next;
    }
}

/* v: the call's reference, given back. */
static void finish(struct store_call *c, enum store_status status, struct value *v) {
    if (c && c->done) c->done(c, status, value_slice(v));
    value_unref(v);
}

static int64_t end_of(int64_t now_ns, int64_t ttl_ns) {
    return ttl_ns > TIME_NEVER - now_ns ? TIME_NEVER : now_ns + ttl_ns;
}

static struct entry *entry_new(const struct key *k, struct value *v, int64_t end_ns) {
    struct entry *e = mem_zalloc(sizeof *e + k->len);
    e->value = v;
    e->end_ns = end_ns;
    e->hash = k->hash;
    e->key_len = k->len;
    memcpy(e->key, k->text, k->len);
    return e;
}

static bool is_too_large(const struct memory *m, size_t key_len, size_t value_len) {
    return value_len > m->stats.max_bytes || /* no overflow below */
           cost_of(key_len, value_len) > m->stats.max_bytes / 4;
}

static enum store_status refuse(struct store *s) {
    struct memory *m = enter(s);
    m->stats.refused++;
    leave(m, NULL);
    return STORE_REFUSED;
}

/* ---- operations ---- */

static enum store_status put_entry(struct store *s, const struct store_key *key, struct slice value,
                                   int64_t ttl_ns) {
    const struct memory *seen = (const struct memory *)(const void *)s;
    struct entry *dead = NULL;
    struct key k;
    if (!key_make(seen, key, &k) || is_too_large(seen, k.len, value.len)) return refuse(s);
    int64_t now_ns = clock_mono_ns();
    struct entry *e = entry_new(&k, value_new(value, SLICE_NULL), end_of(now_ns, ttl_ns));
    struct memory *m = enter(s);
    struct entry **old = find(m, &k);
    m->stats.puts++;
    if (*old) kill_at(m, old, &dead);
    sweep(m, now_ns, &dead);
    make_room(m, entry_cost(e), &dead);
    insert(m, &k, e);
    leave(m, dead);
    return STORE_OK;
}

static void memory_put(struct store *s, const struct store_key *key, struct slice value,
                       int64_t ttl_ns, struct store_call *c) {
    finish(c, put_entry(s, key, value, ttl_ns), NULL);
}

/* The value as it is, with a reference; NULL: none. */
static struct value *get_value(struct store *s, const struct key *k, int64_t keep_ns) {
    struct entry *dead = NULL;
    int64_t now_ns = clock_mono_ns();
    struct memory *m = enter(s);
    struct entry *e = find_alive(m, k, now_ns, &dead);
    struct value *v = e ? e->value : NULL;
    m->stats.gets++;
    if (e) {
        atomic_fetch_add(&v->refs, 1);
        m->stats.hits++;
        if (keep_ns > 0 && end_of(now_ns, keep_ns) > e->end_ns)
            e->end_ns = end_of(now_ns, keep_ns);
        unlink_use(m, e);
        link_newest(m, e);
    }
    sweep(m, now_ns, &dead);
    leave(m, dead);
    return v;
}

static void memory_get(struct store *s, const struct store_key *key, int64_t keep_ns,
                       struct store_call *c) {
    struct key k;
    struct value *v = NULL;
    if (key_make((struct memory *)(void *)s, key, &k)) v = get_value(s, &k, keep_ns);
    finish(c, v ? STORE_OK : STORE_NONE, v);
}

/* Exchanges what was read for what was made of it. False: somebody was faster. */
static bool swap_value(struct store *s, const struct key *k, const struct value *read,
                       struct value *made, int64_t end_ns) {
    struct entry *dead = NULL;
    struct memory *m = enter(s);
    struct entry **at = find(m, k);
    bool is_same = *at && (*at)->value == read;
    if (is_same) {
        kill_at(m, at, &dead);
        struct entry *e = entry_new(k, made, end_ns);
        make_room(m, entry_cost(e), &dead);
        insert(m, k, e);
        m->stats.puts++;
    }
    leave(m, dead);
    return is_same;
}

static enum store_status append_value(struct store *s, const struct key *k, struct slice tail,
                                      int64_t ttl_ns) {
    const struct memory *seen = (const struct memory *)(const void *)s;
    for (;;) {
        struct value *read = get_value(s, k, 0);
        if (!read) return STORE_NONE;
        bool is_ok = tail.len <= seen->stats.max_bytes &&
                     !is_too_large(seen, k->len, read->len + tail.len);
        struct value *made = is_ok ? value_new(value_slice(read), tail) : NULL;
        bool is_done = made && swap_value(s, k, read, made, end_of(clock_mono_ns(), ttl_ns));
        value_unref(read);
        if (!made) return refuse(s);
        if (is_done) return STORE_OK;
        value_unref(made);
    }
}

static void memory_append(struct store *s, const struct store_key *key, struct slice value,
                          int64_t ttl_ns, struct store_call *c) {
    struct key k;
    bool is_key = key_make((struct memory *)(void *)s, key, &k);
    finish(c, is_key ? append_value(s, &k, value, ttl_ns) : STORE_NONE, NULL);
}

static void memory_take(struct store *s, const struct store_key *key, struct store_call *c) {
    struct entry *dead = NULL;
    struct value *v = NULL;
    struct key k;
    struct memory *m = enter(s);
    struct entry *e = key_make(m, key, &k) ? find_alive(m, &k, clock_mono_ns(), &dead) : NULL;
    if (e) {
        v = e->value;
        atomic_fetch_add(&v->refs, 1);
        kill_entry(m, e, &dead);
    }
    leave(m, dead);
    finish(c, v ? STORE_OK : STORE_NONE, v);
}

static void memory_cancel(struct store *s, struct store_call *c) {
    (void)s;
    c->pending = NULL; /* never set: every answer comes within its operation */
}

static void memory_stats(struct store *s, struct store_stats *out) {
    struct memory *m = enter(s);
    *out = m->stats;
    leave(m, NULL);
}

static void memory_free(struct store *s) {
    struct entry *dead = NULL;
    struct memory *m = enter(s);
    while (m->oldest) kill_entry(m, m->oldest, &dead);
    leave(m, dead);
    pthread_mutex_destroy(&m->lock);
    mem_free(m->buckets);
    mem_free(m);
}

static const struct store_ops memory_ops = {
    .put = memory_put,
    .append = memory_append,
    .get = memory_get,
    .take = memory_take,
    .cancel = memory_cancel,
    .stats = memory_stats,
    .free = memory_free,
};

struct store *store_memory_new(uint64_t max_bytes) {
    struct memory *m = mem_zalloc(sizeof *m);
    struct rng r;
    rng_seed_from_os(&r);
    m->base.ops = &memory_ops;
    m->seed = rng_next(&r);
    m->n_buckets = MIN_BUCKETS;
    m->buckets = mem_zalloc(MIN_BUCKETS * sizeof *m->buckets);
    m->stats.max_bytes = max_bytes;
    pthread_mutex_init(&m->lock, NULL);
    return &m->base;
}
