/* SPDX-License-Identifier: Apache-2.0 */
/* Faults instead of an answer: errors, connections that break, doors that shut. One loop's
 * thread. */
#ifndef PENSTOCK_MOCK_FAULT_ANSWER_H
#define PENSTOCK_MOCK_FAULT_ANSWER_H

#include "mock/fault.h"
#include "mock/worker.h"

/* True: this fault is the answer, and has been given (and counted). False: an answer is wanted, and
 * comes to harm on its way (fault_is_on_the_wire), or says what it is asked to. model may be
 * empty. */
bool fault_answers(struct mock_worker *w, struct http_exchange *ex, const struct fault_use *use,
                   struct slice model);
/* on_head: the same for what strikes before the body has come, by the header x-penstock-fault or by
 * the provider's schedule. */
bool fault_strikes_early(struct mock_worker *w, struct http_exchange *ex);

/* c->k.fault, which there is, strikes: noted in the journal, and in the answer's head if the client
 * asked for it. True: it has answered (fault_answers). */
bool fault_strikes(struct mock_call *c);
/* The same of a fault that the client did not ask for: of the scenario, else of the provider's
 * schedule. The client's own goes before: then, and without one, false. */
bool fault_strikes_unasked(struct mock_call *c);

/* A worker's doors: how new connections fare after refuse, accept-reset, tls-handshake. */
struct fault_gate;
/* An accepted descriptor. True: it has been taken, to be broken. */
bool fault_gate_takes(struct mock_worker *w, int fd);
/* Closes and opens the worker's listeners as the book says: on every wake. */
void fault_gate_check(struct mock_worker *w);
void fault_gate_free(struct mock_worker *w);

#endif
