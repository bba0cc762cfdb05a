/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/mock.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/mem.h"
#include "mock/worker.h"
#include "net/tls.h"

enum { MAX_WORKERS = 256, URL_BYTES = 400, EXIT_USAGE = 2, EXIT_LISTEN = 4 };

struct thread {
    pthread_t id;
    struct mock_worker worker;
    bool is_running;
    bool owns_loop;
};

struct mock {
    struct hub hub;
    struct thread *threads;
    char base_url[URL_BYTES];
};

void mock_options_default(struct mock_options *out) {
    *out = (struct mock_options){
        .workers = 1,
        .ttft = {200 * NS_PER_MS, 0},
        .itl = {20 * NS_PER_MS, 0},
    };
}

/* ---- addresses ---- */

static int parse_listen(const struct mock_options *o, struct addr *addrs, unsigned *out_n,
                        struct err *e) {
    if (o->n_listen > MOCK_MAX_LISTEN) {
        return err_set(e, ERR_USAGE, "at most %d addresses to listen on", MOCK_MAX_LISTEN);
    }
    for (unsigned i = 0; i < o->n_listen; i++) {
        int rc = addr_parse(slice_cstr(o->listen[i]), &addrs[i], e);
        if (rc < 0) {
            return rc;
        }
    }
    *out_n = o->n_listen;
    return 0;
}

/* "unix:/run/x.sock" as a URL's authority: the path percent-encoded. */
static void write_unix_url(char *out, size_t size, const char *path) {
    size_t at = (size_t)snprintf(out, size, "http+unix://");
    for (; *path && at + 8 < size; path++) {
        bool plain = (*path >= '0' && *path <= '9') ||
                     ((*path | 32) >= 'a' && (*path | 32) <= 'z') || *path == '.' || *path == '-' ||
                     *path == '_';
        at += (size_t)snprintf(out + at, size - at, plain ? "%c" : "%%%02X", (unsigned char)*path);
    }
    snprintf(out + at, size - at, "/v1");
}

