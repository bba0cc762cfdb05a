/* SPDX-License-Identifier: Apache-2.0 */
/* Recording and replaying on the simulated net: one mock is the provider, another stands in front
 * of it and records, a third one plays what was recorded. */
#include <sys/stat.h>
#include <unistd.h>

#include "mock/capture_store.h"
#include "mock_world.h"

static const struct sim_options plain_sim = {.seed = 5};
static char folder[64];

/* ---- mocks ---- */

struct place {
    struct mock *mock;
    struct http_pool *pool;
};

static struct http_pool *pool_to(const struct mock *m) {
    struct url url;
    struct err e;
    struct http_pool_options po;
    struct arena *a = arena_new();
    assert_int_equal(url_parse(slice_cstr(mock_base_url(m)), a, &url, &e), 0);
    const struct http_origin origin = {
        .scheme_host = url.authority, .host = url.host, .port = url.port};
    http_pool_options_default(&po);
    struct http_pool *p = http_pool_new(loop, &origin, &po);
    arena_free(a);
    return p;
}

static struct place place_open(const struct mock_options *o) {
    struct err e = {.kind = ERR_NONE};
    struct place p = {.mock = mock_attach(loop, o, &e)};
    if (!p.mock) {
        fail_msg("%s", e.text);
    }
    p.pool = pool_to(p.mock);
    return p;
}

static void place_close(struct place *p) {
    http_pool_close(&p->pool);
    mock_stop(&p->mock);
    settle();
}

/* The provider: tokens at their times. */
static struct mock_options provider_options(void) {
    struct mock_options o;
    mock_options_default(&o);
    o.ttft = LAW_NS(137 * NS_PER_MS);
    o.itl = LAW_NS(7300 * NS_PER_US);
    return o;
}

static struct place open_recorder(void) {
    struct mock_options o;
    mock_options_default(&o);
    o.upstream = mock_base_url(mock);
    o.record = folder;
    return place_open(&o);
}

static struct place open_player(const char *speed) {
    struct mock_options o;
    mock_options_default(&o);
    o.replay = folder;
    o.speed = speed;
    return place_open(&o);
}

static void open_world(const struct sim_options *sim, const struct mock_options *provider) {
    snprintf(folder, sizeof folder, "/tmp/test_record.XXXXXX");
    assert_non_null(mkdtemp(folder));
    world_open(sim, provider);
}

