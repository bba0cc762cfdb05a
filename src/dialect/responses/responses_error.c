/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: any form in (error_read.h); OpenAI's body, and the event that every client raises,
 * out. */
#include "dialect/responses/responses-stream.h"

#include "dialect/error_class.h"
#include "dialect/error_read.h"

void responses_decode_error(unsigned status, struct slice body, struct arena *a,
                            struct api_error *out) {
    error_read_body(status, body, a, out);
}

/* ---- writing ---- */

static void w_code_message_param(struct json_writer *w, const struct api_error *er) {
    jw_string_or_null(w, SLICE("\"code\":"), er->code);
    jw(w, SLICE(",\"message\":"));
    jw_string(w, er->message);
    jw_string_or_null(w, SLICE(",\"param\":"), er->param);
}

void responses_w_error_fields(struct json_writer *w, const struct api_error *er) {
    jw(w, SLICE("\"type\":"));
    jw_string(w, openai_error_type(er));
    jw(w, SLICE(","));
    w_code_message_param(w, er);
}

void responses_w_error_frame(struct json_writer *w, const struct api_error *er, uint64_t sequence) {
    jw(w, SLICE("event: error\ndata: {\"type\":\"error\",\"sequence_number\":"));
    jw_int(w, (int64_t)sequence);
    jw(w, SLICE(",\"error\":{"));
    responses_w_error_fields(w, er);
    jw(w, SLICE("},"));
    w_code_message_param(w, er);
    jw(w, SLICE("}\n\n"));
}

int responses_encode_error(const struct api_error *er, struct buf *out) {
    struct json_writer w = jw_begin(out);
    jw(&w, SLICE("{\"error\":{"));
    responses_w_error_fields(&w, er);
    jw(&w, SLICE("}}"));
    return jw_end(&w);
}

int responses_encode_error_event(const struct api_error *er, const struct decoder *after,
                                 struct buf *out) {
    struct json_writer w = jw_begin(out);
    responses_w_error_frame(&w, er, after ? responses_decoder_next_sequence(after) : 0);
    return jw_end(&w);
}
