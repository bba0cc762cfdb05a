/* SPDX-License-Identifier: Apache-2.0 */
/* The process's part of the gateway: what is derived from the configuration once, before any worker
 * runs. */
#include "gateway/state.h"

static bool is_openai_host(struct slice host) {
    struct slice suffix = SLICE(".openai.com");
    return host.len > suffix.len &&
           slice_eq_nocase(slice_from(host, host.len - suffix.len), suffix);
}

static int credential_init(struct gateway *g, struct upstream *u, struct err *e) {
    const struct config_provider *p = u->config;
    u->auth_name = slice_cstr(p->auth_header);
    if (p->auth != AUTH_KEY || !p->api_key || !*p->api_key)
        return 0;
    bool is_bearer = slice_eq_nocase(u->auth_name, SLICE("authorization"));
    u->auth_value = is_bearer ? slice_cstr(arena_printf(g->arena, "Bearer %s", p->api_key))
                              : slice_cstr(p->api_key);
    if (!http_header_is_valid(u->auth_name, u->auth_value))
        return err_set(e, ERR_USAGE, "providers.%s.api_key holds characters that a header cannot carry", p->name);
    return 0;
}

#define MODEL_PLACE "{model}"

static bool byte_is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '.' || c == '_' || c == '~' || c == ':' || c == '@';
}

static struct slice percent_encode(struct slice text, struct arena *a) {
    static const char hex[] = "0123456789ABCDEF";
    char *to = arena_alloc(a, 3 * text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (byte_is_plain((char)c)) {
            to[len++] = (char)c;
        } else {
            to[len++] = '%';
            to[len++] = hex[c >> 4];
            to[len++] = hex[c & 15];
        }
    }
    return slice_make(to, len);
}

static const char *model_place(const struct upstream *u) {
    struct slice path = u->url.path;
    return path.len ? memmem(path.ptr, path.len, MODEL_PLACE, strlen(MODEL_PLACE)) : NULL;
}

struct slice upstream_target(const struct upstream *u, struct slice path, struct slice model,
                             struct arena *a) {
    path = provider_path(u->url.path, path);
    const char *query = u->config->query;
    bool has_query = query && *query;
    const char *place = model_place(u);
    struct slice before = u->url.path, name = SLICE(""), after = SLICE("");
    if (place) {
        before = slice_sub(before, 0, (size_t)(place - before.ptr));
        after = slice_from(u->url.path, before.len + strlen(MODEL_PLACE));
        name = percent_encode(model, a);
    }
    return slice_cstr(arena_printf(a, "%.*s%.*s%.*s%.*s%s%s", SLICE_FMT(before), SLICE_FMT(name),
                                   SLICE_FMT(after), SLICE_FMT(path), has_query ? "?" : "",
                                   has_query ? query : ""));
}

static int upstream_init(struct gateway *g, unsigned i, const char *mock_base_url, struct err *e) {
    const struct config_provider *p = &g->config->providers[i];
    struct upstream *u = &g->upstreams[i];
    u->config = p;
    u->index = i;
    const char *base = p->is_mock ? mock_base_url : p->base_url;
    if (!base || !*base)
        return err_set(e, ERR_USAGE, "provider '%s' has no base_url", p->name);
    struct err why = {0};
    if (url_parse(slice_cstr(base), g->arena, &u->url, &why) < 0)
        return err_set(e, ERR_USAGE, "providers.%s.base_url: %s", p->name, why.text);
    if (!model_place(u))
        u->target = upstream_target(u, slice_cstr(p->dialect->path), SLICE_NULL, g->arena);
    u->is_openai = is_openai_host(u->url.host);
    if (credential_init(g, u, e) < 0)
        return -ERR_USAGE;
    if (!u->url.is_tls)
        return 0;
    struct tls_client_options o = {.insecure_skip_verify = !p->tls_verify, .ca_file = p->ca_file};
    return tls_context_client(&o, &u->tls, e);
}

static int listen_init(struct gateway *g, unsigned i, struct err *e) {
    struct gateway_listen *l = &g->listens[i];
    l->config = &g->config->listen[i];
    int rc = addr_parse(slice_cstr(l->config->address), &l->addr, e);
    if (rc == 0 && l->config->tls_cert) {
        struct tls_server_options o = {.cert_file = l->config->tls_cert,
                                       .key_file = l->config->tls_key};
        rc = tls_context_server(&o, &l->tls, e);
    }
    return rc;
}

int gateway_new(const struct config *c, const char *mock_base_url, struct gateway **out,
                struct err *e) {
    struct gateway *g = mem_zalloc(sizeof *g);
    int rc = 0;
    g->config = c;
    g->arena = arena_new();
    g->start_wall_ns = clock_wall_ns();
    g->upstreams = arena_alloc(g->arena, (c->n_providers + 1) * sizeof *g->upstreams);
    g->listens = arena_alloc(g->arena, (c->n_listen + 1) * sizeof *g->listens);
    for (unsigned i = 0; rc == 0 && i < c->n_providers; i++)
        if (c->providers[i].dialect)
            rc = upstream_init(g, i, mock_base_url, e);
    for (unsigned i = 0; rc == 0 && i < c->n_listen; i++)
        rc = listen_init(g, i, e);
    g->state = state_new(c);
    if (rc < 0)
        gateway_free(&g);
    *out = g;
    return rc;
}

void gateway_free(struct gateway **gateway) {
    struct gateway *g = *gateway;
    *gateway = NULL;
    if (!g)
        return;
    for (unsigned i = 0; i < g->config->n_providers; i++)
        tls_context_free(&g->upstreams[i].tls);
    for (unsigned i = 0; i < g->config->n_listen; i++)
        tls_context_free(&g->listens[i].tls);
    state_free(&g->state);
    arena_free(g->arena);
    mem_free(g);
}
