/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway_rig.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/loader.h"

#define RIG_BUF_BYTES ((size_t)64 << 20)

static void must(int rc) {
    if (rc < 0) {
        fprintf(stderr, "rig: unexpected failure %d\n", rc);
        abort();
    }
}

/* ---- upstream ---- */

static void upstream_write(struct rig_upstream_conn *u) {
    struct err e;
    while (u->out.len) {
        struct iovec iov = {u->out.ptr, u->out.len};
        ssize_t n = sock_writev(u->sock, &iov, 1, &e);
        if (n < 0) {
            u->saw_end = true;
            sock_close(&u->sock);
            return;
        }
        if (n == 0)
            break;
        buf_consume(&u->out, (size_t)n);
    }
    if (u->out.len == 0 && u->requests && !u->fin_sent) {
        if (u->rig->script.then == RIG_RST) {
            sock_close_reset(&u->sock);
            return;
        }
        if (u->rig->script.then == RIG_FIN) {
            u->fin_sent = true;
            sock_shutdown_write(u->sock);
        }
    }
    sock_watch(u->sock, SOCK_READABLE | (u->out.len ? SOCK_WRITABLE : 0));
}

static size_t content_length(struct slice head) {
    struct slice v = rig_header(head, "content-length");
    uint64_t n = 0;
    return slice_to_u64(v, 1u << 30, &n) ? (size_t)n : 0;
}

static bool complete_request(struct rig_upstream_conn *u) {
    struct slice rest = slice_from(buf_slice(&u->request), u->parsed);
    if (rest.len < 4)
        return false;
    const char *end = memmem(rest.ptr, rest.len, "\r\n\r\n", 4);
    if (!end)
        return false;
    size_t head = (size_t)(end - rest.ptr) + 4;
    size_t whole = head + content_length(slice_sub(rest, 0, head));
    if (rest.len < whole)
        return false;
    u->parsed += whole;
    u->requests++;
    return true;
}

static void on_upstream_event(void *self, unsigned events) {
    struct rig_upstream_conn *u = self;
    char chunk[4096];
    struct err e;
    if (events & (SOCK_READABLE | SOCK_HUP)) {
        ssize_t n;
        while ((n = sock_read(u->sock, chunk, sizeof chunk, &e)) > 0)
            must(buf_append(&u->request, slice_make(chunk, (size_t)n)));
        if (n < 0) {
            u->saw_end = true;
            sock_close(&u->sock);
            return;
        }
        while (complete_request(u))
            must(buf_append(&u->out, u->rig->script.answer));
    }
    upstream_write(u);
}

static void on_upstream_accept(void *self, int fd, const struct addr *from) {
    (void)from;
    struct rig *r = self;
    if (r->n_connections == RIG_MAX_CONNECTIONS)
        abort();
    struct rig_upstream_conn *u = &r->connections[r->n_connections++];
    *u = (struct rig_upstream_conn){.rig = r};
    buf_init(&u->request, RIG_BUF_BYTES);
    buf_init(&u->out, RIG_BUF_BYTES);
    u->sock = sock_adopt(r->loop, fd, on_upstream_event, u);
    sock_watch(u->sock, SOCK_READABLE);
}

void rig_upstream_send_more(struct rig *r, unsigned connection) {
    struct rig_upstream_conn *u = &r->connections[connection];
    if (!u->sock)
        return;
    must(buf_append(&u->out, r->script.more));
    upstream_write(u);
}

/* ---- rig ---- */

static const char *no_environment(const char *name) {
    (void)name;
    return NULL;
}

