/* SPDX-License-Identifier: Apache-2.0 */
/* Members of the root and of the objects in it, by a table: types, ranges, words, lengths. What is
 * not in the table is unknown. Sources: the types of the official SDKs and the published OpenAPI
 * document. */
#include "mock/validate-private.h"

#include <math.h>
#include <stdio.h>

enum { METADATA_PAIRS = 16, METADATA_KEY_CHARS = 64, METADATA_VALUE_CHARS = 512, NAME_BYTES = 96 };

enum type {
    T_STRING = 1,
    T_NUMBER = 2,
    T_INTEGER = 4,
    T_BOOL = 8,
    T_OBJECT = 16,
    T_ARRAY = 32,
    T_ANY = 64,
    /* an object whose members are all in the table: others are unknown */
    T_CLOSED = 128
};

typedef void more_fn(struct check *c, const char *path, struct slice value);
static more_fn more_metadata, more_user_only, more_logit_bias, more_stops, more_includes,
    more_modalities, more_deprecated;

#define C  RULE_CHAT
#define L  RULE_COMPLETIONS
#define R  RULE_RESPONSES
#define M  RULE_MESSAGES
#define EFFORTS "none|minimal|low|medium|high|xhigh|max"

/* null says nothing, everywhere. */
static const struct param {
    unsigned dialects;
    const char *name;                /* "reasoning.effort": a member of the member */
    unsigned types;
    double min, max;                 /* numbers; both 0: any */
    const char *words;               /* strings; NULL: any */
    unsigned max_len;                /* bytes or elements; 0: any */
    more_fn *more;
} params[] = {
    {C | L | R | M, "model", T_STRING, 0, 0, NULL, 0, NULL},
    {C | M, "messages", T_ARRAY, 0, 0, NULL, 0, NULL},
    {L, "prompt", T_STRING | T_ARRAY, 0, 0, NULL, 0, NULL},
    {R, "input", T_STRING | T_ARRAY, 0, 0, NULL, 0, NULL},
    {R, "instructions", T_STRING, 0, 0, NULL, 0, NULL},
    {C | L | R | M, "stream", T_BOOL, 0, 0, NULL, 0, NULL},
    {C | L, "stream_options", T_OBJECT | T_CLOSED, 0, 0, NULL, 0, NULL},
    {C | L, "stream_options.include_usage", T_BOOL, 0, 0, NULL, 0, NULL},
    {C | L | R, "stream_options.include_obfuscation", T_BOOL, 0, 0, NULL, 0, NULL},
    {R, "stream_options", T_OBJECT | T_CLOSED, 0, 0, NULL, 0, NULL},
    {C, "max_completion_tokens", T_INTEGER, 1, 1e9, NULL, 0, NULL},
    {C, "max_tokens", T_INTEGER, 1, 1e9, NULL, 0, NULL},
    {L | M, "max_tokens", T_INTEGER, 0, 1e9, NULL, 0, NULL},
    {R, "max_output_tokens", T_INTEGER, 16, 1e9, NULL, 0, NULL},
    {R, "max_tool_calls", T_INTEGER, 1, 1e9, NULL, 0, NULL},
    {C | L | R, "temperature", T_NUMBER, 0, 2, NULL, 0, NULL},
    {M, "temperature", T_NUMBER, 0, 1, NULL, 0, NULL},
    {C | L | R | M, "top_p", T_NUMBER, 0, 1, NULL, 0, NULL},
    {M, "top_k", T_INTEGER, 0, 1e9, NULL, 0, NULL},
    {C | L, "n", T_INTEGER, 1, 128, NULL, 0, NULL},
    {L, "best_of", T_INTEGER, 0, 20, NULL, 0, NULL},
    {L, "echo", T_BOOL, 0, 0, NULL, 0, NULL},
    {L, "suffix", T_STRING, 0, 0, NULL, 0, NULL},
    {L, "logprobs", T_INTEGER, 0, 5, NULL, 0, NULL},
    {C | L, "stop", T_STRING | T_ARRAY, 0, 0, NULL, 0, more_stops},
    {M, "stop_sequences", T_ARRAY, 0, 0, NULL, 0, more_stops},
    {C | L, "presence_penalty", T_NUMBER, -2, 2, NULL, 0, NULL},
    {C | L, "frequency_penalty", T_NUMBER, -2, 2, NULL, 0, NULL},
    {C | L, "logit_bias", T_OBJECT, 0, 0, NULL, 0, more_logit_bias},
    {C, "logprobs", T_BOOL, 0, 0, NULL, 0, NULL},
    {C | R, "top_logprobs", T_INTEGER, 0, 20, NULL, 0, NULL},
    {C | L, "seed", T_INTEGER, 0, 0, NULL, 0, NULL},
    {C | L | R, "user", T_STRING, 0, 0, NULL, 0, NULL},
    {C | R, "safety_identifier", T_STRING, 0, 0, NULL, 64, NULL},
    {C | R, "prompt_cache_key", T_STRING, 0, 0, NULL, 0, NULL},
    {C | R, "prompt_cache_options", T_OBJECT, 0, 0, NULL, 0, NULL},
    {C | R, "prompt_cache_retention", T_STRING, 0, 0, "in_memory|in-memory|24h", 0, NULL},
    {C | R | M, "tools", T_ARRAY, 0, 0, NULL, 0, NULL},
    {C | R, "tool_choice", T_STRING | T_OBJECT, 0, 0, NULL, 0, NULL},
    {M, "tool_choice", T_OBJECT | T_CLOSED, 0, 0, NULL, 0, NULL},
    {M, "tool_choice.type", T_STRING, 0, 0, "auto|any|tool|none", 0, NULL},
    {M, "tool_choice.name", T_STRING, 0, 0, NULL, 0, NULL},
    {M, "tool_choice.disable_parallel_tool_use", T_BOOL, 0, 0, NULL, 0, NULL},
    {C | R, "parallel_tool_calls", T_BOOL, 0, 0, NULL, 0, NULL},
    {C, "functions", T_ARRAY, 0, 0, NULL, 0, more_deprecated},
    {C, "function_call", T_STRING | T_OBJECT, 0, 0, NULL, 0, more_deprecated},
    {C, "response_format", T_OBJECT | T_CLOSED, 0, 0, NULL, 0, NULL},
    {C, "response_format.type", T_STRING, 0, 0, "text|json_object|json_schema", 0, NULL},
    {C, "response_format.json_schema", T_OBJECT, 0, 0, NULL, 0, NULL},
    {C, "reasoning_effort", T_STRING, 0, 0, EFFORTS, 0, NULL},
    {C, "verbosity", T_STRING, 0, 0, "low|medium|high", 0, NULL},
    {C | L | R, "service_tier", T_STRING, 0, 0, "auto|default|flex|scale|priority|fast|ultrafast", 0, NULL},
    {M, "service_tier", T_STRING, 0, 0, "auto|standard_only", 0, NULL},
    {C | R, "metadata", T_OBJECT, 0, 0, NULL, 0, more_metadata},
    {M, "metadata", T_OBJECT, 0, 0, NULL, 0, more_user_only},
    {C | R, "store", T_BOOL, 0, 0, NULL, 0, NULL},
    {C, "modalities", T_ARRAY, 0, 0, NULL, 0, more_modalities},
    {C, "audio", T_OBJECT | T_CLOSED, 0, 0, NULL, 0, NULL},
    {C, "audio.voice", T_STRING | T_OBJECT, 0, 0, NULL, 0, NULL},
    {C, "audio.format", T_STRING, 0, 0, "wav|aac|mp3|flac|opus|pcm16", 0, NULL},
    {C, "prediction", T_OBJECT, 0, 0, NULL, 0, NULL},
    {C, "prediction.type", T_STRING, 0, 0, "content", 0, NULL},
    {C, "web_search_options", T_OBJECT, 0, 0, NULL, 0, NULL},
    {C, "web_search_options.search_context_size", T_STRING, 0, 0, "low|medium|high", 0, NULL},
    {C | R, "moderation", T_OBJECT, 0, 0, NULL, 0, NULL},
    {R, "previous_response_id", T_STRING, 0, 0, NULL, 0, NULL},
    {R, "conversation", T_STRING | T_OBJECT, 0, 0, NULL, 0, NULL},
    {R, "prompt", T_OBJECT, 0, 0, NULL, 0, NULL},
    {R, "background", T_BOOL, 0, 0, NULL, 0, NULL},
    {R, "text", T_OBJECT | T_CLOSED, 0, 0, NULL, 0, NULL},
    {R, "text.format", T_OBJECT, 0, 0, NULL, 0, NULL},
    {R, "text.verbosity", T_STRING, 0, 0, "low|medium|high", 0, NULL},
    {R, "reasoning", T_OBJECT | T_CLOSED, 0, 0, NULL, 0, NULL},
    {R, "reasoning.effort", T_STRING, 0, 0, EFFORTS, 0, NULL},
    {R, "reasoning.summary", T_STRING, 0, 0, "auto|concise|detailed", 0, NULL},
    {R, "reasoning.generate_summary", T_STRING, 0, 0, "auto|concise|detailed", 0, NULL},
    {R, "reasoning.context", T_STRING, 0, 0, "auto|current_turn|all_turns", 0, NULL},
    {R, "reasoning.mode", T_STRING, 0, 0, "standard|pro", 0, NULL},
    {R, "include", T_ARRAY, 0, 0, NULL, 0, more_includes},
    {R, "truncation", T_STRING, 0, 0, "auto|disabled", 0, NULL},
    {R, "context_management", T_ARRAY, 0, 0, NULL, 0, NULL},
    {R, "access_programs", T_ANY, 0, 0, NULL, 0, NULL},
    {R, "image", T_OBJECT, 0, 0, NULL, 0, NULL},
    {M, "system", T_STRING | T_ARRAY, 0, 0, NULL, 0, NULL},
    {M, "thinking", T_OBJECT | T_CLOSED, 0, 0, NULL, 0, NULL},
    {M, "thinking.type", T_STRING, 0, 0, "enabled|disabled|adaptive|between_tools", 0, NULL},
    {M, "thinking.budget_tokens", T_INTEGER, 1024, 1e9, NULL, 0, NULL},
    {M, "thinking.display", T_STRING, 0, 0, "summarized|omitted", 0, NULL},
    {M, "output_config", T_OBJECT | T_CLOSED, 0, 0, NULL, 0, NULL},
    {M, "output_config.effort", T_STRING, 0, 0, "low|medium|high|xhigh|max", 0, NULL},
    {M, "output_config.format", T_OBJECT, 0, 0, NULL, 0, NULL},
    {M, "output_config.task_budget", T_OBJECT, 0, 0, NULL, 0, NULL},
    {M, "output_format", T_OBJECT, 0, 0, NULL, 0, NULL},
    {M, "cache_control", T_OBJECT, 0, 0, NULL, 0, NULL},
    {M, "cache_control.type", T_STRING, 0, 0, "ephemeral", 0, NULL},
    {M, "cache_control.ttl", T_STRING, 0, 0, "5m|1h", 0, NULL},
    {M, "container", T_STRING | T_OBJECT, 0, 0, NULL, 0, NULL},
    {M, "inference_geo", T_STRING, 0, 0, NULL, 0, NULL},
    {M, "speed", T_STRING, 0, 0, "standard|fast", 0, NULL},
    {M, "diagnostics", T_OBJECT, 0, 0, NULL, 0, NULL},
    {M, "mcp_servers", T_ARRAY, 0, 0, NULL, 0, NULL},
    {M, "context_management", T_OBJECT, 0, 0, NULL, 0, NULL},
    {M, "compaction", T_ANY, 0, 0, NULL, 0, NULL},
    {M, "fallbacks", T_ANY, 0, 0, NULL, 0, NULL},
    {M, "fallback_credit_token", T_ANY, 0, 0, NULL, 0, NULL},
    {M, "thread", T_ANY, 0, 0, NULL, 0, NULL},
    {M, "billing_policy", T_ANY, 0, 0, NULL, 0, NULL},
};

