/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/delivery.h"

#include <inttypes.h>
#include <limits.h>

#include "base/clock.h"
#include "base/mem.h"

enum {
    WRITE_BYTES = 32 * 1024,             /* an unpaced stream's portion a turn */
    WHOLE_MAX_BYTES = 8 * 1024 * 1024,    /* made in one turn of the loop */
    STREAM_MAX_BYTES = 64 << 20,         /* of a stream that repeats all of it at its end */
    ECHO_MAX_BYTES = 4 << 20,
    CUT_PAUSE_NS = 10 * 1000 * 1000,     /* lets the bytes before a reset arrive */
    SLOW_HEAD_S = 10,
    HEARTBEAT_S = 15                     /* of silence, where the provider says that it is alive */
};

enum delivery_state {
    DELIVERY_WAIT,
    DELIVERY_BLOCKED,
    DELIVERY_HELD,
    DELIVERY_STALLED,
    DELIVERY_OVER
};

struct delivery {
    struct owner owner;                  /* first: an exchange's app pointer is looked at as one */
    enum delivery_state state;
    struct delivery *prev, *next;        /* the worker's */
    struct mock_worker *worker;
    struct http_exchange *ex;
    struct timer timer;
    const struct api *api;
    struct reply *reply;
    struct encoder *encoder;             /* streams */
    struct buf echo;                     /* what the encoder repeats of the request */
    char request_id[WORKER_ID_BYTES];
    struct bytes *whole;                 /* whole answers: the encoded body */
    struct step_stream step;             /* in use when steps is set */
    const struct mock_fault *fault;
    struct law itl;
    struct rng pace;
    int64_t due_ns;                      /* of the next slot */
    uint64_t slots;                      /* written */
    bool streams, stamps, steps;
    bool is_paced;
    bool was_blocked;                    /* behind schedule through the client: not our lateness */
    bool reply_is_over;
    bool is_beat;                        /* the next firing is a sign of life, no slot */
    bool cut_is_near;                    /* FAULT_CUT: the next firing resets */
    bool fault_is_done;
    bool has_failed;                     /* a frame could not be made: the stream is aborted */
};

static void pump(struct delivery *d);

static bool has_fault(const struct delivery *d, enum fault_kind kind) {
    return d->fault && d->fault->kind == kind;
}

static void on_timer(struct timer *t, void *self) {
    (void)t;
    pump(self);
}

static void wait_until(struct delivery *d, int64_t deadline_ns) {
    int64_t beat_ns = loop_now_ns(d->worker->loop) + HEARTBEAT_S * NS_PER_S;
    d->state = DELIVERY_WAIT;
    d->is_beat = d->api->is_anthropic && d->slots > 0 && beat_ns < deadline_ns;
    deadline_ns = d->is_beat ? beat_ns : deadline_ns;
    loop_timer_start(d->worker->loop, &d->timer, deadline_ns, on_timer, d);
}

/* ---- one slot into the worker's buffer ---- */

static int append_stamp(struct delivery *d, struct buf *out) {
    return d->stamps ? buf_appendf(out, ": t=%" PRId64 "\n", clock_mono_ns()) : 0;
}

/* One event's frames, with the stamp in front; a stamp without a frame is taken back. */
static int append_event(struct delivery *d, const struct event *ev, struct buf *out) {
    const struct dialect *dialect = d->api->dialect;
    bool lacks_end = ev->kind == EV_END && has_fault(d, FAULT_NO_DONE);
    if (lacks_end && dialect->end_mark.len == 0) {
        return 0;
    }
    size_t before = out->len;
    if (append_stamp(d, out) < 0) {
        return -ERR_LIMIT;
    }
    size_t stamped = out->len;
    int rc = dialect->encoder_event(d->encoder, ev, out);
    if (lacks_end && rc == 0) {
        out->len -= dialect->end_mark.len;    /* it came last */
    }
    if (out->len == stamped) {
        out->len = before;
    }
    return rc;
}

