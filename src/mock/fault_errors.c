/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/fault_errors.h"

#include <inttypes.h>
#include <stdio.h>

#define INVALID "invalid_request_error"

struct words {
    unsigned status;               /* 0: as the other provider's */
    const char *type, *code, *param, *message;
};

/* choice: of the parameter `type`, or -1: any. {model}, {limit}, {tokens} and {retry} are
 * filled in. */
static const struct error_row {
    const char *fault;
    int choice;
    struct words openai, anthropic;
} rows[] = {
    {"400", 0,
     {400, INVALID, "invalid_value", "temperature",
      "Invalid value: 'temperature' must be at most 2."},
     {400, INVALID, NULL, NULL, "temperature: range: 0..1"}},
    {"400", 1,
     {400, INVALID, "missing_required_parameter", "model",
      "Missing required parameter: 'model'."},
     {400, INVALID, NULL, NULL, "model: Field required"}},
    {"400", 2,
     {400, INVALID, NULL, NULL, "We could not parse the JSON body of your request."},
     {400, INVALID, NULL, NULL, "The request body is not valid JSON."}},
    {"400", 3,
     {400, INVALID, "context_length_exceeded", "messages",
      "This model's maximum context length is 128000 tokens. However, your messages resulted in "
      "131072 tokens. Please reduce the length of the messages."},
     {400, INVALID, NULL, NULL, "prompt is too long: 131072 tokens > 128000 maximum"}},
    {"400", 4,
     {400, INVALID, "content_policy_violation", NULL,
      "Your request was rejected as a result of our safety system."},
     {400, INVALID, NULL, NULL, "Output blocked by content filtering policy"}},
    {"401", 0,
     {401, INVALID, "invalid_api_key", NULL, "Incorrect API key provided: sk-****."},
     {401, "authentication_error", NULL, NULL, "invalid x-api-key"}},
    {"401", 1,
     {401, INVALID, NULL, NULL,
      "You didn't provide an API key. You need to provide your API key in an Authorization header "
      "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."},
     {401, "authentication_error", NULL, NULL, "x-api-key header is required"}},
    {"403", 0,
     {403, "request_forbidden", "unsupported_country_region_territory", NULL,
      "Country, region, or territory not supported"},
     {403, "permission_error", NULL, NULL, "Request not allowed"}},
    {"403", 1,
     {403, INVALID, "model_not_found", NULL,
      "Project `proj_penstock` does not have access to model `{model}`"},
     {403, "permission_error", NULL, NULL, "Your API key does not have permission to use {model}"}},
    {"404", 0,
     {404, INVALID, "model_not_found", NULL,
      "The model `{model}` does not exist or you do not have access to it."},
     {404, "not_found_error", NULL, NULL, "model: {model}"}},
    {"404", 1,
     {404, INVALID, "unknown_url", NULL, "Unknown request URL."},
     {404, "not_found_error", NULL, NULL, "Not Found"}},
    {"408", -1,
     {408, "server_error", NULL, NULL, "The request timed out."},
     {408, "timeout_error", NULL, NULL, "Request timed out"}},
    {"409", -1,
     {409, "conflict", NULL, NULL, "The resource was changed by another request."},
     {409, "conflict_error", NULL, NULL, "The resource was changed by another request."}},
    {"413", -1,
     {413, INVALID, "request_too_large", NULL, "The request is too large."},
     {413, "request_too_large", NULL, NULL, "Request exceeds the maximum size"}},
    {"415", -1,
     {415, INVALID, "unsupported_content_type", NULL,
      "Unsupported content type. This API method only accepts 'application/json' requests."},
     {415, INVALID, NULL, NULL, "Unsupported content type"}},
    {"422", -1,
     {422, INVALID, NULL, NULL, "The request was well-formed but could not be processed."},
     {422, INVALID, NULL, NULL, "The request was well-formed but could not be processed."}},
    {"429", 0,
     {429, "requests", "rate_limit_exceeded", NULL,
      "Rate limit reached for {model} on requests per min (RPM): Limit 500, Used 500, Requested 1. "
      "Please try again in {retry}."},
     {429, "rate_limit_error", NULL, NULL,
      "This request would exceed your organization's rate limit of 500 requests per minute."}},
    {"429", 1,
     {429, "tokens", "rate_limit_exceeded", NULL,
      "Rate limit reached for {model} on tokens per min (TPM): Limit 30000, Used 29900, Requested "
      "1200. Please try again in {retry}."},
     {429, "rate_limit_error", NULL, NULL,
      "This request would exceed your organization's rate limit of 30,000 input tokens per "
      "minute."}},
    {"429", 2,
     {429, "insufficient_quota", "insufficient_quota", NULL,
      "You exceeded your current quota, please check your plan and billing details."},
     {402, "billing_error", NULL, NULL, "Your credit balance is too low to access the Anthropic API."}},
    {"quota", -1,
     {429, "insufficient_quota", "insufficient_quota", NULL,
      "You exceeded your current quota, please check your plan and billing details."},
     {402, "billing_error", NULL, NULL, "Your credit balance is too low to access the Anthropic API."}},
    {"500", -1,
     {500, "server_error", NULL, NULL, "The server had an error while processing your request."},
     {500, "api_error", NULL, NULL, "Internal server error"}},
    {"502", -1,
     {502, "server_error", "bad_gateway", NULL, "Bad gateway."},
     {502, "api_error", NULL, NULL, "Bad gateway"}},
    {"503", -1,
     {503, "server_error", "server_overloaded", NULL,
      "The server is overloaded. Please try again later."},
     {503, "overloaded_error", NULL, NULL, "Overloaded"}},
    {"504", -1,
     {504, "server_error", "upstream_timeout", NULL, "The upstream did not answer in time."},
     {504, "timeout_error", NULL, NULL, "Request timed out"}},
    {"529", -1,
     {529, "server_error", "overloaded_error", NULL, "Overloaded."},
     {529, "overloaded_error", NULL, NULL, "Overloaded"}},
    {"context-length", -1,
     {400, INVALID, "context_length_exceeded", "messages",
      "This model's maximum context length is {limit} tokens. However, your messages resulted in "
      "{tokens} tokens. Please reduce the length of the messages."},
     {400, INVALID, NULL, NULL, "prompt is too long: {tokens} tokens > {limit} maximum"}},
    {"content-policy", -1,
     {400, INVALID, "content_policy_violation", NULL,
      "Your request was rejected as a result of our safety system."},
     {400, INVALID, NULL, NULL, "Output blocked by content filtering policy"}},
    {"error-200", -1,
     {500, "server_error", NULL, NULL, "The server had an error while processing your request."},
     {500, "api_error", NULL, NULL, "Internal server error"}},
    {"error-event", 0,
     {500, "server_error", "upstream_error", NULL,
      "The server had an error in the middle of its answer."},
     {500, "api_error", NULL, NULL, "The server had an error in the middle of its answer."}},
    {"error-event", 1,
     {503, "server_error", "server_overloaded", NULL,
      "The server is overloaded. Please try again later."},
     {529, "overloaded_error", NULL, NULL, "Overloaded"}},
    {"error-event", 2,
     {429, "tokens", "rate_limit_exceeded", NULL, "Rate limit reached in the middle of an answer."},
     {429, "rate_limit_error", NULL, NULL,
      "This request would exceed your organization's rate limit of 8,000 output tokens per "
      "minute."}},
};
enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

