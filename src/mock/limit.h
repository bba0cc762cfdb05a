/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, and how much each may ask: token buckets of requests and of tokens a minute, full at first,
 * filling evenly. One set a provider; any thread. */
#ifndef PENSTOCK_MOCK_LIMIT_H
#define PENSTOCK_MOCK_LIMIT_H

#include "base/slice.h"
#include "mock/options.h"

struct limits;

struct limits *limits_new(void);
void limits_free(struct limits **l);

/* "KEY[,rpm=N][,tpm=N][,tier=NAME]", for settings.c. */
int mock_key_parse(struct slice text, struct mock_options *o, struct arena *a, struct err *e);
/* The key of the list that the client came with, compared in constant time; NULL: none of them. */
const struct mock_key *mock_key_find(const struct mock_options *o, struct slice given);

/* One bucket as a client is told of it. limit 0: there is none. */
struct limit_bucket {
    uint64_t limit, remaining;
    int64_t reset_ns;                /* until it is full again */
};
struct limit_view {
    struct limit_bucket requests, tokens;
};
enum limit_verdict { LIMIT_OK, LIMIT_REQUESTS, LIMIT_TOKENS };

/* Takes one request and so many tokens, or, over a limit, nothing; *out_wait_ns is then when it
 * would do. key: whatever the client came with, empty when nothing. */
enum limit_verdict limits_take(struct limits *l, const struct mock_options *o, struct slice key,
                               uint64_t tokens, int64_t now_ns, struct limit_view *out_view,
                               int64_t *out_wait_ns);
/* What the answer took besides; may go below nothing. id: of limits_key_id. */
uint64_t limits_key_id(struct slice key);
void limits_charge(struct limits *l, uint64_t id, uint64_t tokens);

#endif
