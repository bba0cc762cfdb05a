/* SPDX-License-Identifier: Apache-2.0 */
/* Where chance comes from: the request and how many of the same were before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mock/serial.h"

static struct serials *all;

static int setup(void **state) {
    (void)state;
    all = calloc(1, sizeof *all);
    return all == NULL;
}

static int teardown(void **state) {
    (void)state;
    free(all);
    return 0;
}

static void test_equal_requests_count_on(void **state) {
    struct slice path = SLICE("/v1/x"), body = SLICE("{\"a\":1}");
    (void)state;
    for (uint64_t nth = 0; nth < 100; nth++) {
        uint64_t next = serials_next(all, path, body);
        assert_true(next == serials_take(all, path, body));
        assert_true(next == serial_of(path, body, nth));
    }
}

/* In whatever order they come. */
static void test_others_change_nothing(void **state) {
    enum { OTHERS = 30000 };
    char body[40];
    (void)state;
    for (unsigned i = 0; i < 3 * OTHERS; i++) {
        int n = snprintf(body, sizeof body, "{\"n\":%u}", i % OTHERS);
        uint64_t serial = serials_take(all, SLICE("/v1/x"), slice_make(body, (size_t)n));
        assert_true(serial == serial_of(SLICE("/v1/x"), slice_make(body, (size_t)n), i / OTHERS));
    }
}

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Far more different ones than there are counters. */
static void test_all_are_different(void **state) {
    enum { MANY = 200000 };
    static uint64_t seen[MANY];
    char body[40];
    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        int n = snprintf(body, sizeof body, "{\"n\":%u}", i % 90000);
        seen[i] = serials_take(all, i % 2 ? SLICE("/v1/x") : SLICE("/v1/y"), slice_make(body, (size_t)n));
    }
    qsort(seen, MANY, sizeof seen[0], compare);
    for (unsigned i = 1; i < MANY; i++) {
        assert_true(seen[i] != seen[i - 1]);
    }
}

/* Of large ones the ends and the length: the same in the middle is no matter, they count on. */
static void test_large_bodies(void **state) {
    enum { LARGE = 100000 };
    static char text[LARGE];
    struct slice body = slice_make(text, LARGE);
    uint64_t before[4], now;
    (void)state;
    memset(text, 'a', LARGE);
    before[0] = serials_take(all, SLICE("/x"), body);
    text[LARGE / 2] = 'b';
    before[1] = serials_take(all, SLICE("/x"), body);
    text[LARGE - 1] = 'b';
    before[2] = serials_take(all, SLICE("/x"), body);
    text[0] = 'b';
    before[3] = serials_take(all, SLICE("/x"), body);
    now = serials_take(all, SLICE("/x"), slice_make(text, LARGE - 1));
    for (unsigned i = 0; i < 4; i++) {
        assert_true(before[i] != now);
        now = before[i];
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_equal_requests_count_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_others_change_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_all_are_different, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large_bodies, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
