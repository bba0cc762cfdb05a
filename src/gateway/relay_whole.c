/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that are not event streams: whole ones, error bodies, and JSON where a stream was asked
 * for. */
#include <stdio.h>

#include "base/json_scan.h"
#include "gateway/state.h"

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
    out_headers_add(&h, SLICE("content-type"), r->passes_events ? SLICE("text/event-stream; charset=utf-8") : SLICE("application/json"));
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
    if (is_success(r) && r->leg)
        return relay_transcript_bytes(r);
    return is_success(r) || max < ERROR_BODY_BYTES ? max : ERROR_BODY_BYTES;
}

void relay_whole_bytes(struct relay *r, struct slice bytes) {
    struct buf *out = &r->worker->out;
    if (r->state == AT_WHOLE && r->passes_events && r->ex) {
        begin_pass(r, bytes);
        return;
    }
    if (r->state == AT_WHOLE && r->held.len + out->len + bytes.len > hold_limit(r)) {
        if (!is_success(r) || r->stream || r->leg || !r->ex) {
            relay_fail(r, FAULT_UPSTREAM_LIMIT, r->leg ? "The provider's answer is larger than limits.transcript allows." : "The provider's answer is larger than limits.response allows here.");
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

static bool has_members(struct slice object, const char *const *names) {
    struct json_member m;
    for (; *names; names++)
        if (!json_find_member(object, slice_cstr(*names), &m))
            return false;
    return true;
}

/* The dialect's own shape passes as it is; everything else is put into it. */
static bool is_canonical_error(const struct relay *r, struct slice body,
                               const struct api_error *er) {
    static const char *const openai[] = {"message", "type", "code", NULL},
                             *const anthropic[] = {"message", "type", NULL};
    bool is_anthropic = dialect_is_anthropic(r->client);
    struct json_member m;
    if (r->up != r->client || !er->raw.len || er->raw.ptr[0] != '{' ||
        er->raw.ptr <= slice_trim(body).ptr)
        return false;
    if (is_anthropic && (!json_find_member(body, SLICE("type"), &m) ||
                         !slice_eq(m.value, SLICE("\"error\""))))
        return false;
    return has_members(er->raw, is_anthropic ? anthropic : openai);
}

/* A provider that quotes the credential it was sent would hand the operator's key to the client. */
bool relay_holds_key(const struct relay *r, struct slice text) {
    struct slice key = slice_cstr(r->upstream->config->api_key);
    return key.len > 0 && text.len >= key.len && memmem(text.ptr, text.len, key.ptr, key.len);
}

/* In the client's words, status included; none of an error: 502. What a compatible server of the
 * client's own dialect says stays, unless its status is Anthropic's. */
static struct api_error client_error(const struct relay *r, const struct api_error *er) {
    struct api_error in = *er, out;
    if (in.status < 400 || in.status > 599)
        in.status = 502;
    out = in;
    if (r->up != r->client || dialect_is_anthropic(r->client) || in.status == 529)
        dialect_translate_error(r->client, &in, &out);
    out.request_id = slice_cstr(r->request_id);
    return out;
}

/* A quota that is used up does not come back with waiting. */
static void respond_error(struct relay *r, const struct api_error *er, struct slice body) {
    bool is_final = r->up != r->client && er->status == 429 &&
                    slice_eq(er->code, SLICE("insufficient_quota"));
    if (!is_final) {
        relay_respond(r, er->status, body);
        return;
    }
    struct out_headers *h = r->upstream_headers;
    for (unsigned i = 0; h && i < h->count; i++)
        if (slice_eq_nocase(slice_sub(h->items[i].name, 0, 11), SLICE("retry-after")))
            h->items[i--] = h->items[--h->count];
    relay_respond_final(r, er->status, body);
}

static int append_error_event(struct relay *r, const struct api_error *er) {
    struct event ev = {.kind = EV_ERROR, .u.error = *er};
    if (r->leg && r->leg->encoder)
        return r->client->encoder_event(r->leg->encoder, &ev, &r->worker->out);
    return r->client->encode_error_event(er, NULL, &r->worker->out);
}

static void send_error(struct relay *r, const struct api_error *er, struct slice as_is) {
    static const struct api_error withheld = {.message = {WITHHELD, sizeof WITHHELD - 1}, .type = {"server_error", 12}};
    struct api_error theirs = *er;
    if (relay_holds_key(r, as_is) || relay_holds_key(r, er->message) ||
        relay_holds_key(r, er->raw) || relay_holds_key(r, er->type) ||
        relay_holds_key(r, er->code) || relay_holds_key(r, er->param)) {
        theirs = withheld;
        theirs.status = er->status;
        as_is = SLICE_NULL;
    }
    theirs = client_error(r, &theirs);
    struct buf *edit = &r->worker->edit, *out = &r->worker->out;
    buf_reset(edit);
    buf_reset(out);
    relay_set_end(r, END_UPSTREAM_STATUS);
    r->state = AT_FAILED;
    timer_stop(&r->timer);
    if (r->commit == COMMIT_NONE && as_is.len)
        respond_error(r, &theirs, as_is);
    else if (r->commit == COMMIT_NONE && r->client->encode_error(&theirs, edit) == 0)
        respond_error(r, &theirs, buf_slice(edit));
    else if (r->commit != COMMIT_NONE && append_error_event(r, &theirs) == 0)
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

/* The event's texts die with it. */
struct api_error relay_keep_error(struct arena *a, const struct api_error *er) {
    struct api_error kept = *er;
    struct slice *texts[] = {&kept.message, &kept.type, &kept.code,
                             &kept.param,   &kept.raw,  &kept.request_id};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i]->ptr)
            *texts[i] = arena_dup(a, *texts[i]);
    return kept;
}

static void upstream_error(struct relay *r, struct slice body) {
    unsigned status = r->upstream_status;
    if (key_is_refused(r, status))
        return;
    struct api_error er = {0};
    r->up->decode_error(status, body, r->ex->arena, &er);
    er.status = status;
    /* 529 is Anthropic's own: others get another status, and words that fit it */
    bool is_known = status != 529 || dialect_is_anthropic(r->client);
    send_error(r, &er, is_known && is_canonical_error(r, body, &er) ? body : SLICE_NULL);
}

/* Never shown as success. */
void relay_error_in_success(struct relay *r, const struct api_error *er) {
    struct api_error theirs = *er;
    if (theirs.status < 400 || theirs.status > 599)
        theirs.status = 502;
    if (key_is_refused(r, theirs.status))
        return;
    if (r->state == AT_FIRST)
        relay_set_end(r, END_UPSTREAM_ERROR_EVENT);
    send_error(r, &theirs, SLICE_NULL);
}

/* ---- whole answers ---- */

/* Events of an answer that was asked for as a stream are encoded as they come. */
struct whole_facts {
    struct relay *relay;
    struct encoder *encoder;
    struct api_error error;
    bool has_error;
    int failure;
    struct err e;
};

static int on_event(void *self, const struct event *ev) {
    struct whole_facts *f = self;
    struct relay *r = f->relay;
    bool content = false;
    if (ev->kind == EV_USAGE)
        relay_note_usage(r, &ev->u.usage);
    if (r->notes_events)
        state_note_event(r, ev);
    if (ev->kind == EV_ERROR) {
        f->error = relay_keep_error(r->ex->arena, &ev->u.error);
        f->has_error = true;
    } else if (r->leg && r->leg->encoder) {
        f->failure = relay_translate_event(r, ev, &content, &f->e);
    } else if (f->encoder) {
        f->failure = r->client->encoder_event(f->encoder, ev, &r->worker->out);
    }
    return f->failure;
}

static int decode_whole(struct whole_facts *f, struct slice body) {
    struct event_sink sink = {on_event, f};
    struct err e = {0};
    return f->relay->up->decode_response(body, &sink, &e);
}

static void whole_failed(struct relay *r, const struct whole_facts *f, const char *what) {
    buf_reset(&r->worker->out);
    if (f->failure)
        relay_fail(r, f->failure == -ERR_LIMIT ? FAULT_UPSTREAM_LIMIT : FAULT_UPSTREAM_PROTOCOL,
                   f->e.text[0] ? f->e.text : "The provider's answer is too large to be made a stream.");
    else
        relay_fail(r, FAULT_UPSTREAM_PROTOCOL, what);
}

static void finish_stream(struct relay *r, struct slice body) {
    struct whole_facts facts = {.relay = r};
    if (!r->leg) {
        struct encoder_options o = {.created = clock_wall_ns() / NS_PER_S,
                                    .include_usage = r->include_usage};
        facts.encoder = r->client->encoder_new(&o);
    }
    int rc = decode_whole(&facts, body);
    if (facts.encoder)
        r->client->encoder_free(facts.encoder);
    if (facts.has_error) {
        relay_error_in_success(r, &facts.error);
    } else if (rc < 0) {
        whole_failed(r, &facts, "The provider answered a streaming request with something that is neither a stream nor an answer.");
    } else {
        if (r->commit == COMMIT_NONE)
            relay_commit_status(r);
        if (r->is_kept)
            relay_keep_frames(r, buf_slice(&r->worker->out));
        relay_complete(r, END_OK);
    }
}

static int on_noted(void *self, const struct event *ev) {
    state_note_event(self, ev);
    return 0;
}

static void note_events(struct relay *r, struct slice body) {
    struct event_sink sink = {on_noted, r};
    struct err e = {0};
    if (r->notes_events && r->up->decode_response(body, &sink, &e) < 0)
        r->notes_events = false;         /* it could be decoded before */
}

static void finish_translated(struct relay *r, struct slice body) {
    struct usage usage = USAGE_NONE;
    struct api_error er = {0};
    struct err e = {0};
    struct buf out;
    buf_init(&out, 2 * relay_transcript_bytes(r));
    int rc = response_translate(r->leg->t, body, &r->leg->options, relay_transcript_bytes(r), &out,
                                &usage, &er, &e);
    if (usage.in_total >= 0 || usage.out_total >= 0)
        relay_note_usage(r, &usage);
    if (rc == 0) {
        relay_set_end(r, END_OK);
        r->state = AT_DONE;
        note_events(r, body);
        if (r->is_kept)
            state_keep(r, buf_slice(&out));
        relay_respond(r, 200, buf_slice(&out));
    } else if (rc == -ERR_USAGE) {
        relay_error_in_success(r, &er);
    } else if (rc == -ERR_LIMIT) {
        relay_fail(r, FAULT_UPSTREAM_LIMIT, "The provider's answer is larger than limits.transcript allows.");
    } else {
        relay_fail(r, FAULT_UPSTREAM_PROTOCOL, "The provider's answer is not one of its dialect.");
    }
    buf_dispose(&out);
}

static void finish_whole(struct relay *r, struct slice body) {
    struct whole_facts facts = {.relay = r};
    int rc = decode_whole(&facts, body);
    if (facts.has_error) {
        relay_error_in_success(r, &facts.error);
    } else if (rc < 0) {
        whole_failed(r, &facts, "The provider's answer is not one of its dialect.");
    } else {
        relay_set_end(r, END_OK);
        r->state = AT_DONE;
        if (r->is_kept)
            state_keep(r, body);
        relay_respond(r, r->upstream_status, body);
    }
}

/* An endpoint that no dialect knows: JSON, and no more is asked of it. */
static void finish_pass(struct relay *r, struct slice body) {
    struct json_member usage, n;
    struct err e = {0};
    uint64_t tokens;
    if (json_scan_object(body, JSON_DEPTH_MAX, NULL, NULL, &e) < 0) {
        relay_fail(r, FAULT_UPSTREAM_PROTOCOL, "The provider's answer is no JSON object.");
        return;
    }
    if (json_find_member(body, SLICE("usage"), &usage) &&
        json_find_member(usage.value, SLICE("prompt_tokens"), &n) &&
        slice_to_u64(n.value, INT64_MAX, &tokens)) {
        struct usage u = USAGE_NONE;
        u.in_total = (int64_t)tokens;
        relay_note_usage(r, &u);
    }
    relay_set_end(r, END_OK);
    r->state = AT_DONE;
    relay_respond(r, r->upstream_status, body);
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
    else if (r->passes)
        finish_pass(r, body);
    else if (r->stream)
        finish_stream(r, body);
    else if (r->leg)
        finish_translated(r, body);
    else
        finish_whole(r, body);
    buf_reset(out);
}
