/* SPDX-License-Identifier: Apache-2.0 */
/* One TLS connection over a sock. OpenSSL reads and writes through a BIO of ours, so that both
 * loops serve it and every byte is counted; the BIO also notes how the socket failed, which
 * SSL_get_error would blur. */
#include "net/tls-private.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/conn.h"

/* A record's plaintext. */
#define RECORD_BYTES 16384

enum tls_state { TLS_HANDSHAKING, TLS_OPEN, TLS_FAILED };

struct tls_stream {
    SSL *ssl;
    struct sock *sock;
    struct tls_session_slot *slot;
    char *host;               /* client's, for SNI, verification and error texts */
    /* SSL_write was refused for this many: the next one must offer at least as many */
    size_t retry_bytes;
    int os_errno;             /* how the socket failed, if it did */
    enum tls_state state;
    bool is_lost;             /* the socket failed: os_errno */
    bool saw_fin;
    bool recv_was_short;      /* the last recv got less than it could take: the socket is empty */
    bool read_wants_write, write_wants_read;
    bool sent_close_notify;
};

/* ---- the session slot ---- */

struct tls_session_slot {
    unsigned refs;            /* its owner, and every stream that may still get a ticket for it */
    SSL_SESSION *session;
};

struct tls_session_slot *tls_session_slot_new(void) {
    struct tls_session_slot *s = mem_zalloc(sizeof *s);
    s->refs = 1;
    return s;
}

static void slot_clear(struct tls_session_slot *s) {
    SSL_SESSION_free(s->session);
    s->session = NULL;
}

void tls_session_slot_free(struct tls_session_slot **s) {
    struct tls_session_slot *slot = *s;
    *s = NULL;
    if (!slot || --slot->refs > 0) return;
    slot_clear(slot);
    mem_free(slot);
}

int tls_on_new_session(SSL *ssl, SSL_SESSION *session) {
    struct tls_stream *t = SSL_get_app_data(ssl);
    if (!t || !t->slot || !SSL_SESSION_is_resumable(session)) return 0;
    slot_clear(t->slot);
    t->slot->session = session;
    return 1;   /* the reference is ours now */
}

/* ---- the BIO ---- */

static BIO_METHOD *sock_bio;
static pthread_once_t sock_bio_once = PTHREAD_ONCE_INIT;

static void note_loss(struct tls_stream *t, const struct err *e) {
    t->is_lost = true;
    t->os_errno = e->os_errno;
}

static int bio_read(BIO *bio, char *into, int max) {
    struct tls_stream *t = BIO_get_data(bio);
    struct err e = {0};
    BIO_clear_retry_flags(bio);
    if (max <= 0) return 0;
    ssize_t n = sock_read(t->sock, into, (size_t)max, &e);
    t->recv_was_short = n < max;
    if (n > 0) return (int)n;
    if (n == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    if (e.os_errno == 0) t->saw_fin = true;
    else note_loss(t, &e);
    return t->saw_fin ? 0 : -1;
}

static int bio_write(BIO *bio, const char *from, int len) {
    struct tls_stream *t = BIO_get_data(bio);
    struct err e = {0};
    BIO_clear_retry_flags(bio);
    if (len <= 0) return 0;
    struct iovec iov = {.iov_base = (void *)(uintptr_t)from, .iov_len = (size_t)len};
    ssize_t n = sock_writev(t->sock, &iov, 1, &e);
    if (n > 0) return (int)n;
    if (n == 0) BIO_set_retry_write(bio);
    else note_loss(t, &e);
    return -1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer) {
    const struct tls_stream *t = BIO_get_data(bio);
    (void)number, (void)pointer;
    if (command == BIO_CTRL_FLUSH) return 1;
    if (command == BIO_CTRL_EOF) return t->saw_fin;
    return 0;
}

static void sock_bio_make(void) {
    sock_bio = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "penstock socket");
    if (!sock_bio) abort();
    BIO_meth_set_read(sock_bio, bio_read);
    BIO_meth_set_write(sock_bio, bio_write);
    BIO_meth_set_ctrl(sock_bio, bio_ctrl);
}

/* ---- life ---- */

static struct tls_stream *stream_new(struct tls_context *context, struct sock *sock) {
    pthread_once(&sock_bio_once, sock_bio_make);
    struct tls_stream *t = mem_zalloc(sizeof *t);
    t->sock = sock;
    t->ssl = SSL_new(context->ctx);
    BIO *bio = BIO_new(sock_bio);
    if (!t->ssl || !bio) abort();   /* out of memory */
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set_app_data(t->ssl, t);
    return t;
}

