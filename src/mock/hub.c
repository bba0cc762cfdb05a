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

void hub_wake(struct hub *h) {
    for (unsigned i = 0; i < h->n_workers; i++) {
        mock_worker_wake(h->workers[i], false);
    }
}

/* Somebody waits, or nobody needs to know. */
static void wake_waiting(struct hub *h) {
    if (atomic_load(&h->parked) > 0) {
        hub_wake(h);
    }
}

void hub_count(struct hub *h, enum hub_counter which, int64_t by) {
    atomic_fetch_add(&h->counters[which], (uint64_t)by);
    wake_waiting(h);
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
