/* SPDX-License-Identifier: Apache-2.0 */
/* Properties over random answers: what is encoded is decoded again as it was; a stream, put
 * together, is the whole answer; and the written stream keeps the rules that clients need. */
#include "stream_test.h"

#include <yyjson.h>

#define ROUNDS 1500
#define MAX_EVENTS 400
#define MAX_CHOICES 3

/* ---- random answers ---- */

struct script {
    struct arena *a;
    struct event events[MAX_EVENTS];
    unsigned n, n_choices;
    uint32_t next_block;
};

static struct event *add(struct script *s, enum event_kind kind) {
    assert_true(s->n < MAX_EVENTS);
    s->events[s->n] = (struct event){.kind = kind};
    return &s->events[s->n++];
}

/* State of one choice while its script is written. */
struct lane {
    bool is_open, has_tools, has_function, is_done, has_audio;
    enum block_kind kind;
    uint32_t block, tools[8];
    enum block_kind tool_kinds[8];
    uint64_t off, tool_offs[8];
    unsigned n_tools, n_wire;
};

static struct event *add_block_event(struct script *s, const struct lane *l, uint16_t choice,
                                     enum event_kind kind) {
    struct event *ev = add(s, kind);
    ev->choice = choice;
    ev->block = l->block;
    ev->block_kind = l->kind;
    return ev;
}

static void add_delta(struct script *s, struct rng *g, struct lane *l, uint16_t choice) {
    struct event *ev;
    if ((l->kind == BLOCK_TEXT || l->kind == BLOCK_REFUSAL) && rng_below(g, 4) == 0) {
        /* Probabilities stand before the delta, and before its block when that begins with it. */
        struct event begin = s->events[s->n - 1];
        bool begins = begin.kind == EV_BLOCK_BEGIN && begin.block == l->block;
        if (begins) s->n--;
        ev = add(s, EV_LOGPROBS);
        ev->choice = choice;
        ev->block_kind = l->kind;
        ev->raw_json = SLICE(
            "[{\"token\":\"a\",\"logprob\":-0.10,\"bytes\":null,\"top_logprobs\":[]}]");
        if (begins) *add(s, EV_BLOCK_BEGIN) = begin;
    }
    ev = add_block_event(s, l, choice, EV_DELTA);
    ev->flags = EVF_CONTENT;
    ev->text = random_text(g, s->a);
    ev->block_off = l->off;
    l->off += ev->text.len;
}

static void end_lane_block(struct script *s, struct lane *l, uint16_t choice) {
    if (l->is_open) add_block_event(s, l, choice, EV_BLOCK_END);
    l->is_open = false;
}

static void begin_text(struct script *s, struct rng *g, struct lane *l, uint16_t choice) {
    static const enum block_kind kinds[] = {BLOCK_TEXT, BLOCK_REASONING, BLOCK_REFUSAL, BLOCK_AUDIO,
                                            BLOCK_REDACTED};
    enum block_kind kind = kinds[rng_below(g, 5)];
    if (l->is_open && l->kind == kind && kind != BLOCK_REDACTED)
        return; /* it would be one block on the wire */
    if (kind == BLOCK_AUDIO && l->has_audio) return;
    end_lane_block(s, l, choice);
    l->is_open = true;
    l->kind = kind;
    l->off = 0;
    l->block = s->next_block++;
    l->has_audio |= kind == BLOCK_AUDIO;
    struct event *ev = add_block_event(s, l, choice, EV_BLOCK_BEGIN);
    if (kind == BLOCK_AUDIO) ev->u.begin.id = SLICE("audio_1");
    if (kind == BLOCK_REDACTED)
        add_block_event(s, l, choice, EV_SIGNATURE)->text = random_text(g, s->a);
    else add_delta(s, g, l, choice);
}

