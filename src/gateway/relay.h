/* SPDX-License-Identifier: Apache-2.0 */
/* One request on its way through the gateway: a client leg (the exchange), an upstream leg (the
 * call), and between them the stream: parser, decoder, edits, meter. Where the legs speak two
 * dialects there is a translation between them (struct translation_leg), and nothing passes as it
 * came.
 *
 * An ordinary stream: relay_begin peeks the body, routes it, splices the upstream's body and starts
 * the call → on_head sees 200 and text/event-stream → every read's bytes go through the parser;
 * each frame is decoded for the meter and appended, untouched, cut or repaired, to the worker's
 * batch → the first event commits the status → at the end of the batch one http_write → [DONE] ends
 * the client's leg, the upstream's leg waits a moment for its last chunk so that its connection can
 * be reused.
 *
 * A translated stream: relay_begin decodes the body, adapts it and encodes it in the upstream's
 * words → every frame's events go through the shaper into the client's encoder, which appends to
 * the worker's batch → the first bytes that it makes commit the status.
 *
 * A failure: the call's on_fail (or a limit, a timeout, a bad frame) is turned into a fault
 * (fault.c). With commit NONE it is an HTTP error, after it a well-formed error event and the end
 * of the body; inside a cut-through frame the connection is aborted.
 *
 * A relay lives until both legs are gone. Entry points hold it by `busy`; nothing frees it inside
 * its own callbacks. */
#ifndef PENSTOCK_GATEWAY_RELAY_H
#define PENSTOCK_GATEWAY_RELAY_H

#include "dialect/translation.h"
#include "gateway/gateway-private.h"
#include "sse/sse.h"

