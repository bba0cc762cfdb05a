/* SPDX-License-Identifier: Apache-2.0 */
/* Properties over random answers: what is encoded keeps the grammar and is decoded again as it was;
 * the stream's last object is the whole answer's body. Then the encoder's own decisions, one by
 * one. */
#include "stream_test.h"

#include "dialect/responses/responses_state.h"

#define ROUNDS     600
#define MAX_EVENTS 300

/* ---- random answers ---- */

struct script {
    struct arena *a;
    struct event events[MAX_EVENTS];
    unsigned n;
    uint32_t next_block, next_group;
};

static struct event *add(struct script *s, enum event_kind kind) {
    assert_true(s->n < MAX_EVENTS);
    s->events[s->n] = (struct event){.kind = kind};
    return &s->events[s->n++];
}

static struct event *add_of_block(struct script *s, enum event_kind kind,
                                  const struct event *begin) {
    uint32_t block = begin->block;
    enum block_kind block_kind = begin->block_kind;
    struct event *ev = add(s, kind);
    ev->block = block;
    ev->block_kind = block_kind;
    return ev;
}

static const struct event *begin_block(struct script *s, enum block_kind kind, const char *prefix) {
    struct event *ev = add(s, EV_BLOCK_BEGIN);
    ev->block = s->next_block++;
    ev->block_kind = kind;
    ev->u.begin.item_id = slice_cstr(arena_printf(s->a, "%s_%u", prefix, ev->block));
    return ev;
}

static void add_deltas(struct script *s, struct rng *g, const struct event *begin, uint64_t *off,
                       uint64_t max) {
    for (uint64_t n = 1 + rng_below(g, max); n > 0; n--) {
        struct event *ev = add_of_block(s, EV_DELTA, begin);
        ev->flags = EVF_CONTENT;
        ev->text = random_text(g, s->a);
        ev->block_off = *off;
        *off += ev->text.len;
    }
}

static void add_annotation(struct script *s, const struct event *begin) {
    struct event *ev = add_of_block(s, EV_ANNOTATION, begin);
    ev->raw_json = SLICE("{\"type\":\"url_citation\",\"start_index\":0,\"end_index\":1,"
                         "\"url\":\"https://a.example/\",\"title\":\"T\"}");
    ev->u.annotation = (struct annotation){.kind = ANNOTATION_URL,
                                           .url = SLICE("https://a.example/"),
                                           .title = SLICE("T"),
                                           .start = 0,
                                           .end = 1};
}

static void add_message(struct script *s, struct rng *g) {
    uint32_t group = ++s->next_group;
    struct slice id = SLICE_NULL;
    for (uint64_t n = 1 + rng_below(g, 3); n > 0; n--) {
        bool is_refusal = rng_below(g, 4) == 0;
        uint64_t off = 0;
        unsigned at = s->n;
        begin_block(s, is_refusal ? BLOCK_REFUSAL : BLOCK_TEXT, "msg");
        struct event *begin = &s->events[at];
        if (!id.ptr) id = begin->u.begin.item_id;
        begin->u.begin.item_id = id;
        begin->u.begin.group = group;
        add_deltas(s, g, begin, &off, 3);
        for (uint64_t k = is_refusal ? 0 : rng_below(g, 3); k > 0; k--)
            add_annotation(s, begin);
        add_of_block(s, EV_BLOCK_END, begin);
    }
}

static void add_reasoning(struct script *s, struct rng *g) {
    unsigned at = s->n;
    uint64_t off = 0, n_parts = rng_below(g, 4);
    bool has_proof = n_parts == 0 || rng_below(g, 2);
    begin_block(s, BLOCK_REASONING, "rs");
    s->events[at].u.begin.is_raw = n_parts > 0 && rng_below(g, 3) == 0;
    s->next_group++;
    for (uint64_t i = 0; i < n_parts; i++) {
        if (i > 0) add_of_block(s, EV_PART, &s->events[at]);
        add_deltas(s, g, &s->events[at], &off, 2);
    }
    if (has_proof) add_of_block(s, EV_SIGNATURE, &s->events[at])->text = random_text(g, s->a);
    add_of_block(s, EV_BLOCK_END, &s->events[at]);
}

static void add_call(struct script *s, struct rng *g) {
    bool is_custom = rng_below(g, 3) == 0;
    unsigned at = s->n;
    uint64_t off = 0;
    begin_block(s, is_custom ? BLOCK_CUSTOM_TOOL_CALL : BLOCK_TOOL_CALL, is_custom ? "ctc" : "fc");
    struct event *begin = &s->events[at];
    begin->flags = EVF_CONTENT;
    begin->u.begin.id = slice_cstr(arena_printf(s->a, "call_%u\"", begin->block));
    begin->u.begin.name = random_text(g, s->a);
    if (rng_below(g, 4) == 0) begin->u.begin.name_space = SLICE("space");
    s->next_group++;
    add_deltas(s, g, begin, &off, 3);
    add_of_block(s, EV_BLOCK_END, begin);
}