struct tls_stream *tls_stream_new_server(struct tls_context *context, struct sock *sock) {
    struct tls_stream *t = stream_new(context, sock);
    SSL_set_accept_state(t->ssl);
    return t;
}

static bool is_ip_literal(const char *host) {
    unsigned char ip[16];
    return inet_pton(AF_INET, host, ip) == 1 || inet_pton(AF_INET6, host, ip) == 1;
}

/* SNI carries names only; a literal is verified against the certificate's IP addresses. */
static void expect_host(struct tls_stream *t) {
    X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);
    bool is_ok;
    if (is_ip_literal(t->host)) {
        is_ok = X509_VERIFY_PARAM_set1_ip_asc(param, t->host) == 1;
    } else {
        X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        is_ok = X509_VERIFY_PARAM_set1_host(param, t->host, 0) == 1 &&
                SSL_set_tlsext_host_name(t->ssl, t->host) == 1;
    }
    if (!is_ok) t->state = TLS_FAILED;   /* a host that cannot be verified must not be talked to */
}

struct tls_stream *tls_stream_new_client(struct tls_context *context, struct sock *sock,
                                         struct slice host, struct tls_session_slot *slot) {
    struct tls_stream *t = stream_new(context, sock);
    SSL_set_connect_state(t->ssl);
    t->host = mem_dup_cstr(host);
    expect_host(t);
    if (slot) {
        slot->refs++;
        t->slot = slot;
        if (slot->session) SSL_set_session(t->ssl, slot->session);
    }
    return t;
}

