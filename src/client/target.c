/* SPDX-License-Identifier: Apache-2.0 */
#include "client/target.h"

#include "version.h"

static int add_header(struct client_target *t, struct slice name, struct slice value,
                      struct err *e) {
    if (!http_header_is_valid(name, value)) {
        return err_set(e, ERR_USAGE, "header '%.*s' cannot be sent: write 'name: value'",
                       (int)(name.len < 40 ? name.len : 40), name.ptr ? name.ptr : "");
    }
    if (t->n_headers == TARGET_MAX_HEADERS) {
        return err_set(e, ERR_USAGE, "too many headers: at most %d", TARGET_MAX_HEADERS);
    }
    t->headers[t->n_headers++] =
        (struct http_header){arena_dup(t->arena, name), arena_dup(t->arena, value)};
    return 0;
}

static int add_given(struct client_target *t, const char *line, struct err *e) {
    struct slice s = slice_cstr(line);
    ptrdiff_t colon = slice_index(s, ':');
    if (colon < 0) {
        return add_header(t, SLICE_NULL, SLICE_NULL, e);
    }
    return add_header(t, slice_trim(slice_sub(s, 0, (size_t)colon)),
                      slice_trim(slice_from(s, (size_t)colon + 1)), e);
}

static bool is_anthropic(const struct client_target_options *o) {
    return o->dialect == &dialect_messages;
}

static int add_key(struct client_target *t, const struct client_target_options *o, struct err *e) {
    struct slice name = is_anthropic(o) ? SLICE("x-api-key") : SLICE("authorization");
    struct slice value =
        slice_cstr(is_anthropic(o) ? arena_printf(t->arena, "%s", o->api_key)
                                   : arena_printf(t->arena, "Bearer %s", o->api_key));
    if (!http_header_is_valid(name, value)) {
        return err_set(e, ERR_USAGE, "the API key holds characters that a header cannot carry");
    }
    return add_header(t, name, value, e);
}

static int add_headers(struct client_target *t, const struct client_target_options *o,
                       struct err *e) {
    int rc = add_header(t, SLICE("content-type"), SLICE("application/json"), e);
    if (rc == 0) {
        rc = add_header(t, SLICE("user-agent"), SLICE("penstock/" PENSTOCK_VERSION), e);
    }
    if (rc == 0 && is_anthropic(o)) {
        rc = add_header(t, SLICE("anthropic-version"), SLICE("2023-06-01"), e);
    }
    if (rc == 0 && o->api_key && o->api_key[0]) {
        rc = add_key(t, o, e);
    }
    for (unsigned i = 0; rc == 0 && i < o->n_headers; i++) {
        rc = add_given(t, o->headers[i], e);
    }
    return rc;
}

static int open_tls(struct client_target *t, const struct client_target_options *o, struct err *e) {
    const struct tls_client_options to = {.insecure_skip_verify = o->insecure,
                                          .ca_file = o->ca_file};
    return tls_context_client(&to, &t->tls, e);
}

/* One /v1 is enough: base URLs have it or not, by whose SDK they are for. */
static struct slice join_path(struct arena *a, struct slice base, const struct dialect *d) {
    const char *path = d->path;
    bool base_has = base.len >= 3 && slice_eq(slice_from(base, base.len - 3), SLICE("/v1"));
    if (base_has && strncmp(path, "/v1/", 4) == 0) {
        path += 3;
    }
    return slice_cstr(arena_printf(a, "%.*s%s", SLICE_FMT(base), path));
}

int client_target_init(struct client_target *t, const struct client_target_options *o,
                       struct err *e) {
    struct url url;
    *t = (struct client_target){.arena = arena_new()};
    struct err why;
    int rc = url_parse(arena_dup(t->arena, slice_cstr(o->base_url)), t->arena, &url, &why);
    if (rc < 0) {
        err_set(e, why.kind, "%s: %s", url_quotable(o->base_url), why.text);
    }
    if (rc == 0 && url.is_tls) {
        rc = open_tls(t, o, e);
    }
    if (rc == 0) {
        rc = add_headers(t, o, e);
    }
    if (rc < 0) {
        client_target_dispose(t);
        return rc;
    }
    t->origin = (struct http_origin){.scheme_host = url.authority,
                                     .host = url.host,
                                     .port = url.port,
                                     .unix_path = url.unix_path,
                                     .tls = t->tls};
    t->path = join_path(t->arena, url.path, o->dialect ? o->dialect : &dialect_chat);
    return 0;
}

void client_target_dispose(struct client_target *t) {
    tls_context_free(&t->tls);
    arena_free(t->arena);
    t->arena = NULL;
}
