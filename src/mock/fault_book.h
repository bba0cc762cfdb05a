/* SPDX-License-Identifier: Apache-2.0 */
/* A provider's faults: which ones are on a schedule, how often each has struck, and for how long
 * its doors behave strangely. Any thread; a short lock, and only when there is a schedule. */
#ifndef PENSTOCK_MOCK_FAULT_BOOK_H
#define PENSTOCK_MOCK_FAULT_BOOK_H

#include <stdatomic.h>

#include "mock/fault.h"

struct fault_book;

#define FAULT_MAX_RULES 64

struct fault_book *fault_book_new(uint64_t seed);
void fault_book_free(struct fault_book **b);

/* ---- the schedule ---- */

/* The specs of the whole provider, checked (fault_parse) before: one that is none is left out.
 * Those that were there in the same words go on as they were: their time and count do not begin
 * anew. */
void fault_book_set(struct fault_book *b, const char *const *specs, unsigned n, int64_t now_ns);

struct fault_request {
    int64_t now_ns;
    uint64_t serial;               /* what is drawn by lot comes from it and the seed */
    struct slice model, path;      /* model: empty when it is not known */
};
/* The first one that strikes this request. on_head: only those that strike before the body has
 * come; else only the others. */
bool fault_book_pick(struct fault_book *b, const struct fault_request *rq, bool on_head,
                     struct fault_use *out);

/* ---- what has struck ---- */

void fault_book_count(struct fault_book *b, const struct mock_fault *f);
uint64_t fault_book_counted(const struct fault_book *b, const struct mock_fault *f);
/* penstock_mock_faults_total, with its head; rows that never struck are left out. */
int fault_book_metrics(const struct fault_book *b, struct buf *out) MUST_CHECK;

/* ---- doors ---- */

enum fault_door {
    FAULT_DOOR_OPEN,
    FAULT_DOOR_SHUT,               /* nobody listens */
    FAULT_DOOR_RESETS,             /* accepts and resets */
    FAULT_DOOR_TRIPS               /* resets behind the first bytes */
};
/* Until then, by mock_door_now_ns; a later one takes the place of an earlier one. */
void fault_book_set_door(struct fault_book *b, enum fault_door door, int64_t until_ns);
enum fault_door fault_book_door(const struct fault_book *b, int64_t now_ns, int64_t *out_until_ns);

#endif
