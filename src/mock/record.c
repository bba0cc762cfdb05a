/* SPDX-License-Identifier: Apache-2.0 */
/* One exchange through the proxy.
 *
 *   WAITING ──head──▶ PASSING ──end, fail──▶ (ENDING: what is queued goes out first) ──▶ over
 *
 * The capture is complete, and given away, before the client can see the end. */
#include "mock/record-private.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "mock/journal.h"
#include "mock/mock_clock.h"

enum { MAX_HEADERS = CAPTURE_MAX_HEADERS + 4, TIMEOUT_S = 600, ERROR_BYTES = 16384 };

struct record {
    struct owner owner;                  /* first: an exchange's app pointer is looked at as one */
    struct mock_worker *worker;
    struct http_exchange *ex;
    struct http_call *call;
    struct arena *arena;                 /* of what is sent */
    struct slice body;
    struct capture *capture;             /* NULL: nothing is kept, or it is given away */
    struct scrub_secrets secrets;
    int64_t start_ns;                    /* loop time */
    uint32_t read;                       /* counts the reads of the answer */
    bool is_in_read, is_paused;
    bool is_ending;                      /* the connection is cut once all is out */
    bool resets;                         /* with RST */
    bool has_head, has_body, is_broken;
    unsigned status;
    uint64_t journal;
    struct head_facts facts;
};

/* ---- the capture ---- */

static int64_t since_start(const struct record *r) {
    return loop_now_ns(r->worker->loop) - r->start_ns;
}

static void capture_finish(struct record *r, enum capture_end end, const char *why) {
    struct capture *c = r->capture;
    if (!c) {
        return;
    }
    c->end = c->end == CAPTURE_TRUNCATED ? CAPTURE_TRUNCATED : end;
    c->end_ns = since_start(r);
    if (why) {
        char *text = arena_printf(c->arena, "%s", why);
        bool is_shown = captures_scrub_text(r->worker->hub->captures, &r->secrets, text,
                                            strlen(text));
        c->why = is_shown ? slice_cstr(text) : SLICE("");
    }
    captures_save(r->worker->hub->captures, &r->capture, &r->secrets);
}

static void capture_request(struct record *r, const struct mock_call *call) {
    const struct http_exchange *ex = r->ex;
    struct capture *c = capture_new();
    struct capture_norm n;
    struct slice model = record_dialect(ex) ? call->rq.env.model : SLICE("");
    c->dialect = record_dialect(ex);
    c->path = arena_dup(c->arena, api_path(ex->path));
    c->created_s = mock_wall_ns(r->worker) / NS_PER_S;
    c->model = arena_dup(c->arena, model);
    c->stream = c->dialect && call->rq.env.stream;
    c->method = arena_dup(c->arena, slice_cstr(http_method_name(ex->method)));
    c->target = arena_dup(c->arena, ex->target);
    c->request_body = arena_dup(c->arena, bytes_slice(ex->body));
    capture_set_headers(c, &ex->headers, true);
    if (record_norm(call, &n) == 0) {
        capture_norm_key(&n, c->key);
    }
    capture_norm_dispose(&n);
    char *shown = (char *)(uintptr_t)c->model.ptr;
    if (!captures_scrub_text(r->worker->hub->captures, &r->secrets, shown, c->model.len)) {
        c->model = SLICE("");
    }
    r->capture = c;
}

static void capture_head(struct record *r, const struct http_answer *answer) {
    struct capture *c = r->capture;
    if (!c) {
        return;
    }
    c->status = answer->status;
    c->http_minor = answer->version_minor;
    c->was_encoded = answer->was_encoded;
    c->head_ns = since_start(r);
    capture_set_headers(c, &answer->headers, false);
    captures_name(r->worker->hub->captures, c);
}

/* ---- the end ---- */

static void close_journal(struct record *r, enum journal_end end) {
    const struct journal_answer a = {.status = r->status, .tokens_in = -1, .tokens_out = -1,
                                     .first_token_ns = -1, .duration_ns = since_start(r),
                                     .end = end};
    journal_close(r->worker->hub->journal, r->journal, &a);
}

static void note_request_id(struct record *r, const struct http_answer *answer) {
    const struct journal_notes notes = {.request_id = capture_request_id(&answer->headers)};
    journal_note(r->worker->hub->journal, r->journal, &notes);
}

static void note_response_id(struct record *r, struct slice first_piece) {
    const struct journal_notes notes = {.response_id = capture_response_id(first_piece, r->arena)};
    journal_note(r->worker->hub->journal, r->journal, &notes);
}

