/* SPDX-License-Identifier: Apache-2.0 */
/* Streaming decoder of gzip (RFC 1952, several members too) and deflate (RFC 1950, and the raw RFC
 * 1951 that some servers send under that name). Private to src/http. Output leaves as soon as the
 * input allows it. Allocates at new and at the first feed, not later. */
#ifndef PENSTOCK_HTTP_INFLATE_H
#define PENSTOCK_HTTP_INFLATE_H

#include <sys/types.h>

#include "base/err.h"
#include "base/slice.h"

enum inflate_format { INFLATE_GZIP, INFLATE_DEFLATE };

/* Decoded bytes may be this many times the encoded ones, once they are more than
 * INFLATE_FREE_BYTES. */
#define INFLATE_MAX_RATIO 1000
#define INFLATE_FREE_BYTES (1024 * 1024)

struct inflater;
struct inflater *inflater_new(enum inflate_format format);
void inflater_free(struct inflater **z);     /* not from inside its sink */

/* decoded is borrowed until return. False: stop here; go on with another inflater_feed. */
typedef bool inflate_sink_fn(void *self, struct slice decoded);
/* Returns how many bytes of `in` were used (all, unless the sink said stop), or -ERR_PROTOCOL,
 * -ERR_LIMIT (ratio), and then always again. */
ssize_t inflater_feed(struct inflater *z, struct slice in, inflate_sink_fn *sink, void *self,
                      struct err *e) MUST_CHECK;
/* The sink said stop with decoded bytes left inside: feed again, with empty input if there is no
 * other. */
bool inflater_has_more(const struct inflater *z);
/* At a whole stream's end, or nothing has come at all: the body may end here. */
bool inflater_may_end(const struct inflater *z);

#endif
