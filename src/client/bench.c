/* SPDX-License-Identifier: Apache-2.0 */
#include "client/bench.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/mem.h"
#include "client/bench-private.h"

enum {
    MAX_THREADS = 256,
    SPARE_DESCRIPTORS = 64,
    REPORT_BYTES = 64 << 10,
    PROMPT_MAX_BYTES = 1 << 20,
    VERIFY_TOKENS = 64,
    BEGIN_AFTER_NS = 20 * 1000 * 1000
};

void bench_options_default(struct bench_options *out) {
    *out = (struct bench_options){
        .connections = 1, .threads = 1, .ramp_ns = -1, .timeout_ns = 30 * NS_PER_S, .model = "bench",
        .dialect = &dialect_chat};
}

/* ---- before the run ---- */

/* Every connection is a descriptor. */
static int raise_descriptors(const struct bench_options *o, struct err *e) {
    struct rlimit r;
    rlim_t wanted = (rlim_t)o->connections + SPARE_DESCRIPTORS + 16u * o->threads;
    if (getrlimit(RLIMIT_NOFILE, &r) < 0 || wanted <= r.rlim_cur) {
        return 0;
    }
    if (wanted > r.rlim_max) {
        return err_set(e, ERR_USAGE,
                       "%u connections need %llu descriptors, and the hard limit is %llu: take fewer, or raise "
                       "it (ulimit -Hn)", o->connections, (unsigned long long)wanted,
                       (unsigned long long)r.rlim_max);
    }
    r.rlim_cur = r.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &r) < 0 ? err_set(e, ERR_USAGE, "cannot raise the descriptor limit") : 0;
}

static int check_options(struct bench_options *o, struct err *e) {
    if (o->connections == 0 || o->threads == 0 || o->threads > MAX_THREADS) {
        return err_set(e, ERR_USAGE, "connections and threads start at 1; at most %d threads", MAX_THREADS);
    }
    if (!o->url) {
        return err_set(e, ERR_USAGE, "a base URL is needed, like http://127.0.0.1:8080/v1");
    }
    if (o->rate < 0 || o->duration_ns < 0 || o->warmup_ns < 0 || o->max_tokens < 0) {
        return err_set(e, ERR_USAGE, "rates, times and counts cannot be negative");
    }
    if ((o->prompt && strlen(o->prompt) > PROMPT_MAX_BYTES) || strlen(o->model) > 4096) {
        return err_set(e, ERR_USAGE, "the prompt or the model's name is too long");
    }
    if (o->requests == 0 && o->duration_ns == 0) {
        o->duration_ns = 10 * NS_PER_S;
    }
    if (o->verify && o->max_tokens == 0) {
        o->max_tokens = VERIFY_TOKENS;
    }
    if (o->ramp_ns < 0) {
        o->ramp_ns = (int64_t)o->connections * NS_PER_MS / 10;
    }
    o->threads = o->threads > o->connections ? o->connections : o->threads;
    return raise_descriptors(o, e);
}

/* ---- the run ---- */

static void *thread_main(void *self) {
    bench_lane_run(self);
    return NULL;
}

static void on_interrupt(void *self, int signo) {
    struct bench *b = self;
    (void)signo;
    for (unsigned i = 0; i < b->n_lanes; i++) {
        bench_lane_stop(&b->lanes[i]);
    }
}

/* The first lane is this thread, so that one lane is one thread in all. */
static void run_lanes(struct bench *b) {
    sigset_t all, before;
    sigfillset(&all);
    b->begin_ns = clock_mono_ns() + BEGIN_AFTER_NS;
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned i = 1; i < b->n_lanes; i++) {
        struct lane *l = &b->lanes[i];
        l->is_running = pthread_create(&l->thread, NULL, thread_main, l) == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    bench_lane_run(&b->lanes[0]);
    for (unsigned i = 1; i < b->n_lanes; i++) {
        if (b->lanes[i].is_running) {
            pthread_join(b->lanes[i].thread, NULL);
        }
    }
}

static int init_lanes(struct bench *b, struct err *e) {
    b->lanes = mem_zalloc(b->n_lanes * sizeof b->lanes[0]);
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < b->n_lanes; i++) {
        rc = bench_lane_init(&b->lanes[i], b, i, e);
    }
    if (rc == 0 && loop_on_signal(b->lanes[0].loop, SIGINT, on_interrupt, b) < 0) {
        rc = err_set(e, ERR_IO, "cannot watch for signals");
    }
    return rc;
}

static void print_report(const struct bench *b, const struct bench_figures *f) {
    if (!b->o->json) {
        bench_report_people(b, f);
        return;
    }
    struct buf out;
    buf_init(&out, REPORT_BYTES);
    if (bench_report_json(b, f, &out) == 0) {
        fwrite(out.ptr, 1, out.len, stdout);
    }
    buf_dispose(&out);
}

static int exit_code(const struct bench *b, const struct bench_figures *f, struct err *e) {
    if (f->completed == 0 && f->failures[FAILURE_CONNECT] > 0) {
        err_set(e, ERR_CONNECT, "%s", b->first_error.text);
        return CLIENT_UNREACHABLE;
    }
    return f->failed > 0 ? CLIENT_FAILED : CLIENT_OK;
}

static int report(struct bench *b, struct err *e) {
    struct bench_figures *all = mem_zalloc(sizeof *all);
    bench_figures_init(all);
    for (unsigned i = 0; i < b->n_lanes; i++) {
        bench_figures_merge(all, &b->lanes[i].figures);
    }
    print_report(b, all);
    fflush(stdout);
    int code = exit_code(b, all, e);
    mem_free(all);
    return code;
}

int bench_run(const struct bench_options *given, struct err *e) {
    struct bench_options o = *given;
    if (check_options(&o, e) < 0) {
        return CLIENT_USAGE;
    }
    struct bench b = {.o = &o, .n_lanes = o.threads};
    const struct client_target_options to = {.base_url = o.url,
                                             .dialect = o.dialect,
                                             .api_key = o.api_key,
                                             .headers = o.headers,
                                             .n_headers = o.n_headers,
                                             .ca_file = o.ca_file,
                                             .insecure = o.insecure};
    if (client_target_init(&b.target, &to, e) < 0) {
        return CLIENT_USAGE;
    }
    pthread_mutex_init(&b.lock, NULL);
    int code = CLIENT_USAGE;
    if (init_lanes(&b, e) == 0) {
        run_lanes(&b);
        code = report(&b, e);
    }
    for (unsigned i = 0; i < b.n_lanes; i++) {
        bench_lane_dispose(&b.lanes[i]);
    }
    mem_free(b.lanes);
    pthread_mutex_destroy(&b.lock);
    client_target_dispose(&b.target);
    return code;
}
