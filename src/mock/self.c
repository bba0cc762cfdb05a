/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/self.h"

#include <inttypes.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "mock/engine.h"
#include "mock/mock_clock.h"
#include "mock/prefix_cache.h"
#include "net/loop.h"
#include "token/token.h"

enum { REPORT_BYTES = 16 << 10, VERDICT_BYTES = 160 };
#define MS(ns) ((double)(ns) / 1e6)

static uint64_t get(const _Atomic uint64_t *counter) {
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* ---- recording: one writer, readers at any time ---- */

static struct hist *window_at(struct self_meter *m, int64_t number) {
    unsigned i = (unsigned)number & 1;
    if (atomic_load_explicit(&m->numbers[i], memory_order_relaxed) != number) {
        hist_init(&m->windows[i]);
        atomic_store_explicit(&m->numbers[i], number, memory_order_relaxed);
    }
    return &m->windows[i];
}

void self_record(struct mock_worker *w, const int64_t *dues, unsigned n, bool is_blocked) {
    struct self_meter *m = &w->self;
    if (n == 0) {
        return;
    }
    if (is_blocked) {
        atomic_store_explicit(&m->blocked, get(&m->blocked) + n, memory_order_relaxed);
        return;
    }
    int64_t now_ns = mock_exact_now_ns(w);
    struct hist *window = window_at(m, now_ns / SELF_WINDOW_NS);
    for (unsigned i = 0; i < n; i++) {
        hist_record(&w->late_ns, now_ns - dues[i]);
        hist_record(window, now_ns - dues[i]);
    }
}

/* ---- looking ---- */

struct lateness {
    uint64_t frames;
    double p50_ms, p90_ms, p99_ms, p999_ms, max_ms;
};

struct report {
    char verdict[VERDICT_BYTES];
    bool is_limited;
    double bound_ms, uptime_s, window_s;
    struct lateness run, window;     /* window: this one and the one before it */
    uint64_t blocked, tokens, open;
    double turn_p99_ms, turn_max_ms, timer_late_p99_ms, timer_late_max_ms;
    double user_s, system_s;
    uint64_t rss_bytes, max_rss_bytes;
    bool has_engine, has_cache;
    struct engine_view engine;
    struct prefix_view cache;
};

static void lateness_of(const struct hist *h, struct lateness *out) {
    out->frames = get(&h->count);
    if (out->frames > 0) {
        out->p50_ms = MS(hist_quantile(h, 0.5));
        out->p90_ms = MS(hist_quantile(h, 0.9));
        out->p99_ms = MS(hist_quantile(h, 0.99));
        out->p999_ms = MS(hist_quantile(h, 0.999));
        out->max_ms = MS(get(&h->max));
    }
}

static void look_at_frames(struct hub *h, struct report *r) {
    const struct mock_worker *first = h->workers[0];
    struct hist *run = mem_alloc(sizeof *run), *window = mem_alloc(sizeof *window);
    int64_t now_ns = mock_exact_now_ns(first), number = now_ns / SELF_WINDOW_NS;
    hist_init(run);
    hist_init(window);
    for (unsigned i = 0; i < h->n_workers; i++) {
        const struct self_meter *m = &h->workers[i]->self;
        hist_merge(run, &h->workers[i]->late_ns);
        for (unsigned k = 0; k < 2; k++) {
            int64_t of = atomic_load_explicit(&m->numbers[k], memory_order_relaxed);
            if (of == number || of == number - 1) {
                hist_merge(window, &m->windows[k]);
            }
        }
        r->blocked += get(&m->blocked);
        r->tokens += get(&h->workers[i]->tokens);
    }
    r->window_s = (double)(now_ns - (number - 1) * SELF_WINDOW_NS) / 1e9;
    r->window_s = r->window_s < r->uptime_s ? r->window_s : r->uptime_s;
    lateness_of(run, &r->run);
    lateness_of(window, &r->window);
    mem_free(run);
    mem_free(window);
}

static void look_at_loops(const struct hub *h, struct report *r) {
    struct hist *turns = mem_alloc(sizeof *turns), *late = mem_alloc(sizeof *late);
    hist_init(turns);
    hist_init(late);
    for (unsigned i = 0; i < h->n_workers; i++) {
        hist_merge(turns, &loop_stats(h->workers[i]->loop)->turn_ns);
        hist_merge(late, &loop_stats(h->workers[i]->loop)->timer_late_ns);
    }
    r->turn_p99_ms = MS(hist_quantile(turns, 0.99));
    r->turn_max_ms = MS(get(&turns->max));
    r->timer_late_p99_ms = MS(hist_quantile(late, 0.99));
    r->timer_late_max_ms = MS(get(&late->max));
    mem_free(turns);
    mem_free(late);
}

static double seconds_of(struct timeval t) {
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static uint64_t read_rss(void) {
    unsigned long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f) {
        resident = fscanf(f, "%lu %lu", &size, &resident) == 2 ? resident : 0;
        fclose(f);
    }
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void look_at_process(struct report *r) {
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) == 0) {
        r->user_s = seconds_of(u.ru_utime);
        r->system_s = seconds_of(u.ru_stime);
        r->max_rss_bytes = (uint64_t)u.ru_maxrss * 1024;
    }
    r->rss_bytes = read_rss();
}

