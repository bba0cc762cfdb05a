/* SPDX-License-Identifier: Apache-2.0 */
/* The stage of a call that looks for its scenario. */
#ifndef PENSTOCK_MOCK_SCENARIO_ANSWER_H
#define PENSTOCK_MOCK_SCENARIO_ANSWER_H

#include "mock/call.h"

/* Fills c->script, the head's facts and the journal's entry when a scenario matches. True: it was
 * an error, and has been answered. A request whose knobs say its text looks for none. */
bool scenario_answers(struct mock_call *c);

#endif
