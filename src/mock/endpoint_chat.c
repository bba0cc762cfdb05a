/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_scan.h"
#include "dialect/dialect.h"
#include "mock/delivery.h"
#include "mock/mask.h"

enum { STATIC_MAX_BYTES = 4096, ECHO_MAX_BYTES = 64 << 20 };

/* ---- the model `static`: one short answer, encoded once ---- */

static bool is_static(const struct envelope *env) {
    return !env->stream && slice_eq(env->model, SLICE("static"));
}

void mock_endpoint_prepare(struct mock_worker *w) {
    struct llm_request rq = {.env = {.model = SLICE("static"), .n = 1, .max_tokens = -1}};
    struct reply_options ro = {.text = SLICE("A short answer."), .created = w->hub->started_wall_s};
    struct encoder_options eo = {.model = SLICE("static"), .created = w->hub->started_wall_s};
    struct reply *r = reply_new(&rq, &ro);
    struct answer *an = answer_new(STATIC_MAX_BYTES);
    struct event ev;
    int rc = 0;
    eo.id = reply_id(r);
    while (rc == 0 && reply_next(r, &ev) != REPLY_OVER) {
        rc = answer_add(an, &ev);
    }
    buf_init(&w->static_store, STATIC_MAX_BYTES);
    if (rc == 0 && dialect_chat.encode_response(an, &eo, &w->static_store) == 0) {
        w->static_body = buf_slice(&w->static_store);
    }
    answer_free(an);
    reply_free(&r);
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

/* ---- the endpoint ---- */

static void respond_fault_of_request(struct mock_worker *w, struct http_exchange *ex,
                                     const struct request_fault *f) {
    struct api_error er = {.status = 400,
                           .message = slice_cstr(f->message),
                           .type = SLICE("invalid_request_error"),
                           .code = slice_cstr(f->code),
                           .param = f->param[0] ? slice_cstr(f->param) : SLICE_NULL};
    mock_respond_error(w, ex, &er, 0);
}

static void respond_static(struct mock_worker *w, struct http_exchange *ex) {
    static const struct http_header headers[] = {
        {{"content-type", 12}, {"application/json", 16}},
        {{"x-penstock-mock", 15}, {"1", 1}},
    };
    const struct http_response r = {200, headers, sizeof headers / sizeof headers[0]};
    http_respond(ex, &r, w->static_body);
}

static void serve(struct mock_worker *w, struct http_exchange *ex, const struct llm_request *rq) {
    struct knobs k;
    struct err e;
    struct api_error er;
    if (knobs_read(&w->hub->options, &ex->headers, rq, ex->arena, &k, &e) < 0) {
        mock_respond_simple_error(w, ex, 400, "invalid_value", "%s", e.text);
        return;
    }
    if (!k.fault && !mock_knows_model(&w->hub->options, rq->env.model)) {
        mock_respond_simple_error(w, ex, 404, "model_not_found",
                             "The model `%.*s` does not exist or you do not have access to it.",
                             (int)(rq->env.model.len < 200 ? rq->env.model.len : 200),
                             rq->env.model.ptr);
        return;
    }
    if (k.fault && k.fault->kind == FAULT_STATUS) {
        mock_fault_error(k.fault, &er);
        mock_respond_error(w, ex, &er, k.fault->retry_after_s);
        return;
    }
    if (k.fault && k.fault->kind == FAULT_ECHO_HEADERS) {
        k.text = echo_text(ex);
    }
    delivery_start(w, ex, rq, &k);
}

void mock_endpoint_chat(struct mock_worker *w, struct http_exchange *ex) {
    struct envelope env = {.stream = false};
    struct llm_request rq;
    struct request_fault fault;
    struct slice body = bytes_slice(ex->body);
    int rc = dialect_chat.peek_request(body, ex->arena, &env, &fault);
    if (rc == 0 && is_static(&env)) {
        respond_static(w, ex);
        return;
    }
    journal_add(w->hub->journal, ex, rc == 0 ? env.model : SLICE_NULL, rc == 0 && env.stream);
    if (rc == 0) {
        rc = dialect_chat.decode_request(body, ex->arena, &rq, &fault);
    }
    if (rc != 0) {
        respond_fault_of_request(w, ex, &fault);
        return;
    }
    serve(w, ex, &rq);
}
