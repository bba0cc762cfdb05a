/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's memory without a gateway: turns, questions and notes over a store in memory, and
 * over one that takes its time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "dialect/proof.h"
#include "dialect/request_read.h"
#include "gateway/state-private.h"

/* ---- the clock, the configuration ---- */

static int64_t now_ns;
static int64_t test_now(void *self) {
    (void)self;
    return now_ns;
}
static const struct clock_source test_clock = {.mono_ns = test_now, .wall_ns = test_now};

#define TTL (INT64_C(3600) * NS_PER_S)
enum { CHAT, NATIVE, SECOND };
static struct config config;
static struct config_provider providers[3];
static struct state *state;
static struct tenant alice, bob;

static const struct dialect foreign = {.name = "chat"}, native = {.name = "responses"};

static int set_up(void **unused) {
    (void)unused;
    now_ns = NS_PER_S;
    clock_set_source(&test_clock);
    memset(providers, 0, sizeof providers);
    providers[CHAT] = (struct config_provider){.name = "chat", .dialect = &foreign};
    providers[NATIVE] = (struct config_provider){.name = "native", .dialect = &foreign,
                                                 .also = {&native}, .n_also = 1,
                                                 .keeps_responses = true};
    providers[SECOND] = (struct config_provider){.name = "second", .dialect = &native};
    config = (struct config){.providers = providers, .n_providers = 3};
    config.state.ttl_ns = TTL;
    config.state.max_bytes = 1 << 20;
    config.limits.body_bytes = 64 << 10;
    state = state_new(&config);
    state_tenant(SLICE("sk-alice"), &alice);
    state_tenant(SLICE("sk-bob"), &bob);
    return 0;
}

static int tear_down(void **unused) {
    (void)unused;
    state_free(&state);
    assert_null(state);
    clock_set_source(NULL);
    return 0;
}

/* ---- a store that answers later ---- */

struct slow {
    struct store base;
    struct store *real;
    struct store_call *waiting;
    struct store_key key;
    char id[STORE_KEY_MAX_BYTES], tenant[64];
    int64_t keep_ns;
    bool is_get;
};

static void slow_get(struct store *s, const struct store_key *k, int64_t keep_ns,
                     struct store_call *c) {
    struct slow *slow = (struct slow *)(void *)s;
    assert_null(slow->waiting); /* nobody asks for two things at once */
    snprintf(slow->id, sizeof slow->id, "%.*s", SLICE_FMT(k->id));
    snprintf(slow->tenant, sizeof slow->tenant, "%.*s", SLICE_FMT(k->tenant));
    slow->key = (struct store_key){k->space, slice_cstr(slow->tenant), slice_cstr(slow->id)};
    slow->keep_ns = keep_ns;
    slow->waiting = c;
    c->pending = slow;
}
static void slow_put(struct store *s, const struct store_key *k, struct slice value, int64_t ttl_ns,
                     struct store_call *c) {
    assert_null(c);
    store_put(((struct slow *)(void *)s)->real, k, value, ttl_ns, NULL);
}
static void slow_cancel(struct store *s, struct store_call *c) {
    struct slow *slow = (struct slow *)(void *)s;
    assert_ptr_equal(slow->waiting, c);
    slow->waiting = NULL;
    c->pending = NULL;
}
static const struct store_ops slow_ops = {.get = slow_get, .put = slow_put, .cancel = slow_cancel};

/* Answers until nobody asks any more; returns how often. */
static unsigned slow_run(struct slow *slow) {
    unsigned n = 0;
    while (slow->waiting) {
        struct store_call *c = slow->waiting;
        slow->waiting = NULL;
        c->pending = NULL;
        store_get(slow->real, &slow->key, slow->keep_ns, c);
        n++;
    }
    return n;
}

static void slow_begin(struct slow *slow) {
    *slow = (struct slow){.base = {&slow_ops}, .real = state->store};
    state->store = &slow->base;
}
static void slow_end(struct slow *slow) {
    state->store = slow->real;
}

/* ---- turns ---- */

static void count_done(struct state_turn *t) {
    ++*(unsigned *)t->self;
}

static unsigned n_done;

static struct state_turn begin(const struct tenant *tenant, const char *body, unsigned provider,
                               bool is_native) {
    static struct state_turn t;
    n_done = 0;
    t = (struct state_turn){.done = count_done, .self = &n_done};
    state_turn_begin(state, &t, tenant, slice_cstr(body), provider, is_native);
    return t;
}

#define assert_text(slice, expected)                                                               \
    do {                                                                                           \
        char *text_ = mem_dup_cstr(slice);                                                         \
        assert_string_equal(text_, expected);                                                      \
        mem_free(text_);                                                                           \
    } while (0)

static const char *response_of(const char *id, const char *text) {
    static char out[512];
    snprintf(out, sizeof out,
             "{\"id\":\"%s\",\"object\":\"response\",\"created_at\":7,\"status\":\"completed\","
             "\"model\":\"m\",\"output\":[{\"type\":\"message\",\"id\":\"msg_%s\","
             "\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{\"type\":"
             "\"output_text\",\"text\":\"%s\",\"annotations\":[],\"logprobs\":[]}]}],"
             "\"usage\":null}",
             id, id, text);
    return out;
}

