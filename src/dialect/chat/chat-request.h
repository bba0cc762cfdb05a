/* SPDX-License-Identifier: Apache-2.0 */
/* What the readers and writers of requests share, completions' among them. */
#ifndef PENSTOCK_DIALECT_CHAT_REQUEST_H
#define PENSTOCK_DIALECT_CHAT_REQUEST_H

#include "dialect/chat/chat-private.h"
#include "dialect/request_read.h"

/* ---- reading ---- */

struct chat_reader {
    struct arena *a;
    struct llm_request *rq;
    struct request_fault *fault;
    struct field **params_end;
    const struct message *assistant; /* the last one so far: tools answer its calls */
};
/* chat_message.c: an array that peek has accepted. */
int chat_read_messages(struct chat_reader *r, struct slice list) MUST_CHECK;
/* chat_params.c: gives the members in rq->params their typed fields, and marks them understood. */
int chat_read_params(struct chat_reader *r) MUST_CHECK;
/* A string or an array of strings; nothing when value's ptr is NULL. */
int chat_read_stop(struct chat_reader *r, struct slice value) MUST_CHECK;
/* Whether a member says anything: null and [] do not. */
bool chat_says_something(struct slice value);

/* ---- writing (chat_write.c) ---- */

struct chat_writer {
    struct json_writer w;
    const struct llm_request *rq;
    bool has_member; /* of the object that is being written: the next one needs a comma */
};
void chat_w_text(struct chat_writer *x, const char *literal);
void chat_w_open(struct chat_writer *x);  /* { */
void chat_w_close(struct chat_writer *x); /* } */
void chat_w_key(struct chat_writer *x, struct slice name);
/* Nothing when the value is absent (ptr NULL). */
void chat_w_string(struct chat_writer *x, const char *name, struct slice value);
void chat_w_raw(struct chat_writer *x, const char *name, struct slice json);
void chat_w_bool(struct chat_writer *x, const char *name, bool value);
void chat_w_int(struct chat_writer *x, const char *name, int64_t value);
void chat_w_fields(struct chat_writer *x, const struct field *f);
/* The request's own params as they came, `stream` as the envelope has it. */
void chat_w_params(struct chat_writer *x);
/* The strings as an array. */
void chat_w_stop(struct chat_writer *x);
/* {"name", "arguments" or "input"} */
void chat_w_call_value(struct chat_writer *x, const struct part *p);
void chat_w_call(struct chat_writer *x, const struct part *p, const struct field *extras);
/* {"type":T,T:{"name":N}} */
void chat_w_named(struct chat_writer *x, const char *type, struct slice name);
/* The member `format` of a custom tool: nested, of the model's flat form. */
void chat_w_tool_format(struct chat_writer *x, struct slice flat);
bool chat_is_thought(const struct part *p);
/* The member reasoning_details; nothing when there is no reasoning. The formats: of texts with a
 * signature, which only one vendor has, and of everything else; NULL: not told. */
void chat_w_thoughts(struct chat_writer *x, const struct message *m, struct slice signed_format,
                     struct slice data_format);
bool chat_origin_is(const struct llm_request *rq, const char *name);

/* Of a request in other words (chat_request_foreign.c): what is asked of the sampling, the length,
 * the stream, the user. */
void chat_w_settings(struct chat_writer *x, struct translation *t, bool is_chat);
int chat_encode_foreign(const struct llm_request *rq, struct translation *t, struct buf *out,
                        struct request_fault *fault) MUST_CHECK;

#endif
