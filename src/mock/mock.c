/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/mock.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "mock/announce.h"
#include "mock/mock_clock.h"
#include "mock/record.h"
#include "mock/scenario_book.h"
#include "mock/worker.h"
#include "net/tls.h"
#include "token/token.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_LISTEN = 4 };
enum { MAX_WORKERS = 256, REPORT_BYTES = 256 << 10 };

/* A loop, and a worker of each provider on it. */
struct thread {
    pthread_t id;
    struct loop *loop;
    struct mock_worker *workers;
    bool is_running;
    bool owns_loop;
};

struct mock {
    struct hub *hubs;                /* one a provider */
    unsigned n_hubs;
    struct thread *threads;
    unsigned n_threads;
    struct mock_time *time;          /* NULL: the machine's */
};

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

static void write_base_url(struct hub *h, const struct addr *a) {
    char text[ADDR_TEXT_BYTES];
    addr_text(a, text);
    if (addr_is_unix(a)) {
        write_unix_url(h->base_url, sizeof h->base_url, text + 5);
        return;
    }
    struct addr shown = *a;        /* what listens everywhere is reachable here */
    if (a->u.sa.sa_family == AF_INET && a->u.in4.sin_addr.s_addr == INADDR_ANY) {
        shown.u.in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    snprintf(h->base_url, sizeof h->base_url, "%s://%s/v1", h->tls ? "https" : "http",
             addr_text(&shown, text));
}

/* ---- making and unmaking ---- */

static bool any_wake_posted(const struct mock *m, const struct thread *t) {
    bool any = false;
    for (unsigned k = 0; k < m->n_hubs; k++) {
        any |= atomic_load(&t->workers[k].wake_posted);
    }
    return any;
}

/* Work posted to a loop of ours, connections handed over and wakes, runs before its workers go. */
static void flush_posted(struct mock *m) {
    for (unsigned i = 0; i < m->n_threads; i++) {
        struct thread *t = &m->threads[i];
        if (t->loop && (t->owns_loop || any_wake_posted(m, t))) {
            loop_turn(t->loop, false);
        }
    }
}

static void close_workers(struct mock *m, struct thread *t) {
    for (unsigned k = 0; k < m->n_hubs; k++) {
        if (t->workers[k].loop) {
            mock_worker_close(&t->workers[k]);
        }
    }
}

static void destroy(struct mock *m) {
    for (unsigned k = 0; k < m->n_hubs; k++) {
        atomic_store(&m->hubs[k].is_closing, true);
    }
    flush_posted(m);
    for (unsigned i = 0; i < m->n_threads; i++) {
        close_workers(m, &m->threads[i]);
    }
    mock_time_free(&m->time);
    for (unsigned i = 0; i < m->n_threads; i++) {
        struct thread *t = &m->threads[i];
        if (t->owns_loop && t->loop) {
            loop_turn(t->loop, false);
            loop_free(t->loop);
        }
        mem_free(t->workers);
    }
    for (unsigned k = 0; k < m->n_hubs; k++) {
        mem_free(m->hubs[k].workers);
        hub_dispose(&m->hubs[k]);
    }
    mem_free(m->hubs);
    mem_free(m->threads);
    mem_free(m);
}

static int open_tls(struct hub *h, struct err *e) {
    const struct mock_options *o = h->fixed;
    if (!o->tls_cert && !o->tls_key) {
        return 0;
    }
    if (!o->tls_cert || !o->tls_key) {
        return err_set(e, ERR_USAGE, "TLS needs both a certificate and a key");
    }
    const struct tls_server_options so = {.cert_file = o->tls_cert, .key_file = o->tls_key};
    return tls_context_server(&so, &h->tls, e);
}

/* The first worker binds port 0; the others follow to the port that it got. */
static int open_worker(struct mock *m, unsigned hub, unsigned i, struct addr *addrs, unsigned n,
                       struct err *e) {
    struct thread *t = &m->threads[i];
    struct mock_worker *w = &t->workers[hub];
    mock_worker_init(w, &m->hubs[hub], t->loop);
    int rc = mock_worker_listen(w, addrs, n, i == 0, e);
    for (unsigned k = 0; rc == 0 && i == 0 && k < w->n_listeners; k++) {
        addrs[k] = *listener_addr(w->listeners[k]);
    }
    return rc;
}

/* Faults of the files are told on stderr, all of them. */
static int open_scenarios(struct hub *h, struct err *e) {
    struct buf report;
    buf_init(&report, REPORT_BYTES);
    h->scenarios = scenario_book_open(h->fixed->scenarios, h->fixed->n_scenarios, &report);
    fprintf(stderr, "%.*s", SLICE_FMT(buf_slice(&report)));
    buf_dispose(&report);
    return h->scenarios ? 0 : err_set(e, ERR_USAGE, "the scenarios have faults");
}

static int open_hub(struct mock *m, unsigned hub, struct err *e) {
    struct hub *h = &m->hubs[hub];
    int rc = parse_listen(h->fixed, h->addrs, &h->n_addrs, e);
    rc = rc < 0 ? rc : open_tls(h, e);
    rc = rc < 0 ? rc : open_scenarios(h, e);
    rc = rc < 0 ? rc : record_open(h, e);
    for (unsigned i = 0; rc == 0 && i < m->n_threads; i++) {
        rc = open_worker(m, hub, i, h->addrs, h->n_addrs, e);
    }
    if (rc == 0) {
        write_base_url(h, &h->addrs[0]);
    }
    return rc;
}

static int open_all(struct mock *m, struct loop *given, struct err *e) {
    int rc = 0;
    for (unsigned i = 0; i < m->n_threads; i++) {
        m->threads[i].loop = given ? given : loop_new(e);
        m->threads[i].owns_loop = !given;
        if (!m->threads[i].loop) {
            return -ERR_IO;
        }
    }
    m->time = mock_time_new(m->hubs[0].fixed->clock, m->threads[0].loop);
    for (unsigned k = 0; rc == 0 && k < m->n_hubs; k++) {
        m->hubs[k].time = m->time;
        m->hubs[k].started_wall_s = m->time ? MOCK_CLOCK_EPOCH_S : m->hubs[k].started_wall_s;
        rc = open_hub(m, k, e);
    }
    return rc;
}

static void create_hub(struct mock *m, unsigned hub, const struct mock_options *o,
                       const char *default_listen) {
    struct hub *h = &m->hubs[hub];
    struct mock_options options = *o;
    if (options.n_listen == 0) {
        options.listen = &default_listen;
        options.n_listen = 1;
    }
    hub_init(h, &options);
    h->workers = mem_zalloc(m->n_threads * sizeof h->workers[0]);
    h->n_workers = m->n_threads;
    for (unsigned i = 0; i < m->n_threads; i++) {
        h->workers[i] = &m->threads[i].workers[hub];
    }
}

static struct mock *create(const struct mock_options *o, unsigned n, const char *default_listen) {
    struct mock *m = mem_zalloc(sizeof *m);
    bool is_one = o->workers == 0 || o->clock != MOCK_CLOCK_REAL;   /* one order of things */
    m->n_threads = is_one ? 1 : o->workers > MAX_WORKERS ? MAX_WORKERS : o->workers;
    m->n_hubs = n;
    m->hubs = mem_zalloc(n * sizeof m->hubs[0]);
    m->threads = mem_zalloc(m->n_threads * sizeof m->threads[0]);
    for (unsigned i = 0; i < m->n_threads; i++) {
        m->threads[i].workers = mem_zalloc(n * sizeof m->threads[i].workers[0]);
    }
    for (unsigned k = 0; k < n; k++) {
        create_hub(m, k, &o[k], default_listen);
    }
    return m;
}

static int mock_new(const struct mock_options *o, unsigned n, const char *default_listen,
                    struct loop *given, struct mock **out, struct err *e) {
    (void)tokenizer_get(ENCODING_O200K);        /* files are not read on a loop's thread */
    (void)tokenizer_get(ENCODING_CL100K);
    *out = create(o, n, default_listen);
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
    loop_run(t->loop);
    return NULL;
}

/* What cannot be watched is served as it is. */
static void watch_files(struct mock *m) {
    bool quiet = m->hubs[0].fixed->quiet;
    for (unsigned k = 0; k < m->n_hubs; k++) {
        struct err e;
        if (scenario_book_watch(m->hubs[k].scenarios, quiet, &e) < 0) {
            fprintf(stderr, "penstock mock: %s\n", e.text);
        }
        if (captures_watch(m->hubs[k].captures, quiet, &e) < 0) {
            fprintf(stderr, "penstock mock: %s\n", e.text);
        }
    }
}

/* Signals belong to the program's main thread. */
static void start_threads(struct mock *m, unsigned first) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    watch_files(m);
    for (unsigned i = first; i < m->n_threads; i++) {
        m->threads[i].is_running =
            pthread_create(&m->threads[i].id, NULL, thread_main, &m->threads[i]) == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void join_threads(struct mock *m) {
    for (unsigned i = 0; i < m->n_threads; i++) {
        if (m->threads[i].is_running) {
            loop_stop(m->threads[i].loop);
        }
    }
    for (unsigned i = 0; i < m->n_threads; i++) {
        struct thread *t = &m->threads[i];
        if (t->is_running) {
            pthread_join(t->id, NULL);
            t->is_running = false;
        }
    }
}

struct mock *mock_start(const struct mock_options *o, struct err *e) {
    struct mock *m;
    if (mock_new(o, 1, "127.0.0.1:0", NULL, &m, e) < 0) {
        return NULL;
    }
    start_threads(m, 0);
    return m;
}

struct mock *mock_attach(struct loop *l, const struct mock_options *o, struct err *e) {
    struct mock_options one = *o;
    struct mock *m;
    one.workers = 1;
    return mock_new(&one, 1, "127.0.0.1:0", l, &m, e) < 0 ? NULL : m;
}

const char *mock_base_url(const struct mock *m) {
    return m->hubs[0].base_url;
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

static void add_counters(const struct hub *h, struct mock_counters *out, struct hist *late) {
    out->requests += atomic_load(&h->counters[COUNT_REQUESTS]);
    out->started += atomic_load(&h->counters[COUNT_STARTED]);
    out->completed += atomic_load(&h->counters[COUNT_COMPLETED]);
    out->cancelled += atomic_load(&h->counters[COUNT_CANCELLED]);
    out->open += atomic_load(&h->counters[COUNT_OPEN]);
    for (unsigned i = 0; i < h->n_workers; i++) {
        out->tokens += atomic_load(&h->workers[i]->tokens);
        hist_merge(late, &h->workers[i]->late_ns);
    }
}

void mock_counters(const struct mock *m, struct mock_counters *out) {
    struct hist *late = mem_alloc(sizeof *late);
    hist_init(late);
    *out = (struct mock_counters){.requests = 0};
    for (unsigned k = 0; k < m->n_hubs; k++) {
        add_counters(&m->hubs[k], out, late);
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

static void on_signal(void *self, int signo) {
    (void)signo;
    loop_stop(self);
}

/* A harness that was killed leaves no mock behind. */
static int end_with_parent(struct err *e) {
    pid_t parent = getppid();
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0) {
        return err_set_os(e, ERR_IO, errno, "--exit-with-parent");
    }
    return getppid() == parent ? 0 : err_set(e, ERR_IO, "--exit-with-parent: it is gone already");
}

static int announce(struct mock *m, struct err *e) {
    const struct mock_options *o = m->hubs[0].fixed;
    int rc = o->exit_with_parent ? end_with_parent(e) : 0;
    if (rc == 0 && o->ready_file) {
        rc = announce_ready_file(m->hubs, m->n_hubs, o->ready_file, e);
    }
    if (rc == 0) {
        announce_ready(m->hubs, m->n_hubs, stdout);
    }
    return rc;
}

static int serve(struct mock *m, struct err *e) {
    struct mock_counters counters;
    struct loop *l = m->threads[0].loop;
    if (loop_on_signal(l, SIGINT, on_signal, l) < 0 ||
        loop_on_signal(l, SIGTERM, on_signal, l) < 0) {
        err_set(e, ERR_IO, "cannot watch for signals");
        return EXIT_LISTEN;
    }
    start_threads(m, 1);
    bool is_ready = announce(m, e) == 0;
    if (is_ready) {
        loop_run(l);
    }
    join_threads(m);
    mock_counters(m, &counters);
    if (is_ready) {
        announce_end(m->hubs, m->n_hubs, &counters, stdout);
    }
    return is_ready ? 0 : EXIT_FAILED;
}

int mock_run(const struct mock_options *providers, unsigned n, struct err *e) {
    struct mock *m;
    signal(SIGPIPE, SIG_IGN);        /* who reads what is printed may go; the mock goes in order */
    raise_descriptor_limit();
    if (providers[0].ready_file) {
        announce_clear_file(providers[0].ready_file);
    }
    int rc = mock_new(providers, n, "127.0.0.1:8000", NULL, &m, e);
    if (rc < 0) {
        if (e->os_errno == EADDRINUSE) {
            err_set(e, ERR_IO, "%s; --listen 127.0.0.1:0 takes a free port", e->text);
        }
        return rc == -ERR_USAGE || rc == -ERR_TLS ? EXIT_USAGE : EXIT_LISTEN;
    }
    int code = serve(m, e);
    if (providers[0].ready_file) {
        announce_clear_file(providers[0].ready_file);
    }
    destroy(m);
    return code;
}
