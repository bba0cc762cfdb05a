/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stdio.h>
#include <string.h>

#include "base/slice.h"

/* Texts may quote input: whatever it holds, the result is one line of well-formed UTF-8. */
static void sanitize(char *text) {
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) text[i] = ' ';
    }
    while (len > 0 && text[len - 1] == ' ') text[--len] = '\0';
    for (size_t i = 0; (i += slice_utf8_valid(slice_make(text + i, len - i))) < len; i++) {
        text[i] = '?';
    }
}

/* Drops a multi-byte character that the end of the buffer cut in half. */
static void drop_cut_character(char *text, size_t len) {
    size_t start = len;
    while (start > 0 && len - start < 3 && ((unsigned char)text[start - 1] & 0xc0) == 0x80) start--;
    if (start == 0 || (unsigned char)text[start - 1] < 0xc0) return;
    start--;
    if (slice_utf8_valid(slice_make(text + start, len - start)) == 0) text[start] = '\0';
}

static void fill(struct err *e, enum err_kind kind, int os_errno, const char *format,
                 va_list args) {
    char text[ERR_TEXT_BYTES]; /* not e->text at once: it may be one of the arguments */
    int n = vsnprintf(text, sizeof text, format, args);
    if (n < 0) text[0] = '\0';
    size_t len = strlen(text);
    if (os_errno != 0) {
        char reason[96];
        const char *why = strerror_r(os_errno, reason, sizeof reason);
        int m = snprintf(text + len, sizeof text - len, ": %s", why);
        n = n < 0 || m < 0 ? m : n + m;
    }
    if (n >= (int)sizeof text) drop_cut_character(text, strlen(text));
    sanitize(text);
    e->kind = kind;
    e->os_errno = os_errno;
    memcpy(e->text, text, sizeof text);
}

int err_set(struct err *e, enum err_kind kind, const char *format, ...) {
    if (e) {
        va_list args;
        va_start(args, format);
        fill(e, kind, 0, format, args);
        va_end(args);
    }
    return -(int)kind;
}

int err_set_os(struct err *e, enum err_kind kind, int os_errno, const char *format, ...) {
    if (e) {
        va_list args;
        va_start(args, format);
        fill(e, kind, os_errno, format, args);
        va_end(args);
    }
    return -(int)kind;
}

const char *err_kind_name(enum err_kind kind) {
    static const char *const names[ERR_KIND_COUNT] = {
        [ERR_NONE] = "none",
        [ERR_IO] = "io",
        [ERR_CLOSED] = "closed",
        [ERR_TIMEOUT] = "timeout",
        [ERR_PROTOCOL] = "protocol",
        [ERR_LIMIT] = "limit",
        [ERR_DNS] = "dns",
        [ERR_CONNECT] = "connect",
        [ERR_TLS] = "tls",
        [ERR_USAGE] = "usage",
        [ERR_CANCELLED] = "cancelled",
        [ERR_INTERNAL] = "internal",
    };
    return (unsigned)kind < ERR_KIND_COUNT ? names[kind] : "unknown";
}
