/* SPDX-License-Identifier: Apache-2.0 */
/* What the mock saw, and what it remembers: journal, expectations, broken rules, stored and
 * background responses, conversations. */
#include "mock_world.h"

#include <yyjson.h>

static const struct sim_options plain_sim = {.seed = 1};

static void open_mock(bool strict) {
    struct mock_options o;
    mock_options_default(&o);
    o.ttft = LAW_NS(100 * NS_PER_MS);
    o.itl = LAW_NS(20 * NS_PER_MS);
    o.strict = strict;
    o.name = "east";
    world_open(&plain_sim, &o);
}

/* ---- asking, and reading JSON ---- */

/* The answer's JSON; free with yyjson_doc_free. */
static yyjson_doc *ask(enum http_method method, const char *target, const char *body,
                       unsigned status) {
    struct asker a;
    asker_send(&a, method, target, body);
    asker_finish(&a);
    if (a.has_failed || a.status != status) {
        fail_msg("%s %s: %u, wanted %u: %.*s", http_method_name(method), target, a.status, status,
                 SLICE_FMT(buf_slice(&a.bytes)));
    }
    yyjson_doc *doc = yyjson_read(a.bytes.ptr, a.bytes.len, 0);
    assert_non_null(doc);
    asker_dispose(&a);
    return doc;
}
#define GET(target, status)        ask(HTTP_METHOD_GET, target, "", status)
#define POST(target, body, status) ask(HTTP_METHOD_POST, target, body, status)
#define DROP(target, status)       ask(HTTP_METHOD_DELETE, target, "", status)

static yyjson_val *at(yyjson_doc *doc, const char *pointer) {
    return yyjson_doc_ptr_get(doc, pointer);
}

static const char *text_at(yyjson_doc *doc, const char *pointer) {
    yyjson_val *v = at(doc, pointer);
    if (!yyjson_is_str(v)) {
        fail_msg("%s is no string in %s", pointer, yyjson_write(doc, 0, NULL));
    }
    return yyjson_get_str(v);
}

static void keep_text(yyjson_doc *doc, const char *pointer, char out[128]) {
    snprintf(out, 128, "%s", text_at(doc, pointer));
}

/* One that is only asked whether it says so. */
static void check(yyjson_doc *doc, const char *pointer, const char *wanted) {
    assert_string_equal(text_at(doc, pointer), wanted);
    yyjson_doc_free(doc);
}

static void control(enum http_method method, const char *target) {
    yyjson_doc_free(ask(method, target, "", 200));
}

/* ---- the journal ---- */

static void test_journal(void **state) {
    struct asker a, gone;
    (void)state;
    open_mock(false);
    asker_chat(&a, true, "gpt-4o", "count plum to 3", "\"max_tokens\":50,\"api_key\":\"my-own-secret\",");
    asker_finish(&a);
    asker_chat(&gone, true, "gpt-4o", "count pear to 500", "");
    assert_false(sim_run(NULL, NULL, sim_now_ns() + 300 * NS_PER_MS));
    yyjson_doc *doc = GET("/penstock/journal", 200);
    assert_string_equal(text_at(doc, "/entries/0/end"), "completed");
    assert_string_equal(text_at(doc, "/entries/0/provider"), "east");
    assert_string_equal(text_at(doc, "/entries/0/dialect"), "chat");
    assert_string_equal(text_at(doc, "/entries/0/answered_by"), "generator");
    assert_string_equal(text_at(doc, "/entries/0/finish_reason"), "stop");
    assert_string_equal(text_at(doc, "/entries/0/body/messages/0/content"), "count plum to 3");
    assert_null(strstr(text_at(doc, "/entries/0/body/api_key"), "secret"));
    assert_int_equal(yyjson_get_uint(at(doc, "/entries/0/status")), 200);
    assert_true(yyjson_get_num(at(doc, "/entries/0/first_token_ms")) == 100.0);
    assert_true(yyjson_get_int(at(doc, "/entries/0/tokens_in")) > 0);
    assert_true(yyjson_get_int(at(doc, "/entries/0/tokens_out")) > 2);
    /* a member of nobody's; that it came without a key is nothing where none is asked for */
    assert_int_equal(yyjson_arr_size(at(doc, "/entries/0/violations")), 1);
    assert_true(yyjson_is_null(at(doc, "/entries/1/end")));
    yyjson_doc_free(doc);
    asker_dispose(&gone);
    settle();
    check(GET("/penstock/journal/2", 200), "/end", "cancelled");
    yyjson_doc_free(GET("/penstock/journal/9", 404));
    yyjson_doc_free(GET("/penstock/journal?nonsense=1", 400));
    doc = GET("/penstock/journal?end=completed&body=0", 200);
    assert_int_equal(yyjson_arr_size(at(doc, "/entries")), 1);
    assert_null(at(doc, "/entries/0/body"));
    yyjson_doc_free(doc);
    control(HTTP_METHOD_DELETE, "/penstock/journal");
    doc = GET("/penstock/journal", 200);
    assert_int_equal(yyjson_arr_size(at(doc, "/entries")), 0);
    assert_int_equal(yyjson_get_uint(at(doc, "/last")), 2);
    yyjson_doc_free(doc);
    asker_dispose(&a);
    world_close();
}

