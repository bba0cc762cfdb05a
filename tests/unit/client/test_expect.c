/* SPDX-License-Identifier: Apache-2.0 */
/* The bench knows every byte of the counting texts that it asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/expect.h"

static bool meets(const char *text, size_t portion) {
    struct expect x;
    expect_start(&x, 17, 3);
    for (struct slice s = slice_cstr(text); s.len > 0; s = slice_from(s, portion)) {
        expect_feed(&x, slice_sub(s, 0, portion));
    }
    return expect_is_met(&x);
}

static void test_expected_texts(void **state) {
    struct expect x;
    char prompt[64];
    (void)state;
    expect_start(&x, 17, 3);
    assert_int_equal(expect_prompt(&x, prompt, sizeof prompt), 14);
    assert_memory_equal(prompt, "count s17 to 3", 14);
    for (size_t portion = 1; portion < 30; portion++) {
        assert_true(meets("s17n1 s17n2 s17n3", portion));
        assert_false(meets("s17n1 s17n2", portion));
        assert_false(meets("s17n1 s17n2 s17n", portion));
        assert_false(meets("s17n1 s17n2 s17n3 ", portion));
        assert_false(meets("s17n1 s17n2 s17n3 s17n4", portion));
        assert_false(meets("s17n1 s18n2 s17n3", portion));
        assert_false(meets("", portion));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expected_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
