/* SPDX-License-Identifier: Apache-2.0 */
/* Real threads, real sockets: three workers, an upstream, client threads that stream, ask and
 * leave, and somebody who reads /metrics all the while; then the drain. Its answers are checked,
 * but it is there for the thread sanitizer (-Db_sanitize=thread). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/loader.h"
#include "gateway/gateway-private.h"
#include "gateway/serve.h"

#define WORKERS 3
#define CLIENT_THREADS 8
#define SOCKETS 25                     /* of each client thread, all at once */
#define ROUNDS 3
#define FRAMES 6
#define FRAME_NS (500 * NS_PER_US)

/* ---- the upstream: answers with the text that it was asked with, a frame at a time ---- */

struct upstream_app {
    struct loop *loop;
    struct listener *listener;
    struct http_server *server;
    pthread_t thread;
};

struct answer_state {
    struct upstream_app *app;
    struct http_exchange *ex;
    struct timer timer;
    struct slice text;
    unsigned sent;
};

static struct slice asked_text(const struct http_exchange *ex) {
    static const char key[] = "\"content\":\"";
    struct slice body = bytes_slice(ex->body);
    const char *at = body.len ? memmem(body.ptr, body.len, key, sizeof key - 1) : NULL;
    if (!at)
        return SLICE("?");
    struct slice rest = slice_from(body, (size_t)(at - body.ptr) + sizeof key - 1);
    return slice_sub(rest, 0, (size_t)slice_index(rest, '"'));
}

static void write_frame(struct http_exchange *ex, const char *text) {
    struct slice piece = slice_cstr(text);
    int rc = http_write(ex, &piece, 1);
    (void)rc;                            /* a client that left comes back by on_cancel */
}

static void on_frame_timer(struct timer *t, void *self) {
    struct answer_state *a = self;
    char frame[300];
    if (a->sent++ < FRAMES) {
        snprintf(frame, sizeof frame, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%.*s.%u \"}}]}\n\n", SLICE_FMT(a->text), a->sent);
        write_frame(a->ex, frame);
        if (slice_eq(a->text, SLICE("hang")))
            return;
        loop_timer_start(a->app->loop, t, loop_now_ns(a->app->loop) + FRAME_NS, on_frame_timer, a);
        return;
    }
    write_frame(a->ex, "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n");
    write_frame(a->ex, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":6}}\n\ndata: [DONE]\n\n");
    http_end(a->ex);
}

static void upstream_nothing(void *self, struct http_exchange *ex) {
    (void)self;
    (void)ex;
}

static void upstream_over(void *self, struct http_exchange *ex) {
    (void)self;
    if (ex->app)
        timer_stop(&((struct answer_state *)ex->app)->timer);
}

static void upstream_request(void *self, struct http_exchange *ex) {
    struct upstream_app *app = self;
    struct slice body = bytes_slice(ex->body);
    bool streams = body.len && memmem(body.ptr, body.len, "\"stream\":true", 13) != NULL;
    struct answer_state *a = arena_alloc(ex->arena, sizeof *a);
    *a = (struct answer_state){.app = app, .ex = ex, .text = asked_text(ex)};
    struct http_header type = {SLICE("content-type"), streams ? SLICE("text/event-stream") : SLICE("application/json")};
    if (streams) {
        ex->app = a;
        http_start(ex, &(struct http_response){200, &type, 1}, -1);
        loop_timer_start(app->loop, &a->timer, loop_now_ns(app->loop), on_frame_timer, a);
        return;
    }
    char text[300];
    snprintf(text, sizeof text, "{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%.*s\"},\"finish_reason\":\"stop\"}]}", SLICE_FMT(a->text));
    http_respond(ex, &(struct http_response){200, &type, 1}, slice_cstr(text));
}

static void upstream_accept(void *self, int fd, const struct addr *from) {
    struct upstream_app *app = self;
    http_server_accept(app->server, fd, from, NULL);
}

