/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/json_scan.h"
#include "client/bench-private.h"

enum { LAG_BOUND_NS = 5 * 1000 * 1000 };
static const double cpu_bound = 0.9;

const char *const bench_failure_names[FAILURE_COUNT] = {
#define X(symbol, text) [FAILURE_##symbol] = text,
    BENCH_FAILURES(X)
#undef X
};

static const struct hist_row {
    const char *name, *title;
    size_t offset;
} hists[] = {
    {"ttft", "time to first token", offsetof(struct bench_figures, ttft_ns)},
    {"itl", "between tokens", offsetof(struct bench_figures, itl_ns)},
    {"provider", "provider, late by", offsetof(struct bench_figures, provider_ns)},
    {"delay", "written to here", offsetof(struct bench_figures, delay_ns)},
    {"arrival", "due to here", offsetof(struct bench_figures, arrival_ns)},
    {"service", "start to end", offsetof(struct bench_figures, service_ns)},
    {"response", "schedule to end", offsetof(struct bench_figures, response_ns)},
    {"start_late", "own start, late by", offsetof(struct bench_figures, start_late_ns)},
    {"lag", "own handling", offsetof(struct bench_figures, lag_ns)},
};
enum { HIST_COUNT = sizeof hists / sizeof hists[0] };

static struct hist *hist_of(struct bench_figures *f, unsigned i) {
    return (struct hist *)((char *)f + hists[i].offset);
}

static const struct hist *hist_in(const struct bench_figures *f, unsigned i) {
    return (const struct hist *)((const char *)f + hists[i].offset);
}

void bench_figures_init(struct bench_figures *f) {
    for (unsigned i = 0; i < HIST_COUNT; i++) {
        hist_init(hist_of(f, i));
    }
}

void bench_figures_merge(struct bench_figures *into, const struct bench_figures *from) {
    into->started += from->started;
    into->completed += from->completed;
    into->in_window += from->in_window;
    into->failed += from->failed;
    into->unfinished += from->unfinished;
    into->stalled += from->stalled;
    into->verified += from->verified;
    into->frames += from->frames;
    into->tokens += from->tokens;
    into->reads += from->reads;
    into->bytes += from->bytes;
    into->connects += from->connects;
    for (unsigned i = 0; i < FAILURE_COUNT; i++) {
        into->failures[i] += from->failures[i];
    }
    for (unsigned i = 0; i < sizeof into->statuses / sizeof into->statuses[0]; i++) {
        into->statuses[i] += from->statuses[i];
    }
    for (unsigned i = 0; i < HIST_COUNT; i++) {
        hist_merge(hist_of(into, i), hist_in(from, i));
    }
    into->cpu_ns += from->cpu_ns;
    into->wall_ns = from->wall_ns > into->wall_ns ? from->wall_ns : into->wall_ns;
    into->cpu_share = from->cpu_share > into->cpu_share ? from->cpu_share : into->cpu_share;
}

/* NULL: the server was what was measured; else why it was us. */
static const char *own_limit(const struct bench_figures *f) {
    if (f->cpu_share > cpu_bound) {
        return "a thread of this client was busy more than 90 % of the time: take more --threads, or less load";
    }
    if (atomic_load(&f->lag_ns.count) > 0 && hist_quantile(&f->lag_ns, 0.99) > LAG_BOUND_NS) {
        return "this client took more than 5 ms to handle what it had received (p99)";
    }
    return NULL;
}

static double per_second(uint64_t n, const struct bench_figures *f) {
    return f->wall_ns > 0 ? (double)n * 1e9 / (double)f->wall_ns : 0;
}

static double ratio(uint64_t a, uint64_t b) {
    return b ? (double)a / (double)b : 0;
}

static const char *mode_name(enum bench_mode m) {
    return m == BENCH_REQUESTS ? "requests" : m == BENCH_STREAM ? "stream" : "stall";
}