static int append_slot(struct delivery *d, struct buf *out) {
    struct event ev;
    enum reply_step step;
    do {
        step = reply_next(d->reply, &ev);
        if (step != REPLY_OVER && append_event(d, &ev, out) < 0) {
            return -ERR_LIMIT;
        }
    } while (step == REPLY_EVENT);
    d->reply_is_over = step == REPLY_OVER;
    d->slots++;
    return 0;
}

/* A stepped stream shows that it has begun: the opening frame goes before any step. */
static int append_opening(struct delivery *d, struct buf *out) {
    struct event ev;
    int rc = 0;
    while (rc == 0 && reply_is_opening(d->reply) && reply_next(d->reply, &ev) != REPLY_OVER) {
        rc = append_event(d, &ev, out);
    }
    return rc;
}

/* ---- faults in mid-stream ---- */

static void over(struct delivery *d) {
    d->state = DELIVERY_OVER;
    timer_stop(&d->timer);
}

static void append_error_event(struct delivery *d, struct buf *out) {
    struct event ev = {.kind = EV_ERROR};
    struct api_error er;
    mock_fault_error(d->fault, &er);
    er.request_id = slice_make(d->request_id, WORKER_ID_BYTES);
    d->api->dialect->translate_error(&er, &ev.u.error);
    d->has_failed |= d->api->dialect->encoder_event(d->encoder, &ev, out) < 0;
}

static void append_malformed(struct delivery *d, struct buf *out) {
    d->has_failed |= buf_append(out, d->api->malformed) < 0;
    d->fault_is_done = true;
}

/* True when the fault ends the writing of slots; what is in out goes out first. */
static bool fault_strikes(struct delivery *d, struct buf *out) {
    if (!d->fault || d->fault_is_done || d->slots < FAULT_AFTER_TOKENS) {
        return false;
    }
    switch (d->fault->kind) {
    case FAULT_CUT:
    case FAULT_FIN:
    case FAULT_STALL:
        break;
    case FAULT_ERROR_EVENT:
        append_error_event(d, out);
        break;
    case FAULT_MALFORMED:
        append_malformed(d, out);
        return false;
    default:
        return false;
    }
    d->fault_is_done = true;
    return true;
}

/* After the write: how this stream ends, or does not. d may be gone afterwards. */
static void fault_finish(struct delivery *d) {
    switch (d->fault->kind) {
    case FAULT_CUT:
        d->cut_is_near = true;
        wait_until(d, loop_now_ns(d->worker->loop) + CUT_PAUSE_NS);
        break;
    case FAULT_FIN:
    case FAULT_ERROR_EVENT:
        over(d);
        http_end(d->ex);
        break;
    default:                              /* a stall: until the client leaves */
        d->state = DELIVERY_STALLED;
        timer_stop(&d->timer);
        break;
    }
}

/* ---- streams ---- */

static bool may_write_slot(struct delivery *d, int64_t now_ns) {
    if (d->reply_is_over) {
        return false;
    }
    return d->steps ? step_may_write(d->worker->hub, &d->step, d->slots) : d->due_ns <= now_ns;
}

static void count_tokens(struct mock_worker *w, uint64_t n) {
    uint64_t now = atomic_load_explicit(&w->tokens, memory_order_relaxed);
    atomic_store_explicit(&w->tokens, now + n, memory_order_relaxed);
}

static void record_lateness(const struct delivery *d, unsigned slots) {
    if (!d->is_paced || d->was_blocked) {
        return;
    }
    int64_t now_ns = clock_mono_ns();
    for (unsigned i = 0; i < slots; i++) {
        hist_record(&d->worker->late_ns, now_ns - d->worker->dues[i]);
    }
}

/* Encodes what is due. Returns how many slots; *out_struck: a fault ends the stream after this
 * write. */
