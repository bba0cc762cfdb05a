/* SPDX-License-Identifier: Apache-2.0 */
/* The last requests, for tests: bounded, secrets masked as they come in. Any thread. */
#ifndef PENSTOCK_MOCK_JOURNAL_H
#define PENSTOCK_MOCK_JOURNAL_H

#include "base/buf.h"
#include "http/server.h"

#define JOURNAL_ENTRIES 100
#define JOURNAL_HEADERS_BYTES 2048

struct journal;

struct journal *journal_new(void);
void journal_free(struct journal **j);
/* model may be empty. Headers beyond JOURNAL_HEADERS_BYTES of an entry are left out. */
void journal_add(struct journal *j, const struct http_exchange *ex, struct slice model,
                 bool stream);
void journal_clear(struct journal *j);
/* {"total":N,"entries":[{"seq":1,"time":…,"method":"POST","path":…,"model":…,"stream":true,
 * "headers":{"host":…}}]}, oldest first. 0 or -ERR_LIMIT. */
int journal_write(struct journal *j, struct buf *out) MUST_CHECK;

#endif
