/* SPDX-License-Identifier: Apache-2.0 */
#include "dialect/dialect.h"

const struct dialect *const dialects[] = {&dialect_chat, &dialect_completions, &dialect_responses,
                                         &dialect_messages, NULL};

const struct dialect *dialect_find(struct slice name) {
    for (unsigned i = 0; dialects[i]; i++) {
        if (slice_eq(name, slice_cstr(dialects[i]->name))) return dialects[i];
    }
    return NULL;
}

const char *event_kind_name(enum event_kind k) {
    static const char *const names[EV_KIND_COUNT] = {
        [EV_START] = "start",
        [EV_BLOCK_BEGIN] = "block_begin",
        [EV_DELTA] = "delta",
        [EV_SIGNATURE] = "signature",
        [EV_LOGPROBS] = "logprobs",
        [EV_ANNOTATION] = "annotation",
        [EV_PART] = "part",
        [EV_BLOCK_END] = "block_end",
        [EV_FINISH] = "finish",
        [EV_USAGE] = "usage",
        [EV_ERROR] = "error",
        [EV_PING] = "ping",
        [EV_OPAQUE] = "opaque",
        [EV_END] = "end",
    };
    return (unsigned)k < EV_KIND_COUNT ? names[k] : "unknown";
}

const char *block_kind_name(enum block_kind k) {
    static const char *const names[BLOCK_KIND_COUNT] = {
        [BLOCK_TEXT] = "text",
        [BLOCK_REASONING] = "reasoning",
        [BLOCK_REFUSAL] = "refusal",
        [BLOCK_TOOL_CALL] = "tool_call",
        [BLOCK_CUSTOM_TOOL_CALL] = "custom_tool_call",
        [BLOCK_FUNCTION_CALL] = "function_call",
        [BLOCK_AUDIO] = "audio",
        [BLOCK_REDACTED] = "redacted",
        [BLOCK_OPAQUE] = "opaque",
    };
    return (unsigned)k < BLOCK_KIND_COUNT ? names[k] : "unknown";
}
