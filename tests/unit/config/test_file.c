/* SPDX-License-Identifier: Apache-2.0 */
#include "config_test.h"

#include <errno.h>
#include <unistd.h>

#include "config/file.h"

/* The reading end of a pipe that holds text and is closed at the other. */
static int pipe_with(const char *text) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(ends[1]), 0);
    return ends[0];
}

static int read_pipe(const char *text, struct buf *out, struct err *e) {
    int fd = pipe_with(text);
    int rc = file_read_fd(fd, out, e);
    assert_int_equal(close(fd), 0);
    return rc;
}

static void test_limit_is_the_last_byte(void **state) {
    struct buf b;
    struct err e = {0};
    (void)state;
    buf_init(&b, 5);
    assert_int_equal(read_pipe("12345", &b, &e), 0);
    assert_true(slice_eq(buf_slice(&b), SLICE("12345")));
    buf_reset(&b);
    assert_int_equal(read_pipe("123456", &b, &e), -ERR_LIMIT);
    assert_string_equal(e.text, "larger than 5 bytes");
    buf_dispose(&b);
}

static void test_is_appended(void **state) {
    struct buf b;
    (void)state;
    buf_init(&b, 64);
    assert_int_equal(buf_append(&b, SLICE("a")), 0);
    assert_int_equal(read_pipe("bc", &b, NULL), 0);
    assert_int_equal(read_pipe("", &b, NULL), 0);
    assert_true(slice_eq(buf_slice(&b), SLICE("abc")));
    buf_dispose(&b);
}

static void test_endless_file_ends_at_the_limit(void **state) {
    struct buf b;
    struct err e = {0};
    (void)state;
    buf_init(&b, (size_t)2 << 20);
    assert_int_equal(file_read("/dev/zero", &b, &e), -ERR_LIMIT);
    assert_string_equal(e.text, "larger than 2 MiB");
    assert_int_equal(b.len, (size_t)2 << 20);
    buf_dispose(&b);
}

static void test_unreadable(void **state) {
    struct buf b;
    struct err e = {0};
    (void)state;
    buf_init(&b, 64);
    assert_int_equal(file_read("/nowhere/x", &b, &e), -ERR_IO);
    assert_int_equal(e.os_errno, ENOENT);
    assert_string_equal(e.text, "cannot be read: No such file or directory");
    assert_int_equal(file_read("/", &b, &e), -ERR_IO);
    assert_string_equal(e.text, "cannot be read: Is a directory");
    assert_int_equal(b.len, 0);
    buf_dispose(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limit_is_the_last_byte),
        cmocka_unit_test(test_is_appended),
        cmocka_unit_test(test_endless_file_ends_at_the_limit),
        cmocka_unit_test(test_unreadable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
