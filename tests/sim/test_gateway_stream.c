/* SPDX-License-Identifier: Apache-2.0 */
/* Streams through a whole gateway: untouched bytes at every split, usage asked for and cut out,
 * repairs, slow readers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway_rig.c"

#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nx-request-id: up-1\r\nx-ratelimit-remaining-requests: 7\r\n"
#define STREAM_REQUEST "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
#define USAGE_REQUEST \
    "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"

#define CHUNK(delta, finish, tail) \
    "data: {\"id\":\"c-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":" delta \
    ",\"finish_reason\":" finish "}]" tail "}\n\n"

/* Odd on purpose: unknown fields, odd numbers, blanks, comments, CR LF, escapes, multi-byte
 * characters. */
static const char odd_stream[] =
    ": OPENROUTER PROCESSING\n\n"
    "data: {\"id\":\"c-1\",\"object\":\"chat.completion.chunk\",\"created\":1.70e9,\"model\":\"m\",\"x_unknown\":[1.0,-0,1E+2],"
    "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n"
    "data:   {\"choices\" : [ {\"index\":0,\"delta\":{\"content\":\"Gr\303\274\303\237e \\u00e9 \360\237\230\200\"}} ] }\r\n\r\n"
    ": keep-alive\n"
    "event: message\n" CHUNK("{\"content\":\" whale\"}", "null", ",\"usage\":null")
    CHUNK("{}", "\"stop\"", ",\"usage\":null") "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\n"
    "data: [DONE]\n\n";

/* ---- helpers ---- */

static struct slice chunked_answer(struct arena *a, const char *head, struct slice body,
                                   size_t piece) {
    struct buf out;
    buf_init(&out, 64u << 20);
    must(buf_appendf(&out, "%sTransfer-Encoding: chunked\r\n\r\n", head));
    for (size_t i = 0; i < body.len; i += piece) {
        struct slice part = slice_sub(body, i, piece);
        must(buf_appendf(&out, "%zx\r\n", part.len));
        must(buf_append(&out, part));
        must(buf_append(&out, SLICE("\r\n")));
    }
    must(buf_append(&out, SLICE("0\r\n\r\n")));
    struct slice s = arena_dup(a, buf_slice(&out));
    buf_dispose(&out);
    return s;
}

static void assert_body(const struct rig_client *c, unsigned status, struct slice want) {
    struct buf body;
    unsigned got;
    struct slice head;
    buf_init(&body, RIG_BUF_BYTES);
    bool is_whole = rig_response(c, &got, &head, &body);
    if (!is_whole || got != status || !slice_eq(buf_slice(&body), want))
        fail_msg("status %u (want %u), %s\n--- got\n%.*s\n--- want\n%.*s", got, status, is_whole ? "whole" : "INCOMPLETE",
                 SLICE_FMT(buf_slice(&body)), SLICE_FMT(want));
    buf_dispose(&body);
}

/* A gateway, an upstream that answers so, and a client that has sent its request. */
static void ask(struct rig *r, struct rig_client *c, const struct sim_options *o, const char *more,
                struct slice answer, const char *request) {
    rig_start(r, o, more, NULL);
    r->script.answer = answer;
    rig_client_open(r, c);
    rig_client_post(c, request);
}

static void end(struct rig *r, struct rig_client *c) {
    rig_client_dispose(c);
    rig_stop(r);
}

static void one_stream(const struct sim_options *o, const char *more, const char *request,
                       struct slice answer, struct slice want) {
    struct rig r;
    struct rig_client c;
    ask(&r, &c, o, more, answer, request);
    assert_true(rig_run_response(&r, &c));
    assert_body(&c, 200, want);
    assert_int_equal(rig_ended(&r, END_OK, true), 1);
    end(&r, &c);
}

/* ---- untouched ---- */

static void untouched_when_the_client_asks_for_usage(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct slice body = slice_make(odd_stream, sizeof odd_stream - 1);
    one_stream(&(struct sim_options){.seed = 1}, NULL, USAGE_REQUEST,
               chunked_answer(a, HEAD, body, 100), body);
    arena_free(a);
}

static void untouched_with_observe(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct slice body = slice_make(odd_stream, sizeof odd_stream - 1);
    one_stream(&(struct sim_options){.seed = 1}, "metering: observe\n", STREAM_REQUEST, chunked_answer(a, HEAD, body, 1u << 20), body);
    arena_free(a);
}

