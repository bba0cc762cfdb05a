/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/delivery.h"

#include <inttypes.h>
#include <limits.h>

#include "base/clock.h"
#include "base/mem.h"
#include "dialect/responses/responses_state.h"
#include "mock/background.h"
#include "mock/journal_line.h"
#include "mock/mock_clock.h"
#include "mock/self.h"
#include "mock/stored.h"
#include "mock/timing.h"
#include "mock/tokenizer_choice.h"
#include "mock/wire.h"

enum {
    WRITE_BYTES = 32 * 1024,             /* an unpaced stream's portion a turn */
    WHOLE_MAX_BYTES = 8 * 1024 * 1024,    /* made in one turn of the loop */
    STREAM_MAX_BYTES = 64 << 20,         /* of a stream that repeats all of it at its end */
    ECHO_MAX_BYTES = 4 << 20,
    HEARTBEAT_S = 15                     /* of silence, where the provider says that it is alive */
};

enum delivery_state {
    DELIVERY_WAIT,
    DELIVERY_BLOCKED,
    DELIVERY_HELD,
    DELIVERY_OVER
};

struct delivery {
    struct owner owner;                  /* first: an exchange's app pointer is looked at as one */
    enum delivery_state state;
    struct delivery *prev, *next;        /* the worker's */
    struct mock_worker *worker;
    struct http_exchange *ex;            /* NULL: for a job, nobody takes it yet */
    struct timer timer;
    const struct api *api;
    struct head_facts facts;
    uint64_t limit_id;                   /* whom the answer's tokens are charged to */
    struct reply *reply;
    struct encoder *encoder;             /* streams */
    struct buf echo;                     /* what the encoder repeats of the request */
    struct bytes *whole;                 /* whole answers: the encoded body */
    struct step_stream step;             /* in use when steps is set */
    struct wire *wire;                   /* with a fault: between us and the exchange; else NULL */
    struct schedule schedule;            /* when the slots leave */
    struct job *job;                     /* made in the background; else NULL */
    struct stored_note *note;            /* the answer is remembered; else NULL */
    struct journal_line line;
    uint64_t slots;                      /* written */
    uint64_t fresh_tokens;               /* encoded, and not counted yet */
    bool streams, stamps, steps;
    bool was_blocked;                    /* behind schedule through the client: not our lateness */
    bool is_refused;                     /* the engine is full */
    bool reply_is_over;
    bool is_beat;                        /* the next firing is a sign of life, no slot */
    bool has_failed;                     /* a frame could not be made: the stream is aborted */
};

static void pump(struct delivery *d);

static void on_timer(struct timer *t, void *self) {
    (void)t;
    pump(self);
}

static void wait_until(struct delivery *d, int64_t deadline_ns) {
    int64_t beat_ns = mock_now_ns(d->worker) + HEARTBEAT_S * NS_PER_S;
    d->state = DELIVERY_WAIT;
    d->is_beat = d->api->is_anthropic && d->slots > 0 && beat_ns < deadline_ns;
    deadline_ns = d->is_beat ? beat_ns : deadline_ns;
    mock_timer_start(d->worker, &d->timer, deadline_ns, on_timer, d);
}

/* ---- one slot into the worker's buffer ---- */

/* When it leaves and, where there is a schedule, when it was to. */
static int append_stamp(struct delivery *d, struct buf *out) {
    int64_t now_ns = d->stamps ? mock_exact_now_ns(d->worker) : 0;
    if (!d->stamps) {
        return 0;
    }
    return d->steps ? buf_appendf(out, ": t=%" PRId64 "\n", now_ns)
                    : buf_appendf(out, ": t=%" PRId64 " due=%" PRId64 "\n", now_ns, d->schedule.due_ns);
}