static const struct param *find_param(const struct check *c, const char *name) {
    for (size_t i = 0; i < sizeof params / sizeof params[0]; i++) {
        if ((params[i].dialects & c->dialect) && strcmp(params[i].name, name) == 0) {
            return &params[i];
        }
    }
    return NULL;
}

/* ---- types ---- */

static bool is_number(struct slice v) {
    return v.len > 0 && (v.ptr[0] == '-' || (v.ptr[0] >= '0' && v.ptr[0] <= '9'));
}

static bool is_of(unsigned types, struct slice v) {
    int64_t n;
    return (types & T_ANY) || ((types & T_STRING) && json_text_is(v, '"')) ||
           ((types & T_OBJECT) && json_text_is(v, '{')) ||
           ((types & T_ARRAY) && json_text_is(v, '[')) ||
           ((types & T_BOOL) && (json_text_is(v, 't') || json_text_is(v, 'f'))) ||
           ((types & T_NUMBER) && is_number(v)) ||
           ((types & T_INTEGER) && is_number(v) && json_text_int(v, &n));
}

static const char *type_name(unsigned types) {
    switch (types & ~(unsigned)T_CLOSED) {
    case T_STRING: return "a string";
    case T_NUMBER: return "a number";
    case T_INTEGER: return "an integer";
    case T_BOOL: return "a boolean";
    case T_OBJECT: return "an object";
    case T_ARRAY: return "an array";
    case T_STRING | T_ARRAY: return "one of a string or an array";
    default: return "one of a string or an object";
    }
}

