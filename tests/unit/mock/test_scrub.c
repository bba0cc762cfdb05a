/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets do not reach a capture, however they are cut, and nothing else is touched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/random.h"
#include "dialect/dialect.h"
#include "mock/scrub.h"

#define ROUNDS 400

static const char *const user_patterns[] = {"customer-[0-9]{5}"};
static const struct scrub_secrets no_secrets;

static struct scrub *rules_new(void) {
    struct err e;
    struct scrub *s = scrub_new(user_patterns, 1, &e);
    assert_non_null(s);
    return s;
}

/* ---- streams of all dialects ---- */

static const char *const secrets[] = {
    "sk-" "proj-Ab3dEfGhIjKlMnOpQrStUvWxYz0123456789",
    "sk-ant-api03-Zz9_yY8-xX7wW6vV5uU4tT3sS2",
    "AKIA" "IOSFODNN7EXAMPLE",
    "ghp_" "16C7e42F292c6912E7710c838347Ae178B4a",
    "github_pat_11ABCDEFG0abcdefghijkl_ABCDEFGHIJ",
    "xoxb-123456789012-abcdefABCDEF",
    "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    "-----BEGIN RSA " "PRIVATE KEY-----\nMIIEowIBAAKCAQEA7\nabc+/def=\n-----END RSA PRIVATE KEY-----",
    "customer-90210",
    "my own key 42/+",
};
#define N_SECRETS (sizeof secrets / sizeof secrets[0])

struct said {
    struct buf text;                   /* of the block of interest */
    enum block_kind kind;
};

static int on_event(void *self, const struct event *ev) {
    struct said *s = self;
    if (ev->kind == EV_DELTA && ev->block_kind == s->kind && !(ev->flags & EVF_RECAP)) {
        assert_int_equal(buf_append(&s->text, ev->text), 0);
    }
    return 0;
}

struct decoding {
    const struct dialect *dialect;
    struct decoder *decoder;
    struct said said;
};

static int on_frame(void *self, const struct sse_frame *f) {
    struct decoding *d = self;
    struct event_sink sink = {on_event, &d->said};
    struct err e;
    if (f->flags & SSE_DATA) {
        (void)!d->dialect->decoder_feed(d->decoder, f, &sink, &e);
    }
    return 0;
}

/* What a client puts together of the block. */
static void decode(const struct dialect *dialect, enum block_kind kind, struct slice body,
                   struct buf *out) {
    struct decoding d = {.dialect = dialect, .decoder = dialect->decoder_new()};
    struct sse_sink sink = {on_frame, &d};
    struct sse_parser p;
    struct err e;
    d.said.kind = kind;
    buf_init(&d.said.text, 1 << 20);
    sse_parser_init(&p, NULL);
    assert_int_equal(sse_parser_feed(&p, body, &sink, &e), 0);
    assert_int_equal(sse_parser_finish(&p, &sink, &e), 0);
    sse_parser_dispose(&p);
    dialect->decoder_free(d.decoder);
    *out = d.said.text;
}

static void put(const struct dialect *d, struct encoder *x, const struct event *ev,
                struct buf *out) {
    assert_int_equal(d->encoder_event(x, ev, out), 0);
}

static void put_deltas(const struct dialect *d, struct encoder *x, enum block_kind kind,
                       struct slice text, struct rng *rng, struct buf *out) {
    struct event ev = {.kind = EV_DELTA, .flags = EVF_CONTENT, .block_kind = kind, .block = 0};
    while (text.len > 0) {
        size_t len = 1 + rng_below(rng, rng_below(rng, 2) ? 3 : text.len);
        while (len < text.len && ((unsigned char)text.ptr[len] & 0xc0) == 0x80) {
            len++;                       /* events have whole code points */
        }
        ev.text = slice_sub(text, 0, len);
        put(d, x, &ev, out);
        ev.block_off += ev.text.len;
        text = slice_from(text, len);
    }
}

