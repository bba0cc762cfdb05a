/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/wire-private.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "mock/call.h"
#include "mock/fault_book.h"
#include "mock/mock_clock.h"

enum {
    /* the largest answers are embeddings: endpoint_vectors.c */
    WIRE_MAX_BYTES = 136 << 20,
    PIECES_A_TURN = 4096,
    CUT_PAUSE_NS = 10 * 1000 * 1000,     /* lets the bytes before a reset arrive */
    ZIP_BYTES = 16384,
    GZIP_WINDOW = 15 + 16,
    LONG_LENGTH_MORE = 1000,
    LONG_LENGTH_STREAM = 1 << 30
};

static void pump(struct wire *w);

/* ---- the moment ---- */

void wire_strike(struct wire *w) {
    w->has_struck = true;
    if (!w->is_counted) {
        w->is_counted = true;
        fault_book_count(w->o.worker->hub->faults, w->use.row);
    }
}

void wire_append(struct wire *w, struct buf *to, struct slice bytes) {
    if (bytes.len > 0 && buf_append(to, bytes) < 0) {
        wire_finish_with(w, WIRE_RST);
    }
}

void wire_finish_with(struct wire *w, enum wire_end end) {
    w->was_cut |= !w->is_whole && !w->is_said;
    w->is_deaf = true;
    w->end = end;
    w->end_pause_ns = end == WIRE_RST || end == WIRE_DROP ? CUT_PAUSE_NS : 0;
}

static int64_t now_ns(const struct wire *w) {
    return mock_now_ns(w->o.worker);
}

static void on_timer(struct timer *t, void *self) {
    (void)t;
    pump(self);
}

static void wake_at(struct wire *w, int64_t deadline_ns) {
    mock_timer_start(w->o.worker, &w->timer, deadline_ns, on_timer, w);
}

/* ---- heads ---- */

static void put(struct wire *w, const char *format, ...) PRINTF_LIKE(2, 3);
static void put(struct wire *w, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    wire_append(w, &w->ready, slice_make(text, (size_t)(len < 511 ? len : 511)));
}

static void put_date(struct wire *w) {
    time_t at = (time_t)(mock_wall_ns(w->o.worker) / NS_PER_S);
    struct tm utc;
    char text[64];
    gmtime_r(&at, &utc);
    strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc);
    put(w, "date: %s\r\n", text);
}

static void put_interim(struct wire *w) {
    unsigned status = wire_value(w, FAULT_KEY_STATUS) == 0 ? 100
                    : wire_value(w, FAULT_KEY_STATUS) == 1 ? 102 : 103;
    for (int64_t i = 0; i < wire_value(w, FAULT_KEY_N); i++) {
        put(w, "HTTP/1.1 %u %s\r\n%s\r\n", status, http_status_text(status),
            status == 103 ? "link: </style.css>; rel=preload; as=style\r\n" : "");
    }
    wire_strike(w);
}

static void put_status_line(struct wire *w, unsigned status) {
    static const char *const spoilt[] = {"HTTP/1.1 2OO OK", "HTTP/9.9 200 OK", "ICY 200 OK"};
    if (w->kind == FAULT_INFORMATIONAL) {
        put_interim(w);
    }
    if (w->kind == FAULT_STATUS_LINE) {
        wire_strike(w);
        put(w, "%s\r\n", spoilt[wire_value(w, FAULT_KEY_TYPE)]);
        return;
    }
    put(w, "HTTP/1.%u %u %s\r\n", w->kind == FAULT_HTTP10 ? 0 : 1, status,
        http_status_text(status));
}

static void put_header(struct wire *w, struct slice name, struct slice value) {
    wire_append(w, &w->ready, name);
    wire_append(w, &w->ready, SLICE(": "));
    wire_append(w, &w->ready, value);
    wire_append(w, &w->ready, SLICE("\r\n"));
}

static void put_content_type(struct wire *w, struct slice value) {
    static const char *const others[] = {"text/plain; charset=utf-8", "application/json",
                                         "text/html", "application/octet-stream", NULL};
    const char *other = others[0];
    if (w->kind == FAULT_TYPE_HEADER) {
        wire_strike(w);
        other = others[wire_value(w, FAULT_KEY_TYPE)];
        value = slice_cstr(other);
    }
    if (other) {
        put_header(w, SLICE("content-type"), value);
    }
}