static void *run_loop(void *self) {
    loop_run(self);
    return NULL;
}

static void upstream_start(struct upstream_app *app) {
    struct err e;
    struct addr at;
    struct http_limits limits;
    struct http_app functions = {upstream_nothing,
                                 upstream_request,
                                 upstream_nothing,
                                 upstream_over,
                                 upstream_over,
                                 NULL,
                                 app};
    http_limits_default(&limits);
    app->loop = loop_new(&e);
    assert_non_null(app->loop);
    app->server = http_server_new(app->loop, &limits, &functions);
    assert_int_equal(addr_parse(SLICE("127.0.0.1:0"), &at, &e), 0);
    assert_int_equal(listener_open(app->loop, &at, &(struct listen_options){0}, upstream_accept,
                                   app, &app->listener, &e),
                     0);
}

static void upstream_stop(struct upstream_app *app) {
    loop_stop(app->loop);
    pthread_join(app->thread, NULL);
    listener_close(&app->listener);
    http_server_close_all(app->server);
    http_server_free(app->server);
    loop_free(app->loop);
}

/* ---- the gateway, as serve.c sets it up ---- */

static const char *no_environment(const char *name) {
    (void)name;
    return NULL;
}

static struct config *make_config(const struct upstream_app *app, const char *listen) {
    char yaml[600], address[ADDR_TEXT_BYTES];
    struct config *c;
    struct buf report;
    struct config_sources sources = {.getenv_fn = no_environment};
    buf_init(&report, 1 << 16);
    snprintf(yaml, sizeof yaml,
             "listen: \"%s\"\nworkers: %d\ndrain_timeout: 10m\n"
             "providers:\n  up: {dialect: chat, base_url: \"http://%s/v1\", api_key: sk-secret}\n"
             "models:\n  - {name: m, targets: [{provider: up}]}\n",
             listen, WORKERS, addr_text(listener_addr(app->listener), address));
    if (config_load_text(&sources, slice_cstr(yaml), "threads.yaml", &c, &report) < 0)
        fail_msg("%.*s", SLICE_FMT(buf_slice(&report)));
    buf_dispose(&report);
    return c;
}

static void gateway_start(struct gateway *g) {
    struct err e;
    g->n_workers = WORKERS;
    g->workers = mem_zalloc(WORKERS * sizeof *g->workers);
    for (unsigned i = 0; i < WORKERS; i++)
        g->workers[i] = worker_new(g, i, loop_new(&e));
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(worker_listen(g->workers[i], &e), 0);
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_create(&g->workers[i]->thread, NULL, run_loop, g->workers[i]->loop);
}

static void gateway_stop(struct gateway *g) {
    for (unsigned i = 0; i < WORKERS; i++) {
        struct loop *l = g->workers[i]->loop;
        worker_free(g->workers[i]);
        loop_free(l);
    }
    mem_free(g->workers);
}

/* ---- clients: plain blocking sockets ---- */

struct asker {
    const struct addr *to;
    unsigned index, good, left;
    pthread_t thread;
};

static int dial_gateway(const struct addr *to) {
    int fd = socket(to->u.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = 60};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, &to->u.sa, to->len) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool send_all(int fd, struct slice bytes) {
    while (bytes.len) {
        ssize_t n = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        bytes = slice_from(bytes, (size_t)n);
    }
    return true;
}

/* Reads until `end` is at the end; what came is in `into`, NUL-terminated. */
static bool read_to(int fd, const char *end, char *into, size_t max) {
    size_t len = 0;
    for (;;) {
        into[len] = 0;
        if (len >= strlen(end) && strcmp(into + len - strlen(end), end) == 0)
            return true;
        ssize_t n = len + 1 < max ? recv(fd, into + len, max - 1 - len, 0) : -1;
        if (n <= 0)
            return false;
        len += (size_t)n;
    }
}