/* A whole turn on the provider without state: its body, as it goes on. Static. */
static const char *turn(const struct tenant *tenant, const char *body, const char *id) {
    static char out[8192];
    char *copy = mem_dup_cstr(slice_cstr(body));
    struct state_turn t = begin(tenant, copy, CHAT, false);
    assert_int_equal(n_done, 1);
    if (t.refused_status) fail_msg("%s", t.fault.message);
    snprintf(out, sizeof out, "%.*s", SLICE_FMT(t.body));
    mem_free(copy); /* it has been sent */
    state_turn_keep(&t, slice_cstr(response_of(id, id)));
    state_turn_dispose(&t);
    return out;
}

static void assert_turn_refused(const struct tenant *tenant, const char *body, unsigned provider,
                                bool is_native, unsigned status, const char *code,
                                const char *message) {
    struct state_turn t = begin(tenant, body, provider, is_native);
    assert_int_equal(n_done, 1);
    assert_int_equal(t.refused_status, status);
    if (code) assert_string_equal(t.fault.code, code);
    assert_string_equal(t.fault.message, message);
    state_turn_keep(&t, slice_cstr(response_of("resp_x", "x"))); /* nothing is kept of it */
    state_turn_dispose(&t);
    state_turn_dispose(&t);
}

/* ---- questions ---- */

static void count_answered(struct state_question *q) {
    ++*(unsigned *)q->self;
}

struct answer_text {
    unsigned status, pass_to;
    char text[4096];
};

static struct answer_text ask_full(const struct tenant *tenant, enum state_verb verb,
                                   const char *id, const char *item, const char *query,
                                   const char *body) {
    struct answer_text a = {0};
    unsigned n = 0;
    struct state_question q = {.verb = verb, .tenant = *tenant, .id = slice_cstr(id),
                               .item = slice_cstr(item), .query = slice_cstr(query),
                               .body = slice_cstr(body), .done = count_answered, .self = &n};
    state_ask(state, &q);
    assert_int_equal(n, 1);
    a.status = q.status;
    a.pass_to = q.pass_to;
    snprintf(a.text, sizeof a.text, "%.*s", SLICE_FMT(buf_slice(&q.out)));
    state_question_dispose(&q);
    return a;
}
static struct answer_text ask(const struct tenant *tenant, enum state_verb verb, const char *id) {
    return ask_full(tenant, verb, id, NULL, "", "");
}

#define NOT_FOUND(what, id)                                                                        \
    "{\"error\":{\"message\":\"" what " with id '" id "' not found.\",\"type\":"                   \
    "\"invalid_request_error\",\"param\":null,\"code\":null}}"

static void assert_unknown(const struct tenant *tenant, const char *id) {
    char expected[256];
    struct answer_text a;
    state->keeper = -1; /* nobody to ask */
    a = ask(tenant, STATE_RESPONSE_GET, id);
    assert_int_equal(a.status, 404);
    snprintf(expected, sizeof expected, NOT_FOUND("Response", "%s"), id);
    assert_string_equal(a.text, expected);
}

/* ---- tests: tenants ---- */

static void test_tenants(void **unused) {
    struct tenant none, again;
    (void)unused;
    state_tenant(SLICE_NULL, &none);
    state_tenant(SLICE("sk-alice"), &again);
    assert_string_equal(alice.id, again.id);
    assert_string_not_equal(alice.id, bob.id);
    assert_string_not_equal(alice.id, none.id);
    assert_int_equal(strlen(alice.id), TENANT_BYTES);
    assert_int_equal(strlen(none.id), TENANT_BYTES);
    assert_null(strstr(alice.id, "alice"));
}

/* ---- tests: answers ---- */

static void test_an_answer_is_kept(void **unused) {
    (void)unused;
    const char *body = "{\"model\":\"m\",\"input\":\"hi\",\"instructions\":\"be kind\"}";
    assert_string_equal(turn(&alice, body, "resp_1"), body); /* byte for byte */
    struct answer_text a = ask(&alice, STATE_RESPONSE_GET, "resp_1");
    assert_int_equal(a.status, 200);
    assert_string_equal(a.text, response_of("resp_1", "resp_1"));
    assert_unknown(&bob, "resp_1");
    assert_unknown(&alice, "resp_2");
    assert_unknown(&alice, "");
}

static void test_what_is_not_kept(void **unused) {
    (void)unused;
    struct state_turn t = begin(&alice, "{\"model\":\"m\",\"input\":\"a\",\"store\":false}", CHAT,
                                false);
    assert_false(t.is_stored || t.wants_answer);
    state_turn_keep(&t, slice_cstr(response_of("resp_1", "x")));
    state_turn_dispose(&t);
    t = begin(&alice, "{\"model\":\"m\",\"input\":\"a\",\"store\":null}", CHAT, false);
    assert_true(t.is_stored && t.wants_answer);
    state_turn_keep(&t, SLICE("{\"id\":\"resp_2\",\"status\":\"failed\",\"output\":[]}"));
    state_turn_dispose(&t);
    t = begin(&alice, "{\"model\":\"m\",\"input\":\"a\"}", CHAT, false);
    state_turn_keep(&t, SLICE("{\"status\":\"completed\",\"output\":[]}")); /* without an id */
    state_turn_dispose(&t);
    t = begin(&alice, "{\"model\":\"m\",\"input\":\"a\"}", CHAT, false);
    state_turn_dispose(&t); /* the answer was cut */
    assert_unknown(&alice, "resp_1");
    assert_unknown(&alice, "resp_2");
    struct store_stats stats;
    state_get_stats(state, &stats);
    assert_int_equal(stats.entries, 0);
}

