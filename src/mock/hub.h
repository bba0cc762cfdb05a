/* SPDX-License-Identifier: Apache-2.0 */
/* One provider: what its workers share. Options of the moment, counters of requests (never of
 * tokens), stepped streams, and waking one another. Any thread; the lock covers the step keys
 * alone. */
#ifndef PENSTOCK_MOCK_HUB_H
#define PENSTOCK_MOCK_HUB_H

#include <pthread.h>
#include <stdatomic.h>

#include "mock/journal.h"
#include "mock/limit.h"
#include "mock/mock.h"
#include "mock/serial.h"
#include "mock/validate.h"

enum hub_counter {
    COUNT_REQUESTS,
    COUNT_STARTED,
    COUNT_COMPLETED,
    COUNT_CANCELLED,
    COUNT_OPEN,
    COUNTER_COUNT
};
extern const char *const hub_counter_names[COUNTER_COUNT];

#define STEP_KEY_BYTES 128
#define STEP_KEYS_MAX 65536
#define STEP_BUCKETS 1024
#define STEP_ALL UINT64_MAX

/* A stepped stream's part of its key. */
struct step_stream {
    struct step_stream *prev, *next;       /* of the same key */
    struct step_key *key;                  /* NULL: not stepped, or left */
    uint64_t written;                      /* slots */
};

/* A gate that one or more streams go through in step, or steps that wait for a stream. The key is
 * free for new streams when its last one has left. The hub's lock guards all of it. */
struct step_key {
    struct step_key *next;
    struct step_stream *streams;
    unsigned refs;             /* of streams and of parked requests */
    uint64_t credit;           /* slots that each stream may write; STEP_ALL: no bound */
    uint64_t written;          /* by the last stream that left */
    bool is_ended;
    size_t len;
    char text[STEP_KEY_BYTES];
};

struct background;
struct fault_book;
struct given;
struct captures;
struct scenario_book;
struct stored;
struct upstream;
struct mock_worker;

/* The options as they are until somebody changes them: immutable, counted. */
struct snapshot {
    _Atomic unsigned refs;
    struct arena *arena;
    struct mock_options o;
};

struct hub {
    /* of the start: what cannot change (MOCK_USE_FIXED, MOCK_USE_PROCESS) is read here */
    const struct mock_options *fixed;
    pthread_mutex_t change_lock;      /* one change of options at a time */
    pthread_mutex_t snapshot_lock;
    /* under its lock; workers hold references of their own */
    struct snapshot *snapshot;
    _Atomic unsigned epoch;                /* of the snapshot */
    struct snapshot *first;                /* what `fixed` points into */
    struct journal *journal;
    struct stored *stored;
    struct background *background;
    _Atomic uint64_t violations[RULE_COUNT];
    struct limits *limits;
    struct engine *engine;
    struct prefix_cache *prefix_cache;
    struct given *given;                   /* proofs that scripts gave */
    struct fault_book *faults;
    struct scenario_book *scenarios;       /* opened with the listeners */
    struct captures *captures;             /* likewise; NULL: none (capture_store.h) */
    struct upstream *upstream;             /* likewise; NULL: none (record.h) */
    char base_url[400];                    /* of the first address */
    struct addr addrs[MOCK_MAX_LISTEN];    /* as bound */
    unsigned n_addrs;
    struct tls_context *tls;               /* NULL: plain */
    struct mock_time *time;                /* the process's; NULL: the machine's */
    int64_t started_wall_s, started_mono_ns;
    _Atomic uint64_t counters[COUNTER_COUNT];
    struct serials serials;
    _Atomic unsigned parked;               /* control requests that wait for something */
    _Atomic bool is_closing;               /* nobody is woken any more */
    struct mock_worker **workers;
    unsigned n_workers;
    pthread_mutex_t lock;
    struct step_key *steps[STEP_BUCKETS];
    unsigned n_steps;
};

void hub_init(struct hub *h, const struct mock_options *o);
void hub_dispose(struct hub *h);

struct snapshot *snapshot_new(const struct mock_options *o);
struct snapshot *snapshot_ref(struct snapshot *s);
void snapshot_unref(struct snapshot **s);
/* A reference to the current one. */
struct snapshot *hub_snapshot(struct hub *h);
/* From now on these; the reference is the hub's. */
void hub_set_snapshot(struct hub *h, struct snapshot *s);

/* Adds to a counter, and wakes the workers when somebody waits for one. */
void hub_count(struct hub *h, enum hub_counter which, int64_t by);
/* Lets every worker look at its parked requests again. */
void hub_wake(struct hub *h);

/* For a parked request: a reference to the key, made if it is new. NULL: too many keys. */
struct step_key *step_acquire(struct hub *h, struct slice text);
void step_release(struct hub *h, struct step_key **k);
/* Grants n slots (STEP_ALL: all); returns how many must have been written for this step to be
 * done. */
uint64_t step_grant(struct hub *h, struct step_key *k, uint64_t n);
struct step_view {
    uint64_t written;          /* by the stream that is farthest behind */
    bool is_joined, is_ended;
};
struct step_view step_look(struct hub *h, const struct step_key *k);

/* For a stream. False: too many keys. */
bool step_join(struct hub *h, struct slice text, struct step_stream *s);
/* slots: written, or about to be. */
bool step_may_write(struct hub *h, const struct step_stream *s, uint64_t slots);
void step_wrote(struct hub *h, struct step_stream *s, uint64_t slots);
/* Before the client can see the end; more than once is fine. */
void step_leave(struct hub *h, struct step_stream *s);

#endif
