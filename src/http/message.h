/* SPDX-License-Identifier: Apache-2.0 */
/* What the server and the client share: header lists, methods, status texts, dates. */
#ifndef PENSTOCK_HTTP_MESSAGE_H
#define PENSTOCK_HTTP_MESSAGE_H

#include "base/buf.h"
#include "base/slice.h"

struct http_header {
    struct slice name;    /* as it came; compare without case. What we write is lower case. */
    struct slice value;   /* trimmed of SP and HTAB */
};

struct http_headers {
    const struct http_header *items;
    unsigned count;
};

/* First value, or SLICE_NULL (ptr NULL) when absent; an empty value has a ptr. */
struct slice http_headers_get(const struct http_headers *h, struct slice name);
unsigned http_headers_count(const struct http_headers *h, struct slice name);
/* True when a comma-separated list (all fields of that name) holds the token, without case. */
bool http_headers_has_token(const struct http_headers *h, struct slice name, struct slice token);
/* RFC 9110 7.6.1: connection, keep-alive, proxy-connection, te, trailer, transfer-encoding,
 * upgrade, proxy-auth…, and whatever `connection` nominates in h. */
bool http_header_is_hop_by_hop(const struct http_headers *h, struct slice name);
/* A field name made of tchar, and a value without CR, LF and NUL: what may be written. */
bool http_header_is_valid(struct slice name, struct slice value);

enum http_method {
    HTTP_METHOD_GET,
    HTTP_METHOD_HEAD,
    HTTP_METHOD_POST,
    HTTP_METHOD_PUT,
    HTTP_METHOD_DELETE,
    HTTP_METHOD_OPTIONS,
    HTTP_METHOD_PATCH,
    HTTP_METHOD_OTHER
};
const char *http_method_name(enum http_method m);
/* Puts a method into a list as the header `allow` has it: "" at first. GET brings HEAD; what is there
 * already stays alone. */
#define HTTP_ALLOW_BYTES 64
void http_allow_add(char allow[HTTP_ALLOW_BYTES], enum http_method m);
const char *http_status_text(unsigned status);   /* "Not Found"; "Unknown" for what has none */

#endif
