/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/prefix_cache.h"

#include <pthread.h>

#include "base/mem.h"

enum { BLOCK_BYTES = 512, FIRST_ENTRIES = 256 };
#define NONE UINT32_MAX

/* A block that is known. Links are places in the table of entries. */
struct entry {
    uint64_t hash;
    int64_t used_ns;
    uint32_t newer, older;           /* by use; `newer` links free ones */
    uint32_t next;                   /* of the same bucket */
};

struct prefix_cache {
    pthread_mutex_t lock;
    struct entry *entries;
    uint32_t *buckets;               /* as many as entries: a power of two */
    uint32_t room, n;
    uint32_t free, newest, oldest;
    struct prefix_view view;
};

struct prefix_cache *prefix_cache_new(void) {
    struct prefix_cache *c = mem_zalloc(sizeof *c);
    c->free = c->newest = c->oldest = NONE;
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

void prefix_cache_free(struct prefix_cache **cache) {
    struct prefix_cache *c = *cache;
    *cache = NULL;
    if (c) {
        pthread_mutex_destroy(&c->lock);
        mem_free(c->entries);
        mem_free(c->buckets);
        mem_free(c);
    }
}

/* ---- the table ---- */

static uint32_t *bucket_of(const struct prefix_cache *c, uint64_t hash) {
    return &c->buckets[(hash ^ (hash >> 32)) & (c->room - 1)];
}

static uint32_t find(const struct prefix_cache *c, uint64_t hash) {
    uint32_t i = c->room ? *bucket_of(c, hash) : NONE;
    while (i != NONE && c->entries[i].hash != hash) {
        i = c->entries[i].next;
    }
    return i;
}

static void hang_in(struct prefix_cache *c, uint32_t i) {
    uint32_t *bucket = bucket_of(c, c->entries[i].hash);
    c->entries[i].next = *bucket;
    *bucket = i;
}

static void grow(struct prefix_cache *c) {
    uint32_t before = c->room;
    c->room = before ? before * 2 : FIRST_ENTRIES;
    c->entries = mem_realloc(c->entries, c->room * sizeof *c->entries);
    c->buckets = mem_realloc(c->buckets, c->room * sizeof *c->buckets);
    memset(c->buckets, 0xff, c->room * sizeof *c->buckets);
    for (uint32_t i = 0; i < before; i++) {    /* all are in use, else there were no need */
        hang_in(c, i);
    }
    for (uint32_t i = before; i < c->room; i++) {
        c->entries[i].newer = c->free;
        c->free = i;
    }
}

static void unlink_use(struct prefix_cache *c, const struct entry *e) {
    *(e->newer != NONE ? &c->entries[e->newer].older : &c->newest) = e->older;
    *(e->older != NONE ? &c->entries[e->older].newer : &c->oldest) = e->newer;
}

static void link_newest(struct prefix_cache *c, uint32_t i, int64_t now_ns) {
    struct entry *e = &c->entries[i];
    e->used_ns = now_ns;
    e->newer = NONE;
    e->older = c->newest;
    *(c->newest != NONE ? &c->entries[c->newest].newer : &c->oldest) = i;
    c->newest = i;
}

static void drop_oldest(struct prefix_cache *c) {
    uint32_t i = c->oldest, *at;
    struct entry *e = &c->entries[i];
    for (at = bucket_of(c, e->hash); *at != i;) {
        at = &c->entries[*at].next;
    }
    *at = e->next;
    unlink_use(c, e);
    e->newer = c->free;
    c->free = i;
    c->n--;
}

static void remember(struct prefix_cache *c, uint64_t hash, int64_t now_ns) {
    uint32_t i = find(c, hash);
    if (i != NONE) {
        unlink_use(c, &c->entries[i]);
    } else {
        if (c->free == NONE) {
            grow(c);
        }
        i = c->free;
        c->free = c->entries[i].newer;
        c->entries[i].hash = hash;
        hang_in(c, i);
        c->n++;
    }
    link_newest(c, i, now_ns);
}

static void trim(struct prefix_cache *c, uint64_t most, int64_t ttl_ns, int64_t now_ns) {
    while (c->n > 0 && (c->n > most ||
                        (ttl_ns > 0 && now_ns - c->entries[c->oldest].used_ns >= ttl_ns))) {
        drop_oldest(c);
        c->view.evicted_blocks++;
    }
}

/* ---- a prompt's blocks ---- */

struct cutter {
    uint64_t hash;                   /* of all so far */
    uint64_t bytes;
    uint64_t *blocks;                /* hashes at the ends of full blocks */
    size_t n, room, most;
};

static void cut_end(struct cutter *k) {
    if (k->n == k->most) {
        return;
    }
    if (k->n == k->room) {
        k->room = k->room ? k->room * 2 : 64;
        k->blocks = mem_realloc(k->blocks, k->room * sizeof *k->blocks);
    }
    k->blocks[k->n++] = k->hash;
}

static void cut(struct cutter *k, struct slice text) {
    while (text.len > 0) {
        size_t left = BLOCK_BYTES - k->bytes % BLOCK_BYTES;
        struct slice portion = slice_sub(text, 0, left);
        k->hash = slice_hash(k->hash, portion);
        k->bytes += portion.len;
        text = slice_from(text, portion.len);
        if (portion.len == left) {
            cut_end(k);
        }
    }
}

/* Told apart, but not counted: where one thing ends and the next begins. */
static void mark(struct cutter *k, char what) {
    k->hash = slice_hash(k->hash, slice_make(&what, 1));
}

static void cut_part(struct cutter *k, const struct part *p) {
    mark(k, (char)('a' + p->kind));
    cut(k, p->name);
    cut(k, p->text);
    cut(k, p->url);
    cut(k, p->encoded);
    cut(k, p->file_id);
    for (unsigned i = 0; i < p->n_inner; i++) {
        cut_part(k, &p->inner[i]);
    }
}

static void cut_prompt(struct cutter *k, const struct llm_request *rq) {
    k->hash = slice_hash(SLICE_HASH_START, rq->env.model);
    for (const struct tool *t = rq->tools; t; t = t->next) {
        mark(k, 'T');
        cut(k, t->name);
        cut(k, t->description);
        cut(k, t->parameters);
        cut(k, t->format);
    }
    for (const struct message *m = rq->messages; m; m = m->next) {
        mark(k, (char)('A' + m->role));
        cut(k, m->name);
        for (unsigned i = 0; i < m->n_parts; i++) {
            cut_part(k, &m->parts[i]);
        }
    }
}

/* ---- use ---- */

static uint64_t tokens_of(const struct cutter *k, size_t blocks, uint64_t prompt_tokens) {
    double share = k->bytes ? (double)(blocks * BLOCK_BYTES) / (double)k->bytes : 0;
    uint64_t tokens = (uint64_t)((double)prompt_tokens * share);
    tokens = tokens < prompt_tokens ? tokens : prompt_tokens ? prompt_tokens - 1 : 0;
    return tokens - tokens % PREFIX_BLOCK_TOKENS;
}

struct prefix_use prefix_cache_use(struct prefix_cache *c, uint64_t capacity, int64_t ttl_ns,
                                   const struct llm_request *rq, uint64_t prompt_tokens,
                                   int64_t now_ns) {
    uint64_t most =
        (capacity < PREFIX_MAX_TOKENS ? capacity : PREFIX_MAX_TOKENS) / PREFIX_BLOCK_TOKENS;
    struct cutter k = {.most = (size_t)most};
    size_t hits = 0;
    cut_prompt(&k, rq);
    pthread_mutex_lock(&c->lock);
    trim(c, most, ttl_ns, now_ns);
    while (hits < k.n && find(c, k.blocks[hits]) != NONE) {
        hits++;
    }
    for (size_t i = k.n; i > 0; i--) {    /* the first of them is the last to go */
        remember(c, k.blocks[i - 1], now_ns);
    }
    trim(c, most, ttl_ns, now_ns);
    struct prefix_use use = {.read = tokens_of(&k, hits, prompt_tokens)};
    use.written = tokens_of(&k, k.n, prompt_tokens) - use.read;
    c->view.prompts++;
    c->view.prompt_tokens += prompt_tokens;
    c->view.read_tokens += use.read;
    pthread_mutex_unlock(&c->lock);
    mem_free(k.blocks);
    return use;
}

void prefix_cache_look(struct prefix_cache *c, struct prefix_view *out) {
    pthread_mutex_lock(&c->lock);
    *out = c->view;
    out->tokens = (uint64_t)c->n * PREFIX_BLOCK_TOKENS;
    pthread_mutex_unlock(&c->lock);
}
