/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the shaper share.
 *
 * A lane is one block of the upstream's on its way to the client. It waits while it has nothing to
 * show (a text without text, a call without a name), then for its turn, then it is open at the
 * client, then closed; it stays known until the upstream ends it, too.
 *
 *   IDLE ──ready──▶ WAITING ──slot is free──▶ OPEN ──▶ CLOSED
 *
 * Where the client's dialect is sequential there is one slot: it is freed when the upstream ends
 * the block, or, for a call, when its arguments are complete and another lane waits. Elsewhere
 * there is a slot for each. Content that comes for a lane that is not open is kept in its queue;
 * ready lanes take the slot in the order in which they became ready. */
#ifndef PENSTOCK_DIALECT_SHAPE_PRIVATE_H
#define PENSTOCK_DIALECT_SHAPE_PRIVATE_H

#include "dialect/proof.h"
#include "dialect/translation.h"

#define LANES_MAX 1024
#define CHOICES_MAX 128
#define CALLS_MAX 128

enum client { CLIENT_CHAT, CLIENT_COMPLETIONS, CLIENT_RESPONSES, CLIENT_MESSAGES };

/* ---- arguments (shape_tool.c) ---- */

/* Follows JSON text byte by byte, from its first byte to the end of its first value, an object. */
struct json_track {
    uint32_t depth;
    bool is_begun, in_string, is_escaped, is_complete;
};
/* Bytes that belong to the object; the rest is behind its end. The first must be a '{'. */
size_t json_track_feed(struct json_track *j, struct slice text);

/* ---- stops (shape_stop.c) ---- */

struct stop_set {
    const struct slice *stops;
    unsigned n;
    uint64_t first[4];               /* a bit a first byte */
};
enum stop_verdict { STOP_SCAN_CLEAR, STOP_SCAN_HOLD, STOP_SCAN_MATCH };
void stop_set_init(struct stop_set *set, const struct slice *stops, unsigned n);
/* CLEAR: all of text is free (*out_at is its length). HOLD: what is from *out_at on may become a
 * stop. MATCH: a stop begins at *out_at. is_end: nothing follows, nothing is held. */
enum stop_verdict stop_scan(const struct stop_set *set, struct slice text, bool is_end,
                            size_t *out_at, struct slice *out_stop);

/* ---- lanes ---- */

enum lane_state { LANE_FREE, LANE_IDLE, LANE_WAITING, LANE_OPEN, LANE_CLOSED };
enum lane_mode {
    LANE_PASS,                       /* deltas as they come */
    LANE_STOPS,                      /* text that stops are looked for in */
    LANE_ARGS,                       /* arguments: blanks around them trimmed, their end known */
    LANE_WHOLE                       /* collected, and changed at the end */
};
enum lane_form {
    FORM_AS_IS,
    FORM_INPUT_TO_JSON,              /* a custom call's input becomes {"input":…} */
    FORM_JSON_TO_INPUT,              /* and back */
    FORM_VALUE_TO_JSON               /* arguments that are no object, in one (translation.md 1.7) */
};
/* The strings of BLOCK_BEGIN, one behind the other in lane.names. */
enum lane_string { LANE_ID, LANE_NAME, LANE_SPACE, LANE_ITEM, LANE_INPUT, LANE_RAW, LANE_STRINGS };
struct lane {
    enum lane_state state;
    enum lane_mode mode;
    enum lane_form form;
    enum block_kind kind_in, kind;   /* the upstream's; the client's */
    uint32_t block_in, block;
    uint16_t choice;
    uint8_t begin_flags;
    bool is_tool;                    /* kind_in is a call's */
    bool is_hidden_tool;             /* the structured-output tool: shown as text */
    bool is_nameless;
    bool is_suspended;               /* text, until it is known whether the hidden tool is called */
    bool is_ended;                   /* by the upstream */
    bool has_content;                /* something but blanks was said */
    bool is_raw;
    uint32_t wire_index, group;      /* of BLOCK_BEGIN */
    struct json_track track;
    uint64_t order;                  /* of coming, then of becoming ready */
    uint64_t off;                    /* bytes given in DELTAs */
    size_t lens[LANE_STRINGS];
    struct buf names;
    struct buf queue;                /* records of what came before it was open */
    size_t last_delta;               /* in queue, where the last record is a DELTA; else SIZE_MAX */
    struct buf hold;                 /* stops' tail; arguments that are collected; a proof */
};

struct choice_state {
    bool is_finished, any_tool, any_refusal;
    bool has_cut_call;               /* a call whose arguments were not complete at its end */
    unsigned n_calls;
};

struct shaper {
    const struct translation *t;
    enum client client;
    bool is_sequential, is_native;   /* native: the upstream speaks the client's dialect */
    bool is_over, has_start, json_tool_seen;
    enum { PROOFS_PASS, PROOFS_WRAP, PROOFS_DROP } proofs;
    struct stop_set stops;
    size_t max_held_bytes, held_bytes;
    uint64_t seed;                   /* of ids that are missing: from START */
    uint64_t next_order;
    uint32_t next_block;
    struct buf model;
    struct lane *lanes;
    unsigned n_lanes, last_lane;     /* places in use; where the last event's was */
    int current;                     /* place of the lane that has the one slot; -1 */
    struct choice_state *choices;
    unsigned n_choices;
    struct buf logprobs;             /* that came before their block */
    enum block_kind logprobs_kind;
    uint16_t logprobs_choice;
    int failed;                      /* sticky */
    /* of the call under way */
    const struct event_sink *sink;
    struct err *e;
};
static inline struct slice lane_string(const struct lane *l, enum lane_string which) {
    size_t off = 0;
    for (int i = 0; i < (int)which; i++) off += l->lens[i];
    return slice_sub(buf_slice(&l->names), off, l->lens[which]);
}
static inline bool shape_is_blank(struct slice text) {
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c != ' ' && c != '\n' && c != '\t' && c != '\r') return false;
    }
    return true;
}

/* All below return 0, what the sink returned, or an error: the shaper's. */
int shape_emit(struct shaper *s, const struct event *ev);
/* A DELTA of the lane's; nothing when text is empty. */
int shape_emit_text(struct shaper *s, struct lane *l, struct slice text);
/* Appends, counted against max_held_bytes. */
int shape_hold(struct shaper *s, struct buf *b, struct slice bytes);
void shape_release(struct shaper *s, struct buf *b);

/* ---- calls (shape_tool.c) ---- */

/* Settles kind, mode and form of a call's new lane, and in *begin what the client knows the call
 * by. made: storage for an id. */
#define MADE_ID_BYTES 32
void shape_tool_begin(struct shaper *s, struct lane *l, struct event_begin *begin,
                      char made[MADE_ID_BYTES]);
/* Arguments of an open lane in mode ARGS. */
int shape_tool_args(struct shaper *s, struct lane *l, struct slice text);
/* Arguments for a call that is closed at the client. */
int shape_tool_late(struct shaper *s, const struct lane *l, struct slice text);
/* What remains to be said of an open call before it ends. */
int shape_tool_end(struct shaper *s, struct lane *l);

/* ---- text with stops (shape_stop.c) ---- */

int shape_stop_text(struct shaper *s, struct lane *l, struct slice text);
int shape_stop_end(struct shaper *s, struct lane *l);
/* shape.c: a stop was met in the lane: the answer is over. */
int shape_stopped(struct shaper *s, struct lane *l, struct slice stop);

#endif
