/* SPDX-License-Identifier: Apache-2.0 */
/* The envelope of a request: one validating scan over the body, no tree. */
#include "dialect/chat/chat-private.h"
#include "dialect/peek.h"

enum {
    K_MODEL,
    K_MESSAGES,
    K_STREAM,
    K_STREAM_OPTIONS,
    K_N,
    K_MAX_TOKENS,
    K_MAX_COMPLETION_TOKENS,
    K_COUNT
};
static const char *const names[K_COUNT] = {
    "model", "messages", "stream", "stream_options", "n", "max_tokens", "max_completion_tokens"};

int chat_peek_request(struct slice body, struct arena *a, struct envelope *out,
                      struct request_fault *fault) {
    struct peek p = {.body = body, .a = a, .fault = fault, .names = names, .n_names = K_COUNT};
    *out = (struct envelope){.n = 1, .max_tokens = -1, .store = -1};
    *fault = (struct request_fault){.code = NULL};
    int rc = peek_scan(&p);
    if (rc == 0) rc = peek_model(&p, K_MODEL, out);
    if (rc == 0) rc = peek_messages(&p, K_MESSAGES);
    if (rc == 0) rc = peek_bool(&p, K_STREAM, &out->stream);
    if (rc == 0) rc = peek_stream_options(&p, K_STREAM_OPTIONS, out);
    if (rc == 0) rc = peek_int(&p, K_N, 1, CHAT_MAX_CHOICES, &out->n);
    if (rc == 0) rc = peek_int(&p, K_MAX_TOKENS, 1, INT64_MAX, &out->max_tokens);
    if (rc == 0) rc = peek_int(&p, K_MAX_COMPLETION_TOKENS, 1, INT64_MAX, &out->max_tokens);
    peek_root(&p, out);
    return rc;
}
