/* SPDX-License-Identifier: Apache-2.0 */
/* A stream where a whole answer was asked for: some servers stream whatever they are told. Its
 * events are collected, and the answer is made from them. */
#include "gateway/state.h"

struct collect {
    struct relay *relay;
    struct api_error error;
    bool has_error;
    int failure;
};

void relay_collect_open(struct relay *r) {
    const struct config *c = r->worker->gateway->config;
    sse_parser_init(&r->parser, &(struct sse_options){.max_event_bytes = c->limits.event_bytes});
    r->decoder = r->up->decoder_new();
    r->answer = answer_new(relay_transcript_bytes(r));
    if (r->leg)
        r->leg->shaper = shaper_new(r->leg->t, relay_transcript_bytes(r));
}

static int add(void *self, const struct event *ev) {
    return answer_add(self, ev);
}

static int on_event(void *self, const struct event *ev) {
    struct collect *c = self;
    struct relay *r = c->relay;
    struct err e = {0};
    if (ev->kind == EV_USAGE)
        relay_note_usage(r, &ev->u.usage);
    if (r->notes_events)
        state_note_event(r, ev);
    if (ev->kind == EV_END)
        r->saw_end = true;
    if (ev->kind == EV_ERROR && !c->has_error) {
        c->error = relay_keep_error(r->ex->arena, &ev->u.error);
        c->has_error = true;
        return 0;
    }
    if (ev->flags & EVF_BROKEN) {
        meter_add(&r->worker->meter->providers[r->upstream->index].order_broken, 1);
        return c->failure = -ERR_PROTOCOL;
    }
    struct event_sink sink = {add, r->answer};
    c->failure = r->leg ? shaper_event(r->leg->shaper, ev, &sink, &e) : add(r->answer, ev);
    return c->failure;
}

/* True: the relay has failed, or has been answered. */
static bool stop_for(struct relay *r, const struct collect *c, int rc) {
    if (c->has_error)
        relay_error_in_success(r, &c->error);
    else if (rc == -ERR_LIMIT)
        relay_fail(r, FAULT_UPSTREAM_LIMIT, "The provider's answer is larger than limits.transcript allows.");
    else if (rc < 0)
        relay_fail(r, FAULT_UPSTREAM_PROTOCOL, "The provider answered a request for JSON with a stream that cannot be read.");
    return c->has_error || rc < 0;
}

static int on_frame(void *self, const struct sse_frame *f) {
    struct collect *c = self;
    struct relay *r = c->relay;
    struct err e = {0};
    struct event_sink sink = {on_event, c};
    if (r->saw_end || !(f->flags & SSE_DATA) || sse_frame_verdict(f) == SSE_DROP)
        return 0;
    r->frames++;
    if (f->flags & SSE_BAD_UTF8)
        meter_add(&r->worker->meter->providers[r->upstream->index].frames_repaired, 1);
    int rc = r->up->decoder_feed(r->decoder, f, &sink, &e);
    bool is_half = (f->flags & SSE_UNTERMINATED) && rc < 0 && !c->failure;
    return c->has_error ? -ERR_CLOSED : is_half ? 0 : rc;
}

static void respond(struct relay *r) {
    struct buf body;
    struct encoder_options o = r->leg ? r->leg->options : (struct encoder_options){0};
    buf_init(&body, 2 * relay_transcript_bytes(r));
    int rc = r->client->encode_response(r->answer, &o, &body);
    if (rc == 0) {
        relay_set_end(r, END_OK);
        relay_stop_call(r);
        r->state = AT_DONE;
        if (r->is_kept)
            state_keep(r, buf_slice(&body));
        relay_respond(r, 200, buf_slice(&body));
    } else {
        relay_fail(r, rc == -ERR_LIMIT ? FAULT_UPSTREAM_LIMIT : FAULT_UPSTREAM_CUT,
                   "The provider's stream, collected into an answer, is too large or has no end.");
    }
    buf_dispose(&body);
}

static bool is_over(const struct relay *r) {
    return r->saw_end || (r->leg && shaper_is_over(r->leg->shaper));
}

void relay_collect_bytes(struct relay *r, struct slice bytes) {
    struct collect c = {.relay = r};
    struct sse_sink sink = {on_frame, &c};
    struct err e = {0};
    int rc = sse_parser_feed(&r->parser, bytes, &sink, &e);
    if (!stop_for(r, &c, rc) && is_over(r))
        respond(r);
}

/* The upstream's body ended orderly. */
void relay_collect_end(struct relay *r) {
    struct collect c = {.relay = r};
    struct sse_sink sink = {on_frame, &c};
    struct event_sink events = {on_event, &c};
    struct err e = {0};
    int rc = sse_parser_finish(&r->parser, &sink, &e);
    if (stop_for(r, &c, rc))
        return;
    if (!is_over(r) && r->up->decoder_finish(r->decoder, &events, &e) < 0)
        relay_fail(r, FAULT_UPSTREAM_CUT, "The provider closed its stream before the answer was complete.");
    else
        respond(r);
}
