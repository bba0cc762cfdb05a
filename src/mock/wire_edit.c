/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/wire_edit.h"

#include <stdlib.h>

#include "base/json_scan.h"

/* ---- places ---- */

static size_t skip_string(struct slice s, size_t at) {
    for (at++; at < s.len && s.ptr[at] != '"'; at++) {
        at += s.ptr[at] == '\\';
    }
    return at < s.len ? at + 1 : s.len;
}

/* Behind the value that begins here. */
static size_t skip_value(struct slice s, size_t at) {
    unsigned depth = 0;
    while (at < s.len) {
        char c = s.ptr[at];
        if (c == '"') {
            at = skip_string(s, at);
        } else if (c == '{' || c == '[') {
            depth++;
            at++;
        } else if (c == '}' || c == ']') {
            if (depth == 0) {
                return at;
            }
            depth--;
            at++;
        } else if (depth == 0 && c == ',') {
            return at;
        } else {
            at++;
            continue;
        }
        if (depth == 0) {
            return at;
        }
    }
    return s.len;
}

static size_t skip_blank(struct slice s, size_t at) {
    while (at < s.len && strchr(" \t\r\n", s.ptr[at])) {
        at++;
    }
    return at;
}

static bool element(struct slice array, unsigned long n, struct slice *out) {
    size_t at = skip_blank(array, 1);
    if (array.len < 2 || array.ptr[0] != '[') {
        return false;
    }
    for (; at < array.len && array.ptr[at] != ']'; n--) {
        size_t end = skip_value(array, at);
        if (n == 0) {
            *out = slice_sub(array, at, end - at);
            return true;
        }
        at = skip_blank(array, end);
        at = at < array.len && array.ptr[at] == ',' ? skip_blank(array, at + 1) : at;
    }
    return false;
}

bool json_at(struct slice json, const char *path, struct slice *out_value) {
    struct slice now = slice_from(json, skip_blank(json, 0));
    while (*path) {
        size_t len = strcspn(path, ".");
        struct json_member m;
        if (*path >= '0' && *path <= '9') {
            if (!element(now, strtoul(path, NULL, 10), &now)) {
                return false;
            }
        } else {
            if (now.len == 0 || now.ptr[0] != '{' ||
                !json_find_member(now, slice_make(path, len), &m)) {
                return false;
            }
            now = m.value;
        }
        path += len + (path[len] == '.');
    }
    *out_value = now;
    return true;
}

/* ---- what stands where ---- */

static const struct wire_paths chat = {
    .pieces = {"choices.0.delta.content", "choices.0.delta.reasoning_content",
               "choices.0.delta.refusal", "choices.0.delta.tool_calls.0.function.arguments",
               "choices.0.delta.function_call.arguments"},
    .index = "choices.0.index",
    .id = "id",
    .tokens = {"usage.completion_tokens"},
    .usage = {"usage"},
    .list = "choices",
    .whole_index = "choices.0.index",
    .role = "choices.0.message.role",
    .finish = "choices.0.finish_reason",
    .finish_none = "null",
    .arguments = {"choices.0.message.tool_calls.0.function.arguments",
                  "choices.0.message.function_call.arguments"},
};
static const struct wire_paths completions = {
    .pieces = {"choices.0.text"},
    .index = "choices.0.index",
    .id = "id",
    .tokens = {"usage.completion_tokens"},
    .usage = {"usage"},
    .list = "choices",
    .whole_index = "choices.0.index",
    .finish = "choices.0.finish_reason",
    .finish_none = "null",
};
static const struct wire_paths responses = {
    .pieces = {"delta"},
    .index = "output_index",
    .id = "item_id",
    .tokens = {"response.usage.output_tokens", "usage.output_tokens"},
    .usage = {"response.usage", "usage"},
    .list = "output",
    .role = "status",
    .finish = "status",
    .finish_none = "\"in_progress\"",
    .arguments = {"output.0.arguments", "output.1.arguments"},
};
static const struct wire_paths messages = {
    .pieces = {"delta.text", "delta.thinking", "delta.partial_json"},
    .index = "index",
    .id = "message.id",
    .tokens = {"usage.output_tokens"},
    .usage = {"usage"},
    .list = "content",
    .role = "role",
    .finish = "stop_reason",
    .finish_none = "null",
    .arguments = {"content.0.input", "content.1.input"},
};

const struct wire_paths *wire_paths_of(const struct api *api) {
    if (api->dialect == &dialect_completions) {
        return &completions;
    }
    if (api->dialect == &dialect_responses) {
        return &responses;
    }
    return api->dialect == &dialect_messages ? &messages : &chat;
}
