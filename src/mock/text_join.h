/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of a request put together, a line each: gone through twice, once to measure, once to write,
 * so that a single one, the usual case, is borrowed as it is. */
#ifndef PENSTOCK_MOCK_TEXT_JOIN_H
#define PENSTOCK_MOCK_TEXT_JOIN_H

#include <string.h>

#include "base/arena.h"
#include "dialect/request.h"

struct text_join {
    struct slice only;               /* the last one */
    size_t total, texts;
    char *to;                        /* NULL: measuring */
    size_t at;
};
#define TEXT_JOIN_BEGIN ((struct text_join){.only = {"", 0}})

static inline void text_join_add(struct text_join *j, struct slice text) {
    if (text.len == 0) {
        return;
    }
    if (j->to) {
        memcpy(j->to + j->at, text.ptr, text.len);
        j->at += text.len;
        j->to[j->at++] = '\n';
        return;
    }
    j->only = text;
    j->total += text.len + 1;
    j->texts++;
}
/* The part's own text, and those of a result's parts. */
static inline void text_join_part(struct text_join *j, const struct part *p) {
    text_join_add(j, p->text);
    for (unsigned i = 0; i < p->n_inner; i++) {
        text_join_add(j, p->inner[i].text);
    }
}
/* After the first time through. False: text_join_end may be called at once; else go through again.
 * */
static inline bool text_join_again(struct text_join *j, struct arena *a) {
    if (j->texts > 1) {
        j->to = arena_alloc(a, j->total);
    }
    return j->to != NULL;
}
static inline struct slice text_join_end(const struct text_join *j) {
    return j->to ? slice_make(j->to, j->at - 1) : j->only;
}

#endif
