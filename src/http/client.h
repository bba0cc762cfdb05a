/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 client with a connection pool per worker and origin.
 *
 * A call's life: http_call_start → (connect or reuse) → request sent → on_head once → on_body … →
 * on_end once, or on_fail once at any time. 1xx answers are skipped. Bodies: Content-Length,
 * chunked, close-delimited; Transfer-Encoding is ignored on HTTP/1.0 answers; an answer with both
 * lengths is taken as chunked and its connection not reused; anything else that is malformed is
 * ERR_PROTOCOL. content-encoding gzip and deflate are decoded although never asked for (limit:
 * decoded size is the reader's business, the ratio is capped at 1000:1 beyond 1 MiB). Never inside
 * http_call_start: callbacks run from the loop only. After on_end or on_fail the call is gone.
 *
 * Reuse and retry: LIFO; idle connections are watched and dropped on FIN or stray bytes, after
 * idle_timeout, and after max_age. When a reused connection fails with RST, EPIPE or FIN before any
 * answer byte, the request is sent once more on a fresh connection (counted; switch: retry_stale).
 * Never after a timeout, never after a byte. The request body must stay valid until on_head,
 * on_fail or cancel.
 *
 * Backpressure: http_call_pause stops reading the connection, and no on_head, on_body or on_end
 * comes until http_call_resume; what the last read brought already (one read at most) is kept
 * meanwhile. http_call_resume goes on (delivery happens from the loop, not inside). on_fail may
 * come while paused. No timeout runs then.
 *
 * Limits (ERR_LIMIT): heads of max_head_bytes and 256 headers, trailers of max_head_bytes. At most
 * 64 1xx answers (ERR_PROTOCOL). A transfer-encoding other than the one word "chunked" is
 * ERR_PROTOCOL, and so is an encoded body that ends before its time. An answer that comes before
 * the request is wholly sent ends the sending; the connection is not reused.
 *
 * Callbacks may call anything here: cancel, pause or resume their call, start others (in on_end on
 * the very connection), close the pool. One loop's thread. */
#ifndef PENSTOCK_HTTP_CLIENT_H
#define PENSTOCK_HTTP_CLIENT_H

#include "http/message.h"
#include "net/conn.h"

struct http_pool;
struct http_call;

struct http_origin {
    struct slice scheme_host;       /* for the Host header: "api.openai.com" or "127.0.0.1:9000" */
    struct slice host;              /* to dial */
    uint16_t port;
    struct slice unix_path;         /* not empty: dial this instead */
    struct tls_context *tls;        /* borrowed; NULL: plain */
};

struct http_pool_options {
    unsigned max_idle;                 /* default 1024 */
    /* open at once, 0: no limit; a call above it fails with ERR_LIMIT */
    unsigned max_connections;
    int64_t idle_timeout_ns;           /* default 55 s: under common servers' 60 s */
    int64_t max_age_ns;                /* default 10 min, spread by ±10 % */
    int64_t connect_timeout_ns;        /* default 5 s */
    int64_t tls_timeout_ns;            /* default 5 s */
    bool retry_stale;                  /* default true */
    size_t max_head_bytes;             /* default 64 KiB */
    size_t read_bytes;                 /* per recv; default 16 KiB */
};
void http_pool_options_default(struct http_pool_options *out);

/* Copies what it needs of origin and options. */
struct http_pool *http_pool_new(struct loop *l, const struct http_origin *origin,
                                const struct http_pool_options *options);
/* Idle connections close; running calls fail with ERR_CANCELLED: their on_fail runs inside. NULL is
 * fine. */
void http_pool_close(struct http_pool **p);
struct http_pool_stats {
    /* relaxed, single writer */
    _Atomic uint64_t calls, connects, connect_fails, reuses, stale_retries, cancels, tls_resumed;
    _Atomic uint64_t idle, active;
};
const struct http_pool_stats *http_pool_stats(const struct http_pool *p);

struct http_answer {
    unsigned status;
    unsigned version_minor;          /* HTTP/1.<minor> */
    struct http_headers headers;     /* valid until on_head returns */
    int64_t content_length;          /* -1: not told */
    bool is_reused;                  /* came over a connection that had served before */
    /* gzip or deflate, decoded for you: content-length and content-encoding don't apply */
    bool was_encoded;
    int64_t connect_ns;              /* DNS + TCP + TLS of this call; 0 when reused */
};

struct http_call_callbacks {
    void (*on_head)(void *self, const struct http_answer *answer);
    /* borrowed; decoded of framing and encoding */
    void (*on_body)(void *self, struct slice bytes);
    /* All of the bytes that one read brought have been given to on_body, or all up to a pause:
     * flush now. Not called after, nor before, an on_end/on_fail that the same read brought. May be
     * NULL. */
    void (*on_batch_end)(void *self);
    void (*on_end)(void *self);
    void (*on_fail)(void *self, const struct err *e, bool any_answer_byte);
};

struct http_call_request {
    enum http_method method;
    struct slice target;                   /* "/v1/chat/completions?x=y" */
    /* Copied. host, content-length, connection and transfer-encoding are ours: left out. Names and
     * values that must not be written fail the call with ERR_USAGE, and so does a bad target. */
    const struct http_header *headers;
    unsigned n_headers;
    /* pieces, borrowed until on_head, on_fail or cancel; the array itself is copied (at most 8) */
    const struct slice *body;
    unsigned n_body;
    /* request sent → head complete; also the longest that the upstream may take no byte of the
     * request. ERR_TIMEOUT; 0: none */
    int64_t first_byte_timeout_ns;
    /* longest silence between body bytes while not paused; 0: none */
    int64_t idle_timeout_ns;
    bool fresh;                            /* don't reuse */
};

/* Never NULL; failures come by on_fail, later. Copies cb. */
struct http_call *http_call_start(struct http_pool *p, const struct http_call_request *r,
                                  const struct http_call_callbacks *cb, void *self);
void http_call_pause(struct http_call *c);
void http_call_resume(struct http_call *c);
/* Stops the call; its connection is closed at once (it is reused only if the answer was complete).
 * No callback after it. Clears the pointer; NULL is fine. */
void http_call_cancel(struct http_call **c);
size_t http_call_kernel_bytes(const struct http_call *c);

#endif
