/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that are not event streams: whole completions, error bodies, and JSON where a stream was
 * asked for. */
#include <stdio.h>

#include "base/json_scan.h"
#include "gateway/relay.h"

#define WITHHELD "The provider's error text quotes the gateway's own key and is withheld."
#define ERROR_BODY_BYTES ((size_t)256 << 10)

static bool is_success(const struct relay *r) {
    return r->upstream_status >= 200 && r->upstream_status < 300;
}

/* ---- collecting ---- */

static void follow_json(struct json_place *at, struct slice bytes) {
    for (size_t i = 0; i < bytes.len; i++) {
        char c = bytes.ptr[i];
        if (at->is_escaped)
            at->is_escaped = false;
        else if (c == '"')
            at->in_string = !at->in_string;
        else if (at->in_string)
            at->is_escaped = c == '\\';
        else if (c == '{' || c == '[')
            at->depth++;
        else if ((c == '}' || c == ']') && at->depth)
            at->depth--;
    }
}

static void follow_pass(struct relay *r, struct slice bytes) {
    if (r->answer_length < 0)
        follow_json(&r->place, bytes);
}

/* Everything so far goes out in one write: the server's queue takes one call of any size, but no
 * second behind it. */
static void begin_pass(struct relay *r, struct slice bytes) {
    struct slice pieces[] = {buf_slice(&r->held), buf_slice(&r->worker->out), bytes};
    struct out_headers h;
    relay_answer_headers(r, &h);
    out_headers_add(&h, SLICE("content-type"), SLICE("application/json"));
    r->state = AT_PASS;
    r->status = r->upstream_status;
    r->commit = COMMIT_CONTENT;
    http_start(r->ex, &(struct http_response){r->status, h.items, h.count}, r->answer_length);
    for (size_t i = 0; i < 3; i++)
        follow_pass(r, pieces[i]);
    relay_write(r, pieces, 3);
    buf_dispose(&r->held);
    buf_reset(&r->worker->out);
}

static size_t hold_limit(const struct relay *r) {
    size_t max = r->worker->gateway->config->limits.response_bytes;
    return is_success(r) || max < ERROR_BODY_BYTES ? max : ERROR_BODY_BYTES;
}

void relay_whole_bytes(struct relay *r, struct slice bytes) {
    struct buf *out = &r->worker->out;
    if (r->state == AT_WHOLE && r->held.len + out->len + bytes.len > hold_limit(r)) {
        if (!is_success(r) || r->stream || !r->ex) {
            relay_fail(r, FAULT_UPSTREAM_LIMIT, "The provider's answer is larger than limits.response allows here.");
            return;
        }
        begin_pass(r, bytes);
        return;
    }
    if (r->state == AT_PASS) {
        follow_pass(r, bytes);
        if (out->len > LOOP_READ_BYTES)
            relay_flush(r);
    }
    if (buf_append(out, bytes) < 0)
        relay_fail(r, FAULT_UPSTREAM_LIMIT, "The provider's answer is too large.");
}

/* The batch buffer is the worker's: what is not finished in this turn moves out of it. */
void relay_whole_batch_end(struct relay *r) {
    struct buf *out = &r->worker->out;
    if (buf_append(&r->held, buf_slice(out)) < 0)
        relay_fail(r, FAULT_UPSTREAM_LIMIT, "The provider's answer is too large.");
    buf_reset(out);
}

/* ---- errors ---- */

/* OpenAI's own shape passes as it is; everything else is put into it. */
static bool is_canonical_error(struct slice body, const struct api_error *er) {
    struct json_member m;
    return er->raw.len && er->raw.ptr[0] == '{' && er->raw.ptr > slice_trim(body).ptr &&
           json_find_member(er->raw, SLICE("message"), &m) && json_find_member(er->raw, SLICE("type"), &m) &&
           json_find_member(er->raw, SLICE("code"), &m);
}

/* A provider that quotes the credential it was sent would hand the operator's key to the client. */
bool relay_holds_key(const struct relay *r, struct slice text) {
    struct slice key = slice_cstr(r->upstream->config->api_key);
    return key.len > 0 && text.len >= key.len && memmem(text.ptr, text.len, key.ptr, key.len);
}

static void send_error(struct relay *r, unsigned status, const struct api_error *er,
                       struct slice as_is) {
    static const struct api_error withheld = {.message = {WITHHELD, sizeof WITHHELD - 1}, .type = {"server_error", 12}};
    if (relay_holds_key(r, as_is) || relay_holds_key(r, er->message) ||
        relay_holds_key(r, er->raw)) {
        er = &withheld;
        as_is = SLICE_NULL;
    }
    struct buf *edit = &r->worker->edit, *out = &r->worker->out;
    buf_reset(edit);
    buf_reset(out);
    relay_set_end(r, END_UPSTREAM_STATUS);
    r->state = AT_FAILED;
    timer_stop(&r->timer);
    if (r->commit == COMMIT_NONE && as_is.len)
        relay_respond(r, status, as_is);
    else if (r->commit == COMMIT_NONE && dialect_chat.encode_error(er, edit) == 0)
        relay_respond(r, status, buf_slice(edit));
    else if (r->commit != COMMIT_NONE && dialect_chat.encode_error_event(er, NULL, out) == 0)
        relay_end_client(r);
    else
        relay_fail(r, FAULT_UPSTREAM_LIMIT, "The provider's error is too large to pass on.");
}