/* is_own: as our own decoder would tell it. */
static void write_script(struct script *s, struct rng *g, struct arena *a, const char *origin) {
    *s = (struct script){.a = a};
    bool any_call = false;
    struct event_start *start = &add(s, EV_START)->u.start;
    *start = (struct event_start){.origin = origin,
                                  .id = SLICE("resp_told"),
                                  .model = SLICE("model-told"),
                                  .role = SLICE("assistant"),
                                  .created = 1763700001};
    for (uint64_t n = rng_below(g, 6); n > 0; n--) {
        uint64_t kind = rng_below(g, 3);
        any_call |= kind == 2;
        if (kind == 0)
            add_message(s, g);
        else if (kind == 1)
            add_reasoning(s, g);
        else
            add_call(s, g);
    }
    struct finish *f = &add(s, EV_FINISH)->u.finish;
    bool is_cut = rng_below(g, 4) == 0;
    f->reason = is_cut ? STOP_LENGTH : any_call ? STOP_TOOL : STOP_END;
    f->wire = is_cut ? SLICE("max_output_tokens") : SLICE("completed");
    if (rng_below(g, 4) > 0)
        add(s, EV_USAGE)->u.usage = (struct usage){.in_total = 11,
                                                   .out_total = INT64_C(9007199254740993),
                                                   .cache_read = 3,
                                                   .cache_write = 0,
                                                   .reasoning = 1};
    add(s, EV_END);
}

/* ---- streams ---- */

struct stream {
    struct buf wire, events; /* events: as lines, without what the wire does not tell */
    struct buf last;         /* data of the last frame */
    struct checker *checker;
    struct decoder *decoder;
    struct answer *answer;
    uint32_t last_group;
};

static void put_plain(struct stream *s, struct event ev) {
    if (ev.flags & EVF_RECAP) return;
    ev.flags = 0;
    ev.u.begin.wire_index = ev.kind == EV_BLOCK_BEGIN ? 0 : ev.u.begin.wire_index;
    if (ev.kind == EV_BLOCK_BEGIN) {
        bool joins = ev.u.begin.group > 0 && ev.u.begin.group == s->last_group;
        s->last_group = ev.u.begin.group;
        ev.u.begin.group = joins ? 1 : 0;
    }
    if (ev.kind == EV_USAGE) ev.u.usage.wire = SLICE_NULL;
    put_event(&s->events, &ev);
}

static int on_decoded(void *self, const struct event *ev) {
    struct stream *s = self;
    put_plain(s, *ev);
    return answer_add(s->answer, ev);
}

static int on_written(void *self, const struct sse_frame *f) {
    struct stream *s = self;
    struct event_sink sink = {on_decoded, s};
    struct err e = {0};
    if (!(f->flags & SSE_EVENT)) return 0;
    assert_int_equal(sse_frame_verdict(f), SSE_PASS);
    if (s->checker && dialect_responses.checker_frame(s->checker, f, &e))
        fail_msg("%s: %.*s", e.text, SLICE_FMT(f->data));
    assert_int_equal(dialect_responses.decoder_feed(s->decoder, f, &sink, &e), 0);
    buf_reset(&s->last);
    put(&s->last, f->data);
    return 0;
}

static void stream_init(struct stream *s) {
    *s = (struct stream){.checker = dialect_responses.checker_new(),
                         .decoder = dialect_responses.decoder_new(),
                         .answer = answer_new(TEST_BYTES)};
    buf_init(&s->wire, TEST_BYTES);
    buf_init(&s->events, TEST_BYTES);
    buf_init(&s->last, TEST_BYTES);
}

static void stream_dispose(struct stream *s) {
    buf_dispose(&s->wire);
    buf_dispose(&s->events);
    buf_dispose(&s->last);
    dialect_responses.checker_free(s->checker);
    dialect_responses.decoder_free(s->decoder);
    answer_free(s->answer);
}

/* Checks and decodes what is in s->wire. */
static void read_wire(struct stream *s, bool must_be_whole) {
    struct event_sink sink = {on_decoded, s};
    struct sse_sink frames = {on_written, s};
    struct sse_parser p;
    struct err e = {0};
    sse_parser_init(&p, NULL);
    assert_int_equal(sse_parser_feed(&p, buf_slice(&s->wire), &frames, NULL), 0);
    assert_int_equal(sse_parser_finish(&p, &frames, NULL), 0);
    sse_parser_dispose(&p);
    if (!must_be_whole) return;
    assert_int_equal(dialect_responses.decoder_finish(s->decoder, &sink, &e), 0);
    assert_int_equal(dialect_responses.checker_end(s->checker, &e), 0);
}