static const struct words *words_of(const struct fault_use *use, const struct api *api) {
    for (unsigned i = 0; i < ROW_COUNT; i++) {
        if (strcmp(rows[i].fault, use->row->name) == 0 &&
            (rows[i].choice < 0 || rows[i].choice == use->values[FAULT_KEY_TYPE])) {
            return api->is_anthropic ? &rows[i].anthropic : &rows[i].openai;
        }
    }
    return NULL;
}

struct filler {
    char *to;
    size_t room;
};

static void put(struct filler *f, const char *text, size_t len) {
    len = len < f->room ? len : f->room;
    memcpy(f->to, text, len);
    f->to += len;
    f->room -= len;
}

static void put_value(struct filler *f, const char *name, size_t len, const struct fault_use *use,
                      struct slice model) {
    char number[32] = "";
    if (len == 5 && memcmp(name, "model", 5) == 0) {
        model = slice_sub(model, 0, 120);
        model.len = slice_utf8_valid(model);
        if (model.len > 0) {
            put(f, model.ptr, model.len);
        }
        return;
    }
    if (len == 5 && memcmp(name, "limit", 5) == 0) {
        snprintf(number, sizeof number, "%" PRId64, use->values[FAULT_KEY_LIMIT]);
    } else if (len == 6 && memcmp(name, "tokens", 6) == 0) {
        snprintf(number, sizeof number, "%" PRId64, use->values[FAULT_KEY_TOKENS]);
    } else if (len == 5 && memcmp(name, "retry", 5) == 0) {
        snprintf(number, sizeof number, "%gs", (double)use->values[FAULT_KEY_RETRY] / 1e9);
    }
    put(f, number, strlen(number));
}

static struct slice fill(const char *text, const struct fault_use *use, struct slice model,
                         char space[FAULT_ERROR_TEXT_BYTES]) {
    struct filler f = {space, FAULT_ERROR_TEXT_BYTES};
    for (const char *open; (open = strchr(text, '{'));) {
        const char *close = strchr(open, '}');
        put(&f, text, (size_t)(open - text));
        put_value(&f, open + 1, (size_t)(close - open - 1), use, model);
        text = close + 1;
    }
    put(&f, text, strlen(text));
    return slice_make(space, (size_t)(f.to - space));
}

void mock_fault_error(const struct fault_use *use, const struct api *api, struct slice model,
                 char space[FAULT_ERROR_TEXT_BYTES], struct api_error *out) {
    const struct words *w = words_of(use, api);
    *out = (struct api_error){.status = use->row->status, .type = SLICE("server_error")};
    if (!w) {                             /* a page or nothing: its words are nobody's */
        out->message = SLICE("The request failed.");
        return;
    }
    const char *param = w->param;
    if (param && strcmp(param, "messages") == 0 && api->dialect != &dialect_chat) {
        param = api->dialect == &dialect_responses ? "input" : "prompt";
    }
    *out = (struct api_error){.status = w->status,
                              .message = fill(w->message, use, model, space),
                              .type = slice_cstr(w->type),
                              .code = slice_cstr(w->code),
                              .param = slice_cstr(param)};
}

void mock_fault_error_event(const struct fault_use *use, const struct api *api,
                            struct api_error *out) {
    const struct words *w = words_of(use, api);
    *out = (struct api_error){.status = w->status,
                              .message = slice_cstr(w->message),
                              .type = slice_cstr(w->type),
                              .code = slice_cstr(w->code)};
}
