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

#include "mock/api.h"
#include "mock/knobs.h"
#include "mock/reply.h"
#include "mock/worker.h"

struct delivery;

/* Takes over the exchange; the request's memory is given back. k and rq are not
 * used after return. */
void delivery_start(struct mock_worker *w, struct http_exchange *ex, const struct api *api,
                    const struct llm_request *rq, const struct knobs *k);
void delivery_writable(struct delivery *d);
void delivery_recheck_step(struct delivery *d);
/* The exchange is over (is_cancelled: the client left). Frees. */
void delivery_ended(struct delivery *d, bool is_cancelled);
struct delivery *delivery_next(const struct delivery *d);

#endif
