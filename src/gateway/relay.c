/* SPDX-License-Identifier: Apache-2.0 */
/* The life of one request: begin, the events of both legs, and its ends. See relay.h for the
 * walk-through. */
#include "gateway/relay.h"

#include <stdio.h>

#include "base/json_scan.h"
#include "dialect/json_text.h"
#include "dialect/peek.h"
#include "dialect/proof.h"
#include "gateway/state.h"

/* How long the upstream may take to finish its framing after the end mark, so that its connection
 * can be reused. */
#define TAIL_NS (1 * NS_PER_S)
/* A worker's batch buffer is given back when one answer made it larger than this. */
#define OUT_KEEP_BYTES ((size_t)256 << 10)
#define FREE_RELAYS 256

/* ---- memory ---- */

size_t relay_transcript_bytes(const struct relay *r) {
    uint64_t max = r->worker->gateway->config->limits.transcript_bytes;
    return max ? max : (size_t)16 << 20;
}

static struct relay *relay_new(struct worker *w, struct http_exchange *ex) {
    struct relay *r = w->free_relays;
    if (r) {
        w->free_relays = r->next;
        w->n_free_relays--;
    } else {
        r = mem_alloc(sizeof *r);
    }
    memset(r, 0, sizeof *r);
    r->worker = w;
    r->ex = ex;
    r->client = r->up = w->match.client;
    r->path = w->match.path;
    r->body = bytes_slice(ex->body);
    r->end = -1;
    r->usage = USAGE_NONE;
    r->start_ns = ex->start_ns;
    r->ready_ns = ex->ready_ns;
    size_t held_bytes = w->gateway->config->limits.response_bytes;
    if (held_bytes < relay_transcript_bytes(r))
        held_bytes = relay_transcript_bytes(r);
    buf_init(&r->held, held_bytes + LOOP_READ_BYTES);
    r->next = w->relays;
    if (r->next)
        r->next->prev = r;
    w->relays = r;
    ex->app = r;
    meter_add(&w->meter->requests_open, 1);
    return r;
}

static void relay_free(struct relay *r) {
    struct worker *w = r->worker;
    relay_record(r);
    timer_stop(&r->timer);
    if (r->decoder) {
        sse_parser_dispose(&r->parser);
        r->up->decoder_free(r->decoder);
    }
    if (r->checker)
        r->up->checker_free(r->checker);
    answer_free(r->answer);
    relay_check_own_free(r);
    relay_leg_free(r);
    if (r->turn)
        state_turn_free(r->turn);
    buf_dispose(&r->held);
    if (r->prev)
        r->prev->next = r->next;
    else
        w->relays = r->next;
    if (r->next)
        r->next->prev = r->prev;
    meter_sub(&w->meter->requests_open, 1);
    atomic_store_explicit(&w->slab_bytes, slab_in_use_bytes(loop_slab(w->loop)),
                          memory_order_relaxed);
    if (r->admitted) {
        atomic_fetch_sub(&w->gateway->streams, 1);
        if (r->stream)
            meter_sub(&w->meter->streams_open, 1);
    }
    if (w->n_free_relays < FREE_RELAYS) {
        r->next = w->free_relays;
        w->free_relays = r;
        w->n_free_relays++;
    } else {
        mem_free(r);
    }
}

static void hold(struct relay *r) {
    r->busy++;
}

static void release(struct relay *r) {
    if (--r->busy == 0 && !r->ex && !r->call && !r->waits)
        relay_free(r);
}

/* ---- ends ---- */

void relay_set_end(struct relay *r, enum end_reason end) {
    if (r->end < 0)
        r->end = (int8_t)end;
}

void relay_stop_call(struct relay *r) {
    http_call_cancel(&r->call);
}

