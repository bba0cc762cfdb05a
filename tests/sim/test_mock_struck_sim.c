/* SPDX-License-Identifier: Apache-2.0 */
/* Faults on streams that the mock does not make up as it sends them: recorded ones, background
 * responses', those of stored responses. */
#include <sys/stat.h>
#include <unistd.h>

#include "mock_world.h"

static const struct sim_options plain_sim = {.seed = 9};
static char folder[64];
static struct mock *player;
static struct http_pool *provider_pool, *player_pool;

static const char STREAMED[] =
    "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"count t to 12\"}]}";
static const char WHOLE[] = "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"count t to 12\"}]}";

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

static void ask(struct asker *a, const char *target, const char *body, const char *fault) {
    asker_headers[0] = fault ? "x-penstock-fault" : NULL;
    asker_headers[1] = fault;
    asker_send(a, body[0] ? HTTP_METHOD_POST : HTTP_METHOD_GET, target, body);
    asker_headers[0] = NULL;
    asker_finish(a);
}

static void expect_head(const struct asker *a, const char *part) {
    if (!strstr(a->head_text, part)) {
        fail_msg("no %s in %s", part, a->head_text);
    }
}

static bool says(const struct asker *a, const char *part) {
    return memmem(a->bytes.ptr, a->bytes.len, part, strlen(part)) != NULL;
}

/* ---- recorded ones ---- */

static void record(const char *body) {
    struct asker a;
    struct err e;
    struct mock_options o;
    mock_options_default(&o);
    o.upstream = mock_base_url(mock);
    o.record = folder;
    struct mock *recorder = mock_attach(loop, &o, &e);
    assert_non_null(recorder);
    pool = pool_to(recorder);
    ask(&a, "/v1/chat/completions", body, NULL);
    assert_int_equal(a.status, 200);
    asker_dispose(&a);
    http_pool_close(&pool);
    mock_stop(&recorder);
    settle();
    pool = provider_pool;
}

/* A provider of twelve tokens, 20 ms apart; a folder with its answers; one that plays them. */
static void open_player(const char *fault) {
    const char *faults[] = {fault};
    struct mock_options o;
    struct err e;
    snprintf(folder, sizeof folder, "/tmp/test_struck.XXXXXX");
    assert_non_null(mkdtemp(folder));
    mock_options_default(&o);
    o.ttft = LAW_NS(100 * NS_PER_MS);
    world_open(&plain_sim, &o);
    provider_pool = pool;
    record(STREAMED);
    record(WHOLE);
    mock_options_default(&o);
    o.replay = folder;
    o.faults = faults;
    o.n_faults = fault != NULL;
    player = mock_attach(loop, &o, &e);
    assert_non_null(player);
    pool = player_pool = pool_to(player);
}

