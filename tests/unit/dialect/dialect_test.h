/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of this room share: events as lines of text, and streams fed in pieces. */
#ifndef PENSTOCK_TESTS_DIALECT_TEST_H
#define PENSTOCK_TESTS_DIALECT_TEST_H

#include "base/json_scan.h"
#include "base/mem.h"
#include "dialect/dialect.h"
#include "slice_test.h"

static inline void put_quoted(struct buf *b, struct slice s) {
    put(b, SLICE("\""));
    assert_int_equal(json_escape(b, s), 0);
    put(b, SLICE("\""));
}

static inline void put_named(struct buf *b, const char *name, struct slice s) {
    if (!s.ptr) return;
    assert_int_equal(buf_appendf(b, " %s=", name), 0);
    put_quoted(b, s);
}

static inline void put_number(struct buf *b, const char *name, int64_t n) {
    if (n >= 0) assert_int_equal(buf_appendf(b, " %s=%lld", name, (long long)n), 0);
}

static inline void put_raw(struct buf *b, struct slice s) {
    for (size_t i = 0; i < s.len; i++)
        assert_int_equal(buf_append_byte(b, s.ptr[i] == '\n' ? ' ' : s.ptr[i]), 0);
}

static inline void put_said(struct buf *b, const char *name, struct slice s) {
    if (s.len > 0) put_named(b, name, s);
}

static inline void put_json(struct buf *b, const char *name, struct slice s) {
    if (s.len == 0) return;
    assert_int_equal(buf_appendf(b, " %s=", name), 0);
    put_raw(b, s);
}

static inline void put_api_error(struct buf *b, const struct api_error *er) {
    assert_int_equal(buf_appendf(b, " %u", er->status), 0);
    put_named(b, "message", er->message);
    put_named(b, "type", er->type);
    put_named(b, "code", er->code);
    put_named(b, "param", er->param);
    if (er->raw.len > 0) {
        put(b, SLICE(" raw="));
        put_raw(b, er->raw);
    }
}

static inline const char *stop_reason_name(enum stop_reason r) {
    static const char *const names[] = {"end",    "sequence", "length", "tool",
                                        "filter", "pause",    "error"};
    return names[r];
}

static inline bool has_block(const struct event *ev) {
    return ev->kind == EV_BLOCK_BEGIN || ev->kind == EV_DELTA || ev->kind == EV_SIGNATURE ||
           ev->kind == EV_BLOCK_END || ev->kind == EV_OPAQUE || ev->kind == EV_PART;
}

static inline void put_event(struct buf *b, const struct event *ev) {
    put(b, slice_cstr(event_kind_name(ev->kind)));
    if (has_block(ev)) {
        assert_int_equal(
            buf_appendf(b, " %u/%u %s", ev->choice, ev->block, block_kind_name(ev->block_kind)), 0);
    } else if (ev->kind == EV_LOGPROBS || ev->kind == EV_ANNOTATION) {
        assert_int_equal(buf_appendf(b, " %u %s", ev->choice, block_kind_name(ev->block_kind)), 0);
    } else if (ev->kind == EV_FINISH) {
        assert_int_equal(
            buf_appendf(b, " %u %s", ev->choice, stop_reason_name(ev->u.finish.reason)), 0);
        put_named(b, "wire", ev->u.finish.wire);
        put_named(b, "stop", ev->u.finish.stop_sequence);
        put_json(b, "details", ev->u.finish.details);
    }
    if (ev->kind == EV_START) {
        put_named(b, "id", ev->u.start.id);
        put_named(b, "model", ev->u.start.model);
        put_named(b, "role", ev->u.start.role);
        put_said(b, "tier", ev->u.start.service_tier);
        put_number(b, "created", ev->u.start.created);
    } else if (ev->kind == EV_BLOCK_BEGIN) {
        put_named(b, "id", ev->u.begin.id);
        put_named(b, "name", ev->u.begin.name);
        if (ev->u.begin.id.ptr || ev->u.begin.name.ptr) put_number(b, "wire", ev->u.begin.wire_index);
        put_said(b, "namespace", ev->u.begin.name_space);
        put_said(b, "item", ev->u.begin.item_id);
        put_json(b, "input", ev->u.begin.input_json);
        if (ev->u.begin.group > 0) put_number(b, "group", ev->u.begin.group);
        if (ev->u.begin.is_raw) put(b, SLICE(" is_raw"));
    } else if (ev->kind == EV_ANNOTATION && ev->u.annotation.url.len > 0) {
        put_said(b, "url", ev->u.annotation.url);
        put_said(b, "title", ev->u.annotation.title);
        put_number(b, "start", ev->u.annotation.start);
        put_number(b, "end", ev->u.annotation.end);
    } else if (ev->kind == EV_USAGE) {
        put_number(b, "in", ev->u.usage.in_total);
        put_number(b, "out", ev->u.usage.out_total);
        put_number(b, "cache_read", ev->u.usage.cache_read);
        put_number(b, "cache_write", ev->u.usage.cache_write);
        put_number(b, "reasoning", ev->u.usage.reasoning);
    } else if (ev->kind == EV_ERROR) {
        put_api_error(b, &ev->u.error);
    }
    if (ev->text.ptr) {
        assert_int_equal(buf_appendf(b, " @%llu ", (unsigned long long)ev->block_off), 0);
        put_quoted(b, ev->text);
    }
    if (ev->raw_json.ptr) {
        put(b, SLICE(" "));
        put_raw(b, ev->raw_json);
    }
    if (ev->flags & EVF_CONTENT) put(b, SLICE(" +content"));
    if (ev->flags & EVF_SYNTH) put(b, SLICE(" +synth"));
    if (ev->flags & EVF_RECAP) put(b, SLICE(" +recap"));
    if (ev->flags & EVF_BROKEN) put(b, SLICE(" +broken"));
    if (ev->flags & EVF_LAST_IN_FRAME) put(b, SLICE(" +last"));
    put(b, SLICE("\n"));
}

static inline int collect_event(void *self, const struct event *ev) {
    put_event(self, ev);
    return 0;
}

#endif
