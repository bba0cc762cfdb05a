/* SPDX-License-Identifier: Apache-2.0 */
/* Prometheus' text format 0.0.4. The table comes first: a metric is a row, and the row says where
 * its samples come from. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "dialect/dialect.h"
#include "meter/meter.h"

struct exposition {
    const struct meter *const *meters;
    unsigned n_meters;
    const char *const *provider_names;
    unsigned n_providers;
    const struct meter_extra *extras;
    unsigned n_extras;
    const struct meter_extra_hist *hists;
    unsigned n_hists;
    struct hist *merged;   /* scratch */
    struct buf *out;
    int rc;
};

struct metric;
typedef void emit_fn(struct exposition *x, const struct metric *m);

struct metric {
    struct metric_doc doc;
    emit_fn *emit;              /* NULL: the caller's extras bring the samples */
    const int64_t *bounds_ns;   /* of a histogram; 0 ends the list */
    bool is_ns;                 /* a counter or gauge in seconds: its values are nanoseconds */
};

/* ---- where the samples of `struct meter` come from ---- */

static emit_fn emit_streams_open, emit_requests_open, emit_requests, emit_tokens, emit_usage,
    emit_frames, emit_stalls, emit_by_dialect, emit_order, emit_dropped, emit_ttft, emit_itl,
    emit_duration;

#define US(n) ((n) * NS_PER_US)
#define MS(n) ((n) * NS_PER_MS)
#define S(n) ((n) * NS_PER_S)

/* Nothing at or above 2^40 ns, 18 minutes: the histogram does not tell such values apart. */
static const int64_t ttft_bounds[] = {MS(5),   MS(10),  MS(25),   MS(50), MS(100), MS(200),
                                      MS(350), MS(500), MS(750),  S(1),   MS(1500), S(2),
                                      S(3),    S(5),    S(10),    S(20),  S(30),   S(60), 0};
static const int64_t itl_bounds[] = {MS(1),  US(2500), MS(5),  US(7500), MS(10),  MS(15),
                                     MS(20), MS(30),   MS(50), MS(75),   MS(100), MS(250),
                                     MS(500), S(1),    MS(2500), S(10),  0};
static const int64_t duration_bounds[] = {MS(5),  MS(10),   MS(25), MS(50), MS(100), MS(250),
                                          MS(500), S(1),    MS(2500), S(5), S(10),   S(20),
                                          S(30),  S(60),    S(120), S(300), S(600),  0};
static const int64_t loop_bounds[] = {US(10), US(25),   US(50), US(100), US(250), US(500),
                                      MS(1),  US(2500), MS(5),  MS(10),  MS(25),  MS(100),
                                      S(1),   0};

/* ---- the table ---- */

#define COUNTER(n, l, h, ...) {.doc = {n, "counter", l, h}, __VA_ARGS__}
#define GAUGE(n, l, h, ...) {.doc = {n, "gauge", l, h}, __VA_ARGS__}
#define HISTOGRAM(n, l, h, ...) {.doc = {n, "histogram", l, h}, __VA_ARGS__}

