/* SPDX-License-Identifier: Apache-2.0 */
/* One capture on its way to a client: pieces are due at start + t / speed, an absolute schedule. */
#include "mock/replay.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "mock/journal.h"
#include "mock/mock_clock.h"
#include "mock/record.h"
#include "mock/wire.h"

enum {
    MAX_HEADERS = CAPTURE_MAX_HEADERS + 5,
    WRITE_BYTES = 256 * 1024,            /* gathered in one write */
    RESET_PAUSE_NS = 10 * 1000 * 1000,   /* lets the bytes before a reset arrive */
    MISS_TEXT_BYTES = 800
};
#define MAX_SPEED 1e6
#define MOST_NS 1e18                     /* thirty years, however slow */

struct replay {
    struct owner owner;                  /* first: an exchange's app pointer is looked at as one */
    struct mock_worker *worker;
    struct http_exchange *ex;
    struct capture *capture;
    struct wire *wire;                   /* with a fault: between us and the exchange; else NULL */
    const char *fault;                   /* as the client asked for it; NULL: it did not */
    struct timer timer;
    double speed;                        /* 0: as fast as the client takes it */
    int64_t asked_ns;
    int64_t start_ns, first_ns;          /* of its times; of the first piece, 0: none yet */
    int64_t reset_ns;                    /* not before */
    unsigned next;                       /* chunk */
    bool is_blocked, is_broken;
    bool is_over;                        /* with a wire: the end is the wire's */
    uint64_t journal;
    char cors[128];
};

/* 0: as fast as can be. Negative: it is none. */
static double speed_of(struct slice text) {
    char plain[32], *end;
    if (slice_eq(text, SLICE("max"))) {
        return 0;
    }
    if (text.len < 2 || text.len >= sizeof plain || text.ptr[0] < '0' || text.ptr[0] > '9') {
        return -1;
    }
    snprintf(plain, sizeof plain, "%.*s", SLICE_FMT(text));
    double value = strtod(plain, &end);
    return strcmp(end, "x") == 0 && value > 0 && value <= MAX_SPEED ? value : -1;
}

int replay_speed_check(struct slice text, struct mock_options *o, struct arena *a, struct err *e) {
    (void)o;
    (void)a;
    if (speed_of(text) < 0) {
        return err_set(e, ERR_USAGE, "expected a speed (1x, 10x, 0.5x) or max, got \"%.*s\"",
                       SLICE_FMT(slice_sub(text, 0, 60)));
    }
    return 0;
}

/* ---- times ---- */

static int64_t due_ns(const struct replay *r, int64_t t_ns) {
    double after_ns = r->speed > 0 ? (double)t_ns / r->speed : 0;
    return r->start_ns + (after_ns < MOST_NS ? (int64_t)after_ns : (int64_t)MOST_NS);
}

static void pump(struct replay *r);

static void on_timer(struct timer *t, void *self) {
    (void)t;
    pump(self);
}

static void wait_until(struct replay *r, int64_t deadline_ns) {
    mock_timer_start(r->worker, &r->timer, deadline_ns, on_timer, r);
}

/* ---- the head ---- */

static bool is_sent(const struct replay *r, const struct http_headers *all, struct slice name) {
    static const char *const not_again[] = {"content-length", "date", "set-cookie",
                                            "x-penstock-mock", "x-penstock-capture"};
    for (size_t i = 0; i < sizeof not_again / sizeof not_again[0]; i++) {
        if (slice_eq_nocase(name, slice_cstr(not_again[i]))) {
            return false;
        }
    }
    return !http_header_is_hop_by_hop(all, name) &&
           !(r->capture->was_encoded && slice_eq_nocase(name, SLICE("content-encoding")));
}

/* The length that was told; -1: none was, or it was not that of what came. */
static int64_t told_length(const struct capture *c, const struct http_headers *h) {
    uint64_t told;
    struct slice text = http_headers_get(h, SLICE("content-length"));
    bool is_told = text.len > 0 && slice_to_u64(text, INT64_MAX, &told) && !c->was_encoded;
    if (!is_told || told < c->body_len || (c->end == CAPTURE_COMPLETE && told != c->body_len)) {
        return -1;
    }
    return (int64_t)told;
}