/* Of the answer's head; empty: it has none of this name. */
static void header_of(const struct asker *a, const char *name, char out[128]) {
    char line[64];
    snprintf(line, sizeof line, "\n%s: ", name);
    const char *at = strstr(a->head_text, line);
    const char *value = at ? at + strlen(line) : "";
    snprintf(out, 128, "%.*s", (int)strcspn(value, "\n"), value);
}

/* Of an SDK's exception, or of an answer, to the entry. */
static void test_journal_finds_by_id(void **state) {
    static const struct {
        const char *target, *body, *id_header;
        bool has_id;
    } asked[] = {
        {"/v1/chat/completions", "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", "x-request-id", true},
        {"/v1/chat/completions", "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", "x-request-id", true},
        {"/v1/completions", "{\"model\":\"m\",\"prompt\":\"a\"}", "x-request-id", true},
        {"/v1/responses", "{\"model\":\"m\",\"input\":\"a\"}", "x-request-id", true},
        {"/v1/responses", "{\"model\":\"m\",\"input\":\"a\",\"background\":true}", "x-request-id", true},
        {"/v1/responses/compact", "{\"model\":\"m\",\"input\":\"a\"}", "x-request-id", true},
        {"/v1/messages", "{\"model\":\"m\",\"max_tokens\":9,\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", "request-id", true},
        {"/v1/moderations", "{\"input\":\"a\"}", "x-request-id", true},
        {"/v1/embeddings", "{\"model\":\"m\",\"input\":\"a\"}", "x-request-id", false},
        {"/v1/messages", "{\"model\":\"fault/529\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", "request-id", false},
        {"/v1/chat/completions", "{oops", "x-request-id", false},
        {"/v1/nowhere", "{}", "x-request-id", false},
    };
    (void)state;
    open_mock(false);
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        char request_id[128], response_id[128] = "", target[400];
        struct asker a;
        asker_send(&a, HTTP_METHOD_POST, asked[i].target, asked[i].body);
        asker_finish(&a);
        header_of(&a, asked[i].id_header, request_id);
        const char *from = memmem(a.bytes.ptr, a.bytes.len, "\"id\":\"", 6);
        assert_true(strlen(request_id) > 10);
        assert_true(!asked[i].has_id || (from && sscanf(from, "\"id\":\"%127[^\"]", response_id) == 1));
        snprintf(target, sizeof target, "/penstock/journal?request_id=%s", request_id);
        yyjson_doc *doc = GET(target, 200);
        assert_int_equal(yyjson_arr_size(at(doc, "/entries")), 1);
        assert_int_equal(yyjson_get_uint(at(doc, "/entries/0/seq")), i + 1);
        if (asked[i].has_id) {
            assert_string_equal(text_at(doc, "/entries/0/response_id"), response_id);
        } else {
            assert_true(yyjson_is_null(at(doc, "/entries/0/response_id")));
        }
        yyjson_doc_free(doc);
        snprintf(target, sizeof target, "{\"where\":{\"response_id\":\"%s\"},\"count\":1}", response_id);
        yyjson_doc_free(asked[i].has_id ? POST("/penstock/expect", target, 200) : GET("/penstock", 200));
        asker_dispose(&a);
    }
    world_close();
}

