/* SPDX-License-Identifier: Apache-2.0 */
/* How answers end when it is not plain: half frames, several choices, silence, errors after the
 * status is out, answers too large to hold, slow readers at the very end, shutdown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway_rig.c"

#define STREAM_REQUEST "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
#define TWO_CHOICES_REQUEST "{\"model\":\"m\",\"stream\":true,\"n\":2,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
#define USAGE_REQUEST                                                                              \
    "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
#define WHOLE_REQUEST "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
#define CHOICE(index, delta, finish)                                                               \
    "data: {\"id\":\"c-1\",\"choices\":[{\"index\":" index ",\"delta\":" delta                     \
    ",\"finish_reason\":" finish "}]}\n\n"
#define CHUNK(delta, finish) CHOICE("0", delta, finish)
#define STREAM_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
#define DONE "data: [DONE]\n\n"
#define USAGE_CHUNK "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\n"
#define HALF_MINUTE (30 * NS_PER_S)

struct one {
    struct rig rig;
    struct rig_client client;
    struct buf body;
    struct slice head;
    unsigned status;
    bool is_whole;
};

static void start_with(struct one *o, const struct sim_options *options, const char *more,
                       const char *top, struct rig_script script, const char *request) {
    *o = (struct one){.status = 0};
    buf_init(&o->body, RIG_BUF_BYTES);
    rig_start(&o->rig, options, more, top);
    o->rig.script = script;
    rig_client_open(&o->rig, &o->client);
    rig_client_post(&o->client, request);
}

static void start(struct one *o, const char *more, const char *top, struct rig_script script,
                  const char *request) {
    start_with(o, &(struct sim_options){.seed = 1}, more, top, script, request);
}

static void pass_time(int64_t ns) {
    sim_run(NULL, NULL, sim_now_ns() + ns);
}

static void look(struct one *o) {
    buf_reset(&o->body);
    o->is_whole = rig_response(&o->client, &o->status, &o->head, &o->body);
}

static void run(struct one *o) {
    rig_run_response(&o->rig, &o->client);
    look(o);
}

static void more(struct one *o, const char *bytes) {
    o->rig.script.more = slice_cstr(bytes);
    rig_upstream_send_more(&o->rig, 0);
}

/* A loop that was stopped takes no part in the simulation until it is run anew: the clients, which
 * live on it, want to see what they got. */
static void run_until_stopped(struct one *o) {
    loop_run(o->rig.loop);
}

static void stop(struct one *o) {
    assert_false(o->client.in.len && memmem(o->client.in.ptr, o->client.in.len, "sk-secret", 9));
    buf_dispose(&o->body);
    rig_client_dispose(&o->client);
    rig_stop(&o->rig);
}

static bool holds(const struct one *o, const char *text) {
    return o->body.len && memmem(o->body.ptr, o->body.len, text, strlen(text)) != NULL;
}

static size_t count(struct slice in, const char *text) {
    size_t n = 0, len = strlen(text);
    for (const char *p; in.len && (p = memmem(in.ptr, in.len, text, len)); n++)
        in = slice_from(in, (size_t)(p - in.ptr) + len);
    return n;
}

static bool ends_with(const struct one *o, const char *text) {
    size_t n = strlen(text);
    return o->body.len >= n && memcmp(o->body.ptr + o->body.len - n, text, n) == 0;
}

static void assert_whole_body(const struct one *o, const char *want) {
    if (!o->is_whole || o->status != 200 || !slice_eq(buf_slice(&o->body), slice_cstr(want)))
        fail_msg("status %u, %s\n--- got\n%.*s\n--- want\n%s", o->status, o->is_whole ? "whole" : "INCOMPLETE", SLICE_FMT(buf_slice(&o->body)),
                 want);
}

