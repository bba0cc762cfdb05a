/* SPDX-License-Identifier: Apache-2.0 */
/* The tables: chat's words, and the model's. */
#include "dialect/chat/chat-private.h"

#include "base/json_scan.h"

static const struct {
    const char *wire;
    enum stop_reason reason;
} reasons[] = {
    {"stop", STOP_END},
    {"length", STOP_LENGTH},
    {"tool_calls", STOP_TOOL},
    {"function_call", STOP_TOOL},
    {"content_filter", STOP_FILTER},
    {"model_length", STOP_LENGTH},
    {"error", STOP_ERROR},
    {"abort", STOP_ERROR},
    {"insufficient_system_resource", STOP_ERROR},
};

enum stop_reason chat_stop_reason(struct slice wire) {
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if (slice_eq(wire, slice_cstr(reasons[i].wire))) return reasons[i].reason;
    }
    return STOP_END;
}

struct slice chat_finish_word(const struct finish *f, bool has_function_call) {
    switch (f->reason) {
    case STOP_LENGTH: return SLICE("length");
    case STOP_TOOL: return has_function_call ? SLICE("function_call") : SLICE("tool_calls");
    case STOP_FILTER: return SLICE("content_filter");
    case STOP_ERROR: return SLICE("error");
    case STOP_END:
    case STOP_SEQUENCE:
    case STOP_PAUSE: break;
    }
    return SLICE("stop");
}

/* ---- usage ---- */

static int64_t counter(yyjson_val *obj, const char *key, int64_t otherwise) {
    yyjson_val *v = yyjson_obj_get(obj, key);
    if (yyjson_is_uint(v)) {
        uint64_t n = yyjson_get_uint(v);
        return n <= INT64_MAX ? (int64_t)n : otherwise;
    }
    if (!yyjson_is_real(v)) return otherwise;
    double n = yyjson_get_real(v);
    return n >= 0 && n < 9e15 ? (int64_t)n : otherwise;
}

void chat_read_usage(const struct json_doc *d, yyjson_val *usage, struct usage *out) {
    yyjson_val *in = yyjson_obj_get(usage, "prompt_tokens_details");
    yyjson_val *answer = yyjson_obj_get(usage, "completion_tokens_details");
    *out = USAGE_NONE;
    out->in_total = counter(usage, "prompt_tokens", -1);
    out->out_total = counter(usage, "completion_tokens", -1);
    out->cache_read = counter(in, "cached_tokens", counter(usage, "prompt_cache_hit_tokens", -1));
    out->cache_write = counter(in, "cache_write_tokens", -1);
    out->reasoning = counter(answer, "reasoning_tokens", -1);
    out->wire = json_doc_member_raw(d, usage);
}

static int64_t known(int64_t n) {
    return n > 0 ? n : 0;
}

static void w_counter(struct json_writer *w, struct slice key, int64_t n) {
    jw(w, key);
    jw_int(w, known(n));
}

void chat_w_usage(struct json_writer *w, const struct usage *u) {
    struct json_member m;
    if (u->wire.len > 0 && u->wire.ptr[0] == '{' &&
        json_find_member(u->wire, SLICE("prompt_tokens"), &m)) {
        jw_raw(w, u->wire);
        return;
    }
    w_counter(w, SLICE("{\"prompt_tokens\":"), u->in_total);
    w_counter(w, SLICE(",\"completion_tokens\":"), u->out_total);
    w_counter(w, SLICE(",\"total_tokens\":"), known(u->in_total) + known(u->out_total));
    w_counter(w, SLICE(",\"prompt_tokens_details\":{\"cached_tokens\":"), u->cache_read);
    jw(w, SLICE(",\"audio_tokens\":0"));
    if (u->cache_write > 0) w_counter(w, SLICE(",\"cache_write_tokens\":"), u->cache_write);
    w_counter(w, SLICE("},\"completion_tokens_details\":{\"reasoning_tokens\":"), u->reasoning);
    jw(w, SLICE(",\"audio_tokens\":0,\"accepted_prediction_tokens\":0,\"rejected_prediction_"
                    "tokens\":0}}"));
}
