/* SPDX-License-Identifier: Apache-2.0 */
/* `penstock mock --explain REQUEST.json`: which scenario would answer a request, or which came
 * nearest and why it did not. Nothing is served. */
#ifndef PENSTOCK_MOCK_EXPLAIN_H
#define PENSTOCK_MOCK_EXPLAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct mock_explain {
    const char *request;             /* file with the request's body; "-": stdin */
    const char *path;                /* NULL: told by what the body looks like */
    const char *const *headers;      /* "name: value" */
    unsigned n_headers;
    const char *const *scenarios;    /* files and folders */
    unsigned n_scenarios;
    uint64_t seed;
    bool json;                       /* the same as POST /penstock/explain says */
};

/* Writes to out, faults to errors. Exit code: 0 a scenario matched, 1 none did, 2 the request or
 * the scenarios are broken. */
int mock_explain(const struct mock_explain *x, FILE *out, FILE *errors);

#endif
