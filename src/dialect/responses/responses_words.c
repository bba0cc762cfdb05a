/* SPDX-License-Identifier: Apache-2.0 */
/* The tables: the words of Responses' streams and answers, and the model's. */
#include "dialect/responses/responses-stream.h"

#include "base/json_scan.h"
#include "dialect/json_text.h"

/* ---- events ---- */

static const struct {
    struct slice name;
    enum responses_event event;
} events[] = {
#define EVENT(name, event)                                                                         \
    { {"response." name, sizeof("response." name) - 1}, event }
    EVENT("output_text.delta", RE_TEXT_DELTA),
    EVENT("function_call_arguments.delta", RE_ARGS_DELTA),
    EVENT("reasoning_summary_text.delta", RE_SUMMARY_DELTA),
    EVENT("reasoning_text.delta", RE_THOUGHT_DELTA),
    EVENT("custom_tool_call_input.delta", RE_INPUT_DELTA),
    EVENT("refusal.delta", RE_REFUSAL_DELTA),
    EVENT("output_item.added", RE_ITEM_ADDED),
    EVENT("output_item.done", RE_ITEM_DONE),
    EVENT("content_part.added", RE_PART_ADDED),
    EVENT("content_part.done", RE_PART_DONE),
    EVENT("output_text.done", RE_TEXT_DONE),
    EVENT("output_text.annotation.added", RE_ANNOTATION),
    EVENT("refusal.done", RE_REFUSAL_DONE),
    EVENT("function_call_arguments.done", RE_ARGS_DONE),
    EVENT("custom_tool_call_input.done", RE_INPUT_DONE),
    EVENT("reasoning_summary_part.added", RE_SUMMARY_ADDED),
    EVENT("reasoning_summary_part.done", RE_SUMMARY_PART_DONE),
    EVENT("reasoning_summary_text.done", RE_SUMMARY_DONE),
    EVENT("reasoning_text.done", RE_THOUGHT_DONE),
    EVENT("created", RE_CREATED),
    EVENT("queued", RE_QUEUED),
    EVENT("in_progress", RE_IN_PROGRESS),
    EVENT("completed", RE_COMPLETED),
    EVENT("incomplete", RE_INCOMPLETE),
    EVENT("failed", RE_FAILED),
    EVENT("cancelled", RE_CANCELLED),
    EVENT("web_search_call.in_progress", RE_HOSTED),
    EVENT("web_search_call.searching", RE_HOSTED),
    EVENT("web_search_call.completed", RE_HOSTED),
    EVENT("file_search_call.in_progress", RE_HOSTED),
    EVENT("file_search_call.searching", RE_HOSTED),
    EVENT("file_search_call.completed", RE_HOSTED),
    EVENT("code_interpreter_call.in_progress", RE_HOSTED),
    EVENT("code_interpreter_call.interpreting", RE_HOSTED),
    EVENT("code_interpreter_call.completed", RE_HOSTED),
    EVENT("code_interpreter_call_code.delta", RE_HOSTED),
    EVENT("code_interpreter_call_code.done", RE_HOSTED),
    EVENT("image_generation_call.in_progress", RE_HOSTED),
    EVENT("image_generation_call.generating", RE_HOSTED),
    EVENT("image_generation_call.completed", RE_HOSTED),
    EVENT("image_generation_call.partial_image", RE_HOSTED),
    EVENT("mcp_list_tools.in_progress", RE_HOSTED),
    EVENT("mcp_list_tools.completed", RE_HOSTED),
    EVENT("mcp_list_tools.failed", RE_HOSTED),
    EVENT("mcp_call.in_progress", RE_HOSTED),
    EVENT("mcp_call.completed", RE_HOSTED),
    EVENT("mcp_call.failed", RE_HOSTED),
    EVENT("mcp_call_arguments.delta", RE_HOSTED),
    EVENT("mcp_call_arguments.done", RE_HOSTED),
    EVENT("shell_call_command.added", RE_HOSTED),
    EVENT("shell_call_command.delta", RE_HOSTED),
    EVENT("shell_call_command.done", RE_HOSTED),
    EVENT("shell_call_output_content.delta", RE_HOSTED),
    EVENT("shell_call_output_content.done", RE_HOSTED),
    EVENT("compaction.compacting", RE_HOSTED),
    EVENT("audio.delta", RE_ASIDE),
    EVENT("audio.done", RE_ASIDE),
    EVENT("audio.transcript.delta", RE_ASIDE),
    EVENT("audio.transcript.done", RE_ASIDE),
#undef EVENT
    {{"error", 5}, RE_ERROR},
    {{"keepalive", 9}, RE_KEEPALIVE},
};

enum responses_event responses_event_of(struct slice type) {
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        if (slice_eq(type, events[i].name)) return events[i].event;
    }
    return RE_UNKNOWN;
}

enum responses_item_kind responses_item_kind_of(struct slice type) {
    if (slice_eq(type, SLICE("message"))) return RI_MESSAGE;
    if (slice_eq(type, SLICE("function_call"))) return RI_CALL;
    if (slice_eq(type, SLICE("reasoning"))) return RI_REASONING;
    if (slice_eq(type, SLICE("custom_tool_call"))) return RI_CUSTOM_CALL;
    return RI_OPAQUE;
}

bool responses_may_quote(struct slice raw) {
    return raw.len > 0 && json_depth_ok(raw, QUOTE_MAX_DEPTH);
}

/* ---- how an answer ends ---- */

enum stop_reason responses_stop_reason(struct slice reason) {
    if (slice_eq(reason, SLICE("max_output_tokens")) || slice_eq(reason, SLICE("max_messages")))
        return STOP_LENGTH;
    return slice_eq(reason, SLICE("content_filter")) ? STOP_FILTER : STOP_END;
}

