/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/random.h"

static void test_aligned_zeroed_apart(void **state) {
    (void)state;
    enum { N = 500 };
    static unsigned char *ptrs[N];
    static size_t lens[N];
    struct arena *a = arena_new();
    struct rng r;
    rng_seed(&r, 3);
    for (int i = 0; i < N; i++) {
        lens[i] = (size_t)rng_below(&r, i % 50 == 0 ? 50000 : 300);
        ptrs[i] = arena_alloc(a, lens[i]);
        assert_non_null(ptrs[i]);
        assert_int_equal((uintptr_t)ptrs[i] % 16, 0);
        for (size_t j = 0; j < lens[i]; j++) assert_int_equal(ptrs[i][j], 0);
        memset(ptrs[i], i & 0xff, lens[i]);
    }
    for (int i = 0; i < N; i++) {
        for (size_t j = 0; j < lens[i]; j++) assert_int_equal(ptrs[i][j], i & 0xff);
    }
    arena_free(a);
}

static void test_dup_and_printf(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct slice s = arena_dup(a, slice_make("abcdef", 3));
    assert_true(slice_eq(s, SLICE("abc")));
    assert_int_equal(s.ptr[3], '\0');
    s = arena_dup(a, SLICE_NULL);
    assert_int_equal(s.len, 0);
    assert_string_equal(s.ptr, "");
    assert_string_equal(arena_printf(a, "%s-%d", "x", 7), "x-7");
    char *wide = arena_printf(a, "%5000d", 1);
    assert_int_equal(strlen(wide), 5000);
    arena_free(a);
    arena_free(NULL);
}

static char order[8];

static void note(void *self) {
    strncat(order, self, sizeof order - 1 - strlen(order));
}

static void test_defer(void **state) {
    (void)state;
    struct arena *a = arena_new();
    arena_defer(a, note, (char[]){"a"});
    arena_defer(a, note, (char[]){"b"});
    arena_defer(a, note, arena_printf(a, "c"));       /* the arena's own memory is still there */
    assert_string_equal(order, "");
    arena_free(a);
    assert_string_equal(order, "cba");
}

#ifndef PENSTOCK_ARENA_SPLIT
static void test_chunks(void **state) {
    (void)state;
    struct arena *a = arena_new();
    assert_int_equal(arena_used_bytes(a), 2048);
    uint64_t before = mem_alloc_count();
    for (int i = 0; i < 100; i++) arena_alloc(a, 16);
    assert_true(mem_alloc_count() == before);
    assert_int_equal(arena_used_bytes(a), 2048);

    arena_alloc(a, 100000); /* its own chunk; the first goes on serving small ones */
    size_t used = arena_used_bytes(a);
    assert_in_range(used, 2048 + 100000, 2048 + 100064);
    arena_alloc(a, 16);
    assert_int_equal(arena_used_bytes(a), used);

    before = mem_alloc_count();
    for (int i = 0; i < 1024; i++) arena_alloc(a, 1024); /* a MiB in chunks of 32 KiB */
    assert_in_range(mem_alloc_count() - before, 32, 40);
    assert_in_range(arena_used_bytes(a) - used, 1 << 20, (1 << 20) + (1 << 17));
    arena_free(a);
}
#endif

static void test_used_grows(void **state) {
    (void)state;
    struct arena *a = arena_new();
    size_t before = arena_used_bytes(a);
    arena_alloc(a, 10000);
    assert_in_range(arena_used_bytes(a) - before, 10000, 20000);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_aligned_zeroed_apart),
        cmocka_unit_test(test_dup_and_printf),
        cmocka_unit_test(test_defer),
#ifndef PENSTOCK_ARENA_SPLIT
        cmocka_unit_test(test_chunks),
#endif
        cmocka_unit_test(test_used_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
