/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4) of short texts: identifiers that must not leave as they are. No allocation,
 * any thread; not for bulk data. */
#ifndef PENSTOCK_BASE_SHA256_H
#define PENSTOCK_BASE_SHA256_H

#include "base/slice.h"

#define SHA256_BYTES 32
#define SHA256_HEX_BYTES 64

void sha256(struct slice text, unsigned char out_digest[SHA256_BYTES]);
/* Lower case, NUL-terminated. */
void sha256_hex(struct slice text, char out_hex[SHA256_HEX_BYTES + 1]);

#endif