/* clang-format off */
static const struct metric metrics[] = {
    GAUGE("penstock_build_info", "version", "Always 1; the label says which version runs.", .emit = NULL),
    GAUGE("penstock_start_time_seconds", "", "When the process started, in seconds of the Unix epoch.", .is_ns = true),
    GAUGE("penstock_streams_open", "", "Streamed answers under way.", .emit = emit_streams_open),
    GAUGE("penstock_requests_open", "", "Requests under way, streamed or not.", .emit = emit_requests_open),
    COUNTER("penstock_requests_total", "provider,stream,end", "Requests that ended, by how they ended; provider none for those that reached none.", .emit = emit_requests),
    COUNTER("penstock_tokens_total", "provider,kind", "Tokens as the upstreams counted them: input, output; cached is part of input, reasoning is part of output.", .emit = emit_tokens),
    COUNTER("penstock_usage_total", "provider,source", "Answers with (reported) and without (missing) the upstream's own token counts.", .emit = emit_usage),
    COUNTER("penstock_frames_total", "provider,kind", "Stream frames from upstreams: all of them, and of these the repaired, dropped, malformed, and the ones forwarded before they were whole.", .emit = emit_frames),
    COUNTER("penstock_requests_by_dialect_total", "client,upstream", "Requests that reached a provider, by the client's dialect and the one they went out in. Where the two differ, they were translated.", .emit = emit_by_dialect),
    COUNTER("penstock_dropped_fields_total", "provider", "Members of requests that translations left out without harm.", .emit = emit_dropped),
    COUNTER("penstock_order_violations_total", "provider,from", "Frames that break the order of their dialect, where streams are checked (check_order), and events that contradict what was said before: the upstream's, and the gateway's own.", .emit = emit_order),
    HISTOGRAM("penstock_ttft_seconds", "provider", "From the request's body being whole to the first content leaving for the client.", .emit = emit_ttft, .bounds_ns = ttft_bounds),
    HISTOGRAM("penstock_itl_seconds", "provider", "Between two successive frames with content of one stream.", .emit = emit_itl, .bounds_ns = itl_bounds),
    HISTOGRAM("penstock_request_duration_seconds", "provider,stream", "From the request's first byte to the last byte of the answer handed to the kernel.", .emit = emit_duration, .bounds_ns = duration_bounds),
    GAUGE("penstock_upstream_connections", "provider,state", "Connections to upstreams: active ones carry a request, idle ones wait for the next.", .emit = NULL),
    COUNTER("penstock_upstream_connects_total", "provider", "Connections opened to upstreams.", .emit = NULL),
    COUNTER("penstock_upstream_connect_failures_total", "provider", "Connections to upstreams that could not be opened.", .emit = NULL),
    COUNTER("penstock_upstream_reuses_total", "provider", "Requests sent over a connection that was open already.", .emit = NULL),
    COUNTER("penstock_upstream_stale_retries_total", "provider", "Requests sent once more because the reused connection was closed before a byte of the answer.", .emit = NULL),
    COUNTER("penstock_upstream_cancels_total", "provider", "Upstream requests closed before their end, mostly because the client was gone.", .emit = NULL),
    GAUGE("penstock_client_connections_open", "", "Connections of clients.", .emit = NULL),
    COUNTER("penstock_client_connections_total", "", "Connections of clients that were accepted.", .emit = NULL),
    COUNTER("penstock_client_connections_refused_total", "", "Connections of clients that were refused for want of room.", .emit = NULL),
    COUNTER("penstock_bad_requests_total", "", "Requests refused for malformed or oversized HTTP.", .emit = NULL),
    HISTOGRAM("penstock_loop_turn_seconds", "", "Work of one turn of an event loop, waiting excluded.", .bounds_ns = loop_bounds),
    HISTOGRAM("penstock_timer_late_seconds", "", "How late timers fired.", .bounds_ns = loop_bounds),
    COUNTER("penstock_stalls_total", "provider", "Times that a slow client stopped the reading of its upstream.", .emit = emit_stalls),
    GAUGE("penstock_memory_slab_bytes", "", "Bytes that wait for clients in the workers' chunks.", .emit = NULL),
    GAUGE("penstock_open_files", "", "File descriptors in use.", .emit = NULL),
    GAUGE("penstock_max_files", "", "File descriptors that the process may use.", .emit = NULL),
    COUNTER("penstock_log_dropped_total", "", "Log lines dropped because their reader was too slow.", .emit = NULL),
    COUNTER("penstock_cpu_seconds_total", "", "CPU time of the process, user and system.", .is_ns = true),
    GAUGE("penstock_resident_memory_bytes", "", "Resident memory of the process.", .emit = NULL),
};
/* clang-format on */
#define METRIC_COUNT (sizeof metrics / sizeof metrics[0])

unsigned meter_metric_docs(const struct metric_doc **out) {
    static struct metric_doc docs[METRIC_COUNT];
    for (size_t i = 0; i < METRIC_COUNT; i++) docs[i] = metrics[i].doc;
    *out = docs;
    return METRIC_COUNT;
}

/* ---- writing ---- */

static void put(struct exposition *x, const char *text) {
    x->rc |= buf_append(x->out, slice_cstr(text));
}