static void make_stream(const struct dialect *d, enum block_kind kind, struct slice text,
                        struct rng *rng, struct buf *out) {
    struct encoder_options o = {.id = SLICE("answer-1"), .model = SLICE("m"), .include_usage = true};
    struct encoder *x = d->encoder_new(&o);
    put(d, x, &(struct event){.kind = EV_START, .u.start = {.role = SLICE("assistant"), .created = -1}},
        out);
    put(d, x, &(struct event){.kind = EV_BLOCK_BEGIN, .block_kind = kind,
                              .u.begin = {.id = SLICE("call_1"), .name = SLICE("look")}}, out);
    put_deltas(d, x, kind, text, rng, out);
    put(d, x, &(struct event){.kind = EV_BLOCK_END, .block_kind = kind}, out);
    put(d, x,
        &(struct event){.kind = EV_FINISH,
                        .u.finish = {.reason = kind == BLOCK_TOOL_CALL ? STOP_TOOL : STOP_END}},
        out);
    put(d, x, &(struct event){.kind = EV_END}, out);
    d->encoder_free(x);
}

/* Some characters of strings that are values become escapes. */
static void respell(struct slice body, struct rng *rng, struct buf *out) {
    bool in_string = false, is_value = false, escaped = false;
    for (size_t i = 0; i < body.len; i++) {
        char c = body.ptr[i];
        bool is_word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
        if (in_string && is_value && is_word && !escaped && rng_below(rng, 8) == 0) {
            assert_int_equal(buf_appendf(out, "\\u%04x", (unsigned)c), 0);
            continue;
        }
        assert_int_equal(buf_append_byte(out, c), 0);
        if (escaped) {
            escaped = false;
        } else if (in_string && c == '\\') {
            escaped = true;
        } else if (c == '"') {
            in_string = !in_string;
        }
        if (!in_string && c != '"') {
            is_value = c == ':' && i > 0 && body.ptr[i - 1] == '"';
        }
    }
}

/* Only asterisks took the place of something, and never of a line end or a quote. */
static void assert_changes(struct slice before, struct slice after) {
    assert_int_equal(before.len, after.len);
    for (size_t i = 0; i < before.len; i++) {
        if (before.ptr[i] != after.ptr[i]) {
            assert_int_equal(after.ptr[i], '*');
            assert_true(before.ptr[i] != '\n' && before.ptr[i] != '\r');
        }
    }
}

static void assert_text(struct slice head, struct slice tail, struct slice got) {
    assert_true(slice_starts_with(got, head));
    assert_true(got.len >= head.len + tail.len);
    assert_true(slice_eq(slice_from(got, got.len - tail.len), tail));
    for (size_t i = head.len; i < got.len - tail.len; i++) {
        assert_int_equal(got.ptr[i], '*');
    }
}

static void one_round(const struct scrub *rules, const struct dialect *d, enum block_kind kind,
                      const char *secret, struct rng *rng) {
    struct scrub_secrets own = {.n = 0};
    struct buf plain, respelt, got;
    char text[512];
    bool is_call = kind == BLOCK_TOOL_CALL;
    struct slice head = is_call ? SLICE("{\"q\":\"one \xc3\xa9 ") : SLICE("The k\xc3\xa9y is ");
    struct slice tail = is_call ? SLICE(" two\",\"n\":12}") : SLICE(" , they said.");
    char inner[300] = "";
    scrub_secrets_add(&own, SLICE("my own key 42/+"));
    for (const char *c = secret; *c; c++) {
        size_t at = strlen(inner);
        snprintf(inner + at, sizeof inner - at, is_call && *c == '\n' ? "\\n" : "%c", *c);
    }
    snprintf(text, sizeof text, "%.*s%s%.*s", SLICE_FMT(head), inner, SLICE_FMT(tail));
    buf_init(&plain, 1 << 20);
    buf_init(&respelt, 1 << 20);
    make_stream(d, kind, slice_cstr(text), rng, &plain);
    respell(buf_slice(&plain), rng, &respelt);
    decode(d, kind, buf_slice(&respelt), &got);
    assert_true(slice_eq(buf_slice(&got), slice_cstr(text)));    /* the test itself is right */
    buf_dispose(&got);

    char *body = mem_dup_cstr(buf_slice(&respelt));
    unsigned n = 0;
    assert_int_equal(scrub_body(rules, &own, SCRUB_STREAM, false, body, respelt.len, &n), 0);
    assert_true(n > 0);
    struct slice after = slice_make(body, respelt.len);
    decode(d, kind, after, &got);
    assert_text(head, tail, buf_slice(&got));
    assert_changes(buf_slice(&respelt), after);
    assert_null(memmem(after.ptr, after.len, secret, strlen(secret)));
    buf_dispose(&got);
    mem_free(body);
    buf_dispose(&plain);
    buf_dispose(&respelt);
}

