/* SPDX-License-Identifier: Apache-2.0 */
/* The journal is bounded, never holds a secret, and tells what became of a request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <yyjson.h>

#include "mock/journal.h"
#include "mock/mask.h"

/* ---- masks ---- */

static void check_mask(const char *name, const char *value, const char *wanted) {
    struct buf out;
    buf_init(&out, 4096);
    assert_int_equal(mask_header(&out, slice_cstr(name), slice_cstr(value)), 0);
    assert_int_equal(buf_append_byte(&out, '\0'), 0);
    assert_string_equal(out.ptr, wanted);
    buf_dispose(&out);
}

static void test_mask(void **state) {
    (void)state;
    check_mask("accept", "text/plain", "text/plain");
    check_mask("Authorization", "Bearer sk-test-1234567890abcdef", "Bearer sk-t*** sha256:93faf5716142f902");
    check_mask("x-api-key", "short", "*** sha256:f9b0078b5df596d2");
    check_mask("api-key", "", "*** sha256:e3b0c44298fc1c14");
    /* all of a cookie, not only what stands behind the first blank */
    check_mask("cookie", "a=1; b=2", "*** sha256:c4fa17e6446d6c65");
}

struct text_case {
    const char *text, *wanted;       /* wanted: NULL: as it is */
};

static void check_texts(int (*mask)(struct buf *out, struct slice text),
                        const struct text_case *cases, size_t n) {
    struct buf out;
    buf_init(&out, 4096);
    for (size_t i = 0; i < n; i++) {
        buf_reset(&out);
        assert_int_equal(mask(&out, slice_cstr(cases[i].text)), 0);
        assert_int_equal(buf_append_byte(&out, '\0'), 0);
        assert_string_equal(out.ptr, cases[i].wanted ? cases[i].wanted : cases[i].text);
    }
    buf_dispose(&out);
}

#define KEY      "sk-test-1234567890abcdef"
#define KEY_MASK "sk-t*** sha256:93faf5716142f902"

static void test_mask_text(void **state) {
    static const struct text_case cases[] = {
        {"", NULL},
        {"my key is " KEY ", keep it", "my key is " KEY_MASK ", keep it"},
        {KEY, KEY_MASK},
        {"(" KEY ")" KEY, "(" KEY_MASK ")" KEY_MASK},
        {"a task-oriented-assistant-of-the-desk", NULL},
        {"sk-short", NULL},
        {"risk-1234567890abcdefgh", NULL},
        {"Bearer of good news, and Bearer certificates", NULL},
        {"curl -H 'Authorization: bearer " KEY "'", "curl -H 'Authorization: bearer " KEY_MASK "'"},
    };
    (void)state;
    check_texts(mask_text, cases, sizeof cases / sizeof cases[0]);
}

static void test_mask_json(void **state) {
    static const struct text_case cases[] = {
        {"{\"a\":\"b\",\"n\":[1,2,{\"x\":null}]}", NULL},
        {"{\"content\":\"line\\n" KEY "\"}", "{\"content\":\"line\\n" KEY_MASK "\"}"},
        {"{\"content\":\"\\u000a" KEY "\"}", "{\"content\":\"\\u000a" KEY_MASK "\"}"},
        {"{\"api_key\" : \"short\"}", "{\"api_key\" : \"*** sha256:f9b0078b5df596d2\"}"},
        {"{\"x\":{\"API-Key\":\"short\"},\"y\":\"short\"}",
         "{\"x\":{\"API-Key\":\"*** sha256:f9b0078b5df596d2\"},\"y\":\"short\"}"},
        {"{\"authorization\":\"Bearer short\"}", "{\"authorization\":\"Bearer *** sha256:f9b0078b5df596d2\"}"},
        {"{\"password\":{\"type\":\"string\"},\"max_tokens\":5}", NULL},
        {"{\"password\":[\"a\"],\"token\":\"ab\"}", NULL},
        /* a key is shown as it is, and says nothing of what follows a value */
        {"{\"a\":\"secret\",\"b\":\"c\"}", NULL},
        /* cut off */
        {"{\"content\":\"and " KEY, "{\"content\":\"and " KEY_MASK},
        {"{\"api_key\":\"shor", NULL},
    };
    (void)state;
    check_texts(mask_json, cases, sizeof cases / sizeof cases[0] - 1);
    struct buf out;
    buf_init(&out, 4096);
    assert_int_equal(mask_json(&out, slice_cstr(cases[10].text)), 0);
    assert_null(memmem(out.ptr, out.len, "shor", 4));
    buf_dispose(&out);
}

