/* SPDX-License-Identifier: Apache-2.0 */
/* One class an error, found by what it says about itself: words that mean one thing first, then its
 * status, then words that everybody uses for everything. A message decides only within a class. */
#include "dialect/error_class.h"

#include <stdio.h>

/* What each vendor says of a class. code: of OpenAI's; NULL is null. */
static const struct {
    const char *name;
    unsigned openai_status;
    const char *openai_type, *openai_code;
    unsigned anthropic_status;
    const char *anthropic_type;
} classes[ERROR_CLASS_COUNT] = {
    [ERROR_INVALID_REQUEST] = {"invalid_request", 400, "invalid_request_error", NULL, 400,
                               "invalid_request_error"},
    [ERROR_CONTEXT_LENGTH] = {"context_length", 400, "invalid_request_error",
                              "context_length_exceeded", 400, "invalid_request_error"},
    [ERROR_AUTHENTICATION] = {"authentication", 401, "invalid_request_error", "invalid_api_key",
                              401, "authentication_error"},
    [ERROR_QUOTA] = {"quota", 429, "insufficient_quota", "insufficient_quota", 402,
                     "billing_error"},
    [ERROR_PERMISSION] = {"permission", 403, "invalid_request_error", NULL, 403,
                          "permission_error"},
    [ERROR_MODEL_NOT_FOUND] = {"model_not_found", 404, "invalid_request_error", "model_not_found",
                               404, "not_found_error"},
    [ERROR_NOT_FOUND] = {"not_found", 404, "invalid_request_error", NULL, 404, "not_found_error"},
    [ERROR_METHOD] = {"method", 405, "invalid_request_error", "method_not_supported", 405,
                      "invalid_request_error"},
    [ERROR_REQUEST_TIMEOUT] = {"request_timeout", 408, "timeout", NULL, 408, "timeout_error"},
    [ERROR_CONFLICT] = {"conflict", 409, "conflict", NULL, 409, "conflict_error"},
    [ERROR_TOO_LARGE] = {"too_large", 413, "invalid_request_error", NULL, 413,
                         "request_too_large"},
    [ERROR_CONTENT_TYPE] = {"content_type", 415, "invalid_request_error",
                            "unsupported_content_type", 415, "invalid_request_error"},
    [ERROR_UNPROCESSABLE] = {"unprocessable", 422, "invalid_request_error", NULL, 400,
                             "invalid_request_error"},
    [ERROR_RATE_LIMIT] = {"rate_limit", 429, "requests", "rate_limit_exceeded", 429,
                          "rate_limit_error"},
    [ERROR_OVERLOADED] = {"overloaded", 503, "server_error", "server_overloaded", 529,
                          "overloaded_error"},
    [ERROR_TIMEOUT] = {"timeout", 504, "server_error", "upstream_timeout", 504, "timeout_error"},
    [ERROR_GATEWAY] = {"gateway", 502, "server_error", "bad_gateway", 500, "api_error"},
    [ERROR_SERVER] = {"server", 500, "server_error", "upstream_error", 500, "api_error"},
};

const char *error_class_name(enum error_class c) {
    return (unsigned)c < ERROR_CLASS_COUNT ? classes[c].name : "unknown";
}

/* ---- words ---- */

struct word {
    const char *text;
    enum error_class class;
};

