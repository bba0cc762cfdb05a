/* SPDX-License-Identifier: Apache-2.0 */
/* The mock on the simulated loop: exact schedules, steps, faults on the wire, waiting for
 * events. */
#include "mock_world.h"

static const struct sim_options plain_sim = {.seed = 1};

static void open_with(struct law ttft, struct law itl, bool stamp) {
    struct mock_options o;
    mock_options_default(&o);
    o.ttft = ttft;
    o.itl = itl;
    o.stamp = stamp;
    world_open(&plain_sim, &o);
}

static void open_fast(void) {
    open_with(LAW_ZERO, LAW_ZERO, false);
}

static struct law ms(int64_t n) {
    return LAW_NS(n * NS_PER_MS);
}

/* ---- when ---- */

/* Token k at start + ttft + k × itl, never early, at most a slot late: also the thousandth. */
static void test_schedule_has_no_drift(void **state) {
    struct asker a;
    (void)state;
    open_with(ms(137), LAW_NS(7300 * NS_PER_US), true);
    asker_chat(&a, true, "m", "count t to 1000", "");
    asker_finish(&a);
    assert_int_equal(a.frames, 1000);
    int64_t begin_ns = a.stamps[0] - 137 * NS_PER_MS;
    assert_in_range(begin_ns - a.start_ns, 0, NS_PER_MS);
    for (unsigned k = 0; k < a.frames; k++) {
        int64_t late_ns =
            a.stamps[k] - (a.stamps[0] / WHEEL_SLOT_NS * WHEEL_SLOT_NS) - k * 7300 * NS_PER_US;
        assert_in_range(late_ns + WHEEL_SLOT_NS, 0, 3 * WHEEL_SLOT_NS);
    }
    assert_string_equal(a.finish, "stop");
    asker_dispose(&a);
    world_close();
}

static void test_lateness_is_reported(void **state) {
    struct asker a;
    struct mock_counters c;
    (void)state;
    open_with(ms(10), ms(20), false);
    asker_chat(&a, true, "m", "count t to 50", "");
    asker_finish(&a);
    mock_counters(mock, &c);
    assert_true(c.tokens == 50 || c.tokens == 100);      /* "tn7" is two tokens to some */
    assert_in_range(c.late_max_ns, 0, 2 * WHEEL_SLOT_NS);
    asker_dispose(&a);
    world_close();
}

/* Each token leaves on its own: none waits for the next one. */
static void test_tokens_arrive_one_by_one(void **state) {
    struct asker a;
    (void)state;
    open_with(ms(100), ms(20), false);
    asker_chat(&a, true, "m", "count t to 30", "");
    asker_finish(&a);
    for (unsigned k = 1; k < a.frames; k++) {
        assert_in_range(a.received[k] - a.received[k - 1], 19 * NS_PER_MS, 21 * NS_PER_MS);
    }
    asker_dispose(&a);
    world_close();
}

static void test_whole_answer_leaves_when_its_end_is_due(void **state) {
    struct asker a;
    (void)state;
    open_with(ms(100), ms(20), false);
    asker_chat(&a, false, "m", "count t to 10", "");
    asker_finish(&a);
    assert_int_equal(a.status, 200);
    assert_in_range(a.end_ns - a.start_ns, 300 * NS_PER_MS, 302 * NS_PER_MS);
    asker_dispose(&a);
    world_close();
}

static void test_knobs_of_a_request_come_by_metadata(void **state) {
    struct asker a;
    (void)state;
    open_with(ms(500), ms(500), false);
    asker_chat(&a, true, "m", "tell me a story",
               "\"metadata\":{\"ttft\":\"1s\",\"itl\":\"10ms\",\"tokens\":\"7\",\"stamp\":\"1\"},");
    asker_finish(&a);
    assert_int_equal(a.frames, 7);
    assert_string_equal(a.finish, "stop");
    assert_in_range(a.stamps[0] - a.start_ns, NS_PER_S, NS_PER_S + NS_PER_MS);
    assert_in_range(a.stamps[6] - a.stamps[0], 60 * NS_PER_MS - WHEEL_SLOT_NS,
                    60 * NS_PER_MS + WHEEL_SLOT_NS);
    asker_dispose(&a);
    world_close();
}

