/* SPDX-License-Identifier: Apache-2.0 */
/* Properties over random answers, an upstream's own and foreign ones: what is encoded keeps the
 * grammar; it is decoded again as it was; and a stream, put together, is the whole answer. */
#include "stream_test.h"

#define ROUNDS     1500
#define MAX_EVENTS 400

/* ---- random answers ---- */

struct script {
    struct arena *a;
    struct rng *g;
    bool is_foreign;
    struct event events[MAX_EVENTS];
    unsigned n;
    uint32_t next_block;
    enum block_kind kind;
    uint64_t off;
    bool has_tool;
};

static struct event *add(struct script *s, enum event_kind kind) {
    assert_true(s->n < MAX_EVENTS);
    s->events[s->n] = (struct event){.kind = kind};
    return &s->events[s->n++];
}

static struct event *add_of_block(struct script *s, enum event_kind kind) {
    struct event *ev = add(s, kind);
    ev->block = s->next_block - 1;
    ev->block_kind = s->kind;
    return ev;
}

static void add_delta(struct script *s, struct slice text) {
    struct event *ev = add_of_block(s, EV_DELTA);
    ev->flags = EVF_CONTENT;
    ev->text = text;
    ev->block_off = s->off;
    s->off += text.len;
}

static struct event *begin(struct script *s, enum block_kind kind) {
    s->kind = kind;
    s->off = 0;
    s->next_block++;
    return add_of_block(s, EV_BLOCK_BEGIN);
}

static void add_text(struct script *s) {
    begin(s, s->is_foreign && rng_below(s->g, 5) == 0 ? BLOCK_REFUSAL : BLOCK_TEXT);
    for (uint64_t n = rng_below(s->g, 5); n > 0; n--) {
        add_delta(s, random_text(s->g, s->a));
        if (rng_below(s->g, 4) > 0) continue;
        struct event *ev = add_of_block(s, EV_ANNOTATION);
        ev->raw_json = SLICE("{\"type\":\"char_location\",\"n\":1.0}");
    }
    add_of_block(s, EV_BLOCK_END);
}

static void add_reasoning(struct script *s) {
    begin(s, BLOCK_REASONING);
    for (uint64_t n = rng_below(s->g, 4); n > 0; n--) {
        add_delta(s, random_text(s->g, s->a));
        if (s->is_foreign && n > 1 && rng_below(s->g, 4) == 0) add_of_block(s, EV_PART);
    }
    if (rng_below(s->g, 2)) add_of_block(s, EV_SIGNATURE)->text = SLICE("c2ln+/==");
    if (s->is_foreign && rng_below(s->g, 4) == 0) add_of_block(s, EV_SIGNATURE)->text = SLICE("Zw");
    add_of_block(s, EV_BLOCK_END);
}

static void add_redacted(struct script *s) {
    begin(s, BLOCK_REDACTED);
    add_of_block(s, EV_SIGNATURE)->text = random_text(s->g, s->a);
    add_of_block(s, EV_BLOCK_END);
}

/* Between two code points. */
static size_t cut_at(struct slice text, size_t n) {
    while (n < text.len && ((unsigned char)text.ptr[n] & 0xc0) == 0x80)
        n++;
    return n < text.len ? n : text.len;
}

static void add_args(struct script *s) {
    struct buf b;
    buf_init(&b, 4096);
    put(&b, SLICE("{\"a\": "));
    put_quoted(&b, random_text(s->g, s->a));
    put(&b, SLICE(",\"n\":9007199254740993.0,\"l\":[{},[]]}"));
    struct slice rest = arena_dup(s->a, buf_slice(&b));
    buf_dispose(&b);
    while (rest.len > 0) {
        size_t n = cut_at(rest, 1 + rng_below(s->g, 20));
        add_delta(s, slice_sub(rest, 0, n));
        rest = slice_from(rest, n);
    }
}

static enum block_kind call_kind(struct script *s) {
    if (!s->is_foreign) return BLOCK_TOOL_CALL;
    uint64_t dice = rng_below(s->g, 4);
    return dice == 0 ? BLOCK_FUNCTION_CALL : dice == 1 ? BLOCK_CUSTOM_TOOL_CALL : BLOCK_TOOL_CALL;
}

