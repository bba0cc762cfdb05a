/* SPDX-License-Identifier: Apache-2.0 */
/* Control requests of scenarios.
 *   POST   /penstock/scenarios[?session=NAME]   a scenario or a list of them, YAML or JSON: answers
 *          that are given before the files' ones, oldest first, once each
 *   GET    /penstock/scenarios                  all there are, with counts, and the last reload
 *   DELETE /penstock/scenarios[?name=NAME][&reset=1]   the pushed ones; counts and sessions
 *   POST   /penstock/explain?path=PATH          a request's body: which scenario would answer it */
#ifndef PENSTOCK_MOCK_CONTROL_SCENARIOS_H
#define PENSTOCK_MOCK_CONTROL_SCENARIOS_H

#include "mock/worker.h"

void control_scenarios_push(struct mock_worker *w, struct http_exchange *ex);
void control_scenarios(struct mock_worker *w, struct http_exchange *ex);
void control_scenarios_clear(struct mock_worker *w, struct http_exchange *ex);
void control_explain(struct mock_worker *w, struct http_exchange *ex);

#endif
