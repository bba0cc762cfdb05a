/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"

static void seconds_are_told_in_utc(void **state) {
    static const struct {
        int64_t wall_s;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00Z"},
        {-1, "1969-12-31T23:59:59Z"},
        {951782400, "2000-02-29T00:00:00Z"},
        {1763720679, "2025-11-21T10:24:39Z"},
        {INT64_MAX, ""},
        {INT64_MIN, ""},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[CLOCK_TEXT_BYTES] = "not yet";
        clock_utc_text(rows[i].wall_s, text);
        assert_string_equal(text, rows[i].text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seconds_are_told_in_utc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
