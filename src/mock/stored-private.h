/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the memory share: records, and the store asked at once. */
#ifndef PENSTOCK_MOCK_STORED_PRIVATE_H
#define PENSTOCK_MOCK_STORED_PRIVATE_H

#include <pthread.h>

#include "dialect/json_text.h"
#include "mock/stored.h"

#define SPACE_RESPONSE     "response"
#define SPACE_EVENTS       "events"
#define SPACE_ITEM         "item"            /* whose it is: 'r' or 'c', and the id */
#define SPACE_CONVERSATION "conversation"
#define SPACE_ITEMS        "items"           /* a comma before each */

#define STORED_MAX_DEPTH      10000          /* a longer chain of answers is not followed */
#define STORED_MAX_BODY_BYTES ((size_t)128 << 20)

/* All of it, or the part of a key, which shares the rest. */
struct stored {
    struct store *store;
    int64_t ttl_ns;
    uint64_t seed;
    pthread_mutex_t *lock;           /* of conversations: what reads and then writes */
    struct slice tenant;             /* of a key; empty: all's */
};

/* {"previous":…,"background":…,"input":[…],"response":{…}} */
struct stored_record {
    struct slice previous;           /* NULL: none */
    struct slice input, output;      /* items, with commas */
    struct slice response;
    bool is_background;
};
bool stored_get(struct stored *s, const char *space, struct slice id, struct arena *a,
                struct slice *out);
bool stored_record_get(struct stored *s, struct slice id, struct arena *a,
                       struct stored_record *out);
/* What stands between an array's brackets; empty for an empty one. */
struct slice stored_inside(struct slice array);

/* Texts of items, gathered from the newest back. */
struct stored_pieces {
    struct slice *list;
    unsigned n, cap;
};
void stored_pieces_add(struct stored_pieces *p, struct slice piece, struct arena *a);
/* From the oldest on, with commas between. */
int stored_pieces_join(const struct stored_pieces *p, struct buf *out) MUST_CHECK;
/* An answer, what it was made from, the one before it … False: one of them is not there (any
 * more). */
bool stored_follow(struct stored *s, struct slice id, struct arena *a, struct stored_pieces *out);

#endif
