/* SPDX-License-Identifier: Apache-2.0 */
/* Where the words of one block come from, as they are asked for: nothing is kept of what has been
 * said, so that an endless answer needs no more memory than a short one. One thread. */
#ifndef PENSTOCK_MOCK_SOURCE_H
#define PENSTOCK_MOCK_SOURCE_H

#include "base/buf.h"
#include "mock/prose.h"

enum source_kind { SOURCE_FIXED, SOURCE_REPEAT, SOURCE_PROSE, SOURCE_COUNT };

#define SOURCE_TAG_BYTES 24

struct source {
    enum source_kind kind;
    struct slice fixed;              /* FIXED, REPEAT: borrowed */
    struct prose prose;
    char tag[SOURCE_TAG_BYTES + 1];
    uint64_t counted, count_to;      /* COUNT; count_to 0: for ever */
    struct buf window;               /* made, not yet said */
    size_t at;                       /* how much of the window (or of fixed) has been said */
    bool ended;                      /* nothing comes behind the window */
};

/* The source must be zeroed or used before; its window's storage is kept for the next text. */
void source_start_prose(struct source *s, enum prose_kind kind, uint64_t seed, struct slice topic,
                        bool endless);
/* text: behind a blank when it repeats, which goes between. */
void source_start_fixed(struct source *s, struct slice text, bool repeat);
/* "TAGn1 TAGn2 …". tag is cut to letters and digits and to its maximum. */
void source_start_count(struct source *s, struct slice tag, uint64_t count_to);
void source_dispose(struct source *s);

/* What comes next, unsaid: at least min_bytes of it unless the end is nearer (or the seam of a long
 * text that repeats). It ends where no token goes on, so that it can be cut into tokens as if it
 * were all. Valid until the next call on s. Empty: the end. */
struct slice source_peek(struct source *s, size_t min_bytes);
void source_said(struct source *s, size_t bytes);
/* The length of the next item of a count, which must be peeked at before. */
size_t source_item_len(struct slice ahead);

#endif
