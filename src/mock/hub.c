/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/hub.h"

#include "base/clock.h"
#include "base/mem.h"
#include "mock/worker.h"
#include "net/tls.h"

const char *const hub_counter_names[COUNTER_COUNT] = {
    [COUNT_REQUESTS] = "requests",   [COUNT_STARTED] = "started", [COUNT_COMPLETED] = "completed",
    [COUNT_CANCELLED] = "cancelled", [COUNT_OPEN] = "open",
};

static const char *copy_text(struct arena *a, const char *text) {
    return text ? arena_dup(a, slice_cstr(text)).ptr : NULL;
}

static const char *const *copy_list(struct arena *a, const char *const *list, unsigned n) {
    const char **copy = arena_alloc(a, (n + 1) * sizeof *copy);
    for (unsigned i = 0; i < n; i++) {
        copy[i] = copy_text(a, list[i]);
    }
    return copy;
}

void hub_init(struct hub *h, const struct mock_options *o) {
    *h = (struct hub){.options = *o};
    h->arena = arena_new();
    h->options.listen = copy_list(h->arena, o->listen, o->n_listen);
    h->options.models = copy_list(h->arena, o->models, o->n_models);
    h->options.text = copy_text(h->arena, o->text);
    h->options.tls_cert = copy_text(h->arena, o->tls_cert);
    h->options.tls_key = copy_text(h->arena, o->tls_key);
    h->started_wall_s = clock_wall_ns() / NS_PER_S;
    h->journal = journal_new();
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
    journal_free(&h->journal);
    tls_context_free(&h->tls);
    arena_free(h->arena);
}

void hub_count(struct hub *h, enum hub_counter which, int64_t by) {
    atomic_fetch_add_explicit(&h->counters[which], (uint64_t)by, memory_order_relaxed);
    if (atomic_load(&h->parked) > 0) {
        hub_wake(h);
    }
}

void hub_wake(struct hub *h) {
    for (unsigned i = 0; i < h->n_workers; i++) {
        mock_worker_wake(h->workers[i]);
    }
}

/* ---- step keys ---- */

static struct step_key **step_bucket(struct hub *h, struct slice text) {
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < text.len; i++) {
        hash = (hash ^ (unsigned char)text.ptr[i]) * 16777619u;
    }
    return &h->steps[(hash ^ (hash >> 16)) % STEP_BUCKETS];
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

struct step_key *step_acquire(struct hub *h, struct slice text, bool is_stream) {
    pthread_mutex_lock(&h->lock);
    struct step_key *k = step_find(h, text);
    if (k && is_stream && k->is_attached) {
        k->is_ended = true;
        k = NULL;
    }
    k = k ? k : step_new(h, text);
    if (k) {
        k->refs++;
        k->is_attached |= is_stream;
    }
    pthread_mutex_unlock(&h->lock);
    return k;
}

static void step_unlink(struct hub *h, struct step_key *k) {
    struct step_key **at = step_bucket(h, slice_make(k->text, k->len));
    for (; *at; at = &(*at)->next) {
        if (*at == k) {
            *at = k->next;
            h->n_steps--;
            break;
        }
    }
    mem_free(k);
}

void step_release(struct hub *h, struct step_key **k) {
    pthread_mutex_lock(&h->lock);
    if (--(*k)->refs == 0) {
        step_unlink(h, *k);
    }
    *k = NULL;
    pthread_mutex_unlock(&h->lock);
}

void step_end(struct hub *h, struct step_key *k) {
    pthread_mutex_lock(&h->lock);
    k->is_ended = true;
    pthread_mutex_unlock(&h->lock);
    hub_wake(h);
}

uint64_t step_grant(struct hub *h, struct step_key *k, uint64_t n) {
    pthread_mutex_lock(&h->lock);
    k->credit = n == STEP_ALL || k->credit > STEP_ALL - n ? STEP_ALL : k->credit + n;
    uint64_t target = n == STEP_ALL ? k->written : k->credit;
    pthread_mutex_unlock(&h->lock);
    hub_wake(h);
    return target;
}

bool step_may_write(struct hub *h, const struct step_key *k, uint64_t written) {
    pthread_mutex_lock(&h->lock);
    bool may = written < k->credit;
    pthread_mutex_unlock(&h->lock);
    return may;
}

void step_wrote(struct hub *h, struct step_key *k, uint64_t written) {
    pthread_mutex_lock(&h->lock);
    k->written = written > k->written ? written : k->written;
    pthread_mutex_unlock(&h->lock);
    hub_wake(h);
}

struct step_view step_look(struct hub *h, const struct step_key *k) {
    pthread_mutex_lock(&h->lock);
    struct step_view view = {k->written, k->is_attached, k->is_ended};
    pthread_mutex_unlock(&h->lock);
    return view;
}
