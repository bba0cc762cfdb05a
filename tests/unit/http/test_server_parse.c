/* SPDX-License-Identifier: Apache-2.0 */
/* The request parser alone. Every case runs whole, byte by byte, and cut in two at every offset:
 * what comes out must be the same. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "http/server-private.h"

#define LOG_BYTES 4096

struct recorder {
    struct http_limits limits;
    struct request_parser parser;
    struct parse_scratch *scratch;
    char log[LOG_BYTES];
    size_t len;
    bool has_failed;
};

static void note(struct recorder *r, const char *format, ...) PRINTF_LIKE(2, 3);
static void note(struct recorder *r, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(r->log + r->len, sizeof r->log - r->len, format, args);
    va_end(args);
    r->len += (size_t)n;
    assert_true(r->len < sizeof r->log);
}

static void note_head(struct recorder *r) {
    struct arena *a = arena_new();
    struct request_facts f;
    struct http_headers headers;
    request_parser_take_head(&r->parser, a, &f, &headers);
    note(r, "[%.*s %.*s ?%.*s 1.%u host=%.*s len=%lld%s%s", SLICE_FMT(f.method_text), SLICE_FMT(f.path),
         SLICE_FMT(f.query), f.version_minor, SLICE_FMT(f.host), (long long)f.content_length,
         f.keeps_alive ? " ka" : "", f.expects_continue ? " 100" : "");
    for (unsigned i = 0; i < headers.count; i++) {
        note(r, " %.*s=%.*s", SLICE_FMT(headers.items[i].name), SLICE_FMT(headers.items[i].value));
    }
    note(r, "]");
    arena_free(a);
}

static void note_body(struct recorder *r) {
    struct bytes *body = request_parser_take_body(&r->parser);
    note(r, "(%.*s)", SLICE_FMT(bytes_slice(body)));
    bytes_unref(&body);
}

/* Gives one read's bytes, from an allocation of their own so that a pointer kept too long shows. */
static void give(struct recorder *r, const char *bytes, size_t len) {
    char *copy = malloc(len ? len : 1);
    memcpy(copy, bytes, len);
    struct slice in = {copy, len};
    while (!r->has_failed) {
        size_t used;
        const enum parse_result result = request_parser_feed(&r->parser, in, &used);
        assert_true(used <= in.len);
        in = slice_from(in, used);
        if (result == PARSE_MORE) {
            assert_int_equal(in.len, 0);
            break;
        }
        if (result == PARSE_FAILED) {
            note(r, "!%u", r->parser.fail_status);
            assert_non_null(r->parser.fail_text);
            r->has_failed = true;
        }
        if (result == PARSE_HEAD) note_head(r);
        if (result == PARSE_DONE) {
            note_body(r);
            request_parser_reset(&r->parser);
        }
    }
    free(copy);
}

static struct http_limits small_limits(void) {
    struct http_limits limits;
    http_limits_default(&limits);
    limits.request_line_bytes = 64;
    limits.header_bytes = 256;
    limits.header_count = 8;
    limits.body_bytes = 100;
    return limits;
}

static void recorder_init(struct recorder *r, const struct http_limits *limits) {
    r->limits = *limits;
    r->scratch = parse_scratch_new(&r->limits);
    r->len = 0;
    r->log[0] = '\0';
    r->has_failed = false;
    request_parser_init(&r->parser, &r->limits, r->scratch);
}

static void recorder_dispose(struct recorder *r) {
    request_parser_dispose(&r->parser);
    mem_free(r->scratch);
}

/* step 0: cut in two at `cut`; else reads of `step` bytes. */
static void run(const char *bytes, size_t len, size_t cut, size_t step,
                char out[static LOG_BYTES]) {
    struct recorder r;
    const struct http_limits limits = small_limits();
    recorder_init(&r, &limits);
    if (step == 0) {
        give(&r, bytes, cut);
        give(&r, bytes + cut, len - cut);
    }
    for (size_t at = 0; step > 0 && at < len; at += step)
        give(&r, bytes + at, len - at < step ? len - at : step);
    memcpy(out, r.log, r.len + 1);
    recorder_dispose(&r);
}

static void check_once(const char *text, size_t cut, size_t step, const char *expected) {
    char log[LOG_BYTES];
    run(text, strlen(text), cut, step, log);
    if (strcmp(log, expected) != 0) print_error("cut %zu, step %zu of: %s\n", cut, step, text);
    assert_string_equal(log, expected);
}

