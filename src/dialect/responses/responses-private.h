/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the responses dialect share. Rules: OpenAI's Responses API. Functions that
 * stand in a dialect's table (dialect.h) have their contract there. */
#ifndef PENSTOCK_DIALECT_RESPONSES_PRIVATE_H
#define PENSTOCK_DIALECT_RESPONSES_PRIVATE_H

#include "dialect/dialect.h"
#include "dialect/json_doc.h"
#include "dialect/json_write.h"
#include "dialect/request_read.h"
#include "dialect/string_map.h"
#include "dialect/translation.h"

/* ---- requests ---- */

int responses_peek_request(struct slice body, struct arena *a, struct envelope *out,
                        struct request_fault *fault) MUST_CHECK;
int responses_decode_request(struct slice body, struct arena *a, struct llm_request *out,
                          struct request_fault *fault) MUST_CHECK;
int responses_encode_request(const struct llm_request *rq, struct translation *t, struct buf *out,
                          struct request_fault *fault) MUST_CHECK;
/* What an answer repeats of its request. `store` is true only when rq->store is 1: whoever keeps
 * the answer sets it, whoever does not leaves or unsets it. Very large tools and instructions are
 * left out, so that not every event of a stream carries them. */
int responses_encode_echo(const struct llm_request *rq, struct buf *out) MUST_CHECK;

/* A message item's members but role and content: its type, too, which may be absent. */
struct responses_item {
    struct field *fields;
    bool content_is_string;
};

/* ---- reading a request's pieces ---- */

struct responses_reader {
    struct arena *a;
    struct llm_request *rq;
    struct request_fault *fault;
    struct field **params_end;
    struct message *last;            /* of the items; NULL: none yet */
    struct parts parts;              /* of last */
    struct parts early;              /* items that the model has no word for, before any message */
    struct string_map calls;         /* that the items have told so far, by their id */
};

/* Values of members come out of a list that shrinks: what is left are the extras. */
struct field *responses_members(struct responses_reader *r, struct slice object);
/* The value, raw; NULL when there is none. The last of several wins. */
struct slice responses_take(struct field **members, const char *name);
/* The same of a string; absent and null give NULL, or a fault when it is required. */
int responses_take_string(struct responses_reader *r, struct field **members, const char *where,
                          const char *name, bool is_required, struct slice *out) MUST_CHECK;
/* Faults about where.name; where may be empty. */
int responses_refuse_type(struct responses_reader *r, const char *where, const char *name,
                          const char *expected, struct slice got);
int responses_refuse_missing(struct responses_reader *r, const char *where, const char *name);

/* responses_items.c: string, item or list of items. */
int responses_read_input(struct responses_reader *r, struct slice input) MUST_CHECK;
/* responses_tools.c: a list of definitions, each added to rq->tools. where: "tools",
 * "input[0].tools" */
int responses_read_tools(struct responses_reader *r, struct slice list, struct slice name_space,
                         const char *where) MUST_CHECK;
int responses_read_tool_choice(struct responses_reader *r, struct slice value) MUST_CHECK;

/* ---- writing ---- */

/* Commas come by themselves, between members and between elements. */
struct responses_writer {
    struct json_writer w;
    const struct llm_request *rq;
    struct translation *t;           /* NULL: the same dialect */
    struct request_fault *fault;
    bool is_native;                  /* the request came in our words: raws are good */
    bool has_member;                 /* of what is open: the next one needs a comma */
    int rc;                          /* a refusal, told in the fault */
    unsigned n_legacy;               /* calls and results without an id, so far */
};
void responses_w_element(struct responses_writer *x);
void responses_w_key(struct responses_writer *x, const char *name);
void responses_w_open(struct responses_writer *x, char bracket);
void responses_w_close(struct responses_writer *x, char bracket);
/* Whole members; nothing when the value is absent (ptr NULL). */
void responses_w_string(struct responses_writer *x, const char *name, struct slice text);
void responses_w_raw(struct responses_writer *x, const char *name, struct slice json);
void responses_w_bool(struct responses_writer *x, const char *name, bool value);
void responses_w_fields(struct responses_writer *x, const struct field *f);
/* Notes what is left out, as "prefix.key"; null and [] say nothing. */
void responses_w_dropped(struct responses_writer *x, const char *prefix, const struct field *f);

/* responses_items_write.c: the items of the messages, elements of a list that is open. */
void responses_w_items(struct responses_writer *x);
unsigned responses_count_items(const struct llm_request *rq);
/* The system texts that stand before everything else, as a member; nothing when there are none. */
void responses_w_instructions(struct responses_writer *x);
/* responses_tools_write.c: members from the model; nothing when it has none. */
void responses_w_tools(struct responses_writer *x);
void responses_w_tool_choice(struct responses_writer *x);
/* responses_request_write.c: the value of `text.format`. */
void responses_w_format(struct responses_writer *x);

/* ---- streams and answers ---- */

struct decoder *responses_decoder_new(void);
int responses_decoder_feed(struct decoder *d, const struct sse_frame *f,
                           const struct event_sink *sink, struct err *e) MUST_CHECK;
int responses_decoder_finish(struct decoder *d, const struct event_sink *sink,
                          struct err *e) MUST_CHECK;
void responses_decoder_free(struct decoder *d);
/* The sequence_number behind what it has decoded. */
uint64_t responses_decoder_next_sequence(const struct decoder *d);

struct encoder *responses_encoder_new(const struct encoder_options *o);
int responses_encoder_event(struct encoder *x, const struct event *ev, struct buf *out) MUST_CHECK;
void responses_encoder_free(struct encoder *x);
/* No frames from now on (and no `out`): what is wanted is responses_encoder_write_response. */
void responses_encoder_set_quiet(struct encoder *x);
struct slice responses_encoder_output(const struct encoder *x);

int responses_decode_response(struct slice body, const struct event_sink *sink,
                           struct err *e) MUST_CHECK;
int responses_encode_response(const struct answer *an, const struct encoder_options *o,
                           struct buf *out) MUST_CHECK;

int responses_encode_error(const struct api_error *er, struct buf *out) MUST_CHECK;
int responses_encode_error_event(const struct api_error *er, const struct decoder *after,
                              struct buf *out) MUST_CHECK;
void responses_decode_error(unsigned status, struct slice body, struct arena *a,
                         struct api_error *out);

struct checker *responses_checker_new(void);
int responses_checker_frame(struct checker *c, const struct sse_frame *f, struct err *e) MUST_CHECK;
int responses_checker_end(struct checker *c, struct err *e) MUST_CHECK;
void responses_checker_free(struct checker *c);

#endif
