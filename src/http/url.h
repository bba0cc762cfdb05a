/* SPDX-License-Identifier: Apache-2.0 */
/* Base URLs of upstreams: http(s)://host[:port][/path], http+unix://%2Frun%2Fx.sock/path. */
#ifndef PENSTOCK_HTTP_URL_H
#define PENSTOCK_HTTP_URL_H

#include "base/arena.h"
#include "base/err.h"

struct url {
    bool is_tls;
    struct slice host;        /* without brackets */
    uint16_t port;            /* the scheme's default when absent */
    /* for Host: brackets kept, port only if it is not the scheme's default */
    struct slice authority;
    struct slice unix_path;   /* http+unix only, decoded */
    struct slice path;        /* no trailing slash; may be empty */
};
/* Userinfo, query and fragment are refused; errors name the fault. Slices live in the arena. */
int url_parse(struct slice text, struct arena *a, struct url *out, struct err *e) MUST_CHECK;
/* What a message may call a URL that was refused: itself, or "the URL" where it may hold a
 * password. Borrowed, or static. */
const char *url_quotable(const char *url);
/* Percent-decoding into the arena, '+' stays; false on bad escapes and on %00. */
bool url_decode(struct slice text, struct arena *a, struct slice *out);
/* Value of the first query parameter of that name, decoded ('+' is a space); as it came when its
 * escapes are bad; ptr NULL when absent. */
struct slice url_query_get(struct slice query, struct slice name, struct arena *a);

#endif
