/* SPDX-License-Identifier: Apache-2.0 */
/* What is particular to the provider of each dialect, beyond what the dialect's own code knows: one
 * row a dialect. */
#ifndef PENSTOCK_MOCK_API_H
#define PENSTOCK_MOCK_API_H

#include "dialect/dialect.h"
#include "http/server.h"

struct api {
    const struct dialect *dialect;
    const char *path;                /* of its endpoint, without /v1 */
    const char *answer_prefix;       /* of an answer's id, "chatcmpl-" */
    const char *call_prefix;         /* of a call's id */
    bool is_anthropic;               /* errors, headers and lists of models in Anthropic's form */
    struct slice malformed;          /* a frame of cut JSON */
};

/* One for each dialect of the table; a dialect that is not in it speaks as chat. */
const struct api *api_of_dialect(const struct dialect *d);
/* By the exact path of a dialect's endpoint, with or without /v1; NULL when it is none. */
const struct api *api_of_path(struct slice path);
/* Whose words an answer to this request is in, whatever its path: errors, lists. */
const struct api *api_of(const struct http_exchange *ex);
/* The same where no endpoint is asked for: a key as Anthropic's clients send it tells, too. */
const struct api *api_of_stranger(const struct http_exchange *ex);
/* The path without a leading /v1. */
struct slice api_path(struct slice path);

/* By number, for who makes something for all; NULL past the end. */
const struct api *api_at(unsigned i);
#define API_COUNT 4

#endif
