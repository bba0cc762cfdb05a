/* SPDX-License-Identifier: Apache-2.0 */
#include "sse_test.h"

struct row {
    const char *name, *data, *out;
};

static void the_canonical_form(void **state) {
    (void)state;
    static const struct row rows[] = {
        {"", "{}", "data: {}\n\n"},
        {"error", "{}", "event: error\ndata: {}\n\n"},
        {"", "", "data: \n\n"},
        {"", "a\nb", "data: a\ndata: b\n\n"},
        {"", "a\r\nb\rc\n", "data: a\ndata: b\ndata: c\ndata: \n\n"},
        {"", " a", "data:  a\n\n"},
        {"a\ndata: injected", "b", "event: a\ndata: b\n\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out;
        buf_init(&out, 1000);
        assert_int_equal(sse_write(&out, slice_cstr(rows[i].name), slice_cstr(rows[i].data)), 0);
        assert_slices(buf_slice(&out), slice_cstr(rows[i].out));
        buf_dispose(&out);
    }
}

static void all_or_nothing(void **state) {
    (void)state;
    for (size_t max = 0; max < 24; max++) {
        struct buf out;
        buf_init(&out, max);
        assert_int_equal(sse_write(&out, SLICE("name"), SLICE("a\nb")), max < 29 ? -ERR_LIMIT : 0);
        assert_int_equal(out.len, 0);
        buf_dispose(&out);
    }
}

static void ill_formed_bytes_are_replaced(void **state) {
    (void)state;
    static const struct {
        const char *bytes, *text;
    } rows[] = {
        {"", ""},
        {"a\xff", "a\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf0\x9f\x98"
         "a",
         "\xef\xbf\xbd"
         "a"},
        {"\xf0\x9f", "\xef\xbf\xbd"},
        {"\xf0\x8f\xbf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xc3\xc3\xa9\xc3", "\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out;
        buf_init(&out, strlen(rows[i].bytes) * 3);
        assert_int_equal(sse_decode_utf8(&out, slice_cstr(rows[i].bytes)), 0);
        assert_slices(buf_slice(&out), slice_cstr(rows[i].text));
        buf_dispose(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_canonical_form),
        cmocka_unit_test(all_or_nothing),
        cmocka_unit_test(ill_formed_bytes_are_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
