/* SPDX-License-Identifier: Apache-2.0 */
/* Faults with their parameters: what is on the wire to the byte and to the nanosecond, who asks for
 * them, on which schedule they come. */
#include "fault_world.h"

static const char *body_of(struct asker *a) {
    assert_int_equal(buf_append_byte(&a->bytes, '\0'), 0);
    return a->bytes.ptr;
}

static void assert_has(struct asker *a, const char *part) {
    if (!strstr(body_of(a), part)) {
        fail_msg("%s: no %s in %s", a->target, part, a->bytes.ptr);
    }
}

static void ask_for(struct asker *a, const struct api *api, bool stream, const char *spec) {
    char model[128];
    snprintf(model, sizeof model, "fault/%s", spec);
    ask(a, api, stream, model);
}

static void finish_for(struct asker *a, const struct api *api, bool stream, const char *spec) {
    ask_for(a, api, stream, spec);
    asker_finish(a);
}

#define CHAT api_of_dialect(&dialect_chat)
#define MESSAGES api_of_dialect(&dialect_messages)
#define RESPONSES api_of_dialect(&dialect_responses)

static void open_paced(void) {
    struct mock_options o;
    mock_options_default(&o);
    o.ttft = LAW_NS(100 * NS_PER_MS);
    o.itl = LAW_NS(10 * NS_PER_MS);
    world_open(&plain_sim, &o);
}

/* ---- where it strikes ---- */

static unsigned pieces_of(const struct api *api) {
    struct asker a;
    ask(&a, api, true, "m");
    asker_finish(&a);
    unsigned n = a.frames;
    asker_dispose(&a);
    return n;
}

static void test_after_so_many_tokens(void **state) {
    (void)state;
    for (unsigned after = 0; after <= 16; after++) {
        for (unsigned k = 0; k < API_COUNT; k++) {
            struct asker a;
            char spec[64];
            open_fast();
            unsigned all = pieces_of(api_at(k));
            assert_in_range(all, 5, 15);
            snprintf(spec, sizeof spec, "fin:after=%u", after);
            finish_for(&a, api_at(k), true, spec);
            assert_false(a.has_failed || a.is_complete);
            assert_string_equal(a.finish, "");
            assert_int_equal(a.frames, after < all ? after : all);
            asker_dispose(&a);
            world_close();
        }
    }
}

/* An answer of fewer pieces is struck all the same, before its finish. */
static void test_short_answers_are_struck_before_their_finish(void **state) {
    static const char *const specs[] = {"cut:after=1000", "fin:after=1000", "error-event:after=1000",
                                        "cut:after=1000,how=fin", "tls-abort:after=1000"};
    (void)state;
    for (unsigned i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        for (unsigned k = 0; k < API_COUNT; k++) {
            struct asker a;
            open_fast();
            finish_for(&a, api_at(k), true, specs[i]);
            assert_int_equal(a.text.len, strlen(TEXT));
            assert_string_equal(a.finish, "");
            assert_true(a.has_failed || a.error_events || !a.is_complete);
            asker_dispose(&a);
            world_close();
        }
    }
}

static void test_how_it_ends(void **state) {
    static const char *const names[] = {"cut-event", "cut-string", "cut-utf8"};
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned stream = 0; stream < 2; stream++) {
            struct asker a;
            char spec[64];
            open_fast();
            snprintf(spec, sizeof spec, "%s:how=end", names[i]);
            finish_for(&a, CHAT, stream, spec);
            assert_false(a.has_failed);
            asker_dispose(&a);
            snprintf(spec, sizeof spec, "%s:how=fin,after=1", names[i]);
            finish_for(&a, CHAT, stream, spec);
            assert_true(a.has_failed);
            asker_dispose(&a);
            snprintf(spec, sizeof spec, "%s:how=rst,after=1", names[i]);
            finish_for(&a, CHAT, stream, spec);
            assert_true(a.has_failed);
            asker_dispose(&a);
            world_close();
        }
    }
}

static void test_cuts_are_where_they_say(void **state) {
    struct asker a;
    (void)state;
    open_fast();
    finish_for(&a, CHAT, true, "cut-string:after=0");
    struct slice got = buf_slice(&a.bytes);
    assert_true(got.len > 12 && memcmp(got.ptr + got.len - 11, "content\":\"h", 11) == 0);
    asker_dispose(&a);
    finish_for(&a, CHAT, true, "cut-utf8:after=0");
    got = buf_slice(&a.bytes);
    assert_int_equal((unsigned char)got.ptr[got.len - 1], 0xc3);
    asker_dispose(&a);
    finish_for(&a, CHAT, false, "cut-utf8");
    got = buf_slice(&a.bytes);
    assert_int_equal((unsigned char)got.ptr[got.len - 1], 0xc3);
    asker_dispose(&a);
    world_close();
}

