/* SPDX-License-Identifier: Apache-2.0 */
/* The tables: chat's words, and the model's. */
#include "dialect/chat/chat-private.h"

#include "base/json_scan.h"
#include "dialect/json_text.h"

enum chat_origin chat_origin_of(const struct event_start *told) {
    struct slice name = slice_cstr(told ? told->origin : NULL);
    if (!name.ptr || slice_eq(name, slice_cstr(dialect_chat.name))) return CHAT_FROM_CHAT;
    if (slice_eq(name, SLICE("messages"))) return CHAT_FROM_MESSAGES;
    return slice_eq(name, SLICE("responses")) ? CHAT_FROM_RESPONSES : CHAT_FROM_OTHER;
}

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

static int64_t known(int64_t n) {
    return n > 0 ? n : 0;
}

static int64_t sum(int64_t a, int64_t b) {
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

void chat_read_usage(const struct json_doc *d, yyjson_val *usage, struct usage *out) {
    yyjson_val *in = yyjson_obj_get(usage, "prompt_tokens_details");
    yyjson_val *answer = yyjson_obj_get(usage, "completion_tokens_details");
    *out = USAGE_NONE;
    out->in_total = counter(usage, "prompt_tokens", -1);
    out->out_total = counter(usage, "completion_tokens", -1);
    out->cache_read = counter(in, "cached_tokens", counter(usage, "prompt_cache_hit_tokens", -1));
    out->cache_write = counter(in, "cache_write_tokens", -1);
    if (out->in_total < 0 && out->cache_read >= 0) { /* DeepSeek: hits and misses */
        int64_t missed = counter(usage, "prompt_cache_miss_tokens", -1);
        if (missed >= 0) out->in_total = sum(out->cache_read, missed);
    } else if (out->in_total >= 0 && out->cache_read > out->in_total) {
        /* cached tokens are counted beside the others, not among them */
        out->in_total = sum(sum(out->in_total, out->cache_read), known(out->cache_write));
    }
    out->reasoning = counter(answer, "reasoning_tokens", -1);
    out->wire = json_doc_member_raw(d, usage);
}

static void w_counter(struct json_writer *w, struct slice key, int64_t n) {
    jw(w, key);
    jw_int(w, known(n));
}

void chat_w_usage(struct json_writer *w, const struct usage *u) {
    struct json_member in, answer;
    bool is_whole = u->in_total >= 0 && u->out_total >= 0 && json_text_is(u->wire, '{');
    /* chat's own: of other dialects' usage, some servers' has one of the two */
    if (is_whole && json_find_member(u->wire, SLICE("prompt_tokens"), &in) &&
        json_find_member(u->wire, SLICE("completion_tokens"), &answer)) {
        jw_raw(w, u->wire);
        return;
    }
    w_counter(w, SLICE("{\"prompt_tokens\":"), u->in_total);
    w_counter(w, SLICE(",\"completion_tokens\":"), u->out_total);
    w_counter(w, SLICE(",\"total_tokens\":"), sum(known(u->in_total), known(u->out_total)));
    w_counter(w, SLICE(",\"prompt_tokens_details\":{\"cached_tokens\":"), u->cache_read);
    jw(w, SLICE(",\"audio_tokens\":0"));
    if (u->cache_write > 0) w_counter(w, SLICE(",\"cache_write_tokens\":"), u->cache_write);
    w_counter(w, SLICE("},\"completion_tokens_details\":{\"reasoning_tokens\":"), u->reasoning);
    jw(w, SLICE(",\"audio_tokens\":0,\"accepted_prediction_tokens\":0,\"rejected_prediction_"
                    "tokens\":0}}"));
}

void chat_w_end(struct json_writer *w, struct slice prefix, const struct usage *u) {
    if (u) {
        jw(w, prefix);
        jw(w, SLICE("],\"usage\":"));
        chat_w_usage(w, u);
        jw(w, SLICE("}\n\n"));
    }
    jw(w, SLICE("data: [DONE]\n\n"));
}

/* ---- citations, probabilities ---- */

void chat_w_citation_json(struct json_writer *w, struct slice url, struct slice title,
                          int64_t start, int64_t end) {
    jw(w, SLICE("{\"type\":\"url_citation\",\"url_citation\":{\"start_index\":"));
    jw_int(w, start);
    jw(w, SLICE(",\"end_index\":"));
    jw_int(w, end);
    jw(w, SLICE(",\"url\":"));
    jw(w, url);
    jw(w, SLICE(",\"title\":"));
    jw(w, title);
    jw(w, SLICE("}}"));
}

void chat_w_citation(struct json_writer *w, const struct annotation *a) {
    jw(w, SLICE("{\"type\":\"url_citation\",\"url_citation\":{\"start_index\":"));
    jw_int(w, a->start);
    jw(w, SLICE(",\"end_index\":"));
    jw_int(w, a->end);
    jw(w, SLICE(",\"url\":"));
    jw_string(w, a->url);
    jw(w, SLICE(",\"title\":"));
    jw_string(w, a->title);
    jw(w, SLICE("}}"));
}

static void w_token_member(struct json_writer *w, struct slice token, const char *name,
                           const char *otherwise) {
    struct json_member m;
    jw(w, SLICE("\""));
    jw(w, slice_cstr(name));
    jw(w, SLICE("\":"));
    if (json_find_member(token, slice_cstr(name), &m)) jw_raw(w, m.value);
    else jw(w, slice_cstr(otherwise));
}

static void w_token(struct json_writer *w, struct slice token) {
    jw(w, SLICE("{"));
    w_token_member(w, token, "token", "\"\"");
    jw(w, SLICE(","));
    w_token_member(w, token, "logprob", "0");
    jw(w, SLICE(","));
    w_token_member(w, token, "bytes", "null");
    jw(w, SLICE(","));
    w_token_member(w, token, "top_logprobs", "[]");
    jw(w, SLICE("}"));
}

void chat_w_tokens(struct json_writer *w, struct slice tokens) {
    size_t at = json_text_is(tokens, '[') ? 1 : 0;
    unsigned n = 0;
    jw(w, SLICE("["));
    while ((at = json_text_skip_space(tokens, at)) < tokens.len && tokens.ptr[at] != ']') {
        size_t end = json_text_value_end(tokens, at);
        if (end == at) break; /* no value: not what it was said to be */
        struct slice one = slice_sub(tokens, at, end - at);
        at = json_text_skip_space(tokens, end);
        if (at < tokens.len && tokens.ptr[at] == ',') at++;
        if (!json_text_is(one, '{')) continue;
        if (n++ > 0) jw(w, SLICE(","));
        w_token(w, one);
    }
    jw(w, SLICE("]"));
}
