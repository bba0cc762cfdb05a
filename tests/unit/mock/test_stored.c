/* SPDX-License-Identifier: Apache-2.0 */
/* What is remembered for the Responses API: turns on top of each other, references, conversations;
 * bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <yyjson.h>

#include "dialect/dialect.h"
#include "mock/stored.h"

#define TTL_NS (INT64_C(3600) * 1000000000)

static struct stored *s;
static struct arena *a;
static uint64_t serial;

static int setup(void **state) {
    (void)state;
    s = stored_new(1 << 20, TTL_NS, 7);
    a = arena_new();
    serial = 0;
    return 0;
}

static int teardown(void **state) {
    (void)state;
    stored_free(&s);
    arena_free(a);
    return 0;
}

static int read_turn(const char *body, struct stored_turn *t, struct request_fault *fault,
                     unsigned *status) {
    struct slice seed = stored_id(s, "", serial++, a);
    return stored_turn_read(s, slice_cstr(body), seed, a, t, fault, status);
}

/* One turn that is answered with a text. */
static void turn(const char *body, const char *id, const char *text) {
    struct request_fault fault;
    struct stored_turn t;
    unsigned status;
    if (read_turn(body, &t, &fault, &status) < 0) {
        fail_msg("%s: %s", body, fault.message);
    }
    struct stored_note *n = stored_note_new(s, &t);
    const char *response = arena_printf(
        a, "{\"id\":\"%s\",\"object\":\"response\",\"status\":\"completed\",\"output\":[{\"type\":\"message\","
           "\"id\":\"msg_%s\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"%s\"}]}]}",
        id, id, text);
    stored_keep(n, slice_cstr(response), SLICE_NULL);
    stored_note_free(&n);
}

/* The texts of a body's messages, "user: a | assistant: b". */
static void check_texts(struct slice body, const char *wanted) {
    struct llm_request rq;
    struct request_fault fault;
    char found[1024] = "";
    if (dialect_responses.decode_request(body, a, &rq, &fault) < 0) {
        fail_msg("%.*s: %s", SLICE_FMT(body), fault.message);
    }
    for (const struct message *m = rq.messages; m; m = m->next) {
        for (unsigned i = 0; i < m->n_parts; i++) {
            snprintf(found + strlen(found), sizeof found - strlen(found), "%s%s: %.*s",
                     found[0] ? " | " : "", m->role == ROLE_USER ? "user" : "assistant",
                     SLICE_FMT(m->parts[i].text));
        }
    }
    assert_string_equal(found, wanted);
}

static void check_turn(const char *body, const char *wanted) {
    struct request_fault fault;
    struct stored_turn t;
    unsigned status;
    if (read_turn(body, &t, &fault, &status) < 0) {
        fail_msg("%s: %s", body, fault.message);
    }
    check_texts(t.body, wanted);
}

static void check_refused(const char *body, unsigned wanted_status, const char *code,
                          const char *param) {
    struct request_fault fault;
    struct stored_turn t;
    unsigned status;
    assert_true(read_turn(body, &t, &fault, &status) < 0);
    assert_int_equal(status, wanted_status);
    assert_string_equal(fault.param, param);
    assert_string_equal(fault.code ? fault.code : "null", code);
}

static size_t count_items(struct slice items) {
    return stored_split(items, a).n;
}

static void test_chain(void **state) {
    (void)state;
    turn("{\"model\":\"m\",\"input\":\"one\"}", "resp_1", "ONE");
    turn("{\"model\":\"m\",\"input\":[{\"role\":\"user\",\"content\":\"two\"}],\"previous_response_id\":\"resp_1\"}",
         "resp_2", "TWO");
    check_turn("{\"model\":\"m\",\"input\":\"three\",\"previous_response_id\":\"resp_2\"}",
               "user: one | assistant: ONE | user: two | assistant: TWO | user: three");
    /* a fork */
    check_turn("{\"model\":\"m\",\"input\":\"other\",\"previous_response_id\":\"resp_1\"}",
               "user: one | assistant: ONE | user: other");
    check_turn("{\"model\":\"m\",\"input\":\"alone\"}", "user: alone");
    struct slice items;
    assert_true(stored_response_input(s, SLICE("resp_2"), a, &items));
    assert_int_equal(count_items(items), 3);
    assert_false(stored_response_input(s, SLICE("resp_3"), a, &items));
}

