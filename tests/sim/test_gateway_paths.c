/* SPDX-License-Identifier: Apache-2.0 */
/* Where a path leads, and what goes upstream for it: prefixes, Azure's deployments, endpoints that
 * are passed on or answered by an estimate, lists of models in two shapes, and headers of two
 * families. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "one_exchange.h"

#define VERSION "anthropic-version: 2023-06-01\r\n"
#define HOST "Host: 127.0.0.1:8080\r\n"

static void begin(struct one *o, const char *dialect, const char *more, const char *top) {
    *o = (struct one){.arena = arena_new()};
    buf_init(&o->body, RIG_BUF_BYTES);
    rig_start_dialect(&o->rig, &(struct sim_options){.seed = 3}, dialect, more, top);
}

static void answer_with(struct one *o, const char *status, const char *body) {
    o->rig.script.answer = slice_cstr(arena_printf(o->arena, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", status, strlen(body), body));
}

static void post(struct one *o, const char *path, const char *headers, const char *body) {
    rig_client_dispose(&o->client);
    rig_client_open(&o->rig, &o->client);
    rig_client_post_to(&o->client, path, headers, body);
    run(o);
}

static void get(struct one *o, const char *request) {
    rig_client_dispose(&o->client);
    rig_client_open(&o->rig, &o->client);
    rig_client_send(&o->client, slice_cstr(request));
    rig_client_send(&o->client, SLICE("\r\n"));
    run(o);
}

/* Anything that went upstream, over all connections. */
static bool sent(const struct one *o, const char *text) {
    for (unsigned i = 0; i < o->rig.n_connections; i++) {
        const struct buf *b = &o->rig.connections[i].request;
        if (b->len && memmem(b->ptr, b->len, text, strlen(text)))
            return true;
    }
    return false;
}

#define CHECK(o, condition)                                                                        \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("%s: status %u, body %.*s", #condition, (o)->status, SLICE_FMT(buf_slice(&(o)->body))); \
    } while (0)

static char *body_of(struct one *o, const struct pair_words *w) {
    return arena_printf(o->arena, "{\"model\":\"m\",%s}", w->request);
}

/* ---- prefixes ---- */

static void every_endpoint_has_its_prefixes(void **state) {
    (void)state;
    static const char *const prefixes[] = {"", "/v1", "/openai/v1", "/openai"};
    for (size_t i = 0; i < N_PAIR_WORDS; i++)
        for (size_t k = 0; k < sizeof prefixes / sizeof prefixes[0]; k++) {
            const struct pair_words *w = &pair_words[i];
            struct one o;
            begin(&o, w->dialect, NULL, NULL);
            answer_with(&o, "200 OK", w->whole);
            post(&o, arena_printf(o.arena, "%s%s?beta=true", prefixes[k], w->path + 3), CREDENTIAL, body_of(&o, w));
            CHECK(&o, o.is_whole && o.status == 200);
            CHECK(&o, slice_eq(buf_slice(&o.body), slice_cstr(w->whole)));
            CHECK(&o, sent(&o, arena_printf(o.arena, "POST %s HTTP/1.1\r\n", w->path)));
            end(&o);
        }
}

static void a_deployment_names_the_model(void **state) {
    (void)state;
    static const struct { const char *path, *body, *sent; unsigned status; } rows[] = {
        {"/openai/deployments/m/chat/completions?api-version=x", "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", "{\"model\":\"m\",\"messages\"", 200},
        {"/openai/deployments/renamed/chat/completions", "{ \"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", "{\"model\":\"other\",", 200},
        {"/openai/deployments/%6d/chat/completions", "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", "\"model\":\"m\"", 200},
        {"/openai/deployments/nope/chat/completions", "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", "{\"model\":\"m\",\"messages\"", 200},
        {"/openai/deployments/nope/chat/completions", "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", NULL, 404},
        {"/openai/deployments/m/chat/completions", "{}", NULL, 400},
        {"/openai/deployments/m/chat/completions", "{", NULL, 400},
        {"/openai/deployments/m/chat/completions", "[]", NULL, 400},
        {"/openai/deployments/m/messages", "{}", NULL, 404},
        {"/openai/deployments//chat/completions", "{}", NULL, 404},
        {"/openai/deployments/m", "{}", NULL, 404},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct one o;
        begin(&o, "chat", NULL, NULL);
        answer_with(&o, "200 OK", CHAT_WHOLE);
        post(&o, rows[i].path, "api-key: client-secret\r\n", rows[i].body);
        if (o.status != rows[i].status || !o.is_whole || (rows[i].sent && !sent(&o, rows[i].sent)))
            fail_msg("row %zu: %u %.*s", i, o.status, SLICE_FMT(buf_slice(&o.body)));
        CHECK(&o, rows[i].sent || o.rig.n_connections == 0);
        end(&o);
    }
}

