/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "meter/meter.h"

static void test_end_reasons(void **state) {
    (void)state;
    for (unsigned i = 0; i < END_REASON_COUNT; i++) {
        const char *name = end_reason_name((enum end_reason)i);
        assert_true(strlen(name) > 1);
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
        for (unsigned k = 0; k < i; k++) {
            assert_string_not_equal(name, end_reason_name((enum end_reason)k));
        }
    }
    assert_false(end_reason_is_error(END_OK));
    assert_false(end_reason_is_error(END_CLIENT_GONE));
    assert_true(end_reason_is_error(END_UPSTREAM_CUT));
}

static void test_counters(void **state) {
    (void)state;
    struct meter *m = meter_new(2);
    assert_int_equal(m->n_providers, 2);
    meter_add(&m->streams_open, 3);
    meter_sub(&m->streams_open, 1);
    meter_add(&m->providers[2].requests_by_end[END_OVERLOAD][1], 1); /* the last: none */
    assert_true(meter_get(&m->streams_open) == 2);
    assert_true(meter_get(&m->providers[2].requests_by_end[END_OVERLOAD][1]) == 1);
    assert_true(meter_get(&m->providers[0].requests_by_end[END_OVERLOAD][1]) == 0);
    hist_record(&m->providers[2].duration_ns[1], 5);
    assert_true(hist_quantile(&m->providers[2].duration_ns[1], 0.5) == 5);
    meter_free(m);
    meter_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_end_reasons),
        cmocka_unit_test(test_counters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
