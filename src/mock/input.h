/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of embeddings and moderations: a model, and texts in one of the forms they come in. */
#ifndef PENSTOCK_MOCK_INPUT_H
#define PENSTOCK_MOCK_INPUT_H

#include "dialect/peek.h"
#include "mock/call.h"

#define INPUTS_MAX 2048

struct input {
    struct slice text;               /* or the list of tokens, as it came; of parts: joined */
    bool is_tokens;
    unsigned images;                 /* among the parts */
};

enum input_key { INPUT_MODEL, INPUT_INPUT, INPUT_ENCODING, INPUT_DIMENSIONS, INPUT_KEYS };

struct input_ask {
    struct peek peek;
    struct envelope env;
    struct request_fault fault;
    struct input *list;
    unsigned n;
    int64_t dimensions;              /* 0: not said */
    bool is_base64;
    uint64_t tokens;                 /* of all inputs */
};

/* In the exchange's arena. default_model: NULL when one must be told. has_parts: objects with types
 * are taken. False: it has been answered. */
bool input_take(struct mock_call *c, struct input_ask *k, const char *default_model,
                bool has_parts);

#endif
