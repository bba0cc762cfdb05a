/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the messages dialect share. Rules: Anthropic's Messages API, both live versions
 * of it. Functions that stand in a dialect's table (dialect.h) have their contract there. */
#ifndef PENSTOCK_DIALECT_MESSAGES_PRIVATE_H
#define PENSTOCK_DIALECT_MESSAGES_PRIVATE_H

#include "dialect/dialect.h"
#include "dialect/json_doc.h"
#include "dialect/json_write.h"
#include "dialect/translation.h"

/* ---- requests ---- */

int messages_peek_request(struct slice body, struct arena *a, struct envelope *out,
                          struct request_fault *fault) MUST_CHECK;
int messages_decode_request(struct slice body, struct arena *a, struct llm_request *out,
                            struct request_fault *fault) MUST_CHECK;
int messages_encode_request(const struct llm_request *rq, struct translation *t, struct buf *out,
                            struct request_fault *fault) MUST_CHECK;

/* ---- words (messages_words.c) ---- */

/* Unknown ones mean STOP_END. */
enum stop_reason messages_stop_reason(struct slice wire);
/* `"stop_reason":…,"stop_sequence":…` and stop_details when they are told. */
void messages_w_stop(struct json_writer *w, const struct finish *f, bool is_native);
/* OpenAI's word for a tier of messages', and back; empty: there is none. */
struct slice messages_tier_to_openai(struct slice tier);
struct slice messages_tier_from_openai(struct slice tier);

/* The wire's own counters, which exclude each other; -1: not told. */
struct messages_usage {
    int64_t input, cache_read, cache_write, output, thinking;
};
#define MESSAGES_USAGE_NONE ((struct messages_usage){-1, -1, -1, -1, -1})
/* What the object tells takes the place of what was told before. */
void messages_overlay_usage(struct messages_usage *u, yyjson_val *object);
/* wire stays empty */
struct usage messages_usage_total(const struct messages_usage *u);
/* The same for objects as text: members of `later` that are not null take the place of those in
 * *wire. What grows too large, or has too many members, leaves *wire empty. */
void messages_overlay_wire(struct buf *wire, struct slice later);

/* u: NULL when nothing is known. is_native: u->wire is in messages' words. tier: messages' word, or
 * empty. START: what message_start says, before there is any output. */
enum usage_form { USAGE_START, USAGE_END, USAGE_BODY };
void messages_w_usage(struct json_writer *w, const struct usage *u, bool is_native,
                      struct slice tier, enum usage_form form);

bool messages_is_native(const struct event_start *start);
/* The id of a call that came without one: made of what is unique, the same in streams and bodies.
 */
void messages_w_tool_id(struct json_writer *w, struct slice told, struct slice message_id,
                        uint32_t block);

/* ---- streams and answers ----
 *
 * How messages says what the model has no field for:
 *   - server tools, their results and unknown blocks are OPAQUE: BLOCK_BEGIN has content_block in
 *     raw_json, each of its deltas is an OPAQUE event of the block with the delta object.
 *   - REDACTED blocks: one SIGNATURE event with the data.
 *   - ANNOTATION: raw_json is the citation.
 *   - USAGE comes with message_start (no output yet), and with every message_delta, each time with
 *     all that is known so far, in `wire`, too.
 *   - the first stop reason told is the one: it cannot be taken back (FINISH starts the time in
 *     which a stream has to end). */

struct decoder *messages_decoder_new(void);
int messages_decoder_feed(struct decoder *d, const struct sse_frame *f,
                          const struct event_sink *sink, struct err *e) MUST_CHECK;
int messages_decoder_finish(struct decoder *d, const struct event_sink *sink,
                            struct err *e) MUST_CHECK;
void messages_decoder_free(struct decoder *d);

struct encoder *messages_encoder_new(const struct encoder_options *o);
int messages_encoder_event(struct encoder *x, const struct event *ev, struct buf *out) MUST_CHECK;
void messages_encoder_free(struct encoder *x);

int messages_decode_response(struct slice body, const struct event_sink *sink,
                             struct err *e) MUST_CHECK;
int messages_encode_response(const struct answer *an, const struct encoder_options *o,
                             struct buf *out) MUST_CHECK;

int messages_encode_error(const struct api_error *er, struct buf *out) MUST_CHECK;
int messages_encode_error_event(const struct api_error *er, const struct decoder *after,
                                struct buf *out) MUST_CHECK;
void messages_decode_error(unsigned status, struct slice body, struct arena *a,
                           struct api_error *out);

struct checker *messages_checker_new(void);
int messages_checker_frame(struct checker *c, const struct sse_frame *f, struct err *e) MUST_CHECK;
int messages_checker_end(struct checker *c, struct err *e) MUST_CHECK;
void messages_checker_free(struct checker *c);

#endif
