/* SPDX-License-Identifier: Apache-2.0 */
#include "dialect/chat/chat-private.h"

#include "dialect/error_class.h"

const struct dialect dialect_chat = {
    .name = "chat",
    .path = "/chat/completions",
    .has_choices = true,
    .heartbeat = {": keep-alive\n\n", 14},
    .end_mark = {"data: [DONE]\n\n", 14},
    .peek_request = chat_peek_request,
    .decode_request = chat_decode_request,
    .encode_request = chat_encode_request,
    .decoder_new = chat_decoder_new,
    .decoder_feed = chat_decoder_feed,
    .decoder_finish = chat_decoder_finish,
    .decoder_free = chat_decoder_free,
    .strip_usage = chat_strip_usage,
    .encoder_new = chat_encoder_new,
    .encoder_event = chat_encoder_event,
    .encoder_free = chat_encoder_free,
    .decode_response = chat_decode_response,
    .encode_response = chat_encode_response,
    .encode_error = chat_encode_error,
    .encode_error_event = chat_encode_error_event,
    .translate_error = error_for_openai,
    .decode_error = chat_decode_error,
    .checker_new = chat_checker_new,
    .checker_frame = chat_checker_frame,
    .checker_end = chat_checker_end,
    .checker_free = chat_checker_free,
};
