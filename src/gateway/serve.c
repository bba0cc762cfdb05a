/* SPDX-License-Identifier: Apache-2.0 */
/* The process: descriptors, workers and their threads, signals, and how it ends. */
#include "gateway/serve.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gateway/gateway-private.h"

enum { EXIT_DRAINED = 0, EXIT_RUNTIME = 1, EXIT_LISTEN = 4 };

static uint64_t raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1024;
    if (limit.rlim_cur < limit.rlim_max) {
        rlim_t before = limit.rlim_cur;
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            limit.rlim_cur = before;
    }
    return limit.rlim_cur;
}

/* Keys are in memory: no core file, no dump by a crash handler. PENSTOCK_DUMPABLE=1 allows it for
 * debugging. */
static void forbid_core_dumps(void) {
    const char *allowed = getenv("PENSTOCK_DUMPABLE");
    if (allowed && *allowed == '1')
        return;
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static unsigned count_workers(const struct config *c) {
    if (c->workers)
        return c->workers;
    cpu_set_t set;
    long n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                         : sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > 256 ? 256 : (unsigned)n;
}

static void on_signal(void *self, int signo) {
    struct gateway *g = self;
    bool is_second = atomic_exchange(&g->draining, true);
    if (is_second && atomic_exchange(&g->stopping, true))
        return;                          /* one more: the workers have been told */
    log_event(LOG_INFO, is_second ? "stopping now" : "draining: no new requests, streams may finish",
              LOG_CSTR("signal", signo == SIGINT ? "SIGINT" : "SIGTERM"),
              LOG_INT("in_flight", atomic_load(&g->streams)));
    for (unsigned i = 0; i < g->n_workers; i++) {
        if (is_second)
            worker_stop(g->workers[i]);
        else
            worker_drain(g->workers[i]);
    }
}

static void *worker_main(void *self) {
    struct worker *w = self;
    loop_run(w->loop);
    return NULL;
}

static int start_workers(struct gateway *g, struct err *e) {
    g->workers = mem_zalloc(g->n_workers * sizeof *g->workers);
    for (unsigned i = 0; i < g->n_workers; i++) {
        struct loop *l = loop_new(e);
        if (!l)
            return EXIT_RUNTIME;
        g->workers[i] = worker_new(g, i, l);
    }
    /* before the listeners: whoever sees one may send a signal */
    static const int signals[] = {SIGTERM, SIGINT};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        if (loop_on_signal(g->workers[0]->loop, signals[i], on_signal, g) < 0) {
            err_set(e, ERR_INTERNAL, "cannot watch for signal %d", signals[i]);
            return EXIT_RUNTIME;
        }
    for (unsigned i = 0; i < g->n_workers; i++)
        if (worker_listen(g->workers[i], e) < 0)
            return EXIT_LISTEN;
    return 0;
}

static int run_workers(struct gateway *g, struct err *e) {
    for (unsigned i = 1; i < g->n_workers; i++) {
        if (pthread_create(&g->workers[i]->thread, NULL, worker_main, g->workers[i]) != 0) {
            err_set(e, ERR_INTERNAL, "cannot start worker thread %u", i);
            while (--i > 0)
                worker_stop(g->workers[i]);
            return EXIT_RUNTIME;
        }
        g->workers[i]->has_thread = true;
    }
    worker_main(g->workers[0]);
    return 0;
}

static void join_workers(struct gateway *g) {
    for (unsigned i = 1; g->workers && i < g->n_workers; i++)
        if (g->workers[i] && g->workers[i]->has_thread) {
            pthread_join(g->workers[i]->thread, NULL);
            g->workers[i]->has_thread = false;
        }
}

static void free_workers(struct gateway *g) {
    for (unsigned i = 0; g->workers && i < g->n_workers; i++) {
        if (!g->workers[i])
            continue;
        struct loop *l = g->workers[i]->loop;
        worker_free(g->workers[i]);
        loop_free(l);
    }
    mem_free(g->workers);
}

int serve_run(const struct config *c, const struct serve_options *o, struct err *e) {
    struct gateway *g;
    signal(SIGPIPE, SIG_IGN);
    forbid_core_dumps();
    if (gateway_new(c, o->mock_base_url, &g, e) < 0)
        return EXIT_RUNTIME;
    g->max_files = raise_descriptor_limit();
    g->n_workers = count_workers(c);
    int code = start_workers(g, e);
    if (code == 0) {
        banner_print(g, o);
        code = run_workers(g, e);
    }
    join_workers(g);
    unsigned cut = atomic_load(&g->cut_streams);
    free_workers(g);
    if (code == 0) {
        log_event(LOG_INFO, "stopped", LOG_INT("streams_cut", cut));
        code = cut ? EXIT_RUNTIME : EXIT_DRAINED;
        if (cut)
            err_set(e, ERR_TIMEOUT, "%u streams were cut at the end of the drain", cut);
    }
    gateway_free(&g);
    return code;
}