static void add_call(struct script *s) {
    struct event *ev = begin(s, call_kind(s));
    ev->flags = EVF_CONTENT;
    ev->u.begin.name = random_text(s->g, s->a);
    ev->u.begin.wire_index = ev->block;
    if (!s->is_foreign || rng_below(s->g, 3))
        ev->u.begin.id = slice_cstr(arena_printf(s->a, "call_%u", ev->block));
    s->has_tool = true;
    if (s->kind == BLOCK_CUSTOM_TOOL_CALL) {
        for (uint64_t n = rng_below(s->g, 4); n > 0; n--)
            add_delta(s, random_text(s->g, s->a));
    } else if (s->is_foreign && rng_below(s->g, 4) == 0) {
        ev->u.begin.input_json = rng_below(s->g, 2) ? SLICE("{\"b\":\n[1,2.50]}") : SLICE_NULL;
    } else {
        add_args(s);
    }
    add_of_block(s, EV_BLOCK_END);
}

static void add_opaque(struct script *s) {
    struct event *ev = begin(s, BLOCK_OPAQUE);
    if (rng_below(s->g, 2)) {
        ev->raw_json = SLICE("{\"type\":\"web_search_tool_result\",\"content\":[{\"a\":1.0}]}");
    } else {
        ev->raw_json = SLICE("{\"type\":\"server_tool_use\",\"id\":\"s_1\",\"name\":\"w\","
                             "\"input\":{}}");
        add_of_block(s, EV_OPAQUE)->raw_json =
            SLICE("{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"q\\\":\"}");
        add_of_block(s, EV_OPAQUE)->raw_json =
            SLICE("{\"type\":\"input_json_delta\",\"partial_json\":\"[1]}\"}");
    }
    add_of_block(s, EV_BLOCK_END);
}

static void add_other(struct script *s) {
    if (!s->is_foreign) {
        add(s, EV_PING);
        return;
    }
    begin(s, BLOCK_AUDIO);
    add_delta(s, random_text(s->g, s->a));
    add_of_block(s, EV_OPAQUE)->raw_json = SLICE("\"QUJD\"");
    add_of_block(s, EV_BLOCK_END);
    struct event *ev = add(s, EV_LOGPROBS);
    ev->raw_json = SLICE("[]");
}

static void add_end(struct script *s) {
    static const struct finish ends[] = {
        {.reason = STOP_END, .wire = {"end_turn", 8}},
        {.reason = STOP_LENGTH, .wire = {"max_tokens", 10}},
        {.reason = STOP_PAUSE, .wire = {"pause_turn", 10}},
        {.reason = STOP_SEQUENCE, .wire = {"stop_sequence", 13}, .stop_sequence = {"\"\n", 2}},
        {.reason = STOP_FILTER, .wire = {"refusal", 7}, .details = {"{\"type\":\"refusal\"}", 18}}};
    struct finish f = ends[rng_below(s->g, 5)];
    if (f.reason == STOP_END && s->has_tool) {
        f.reason = STOP_TOOL;
        f.wire = SLICE("tool_use");
    }
    if (s->is_foreign) f.wire = SLICE("stop");
    struct event usage = {
        .kind = EV_USAGE,
        .u.usage = {
            .in_total = 15, .out_total = 5, .cache_read = 2, .cache_write = 3, .reasoning = 1}};
    if (!s->is_foreign) *add(s, EV_USAGE) = usage;
    add(s, EV_FINISH)->u.finish = f;
    if (s->is_foreign && rng_below(s->g, 2)) *add(s, EV_USAGE) = usage;
    add(s, EV_END);
}

static void make_script(struct script *s, struct rng *g, struct arena *a, bool is_foreign) {
    static void (*const adders[])(struct script *) = {add_text,     add_text,   add_text,
                                                      add_call,     add_call,   add_reasoning,
                                                      add_redacted, add_opaque, add_other};
    *s = (struct script){.a = a, .g = g, .is_foreign = is_foreign};
    struct event *ev = add(s, EV_START);
    ev->u.start = (struct event_start){.origin = is_foreign ? "chat" : "messages",
                                       .id = SLICE("msg_1"),
                                       .model = SLICE("m"),
                                       .role = SLICE("assistant"),
                                       .created = -1};
    if (!is_foreign) {
        add(s, EV_USAGE)->u.usage = (struct usage){
            .in_total = 15, .out_total = 0, .cache_read = 2, .cache_write = 3, .reasoning = -1};
    } else if (rng_below(g, 2)) {
        ev->flags = EVF_LAST_IN_FRAME;
    }
    for (uint64_t n = rng_below(g, 8); n > 0; n--)
        adders[rng_below(g, sizeof adders / sizeof *adders)](s);
    add_end(s);
}