#define OUT(id)                                                                                    \
    "{\"type\":\"message\",\"id\":\"msg_" id "\",\"status\":\"completed\",\"role\":"               \
    "\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"" id "\",\"annotations\":[]," \
    "\"logprobs\":[]}]}"
#define USER(id, text)                                                                             \
    "{\"type\":\"message\",\"id\":\"" id "\",\"role\":\"user\",\"content\":\"" text "\"}"

/* Items that have ids of their own stay as they came. */
static const char first[] = "{\"model\":\"m\",\"input\":[" USER("i1", "one") "],\"instructions\":\"x\"}";

static void test_a_chain(void **unused) {
    (void)unused;
    turn(&alice, first, "resp_1");
    assert_string_equal(turn(&alice,
                             "{\"model\":\"m\",\"previous_response_id\":\"resp_1\",\"input\":["
                             USER("i2", "two") "]}", "resp_2"),
                        "{\"model\":\"m\",\"input\":[" USER("i1", "one") "," OUT("resp_1") ","
                        USER("i2", "two") "]}");
    assert_string_equal(turn(&alice,
                             "{\"model\":\"m\",\"previous_response_id\":\"resp_2\",\"input\":["
                             USER("i3", "three") "]}", "resp_3"),
                        "{\"model\":\"m\",\"input\":[" USER("i1", "one") "," OUT("resp_1") ","
                        USER("i2", "two") "," OUT("resp_2") "," USER("i3", "three") "]}");
    /* forked from the first */
    assert_string_equal(turn(&alice,
                             "{\"model\":\"m\",\"input\":[" USER("i4", "four")
                             "],\"previous_response_id\":\"resp_1\"}", "resp_4"),
                        "{\"model\":\"m\",\"input\":[" USER("i1", "one") "," OUT("resp_1") ","
                        USER("i4", "four") "]}");
}

static void test_what_the_answer_repeats(void **unused) {
    (void)unused;
    turn(&alice, first, "resp_1");
    struct state_turn t = begin(
        &alice, "{\"model\":\"m\",\"input\":\"x\",\"previous_response_id\":\"resp_1\"}", CHAT, false);
    assert_text(t.previous, "resp_1");
    assert_null(t.conversation.ptr);
    assert_true(t.is_stored);
    state_turn_dispose(&t);
}

static void test_unknown_previous(void **unused) {
    static const char body[] = "{\"model\":\"m\",\"input\":\"x\",\"previous_response_id\":\"resp_1\"}";
    (void)unused;
    assert_turn_refused(&alice, body, CHAT, false, 400, "previous_response_not_found",
                        "Previous response with id 'resp_1' not found.");
    turn(&alice, first, "resp_1");
    assert_turn_refused(&bob, body, CHAT, false, 400, "previous_response_not_found",
                        "Previous response with id 'resp_1' not found.");
    turn(&alice, body, "resp_2");
    assert_int_equal(ask(&alice, STATE_RESPONSE_DELETE, "resp_1").status, 200);
    /* what it was built upon is gone */
    assert_turn_refused(&alice,
                        "{\"model\":\"m\",\"input\":\"x\",\"previous_response_id\":\"resp_2\"}",
                        CHAT, false, 400, "previous_response_not_found",
                        "Previous response with id 'resp_2' not found.");
    assert_turn_refused(&alice,
                        "{\"model\":\"m\",\"input\":\"x\",\"previous_response_id\":\"a\","
                        "\"conversation\":\"b\"}", CHAT, false, 400,
                        "mutually_exclusive_parameters",
                        "Mutually exclusive parameters: 'previous_response_id' and "
                        "'conversation'. Send one of them.");
}

static void test_lifetime(void **unused) {
    static const char next[] = "{\"model\":\"m\",\"input\":\"x\",\"previous_response_id\":\"resp_%d\"}";
    char body[128], id[16];
    (void)unused;
    turn(&alice, first, "resp_0");
    for (int i = 1; i < 10; i++) { /* a conversation that goes on lives on */
        now_ns += TTL - 1;
        snprintf(body, sizeof body, next, i - 1);
        snprintf(id, sizeof id, "resp_%d", i);
        turn(&alice, body, id);
    }
    assert_int_equal(ask(&alice, STATE_RESPONSE_GET, "resp_0").status, 200);
    now_ns += TTL;
    for (int i = 0; i < 10; i++) {
        snprintf(id, sizeof id, "resp_%d", i);
        assert_unknown(&alice, id);
    }
}

static void test_a_conversation_that_is_too_large(void **unused) {
    (void)unused;
    state->max_body_bytes = 200;
    turn(&alice, first, "resp_1");
    assert_turn_refused(&alice,
                        "{\"model\":\"m\",\"input\":[],\"previous_response_id\":\"resp_1\"}", CHAT,
                        false, 400, "context_length_exceeded",
                        "The conversation has grown larger than the gateway takes (limits.body).");
}

static void test_delete_and_cancel(void **unused) {
    (void)unused;
    turn(&alice, first, "resp_1");
    struct answer_text a = ask(&alice, STATE_RESPONSE_CANCEL, "resp_1");
    assert_int_equal(a.status, 400);
    assert_non_null(strstr(a.text, "Cannot cancel a synchronous response."));
    state->keeper = -1;
    assert_int_equal(ask(&bob, STATE_RESPONSE_CANCEL, "resp_1").status, 404);
    assert_int_equal(ask(&bob, STATE_RESPONSE_DELETE, "resp_1").status, 404);
    a = ask(&alice, STATE_RESPONSE_DELETE, "resp_1");
    assert_int_equal(a.status, 200);
    assert_string_equal(a.text, "{\"id\":\"resp_1\",\"object\":\"response\",\"deleted\":true}");
    assert_int_equal(ask(&alice, STATE_RESPONSE_DELETE, "resp_1").status, 404);
    assert_unknown(&alice, "resp_1");
}