struct slice responses_incomplete_word(const struct finish *f, bool is_own) {
    bool has_word = is_own && f->wire.len > 0 && f->reason != STOP_TOOL;
    if (has_word && !slice_eq(f->wire, SLICE("completed"))) return f->wire;
    if (f->reason == STOP_LENGTH) return SLICE("max_output_tokens");
    return f->reason == STOP_FILTER ? SLICE("content_filter") : SLICE_NULL;
}

/* ---- usage ---- */

static int64_t counter(yyjson_val *obj, const char *key) {
    yyjson_val *v = yyjson_obj_get(obj, key);
    if (yyjson_is_uint(v)) {
        uint64_t n = yyjson_get_uint(v);
        return n <= INT64_MAX ? (int64_t)n : -1;
    }
    double n = yyjson_is_real(v) ? yyjson_get_real(v) : -1;
    return n >= 0 && n < 9e15 ? (int64_t)n : -1;
}

void responses_read_usage(const struct json_doc *d, yyjson_val *usage, struct usage *out) {
    yyjson_val *in = yyjson_obj_get(usage, "input_tokens_details");
    yyjson_val *answer = yyjson_obj_get(usage, "output_tokens_details");
    *out = USAGE_NONE;
    out->in_total = counter(usage, "input_tokens");
    out->out_total = counter(usage, "output_tokens");
    out->cache_read = counter(in, "cached_tokens");
    out->cache_write = counter(in, "cache_write_tokens");
    out->reasoning = counter(answer, "reasoning_tokens");
    out->wire = json_doc_member_raw(d, usage);
}

/* Typed clients need every member; the upstream's own object is kept when it has them. */
static bool is_whole_usage(const struct usage *u) {
    static const char *const objects[] = {"input_tokens_details", "output_tokens_details"};
    static const char *const numbers[] = {"input_tokens", "output_tokens", "total_tokens"};
    struct json_member m;
    if (!json_text_is(u->wire, '{') || u->in_total < 0 || u->out_total < 0 ||
        !responses_may_quote(u->wire))
        return false;
    for (unsigned i = 0; i < 2; i++) {
        if (!json_find_member(u->wire, slice_cstr(objects[i]), &m) || !json_text_is(m.value, '{'))
            return false;
    }
    for (unsigned i = 0; i < 3; i++) {
        int64_t n;
        if (!json_find_member(u->wire, slice_cstr(numbers[i]), &m) || !json_text_int(m.value, &n))
            return false;
    }
    return true;
}

static int64_t known(int64_t n) {
    return n > 0 ? n : 0;
}

static int64_t sum(int64_t a, int64_t b) {
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

static void w_counter(struct json_writer *w, struct slice key, int64_t n) {
    jw(w, key);
    jw_int(w, known(n));
}

void responses_w_usage(struct json_writer *w, const struct usage *u, bool is_own) {
    if (!u || (u->in_total < 0 && u->out_total < 0)) {
        jw(w, SLICE("null"));
        return;
    }
    if (is_own && is_whole_usage(u)) {
        jw_raw(w, u->wire);
        return;
    }
    w_counter(w, SLICE("{\"input_tokens\":"), u->in_total);
    w_counter(w, SLICE(",\"input_tokens_details\":{\"cached_tokens\":"), u->cache_read);
    w_counter(w, SLICE(",\"cache_write_tokens\":"), u->cache_write);
    w_counter(w, SLICE("},\"output_tokens\":"), u->out_total);
    w_counter(w, SLICE(",\"output_tokens_details\":{\"reasoning_tokens\":"), u->reasoning);
    w_counter(w, SLICE("},\"total_tokens\":"), sum(known(u->in_total), known(u->out_total)));
    jw(w, SLICE("}"));
}

/* ---- token probabilities ---- */

static void w_token(struct json_writer *w, struct slice token, bool is_top);

static void w_token_list(struct json_writer *w, struct slice list) {
    struct json_walk walk = json_walk_begin(list);
    struct slice token;
    bool is_first = true;
    while (json_walk_element(&walk, &token)) {
        if (!json_text_is(token, '{')) continue;
        if (!is_first) jw(w, SLICE(","));
        is_first = false;
        w_token(w, token, true);
    }
}

/* is_top: among another token's alternatives, which have none of their own. */
static void w_token(struct json_writer *w, struct slice token, bool is_top) {
    struct json_walk walk = json_walk_begin(token);
    struct slice key, value;
    bool is_first = true, has_bytes = false, has_top = is_top;
    jw(w, SLICE("{"));
    while (json_walk_member(&walk, &key, &value)) {
        bool is_list = slice_eq(key, SLICE("top_logprobs")) && !is_top;
        jw(w, is_first ? SLICE("\"") : SLICE(",\""));
        jw_raw(w, key);
        jw(w, SLICE("\":"));
        is_first = false;
        has_bytes |= slice_eq(key, SLICE("bytes"));
        has_top |= is_list;
        if (!is_list) {
            jw_raw(w, value);
            continue;
        }
        jw(w, SLICE("["));
        w_token_list(w, value);
        jw(w, SLICE("]"));
    }
    if (!has_bytes) jw(w, is_first ? SLICE("\"bytes\":null") : SLICE(",\"bytes\":null"));
    if (!has_top) jw(w, SLICE(",\"top_logprobs\":[]"));
    jw(w, SLICE("}"));
}

unsigned responses_w_tokens(struct json_writer *w, struct slice tokens) {
    struct json_walk walk = json_walk_begin(tokens);
    struct slice token;
    unsigned n = 0;
    while (json_walk_element(&walk, &token)) {
        if (!json_text_is(token, '{')) continue;
        if (n++ > 0) jw(w, SLICE(","));
        w_token(w, token, false);
    }
    return n;
}