static void begin_tool(struct script *s, struct rng *g, struct lane *l, uint16_t choice) {
    if (l->n_tools == 8) return;
    end_lane_block(s, l, choice);
    uint64_t dice = rng_below(g, 5);
    enum block_kind kind = dice == 0 && !l->has_function ? BLOCK_FUNCTION_CALL
                           : dice == 1                   ? BLOCK_CUSTOM_TOOL_CALL
                                                         : BLOCK_TOOL_CALL;
    struct event *ev = add(s, EV_BLOCK_BEGIN);
    ev->flags = EVF_CONTENT;
    ev->choice = choice;
    ev->block_kind = kind;
    ev->block = s->next_block++;
    ev->u.begin.name = random_text(g, s->a);
    if (kind == BLOCK_FUNCTION_CALL) {
        l->has_function = true;
    } else {
        ev->u.begin.id = slice_cstr(arena_printf(s->a, "call_%u", ev->block));
        ev->u.begin.wire_index = l->n_wire++;
    }
    l->has_tools = true;
    l->tool_kinds[l->n_tools] = kind;
    l->tool_offs[l->n_tools] = 0;
    l->tools[l->n_tools++] = ev->block;
}

static void add_args(struct script *s, struct rng *g, struct lane *l, uint16_t choice) {
    if (l->n_tools == 0) return;
    unsigned i = (unsigned)rng_below(g, l->n_tools);
    struct event *ev = add(s, EV_DELTA);
    ev->flags = EVF_CONTENT;
    ev->choice = choice;
    ev->block = l->tools[i];
    ev->block_kind = l->tool_kinds[i];
    ev->text = random_text(g, s->a);
    ev->block_off = l->tool_offs[i];
    l->tool_offs[i] += ev->text.len;
}

static void add_extra(struct script *s, struct rng *g, struct lane *l, uint16_t choice) {
    if (l->is_open && l->kind == BLOCK_AUDIO) {
        add_block_event(s, l, choice, EV_OPAQUE)->raw_json = rng_below(g, 2) ? SLICE("\"QUJD\"")
                                                                             : SLICE("1763690000");
    } else if (l->is_open && l->kind == BLOCK_REASONING) {
        /* text behind a proof is another block's */
        add_block_event(s, l, choice, EV_SIGNATURE)->text = SLICE("c2ln");
        end_lane_block(s, l, choice);
    } else if (l->is_open && l->kind == BLOCK_TEXT) {
        add_block_event(s, l, choice, EV_ANNOTATION)->raw_json = SLICE(
            "{\"type\":\"url_citation\",\"n\":1.0}");
    }
}

static void finish_lane(struct script *s, struct rng *g, struct lane *l, uint16_t choice) {
    static const struct finish ends[] = {
        {.reason = STOP_END, .wire = {"stop", 4}},
        {.reason = STOP_LENGTH, .wire = {"length", 6}},
        {.reason = STOP_FILTER, .wire = {"content_filter", 14}}};
    for (unsigned i = 0; i < l->n_tools; i++) {
        struct event *ev = add(s, EV_BLOCK_END);
        ev->choice = choice;
        ev->block = l->tools[i];
        ev->block_kind = l->tool_kinds[i];
    }
    end_lane_block(s, l, choice);
    struct event *ev = add(s, EV_FINISH);
    ev->choice = choice;
    ev->u.finish = ends[rng_below(g, 3)];
    if (l->has_tools && ev->u.finish.reason == STOP_END) {
        ev->u.finish = (struct finish){.reason = STOP_TOOL,
                                       .wire = l->has_function ? SLICE("function_call")
                                                               : SLICE("tool_calls")};
    }
    l->is_done = true;
}

static void step(struct script *s, struct rng *g, struct lane *l, uint16_t choice) {
    switch (rng_below(g, 8)) {
    case 0:
    case 1: begin_text(s, g, l, choice); break;
    case 2: begin_tool(s, g, l, choice); break;
    case 3:
    case 4: add_args(s, g, l, choice); break;
    case 5: add_extra(s, g, l, choice); break;
    default:
        if (l->is_open && l->kind != BLOCK_REDACTED) add_delta(s, g, l, choice);
        break;
    }
}