static void test_input_items(void **unused) {
    static const struct {
        const char *query, *expected;
    } rows[] = {
        {"order=asc", "{\"object\":\"list\",\"data\":[" USER("i1", "one") "," OUT("resp_1") ","
                      USER("i2", "two") "],\"first_id\":\"i1\",\"last_id\":\"i2\",\"has_more\":false}"},
        {"", "{\"object\":\"list\",\"data\":[" USER("i2", "two") "," OUT("resp_1") ","
             USER("i1", "one") "],\"first_id\":\"i2\",\"last_id\":\"i1\",\"has_more\":false}"},
        {"limit=1", "{\"object\":\"list\",\"data\":[" USER("i2", "two")
                    "],\"first_id\":\"i2\",\"last_id\":\"i2\",\"has_more\":true}"},
        {"limit=1&after=i2&order=desc", "{\"object\":\"list\",\"data\":[" OUT("resp_1")
                    "],\"first_id\":\"msg_resp_1\",\"last_id\":\"msg_resp_1\",\"has_more\":true}"},
        {"after=i1", "{\"object\":\"list\",\"data\":[],\"first_id\":null,\"last_id\":null,\"has_more\":false}"},
        {"after=nobody", "{\"object\":\"list\",\"data\":[],\"first_id\":null,\"last_id\":null,\"has_more\":false}"},
    };
    static const char *const wrong[] = {"limit=0", "limit=101", "limit=x", "order=up"};
    (void)unused;
    turn(&alice, first, "resp_1");
    turn(&alice, "{\"model\":\"m\",\"previous_response_id\":\"resp_1\",\"input\":[" USER("i2", "two")
                 "]}", "resp_2");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct answer_text a = ask_full(&alice, STATE_RESPONSE_INPUT, "resp_2", NULL,
                                        rows[i].query, "");
        assert_int_equal(a.status, 200);
        assert_string_equal(a.text, rows[i].expected);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct answer_text a = ask_full(&alice, STATE_RESPONSE_INPUT, "resp_2", NULL, wrong[i], "");
        assert_int_equal(a.status, 400);
    }
    state->keeper = -1;
    assert_int_equal(ask(&bob, STATE_RESPONSE_INPUT, "resp_2").status, 404);
}

/* Items that came without an id have got one. */
static void test_items_have_ids(void **unused) {
    (void)unused;
    turn(&alice, "{\"model\":\"m\",\"input\":\"hi\"}", "resp_1");
    struct answer_text a = ask(&alice, STATE_RESPONSE_INPUT, "resp_1");
    assert_non_null(strstr(a.text, "\"first_id\":\"msg_"));
    assert_non_null(strstr(a.text, "\"hi\""));
}

static void test_stream_of_a_kept_answer(void **unused) {
    (void)unused;
    turn(&alice, first, "resp_1");
    struct answer_text a = ask_full(&alice, STATE_RESPONSE_GET, "resp_1", NULL, "stream=true", "");
    assert_int_equal(a.status, 200);
    assert_true(strncmp(a.text, "event: response.created\n", 24) == 0);
    assert_non_null(strstr(a.text, "event: response.output_text.delta\n"));
    assert_non_null(strstr(a.text, "event: response.completed\n"));
    assert_non_null(strstr(a.text, "\"id\":\"resp_1\""));
}

/* ---- tests: providers that keep answers themselves ---- */

static void test_native_answers(void **unused) {
    static const char body[] = "{\"model\":\"m\",\"input\":\"x\"}";
    (void)unused;
    struct state_turn t = begin(&alice, body, NATIVE, true);
    assert_true(t.wants_answer && !t.is_stored);
    assert_text(t.body, body);
    state_turn_keep(&t, slice_cstr(response_of("resp_n", "x")));
    state_turn_dispose(&t);
    for (enum state_verb v = STATE_RESPONSE_GET; v <= STATE_RESPONSE_INPUT; v++) {
        struct answer_text a = ask(&alice, v, "resp_n");
        assert_int_equal(a.status, 0);
        assert_int_equal(a.pass_to, NATIVE);
        assert_int_equal(ask(&bob, v, "resp_n").status, 404); /* alice's, whoever's key it is */
    }
    /* the provider knows it; others don't, and bob doesn't */
    static const char next[] = "{\"model\":\"m\",\"input\":\"x\",\"previous_response_id\":\"resp_n\"}";
    t = begin(&alice, next, NATIVE, true);
    assert_int_equal(t.refused_status, 0);
    assert_text(t.body, next);
    assert_null(t.previous.ptr);
    state_turn_dispose(&t);
    assert_turn_refused(&alice, next, CHAT, false, 400, "previous_response_not_found",
                        "Previous response with id 'resp_n' not found.");
    assert_turn_refused(&bob, next, NATIVE, true, 400, "previous_response_not_found",
                        "Previous response with id 'resp_n' not found.");
}

