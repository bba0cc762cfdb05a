/* SPDX-License-Identifier: Apache-2.0 */
/* What can be judged only when all is read: addresses, credentials, routes. A configuration that
 * cannot work as written is refused here, not at the first request. Then drafts become arrays. */
#include "config/loader.h"
#include "config/suggest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/un.h>
#include <unistd.h>

static struct place place_of(const struct place *places, const char *row_name) {
    return places[setting_index(setting_find(slice_cstr(row_name)))];
}

static bool contains_byte(struct slice s, const char *bytes) {
    for (size_t i = 0; i < s.len; i++) {
        if (strchr(bytes, s.ptr[i])) return true;
    }
    return false;
}

static void check_file(struct loader *l, const char *file, struct place at, const char *path) {
    if (file && access(file, R_OK) != 0) {
        report_fault(&l->report, at, path, "cannot read %.200s: %s", place_quote(at, file),
                     strerror(errno));
    }
}

/* ---- listeners ---- */

static bool is_ip_literal(struct slice host) {
    char text[INET6_ADDRSTRLEN];
    unsigned char address[sizeof(struct in6_addr)];
    bool is_v6 = host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    if (is_v6) host = slice_sub(host, 1, host.len - 2);
    if (host.len >= sizeof text || contains_byte(host, "%")) return false;
    snprintf(text, sizeof text, "%.*s", SLICE_FMT(host));
    return inet_pton(is_v6 ? AF_INET6 : AF_INET, text, address) == 1;
}

static bool is_unix(const char *address) {
    return slice_starts_with(slice_cstr(address), SLICE("unix:"));
}

/* What is wrong with an address; NULL: nothing. */
static const char *address_fault(struct slice address) {
    uint64_t port;
    if (slice_starts_with(address, SLICE("unix:"))) {
        size_t len = address.len - 5;
        if (len == 0) return "unix: needs the path of a socket behind it";
        return len >= sizeof((struct sockaddr_un *)0)->sun_path ? "the socket's path is too long"
                                                                : NULL;
    }
    const char *colon = memrchr(address.ptr, ':', address.len);
    if (!colon) {
        return slice_to_u64(address, 65535, &port)
                   ? "a port alone: write 127.0.0.1:PORT, or :PORT for every address"
                   : "expected host:port or unix:/path";
    }
    size_t host_len = (size_t)(colon - address.ptr);
    struct slice host = slice_sub(address, 0, host_len);
    if (!slice_to_u64(slice_from(address, host_len + 1), 65535, &port)) {
        return "the port must be a number from 0 to 65535";
    }
    if (host.len == 0 || slice_eq(host, SLICE("localhost")) || is_ip_literal(host)) return NULL;
    if (contains_byte(host, ":")) return "an IPv6 address needs brackets: [::1]:8080";
    return "names are not looked up: write an IP address, localhost, or nothing before the port";
}

static bool is_local_only(struct slice address) {
    return slice_starts_with(address, SLICE("unix:")) ||
           slice_starts_with(address, SLICE("127.")) ||
           slice_starts_with(address, SLICE("[::1]:")) ||
           slice_starts_with(address, SLICE("localhost:"));
}

static bool has_any_key(const struct loader *l) {
    for (const struct provider_draft *p = l->providers; p; p = p->next) {
        if (p->p.api_key && p->p.auth == AUTH_KEY) return true;
    }
    return false;
}