static void a_base_url_may_name_the_model(void **state) {
    (void)state;
    struct one o;
    begin(&o, "chat", "query: api-version=2024-10-21\n", "  - {name: \"a b\", targets: [{provider: up}]}\n");
    answer_with(&o, "200 OK", CHAT_WHOLE);
    post(&o, "/v1/chat/completions", CREDENTIAL, "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
    CHECK(&o, o.status == 200);
    CHECK(&o, sent(&o, "POST /v1/chat/completions?api-version=2024-10-21 HTTP/1.1\r\n"));
    end(&o);
    struct arena *a = arena_new();
    struct config_provider p = {.name = "x", .query = "v=1"};
    struct upstream u = {.config = &p};
    struct err e;
    must(url_parse(SLICE("https://h/openai/deployments/{model}"), a, &u.url, &e));
    assert_true(slice_eq(upstream_target(&u, SLICE("/embeddings"), SLICE("gpt 4/o"), a), SLICE("/openai/deployments/gpt%204%2Fo/embeddings?v=1")));
    must(url_parse(SLICE("https://h/v1"), a, &u.url, &e));
    assert_true(slice_eq(upstream_target(&u, SLICE("/v1/messages"), SLICE("m"), a), SLICE("/v1/messages?v=1")));
    arena_free(a);
}

/* ---- passed on ---- */

#define EMBEDDINGS "{\"object\":\"list\",\"data\":[{\"embedding\":[0.10,2e3]}],\"usage\":{\"prompt_tokens\":8,\"total_tokens\":8}}"

static void embeddings_and_moderations_pass(void **state) {
    (void)state;
    struct one o;
    begin(&o, "chat", NULL, "  - {name: omni-moderation-latest, targets: [{provider: up}]}\n");
    answer_with(&o, "200 OK", EMBEDDINGS);
    post(&o, "/v1/embeddings", CREDENTIAL, "{\"input\": [1, 2.50], \"model\" : \"renamed\"}");
    CHECK(&o, o.status == 200 && slice_eq(buf_slice(&o.body), SLICE(EMBEDDINGS)));
    CHECK(&o, sent(&o, "POST /v1/embeddings HTTP/1.1\r\n") && sent(&o, "{\"input\": [1, 2.50], \"model\" : \"other\"}"));
    CHECK(&o, meter_get(&o.rig.worker->meter->providers[0].tokens_in) == 8);
    post(&o, "/openai/deployments/m/embeddings", CREDENTIAL, "{\"input\":\"x\"}");
    CHECK(&o, o.status == 200 && sent(&o, "{\"model\":\"m\",\"input\":\"x\"}"));
    answer_with(&o, "200 OK", "{\"results\":[]}");
    post(&o, "/v1/moderations", CREDENTIAL, "{\"input\":\"x\"}");
    CHECK(&o, o.status == 200 && holds(&o, "{\"results\":[]}") && sent(&o, "POST /v1/moderations HTTP/1.1\r\n"));
    post(&o, "/v1/embeddings", CREDENTIAL, "{\"input\":\"x\"}");
    CHECK(&o, o.status == 400 && holds(&o, "\"param\":\"model\""));
    answer_with(&o, "200 OK", "nope");
    post(&o, "/v1/embeddings", CREDENTIAL, "{\"input\":\"x\",\"model\":\"m\"}");
    CHECK(&o, o.status == 502 && holds(&o, "bad_gateway"));
    answer_with(&o, "404 No", "{\"error\":{\"message\":\"no such\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":null}}");
    post(&o, "/v1/embeddings", CREDENTIAL, "{\"input\":\"x\",\"model\":\"m\"}");
    CHECK(&o, o.status == 404 && holds(&o, "no such"));
    end(&o);
}

