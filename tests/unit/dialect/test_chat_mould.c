/* SPDX-License-Identifier: Apache-2.0 */
/* The short cut for text deltas must be invisible: whatever the frames, texts, spans and cuts are
 * those of the long way. The reference here is a plain JSON parse of each frame. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <yyjson.h>

#include "base/mem.h"
#include "base/random.h"
#include "dialect/dialect.h"

struct seen {
    struct buf text;
    struct slice data;
    unsigned deltas;
    uint64_t off;
};

static int on_event(void *self, const struct event *ev) {
    struct seen *s = self;
    if (ev->kind != EV_DELTA) return 0;
    s->deltas++;
    assert_int_equal(ev->block_kind, BLOCK_TEXT);
    assert_int_equal(ev->block_off, s->off);
    s->off += ev->text.len;
    assert_true(ev->val.len > 0 && ev->val.off + ev->val.len < s->data.len);
    assert_int_equal(s->data.ptr[ev->val.off - 1], '"');
    assert_int_equal(s->data.ptr[ev->val.off + ev->val.len], '"');
    assert_int_equal(buf_append(&s->text, ev->text), 0);
    return 0;
}

/* Frames that are alike but for what the format's %s is, and others that are nearly so. */
static const char *const shapes[] = {
    "{\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s\"},\"finish_reason\":null}],\"usage\":null}",
    "{\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s\"},\"finish_reason\":null}],\"usage\":null}",
    "{\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s\"},\"finish_reason\":null}],\"usage\":null}",
    "{\"usage\":null,\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s\"}}]}",
    "{\"usage\":null,\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s\"}}],\"usage\" : null , \"x\":1}",
    "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s\"}}]}",
    "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s\",\"x\":\"\"}}],\"obfuscation\":\"ab\"}",
};
static const char *const strings[] = {"a", " whale", "Gr\303\274n", "\\n", "a\\u00e9b", "", "longer than the one before, by much", "x\\\"y", "usage", "\\\\", "{}"};

static void check_cut(const struct decoder *d, const struct sse_frame *f) {
    struct span cuts[4];
    unsigned n = 0;
    struct buf cut;
    buf_init(&cut, 1 << 16);
    enum frame_edit edit = dialect_chat.strip_usage(d, f, cuts, 4, &n);
    size_t from = 0;
    for (unsigned i = 0; edit == FRAME_CUT && i < n; i++) {
        assert_int_equal(buf_append(&cut, slice_sub(f->data, from, cuts[i].off - from)), 0);
        from = cuts[i].off + cuts[i].len;
    }
    assert_int_equal(buf_append(&cut, slice_from(f->data, from)), 0);
    yyjson_doc *got = yyjson_read(cut.ptr, cut.len, 0),
               *raw = yyjson_read(f->data.ptr, f->data.len, 0);
    if (!got) fail_msg("not JSON after the cut: %.*s", (int)cut.len, cut.ptr);
    yyjson_mut_doc *want = yyjson_doc_mut_copy(raw, NULL), *have = yyjson_doc_mut_copy(got, NULL);
    yyjson_mut_obj_remove_key(want->root, "usage");
    if (!yyjson_mut_equals(want->root, have->root)) fail_msg("wrong cut: %.*s", (int)cut.len, cut.ptr);
    yyjson_mut_doc_free(want);
    yyjson_mut_doc_free(have);
    yyjson_doc_free(got);
    yyjson_doc_free(raw);
    buf_dispose(&cut);
}

static struct slice wanted_text(yyjson_doc *doc) {
    yyjson_val *delta = yyjson_obj_get(yyjson_arr_get(yyjson_obj_get(doc->root, "choices"), 0), "delta");
    yyjson_val *content = yyjson_obj_get(delta, "content");
    return slice_make(yyjson_get_str(content), yyjson_get_len(content));
}