static void check_listener(struct loader *l, struct listen_draft *d) {
    struct slice address = slice_cstr(d->listen.address);
    if (!address.ptr) return; /* reported where it was read */
    const char *fault = address_fault(address);
    const char *shown = place_quote(d->at, address.ptr);
    if (fault) report_fault(&l->report, d->at, "listen", "%.100s: %s", shown, fault);
    for (const struct listen_draft *other = l->listen; other != d; other = other->next) {
        bool is_same = other->listen.address && strcmp(other->listen.address, address.ptr) == 0;
        bool any_port = address.len > 2 && strcmp(address.ptr + address.len - 2, ":0") == 0;
        if (is_same && !any_port) {
            report_fault(&l->report, d->at, "listen", "%.100s is given twice", shown);
        }
    }
    if (!fault && !is_local_only(address) && has_any_key(l)) {
        report_warning(&l->report, d->at, "listen",
                       "%.100s can be reached from other machines, and clients are not "
                       "authenticated: whoever reaches it spends your keys",
                       shown);
    }
    bool has_own = d->listen.tls_cert || d->listen.tls_key;
    if (!has_own && !is_unix(address.ptr)) {
        d->listen.tls_cert = l->out->tls_cert;
        d->listen.tls_key = l->out->tls_key;
    }
    if (has_own && !(d->listen.tls_cert && d->listen.tls_key)) {
        report_fault(&l->report, d->at, "listen.tls", "cert and key are needed, both");
    }
    if (!has_own) return;
    check_file(l, d->listen.tls_cert, d->at, "listen.tls.cert");
    check_file(l, d->listen.tls_key, d->at, "listen.tls.key");
}

static void check_listeners(struct loader *l) {
    struct place cert_at = place_of(l->out->places, "tls.cert");
    struct place key_at = place_of(l->out->places, "tls.key");
    if (!l->out->tls_cert != !l->out->tls_key) {
        report_fault(&l->report, cert_at.source ? cert_at : key_at, "tls",
                     "cert and key are needed, both");
    }
    check_file(l, l->out->tls_cert, cert_at, "tls.cert");
    check_file(l, l->out->tls_key, key_at, "tls.key");
    for (struct listen_draft *d = l->listen; d; d = d->next) check_listener(l, d);
}

/* ---- providers ---- */

static bool is_socket_path_encoded(struct slice host) {
    return slice_starts_with(host, SLICE("%2F")) || slice_starts_with(host, SLICE("%2f"));
}

static const char *authority_fault(struct slice authority) {
    uint64_t port;
    const char *close = memrchr(authority.ptr, ']', authority.len);
    size_t from = close ? (size_t)(close - authority.ptr) + 1 : 0;
    struct slice behind = slice_from(authority, from);
    ptrdiff_t colon = slice_index(behind, ':');
    struct slice host = slice_sub(authority, 0, colon < 0 ? authority.len : from + (size_t)colon);
    if (host.len == 0) return "the host is missing";
    if (close && (host.ptr[0] != '[' || !is_ip_literal(host) || (colon != 0 && behind.len > 0))) {
        return "the address in brackets is malformed";
    }
    if (!close && contains_byte(host, "[]%\\")) return "the host is malformed";
    if (colon < 0) return NULL;
    bool is_port = slice_to_u64(slice_from(behind, (size_t)colon + 1), 65535, &port) && port > 0;
    return is_port ? NULL : "the port must be a number from 1 to 65535";
}

/* `{model}` stands for the model's name. */
static bool has_wrong_byte(struct slice path) {
    struct slice model = SLICE("{model}");
    const char *at = path.len > 0 ? memmem(path.ptr, path.len, model.ptr, model.len) : NULL;
    if (!at) return contains_byte(path, " \"<>^`{|}");
    size_t before = (size_t)(at - path.ptr);
    return contains_byte(slice_sub(path, 0, before), " \"<>^`{|}") ||
           contains_byte(slice_from(path, before + model.len), " \"<>^`{|}");
}

static const char *endpoint_fault(struct slice path) {
    static const struct {
        const char *end, *fault;
    } endpoints[] = {
        {"/chat/completions", "leave /chat/completions out: the gateway adds it"},
        {"/completions", "leave /completions out: the gateway adds it"},
        {"/responses", "leave /responses out: the gateway adds it"},
        {"/messages", "leave /v1/messages out: the gateway adds it"},
    };
    while (path.len > 0 && path.ptr[path.len - 1] == '/') path.len--;
    for (unsigned i = 0; i < sizeof endpoints / sizeof endpoints[0]; i++) {
        struct slice end = slice_cstr(endpoints[i].end);
        if (path.len >= end.len && slice_eq(slice_from(path, path.len - end.len), end))
            return endpoints[i].fault;
    }
    return NULL;
}