/* Codes and types that mean one thing, whoever says them. Compared without case, as a whole. */
static const struct word words[] = {
    /* OpenAI, Azure */
    {"context_length_exceeded", ERROR_CONTEXT_LENGTH},
    {"string_above_max_length", ERROR_INVALID_REQUEST},
    {"content_filter", ERROR_INVALID_REQUEST},
    {"content_policy_violation", ERROR_INVALID_REQUEST},
    {"invalid_prompt", ERROR_INVALID_REQUEST},
    {"unsupported_parameter", ERROR_INVALID_REQUEST},
    {"previous_response_not_found", ERROR_INVALID_REQUEST},
    {"invalid_api_key", ERROR_AUTHENTICATION},
    {"account_deactivated", ERROR_AUTHENTICATION},
    {"insufficient_quota", ERROR_QUOTA},
    {"billing_not_active", ERROR_QUOTA},
    {"billing_hard_limit_reached", ERROR_QUOTA},
    {"model_not_found", ERROR_MODEL_NOT_FOUND},
    {"DeploymentNotFound", ERROR_MODEL_NOT_FOUND},
    {"unknown_url", ERROR_NOT_FOUND},
    {"method_not_supported", ERROR_METHOD},
    {"unsupported_content_type", ERROR_CONTENT_TYPE},
    {"rate_limit_exceeded", ERROR_RATE_LIMIT},
    {"requests", ERROR_RATE_LIMIT},
    {"tokens", ERROR_RATE_LIMIT},
    {"request_forbidden", ERROR_PERMISSION},
    {"unsupported_country_region_territory", ERROR_PERMISSION},
    {"server_overloaded", ERROR_OVERLOADED},
    {"slow_down", ERROR_OVERLOADED},
    {"service_unavailable", ERROR_OVERLOADED},
    {"engine_overloaded", ERROR_OVERLOADED},
    {"upstream_timeout", ERROR_TIMEOUT},
    {"bad_gateway", ERROR_GATEWAY},
    /* Anthropic */
    {"authentication_error", ERROR_AUTHENTICATION},
    {"billing_error", ERROR_QUOTA},
    {"permission_error", ERROR_PERMISSION},
    {"request_too_large", ERROR_TOO_LARGE},
    {"rate_limit_error", ERROR_RATE_LIMIT},
    {"overloaded_error", ERROR_OVERLOADED},
    {"conflict_error", ERROR_CONFLICT},
    /* Google */
    {"UNAUTHENTICATED", ERROR_AUTHENTICATION},
    {"PERMISSION_DENIED", ERROR_PERMISSION},
    {"RESOURCE_EXHAUSTED", ERROR_RATE_LIMIT},
    {"INVALID_ARGUMENT", ERROR_INVALID_REQUEST},
    {"FAILED_PRECONDITION", ERROR_INVALID_REQUEST},
    {"OUT_OF_RANGE", ERROR_INVALID_REQUEST},
    {"ALREADY_EXISTS", ERROR_CONFLICT},
    {"ABORTED", ERROR_CONFLICT},
    {"UNAVAILABLE", ERROR_OVERLOADED},
    {"DEADLINE_EXCEEDED", ERROR_TIMEOUT},
    {"INTERNAL", ERROR_SERVER},
    /* vLLM */
    {"AuthenticationError", ERROR_AUTHENTICATION},
    {"RateLimitError", ERROR_RATE_LIMIT},
    {"InternalServerError", ERROR_SERVER},
    {"BadRequestError", ERROR_INVALID_REQUEST},
    /* llama.cpp */
    {"exceed_context_size_error", ERROR_CONTEXT_LENGTH},
    {"unavailable_error", ERROR_OVERLOADED},
    /* AWS */
    {"ThrottlingException", ERROR_RATE_LIMIT},
    {"ValidationException", ERROR_INVALID_REQUEST},
    {"AccessDeniedException", ERROR_PERMISSION},
    {"ModelTimeoutException", ERROR_TIMEOUT},
    {"ServiceUnavailableException", ERROR_OVERLOADED},
    {"ServiceQuotaExceededException", ERROR_RATE_LIMIT},
    /* OpenRouter and others */
    {"insufficient_credits", ERROR_QUOTA},
    {"insufficient_balance", ERROR_QUOTA},
};

/* Words that say something only where no status does. */
static const struct word weak_words[] = {
    {"timeout_error", ERROR_TIMEOUT},
    {"timeout", ERROR_TIMEOUT},
    {"conflict", ERROR_CONFLICT},
    {"not_found_error", ERROR_NOT_FOUND},
    {"NotFoundError", ERROR_NOT_FOUND},
    {"NOT_FOUND", ERROR_NOT_FOUND},
    {"invalid_request_error", ERROR_INVALID_REQUEST},
    {"invalid_request", ERROR_INVALID_REQUEST},
    {"server_error", ERROR_SERVER},
    {"api_error", ERROR_SERVER},
};

