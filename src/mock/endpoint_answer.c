/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "base/json_scan.h"
#include "dialect/estimate.h"
#include "mock/background.h"
#include "mock/call.h"
#include "mock/completion.h"
#include "mock/delivery.h"
#include "mock/fault_answer.h"
#include "mock/history.h"
#include "mock/mask.h"
#include "mock/replay.h"
#include "mock/scenario_answer.h"
#include "mock/tokenizer_choice.h"

enum { STATIC_MAX_BYTES = 4096, ECHO_MAX_BYTES = 64 << 20 };

/* ---- the model `static`: one short answer, encoded once ---- */

static bool is_static(const struct envelope *env) {
    return !env->stream && slice_eq(env->model, SLICE("static"));
}

static int encode_static(const struct mock_worker *w, const struct api *api, struct buf *out) {
    struct llm_request rq = {.env = {.model = SLICE("static"), .n = 1, .max_tokens = -1}};
    struct reply_options ro = {.dialect = api->dialect,
                               .text = SLICE("A short answer."),
                               .created = w->hub->started_wall_s};
    struct encoder_options eo = {.model = SLICE("static"), .created = w->hub->started_wall_s};
    struct reply *r = reply_new(&rq, &ro);
    struct answer *an = answer_new(STATIC_MAX_BYTES);
    struct event ev;
    int rc = 0;
    eo.id = reply_id(r);
    while (rc == 0 && reply_next(r, &ev) != REPLY_OVER) {
        rc = answer_add(an, &ev);
    }
    if (rc == 0) {
        rc = api->dialect->encode_response(an, &eo, out);
    }
    answer_free(an);
    reply_free(&r);
    return rc;
}

void mock_endpoint_prepare(struct mock_worker *w) {
    for (unsigned i = 0; i < API_COUNT; i++) {
        buf_init(&w->static_bodies[i], STATIC_MAX_BYTES);
        if (encode_static(w, api_at(i), &w->static_bodies[i]) < 0) {
            buf_reset(&w->static_bodies[i]);
        }
    }
}

void mock_endpoint_dispose(struct mock_worker *w) {
    for (unsigned i = 0; i < API_COUNT; i++) {
        buf_dispose(&w->static_bodies[i]);
    }
}

static struct slice static_body(const struct mock_worker *w, const struct api *api) {
    unsigned i = 0;
    while (api_at(i) != api) {
        i++;
    }
    return buf_slice(&w->static_bodies[i]);
}

/* ---- echo-headers ---- */

static int append_member(struct buf *out, struct slice name, struct slice value) {
    return buf_append_byte(out, '"') | json_escape(out, name) | buf_append(out, SLICE("\":\"")) |
           json_escape(out, value) | buf_append_byte(out, '"');
}

static int append_headers(struct buf *out, const struct http_headers *h) {
    struct buf shown;
    int rc = buf_append_byte(out, '{');
    buf_init(&shown, ECHO_MAX_BYTES);
    for (unsigned i = 0; i < h->count && rc == 0; i++) {
        buf_reset(&shown);
        rc |= mask_header(&shown, h->items[i].name, h->items[i].value);
        rc |= i ? buf_append_byte(out, ',') : 0;
        rc |= append_member(out, h->items[i].name, buf_slice(&shown));
    }
    buf_dispose(&shown);
    return rc | buf_append_byte(out, '}');
}

/* The request as it came, as text of the answer. ptr NULL when it is too large. */
static struct slice echo_text(const struct http_exchange *ex) {
    struct buf out;
    buf_init(&out, ECHO_MAX_BYTES);
    int rc = buf_append_byte(&out, '{') |
             append_member(&out, SLICE("method"), slice_cstr(http_method_name(ex->method))) |
             buf_append_byte(&out, ',') | append_member(&out, SLICE("target"), ex->target) |
             buf_append(&out, SLICE(",\"headers\":")) | append_headers(&out, &ex->headers) |
             buf_append(&out, SLICE(",\"body\":")) | buf_append(&out, bytes_slice(ex->body)) |
             buf_append_byte(&out, '}');
    struct slice text = rc < 0 ? SLICE_NULL : arena_dup(ex->arena, buf_slice(&out));
    buf_dispose(&out);
    return text;
}

/* ---- refusals ---- */

void mock_respond_fault_of_request(struct mock_worker *w, struct http_exchange *ex,
                                   const struct request_fault *f, unsigned status) {
    struct api_error er = {.status = status,
                           .message = slice_cstr(f->message),
                           .type = SLICE("invalid_request_error"),
                           .code = slice_cstr(f->code),
                           .param = f->param[0] ? slice_cstr(f->param) : SLICE_NULL,
                           .raw = slice_cstr(f->raw)};
    mock_respond_error(w, ex, &er, 0);
}

/* ---- answers ---- */

static void respond_static(struct http_exchange *ex, struct slice body) {
    static const struct http_header headers[] = {
        {{"content-type", 12}, {"application/json", 16}},
        {{"x-penstock-mock", 15}, {"1", 1}},
    };
    const struct http_response r = {200, headers, sizeof headers / sizeof headers[0]};
    http_respond(ex, &r, body);
}