static void test_not_stored(void **state) {
    struct stored_response r;
    (void)state;
    turn("{\"model\":\"m\",\"input\":\"one\",\"store\":false}", "resp_1", "ONE");
    assert_false(stored_response_get(s, SLICE("resp_1"), a, &r));
    check_refused("{\"model\":\"m\",\"input\":\"x\",\"previous_response_id\":\"resp_1\"}", 400,
                  "previous_response_not_found", "previous_response_id");
    check_refused("{\"model\":\"m\",\"input\":\"x\",\"conversation\":\"conv_1\"}", 404, "null", "conversation");
    check_refused("{\"model\":\"m\",\"input\":[{\"type\":\"item_reference\",\"id\":\"msg_9\"}]}", 404, "null", "input");
    check_refused("{\"model\":\"m\",\"input\":\"x\",\"background\":true,\"store\":false}", 400, "null", "background");
}

static void test_references(void **state) {
    (void)state;
    turn("{\"model\":\"m\",\"input\":[{\"role\":\"user\",\"id\":\"msg_in\",\"content\":\"one\"}]}", "resp_1", "ONE");
    check_turn("{\"input\" : [ {\"type\":\"item_reference\",\"id\":\"msg_in\"} , {\"id\":\"msg_resp_1\"},"
               "{\"role\":\"user\",\"content\":\"next\"}],\"model\":\"m\"}",
               "user: one | assistant: ONE | user: next");
    assert_true(stored_response_delete(s, SLICE("resp_1")));
    assert_false(stored_response_delete(s, SLICE("resp_1")));
    check_refused("{\"model\":\"m\",\"input\":[{\"id\":\"msg_in\"}]}", 404, "null", "input");
}

/* To one answer and another by turns, and to one that has gone meanwhile. */
static void test_references_by_turns(void **state) {
    (void)state;
    turn("{\"model\":\"m\",\"input\":[{\"role\":\"user\",\"id\":\"msg_a\",\"content\":\"a\"}]}", "resp_1", "ONE");
    turn("{\"model\":\"m\",\"input\":[{\"role\":\"user\",\"id\":\"msg_b\",\"content\":\"b\"}]}", "resp_2", "TWO");
    check_turn("{\"model\":\"m\",\"input\":[{\"id\":\"msg_resp_1\"},{\"id\":\"msg_a\"},{\"id\":\"msg_a\"},"
               "{\"id\":\"msg_resp_2\"},{\"id\":\"msg_a\"},{\"id\":\"msg_b\"}]}",
               "assistant: ONE | user: a | user: a | assistant: TWO | user: a | user: b");
    assert_true(stored_response_delete(s, SLICE("resp_1")));
    check_refused("{\"model\":\"m\",\"input\":[{\"id\":\"msg_b\"},{\"id\":\"msg_a\"},{\"id\":\"msg_b\"}]}", 404,
                  "null", "input");
}

/* Many to the last item of a long answer: it is looked into once. */
static void test_many_references(void **state) {
    enum { ITEMS = 500, REFERENCES = 3000 };
    struct request_fault fault;
    struct stored_turn t;
    struct buf body;
    unsigned status;
    (void)state;
    buf_init(&body, 1 << 20);
    int rc = buf_append(&body, SLICE("{\"model\":\"m\",\"input\":["));
    for (unsigned i = 0; i < ITEMS; i++) {
        rc |= buf_appendf(&body, "%s{\"role\":\"user\",\"id\":\"msg_%u\",\"content\":\"x%0150u\"}", i ? "," : "", i, i);
    }
    rc |= buf_append(&body, SLICE("]}\0"));
    assert_int_equal(rc, 0);
    turn(body.ptr, "resp_1", "ONE");
    buf_reset(&body);
    rc = buf_append(&body, SLICE("{\"model\":\"m\",\"input\":["));
    for (unsigned i = 0; i < REFERENCES; i++) {
        rc |= buf_appendf(&body, "%s{\"id\":\"msg_%u\"}", i ? "," : "", ITEMS - 1);
    }
    rc |= buf_append(&body, SLICE("]}\0"));
    assert_int_equal(rc, 0);
    if (read_turn(body.ptr, &t, &fault, &status) < 0) {
        fail_msg("%s", fault.message);
    }
    assert_int_equal(count_items(t.input), REFERENCES);
    buf_dispose(&body);
}