/* What is wrong with a base URL, without quoting it: it might hold a password. NULL: nothing. */
static const char *base_url_fault(struct slice url) {
    static const char *const schemes[] = {"http://", "https://", "http+unix://"};
    unsigned i = 0;
    while (i < 3 && !slice_starts_with(url, slice_cstr(schemes[i]))) i++;
    if (i == 3) return "expected http://, https:// or http+unix:// in front";
    struct slice rest = slice_from(url, strlen(schemes[i]));
    ptrdiff_t slash = slice_index(rest, '/');
    struct slice authority = slash < 0 ? rest : slice_sub(rest, 0, (size_t)slash);
    struct slice path = slash < 0 ? SLICE_NULL : slice_from(rest, (size_t)slash);
    if (contains_byte(authority, " \"<>^`{|}") || has_wrong_byte(path)) {
        return "holds a character that a URL cannot";
    }
    if (contains_byte(rest, "?#")) return "a query or fragment cannot be part of it: there is query";
    if (contains_byte(authority, "@")) return "credentials belong into api_key, not into the URL";
    const char *endpoint = endpoint_fault(path);
    if (endpoint) return endpoint;
    if (i < 2) return authority_fault(authority);
    return is_socket_path_encoded(authority)
               ? NULL
               : "the socket's path must be percent-encoded: http+unix://%2Frun%2Fllm.sock/v1";
}

static void check_base_url(struct loader *l, const struct provider_draft *p, const char *path) {
    struct place at = place_of(p->places, "providers.*.base_url");
    const char *url = p->p.base_url;
    if (p->p.is_mock && url) {
        report_fault(&l->report, at, path, "the built-in mock has no base_url of its own");
    } else if (!p->p.is_mock && !url && !at.source) {
        report_fault(&l->report, p->at, path, "missing");
    } else if (url) {
        const char *fault = base_url_fault(slice_cstr(url));
        if (fault) report_fault(&l->report, at, path, "%s", fault);
    }
}

static bool is_header_name(const char *name) {
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (const char *c = name; *c; c++) {
        bool is_word = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                       (*c >= '0' && *c <= '9');
        if (!is_word && !strchr(others, *c)) return false;
    }
    return name[0] != '\0';
}

static void check_forward_headers(struct loader *l, const struct provider_draft *p,
                                  const char *path) {
    static const char *const refused[] = {
        "authorization", "proxy-authorization", "x-api-key", "api-key", "cookie", "host",
        "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer",
        "upgrade", "expect", "content-encoding", "accept-encoding", "content-type",
    };
    struct place at = place_of(p->places, "providers.*.forward_headers");
    for (unsigned i = 0; p->p.forward_headers[i]; i++) {
        const char *name = p->p.forward_headers[i];
        if (!is_header_name(name)) {
            report_fault(&l->report, at, path, "%.60s is not the name of a header",
                         place_quote(at, name));
        }
        for (unsigned k = 0; k < sizeof refused / sizeof refused[0]; k++) {
            if (!slice_eq_nocase(slice_cstr(name), slice_cstr(refused[k]))) continue;
            report_fault(&l->report, at, path, "%s cannot be forwarded%s", refused[k],
                         k < 5 ? ": for the client's own credential write auth: passthrough" : "");
        }
    }
}

static bool is_ascii(const char *text) {
    while (*text && (unsigned char)*text < 0x7f) text++;
    return *text == '\0';
}