/* ---- values ---- */

static void violate_range(struct check *c, const struct param *p, struct slice value) {
    bool is_above = number_of(value) > p->max;
    if (c->is_anthropic) {
        violate(c, RULE_RANGE, p->name, "%s: Input should be %s than or equal to %.15g",
                dotted(c, p->name), is_above ? "less" : "greater", is_above ? p->max : p->min);
        return;
    }
    bool is_integer = p->types & T_INTEGER;
    const char *code = is_integer ? (is_above ? "integer_above_max_value" : "integer_below_min_value")
                                  : (is_above ? "decimal_above_max_value" : "decimal_below_min_value");
    violate_code(c, RULE_RANGE, code, p->name,
                 "Invalid '%s': %s %s value. Expected a value %s %.15g, but got %.*s instead.",
                 p->name, is_integer ? "integer" : "decimal",
                 is_above ? "above maximum" : "below minimum", is_above ? "<=" : ">=",
                 is_above ? p->max : p->min, SHOW(value));
}

static void check_value(struct check *c, const struct param *p, struct slice value) {
    if (!is_of(p->types, value)) {
        violate_type(c, p->name, type_name(p->types), value);
        return;
    }
    bool has_range = p->min < 0 || p->max > 0;
    if (has_range && is_number(value)) {
        double n = number_of(value);
        if (n < p->min || n > p->max) violate_range(c, p, value);
    }
    struct slice text = json_text_is(value, '"') ? json_text_string(value, c->a) : SLICE_NULL;
    if (p->words && text.ptr && !is_word(p->words, text)) {
        violate_choice(c, RULE_CHOICE, p->name, text, p->words);
    }
    if (p->max_len > 0 && text.len > p->max_len) {
        violate_code(c, RULE_LENGTH, "string_above_max_length", p->name,
                     "Invalid '%s': string too long. Expected a string with maximum length %u, but "
                     "got a string with length %zu instead.",
                     p->name, p->max_len, text.len);
    }
    if (p->more) {
        p->more(c, p->name, value);
    }
}

