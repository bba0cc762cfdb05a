/* SPDX-License-Identifier: Apache-2.0 */
/* One request on its way through the gateway: a client leg (the exchange), an upstream leg (the
 * call), and between them the stream: parser, decoder, edits, meter.
 *
 * An ordinary stream: relay_begin peeks the body, routes it, splices the upstream's body and starts
 * the call → on_head sees 200 and text/event-stream → every read's bytes go through the parser;
 * each frame is decoded for the meter and appended, untouched, cut or repaired, to the worker's
 * batch → the first event commits the status → at the end of the batch one http_write → [DONE] ends
 * the client's leg, the upstream's leg waits a moment for its last chunk so that its connection can
 * be reused.
 *
 * A failure: the call's on_fail (or a limit, a timeout, a bad frame) is turned into a fault
 * (fault.c). With commit NONE it is an HTTP error, after it a well-formed error event and the end
 * of the body; inside a cut-through frame the connection is aborted.
 *
 * A relay lives until both legs are gone. Entry points hold it by `busy`; nothing frees it inside
 * its own callbacks. */
#ifndef PENSTOCK_GATEWAY_RELAY_H
#define PENSTOCK_GATEWAY_RELAY_H

#include "gateway/gateway-private.h"
#include "sse/sse.h"

enum attempt_state {
    AT_PICK,      /* nothing sent yet */
    AT_HEAD,      /* connecting, sending, waiting for the answer's head */
    AT_FIRST,     /* head is in, no event yet */
    AT_STREAM,    /* events flow */
    AT_WHOLE,     /* a whole answer or error body is being collected */
    AT_PASS,      /* a whole answer too large to hold is passed on as it comes */
    AT_TAIL,      /* the answer is over for the client; the upstream may finish its framing */
    AT_DRAIN,     /* the client is gone; the upstream is read for its usage */
    AT_DONE, AT_FAILED, AT_CANCELLED
};
enum commit { COMMIT_NONE, COMMIT_STATUS, COMMIT_CONTENT, COMMIT_END, COMMIT_ABORTED };

/* How long an upstream may stay silent after the last choice's finish before the stream is ended
 * without its end mark. */
#define FINISH_GRACE_NS (5 * NS_PER_S)

#define REQUEST_ID_BYTES 64
#define MODEL_BYTES 64

/* Where JSON that passes unseen stands: whole only outside of all brackets. */
struct json_place {
    uint32_t depth;
    bool in_string, is_escaped;
};

struct relay {
    struct relay *prev, *next;           /* worker->relays */
    struct worker *worker;
    struct http_exchange *ex;            /* client leg; NULL when over */
    struct http_call *call;              /* upstream leg; NULL when over */
    const struct upstream *upstream;
    unsigned busy;
    uint8_t state;                       /* enum attempt_state */
    uint8_t commit;                      /* enum commit */
    bool stream, include_usage, strip_usage, paused, recorded, admitted;
    bool saw_end, saw_error, in_piece, has_usage;
    /* the last frame went out in other bytes, or not: nor does the LF of its last CR LF */
    bool tail_is_lost;
    uint8_t n_choices, n_finished;       /* asked for, and with their finish */
    int8_t end;                          /* enum end_reason, -1 while open */
    unsigned status;                     /* sent to the client, 0 before */
    unsigned upstream_status;
    int64_t answer_length;               /* the upstream's Content-Length, -1: not told */
    struct timer timer;                  /* hold, then heartbeat; tail; drain */
    int64_t ready_ns, start_ns, first_content_ns, last_content_ns, last_out_ns;
    /* once only the end is owed: the last frames, or when the upstream was read again after a pause
     * */
    int64_t last_in_ns;
    uint64_t frames, content_frames, drained_bytes;
    struct sse_parser parser;
    struct decoder *decoder;
    /* AT_WHOLE: the body so far; AT_FIRST: comments before the first event */
    struct buf held;
    struct json_place place;             /* AT_PASS without a length: a close may be a cut */
    struct usage usage;                  /* .wire is not kept */
    struct out_headers
        *upstream_headers; /* kept from the answer's head until commit; in the exchange's arena */
    char request_id[REQUEST_ID_BYTES];
    char model[MODEL_BYTES];             /* as the client said, cut */
};

/* POST /v1/chat/completions, body whole. Takes over ex (ex->app). */
void relay_begin(struct worker *w, struct http_exchange *ex);
void relay_on_writable(struct relay *r);
void relay_on_cancel(struct relay *r);   /* the client left */
void relay_on_done(struct relay *r);     /* the response is out */
/* The drain's end: an error event for streams, a 503 for those that have no status yet. */
void relay_cut(struct relay *r);

/* ---- parts, for the files of the relay ---- */

/* Turns a fault into what the client may still see of it, and stops the upstream. */
void relay_fail(struct relay *r, enum fault_id id, const char *message);
/* Sets the end reason; the first one stays. */
void relay_set_end(struct relay *r, enum end_reason end);
/* Ends the client's leg well; the upstream's gets a moment for its last chunk. */
void relay_complete(struct relay *r, enum end_reason end);
/* A whole JSON answer. */
void relay_respond(struct relay *r, unsigned status, struct slice body);
extern const struct http_call_callbacks relay_call_callbacks;
/* Stops the upstream leg at once. */
void relay_stop_call(struct relay *r);
/* Ends the client's leg well. */
void relay_end_client(struct relay *r);
/* To the client; what it does not take at once stops the upstream's reading. */
void relay_write(struct relay *r, const struct slice *pieces, unsigned n_pieces);
/* Writes the batch. */
void relay_flush(struct relay *r);
/* All choices have their finish, or an error event has come: only the end is owed. */
static inline bool relay_is_ending(const struct relay *r) {
    return r->saw_error || r->n_finished >= r->n_choices;
}
void relay_arm(struct relay *r, int64_t deadline_ns);

/* relay_upstream.c: request out, answer's head in. */
int relay_send(struct relay *r, const struct envelope *env, const char *upstream_model,
               struct err *e) MUST_CHECK;
/* relay_stream.c */
int relay_stream_open(struct relay *r);
void relay_stream_bytes(struct relay *r, struct slice bytes);
void relay_stream_end(struct relay *r);               /* upstream's body ended orderly */
void relay_commit_status(struct relay *r);            /* 200 and its headers, held comments */
/* a comment to the client, unless it is busy with other bytes */
void relay_heartbeat(struct relay *r);
/* relay_whole.c */
void relay_whole_bytes(struct relay *r, struct slice bytes);
void relay_whole_batch_end(struct relay *r);
void relay_whole_end(struct relay *r);
/* Whether an upstream's error text quotes the gateway's own credential. */
bool relay_holds_key(const struct relay *r, struct slice text);
/* An error as the stream's first event, before anything was sent: an HTTP error. status 0: not
 * told. */
void relay_first_error(struct relay *r, unsigned status, const char *message);
/* headers.c */
void relay_answer_headers(struct relay *r, struct out_headers *h);
void relay_keep_headers(struct relay *r, const struct http_headers *from);
/* record.c */
void relay_record(struct relay *r);

#endif
