/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/limit.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/mem.h"

enum {
    SLOTS = 1024,
    MAX_KEYS = 65536,                /* that are counted */
    MAX_OWN_KEYS = 2000              /* that are configured: the list is copied to grow */
};

static const int64_t MINUTE_NS = 60 * NS_PER_S;
static const double TINY = 1e-6;             /* of a request or a token */

/* ---- keys ---- */

/* As the providers call them; orders of magnitude of what they give a minute. */
static const struct limit_tier {
    const char *name;
    uint64_t rpm, tpm;
} tiers[] = {
    {"free", 3, 40000},        {"tier1", 500, 30000},       {"tier2", 5000, 450000},
    {"tier3", 5000, 800000},   {"tier4", 10000, 2000000},   {"tier5", 10000, 30000000},
};
enum { TIER_COUNT = sizeof tiers / sizeof tiers[0] };

static int parse_tier(struct slice name, struct mock_key *k, struct err *e) {
    for (unsigned i = 0; i < TIER_COUNT; i++) {
        if (slice_eq(name, slice_cstr(tiers[i].name))) {
            k->rpm = tiers[i].rpm;
            k->tpm = tiers[i].tpm;
            return 0;
        }
    }
    return err_set(e, ERR_USAGE, "there is no tier \"%.*s\": free, tier1 … tier5",
                   SLICE_FMT(slice_sub(name, 0, 40)));
}

static int parse_part(struct slice part, struct mock_key *k, struct err *e) {
    if (slice_starts_with(part, SLICE("tier="))) {
        return parse_tier(slice_from(part, 5), k, e);
    }
    uint64_t *field = slice_starts_with(part, SLICE("rpm="))   ? &k->rpm
                      : slice_starts_with(part, SLICE("tpm=")) ? &k->tpm
                                                               : NULL;
    if (!field || !slice_to_u64(slice_from(part, 4), INT64_MAX, field)) {
        return err_set(e, ERR_USAGE, "expected KEY[,rpm=N][,tpm=N][,tier=NAME]");
    }
    return 0;
}

int mock_key_parse(struct slice text, struct mock_options *o, struct arena *a, struct err *e) {
    struct mock_key key = {.key = NULL};
    ptrdiff_t comma = slice_index(text, ',');
    struct slice name = comma < 0 ? text : slice_sub(text, 0, (size_t)comma);
    if (name.len == 0) {
        return err_set(e, ERR_USAGE, "expected KEY[,rpm=N][,tpm=N][,tier=NAME]");
    }
    if (o->n_keys == MAX_OWN_KEYS) {
        return err_set(e, ERR_USAGE, "more than %d keys", MAX_OWN_KEYS);
    }
    key.key = arena_dup(a, name).ptr;
    while (comma >= 0) {
        text = slice_from(text, (size_t)comma + 1);
        comma = slice_index(text, ',');
        struct slice part = comma < 0 ? text : slice_sub(text, 0, (size_t)comma);
        if (parse_part(part, &key, e) < 0) {
            return -ERR_USAGE;
        }
    }
    struct mock_key *grown = arena_alloc(a, (o->n_keys + 1) * sizeof *grown);
    if (o->n_keys > 0) memcpy(grown, o->keys, o->n_keys * sizeof *grown);
    grown[o->n_keys++] = key;
    o->keys = grown;
    return 0;
}

const struct mock_key *mock_key_find(const struct mock_options *o, struct slice given) {
    const struct mock_key *found = NULL;
    for (unsigned i = 0; i < o->n_keys; i++) {
        struct slice own = slice_cstr(o->keys[i].key);
        unsigned char differs = own.len != given.len;
        for (size_t b = 0; b < own.len && b < given.len; b++) {
            differs |= (unsigned char)(own.ptr[b] ^ given.ptr[b]);
        }
        found = differs ? found : &o->keys[i];
    }
    return found;
}

/* ---- buckets ---- */

/* What has been taken and not yet come back, in units; it flows back at limit per minute. */
struct bucket {
    double taken;
};

struct account {
    struct account *next;
    uint64_t id;
    int64_t seen_ns;
    struct bucket requests, tokens;
};

struct limits {
    pthread_mutex_t lock;
    struct account *slots[SLOTS];
    unsigned n;
};

struct limits *limits_new(void) {
    struct limits *l = mem_zalloc(sizeof *l);
    pthread_mutex_init(&l->lock, NULL);
    return l;
}

