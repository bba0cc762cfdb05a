/* SPDX-License-Identifier: Apache-2.0 */
/* When the mock answers: schedules, load, the engine, the prefix cache, clocks. No tolerances but
 * that of the loop's timers, where the loop's timers are what is looked at. */
#include "mock_world.h"

#include "mock/mock_clock.h"
#include "mock/schedule.h"
#include "mock/serial.h"
#include "mock/settings.h"

static const struct sim_options plain_sim = {.seed = 1};
static struct arena *arena;

#define MS NS_PER_MS
#define BEGIN NS_PER_S        /* where clocks of our own begin */

static struct law law_of(const char *text) {
    const struct law_scope scope = {.arena = arena};
    struct law l;
    struct err e;
    assert_int_equal(law_parse(slice_cstr(text), &scope, &l, &e), 0);
    return l;
}

/* "itl=20ms burst=4": through the table, as a user would. */
static struct mock_options options_of(const char *settings) {
    const struct law_scope scope = {.arena = arena};
    struct mock_options o;
    struct err e;
    char copy[512], *rest = NULL;
    mock_options_default(&o);
    snprintf(copy, sizeof copy, "%s", settings);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        char *value = strchr(word, '=');
        assert_non_null(value);
        *value++ = '\0';
        if (mock_setting_store(mock_setting_find(slice_cstr(word)), slice_cstr(value), &o, &scope,
                               &e) < 0) {
            fail_msg("%s %s: %s", word, value, e.text);
        }
    }
    o.stamp = true;
    return o;
}

static void open_as(const char *settings) {
    struct mock_options o;
    arena = arena ? arena : arena_new();
    o = options_of(settings);
    world_open(&plain_sim, &o);
}

static void close_world(void) {
    world_close();
    arena_free(arena);
    arena = NULL;
}

static void ask(struct asker *a, bool stream, const char *user, const char *extra) {
    asker_chat(a, stream, "m", user, extra);
}

static char *text_of(struct asker *a) {
    assert_int_equal(buf_append_byte(&a->bytes, '\0'), 0);
    return a->bytes.ptr;
}

static void expect_text(struct asker *a, const char *part) {
    if (!strstr(text_of(a), part)) {
        fail_msg("no %s in %s", part, a->bytes.ptr);
    }
}

static void get(struct asker *a, enum http_method method, const char *target, unsigned status) {
    asker_send(a, method, target, "");
    asker_finish(a);
    if (a->status != status) {
        fail_msg("%s: %u: %s", target, a->status, text_of(a));
    }
}

/* ---- schedules ---- */

/* The dues that a law gives, by the book: drawn here, without the mock. */
static void expect_schedule(const struct asker *a, const char *ttft, const char *itl,
                            int64_t start_ns, uint64_t seed, uint64_t nth) {
    struct law first = law_of(ttft), then = law_of(itl);
    const struct schedule_plan p = {.ttft = first, .itl = then, .seed = seed,
                                    .serial = serial_of(slice_cstr(a->target), a->body, nth)};
    struct schedule s = {.due_ns = 0};
    assert_true(schedule_start(&s, &p, start_ns));
    for (unsigned k = 0; k < a->frames; k++) {
        if (a->dues[k] != s.due_ns) {
            fail_msg("%s, %s: frame %u due %lld, not %lld", ttft, itl, k, (long long)a->dues[k],
                     (long long)s.due_ns);
        }
        schedule_next(&s, NULL);
    }
    schedule_stop(&s, 0);
}

static const char *const laws[] = {
    "20ms", "20ms:50%", "uniform(5ms,30ms)", "normal(20ms,5ms)", "lognormal(20ms,0.5)", "gamma(4,5ms)",
    "exponential(20ms)", "pareto(10ms,2.5)", "mixture(9:20ms,1:lognormal(200ms,0.5))", "12345ns"};

/* On the mock's own clock a frame leaves at the very nanosecond that its law gave it. */
static void test_every_law_to_the_nanosecond(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof laws / sizeof laws[0]; i++) {
        for (uint64_t seed = 0; seed < 3; seed++) {
            struct asker a;
            char settings[256];
            snprintf(settings, sizeof settings, "clock=virtual seed=%u ttft=lognormal(300ms,0.4) itl=%s",
                     (unsigned)seed, laws[i]);
            open_as(settings);
            ask(&a, true, "count t to 60", "");
            asker_finish(&a);
            assert_int_equal(a.frames, 60);
            expect_schedule(&a, "lognormal(300ms,0.4)", laws[i], BEGIN, seed, 0);
            assert_memory_equal(a.stamps, a.dues, 60 * sizeof a.dues[0]);
            asker_dispose(&a);
            close_world();
        }
    }
}