static unsigned put_headers(const struct replay *r, const struct http_headers *all,
                            struct http_header items[MAX_HEADERS]) {
    const struct capture *c = r->capture;
    unsigned n = 0;
    for (unsigned i = 0; i < c->n_headers; i++) {
        if (is_sent(r, all, c->headers[i].name)) {
            items[n++] = c->headers[i];
        }
    }
    items[n++] = (struct http_header){SLICE("x-penstock-mock"), SLICE("1")};
    items[n++] = (struct http_header){SLICE("x-penstock-capture"), slice_cstr(c->file)};
    if (r->fault) {
        items[n++] = (struct http_header){SLICE("x-penstock-fault"), slice_cstr(r->fault)};
    }
    struct slice origin = SLICE("access-control-allow-origin");
    if (r->cors[0] && !http_headers_get(all, origin).ptr) {
        items[n++] = (struct http_header){origin, slice_cstr(r->cors)};
    }
    return n;
}

/* r may be gone afterwards: a whole answer comes to harm as a whole. */
static void start_answer(struct replay *r) {
    const struct capture *c = r->capture;
    const struct http_headers all = {c->headers, c->n_headers};
    struct http_header items[MAX_HEADERS];
    struct http_response response = {c->status, items, put_headers(r, &all, items)};
    http_exchange_drop_request(r->ex);
    if (!r->wire) {
        http_start(r->ex, &response, told_length(c, &all));
        http_flush_head(r->ex);
    } else if (capture_is_stream(c)) {
        wire_start(r->wire, &response);
        (void)!wire_write(r->wire, SLICE(""));       /* the head goes ahead */
    } else {
        r->is_over = true;
        wire_respond(r->wire, &response, capture_body(c));
    }
}

/* ---- the body ---- */

/* As http_write. */
static int write_to_wire(struct replay *r) {
    const struct capture *c = r->capture;
    const struct capture_chunk *k = &c->chunks[r->next++];
    return wire_write(r->wire, slice_sub(capture_body(c), k->off, k->len));
}

/* The pieces of one read in one write, each as a chunk of its own. As http_write. */
static int write_read(struct replay *r) {
    const struct capture *c = r->capture;
    uint32_t read = c->chunks[r->next].read;
    size_t bytes = 0;
    if (r->wire) {
        return write_to_wire(r);
    }
    http_cork(r->ex);
    while (r->next < c->n_chunks && c->chunks[r->next].read == read && bytes < WRITE_BYTES) {
        const struct capture_chunk *k = &c->chunks[r->next++];
        struct slice piece = slice_sub(capture_body(c), k->off, k->len);
        bytes += k->len;
        if (http_write(r->ex, &piece, 1) < 0) {
            return -1;
        }
    }
    return http_uncork(r->ex);
}

/* r may be gone afterwards. */
static void finish(struct replay *r) {
    int64_t now_ns = mock_now_ns(r->worker);
    if (r->capture->end == CAPTURE_COMPLETE && r->wire) {
        r->is_over = true;
        wire_end(r->wire);
    } else if (r->capture->end == CAPTURE_COMPLETE) {
        http_end(r->ex);
    } else if (r->capture->end == CAPTURE_CUT) {
        r->is_broken = true;
        http_end_raw(r->ex, HTTP_RAW_DROP);
    } else if (now_ns < r->reset_ns) {
        wait_until(r, r->reset_ns);
    } else {
        r->is_broken = true;
        http_end_raw(r->ex, HTTP_RAW_RST);
    }
}

/* All that is due and the client takes. r may be gone afterwards. */
static void pump(struct replay *r) {
    const struct capture *c = r->capture;
    int64_t now_ns = mock_now_ns(r->worker);
    bool is_whole = r->wire && !capture_is_stream(c);
    if (is_whole && due_ns(r, c->end_ns) > now_ns) {
        wait_until(r, due_ns(r, c->end_ns));
        return;
    }
    if (!http_started(r->ex)) {
        start_answer(r);
    }
    if (is_whole) {
        return;
    }
    while (r->next < c->n_chunks && due_ns(r, c->chunks[r->next].t_ns) <= now_ns) {
        int written = write_read(r);
        if (written <= 0) {
            r->is_blocked = written == 0;
            return;                           /* or the client left: `ended` follows */
        }
        r->first_ns = r->first_ns ? r->first_ns : now_ns;
        r->reset_ns = now_ns + RESET_PAUSE_NS;
    }
    int64_t next_ns = due_ns(r, r->next < c->n_chunks ? c->chunks[r->next].t_ns : c->end_ns);
    if (next_ns > now_ns) {
        wait_until(r, next_ns);
    } else {
        finish(r);
    }
}

