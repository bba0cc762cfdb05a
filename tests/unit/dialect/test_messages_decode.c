/* SPDX-License-Identifier: Apache-2.0 */
/* What golden transcripts do not show: the short cut for deltas must be invisible, usage objects
 * are put together, limits hold, a sink that stops is obeyed. */
#include "dialect_test.h"

#include <yyjson.h>

#include "base/random.h"

static int feed(struct decoder *d, const char *data, const struct event_sink *sink, struct err *e) {
    struct sse_frame f = {.data = slice_cstr(data), .flags = SSE_EVENT | SSE_DATA};
    return dialect_messages.decoder_feed(d, &f, sink, e);
}

static int ignore(void *self, const struct event *ev) {
    (void)self;
    (void)ev;
    return 0;
}

static const struct event_sink nowhere = {ignore, NULL};

#define START(usage)                                                                               \
    "{\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"x\",\"usage\":" usage "}}"
#define TEXT(i)                                                                                    \
    "{\"type\":\"content_block_start\",\"index\":" #i                                              \
    ",\"content_block\":{\"type\":\"text\",\"text\":\"\"}}"

/* ---- the short cut ---- */

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
    assert_int_equal(ev->flags, EVF_CONTENT | EVF_LAST_IN_FRAME);
    s->off += ev->text.len;
    assert_true(ev->val.len > 0 && ev->val.off + ev->val.len < s->data.len);
    assert_int_equal(s->data.ptr[ev->val.off - 1], '"');
    assert_int_equal(s->data.ptr[ev->val.off + ev->val.len], '"');
    put(&s->text, ev->text);
    return 0;
}

#define USUAL                                                                                      \
    "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":"   \
    "\"%s\"}"
/* Frames that are alike but for what %s is, and others that are nearly so. */
static const char *const shapes[] = {
    USUAL "}",
    USUAL "}",
    USUAL "}",
    "{\"delta\":{\"text\":\"%s\",\"type\":\"text_delta\"},\"index\":0,"
    "\"type\":\"content_block_delta\"}",
    USUAL ", \"p\":\"\"}",
    USUAL ",\"text\":\"x\"}",
};
static const char *const strings[] = {"a",
                                      " whale",
                                      "Gr\303\274n",
                                      "\\n",
                                      "a\\u00e9b",
                                      "",
                                      "longer than the one before, by much",
                                      "x\\\"y",
                                      "text",
                                      "\\\\",
                                      "{}"};

static void the_short_cut_cannot_be_seen(void **state) {
    (void)state;
    struct rng g;
    rng_seed(&g, 11);
    for (int round = 0; round < 300; round++) {
        struct seen s = {.deltas = 0};
        struct event_sink sink = {on_event, &s};
        struct decoder *d = dialect_messages.decoder_new();
        struct buf expected;
        unsigned n_expected = 0;
        buf_init(&s.text, TEST_BYTES);
        buf_init(&expected, TEST_BYTES);
        assert_int_equal(feed(d, START("{}"), &nowhere, NULL), 0);
        assert_int_equal(feed(d, TEXT(0), &nowhere, NULL), 0);
        for (int i = 0; i < 30; i++) {
            char data[512];
            const char *string = strings[rng_below(&g, sizeof strings / sizeof *strings)];
            snprintf(data, sizeof data, shapes[rng_below(&g, 6)], string);
            s.data = slice_cstr(data);
            assert_int_equal(feed(d, data, &sink, NULL), 0);
            yyjson_doc *doc = yyjson_read(data, strlen(data), 0);
            yyjson_val *text = yyjson_obj_get(yyjson_obj_get(doc->root, "delta"), "text");
            put(&expected, slice_make(yyjson_get_str(text), yyjson_get_len(text)));
            n_expected += yyjson_get_len(text) > 0;
            yyjson_doc_free(doc);
        }
        assert_slices(buf_slice(&s.text), buf_slice(&expected));
        assert_int_equal(s.deltas, n_expected);
        buf_dispose(&s.text);
        buf_dispose(&expected);
        dialect_messages.decoder_free(d);
    }
}

