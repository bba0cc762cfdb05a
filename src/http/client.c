/* SPDX-License-Identifier: Apache-2.0 */
/* A call's life.
 *
 *   start ─▶ DIALING ─▶ WAITING ─▶ BODY ─▶ WHOLE ─▶ on_end
 *      └─ idle connection ──▲  │
 *            DIALING ◀─────────┘ stale, once
 *
 * on_fail is possible from any state; in WHOLE, only for a body that ends inside its encoding. No
 * function here touches the call after a callback that may have ended it, unless it holds it by
 * busy. */
#include "http/client-private.h"

#include <assert.h>
#include <errno.h>

#include "base/clock.h"
#include "base/mem.h"

static int64_t now_ns(const struct http_call *c) {
    return loop_now_ns(c->pool->loop);
}

/* ---- ends ---- */

/* The call runs no callback any more; its connection, when it still has one, is closed. */
static void call_detach(struct http_call *c) {
    pool_call_unlist(c);
    timer_stop(&c->timer);
    if (c->dial) {
        dial_cancel(&c->dial);
        c->pool->n_open--;
    }
    if (c->link) {
        pool_conn_close(c->link);
        c->link = NULL;
    }
    c->state = CALL_DEAD;
    stat_add(&c->pool->stats.active, -1);
}

static void call_let_go(struct http_call *c) {
    if (c->busy == 0) {
        pool_call_recycle(c);
    }
}

void call_fail(struct http_call *c, const struct err *e) {
    struct http_call_callbacks cb = c->cb;
    struct err why = *e;
    void *self = c->self;
    bool any_answer_byte = c->any_answer_byte;
    call_detach(c);
    call_let_go(c);
    cb.on_fail(self, &why, any_answer_byte);
}

static void call_end(struct http_call *c) {
    void (*on_end)(void *self) = c->cb.on_end;
    void *self = c->self;
    call_detach(c);
    call_let_go(c);
    on_end(self);
}

void http_call_cancel(struct http_call **call) {
    struct http_call *c = *call;
    *call = NULL;
    if (!c) {
        return;
    }
    assert(c->state != CALL_DEAD);
    stat_add(&c->pool->stats.cancels, 1);
    call_detach(c);
    call_let_go(c);
}

/* ---- timeouts ---- */

static int64_t after(const struct http_call *c, int64_t timeout_ns) {
    return timeout_ns > 0 ? c->activity_ns + timeout_ns : TIME_NEVER;
}

static int64_t call_deadline(const struct http_call *c) {
    if (c->is_paused || answer_has_rest(c)) {
        return TIME_NEVER;
    }
    if (c->state == CALL_WAITING) {
        return after(c, c->first_byte_timeout_ns);
    }
    return c->state == CALL_BODY ? after(c, c->idle_timeout_ns) : TIME_NEVER;
}

static void on_timer(struct timer *t, void *self);

/* Makes sure that the timer fires at or before the deadline. Progress moves the deadline, not the
 * timer. */
static void call_arm(struct http_call *c) {
    int64_t deadline = call_deadline(c);
    if (deadline != TIME_NEVER &&
        (!timer_is_active(&c->timer) || c->timer.deadline_ns > deadline)) {
        loop_timer_start(c->pool->loop, &c->timer, deadline, on_timer, c);
    }
}

/* "Later in this turn, or in the next one, from the loop." */
static void call_wake(struct http_call *c) {
    loop_timer_start(c->pool->loop, &c->timer, 0, on_timer, c);
}

static void call_time_out(struct http_call *c) {
    struct err e;
    if (c->state == CALL_BODY) {
        err_set(&e, ERR_TIMEOUT, "upstream sent nothing for %.3g s in the middle of its answer",
                (double)c->idle_timeout_ns / 1e9);
    } else if (!c->is_sent_whole) {
        err_set(&e, ERR_TIMEOUT, "upstream took nothing of the request for %.3g s",
                (double)c->first_byte_timeout_ns / 1e9);
    } else {
        err_set(&e, ERR_TIMEOUT, "upstream did not answer within %.3g s",
                (double)c->first_byte_timeout_ns / 1e9);
    }
    call_fail(c, &e);
}

static void call_drain(struct http_call *c);
static void call_lost(struct http_call *c, const struct err *e);

static void on_send_broken(struct http_call *c) {
    struct err e;
    err_set(&e, ERR_CLOSED, "upstream closed the connection while the request was being sent");
    call_lost(c, &e);
}

static void on_timer(struct timer *t, void *self) {
    (void)t;
    struct http_call *c = self;
    if (c->state == CALL_DOOMED) {
        call_fail(c, c->doom);
    } else if (c->is_send_broken) {
        on_send_broken(c);
    } else if (c->is_resuming) {
        call_drain(c);
    } else if (call_deadline(c) <= now_ns(c)) {
        call_time_out(c);
    } else {
        call_arm(c);
    }
}

/* Fails the call later, from the loop. */
static void call_doom(struct http_call *c, const struct err *e) {
    c->doom = mem_alloc(sizeof *c->doom);
    *c->doom = *e;
    c->state = CALL_DOOMED;
    pool_call_list_last(c);
    call_wake(c);
}

