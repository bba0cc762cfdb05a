/* SPDX-License-Identifier: Apache-2.0 */
/* Answer bytes → callbacks. llhttp does the grammar; this file decides what of it we take.
 *
 * A head that came in one read is not copied: its slices point into the read. One that came in
 * several is collected in c->head, and because headers are noted as offsets from the head's first
 * byte, both look alike until on_head. The parser stops at the end of each message (HPE_PAUSED):
 * what follows a 1xx is the next head, what follows the answer is stray. */
#include "http/client-private.h"

#include "base/mem.h"

static int parse_fail(struct http_call *c, enum err_kind kind, const char *why) {
    err_set(c->parse_err, kind, "%s", why);
    return -1;
}

/* ---- head ---- */

static size_t head_offset(const struct http_call *c, const char *at) {
    return c->head.len + (size_t)(at - c->read_base);
}

static bool is_in_trailers(const struct http_call *c) {
    return c->state != CALL_WAITING;
}

static int count_trailer(struct http_call *c, size_t bytes) {
    c->trailer_bytes += bytes;
    if (c->trailer_bytes > c->pool->options.max_head_bytes) {
        return parse_fail(c, ERR_LIMIT, "answer's trailers are too large");
    }
    return 0;
}

static struct header_span *add_span(struct http_call *c) {
    if (c->n_spans == c->cap_spans) {
        c->cap_spans = c->cap_spans ? c->cap_spans * 2 : 16;
        c->spans = mem_realloc(c->spans, c->cap_spans * sizeof *c->spans);
    }
    c->spans[c->n_spans] = (struct header_span){0};
    return &c->spans[c->n_spans++];
}

/* Notes [at, at+len) as the span, or as its continuation: the parts of one name or value are
 * adjacent. */
static int extend_span(struct http_call *c, struct span *s, bool is_open, const char *at,
                       size_t len) {
    size_t start = head_offset(c, at);
    if (start + len > c->pool->options.max_head_bytes) {
        return parse_fail(c, ERR_LIMIT, "answer's head is too large");
    }
    if (!is_open) {
        s->off = (uint32_t)start;
    }
    s->len = (uint32_t)(start + len) - s->off;
    return 0;
}

static int on_header_field(llhttp_t *parser, const char *at, size_t len) {
    struct http_call *c = parser->data;
    if (is_in_trailers(c)) {
        return count_trailer(c, len);
    }
    if (!c->is_name_open) {
        if (c->n_spans == CALL_MAX_HEADERS) {
            return parse_fail(c, ERR_LIMIT, "answer has too many headers");
        }
        add_span(c);
    }
    bool was_open = c->is_name_open;
    c->is_name_open = true;
    c->is_value_open = false;
    return extend_span(c, &c->spans[c->n_spans - 1].name, was_open, at, len);
}

static int on_header_value(llhttp_t *parser, const char *at, size_t len) {
    struct http_call *c = parser->data;
    if (is_in_trailers(c)) {
        return count_trailer(c, len);
    }
    bool was_open = c->is_value_open;
    c->is_name_open = false;
    c->is_value_open = true;
    return extend_span(c, &c->spans[c->n_spans - 1].value, was_open, at, len);
}

static int on_header_field_complete(llhttp_t *parser) {
    struct http_call *c = parser->data;
    c->is_name_open = false;
    return 0;
}

/* The head is not whole at the end of this read: keep its bytes. */
static int keep_head(struct http_call *c, struct slice bytes) {
    if (buf_append(&c->head, bytes) < 0) {
        return parse_fail(c, ERR_LIMIT, "answer's head is too large");
    }
    return 0;
}

static uint32_t spans_end(const struct http_call *c) {
    if (c->n_spans == 0) {
        return 0;
    }
    const struct header_span *last = &c->spans[c->n_spans - 1];
    uint32_t name_end = last->name.off + last->name.len;
    uint32_t value_end = last->value.off + last->value.len;
    return value_end > name_end ? value_end : name_end;
}

static struct slice span_slice(const char *base, struct span s) {
    return s.len > 0 ? slice_make(base + s.off, s.len) : SLICE("");
}

/* The headers as slices, into the read or into c->head. */
static int resolve_spans(struct http_call *c, struct http_header *items) {
    const char *base = c->read_base;
    if (c->head.len > 0) {
        uint32_t end = spans_end(c);
        if (end > c->head.len && keep_head(c, slice_make(c->read_base, end - c->head.len)) < 0) {
            return -1;
        }
        base = c->head.ptr;
    }
    for (unsigned i = 0; i < c->n_spans; i++) {
        items[i].name = span_slice(base, c->spans[i].name);
        items[i].value = slice_trim(span_slice(base, c->spans[i].value));
    }
    return 0;
}

