/* SPDX-License-Identifier: Apache-2.0 */
/* Responses that are made in the background: a delivery without a client, which writes its stream
 * into a job. Whoever wants it reads it from there: from its begin, or behind an event; on any
 * worker, while it is made or later.
 *
 *   POST ─▶ job (queued) ──first slot──▶ in_progress ──▶ over: kept (stored.h), no job any more
 *                │ cancel                    │ cancel
 *                └──────────▶ cancelled ◀────┘
 *
 * A job belongs to its worker, which alone writes into it; its lock lets others read. */
#ifndef PENSTOCK_MOCK_BACKGROUND_H
#define PENSTOCK_MOCK_BACKGROUND_H

#include "mock/call.h"

#define BACKGROUND_MAX_JOBS 4096     /* of a provider */

struct background;
struct job;

struct background *background_new(void);
void background_free(struct background **b);     /* no job is left */

/* c->turn is of a background request; takes over the exchange. */
void background_start(struct mock_call *c);

/* ---- a job's delivery; its worker ---- */

void job_write(struct job *j, struct slice frames);
/* Over; x: of its stream, NULL: it could not be made. The delivery lets go of the job. */
void job_end(struct job **j, const struct encoder *x);
bool job_is_cancelled(struct job *j);

/* ---- clients, any worker; what their key has asked for alone is there ---- */

/* The response as it is now. False: nothing of this id is being made. */
bool background_get(struct mock_call *c, struct slice id, struct slice *out);
/* What it is made from, oldest first, with commas. */
bool background_input(struct mock_call *c, struct slice id, struct slice *out);
/* The same, cancelled from now on. */
bool background_cancel(struct mock_call *c, struct slice id, struct slice *out);
/* Its stream behind so many events, as it comes; takes over the exchange. False: no such job. */
bool background_follow(struct mock_call *c, struct slice id, uint64_t skip);

/* Followers go on, cancelled jobs end: on every wake of the worker. */
void background_recheck(struct mock_worker *w);

#endif
