/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of Completions, as only a server of Completions takes them. */
#ifndef PENSTOCK_MOCK_COMPLETION_H
#define PENSTOCK_MOCK_COMPLETION_H

#include "dialect/dialect.h"

/* As dialect_completions.decode_request, but for what no other dialect could answer: several
 * prompts (a user's message each), tokens as prompts (their text is the list as it came), echo,
 * logprobs, suffix, best_of. */
#define COMPLETION_MAX_PROMPTS 8
int completion_decode(struct slice body, struct arena *a, struct llm_request *out,
                      struct request_fault *fault) MUST_CHECK;
/* Whether the answer begins with its prompt. */
bool completion_echoes(const struct llm_request *rq);

#endif