static void same_at_every_split(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct slice body = slice_make(odd_stream, sizeof odd_stream - 1);
    struct slice answer = chunked_answer(a, HEAD, body, 37);
    struct addr up;
    struct err e;
    must(addr_parse(SLICE("127.0.0.1:9000"), &up, &e));
    for (size_t cut = 1; cut < answer.len; cut++) {
        struct rig r;
        struct rig_client c;
        rig_start(&r, &(struct sim_options){.seed = cut}, NULL, NULL);
        r.script.answer = answer;
        sim_read_sizes(&up, 0, true, &cut, 1);
        rig_client_open(&r, &c);
        rig_client_post(&c, USAGE_REQUEST);
        assert_true(rig_run_response(&r, &c));
        assert_body(&c, 200, body);
        end(&r, &c);
    }
    arena_free(a);
}

static void same_byte_by_byte_and_at_random(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct slice body = slice_make(odd_stream, sizeof odd_stream - 1);
    for (unsigned seed = 1; seed <= 60; seed++) {
        struct sim_options o = {.seed = seed,
                                .max_read_bytes = seed == 1 ? 1 : 1 + seed % 50,
                                .max_write_bytes = 1 + seed % 90,
                                .latency_min_ns = 0,
                                .latency_max_ns = seed % 3 * NS_PER_MS,
                                .shuffle_events = true};
        one_stream(&o, NULL, USAGE_REQUEST, chunked_answer(a, HEAD, body, 1 + seed), body);
    }
    arena_free(a);
}

static void close_delimited_and_http_1_0(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct slice body = slice_make(odd_stream, sizeof odd_stream - 1);
    static const char *const heads[] = {"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n",
                                        "HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"};
    for (size_t i = 0; i < 2; i++) {
        struct rig r;
        struct rig_client c;
        rig_start(&r, &(struct sim_options){.seed = 1, .max_read_bytes = 11}, NULL, NULL);
        r.script = (struct rig_script){.answer = slice_cstr(arena_printf(a, "%s%s", heads[i], odd_stream)), .then = RIG_FIN};
        rig_client_open(&r, &c);
        rig_client_post(&c, USAGE_REQUEST);
        assert_true(rig_run_response(&r, &c));
        assert_body(&c, 200, body);
        end(&r, &c);
    }
    arena_free(a);
}

/* ---- usage ---- */

#define PLAIN_STREAM \
    CHUNK("{\"role\":\"assistant\",\"content\":\"\"}", "null", "") \
    CHUNK("{\"content\":\"Hi, \\\"usage\\\":null\"}", "null", "") \
        CHUNK("{}", "\"stop\"", "") "data: [DONE]\n\n"
#define METERED_STREAM \
    CHUNK("{\"role\":\"assistant\",\"content\":\"\"}", "null", ",\"usage\":null") \
    CHUNK("{\"content\":\"Hi, \\\"usage\\\":null\"}", "null", ",\"usage\":null") \
    CHUNK( \
        "{}", "\"stop\"", \
        ",\"usage\":null") "data: {\"id\":\"c-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\n" \
                           "data: [DONE]\n\n"

static void usage_is_asked_for_and_cut_out(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct rig r;
    struct rig_client c;
    ask(&r, &c, &(struct sim_options){.seed = 1}, NULL,
        chunked_answer(a, HEAD, SLICE(METERED_STREAM), 64), STREAM_REQUEST);
    assert_true(rig_run_response(&r, &c));
    assert_body(&c, 200, SLICE(PLAIN_STREAM));
    struct slice asked = buf_slice(&r.connections[0].request);
    assert_non_null(memmem(asked.ptr, asked.len, "\"include_usage\":true", 20));
    assert_int_equal(meter_get(&r.worker->meter->providers[0].tokens_in), 3);
    assert_int_equal(meter_get(&r.worker->meter->providers[0].tokens_out), 2);
    end(&r, &c);
    for (unsigned seed = 1; seed < 40; seed++)
        one_stream(&(struct sim_options){.seed = seed, .max_read_bytes = seed}, NULL,
                   STREAM_REQUEST, chunked_answer(a, HEAD, SLICE(METERED_STREAM), 5 * seed),
                   SLICE(PLAIN_STREAM));
    arena_free(a);
}

/* ---- the upstream's request ---- */

