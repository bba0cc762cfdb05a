/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a request: what is counted and logged, once, in the relay's own completion path. */
#include "gateway/relay.h"

static void count_usage(struct meter_provider *p, const struct usage *u) {
    if (u->in_total > 0)
        meter_add(&p->tokens_in, (uint64_t)u->in_total);
    if (u->out_total > 0)
        meter_add(&p->tokens_out, (uint64_t)u->out_total);
    if (u->cache_read > 0)
        meter_add(&p->tokens_cached, (uint64_t)u->cache_read);
    if (u->reasoning > 0)
        meter_add(&p->tokens_reasoning, (uint64_t)u->reasoning);
}

static unsigned dialect_place(const struct dialect *d) {
    unsigned i = 0;
    while (dialects[i] && dialects[i] != d)
        i++;
    return i;
}

static void count_dialects(const struct relay *r) {
    unsigned client = dialect_place(r->client), up = dialect_place(r->up);
    if (r->upstream && !r->passes && client < METER_DIALECTS && up < METER_DIALECTS)
        meter_add(&r->worker->meter->by_dialect[client][up], 1);
}

static bool is_logged(const struct relay *r, bool is_error) {
    switch (r->worker->gateway->config->log.requests) {
    case LOG_REQUESTS_OFF:
        return false;
    case LOG_REQUESTS_ERRORS:
        return is_error;
    case LOG_REQUESTS_ALL:
        return true;
    }
    return true;
}

static void log_request(const struct relay *r, enum end_reason end, int64_t took_ns) {
    bool is_error = end_reason_is_error(end);
    if (!is_logged(r, is_error))
        return;
    int64_t ttft = r->first_content_ns ? r->first_content_ns - r->ready_ns : 0;
    const char *provider = r->upstream ? r->upstream->config->name : "none";
    log_event(is_error ? LOG_WARN : LOG_INFO, "request", LOG_CSTR("id", r->request_id), LOG_CSTR("dialect", r->client->name), LOG_CSTR("model", r->model),
              LOG_CSTR("provider", provider), LOG_INT("status", r->status), LOG_FLAG("stream", r->stream),
              LOG_CSTR("end", end_reason_name(end)), LOG_DUR("ttft", ttft), LOG_DUR("took", took_ns),
              LOG_INT("tokens_in", r->usage.in_total), LOG_INT("tokens_out", r->usage.out_total));
}

void relay_record(struct relay *r) {
    if (r->recorded)
        return;
    r->recorded = true;
    struct worker *w = r->worker;
    enum end_reason end = r->end < 0 ? END_INTERNAL : (enum end_reason)r->end;
    struct meter_provider *p =
        &w->meter->providers[r->upstream ? r->upstream->index : w->meter->n_providers];
    int64_t took_ns = loop_now_ns(w->loop) - r->start_ns;
    meter_add(&p->requests_by_end[end][r->stream], 1);
    hist_record(&p->duration_ns[r->stream], took_ns);
    count_dialects(r);
    if (r->has_usage) {
        meter_add(&p->usage_reported, 1);
        count_usage(p, &r->usage);
    } else if (r->upstream_status >= 200 && r->upstream_status < 300) {
        meter_add(&p->usage_missing, 1);
    }
    log_request(r, end, took_ns);
}