/* On the machine's clock: due to the nanosecond, and out within a slot of the wheel. */
static void test_every_law_on_the_loop(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof laws / sizeof laws[0]; i++) {
        struct asker a;
        char settings[256];
        snprintf(settings, sizeof settings, "seed=5 ttft=250ms itl=%s", laws[i]);
        open_as(settings);
        ask(&a, true, "count t to 60", "");
        asker_finish(&a);
        int64_t start_ns = a.dues[0] - 250 * MS;
        assert_in_range(start_ns - a.start_ns, 0, MS);
        expect_schedule(&a, "250ms", laws[i], start_ns, 5, 0);
        for (unsigned k = 0; k < a.frames; k++) {
            assert_in_range(a.stamps[k] - a.dues[k], 0, WHEEL_SLOT_NS);
        }
        asker_dispose(&a);
        close_world();
    }
}

static void test_speed_burst_and_prefill(void **state) {
    struct asker a, b, c;
    (void)state;
    open_as("clock=virtual ttft=100ms tps=50 burst=4");
    ask(&a, true, "tell me a story", "\"metadata\":{\"tokens\":\"40\"},");
    asker_finish(&a);
    assert_in_range(a.frames, 10, 12);                    /* of four tokens each, fewer at ends */
    for (unsigned k = 0; k < a.frames; k++) {
        assert_true(a.dues[k] == BEGIN + 100 * MS + k * 80 * MS);
    }
    /* a request has its own: bursts of one again, and slower */
    ask(&b, true, "count t to 10", "\"metadata\":{\"burst\":\"1\",\"tps\":\"10\",\"ttft\":\"1s\"},");
    asker_finish(&b);
    assert_int_equal(b.frames, 10);
    assert_true(b.dues[9] - b.dues[0] == 9 * 100 * MS);
    /* each token of the prompt costs */
    int64_t now = b.stamps[9] + 100 * MS;                 /* the end of b's stream */
    ask(&c, true, "count t to 3", "\"metadata\":{\"prefill\":\"1ms\",\"ttft\":\"0\",\"itl\":\"5ms\"},");
    asker_finish(&c);
    int64_t prefill_ns = c.dues[0] - now;
    assert_true(prefill_ns % MS == 0 && prefill_ns >= 10 * MS && prefill_ns < 30 * MS);
    assert_true(c.dues[2] - c.dues[0] == 10 * MS);
    asker_dispose(&a);
    asker_dispose(&b);
    asker_dispose(&c);
    close_world();
}

/* Of 400 tokens, with the whole stream's bytes. */
static unsigned stream_400(struct asker *a, const char *metadata) {
    char extra[200];
    snprintf(extra, sizeof extra, "\"metadata\":{\"tokens\":\"400\"%s},", metadata);
    ask(a, true, "tell me a story", extra);
    asker_finish(a);
    return a->frames;
}

/* How many tokens a chunk has is drawn, too: the same for the same request, at the same speed in
 * the mean. */
static void test_a_law_of_bursts(void **state) {
    struct asker first, again, other, b;
    (void)state;
    open_as("clock=virtual ttft=100ms tps=50 burst=1-4");
    unsigned frames = stream_400(&first, "");
    assert_in_range(frames, 140, 180);                    /* 160 in the mean */
    for (unsigned k = 0; k < frames; k++) {
        assert_true(first.dues[k] == BEGIN + 100 * MS + k * 50 * MS);    /* 2.5 tokens at 50 */
    }
    assert_int_equal(stream_400(&again, ""), frames);
    assert_int_not_equal(stream_400(&other, ",\"burst\":\"speculative(4, 70%)\""), frames);
    assert_true(other.dues[1] - other.dues[0] > 55 * MS); /* 2.7731 tokens at 50 */
    asker_send(&b, HTTP_METHOD_POST, "/penstock/config", "{\"burst\": \"mixture(9:1, 1:8-16)\"}");
    asker_finish(&b);
    expect_text(&b, "\"burst\":\"mixture(9:1, 1:8-16)\"");
    asker_dispose(&b);
    asker_send(&b, HTTP_METHOD_POST, "/penstock/config", "{\"burst\": 8}");
    asker_finish(&b);
    expect_text(&b, "\"burst\":8,");
    asker_dispose(&b);
    assert_in_range(stream_400(&b, ""), 50, 60);          /* fewer at ends of blocks */
    asker_dispose(&b);
    asker_dispose(&first);
    asker_dispose(&again);
    asker_dispose(&other);
    close_world();
}