static bool is_over(const struct lateness *l, double bound_ms) {
    return l->frames > 0 && l->p99_ms > bound_ms;
}

static void judge(struct report *r) {
    const struct lateness *worst = is_over(&r->run, r->bound_ms)      ? &r->run
                                   : is_over(&r->window, r->bound_ms) ? &r->window
                                                                      : NULL;
    r->is_limited = worst != NULL;
    if (!worst) {
        snprintf(r->verdict, sizeof r->verdict, "ok");
        return;
    }
    snprintf(r->verdict, sizeof r->verdict,
             "mock-limited: 1 %% of the frames %s left more than %.3f ms late, the bound is %g ms",
             worst == &r->run ? "of the run" : "of the last seconds", worst->p99_ms, r->bound_ms);
}

static void look(struct hub *h, struct report *r) {
    struct snapshot *s = hub_snapshot(h);
    *r = (struct report){.bound_ms = MS(s->o.late_bound_ns), .open = get(&h->counters[COUNT_OPEN])};
    r->uptime_s = (double)(clock_mono_ns() - h->started_mono_ns) / 1e9;
    r->has_cache = s->o.prefix_cache > 0;
    look_at_frames(h, r);
    look_at_loops(h, r);
    look_at_process(r);
    /* a loop's own time is its thread's to read */
    engine_look(h->engine, mock_exact_now_ns(h->workers[0]), &r->engine);
    prefix_cache_look(h->prefix_cache, &r->cache);
    r->has_engine = s->o.max_batch > 0 || r->engine.steps > 0;
    judge(r);
    snapshot_unref(&s);
}

/* ---- telling ---- */

static double per_second(uint64_t n, double seconds) {
    return seconds > 0 ? (double)n / seconds : 0;
}

static int append_lateness(struct buf *out, const char *name, const struct lateness *l) {
    if (l->frames == 0) {
        return buf_appendf(out, "\"%s\":{\"frames\":0}", name);
    }
    return buf_appendf(out,
                       "\"%s\":{\"frames\":%" PRIu64 ",\"p50_ms\":%.6f,\"p90_ms\":%.6f,\"p99_ms\":%.6f,"
                       "\"p99_9_ms\":%.6f,\"max_ms\":%.6f}",
                       name, l->frames, l->p50_ms, l->p90_ms, l->p99_ms, l->p999_ms, l->max_ms);
}