/* ---- when ---- */

static void test_a_stall_goes_on(void **state) {
    struct asker a;
    (void)state;
    for (unsigned k = 0; k < API_COUNT; k++) {
        open_paced();
        finish_for(&a, api_at(k), true, "stall:after=3,for=2s");
        assert_int_equal(a.text.len, strlen(TEXT));
        assert_true(a.is_complete && a.broken_rules == 0);
        int64_t gap_ns = a.received[3] - a.received[2];
        assert_in_range(gap_ns, 2 * NS_PER_S, 2 * NS_PER_S + 20 * NS_PER_MS);
        asker_dispose(&a);
        finish_for(&a, api_at(k), false, "stall:for=2s");
        assert_int_equal(a.status, 200);
        assert_true(a.end_ns - a.start_ns > 2 * NS_PER_S && a.end_ns - a.start_ns < 3 * NS_PER_S);
        asker_dispose(&a);
        world_close();
    }
}

static void test_a_slow_head(void **state) {
    (void)state;
    for (unsigned stream = 0; stream < 2; stream++) {
        struct asker a;
        open_fast();
        finish_for(&a, CHAT, stream, "slow-head:for=3s");
        assert_in_range(a.head_ns - a.start_ns, 3 * NS_PER_S, 3 * NS_PER_S + 10 * NS_PER_MS);
        assert_true(a.end_ns - a.head_ns < 10 * NS_PER_MS);
        asker_dispose(&a);
        world_close();
    }
}

static void test_a_trickle(void **state) {
    (void)state;
    for (unsigned stream = 0; stream < 2; stream++) {
        struct asker a;
        open_fast();
        finish_for(&a, CHAT, stream, "trickle:bytes=50,every=20ms");
        int64_t writes = (int64_t)a.bytes.len / 50;
        assert_true(a.end_ns - a.start_ns > writes * 20 * NS_PER_MS);
        assert_true(a.end_ns - a.start_ns < (2 * writes + 40) * 20 * NS_PER_MS);
        asker_dispose(&a);
        world_close();
    }
}

static void test_false_streaming(void **state) {
    struct asker a;
    (void)state;
    open_paced();
    finish_for(&a, CHAT, true, "buffered");
    assert_true(a.frames > 10 && a.received[0] == a.received[a.frames - 1]);
    assert_true(a.received[0] - a.start_ns > 200 * NS_PER_MS);
    asker_dispose(&a);
    finish_for(&a, CHAT, true, "merge:n=4");
    assert_true(a.received[2] == a.received[1] && a.received[0] < a.received[a.frames - 1]);
    asker_dispose(&a);
    world_close();
}

/* ---- a stepped stream has its faults, too ---- */

static void test_a_stepped_stream_is_cut(void **state) {
    struct asker a, s;
    char body[2048];
    (void)state;
    open_fast();
    write_request(CHAT, true, "fault/cut:after=2", "\"user\":\"step:k\",", body);
    asker_send(&a, HTTP_METHOD_POST, "/v1/chat/completions", body);
    settle();
    assert_true(a.has_head && !a.is_over);
    asker_send(&s, HTTP_METHOD_POST, "/penstock/step?key=k&n=2", "");
    asker_finish(&s);
    settle();
    assert_int_equal(a.frames, 2);
    assert_false(a.is_over);
    asker_dispose(&s);
    asker_send(&s, HTTP_METHOD_POST, "/penstock/step?key=k&n=1", "");
    asker_finish(&a);
    assert_true(a.has_failed);
    asker_dispose(&s);
    asker_dispose(&a);
    world_close();
}

/* ---- errors in the provider's words ---- */

static void check_error(const struct api *api, const char *spec, unsigned status,
                        const char *part) {
    for (unsigned stream = 0; stream < 2; stream++) {
        struct asker a;
        finish_for(&a, api, stream, spec);
        if (a.status != status) {
            fail_msg("%s: %u is no %u", spec, a.status, status);
        }
        assert_has(&a, part);
        asker_dispose(&a);
    }
}

