/* SPDX-License-Identifier: Apache-2.0 */
/* A scripted HTTP server on the sockets of net/loop.h, and a call that notes all that it hears, for
 * tests of the client on either loop.
 *
 * The server answers the nth whole request (over all connections) with the nth reply of its script:
 * bytes, and what to do then. */
#ifndef PENSTOCK_TESTS_HTTP_SCRIPT_H
#define PENSTOCK_TESTS_HTTP_SCRIPT_H

#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "http/client.h"
#include "net/loop.h"

enum script_then { THEN_KEEP, THEN_FIN, THEN_RST };

struct script_reply {
    struct slice bytes;
    enum script_then then;
    bool at_head;            /* answers once the request's head is in, and reads no more */
    bool before_reading;     /* closes at the first byte, without reading it */
};

#define SCRIPT_MAX_CONNS 64
#define SCRIPT_MAX_REPLIES 64

struct script_conn {
    struct script *script;
    struct sock *sock;
    unsigned index;
    struct buf in, out;
    size_t request_bytes;          /* whole request's size once its head is in; 0 before */
    enum script_then then;
    bool is_answering, is_deaf, is_eof;
};

struct script {
    struct loop *loop;
    struct listener *listener;
    struct script_reply replies[SCRIPT_MAX_REPLIES];
    unsigned n_replies, n_replied;
    struct script_conn conns[SCRIPT_MAX_CONNS];
    unsigned n_conns, n_requests, n_eofs;
    bool never_reads;              /* accepts, and reads nothing */
    struct buf requests;           /* all request bytes, in order */
};

static void script_conn_close(struct script_conn *sc, bool reset) {
    if (reset) {
        sock_close_reset(&sc->sock);
    } else {
        sock_close(&sc->sock);
    }
    buf_dispose(&sc->in);
    buf_dispose(&sc->out);
}

static void script_watch(struct script_conn *sc) {
    if (sc->sock) {
        bool reads = !sc->is_deaf && !sc->is_eof && !sc->script->never_reads;
        sock_watch(sc->sock, (reads ? SOCK_READABLE : 0u) | (sc->out.len > 0 ? SOCK_WRITABLE : 0u));
    }
}

static void script_flush(struct script_conn *sc) {
    while (sc->sock && sc->out.len > 0) {
        struct iovec iov = {sc->out.ptr, sc->out.len};
        struct err e;
        ssize_t n = sock_writev(sc->sock, &iov, 1, &e);
        if (n < 0) {
            script_conn_close(sc, false);
            return;
        }
        if (n == 0) {
            script_watch(sc);
            return;
        }
        buf_consume(&sc->out, (size_t)n);
    }
    if (sc->is_answering) {
        sc->is_answering = false;
        if (sc->then != THEN_KEEP) {
            script_conn_close(sc, sc->then == THEN_RST);
        }
    }
    script_watch(sc);
}

/* Bytes that no request asked for. */
static inline void script_say(struct script_conn *sc, struct slice bytes) {
    if (buf_append(&sc->out, bytes) < 0) {
        abort();
    }
    script_flush(sc);
}

static size_t script_request_size(struct slice in, bool *out_has_head) {
    const char *end = in.len ? memmem(in.ptr, in.len, "\r\n\r\n", 4) : NULL;
    *out_has_head = end != NULL;
    if (!end) {
        return 0;
    }
    size_t head = (size_t)(end - in.ptr) + 4;
    const char *length = memmem(in.ptr, head, "content-length: ", 16);
    return head + (length ? strtoul(length + 16, NULL, 10) : 0);
}

static void script_answer(struct script_conn *sc, const struct script_reply *reply) {
    struct script *s = sc->script;
    s->n_replied++;
    s->n_requests++;
    sc->then = reply->then;
    sc->is_answering = true;
    sc->is_deaf = reply->at_head;
    script_say(sc, reply->bytes);
}