/* ---- life ---- */

static void go_on(void *self) {
    struct replay *r = self;
    if (r->is_blocked && !r->is_over) {
        r->is_blocked = false;
        r->reset_ns = mock_now_ns(r->worker) + RESET_PAUSE_NS;
        pump(r);
    }
}

static void replay_writable(struct owner *self) {
    struct replay *r = (struct replay *)self;
    if (r->wire) {
        wire_writable(r->wire);
    } else {
        go_on(r);
    }
}

static void replay_ended(struct owner *self, bool is_cancelled) {
    struct replay *r = (struct replay *)self;
    struct hub *hub = r->worker->hub;
    bool is_broken = r->is_broken || (r->wire && wire_is_cut(r->wire));
    const struct journal_answer a = {
        .status = r->capture->status, .tokens_in = -1, .tokens_out = -1,
        .first_token_ns = r->first_ns ? r->first_ns - r->asked_ns : -1,
        .duration_ns = mock_now_ns(r->worker) - r->asked_ns,
        .end = is_cancelled   ? JOURNAL_CANCELLED
               : is_broken    ? JOURNAL_BROKEN : JOURNAL_COMPLETED};
    timer_stop(&r->timer);
    wire_free(&r->wire);
    journal_close(hub->journal, r->journal, &a);
    capture_unref(&r->capture);
    mem_free(r);
    hub_count(hub, COUNT_OPEN, -1);
    hub_count(hub, is_cancelled ? COUNT_CANCELLED : COUNT_COMPLETED, 1);
}

static const struct owner_ops replay_ops = {.writable = replay_writable, .ended = replay_ended};

static void note_capture(struct mock_call *call, const struct capture *c) {
    const struct http_headers head = {c->headers, c->n_headers};
    const struct journal_notes notes = {
        .answered_by = "replay",
        .place = slice_cstr(c->file),
        .request_id = capture_request_id(&head),
        .response_id = capture_response_id(capture_body(c), call->ex->arena)};
    journal_note(call->w->hub->journal, call->journal, &notes);
}

/* What is encoded cannot be read on its way. */
static bool can_be_struck(const struct capture *c) {
    const struct http_headers all = {c->headers, c->n_headers};
    return c->was_encoded || !http_headers_get(&all, SLICE("content-encoding")).ptr;
}

/* Takes over the reference. */
static void play(struct mock_call *call, struct capture *c) {
    struct mock_worker *w = call->w;
    struct replay *r = mem_zalloc(sizeof *r);
    r->owner.ops = &replay_ops;
    r->worker = w;
    r->ex = call->ex;
    r->capture = c;
    r->speed = speed_of(slice_cstr(call->o->speed ? call->o->speed : "1x"));
    r->asked_ns = r->start_ns = mock_now_ns(w);
    r->wire = can_be_struck(c) ? wire_of_call(call, go_on, r) : NULL;
    if (r->wire) {
        r->fault = call->facts.fault;
        r->start_ns += fault_head_delay_ns(call->k.fault);
    }
    r->journal = call->journal;
    snprintf(r->cors, sizeof r->cors, "%s", call->facts.cors);
    call->is_passed_on = true;
    call->ex->app = r;
    note_capture(call, c);
    hub_count(w->hub, COUNT_STARTED, 1);
    hub_count(w->hub, COUNT_OPEN, 1);
    if (due_ns(r, c->head_ns) > mock_now_ns(w)) {
        wait_until(r, due_ns(r, c->head_ns));
    } else {
        pump(r);
    }
}

/* ---- choosing ---- */

static bool is_as_recorded(const struct capture *c, const struct mock_call *call) {
    return !c->dialect || (c->dialect == call->api->dialect && c->stream == call->rq.env.stream);
}

