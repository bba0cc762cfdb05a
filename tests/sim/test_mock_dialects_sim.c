/* SPDX-License-Identifier: Apache-2.0 */
/* The mock's endpoints on the simulated loop: each dialect's paths, faults, steps and stamps, and
 * what stands beside the dialects. */
#include "mock_world.h"

static const struct sim_options plain_sim = {.seed = 1};

static void open_fast(void) {
    struct mock_options o;
    mock_options_default(&o);
    o.ttft = o.itl = LAW_ZERO;
    world_open(&plain_sim, &o);
}

/* ---- asking in any dialect ---- */

/* extra: further members, like "\"user\":\"x\",". */
static void ask(struct asker *a, const struct api *api, bool stream, const char *model,
                const char *extra, const char *text) {
    char body[4096], target[64];
    const char *form = api->dialect == &dialect_responses     ? "\"input\":\"%s\"}"
                       : api->dialect == &dialect_completions ? "\"max_tokens\":9000,\"prompt\":\"%s\"}"
                       : api->dialect == &dialect_messages
                           ? "\"max_tokens\":9000,\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}"
                           : "\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}";
    int n = snprintf(body, sizeof body, "{\"model\":\"%s\",\"stream\":%s,%s", model,
                     stream ? "true" : "false", extra);
    const char *open = strstr(form, "%s");
    snprintf(body + n, sizeof body - (size_t)n, "%.*s%s%s", (int)(open - form), form, text, open + 2);
    snprintf(target, sizeof target, "/v1%s", api->path);
    asker_send(a, HTTP_METHOD_POST, target, body);
}

/* Ends the bytes, so that they can be looked into as a string. */
static const char *bytes_of(struct asker *a) {
    assert_int_equal(buf_append_byte(&a->bytes, '\0'), 0);
    a->bytes.len--;
    return a->bytes.ptr;
}

static void assert_has(struct asker *a, const char *part) {
    if (!strstr(bytes_of(a), part)) {
        fail_msg("%s: no %s in %s", a->target, part, bytes_of(a));
    }
}

static void post(struct asker *a, const char *target, const char *body, unsigned status,
                 const char *part) {
    asker_send(a, HTTP_METHOD_POST, target, body);
    asker_finish(a);
    if (a->status != status) {
        fail_msg("%s: %u: %s", target, a->status, bytes_of(a));
    }
    assert_has(a, part);
}

static void check_post(const char *target, const char *body, unsigned status, const char *part) {
    struct asker a;
    post(&a, target, body, status, part);
    asker_dispose(&a);
}

static void check_get(const char *target, unsigned status, const char *part) {
    struct asker a;
    asker_send(&a, HTTP_METHOD_GET, target, "");
    asker_finish(&a);
    assert_int_equal(a.status, status);
    assert_has(&a, part);
    asker_dispose(&a);
}

