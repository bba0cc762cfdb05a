/* SPDX-License-Identifier: Apache-2.0 */
/* Every client dialect on every upstream dialect: the same answer, streamed and whole, however the
 * bytes are split; errors, cuts, leavers and answers of the wrong kind. The client's side is read
 * with the decoder of its dialect, and held against its grammar. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dialect/proof.h"
#include "gateway/relay.h"
#include "one_exchange.h"
#include "sse/sse.h"

#define STREAM_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
#define HALF_MINUTE (30 * NS_PER_S)

/* ---- one exchange ---- */

static char *request_of(struct arena *a, const struct pair_words *w, bool stream) {
    bool asks_usage = stream && (strcmp(w->dialect, "chat") == 0 || strcmp(w->dialect, "completions") == 0);
    return arena_printf(a, "{\"model\":\"m\"%s%s,%s}", stream ? ",\"stream\":true" : "",
                        asks_usage ? ",\"stream_options\":{\"include_usage\":true}" : "", w->request);
}

static void begin(struct one *o, const struct sim_options *options, const struct pair_words *from,
                  const struct pair_words *to, const char *more, const char *top,
                  struct rig_script script, bool stream) {
    *o = (struct one){.from = from, .to = to, .arena = arena_new()};
    buf_init(&o->body, RIG_BUF_BYTES);
    rig_start_dialect(&o->rig, options, to->dialect, more, top);
    o->rig.script = script;
    rig_client_open(&o->rig, &o->client);
    rig_client_post_to(&o->client, from->path, CREDENTIAL, request_of(o->arena, from, stream));
}

#define FAIL(o, what)                                                                              \
    fail_msg("%s client, %s upstream: %s: status %u, body\n%.*s", (o)->from->dialect,              \
             (o)->to->dialect, what, (o)->status, SLICE_FMT(buf_slice(&(o)->body)))
