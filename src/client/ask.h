/* SPDX-License-Identifier: Apache-2.0 */
/* The body of a question, in any dialect. */
#ifndef PENSTOCK_CLIENT_ASK_H
#define PENSTOCK_CLIENT_ASK_H

#include "dialect/dialect.h"

struct ask {
    const struct dialect *dialect;
    struct slice model;
    const char *system;            /* NULL: none */
    const char *reasoning_effort;  /* NULL: not said; completions has no word for it */
    int64_t max_tokens;            /* 0: not said */
    /* the bound where there must be one (messages), or a low one is the default (completions: 16);
     * 0: 4096, 1024 */
    int64_t needed_max_tokens;
    bool streams;
    bool include_usage;            /* of a stream; who tells it always is not asked */
};

/* Appends one turn to a history, which begins empty. is_answer: the model's, else the user's. 0 or
 * -ERR_LIMIT. */
int ask_add_turn(const struct ask *k, bool is_answer, struct slice text,
                 struct buf *history) MUST_CHECK;
/* Appends the body. 0 or -ERR_LIMIT. */
int ask_write(const struct ask *k, struct slice history, struct buf *out) MUST_CHECK;

#endif