#define FOR_EACH_API(api)                                                                          \
    for (unsigned api##_i = 0; api##_i < API_COUNT; api##_i++)                                     \
        for (const struct api *api = api_at(api##_i); api; api = NULL)

/* ---- streams ---- */

static void test_streams_of_every_dialect(void **state) {
    (void)state;
    open_fast();
    FOR_EACH_API(api) {
        struct asker a;
        ask(&a, api, true, "m", "\"metadata\":{\"stamp\":\"1\"},", "count t to 30");
        asker_finish(&a);
        assert_int_equal(a.status, 200);
        assert_true(a.is_complete);
        assert_int_equal(a.broken_rules + a.broken_frames + a.error_events, 0);
        assert_int_equal(a.frames, 30);
        assert_true(a.has_done);
        for (unsigned k = 0; k < a.frames; k++) {
            assert_true(a.stamps[k] > 0);
        }
        asker_dispose(&a);
    }
    world_close();
}

/* The path without /v1, too. */
static void test_bare_paths(void **state) {
    (void)state;
    open_fast();
    check_post("/messages", "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"echo: hi\"}]}",
               200, "\"text\":\"hi\"");
    check_post("/responses", "{\"model\":\"m\",\"input\":\"echo: hi\"}", 200, "\"text\":\"hi\"");
    check_post("/completions", "{\"model\":\"m\",\"prompt\":\"echo: hi\"}", 200, "\"text\":\"hi\"");
    check_get("/v1/v1/messages", 404, "unknown_url");
    world_close();
}

/* What is due leaves on time whatever the dialect: the pace is of tokens, not of frames. */
static void test_pace(void **state) {
    (void)state;
    FOR_EACH_API(api) {
        struct mock_options o;
        struct asker a;
        mock_options_default(&o);
        o.ttft = LAW_NS(100 * NS_PER_MS);
        o.itl = LAW_NS(20 * NS_PER_MS);
        world_open(&plain_sim, &o);
        ask(&a, api, true, "m", "", "count t to 20");
        asker_finish(&a);
        assert_int_equal(a.frames, 20);
        for (unsigned k = 1; k < a.frames; k++) {
            assert_in_range(a.received[k] - a.received[k - 1], 19 * NS_PER_MS, 21 * NS_PER_MS);
        }
        assert_in_range(a.end_ns - a.start_ns, 500 * NS_PER_MS, 502 * NS_PER_MS);
        asker_dispose(&a);
        world_close();
    }
}

/* Anthropic says that it is alive: once at the beginning, and in long silences. */
static void test_pings(void **state) {
    struct mock_options o;
    struct asker a;
    unsigned pings = 0;
    (void)state;
    mock_options_default(&o);
    o.itl = LAW_NS(40 * NS_PER_S);
    world_open(&plain_sim, &o);
    ask(&a, api_of_dialect(&dialect_messages), true, "m", "", "count t to 3");
    asker_finish(&a);
    for (const char *at = bytes_of(&a); (at = strstr(at, "event: ping")); at++) {
        pings++;
    }
    assert_int_equal(pings, 1 + 3 * 2);
    assert_int_equal(a.frames, 3);
    assert_int_equal(a.broken_rules, 0);
    assert_in_range(a.received[2] - a.received[0], 80 * NS_PER_S, 80 * NS_PER_S + NS_PER_MS);
    asker_dispose(&a);
    world_close();
}

/* ---- steps ---- */

static void step(unsigned written, bool ended) {
    char wanted[80];
    snprintf(wanted, sizeof wanted, "{\"key\":\"k\",\"written\":%u,\"ended\":%s}\n", written,
             ended ? "true" : "false");
    check_post("/penstock/step?key=k&n=1&timeout_ms=1000", "", 200, wanted);
    settle();
}

static void check_steps(const struct api *api, const char *extra) {
    struct asker a;
    open_fast();
    ask(&a, api, true, "m", extra, "count t to 3");
    sim_run(NULL, NULL, sim_now_ns() + NS_PER_S);
    assert_true(a.has_head);
    assert_int_equal(a.frames, 0);
    if (api->dialect->is_sequential) {
        assert_true(a.bytes.len > 0);        /* message_start, response.created */
    }
    for (unsigned k = 1; k <= 3; k++) {
        step(k, false);
        assert_int_equal(a.frames, k);
        assert_false(a.is_over);
    }
    step(4, true);
    assert_true(a.is_over && a.is_complete && a.has_done);
    assert_int_equal(a.broken_rules, 0);
    asker_dispose(&a);
    world_close();
}

static void test_steps(void **state) {
    (void)state;
    FOR_EACH_API(api) {
        const char *user = api->is_anthropic ? "\"metadata\":{\"user_id\":\"step:k\"},"
                                             : "\"user\":\"step:k\",";
        check_steps(api, user);
        check_steps(api, "\"metadata\":{\"step\":\"k\"},");
    }
}

/* ---- faults ---- */

static void ask_fault(struct asker *a, const struct api *api, const char *fault) {
    ask(a, api, true, fault, "", "count t to 10");
    asker_finish(a);
    assert_int_equal(a->status, 200);
}

static void test_faults_in_mid_stream(void **state) {
    (void)state;
    open_fast();
    FOR_EACH_API(api) {
        struct asker a;
        ask_fault(&a, api, "fault/error-event");
        assert_int_equal(a.frames, 3);
        assert_int_equal(a.error_events, 1);
        assert_false(a.has_done);
        assert_has(&a, "The server had an error in the middle of its answer.");
        assert_has(&a, api->is_anthropic ? "\"type\":\"api_error\"" : "\"type\":\"server_error\"");
        asker_dispose(&a);

        ask_fault(&a, api, "fault/malformed");
        assert_int_equal(a.frames, 10);
        assert_int_equal(a.broken_frames, 1);
        assert_true(a.has_done);
        asker_dispose(&a);

        ask_fault(&a, api, "fault/fin");
        assert_int_equal(a.frames, 3);
        assert_false(a.has_failed || a.is_complete || a.has_done);
        asker_dispose(&a);

        ask_fault(&a, api, "fault/cut");
        assert_true(a.has_failed);
        assert_false(a.is_complete);
        asker_dispose(&a);

        ask_fault(&a, api, "fault/no-done");
        assert_int_equal(a.frames, 10);
        assert_false(a.has_failed || a.has_done);
        assert_true(a.broken_rules > 0);
        asker_dispose(&a);
    }
    world_close();
}

static void check_status(const struct api *api, const char *model, unsigned status,
                         const char *part) {
    for (unsigned stream = 0; stream < 2; stream++) {
        struct asker a;
        ask(&a, api, stream, model, "", "hi");
        asker_finish(&a);
        assert_int_equal(a.status, status);
        assert_has(&a, part);
        if (api->is_anthropic) {
            assert_has(&a, "{\"type\":\"error\",\"error\":{");
            assert_true(slice_starts_with(slice_cstr(a.request_id), SLICE("req_")));
            assert_has(&a, a.request_id);
        } else {
            assert_has(&a, "{\"error\":{");
        }
        asker_dispose(&a);
    }
}

static void test_statuses_in_each_vendors_words(void **state) {
    const struct api *messages = api_of_dialect(&dialect_messages);
    const struct api *responses = api_of_dialect(&dialect_responses);
    (void)state;
    open_fast();
    check_status(messages, "fault/401", 401, "authentication_error");
    check_status(messages, "fault/404", 404, "not_found_error");
    check_status(messages, "fault/429", 429, "rate_limit_error");
    check_status(messages, "fault/500", 500, "api_error");
    check_status(messages, "fault/503", 503, "overloaded_error");
    check_status(messages, "fault/529", 529, "overloaded_error");
    check_status(messages, "fault/none", 400, "there is no fault 'none'");
    check_status(responses, "fault/429", 429, "rate_limit_exceeded");
    check_status(responses, "fault/503", 503, "server_overloaded");
    check_status(responses, "fault/401", 401, "invalid_api_key");
    check_post("/v1/messages", "{\"model\":\"m\",", 400, "\"type\":\"invalid_request_error\"");
    check_get("/v1/messages", 405, "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\"");
    check_get("/v1/messages/batches", 404, "\"type\":\"not_found_error\"");
    world_close();
}

/* ---- knobs ---- */

static void test_knobs(void **state) {
    struct asker a;
    (void)state;
    open_fast();
    ask(&a, api_of_dialect(&dialect_messages), true, "m", "\"metadata\":{\"thinking\":\"redacted\"},", "echo: hi");
    asker_finish(&a);
    assert_has(&a, "\"type\":\"redacted_thinking\",\"data\":\"");
    assert_int_equal(a.broken_rules, 0);
    asker_dispose(&a);
    ask(&a, api_of_dialect(&dialect_responses), false, "m", "\"metadata\":{\"thinking\":\"1\",\"cached\":\"2\"},", "echo: hi");
    asker_finish(&a);
    assert_has(&a, "\"type\":\"summary_text\"");
    assert_has(&a, "\"cached_tokens\":2");
    asker_dispose(&a);
    ask(&a, api_of_dialect(&dialect_chat), false, "m", "\"metadata\":{\"thinking\":\"loud\"},", "hi");
    asker_finish(&a);
    assert_int_equal(a.status, 400);
    assert_has(&a, "x-penstock-thinking");
    asker_dispose(&a);
    ask(&a, api_of_dialect(&dialect_completions), false, "m", "\"metadata\":{\"tokens\":\"7\"},", "tell me a story");
    asker_finish(&a);
    assert_has(&a, "\"completion_tokens\":7,");
    asker_dispose(&a);
    world_close();
}

static void test_a_changed_thought_is_refused(void **state) {
    (void)state;
    open_fast();
    check_post("/v1/messages",
               "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":"
               "[{\"type\":\"thinking\",\"thinking\":\"x\",\"signature\":\"eA==\"},{\"type\":\"text\",\"text\":\"a\"}]},"
               "{\"role\":\"user\",\"content\":\"q\"}]}",
               400, "messages.1.content.0: Invalid `signature` in `thinking` block");
    check_post("/v1/chat/completions",
               "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"a\"}]}",
               400, "must be a response to a preceding message");
    check_post("/v1/responses", "{\"model\":\"m\",\"input\":\"q\",\"previous_response_id\":\"resp_9\"}", 400,
               "previous_response_not_found");
    check_get("/v1/responses/resp_9", 404, "Response with id 'resp_9' not found.");
    world_close();
}

/* ---- beside the dialects ---- */

static void test_models(void **state) {
    (void)state;
    open_fast();
    check_get("/v1/models", 200, "{\"object\":\"list\",\"data\":[{\"id\":");
    check_get("/v1/models/a%2Fb", 200, "{\"id\":\"a/b\",\"object\":\"model\"");
    asker_anthropic_version = "2023-06-01";
    check_get("/v1/models", 200, "{\"data\":[{\"type\":\"model\",\"id\":\"");
    check_get("/v1/models", 200, "\"has_more\":false,\"first_id\":\"");
    check_get("/v1/models/claude-x", 200, "{\"type\":\"model\",\"id\":\"claude-x\",\"display_name\":\"claude-x\"");
    check_get("/v1/nothing", 404, "\"type\":\"not_found_error\"");
    asker_anthropic_version = NULL;
    world_close();
}

static int64_t number_after(struct asker *a, const char *key) {
    const char *at = strstr(bytes_of(a), key);
    assert_non_null(at);
    return strtoll(at + strlen(key), NULL, 10);
}

static void test_count_tokens(void **state) {
    static const char members[] = "\"messages\":[{\"role\":\"user\",\"content\":\"echo: how many tokens are these, please?\"}]}";
    char body[256];
    struct asker counted, answered;
    (void)state;
    open_fast();
    snprintf(body, sizeof body, "{\"model\":\"m\",%s", members);
    post(&counted, "/v1/messages/count_tokens", body, 200, "{\"input_tokens\":");
    snprintf(body, sizeof body, "{\"model\":\"m\",\"max_tokens\":9,%s", members);
    post(&answered, "/v1/messages", body, 200, "\"input_tokens\":");
    assert_true(number_after(&counted, "\"input_tokens\":") > 5);
    assert_int_equal(number_after(&counted, "\"input_tokens\":"), number_after(&answered, "\"input_tokens\":"));
    asker_dispose(&counted);
    asker_dispose(&answered);
    check_post("/v1/messages/count_tokens", "{\"model\":\"m\"}", 400, "invalid_request_error");
    check_post("/v1/messages/count_tokens", "{\"model\":\"fault/529\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", 529, "overloaded_error");
    world_close();
}

static void read_vector(struct asker *a, const char *from, double v[3]) {
    const char *at = strstr(bytes_of(a), from);
    assert_non_null(at);
    assert_int_equal(sscanf(strchr(at, '[') + 1, "%lf,%lf,%lf", &v[0], &v[1], &v[2]), 3);
}

static void test_embeddings(void **state) {
    struct asker a;
    double v[3], w[3];
    (void)state;
    open_fast();
    post(&a, "/v1/embeddings", "{\"model\":\"m\",\"input\":[\"a quiet harbour\",\"Harbour, a quiet\",\"else\"],\"dimensions\":3}", 200,
         "\"model\":\"m\",\"usage\":{\"prompt_tokens\":");
    read_vector(&a, "\"index\":0,\"embedding\":", v);
    read_vector(&a, "\"index\":1,\"embedding\":", w);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(v[i] - w[i] < 1e-6 && w[i] - v[i] < 1e-6);
    }
    double square = v[0] * v[0] + v[1] * v[1] + v[2] * v[2];
    assert_true(square > 0.999 && square < 1.001);
    read_vector(&a, "\"index\":2,\"embedding\":", w);
    assert_true(v[0] - w[0] > 1e-6 || w[0] - v[0] > 1e-6);
    asker_dispose(&a);
    check_post("/embeddings", "{\"model\":\"m\",\"input\":[1,2,3],\"dimensions\":1,\"encoding_format\":\"base64\"}", 200,
               "=\"}],\"model\":\"m\",\"usage\":{\"prompt_tokens\":3,\"total_tokens\":3}}");
    check_post("/v1/embeddings", "{\"model\":\"m\",\"input\":[[1,2],[3]]}", 200, "\"index\":1");
    check_post("/v1/embeddings", "{\"model\":\"m\",\"input\":\"\"}", 200, "\"index\":0");
    check_post("/v1/embeddings", "{\"model\":\"m\",\"input\":[]}", 400, "must not be empty");
    check_post("/v1/embeddings", "{\"model\":\"m\",\"input\":[\"a\",1]}", 400, "invalid_type");
    check_post("/v1/embeddings", "{\"model\":\"m\"}", 400, "Missing required parameter: 'input'.");
    check_post("/v1/embeddings", "{\"input\":\"a\"}", 400, "'model'");
    check_post("/v1/embeddings", "{\"model\":\"m\",\"input\":\"a\",\"dimensions\":0}", 400, "dimensions");
    check_post("/v1/embeddings", "{\"model\":\"fault/429\",\"input\":\"a\"}", 429, "rate_limit_exceeded");
    world_close();
}

/* The i-th vector's text; of an answer that has more than one. */
static struct slice vector_text(const struct asker *a, unsigned i) {
    char from[48];
    int n = snprintf(from, sizeof from, "\"index\":%u,\"embedding\":", i);
    const char *at = memmem(a->bytes.ptr, a->bytes.len, from, (size_t)n);
    assert_non_null(at);
    at += n;
    const char *end = memchr(at, '}', (size_t)(a->bytes.ptr + a->bytes.len - at));
    return slice_make(at, (size_t)(end - at));
}

static void ask_many(struct asker *a, const char *model, const char *encoding, unsigned n) {
    char body[4000];
    size_t at = (size_t)snprintf(body, sizeof body,
                                 "{\"model\":\"%s\",\"encoding_format\":\"%s\",\"dimensions\":3072,\"input\":[",
                                 model, encoding);
    for (unsigned i = 0; i < n; i++) {
        at += (size_t)snprintf(body + at, sizeof body - at, "%s\"word%u\"", i ? "," : "", i);
    }
    snprintf(body + at, sizeof body - at, "]}");
    asker_send(a, HTTP_METHOD_POST, "/v1/embeddings", body);
}

/* What is more than a portion leaves portion by portion: the same numbers as alone. */
static void test_many_embeddings(void **state) {
    static const char *const encodings[] = {"float", "base64"};
    struct asker many, one;
    (void)state;
    open_fast();
    for (unsigned k = 0; k < 2; k++) {
        ask_many(&many, "m", encodings[k], 60);
        asker_finish(&many);
        ask_many(&one, "m", encodings[k], 1);
        asker_finish(&one);
        assert_int_equal(many.status, 200);
        assert_non_null(strstr(many.head_text, "transfer-encoding: chunked\n"));
        assert_non_null(strstr(one.head_text, "content-length: "));
        assert_true(slice_eq(vector_text(&many, 0), vector_text(&one, 0)));
        assert_true(vector_text(&many, 59).len > 16000);
        assert_false(slice_eq(vector_text(&many, 59), vector_text(&one, 0)));
        assert_has(&many, "}],\"model\":\"m\",\"usage\":{\"prompt_tokens\":");
        asker_dispose(&many);
        asker_dispose(&one);
    }
    world_close();
}

/* Struck as a whole, and left at any time. */
static void test_many_embeddings_come_to_harm(void **state) {
    struct asker many;
    (void)state;
    open_fast();
    ask_many(&many, "fault/cut", "base64", 60);
    asker_finish(&many);
    assert_true(many.has_failed && many.bytes.len > 400000);
    asker_dispose(&many);
    for (unsigned i = 0; i < 20; i++) {
        ask_many(&many, i % 2 ? "m" : "fault/trickle", "base64", 60);
        sim_run(NULL, NULL, sim_now_ns() + i * NS_PER_MS / 10);
        asker_dispose(&many);
    }
    settle();
    world_close();
}

static void test_moderations(void **state) {
    struct asker a;
    (void)state;
    open_fast();
    post(&a, "/v1/moderations", "{\"input\":[\"a quiet day\",\"I will kill you\"]}", 200,
         "\"model\":\"omni-moderation-latest\",\"results\":[{\"flagged\":false,\"categories\":{\"harassment\":false");
    assert_has(&a, ",{\"flagged\":true,");
    assert_has(&a, "\"violence\":true");
    assert_has(&a, "\"violence\":0.98");
    asker_dispose(&a);
    check_post("/moderations", "{\"model\":\"m\",\"input\":[{\"type\":\"text\",\"text\":\"I hate\"},{\"type\":\"text\",\"text\":\"this\"}]}", 200,
               "\"results\":[{\"flagged\":true");
    check_post("/moderations", "{\"input\":7}", 400, "invalid_type");
    world_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams_of_every_dialect),
        cmocka_unit_test(test_bare_paths),
        cmocka_unit_test(test_pace),
        cmocka_unit_test(test_pings),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_faults_in_mid_stream),
        cmocka_unit_test(test_statuses_in_each_vendors_words),
        cmocka_unit_test(test_knobs),
        cmocka_unit_test(test_a_changed_thought_is_refused),
        cmocka_unit_test(test_models),
        cmocka_unit_test(test_count_tokens),
        cmocka_unit_test(test_embeddings),
        cmocka_unit_test(test_many_embeddings),
        cmocka_unit_test(test_many_embeddings_come_to_harm),
        cmocka_unit_test(test_moderations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
