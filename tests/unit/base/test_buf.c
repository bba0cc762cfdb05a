/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "base/random.h"

static void test_idle_costs_nothing(void **state) {
    (void)state;
    struct buf b;
    uint64_t before = mem_alloc_count();
    buf_init(&b, 100);
    assert_int_equal(buf_append(&b, SLICE_NULL), 0);
    assert_int_equal(buf_append(&b, SLICE("")), 0);
    buf_consume(&b, 0);
    buf_dispose(&b);
    assert_true(mem_alloc_count() == before);
    assert_null(b.ptr);
}

static void test_all_or_nothing(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    assert_int_equal(buf_append(&b, SLICE("12345678901")), -ERR_LIMIT);
    assert_int_equal(b.len, 0);
    assert_int_equal(buf_append(&b, SLICE("12345678")), 0);
    assert_int_equal(buf_append(&b, SLICE("abc")), -ERR_LIMIT);
    assert_int_equal(buf_appendf(&b, "%d", 123), -ERR_LIMIT);
    assert_true(slice_eq(buf_slice(&b), SLICE("12345678")));
    assert_int_equal(buf_appendf(&b, "%d", 90), 0); /* exactly full: no byte is lost to a NUL */
    assert_true(slice_eq(buf_slice(&b), SLICE("1234567890")));
    assert_int_equal(buf_append_byte(&b, 'x'), -ERR_LIMIT);
    assert_int_equal(buf_appendf(&b, "%s", ""), 0);
    assert_null(buf_reserve(&b, 1));
    assert_null(buf_reserve(&b, SIZE_MAX));
    assert_non_null(buf_reserve(&b, 0));
    buf_consume(&b, 4);
    assert_true(slice_eq(buf_slice(&b), SLICE("567890")));
    buf_consume(&b, 6);
    assert_int_equal(b.len, 0);
    buf_dispose(&b);
    assert_int_equal(buf_append(&b, SLICE("again")), 0);
    assert_true(slice_eq(buf_slice(&b), SLICE("again")));
    buf_dispose(&b);
}

static void test_zero_max(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 0);
    assert_int_equal(buf_append_byte(&b, 'x'), -ERR_LIMIT);
    assert_int_equal(buf_append(&b, SLICE("x")), -ERR_LIMIT);
    assert_int_equal(buf_append(&b, SLICE_NULL), 0);
    assert_int_equal(buf_appendf(&b, "%s", ""), 0);
    assert_null(buf_reserve(&b, 1));
    buf_dispose(&b);
}

static void test_unbounded(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, SIZE_MAX);
    for (int i = 0; i < 1000; i++) assert_int_equal(buf_appendf(&b, "%04d", i), 0);
    assert_int_equal(b.len, 4000);
    assert_memory_equal(b.ptr + 3996, "0999", 4);
    buf_dispose(&b);
}

static void test_reset_keeps_storage(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    assert_int_equal(buf_appendf(&b, "%500d", 1), 0);
    buf_reset(&b);
    uint64_t before = mem_alloc_count();
    assert_int_equal(buf_appendf(&b, "%500d", 2), 0);
    for (int i = 0; i < 10; i++) {
        buf_consume(&b, 50);
        char *to = buf_reserve(&b, 50);
        assert_non_null(to);
        memset(to, 'x', 50);
        buf_commit(&b, 50);
    }
    assert_true(mem_alloc_count() == before);
    assert_int_equal(b.len, 500);
    buf_dispose(&b);
}

/* Growth doubles: appending a byte at a time moves the storage a logarithmic number of times. */
static void test_growth(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    uint64_t before = mem_alloc_count();
    for (int i = 0; i < 1 << 20; i++) assert_int_equal(buf_append_byte(&b, (char)i), 0);
    assert_in_range(mem_alloc_count() - before, 1, 20);
    assert_int_equal(buf_append_byte(&b, 0), -ERR_LIMIT);
    buf_dispose(&b);
}

/* Random operations against a plain array. */
static void test_against_model(void **state) {
    (void)state;
    enum { MAX = 700 };
    char model[MAX];
    size_t len = 0;
    struct buf b;
    struct rng r;
    rng_seed(&r, 5);
    buf_init(&b, MAX);
    for (int i = 0; i < 20000; i++) {
        char bytes[200];
        size_t n = (size_t)rng_below(&r, sizeof bytes);
        rng_base62(&r, bytes, n);
        bool fits = n <= MAX - len, consume = rng_below(&r, 2) == 0;
        if (consume) {
            if (n > len) n = len;
            buf_consume(&b, n);
            memmove(model, model + n, len - n);
            len -= n;
        } else {
            int rc = i % 3 == 0 ? buf_appendf(&b, "%.*s", (int)n, bytes)
                                : buf_append(&b, slice_make(bytes, n));
            assert_int_equal(rc, fits ? 0 : -ERR_LIMIT);
            if (fits) memcpy(model + len, bytes, n);
            if (fits) len += n;
        }
        assert_true(slice_eq(buf_slice(&b), slice_make(model, len)));
    }
    buf_dispose(&b);
}

static void test_bytes(void **state) {
    (void)state;
    struct bytes *a = bytes_copy(SLICE("shared")), *b = bytes_ref(a);
    assert_int_equal(a->refs, 2);
    bytes_unref(&a);
    assert_null(a);
    assert_true(slice_eq(bytes_slice(b), SLICE("shared")));
    bytes_unref(&b);
    bytes_unref(&b);
    assert_true(slice_is_empty(bytes_slice(b)));
    b = bytes_copy(SLICE_NULL);
    assert_int_equal(b->len, 0);
    bytes_unref(&b);
    b = bytes_new(16);
    memset(b->data, 1, 16);
    bytes_unref(&b);
}

static void test_mem(void **state) {
    (void)state;
    uint64_t before = mem_alloc_count();
    char *text = mem_dup_cstr(slice_make("abcdef", 3));
    assert_string_equal(text, "abc");
    text = mem_realloc(text, 100);
    char *zeroes = mem_zalloc(64), *none = mem_alloc(0);
    for (int i = 0; i < 64; i++) assert_int_equal(zeroes[i], 0);
    assert_non_null(none);
    assert_int_equal(mem_alloc_count() - before, 4);
    mem_count_foreign();
    assert_int_equal(mem_alloc_count() - before, 5);
    mem_free(text);
    mem_free(zeroes);
    mem_free(none);
    mem_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idle_costs_nothing),
        cmocka_unit_test(test_all_or_nothing),
        cmocka_unit_test(test_zero_max),
        cmocka_unit_test(test_unbounded),
        cmocka_unit_test(test_reset_keeps_storage),
        cmocka_unit_test(test_growth),
        cmocka_unit_test(test_against_model),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_mem),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
