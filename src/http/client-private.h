/* SPDX-License-Identifier: Apache-2.0 */
/* What the client's files share. Nothing outside src/http includes this.
 *
 *   client.c          a call's life: start, dial or reuse, send, time out, retry, end
 *   client_request.c  the request's head as bytes
 *   client_answer.c   answer bytes → on_head, on_body (llhttp)
 *   pool.c            the pool, its connections, and the idle ones among them
 *
 * Who owns what: a pool owns its pool_conns. A pool_conn is idle (in pool->newest …) or lent to one
 * call (call->link). A call is in pool->running from its start until its last callback; its memory
 * then goes to pool->spare, or, when the call ends inside one of its own callbacks, as soon as that
 * has unwound (busy counts the frames that still hold it). Each call's memory counts as a reference
 * to the pool, so that a pool which is closed inside a callback outlives that callback. */
#ifndef PENSTOCK_HTTP_CLIENT_PRIVATE_H
#define PENSTOCK_HTTP_CLIENT_PRIVATE_H

#include <llhttp.h>
#include <stdatomic.h>

#include "base/wheel.h"
#include "http/client.h"
#include "http/inflate.h"

#define CALL_MAX_BODY_PIECES 8
#define CALL_MAX_HEADERS 256          /* of an answer; ERR_LIMIT above */
#define CALL_MAX_INTERIM 64           /* 1xx answers before the final one */
#define CALL_MAX_REQUEST_HEAD (256 * 1024)

struct pool_conn {
    struct http_pool *pool;
    struct conn *conn;
    struct http_call *call;             /* NULL: idle */
    struct pool_conn *newer, *older;    /* idle list */
    /* fires at or before the idle deadline; may be active while lent out */
    struct timer timer;
    int64_t idle_since_ns;
    int64_t expires_ns;
};

enum call_state {
    CALL_DOOMED,    /* never got going: on_fail with c->doom comes from the loop */
    CALL_DIALING,
    CALL_WAITING,   /* the request is on its way or sent; no final head yet */
    CALL_BODY,      /* on_head has run */
    /* the answer's last byte is parsed and the connection returned; a pause may hold back the rest
     * and on_end */
    CALL_WHOLE,
    CALL_DEAD,      /* ended or cancelled: no callback may run any more */
};

/* One header while its head is being parsed: offsets from the head's first byte. */
struct header_span {
    struct span name, value;
};

struct http_call {
    struct http_pool *pool;
    struct http_call *prev, *next;      /* pool->running; pool->spare uses next alone */
    struct http_call_callbacks cb;
    void *self;
    struct pool_conn *link;             /* CALL_WAITING and CALL_BODY only */
    struct dial *dial;                  /* CALL_DIALING only */
    struct err *doom;
    enum call_state state;
    unsigned busy;                      /* frames on the stack that hold this call */

    /* is_resuming: the timer is set to deliver what a pause held back */
    bool is_paused, is_resuming;
    bool is_reused;
    bool is_send_over;                  /* all sent, or given up for good */
    bool is_sent_whole;
    bool is_send_broken;                /* the write failed: the timer will tell */
    bool is_send_held;                  /* room to write, but something to read came first */
    bool any_answer_byte;
    bool got_body;                      /* in the current batch */
    bool is_interim, is_complete, is_kept_alive, is_value_open, is_name_open;
    bool must_not_reuse;
    /* the last read filled its buffer: more may be in the socket */
    bool was_read_full;

    /* timing */
    /* lazy: fires at or before the deadline, then looks again */
    struct timer timer;
    /* the last progress that the current timeout is counted from */
    int64_t activity_ns;
    int64_t first_byte_timeout_ns, idle_timeout_ns;
    int64_t connect_ns;

    /* request */
    enum http_method method;
    struct buf request_head;
    struct slice body[CALL_MAX_BODY_PIECES];
    unsigned n_body;
    size_t request_bytes, sent_bytes;

    /* answer */
    llhttp_t parser;
    /* start of the bytes in the parser: head offsets count from here, plus head.len */
    const char *read_base;
    struct buf head;                    /* earlier reads of a head that came in several */
    struct header_span *spans;          /* kept by a spare call */
    unsigned n_spans, cap_spans;
    unsigned n_interim;
    size_t trailer_bytes;
    /* while the parser runs: where its callbacks put the reason */
    struct err *parse_err;
    struct buf rest;                    /* body bytes that a pause held back: at most one read's */
    struct inflater *inflater;          /* NULL: the body is not encoded */
};

struct http_pool {
    struct loop *loop;
    struct http_origin origin;          /* slices point into `strings` */
    char *strings;
    struct http_pool_options options;
    struct tls_session_slot *session;
    struct http_pool_stats stats;
    struct pool_conn *newest, *oldest;  /* idle, LIFO from newest */
    struct http_call *running, *last_running;   /* doomed ones at the end */
    struct http_call *spare;
    unsigned n_spare, n_idle;
    unsigned n_open;                    /* connections and dials */
    unsigned n_calls;                   /* living calls, unwinding ones included */
    bool is_closed;
};

static inline void stat_add(_Atomic uint64_t *counter, int64_t by) {
    /* One writer: a plain load and store, no locked instruction. */
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, now + (uint64_t)by, memory_order_relaxed);
}

/* ---- pool.c ---- */

/* A zeroed call whose buffers may have storage from earlier use, in pool->running. */
struct http_call *pool_call_new(struct http_pool *p);
/* Gives the memory back; may free a closed pool. Not before busy is 0. */
void pool_call_recycle(struct http_call *c);
/* Out of pool->running. */
void pool_call_unlist(struct http_call *c);
/* Behind the calls that still run, so that pool_close finds those first. */
void pool_call_list_last(struct http_call *c);

/* The newest idle connection that is fit for use, or NULL. */
struct pool_conn *pool_take_idle(struct http_pool *p);
/* May one more be opened? Closes an idle one when that makes the room. */
bool pool_make_room(struct http_pool *p);
struct pool_conn *pool_conn_new(struct http_pool *p, struct conn *conn);
/* From its call back to the idle list; the oldest idle one is closed when they are too many. */
void pool_conn_park(struct pool_conn *pc);
void pool_conn_close(struct pool_conn *pc);

/* ---- client_request.c ---- */

int request_head_write(const struct http_origin *o, const struct http_call_request *r,
                       struct buf *out, struct err *e) MUST_CHECK;

/* ---- client_answer.c ---- */

void answer_init(struct http_call *c);
/* Parses one read's bytes; callbacks run. 0 or negative with e filled; c->state tells CALL_WHOLE
 * and CALL_DEAD. */
int answer_feed(struct http_call *c, struct slice bytes, struct err *e) MUST_CHECK;
/* The connection ended in good order: true when that also ends the answer. */
bool answer_finish(struct http_call *c);
/* Delivers what a pause held back, until it is paused again. */
int answer_drain(struct http_call *c, struct err *e) MUST_CHECK;
bool answer_has_rest(const struct http_call *c);

/* ---- client.c: what a connection tells the call that it is lent to ---- */

void call_on_bytes(struct http_call *c, struct slice bytes);
void call_on_writable(struct http_call *c);
void call_on_eof(struct http_call *c);
void call_on_gone(struct http_call *c, const struct err *e);
/* Ends the call with on_fail. */
void call_fail(struct http_call *c, const struct err *e);
/* The answer's last byte is parsed: state becomes CALL_WHOLE, the connection goes back or is
 * closed. has_stray: bytes followed it. */
void call_whole(struct http_call *c, bool has_stray);

#endif