static void test_ids_that_nobody_knows(void **unused) {
    static const char next[] = "{\"model\":\"m\",\"input\":\"x\",\"previous_response_id\":\"resp_u\"}";
    (void)unused;
    assert_int_equal(state->keeper, NATIVE); /* SECOND does not keep */
    struct answer_text a = ask(&alice, STATE_RESPONSE_GET, "resp_u");
    assert_int_equal(a.status, 0);
    assert_int_equal(a.pass_to, NATIVE);
    struct state_turn t = begin(&alice, next, NATIVE, true);
    assert_int_equal(t.refused_status, 0);
    assert_text(t.body, next); /* perhaps from before a restart */
    state_turn_dispose(&t);
    providers[SECOND].keeps_responses = true;
    state_free(&state);
    state = state_new(&config);
    assert_int_equal(state->keeper, -1); /* which one? */
    assert_unknown(&alice, "resp_u");
}

/* A conversation that began elsewhere goes on with a provider that keeps answers. */
static void test_from_kept_to_native(void **unused) {
    (void)unused;
    turn(&alice, first, "resp_1");
    struct state_turn t = begin(&alice, "{\"model\":\"m\",\"previous_response_id\":\"resp_1\","
                                        "\"input\":[" USER("i2", "two") "]}", NATIVE, true);
    assert_text(t.body, "{\"model\":\"m\",\"input\":[" USER("i1", "one") "," OUT("resp_1") ","
                        USER("i2", "two") "]}");
    assert_true(t.wants_answer && !t.is_stored);
    state_turn_keep(&t, slice_cstr(response_of("resp_n", "x")));
    state_turn_dispose(&t);
    assert_int_equal(ask(&alice, STATE_RESPONSE_GET, "resp_n").pass_to, NATIVE);
}

/* Spoken to in responses, but without a memory: the gateway's. */
static void test_native_without_memory(void **unused) {
    (void)unused;
    struct state_turn t = begin(&alice, first, SECOND, true);
    assert_true(t.is_stored);
    state_turn_keep(&t, slice_cstr(response_of("resp_1", "resp_1")));
    state_turn_dispose(&t);
    t = begin(&alice, "{\"model\":\"m\",\"previous_response_id\":\"resp_1\",\"input\":[]}", SECOND,
              true);
    assert_text(t.body, "{\"model\":\"m\",\"input\":[" USER("i1", "one") "," OUT("resp_1") "]}");
    state_turn_dispose(&t);
}

/* ---- tests: conversations ---- */

/* The new conversation's id. Static. */
static const char *new_conversation(const char *body) {
    static char id[64];
    struct answer_text a = ask_full(&alice, STATE_CONVERSATION_NEW, NULL, NULL, "", body);
    assert_int_equal(a.status, 200);
    assert_int_equal(sscanf(a.text, "{\"id\":\"%60[a-z0-9_]\",\"object\":\"conversation\",", id), 1);
    return id;
}

static const char *items_of(const char *id) {
    static struct answer_text a;
    a = ask_full(&alice, STATE_ITEMS_LIST, id, NULL, "order=asc", "");
    assert_int_equal(a.status, 200);
    return a.text;
}

static void test_conversation(void **unused) {
    char body[256], text[64];
    (void)unused;
    const char *id = new_conversation("{\"metadata\":{\"a\":\"b\"},\"items\":[" USER("i1", "one") "]}");
    assert_true(strncmp(id, "conv_", 5) == 0);
    struct answer_text a = ask(&alice, STATE_CONVERSATION_GET, id);
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.text, "\"created_at\":1,\"metadata\":{\"a\":\"b\"}}"));
    snprintf(body, sizeof body, "{\"model\":\"m\",\"input\":[" USER("i2", "two")
             "],\"conversation\":\"%s\"}", id);
    assert_string_equal(turn(&alice, body, "resp_1"), "{\"model\":\"m\",\"input\":[" USER("i1", "one")
                        "," USER("i2", "two") "]}");
    /* it has grown by both; the other way of writing it */
    snprintf(body, sizeof body, "{\"model\":\"m\",\"conversation\":{\"id\":\"%s\"},\"input\":["
             USER("i3", "x") "],\"store\":false}", id);
    struct state_turn t = begin(&alice, body, CHAT, false);
    assert_text(t.body, "{\"model\":\"m\",\"store\":false,\"input\":[" USER("i1", "one") ","
                USER("i2", "two") "," OUT("resp_1") "," USER("i3", "x") "]}");
    assert_text(t.conversation, id);
    assert_true(t.wants_answer && !t.is_stored);
    state_turn_dispose(&t);
    assert_string_equal(items_of(id), "{\"object\":\"list\",\"data\":[" USER("i1", "one") ","
                        USER("i2", "two") "," OUT("resp_1") "],\"first_id\":\"i1\",\"last_id\":"
                        "\"msg_resp_1\",\"has_more\":false}");
    a = ask_full(&alice, STATE_CONVERSATION_SET, id, NULL, "", "{\"metadata\":{\"c\":\"d\"}}");
    assert_non_null(strstr(a.text, "\"created_at\":1,\"metadata\":{\"c\":\"d\"}}"));
    snprintf(text, sizeof text, "{\"id\":\"%s\",\"object\":\"conversation.deleted\",", id);
    a = ask(&alice, STATE_CONVERSATION_DELETE, id);
    assert_true(strncmp(a.text, text, strlen(text)) == 0);
    state->keeper = -1;
    assert_int_equal(ask(&alice, STATE_ITEMS_LIST, id).status, 404);
}