static void close_player(void) {
    char command[100];
    http_pool_close(&player_pool);
    mock_stop(&player);
    settle();
    pool = provider_pool;
    world_close();
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

static void test_a_recorded_stream_is_cut(void **state) {
    struct asker a, b;
    (void)state;
    open_player(NULL);
    ask(&a, "/v1/chat/completions", STREAMED, "cut:after=5");
    assert_true(a.has_failed);
    assert_int_equal(a.frames, 5);
    expect_head(&a, "x-penstock-capture: 0001-");
    expect_head(&a, "x-penstock-fault: cut\n");
    /* the same, unharmed; and the fault was counted and is in the journal */
    ask(&b, "/v1/chat/completions", STREAMED, NULL);
    assert_true(b.is_complete && !b.has_failed);
    assert_int_equal(b.frames, 12);
    assert_memory_equal(b.bytes.ptr, a.bytes.ptr, a.bytes.len);
    asker_dispose(&a);
    asker_dispose(&b);
    ask(&a, "/metrics", "", NULL);
    assert_true(says(&a, "penstock_mock_faults_total{fault=\"cut\"} 1\n"));
    asker_dispose(&a);
    ask(&a, "/penstock/journal?answered_by=replay", "", NULL);
    assert_true(says(&a, "\"fault\":\"cut:after=5\""));
    assert_true(says(&a, "\"end\":\"failed by fault\""));
    asker_dispose(&a);
    close_player();
}

static void test_what_else_happens_to_recorded_streams(void **state) {
    struct asker plain, a;
    (void)state;
    open_player(NULL);
    ask(&plain, "/v1/chat/completions", STREAMED, NULL);
    ask(&a, "/v1/chat/completions", STREAMED, "drop:after=3");
    assert_int_equal(a.frames, 11);
    asker_dispose(&a);
    ask(&a, "/v1/chat/completions", STREAMED, "no-done");
    assert_false(a.has_done);
    asker_dispose(&a);
    ask(&a, "/v1/chat/completions", STREAMED, "stall:after=4,for=2s");
    assert_int_equal(a.frames, 12);
    assert_in_range(a.received[4] - a.received[3], 2 * NS_PER_S, 3 * NS_PER_S);
    assert_in_range(a.received[3] - a.start_ns, 0, NS_PER_S);
    asker_dispose(&a);
    ask(&a, "/v1/chat/completions", STREAMED, "slow-head:for=3s");
    assert_true(a.is_complete && a.head_ns - a.start_ns >= 3 * NS_PER_S);
    /* and goes on at its pace from there */
    assert_in_range(a.received[11] - a.received[0], 200 * NS_PER_MS, 240 * NS_PER_MS);
    asker_dispose(&a);
    ask(&a, "/v1/chat/completions", STREAMED, "byte-by-byte");
    assert_true(a.is_complete && a.frames == 12);
    assert_true(slice_eq(buf_slice(&a.text), buf_slice(&plain.text)));
    asker_dispose(&a);
    asker_dispose(&plain);
    close_player();
}

static void test_recorded_whole_answers(void **state) {
    struct asker plain, a;
    (void)state;
    open_player(NULL);
    ask(&plain, "/v1/chat/completions", WHOLE, NULL);
    expect_head(&plain, "x-penstock-capture: ");
    ask(&a, "/v1/chat/completions", WHOLE, "truncated-json");
    assert_int_equal(a.bytes.len, plain.bytes.len / 2);
    assert_true(a.end_ns - a.start_ns >= 300 * NS_PER_MS);       /* as long as it took */
    asker_dispose(&a);
    ask(&a, "/v1/chat/completions", WHOLE, "cut");
    assert_true(a.has_failed);
    asker_dispose(&a);
    asker_dispose(&plain);
    close_player();
}

/* Without being asked, and by clients that leave at any time. */
static void test_recorded_streams_by_rate(void **state) {
    struct asker a;
    unsigned cut = 0;
    (void)state;
    open_player("cut:after=2,rate=50%");
    for (unsigned i = 0; i < 40; i++) {
        ask(&a, "/v1/chat/completions", STREAMED, NULL);
        assert_int_equal(a.frames, a.has_failed ? 2 : 12);
        assert_null(strstr(a.head_text, "x-penstock-fault"));
        expect_head(&a, "x-penstock-capture");
        cut += a.has_failed;
        asker_dispose(&a);
    }
    assert_in_range(cut, 8, 32);
    for (unsigned i = 0; i < 40; i++) {
        asker_headers[0] = "x-penstock-fault";
        asker_headers[1] = i % 2 ? "trickle" : "stall:after=2";
        asker_send(&a, HTTP_METHOD_POST, "/v1/chat/completions", i % 4 < 2 ? STREAMED : WHOLE);
        asker_headers[0] = NULL;
        sim_advance((int64_t)i * 13 * NS_PER_MS);
        asker_dispose(&a);
    }
    settle();
    close_player();
}

/* ---- background ---- */

static void open_plain(void) {
    struct mock_options o;
    mock_options_default(&o);
    o.ttft = LAW_NS(100 * NS_PER_MS);
    world_open(&plain_sim, &o);
}

static void id_of(const struct asker *a, char target[256]) {
    char id[128];
    const char *from = memmem(a->bytes.ptr, a->bytes.len, "\"id\":\"resp_", 11);
    assert_non_null(from);
    assert_int_equal(sscanf(from, "\"id\":\"%127[^\"]", id), 1);
    snprintf(target, 256, "/v1/responses/%s", id);
}

static unsigned deltas_of(const struct asker *a) {
    static const char event[] = "event: response.output_text.delta\n";
    const char *at = a->bytes.ptr, *end = at + a->bytes.len;
    unsigned n = 0;
    while ((at = memmem(at, (size_t)(end - at), event, sizeof event - 1)) != NULL) {
        at += sizeof event - 1;
        n++;
    }
    return n;
}

/* Who follows meets the fault; what is made does not. */
static void test_a_background_stream_is_cut(void **state) {
    static const char body[] = "{\"model\":\"m\",\"background\":true,\"stream\":true,\"input\":\"count t to 12\"}";
    char target[256], stream[300];
    struct asker a, b;
    (void)state;
    open_plain();
    ask(&a, "/v1/responses", body, "cut:after=4");
    assert_true(a.has_failed);
    assert_int_equal(a.frames, 4);
    expect_head(&a, "x-penstock-fault: cut\n");
    id_of(&a, target);
    asker_dispose(&a);
    snprintf(stream, sizeof stream, "%s?stream=true", target);
    ask(&a, stream, "", "no-done");                      /* of one that is being made */
    ask(&b, target, "", NULL);
    assert_true(says(&b, "\"status\":\"completed\""));
    assert_false(says(&a, "response.completed"));
    assert_true(says(&a, "response.output_text.done"));
    asker_dispose(&a);
    asker_dispose(&b);
    ask(&a, stream, "", "stall:after=4,for=2s");         /* of one that is over */
    assert_int_equal(deltas_of(&a), 12);
    assert_true(says(&a, "response.completed") && a.end_ns - a.start_ns >= 2 * NS_PER_S);
    asker_dispose(&a);
    ask(&a, stream, "", "cut:after=4");
    assert_true(a.has_failed);
    assert_int_equal(deltas_of(&a), 4);
    asker_dispose(&a);
    ask(&a, stream, "", NULL);
    assert_true(says(&a, "response.completed") && !a.has_failed);
    asker_dispose(&a);
    ask(&a, "/penstock/journal", "", NULL);
    assert_true(says(&a, "\"fault\":\"cut:after=4\""));
    assert_true(says(&a, "\"end\":\"failed by fault\""));
    asker_dispose(&a);
    world_close();
}

/* They have fewer pieces than the fault waits for: one, as a rule. */
static void test_short_streams_have_bad_chunks(void **state) {
    static const char *const faults[] = {"bad-chunk-size", "oversized-chunk"};
    char target[256], stream[300];
    struct asker a;
    (void)state;
    open_plain();
    ask(&a, "/v1/responses", "{\"model\":\"m\",\"input\":\"count t to 12\"}", NULL);
    id_of(&a, target);
    asker_dispose(&a);
    snprintf(stream, sizeof stream, "%s?stream=true", target);
    for (unsigned i = 0; i < 2; i++) {
        ask(&a, stream, "", faults[i]);
        assert_true(a.has_failed);
        asker_dispose(&a);
        ask(&a, "/v1/chat/completions",
            "{\"model\":\"m\",\"stream\":true,\"max_tokens\":1,"
            "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", faults[i]);
        assert_true(a.has_failed);
        asker_dispose(&a);
    }
    world_close();
}

static void test_followers_leave_at_any_time(void **state) {
    static const char body[] = "{\"model\":\"m\",\"background\":true,\"stream\":true,\"input\":\"count t to 12\"}";
    static const char *const faults[] = {"trickle", "stall:after=2", "slow-head:for=1s", "gzip", "error-200"};
    struct asker a;
    (void)state;
    open_plain();
    for (unsigned i = 0; i < 40; i++) {
        asker_headers[0] = "x-penstock-fault";
        asker_headers[1] = faults[i % 5];
        asker_send(&a, HTTP_METHOD_POST, "/v1/responses", body);
        asker_headers[0] = NULL;
        sim_advance((int64_t)i * 17 * NS_PER_MS);
        asker_dispose(&a);
    }
    settle();
    world_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_recorded_stream_is_cut),
        cmocka_unit_test(test_what_else_happens_to_recorded_streams),
        cmocka_unit_test(test_recorded_whole_answers),
        cmocka_unit_test(test_recorded_streams_by_rate),
        cmocka_unit_test(test_a_background_stream_is_cut),
        cmocka_unit_test(test_short_streams_have_bad_chunks),
        cmocka_unit_test(test_followers_leave_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