static const struct encoder_options options = {
    .id = {"resp_made", 9}, .model = {"model-made", 10}, .created = 1700000000};

/* The `response` of the stream's last event. */
static struct slice last_response(const struct stream *s) {
    struct json_member m;
    assert_true(json_find_member(buf_slice(&s->last), SLICE("response"), &m));
    return m.value;
}

static void check_whole(const struct stream *s, const struct script *script) {
    struct answer *an = answer_new(TEST_BYTES), *again = answer_new(TEST_BYTES);
    struct buf body, second;
    struct event_sink sink = {reduce, again};
    buf_init(&body, TEST_BYTES);
    buf_init(&second, TEST_BYTES);
    for (unsigned i = 0; i < script->n; i++)
        assert_int_equal(answer_add(an, &script->events[i]), 0);
    assert_int_equal(dialect_responses.encode_response(an, &options, &body), 0);
    assert_slices(buf_slice(&body), last_response(s));
    /* and back, and from what the stream was decoded to */
    assert_int_equal(dialect_responses.decode_response(buf_slice(&body), &sink, NULL), 0);
    assert_int_equal(dialect_responses.encode_response(again, &options, &second), 0);
    assert_slices(buf_slice(&second), buf_slice(&body));
    buf_reset(&second);
    assert_int_equal(dialect_responses.encode_response(s->answer, &options, &second), 0);
    assert_slices(buf_slice(&second), buf_slice(&body));
    buf_dispose(&body);
    buf_dispose(&second);
    answer_free(an);
    answer_free(again);
}

static void what_is_encoded_is_decoded(void **state) {
    (void)state;
    static struct script script;
    struct rng g;
    rng_seed(&g, 7);
    for (int round = 0; round < ROUNDS; round++) {
        struct arena *a = arena_new();
        struct stream s;
        struct stream wanted;
        stream_init(&s);
        stream_init(&wanted);
        write_script(&script, &g, a, "responses");
        encode_stream(&dialect_responses, &options, script.events, script.n, &s.wire);
        read_wire(&s, true);
        for (unsigned i = 0; i < script.n; i++)
            put_plain(&wanted, script.events[i]);
        assert_slices(buf_slice(&s.events), buf_slice(&wanted.events));
        check_whole(&s, &script);
        stream_dispose(&s);
        stream_dispose(&wanted);
        arena_free(a);
    }
}

/* Ids and models of other dialects are not the client's; everything else arrives. */
static void what_comes_from_elsewhere_keeps_the_grammar(void **state) {
    (void)state;
    static struct script script;
    struct rng g;
    rng_seed(&g, 8);
    for (int round = 0; round < ROUNDS / 4; round++) {
        struct arena *a = arena_new();
        struct stream s;
        stream_init(&s);
        write_script(&script, &g, a, "chat");
        for (unsigned i = 0; i < script.n; i++) {
            if (script.events[i].kind != EV_BLOCK_BEGIN) continue;
            script.events[i].u.begin.item_id = SLICE_NULL;
            script.events[i].u.begin.group = 0;
        }
        encode_stream(&dialect_responses, &options, script.events, script.n, &s.wire);
        read_wire(&s, true);
        assert_slices(answer_start(s.answer)->id, SLICE("resp_made"));
        assert_slices(answer_start(s.answer)->model, SLICE("model-made"));
        check_whole(&s, &script);
        stream_dispose(&s);
        arena_free(a);
    }
}

/* ---- the encoder's decisions ---- */

struct bench {
    struct stream s;
    struct encoder *x;
};

static void bench_init(struct bench *b, const struct encoder_options *o) {
    stream_init(&b->s);
    b->x = dialect_responses.encoder_new(o);
}

static void bench_dispose(struct bench *b) {
    dialect_responses.encoder_free(b->x);
    stream_dispose(&b->s);
}

static int begin_test(void **state) {
    struct bench *b = mem_zalloc(sizeof *b);
    bench_init(b, &options);
    *state = b;
    return 0;
}

static int end_test(void **state) {
    bench_dispose(*state);
    mem_free(*state);
    return 0;
}

static int give(struct bench *b, struct event ev) {
    return dialect_responses.encoder_event(b->x, &ev, &b->s.wire);
}

static void feed(struct bench *b, struct event ev) {
    assert_int_equal(give(b, ev), 0);
}

