/* SPDX-License-Identifier: Apache-2.0 */
/* The stream: upstream's bytes → frames → meter and edits, or translation → the worker's batch. Of
 * one dialect per frame: no copy but the one into the batch, no allocation. */
#include "gateway/state.h"

/* Comments that may wait for the first event; a provider that sends more keep-alives than this
 * before its first event gets its status committed. */
#define HELD_COMMENT_BYTES 4096
#define MAX_CUTS 4

static struct meter_provider *counters(struct relay *r) {
    return &r->worker->meter->providers[r->upstream->index];
}

/* A frame that must be edited, translated or checked has to be whole, and so must be the frame that
 * ends the stream: where it repeats the answer, it may be as large as that. */
static bool may_cut_through(const struct relay *r) {
    return !r->strip_usage && !r->leg && !r->checker && r->up->end_mark.len > 0;
}

int relay_stream_open(struct relay *r) {
    const struct config *c = r->worker->gateway->config;
    if (c->check_order && r->up->checker_new)
        r->checker = r->up->checker_new();
    struct sse_options o = {
        .max_event_bytes = c->limits.event_bytes,
        .cut_through_bytes = may_cut_through(r) ? c->limits.cut_through_bytes : 0,
    };
    sse_parser_init(&r->parser, &o);
    r->decoder = r->up->decoder_new();
    return 0;
}

/* ---- meter ---- */

static void on_content(struct relay *r) {
    int64_t now_ns = loop_now_ns(r->worker->loop);
    struct meter_provider *p = counters(r);
    if (r->first_content_ns == 0) {
        r->first_content_ns = now_ns;
        hist_record(&p->ttft_ns, now_ns - r->ready_ns);
    } else {
        hist_record(&p->itl_ns, now_ns - r->last_content_ns);
    }
    r->last_content_ns = now_ns;
    r->content_frames++;
}

struct frame_facts {
    struct relay *relay;
    bool content, error;
    bool is_withheld;                    /* a translated error that quotes the gateway's own key */
    struct api_error first_error;        /* before anything was sent; in the exchange's arena */
    int failure;                         /* of the translation, its text in e */
    struct err e;
};

static bool is_uncommitted(const struct relay *r) {
    return r->state == AT_FIRST && r->commit == COMMIT_NONE;
}

static void note_error(struct frame_facts *facts, const struct api_error *er) {
    facts->error = true;
    if (facts->relay->ex && is_uncommitted(facts->relay))
        facts->first_error = relay_keep_error(facts->relay->ex->arena, er);
}

void relay_note_usage(struct relay *r, const struct usage *u) {
    r->usage = *u;
    r->usage.wire = SLICE_NULL;
    r->has_usage = true;
}

/* What every event means to the relay, whoever gets it. */
static inline void note_event(struct frame_facts *facts, const struct event *ev) {
    struct relay *r = facts->relay;
    if (ev->flags & EVF_BROKEN)
        meter_add(&counters(r)->order_broken, 1);
    switch (ev->kind) {
    case EV_USAGE:
        relay_note_usage(r, &ev->u.usage);
        break;
    case EV_FINISH:
        r->n_finished++;
        break;
    case EV_END:
        r->saw_end = true;
        break;
    case EV_ERROR:
        note_error(facts, &ev->u.error);
        break;
    case EV_START:
    case EV_BLOCK_BEGIN:
    case EV_DELTA:
    case EV_SIGNATURE:
    case EV_LOGPROBS:
    case EV_ANNOTATION:
    case EV_PART:
    case EV_BLOCK_END: case EV_PING: case EV_OPAQUE: case EV_KIND_COUNT:
        break;
    }
}

static int on_event(void *self, const struct event *ev) {
    struct frame_facts *facts = self;
    if ((ev->flags & (EVF_CONTENT | EVF_RECAP)) == EVF_CONTENT)
        facts->content = true;
    note_event(facts, ev);
    return 0;
}

static bool quotes_key(const struct relay *r, const struct api_error *er) {
    return relay_holds_key(r, er->message) || relay_holds_key(r, er->type) ||
           relay_holds_key(r, er->code) || relay_holds_key(r, er->param) ||
           relay_holds_key(r, er->raw);
}