/* ERROR_CLASS_COUNT: not in it. */
static enum error_class find_word(const struct word *table, size_t n, struct slice s) {
    for (size_t i = 0; s.len > 0 && i < n; i++) {
        if (slice_eq_nocase(s, slice_cstr(table[i].text))) return table[i].class;
    }
    return ERROR_CLASS_COUNT;
}

#define FIND(table, s) find_word(table, sizeof(table) / sizeof *(table), s)

static bool has_nocase(struct slice text, const char *part) {
    struct slice p = slice_cstr(part);
    for (size_t i = 0; i + p.len <= text.len; i++) {
        if (slice_eq_nocase_bytes(text.ptr + i, p.ptr, p.len)) return true;
    }
    return false;
}

static bool has_any(struct slice text, const char *const *parts) {
    for (; *parts; parts++) {
        if (has_nocase(text, *parts)) return true;
    }
    return false;
}

/* ---- the class ---- */

/* An HTTP status in digits, as OpenRouter, vLLM and Azure put it into `code`; else 0. */
static unsigned code_status(struct slice code) {
    uint64_t n;
    return code.len == 3 && slice_to_u64(code, 599, &n) && n >= 400 ? (unsigned)n : 0;
}

static enum error_class class_of_status(unsigned status) {
    switch (status) {
    case 401: return ERROR_AUTHENTICATION;
    case 402: return ERROR_QUOTA;
    case 403: return ERROR_PERMISSION;
    case 404: return ERROR_NOT_FOUND;
    case 405: return ERROR_METHOD;
    case 408: return ERROR_REQUEST_TIMEOUT;
    case 409: return ERROR_CONFLICT;
    case 413: return ERROR_TOO_LARGE;
    case 415: return ERROR_CONTENT_TYPE;
    case 422: return ERROR_UNPROCESSABLE;
    case 429: return ERROR_RATE_LIMIT;
    case 499: return ERROR_SERVER; /* a proxy's word for a client that left: not ours */
    case 502: return ERROR_GATEWAY;
    case 503:
    case 529: return ERROR_OVERLOADED;
    case 504: return ERROR_TIMEOUT;
    default: break;
    }
    if (status >= 300 && status < 400) return ERROR_GATEWAY; /* we follow none */
    if (status >= 400 && status < 500) return ERROR_INVALID_REQUEST;
    return status >= 500 ? ERROR_SERVER : ERROR_CLASS_COUNT;
}

static bool is_context_length(struct slice message) {
    static const char *const parts[] = {
        "prompt is too long",       "maximum context length", "context length exceeded",
        "context_length_exceeded",  "context window",         "exceed context limit",
        "exceeds context limit",    "available context size", "exceeds the context",
        "exceeds the model's context", "input is too long",
        "input token count",        "exceeds the maximum number of tokens",
        "reduce the length of the messages", NULL};
    return has_any(message, parts);
}

/* What a message adds to a class that says too little. */
static enum error_class refine(enum error_class c, const struct api_error *er) {
    switch (c) {
    case ERROR_INVALID_REQUEST:
    case ERROR_TOO_LARGE:
    case ERROR_UNPROCESSABLE:
        if (is_context_length(er->message)) return ERROR_CONTEXT_LENGTH;
        return has_nocase(er->message, "credit balance is too low") ? ERROR_QUOTA : c;
    case ERROR_NOT_FOUND: return has_nocase(er->message, "model") ? ERROR_MODEL_NOT_FOUND : c;
    default: return c;
    }
}

enum error_class error_classify(const struct api_error *er) {
    enum error_class c = FIND(words, er->code);
    if (c == ERROR_CLASS_COUNT) c = FIND(words, er->type);
    unsigned status = er->status >= 300 ? er->status : code_status(er->code);
    if (c == ERROR_CLASS_COUNT) c = class_of_status(status);
    if (c == ERROR_CLASS_COUNT) c = FIND(weak_words, er->code);
    if (c == ERROR_CLASS_COUNT) c = FIND(weak_words, er->type);
    return refine(c == ERROR_CLASS_COUNT ? ERROR_SERVER : c, er);
}

/* ---- in a vendor's words ---- */

static bool is_one_of(struct slice s, const char *const *list) {
    for (; *list; list++) {
        if (slice_eq(s, slice_cstr(*list))) return true;
    }
    return false;
}