static void close_world(void) {
    char command[100];
    world_close();
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

/* The one capture that there is. */
static struct capture *the_capture(void) {
    struct err e = {.kind = ERR_NONE};
    char command[160], name[200] = "";
    snprintf(command, sizeof command, "ls %s", folder);
    FILE *list = popen(command, "r");
    assert_non_null(fgets(name, sizeof name, list));
    name[strcspn(name, "\n")] = '\0';
    assert_null(fgets(command, sizeof command, list));
    pclose(list);
    struct capture *c = capture_load(folder, name, &e);
    if (!c) {
        fail_msg("%s", e.text);
    }
    return c;
}

/* ---- a client that keeps every piece ---- */

#define TAKER_MAX_PIECES 4096

struct taker {
    struct http_call *call;
    char body_text[2048], target[128];
    struct slice body;
    int64_t start_ns, head_ns, end_ns;
    unsigned status;
    char type[80], capture[200], limit[40];
    struct buf bytes;
    struct {
        int64_t t_ns;
        size_t len;
    } pieces[TAKER_MAX_PIECES];
    unsigned n;
    bool has_head, is_over, has_failed;
    struct err error;
};

static void copy_header(const struct http_answer *a, const char *name, char *out, size_t size) {
    struct slice v = http_headers_get(&a->headers, slice_cstr(name));
    snprintf(out, size, "%.*s", (int)v.len, v.ptr ? v.ptr : "");
}

static void taker_head(void *self, const struct http_answer *answer) {
    struct taker *t = self;
    t->status = answer->status;
    t->has_head = true;
    t->head_ns = sim_now_ns();
    copy_header(answer, "content-type", t->type, sizeof t->type);
    copy_header(answer, "x-penstock-capture", t->capture, sizeof t->capture);
    copy_header(answer, "x-ratelimit-limit-requests", t->limit, sizeof t->limit);
    assert_int_equal(http_headers_count(&answer->headers, SLICE("x-penstock-mock")), 1);
}

static void taker_body(void *self, struct slice bytes) {
    struct taker *t = self;
    assert_int_equal(buf_append(&t->bytes, bytes), 0);
    if (t->n < TAKER_MAX_PIECES) {
        t->pieces[t->n].t_ns = sim_now_ns();
        t->pieces[t->n++].len = bytes.len;
    }
}

static void taker_end(void *self) {
    struct taker *t = self;
    t->call = NULL;
    t->is_over = true;
    t->end_ns = sim_now_ns();
}

static void taker_fail(void *self, const struct err *e, bool any_answer_byte) {
    struct taker *t = self;
    (void)any_answer_byte;
    t->has_failed = true;
    t->error = *e;
    taker_end(t);
}

/* Those of every request, and what a test has put behind them. */
#define TAKER_HEADERS 2
static struct http_header taker_headers[TAKER_HEADERS + 16] = {
    {{"content-type", 12}, {"application/json", 16}},
    {{"authorization", 13}, {"Bearer the-clients-own-key-77", 29}}};
static unsigned n_more_headers;

static void take_start(struct taker *t, const struct place *from, enum http_method method,
                       const char *target, const char *body) {
    static const struct http_call_callbacks callbacks = {
        .on_head = taker_head, .on_body = taker_body, .on_end = taker_end, .on_fail = taker_fail};
    *t = (struct taker){.start_ns = sim_now_ns()};
    buf_init(&t->bytes, (size_t)256 << 20);
    snprintf(t->body_text, sizeof t->body_text, "%s", body);
    snprintf(t->target, sizeof t->target, "%s", target);
    t->body = slice_cstr(t->body_text);
    struct http_call_request rq = {.method = method, .target = slice_cstr(t->target),
                                   .headers = taker_headers,
                                   .n_headers = TAKER_HEADERS + n_more_headers,
                                   .body = &t->body, .n_body = t->body.len > 0};
    t->call = http_call_start(from->pool, &rq, &callbacks, t);
}

static bool taker_is_over(void *self) {
    return ((struct taker *)self)->is_over;
}

static void take(struct taker *t, const struct place *from, const char *target, const char *body) {
    take_start(t, from, HTTP_METHOD_POST, target, body);
    assert_true(sim_run(taker_is_over, t, sim_now_ns() + MOCK_LONG_NS));
}

static void taker_dispose(struct taker *t) {
    http_call_cancel(&t->call);
    buf_dispose(&t->bytes);
}

static const struct way {
    const char *target, *streamed, *whole;
} ways[] = {
    {"/v1/chat/completions",
     "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"count t to 30\"}]}",
     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"count t to 30\"}]}"},
    {"/v1/completions", "{\"model\":\"m\",\"max_tokens\":500,\"stream\":true,\"prompt\":\"count t to 30\"}",
     "{\"model\":\"m\",\"max_tokens\":500,\"prompt\":\"count t to 30\"}"},
    {"/v1/responses", "{\"model\":\"m\",\"stream\":true,\"input\":\"count t to 30\"}",
     "{\"model\":\"m\",\"input\":\"count t to 30\"}"},
    {"/v1/messages",
     "{\"model\":\"m\",\"max_tokens\":500,\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"count t to 30\"}]}",
     "{\"model\":\"m\",\"max_tokens\":500,\"messages\":[{\"role\":\"user\",\"content\":\"count t to 30\"}]}"},
};
#define N_WAYS (sizeof ways / sizeof ways[0])

static void assert_near(int64_t a, int64_t b) {
    assert_in_range(a - b + 3 * WHEEL_SLOT_NS, 0, 6 * WHEEL_SLOT_NS);
}

/* ---- tests ---- */

/* What the provider says is what the client gets, piece for piece, in the turn in which it came;
 * and the replay says it again. */
static void test_replay_is_the_recording(void **state) {
    (void)state;
    for (size_t i = 0; i < 2 * N_WAYS; i++) {
        const struct way *way = &ways[i / 2];
        const char *body = i % 2 ? way->whole : way->streamed;
        struct mock_options provider = provider_options();
        struct taker straight, recorded, played;
        open_world(&plain_sim, &provider);
        struct place origin = {.pool = pool}, recorder = open_recorder();
        take(&straight, &origin, way->target, body);
        take(&recorded, &recorder, way->target, body);
        place_close(&recorder);
        struct place player = open_player("1x");
        take(&played, &player, way->target, body);
        assert_int_equal(recorded.status, 200);
        assert_int_equal(played.status, 200);
        assert_false(recorded.has_failed || played.has_failed);
        assert_string_equal(recorded.type, straight.type);
        assert_string_equal(played.type, straight.type);
        assert_string_equal(played.limit, straight.limit);
        assert_string_equal(played.capture, recorded.capture);
        assert_true(played.capture[0] != '\0');
        assert_int_equal(recorded.n, straight.n);
        assert_int_equal(played.n, straight.n);
        assert_true(slice_eq(buf_slice(&played.bytes), buf_slice(&recorded.bytes)));
        for (unsigned k = 0; k < played.n; k++) {
            assert_int_equal(played.pieces[k].len, recorded.pieces[k].len);
            assert_near(recorded.pieces[k].t_ns - recorded.start_ns,
                        straight.pieces[k].t_ns - straight.start_ns);
            assert_near(played.pieces[k].t_ns - played.start_ns,
                        recorded.pieces[k].t_ns - recorded.start_ns);
        }
        assert_near(played.end_ns - played.start_ns, recorded.end_ns - recorded.start_ns);
        taker_dispose(&straight);
        taker_dispose(&recorded);
        taker_dispose(&played);
        place_close(&player);
        close_world();
    }
}

static void test_no_key_is_kept(void **state) {
    (void)state;
    struct mock_options provider = provider_options();
    struct taker t;
    char command[200];
    open_world(&plain_sim, &provider);
    struct place recorder = open_recorder();
    take(&t, &recorder, "/v1/chat/completions?key=0123456789abc",
         "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":"
         "\"echo: mine is the-clients-own-key-77 and sk-abcdefghij0123456789 too\"}]}");
    place_close(&recorder);
    struct capture *c = the_capture();
    assert_true(c->request_scrubbed >= 2 && c->response_scrubbed >= 2);
    capture_unref(&c);
    snprintf(command, sizeof command, "! grep -r -e own-key -e abcdefghij -e 789abc %s", folder);
    assert_int_equal(system(command), 0);
    taker_dispose(&t);
    close_world();
}

/* What cannot be hidden is not kept: with as many secrets as there is room for, and one more. */
static void test_too_many_secrets_to_hide(void **state) {
    static const char *const names[] = {"a-secret", "b-secret", "c-secret", "d-secret",
                                        "e-secret", "f-secret", "g-secret", "h-secret"};
    static const char *const secrets[] = {"secret-number-1", "secret-number-2", "secret-number-3",
                                          "secret-number-4", "secret-number-5", "secret-number-6",
                                          "secret-number-7", "secret-number-8"};
    (void)state;
    for (n_more_headers = 7; n_more_headers <= 8; n_more_headers++) {
        struct mock_options provider = provider_options();
        struct taker t;
        char command[160];
        for (unsigned i = 0; i < n_more_headers; i++) {
            taker_headers[TAKER_HEADERS + i] =
                (struct http_header){slice_cstr(names[i]), slice_cstr(secrets[i])};
        }
        open_world(&plain_sim, &provider);
        struct place recorder = open_recorder();
        take(&t, &recorder, "/v1/chat/completions",
             "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":"
             "\"echo: secret-number-7, secret-number-8\"}]}");
        place_close(&recorder);
        assert_int_equal(t.status, 200);
        assert_int_equal(t.capture[0] != '\0', n_more_headers == 7);
        snprintf(command, sizeof command, "! grep -r %s %s", secrets[n_more_headers - 1], folder);
        assert_int_equal(system(command), 0);
        taker_dispose(&t);
        close_world();
    }
    n_more_headers = 0;
}

static void test_speed(void **state) {
    static const struct {
        const char *text;
        int64_t divisor;
    } speeds[] = {{"10x", 10}, {"2x", 2}, {"max", INT64_MAX}};
    (void)state;
    struct mock_options provider = provider_options();
    struct taker recorded, played;
    open_world(&plain_sim, &provider);
    struct place recorder = open_recorder();
    take(&recorded, &recorder, ways[0].target, ways[0].streamed);
    place_close(&recorder);
    for (size_t i = 0; i < sizeof speeds / sizeof speeds[0]; i++) {
        struct place player = open_player(speeds[i].text);
        take(&played, &player, ways[0].target, ways[0].streamed);
        assert_int_equal(played.n, recorded.n);
        assert_true(slice_eq(buf_slice(&played.bytes), buf_slice(&recorded.bytes)));
        for (unsigned k = 0; k < played.n; k++) {
            assert_near(played.pieces[k].t_ns - played.start_ns,
                        (recorded.pieces[k].t_ns - recorded.start_ns) / speeds[i].divisor);
        }
        taker_dispose(&played);
        place_close(&player);
    }
    taker_dispose(&recorded);
    close_world();
}

/* Any reads and delays: what is kept is what came. */
static void test_pieces_of_a_rough_net(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        const struct sim_options rough = {.seed = seed, .max_read_bytes = 700,
                                          .max_write_bytes = 900, .latency_max_ns = 3 * NS_PER_MS,
                                          .shuffle_events = true};
        struct mock_options provider = provider_options();
        struct taker recorded, played;
        open_world(&rough, &provider);
        struct place recorder = open_recorder();
        take(&recorded, &recorder, ways[seed % N_WAYS].target, ways[seed % N_WAYS].streamed);
        place_close(&recorder);
        struct capture *c = the_capture();
        assert_true(slice_eq(capture_body(c), buf_slice(&recorded.bytes)));
        assert_int_equal(c->end, CAPTURE_COMPLETE);
        struct place player = open_player("1x");
        take(&played, &player, ways[seed % N_WAYS].target, ways[seed % N_WAYS].streamed);
        assert_true(slice_eq(buf_slice(&played.bytes), buf_slice(&recorded.bytes)));
        assert_true(played.end_ns - played.start_ns >= c->end_ns - 2 * WHEEL_SLOT_NS);
        capture_unref(&c);
        taker_dispose(&recorded);
        taker_dispose(&played);
        place_close(&player);
        close_world();
    }
}