static unsigned fill(struct delivery *d, struct buf *out, int64_t now_ns, bool *out_struck) {
    unsigned n = 0, most = d->is_paced ? WORKER_MAX_DUES : UINT_MAX;
    *out_struck = false;
    while (out->len < WRITE_BYTES && n < most && may_write_slot(d, now_ns)) {
        if ((*out_struck = fault_strikes(d, out))) {
            break;
        }
        if (d->is_paced) {
            d->worker->dues[n] = d->due_ns;
        }
        if (append_slot(d, out) < 0) {
            d->has_failed = true;
            break;
        }
        d->due_ns += law_draw(&d->itl, &d->pace);
        n++;
    }
    return n;
}

static void after_write(struct delivery *d, int written, int64_t now_ns) {
    if (written == 0) {
        d->state = DELIVERY_BLOCKED;
        d->was_blocked = true;
        timer_stop(&d->timer);
        return;
    }
    if (d->steps && !step_may_write(d->worker->hub, &d->step, d->slots)) {
        d->state = DELIVERY_HELD;
        return;
    }
    d->was_blocked &= d->due_ns <= now_ns;
    wait_until(d, d->due_ns > now_ns && !d->steps ? d->due_ns : now_ns);
}

/* The last frames and the end of the body leave in one write. d may be gone afterwards. */
static void end_stream(struct delivery *d) {
    over(d);
    step_leave(d->worker->hub, &d->step);
    if (d->has_failed) {
        http_abort(d->ex);
    } else {
        http_end(d->ex);
    }
}

static void pump_stream(struct delivery *d) {
    struct mock_worker *w = d->worker;
    int64_t now_ns = loop_now_ns(w->loop);
    bool struck;
    buf_reset(&w->out);
    unsigned slots = fill(d, &w->out, now_ns, &struck);
    if (d->is_beat && slots == 0) {
        d->has_failed |= buf_append(&w->out, d->api->dialect->heartbeat) < 0;
    }
    bool ends = (d->reply_is_over && !struck) || d->has_failed;
    struct slice frames = buf_slice(&w->out);
    if (ends) {
        http_cork(d->ex);
    }
    int written = frames.len ? http_write(d->ex, &frames, 1) : 1;
    if (written < 0) {
        return;                           /* on_cancel follows or has run */
    }
    record_lateness(d, slots);
    count_tokens(w, slots - (slots > 0 && ends));
    if (d->steps && slots > 0) {
        step_wrote(w->hub, &d->step, d->slots);
    }
    if (struck) {
        fault_finish(d);
    } else if (ends) {
        end_stream(d);
    } else {
        after_write(d, written, now_ns);
    }
}

static void start_stream(struct delivery *d) {
    struct header_set set;
    header_set_init(d->worker, &set, d->api, SLICE("text/event-stream; charset=utf-8"));
    header_set_add(&set, SLICE("cache-control"), SLICE("no-cache"));
    memcpy(d->request_id, set.id_space, WORKER_ID_BYTES);
    struct http_response r = {200, set.items, set.count};
    http_start(d->ex, &r, -1);
}

static void open_stepped(struct delivery *d) {
    struct mock_worker *w = d->worker;
    start_stream(d);
    buf_reset(&w->out);
    if (append_opening(d, &w->out) < 0) {
        return;
    }
    struct slice frames = buf_slice(&w->out);
    int written = frames.len ? http_write(d->ex, &frames, 1) : 1;
    if (!frames.len) {
        http_flush_head(d->ex);
    }
    if (written >= 0) {
        d->state = DELIVERY_HELD;
        hub_wake(w->hub);
        delivery_recheck_step(d);
    }
}

/* ---- whole answers ---- */

/* What is said of the request: nothing of it is kept here. */
static void write_echo(struct delivery *d, const struct llm_request *rq) {
    struct llm_request unkept = *rq;
    unkept.store = 0;
    buf_init(&d->echo, ECHO_MAX_BYTES);
    if (d->api->dialect->encode_echo && d->api->dialect->encode_echo(&unkept, &d->echo) < 0) {
        buf_reset(&d->echo);
    }
}