static void test_mask_query(void **state) {
    static const struct text_case cases[] = {
        {"limit=2&order=asc", NULL},
        {"a&b=&=c&", NULL},
        {"x=1&key=short&y=2", "x=1&key=*** sha256:f9b0078b5df596d2&y=2"},
        {"api_key=short", "api_key=*** sha256:f9b0078b5df596d2"},
    };
    (void)state;
    check_texts(mask_query, cases, sizeof cases / sizeof cases[0]);
}

/* ---- entries ---- */

struct said {
    const char *path, *model, *body, *session, *dialect, *request_id;
};

static uint64_t add(struct journal *j, const struct said *s) {
    struct bytes *body = s->body ? bytes_copy(slice_cstr(s->body)) : NULL;
    const struct http_header headers[] = {
        {SLICE("authorization"), SLICE("Bearer sk-very-secret-key-0001")},
        {SLICE("quote\""), SLICE("\"\\")}};
    const struct http_exchange ex = {.method = HTTP_METHOD_POST,
                                     .path = slice_cstr(s->path),
                                     .headers = {headers, 2},
                                     .body = body};
    const struct journal_request rq = {.ex = &ex,
                                       .provider = "east",
                                       .dialect = s->dialect ? s->dialect : "chat",
                                       .model = slice_cstr(s->model),
                                       .session = slice_cstr(s->session),
                                       .request_id = slice_cstr(s->request_id),
                                       .stream = true,
                                       .wall_ns = 1500000000};
    uint64_t seq = journal_open(j, &rq);
    bytes_unref(&body);
    return seq;
}

static const struct said plain = {.path = "/v1/chat/completions", .model = "a \"model\""};

static void close_with(struct journal *j, uint64_t seq, unsigned status, enum journal_end end) {
    const struct journal_answer a = {.status = status,
                                     .tokens_in = 12,
                                     .tokens_out = 3,
                                     .finish_reason = SLICE("stop"),
                                     .first_token_ns = 20500000,
                                     .duration_ns = 60000000,
                                     .end = end};
    journal_close(j, seq, &a);
}

struct shown {
    struct buf text;
    yyjson_doc *doc;
    yyjson_val *entries;
};

static void show(struct journal *j, const char *query, struct shown *out) {
    struct journal_query q;
    struct arena *a = arena_new();
    struct err e;
    buf_init(&out->text, (size_t)64 << 20);
    journal_query_init(&q);
    if (journal_query_read(slice_cstr(query), a, &q, &e) < 0) {
        fail_msg("%s: %s", query, e.text);
    }
    assert_int_equal(journal_write(j, &q, &out->text), 0);
    assert_null(memmem(out->text.ptr, out->text.len, "secret", 6));
    out->doc = yyjson_read(out->text.ptr, out->text.len, 0);
    assert_non_null(out->doc);
    out->entries = yyjson_obj_get(yyjson_doc_get_root(out->doc), "entries");
    arena_free(a);
}

static void hide(struct shown *s) {
    yyjson_doc_free(s->doc);
    buf_dispose(&s->text);
}

/* The numbers of the entries that a query gives, as "1 3". */
static void check_query(struct journal *j, const char *query, const char *wanted) {
    struct shown s;
    char seqs[256] = "";
    size_t i, n;
    yyjson_val *one;
    show(j, query, &s);
    yyjson_arr_foreach(s.entries, i, n, one) {
        snprintf(seqs + strlen(seqs), sizeof seqs - strlen(seqs), "%s%llu", i ? " " : "",
                 (unsigned long long)yyjson_get_uint(yyjson_obj_get(one, "seq")));
    }
    hide(&s);
    assert_string_equal(seqs, wanted);
}

static const char *text_of(yyjson_val *entry, const char *name) {
    return yyjson_get_str(yyjson_obj_get(entry, name));
}