/* The body is `before`, then one error event, then its end. */
static void assert_error_event_after(const struct one *o, const char *before, const char *needle) {
    struct slice body = buf_slice(&o->body), event = slice_from(body, strlen(before));
    bool is_one_event = slice_starts_with(body, slice_cstr(before)) &&
                        slice_starts_with(event, SLICE("data: {\"error\":{")) &&
                        ends_with(o, "}}\n\n") && count(event, "\n\n") == 1;
    if (!o->is_whole || o->status != 200 || !is_one_event || !holds(o, needle))
        fail_msg("status %u, %s\n--- got\n%.*s\n--- want this, then an error with %s\n%s", o->status,
                 o->is_whole ? "whole" : "INCOMPLETE", SLICE_FMT(body), needle, before);
}

static char *repeat(struct arena *a, char c, size_t n) {
    char *text = arena_alloc(a, n + 1);
    memset(text, c, n);
    return text;
}

/* ---- half frames ---- */

static void a_comment_that_is_cut_does_not_swallow_the_error(void **state) {
    (void)state;
    struct one o;
    start(&o, NULL, NULL, (struct rig_script){SLICE(STREAM_HEAD CHUNK("{\"content\":\"a\"}", "null") ": OPENROUTER PROC"), RIG_FIN, {0}}, STREAM_REQUEST);
    run(&o);
    assert_error_event_after(&o, CHUNK("{\"content\":\"a\"}", "null"), "bad_gateway");
    assert_int_equal(rig_ended(&o.rig, END_UPSTREAM_CUT, true), 1);
    stop(&o);
}

static void half_a_frame_is_never_shown(void **state) {
    (void)state;
    static const char answer[] = STREAM_HEAD ": hello\n\n" CHUNK("{\"content\":\"one\"}", "null") CHUNK("{\"content\":\" two\"}", "null")
        CHUNK("{}", "\"stop\"");
    struct slice body = slice_from(slice_cstr(answer), sizeof STREAM_HEAD - 1);
    for (size_t at = sizeof STREAM_HEAD; at < sizeof answer; at++) {
        struct one o;
        start(&o, "metering: observe\n", NULL, (struct rig_script){slice_make(answer, at), RIG_FIN, {0}}, STREAM_REQUEST);
        run(&o);
        assert_true(o.is_whole);
        const char *error = o.body.len ? memmem(o.body.ptr, o.body.len, "data: {\"error\"", 14) : NULL;
        const char *done = o.body.len ? memmem(o.body.ptr, o.body.len, DONE, 14) : NULL;
        const char *end = error ? error : done;
        size_t shown = o.status == 200 && end ? (size_t)(end - o.body.ptr) : 0;
        struct slice before = slice_sub(buf_slice(&o.body), 0, shown);
        if (o.status == 200 &&
            (!end || !slice_starts_with(body, before) || (shown && before.ptr[shown - 1] != '\n')))
            fail_msg("cut at %zu: %.*s", at, SLICE_FMT(buf_slice(&o.body)));
        assert_true(o.status == 200 || o.status == 502);
        stop(&o);
    }
}

static void a_byte_order_mark_before_a_comment_is_left_out(void **state) {
    (void)state;
    struct one o;
    start(&o, NULL, NULL,
          (struct rig_script){SLICE(STREAM_HEAD "\357\273\277: hello\n\n: \377\n\n" CHUNK("{\"content\":\"a\"}", "\"stop\"") DONE), RIG_FIN, {0}}, USAGE_REQUEST);
    run(&o);
    assert_null(memmem(o.body.ptr, o.body.len, "\357\273\277", 3));
    assert_null(memchr(o.body.ptr, 0xff, o.body.len));
    assert_true(o.is_whole && ends_with(&o, CHUNK("{\"content\":\"a\"}", "\"stop\"") DONE));
    stop(&o);
}