/* The session that scenarios count for, however the request says it. */
static void test_journal_tells_the_session(void **state) {
    static const struct {
        const char *target, *body, *session;
    } asked[] = {
        {"/v1/chat/completions", "{\"model\":\"m\",\"user\":\"ann\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", "ann"},
        {"/v1/responses", "{\"model\":\"m\",\"metadata\":{\"session\":\"bob\"},\"user\":\"x\",\"input\":\"a\"}", "bob"},
        {"/v1/messages", "{\"model\":\"m\",\"max_tokens\":9,\"metadata\":{\"user_id\":\"cy\"},\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", "cy"},
    };
    (void)state;
    open_mock(false);
    yyjson_doc_free(POST("/penstock/scenarios", "{\"respond\":\"{{session}}\",\"times\":3}", 200));
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        struct asker a;
        char target[200];
        asker_send(&a, HTTP_METHOD_POST, asked[i].target, asked[i].body);
        asker_finish(&a);
        const char *session = asked[i].session;
        assert_non_null(memmem(a.bytes.ptr, a.bytes.len, session, strlen(session)));
        asker_dispose(&a);
        snprintf(target, sizeof target, "/penstock/journal?session=%s", asked[i].session);
        yyjson_doc *doc = GET(target, 200);
        assert_int_equal(yyjson_get_uint(at(doc, "/entries/0/seq")), i + 1);
        yyjson_doc_free(doc);
    }
    world_close();
}

static void test_journal_of_refusals(void **state) {
    (void)state;
    open_mock(false);
    yyjson_doc_free(POST("/v1/chat/completions", "{\"model\":\"m\"}", 400));
    yyjson_doc_free(POST("/v1/chat/completions", "{oops", 400));
    yyjson_doc_free(POST("/v1/messages", "{\"model\":\"fault/529\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\","
                                         "\"content\":\"a\"}]}", 529));
    yyjson_doc *doc = GET("/penstock/journal", 200);
    assert_string_equal(text_at(doc, "/entries/0/violations/0/rule"), "unreadable");
    assert_string_equal(text_at(doc, "/entries/0/violations/0/path"), "messages");
    assert_int_equal(yyjson_get_uint(at(doc, "/entries/0/status")), 400);
    assert_string_equal(text_at(doc, "/entries/0/end"), "completed");
    assert_string_equal(text_at(doc, "/entries/1/body"), "{oops");
    assert_int_equal(yyjson_get_uint(at(doc, "/entries/2/status")), 529);
    assert_string_equal(text_at(doc, "/entries/2/fault"), "529");
    yyjson_doc_free(doc);
    world_close();
}

/* What no route takes is seen, too; what is asked of the mock itself is not. */
static void test_stray(void **state) {
    (void)state;
    open_mock(false);
    yyjson_doc_free(POST("/v1/chat/completion", "{}", 404));
    yyjson_doc_free(DROP("/v1/chat/completions", 405));
    yyjson_doc_free(GET("/penstock/nonsense", 404));
    yyjson_doc *doc = GET("/penstock/journal", 200);
    assert_int_equal(yyjson_arr_size(at(doc, "/entries")), 2);
    assert_string_equal(text_at(doc, "/entries/0/path"), "/v1/chat/completion");
    assert_int_equal(yyjson_get_uint(at(doc, "/entries/1/status")), 405);
    yyjson_doc_free(doc);
    world_close();
}

/* Every control endpoint is listed, and somebody has said what it is for. */
static void test_index(void **state) {
    size_t i, n;
    yyjson_val *one;
    (void)state;
    open_mock(false);
    yyjson_doc *doc = GET("/penstock", 200);
    assert_string_equal(text_at(doc, "/provider"), "east");
    assert_true(yyjson_arr_size(at(doc, "/endpoints")) > 12);
    yyjson_arr_foreach(at(doc, "/endpoints"), i, n, one) {
        if (!yyjson_is_str(yyjson_obj_get(one, "what"))) {
            fail_msg("nobody says what %s is for", yyjson_get_str(yyjson_obj_get(one, "path")));
        }
    }
    yyjson_doc_free(doc);
    world_close();
}

/* ---- rules ---- */

static void test_strict(void **state) {
    const char *hot = "{\"model\":\"gpt-4o\",\"temperature\":9,\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}";
    (void)state;
    open_mock(false);
    yyjson_doc_free(POST("/v1/chat/completions", hot, 200));
    world_close();
    open_mock(true);
    yyjson_doc *doc = POST("/v1/chat/completions", hot, 400);
    assert_string_equal(text_at(doc, "/error/code"), "decimal_above_max_value");
    assert_string_equal(text_at(doc, "/error/param"), "temperature");
    yyjson_doc_free(doc);
    asker_anthropic_version = "2023-06-01";
    doc = POST("/v1/messages", "{\"model\":\"m\",\"max_tokens\":5,\"speed\":\"slow\",\"messages\":[{\"role\":\"user\","
                               "\"content\":\"a\"}]}", 400);
    assert_string_equal(text_at(doc, "/error/type"), "invalid_request_error");
    assert_string_equal(text_at(doc, "/error/message"), "speed: Input should be 'standard' or 'fast'");
    yyjson_doc_free(doc);
    yyjson_doc_free(POST("/v1/messages", "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":"
                                         "\"a\"}]}", 200));
    asker_anthropic_version = NULL;
    yyjson_doc_free(POST("/v1/messages", "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[{\"role\":\"user\",\"content\":"
                                         "\"a\"}]}", 400));
    world_close();
}

