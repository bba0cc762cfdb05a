/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sha256.h"

#include <openssl/sha.h>

void sha256(struct slice text, unsigned char out_digest[SHA256_BYTES]) {
    SHA256((const unsigned char *)(text.ptr ? text.ptr : ""), text.len, out_digest);
}

void sha256_hex(struct slice text, char out_hex[SHA256_HEX_BYTES + 1]) {
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[SHA256_BYTES];
    sha256(text, digest);
    for (unsigned i = 0; i < SHA256_BYTES; i++) {
        out_hex[2 * i] = digits[digest[i] >> 4];
        out_hex[2 * i + 1] = digits[digest[i] & 15];
    }
    out_hex[SHA256_HEX_BYTES] = '\0';
}
