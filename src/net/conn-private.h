/* SPDX-License-Identifier: Apache-2.0 */
/* What dial.c needs of a conn, and others don't. */
#ifndef PENSTOCK_NET_CONN_PRIVATE_H
#define PENSTOCK_NET_CONN_PRIVATE_H

#include "net/conn.h"

/* Takes over a connected socket; plain. */
struct conn *conn_new(struct loop *l, struct sock *sock);

/* TLS over it, as client. on_handshake runs once, never before this returns: e NULL when done, else
 * why not (close the conn). Reads are off then. The conn may be closed inside. */
typedef void conn_handshake_fn(void *self, struct conn *c, const struct err *e);
void conn_start_tls(struct conn *c, struct tls_context *tls, struct slice host,
                    struct tls_session_slot *slot, conn_handshake_fn *on_handshake, void *self);
bool conn_tls_is_resumed(const struct conn *c);

#endif
