/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the chat dialect share. Rules: Chat Completions of OpenAI, and what compatible
 * servers make of it.
 *
 * How chat says what the model has no field for:
 *   - AUDIO blocks: u.tool.id of BLOCK_BEGIN is the audio's id; DELTA is its transcript; OPAQUE
 * events with that block carry a JSON string (base64 data) or a JSON number (expires_at).
 *   - REDACTED blocks: one SIGNATURE event with the encrypted data.
 *   - LOGPROBS come before the DELTA of the same frame; block_kind is TEXT or REFUSAL.
 *   - Tool calls stay open until their choice finishes, since fragments of several calls may
 * interleave.
 *   - Parts of a message that stand beside "content": part.name is the member's name ("refusal",
 * "reasoning_content"). */
#ifndef PENSTOCK_DIALECT_CHAT_PRIVATE_H
#define PENSTOCK_DIALECT_CHAT_PRIVATE_H

#include <yyjson.h>

#include "dialect/dialect.h"

#define CHAT_MAX_CHOICES 128
#define CHAT_MAX_TOOLS 128
#define CHAT_MAX_DEPTH 128

/* ---- parsed JSON (chat_doc.c) ---- */

/* `text` must outlive it. A small text is parsed in the thread's scratch, without malloc; a second
 * one at the same time is not. */
struct chat_doc {
    struct slice text;
    yyjson_doc *doc;
    bool on_heap;
};
/* 0 or -ERR_PROTOCOL. */
int chat_doc_parse(struct chat_doc *d, struct slice text, struct err *e) MUST_CHECK;
void chat_doc_free(struct chat_doc *d);
/* The token of a JSON string of this document, between its quotes. */
struct span chat_doc_string_span(const struct chat_doc *d, const yyjson_val *string);
/* The value of an object's member as it came. `value` must be a member's value. */
struct slice chat_doc_member_raw(const struct chat_doc *d, const yyjson_val *value);

/* Decoded; NULL when v is NULL or no string. */
static inline struct slice chat_str(const yyjson_val *v) {
    if (!v || !unsafe_yyjson_is_str((void *)(uintptr_t)v)) return SLICE_NULL;
    return slice_make(v->uni.str, unsafe_yyjson_get_len((void *)(uintptr_t)v));
}

/* ---- choices to events (chat_choice.c) ---- */

struct chat_tool;    /* one call that is open */
struct chat_pending; /* a call whose name may still grow */

struct chat_choice {
    uint16_t index;
    bool is_finished, any_tool;
    bool is_open, has_signature; /* a block other than a tool call is; the open one has */
    enum block_kind kind;        /* of the open block */
    uint32_t block;
    uint64_t off;
    struct chat_tool *tools;
    uint16_t n_tools, cap_tools;
    struct chat_pending *pending;
};
void chat_choice_dispose(struct chat_choice *c);

/* One frame (or body) on its way to events. One event is kept back, so that the last can be marked.
 */
struct chat_feed {
    struct chat_doc doc;
    const struct event_sink *sink;
    uint32_t *next_block;
    struct event ev;
    bool has_ev, is_body;
    unsigned n_events;   /* sent so far */
    int rc;              /* the sink's answer; no event follows it */
    const char *problem; /* something in the frame is not what the dialect says */
};
/* Sends the event that is kept back, and keeps a new one, zeroed but for its kind. */
struct event *chat_put(struct chat_feed *x, enum event_kind kind);
void chat_flush(struct chat_feed *x, uint8_t flags);
/* A delta, or the message of a whole answer. */
void chat_put_delta(struct chat_feed *x, struct chat_choice *c, yyjson_val *delta,
                    yyjson_val *logprobs);
/* Ends the choice's blocks, then FINISH. */
void chat_put_finish(struct chat_feed *x, struct chat_choice *c, struct slice wire,
                     yyjson_val *stop_string, uint8_t flags);

/* ---- the short cut for text deltas (chat_mould.c) ---- */

struct chat_mould; /* freed by mem_free */
/* Whether `data` is the mould around another plain string; that string's token, between its quotes.
 * */