static void test_bad_times_are_refused(void **state) {
    static const char *const bad[] = {"tps\":\"0", "tps\":\"fast", "burst\":\"0", "burst\":\"65", "prefill\":\"x",
                                      "ttft\":\"empirical(/etc/passwd)", "itl\":\"gauss(1,2)"};
    struct asker a;
    (void)state;
    open_as("clock=virtual");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char extra[128];
        snprintf(extra, sizeof extra, "\"metadata\":{\"%s\"},", bad[i]);
        ask(&a, true, "hi", extra);
        asker_finish(&a);
        assert_int_equal(a.status, 400);
        asker_dispose(&a);
    }
    close_world();
}

/* A whole answer takes as long as its stream. */
static void test_whole_answers_take_as_long(void **state) {
    struct asker a;
    (void)state;
    open_as("clock=virtual ttft=100ms itl=20ms");
    ask(&a, false, "count t to 10", "");
    asker_finish(&a);
    asker_dispose(&a);
    get(&a, HTTP_METHOD_GET, "/penstock/clock", 200);
    expect_text(&a, "\"elapsed_ns\":300000000");
    asker_dispose(&a);
    close_world();
}

static void post(const char *target, const char *body, unsigned status) {
    struct asker c;
    asker_send(&c, HTTP_METHOD_POST, target, body);
    asker_finish(&c);
    if (c.status != status) {
        fail_msg("%s: %u: %s", body, c.status, text_of(&c));
    }
    asker_dispose(&c);
}

/* A scenario's times: over the provider's, under the request's; pauses come on top. */
static void test_scripted_times(void **state) {
    static const char say[] = "{\"respond\":{\"blocks\":[{\"text\":[\"one \",\"two \"]},{\"pause\":\"1s\"},"
                              "{\"text\":[\"three \",\"four\"]}],\"ttft\":\"3ms\",\"itl\":\"7ms\"}}";
    static const int64_t wanted_ms[] = {3, 10, 1017, 1024};
    struct asker a, b;
    (void)state;
    open_as("clock=virtual ttft=200ms itl=20ms max_batch=1");
    post("/penstock/scenarios", say, 200);
    ask(&a, true, "hi", "");
    asker_finish(&a);
    assert_int_equal(a.frames, 4);
    for (unsigned k = 0; k < 4; k++) {
        assert_true(a.dues[k] == BEGIN + wanted_ms[k] * MS);
    }
    int64_t now_ns = a.dues[3] + 7 * MS;
    post("/penstock/scenarios", say, 200);
    ask(&b, true, "hi", "\"metadata\":{\"itl\":\"1ms\"},");
    asker_finish(&b);
    assert_true(b.dues[0] == now_ns + 3 * MS && b.dues[1] == now_ns + 4 * MS);
    assert_true(b.dues[2] == now_ns + 1005 * MS);
    asker_dispose(&a);
    asker_dispose(&b);
    close_world();
}

static void test_times_change_while_it_runs(void **state) {
    struct asker a, b, c;
    (void)state;
    open_as("clock=manual ttft=10ms itl=10ms");
    ask(&a, true, "count t to 3", "");
    settle();
    post("/penstock/config", "{\"ttft\":\"5ms\",\"itl\":\"gamma(4, 5ms)\"}", 200);
    ask(&b, true, "count t to 3", "");
    settle();
    post("/penstock/config", "{\"profile\":\"llama-3.1-8b@a100\",\"max_batch\":2}", 200);
    get(&c, HTTP_METHOD_GET, "/penstock/config", 200);
    expect_text(&c, "\"itl\":\"gamma(4, 5ms)\"");
    expect_text(&c, "\"prefill\":\"100us\"");
    expect_text(&c, "\"max_batch\":2");
    asker_dispose(&c);
    post("/penstock/config", "{\"profile\":\"nobody\"}", 400);
    post("/penstock/config", "{\"itl\":\"empirical(/etc/passwd)\"}", 400);
    post("/penstock/clock?advance=1h", "", 200);
    asker_finish(&a);
    asker_finish(&b);
    for (unsigned k = 0; k < 3; k++) {
        assert_true(a.dues[k] == BEGIN + 10 * MS + k * 10 * MS);
    }
    expect_schedule(&b, "5ms", "gamma(4, 5ms)", BEGIN, 0, 1);
    asker_dispose(&a);
    asker_dispose(&b);
    close_world();
}

/* ---- clients side by side ---- */

#define SIDE 6

