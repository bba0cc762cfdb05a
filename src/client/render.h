/* SPDX-License-Identifier: Apache-2.0 */
/* Canonical events as text that grows on a terminal or in a file. On a terminal control characters
 * of the answer are shown as '?', so that a model cannot steer it. One thread. */
#ifndef PENSTOCK_CLIENT_RENDER_H
#define PENSTOCK_CLIENT_RENDER_H

#include <stdio.h>

#include "dialect/event.h"

struct render {
    FILE *out;                 /* the answer */
    FILE *notes;               /* remarks: cut by a bound, filtered */
    bool color;
    bool is_terminal;          /* of out */
    enum { RENDER_NOTHING, RENDER_TEXT, RENDER_REASONING, RENDER_CALL } open;
    uint32_t block;            /* the open one */
    bool any, ends_in_newline;
};

/* out and notes are borrowed. */
void render_init(struct render *r, FILE *out, FILE *notes, bool color, bool is_terminal);
void render_event(struct render *r, const struct event *ev);
/* Closes what is open and ends the line. May be called at any point, and more than once. */
void render_end(struct render *r);

#endif