static void feed_start(struct bench *b, const char *origin) {
    feed(b, (struct event){.kind = EV_START,
                           .u.start = {.origin = origin, .id = SLICE("chatcmpl-1"), .created = 7}});
}

static void feed_begin(struct bench *b, uint32_t block, enum block_kind kind) {
    feed(b, (struct event){.kind = EV_BLOCK_BEGIN,
                           .block = block,
                           .block_kind = kind,
                           .u.begin = {.id = SLICE("call_x"), .name = SLICE("f")}});
}

static void feed_text(struct bench *b, uint32_t block, enum block_kind kind, struct slice text) {
    feed(b, (struct event){.kind = EV_DELTA, .block = block, .block_kind = kind, .text = text});
}

static void feed_end(struct bench *b, uint32_t block, enum block_kind kind) {
    feed(b, (struct event){.kind = EV_BLOCK_END, .block = block, .block_kind = kind});
}

static void feed_block(struct bench *b, uint32_t block, enum block_kind kind, struct slice text) {
    feed_begin(b, block, kind);
    feed_text(b, block, kind, text);
    feed_end(b, block, kind);
}

static void feed_finish(struct bench *b, enum stop_reason reason) {
    feed(b, (struct event){.kind = EV_FINISH, .u.finish = {.reason = reason, .wire = SLICE("x")}});
    feed(b, (struct event){.kind = EV_END});
}

static bool has(const struct buf *b, const char *text) {
    return memmem(b->ptr, b->len, text, strlen(text)) != NULL;
}

static unsigned count(const struct buf *b, const char *text) {
    unsigned n = 0;
    const char *at = b->ptr, *end = b->ptr + b->len;
    while ((at = memmem(at, (size_t)(end - at), text, strlen(text)))) {
        n++;
        at++;
    }
    return n;
}

static void text_and_refusal_are_one_message(void **state) {
    struct bench *b = *state;
    feed_start(b, "chat");
    feed_block(b, 0, BLOCK_TEXT, SLICE("Well. "));
    feed_block(b, 1, BLOCK_REFUSAL, SLICE("No."));
    feed_finish(b, STOP_END);
    read_wire(&b->s, true);
    assert_slices(responses_encoder_output(b->x),
                  SLICE("{\"id\":\"msg_made_0\",\"type\":\"message\",\"role\":\"assistant\","
                        "\"content\":[{\"type\":\"output_text\",\"text\":\"Well. \","
                        "\"annotations\":[],\"logprobs\":[]},{\"type\":\"refusal\",\"refusal\":"
                        "\"No.\"}],\"status\":\"completed\"}"));
}

static void two_texts_are_two_messages(void **state) {
    struct bench *b = *state;
    feed_start(b, "messages");
    for (uint32_t i = 0; i < 2; i++) {
        feed_block(b, i, BLOCK_TEXT, SLICE("x"));
    }
    feed_finish(b, STOP_END);
    read_wire(&b->s, true);
    assert_int_equal(count(&b->s.last, "\"type\":\"message\""), 2);
    assert_true(has(&b->s.last, "\"id\":\"msg_made_1\""));
}

/* Only the answer's last item is incomplete, and a cut call keeps what it has. */
static void the_last_item_of_a_cut_answer_is_incomplete(void **state) {
    struct bench *b = *state;
    feed_start(b, "messages");
    feed_block(b, 0, BLOCK_TEXT, SLICE("x"));
    feed_begin(b, 1, BLOCK_TOOL_CALL);
    feed_end(b, 1, BLOCK_TOOL_CALL);
    assert_false(has(&b->s.wire, "arguments.done")); /* not before it is known how it ends */
    feed_finish(b, STOP_LENGTH);
    read_wire(&b->s, true);
    assert_true(has(&b->s.last, "\"incomplete_details\":{\"reason\":\"max_output_tokens\"}"));
    assert_true(has(&b->s.last, "\"arguments\":\"\",\"status\":\"incomplete\"}]"));
    assert_int_equal(count(&b->s.last, "\"status\":\"completed\""), 1);
    assert_false(has(&b->s.wire, "{}\""));
}