static void check_credential(struct loader *l, const struct provider_draft *p, const char *path) {
    struct place key_at = place_of(p->places, "providers.*.api_key");
    bool auth_given = place_of(p->places, "providers.*.auth").source != NULL;
    const char *key = p->p.api_key;
    if (key && !is_ascii(key)) {
        report_fault(&l->report, key_at, path, "holds a character that cannot stand in a header");
    } else if (key && strcmp(key, "***") == 0) {
        report_warning(&l->report, key_at, path, "is ***, as `config show` prints it, not a key");
    } else if (!key && p->p.auth == AUTH_KEY && !p->p.is_mock) {
        report_warning(&l->report, key_at.source ? key_at : p->at, path,
                       "%s: requests to %s go out without a credential%s",
                       key_at.source ? "is empty" : "missing", p->p.name,
                       auth_given ? "" : "; write auth: none if that is meant");
    } else if (key && p->p.auth != AUTH_KEY) {
        report_warning(&l->report, key_at, path, "is not used: auth says otherwise");
    }
}

/* What goes out in headers and request lines. */
static void check_words(struct loader *l, const struct provider_draft *p, const char *path) {
    static const char *const refused[] = {"host", "content-length", "transfer-encoding",
                                          "connection", "content-type", "accept-encoding"};
    struct place at = place_of(p->places, "providers.*.auth_header");
    const char *header = p->p.auth_header, *query = p->p.query, *version = p->p.api_version;
    bool is_refused = !is_header_name(header);
    for (unsigned i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        is_refused = is_refused || slice_eq_nocase(slice_cstr(header), slice_cstr(refused[i]));
    }
    if (is_refused) {
        report_fault(&l->report, at, arena_printf(l->scratch, "%s.auth_header", path),
                     "%.60s cannot carry a credential", place_quote(at, header));
    }
    at = place_of(p->places, "providers.*.query");
    if (query && (query[0] == '?' || !is_ascii(query) ||
                  contains_byte(slice_cstr(query), " #\"<>"))) {
        report_fault(&l->report, at, arena_printf(l->scratch, "%s.query", path),
                     "expected name=value&…, percent-encoded, without a ? in front");
    }
    at = place_of(p->places, "providers.*.api_version");
    if (!is_header_name(version)) {
        report_fault(&l->report, at, arena_printf(l->scratch, "%s.api_version", path),
                     "expected a date, such as 2023-06-01");
    }
}

static void check_provider(struct loader *l, struct provider_draft *p) {
    struct scope s = provider_scope(l, p);
    if (p->p.is_mock && !place_of(p->places, "providers.*.auth").source) p->p.auth = AUTH_NONE;
    preset_apply(l, p);
    check_base_url(l, p, arena_printf(l->scratch, "%s.base_url", s.path));
    check_credential(l, p, arena_printf(l->scratch, "%s.api_key", s.path));
    check_forward_headers(l, p, arena_printf(l->scratch, "%s.forward_headers", s.path));
    check_words(l, p, s.path);
    check_file(l, p->p.ca_file, place_of(p->places, "providers.*.ca_file"),
               arena_printf(l->scratch, "%s.ca_file", s.path));
    if (!p->p.tls_verify) {
        report_warning(&l->report, place_of(p->places, "providers.*.tls_verify"), s.path,
                       "the upstream's certificate is not checked");
    }
}

/* ---- models ---- */

static size_t class_end(struct slice p, size_t open) {
    size_t i = open + 1;
    if (i < p.len && p.ptr[i] == '!') i++;
    for (size_t first = i; i < p.len; i++) {
        if (p.ptr[i] == ']' && i > first) return i;
        if (p.ptr[i] == '\\') i++;
    }
    return 0;
}

/* As slice_glob reads it, but what that takes literally for want of better is a fault here. */
static const char *glob_fault(struct slice p) {
    for (size_t i = 0; i < p.len; i++) {
        if (p.ptr[i] == '\\') {
            if (++i == p.len) return "ends in a lone \"\\\"";
            continue;
        }
        if (p.ptr[i] != '[') continue;
        i = class_end(p, i);
        if (i == 0) return "a \"[\" is never closed (write \\[ for the character itself)";
    }
    return NULL;
}

