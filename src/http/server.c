/* SPDX-License-Identifier: Apache-2.0 */
/* The server object: limits, accepting and its caps, draining, and the work put off to the end of a
 * turn. */
#include "base/mem.h"
#include "http/server-private.h"

/* Clients over a cap that are being told so, at once; more are closed without a word. */
#define REFUSALS_MAX 64
#define HEAD_MAX_BYTES (1024 * 1024)

void http_limits_default(struct http_limits *out) {
    *out = (struct http_limits){
        .request_line_bytes = 8 * 1024,
        .header_bytes = 64 * 1024,
        .header_count = 128,
        .body_bytes = 32 * 1024 * 1024,
        .head_timeout_ns = 10 * NS_PER_S,
        .body_timeout_ns = 30 * NS_PER_S,
        .body_total_timeout_ns = 300 * NS_PER_S,
        .idle_timeout_ns = 75 * NS_PER_S,
        .write_timeout_ns = 300 * NS_PER_S,
    };
}

/* ---- work put off to the end of the turn ---- */

static void run_deferred(struct loop_task *task, void *self) {
    (void)task;
    struct http_server *s = self;
    s->is_task_posted = false;
    if (s->is_freed) {
        mem_free(s);
        return;
    }
    struct server_conn *list = s->deferred;
    s->deferred = s->deferred_last = NULL;
    while (list) {
        struct server_conn *c = list;
        list = c->next_deferred;
        c->next_deferred = NULL;
        c->is_deferred = false;
        server_conn_run_deferred(c);
        server_conn_unpin(c);
    }
}

void server_defer(struct server_conn *c) {
    if (c->is_deferred) return;
    struct http_server *s = c->server;
    c->is_deferred = true;
    server_conn_pin(c);
    if (s->deferred_last) {
        s->deferred_last->next_deferred = c;
    } else {
        s->deferred = c;
    }
    s->deferred_last = c;
    if (!s->is_task_posted) {
        s->is_task_posted = true;
        loop_at_turn_end(s->loop, &s->task);
    }
}

/* ---- life ---- */

/* Offsets in a head are 32 bits wide. */
static size_t clamp_bytes(size_t bytes) {
    const size_t max = 64 * 1024 * 1024;
    return bytes < max ? bytes : max;
}

struct http_server *http_server_new(struct loop *l, const struct http_limits *limits,
                                    const struct http_app *app) {
    struct http_server *s = mem_zalloc(sizeof *s);
    s->loop = l;
    s->limits = *limits;
    s->limits.request_line_bytes = clamp_bytes(limits->request_line_bytes);
    s->limits.header_bytes = clamp_bytes(limits->header_bytes);
    s->app = *app;
    s->scratch = parse_scratch_new(&s->limits);
    s->task.fn = run_deferred;
    s->task.self = s;
    s->date_s = -1;
    buf_init(&s->head, HEAD_MAX_BYTES);
    if (limits->max_connections_per_ip > 0) s->peers = peer_table_new(rng_next(loop_rng(l)));
    return s;
}

void http_server_drain(struct http_server *s) {
    s->is_draining = true;
    for (struct server_conn *c, *next = s->conns; (c = next);) {
        next = c->next;
        if (c->state == CONN_IDLE && c->surplus.len == 0 && !c->is_running)
            server_conn_close(c, CLOSE_WELL);
    }
}

void http_server_close_all(struct http_server *s) {
    s->is_draining = true;
    /* on_cancel may close others: start again after each. */
    for (struct server_conn *c; (c = s->conns);) {
        server_conn_pin(c);
        server_conn_gone(c);
        server_conn_unpin(c);
    }
}

void http_server_set_date(struct http_server *s, int64_t (*wall_ns)(void *self), void *self) {
    s->wall_ns = wall_ns;
    s->wall_self = self;
    s->date_s = -1;
}

void http_server_free(struct http_server *s) {
    if (!s) return;
    /* Closed ones that wait for the end of the turn need nothing any more. */
    for (struct server_conn *c, *next = s->deferred; (c = next);) {
        next = c->next_deferred;
        server_conn_unpin(c);
    }
    s->deferred = s->deferred_last = NULL;
    peer_table_free(&s->peers);
    buf_dispose(&s->head);
    mem_free(s->scratch);
    s->scratch = NULL;
    if (s->is_task_posted) {
        s->is_freed = true;   /* run_deferred frees */
    } else {
        mem_free(s);
    }
}

const struct http_server_stats *http_server_stats(const struct http_server *s) {
    return &s->stats;
}

/* ---- accepting ---- */

static void refuse(struct http_server *s, int fd, const struct addr *from,
                   struct tls_context *tls) {
    stat_add(&s->stats.refused, 1);
    /* A TLS handshake costs more than the answer is worth. */
    if (tls || s->refusal_count >= REFUSALS_MAX) {
        loop_close_fd(s->loop, fd);
        return;
    }
    s->refusal_count++;
    struct server_conn *c = server_conn_new(s, fd, from, NULL, true);
    server_conn_pin(c);
    server_conn_refuse(c, 503, "too many connections: try again later");
    server_conn_unpin(c);
}

void http_server_accept(struct http_server *s, int fd, const struct addr *from,
                        struct tls_context *tls) {
    stat_add(&s->stats.accepted, 1);
    const bool has_peer = s->peers && !addr_is_unix(from);
    const bool is_full =
        s->limits.max_connections > 0 && s->open_count >= s->limits.max_connections;
    if (is_full ||
        (has_peer && !peer_table_add(s->peers, from, s->limits.max_connections_per_ip))) {
        refuse(s, fd, from, tls);
        return;
    }
    s->open_count++;
    struct server_conn *c = server_conn_new(s, fd, from, tls, false);
    c->is_counted = has_peer;
    stat_add(&s->stats.connections_open, 1);
    server_conn_settle(c);
}

void server_forget(struct server_conn *c) {
    struct http_server *s = c->server;
    if (c->prev) c->prev->next = c->next;
    else s->conns = c->next;
    if (c->next) c->next->prev = c->prev;
    c->prev = c->next = NULL;
    if (c->is_refusal) {
        s->refusal_count--;
        return;
    }
    s->open_count--;
    stat_add(&s->stats.connections_open, -1);
    stat_add(&s->stats.closed, 1);
    if (c->is_counted) {
        struct addr a;
        server_conn_client(c, &a);
        peer_table_remove(s->peers, &a);
    }
}
