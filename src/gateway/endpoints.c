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
    void (*serve)(struct worker *w, struct http_exchange *ex);
    enum under under;
    const char *dialect;                 /* NULL: by the client's headers */
    bool spends;                         /* costs the operator something: refused while draining */
};

/* clang-format off */
static const struct endpoint endpoints[] = {
    {HTTP_METHOD_POST, "/chat/completions", relay_begin, UNDER_DEPLOYMENT, "chat", true},
    {HTTP_METHOD_POST, "/messages", relay_begin, UNDER_API, "messages", true},
    {HTTP_METHOD_POST, "/responses", relay_begin, UNDER_API, "responses", true},
    {HTTP_METHOD_POST, "/completions", relay_begin, UNDER_DEPLOYMENT, "completions", true},
    {HTTP_METHOD_POST, "/messages/count_tokens", relay_begin_count, UNDER_API, "messages", false},
    {HTTP_METHOD_POST, "/embeddings", relay_begin_pass, UNDER_DEPLOYMENT, "chat", true},
    {HTTP_METHOD_POST, "/moderations", relay_begin_pass, UNDER_API, "chat", true},
    {HTTP_METHOD_GET, "/responses/*", state_get, UNDER_API, "responses", false},
    {HTTP_METHOD_DELETE, "/responses/*", state_delete, UNDER_API, "responses", false},
    {HTTP_METHOD_POST, "/responses/*/cancel", state_cancel, UNDER_API, "responses", false},
    {HTTP_METHOD_GET, "/responses/*/input_items", state_input_items, UNDER_API, "responses", false},
    {HTTP_METHOD_POST, "/conversations", state_conversations, UNDER_API, "responses", false},
    {HTTP_METHOD_GET, "/conversations/", state_conversation, UNDER_API, "responses", false},
    {HTTP_METHOD_POST, "/conversations/", state_conversation, UNDER_API, "responses", false},
    {HTTP_METHOD_DELETE, "/conversations/", state_conversation, UNDER_API, "responses", false},
    {HTTP_METHOD_GET, "/models", endpoint_models, UNDER_API, NULL, false},
    {HTTP_METHOD_GET, "/models/", endpoint_model, UNDER_API, NULL, false},
    {HTTP_METHOD_GET, "/", endpoint_root, UNDER_ROOT, NULL, false},
    {HTTP_METHOD_GET, "/health", endpoint_health, UNDER_ROOT, NULL, false},
    {HTTP_METHOD_GET, "/healthz", endpoint_health, UNDER_ROOT, NULL, false},
    {HTTP_METHOD_GET, "/ready", endpoint_ready, UNDER_ROOT, NULL, false},
    {HTTP_METHOD_GET, "/metrics", endpoint_metrics, UNDER_ROOT, NULL, false},
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

static bool has_header(const struct http_exchange *ex, struct slice name) {
    return http_headers_get(&ex->headers, name).ptr != NULL;
}

static const struct dialect *dialect_by_headers(const struct http_exchange *ex) {
    return has_header(ex, SLICE("anthropic-version")) ? &dialect_messages : &dialect_chat;
}

/* Whoever asks for a path that there is not: below one of Anthropic's, or with a key as they send
 * it. */
static const struct dialect *dialect_of_stranger(const struct http_exchange *ex,
                                                 struct slice path) {
    bool is_theirs = slice_starts_with(path, SLICE("/messages/")) ||
                     (has_header(ex, SLICE("x-api-key")) && !has_header(ex, SLICE("authorization")));
    return is_theirs ? &dialect_messages : dialect_by_headers(ex);
}

/* Of a path that is known the row of this method, or any. */
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
        m.client = dialect_of_stranger(ex, row.path);
    return m;
}

static void methods_of(const struct http_exchange *ex, char out[HTTP_ALLOW_BYTES]) {
    struct slice path = ex->path, model, rest;
    enum under where = cut_prefixes(&path, &model);
    bool is_any = slice_eq(ex->path, SLICE("*"));
    *out = 0;
    for (size_t i = 0; i < sizeof endpoints / sizeof endpoints[0]; i++) {
        const struct endpoint *ep = &endpoints[i];
        if (!is_any && (!may_stand(ep, where) || !path_matches(slice_cstr(ep->path), path, &rest)))
            continue;
        http_allow_add(out, ep->method);
    }
    http_allow_add(out, HTTP_METHOD_OPTIONS);
}

static void answer_unknown(struct worker *w, struct http_exchange *ex) {
    char message[400];
    struct slice path = slice_sub(ex->path, 0, 200);
    snprintf(message, sizeof message, "Unknown request URL: %.*s %.*s. See /v1/models, /v1/chat/completions, /v1/responses, /v1/messages.",
             SLICE_FMT(slice_sub(ex->method_text, 0, 20)), SLICE_FMT(path));
    answer_fault(w, ex, FAULT_UNKNOWN_URL, NULL, message);
}

static void answer_options(struct worker *w, struct http_exchange *ex) {
    char allow[HTTP_ALLOW_BYTES];
    methods_of(ex, allow);
    guard_preflight(w, ex, allow);
}

static void answer_method(struct worker *w, struct http_exchange *ex) {
    char allow[HTTP_ALLOW_BYTES];
    methods_of(ex, allow);
    answer_not_allowed(w, ex, allow);
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
        answer_options(w, ex);
    else if (!ep)
        answer_unknown(w, ex);
    else if (ex->method == HTTP_METHOD_OPTIONS)
        answer_options(w, ex);
    else if (!method_matches(ep, ex->method))
        answer_method(w, ex);
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
static void format_error(void *self, unsigned status, const char *message,
                         const struct http_exchange *about, struct buf *out,
                         const char **out_content_type) {
    (void)self;
    const struct dialect *client = endpoint_find(about).client;
    const char *code = status == 413 ? "request_too_large" : NULL;
    struct api_error er = {.status = status,
                           .message = slice_cstr(message),
                           .type = status >= 500 ? SLICE("server_error") : SLICE("invalid_request_error"),
                           .code = slice_cstr(code)};
    struct api_error theirs = er;
    if (dialect_is_anthropic(client))
        dialect_translate_error(client, &er, &theirs);
    *out_content_type = "application/json";
    if (client->encode_error(&theirs, out) < 0)
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