/* ---- sending ---- */

/* What of the request is not sent yet. */
static int fill_iov(const struct http_call *c, struct iovec iov[CALL_MAX_BODY_PIECES + 1]) {
    size_t skip = c->sent_bytes;
    int n = 0;
    for (unsigned i = 0; i <= c->n_body; i++) {
        struct slice piece = i == 0 ? buf_slice(&c->request_head) : c->body[i - 1];
        if (skip >= piece.len) {
            skip -= piece.len;
            continue;
        }
        piece = slice_from(piece, skip);
        skip = 0;
        iov[n++] = (struct iovec){.iov_base = (void *)(uintptr_t)piece.ptr, .iov_len = piece.len};
    }
    return n;
}

static void call_send(struct http_call *c) {
    struct iovec iov[CALL_MAX_BODY_PIECES + 1];
    int n_iov = fill_iov(c, iov);
    struct err e;
    ssize_t n = conn_writev(c->link->conn, iov, n_iov, &e);
    if (n < 0) {
        c->is_send_over = c->is_send_broken = true;
        call_wake(c);
        return;
    }
    if (n > 0) {
        c->activity_ns = now_ns(c);
    }
    c->sent_bytes += (size_t)n;
    if (c->sent_bytes == c->request_bytes) {
        c->is_send_over = c->is_sent_whole = true;
    }
}

/* An upstream that refuses a large body (413) answers and closes: a write into that finds a reset
 * and loses the answer. So what has come is read first. (Not seen under TLS, where quiet means
 * something else: bytes that are no application data.) */
void call_on_writable(struct http_call *c) {
    if (c->is_send_over) {
        return;
    }
    if (!conn_is_tls(c->link->conn) && !conn_is_quiet(c->link->conn)) {
        c->is_send_held = true;
        return;
    }
    call_send(c);
    call_arm(c);
}

static void call_send_held(struct http_call *c) {
    if (c->state == CALL_WAITING && c->is_send_held && c->head.len == 0) {
        c->is_send_held = false;
        call_send(c);
    }
}

static void call_use(struct http_call *c, struct pool_conn *pc, bool is_reused) {
    c->link = pc;
    pc->call = c;
    c->state = CALL_WAITING;
    c->is_reused = is_reused;
    c->sent_bytes = 0;
    c->activity_ns = now_ns(c);
    answer_init(c);
    if (!c->is_paused) {
        conn_read_on(pc->conn);
    }
    call_send(c);
    call_arm(c);
}

/* ---- connecting ---- */

static void on_dialed(void *self, struct conn *conn, const struct dial_timing *timing,
                      const struct err *e) {
    struct http_call *c = self;
    struct http_pool *p = c->pool;
    c->dial = NULL;
    if (!conn) {
        p->n_open--;
        stat_add(&p->stats.connect_fails, 1);
        call_fail(c, e);
        return;
    }
    stat_add(&p->stats.connects, 1);
    stat_add(&p->stats.tls_resumed, timing->tls_resumed);
    c->connect_ns = timing->dns_ns + timing->connect_ns + timing->tls_ns;
    call_use(c, pool_conn_new(p, conn), false);
}

static void call_dial(struct http_call *c) {
    struct http_pool *p = c->pool;
    if (!pool_make_room(p)) {
        struct err e;
        err_set(&e, ERR_LIMIT, "all %u connections to the upstream are in use (max_connections)",
                p->options.max_connections);
        call_doom(c, &e);
        return;
    }
    struct dial_options o = {
        .host = p->origin.host,
        .port = p->origin.port,
        .unix_path = p->origin.unix_path,
        .tls = p->origin.tls,
        .session = p->session,
        .connect_timeout_ns = p->options.connect_timeout_ns,
        .tls_timeout_ns = p->options.tls_timeout_ns,
    };
    c->state = CALL_DIALING;
    p->n_open++;
    c->dial = dial_start(p->loop, &o, on_dialed, c);
}

static bool is_stale_failure(const struct err *e) {
    /* of a connection: FIN without close_notify, which is how many servers end idle ones */
    bool is_tls_cut = e->kind == ERR_PROTOCOL;
    return e->kind == ERR_CLOSED || is_tls_cut || e->os_errno == ECONNRESET || e->os_errno == EPIPE;
}

/* The connection is lost: once more if it was stale, on a fresh one, which cannot be stale; or the
 * call's end. */
static void call_lost(struct http_call *c, const struct err *e) {
    bool is_stale =
        c->state == CALL_WAITING && c->is_reused && !c->any_answer_byte && is_stale_failure(e);
    if (!is_stale || !c->pool->options.retry_stale) {
        call_fail(c, e);
        return;
    }
    stat_add(&c->pool->stats.stale_retries, 1);
    pool_conn_close(c->link);
    c->link = NULL;
    c->is_send_over = c->is_send_broken = c->is_send_held = c->is_sent_whole = false;
    call_dial(c);
}

/* ---- receiving ---- */

