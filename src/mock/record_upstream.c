/* SPDX-License-Identifier: Apache-2.0 */
/* Where the proxy's requests go, and what goes with them. */
#include "mock/record-private.h"

#include <stdlib.h>

#include "base/mem.h"
#include "http/url.h"
#include "mock/mask.h"
#include "net/tls.h"

enum { TARGET_BYTES = 8192 };

struct upstream *record_upstream_new(const char *url, const char *key_env, struct err *e) {
    struct upstream *u = mem_zalloc(sizeof *u);
    struct url parsed;
    u->arena = arena_new();
    struct err why;
    int rc = url_parse(arena_dup(u->arena, slice_cstr(url)), u->arena, &parsed, &why);
    if (rc < 0) {
        err_set(e, why.kind, "the upstream %s: %s", url_quotable(url), why.text);
    }
    if (rc == 0 && key_env) {
        const char *key = getenv(key_env);
        u->key = arena_dup(u->arena, slice_cstr(key ? key : ""));
        if (u->key.len == 0 || !http_header_is_valid(SLICE("authorization"), u->key)) {
            rc = err_set(e, ERR_USAGE, "the upstream's key: environment variable %s is %s", key_env,
                         u->key.len == 0 ? "not set" : "no key that a header can carry");
        }
    }
    if (rc == 0 && parsed.is_tls) {
        rc = tls_context_client(&(struct tls_client_options){.ca_file = NULL}, &u->tls, e);
    }
    if (rc < 0) {
        record_upstream_free(&u);
        return NULL;
    }
    u->origin = (struct http_origin){.scheme_host = parsed.authority,
                                     .host = parsed.host,
                                     .port = parsed.port,
                                     .unix_path = parsed.unix_path,
                                     .tls = u->tls};
    u->path = parsed.path;
    return u;
}

void record_upstream_free(struct upstream **u) {
    if (*u) {
        tls_context_free(&(*u)->tls);
        arena_free((*u)->arena);
        mem_free(*u);
        *u = NULL;
    }
}

struct http_pool *record_pool(struct mock_worker *w) {
    if (!w->upstream_pool) {
        struct http_pool_options o;
        http_pool_options_default(&o);
        w->upstream_pool = http_pool_new(w->loop, &w->hub->upstream->origin, &o);
    }
    return w->upstream_pool;
}

/* One /v1 is enough: base URLs have it or not, by whose SDK they are for. A URL with a path of its
 * own says all that stands in front of the endpoint. */
struct slice record_target(const struct upstream *u, const struct http_exchange *ex,
                             struct arena *a) {
    struct slice own = u->path.len > 0 ? u->path : SLICE("/v1");
    const char *mark = ex->query.len > 0 ? "?" : "";
    struct slice rest = api_path(ex->path);
    if (u->path.len > 0 && !slice_starts_with(rest, SLICE("/"))) {
        rest = ex->path;
    }
    return slice_cstr(arena_printf(a, "%.*s%.*s%s%.*s", SLICE_FMT(own), SLICE_FMT(rest), mark,
                                   (int)ex->query.len, ex->query.len ? ex->query.ptr : ""));
}

static bool is_credential(struct slice name) {
    return slice_eq_nocase(name, SLICE("authorization")) ||
           slice_eq_nocase(name, SLICE("x-api-key")) || slice_eq_nocase(name, SLICE("api-key"));
}

static bool is_passed(const struct upstream *u, const struct http_headers *all, struct slice name) {
    static const char *const ours[] = {"host", "content-length", "accept-encoding", "expect"};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        if (slice_eq_nocase(name, slice_cstr(ours[i]))) {
            return false;
        }
    }
    return !http_header_is_hop_by_hop(all, name) && !(u->key.len > 0 && is_credential(name)) &&
           !slice_eq_nocase(slice_sub(name, 0, 11), SLICE("x-penstock-"));
}

