/* SPDX-License-Identifier: Apache-2.0 */
/* Header values for journal and echo: a secret is shown as its first characters and a hash. */
#ifndef PENSTOCK_MOCK_MASK_H
#define PENSTOCK_MOCK_MASK_H

#include "base/buf.h"
#include "base/slice.h"

/* Appends the value; for authorization, api keys and cookies instead
 *   SCHEME FIRST4*** sha256:16 hex digits
 * where the hash is of the credential without its scheme, and FIRST4 is left out of short ones. */
int mask_header(struct buf *out, struct slice name, struct slice value) MUST_CHECK;

#endif