/* r is gone afterwards. */
static void cut(struct record *r) {
    http_end_raw(r->ex, r->resets ? HTTP_RAW_RST : HTTP_RAW_DROP);
}

static void record_ended(struct owner *self, bool is_cancelled) {
    struct record *r = (struct record *)self;
    struct hub *hub = r->worker->hub;
    http_call_cancel(&r->call);
    if (r->has_head) {
        capture_finish(r, CAPTURE_CUT, "the client left");
    }
    close_journal(r, is_cancelled   ? JOURNAL_CANCELLED
                     : r->is_broken ? JOURNAL_BROKEN : JOURNAL_COMPLETED);
    capture_unref(&r->capture);
    arena_free(r->arena);
    mem_free(r);
    hub_count(hub, COUNT_OPEN, -1);
    hub_count(hub, is_cancelled ? COUNT_CANCELLED : COUNT_COMPLETED, 1);
}

static void record_writable(struct owner *self) {
    struct record *r = (struct record *)self;
    if (r->is_ending) {
        cut(r);
    } else if (r->is_paused && r->call) {
        r->is_paused = false;
        http_call_resume(r->call);
    }
}

static const struct owner_ops record_ops = {.writable = record_writable, .ended = record_ended};

/* ---- the answer ---- */

static bool is_passed_back(const struct http_answer *answer, struct slice name) {
    bool is_code = answer->was_encoded && slice_eq_nocase(name, SLICE("content-encoding"));
    return !is_code && !slice_eq_nocase(name, SLICE("content-length")) &&
           !http_header_is_hop_by_hop(&answer->headers, name) &&
           !slice_eq_nocase(name, SLICE("x-penstock-mock")) &&
           !slice_eq_nocase(name, SLICE("x-penstock-capture"));
}

static void start_answer(struct record *r, const struct http_answer *answer) {
    struct http_header items[MAX_HEADERS];
    unsigned n = 0;
    for (unsigned i = 0; i < answer->headers.count && n < CAPTURE_MAX_HEADERS; i++) {
        if (is_passed_back(answer, answer->headers.items[i].name)) {
            items[n++] = answer->headers.items[i];
        }
    }
    items[n++] = (struct http_header){SLICE("x-penstock-mock"), SLICE("1")};
    if (r->capture) {
        struct slice file = slice_cstr(r->capture->file);
        items[n++] = (struct http_header){SLICE("x-penstock-capture"), file};
    }
    struct slice origin = SLICE("access-control-allow-origin");
    if (r->facts.cors[0] && !http_headers_get(&answer->headers, origin).ptr) {
        items[n++] = (struct http_header){origin, slice_cstr(r->facts.cors)};
    }
    struct http_response response = {answer->status, items, n};
    http_start(r->ex, &response, answer->content_length);
}

static void on_head(void *self, const struct http_answer *answer) {
    struct record *r = self;
    r->status = answer->status;
    r->has_head = true;
    capture_head(r, answer);
    note_request_id(r, answer);
    start_answer(r, answer);
    http_exchange_drop_request(r->ex);
    http_flush_head(r->ex);
}

/* Pieces of one read leave in one write, each as a chunk of its own. */
static void on_body(void *self, struct slice bytes) {
    struct record *r = self;
    if (!r->is_in_read) {
        r->is_in_read = true;
        r->read++;
        http_cork(r->ex);
    }
    if (!r->has_body) {
        r->has_body = true;
        note_response_id(r, bytes);
    }
    if (r->capture) {
        capture_add_chunk(r->capture, since_start(r), r->read, bytes);
    }
    if (http_write(r->ex, &bytes, 1) < 0) {
        return;                          /* the client has left: `ended` follows */
    }
}

static void on_batch_end(void *self) {
    struct record *r = self;
    r->is_in_read = false;
    if (http_uncork(r->ex) == 0 && r->call) {
        r->is_paused = true;
        http_call_pause(r->call);
    }
}

static void on_end(void *self) {
    struct record *r = self;
    r->call = NULL;
    capture_finish(r, CAPTURE_COMPLETE, NULL);
    http_end(r->ex);
}

