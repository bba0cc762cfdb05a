/* SPDX-License-Identifier: Apache-2.0 */
/* The table of faults has a row for each, and what it says fits together; end reasons have their
 * documented names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json_scan.h"
#include "gateway/gateway-private.h"

static bool is_type(const char *type) {
    return strcmp(type, "invalid_request_error") == 0 || strcmp(type, "request_forbidden") == 0 || strcmp(type, "server_error") == 0;
}

static void every_fault_has_a_row(void **state) {
    (void)state;
    for (int id = 0; id < FAULT_COUNT; id++) {
        const struct fault *f = fault_get((enum fault_id)id);
        if (f->status < 400 || f->status > 504 || !f->type || !is_type(f->type) ||
            !end_reason_is_error(f->end))
            fail_msg("fault %d", id);
        assert_true(f->end > END_OK && f->end < END_REASON_COUNT);
        assert_int_equal(f->status >= 500, strcmp(f->type, "server_error") == 0);
        assert_int_equal(f->status < 500, f->end == END_CLIENT_ERROR);
        /* come back later, and when */
        assert_int_equal(f->status == 503, f->retry_after_s > 0);
        assert_false(f->retry_after_s && f->no_retry);
    }
}

static void bodies_are_in_openais_shape(void **state) {
    (void)state;
    for (int id = 0; id < FAULT_COUNT; id++) {
        const struct fault *f = fault_get((enum fault_id)id);
        struct api_error er = fault_error((enum fault_id)id, &dialect_chat, NULL, "x[\"y\"]",
                                          "odd \"\\\n\377\001 text");
        struct buf body;
        struct json_member error, m;
        buf_init(&body, 4096);
        assert_int_equal(er.status, f->status);
        assert_int_equal(dialect_chat.encode_error(&er, &body), 0);
        assert_int_equal(slice_utf8_valid(buf_slice(&body)), body.len);
        assert_true(json_find_member(buf_slice(&body), SLICE("error"), &error));
        assert_true(json_find_member(error.value, SLICE("message"), &m) && slice_eq(m.value, SLICE("\"odd \\\"\\\\\\n\357\277\275\\u0001 text\"")));
        assert_true(json_find_member(error.value, SLICE("param"), &m) && slice_eq(m.value, SLICE("\"x[\\\"y\\\"]\"")));
        assert_true(json_find_member(error.value, SLICE("type"), &m));
        assert_true(slice_eq(slice_sub(m.value, 1, m.value.len - 2), slice_cstr(f->type)));
        assert_true(json_find_member(error.value, SLICE("code"), &m));
        assert_true(f->code ? slice_eq(slice_sub(m.value, 1, m.value.len - 2), slice_cstr(f->code)) : slice_eq(m.value, SLICE("null")));
        buf_reset(&body);
        er = fault_error((enum fault_id)id, &dialect_chat, NULL, NULL, "a\nb");
        assert_int_equal(dialect_chat.encode_error_event(&er, NULL, &body), 0);
        assert_true(slice_starts_with(buf_slice(&body), SLICE("data: {\"error\":{\"message\":\"a\\nb\"")));
        assert_ptr_equal(memchr(body.ptr, '\n', body.len), body.ptr + body.len - 2);
        buf_dispose(&body);
    }
}

static void every_error_of_a_call_is_some_fault(void **state) {
    (void)state;
    for (int kind = ERR_NONE + 1; kind < ERR_KIND_COUNT; kind++)
        for (int any_byte = 0; any_byte < 2; any_byte++) {
            struct err e = {.kind = (enum err_kind)kind};
            enum fault_id id = fault_of_call(&e, any_byte);
            assert_true(fault_get(id)->status >= 500);
            assert_int_equal(id == FAULT_INTERNAL, kind == ERR_USAGE || kind == ERR_INTERNAL);
        }
    assert_int_equal(fault_of_call(&(struct err){.kind = ERR_LIMIT}, false), FAULT_UPSTREAM_BUSY);
    assert_int_equal(fault_of_call(&(struct err){.kind = ERR_LIMIT}, true), FAULT_UPSTREAM_LIMIT);
    assert_int_equal(fault_of_call(&(struct err){.kind = ERR_TIMEOUT}, true),
                     FAULT_UPSTREAM_TIMEOUT);
    assert_int_equal(fault_of_call(&(struct err){.kind = ERR_CLOSED}, true), FAULT_UPSTREAM_CUT);
}

/* docs/serve.md lists them; dashboards are built on them. */
static void end_reasons_keep_their_names(void **state) {
    (void)state;
    static const char *const names[] = {"ok", "client_gone", "client_error", "upstream_status", "upstream_auth", "upstream_connect", "upstream_timeout",
                                        "upstream_cut", "upstream_protocol", "upstream_limit", "upstream_error_event", "overload", "drain", "internal"};
    assert_int_equal(END_REASON_COUNT, sizeof names / sizeof names[0]);
    for (int i = 0; i < END_REASON_COUNT; i++)
        assert_string_equal(end_reason_name((enum end_reason)i), names[i]);
    assert_false(end_reason_is_error(END_OK) || end_reason_is_error(END_CLIENT_GONE));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fault_has_a_row),
        cmocka_unit_test(bodies_are_in_openais_shape),
        cmocka_unit_test(every_error_of_a_call_is_some_fault),
        cmocka_unit_test(end_reasons_keep_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