static void test_items_of_a_conversation(void **unused) {
    (void)unused;
    const char *id = new_conversation("");
    assert_string_equal(items_of(id), "{\"object\":\"list\",\"data\":[],\"first_id\":null,"
                                      "\"last_id\":null,\"has_more\":false}");
    struct answer_text a = ask_full(&alice, STATE_ITEMS_ADD, id, NULL, "",
                                    "{\"items\":[" USER("i1", "one") "," USER("i2", "two") "]}");
    assert_string_equal(a.text, "{\"object\":\"list\",\"data\":[" USER("i1", "one") ","
                        USER("i2", "two") "],\"first_id\":\"i1\",\"last_id\":\"i2\",\"has_more\":false}");
    a = ask_full(&alice, STATE_ITEM_GET, id, "i2", "", "");
    assert_string_equal(a.text, USER("i2", "two"));
    assert_int_equal(ask_full(&alice, STATE_ITEM_GET, id, "i9", "", "").status, 404);
    a = ask_full(&alice, STATE_ITEM_DELETE, id, "i1", "", "");
    assert_int_equal(a.status, 200);
    assert_non_null(strstr(a.text, "\"object\":\"conversation\""));
    assert_int_equal(ask_full(&alice, STATE_ITEM_DELETE, id, "i1", "", "").status, 404);
    assert_string_equal(items_of(id), "{\"object\":\"list\",\"data\":[" USER("i2", "two")
                        "],\"first_id\":\"i2\",\"last_id\":\"i2\",\"has_more\":false}");
    assert_int_equal(ask_full(&alice, STATE_ITEMS_ADD, id, NULL, "", "{\"items\":3}").status, 400);
    assert_int_equal(ask_full(&alice, STATE_ITEMS_ADD, id, NULL, "", "{\"items\":[").status, 400);
}

static void test_unknown_conversation(void **unused) {
    (void)unused;
    const char *id = new_conversation("");
    char body[256], expected[256];
    snprintf(body, sizeof body, "{\"model\":\"m\",\"input\":\"x\",\"conversation\":\"%s\"}", id);
    snprintf(expected, sizeof expected, "Conversation with id '%s' not found.", id);
    assert_turn_refused(&bob, body, CHAT, false, 404, NULL, expected);
    state->keeper = -1;
    for (enum state_verb v = STATE_CONVERSATION_GET; v <= STATE_ITEM_DELETE; v++)
        assert_int_equal(ask_full(&bob, v, id, "i", "", "{}").status, 404);
    struct state_turn t = begin(&alice, "{\"model\":\"m\",\"input\":\"x\",\"conversation\":\"conv_theirs\"}",
                                NATIVE, true);
    assert_int_equal(t.refused_status, 0); /* the provider's own, perhaps */
    assert_null(t.conversation.ptr);
    state_turn_dispose(&t);
}

/* ---- tests: a store that takes its time ---- */

static void test_slow_store(void **unused) {
    struct slow slow;
    char id[16], body[128];
    (void)unused;
    turn(&alice, first, "resp_0");
    for (int i = 1; i < 5; i++) {
        snprintf(id, sizeof id, "resp_%d", i);
        snprintf(body, sizeof body, "{\"model\":\"m\",\"input\":[],\"previous_response_id\":\"resp_%d\"}",
                 i - 1);
        turn(&alice, body, id);
    }
    slow_begin(&slow);
    struct state_turn t = {.done = count_done, .self = &n_done};
    n_done = 0;
    state_turn_begin(state, &t, &alice,
                     SLICE("{\"model\":\"m\",\"input\":[],\"previous_response_id\":\"resp_4\"}"),
                     CHAT, false);
    assert_int_equal(n_done, 0);
    assert_int_equal(slow_run(&slow), 5);
    assert_int_equal(n_done, 1);
    assert_int_equal(t.refused_status, 0);
    assert_non_null(memmem(t.body.ptr, t.body.len, "\"one\"", 5));
    state_turn_dispose(&t);

    t = (struct state_turn){.done = count_done, .self = &n_done};
    state_turn_begin(state, &t, &alice,
                     SLICE("{\"model\":\"m\",\"input\":[],\"previous_response_id\":\"resp_9\"}"),
                     CHAT, false);
    assert_int_equal(slow_run(&slow), 2); /* kept? a provider's? */
    assert_int_equal(n_done, 2);
    assert_int_equal(t.refused_status, 400);
    state_turn_dispose(&t);

    t = (struct state_turn){.done = count_done, .self = &n_done}; /* the client leaves meanwhile */
    state_turn_begin(state, &t, &alice,
                     SLICE("{\"model\":\"m\",\"input\":[],\"previous_response_id\":\"resp_4\"}"),
                     CHAT, false);
    state_turn_dispose(&t);
    assert_null(slow.waiting);
    assert_int_equal(n_done, 2);

    unsigned n = 0;
    struct state_question q = {.verb = STATE_RESPONSE_INPUT, .tenant = alice, .id = SLICE("resp_4"),
                               .done = count_answered, .self = &n};
    state_ask(state, &q);
    assert_int_equal(n, 0);
    assert_int_equal(slow_run(&slow), 5);
    assert_int_equal(n, 1);
    assert_int_equal(q.status, 200);
    state_question_dispose(&q);
    slow_end(&slow);
}

/* ---- tests: reasoning ---- */

static void add(struct reasoning_notes *n, struct event ev) {
    reasoning_notes_add(n, &ev);
}