/* no_retry: an SDK should not come again, and nothing says when. */
static void respond(struct relay *r, unsigned status, struct slice body, unsigned retry_after_s,
                    bool no_retry) {
    struct out_headers h;
    char text[16];
    relay_answer_headers(r, &h);
    out_headers_add(&h, SLICE("content-type"), SLICE("application/json"));
    if (retry_after_s) {
        snprintf(text, sizeof text, "%u", retry_after_s);
        out_headers_set(&h, SLICE("retry-after"), slice_cstr(text));
    }
    if (no_retry)
        out_headers_set(&h, SLICE("x-should-retry"), SLICE("false"));
    r->status = status;
    r->commit = COMMIT_END;
    relay_record(r);
    http_respond(r->ex, &(struct http_response){status, h.items, h.count}, body);
}

static void refuse(struct relay *r, enum fault_id id, const char *code, const char *param,
                   const char *message, const char *raw) {
    const struct fault *f = fault_get(id);
    struct api_error er = fault_error(id, r->client, code, param, message);
    struct buf body;
    er.raw = slice_cstr(raw);
    buf_init(&body, 8192);
    er.request_id = slice_cstr(r->request_id);
    if (r->client->encode_error(&er, &body) < 0)
        buf_reset(&body);
    relay_set_end(r, f->end);
    respond(r, er.status, buf_slice(&body), f->retry_after_s, f->no_retry);
    buf_dispose(&body);
}

void relay_refuse(struct relay *r, enum fault_id id, const char *code, const char *param,
                  const char *message) {
    refuse(r, id, code, param, message, NULL);
}

void relay_refuse_request(struct relay *r, const struct request_fault *fault) {
    refuse(r, FAULT_BAD_REQUEST, fault->code, fault->param, fault->message, fault->raw);
}

/* In a stream that is under way: the client's words for an error, behind what it has seen. */
static int append_error_event(struct relay *r, enum fault_id id, const char *message) {
    struct api_error er = fault_error(id, r->client, NULL, NULL, message);
    struct buf *out = &r->worker->out;
    er.request_id = slice_cstr(r->request_id);
    if (!r->leg || !r->leg->encoder)
        return r->client->encode_error_event(&er, r->decoder, out);
    struct event ev = {.kind = EV_ERROR, .u.error = er};
    return r->client->encoder_event(r->leg->encoder, &ev, out);
}

void relay_fail(struct relay *r, enum fault_id id, const char *message) {
    struct worker *w = r->worker;
    if (r->state == AT_WHOLE)
        buf_reset(&w->out);              /* the upstream's words, which nobody has looked at */
    r->state = AT_FAILED;
    relay_set_end(r, fault_get(id)->end);
    relay_stop_call(r);
    timer_stop(&r->timer);
    if (!r->ex)
        return;
    if (r->commit == COMMIT_NONE) {
        buf_reset(&w->out);
        relay_refuse(r, id, NULL, NULL, message);
    } else if (!r->stream || r->in_piece ||
               (!r->saw_error && append_error_event(r, id, message) < 0)) {
        r->commit = COMMIT_ABORTED;
        buf_reset(&w->out);
        http_abort(r->ex);
    } else {
        relay_end_client(r);
    }
}

/* A whole answer's end: the body in one write with its head. */
void relay_respond(struct relay *r, unsigned status, struct slice body) {
    respond(r, status, body, 0, false);
}

void relay_respond_final(struct relay *r, unsigned status, struct slice body) {
    respond(r, status, body, 0, true);
}

void relay_write(struct relay *r, const struct slice *pieces, unsigned n_pieces) {
    struct worker *w = r->worker;
    r->last_out_ns = loop_now_ns(w->loop);
    if (http_write(r->ex, pieces, n_pieces) == 0 && r->call && !r->paused) {
        r->paused = true;
        http_call_pause(r->call);
        meter_add(&w->meter->providers[r->upstream->index].stalls, 1);
    }
}

void relay_flush(struct relay *r) {
    struct worker *w = r->worker;
    if (w->out.len == 0)
        return;
    struct slice piece = buf_slice(&w->out);
    if (r->own_check)
        relay_check_own(r, piece);
    if (r->ex)
        relay_write(r, &piece, 1);
    if (w->out.cap > OUT_KEEP_BYTES)
        buf_dispose(&w->out);
    else
        buf_reset(&w->out);
}

