/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the completions dialect share. Rules: OpenAI's legacy Completions, and what
 * compatible servers make of it. Streams, errors and settings are chat's but for the choices, so
 * most of its code is (chat-private.h).
 *
 * How completions says what the model has no field for: probabilities are an OPAQUE event of the
 * text block, before the DELTA of the same frame; raw_json is the wire's object of parallel lists.
 */
#ifndef PENSTOCK_DIALECT_COMPLETIONS_PRIVATE_H
#define PENSTOCK_DIALECT_COMPLETIONS_PRIVATE_H

#include "dialect/chat/chat-private.h"

int completions_peek_request(struct slice body, struct arena *a, struct envelope *out,
                             struct request_fault *fault) MUST_CHECK;
int completions_decode_request(struct slice body, struct arena *a, struct llm_request *out,
                               struct request_fault *fault) MUST_CHECK;
int completions_encode_request(const struct llm_request *rq, struct translation *t,
                               struct buf *out, struct request_fault *fault) MUST_CHECK;

struct encoder *completions_encoder_new(const struct encoder_options *o);
int completions_encoder_event(struct encoder *x, const struct event *ev,
                              struct buf *out) MUST_CHECK;
void completions_encoder_free(struct encoder *x);
int completions_encode_response(const struct answer *an, const struct encoder_options *o,
                                struct buf *out) MUST_CHECK;

/* "stop", "length" or "content_filter": there are no others. */
struct slice completions_finish_word(enum stop_reason reason);

#endif