static void a_call_without_arguments_gets_an_object(void **state) {
    struct bench *b = *state;
    feed_start(b, "messages");
    feed_begin(b, 0, BLOCK_TOOL_CALL);
    feed_end(b, 0, BLOCK_TOOL_CALL);
    feed(b, (struct event){.kind = EV_BLOCK_BEGIN,
                           .block = 1,
                           .block_kind = BLOCK_TOOL_CALL,
                           .u.begin = {.name = SLICE("g"), .input_json = SLICE("{\"a\": 1}")}});
    feed_end(b, 1, BLOCK_TOOL_CALL);
    feed_finish(b, STOP_TOOL);
    read_wire(&b->s, true);
    assert_true(has(&b->s.last, "\"call_id\":\"call_x\",\"name\":\"f\",\"arguments\":\"{}\""));
    assert_true(has(&b->s.last,
                    "\"call_id\":\"call_made_1\",\"name\":\"g\",\"arguments\":\"{\\\"a\\\": 1}\""));
    assert_int_equal(count(&b->s.wire, "event: response.function_call_arguments.delta"), 2);
    assert_true(has(&b->s.last, "\"status\":\"completed\",\"completed_at\""));
}

static void citations_without_a_place_cover_their_part(void **state) {
    struct bench *b = *state;
    feed_start(b, "messages");
    feed_begin(b, 0, BLOCK_TEXT);
    feed_text(b, 0, BLOCK_TEXT, SLICE("\xc3\xa4\"\n"));
    feed(b, (struct event){.kind = EV_ANNOTATION,
                           .block_kind = BLOCK_TEXT,
                           .raw_json = SLICE("{\"type\":\"web_search_result_location\"}"),
                           .u.annotation = {ANNOTATION_URL, SLICE("u"), SLICE("t\n"), -1, -1}});
    feed(b, (struct event){.kind = EV_ANNOTATION,
                           .block_kind = BLOCK_TEXT,
                           .raw_json = SLICE("{\"type\":\"char_location\"}"),
                           .u.annotation = {ANNOTATION_OTHER, SLICE_NULL, SLICE_NULL, -1, -1}});
    feed(b, (struct event){.kind = EV_ANNOTATION,
                           .block_kind = BLOCK_TEXT,
                           .u.annotation = {ANNOTATION_URL, SLICE("v"), SLICE_NULL, 0, 1}});
    assert_false(has(&b->s.wire, "\"url\":\"u\""));
    feed_text(b, 0, BLOCK_TEXT, SLICE("\xf0\x9f\x98\x80\x01"));
    feed_end(b, 0, BLOCK_TEXT);
    feed_finish(b, STOP_END);
    read_wire(&b->s, true);
    assert_true(has(&b->s.last,
                    "\"annotations\":[{\"type\":\"url_citation\",\"start_index\":0,\"end_index\":1,"
                    "\"url\":\"v\",\"title\":\"\"},{\"type\":\"url_citation\",\"start_index\":0,"
                    "\"end_index\":5,\"url\":\"u\",\"title\":\"t\\n\"}]"));
}

static void redacted_thinking_is_a_reasoning_item(void **state) {
    struct bench *b = *state;
    feed_start(b, "messages");
    feed_begin(b, 0, BLOCK_REDACTED);
    feed(b,
         (struct event){.kind = EV_SIGNATURE, .block_kind = BLOCK_REDACTED, .text = SLICE("env")});
    feed_end(b, 0, BLOCK_REDACTED);
    feed(b, (struct event){.kind = EV_BLOCK_BEGIN,
                           .block = 1,
                           .block_kind = BLOCK_REASONING,
                           .u.begin = {.is_raw = true}});
    feed_text(b, 1, BLOCK_REASONING, SLICE("hm"));
    feed_end(b, 1, BLOCK_REASONING);
    feed_finish(b, STOP_FILTER);
    read_wire(&b->s, true);
    assert_slices(
        responses_encoder_output(b->x),
        SLICE("{\"id\":\"rs_made_0\",\"type\":\"reasoning\",\"summary\":[],"
              "\"encrypted_content\":\"env\"},{\"id\":\"rs_made_1\",\"type\":\"reasoning\","
              "\"summary\":[{\"type\":\"summary_text\",\"text\":\"hm\"}],"
              "\"status\":\"incomplete\"}"));
    assert_true(has(&b->s.last, "{\"reason\":\"content_filter\"}"));
}

/* Token probabilities come with the delta behind them, and once more at the part's end. */
static void logprobs_go_with_their_delta(void **state) {
    struct bench *b = *state;
    feed_start(b, "chat");
    feed(b, (struct event){.kind = EV_LOGPROBS, .raw_json = SLICE("[{\"token\":\"x\"}]")});
    feed_begin(b, 0, BLOCK_TEXT);
    feed_text(b, 0, BLOCK_TEXT, SLICE("x"));
    feed_text(b, 0, BLOCK_TEXT, SLICE("y"));
    feed(b, (struct event){.kind = EV_LOGPROBS, .raw_json = SLICE("[{\"token\":\"\"}]")});
    feed_end(b, 0, BLOCK_TEXT);
    feed_finish(b, STOP_END);
    read_wire(&b->s, true);
    assert_true(has(&b->s.wire, "\"delta\":\"x\",\"logprobs\":[{\"token\":\"x\",\"bytes\":null,"
                               "\"top_logprobs\":[]}]"));
    assert_true(has(&b->s.wire, "\"delta\":\"y\",\"logprobs\":[],"));
    assert_true(has(&b->s.last, "\"logprobs\":[{\"token\":\"x\",\"bytes\":null,\"top_logprobs\":[]},"
                               "{\"token\":\"\",\"bytes\":null,\"top_logprobs\":[]}]"));
}