static const struct encoder_options *
encoder_options_of(struct delivery *d, const struct llm_request *rq, struct encoder_options *out) {
    write_echo(d, rq);
    *out = (struct encoder_options){.id = reply_id(d->reply),
                                    .model = rq->env.model,
                                    .created = clock_wall_ns() / NS_PER_S,
                                    .include_usage = rq->env.include_usage,
                                    .system_fingerprint = SLICE("fp_penstock"),
                                    .service_tier = SLICE("default"),
                                    .echo = buf_slice(&d->echo),
                                    .max_bytes = STREAM_MAX_BYTES};
    return out;
}

static int encode_whole(struct delivery *d, const struct encoder_options *eo, struct buf *out) {
    struct answer *an = answer_new(WHOLE_MAX_BYTES);
    struct event ev;
    int rc = 0;
    for (enum reply_step step; rc == 0 && (step = reply_next(d->reply, &ev)) != REPLY_OVER;) {
        rc = answer_add(an, &ev);
        if (step == REPLY_TOKEN && rc == 0) {
            d->due_ns += law_draw(&d->itl, &d->pace);
        }
    }
    if (rc == 0) {
        rc = d->api->dialect->encode_response(an, eo, out);
    }
    answer_free(an);
    return rc;
}

static void respond_whole(struct delivery *d, struct slice body) {
    struct header_set set;
    if (has_fault(d, FAULT_STALL)) {
        d->state = DELIVERY_STALLED;
        return;
    }
    header_set_init(d->worker, &set, d->api, SLICE("application/json"));
    struct http_response r = {200, set.items, set.count};
    struct slice half = slice_sub(body, 0, body.len / 2);
    count_tokens(d->worker, reply_tokens(d->reply));
    if (has_fault(d, FAULT_CUT)) {
        http_start(d->ex, &r, (int64_t)body.len);
        if (http_write(d->ex, &half, 1) >= 0) {
            d->cut_is_near = true;
            wait_until(d, loop_now_ns(d->worker->loop) + CUT_PAUSE_NS);
        }
        return;
    }
    bool halved = has_fault(d, FAULT_FIN) || has_fault(d, FAULT_MALFORMED);
    over(d);
    http_respond(d->ex, &r, halved ? half : body);
}

/* ---- life ---- */

static void pump(struct delivery *d) {
    if (d->cut_is_near) {
        over(d);
        http_abort(d->ex);
    } else if (!d->streams) {
        respond_whole(d, bytes_slice(d->whole));
    } else {
        if (!http_started(d->ex)) {
            start_stream(d);
        }
        pump_stream(d);
    }
}

static void link_delivery(struct delivery *d) {
    struct mock_worker *w = d->worker;
    d->next = w->deliveries;
    if (d->next) {
        d->next->prev = d;
    }
    w->deliveries = d;
}

static void unlink_delivery(struct delivery *d) {
    if (d->prev) {
        d->prev->next = d->next;
    } else {
        d->worker->deliveries = d->next;
    }
    if (d->next) {
        d->next->prev = d->prev;
    }
}

static struct delivery *delivery_new(struct mock_worker *w, struct http_exchange *ex,
                                     const struct api *api, const struct llm_request *rq,
                                     const struct knobs *k) {
    uint64_t serial = atomic_fetch_add_explicit(&w->hub->serial, 1, memory_order_relaxed);
    struct reply_options ro = {.dialect = api->dialect,
                               .thinking = k->thinking,
                               .cached = k->cached,
                               .seed = w->hub->options.seed,
                               .tokens = k->tokens,
                               .text = k->text,
                               .serial = serial,
                               .created = clock_wall_ns() / NS_PER_S};
    struct delivery *d = mem_zalloc(sizeof *d);
    d->owner.kind = OWNER_DELIVERY;
    d->worker = w;
    d->ex = ex;
    d->api = api;
    d->fault = k->fault;
    d->itl = k->itl;
    d->is_paced = !law_is_zero(&k->itl);
    d->streams = rq->env.stream;
    d->stamps = k->stamp;
    d->reply = reply_new(rq, &ro);
    rng_seed(&d->pace, w->hub->options.seed + serial);
    d->due_ns = loop_now_ns(w->loop) + law_draw(&k->ttft, &d->pace);
    if (has_fault(d, FAULT_SLOW_HEAD)) {
        d->due_ns += SLOW_HEAD_S * NS_PER_S;
    }
    link_delivery(d);
    ex->app = d;
    hub_count(w->hub, COUNT_STARTED, 1);
    hub_count(w->hub, COUNT_OPEN, 1);
    return d;
}