/* Content is what leaves for the client: the shaper may hold it back for a while. */
static int on_translated_event(void *self, const struct event *ev) {
    struct frame_facts *facts = self;
    struct relay *r = facts->relay;
    note_event(facts, ev);
    if (r->notes_events)
        state_note_event(r, ev);
    if (!r->ex || (ev->kind == EV_ERROR && is_uncommitted(r)))
        return 0;
    if (ev->kind == EV_ERROR && quotes_key(r, &ev->u.error)) {
        facts->is_withheld = true;
        return 0;
    }
    facts->failure = relay_translate_event(r, ev, &facts->content, &facts->e);
    return facts->failure;
}

/* ---- commit ---- */

void relay_commit_status(struct relay *r) {
    struct out_headers h;
    relay_answer_headers(r, &h);
    out_headers_add(&h, SLICE("content-type"), SLICE("text/event-stream; charset=utf-8"));
    out_headers_add(&h, SLICE("cache-control"), SLICE("no-cache, no-transform"));
    out_headers_add(&h, SLICE("x-accel-buffering"), SLICE("no"));
    r->commit = COMMIT_STATUS;
    r->status = 200;
    r->last_out_ns = loop_now_ns(r->worker->loop);
    http_start(r->ex, &(struct http_response){200, h.items, h.count}, -1);
}

/* The client's not taking it at once is no reason to stop the upstream, whose deadlines would then
 * begin anew with each heartbeat. */
void relay_heartbeat(struct relay *r) {
    if (!r->ex || r->paused || r->in_piece || http_queued_bytes(r->ex))
        return;
    if (r->commit == COMMIT_NONE)
        relay_commit_status(r);
    bool has_comments = r->state == AT_FIRST;
    struct slice pieces[] = {has_comments ? buf_slice(&r->held) : SLICE_NULL, r->client->heartbeat};
    r->last_out_ns = loop_now_ns(r->worker->loop);
    if (http_write(r->ex, pieces, 2) >= 0 && has_comments)
        buf_reset(&r->held);
}

/* From the first event on the request is not needed any more: a long stream should not hold its
 * prompt. */
static int commit_first_event(struct relay *r) {
    if (r->commit == COMMIT_NONE)
        relay_commit_status(r);
    r->upstream_headers = NULL;
    http_exchange_drop_request(r->ex);
    int rc = buf_append(&r->worker->out, buf_slice(&r->held));
    buf_dispose(&r->held);
    r->state = AT_STREAM;
    const struct config *c = r->worker->gateway->config;
    if (c->timeouts.heartbeat_ns)
        relay_arm(r, loop_now_ns(r->worker->loop) + c->timeouts.heartbeat_ns);
    return rc;
}

/* ---- frames ---- */

/* Deletes spans of data and writes the frame anew around it: only data's bytes are changed when the
 * frame is otherwise fit to pass. */
static int append_cut(struct relay *r, const struct sse_frame *f, const struct span *cuts,
                      unsigned n, bool in_place) {
    struct buf *out = &r->worker->out, *edit = &r->worker->edit;
    struct buf *to = in_place ? out : edit;
    size_t from = 0, base = in_place ? f->data_off : 0;
    struct slice whole = in_place ? f->raw : f->data;
    buf_reset(edit);
    for (unsigned i = 0; i < n; i++) {
        size_t at = base + cuts[i].off;
        if (buf_append(to, slice_sub(whole, from, at - from)) < 0)
            return -ERR_LIMIT;
        from = at + cuts[i].len;
    }
    if (buf_append(to, slice_from(whole, from)) < 0)
        return -ERR_LIMIT;
    if (in_place)
        return 0;
    struct sse_frame edited = *f;
    edited.data = buf_slice(edit);
    return sse_write_repaired(out, &edited);
}

/* As it came. The stream's last frame ends here, wherever its CR LF was cut. */
static int append_raw(struct relay *r, const struct sse_frame *f) {
    struct buf *out = &r->worker->out;
    int rc = buf_append(out, f->raw);
    bool is_cut = r->saw_end && f->raw.ptr[f->raw.len - 1] == '\r';
    return rc == 0 && is_cut ? buf_append_byte(out, '\n') : rc;
}