/* A frame that looks like the one before, but another block is open, or none. */
static void the_short_cut_ends_with_its_block(void **state) {
    (void)state;
    static const char delta[] = "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
                                "\"text_delta\",\"text\":\"a\"}}";
    struct decoder *d = dialect_messages.decoder_new();
    struct err e;
    assert_int_equal(feed(d, START("{}"), &nowhere, NULL), 0);
    assert_int_equal(feed(d, TEXT(0), &nowhere, NULL), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(feed(d, delta, &nowhere, NULL), 0);
    assert_int_equal(feed(d, "{\"type\":\"content_block_stop\",\"index\":0}", &nowhere, NULL), 0);
    assert_int_equal(feed(d, delta, &nowhere, &e), -ERR_PROTOCOL);
    assert_string_equal(e.text, "a delta for a block that is over");
    dialect_messages.decoder_free(d);
}

static void a_named_frame_is_what_its_name_says(void **state) {
    (void)state;
    static const char delta[] = "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
                                "\"text_delta\",\"text\":\"a\"}}";
    struct sse_frame f = {.data = slice_cstr(delta),
                          .name = SLICE("error"),
                          .flags = SSE_EVENT | SSE_DATA | SSE_NAME};
    struct buf b;
    struct event_sink sink = {collect_event, &b};
    struct decoder *d = dialect_messages.decoder_new();
    buf_init(&b, TEST_BYTES);
    assert_int_equal(feed(d, START("{}"), &nowhere, NULL), 0);
    assert_int_equal(feed(d, TEXT(0), &nowhere, NULL), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(feed(d, delta, &nowhere, NULL), 0);
    assert_int_equal(dialect_messages.decoder_feed(d, &f, &sink, NULL), 0);
    assert_true(slice_starts_with(buf_slice(&b), SLICE("error ")));
    buf_dispose(&b);
    dialect_messages.decoder_free(d);
}

/* ---- usage ---- */

struct last_usage {
    struct usage usage;
    char wire[16384];
};

static int on_usage(void *self, const struct event *ev) {
    struct last_usage *u = self;
    if (ev->kind != EV_USAGE) return 0;
    u->usage = ev->u.usage;
    snprintf(u->wire, sizeof u->wire, "%.*s", SLICE_FMT(ev->u.usage.wire));
    return 0;
}

#define DELTA(usage) "{\"type\":\"message_delta\",\"delta\":{},\"usage\":" usage "}"

static void usage_objects_are_laid_over_each_other(void **state) {
    (void)state;
    struct last_usage u = {0};
    struct event_sink sink = {on_usage, &u};
    struct decoder *d = dialect_messages.decoder_new();
    assert_int_equal(feed(d,
                          START("{\"input_tokens\":10,\"cache_read_input_tokens\":null,"
                                "\"x\":{\"a\":\"}\"},\"output_tokens\":1}"),
                          &sink, NULL),
                     0);
    assert_string_equal(u.wire, "{\"input_tokens\":10,\"cache_read_input_tokens\":null,"
                                "\"x\":{\"a\":\"}\"},\"output_tokens\":1}");
    assert_int_equal(u.usage.in_total, 10);
    assert_int_equal(u.usage.cache_read, -1);
    assert_int_equal(feed(d,
                          DELTA("{\"output_tokens\": 7,\"input_tokens\":null,"
                                "\"cache_read_input_tokens\":5,\"new\":[1]}"),
                          &sink, NULL),
                     0);
    assert_string_equal(u.wire, "{\"input_tokens\":10,\"cache_read_input_tokens\":5,"
                                "\"x\":{\"a\":\"}\"},\"output_tokens\":7,\"new\":[1]}");
    assert_int_equal(u.usage.in_total, 15);
    assert_int_equal(u.usage.out_total, 7);
    assert_int_equal(u.usage.cache_read, 5);
    assert_int_equal(u.usage.cache_write, -1);
    assert_int_equal(u.usage.reasoning, -1);
    assert_int_equal(feed(d, DELTA("{}"), &sink, NULL), 0);
    assert_int_equal(u.usage.out_total, 7);
    assert_int_equal(feed(d, DELTA("7"), &sink, NULL), 0);
    assert_int_equal(u.usage.out_total, 7);
    dialect_messages.decoder_free(d);
}

static void absurd_usage_keeps_its_counters(void **state) {
    (void)state;
    static char data[20000];
    struct last_usage u = {0};
    struct event_sink sink = {on_usage, &u};
    struct decoder *d = dialect_messages.decoder_new();
    size_t n = (size_t)snprintf(data, sizeof data, "{\"type\":\"message_delta\",\"usage\":{");
    for (int i = 0; i < 40; i++)
        n += (size_t)snprintf(data + n, sizeof data - n, "\"k%d\":%d,", i, i);
    snprintf(data + n, sizeof data - n, "\"output_tokens\":3}}");
    assert_int_equal(feed(d, data, &sink, NULL), 0);
    assert_int_equal(u.usage.out_total, 3);
    assert_string_equal(u.wire, "");
    n = (size_t)snprintf(data, sizeof data, "{\"type\":\"message_delta\",\"usage\":{\"k\":\"");
    memset(data + n, 'x', 9000);
    snprintf(data + n + 9000, sizeof data - n - 9000, "\",\"output_tokens\":4}}");
    assert_int_equal(feed(d, data, &sink, NULL), 0);
    assert_int_equal(u.usage.out_total, 4);
    assert_string_equal(u.wire, "");
    assert_int_equal(feed(d, DELTA("{\"output_tokens\":5}"), &sink, NULL), 0);
    assert_string_equal(u.wire, "{\"output_tokens\":5}");
    dialect_messages.decoder_free(d);
}

/* ---- limits ---- */

static void open_blocks_are_limited(void **state) {
    (void)state;
    struct decoder *d = dialect_messages.decoder_new();
    struct err e;
    char data[200];
    for (unsigned i = 0; i <= 128; i++) {
        snprintf(data, sizeof data,
                 "{\"type\":\"content_block_start\",\"index\":%u,\"content_block\":{\"type\":"
                 "\"text\",\"text\":\"\"}}",
                 i);
        assert_int_equal(feed(d, data, &nowhere, &e), i < 128 ? 0 : -ERR_PROTOCOL);
    }
    assert_string_equal(e.text, "more than 128 blocks are open");
    /* an open index may still begin anew */
    assert_int_equal(feed(d, TEXT(5), &nowhere, &e), 0);
    assert_int_equal(feed(d, "{\"type\":\"message_stop\"}", &nowhere, &e), 0);
    dialect_messages.decoder_free(d);
}

static void deep_nesting_is_refused(void **state) {
    (void)state;
    static char data[4000];
    struct decoder *d = dialect_messages.decoder_new();
    struct err e;
    size_t n = (size_t)snprintf(data, sizeof data, "{\"type\":\"ping\",\"x\":");
    memset(data + n, '[', 1000);
    memset(data + n + 1000, ']', 1000);
    strcpy(data + n + 2000, "}");
    assert_int_equal(feed(d, data, &nowhere, &e), -ERR_PROTOCOL);
    dialect_messages.decoder_free(d);
}

static void a_text_of_another_type_breaks_its_event(void **state) {
    (void)state;
    static const char *const events[] = {
        "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":7}}",
        "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"thinking_delta\","
        "\"thinking\":{\"a\":1}}}",
        "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"signature_delta\","
        "\"signature\":7}}",
        "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\","
        "\"text\":7}}",
        "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\","
        "\"id\":\"t\",\"name\":\"f\",\"input\":\"{}\"}}",
    };
    static const char *const bodies[] = {
        "{\"type\":\"message\",\"stop_reason\":\"end_turn\",\"content\":7}",
        "{\"type\":\"message\",\"stop_reason\":\"end_turn\",\"content\":[7]}",
        "{\"type\":\"message\",\"stop_reason\":\"end_turn\",\"content\":[{\"type\":\"text\","
        "\"text\":7}]}",
    };
    struct err e;
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        struct decoder *d = dialect_messages.decoder_new();
        if (feed(d, events[i], &nowhere, &e) != -ERR_PROTOCOL) fail_msg("%s", events[i]);
        dialect_messages.decoder_free(d);
    }
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        if (dialect_messages.decode_response(slice_cstr(bodies[i]), &nowhere, &e) != -ERR_PROTOCOL)
            fail_msg("%s", bodies[i]);
    }
    struct decoder *d = dialect_messages.decoder_new();
    assert_int_equal(feed(d, "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{"
                             "\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":\"\"}}",
                          &nowhere, &e), 0);
    assert_int_equal(feed(d, "{\"type\":\"content_block_start\",\"index\":1,\"content_block\":{"
                             "\"type\":\"tool_use\",\"id\":\"u\",\"name\":\"f\",\"input\":[]}}",
                          &nowhere, &e), 0);
    assert_int_equal(feed(d, "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{"
                             "\"type\":\"input_json_delta\",\"partial_json\":null}}",
                          &nowhere, &e), 0);
    assert_int_equal(feed(d, "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{"
                             "\"type\":\"input_json_delta\",\"partial_json\":{\"a\":1}}}",
                          &nowhere, &e), -ERR_PROTOCOL);
    dialect_messages.decoder_free(d);
}