static void a_provider_without_embeddings_says_so(void **state) {
    (void)state;
    struct one o;
    begin(&o, "messages", NULL, NULL);
    post(&o, "/v1/embeddings", CREDENTIAL, "{\"input\":\"x\",\"model\":\"m\"}");
    CHECK(&o, o.status == 400 && holds(&o, "has no /embeddings") && holds(&o, "\"param\":\"model\""));
    assert_int_equal(o.rig.n_connections, 0);
    end(&o);
}

/* ---- counting ---- */

static void tokens_are_counted_by_the_provider_or_estimated(void **state) {
    (void)state;
    static const char body[] = "{\"model\":\"renamed\",\"messages\":[{\"role\":\"user\",\"content\":\"hello there\"}]}";
    struct one o;
    begin(&o, "messages", NULL, NULL);
    answer_with(&o, "200 OK", "{\"input_tokens\":42}");
    post(&o, "/v1/messages/count_tokens?beta=true", "x-api-key: k\r\n" VERSION, body);
    CHECK(&o, o.status == 200 && slice_eq(buf_slice(&o.body), SLICE("{\"input_tokens\":42}")));
    CHECK(&o, sent(&o, "POST /v1/messages/count_tokens HTTP/1.1\r\n") && sent(&o, "{\"model\":\"other\","));
    end(&o);
    uint64_t counts[2];
    for (int i = 0; i < 2; i++) {
        begin(&o, "chat", NULL, NULL);
        post(&o, "/v1/messages/count_tokens", "x-api-key: k\r\n" VERSION,
             i ? "{\"model\":\"m\",\"system\":\"You are a very helpful assistant indeed.\",\"messages\":[{\"role\":\"user\",\"content\":\"hello there\"}],"
                 "\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"}}]}"
               : body);
        CHECK(&o, o.status == 200 && slice_starts_with(buf_slice(&o.body), SLICE("{\"input_tokens\":")));
        struct slice number = slice_from(buf_slice(&o.body), 16);
        CHECK(&o, slice_to_u64(slice_sub(number, 0, number.len - 1), 1000000, &counts[i]));
        assert_int_equal(o.rig.n_connections, 0);
        assert_int_equal(rig_ended(&o.rig, END_OK, false), 1);
        end(&o);
    }
    assert_true(counts[0] > 0 && counts[1] > counts[0] + 10);
    begin(&o, "chat", NULL, NULL);
    post(&o, "/v1/messages/count_tokens", VERSION, "{\"model\":\"m\"}");
    CHECK(&o, o.status == 400 && holds(&o, "\"type\":\"error\"") && holds(&o, "messages"));
    end(&o);
}

/* ---- models ---- */

#define MORE_MODELS                                                                                \
    "  - {name: \"org/a\", targets: [{provider: up}]}\n  - {name: b, targets: [{provider: up}]}\n  - {name: \"c-*\", targets: [{provider: up}]}\n"

