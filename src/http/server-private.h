/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the server: the request parser, the connection, and how its files call one another.
 *
 *   server.c           the server object: accept, caps, drain, deferred work
 *   server_conn.c      one connection: bytes in → parser → application → next request; timers; ends
 *   server_parse.c     request parser on llhttp, plus the rules that llhttp leaves to us. No I/O.
 *   server_response.c  responses: heads, chunks, the output queue
 *   server_peers.c     open connections by client address
 *
 * A connection's states (the arrows that any state has, → CLOSED, are left out):
 *
 *   IDLE ──byte──▶ HEAD ──head whole──▶ BODY ──body whole──▶ RESPONSE ──last byte to the kernel──▶ IDLE
 *                    │                    │ app answers early    │ connection: close
 *                    └─refused─▶ FLUSH ◀──┴─refused              ▼
 *                                  └──────all out─────────────▶ LINGER ──FIN, 256 KiB or 2 s──▶ CLOSED
 *
 * Reads are on in IDLE, HEAD, BODY and LINGER; in RESPONSE and FLUSH they are off and the client's
 * leaving is watched. server_conn_settle brings reads and deadline in line with the state; every
 * path that comes from outside ends with it. */
#ifndef PENSTOCK_HTTP_SERVER_PRIVATE_H
#define PENSTOCK_HTTP_SERVER_PRIVATE_H

#include <llhttp.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "http/server.h"

/* ---- request parser ---- */

struct header_span {
    struct span name, value;
};

enum parse_result {
    PARSE_MORE,     /* all bytes used, the request is not whole */
    /* the head is whole and keeps the rules: take it now, before the input goes away */
    PARSE_HEAD,
    PARSE_DONE,     /* the body is whole */
    PARSE_FAILED,   /* fail_status and fail_text say why; sticky until reset */
};

enum parse_phase {
    PARSE_AT_START, /* before the first byte of a request */
    PARSE_IN_HEAD,
    PARSE_AT_BODY,  /* the head is reported, nothing behind it is looked at */
    PARSE_IN_BODY,
    PARSE_AT_END,
    PARSE_AT_FAILURE,
};

/* What the head says about its request. Slices point into the head. */
struct request_facts {
    enum http_method method;
    unsigned version_minor;
    struct slice method_text, target, path, query, host;
    int64_t content_length;     /* 0 when there is no body, -1 when it is chunked */
    bool keeps_alive;
    bool expects_continue;
};

/* Shared by all parsers of a server: dead after the next feed of any of them. */
struct parse_scratch {
    struct request_facts facts;
    struct header_span headers[];     /* limits->header_count */
};

struct request_parser {
    llhttp_t llhttp;
    const struct http_limits *limits;
    struct parse_scratch *scratch;
    /* scratch->headers, or own once the head is split over reads */
    struct header_span *headers;
    struct header_span *own;
    struct buf raw;                   /* head bytes of earlier reads, when the head is split */
    const char *in;                   /* the current feed's input */
    const char *head;                 /* the whole head, after PARSE_HEAD until the next feed */
    uint32_t raw_len;                 /* head bytes before `in` */
    uint32_t head_len;
    uint32_t line_len;                /* request line with its CRLF; 0: not whole yet */
    uint32_t n_headers;
    struct span target;
    uint32_t version_off;
    bool in_name;
    bool skip_body;                   /* bodies are framed but not kept */
    uint8_t phase;                    /* enum parse_phase */
    uint16_t fail_status;
    const char *fail_text;            /* static */
    struct bytes *body;               /* capacity is body->len; body_len of it are filled */
    size_t body_len;
    int64_t content_length;           /* as in request_facts */
    uint64_t wire_len;                /* body bytes with their framing */
};

/* limits and scratch are borrowed for the parser's life. */
void request_parser_init(struct request_parser *p, const struct http_limits *limits,
                         struct parse_scratch *scratch);
struct parse_scratch *parse_scratch_new(const struct http_limits *limits);   /* mem_free */
/* for the next request; frees what it holds */
void request_parser_reset(struct request_parser *p);
void request_parser_dispose(struct request_parser *p);    /* may be used again after reset */
/* Of a head that is not whole, or was refused in this feed: path and headers as far as they came
 * and are in one piece. items: room for SEEN_MAX_HEADERS. */
#define SEEN_MAX_HEADERS 64
void request_parser_seen(const struct request_parser *p, struct http_header *items,
                         struct http_exchange *out);
/* Any split is valid. An empty input after PARSE_HEAD tells whether the request has no body.
 * Nothing behind the end of a request, or of a head, is looked at. Allocates for split heads and
 * for bodies only. */
enum parse_result request_parser_feed(struct request_parser *p, struct slice in, size_t *out_used);
/* After PARSE_HEAD, before any other feed: copies the head and its header list into the arena. */
void request_parser_take_head(struct request_parser *p, struct arena *a,
                              struct request_facts *out_facts, struct http_headers *out_headers);
/* After PARSE_DONE: the body, NULL when it is empty. The caller's reference. */
struct bytes *request_parser_take_body(struct request_parser *p);

/* ---- clients by address ---- */

struct peer_table;
struct peer_table *peer_table_new(uint64_t seed);
void peer_table_free(struct peer_table **t);
/* Counts one more connection of this host (IPv6: of this /64) unless it has `max` already: then
 * false. */
