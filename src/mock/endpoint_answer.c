/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "base/json_scan.h"
#include "dialect/estimate.h"
#include "mock/completion.h"
#include "mock/delivery.h"
#include "mock/history.h"
#include "mock/mask.h"

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

static bool refuses(struct mock_worker *w, struct http_exchange *ex, struct slice model,
                    const struct knobs *k) {
    struct api_error er;
    if (!k->fault && !mock_knows_model(&w->hub->options, model)) {
        mock_respond_simple_error(w, ex, 404, "model_not_found",
                                  "The model `%.*s` does not exist or you do not have access to it.",
                                  (int)(model.len < 200 ? model.len : 200), model.ptr);
        return true;
    }
    if (k->fault && k->fault->kind == FAULT_STATUS) {
        mock_fault_error(k->fault, &er);
        mock_respond_error(w, ex, &er, k->fault->retry_after_s);
        return true;
    }
    return false;
}

bool mock_read_knobs(struct mock_worker *w, struct http_exchange *ex,
                     const struct llm_request *rq, struct knobs *out) {
    struct err e;
    if (knobs_read(&w->hub->options, &ex->headers, rq, ex->arena, out, &e) < 0) {
        mock_respond_simple_error(w, ex, 400, "invalid_value", "%s", e.text);
        return false;
    }
    return !refuses(w, ex, rq->env.model, out);
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

static void serve(struct mock_worker *w, struct http_exchange *ex, const struct api *api,
                  const struct llm_request *rq) {
    struct knobs k;
    struct request_fault fault;
    unsigned status;
    if (!mock_read_knobs(w, ex, rq, &k)) {
        return;
    }
    if (history_check(rq, api, w->hub->options.seed, &fault, &status) < 0) {
        mock_respond_fault_of_request(w, ex, &fault, status);
        return;
    }
    if (k.fault && k.fault->kind == FAULT_ECHO_HEADERS) {
        k.text = echo_text(ex);
    }
    delivery_start(w, ex, api, rq, &k);
}

void mock_endpoint_answer(struct mock_worker *w, struct http_exchange *ex) {
    const struct api *api = api_of(ex);
    struct envelope env = {.stream = false};
    struct llm_request rq;
    struct request_fault fault;
    struct slice body = bytes_slice(ex->body);
    int rc = api->dialect->peek_request(body, ex->arena, &env, &fault);
    if (rc == 0 && is_static(&env)) {
        respond_static(ex, static_body(w, api));
        return;
    }
    journal_add(w->hub->journal, ex, rc == 0 ? env.model : SLICE_NULL, rc == 0 && env.stream);
    if (rc == 0) {
        bool is_completion = api->dialect == &dialect_completions;
        rc = is_completion ? completion_decode(body, ex->arena, &rq, &fault)
                           : api->dialect->decode_request(body, ex->arena, &rq, &fault);
    }
    if (rc != 0) {
        mock_respond_fault_of_request(w, ex, &fault, 400);
        return;
    }
    serve(w, ex, api, &rq);
}

/* ---- count_tokens ---- */

void mock_endpoint_count(struct mock_worker *w, struct http_exchange *ex) {
    struct llm_request rq;
    struct request_fault fault;
    struct knobs k;
    int rc = messages_decode_count(bytes_slice(ex->body), ex->arena, &rq, &fault);
    journal_add(w->hub->journal, ex, rc == 0 ? rq.env.model : SLICE_NULL, false);
    if (rc != 0) {
        mock_respond_fault_of_request(w, ex, &fault, 400);
        return;
    }
    if (!mock_read_knobs(w, ex, &rq, &k)) {
        return;
    }
    mock_worker_scratch(&w->body);
    rc = buf_appendf(&w->body, "{\"input_tokens\":%" PRId64 "}", request_estimate_tokens(&rq));
    mock_respond_json(w, ex, rc < 0 ? 500 : 200, buf_slice(&w->body));
}
