/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/api.h"

#define LITERAL(text) {text, sizeof(text) - 1}

static const struct api apis[API_COUNT] = {
    {.dialect = &dialect_chat,
     .path = "/chat/completions",
     .answer_prefix = "chatcmpl-",
     .call_prefix = "call_",
     .malformed = LITERAL("data: {\"id\":\"chatcmpl-cut\",\"choices\":[{\"delta\":{\"con\n\n")},
    {.dialect = &dialect_completions,
     .path = "/completions",
     .answer_prefix = "cmpl-",
     .call_prefix = "call_",
     .malformed = LITERAL("data: {\"id\":\"cmpl-cut\",\"choices\":[{\"index\":0,\"te\n\n")},
    {.dialect = &dialect_responses,
     .path = "/responses",
     .answer_prefix = "resp_",
     .call_prefix = "call_",
     .malformed = LITERAL("event: response.output_text.delta\n"
                          "data: {\"type\":\"response.output_text.delta\",\"del\n\n")},
    {.dialect = &dialect_messages,
     .path = "/messages",
     .answer_prefix = "msg_01",
     .call_prefix = "toolu_01",
     .is_anthropic = true,
     .malformed = LITERAL("event: content_block_delta\ndata: {\"type\":\"content_block_delta\","
                          "\"index\":0,\"delta\":{\"type\":\"text_del\n\n")},
};

const struct api *api_at(unsigned i) {
    return i < API_COUNT ? &apis[i] : NULL;
}

const struct api *api_of_dialect(const struct dialect *d) {
    for (unsigned i = 0; i < API_COUNT; i++) {
        if (apis[i].dialect == d) {
            return &apis[i];
        }
    }
    return &apis[0];
}

struct slice api_path(struct slice path) {
    return slice_starts_with(path, SLICE("/v1/")) ? slice_from(path, 3) : path;
}

const struct api *api_of_path(struct slice path) {
    path = api_path(path);
    for (unsigned i = 0; i < API_COUNT; i++) {
        if (slice_eq(path, slice_cstr(apis[i].path))) {
            return &apis[i];
        }
    }
    return NULL;
}

const struct api *api_of(const struct http_exchange *ex) {
    const struct api *exact = api_of_path(ex->path);
    bool is_anthropic = slice_starts_with(api_path(ex->path), SLICE("/messages/")) ||
                        http_headers_get(&ex->headers, SLICE("anthropic-version")).ptr;
    if (exact) {
        return exact;
    }
    return api_of_dialect(is_anthropic ? &dialect_messages : &dialect_chat);
}

const struct api *api_of_stranger(const struct http_exchange *ex) {
    bool has_their_key = http_headers_get(&ex->headers, SLICE("x-api-key")).ptr &&
                         !http_headers_get(&ex->headers, SLICE("authorization")).ptr;
    return has_their_key ? api_of_dialect(&dialect_messages) : api_of(ex);
}