static int append_engine(struct buf *out, const struct report *r) {
    const struct engine_view *v = &r->engine;
    double mean = v->steps ? (double)v->seats / (double)v->steps : 0;
    if (!r->has_engine) {
        return buf_append(out, SLICE("null"));
    }
    return buf_appendf(out,
                       "{\"running\":%u,\"queued\":%u,\"most_running\":%u,\"most_queued\":%u,"
                       "\"refused\":%" PRIu64 ",\"steps\":%" PRIu64 ",\"mean_batch\":%.3f,"
                       "\"prefill_tokens\":%" PRIu64 "}",
                       v->running, v->queued, v->most_running, v->most_queued, v->refused, v->steps,
                       mean, v->prefill_tokens);
}

static int append_cache(struct buf *out, const struct report *r) {
    const struct prefix_view *v = &r->cache;
    if (!r->has_cache) {
        return buf_append(out, SLICE("null"));
    }
    return buf_appendf(out,
                       "{\"tokens\":%" PRIu64 ",\"prompts\":%" PRIu64 ",\"prompt_tokens\":%" PRIu64
                       ",\"read_tokens\":%" PRIu64 ",\"evicted_blocks\":%" PRIu64 "}",
                       v->tokens, v->prompts, v->prompt_tokens, v->read_tokens, v->evicted_blocks);
}

static int append_frames(struct buf *out, const struct report *r) {
    int rc = buf_appendf(out, ",\"lateness\":{\"bound_ms\":%g,", r->bound_ms);
    rc |= append_lateness(out, "run", &r->run);
    rc |= buf_append_byte(out, ',');
    rc |= append_lateness(out, "window", &r->window);
    rc |= buf_appendf(out, ",\"window_s\":%.3f},\"blocked_frames\":%" PRIu64, r->window_s, r->blocked);
    rc |= buf_appendf(out, ",\"tokens\":%" PRIu64 ",\"tokens_per_s\":%.1f", r->tokens,
                      per_second(r->tokens, r->uptime_s));
    return rc | buf_appendf(out, ",\"window_frames_per_s\":%.1f,\"open\":%" PRIu64,
                            per_second(r->window.frames, r->window_s), r->open);
}

static int append_report(struct buf *out, const struct report *r) {
    const struct tokenizer *t = tokenizer_get(ENCODING_O200K);
    int rc = buf_appendf(out, "{\"verdict\":\"%s\",\"uptime_s\":%.3f", r->verdict, r->uptime_s);
    rc |= append_frames(out, r);
    rc |= buf_appendf(out, ",\"loop\":{\"turn_p99_ms\":%.6f,\"turn_max_ms\":%.6f", r->turn_p99_ms,
                      r->turn_max_ms);
    rc |= buf_appendf(out, ",\"timer_late_p99_ms\":%.6f,\"timer_late_max_ms\":%.6f}",
                      r->timer_late_p99_ms, r->timer_late_max_ms);
    rc |= buf_appendf(out, ",\"process\":{\"user_s\":%.3f,\"system_s\":%.3f", r->user_s, r->system_s);
    rc |= buf_appendf(out, ",\"rss_bytes\":%" PRIu64 ",\"max_rss_bytes\":%" PRIu64 "},\"engine\":",
                      r->rss_bytes, r->max_rss_bytes);
    rc |= append_engine(out, r);
    rc |= buf_append(out, SLICE(",\"prefix_cache\":"));
    rc |= append_cache(out, r);
    return rc | buf_appendf(out, ",\"tokenizer\":{\"name\":\"%s\",\"exact\":%s}}\n",
                            tokenizer_name(t), tokenizer_is_exact(t) ? "true" : "false");
}

void control_self(struct mock_worker *w, struct http_exchange *ex) {
    struct report r;
    struct buf out;
    look(w->hub, &r);
    buf_init(&out, REPORT_BYTES);
    int rc = append_report(&out, &r);
    mock_respond_json(w, ex, rc < 0 ? 500 : 200, buf_slice(&out));
    buf_dispose(&out);
}

struct metric {
    const char *name, *kind, *help;
    double value;
};

