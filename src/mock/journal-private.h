/* SPDX-License-Identifier: Apache-2.0 */
/* An entry, as journal.c keeps it and journal_query.c looks at it. */
#ifndef PENSTOCK_MOCK_JOURNAL_PRIVATE_H
#define PENSTOCK_MOCK_JOURNAL_PRIVATE_H

#include <stdatomic.h>

#include "mock/journal.h"

/* The request's part never changes; the answer's is guarded by the journal's lock. All texts live
 * in the entry's arena, and are masked. */
struct journal_entry {
    _Atomic unsigned refs;           /* the journal's and readers' */
    struct arena *arena;             /* the entry itself is in it */
    uint64_t seq;
    size_t bytes;                    /* as they are counted */

    const char *provider, *dialect, *method;
    int64_t wall_ns;
    bool stream, body_is_json, body_is_cut;
    struct slice path, query, model, session, body;
    size_t body_bytes;               /* as it came */
    struct http_headers headers;

    const char *answered_by;
    struct slice request_id, response_id;
    struct slice scenario, place, fault, violations;
    unsigned n_violations;
    struct journal_answer answer;
};

/* By what was asked, which may take a search through the body; and by what became of it. */
bool journal_request_fits(const struct journal_entry *en, const struct journal_query *q);
bool journal_answer_fits(const struct journal_entry *en, const struct journal_query *q);
static inline bool journal_entry_fits(const struct journal_entry *en,
                                      const struct journal_query *q) {
    return journal_answer_fits(en, q) && journal_request_fits(en, q);
}
int journal_entry_write(const struct journal_entry *en, bool has_body, struct buf *out) MUST_CHECK;

#endif
