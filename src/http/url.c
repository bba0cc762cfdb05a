/* SPDX-License-Identifier: Apache-2.0 */
#include "http/url.h"

#include <arpa/inet.h>
#include <string.h>

#define URL_MAX_BYTES 4096
#define HOST_MAX_BYTES 253
#define UNIX_PATH_MAX_BYTES 107 /* sockaddr_un's path without its NUL */

/* ---- percent-decoding ---- */

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte behind a '%' at text[i], or -1. Zero is refused: no name of ours holds one, and C
 * strings end there. */
static int escaped_byte(struct slice text, size_t i) {
    if (text.len - i < 3) return -1;
    const int high = hex_digit(text.ptr[i + 1]), low = hex_digit(text.ptr[i + 2]);
    if (high < 0 || low < 0 || (high | low) == 0) return -1;
    return high * 16 + low;
}

static bool decode(struct slice text, bool plus_is_space, struct arena *a, struct slice *out) {
    char *to = arena_alloc(a, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            const int byte = escaped_byte(text, i);
            if (byte < 0) return false;
            c = (char)byte;
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        to[len++] = c;
    }
    *out = slice_make(to, len);
    return true;
}

bool url_decode(struct slice text, struct arena *a, struct slice *out) {
    return decode(text, false, a, out);
}

struct slice url_query_get(struct slice query, struct slice name, struct arena *a) {
    while (query.len > 0) {
        const ptrdiff_t amp = slice_index(query, '&');
        const struct slice pair = amp < 0 ? query : slice_sub(query, 0, (size_t)amp);
        query = amp < 0 ? slice_from(query, query.len) : slice_from(query, (size_t)amp + 1);
        const ptrdiff_t eq = slice_index(pair, '=');
        const struct slice key = eq < 0 ? pair : slice_sub(pair, 0, (size_t)eq);
        const struct slice value =
            eq < 0 ? slice_from(pair, pair.len) : slice_from(pair, (size_t)eq + 1);
        struct slice decoded;
        if (!decode(key, true, a, &decoded) || !slice_eq(decoded, name)) continue;
        return decode(value, true, a, &decoded) ? decoded : arena_dup(a, value);
    }
    return SLICE_NULL;
}

/* ---- base URLs ---- */

static bool is_printable_ascii(struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~') return false;
    }
    return true;
}

const char *url_quotable(const char *url) {
    return strpbrk(url, "@?#") || strlen(url) > URL_MAX_BYTES ? "the URL" : url;
}

/* Texts never quote the URL: it may carry a password. */
static int check_text(struct slice text, struct err *e) {
    if (text.len == 0) return err_set(e, ERR_USAGE, "URL is empty: write one like https://host/path");
    if (text.len > URL_MAX_BYTES) return err_set(e, ERR_LIMIT, "URL is longer than %d bytes", URL_MAX_BYTES);
    if (!is_printable_ascii(text))
        return err_set(e, ERR_USAGE, "URL holds a space, a control character or a byte outside ASCII: percent-encode it");
    if (slice_index(text, '#') >= 0) return err_set(e, ERR_USAGE, "URL has a fragment: drop '#' and what follows");
    if (slice_index(text, '?') >= 0) return err_set(e, ERR_USAGE, "URL has a query: drop '?' and what follows");
    return 0;
}

static struct slice lower_dup(struct arena *a, struct slice s) {
    char *to = arena_alloc(a, s.len + 1);
    for (size_t i = 0; i < s.len; i++) {
        to[i] = s.ptr[i] >= 'A' && s.ptr[i] <= 'Z' ? (char)(s.ptr[i] + ('a' - 'A')) : s.ptr[i];
    }
    return slice_make(to, s.len);
}

static int check_name(struct slice host, struct err *e) {
    if (host.len == 0) return err_set(e, ERR_USAGE, "URL has no host");
    if (host.len > HOST_MAX_BYTES) return err_set(e, ERR_USAGE, "URL's host is longer than %d bytes", HOST_MAX_BYTES);
    for (size_t i = 0; i < host.len; i++) {
        const char c = host.ptr[i];
        const bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!alnum && c != '-' && c != '.' && c != '_')
            return err_set(e, ERR_USAGE, "URL's host holds '%c': only letters, digits, '-', '.' and '_' may stand there", c);
    }
    return 0;
}

static int check_ipv6(struct slice host, struct err *e) {
    char text[INET6_ADDRSTRLEN];
    struct in6_addr parsed;
    if (host.len < sizeof text) {
        memcpy(text, host.ptr, host.len);
        text[host.len] = '\0';
        if (inet_pton(AF_INET6, text, &parsed) == 1) return 0;
    }
    return err_set(e, ERR_USAGE, "URL's host in brackets is not an IPv6 address");
}