/* CR LF, cut anywhere, with frames that are passed, cut, rewritten and dropped. */
static void carriage_returns_are_the_same_at_every_split(void **state) {
    (void)state;
    static const char answer[] = STREAM_HEAD ": hi\r\n\r\n"
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}],\"usage\":null}\r\n\r\n"
        "id: 1\r\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"}}]}\r\n\r\n"
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"c\"}}],\r\ndata: \"usage\":null}\r\n\r\n"
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\r\n\r\n"
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\r\n\r\n"
        "data: [DONE]\r\n\r\n";
    static const char want[] = ": hi\r\n\r\n"
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\r\n\r\n"
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"}}]}\n\n"
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"c\"}}]}\n\n"
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\r\n\r\n"
        "data: [DONE]\r\n\r\n";
    struct addr up;
    struct err e;
    must(addr_parse(SLICE("127.0.0.1:9000"), &up, &e));
    for (size_t cut = 1; cut < sizeof answer - 1; cut++) {
        struct one o;
        buf_init(&o.body, RIG_BUF_BYTES);
        rig_start(&o.rig, &(struct sim_options){.seed = cut}, NULL, NULL);
        o.rig.script = (struct rig_script){slice_cstr(answer), RIG_FIN, {0}};
        sim_read_sizes(&up, 0, true, &cut, 1);
        rig_client_open(&o.rig, &o.client);
        rig_client_post(&o.client, STREAM_REQUEST);
        run(&o);
        assert_whole_body(&o, want);
        stop(&o);
    }
}

/* ---- finish, and then ---- */

static void the_other_choice_may_take_its_time(void **state) {
    (void)state;
    struct one o;
    start(&o, NULL, NULL, (struct rig_script){SLICE(STREAM_HEAD CHOICE("0", "{\"content\":\"a\"}", "\"stop\"")), RIG_SILENCE, {0}}, TWO_CHOICES_REQUEST);
    pass_time(HALF_MINUTE);
    more(&o, CHOICE("1", "{\"content\":\"b\"}", "null"));
    pass_time(HALF_MINUTE);
    more(&o, CHOICE("1", "{}", "\"stop\"") DONE);
    run(&o);
    assert_true(o.is_whole && ends_with(&o, CHOICE("1", "{}", "\"stop\"") DONE));
    assert_true(holds(&o, CHOICE("1", "{\"content\":\"b\"}", "null")));
    assert_int_equal(rig_ended(&o.rig, END_OK, true), 1);
    stop(&o);
}

static void a_choice_that_never_came_is_missed(void **state) {
    (void)state;
    struct one o;
    start(&o, NULL, NULL, (struct rig_script){SLICE(STREAM_HEAD CHOICE("0", "{\"content\":\"a\"}", "\"stop\"")), RIG_FIN, {0}}, TWO_CHOICES_REQUEST);
    run(&o);
    assert_error_event_after(&o, CHOICE("0", "{\"content\":\"a\"}", "\"stop\""), "bad_gateway");
    stop(&o);
}

/* The upstream's last bytes wait behind a client that does not read: nothing spins, nothing is cut,
 * and the grace starts anew. */
static void a_slow_reader_gets_the_end_too(void **state) {
    (void)state;
    static const char *const heartbeats[] = {"timeouts: {heartbeat: 15s}", "timeouts: {heartbeat: 0}"};
    for (size_t i = 0; i < 2; i++) {
        struct arena *a = arena_new();
        struct one o;
        const char *text = repeat(a, 'x', 20000);
        start_with(&o, &(struct sim_options){.seed = 1, .socket_buffer_bytes = 4096}, NULL,
                   heartbeats[i],
                   (struct rig_script){
                       slice_cstr(arena_printf(
                           a, STREAM_HEAD CHUNK("{\"content\":\"%s\"}", "\"stop\""), text)),
                       RIG_SILENCE,
                       {0}},
                   USAGE_REQUEST);
        rig_client_read(&o.client, false);
        pass_time(3 * NS_PER_S);
        more(&o, USAGE_CHUNK);
        uint64_t turns = loop_stats(o.rig.loop)->turns;
        pass_time(3 * HALF_MINUTE);
        assert_true(loop_stats(o.rig.loop)->turns - turns < 1000);
        rig_client_read(&o.client, true);
        pass_time(4 * NS_PER_S);
        more(&o, DONE);
        run(&o);
        assert_true(o.is_whole && ends_with(&o, USAGE_CHUNK DONE));
        assert_int_equal(rig_ended(&o.rig, END_OK, true), 1);
        stop(&o);
        arena_free(a);
    }
}

