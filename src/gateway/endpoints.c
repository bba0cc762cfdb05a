/* SPDX-License-Identifier: Apache-2.0 */
/* The table of endpoints, and the way of an exchange to its row. */
#include <stdio.h>

#include "gateway/state.h"

/* Where a path may stand. */
enum under {
    UNDER_ROOT,                          /* as it is */
    UNDER_API,                           /* as it is, and behind /v1, /openai/v1, /openai */
    UNDER_DEPLOYMENT,                    /* those, and /openai/deployments/{model} */
};

struct endpoint {
    enum http_method method;             /* HEAD is served by GET's row */
    /* exact; a prefix when it ends in '/'; '*' is one segment */
    const char *path;
    const char *allow;                   /* all methods of this path */
    void (*serve)(struct worker *w, struct http_exchange *ex);
    enum under under;
    const char *dialect;                 /* NULL: by the client's headers */
    bool spends;                         /* costs the operator something: refused while draining */
};

#define POST_ONLY "POST, OPTIONS"
#define GET_ONLY "GET, HEAD, OPTIONS"
#define RESPONSE "GET, HEAD, DELETE, OPTIONS"
#define CONVERSATION "GET, HEAD, POST, DELETE, OPTIONS"

/* clang-format off */
static const struct endpoint endpoints[] = {
    {HTTP_METHOD_POST, "/chat/completions", POST_ONLY, relay_begin, UNDER_DEPLOYMENT, "chat", true},
    {HTTP_METHOD_POST, "/messages", POST_ONLY, relay_begin, UNDER_API, "messages", true},
    {HTTP_METHOD_POST, "/responses", POST_ONLY, relay_begin, UNDER_API, "responses", true},
    {HTTP_METHOD_POST, "/completions", POST_ONLY, relay_begin, UNDER_DEPLOYMENT, "completions", true},
    {HTTP_METHOD_POST, "/messages/count_tokens", POST_ONLY, relay_begin_count, UNDER_API, "messages", false},
    {HTTP_METHOD_POST, "/embeddings", POST_ONLY, relay_begin_pass, UNDER_DEPLOYMENT, "chat", true},
    {HTTP_METHOD_POST, "/moderations", POST_ONLY, relay_begin_pass, UNDER_API, "chat", true},
    {HTTP_METHOD_GET, "/responses/*", RESPONSE, state_get, UNDER_API, "responses", false},
    {HTTP_METHOD_DELETE, "/responses/*", RESPONSE, state_delete, UNDER_API, "responses", false},
    {HTTP_METHOD_POST, "/responses/*/cancel", POST_ONLY, state_cancel, UNDER_API, "responses", false},
    {HTTP_METHOD_GET, "/responses/*/input_items", GET_ONLY, state_input_items, UNDER_API, "responses", false},
    {HTTP_METHOD_POST, "/conversations", POST_ONLY, state_conversations, UNDER_API, "responses", false},
    {HTTP_METHOD_GET, "/conversations/", CONVERSATION, state_conversation, UNDER_API, "responses", false},
    {HTTP_METHOD_POST, "/conversations/", CONVERSATION, state_conversation, UNDER_API, "responses", false},
    {HTTP_METHOD_DELETE, "/conversations/", CONVERSATION, state_conversation, UNDER_API, "responses", false},
    {HTTP_METHOD_GET, "/models", GET_ONLY, endpoint_models, UNDER_API, NULL, false},
    {HTTP_METHOD_GET, "/models/", GET_ONLY, endpoint_model, UNDER_API, NULL, false},
    {HTTP_METHOD_GET, "/", GET_ONLY, endpoint_root, UNDER_ROOT, NULL, false},
    {HTTP_METHOD_GET, "/health", GET_ONLY, endpoint_health, UNDER_ROOT, NULL, false},
    {HTTP_METHOD_GET, "/healthz", GET_ONLY, endpoint_health, UNDER_ROOT, NULL, false},
    {HTTP_METHOD_GET, "/ready", GET_ONLY, endpoint_ready, UNDER_ROOT, NULL, false},
    {HTTP_METHOD_GET, "/metrics", GET_ONLY, endpoint_metrics, UNDER_ROOT, NULL, false},
};
/* clang-format on */

/* ---- paths ---- */