static void test_errors(void **state) {
    (void)state;
    open_fast();
    check_error(CHAT, "context-length:limit=8192,tokens=9001", 400,
                "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 "
                "tokens.");
    check_error(CHAT, "context-length", 400, "\"param\":\"messages\",\"code\":\"context_length_exceeded\"");
    check_error(RESPONSES, "context-length", 400, "\"param\":\"input\"");
    check_error(MESSAGES, "context-length:limit=200000,tokens=200001", 400,
                "prompt is too long: 200001 tokens > 200000 maximum");
    check_error(CHAT, "400:type=context", 400, "context_length_exceeded");
    check_error(CHAT, "400:type=policy", 400, "content_policy_violation");
    check_error(CHAT, "content-policy", 400, "content_policy_violation");
    check_error(CHAT, "400:type=missing", 400, "missing_required_parameter");
    check_error(CHAT, "401:type=none", 401, "You didn't provide an API key.");
    check_error(CHAT, "403:type=model", 403, "model `fault/403:type=model`");
    check_error(CHAT, "404", 404, "The model `fault/404` does not exist");
    check_error(CHAT, "429:type=quota", 429, "\"type\":\"insufficient_quota\"");
    check_error(CHAT, "quota", 429, "\"code\":\"insufficient_quota\"");
    check_error(MESSAGES, "quota", 402, "billing_error");
    check_error(CHAT, "429:type=tokens,retry=20s", 429, "try again in 20s");
    check_error(MESSAGES, "429:type=tokens", 429, "30,000 input tokens per minute");
    check_error(MESSAGES, "529", 529, "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"");
    check_error(CHAT, "502:body=html", 502, "<title>502 Bad Gateway</title>");
    check_error(CHAT, "504:body=text", 504, "Gateway Timeout\n");
    check_error(CHAT, "503:body=empty", 503, "");
    check_error(CHAT, "html-error:status=504", 504, "<h1>504 Gateway Timeout</h1>");
    check_error(CHAT, "empty-error:status=418", 418, "");
    check_error(CHAT, "error-200", 200, "\"error\":{");
    world_close();
}

/* ---- heads ---- */

static char head_text[8192];

static void keep_head(void *self, const struct http_answer *answer) {
    size_t len = 0;
    (void)self;
    for (unsigned i = 0; i < answer->headers.count; i++) {
        const struct http_header *h = &answer->headers.items[i];
        len += (size_t)snprintf(head_text + len, sizeof head_text - len, "%.*s: %.*s\n",
                                SLICE_FMT(h->name), SLICE_FMT(h->value));
    }
}

static bool head_over;

static void note_over(void *self) {
    (void)self;
    head_over = true;
}

static void note_fail(void *self, const struct err *e, bool any) {
    (void)e;
    (void)any;
    note_over(self);
}

static void ignore_bytes(void *self, struct slice bytes) {
    (void)self;
    (void)bytes;
}

static bool is_head_over(void *self) {
    (void)self;
    return head_over;
}

/* The answer's head, to a request with this x-penstock-fault (NULL: none). */
static const char *head_of(const struct api *api, bool stream, const char *model,
                           const char *header) {
    static const struct http_call_callbacks callbacks = {.on_head = keep_head,
                                                         .on_body = ignore_bytes,
                                                         .on_end = note_over,
                                                         .on_fail = note_fail};
    char body[2048], target[64];
    const struct http_header headers[] = {
        {SLICE("content-type"), SLICE("application/json")},
        {SLICE("x-penstock-fault"), slice_cstr(header)},
    };
    write_request(api, stream, model, "", body);
    snprintf(target, sizeof target, "/v1%s", api->path);
    struct slice text = slice_cstr(body);
    struct http_call_request rq = {.method = HTTP_METHOD_POST, .target = slice_cstr(target),
                                   .headers = headers, .n_headers = header ? 2 : 1,
                                   .body = &text, .n_body = 1};
    head_over = false;
    head_text[0] = '\0';
    http_call_start(pool, &rq, &callbacks, NULL);
    assert_true(sim_run(is_head_over, NULL, sim_now_ns() + MOCK_LONG_NS));
    return head_text;
}

static void assert_head(const char *head, const char *part) {
    if (!strstr(head, part)) {
        fail_msg("no %s in\n%s", part, head);
    }
}

static void test_rate_limit_headers(void **state) {
    (void)state;
    open_fast();
    const char *head = head_of(CHAT, true, "m", "429:retry=1500ms");
    assert_head(head, "retry-after: 2\n");
    assert_head(head, "retry-after-ms: 1500\n");
    assert_head(head, "x-ratelimit-limit-requests: 500\n");
    assert_head(head, "x-ratelimit-remaining-requests: 0\n");
    assert_head(head, "x-ratelimit-reset-requests: 1.5s\n");
    head = head_of(MESSAGES, true, "m", "429:type=tokens,retry=20s");
    assert_head(head, "retry-after: 20\n");
    assert_head(head, "anthropic-ratelimit-tokens-remaining: 100\n");
    head = head_of(CHAT, false, "m", "quota");
    assert_head(head, "x-should-retry: false\n");
    assert_null(strstr(head, "retry-after"));
    head = head_of(CHAT, false, "m", "429:retry=0");
    assert_null(strstr(head, "retry-after"));
    world_close();
}

/* The client's own wish is confirmed to it; a provider's fault is not told. */
static void test_who_is_told(void **state) {
    static const char *const scheduled[] = {"crlf"};
    (void)state;
    open_fast();
    assert_head(head_of(CHAT, true, "m", "crlf"), "x-penstock-fault: crlf\n");
    assert_head(head_of(CHAT, true, "fault/crlf", NULL), "x-penstock-fault: crlf\n");
    assert_head(head_of(CHAT, false, "m", "429"), "x-penstock-fault: 429\n");
    world_close();
    open_with_faults(scheduled, 1);
    assert_null(strstr(head_of(CHAT, true, "m", NULL), "x-penstock-fault"));
    world_close();
}

static void test_content_types(void **state) {
    (void)state;
    open_fast();
    assert_head(head_of(CHAT, true, "m", "wrong-type"), "content-type: text/plain; charset=utf-8\n");
    assert_head(head_of(CHAT, true, "m", "wrong-type:type=json"), "content-type: application/json\n");
    assert_null(strstr(head_of(CHAT, true, "m", "no-type"), "content-type"));
    assert_head(head_of(CHAT, true, "m", "html-error"), "content-type: text/html\n");
    assert_head(head_of(CHAT, true, "m", "gzip"), "content-encoding: gzip\n");
    assert_null(strstr(head_of(CHAT, true, "m", "gzip-unlabeled"), "content-encoding"));
    world_close();
}

/* ---- whose fault it is ---- */

static unsigned count_statuses(unsigned n, unsigned status, const char *model) {
    unsigned found = 0;
    for (unsigned i = 0; i < n; i++) {
        struct asker a;
        ask(&a, CHAT, false, model);
        asker_finish(&a);
        found += a.status == status;
        asker_dispose(&a);
    }
    return found;
}

static void test_a_rate_is_kept_and_repeats(void **state) {
    static const char *const specs[] = {"529:rate=20%"};
    unsigned first = 0;
    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        open_with_faults(specs, 1);
        unsigned n = count_statuses(300, 529, "m");
        assert_in_range(n, 35, 90);
        assert_true(round == 0 || n == first);
        first = n;
        world_close();
    }
}

