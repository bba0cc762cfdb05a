/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 server, one instance a worker. It parses, limits and frames; what to answer is the
 * application's business.
 *
 * One request's life:
 *   on_head      request line and headers are in. The app may respond at once (the body is then not
 *                read; the connection closes after the response unless the rest is small and
 *                already here), or say nothing: the body is collected, "100 Continue" is sent if
 *                asked.
 *   on_request   the body is whole (possibly empty). The app responds now or later.
 *   on_writable  all queued response bytes are out: a producer that was told to wait may go on.
 *                Never inside a call of the app's.
 *   on_cancel    the client is gone (FIN, RST, error, write timeout) before the response ended, or
 *                the server refused the rest of the body and answers that itself (bad chunk 400,
 *                too slow 408, too large 413). The request is dead: the app must not touch it after
 *                this returns. Never inside a call of the app's, except http_server_close_all.
 *   on_done      the response is completely handed to the kernel, or the app aborted it. Last call,
 *                always, unless on_cancel was.
 * A request is valid from on_head until on_cancel or on_done returns. ex->app is the app's own
 * pointer. Responses of pipelined requests leave in request order: the next request is not parsed
 * before the one before it is done.
 *
 * While a response is in flight the connection watches for the client's leaving (RDHUP), whether or
 * not it is being written to. A client that half-closes after its request counts as gone.
 *
 * Refused by the server itself, with the right status, before the app sees anything: malformed
 * requests 400, both Content-Length and Transfer-Encoding, doubled or differing Content-Length,
 * Transfer-Encoding on HTTP/1.0 or other than "chunked", obs-fold, missing/doubled/invalid Host
 * (HTTP/1.1), bad chunks 400, request line too long 414, headers too many or too large 431, body
 * too large 413, slow head or body 408, an Expect other than 100-continue 417, CONNECT 501, HTTP/2
 * preface and unknown versions 505; upgrade requests are answered as plain ones. Of a request with
 * two faults either may be named. Refusals close the connection, after the client has had time to
 * read them. Error bodies come from app.format_error, so that they have the API's shape. Rules: RFC
 * 9110, RFC 9112.
 *
 * One loop's thread. The app may call any response function from inside any callback. */
#ifndef PENSTOCK_HTTP_SERVER_H
#define PENSTOCK_HTTP_SERVER_H

#include "base/arena.h"
#include "base/bytes.h"
#include "http/message.h"
#include "net/conn.h"

struct http_server;
struct http_exchange;

struct http_limits {
    size_t request_line_bytes;     /* 414; default 8 KiB */
    size_t header_bytes;           /* all headers with names; 431; default 64 KiB */
    unsigned header_count;         /* 431; default 128 */
    size_t body_bytes;             /* 413; default 32 MiB */
    /* from the first byte (or accept) to the end of the head; 408; default 10 s */
    int64_t head_timeout_ns;
    int64_t body_timeout_ns;       /* longest silence inside a body; 408; default 30 s */
    int64_t body_total_timeout_ns; /* whole body; default 300 s */
    int64_t idle_timeout_ns;       /* keep-alive; default 75 s */
    /* longest time without the client taking a byte while some are queued; default 300 s */
    int64_t write_timeout_ns;
    /* per server instance; 0: no limit. More are answered 503 and closed. */
    unsigned max_connections;
    unsigned max_connections_per_ip; /* 0: no limit */
};
void http_limits_default(struct http_limits *out);

/* What the app sees of a request. Everything lives in ex->arena or in the body. */
struct http_exchange {
    void *app;                     /* the app's own */
    /* the request's memory; the app may allocate from it. See http_exchange_drop_request. */
    struct arena *arena;
    enum http_method method;
    struct slice method_text;
    struct slice target;           /* as sent: "/v1/models?limit=2" or an absolute form */
    /* without query, absolute form reduced to its path; not decoded */
    struct slice path;
    struct slice query;            /* behind '?', may be empty */
    struct http_headers headers;
    unsigned version_minor;        /* HTTP/1.<minor> */
    struct bytes *body;            /* whole; NULL when empty. Owned by the exchange */
    /* the Host header, or an absolute form's authority: RFC 9112 3.2.2 */
    struct slice host;
    int64_t start_ns;              /* loop time at the first byte of the head */
    int64_t ready_ns;              /* loop time when the body was whole */
    struct addr client;
    bool is_tls;
    bool is_unix;
};