static void secrets_in_streams_are_hidden_however_they_are_cut(void **state) {
    (void)state;
    struct scrub *rules = rules_new();
    struct rng rng;
    rng_seed(&rng, 7);
    for (unsigned i = 0; i < ROUNDS; i++) {
        for (const struct dialect *const *d = dialects; *d; d++) {
            bool may_call = *d != &dialect_completions;
            enum block_kind kind =
                may_call && rng_below(&rng, 3) == 0 ? BLOCK_TOOL_CALL : BLOCK_TEXT;
            one_round(rules, *d, kind, secrets[rng_below(&rng, N_SECRETS)], &rng);
        }
    }
    scrub_free(&rules);
}

static void a_cut_stream_shows_no_beginning_of_a_secret(void **state) {
    (void)state;
    struct scrub *rules = rules_new();
    struct rng rng;
    rng_seed(&rng, 8);
    for (unsigned i = 0; i < ROUNDS; i++) {
        const struct dialect *d = dialects[rng_below(&rng, 4)];
        const char *secret = secrets[rng_below(&rng, 4)];
        struct buf plain, respelt, got;
        char text[300], beginning[20];
        snprintf(text, sizeof text, "key: %s", secret);
        snprintf(beginning, sizeof beginning, "%.13s", secret);
        buf_init(&plain, 1 << 20);
        buf_init(&respelt, 1 << 20);
        make_stream(d, BLOCK_TEXT, slice_cstr(text), &rng, &plain);
        respell(buf_slice(&plain), &rng, &respelt);
        size_t len = rng_below(&rng, respelt.len) + 1;
        assert_int_equal(scrub_body(rules, &no_secrets, SCRUB_STREAM, true, respelt.ptr, len, NULL),
                         0);
        decode(d, BLOCK_TEXT, slice_make(respelt.ptr, len), &got);
        if (got.len && memmem(got.ptr, got.len, beginning, 13)) {
            fail_msg("%s: %.*s\n%.*s", d->name, SLICE_FMT(buf_slice(&got)), (int)len, respelt.ptr);
        }
        buf_dispose(&got);
        buf_dispose(&plain);
        buf_dispose(&respelt);
    }
    scrub_free(&rules);
}

/* ---- single cases ---- */

static void check_body(const char *before, const char *after) {
    struct scrub *rules = rules_new();
    struct scrub_secrets own = {.n = 0};
    char *body = mem_dup_cstr(slice_cstr(before));
    scrub_secrets_add(&own, SLICE("the-clients-own-key"));
    assert_int_equal(scrub_body(rules, &own, SCRUB_GUESS, false, body, strlen(body), NULL), 0);
    assert_string_equal(body, after);
    mem_free(body);
    scrub_free(&rules);
}

static void whole_bodies(void **state) {
    (void)state;
    check_body("", "");
    check_body("{}", "{}");
    check_body("{\"a\":\"sk-abcdefghij0123456789\"}", "{\"a\":\"***********************\"}");
    check_body("{\"sk-abcdefghij0123456789\":1}", "{\"***********************\":1}");
    check_body("{\"password\":\"hunter2\",\"word\":\"hunter2\"}",
               "{\"password\":\"*******\",\"word\":\"hunter2\"}");
    check_body("{\"a\":\"x the-clients-own-key y\"}", "{\"a\":\"x ******************* y\"}");
    check_body("{\"a\":\"the-client\\u0073-own-key\"}", "{\"a\":\"************************\"}");
    /* plain, cut and wrong JSON */
    check_body("Bearer abcdefgh12345678", "Bearer ****************");
    check_body("{\"a\":\"sk-abcdefghij0123456789", "{\"a\":\"***********************");
    check_body("{\"a\" nonsense sk-abcdefghij0123456789}", "{\"a\" nonsense ***********************}");
    /* a header that was pasted into the text: one secret, and the quote is not its */
    check_body("{\"t\":\"Authorization: Bearer abcdefgh12345678\"}",
               "{\"t\":\"Authorization: Bearer ****************\"}");
    /* JSON in a string in a string */
    check_body("{\"a\":\"{\\\"b\\\":\\\"the-client\\\\u0073-own-key\\\"}\"}",
               "{\"a\":\"{\\\"b\\\":\\\"*************************\\\"}\"}");
}