static void test_get(void **state) {
    struct stored_response r;
    (void)state;
    turn("{\"model\":\"m\",\"input\":\"one\"}", "resp_1", "ONE");
    assert_true(stored_response_get(s, SLICE("resp_1"), a, &r));
    assert_true(slice_starts_with(r.response, SLICE("{\"id\":\"resp_1\"")));
    assert_int_equal(r.events.len, 0);
    assert_false(r.is_background);
}

static void test_conversation(void **state) {
    struct slice items, text, id = SLICE("conv_1");
    (void)state;
    assert_int_equal(stored_items_of(SLICE("{\"input\":[{\"role\":\"user\",\"content\":\"zero\"},"
                                           "{\"role\":\"assistant\",\"content\":\"ZERO\"}]}"),
                                     SLICE("seed"), a, &items), 0);
    text = stored_conversation_new(s, id, 5, SLICE("{\"k\":\"v\"}"), items, a);
    assert_true(slice_eq(text, SLICE("{\"id\":\"conv_1\",\"object\":\"conversation\",\"created_at\":5,"
                                     "\"metadata\":{\"k\":\"v\"}}")));
    turn("{\"model\":\"m\",\"input\":\"one\",\"conversation\":{\"id\":\"conv_1\"},\"store\":false}", "resp_1", "ONE");
    check_turn("{\"model\":\"m\",\"input\":\"two\",\"conversation\":\"conv_1\"}",
               "user: zero | assistant: ZERO | user: one | assistant: ONE | user: two");
    assert_true(stored_items_get(s, id, a, &items));
    struct stored_list list = stored_split(items, a);
    assert_int_equal(list.n, 4);
    assert_true(stored_items_delete(s, id, stored_item_id(list.items[1], a), a));
    assert_false(stored_items_delete(s, id, SLICE("nothing"), a));
    check_turn("{\"model\":\"m\",\"input\":\"two\",\"conversation\":\"conv_1\"}",
               "user: zero | user: one | assistant: ONE | user: two");
    check_turn("{\"model\":\"m\",\"input\":[{\"type\":\"item_reference\",\"id\":\"msg_resp_1\"}]}", "assistant: ONE");
    assert_true(stored_conversation_set(s, id, SLICE("{}"), a, &text));
    assert_true(stored_conversation_get(s, id, a, &text));
    assert_non_null(memmem(text.ptr, text.len, "\"created_at\":5,\"metadata\":{}", 28));
    assert_true(stored_conversation_delete(s, id));
    assert_false(stored_conversation_delete(s, id));
    assert_false(stored_items_add(s, id, SLICE("{}"), a));
    assert_false(stored_conversation_set(s, id, SLICE("{}"), a, &text));
}