static void forget_all(struct limits *l) {
    for (unsigned i = 0; i < SLOTS; i++) {
        while (l->slots[i]) {
            struct account *a = l->slots[i];
            l->slots[i] = a->next;
            mem_free(a);
        }
    }
    l->n = 0;
}

void limits_free(struct limits **l) {
    if (!*l) {
        return;
    }
    forget_all(*l);
    pthread_mutex_destroy(&(*l)->lock);
    mem_free(*l);
    *l = NULL;
}

uint64_t limits_key_id(struct slice key) {
    return slice_hash_id(key);
}

static struct account *find(struct limits *l, uint64_t id) {
    struct account *a = l->slots[id % SLOTS];
    while (a && a->id != id) {
        a = a->next;
    }
    return a;
}

static struct account *find_or_add(struct limits *l, uint64_t id, int64_t now_ns) {
    struct account *a = find(l, id);
    if (a) {
        return a;
    }
    if (l->n >= MAX_KEYS) {               /* made-up keys: everybody starts anew */
        forget_all(l);
    }
    a = mem_zalloc(sizeof *a);
    a->id = id;
    a->seen_ns = now_ns;
    a->next = l->slots[id % SLOTS];
    l->slots[id % SLOTS] = a;
    l->n++;
    return a;
}

static void flow_back(struct bucket *b, uint64_t limit, int64_t passed_ns) {
    b->taken -= (double)limit * ((double)passed_ns / (double)MINUTE_NS);
    b->taken = b->taken < 0 ? 0 : b->taken;
}

/* When `wanted` more will fit; 0: now. More than there can ever be fits into a full bucket. */
static int64_t wait_for(const struct bucket *b, uint64_t limit, uint64_t wanted) {
    double room = (double)limit - b->taken;
    double needed = wanted < limit ? (double)wanted : (double)limit;
    if (limit == 0 || needed <= room + TINY) {      /* sums of fractions are never quite even */
        return 0;
    }
    return (int64_t)((needed - room) / (double)limit * (double)MINUTE_NS);
}

static struct limit_bucket view(const struct bucket *b, uint64_t limit) {
    struct limit_bucket out = {.limit = limit};
    double room = (double)limit - b->taken;
    if (limit > 0) {
        out.remaining = room > 0 ? (uint64_t)room : 0;
        out.reset_ns = (int64_t)(b->taken / (double)limit * (double)MINUTE_NS);
    }
    return out;
}

enum limit_verdict limits_take(struct limits *l, const struct mock_options *o, struct slice key,
                               uint64_t tokens, int64_t now_ns, struct limit_view *out_view,
                               int64_t *out_wait_ns) {
    const struct mock_key *own = mock_key_find(o, key);
    uint64_t rpm = own && own->rpm ? own->rpm : o->rpm;
    uint64_t tpm = own && own->tpm ? own->tpm : o->tpm;
    *out_view = (struct limit_view){.requests = {.limit = 0}};
    *out_wait_ns = 0;
    if (rpm == 0 && tpm == 0) {
        return LIMIT_OK;
    }
    enum limit_verdict verdict = LIMIT_OK;
    pthread_mutex_lock(&l->lock);
    struct account *a = find_or_add(l, limits_key_id(key), now_ns);
    flow_back(&a->requests, rpm, now_ns - a->seen_ns);
    flow_back(&a->tokens, tpm, now_ns - a->seen_ns);
    a->seen_ns = now_ns;
    int64_t requests_ns = wait_for(&a->requests, rpm, 1),
            tokens_ns = wait_for(&a->tokens, tpm, tokens);
    if (requests_ns > 0 || tokens_ns > 0) {
        verdict = requests_ns >= tokens_ns ? LIMIT_REQUESTS : LIMIT_TOKENS;
        *out_wait_ns = requests_ns > tokens_ns ? requests_ns : tokens_ns;
    } else {
        a->requests.taken += 1;
        a->tokens.taken += (double)tokens;
    }
    out_view->requests = view(&a->requests, rpm);
    out_view->tokens = view(&a->tokens, tpm);
    pthread_mutex_unlock(&l->lock);
    return verdict;
}

void limits_charge(struct limits *l, uint64_t id, uint64_t tokens) {
    pthread_mutex_lock(&l->lock);
    struct account *a = find(l, id);
    if (a) {
        a->tokens.taken += (double)tokens;
    }
    pthread_mutex_unlock(&l->lock);
}