static void report_no_provider(struct loader *l, struct place at, const char *path,
                               const char *name) {
    struct suggestion s;
    suggestion_init(&s, slice_cstr(name));
    for (const struct provider_draft *p = l->providers; p; p = p->next) {
        suggestion_offer(&s, slice_cstr(p->p.name));
    }
    report_fault(&l->report, at, path, "there is no provider %.60s%s%.*s%s", place_quote(at, name),
                 s.nearest.ptr ? "; did you mean " : "", SLICE_FMT(s.nearest),
                 s.nearest.ptr ? "?" : "");
}

/* The target's provider by index; -1: reported. */
static int resolve_provider(struct loader *l, const struct target_draft *t, const char *path) {
    struct place given_at = place_of(t->places, "models.*.targets.*.provider");
    struct place at = given_at.source ? given_at : t->at;
    if (!t->provider) {
        if (!given_at.source) report_fault(&l->report, at, path, "missing");
        return -1;
    }
    int i = 0;
    for (const struct provider_draft *p = l->providers; p; p = p->next, i++) {
        if (strcmp(p->p.name, t->provider) == 0) return i;
    }
    report_no_provider(l, at, path, t->provider);
    return -1;
}

/* The short form becomes the long one. */
static void unfold_short_form(struct loader *l, struct model_draft *m, const char *path) {
    bool is_short = place_of(m->places, "models.*.provider").source ||
                    place_of(m->places, "models.*.model").source;
    if (is_short && m->has_targets) {
        report_fault(&l->report, m->at, path, "has targets, and provider or model beside them");
    }
    if (m->has_targets) return;
    if (!is_short) {
        report_fault(&l->report, m->at, path, "has no targets: nobody would answer");
        return;
    }
    struct target_draft *t = add_target(l, m, m->at);
    t->provider = m->provider;
    t->model = m->model;
    t->places[setting_index(setting_find(SLICE("models.*.targets.*.provider")))] =
        place_of(m->places, "models.*.provider");
}

static void check_model_name(struct loader *l, const struct model_draft *m, const char *path) {
    struct place given_at = place_of(m->places, "models.*.name");
    struct place at = given_at.source ? given_at : m->at;
    const char *fault = m->name ? glob_fault(slice_cstr(m->name)) : "missing";
    if (!m->name && given_at.source) return; /* reported where it was read */
    if (fault) report_fault(&l->report, at, arena_printf(l->scratch, "%s.name", path), "%s", fault);
    for (const struct model_draft *other = l->models; other != m && m->name; other = other->next) {
        if (!other->name || strcmp(other->name, m->name) != 0) continue;
        report_fault(&l->report, at, arena_printf(l->scratch, "%s.name", path),
                     "%.60s is given twice, first in line %u", place_quote(at, m->name), other->at.line);
        return;
    }
}

static void freeze_model(struct loader *l, struct model_draft *m, unsigned index,
                         struct config_model *out) {
    const char *path = arena_printf(l->scratch, "models.%u", index);
    check_model_name(l, m, path);
    unfold_short_form(l, m, path);
    unsigned n = 0;
    for (const struct target_draft *t = m->targets; t; t = t->next) n++;
    struct config_target *targets = arena_alloc(l->arena, (n + 1) * sizeof *targets);
    n = 0;
    for (const struct target_draft *t = m->targets; t; t = t->next, n++) {
        const char *target_path = arena_printf(l->scratch, "%s.targets.%u.provider", path, n);
        int provider = resolve_provider(l, t, target_path);
        targets[n] = (struct config_target){provider < 0 ? 0 : (unsigned)provider, t->model};
    }
    *out = (struct config_model){
        .name = m->name, .is_glob = contains_byte(slice_cstr(m->name), "*?[\\"),
        .targets = targets, .n_targets = n, .strategy = m->strategy,
    };
}

static void warn_unused_providers(struct loader *l) {
    const struct config *c = &l->out->config;
    for (unsigned i = 0; i < c->n_providers; i++) {
        bool is_used = false;
        for (unsigned m = 0; m < c->n_models; m++) {
            for (unsigned t = 0; t < c->models[m].n_targets; t++) {
                is_used = is_used || c->models[m].targets[t].provider == i;
            }
        }
        if (is_used) continue;
        report_warning(&l->report, l->out->provider_places[i][n_settings], "providers",
                       "%s is not the target of any model", c->providers[i].name);
    }
}

