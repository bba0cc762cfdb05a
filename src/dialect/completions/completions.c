/* SPDX-License-Identifier: Apache-2.0 */
#include "dialect/completions/completions-private.h"

#include "dialect/error_class.h"

const struct dialect dialect_completions = {
    .name = "completions",
    .path = "/completions",
    .has_choices = true,
    .heartbeat = {": keep-alive\n\n", 14},
    .end_mark = {"data: [DONE]\n\n", 14},
    .peek_request = completions_peek_request,
    .decode_request = completions_decode_request,
    .encode_request = completions_encode_request,
    .decoder_new = chat_decoder_new_completions,
    .decoder_feed = chat_decoder_feed,
    .decoder_finish = chat_decoder_finish,
    .decoder_free = chat_decoder_free,
    .strip_usage = chat_strip_usage,
    .encoder_new = completions_encoder_new,
    .encoder_event = completions_encoder_event,
    .encoder_free = completions_encoder_free,
    .decode_response = chat_decode_completion,
    .encode_response = completions_encode_response,
    .encode_error = chat_encode_error,
    .encode_error_event = chat_encode_error_event,
    .translate_error = error_for_openai,
    .decode_error = chat_decode_error,
    .checker_new = chat_checker_new_completions,
    .checker_frame = chat_checker_frame,
    .checker_end = chat_checker_end,
    .checker_free = chat_checker_free,
};