static bool is_stream(unsigned number) {
    return number % 3 != 0;
}

static bool leaves(unsigned number) {
    return number % 9 == 4;
}

static bool ask(int fd, const char *text, unsigned number) {
    char body[200], request[500];
    snprintf(body, sizeof body, "{\"model\":\"m\",\"stream\":%s,\"messages\":[{\"role\":\"user\",\"content\":\"%.40s\"}]}", is_stream(number) ? "true" : "false", text);
    snprintf(request, sizeof request, "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
             strlen(body), body);
    return send_all(fd, slice_cstr(request));
}

static bool is_answered(int fd, const char *text, unsigned number) {
    char got[8192], want[100];
    if (leaves(number))
        return recv(fd, got, 20, 0) > 0;
    if (!read_to(fd, is_stream(number) ? "0\r\n\r\n" : "}]}", got, sizeof got))
        return false;
    if (!is_stream(number))
        return strstr(got, text) != NULL;
    for (unsigned i = 1; i <= FRAMES; i++) {
        snprintf(want, sizeof want, "\"%.40s.%u \"", text, i);
        if (!strstr(got, want))
            return false;
    }
    return strstr(got, "data: [DONE]\n\n") && !strstr(got, "usage");
}

static void ask_all(struct asker *a, unsigned round, int fds[SOCKETS]) {
    char texts[SOCKETS][40];
    bool is_sent[SOCKETS];
    for (unsigned i = 0; i < SOCKETS; i++) {
        snprintf(texts[i], sizeof texts[i], "t%u-%u-%u", a->index, round, i);
        if (fds[i] < 0)
            fds[i] = dial_gateway(a->to);
        is_sent[i] = fds[i] >= 0 && ask(fds[i], texts[i], i);
    }
    for (unsigned i = 0; i < SOCKETS; i++) {
        bool is_good = is_sent[i] && is_answered(fds[i], texts[i], i);
        a->good += is_good && !leaves(i);
        a->left += is_good && leaves(i);
        if (fds[i] >= 0 && (leaves(i) || !is_good || round + 1 == ROUNDS)) {
            close(fds[i]);
            fds[i] = -1;
        }
    }
}

static void *ask_on(void *self) {
    int fds[SOCKETS];
    for (unsigned i = 0; i < SOCKETS; i++)
        fds[i] = -1;
    for (unsigned round = 0; round < ROUNDS; round++)
        ask_all(self, round, fds);
    return NULL;
}

struct scraper {
    const struct addr *to;
    _Atomic bool is_over;
    unsigned good;
    pthread_t thread;
};

static void *scrape_on(void *self) {
    struct scraper *s = self;
    size_t max = 1u << 20;
    char *got = malloc(max);
    while (got && !atomic_load(&s->is_over)) {
        int fd = dial_gateway(s->to);
        bool is_sent = fd >= 0 && send_all(fd, SLICE("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"));
        if (is_sent)
            (void)read_to(fd, "never", got, max);
        s->good += is_sent && strstr(got, "penstock_streams_open") && strstr(got, "penstock_upstream_connections") && !strstr(got, "sk-secret");
        if (fd >= 0)
            close(fd);
    }
    free(got);
    return NULL;
}

/* ---- all at once ---- */

static uint64_t ended(const struct gateway *g, enum end_reason end) {
    uint64_t n = 0;
    for (unsigned i = 0; i < WORKERS; i++)
        for (int stream = 0; stream < 2; stream++)
            n += meter_get(&g->workers[i]->meter->providers[0].requests_by_end[end][stream]);
    return n;
}