/* The last frames, and the last chunk, in one write. Recorded before, so that a client that has the
 * end finds it counted. */
void relay_end_client(struct relay *r) {
    if (!r->ex)
        return;
    struct http_exchange *ex = r->ex;
    r->commit = COMMIT_END;
    http_cork(ex);
    relay_flush(r);
    if (r->own_check)
        relay_check_own_end(r);
    if (r->ex) {
        if (http_queued_bytes(ex) < OUT_KEEP_BYTES)
            relay_record(r);
        http_end(ex);
    }
}

/* The answer is complete for the client; the upstream may still owe its last chunk. */
void relay_complete(struct relay *r, enum end_reason end) {
    relay_set_end(r, end);
    relay_end_client(r);
    if (r->call) {
        r->state = AT_TAIL;
        if (r->paused)
            http_call_resume(r->call);
        r->paused = false;
        relay_arm(r, loop_now_ns(r->worker->loop) + TAIL_NS);
    } else {
        r->state = AT_DONE;
        timer_stop(&r->timer);
    }
}

/* ---- the timer: what it means depends on the state ---- */

/* The grace counts from when the upstream was last heard or could not be: a slow client is no
 * silence of the upstream's. */
static int64_t grace_end_ns(const struct relay *r, int64_t now_ns) {
    if (r->state != AT_STREAM || !relay_is_ending(r))
        return TIME_NEVER;
    return (r->paused ? now_ns : r->last_in_ns) + FINISH_GRACE_NS;
}

static void on_timer_stream(struct relay *r, int64_t now_ns) {
    const struct config *c = r->worker->gateway->config;
    int64_t grace_ns = grace_end_ns(r, now_ns);
    if (grace_ns <= now_ns) {
        relay_stop_call(r);
        relay_stream_end(r);
        return;
    }
    bool is_held = r->commit == COMMIT_NONE;
    int64_t interval_ns = is_held ? c->timeouts.hold_ns : c->timeouts.heartbeat_ns;
    int64_t since_ns = is_held ? r->ready_ns : r->last_out_ns;
    if (interval_ns && now_ns - since_ns >= interval_ns) {
        relay_heartbeat(r);
        since_ns = now_ns;
        interval_ns = c->timeouts.heartbeat_ns;
    }
    int64_t deadline_ns = interval_ns ? since_ns + interval_ns : TIME_NEVER;
    if (grace_ns < deadline_ns)
        deadline_ns = grace_ns;
    if (deadline_ns != TIME_NEVER && r->ex)
        relay_arm(r, deadline_ns);
}

static void on_timer(struct timer *t, void *self) {
    (void)t;
    struct relay *r = self;
    hold(r);
    switch ((enum attempt_state)r->state) {
    case AT_HEAD:
    case AT_FIRST:
    case AT_STREAM:
        on_timer_stream(r, loop_now_ns(r->worker->loop));
        break;
    case AT_TAIL:
        r->state = AT_DONE;
        relay_stop_call(r);
        break;
    case AT_DRAIN:
        r->state = AT_CANCELLED;
        relay_stop_call(r);
        break;
    case AT_WHOLE: /* JSON for a stream; an error keeps its status, whatever the wait */
        if (r->upstream_status < 300)
            on_timer_stream(r, loop_now_ns(r->worker->loop));
        break;
    case AT_PICK:
    case AT_PASS:
    case AT_COLLECT:
    case AT_DONE:
    case AT_FAILED:
    case AT_CANCELLED:
        break;
    }
    release(r);
}

void relay_arm(struct relay *r, int64_t deadline_ns) {
    loop_timer_start(r->worker->loop, &r->timer, deadline_ns, on_timer, r);
}

/* ---- the client's leg ---- */

void relay_on_writable(struct relay *r) {
    hold(r);
    if (r->paused && r->call) {
        r->paused = false;
        r->last_in_ns = loop_now_ns(r->worker->loop);
        http_call_resume(r->call);
    }
    release(r);
}

