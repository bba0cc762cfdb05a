/* SPDX-License-Identifier: Apache-2.0 */
/* What is served when no file says: the providers whose keys are in the environment, each with the
 * models that it is known for, or, with no key at all, the built-in mock for every model. A config
 * or a key takes the mock away: a forgotten key in production must not yield made-up answers. */
#include "config/loader.h"

/* A provider that a key in the environment is enough for. */
static const struct {
    const char *name, *dialect, *key_env, *url_env, *base_url;
    const char *models[4];
} known_providers[] = {
    {"openai", "chat", "OPENAI_API_KEY", "OPENAI_BASE_URL", "https://api.openai.com/v1",
     {"gpt-*", "o[0-9]*", "chatgpt-*"}},
    {"anthropic", "messages", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL",
     "https://api.anthropic.com", {"claude-*"}},
};
#define KNOWN (sizeof known_providers / sizeof known_providers[0])

static void store(struct loader *l, const struct scope *s, const char *row_name, const char *text,
                  struct place at) {
    const struct setting *row = setting_find(slice_cstr(row_name));
    struct scalar v = {.text = slice_cstr(text), .at = at,
                       .path = arena_printf(l->scratch, "%s%s", s->path,
                                            row_name + strlen(s->prefix))};
    if (!setting_store(row, s, &v, l->arena, &l->report)) return; /* reported */
}

static void route(struct loader *l, const char *name, const char *provider, struct place at) {
    struct model_draft *m = add_model(l, at);
    m->name = name;
    m->has_targets = true;
    add_target(l, m, at)->provider = provider;
}

static bool is_blank(const char *text) {
    return !text || text[strspn(text, " \t\r\n")] == '\0';
}

/* The variable's value, NULL when unset or blank. */
static const char *env_word(const struct loader *l, const char *name) {
    const char *value = env_get(&l->env, name);
    return is_blank(value) ? NULL : value;
}

static void add_known_provider(struct loader *l, size_t i) {
    const char *key = env_word(l, known_providers[i].key_env);
    const char *url = env_word(l, known_providers[i].url_env);
    struct place key_at = {.source = known_providers[i].key_env};
    struct place url_at = {.source = url ? known_providers[i].url_env : NULL};
    if (!key && url) {
        report_warning(&l->report, url_at, NULL, "is set, but %s is not: not used",
                       known_providers[i].key_env);
    }
    struct provider_draft *p =
        key ? add_provider(l, slice_cstr(known_providers[i].name), key_at) : NULL;
    if (!p) return;
    struct scope s = provider_scope(l, p);
    l->has_key = true;
    store(l, &s, "providers.*.dialect", known_providers[i].dialect, (struct place){0});
    store(l, &s, "providers.*.base_url", url ? url : known_providers[i].base_url, url_at);
    store(l, &s, "providers.*.api_key", key, key_at);
    for (unsigned m = 0; m < 4 && known_providers[i].models[m]; m++) {
        if (!l->has_models) route(l, known_providers[i].models[m], p->p.name, key_at);
    }
}

static struct provider_draft *find_mock(struct loader *l) {
    for (struct provider_draft *p = l->providers; p; p = p->next) {
        if (p->p.is_mock) return p;
    }
    return NULL;
}

/* The mock under its own name, or the one that the file has under any name. */
static const char *ensure_mock(struct loader *l, struct place at) {
    struct provider_draft *p = find_mock(l);
    if (!p) p = add_provider(l, SLICE("mock"), at);
    if (!p) return "mock";
    p->p.is_mock = true;
    if (!p->places[setting_index(setting_find(SLICE("providers.*.auth")))].source) {
        p->p.auth = AUTH_NONE;
    }
    return p->p.name;
}

static bool has_model(const struct loader *l, const char *name) {
    for (const struct model_draft *m = l->models; m; m = m->next) {
        if (m->name && strcmp(m->name, name) == 0) return true;
    }
    return false;
}

/* --mock: by name beside others, for every model when there is no other. */
static void add_asked_mock(struct loader *l) {
    static const char *const names[] = {"mock", "mock-*"};
    struct place at = {.source = "--mock"};
    bool is_alone = l->n_models == 0;
    const char *provider = ensure_mock(l, at);
    for (unsigned i = 0; i < 2; i++) {
        if (!has_model(l, names[i])) route(l, names[i], provider, at);
    }
    if (is_alone) route(l, "*", provider, at);
}

/* A provider of the file called mock that is none: --mock has no name left for the real one. */
static bool mock_name_is_taken(struct loader *l) {
    if (find_mock(l)) return false;
    for (const struct provider_draft *p = l->providers; p; p = p->next) {
        if (strcmp(p->p.name, "mock") == 0) return true;
    }
    return false;
}

void add_embedded(struct loader *l) {
    for (size_t i = 0; i < KNOWN && !l->has_providers; i++) add_known_provider(l, i);
    struct config *c = &l->out->config;
    c->mock_asked = l->sources->mock;
    c->is_mock_only = !l->has_file && !l->has_key;
    if (c->mock_asked && mock_name_is_taken(l)) {
        report_fault(&l->report, (struct place){.source = "--mock"}, "providers.mock",
                     "the configuration has a provider of this name that is not the mock");
    } else if (c->mock_asked) {
        add_asked_mock(l);
    } else if (c->is_mock_only) {
        route(l, "*", ensure_mock(l, (struct place){0}), (struct place){0});
    }
}
