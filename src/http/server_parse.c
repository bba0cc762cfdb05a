/* SPDX-License-Identifier: Apache-2.0 */
/* llhttp cuts a request into pieces; this file puts them together, holds the limits, and refuses
 * what strict llhttp lets pass: missing, doubled and malformed Host, Transfer-Encoding that is not
 * just "chunked" or comes with HTTP/1.0, fragments and userinfo in the target, other protocols than
 * HTTP (llhttp also knows RTSP and ICE), HTTP/0.9 and HTTP/2.
 *
 * The usual head comes in one read. Its header spans then live in the server's scratch and its
 * bytes in the read buffer, until request_parser_take_head copies both once. Only a head that is
 * split over reads gets memory of its own. */
#include "base/mem.h"
#include "http/server-private.h"

/* Chunk headers, extensions and trailers: a byte of body may cost so many on the wire, plus a fixed
 * allowance. Without a limit extensions and leading zeros could go on for ever. */
#define OVERHEAD_PER_BYTE 16
#define OVERHEAD_FREE_BYTES 16384
/* What a body's announced length may make us allocate before its bytes come. */
#define BODY_FIRST_BYTES 65536

static const char text_version[] = "this HTTP version is not spoken here: use HTTP/1.1";

static struct request_parser *parser_of(llhttp_t *l) {
    return l->data;
}

static int fail(struct request_parser *p, unsigned status, const char *text) {
    if (p->phase != PARSE_AT_FAILURE) {
        p->phase = PARSE_AT_FAILURE;
        p->fail_status = (uint16_t)status;
        p->fail_text = text;
    }
    return -1;
}

/* ---- llhttp's callbacks: the head ---- */

static uint32_t head_offset(const struct request_parser *p, const char *at) {
    return p->raw_len + (uint32_t)(at - p->in);
}

static int on_method_complete(llhttp_t *l) {
    /* Don't wait for the rest of an HTTP/2 preface. */
    return llhttp_get_method(l) == HTTP_PRI ? fail(parser_of(l), 505, text_version) : 0;
}

static int fail_line_too_long(struct request_parser *p) {
    return fail(p, 414, "the request line is too long");
}

static int fail_headers_too_large(struct request_parser *p) {
    return fail(p, 431, "the headers are too large");
}

static int on_url(llhttp_t *l, const char *at, size_t len) {
    struct request_parser *p = parser_of(l);
    const uint32_t off = head_offset(p, at), end = off + (uint32_t)len;
    if (p->target.off == 0) p->target.off = off;
    p->target.len = end - p->target.off;
    return end > p->limits->request_line_bytes ? fail_line_too_long(p) : 0;
}

static int on_version(llhttp_t *l, const char *at, size_t len) {
    struct request_parser *p = parser_of(l);
    const uint32_t off = head_offset(p, at), end = off + (uint32_t)len;
    if (p->version_off == 0) p->version_off = off;
    p->line_len = end + 2;
    return end > p->limits->request_line_bytes ? fail_line_too_long(p) : 0;
}

static bool is_over_header_bytes(const struct request_parser *p, uint32_t end) {
    return end - p->line_len > p->limits->header_bytes;
}

static int on_header_field(llhttp_t *l, const char *at, size_t len) {
    struct request_parser *p = parser_of(l);
    if (p->phase != PARSE_IN_HEAD) return 0; /* a trailer: counted as overhead, not kept */
    const uint32_t off = head_offset(p, at), end = off + (uint32_t)len;
    if (is_over_header_bytes(p, end)) return fail_headers_too_large(p);
    if (!p->in_name) {
        if (p->n_headers == p->limits->header_count) return fail(p, 431, "there are too many headers");
        p->headers[p->n_headers++] = (struct header_span){.name.off = off};
        p->in_name = true;
    }
    struct header_span *h = &p->headers[p->n_headers - 1];
    h->name.len = end - h->name.off;
    return 0;
}

static int on_header_field_complete(llhttp_t *l) {
    parser_of(l)->in_name = false;
    return 0;
}