const struct prompt_count *mock_call_prompt(struct mock_call *c) {
    if (!c->is_prompt_counted) {
        c->prompt = count_prompt(&c->rq, mock_tokenizer(c->o, c->rq.env.model));
        c->is_prompt_counted = true;
    }
    return &c->prompt;
}

/* The stages, in order. Each either answers and says so, or leaves the call to the next. */
static void serve(struct mock_call *c) {
    struct request_fault fault;
    unsigned status;
    bool may_be_limited = c->o->tpm > 0 || c->o->n_keys > 0;
    uint64_t prompt = may_be_limited ? mock_call_prompt(c)->all : 0;
    if (!mock_call_validate(c) || !mock_call_admit(c, prompt)) {
        return;
    }
    if (!replay_is_on(c->w) &&
        history_check(&c->rq, c->api, c->o->seed, c->w->hub->given, &fault, &status) < 0) {
        mock_call_refuse(c, RULE_HISTORY, &fault, status);
        return;
    }
    if (scenario_answers(c) || fault_strikes_unasked(c) || replay_answers(c)) {
        return;
    }
    if (c->k.fault && c->k.fault->row->kind == FAULT_ECHO_HEADERS) {
        c->k.text = echo_text(c->ex);
    }
    if (c->turn.is_background) {
        background_start(c);
    } else {
        delivery_start(c);
    }
}

/* Of a responses client: what it refers to, where it is known here. */
static int decode_turn(struct mock_call *c, struct request_fault *fault, unsigned *status) {
    struct stored *s = c->stored;
    struct arena *a = c->ex->arena;
    struct slice body = bytes_slice(c->ex->body);
    int rc = stored_turn_read(s, body, stored_id(s, "", c->facts.serial, a), a, &c->turn, fault,
                              status);
    if (rc < 0 && replay_is_on(c->w)) {
        c->turn = (struct stored_turn){.body = body};    /* somebody else may know it */
        rc = 0;
    }
    if (rc == 0) {
        *status = 400;
        rc = c->api->dialect->decode_request(c->turn.body, a, &c->rq, fault);
    }
    c->rq.previous_response_id = c->turn.previous;
    c->rq.conversation = c->turn.conversation;
    c->rq.store = c->turn.is_stored;
    return rc;
}

int mock_call_decode(struct mock_call *c, struct request_fault *fault, unsigned *status) {
    struct slice body = bytes_slice(c->ex->body);
    *status = 400;
    if (c->api->dialect == &dialect_responses) {
        return decode_turn(c, fault, status);
    }
    bool is_completion = c->api->dialect == &dialect_completions;
    return is_completion ? completion_decode(body, c->ex->arena, &c->rq, fault)
                         : c->api->dialect->decode_request(body, c->ex->arena, &c->rq, fault);
}

void mock_endpoint_answer(struct mock_worker *w, struct http_exchange *ex) {
    const struct api *api = api_of(ex);
    struct envelope env = {.stream = false};
    struct request_fault fault;
    struct mock_call c;
    int rc = api->dialect->peek_request(bytes_slice(ex->body), ex->arena, &env, &fault);
    if (rc == 0 && is_static(&env)) {
        respond_static(ex, static_body(w, api));
        return;
    }
    if (mock_call_begin(&c, w, ex)) {
        bool is_read = rc == 0;
        unsigned status = 400;
        rc = is_read ? mock_call_decode(&c, &fault, &status) : rc;
        mock_call_journal(&c, is_read ? env.model : SLICE_NULL, is_read && env.stream);
        if (rc == 0) {
            serve(&c);
        } else {
            mock_call_refuse(&c, RULE_UNREADABLE, &fault, status);
        }
    }
    mock_call_end(&c);
}

/* ---- count_tokens ---- */

void mock_call_count(struct mock_call *c, const char *head) {
    struct mock_worker *w = c->w;
    if (!mock_call_validate(c) || !mock_call_admit(c, 0) || fault_strikes_unasked(c)) {
        return;
    }
    mock_worker_scratch(&w->body);
    uint64_t n = mock_call_prompt(c)->all;
    int rc = buf_appendf(&w->body, "{%s\"input_tokens\":%" PRIu64 "}", head, n);
    mock_respond_json(w, c->ex, rc < 0 ? 500 : 200, buf_slice(&w->body));
}

void mock_endpoint_count(struct mock_worker *w, struct http_exchange *ex) {
    struct request_fault fault;
    struct mock_call c;
    if (mock_call_begin(&c, w, ex)) {
        int rc = messages_decode_count(bytes_slice(ex->body), ex->arena, &c.rq, &fault);
        mock_call_journal(&c, rc == 0 ? c.rq.env.model : SLICE_NULL, false);
        if (rc == 0) {
            mock_call_count(&c, "");
        } else {
            mock_call_refuse(&c, RULE_UNREADABLE, &fault, 400);
        }
    }
    mock_call_end(&c);
}
