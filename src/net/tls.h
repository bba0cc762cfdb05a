/* SPDX-License-Identifier: Apache-2.0 */
/* TLS contexts (OpenSSL 3). A context is immutable after creation and may be shared by threads (the
 * server's and client's session caches lock themselves). Connections are net/conn.h's business. TLS
 * 1.2 and later; SSL_MODE_RELEASE_BUFFERS; no renegotiation. */
#ifndef PENSTOCK_NET_TLS_H
#define PENSTOCK_NET_TLS_H

#include "base/err.h"
#include "base/slice.h"

struct tls_context;

struct tls_server_options {
    const char *cert_file;    /* PEM chain */
    const char *key_file;     /* PEM */
};
struct tls_client_options {
    bool insecure_skip_verify;   /* verification is on unless this is set */
    const char *ca_file;         /* PEM bundle; NULL: the system's */
};
/* Errors name the file and OpenSSL's reason. ALPN offers "http/1.1" (room for "h2"). */
int tls_context_server(const struct tls_server_options *o, struct tls_context **out,
                       struct err *e) MUST_CHECK;
int tls_context_client(const struct tls_client_options *o, struct tls_context **out,
                       struct err *e) MUST_CHECK;
void tls_context_free(struct tls_context **c);

#endif