static void request_goes_up_spliced_and_with_our_key_only(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct rig r;
    struct rig_client c;
    ask(&r, &c, &(struct sim_options){.seed = 1}, NULL,
        chunked_answer(a, HEAD, SLICE(PLAIN_STREAM), 64),
        "{ \"x\" : 1.00,\"model\":\"renamed\", \"stream\":true,\"stream_options\":{\"include_usage\":true},\"messages\":[{}] }");
    assert_true(rig_run_response(&r, &c));
    struct slice up = buf_slice(&r.connections[0].request);
    const char *body = memmem(up.ptr, up.len, "\r\n\r\n", 4);
    assert_non_null(body);
    assert_true(slice_eq(slice_from(up, (size_t)(body + 4 - up.ptr)),
                         SLICE("{ \"x\" : 1.00,\"model\":\"other\", \"stream\":true,\"stream_options\":{\"include_usage\":true},\"messages\":[{}] }")));
    struct slice head = slice_sub(up, 0, (size_t)(body - up.ptr) + 2);
    assert_true(slice_eq(rig_header(head, "authorization"), SLICE("Bearer sk-secret")));
    assert_true(slice_eq(rig_header(head, "host"), SLICE("127.0.0.1:9000")));
    assert_null(memmem(up.ptr, up.len, "client-secret", 13));
    end(&r, &c);
    arena_free(a);
}

static void response_headers_are_ours_and_the_useful_ones(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct rig r;
    struct rig_client c;
    struct buf body;
    unsigned status;
    struct slice head;
    buf_init(&body, 1 << 20);
    ask(&r, &c, &(struct sim_options){.seed = 1}, NULL,
        chunked_answer(a, HEAD "Set-Cookie: a=b\r\nServer: x\r\n", SLICE(PLAIN_STREAM), 64), STREAM_REQUEST);
    assert_true(rig_run_response(&r, &c));
    assert_true(rig_response(&c, &status, &head, &body));
    assert_true(slice_eq(rig_header(head, "content-type"), SLICE("text/event-stream; charset=utf-8")));
    assert_true(slice_starts_with(rig_header(head, "cache-control"), SLICE("no-cache")));
    assert_true(slice_eq(rig_header(head, "connection"), SLICE("keep-alive")));
    assert_true(slice_eq(rig_header(head, "x-accel-buffering"), SLICE("no")));
    assert_true(slice_starts_with(rig_header(head, "x-request-id"), SLICE("req_")));
    assert_true(slice_eq(rig_header(head, "x-upstream-request-id"), SLICE("up-1")));
    assert_true(slice_eq(rig_header(head, "x-ratelimit-remaining-requests"), SLICE("7")));
    assert_int_equal(rig_header(head, "set-cookie").len + rig_header(head, "x-penstock-mock").len, 0);
    buf_dispose(&body);
    end(&r, &c);
    arena_free(a);
}

/* ---- repairs and ends ---- */

static void missing_done_is_put_in(void **state) {
    (void)state;
    struct arena *a = arena_new();
    one_stream(&(struct sim_options){.seed = 1}, "metering: observe\n", STREAM_REQUEST,
               chunked_answer(a, HEAD, SLICE(CHUNK("{\"content\":\"a\"}", "null", "") CHUNK("{}", "\"stop\"", "")), 20),
               SLICE(CHUNK("{\"content\":\"a\"}", "null", "") CHUNK("{}", "\"stop\"", "") "data: [DONE]\n\n"));
    arena_free(a);
}

static void silence_after_the_finish_ends_the_stream(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct rig r;
    struct rig_client c;
    ask(&r, &c, &(struct sim_options){.seed = 1}, NULL,
        slice_cstr(arena_printf(a, HEAD "\r\n" CHUNK("{\"content\":\"a\"}", "\"stop\"", ""))), USAGE_REQUEST);
    int64_t from_ns = sim_now_ns();
    assert_true(rig_run_response(&r, &c));
    assert_true(sim_now_ns() - from_ns < 10 * NS_PER_S);
    assert_body(&c, 200, SLICE(CHUNK("{\"content\":\"a\"}", "\"stop\"", "") "data: [DONE]\n\n"));
    end(&r, &c);
    arena_free(a);
}

static void forms_that_break_sdks_are_repaired(void **state) {
    (void)state;
    struct arena *a = arena_new();
    one_stream(&(struct sim_options){.seed = 3, .max_read_bytes = 3}, NULL, USAGE_REQUEST,
               chunked_answer(a, HEAD,
                              SLICE("\357\273\277" CHUNK("{\"content\":\"a\"}", "null", "") "id: 7\n" CHUNK("{\"content\":\"b\"}", "null", "")
                                    "retry: 10\n\nevent: ping\n\ndata:\n\n" CHUNK("{\"content\":\"\377\"}", "\"stop\"", "") "data: [DONE] \n\n"),
                              50),
               SLICE(CHUNK("{\"content\":\"a\"}", "null", "") CHUNK("{\"content\":\"b\"}", "null", "")
                     CHUNK("{\"content\":\"\357\277\275\"}", "\"stop\"", "") "data: [DONE]\n\n"));
    arena_free(a);
}