static void put_headers(struct wire *w, const struct http_response *r) {
    for (unsigned i = 0; i < r->n_headers; i++) {
        const struct http_header *h = &r->headers[i];
        if (slice_eq(h->name, SLICE("content-type"))) {
            put_content_type(w, h->value);
        } else if (http_header_is_valid(h->name, h->value)) {
            put_header(w, h->name, h->value);
        }
    }
}

static void keep_request_id(struct wire *w, const struct http_response *r) {
    const struct http_headers all = {r->headers, r->n_headers};
    struct slice id = http_headers_get(&all, SLICE("x-request-id"));
    id = id.ptr ? id : http_headers_get(&all, SLICE("request-id"));
    if (id.ptr) {
        snprintf(w->request_id, sizeof w->request_id, "%.*s", SLICE_FMT(id));
    }
}

static void put_huge_header(struct wire *w) {
    static const char xs[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    wire_strike(w);
    wire_append(w, &w->ready, SLICE("x-huge: "));
    for (int64_t left = wire_value(w, FAULT_KEY_BYTES); left > 0; left -= 64) {
        wire_append(w, &w->ready, slice_make(xs, left < 64 ? (size_t)left : 64));
    }
    wire_append(w, &w->ready, SLICE("\r\n"));
}

/* What is announced, with whole_len the body's true length when it is known (is_whole). */
static void put_length(struct wire *w, size_t whole_len) {
    int64_t length = (int64_t)whole_len;
    if (w->kind == FAULT_LONG_LENGTH) {
        wire_strike(w);
        length = w->is_whole ? length + LONG_LENGTH_MORE : LONG_LENGTH_STREAM;
    } else if (w->kind == FAULT_SHORT_LENGTH) {
        wire_strike(w);
        int64_t bytes = wire_value(w, FAULT_KEY_BYTES);
        length = w->is_whole && length / 2 < bytes ? length / 2 : bytes;
    }
    put(w, "content-length: %" PRId64 "\r\n", length);
}

static enum wire_framing framing_of(const struct wire *w) {
    bool is_chunk_fault = w->kind == FAULT_CHUNK_SIZE || w->kind == FAULT_CHUNK_TOO_LARGE ||
                          w->kind == FAULT_NO_LAST_CHUNK || w->kind == FAULT_LENGTH_AND_CHUNKED;
    if (w->o.ex->version_minor == 0 || w->kind == FAULT_HTTP10) {
        return WIRE_UNTIL_CLOSE;
    }
    if (w->kind == FAULT_LONG_LENGTH || w->kind == FAULT_SHORT_LENGTH) {
        return WIRE_LENGTH;
    }
    return w->is_whole && !is_chunk_fault ? WIRE_LENGTH : WIRE_CHUNKED;
}

static void put_framing(struct wire *w, size_t whole_len) {
    if (w->kind == FAULT_LENGTH_AND_CHUNKED) {
        wire_strike(w);
        put(w, "content-length: 10\r\n");
    }
    switch (w->framing) {
    case WIRE_CHUNKED:
        put(w, "transfer-encoding: chunked\r\n");
        break;
    case WIRE_LENGTH:
        put_length(w, whole_len);
        break;
    case WIRE_UNTIL_CLOSE:
        break;
    }
    put(w, "connection: %s\r\n", w->framing == WIRE_UNTIL_CLOSE ? "close" : "keep-alive");
}

static void put_head(struct wire *w, const struct http_response *r, unsigned status,
                     size_t whole_len) {
    w->framing = framing_of(w);
    if (w->kind == FAULT_HTTP10) {
        wire_strike(w);
    }
    put_status_line(w, status);
    put_date(w);
    put_headers(w, r);
    if (w->kind == FAULT_DOUBLE_HEADERS) {
        wire_strike(w);
        put_headers(w, r);
    }
    if (w->kind == FAULT_HUGE_HEADER) {
        put_huge_header(w);
    }
    if (w->kind == FAULT_GZIP) {
        put(w, "content-encoding: gzip\r\nvary: accept-encoding\r\n");
    }
    put_framing(w, whole_len);
    wire_append(w, &w->ready, SLICE("\r\n"));
}

/* ---- the body's framing ---- */

static void zip(struct wire *w, struct slice bytes, int flush, struct buf *out) {
    w->zip.next_in = (Bytef *)(uintptr_t)bytes.ptr;
    w->zip.avail_in = (uInt)bytes.len;
    do {
        char *room = buf_reserve(out, ZIP_BYTES);
        if (!room) {
            wire_finish_with(w, WIRE_RST);
            return;
        }
        w->zip.next_out = (Bytef *)room;
        w->zip.avail_out = ZIP_BYTES;
        (void)deflate(&w->zip, flush);
        buf_commit(out, ZIP_BYTES - w->zip.avail_out);
    } while (w->zip.avail_out == 0);
}

/* One chunk, or what a spoilt one looks like. */
static void frame_bytes(struct wire *w, struct slice bytes) {
    if (bytes.len == 0) {
        return;
    }
    if (w->framing != WIRE_CHUNKED) {
        wire_append(w, &w->ready, bytes);
        return;
    }
    bool strikes = !w->has_struck && (w->is_whole || wire_is_reached(w));
    if (strikes && w->kind == FAULT_CHUNK_SIZE) {
        wire_strike(w);
        put(w, "zz\r\n");
    } else if (strikes && w->kind == FAULT_CHUNK_TOO_LARGE) {
        wire_strike(w);
        put(w, "%zx\r\n", bytes.len + 4096);
        wire_append(w, &w->ready, bytes);
        wire_finish_with(w, WIRE_FIN);
        return;
    } else {
        put(w, "%zx\r\n", bytes.len);
    }
    wire_append(w, &w->ready, bytes);
    wire_append(w, &w->ready, SLICE("\r\n"));
}

static void seal_with(struct wire *w, int flush) {
    if (!w->has_zip) {
        frame_bytes(w, buf_slice(&w->body));
    } else if (w->body.len > 0 || flush == Z_FINISH) {
        struct buf zipped;
        buf_init(&zipped, WIRE_MAX_BYTES);
        wire_strike(w);
        zip(w, buf_slice(&w->body), flush, &zipped);
        frame_bytes(w, buf_slice(&zipped));
        buf_dispose(&zipped);
    }
    buf_reset(&w->body);
}

void wire_seal(struct wire *w) {
    seal_with(w, Z_SYNC_FLUSH);
}

void wire_pause_here(struct wire *w, int64_t ns) {
    wire_seal(w);
    w->pause_at = w->ready.len;
    w->pause_ns = ns;
}

/* The end of a body that is well, and what a fault makes of it. */
static void frame_end(struct wire *w) {
    if (w->is_end_framed) {
        return;
    }
    w->is_end_framed = true;
    if (w->has_zip) {
        seal_with(w, Z_FINISH);
    }
    if (w->kind == FAULT_NO_LAST_CHUNK && w->framing == WIRE_CHUNKED) {
        wire_strike(w);
        w->end = WIRE_FIN;
        return;
    }
    if (w->framing == WIRE_CHUNKED) {
        wire_append(w, &w->ready, SLICE("0\r\n\r\n"));
    }
    if (w->kind == FAULT_TRAILING_GARBAGE) {
        wire_strike(w);
        wire_append(w, &w->ready, SLICE("garbage behind the end\r\n\r\n"));
    }
    if (w->framing == WIRE_UNTIL_CLOSE || w->kind == FAULT_LONG_LENGTH) {
        w->end = WIRE_FIN;
    }
}

/* ---- ends ---- */

/* Nothing of w may be touched afterwards. */
static void finish(struct wire *w) {
    struct http_exchange *ex = w->o.ex;
    switch (w->end) {
    case WIRE_GOES_ON:
    case WIRE_HANG:
        timer_stop(&w->timer);
        return;
    case WIRE_WELL:
        http_end_raw(ex, HTTP_RAW_KEEP);
        return;
    case WIRE_FIN:
        http_end_raw(ex, HTTP_RAW_FIN);
        return;
    case WIRE_RST:
        http_end_raw(ex, HTTP_RAW_RST);
        return;
    case WIRE_DROP:
        http_end_raw(ex, HTTP_RAW_DROP);
        return;
    }
}

/* All that was ready has gone. w may be gone afterwards. */
static void emptied(struct wire *w) {
    buf_reset(&w->ready);
    w->ready_at = 0;
    bool needs_queue_empty = w->end == WIRE_RST || w->end == WIRE_DROP;
    if (w->end == WIRE_WELL) {
        frame_end(w);
        if (w->ready.len > 0) {
            pump(w);
            return;
        }
    }
    if (w->end == WIRE_GOES_ON) {
        if (w->host_waits) {
            w->host_waits = false;
            w->o.go_on(w->o.self);
        }
        return;
    }
    if (needs_queue_empty && http_queued_bytes(w->o.ex) > 0) {
        w->is_blocked = true;
        return;
    }
    if (w->end_pause_ns > 0) {                /* the network's time, not the mock's */
        struct loop *l = w->o.worker->loop;
        loop_timer_start(l, &w->timer, loop_now_ns(l) + w->end_pause_ns, on_timer, w);
        w->end_pause_ns = 0;
        return;
    }
    finish(w);
}

/* Writes what may go now. w may be gone afterwards. */
static void pump(struct wire *w) {
    for (unsigned n = 0; !w->is_blocked; n++) {
        struct slice rest = slice_from(buf_slice(&w->ready), w->ready_at);
        int64_t gap_ns = 0;
        if (now_ns(w) < w->gate_ns || n == PIECES_A_TURN) {
            wake_at(w, n == PIECES_A_TURN ? now_ns(w) : w->gate_ns);
            return;
        }
        if (w->pause_at == w->ready_at) {
            w->pause_at = SIZE_MAX;
            w->gate_ns = now_ns(w) + w->pause_ns;
            continue;
        }
        if (rest.len == 0) {
            emptied(w);
            return;
        }
        rest = slice_sub(rest, 0, w->pause_at - w->ready_at);
        struct slice piece = slice_sub(rest, 0, wire_bytes_next(w, rest, &gap_ns));
        if (piece.len == 0) {
            return;                      /* it waits for more */
        }
        w->ready_at += piece.len;
        int rc = http_write(w->o.ex, &piece, 1);
        if (rc < 0) {
            return;                      /* on_cancel follows */
        }
        w->is_blocked = rc == 0;
        w->gate_ns = gap_ns > 0 ? now_ns(w) + gap_ns : w->gate_ns;
    }
}

/* ---- for the host ---- */

struct wire *wire_new(const struct wire_options *o) {
    struct wire *w = mem_zalloc(sizeof *w);
    w->o = *o;
    w->use = *o->use;
    w->o.use = &w->use;
    w->kind = o->use->row->kind;
    w->pause_at = SIZE_MAX;
    w->at_start = true;
    w->gate_ns = now_ns(w) + fault_head_delay_ns(&w->use);
    rng_seed(&w->rng, o->worker->hub->fixed->seed ^ (o->serial * UINT64_C(0xd1342543de82ef95)));
    buf_init(&w->body, WIRE_MAX_BYTES);
    buf_init(&w->ready, WIRE_MAX_BYTES);
    buf_init(&w->held, WIRE_MAX_BYTES);
    buf_init(&w->scratch, WIRE_MAX_BYTES);
    buf_init(&w->numbered, WIRE_MAX_BYTES);
    sse_parser_init(&w->parser, &(struct sse_options){.max_event_bytes = WIRE_MAX_BYTES});
    if (w->kind == FAULT_GZIP || w->kind == FAULT_GZIP_UNLABELED) {
        w->has_zip = deflateInit2(&w->zip, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, 8,
                                  Z_DEFAULT_STRATEGY) == Z_OK;
    }
    return w;
}

struct wire *wire_of_call(const struct mock_call *c, void (*go_on)(void *self), void *self) {
    if (!c->k.fault || !fault_is_on_the_wire(c->k.fault->row)) {
        return NULL;
    }
    const struct wire_options o = {.worker = c->w, .ex = c->ex, .api = c->api, .use = c->k.fault,
                                   .serial = c->facts.serial, .go_on = go_on, .self = self};
    return wire_new(&o);
}

void wire_free(struct wire **wire) {
    struct wire *w = *wire;
    if (!w) {
        return;
    }
    *wire = NULL;
    timer_stop(&w->timer);
    wire_frame_dispose(w);
    if (w->has_zip) {
        deflateEnd(&w->zip);
    }
    buf_dispose(&w->body);
    buf_dispose(&w->ready);
    mem_free(w);
}

static void begin(struct wire *w, const struct http_response *r) {
    http_start_raw(w->o.ex);
    keep_request_id(w, r);
    if (fault_head_delay_ns(&w->use) > 0) {
        wire_strike(w);
    }
}

/* One that answers a stream with something else. */
static void answer_instead(struct wire *w, const struct http_response *r) {
    unsigned status = r->status;
    wire_finish_with(w, WIRE_WELL);
    (void)wire_whole_take(w, SLICE(""), &status);
    put_head(w, r, status, w->body.len);
    wire_seal(w);
}

void wire_start(struct wire *w, const struct http_response *r) {
    begin(w, r);
    w->decoder = w->o.api->dialect->decoder_new();
    if (w->kind == FAULT_ERROR_200 || w->kind == FAULT_EMPTY_BODY) {
        answer_instead(w, r);
    } else {
        put_head(w, r, r->status, 0);
    }
}

static int on_frame(void *self, const struct sse_frame *f) {
    struct wire *w = self;
    if (!w->is_deaf) {
        wire_frame_take(w, f);
    }
    return 0;
}

/* What ends the exchange does not do so inside a wire_write: the timer does. */
int wire_write(struct wire *w, struct slice frames) {
    const struct sse_sink sink = {on_frame, w};
    struct err e;
    w->host_waits = false;
    if (sse_parser_feed(&w->parser, frames, &sink, &e) < 0) {
        wire_finish_with(w, WIRE_RST);
    }
    wire_seal(w);
    if (w->end != WIRE_GOES_ON) {
        wake_at(w, now_ns(w));
        return 0;
    }
    pump(w);
    bool holds = w->kind == FAULT_BUFFERED || w->kind == FAULT_MERGE;
    bool is_out = w->ready_at == w->ready.len && now_ns(w) >= w->gate_ns;
    w->host_waits = w->is_blocked || (!is_out && !holds);
    return w->host_waits ? 0 : 1;
}

void wire_end(struct wire *w) {
    if (w->end == WIRE_GOES_ON) {
        wire_frame_over(w);
        wire_seal(w);
    }
    w->is_said = true;
    if (w->end == WIRE_GOES_ON && w->kind == FAULT_HANG_AFTER_END) {
        wire_strike(w);
        wire_finish_with(w, WIRE_HANG);
    } else if (w->end == WIRE_GOES_ON) {
        wire_finish_with(w, WIRE_WELL);
        frame_end(w);
    }
    pump(w);
}

static void zip_whole(struct wire *w) {
    struct buf zipped;
    buf_init(&zipped, WIRE_MAX_BYTES);
    wire_strike(w);
    zip(w, buf_slice(&w->body), Z_FINISH, &zipped);
    buf_dispose(&w->body);
    w->body = zipped;
    deflateEnd(&w->zip);
    w->has_zip = false;
}

void wire_respond(struct wire *w, const struct http_response *r, struct slice body) {
    unsigned status = r->status;
    w->is_whole = true;
    w->end = WIRE_WELL;
    begin(w, r);
    size_t length = wire_whole_take(w, body, &status);
    if (w->has_zip) {
        zip_whole(w);
        length = w->body.len;
    }
    if (!w->is_mute) {
        put_head(w, r, status, length);
        wire_seal(w);
    }
    wire_finish_with(w, w->end);
    if (w->end == WIRE_WELL) {
        frame_end(w);
    }
    pump(w);
}

/* ---- alone ---- */

struct wire_alone {
    struct owner owner;
    struct wire *wire;
};

static void alone_writable(struct owner *self) {
    wire_writable(((struct wire_alone *)self)->wire);
}

static void alone_ended(struct owner *self, bool is_cancelled) {
    struct wire_alone *a = (struct wire_alone *)self;
    (void)is_cancelled;
    wire_free(&a->wire);
    mem_free(a);
}

/* All of the stream has left. */
static void alone_goes_on(void *self) {
    wire_end(((struct wire_alone *)self)->wire);
}

static struct wire *alone_new(struct mock_worker *w, struct http_exchange *ex,
                              const struct api *api, const struct fault_use *use) {
    static const struct owner_ops ops = {alone_writable, alone_ended};
    struct wire_alone *a = mem_zalloc(sizeof *a);
    const struct wire_options o = {.worker = w, .ex = ex, .api = api, .use = use,
                                   .go_on = alone_goes_on, .self = a};
    a->owner.ops = &ops;
    a->wire = wire_new(&o);
    ex->app = a;
    return a->wire;
}

void wire_respond_alone(struct mock_worker *w, struct http_exchange *ex, const struct api *api,
                        const struct fault_use *use, const struct http_response *r,
                        struct slice body) {
    wire_respond(alone_new(w, ex, api, use), r, body);
}

void wire_stream_alone(struct mock_worker *w, struct http_exchange *ex, const struct api *api,
                       const struct fault_use *use, const struct http_response *r,
                       struct slice frames) {
    struct wire *wire = alone_new(w, ex, api, use);
    wire_start(wire, r);
    if (wire_write(wire, frames) > 0) {
        wire_end(wire);
    }
}

bool wire_is_cut(const struct wire *w) {
    return w->has_struck && (w->end != WIRE_WELL || w->was_cut);
}

void wire_writable(struct wire *w) {
    w->is_blocked = false;
    pump(w);
}