unsigned record_headers(const struct upstream *u, const struct http_exchange *ex,
                          const struct api *api, struct arena *a, struct http_header **out) {
    struct http_header *to = arena_alloc(a, (ex->headers.count + 2) * sizeof *to);
    unsigned n = 0;
    for (unsigned i = 0; i < ex->headers.count; i++) {
        const struct http_header *h = &ex->headers.items[i];
        if (is_passed(u, &ex->headers, h->name)) {
            to[n++] = (struct http_header){arena_dup(a, h->name), arena_dup(a, h->value)};
        }
    }
    if (u->key.len > 0 && api->is_anthropic) {
        to[n++] = (struct http_header){SLICE("x-api-key"), u->key};
    } else if (u->key.len > 0) {
        const char *value = arena_printf(a, "Bearer %.*s", SLICE_FMT(u->key));
        to[n++] = (struct http_header){SLICE("authorization"), slice_cstr(value)};
    }
    *out = to;
    return n;
}

static void add_header_secret(struct scrub_secrets *s, const struct http_header *h) {
    if (mask_is_secret_name(h->name)) {
        ptrdiff_t blank = slice_index(h->value, ' ');
        scrub_secrets_add(s, slice_trim(slice_from(h->value, blank < 0 ? 0 : (size_t)blank)));
    }
}

/* Slices into the exchange's arena and the upstream. */
void record_secrets(const struct upstream *u, const struct http_exchange *ex, struct arena *a,
                      struct scrub_secrets *out) {
    *out = (struct scrub_secrets){.n = 0};
    scrub_secrets_add(out, u->key);
    for (unsigned i = 0; i < ex->headers.count; i++) {
        add_header_secret(out, &ex->headers.items[i]);
    }
    static const char *const asked[] = {"key", "api_key", "api-key", "access_token", "token"};
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        scrub_secrets_add(out, url_query_get(ex->query, slice_cstr(asked[i]), a));
    }
}

/* ---- the provider's ---- */

static struct captures *open_captures(const struct mock_options *o, struct err *e) {
    const struct captures_options co = {.record = o->record, .replay = o->replay,
                                        .scrub = o->scrub, .n_scrub = o->n_scrub};
    return captures_open(&co, e);
}

int record_open(struct hub *h, struct err *e) {
    const struct mock_options *o = h->fixed;
    if (o->record && !o->upstream) {
        return err_set(e, ERR_USAGE, "recording needs somebody to record: add --upstream URL");
    }
    if (o->upstream && !(h->upstream = record_upstream_new(o->upstream, o->upstream_key, e))) {
        return -ERR_USAGE;
    }
    if ((o->record || o->replay) && !(h->captures = open_captures(o, e))) {
        return -ERR_USAGE;
    }
    return 0;
}

void record_close(struct hub *h) {
    captures_close(&h->captures);
    record_upstream_free(&h->upstream);
}

void record_close_worker(struct mock_worker *w) {
    http_pool_close(&w->upstream_pool);
}

bool record_is_on(const struct mock_worker *w) {
    return w->hub->upstream != NULL;
}

/* ---- what is asked ---- */

const struct dialect *record_dialect(const struct http_exchange *ex) {
    const struct api *api = ex->method == HTTP_METHOD_POST ? api_of_path(ex->path) : NULL;
    return api ? api->dialect : NULL;
}

int record_norm(const struct mock_call *c, struct capture_norm *out) {
    const struct http_exchange *ex = c->ex;
    const struct dialect *d = record_dialect(ex);
    capture_norm_init(out);
    if (d == &dialect_responses) {       /* c->rq may have what our own store remembers */
        return capture_norm_body(out, d, bytes_slice(ex->body));
    }
    return d ? capture_norm_request(out, &c->rq)
             : capture_norm_plain(out, slice_cstr(http_method_name(ex->method)),
                                  api_path(ex->path), ex->query, bytes_slice(ex->body));
}