static void test_bad_knobs_are_refused(void **state) {
    static const char *const bad[] = {"\"metadata\":{\"ttft\":\"soon\"},", "\"metadata\":{\"itl\":\"-1\"},",
                                      "\"metadata\":{\"tokens\":\"many\"},", "\"metadata\":{\"fault\":\"none\"},"};
    struct asker a;
    (void)state;
    open_fast();
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        asker_chat(&a, true, "m", "hi", bad[i]);
        asker_finish(&a);
        assert_int_equal(a.status, 400);
        asker_dispose(&a);
    }
    world_close();
}

static void test_same_seed_same_times(void **state) {
    static int64_t first[ASKER_MAX_FRAMES];
    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        struct asker a;
        open_with((struct law){.mean_ns = 100 * NS_PER_MS, .spread = 0.5},
                  (struct law){.mean_ns = 20 * NS_PER_MS, .spread = 0.5}, true);
        asker_chat(&a, true, "m", "count t to 100", "");
        asker_finish(&a);
        int64_t spread = 0;
        for (unsigned k = 1; k < 100; k++) {
            int64_t gap = a.stamps[k] - a.stamps[k - 1];
            assert_in_range(gap, 10 * NS_PER_MS - WHEEL_SLOT_NS, 30 * NS_PER_MS + WHEEL_SLOT_NS);
            spread += gap != 20 * NS_PER_MS;
        }
        assert_true(spread > 50);
        if (round == 0) {
            memcpy(first, a.stamps, sizeof first);
        } else {
            assert_memory_equal(first, a.stamps, 100 * sizeof first[0]);
        }
        asker_dispose(&a);
        world_close();
    }
}

/* ---- how: slow clients, odd splits ---- */

static void check_whole_text(const struct asker *a, unsigned n) {
    struct buf want;
    buf_init(&want, 1 << 20);
    for (unsigned k = 1; k <= n; k++) {
        assert_int_equal(buf_appendf(&want, "%stn%u", k > 1 ? " " : "", k), 0);
    }
    assert_int_equal(a->text.len, want.len);
    assert_memory_equal(a->text.ptr, want.ptr, want.len);
    assert_true(a->is_complete && a->has_done);
    assert_string_equal(a->finish, "stop");
    buf_dispose(&want);
}

static void test_any_split_and_a_narrow_pipe(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        const struct sim_options sim = {.seed = seed,
                                        .socket_buffer_bytes = 700,
                                        .max_read_bytes = 1 + seed * 13,
                                        .max_write_bytes = 997,
                                        .shuffle_events = true};
        struct mock_options o;
        struct asker a;
        mock_options_default(&o);
        o.ttft = o.itl = LAW_ZERO;
        world_open(&sim, &o);
        asker_chat(&a, true, "m", "count t to 300", "");
        asker_finish(&a);
        check_whole_text(&a, 300);
        asker_dispose(&a);
        world_close();
    }
}

static bool has_some_frames(void *self) {
    return ((struct asker *)self)->frames > 10;
}

/* A client that stops reading stops the making of tokens, and its leaving is seen all the same. */
static void test_stalled_client_stops_an_endless_stream(void **state) {
    struct asker a;
    struct mock_counters before, after;
    (void)state;
    open_fast();
    asker_chat(&a, true, "m", "tell me a story", "\"metadata\":{\"tokens\":\"1000000000\"},");
    assert_true(sim_run(has_some_frames, &a, sim_now_ns() + MOCK_LONG_NS));
    http_call_pause(a.call);
    sim_run(NULL, NULL, sim_now_ns() + NS_PER_S);
    mock_counters(mock, &before);
    assert_true(before.tokens > 0 && before.tokens < 1000000);
    sim_run(NULL, NULL, sim_now_ns() + 10 * NS_PER_S);
    mock_counters(mock, &after);
    assert_int_equal(before.tokens, after.tokens);
    assert_int_equal(after.open, 1);
    http_call_cancel(&a.call);
    settle();
    mock_counters(mock, &after);
    assert_int_equal(after.open, 0);
    assert_int_equal(after.cancelled, 1);
    asker_dispose(&a);
    world_close();
}

/* ---- step by step ---- */

