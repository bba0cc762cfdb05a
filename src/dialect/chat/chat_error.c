/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: any form in (error_read.h); one canonical form, out. */
#include "dialect/chat/chat-private.h"

#include "base/json_scan.h"
#include "dialect/error_class.h"
#include "dialect/error_read.h"
#include "dialect/json_text.h"

void chat_decode_error(unsigned status, struct slice body, struct arena *a, struct api_error *out) {
    error_read_body(status, body, a, out);
}

/* ---- writing ---- */

/* Details that SDKs of their provider read. */
static void w_details(struct json_writer *w, struct slice raw) {
    static const char *const keys[] = {"innererror", "metadata", "misalignment"};
    for (size_t i = 0; json_text_is(raw, '{') && i < sizeof keys / sizeof *keys; i++) {
        struct json_member m;
        if (!json_find_member(raw, slice_cstr(keys[i]), &m)) continue;
        jw(w, SLICE(",\""));
        jw(w, slice_cstr(keys[i]));
        jw(w, SLICE("\":"));
        jw_raw(w, m.value);
    }
}

static void w_error(struct json_writer *w, const struct api_error *er) {
    jw(w, SLICE("{\"error\":{\"message\":"));
    jw_string(w, er->message);
    jw_string_or_null(w, SLICE(",\"type\":"),
                     openai_error_type(er));
    jw_string_or_null(w, SLICE(",\"param\":"), er->param);
    jw_string_or_null(w, SLICE(",\"code\":"), er->code);
    w_details(w, er->raw);
    jw(w, SLICE("}}"));
}

int chat_encode_error(const struct api_error *er, struct buf *out) {
    struct json_writer w = jw_begin(out);
    w_error(&w, er);
    return jw_end(&w);
}

int chat_encode_error_event(const struct api_error *er, const struct decoder *after,
                            struct buf *out) {
    (void)after;
    struct json_writer w = jw_begin(out);
    jw(&w, SLICE("data: "));
    w_error(&w, er);
    jw(&w, SLICE("\n\n"));
    return jw_end(&w);
}
