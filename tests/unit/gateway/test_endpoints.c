/* SPDX-License-Identifier: Apache-2.0 */
/* What is answered without an upstream: endpoints, methods, preflights, refusals, in bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sim/gateway_rig.c"

#define ORIGIN "Origin: https://app.example\r\n"
#define TOP "allowed_hosts: [good.example]\ncors: {origins: [\"https://app.example\"]}\n"

struct row {
    const char *request;       /* line and headers without the last empty line */
    unsigned status;
    /* what must be in there; NULL: nothing in particular. A body of "": none */
    const char *head, *body;
};

static struct slice answer_to(struct rig *r, struct rig_client *c, const char *request) {
    rig_client_open(r, c);
    rig_client_send(c, slice_cstr(request));
    sim_run(NULL, NULL, sim_now_ns() + NS_PER_S);
    return buf_slice(&c->in);
}

static void expect(const struct row *row, const char *top) {
    struct rig r;
    struct rig_client c;
    char request[2000], status[20];
    rig_start(&r, &(struct sim_options){.seed = 1}, NULL, top);
    snprintf(request, sizeof request, "%s\r\n", row->request);
    struct slice got = answer_to(&r, &c, request);
    const char *end = got.len ? memmem(got.ptr, got.len, "\r\n\r\n", 4) : NULL;
    assert_non_null(end);
    struct slice head = slice_sub(got, 0, (size_t)(end - got.ptr) + 2),
                 body = slice_from(got, head.len + 2);
    snprintf(status, sizeof status, "HTTP/1.1 %u ", row->status);
    bool is_right = slice_starts_with(head, slice_cstr(status)) &&
                    (!row->head || memmem(head.ptr, head.len, row->head, strlen(row->head)));
    if (row->body)
        is_right = is_right && (*row->body ? body.len && memmem(body.ptr, body.len, row->body,
                                                                strlen(row->body)) != NULL
                                           : body.len == 0);
    if (!is_right)
        fail_msg("%s\n--- got\n%.*s\n--- want %u, %s, %s", row->request, SLICE_FMT(got), row->status, row->head ? row->head : "", row->body ? row->body : "");
    assert_int_equal(slice_utf8_valid(body), body.len);
    assert_int_equal(r.n_connections, 0);
    rig_client_dispose(&c);
    rig_stop(&r);
}

#define HOST "Host: 127.0.0.1:8080\r\n"
#define JSON "Content-Type: application/json\r\n"

static void endpoints_answer(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"GET /health HTTP/1.1\r\n" HOST, 200, "content-type: application/json", "ok"},
        {"GET /healthz HTTP/1.0\r\n", 200, NULL, "ok"},
        {"HEAD /health HTTP/1.1\r\n" HOST, 200, "content-length: 16", ""},
        {"GET /ready HTTP/1.1\r\n" HOST, 200, NULL, "ready"},
        {"GET /v1/models HTTP/1.1\r\n" HOST, 200, NULL, "\"id\":\"renamed\""},
        {"GET /v1/models?limit=1 HTTP/1.1\r\n" HOST, 200, NULL, "\"object\":\"list\""},
        {"GET /v1/models/m HTTP/1.1\r\n" HOST, 200, NULL, "{\"id\":\"m\",\"object\":\"model\""},
        {"GET /v1/models/%6d HTTP/1.1\r\n" HOST, 200, NULL, "\"id\":\"m\""},
        {"GET http://127.0.0.1:8080/v1/models/m HTTP/1.1\r\nHost: evil.example\r\n", 200, NULL, "\"id\":\"m\""},
        {"GET /metrics HTTP/1.1\r\n" HOST, 200, "content-type: text/plain; version=0.0.4", "penstock_requests_total"},
        {"HEAD /metrics HTTP/1.1\r\n" HOST, 200, NULL, ""},
        {"OPTIONS /v1/models HTTP/1.1\r\n" HOST, 204, "allow: GET, HEAD, OPTIONS", ""},
        {"OPTIONS * HTTP/1.1\r\n" HOST, 204, "allow: ", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect(&rows[i], TOP);
    expect(&(struct row){"GET /v1/models/ HTTP/1.1\r\n" HOST, 404, NULL, "model_not_found"}, "  - {name: \"*\", targets: [{provider: up}]}\n");
}

