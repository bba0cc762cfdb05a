/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a conversation is one that the real provider would go on with: thoughts come back with
 * the proof they were given, calls and results fit each other, and Anthropic's settings do.
 * Any thread. */
#ifndef PENSTOCK_MOCK_HISTORY_H
#define PENSTOCK_MOCK_HISTORY_H

#include "mock/api.h"

/* seed: the mock's own, which it made its proofs with; given: others that it has given (NULL:
 * none). 0, or -ERR_USAGE with the fault and its status (400 or 404). */
struct given;
int history_check(const struct llm_request *rq, const struct api *api, uint64_t seed,
                  struct given *given, struct request_fault *fault,
                  unsigned *out_status) MUST_CHECK;

#endif