void tls_stream_free(struct tls_stream **t) {
    struct tls_stream *dying = *t;
    if (!dying) return;
    *t = NULL;
    if (dying->state == TLS_OPEN) {   /* else OpenSSL takes the session for unfit to be resumed */
        SSL_set_shutdown(dying->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    }
    SSL_set_app_data(dying->ssl, NULL);
    SSL_free(dying->ssl);
    tls_session_slot_free(&dying->slot);
    mem_free(dying->host);
    mem_free(dying);
}

/* ---- errors ---- */

static int handshake_refused(struct tls_stream *t, struct err *e) {
    long verdict = SSL_get_verify_result(t->ssl);
    if (t->host && verdict != X509_V_OK) {
        return err_set(e, ERR_TLS, "the certificate of '%s' is not accepted: %s", t->host,
                       X509_verify_cert_error_string(verdict));
    }
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    return err_set(e, ERR_TLS, "TLS handshake: %s", reason ? reason : "failed");
}

/* What ended the connection, said once. */
static int stream_failed(struct tls_stream *t, struct err *e) {
    bool was_open = t->state == TLS_OPEN;
    t->state = TLS_FAILED;
    if (t->is_lost) return err_set_os(e, was_open ? ERR_CLOSED : ERR_TLS, t->os_errno,
                                      was_open ? "TLS connection" : "TLS handshake");
    if (t->saw_fin && was_open) {
        return err_set(e, ERR_PROTOCOL, "truncated: the connection ended without TLS close_notify");
    }
    if (t->saw_fin) {
        return err_set(e, ERR_TLS, "TLS handshake: the other side closed the connection");
    }
    if (!was_open) return handshake_refused(t, e);
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    return err_set(e, ERR_TLS, "TLS: %s", reason ? reason : "failed");
}

static int stream_is_failed(struct err *e) {
    return err_set(e, ERR_TLS, "TLS: the connection has failed before");
}

/* ---- handshake ---- */

int tls_handshake(struct tls_stream *t, struct err *e) {
    if (t->state == TLS_OPEN) return 1;
    if (t->state == TLS_FAILED) {
        return err_set(e, ERR_TLS, "TLS: '%s' cannot be verified", t->host ? t->host : "");
    }
    ERR_clear_error();
    t->read_wants_write = false;
    int rc = SSL_do_handshake(t->ssl);
    if (rc == 1) {
        t->state = TLS_OPEN;
        return 1;
    }
    switch (SSL_get_error(t->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return 0;
    case SSL_ERROR_WANT_WRITE:
        t->read_wants_write = true;
        return 0;
    default:
        /* it may have been the session that the server stumbled over */
        if (t->slot) slot_clear(t->slot);
        return stream_failed(t, e);
    }
}

bool tls_is_open(const struct tls_stream *t) {
    return t->state == TLS_OPEN;
}

bool tls_is_resumed(const struct tls_stream *t) {
    return SSL_session_reused(t->ssl) == 1;
}

unsigned tls_wanted_events(const struct tls_stream *t) {
    return (t->read_wants_write ? SOCK_WRITABLE : 0u) | (t->write_wants_read ? SOCK_READABLE : 0u);
}

/* ---- bytes ---- */

ssize_t tls_read(struct tls_stream *t, void *into, size_t max, struct err *e) {
    size_t n = 0;
    if (t->state != TLS_OPEN) return stream_is_failed(e);
    ERR_clear_error();
    t->read_wants_write = false;
    int rc = SSL_read_ex(t->ssl, into, max, &n);
    if (rc == 1) return (ssize_t)n;
    switch (SSL_get_error(t->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return 0;
    case SSL_ERROR_WANT_WRITE:
        t->read_wants_write = true;
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        return err_set(e, ERR_CLOSED, "the other side closed the connection");
    default:
        return stream_failed(t, e);
    }
}

bool tls_has_pending(const struct tls_stream *t) {
    return t->state == TLS_OPEN && SSL_has_pending(t->ssl) == 1;
}

bool tls_may_have_more(const struct tls_stream *t) {
    return tls_has_pending(t) || (t->state == TLS_OPEN && !t->recv_was_short);
}

bool tls_is_quiet(struct tls_stream *t) {
    char byte;
    if (t->state != TLS_OPEN) return false;
    if (!SSL_has_pending(t->ssl) && sock_is_quiet(t->sock)) return true;
    ERR_clear_error();
    int rc = SSL_peek(t->ssl, &byte, 1);
    return rc <= 0 && SSL_get_error(t->ssl, rc) == SSL_ERROR_WANT_READ;
}

/* The slices of one write, as a position that moves forward. */
struct gather {
    const struct iovec *iov;
    int n_iov;
    size_t off;    /* inside iov[0] */
};

static void gather_skip(struct gather *g, size_t bytes) {
    g->off += bytes;
    while (g->n_iov > 0 && g->off >= g->iov[0].iov_len) {
        g->off -= g->iov[0].iov_len;
        g->iov++;
        g->n_iov--;
    }
}

/* The next record's bytes: where they lie if they lie together, else copied. */
static struct slice gather_record(const struct gather *g, char scratch[RECORD_BYTES]) {
    const char *first = (const char *)g->iov[0].iov_base + g->off;
    size_t first_len = g->iov[0].iov_len - g->off;
    if (first_len >= RECORD_BYTES) return slice_make(first, RECORD_BYTES);
    if (g->n_iov == 1) return slice_make(first, first_len);
    memcpy(scratch, first, first_len);
    size_t len = first_len;
    for (int i = 1; i < g->n_iov && len < RECORD_BYTES; i++) {
        size_t n = g->iov[i].iov_len;
        if (n > RECORD_BYTES - len) n = RECORD_BYTES - len;
        if (n > 0) memcpy(scratch + len, g->iov[i].iov_base, n);
        len += n;
    }
    return slice_make(scratch, len);
}

/* > 0 taken, 0 would block, negative failed. */
static ssize_t write_record(struct tls_stream *t, struct slice record, struct err *e) {
    size_t n = 0;
    if (record.len < t->retry_bytes) {
        return err_set(e, ERR_INTERNAL, "TLS: a write of %zu bytes was retried with %zu",
                       t->retry_bytes, record.len);
    }
    ERR_clear_error();
    t->write_wants_read = false;
    int rc = SSL_write_ex(t->ssl, record.ptr, record.len, &n);
    if (rc == 1) {
        t->retry_bytes = 0;
        return (ssize_t)n;
    }
    int why = SSL_get_error(t->ssl, rc);
    if (why != SSL_ERROR_WANT_WRITE && why != SSL_ERROR_WANT_READ) return stream_failed(t, e);
    t->write_wants_read = why == SSL_ERROR_WANT_READ;
    t->retry_bytes = record.len;
    return 0;
}

ssize_t tls_writev(struct tls_stream *t, const struct iovec *iov, int n_iov, struct err *e) {
    char scratch[RECORD_BYTES];
    struct gather g = {iov, n_iov, 0};
    size_t taken = 0;
    if (t->state != TLS_OPEN) return stream_is_failed(e);
    for (gather_skip(&g, 0); g.n_iov > 0; ) {
        ssize_t n = write_record(t, gather_record(&g, scratch), e);
        if (n < 0) return n;
        if (n == 0) break;
        taken += (size_t)n;
        gather_skip(&g, (size_t)n);
    }
    return (ssize_t)taken;
}

bool tls_close_notify(struct tls_stream *t) {
    if (t->state != TLS_OPEN || t->sent_close_notify) return true;
    ERR_clear_error();
    int rc = SSL_shutdown(t->ssl);
    if (rc < 0 && SSL_get_error(t->ssl, rc) == SSL_ERROR_WANT_WRITE) return false;
    ERR_clear_error();
    t->sent_close_notify = true;
    return true;
}