void relay_on_done(struct relay *r) {
    hold(r);
    r->ex = NULL;
    relay_record(r);
    release(r);
}

static void begin_drain(struct relay *r) {
    r->state = AT_DRAIN;
    if (r->paused)
        http_call_resume(r->call);
    r->paused = false;
    relay_arm(r, loop_now_ns(r->worker->loop) + r->upstream->config->drain_time_ns);
}

void relay_on_cancel(struct relay *r) {
    hold(r);
    r->ex = NULL;
    bool may_drain = r->call && (r->state == AT_FIRST || r->state == AT_STREAM) &&
                     r->upstream->config->on_client_gone == CLIENT_GONE_DRAIN;
    if (r->end == END_OK && !r->recorded)
        r->end = -1;                     /* all was said, but not all was taken */
    relay_set_end(r, END_CLIENT_GONE);
    if (may_drain) {
        begin_drain(r);
    } else if (r->state != AT_TAIL) {
        r->state = AT_CANCELLED;
        timer_stop(&r->timer);
        relay_stop_call(r);
        relay_record(r);
    }
    release(r);
}

void relay_cut(struct relay *r) {
    hold(r);
    if (r->ex && r->commit != COMMIT_END) {
        atomic_fetch_add(&r->worker->gateway->cut_streams, 1);
        relay_fail(r, FAULT_DRAINING, "The gateway is shutting down and cannot wait for the rest of this answer.");
    } else {
        relay_stop_call(r);
    }
    release(r);
}

/* ---- the upstream's leg ---- */

static bool is_type(const struct http_answer *a, struct slice type) {
    struct slice got = http_headers_get(&a->headers, SLICE("content-type"));
    return slice_eq_nocase(slice_sub(got, 0, type.len), type);
}

static void fail_head(struct relay *r, const char *format, unsigned status) {
    char message[256];
    int n = snprintf(message, sizeof message, "Provider '%s' answered with ", r->upstream->config->name);
    snprintf(message + n, sizeof message - (size_t)n, format, status);
    relay_fail(r, FAULT_UPSTREAM_PROTOCOL, message);
}

static void on_good_head(struct relay *r, const struct http_answer *a) {
    if (is_type(a, SLICE("text/html"))) {
        fail_head(r, "a web page (status %u). Check its base_url.", a->status);
    } else if (r->as_is) {
        r->passes_events = is_type(a, SLICE("text/event-stream"));
        r->state = AT_WHOLE;
    } else if (r->stream && !is_type(a, SLICE("application/json"))) {
        r->state = AT_FIRST;
        relay_stream_open(r);
    } else if (!r->stream && !r->passes && is_type(a, SLICE("text/event-stream"))) {
        r->state = AT_COLLECT;
        relay_collect_open(r);
    } else {
        r->state = AT_WHOLE;
    }
}

static void on_head(void *self, const struct http_answer *a) {
    struct relay *r = self;
    hold(r);
    r->upstream_status = a->status;
    r->answer_length = a->was_encoded ? -1 : a->content_length;
    if (r->leg)
        buf_dispose(&r->leg->request);
    if (r->ex)
        relay_keep_headers(r, &a->headers);
    if (a->status >= 300 && a->status < 400)
        fail_head(r, "a redirect (%u), which is not followed. Check its base_url.", a->status);
    else if (a->status < 300)
        on_good_head(r, a);
    else
        r->state = AT_WHOLE;
    release(r);
}

static void on_body(void *self, struct slice bytes) {
    struct relay *r = self;
    hold(r);
    switch ((enum attempt_state)r->state) {
    case AT_FIRST:
    case AT_STREAM:
    case AT_DRAIN:
        relay_stream_bytes(r, bytes);
        break;
    case AT_WHOLE:
    case AT_PASS:
        relay_whole_bytes(r, bytes);
        break;
    case AT_COLLECT:
        relay_collect_bytes(r, bytes);
        break;
    case AT_PICK:
    case AT_HEAD:
    case AT_TAIL:
    case AT_DONE:
    case AT_FAILED:
    case AT_CANCELLED:
        break;
    }
    release(r);
}

