/* SPDX-License-Identifier: Apache-2.0 */
/* The mock as a proxy: requests go to a real provider, its answers come back as they come, and both
 * are kept. Bytes go to the client in the turn in which they came; the capture is a copy that is
 * taken on the way and written later by another thread. A slow client slows the provider down; a
 * client that leaves ends the provider's answer, which is then kept as cut. */
#ifndef PENSTOCK_MOCK_RECORD_H
#define PENSTOCK_MOCK_RECORD_H

#include "mock/call.h"
#include "mock/capture_store.h"

/* Where requests go. Immutable: all workers' threads. */
struct upstream;

/* key_env: the environment's variable with the key that is sent instead of the client's; NULL: the
 * client's is passed on. */
struct upstream *record_upstream_new(const char *url, const char *key_env,
                                     struct err *e) MUST_CHECK;
void record_upstream_free(struct upstream **u);

/* What a provider needs by its options: h->captures and h->upstream. Blocks: reads captures.
 * 0, or negative with e. */
int record_open(struct hub *h, struct err *e) MUST_CHECK;
void record_close(struct hub *h);
/* The worker's connections to the upstream. */
void record_close_worker(struct mock_worker *w);

bool record_is_on(const struct mock_worker *w);
/* Takes over the exchange; the journal's entry, too. Only when record_is_on. A call whose path is
 * no dialect's endpoint is passed on likewise. */
void record_start(struct mock_call *c);

/* Of an exchange: the dialect whose endpoint it asks, NULL when it is none. */
const struct dialect *record_dialect(const struct http_exchange *ex);
/* What a call asks; *out is initialised in any case. */
int record_norm(const struct mock_call *c, struct capture_norm *out) MUST_CHECK;

#endif