/* ---- the sink ---- */

struct counting {
    unsigned n, stop_at;
};

static int stop_there(void *self, const struct event *ev) {
    struct counting *c = self;
    (void)ev;
    return ++c->n == c->stop_at ? 77 : 0;
}

static void a_sink_that_stops_is_obeyed(void **state) {
    (void)state;
    static const char *const frames[] = {
        START("{\"output_tokens\":1}"),
        TEXT(0),
        "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":"
        "\"a\"}}",
        "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":"
        "\"b\"}}",
        "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{}}",
        "{\"type\":\"message_stop\"}"};
    for (unsigned stop_at = 1; stop_at <= 9; stop_at++) {
        struct counting c = {.stop_at = stop_at};
        struct event_sink sink = {stop_there, &c};
        struct decoder *d = dialect_messages.decoder_new();
        int rc = 0;
        for (size_t i = 0; rc == 0 && i < sizeof frames / sizeof *frames; i++)
            rc = feed(d, frames[i], &sink, NULL);
        assert_int_equal(rc, stop_at <= 9 ? 77 : 0);
        assert_int_equal(c.n, stop_at);
        dialect_messages.decoder_free(d);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_short_cut_cannot_be_seen),
        cmocka_unit_test(the_short_cut_ends_with_its_block),
        cmocka_unit_test(a_named_frame_is_what_its_name_says),
        cmocka_unit_test(usage_objects_are_laid_over_each_other),
        cmocka_unit_test(absurd_usage_keeps_its_counters),
        cmocka_unit_test(open_blocks_are_limited),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(a_text_of_another_type_breaks_its_event),
        cmocka_unit_test(a_sink_that_stops_is_obeyed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
