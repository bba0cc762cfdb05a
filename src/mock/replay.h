/* SPDX-License-Identifier: Apache-2.0 */
/* Captures as answers: of the same dialect and form byte for byte, piece by piece, each at its time
 * (by --speed); in another dialect or form as the same events in other words, at the same times. A
 * whole answer that is streamed comes in tokens, spread evenly over the time that it took. What was
 * cut is cut again. */
#ifndef PENSTOCK_MOCK_REPLAY_H
#define PENSTOCK_MOCK_REPLAY_H

#include "mock/call.h"
#include "mock/capture_store.h"

/* "1x", "10x", "0.5x", "max": for settings.c. */
int replay_speed_check(struct slice text, struct mock_options *o, struct arena *a, struct err *e);

/* Captures, or a real provider, have a part in the answers: thoughts' proofs are theirs then. */
bool replay_is_on(const struct mock_worker *w);
/* A stage of an answer; c->rq is there. True: a capture or the upstream answers, or the request was
 * refused since none does. False: the generator's turn; also when somebody said what is to be
 * answered, or how it is to fail. */
bool replay_answers(struct mock_call *c);

/* A request for what is no dialect's endpoint, before it is routed: true when a capture or the
 * upstream answers it. */
bool replay_takes(struct mock_worker *w, struct http_exchange *ex);

/* The capture in another dialect or form, as if it had been recorded so. c->rq is what the client
 * asked. NULL: e says why it cannot be told. */
struct capture *replay_translate(const struct capture *from, struct mock_call *c,
                                 struct err *e) MUST_CHECK;

#endif