static void what_is_wrong_is_said(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"GET /v1/models/nope HTTP/1.1\r\n" HOST, 404, NULL, "model_not_found"},
        {"GET /v1/models/%ff%00%22 HTTP/1.1\r\n" HOST, 404, NULL, "model_not_found"},
        {"GET /v1/models/%zz HTTP/1.1\r\n" HOST, 404, NULL, "model_not_found"},
        {"GET /v1/nope HTTP/1.1\r\n" HOST, 404, NULL, "unknown_url"},
        {"GET /v1/%22\"<script> HTTP/1.1\r\n" HOST, 404, NULL, "\\\""},
        {"OPTIONS /v1/nope HTTP/1.1\r\n" HOST, 404, NULL, "unknown_url"},
        {"GET /v1/chat/completions HTTP/1.1\r\n" HOST, 405, "allow: POST, OPTIONS\r\n", "POST, OPTIONS"},
        {"HEAD /v1/chat/completions HTTP/1.1\r\n" HOST, 405, "allow: POST, OPTIONS\r\n", ""},
        {"DELETE /v1/models/m HTTP/1.1\r\n" HOST, 405, "allow: GET, HEAD, OPTIONS\r\n", "method_not_supported"},
        {"PUT /v1/responses/r HTTP/1.1\r\n" HOST, 405, "allow: GET, HEAD, DELETE, OPTIONS\r\n", "method_not_supported"},
        {"GET /v1/messages HTTP/1.1\r\n" HOST, 405, "allow: POST, OPTIONS\r\n", "\"type\":\"error\""},
        {"POST /v1/models HTTP/1.1\r\n" HOST JSON "Content-Length: 0\r\n", 405, NULL, "method_not_supported"},
        {"POST /v1/chat/completions/ HTTP/1.1\r\n" HOST JSON "Content-Length: 0\r\n", 404, NULL, "unknown_url"},
        {"POST /v1/chat/completions HTTP/1.1\r\n" HOST "Content-Type: text/\377\r\nContent-Length: 0\r\n", 415, NULL, "\357\277\275"},
        {"GET /health HTTP/1.1\r\n", 400, NULL, "invalid_request_error"},
        /* in Anthropic's words where they are asked for, the server's own errors too */
        {"GET /v1/messages/batches HTTP/1.1\r\n" HOST, 404, NULL, "{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\""},
        {"GET /v1/nope HTTP/1.1\r\n" HOST "anthropic-version: 2023-06-01\r\n", 404, NULL, "{\"type\":\"error\""},
        {"GET /v1/nope HTTP/1.1\r\n" HOST "x-api-key: k\r\n", 404, NULL, "{\"type\":\"error\""},
        {"GET /v1/nope HTTP/1.1\r\n" HOST "x-api-key: k\r\nAuthorization: Bearer k\r\n", 404, NULL, "{\"error\":"},
        {"POST /v1/messages HTTP/1.1\r\n", 400, NULL, "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\""},
        {"POST /v1/messages HTTP/1.1\r\n" HOST JSON "Content-Length: 99999999999\r\n", 413, NULL, "{\"type\":\"error\",\"error\":{\"type\":\"request_too_large\""},
        {"POST /v1/responses HTTP/1.1\r\n" HOST JSON "Content-Length: 99999999999\r\n", 413, NULL, "{\"error\":"},
        {"GET / HTTP/1.1\r\nanthropic-version: 2023-06-01\r\n", 400, NULL, "{\"type\":\"error\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect(&rows[i], TOP);
}

static void strangers_are_refused(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"GET /v1/models HTTP/1.1\r\nHost: evil.example\r\n", 403, NULL, "host_not_allowed"},
        {"GET http://evil.example/v1/models HTTP/1.1\r\n" HOST, 403, NULL, "host_not_allowed"},
        {"GET http://127.0.0.1@evil.example/v1/models HTTP/1.1\r\n" HOST, 400, NULL, "invalid_request_error"},
        {"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1@evil.example\r\n", 400, NULL, "invalid_request_error"},
        {"GET /v1/models HTTP/1.1\r\n" HOST "Host: evil.example\r\n", 400, NULL, "invalid_request_error"},
        {"GET /v1/models HTTP/1.0\r\nHost: evil.example\r\n", 403, NULL, "host_not_allowed"},
        {"GET /v1/models HTTP/1.1\r\n" HOST "Origin: https://evil.example\r\n", 403, NULL, "origin_not_allowed"},
        {"GET /v1/models HTTP/1.1\r\n" HOST "Origin: null\r\n", 403, NULL, "origin_not_allowed"},
        {"GET /v1/models HTTP/1.1\r\n" HOST "Origin:\r\n", 403, NULL, "origin_not_allowed"},
        {"GET /v1/models HTTP/1.0\r\nOrigin: http://\r\n", 403, NULL, "origin_not_allowed"},
        {"GET /v1/models HTTP/1.1\r\n" HOST "Origin: https://\377\"\r\n", 403, NULL, "origin_not_allowed"},
        {"OPTIONS /v1/chat/completions HTTP/1.1\r\n" HOST "Origin: https://evil.example\r\n", 403, NULL, "origin_not_allowed"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect(&rows[i], TOP);
}