static void check(const char *text, const char *expected) {
    for (size_t cut = 0; cut <= strlen(text); cut++) check_once(text, cut, 0, expected);
    for (size_t step = 1; step < 8; step++) check_once(text, 0, step, expected);
}

#define HOST "Host: a\r\n"
#define CHUNKED "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
#define CHUNKED_HEAD "[POST / ? 1.1 host=a len=-1 ka Host=a Transfer-Encoding=chunked]"

static void test_good_requests(void **state) {
    (void)state;
    static const struct {
        const char *text, *expected;
    } rows[] = {
        {"GET / HTTP/1.1\r\n" HOST "\r\n", "[GET / ? 1.1 host=a len=0 ka Host=a]()"},
        {"\r\n\r\nGET /x?y=z&q HTTP/1.1\r\n" HOST "\r\n\r\n", "[GET /x ?y=z&q 1.1 host=a len=0 ka Host=a]()"},
        {"GET / HTTP/1.0\r\n\r\n", "[GET / ? 1.0 host= len=0]()"},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "[GET / ? 1.0 host= len=0 ka Connection=Keep-Alive]()"},
        {"GET / HTTP/1.1\r\n" HOST "Connection: foo, Close\r\n\r\n",
         "[GET / ? 1.1 host=a len=0 Host=a Connection=foo, Close]()"},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", "[POST / ? 1.1 host=a len=5 ka Host=a Content-Length=5](hello)"},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", "[POST / ? 1.1 host=a len=0 ka Host=a Content-Length=0]()"},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 2\r\nExpect: 100-Continue\r\n\r\nab",
         "[POST / ? 1.1 host=a len=2 ka 100 Host=a Content-Length=2 Expect=100-Continue](ab)"},
        {"POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: x\r\n\r\na", "[POST / ? 1.0 host= len=1 Content-Length=1 Expect=x](a)"},
        {CHUNKED "5\r\nhello\r\n1;a=b;c=\"d e\"\r\n!\r\n00\r\nX: y\r\n\r\n", CHUNKED_HEAD "(hello!)"},
        {CHUNKED "A\r\n0123456789\r\n0\r\n\r\n" "GET / HTTP/1.1\r\n" HOST "\r\n",
         CHUNKED_HEAD "(0123456789)" "[GET / ? 1.1 host=a len=0 ka Host=a]()"},
        {"GET http://b.example:80/p?q HTTP/1.1\r\n" HOST "\r\n", "[GET /p ?q 1.1 host=b.example:80 len=0 ka Host=a]()"},
        {"GET HTTPS://b HTTP/1.1\r\n" HOST "\r\n", "[GET / ? 1.1 host=b len=0 ka Host=a]()"},
        {"GET http://b?x HTTP/1.1\r\n" HOST "\r\n", "[GET / ?x 1.1 host=b len=0 ka Host=a]()"},
        {"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "[OPTIONS * ? 1.1 host=a len=0 ka Host=a]()"},
        {"GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", "[GET / ? 1.1 host=[::1]:8080 len=0 ka Host=[::1]:8080]()"},
        {"GET / HTTP/1.1\r\nhost:\r\n\r\n", "[GET / ? 1.1 host= len=0 ka host=]()"},
        {"GET / HTTP/1.1\r\n" HOST "E:\r\nF: \t \r\nG: \t x y \t \r\n\r\n", "[GET / ? 1.1 host=a len=0 ka Host=a E= F= G=x y]()"},
        {"GET / HTTP/1.1\r\n" HOST "X: \xc3\xa9\r\n\r\n", "[GET / ? 1.1 host=a len=0 ka Host=a X=\xc3\xa9]()"},
        /* Answered as plain requests, and the connection goes on in HTTP/1.1. */
        {"GET /1 HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: h2c\r\n\r\nGET /2 HTTP/1.1\r\n" HOST "\r\n",
         "[GET /1 ? 1.1 host=a len=0 ka Host=a Connection=upgrade Upgrade=h2c]()[GET /2 ? 1.1 host=a len=0 ka Host=a]()"},
        {"POST /1 HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 1\r\n\r\naGET /2 HTTP/1.1\r\n" HOST "\r\n",
         "[POST /1 ? 1.1 host=a len=1 ka Host=a Connection=upgrade Upgrade=x Content-Length=1](a)"
         "[GET /2 ? 1.1 host=a len=0 ka Host=a]()"},
        {"TRACE / HTTP/1.1\r\n" HOST "\r\n", "[TRACE / ? 1.1 host=a len=0 ka Host=a]()"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) check(rows[i].text, rows[i].expected);
}