static int append_frame(struct relay *r, const struct sse_frame *f, enum sse_verdict verdict) {
    struct span cuts[MAX_CUTS];
    unsigned n_cuts = 0;
    enum frame_edit edit = FRAME_AS_IS;
    if (r->strip_usage)
        edit = r->up->strip_usage(r->decoder, f, cuts, MAX_CUTS, &n_cuts);
    bool in_place = verdict == SSE_PASS && !(f->flags & SSE_MULTILINE);
    r->tail_is_lost = edit == FRAME_DROP || (edit == FRAME_CUT && !in_place);
    if (edit == FRAME_DROP) {
        /* if this was the first frame: nothing else takes the head along */
        http_flush_head(r->ex);
        return 0;
    }
    if (verdict == SSE_REPAIR)
        meter_add(&counters(r)->frames_repaired, 1);
    if (edit == FRAME_CUT)
        return append_cut(r, f, cuts, n_cuts, in_place);
    if (verdict == SSE_REPAIR)
        return sse_write_repaired(&r->worker->out, f);
    return append_raw(r, f);
}

static int on_comment(struct relay *r, const struct sse_frame *f) {
    if (!r->ex || r->leg)
        return 0;
    if (f->flags & SSE_TAIL) {
        if (r->tail_is_lost || sse_frame_verdict(f) == SSE_DROP)
            return 0;
    } else if (sse_frame_verdict(f) == SSE_DROP) {
        meter_add(&counters(r)->frames_dropped, 1);
        return 0;
    }
    if (r->commit != COMMIT_NONE)
        return buf_append(&r->worker->out, f->raw);
    if (r->held.len + f->raw.len <= HELD_COMMENT_BYTES)
        return buf_append(&r->held, f->raw);
    relay_commit_status(r);
    int rc = buf_append(&r->worker->out, buf_slice(&r->held));
    buf_reset(&r->held);
    return rc ? rc : buf_append(&r->worker->out, f->raw);
}

static int on_piece(struct relay *r, const struct sse_frame *f) {
    if (!r->in_piece) {
        meter_add(&counters(r)->frames_cut_through, 1);
        if (r->ex)
            on_content(r);
    }
    r->in_piece = !(f->flags & SSE_PIECE_LAST);
    if (!r->ex)
        return 0;
    if (r->state == AT_FIRST && commit_first_event(r) < 0)
        return -ERR_LIMIT;
    return buf_append(&r->worker->out, f->raw);
}

/* An error as the very first event still gets its HTTP status; -ERR_CLOSED stops the parser. */
static int on_first_error(struct relay *r, const struct frame_facts *facts) {
    relay_stop_call(r);
    relay_error_in_success(r, &facts->first_error);
    return -ERR_CLOSED;
}

static int fail_frame(struct relay *r, enum fault_id id, const char *message) {
    relay_fail(r, id, message);
    return -ERR_CLOSED;
}

static int withhold(struct relay *r) {
    r->saw_error = false;                /* ours takes its place */
    return fail_frame(r, FAULT_UPSTREAM_PROTOCOL,
                      "The provider's error event quotes the gateway's own key and is withheld.");
}

/* True: the upstream broke its dialect's order. */
static bool is_out_of_order(struct relay *r, const struct sse_frame *f, struct err *e) {
    if (!r->checker || r->up->checker_frame(r->checker, f, e) == 0)
        return false;
    meter_add(&counters(r)->order_broken, 1);
    return true;
}

/* ---- translated frames ---- */

/* What a frame's events made for the client: the first of it commits the status. */
static int translated_output(struct relay *r, const struct frame_facts *facts, size_t before) {
    if (r->worker->out.len == before)
        return 0;
    if (r->state == AT_FIRST && commit_first_event(r) < 0)
        return -ERR_LIMIT;
    if (facts->content)
        r->commit = COMMIT_CONTENT;
    return 0;
}

static int translation_failed(struct relay *r, const struct frame_facts *facts) {
    return fail_frame(r,
                      facts->failure == -ERR_LIMIT ? FAULT_UPSTREAM_LIMIT : FAULT_UPSTREAM_PROTOCOL,
                      facts->e.text);
}

