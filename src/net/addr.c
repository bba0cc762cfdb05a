/* SPDX-License-Identifier: Apache-2.0 */
#include "net/addr.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Longest literal that inet_pton could take, and then some. */
#define LITERAL_BYTES 64

bool addr_from_literal(struct slice host, uint16_t port, struct addr *out_addr) {
    char text[LITERAL_BYTES];
    if (host.len == 0 || host.len >= sizeof text || memchr(host.ptr, '\0', host.len)) return false;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';

    struct addr a = {0};
    if (inet_pton(AF_INET, text, &a.u.in4.sin_addr) == 1) {
        a.u.in4.sin_family = AF_INET;
        a.len = sizeof a.u.in4;
    } else if (inet_pton(AF_INET6, text, &a.u.in6.sin6_addr) == 1) {
        a.u.in6.sin6_family = AF_INET6;
        a.len = sizeof a.u.in6;
    } else {
        return false;
    }
    addr_set_port(&a, port);
    *out_addr = a;
    return true;
}

int addr_from_unix_path(struct slice path, struct addr *out_addr, struct err *e) {
    struct addr a = {0};
    if (path.len == 0 || memchr(path.ptr, '\0', path.len)) {
        return err_set(e, ERR_USAGE, "a Unix socket needs a path, as in unix:/run/penstock.sock");
    }
    if (path.len >= sizeof a.u.un.sun_path) {
        return err_set(e, ERR_USAGE,
                       "the Unix socket path '%.*s' is %zu bytes long; the system allows %zu",
                       (int)(path.len < 60 ? path.len : 60), path.ptr, path.len,
                       sizeof a.u.un.sun_path - 1);
    }
    a.u.un.sun_family = AF_UNIX;
    memcpy(a.u.un.sun_path, path.ptr, path.len);
    a.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
    *out_addr = a;
    return 0;
}

/* Splits "host:port" and "[host]:port"; the brackets go. False when there is no port or something
 * is left over. */
static bool split_host_port(struct slice text, struct slice *out_host, struct slice *out_port) {
    if (text.len > 0 && text.ptr[0] == '[') {
        ptrdiff_t end = slice_index(text, ']');
        if (end < 0 || (size_t)end + 1 >= text.len || text.ptr[end + 1] != ':') return false;
        *out_host = slice_sub(text, 1, (size_t)end - 1);
        *out_port = slice_from(text, (size_t)end + 2);
        return true;
    }
    ptrdiff_t colon = slice_index(text, ':');
    if (colon < 0) return false;
    *out_host = slice_sub(text, 0, (size_t)colon);
    *out_port = slice_from(text, (size_t)colon + 1);
    return slice_index(*out_port, ':') < 0;
}

static int bad_address(struct slice text, const char *why, struct err *e) {
    return err_set(e, ERR_USAGE, "'%.*s' is not an address: %s",
                   (int)(text.len < 100 ? text.len : 100), text.ptr, why);
}

int addr_parse(struct slice text, struct addr *out_addr, struct err *e) {
    if (slice_starts_with(text, SLICE("unix:"))) {
        return addr_from_unix_path(slice_from(text, 5), out_addr, e);
    }
    struct slice host, port_text;
    if (!split_host_port(text, &host, &port_text)) {
        return bad_address(text, "write host:port, [v6]:port or unix:/path", e);
    }
    uint64_t port;
    if (!slice_to_u64(port_text, UINT16_MAX, &port)) {
        return bad_address(text, "the port must be a number from 0 to 65535", e);
    }
    if (text.ptr[0] == '[') {
        bool is_v6 = addr_from_literal(host, (uint16_t)port, out_addr) &&
                     out_addr->u.sa.sa_family == AF_INET6;
        if (is_v6) return 0;
        return bad_address(text, "what is in brackets must be an IPv6 address", e);
    }
    if (host.len == 0) host = SLICE("0.0.0.0");
    if (slice_eq_nocase(host, SLICE("localhost"))) host = SLICE("127.0.0.1");
    if (addr_from_literal(host, (uint16_t)port, out_addr)) return 0;
    return bad_address(text, "the host must be an IP address or localhost", e);
}

static const char *unix_text(const struct addr *a, char out[ADDR_TEXT_BYTES]) {
    size_t max = a->len > offsetof(struct sockaddr_un, sun_path)
                     ? a->len - offsetof(struct sockaddr_un, sun_path)
                     : 0;
    const char *path = a->u.un.sun_path;
    bool is_abstract = max > 1 && path[0] == '\0';
    size_t len = is_abstract ? max - 1 : strnlen(path, max);
    snprintf(out, ADDR_TEXT_BYTES, "unix:%s%.*s", is_abstract ? "@" : "", (int)len,
             path + is_abstract);
    return out;
}

const char *addr_text(const struct addr *a, char out[ADDR_TEXT_BYTES]) {
    char host[INET6_ADDRSTRLEN] = "?";
    switch (a->u.sa.sa_family) {
    case AF_INET:
        inet_ntop(AF_INET, &a->u.in4.sin_addr, host, sizeof host);
        snprintf(out, ADDR_TEXT_BYTES, "%s:%u", host, addr_port(a));
        return out;
    case AF_INET6:
        inet_ntop(AF_INET6, &a->u.in6.sin6_addr, host, sizeof host);
        snprintf(out, ADDR_TEXT_BYTES, "[%s]:%u", host, addr_port(a));
        return out;
    case AF_UNIX:
        return unix_text(a, out);
    default:
        snprintf(out, ADDR_TEXT_BYTES, "unknown");
        return out;
    }
}

/* The IPv4 address in host order, also of a v4-mapped one. */
static bool addr_v4(const struct addr *a, uint32_t *out_v4) {
    if (a->u.sa.sa_family == AF_INET) {
        *out_v4 = ntohl(a->u.in4.sin_addr.s_addr);
        return true;
    }
    if (a->u.sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a->u.in6.sin6_addr)) {
        uint32_t be;
        memcpy(&be, &a->u.in6.sin6_addr.s6_addr[12], sizeof be);
        *out_v4 = ntohl(be);
        return true;
    }
    return false;
}

bool addr_is_unix(const struct addr *a) {
    return a->u.sa.sa_family == AF_UNIX;
}

uint16_t addr_port(const struct addr *a) {
    if (a->u.sa.sa_family == AF_INET) return ntohs(a->u.in4.sin_port);
    if (a->u.sa.sa_family == AF_INET6) return ntohs(a->u.in6.sin6_port);
    return 0;
}

void addr_set_port(struct addr *a, uint16_t port) {
    if (a->u.sa.sa_family == AF_INET) a->u.in4.sin_port = htons(port);
    if (a->u.sa.sa_family == AF_INET6) a->u.in6.sin6_port = htons(port);
}

bool addr_same_host(const struct addr *a, const struct addr *b) {
    uint32_t v4_a = 0, v4_b = 0;
    bool is_v4_a = addr_v4(a, &v4_a), is_v4_b = addr_v4(b, &v4_b);
    if (is_v4_a || is_v4_b) return is_v4_a && is_v4_b && v4_a == v4_b;
    if (a->u.sa.sa_family != b->u.sa.sa_family) return false;
    if (a->u.sa.sa_family == AF_INET6) {
        return IN6_ARE_ADDR_EQUAL(&a->u.in6.sin6_addr, &b->u.in6.sin6_addr) &&
               a->u.in6.sin6_scope_id == b->u.in6.sin6_scope_id;
    }
    return addr_is_unix(a) && a->len == b->len &&
           memcmp(&a->u.un, &b->u.un, a->len) == 0;
}