static void write_base_url(struct mock *m, const struct addr *a) {
    char text[ADDR_TEXT_BYTES];
    addr_text(a, text);
    if (addr_is_unix(a)) {
        write_unix_url(m->base_url, sizeof m->base_url, text + 5);
        return;
    }
    struct addr shown = *a;        /* what listens everywhere is reachable here */
    if (a->u.sa.sa_family == AF_INET && a->u.in4.sin_addr.s_addr == INADDR_ANY) {
        shown.u.in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    snprintf(m->base_url, sizeof m->base_url, "%s://%s/v1", m->hub.tls ? "https" : "http",
             addr_text(&shown, text));
}

/* ---- making and unmaking ---- */

/* Work posted to a loop of ours, connections handed over and wakes, runs before its worker goes. */
static void flush_posted(struct mock *m) {
    for (unsigned i = 0; i < m->hub.n_workers; i++) {
        struct thread *t = &m->threads[i];
        if (t->worker.loop && (t->owns_loop || atomic_load(&t->worker.wake_posted))) {
            loop_turn(t->worker.loop, false);
        }
    }
}

static void destroy(struct mock *m) {
    atomic_store(&m->hub.is_closing, true);
    flush_posted(m);
    for (unsigned i = 0; i < m->hub.n_workers; i++) {
        if (m->threads[i].worker.loop) {
            mock_worker_close(&m->threads[i].worker);
        }
    }
    for (unsigned i = 0; i < m->hub.n_workers; i++) {
        struct thread *t = &m->threads[i];
        if (t->owns_loop) {
            loop_turn(t->worker.loop, false);
            loop_free(t->worker.loop);
        }
    }
    hub_dispose(&m->hub);
    mem_free(m->hub.workers);
    mem_free(m->threads);
    mem_free(m);
}

static int open_tls(struct mock *m, struct err *e) {
    const struct mock_options *o = &m->hub.options;
    if (!o->tls_cert && !o->tls_key) {
        return 0;
    }
    if (!o->tls_cert || !o->tls_key) {
        return err_set(e, ERR_USAGE, "TLS needs both a certificate and a key");
    }
    const struct tls_server_options so = {.cert_file = o->tls_cert, .key_file = o->tls_key};
    return tls_context_server(&so, &m->hub.tls, e);
}

/* The first worker binds port 0; the others follow to the port that it got. */
static int open_worker(struct mock *m, unsigned i, struct loop *given, struct addr *addrs,
                       unsigned n, struct err *e) {
    struct thread *t = &m->threads[i];
    struct loop *l = given ? given : loop_new(e);
    if (!l) {
        return -ERR_IO;
    }
    t->owns_loop = !given;
    mock_worker_init(&t->worker, &m->hub, l);
    int rc = mock_worker_listen(&t->worker, addrs, n, i == 0, e);
    for (unsigned k = 0; rc == 0 && i == 0 && k < t->worker.n_listeners; k++) {
        addrs[k] = *listener_addr(t->worker.listeners[k]);
    }
    return rc;
}

static int open_all(struct mock *m, struct loop *given, struct err *e) {
    struct addr addrs[MOCK_MAX_LISTEN] = {0};
    unsigned n = 0;
    int rc = parse_listen(&m->hub.options, addrs, &n, e);
    rc = rc < 0 ? rc : open_tls(m, e);
    for (unsigned i = 0; rc == 0 && i < m->hub.n_workers; i++) {
        rc = open_worker(m, i, given, addrs, n, e);
    }
    if (rc == 0) {
        write_base_url(m, &addrs[0]);
    }
    return rc;
}

static void create(const struct mock_options *o, const char *default_listen, struct mock **out) {
    struct mock_options options = *o;
    if (options.n_listen == 0) {
        options.listen = &default_listen;
        options.n_listen = 1;
    }
    options.workers = o->workers == 0 ? 1 : o->workers > MAX_WORKERS ? MAX_WORKERS : o->workers;
    struct mock *m = mem_zalloc(sizeof *m);
    hub_init(&m->hub, &options);
    m->threads = mem_zalloc(options.workers * sizeof m->threads[0]);
    m->hub.workers = mem_zalloc(options.workers * sizeof m->hub.workers[0]);
    m->hub.n_workers = options.workers;
    for (unsigned i = 0; i < options.workers; i++) {
        m->hub.workers[i] = &m->threads[i].worker;
    }
    *out = m;
}

static int mock_new(const struct mock_options *o, const char *default_listen, struct loop *given,
                    struct mock **out, struct err *e) {
    create(o, default_listen, out);
    int rc = open_all(*out, given, e);
    if (rc < 0) {
        destroy(*out);
        *out = NULL;
    }
    return rc;
}

/* ---- threads ---- */

static void *thread_main(void *self) {
    struct thread *t = self;
    loop_run(t->worker.loop);
    return NULL;
}

/* Signals belong to the program's main thread. */
static void start_threads(struct mock *m, unsigned first) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned i = first; i < m->hub.n_workers; i++) {
        m->threads[i].is_running =
            pthread_create(&m->threads[i].id, NULL, thread_main, &m->threads[i]) == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void join_threads(struct mock *m) {
    for (unsigned i = 0; i < m->hub.n_workers; i++) {
        if (m->threads[i].is_running) {
            loop_stop(m->threads[i].worker.loop);
        }
    }
    for (unsigned i = 0; i < m->hub.n_workers; i++) {
        struct thread *t = &m->threads[i];
        if (t->is_running) {
            pthread_join(t->id, NULL);
            t->is_running = false;
        }
    }
}

struct mock *mock_start(const struct mock_options *o, struct err *e) {
    struct mock *m;
    if (mock_new(o, "127.0.0.1:0", NULL, &m, e) < 0) {
        return NULL;
    }
    start_threads(m, 0);
    return m;
}

struct mock *mock_attach(struct loop *l, const struct mock_options *o, struct err *e) {
    struct mock_options one = *o;
    struct mock *m;
    one.workers = 1;
    return mock_new(&one, "127.0.0.1:0", l, &m, e) < 0 ? NULL : m;
}

const char *mock_base_url(const struct mock *m) {
    return m->base_url;
}

void mock_stop(struct mock **m) {
    if (!*m) {
        return;
    }
    join_threads(*m);
    destroy(*m);
    *m = NULL;
}

/* ---- counters ---- */

void mock_counters(const struct mock *m, struct mock_counters *out) {
    const struct hub *h = &m->hub;
    struct hist *late = mem_alloc(sizeof *late);
    hist_init(late);
    *out = (struct mock_counters){
        .requests = atomic_load(&h->counters[COUNT_REQUESTS]),
        .started = atomic_load(&h->counters[COUNT_STARTED]),
        .completed = atomic_load(&h->counters[COUNT_COMPLETED]),
        .cancelled = atomic_load(&h->counters[COUNT_CANCELLED]),
        .open = atomic_load(&h->counters[COUNT_OPEN]),
    };
    for (unsigned i = 0; i < h->n_workers; i++) {
        out->tokens += atomic_load(&h->workers[i]->tokens);
        hist_merge(late, &h->workers[i]->late_ns);
    }
    if (atomic_load(&late->count) > 0) {
        out->late_p50_ns = hist_quantile(late, 0.5);
        out->late_p99_ns = hist_quantile(late, 0.99);
        out->late_max_ns = atomic_load(&late->max);
    }
    mem_free(late);
}

/* ---- penstock mock ---- */

static void raise_descriptor_limit(void) {
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &r);
    }
}

