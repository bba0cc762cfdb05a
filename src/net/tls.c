/* SPDX-License-Identifier: Apache-2.0 */
/* TLS contexts: what all connections of a listener or an upstream have in common. */
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/mem.h"
#include "net/tls-private.h"

/* As ALPN spells it: length, name. */
static const unsigned char alpn_http_1_1[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

static const char *openssl_reason(void) {
    unsigned long code = ERR_peek_error();
    const char *reason =
        ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
    return reason ? reason : "unknown error";
}

static int context_failed(struct err *e, const char *what, const char *file) {
    int rc = file ? err_set(e, ERR_TLS, "TLS: %s '%s': %s", what, file, openssl_reason())
                  : err_set(e, ERR_TLS, "TLS: %s: %s", what, openssl_reason());
    ERR_clear_error();
    return rc;
}

/* A key with a passphrase is refused: nobody sits at the terminal of a server. */
static int no_passphrase(char *buf, int size, int for_writing, void *unused) {
    (void)buf, (void)size, (void)for_writing, (void)unused;
    return -1;
}

static struct tls_context *context_new(const SSL_METHOD *method, bool is_server, struct err *e) {
    ERR_clear_error();
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (!ctx) {
        context_failed(e, "cannot be set up", NULL);
        return NULL;
    }
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 1);   /* one recv a record, not two */
    SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
    struct tls_context *c = mem_zalloc(sizeof *c);
    c->ctx = ctx;
    c->is_server = is_server;
    return c;
}

void tls_context_free(struct tls_context **c) {
    if (!*c) return;
    SSL_CTX_free((*c)->ctx);
    mem_free(*c);
    *c = NULL;
}

/* ---- server ---- */

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                           const unsigned char *offered, unsigned offered_len, void *unused) {
    (void)ssl, (void)unused;
    unsigned char *chosen = NULL;
    if (SSL_select_next_proto(&chosen, out_len, alpn_http_1_1, sizeof alpn_http_1_1, offered,
                              offered_len) != OPENSSL_NPN_NEGOTIATED) {
        /* HTTP/1.1 all the same: it is what a client without ALPN gets */
        return SSL_TLSEXT_ERR_NOACK;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int load_identity(SSL_CTX *ctx, const struct tls_server_options *o, struct err *e) {
    if (SSL_CTX_use_certificate_chain_file(ctx, o->cert_file) != 1) {
        return context_failed(e, "cannot load the certificate", o->cert_file);
    }
    if (SSL_CTX_use_PrivateKey_file(ctx, o->key_file, SSL_FILETYPE_PEM) != 1) {
        return context_failed(e, "cannot load the private key", o->key_file);
    }
    if (SSL_CTX_check_private_key(ctx) != 1) {
        return context_failed(e, "the private key does not belong to the certificate",
                              o->cert_file);
    }
    return 0;
}

int tls_context_server(const struct tls_server_options *o, struct tls_context **out,
                       struct err *e) {
    static const unsigned char session_context[] = "penstock";
    struct tls_context *c = context_new(TLS_server_method(), true, e);
    if (!c) return -ERR_TLS;
    int rc = load_identity(c->ctx, o, e);
    if (rc < 0) {
        tls_context_free(&c);
        return rc;
    }
    SSL_CTX_set_options(c->ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_session_id_context(c->ctx, session_context, sizeof session_context - 1);
    SSL_CTX_set_alpn_select_cb(c->ctx, choose_protocol, NULL);
    *out = c;
    return 0;
}

/* ---- client ---- */

static int load_trust(SSL_CTX *ctx, const struct tls_client_options *o, struct err *e) {
    if (o->insecure_skip_verify) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
        return 0;
    }
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    if (o->ca_file) {
        if (SSL_CTX_load_verify_file(ctx, o->ca_file) == 1) return 0;
        return context_failed(e, "cannot load the CA bundle", o->ca_file);
    }
    if (SSL_CTX_set_default_verify_paths(ctx) == 1) return 0;
    return context_failed(e, "cannot load the system's CA certificates", NULL);
}

int tls_context_client(const struct tls_client_options *o, struct tls_context **out,
                       struct err *e) {
    struct tls_context *c = context_new(TLS_client_method(), false, e);
    if (!c) return -ERR_TLS;
    int rc = load_trust(c->ctx, o, e);
    if (rc < 0) {
        tls_context_free(&c);
        return rc;
    }
    /* Sessions are kept in slots, one an origin, by tls_stream.c. */
    SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(c->ctx, tls_on_new_session);
    SSL_CTX_set_alpn_protos(c->ctx, alpn_http_1_1, sizeof alpn_http_1_1);
    *out = c;
    return 0;
}