static void a_client_that_leaves_its_last_bytes_is_gone(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct one o;
    const char *text = repeat(a, 'x', 600000);
    start_with(&o, &(struct sim_options){.seed = 1, .socket_buffer_bytes = 4096}, NULL, NULL,
               (struct rig_script){slice_cstr(arena_printf(a, STREAM_HEAD CHUNK("{\"content\":\"%s\"}", "\"stop\"") DONE, text)), RIG_FIN, {0}}, STREAM_REQUEST);
    rig_client_read(&o.client, false);
    pass_time(NS_PER_S);
    rig_client_close(&o.client, true);
    pass_time(NS_PER_S);
    assert_int_equal(rig_ended(&o.rig, END_CLIENT_GONE, true), 1);
    assert_int_equal(rig_ended(&o.rig, END_OK, true), 0);
    stop(&o);
    arena_free(a);
}

/* ---- errors inside the stream ---- */

#define ERROR_EVENT "data: {\"error\":{\"message\":\"Overloaded\",\"type\":\"server_error\",\"code\":503}}\n\n"

static void the_upstreams_error_event_is_the_last_word(void **state) {
    (void)state;
    static const enum rig_then then[] = {RIG_FIN, RIG_RST, RIG_SILENCE};
    for (size_t i = 0; i < 3; i++) {
        struct one o;
        start(&o, "idle_timeout: 60s\n", NULL, (struct rig_script){SLICE(STREAM_HEAD CHUNK("{\"content\":\"a\"}", "null") ERROR_EVENT), RIG_SILENCE, {0}}, STREAM_REQUEST);
        int64_t from_ns = sim_now_ns();
        pass_time(NS_PER_MS);
        o.rig.script.then = then[i];
        more(&o, "");
        run(&o);
        assert_whole_body(&o, CHUNK("{\"content\":\"a\"}", "null") ERROR_EVENT);
        assert_true(sim_now_ns() - from_ns < 10 * NS_PER_S);
        assert_int_equal(rig_ended(&o.rig, END_UPSTREAM_ERROR_EVENT, true), 1);
        stop(&o);
    }
}

static void a_refused_key_inside_a_stream_is_the_operators_fault(void **state) {
    (void)state;
    struct one o;
    start(&o, NULL, NULL,
          (struct rig_script){SLICE(STREAM_HEAD "data: {\"error\":{\"message\":\"Incorrect key\",\"type\":\"x\",\"code\":401}}\n\n"), RIG_FIN, {0}}, STREAM_REQUEST);
    run(&o);
    assert_int_equal(o.status, 502);
    assert_true(holds(&o, "upstream_auth"));
    assert_false(holds(&o, "Incorrect key"));
    stop(&o);
}

/* ---- answers that are no streams, after the status is out ---- */

#define LATE "timeouts: {hold: 1s, heartbeat: 100s}"
#define BEAT ": keep-alive\n\n"

