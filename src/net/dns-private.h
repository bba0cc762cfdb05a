/* SPDX-License-Identifier: Apache-2.0 */
/* The loop's name cache. One look-up serves all who wait for it; successes are kept for the TTL,
 * failures for a second, and the address that last answered comes first. */
#ifndef PENSTOCK_NET_DNS_PRIVATE_H
#define PENSTOCK_NET_DNS_PRIVATE_H

#include "net/loop.h"

struct dns_answer {
    unsigned count;                      /* 0: e says why */
    struct addr addrs[LOOP_MAX_ADDRS];   /* port 0 */
    struct err e;
};

typedef void dns_fn(void *self, const struct dns_answer *answer);

/* Embedded in who waits; zeroed memory waits for nothing. */
struct dns_wait {
    struct dns_wait *next, **link;       /* link: NULL while not waiting */
    dns_fn *fn;
    void *self;
};

/* True: the answer is known and in *out_answer. False: fn will be called with it, later;
 * dns_wait_stop takes that back. */
bool dns_get(struct loop *l, struct slice host, struct dns_wait *w, dns_fn *fn, void *self,
             struct dns_answer *out_answer) MUST_CHECK;
void dns_wait_stop(struct dns_wait *w);
void dns_note_winner(struct loop *l, struct slice host, const struct addr *winner);

#endif
