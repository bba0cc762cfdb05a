/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/clock.h"
#include "client/ask.h"
#include "client/bench-private.h"

enum {
    BODY_MAX_BYTES = 64 << 20,
    REQUEST_MAX_BYTES = 4 << 20,
    PROMPT_BYTES = 128,
    ENOUGH_TOKENS = 1000000
};

static const struct bench_options *options_of(const struct slot *s) {
    return s->lane->bench->o;
}

static const struct dialect *dialect_of(const struct slot *s) {
    return options_of(s)->dialect;
}

/* ---- the request ---- */

static struct slice prompt_of(const struct slot *s, uint64_t number, char space[PROMPT_BYTES]) {
    const struct bench_options *o = options_of(s);
    if (o->verify) {
        return slice_make(space, expect_prompt(&s->expect, space, PROMPT_BYTES));
    }
    if (o->prompt) {
        return slice_cstr(o->prompt);
    }
    int n = snprintf(space, PROMPT_BYTES, "request %llu", (unsigned long long)number);
    return slice_make(space, (size_t)n);
}

static int write_request(struct slot *s, uint64_t number) {
    const struct bench_options *o = options_of(s);
    char space[PROMPT_BYTES];
    const struct ask k = {.dialect = o->dialect,
                          .model = slice_cstr(o->model),
                          .max_tokens = o->verify ? 0 : o->max_tokens,
                          .needed_max_tokens = ENOUGH_TOKENS,
                          .streams = o->mode != BENCH_REQUESTS,
                          .include_usage = o->include_usage};
    buf_reset(&s->request);
    buf_reset(&s->turns);
    int rc = ask_add_turn(&k, false, prompt_of(s, number, space), &s->turns);
    return rc ? rc : ask_write(&k, buf_slice(&s->turns), &s->request);
}

/* ---- ends ---- */

static void keep_first_error(struct bench *b, const struct err *e) {
    pthread_mutex_lock(&b->lock);
    if (!b->has_first_error) {
        b->first_error = *e;
        b->has_first_error = true;
    }
    pthread_mutex_unlock(&b->lock);
}

static void slot_fail(struct slot *s, enum bench_failure why, const char *text) {
    if (s->has_failed) {
        return;
    }
    struct err e = {.kind = why == FAILURE_CONNECT ? ERR_CONNECT : ERR_PROTOCOL};
    snprintf(e.text, sizeof e.text, "%s", text);
    keep_first_error(s->lane->bench, &e);
    s->has_failed = true;
    s->lane->figures.failed++;
    s->lane->figures.failures[why]++;
}

static void record_times(struct slot *s, int64_t now_ns) {
    struct bench_figures *f = &s->lane->figures;
    if (!s->is_measured) {
        return;
    }
    hist_record(&f->service_ns, now_ns - s->start_ns);
    hist_record(&f->response_ns, now_ns - s->scheduled_ns);
}

static void slot_done(struct slot *s) {
    struct bench_figures *f = &s->lane->figures;
    f->statuses[s->status / 100 < 6 ? s->status / 100 : 0]++;
    if (!s->has_failed) {
        f->completed++;
        f->in_window += bench_lane_in_window(s->lane);
        record_times(s, loop_now_ns(s->lane->loop));
    }
    if (s->decoder) {
        dialect_of(s)->decoder_free(s->decoder);
        s->decoder = NULL;
    }
    sse_parser_dispose(&s->sse);
    bench_lane_slot_free(s);
}

/* ---- events ---- */

static int on_event(void *self, const struct event *ev) {
    struct slot *s = self;
    if (ev->kind == EV_ERROR) {
        char text[ERR_TEXT_BYTES];
        snprintf(text, sizeof text, "error event: %.*s", (int)(ev->u.error.message.len < 128 ? ev->u.error.message.len : 128),
                 ev->u.error.message.ptr ? ev->u.error.message.ptr : "");
        slot_fail(s, FAILURE_ERROR_EVENT, text);
    }
    if ((ev->flags & EVF_CONTENT) && !(ev->flags & EVF_RECAP)) {
        s->frame_tokens++;
        if (options_of(s)->verify && ev->kind == EV_DELTA) {
            expect_feed(&s->expect, ev->text);
        }
    }
    return 0;
}

static void count_content(struct slot *s) {
    struct bench_figures *f = &s->lane->figures;
    int64_t now_ns = loop_now_ns(s->lane->loop);
    if (bench_lane_in_window(s->lane)) {
        f->frames++;
        f->tokens += s->frame_tokens;
        if (s->first_ns) {
            hist_record(&f->itl_ns, now_ns - s->last_ns);
        }
        s->read_has_content = true;
    }
    if (!s->first_ns) {
        s->first_ns = now_ns;
        if (s->is_measured) {
            hist_record(&f->ttft_ns, now_ns - s->start_ns);
        }
    }
    s->last_ns = now_ns;
}