/* Label values: backslash, quote and line feed. Help texts have no quotes to escape; none of ours
 * needs any of it. */
static void put_escaped(struct exposition *x, const char *text) {
    for (; *text; text++) {
        if (*text == '\\' || *text == '"') x->rc |= buf_append_byte(x->out, '\\');
        if (*text == '\n') put(x, "\\n");
        else x->rc |= buf_append_byte(x->out, *text);
    }
}

static void put_labels(struct exposition *x, const struct meter_label *labels, unsigned n) {
    bool is_open = false;
    for (unsigned i = 0; i < n && labels[i].name; i++) {
        put(x, is_open ? "," : "{");
        put(x, labels[i].name);
        put(x, "=\"");
        put_escaped(x, labels[i].value);
        put(x, "\"");
        is_open = true;
    }
    if (is_open) put(x, "}");
}

#define SECONDS_BYTES 40

/* Decimal seconds without trailing zeros, and without a double. Returns out. */
static const char *format_seconds(uint64_t ns, char out[SECONDS_BYTES]) {
    int len = snprintf(out, SECONDS_BYTES, "%" PRIu64, ns / 1000000000);
    unsigned rest = (unsigned)(ns % 1000000000);
    int digits = 9;
    for (; rest > 0 && rest % 10 == 0; rest /= 10) digits--;
    if (rest > 0) snprintf(out + len, SECONDS_BYTES - (size_t)len, ".%0*u", digits, rest);
    return out;
}

static void put_value(struct exposition *x, uint64_t value, bool is_ns) {
    char text[SECONDS_BYTES];
    if (is_ns) put(x, format_seconds(value, text));
    else x->rc |= buf_appendf(x->out, "%" PRIu64, value);
    put(x, "\n");
}

#define MAX_LABELS 4

static void put_sample(struct exposition *x, const struct metric *m, const char *suffix,
                       const struct meter_label *labels, unsigned n_labels, uint64_t value,
                       bool is_ns) {
    put(x, m->doc.name);
    put(x, suffix);
    put_labels(x, labels, n_labels);
    put(x, " ");
    put_value(x, value, is_ns);
}

/* The writers go on meanwhile: the count is what the buckets hold, so that the last one and the
 * count always agree. */
static void put_histogram(struct exposition *x, const struct metric *m, const struct hist *h,
                          const struct meter_label *labels, unsigned n_labels) {
    struct meter_label with_le[MAX_LABELS + 1];
    unsigned n = 0;
    for (; n < n_labels && n < MAX_LABELS && labels[n].name; n++) with_le[n] = labels[n];
    for (const int64_t *bound = m->bounds_ns; *bound; bound++) {
        char text[SECONDS_BYTES];
        with_le[n] = (struct meter_label){"le", format_seconds((uint64_t)*bound, text)};
        put_sample(x, m, "_bucket", with_le, n + 1, hist_count_le(h, (uint64_t)*bound), false);
    }
    uint64_t count = hist_count_le(h, UINT64_MAX);
    with_le[n] = (struct meter_label){"le", "+Inf"};
    put_sample(x, m, "_bucket", with_le, n + 1, count, false);
    put_sample(x, m, "_sum", with_le, n, atomic_load_explicit(&h->sum, memory_order_relaxed), true);
    put_sample(x, m, "_count", with_le, n, count, false);
}

/* ---- sums over the workers ---- */

/* The counter at this place in every worker's meter. */
static uint64_t sum_of(const struct exposition *x, size_t offset) {
    uint64_t sum = 0;
    for (unsigned i = 0; i < x->n_meters; i++) {
        const char *at = (const char *)x->meters[i] + offset;
        sum += meter_get((const _Atomic uint64_t *)(const void *)at);
    }
    return sum;
}

static size_t provider_offset(unsigned provider) {
    return offsetof(struct meter, providers) + provider * sizeof(struct meter_provider);
}

static const char *provider_name(const struct exposition *x, unsigned provider) {
    return provider < x->n_providers ? x->provider_names[provider] : "none";
}

static const struct hist *merged_hist(struct exposition *x, unsigned provider, size_t member) {
    hist_init(x->merged);
    for (unsigned i = 0; i < x->n_meters; i++) {
        const char *at = (const char *)x->meters[i] + provider_offset(provider) + member;
        hist_merge(x->merged, (const struct hist *)(const void *)at);
    }
    return x->merged;
}