static void script_serve(struct script_conn *sc) {
    struct script *s = sc->script;
    while (sc->sock && !sc->is_answering && !sc->is_deaf && s->n_replied < s->n_replies) {
        const struct script_reply *reply = &s->replies[s->n_replied];
        bool has_head;
        size_t size = script_request_size(buf_slice(&sc->in), &has_head);
        if (!has_head || (sc->in.len < size && !reply->at_head)) {
            return;
        }
        size_t used = sc->in.len < size ? sc->in.len : size;
        if (buf_append(&s->requests, slice_make(sc->in.ptr, used)) < 0) {
            abort();
        }
        buf_consume(&sc->in, used);
        script_answer(sc, reply);
    }
}

static void script_read(struct script_conn *sc) {
    char bytes[4096];
    struct script *s = sc->script;
    struct err e;
    if (s->n_replied < s->n_replies && s->replies[s->n_replied].before_reading) {
        enum script_then then = s->replies[s->n_replied++].then;
        script_conn_close(sc, then == THEN_RST);
        return;
    }
    ssize_t n = sock_read(sc->sock, bytes, sizeof bytes, &e);
    if (n < 0) {
        s->n_eofs++;
        sc->is_eof = true;
        script_conn_close(sc, false);
    } else if (n > 0 && buf_append(&sc->in, slice_make(bytes, (size_t)n)) < 0) {
        abort();
    }
    script_serve(sc);
}

static void script_on_event(void *self, unsigned events) {
    struct script_conn *sc = self;
    if (events & SOCK_WRITABLE && sc->out.len > 0) {
        script_flush(sc);
    }
    bool reads = !sc->is_deaf && !sc->script->never_reads;
    if (sc->sock && reads && events & (SOCK_READABLE | SOCK_HUP)) {
        script_read(sc);
    } else if (sc->sock && events & SOCK_HUP) {
        sc->script->n_eofs++;
        script_conn_close(sc, false);
    }
    script_watch(sc);
}

static void script_on_accept(void *self, int fd, const struct addr *from) {
    struct script *s = self;
    (void)from;
    if (s->n_conns == SCRIPT_MAX_CONNS) {
        abort();
    }
    struct script_conn *sc = &s->conns[s->n_conns];
    *sc = (struct script_conn){.script = s, .index = s->n_conns++};
    buf_init(&sc->in, 64 << 20);
    buf_init(&sc->out, 64 << 20);
    sc->sock = sock_adopt(s->loop, fd, script_on_event, sc);
    script_watch(sc);
}

static void script_open(struct script *s, struct loop *l, const char *at) {
    *s = (struct script){.loop = l};
    buf_init(&s->requests, 64 << 20);
    struct addr a;
    struct err e;
    struct listen_options options = {0};
    if (addr_parse(slice_cstr(at), &a, &e) < 0 ||
        listener_open(l, &a, &options, script_on_accept, s, &s->listener, &e) < 0) {
        abort();
    }
}

static void script_close(struct script *s) {
    for (unsigned i = 0; i < s->n_conns; i++) {
        if (s->conns[i].sock) {
            script_conn_close(&s->conns[i], false);
        }
    }
    listener_close(&s->listener);
    buf_dispose(&s->requests);
}

static inline void script_add(struct script *s, struct slice bytes, enum script_then then) {
    s->replies[s->n_replies++] = (struct script_reply){.bytes = bytes, .then = then};
}

static struct http_pool *script_pool(struct script *s, const struct http_pool_options *options) {
    struct http_origin origin = {
        .scheme_host = SLICE("api.test"),
        .host = SLICE("127.0.0.1"),
        .port = addr_port(listener_addr(s->listener)),
    };
    return http_pool_new(s->loop, &origin, options);
}

/* ---- a call and what it heard ---- */