/* A frame that was written after our loop entered the turn is dated by the clock. */
static void record_delay(struct slot *s) {
    struct bench_figures *f = &s->lane->figures;
    int64_t sent_ns = s->stamp.sent_ns, now_ns = loop_now_ns(s->lane->loop);
    if (sent_ns == 0 || !bench_lane_in_window(s->lane)) {
        return;
    }
    now_ns = now_ns >= sent_ns ? now_ns : clock_mono_ns();
    hist_record(&f->delay_ns, now_ns - sent_ns);
    if (s->stamp.due_ns > 0) {
        hist_record(&f->provider_ns, sent_ns - s->stamp.due_ns);
        hist_record(&f->arrival_ns, now_ns - s->stamp.due_ns);
    }
}

static void stall(struct slot *s) {
    if (options_of(s)->mode == BENCH_STALL && !s->is_stalled) {
        s->is_stalled = true;
        s->lane->figures.stalled++;
        http_call_pause(s->call);
    }
}

static int on_frame(void *self, const struct sse_frame *f) {
    struct slot *s = self;
    struct err e;
    if (f->flags & SSE_COMMENT) {
        (void)stamp_parse(f->raw, &s->stamp);
        return 0;
    }
    if (!(f->flags & SSE_DATA)) {
        return 0;
    }
    const struct event_sink sink = {on_event, s};
    s->frame_tokens = 0;
    if (dialect_of(s)->decoder_feed(s->decoder, f, &sink, &e) < 0) {
        slot_fail(s, FAILURE_PROTOCOL, e.text);
    }
    if (s->frame_tokens > 0) {
        record_delay(s);
        count_content(s);
        stall(s);
    }
    s->stamp = (struct stamp){0, 0};
    return 0;
}

/* ---- the call ---- */

static void on_head(void *self, const struct http_answer *a) {
    struct slot *s = self;
    struct slice type = http_headers_get(&a->headers, SLICE("content-type"));
    s->status = a->status;
    s->is_stream = a->status == 200 && slice_starts_with(type, SLICE("text/event-stream"));
    s->lane->figures.connects += !a->is_reused;
}

static void on_body(void *self, struct slice bytes) {
    struct slot *s = self;
    struct err e = {.text = "the answer is larger than 64 MiB"};
    const struct sse_sink sink = {on_frame, s};
    if (bench_lane_in_window(s->lane)) {
        s->lane->figures.bytes += bytes.len;
    }
    int rc =
        s->is_stream ? sse_parser_feed(&s->sse, bytes, &sink, &e) : buf_append(&s->body, bytes);
    if (rc < 0 && !s->has_failed) {
        slot_fail(s, FAILURE_LIMIT, e.text);
        http_call_cancel(&s->call);
        slot_done(s);
    }
}

/* One read has been handled; called at the latest when the call ends. */
static void count_read(struct slot *s) {
    struct lane *l = s->lane;
    if (s->read_has_content) {
        l->figures.reads++;
        s->read_has_content = false;
    }
    if (bench_lane_in_window(l)) {
        hist_record(&l->figures.lag_ns, clock_mono_ns() - loop_now_ns(l->loop));
    }
}

static void on_batch_end(void *self) {
    count_read(self);
}

static void check_text(struct slot *s) {
    if (!options_of(s)->verify || s->has_failed) {
        return;
    }
    if (expect_is_met(&s->expect)) {
        s->lane->figures.verified++;
        return;
    }
    char text[ERR_TEXT_BYTES];
    snprintf(text, sizeof text, "the text of request %s is wrong at its item %llu", s->expect.tag,
             (unsigned long long)s->expect.count);
    slot_fail(s, FAILURE_WRONG_TEXT, text);
}

static void end_stream(struct slot *s) {
    struct err e;
    const struct sse_sink frames = {on_frame, s};
    const struct event_sink events = {on_event, s};
    if (sse_parser_finish(&s->sse, &frames, &e) < 0 ||
        dialect_of(s)->decoder_finish(s->decoder, &events, &e) < 0) {
        slot_fail(s, FAILURE_TRUNCATED, e.text);
    }
}