/* ---- expectations ---- */

static void test_expect(void **state) {
    struct asker waiting, a;
    (void)state;
    open_mock(false);
    yyjson_doc *doc = POST("/penstock/expect", "{\"match\":{\"user\":\"plum\"}}", 417);
    assert_false(yyjson_get_bool(at(doc, "/ok")));
    yyjson_doc_free(doc);
    yyjson_doc_free(POST("/penstock/expect", "{\"mach\":{}}", 400));
    yyjson_doc_free(POST("/penstock/expect", "{\"match\":{\"user\":\"plum\"},\"count\":0}", 200));
    /* waits for the request to have come and to be over */
    asker_send(&waiting, HTTP_METHOD_POST, "/penstock/expect",
               "{\"match\":{\"user\":\"plum\"},\"where\":{\"end\":\"completed\"},\"within_ms\":60000}");
    settle();
    assert_false(waiting.is_over);
    asker_chat(&a, true, "m", "count plum to 3", "");
    settle();
    assert_false(waiting.is_over);
    asker_finish(&a);
    settle();
    assert_true(waiting.is_over);
    assert_int_equal(waiting.status, 200);
    asker_dispose(&waiting);
    asker_dispose(&a);
    /* in vain */
    int64_t start_ns = sim_now_ns();
    doc = POST("/penstock/expect", "{\"match\":{\"user\":\"pear\"},\"within_ms\":5000}", 417);
    assert_in_range(sim_now_ns() - start_ns, 5000 * NS_PER_MS, 5010 * NS_PER_MS);
    assert_int_equal(yyjson_get_uint(at(doc, "/nearest/0/seq")), 1);
    yyjson_doc_free(doc);
    world_close();
}

/* ---- stored responses ---- */

static void test_stored(void **state) {
    char first[128], second[128], target[400], body[512];
    (void)state;
    open_mock(false);
    yyjson_doc *doc = POST("/v1/responses", "{\"model\":\"m\",\"input\":\"echo: plum\",\"metadata\":{\"a\":\"b\"}}", 200);
    assert_true(yyjson_is_true(at(doc, "/store")));
    keep_text(doc, "/id", first);
    yyjson_doc_free(doc);
    snprintf(body, sizeof body, "{\"model\":\"m\",\"input\":\"echo: pear\",\"previous_response_id\":\"%s\"}", first);
    doc = POST("/v1/responses", body, 200);
    assert_string_equal(text_at(doc, "/previous_response_id"), first);
    keep_text(doc, "/id", second);
    int64_t longer = yyjson_get_int(at(doc, "/usage/input_tokens"));
    yyjson_doc_free(doc);
    snprintf(target, sizeof target, "/v1/responses/%s", first);
    doc = GET(target, 200);
    assert_string_equal(text_at(doc, "/output/0/content/0/text"), "plum");
    assert_string_equal(text_at(doc, "/metadata/a"), "b");
    assert_true(yyjson_get_int(at(doc, "/usage/input_tokens")) < longer);
    yyjson_doc_free(doc);
    snprintf(target, sizeof target, "/v1/responses/%s/input_items?order=asc&limit=2", second);
    doc = GET(target, 200);
    assert_string_equal(text_at(doc, "/data/0/content/0/text"), "echo: plum");
    assert_string_equal(text_at(doc, "/data/1/content/0/text"), "plum");
    assert_true(yyjson_is_true(at(doc, "/has_more")));
    char last[128];
    keep_text(doc, "/last_id", last);
    yyjson_doc_free(doc);
    snprintf(target, sizeof target, "/v1/responses/%s/input_items?order=asc&after=%s", second, last);
    doc = GET(target, 200);
    assert_string_equal(text_at(doc, "/data/0/content/0/text"), "echo: pear");
    assert_true(yyjson_is_false(at(doc, "/has_more")));
    yyjson_doc_free(doc);
    /* its items may be referred to */
    snprintf(body, sizeof body, "{\"model\":\"m\",\"input\":[{\"type\":\"item_reference\",\"id\":\"%s\"},{\"role\":\"user\","
                                "\"content\":\"echo: fig\"}]}", last);
    yyjson_doc_free(POST("/v1/responses", body, 200));
    snprintf(target, sizeof target, "/v1/responses/%s/cancel", first);
    yyjson_doc_free(POST(target, "", 400));
    snprintf(target, sizeof target, "/v1/responses/%s", first);
    yyjson_doc_free(DROP(target, 200));
    yyjson_doc_free(DROP(target, 404));
    check(GET(target, 404), "/error/type", "invalid_request_error");
    snprintf(body, sizeof body, "{\"model\":\"m\",\"input\":\"x\",\"previous_response_id\":\"%s\"}", second);
    check(POST("/v1/responses", body, 400), "/error/code", "previous_response_not_found");
    yyjson_doc_free(GET("/v1/responses/x/nonsense", 404));
    yyjson_doc_free(POST("/v1/responses/x", "", 405));
    world_close();
}

