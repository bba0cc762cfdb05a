/* SPDX-License-Identifier: Apache-2.0 */
/* Brings one reply to its client: on schedule or step by step, streamed or whole, with or without a
 * fault. One timer a delivery; nothing is allocated per token.
 *
 *   WAIT ──due──▶ (slots are encoded and written) ──client does not take it──▶ BLOCKED ──writable──▶ WAIT
 *     │ the last slot is out                     └─stepped, no credit─▶ HELD ──step──▶ WAIT
 *     ▼
 *   OVER (http_end or http_abort was called; freed by on_done or on_cancel)
 *
 * A slot is one token with what stands before it, or what stands behind the last token. */
#ifndef PENSTOCK_MOCK_DELIVERY_H
#define PENSTOCK_MOCK_DELIVERY_H

#include "mock/call.h"
#include "mock/reply.h"

struct delivery;

/* Takes over the exchange; the request's memory is given back. The call is not used after
 * return. */
void delivery_start(struct mock_call *c);
/* Into c->job (background.h), without a client: the exchange stays the caller's. False: it has been
 * answered, and the job is not used. */
bool delivery_start_job(struct mock_call *c);
/* Of the worker's jobs: those that were cancelled; all of them, since the worker closes. */
void delivery_drop_cancelled(struct mock_worker *w);
void delivery_drop_jobs(struct mock_worker *w);
void delivery_recheck_step(struct delivery *d);
struct delivery *delivery_next(const struct delivery *d);

#endif