static void end_whole(struct slot *s) {
    struct err e;
    const struct event_sink events = {on_event, s};
    char text[ERR_TEXT_BYTES];
    if (s->status != 200) {
        snprintf(text, sizeof text, "status %u: %.*s", s->status, (int)(s->body.len < 160 ? s->body.len : 160),
                 s->body.ptr ? s->body.ptr : "");
        slot_fail(s, FAILURE_STATUS, text);
    } else if (options_of(s)->verify &&
               dialect_of(s)->decode_response(buf_slice(&s->body), &events, &e) < 0) {
        slot_fail(s, FAILURE_PROTOCOL, e.text);
    } else if (options_of(s)->mode != BENCH_REQUESTS) {
        slot_fail(s, FAILURE_PROTOCOL, "a stream was asked for, and the answer is none");
    }
}

static void on_end(void *self) {
    struct slot *s = self;
    s->call = NULL;
    if (s->is_stream) {
        end_stream(s);
    } else {
        end_whole(s);
    }
    check_text(s);
    count_read(s);
    slot_done(s);
}

static void on_fail(void *self, const struct err *e, bool any_answer_byte) {
    struct slot *s = self;
    enum bench_failure why = e->kind == ERR_TIMEOUT ? FAILURE_TIMEOUT
                             : e->kind == ERR_LIMIT ? FAILURE_LIMIT
                             : e->kind == ERR_PROTOCOL ? FAILURE_PROTOCOL
                             : any_answer_byte || e->kind == ERR_CLOSED ? FAILURE_BROKEN
                                                                        : FAILURE_CONNECT;
    s->call = NULL;
    slot_fail(s, why, e->text);
    slot_done(s);
}

/* ---- life ---- */

static const struct http_call_callbacks callbacks = {.on_head = on_head,
                                                     .on_body = on_body,
                                                     .on_batch_end = on_batch_end,
                                                     .on_end = on_end,
                                                     .on_fail = on_fail};

void bench_slot_init(struct slot *s, struct lane *l) {
    *s = (struct slot){.lane = l};
    buf_init(&s->request, REQUEST_MAX_BYTES);
    buf_init(&s->turns, REQUEST_MAX_BYTES);
    buf_init(&s->body, BODY_MAX_BYTES);
}

static void slot_reset(struct slot *s, uint64_t number, int64_t scheduled_ns) {
    const struct bench_options *o = options_of(s);
    buf_reset(&s->body);
    s->scheduled_ns = scheduled_ns;
    s->start_ns = clock_mono_ns();
    s->first_ns = s->last_ns = 0;
    s->stamp = (struct stamp){0, 0};
    s->status = 0;
    s->is_stream = s->is_stalled = s->has_failed = s->read_has_content = false;
    s->is_measured = bench_lane_in_window(s->lane);
    sse_parser_init(&s->sse, NULL);
    if (o->mode != BENCH_REQUESTS) {
        s->decoder = dialect_of(s)->decoder_new();
    }
    if (o->verify) {
        expect_start(&s->expect, number, (uint64_t)o->max_tokens);
    }
}

void bench_slot_start(struct slot *s, uint64_t number, int64_t scheduled_ns) {
    const struct client_target *t = &s->lane->bench->target;
    const struct bench_options *o = options_of(s);
    slot_reset(s, number, scheduled_ns);
    s->lane->figures.started++;
    if (s->is_measured && o->rate > 0) {
        hist_record(&s->lane->figures.start_late_ns, s->start_ns - scheduled_ns);
    }
    if (write_request(s, number) < 0) {
        slot_fail(s, FAILURE_LIMIT, "the prompt is too long");
        slot_done(s);
        return;
    }
    s->request_slice = buf_slice(&s->request);
    bool stalls = o->mode == BENCH_STALL;
    struct http_call_request rq = {.method = HTTP_METHOD_POST,
                                   .target = t->path,
                                   .headers = t->headers,
                                   .n_headers = t->n_headers,
                                   .body = &s->request_slice,
                                   .n_body = 1,
                                   .first_byte_timeout_ns = o->timeout_ns,
                                   .idle_timeout_ns = stalls ? 0 : o->timeout_ns};
    s->call = http_call_start(s->lane->pool, &rq, &callbacks, s);
}

void bench_slot_stop(struct slot *s) {
    timer_stop(&s->again);
    if (!s->call) {
        return;
    }
    http_call_cancel(&s->call);
    s->lane->figures.unfinished++;
    if (s->decoder) {
        dialect_of(s)->decoder_free(s->decoder);
        s->decoder = NULL;
    }
    sse_parser_dispose(&s->sse);
}

void bench_slot_dispose(struct slot *s) {
    bench_slot_stop(s);
    buf_dispose(&s->request);
    buf_dispose(&s->turns);
    buf_dispose(&s->body);
}
