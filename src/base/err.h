/* SPDX-License-Identifier: Apache-2.0 */
/* An error has a kind that callers act on (status, retry, metric: one table in gateway/), and a
 * text for people. Functions that can fail return 0 or a negative kind (-ERR_LIMIT …), and fill
 * `struct err` where the fact is known. */
#ifndef PENSTOCK_BASE_ERR_H
#define PENSTOCK_BASE_ERR_H

#include <stdarg.h>
#include <stdbool.h>

enum err_kind {
    ERR_NONE,
    ERR_IO,        /* the operating system said no; err.os_errno tells */
    ERR_CLOSED,    /* the other side closed, orderly or by reset */
    ERR_TIMEOUT,   /* a deadline of ours passed */
    ERR_PROTOCOL,  /* bytes that break the protocol */
    ERR_LIMIT,     /* one of our limits was met */
    ERR_DNS,       /* the name does not resolve */
    ERR_CONNECT,   /* refused, unreachable, or no address left to try */
    ERR_TLS,       /* handshake or certificate */
    ERR_USAGE,     /* the user asked for something impossible (flag, config, request) */
    ERR_CANCELLED, /* we stopped it ourselves */
    ERR_INTERNAL,  /* a bug of ours */
    ERR_KIND_COUNT
};

#define ERR_TEXT_BYTES 240

struct err {
    enum err_kind kind;
    int os_errno; /* 0 when it does not apply */
    /* One line, UTF-8, no secret, no trailing newline; cut when longer. */
    char text[ERR_TEXT_BYTES];
};

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* Fills e (NULL is fine) and returns -kind: `return err_set(e, ERR_LIMIT, "…")` reads well. e->text
 * may be among the arguments. */
int err_set(struct err *e, enum err_kind kind, const char *format, ...) PRINTF_LIKE(3, 4);
/* Like err_set, appends ": strerror(os_errno)". */
int err_set_os(struct err *e, enum err_kind kind, int os_errno, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* "limit", "timeout", …; never NULL. */
const char *err_kind_name(enum err_kind kind);

#endif