static void check_broken(const char *fault, enum capture_end end, const struct way *way) {
    const char *const faults[] = {fault};
    struct mock_options provider = provider_options();
    struct taker recorded, played;
    provider.faults = faults;
    provider.n_faults = 1;
    open_world(&plain_sim, &provider);
    struct place recorder = open_recorder();
    take(&recorded, &recorder, way->target, way->streamed);
    place_close(&recorder);
    struct capture *c = the_capture();
    assert_int_equal(c->end, end);
    assert_true(c->why.len > 0);
    capture_unref(&c);
    struct place player = open_player("max");
    take(&played, &player, way->target, way->streamed);
    assert_true(recorded.has_failed && played.has_failed);
    assert_int_equal(recorded.error.kind, played.error.kind);
    assert_int_equal(recorded.error.os_errno != 0, end == CAPTURE_RESET);
    assert_int_equal(played.error.os_errno != 0, end == CAPTURE_RESET);
    assert_true(recorded.bytes.len > 0);
    assert_true(slice_eq(buf_slice(&played.bytes), buf_slice(&recorded.bytes)));
    taker_dispose(&recorded);
    taker_dispose(&played);
    place_close(&player);
    close_world();
}

static void test_what_broke_breaks_again(void **state) {
    (void)state;
    for (size_t i = 0; i < N_WAYS; i++) {
        check_broken("cut:how=rst,after=5", CAPTURE_RESET, &ways[i]);
        check_broken("cut:how=fin,after=5", CAPTURE_CUT, &ways[i]);
    }
}