static void step(const char *n, const char *wanted) {
    struct asker s;
    char target[128];
    snprintf(target, sizeof target, "/penstock/step?key=k&n=%s&timeout_ms=1000", n);
    asker_send(&s, HTTP_METHOD_POST, target, "");
    asker_finish(&s);
    assert_int_equal(s.status, 200);
    assert_int_equal(buf_append_byte(&s.bytes, '\0'), 0);
    assert_string_equal(s.bytes.ptr, wanted);
    asker_dispose(&s);
}

static void check_steps(const char *extra) {
    struct asker a;
    open_with(ms(200), ms(20), false);
    asker_chat(&a, true, "m", "count t to 3", extra);
    sim_run(NULL, NULL, sim_now_ns() + NS_PER_S);
    assert_true(a.has_head);                    /* the opening frame waits for nothing */
    assert_int_equal(a.frames, 0);
    for (unsigned k = 1; k <= 3; k++) {
        char wanted[80];
        snprintf(wanted, sizeof wanted, "{\"key\":\"k\",\"written\":%u,\"ended\":false}\n", k);
        step("1", wanted);
        settle();
        assert_int_equal(a.frames, k);
        assert_false(a.is_over);
    }
    assert_string_equal(a.finish, "");
    step("1", "{\"key\":\"k\",\"written\":4,\"ended\":true}\n");
    settle();
    assert_true(a.is_over);
    check_whole_text(&a, 3);
    asker_dispose(&a);
    world_close();
}

static void test_step_by_step(void **state) {
    (void)state;
    check_steps("\"user\":\"step:k\",");
    check_steps("\"metadata\":{\"step\":\"k\"},");
}

static void test_step_all_and_several(void **state) {
    struct asker a;
    (void)state;
    open_fast();
    asker_chat(&a, true, "m", "count t to 200", "\"user\":\"step:k\",");
    settle();
    step("5", "{\"key\":\"k\",\"written\":5,\"ended\":false}\n");
    settle();
    assert_int_equal(a.frames, 5);
    struct asker s;
    asker_send(&s, HTTP_METHOD_POST, "/penstock/step?key=k&n=all", "");
    asker_finish(&s);
    assert_int_equal(s.status, 200);
    asker_finish(&a);
    check_whole_text(&a, 200);
    asker_dispose(&s);
    asker_dispose(&a);
    world_close();
}

/* A step may come before its stream; without one it is 404 in the end. */
static void test_step_waits_for_its_stream(void **state) {
    struct asker a, early, lonely;
    (void)state;
    open_fast();
    asker_send(&early, HTTP_METHOD_POST, "/penstock/step?key=k&n=2&timeout_ms=5000", "");
    sim_run(NULL, NULL, sim_now_ns() + NS_PER_S);
    assert_false(early.is_over);
    asker_chat(&a, true, "m", "count t to 3", "\"user\":\"step:k\",");
    asker_finish(&early);
    settle();
    assert_int_equal(early.status, 200);
    assert_int_equal(a.frames, 2);
    asker_send(&lonely, HTTP_METHOD_POST, "/penstock/step?key=nobody&timeout_ms=300", "");
    asker_finish(&lonely);
    assert_int_equal(lonely.status, 404);
    assert_in_range(lonely.end_ns - lonely.start_ns, 300 * NS_PER_MS, 310 * NS_PER_MS);
    asker_dispose(&early);
    asker_dispose(&lonely);
    asker_dispose(&a);
    world_close();
}

/* Several streams of one key go in step: a step is done when the last of them has made it. */
static void test_streams_of_one_key(void **state) {
    struct asker a[20];
    (void)state;
    open_fast();
    for (unsigned i = 0; i < 20; i++) {
        asker_chat(&a[i], true, "m", i == 7 ? "count t to 2" : "count t to 5", "\"user\":\"step:k\",");
    }
    settle();
    step("2", "{\"key\":\"k\",\"written\":2,\"ended\":false}\n");
    step("2", "{\"key\":\"k\",\"written\":4,\"ended\":false}\n");
    settle();
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(a[i].frames, i == 7 ? 2 : 4);
        assert_int_equal(a[i].is_over, i == 7);
    }
    step("2", "{\"key\":\"k\",\"written\":6,\"ended\":true}\n");
    settle();
    for (unsigned i = 0; i < 20; i++) {
        assert_true(a[i].is_over);
        asker_dispose(&a[i]);
    }
    asker_chat(&a[0], true, "m", "count t to 5", "\"user\":\"step:k\",");       /* a new gate */
    settle();
    assert_int_equal(a[0].frames, 0);
    asker_dispose(&a[0]);
    world_close();
}

