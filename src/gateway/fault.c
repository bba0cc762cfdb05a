/* SPDX-License-Identifier: Apache-2.0 */
/* Every way in which a request fails, in one table: what the client sees, what is counted, whether
 * a retry makes sense. Statuses, types and codes follow OpenAI's practice (docs/serve.md,
 * "Errors"); for clients of another family they are translated. */
#include "gateway/gateway-private.h"

static const struct fault faults[FAULT_COUNT] = {
    /* clang-format off */
    [FAULT_BAD_JSON]          = {400, "invalid_request_error", NULL, END_CLIENT_ERROR, true, 0},
    [FAULT_BAD_REQUEST]       = {400, "invalid_request_error", NULL, END_CLIENT_ERROR, true, 0},
    [FAULT_MODEL_NOT_FOUND]   = {404, "invalid_request_error", "model_not_found", END_CLIENT_ERROR, true, 0},
    [FAULT_NOT_FOUND]         = {404, "invalid_request_error", NULL, END_CLIENT_ERROR, true, 0},
    [FAULT_UNKNOWN_URL]       = {404, "invalid_request_error", "unknown_url", END_CLIENT_ERROR, true, 0},
    [FAULT_METHOD]            = {405, "invalid_request_error", "method_not_supported", END_CLIENT_ERROR, true, 0},
    [FAULT_CONTENT_TYPE]      = {415, "invalid_request_error", "unsupported_content_type", END_CLIENT_ERROR, true, 0},
    [FAULT_TOO_LARGE]         = {413, "invalid_request_error", "request_too_large", END_CLIENT_ERROR, true, 0},
    [FAULT_FORBIDDEN_HOST]    = {403, "request_forbidden", "host_not_allowed", END_CLIENT_ERROR, true, 0},
    [FAULT_FORBIDDEN_ORIGIN]  = {403, "request_forbidden", "origin_not_allowed", END_CLIENT_ERROR, true, 0},
    [FAULT_DRAINING]          = {503, "server_error", "server_overloaded", END_DRAIN, false, 1},
    [FAULT_OVERLOAD]          = {503, "server_error", "server_overloaded", END_OVERLOAD, false, 1},
    [FAULT_UPSTREAM_CONNECT]  = {502, "server_error", "bad_gateway", END_UPSTREAM_CONNECT, false, 0},
    [FAULT_UPSTREAM_TIMEOUT]  = {504, "server_error", "upstream_timeout", END_UPSTREAM_TIMEOUT, false, 0},
    [FAULT_UPSTREAM_CUT]      = {502, "server_error", "bad_gateway", END_UPSTREAM_CUT, false, 0},
    [FAULT_UPSTREAM_PROTOCOL] = {502, "server_error", "bad_gateway", END_UPSTREAM_PROTOCOL, false, 0},
    [FAULT_UPSTREAM_LIMIT]    = {502, "server_error", "bad_gateway", END_UPSTREAM_LIMIT, true, 0},
    [FAULT_UPSTREAM_AUTH]     = {502, "server_error", "upstream_auth", END_UPSTREAM_AUTH, true, 0},
    [FAULT_UPSTREAM_BUSY]     = {503, "server_error", "server_overloaded", END_OVERLOAD, false, 1},
    [FAULT_INTERNAL]          = {500, "server_error", NULL, END_INTERNAL, true, 0},
    /* clang-format on */
};

const struct fault *fault_get(enum fault_id id) {
    return &faults[id];
}

enum fault_id fault_of_call(const struct err *e, bool any_answer_byte) {
    switch (e->kind) {
    case ERR_TIMEOUT:
        return FAULT_UPSTREAM_TIMEOUT;
    case ERR_DNS:
    case ERR_CONNECT:
    case ERR_TLS:
        return FAULT_UPSTREAM_CONNECT;
    case ERR_LIMIT:
        return any_answer_byte ? FAULT_UPSTREAM_LIMIT : FAULT_UPSTREAM_BUSY;
    case ERR_PROTOCOL:
        return FAULT_UPSTREAM_PROTOCOL;
    case ERR_IO:
    case ERR_CLOSED:
        return FAULT_UPSTREAM_CUT;
    case ERR_CANCELLED:
        return FAULT_DRAINING;
    case ERR_NONE:
    case ERR_USAGE:
    case ERR_INTERNAL:
    case ERR_KIND_COUNT:
        break;
    }
    return FAULT_INTERNAL;
}

bool dialect_is_anthropic(const struct dialect *d) {
    return slice_eq(slice_cstr(d->name), SLICE("messages"));
}

void dialect_translate_error(const struct dialect *d, const struct api_error *in,
                             struct api_error *out) {
    if (d->translate_error)
        d->translate_error(in, out);
    else
        *out = *in;
}

/* The table is in OpenAI's words: whoever speaks them gets them as they are. */
struct api_error fault_error(enum fault_id id, const struct dialect *client, const char *code,
                             const char *param, const char *message) {
    const struct fault *f = &faults[id];
    struct api_error er = {.status = f->status,
                           .message = slice_cstr(message),
                           .type = slice_cstr(f->type),
                           .code = slice_cstr(code ? code : f->code),
                           .param = slice_cstr(param && *param ? param : NULL)};
    if (!dialect_is_anthropic(client))
        return er;
    struct api_error theirs;
    dialect_translate_error(client, &er, &theirs);
    return theirs;
}
