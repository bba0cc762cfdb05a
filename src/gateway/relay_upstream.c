/* SPDX-License-Identifier: Apache-2.0 */
/* The upstream request: the client's body with at most two splices, or its translation, and headers
 * of our own. */
#include "dialect/splice.h"
#include "gateway/relay.h"
#include "version.h"

/* Client headers that go upstream by name; credentials, hop-by-hop headers and what describes the
 * client's own attempt (user-agent, x-stainless-*) never do. */
static const struct slice forwarded[] = {{"x-client-request-id", 19}, {"idempotency-key", 15}, {"traceparent", 11}, {"tracestate", 10}};
static const struct slice credentials[] = {{"authorization", 13}, {"x-api-key", 9}, {"api-key", 7}};
#define N_CREDENTIALS (sizeof credentials / sizeof credentials[0])

static bool is_one_of(struct slice name, const struct slice *list, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (slice_eq_nocase(name, list[i]))
            return true;
    return false;
}

static bool is_forwarded(const struct relay *r, struct slice name) {
    bool is_same = r->client == r->up;
    if (is_one_of(name, credentials, N_CREDENTIALS))
        return is_same && r->upstream->config->auth == AUTH_PASSTHROUGH;
    if (is_one_of(name, forwarded, sizeof forwarded / sizeof forwarded[0]))
        return true;
    if (r->upstream->is_openai && slice_eq_nocase(slice_sub(name, 0, 7), SLICE("openai-")))
        return !dialect_is_anthropic(r->client);
    if (is_same && slice_eq_nocase(name, SLICE("anthropic-beta")))
        return dialect_is_anthropic(r->client);
    for (const char *const *h = r->upstream->config->forward_headers; *h; h++)
        if (slice_eq_nocase(name, slice_cstr(*h)))
            return true;
    return false;
}

struct slice relay_client_credential(const struct http_headers *h) {
    for (size_t i = 0; i < N_CREDENTIALS; i++) {
        struct slice value = http_headers_get(h, credentials[i]);
        if (!value.len)
            continue;
        bool is_bearer = i == 0 && slice_eq_nocase(slice_sub(value, 0, 7), SLICE("Bearer "));
        return is_bearer ? slice_trim(slice_from(value, 7)) : value;
    }
    return SLICE_NULL;
}

/* The client's own credential in the upstream's way of sending one. */
static void pass_credential(const struct relay *r, struct out_headers *h) {
    struct slice value = relay_client_credential(&r->ex->headers), name = r->upstream->auth_name;
    if (!value.len)
        return;
    if (slice_eq_nocase(name, credentials[0]))
        value = slice_cstr(arena_printf(r->ex->arena, "Bearer %.*s", SLICE_FMT(value)));
    out_headers_add(h, name, value);
}

static void add_version(const struct relay *r, struct out_headers *h) {
    const char *set = r->upstream->config->api_version;
    struct slice version = slice_cstr(set && *set ? set : NULL);
    if (!version.len && r->client == r->up)
        version = http_headers_get(&r->ex->headers, SLICE("anthropic-version"));
    out_headers_add(h, SLICE("anthropic-version"), version.len ? version : SLICE("2023-06-01"));
}

static void upstream_headers(const struct relay *r, struct out_headers *h) {
    const struct http_headers *from = &r->ex->headers;
    h->count = 0;
    if (r->body.len || !r->as_is)
        out_headers_add(h, SLICE("content-type"), SLICE("application/json"));
    out_headers_add(h, SLICE("accept"), r->stream || r->as_is ? SLICE("text/event-stream, application/json") : SLICE("application/json"));
    out_headers_add(h, SLICE("user-agent"), SLICE("penstock/" PENSTOCK_VERSION));
    if (r->upstream->auth_value.len)
        out_headers_add(h, r->upstream->auth_name, r->upstream->auth_value);
    else if (r->upstream->config->auth == AUTH_PASSTHROUGH && r->client != r->up)
        pass_credential(r, h);
    if (dialect_is_anthropic(r->up))
        add_version(r, h);
    for (unsigned i = 0; i < from->count; i++)
        if (is_forwarded(r, from->items[i].name) &&
            !http_header_is_hop_by_hop(from, from->items[i].name))
            out_headers_add(h, from->items[i].name, from->items[i].value);
}

/* model: the upstream's own name, or NULL to keep the client's. */
static int make_body(struct relay *r, const struct envelope *env, struct slice model,
                     struct slice pieces[SPLICE_PIECES], unsigned *out_n) {
    if (r->leg || r->as_is) {
        pieces[0] = r->leg ? buf_slice(&r->leg->request) : r->body;
        *out_n = pieces[0].len > 0;
        return 0;
    }
    if (!env->model_token.len)
        model = SLICE_NULL;              /* an optional one that is not there */
    return request_splice(r->body, env, model, r->strip_usage, r->ex->arena, pieces, out_n);
}

static struct slice make_target(const struct relay *r, struct slice model) {
    const struct upstream *u = r->upstream;
    if (u->target.ptr && !r->passes && r->up == u->config->dialect)
        return u->target;
    struct slice target = upstream_target(u, r->path, model, r->ex->arena);
    if (!r->as_is || !r->ex->query.len)
        return target;
    char mark = slice_index(target, '?') < 0 ? '?' : '&';
    return slice_cstr(arena_printf(r->ex->arena, "%.*s%c%.*s", SLICE_FMT(target), mark,
                                   SLICE_FMT(r->ex->query)));
}

/* The server answers HEAD with GET's head. */
static enum http_method method_of(const struct relay *r) {
    if (!r->as_is)
        return HTTP_METHOD_POST;
    return r->ex->method == HTTP_METHOD_HEAD ? HTTP_METHOD_GET : r->ex->method;
}

int relay_send(struct relay *r, const struct envelope *env, const char *upstream_model,
               struct err *e) {
    const struct config_provider *p = r->upstream->config;
    struct slice pieces[SPLICE_PIECES];
    unsigned n_pieces;
    struct slice model = upstream_model ? slice_cstr(upstream_model) : SLICE_NULL;
    if (make_body(r, env, model, pieces, &n_pieces) < 0)
        return err_set(e, ERR_LIMIT, "the request cannot be rewritten for provider '%s'", p->name);
    struct out_headers h;
    upstream_headers(r, &h);
    struct http_call_request call = {.method = method_of(r),
                                     .target = make_target(r, model.ptr ? model : env->model),
                                     .headers = h.items,
                                     .n_headers = h.count,
                                     .body = pieces,
                                     .n_body = n_pieces,
                                     .first_byte_timeout_ns = p->first_byte_timeout_ns,
                                     .idle_timeout_ns = p->idle_timeout_ns};
    r->call = http_call_start(worker_pool(r->worker, r->upstream), &call, &relay_call_callbacks, r);
    return 0;
}