/* Behind the events of one frame, or of the stream's end. */
static int translated_events(struct relay *r, const struct frame_facts *facts, size_t before) {
    r->saw_error |= facts->error;
    if (facts->failure)
        return translation_failed(r, facts);
    if (!r->ex)
        return 0;
    if (facts->content)
        on_content(r);
    if (facts->error && is_uncommitted(r))
        return on_first_error(r, facts);
    if (facts->error)
        relay_set_end(r, END_UPSTREAM_ERROR_EVENT);
    if (facts->is_withheld)
        return withhold(r);
    if (facts->error || shaper_is_over(r->leg->shaper)) {
        r->saw_end = true;               /* nothing may follow */
        relay_stop_call(r);
    }
    if (r->is_kept && r->saw_end && !r->saw_error)
        relay_keep_frames(r, slice_from(buf_slice(&r->worker->out), before));
    return translated_output(r, facts, before);
}

static int on_translated_frame(struct relay *r, const struct sse_frame *f) {
    struct frame_facts facts = {.relay = r};
    struct event_sink sink = {on_translated_event, &facts};
    struct err e = {0};
    size_t before = r->worker->out.len;
    if (sse_frame_verdict(f) == SSE_DROP) {
        meter_add(&counters(r)->frames_dropped, 1);
        return 0;
    }
    if (f->flags & SSE_BAD_UTF8)
        meter_add(&counters(r)->frames_repaired, 1);
    (void)is_out_of_order(r, f, &e);     /* counted; what can be told is told */
    int rc = r->up->decoder_feed(r->decoder, f, &sink, &e);
    bool is_bad = rc < 0 && !facts.failure;
    if (is_bad && (f->flags & SSE_UNTERMINATED))
        return 0;                        /* half a frame: its rest will never come */
    if (is_bad) {
        meter_add(&counters(r)->frames_malformed, 1);
        if (r->ex)
            return fail_frame(r, FAULT_UPSTREAM_PROTOCOL, "The provider's event is not what its dialect says.");
    }
    rc = translated_events(r, &facts, before);
    return rc == 0 && r->saw_end && !r->call ? -ERR_CLOSED : rc;
}

/* ---- frames of one dialect ---- */

static int on_event_frame(struct relay *r, const struct sse_frame *f) {
    struct frame_facts facts = {.relay = r};
    struct event_sink sink = {on_event, &facts};
    struct err e = {0};
    enum sse_verdict verdict = sse_frame_verdict(f);
    if (verdict == SSE_DROP) {
        meter_add(&counters(r)->frames_dropped, 1);
        return 0;
    }
    bool is_bad = r->up->decoder_feed(r->decoder, f, &sink, &e) < 0;
    if ((f->flags & SSE_UNTERMINATED) && (is_bad || r->saw_error))
        return 0;                        /* half a frame: its rest will never come */
    if (is_bad) {
        meter_add(&counters(r)->frames_malformed, 1);
        if (is_uncommitted(r))
            return fail_frame(r, FAULT_UPSTREAM_PROTOCOL, "The provider's first event is not one of its dialect.");
    }
    r->saw_error |= facts.error;
    if (!r->ex)
        return 0;
    if (facts.content)
        on_content(r);
    if (facts.error && is_uncommitted(r))
        return on_first_error(r, &facts);
    if (facts.error)
        relay_set_end(r, END_UPSTREAM_ERROR_EVENT);
    if (facts.error && relay_holds_key(r, f->data))
        return withhold(r);
    if (is_out_of_order(r, f, &e))
        return fail_frame(r, FAULT_UPSTREAM_PROTOCOL, e.text);
    if (r->state == AT_FIRST && commit_first_event(r) < 0)
        return -ERR_LIMIT;
    if (facts.content)
        r->commit = COMMIT_CONTENT;
    if (r->is_kept && r->saw_end && !r->saw_error)
        relay_keep_frame(r, f);
    return append_frame(r, f, verdict);
}

static int on_frame(void *self, const struct sse_frame *f) {
    struct relay *r = self;
    if (r->saw_end)
        return 0;
    r->frames++;
    if (!(f->flags & SSE_TAIL))
        r->tail_is_lost = false;
    if (f->flags & SSE_PIECE)
        return on_piece(r, f);
    if (f->flags & (SSE_COMMENT | SSE_BLANK))
        return on_comment(r, f);
    return r->leg ? on_translated_frame(r, f) : on_event_frame(r, f);
}

/* ---- bytes ---- */

