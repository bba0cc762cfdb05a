/* SPDX-License-Identifier: Apache-2.0 */
/* GET /health and /metrics. */
#include <inttypes.h>

#include "base/mem.h"
#include "mock/fault_book.h"
#include "mock/self.h"
#include "mock/stored.h"
#include "mock/worker.h"

void control_health(struct mock_worker *w, struct http_exchange *ex) {
    mock_respond_json(w, ex, 200, SLICE("{\"status\":\"ok\"}\n"));
}

static int append_metric(struct buf *out, const char *name, const char *kind, const char *help,
                         double value) {
    return buf_appendf(out, "# HELP penstock_mock_%s %s\n# TYPE penstock_mock_%s %s\npenstock_mock_%s %.15g\n",
                       name, help, name, kind, name, value);
}

static int append_lateness(struct hub *h, struct buf *out) {
    static const double quantiles[] = {0.5, 0.9, 0.99, 0.999};
    struct hist *all = mem_alloc(sizeof *all);
    hist_init(all);
    for (unsigned i = 0; i < h->n_workers; i++) {
        hist_merge(all, &h->workers[i]->late_ns);
    }
    int rc = buf_append(out, SLICE("# HELP penstock_mock_token_late_seconds Paced tokens: written minus due.\n"
                                   "# TYPE penstock_mock_token_late_seconds summary\n"));
    for (unsigned i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++) {
        rc |= buf_appendf(out, "penstock_mock_token_late_seconds{quantile=\"%g\"} %.9f\n", quantiles[i],
                          (double)hist_quantile(all, quantiles[i]) / 1e9);
    }
    rc |= buf_appendf(out, "penstock_mock_token_late_seconds_sum %.9f\npenstock_mock_token_late_seconds_count %" PRIu64 "\n",
                      (double)atomic_load(&all->sum) / 1e9, atomic_load(&all->count));
    rc |= append_metric(out, "token_late_max_seconds", "gauge", "The latest token.",
                        (double)atomic_load(&all->max) / 1e9);
    mem_free(all);
    return rc;
}

static int append_violations(struct hub *h, struct buf *out) {
    int rc = buf_append(out, SLICE("# HELP penstock_mock_violations_total Rules of the API that requests "
                                   "broke.\n# TYPE penstock_mock_violations_total counter\n"));
    for (unsigned i = 0; i < RULE_COUNT; i++) {
        rc |= buf_appendf(out, "penstock_mock_violations_total{rule=\"%s\"} %" PRIu64 "\n",
                          validate_rules[i].id, atomic_load(&h->violations[i]));
    }
    return rc;
}

static int append_stored(struct hub *h, struct buf *out) {
    struct store_stats stats;
    stored_get_stats(h->stored, &stats);
    int rc = append_metric(out, "stored_entries", "gauge", "Responses, their items, conversations.",
                           (double)stats.entries);
    rc |= append_metric(out, "stored_bytes", "gauge", "Memory of what is stored.",
                        (double)stats.bytes);
    return rc | append_metric(out, "stored_evicted_total", "counter",
                              "Entries that had to go for others.", (double)stats.evicted);
}

void control_metrics(struct mock_worker *w, struct http_exchange *ex) {
    struct hub *h = w->hub;
    uint64_t tokens = 0;
    for (unsigned i = 0; i < h->n_workers; i++) {
        tokens += atomic_load(&h->workers[i]->tokens);
    }
    mock_worker_scratch(&w->body);
    int rc = append_metric(&w->body, "requests_total", "counter", "Requests of any kind.",
                           (double)atomic_load(&h->counters[COUNT_REQUESTS]));
    rc |= append_metric(&w->body, "streams_started_total", "counter", "Answers begun, streamed or whole.",
                        (double)atomic_load(&h->counters[COUNT_STARTED]));
    rc |= append_metric(&w->body, "streams_completed_total", "counter", "Answers brought to their end.",
                        (double)atomic_load(&h->counters[COUNT_COMPLETED]));
    rc |= append_metric(&w->body, "streams_cancelled_total", "counter", "Answers whose client left.",
                        (double)atomic_load(&h->counters[COUNT_CANCELLED]));
    rc |= append_metric(&w->body, "streams_open", "gauge", "Answers under way.",
                        (double)atomic_load(&h->counters[COUNT_OPEN]));
    rc |= append_metric(&w->body, "tokens_total", "counter", "Tokens written.", (double)tokens);
    rc |= append_lateness(h, &w->body);
    rc |= self_append_metrics(h, &w->body);
    rc |= fault_book_metrics(h->faults, &w->body);
    rc |= append_violations(h, &w->body);
    rc |= append_stored(h, &w->body);
    struct header_set set;
    header_set_init(w, &set, api_of(ex), SLICE("text/plain; version=0.0.4; charset=utf-8"), NULL);
    struct http_response r = {rc < 0 ? 500 : 200, set.items, set.count};
    http_respond(ex, &r, buf_slice(&w->body));
}