static void late_usage_is_in_the_last_event(void **state) {
    struct bench *b = *state;
    feed_start(b, "chat");
    feed(b, (struct event){.kind = EV_FINISH, .u.finish = {.reason = STOP_END}});
    assert_false(has(&b->s.wire, "response.completed"));
    feed(b, (struct event){.kind = EV_USAGE,
                           .u.usage = {100, 9, 75, -1, -1, SLICE("{\"prompt_tokens\":100}")}});
    feed(b, (struct event){.kind = EV_END});
    feed_text(b, 0, BLOCK_TEXT, SLICE("after the end"));
    read_wire(&b->s, true);
    assert_true(has(
        &b->s.last, "\"usage\":{\"input_tokens\":100,\"input_tokens_details\":{\"cached_tokens\":75,"
                   "\"cache_write_tokens\":0},\"output_tokens\":9,\"output_tokens_details\":{"
                   "\"reasoning_tokens\":0},\"total_tokens\":109}"));
    assert_true(has(&b->s.wire, "\"usage\":null")); /* the opening ones */
}

static void no_usage_is_null(void **state) {
    struct bench *b = *state;
    feed_start(b, "chat");
    feed_finish(b, STOP_END);
    read_wire(&b->s, true);
    assert_true(has(&b->s.last, "\"output\":[],"));
    assert_true(has(&b->s.last, "\"usage\":null}"));
}

static void an_error_ends_the_stream_at_once(void **state) {
    struct bench *b = *state;
    feed_start(b, "messages");
    feed_begin(b, 0, BLOCK_TEXT);
    feed_text(b, 0, BLOCK_TEXT, SLICE("x"));
    feed(b, (struct event){.kind = EV_ERROR,
                           .u.error = {.status = 503,
                                        .message = SLICE("busy"),
                                        .type = SLICE("server_error"),
                                        .code = SLICE("server_overloaded")}});
    feed_text(b, 0, BLOCK_TEXT, SLICE("more"));
    feed(b, (struct event){.kind = EV_END});
    read_wire(&b->s, true);
    assert_slices(
        buf_slice(&b->s.last),
        SLICE("{\"type\":\"error\",\"sequence_number\":5,\"error\":{\"type\":\"server_error\","
              "\"code\":\"server_overloaded\",\"message\":\"busy\",\"param\":null},"
              "\"code\":\"server_overloaded\",\"message\":\"busy\",\"param\":null}"));
    assert_false(has(&b->s.wire, "more"));
    assert_int_equal(responses_encoder_write_response(b->x, &b->s.wire), -ERR_PROTOCOL);
}

static void an_error_before_everything_has_number_0(void **state) {
    struct bench *b = *state;
    feed(b, (struct event){.kind = EV_PING});
    feed(b, (struct event){.kind = EV_ERROR, .u.error = {.message = SLICE("no")}});
    assert_true(slice_starts_with(buf_slice(&b->s.wire),
                                  SLICE(": keep-alive\n\nevent: error\ndata: {\"type\":\"error\","
                                        "\"sequence_number\":0,")));
    read_wire(&b->s, true);
}

static void a_reason_of_error_is_an_error(void **state) {
    struct bench *b = *state;
    feed_start(b, "chat");
    feed_finish(b, STOP_ERROR);
    read_wire(&b->s, true);
    assert_true(has(&b->s.last, "\"type\":\"error\""));
    assert_false(has(&b->s.wire, "response.completed"));
}

/* At the transcript's limit the client gets what is well-formed, and a clear end. */
static void the_transcript_is_bounded(void **state) {
    (void)state;
    struct bench b;
    struct encoder_options o = options;
    o.max_bytes = 1000;
    bench_init(&b, &o);
    feed_start(&b, "chat");
    feed_begin(&b, 0, BLOCK_TEXT);
    int rc = 0;
    unsigned n = 0;
    for (; rc == 0 && n < 1000; n++)
        rc = give(&b, (struct event){.kind = EV_DELTA, .text = SLICE("0123456789")});
    assert_int_equal(rc, -ERR_LIMIT);
    assert_in_range(n, 80, 100);
    size_t len = b.s.wire.len;
    feed(&b, (struct event){.kind = EV_ERROR, .u.error = {.message = SLICE("again")}});
    feed(&b, (struct event){.kind = EV_END});
    assert_int_equal(b.s.wire.len, len);
    read_wire(&b.s, true);
    assert_true(has(&b.s.last, "the answer is longer than the 1000 bytes that are kept of one"));
    bench_dispose(&b);
}