/* Each of these is refused, and nothing is taken for a request: the log holds the status alone. */
static void test_refused_heads(void **state) {
    (void)state;
    static const struct {
        const char *text;
        unsigned status;
    } rows[] = {
        /* request line */
        {"get / HTTP/1.1\r\n" HOST "\r\n", 400},
        {"FOO / HTTP/1.1\r\n" HOST "\r\n", 400},
        {"\x16\x03\x01\x02 a TLS hello", 400},
        {"GET  / HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET\t/ HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET / HTTP/1.1 \r\n" HOST "\r\n", 400},
        {"GET / HTTP/1.1\n" HOST "\r\n", 400},
        {"GET / HTTX/1.1\r\n" HOST "\r\n", 400},
        {"GET /a b HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET x HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET * HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET /a#b HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET /\xff HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET ftp://h/ HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET http:///x HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET http://u@h/ HTTP/1.1\r\n" HOST "\r\n", 400},
        {"GET http://h:99999x/ HTTP/1.1\r\n" HOST "\r\n", 400},
        {"OPTIONS * RTSP/1.0\r\n\r\n", 400},
        {"SOURCE /x ICE/1.0\r\n\r\n", 400},
        {"CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n", 501},
        {"GET /\r\n\r\n", 505},
        {"GET / HTTP/0.9\r\n\r\n", 505},
        {"GET / HTTP/1.2\r\n" HOST "\r\n", 505},
        {"GET / HTTP/2.0\r\n" HOST "\r\n", 505},
        {"GET / HTTP/3.0\r\n" HOST "\r\n", 505},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        {"PRI * HTTP/2.0\r\n" HOST "\r\n", 505},
        {"GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\n" HOST "\r\n", 414},
        /* headers */
        {"GET / HTTP/1.1\r\n" HOST "A : b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n" HOST ": b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n" HOST "A\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n" HOST "A(: b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n" HOST "A: b\r\n folded\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n" HOST "A: b\r\n\tfolded\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n " HOST "\r\n", 400},
        {"GET / HTTP/1.1\r\n" HOST "A: b\rc\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n" HOST "A: b\n\r\n", 400},
        {"GET / HTTP/1.1\r\n" HOST "A: b\x0b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n" HOST "A: b\x7f\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n" HOST "\n", 400},
        {"GET / HTTP/1.1\r\n" HOST "1:\r\n2:\r\n3:\r\n4:\r\n5:\r\n6:\r\n7:\r\n8:\r\n\r\n", 431},
        /* Host */
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n" HOST HOST "\r\n", 400},
        {"GET / HTTP/1.0\r\n" HOST HOST "\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a:x\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a:123456\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: []\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\xc3\xa9\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400},
        {"GET http://b/ HTTP/1.1\r\n\r\n", 400},
        /* Expect */
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nExpect: 200-ok\r\n\r\na", 417},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nExpect: 100-continue\r\nExpect: x\r\n\r\na", 417},
        /* Content-Length */
        {"POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\na", 400},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\na", 400},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 0x1\r\n\r\na", 400},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 1 1\r\n\r\na", 400},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 1,1\r\n\r\na", 400},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 1.0\r\n\r\na", 400},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: \"1\"\r\n\r\na", 400},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551616\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551615\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 101\r\n\r\n", 413},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 9223372036854775807\r\n\r\n", 413},
        /* Transfer-Encoding, alone and with Content-Length: the forms that smuggle requests past
         * proxies */
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 4\r\nTransfer-Encoding: identity\r\n\r\nabcd", 400},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 4\r\nTransfer-Encoding:\r\n\r\nabcd", 400},
        {"POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n\r\n0\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: \x0b" "chunked\r\n\r\n0\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" HOST " Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" HOST "X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char expected[16];
        snprintf(expected, sizeof expected, "!%u", rows[i].status);
        check(rows[i].text, expected);
    }
}

static void test_refused_chunks(void **state) {
    (void)state;
    static const struct {
        const char *body;
        unsigned status;
    } rows[] = {
        {"x\r\n", 400},
        {"\r\n", 400},
        {"-1\r\n", 400},
        {"0x1\r\na\r\n", 400},
        {" 1\r\na\r\n", 400},
        {"1 \r\na\r\n", 400},
        {"1\na\r\n", 400},
        {"1\r\nab\r\n", 400},
        {"1\r\na\n0\r\n\r\n", 400},
        {"1\r\na0\r\n\r\n", 400},
        {"1;\nx\r\na\r\n", 400},
        {"1;a=\"\n\"\r\na\r\n", 400},
        {"0\r\nX: y\r\n folded\r\n\r\n", 400},
        {"0\r\nX : y\r\n\r\n", 400},
        {"0\r\nContent-Length: 1\r\n\r\na", 400},
        {"0\r\n\n", 400},
        {"65\r\n", 413},
        {"64\r\n0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\r\n1\r\n", 413},
        {"ffffffffffffffff\r\n", 413},
        {"10000000000000000\r\n", 400},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[512], expected[256];
        snprintf(text, sizeof text, "%s%s", CHUNKED, rows[i].body);
        snprintf(expected, sizeof expected, "%s!%u", CHUNKED_HEAD, rows[i].status);
        check(text, expected);
    }
}