/* One event's frames, with the stamp in front; a stamp without a frame is taken back. */
static int append_event(struct delivery *d, const struct event *ev, struct buf *out) {
    size_t before = out->len;
    if (append_stamp(d, out) < 0) {
        return -ERR_LIMIT;
    }
    size_t stamped = out->len;
    int rc = d->api->dialect->encoder_event(d->encoder, ev, out);
    journal_line_event(&d->line, d->api->dialect, ev);
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
    d->fresh_tokens += step == REPLY_TOKEN ? reply_slot_tokens(d->reply) : 0;
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

static void over(struct delivery *d) {
    d->state = DELIVERY_OVER;
    timer_stop(&d->timer);
}

/* ---- to the client: over the wire where a fault is to strike ---- */

static void start_body(struct delivery *d, const struct http_response *r) {
    if (d->wire) {
        wire_start(d->wire, r);
    } else {
        http_start(d->ex, r, -1);
    }
}

/* As http_write; 1 for nothing. is_last: the end follows at once. */
static int write_frames(struct delivery *d, struct slice frames, bool is_last) {
    if (d->job) {
        job_write(d->job, frames);
        return 1;
    }
    if (d->wire) {
        return wire_write(d->wire, frames);
    }
    if (is_last) {
        http_cork(d->ex);
    }
    return frames.len ? http_write(d->ex, &frames, 1) : 1;
}

static void delivery_ended(struct owner *self, bool is_cancelled);

/* d may be gone afterwards. */
static void end_body(struct delivery *d) {
    if (d->job) {
        job_end(&d->job, d->has_failed ? NULL : d->encoder);
        delivery_ended(&d->owner, false);
    } else if (d->has_failed) {
        http_abort(d->ex);
    } else if (d->wire) {
        wire_end(d->wire);
    } else {
        http_end(d->ex);
    }
}

/* ---- streams ---- */

static bool may_write_slot(struct delivery *d, int64_t now_ns) {
    if (d->reply_is_over) {
        return false;
    }
    return d->steps ? step_may_write(d->worker->hub, &d->step, d->slots)
                    : schedule_is_due(&d->schedule, now_ns);
}

static void count_tokens(struct mock_worker *w, uint64_t n) {
    uint64_t now = atomic_load_explicit(&w->tokens, memory_order_relaxed);
    atomic_store_explicit(&w->tokens, now + n, memory_order_relaxed);
}

/* Encodes what is due. Returns how many slots. */
static unsigned fill(struct delivery *d, struct buf *out, int64_t now_ns) {
    bool is_paced = schedule_is_paced(&d->schedule);
    unsigned n = 0, most = is_paced ? WORKER_MAX_DUES : UINT_MAX;
    while (out->len < WRITE_BYTES && n < most && may_write_slot(d, now_ns)) {
        if (is_paced) {
            d->worker->dues[n] = d->schedule.due_ns;
        }
        if (append_slot(d, out) < 0) {
            d->has_failed = true;
            break;
        }
        schedule_next(&d->schedule, d->reply_is_over ? NULL : reply_pause(d->reply));
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
    bool is_due = d->steps || schedule_is_due(&d->schedule, now_ns);
    d->was_blocked &= is_due;
    wait_until(d, is_due ? now_ns : schedule_wake_ns(&d->schedule));
}

/* Before its client can see the end. */
static void keep_stream(struct delivery *d) {
    struct buf response;
    buf_init(&response, STREAM_MAX_BYTES);
    if (d->note && responses_encoder_write_response(d->encoder, &response) == 0) {
        stored_keep(d->note, buf_slice(&response), SLICE_NULL);
    }
    buf_dispose(&response);
}

/* The last frames and the end of the body leave in one write. d may be gone afterwards. */
static void end_stream(struct delivery *d) {
    over(d);
    step_leave(d->worker->hub, &d->step);
    end_body(d);
}

static void pump_stream(struct delivery *d) {
    struct mock_worker *w = d->worker;
    int64_t now_ns = mock_now_ns(w);
    buf_reset(&w->out);
    unsigned slots = fill(d, &w->out, now_ns);
    if (d->is_beat && slots == 0) {
        d->has_failed |= buf_append(&w->out, d->api->dialect->heartbeat) < 0;
    }
    bool ends = d->reply_is_over || d->has_failed;
    if (ends) {
        keep_stream(d);
    }
    int written = write_frames(d, buf_slice(&w->out), ends);
    if (written < 0) {
        return;                           /* on_cancel follows or has run */
    }
    if (schedule_is_paced(&d->schedule)) {
        self_record(w, w->dues, slots, d->was_blocked);
    }
    journal_line_wrote(&d->line, slots, now_ns);
    count_tokens(w, d->fresh_tokens);
    d->fresh_tokens = 0;
    if (d->steps && slots > 0) {
        step_wrote(w->hub, &d->step, d->slots);
    }
    if (ends) {
        end_stream(d);
    } else {
        after_write(d, written, now_ns);
    }
}

static void start_stream(struct delivery *d) {
    struct header_set set;
    header_set_init(d->worker, &set, d->api, SLICE("text/event-stream; charset=utf-8"),
                    &d->facts);
    header_set_add(&set, SLICE("cache-control"), SLICE("no-cache"));
    struct http_response r = {200, set.items, set.count};
    start_body(d, &r);
}

static void open_stepped(struct delivery *d) {
    struct mock_worker *w = d->worker;
    if (!d->job) {
        start_stream(d);
    }
    buf_reset(&w->out);
    if (append_opening(d, &w->out) < 0) {
        return;
    }
    int written = write_frames(d, buf_slice(&w->out), false);
    if (!d->job && w->out.len == 0) {
        http_flush_head(d->ex);
    }
    if (written >= 0) {
        d->state = DELIVERY_HELD;
        hub_wake(w->hub);
        delivery_recheck_step(d);
    }
}

/* What is to be seen of a job before its first slot. */
static void open_job(struct delivery *d) {
    struct mock_worker *w = d->worker;
    buf_reset(&w->out);
    d->has_failed |= append_opening(d, &w->out) < 0;
    job_write(d->job, buf_slice(&w->out));
}

/* ---- whole answers ---- */

static void write_echo(struct delivery *d, const struct llm_request *rq) {
    buf_init(&d->echo, ECHO_MAX_BYTES);
    if (d->api->dialect->encode_echo && d->api->dialect->encode_echo(rq, &d->echo) < 0) {
        buf_reset(&d->echo);
    }
}

static const struct encoder_options *
encoder_options_of(struct delivery *d, const struct llm_request *rq, struct encoder_options *out) {
    write_echo(d, rq);
    *out = (struct encoder_options){.id = reply_id(d->reply),
                                    .model = reply_model(d->reply),
                                    .created = mock_wall_ns(d->worker) / NS_PER_S,
                                    .include_usage = rq->env.include_usage,
                                    .system_fingerprint = SLICE("fp_penstock"),
                                    .service_tier = SLICE("default"),
                                    .echo = buf_slice(&d->echo),
                                    .is_queued = d->job != NULL,
                                    .max_bytes = STREAM_MAX_BYTES};
    return out;
}

static int encode_whole(struct delivery *d, const struct encoder_options *eo, struct buf *out) {
    struct answer *an = answer_new(WHOLE_MAX_BYTES);
    struct event ev;
    int rc = 0;
    for (enum reply_step step; rc == 0 && (step = reply_next(d->reply, &ev)) != REPLY_OVER;) {
        rc = answer_add(an, &ev);
        journal_line_event(&d->line, d->api->dialect, &ev);
        if (step == REPLY_TOKEN && rc == 0) {
            schedule_next(&d->schedule, reply_pause(d->reply));
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
    header_set_init(d->worker, &set, d->api, SLICE("application/json"), &d->facts);
    struct http_response r = {200, set.items, set.count};
    count_tokens(d->worker, reply_tokens(d->reply));
    if (d->note) {
        stored_keep(d->note, body, SLICE_NULL);
    }
    over(d);
    if (d->wire) {
        wire_respond(d->wire, &r, body);
    } else {
        http_respond(d->ex, &r, body);
    }
}

/* ---- life ---- */

static void pump(struct delivery *d) {
    if (!d->streams && !schedule_is_due(&d->schedule, mock_now_ns(d->worker))) {
        wait_until(d, schedule_wake_ns(&d->schedule));
    } else if (!d->streams) {
        respond_whole(d, bytes_slice(d->whole));
    } else {
        if (!d->job && !http_started(d->ex)) {
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

static void delivery_writable(struct owner *self);
static const struct owner_ops delivery_ops = {delivery_writable, delivery_ended};

static void go_on(void *self);

static struct delivery *delivery_new(struct mock_call *c) {
    struct mock_worker *w = c->w;
    const struct api *api = c->api;
    const struct llm_request *rq = &c->rq;
    const struct knobs *k = &c->k;
    uint64_t serial = c->facts.serial;
    struct timing t;
    timing_of(c, &t);
    struct reply_options ro = {.dialect = api->dialect,
                               .script = c->script,
                               .thinking = k->thinking,
                               .cached = k->cached,
                               .seed = c->o->seed,
                               .tokens = k->tokens,
                               .burst = t.burst,
                               .text = k->text,
                               .is_echo = c->o->echo,
                               .tokenizer = mock_tokenizer(c->o, rq->env.model),
                               .prompt = mock_call_prompt(c),
                               .serial = serial,
                               .created = mock_wall_ns(w) / NS_PER_S};
    struct delivery *d = mem_zalloc(sizeof *d);
    d->owner.ops = &delivery_ops;
    d->worker = w;
    d->ex = c->job ? NULL : c->ex;
    d->job = c->job;
    d->facts = c->facts;
    d->limit_id = limits_key_id(c->key);
    d->api = api;
    d->wire = c->job ? NULL : wire_of_call(c, go_on, d);      /* a job's followers have theirs */
    d->streams = rq->env.stream;
    d->stamps = k->stamp;
    d->reply = reply_new(rq, &ro);
    timing_use_prefix_cache(c, d->reply);
    link_delivery(d);
    journal_line_begin(&d->line, c, reply_id(d->reply));
    if (d->job) {
        d->line.seq = 0;                 /* the asker's, which has its answer at once */
    } else {
        d->note = stored_turn_is_kept(&c->turn) ? stored_note_new(c->stored, &c->turn) : NULL;
        c->ex->app = d;
        c->is_passed_on = true;
    }
    hub_count(w->hub, COUNT_STARTED, 1);
    hub_count(w->hub, COUNT_OPEN, 1);
    d->is_refused = !timing_start(c, &t, &ro, d->reply, &d->schedule);
    schedule_put_off(&d->schedule, k->fault ? fault_head_delay_ns(k->fault) : 0);
    return d;
}

static void start_whole(struct delivery *d, const struct encoder_options *eo) {
    struct mock_worker *w = d->worker;
    mock_worker_scratch(&w->body);
    if (encode_whole(d, eo, &w->body) < 0) {
        over(d);
        d->line.status = 400;
        mock_respond_simple_error(w, d->ex, 400, "invalid_value",
                             "This answer is too long for one piece: ask for a stream.");
        return;
    }
    if (schedule_is_due(&d->schedule, mock_now_ns(w))) {
        respond_whole(d, buf_slice(&w->body));
        return;
    }
    d->whole = bytes_copy(buf_slice(&w->body));
    http_exchange_drop_request(d->ex);
    wait_until(d, schedule_wake_ns(&d->schedule));
}

/* d may be gone afterwards. */
static void refuse_full(struct mock_call *c, struct delivery *d) {
    d->line.status = c->o->on_full == MOCK_FULL_429 ? 429 : 503;
    timing_refuse(c->w, c->ex, c->o);
}

/* False: it has been answered. */
static bool start_stream_of(struct mock_call *c, struct delivery *d,
                            const struct encoder_options *eo) {
    struct mock_worker *w = c->w;
    d->encoder = d->api->dialect->encoder_new(eo);
    bool stepped = c->k.step_key.ptr != NULL;      /* may point into what is given back below */
    if (stepped) {
        d->steps = step_join(w->hub, c->k.step_key, &d->step);
    }
    if (stepped && !d->steps) {
        over(d);
        d->line.status = 503;
        mock_respond_simple_error(w, c->ex, 503, NULL, "more than %d step keys", STEP_KEYS_MAX);
        return false;
    }
    if (!d->job) {
        http_exchange_drop_request(c->ex);
    }
    if (d->steps) {
        open_stepped(d);
        return true;
    }
    if (d->job) {
        open_job(d);
    }
    bool is_due = schedule_is_due(&d->schedule, mock_now_ns(w));
    if (is_due && !d->job) {
        pump(d);
    } else {
        wait_until(d, is_due ? mock_now_ns(w) : schedule_wake_ns(&d->schedule));
    }
    return true;
}

void delivery_start(struct mock_call *c) {
    struct delivery *d = delivery_new(c);
    struct encoder_options eo;
    if (d->is_refused) {
        over(d);
        refuse_full(c, d);
        return;
    }
    encoder_options_of(d, &c->rq, &eo);
    if (!d->streams) {
        start_whole(d, &eo);
        return;
    }
    (void)start_stream_of(c, d, &eo);
}

bool delivery_start_job(struct mock_call *c) {
    struct delivery *d = delivery_new(c);
    struct encoder_options eo;
    if (d->is_refused) {
        refuse_full(c, d);
    } else {
        encoder_options_of(d, &c->rq, &eo);
    }
    if (d->is_refused || !start_stream_of(c, d, &eo)) {
        d->job = NULL;
        delivery_ended(&d->owner, true);
        return false;
    }
    return true;
}

static void go_on(void *self) {
    struct delivery *d = self;
    if (d->state != DELIVERY_BLOCKED) {
        return;
    }
    if (d->steps) {
        d->state = DELIVERY_HELD;
        delivery_recheck_step(d);
        return;
    }
    int64_t now_ns = mock_now_ns(d->worker);
    bool is_due = schedule_is_due(&d->schedule, now_ns);
    wait_until(d, is_due ? now_ns : schedule_wake_ns(&d->schedule));
}

static void delivery_writable(struct owner *self) {
    struct delivery *d = (struct delivery *)self;
    if (d->wire) {
        wire_writable(d->wire);
    } else {
        go_on(d);
    }
}

void delivery_recheck_step(struct delivery *d) {
    if (d->state == DELIVERY_HELD && d->steps &&
        step_may_write(d->worker->hub, &d->step, d->slots)) {
        wait_until(d, mock_now_ns(d->worker));
    }
}

static enum journal_end end_of(const struct delivery *d, bool is_cancelled) {
    bool is_whole = d->wire      ? !wire_is_cut(d->wire)
                    : d->streams ? d->reply_is_over && !d->has_failed
                                 : true;
    return is_cancelled ? JOURNAL_CANCELLED : is_whole ? JOURNAL_COMPLETED : JOURNAL_BROKEN;
}

static void delivery_ended(struct owner *self, bool is_cancelled) {
    struct delivery *d = (struct delivery *)self;
    struct hub *hub = d->worker->hub;
    over(d);
    schedule_stop(&d->schedule, mock_now_ns(d->worker));
    unlink_delivery(d);
    step_leave(hub, &d->step);
    if (d->encoder) {
        d->api->dialect->encoder_free(d->encoder);
    }
    if (d->job) {
        job_end(&d->job, NULL);
    }
    journal_line_end(&d->line, d->worker, end_of(d, is_cancelled),
                     (int64_t)reply_prompt_tokens(d->reply), (int64_t)reply_tokens(d->reply));
    stored_note_free(&d->note);
    wire_free(&d->wire);
    buf_dispose(&d->echo);
    bytes_unref(&d->whole);
    limits_charge(hub->limits, d->limit_id, reply_tokens(d->reply));
    reply_free(&d->reply);
    mem_free(d);
    hub_count(hub, COUNT_OPEN, -1);
    hub_count(hub, is_cancelled ? COUNT_CANCELLED : COUNT_COMPLETED, 1);
}

struct delivery *delivery_next(const struct delivery *d) {
    return d->next;
}

/* Nobody asks for a connection: what is made in the background is let go of. */
static void drop_jobs(struct mock_worker *w, bool all) {
    for (struct delivery *d = w->deliveries, *next; d; d = next) {
        next = d->next;
        if (d->job && (all || job_is_cancelled(d->job))) {
            delivery_ended(&d->owner, true);
        }
    }
}

void delivery_drop_cancelled(struct mock_worker *w) {
    drop_jobs(w, false);
}

void delivery_drop_jobs(struct mock_worker *w) {
    drop_jobs(w, true);
}