struct http_app {
    void (*on_head)(void *self, struct http_exchange *ex);
    void (*on_request)(void *self, struct http_exchange *ex);
    void (*on_writable)(void *self, struct http_exchange *ex);
    void (*on_cancel)(void *self, struct http_exchange *ex);
    void (*on_done)(void *self, struct http_exchange *ex);
    /* Body of an error that the server itself answers; appends to out; content type by
     * *out_content_type (static string). about: what is known of the request, nothing but path and
     * headers, both as far as they came and empty before; behind its on_cancel if it had one. */
    void (*format_error)(void *self, unsigned status, const char *message,
                         const struct http_exchange *about, struct buf *out,
                         const char **out_content_type);
    void *self;
};

struct http_server *http_server_new(struct loop *l, const struct http_limits *limits,
                                    const struct http_app *app);
/* What the date header says, Unix epoch, instead of clock_wall_ns. */
void http_server_set_date(struct http_server *s, int64_t (*wall_ns)(void *self), void *self);
/* Takes an accepted descriptor of any listener. Over a cap: 503 and closed (TLS: just closed). */
void http_server_accept(struct http_server *s, int fd, const struct addr *from,
                        struct tls_context *tls);
/* Stop keeping connections: idle ones close now, the others after their response (`connection:
 * close`). */
void http_server_drain(struct http_server *s);
/* Closes all. on_cancel runs for each request that is in flight. */
void http_server_close_all(struct http_server *s);
/* after close_all; not from inside a callback */
void http_server_free(struct http_server *s);
struct http_server_stats {
    /* relaxed, single writer */
    _Atomic uint64_t accepted, closed, refused, requests, bad_requests;
    _Atomic uint64_t connections_open, responses_open;
};
const struct http_server_stats *http_server_stats(const struct http_server *s);

/* ---- responses ---- */

struct http_response {
    unsigned status;
    /* without content-length, transfer-encoding, connection and date: the server's. Invalid ones
     * are left out. */
    const struct http_header *headers;
    unsigned n_headers;
};

/* A whole response in one write: head + body (borrowed until return). For HEAD the body's length is
 * told and the body not sent. */
void http_respond(struct http_exchange *ex, const struct http_response *r, struct slice body);

/* A response whose body comes in pieces. content_length >= 0 announces it; -1: chunked (HTTP/1.0:
 * until close). The head is not sent alone: it leaves with the first http_write, http_flush_head or
 * http_end of this turn. */
void http_start(struct http_exchange *ex, const struct http_response *r, int64_t content_length);
void http_flush_head(struct http_exchange *ex);
bool http_started(const struct http_exchange *ex);
/* Writes the slices as one HTTP chunk. Borrowed until return: what the kernel does not take is
 * copied to the exchange's queue. Returns 1: all is out; 0: something is queued — stop producing
 * until on_writable (writing more is allowed up to the queue's cap, 1 MiB + one call's bytes, then
 * the connection is aborted); < 0: the client is gone (on_cancel follows or has run). Several
 * writes in one turn may be gathered by http_cork/http_uncork: nothing is sent until uncork. */
int http_write(struct http_exchange *ex, const struct slice *pieces, unsigned n_pieces) MUST_CHECK;
void http_cork(struct http_exchange *ex);
int http_uncork(struct http_exchange *ex) MUST_CHECK;
/* Ends the body well. on_done follows, possibly before this returns. */
void http_end(struct http_exchange *ex);
/* Breaks the response so that the client must see it as incomplete (no last chunk, RST). on_done
 * follows, possibly before this returns. */
void http_abort(struct http_exchange *ex);
size_t http_queued_bytes(const struct http_exchange *ex);

/* ---- raw responses: for who wants to break the rules of HTTP ---- */

/* From here on http_write passes bytes exactly as they are: interim responses, head, framing and
 * all are the caller's, and nothing is checked. Instead of http_start, with everything else as
 * there: the queue, cork, on_writable, on_cancel. */
void http_start_raw(struct http_exchange *ex);
enum http_raw_end {
    /* behind the last byte comes the next request; as FIN when the client wants no other, the
     * request's body was not read, or the server drains */
    HTTP_RAW_KEEP,
    HTTP_RAW_FIN,      /* behind the last byte; TLS says goodbye first */
    HTTP_RAW_RST,      /* at once: what is queued is lost */
    HTTP_RAW_DROP      /* at once, an orderly FIN without TLS's goodbye: a truncation, with TLS */
};
/* Ends a raw response, or any other that is not started or not ended: RST and DROP. on_done
 * follows, possibly before this returns. */
void http_end_raw(struct http_exchange *ex, enum http_raw_end how);
/* Frees arena and body: for long streams whose request is no longer needed. method, host, client…
 * (slices into the arena) become empty. */
void http_exchange_drop_request(struct http_exchange *ex);

#endif
