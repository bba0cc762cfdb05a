/* SPDX-License-Identifier: Apache-2.0 */
/* Made-up prose: sentences from a small grammar of our own, deterministic by seed, as long as
 * asked. A story has its people and places chosen once, so that it hangs together; an explanation
 * keeps to its topic. Nothing here knows about requests. One thread; no allocation. */
#ifndef PENSTOCK_MOCK_PROSE_H
#define PENSTOCK_MOCK_PROSE_H

#include "base/buf.h"
#include "base/random.h"

enum prose_kind { PROSE_STORY, PROSE_ESSAY, PROSE_THOUGHT, PROSE_KIND_COUNT };

#define PROSE_TOPIC_BYTES 32
#define PROSE_RECENT 8
#define PROSE_CAST 4

struct prose {
    struct rng rng;
    enum prose_kind kind;
    unsigned sentence;                 /* how many have been said */
    unsigned planned;                  /* a natural end after this many; 0: never */
    unsigned until_break;              /* sentences left in this paragraph */
    bool at_break;                     /* the paragraph has ended */
    unsigned char recent[PROSE_RECENT];/* templates used lately, plus one */
    unsigned char cast[PROSE_CAST];    /* hero, friend, place, thing */
    char topic[PROSE_TOPIC_BYTES];
};

/* topic: copied, cut to size; empty: "this". endless: no natural end. */
void prose_init(struct prose *p, enum prose_kind kind, uint64_t seed, struct slice topic,
                bool endless);
/* Appends the next sentence, with the blank before it and the break behind it, if any. 1; 0 at the
 * natural end; -ERR_LIMIT. */
int prose_next(struct prose *p, struct buf *out) MUST_CHECK;

#endif
