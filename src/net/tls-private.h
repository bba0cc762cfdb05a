/* SPDX-License-Identifier: Apache-2.0 */
/* The TLS side of a conn: an SSL whose bytes go through a sock. For conn.c and tls.c alone. */
#ifndef PENSTOCK_NET_TLS_PRIVATE_H
#define PENSTOCK_NET_TLS_PRIVATE_H

#include <openssl/ssl.h>

#include "net/loop.h"
#include "net/tls.h"

struct tls_session_slot;

struct tls_context {
    SSL_CTX *ctx;
    bool is_server;
};

/* OpenSSL's new-session callback of client contexts: files the session in its stream's slot. */
int tls_on_new_session(SSL *ssl, SSL_SESSION *session);

/* TLS alone: no callbacks into the owner, no watching; the owner calls, and asks tls_wanted_events
 * what to wait for. */
struct tls_stream;

struct tls_stream *tls_stream_new_server(struct tls_context *context, struct sock *sock);
/* host is copied: SNI and verification. slot may be NULL; it is referenced. */
struct tls_stream *tls_stream_new_client(struct tls_context *context, struct sock *sock,
                                         struct slice host, struct tls_session_slot *slot);
void tls_stream_free(struct tls_stream **t);

/* 1 done, 0 not yet, negative failed. */
int tls_handshake(struct tls_stream *t, struct err *e) MUST_CHECK;
bool tls_is_open(const struct tls_stream *t);
bool tls_is_resumed(const struct tls_stream *t);

/* As sock_read: 0 would block, -ERR_CLOSED with os_errno 0: close_notify. */
ssize_t tls_read(struct tls_stream *t, void *into, size_t max, struct err *e) MUST_CHECK;
ssize_t tls_writev(struct tls_stream *t, const struct iovec *iov, int n_iov,
                   struct err *e) MUST_CHECK;
/* Bytes came from the socket that tls_read has not delivered yet, or the socket has more. */
bool tls_may_have_more(const struct tls_stream *t);
/* Bytes are here already: no socket event will come for them. */
bool tls_has_pending(const struct tls_stream *t);
/* No byte for the application waits, and no end: tickets and the like don't count. */
bool tls_is_quiet(struct tls_stream *t);

/* Sends close_notify. True when it is out (or cannot be sent any more); false: call again when
 * writable. */
bool tls_close_notify(struct tls_stream *t);

/* What TLS itself waits for, beyond what the owner wants. */
unsigned tls_wanted_events(const struct tls_stream *t);

#endif