static void load(struct rig *r, const char *dialect, const char *provider_more,
                 const char *top_more) {
    struct buf yaml, report;
    buf_init(&yaml, 1 << 16);
    buf_init(&report, 1 << 16);
    must(buf_appendf(&yaml,
                     "listen: 127.0.0.1:8080\n"
                     "providers:\n  up:\n    dialect: %s\n    base_url: http://127.0.0.1:9000/v1\n    api_key: sk-secret\n",
                     dialect));
    for (const char *line = provider_more; line && *line;) {
        const char *end = strchr(line, '\n');
        size_t len = end ? (size_t)(end - line) : strlen(line);
        must(buf_appendf(&yaml, "    %.*s\n", (int)len, line));
        line += len + (end != NULL);
    }
    must(buf_appendf(&yaml, "models:\n  - {name: m, targets: [{provider: up}]}\n"
                            "  - {name: renamed, targets: [{provider: up, model: other}]}\n%s\n", top_more ? top_more : ""));
    struct config_sources sources = {.getenv_fn = no_environment};
    if (config_load_text(&sources, buf_slice(&yaml), "rig.yaml", &r->config, &report) < 0) {
        fprintf(stderr, "%.*s\n", SLICE_FMT(buf_slice(&report)));
        abort();
    }
    buf_dispose(&yaml);
    buf_dispose(&report);
}

void rig_start(struct rig *r, const struct sim_options *o, const char *provider_more,
               const char *top_more) {
    rig_start_dialect(r, o, "chat", provider_more, top_more);
}

void rig_start_dialect(struct rig *r, const struct sim_options *o, const char *dialect,
                       const char *provider_more, const char *top_more) {
    struct err e = {0};
    memset(r, 0, sizeof *r);
    log_setup(&(struct log_options){.level = LOG_OFF, .fd = 2});
    sim_start(o);
    r->loop = loop_new(&e);
    load(r, dialect, provider_more, top_more);
    must(gateway_new(r->config, NULL, &r->gateway, &e));
    r->gateway->n_workers = 1;
    r->gateway->workers = &r->worker;
    r->worker = worker_new(r->gateway, 0, r->loop);
    must(worker_listen(r->worker, &e));
    struct addr at;
    must(addr_parse(SLICE("127.0.0.1:9000"), &at, &e));
    must(listener_open(r->loop, &at, &(struct listen_options){0}, on_upstream_accept, r,
                       &r->upstream, &e));
}

void rig_stop(struct rig *r) {
    worker_free(r->worker);
    listener_close(&r->upstream);
    for (unsigned i = 0; i < r->n_connections; i++) {
        sock_close(&r->connections[i].sock);
        buf_dispose(&r->connections[i].request);
        buf_dispose(&r->connections[i].out);
    }
    gateway_free(&r->gateway);
    config_free(&r->config);
    loop_free(r->loop);
    sim_stop();
}

/* ---- clients ---- */

static void client_write(struct rig_client *c) {
    struct err e;
    while (c->out.len) {
        struct iovec iov = {c->out.ptr, c->out.len};
        ssize_t n = sock_writev(c->sock, &iov, 1, &e);
        if (n < 0)
            buf_reset(&c->out);     /* nobody takes it any more; what there is to read tells why */
        if (n <= 0)
            break;
        buf_consume(&c->out, (size_t)n);
    }
    sock_watch(c->sock, (c->reads ? SOCK_READABLE : 0) | (c->out.len ? SOCK_WRITABLE : 0));
}

static void on_client_event(void *self, unsigned events) {
    struct rig_client *c = self;
    char chunk[4096];
    struct err e = {0};
    if (c->reads && (events & (SOCK_READABLE | SOCK_HUP))) {
        ssize_t n;
        while ((n = sock_read(c->sock, chunk, sizeof chunk, &e)) > 0)
            must(buf_append(&c->in, slice_make(chunk, (size_t)n)));
        if (n < 0) {
            c->saw_fin = e.os_errno == 0;
            c->saw_reset = !c->saw_fin;
            sock_close(&c->sock);
            return;
        }
    }
    client_write(c);
}

void rig_client_open(struct rig *r, struct rig_client *c) {
    struct err e = {0};
    struct addr at;
    *c = (struct rig_client){.reads = true};
    buf_init(&c->out, RIG_BUF_BYTES);
    buf_init(&c->in, RIG_BUF_BYTES);
    must(addr_parse(SLICE("127.0.0.1:8080"), &at, &e));
    must(sock_connect(r->loop, &at, on_client_event, c, &c->sock, &e));
    sock_watch(c->sock, SOCK_READABLE | SOCK_WRITABLE);
}

void rig_client_send(struct rig_client *c, struct slice bytes) {
    must(buf_append(&c->out, bytes));
    if (c->sock)
        sock_watch(c->sock, (c->reads ? SOCK_READABLE : 0) | SOCK_WRITABLE);
}

