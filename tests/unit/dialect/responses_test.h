/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of responses' requests share. */
#ifndef PENSTOCK_TESTS_RESPONSES_TEST_H
#define PENSTOCK_TESTS_RESPONSES_TEST_H

#include "request_test.h"

#include "dialect/responses/responses-private.h"

static inline void decode(struct slice body, struct arena *a, struct llm_request *rq) {
    read_request(&dialect_responses, body, a, rq);
}

#endif
