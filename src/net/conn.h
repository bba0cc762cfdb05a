/* SPDX-License-Identifier: Apache-2.0 */
/* A byte stream over one socket, plain or TLS, with pushed reads and bounded, pull-driven writes.
 * One loop's thread.
 *
 * Reading. While reads are on (they start off), bytes arrive by on_bytes as they come, borrowed
 * until the callback returns. A conn reads at most conn_set_read_size bytes a recv (default 16
 * KiB), and goes on reading in the same turn only while the last recv filled its buffer and reads
 * are still on, up to 64 KiB a turn: then others have theirs. conn_read_off inside on_bytes stops
 * at once. Plain recv reads into the loop's buffer: no memory per idle connection.
 *
 * Writing. conn_writev takes what the kernel takes. When it takes less than all, the caller keeps
 * the rest and gets on_writable once when there is room again. With TLS, small slices are gathered
 * into records of at most 16 KiB; what was not taken must be offered again unchanged (its start;
 * more may follow), as a retry.
 *
 * Ends, each once, and nothing after on_gone:
 *   on_eof     the other side finished sending, orderly (FIN; with TLS: close_notify). Reported
 *              when reads reach it.
 *   on_gone    the connection failed or was lost: reset, TLS failure, FIN without close_notify
 *              (ERR_PROTOCOL "truncated"); and, while reads are off, as soon as RDHUP shows (kind
 *              ERR_CLOSED) if conn_watch_hup(c, true) was asked for.
 * Callbacks may call any function on this conn, conn_close included. The struct is copied. */
#ifndef PENSTOCK_NET_CONN_H
#define PENSTOCK_NET_CONN_H

#include <sys/uio.h>

#include "base/err.h"
#include "base/slice.h"
#include "net/loop.h"
#include "net/tls.h"

struct conn;

struct conn_callbacks {
    void (*on_bytes)(void *self, struct slice bytes);
    void (*on_writable)(void *self);
    void (*on_eof)(void *self);
    void (*on_gone)(void *self, const struct err *e);
};

/* Server side: adopts an accepted descriptor. tls NULL: plain. With TLS the handshake runs by
 * itself as bytes come (reads must be on), and on_bytes delivers plaintext only. */
struct conn *conn_accept(struct loop *l, int fd, struct tls_context *tls,
                         const struct conn_callbacks *cb, void *self);

/* Client side: resolves (cached), races addresses (RFC 8305: 250 ms apart, families interleaved),
 * connects, and shakes hands with SNI and verification of `host`. on_ready runs once with the conn,
 * or with NULL and why: ERR_DNS, ERR_CONNECT, ERR_TLS, ERR_TIMEOUT. Never before this call returns.
 * The dial is over when it runs: its pointer is dead, do not cancel it any more. Options are
 * copied; tls and session must live as long as the dial. */
struct dial;
struct dial_options {
    struct slice host;               /* name, literal without brackets, or empty with unix_path */
    uint16_t port;
    struct slice unix_path;
    struct tls_context *tls;         /* NULL: plain */
    struct tls_session_slot *session; /* keeps this origin's last session; NULL: no resumption */
    int64_t connect_timeout_ns;      /* name look-up and TCP together; 0: none */
    int64_t tls_timeout_ns;          /* the handshake; 0: none */
};
struct dial_timing {
    int64_t dns_ns, connect_ns, tls_ns;   /* durations; 0 when the step did not happen */
    bool tls_resumed;
    struct addr peer;
};
typedef void dial_fn(void *self, struct conn *c, const struct dial_timing *timing,
                     const struct err *e);
struct dial *dial_start(struct loop *l, const struct dial_options *o, dial_fn *fn, void *self);
void dial_cancel(struct dial **d);                     /* no callback after it */

/* Keeps the last TLS session of one origin and one context. One worker's. May be freed while conns
 * that were dialled with it live. */
struct tls_session_slot *tls_session_slot_new(void);
void tls_session_slot_free(struct tls_session_slot **s);

/* A conn from dial has no owner until this. The struct is copied. */
void conn_set_callbacks(struct conn *c, const struct conn_callbacks *cb, void *self);

/* Bytes already decrypted or pending are delivered later in this turn, never inside. */
void conn_read_on(struct conn *c);
void conn_read_off(struct conn *c);
void conn_set_read_size(struct conn *c, size_t bytes); /* 1 … LOOP_READ_BYTES */
void conn_watch_hup(struct conn *c, bool on);
/* >= 0 bytes taken; negative: gone (on_gone is NOT called for it; close). After a short count
 * on_writable will come. */
ssize_t conn_writev(struct conn *c, const struct iovec *iov, int n_iov, struct err *e) MUST_CHECK;
/* FIN, with close_notify before it under TLS. */
void conn_shutdown_write(struct conn *c);
/* At once; TLS sends close_notify if it can; no callbacks after it. NULL is fine. */
void conn_close(struct conn **c);
/* RST: the other side must not take what it has for complete */
void conn_close_reset(struct conn **c);
/* FIN without close_notify: under TLS a truncation, else as conn_close */
void conn_close_silent(struct conn **c);
bool conn_is_tls(const struct conn *c);
/* False when the connection is lost. */
bool conn_remote_addr(const struct conn *c, struct addr *out);
bool conn_local_addr(const struct conn *c, struct addr *out);
struct loop *conn_loop(const struct conn *c);
/* Idle check for pools: true when the other side has neither closed nor sent stray bytes (reads
 * off, one peek). */
bool conn_is_quiet(struct conn *c);
/* sock_kernel_bytes of its socket. */
size_t conn_kernel_bytes(const struct conn *c);

/* DNS cache, per loop: successes kept ttl_ns (default 30 s), failures 1 s; names are looked up once
 * for all waiting dials. */
void dial_set_dns_ttl(struct loop *l, int64_t ttl_ns);
void dial_forget(struct loop *l);   /* frees the loop's DNS cache; before loop_free */

#endif