static void nothing_after_done_reaches_the_client(void **state) {
    (void)state;
    struct arena *a = arena_new();
    one_stream(&(struct sim_options){.seed = 1}, NULL, USAGE_REQUEST, chunked_answer(a, HEAD, SLICE(PLAIN_STREAM "data: {\"late\":1}\n\n"), 5000),
               SLICE(PLAIN_STREAM));
    arena_free(a);
}

static void json_instead_of_a_stream_becomes_one(void **state) {
    (void)state;
    struct rig r;
    struct rig_client c;
    struct buf body;
    unsigned status;
    struct slice head;
    buf_init(&body, 1 << 20);
    rig_start(&r, &(struct sim_options){.seed = 1, .max_read_bytes = 9}, NULL, NULL);
    static const char whole[] = "{\"id\":\"c-9\",\"object\":\"chat.completion\",\"created\":5,\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
                                "\"assistant\",\"content\":\"Blue whale\"},\"finish_reason\":\"stop\"}]}";
    char answer[1024];
    snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n%s", strlen(whole), whole);
    r.script.answer = slice_cstr(answer);
    rig_client_open(&r, &c);
    rig_client_post(&c, STREAM_REQUEST);
    assert_true(rig_run_response(&r, &c));
    assert_true(rig_response(&c, &status, &head, &body));
    assert_int_equal(status, 200);
    assert_non_null(memmem(body.ptr, body.len, "Blue whale", 10));
    assert_true(body.len > 14 && memcmp(body.ptr + body.len - 14, "data: [DONE]\n\n", 14) == 0);
    buf_dispose(&body);
    end(&r, &c);
}

/* ---- cut-through ---- */

static void a_huge_frame_passes_while_it_comes(void **state) {
    (void)state;
    struct arena *a = arena_new();
    size_t big = 300000;
    char *text = arena_alloc(a, big + 1);
    memset(text, 'x', big);
    struct slice body = slice_cstr(arena_printf(a, CHUNK("{\"content\":\"%s\"}", "null", "") CHUNK("{}", "\"stop\"", "") "data: [DONE]\n\n", text));
    one_stream(&(struct sim_options){.seed = 1}, "metering: observe\n", STREAM_REQUEST, chunked_answer(a, HEAD, body, 10000), body);
    one_stream(&(struct sim_options){.seed = 1}, NULL, STREAM_REQUEST,
               chunked_answer(a, HEAD, body, 10000), body);
    arena_free(a);
}

/* ---- back-pressure and leaving ---- */

static bool upstream_saw_end(void *self) {
    struct rig *r = self;
    return r->n_connections > 0 && r->connections[0].saw_end;
}

static struct slice endless(struct arena *a, size_t bytes) {
    struct buf b;
    buf_init(&b, 64u << 20);
    must(buf_append(&b, SLICE(HEAD "\r\n")));
    while (b.len < bytes)
        must(buf_append(&b, SLICE(CHUNK("{\"content\":\"tick \"}", "null", ""))));
    struct slice s = arena_dup(a, buf_slice(&b));
    buf_dispose(&b);
    return s;
}

static void a_slow_reader_stops_its_upstream(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct rig r;
    struct rig_client c;
    ask(&r, &c, &(struct sim_options){.seed = 1, .socket_buffer_bytes = 32768}, NULL,
        endless(a, 8u << 20), USAGE_REQUEST);
    rig_client_read(&c, false);
    sim_run(NULL, NULL, sim_now_ns() + 5 * NS_PER_S);
    size_t left = r.connections[0].out.len;
    /* the upstream could not get rid of it */
    assert_true(left > (7u << 20));
    /* and the gateway did not take it in */
    assert_true(slab_in_use_bytes(loop_slab(r.loop)) < 256u << 10);
    assert_int_equal(meter_get(&r.worker->meter->providers[0].stalls), 1);
    /* leaves without ever reading again */
    rig_client_close(&c, false);
    assert_true(sim_run(upstream_saw_end, &r, sim_now_ns() + NS_PER_S));
    assert_int_equal(rig_ended(&r, END_CLIENT_GONE, true), 1);
    end(&r, &c);
    arena_free(a);
}