static void emit_sum(struct exposition *x, const struct metric *m, size_t offset) {
    put_sample(x, m, "", NULL, 0, sum_of(x, offset), false);
}

static void emit_streams_open(struct exposition *x, const struct metric *m) {
    emit_sum(x, m, offsetof(struct meter, streams_open));
}

static void emit_requests_open(struct exposition *x, const struct metric *m) {
    emit_sum(x, m, offsetof(struct meter, requests_open));
}

static const char *const stream_values[] = {"false", "true"};

static void emit_requests_of(struct exposition *x, const struct metric *m, unsigned provider,
                             unsigned stream) {
    for (unsigned end = 0; end < END_REASON_COUNT; end++) {
        struct meter_label labels[] = {{"provider", provider_name(x, provider)},
                                       {"stream", stream_values[stream]},
                                       {"end", end_reason_name((enum end_reason)end)}};
        size_t cell = (end * 2 + stream) * sizeof(_Atomic uint64_t);
        size_t offset = offsetof(struct meter_provider, requests_by_end) + cell;
        put_sample(x, m, "", labels, 3, sum_of(x, provider_offset(provider) + offset), false);
    }
}

static void emit_requests(struct exposition *x, const struct metric *m) {
    for (unsigned p = 0; p <= x->n_providers; p++) {
        emit_requests_of(x, m, p, 0);
        emit_requests_of(x, m, p, 1);
    }
}

/* One counter of each real provider for each value of a second label. */
struct label_member {
    const char *value;
    size_t member;
};

static void emit_members(struct exposition *x, const struct metric *m, const char *label,
                         const struct label_member *members, unsigned n_members) {
    for (unsigned p = 0; p < x->n_providers; p++) {
        for (unsigned i = 0; i < n_members; i++) {
            struct meter_label labels[] = {{"provider", x->provider_names[p]},
                                           {label, members[i].value}};
            put_sample(x, m, "", labels, 2, sum_of(x, provider_offset(p) + members[i].member),
                       false);
        }
    }
}

#define MEMBER(name) offsetof(struct meter_provider, name)

static void emit_tokens(struct exposition *x, const struct metric *m) {
    static const struct label_member members[] = {{"input", MEMBER(tokens_in)},
                                                  {"output", MEMBER(tokens_out)},
                                                  {"cached", MEMBER(tokens_cached)},
                                                  {"reasoning", MEMBER(tokens_reasoning)}};
    emit_members(x, m, "kind", members, 4);
}

static void emit_usage(struct exposition *x, const struct metric *m) {
    static const struct label_member members[] = {{"reported", MEMBER(usage_reported)},
                                                  {"missing", MEMBER(usage_missing)}};
    emit_members(x, m, "source", members, 2);
}

static void emit_frames(struct exposition *x, const struct metric *m) {
    static const struct label_member members[] = {{"all", MEMBER(frames)},
                                                  {"repaired", MEMBER(frames_repaired)},
                                                  {"dropped", MEMBER(frames_dropped)},
                                                  {"malformed", MEMBER(frames_malformed)},
                                                  {"cut_through", MEMBER(frames_cut_through)}};
    emit_members(x, m, "kind", members, 5);
}

static void emit_stalls(struct exposition *x, const struct metric *m) {
    static const struct label_member members[] = {{NULL, MEMBER(stalls)}};
    emit_members(x, m, NULL, members, 1);
}

static void emit_order(struct exposition *x, const struct metric *m) {
    static const struct label_member members[] = {{"upstream", MEMBER(order_broken)},
                                                  {"gateway", MEMBER(order_broken_own)}};
    emit_members(x, m, "from", members, 2);
}

static void emit_dropped(struct exposition *x, const struct metric *m) {
    static const struct label_member members[] = {{NULL, MEMBER(dropped_fields)}};
    emit_members(x, m, NULL, members, 1);
}

