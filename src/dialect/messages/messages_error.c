/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: any form in (error_read.h), Anthropic's out. What an upstream of this dialect said beside
 * type and message (`details`) is repeated. */
#include "dialect/messages/messages-private.h"

#include "base/json_scan.h"
#include "dialect/error_read.h"
#include "dialect/json_text.h"

void messages_decode_error(unsigned status, struct slice body, struct arena *a,
                           struct api_error *out) {
    error_read_body(status, body, a, out);
}

static const struct {
    unsigned status;
    const char *type;
} types[] = {
    {401, "authentication_error"}, {402, "billing_error"},    {403, "permission_error"},
    {404, "not_found_error"},      {408, "timeout_error"},    {409, "conflict_error"},
    {413, "request_too_large"},    {429, "rate_limit_error"}, {503, "overloaded_error"},
    {504, "timeout_error"},        {529, "overloaded_error"},
};

static struct slice default_type(unsigned status) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (types[i].status == status) return slice_cstr(types[i].type);
    }
    return status >= 400 && status < 500 ? SLICE("invalid_request_error") : SLICE("api_error");
}

static void w_error(struct json_writer *w, const struct api_error *er) {
    struct json_member details;
    jw(w, SLICE("{\"type\":\"error\",\"error\":{\"type\":"));
    jw_string(w, er->type.len > 0 ? er->type : default_type(er->status));
    jw(w, SLICE(",\"message\":"));
    jw_string(w, er->message);
    if (json_text_is(er->raw, '{') && json_find_member(er->raw, SLICE("details"), &details) &&
        json_text_is(details.value, '{')) {
        jw(w, SLICE(",\"details\":"));
        jw_raw(w, details.value);
    }
    jw(w, SLICE("}"));
    jw_member(w, SLICE("request_id"), er->request_id);
    jw(w, SLICE("}"));
}

int messages_encode_error(const struct api_error *er, struct buf *out) {
    struct json_writer w = jw_begin(out);
    w_error(&w, er);
    return jw_end(&w);
}

int messages_encode_error_event(const struct api_error *er, const struct decoder *after,
                                struct buf *out) {
    (void)after;
    struct json_writer w = jw_begin(out);
    jw(&w, SLICE("event: error\ndata: "));
    w_error(&w, er);
    jw(&w, SLICE("\n\n"));
    return jw_end(&w);
}
