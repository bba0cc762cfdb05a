/* SPDX-License-Identifier: Apache-2.0 */
/* The envelope of a request: one validating scan over the body, no tree. */
#include "dialect/estimate.h"
#include "dialect/messages/messages-private.h"
#include "dialect/peek.h"

enum { K_MODEL, K_MESSAGES, K_STREAM, K_MAX_TOKENS, K_COUNT };
static const char *const names[K_COUNT] = {"model", "messages", "stream", "max_tokens"};

static int peek(struct slice body, struct arena *a, bool is_count, struct envelope *out,
                struct request_fault *fault) {
    struct peek p = {.body = body, .a = a, .fault = fault, .names = names, .n_names = K_COUNT};
    *out = (struct envelope){.n = 1, .max_tokens = -1, .store = -1};
    *fault = (struct request_fault){.code = NULL};
    int rc = peek_scan(&p);
    if (rc == 0) rc = peek_model(&p, K_MODEL, out);
    if (rc == 0) rc = peek_messages(&p, K_MESSAGES);
    if (rc == 0) rc = peek_bool(&p, K_STREAM, &out->stream);
    /* 0 is legal: it fills the provider's prompt cache and answers nothing */
    if (rc == 0) rc = peek_int(&p, K_MAX_TOKENS, 0, INT64_MAX, &out->max_tokens);
    if (rc == 0 && !is_count && out->max_tokens < 0)
        rc = request_refuse_missing(fault, names[K_MAX_TOKENS]);
    peek_root(&p, out);
    return rc;
}

int messages_peek_request(struct slice body, struct arena *a, struct envelope *out,
                          struct request_fault *fault) {
    return peek(body, a, false, out, fault);
}

int messages_peek_count(struct slice body, struct arena *a, struct envelope *out,
                        struct request_fault *fault) {
    return peek(body, a, true, out, fault);
}