/* thought, signature; "Let me see."; a second thought; calls a and b. */
static struct reasoning_notes *notes_of_a_turn(enum proof_family family) {
    struct reasoning_notes *n = reasoning_notes_new(family, 4096);
    add(n, (struct event){.kind = EV_START, .u.start = {.model = SLICE("m-1")}});
    add(n, (struct event){.kind = EV_BLOCK_BEGIN, .block_kind = BLOCK_REASONING, .block = 0,
                          .u.begin = {.item_id = SLICE("rs_1")}});
    add(n, (struct event){.kind = EV_DELTA, .block_kind = BLOCK_REASONING, .block = 0, .text = SLICE("th")});
    add(n, (struct event){.kind = EV_DELTA, .block_kind = BLOCK_REASONING, .block = 0, .text = SLICE("ink")});
    add(n, (struct event){.kind = EV_PART, .block_kind = BLOCK_REASONING, .block = 0});
    add(n, (struct event){.kind = EV_DELTA, .block_kind = BLOCK_REASONING, .block = 0, .text = SLICE("\"more\"")});
    add(n, (struct event){.kind = EV_SIGNATURE, .block_kind = BLOCK_REASONING, .block = 0, .text = SLICE("c2ln")});
    add(n, (struct event){.kind = EV_BLOCK_BEGIN, .block_kind = BLOCK_TEXT, .block = 1});
    add(n, (struct event){.kind = EV_DELTA, .block_kind = BLOCK_TEXT, .block = 1, .text = SLICE("Let me see.")});
    add(n, (struct event){.kind = EV_BLOCK_BEGIN, .block_kind = BLOCK_REDACTED, .block = 2});
    add(n, (struct event){.kind = EV_SIGNATURE, .block_kind = BLOCK_REDACTED, .block = 2, .text = SLICE("hidden")});
    add(n, (struct event){.kind = EV_BLOCK_BEGIN, .block_kind = BLOCK_REASONING, .block = 3});
    add(n, (struct event){.kind = EV_DELTA, .block_kind = BLOCK_REASONING, .block = 3, .text = SLICE("unproved")});
    add(n, (struct event){.kind = EV_BLOCK_BEGIN, .block_kind = BLOCK_TOOL_CALL, .block = 4, .u.begin = {.id = SLICE("call_a")}});
    add(n, (struct event){.kind = EV_BLOCK_BEGIN, .block_kind = BLOCK_CUSTOM_TOOL_CALL, .block = 5, .u.begin = {.id = SLICE("call_b")}});
    return n;
}

static void count_recalled(struct state_recall *r) {
    ++*(unsigned *)r->self;
}

/* The request of a next turn: an assistant's text and calls, and a result. */
static void make_request(struct llm_request *rq, struct arena *a, const char *call,
                         bool has_proof) {
    request_init(rq, "chat");
    struct message *m = message_add(rq, a, ROLE_USER);
    m = message_add(rq, a, ROLE_ASSISTANT);
    struct parts ps = {0};
    struct part *p = parts_add(&ps, a, PART_REASONING);
    p->text = SLICE("what the client has left of it");
    if (has_proof) p->proof = SLICE("its own");
    p = parts_add(&ps, a, PART_TEXT);
    p->text = SLICE("Let me see.");
    p = parts_add(&ps, a, PART_TOOL_CALL);
    p->id = SLICE("call_other");
    p = parts_add(&ps, a, PART_TOOL_CALL);
    p->id = slice_cstr(call);
    m->parts = ps.list;
    m->n_parts = ps.n;
    (void)message_add(rq, a, ROLE_TOOL);
}

/* "reasoning text call call" of the assistant's message. Static. */
static const char *recalled(const struct tenant *tenant, struct llm_request *rq, struct arena *a) {
    static char out[128];
    unsigned n = 0;
    struct state_recall r = {.done = count_recalled, .self = &n};
    state_recall_begin(state, &r, tenant, rq, a);
    assert_int_equal(n, 1);
    state_recall_dispose(&r);
    const struct message *m = rq->messages->next;
    out[0] = '\0';
    for (unsigned i = 0; i < m->n_parts; i++) {
        enum part_kind k = m->parts[i].kind;
        strcat(out, k == PART_REASONING ? "reasoning " : k == PART_REDACTED ? "redacted "
                    : k == PART_TEXT ? "text " : "call ");
    }
    return out;
}

static void test_reasoning_is_put_back(void **unused) {
    (void)unused;
    struct reasoning_notes *n = notes_of_a_turn(PROOF_ANTHROPIC);
    state_remember_reasoning(state, &alice, n);
    reasoning_notes_free(n);
    static const char *const calls[] = {"call_a", "call_b"};
    for (unsigned i = 0; i < 2; i++) { /* by any of the calls */
        struct arena *a = arena_new();
        struct llm_request rq;
        struct proof proof;
        make_request(&rq, a, calls[i], false);
        assert_string_equal(recalled(&alice, &rq, a), "reasoning text redacted call call ");
        const struct part *p = rq.messages->next->parts;
        assert_text(p[0].text, "think\n\n\"more\"");
        assert_text(p[0].item_id, "rs_1");
        assert_true(proof_unwrap(p[0].proof, a, &proof));
        assert_int_equal(proof.family, PROOF_ANTHROPIC);
        assert_int_equal(proof.kind, PROOF_SIGNATURE);
        assert_text(proof.payload, "c2ln");
        assert_text(proof.model, "m-1");
        assert_true(proof_unwrap(p[2].proof, a, &proof));
        assert_int_equal(proof.kind, PROOF_REDACTED);
        assert_text(proof.payload, "hidden");
        arena_free(a);
    }
}

