/* SPDX-License-Identifier: Apache-2.0 */
/* What the HTTP client makes of answers, on the simulated loop: every framing at every split, every
 * cut, limits, encodings. */
#include "http_client_world.h"

/* ---- framings ---- */

struct framing {
    const char *name;
    struct slice wire;
    unsigned status;
    struct slice body;
    enum http_method method;   /* GET */
    enum err_kind fails;       /* ERR_NONE: ends well */
    bool is_reused_after;
    bool ends_by_fin;          /* the server closes behind it */
};

#define S(text) {"" text, sizeof(text) - 1}

static const struct framing framings[] = {
    {"length", S(HEAD_OK "Content-Length: 5\r\n\r\nhello"), 200, S("hello"), .is_reused_after = true},
    {"length 0", S(HEAD_OK "X-Empty:\r\nContent-Length: 0\r\n\r\n"), 200, S(""), .is_reused_after = true},
    {"no reason", S("HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n"), 404, S(""), .is_reused_after = true},
    {"status 529", S("HTTP/1.1 529 \r\nContent-Length: 1\r\n\r\nx"), 529, S("x"), .is_reused_after = true},
    {"chunked",
     S(HEAD_OK CHUNKED "\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n"),
     200, S("hello!"), .is_reused_after = true},
    {"trailers",
     S(HEAD_OK CHUNKED "\r\n2\r\nhi\r\n000\r\nX-Sum: 1\r\nY: z\r\n\r\n"),
     200, S("hi"), .is_reused_after = true},
    {"until close", S(HEAD_OK "X: y\r\n\r\nhello"), 200, S("hello"), .ends_by_fin = true},
    {"until close, empty", S(HEAD_OK "\r\n"), 200, S(""), .ends_by_fin = true},
    {"connection: close", S(HEAD_OK "Content-Length: 2\r\nConnection: close\r\n\r\nhi"), 200, S("hi"), .fails = ERR_NONE},
    {"1.0", S("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi"), 200, S("hi"), .fails = ERR_NONE},
    {"1.0 keep-alive",
     S("HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi"),
     200, S("hi"), .is_reused_after = true},
    {"1.0 ignores chunked",
     S("HTTP/1.0 200 OK\r\n" CHUNKED "\r\n2\r\nhi\r\n0\r\n\r\n"),
     200, S("2\r\nhi\r\n0\r\n\r\n"), .ends_by_fin = true},
    {"1.0 ignores chunked beside a length",
     S("HTTP/1.0 200 OK\r\n" CHUNKED "Content-Length: 2\r\nConnection: keep-alive\r\n\r\nhi"),
     200, S("hi"), .fails = ERR_NONE},
    {"both lengths",
     S(HEAD_OK "Content-Length: 9\r\n" CHUNKED "\r\n2\r\nhi\r\n0\r\n\r\n"),
     0, S(""), .fails = ERR_PROTOCOL},
    {"both lengths, other order",
     S(HEAD_OK CHUNKED "Content-Length: 1\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
     0, S(""), .fails = ERR_PROTOCOL},
    {"HEAD",
     S(HEAD_OK "Content-Length: 500\r\nContent-Encoding: gzip\r\n\r\n"),
     200, S(""), .method = HTTP_METHOD_HEAD, .is_reused_after = true},
    {"HEAD chunked",
     S(HEAD_OK CHUNKED "\r\n"),
     200, S(""), .method = HTTP_METHOD_HEAD, .is_reused_after = true},
    {"204",
     S("HTTP/1.1 204 No Content\r\n\r\n"),
     204, S(""), .method = HTTP_METHOD_POST, .is_reused_after = true},
    {"304 with a length",
     S("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
     304, S(""), .is_reused_after = true},
    {"after 100 and 103",
     S("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\nContent-Length: 7\r\n\r\n" HEAD_OK "Content-Length: 2\r\n\r\nhi"),
     200, S("hi"), .method = HTTP_METHOD_POST, .is_reused_after = true},
    {"stray bytes", S(HEAD_OK "Content-Length: 2\r\n\r\nhi" HEAD_OK), 200, S("hi"), .fails = ERR_NONE},
    {"upgrade offered",
     S(HEAD_OK "Upgrade: h2c\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nhi"),
     200, S("hi"), .is_reused_after = true},
    {"101",
     S("HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
     0, S(""), .fails = ERR_PROTOCOL},
    {"transfer-encoding gzip",
     S(HEAD_OK "Transfer-Encoding: gzip\r\n\r\nx"),
     0, S(""), .fails = ERR_PROTOCOL},
    {"transfer-encoding gzip, chunked",
     S(HEAD_OK "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
     0, S(""), .fails = ERR_PROTOCOL},
    {"chunked twice", S(HEAD_OK CHUNKED CHUNKED "\r\n0\r\n\r\n"), 0, S(""), .fails = ERR_PROTOCOL},
    {"two lengths",
     S(HEAD_OK "Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi"),
     0, S(""), .fails = ERR_PROTOCOL},
    {"length with sign", S(HEAD_OK "Content-Length: +2\r\n\r\nhi"), 0, S(""), .fails = ERR_PROTOCOL},
    {"huge length",
     S(HEAD_OK "Content-Length: 99999999999999999999999\r\n\r\nhi"),
     0, S(""), .fails = ERR_PROTOCOL},
    {"folded header", S(HEAD_OK "X: a\r\n b\r\nContent-Length: 0\r\n\r\n"), 0, S(""), .fails = ERR_PROTOCOL},
    {"bad chunk size", S(HEAD_OK CHUNKED "\r\nxyz\r\n"), 200, S(""), .fails = ERR_PROTOCOL},
    {"chunk without its end",
     S(HEAD_OK CHUNKED "\r\n2\r\nhiXX0\r\n\r\n"),
     200, S("hi"), .fails = ERR_PROTOCOL},
    {"HTTP/2.0", S("HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"), 0, S(""), .fails = ERR_PROTOCOL},
    {"status 099", S("HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n"), 0, S(""), .fails = ERR_PROTOCOL},
    {"not HTTP", S("SSH-2.0-OpenSSH_9.2\r\n"), 0, S(""), .fails = ERR_PROTOCOL},
};

#define N_FRAMINGS (sizeof framings / sizeof *framings)

static void start_framing(const struct framing *f) {
    script_add(&server, f->wire, f->ends_by_fin ? THEN_FIN : THEN_KEEP);
    struct http_call_request r = {.method = f->method, .target = SLICE("/")};
    probe_send(&probes[0], &r);
}

static void check_framing(const struct framing *f, size_t split) {
    struct probe *p = &probes[0];
    wait_for(p);
    settle();
    bool is_good =
        p->n_ends == (f->fails == ERR_NONE) && p->n_fails == (f->fails != ERR_NONE) &&
        (f->fails == ERR_NONE || p->err.kind == f->fails) && p->n_heads == (f->status != 0) &&
        p->answer.status == f->status && slice_eq(buf_slice(&p->body), f->body) &&
        idle_count() == (f->is_reused_after ? 1 : 0) && sim_open_connections() == idle_count();
    if (!is_good) {
        fail_msg(
            "%s, split at %zu: heads %u ends %u fails %u (%s: %s) status %u body '%.*s' idle %u open %u",
            f->name, split, p->n_heads, p->n_ends, p->n_fails, err_kind_name(p->err.kind),
            p->err.text, p->answer.status, (int)p->body.len, p->body.ptr, (unsigned)idle_count(),
            sim_open_connections());
    }
}

static void test_framings_at_every_split(void **state) {
    (void)state;
    for (size_t i = 0; i < N_FRAMINGS; i++) {
        for (size_t split = 0; split < framings[i].wire.len; split++) {
            world_open(&plain_sim);
            struct addr at = server_addr();
            if (split > 0) {
                sim_read_sizes(&at, 0, true, &split, 1);
            }
            start_framing(&framings[i]);
            check_framing(&framings[i], split);
            world_close();
        }
    }
}

static void test_framings_byte_by_byte(void **state) {
    (void)state;
    const struct sim_options sim = {.seed = 3, .max_read_bytes = 1, .max_write_bytes = 3};
    for (size_t i = 0; i < N_FRAMINGS; i++) {
        world_open(&sim);
        start_framing(&framings[i]);
        check_framing(&framings[i], 1);
        world_close();
    }
}

static void test_head_at_every_split(void **state) {
    (void)state;
    struct slice wire = SLICE(HEAD_OK "Content-Type:  text/event-stream \r\nX-Request-Id: req_1\r\nX-Empty:\r\nContent-Length: 2\r\n\r\nhi");
    struct slice headers = SLICE("Content-Type: text/event-stream\nX-Request-Id: req_1\nX-Empty: \nContent-Length: 2\n");
    for (size_t split = 1; split < wire.len; split++) {
        for (size_t second = 0; split + second < wire.len; second += 7) {
            world_open(&plain_sim);
            struct addr at = server_addr();
            size_t sizes[] = {split, second};
            sim_read_sizes(&at, 0, true, sizes, second ? 2 : 1);
            script_add(&server, wire, THEN_KEEP);
            probe_get(&probes[0]);
            wait_for(&probes[0]);
            expect_end(&probes[0], SLICE("hi"));
            assert_true(slice_eq(buf_slice(&probes[0].headers), headers));
            assert_int_equal(probes[0].answer.content_length, 2);
            world_close();
        }
    }
}

/* ---- cuts ---- */

static bool is_until_close(const struct framing *f) {
    return f->ends_by_fin;
}

static size_t head_end(struct slice wire) {
    const char *end = memmem(wire.ptr, wire.len, "\r\n\r\n", 4);
    return (size_t)(end - wire.ptr) + 4;
}

static void check_cut(const struct framing *f, size_t cut, enum sim_cut how) {
    world_open(&plain_sim);
    struct addr at = server_addr();
    sim_cut_after(&at, 0, true, cut, how);
    start_framing(f);
    struct probe *p = &probes[0];
    wait_for(p);
    settle();
    bool may_end = is_until_close(f) && how == SIM_CUT_FIN && cut >= head_end(f->wire);
    bool is_good =
        may_end ? p->n_ends == 1
                : p->n_fails == 1 && (p->err.kind == ERR_CLOSED || p->err.kind == ERR_PROTOCOL);
    is_good = is_good && p->body.len <= f->body.len &&
              (p->body.len == 0 || memcmp(p->body.ptr, f->body.ptr, p->body.len) == 0);
    is_good = is_good && (may_end || p->any_answer_byte == (cut > 0));
    is_good = is_good && sim_open_connections() == 0 && http_pool_stats(pool)->stale_retries == 0;
    if (!is_good) {
        fail_msg("%s, cut at %zu (%d): ends %u fails %u (%s: %s) body '%.*s' open %u", f->name, cut,
                 how, p->n_ends, p->n_fails, err_kind_name(p->err.kind), p->err.text,
                 (int)p->body.len, p->body.ptr, sim_open_connections());
    }
    world_close();
}

/* Never an on_end for an answer that is not whole. */
static void test_every_cut(void **state) {
    (void)state;
    for (size_t i = 0; i < N_FRAMINGS; i++) {
        const struct framing *f = &framings[i];
        if (f->fails != ERR_NONE || strcmp(f->name, "stray bytes") == 0) {
            continue;
        }
        for (size_t cut = 0; cut < f->wire.len; cut++) {
            check_cut(f, cut, SIM_CUT_FIN);
            check_cut(f, cut, SIM_CUT_RST);
        }
    }
}

/* ---- limits ---- */

static void check_limit(struct slice wire, size_t max_read, enum err_kind kind) {
    struct sim_options sim = {.seed = 1, .max_read_bytes = max_read};
    world_open(&sim);
    script_add(&server, wire, THEN_KEEP);
    probe_get(&probes[0]);
    wait_for(&probes[0]);
    expect_fail(&probes[0], kind);
    settle();
    assert_int_equal(sim_open_connections(), 0);
    world_close();
}

static void test_limits(void **state) {
    (void)state;
    const size_t reads[] = {0, 1000};
    options.max_head_bytes = 8192;
    for (int i = 0; i < 2; i++) {
        struct buf b;
        buf_init(&b, 1 << 20);
        repeat(&b, HEAD_OK "X: ", 1);
        repeat(&b, "0123456789", 900);
        repeat(&b, "\r\n\r\n", 1);
        check_limit(buf_slice(&b), reads[i], ERR_LIMIT);
        buf_reset(&b);
        repeat(&b, "HTTP/1.1 200 ", 1);
        repeat(&b, "reasons. ", 3000);
        check_limit(buf_slice(&b), 1000, ERR_LIMIT);
        buf_reset(&b);
        repeat(&b, HEAD_OK, 1);
        repeat(&b, "X: y\r\n", 256 + 1);
        repeat(&b, "\r\n", 1);
        check_limit(buf_slice(&b), reads[i], ERR_LIMIT);
        buf_reset(&b);
        repeat(&b, "HTTP/1.1 102 Processing\r\n\r\n", 100);
        check_limit(buf_slice(&b), reads[i], ERR_PROTOCOL);
        buf_reset(&b);
        repeat(&b, HEAD_OK CHUNKED "\r\n0\r\n", 1);
        repeat(&b, "X: 0123456789\r\n", 2000);
        check_limit(buf_slice(&b), reads[i], ERR_LIMIT);
        buf_dispose(&b);
    }
}

/* ---- encodings ---- */

static void check_encoded(const char *header, int window) {
    struct buf wire;
    gzip_answer(&wire, PLAIN, header, window);
    for (size_t split = 1; split < wire.len; split++) {
        world_open(&plain_sim);
        struct addr at = server_addr();
        sim_read_sizes(&at, 0, true, &split, 1);
        script_add(&server, buf_slice(&wire), THEN_KEEP);
        probe_get(&probes[0]);
        wait_for(&probes[0]);
        expect_end(&probes[0], PLAIN);
        assert_true(probes[0].answer.was_encoded);
        assert_int_equal(probes[0].answer.content_length, -1);
        assert_int_equal(idle_count(), 1);
        world_close();
    }
    buf_dispose(&wire);
}

static void test_encodings_at_every_split(void **state) {
    (void)state;
    check_encoded("gzip", 15 + 16);
    check_encoded("X-GZip", 15 + 16);
    check_encoded("deflate", 15);
    check_encoded("deflate", -15);
}

static void test_other_encodings_pass(void **state) {
    (void)state;
    script_add(&server, SLICE(HEAD_OK "Content-Encoding: br\r\nContent-Length: 3\r\n\r\nxyz"), THEN_KEEP);
    probe_get(&probes[0]);
    wait_for(&probes[0]);
    expect_end(&probes[0], SLICE("xyz"));
    assert_false(probes[0].answer.was_encoded);
    assert_int_equal(probes[0].answer.content_length, 3);
}

static void test_empty_encoded_body(void **state) {
    (void)state;
    script_add(&server, SLICE(HEAD_OK "Content-Encoding: gzip\r\n" CHUNKED "\r\n0\r\n\r\n"), THEN_KEEP);
    probe_get(&probes[0]);
    wait_for(&probes[0]);
    expect_end(&probes[0], SLICE(""));
}

static void test_cut_encoded_body(void **state) {
    (void)state;
    struct buf whole;
    gzip_answer(&whole, PLAIN, "gzip", 15 + 16);
    const char *body = (const char *)memmem(whole.ptr, whole.len, "\r\n\r\n", 4) + 4;
    size_t bytes = whole.len - (size_t)(body - whole.ptr);
    for (size_t n = 1; n < bytes; n += 3) {
        world_open(&plain_sim);
        struct buf wire;
        buf_init(&wire, 10000);
        assert_int_equal(buf_appendf(&wire, HEAD_OK "Content-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n", n), 0);
        assert_int_equal(buf_append(&wire, slice_make(body, n)), 0);
        script_add(&server, buf_slice(&wire), THEN_KEEP);
        probe_get(&probes[0]);
        wait_for(&probes[0]);
        expect_fail(&probes[0], ERR_PROTOCOL);
        buf_dispose(&wire);
        world_close();
    }
    buf_dispose(&whole);
}

static void test_pause_inside_an_encoded_body(void **state) {
    (void)state;
    struct buf plain, wire;
    buf_init(&plain, 4 << 20);
    repeat(&plain, "all the same, all the same, ", 20000);
    gzip_answer(&wire, buf_slice(&plain), "gzip", 15 + 16);
    assert_true(wire.len < 8000); /* one read */
    script_add(&server, buf_slice(&wire), THEN_KEEP);
    probes[0].body_hook = pause_call;
    probe_get(&probes[0]);
    settle();
    unsigned resumes = 0;
    while (!probe_is_over(&probes[0])) {
        size_t before = probes[0].body.len;
        http_call_resume(probes[0].call);
        settle();
        /* a pause holds inside the decoder too */
        assert_true(probes[0].body.len - before <= 16384);
        resumes++;
    }
    assert_true(resumes > 20);
    expect_end(&probes[0], buf_slice(&plain));
    buf_dispose(&wire);
    buf_dispose(&plain);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE_OF_WORLDS(test_framings_at_every_split),
        CASE_OF_WORLDS(test_framings_byte_by_byte),
        CASE_OF_WORLDS(test_head_at_every_split),
        CASE_OF_WORLDS(test_every_cut),
        CASE_OF_WORLDS(test_limits),
        CASE_OF_WORLDS(test_encodings_at_every_split),
        CASE(test_other_encodings_pass),
        CASE(test_empty_encoded_body),
        CASE_OF_WORLDS(test_cut_encoded_body),
        CASE(test_pause_inside_an_encoded_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
