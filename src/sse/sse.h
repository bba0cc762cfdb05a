/* SPDX-License-Identifier: Apache-2.0 */
/* Server-sent events: parser and writer. Rules: WHATWG HTML "Server-sent events"; what real clients
 * tolerate: the comments of sse.c.
 *
 * The parser turns bytes into frames and keeps every byte: the concatenation of the `raw` of all
 * frames is the input, whatever the split. A frame is
 *   - an event: its lines up to and including the empty line (SSE_EVENT), or
 *   - a comment line that stands before any field line of an event, alone (SSE_COMMENT): it leaves
 *     at once, it may be a heartbeat, or
 *   - an empty line that ends nothing, or the LF of a CR LF pair that was cut after its CR
 *     (SSE_BLANK), or
 *   - a piece of an event above cut_through_bytes (SSE_PIECE).
 * A frame is emitted in the call that brings its last byte. A CR ends its line at once; a following
 * LF belongs to it. Whether a frame is flagged SSE_LONE_CR depends only on CRs before its
 * terminating one, so that flags do not depend on the split.
 *
 * Plain struct: no I/O, no clock; one thread; allocates only to carry an event over a read. */
#ifndef PENSTOCK_SSE_SSE_H
#define PENSTOCK_SSE_SSE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

enum sse_flag {
    SSE_EVENT = 1 << 0, /* an event block (it dispatches only if it has SSE_DATA) */
    SSE_COMMENT = 1 << 1,
    SSE_BLANK = 1 << 2,
    SSE_PIECE = 1 << 3, /* cut-through: raw is a part; data and name are empty */
    SSE_PIECE_LAST = 1 << 4,
    /* at least one data line: WHATWG dispatches it, also when the data is "" */
    SSE_DATA = 1 << 5,
    /* several data lines: `data` was joined with LF in the parser's scratch, it is not in raw */
    SSE_MULTILINE = 1 << 6,
    SSE_NAME = 1 << 7,  /* has a non-empty event name */
    SSE_ID = 1 << 8,    /* an id: line */
    SSE_RETRY = 1 << 9, /* a retry: line */
    SSE_LONE_CR = 1 << 10,
    /* raw starts with a BOM; data and name are without that of the stream's start, a later one is
     * text */
    SSE_BOM = 1 << 11,
    /* raw holds ill-formed UTF-8: data and name, which are not in raw then, have U+FFFD in its
     * place, as every reader of event streams has */
    SSE_BAD_UTF8 = 1 << 12,
    /* the stream ended before the empty line; raw ends where the bytes ended */
    SSE_UNTERMINATED = 1 << 13,
    /* with BLANK: the LF of the CR LF that ended the frame before. It goes where that frame went:
     * out when its raw went out, nowhere when it was dropped or rewritten */
    SSE_TAIL = 1 << 14,
    SSE_ORPHAN = 1 << 15 /* with TAIL: sse_frame_verdict of the frame before was not SSE_PASS */
};
/* Forms that break official SDKs; a frame with any of these is rewritten by sse_write_repaired, or
 * dropped if it does not dispatch. An event with empty data or without data breaks them, too: see
 * sse_frame_verdict. */
#define SSE_REPAIR_MASK                                                                            \
    (SSE_ID | SSE_RETRY | SSE_LONE_CR | SSE_BOM | SSE_BAD_UTF8 | SSE_UNTERMINATED)

/* Slices point into the fed bytes or the parser's storage and die when the callback returns. */
struct sse_frame {
    struct slice raw;
    struct slice data;          /* joined; the trailing LF removed */
    struct slice name;          /* last event: value */
    struct slice last_event_id; /* the id buffer after this frame */
    /* offset of data in raw; meaningful unless MULTILINE, BAD_UTF8 or without DATA */
    uint32_t data_off;
    uint32_t flags;
};

struct sse_sink {
    /* Non-zero stops the parser: sse_parser_feed returns it at once and the parser is dead. Must
     * not feed or dispose this parser. */
    int (*frame)(void *self, const struct sse_frame *f);
    void *self;
};

struct sse_options {
    size_t max_event_bytes;     /* default 16 MiB (0), at most 1 GiB; more is -ERR_LIMIT */
    size_t cut_through_bytes;   /* 0: never */
};

enum sse_state { SSE_IN_STREAM, SSE_IN_PIECE, SSE_FINISHED, SSE_FAILED };

struct sse_parser {
    struct sse_options options;
    enum sse_state state;
    int failure;
    struct buf carry;           /* bytes of the open frame from earlier reads */
    struct buf joined;          /* MULTILINE data */
    struct buf id;
    /* how far the open frame's bytes have been searched for line ends: no byte is searched twice */
    size_t scanned;
    uint32_t line_off;          /* where in the open frame the current line starts */
    uint32_t n_lines;           /* complete lines of the open frame */
    /* where the first of them end, so that the usual event is searched once */
    uint32_t line_ends[4];
    bool skip_lf, at_start, has_field, non_ascii, lone_cr;
    bool piece_line_open;       /* IN_PIECE: the current line has bytes */
    bool last_passed;           /* the verdict of the last frame was SSE_PASS */
    uint32_t reconnect_ms;      /* last valid retry: value */
    uint64_t frames;
};

void sse_parser_init(struct sse_parser *p, const struct sse_options *o);   /* o NULL: defaults */
/* Any split is valid. 0, -ERR_LIMIT with the text in e, or what the sink returned. After a failure
 * every later call returns it again. */
int sse_parser_feed(struct sse_parser *p, struct slice bytes, const struct sse_sink *sink,
                    struct err *e) MUST_CHECK;
/* End of input. What is open is emitted flagged UNTERMINATED: an event (WHATWG would discard it;
 * several providers forget the last empty line), a comment, a lone BOM. An open piece is ended by
 * an empty PIECE_LAST | UNTERMINATED: what went out of it cannot be made whole. */
int sse_parser_finish(struct sse_parser *p, const struct sse_sink *sink, struct err *e) MUST_CHECK;
/* True when nothing is open: the stream stands at a frame border. Heartbeats may be put in only
 * then. */
bool sse_parser_at_border(const struct sse_parser *p);
/* Storage held, for accounting. */
size_t sse_parser_held_bytes(const struct sse_parser *p);
void sse_parser_dispose(struct sse_parser *p);

/* What a gateway should do with a frame for a client that uses an OpenAI SDK. */
enum sse_verdict {
    SSE_PASS,   /* raw, byte for byte */
    SSE_REPAIR, /* sse_write_repaired */
    /* it would break or confuse SDKs and means nothing: no data, blank data, retry only; comments
     * and blanks of the mask */
    SSE_DROP
};
enum sse_verdict sse_frame_verdict(const struct sse_frame *f);

/* Writers: canonical form (one LF, one space, one data line a line of data, empty line), name
 * omitted when empty. 0 or -ERR_LIMIT. */
int sse_write(struct buf *out, struct slice name, struct slice data) MUST_CHECK;
/* Like sse_write with the frame's own name and data; "[DONE]" with blanks around it loses them. To
 * write other data in its place, give a copy of the frame with that data. */
int sse_write_repaired(struct buf *out, const struct sse_frame *f) MUST_CHECK;
/* Appends bytes as text: U+FFFD for each ill-formed sequence. At most three times as long. 0 or
 * -ERR_LIMIT. */
int sse_decode_utf8(struct buf *out, struct slice bytes) MUST_CHECK;
#define SSE_HEARTBEAT SLICE(": keep-alive\n\n")

#endif
