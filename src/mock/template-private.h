/* SPDX-License-Identifier: Apache-2.0 */
/* Inside templates: template.c compiles and fills in, template_functions.c is what can be filled
 * in. */
#ifndef PENSTOCK_MOCK_TEMPLATE_PRIVATE_H
#define PENSTOCK_MOCK_TEMPLATE_PRIVATE_H

#include "mock/scenario-private.h"

/* One member or element on the way into a request's body. */
struct template_step {
    struct slice key;                /* ptr NULL: an element */
    int64_t index;                   /* from the end when negative */
};

struct template_function;

/* A stretch of the template: text as it is, or a function's value. */
struct template_piece {
    const struct template_function *function;   /* NULL: text */
    struct slice text;               /* the text; a function's argument */
    int64_t low, high;
    const struct template_step *steps;
    unsigned n_steps;
    bool is_escaped;                 /* inside a JSON string */
    bool is_value;                   /* stands for a whole JSON value: keeps its type */
};

struct template_filling {
    struct template_facts *facts;
    struct view view;
    struct buf out;
    struct buf value;                /* the function's that is at work */
};

struct template_function {
    const char *name, *form;
    unsigned min_words, max_words;   /* behind the name */
    bool is_number;                  /* alone in a JSON value: no string */
    /* What is wrong with the words; NULL: nothing. */
    const char *(*compile)(struct arena *a, const struct slice *words, unsigned n,
                           struct template_piece *p);
    int (*write)(const struct template_piece *p, struct template_filling *f);
    const char *description;
};

extern const struct template_function template_functions[];
extern const unsigned template_n_functions;

#endif