/* What a set of different requests gets, sent in one order or the other at one instant. */
static void ask_side_by_side(struct asker a[SIDE], bool is_reversed) {
    for (unsigned k = 0; k < SIDE; k++) {
        unsigned i = is_reversed ? SIDE - 1 - k : k;
        char words[40];
        snprintf(words, sizeof words, "count t to %u", 5 + i / 2);        /* two of each */
        ask(&a[i], true, words, i == 0 ? "\"logprobs\":true," : "");
    }
    settle();
    post("/penstock/clock?advance=1h", "", 200);
    for (unsigned i = 0; i < SIDE; i++) {
        asker_finish(&a[i]);
    }
}

/* Ids, texts and times come from the seed, the request, and how many of the same were before. */
static void test_the_order_of_arrival_changes_nothing(void **state) {
    struct asker a[SIDE], b[SIDE];
    (void)state;
    open_as("clock=manual seed=3 ttft=lognormal(300ms,0.4) itl=gamma(4,5ms) burst=1-3");
    ask_side_by_side(a, false);
    close_world();
    open_as("clock=manual seed=3 ttft=lognormal(300ms,0.4) itl=gamma(4,5ms) burst=1-3");
    ask_side_by_side(b, true);
    close_world();
    for (unsigned i = 0; i < SIDE; i++) {
        bool is_alone = i < 2;       /* the others have an equal, which may have come first */
        unsigned other = is_alone ? i : i ^ 1;
        assert_true(slice_eq(buf_slice(&a[i].bytes), buf_slice(&b[other].bytes)));
        for (unsigned k = 0; k < i; k++) {
            assert_false(slice_eq(buf_slice(&a[i].bytes), buf_slice(&a[k].bytes)));
        }
    }
    for (unsigned i = 0; i < SIDE; i++) {
        asker_dispose(&a[i]);
        asker_dispose(&b[i]);
    }
}

/* A door that is shut opens when the clock has been moved so far. */
static void test_doors_follow_the_manual_clock(void **state) {
    static const char *const doors[] = {"refuse", "accept-reset", "tls-handshake"};
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct asker held, a;
        char body[200];
        open_as("clock=manual");
        /* a connection that stays open moves the clock */
        get(&held, HTTP_METHOD_GET, "/penstock/clock", 200);
        asker_dispose(&held);
        asker_send(&held, HTTP_METHOD_GET, "/penstock/wait?requests=99&timeout_ms=60000", "");
        settle();
        snprintf(body, sizeof body, "\"metadata\":{\"fault\":\"%s:for=5s\"},", doors[i]);
        ask(&a, true, "hi", body);
        asker_finish(&a);
        assert_true(a.has_failed);
        asker_dispose(&a);
        sim_advance(30 * NS_PER_S);                     /* real time opens nothing */
        ask(&a, false, "hi", "");
        asker_finish(&a);
        assert_true(a.has_failed);
        asker_dispose(&a);
        asker_finish(&held);                             /* its connection is free again */
        asker_dispose(&held);
        post("/penstock/clock?advance=6s", "", 200);
        ask(&a, false, "hi", "\"metadata\":{\"ttft\":\"0\",\"itl\":\"0\"},");
        asker_finish(&a);
        assert_int_equal(a.status, 200);
        asker_dispose(&a);
        close_world();
    }
}

/* ---- load ---- */

static void test_slowdown(void **state) {
    struct asker a[3];
    (void)state;
    open_as("clock=manual ttft=100ms itl=10ms slowdown=0.5");
    for (unsigned i = 0; i < 3; i++) {
        ask(&a[i], true, "count t to 3", "");
        settle();
    }
    struct asker c;
    get(&c, HTTP_METHOD_POST, "/penstock/clock?advance=10s", 200);
    asker_dispose(&c);
    for (unsigned i = 0; i < 3; i++) {
        asker_finish(&a[i]);
        /* as it came, so many were there: 1, 1.5, 2 times */
        assert_true(a[i].dues[0] == BEGIN + 100 * MS + i * 50 * MS);
    }
    /* the first one's gaps: three were under way */
    assert_true(a[0].dues[1] - a[0].dues[0] == 20 * MS);
    /* the last one's, when the others have ended */
    assert_true(a[2].dues[2] - a[2].dues[1] < 20 * MS);
    for (unsigned i = 0; i < 3; i++) {
        asker_dispose(&a[i]);
    }
    close_world();
}