static void on_batch_end(void *self) {
    struct relay *r = self;
    hold(r);
    if (r->state == AT_WHOLE)
        relay_whole_batch_end(r);
    else
        relay_flush(r);
    release(r);
}

static void on_end(void *self) {
    struct relay *r = self;
    hold(r);
    r->call = NULL;
    switch ((enum attempt_state)r->state) {
    case AT_FIRST:
    case AT_STREAM:
        relay_stream_end(r);
        break;
    case AT_WHOLE:
    case AT_PASS:
        relay_whole_end(r);
        break;
    case AT_COLLECT:
        relay_collect_end(r);
        break;
    case AT_TAIL:
    case AT_DRAIN:
        r->state = AT_DONE;
        timer_stop(&r->timer);
        break;
    case AT_PICK:
    case AT_HEAD:
    case AT_DONE:
    case AT_FAILED:
    case AT_CANCELLED:
        break;
    }
    release(r);
}

static void on_fail(void *self, const struct err *e, bool any_answer_byte) {
    struct relay *r = self;
    hold(r);
    r->call = NULL;
    if (r->state == AT_TAIL || r->state == AT_DRAIN) {
        r->state = AT_DONE;
        timer_stop(&r->timer);
    } else {
        char message[ERR_TEXT_BYTES + 80];
        snprintf(message, sizeof message, "Provider '%s' failed: %s", r->upstream->config->name, e->text);
        relay_fail(r, fault_of_call(e, any_answer_byte), message);
    }
    release(r);
}

const struct http_call_callbacks relay_call_callbacks = {.on_head = on_head,
                                                         .on_body = on_body,
                                                         .on_batch_end = on_batch_end,
                                                         .on_end = on_end,
                                                         .on_fail = on_fail};

/* ---- identity and admission ---- */

static bool is_request_id(struct slice s) {
    if (s.len == 0 || s.len >= REQUEST_ID_BYTES)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == '.' || c == ':';
        if (!ok)
            return false;
    }
    return true;
}

static void set_request_id(struct relay *r) {
    struct slice given = http_headers_get(&r->ex->headers, SLICE("x-request-id"));
    if (is_request_id(given)) {
        memcpy(r->request_id, given.ptr, given.len);
        return;
    }
    memcpy(r->request_id, "req_", 4);
    rng_base62(loop_rng(r->worker->loop), r->request_id + 4, 22);
}

static bool admit(struct relay *r) {
    struct gateway *g = r->worker->gateway;
    uint64_t max = g->config->limits.max_streams;
    uint64_t before = atomic_fetch_add(&g->streams, 1);
    if (max && before >= max) {
        atomic_fetch_sub(&g->streams, 1);
        relay_refuse(r, FAULT_OVERLOAD, NULL, NULL, "Too many requests are in flight (limits.max_streams). Try again.");
        return false;
    }
    r->admitted = true;
    if (r->stream)
        meter_add(&r->worker->meter->streams_open, 1);
    return true;
}

static void refuse_model(struct relay *r, struct slice model) {
    char message[300];
    snprintf(message, sizeof message,
             "The model `%.*s` does not exist or no provider is configured for it. GET /v1/models lists what is served.",
             SLICE_FMT(slice_sub(model, 0, 128)));
    relay_refuse(r, FAULT_MODEL_NOT_FOUND, NULL, "model", message);
}

/* ---- the body ---- */

