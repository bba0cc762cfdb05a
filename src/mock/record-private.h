/* SPDX-License-Identifier: Apache-2.0 */
/* What the proxy's two files share. */
#ifndef PENSTOCK_MOCK_RECORD_PRIVATE_H
#define PENSTOCK_MOCK_RECORD_PRIVATE_H

#include "http/client.h"
#include "mock/record.h"

struct upstream {
    struct arena *arena;
    struct http_origin origin;
    struct slice path;               /* of its URL; may be empty */
    struct slice key;                /* empty: the client's */
    struct tls_context *tls;
};

struct http_pool *record_pool(struct mock_worker *w);
struct slice record_target(const struct upstream *u, const struct http_exchange *ex,
                             struct arena *a);
/* Copies; the key is the upstream's. */
unsigned record_headers(const struct upstream *u, const struct http_exchange *ex,
                          const struct api *api, struct arena *a, struct http_header **out);
void record_secrets(const struct upstream *u, const struct http_exchange *ex, struct arena *a,
                      struct scrub_secrets *out);

#endif
