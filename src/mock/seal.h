/* SPDX-License-Identifier: Apache-2.0 */
/* Proofs of reasoning: the signature of a thought, the data of a hidden one, encrypted content. A
 * keyed hash of what was said, so that whether a proof came back unchanged can be told without
 * keeping anything. The key is the mock's seed; this is no cryptography. Pure, any thread. */
#ifndef PENSTOCK_MOCK_SEAL_H
#define PENSTOCK_MOCK_SEAL_H

#include "base/buf.h"

enum seal_kind {
    SEAL_SIGNATURE,                  /* of a thought's text */
    SEAL_REDACTED,                   /* of a thought that is not shown: of nothing */
    SEAL_ENCRYPTED,                  /* of a reasoning item, by its id */
    SEAL_COMPACTION                  /* of a compaction item, which may come back without its id */
};

#define SEAL_BYTES 48                /* of a proof, in base64 */

struct seal {
    enum seal_kind kind;
    uint64_t key, a, b;
};

void seal_begin(struct seal *s, enum seal_kind kind, uint64_t seed);
/* In portions of any size. */
void seal_feed(struct seal *s, struct slice text);
/* nonce: makes proofs of the same text differ; any number. */
struct slice seal_end(const struct seal *s, uint64_t nonce, char space[SEAL_BYTES]);
/* Whether the proof is of exactly what s was fed with. */
bool seal_fits(const struct seal *s, struct slice proof);

/* Standard alphabet, padded. 0 or -ERR_LIMIT. */
int base64_append(struct buf *out, const void *bytes, size_t len) MUST_CHECK;

#endif