static void test_engine_batches_and_queues(void **state) {
    struct asker a[3], s;
    (void)state;
    open_as("clock=manual ttft=9s itl=10ms max_batch=2 queue=1 batch_cost=1ms");
    for (unsigned i = 0; i < 3; i++) {
        ask(&a[i], true, "count t to 4", "");
        settle();
    }
    ask(&s, true, "count t to 4", "");
    asker_finish(&s);
    assert_int_equal(s.status, 429);
    expect_text(&s, "rate_limit_exceeded");
    asker_dispose(&s);
    get(&s, HTTP_METHOD_POST, "/penstock/clock?advance=10s", 200);
    asker_dispose(&s);
    /* a step alone 11 ms, for two 12 ms; each has five chunks, its end among them. a0: 11, 23, 35,
     * 47, (59); a1 is admitted at 11: 23, 35, 47, 59, (71: both a1 and a2); a2 from 59 on */
    static const int64_t wanted_ms[3][4] = {{11, 23, 35, 47}, {23, 35, 47, 59}, {71, 82, 93, 104}};
    for (unsigned i = 0; i < 3; i++) {
        asker_finish(&a[i]);
        assert_int_equal(a[i].frames, 4);
        for (unsigned k = 0; k < 4; k++) {
            assert_true(a[i].dues[k] == BEGIN + wanted_ms[i][k] * MS);
            assert_true(a[i].stamps[k] == a[i].dues[k]);
        }
        asker_dispose(&a[i]);
    }
    get(&s, HTTP_METHOD_GET, "/penstock/self", 200);
    expect_text(&s, "\"engine\":{\"running\":0,\"queued\":0,\"most_running\":2");
    expect_text(&s, "\"refused\":1");
    asker_dispose(&s);
    get(&s, HTTP_METHOD_GET, "/metrics", 200);
    expect_text(&s, "penstock_mock_engine_refused_total 1\n");
    asker_dispose(&s);
    close_world();
}

/* Whole answers sit in the same batch; who leaves while it waits is gone; who says its own times is
 * beside the engine. */
static void test_engine_and_others(void **state) {
    struct asker a, b, c, own, s;
    (void)state;
    open_as("clock=manual itl=10ms max_batch=1 queue=5");
    ask(&a, false, "count t to 4", "");
    settle();
    ask(&b, true, "count t to 4", "");
    settle();
    ask(&c, true, "count t to 4", "");
    settle();
    ask(&own, true, "count t to 2", "\"metadata\":{\"ttft\":\"3ms\",\"itl\":\"1ms\"},");
    settle();
    asker_dispose(&b);
    settle();
    get(&s, HTTP_METHOD_POST, "/penstock/clock?advance=49ms", 200);
    asker_dispose(&s);
    settle();
    assert_false(a.is_over);
    assert_true(own.is_over && own.dues[0] == BEGIN + 3 * MS);
    get(&s, HTTP_METHOD_POST, "/penstock/clock?advance=1ms", 200);
    asker_dispose(&s);
    settle();
    assert_true(a.is_over && a.status == 200);
    get(&s, HTTP_METHOD_POST, "/penstock/clock?advance=1s", 200);
    asker_dispose(&s);
    asker_finish(&c);
    assert_true(c.dues[0] == BEGIN + 60 * MS);
    asker_dispose(&a);
    asker_dispose(&c);
    asker_dispose(&own);
    close_world();
}

/* The engine does not count so far: who waits for the seat gets it when the last chunk has left,
 * and in the middle nobody is let in. */
static void test_engine_with_a_very_long_answer(void **state) {
    struct asker a, b;
    (void)state;
    open_as("clock=virtual itl=10us max_batch=1");
    ask(&a, true, "hi", "\"metadata\":{\"tokens\":\"33000\"},");
    ask(&b, true, "count t to 4", "");
    asker_finish(&a);
    asker_finish(&b);
    assert_int_equal(a.tokens_out, -1);                 /* nobody asked for usage */
    assert_string_equal(a.finish, "stop");
    assert_int_equal(b.frames, 4);
    assert_in_range(b.dues[0] - BEGIN, 33000 * 10000, 33010 * 10000);
    assert_true(b.dues[3] - b.dues[0] == 3 * 10000);
    asker_dispose(&a);
    asker_dispose(&b);
    close_world();
}

static void test_full_may_be_503(void **state) {
    struct asker a, b;
    (void)state;
    open_as("clock=manual max_batch=1 queue=0 on_full=503");
    ask(&a, true, "count t to 4", "");
    settle();
    ask(&b, false, "count t to 4", "");
    asker_finish(&b);
    assert_int_equal(b.status, 503);
    expect_text(&b, "overloaded");
    asker_dispose(&a);
    asker_dispose(&b);
    settle();
    ask(&a, true, "count t to 4", "");               /* there is room again */
    settle();
    assert_int_equal(a.status, 0);
    asker_dispose(&a);
    close_world();
}