/* A type of OpenAI's own, used for what it means. */
static bool is_openai_type(struct slice type, enum error_class c) {
    switch (c) {
    case ERROR_RATE_LIMIT:
        return slice_eq(type, SLICE("tokens")) || slice_eq(type, SLICE("requests"));
    case ERROR_PERMISSION: return slice_eq(type, SLICE("request_forbidden"));
    case ERROR_CONFLICT: return slice_eq(type, SLICE("conflict"));
    case ERROR_REQUEST_TIMEOUT:
        return slice_eq(type, SLICE("timeout")) || slice_eq(type, SLICE("server_error"));
    case ERROR_OVERLOADED:
        return slice_eq(type, SLICE("service_unavailable")) ||
               slice_eq(type, SLICE("server_error"));
    case ERROR_TIMEOUT:
    case ERROR_GATEWAY:
    case ERROR_SERVER: return slice_eq(type, SLICE("server_error"));
    default: return false; /* invalid_request_error is everybody's */
    }
}

/* Statuses that a class does not decide: 412, 418, 451 … */
static unsigned status_for(enum error_class c, unsigned status, unsigned usual) {
    bool is_open = c == ERROR_INVALID_REQUEST && status < 500;
    return is_open && class_of_status(status) == ERROR_INVALID_REQUEST ? status : usual;
}

/* A word of the kind that OpenAI's codes are: no number, no other vendor's spelling. */
static bool is_code(struct slice code) {
    for (size_t i = 0; i < code.len; i++) {
        char ch = code.ptr[i];
        if (!((ch >= 'a' && ch <= 'z') || ch == '_' || (i > 0 && ch >= '0' && ch <= '9')))
            return false;
    }
    return code.len > 0;
}

struct slice openai_error_type(const struct api_error *er) {
    unsigned status = er->status;
    if (er->type.len > 0) return er->type;
    if (status == 429) return SLICE("requests");
    return status >= 400 && status < 500 ? SLICE("invalid_request_error") : SLICE("server_error");
}

void error_for_openai(const struct api_error *in, struct api_error *out) {
    /* other vendors' types in the place of a code: they say what the class says already */
    static const char *const foreign_codes[] = {
        "overloaded_error",     "rate_limit_error", "api_error",       "timeout_error",
        "billing_error",        "not_found_error",  "conflict_error",  "invalid_request_error",
        "authentication_error", "permission_error", "request_too_large", NULL};
    enum error_class c = error_classify(in);
    struct api_error made = *in;
    bool is_own = is_openai_type(in->type, c);
    bool has_code = is_code(in->code) && !is_one_of(in->code, foreign_codes);
    made.status = status_for(c, in->status, classes[c].openai_status);
    made.type = is_own ? in->type : slice_cstr(classes[c].openai_type);
    if (c == ERROR_QUOTA) made.type = made.code = slice_cstr(classes[c].openai_code);
    else if (has_code) made.code = in->code;
    else made.code = is_own && !in->code.ptr ? SLICE_NULL : slice_cstr(classes[c].openai_code);
    *out = made;
}

/* Agents look for these words to know that they should compact. */
static struct slice context_message(struct slice message) {
    static _Thread_local char text[ERROR_MESSAGE_BYTES];
    struct slice prefix = SLICE("prompt is too long");
    if (slice_eq_nocase(slice_sub(message, 0, prefix.len), prefix)) return message;
    if (message.len > sizeof text - 32) {
        message.len = sizeof text - 32;
        message.len = slice_utf8_valid(message);
    }
    int n = snprintf(text, sizeof text, "prompt is too long: %.*s", SLICE_FMT(message));
    return slice_make(text, (size_t)n);
}

void error_for_anthropic(const struct api_error *in, struct api_error *out) {
    enum error_class c = error_classify(in);
    struct api_error made = *in;
    bool is_own = slice_eq(in->type, SLICE("api_error")) && c == ERROR_OVERLOADED &&
                  in->status >= 500;
    made.status = is_own ? in->status : status_for(c, in->status, classes[c].anthropic_status);
    if (!is_own) made.type = slice_cstr(classes[c].anthropic_type);
    if (c == ERROR_CONTEXT_LENGTH) made.message = context_message(in->message);
    *out = made;
}