static void models_come_in_two_shapes(void **state) {
    (void)state;
    static const struct {
        const char *request;
        unsigned status;
        const char *has, *has_not;
    } rows[] = {
        {"GET /v1/models HTTP/1.1\r\n" HOST, 200,
         "{\"object\":\"list\",\"data\":[{\"id\":\"m\",\"object\":\"model\"", "display_name"},
        {"GET /models HTTP/1.1\r\n" HOST, 200, "\"id\":\"org/a\"", "display_name"},
        {"GET /openai/v1/models HTTP/1.1\r\n" HOST, 200, "\"id\":\"org/a\"", "display_name"},
        {"GET /v1/models HTTP/1.1\r\n" HOST VERSION, 200,
         "{\"data\":[{\"type\":\"model\",\"id\":\"m\",\"display_name\":\"m\",\"created_at\":\"2023-11-14T",
         "\"object\""},
        {"GET /v1/models HTTP/1.1\r\n" HOST VERSION, 200,
         "\"has_more\":false,\"first_id\":\"m\",\"last_id\":\"c-*\"}", "\"object\""},
        {"GET /v1/models?limit=2 HTTP/1.1\r\n" HOST VERSION, 200,
         "\"has_more\":true,\"first_id\":\"m\",\"last_id\":\"renamed\"}", "org/a"},
        {"GET /v1/models?limit=2&after_id=renamed HTTP/1.1\r\n" HOST VERSION, 200,
         "\"has_more\":true,\"first_id\":\"org/a\",\"last_id\":\"b\"}", "\"m\""},
        {"GET /v1/models?limit=2&after_id=b HTTP/1.1\r\n" HOST VERSION, 200,
         "\"has_more\":false,\"first_id\":\"c-*\",\"last_id\":\"c-*\"}", "\"m\""},
        {"GET /v1/models?after_id=c-* HTTP/1.1\r\n" HOST VERSION, 200,
         "{\"data\":[],\"has_more\":false,\"first_id\":null,\"last_id\":null}", "\"m\""},
        {"GET /v1/models?limit=2&before_id=b HTTP/1.1\r\n" HOST VERSION, 200,
         "\"has_more\":true,\"first_id\":\"renamed\",\"last_id\":\"org/a\"}", "\"m\""},
        {"GET /v1/models?before_id=renamed HTTP/1.1\r\n" HOST VERSION, 200,
         "\"has_more\":false,\"first_id\":\"m\",\"last_id\":\"m\"}", "org/a"},
        {"GET /v1/models?before_id=m&after_id=b HTTP/1.1\r\n" HOST VERSION, 200,
         "{\"data\":[],\"has_more\":false,\"first_id\":null", "org/a"},
        {"GET /v1/models?limit=0&after_id=nope HTTP/1.1\r\n" HOST VERSION, 200,
         "\"first_id\":\"m\"", "nope"},
        {"GET /v1/models/org%2Fa HTTP/1.1\r\n" HOST, 200, "{\"id\":\"org/a\",\"object\":\"model\"",
         "display_name"},
        {"GET /v1/models/org/a HTTP/1.1\r\n" HOST, 200, "{\"id\":\"org/a\",\"object\":\"model\"",
         "display_name"},
        {"GET /v1/models/org%2Fa HTTP/1.1\r\n" HOST VERSION, 200,
         "{\"type\":\"model\",\"id\":\"org/a\",\"display_name\":\"org/a\",\"created_at\":\"",
         "\"object\""},
        {"GET /v1/models/c-7 HTTP/1.1\r\n" HOST VERSION, 200, "\"id\":\"c-7\"", "\"object\""},
        {"GET /v1/models/nope HTTP/1.1\r\n" HOST VERSION, 404,
         "{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\",", "\"object\""},
        {"GET /v1/models/nope HTTP/1.1\r\n" HOST, 404, "\"code\":\"model_not_found\"",
         "not_found_error"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct one o;
        begin(&o, "chat", NULL, MORE_MODELS);
        get(&o, rows[i].request);
        if (o.status != rows[i].status || !holds(&o, rows[i].has) || holds(&o, rows[i].has_not))
            fail_msg("%s: %u %.*s", rows[i].request, o.status, SLICE_FMT(buf_slice(&o.body)));
        end(&o);
    }
}

/* ---- probes and refusals ---- */

static void probes_and_refusals_are_in_the_clients_words(void **state) {
    (void)state;
    static const struct { const char *request; unsigned status; const char *has; } rows[] = {
        {"GET / HTTP/1.1\r\n" HOST, 200, "penstock"},
        {"GET /v1/messages HTTP/1.1\r\n" HOST, 405, "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\""},
        {"GET /v1/responses HTTP/1.1\r\n" HOST, 405, "method_not_supported"},
        {"GET /v1/nope HTTP/1.1\r\n" HOST VERSION, 404, "\"type\":\"not_found_error\""},
        {"GET /v1/nope HTTP/1.1\r\n" HOST, 404, "unknown_url"},
        {"GET /v1/health HTTP/1.1\r\n" HOST, 404, "unknown_url"},
        {"GET /v1 HTTP/1.1\r\n" HOST, 404, "unknown_url"},
        {"GET /v1/ HTTP/1.1\r\n" HOST, 404, "unknown_url"},
        {"GET /v1/messages HTTP/1.1\r\nHost: evil.example\r\n", 403, "\"type\":\"permission_error\""},
        {"POST /v1/messages HTTP/1.1\r\n" HOST "Content-Type: text/plain\r\nContent-Length: 0\r\n", 415, "{\"type\":\"error\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct one o;
        begin(&o, "chat", NULL, NULL);
        get(&o, rows[i].request);
        if (!holds(&o, rows[i].has) || (o.status != rows[i].status && rows[i].status != 415))
            fail_msg("%s: %u %.*s", rows[i].request, o.status, SLICE_FMT(buf_slice(&o.body)));
        CHECK(&o, rig_header(o.head, "x-request-id").len == 26);
        end(&o);
    }
    static const char *const heads[] = {"HEAD / HTTP/1.1\r\n" HOST, "HEAD /v1/messages HTTP/1.1\r\n" HOST, "HEAD /v1/models HTTP/1.1\r\n" HOST VERSION};
    static const char *const lines[] = {"HTTP/1.1 200 ", "HTTP/1.1 405 ", "HTTP/1.1 200 "};
    for (size_t i = 0; i < 3; i++) {
        struct one o;
        begin(&o, "chat", NULL, NULL);
        rig_client_open(&o.rig, &o.client);
        rig_client_send(&o.client, slice_cstr(heads[i]));
        rig_client_send(&o.client, SLICE("\r\n"));
        sim_run(NULL, NULL, sim_now_ns() + NS_PER_S);
        struct slice in = buf_slice(&o.client.in);
        assert_true(slice_starts_with(in, slice_cstr(lines[i])));
        assert_memory_equal(in.ptr + in.len - 4, "\r\n\r\n", 4);
        end(&o);
    }
}

static void bad_requests_are_told_in_the_clients_words(void **state) {
    (void)state;
    static const struct { const char *body; unsigned status; const char *has; } rows[] = {
        {"{\"model\":\"m\",", 400, "\"type\":\"invalid_request_error\""},
        {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", 400, "max_tokens"},
        {"{\"model\":\"nope\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", 404, "\"type\":\"not_found_error\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct one o;
        begin(&o, "chat", NULL, NULL);
        post(&o, "/v1/messages", VERSION, rows[i].body);
        if (o.status != rows[i].status || !holds(&o, rows[i].has) || !holds(&o, "\"type\":\"error\""))
            fail_msg("%s: %u %.*s", rows[i].body, o.status, SLICE_FMT(buf_slice(&o.body)));
        struct slice id = rig_header(o.head, "request-id");
        CHECK(&o, slice_eq(id, rig_header(o.head, "x-request-id")) && id.len == 26);
        CHECK(&o, holds(&o, arena_printf(o.arena, "\"request_id\":\"%.*s\"", SLICE_FMT(id))));
        end(&o);
    }
}

/* ---- headers ---- */

#define CHAT_BODY "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
#define MESSAGES_BODY "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"

static void betas_go_to_their_own_family(void **state) {
    (void)state;
    struct one o;
    begin(&o, "messages", NULL, NULL);
    answer_with(&o, "200 OK\r\nrequest-id: req_up", MESSAGES_WHOLE);
    post(&o, "/v1/messages", "x-api-key: client-secret\r\nanthropic-beta: a-1,b-2\r\nopenai-organization: org\r\n", MESSAGES_BODY);
    CHECK(&o, o.status == 200 && sent(&o, "anthropic-beta: a-1,b-2\r\n") && !sent(&o, "org\r\n"));
    CHECK(&o, sent(&o, "x-api-key: sk-secret\r\n") && !sent(&o, "client-secret") && !sent(&o, "authorization"));
    CHECK(&o, slice_eq(rig_header(o.head, "x-upstream-request-id"), SLICE("req_up")));
    end(&o);
    begin(&o, "messages", NULL, NULL);
    answer_with(&o, "200 OK", MESSAGES_WHOLE);
    post(&o, "/v1/chat/completions", CREDENTIAL "anthropic-beta: a-1\r\n", CHAT_BODY);
    CHECK(&o, o.status == 200 && !sent(&o, "anthropic-beta") && sent(&o, "anthropic-version: 2023-06-01\r\n"));
    end(&o);
    begin(&o, "chat", NULL, NULL);
    answer_with(&o, "200 OK", CHAT_WHOLE);
    post(&o, "/v1/messages", VERSION "x-api-key: client-secret\r\nanthropic-beta: a-1\r\n", MESSAGES_BODY);
    CHECK(&o, o.status == 200 && !sent(&o, "anthropic-") && !sent(&o, "x-api-key") && sent(&o, "authorization: Bearer sk-secret\r\n"));
    end(&o);
}

static void a_long_wait_is_no_reason_to_sleep(void **state) {
    (void)state;
    static const struct { const char *headers; bool says_no; } rows[] = {
        {"Retry-After: 60", false}, {"Retry-After: 61", true}, {"Retry-After: 3600.5", true}, {"Retry-After: soon", false},
        {"Retry-After: 99\r\nx-should-retry: true", false}, {"X: y", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct one o;
        begin(&o, "messages", NULL, NULL);
        answer_with(&o, arena_printf(o.arena, "429 Slow\r\n%s", rows[i].headers), MESSAGES_ERROR);
        post(&o, "/v1/messages", "x-api-key: k\r\n", MESSAGES_BODY);
        CHECK(&o, o.status == 429 && slice_eq(rig_header(o.head, "x-should-retry"), SLICE("false")) == rows[i].says_no);
        end(&o);
    }
}

static void a_spent_quota_is_final(void **state) {
    (void)state;
    struct one o;
    begin(&o, "messages", NULL, NULL);
    answer_with(&o, "402 Pay\r\nRetry-After: 5", "{\"type\":\"error\",\"error\":{\"type\":\"billing_error\",\"message\":\"Pay first\"}}");
    post(&o, "/v1/chat/completions", CREDENTIAL, CHAT_BODY);
    CHECK(&o, o.status == 429 && holds(&o, "\"code\":\"insufficient_quota\"") && holds(&o, "Pay first"));
    CHECK(&o, rig_header(o.head, "retry-after").len == 0 && slice_eq(rig_header(o.head, "x-should-retry"), SLICE("false")));
    end(&o);
}

static void requests_are_counted_by_dialect(void **state) {
    (void)state;
    struct one o;
    begin(&o, "messages", NULL, NULL);
    answer_with(&o, "200 OK", MESSAGES_WHOLE);
    post(&o, "/v1/chat/completions", CREDENTIAL, CHAT_BODY);
    CHECK(&o, o.status == 200);
    get(&o, "GET /metrics HTTP/1.1\r\n" HOST);
    CHECK(&o, holds(&o, "penstock_requests_by_dialect_total{client=\"chat\",upstream=\"messages\"} 1\n"));
    CHECK(&o, holds(&o, "penstock_requests_by_dialect_total{client=\"messages\",upstream=\"chat\"} 0\n"));
    CHECK(&o, holds(&o, "penstock_dropped_fields_total{provider=\"up\"} 0\n"));
    CHECK(&o, holds(&o, "penstock_order_violations_total{provider=\"up\",from=\"upstream\"} 0\n"));
    end(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_endpoint_has_its_prefixes),
        cmocka_unit_test(a_deployment_names_the_model),
        cmocka_unit_test(a_base_url_may_name_the_model),
        cmocka_unit_test(embeddings_and_moderations_pass),
        cmocka_unit_test(a_provider_without_embeddings_says_so),
        cmocka_unit_test(tokens_are_counted_by_the_provider_or_estimated),
        cmocka_unit_test(models_come_in_two_shapes),
        cmocka_unit_test(probes_and_refusals_are_in_the_clients_words),
        cmocka_unit_test(bad_requests_are_told_in_the_clients_words),
        cmocka_unit_test(betas_go_to_their_own_family),
        cmocka_unit_test(a_long_wait_is_no_reason_to_sleep),
        cmocka_unit_test(a_spent_quota_is_final),
        cmocka_unit_test(requests_are_counted_by_dialect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