/* ---- there and back ---- */

static const struct encoder_options options = {
    .id = {"msg_made", 8}, .model = {"model-made", 10}, .service_tier = {"default", 7}};

/* ---- what is encoded is decoded ---- */

static int collect_said(void *self, const struct event *ev) {
    struct event e = *ev;
    e.flags &= EVF_CONTENT;
    if (e.kind == EV_FINISH && !e.u.finish.stop_sequence.ptr) e.u.finish.stop_sequence = SLICE_NULL;
    if (e.kind == EV_BLOCK_BEGIN && e.block_kind != BLOCK_TOOL_CALL)
        e.u.begin = (struct event_begin){0};
    put_event(self, &e);
    return 0;
}

/* Pings that come while the end is held back leave before it: none are there. */
static void what_is_encoded_is_decoded(void **state) {
    (void)state;
    struct rng g;
    rng_seed(&g, 3);
    for (int round = 0; round < ROUNDS; round++) {
        struct arena *a = arena_new();
        struct script *s = arena_alloc(a, sizeof *s);
        make_script(s, &g, a, false);
        assert_comes_back(&dialect_messages, &options, s->events, s->n, &g, collect_said);
        arena_free(a);
    }
}

/* ---- the stream, put together, is the whole answer ---- */

static void streamed_and_whole_are_the_same(void **state) {
    (void)state;
    struct rng g;
    rng_seed(&g, 5);
    for (int round = 0; round < 2 * ROUNDS; round++) {
        struct arena *a = arena_new();
        struct script *s = arena_alloc(a, sizeof *s);
        make_script(s, &g, a, round % 2 == 1);
        assert_whole_is_streamed(&dialect_messages, &options, &options, s->events, s->n, &g);
        arena_free(a);
    }
}

static void a_frame_is_whole_or_not_there(void **state) {
    (void)state;
    struct rng g;
    rng_seed(&g, 13);
    for (size_t max = 0; max < 4000; max += 13) {
        struct arena *a = arena_new();
        struct script *s = arena_alloc(a, sizeof *s);
        make_script(s, &g, a, max % 2 == 1);
        assert_frames_are_whole(&dialect_messages, &options, s->events, s->n, max);
        arena_free(a);
    }
}

/* ---- no allocation per event ---- */

static int ignore(void *self, const struct event *ev) {
    (void)self;
    (void)ev;
    return 0;
}

static int feed_only(void *self, const struct sse_frame *f) {
    struct stream_reader *r = self;
    return r->d->decoder_feed(r->decoder, f, r->sink, NULL);
}

static void feed_text(struct sse_parser *p, struct stream_reader *r, const char *text) {
    struct sse_sink frames = {feed_only, r};
    assert_int_equal(sse_parser_feed(p, slice_cstr(text), &frames, NULL), 0);
}

static void deltas_allocate_nothing(void **state) {
    (void)state;
    static const char start[] =
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\","
        "\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n"
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
        "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
    static const char *const frames[] = {
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
        "\"delta\":{\"type\":\"text_delta\",\"text\":\"a\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
        "\"delta\":{\"type\":\"text_delta\",\"text\":\"bcd\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
        "\"delta\":{\"type\":\"text_delta\",\"text\":\"\\u00e9\"}}\n\n",
        "event: ping\ndata: {\"type\":\"ping\"}\n\n"};
    struct event_sink sink = {ignore, NULL};
    struct stream_reader r = {&dialect_messages, dialect_messages.decoder_new(), NULL, &sink};
    struct sse_parser p;
    sse_parser_init(&p, NULL);
    feed_text(&p, &r, start);
    for (unsigned i = 0; i < 8; i++)
        feed_text(&p, &r, frames[i % 4]);
    uint64_t before = mem_alloc_count();
    for (unsigned i = 0; i < 1000; i++)
        feed_text(&p, &r, frames[i % 4]);
    assert_int_equal(mem_alloc_count(), before);
    dialect_messages.decoder_free(r.decoder);
    sse_parser_dispose(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_is_decoded),
        cmocka_unit_test(streamed_and_whole_are_the_same),
        cmocka_unit_test(a_frame_is_whole_or_not_there),
        cmocka_unit_test(deltas_allocate_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