static void violate_unknown(struct check *c, const char *path) {
    if (c->is_anthropic) {
        violate(c, RULE_UNKNOWN_PARAMETER, path, "%s: Extra inputs are not permitted",
                dotted(c, path));
    } else {
        violate(c, RULE_UNKNOWN_PARAMETER, path, "Unknown parameter: '%s'.", path);
    }
}

/* depth 0: the root, 1: a member of it; deeper ones are their checkers' business. */
static void check_object(struct check *c, const char *path, struct slice object, bool is_closed) {
    struct json_walk w = json_walk_begin(object);
    struct slice key, value;
    while (json_walk_member(&w, &key, &value)) {
        char name[NAME_BYTES];
        key = slice_sub(json_text_unescape(key, c->a), 0, SHOWN_VALUE_BYTES);
        key.len = slice_utf8_valid(key);
        snprintf(name, sizeof name, "%s%s%.*s", path, path[0] ? "." : "", SHOW(key));
        const struct param *p = find_param(c, name);
        if (!p && is_closed) {
            violate_unknown(c, arena_printf(c->a, "%s", name));
        } else if (p && is_said(value)) {
            check_value(c, p, value);
            if (!path[0] && json_text_is(value, '{')) {
                check_object(c, p->name, value, p->types & T_CLOSED);
            }
        }
    }
}

void check_params(struct check *c) {
    struct slice body = slice_from(c->in->body, json_text_skip_space(c->in->body, 0));
    check_object(c, "", body, true);
}

/* ---- values with rules of their own ---- */

static size_t code_points(struct slice s) {
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
    return n;
}

static void check_pair(struct check *c, const char *path, struct slice key, struct slice value) {
    const char *at = arena_printf(c->a, "%s.%.*s", path, SHOW(key));
    if (code_points(key) > METADATA_KEY_CHARS) {
        violate_code(c, RULE_METADATA, "string_above_max_length", path,
                     "Invalid '%s': key too long. Expected a key with maximum length %d, but got a "
                     "key with length %zu instead.",
                     path, METADATA_KEY_CHARS, code_points(key));
    }
    if (!json_text_is(value, '"')) {
        violate_code(c, RULE_METADATA, "invalid_type", at,
                     "Invalid type for '%s': expected a string, but got %s instead.", at,
                     json_text_type(value));
    } else if (code_points(json_text_string(value, c->a)) > METADATA_VALUE_CHARS) {
        violate_code(c, RULE_METADATA, "string_above_max_length", at,
                     "Invalid '%s': string too long. Expected a string with maximum length %d, but "
                     "got a string with length %zu instead.",
                     at, METADATA_VALUE_CHARS, code_points(json_text_string(value, c->a)));
    }
}

