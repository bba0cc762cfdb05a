/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/fault.h"

#include "mock/mock.h"

#define INVALID "invalid_request_error"

static const struct mock_fault faults[] = {
    {"400", FAULT_STATUS, 400, INVALID, "invalid_value", "temperature",
     "Invalid value: 'temperature' must be at most 2.", 0, "An invalid parameter."},
    {"401", FAULT_STATUS, 401, INVALID, "invalid_api_key", NULL,
     "Incorrect API key provided.", 0, "The key is wrong."},
    {"403", FAULT_STATUS, 403, INVALID, "unsupported_country_region_territory", NULL,
     "Country, region, or territory not supported.", 0, "The key may not do this."},
    {"404", FAULT_STATUS, 404, INVALID, "model_not_found", NULL,
     "The model `fault/404` does not exist or you do not have access to it.", 0,
     "The model does not exist."},
    {"408", FAULT_STATUS, 408, "server_error", NULL, NULL,
     "The request timed out.", 0, "The provider gave up waiting."},
    {"409", FAULT_STATUS, 409, "conflict", NULL, NULL,
     "The resource was changed by another request.", 0, "A concurrent change."},
    {"413", FAULT_STATUS, 413, INVALID, "request_too_large", NULL,
     "The request is too large.", 0, "The body is over the provider's limit."},
    {"422", FAULT_STATUS, 422, INVALID, NULL, NULL,
     "The request was well-formed but could not be processed.", 0, "Understood and refused."},
    {"429", FAULT_STATUS, 429, "requests", "rate_limit_exceeded", NULL,
     "Rate limit reached for requests. Please try again in 1s.", 1,
     "The rate limit; with retry-after."},
    {"500", FAULT_STATUS, 500, "server_error", NULL, NULL,
     "The server had an error while processing your request.", 0, "An error inside the provider."},
    {"502", FAULT_STATUS, 502, "server_error", "bad_gateway", NULL,
     "Bad gateway.", 0, "Something behind the provider failed."},
    {"503", FAULT_STATUS, 503, "server_error", "server_overloaded", NULL,
     "The server is overloaded. Please try again later.", 1, "Overloaded; with retry-after."},
    {"504", FAULT_STATUS, 504, "server_error", "upstream_timeout", NULL,
     "The upstream did not answer in time.", 0, "Something behind the provider was too slow."},
    {"529", FAULT_STATUS, 529, "server_error", "overloaded_error", NULL,
     "Overloaded.", 0, "Anthropic's own status for an overload, in any dialect."},
    {"cut", FAULT_CUT, 0, NULL, NULL, NULL, NULL, 0,
     "The connection is reset after three tokens; a whole answer is cut in its middle."},
    {"fin", FAULT_FIN, 0, NULL, NULL, NULL, NULL, 0,
     "The body ends in good order after three tokens, without a finish and an end mark; a "
     "whole answer ends in its middle."},
    {"stall", FAULT_STALL, 0, NULL, NULL, NULL, NULL, 0,
     "Nothing more comes after three tokens, and nothing at all of a whole answer, until the client "
     "leaves."},
    {"error-event", FAULT_ERROR_EVENT, 500, "server_error", "upstream_error", NULL,
     "The server had an error in the middle of its answer.", 0,
     "An error event after three tokens, then the end; a whole answer is a 500."},
    {"slow-head", FAULT_SLOW_HEAD, 0, NULL, NULL, NULL, NULL, 0,
     "The response head comes ten seconds late."},
    {"no-done", FAULT_NO_DONE, 0, NULL, NULL, NULL, NULL, 0,
     "Everything but the end mark: [DONE], message_stop, response.completed; a whole answer is whole."},
    {"malformed", FAULT_MALFORMED, 0, NULL, NULL, NULL, NULL, 0,
     "One frame of cut JSON after three tokens, then the rest; a whole answer is cut JSON."},
    {"echo-headers", FAULT_ECHO_HEADERS, 0, NULL, NULL, NULL, NULL, 0,
     "No fault: the text is a JSON object of the request as it came: method, path, headers (secrets "
     "masked), body."},
};
enum { FAULT_COUNT = sizeof faults / sizeof faults[0] };

const struct mock_fault *mock_fault_find(struct slice name) {
    for (unsigned i = 0; i < FAULT_COUNT; i++) {
        if (slice_eq(name, slice_cstr(faults[i].name))) {
            return &faults[i];
        }
    }
    return NULL;
}

void mock_fault_error(const struct mock_fault *f, struct api_error *out) {
    *out = (struct api_error){.status = f->status,
                              .message = slice_cstr(f->message),
                              .type = slice_cstr(f->type),
                              .code = slice_cstr(f->code),
                              .param = slice_cstr(f->param)};
}

const char *mock_fault_name(unsigned i) {
    return i < FAULT_COUNT ? faults[i].name : NULL;
}

const char *mock_fault_description(unsigned i) {
    return i < FAULT_COUNT ? faults[i].description : NULL;
}
