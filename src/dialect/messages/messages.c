/* SPDX-License-Identifier: Apache-2.0 */
#include "dialect/messages/messages-private.h"

#include "dialect/error_class.h"

#define LITERAL(text)                                                                              \
    { text, sizeof(text) - 1 }

const struct dialect dialect_messages = {
    .name = "messages",
    .path = "/v1/messages",
    .is_sequential = true,
    .heartbeat = LITERAL("event: ping\ndata: {\"type\":\"ping\"}\n\n"),
    .end_mark = LITERAL("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"),
    .peek_request = messages_peek_request,
    .decode_request = messages_decode_request,
    .encode_request = messages_encode_request,
    .decoder_new = messages_decoder_new,
    .decoder_feed = messages_decoder_feed,
    .decoder_finish = messages_decoder_finish,
    .decoder_free = messages_decoder_free,
    .encoder_new = messages_encoder_new,
    .encoder_event = messages_encoder_event,
    .encoder_free = messages_encoder_free,
    .decode_response = messages_decode_response,
    .encode_response = messages_encode_response,
    .encode_error = messages_encode_error,
    .encode_error_event = messages_encode_error_event,
    .translate_error = error_for_anthropic,
    .decode_error = messages_decode_error,
    .checker_new = messages_checker_new,
    .checker_frame = messages_checker_frame,
    .checker_end = messages_checker_end,
    .checker_free = messages_checker_free,
};