static long max_rss_kib(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

/* ---- for people ---- */

static void print_hist(const struct bench_figures *f, unsigned i) {
    const struct hist *h = hist_in(f, i);
    if (atomic_load(&h->count) == 0) {
        return;
    }
    printf("  %-20s p50 %10.3f   p90 %10.3f   p99 %10.3f   max %10.3f ms\n", hists[i].title,
           (double)hist_quantile(h, 0.5) / 1e6, (double)hist_quantile(h, 0.9) / 1e6,
           (double)hist_quantile(h, 0.99) / 1e6, (double)atomic_load(&h->max) / 1e6);
}

static void print_failures(const struct bench *b, const struct bench_figures *f) {
    if (f->failed == 0) {
        return;
    }
    printf("  failed:");
    for (unsigned i = 0; i < FAILURE_COUNT; i++) {
        if (f->failures[i]) {
            printf("  %s %" PRIu64, bench_failure_names[i], f->failures[i]);
        }
    }
    printf("\n  the first one: %s\n", b->first_error.text);
}

void bench_report_people(const struct bench *b, const struct bench_figures *f) {
    const struct bench_options *o = b->o;
    const char *limit = own_limit(f);
    printf("%s, %u connections, %u threads, %.2f s measured\n", mode_name(o->mode), o->connections,
           b->n_lanes, (double)f->wall_ns / 1e9);
    printf("  %" PRIu64 " started, %" PRIu64 " completed, %" PRIu64 " failed, %" PRIu64 " unfinished",
           f->started, f->completed, f->failed, f->unfinished);
    if (o->mode == BENCH_STALL) {
        printf(", %" PRIu64 " stalled", f->stalled);
    }
    if (o->verify) {
        printf(", %" PRIu64 " texts verified", f->verified);
    }
    printf("\n  %.1f requests/s", per_second(f->in_window, f));
    if (f->frames) {
        printf(", %.1f tokens/s, %.3f tokens per read", per_second(f->tokens, f), ratio(f->tokens, f->reads));
    }
    printf(", %.2f MB/s\n", per_second(f->bytes, f) / 1e6);
    for (unsigned i = 0; i < HIST_COUNT; i++) {
        print_hist(f, i);
    }
    if (atomic_load(&f->delay_ns.count) > 0) {
        printf("  (by the provider's stamps, on one machine's clock: written to here is network and "
               "gateway)\n");
    }
    print_failures(b, f);
    printf("  own CPU %.0f %% of the busiest thread%s%s\n", f->cpu_share * 100,
           limit ? "\n  LIMITED BY THE CLIENT: " : "", limit ? limit : "");
}

/* ---- JSON ---- */

static int json_hist(const struct bench_figures *f, unsigned i, struct buf *out) {
    const struct hist *h = hist_in(f, i);
    uint64_t count = atomic_load(&h->count);
    if (count == 0) {
        return buf_appendf(out, ",\"%s\":null", hists[i].name);
    }
    return buf_appendf(out,
                       ",\"%s\":{\"count\":%" PRIu64 ",\"mean\":%.1f,\"min\":%" PRIu64 ",\"p50\":%" PRIu64
                       ",\"p90\":%" PRIu64 ",\"p99\":%" PRIu64 ",\"p999\":%" PRIu64 ",\"max\":%" PRIu64 "}",
                       hists[i].name, count, (double)atomic_load(&h->sum) / (double)count,
                       atomic_load(&h->min), hist_quantile(h, 0.5), hist_quantile(h, 0.9),
                       hist_quantile(h, 0.99), hist_quantile(h, 0.999), atomic_load(&h->max));
}

static int json_text(struct buf *out, const char *name, const char *text) {
    if (!text) {
        return buf_appendf(out, ",\"%s\":null", name);
    }
    return buf_appendf(out, ",\"%s\":\"", name) | json_escape(out, slice_cstr(text)) |
           buf_append_byte(out, '"');
}

static int json_counts(const struct bench_figures *f, struct buf *out) {
    int rc = buf_appendf(out,
                         ",\"started\":%" PRIu64 ",\"completed\":%" PRIu64 ",\"failed\":%" PRIu64
                         ",\"unfinished\":%" PRIu64 ",\"stalled\":%" PRIu64 ",\"verified\":%" PRIu64
                         ",\"completed_in_window\":%" PRIu64 ",\"connects\":%" PRIu64,
                         f->started, f->completed, f->failed, f->unfinished, f->stalled,
                         f->verified, f->in_window, f->connects);
    rc |= buf_append(out, SLICE(",\"failures\":{"));
    for (unsigned i = 0; i < FAILURE_COUNT; i++) {
        rc |= buf_appendf(out, "%s\"%s\":%" PRIu64, i ? "," : "", bench_failure_names[i], f->failures[i]);
    }
    rc |= buf_append(out, SLICE("},\"statuses\":{"));
    for (unsigned i = 0; i < 6; i++) {
        rc |= buf_appendf(out, "%s\"%uxx\":%" PRIu64, i ? "," : "", i, f->statuses[i]);
    }
    return rc | buf_append_byte(out, '}');
}

int bench_report_json(const struct bench *b, const struct bench_figures *f, struct buf *out) {
    const struct bench_options *o = b->o;
    const char *limit = own_limit(f);
    int rc = buf_appendf(out, "{\"mode\":\"%s\"", mode_name(o->mode)) | json_text(out, "url", o->url);
    rc |= buf_appendf(out, ",\"connections\":%u,\"threads\":%u,\"seconds\":%.6f", o->connections, b->n_lanes,
                      (double)f->wall_ns / 1e9);
    rc |= json_counts(f, out);
    rc |= buf_appendf(out,
                      ",\"requests_per_s\":%.3f,\"frames\":%" PRIu64 ",\"tokens\":%" PRIu64
                      ",\"reads\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"tokens_per_s\":%.3f,\"tokens_per_read\":%.4f",
                      per_second(f->in_window, f), f->frames, f->tokens, f->reads, f->bytes,
                      per_second(f->tokens, f), ratio(f->tokens, f->reads));
    for (unsigned i = 0; i < HIST_COUNT; i++) {
        rc |= json_hist(f, i, out);
    }
    rc |= buf_appendf(out, ",\"cpu_s\":%.6f,\"cpu_share\":%.4f,\"max_rss_kib\":%ld,\"client_limited\":%s",
                      (double)f->cpu_ns / 1e9, f->cpu_share, max_rss_kib(), limit ? "true" : "false");
    rc |= json_text(out, "limit", limit);
    rc |= json_text(out, "first_error", b->has_first_error ? b->first_error.text : NULL);
    return rc | buf_append(out, SLICE("}\n"));
}
