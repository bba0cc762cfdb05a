/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the chat dialect share. Rules: Chat Completions of OpenAI, and what compatible
 * servers make of it.
 *
 * How chat says what the model has no field for:
 *   - AUDIO blocks: u.begin.id of BLOCK_BEGIN is the audio's id; DELTA is its transcript; OPAQUE
 *     events with that block carry a JSON string (base64 data) or a JSON number (expires_at).
 *   - REDACTED blocks: one SIGNATURE event with the encrypted data.
 *   - LOGPROBS come before the DELTA of the same frame; block_kind is TEXT or REFUSAL.
 *   - Tool calls stay open until their choice finishes, since fragments of several calls may
 *     interleave.
 *   - Parts of a message that stand beside "content": part.name is the member's name ("refusal",
 *     "reasoning_content").
 *
 * Functions that stand in a dialect's table (dialect.h) have their contract there. */
#ifndef PENSTOCK_DIALECT_CHAT_PRIVATE_H
#define PENSTOCK_DIALECT_CHAT_PRIVATE_H

#include "dialect/dialect.h"
#include "dialect/error_read.h"
#include "dialect/event_out.h"
#include "dialect/json_doc.h"
#include "dialect/json_write.h"
#include "dialect/mould.h"

#define CHAT_MAX_CHOICES 128
#define CHAT_MAX_TOOLS 128
#define COMPLETIONS_MAX_CHOICES 4096 /* prompts times n */

/* ---- choices to events (chat_choice.c) ---- */

struct chat_tool;    /* one call that is open */
struct chat_pending; /* a call whose name may still grow */

struct chat_choice {
    uint16_t index;
    bool is_finished, any_tool;
    bool is_open, has_signature; /* a block other than a tool call is; the open one has */
    bool has_text;               /* a text block was opened, the last one is text_block */
    enum block_kind kind;        /* of the open block */
    uint32_t block, text_block;
    uint32_t thought; /* what the open block's proof is told to be of, plus 1; 0: nothing */
    uint64_t off;
    struct chat_tool *tools;
    uint16_t n_tools, cap_tools;
    struct chat_pending *pending;
};
void chat_choice_dispose(struct chat_choice *c);

/* One frame (or body) on its way to events. One event is kept back, so that the last can be marked.
 */
struct chat_feed {
    struct json_doc doc;
    struct event_out out;
    uint32_t *next_block;
    bool is_body;
    const char *problem; /* something in the frame is not what the dialect says */
};
/* What is empty is as good as nothing, whatever its type. What else does not fit breaks the frame:
 * its text would be lost. */
void chat_need(struct chat_feed *x, yyjson_val *v, bool fits, const char *otherwise);
/* A delta, or the message of a whole answer. */
void chat_put_delta(struct chat_feed *x, struct chat_choice *c, yyjson_val *delta,
                    yyjson_val *logprobs);
/* Whether it has any text or call. */
bool chat_delta_says(yyjson_val *delta);
/* What a choice of completions has in its place; logprobs as an OPAQUE event before its text. */
void chat_put_completion(struct chat_feed *x, struct chat_choice *c, yyjson_val *text,
                         yyjson_val *logprobs);
/* Ends the choice's blocks, then FINISH. */
void chat_put_finish(struct chat_feed *x, struct chat_choice *c, struct slice wire,
                     yyjson_val *stop_string, uint8_t flags);

/* ---- the vtable's functions ---- */

int chat_peek_request(struct slice body, struct arena *a, struct envelope *out,
                      struct request_fault *fault) MUST_CHECK;
int chat_decode_request(struct slice body, struct arena *a, struct llm_request *out,
                        struct request_fault *fault) MUST_CHECK;
int chat_encode_request(const struct llm_request *rq, struct translation *t, struct buf *out,
                        struct request_fault *fault) MUST_CHECK;

struct decoder *chat_decoder_new(void);
/* The decoder of completions is this one, with another form of choice. */
struct decoder *chat_decoder_new_completions(void);
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
int chat_decode_completion(struct slice body, const struct event_sink *sink,
                           struct err *e) MUST_CHECK;
int chat_encode_response(const struct answer *an, const struct encoder_options *o,
                         struct buf *out) MUST_CHECK;

int chat_encode_error(const struct api_error *er, struct buf *out) MUST_CHECK;
int chat_encode_error_event(const struct api_error *er, const struct decoder *after,
                            struct buf *out) MUST_CHECK;
void chat_decode_error(unsigned status, struct slice body, struct arena *a, struct api_error *out);

/* ---- the order of a stream (chat_check.c) ---- */

struct checker *chat_checker_new(void);
struct checker *chat_checker_new_completions(void);
int chat_checker_frame(struct checker *c, const struct sse_frame *f, struct err *e) MUST_CHECK;
int chat_checker_end(struct checker *c, struct err *e) MUST_CHECK;
void chat_checker_free(struct checker *c);

/* ---- words (chat_words.c). chat_w_usage writes the wire's object when it is in chat's words, else
 * the counters ---- */

/* Whose answer it is; nobody's is taken for chat's own. */
enum chat_origin { CHAT_FROM_CHAT, CHAT_FROM_MESSAGES, CHAT_FROM_RESPONSES, CHAT_FROM_OTHER };
enum chat_origin chat_origin_of(const struct event_start *told);
/* Foreign reasons included. */
enum stop_reason chat_stop_reason(struct slice wire);
/* The word for clients; "error" for STOP_ERROR. */
struct slice chat_finish_word(const struct finish *f, bool has_function_call);
void chat_read_usage(const struct json_doc *d, yyjson_val *usage, struct usage *out);
/* The id of a call that came without one: "call_" and what makes it unique. */
#define CHAT_TOOL_ID_FORMAT "call_%llx_%u"

void chat_w_usage(struct json_writer *w, const struct usage *u);
/* What ends a stream of chunks: the usage's chunk behind prefix (NULL: none), and the end mark. */
void chat_w_end(struct json_writer *w, struct slice prefix, const struct usage *u);
/* An url_citation, with its place. */
void chat_w_citation(struct json_writer *w, const struct annotation *a);
void chat_w_citation_json(struct json_writer *w, struct slice url, struct slice title,
                          int64_t start, int64_t end);
/* An array of token objects in chat's form: of another dialect's (an array, or its elements), which
 * may leave out what chat's clients need. */
void chat_w_tokens(struct json_writer *w, struct slice tokens);
/* What signatures of Anthropic's are called in reasoning_details. */
#define CHAT_SIGNATURE_FORMAT SLICE("anthropic-claude-v1")

#endif