static void test_a_schedule(void **state) {
    static const char *const specs[] = {"503:start=10s,duration=5s,period=60s"};
    (void)state;
    open_with_faults(specs, 1);
    for (unsigned second = 1; second < 150; second += 2) {
        bool is_due = second % 60 >= 10 && second % 60 < 15;
        sim_advance((int64_t)second * NS_PER_S + NS_PER_S - sim_now_ns() + NS_PER_MS);
        assert_int_equal(count_statuses(1, 503, "m"), is_due);
    }
    world_close();
}

static void test_a_count_models_and_paths(void **state) {
    static const char *const counted[] = {"500:count=3", "502:count=2"};
    static const char *const chosen[] = {"500:model=gpt-*", "502:path=*/responses"};
    struct asker a;
    (void)state;
    open_with_faults(counted, 2);
    assert_int_equal(count_statuses(4, 500, "m"), 3);
    assert_int_equal(count_statuses(3, 502, "m"), 1);
    assert_int_equal(count_statuses(3, 200, "m"), 3);
    world_close();
    open_with_faults(chosen, 2);
    assert_int_equal(count_statuses(2, 500, "gpt-4o"), 2);
    assert_int_equal(count_statuses(2, 200, "claude"), 2);
    ask(&a, RESPONSES, false, "m");
    asker_finish(&a);
    assert_int_equal(a.status, 502);
    asker_dispose(&a);
    world_close();
}

