/* SPDX-License-Identifier: Apache-2.0 */
/* One provider's scenarios while it runs: the set of the moment, its state, and who watches the
 * files. A reload that fails leaves the set as it is and is told on stderr and in
 * GET /penstock/scenarios. Any thread. */
#ifndef PENSTOCK_MOCK_SCENARIO_BOOK_H
#define PENSTOCK_MOCK_SCENARIO_BOOK_H

#include "mock/scenario.h"

struct scenario_book;

/* Reads the files; none is fine: tests may push. NULL: faults, report has them, a line each. The
 * paths are copied. */
struct scenario_book *scenario_book_open(const char *const *paths, unsigned n,
                                         struct buf *report);
/* Stops watching; NULL is fine. */
void scenario_book_close(struct scenario_book **b);
/* Reads changed files again from now on, on a thread of its own. quiet: a reload that goes well is
 * not told on stderr. 0, or -ERR_IO. */
int scenario_book_watch(struct scenario_book *b, bool quiet, struct err *e) MUST_CHECK;
/* Reads them now: whether they are in force. */
bool scenario_book_reload(struct scenario_book *b);

/* Of the set of the moment. */
bool scenario_book_find(struct scenario_book *b, const struct scenario_request *in,
                        struct arena *a, struct script *out);
struct scenario_state *scenario_book_state(struct scenario_book *b);
/* A reference. */
struct scenario_set *scenario_book_set(struct scenario_book *b);
/* {"files":[…],"reload":{…},"scenarios":[…],"pushed":[…]} */
int scenario_book_write(struct scenario_book *b, struct buf *out) MUST_CHECK;

#endif