static void listed_origins_may_read(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"OPTIONS /v1/chat/completions HTTP/1.1\r\n" HOST ORIGIN "Access-Control-Request-Method: POST\r\n", 204, "access-control-allow-methods: POST, OPTIONS", ""},
        {"OPTIONS /v1/chat/completions HTTP/1.1\r\n" HOST ORIGIN, 204, "access-control-allow-headers: authorization, content-type", ""},
        {"GET /v1/models HTTP/1.1\r\n" HOST ORIGIN, 200, "access-control-allow-origin: https://app.example", NULL},
        {"GET /v1/models/nope HTTP/1.1\r\n" HOST ORIGIN, 404, "access-control-allow-origin: https://app.example", NULL},
        {"GET /v1/models HTTP/1.1\r\n" HOST ORIGIN, 200, "vary: origin", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect(&rows[i], TOP);
}

static void metrics_can_be_turned_off(void **state) {
    (void)state;
    expect(&(struct row){"GET /metrics HTTP/1.1\r\n" HOST, 404, NULL, "unknown_url"}, "metrics: false\n");
}

/* ---- draining ---- */

static void a_draining_gateway_says_so(void **state) {
    (void)state;
    struct rig r;
    struct rig_client c, ready;
    rig_start(&r, &(struct sim_options){.seed = 1}, NULL, NULL);
    rig_client_open(&r, &c);
    rig_client_send(&c, SLICE("POST /v1/chat/completions HTTP/1.1\r\nHost: x"));
    rig_client_open(&r, &ready);
    rig_client_send(&ready, SLICE("GET /ready HTTP/1.1\r\n"));
    sim_run(NULL, NULL, sim_now_ns() + NS_PER_S);
    atomic_store(&r.gateway->draining, true);
    worker_drain(r.worker);
    sim_run(NULL, NULL, sim_now_ns() + NS_PER_MS);
    rig_client_send(&c, SLICE(".example\r\n\r\n"));
    rig_client_send(&ready, SLICE("Host: 127.0.0.1\r\n\r\n"));
    sim_run(NULL, NULL, sim_now_ns() + 100 * NS_PER_MS);
    assert_true(slice_starts_with(buf_slice(&ready.in), SLICE("HTTP/1.1 503 ")));
    assert_non_null(memmem(ready.in.ptr, ready.in.len, "draining", 8));
    assert_true(slice_starts_with(buf_slice(&c.in), SLICE("HTTP/1.1 403 ")));
    rig_client_dispose(&c);
    rig_client_dispose(&ready);
    rig_stop(&r);
}

static void a_request_that_comes_while_draining_is_sent_away(void **state) {
    (void)state;
    struct rig r;
    struct rig_client c;
    static const char rest[] = "application/json\r\nContent-Length: 2\r\n\r\n{}";
    rig_start(&r, &(struct sim_options){.seed = 1}, NULL, NULL);
    rig_client_open(&r, &c);
    rig_client_send(&c, SLICE("POST /v1/chat/completions HTTP/1.1\r\n" HOST "Content-Type: "));
    sim_run(NULL, NULL, sim_now_ns() + NS_PER_S);
    worker_drain(r.worker);
    sim_run(NULL, NULL, sim_now_ns() + NS_PER_MS);
    rig_client_send(&c, slice_cstr(rest));
    sim_run(NULL, NULL, sim_now_ns() + 100 * NS_PER_MS);
    assert_true(slice_starts_with(buf_slice(&c.in), SLICE("HTTP/1.1 503 ")));
    assert_non_null(memmem(c.in.ptr, c.in.len, "retry-after: 1\r\n", 16));
    assert_non_null(memmem(c.in.ptr, c.in.len, "connection: close\r\n", 19));
    assert_int_equal(rig_ended(&r, END_DRAIN, false), 1);
    rig_client_dispose(&c);
    rig_stop(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endpoints_answer),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(strangers_are_refused),
        cmocka_unit_test(listed_origins_may_read),
        cmocka_unit_test(metrics_can_be_turned_off),
        cmocka_unit_test(a_draining_gateway_says_so),
        cmocka_unit_test(a_request_that_comes_while_draining_is_sent_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