static void feed_one(struct decoder *d, struct seen *s, const char *data) {
    struct sse_frame f = {.data = slice_cstr(data), .flags = SSE_EVENT | SSE_DATA};
    struct event_sink sink = {on_event, s};
    struct err e = {0};
    yyjson_doc *doc = yyjson_read(data, strlen(data), 0);
    struct slice want = wanted_text(doc);
    buf_reset(&s->text);
    s->data = f.data;
    s->deltas = 0;
    assert_int_equal(dialect_chat.decoder_feed(d, &f, &sink, &e), 0);
    assert_int_equal(s->deltas, want.len > 0);
    if (!slice_eq(buf_slice(&s->text), want)) fail_msg("text of %s", data);
    check_cut(d, &f);
    yyjson_doc_free(doc);
}

static void the_short_cut_is_invisible(void **state) {
    (void)state;
    for (unsigned seed = 1; seed <= 300; seed++) {
        struct rng rng;
        struct seen s = {0};
        struct decoder *d = dialect_chat.decoder_new();
        rng_seed(&rng, seed);
        buf_init(&s.text, 1 << 16);
        for (int i = 0; i < 60; i++) {
            char data[1024];
            const char *shape =
                shapes[rng_below(&rng, seed % 3 ? 3 : sizeof shapes / sizeof shapes[0])];
            snprintf(data, sizeof data, shape,
                     strings[rng_below(&rng, sizeof strings / sizeof strings[0])]);
            feed_one(d, &s, data);
        }
        dialect_chat.decoder_free(d);
        buf_dispose(&s.text);
    }
}

/* Bytes that would fit the mould but are no JSON string must still be refused. */
static void what_is_no_string_is_no_delta(void **state) {
    (void)state;
    static const char *const bad[] = {"a\"b", "a\001b", "a\\", "a\",\"content\":\"b"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct seen s = {0};
        char data[1024];
        struct err e = {0};
        struct decoder *d = dialect_chat.decoder_new();
        buf_init(&s.text, 1 << 16);
        for (int k = 0; k < 3; k++) {
            snprintf(data, sizeof data, shapes[0], "fine");
            feed_one(d, &s, data);
        }
        snprintf(data, sizeof data, shapes[0], bad[i]);
        struct sse_frame f = {.data = slice_cstr(data), .flags = SSE_EVENT | SSE_DATA};
        struct event_sink sink = {on_event, &s};
        s.data = f.data;
        s.deltas = 0;
        int rc = dialect_chat.decoder_feed(d, &f, &sink, &e);
        if (i < 3) assert_true(rc < 0 && s.deltas == 0);
        /* the last of two equal keys, or the first: JSON at least */
        else assert_true(rc == 0 && s.text.len > 0 && s.text.ptr[s.text.len - 1] == 'b');
        dialect_chat.decoder_free(d);
        buf_dispose(&s.text);
    }
}

static void no_allocation_for_the_usual_chunk(void **state) {
    (void)state;
    struct seen s = {0};
    struct event_sink sink = {on_event, &s};
    struct err e = {0};
    char data[2][512];
    struct decoder *d = dialect_chat.decoder_new();
    buf_init(&s.text, 1 << 20);
    assert_non_null(buf_reserve(&s.text, 1 << 18));
    snprintf(data[0], sizeof data[0], shapes[0], "one");
    snprintf(data[1], sizeof data[1], shapes[0], " and two");
    uint64_t before = 0;
    for (int i = 0; i < 1000; i++) {
        struct sse_frame f = {.data = slice_cstr(data[i % 2]), .flags = SSE_EVENT | SSE_DATA};
        s.data = f.data;
        if (i == 4) before = mem_alloc_count();
        assert_int_equal(dialect_chat.decoder_feed(d, &f, &sink, &e), 0);
    }
    assert_int_equal(mem_alloc_count(), before);
    dialect_chat.decoder_free(d);
    buf_dispose(&s.text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_short_cut_is_invisible),
        cmocka_unit_test(what_is_no_string_is_no_delta),
        cmocka_unit_test(no_allocation_for_the_usual_chunk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