/* On the loop's own clock the engine keeps its steps, too. */
static void test_engine_on_the_loop(void **state) {
    struct asker a, b;
    (void)state;
    open_as("itl=10ms max_batch=1 queue=5");
    ask(&a, true, "count t to 50", "");
    ask(&b, true, "count t to 50", "");
    asker_finish(&b);
    assert_true(a.is_over);
    for (unsigned k = 1; k < 50; k++) {
        assert_true(a.dues[k] - a.dues[k - 1] == 10 * MS && b.dues[k] - b.dues[k - 1] == 10 * MS);
        assert_in_range(a.stamps[k] - a.dues[k], 0, WHEEL_SLOT_NS);
        assert_in_range(b.stamps[k] - b.dues[k], 0, WHEEL_SLOT_NS);
    }
    assert_true(b.dues[0] == a.dues[49] + 20 * MS);       /* a's end takes a step */
    asker_dispose(&a);
    asker_dispose(&b);
    close_world();
}

/* ---- the prefix cache ---- */

static int64_t elapsed_ns(void) {
    struct asker c;
    long long ns = 0;
    get(&c, HTTP_METHOD_GET, "/penstock/clock", 200);
    const char *at = strstr(text_of(&c), "\"elapsed_ns\":");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "\"elapsed_ns\":%lld", &ns), 1);
    asker_dispose(&c);
    return ns;
}