struct probe {
    struct http_call *call;
    struct http_pool *pool;
    /* n_late: callbacks after the last one */
    unsigned n_heads, n_bodies, n_batches, n_ends, n_fails, n_late;
    struct http_answer answer;      /* without headers */
    struct buf headers;             /* "name: value\n" */
    struct buf body;
    struct err err;
    bool any_answer_byte;
    bool batch_is_open;             /* bytes came after the last on_batch_end */
    void (*head_hook)(struct probe *p);
    void (*body_hook)(struct probe *p);
    void (*batch_hook)(struct probe *p);
    void (*end_hook)(struct probe *p);
    void (*fail_hook)(struct probe *p);
    void *more;                     /* the hooks' */
};

static bool probe_is_over(void *self) {
    const struct probe *p = self;
    return p->n_ends + p->n_fails > 0;
}

static void probe_on_head(void *self, const struct http_answer *answer) {
    struct probe *p = self;
    p->n_late += probe_is_over(p) || p->n_heads > 0;
    p->n_heads++;
    p->answer = *answer;
    p->answer.headers = (struct http_headers){NULL, 0};
    for (unsigned i = 0; i < answer->headers.count; i++) {
        const struct http_header *h = &answer->headers.items[i];
        if (buf_appendf(&p->headers, "%.*s: %.*s\n", SLICE_FMT(h->name), SLICE_FMT(h->value)) < 0) {
            abort();
        }
    }
    if (p->head_hook) {
        p->head_hook(p);
    }
}

static void probe_on_body(void *self, struct slice bytes) {
    struct probe *p = self;
    p->n_late += probe_is_over(p) || p->n_heads == 0 || bytes.len == 0;
    p->n_bodies++;
    p->batch_is_open = true;
    if (buf_append(&p->body, bytes) < 0) {
        abort();
    }
    if (p->body_hook) {
        p->body_hook(p);
    }
}

static void probe_on_batch_end(void *self) {
    struct probe *p = self;
    p->n_late += probe_is_over(p) || !p->batch_is_open;
    p->n_batches++;
    p->batch_is_open = false;
    if (p->batch_hook) {
        p->batch_hook(p);
    }
}

static void probe_on_end(void *self) {
    struct probe *p = self;
    p->n_late += probe_is_over(p);
    p->n_ends++;
    p->call = NULL;
    if (p->end_hook) {
        p->end_hook(p);
    }
}

static void probe_on_fail(void *self, const struct err *e, bool any_answer_byte) {
    struct probe *p = self;
    p->n_late += probe_is_over(p);
    p->n_fails++;
    p->err = *e;
    p->any_answer_byte = any_answer_byte;
    p->call = NULL;
    if (p->fail_hook) {
        p->fail_hook(p);
    }
}

static void probe_init(struct probe *p, struct http_pool *pool) {
    *p = (struct probe){.pool = pool};
    buf_init(&p->headers, 1 << 20);
    buf_init(&p->body, 64 << 20);
}

static void probe_dispose(struct probe *p) {
    buf_dispose(&p->headers);
    buf_dispose(&p->body);
}

static const struct http_call_callbacks probe_callbacks = {
    .on_head = probe_on_head,
    .on_body = probe_on_body,
    .on_batch_end = probe_on_batch_end,
    .on_end = probe_on_end,
    .on_fail = probe_on_fail,
};

static void probe_send(struct probe *p, const struct http_call_request *r) {
    p->call = http_call_start(p->pool, r, &probe_callbacks, p);
}

static inline void probe_get(struct probe *p) {
    struct http_call_request r = {.method = HTTP_METHOD_GET, .target = SLICE("/")};
    probe_send(p, &r);
}

static inline void probe_post(struct probe *p, struct slice body) {
    struct http_header headers[] = {{SLICE("Content-Type"), SLICE("application/json")}};
    struct http_call_request r = {
        .method = HTTP_METHOD_POST,
        .target = SLICE("/v1/chat/completions"),
        .headers = headers,
        .n_headers = 1,
        .body = &body,
        .n_body = 1,
    };
    probe_send(p, &r);
}

#endif