/* As the SDKs' types want them. */
static void test_items(void **state) {
    struct slice items;
    (void)state;
    assert_int_equal(stored_items_of(SLICE("{\"input\":[{\"role\":\"user\",\"content\":\"a\\n\"},{\"type\":\"message\","
                                           "\"role\":\"assistant\",\"content\":\"b\",\"status\":\"completed\",\"id\":"
                                           "\"msg_1\"},{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\","
                                           "\"arguments\":\"{}\"}]}"),
                                     SLICE("0f"), a, &items), 0);
    const char *text = arena_printf(a, "[%.*s]", SLICE_FMT(items));
    yyjson_doc *doc = yyjson_read(text, strlen(text), 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    assert_non_null(root);
    assert_string_equal(yyjson_get_str(yyjson_ptr_get(root, "/0/id")), "msg_0f_0");
    assert_string_equal(yyjson_get_str(yyjson_ptr_get(root, "/0/content/0/type")), "input_text");
    assert_string_equal(yyjson_get_str(yyjson_ptr_get(root, "/0/content/0/text")), "a\n");
    assert_string_equal(yyjson_get_str(yyjson_ptr_get(root, "/0/status")), "completed");
    assert_string_equal(yyjson_get_str(yyjson_ptr_get(root, "/1/content/0/type")), "output_text");
    assert_string_equal(yyjson_get_str(yyjson_ptr_get(root, "/1/id")), "msg_1");
    assert_string_equal(yyjson_get_str(yyjson_ptr_get(root, "/2/type")), "function_call");
    assert_string_equal(yyjson_get_str(yyjson_ptr_get(root, "/2/id")), "fc_0f_2");
    yyjson_doc_free(doc);
    assert_true(stored_items_of(SLICE("{\"input\":[5]}"), SLICE("0f"), a, &items) < 0);
    assert_int_equal(stored_items_of(SLICE("{\"input\":[]}"), SLICE("0f"), a, &items), 0);
    assert_int_equal(items.len, 0);
}

static void test_ids(void **state) {
    (void)state;
    struct stored *other = stored_new(1 << 20, TTL_NS, 7);
    struct slice first = stored_id(s, "conv_", 3, a);
    assert_int_equal(first.len, 5 + 48);
    assert_true(slice_eq(first, stored_id(other, "conv_", 3, a)));
    assert_false(slice_eq(first, stored_id(s, "conv_", 4, a)));
    stored_free(&other);
}

/* What one key has stored is not there for another one, nor for nobody. */
static void test_parts(void **state) {
    struct stored *all = s, *mine = stored_of_key(s, SLICE("sk-mine"), a);
    struct stored *yours = stored_of_key(s, SLICE("sk-yours"), a);
    struct stored_response r;
    struct request_fault fault;
    struct stored_turn t;
    struct slice text;
    unsigned status;
    (void)state;
    s = mine;
    turn("{\"model\":\"m\",\"input\":[{\"role\":\"user\",\"id\":\"msg_x\",\"content\":\"plum\"}]}", "resp_1", "one");
    stored_conversation_new(s, SLICE("conv_1"), 5, SLICE("{}"), SLICE(""), a);
    assert_true(stored_response_get(stored_of_key(all, SLICE("sk-mine"), a), SLICE("resp_1"), a, &r));
    for (unsigned i = 0; i < 2; i++) {
        s = i ? yours : all;
        assert_false(stored_response_get(s, SLICE("resp_1"), a, &r));
        assert_false(stored_response_delete(s, SLICE("resp_1")));
        assert_false(stored_conversation_get(s, SLICE("conv_1"), a, &text));
        assert_true(read_turn("{\"model\":\"m\",\"input\":\"b\",\"previous_response_id\":\"resp_1\"}", &t, &fault, &status) < 0);
        assert_true(read_turn("{\"model\":\"m\",\"input\":[{\"type\":\"item_reference\",\"id\":\"msg_x\"}]}", &t, &fault, &status) < 0);
    }
    assert_false(stored_is_same_part(mine, yours));
    assert_true(stored_response_delete(mine, SLICE("resp_1")));
    s = all;
}

static void test_bounded(void **state) {
    struct store_stats stats;
    char id[32];
    (void)state;
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(id, sizeof id, "resp_%u", i);
        turn("{\"model\":\"m\",\"input\":\"a text that is a little longer than nothing\"}", id, "and an answer");
        arena_free(a);
        a = arena_new();
    }
    stored_get_stats(s, &stats);
    assert_in_range(stats.bytes, 1, 1 << 20);
    assert_true(stats.evicted > 0);
    check_refused("{\"model\":\"m\",\"input\":\"x\",\"previous_response_id\":\"resp_0\"}", 400,
                  "previous_response_not_found", "previous_response_id");
    check_turn("{\"model\":\"m\",\"input\":\"x\",\"previous_response_id\":\"resp_4999\"}",
               "user: a text that is a little longer than nothing | assistant: and an answer | user: x");
}

static void test_member(void **state) {
    (void)state;
    assert_true(slice_eq(stored_with_member(SLICE("{\"a\":1,\"status\":\"x\",\"b\":2}"), SLICE("status"),
                                            SLICE("\"yy\""), a),
                         SLICE("{\"a\":1,\"status\":\"yy\",\"b\":2}")));
    assert_true(slice_eq(stored_with_member(SLICE("{}"), SLICE("status"), SLICE("1"), a), SLICE("{}")));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_chain),      TEST(test_not_stored), TEST(test_references),
        TEST(test_references_by_turns), TEST(test_many_references),
        TEST(test_get),
        TEST(test_conversation), TEST(test_items),    TEST(test_ids),        TEST(test_bounded),
        TEST(test_member),     TEST(test_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