static void client_gone_upstream_gone(void **state) {
    (void)state;
    struct arena *a = arena_new();
    for (int with_reset = 0; with_reset < 2; with_reset++) {
        struct rig r;
        struct rig_client c;
        ask(&r, &c, &(struct sim_options){.seed = 1}, NULL, endless(a, 4000), USAGE_REQUEST);
        sim_run(NULL, NULL, sim_now_ns() + NS_PER_S);
        assert_true(c.in.len > 1000);
        int64_t from_ns = sim_now_ns();
        rig_client_close(&c, with_reset);
        assert_true(sim_run(upstream_saw_end, &r, from_ns + NS_PER_S));
        assert_true(sim_now_ns() - from_ns < 10 * NS_PER_MS);
        assert_int_equal(rig_ended(&r, END_CLIENT_GONE, true), 1);
        assert_int_equal(rig_ended(&r, END_UPSTREAM_CUT, true), 0);
        end(&r, &c);
    }
    arena_free(a);
}

static void drain_reads_on_for_usage(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct rig r;
    struct rig_client c;
    rig_start(&r, &(struct sim_options){.seed = 1}, "on_client_gone: {drain: {bytes: 1MB, time: 10s}}\n", NULL);
    r.script.answer = endless(a, 2000);
    r.script.more = SLICE(METERED_STREAM);
    rig_client_open(&r, &c);
    rig_client_post(&c, STREAM_REQUEST);
    sim_run(NULL, NULL, sim_now_ns() + NS_PER_S);
    rig_client_close(&c, false);
    sim_run(NULL, NULL, sim_now_ns() + NS_PER_S);
    assert_false(r.connections[0].saw_end);
    rig_upstream_send_more(&r, 0);
    assert_true(sim_run(upstream_saw_end, &r, sim_now_ns() + 20 * NS_PER_S));
    assert_int_equal(meter_get(&r.worker->meter->providers[0].tokens_out), 2);
    assert_int_equal(rig_ended(&r, END_CLIENT_GONE, true), 1);
    end(&r, &c);
    arena_free(a);
}

/* ---- memory ---- */

static void no_allocation_per_event(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct rig r;
    struct rig_client c;
    rig_start(&r, &(struct sim_options){.seed = 1, .max_read_bytes = 1000}, NULL, NULL);
    r.script.answer = endless(a, 20000);
    r.script.more = slice_from(endless(a, 300000), sizeof HEAD + 1);
    rig_client_open(&r, &c);
    c.in.max = RIG_BUF_BYTES;
    must(buf_reserve(&c.in, 4u << 20) ? 0 : -1);
    rig_client_post(&c, STREAM_REQUEST);
    sim_run(NULL, NULL, sim_now_ns() + NS_PER_S);
    uint64_t frames = meter_get(&r.worker->meter->providers[0].frames);
    rig_upstream_send_more(&r, 0);
    uint64_t before = mem_alloc_count();
    sim_run(NULL, NULL, sim_now_ns() + NS_PER_S);
    uint64_t after = mem_alloc_count();
    frames = meter_get(&r.worker->meter->providers[0].frames) - frames;
    assert_true(frames > 1000);
    /* the simulated network allocates for its deliveries; frames do not */
    assert_true(after - before < frames / 50);
    end(&r, &c);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(untouched_when_the_client_asks_for_usage),
        cmocka_unit_test(untouched_with_observe),
        cmocka_unit_test(same_at_every_split),
        cmocka_unit_test(same_byte_by_byte_and_at_random),
        cmocka_unit_test(close_delimited_and_http_1_0),
        cmocka_unit_test(usage_is_asked_for_and_cut_out),
        cmocka_unit_test(request_goes_up_spliced_and_with_our_key_only),
        cmocka_unit_test(response_headers_are_ours_and_the_useful_ones),
        cmocka_unit_test(missing_done_is_put_in),
        cmocka_unit_test(silence_after_the_finish_ends_the_stream),
        cmocka_unit_test(forms_that_break_sdks_are_repaired),
        cmocka_unit_test(nothing_after_done_reaches_the_client),
        cmocka_unit_test(json_instead_of_a_stream_becomes_one),
        cmocka_unit_test(a_huge_frame_passes_while_it_comes),
        cmocka_unit_test(a_slow_reader_stops_its_upstream),
        cmocka_unit_test(client_gone_upstream_gone),
        cmocka_unit_test(drain_reads_on_for_usage),
        cmocka_unit_test(no_allocation_per_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