static void make_script(struct script *s, struct rng *g, struct arena *a) {
    struct lane lanes[MAX_CHOICES] = {0};
    *s = (struct script){.a = a, .n_choices = (unsigned)(1 + rng_below(g, MAX_CHOICES))};
    struct event *ev = add(s, EV_START);
    ev->u.start = (struct event_start){.id = SLICE("chatcmpl-1"),
                                       .model = SLICE("m"),
                                       .role = SLICE("assistant"),
                                       .created = 1763683200};
    for (uint64_t n = rng_below(g, 40); n > 0; n--) {
        uint16_t choice = (uint16_t)rng_below(g, s->n_choices);
        step(s, g, &lanes[choice], choice);
    }
    for (unsigned c = 0; c < s->n_choices; c++) finish_lane(s, g, &lanes[c], (uint16_t)c);
    if (rng_below(g, 2)) {
        ev = add(s, EV_USAGE);
        ev->u.usage = (struct usage){
            .in_total = 12, .out_total = 5, .cache_read = 2, .cache_write = 3, .reasoning = 1};
    }
    add(s, EV_END);
}

/* ---- events as text, without what the wire does not say ---- */

static int collect_said(void *self, const struct event *ev) {
    struct event e = *ev;
    if (e.kind == EV_BLOCK_END) return 0;
    e.flags &= EVF_CONTENT;
    if (e.kind == EV_OPAQUE || e.block_kind == BLOCK_AUDIO) e.flags = 0;
    if (e.kind == EV_BLOCK_BEGIN && e.block_kind != BLOCK_AUDIO && e.u.begin.name.len == 0)
        e.u.begin = (struct event_begin){0};
    if (e.kind == EV_BLOCK_BEGIN && e.u.begin.id.len == 0) e.u.begin.id = SLICE_NULL;
    put_event(self, &e);
    return 0;
}

static const struct encoder_options options = {
    .id = {"x", 1}, .model = {"y", 1}, .include_usage = true};

static void what_is_encoded_is_decoded(void **state) {
    (void)state;
    struct rng g;
    rng_seed(&g, 3);
    for (int round = 0; round < ROUNDS; round++) {
        struct arena *a = arena_new();
        struct script *s = arena_alloc(a, sizeof *s);
        make_script(s, &g, a);
        assert_comes_back(&dialect_chat, &options, s->events, s->n, &g, collect_said);
        arena_free(a);
    }
}

static void streamed_and_whole_are_the_same(void **state) {
    (void)state;
    static const struct encoder_options body = {.id = {"x", 1}, .model = {"y", 1}, .created = 1};
    struct rng g;
    rng_seed(&g, 5);
    for (int round = 0; round < ROUNDS; round++) {
        struct arena *a = arena_new();
        struct script *s = arena_alloc(a, sizeof *s);
        make_script(s, &g, a);
        assert_whole_is_streamed(&dialect_chat, &options, &body, s->events, s->n, &g);
        arena_free(a);
    }
}

/* ---- the rules of the strictest client ---- */

struct rules {
    bool has_role[MAX_CHOICES], has_finish[MAX_CHOICES], is_done, has_usage;
    unsigned n_tools[MAX_CHOICES];
};

static void check_tool(struct rules *r, uint64_t choice, yyjson_val *call) {
    yyjson_val *index = yyjson_obj_get(call, "index"), *custom = yyjson_obj_get(call, "custom");
    yyjson_val *inner = custom ? custom : yyjson_obj_get(call, "function");
    assert_true(yyjson_is_uint(index));
    assert_true(yyjson_is_obj(inner));
    assert_true(yyjson_is_str(yyjson_obj_get(inner, custom ? "input" : "arguments")));
    bool is_first = yyjson_get_uint(index) == r->n_tools[choice];
    if (is_first) r->n_tools[choice]++;
    assert_true(yyjson_get_uint(index) < r->n_tools[choice]);
    assert_int_equal(yyjson_obj_get(call, "id") != NULL, is_first);
    assert_int_equal(yyjson_obj_get(call, "type") != NULL, is_first);
    assert_int_equal(yyjson_obj_get(inner, "name") != NULL, is_first);
}