static const char *law_text(const struct law *l, char out[64]) {
    double ms = (double)l->mean_ns / 1e6;
    if (l->spread > 0) {
        snprintf(out, 64, "%g ms ± %g %%", ms, l->spread * 100);
    } else {
        snprintf(out, 64, "%g ms", ms);
    }
    return out;
}

static void print_banner(const struct mock *m) {
    const struct mock_options *o = &m->hub.options;
    const char *bold = o->color ? "\033[1m" : "", *dim = o->color ? "\033[2m" : "";
    const char *off = o->color ? "\033[0m" : "";
    char ttft[64], itl[64];
    printf("%spenstock mock%s answers on %s%s%s\n", bold, off, bold, m->base_url, off);
    printf("  first token after %s, then one every %s; seed %" PRIu64 "; ", law_text(&o->ttft, ttft),
           law_text(&o->itl, itl), o->seed);
    if (o->n_models == 0) {
        printf("any model name\n");
    } else {
        for (unsigned i = 0; i < o->n_models; i++) {
            printf("%s%s", i ? ", " : "models: ", o->models[i]);
        }
        printf("\n");
    }
    printf("  %sfault on demand: model fault/429, fault/cut, … ; see penstock mock --list-faults%s\n", dim, off);
    printf("  try:  curl -N %s/chat/completions -H 'content-type: application/json' \\\n"
           "          -d '{\"model\":\"mock\",\"stream\":true,\"messages\":[{\"role\":\"user\","
           "\"content\":\"tell me a story\"}]}'\n", m->base_url);
    fflush(stdout);
}

static void print_summary(const struct mock *m) {
    struct mock_counters c;
    mock_counters(m, &c);
    printf("\n%" PRIu64 " requests, %" PRIu64 " answers (%" PRIu64 " completed, %" PRIu64
           " cancelled), %" PRIu64 " tokens\n",
           c.requests, c.started, c.completed, c.cancelled, c.tokens);
    if (c.late_max_ns > 0) {
        printf("tokens left late by %.3f ms at the median, %.3f ms at p99, %.3f ms at most\n",
               (double)c.late_p50_ns / 1e6, (double)c.late_p99_ns / 1e6,
               (double)c.late_max_ns / 1e6);
    }
}

static void on_signal(void *self, int signo) {
    (void)signo;
    loop_stop(self);
}

int mock_run(const struct mock_options *o, struct err *e) {
    struct mock *m;
    raise_descriptor_limit();
    int rc = mock_new(o, "127.0.0.1:8000", NULL, &m, e);
    if (rc < 0) {
        return rc == -ERR_USAGE ? EXIT_USAGE : EXIT_LISTEN;
    }
    struct loop *l = m->threads[0].worker.loop;
    if (loop_on_signal(l, SIGINT, on_signal, l) < 0 ||
        loop_on_signal(l, SIGTERM, on_signal, l) < 0) {
        destroy(m);
        err_set(e, ERR_IO, "cannot watch for signals");
        return EXIT_LISTEN;
    }
    start_threads(m, 1);
    if (!o->quiet) {
        print_banner(m);
    }
    loop_run(l);
    join_threads(m);
    if (!o->quiet) {
        print_summary(m);
    }
    destroy(m);
    return 0;
}