/* RFC 9112 6.1 to 6.3, where we are stricter or more lenient than the parser. */
static int settle_framing(struct http_call *c, const struct http_headers *h) {
    llhttp_t *parser = &c->parser;
    if (parser->http_major != 1 || parser->http_minor > 1) {
        return parse_fail(c, ERR_PROTOCOL, "malformed answer: not HTTP/1.0 or HTTP/1.1");
    }
    if (parser->status_code < 100) {
        return parse_fail(c, ERR_PROTOCOL, "malformed answer: status below 100");
    }
    unsigned n_encodings = http_headers_count(h, SLICE("transfer-encoding"));
    if (n_encodings == 0) {
        return 0;
    }
    if (parser->http_minor == 0) {
        parser->flags &= (uint16_t) ~(F_CHUNKED | F_TRANSFER_ENCODING);
        c->must_not_reuse = true;
        return 0;
    }
    struct slice encoding = http_headers_get(h, SLICE("transfer-encoding"));
    if (n_encodings > 1 || !slice_eq_nocase(encoding, SLICE("chunked"))) {
        return parse_fail(c, ERR_PROTOCOL, "malformed answer: transfer-encoding other than chunked");
    }
    /* RFC 9112 6.3: who reads the one where a proxy read the other takes a part of the body for the
     * next answer. */
    if (parser->flags & F_CONTENT_LENGTH) {
        return parse_fail(c, ERR_PROTOCOL, "malformed answer: both content-length and transfer-encoding");
    }
    return 0;
}

static bool has_body(const struct http_call *c) {
    unsigned status = c->parser.status_code;
    bool is_empty = (c->parser.flags & (F_CONTENT_LENGTH | F_CHUNKED)) == F_CONTENT_LENGTH &&
                    c->parser.content_length == 0;
    return c->method != HTTP_METHOD_HEAD && status != 204 && status != 304 && !is_empty;
}

static void settle_encoding(struct http_call *c, const struct http_headers *h) {
    if (!has_body(c) || http_headers_count(h, SLICE("content-encoding")) != 1) {
        return;
    }
    struct slice encoding = http_headers_get(h, SLICE("content-encoding"));
    if (slice_eq_nocase(encoding, SLICE("gzip")) || slice_eq_nocase(encoding, SLICE("x-gzip"))) {
        c->inflater = inflater_new(INFLATE_GZIP);
    } else if (slice_eq_nocase(encoding, SLICE("deflate"))) {
        c->inflater = inflater_new(INFLATE_DEFLATE);
    }
}

static int64_t told_length(const struct http_call *c) {
    bool is_told = (c->parser.flags & (F_CONTENT_LENGTH | F_CHUNKED)) == F_CONTENT_LENGTH;
    return is_told && !c->inflater && c->parser.content_length <= INT64_MAX
               ? (int64_t)c->parser.content_length
               : -1;
}

static int on_interim(struct http_call *c) {
    if (c->parser.status_code == 101) {
        return parse_fail(c, ERR_PROTOCOL, "upstream switched protocols unasked (101)");
    }
    if (++c->n_interim > CALL_MAX_INTERIM) {
        return parse_fail(c, ERR_PROTOCOL, "upstream sent too many 1xx answers");
    }
    c->is_interim = true;
    return 1;   /* no body, whatever its headers say */
}

static int on_headers_complete(llhttp_t *parser) {
    struct http_call *c = parser->data;
    struct http_header items[CALL_MAX_HEADERS];
    if (resolve_spans(c, items) < 0) {
        return -1;
    }
    struct http_headers headers = {items, c->n_spans};
    if (settle_framing(c, &headers) < 0) {
        return -1;
    }
    if (parser->status_code < 200) {
        return on_interim(c);
    }
    settle_encoding(c, &headers);
    struct http_answer answer = {
        .status = parser->status_code,
        .version_minor = parser->http_minor,
        .headers = headers,
        .content_length = told_length(c),
        .is_reused = c->is_reused,
        .was_encoded = c->inflater != NULL,
        .connect_ns = c->connect_ns,
    };
    c->state = CALL_BODY;
    c->is_send_over = true;   /* the request's body is not ours any more */
    c->activity_ns = loop_now_ns(c->pool->loop);
    bool has_no_body = !has_body(c);
    c->cb.on_head(c->self, &answer);
    if (c->state == CALL_DEAD) {
        return -1;
    }
    return has_no_body ? 1 : 0;
}

/* ---- body ---- */

static bool inflate_sink(void *self, struct slice decoded) {
    struct http_call *c = self;
    c->got_body = true;
    c->cb.on_body(c->self, decoded);
    return c->state != CALL_DEAD && !c->is_paused;
}