static void check_choice(struct rules *r, yyjson_val *choice) {
    uint64_t i = yyjson_get_uint(yyjson_obj_get(choice, "index"));
    yyjson_val *delta = yyjson_obj_get(choice, "delta"),
               *finish = yyjson_obj_get(choice, "finish_reason");
    assert_true(yyjson_is_uint(yyjson_obj_get(choice, "index")) && i < MAX_CHOICES);
    assert_true(yyjson_is_obj(delta));
    assert_non_null(finish);
    assert_non_null(yyjson_obj_get(choice, "logprobs"));
    assert_false(r->has_finish[i]);
    assert_int_equal(yyjson_obj_get(delta, "role") != NULL, !r->has_role[i]);
    r->has_role[i] = true;
    if (yyjson_is_str(finish)) {
        assert_int_equal(yyjson_obj_size(delta), 0);
        r->has_finish[i] = true;
    }
    size_t k, n;
    yyjson_val *call;
    yyjson_arr_foreach(yyjson_obj_get(delta, "tool_calls"), k, n, call) check_tool(r, i, call);
}

static int check_frame(void *self, const struct sse_frame *f) {
    struct rules *r = self;
    assert_true(f->flags & SSE_DATA);
    assert_false(f->flags & SSE_NAME);
    assert_false(r->is_done);
    if (slice_eq(f->data, SLICE("[DONE]"))) {
        r->is_done = true;
        return 0;
    }
    yyjson_doc *doc = yyjson_read(f->data.ptr, f->data.len, 0);
    yyjson_val *root = yyjson_doc_get_root(doc), *choices = yyjson_obj_get(root, "choices"),
               *usage = yyjson_obj_get(root, "usage");
    assert_non_null(doc);
    assert_true(yyjson_equals_str(yyjson_obj_get(root, "object"), "chat.completion.chunk"));
    assert_true(yyjson_equals_str(yyjson_obj_get(root, "id"), "chatcmpl-1"));
    assert_int_equal(yyjson_get_uint(yyjson_obj_get(root, "created")), 1763683200);
    assert_false(r->has_usage);
    assert_non_null(usage); /* on every chunk when asked for */
    assert_int_equal(yyjson_arr_size(choices), yyjson_is_null(usage) ? 1 : 0);
    r->has_usage = yyjson_is_obj(usage);
    if (!r->has_usage) check_choice(r, yyjson_arr_get_first(choices));
    yyjson_doc_free(doc);
    return 0;
}

static void written_streams_keep_the_rules(void **state) {
    (void)state;
    struct rng g;
    rng_seed(&g, 9);
    for (int round = 0; round < ROUNDS; round++) {
        struct arena *a = arena_new();
        struct script *s = arena_alloc(a, sizeof *s);
        struct rules r = {.is_done = false};
        struct sse_sink sink = {check_frame, &r};
        struct sse_parser p;
        struct buf wire;
        buf_init(&wire, TEST_BYTES);
        make_script(s, &g, a);
        encode_stream(&dialect_chat, &options, s->events, s->n, &wire);
        sse_parser_init(&p, NULL);
        assert_int_equal(sse_parser_feed(&p, buf_slice(&wire), &sink, NULL), 0);
        assert_true(sse_parser_at_border(&p));
        assert_true(r.is_done);
        for (unsigned c = 0; c < s->n_choices; c++) assert_true(r.has_role[c] && r.has_finish[c]);
        sse_parser_dispose(&p);
        buf_dispose(&wire);
        arena_free(a);
    }
}

static void a_frame_is_whole_or_not_there(void **state) {
    (void)state;
    static const struct encoder_options o = {.id = {"x", 1}, .model = {"y", 1}};
    struct rng g;
    rng_seed(&g, 13);
    for (size_t max = 0; max < 4000; max += 13) {
        struct arena *a = arena_new();
        struct script *s = arena_alloc(a, sizeof *s);
        make_script(s, &g, a);
        assert_frames_are_whole(&dialect_chat, &o, s->events, s->n, max);
        arena_free(a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_is_decoded),
        cmocka_unit_test(streamed_and_whole_are_the_same),
        cmocka_unit_test(written_streams_keep_the_rules),
        cmocka_unit_test(a_frame_is_whole_or_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