static void late_errors_come_as_events(void **state) {
    (void)state;
    static const struct {
        const char *head, *body;
        size_t missing;
        enum rig_then then;
        const char *needle;
    } rows[] = {
        {"500 Oops\r\nContent-Type: application/json", "{\"error\":{\"message\":\"It broke\",\"type\":\"bad\",\"metadata\":{\"x\":7}}}", 0, RIG_KEEP, "It broke"},
        {"500 Oops\r\nContent-Type: text/plain", "It broke", 0, RIG_KEEP, "It broke"},
        {"401 No\r\nContent-Type: application/json", "{\"error\":{\"message\":\"sk-secret no\"}}", 0, RIG_KEEP, "upstream_auth"},
        {"200 OK\r\nContent-Type: application/json", "{\"id\":\"c-1\",", 9, RIG_FIN, "bad_gateway"},
        {"200 OK\r\nContent-Type: application/json", "{\"id\":\"c-1\",", 9, RIG_RST, "bad_gateway"},
        {"200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked", "5\r\n{\"id\"\r\nnope\r\n", 0, RIG_KEEP, "bad_gateway"},
        {"200 OK\r\nContent-Type: application/json", "{\"error\":{\"message\":\"It broke\",\"code\":42}}", 0, RIG_KEEP, "\"code\":\"42\""},
        {"200 OK\r\nContent-Type: application/json", "nope", 0, RIG_KEEP, "bad_gateway"},
        {"204 OK", "", 0, RIG_KEEP, "bad_gateway"},
        {"302 Go\r\nLocation: /x", "", 0, RIG_KEEP, "redirect"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct arena *a = arena_new();
        struct one o;
        bool is_chunked = strstr(rows[i].head, "chunked") != NULL;
        const char *length = is_chunked ? "" : arena_printf(a, "\r\nContent-Length: %zu", strlen(rows[i].body) + rows[i].missing);
        start(&o, NULL, LATE, (struct rig_script){SLICE(""), RIG_SILENCE, {0}}, STREAM_REQUEST);
        pass_time(2 * NS_PER_S);
        o.rig.script.then = rows[i].then;
        more(&o, arena_printf(a, "HTTP/1.1 %s%s\r\n\r\n%s", rows[i].head, length, rows[i].body));
        run(&o);
        assert_error_event_after(&o, BEAT, rows[i].needle);
        stop(&o);
        arena_free(a);
    }
}

static void a_whole_answer_to_a_stream_beats_while_it_comes(void **state) {
    (void)state;
    struct one o;
    start(&o, NULL, "timeouts: {hold: 10s, heartbeat: 15s}",
          (struct rig_script){SLICE("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{\"choices\":[{\"index\":0,"), RIG_SILENCE, {0}},
          STREAM_REQUEST);
    pass_time(HALF_MINUTE);
    o.rig.script.then = RIG_FIN;
    more(&o, "\"message\":{\"role\":\"assistant\",\"content\":\"Blue whale\"},\"finish_reason\":\"stop\"}]}");
    run(&o);
    assert_true(o.is_whole && o.status == 200);
    assert_true(slice_starts_with(buf_slice(&o.body), SLICE(BEAT BEAT "data: {")));
    assert_true(holds(&o, "Blue whale") && ends_with(&o, DONE));
    stop(&o);
}

/* The head must not wait for a frame that is not dropped. */
static void a_stream_that_begins_with_usage_begins(void **state) {
    (void)state;
    struct one o;
    start(&o, NULL, "timeouts: {heartbeat: 15s}", (struct rig_script){SLICE(STREAM_HEAD USAGE_CHUNK), RIG_SILENCE, {0}}, STREAM_REQUEST);
    pass_time(20 * NS_PER_S);
    look(&o);
    assert_int_equal(o.status, 200);
    assert_true(slice_eq(buf_slice(&o.body), SLICE(BEAT)));
    more(&o, CHUNK("{\"content\":\"a\"}", "\"stop\"") DONE);
    run(&o);
    assert_whole_body(&o, BEAT CHUNK("{\"content\":\"a\"}", "\"stop\"") DONE);
    stop(&o);
}

/* The error's texts are used after the body was parsed. */
static void an_error_inside_a_200_keeps_its_words(void **state) {
    (void)state;
    struct arena *a = arena_new();
    for (size_t size = 10; size < 100000; size *= 30) {
        struct one o;
        const char *body = arena_printf(a, "{\"error\":{\"message\":\"It broke %s\",\"type\":\"odd_type\",\"code\":4242}}", repeat(a, 'x', size));
        start(&o, NULL, NULL,
              (struct rig_script){slice_cstr(arena_printf(a, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body)),
                                  RIG_KEEP, {0}}, WHOLE_REQUEST);
        run(&o);
        assert_int_equal(o.status, 502);
        assert_true(holds(&o, "It broke xx") && holds(&o, "\"type\":\"odd_type\"") && holds(&o, "\"code\":\"4242\""));
        stop(&o);
    }
    arena_free(a);
}

static void an_error_too_large_to_say_is_still_an_error(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct one o;
    const char *body = arena_printf(a, "{\"error\":{\"message\":\"%s\"}}", repeat(a, 'x', 3u << 20));
    start(&o, NULL, "limits: {event: 64KiB, response: 4MiB}",
          (struct rig_script){slice_cstr(arena_printf(a, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body)), RIG_KEEP, {0}},
          WHOLE_REQUEST);
    run(&o);
    assert_true(o.is_whole && o.status == 502 && holds(&o, "bad_gateway"));
    stop(&o);
    arena_free(a);
}

static void advice_is_given_once(void **state) {
    (void)state;
    struct one o;
    start(&o, NULL, NULL,
          (struct rig_script){SLICE("HTTP/1.1 403 No\r\nX-Should-Retry: true\r\nX-RateLimit-Limit-Requests: 5\r\nContent-Length: 2\r\n\r\n{}"), RIG_KEEP, {0}}, WHOLE_REQUEST);
    run(&o);
    assert_int_equal(o.status, 502);
    assert_true(slice_eq(rig_header(o.head, "x-should-retry"), SLICE("false")));
    assert_null(memmem(o.head.ptr, o.head.len, "true", 4));
    stop(&o);
}

/* ---- whole answers at and above the limit ---- */

static const char *whole_answer(struct arena *a, size_t body_bytes, bool is_chunked) {
    static const char before[] = "{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"", after[] = "\"},\"finish_reason\":\"stop\"}]}";
    const char *text = repeat(a, 'x', body_bytes - (sizeof before - 1) - (sizeof after - 1));
    if (is_chunked)
        return arena_printf(a, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n%s%s%s\r\n0\r\n\r\n", body_bytes,
                            before, text, after);
    return arena_printf(a, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s%s%s", body_bytes, before, text, after);
}

struct arrival {
    const struct one *one;
    size_t bytes;
};

static bool has_arrived(void *self) {
    const struct arrival *a = self;
    return !a->one->client.sock || a->one->client.in.len >= a->bytes;
}

static void large_answers_pass_whole(void **state) {
    (void)state;
    static const size_t sizes[] = {(2u << 20) - 1, 2u << 20, (2u << 20) + 1, 4u << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int how = 0; how < 4; how++) {
            struct arena *a = arena_new();
            struct one o;
            bool is_slow = how & 1, is_chunked = how & 2;
            start_with(&o, &(struct sim_options){.seed = 7, .max_read_bytes = 30000}, NULL,
                       "limits: {response: 2MiB}",
                       (struct rig_script){
                           slice_cstr(whole_answer(a, sizes[i], is_chunked)), RIG_KEEP, {0}},
                       WHOLE_REQUEST);
            if (is_slow) {
                rig_client_read(&o.client, false);
                pass_time(NS_PER_S);
                assert_true(slab_in_use_bytes(loop_slab(o.rig.loop)) < (9u << 18));
                rig_client_read(&o.client, true);
            }
            sim_run(has_arrived, &(struct arrival){&o, sizes[i]}, sim_now_ns() + HALF_MINUTE);
            run(&o);
            assert_true(o.is_whole);
            assert_int_equal(o.status, 200);
            assert_int_equal(o.body.len, sizes[i]);
            assert_int_equal(rig_ended(&o.rig, END_OK, false), 1);
            stop(&o);
            arena_free(a);
        }
}

static void a_large_answer_that_is_cut_is_aborted(void **state) {
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct arena *a = arena_new();
        struct one o;
        const char *text = whole_answer(a, 3u << 20, how == 1);
        /* Without a length or chunks the close is all there is to go by. */
        struct slice answer = slice_cstr(how < 2 ? text : arena_printf(a, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n%s", strstr(text, "\r\n\r\n") + 4));
        start(&o, NULL, NULL,
              (struct rig_script){slice_sub(answer, 0, answer.len - 1000), RIG_FIN, {0}},
              WHOLE_REQUEST);
        run(&o);
        assert_int_equal(o.status, 200);
        assert_false(o.is_whole);
        assert_null(o.client.sock);
        assert_int_equal(rig_ended(&o.rig, END_UPSTREAM_CUT, false), 1);
        stop(&o);
        arena_free(a);
    }
}

/* ---- metering when nobody reads ---- */

static void what_no_client_gets_has_no_ttft(void **state) {
    (void)state;
    struct one o;
    start(&o, "on_client_gone: {drain: {bytes: 1MB, time: 10s}}\n", NULL,
          (struct rig_script){SLICE(STREAM_HEAD CHUNK("{\"role\":\"assistant\"}", "null")), RIG_SILENCE, {0}}, STREAM_REQUEST);
    pass_time(NS_PER_S);
    rig_client_close(&o.client, false);
    pass_time(NS_PER_S);
    more(&o, CHUNK("{\"content\":\"a\"}", "null") CHUNK("{\"content\":\"a\"}", "\"stop\"") USAGE_CHUNK DONE);
    pass_time(NS_PER_S);
    const struct meter_provider *p = &o.rig.worker->meter->providers[0];
    assert_int_equal(p->ttft_ns.count, 0);
    assert_int_equal(p->itl_ns.count, 0);
    assert_int_equal(meter_get(&p->tokens_out), 2);
    assert_int_equal(rig_ended(&o.rig, END_CLIENT_GONE, true), 1);
    stop(&o);
}

/* ---- shutdown ---- */

static void stop_says_so_to_the_clients(void **state) {
    (void)state;
    struct one o;
    start(&o, NULL, NULL, (struct rig_script){SLICE(STREAM_HEAD CHUNK("{\"content\":\"a\"}", "null")), RIG_SILENCE, {0}}, STREAM_REQUEST);
    pass_time(NS_PER_S);
    worker_stop(o.rig.worker);
    run_until_stopped(&o);
    run(&o);
    assert_error_event_after(&o, CHUNK("{\"content\":\"a\"}", "null"), "shutting down");
    assert_int_equal(rig_ended(&o.rig, END_DRAIN, true), 1);
    assert_int_equal(rig_ended(&o.rig, END_CLIENT_GONE, true), 0);
    assert_int_equal(atomic_load(&o.rig.gateway->cut_streams), 1);
    stop(&o);
}

static void an_upstream_that_dawdles_is_no_cut_stream(void **state) {
    (void)state;
    struct one o;
    struct arena *a = arena_new();
    static const char body[] = CHUNK("{\"content\":\"a\"}", "\"stop\"") DONE;
    const char *answer = arena_printf(a, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n",
                                      sizeof body - 1, body);
    start(&o, NULL, NULL, (struct rig_script){slice_cstr(answer), RIG_SILENCE, {0}},
          STREAM_REQUEST);
    run(&o);
    assert_true(o.is_whole);
    assert_non_null(o.rig.worker->relays);
    worker_stop(o.rig.worker);
    run_until_stopped(&o);
    assert_int_equal(atomic_load(&o.rig.gateway->cut_streams), 0);
    stop(&o);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_comment_that_is_cut_does_not_swallow_the_error),
        cmocka_unit_test(half_a_frame_is_never_shown),
        cmocka_unit_test(a_byte_order_mark_before_a_comment_is_left_out),
        cmocka_unit_test(carriage_returns_are_the_same_at_every_split),
        cmocka_unit_test(the_other_choice_may_take_its_time),
        cmocka_unit_test(a_choice_that_never_came_is_missed),
        cmocka_unit_test(a_slow_reader_gets_the_end_too),
        cmocka_unit_test(a_client_that_leaves_its_last_bytes_is_gone),
        cmocka_unit_test(the_upstreams_error_event_is_the_last_word),
        cmocka_unit_test(a_refused_key_inside_a_stream_is_the_operators_fault),
        cmocka_unit_test(late_errors_come_as_events),
        cmocka_unit_test(a_whole_answer_to_a_stream_beats_while_it_comes),
        cmocka_unit_test(a_stream_that_begins_with_usage_begins),
        cmocka_unit_test(an_error_inside_a_200_keeps_its_words),
        cmocka_unit_test(an_error_too_large_to_say_is_still_an_error),
        cmocka_unit_test(advice_is_given_once),
        cmocka_unit_test(large_answers_pass_whole),
        cmocka_unit_test(a_large_answer_that_is_cut_is_aborted),
        cmocka_unit_test(what_no_client_gets_has_no_ttft),
        cmocka_unit_test(stop_says_so_to_the_clients),
        cmocka_unit_test(an_upstream_that_dawdles_is_no_cut_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
