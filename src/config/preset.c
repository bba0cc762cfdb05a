/* SPDX-License-Identifier: Apache-2.0 */
/* What a provider is where its configuration says nothing: the preset that it names, the one of its
 * host, or the row of its dialect. Explicit settings win. */
#include "config/loader.h"
#include "config/suggest.h"

struct filling {
    struct loader *l;
    struct provider_draft *p;
    const struct preset *preset;
    bool dialect_given;
    struct place from;               /* what `config show` says of a value that was filled in */
};

static struct place *place_at(const struct filling *f, const char *row_name) {
    return &f->p->places[setting_index(setting_find(slice_cstr(row_name)))];
}

static bool is_given(const struct filling *f, const char *row_name) {
    return place_at(f, row_name)->source != NULL;
}

/* ---- which one ---- */

static struct slice host_of(const char *url) {
    const char *host = url ? strstr(url, "://") : NULL;
    if (!host || strncmp(url, "http+unix", 9) == 0) return SLICE_NULL;
    host += 3;
    return slice_make(host, strcspn(host, "/:"));
}

static bool speaks(const struct preset *preset, const char *dialect) {
    if (strcmp(preset->dialect, dialect) == 0) return true;
    for (const char *const *d = preset->also; *d; d++) {
        if (strcmp(*d, dialect) == 0) return true;
    }
    return false;
}

/* Of its host, unless the configuration has it speak what that preset does not. */
static const struct preset *preset_by_host(const struct filling *f) {
    const struct preset *preset = preset_of_host(host_of(f->p->p.base_url));
    bool fits = preset && (!f->dialect_given || speaks(preset, f->p->p.dialect_name));
    return fits ? preset : NULL;
}

static void choose(struct filling *f) {
    const struct config_provider *p = &f->p->p;
    f->preset = p->preset_name ? preset_find(p->preset_name) : preset_by_host(f);
    if (f->preset) {
        f->from.source = arena_printf(f->l->arena, "preset %s", f->preset->name);
    } else {
        f->preset = preset_find(p->dialect_name);
    }
}

/* ---- single values ---- */

static void fill_string(struct filling *f, const char *row_name, const char **field,
                        const char *value) {
    if (*field || is_given(f, row_name) || !value) return;
    *field = value;
    *place_at(f, row_name) = f->from;
}

static void fill_dialect(struct filling *f) {
    struct config_provider *p = &f->p->p;
    if (!f->dialect_given) {
        p->dialect_name = f->preset->dialect;
        *place_at(f, "providers.*.dialect") = f->from;
    }
    p->dialect = dialect_find(slice_cstr(p->dialect_name));
    if (!p->dialect)
        report_fault(&f->l->report, f->p->at, p->name, "this build does not speak %s",
                     p->dialect_name);
}

static bool ends_with(struct slice s, struct slice end) {
    return s.len >= end.len && slice_eq(slice_from(s, s.len - end.len), end);
}

/* The path of a base URL without its last slash. */
static struct slice path_of(const char *url) {
    const char *host = strstr(url, "://");
    if (!host) return SLICE_NULL;
    struct slice path = slice_cstr(host + 3 + strcspn(host + 3, "/"));
    while (path.len > 0 && path.ptr[path.len - 1] == '/') path.len--;
    return path;
}

static bool names_deployments(const struct filling *f) {
    const char *url = f->p->p.base_url;
    return url && strcmp(f->preset->name, "azure") == 0 && strstr(url, "/openai/deployments/");
}

/* Azure's address alone can only mean its API of today. */
static void complete_azure_url(struct filling *f) {
    struct config_provider *p = &f->p->p;
    if (!p->base_url || strcmp(f->preset->name, "azure") != 0) return;
    struct slice url = slice_cstr(p->base_url), path = path_of(p->base_url);
    bool is_bare = path.len == 0 || slice_eq(path, SLICE("/openai"));
    if (!host_of(p->base_url).len || !is_bare) return;
    while (url.ptr[url.len - 1] == '/') url.len--;
    p->base_url = arena_printf(f->l->arena, "%.*s%s", SLICE_FMT(url),
                               path.len == 0 ? "/openai/v1" : "/v1");
}

static void fill_address(struct filling *f) {
    struct config_provider *p = &f->p->p;
    if (!p->is_mock) fill_string(f, "providers.*.base_url", &p->base_url, f->preset->base_url);
    complete_azure_url(f);
    const char *query = names_deployments(f) ? "api-version=2024-10-21" : f->preset->query;
    fill_string(f, "providers.*.query", &p->query, query);
    fill_string(f, "providers.*.auth_header", &p->auth_header, f->preset->auth_header);
    if (!p->auth_header) p->auth_header = "authorization"; /* given, and empty */
    if (!p->api_version) p->api_version = "2023-06-01";
}

static bool is_blank(const char *text) {
    return !text || text[strspn(text, " \t\r\n")] == '\0';
}

/* The vendor's usual variable, for the vendor's own host only: a key goes nowhere else unasked. */
static void fill_key(struct filling *f) {
    struct config_provider *p = &f->p->p;
    const char *name = f->preset->api_key_env;
    if (p->api_key || is_given(f, "providers.*.api_key") || !p->preset_name || p->is_mock) return;
    if (!name && !is_given(f, "providers.*.auth")) {
        p->auth = AUTH_NONE; /* servers at home ask for none */
        *place_at(f, "providers.*.auth") = f->from;
    }
    bool is_at_home = preset_of_host(host_of(p->base_url)) == f->preset;
    const char *value =
        name && p->auth == AUTH_KEY && is_at_home ? env_get(&f->l->env, name) : NULL;
    if (is_blank(value)) return;
    const struct setting *row = setting_find(SLICE("providers.*.api_key"));
    struct scope s = provider_scope(f->l, f->p);
    struct scalar v = {.text = slice_cstr(value), .at = {.source = name},
                       .path = arena_printf(f->l->scratch, "%s.api_key", s.path)};
    if (!setting_store(row, &s, &v, f->l->arena, &f->l->report)) return; /* reported */
}