static void emit_by_dialect(struct exposition *x, const struct metric *m) {
    for (unsigned c = 0; c < METER_DIALECTS && dialects[c]; c++) {
        for (unsigned u = 0; u < METER_DIALECTS && dialects[u]; u++) {
            struct meter_label labels[] = {{"client", dialects[c]->name},
                                           {"upstream", dialects[u]->name}};
            size_t cell = (c * METER_DIALECTS + u) * sizeof(_Atomic uint64_t);
            put_sample(x, m, "", labels, 2, sum_of(x, offsetof(struct meter, by_dialect) + cell),
                       false);
        }
    }
}

static void emit_provider_hist(struct exposition *x, const struct metric *m, size_t member) {
    for (unsigned p = 0; p < x->n_providers; p++) {
        struct meter_label label = {"provider", x->provider_names[p]};
        put_histogram(x, m, merged_hist(x, p, member), &label, 1);
    }
}

static void emit_ttft(struct exposition *x, const struct metric *m) {
    emit_provider_hist(x, m, MEMBER(ttft_ns));
}

static void emit_itl(struct exposition *x, const struct metric *m) {
    emit_provider_hist(x, m, MEMBER(itl_ns));
}

static void emit_duration(struct exposition *x, const struct metric *m) {
    for (unsigned p = 0; p <= x->n_providers; p++) {
        for (unsigned stream = 0; stream < 2; stream++) {
            struct meter_label labels[] = {{"provider", provider_name(x, p)},
                                           {"stream", stream_values[stream]}};
            size_t member = MEMBER(duration_ns) + stream * sizeof(struct hist);
            put_histogram(x, m, merged_hist(x, p, member), labels, 2);
        }
    }
}

/* ---- the caller's ---- */

static bool is_metric(const struct metric *m, const char *name) {
    return strcmp(m->doc.name, name) == 0;
}

static bool has_samples(const struct exposition *x, const struct metric *m) {
    bool has = m->emit != NULL;
    for (unsigned i = 0; i < x->n_extras; i++) has = has || is_metric(m, x->extras[i].name);
    for (unsigned i = 0; i < x->n_hists; i++) has = has || is_metric(m, x->hists[i].name);
    return has;
}

static void emit_metric(struct exposition *x, const struct metric *m) {
    if (!has_samples(x, m)) return;
    x->rc |= buf_appendf(x->out, "# HELP %s %s\n# TYPE %s %s\n", m->doc.name, m->doc.help,
                         m->doc.name, m->doc.type);
    if (m->emit) m->emit(x, m);
    for (unsigned i = 0; i < x->n_extras; i++) {
        const struct meter_extra *extra = &x->extras[i];
        if (!is_metric(m, extra->name)) continue;
        put_sample(x, m, "", extra->labels, METER_MAX_LABELS, extra->value, m->is_ns);
    }
    for (unsigned i = 0; i < x->n_hists; i++) {
        if (is_metric(m, x->hists[i].name)) put_histogram(x, m, x->hists[i].h, NULL, 0);
    }
}

/* A name without a row is a bug of the caller; a release build leaves the sample out. */
static void check_name(const char *name) {
    size_t i = 0;
    while (i < METRIC_COUNT && !is_metric(&metrics[i], name)) i++;
    assert(i < METRIC_COUNT);
}

int meter_prometheus(const struct meter *const *meters, unsigned n_meters,
                     const char *const *provider_names, const struct meter_extra *extras,
                     unsigned n_extras, const struct meter_extra_hist *hists, unsigned n_hists,
                     struct buf *out) {
    struct exposition x = {
        .meters = meters, .n_meters = n_meters, .provider_names = provider_names,
        .n_providers = n_meters > 0 ? meters[0]->n_providers : 0, .extras = extras,
        .n_extras = n_extras, .hists = hists, .n_hists = n_hists, .out = out,
    };
    for (unsigned i = 0; i < n_extras; i++) check_name(extras[i].name);
    for (unsigned i = 0; i < n_hists; i++) check_name(hists[i].name);
    x.merged = mem_alloc(sizeof *x.merged);
    for (size_t i = 0; i < METRIC_COUNT; i++) emit_metric(&x, &metrics[i]);
    mem_free(x.merged);
    return x.rc != 0 ? -ERR_LIMIT : 0;
}
