/* SPDX-License-Identifier: Apache-2.0 */
/* The upstream's request body out of the client's, without copying it: what changes is spliced in,
 * everything else stays as it came. */
#ifndef PENSTOCK_DIALECT_SPLICE_H
#define PENSTOCK_DIALECT_SPLICE_H

#include "base/arena.h"
#include "dialect/request.h"

#define SPLICE_PIECES 8

/* env                  of this very body (a peek_request that returned 0)
 * new_model            takes the place of the model; ptr NULL: the client's stays
 * force_include_usage  a stream shall tell its usage: stream_options.include_usage becomes true,
 *                      put in where it is missing. Nothing happens when the request is no stream
 * out_pieces           slices of body and of the arena that make the new body, in order
 * returns              0, or -ERR_LIMIT when new_model is longer than 64 KiB */
int request_splice(struct slice body, const struct envelope *env, struct slice new_model,
                   bool force_include_usage, struct arena *a,
                   struct slice out_pieces[SPLICE_PIECES], unsigned *out_n) MUST_CHECK;

#endif