static void more_metadata(struct check *c, const char *path, struct slice value) {
    struct json_walk w = json_walk_begin(value);
    struct slice key, item;
    unsigned n = 0;
    while (json_walk_member(&w, &key, &item)) {
        if (n++ < METADATA_PAIRS * 4) {
            check_pair(c, path, json_text_unescape(key, c->a), item);
        }
    }
    if (n > METADATA_PAIRS) {
        violate_code(c, RULE_METADATA, "object_above_max_properties", path,
                     "Invalid '%s': too many properties. Expected an object with at most %d "
                     "properties, but got an object with %u properties instead.",
                     path, METADATA_PAIRS, n);
    }
}

static void more_user_only(struct check *c, const char *path, struct slice value) {
    struct json_walk w = json_walk_begin(value);
    struct slice key, item;
    while (json_walk_member(&w, &key, &item)) {
        if (!slice_eq(key, SLICE("user_id"))) {
            violate(c, RULE_METADATA, path, "%s.%.*s: Extra inputs are not permitted", path,
                    SHOW(key));
        }
    }
}

static void more_logit_bias(struct check *c, const char *path, struct slice value) {
    struct json_walk w = json_walk_begin(value);
    struct slice key, item;
    uint64_t id;
    while (json_walk_member(&w, &key, &item)) {
        double bias = is_number(item) ? number_of(item) : NAN;
        if (!slice_to_u64(key, UINT32_MAX, &id)) {
            violate(c, RULE_LOGIT_BIAS, path,
                    "Invalid key in '%s': %.*s. You should only be submitting non-negative "
                    "integers.",
                    path, SHOW(key));
        } else if (!(bias >= -100 && bias <= 100)) {
            violate(c, RULE_LOGIT_BIAS, path,
                    "Invalid value for '%s.%.*s': expected a number between -100 and 100.", path,
                    SHOW(key));
        }
    }
}

static void more_stops(struct check *c, const char *path, struct slice value) {
    struct json_walk w = json_walk_begin(value);
    struct slice one;
    unsigned n = count_elements(value), max = 4;
    if (!c->is_anthropic && n > max) {
        violate(c, RULE_LENGTH, path,
                "Invalid '%s': array too long. Expected an array with maximum length %u, but got an "
                "array with length %u instead.",
                path, max, n);
    }
    for (unsigned i = 0; json_text_is(value, '[') && json_walk_element(&w, &one); i++) {
        if (!json_text_is(one, '"')) {
            violate_type(c, place_at(c, path, i), "a string", one);
        } else if (c->is_anthropic && slice_is_blank(json_text_string(one, c->a))) {
            violate_code(c, RULE_LENGTH, NULL, path,
                         "%s: each stop sequence must contain non-whitespace", path);
        }
    }
}

static void check_words(struct check *c, const char *path, struct slice list, const char *words) {
    struct json_walk w = json_walk_begin(list);
    struct slice one;
    for (unsigned i = 0; json_walk_element(&w, &one); i++) {
        struct slice word = json_text_string(one, c->a);
        if (!word.ptr) violate_type(c, place_at(c, path, i), "a string", one);
        else if (!is_word(words, word))
            violate_choice(c, RULE_CHOICE, place_at(c, path, i), word, words);
    }
}

static void more_includes(struct check *c, const char *path, struct slice value) {
    check_words(c, path, value,
                "file_search_call.results|web_search_call.results|web_search_call.action.sources|"
                "message.input_image.image_url|computer_call_output.output.image_url|"
                "code_interpreter_call.outputs|reasoning.encrypted_content|"
                "message.output_text.logprobs");
}

static void more_modalities(struct check *c, const char *path, struct slice value) {
    check_words(c, path, value, "text|audio");
}

static void more_deprecated(struct check *c, const char *path, struct slice value) {
    (void)value;
    violate(c, RULE_DEPRECATED, path, "'%s' is deprecated: use '%s' instead.", path,
            slice_eq(slice_cstr(path), SLICE("functions")) ? "tools" : "tool_choice");
}
