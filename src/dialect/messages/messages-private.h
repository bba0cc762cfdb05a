/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the messages dialect share. Rules: Anthropic's Messages API, both live versions of it. */
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

/* ---- streams and answers ---- */

struct decoder *messages_decoder_new(void);
int messages_decoder_feed(struct decoder *d, const struct sse_frame *f, const struct event_sink *sink,
                       struct err *e) MUST_CHECK;
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
