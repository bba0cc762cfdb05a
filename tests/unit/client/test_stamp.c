/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/stamp.h"

static void test_stamps(void **state) {
    struct stamp s;
    (void)state;
    assert_true(stamp_parse(SLICE(": t=12 due=7\n"), &s));
    assert_int_equal(s.sent_ns, 12);
    assert_int_equal(s.due_ns, 7);
    assert_true(stamp_parse(SLICE(": t=9223372036854775807\r\n"), &s));
    assert_true(s.sent_ns == INT64_MAX && s.due_ns == 0);
    assert_true(stamp_parse(SLICE(": t=1"), &s));
}

static void test_what_is_no_stamp(void **state) {
    static const char *const others[] = {"",       ":",          ": ping",         ": t=",          ": t=x\n",
                                         ":t=1\n", ": t=-1\n",   ": t=1 due=\n",   ": t=1 due=x\n", ": t=1 2\n",
                                         "t=1",    ": t=1due=2", ": t=1 due=2 3\n", ": t=9223372036854775808\n"};
    struct stamp s = {3, 4};
    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (stamp_parse(slice_cstr(others[i]), &s)) {
            fail_msg("taken: %s", others[i]);
        }
        assert_true(s.sent_ns == 3 && s.due_ns == 4);
    }
    assert_false(stamp_parse(SLICE_NULL, &s));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stamps),
        cmocka_unit_test(test_what_is_no_stamp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
