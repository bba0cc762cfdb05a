/* SPDX-License-Identifier: Apache-2.0 */
/* The upstream request: the client's body with at most two splices, and headers of our own. */
#include "dialect/splice.h"
#include "gateway/relay.h"
#include "version.h"

/* Client headers that go upstream by name; credentials, hop-by-hop headers and what describes the
 * client's own attempt (user-agent, x-stainless-*) never do. */
static const struct slice forwarded[] = {{"x-client-request-id", 19}, {"idempotency-key", 15}, {"traceparent", 11}, {"tracestate", 10}};
static const struct slice credentials[] = {{"authorization", 13}, {"api-key", 7}, {"x-api-key", 9}};

static bool is_one_of(struct slice name, const struct slice *list, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (slice_eq_nocase(name, list[i]))
            return true;
    return false;
}

static bool is_forwarded(const struct relay *r, struct slice name) {
    if (is_one_of(name, credentials, sizeof credentials / sizeof credentials[0]))
        return r->upstream->config->auth == AUTH_PASSTHROUGH;
    if (is_one_of(name, forwarded, sizeof forwarded / sizeof forwarded[0]))
        return true;
    if (r->upstream->is_openai && slice_eq_nocase(slice_sub(name, 0, 7), SLICE("openai-")))
        return true;
    for (const char *const *h = r->upstream->config->forward_headers; *h; h++)
        if (slice_eq_nocase(name, slice_cstr(*h)))
            return true;
    return false;
}

static void upstream_headers(const struct relay *r, struct out_headers *h) {
    const struct http_headers *from = &r->ex->headers;
    h->count = 0;
    out_headers_add(h, SLICE("content-type"), SLICE("application/json"));
    out_headers_add(h, SLICE("accept"), r->stream ? SLICE("text/event-stream, application/json") : SLICE("application/json"));
    out_headers_add(h, SLICE("user-agent"), SLICE("penstock/" PENSTOCK_VERSION));
    if (r->upstream->config->auth == AUTH_KEY && r->upstream->authorization.len)
        out_headers_add(h, SLICE("authorization"), r->upstream->authorization);
    for (unsigned i = 0; i < from->count; i++)
        if (is_forwarded(r, from->items[i].name) &&
            !http_header_is_hop_by_hop(from, from->items[i].name))
            out_headers_add(h, from->items[i].name, from->items[i].value);
}

int relay_send(struct relay *r, const struct envelope *env, const char *upstream_model,
               struct err *e) {
    const struct config_provider *p = r->upstream->config;
    struct slice pieces[SPLICE_PIECES];
    unsigned n_pieces;
    struct slice model = upstream_model ? slice_cstr(upstream_model) : SLICE_NULL;
    int rc = request_splice(bytes_slice(r->ex->body), env, model, r->strip_usage, r->ex->arena,
                            pieces, &n_pieces);
    if (rc < 0)
        return err_set(e, ERR_LIMIT, "the request cannot be rewritten for provider '%s'", p->name);
    struct out_headers h;
    upstream_headers(r, &h);
    struct http_call_request call = {.method = HTTP_METHOD_POST,
                                     .target = r->upstream->chat_target,
                                     .headers = h.items,
                                     .n_headers = h.count,
                                     .body = pieces,
                                     .n_body = n_pieces,
                                     .first_byte_timeout_ns = p->first_byte_timeout_ns,
                                     .idle_timeout_ns = p->idle_timeout_ns};
    r->call = http_call_start(worker_pool(r->worker, r->upstream), &call, &relay_call_callbacks, r);
    return 0;
}
