/* SPDX-License-Identifier: Apache-2.0 */
/* Without client credentials anybody who can reach the port may spend the operator's key, a web
 * page in the user's browser included. So a browser's ways in are shut: a foreign Host (DNS
 * rebinding), a foreign Origin (cross-site requests), and content types that need no preflight. */
#include <arpa/inet.h>
#include <stdio.h>

#include "gateway/gateway-private.h"

static struct slice host_without_port(struct slice host) {
    if (host.len && host.ptr[0] == '[') {
        ptrdiff_t end = slice_index(host, ']');
        return end < 0 ? host : slice_sub(host, 1, (size_t)end - 1);
    }
    ptrdiff_t colon = slice_index(host, ':');
    return colon < 0 ? host : slice_sub(host, 0, (size_t)colon);
}

static bool is_ip_literal(struct slice host) {
    char text[INET6_ADDRSTRLEN];
    unsigned char raw[16];
    if (host.len == 0 || host.len >= sizeof text)
        return false;
    memcpy(text, host.ptr, host.len);
    text[host.len] = 0;
    return inet_pton(AF_INET, text, raw) == 1 || inet_pton(AF_INET6, text, raw) == 1;
}

/* A literal address cannot be rebound; a name can, so names must be known ones. */
static bool host_is_allowed(const struct config *c, struct slice authority) {
    struct slice host = host_without_port(authority);
    if (is_ip_literal(host) || slice_eq_nocase(host, SLICE("localhost")))
        return true;
    for (unsigned i = 0; i < c->n_listen; i++)
        if (strncmp(c->listen[i].address, "unix:", 5) != 0 &&
            slice_eq_nocase(host, host_without_port(slice_cstr(c->listen[i].address))))
            return true;
    for (const char *const *name = c->allowed.hosts; *name; name++)
        if (strcmp(*name, "*") == 0 || slice_eq_nocase(host, slice_cstr(*name)))
            return true;
    return false;
}

static bool origin_is_listed(const struct config *c, struct slice origin) {
    for (const char *const *o = c->cors.origins; *o; o++)
        if (strcmp(*o, "*") == 0 || slice_eq_nocase(origin, slice_cstr(*o)))
            return true;
    return false;
}

/* "http://localhost:8080" on a request to Host: localhost:8080 is our own page. */
static bool origin_is_same(struct slice origin, struct slice host) {
    static const struct slice schemes[] = {{"http://", 7}, {"https://", 8}};
    for (size_t i = 0; i < 2; i++)
        if (host.len && slice_starts_with(origin, schemes[i]))
            return slice_eq_nocase(slice_from(origin, schemes[i].len), host);
    return false;
}

static bool content_type_is_json(struct slice type) {
    ptrdiff_t semicolon = slice_index(type, ';');
    struct slice essence = slice_trim(semicolon < 0 ? type : slice_sub(type, 0, (size_t)semicolon));
    if (slice_eq_nocase(essence, SLICE("application/json")))
        return true;
    return essence.len > 17 && slice_eq_nocase(slice_sub(essence, 0, 12), SLICE("application/")) &&
           slice_eq_nocase(slice_from(essence, essence.len - 5), SLICE("+json"));
}

static bool refuse(struct worker *w, struct http_exchange *ex, enum fault_id id, const char *format,
                   struct slice what) {
    char message[400];
    if (what.len > 128)
        what.len = 128;
    snprintf(message, sizeof message, format, SLICE_FMT(what));
    answer_fault(w, ex, id, NULL, message);
    return true;
}

/* POST /responses/{id}/cancel has nothing to say; a web page's would have an Origin. */
static bool has_no_body(const struct http_exchange *ex, struct slice type) {
    return !type.ptr &&
           slice_eq(http_headers_get(&ex->headers, SLICE("content-length")), SLICE("0"));
}

bool guard_refuses(struct worker *w, struct http_exchange *ex) {
    const struct config *c = w->gateway->config;
    if (!ex->is_unix && ex->host.len && !host_is_allowed(c, ex->host))
        return refuse(w, ex, FAULT_FORBIDDEN_HOST,
                      "The Host '%.*s' is not served here. If this name is meant to reach this gateway, add it to allowed_hosts.",
                      ex->host);
    struct slice origin = http_headers_get(&ex->headers, SLICE("origin"));
    if (origin.ptr && !origin_is_listed(c, origin) && !origin_is_same(origin, ex->host))
        return refuse(w, ex, FAULT_FORBIDDEN_ORIGIN,
                      "Requests from the web origin '%.*s' are not allowed. To allow it, add it to cors.origins.", origin);
    if (ex->method == HTTP_METHOD_POST) {
        struct slice type = http_headers_get(&ex->headers, SLICE("content-type"));
        if (!content_type_is_json(type) && !has_no_body(ex, type))
            return refuse(w, ex, FAULT_CONTENT_TYPE,
                          "Unsupported content type '%.*s'. Send the request with 'Content-Type: application/json'.",
                          type.ptr ? type : SLICE(""));
    }
    return false;
}

unsigned guard_cors_headers(const struct worker *w, const struct http_exchange *ex,
                            struct http_header *out) {
    struct slice origin = http_headers_get(&ex->headers, SLICE("origin"));
    if (!origin.ptr || !origin_is_listed(w->gateway->config, origin))
        return 0;
    out[0] = (struct http_header){SLICE("access-control-allow-origin"), origin};
    out[1] = (struct http_header){SLICE("access-control-expose-headers"),
                                  SLICE("x-request-id, request-id, x-upstream-request-id, x-penstock-dropped, retry-after, retry-after-ms, x-should-retry")};
    out[2] = (struct http_header){SLICE("vary"), SLICE("origin")};
    return 3;
}

/* A wildcard does not cover authorization, and the browser builds of the official SDKs send all of
 * these. */
#define CORS_ALLOW_HEADERS \
    "authorization, content-type, api-key, x-api-key, anthropic-version, anthropic-beta, " \
    "anthropic-dangerous-direct-browser-access, openai-organization, openai-project, openai-beta, " \
    "x-request-id, x-client-request-id, idempotency-key, traceparent, x-stainless-lang, " \
    "x-stainless-package-version, x-stainless-os, x-stainless-arch, x-stainless-runtime, " \
    "x-stainless-runtime-version, x-stainless-retry-count, x-stainless-timeout, x-stainless-read-timeout, " \
    "x-stainless-helper-method, x-stainless-async, x-stainless-raw-response"

void guard_preflight(struct worker *w, struct http_exchange *ex, const char *allow) {
    struct http_header h[8];
    unsigned n = guard_cors_headers(w, ex, h);
    if (n) {
        h[n++] = (struct http_header){SLICE("access-control-allow-methods"), slice_cstr(allow)};
        h[n++] = (struct http_header){SLICE("access-control-allow-headers"), SLICE(CORS_ALLOW_HEADERS)};
        h[n++] = (struct http_header){SLICE("access-control-max-age"), SLICE("600")};
    }
    h[n++] = (struct http_header){SLICE("allow"), slice_cstr(allow)};
    http_respond(ex, &(struct http_response){204, h, n}, SLICE_NULL);
}
