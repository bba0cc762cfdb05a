/* SPDX-License-Identifier: Apache-2.0 */
#include "http/client-private.h"

#include <stdio.h>

static bool is_own_header(struct slice name) {
    return slice_eq_nocase(name, SLICE("host")) || slice_eq_nocase(name, SLICE("connection")) ||
           slice_eq_nocase(name, SLICE("content-length")) ||
           slice_eq_nocase(name, SLICE("transfer-encoding"));
}

static int check_target(const struct http_call_request *r, struct err *e) {
    bool is_asterisk = r->method == HTTP_METHOD_OPTIONS && slice_eq(r->target, SLICE("*"));
    if (!is_asterisk && !slice_starts_with(r->target, SLICE("/"))) {
        return err_set(e, ERR_USAGE, "request target must start with '/'");
    }
    for (size_t i = 0; i < r->target.len; i++) {
        unsigned char byte = (unsigned char)r->target.ptr[i];
        if (byte <= ' ' || byte == 0x7f) {
            return err_set(e, ERR_USAGE, "request target has byte 0x%02x at %zu: encode it as %%%02X",
                           byte, i, byte);
        }
    }
    return 0;
}

static int check_request(const struct http_call_request *r, struct err *e) {
    if (r->method == HTTP_METHOD_OTHER) {
        return err_set(e, ERR_USAGE, "request method cannot be sent");
    }
    if (r->n_body > CALL_MAX_BODY_PIECES) {
        return err_set(e, ERR_INTERNAL, "request body has %u pieces: at most %d", r->n_body,
                       CALL_MAX_BODY_PIECES);
    }
    for (unsigned i = 0; i < r->n_headers; i++) {
        if (!http_header_is_valid(r->headers[i].name, r->headers[i].value)) {
            /* The value may be a secret: only a name that is printable is shown. */
            struct slice name = r->headers[i].name;
            bool is_name_good = http_header_is_valid(name, SLICE(""));
            return err_set(e, ERR_USAGE, "request header %.*s has bytes that cannot be sent",
                           SLICE_FMT(is_name_good ? slice_sub(name, 0, 64) : SLICE("name")));
        }
    }
    return check_target(r, e);
}

static char *put(char *at, struct slice s) {
    if (s.len > 0) {
        memcpy(at, s.ptr, s.len);
    }
    return at + s.len;
}

static char *put_header(char *at, struct slice name, struct slice value) {
    for (size_t i = 0; i < name.len; i++) {
        char byte = name.ptr[i];
        *at++ = (char)(byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte);
    }
    at = put(at, SLICE(": "));
    at = put(at, value);
    return put(at, SLICE("\r\n"));
}

static bool needs_length(const struct http_call_request *r, size_t body_bytes) {
    return body_bytes > 0 || r->method == HTTP_METHOD_POST || r->method == HTTP_METHOD_PUT ||
           r->method == HTTP_METHOD_PATCH;
}

int request_head_write(const struct http_origin *o, const struct http_call_request *r,
                       struct buf *out, struct err *e) {
    int rc = check_request(r, e);
    if (rc < 0) {
        return rc;
    }
    struct slice method = slice_cstr(http_method_name(r->method));
    size_t body_bytes = 0;
    for (unsigned i = 0; i < r->n_body; i++) {
        body_bytes += r->body[i].len;
    }
    char length[24];
    int length_chars = snprintf(length, sizeof length, "%zu", body_bytes);

    size_t bytes = method.len + r->target.len + o->scheme_host.len + 96;
    for (unsigned i = 0; i < r->n_headers; i++) {
        bytes += r->headers[i].name.len + r->headers[i].value.len + 4;
    }
    char *start = buf_reserve(out, bytes);
    if (!start) {
        return err_set(e, ERR_LIMIT, "request head is larger than %d bytes", CALL_MAX_REQUEST_HEAD);
    }
    char *at = put(start, method);
    *at++ = ' ';
    at = put(at, r->target);
    at = put(at, SLICE(" HTTP/1.1\r\n"));
    at = put_header(at, SLICE("host"), o->scheme_host);
    for (unsigned i = 0; i < r->n_headers; i++) {
        if (!is_own_header(r->headers[i].name)) {
            at = put_header(at, r->headers[i].name, r->headers[i].value);
        }
    }
    if (needs_length(r, body_bytes)) {
        at = put_header(at, SLICE("content-length"), slice_make(length, (size_t)length_chars));
    }
    at = put(at, SLICE("\r\n"));
    buf_commit(out, (size_t)(at - start));
    return 0;
}
