/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/fault_book.h"

#include <inttypes.h>
#include <pthread.h>

#include "base/mem.h"
#include "base/random.h"

struct rule {
    struct fault_use use;
    struct fault_when when;
    int64_t since_ns;
    uint64_t struck;
};

struct fault_book {
    uint64_t seed;
    _Atomic uint64_t counts[FAULT_MAX_ROWS];
    _Atomic int64_t door_until_ns;
    _Atomic int door;
    _Atomic unsigned n_rules;          /* changed under the lock */
    pthread_mutex_t lock;
    struct rule rules[FAULT_MAX_RULES];
};

struct fault_book *fault_book_new(uint64_t seed) {
    struct fault_book *b = mem_zalloc(sizeof *b);
    b->seed = seed;
    pthread_mutex_init(&b->lock, NULL);
    return b;
}

void fault_book_free(struct fault_book **b) {
    if (*b) {
        pthread_mutex_destroy(&(*b)->lock);
        mem_free(*b);
        *b = NULL;
    }
}

/* ---- the schedule ---- */

/* A rule in the same words, taken out of the old ones: twice the same spec are two rules. */
static bool take_old(struct rule *old, unsigned n, const struct rule *like, struct rule *out) {
    for (unsigned i = 0; i < n; i++) {
        if (old[i].use.row && strcmp(old[i].use.spec, like->use.spec) == 0) {
            *out = old[i];
            old[i].use.row = NULL;
            return true;
        }
    }
    return false;
}

void fault_book_set(struct fault_book *b, const char *const *specs, unsigned n, int64_t now_ns) {
    struct rule *old = mem_alloc(sizeof b->rules);
    unsigned count = 0;
    pthread_mutex_lock(&b->lock);
    unsigned n_old = atomic_load(&b->n_rules);
    memcpy(old, b->rules, sizeof b->rules);
    for (unsigned i = 0; i < n && count < FAULT_MAX_RULES; i++) {
        struct rule r = {.since_ns = now_ns};
        struct err e;
        if (fault_parse(slice_cstr(specs[i]), &r.use, &r.when, &e) == 0) {
            if (!take_old(old, n_old, &r, &b->rules[count])) {
                b->rules[count] = r;
            }
            count++;
        }
    }
    atomic_store(&b->n_rules, count);
    pthread_mutex_unlock(&b->lock);
    mem_free(old);
}

static bool is_on(const struct rule *r, int64_t now_ns) {
    int64_t age_ns = now_ns - r->since_ns - r->when.start_ns;
    if (age_ns < 0) {
        return false;
    }
    if (r->when.period_ns > 0) {
        age_ns %= r->when.period_ns;
    }
    return r->when.duration_ns == 0 || age_ns < r->when.duration_ns;
}

static bool is_drawn(const struct fault_book *b, const struct rule *r, unsigned i,
                     uint64_t serial) {
    struct rng rng;
    if (r->when.rate >= 1) {
        return true;
    }
    rng_seed_nth(&rng, b->seed ^ ((uint64_t)i << 56), serial);
    return rng_unit(&rng) < r->when.rate;
}

static bool fits(const struct fault_book *b, unsigned i, const struct fault_request *rq,
                 bool on_head) {
    const struct rule *r = &b->rules[i];
    return (r->use.row->kind == FAULT_RESET_EARLY) == on_head &&
           (r->when.count == 0 || r->struck < r->when.count) && is_on(r, rq->now_ns) &&
           slice_glob_or_any(slice_cstr(r->when.model), rq->model) &&
           slice_glob_or_any(slice_cstr(r->when.path), rq->path) && is_drawn(b, r, i, rq->serial);
}

bool fault_book_pick(struct fault_book *b, const struct fault_request *rq, bool on_head,
                     struct fault_use *out) {
    bool found = false;
    if (atomic_load_explicit(&b->n_rules, memory_order_acquire) == 0) {
        return false;
    }
    pthread_mutex_lock(&b->lock);
    for (unsigned i = 0; i < b->n_rules && !found; i++) {
        if (fits(b, i, rq, on_head)) {
            b->rules[i].struck++;
            *out = b->rules[i].use;
            found = true;
        }
    }
    pthread_mutex_unlock(&b->lock);
    return found;
}

/* ---- what has struck ---- */

void fault_book_count(struct fault_book *b, const struct mock_fault *f) {
    atomic_fetch_add_explicit(&b->counts[fault_index(f)], 1, memory_order_relaxed);
}

uint64_t fault_book_counted(const struct fault_book *b, const struct mock_fault *f) {
    return atomic_load_explicit(&b->counts[fault_index(f)], memory_order_relaxed);
}

int fault_book_metrics(const struct fault_book *b, struct buf *out) {
    int rc = buf_append(out, SLICE("# HELP penstock_mock_faults_total Faults that have struck.\n"
                                   "# TYPE penstock_mock_faults_total counter\n"));
    for (unsigned i = 0; i < fault_count; i++) {
        uint64_t n = fault_book_counted(b, &fault_table[i]);
        if (n > 0) {
            rc |= buf_appendf(out, "penstock_mock_faults_total{fault=\"%s\"} %" PRIu64 "\n",
                              fault_table[i].name, n);
        }
    }
    return rc < 0 ? -ERR_LIMIT : 0;
}

/* ---- doors ---- */

void fault_book_set_door(struct fault_book *b, enum fault_door door, int64_t until_ns) {
    atomic_store(&b->door, (int)door);
    atomic_store(&b->door_until_ns, until_ns);
}

enum fault_door fault_book_door(const struct fault_book *b, int64_t now_ns,
                                int64_t *out_until_ns) {
    *out_until_ns = atomic_load_explicit(&b->door_until_ns, memory_order_relaxed);
    return now_ns < *out_until_ns ? (enum fault_door)atomic_load(&b->door) : FAULT_DOOR_OPEN;
}