static void test_the_clients_own_goes_first(void **state) {
    static const char *const specs[] = {"500"};
    struct asker a;
    (void)state;
    open_with_faults(specs, 1);
    assert_int_equal(count_statuses(1, 500, "m"), 1);
    assert_int_equal(count_statuses(1, 404, "fault/404"), 1);
    finish_for(&a, CHAT, true, "crlf");
    assert_int_equal(a.status, 200);
    asker_dispose(&a);
    world_close();
}

static void configure(const char *body, unsigned status) {
    struct asker a;
    asker_send(&a, HTTP_METHOD_POST, "/penstock/config", body);
    asker_finish(&a);
    assert_int_equal(a.status, status);
    asker_dispose(&a);
}

static void test_changed_while_running(void **state) {
    (void)state;
    open_fast();
    assert_int_equal(count_statuses(1, 200, "m"), 1);
    configure("{\"fault\":[\"500:count=2\"]}", 200);
    assert_int_equal(count_statuses(1, 500, "m"), 1);
    configure("{\"seed\":3}", 400);
    configure("{\"tokens\":4}", 200);                     /* the count goes on */
    assert_int_equal(count_statuses(3, 500, "m"), 1);
    configure("{\"fault\":[\"501\"]}", 400);
    configure("{\"fault\":[]}", 200);
    assert_int_equal(count_statuses(2, 200, "m"), 2);
    world_close();
}

/* ---- other endpoints ---- */

static void test_other_endpoints(void **state) {
    static const char *const specs[] = {"500:path=/v1/models,count=1", "cut:path=*/embeddings,count=1"};
    static const char body[] = "{\"model\":\"e\",\"input\":\"hello\"}";
    struct asker a;
    (void)state;
    open_with_faults(specs, 2);
    asker_send(&a, HTTP_METHOD_GET, "/v1/models", "");
    asker_finish(&a);
    assert_int_equal(a.status, 500);
    asker_dispose(&a);
    asker_send(&a, HTTP_METHOD_POST, "/v1/embeddings", body);
    asker_finish(&a);
    assert_true(a.has_failed);
    asker_dispose(&a);
    asker_send(&a, HTTP_METHOD_POST, "/v1/embeddings", body);
    asker_finish(&a);
    assert_int_equal(a.status, 200);
    asker_dispose(&a);
    asker_send(&a, HTTP_METHOD_POST, "/v1/embeddings",
               "{\"model\":\"fault/stall:for=5s\",\"input\":\"hello\"}");
    asker_finish(&a);
    assert_int_equal(a.status, 200);
    assert_true(a.end_ns - a.start_ns >= 5 * NS_PER_S);
    asker_dispose(&a);
    asker_send(&a, HTTP_METHOD_POST, "/v1/moderations",
               "{\"model\":\"fault/stall\",\"input\":\"hello\"}");
    sim_advance(NS_PER_S);
    asker_dispose(&a);                   /* leaves; nothing leaks */
    settle();
    world_close();
}

/* ---- doors ---- */

static void check_door(const char *spec) {
    struct asker a;
    open_fast();
    finish_for(&a, CHAT, true, spec);
    assert_true(a.has_failed);
    asker_dispose(&a);
    settle();
    ask(&a, CHAT, true, "m");
    asker_finish(&a);
    assert_true(a.has_failed);
    assert_false(a.has_head);
    asker_dispose(&a);
    sim_advance(3 * NS_PER_S);
    ask(&a, CHAT, true, "m");
    asker_finish(&a);
    assert_int_equal(a.status, 200);
    asker_dispose(&a);
    world_close();
}

static void test_doors(void **state) {
    (void)state;
    check_door("refuse:for=2s");
    check_door("accept-reset:for=2s");
    check_door("tls-handshake:for=2s");
}

static void test_doors_stay_shut_until_the_end(void **state) {
    struct asker a;
    (void)state;
    open_fast();
    finish_for(&a, CHAT, true, "refuse:for=ever");
    asker_dispose(&a);
    settle();
    ask(&a, CHAT, true, "m");
    asker_finish(&a);
    assert_true(a.has_failed);
    asker_dispose(&a);
    world_close();
}

/* ---- what is kept of it ---- */

static void check_end(const char *spec, bool stream, const char *end) {
    struct asker a;
    char query[128], part[64];
    open_fast();
    finish_for(&a, CHAT, stream, spec);
    asker_dispose(&a);
    settle();
    snprintf(query, sizeof query, "/penstock/journal?fault=%s", spec);
    snprintf(part, sizeof part, "\"end\":\"%s\"", end);
    asker_send(&a, HTTP_METHOD_GET, query, "");
    asker_finish(&a);
    assert_has(&a, part);
    asker_dispose(&a);
    world_close();
}

