/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and how people write them: "127.0.0.1:8080", "[::1]:8080", ":8080", "localhost:8080",
 * "unix:/run/x.sock". */
#ifndef PENSTOCK_NET_ADDR_H
#define PENSTOCK_NET_ADDR_H

#include <sys/socket.h>
#include <sys/un.h>
#include <netinet/in.h>

#include "base/err.h"
#include "base/slice.h"

struct addr {
    socklen_t len;
    union {
        struct sockaddr sa;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
        struct sockaddr_storage storage;
    } u;
};

#define ADDR_TEXT_BYTES 128

/* Numeric host:port or unix:path (no DNS; "localhost" is 127.0.0.1, an empty host is 0.0.0.0). Port
 * 0 is allowed. 0 or -ERR_USAGE. */
int addr_parse(struct slice text, struct addr *out_addr, struct err *e) MUST_CHECK;
/* An IPv4 or IPv6 literal without brackets; false when it is none (a name, then). */
bool addr_from_literal(struct slice host, uint16_t port, struct addr *out_addr) MUST_CHECK;
int addr_from_unix_path(struct slice path, struct addr *out_addr, struct err *e) MUST_CHECK;
/* "127.0.0.1:8080", "[::1]:8080", "unix:/path"; returns out. */
const char *addr_text(const struct addr *a, char out[ADDR_TEXT_BYTES]);
bool addr_is_unix(const struct addr *a);
uint16_t addr_port(const struct addr *a);
void addr_set_port(struct addr *a, uint16_t port);
/* Ports do not count. A v4-mapped address is its IPv4 address. */
bool addr_same_host(const struct addr *a, const struct addr *b);

#endif
