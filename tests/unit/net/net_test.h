/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of this room share: a loop that cannot hang, and both ends of a connection that
 * note what they hear. */
#ifndef PENSTOCK_TESTS_NET_TEST_H
#define PENSTOCK_TESTS_NET_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "net/conn.h"

#define GUARD_NS (20 * NS_PER_S)

static inline void on_guard(struct timer *t, void *self) {
    (void)t;
    *(bool *)self = true;
}

/* Turns until `condition`; a test that would hang fails instead. */
#define turn_until(l, condition)                                                     \
    do {                                                                             \
        struct timer guard_ = {0};                                                   \
        bool expired_ = false;                                                       \
        loop_timer_start(l, &guard_, loop_now_ns(l) + GUARD_NS, on_guard, &expired_); \
        while (!(condition) && !expired_) (void)loop_turn(l, true);                  \
        timer_stop(&guard_);                                                         \
        if (expired_) fail_msg("never came true: %s", #condition);                   \
    } while (0)

/* One side of a connection. */
struct end {
    struct conn *c;
    struct buf got;
    size_t got_bytes;           /* also when nothing is kept */
    unsigned reads, writables, eofs, gones;
    bool keeps_nothing;
    bool has_dialed;
    struct err e;               /* of on_gone, or of the dial */
    struct dial_timing timing;
    void (*on_bytes)(struct end *end, struct slice bytes);   /* instead of keeping them */
    void (*on_writable)(struct end *end);
    void (*on_end)(struct end *end);                         /* EOF or gone */
};

static inline void end_init(struct end *end) {
    *end = (struct end){0};
    buf_init(&end->got, (size_t)64 << 20);
}

static inline void end_dispose(struct end *end) {
    conn_close(&end->c);
    buf_dispose(&end->got);
}

static inline void end_on_bytes(void *self, struct slice bytes) {
    struct end *end = self;
    end->reads++;
    end->got_bytes += bytes.len;
    if (!end->keeps_nothing) assert_int_equal(buf_append(&end->got, bytes), 0);
    if (end->on_bytes) end->on_bytes(end, bytes);
}

static inline void end_on_writable(void *self) {
    struct end *end = self;
    end->writables++;
    if (end->on_writable) end->on_writable(end);
}

static inline void end_on_eof(void *self) {
    struct end *end = self;
    assert_int_equal(end->eofs + end->gones, 0);
    end->eofs++;
    if (end->on_end) end->on_end(end);
}

static inline void end_on_gone(void *self, const struct err *e) {
    struct end *end = self;
    assert_int_equal(end->gones, 0);
    end->gones++;
    end->e = *e;
    if (end->on_end) end->on_end(end);
}

static const struct conn_callbacks end_callbacks = {.on_bytes = end_on_bytes,
                                                    .on_writable = end_on_writable,
                                                    .on_eof = end_on_eof,
                                                    .on_gone = end_on_gone};

static inline void end_on_ready(void *self, struct conn *c, const struct dial_timing *timing,
                                const struct err *e) {
    struct end *end = self;
    end->has_dialed = true;
    end->timing = *timing;
    if (e) end->e = *e;
    if (!c) return;
    end->c = c;
    conn_set_callbacks(c, &end_callbacks, end);
}

/* A listener that hands its connection to one end. */
struct stage {
    struct loop *l;
    struct listener *ln;
    struct tls_context *server_tls;
    struct end server, client;
    struct dial *dial;
};

static inline void stage_on_accept(void *self, int fd, const struct addr *from) {
    struct stage *st = self;
    (void)from;
    if (st->server.c) {
        loop_close_fd(st->l, fd);
        return;
    }
    st->server.c = conn_accept(st->l, fd, st->server_tls, &end_callbacks, &st->server);
    if (st->server_tls) conn_read_on(st->server.c);
}

static inline void stage_open(struct stage *st, const char *at) {
    struct addr a;
    struct err e = {0};
    *st = (struct stage){.l = loop_new(&e)};
    assert_non_null(st->l);
    end_init(&st->server);
    end_init(&st->client);
    assert_int_equal(addr_parse(slice_cstr(at), &a, &e), 0);
    if (listener_open(st->l, &a, NULL, stage_on_accept, st, &st->ln, &e) < 0) fail_msg("%s", e.text);
}

static inline struct dial_options stage_dial_options(const struct stage *st) {
    return (struct dial_options){.host = SLICE("127.0.0.1"),
                                 .port = addr_port(listener_addr(st->ln)),
                                 .connect_timeout_ns = 10 * NS_PER_S,
                                 .tls_timeout_ns = 10 * NS_PER_S};
}

static inline void stage_connect(struct stage *st) {
    struct dial_options o = stage_dial_options(st);
    st->dial = dial_start(st->l, &o, end_on_ready, &st->client);
    assert_false(st->client.has_dialed);
    turn_until(st->l, st->client.has_dialed && st->server.c);
    if (!st->client.c) fail_msg("%s", st->client.e.text);
}

static inline void stage_close(struct stage *st) {
    end_dispose(&st->server);
    end_dispose(&st->client);
    listener_close(&st->ln);
    loop_free(st->l);
}

static inline ssize_t end_write(struct end *end, struct slice s) {
    struct iovec iov = {.iov_base = (void *)(uintptr_t)s.ptr, .iov_len = s.len};
    struct err e;
    return conn_writev(end->c, &iov, 1, &e);
}

static inline void assert_got(struct end *end, const char *text) {
    assert_int_equal(end->got.len, strlen(text));
    assert_memory_equal(end->got.ptr, text, strlen(text));
}

#endif