#define CHECK(o, condition)                                                                        \
    do {                                                                                           \
        if (!(condition))                                                                          \
            FAIL(o, #condition);                                                                   \
    } while (0)

static bool is(const struct pair_words *w, const char *dialect) {
    return strcmp(w->dialect, dialect) == 0;
}

static struct rig_script whole_script(struct arena *a, const char *status, const char *type,
                                      const char *body) {
    return (struct rig_script){.answer = slice_cstr(arena_printf(
                                   a, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
                                   status, type, strlen(body), body))};
}

static struct rig_script stream_script(struct arena *a, const char *body) {
    return (struct rig_script){.answer = slice_cstr(arena_printf(a, STREAM_HEAD "%s", body)), .then = RIG_FIN};
}

/* Translations to completions do not exist: it is an old dialect that only clients speak. */
static bool can_pair(const struct pair_words *from, const struct pair_words *to) {
    return from == to || !is(to, "completions");
}

typedef void pair_fn(const struct pair_words *from, const struct pair_words *to);

static void for_foreign_pairs(pair_fn *fn) {
    for (size_t i = 0; i < N_PAIR_WORDS; i++)
        for (size_t k = 0; k < N_PAIR_WORDS; k++)
            if (i != k && can_pair(&pair_words[i], &pair_words[k]))
                fn(&pair_words[i], &pair_words[k]);
}

static void for_all_pairs(pair_fn *fn) {
    for (size_t i = 0; i < N_PAIR_WORDS; i++)
        fn(&pair_words[i], &pair_words[i]);
    for_foreign_pairs(fn);
}

/* ---- reading what the client got ---- */

struct reading {
    const struct dialect *dialect;
    struct decoder *decoder;
    struct checker *checker;
    struct answer *answer;
    struct err e;
    bool saw_end, saw_error;
};

static int on_event(void *self, const struct event *ev) {
    struct reading *r = self;
    r->saw_end |= ev->kind == EV_END;
    r->saw_error |= ev->kind == EV_ERROR;
    return answer_add(r->answer, ev);
}

static int on_frame(void *self, const struct sse_frame *f) {
    struct reading *r = self;
    struct event_sink sink = {on_event, r};
    if (!(f->flags & SSE_DATA))
        return 0;
    if (r->dialect->checker_frame(r->checker, f, &r->e) < 0)
        return -ERR_PROTOCOL;
    return r->dialect->decoder_feed(r->decoder, f, &sink, &r->e);
}

static void reading_open(struct reading *r, const char *dialect) {
    *r = (struct reading){.dialect = dialect_find(slice_cstr(dialect))};
    assert_non_null(r->dialect);
    r->decoder = r->dialect->decoder_new();
    r->checker = r->dialect->checker_new();
    r->answer = answer_new((size_t)16 << 20);
}

static void reading_close(struct reading *r) {
    r->dialect->decoder_free(r->decoder);
    r->dialect->checker_free(r->checker);
    answer_free(r->answer);
}

/* A stream that its client takes for complete, or for failed. */
static int read_stream(struct reading *r, const char *dialect, struct slice body) {
    struct sse_parser p;
    struct sse_sink sink = {on_frame, r};
    reading_open(r, dialect);
    sse_parser_init(&p, NULL);
    int rc = sse_parser_feed(&p, body, &sink, &r->e);
    if (rc == 0)
        rc = sse_parser_finish(&p, &sink, &r->e);
    if (rc == 0 && !r->saw_error)
        rc = r->dialect->checker_end(r->checker, &r->e);
    sse_parser_dispose(&p);
    return rc;
}

static int read_whole(struct reading *r, const char *dialect, struct slice body) {
    struct event_sink sink = {on_event, r};
    reading_open(r, dialect);
    return r->dialect->decode_response(body, &sink, &r->e);
}

/* The first of its kind; its text is NULL when there is none. */
static struct answer_block block_of(const struct answer *an, enum block_kind kind) {
    const struct answer_block *blocks;
    unsigned n = answer_blocks(an, &blocks);
    for (unsigned i = 0; i < n; i++)
        if (blocks[i].kind == kind)
            return blocks[i];
    return (struct answer_block){.kind = BLOCK_KIND_COUNT};
}

static void expect_answer(const struct one *o, const struct reading *r) {
    struct answer_block text = block_of(r->answer, BLOCK_TEXT),
                        call = block_of(r->answer, BLOCK_TOOL_CALL);
    const struct answer_choice *choice;
    const struct usage *usage = answer_usage(r->answer);
    CHECK(o, slice_eq(text.text, SLICE(PAIR_TEXT)));
    CHECK(o, answer_choices(r->answer, &choice) == 1 && choice->has_finish);
    if (is(o->from, "completions") || is(o->to, "completions")) {
        CHECK(o, call.kind == BLOCK_KIND_COUNT && choice->finish.reason == STOP_END);
    } else {
        CHECK(o, slice_eq(call.tool_name, SLICE("weather")));
        CHECK(o, call.tool_id.len > 0);
        CHECK(o, slice_eq(call.text, SLICE(PAIR_ARGS)));
        CHECK(o, choice->finish.reason == STOP_TOOL);
    }
    CHECK(o, usage && usage->in_total == PAIR_IN && usage->out_total == PAIR_OUT);
    if (o->from != o->to)
        CHECK(o, slice_eq(answer_start(r->answer)->model, SLICE("m")));
}

static void expect_stream(const struct one *o) {
    struct reading r;
    CHECK(o, o->is_whole && o->status == 200);
    CHECK(o, slice_starts_with(rig_header(o->head, "content-type"), SLICE("text/event-stream")));
    int rc = read_stream(&r, o->from->dialect, buf_slice(&o->body));
    if (rc < 0 || !r.saw_end || r.saw_error)
        FAIL(o, r.e.text);
    expect_answer(o, &r);
    reading_close(&r);
    CHECK(o, rig_ended(&o->rig, END_OK, true) == 1);
}

static void expect_json(const struct one *o) {
    struct reading r;
    CHECK(o, o->is_whole && o->status == 200);
    CHECK(o, slice_eq(rig_header(o->head, "content-type"), SLICE("application/json")));
    if (read_whole(&r, o->from->dialect, buf_slice(&o->body)) < 0 || r.saw_error)
        FAIL(o, r.e.text);
    expect_answer(o, &r);
    reading_close(&r);
    CHECK(o, rig_ended(&o->rig, END_OK, false) == 1);
}

/* What every answer has to have, whatever was asked. */
static void expect_headers(const struct one *o) {
    CHECK(o, rig_header(o->head, "x-request-id").len > 0);
    CHECK(o, (rig_header(o->head, "request-id").len > 0) == is(o->from, "messages"));
}

/* ---- answers ---- */

static void stream_pair(const struct pair_words *from, const struct pair_words *to) {
    static const size_t reads[] = {0, 1, 7, 50};
    struct buf first;
    buf_init(&first, RIG_BUF_BYTES);
    for (size_t i = 0; i < sizeof reads / sizeof reads[0]; i++) {
        struct one o;
        begin(&o, &(struct sim_options){.seed = 9, .max_read_bytes = reads[i]}, from, to, NULL,
              NULL, (struct rig_script){0}, true);
        o.rig.script = stream_script(o.arena, to->stream);
        run(&o);
        expect_stream(&o);
        expect_headers(&o);
        if (from == to)
            CHECK(&o, slice_eq(buf_slice(&o.body), slice_cstr(to->stream)));
        if (i == 0)
            must(buf_append(&first, buf_slice(&o.body)));
        CHECK(&o, slice_eq(buf_slice(&first), buf_slice(&o.body)));
        end(&o);
    }
    buf_dispose(&first);
}

static void every_pair_streams_the_same_at_every_split(void **state) {
    (void)state;
    for_all_pairs(stream_pair);
}

static void whole_pair(const struct pair_words *from, const struct pair_words *to) {
    struct one o;
    begin(&o, &(struct sim_options){.seed = 2, .max_read_bytes = 11}, from, to, NULL, NULL,
          (struct rig_script){0}, false);
    o.rig.script = whole_script(o.arena, "200 OK", "application/json", to->whole);
    run(&o);
    expect_json(&o);
    expect_headers(&o);
    if (from == to)
        CHECK(&o, slice_eq(buf_slice(&o.body), slice_cstr(to->whole)));
    end(&o);
}

static void every_pair_answers_whole(void **state) {
    (void)state;
    for_all_pairs(whole_pair);
}

/* ---- requests ---- */

static struct slice sent_body(const struct one *o) {
    struct slice all = buf_slice(&o->rig.connections[0].request);
    const char *at = all.len ? memmem(all.ptr, all.len, "\r\n\r\n", 4) : NULL;
    return at ? slice_from(all, (size_t)(at - all.ptr) + 4) : SLICE("");
}

static bool sent(const struct one *o, const char *text) {
    struct slice all = buf_slice(&o->rig.connections[0].request);
    return all.len && memmem(all.ptr, all.len, text, strlen(text)) != NULL;
}

static void request_pair(const struct pair_words *from, const struct pair_words *to) {
    struct one o;
    struct envelope env;
    struct request_fault fault = {0};
    begin(&o, &(struct sim_options){.seed = 2}, from, to, NULL, NULL, (struct rig_script){0}, true);
    o.rig.script = stream_script(o.arena, to->stream);
    run(&o);
    const struct dialect *d = dialect_find(slice_cstr(to->dialect));
    if (d->peek_request(sent_body(&o), o.arena, &env, &fault) < 0)
        FAIL(&o, fault.message);
    CHECK(&o, slice_eq(env.model, SLICE("m")) && env.stream);
    CHECK(&o, sent(&o, "POST /v1"));
    CHECK(&o, !sent(&o, "client-secret"));
    CHECK(&o, sent(&o, is(to, "messages") ? "x-api-key: sk-secret\r\n" : "authorization: Bearer sk-secret\r\n"));
    CHECK(&o, sent(&o, "anthropic-version: 2023-06-01\r\n") == is(to, "messages"));
    CHECK(&o, sent(&o, is(to, "completions") || is(from, "completions") ? "hi" : "weather"));
    end(&o);
}

static void requests_go_up_in_the_upstreams_words(void **state) {
    (void)state;
    for_all_pairs(request_pair);
}

static void passthrough_pair(const struct pair_words *from, const struct pair_words *to) {
    struct one o;
    begin(&o, &(struct sim_options){.seed = 2}, from, to, "auth: passthrough\n", NULL,
          (struct rig_script){0}, false);
    o.rig.script = whole_script(o.arena, "200 OK", "application/json", to->whole);
    run(&o);
    CHECK(&o, sent(&o, is(to, "messages") ? "x-api-key: client-secret\r\n" : "authorization: Bearer client-secret\r\n"));
    CHECK(&o, !sent(&o, "sk-secret"));
    end(&o);
}

static void the_clients_own_key_changes_its_header(void **state) {
    (void)state;
    for_foreign_pairs(passthrough_pair);
}

static void renamed_models_and_dropped_fields(void **state) {
    (void)state;
    struct one o;
    begin(&o, &(struct sim_options){.seed = 2}, &pair_words[0], &pair_words[1], NULL, NULL,
          (struct rig_script){0}, true);
    rig_client_dispose(&o.client);
    o.rig.script = stream_script(o.arena, MESSAGES_STREAM);
    rig_client_open(&o.rig, &o.client);
    rig_client_post_to(&o.client, "/v1/chat/completions", CREDENTIAL,
                       "{\"model\":\"renamed\",\"stream\":true,\"seed\":7,\"logit_bias\":{\"1\":2},"
                       "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
    run(&o);
    CHECK(&o, sent(&o, "\"model\":\"other\""));
    CHECK(&o, holds(&o, "\"model\":\"renamed\"") && !holds(&o, "\"model\":\"other\""));
    struct slice dropped = rig_header(o.head, "x-penstock-dropped");
    CHECK(&o, dropped.len && memmem(dropped.ptr, dropped.len, "logit_bias", 10));
    CHECK(&o, meter_get(&o.rig.worker->meter->providers[0].dropped_fields) >= 2);
    end(&o);
}

/* A conversation that was with another provider before comes to one of the client's own dialect. */
static void send_thought(struct one *o, const char *provider_more, const char *signature) {
    begin(o, &(struct sim_options){.seed = 2}, &pair_words[1], &pair_words[1], provider_more, NULL,
          (struct rig_script){0}, true);
    rig_client_dispose(&o->client);
    o->rig.script = stream_script(o->arena, MESSAGES_STREAM);
    rig_client_open(&o->rig, &o->client);
    rig_client_post_to(&o->client, "/v1/messages", CREDENTIAL,
                       arena_printf(o->arena,
                                    "{\"model\":\"m\",\"stream\":true,\"max_tokens\":9,\"odd\":1.0,"
                                    "\"messages\":[{\"role\":\"user\",\"content\":\"a\"},"
                                    "{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\","
                                    "\"thinking\":\"Hm.\",%s},{\"type\":\"text\",\"text\":\"b\"}]},"
                                    "{\"role\":\"user\",\"content\":\"c\"}]}",
                                    signature));
    run(o);
    CHECK(o, o->status == 200 && !sent(o, PROOF_PREFIX));
    CHECK(o, sent(o, "\"odd\":1.0") && sent(o, "{\"type\":\"text\",\"text\":\"b\"}"));
}

static void send_history(struct one *o, enum proof_family family) {
    struct proof p = {.family = family, .kind = PROOF_SIGNATURE, .payload = SLICE("c2lnbmF0dXJl")};
    char signature[400];
    struct buf wrapped;
    buf_init(&wrapped, RIG_BUF_BYTES);
    must(proof_wrap(&wrapped, &p));
    snprintf(signature, sizeof signature, "\"signature\":\"%.*s\"", SLICE_FMT(buf_slice(&wrapped)));
    buf_dispose(&wrapped);
    send_thought(o, "preset: anthropic\n", signature);
}

static void proofs_of_others_do_not_pass(void **state) {
    (void)state;
    struct one o;
    send_history(&o, PROOF_OPENAI);
    CHECK(&o, !sent(&o, "thinking"));
    end(&o);
    send_history(&o, PROOF_ANTHROPIC);
    CHECK(&o, sent(&o, "\"signature\":\"c2lnbmF0dXJl\""));
    end(&o);
}

/* A server that speaks Messages and is not Anthropic's gave the thought without a signature. */
static void thoughts_without_a_proof_are_not_anthropics(void **state) {
    (void)state;
    static const struct {
        const char *provider_more, *signature;
        bool passes;
    } rows[] = {
        {"preset: anthropic\n", "\"signature\":\"\"", false},
        {"preset: anthropic\n", "\"signature\" : \"\"", false},
        {"preset: anthropic\n", "\"signature\":\"c2ln\"", true},
        {"preset: vllm\n", "\"signature\":\"\"", true},
        {NULL, "\"signature\":\"\"", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct one o;
        send_thought(&o, rows[i].provider_more, rows[i].signature);
        CHECK(&o, sent(&o, "Hm.") == rows[i].passes && sent(&o, rows[i].signature) == rows[i].passes);
        end(&o);
    }
}

static void what_cannot_be_told_is_refused(void **state) {
    (void)state;
    struct one o;
    begin(&o, &(struct sim_options){.seed = 2}, &pair_words[0], &pair_words[1], NULL, NULL,
          (struct rig_script){0}, true);
    rig_client_dispose(&o.client);
    rig_client_open(&o.rig, &o.client);
    rig_client_post_to(&o.client, "/v1/chat/completions", CREDENTIAL,
                       "{\"model\":\"m\",\"n\":2,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
    run(&o);
    CHECK(&o, o.is_whole && o.status == 400 && holds(&o, "\"param\":\"n\""));
    end(&o);
}

/* ---- errors ---- */

/* Rate limits keep their status everywhere; the words are the client's. */
static void expect_rate_limit(const struct one *o) {
    CHECK(o, o->is_whole && holds(o, "Slow down"));
    CHECK(o, holds(o, is(o->from, "messages") ? "\"rate_limit_error\"" : "\"rate_limit_exceeded\""));
    if (is(o->from, "messages"))
        CHECK(o, holds(o, "\"type\":\"error\""));
}

static void status_pair(const struct pair_words *from, const struct pair_words *to) {
    for (int stream = 0; stream < 2; stream++) {
        struct one o;
        begin(&o, &(struct sim_options){.seed = 2}, from, to, NULL, NULL, (struct rig_script){0},
              stream);
        o.rig.script = whole_script(o.arena, "429 Slow\r\nRetry-After: 7\r\nx-ratelimit-limit-requests: 5\r\n"
                                             "anthropic-ratelimit-requests-limit: 5", "application/json", to->error);
        run(&o);
        CHECK(&o, o.status == 429);
        expect_rate_limit(&o);
        expect_headers(&o);
        CHECK(&o, slice_eq(rig_header(o.head, "retry-after"), SLICE("7")));
        bool is_anthropic = is(from, "messages") && is(to, "messages"),
             is_openai = !is(from, "messages") && !is(to, "messages");
        CHECK(&o, (rig_header(o.head, "x-ratelimit-limit-requests").len > 0) == is_openai);
        CHECK(&o, (rig_header(o.head, "anthropic-ratelimit-requests-limit").len > 0) == is_anthropic);
        if (from == to && !is(from, "responses"))
            CHECK(&o, slice_eq(buf_slice(&o.body), slice_cstr(to->error)));
        CHECK(&o, rig_ended(&o.rig, END_UPSTREAM_STATUS, stream) == 1);
        end(&o);
    }
}

static void an_upstreams_status_is_told_in_the_clients_words(void **state) {
    (void)state;
    for_all_pairs(status_pair);
}

static void overload_pair(const struct pair_words *from, const struct pair_words *to) {
    struct one o;
    begin(&o, &(struct sim_options){.seed = 2}, from, to, NULL, NULL, (struct rig_script){0}, true);
    o.rig.script = whole_script(o.arena, "529 Busy", "application/json",
                                "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}");
    run(&o);
    CHECK(&o, o.status == (is(from, "messages") ? 529 : 503) && holds(&o, "Overloaded"));
    CHECK(&o, is(from, "messages") ? holds(&o, "overloaded_error") : holds(&o, "\"server_overloaded\""));
    end(&o);
}

static void overload_has_two_statuses(void **state) {
    (void)state;
    for_all_pairs(overload_pair);
}

static void key_pair(const struct pair_words *from, const struct pair_words *to) {
    struct one o;
    begin(&o, &(struct sim_options){.seed = 2}, from, to, NULL, NULL, (struct rig_script){0},
          false);
    o.rig.script = whole_script(o.arena, "401 No", "application/json", "{\"error\":{\"message\":\"bad sk-secret\"}}");
    run(&o);
    CHECK(&o, o.status == (is(from, "messages") ? 500 : 502) && !holds(&o, "sk-secret"));
    CHECK(&o, holds(&o, is(from, "messages") ? "api_error" : "upstream_auth"));
    CHECK(&o, rig_ended(&o.rig, END_UPSTREAM_AUTH, false) == 1);
    end(&o);
}

static void the_gateways_key_is_not_the_clients_fault(void **state) {
    (void)state;
    for_all_pairs(key_pair);
}

static void first_error_pair(const struct pair_words *from, const struct pair_words *to) {
    struct one o;
    begin(&o, &(struct sim_options){.seed = 2}, from, to, NULL, NULL, (struct rig_script){0}, true);
    o.rig.script = stream_script(o.arena, to->error_event);
    run(&o);
    CHECK(&o, o.status == 429);
    expect_rate_limit(&o);
    CHECK(&o, rig_ended(&o.rig, END_UPSTREAM_ERROR_EVENT, true) == 1);
    end(&o);
}

static void an_error_event_first_is_a_status(void **state) {
    (void)state;
    for_all_pairs(first_error_pair);
}

static void late_error_pair(const struct pair_words *from, const struct pair_words *to) {
    struct one o;
    struct reading r;
    begin(&o, &(struct sim_options){.seed = 2}, from, to, NULL, NULL, (struct rig_script){0}, true);
    o.rig.script = stream_script(o.arena, arena_printf(o.arena, "%s%s", to->text_part, to->error_event));
    run(&o);
    CHECK(&o, o.status == 200);
    expect_rate_limit(&o);
    if (read_stream(&r, from->dialect, buf_slice(&o.body)) < 0 || !r.saw_error)
        FAIL(&o, r.e.text);
    CHECK(&o, answer_error(r.answer) && slice_eq(answer_error(r.answer)->message, SLICE("Slow down")));
    CHECK(&o, !holds(&o, "[DONE]") && !holds(&o, "message_stop") && !holds(&o, "response.completed"));
    reading_close(&r);
    CHECK(&o, rig_ended(&o.rig, END_UPSTREAM_ERROR_EVENT, true) == 1);
    end(&o);
}

static void an_error_event_in_mid_stream_is_told(void **state) {
    (void)state;
    for_all_pairs(late_error_pair);
}

static void quoting_pair(const struct pair_words *from, const struct pair_words *to) {
    struct one o;
    begin(&o, &(struct sim_options){.seed = 2}, from, to, NULL, NULL, (struct rig_script){0}, true);
    const char *event = is(to, "messages") ? "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"key sk-secret\"}}\n\n"
                        : is(to, "responses") ? "event: error\ndata: {\"type\":\"error\",\"sequence_number\":6,\"code\":\"x\",\"message\":\"key sk-secret\",\"param\":null}\n\n"
                                              : "data: {\"error\":{\"message\":\"key sk-secret\",\"type\":\"server_error\",\"code\":null}}\n\n";
    o.rig.script = stream_script(o.arena, arena_printf(o.arena, "%s%s", to->text_part, event));
    run(&o);
    CHECK(&o, o.is_whole && o.status == 200 && holds(&o, "withheld") && !holds(&o, "sk-secret"));
    end(&o);
}

static void an_error_that_quotes_the_key_is_withheld(void **state) {
    (void)state;
    for_all_pairs(quoting_pair);
}

/* ---- cuts ---- */

static void cut_at(const struct pair_words *from, const struct pair_words *to, size_t at,
                   bool with_reset) {
    struct one o;
    struct reading r;
    struct addr up;
    struct err e;
    must(addr_parse(SLICE("127.0.0.1:9000"), &up, &e));
    begin(&o, &(struct sim_options){.seed = at + 1}, from, to, NULL, NULL, (struct rig_script){0},
          true);
    o.rig.script = stream_script(o.arena, to->stream);
    o.rig.script.then = RIG_SILENCE;
    sim_cut_after(&up, 0, true, at, with_reset ? SIM_CUT_RST : SIM_CUT_FIN);
    run(&o);
    CHECK(&o, o.is_whole);
    if (o.status == 200) {
        int rc = read_stream(&r, from->dialect, buf_slice(&o.body));
        if (rc < 0)
            FAIL(&o, r.e.text);
        CHECK(&o, r.saw_end != r.saw_error);
        if (r.saw_end)
            expect_answer(&o, &r);
        reading_close(&r);
    } else {
        CHECK(&o, o.status == (is(from, "messages") ? 500 : 502));
    }
    end(&o);
}

/* Usage behind the finish is lost with it, but then only: the answer is the upstream's all the
 * same. */
static size_t safe_end(const struct pair_words *to) {
    const char *usage = strstr(to->stream, "\"choices\":[]");
    return usage ? (size_t)(usage - to->stream) - 120 : strlen(to->stream);
}

static void cut_pair(const struct pair_words *from, const struct pair_words *to) {
    size_t n = sizeof STREAM_HEAD - 1 + safe_end(to);
    for (size_t at = 0; at < n; at += from == to ? 37 : 23)
        cut_at(from, to, at, at % 2);
}

static void a_cut_is_never_a_silent_end(void **state) {
    (void)state;
    for_all_pairs(cut_pair);
}

/* ---- answers of the wrong kind ---- */

static void json_pair(const struct pair_words *from, const struct pair_words *to) {
    struct one o;
    begin(&o, &(struct sim_options){.seed = 2, .max_read_bytes = 100}, from, to, NULL, NULL,
          (struct rig_script){0}, true);
    o.rig.script = whole_script(o.arena, "200 OK", "application/json", to->whole);
    run(&o);
    expect_stream(&o);
    end(&o);
}

static void json_for_a_stream_becomes_one(void **state) {
    (void)state;
    for_all_pairs(json_pair);
}

static void collect_pair(const struct pair_words *from, const struct pair_words *to) {
    struct one o;
    begin(&o, &(struct sim_options){.seed = 2, .max_read_bytes = 100}, from, to, NULL, NULL,
          (struct rig_script){0}, false);
    o.rig.script = stream_script(o.arena, to->stream);
    run(&o);
    expect_json(&o);
    end(&o);
}

static void a_stream_for_json_is_collected(void **state) {
    (void)state;
    for_all_pairs(collect_pair);
}

static void collect_fails_pair(const struct pair_words *from, const struct pair_words *to) {
    struct one o;
    begin(&o, &(struct sim_options){.seed = 2}, from, to, NULL, NULL, (struct rig_script){0},
          false);
    o.rig.script = stream_script(o.arena, to->text_part);
    run(&o);
    CHECK(&o, o.is_whole && o.status == (is(from, "messages") ? 500 : 502));
    CHECK(&o, rig_ended(&o.rig, END_UPSTREAM_CUT, false) == 1);
    end(&o);
    begin(&o, &(struct sim_options){.seed = 2}, from, to, NULL, NULL, (struct rig_script){0},
          false);
    o.rig.script = stream_script(o.arena, arena_printf(o.arena, "%s%s", to->text_part, to->error_event));
    run(&o);
    CHECK(&o, o.status == 429);
    expect_rate_limit(&o);
    end(&o);
}

static void a_stream_for_json_that_fails_is_an_error(void **state) {
    (void)state;
    for_all_pairs(collect_fails_pair);
}

/* Of a stream: its beginning up to the second text delta, that frame, and the rest. */
struct thirds {
    struct slice before, delta, rest;
};

static struct thirds split_at_delta(const struct pair_words *w) {
    const char *end = strstr(w->stream, "rld "), *start;
    while (end[0] != '\n' || end[1] != '\n')
        end++;
    start = ++end - 2;
    while (start[-1] != '\n' || start[-2] != '\n')
        start--;
    end++;
    return (struct thirds){slice_make(w->stream, (size_t)(start - w->stream)),
                           slice_make(start, (size_t)(end - start)), slice_cstr(end)};
}

#define DELTA_TEXT "rld \360\237\230\200"

static void put_deltas(struct buf *b, const struct thirds *t, int n) {
    for (int i = 0; i < n; i++)
        must(buf_append(b, t->delta));
}

/* A piece comes twice: what Responses' later events repeat is another text. */
static void contradiction_pair(const struct pair_words *from, const struct pair_words *to) {
    for (int stream = 0; is(to, "responses") && stream < 2; stream++) {
        struct one o;
        struct buf twice;
        struct thirds t = split_at_delta(to);
        buf_init(&twice, RIG_BUF_BYTES);
        must(buf_append(&twice, t.before));
        put_deltas(&twice, &t, 2);
        must(buf_append(&twice, t.rest));
        must(buf_append_byte(&twice, 0));
        begin(&o, &(struct sim_options){.seed = 2}, from, to, NULL, NULL, (struct rig_script){0},
              stream);
        o.rig.script = stream_script(o.arena, twice.ptr);
        buf_dispose(&twice);
        run(&o);
        bool is_seen = stream ? from != to : o.status >= 500;
        CHECK(&o, o.is_whole && (stream ? o.status == 200 : is_seen));
        CHECK(&o, rig_ended(&o.rig, END_UPSTREAM_PROTOCOL, stream) == is_seen);
        CHECK(&o, meter_get(&o.rig.worker->meter->providers[0].order_broken) >= 1);
        end(&o);
    }
}

static void a_stream_that_contradicts_itself_is_an_error(void **state) {
    (void)state;
    for_all_pairs(contradiction_pair);
}

static void page_pair(const struct pair_words *from, const struct pair_words *to) {
    for (int stream = 0; stream < 2; stream++) {
        struct one o;
        begin(&o, &(struct sim_options){.seed = 2}, from, to, NULL, NULL, (struct rig_script){0},
              stream);
        o.rig.script = whole_script(o.arena, "200 OK", "text/html; charset=utf-8", "<html><title>Hi</title></html>");
        run(&o);
        CHECK(&o, o.is_whole && o.status == (is(from, "messages") ? 500 : 502) && holds(&o, "web page"));
        CHECK(&o, rig_ended(&o.rig, END_UPSTREAM_PROTOCOL, stream) == 1);
        end(&o);
    }
}

static void a_web_page_is_no_answer(void **state) {
    (void)state;
    for_all_pairs(page_pair);
}

static void rubbish_pair(const struct pair_words *from, const struct pair_words *to) {
    struct one o;
    struct reading r;
    begin(&o, &(struct sim_options){.seed = 2}, from, to, NULL, NULL, (struct rig_script){0}, true);
    o.rig.script = stream_script(o.arena, arena_printf(o.arena, "%sdata: {\"not json\n\n", to->text_part));
    run(&o);
    CHECK(&o, o.is_whole && o.status == 200);
    if (read_stream(&r, from->dialect, buf_slice(&o.body)) < 0 || !r.saw_error)
        FAIL(&o, r.e.text);
    reading_close(&r);
    CHECK(&o, rig_ended(&o.rig, END_UPSTREAM_PROTOCOL, true) == 1);
    end(&o);
}

static void an_event_that_cannot_be_read_ends_a_translated_stream(void **state) {
    (void)state;
    for_foreign_pairs(rubbish_pair);
}

/* ---- clients ---- */

static bool upstream_is_gone(void *self) {
    struct one *o = self;
    return o->rig.connections[0].saw_end;
}

static void gone_pair(const struct pair_words *from, const struct pair_words *to) {
    struct one o;
    begin(&o, &(struct sim_options){.seed = 2}, from, to, NULL, NULL, (struct rig_script){0}, true);
    o.rig.script = stream_script(o.arena, to->text_part);
    o.rig.script.then = RIG_SILENCE;
    sim_run(NULL, NULL, sim_now_ns() + NS_PER_S);
    CHECK(&o, o.client.in.len > 0 && !o.rig.connections[0].saw_end);
    rig_client_close(&o.client, true);
    int64_t from_ns = sim_now_ns();
    CHECK(&o, sim_run(upstream_is_gone, &o, sim_now_ns() + NS_PER_S));
    CHECK(&o, sim_now_ns() - from_ns < 10 * NS_PER_MS);
    CHECK(&o, rig_ended(&o.rig, END_CLIENT_GONE, true) == 1);
    end(&o);
}

static void client_gone_upstream_gone(void **state) {
    (void)state;
    for_all_pairs(gone_pair);
}

static void heartbeat_pair(const struct pair_words *from, const struct pair_words *to) {
    struct one o;
    begin(&o, &(struct sim_options){.seed = 2}, from, to, NULL, "timeouts: {hold: 10s, heartbeat: 15s}", (struct rig_script){.then = RIG_SILENCE}, true);
    o.rig.script.more = slice_cstr(arena_printf(o.arena, STREAM_HEAD "%s", to->stream));
    sim_run(NULL, NULL, sim_now_ns() + HALF_MINUTE);
    look(&o);
    CHECK(&o, o.status == 200);
    rig_upstream_send_more(&o.rig, 0);
    run(&o);
    struct slice beat = dialect_find(slice_cstr(from->dialect))->heartbeat;
    CHECK(&o, slice_starts_with(buf_slice(&o.body), beat));
    expect_stream(&o);
    end(&o);
}

static void a_long_wait_beats_in_the_clients_words(void **state) {
    (void)state;
    for_all_pairs(heartbeat_pair);
}

/* A committed status, then an error first: it comes as an event, without a beginning. */
static void beat_then_error_pair(const struct pair_words *from, const struct pair_words *to) {
    struct one o;
    begin(&o, &(struct sim_options){.seed = 2}, from, to, NULL, "timeouts: {hold: 10s, heartbeat: 15s}", (struct rig_script){.then = RIG_SILENCE}, true);
    o.rig.script.more = slice_cstr(arena_printf(o.arena, STREAM_HEAD "%s", to->error_event));
    sim_run(NULL, NULL, sim_now_ns() + HALF_MINUTE);
    o.rig.script.then = RIG_FIN;
    rig_upstream_send_more(&o.rig, 0);
    run(&o);
    CHECK(&o, o.status == 200);
    expect_rate_limit(&o);
    end(&o);
}

static void an_error_behind_a_beat_is_an_event(void **state) {
    (void)state;
    for_all_pairs(beat_then_error_pair);
}

/* With n deltas more than there were: where the text is repeated it has them, too. */
static void put_rest(struct buf *b, const struct thirds *t, int n) {
    struct slice rest = t->rest;
    for (const char *at; (at = memmem(rest.ptr, rest.len, PAIR_TEXT, sizeof PAIR_TEXT - 1));) {
        size_t len = (size_t)(at - rest.ptr) + sizeof PAIR_TEXT - 1;
        must(buf_append(b, slice_sub(rest, 0, len)));
        for (int i = 0; i < n; i++)
            must(buf_append(b, SLICE(DELTA_TEXT)));
        rest = slice_from(rest, len);
    }
    must(buf_append(b, rest));
}

static void slow_pair(const struct pair_words *from, const struct pair_words *to) {
    struct one o;
    struct buf long_stream;
    struct thirds t = split_at_delta(to);
    begin(&o, &(struct sim_options){.seed = 2, .socket_buffer_bytes = 2000}, from, to, NULL, NULL,
          (struct rig_script){0}, true);
    buf_init(&long_stream, RIG_BUF_BYTES);
    must(buf_append(&long_stream, SLICE(STREAM_HEAD)));
    must(buf_append(&long_stream, t.before));
    put_deltas(&long_stream, &t, 2001);
    put_rest(&long_stream, &t, 2000);
    o.rig.script = (struct rig_script){.answer = buf_slice(&long_stream), .then = RIG_FIN};
    rig_client_read(&o.client, false);
    sim_run(NULL, NULL, sim_now_ns() + NS_PER_S);
    CHECK(&o, meter_get(&o.rig.worker->meter->providers[0].stalls) >= 1);
    CHECK(&o, slab_in_use_bytes(loop_slab(o.rig.loop)) < (1u << 20));
    CHECK(&o, o.rig.connections[0].out.len > long_stream.len / 2);
    rig_client_read(&o.client, true);
    run(&o);
    struct reading r;
    CHECK(&o, o.is_whole && o.status == 200);
    if (read_stream(&r, from->dialect, buf_slice(&o.body)) < 0 || !r.saw_end)
        FAIL(&o, r.e.text);
    CHECK(&o, block_of(r.answer, BLOCK_TEXT).text.len ==
                  sizeof PAIR_TEXT - 1 + 2000 * strlen(DELTA_TEXT));
    reading_close(&r);
    buf_dispose(&long_stream);
    end(&o);
}

static void a_slow_reader_stops_its_upstream(void **state) {
    (void)state;
    for_foreign_pairs(slow_pair);
}

/* ---- memory ---- */

static void memory_pair(const struct pair_words *from, const struct pair_words *to) {
    struct one o;
    struct buf first, more;
    struct thirds t = split_at_delta(to);
    begin(&o, &(struct sim_options){.seed = 1, .max_read_bytes = 1000}, from, to, NULL, NULL,
          (struct rig_script){0}, true);
    buf_init(&first, RIG_BUF_BYTES);
    buf_init(&more, RIG_BUF_BYTES);
    must(buf_append(&first, SLICE(STREAM_HEAD)));
    must(buf_append(&first, t.before));
    put_deltas(&first, &t, 100);
    put_deltas(&more, &t, 3000);
    o.rig.script = (struct rig_script){
        .answer = buf_slice(&first), .then = RIG_SILENCE, .more = buf_slice(&more)};
    must(buf_reserve(&o.client.in, 8u << 20) ? 0 : -1);
    sim_run(NULL, NULL, sim_now_ns() + NS_PER_S);
    struct meter_provider *p = &o.rig.worker->meter->providers[0];
    uint64_t frames = meter_get(&p->frames);
    rig_upstream_send_more(&o.rig, 0);
    uint64_t before = mem_alloc_count();
    sim_run(NULL, NULL, sim_now_ns() + NS_PER_S);
    uint64_t allocated = mem_alloc_count() - before;
    frames = meter_get(&p->frames) - frames;
    CHECK(&o, frames == 3000);
    /* the simulated network allocates for its deliveries, and a transcript doubles now and then */
    if (allocated > frames / 30)
        fail_msg("%s client, %s upstream: %llu allocations for %llu frames", from->dialect, to->dialect,
                 (unsigned long long)allocated, (unsigned long long)frames);
    buf_dispose(&first);
    buf_dispose(&more);
    end(&o);
}

static void translated_frames_allocate_nothing(void **state) {
    (void)state;
    for_all_pairs(memory_pair);
}

/* A stream under way does not hold its prompt. */
static void prompt_pair(const struct pair_words *from, const struct pair_words *to) {
    struct one o;
    begin(&o, &(struct sim_options){.seed = 1}, from, to, NULL, NULL, (struct rig_script){0}, true);
    rig_client_dispose(&o.client);
    char *prompt = arena_alloc(o.arena, 1000001);
    memset(prompt, 'x', 1000000);
    char *body = request_of(o.arena, from, true), *hi = strstr(body, "\"hi\"");
    *hi = 0;
    rig_client_open(&o.rig, &o.client);
    rig_client_post_to(&o.client, from->path, CREDENTIAL, arena_printf(o.arena, "%s\"%s%s", body, prompt, hi + 3));
    o.rig.script = stream_script(o.arena, to->text_part);
    o.rig.script.then = RIG_SILENCE;
    sim_run(NULL, NULL, sim_now_ns() + NS_PER_S);
    CHECK(&o, o.client.in.len > 0 && o.rig.worker->relays);
    struct relay *r = o.rig.worker->relays;
    CHECK(&o, !r->leg || arena_used_bytes(r->leg->arena) < 100000);
    CHECK(&o, !r->leg || r->leg->request.cap == 0);
    CHECK(&o, !r->ex->arena || arena_used_bytes(r->ex->arena) < 100000);
    rig_client_close(&o.client, true);
    end(&o);
}

static void a_stream_does_not_hold_its_prompt(void **state) {
    (void)state;
    for_all_pairs(prompt_pair);
}

/* ---- shutdown ---- */

static void drain_pair(const struct pair_words *from, const struct pair_words *to) {
    struct one o;
    struct reading r;
    begin(&o, &(struct sim_options){.seed = 1}, from, to, NULL, "drain_timeout: 5s", (struct rig_script){0}, true);
    o.rig.script = stream_script(o.arena, to->text_part);
    o.rig.script.then = RIG_SILENCE;
    sim_run(NULL, NULL, sim_now_ns() + NS_PER_S);
    worker_drain(o.rig.worker);
    run(&o);
    CHECK(&o, o.is_whole && o.status == 200 && holds(&o, "shutting down"));
    if (read_stream(&r, from->dialect, buf_slice(&o.body)) < 0 || !r.saw_error)
        FAIL(&o, r.e.text);
    reading_close(&r);
    buf_dispose(&o.body);
    rig_client_dispose(&o.client);
    rig_stop(&o.rig);
    arena_free(o.arena);
}

static void the_drains_end_is_an_error_event(void **state) {
    (void)state;
    for_all_pairs(drain_pair);
}

/* ---- order ---- */

static void order_is_checked(void **state) {
    (void)state;
    struct one o;
    const struct pair_words *w = &pair_words[1];
    begin(&o, &(struct sim_options){.seed = 2}, w, w, NULL, "check_order: true\n", (struct rig_script){0}, true);
    o.rig.script = stream_script(o.arena, MESSAGES_TEXT_PART MESSAGES_DELTA("5", "{\"type\":\"text_delta\",\"text\":\"x\"}"));
    run(&o);
    CHECK(&o, o.is_whole && o.status == 200 && holds(&o, "event: error") && !holds(&o, "\"index\":5"));
    CHECK(&o, meter_get(&o.rig.worker->meter->providers[0].order_broken) == 1);
    CHECK(&o, rig_ended(&o.rig, END_UPSTREAM_PROTOCOL, true) == 1);
    end(&o);
    begin(&o, &(struct sim_options){.seed = 2}, w, w, NULL, "check_order: true\n", (struct rig_script){0}, true);
    o.rig.script = stream_script(o.arena, MESSAGES_EVENT("message_stop", ""));
    run(&o);
    CHECK(&o, o.status == 500 && holds(&o, "api_error"));
    end(&o);
    begin(&o, &(struct sim_options){.seed = 2}, w, w, NULL, "check_order: true\n", (struct rig_script){0}, true);
    o.rig.script = stream_script(o.arena, MESSAGES_STREAM);
    run(&o);
    expect_stream(&o);
    CHECK(&o, meter_get(&o.rig.worker->meter->providers[0].order_broken) == 0);
    end(&o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_streams_the_same_at_every_split),
        cmocka_unit_test(every_pair_answers_whole),
        cmocka_unit_test(requests_go_up_in_the_upstreams_words),
        cmocka_unit_test(the_clients_own_key_changes_its_header),
        cmocka_unit_test(renamed_models_and_dropped_fields),
        cmocka_unit_test(proofs_of_others_do_not_pass),
        cmocka_unit_test(thoughts_without_a_proof_are_not_anthropics),
        cmocka_unit_test(what_cannot_be_told_is_refused),
        cmocka_unit_test(an_upstreams_status_is_told_in_the_clients_words),
        cmocka_unit_test(overload_has_two_statuses),
        cmocka_unit_test(the_gateways_key_is_not_the_clients_fault),
        cmocka_unit_test(an_error_event_first_is_a_status),
        cmocka_unit_test(an_error_event_in_mid_stream_is_told),
        cmocka_unit_test(an_error_that_quotes_the_key_is_withheld),
        cmocka_unit_test(a_cut_is_never_a_silent_end),
        cmocka_unit_test(json_for_a_stream_becomes_one),
        cmocka_unit_test(a_stream_for_json_is_collected),
        cmocka_unit_test(a_stream_for_json_that_fails_is_an_error),
        cmocka_unit_test(a_stream_that_contradicts_itself_is_an_error),
        cmocka_unit_test(a_web_page_is_no_answer),
        cmocka_unit_test(an_event_that_cannot_be_read_ends_a_translated_stream),
        cmocka_unit_test(client_gone_upstream_gone),
        cmocka_unit_test(a_long_wait_beats_in_the_clients_words),
        cmocka_unit_test(an_error_behind_a_beat_is_an_event),
        cmocka_unit_test(a_slow_reader_stops_its_upstream),
        cmocka_unit_test(translated_frames_allocate_nothing),
        cmocka_unit_test(a_stream_does_not_hold_its_prompt),
        cmocka_unit_test(the_drains_end_is_an_error_event),
        cmocka_unit_test(order_is_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