bool chat_mould_fits(struct chat_mould *m, struct slice data, struct span *out_string);
/* Of a frame that meant one DELTA, of the string whose token is at `string`, and nothing else.
 * False: none was made, and what *mould holds is of another frame. */
bool chat_mould_make(struct chat_mould **mould, struct slice data, struct span string);

/* ---- errors (chat_error.c) ---- */

/* Whether an object of the wire is an error, as the SDKs see it. */
bool chat_is_error(yyjson_val *root);
/* Reads any known form; slices into the document, or into `scratch` (numbers). */
struct chat_error_scratch {
    char code[24];
};
void chat_error_read(const struct chat_doc *d, unsigned status, struct chat_error_scratch *scratch,
                     struct api_error *out);

/* ---- the vtable's functions ---- */

int chat_peek_request(struct slice body, struct arena *a, struct envelope *out,
                      struct request_fault *fault) MUST_CHECK;
int chat_decode_request(struct slice body, struct arena *a, struct llm_request *out,
                        struct request_fault *fault) MUST_CHECK;
int chat_encode_request(const struct llm_request *rq, struct buf *out, struct err *e) MUST_CHECK;

struct decoder *chat_decoder_new(void);
int chat_decoder_feed(struct decoder *d, const struct sse_frame *f, const struct event_sink *sink,
                      struct err *e) MUST_CHECK;
int chat_decoder_finish(struct decoder *d, const struct event_sink *sink, struct err *e) MUST_CHECK;
void chat_decoder_free(struct decoder *d);
enum frame_edit chat_strip_usage(const struct decoder *d, const struct sse_frame *f,
                                 struct span *out_cuts, unsigned max_cuts, unsigned *out_n);

struct encoder *chat_encoder_new(const struct encoder_options *o);
int chat_encoder_event(struct encoder *x, const struct event *ev, struct buf *out) MUST_CHECK;
void chat_encoder_free(struct encoder *x);

int chat_decode_response(struct slice body, const struct event_sink *sink,
                         struct err *e) MUST_CHECK;
int chat_encode_response(const struct answer *an, const struct encoder_options *o,
                         struct buf *out) MUST_CHECK;

int chat_encode_error(const struct api_error *er, struct buf *out) MUST_CHECK;
int chat_encode_error_event(const struct api_error *er, struct buf *out) MUST_CHECK;
void chat_decode_error(unsigned status, struct slice body, struct arena *a, struct api_error *out);

/* ---- words (chat_words.c). chat_w_usage writes the wire's object when it is in chat's words, else
 * the counters ---- */

/* Foreign reasons included. */
enum stop_reason chat_stop_reason(struct slice wire);
/* The word for clients; "error" for STOP_ERROR. */
struct slice chat_finish_word(const struct finish *f, bool has_function_call);
void chat_read_usage(const struct chat_doc *d, yyjson_val *usage, struct usage *out);
/* The id of a call that came without one: "call_" and what makes it unique. */
#define CHAT_TOOL_ID_FORMAT "call_%llx_%u"

/* ---- writing (chat_words.c): after the first failure nothing more is written ---- */

struct chat_writer {
    struct buf *out;
    size_t start; /* where the frame or body began: chat_end takes a broken one back */
    int rc;
};
static inline struct chat_writer chat_begin(struct buf *out) {
    return (struct chat_writer){out, out->len, 0};
}
static inline int chat_end(struct chat_writer *w) {
    if (w->rc) w->out->len = w->start;
    return w->rc;
}
static inline void chat_w(struct chat_writer *w, struct slice text) {
    if (w->rc == 0) w->rc = buf_append(w->out, text);
}
void chat_w_escaped(struct chat_writer *w, struct slice text); /* the body of a JSON string */
void chat_w_string(struct chat_writer *w, struct slice text);  /* with its quotes */
/* JSON as it came, its line breaks (which can only stand between tokens) as spaces: a frame has one
 * data line. Ill-formed bytes as '?'. */
void chat_w_raw(struct chat_writer *w, struct slice json);
void chat_w_int(struct chat_writer *w, int64_t n);
void chat_w_usage(struct chat_writer *w, const struct usage *u);
/* `,"key":"value"`, or nothing when the value is empty. */
void chat_w_member(struct chat_writer *w, struct slice key, struct slice value);

#endif