/* Azure's clients may name the model in the path alone. */
static void put_model(struct relay *r) {
    struct arena *a = r->ex->arena;
    struct slice model, body = r->body;
    struct json_member m;
    struct buf made;
    ptrdiff_t open = slice_index(body, '{');
    if (!r->worker->match.model.len || open < 0 || json_find_member(body, SLICE("model"), &m) ||
        !url_decode(r->worker->match.model, a, &model))
        return;
    size_t at = json_text_skip_space(body, (size_t)open + 1);
    bool is_empty = at < body.len && body.ptr[at] == '}';
    buf_init(&made, body.len + 8 * model.len + 64);
    int rc = buf_append(&made, slice_sub(body, 0, (size_t)open));
    rc |= buf_append(&made, SLICE("{\"model\":\""));
    rc |= json_escape(&made, model);
    rc |= buf_append(&made, is_empty ? SLICE("\"") : SLICE("\","));
    rc |= buf_append(&made, slice_from(body, (size_t)open + 1));
    if (rc == 0)
        r->body = arena_dup(a, buf_slice(&made));
    buf_dispose(&made);
}

/* Of an endpoint without a dialect only the model is looked at. */
static int peek_model_only(struct relay *r, struct envelope *env, struct request_fault *fault) {
    static const char *const names[] = {"model"};
    struct peek p = {
        .body = r->body, .a = r->ex->arena, .fault = fault, .names = names, .n_names = 1};
    *env = (struct envelope){.n = 1, .max_tokens = -1, .store = -1};
    int rc = peek_scan(&p);
    if (rc)
        return rc;
    peek_root(&p, env);
    if (!p.values[0].ptr && slice_eq(r->path, SLICE("/moderations"))) {
        env->model = SLICE("omni-moderation-latest");   /* what OpenAI takes it for */
        return 0;
    }
    return peek_model(&p, 0, env);
}

static int peek_body(struct relay *r, struct envelope *env) {
    struct request_fault fault = {0};
    put_model(r);
    int rc = r->passes ? peek_model_only(r, env, &fault)
                       : r->client->peek_request(r->body, r->ex->arena, env, &fault);
    if (rc < 0)
        relay_refuse_request(r, &fault);
    return rc;
}

/* ---- begin ---- */

/* Peeked, routed and let in; false: refused, and answered. */
static bool route(struct relay *r, struct envelope *env) {
    struct worker *w = r->worker;
    if (peek_body(r, env) < 0)
        return false;
    memcpy(r->model, env->model.ptr,
           env->model.len < MODEL_BYTES ? env->model.len : MODEL_BYTES - 1);
    r->stream = env->stream;
    const struct config_model *m = config_route(w->gateway->config, env->model);
    if (!m) {
        refuse_model(r, env->model);
        return false;
    }
    r->upstream = &w->gateway->upstreams[m->targets[0].provider];
    r->upstream_model = m->targets[0].model;
    return admit(r);
}

static void send_up(struct relay *r, const struct envelope *env) {
    const struct config *c = r->worker->gateway->config;
    struct err e = {0};
    if (relay_send(r, env, r->upstream_model, &e) < 0) {
        relay_fail(r, FAULT_INTERNAL, e.text);
        return;
    }
    r->state = AT_HEAD;
    if (r->stream && c->timeouts.hold_ns)
        relay_arm(r, r->ready_ns + c->timeouts.hold_ns);
}

static uint8_t count_choices(int64_t n) {
    return n < 1 ? 1 : n > UINT8_MAX ? UINT8_MAX : (uint8_t)n;
}

static void go(struct relay *r, const struct envelope *env) {
    r->include_usage = env->include_usage;
    r->n_choices = count_choices(env->n);
    r->strip_usage = r->stream && r->up == r->client && r->up->strip_usage &&
                     !env->include_usage && r->upstream->config->metering == METERING_INJECT;
    if (r->up == r->client || relay_translate(r, r->upstream_model))
        send_up(r, env);
}

/* "signature": "", wherever it stands. */
static bool has_empty_signature(struct slice body) {
    static const char key[] = "\"signature\"";
    for (const char *found; (found = memmem(body.ptr, body.len, key, sizeof key - 1));) {
        body = slice_from(body, (size_t)(found - body.ptr) + sizeof key - 1);
        size_t at = json_text_skip_space(body, 0);
        if (at < body.len && body.ptr[at] == ':' &&
            slice_starts_with(slice_from(body, json_text_skip_space(body, at + 1)), SLICE("\"\"")))
            return true;
    }
    return false;
}

