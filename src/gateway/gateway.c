/* SPDX-License-Identifier: Apache-2.0 */
/* The process's part of the gateway: what is derived from the configuration once, before any worker
 * runs. */
#include <stdio.h>

#include "gateway/gateway-private.h"

static bool is_openai_host(struct slice host) {
    struct slice suffix = SLICE(".openai.com");
    return host.len > suffix.len &&
           slice_eq_nocase(slice_from(host, host.len - suffix.len), suffix);
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
    u->chat_target = slice_cstr(arena_printf(g->arena, "%.*s/chat/completions", SLICE_FMT(u->url.path)));
    u->is_openai = is_openai_host(u->url.host);
    if (p->auth == AUTH_KEY && p->api_key && *p->api_key)
        u->authorization = slice_cstr(arena_printf(g->arena, "Bearer %s", p->api_key));
    if (u->authorization.len && !http_header_is_valid(SLICE("authorization"), u->authorization))
        return err_set(e, ERR_USAGE, "providers.%s.api_key holds characters that a header cannot carry", p->name);
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
    arena_free(g->arena);
    mem_free(g);
}
