/* SPDX-License-Identifier: Apache-2.0 */
/* Counting tokens without asking an upstream: for count_tokens, and for the input tokens of a
 * message_start that comes before the upstream has told them. Pure, any thread. */
#ifndef PENSTOCK_DIALECT_ESTIMATE_H
#define PENSTOCK_DIALECT_ESTIMATE_H

#include "dialect/request.h"

/* About how many input tokens the request has; at least 1. No tokenizer: a token for every four
 * bytes of text that the model reads (texts, reasoning, names, arguments, schemas), and for what a
 * model's own template puts around it
 *   4 a message, 8 a call or a result, 8 a tool and 200 once for tools at all;
 *   1,200 an image (a large one; small ones are fewer), for a document or audio that is carried in
 *   the request one for every 48 bytes of base64, 1,500 at least.
 * Proofs (signatures, encrypted reasoning) count nothing. Within 25 % of what providers count for
 * usual English and code; other scripts and dense JSON may be off by more. */
int64_t request_estimate_tokens(const struct llm_request *rq);

/* The body of messages' count_tokens: as dialect_messages.peek_request and decode_request, but
 * max_tokens may be absent. */
int messages_peek_count(struct slice body, struct arena *a, struct envelope *out,
                        struct request_fault *fault) MUST_CHECK;
int messages_decode_count(struct slice body, struct arena *a, struct llm_request *out,
                          struct request_fault *fault) MUST_CHECK;

#endif