/* So are all things that wait for their place in it. */
static void everything_that_waits_is_bounded(void **state) {
    (void)state;
    static const struct event kinds[] = {
        {.kind = EV_SIGNATURE, .block_kind = BLOCK_REASONING, .text = {"0123456789", 10}},
        {.kind = EV_PART, .block_kind = BLOCK_REASONING},
        {.kind = EV_LOGPROBS, .raw_json = {"[{\"a\":1}]", 9}},
        {.kind = EV_ANNOTATION, .u.annotation = {ANNOTATION_URL, {"u", 1}, {NULL, 0}, -1, -1}},
        {.kind = EV_ANNOTATION, .u.annotation = {ANNOTATION_URL, {"u", 1}, {NULL, 0}, 1, 2}},
    };
    struct encoder_options o = options;
    o.max_bytes = 5000;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct bench b;
        bench_init(&b, &o);
        feed_start(&b, "chat");
        feed_begin(&b, 0, i < 2 ? BLOCK_REASONING : BLOCK_TEXT);
        int rc = 0;
        for (unsigned n = 0; rc == 0 && n < 10000; n++)
            rc = give(&b, kinds[i]);
        assert_int_equal(rc, -ERR_LIMIT);
        read_wire(&b.s, true);
        assert_true(has(&b.s.last, "\"type\":\"error\""));
        bench_dispose(&b);
    }
}

static void a_full_output_is_an_error(void **state) {
    struct bench *b = *state;
    struct buf small;
    buf_init(&small, 100);
    struct event ev = {.kind = EV_BLOCK_BEGIN, .block_kind = BLOCK_TEXT};
    assert_int_equal(dialect_responses.encoder_event(b->x, &ev, &small), -ERR_LIMIT);
    assert_int_equal(small.len, 0);
    buf_dispose(&small);
}

static void blocks_that_are_open_at_once_are_refused(void **state) {
    struct bench *b = *state;
    feed_begin(b, 0, BLOCK_TOOL_CALL);
    size_t len = b->s.wire.len;
    assert_int_equal(give(b, (struct event){.kind = EV_BLOCK_BEGIN, .block = 1}), -ERR_PROTOCOL);
    assert_int_equal(give(b, (struct event){.kind = EV_DELTA, .block = 1, .text = SLICE("x")}),
                     -ERR_PROTOCOL);
    assert_int_equal(b->s.wire.len, len);
    feed_text(b, 0, BLOCK_TOOL_CALL, SLICE("{}"));
}

static void the_request_is_repeated(void **state) {
    (void)state;
    struct bench b;
    struct encoder_options o = options;
    o.echo =
        SLICE("\"background\":false,\"service_tier\":\"auto\",\"tools\":[{\"service_tier\":1}]");
    bench_init(&b, &o);
    feed(&b, (struct event){.kind = EV_START,
                            .u.start = {.origin = "chat", .service_tier = SLICE("flex")}});
    feed_finish(&b, STOP_END);
    read_wire(&b.s, true);
    assert_true(has(&b.s.last,
                    "\"output\":[],\"background\":false,\"tools\":[{\"service_tier\":1}],"
                    "\"service_tier\":\"flex\",\"usage\":null}"));
    bench_dispose(&b);
    bench_init(&b, &o);
    feed_start(&b, "chat");
    feed_finish(&b, STOP_END);
    read_wire(&b.s, true);
    assert_true(has(&b.s.last, "\"service_tier\":\"auto\""));
    assert_int_equal(count(&b.s.last, "\"service_tier\""), 2);
    bench_dispose(&b);
}

/* What a gateway keeps is what the client got. */
static void the_finished_answer_can_be_kept(void **state) {
    struct bench *b = *state;
    struct buf kept;
    buf_init(&kept, TEST_BYTES);
    feed_start(b, "chat");
    feed_begin(b, 0, BLOCK_TEXT);
    assert_null(responses_encoder_output(b->x).ptr);
    feed_text(b, 0, BLOCK_TEXT, SLICE("x"));
    feed_end(b, 0, BLOCK_TEXT);
    assert_int_equal(responses_encoder_write_response(b->x, &kept), -ERR_PROTOCOL);
    feed_finish(b, STOP_END);
    read_wire(&b->s, true);
    assert_int_equal(responses_encoder_write_response(b->x, &kept), 0);
    assert_slices(buf_slice(&kept), last_response(&b->s));
    assert_slices(responses_body_output(buf_slice(&kept)), responses_encoder_output(b->x));
    assert_null(responses_body_output(SLICE("{\"a\":1}")).ptr);
    assert_null(responses_body_output(SLICE("[]")).ptr);
    buf_dispose(&kept);
}

