/* SPDX-License-Identifier: Apache-2.0 */
/* What `penstock serve` says when it is up: where it listens, what it serves from where, how much
 * it can carry, what to try. */
#include <stdio.h>

#include "gateway/gateway-private.h"
#include "gateway/serve.h"
#include "version.h"

struct paint {
    const char *bold, *dim, *green, *yellow, *cyan, *off;
};
static const struct paint colored = {"\033[1m", "\033[2m", "\033[32m", "\033[33m", "\033[36m", "\033[0m"};
static const struct paint plain = {"", "", "", "", "", ""};

/* A client cannot connect to "every address": say one that works from here. */
static const char *reachable(const struct gateway_listen *l, char text[ADDR_TEXT_BYTES]) {
    struct addr a = l->addr;
    if (a.u.sa.sa_family == AF_INET && a.u.in4.sin_addr.s_addr == htonl(INADDR_ANY))
        a.u.in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (a.u.sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a.u.in6.sin6_addr))
        a.u.in6.sin6_addr = in6addr_loopback;
    return addr_text(&a, text);
}

static void print_models(const struct gateway *g, const struct paint *p) {
    const struct config *c = g->config;
    for (unsigned i = 0; i < c->n_models; i++) {
        const struct config_model *m = &c->models[i];
        const struct config_provider *from = &c->providers[m->targets[0].provider];
        printf("  %s%-24s%s %s->%s %s %s(%s)%s\n", p->cyan, m->name, p->off, p->dim, p->off, from->name, p->dim,
               from->is_mock ? "built-in mock" : from->base_url, p->off);
    }
}

/* A name that can be asked for: patterns are the embedded defaults' or somebody's own. */
static const char *example_model(const struct config *c) {
    static const char *const examples[][2] = {{"gpt-*", "gpt-4o-mini"}, {"claude-*", "claude-sonnet-4-5"}, {"*", "mock-1"}};
    const char *name = c->models[0].name;
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++)
        if (strcmp(name, examples[i][0]) == 0)
            return examples[i][1];
    for (unsigned i = 0; i < c->n_models; i++)
        if (!c->models[i].is_glob)
            return c->models[i].name;
    return strpbrk(name, "*?[") ? "MODEL" : name;
}

static void print_try(const struct gateway *g, const struct paint *p) {
    char text[ADDR_TEXT_BYTES];
    const struct gateway_listen *l = &g->listens[0];
    if (g->config->n_models == 0) {
        printf("  %sNo model is served: give OPENAI_API_KEY, ANTHROPIC_API_KEY, --mock, or a penstock.yaml.%s\n\n", p->yellow, p->off);
        return;
    }
    const char *model = example_model(g->config);
    const char *at = reachable(l, text);
    bool is_unix = addr_is_unix(&l->addr);
    printf("\n  try   %scurl -N %s%s%s%s%s/v1/chat/completions -H 'content-type: application/json' \\\n"
           "          -d '{\"model\":\"%s\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"tell me a story\"}]}'%s\n",
           p->bold, is_unix ? "--unix-socket " : "", is_unix ? at + 5 : "", is_unix ? " " : "", l->tls ? "https://" : "http://",
           is_unix ? "localhost" : at, model, p->off);
    printf("  or    %spenstock chat \"tell me a story\"%s\n\n", p->bold, p->off);
}

static void print_mock_note(const struct config *c, const struct paint *p) {
    if (c->is_mock_only)
        printf("\n  %sNo config file and no API key: every model is answered by the built-in mock (x-penstock-mock: 1).%s\n"
               "  %sSet OPENAI_API_KEY in the environment or in .env, or write a penstock.yaml, for real answers.%s\n",
               p->yellow, p->off, p->dim, p->off);
}

void banner_print(const struct gateway *g, const struct serve_options *o) {
    if (!o->banner)
        return;
    const struct paint *p = o->color ? &colored : &plain;
    char text[ADDR_TEXT_BYTES];
    printf("\n  %spenstock %s%s  %s%s%s\n\n", p->bold, PENSTOCK_VERSION, p->off, p->dim, g->config->source, p->off);
    for (unsigned i = 0; i < g->config->n_listen; i++)
        printf("  listening on %s%s%s%s\n", p->green, addr_is_unix(&g->listens[i].addr) ? "" : g->listens[i].tls ? "https://" : "http://",
               addr_text(&g->listens[i].addr, text), p->off);
    printf("  %s%u worker%s, %llu descriptors: room for about %llu streams%s\n\n", p->dim, g->n_workers,
           g->n_workers == 1 ? "" : "s", (unsigned long long)g->max_files,
           (unsigned long long)(g->max_files > 64 ? (g->max_files - 64) / 2 : 0), p->off);
    print_models(g, p);
    print_mock_note(g->config, p);
    print_try(g, p);
    fflush(stdout);
}