static void test_step_mode_of_the_whole_mock(void **state) {
    struct mock_options o;
    struct asker a;
    (void)state;
    mock_options_default(&o);
    o.step = true;
    world_open(&plain_sim, &o);
    asker_chat(&a, true, "m", "count t to 2", "\"user\":\"k\",");
    sim_run(NULL, NULL, sim_now_ns() + NS_PER_S);
    assert_int_equal(a.frames, 0);
    step("1", "{\"key\":\"k\",\"written\":1,\"ended\":false}\n");
    settle();
    assert_int_equal(a.frames, 1);
    asker_dispose(&a);                          /* leaves: the key is free again */
    settle();
    asker_chat(&a, true, "m", "count t to 2", "\"user\":\"k\",");
    settle();
    step("1", "{\"key\":\"k\",\"written\":1,\"ended\":false}\n");
    asker_dispose(&a);
    world_close();
}

/* ---- waiting for what happens ---- */

static void test_wait_for_a_cancelled_stream(void **state) {
    struct asker a, w;
    (void)state;
    open_with(ms(10), ms(10), false);
    asker_chat(&a, true, "m", "tell me a story", "");
    sim_run(NULL, NULL, sim_now_ns() + 50 * NS_PER_MS);
    asker_send(&w, HTTP_METHOD_GET, "/penstock/wait?cancelled=1&timeout_ms=60000", "");
    sim_run(NULL, NULL, sim_now_ns() + NS_PER_S);
    assert_false(w.is_over);
    asker_dispose(&a);
    asker_finish(&w);
    assert_int_equal(w.status, 200);
    asker_dispose(&w);
    asker_send(&w, HTTP_METHOD_GET, "/penstock/wait?open_max=0", "");
    asker_finish(&w);
    assert_int_equal(w.status, 200);
    asker_dispose(&w);
    asker_send(&w, HTTP_METHOD_GET, "/penstock/wait?completed=1&timeout_ms=2000", "");
    asker_finish(&w);
    assert_int_equal(w.status, 504);
    assert_in_range(w.end_ns - w.start_ns, 2 * NS_PER_S, 2 * NS_PER_S + 10 * NS_PER_MS);
    asker_dispose(&w);
    asker_send(&w, HTTP_METHOD_GET, "/penstock/wait?sunshine=1", "");
    asker_finish(&w);
    assert_int_equal(w.status, 400);
    asker_dispose(&w);
    world_close();
}

/* Parked requests whose client leaves, or whose mock ends, leave nothing behind (ASan looks). */
static void test_parked_requests_may_be_abandoned(void **state) {
    struct asker w, s;
    (void)state;
    open_fast();
    asker_send(&w, HTTP_METHOD_GET, "/penstock/wait?cancelled=9&timeout_ms=60000", "");
    asker_send(&s, HTTP_METHOD_POST, "/penstock/step?key=x&timeout_ms=60000", "");
    settle();
    asker_dispose(&w);
    settle();
    asker_send(&w, HTTP_METHOD_GET, "/penstock/wait?cancelled=9&timeout_ms=60000", "");
    settle();
    asker_dispose(&w);
    asker_dispose(&s);
    world_close();
}

/* ---- faults ---- */

static void ask_for_fault(struct asker *a, bool stream, const char *name) {
    char model[64];
    snprintf(model, sizeof model, "fault/%s", name);
    asker_chat(a, stream, model, "count t to 10", "");
}

