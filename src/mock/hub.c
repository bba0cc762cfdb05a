/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/hub.h"

#include "base/clock.h"
#include "base/mem.h"
#include "mock/fault_book.h"
#include "mock/engine.h"
#include "mock/given.h"
#include "mock/prefix_cache.h"
#include "mock/profile.h"
#include "mock/record.h"
#include "mock/scenario_book.h"
#include "mock/background.h"
#include "mock/stored.h"
#include "mock/worker.h"
#include "net/tls.h"

const char *const hub_counter_names[COUNTER_COUNT] = {
    [COUNT_REQUESTS] = "requests",   [COUNT_STARTED] = "started", [COUNT_COMPLETED] = "completed",
    [COUNT_CANCELLED] = "cancelled", [COUNT_OPEN] = "open",
};

/* ---- options of the moment ---- */

struct snapshot *snapshot_new(const struct mock_options *o) {
    struct snapshot *s = mem_zalloc(sizeof *s);
    atomic_init(&s->refs, 1);
    s->arena = arena_new();
    mock_options_copy(&s->o, o, s->arena);
    mock_profile_apply(&s->o, s->arena);
    return s;
}

struct snapshot *snapshot_ref(struct snapshot *s) {
    atomic_fetch_add(&s->refs, 1);
    return s;
}

void snapshot_unref(struct snapshot **s) {
    if (*s && atomic_fetch_sub(&(*s)->refs, 1) == 1) {
        arena_free((*s)->arena);
        mem_free(*s);
    }
    *s = NULL;
}

struct snapshot *hub_snapshot(struct hub *h) {
    pthread_mutex_lock(&h->snapshot_lock);
    struct snapshot *s = snapshot_ref(h->snapshot);
    pthread_mutex_unlock(&h->snapshot_lock);
    return s;
}

void hub_set_snapshot(struct hub *h, struct snapshot *s) {
    pthread_mutex_lock(&h->snapshot_lock);
    struct snapshot *old = h->snapshot;
    h->snapshot = s;
    atomic_fetch_add(&h->epoch, 1);
    pthread_mutex_unlock(&h->snapshot_lock);
    snapshot_unref(&old);
}

/* Somebody waits, or nobody needs to know. */
static void wake_waiting(void *self) {
    struct hub *h = self;
    if (atomic_load(&h->parked) > 0) {
        hub_wake(h);
    }
}

/* ---- life ---- */

void hub_init(struct hub *h, const struct mock_options *o) {
    *h = (struct hub){.snapshot = snapshot_new(o)};
    h->first = snapshot_ref(h->snapshot);
    h->fixed = &h->first->o;
    h->started_wall_s = clock_wall_ns() / NS_PER_S;
    h->started_mono_ns = clock_mono_ns();
    h->journal = journal_new();
    journal_limit(h->journal, o->journal, JOURNAL_MAX_BYTES);
    journal_on_change(h->journal, wake_waiting, h);
    h->stored = stored_new(o->stored, o->stored_ttl_ns, o->seed);
    h->background = background_new();
    h->limits = limits_new();
    h->engine = engine_new(o->seed);
    h->prefix_cache = prefix_cache_new();
    h->given = given_new();
    h->faults = fault_book_new(h->fixed->seed);
    pthread_mutex_init(&h->snapshot_lock, NULL);
    pthread_mutex_init(&h->change_lock, NULL);
    pthread_mutex_init(&h->lock, NULL);
}

void hub_dispose(struct hub *h) {
    for (unsigned i = 0; i < STEP_BUCKETS; i++) {
        while (h->steps[i]) {
            struct step_key *k = h->steps[i];
            h->steps[i] = k->next;
            mem_free(k);
        }
    }
    pthread_mutex_destroy(&h->lock);
    pthread_mutex_destroy(&h->snapshot_lock);
    pthread_mutex_destroy(&h->change_lock);
    journal_free(&h->journal);
    background_free(&h->background);
    stored_free(&h->stored);
    limits_free(&h->limits);
    engine_free(&h->engine);
    prefix_cache_free(&h->prefix_cache);
    given_free(&h->given);
    fault_book_free(&h->faults);
    scenario_book_close(&h->scenarios);
    record_close(h);
    tls_context_free(&h->tls);
    snapshot_unref(&h->snapshot);
    snapshot_unref(&h->first);
}

void hub_wake(struct hub *h) {
    for (unsigned i = 0; i < h->n_workers; i++) {
        mock_worker_wake(h->workers[i], false);
    }
}

void hub_count(struct hub *h, enum hub_counter which, int64_t by) {
    atomic_fetch_add(&h->counters[which], (uint64_t)by);
    wake_waiting(h);
}