/* A stream is remembered, too; an abandoned one is not. */
static void test_stored_stream(void **state) {
    struct asker a;
    char target[400], id[128];
    (void)state;
    open_mock(false);
    asker_send(&a, HTTP_METHOD_POST, "/v1/responses",
               "{\"model\":\"m\",\"stream\":true,\"input\":\"count plum to 4\"}");
    asker_finish(&a);
    assert_int_equal(a.broken_rules, 0);
    const char *from = memmem(a.bytes.ptr, a.bytes.len, "\"id\":\"resp_", 11);
    assert_non_null(from);
    assert_int_equal(sscanf(from, "\"id\":\"%127[^\"]", id), 1);
    snprintf(target, sizeof target, "/v1/responses/%s", id);
    check(GET(target, 200), "/output/0/content/0/text", "plumn1 plumn2 plumn3 plumn4");
    asker_dispose(&a);
    world_close();
}

/* ---- background ---- */

static void start_background(const char *extra, char id[128]) {
    char body[512];
    snprintf(body, sizeof body, "{\"model\":\"m\",\"background\":true,%s\"input\":\"count plum to 4\"}", extra);
    yyjson_doc *doc = POST("/v1/responses", body, 200);
    assert_string_equal(text_at(doc, "/status"), "queued");
    assert_true(yyjson_is_true(at(doc, "/background")));
    keep_text(doc, "/id", id);
    yyjson_doc_free(doc);
}

static void test_background(void **state) {
    char id[128], target[400];
    (void)state;
    open_mock(false);
    start_background("", id);
    snprintf(target, sizeof target, "/v1/responses/%s", id);
    check(GET(target, 200), "/status", "queued");
    assert_false(sim_run(NULL, NULL, sim_now_ns() + 120 * NS_PER_MS));
    check(GET(target, 200), "/status", "in_progress");
    snprintf(target, sizeof target, "/v1/responses/%s/input_items", id);
    check(GET(target, 200), "/data/0/content/0/text", "count plum to 4");
    yyjson_doc_free(GET("/penstock/wait?completed=1", 200));
    snprintf(target, sizeof target, "/v1/responses/%s", id);
    yyjson_doc *doc = GET(target, 200);
    assert_string_equal(text_at(doc, "/status"), "completed");
    assert_string_equal(text_at(doc, "/output/0/content/0/text"), "plumn1 plumn2 plumn3 plumn4");
    assert_true(yyjson_get_int(at(doc, "/usage/output_tokens")) > 0);
    yyjson_doc_free(doc);
    snprintf(target, sizeof target, "/v1/responses/%s/cancel", id);
    check(POST(target, "", 200), "/status", "completed");
    world_close();
}

static void test_cancel(void **state) {
    char id[128], target[400];
    (void)state;
    open_mock(false);
    start_background("", id);
    assert_false(sim_run(NULL, NULL, sim_now_ns() + 120 * NS_PER_MS));
    snprintf(target, sizeof target, "/v1/responses/%s/cancel", id);
    check(POST(target, "", 200), "/status", "cancelled");
    check(POST(target, "", 200), "/status", "cancelled");
    yyjson_doc_free(GET("/penstock/wait?open_max=0", 200));
    snprintf(target, sizeof target, "/v1/responses/%s", id);
    check(GET(target, 200), "/status", "cancelled");
    yyjson_doc_free(DROP(target, 200));
    yyjson_doc_free(GET(target, 404));
    world_close();
}

/* Whoever reads the stream of one that is cancelled is told so, now and later, and gets no token
 * more. */
