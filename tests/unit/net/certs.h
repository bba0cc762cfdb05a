/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates for tests, made on the spot: a CA, and server certificates that it signed, as PEM
 * files in a folder of their own. */
#ifndef PENSTOCK_TESTS_CERTS_H
#define PENSTOCK_TESTS_CERTS_H

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CERT_PATH_BYTES 128

struct certs {
    char dir[64];
    char ca[CERT_PATH_BYTES];
    char key[CERT_PATH_BYTES];       /* one for all servers */
    char good[CERT_PATH_BYTES];      /* localhost, 127.0.0.1 */
    char other[CERT_PATH_BYTES];     /* other.test */
    char expired[CERT_PATH_BYTES];   /* localhost, 127.0.0.1; a day ago */
};

static inline void certs_check(bool is_ok, const char *what) {
    if (is_ok) return;
    fprintf(stderr, "certs: %s\n", what);
    abort();
}

static inline void certs_extension(X509 *cert, X509 *issuer, int nid, const char *value) {
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    certs_check(ext && X509_add_ext(cert, ext, -1) == 1, value);
    X509_EXTENSION_free(ext);
}

static inline void certs_write(const char *path, X509 *cert) {
    FILE *f = fopen(path, "w");
    certs_check(f && PEM_write_X509(f, cert) == 1 && fclose(f) == 0, path);
}

static inline X509 *certs_make(EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key, const char *name,
                               const char *san, long days_from, long days_to, long serial) {
    X509 *cert = X509_new();
    certs_check(cert != NULL, "out of memory");
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), serial);
    X509_gmtime_adj(X509_getm_notBefore(cert), days_from * 86400);
    X509_gmtime_adj(X509_getm_notAfter(cert), days_to * 86400);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(issuer ? issuer : cert));
    X509_set_pubkey(cert, key);
    certs_extension(cert, issuer ? issuer : cert, NID_basic_constraints,
                    issuer ? "CA:FALSE" : "critical,CA:TRUE");
    if (san) certs_extension(cert, issuer, NID_subject_alt_name, san);
    certs_check(X509_sign(cert, issuer_key, EVP_sha256()) > 0, "sign");
    return cert;
}

static inline void certs_server(struct certs *c, char path[CERT_PATH_BYTES], const char *file,
                                EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key, const char *san,
                                long days_from, long days_to, long serial) {
    snprintf(path, CERT_PATH_BYTES, "%s/%s", c->dir, file);
    X509 *cert = certs_make(key, ca, ca_key, "server", san, days_from, days_to, serial);
    certs_write(path, cert);
    X509_free(cert);
}

static inline void certs_init(struct certs *c) {
    snprintf(c->dir, sizeof c->dir, "/tmp/penstock-certs-XXXXXX");
    certs_check(mkdtemp(c->dir) != NULL, "mkdtemp");
    snprintf(c->ca, sizeof c->ca, "%s/ca.pem", c->dir);
    snprintf(c->key, sizeof c->key, "%s/key.pem", c->dir);
    EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
    certs_check(ca_key && key, "keys");
    X509 *ca = certs_make(ca_key, NULL, ca_key, "test CA", NULL, -2, 30, 1);
    certs_write(c->ca, ca);
    FILE *f = fopen(c->key, "w");
    certs_check(f && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 && fclose(f) == 0,
                c->key);
    const char *local = "DNS:localhost,IP:127.0.0.1";
    certs_server(c, c->good, "good.pem", key, ca, ca_key, local, -1, 30, 2);
    certs_server(c, c->other, "other.pem", key, ca, ca_key, "DNS:other.test", -1, 30, 3);
    certs_server(c, c->expired, "expired.pem", key, ca, ca_key, local, -2, -1, 4);
    X509_free(ca);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(key);
}

static inline void certs_dispose(struct certs *c) {
    unlink(c->ca);
    unlink(c->key);
    unlink(c->good);
    unlink(c->other);
    unlink(c->expired);
    rmdir(c->dir);
}

#endif