static void fill_metering(struct filling *f) {
    struct config_provider *p = &f->p->p;
    if (is_given(f, "providers.*.metering")) return;
    if (f->preset->accepts_injection && p->caps.stream_options) return;
    p->metering = METERING_OBSERVE;
    *place_at(f, "providers.*.metering") = f->from;
}

static void fill_capabilities(struct filling *f) {
    struct config_provider *p = &f->p->p;
    char name[96];
    for (unsigned i = 0; i < CAPABILITY_COUNT; i++) {
        const struct capability_doc *d = &capability_docs[i];
        snprintf(name, sizeof name, "providers.*.quirks.%s", d->name);
        if (is_given(f, name)) p->caps_given |= UINT64_C(1) << i;
        else memcpy((char *)&p->caps + d->offset, (const char *)&f->preset->caps + d->offset,
                    d->size);
    }
}

/* ---- also ---- */

static bool has_also(const struct config_provider *p, const struct dialect *d) {
    for (unsigned i = 0; i < p->n_also; i++) {
        if (p->also[i] == d) return true;
    }
    return p->dialect == d;
}

/* False: nobody's word. */
static bool add_also(struct config_provider *p, const char *name) {
    const struct dialect *d = dialect_find(slice_cstr(name));
    if (strcmp(name, "embeddings") == 0) p->has_embeddings = true;
    else if (strcmp(name, "moderations") == 0) p->has_moderations = true;
    else if (d && !has_also(p, d)) p->also[p->n_also++] = d;
    else return d || preset_find(name) != NULL;
    return true;
}

static void fill_also(struct filling *f) {
    struct config_provider *p = &f->p->p;
    const struct preset *preset = f->preset;
    if (is_given(f, "providers.*.also")) return;
    const char **names = arena_alloc(f->l->arena, 8 * sizeof *names);
    unsigned n = 0;
    bool is_known = speaks(preset, p->dialect_name) && !p->is_mock;
    if (is_known && strcmp(preset->dialect, p->dialect_name) != 0) names[n++] = preset->dialect;
    for (unsigned i = 0; is_known && preset->also[i]; i++) {
        bool is_absent = names_deployments(f) && strcmp(preset->also[i], "responses") == 0;
        if (!is_absent && strcmp(preset->also[i], p->dialect_name) != 0)
            names[n++] = preset->also[i];
    }
    if (preset->has_embeddings && !p->is_mock) names[n++] = "embeddings";
    if (preset->has_moderations && !p->is_mock) names[n++] = "moderations";
    p->also_names = names;
    *place_at(f, "providers.*.also") = f->from;
}

static void check_also(struct filling *f) {
    static const char *const words[] = {"chat",       "completions", "responses", "messages",
                                        "embeddings", "moderations", NULL};
    struct config_provider *p = &f->p->p;
    struct place at = *place_at(f, "providers.*.also");
    for (unsigned i = 0; p->also_names[i]; i++) {
        const char *name = p->also_names[i];
        bool is_word = false;
        struct suggestion s;
        suggestion_init(&s, slice_cstr(name));
        for (unsigned w = 0; words[w]; w++) {
            suggestion_offer(&s, slice_cstr(words[w]));
            is_word = is_word || strcmp(words[w], name) == 0;
        }
        if (is_word && add_also(p, name)) continue;
        report_fault(&f->l->report, at, arena_printf(f->l->scratch, "providers.%s.also", p->name),
                     "%.60s is neither a dialect nor embeddings or moderations%s%.*s%s",
                     place_quote(at, name), s.nearest.ptr ? "; did you mean " : "",
                     SLICE_FMT(s.nearest), s.nearest.ptr ? "?" : "");
    }
    if (is_given(f, "providers.*.keeps_responses")) return;
    p->keeps_responses = f->preset->keeps_responses;
    *place_at(f, "providers.*.keeps_responses") = f->from;
}

/* Anthropic's SDK is given a base URL without /v1. */
static void check_version_in_path(struct filling *f) {
    const struct config_provider *p = &f->p->p;
    bool is_alone = p->dialect_name && strcmp(p->dialect_name, "messages") == 0 && p->n_also == 0;
    if (!is_alone || !p->base_url || !ends_with(path_of(p->base_url), SLICE("/v1"))) return;
    report_warning(&f->l->report, *place_at(f, "providers.*.base_url"),
                   arena_printf(f->l->scratch, "providers.%s.base_url", p->name),
                   "ends in /v1, which messages upstreams are written without: it is not added twice");
}

void preset_apply(struct loader *l, struct provider_draft *p) {
    struct filling f = {.l = l, .p = p};
    f.dialect_given = is_given(&f, "providers.*.dialect");
    choose(&f);
    p->p.preset = f.preset;
    fill_dialect(&f);
    fill_capabilities(&f);
    fill_address(&f);
    fill_key(&f);
    fill_metering(&f);
    fill_also(&f);
    check_also(&f);
    check_version_in_path(&f);
}