static void what_is_no_secret_stays(void **state) {
    (void)state;
    const char *const bodies[] = {
        "{\"a\":\"a task-management-and-risk-assessment tool\"}",
        "{\"a\":\"bearer of good news everyone, responsibilities included\"}",
        "{\"a\":\"eyJ is how JWTs begin\",\"b\":\"AKIA\",\"c\":\"customer-9\"}",
        "data: {\"id\":\"abc\"}\n\ndata: {\"id\":\"abc\"}\n\ndata: [DONE]\n\n",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        check_body(bodies[i], bodies[i]);
    }
}

static void log_probabilities_are_a_text(void **state) {
    (void)state;
    check_body(
        "{\"choices\":[{\"index\":0,\"logprobs\":{\"content\":["
        "{\"token\":\"k \",\"bytes\":[107,32],\"top_logprobs\":[{\"token\":\"q\",\"bytes\":[113]}]},"
        "{\"token\":\"customer\",\"bytes\":[99,117],\"top_logprobs\":[{\"token\":\"cust\",\"bytes\":[99]}]},"
        "{\"token\":\"-123\",\"bytes\":[45],\"top_logprobs\":[]},"
        "{\"token\":\"45\",\"bytes\":[52],\"top_logprobs\":[]},"
        "{\"token\":\" z\",\"bytes\":[122],\"top_logprobs\":[]}]}}]}",
        "{\"choices\":[{\"index\":0,\"logprobs\":{\"content\":["
        "{\"token\":\"k \",\"bytes\":[107,32],\"top_logprobs\":[{\"token\":\"q\",\"bytes\":[113]}]},"
        "{\"token\":\"********\",\"bytes\":[42,120],\"top_logprobs\":[{\"token\":\"****\",\"bytes\":[42]}]},"
        "{\"token\":\"****\",\"bytes\":[42],\"top_logprobs\":[]},"
        "{\"token\":\"**\",\"bytes\":[42],\"top_logprobs\":[]},"
        "{\"token\":\" z\",\"bytes\":[122],\"top_logprobs\":[]}]}}]}");
    check_body("{\"choices\":[{\"logprobs\":{\"tokens\":[\"customer\",\"-\",\"12345\",\" x\"],"
               "\"top_logprobs\":[{\"customer\":-0.1},{\"-\":-0.2}]}}]}",
               "{\"choices\":[{\"logprobs\":{\"tokens\":[\"********\",\"*\",\"*****\",\" x\"],"
               "\"top_logprobs\":[{\"********\":-0.1},{\"*\":-0.2}]}}]}");
}

static void streams_of_every_spelling(void **state) {
    (void)state;
    check_body("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"customer\"}}]}\r\n\r\n"
               "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"customer\"}}]}\r\n\r\n"
               "data: {\"choices\":[{\"delta\":{\"content\":\"-12345\"},\"index\":0}]}\r\n\r\n",
               "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"********\"}}]}\r\n\r\n"
               "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"customer\"}}]}\r\n\r\n"
               "data: {\"choices\":[{\"delta\":{\"content\":\"******\"},\"index\":0}]}\r\n\r\n");
    /* several data lines, comments, no JSON */
    check_body(": key customer-12345\ndata: {\"a\":\"customer-\",\ndata:\"b\":\n"
               "data: \"customer-54321\"}\n\ndata: {\"a\":\"54321\"}\n\n",
               ": key **************\ndata: {\"a\":\"*********\",\ndata:\"b\":\n"
               "data: \"**************\"}\n\ndata: {\"a\":\"*****\"}\n\n");
    check_body("data: customer\n\ndata: -12345 x\n\n", "data: ********\n\ndata: ****** x\n\n");
    /* a block that begins with text */
    check_body("event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
               "\"content_block\":{\"type\":\"text\",\"text\":\"customer\"}}\n\n"
               "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
               "\"delta\":{\"type\":\"text_delta\",\"text\":\"-12345\"}}\n\n",
               "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
               "\"content_block\":{\"type\":\"text\",\"text\":\"********\"}}\n\n"
               "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
               "\"delta\":{\"type\":\"text_delta\",\"text\":\"******\"}}\n\n");
    check_body("data: {\"type\":\"response.content_part.added\",\"output_index\":0,\"content_index\":0,"
               "\"part\":{\"type\":\"output_text\",\"text\":\"customer\"}}\n\n"
               "data: {\"type\":\"response.output_text.delta\",\"output_index\":0,\"content_index\":0,"
               "\"delta\":\"-12345\"}\n\n",
               "data: {\"type\":\"response.content_part.added\",\"output_index\":0,\"content_index\":0,"
               "\"part\":{\"type\":\"output_text\",\"text\":\"********\"}}\n\n"
               "data: {\"type\":\"response.output_text.delta\",\"output_index\":0,\"content_index\":0,"
               "\"delta\":\"******\"}\n\n");
}