/* Splits "[::1]:80" and "name:80"; *out_port keeps its ':' or is empty. */
static int split_authority(struct slice authority, struct slice *out_host, struct slice *out_port,
                           bool *out_is_ipv6, struct err *e) {
    *out_is_ipv6 = authority.len > 0 && authority.ptr[0] == '[';
    if (!*out_is_ipv6) {
        const ptrdiff_t colon = slice_index(authority, ':');
        *out_host = colon < 0 ? authority : slice_sub(authority, 0, (size_t)colon);
        *out_port =
            colon < 0 ? slice_from(authority, authority.len) : slice_from(authority, (size_t)colon);
        return 0;
    }
    const ptrdiff_t end = slice_index(authority, ']');
    if (end < 0) return err_set(e, ERR_USAGE, "URL's host lacks its closing ']'");
    *out_host = slice_sub(authority, 1, (size_t)end - 1);
    *out_port = slice_from(authority, (size_t)end + 1);
    if (out_port->len > 0 && out_port->ptr[0] != ':')
        return err_set(e, ERR_USAGE, "URL's host: only ':port' may follow ']'");
    return 0;
}

static int parse_port(struct slice port, uint16_t default_port, uint16_t *out, struct err *e) {
    *out = default_port;
    if (port.len == 0) return 0;
    uint64_t number;
    if (!slice_to_u64(slice_from(port, 1), UINT16_MAX, &number) || number == 0)
        return err_set(e, ERR_USAGE, "URL's port is not a number from 1 to 65535");
    *out = (uint16_t)number;
    return 0;
}

static int parse_tcp_authority(struct slice authority, struct arena *a, struct url *out,
                               struct err *e) {
    const uint16_t default_port = out->is_tls ? 443 : 80;
    struct slice host = SLICE_NULL, port = SLICE_NULL;
    bool is_ipv6;
    int rc = split_authority(authority, &host, &port, &is_ipv6, e);
    if (rc < 0) return rc;
    out->host = lower_dup(a, host);
    rc = is_ipv6 ? check_ipv6(out->host, e) : check_name(out->host, e);
    if (rc == 0) rc = parse_port(port, default_port, &out->port, e);
    if (rc < 0) return rc;
    const char *left = is_ipv6 ? "[" : "", *right = is_ipv6 ? "]" : "";
    out->authority = slice_cstr(out->port == default_port
                                    ? arena_printf(a, "%s%.*s%s", left, SLICE_FMT(out->host), right)
                                    : arena_printf(a, "%s%.*s%s:%u", left, SLICE_FMT(out->host), right, out->port));
    return 0;
}

static int parse_unix_authority(struct slice authority, struct arena *a, struct url *out,
                                struct err *e) {
    if (!url_decode(authority, a, &out->unix_path))
        return err_set(e, ERR_USAGE, "URL's socket path has a bad '%%' escape");
    if (out->unix_path.len == 0 || out->unix_path.ptr[0] != '/')
        return err_set(e, ERR_USAGE, "URL's socket path must be absolute with its slashes as %%2F: http+unix://%%2Frun%%2Fx.sock/path");
    if (out->unix_path.len > UNIX_PATH_MAX_BYTES)
        return err_set(e, ERR_USAGE, "URL's socket path is longer than %d bytes", UNIX_PATH_MAX_BYTES);
    out->port = 80;
    out->host = out->authority = SLICE("localhost");
    return 0;
}

static int parse_scheme(struct slice text, struct slice *out_rest, bool *out_is_tls,
                        bool *out_is_unix, struct err *e) {
    const ptrdiff_t colon = slice_index(text, ':');
    if (colon < 0 || !slice_starts_with(slice_from(text, (size_t)colon), SLICE("://")))
        return err_set(e, ERR_USAGE, "URL has no scheme: it must start with http://, https:// or http+unix://");
    const struct slice scheme = slice_sub(text, 0, (size_t)colon);
    *out_is_tls = slice_eq_nocase(scheme, SLICE("https"));
    *out_is_unix = slice_eq_nocase(scheme, SLICE("http+unix"));
    if (!*out_is_tls && !*out_is_unix && !slice_eq_nocase(scheme, SLICE("http")))
        return err_set(e, ERR_USAGE, "URL's scheme is not http, https or http+unix");
    *out_rest = slice_from(text, (size_t)colon + 3);
    return 0;
}

int url_parse(struct slice text, struct arena *a, struct url *out, struct err *e) {
    *out = (struct url){0};
    struct slice rest = SLICE_NULL;
    bool is_unix = false;
    int rc = check_text(text, e);
    if (rc == 0) rc = parse_scheme(text, &rest, &out->is_tls, &is_unix, e);
    if (rc < 0) return rc;
    const ptrdiff_t slash = slice_index(rest, '/');
    const struct slice authority = slash < 0 ? rest : slice_sub(rest, 0, (size_t)slash);
    struct slice path = slice_from(rest, authority.len);
    if (slice_index(authority, '@') >= 0)
        return err_set(e, ERR_USAGE, "URL has a user or password before '@': give credentials by their own setting");
    rc = is_unix ? parse_unix_authority(authority, a, out, e)
                 : parse_tcp_authority(authority, a, out, e);
    if (rc < 0) return rc;
    while (path.len > 0 && path.ptr[path.len - 1] == '/') path.len--;
    out->path = arena_dup(a, path);
    return 0;
}
