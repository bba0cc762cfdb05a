/* SPDX-License-Identifier: Apache-2.0 */
/* Control requests that are answered when their condition holds, or when their time is over:
 * nothing polls. Whoever changes what somebody may wait for wakes the workers (hub_wake), and each
 * looks at its own. The worker's thread. */
#ifndef PENSTOCK_MOCK_PARKED_H
#define PENSTOCK_MOCK_PARKED_H

#include "mock/worker.h"

struct parked;
struct parked_ops {
    bool (*is_reached)(struct parked *p);
    /* Answers p->ex; p is no longer parked, and is freed afterwards. */
    void (*answer)(struct parked *p, bool is_in_time);
    /* What hangs on it; NULL: nothing. The last call. */
    void (*dispose)(struct parked *p);
};

/* First member of what the condition needs, which is one piece of mem_zalloc. */
struct parked {
    struct owner owner;              /* first: an exchange's app pointer is looked at as one */
    const struct parked_ops *ops;
    struct parked *prev, *next;      /* the worker's */
    struct mock_worker *worker;
    struct http_exchange *ex;
    struct timer timer;
};

/* Takes p (zeroed, with ops and what they need), parks it, or answers at once when its condition
 * holds already. Freed in either case, sooner or later. */
void parked_begin(struct parked *p, struct mock_worker *w, struct http_exchange *ex,
                  const struct parked_ops *ops, int64_t timeout_ns);
/* timeout_ms=… of the query, else 10 s. False: it makes no sense. */
bool parked_read_timeout(const struct http_exchange *ex, int64_t *out_ns);
#define PARKED_DEFAULT_MS 10000
#define PARKED_MAX_MS 600000

#endif
