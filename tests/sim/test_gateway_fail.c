/* SPDX-License-Identifier: Apache-2.0 */
/* What goes wrong: cuts at every offset, silences, refusals, broken answers, limits, the drain. The
 * client must always know. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway_rig.c"

#define STREAM_REQUEST "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
#define WHOLE_REQUEST "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
#define CHUNK(delta, finish) \
    "data: {\"id\":\"c-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":" delta \
    ",\"finish_reason\":" finish "}]}\n\n"
#define STREAM_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
#define STREAM_BODY CHUNK("{\"content\":\"one\"}", "null") CHUNK("{\"content\":\" two\"}", "null") CHUNK("{}", "\"stop\"") "data: [DONE]\n\n"

struct outcome {
    unsigned status;
    bool is_whole, saw_reset;
    struct buf body;
    struct slice head;
};

static void run_one(struct rig *r, struct rig_client *c, const char *request, struct outcome *out) {
    rig_client_open(r, c);
    rig_client_post(c, request);
    rig_run_response(r, c);
    buf_init(&out->body, RIG_BUF_BYTES);
    out->is_whole = rig_response(c, &out->status, &out->head, &out->body);
    out->saw_reset = c->saw_reset;
}

static bool holds(const struct buf *b, const char *text) {
    return b->len && memmem(b->ptr, b->len, text, strlen(text)) != NULL;
}

static bool ends_with(const struct buf *b, const char *text) {
    size_t n = strlen(text);
    return b->len >= n && memcmp(b->ptr + b->len - n, text, n) == 0;
}

static void finish(struct rig *r, struct rig_client *c, struct outcome *o) {
    buf_dispose(&o->body);
    rig_client_dispose(c);
    rig_stop(r);
}

/* One request, one scripted answer; checks status and that the body is JSON in OpenAI's shape with
 * this code. */
static void expect_error(const char *more, const char *top, struct rig_script script,
                         const char *request, unsigned status, const char *needle,
                         enum end_reason end, bool stream) {
    struct rig r;
    struct rig_client c;
    struct outcome o;
    rig_start(&r, &(struct sim_options){.seed = 1}, more, top);
    r.script = script;
    run_one(&r, &c, request, &o);
    if (!o.is_whole || o.status != status || !holds(&o.body, needle))
        fail_msg("status %u (want %u), body %.*s (want %s)", o.status, status, SLICE_FMT(buf_slice(&o.body)), needle);
    assert_true(rig_header(o.head, "x-request-id").len > 0);
    assert_false(holds(&o.body, "sk-secret"));
    assert_int_equal(rig_ended(&r, end, stream), 1);
    finish(&r, &c, &o);
}

/* ---- cuts ---- */

/* Wherever the upstream's bytes end, the client gets the whole answer, or an HTTP error, or an
 * error event: never a silent end. */
static void cut_at_every_offset(void **state) {
    (void)state;
    static const char answer[] = STREAM_HEAD STREAM_BODY;
    struct addr up;
    struct err e;
    must(addr_parse(SLICE("127.0.0.1:9000"), &up, &e));
    for (int how = 0; how < 2; how++)
        for (size_t at = 0; at < sizeof answer - 1; at++) {
            struct rig r;
            struct rig_client c;
            struct outcome o;
            rig_start(&r, &(struct sim_options){.seed = at + 1}, "metering: observe\n", NULL);
            r.script =
                (struct rig_script){.answer = SLICE(STREAM_HEAD STREAM_BODY), .then = RIG_SILENCE};
            sim_cut_after(&up, 0, true, at, how ? SIM_CUT_RST : SIM_CUT_FIN);
            run_one(&r, &c, STREAM_REQUEST, &o);
            assert_true(o.is_whole);
            if (o.status == 200) {
                bool is_complete = ends_with(&o.body, "data: [DONE]\n\n");
                bool is_error = holds(&o.body, "data: {\"error\":{") && ends_with(&o.body, "}\n\n");
                if (is_complete == is_error || (is_complete && !holds(&o.body, "\"finish_reason\":\"stop\"")))
                    fail_msg("cut at %zu: %.*s", at, SLICE_FMT(buf_slice(&o.body)));
            } else {
                assert_int_equal(o.status, 502);
                assert_true(holds(&o.body, "\"code\":\"bad_gateway\""));
            }
            finish(&r, &c, &o);
        }
}

