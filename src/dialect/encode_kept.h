/* SPDX-License-Identifier: Apache-2.0 */
/* What an encoder keeps of what it was told, for frames that come later. */
#ifndef PENSTOCK_DIALECT_ENCODE_KEPT_H
#define PENSTOCK_DIALECT_ENCODE_KEPT_H

#include "base/buf.h"
#include "dialect/event.h"

#define ENCODE_OPTION_BYTES ((size_t)64 << 10)

/* A copy; what is absurdly long is cut. */
static inline void option_keep(struct buf *to, struct slice s) {
    buf_init(to, ENCODE_OPTION_BYTES);
    if (buf_append(to, slice_sub(s, 0, ENCODE_OPTION_BYTES))) return; /* cannot be */
}
/* What the answer said is repeated where it is of the client's own dialect; of another's it is
 * ours, if there is any. */
static inline struct slice told_or_ours(bool is_own, struct slice told, struct slice ours) {
    return told.len > 0 && (is_own || ours.len == 0) ? told : ours;
}

/* The last usage that was told. */
struct usage_kept {
    bool has_usage;
    struct usage usage;
    struct buf wire;
};
static inline void usage_kept_init(struct usage_kept *k) {
    k->has_usage = false;
    k->usage = USAGE_NONE;
    buf_init(&k->wire, ENCODE_OPTION_BYTES);
}
static inline void usage_keep(struct usage_kept *k, const struct usage *u) {
    k->usage = *u;
    k->has_usage = true;
    buf_reset(&k->wire);
    /* absurdly large: the counters will do */
    if (buf_append(&k->wire, u->wire)) buf_reset(&k->wire);
    k->usage.wire = buf_slice(&k->wire);
}
/* NULL: none was told. Valid until the next is kept. */
static inline const struct usage *usage_kept(const struct usage_kept *k) {
    return k->has_usage ? &k->usage : NULL;
}
static inline void usage_kept_dispose(struct usage_kept *k) {
    buf_dispose(&k->wire);
}

#endif