static bool cut_prefix(struct slice *path, struct slice prefix) {
    if (!slice_starts_with(*path, prefix) || path->len == prefix.len ||
        path->ptr[prefix.len] != '/')
        return false;
    *path = slice_from(*path, prefix.len);
    return true;
}

/* Takes what may stand before an endpoint's own path off. */
static enum under cut_prefixes(struct slice *path, struct slice *out_model) {
    struct slice all = *path;
    *out_model = SLICE_NULL;
    if (cut_prefix(path, SLICE("/v1")) || cut_prefix(path, SLICE("/openai/v1")))
        return UNDER_API;
    if (!cut_prefix(path, SLICE("/openai/deployments")))
        return cut_prefix(path, SLICE("/openai")) ? UNDER_API : UNDER_ROOT;
    struct slice rest = slice_from(*path, 1);
    ptrdiff_t end = slice_index(rest, '/');
    if (end <= 0) {
        *path = all;
        return UNDER_ROOT;
    }
    *out_model = slice_sub(rest, 0, (size_t)end);
    *path = slice_from(rest, (size_t)end);
    return UNDER_DEPLOYMENT;
}

/* rest: what a prefix or a '*' stands for. */
static bool path_matches(struct slice known, struct slice path, struct slice *out_rest) {
    ptrdiff_t star = slice_index(known, '*');
    *out_rest = SLICE_NULL;
    if (star < 0 && (known.len == 1 || known.ptr[known.len - 1] != '/'))
        return slice_eq(path, known);
    struct slice before = star < 0 ? known : slice_sub(known, 0, (size_t)star);
    if (!slice_starts_with(path, before))
        return false;
    *out_rest = slice_from(path, before.len);
    if (star < 0)
        return true;
    struct slice after = slice_from(known, (size_t)star + 1);
    if (out_rest->len <= after.len ||
        !slice_eq(slice_from(*out_rest, out_rest->len - after.len), after))
        return false;
    out_rest->len -= after.len;
    return slice_index(*out_rest, '/') < 0;
}

static bool may_stand(const struct endpoint *ep, enum under where) {
    return where == UNDER_ROOT || ep->under == where ||
           (where == UNDER_API && ep->under == UNDER_DEPLOYMENT);
}

static bool method_matches(const struct endpoint *ep, enum http_method m) {
    return m == ep->method || (m == HTTP_METHOD_HEAD && ep->method == HTTP_METHOD_GET);
}

static const struct dialect *dialect_by_headers(const struct http_exchange *ex) {
    const struct dialect *d = NULL;
    if (http_headers_get(&ex->headers, SLICE("anthropic-version")).ptr)
        d = dialect_find(SLICE("messages"));
    return d ? d : &dialect_chat;
}

/* Of a path that is known the row of this method, or any, whose `allow` tells. */
struct endpoint_match endpoint_find(const struct http_exchange *ex) {
    struct endpoint_match m = {.path = ex->path}, row = m;
    enum under where = cut_prefixes(&row.path, &row.model);
    for (size_t i = 0; i < sizeof endpoints / sizeof endpoints[0]; i++) {
        const struct endpoint *ep = &endpoints[i];
        if (!may_stand(ep, where) || !path_matches(slice_cstr(ep->path), row.path, &row.rest))
            continue;
        row.client = ep->dialect ? dialect_find(slice_cstr(ep->dialect)) : dialect_by_headers(ex);
        if (!row.client)
            continue;
        row.endpoint = ep;
        m = row;
        if (method_matches(ep, ex->method))
            break;
    }
    if (!m.client)
        m.client = dialect_by_headers(ex);
    return m;
}

static void answer_unknown(struct worker *w, struct http_exchange *ex) {
    char message[400];
    struct slice path = slice_sub(ex->path, 0, 200);
    snprintf(message, sizeof message, "Unknown request URL: %.*s %.*s. See /v1/models, /v1/chat/completions, /v1/responses, /v1/messages.",
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
    w->match = endpoint_find(ex);
    const struct endpoint *ep = w->match.endpoint;
    if (guard_refuses(w, ex))
        return;
    if (ex->method == HTTP_METHOD_OPTIONS && slice_eq(ex->path, SLICE("*")))
        guard_preflight(w, ex, "GET, HEAD, POST, DELETE, OPTIONS");
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
    struct worker *w = self;
    w->match = endpoint_find(ex);
    w->match.endpoint->serve(w, ex);
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
