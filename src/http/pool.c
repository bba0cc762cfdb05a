/* SPDX-License-Identifier: Apache-2.0 */
#include "http/client-private.h"

#include "base/clock.h"
#include "base/mem.h"

#define MAX_SPARE_CALLS 256
#define SPARE_BUF_BYTES 8192                  /* a spare call keeps buffers up to this size */
#define QUIET_CHECK_AFTER_NS                                                                       \
    NS_PER_S /* below: servers don't time out that fast, and a failure is retried anyway */

void http_pool_options_default(struct http_pool_options *out) {
    *out = (struct http_pool_options){
        .max_idle = 1024,
        .max_connections = 0,
        .idle_timeout_ns = 55 * NS_PER_S,
        .max_age_ns = 600 * NS_PER_S,
        .connect_timeout_ns = 5 * NS_PER_S,
        .tls_timeout_ns = 5 * NS_PER_S,
        .retry_stale = true,
        .max_head_bytes = 64 * 1024,
        .read_bytes = 16 * 1024,
    };
}

/* ---- the pool ---- */

static struct slice copy_into(char **at, struct slice s) {
    struct slice copy = {*at, s.len};
    if (s.len > 0) {
        memcpy(*at, s.ptr, s.len);
    }
    *at += s.len;
    return copy;
}

struct http_pool *http_pool_new(struct loop *l, const struct http_origin *origin,
                                const struct http_pool_options *options) {
    struct http_pool *p = mem_zalloc(sizeof *p);
    p->loop = l;
    if (options) {
        p->options = *options;
    } else {
        http_pool_options_default(&p->options);
    }
    p->strings = mem_alloc(origin->scheme_host.len + origin->host.len + origin->unix_path.len + 1);
    char *at = p->strings;
    p->origin = (struct http_origin){
        .scheme_host = copy_into(&at, origin->scheme_host),
        .host = copy_into(&at, origin->host),
        .port = origin->port,
        .unix_path = copy_into(&at, origin->unix_path),
        .tls = origin->tls,
    };
    p->session = origin->tls ? tls_session_slot_new() : NULL;
    return p;
}

const struct http_pool_stats *http_pool_stats(const struct http_pool *p) {
    return &p->stats;
}

static void call_free(struct http_call *c) {
    buf_dispose(&c->request_head);
    buf_dispose(&c->head);
    mem_free(c->spans);
    mem_free(c);
}

static void pool_free(struct http_pool *p) {
    while (p->spare) {
        struct http_call *c = p->spare;
        p->spare = c->next;
        call_free(c);
    }
    if (p->session) {
        tls_session_slot_free(&p->session);
    }
    mem_free(p->strings);
    mem_free(p);
}

void http_pool_close(struct http_pool **pool) {
    struct http_pool *p = *pool;
    *pool = NULL;
    if (!p) {
        return;
    }
    p->is_closed = true;
    while (p->newest) {
        pool_conn_close(p->newest);
    }
    struct err e;
    err_set(&e, ERR_CANCELLED, "the connection pool was closed");
    p->n_calls++;   /* a reference, while callbacks run */
    while (p->running && p->running->state != CALL_DOOMED) {
        call_fail(p->running, &e);
    }
    p->n_calls--;
    if (p->n_calls == 0) {
        pool_free(p);
    }
}

/* ---- calls ---- */

static void call_list_first(struct http_call *c) {
    struct http_pool *p = c->pool;
    c->prev = NULL;
    c->next = p->running;
    if (p->running) {
        p->running->prev = c;
    } else {
        p->last_running = c;
    }
    p->running = c;
}

void pool_call_unlist(struct http_call *c) {
    struct http_pool *p = c->pool;
    *(c->prev ? &c->prev->next : &p->running) = c->next;
    *(c->next ? &c->next->prev : &p->last_running) = c->prev;
    c->prev = c->next = NULL;
}

void pool_call_list_last(struct http_call *c) {
    struct http_pool *p = c->pool;
    pool_call_unlist(c);
    c->prev = p->last_running;
    *(c->prev ? &c->prev->next : &p->running) = c;
    p->last_running = c;
}

struct http_call *pool_call_new(struct http_pool *p) {
    struct http_call *c = p->spare;
    if (c) {
        p->spare = c->next;
        p->n_spare--;
        struct http_call kept = *c;
        *c = (struct http_call){
            .request_head = kept.request_head,
            .head = kept.head,
            .spans = kept.spans,
            .cap_spans = kept.cap_spans,
        };
    } else {
        c = mem_zalloc(sizeof *c);
        buf_init(&c->request_head, CALL_MAX_REQUEST_HEAD);
        buf_init(&c->head, p->options.max_head_bytes);
    }
    buf_init(&c->rest, (size_t)2 * LOOP_READ_BYTES);
    c->pool = p;
    p->n_calls++;
    call_list_first(c);
    return c;
}

static void buf_trim(struct buf *b) {
    buf_reset(b);
    if (b->cap > SPARE_BUF_BYTES) {
        buf_dispose(b);
    }
}

void pool_call_recycle(struct http_call *c) {
    struct http_pool *p = c->pool;
    buf_dispose(&c->rest);
    inflater_free(&c->inflater);
    mem_free(c->doom);
    c->doom = NULL;
    if (p->n_spare < MAX_SPARE_CALLS) {
        buf_trim(&c->request_head);
        buf_trim(&c->head);
        c->next = p->spare;
        p->spare = c;
        p->n_spare++;
    } else {
        call_free(c);
    }
    p->n_calls--;
    if (p->is_closed && p->n_calls == 0) {
        pool_free(p);
    }
}

