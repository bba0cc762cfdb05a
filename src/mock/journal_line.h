/* SPDX-License-Identifier: Apache-2.0 */
/* What whoever brings an answer remembers of it, for the journal's entry. The worker's thread. */
#ifndef PENSTOCK_MOCK_JOURNAL_LINE_H
#define PENSTOCK_MOCK_JOURNAL_LINE_H

#include "mock/call.h"

struct journal_line {
    uint64_t seq;                    /* of the entry; 0: none */
    int64_t start_ns, first_ns;      /* first_ns 0: nothing was streamed yet */
    const char *finish;              /* in the API's word (static); NULL: none */
    unsigned status;
};

/* response_id: the answer's own. */
void journal_line_begin(struct journal_line *l, const struct mock_call *c,
                        struct slice response_id);
/* Every event of the answer; the first finish counts. */
void journal_line_event(struct journal_line *l, const struct dialect *d, const struct event *ev);
/* Slots of a stream have been written. */
static inline void journal_line_wrote(struct journal_line *l, unsigned slots, int64_t now_ns) {
    if (l->first_ns == 0 && slots > 0) l->first_ns = now_ns;
}
/* Closes the entry; tokens -1: not known. */
void journal_line_end(const struct journal_line *l, struct mock_worker *w, enum journal_end end,
                      int64_t tokens_in, int64_t tokens_out);

#endif