/* Both forms of all four dialects from each of them: by the rules of the dialect, the same text, at
 * the same times. */
static void check_retold(const struct way *from, bool from_stream) {
    struct mock_options provider = provider_options();
    struct taker recorded;
    struct http_pool *kept;
    open_world(&plain_sim, &provider);
    struct place recorder = open_recorder();
    take(&recorded, &recorder, from->target, from_stream ? from->streamed : from->whole);
    place_close(&recorder);
    struct place player = open_player("1x");
    kept = pool;
    pool = player.pool;
    for (size_t i = 0; i < 2 * N_WAYS; i++) {
        struct asker a;
        bool is_stream = i % 2 == 0;
        asker_send(&a, HTTP_METHOD_POST, ways[i / 2].target,
                   is_stream ? ways[i / 2].streamed : ways[i / 2].whole);
        asker_finish(&a);
        if (a.status != 200 || a.has_failed) {
            fail_msg("%s to %s: %u %.*s", from->target, ways[i / 2].target, a.status,
                     SLICE_FMT(buf_slice(&a.bytes)));
        }
        assert_non_null(memmem(a.bytes.ptr, a.bytes.len, is_stream ? "tn" : "tn1 tn2 tn3",
                               is_stream ? 2 : 11));
        if (is_stream) {
            assert_int_equal(a.broken_rules, 0);
            assert_int_equal(a.broken_frames, 0);
            assert_true(a.is_complete);
            assert_true(slice_starts_with(buf_slice(&a.text), SLICE("tn1 tn2 tn3 ")));
            assert_non_null(memmem(a.text.ptr, a.text.len, "tn30", 4));
            assert_true(a.frames >= 20);
        }
        assert_near(a.end_ns - a.start_ns, recorded.end_ns - recorded.start_ns);
        asker_dispose(&a);
    }
    pool = kept;
    taker_dispose(&recorded);
    place_close(&player);
    close_world();
}