/* Other servers that speak Messages sign no thoughts, and want them back like that; Anthropic's own
 * refuses them. */
static bool has_unsigned_thoughts(const struct relay *r) {
    return r->client == &dialect_messages &&
           strcmp(r->upstream->config->preset->name, "anthropic") == 0 &&
           has_empty_signature(r->body);
}

static bool has_wrapped_proofs(const struct relay *r) {
    return r->client != &dialect_completions &&
           memmem(r->body.ptr, r->body.len, PROOF_PREFIX, sizeof PROOF_PREFIX - 1);
}

/* A conversation may have been with another provider before: its proofs of reasoning are not this
 * one's, though the dialect is. True: go on. */
static bool strip_strangers(struct relay *r, struct envelope *env) {
    if (r->up != r->client || (!has_wrapped_proofs(r) && !has_unsigned_thoughts(r)))
        return true;
    return relay_readdress_proofs(r) && peek_body(r, env) == 0;
}

static void start(struct relay *r) {
    struct envelope env;
    if (!route(r, &env))
        return;
    r->up = provider_dialect(r->upstream->config, r->client);
    r->path = slice_cstr(r->up->path);
    if (!strip_strangers(r, &env))
        return;
    if (!slice_eq(slice_cstr(r->client->name), SLICE("responses"))) {
        go(r, &env);
        return;
    }
    struct slice body = r->body;
    enum state_step step = state_resolve(r, &env);
    r->waits = step == STATE_WAIT;
    if (step == STATE_GO && (r->body.ptr == body.ptr || peek_body(r, &env) == 0))
        go(r, &env);
}

void relay_resume(struct relay *r, bool refused) {
    struct envelope env;
    hold(r);
    r->waits = false;
    if (r->ex && !refused && r->state == AT_PICK && peek_body(r, &env) == 0)
        go(r, &env);
    release(r);
}

static void start_pass(struct relay *r) {
    struct envelope env;
    if (!route(r, &env))
        return;
    const struct config_provider *p = r->upstream->config;
    bool has_it = slice_eq(r->path, SLICE("/embeddings")) ? p->has_embeddings : p->has_moderations;
    if (!has_it) {
        char message[256];
        snprintf(message, sizeof message, "Provider '%s', which serves the model `%s`, has no %.*s.",
                 p->name, r->model, SLICE_FMT(r->path));
        relay_refuse(r, FAULT_BAD_REQUEST, NULL, "model", message);
        return;
    }
    send_up(r, &env);
}

static void start_count(struct relay *r) {
    struct envelope env;
    if (!route(r, &env))
        return;
    if (provider_dialect(r->upstream->config, r->client) != r->client) {
        relay_count_locally(r);
        return;
    }
    r->path = slice_cstr(arena_printf(r->ex->arena, "%s/count_tokens", r->client->path));
    send_up(r, &env);
}

static void begin(struct worker *w, struct http_exchange *ex, bool passes,
                  void (*start_it)(struct relay *r)) {
    struct relay *r = relay_new(w, ex);
    hold(r);
    r->passes = passes;
    set_request_id(r);
    start_it(r);
    release(r);
}

void relay_begin_on(struct worker *w, struct http_exchange *ex, const struct upstream *u) {
    w->match = endpoint_find(ex);
    struct relay *r = relay_new(w, ex);
    struct envelope env = {.n = 1};
    hold(r);
    r->passes = r->as_is = true;
    set_request_id(r);
    r->upstream = u;
    if (admit(r))
        send_up(r, &env);
    release(r);
}

void relay_begin(struct worker *w, struct http_exchange *ex) {
    begin(w, ex, false, start);
}

void relay_begin_pass(struct worker *w, struct http_exchange *ex) {
    begin(w, ex, true, start_pass);
}

void relay_begin_count(struct worker *w, struct http_exchange *ex) {
    begin(w, ex, true, start_count);
}