/* ---- the rest ---- */

static void check_lists(struct loader *l) {
    const struct config *c = &l->out->config;
    struct place origins_at = place_of(l->out->places, "cors.origins");
    struct place hosts_at = place_of(l->out->places, "allowed_hosts");
    for (unsigned i = 0; c->cors.origins[i]; i++) {
        struct slice origin = slice_cstr(c->cors.origins[i]);
        const char *host = memmem(origin.ptr, origin.len, "://", 3);
        bool is_origin = host && host > origin.ptr && host[3] != '\0' && !strpbrk(host + 3, "/?# *");
        if (is_origin || slice_eq(origin, SLICE("*"))) continue;
        report_fault(&l->report, origins_at, "cors.origins",
                     "%.100s: expected scheme://host, without a path, or *",
                     place_quote(origins_at, origin.ptr));
    }
    for (unsigned i = 0; c->allowed.hosts[i]; i++) {
        if (!contains_byte(slice_cstr(c->allowed.hosts[i]), "/ @*")) continue;
        report_fault(&l->report, hosts_at, "allowed_hosts", "%.100s: expected the name of a host",
                     place_quote(hosts_at, c->allowed.hosts[i]));
    }
}

static void check_something_is_served(struct loader *l) {
    struct place at = {.source = l->out->config.source};
    if (l->n_models > 0) return;
    if (l->has_providers && !l->has_models) {
        report_fault(&l->report, at, "models", "missing: say which names clients may ask for, "
                     "such as {name: \"*\", provider: %s}",
                     l->providers ? l->providers->p.name : "NAME");
    } else if (l->has_file && !l->has_key && !l->has_models) {
        report_fault(&l->report, at, "providers", "missing, and there is neither OPENAI_API_KEY nor "
                     "ANTHROPIC_API_KEY: nothing to serve (--mock serves made-up answers)");
    } else {
        report_warning(&l->report, at, "models", "none: every request will be answered with 404");
    }
}

static void freeze_listen(struct loader *l) {
    struct config *c = &l->out->config;
    c->listen = arena_alloc(l->arena, (l->n_listen + 1) * sizeof *c->listen);
    l->out->listen_places = arena_alloc(l->arena, (l->n_listen + 1) * sizeof(struct place));
    for (const struct listen_draft *d = l->listen; d; d = d->next) {
        l->out->listen_places[c->n_listen] = d->at;
        c->listen[c->n_listen++] = d->listen;
    }
}

static void freeze_providers(struct loader *l) {
    struct config *c = &l->out->config;
    c->providers = arena_alloc(l->arena, (l->n_providers + 1) * sizeof *c->providers);
    l->out->provider_places = arena_alloc(l->arena, (l->n_providers + 1) * sizeof(struct place *));
    for (const struct provider_draft *p = l->providers; p; p = p->next) {
        p->places[n_settings] = p->at;
        l->out->provider_places[c->n_providers] = p->places;
        c->providers[c->n_providers++] = p->p;
    }
}

static void freeze_models(struct loader *l) {
    struct config *c = &l->out->config;
    c->models = arena_alloc(l->arena, (l->n_models + 1) * sizeof *c->models);
    l->out->model_places = arena_alloc(l->arena, (l->n_models + 1) * sizeof(struct place));
    for (struct model_draft *m = l->models; m; m = m->next) {
        l->out->model_places[c->n_models] = m->at;
        freeze_model(l, m, c->n_models, &c->models[c->n_models]);
        c->n_models++;
    }
}

void check_and_freeze(struct loader *l) {
    for (struct provider_draft *p = l->providers; p; p = p->next) check_provider(l, p);
    check_listeners(l);
    check_lists(l);
    check_something_is_served(l);
    freeze_listen(l);
    freeze_providers(l);
    freeze_models(l);
    warn_unused_providers(l);
}