/* Takes over the reference. */
static void answer_with(struct mock_call *call, struct capture *c) {
    struct err e;
    if (!is_as_recorded(c, call)) {
        struct capture *told = replay_translate(c, call, &e);
        if (!told) {
            mock_respond_simple_error(call->w, call->ex, 400, "capture_not_translatable",
                                      "The capture %s cannot be told in the dialect %s: %s",
                                      c->file, call->api->dialect->name, e.text);
        } else {
            snprintf(told->file, sizeof told->file, "%s", c->file);
        }
        capture_unref(&c);
        c = told;
    }
    if (c) {
        play(call, c);
    }
}

static struct capture *find(struct mock_call *call, const struct capture_norm *n) {
    char key[CAPTURE_KEY_BYTES + 1];
    const struct dialect *d = record_dialect(call->ex);
    capture_norm_key(n, key);
    return captures_pick(call->w->hub->captures, key, capture_norm_soft(n), d,
                         d && call->rq.env.stream);
}

static void answer_miss(struct mock_call *call, const struct capture_norm *n) {
    char text[MISS_TEXT_BYTES];
    captures_explain(call->w->hub->captures, n, text, sizeof text);
    struct api_error er = {.status = 404,
                           .message = slice_cstr(text),
                           .type = call->api->is_anthropic ? SLICE("not_found_error")
                                                           : SLICE("invalid_request_error"),
                           .code = SLICE("capture_not_found")};
    er.message.len = slice_utf8_valid(er.message);
    mock_respond_error(call->w, call->ex, &er, 0);
}

/* What is passed on comes back unharmed: a fault strikes an answer of the generator's. */
static bool may_record(const struct mock_call *c) {
    return record_is_on(c->w) && !c->k.fault;
}

static bool missed(struct mock_call *call, const struct capture_norm *n) {
    if (call->o->on_miss == MOCK_MISS_RECORD && may_record(call)) {
        record_start(call);
    } else if (call->o->on_miss == MOCK_MISS_ERROR) {
        answer_miss(call, n);
    } else {
        return false;
    }
    return true;
}

static bool is_ordered(const struct mock_call *c) {
    bool is_said = c->k.fault && !fault_is_on_the_wire(c->k.fault->row);
    return is_said || (c->script && c->script->n_blocks > 0);
}

bool replay_is_on(const struct mock_worker *w) {
    return record_is_on(w) || captures_plays(w->hub->captures);
}

bool replay_answers(struct mock_call *c) {
    struct capture_norm n;
    if (!replay_is_on(c->w) || is_ordered(c)) {
        return false;
    }
    if (!captures_plays(c->w->hub->captures)) {
        if (may_record(c)) {
            record_start(c);
        }
        return !c->k.fault;
    }
    bool is_answered = true;
    int rc = record_norm(c, &n);
    struct capture *found = rc == 0 ? find(c, &n) : NULL;
    if (found) {
        answer_with(c, found);
    } else {
        is_answered = missed(c, &n);
    }
    capture_norm_dispose(&n);
    return is_answered;
}

/* ---- what is no dialect's endpoint ---- */

static bool is_of_api(const struct http_exchange *ex) {
    return slice_starts_with(ex->path, SLICE("/v1/")) && !record_dialect(ex);
}

/* A miss is the mock's own to answer, but for the proxy. */
static bool answer_plain(struct mock_call *c) {
    struct capture_norm n;
    bool plays = captures_plays(c->w->hub->captures);
    int rc = record_norm(c, &n);
    struct capture *found = plays && rc == 0 ? find(c, &n) : NULL;
    bool may_record = !plays || c->o->on_miss == MOCK_MISS_RECORD;
    bool is_recorded = !found && record_is_on(c->w) && may_record;
    if (found || is_recorded) {
        mock_call_journal(c, SLICE_NULL, false);
    }
    if (found) {
        answer_with(c, found);
    } else if (is_recorded) {
        record_start(c);
    }
    capture_norm_dispose(&n);
    return found || is_recorded;
}

bool replay_takes(struct mock_worker *w, struct http_exchange *ex) {
    struct mock_call c;
    if (!is_of_api(ex) || !replay_is_on(w)) {
        return false;
    }
    bool is_taken = !mock_call_begin(&c, w, ex) || answer_plain(&c);
    mock_call_end(&c);
    return is_taken;
}
