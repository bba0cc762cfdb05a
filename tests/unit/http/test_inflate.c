/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/random.h"
#include "http/inflate.h"

#define GZIP (15 + 16)
#define ZLIB 15
#define RAW (-15)

static struct slice encode(struct slice plain, int window, struct buf *out) {
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY), Z_OK);
    buf_init(out, 64 << 20);
    char *room = buf_reserve(out, plain.len + 1024);
    z.next_in = (unsigned char *)(uintptr_t)plain.ptr;
    z.avail_in = (uInt)plain.len;
    z.next_out = (unsigned char *)room;
    z.avail_out = (uInt)(plain.len + 1024);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    buf_commit(out, z.total_out);
    deflateEnd(&z);
    return buf_slice(out);
}

static void text_make(struct buf *out, size_t bytes) {
    struct rng r;
    rng_seed(&r, 7);
    buf_init(out, bytes + 64);
    while (out->len < bytes) {
        assert_int_equal(buf_appendf(out, "data: {\"delta\":\"%u\"}\n\n", (unsigned)rng_below(&r, 1000)), 0);
    }
}

struct sink {
    struct buf got;
    unsigned calls, stop_every;
};

static bool sink(void *self, struct slice decoded) {
    struct sink *s = self;
    assert_true(decoded.len > 0);
    assert_int_equal(buf_append(&s->got, decoded), 0);
    s->calls++;
    return s->stop_every == 0 || s->calls % s->stop_every != 0;
}

/* Feeds all in steps; goes on after each stop, as the client does. */
static int feed_all(struct inflater *z, struct slice in, size_t step, struct sink *s,
                    struct err *e) {
    while (in.len > 0 || inflater_has_more(z)) {
        struct slice part = slice_sub(in, 0, step);
        ssize_t used = inflater_feed(z, part, sink, s, e);
        if (used < 0) {
            return (int)used;
        }
        assert_true((size_t)used <= part.len);
        in = slice_from(in, (size_t)used);
    }
    return 0;
}

static void check_decodes(struct slice encoded, enum inflate_format format, struct slice plain) {
    const size_t steps[] = {1, 2, 3, 7, 1000, SIZE_MAX};
    for (unsigned stop = 0; stop < 3; stop++) {
        for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
            struct sink s = {.stop_every = stop};
            struct err e;
            buf_init(&s.got, 64 << 20);
            struct inflater *z = inflater_new(format);
            assert_true(inflater_may_end(z));
            assert_int_equal(feed_all(z, encoded, steps[i], &s, &e), 0);
            assert_true(inflater_may_end(z));
            assert_true(slice_eq(buf_slice(&s.got), plain));
            inflater_free(&z);
            buf_dispose(&s.got);
        }
    }
}

static void check_format(int window, enum inflate_format format) {
    const size_t sizes[] = {0, 1, 100, 200000};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct buf plain, encoded;
        text_make(&plain, sizes[i]);
        encode(buf_slice(&plain), window, &encoded);
        check_decodes(buf_slice(&encoded), format, buf_slice(&plain));
        buf_dispose(&plain);
        buf_dispose(&encoded);
    }
}

static void test_gzip(void **state) {
    (void)state;
    check_format(GZIP, INFLATE_GZIP);
}

static void test_deflate_with_zlib_header(void **state) {
    (void)state;
    check_format(ZLIB, INFLATE_DEFLATE);
}

static void test_deflate_raw(void **state) {
    (void)state;
    check_format(RAW, INFLATE_DEFLATE);
}

static void test_gzip_members(void **state) {
    (void)state;
    struct buf a, b;
    encode(SLICE("first "), GZIP, &a);
    encode(SLICE("second"), GZIP, &b);
    assert_int_equal(buf_append(&a, buf_slice(&b)), 0);
    check_decodes(buf_slice(&a), INFLATE_GZIP, SLICE("first second"));
    buf_dispose(&a);
    buf_dispose(&b);
}

