/* SPDX-License-Identifier: Apache-2.0 */
/* What the mock knows of itself: how late its frames left, split into what was its own doing and
 * what was the client's, and whether results that are taken from it are limited by it.
 *
 * A paced frame's lateness is when it was written minus when it was due. A stream whose client did
 * not take what was written before is behind schedule through the client until it has caught up:
 * its frames are counted apart, and their lateness is not the mock's. */
#ifndef PENSTOCK_MOCK_SELF_H
#define PENSTOCK_MOCK_SELF_H

#include <stdio.h>

#include "mock/worker.h"

#define SELF_WINDOW_NS (INT64_C(10) * 1000000000)

/* A worker wrote frames that were due then. */
void self_record(struct mock_worker *w, const int64_t *dues, unsigned n, bool is_blocked);

/* GET /penstock/self */
void control_self(struct mock_worker *w, struct http_exchange *ex);
/* Families of metrics, behind the others of /metrics. */
int self_append_metrics(struct hub *h, struct buf *out) MUST_CHECK;
/* Lines for the end of a run; nothing when no frame was paced. */
void self_print_summary(FILE *out, struct hub *h);

#endif