static void test_cancelled_stream(void **state) {
    static const char end[] = "\"code\":\"response_cancelled\",\"message\":\"The response was "
                              "cancelled.\",\"param\":null}\n\n";
    struct asker now, later;
    char id[128], target[400];
    (void)state;
    for (unsigned begun = 0; begun < 2; begun++) {
        open_mock(false);
        asker_send(&now, HTTP_METHOD_POST, "/v1/responses",
                   "{\"model\":\"m\",\"background\":true,\"stream\":true,\"input\":\"count plum to 40\"}");
        assert_false(sim_run(NULL, NULL, sim_now_ns() + (begun ? 300 : 1) * NS_PER_MS));
        const char *from = memmem(now.bytes.ptr, now.bytes.len, "\"id\":\"resp_", 11);
        assert_non_null(from);
        assert_int_equal(sscanf(from, "\"id\":\"%127[^\"]", id), 1);
        snprintf(target, sizeof target, "/v1/responses/%s/cancel", id);
        check(POST(target, "", 200), "/status", "cancelled");
        asker_finish(&now);
        assert_int_equal(now.broken_rules, 0);
        assert_int_equal(memmem(now.bytes.ptr, now.bytes.len, "plumn1", 6) != NULL, begun);
        assert_memory_equal(now.bytes.ptr + now.bytes.len - strlen(end), end, strlen(end));
        snprintf(target, sizeof target, "/v1/responses/%s?stream=true", id);
        asker_send(&later, HTTP_METHOD_GET, target, "");
        asker_finish(&later);
        assert_true(slice_eq(buf_slice(&later.bytes), buf_slice(&now.bytes)));
        asker_dispose(&now);
        asker_dispose(&later);
        world_close();
    }
}

/* Three clients: one from the begin, one that comes later, one when all is over. */
static void test_follow(void **state) {
    struct asker all, late, over;
    char id[128], target[400];
    (void)state;
    open_mock(false);
    asker_send(&all, HTTP_METHOD_POST, "/v1/responses",
               "{\"model\":\"m\",\"background\":true,\"stream\":true,\"input\":\"count plum to 40\"}");
    assert_false(sim_run(NULL, NULL, sim_now_ns() + 300 * NS_PER_MS));
    assert_false(all.is_over);
    const char *from = memmem(all.bytes.ptr, all.bytes.len, "\"id\":\"resp_", 11);
    assert_non_null(from);
    assert_int_equal(sscanf(from, "\"id\":\"%127[^\"]", id), 1);
    snprintf(target, sizeof target, "/v1/responses/%s?stream=true&starting_after=3", id);
    asker_send(&late, HTTP_METHOD_GET, target, "");
    asker_finish(&all);
    asker_finish(&late);
    assert_int_equal(all.broken_rules, 0);
    assert_true(all.is_complete);
    struct slice whole = buf_slice(&all.bytes);
    assert_non_null(memmem(whole.ptr, whole.len, "event: response.queued", 22));
    assert_non_null(memmem(late.bytes.ptr, late.bytes.len, "\"sequence_number\":4}", 20));
    assert_null(memmem(late.bytes.ptr, late.bytes.len, "\"sequence_number\":3}", 20));
    /* what the late one got is the end of what the first one got */
    assert_true(late.bytes.len < whole.len);
    assert_memory_equal(late.bytes.ptr, whole.ptr + whole.len - late.bytes.len, late.bytes.len);
    asker_send(&over, HTTP_METHOD_GET, target, "");
    asker_finish(&over);
    assert_true(slice_eq(buf_slice(&over.bytes), buf_slice(&late.bytes)));
    asker_dispose(&all);
    asker_dispose(&late);
    asker_dispose(&over);
    world_close();
}

/* The one who asked has gone: it is made all the same. Stepped, so that nothing depends on time. */
static void test_background_outlives_its_client(void **state) {
    struct asker a;
    char id[128], target[400];
    (void)state;
    open_mock(false);
    asker_send(&a, HTTP_METHOD_POST, "/v1/responses",
               "{\"model\":\"m\",\"background\":true,\"stream\":true,\"input\":\"count plum to 4\",\"metadata\":{\"step\":\"k\"}}");
    settle();
    const char *from = memmem(a.bytes.ptr, a.bytes.len, "\"id\":\"resp_", 11);
    assert_non_null(from);
    assert_int_equal(sscanf(from, "\"id\":\"%127[^\"]", id), 1);
    asker_dispose(&a);
    settle();
    snprintf(target, sizeof target, "/v1/responses/%s", id);
    check(GET(target, 200), "/status", "queued");
    yyjson_doc_free(POST("/penstock/step?key=k&n=1", "", 200));
    check(GET(target, 200), "/status", "in_progress");
    yyjson_doc_free(POST("/penstock/step?key=k&n=all", "", 200));
    yyjson_doc_free(GET("/penstock/wait?completed=1", 200));
    check(GET(target, 200), "/status", "completed");
    world_close();
}

