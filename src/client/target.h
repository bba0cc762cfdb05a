/* SPDX-License-Identifier: Apache-2.0 */
/* Where a client's requests go: a base URL taken apart, TLS, and the headers of every request. */
#ifndef PENSTOCK_CLIENT_TARGET_H
#define PENSTOCK_CLIENT_TARGET_H

#include "dialect/dialect.h"
#include "http/client.h"
#include "http/url.h"

#define TARGET_MAX_HEADERS 24

struct client_target {
    struct arena *arena;
    struct http_origin origin;
    struct slice path;                             /* of the dialect's endpoint */
    struct http_header headers[TARGET_MAX_HEADERS];
    unsigned n_headers;
    struct tls_context *tls;                       /* NULL: plain */
};

struct client_target_options {
    /* with the /v1 that SDKs are given it with, or without where the dialect's path has one */
    const char *base_url;
    const struct dialect *dialect;                 /* NULL: chat */
    const char *api_key;                           /* NULL: none */
    const char *const *headers;                    /* "name: value" */
    unsigned n_headers;
    const char *ca_file;
    bool insecure;
};

/* Copies what it needs. 0, or -ERR_USAGE / -ERR_TLS with e. On failure nothing is left to
 * dispose. */
int client_target_init(struct client_target *t, const struct client_target_options *o,
                       struct err *e) MUST_CHECK;
void client_target_dispose(struct client_target *t);

#endif
