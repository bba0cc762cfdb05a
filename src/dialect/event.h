/* SPDX-License-Identifier: Apache-2.0 */
/* The canonical model of an answer: every stream is a sequence of events over blocks, whatever the
 * dialect.
 *
 * An answer has one or more choices; a choice is a sequence of blocks; a block is a run of one
 * kind: text, reasoning, refusal, a tool call… Block ids are dense from 0 in order of opening, over
 * all choices, and are never reused. The order of events that every decoder emits and every encoder
 * accepts:
 *
 *   START  ( BLOCK_BEGIN  DELTA…  BLOCK_END  interleaved between blocks, FINISH once a choice after
 *          its blocks )  USAGE*  END | ERROR
 *
 *   PING may stand anywhere.
 *   USAGE may come at any time and more than once: the last one wins, counters are totals, never
 *   increments.
 *   RECAP events repeat what was said in deltas (a provider that sends the whole at the end):
 *   measure them as nothing.
 *   OPAQUE carries what the model has no word for; same-dialect encoders may replay it, others
 *   leave it out.
 *
 * Events die when the sink returns: their slices point into the frame or the decoder's scratch. */
#ifndef PENSTOCK_DIALECT_EVENT_H
#define PENSTOCK_DIALECT_EVENT_H

#include "base/slice.h"
#include "base/err.h"

enum event_kind {
    EV_START,          /* u.start */
    EV_BLOCK_BEGIN,    /* block, block_kind, choice; tool calls: u.begin */
    EV_DELTA,          /* block, text: decoded bytes of this block; whole code points */
    EV_SIGNATURE,      /* block (reasoning): text = signature or encrypted content, byte-exact */
    /* choice; raw_json: array of token objects of text (block_kind BLOCK_REFUSAL: of refusal);
     * before the DELTA they belong to */
    EV_LOGPROBS,
    EV_ANNOTATION,     /* block; u.annotation; raw_json: the annotation in the origin's words */
    /* block: what follows in it is a further part (of a reasoning's summary). Who has no parts
     * writes a blank line into reasoning, nothing into text */
    EV_PART,
    EV_BLOCK_END,      /* block */
    EV_FINISH,         /* choice; u.finish */
    EV_USAGE,          /* u.usage */
    EV_ERROR,          /* u.error; nothing follows */
    EV_PING,
    EV_OPAQUE,         /* raw_json; of a block, or of the stream: block is BLOCK_NONE */
    EV_END,            /* the dialect's own end mark ("[DONE]", message_stop, response.completed) */
    EV_KIND_COUNT
};
const char *event_kind_name(enum event_kind k);

enum block_kind {
    BLOCK_TEXT,
    BLOCK_REASONING,
    BLOCK_REFUSAL,
    BLOCK_TOOL_CALL,
    BLOCK_CUSTOM_TOOL_CALL,
    BLOCK_FUNCTION_CALL /* legacy */,
    BLOCK_AUDIO,
    BLOCK_REDACTED,
    BLOCK_OPAQUE,
    BLOCK_KIND_COUNT
};
const char *block_kind_name(enum block_kind k);
#define BLOCK_NONE UINT32_MAX

enum event_flag {
    EVF_RECAP = 1 << 0,
    EVF_LAST_IN_FRAME = 1 << 1,
    /* made by us, not said by the upstream (an implied BLOCK_END, an assumed role) */
    EVF_SYNTH = 1 << 2,
    /* a non-empty DELTA, or a tool's BLOCK_BEGIN: what TTFT and the commit point go by */
    EVF_CONTENT = 1 << 3,
    /* The upstream contradicts itself: pieces of the answer were lost, doubled or damaged. Who
     * passes its frames on lets the client judge; who makes others of them must end in an error */
    EVF_BROKEN = 1 << 4
};

/* translation.md 1.1: neutral reasons. `wire` keeps the upstream's own word. */
enum stop_reason {
    STOP_END,
    STOP_SEQUENCE,
    STOP_LENGTH,
    STOP_TOOL,
    STOP_FILTER,
    STOP_PAUSE,
    STOP_ERROR
};
struct finish {
    enum stop_reason reason;
    struct slice wire;            /* "tool_calls" */
    struct slice stop_sequence;   /* when it is told */
    struct slice details;         /* messages: the raw stop_details object; empty when none */
};

struct usage {
    /* Totals; -1: not told. in_total includes cached tokens, out_total reasoning tokens. */
    int64_t in_total, out_total, cache_read, cache_write, reasoning;
    struct slice wire;            /* the upstream's usage object as it came */
};
#define USAGE_NONE                                                                                 \
    ((struct usage){                                                                               \
        .in_total = -1, .out_total = -1, .cache_read = -1, .cache_write = -1, .reasoning = -1})

/* One error, independent of dialect. status is the HTTP status it has or would have had (0: not
 * known). */
struct api_error {
    unsigned status;
    struct slice message, type, code, param;   /* code and param: ptr NULL means JSON null */
    /* the upstream's own error object, when there is one */
    struct slice raw;
    /* ours, for dialects that repeat it in the body (messages); empty: left out */
    struct slice request_id;
};

struct event_start {
    /* name of the dialect that decoded it (static): raw_json, OPAQUE events and usage.wire are in
     * its words; a literal, never freed */
    const char *origin;
    struct slice id, model, role;
    struct slice service_tier;    /* OpenAI's words (translation.md 1.8); empty: not told */
    int64_t created;              /* Unix seconds; -1: not told */
};
struct event_begin {
    struct slice id, name;        /* of a call: its call id, never an item's */
    struct slice name_space;      /* of a call's name; empty: none */
    struct slice item_id;         /* responses: the item's; needed beside a proof; else empty */
    /* a call whose arguments were told at once, as raw JSON (messages: a non-empty `input` in the
     * opening); the decoder emits no DELTA for it */
    struct slice input_json;
    uint32_t wire_index;          /* upstream's own index */
    /* blocks with the same number (not 0) are parts of one item (a responses message) */
    uint32_t group;
    bool is_raw;                  /* REASONING: the thought itself, not a summary of it */
};

enum annotation_kind { ANNOTATION_URL, ANNOTATION_OTHER };
struct annotation {
    enum annotation_kind kind;
    struct slice url, title;
    int64_t start, end;           /* code points in the block's text; -1: not told */
};

struct event {
    enum event_kind kind;
    uint8_t flags;
    uint16_t choice;
    enum block_kind block_kind;   /* of `block`, for every event that has one */
    uint32_t block;
    struct slice text;
    uint64_t block_off;           /* offset of text within the block's decoded text */
    /* DELTA of a JSON string: its token between the quotes, in the frame's data; len 0 and off 0
     * when unknown */
    struct span val;
    struct slice raw_json;
    union {
        struct event_start start;
        struct event_begin begin;
        struct annotation annotation;
        struct finish finish;
        struct usage usage;
        struct api_error error;
    } u;
};

struct event_sink {
    /* non-zero stops the producer, which returns it */
    int (*emit)(void *self, const struct event *ev);
    void *self;
};

#endif