static void test_entry(void **state) {
    static const struct said one = {.path = "/v1/chat/completions",
                                    .model = "gpt-4o",
                                    .session = "s1",
                                    .request_id = "req_1",
                                    .body = "{\"model\":\"gpt-4o\",\"api_key\":\"my-secret\"}"};
    struct journal *j = journal_new();
    struct shown s;
    (void)state;
    uint64_t seq = add(j, &one);
    assert_int_equal(seq, 1);
    show(j, "", &s);
    yyjson_val *en = yyjson_arr_get_first(s.entries);
    assert_true(yyjson_is_null(yyjson_obj_get(en, "end")));
    assert_true(yyjson_is_null(yyjson_obj_get(en, "status")));
    hide(&s);
    const struct journal_notes notes = {.answered_by = "scenario",
                                        .response_id = SLICE("chatcmpl-1"),
                                        .scenario = SLICE("greeting"),
                                        .place = SLICE("a.yaml:3"),
                                        .fault = SLICE("cut:after=2"),
                                        .violations = SLICE("{\"rule\":\"range\"}"),
                                        .n_violations = 1};
    journal_note(j, seq, &notes);
    close_with(j, seq, 200, JOURNAL_BROKEN);
    close_with(j, seq, 500, JOURNAL_COMPLETED);          /* the first one counts */
    show(j, "", &s);
    en = yyjson_arr_get_first(s.entries);
    assert_string_equal(text_of(en, "method"), "POST");
    assert_string_equal(text_of(en, "provider"), "east");
    assert_string_equal(text_of(en, "dialect"), "chat");
    assert_string_equal(text_of(en, "session"), "s1");
    assert_string_equal(text_of(en, "request_id"), "req_1");
    assert_string_equal(text_of(en, "response_id"), "chatcmpl-1");
    assert_string_equal(text_of(en, "answered_by"), "scenario");
    assert_string_equal(text_of(en, "scenario"), "greeting");
    assert_string_equal(text_of(en, "place"), "a.yaml:3");
    assert_string_equal(text_of(en, "fault"), "cut:after=2");
    assert_string_equal(text_of(en, "end"), "failed by fault");
    assert_string_equal(text_of(en, "finish_reason"), "stop");
    assert_string_equal(yyjson_get_str(yyjson_ptr_get(en, "/body/model")), "gpt-4o");
    assert_string_equal(yyjson_get_str(yyjson_ptr_get(en, "/violations/0/rule")), "range");
    assert_int_equal(yyjson_get_uint(yyjson_obj_get(en, "status")), 200);
    assert_int_equal(yyjson_get_uint(yyjson_obj_get(en, "tokens_in")), 12);
    assert_true(yyjson_get_num(yyjson_obj_get(en, "first_token_ms")) == 20.5);
    assert_true(yyjson_get_num(yyjson_obj_get(en, "time")) == 1.5);
    hide(&s);
    journal_free(&j);
}

/* Those that the client saw: of somebody else's head, and none of an answer that was refused. */
static void test_ids_are_those_that_were_sent(void **state) {
    static const struct said one = {.path = "/v1/messages", .model = "m", .request_id = "req_1"};
    struct journal *j = journal_new();
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        add(j, &one);
    }
    journal_note(j, 1, &(struct journal_notes){.response_id = SLICE("msg_1")});
    journal_note(j, 2, &(struct journal_notes){.request_id = SLICE("theirs")});
    journal_note(j, 3, &(struct journal_notes){.request_id = SLICE("")});
    journal_note(j, 4, &(struct journal_notes){.response_id = SLICE("msg_4")});
    close_with(j, 1, 200, JOURNAL_COMPLETED);
    close_with(j, 4, 529, JOURNAL_COMPLETED);
    check_query(j, "request_id=req_1", "1 4");
    check_query(j, "request_id=REQ_1", "");
    check_query(j, "request_id=theirs", "2");
    check_query(j, "response_id=msg_1", "1");
    check_query(j, "response_id=msg_4", "");
    check_query(j, "response_id=msg_", "");
    journal_free(&j);
}