static void start_whole(struct delivery *d, const struct encoder_options *eo) {
    struct mock_worker *w = d->worker;
    mock_worker_scratch(&w->body);
    if (has_fault(d, FAULT_ERROR_EVENT)) {
        struct api_error er;
        mock_fault_error(d->fault, &er);
        over(d);
        mock_respond_error(w, d->ex, &er, 0);
        return;
    }
    if (encode_whole(d, eo, &w->body) < 0) {
        over(d);
        mock_respond_simple_error(w, d->ex, 400, "invalid_value",
                             "This answer is too long for one piece: ask for a stream.");
        return;
    }
    if (d->due_ns <= loop_now_ns(w->loop)) {
        respond_whole(d, buf_slice(&w->body));
        return;
    }
    d->whole = bytes_copy(buf_slice(&w->body));
    http_exchange_drop_request(d->ex);
    wait_until(d, d->due_ns);
}

void delivery_start(struct mock_worker *w, struct http_exchange *ex, const struct api *api,
                    const struct llm_request *rq, const struct knobs *k) {
    struct delivery *d = delivery_new(w, ex, api, rq, k);
    struct encoder_options eo;
    encoder_options_of(d, rq, &eo);
    if (!d->streams) {
        start_whole(d, &eo);
        return;
    }
    d->encoder = api->dialect->encoder_new(&eo);
    bool stepped = k->step_key.ptr != NULL;        /* may point into what is given back below */
    if (stepped) {
        d->steps = step_join(w->hub, k->step_key, &d->step);
        d->is_paced = false;
        d->itl = LAW_ZERO;
    }
    if (stepped && !d->steps) {
        over(d);
        mock_respond_simple_error(w, ex, 503, NULL, "more than %d step keys", STEP_KEYS_MAX);
        return;
    }
    http_exchange_drop_request(ex);
    if (d->steps) {
        open_stepped(d);
    } else if (d->due_ns <= loop_now_ns(w->loop)) {
        pump(d);
    } else {
        wait_until(d, d->due_ns);
    }
}

void delivery_writable(struct delivery *d) {
    if (d->state != DELIVERY_BLOCKED) {
        return;
    }
    if (d->steps) {
        d->state = DELIVERY_HELD;
        delivery_recheck_step(d);
        return;
    }
    int64_t now_ns = loop_now_ns(d->worker->loop);
    wait_until(d, d->due_ns > now_ns ? d->due_ns : now_ns);
}

void delivery_recheck_step(struct delivery *d) {
    if (d->state == DELIVERY_HELD && d->steps &&
        step_may_write(d->worker->hub, &d->step, d->slots)) {
        wait_until(d, loop_now_ns(d->worker->loop));
    }
}

void delivery_ended(struct delivery *d, bool is_cancelled) {
    struct hub *hub = d->worker->hub;
    over(d);
    unlink_delivery(d);
    step_leave(hub, &d->step);
    if (d->encoder) {
        d->api->dialect->encoder_free(d->encoder);
    }
    buf_dispose(&d->echo);
    bytes_unref(&d->whole);
    reply_free(&d->reply);
    mem_free(d);
    hub_count(hub, COUNT_OPEN, -1);
    hub_count(hub, is_cancelled ? COUNT_CANCELLED : COUNT_COMPLETED, 1);
}

struct delivery *delivery_next(const struct delivery *d) {
    return d->next;
}