static void test_nul_is_refused_anywhere_in_a_head(void **state) {
    (void)state;
    static const char text[] = "GET /x HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\n";
    for (size_t at = 0; at + 1 < sizeof text; at++) {
        char copy[sizeof text], log[LOG_BYTES];
        memcpy(copy, text, sizeof text);
        copy[at] = '\0';
        for (size_t step = 1; step < sizeof text; step += sizeof text - 2) {
            run(copy, sizeof text - 1, 0, step, log);
            assert_int_equal(log[0], '!');
            assert_true(strcmp(log, "!400") == 0 || strcmp(log, "!505") == 0);
        }
    }
}

/* Every byte value in a value and in a name: what passes is what the RFC allows. */
static void test_header_bytes(void **state) {
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        char text[64], log[LOG_BYTES];
        int n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\nX: a_b\r\n\r\n");
        *strchr(text, '_') = (char)c;
        run(text, (size_t)n, 0, 1000, log);
        assert_int_equal(log[0] == '[', c == '\t' || (c >= ' ' && c != 0x7f));
        n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\nX_Y: a\r\n\r\n");
        *strchr(text, '_') = (char)c;
        run(text, (size_t)n, 0, 1000, log);
        const char name[] = {'X', (char)c, 'Y'};
        const bool is_token = http_header_is_valid(slice_make(name, 3), SLICE(""));
        assert_int_equal(log[0] == '[', is_token || c == ':');
    }
}

static char *repeat(const char *head, const char *unit, size_t count, const char *tail,
                    size_t *out_len) {
    const size_t n_head = strlen(head), n_unit = strlen(unit), n_tail = strlen(tail);
    char *text = malloc(n_head + n_unit * count + n_tail);
    memcpy(text, head, n_head);
    for (size_t i = 0; i < count; i++) memcpy(text + n_head + i * n_unit, unit, n_unit);
    memcpy(text + n_head + n_unit * count, tail, n_tail);
    *out_len = n_head + n_unit * count + n_tail;
    return text;
}

static void check_repeated(const char *head, const char *unit, size_t count, const char *tail,
                           const char *expected_tail) {
    size_t len;
    char *text = repeat(head, unit, count, tail, &len), log[LOG_BYTES];
    static const size_t steps[] = {1, 7, 1000, 16384, SIZE_MAX};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        run(text, len, 0, steps[i], log);
        const size_t n = strlen(log), n_tail = strlen(expected_tail);
        assert_true(n >= n_tail);
        assert_string_equal(log + n - n_tail, expected_tail);
    }
    free(text);
}

static void test_sizes(void **state) {
    (void)state;
    /* The line may have 64 bytes: "GET /" 50 × "x" " HTTP/1.1" is 64. */
    check_repeated("GET /", "x", 50, " HTTP/1.1\r\n" HOST "\r\n", " ka Host=a]()");
    check_repeated("GET /", "x", 51, " HTTP/1.1\r\n" HOST "\r\n", "!414");
    check_repeated("GET /", "x", 1024 * 1024, "", "!414");
    /* Headers may have 256 bytes with the empty line: 9 + 5 + 240 + 2. */
    check_repeated("GET / HTTP/1.1\r\n" HOST "X: ", "y", 240, "\r\n\r\n", "]()");
    check_repeated("GET / HTTP/1.1\r\n" HOST "X: ", "y", 241, "\r\n\r\n", "!431");
    check_repeated("GET / HTTP/1.1\r\n" HOST "X:", " ", 241, "\r\n\r\n", "]()");
    check_repeated("GET / HTTP/1.1\r\n" HOST "X:", " ", 242, "\r\n\r\n", "!431");
    check_repeated("GET / HTTP/1.1\r\n" HOST "X: ", "y", 1024 * 1024, "\r\n\r\n", "!431");
    check_repeated("GET / HTTP/1.1\r\n" HOST, "y", 1024 * 1024, ":\r\n\r\n", "!431");
    check_repeated("GET / HTTP/1.1\r\n", "a: b\r\n", 100000, "\r\n", "!431");
    /* Empty lines before a request cost nothing. */
    check_repeated("", "\r\n", 1000, "GET / HTTP/1.1\r\n" HOST "\r\n", "]()");
}