/* The mock ends while one is being made. */
static void test_background_at_the_end(void **state) {
    char id[128];
    (void)state;
    open_mock(false);
    start_background("", id);
    world_close();
}

/* ---- keys ---- */

static void come_with(const char *key) {
    asker_headers[0] = key ? "x-api-key" : NULL;
    asker_headers[1] = key;
}

/* To whom it does not belong it is not there, in whatever way it is asked for. */
static void test_each_key_has_its_own(void **state) {
    static const struct mock_key keys[] = {{.key = "sk-ann"}, {.key = "sk-bob"}};
    char kept[128], made[128], talk[128], target[400], body[512];
    struct mock_options o;
    (void)state;
    mock_options_default(&o);
    o.keys = keys;
    o.n_keys = 2;
    world_open(&plain_sim, &o);
    check(POST("/v1/responses", "{\"model\":\"m\",\"input\":\"a\"}", 401), "/error/type", "invalid_request_error");
    come_with("sk-ann");
    yyjson_doc *doc = POST("/v1/responses", "{\"model\":\"m\",\"input\":\"a\"}", 200);
    keep_text(doc, "/id", kept);
    yyjson_doc_free(doc);
    doc = POST("/v1/conversations", "{}", 200);
    keep_text(doc, "/id", talk);
    yyjson_doc_free(doc);
    start_background("", made);
    for (unsigned i = 0; i < 2; i++) {
        bool is_bob = i == 0;
        come_with(is_bob ? "sk-bob" : "sk-ann");
        snprintf(body, sizeof body, "{\"model\":\"m\",\"input\":\"b\",\"previous_response_id\":\"%s\"}", kept);
        yyjson_doc_free(POST("/v1/responses", body, is_bob ? 400 : 200));
        snprintf(body, sizeof body, "{\"model\":\"m\",\"input\":\"b\",\"conversation\":\"%s\"}", talk);
        yyjson_doc_free(POST("/v1/responses", body, is_bob ? 404 : 200));
        snprintf(target, sizeof target, "/v1/conversations/%s", talk);
        yyjson_doc_free(GET(target, is_bob ? 404 : 200));
        snprintf(target, sizeof target, "/v1/responses/%s/input_items", made);
        yyjson_doc_free(GET(target, is_bob ? 404 : 200));
        snprintf(target, sizeof target, "/v1/responses/%s/cancel", made);
        yyjson_doc_free(POST(target, "", is_bob ? 404 : 200));
        snprintf(target, sizeof target, "/v1/responses/%s", made);
        yyjson_doc_free(GET(target, is_bob ? 404 : 200));
        snprintf(target, sizeof target, "/v1/responses/%s", kept);
        yyjson_doc_free(GET(target, is_bob ? 404 : 200));
        yyjson_doc_free(DROP(target, is_bob ? 404 : 200));
    }
    come_with(NULL);
    world_close();
}

/* ---- compaction ---- */