static void test_captures_in_every_dialect(void **state) {
    (void)state;
    for (size_t i = 0; i < N_WAYS; i++) {
        check_retold(&ways[i], true);
        check_retold(&ways[i], false);
    }
}

#define SCHEMA "{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}},\"required\":[\"city\"]}"

/* A thought and a call, by those who have both. */
static const struct way thoughtful[] = {
    {"/v1/chat/completions",
     "{\"model\":\"m\",\"stream\":true,\"reasoning_effort\":\"high\",\"tool_choice\":\"required\",\"tools\":[{\"type\":"
     "\"function\",\"function\":{\"name\":\"look\",\"parameters\":" SCHEMA "}}],"
     "\"messages\":[{\"role\":\"user\",\"content\":\"think: rain?\"}]}", NULL},
    {"/v1/responses",
     "{\"model\":\"m\",\"stream\":true,\"reasoning\":{\"effort\":\"high\",\"summary\":\"auto\"},\"tool_choice\":\"required\","
     "\"tools\":[{\"type\":\"function\",\"name\":\"look\",\"parameters\":" SCHEMA "}],"
     "\"input\":\"think: rain?\"}", NULL},
    {"/v1/messages",
     "{\"model\":\"m\",\"max_tokens\":4000,\"stream\":true,\"tool_choice\":{\"type\":\"any\"},"
     "\"tools\":[{\"name\":\"look\",\"input_schema\":" SCHEMA "}],"
     "\"messages\":[{\"role\":\"user\",\"content\":\"think: rain?\"}]}", NULL},
};

static void test_calls_and_thoughts_in_every_dialect(void **state) {
    (void)state;
    for (size_t i = 0; i < 9; i++) {
        const struct way *from = &thoughtful[i / 3], *to = &thoughtful[i % 3];
        struct mock_options provider = provider_options();
        struct taker recorded;
        struct asker a;
        open_world(&plain_sim, &provider);
        struct place recorder = open_recorder();
        take(&recorded, &recorder, from->target, from->streamed);
        assert_int_equal(recorded.status, 200);
        assert_non_null(memmem(recorded.bytes.ptr, recorded.bytes.len, "look", 4));
        place_close(&recorder);
        struct place player = open_player("10x");
        struct http_pool *kept = pool;
        pool = player.pool;
        asker_send(&a, HTTP_METHOD_POST, to->target, to->streamed);
        asker_finish(&a);
        if (a.status != 200 || a.broken_rules || a.broken_frames || !a.is_complete) {
            fail_msg("%s to %s: %u\n%.*s", from->target, to->target, a.status,
                     SLICE_FMT(buf_slice(&a.bytes)));
        }
        assert_non_null(memmem(a.bytes.ptr, a.bytes.len, "look", 4));
        assert_non_null(memmem(a.bytes.ptr, a.bytes.len, "city", 4));
        if (i % 3 == 2) {
            assert_string_equal(a.finish, "tool_use");
        }
        asker_dispose(&a);
        pool = kept;
        taker_dispose(&recorded);
        place_close(&player);
        close_world();
    }
}

