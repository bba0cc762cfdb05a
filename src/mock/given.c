/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/given.h"

#include <pthread.h>

#include "base/mem.h"

enum { GIVEN_MAX = 1024 };

struct given {
    pthread_mutex_t lock;
    uint64_t hashes[GIVEN_MAX];      /* 0: none */
    unsigned next;
};

struct given *given_new(void) {
    struct given *g = mem_zalloc(sizeof *g);
    pthread_mutex_init(&g->lock, NULL);
    return g;
}

void given_free(struct given **g) {
    if (*g) {
        pthread_mutex_destroy(&(*g)->lock);
        mem_free(*g);
        *g = NULL;
    }
}

static bool is_among(const struct given *g, uint64_t hash) {
    for (unsigned i = 0; i < GIVEN_MAX; i++) {
        if (g->hashes[i] == hash) {
            return true;
        }
    }
    return false;
}

void given_add(struct given *g, const struct script *s) {
    for (unsigned i = 0; i < s->n_blocks; i++) {
        uint64_t hash = slice_hash_id(s->blocks[i].proof);
        if (hash == 0) {
            continue;
        }
        pthread_mutex_lock(&g->lock);
        if (!is_among(g, hash)) {
            g->hashes[g->next] = hash;
            g->next = (g->next + 1) % GIVEN_MAX;
        }
        pthread_mutex_unlock(&g->lock);
    }
}

bool given_knows(struct given *g, struct slice proof) {
    uint64_t hash = slice_hash_id(proof);
    pthread_mutex_lock(&g->lock);
    bool knows = hash != 0 && is_among(g, hash);
    pthread_mutex_unlock(&g->lock);
    return knows;
}