static void a_cut_inside_a_cut_through_frame_aborts(void **state) {
    (void)state;
    struct arena *a = arena_new();
    char *text = arena_alloc(a, 200001);
    memset(text, 'x', 200000);
    struct rig r;
    struct rig_client c;
    struct outcome o;
    rig_start(&r, &(struct sim_options){.seed = 1}, "metering: observe\n", NULL);
    r.script = (struct rig_script){.answer = slice_cstr(arena_printf(a, STREAM_HEAD "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s", text)), .then = RIG_FIN};
    run_one(&r, &c, STREAM_REQUEST, &o);
    assert_int_equal(o.status, 200);
    assert_false(o.is_whole);
    assert_true(o.body.len > 100000);
    finish(&r, &c, &o);
    arena_free(a);
}

static void a_whole_answer_that_is_cut_is_an_error(void **state) {
    (void)state;
    expect_error(NULL, NULL, (struct rig_script){SLICE("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"id\":"), RIG_FIN, {0}},
                 WHOLE_REQUEST, 502, "bad_gateway", END_UPSTREAM_CUT, false);
}

/* ---- silences ---- */

static void silence_before_the_head_is_a_504(void **state) {
    (void)state;
    expect_error("first_byte_timeout: 3s\n", NULL, (struct rig_script){SLICE(""), RIG_SILENCE, {0}}, WHOLE_REQUEST, 504, "upstream_timeout", END_UPSTREAM_TIMEOUT, false);
    expect_error("first_byte_timeout: 3s\n", NULL, (struct rig_script){SLICE(""), RIG_SILENCE, {0}}, STREAM_REQUEST, 504, "upstream_timeout", END_UPSTREAM_TIMEOUT, true);
}

static void silence_in_mid_stream_is_an_error_event(void **state) {
    (void)state;
    struct rig r;
    struct rig_client c;
    struct outcome o;
    rig_start(&r, &(struct sim_options){.seed = 1}, "idle_timeout: 4s\n", NULL);
    r.script = (struct rig_script){.answer = SLICE(STREAM_HEAD CHUNK("{\"content\":\"one\"}", "null")), .then = RIG_SILENCE};
    run_one(&r, &c, STREAM_REQUEST, &o);
    assert_int_equal(o.status, 200);
    assert_true(o.is_whole);
    assert_true(holds(&o.body, "\"one\"") && holds(&o.body, "\"code\":\"upstream_timeout\""));
    assert_int_equal(rig_ended(&r, END_UPSTREAM_TIMEOUT, true), 1);
    finish(&r, &c, &o);
}

static void a_long_wait_commits_with_heartbeats(void **state) {
    (void)state;
    struct rig r;
    struct rig_client c;
    rig_start(&r, &(struct sim_options){.seed = 1}, NULL, "timeouts: {hold: 10s, heartbeat: 15s}");
    r.script = (struct rig_script){.answer = SLICE(""), .then = RIG_SILENCE, .more = SLICE(STREAM_HEAD STREAM_BODY)};
    rig_client_open(&r, &c);
    rig_client_post(&c, STREAM_REQUEST);
    sim_run(NULL, NULL, sim_now_ns() + 9 * NS_PER_S);
    assert_int_equal(c.in.len, 0);
    sim_run(NULL, NULL, sim_now_ns() + 60 * NS_PER_S);
    rig_upstream_send_more(&r, 0);
    assert_true(rig_run_response(&r, &c));
    struct outcome o;
    buf_init(&o.body, RIG_BUF_BYTES);
    assert_true(rig_response(&c, &o.status, &o.head, &o.body));
    assert_int_equal(o.status, 200);
    static const char want[] = ": keep-alive\n\n: keep-alive\n\n: keep-alive\n\n: keep-alive\n\n" STREAM_BODY;
    assert_true(slice_eq(buf_slice(&o.body), slice_cstr(want)));
    finish(&r, &c, &o);
}

/* ---- refusals ---- */

static void nobody_listens_is_a_502(void **state) {
    (void)state;
    struct rig r;
    struct rig_client c;
    struct outcome o;
    rig_start(&r, &(struct sim_options){.seed = 1}, NULL, NULL);
    listener_close(&r.upstream);
    run_one(&r, &c, WHOLE_REQUEST, &o);
    assert_int_equal(o.status, 502);
    assert_true(holds(&o.body, "bad_gateway"));
    assert_int_equal(rig_ended(&r, END_UPSTREAM_CONNECT, false), 1);
    finish(&r, &c, &o);
}