/* Some servers ignore `stream`, or report an error as plain JSON with status 200. */
static bool looks_like_json(const struct relay *r, struct slice bytes) {
    if (r->state != AT_FIRST || r->frames || sse_parser_held_bytes(&r->parser) || r->parser.frames)
        return false;
    size_t i = 0;
    while (i < bytes.len && (bytes.ptr[i] == ' ' || bytes.ptr[i] == '\n' || bytes.ptr[i] == '\r' ||
                             bytes.ptr[i] == '\t'))
        i++;
    return i < bytes.len && bytes.ptr[i] == '{';
}

static void frames_done(struct relay *r, uint64_t before) {
    meter_add(&counters(r)->frames, r->frames - before);
    if (!r->saw_end) {
        if (r->state == AT_STREAM && relay_is_ending(r)) {
            r->last_in_ns = loop_now_ns(r->worker->loop);
            relay_arm(r, r->last_in_ns + FINISH_GRACE_NS);
        }
        return;
    }
    if (r->state == AT_DRAIN)
        relay_stop_call(r);
    else
        relay_complete(r, r->saw_error ? END_UPSTREAM_ERROR_EVENT : END_OK);
}

void relay_stream_bytes(struct relay *r, struct slice bytes) {
    if (looks_like_json(r, bytes)) {
        r->state = AT_WHOLE;
        relay_whole_bytes(r, bytes);
        return;
    }
    struct sse_sink sink = {on_frame, r};
    struct err e = {0};
    uint64_t before = r->frames;
    int rc = sse_parser_feed(&r->parser, bytes, &sink, &e);
    if (rc == 0 || r->saw_end)
        frames_done(r, before);
    else if (rc == -ERR_LIMIT)
        relay_fail(r, FAULT_UPSTREAM_LIMIT, e.text[0] ? e.text : "The provider's event is too large.");
    if (r->state == AT_DRAIN) {
        r->drained_bytes += bytes.len;
        if (r->drained_bytes > r->upstream->config->drain_bytes)
            relay_stop_call(r);
    }
}

static void end_truncated(struct relay *r) {
    const char *message = "The provider closed its stream before the answer was complete.";
    if (r->commit == COMMIT_NONE && !r->frames)
        message = "The provider answered with an empty stream.";
    relay_fail(r, FAULT_UPSTREAM_CUT, message);
}

/* What is still to be said, or an error. */
static void end_translated(struct relay *r) {
    struct frame_facts facts = {.relay = r};
    struct event_sink sink = {on_translated_event, &facts};
    struct err e = {0};
    size_t before = r->worker->out.len;
    int rc = r->up->decoder_finish(r->decoder, &sink, &e);
    if (translated_events(r, &facts, before) < 0)
        return;
    if (rc < 0 || r->state == AT_FIRST)
        end_truncated(r);
    else
        relay_complete(r, r->saw_error ? END_UPSTREAM_ERROR_EVENT : END_OK);
}

/* The upstream's body ended orderly, or stayed silent after the last finish. Whether the answer did
 * is the decoder's to say. */
void relay_stream_end(struct relay *r) {
    struct sse_sink sink = {on_frame, r};
    struct frame_facts facts = {.relay = r};
    struct event_sink events = {on_event, &facts};
    struct err e = {0};
    if (r->in_piece) {
        end_truncated(r);
        return;
    }
    int rc = sse_parser_finish(&r->parser, &sink, &e);
    if (r->state == AT_FAILED)
        return;
    if (rc < 0) {
        relay_fail(r, FAULT_UPSTREAM_LIMIT, "The provider's last event is too large.");
    } else if (r->saw_end || r->saw_error) {
        relay_complete(r, r->saw_error ? END_UPSTREAM_ERROR_EVENT : END_OK);
    } else if (r->leg) {
        end_translated(r);
    } else if (r->state == AT_FIRST || !relay_is_ending(r) || !r->up->end_mark.len ||
               r->up->decoder_finish(r->decoder, &events, &e) < 0) {
        end_truncated(r);
    } else if (buf_append(&r->worker->out, r->up->end_mark) < 0) {
        relay_fail(r, FAULT_UPSTREAM_LIMIT, "The provider's last event is too large.");
    } else {
        /* Every choice has its finish: only the end mark was missing. */
        meter_add(&counters(r)->frames_repaired, 1);
        relay_complete(r, END_OK);
    }
}
