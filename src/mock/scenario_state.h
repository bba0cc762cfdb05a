/* SPDX-License-Identifier: Apache-2.0 */
/* Inside scenarios: what is counted. All of it under the state's lock. */
#ifndef PENSTOCK_MOCK_SCENARIO_STATE_H
#define PENSTOCK_MOCK_SCENARIO_STATE_H

#include <pthread.h>

#include "mock/scenario-private.h"

struct tally_counts {
    uint64_t matched;                /* all conditions held, but perhaps `call` */
    uint64_t answered;
};

/* Of one scenario in one session; the longest unused go when there are too many. */
struct tally {
    struct tally *next;              /* in its bucket */
    struct tally *older, *newer;
    struct tally_counts counts;
    uint64_t hash;
    size_t name_len, session_len;
    char text[];
};

/* What was pushed in one request, for as long as any of it waits. */
struct push {
    size_t bytes;
    unsigned n;                      /* that wait */
};

struct pushed {
    struct pushed *next;
    struct push *push;
    struct scenario_set *set;        /* a reference */
    const struct scenario *scenario;
    char *session;                   /* NULL: any */
    int64_t left;                    /* answers; SCENARIO_FOREVER */
    uint64_t id, answered;
    char key[32];                    /* of its tallies */
};

struct scenario_state {
    pthread_mutex_t lock;
    struct tally **buckets;
    struct tally *oldest, *newest;
    unsigned n_tallies;
    struct pushed *pushed, **pushed_end;
    unsigned n_pushed;
    size_t pushed_bytes;
    uint64_t last_pushed;
};

/* NULL: never counted. */
const struct tally *tally_look(const struct scenario_state *st, struct slice name,
                               struct slice session);
/* Over all sessions. */
struct tally_counts tally_total(const struct scenario_state *st, struct slice name);

#endif