/* In the words of the API, but with a gateway's own status. */
static void respond_error(struct record *r, const struct api_error *er) {
    const struct api *api = api_of(r->ex);
    struct header_set set;
    struct api_error told = *er;
    struct buf body;
    buf_init(&body, ERROR_BYTES);
    header_set_init(r->worker, &set, api, SLICE("application/json"), &r->facts);
    if (api->is_anthropic) {
        api->dialect->translate_error(er, &told);
        told.request_id = slice_make(set.id_space, WORKER_ID_BYTES);
    }
    if (api->dialect->encode_error(&told, &body) < 0) {
        buf_reset(&body);
    }
    struct http_response response = {er->status, set.items, set.count};
    http_respond(r->ex, &response, buf_slice(&body));
    buf_dispose(&body);
}

static void answer_failure(struct record *r, const struct err *e) {
    char text[ERR_TEXT_BYTES + 128];
    snprintf(text, sizeof text, "The upstream %.*s did not answer: %s",
             SLICE_FMT(slice_sub(r->worker->hub->upstream->origin.scheme_host, 0, 60)), e->text);
    struct api_error er = {.status = e->kind == ERR_TIMEOUT ? 504 : 502,
                           .message = slice_cstr(text),
                           .type = SLICE("server_error"),
                           .code = SLICE("upstream_error")};
    r->status = er.status;
    capture_unref(&r->capture);
    er.message.len = slice_utf8_valid(er.message);
    respond_error(r, &er);
}

static void on_fail(void *self, const struct err *e, bool any_answer_byte) {
    struct record *r = self;
    (void)any_answer_byte;
    r->call = NULL;
    if (!r->has_head) {
        answer_failure(r, e);
        return;
    }
    r->is_broken = true;
    r->resets = e->kind == ERR_CLOSED && e->os_errno != 0;
    capture_finish(r, r->resets ? CAPTURE_RESET : CAPTURE_CUT, e->text);
    int rc = http_uncork(r->ex);
    if (rc > 0) {
        cut(r);
    } else if (rc == 0) {
        r->is_ending = true;
    }
}

/* ---- the request ---- */

static void send_request(struct record *r, const struct mock_call *c) {
    static const struct http_call_callbacks callbacks = {.on_head = on_head,
                                                         .on_body = on_body,
                                                         .on_batch_end = on_batch_end,
                                                         .on_end = on_end,
                                                         .on_fail = on_fail};
    const struct upstream *u = r->worker->hub->upstream;
    const struct http_exchange *ex = r->ex;
    struct http_header *headers;
    unsigned n = record_headers(u, ex, c->api, r->arena, &headers);
    r->body = arena_dup(r->arena, bytes_slice(ex->body));
    const struct http_call_request rq = {
        .method = ex->method == HTTP_METHOD_HEAD ? HTTP_METHOD_GET : ex->method,
        .target = record_target(u, ex, r->arena),
        .headers = headers,
        .n_headers = n,
        .body = &r->body,
        .n_body = r->body.len > 0,
        .first_byte_timeout_ns = TIMEOUT_S * NS_PER_S,
        .idle_timeout_ns = TIMEOUT_S * NS_PER_S};
    r->call = http_call_start(record_pool(r->worker), &rq, &callbacks, r);
}

/* One secret that is not hidden is too many. */
static bool may_keep(const struct record *r) {
    if (r->secrets.has_more) {
        log_event(LOG_ERROR, "an exchange is not recorded: its request has too many secrets",
                  LOG_INT("most", SCRUB_MAX_SECRETS));
    }
    return !r->secrets.has_more;
}

void record_start(struct mock_call *c) {
    struct mock_worker *w = c->w;
    struct record *r = mem_zalloc(sizeof *r);
    r->owner.ops = &record_ops;
    r->worker = w;
    r->ex = c->ex;
    r->arena = arena_new();
    r->start_ns = loop_now_ns(w->loop);
    r->journal = c->journal;
    r->facts = c->facts;
    record_secrets(w->hub->upstream, c->ex, r->arena, &r->secrets);
    for (unsigned i = 0; i < r->secrets.n; i++) {
        r->secrets.items[i] = arena_dup(r->arena, r->secrets.items[i]);
    }
    if (captures_records(w->hub->captures) && may_keep(r)) {
        capture_request(r, c);
    }
    c->is_passed_on = true;
    c->ex->app = r;
    journal_note(w->hub->journal, c->journal,
                 &(struct journal_notes){.answered_by = r->capture ? "record" : "upstream"});
    hub_count(w->hub, COUNT_STARTED, 1);
    hub_count(w->hub, COUNT_OPEN, 1);
    send_request(r, c);
}
