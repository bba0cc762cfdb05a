/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/mask.h"

#include <openssl/sha.h>

enum { SHOWN_BYTES = 4, SHOWN_MIN_BYTES = 16, HASH_BYTES = 8 };

static bool is_secret(struct slice name) {
    static const char *const names[] = {"authorization", "api-key", "x-api-key", "cookie",
                                        "proxy-authorization", "x-goog-api-key"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (slice_eq_nocase(name, slice_cstr(names[i]))) {
            return true;
        }
    }
    return false;
}

static int append_masked(struct buf *out, struct slice secret) {
    unsigned char hash[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)(secret.ptr ? secret.ptr : ""), secret.len, hash);
    struct slice shown = secret.len >= SHOWN_MIN_BYTES ? slice_sub(secret, 0, SHOWN_BYTES) : SLICE("");
    int rc = buf_append(out, shown) | buf_append(out, SLICE("*** sha256:"));
    for (unsigned i = 0; i < HASH_BYTES; i++) {
        rc |= buf_appendf(out, "%02x", (unsigned)hash[i]);
    }
    return rc;
}

int mask_header(struct buf *out, struct slice name, struct slice value) {
    if (!is_secret(name)) {
        return buf_append(out, value);
    }
    ptrdiff_t blank = slice_index(value, ' ');
    if (blank > 0) {
        if (buf_append(out, slice_sub(value, 0, (size_t)blank + 1)) < 0) {
            return -ERR_LIMIT;
        }
        value = slice_trim(slice_from(value, (size_t)blank));
    }
    return append_masked(out, value);
}