enum attempt_state {
    AT_PICK,      /* nothing sent yet */
    AT_HEAD,      /* connecting, sending, waiting for the answer's head */
    AT_FIRST,     /* head is in, no event yet */
    AT_STREAM,    /* events flow */
    AT_WHOLE,     /* a whole answer or error body is being collected */
    AT_PASS,      /* a whole answer too large to hold is passed on as it comes */
    AT_COLLECT,   /* a stream where a whole answer was asked for */
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

/* What a request needs between two dialects. Lives in an arena of its own, which survives the
 * exchange's: a long stream does not hold its prompt. */
struct translation_leg {
    struct arena *arena;
    struct translation *t;               /* what the answer needs of it */
    struct capabilities caps;
    struct encoder_options options;
    struct buf request;                  /* the upstream's body, until its answer's head is in */
    struct shaper *shaper;
    struct encoder *encoder;             /* of a streamed answer */
};

/* Checks what we say ourselves. */
struct own_check;
/* What state.h keeps of a request until its answer is complete. */
struct state_turn;

struct relay {
    struct relay *prev, *next;           /* worker->relays */
    struct worker *worker;
    struct http_exchange *ex;            /* client leg; NULL when over */
    struct http_call *call;              /* upstream leg; NULL when over */
    const struct upstream *upstream;
    const struct dialect *client;        /* the endpoint's */
    const struct dialect *up;            /* the upstream's; the client's until there is one */
    struct translation_leg *leg;         /* NULL: both are the same */
    struct checker *checker;             /* of the upstream's frames; NULL: off */
    struct own_check *own_check;         /* of translated streams; NULL: off */
    struct answer *answer;               /* AT_COLLECT */
    struct state_turn *turn;             /* state.h's; NULL: nothing is kept */
    const char *upstream_model;          /* NULL: as the client said */
    struct slice body;                   /* the client's; the exchange's */
    struct slice path;                   /* of the upstream's endpoint, behind its base URL */
    unsigned busy;
    uint8_t state;                       /* enum attempt_state */
    uint8_t commit;                      /* enum commit */
    bool stream, include_usage, strip_usage, paused, recorded, admitted;
    bool saw_end, saw_error, in_piece, has_usage;
    /* An endpoint that no dialect knows: nothing is looked at but the model. as_is: nor that, and
     * method and query are the client's. */
    bool passes, as_is;
    bool passes_events;                  /* as_is, and the answer is an event stream */
    bool waits;                          /* for relay_resume */
    bool is_kept;                        /* by the gateway: state.h */
    bool notes_events;                   /* state_note_event sees them; set by state.h */
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

/* A request in the dialect of w->match, body whole. Takes over ex (ex->app). */
void relay_begin(struct worker *w, struct http_exchange *ex);
/* POST /embeddings, /moderations: passed on to the provider of the model. */
void relay_begin_pass(struct worker *w, struct http_exchange *ex);
/* POST /messages/count_tokens: passed on where the provider has it, else estimated. */
void relay_begin_count(struct worker *w, struct http_exchange *ex);
/* Goes on after STATE_WAIT; refused says that state has answered the client meanwhile. */
void relay_resume(struct relay *r, bool refused);
void relay_on_writable(struct relay *r);
void relay_on_cancel(struct relay *r);   /* the client left */
void relay_on_done(struct relay *r);     /* the response is out */
/* The drain's end: an error event for streams, a 503 for those that have no status yet. */
void relay_cut(struct relay *r);

/* ---- parts, for the files of the relay ---- */

/* Before anything is sent: the client gets this error. */
void relay_refuse(struct relay *r, enum fault_id id, const char *code, const char *param,
                  const char *message);
/* The request is at fault: 400. */
void relay_refuse_request(struct relay *r, const struct request_fault *fault);
/* Turns a fault into what the client may still see of it, and stops the upstream. */
void relay_fail(struct relay *r, enum fault_id id, const char *message);
/* Sets the end reason; the first one stays. */
void relay_set_end(struct relay *r, enum end_reason end);
/* Ends the client's leg well; the upstream's gets a moment for its last chunk. */
void relay_complete(struct relay *r, enum end_reason end);
/* A whole JSON answer. */
void relay_respond(struct relay *r, unsigned status, struct slice body);
/* As relay_respond, with advice that is the client's family's: x-should-retry: false. */
void relay_respond_final(struct relay *r, unsigned status, struct slice body);
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

/* relay_upstream.c: request out, answer's head in. env: of r->body, when it is not translated. */
int relay_send(struct relay *r, const struct envelope *env, const char *upstream_model,
               struct err *e) MUST_CHECK;
/* The client's own, from whichever header it came in, without "Bearer "; ptr NULL: none. */
struct slice relay_client_credential(const struct http_headers *h);
/* relay_translate.c */
/* Makes the leg and the upstream's body. False: refused, and answered. */
bool relay_translate(struct relay *r, const char *upstream_model);
/* The same dialect on both sides: proofs of reasoning in envelopes (proof.h) are unwrapped for the
 * family that made them and dropped for others, thoughts without one for Anthropic's, in r->body.
 * False: refused. */
bool relay_readdress_proofs(struct relay *r);
/* One event of the upstream's on its way to the client: 0, or a negative error kind with its text
 * in e. *out_content: something that counts as content went out. */
int relay_translate_event(struct relay *r, const struct event *ev, bool *out_content,
                          struct err *e) MUST_CHECK;
/* What an encoder of ours is to say that the upstream does not. */
struct encoder_options relay_encoder_options(const struct relay *r, struct arena *a);
void relay_leg_free(struct relay *r);
/* relay_check.c: bytes of a translated stream as they leave. */
void relay_check_own_open(struct relay *r);
void relay_check_own_free(struct relay *r);
void relay_check_own(struct relay *r, struct slice bytes);
void relay_check_own_end(struct relay *r);
/* relay_keep.c: the end of a complete answer of responses goes to state.h: one frame, or bytes that
 * hold it. */
void relay_keep_frame(struct relay *r, const struct sse_frame *f);
void relay_keep_frames(struct relay *r, struct slice frames);
/* relay_count.c */
void relay_count_locally(struct relay *r);
/* relay_collect.c: a stream where JSON was asked for. */
void relay_collect_open(struct relay *r);
void relay_collect_bytes(struct relay *r, struct slice bytes);
void relay_collect_end(struct relay *r);
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
/* An error that came with status 200, before anything was sent: an HTTP error. Borrows er. */
void relay_error_in_success(struct relay *r, const struct api_error *er);
/* A copy in a; the event's texts die with it. */
struct api_error relay_keep_error(struct arena *a, const struct api_error *er);
/* Takes what an event says about tokens. */
void relay_note_usage(struct relay *r, const struct usage *u);
/* The largest answer that is kept to be translated or collected. */
size_t relay_transcript_bytes(const struct relay *r);
/* headers.c */
void relay_answer_headers(struct relay *r, struct out_headers *h);
void relay_keep_headers(struct relay *r, const struct http_headers *from);
/* record.c */
void relay_record(struct relay *r);

#endif