/* A stream that was cut, asked in other words: its text, and the cut. */
static void test_a_cut_is_retold(void **state) {
    const char *const faults[] = {"cut:how=fin,after=5"};
    struct mock_options provider = provider_options();
    struct taker recorded, played;
    (void)state;
    provider.faults = faults;
    provider.n_faults = 1;
    open_world(&plain_sim, &provider);
    struct place recorder = open_recorder();
    take(&recorded, &recorder, ways[0].target, ways[0].streamed);
    place_close(&recorder);
    struct place player = open_player("1x");
    take(&played, &player, ways[3].target, ways[3].streamed);
    assert_true(played.has_failed);
    assert_non_null(memmem(played.bytes.ptr, played.bytes.len, "content_block_delta", 19));
    assert_null(memmem(played.bytes.ptr, played.bytes.len, "message_stop", 12));
    taker_dispose(&played);
    take(&played, &player, ways[3].target, ways[3].whole);
    assert_true(played.has_failed);
    taker_dispose(&played);
    taker_dispose(&recorded);
    place_close(&player);
    close_world();
}

static void test_an_error_is_an_answer(void **state) {
    const char *const faults[] = {"429"};
    struct mock_options provider = provider_options();
    struct taker recorded, played;
    (void)state;
    provider.faults = faults;
    provider.n_faults = 1;
    open_world(&plain_sim, &provider);
    struct place recorder = open_recorder();
    take(&recorded, &recorder, ways[0].target, ways[0].streamed);
    assert_int_equal(recorded.status, 429);
    place_close(&recorder);
    struct place player = open_player("1x");
    take(&played, &player, ways[0].target, ways[0].streamed);
    assert_int_equal(played.status, 429);
    assert_true(slice_eq(buf_slice(&played.bytes), buf_slice(&recorded.bytes)));
    taker_dispose(&played);
    take(&played, &player, ways[3].target, ways[3].streamed);
    assert_int_equal(played.status, 429);
    assert_non_null(memmem(played.bytes.ptr, played.bytes.len, "rate_limit_error", 16));
    taker_dispose(&played);
    taker_dispose(&recorded);
    place_close(&player);
    close_world();
}

static void test_a_miss_says_what_differs(void **state) {
    struct mock_options provider = provider_options();
    struct taker recorded, played;
    (void)state;
    open_world(&plain_sim, &provider);
    struct place recorder = open_recorder();
    take(&recorded, &recorder, ways[0].target, ways[0].streamed);
    place_close(&recorder);
    struct place player = open_player("1x");
    take(&played, &player, ways[0].target,
         "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"count t to 31\"}]}");
    assert_int_equal(played.status, 404);
    assert_non_null(memmem(played.bytes.ptr, played.bytes.len, "capture_not_found", 17));
    assert_non_null(strstr(strndupa(played.bytes.ptr, played.bytes.len),
                           "messages[0].text is \\\"count t to 31\\\", there \\\"count t to 30\\\""));
    taker_dispose(&played);
    place_close(&player);

    struct mock_options o;
    mock_options_default(&o);
    o.replay = folder;
    o.on_miss = MOCK_MISS_GENERATE;
    player = place_open(&o);
    take(&played, &player, ways[0].target,
         "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"count t to 31\"}]}");
    assert_int_equal(played.status, 200);
    assert_non_null(memmem(played.bytes.ptr, played.bytes.len, "tn31", 4));
    assert_string_equal(played.capture, "");
    taker_dispose(&played);
    taker_dispose(&recorded);
    place_close(&player);
    close_world();
}

