/* SPDX-License-Identifier: Apache-2.0 */
/* What a gateway that keeps Responses' conversations does with requests: their items taken out, and
 * earlier items put in. Text in, text out: items stay as they came. */
#ifndef PENSTOCK_DIALECT_RESPONSES_STATE_H
#define PENSTOCK_DIALECT_RESPONSES_STATE_H

#include "base/arena.h"
#include "base/buf.h"

/* Appends the items of the body's `input`, with commas between and no brackets: objects that all
 * have an "id" and a "type". An id that is missing is made of the item's kind, `seed` and its
 * place, as in "msg_<seed>_0" (the same for the same input; a response's id without its prefix is a
 * good seed: letters, digits, '_' and '-' are kept of it). A string becomes one user's message.
 * Nothing for an absent input. body: what peek_request accepts. 0, -ERR_LIMIT (out is full),
 * -ERR_PROTOCOL (not such a body). */
int responses_input_items(struct slice body, struct slice seed, struct arena *a,
                          struct buf *out) MUST_CHECK;

/* Appends the same body with `input` replaced by a list of items (as above, may be empty) and its
 * own, as they came, and without previous_response_id and conversation. */
int responses_prepend_items(struct slice body, struct slice items, struct arena *a,
                            struct buf *out) MUST_CHECK;

/* ---- answers, as the client got them ---- */

struct encoder;

/* The finished output items of a stream: JSON objects with commas between and no brackets, the very
 * bytes that the client got. Whole after END; borrowed until the next encoder_event. NULL while an
 * item is open. x: of dialect_responses. */
struct slice responses_encoder_output(const struct encoder *x);
/* Appends the response object of the terminal event. -ERR_PROTOCOL: the stream has had none (not
 * over, or ended in an error). -ERR_LIMIT. */
int responses_encoder_write_response(const struct encoder *x, struct buf *out) MUST_CHECK;
/* The same items of a whole answer (a response object, as encode_response or an upstream gave it):
 * what stands between the brackets of its `output`, borrowed from body. NULL: no such list. */
struct slice responses_body_output(struct slice body);

#endif
