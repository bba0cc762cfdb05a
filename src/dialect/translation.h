/* SPDX-License-Identifier: Apache-2.0 */
/* One request's translation between two dialects: what adapting the request learned and the answer
 * needs. client bytes → decode_request → request_adapt → encode_request → upstream; upstream →
 * decoder → shaper → encoder → client. No pair has code of its own: decoders and encoders know one
 * dialect each, adapt and shape know what dialects differ in. Pure, no I/O; one thread at a time.
 * Rules: translation.md. */
#ifndef PENSTOCK_DIALECT_TRANSLATION_H
#define PENSTOCK_DIALECT_TRANSLATION_H

#include "dialect/capabilities.h"
#include "dialect/dialect.h"

/* A tool's name as the client knows it, and as the upstream was told (1.5). */
struct tool_name {
    struct tool_name *next;
    struct slice name, name_space;   /* the client's */
    struct slice sent;
    /* what the client declared; TOOL_OTHER: history alone knows it */
    enum tool_kind kind;
    /* the client's tool is a custom one, the upstream's a function */
    bool is_custom;
};
struct tool_id {
    struct tool_id *next;
    struct slice id, sent;
};

#define DROPPED_BYTES 512

struct translation {
    struct arena *arena;             /* the caller's; everything below lives there */
    const struct dialect *from, *to; /* the client's, the upstream's */
    const struct capabilities *caps; /* the upstream's */
    struct tool_name *names;
    struct tool_id *ids;
    /* stop sequences that the upstream has no parameter for: matched in the answer (1.9), of which
     * there is one choice then */
    struct slice *stops;
    unsigned n_stops;
    /* a tool that was added to get structured output: its arguments are the answer's text (1.10);
     * empty: none */
    struct slice json_tool;
    /* chat: the client asked with `functions`: the first call is answered as a function_call */
    bool legacy_functions;
    /* "a,b": fields that were left out without harm; for x-penstock-dropped. Each once. */
    char dropped[DROPPED_BYTES];
};

struct translation *translation_new(struct arena *a, const struct dialect *from,
                                    const struct dialect *to, const struct capabilities *caps);
/* Notes a harmless field that the target cannot carry. name: "logit_bias",
 * "tools[].cache_control". */
void translation_drop(struct translation *t, const char *name);
void translation_drop_slice(struct translation *t, struct slice name);

/* ---- adapt.c: the request, between decode_request and encode_request ---- */

/* Makes what dialects disagree on fit the target, in place (rq's arena is t->arena): names and ids
 * of tools, results without a call and calls without a result, proofs of other families, a client's
 * own billing header, stops without a parameter, custom tools on upstreams without them. Refuses
 * what would silently mean something else: -ERR_USAGE with the fault filled (n > 1, logprobs to
 * messages, audio, item references, background, mcp_servers, foreign file ids …). */
int request_adapt(struct llm_request *rq, struct translation *t,
                  struct request_fault *fault) MUST_CHECK;
/* The same as one call: adapt, then t->to->encode_request. out: the upstream's body. */
int request_translate(struct llm_request *rq, struct translation *t, struct buf *out,
                      struct request_fault *fault) MUST_CHECK;

/* ---- shape.c: the answer, between decoder and encoder ---- */

struct shaper;
/* t must outlive it. max_held_bytes: what may wait behind an open block. */
struct shaper *shaper_new(const struct translation *t, size_t max_held_bytes);
void shaper_free(struct shaper *s);
/* Takes one event, gives the sink none, one or more: one block open at a time where t->from is
 * sequential (4.0.8; blocks that come meanwhile wait, copied), tool stops inferred (1.1), stops
 * matched, names and ids restored, custom tools unwrapped, proofs wrapped (proof.h), choices beyond
 * the first left out where the client's dialect has one, OPAQUE of another origin left out.
 * Returns 0, what the sink returned, -ERR_LIMIT (held bytes), -ERR_PROTOCOL (arguments for a call
 * that is closed, a call without a name: 4.1; EVF_BROKEN). No allocation per event in steady
 * state. */
int shaper_event(struct shaper *s, const struct event *ev, const struct event_sink *sink,
                 struct err *e) MUST_CHECK;
/* A stop sequence was met: BLOCK_END, FINISH and END were given, the upstream can be cancelled. */
bool shaper_is_over(const struct shaper *s);

/* ---- whole answers ---- */

/* body: the upstream's; out: the client's. One way for both forms: the events of decode_response go
 * through a shaper into an answer, then encode_response. An error in the body: -ERR_USAGE with *er
 * filled (in t->arena). -ERR_PROTOCOL: not an answer. -ERR_LIMIT. out_usage may be NULL. */
int response_translate(const struct translation *t, struct slice body,
                       const struct encoder_options *o, size_t max_bytes, struct buf *out,
                       struct usage *out_usage, struct api_error *er, struct err *e) MUST_CHECK;

#endif