static void foreign_tools_that_others_run_are_left_out(void **state) {
    (void)state;
    struct bench b;
    struct slice item = SLICE("{\"id\":\"ws_1\",\"type\":\"web_search_call\"}");
    for (int i = 0; i < 2; i++) {
        bench_init(&b, &options);
        feed_start(&b, i == 0 ? "messages" : "responses");
        feed(&b,
             (struct event){.kind = EV_BLOCK_BEGIN, .block_kind = BLOCK_OPAQUE, .raw_json = item});
        feed(&b,
             (struct event){.kind = EV_OPAQUE,
                            .block_kind = BLOCK_OPAQUE,
                            .raw_json = SLICE("{\"type\":\"response.web_search_call.searching\","
                                              "\"item_id\":\"other\",\"output_index\":9}")});
        feed(&b,
             (struct event){.kind = EV_OPAQUE,
                            .block_kind = BLOCK_OPAQUE,
                            .raw_json = SLICE("{\"type\":\"response.output_item.done\",\"item\":"
                                              "{\"id\":\"another\",\"type\":\"x\"}}")});
        feed_end(&b, 0, BLOCK_OPAQUE);
        feed_finish(&b, STOP_END);
        read_wire(&b.s, true);
        assert_int_equal(count(&b.s.last, "\"ws_1\""), i);
        assert_int_equal(count(&b.s.wire, "web_search_call.searching\",\"item_id\":\"ws_1\","
                                          "\"output_index\":0"),
                         i);
        assert_false(has(&b.s.wire, "another"));
        bench_dispose(&b);
    }
}

/* Steady state: deltas cost no allocation but the transcript's growth, here none. */
static void deltas_allocate_nothing(void **state) {
    struct bench *b = *state;
    feed_start(b, "chat");
    feed_begin(b, 0, BLOCK_TEXT);
    struct slice big = {malloc(20000), 20000};
    memset((char *)(uintptr_t)big.ptr, 'x', big.len);
    feed_text(b, 0, BLOCK_TEXT, big);
    feed_text(b, 0, BLOCK_TEXT, slice_sub(big, 0, 1000)); /* doubles: there is room now */
    free((char *)(uintptr_t)big.ptr);
    uint64_t before = mem_alloc_count();
    for (int i = 0; i < 20; i++) {
        b->s.wire.len = 0;
        feed_text(b, 0, BLOCK_TEXT, SLICE(" token"));
    }
    assert_int_equal(mem_alloc_count(), before);
}

/* Gets a fresh bench as its state. */
#define AT_THE_BENCH(test) cmocka_unit_test_setup_teardown(test, begin_test, end_test)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_is_decoded),
        cmocka_unit_test(what_comes_from_elsewhere_keeps_the_grammar),
        AT_THE_BENCH(text_and_refusal_are_one_message),
        AT_THE_BENCH(two_texts_are_two_messages),
        AT_THE_BENCH(the_last_item_of_a_cut_answer_is_incomplete),
        AT_THE_BENCH(a_call_without_arguments_gets_an_object),
        AT_THE_BENCH(citations_without_a_place_cover_their_part),
        AT_THE_BENCH(redacted_thinking_is_a_reasoning_item),
        AT_THE_BENCH(logprobs_go_with_their_delta),
        AT_THE_BENCH(late_usage_is_in_the_last_event),
        AT_THE_BENCH(no_usage_is_null),
        AT_THE_BENCH(an_error_ends_the_stream_at_once),
        AT_THE_BENCH(an_error_before_everything_has_number_0),
        AT_THE_BENCH(a_reason_of_error_is_an_error),
        cmocka_unit_test(the_transcript_is_bounded),
        cmocka_unit_test(everything_that_waits_is_bounded),
        AT_THE_BENCH(a_full_output_is_an_error),
        AT_THE_BENCH(blocks_that_are_open_at_once_are_refused),
        cmocka_unit_test(the_request_is_repeated),
        AT_THE_BENCH(the_finished_answer_can_be_kept),
        cmocka_unit_test(foreign_tools_that_others_run_are_left_out),
        AT_THE_BENCH(deltas_allocate_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