static void test_flushed_bytes_leave_at_once(void **state) {
    (void)state;
    z_stream enc = {0};
    unsigned char wire[256];
    assert_int_equal(deflateInit2(&enc, 6, Z_DEFLATED, GZIP, 8, Z_DEFAULT_STRATEGY), Z_OK);
    struct inflater *z = inflater_new(INFLATE_GZIP);
    for (int i = 0; i < 5; i++) {
        struct sink s = {0};
        struct err e;
        buf_init(&s.got, 1000);
        enc.next_in = (unsigned char *)(uintptr_t) "data: token\n\n";
        enc.avail_in = 13;
        enc.next_out = wire;
        enc.avail_out = sizeof wire;
        assert_int_equal(deflate(&enc, Z_SYNC_FLUSH), Z_OK);
        size_t len = sizeof wire - enc.avail_out;
        assert_int_equal(inflater_feed(z, slice_make((char *)wire, len), sink, &s, &e),
                         (ssize_t)len);
        assert_true(slice_eq(buf_slice(&s.got), SLICE("data: token\n\n")));
        assert_false(inflater_may_end(z));
        buf_dispose(&s.got);
    }
    inflater_free(&z);
    deflateEnd(&enc);
}

static void test_every_cut_is_seen(void **state) {
    (void)state;
    struct buf encoded;
    encode(SLICE("data: {}\n\n"), GZIP, &encoded);
    for (size_t cut = 1; cut < encoded.len; cut++) {
        struct sink s = {0};
        struct err e;
        buf_init(&s.got, 1000);
        struct inflater *z = inflater_new(INFLATE_GZIP);
        assert_int_equal(feed_all(z, slice_make(encoded.ptr, cut), SIZE_MAX, &s, &e), 0);
        assert_false(inflater_may_end(z));
        inflater_free(&z);
        buf_dispose(&s.got);
    }
    buf_dispose(&encoded);
}

static int feed_once(enum inflate_format format, struct slice in, struct err *e) {
    struct sink s = {0};
    buf_init(&s.got, 64 << 20);
    struct inflater *z = inflater_new(format);
    int rc = feed_all(z, in, SIZE_MAX, &s, e);
    if (rc < 0) {
        assert_int_equal(feed_all(z, in, SIZE_MAX, &s, e), rc); /* for good */
    }
    inflater_free(&z);
    buf_dispose(&s.got);
    return rc;
}

static void test_corrupt(void **state) {
    (void)state;
    struct err e;
    struct buf encoded;
    assert_int_equal(feed_once(INFLATE_GZIP, SLICE("not gzip at all"), &e), -ERR_PROTOCOL);
    assert_non_null(strstr(e.text, "gzip"));
    encode(SLICE("0123456789012345678901234567890"), GZIP, &encoded);
    encoded.ptr[encoded.len - 6] ^= 1; /* its checksum */
    assert_int_equal(feed_once(INFLATE_GZIP, buf_slice(&encoded), &e), -ERR_PROTOCOL);
    buf_dispose(&encoded);
    encode(SLICE("0123456789012345678901234567890"), ZLIB, &encoded);
    assert_int_equal(buf_append(&encoded, SLICE("x")), 0);
    assert_int_equal(feed_once(INFLATE_DEFLATE, buf_slice(&encoded), &e), -ERR_PROTOCOL);
    buf_dispose(&encoded);
}

static void test_bomb(void **state) {
    (void)state;
    struct err e;
    struct buf plain, encoded;
    buf_init(&plain, 32 << 20);
    size_t bytes = 20 << 20;
    memset(buf_reserve(&plain, bytes), 'a', bytes);
    buf_commit(&plain, bytes);
    encode(buf_slice(&plain), RAW, &encoded);
    assert_true(plain.len / encoded.len > INFLATE_MAX_RATIO);
    assert_int_equal(feed_once(INFLATE_DEFLATE, buf_slice(&encoded), &e), -ERR_LIMIT);
    buf_dispose(&encoded);
    plain.len = INFLATE_FREE_BYTES; /* this much is free of the rule */
    encode(buf_slice(&plain), RAW, &encoded);
    assert_int_equal(feed_once(INFLATE_DEFLATE, buf_slice(&encoded), &e), 0);
    buf_dispose(&encoded);
    buf_dispose(&plain);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gzip),
        cmocka_unit_test(test_deflate_with_zlib_header),
        cmocka_unit_test(test_deflate_raw),
        cmocka_unit_test(test_gzip_members),
        cmocka_unit_test(test_flushed_bytes_leave_at_once),
        cmocka_unit_test(test_every_cut_is_seen),
        cmocka_unit_test(test_corrupt),
        cmocka_unit_test(test_bomb),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