static void test_the_journal_knows_how_it_ended(void **state) {
    (void)state;
    for (unsigned stream = 0; stream < 2; stream++) {
        check_end("cut", stream, "failed by fault");
        check_end("fin", stream, "failed by fault");
        check_end("crlf", stream, "completed");
        check_end("stall:for=1s", stream, "completed");
        check_end("reset", stream, "failed by fault");
    }
    check_end("buffered", true, "completed");
    check_end("cut-event", true, "failed by fault");
    check_end("error-event", true, "failed by fault");
}

static void test_the_journal_knows(void **state) {
    struct asker a;
    (void)state;
    open_fast();
    finish_for(&a, CHAT, true, "cut:after=2,how=fin");
    asker_dispose(&a);
    finish_for(&a, CHAT, true, "reset");
    asker_dispose(&a);
    settle();
    asker_send(&a, HTTP_METHOD_GET, "/penstock/journal", "");
    asker_finish(&a);
    assert_has(&a, "\"fault\":\"cut:after=2,how=fin\"");
    assert_has(&a, "\"fault\":\"reset\"");
    asker_dispose(&a);
    world_close();
}

/* ---- clients that leave ---- */

static void test_clients_leave_at_any_time(void **state) {
    (void)state;
    for (unsigned i = 0; i < fault_count; i++) {
        for (unsigned stream = 0; stream < 2; stream++) {
            for (unsigned ms = 0; ms < 240; ms += 60) {
                struct asker a;
                open_paced();
                ask_for(&a, api_at(i % API_COUNT), stream, fault_table[i].name);
                sim_advance(ms * NS_PER_MS + 1);
                if (ms % 120 == 0) {
                    asker_dispose(&a);
                    settle();
                    world_close();
                } else {                 /* the mock goes first */
                    mock_stop(&mock);
                    asker_dispose(&a);
                    settle();
                    world_close();
                }
            }
        }
    }
}

/* ---- calls ---- */

static void test_arguments_are_cut(void **state) {
    static const char body[] =
        "{\"model\":\"fault/cut-arguments\",\"stream\":%s,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
        "\"tool_choice\":\"required\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{"
        "\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}},\"required\":[\"city\"]}}}]}";
    (void)state;
    for (unsigned stream = 0; stream < 2; stream++) {
        struct asker a;
        char text[1024];
        open_fast();
        snprintf(text, sizeof text, body, stream ? "true" : "false");
        asker_send(&a, HTTP_METHOD_POST, "/v1/chat/completions", text);
        asker_finish(&a);
        assert_int_equal(a.status, 200);
        assert_has(&a, "tool_calls");
        if (!stream) {
            assert_null(strstr(a.bytes.ptr, "}\"}}"));
        } else {
            assert_null(strstr(a.bytes.ptr, "\\\"}\"}"));
        }
        asker_dispose(&a);
        world_close();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_after_so_many_tokens),
        cmocka_unit_test(test_short_answers_are_struck_before_their_finish),
        cmocka_unit_test(test_how_it_ends),
        cmocka_unit_test(test_cuts_are_where_they_say),
        cmocka_unit_test(test_a_stall_goes_on),
        cmocka_unit_test(test_a_slow_head),
        cmocka_unit_test(test_a_trickle),
        cmocka_unit_test(test_false_streaming),
        cmocka_unit_test(test_a_stepped_stream_is_cut),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_rate_limit_headers),
        cmocka_unit_test(test_who_is_told),
        cmocka_unit_test(test_content_types),
        cmocka_unit_test(test_a_rate_is_kept_and_repeats),
        cmocka_unit_test(test_a_schedule),
        cmocka_unit_test(test_a_count_models_and_paths),
        cmocka_unit_test(test_the_clients_own_goes_first),
        cmocka_unit_test(test_changed_while_running),
        cmocka_unit_test(test_other_endpoints),
        cmocka_unit_test(test_doors),
        cmocka_unit_test(test_doors_stay_shut_until_the_end),
        cmocka_unit_test(test_the_journal_knows),
        cmocka_unit_test(test_the_journal_knows_how_it_ended),
        cmocka_unit_test(test_clients_leave_at_any_time),
        cmocka_unit_test(test_arguments_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