/* ---- connections ---- */

static void idle_unlink(struct pool_conn *pc) {
    struct http_pool *p = pc->pool;
    *(pc->newer ? &pc->newer->older : &p->newest) = pc->older;
    *(pc->older ? &pc->older->newer : &p->oldest) = pc->newer;
    pc->newer = pc->older = NULL;
    p->n_idle--;
    stat_add(&p->stats.idle, -1);
}

void pool_conn_close(struct pool_conn *pc) {
    struct http_pool *p = pc->pool;
    if (!pc->call) {
        idle_unlink(pc);
    }
    timer_stop(&pc->timer);
    conn_close(&pc->conn);
    p->n_open--;
    mem_free(pc);
}

static int64_t idle_deadline(const struct pool_conn *pc) {
    int64_t timeout = pc->pool->options.idle_timeout_ns;
    int64_t idle_end = timeout > 0 ? pc->idle_since_ns + timeout : TIME_NEVER;
    return idle_end < pc->expires_ns ? idle_end : pc->expires_ns;
}

/* Lazy: the timer is not touched when the connection is lent out and comes back, and looks again
 * when it fires. */
static void on_idle_timer(struct timer *t, void *self) {
    (void)t;
    struct pool_conn *pc = self;
    if (pc->call) {
        return;
    }
    int64_t deadline = idle_deadline(pc);
    if (deadline <= loop_now_ns(pc->pool->loop)) {
        pool_conn_close(pc);
    } else {
        loop_timer_start(pc->pool->loop, &pc->timer, deadline, on_idle_timer, pc);
    }
}

void pool_conn_park(struct pool_conn *pc) {
    struct http_pool *p = pc->pool;
    int64_t now = loop_now_ns(p->loop);
    if (p->is_closed || p->options.max_idle == 0) {
        pool_conn_close(pc);
        return;
    }
    if (p->n_idle >= p->options.max_idle) {
        pool_conn_close(p->oldest);
    }
    pc->call = NULL;
    pc->idle_since_ns = now;
    pc->newer = NULL;
    pc->older = p->newest;
    *(p->newest ? &p->newest->newer : &p->oldest) = pc;
    p->newest = pc;
    p->n_idle++;
    stat_add(&p->stats.idle, 1);
    conn_read_on(pc->conn);
    int64_t deadline = idle_deadline(pc);
    if (!timer_is_active(&pc->timer) && deadline != TIME_NEVER) {
        loop_timer_start(p->loop, &pc->timer, deadline, on_idle_timer, pc);
    }
}

struct pool_conn *pool_take_idle(struct http_pool *p) {
    int64_t now = loop_now_ns(p->loop);
    struct pool_conn *pc;
    while ((pc = p->newest)) {
        bool is_over = now >= idle_deadline(pc);
        if (!is_over &&
            (now - pc->idle_since_ns < QUIET_CHECK_AFTER_NS || conn_is_quiet(pc->conn))) {
            idle_unlink(pc);
            return pc;
        }
        pool_conn_close(pc);
    }
    return NULL;
}

bool pool_make_room(struct http_pool *p) {
    unsigned max = p->options.max_connections;
    if (max > 0 && p->n_open >= max && p->oldest) {
        pool_conn_close(p->oldest);
    }
    return max == 0 || p->n_open < max;
}

static void on_bytes(void *self, struct slice bytes) {
    struct pool_conn *pc = self;
    if (pc->call) {
        call_on_bytes(pc->call, bytes);
    } else {
        /* nobody asked: whatever it is, it must not become somebody's answer */
        pool_conn_close(pc);
    }
}

static void on_writable(void *self) {
    struct pool_conn *pc = self;
    if (pc->call) {
        call_on_writable(pc->call);
    }
}

static void on_eof(void *self) {
    struct pool_conn *pc = self;
    if (pc->call) {
        call_on_eof(pc->call);
    } else {
        pool_conn_close(pc);
    }
}

static void on_gone(void *self, const struct err *e) {
    struct pool_conn *pc = self;
    if (pc->call) {
        call_on_gone(pc->call, e);
    } else {
        pool_conn_close(pc);
    }
}

static int64_t spread_age(struct http_pool *p) {
    if (p->options.max_age_ns <= 0) {
        return TIME_NEVER;
    }
    double factor = 0.9 + 0.2 * rng_unit(loop_rng(p->loop));
    return loop_now_ns(p->loop) + (int64_t)((double)p->options.max_age_ns * factor);
}

struct pool_conn *pool_conn_new(struct http_pool *p, struct conn *conn) {
    static const struct conn_callbacks callbacks = {
        .on_bytes = on_bytes,
        .on_writable = on_writable,
        .on_eof = on_eof,
        .on_gone = on_gone,
    };
    struct pool_conn *pc = mem_zalloc(sizeof *pc);
    pc->pool = p;
    pc->conn = conn;
    pc->expires_ns = spread_age(p);
    conn_set_callbacks(conn, &callbacks, pc);
    conn_set_read_size(conn, p->options.read_bytes);
    return pc;
}