/* What came out goes in again, and is no longer what it was when somebody has changed it. */
static void test_compact(void **state) {
    char first[128], content[128], body[1024];
    (void)state;
    open_mock(false);
    yyjson_doc *doc = POST("/v1/responses", "{\"model\":\"m\",\"input\":\"echo: plum\"}", 200);
    keep_text(doc, "/id", first);
    yyjson_doc_free(doc);
    snprintf(body, sizeof body, "{\"model\":\"m\",\"previous_response_id\":\"%s\",\"input\":[{\"role\":\"user\","
                                "\"content\":\"and then?\"},{\"role\":\"developer\",\"content\":\"short\"}]}", first);
    doc = POST("/v1/responses/compact", body, 200);
    assert_string_equal(text_at(doc, "/object"), "response.compaction");
    assert_int_equal(yyjson_arr_size(at(doc, "/output")), 3);
    assert_string_equal(text_at(doc, "/output/0/content/0/text"), "echo: plum");
    assert_string_equal(text_at(doc, "/output/1/content/0/text"), "and then?");
    assert_string_equal(text_at(doc, "/output/2/type"), "compaction");
    assert_true(strncmp(text_at(doc, "/output/2/id"), "cmp_", 4) == 0);
    assert_true(yyjson_get_int(at(doc, "/usage/input_tokens")) > 10);
    assert_int_equal(yyjson_get_int(at(doc, "/usage/input_tokens")) + yyjson_get_int(at(doc, "/usage/output_tokens")),
                     yyjson_get_int(at(doc, "/usage/total_tokens")));
    keep_text(doc, "/output/2/encrypted_content", content);
    yyjson_doc_free(doc);
    for (unsigned i = 0; i < 2; i++) {
        snprintf(body, sizeof body, "{\"model\":\"m\",\"input\":[{\"type\":\"compaction\",\"encrypted_content\":\"%s\"},"
                                    "{\"role\":\"user\",\"content\":\"echo: pear\"}]}", content);
        doc = POST("/v1/responses", body, i ? 400 : 200);
        assert_string_equal(text_at(doc, i ? "/error/code" : "/output/0/content/0/text"),
                            i ? "invalid_encrypted_content" : "pear");
        yyjson_doc_free(doc);
        yyjson_doc_free(POST("/v1/responses/compact", body, i ? 400 : 200));
        content[20] = content[20] == 'A' ? 'B' : 'A';
    }
    yyjson_doc_free(POST("/v1/responses/compact", "{\"model\":\"m\"}", 400));
    yyjson_doc_free(GET("/v1/responses/compact", 404));
    world_close();
}

/* ---- conversations ---- */

static void test_conversations(void **state) {
    char id[128], item[128], target[400], body[512];
    (void)state;
    open_mock(false);
    yyjson_doc *doc = POST("/v1/conversations", "{\"metadata\":{\"k\":\"v\"},\"items\":[{\"role\":\"user\",\"content\":\"zero\"}]}", 200);
    assert_string_equal(text_at(doc, "/object"), "conversation");
    keep_text(doc, "/id", id);
    yyjson_doc_free(doc);
    snprintf(body, sizeof body, "{\"model\":\"m\",\"input\":\"echo: one\",\"conversation\":\"%s\"}", id);
    doc = POST("/v1/responses", body, 200);
    assert_string_equal(text_at(doc, "/conversation/id"), id);
    yyjson_doc_free(doc);
    snprintf(target, sizeof target, "/v1/conversations/%s/items?order=asc", id);
    doc = GET(target, 200);
    assert_int_equal(yyjson_arr_size(at(doc, "/data")), 3);
    assert_string_equal(text_at(doc, "/data/2/content/0/text"), "one");
    keep_text(doc, "/data/0/id", item);
    yyjson_doc_free(doc);
    snprintf(target, sizeof target, "/v1/conversations/%s/items/%s", id, item);
    check(GET(target, 200), "/content/0/text", "zero");
    check(DROP(target, 200), "/id", id);
    yyjson_doc_free(GET(target, 404));
    snprintf(target, sizeof target, "/v1/conversations/%s/items", id);
    doc = POST(target, "{\"items\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":\"y\"}]}", 200);
    assert_int_equal(yyjson_arr_size(at(doc, "/data")), 2);
    assert_string_equal(text_at(doc, "/data/1/content/0/type"), "output_text");
    yyjson_doc_free(doc);
    yyjson_doc_free(POST(target, "{\"items\":5}", 400));
    snprintf(target, sizeof target, "/v1/conversations/%s", id);
    check(POST(target, "{\"metadata\":{\"k\":\"w\"}}", 200), "/metadata/k", "w");
    check(GET(target, 200), "/metadata/k", "w");
    yyjson_doc_free(DROP(target, 200));
    yyjson_doc_free(GET(target, 404));
    yyjson_doc_free(POST("/v1/conversations", "{oops", 400));
    world_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_journal),
        cmocka_unit_test(test_journal_finds_by_id),
        cmocka_unit_test(test_journal_tells_the_session),
        cmocka_unit_test(test_journal_of_refusals),
        cmocka_unit_test(test_stray),
        cmocka_unit_test(test_index),
        cmocka_unit_test(test_strict),
        cmocka_unit_test(test_expect),
        cmocka_unit_test(test_stored),
        cmocka_unit_test(test_stored_stream),
        cmocka_unit_test(test_background),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancelled_stream),
        cmocka_unit_test(test_each_key_has_its_own),
        cmocka_unit_test(test_compact),
        cmocka_unit_test(test_follow),
        cmocka_unit_test(test_background_outlives_its_client),
        cmocka_unit_test(test_background_at_the_end),
        cmocka_unit_test(test_conversations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