static void check_header(const char *name, const char *value, const char *after) {
    struct scrub *rules = rules_new();
    char *text = mem_dup_cstr(slice_cstr(value));
    assert_int_equal(scrub_header(rules, &no_secrets, slice_cstr(name), text, strlen(text)), 0);
    assert_string_equal(text, after);
    mem_free(text);
    scrub_free(&rules);
}

static void check_target(const char *target, const char *after) {
    struct scrub *rules = rules_new();
    char *text = mem_dup_cstr(slice_cstr(target));
    assert_int_equal(scrub_target(rules, &no_secrets, text, strlen(text)), 0);
    assert_string_equal(text, after);
    mem_free(text);
    scrub_free(&rules);
}

static void heads(void **state) {
    (void)state;
    check_header("Authorization", "Bearer abc", "Bearer ***");
    check_header("Location", "https://x/?n=1&api_key=abc", "https://x/?n=1&api_key=***");
    check_header("X-Api-Key", "abc", "***");
    check_header("api-key", "abc", "***");
    check_header("set-cookie", "a=b; path=/", "***********");
    check_header("Cookie", "a=b", "***");
    check_header("proxy-authorization", "Basic abc", "Basic ***");
    check_header("OpenAI-Organization", "org-abc", "*******");
    check_header("content-type", "application/json", "application/json");
    check_header("x-other", "sk-abcdefghij0123456789", "***********************");
    check_target("/v1/files?key=abc&limit=2", "/v1/files?key=***&limit=2");
    check_target("/v1/files?after=sk-abcdefghij0123456789", "/v1/files?after=***********************");
    check_target("/v1/files", "/v1/files");
}

static void a_wrong_pattern_is_told(void **state) {
    (void)state;
    const char *const wrong[] = {"fine", "(oops"};
    struct err e;
    assert_null(scrub_new(wrong, 2, &e));
    assert_non_null(strstr(e.text, "(oops"));
}

/* A pattern that would take for ever ends the search, and says so. */
static void a_slow_pattern_is_stopped(void **state) {
    (void)state;
    const char *const slow[] = {"(?:a+)+(?:a+)+(?:a+)+$"};
    struct err e;
    struct scrub *s = scrub_new(slow, 1, &e);
    char body[4002];
    memset(body, 'a', sizeof body);
    body[4000] = 'b';
    assert_non_null(s);
    assert_int_equal(scrub_body(s, &no_secrets, SCRUB_GUESS, false, body, 4001, NULL), -ERR_LIMIT);
    scrub_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_bodies),
        cmocka_unit_test(what_is_no_secret_stays),
        cmocka_unit_test(log_probabilities_are_a_text),
        cmocka_unit_test(streams_of_every_spelling),
        cmocka_unit_test(heads),
        cmocka_unit_test(a_wrong_pattern_is_told),
        cmocka_unit_test(a_slow_pattern_is_stopped),
        cmocka_unit_test(secrets_in_streams_are_hidden_however_they_are_cut),
        cmocka_unit_test(a_cut_stream_shows_no_beginning_of_a_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