static void test_chunk_overhead_is_bounded(void **state) {
    (void)state;
    check_repeated(CHUNKED "1;", "x", 1000, "\r\na\r\n0\r\n\r\n", "(a)");
    check_repeated(CHUNKED "1;", "x", 1024 * 1024, "\r\na\r\n0\r\n\r\n", "!400");
    check_repeated(CHUNKED, "0", 1024 * 1024, "1\r\na\r\n0\r\n\r\n", "!400");
    check_repeated(CHUNKED "0\r\n", "X: y\r\n", 100000, "\r\n", "!400");
    check_repeated(CHUNKED, "1\r\na\r\n", 100, "0\r\n\r\n", "a)");
    check_repeated(CHUNKED, "1\r\na\r\n", 101, "0\r\n\r\n", "!413");
}

static void test_usual_head_takes_no_memory_in_the_parser(void **state) {
    (void)state;
    struct recorder r;
    const struct http_limits limits = small_limits();
    recorder_init(&r, &limits);
    size_t used;
    const uint64_t before = mem_alloc_count();
    assert_int_equal(request_parser_feed(&r.parser, SLICE("GET / HTTP/1.1\r\n" HOST "\r\n"), &used), PARSE_HEAD);
    assert_int_equal(request_parser_feed(&r.parser, SLICE(""), &used), PARSE_DONE);
    assert_true(mem_alloc_count() == before);
    recorder_dispose(&r);
}

static void test_announced_length_is_not_allocated_ahead(void **state) {
    (void)state;
    struct recorder r;
    struct http_limits limits = small_limits();
    limits.body_bytes = 1 << 30;
    recorder_init(&r, &limits);
    give(&r, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\nabc", 60);
    assert_true(r.parser.body->len <= 65536);
    recorder_dispose(&r);
}

static void test_peers(void **state) {
    (void)state;
    struct peer_table *t = peer_table_new(1);
    /* Many hosts, each twice: added, counted and removed, through growth and probe runs. */
    for (unsigned round = 0; round < 3; round++) {
        struct addr a = {.len = sizeof a.u.in4};
        a.u.in4.sin_family = AF_INET;
        for (uint32_t host = 0; host < 1000; host++) {
            a.u.in4.sin_addr.s_addr = host;
            a.u.in4.sin_port = (in_port_t)host;
            assert_true(peer_table_add(t, &a, 2));
            assert_true(peer_table_add(t, &a, 2));
            assert_false(peer_table_add(t, &a, 2));
        }
        for (uint32_t i = 0; i < 1000; i++) {
            a.u.in4.sin_addr.s_addr = (i * 7 + round) % 1000;
            peer_table_remove(t, &a);
            assert_true(peer_table_add(t, &a, 2));
            peer_table_remove(t, &a);
            peer_table_remove(t, &a);
            peer_table_remove(t, &a); /* one too many does no harm */
        }
    }
    /* IPv6 counts by /64; a v4-mapped address is its IPv4 self. */
    struct err e;
    struct addr one, two, mapped, plain;
    assert_int_equal(addr_parse(SLICE("[2001:db8::1]:1"), &one, &e), 0);
    assert_int_equal(addr_parse(SLICE("[2001:db8::2]:2"), &two, &e), 0);
    assert_int_equal(addr_parse(SLICE("[::ffff:10.0.0.1]:1"), &mapped, &e), 0);
    assert_int_equal(addr_parse(SLICE("10.0.0.1:1"), &plain, &e), 0);
    assert_true(peer_table_add(t, &one, 1));
    assert_false(peer_table_add(t, &two, 1));
    assert_true(peer_table_add(t, &mapped, 1));
    assert_false(peer_table_add(t, &plain, 1));
    peer_table_free(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_requests),
        cmocka_unit_test(test_refused_heads),
        cmocka_unit_test(test_refused_chunks),
        cmocka_unit_test(test_nul_is_refused_anywhere_in_a_head),
        cmocka_unit_test(test_header_bytes),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_chunk_overhead_is_bounded),
        cmocka_unit_test(test_usual_head_takes_no_memory_in_the_parser),
        cmocka_unit_test(test_announced_length_is_not_allocated_ahead),
        cmocka_unit_test(test_peers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
