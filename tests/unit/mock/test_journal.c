/* SPDX-License-Identifier: Apache-2.0 */
/* The journal is bounded and never holds a secret. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <yyjson.h>

#include "mock/journal.h"
#include "mock/mask.h"

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
}

static void add(struct journal *j, unsigned i) {
    char number[16], path[600];
    memset(path, 'p', sizeof path);
    snprintf(number, sizeof number, "%u", i);
    const struct http_header headers[] = {{SLICE("x-number"), slice_cstr(number)},
                                          {SLICE("authorization"), SLICE("Bearer sk-very-secret-key-0001")},
                                          {SLICE("x-long"), slice_make(path, sizeof path)},
                                          {SLICE("quote\""), SLICE("\"\\")}};
    const struct http_exchange ex = {
        .method = HTTP_METHOD_POST, .path = slice_make(path, sizeof path), .headers = {headers, 4}};
    journal_add(j, &ex, SLICE("a \"model\""), true);
}

static yyjson_doc *read_journal(struct journal *j, struct buf *out) {
    buf_reset(out);
    assert_int_equal(journal_write(j, out), 0);
    yyjson_doc *doc = yyjson_read(out->ptr, out->len, 0);
    assert_non_null(doc);
    return doc;
}

static void test_journal(void **state) {
    struct journal *j = journal_new();
    struct buf out;
    (void)state;
    buf_init(&out, 4 << 20);
    for (unsigned i = 0; i < 250; i++) {
        add(j, i);
    }
    yyjson_doc *doc = read_journal(j, &out);
    yyjson_val *root = yyjson_doc_get_root(doc), *entries = yyjson_obj_get(root, "entries");
    assert_int_equal(yyjson_get_uint(yyjson_obj_get(root, "total")), 250);
    assert_int_equal(yyjson_arr_size(entries), JOURNAL_ENTRIES);
    assert_int_equal(yyjson_get_uint(yyjson_obj_get(yyjson_arr_get_first(entries), "seq")), 151);
    yyjson_val *last = yyjson_arr_get_last(entries);
    assert_string_equal(yyjson_get_str(yyjson_ptr_get(last, "/headers/x-number")), "249");
    assert_string_equal(yyjson_get_str(yyjson_obj_get(last, "model")), "a \"model\"");
    assert_int_equal(buf_append_byte(&out, '\0'), 0);
    assert_null(strstr(out.ptr, "secret"));
    yyjson_doc_free(doc);
    journal_clear(j);
    doc = read_journal(j, &out);
    assert_int_equal(yyjson_arr_size(yyjson_obj_get(yyjson_doc_get_root(doc), "entries")), 0);
    yyjson_doc_free(doc);
    buf_dispose(&out);
    journal_free(&j);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mask),
        cmocka_unit_test(test_journal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