static void everything_at_once(void **state) {
    (void)state;
    static struct upstream_app up;
    struct gateway *g;
    struct err e = {0};
    log_setup(&(struct log_options){.level = LOG_OFF, .fd = 2});
    upstream_start(&up);
    struct config *c = make_config(&up, "127.0.0.1:0");
    assert_int_equal(gateway_new(c, NULL, &g, &e), 0);
    pthread_create(&up.thread, NULL, run_loop, up.loop);
    gateway_start(g);
    struct asker askers[CLIENT_THREADS];
    struct scraper scraper = {.to = &g->listens[0].addr};
    pthread_create(&scraper.thread, NULL, scrape_on, &scraper);
    for (unsigned i = 0; i < CLIENT_THREADS; i++) {
        askers[i] = (struct asker){.to = &g->listens[0].addr, .index = i};
        pthread_create(&askers[i].thread, NULL, ask_on, &askers[i]);
    }
    unsigned good = 0, left = 0;
    for (unsigned i = 0; i < CLIENT_THREADS; i++) {
        pthread_join(askers[i].thread, NULL);
        good += askers[i].good;
        left += askers[i].left;
    }
    atomic_store(&scraper.is_over, true);
    pthread_join(scraper.thread, NULL);
    assert_int_equal(good + left, CLIENT_THREADS * SOCKETS * ROUNDS);
    assert_true(scraper.good > 0);
    atomic_store(&g->draining, true);
    for (unsigned i = 0; i < WORKERS; i++)
        worker_drain(g->workers[i]);
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(g->workers[i]->thread, NULL);
    assert_int_equal(atomic_load(&g->streams), 0);
    assert_int_equal(atomic_load(&g->cut_streams), 0);
    assert_int_equal(ended(g, END_OK) + ended(g, END_CLIENT_GONE), good + left);
    assert_true(ended(g, END_OK) >= good);
    gateway_stop(g);
    gateway_free(&g);
    config_free(&c);
    upstream_stop(&up);
}

/* ---- the process: signals ---- */

struct process {
    struct config *config;
    struct err e;
    int code;
    pthread_t thread;
};

static void *serve(void *self) {
    struct process *p = self;
    p->code = serve_run(p->config, &(struct serve_options){.banner = false}, &p->e);
    return NULL;
}

static int dial_until_it_listens(const struct addr *to) {
    int fd;
    while ((fd = dial_gateway(to)) < 0)
        sched_yield();
    return fd;
}

/* The stream is on another worker than the first, which hears the signals and has nothing else to
 * do. */
static void a_second_signal_ends_all_at_once(void **state) {
    (void)state;
    static struct upstream_app up;
    struct process p = {.code = -1};
    char path[100], got[4096];
    struct addr to;
    struct err e;
    setenv("PENSTOCK_DUMPABLE", "1", 1);
    log_setup(&(struct log_options){.level = LOG_OFF, .fd = 2});
    snprintf(path, sizeof path, "unix:/tmp/penstock-test-%d.sock", (int)getpid());
    assert_int_equal(addr_parse(slice_cstr(path), &to, &e), 0);
    upstream_start(&up);
    pthread_create(&up.thread, NULL, run_loop, up.loop);
    p.config = make_config(&up, path);
    pthread_create(&p.thread, NULL, serve, &p);
    int idle[] = {dial_until_it_listens(&to), dial_until_it_listens(&to)},
        fd = dial_until_it_listens(&to);
    assert_true(ask(fd, "hang", 1));
    assert_true(read_to(fd, "hang.1 \"}}]}\n\n\r\n", got, sizeof got));
    kill(getpid(), SIGTERM);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(recv(idle[i], got, 1, 0), 0);
        close(idle[i]);
    }
    kill(getpid(), SIGINT);              /* and no third: the handlers end with the gateway */
    pthread_join(p.thread, NULL);
    assert_int_equal(p.code, 1);
    assert_true(read_to(fd, "0\r\n\r\n", got, sizeof got));
    assert_non_null(strstr(got, "data: {\"error\":{\"message\":\"The gateway is shutting down"));
    close(fd);
    config_free(&p.config);
    upstream_stop(&up);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_at_once),
        cmocka_unit_test(a_second_signal_ends_all_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