bool peer_table_add(struct peer_table *t, const struct addr *a, unsigned max);
void peer_table_remove(struct peer_table *t, const struct addr *a);

/* ---- server and connection ---- */

enum server_conn_state {
    CONN_IDLE,
    CONN_HEAD,
    CONN_BODY,
    CONN_RESPONSE,
    CONN_FLUSH,
    CONN_LINGER,
    CONN_CLOSED
};

enum body_framing { FRAMING_NONE, FRAMING_LENGTH, FRAMING_CHUNKED, FRAMING_UNTIL_CLOSE };

/* The application's exchange, and what the server keeps beside it. */
struct server_exchange {
    struct http_exchange pub;
    struct server_conn *conn;
    uint64_t body_left;         /* FRAMING_LENGTH: announced and not yet written */
    uint8_t framing;            /* enum body_framing, once started */
    bool is_started;
    bool is_ended;              /* the app has said all; on_done comes when it is out */
    bool is_corked;
    bool is_waiting;            /* the app was told to wait for on_writable */
    bool keeps_alive;           /* the client would */
};

struct server_conn {
    struct server_conn *prev, *next;       /* all of a server's */
    struct server_conn *next_deferred;
    struct http_server *server;
    struct conn *conn;                     /* NULL once closed */
    /* the one in work, NULL between two and after it was answered */
    struct server_exchange *exchange;
    struct request_parser parser;
    struct byteq out;
    /* read already, belongs to the next request; reads are off while it is not empty */
    struct buf surplus;
    struct timer timer;
    int64_t since_ns;                      /* when the state's clock began */
    int64_t active_ns;                     /* last byte in (BODY) or out (while blocked) */
    int64_t head_ns;                       /* first byte of the current head */
    size_t linger_left;
    unsigned pins;                         /* callers up the stack, and the deferred list */
    uint8_t state;                         /* enum server_conn_state */
    bool is_reading;
    bool is_running;                       /* the loop in conn_run is on the stack */
    bool is_deferred;
    bool is_fresh;                         /* no request came on it so far */
    /* the kernel took less than all: conn's on_writable will come */
    bool is_blocked;
    /* a write failed or the queue is over its cap: on_cancel is on its way */
    bool is_lost;
    bool close_after;                      /* this response is the last */
    bool request_done;
    /* the body not parsed yet is wholly in the input at hand */
    bool rest_is_here;
    bool is_tls, is_unix;
    bool is_refusal;                       /* over a cap: gets 503, counts for nothing */
    bool is_counted;                       /* in the peer table */
    union {
        struct sockaddr sa;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
    } client;
};

struct http_server {
    struct loop *loop;
    struct http_limits limits;
    struct http_app app;
    int64_t (*wall_ns)(void *self);   /* of the date header; NULL: clock_wall_ns */
    void *wall_self;
    struct server_conn *conns;
    struct peer_table *peers;              /* NULL without a limit */
    struct parse_scratch *scratch;
    struct buf head;                       /* where response heads are made */
    struct loop_task task;
    struct server_conn *deferred, *deferred_last;
    bool is_task_posted;
    bool is_draining;
    bool is_freed;                         /* http_server_free came while the task was posted */
    unsigned open_count, refusal_count;
    int64_t date_s;                        /* the second that `date` tells */
    char date[32];
    struct http_server_stats stats;
};

static inline void stat_add(_Atomic uint64_t *counter, int64_t n) {
    /* One writer: no need for a locked instruction. */
    const uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, now + (uint64_t)n, memory_order_relaxed);
}

/* server.c */
/* server_conn_run_deferred at the end of this turn */
void server_defer(struct server_conn *c);
void server_forget(struct server_conn *c);             /* out of the lists and counts */

/* server_conn.c */
struct server_conn *server_conn_new(struct http_server *s, int fd, const struct addr *from,
                                    struct tls_context *tls, bool is_refusal);
void server_conn_client(const struct server_conn *c, struct addr *out);
void server_conn_pin(struct server_conn *c);
void server_conn_unpin(struct server_conn *c);         /* may free it */
void server_conn_run_deferred(struct server_conn *c);
void server_conn_settle(struct server_conn *c);
void server_conn_refuse(struct server_conn *c, unsigned status, const char *text);
/* The client is gone: on_cancel if a request is in work, then closed. */
void server_conn_gone(struct server_conn *c);
/* CLOSE_SILENT: TLS says no goodbye */
enum server_close { CLOSE_WELL, CLOSE_RESET, CLOSE_SILENT };
void server_conn_close(struct server_conn *c, enum server_close how);   /* no callbacks */
/* gone, but said later: the app is on the stack */
void server_conn_lose(struct server_conn *c);
void server_conn_response_started(struct server_conn *c);
/* the last byte is out, or will never be: on_done */
void server_conn_response_out(struct server_conn *c);

/* server_response.c */
/* 1: all out; 0: queued; -1: lost. Empty pieces are fine. */
int server_conn_send(struct server_conn *c, const struct iovec *iov, int n_iov);
int server_conn_flush(struct server_conn *c);
void server_conn_send_error(struct server_conn *c, unsigned status, const char *text,
                            const struct http_exchange *about, bool has_body);

#endif
