/* SPDX-License-Identifier: Apache-2.0 */
/* The comment that `penstock mock --stamp` puts before each frame:
 *
 *     : t=NS due=NS        when it was written, and when it was to be (CLOCK_MONOTONIC)
 *
 * With it a frame's way is split into what the provider did (t − due), what lies between (receipt −
 * t: a gateway and the network), and what the client did afterwards. One machine's clock: between
 * two machines, or with a mock whose clock is not the real one, the numbers mean nothing. Comments
 * come through `penstock serve` when it does not translate. */
#ifndef PENSTOCK_CLIENT_STAMP_H
#define PENSTOCK_CLIENT_STAMP_H

#include "base/slice.h"

struct stamp {
    int64_t sent_ns;                 /* 0: no stamp */
    int64_t due_ns;                  /* 0: not said (a stepped stream) */
};

/* raw: a comment as it came, its colon with it. False: it is no stamp. */
bool stamp_parse(struct slice raw, struct stamp *out);

#endif