static void test_every_status(void **state) {
    static const char *const codes[] = {"400", "401", "403", "404", "408", "409", "413",
                                        "422", "429", "500", "502", "503", "504"};
    (void)state;
    open_fast();
    for (unsigned i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        for (unsigned stream = 0; stream < 2; stream++) {
            struct asker a;
            struct api_error er;
            struct arena *arena = arena_new();
            ask_for_fault(&a, stream, codes[i]);
            asker_finish(&a);
            assert_int_equal(a.status, atoi(codes[i]));
            dialect_chat.decode_error(a.status, buf_slice(&a.bytes), arena, &er);
            assert_true(er.message.len > 0 && er.type.len > 0 && er.raw.len > 0);
            arena_free(arena);
            asker_dispose(&a);
        }
    }
    world_close();
}

static void test_cut(void **state) {
    struct asker a;
    (void)state;
    open_fast();
    ask_for_fault(&a, true, "cut");
    asker_finish(&a);
    assert_true(a.has_failed && !a.is_complete);
    assert_int_equal(a.error.kind, ERR_CLOSED);
    assert_int_equal(a.frames, 3);
    asker_dispose(&a);
    ask_for_fault(&a, false, "cut");
    asker_finish(&a);
    assert_true(a.has_failed && a.status == 200 && a.bytes.len > 0);
    asker_dispose(&a);
    world_close();
}

static void test_fin(void **state) {
    struct asker a;
    (void)state;
    open_fast();
    ask_for_fault(&a, true, "fin");
    asker_finish(&a);
    assert_true(!a.has_failed && !a.is_complete && !a.has_done);
    assert_int_equal(a.frames, 3);
    assert_string_equal(a.finish, "");
    asker_dispose(&a);
    world_close();
}

static void test_stall(void **state) {
    struct asker a;
    struct mock_counters c;
    (void)state;
    open_fast();
    for (unsigned stream = 0; stream < 2; stream++) {
        ask_for_fault(&a, stream, "stall");
        sim_run(NULL, NULL, sim_now_ns() + 200 * NS_PER_S);
        assert_false(a.is_over);
        assert_int_equal(a.frames, stream ? 3 : 0);
        asker_dispose(&a);
        settle();
    }
    mock_counters(mock, &c);
    assert_int_equal(c.cancelled, 2);
    assert_int_equal(c.open, 0);
    world_close();
}

static void test_error_event(void **state) {
    struct asker a;
    (void)state;
    open_fast();
    ask_for_fault(&a, true, "error-event");
    asker_finish(&a);
    assert_int_equal(a.status, 200);
    assert_int_equal(a.frames, 3);
    assert_int_equal(a.error_events, 1);
    assert_false(a.has_failed || a.has_done);
    asker_dispose(&a);
    ask_for_fault(&a, false, "error-event");
    asker_finish(&a);
    assert_int_equal(a.status, 500);
    asker_dispose(&a);
    world_close();
}

static void test_slow_head(void **state) {
    struct asker a;
    (void)state;
    open_fast();
    ask_for_fault(&a, true, "slow-head");
    asker_finish(&a);
    assert_in_range(a.head_ns - a.start_ns, 10 * NS_PER_S, 10 * NS_PER_S + 10 * NS_PER_MS);
    check_whole_text(&a, 10);
    asker_dispose(&a);
    world_close();
}

static void test_no_done_and_malformed(void **state) {
    struct asker a;
    (void)state;
    open_fast();
    ask_for_fault(&a, true, "no-done");
    asker_finish(&a);
    assert_true(!a.has_failed && !a.has_done && a.is_complete);
    assert_int_equal(a.frames, 10);
    asker_dispose(&a);
    ask_for_fault(&a, true, "malformed");
    asker_finish(&a);
    assert_int_equal(a.broken_frames, 1);
    assert_int_equal(a.frames, 10);
    assert_true(a.has_done);
    asker_dispose(&a);
    world_close();
}

static void test_echo_masks_secrets(void **state) {
    struct asker a;
    (void)state;
    open_fast();
    asker_chat(&a, true, "fault/echo-headers", "count t to 10", "\"some_field\":1.50,");
    asker_finish(&a);
    assert_int_equal(buf_append_byte(&a.text, '\0'), 0);
    assert_non_null(strstr(a.text.ptr, "\"some_field\":1.50"));
    assert_non_null(strstr(a.text.ptr, "\"content-type\":\"application/json\""));
    asker_dispose(&a);
    world_close();
}