void rig_client_post_to(struct rig_client *c, const char *path, const char *headers,
                        const char *body) {
    char head[1024];
    snprintf(head, sizeof head,
             "POST %s HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\n"
             "%sContent-Length: %zu\r\n\r\n",
             path, headers, strlen(body));
    rig_client_send(c, slice_cstr(head));
    rig_client_send(c, slice_cstr(body));
}

void rig_client_post(struct rig_client *c, const char *body) {
    rig_client_post_to(c, "/v1/chat/completions", "Authorization: Bearer client-secret\r\n", body);
}

void rig_client_read(struct rig_client *c, bool on) {
    c->reads = on;
    if (c->sock)
        sock_watch(c->sock, (on ? SOCK_READABLE : 0) | (c->out.len ? SOCK_WRITABLE : 0));
}

void rig_client_close(struct rig_client *c, bool with_reset) {
    if (with_reset)
        sock_close_reset(&c->sock);
    else
        sock_close(&c->sock);
}

void rig_client_dispose(struct rig_client *c) {
    sock_close(&c->sock);
    buf_dispose(&c->in);
    buf_dispose(&c->out);
}

/* ---- reading a response ---- */

struct slice rig_header(struct slice head, const char *name) {
    struct slice n = slice_cstr(name);
    for (size_t i = 0; i + n.len + 1 < head.len; i++) {
        if (head.ptr[i] != '\n' || !slice_eq_nocase(slice_sub(head, i + 1, n.len), n) ||
            head.ptr[i + 1 + n.len] != ':')
            continue;
        struct slice value = slice_from(head, i + 2 + n.len);
        ptrdiff_t end = slice_index(value, '\r');
        return slice_trim(slice_sub(value, 0, end < 0 ? value.len : (size_t)end));
    }
    return SLICE("");
}

static bool unchunk(struct slice in, struct buf *out) {
    for (;;) {
        const char *eol = in.len ? memmem(in.ptr, in.len < 20 ? in.len : 20, "\r\n", 2) : NULL;
        if (!eol)
            return false;
        size_t size = strtoul(in.ptr, NULL, 16), line = (size_t)(eol - in.ptr) + 2;
        if (in.len < line + size + 2)
            return false;
        if (size == 0)
            return true;
        must(buf_append(out, slice_sub(in, line, size)));
        in = slice_from(in, line + size + 2);
    }
}

bool rig_response(const struct rig_client *c, unsigned *out_status, struct slice *out_head,
                  struct buf *out_body) {
    struct slice in = buf_slice(&c->in);
    *out_status = 0;
    *out_head = SLICE("");
    const char *end = in.len > 16 ? memmem(in.ptr, in.len, "\r\n\r\n", 4) : NULL;
    if (!end)
        return false;
    *out_status = (unsigned)strtoul(in.ptr + 9, NULL, 10);
    *out_head = slice_sub(in, 0, (size_t)(end - in.ptr) + 2);
    struct slice body = slice_from(in, out_head->len + 2);
    if (slice_eq(rig_header(*out_head, "transfer-encoding"), SLICE("chunked")))
        return unchunk(body, out_body);
    size_t want = content_length(*out_head);
    must(buf_append(out_body, slice_sub(body, 0, want)));
    return body.len >= want;
}

static bool has_response(void *self) {
    const struct rig_client *c = self;
    unsigned status;
    struct slice head;
    struct buf body;
    if (!c->sock)
        return true;
    buf_init(&body, RIG_BUF_BYTES);
    bool is_whole = rig_response(c, &status, &head, &body);
    buf_dispose(&body);
    return is_whole;
}

bool rig_run_response(struct rig *r, struct rig_client *c) {
    (void)r;
    return sim_run(has_response, c, sim_now_ns() + 3600 * NS_PER_S);
}

uint64_t rig_ended(const struct rig *r, enum end_reason end, bool stream) {
    uint64_t n = 0;
    for (unsigned i = 0; i <= r->worker->meter->n_providers; i++)
        n += meter_get(&r->worker->meter->providers[i].requests_by_end[end][stream]);
    return n;
}
