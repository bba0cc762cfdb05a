/* SPDX-License-Identifier: Apache-2.0 */
/* Reasoning's proofs (signatures, encrypted content) on their way through a client that speaks
 * another dialect: an envelope that comes back with the next turn (translation.md 6). */
#ifndef PENSTOCK_DIALECT_PROOF_H
#define PENSTOCK_DIALECT_PROOF_H

#include "base/arena.h"
#include "base/buf.h"
#include "dialect/capabilities.h"

enum proof_kind { PROOF_SIGNATURE, PROOF_REDACTED, PROOF_ENCRYPTED };
struct proof {
    enum proof_family family;
    enum proof_kind kind;
    struct slice model, item_id, payload;
};

#define PROOF_PREFIX "penstock1."

/* Appends "penstock1." and base64url of the envelope. */
int proof_wrap(struct buf *out, const struct proof *p) MUST_CHECK;
/* False: not one of ours (or damaged). Slices in a. */
bool proof_unwrap(struct slice text, struct arena *a, struct proof *out);

#endif