/* Gives bytes to the app; returns how many, less than all only when it paused or ended the call, or
 * negative. */
static ssize_t deliver(struct http_call *c, struct slice bytes, struct err *e) {
    if (c->inflater) {
        return inflater_feed(c->inflater, bytes, inflate_sink, c, e);
    }
    c->got_body = true;
    c->cb.on_body(c->self, bytes);
    return (ssize_t)bytes.len;
}

static int hold_back(struct http_call *c, struct slice bytes) {
    if (bytes.len > 0 && buf_append(&c->rest, bytes) < 0) {
        return parse_fail(c, ERR_INTERNAL, "more body bytes in one read than a pause can hold");
    }
    return 0;
}

bool answer_has_rest(const struct http_call *c) {
    return c->rest.len > 0 || (c->inflater && inflater_has_more(c->inflater));
}

static int on_body(llhttp_t *parser, const char *at, size_t len) {
    struct http_call *c = parser->data;
    struct slice bytes = slice_make(at, len);
    if (c->is_paused || answer_has_rest(c)) {
        return hold_back(c, bytes);
    }
    ssize_t used = deliver(c, bytes, c->parse_err);
    if (used < 0 || c->state == CALL_DEAD) {
        return -1;
    }
    return hold_back(c, slice_from(bytes, (size_t)used));
}

int answer_drain(struct http_call *c, struct err *e) {
    while (c->state != CALL_DEAD && !c->is_paused && answer_has_rest(c)) {
        /* Out of the call for the while: the callback may end it. */
        struct buf rest = c->rest;
        buf_init(&c->rest, rest.max);
        ssize_t used = deliver(c, buf_slice(&rest), e);
        if (used >= 0) {
            buf_consume(&rest, (size_t)used);
        }
        if (rest.len > 0 && used >= 0 && c->state != CALL_DEAD) {
            c->rest = rest;
        } else {
            buf_dispose(&rest);
        }
        if (used < 0) {
            return (int)used;
        }
    }
    return 0;
}

static int on_message_complete(llhttp_t *parser) {
    struct http_call *c = parser->data;
    /* known here only: the flags are cleared next */
    c->is_kept_alive = llhttp_should_keep_alive(parser);
    c->is_complete = true;
    return HPE_PAUSED;
}

/* ---- the parser's driver ---- */

static const llhttp_settings_t answer_settings = {
    .on_header_field = on_header_field,
    .on_header_field_complete = on_header_field_complete,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

static void begin_head(struct http_call *c) {
    buf_reset(&c->head);
    c->n_spans = 0;
    c->is_name_open = c->is_value_open = c->is_interim = c->is_complete = false;
}

void answer_init(struct http_call *c) {
    llhttp_init(&c->parser, HTTP_RESPONSE, &answer_settings);
    /* both lengths: settle_framing says what is wrong with them */
    llhttp_set_lenient_chunked_length(&c->parser, 1);
    c->parser.data = c;
    c->n_interim = 0;
    c->trailer_bytes = 0;
    begin_head(c);
}

static int parser_error(struct http_call *c, struct err *e) {
    if (e->kind != ERR_NONE) {
        return -(int)e->kind;
    }
    const char *reason = llhttp_get_error_reason(&c->parser);
    return err_set(e, ERR_PROTOCOL, "malformed answer: %s", reason && *reason ? reason : "not HTTP");
}

int answer_feed(struct http_call *c, struct slice bytes, struct err *e) {
    e->kind = ERR_NONE;
    c->parse_err = e;
    while (bytes.len > 0) {
        c->read_base = bytes.ptr;
        llhttp_errno_t rc = llhttp_execute(&c->parser, bytes.ptr, bytes.len);
        if (c->state == CALL_DEAD) {
            return 0;
        }
        if (rc == HPE_OK) {
            return c->state == CALL_WAITING && keep_head(c, bytes) < 0 ? parser_error(c, e) : 0;
        }
        if (!c->is_complete) {
            return parser_error(c, e);
        }
        bytes = slice_from(bytes, (size_t)(llhttp_get_error_pos(&c->parser) - bytes.ptr));
        if (!c->is_interim) {
            call_whole(c, bytes.len > 0);
            return 0;
        }
        llhttp_reset(&c->parser);
        begin_head(c);
    }
    return 0;
}

bool answer_finish(struct http_call *c) {
    struct err ignored = {.kind = ERR_NONE};
    c->parse_err = &ignored;
    llhttp_finish(&c->parser);
    if (c->is_complete) {
        call_whole(c, false);
    }
    return c->is_complete;
}
