/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the wire: how its files call one another.
 *
 *   wire.c         one response: heads, HTTP framing, ends, time
 *   wire_frame.c   frames in → frames out: what is in them, which there are
 *   wire_form.c    a frame → bytes: how it is spelt
 *   wire_whole.c   the same for an answer in one piece
 *   wire_bytes.c   bytes → writes
 *
 *   frames ─▶ wire_frame_take ─▶ wire_form_put ─▶ body ─▶ gzip ─▶ chunks ─▶ ready ─▶ writes
 *
 * A fault strikes once, or from some place on (has_struck). */
#ifndef PENSTOCK_MOCK_WIRE_PRIVATE_H
#define PENSTOCK_MOCK_WIRE_PRIVATE_H

#include <zlib.h>

#include "mock/wire.h"

/* What happens when all that is ready has gone. */
enum wire_end {
    WIRE_GOES_ON,
    WIRE_WELL,         /* the body's end, and the next request */
    WIRE_FIN,          /* the connection ends in the middle of the body */
    WIRE_RST,
    WIRE_DROP,         /* FIN, and TLS says no goodbye */
    WIRE_HANG          /* nothing more, until the client leaves */
};

enum wire_framing { WIRE_CHUNKED, WIRE_LENGTH, WIRE_UNTIL_CLOSE };

/* What a frame says, by the kinds of the events it decodes to. */
#define WIRE_HAS(kind) (1u << (kind))

struct wire {
    struct wire_options o;
    struct fault_use use;
    enum fault_kind kind;
    char request_id[64];
    struct rng rng;

    /* frames */
    struct sse_parser parser;
    struct decoder *decoder;
    unsigned facts;                  /* of the frame at hand: WIRE_HAS bits */
    bool says_text, says_call;       /* it has a piece of a text, of a call's arguments */
    uint32_t block;                  /* whose piece that is */
    uint64_t tokens;                 /* frames with a piece of the answer, so far */
    struct buf held;                 /* a frame that waits for the next one */
    size_t held_piece_len;           /* cut-arguments: of what is held */
    uint32_t held_block;
    bool held_is_call;
    struct buf scratch;              /* a frame that is changed */
    uint64_t put_in;                 /* events that were not there */
    struct buf numbered;             /* a frame with another number */
    bool has_struck, is_deaf;        /* deaf: what comes now goes nowhere */
    bool at_start;                   /* of the body */
    bool is_counted;                 /* as struck */
    uint64_t events, events_out;     /* spelt; written (merge) */

    /* bytes */
    struct buf body;                 /* behind the forms, before HTTP's framing */
    struct buf ready;                /* as it goes out; from ready_at on */
    size_t ready_at;
    uint64_t pause_at;               /* offset in ready: what is behind it waits; SIZE_MAX: none */
    int64_t pause_ns;
    int64_t gate_ns;                 /* nothing goes before */
    enum wire_framing framing;
    z_stream zip;
    bool has_zip;
    bool is_half;                    /* split-utf8: the rest of a write comes next */

    /* life */
    struct timer timer;
    bool is_mute;                    /* not even a head is sent */
    bool is_whole, is_blocked, host_waits, host_ended, is_end_framed;
    bool is_said;                    /* the host has ended the answer */
    bool was_cut;                    /* by a strike, before that */
    enum wire_end end;
    int64_t end_pause_ns;
};

static inline int64_t wire_value(const struct wire *w, enum fault_key key) {
    return w->use.values[key];
}
/* The moment of the fault: counts it. */
void wire_strike(struct wire *w);
/* Appends; a response that outgrows all bounds ends by a reset. */
void wire_append(struct wire *w, struct buf *to, struct slice bytes);
/* What is in the body goes to ready now: what follows is another chunk. */
void wire_seal(struct wire *w);
/* Everything behind here waits. */
void wire_pause_here(struct wire *w, int64_t ns);
/* Nothing of what the answer has left is said; then the end. */
void wire_finish_with(struct wire *w, enum wire_end end);

/* wire_frame.c */
void wire_frame_take(struct wire *w, const struct sse_frame *f);
void wire_frame_over(struct wire *w);              /* the last frame has come */
/* The place of the fault: behind so many pieces, or before the finish of an answer that has
 * fewer. */
bool wire_is_reached(const struct wire *w);
void wire_frame_dispose(struct wire *w);

/* wire_form.c: appends to the body */
void wire_form_put(struct wire *w, struct slice name, struct slice data);
void wire_form_put_raw(struct wire *w, struct slice raw);

/* wire_whole.c: the body becomes what goes out, and may end in another way than well. Returns the
 * length to announce. status is in and out. */
size_t wire_whole_take(struct wire *w, struct slice body, unsigned *status);

/* wire_bytes.c: how much of rest leaves in the next write (> 0), and how long after it the next */
size_t wire_bytes_next(struct wire *w, struct slice rest, int64_t *out_gap_ns);

#endif