static void bad_requests_are_told_apart(void **state) {
    (void)state;
    static const struct { const char *body; unsigned status; const char *needle; } rows[] = {
        {"{\"model\":\"m\",", 400, "could not parse the JSON body"},
        {"{\"model\":\"m\"}", 400, "\"param\":\"messages\""},
        {"{\"model\":\"nope\",\"messages\":[{}]}", 404, "model_not_found"},
        {"{\"messages\":[{}]}", 400, "\"param\":\"model\""},
        {"[1]", 400, "invalid_request_error"},
        {"", 400, "invalid_request_error"},
        {"{\"model\":\"m\",\"messages\":[{}],\"stream\":\"yes\"}", 400, "\"param\":\"stream\""},
        {"{\"model\":\"m\",\"model\":\"n\",\"messages\":[{}]}", 400, "invalid_request_error"},
        {"{\"model\":\"m\",\"messages\":[{\"content\":\"\377\"}]}", 400, "invalid_request_error"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect_error(NULL, NULL, (struct rig_script){0}, rows[i].body, rows[i].status,
                     rows[i].needle, END_CLIENT_ERROR, false);
}

static void web_pages_are_kept_out(void **state) {
    (void)state;
    static const struct { const char *head; unsigned status; } rows[] = {
        {"Host: evil.example\r\nContent-Type: application/json\r\n", 403},
        {"Host: 127.0.0.1:8080\r\nOrigin: https://evil.example\r\nContent-Type: application/json\r\n", 403},
        {"Host: 127.0.0.1:8080\r\nOrigin: null\r\nContent-Type: application/json\r\n", 403},
        {"Host: 127.0.0.1:8080\r\nContent-Type: text/plain\r\n", 415},
        {"Host: 127.0.0.1:8080\r\n", 415},
        {"Host: 127.0.0.1:8080\r\nOrigin: http://127.0.0.1:8080\r\nContent-Type: application/json; charset=utf-8\r\n", 404},
        {"Host: localhost:8080\r\nContent-Type: application/json\r\n", 404},
        {"Host: good.example\r\nContent-Type: application/json\r\n", 404},
        {"Host: 127.0.0.1:8080\r\nOrigin: https://app.example\r\nContent-Type: application/json\r\n", 404},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static const char body[] = "{\"model\":\"none\",\"messages\":[{}]}";
        char request[1024];
        struct rig r;
        struct rig_client c;
        struct outcome o;
        rig_start(&r, &(struct sim_options){.seed = 1}, NULL, "allowed_hosts: [good.example]\ncors: {origins: [\"https://app.example\"]}");
        snprintf(request, sizeof request, "POST /v1/chat/completions HTTP/1.1\r\n%sContent-Length: %zu\r\n\r\n%s", rows[i].head, strlen(body), body);
        rig_client_open(&r, &c);
        rig_client_send(&c, slice_cstr(request));
        rig_run_response(&r, &c);
        buf_init(&o.body, RIG_BUF_BYTES);
        (void)rig_response(&c, &o.status, &o.head, &o.body);
        if (o.status != rows[i].status)
            fail_msg("row %zu: status %u: %.*s", i, o.status, SLICE_FMT(buf_slice(&o.body)));
        assert_int_equal(r.n_connections, 0);
        finish(&r, &c, &o);
    }
}

/* ---- the upstream's own errors ---- */

#define UPSTREAM_429 "{\"error\":{\"message\":\"Slow down\",\"type\":\"requests\",\"param\":null,\"code\":\"rate_limit_exceeded\",\"x\":1}}"

static void an_upstream_error_keeps_status_body_and_advice(void **state) {
    (void)state;
    for (int stream = 0; stream < 2; stream++) {
        struct rig r;
        struct rig_client c;
        struct outcome o;
        rig_start(&r, &(struct sim_options){.seed = 1, .max_read_bytes = 7}, NULL, NULL);
        r.script.answer = SLICE("HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nRetry-After: 7\r\nContent-Length: 99\r\n\r\n" UPSTREAM_429);
        assert_int_equal(strlen(UPSTREAM_429), 99);
        run_one(&r, &c, stream ? STREAM_REQUEST : WHOLE_REQUEST, &o);
        assert_int_equal(o.status, 429);
        assert_true(slice_eq(buf_slice(&o.body), SLICE(UPSTREAM_429)));
        assert_true(slice_eq(rig_header(o.head, "retry-after"), SLICE("7")));
        assert_int_equal(rig_ended(&r, END_UPSTREAM_STATUS, stream), 1);
        finish(&r, &c, &o);
    }
}

static void other_error_shapes_become_openais(void **state) {
    (void)state;
    expect_error(NULL, NULL, (struct rig_script){SLICE("HTTP/1.1 500 Oops\r\nContent-Type: text/html\r\nContent-Length: 11\r\n\r\n<h1>no</h1>"), RIG_KEEP, {0}},
                 WHOLE_REQUEST, 500, "{\"error\":{\"message\":", END_UPSTREAM_STATUS, false);
    expect_error(NULL, NULL, (struct rig_script){SLICE("HTTP/1.1 422 x\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"detail\":\"nah\"}"), RIG_KEEP, {0}},
                 STREAM_REQUEST, 422, "nah", END_UPSTREAM_STATUS, true);
}

static void an_error_that_quotes_the_key_is_withheld(void **state) {
    (void)state;
    expect_error(NULL, NULL,
                 (struct rig_script){SLICE("HTTP/1.1 400 Bad\r\nContent-Type: application/json\r\nContent-Length: 61\r\n\r\n"
                                           "{\"error\":{\"message\":\"no sk-secret\",\"type\":\"x\",\"code\":null}}  "),
                                     RIG_KEEP, {0}},
                 WHOLE_REQUEST, 400, "withheld", END_UPSTREAM_STATUS, false);
    struct rig r;
    struct rig_client c;
    struct outcome o;
    rig_start(&r, &(struct sim_options){.seed = 1}, NULL, NULL);
    r.script = (struct rig_script){.answer = SLICE(STREAM_HEAD CHUNK("{\"content\":\"one\"}", "null")
                                                   "data: {\"error\":{\"message\":\"bad sk-secret\"}}\n\n"),
                                   .then = RIG_FIN};
    run_one(&r, &c, STREAM_REQUEST, &o);
    assert_true(o.is_whole && holds(&o.body, "one") && holds(&o.body, "withheld"));
    assert_false(holds(&o.body, "sk-secret"));
    finish(&r, &c, &o);
}

static void a_refused_gateway_key_is_the_operators_fault(void **state) {
    (void)state;
    expect_error(NULL, NULL, (struct rig_script){SLICE("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}"), RIG_KEEP, {0}}, WHOLE_REQUEST, 502,
                 "upstream_auth", END_UPSTREAM_AUTH, false);
}

static void an_error_event_first_is_an_http_error(void **state) {
    (void)state;
    expect_error(NULL, NULL, (struct rig_script){SLICE(STREAM_HEAD "data: {\"error\":{\"message\":\"Overloaded\",\"type\":\"server_error\",\"code\":503}}\n\n"), RIG_FIN, {0}},
                 STREAM_REQUEST, 503, "Overloaded", END_UPSTREAM_ERROR_EVENT, true);
}

static void an_error_inside_a_200_is_no_success(void **state) {
    (void)state;
    expect_error(NULL, NULL, (struct rig_script){SLICE("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 31\r\n\r\n{\"error\":{\"message\":\"Nothing\"}}"), RIG_KEEP, {0}},
                 STREAM_REQUEST, 502, "Nothing", END_UPSTREAM_STATUS, true);
    expect_error(NULL, NULL, (struct rig_script){SLICE("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\nnot json"), RIG_KEEP, {0}},
                 WHOLE_REQUEST, 502, "bad_gateway", END_UPSTREAM_PROTOCOL, false);
}

static void an_event_above_the_limit_is_an_error(void **state) {
    (void)state;
    struct arena *a = arena_new();
    char *text = arena_alloc(a, 100001);
    memset(text, 'x', 100000);
    struct rig r;
    struct rig_client c;
    struct outcome o;
    rig_start(&r, &(struct sim_options){.seed = 1}, NULL, "limits: {event: 64KiB}");
    r.script = (struct rig_script){.answer = slice_cstr(arena_printf(a, STREAM_HEAD CHUNK("{\"content\":\"one\"}", "null") "data: %s\n\n", text)), .then = RIG_SILENCE};
    run_one(&r, &c, STREAM_REQUEST, &o);
    assert_true(o.is_whole && o.status == 200);
    assert_true(holds(&o.body, "one") && holds(&o.body, "data: {\"error\":"));
    assert_int_equal(rig_ended(&r, END_UPSTREAM_LIMIT, true), 1);
    finish(&r, &c, &o);
    arena_free(a);
}

/* ---- drain ---- */

static bool loop_is_over(void *self) {
    struct rig *r = self;
    return !r->worker->relays &&
           meter_get(&http_server_stats(r->worker->server)->connections_open) == 0;
}

static void drain_lets_streams_finish(void **state) {
    (void)state;
    struct rig r;
    struct rig_client c, late;
    struct outcome o;
    rig_start(&r, &(struct sim_options){.seed = 1}, NULL, "drain_timeout: 30s");
    r.script = (struct rig_script){.answer = SLICE(STREAM_HEAD CHUNK("{\"content\":\"one\"}", "null")), .then = RIG_SILENCE,
                                   .more = SLICE(CHUNK("{}", "\"stop\"") "data: [DONE]\n\n")};
    rig_client_open(&r, &c);
    rig_client_post(&c, STREAM_REQUEST);
    sim_run(NULL, NULL, sim_now_ns() + NS_PER_S);
    worker_drain(r.worker);
    sim_run(NULL, NULL, sim_now_ns() + NS_PER_S);
    rig_upstream_send_more(&r, 0);
    assert_true(rig_run_response(&r, &c));
    buf_init(&o.body, RIG_BUF_BYTES);
    assert_true(rig_response(&c, &o.status, &o.head, &o.body));
    assert_true(ends_with(&o.body, "data: [DONE]\n\n"));
    assert_true(sim_run(loop_is_over, &r, sim_now_ns() + 5 * NS_PER_S));
    assert_int_equal(atomic_load(&r.gateway->cut_streams), 0);
    (void)late;
    finish(&r, &c, &o);
}

static void drain_cuts_what_does_not_finish(void **state) {
    (void)state;
    struct rig r;
    struct rig_client c;
    struct outcome o;
    rig_start(&r, &(struct sim_options){.seed = 1}, NULL, "drain_timeout: 5s");
    r.script = (struct rig_script){.answer = SLICE(STREAM_HEAD CHUNK("{\"content\":\"one\"}", "null")), .then = RIG_SILENCE};
    rig_client_open(&r, &c);
    rig_client_post(&c, STREAM_REQUEST);
    sim_run(NULL, NULL, sim_now_ns() + NS_PER_S);
    worker_drain(r.worker);
    int64_t from_ns = sim_now_ns();
    assert_true(rig_run_response(&r, &c));
    assert_true(sim_now_ns() - from_ns >= 5 * NS_PER_S);
    buf_init(&o.body, RIG_BUF_BYTES);
    assert_true(rig_response(&c, &o.status, &o.head, &o.body));
    assert_true(holds(&o.body, "data: {\"error\":") && !holds(&o.body, "[DONE]"));
    assert_int_equal(atomic_load(&r.gateway->cut_streams), 1);
    assert_int_equal(rig_ended(&r, END_DRAIN, true), 1);
    finish(&r, &c, &o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_at_every_offset),
        cmocka_unit_test(a_cut_inside_a_cut_through_frame_aborts),
        cmocka_unit_test(a_whole_answer_that_is_cut_is_an_error),
        cmocka_unit_test(silence_before_the_head_is_a_504),
        cmocka_unit_test(silence_in_mid_stream_is_an_error_event),
        cmocka_unit_test(a_long_wait_commits_with_heartbeats),
        cmocka_unit_test(nobody_listens_is_a_502),
        cmocka_unit_test(bad_requests_are_told_apart),
        cmocka_unit_test(web_pages_are_kept_out),
        cmocka_unit_test(an_upstream_error_keeps_status_body_and_advice),
        cmocka_unit_test(other_error_shapes_become_openais),
        cmocka_unit_test(an_error_that_quotes_the_key_is_withheld),
        cmocka_unit_test(a_refused_gateway_key_is_the_operators_fault),
        cmocka_unit_test(an_error_event_first_is_an_http_error),
        cmocka_unit_test(an_error_inside_a_200_is_no_success),
        cmocka_unit_test(an_event_above_the_limit_is_an_error),
        cmocka_unit_test(drain_lets_streams_finish),
        cmocka_unit_test(drain_cuts_what_does_not_finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
