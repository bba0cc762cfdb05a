/* SPDX-License-Identifier: Apache-2.0 */
/* What one request may say about its own answer: see mock.h. */
#ifndef PENSTOCK_MOCK_KNOBS_H
#define PENSTOCK_MOCK_KNOBS_H

#include "dialect/request.h"
#include "http/message.h"
#include "mock/fault.h"
#include "mock/mock.h"
#include "mock/reply.h"

struct knobs {
    struct law ttft, itl, prefill;  /* its own where has_ says so, else the provider's */
    double tps;                     /* 0: not said */
    struct burst burst;
    bool has_ttft, has_itl, has_prefill, has_burst;
    uint64_t tokens;
    struct slice text;              /* ptr NULL: none */
    struct slice step_key;          /* ptr NULL: not stepped */
    enum reply_thinking thinking;
    int64_t cached;                 /* -1: not said */
    bool stamp;
    const struct fault_use *fault;  /* NULL: none */
};

/* Slices point into options, headers, body or the arena. 0, or -ERR_USAGE with e naming the
 * knob. */
int knobs_read(const struct mock_options *o, const struct http_headers *headers,
               const struct llm_request *rq, struct arena *a, struct knobs *out,
               struct err *e) MUST_CHECK;

#endif