static void test_every_fault_is_described(void **state) {
    unsigned n = 0;
    (void)state;
    for (; mock_fault_name(n); n++) {
        assert_true(strlen(mock_fault_name(n)) > 0);
        assert_true(strlen(mock_fault_description(n)) > 10);
    }
    assert_true(n >= 40);
    assert_null(mock_fault_description(n));
}

/* ---- endpoints ---- */

static void check_get(const char *target, unsigned status, const char *part) {
    struct asker a;
    asker_send(&a, HTTP_METHOD_GET, target, "");
    asker_finish(&a);
    assert_int_equal(a.status, status);
    assert_int_equal(buf_append_byte(&a.bytes, '\0'), 0);
    if (!strstr(a.bytes.ptr, part)) {
        fail_msg("%s: no %s in %s", target, part, a.bytes.ptr);
    }
    asker_dispose(&a);
}

static void test_endpoints(void **state) {
    struct asker a;
    (void)state;
    open_fast();
    check_get("/v1/models", 200, "\"object\":\"list\"");
    check_get("/models", 200, "\"gpt-4o\"");
    check_get("/v1/models/any-name/with-slash", 200, "any-name/with-slash");
    check_get("/health", 200, "ok");
    check_get("/metrics", 200, "penstock_mock_streams_open 0");
    check_get("/nothing", 404, "unknown_url");
    check_get("/v1/chat/completions", 405, "method_not_supported");
    check_get("/penstock/journal", 200, "\"entries\":[");
    asker_send(&a, HTTP_METHOD_POST, "/chat/completions", "{\"model\":\"static\",\"messages\":[]}");
    asker_finish(&a);
    assert_true(a.status == 200 || a.status == 400);
    asker_dispose(&a);
    asker_send(&a, HTTP_METHOD_POST, "/v1/chat/completions", "{\"model\":\"m\",\"messages\":");
    asker_finish(&a);
    assert_int_equal(a.status, 400);
    asker_dispose(&a);
    world_close();
}

static void test_closed_list_of_models(void **state) {
    static const char *const models[] = {"one", "two"};
    struct mock_options o;
    struct asker a;
    (void)state;
    mock_options_default(&o);
    o.ttft = o.itl = LAW_ZERO;
    o.models = models;
    o.n_models = 2;
    world_open(&plain_sim, &o);
    check_get("/v1/models", 200, "\"two\"");
    check_get("/v1/models/three", 404, "model_not_found");
    asker_chat(&a, false, "three", "hi", "");
    asker_finish(&a);
    assert_int_equal(a.status, 404);
    asker_dispose(&a);
    asker_chat(&a, false, "two", "hi", "");
    asker_finish(&a);
    assert_int_equal(a.status, 200);
    asker_dispose(&a);
    world_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schedule_has_no_drift),
        cmocka_unit_test(test_lateness_is_reported),
        cmocka_unit_test(test_tokens_arrive_one_by_one),
        cmocka_unit_test(test_whole_answer_leaves_when_its_end_is_due),
        cmocka_unit_test(test_knobs_of_a_request_come_by_metadata),
        cmocka_unit_test(test_bad_knobs_are_refused),
        cmocka_unit_test(test_same_seed_same_times),
        cmocka_unit_test(test_any_split_and_a_narrow_pipe),
        cmocka_unit_test(test_stalled_client_stops_an_endless_stream),
        cmocka_unit_test(test_step_by_step),
        cmocka_unit_test(test_step_all_and_several),
        cmocka_unit_test(test_step_waits_for_its_stream),
        cmocka_unit_test(test_streams_of_one_key),
        cmocka_unit_test(test_step_mode_of_the_whole_mock),
        cmocka_unit_test(test_wait_for_a_cancelled_stream),
        cmocka_unit_test(test_parked_requests_may_be_abandoned),
        cmocka_unit_test(test_every_status),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_fin),
        cmocka_unit_test(test_stall),
        cmocka_unit_test(test_error_event),
        cmocka_unit_test(test_slow_head),
        cmocka_unit_test(test_no_done_and_malformed),
        cmocka_unit_test(test_echo_masks_secrets),
        cmocka_unit_test(test_every_fault_is_described),
        cmocka_unit_test(test_endpoints),
        cmocka_unit_test(test_closed_list_of_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
