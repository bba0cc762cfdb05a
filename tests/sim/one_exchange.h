/* SPDX-License-Identifier: Apache-2.0 */
/* One exchange of a client with a gateway, whatever the dialects. */
#ifndef PENSTOCK_TESTS_ONE_EXCHANGE_H
#define PENSTOCK_TESTS_ONE_EXCHANGE_H

#include "gateway_rig.c"
#include "pair_words.h"

#define CREDENTIAL "Authorization: Bearer client-secret\r\n"

struct one {
    struct rig rig;
    struct rig_client client;
    struct arena *arena;
    const struct pair_words *from, *to;      /* the client, the upstream; NULL where no matter */
    struct buf body;                         /* as head, status and is_whole: what look() found */
    struct slice head;
    unsigned status;
    bool is_whole;
};

static inline void look(struct one *o) {
    buf_reset(&o->body);
    o->is_whole = rig_response(&o->client, &o->status, &o->head, &o->body);
}

static inline void run(struct one *o) {
    rig_run_response(&o->rig, &o->client);
    look(o);
}

/* Nothing of the exchange may be left after a while. */
static inline void end(struct one *o) {
    buf_dispose(&o->body);
    rig_client_dispose(&o->client);
    sim_run(NULL, NULL, sim_now_ns() + 5 * NS_PER_S);
    assert_null(o->rig.worker->relays);
    rig_stop(&o->rig);
    arena_free(o->arena);
}

static inline bool holds(const struct one *o, const char *text) {
    return o->body.len && memmem(o->body.ptr, o->body.len, text, strlen(text)) != NULL;
}

#endif