/* ---- step keys ---- */

static struct step_key **step_bucket(struct hub *h, struct slice text) {
    uint64_t hash = slice_hash(SLICE_HASH_START, text);
    return &h->steps[(hash ^ (hash >> 32)) % STEP_BUCKETS];
}

static struct step_key *step_find(struct hub *h, struct slice text) {
    for (struct step_key *k = *step_bucket(h, text); k; k = k->next) {
        if (!k->is_ended && slice_eq(slice_make(k->text, k->len), text)) {
            return k;
        }
    }
    return NULL;
}

static struct step_key *step_new(struct hub *h, struct slice text) {
    if (text.len > STEP_KEY_BYTES || h->n_steps >= STEP_KEYS_MAX) {
        return NULL;
    }
    struct step_key *k = mem_zalloc(sizeof *k);
    if (text.len) {
        memcpy(k->text, text.ptr, text.len);
    }
    k->len = text.len;
    struct step_key **bucket = step_bucket(h, text);
    k->next = *bucket;
    *bucket = k;
    h->n_steps++;
    return k;
}

static struct step_key *step_take(struct hub *h, struct slice text) {
    struct step_key *k = step_find(h, text);
    k = k ? k : step_new(h, text);
    if (k) {
        k->refs++;
    }
    return k;
}

static void step_drop(struct hub *h, struct step_key *k) {
    if (--k->refs > 0) {
        return;
    }
    struct step_key **at = step_bucket(h, slice_make(k->text, k->len));
    while (*at != k) {
        at = &(*at)->next;
    }
    *at = k->next;
    h->n_steps--;
    mem_free(k);
}

struct step_key *step_acquire(struct hub *h, struct slice text) {
    pthread_mutex_lock(&h->lock);
    struct step_key *k = step_take(h, text);
    pthread_mutex_unlock(&h->lock);
    return k;
}

void step_release(struct hub *h, struct step_key **k) {
    pthread_mutex_lock(&h->lock);
    step_drop(h, *k);
    *k = NULL;
    pthread_mutex_unlock(&h->lock);
}

uint64_t step_grant(struct hub *h, struct step_key *k, uint64_t n) {
    pthread_mutex_lock(&h->lock);
    k->credit = n == STEP_ALL || k->credit > STEP_ALL - n ? STEP_ALL : k->credit + n;
    uint64_t target = k->credit;
    pthread_mutex_unlock(&h->lock);
    for (unsigned i = 0; i < h->n_workers; i++) {
        mock_worker_wake(h->workers[i], true);
    }
    return target;
}

struct step_view step_look(struct hub *h, const struct step_key *k) {
    pthread_mutex_lock(&h->lock);
    struct step_view view = {k->written, k->streams != NULL, k->is_ended};
    if (k->streams) {
        view.written = UINT64_MAX;
    }
    for (const struct step_stream *s = k->streams; s; s = s->next) {
        view.written = s->written < view.written ? s->written : view.written;
    }
    pthread_mutex_unlock(&h->lock);
    return view;
}

bool step_join(struct hub *h, struct slice text, struct step_stream *s) {
    pthread_mutex_lock(&h->lock);
    struct step_key *k = step_take(h, text);
    *s = (struct step_stream){.key = k};
    if (k) {
        s->next = k->streams;
        if (s->next) {
            s->next->prev = s;
        }
        k->streams = s;
    }
    pthread_mutex_unlock(&h->lock);
    return k != NULL;
}

bool step_may_write(struct hub *h, const struct step_stream *s, uint64_t slots) {
    pthread_mutex_lock(&h->lock);
    bool may = s->key && slots < s->key->credit;
    pthread_mutex_unlock(&h->lock);
    return may;
}

void step_wrote(struct hub *h, struct step_stream *s, uint64_t slots) {
    pthread_mutex_lock(&h->lock);
    s->written = slots;
    pthread_mutex_unlock(&h->lock);
    wake_waiting(h);
}

static void step_unlink(struct step_stream *s) {
    if (s->prev) {
        s->prev->next = s->next;
    } else {
        s->key->streams = s->next;
    }
    if (s->next) {
        s->next->prev = s->prev;
    }
}

void step_leave(struct hub *h, struct step_stream *s) {
    if (!s->key) {
        return;
    }
    pthread_mutex_lock(&h->lock);
    step_unlink(s);
    s->key->written = s->written;
    s->key->is_ended = !s->key->streams;
    step_drop(h, s->key);
    s->key = NULL;
    pthread_mutex_unlock(&h->lock);
    wake_waiting(h);
}
