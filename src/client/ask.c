/* SPDX-License-Identifier: Apache-2.0 */
/* A history is a list of messages, with commas between; of completions, which knows none, it is the
 * text so far, escaped. */
#include "client/ask.h"

#include "base/json_scan.h"

enum { MESSAGES_MAX_TOKENS = 4096, COMPLETIONS_MAX_TOKENS = 1024 };

static bool is_prompt(const struct ask *k) {
    return k->dialect == &dialect_completions;
}

static int add_string(struct buf *out, const char *before, struct slice text, const char *after) {
    return buf_append(out, slice_cstr(before)) | json_escape(out, text) |
           buf_append(out, slice_cstr(after));
}

int ask_add_turn(const struct ask *k, bool is_answer, struct slice text, struct buf *history) {
    int rc;
    if (is_prompt(k)) {
        rc = add_string(history, history->len ? "\\n\\n" : "", text, "");
    } else {
        rc = history->len ? buf_append_byte(history, ',') : 0;
        rc |= add_string(history,
                         is_answer ? "{\"role\":\"assistant\",\"content\":\""
                                   : "{\"role\":\"user\",\"content\":\"",
                         text, "\"}");
    }
    return rc < 0 ? -ERR_LIMIT : 0;
}

/* ---- members, each with its comma before it ---- */

static int add_bound(const struct ask *k, struct buf *out) {
    const char *name = k->dialect == &dialect_responses ? "max_output_tokens" : "max_tokens";
    bool needs_one = k->dialect == &dialect_messages || is_prompt(k);
    int64_t bound = k->max_tokens;
    if (bound == 0 && needs_one) {
        bound = k->needed_max_tokens ? k->needed_max_tokens
                : is_prompt(k)       ? COMPLETIONS_MAX_TOKENS
                                     : MESSAGES_MAX_TOKENS;
    }
    return bound > 0 ? buf_appendf(out, ",\"%s\":%lld", name, (long long)bound) : 0;
}

static int add_effort(const struct ask *k, struct buf *out) {
    struct slice effort = slice_cstr(k->reasoning_effort);
    if (!effort.ptr || is_prompt(k)) {
        return 0;
    }
    if (k->dialect == &dialect_responses) {
        return add_string(out, ",\"reasoning\":{\"summary\":\"auto\",\"effort\":\"", effort, "\"}");
    }
    if (k->dialect == &dialect_messages) {
        return add_string(out, ",\"thinking\":{\"type\":\"adaptive\"},\"output_config\":{\"effort\":\"",
                          effort, "\"}");
    }
    return add_string(out, ",\"reasoning_effort\":\"", effort, "\"");
}

static int add_stream(const struct ask *k, struct buf *out) {
    bool is_asked_for = k->dialect == &dialect_chat || is_prompt(k);
    int rc = k->streams ? buf_append(out, SLICE(",\"stream\":true")) : 0;
    if (k->streams && k->include_usage && is_asked_for) {
        rc |= buf_append(out, SLICE(",\"stream_options\":{\"include_usage\":true}"));
    }
    return rc;
}

static int add_prompt(const struct ask *k, struct slice history, struct buf *out) {
    int rc = buf_append(out, SLICE(",\"prompt\":\""));
    if (k->system) {
        rc |= add_string(out, "", slice_cstr(k->system), "\\n\\n");
    }
    return rc | buf_append(out, history) | buf_append(out, SLICE("\""));
}

static int add_turns(const struct ask *k, struct slice history, struct buf *out) {
    bool is_responses = k->dialect == &dialect_responses, is_chat = k->dialect == &dialect_chat;
    int rc = 0;
    if (k->system && !is_chat) {
        rc |= add_string(out, is_responses ? ",\"instructions\":\"" : ",\"system\":\"",
                         slice_cstr(k->system), "\"");
    }
    rc |= buf_append(out, is_responses ? SLICE(",\"input\":[") : SLICE(",\"messages\":["));
    if (k->system && is_chat) {
        rc |= add_string(out, "{\"role\":\"system\",\"content\":\"", slice_cstr(k->system),
                         history.len ? "\"}," : "\"}");
    }
    return rc | buf_append(out, history) | buf_append_byte(out, ']');
}

int ask_write(const struct ask *k, struct slice history, struct buf *out) {
    int rc = add_string(out, "{\"model\":\"", k->model, "\"");
    rc |= add_stream(k, out) | add_effort(k, out) | add_bound(k, out);
    rc |= is_prompt(k) ? add_prompt(k, history, out) : add_turns(k, history, out);
    return (rc | buf_append_byte(out, '}')) < 0 ? -ERR_LIMIT : 0;
}
