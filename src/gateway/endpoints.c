/* SPDX-License-Identifier: Apache-2.0 */
/* The table of endpoints, and the way of an exchange to its row. */
#include <stdio.h>

#include "gateway/relay.h"

struct endpoint {
    enum http_method method;             /* HEAD is served by GET's row */
    const char *path;                    /* exact, or a prefix that ends in '/' */
    const char *allow;                   /* all methods of this path */
    void (*serve)(struct worker *w, struct http_exchange *ex);
    bool spends;                         /* costs the operator something: refused while draining */
};

static const struct endpoint endpoints[] = {
    {HTTP_METHOD_POST, "/v1/chat/completions", "POST, OPTIONS", relay_begin, true},
    {HTTP_METHOD_GET, "/v1/models", "GET, HEAD, OPTIONS", endpoint_models, false},
    {HTTP_METHOD_GET, "/v1/models/", "GET, HEAD, OPTIONS", endpoint_model, false},
    {HTTP_METHOD_GET, "/health", "GET, HEAD, OPTIONS", endpoint_health, false},
    {HTTP_METHOD_GET, "/healthz", "GET, HEAD, OPTIONS", endpoint_health, false},
    {HTTP_METHOD_GET, "/ready", "GET, HEAD, OPTIONS", endpoint_ready, false},
    {HTTP_METHOD_GET, "/metrics", "GET, HEAD, OPTIONS", endpoint_metrics, false},
};

static const struct endpoint *endpoint_find(struct slice path) {
    for (size_t i = 0; i < sizeof endpoints / sizeof endpoints[0]; i++) {
        struct slice known = slice_cstr(endpoints[i].path);
        bool is_prefix = known.ptr[known.len - 1] == '/';
        if (slice_eq(path, known) ||
            (is_prefix && path.len > known.len && slice_starts_with(path, known)))
            return &endpoints[i];
    }
    return NULL;
}

static bool method_matches(const struct endpoint *ep, enum http_method m) {
    return m == ep->method || (m == HTTP_METHOD_HEAD && ep->method == HTTP_METHOD_GET);
}

static void answer_unknown(struct worker *w, struct http_exchange *ex) {
    char message[400];
    struct slice path = slice_sub(ex->path, 0, 200);
    snprintf(message, sizeof message, "Unknown request URL: %.*s %.*s. See /v1/models, /v1/chat/completions.",
             SLICE_FMT(slice_sub(ex->method_text, 0, 20)), SLICE_FMT(path));
    answer_fault(w, ex, FAULT_UNKNOWN_URL, NULL, message);
}

static void answer_method(struct worker *w, struct http_exchange *ex, const struct endpoint *ep) {
    char message[200];
    snprintf(message, sizeof message, "Not allowed to %.*s on %s. Allowed: %s.", SLICE_FMT(slice_sub(ex->method_text, 0, 20)),
             ep->path, ep->allow);
    answer_fault(w, ex, FAULT_METHOD, NULL, message);
}

/* Everything that can be refused is refused before a body is read. */
static void on_head(void *self, struct http_exchange *ex) {
    struct worker *w = self;
    ex->app = NULL;
    if (guard_refuses(w, ex))
        return;
    const struct endpoint *ep = endpoint_find(ex->path);
    if (ex->method == HTTP_METHOD_OPTIONS && slice_eq(ex->path, SLICE("*")))
        guard_preflight(w, ex, "GET, HEAD, POST, OPTIONS");
    else if (!ep)
        answer_unknown(w, ex);
    else if (ex->method == HTTP_METHOD_OPTIONS)
        guard_preflight(w, ex, ep->allow);
    else if (!method_matches(ep, ex->method))
        answer_method(w, ex, ep);
    else if (ep->spends && w->draining)
        answer_fault(w, ex, FAULT_DRAINING, NULL, "The gateway is shutting down. Try again.");
}

static void on_request(void *self, struct http_exchange *ex) {
    endpoint_find(ex->path)->serve(self, ex);
}

static void on_writable(void *self, struct http_exchange *ex) {
    (void)self;
    if (ex->app)
        relay_on_writable(ex->app);
}

static void on_cancel(void *self, struct http_exchange *ex) {
    (void)self;
    if (ex->app)
        relay_on_cancel(ex->app);
}

static void on_done(void *self, struct http_exchange *ex) {
    (void)self;
    if (ex->app)
        relay_on_done(ex->app);
}

/* Statuses that the server itself gives: malformed requests, limits, timeouts. */
static void format_error(void *self, unsigned status, const char *message, struct buf *out,
                         const char **out_content_type) {
    (void)self;
    const char *code = status == 413 ? "request_too_large" : NULL;
    struct api_error er = {.status = status,
                           .message = slice_cstr(message),
                           .type = status >= 500 ? SLICE("server_error") : SLICE("invalid_request_error"),
                           .code = slice_cstr(code)};
    *out_content_type = "application/json";
    if (dialect_chat.encode_error(&er, out) < 0)
        buf_reset(out);
}

const struct http_app gateway_app_template = {
    .on_head = on_head,
    .on_request = on_request,
    .on_writable = on_writable,
    .on_cancel = on_cancel,
    .on_done = on_done,
    .format_error = format_error,
};