static void test_a_miss_is_recorded(void **state) {
    struct mock_options provider = provider_options(), o;
    struct taker t;
    (void)state;
    open_world(&plain_sim, &provider);
    mock_options_default(&o);
    o.replay = o.record = folder;
    o.upstream = mock_base_url(mock);
    o.on_miss = MOCK_MISS_RECORD;
    for (unsigned i = 0; i < 3; i++) {
        struct mock_counters n;
        struct place both = place_open(&o);
        take(&t, &both, ways[0].target, ways[0].streamed);
        assert_int_equal(t.status, 200);
        taker_dispose(&t);
        place_close(&both);
        mock_counters(mock, &n);
        assert_int_equal(n.requests, 1);
    }
    close_world();
}

/* Also what the mock could answer itself. */
static void test_other_paths_are_passed_on_and_kept(void **state) {
    const char *const models[] = {"one-of-the-providers"};
    struct mock_options provider = provider_options();
    struct taker t;
    (void)state;
    provider.models = models;
    provider.n_models = 1;
    open_world(&plain_sim, &provider);
    for (unsigned i = 0; i < 2; i++) {
        struct place p = i == 0 ? open_recorder() : open_player("max");
        take_start(&t, &p, HTTP_METHOD_GET, "/v1/models", "");
        assert_true(sim_run(taker_is_over, &t, sim_now_ns() + MOCK_LONG_NS));
        assert_int_equal(t.status, 200);
        assert_non_null(memmem(t.bytes.ptr, t.bytes.len, "one-of-the-providers", 20));
        assert_true(t.capture[0] != '\0');
        taker_dispose(&t);
        take(&t, &p, "/v1/no/such/thing", "hello");
        assert_int_equal(t.status, 404);
        assert_non_null(memmem(t.bytes.ptr, t.bytes.len, "Unknown request URL", 19));
        taker_dispose(&t);
        place_close(&p);
    }
    close_world();
}

static void test_an_upstream_that_is_not_there(void **state) {
    struct mock_options provider = provider_options(), o;
    struct taker t;
    (void)state;
    open_world(&plain_sim, &provider);
    mock_options_default(&o);
    o.record = folder;
    o.upstream = "http://127.0.0.1:1/v1";
    struct place recorder = place_open(&o);
    take(&t, &recorder, ways[0].target, ways[0].streamed);
    assert_int_equal(t.status, 502);
    assert_non_null(memmem(t.bytes.ptr, t.bytes.len, "upstream_error", 14));
    taker_dispose(&t);
    take(&t, &recorder, ways[3].target, ways[3].streamed);
    assert_int_equal(t.status, 502);
    assert_non_null(memmem(t.bytes.ptr, t.bytes.len, "api_error", 9));
    taker_dispose(&t);
    place_close(&recorder);
    assert_int_equal(rmdir(folder), 0);      /* nothing is kept of it */
    assert_int_equal(mkdir(folder, 0777), 0);
    close_world();
}

static bool has_three_pieces(void *self) {
    return ((struct taker *)self)->n >= 3;
}

static bool is_cancelled(void *self) {
    struct mock_counters n;
    mock_counters(self, &n);
    return n.cancelled == 1;
}

static void test_a_client_that_leaves(void **state) {
    struct mock_options provider = provider_options();
    struct taker t;
    (void)state;
    open_world(&plain_sim, &provider);
    struct place recorder = open_recorder();
    take_start(&t, &recorder, HTTP_METHOD_POST, ways[0].target, ways[0].streamed);
    assert_true(sim_run(has_three_pieces, &t, sim_now_ns() + MOCK_LONG_NS));
    int64_t left_ns = sim_now_ns();
    http_call_cancel(&t.call);
    assert_true(sim_run(is_cancelled, mock, left_ns + 10 * NS_PER_MS));
    place_close(&recorder);
    struct capture *c = the_capture();
    assert_int_equal(c->end, CAPTURE_CUT);
    assert_true(slice_eq(c->why, SLICE("the client left")));
    assert_true(slice_eq(slice_sub(capture_body(c), 0, t.bytes.len), buf_slice(&t.bytes)));
    capture_unref(&c);
    taker_dispose(&t);
    close_world();
}

