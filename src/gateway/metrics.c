/* SPDX-License-Identifier: Apache-2.0 */
/* GET /metrics: the sum over all workers of their meters, and what pools, servers and loops count
 * themselves. */
#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gateway/gateway-private.h"
#include "version.h"

struct extras {
    struct meter_extra *items;
    unsigned count, max;
};

static void add(struct extras *x, const char *name, uint64_t value) {
    if (x->count < x->max)
        x->items[x->count++] = (struct meter_extra){.name = name, .value = value};
}

static void add_for(struct extras *x, const char *name, const char *provider, const char *state,
                    uint64_t value) {
    if (x->count == x->max)
        return;
    add(x, name, value);
    struct meter_label *labels = x->items[x->count - 1].labels;
    labels[0] = (struct meter_label){"provider", provider};
    if (state)
        labels[1] = (struct meter_label){"state", state};
}

/* ---- pools ---- */

enum {
    POOL_IDLE,
    POOL_ACTIVE,
    POOL_CONNECTS,
    POOL_CONNECT_FAILS,
    POOL_REUSES,
    POOL_STALE,
    POOL_CANCELS,
    POOL_FACTS
};

static void sum_pools(const struct gateway *g, unsigned provider, uint64_t out[POOL_FACTS]) {
    memset(out, 0, POOL_FACTS * sizeof *out);
    for (unsigned i = 0; i < g->n_workers; i++) {
        const struct http_pool *pool = g->workers[i]->pools[provider];
        if (!pool)
            continue;
        const struct http_pool_stats *s = http_pool_stats(pool);
        out[POOL_IDLE] += meter_get(&s->idle);
        out[POOL_ACTIVE] += meter_get(&s->active);
        out[POOL_CONNECTS] += meter_get(&s->connects);
        out[POOL_CONNECT_FAILS] += meter_get(&s->connect_fails);
        out[POOL_REUSES] += meter_get(&s->reuses);
        out[POOL_STALE] += meter_get(&s->stale_retries);
        out[POOL_CANCELS] += meter_get(&s->cancels);
    }
}

static void add_pools(const struct gateway *g, struct extras *x) {
    for (unsigned i = 0; i < g->config->n_providers; i++) {
        const char *name = g->config->providers[i].name;
        uint64_t sums[POOL_FACTS];
        sum_pools(g, i, sums);
        add_for(x, "penstock_upstream_connections", name, "idle", sums[POOL_IDLE]);
        add_for(x, "penstock_upstream_connections", name, "active", sums[POOL_ACTIVE]);
        add_for(x, "penstock_upstream_connects_total", name, NULL, sums[POOL_CONNECTS]);
        add_for(x, "penstock_upstream_connect_failures_total", name, NULL, sums[POOL_CONNECT_FAILS]);
        add_for(x, "penstock_upstream_reuses_total", name, NULL, sums[POOL_REUSES]);
        add_for(x, "penstock_upstream_stale_retries_total", name, NULL, sums[POOL_STALE]);
        add_for(x, "penstock_upstream_cancels_total", name, NULL, sums[POOL_CANCELS]);
    }
}

/* ---- servers and loops ---- */

static void add_servers(const struct gateway *g, struct extras *x) {
    uint64_t open = 0, accepted = 0, refused = 0, bad = 0, slab = 0;
    for (unsigned i = 0; i < g->n_workers; i++) {
        const struct http_server_stats *s = http_server_stats(g->workers[i]->server);
        open += meter_get(&s->connections_open);
        accepted += meter_get(&s->accepted);
        refused += meter_get(&s->refused) + meter_get(&loop_stats(g->workers[i]->loop)->refused);
        bad += meter_get(&s->bad_requests);
        slab += atomic_load_explicit(&g->workers[i]->slab_bytes, memory_order_relaxed);
    }
    add(x, "penstock_client_connections_open", open);
    add(x, "penstock_client_connections_total", accepted);
    add(x, "penstock_client_connections_refused_total", refused);
    add(x, "penstock_bad_requests_total", bad);
    add(x, "penstock_memory_slab_bytes", slab);
}

static void merge_loops(const struct gateway *g, struct hist *turns, struct hist *late) {
    hist_init(turns);
    hist_init(late);
    for (unsigned i = 0; i < g->n_workers; i++) {
        const struct loop_stats *s = loop_stats(g->workers[i]->loop);
        hist_merge(turns, &s->turn_ns);
        hist_merge(late, &s->timer_late_ns);
    }
}

/* ---- the process ---- */

static uint64_t count_open_files(void) {
    DIR *dir = opendir("/proc/self/fd");
    uint64_t n = 0;
    if (!dir)
        return 0;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n > 3 ? n - 3 : 0;            /* ".", ".." and the directory itself */
}

static uint64_t resident_bytes(void) {
    FILE *f = fopen("/proc/self/statm", "re");
    unsigned long long size = 0, resident = 0;
    if (f) {
        if (fscanf(f, "%llu %llu", &size, &resident) != 2)
            resident = 0;
        fclose(f);
    }
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void add_process(const struct gateway *g, struct extras *x) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    int64_t cpu_us = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
                     usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    add(x, "penstock_cpu_seconds_total", (uint64_t)(cpu_us * NS_PER_US));
    add(x, "penstock_resident_memory_bytes", resident_bytes());
    add(x, "penstock_open_files", count_open_files());
    add(x, "penstock_max_files", g->max_files);
    add(x, "penstock_log_dropped_total", log_dropped());
    add(x, "penstock_start_time_seconds", (uint64_t)g->start_wall_ns);
    add(x, "penstock_build_info", 1);
    x->items[x->count - 1].labels[0] = (struct meter_label){"version", PENSTOCK_VERSION};
}

static int expose(const struct gateway *g, struct http_exchange *ex, struct extras *x,
                  struct buf *out) {
    const struct meter **meters = arena_alloc(ex->arena, g->n_workers * sizeof *meters);
    const char **names = arena_alloc(ex->arena, (g->config->n_providers + 1) * sizeof *names);
    struct hist *hists = arena_alloc(ex->arena, 2 * sizeof *hists);
    for (unsigned i = 0; i < g->n_workers; i++)
        meters[i] = g->workers[i]->meter;
    for (unsigned i = 0; i < g->config->n_providers; i++)
        names[i] = g->config->providers[i].name;
    merge_loops(g, &hists[0], &hists[1]);
    const struct meter_extra_hist extra_hists[] = {{"penstock_loop_turn_seconds", &hists[0]},
                                                   {"penstock_timer_late_seconds", &hists[1]}};
    return meter_prometheus(meters, g->n_workers, names, x->items, x->count, extra_hists, 2, out);
}

void endpoint_metrics(struct worker *w, struct http_exchange *ex) {
    const struct gateway *g = w->gateway;
    struct extras x = {.max = 32 + 8 * g->config->n_providers};
    x.items = arena_alloc(ex->arena, x.max * sizeof *x.items);
    add_pools(g, &x);
    add_servers(g, &x);
    add_process(g, &x);
    struct buf out;
    buf_init(&out, 16u << 20);
    struct http_header type = {SLICE("content-type"), SLICE("text/plain; version=0.0.4; charset=utf-8")};
    if (!g->config->metrics_enabled)
        answer_fault(w, ex, FAULT_UNKNOWN_URL, NULL, "Metrics are turned off (metrics: false).");
    else if (expose(g, ex, &x, &out) < 0)
        answer_fault(w, ex, FAULT_INTERNAL, NULL, "The metrics are too large.");
    else
        http_respond(ex, &(struct http_response){200, &type, 1}, buf_slice(&out));
    buf_dispose(&out);
}
