/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever upstreams say, in whatever order and pieces: see shape_random.h for what must hold. */
#include "dialect_test.h"

#include "base/random.h"
#include "shape_random.h"

static void random_upstreams(void **state) {
    (void)state;
    struct rng r;
    rng_seed(&r, 1);
    for (int round = 0; round < 3000; round++) {
        uint8_t bytes[600];
        size_t n = rng_below(&r, sizeof bytes);
        for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)rng_next(&r);
        shape_random_check(bytes, n);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_upstreams)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
