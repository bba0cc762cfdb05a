/* SPDX-License-Identifier: Apache-2.0 */
/* What a test expects of the requests that were made: POST /penstock/expect.
 *
 *   {"match": {…a scenario's conditions…}, "where": {…the journal's filters…},
 *    "count": N | "at_least": N, "at_most": N,      default: at_least 1
 *    "since": SEQ, "within_ms": N}
 *   {"order": [{…}, {…}, …]}                        requests that match these came in this order
 *
 * Entries of the journal are looked at by decoding their kept bodies again; each once for an
 * expectation that waits. One thread at a time. */
#ifndef PENSTOCK_MOCK_EXPECT_H
#define PENSTOCK_MOCK_EXPECT_H

#include "config/report.h"
#include "mock/journal.h"

struct expectation;

/* NULL: broken, r has the faults. */
struct expectation *expectation_parse(struct slice body, struct report *r);
void expectation_free(struct expectation **x);
int64_t expectation_within_ns(const struct expectation *x);
/* Looks at what has come; true: it holds. */
bool expectation_check(struct expectation *x, struct journal *j);
/* {"ok":true,"count":N,"matched":[…]} or {"ok":false,"wanted":"…","count":N,"matched":[…],
 * "nearest":[{"seq":N,"why_not":["…"]}]}, of the last check. */
int expectation_write(struct expectation *x, struct journal *j, struct buf *out) MUST_CHECK;

#endif