static int append_metrics(struct buf *out, const struct metric *list, size_t n) {
    int rc = 0;
    for (size_t i = 0; i < n; i++) {
        rc |= buf_appendf(out, "# HELP penstock_mock_%s %s\n# TYPE penstock_mock_%s %s\npenstock_mock_%s %.15g\n",
                          list[i].name, list[i].help, list[i].name, list[i].kind, list[i].name,
                          list[i].value);
    }
    return rc;
}

int self_append_metrics(struct hub *h, struct buf *out) {
    struct report r;
    look(h, &r);
    const struct metric always[] = {
        {"frames_blocked_total", "counter", "Paced frames that were late through their client.",
         (double)r.blocked},
        {"window_late_p99_seconds", "gauge", "Lateness at p99 over the last seconds.",
         r.window.p99_ms / 1e3},
        {"limited", "gauge", "1: lateness at p99 is over the bound, results are limited by the mock.",
         r.is_limited},
        {"process_cpu_seconds_total", "counter", "CPU time of the whole process.", r.user_s + r.system_s},
        {"process_resident_bytes", "gauge", "Memory of the whole process.", (double)r.rss_bytes},
    };
    const struct metric engine[] = {
        {"engine_running", "gauge", "Requests in the batch.", r.engine.running},
        {"engine_queued", "gauge", "Requests that wait for a seat.", r.engine.queued},
        {"engine_refused_total", "counter", "Requests that found the queue full.", (double)r.engine.refused},
        {"engine_steps_total", "counter", "Steps of the engine.", (double)r.engine.steps},
        {"engine_seats_total", "counter", "Seats taken, summed over steps.", (double)r.engine.seats},
        {"engine_prefill_tokens_total", "counter", "Tokens of prompts that were read.",
         (double)r.engine.prefill_tokens},
    };
    const struct metric cache[] = {
        {"prefix_cache_tokens", "gauge", "Tokens that the prefix cache holds.", (double)r.cache.tokens},
        {"prefix_cache_prompt_tokens_total", "counter", "Tokens of prompts that were looked up.",
         (double)r.cache.prompt_tokens},
        {"prefix_cache_read_tokens_total", "counter", "Tokens of prompts that were known.",
         (double)r.cache.read_tokens},
    };
    int rc = append_metrics(out, always, sizeof always / sizeof always[0]);
    rc |= r.has_engine ? append_metrics(out, engine, sizeof engine / sizeof engine[0]) : 0;
    return rc | (r.has_cache ? append_metrics(out, cache, sizeof cache / sizeof cache[0]) : 0);
}

void self_print_summary(FILE *out, struct hub *h) {
    struct report r;
    look(h, &r);
    if (r.run.frames > 0) {
        fprintf(out, "%" PRIu64 " paced frames left late by %.3f ms at the median, %.3f ms at p99, %.3f ms "
                     "at p99.9, %.3f ms at most\n",
                r.run.frames, r.run.p50_ms, r.run.p99_ms, r.run.p999_ms, r.run.max_ms);
    }
    if (r.blocked > 0) {
        fprintf(out, "%" PRIu64 " more were late because their clients did not read\n", r.blocked);
    }
    if (r.engine.steps > 0) {
        fprintf(out,
                "engine: %" PRIu64
                " steps, %.1f requests in the mean batch, %u waiting at most, %" PRIu64
                " refused\n",
                r.engine.steps, (double)r.engine.seats / (double)r.engine.steps,
                r.engine.most_queued, r.engine.refused);
    }
    if (r.cache.prompts > 0) {
        fprintf(out, "prefix cache: %.1f %% of the prompts' tokens were known\n",
                r.cache.prompt_tokens
                    ? 100.0 * (double)r.cache.read_tokens / (double)r.cache.prompt_tokens
                    : 0.0);
    }
    if (r.is_limited) {
        fprintf(out, "%s\n", r.verdict);
    }
}