static int on_header_value(llhttp_t *l, const char *at, size_t len) {
    struct request_parser *p = parser_of(l);
    if (p->phase != PARSE_IN_HEAD) return 0;
    const uint32_t off = head_offset(p, at), end = off + (uint32_t)len;
    if (is_over_header_bytes(p, end)) return fail_headers_too_large(p);
    struct header_span *h = &p->headers[p->n_headers - 1];
    if (h->value.off == 0) h->value.off = off;
    h->value.len = end - h->value.off;
    return 0;
}

static int on_headers_complete(llhttp_t *l) {
    struct request_parser *p = parser_of(l);
    if (p->phase != PARSE_IN_HEAD) return 0;
    p->phase = PARSE_AT_BODY;
    return HPE_PAUSED; /* out of llhttp before anybody is called */
}

/* ---- llhttp's callbacks: the body ---- */

static int fail_body_too_large(struct request_parser *p) {
    return fail(p, 413, "the request body is too large");
}

static int on_chunk_header(llhttp_t *l) {
    struct request_parser *p = parser_of(l);
    /* The announced size is refused at once, not when its bytes come. */
    return l->content_length > p->limits->body_bytes - p->body_len ? fail_body_too_large(p) : 0;
}

/* Room for `bytes` more: exact where the length is known, doubling where it is not. */
static void body_grow(struct request_parser *p, size_t bytes) {
    const size_t need = p->body_len + bytes, have = p->body ? p->body->len : 0;
    if (p->body && need <= have) return;
    const size_t whole = p->content_length > 0 ? (size_t)p->content_length : SIZE_MAX;
    size_t capacity = have > 0 ? have * 2 : need;
    if (have == 0 && whole <= BODY_FIRST_BYTES) capacity = whole;
    if (capacity < need) capacity = need;
    if (capacity > whole) capacity = whole;
    struct bytes *grown = bytes_new(capacity);
    if (p->body) memcpy(grown->data, p->body->data, p->body_len);
    bytes_unref(&p->body);
    p->body = grown;
}

static int on_body(llhttp_t *l, const char *at, size_t len) {
    struct request_parser *p = parser_of(l);
    if (len > p->limits->body_bytes - p->body_len) return fail_body_too_large(p);
    if (!p->skip_body) {
        body_grow(p, len);
        memcpy(p->body->data + p->body_len, at, len);
    }
    p->body_len += len;
    return 0;
}

static int on_message_complete(llhttp_t *l) {
    parser_of(l)->phase = PARSE_AT_END;
    return HPE_PAUSED;
}

