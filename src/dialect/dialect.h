/* SPDX-License-Identifier: Apache-2.0 */
/* A dialect is a pair of pure functions between bytes and canonical events, in four places:
 * requests, streams, whole answers, errors. No sockets, no timers, no clock, no globals: the same
 * code serves gateway, mock, clients, tests and fuzzers. */
#ifndef PENSTOCK_DIALECT_DIALECT_H
#define PENSTOCK_DIALECT_DIALECT_H

#include "base/buf.h"
#include "dialect/event.h"
#include "dialect/request.h"
#include "sse/sse.h"

struct decoder;
struct answer;
struct encoder;
struct checker;
struct capabilities;
struct translation;

/* What the encoder puts in frames that the upstream (or scenario) did not tell. */
struct encoder_options {
    struct slice id, model;        /* copied */
    int64_t created;
    bool include_usage;            /* chat: the client's stream_options.include_usage */
    struct slice system_fingerprint, service_tier;   /* empty: left out */
    /* responses: the members that repeat the request (encode_echo), raw, without the comma before
     * the first; must outlive the encoder. Empty: defaults */
    struct slice echo;
    /* responses: the stream of an answer that is made in the background: it is queued before it is
     * in progress */
    bool is_queued;
    /* messages: what its first event says of the prompt while the upstream has told no usage, which
     * the last event puts right; some clients look at the first alone. 0: nothing is said */
    int64_t input_estimate;
    size_t max_bytes;              /* of the transcript that some dialects keep; 0: 16 MiB */
};

/* How a same-dialect stream has to be changed for a client that did not ask for what we asked the
 * upstream for. */
enum frame_edit { FRAME_AS_IS, FRAME_CUT, FRAME_DROP };

struct dialect {
    const char *name;              /* "chat" */
    const char *path;              /* of the endpoint, behind a base URL: "/chat/completions" */
    /* A block is over before the next begins (messages, responses). */
    bool is_sequential;
    /* More than one choice can be answered. */
    bool has_choices;
    /* Says in a stream that it is still alive: a comment, or a ping event. */
    struct slice heartbeat;
    /* What ends a complete stream whose upstream left its end mark out; empty: cannot be said
     * without the encoder. */
    struct slice end_mark;

    /* ---- requests ---- */
    /* Validates the JSON (syntax with position, depth, duplicate keys that we act on, types of the
     * envelope's fields, required ones) and fills the envelope. */
    int (*peek_request)(struct slice body, struct arena *a, struct envelope *out,
                        struct request_fault *fault) MUST_CHECK;
    /* The whole request. */
    int (*decode_request)(struct slice body, struct arena *a, struct llm_request *out,
                          struct request_fault *fault) MUST_CHECK;
    /* From the same dialect: as it came, but for what was changed. From another: the typed fields,
     * after request_adapt; what is left out without harm goes to translation_drop(t), what must not
     * be is refused: -ERR_USAGE with the fault. -ERR_LIMIT: out is full. t (with t->caps) is NULL
     * for the same dialect, and fault may be. */
    int (*encode_request)(const struct llm_request *rq, struct translation *t, struct buf *out,
                          struct request_fault *fault) MUST_CHECK;
    /* responses; else NULL: encoder_options.echo of a request that it decoded, or another dialect's
     * request in its words. */
    int (*encode_echo)(const struct llm_request *rq, struct buf *out) MUST_CHECK;

    /* ---- streams ---- */
    struct decoder *(*decoder_new)(void);
    /* One event frame; comments and blanks are not for decoders. 0, what the sink returned, or
     * -ERR_PROTOCOL when data is not what the dialect says (the decoder goes on: the caller
     * decides). No allocation per event in steady state. */
    int (*decoder_feed)(struct decoder *d, const struct sse_frame *f, const struct event_sink *sink,
                        struct err *e) MUST_CHECK;
    /* End of bytes. 0: the stream was complete (it had its end mark, or every choice its finish:
     * then END is emitted flagged SYNTH, or it ended in an error event). -ERR_PROTOCOL: cut. */
    int (*decoder_finish)(struct decoder *d, const struct event_sink *sink,
                          struct err *e) MUST_CHECK;
    void (*decoder_free)(struct decoder *d);
    /* After decoder_feed of this very frame: what must be done so that a client that did not ask
     * for usage sees nothing of it. FRAME_CUT fills up to max_cuts spans (into f->data, ascending,
     * disjoint) to delete. NULL: usage is always part of the stream, nothing is asked for. */
    enum frame_edit (*strip_usage)(const struct decoder *d, const struct sse_frame *f,
                                   struct span *out_cuts, unsigned max_cuts, unsigned *out_n);