static void test_bounded(void **state) {
    struct journal *j = journal_new();
    struct shown s;
    (void)state;
    for (unsigned i = 0; i < JOURNAL_ENTRIES + 250; i++) {
        add(j, &plain);
    }
    show(j, "", &s);
    assert_int_equal(yyjson_get_uint(yyjson_ptr_get(yyjson_doc_get_root(s.doc), "/total")),
                     JOURNAL_ENTRIES + 250);
    assert_int_equal(yyjson_arr_size(s.entries), JOURNAL_SHOWN);
    hide(&s);
    show(j, "limit=100000", &s);
    assert_int_equal(yyjson_arr_size(s.entries), JOURNAL_ENTRIES);
    assert_int_equal(yyjson_get_uint(yyjson_ptr_get(s.entries, "/0/seq")), 251);
    hide(&s);
    close_with(j, 1, 200, JOURNAL_COMPLETED);            /* has gone: ignored */
    journal_limit(j, 2, JOURNAL_MAX_BYTES);
    check_query(j, "", "1249 1250");
    add(j, &plain);
    check_query(j, "", "1250 1251");
    journal_limit(j, 5, JOURNAL_MAX_BYTES);
    add(j, &plain);
    check_query(j, "", "1250 1251 1252");
    journal_clear(j);
    check_query(j, "", "");
    assert_int_equal(add(j, &plain), 1253);
    check_query(j, "", "1253");
    journal_limit(j, 0, 0);
    assert_int_equal(add(j, &plain), 0);
    check_query(j, "", "");
    journal_free(&j);
}

static void test_bytes_bound(void **state) {
    char *body = malloc(JOURNAL_BODY_BYTES * 2);
    struct said large = {.path = "/v1/responses", .model = "m", .body = body};
    struct journal *j = journal_new();
    struct shown s;
    (void)state;
    memset(body, 'x', JOURNAL_BODY_BYTES * 2 - 1);
    body[JOURNAL_BODY_BYTES * 2 - 1] = '\0';
    memcpy(body, "{\"a\":\"", 6);
    memcpy(body + JOURNAL_BODY_BYTES - 10, " sk-secret-0123456789abcdefghijk", 31);
    journal_limit(j, 100, JOURNAL_BODY_BYTES * 4);
    for (unsigned i = 0; i < 20; i++) {
        add(j, &large);
    }
    show(j, "", &s);
    assert_in_range(yyjson_arr_size(s.entries), 2, 4);
    yyjson_val *last = yyjson_arr_get_last(s.entries);
    assert_int_equal(yyjson_get_uint(yyjson_obj_get(last, "seq")), 20);
    assert_true(yyjson_get_bool(yyjson_obj_get(last, "body_is_cut")));
    assert_int_equal(yyjson_get_uint(yyjson_obj_get(last, "body_bytes")), JOURNAL_BODY_BYTES * 2 - 1);
    assert_in_range(yyjson_get_len(yyjson_obj_get(last, "body")), JOURNAL_BODY_BYTES - 600,
                    JOURNAL_BODY_BYTES);
    hide(&s);
    journal_free(&j);
    free(body);
}

static void test_queries(void **state) {
    static const struct said all[] = {
        {"/v1/chat/completions", "gpt-4o", "{\"m\":\"Caf\\u00e9 au lait\"}", "s1", "chat", NULL},
        {"/v1/messages", "claude-x", "{\"m\":\"tea\"}", NULL, "messages", NULL},
        {"/v1/chat/completions", "gpt-4o-mini", "no JSON, but tea", "s2", "chat", NULL},
        {"/v1/responses", "gpt-4o", NULL, "s1", "responses", NULL},
    };
    struct journal *j = journal_new();
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        add(j, &all[i]);
    }
    journal_note(j, 2, &(struct journal_notes){.fault = SLICE("429:rate=5%"), .answered_by = "generator"});
    journal_note(j, 4, &(struct journal_notes){.scenario = SLICE("Greeting")});
    close_with(j, 1, 200, JOURNAL_COMPLETED);
    close_with(j, 2, 429, JOURNAL_COMPLETED);
    close_with(j, 3, 404, JOURNAL_CANCELLED);
    check_query(j, "", "1 2 3 4");
    check_query(j, "dialect=chat", "1 3");
    check_query(j, "model=gpt-4o", "1 4");
    check_query(j, "model=gpt-4o*", "1 3 4");
    check_query(j, "path=*/messages", "2");
    check_query(j, "session=s1", "1 4");
    check_query(j, "provider=east", "1 2 3 4");
    check_query(j, "provider=west", "");
    check_query(j, "status=429", "2");
    check_query(j, "status=4xx", "2 3");
    check_query(j, "fault=429", "2");
    check_query(j, "fault=429%3Arate%3D5%25", "2");
    check_query(j, "scenario=greeting", "4");
    check_query(j, "answered_by=generator", "2");
    check_query(j, "end=open", "4");
    check_query(j, "end=cancelled", "3");
    check_query(j, "contains=Caf%C3%A9", "1");
    check_query(j, "contains=tea", "2 3");
    check_query(j, "contains=coffee", "");
    check_query(j, "limit=2", "3 4");
    check_query(j, "dialect=chat&limit=1", "3");
    check_query(j, "since=1", "2 3 4");
    check_query(j, "since=1&limit=1", "2");
    check_query(j, "since=4", "");
    check_query(j, "since=5", "");
    check_query(j, "since=18446744073709551615", "");
    check_query(j, "&body=0&", "1 2 3 4");
    journal_free(&j);
}