static const llhttp_settings_t callbacks = {
    .on_method_complete = on_method_complete,
    .on_url = on_url,
    .on_version = on_version,
    .on_header_field = on_header_field,
    .on_header_field_complete = on_header_field_complete,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_chunk_header = on_chunk_header,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* ---- life ---- */

struct parse_scratch *parse_scratch_new(const struct http_limits *limits) {
    return mem_alloc(sizeof(struct parse_scratch) +
                     limits->header_count * sizeof(struct header_span));
}

void request_parser_init(struct request_parser *p, const struct http_limits *limits,
                         struct parse_scratch *scratch) {
    *p = (struct request_parser){.limits = limits, .scratch = scratch};
    buf_init(&p->raw, limits->request_line_bytes + limits->header_bytes + 2);
    request_parser_reset(p);
}

void request_parser_dispose(struct request_parser *p) {
    buf_dispose(&p->raw);
    mem_free(p->own);
    p->own = NULL;
    bytes_unref(&p->body);
    p->head = NULL;
}

void request_parser_reset(struct request_parser *p) {
    request_parser_dispose(p);
    /* A fresh llhttp for each request: it never sees the end of a message and so neither its
     * upgrade pause nor its closed state. */
    llhttp_init(&p->llhttp, HTTP_REQUEST, &callbacks);
    p->llhttp.data = p;
    p->headers = p->scratch->headers;
    p->raw_len = p->head_len = p->line_len = p->n_headers = p->version_off = 0;
    p->target = (struct span){0, 0};
    p->in_name = p->skip_body = false;
    p->phase = PARSE_AT_START;
    p->fail_status = 0;
    p->body_len = 0;
    p->content_length = 0;
    p->wire_len = 0;
}

/* ---- rules for a whole head ---- */

static struct slice head_slice(const struct request_parser *p, struct span s) {
    return slice_make(p->head + s.off, s.len);
}

static struct slice header_name(const struct request_parser *p, unsigned i) {
    return head_slice(p, p->headers[i].name);
}

static struct slice header_value(const struct request_parser *p, unsigned i) {
    return slice_trim(head_slice(p, p->headers[i].value));
}

/* How often a header is there; *out_value is the first one's. */
static unsigned header_find(const struct request_parser *p, struct slice name,
                            struct slice *out_value) {
    unsigned count = 0;
    for (unsigned i = 0; i < p->n_headers; i++) {
        if (p->headers[i].name.len != name.len || !slice_eq_nocase(header_name(p, i), name))
            continue;
        if (count++ == 0) *out_value = header_value(p, i);
    }
    return count;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* RFC 3986 3.2.2: reg-name's characters, or what may stand between brackets. */
static bool is_host_char(char c, bool in_brackets) {
    return is_alnum(c) || (in_brackets && c == ':') || (c != '\0' && strchr("-._~!$&'()*+,;=%", c));
}

/* RFC 9110 7.2: uri-host [ ":" port ]. An empty one is allowed. */
static bool is_host_valid(struct slice host) {
    const bool in_brackets = host.len > 0 && host.ptr[0] == '[';
    size_t i = in_brackets;
    while (i < host.len && is_host_char(host.ptr[i], in_brackets)) i++;
    if (in_brackets) {
        if (i == 1 || i == host.len || host.ptr[i++] != ']') return false;
    }
    if (i == host.len) return true;
    if (host.ptr[i++] != ':' || host.len - i > 5) return false;
    while (i < host.len && is_digit(host.ptr[i])) i++;
    return i == host.len;
}

static int check_version(struct request_parser *p, struct request_facts *f) {
    const unsigned major = llhttp_get_http_major(&p->llhttp),
                   minor = llhttp_get_http_minor(&p->llhttp);
    if (major != 1 || minor > 1) return fail(p, 505, text_version);
    f->version_minor = minor;
    static const struct slice protocol = {" HTTP/", 6};
    if (p->version_off < protocol.len ||
        memcmp(p->head + p->version_off - protocol.len, protocol.ptr, protocol.len) != 0)
        return fail(p, 400, "the request line is malformed");
    return 0;
}

static int check_method(struct request_parser *p, struct request_facts *f) {
    switch (llhttp_get_method(&p->llhttp)) {
    case HTTP_GET: f->method = HTTP_METHOD_GET; break;
    case HTTP_HEAD: f->method = HTTP_METHOD_HEAD; break;
    case HTTP_POST: f->method = HTTP_METHOD_POST; break;
    case HTTP_PUT: f->method = HTTP_METHOD_PUT; break;
    case HTTP_DELETE: f->method = HTTP_METHOD_DELETE; break;
    case HTTP_OPTIONS: f->method = HTTP_METHOD_OPTIONS; break;
    case HTTP_PATCH: f->method = HTTP_METHOD_PATCH; break;
    case HTTP_CONNECT: return fail(p, 501, "CONNECT is not supported: this is not a forward proxy");
    default: f->method = HTTP_METHOD_OTHER; break;
    }
    /* One space, no more: llhttp skips several. */
    const char *space = memchr(p->head, ' ', p->target.off);
    if (!space || space + 1 != p->head + p->target.off) return fail(p, 400, "the request line is malformed");
    f->method_text = slice_make(p->head, (size_t)(space - p->head));
    return 0;
}

/* RFC 9112 3.2: origin, absolute and asterisk form. An absolute form's authority takes the place of
 * Host. */
static int check_target(struct request_parser *p, struct request_facts *f) {
    struct slice rest = f->target = head_slice(p, p->target);
    if (slice_index(rest, '#') >= 0) return fail(p, 400, "the request target has a fragment");
    if (rest.ptr[0] != '/' && !slice_eq(rest, SLICE("*"))) {
        const bool is_http = slice_eq_nocase(slice_sub(rest, 0, 7), SLICE("http://"));
        const bool is_https = slice_eq_nocase(slice_sub(rest, 0, 8), SLICE("https://"));
        if (!is_http && !is_https) return fail(p, 400, "the request target is neither a path nor an http URL");
        rest = slice_from(rest, is_http ? 7 : 8);
        size_t end = 0;
        while (end < rest.len && rest.ptr[end] != '/' && rest.ptr[end] != '?') end++;
        f->host = slice_sub(rest, 0, end);
        if (end == 0 || !is_host_valid(f->host)) return fail(p, 400, "the request target's host is malformed");
        rest = slice_from(rest, end);
    } else if (rest.ptr[0] == '*' && f->method != HTTP_METHOD_OPTIONS) {
        return fail(p, 400, "only OPTIONS may have the target *");
    }
    const ptrdiff_t mark = slice_index(rest, '?');
    f->path = mark < 0 ? rest : slice_sub(rest, 0, (size_t)mark);
    f->query = mark < 0 ? slice_from(rest, rest.len) : slice_from(rest, (size_t)mark + 1);
    if (f->path.len == 0) f->path = SLICE("/");
    return 0;
}

static int check_host(struct request_parser *p, struct request_facts *f) {
    struct slice host = SLICE("");
    const unsigned count = header_find(p, SLICE("host"), &host);
    if (count > 1) return fail(p, 400, "there is more than one Host header");
    if (count == 0 && f->version_minor == 1) return fail(p, 400, "the Host header is missing");
    if (!is_host_valid(host)) return fail(p, 400, "the Host header is malformed");
    f->host = host;
    return 0;
}

/* RFC 9112 6.3, without its leniences: whoever sends a body in two ways is refused, whatever came
 * first. */
static int check_framing(struct request_parser *p, struct request_facts *f) {
    struct slice coding, length;
    const unsigned n_codings = header_find(p, SLICE("transfer-encoding"), &coding);
    const unsigned n_lengths = header_find(p, SLICE("content-length"), &length);
    if (n_codings > 0) {
        if (n_lengths > 0) return fail(p, 400, "Content-Length and Transfer-Encoding are both there");
        if (f->version_minor == 0) return fail(p, 400, "Transfer-Encoding is not part of HTTP/1.0");
        if (n_codings > 1 || !slice_eq_nocase(coding, SLICE("chunked")))
            return fail(p, 400, "the Transfer-Encoding is not supported: use chunked alone");
        f->content_length = -1;
    } else if (n_lengths > 0) {
        uint64_t number;
        if (n_lengths > 1 || !slice_to_u64(length, INT64_MAX, &number))
            return fail(p, 400, "the Content-Length is malformed or doubled");
        if (number > p->limits->body_bytes) return fail_body_too_large(p);
        f->content_length = (int64_t)number;
    }
    p->content_length = f->content_length;
    return 0;
}

static int check_expect(struct request_parser *p, struct request_facts *f) {
    struct slice expect;
    const unsigned count = header_find(p, SLICE("expect"), &expect);
    if (count == 0 || f->version_minor == 0) return 0;
    if (count > 1 || !slice_eq_nocase(expect, SLICE("100-continue")))
        return fail(p, 417, "the Expect header asks for something unknown: only 100-continue is");
    f->expects_continue = f->content_length != 0;
    return 0;
}

static bool keeps_alive(const struct request_parser *p, const struct request_facts *f) {
    if (p->llhttp.flags & F_CONNECTION_CLOSE) return false;
    return f->version_minor == 1 || (p->llhttp.flags & F_CONNECTION_KEEP_ALIVE);
}

static int check_head(struct request_parser *p, struct request_facts *f) {
    *f = (struct request_facts){0};
    if (is_over_header_bytes(p, p->head_len)) return fail_headers_too_large(p);
    int rc = check_version(p, f);
    if (rc == 0) rc = check_method(p, f);
    if (rc == 0) rc = check_host(p, f);
    if (rc == 0) rc = check_target(p, f);
    if (rc == 0) rc = check_framing(p, f);
    if (rc == 0) rc = check_expect(p, f);
    f->keeps_alive = keeps_alive(p, f);
    return rc;
}

/* ---- what came of a head ---- */

static struct slice seen_slice(const struct request_parser *p, struct span s) {
    if (s.len > 0 && s.off >= p->raw_len) return slice_make(p->in + (s.off - p->raw_len), s.len);
    if (s.len > 0 && s.off + s.len <= p->raw_len) return slice_make(p->raw.ptr + s.off, s.len);
    return SLICE("");
}

void request_parser_seen(const struct request_parser *p, struct http_header *items,
                         struct http_exchange *out) {
    struct slice target = seen_slice(p, p->target);
    ptrdiff_t query = slice_index(target, '?');
    *out = (struct http_exchange){.path = query < 0 ? target : slice_sub(target, 0, (size_t)query),
                                  .headers = {.items = items}};
    while (out->headers.count < p->n_headers && out->headers.count < SEEN_MAX_HEADERS) {
        const struct header_span *h = &p->headers[out->headers.count];
        items[out->headers.count++] =
            (struct http_header){seen_slice(p, h->name), slice_trim(seen_slice(p, h->value))};
    }
}

/* ---- feeding ---- */

static const char *error_text(llhttp_errno_t code) {
    switch (code) {
    case HPE_INVALID_METHOD: return "the request does not start with a known method";
    case HPE_INVALID_URL: return "the request target is malformed";
    case HPE_INVALID_HEADER_TOKEN:
    case HPE_UNEXPECTED_SPACE: return "a header is malformed";
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_UNEXPECTED_CONTENT_LENGTH: return "the Content-Length is malformed, doubled, or stands beside Transfer-Encoding";
    case HPE_INVALID_TRANSFER_ENCODING: return "the Transfer-Encoding is not supported: use chunked alone";
    case HPE_INVALID_CHUNK_SIZE:
    case HPE_STRICT: return "the chunked body is malformed";
    case HPE_CR_EXPECTED:
    case HPE_LF_EXPECTED: return "a line does not end with CR LF";
    default: return "the request is malformed";
    }
}

static enum parse_result fail_by_code(struct request_parser *p, llhttp_errno_t code) {
    const bool is_http_1 = p->llhttp.http_major == 1 && p->llhttp.http_minor <= 1;
    if (code == HPE_INVALID_VERSION && !is_http_1) {
        fail(p, 505, text_version);
    } else {
        fail(p, 400, error_text(code)); /* keeps what a callback of ours has said */
    }
    return PARSE_FAILED;
}

/* The input ended inside the head: keep what is needed to go on. */
static enum parse_result keep_part(struct request_parser *p, struct slice in) {
    const size_t len = p->raw_len + in.len;
    if (p->line_len == 0 && len > p->limits->request_line_bytes) {
        fail_line_too_long(p);
        return PARSE_FAILED;
    }
    if (p->line_len > 0 && len > p->line_len && len - p->line_len > p->limits->header_bytes) {
        fail_headers_too_large(p);
        return PARSE_FAILED;
    }
    if (!p->own) {
        const size_t bytes = p->limits->header_count * sizeof(struct header_span);
        p->own = mem_alloc(bytes);
        memcpy(p->own, p->headers, p->n_headers * sizeof(struct header_span));
        p->headers = p->own;
    }
    if (buf_append(&p->raw, in) < 0) {
        fail_headers_too_large(p);
        return PARSE_FAILED;
    }
    p->raw_len = (uint32_t)len;
    return PARSE_MORE;
}

static enum parse_result finish_head(struct request_parser *p, struct slice in, size_t used) {
    p->head_len = p->raw_len + (uint32_t)used;
    p->head = in.ptr;
    if (p->raw_len > 0) {
        if (buf_append(&p->raw, slice_sub(in, 0, used)) < 0) {
            fail_headers_too_large(p);
            return PARSE_FAILED;
        }
        p->head = p->raw.ptr;
    }
    return check_head(p, &p->scratch->facts) < 0 ? PARSE_FAILED : PARSE_HEAD;
}

static size_t used_bytes(const struct request_parser *p, struct slice in, llhttp_errno_t code) {
    return code == HPE_OK ? in.len : (size_t)(llhttp_get_error_pos(&p->llhttp) - in.ptr);
}

static enum parse_result feed_head(struct request_parser *p, struct slice in, size_t *out_used) {
    p->in = in.ptr;
    const llhttp_errno_t code = llhttp_execute(&p->llhttp, in.ptr, in.len);
    if (p->phase == PARSE_AT_FAILURE) return PARSE_FAILED;
    *out_used = used_bytes(p, in, code);
    if (code == HPE_PAUSED && p->phase == PARSE_AT_BODY) return finish_head(p, in, *out_used);
    return code == HPE_OK ? keep_part(p, in) : fail_by_code(p, code);
}

static enum parse_result feed_body(struct request_parser *p, struct slice in, size_t *out_used) {
    if (p->phase == PARSE_AT_BODY) {
        p->phase = PARSE_IN_BODY;
        llhttp_resume(&p->llhttp);
    }
    p->in = in.ptr;
    const llhttp_errno_t code = llhttp_execute(&p->llhttp, in.ptr, in.len);
    if (p->phase == PARSE_AT_FAILURE) return PARSE_FAILED;
    *out_used = used_bytes(p, in, code);
    p->wire_len += *out_used;
    if (code != HPE_OK && code != HPE_PAUSED) return fail_by_code(p, code);
    if (p->wire_len - p->body_len > p->body_len * OVERHEAD_PER_BYTE + OVERHEAD_FREE_BYTES) {
        fail(p, 400, "the chunked body has more framing than content");
        return PARSE_FAILED;
    }
    return p->phase == PARSE_AT_END ? PARSE_DONE : PARSE_MORE;
}

/* RFC 9112 2.2: empty lines before a request are skipped. */
static size_t empty_lines_len(struct slice in) {
    size_t n = 0;
    while (n < in.len && (in.ptr[n] == '\r' || in.ptr[n] == '\n')) n++;
    return n;
}

enum parse_result request_parser_feed(struct request_parser *p, struct slice in, size_t *out_used) {
    *out_used = 0;
    if (in.len == 0) in = SLICE(""); /* llhttp wants a pointer */
    size_t skipped = 0;
    enum parse_result result;
    switch ((enum parse_phase)p->phase) {
    case PARSE_AT_START:
        skipped = empty_lines_len(in);
        in = slice_from(in, skipped);
        if (in.len == 0) {
            *out_used = skipped;
            return PARSE_MORE;
        }
        p->phase = PARSE_IN_HEAD;
        result = feed_head(p, in, out_used);
        break;
    case PARSE_IN_HEAD: result = in.len > 0 ? feed_head(p, in, out_used) : PARSE_MORE; break;
    case PARSE_AT_BODY:
    case PARSE_IN_BODY: result = feed_body(p, in, out_used); break;
    case PARSE_AT_END: return PARSE_DONE;
    case PARSE_AT_FAILURE:
    default: return PARSE_FAILED;
    }
    *out_used += skipped;
    return result;
}

/* ---- taking ---- */

static struct slice moved(const struct request_parser *p, struct slice s, const char *to) {
    const uintptr_t head = (uintptr_t)p->head, at = (uintptr_t)s.ptr;
    const bool is_inside = at >= head && at <= head + p->head_len;
    return is_inside ? slice_make(to + (at - head), s.len) : s;
}

void request_parser_take_head(struct request_parser *p, struct arena *a,
                              struct request_facts *out_facts, struct http_headers *out_headers) {
    const char *copy = arena_dup(a, slice_make(p->head, p->head_len)).ptr;
    struct request_facts f = p->scratch->facts;
    f.method_text = moved(p, f.method_text, copy);
    f.target = moved(p, f.target, copy);
    f.path = moved(p, f.path, copy);
    f.query = moved(p, f.query, copy);
    f.host = moved(p, f.host, copy);
    struct http_header *items = arena_alloc(a, p->n_headers * sizeof *items);
    for (unsigned i = 0; i < p->n_headers; i++) {
        items[i].name = moved(p, header_name(p, i), copy);
        items[i].value = moved(p, header_value(p, i), copy);
    }
    *out_headers = (struct http_headers){items, p->n_headers};
    *out_facts = f;
    buf_dispose(&p->raw);
    mem_free(p->own);
    p->own = NULL;
    p->head = NULL;
}

struct bytes *request_parser_take_body(struct request_parser *p) {
    struct bytes *body = p->body;
    p->body = NULL;
    if (!body) return NULL;
    if (body->len / 4 > p->body_len / 3) {
        /* Much slack from doubling: not worth keeping for the length of a stream. */
        struct bytes *fitted = bytes_copy(slice_make(body->data, p->body_len));
        bytes_unref(&body);
        return fitted;
    }
    body->len = p->body_len;
    return body;
}