    struct encoder *(*encoder_new)(const struct encoder_options *o);
    /* Appends whole frames. Takes what a shaper for this dialect gives (is_sequential: one block at
     * a time); EV_ERROR ends the stream in the dialect's own form. -ERR_LIMIT:
     * out is full, or max_bytes is met (the dialect's error event was appended then: the stream is
     * over, what follows is ignored). -ERR_PROTOCOL: blocks are open at once, nothing appended. */
    int (*encoder_event)(struct encoder *x, const struct event *ev, struct buf *out) MUST_CHECK;
    void (*encoder_free)(struct encoder *x);

    /* ---- whole answers ---- */
    /* Emits the same events as the stream of the same answer would. Error bodies give EV_ERROR. */
    int (*decode_response)(struct slice body, const struct event_sink *sink,
                           struct err *e) MUST_CHECK;
    /* From the reducer below. -ERR_PROTOCOL when the answer is an error, or a choice has no finish:
     * nothing is invented. */
    int (*encode_response)(const struct answer *an, const struct encoder_options *o,
                           struct buf *out) MUST_CHECK;

    /* ---- errors ---- */
    /* HTTP body */
    int (*encode_error)(const struct api_error *er, struct buf *out) MUST_CHECK;
    /* SSE frame(s) for mid-stream, behind what `after` (NULL: nothing yet) has decoded */
    int (*encode_error_event)(const struct api_error *er, const struct decoder *after,
                              struct buf *out) MUST_CHECK;
    /* error_for_openai or error_for_anthropic */
    void (*translate_error)(const struct api_error *in, struct api_error *out);
    /* Reads any provider's error body (wire/openai-errors-and-headers.md lists the forms); never
     * fails: falls back to the text itself. Slices into body or arena. */
    void (*decode_error)(unsigned status, struct slice body, struct arena *a,
                         struct api_error *out);

    /* ---- the order of a stream's events ---- */
    /* A checker of the dialect's own grammar, on bytes that some client will read. 0, or
     * -ERR_PROTOCOL with e saying which rule was broken at which frame; it goes on after that. */
    struct checker *(*checker_new)(void);
    int (*checker_frame)(struct checker *c, const struct sse_frame *f, struct err *e) MUST_CHECK;
    int (*checker_end)(struct checker *c, struct err *e) MUST_CHECK;
    void (*checker_free)(struct checker *c);
};

extern const struct dialect dialect_chat, dialect_completions, dialect_responses, dialect_messages;
/* By name; NULL when there is none. dialects[] ends with NULL. */
const struct dialect *dialect_find(struct slice name);
extern const struct dialect *const dialects[];

/* Collects events into a whole answer; the non-streamed body is derived from the same events as the
 * stream. Bounded by max_bytes: -ERR_LIMIT. */
struct answer;
struct answer *answer_new(size_t max_bytes);
int answer_add(struct answer *an, const struct event *ev) MUST_CHECK;
void answer_free(struct answer *an);

/* Read access for encode_response and tests: valid until the next answer_add. Blocks in order of
 * opening, choices by index. */
struct answer_block {
    uint32_t id;
    uint16_t choice;
    enum block_kind kind;
    /* REDACTED: signature is the encrypted content; AUDIO: text is the transcript, tool_id the
     * audio's id; a call whose arguments were told at once: text is input_json */
    struct slice text, tool_id, tool_name, signature;
    struct slice name_space, item_id;
    uint32_t group;
    bool is_raw;
    /* where in `text` each part after the first begins (EV_PART) */
    const size_t *parts;
    unsigned n_parts;
    const struct annotation *annotations;
    unsigned n_annotations;
    struct slice annotations_json;   /* in the origin's words, with commas between */
    /* OPAQUE: as BLOCK_BEGIN had it, and the OPAQUE events with commas between */
    struct slice raw_json, opaque_json;
    /* AUDIO: JSON strings of base64, with commas between; empty when none */
    struct slice audio_data_json;
    int64_t audio_expires_at;        /* -1: not told */
    bool closed;
};
struct answer_choice {
    bool has_finish;
    struct finish finish;
    uint16_t index;
    /* concatenated token objects with commas, no brackets; empty when none */
    struct slice logprobs_json;
    struct slice refusal_logprobs_json;
    struct slice annotations_json;   /* likewise */
};
unsigned answer_blocks(const struct answer *an, const struct answer_block **out);
unsigned answer_choices(const struct answer *an, const struct answer_choice **out);
/* Every choice has ended, none in an error, and the answer is none. */
bool answer_is_whole(const struct answer *an);
const struct usage *answer_usage(const struct answer *an);     /* NULL when none */
const struct event_start *answer_start(const struct answer *an);
const struct api_error *answer_error(const struct answer *an); /* NULL when none */

#endif