static bool has_bytes(void *self) {
    return ((struct taker *)self)->bytes.len > 0;
}

/* A client that reads nothing holds the provider back, and loses nothing. */
static void test_a_slow_client(void **state) {
    struct mock_options provider;
    struct mock_counters n;
    struct taker t;
    (void)state;
    mock_options_default(&provider);
    provider.ttft = provider.itl = LAW_ZERO;
    open_world(&plain_sim, &provider);
    struct place recorder = open_recorder();
    take_start(&t, &recorder, HTTP_METHOD_POST, ways[0].target,
               "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"count t to 100000\"}]}");
    assert_true(sim_run(has_bytes, &t, sim_now_ns() + MOCK_LONG_NS));
    http_call_pause(t.call);
    sim_run(NULL, NULL, sim_now_ns() + 5 * NS_PER_S);
    mock_counters(mock, &n);
    assert_in_range(n.tokens, 1, 20000);
    http_call_resume(t.call);
    assert_true(sim_run(taker_is_over, &t, sim_now_ns() + MOCK_LONG_NS));
    assert_false(t.has_failed);
    assert_non_null(memmem(t.bytes.ptr + t.bytes.len - 20, 20, "[DONE]", 6));
    place_close(&recorder);
    struct capture *c = the_capture();
    assert_true(slice_eq(capture_body(c), buf_slice(&t.bytes)));
    capture_unref(&c);

    struct taker played;
    struct place player = open_player("max");
    take_start(&played, &player, HTTP_METHOD_POST, ways[0].target, t.body_text);
    assert_true(sim_run(has_bytes, &played, sim_now_ns() + MOCK_LONG_NS));
    http_call_pause(played.call);
    sim_run(NULL, NULL, sim_now_ns() + 5 * NS_PER_S);
    http_call_resume(played.call);
    assert_true(sim_run(taker_is_over, &played, sim_now_ns() + MOCK_LONG_NS));
    assert_true(slice_eq(buf_slice(&played.bytes), buf_slice(&t.bytes)));
    taker_dispose(&played);
    taker_dispose(&t);
    place_close(&player);
    close_world();
}

static void test_wrong_options_are_told(void **state) {
    struct mock_options provider = provider_options(), o;
    struct err e;
    (void)state;
    open_world(&plain_sim, &provider);
    mock_options_default(&o);
    o.record = folder;
    assert_null(mock_attach(loop, &o, &e));
    assert_non_null(strstr(e.text, "--upstream"));
    o.upstream = "ftp://x";
    assert_null(mock_attach(loop, &o, &e));
    o.upstream = "http://127.0.0.1:1";
    o.upstream_key = "PENSTOCK_TEST_NO_SUCH_VARIABLE";
    assert_null(mock_attach(loop, &o, &e));
    assert_non_null(strstr(e.text, "PENSTOCK_TEST_NO_SUCH_VARIABLE is not set"));
    o = (struct mock_options){.replay = "/no/such/folder"};
    assert_null(mock_attach(loop, &o, &e));
    assert_non_null(strstr(e.text, "/no/such/folder"));
    settle();
    close_world();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replay_is_the_recording),
        cmocka_unit_test(test_no_key_is_kept),
        cmocka_unit_test(test_too_many_secrets_to_hide),
        cmocka_unit_test(test_speed),
        cmocka_unit_test(test_pieces_of_a_rough_net),
        cmocka_unit_test(test_what_broke_breaks_again),
        cmocka_unit_test(test_captures_in_every_dialect),
        cmocka_unit_test(test_calls_and_thoughts_in_every_dialect),
        cmocka_unit_test(test_a_cut_is_retold),
        cmocka_unit_test(test_an_error_is_an_answer),
        cmocka_unit_test(test_a_miss_says_what_differs),
        cmocka_unit_test(test_a_miss_is_recorded),
        cmocka_unit_test(test_other_paths_are_passed_on_and_kept),
        cmocka_unit_test(test_an_upstream_that_is_not_there),
        cmocka_unit_test(test_a_client_that_leaves),
        cmocka_unit_test(test_a_slow_client),
        cmocka_unit_test(test_wrong_options_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