static void test_bad_queries(void **state) {
    static const char *const queries[] = {"nonsense=1", "status=x", "status=", "limit=0",  "limit=-1",
                                          "body=yes",   "since=a",  "=x&q",    "status=xx"};
    struct arena *a = arena_new();
    (void)state;
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        struct journal_query q;
        struct err e;
        journal_query_init(&q);
        if (journal_query_read(slice_cstr(queries[i]), a, &q, &e) == 0) {
            fail_msg("%s was taken", queries[i]);
        }
    }
    struct journal_query q;
    struct err e;
    char *long_one = arena_alloc(a, JOURNAL_FILTER_BYTES + 1);
    memset(long_one, '*', JOURNAL_FILTER_BYTES + 1);
    journal_query_init(&q);
    struct slice value = slice_make(long_one, JOURNAL_FILTER_BYTES + 1);
    assert_int_equal(journal_query_set(&q, SLICE("model"), value, &e), -ERR_USAGE);
    value.len--;
    assert_int_equal(journal_query_set(&q, SLICE("model"), value, &e), 0);
    arena_free(a);
}

static void count_change(void *self) {
    ++*(unsigned *)self;
}

/* What a reader holds outlives its going; whoever waits hears of every change. */
static void test_hold(void **state) {
    static const struct said one = {.path = "/v1/messages", .model = "m", .body = "{\"a\":1}"};
    struct journal *j = journal_new();
    struct arena *a = arena_new();
    struct journal_view *views;
    struct journal_query q;
    unsigned changes = 0;
    (void)state;
    journal_on_change(j, count_change, &changes);
    add(j, &one);
    add(j, &one);
    close_with(j, 1, 200, JOURNAL_COMPLETED);
    journal_note(j, 2, &(struct journal_notes){.answered_by = "generator"});
    journal_note(j, 7, &(struct journal_notes){.answered_by = "generator"});
    assert_int_equal(changes, 4);
    assert_int_equal(journal_last(j), 2);
    journal_query_init(&q);
    q.status_from = q.status_to = 200;
    unsigned n = journal_hold(j, &q, a, &views);
    assert_int_equal(n, 2);
    journal_clear(j);
    assert_true(views[0].answer_fits);
    assert_false(views[1].answer_fits);
    assert_true(slice_eq(views[1].body, SLICE("{\"a\":1}")));
    assert_true(slice_eq(http_headers_get(&views[0].headers, SLICE("quote\"")), SLICE("\"\\")));
    journal_release(views, n);
    journal_query_init(&q);
    q.since = UINT64_MAX;
    assert_int_equal(journal_hold(j, &q, a, &views), 0);
    arena_free(a);
    journal_free(&j);
}

/* They quote the body. */
static void test_violations_are_masked(void **state) {
    static const struct said one = {.path = "/v1/messages", .model = "m", .body = "{}"};
    struct journal *j = journal_new();
    struct buf out;
    (void)state;
    add(j, &one);
    journal_note(j, 1, &(struct journal_notes){
                           .violations = SLICE("{\"message\":\"Invalid value: '" KEY "'.\"}"),
                           .n_violations = 1});
    buf_init(&out, 1 << 16);
    assert_true(journal_write_one(j, 1, &out));
    assert_null(memmem(out.ptr, out.len, KEY, sizeof KEY - 1));
    assert_non_null(memmem(out.ptr, out.len, "'" KEY_MASK "'.", sizeof KEY_MASK + 2));
    buf_dispose(&out);
    journal_free(&j);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mask),      cmocka_unit_test(test_mask_text),
        cmocka_unit_test(test_mask_json), cmocka_unit_test(test_mask_query),
        cmocka_unit_test(test_entry),     cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_ids_are_those_that_were_sent),
        cmocka_unit_test(test_bytes_bound), cmocka_unit_test(test_queries),
        cmocka_unit_test(test_bad_queries), cmocka_unit_test(test_hold),
        cmocka_unit_test(test_violations_are_masked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
