/* SPDX-License-Identifier: Apache-2.0 */
/* What is counted. Each worker owns one `struct meter` and writes it alone (relaxed atomics, no
 * read-modify-write); anybody may read, so that /metrics can sum over all workers. The series are
 * bounded: labels come from the configuration (providers) and from closed sets (end reasons,
 * classes), never from what clients send.
 *
 * Definitions (docs/serve.md repeats them):
 *   TTFT   from the request's body being whole to the first content-bearing event (text, reasoning,
 *          refusal or tool call) leaving for the client. Role-only, empty and usage frames are no
 *          content. No content: no value.
 *   ITL    time between two successive content-bearing frames of one stream, the first one
 *          excluded. It is per frame; a frame may carry several tokens.
 *   duration  from the request's first byte to the last byte of the response handed to the
 *          kernel. */
#ifndef PENSTOCK_METER_METER_H
#define PENSTOCK_METER_METER_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/hist.h"
#include "dialect/event.h"

/* Closed set: how a request ended. One list for log, metric, and tests. X(symbol, "spelling",
 * is_error, description) */
#define END_REASONS(X)                                                                             \
    X(OK, "ok", false, "Answered completely.")                                                     \
    X(CLIENT_GONE, "client_gone", false, "The client left before the end.")                        \
    X(CLIENT_ERROR, "client_error", true, "The request was refused by the gateway (4xx).")         \
    X(UPSTREAM_STATUS, "upstream_status", true, "The upstream answered with an error status.")     \
    X(UPSTREAM_AUTH, "upstream_auth", true, "The upstream refused the gateway's own credential.")  \
    X(UPSTREAM_CONNECT, "upstream_connect", true,                                                  \
      "No connection to the upstream: DNS, refused, unreachable, TLS.")                            \
    X(UPSTREAM_TIMEOUT, "upstream_timeout", true, "Connect, first byte or silence took too long.") \
    X(UPSTREAM_CUT, "upstream_cut", true,                                                          \
      "The upstream closed or was reset in the middle of its answer.")                             \
    X(UPSTREAM_PROTOCOL, "upstream_protocol", true,                                                \
      "The upstream's bytes break HTTP, SSE or the dialect.")                                      \
    X(UPSTREAM_LIMIT, "upstream_limit", true, "The upstream's answer is larger than a limit.")     \
    X(UPSTREAM_ERROR_EVENT, "upstream_error_event", true,                                          \
      "The upstream reported an error inside its stream.")                                         \
    X(OVERLOAD, "overload", true, "Refused by the gateway for want of room.")                      \
    X(DRAIN, "drain", true, "Ended by the gateway because it was shutting down.")                  \
    X(INTERNAL, "internal", true, "A fault of the gateway.")
enum end_reason {
#define X(symbol, text, is_error, description) END_##symbol,
    END_REASONS(X)
#undef X
    END_REASON_COUNT
};
const char *end_reason_name(enum end_reason r);
bool end_reason_is_error(enum end_reason r);

#define METER_DIALECTS 4

/* Per provider and worker; index n_providers is "none": requests that never reached one. */
struct meter_provider {
    _Atomic uint64_t requests_by_end[END_REASON_COUNT][2];   /* [streaming] */
    _Atomic uint64_t tokens_in, tokens_out, tokens_cached, tokens_reasoning;
    /* answers with and without the upstream's own usage */
    _Atomic uint64_t usage_reported, usage_missing;
    _Atomic uint64_t frames, frames_repaired, frames_dropped, frames_malformed, frames_cut_through;
    /* frames that break their dialect's order: from upstreams, and of our own making */
    _Atomic uint64_t order_broken, order_broken_own;
    /* members of requests that a translation left out */
    _Atomic uint64_t dropped_fields;
    /* times that a slow client stopped the reading of its upstream */
    _Atomic uint64_t stalls;
    struct hist ttft_ns, itl_ns, duration_ns[2];
};

struct meter {
    unsigned n_providers;
    _Atomic uint64_t streams_open, requests_open;
    /* requests that reached a provider, by their client's dialect and the provider's (places in
     * dialects[]) */
    _Atomic uint64_t by_dialect[METER_DIALECTS][METER_DIALECTS];
    struct meter_provider providers[];                       /* n_providers + 1 */
};

struct meter *meter_new(unsigned n_providers);
void meter_free(struct meter *m);
static inline void meter_add(_Atomic uint64_t *counter, uint64_t n) {
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}
static inline void meter_sub(_Atomic uint64_t *counter, uint64_t n) {
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) - n,
                          memory_order_relaxed);
}
static inline uint64_t meter_get(const _Atomic uint64_t *counter) {
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* ---- exposition ---- */

/* Values outside `struct meter` (pools, loops, servers) that the caller sums up itself. Of metrics
 * in seconds the value is in nanoseconds. */
#define METER_MAX_LABELS 2
struct meter_label {
    const char *name, *value;      /* borrowed; a NULL name ends the list */
};
struct meter_extra {
    const char *name;              /* must be a row of the metric table */
    struct meter_label labels[METER_MAX_LABELS];
    uint64_t value;
};
struct meter_extra_hist {
    const char *name;
    const struct hist *h;
};
/* Prometheus text format 0.0.4, sum over meters. provider_names: n_providers entries. Histogram
 * buckets in seconds. */
int meter_prometheus(const struct meter *const *meters, unsigned n_meters,
                     const char *const *provider_names, const struct meter_extra *extras,
                     unsigned n_extras, const struct meter_extra_hist *hists, unsigned n_hists,
                     struct buf *out) MUST_CHECK;

/* One table of all metrics: name, type, unit, labels, help. Docs are checked against it. */
struct metric_doc {
    const char *name, *type, *labels, *help;
};
unsigned meter_metric_docs(const struct metric_doc **out);

#endif
