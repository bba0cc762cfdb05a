/* SPDX-License-Identifier: Apache-2.0 */
/* The envelope of a request: one validating scan over the body. A prompt may be a string, a list of
 * strings, one prompt's tokens, or a list of such; the first element tells which. */
#include "dialect/completions/completions-private.h"

#include <stdio.h>

#include "dialect/json_text.h"
#include "dialect/peek.h"

#define DEFAULT_MAX_TOKENS 16
#define MAX_BEST_OF 128 /* OpenAI's is 20, and checked there */

enum {
    K_MODEL,
    K_PROMPT,
    K_STREAM,
    K_STREAM_OPTIONS,
    K_N,
    K_BEST_OF,
    K_MAX_TOKENS,
    K_COUNT
};
static const char *const names[K_COUNT] = {"model", "prompt",  "stream",    "stream_options",
                                           "n",     "best_of", "max_tokens"};

/* An array's elements must be of the first one's kind; those that are arrays, of whole numbers. */
static int peek_list(struct peek *p, struct slice list, bool is_inner) {
    struct json_walk w = json_walk_begin(list);
    struct slice item;
    char first = '\0', where[48];
    unsigned i = 0;
    for (; json_walk_element(&w, &item); i++) {
        int64_t token;
        char kind = item.ptr[0] == '"' || item.ptr[0] == '[' ? item.ptr[0] : '0';
        bool is_fine = kind != '0' || json_text_int(item, &token);
        if (i == 0) first = kind;
        if (is_fine && kind == first && !(is_inner && kind != '0')) {
            int rc = kind == '[' ? peek_list(p, item, true) : 0;
            if (rc) return rc;
            continue;
        }
        snprintf(where, sizeof where, "prompt[%u]", i);
        return request_refuse_type(p->fault, where,
                                   first == '"' ? "a string" : "an array of integers", item);
    }
    if (i > 0) return 0;
    return request_refuse(p->fault, "empty_array", "prompt",
                          "Invalid 'prompt': empty array. Expected an array with minimum length 1, "
                          "but got an empty array instead.");
}

static int peek_prompt(struct peek *p) {
    struct slice v = p->values[K_PROMPT];
    if (!v.ptr || json_text_is_null(v) || json_text_is(v, '"')) return 0;
    if (json_text_is(v, '[')) return peek_list(p, v, false);
    return request_refuse_type(p->fault, "prompt", "one of a string or array", v);
}

static int peek_best_of(struct peek *p, const struct envelope *env) {
    int64_t best_of = env->n;
    int rc = peek_int(p, K_BEST_OF, 0, MAX_BEST_OF, &best_of);
    if (rc) return rc;
    if (best_of > 0 && best_of < env->n) {
        return request_refuse(p->fault, "invalid_value", "best_of",
                              "Invalid 'best_of': it must not be less than 'n'.");
    }
    if (best_of > 1 && best_of > env->n && env->stream) {
        return request_refuse(p->fault, "invalid_value", "best_of",
                              "Invalid 'best_of': results cannot be streamed when it is greater "
                              "than 'n'. Leave 'stream' or 'best_of' out.");
    }
    return 0;
}

int completions_peek_request(struct slice body, struct arena *a, struct envelope *out,
                             struct request_fault *fault) {
    struct peek p = {.body = body, .a = a, .fault = fault, .names = names, .n_names = K_COUNT};
    *out = (struct envelope){.n = 1, .max_tokens = DEFAULT_MAX_TOKENS, .store = -1};
    *fault = (struct request_fault){.code = NULL};
    int rc = peek_scan(&p);
    if (rc == 0) rc = peek_model(&p, K_MODEL, out);
    if (rc == 0) rc = peek_prompt(&p);
    if (rc == 0) rc = peek_bool(&p, K_STREAM, &out->stream);
    if (rc == 0) rc = peek_stream_options(&p, K_STREAM_OPTIONS, out);
    if (rc == 0) rc = peek_int(&p, K_N, 1, CHAT_MAX_CHOICES, &out->n);
    if (rc == 0) rc = peek_best_of(&p, out);
    if (rc == 0) rc = peek_int(&p, K_MAX_TOKENS, 0, INT64_MAX, &out->max_tokens);
    peek_root(&p, out);
    return rc;
}
