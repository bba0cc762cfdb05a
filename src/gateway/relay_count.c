/* SPDX-License-Identifier: Apache-2.0 */
/* POST /messages/count_tokens for a model whose provider does not count: an estimate. */
#include <inttypes.h>

#include "dialect/estimate.h"
#include "gateway/relay.h"

void relay_count_locally(struct relay *r) {
    struct request_fault fault = {0};
    struct llm_request rq;
    struct buf body;
    if (messages_decode_count(r->body, r->ex->arena, &rq, &fault) < 0) {
        relay_refuse_request(r, &fault);
        return;
    }
    buf_init(&body, 64);
    relay_set_end(r, END_OK);
    if (buf_appendf(&body, "{\"input_tokens\":%" PRId64 "}", request_estimate_tokens(&rq)) == 0)
        relay_respond(r, 200, buf_slice(&body));
    buf_dispose(&body);
}
