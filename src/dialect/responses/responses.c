/* SPDX-License-Identifier: Apache-2.0 */
#include "dialect/responses/responses-private.h"

#include "dialect/error_class.h"

const struct dialect dialect_responses = {
    .name = "responses",
    .path = "/responses",
    .is_sequential = true,
    .heartbeat = {": keep-alive\n\n", 14},
    .peek_request = responses_peek_request,
    .decode_request = responses_decode_request,
    .encode_request = responses_encode_request,
    .encode_echo = responses_encode_echo,
    .decoder_new = responses_decoder_new,
    .decoder_feed = responses_decoder_feed,
    .decoder_finish = responses_decoder_finish,
    .decoder_free = responses_decoder_free,
    .encoder_new = responses_encoder_new,
    .encoder_event = responses_encoder_event,
    .encoder_free = responses_encoder_free,
    .decode_response = responses_decode_response,
    .encode_response = responses_encode_response,
    .encode_error = responses_encode_error,
    .encode_error_event = responses_encode_error_event,
    .translate_error = error_for_openai,
    .decode_error = responses_decode_error,
    .checker_new = responses_checker_new,
    .checker_frame = responses_checker_frame,
    .checker_end = responses_checker_end,
    .checker_free = responses_checker_free,
};