/* True: the provider does not take the gateway's own key. That is the operator's to mend, and no
 * status for the client. */
static bool key_is_refused(struct relay *r, unsigned status) {
    const struct config_provider *p = r->upstream->config;
    if ((status != 401 && status != 403) || p->auth == AUTH_PASSTHROUGH)
        return false;
    char message[256];
    snprintf(message, sizeof message, "Provider '%s' refused the gateway's own credential (status %u). Check providers.%s.api_key.",
             p->name, status, p->name);
    log_event(LOG_ERROR, "credential refused", LOG_CSTR("provider", p->name), LOG_INT("status", status));
    relay_fail(r, FAULT_UPSTREAM_AUTH, message);
    return true;
}

void relay_first_error(struct relay *r, unsigned status, const char *message) {
    if (key_is_refused(r, status))
        return;
    relay_set_end(r, END_UPSTREAM_ERROR_EVENT);
    struct api_error er = {.status = status,
                           .message = slice_cstr(message),
                           .type = status == 429 ? SLICE("requests") : status < 500 ? SLICE("invalid_request_error") : SLICE("server_error"),
                           .code = status == 429 ? SLICE("rate_limit_exceeded") : SLICE("upstream_error")};
    relay_stop_call(r);
    send_error(r, status, &er, SLICE_NULL);
}

static void upstream_error(struct relay *r, struct slice body) {
    unsigned status = r->upstream_status;
    if (key_is_refused(r, status))
        return;
    struct api_error er = {0};
    dialect_chat.decode_error(status, body, r->ex->arena, &er);
    send_error(r, status, &er, is_canonical_error(body, &er) ? body : SLICE_NULL);
}

/* ---- whole completions ---- */

struct whole_facts {
    struct relay *relay;
    struct encoder *encoder;     /* a stream was asked for: events are encoded as they come */
    struct api_error error;
    bool has_error;
    int failure;
};

/* The event's texts die with it. */
static struct api_error keep_error(struct arena *a, const struct api_error *er) {
    struct api_error kept = *er;
    struct slice *texts[] = {&kept.message, &kept.type, &kept.code, &kept.param, &kept.raw};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i]->ptr)
            *texts[i] = arena_dup(a, *texts[i]);
    return kept;
}

static int on_event(void *self, const struct event *ev) {
    struct whole_facts *f = self;
    struct relay *r = f->relay;
    if (ev->kind == EV_USAGE) {
        r->usage = ev->u.usage;
        r->usage.wire = SLICE_NULL;
        r->has_usage = true;
    } else if (ev->kind == EV_ERROR) {
        f->error = keep_error(r->ex->arena, &ev->u.error);
        f->has_error = true;
    }
    if (f->encoder && ev->kind != EV_ERROR)
        f->failure = dialect_chat.encoder_event(f->encoder, ev, &r->worker->out);
    return f->failure;
}

/* Status 200 with an error inside: never shown as success. */
static void error_in_success(struct relay *r, const struct api_error *er) {
    unsigned status = er->status >= 400 && er->status < 600 ? er->status : 502;
    if (!key_is_refused(r, status))
        send_error(r, status, er, SLICE_NULL);
}

static void finish_stream(struct relay *r, struct slice body) {
    struct whole_facts facts = {.relay = r};
    struct event_sink sink = {on_event, &facts};
    struct encoder_options o = {.created = clock_wall_ns() / NS_PER_S,
                                .include_usage = r->include_usage};
    struct err e = {0};
    facts.encoder = dialect_chat.encoder_new(&o);
    int rc = dialect_chat.decode_response(body, &sink, &e);
    dialect_chat.encoder_free(facts.encoder);
    if (rc < 0) {
        relay_fail(r, FAULT_UPSTREAM_PROTOCOL, "The provider answered a streaming request with something that is neither a stream nor a completion.");
    } else if (facts.has_error) {
        error_in_success(r, &facts.error);
    } else {
        if (r->commit == COMMIT_NONE)
            relay_commit_status(r);
        relay_complete(r, END_OK);
    }
}

static void finish_whole(struct relay *r, struct slice body) {
    struct whole_facts facts = {.relay = r};
    struct event_sink sink = {on_event, &facts};
    struct err e = {0};
    if (dialect_chat.decode_response(body, &sink, &e) < 0) {
        relay_fail(r, FAULT_UPSTREAM_PROTOCOL, "The provider's answer is not a chat completion.");
    } else if (facts.has_error) {
        error_in_success(r, &facts.error);
    } else {
        relay_set_end(r, END_OK);
        r->state = AT_DONE;
        relay_respond(r, r->upstream_status, body);
    }
}

void relay_whole_end(struct relay *r) {
    struct buf *out = &r->worker->out;
    if (r->state == AT_PASS && r->place.depth) {
        relay_fail(r, FAULT_UPSTREAM_CUT, "The provider closed its answer before it was complete.");
        return;
    }
    if (r->state == AT_PASS) {
        relay_complete(r, END_OK);
        return;
    }
    struct slice body = buf_slice(out);
    if (r->held.len || r->stream) {      /* a stream's answer is made in `out` */
        relay_whole_batch_end(r);
        body = buf_slice(&r->held);
    }
    if (r->state == AT_FAILED)
        return;
    if (!is_success(r))
        upstream_error(r, body);
    else if (r->stream)
        finish_stream(r, body);
    else
        finish_whole(r, body);
    buf_reset(out);
}