static void test_reasoning_that_is_not_put_back(void **unused) {
    (void)unused;
    struct arena *a = arena_new();
    struct llm_request rq;
    struct reasoning_notes *n = notes_of_a_turn(PROOF_OPENAI);
    state_remember_reasoning(state, &alice, n);
    reasoning_notes_free(n);
    make_request(&rq, a, "call_a", false);
    assert_string_equal(recalled(&bob, &rq, a), "reasoning text call call ");
    make_request(&rq, a, "call_c", false);
    assert_string_equal(recalled(&alice, &rq, a), "reasoning text call call ");
    make_request(&rq, a, "call_a", true); /* the client has brought its own */
    rq.origin = "responses";
    assert_string_equal(recalled(&alice, &rq, a), "reasoning text call call ");
    make_request(&rq, a, "call_a", true); /* what a chat client brings may be a piece of it */
    rq.origin = "chat";
    assert_string_equal(recalled(&alice, &rq, a), "reasoning text redacted call call ");
    now_ns += TTL;
    make_request(&rq, a, "call_a", false);
    assert_string_equal(recalled(&alice, &rq, a), "reasoning text call call ");
    arena_free(a);
}

static void test_what_is_not_remembered(void **unused) {
    struct store_stats stats;
    (void)unused;
    /* no call */
    struct reasoning_notes *n = reasoning_notes_new(PROOF_ANTHROPIC, 4096);
    add(n, (struct event){.kind = EV_BLOCK_BEGIN, .block_kind = BLOCK_REASONING});
    add(n, (struct event){.kind = EV_SIGNATURE, .block_kind = BLOCK_REASONING, .text = SLICE("s")});
    state_remember_reasoning(state, &alice, n);
    reasoning_notes_free(n);
    /* no proof */
    n = reasoning_notes_new(PROOF_ANTHROPIC, 4096);
    add(n, (struct event){.kind = EV_BLOCK_BEGIN, .block_kind = BLOCK_REASONING});
    add(n, (struct event){.kind = EV_DELTA, .block_kind = BLOCK_REASONING, .text = SLICE("t")});
    add(n, (struct event){.kind = EV_BLOCK_BEGIN, .block_kind = BLOCK_TOOL_CALL, .block = 1, .u.begin = {.id = SLICE("c")}});
    state_remember_reasoning(state, &alice, n);
    reasoning_notes_free(n);
    /* too much of it */
    n = reasoning_notes_new(PROOF_ANTHROPIC, 8);
    add(n, (struct event){.kind = EV_BLOCK_BEGIN, .block_kind = BLOCK_REASONING});
    add(n, (struct event){.kind = EV_DELTA, .block_kind = BLOCK_REASONING, .text = SLICE("123456789")});
    add(n, (struct event){.kind = EV_SIGNATURE, .block_kind = BLOCK_REASONING, .text = SLICE("s")});
    add(n, (struct event){.kind = EV_BLOCK_BEGIN, .block_kind = BLOCK_TOOL_CALL, .block = 1, .u.begin = {.id = SLICE("c")}});
    state_remember_reasoning(state, &alice, n);
    reasoning_notes_free(n);
    reasoning_notes_free(NULL);
    state_get_stats(state, &stats);
    assert_int_equal(stats.entries, 0);
}

/* Steady state: deltas of reasoning cost no allocation each. */
static void test_notes_do_not_allocate_per_event(void **unused) {
    (void)unused;
    struct reasoning_notes *n = reasoning_notes_new(PROOF_ANTHROPIC, 1 << 20);
    struct event ev = {.kind = EV_DELTA, .block_kind = BLOCK_REASONING, .text = SLICE("token")};
    add(n, (struct event){.kind = EV_BLOCK_BEGIN, .block_kind = BLOCK_REASONING});
    uint64_t before = mem_alloc_count();
    for (unsigned i = 0; i < 10000; i++) reasoning_notes_add(n, &ev);
    assert_true(mem_alloc_count() - before < 32); /* the buffer doubles */
    before = mem_alloc_count();
    ev.block_kind = BLOCK_TEXT;
    for (unsigned i = 0; i < 10000; i++) reasoning_notes_add(n, &ev);
    assert_int_equal(mem_alloc_count() - before, 0);
    reasoning_notes_free(n);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_tenants),
        TEST(test_an_answer_is_kept),
        TEST(test_what_is_not_kept),
        TEST(test_a_chain),
        TEST(test_what_the_answer_repeats),
        TEST(test_unknown_previous),
        TEST(test_lifetime),
        TEST(test_a_conversation_that_is_too_large),
        TEST(test_delete_and_cancel),
        TEST(test_input_items),
        TEST(test_items_have_ids),
        TEST(test_stream_of_a_kept_answer),
        TEST(test_native_answers),
        TEST(test_ids_that_nobody_knows),
        TEST(test_from_kept_to_native),
        TEST(test_native_without_memory),
        TEST(test_conversation),
        TEST(test_items_of_a_conversation),
        TEST(test_unknown_conversation),
        TEST(test_slow_store),
        TEST(test_reasoning_is_put_back),
        TEST(test_reasoning_that_is_not_put_back),
        TEST(test_what_is_not_remembered),
        TEST(test_notes_do_not_allocate_per_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