static int64_t ask_long(struct asker *a, const char *tail) {
    char body[4096];
    int64_t before = elapsed_ns();
    int at = snprintf(body, sizeof body, "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"");
    for (unsigned i = 0; i < 300; i++) {
        at += snprintf(body + at, sizeof body - (size_t)at, "word%u ", i % 10);
    }
    snprintf(body + at, sizeof body - (size_t)at, "\"},{\"role\":\"user\",\"content\":\"count t to 2 %s\"}]}", tail);
    asker_send(a, HTTP_METHOD_POST, "/v1/chat/completions", body);
    asker_finish(a);
    assert_int_equal(a->status, 200);
    return elapsed_ns() - before;
}

static int64_t number_after(struct asker *a, const char *name) {
    long long n = -1;
    const char *at = strstr(text_of(a), name);
    assert_non_null(at);
    assert_int_equal(sscanf(at + strlen(name), "%lld", &n), 1);
    return n;
}

static void test_prefix_cache_shortens_the_wait(void **state) {
    struct asker a, b, off;
    (void)state;
    open_as("clock=virtual ttft=0 itl=0 prefill=1ms prefix_cache=100000");
    int64_t first_ns = ask_long(&a, "");
    int64_t prompt = number_after(&a, "\"prompt_tokens\":");
    assert_int_equal(number_after(&a, "\"cached_tokens\":"), 0);
    assert_true(first_ns == prompt * MS);
    int64_t second_ns = ask_long(&b, "");
    int64_t cached = number_after(&b, "\"cached_tokens\":");
    assert_true(cached >= 256 && cached % 128 == 0 && cached < prompt);
    assert_true(second_ns == (prompt - cached) * MS);
    asker_dispose(&a);
    asker_dispose(&b);
    get(&a, HTTP_METHOD_GET, "/penstock/self", 200);
    expect_text(&a, "\"prefix_cache\":{\"tokens\":");
    expect_text(&a, "\"prompts\":2,");
    asker_dispose(&a);
    close_world();
    open_as("clock=virtual ttft=0 itl=0 prefill=1ms");
    ask_long(&off, "");
    asker_dispose(&off);
    assert_true(ask_long(&off, "") == prompt * MS);
    asker_dispose(&off);
    close_world();
}

/* ---- clocks ---- */

/* Hours pass in no time, and two runs are the same byte for byte. */
static void test_virtual_time(void **state) {
    struct buf first;
    (void)state;
    buf_init(&first, 1 << 20);
    for (unsigned run = 0; run < 2; run++) {
        struct asker a, b;
        const struct sim_options sim = {.seed = 17 + run};       /* the network may differ */
        arena = arena_new();
        struct mock_options o = options_of("clock=virtual seed=3 ttft=1800s itl=lognormal(100s,0.5)");
        world_open(&sim, &o);
        int64_t begin_ns = sim_now_ns();
        ask(&a, true, "tell me a story", "\"max_tokens\":30,");
        asker_finish(&a);
        ask(&b, true, "hello", "");
        asker_finish(&b);
        assert_true(a.is_complete && b.is_complete);
        assert_string_equal(a.date, "Wed, 01 Jan 2025 00:30:00 GMT");
        assert_true(sim_now_ns() - begin_ns < NS_PER_S);
        assert_true(a.stamps[29] - a.stamps[0] > 29 * 50 * NS_PER_S);
        if (run == 0) {
            assert_int_equal(buf_append(&first, buf_slice(&a.bytes)), 0);
            assert_int_equal(buf_append(&first, buf_slice(&b.bytes)), 0);
        } else {
            assert_int_equal(first.len, a.bytes.len + b.bytes.len);
            assert_memory_equal(first.ptr, a.bytes.ptr, a.bytes.len);
            assert_memory_equal(first.ptr + a.bytes.len, b.bytes.ptr, b.bytes.len);
            char created[40];
            snprintf(created, sizeof created, "\"created\":%lld", (long long)MOCK_CLOCK_EPOCH_S);
            expect_text(&a, created);
        }
        asker_dispose(&a);
        asker_dispose(&b);
        close_world();
    }
    buf_dispose(&first);
}

static void move(const char *by, const char *part) {
    struct asker c;
    char target[64];
    snprintf(target, sizeof target, "/penstock/clock?advance=%s", by);
    get(&c, HTTP_METHOD_POST, target, 200);
    expect_text(&c, part);
    asker_dispose(&c);
    settle();
}

static void test_manual_time(void **state) {
    struct asker a;
    (void)state;
    open_as("clock=manual ttft=200ms itl=20ms");
    ask(&a, true, "count t to 5", "");
    sim_run(NULL, NULL, sim_now_ns() + 60 * NS_PER_S);
    assert_int_equal(a.frames, 0);
    move("199ms", "\"fired\":0");
    assert_int_equal(a.frames, 0);
    move("1ms", "\"fired\":1");
    assert_int_equal(a.frames, 1);
    move("39999us", "\"elapsed_ns\":239999000");
    assert_int_equal(a.frames, 2);
    move("next", "\"elapsed_ns\":240000000");
    assert_int_equal(a.frames, 3);
    move("0", "\"fired\":0");
    move("1h30m", "\"elapsed_ns\":5400240000000");
    assert_true(a.is_over);
    asker_dispose(&a);
    close_world();
}

static void test_manual_time_goes_over_everything(void **state) {
    struct asker a, b, c, d;
    (void)state;
    open_as("clock=manual ttft=200ms itl=20ms");
    ask(&a, true, "count t to 5", "");
    ask(&b, false, "count t to 9", "");
    settle();
    /* two at once are done one after the other */
    asker_send(&c, HTTP_METHOD_POST, "/penstock/clock?advance=100ms", "");
    asker_send(&d, HTTP_METHOD_POST, "/penstock/clock?advance=3600s", "");
    asker_finish(&c);
    asker_finish(&d);
    assert_true(a.is_over && a.is_complete && b.is_over);
    for (unsigned k = 0; k < 5; k++) {
        assert_true(a.stamps[k] == BEGIN + 200 * MS + k * 20 * MS);
    }
    expect_text(&c, "\"elapsed_ns\":100000000");
    expect_text(&d, "\"elapsed_ns\":3600100000000");
    asker_dispose(&c);
    asker_dispose(&d);
    /* nothing is due any more */
    move("next", "\"idle\":true");
    get(&c, HTTP_METHOD_POST, "/penstock/clock?advance=soon", 400);
    asker_dispose(&c);
    get(&c, HTTP_METHOD_POST, "/penstock/clock", 400);
    asker_dispose(&c);
    /* who asked for time and leaves is missed by nobody */
    asker_send(&c, HTTP_METHOD_POST, "/penstock/clock?advance=1s", "");
    asker_dispose(&c);
    settle();
    asker_dispose(&a);
    asker_dispose(&b);
    close_world();
}

static void test_real_time_is_nobody_s_to_move(void **state) {
    struct asker c;
    (void)state;
    open_as("ttft=0");
    get(&c, HTTP_METHOD_POST, "/penstock/clock?advance=1s", 409);
    asker_dispose(&c);
    get(&c, HTTP_METHOD_GET, "/penstock/clock", 200);
    expect_text(&c, "\"clock\":\"real\"");
    asker_dispose(&c);
    close_world();
    open_as("clock=virtual");
    get(&c, HTTP_METHOD_POST, "/penstock/clock?advance=1s", 409);
    asker_dispose(&c);
    close_world();
}

/* The mock may end with time standing still over open streams and waiting moves. */
static void test_ends_in_the_middle(void **state) {
    struct asker a, c;
    (void)state;
    open_as("clock=manual");
    ask(&a, true, "count t to 5", "");
    settle();
    asker_send(&c, HTTP_METHOD_POST, "/penstock/clock?advance=1s", "");
    asker_dispose(&a);
    asker_dispose(&c);
    close_world();
    open_as("clock=virtual");
    ask(&a, true, "tell me a story", "");
    asker_dispose(&a);
    close_world();
}

/* ---- self-report ---- */

static void test_self_report(void **state) {
    struct asker a, c;
    (void)state;
    open_as("ttft=10ms itl=20ms late_bound=1s");
    ask(&a, true, "count t to 50", "");
    asker_finish(&a);
    asker_dispose(&a);
    get(&c, HTTP_METHOD_GET, "/penstock/self", 200);
    expect_text(&c, "{\"verdict\":\"ok\"");
    assert_int_equal(number_after(&c, "\"run\":{\"frames\":"), 51);
    expect_text(&c, "\"blocked_frames\":0,");
    /* a count may have several in a word */
    assert_true(number_after(&c, "\"tokens\":") >= 50);
    expect_text(&c, "\"engine\":null,\"prefix_cache\":null,\"tokenizer\":{\"name\":\"");
    asker_dispose(&c);
    close_world();
    /* the wheel's slots alone are later than a nanosecond */
    open_as("ttft=10.003ms itl=20.001ms late_bound=0");
    ask(&a, true, "count t to 50", "");
    asker_finish(&a);
    asker_dispose(&a);
    get(&c, HTTP_METHOD_GET, "/penstock/self", 200);
    expect_text(&c, "{\"verdict\":\"mock-limited: ");
    asker_dispose(&c);
    get(&c, HTTP_METHOD_GET, "/metrics", 200);
    expect_text(&c, "penstock_mock_limited 1\n");
    asker_dispose(&c);
    close_world();
}

static bool has_some_frames(void *self) {
    return ((struct asker *)self)->frames > 10;
}

/* A client that does not read makes nobody late but itself. */
static void test_blocked_frames_are_not_the_mock_s(void **state) {
    struct asker a, c;
    (void)state;
    arena = arena_new();
    struct mock_options o = options_of("ttft=0 itl=1ms");
    const struct sim_options narrow = {.seed = 1, .socket_buffer_bytes = 2000};
    world_open(&narrow, &o);
    ask(&a, true, "tell me a story", "\"metadata\":{\"tokens\":\"3000\"},");
    assert_true(sim_run(has_some_frames, &a, sim_now_ns() + MOCK_LONG_NS));
    http_call_pause(a.call);
    sim_run(NULL, NULL, sim_now_ns() + 10 * NS_PER_S);
    http_call_resume(a.call);
    asker_finish(&a);
    get(&c, HTTP_METHOD_GET, "/penstock/self", 200);
    expect_text(&c, "{\"verdict\":\"ok\"");
    int64_t blocked = number_after(&c, "\"blocked_frames\":"), run = number_after(&c, "\"run\":{\"frames\":");
    assert_true(blocked > 1000 && run > 10 && blocked + run == 3001);
    asker_dispose(&a);
    asker_dispose(&c);
    close_world();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_law_to_the_nanosecond),
        cmocka_unit_test(test_every_law_on_the_loop),
        cmocka_unit_test(test_speed_burst_and_prefill),
        cmocka_unit_test(test_a_law_of_bursts),
        cmocka_unit_test(test_bad_times_are_refused),
        cmocka_unit_test(test_whole_answers_take_as_long),
        cmocka_unit_test(test_scripted_times),
        cmocka_unit_test(test_times_change_while_it_runs),
        cmocka_unit_test(test_the_order_of_arrival_changes_nothing),
        cmocka_unit_test(test_doors_follow_the_manual_clock),
        cmocka_unit_test(test_slowdown),
        cmocka_unit_test(test_engine_batches_and_queues),
        cmocka_unit_test(test_engine_and_others),
        cmocka_unit_test(test_engine_with_a_very_long_answer),
        cmocka_unit_test(test_full_may_be_503),
        cmocka_unit_test(test_engine_on_the_loop),
        cmocka_unit_test(test_prefix_cache_shortens_the_wait),
        cmocka_unit_test(test_virtual_time),
        cmocka_unit_test(test_manual_time),
        cmocka_unit_test(test_manual_time_goes_over_everything),
        cmocka_unit_test(test_real_time_is_nobody_s_to_move),
        cmocka_unit_test(test_ends_in_the_middle),
        cmocka_unit_test(test_self_report),
        cmocka_unit_test(test_blocked_frames_are_not_the_mock_s),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