/* After bytes were parsed or held back ones delivered (busy is held): what follows. */
static void call_settle(struct http_call *c, int rc, const struct err *e) {
    bool is_over = c->state == CALL_WHOLE && !c->is_paused && !answer_has_rest(c);
    if (rc == 0 && c->got_body && c->state != CALL_DEAD && !is_over) {
        c->activity_ns = now_ns(c);
        if (c->cb.on_batch_end) {
            c->cb.on_batch_end(c->self);
        }
    }
    c->busy--;
    if (c->state == CALL_DEAD) {
        call_let_go(c);
    } else if (rc < 0) {
        call_fail(c, e);
    } else if (c->state != CALL_WHOLE) {
        call_send_held(c);
        call_arm(c);
    } else if (!c->is_paused && !answer_has_rest(c)) {
        if (c->inflater && !inflater_may_end(c->inflater)) {
            struct err cut;
            err_set(&cut, ERR_PROTOCOL, "the answer's encoded body is cut");
            call_fail(c, &cut);
        } else {
            call_end(c);
        }
    }
}

void call_on_bytes(struct http_call *c, struct slice bytes) {
    struct err e;
    c->busy++;
    c->any_answer_byte = true;
    c->got_body = false;
    c->was_read_full = bytes.len >= c->pool->options.read_bytes;
    int rc = answer_feed(c, bytes, &e);
    call_settle(c, rc, &e);
}

static void call_drain(struct http_call *c) {
    struct err e;
    c->is_resuming = false;
    c->busy++;
    c->got_body = false;
    int rc = answer_drain(c, &e);
    if (rc == 0 && c->link && !c->is_paused) {
        conn_read_on(c->link->conn);
    }
    call_settle(c, rc, &e);
}

void call_whole(struct http_call *c, bool has_stray) {
    struct pool_conn *pc = c->link;
    c->link = NULL;
    c->state = CALL_WHOLE;
    bool is_clean = c->is_kept_alive && !c->must_not_reuse && !has_stray && c->is_sent_whole;
    if (is_clean && (!c->was_read_full || conn_is_quiet(pc->conn))) {
        pool_conn_park(pc);
    } else {
        pool_conn_close(pc);
    }
}

static const char *where_closed(const struct http_call *c) {
    return c->any_answer_byte ? "in the middle of the answer" : "the connection without an answer";
}

void call_on_eof(struct http_call *c) {
    c->busy++;
    c->got_body = false;
    bool is_answer_whole = answer_finish(c);
    if (is_answer_whole) {
        call_settle(c, 0, NULL);
        return;
    }
    c->busy--;
    struct err e;
    err_set(&e, ERR_CLOSED, "upstream closed %s", where_closed(c));
    call_lost(c, &e);
}

void call_on_gone(struct http_call *c, const struct err *gone) {
    struct err e = {.kind = ERR_NONE};
    bool is_reset = gone->os_errno == ECONNRESET || gone->os_errno == EPIPE;
    err_set(&e, is_reset ? ERR_CLOSED : gone->kind, "upstream closed %s: %.150s",
            where_closed(c), gone->text);
    e.os_errno = gone->os_errno;
    call_lost(c, &e);
}

/* ---- the app's side ---- */

static void call_copy_request(struct http_call *c, const struct http_call_request *r) {
    c->method = r->method;
    c->first_byte_timeout_ns = r->first_byte_timeout_ns;
    c->idle_timeout_ns = r->idle_timeout_ns;
    c->n_body = r->n_body;
    c->request_bytes = c->request_head.len;
    for (unsigned i = 0; i < r->n_body; i++) {
        c->body[i] = r->body[i];
        c->request_bytes += r->body[i].len;
    }
}

struct http_call *http_call_start(struct http_pool *p, const struct http_call_request *r,
                                  const struct http_call_callbacks *cb, void *self) {
    struct http_call *c = pool_call_new(p);
    c->cb = *cb;
    c->self = self;
    stat_add(&p->stats.calls, 1);
    stat_add(&p->stats.active, 1);
    struct err e;
    int rc = p->is_closed ? err_set(&e, ERR_CANCELLED, "the connection pool was closed")
                          : request_head_write(&p->origin, r, &c->request_head, &e);
    if (rc < 0) {
        call_doom(c, &e);
        return c;
    }
    call_copy_request(c, r);
    struct pool_conn *idle = r->fresh ? NULL : pool_take_idle(p);
    if (idle) {
        stat_add(&p->stats.reuses, 1);
        call_use(c, idle, true);
    } else {
        call_dial(c);
    }
    return c;
}

void http_call_pause(struct http_call *c) {
    c->is_paused = true;
    if (c->link) {
        conn_read_off(c->link->conn);
    }
}

void http_call_resume(struct http_call *c) {
    if (!c->is_paused) {
        return;
    }
    c->is_paused = false;
    c->activity_ns = now_ns(c);
    if (c->state == CALL_WHOLE || answer_has_rest(c)) {
        c->is_resuming = true;
        call_wake(c);
        return;
    }
    if (c->link) {
        conn_read_on(c->link->conn);
        call_arm(c);
    }
}

size_t http_call_kernel_bytes(const struct http_call *c) {
    return c->link ? conn_kernel_bytes(c->link->conn) : 0;
}
