/* SPDX-License-Identifier: Apache-2.0 */
/* What journal and echo show of secrets: the first characters and a hash, so that two requests can
 * be told to have had the same one. Pure, any thread. */
#ifndef PENSTOCK_MOCK_MASK_H
#define PENSTOCK_MOCK_MASK_H

#include "base/buf.h"
#include "base/slice.h"

/* Appends the value; for authorization, api keys and cookies instead
 *   SCHEME FIRST4*** sha256:16 hex digits
 * where the hash is of the credential without its scheme, and FIRST4 is left out of short ones.
 * Values of other headers as mask_text does it. */
int mask_header(struct buf *out, struct slice name, struct slice value) MUST_CHECK;
/* Appends a text of any kind, what looks like a credential in it masked: known forms of keys
 * ("sk-…", "ghp_…", "AIza…" and others) and what follows "Bearer". */
int mask_text(struct buf *out, struct slice text) MUST_CHECK;
/* The same of JSON text, which stays JSON; strings that are members named like credentials
 * (api_key, authorization, password …) are masked whatever they look like. Text that is no JSON, or
 * is cut, gives text of the same kind. */
int mask_json(struct buf *out, struct slice json) MUST_CHECK;
/* Of a request's query, without '?': "key=…" and the like. */
int mask_query(struct buf *out, struct slice query) MUST_CHECK;
/* A member or parameter of this name holds a credential. */
bool mask_is_secret_name(struct slice name);

#endif
