/* SPDX-License-Identifier: Apache-2.0 */
/* Much, odd and deep: five megabytes of arguments, calls told in turns, every plane of Unicode,
 * lone surrogates, numbers that no double holds, deep nesting, too many calls, answers longer than
 * what is kept of one; and nothing allocated for a delta. */
#include "dialect_test.h"

#include "translate_harness.h"

#define N_PAIRS 12
static const char *const clients[] = {"chat", "responses", "messages", "completions"};
static const char *const upstreams[] = {"chat", "responses", "messages"};

static bool is(const char *name, const char *other) {
    return strcmp(name, other) == 0;
}

/* ---- a pair ---- */

static const char *plain_request(const char *client) {
    if (is(client, "chat"))
        return "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}";
    if (is(client, "responses")) return "{\"model\":\"m\",\"stream\":true,\"input\":\"x\"}";
    if (is(client, "messages"))
        return "{\"model\":\"m\",\"stream\":true,\"max_tokens\":9,\"messages\":[{\"role\":\"user\","
               "\"content\":\"x\"}]}";
    return "{\"model\":\"m\",\"stream\":true,\"prompt\":\"x\"}";
}

static void open_pair(struct harness *h, const char *client, const char *upstream) {
    struct request_fault fault = {.message = ""};
    struct buf sent;
    buf_init(&sent, TEST_BYTES);
    if (harness_open(h, client, upstream, upstream, slice_cstr(plain_request(client)), &sent,
                     &fault))
        fail_msg("%s", fault.message);
    buf_dispose(&sent);
}

/* An upstream that encodes what it says, event by event. */
struct upstream {
    const struct dialect *d;
    struct encoder *encoder;
    struct buf wire;
    uint64_t offs[200];
    bool is_chat;
};

static void upstream_event(struct upstream *u, const struct event *ev) {
    assert_int_equal(u->d->encoder_event(u->encoder, ev, &u->wire), 0);
}

static void upstream_open(struct upstream *u, const char *dialect) {
    static const struct encoder_options o = {
        .id = {"up_1", 4}, .model = {"up-model", 8}, .created = 1, .include_usage = true};
    *u = (struct upstream){.d = dialect_find(slice_cstr(dialect)), .is_chat = is(dialect, "chat")};
    u->encoder = u->d->encoder_new(&o);
    buf_init(&u->wire, HARNESS_BYTES);
    struct event start = {.kind = EV_START,
                          .flags = EVF_LAST_IN_FRAME,
                          .u.start = {.origin = u->d->name,
                                      .id = SLICE("up_1"),
                                      .model = SLICE("up-model"),
                                      .created = 1}};
    upstream_event(u, &start);
}

static void upstream_begin(struct upstream *u, uint32_t block, enum block_kind kind) {
    char id[32], item[32];
    bool is_call = kind == BLOCK_TOOL_CALL;
    int n = snprintf(id, sizeof id, "call_%u", block),
        m = snprintf(item, sizeof item, "it_%u", block);
    struct event ev = {.kind = EV_BLOCK_BEGIN, .block = block, .block_kind = kind};
    ev.u.begin.item_id = slice_make(item, (size_t)m);
    if (is_call) {
        ev.flags = EVF_CONTENT;
        ev.u.begin.id = slice_make(id, (size_t)n);
        ev.u.begin.name = SLICE("tool");
    }
    u->offs[block % 200] = 0;
    upstream_event(u, &ev);
}

static void upstream_delta(struct upstream *u, uint32_t block, enum block_kind kind,
                           struct slice text) {
    struct event ev = {.kind = EV_DELTA,
                       .flags = EVF_CONTENT,
                       .block = block,
                       .block_kind = kind,
                       .text = text,
                       .block_off = u->offs[block % 200]};
    u->offs[block % 200] += text.len;
    upstream_event(u, &ev);
}

static void upstream_end(struct upstream *u, uint32_t block, enum block_kind kind) {
    struct event ev = {.kind = EV_BLOCK_END, .block = block, .block_kind = kind};
    upstream_event(u, &ev);
}

static void upstream_finish(struct upstream *u, enum stop_reason reason) {
    struct event finish = {.kind = EV_FINISH, .u.finish = {.reason = reason}},
                 end = {.kind = EV_END};
    finish.u.finish.wire = reason == STOP_TOOL && u->is_chat ? SLICE("tool_calls") : SLICE_NULL;
    upstream_event(u, &finish);
    upstream_event(u, &end);
}

static void upstream_close(struct upstream *u) {
    u->d->encoder_free(u->encoder);
    buf_dispose(&u->wire);
}

/* ---- the gateway's part, frame by frame ---- */

struct relay {
    struct harness_stream s;
    struct sse_parser parser;
    struct buf out;
};

static void relay_open(struct relay *r, const struct harness *h, size_t max_held) {
    buf_init(&r->out, HARNESS_BYTES);
    r->s = (struct harness_stream){.h = h, .out = &r->out};
    r->s.decoder = h->to->decoder_new();
    r->s.shaper = shaper_new(h->t, max_held);
    r->s.encoder = h->from->encoder_new(&h->options);
    sse_parser_init(&r->parser, NULL);
}

static void relay_feed(struct relay *r, struct slice bytes) {
    struct sse_sink frames = {harness_frame, &r->s};
    assert_int_equal(sse_parser_feed(&r->parser, bytes, &frames, NULL), 0);
}

static void relay_close(struct relay *r) {
    sse_parser_dispose(&r->parser);
    r->s.h->to->decoder_free(r->s.decoder);
    shaper_free(r->s.shaper);
    r->s.h->from->encoder_free(r->s.encoder);
    buf_dispose(&r->out);
}

/* ---- what the client reads ---- */

struct reading {
    struct answer *answer;
    unsigned n_deltas, n_errors;
};

static int read_event(void *self, const struct event *ev) {
    struct reading *r = self;
    r->n_deltas += ev->kind == EV_DELTA && !(ev->flags & EVF_RECAP);
    r->n_errors += ev->kind == EV_ERROR;
    return answer_add(r->answer, ev);
}

struct frame_reader {
    const struct dialect *d;
    struct decoder *decoder;
    const struct event_sink *sink;
};

static int read_frame(void *self, const struct sse_frame *f) {
    struct frame_reader *r = self;
    return f->flags & SSE_EVENT ? r->d->decoder_feed(r->decoder, f, r->sink, NULL) : 0;
}

/* The grammar holds, and this is what it says. */
static void read_client(const struct harness *h, struct slice stream, struct reading *out) {
    struct event_sink sink = {read_event, out};
    struct frame_reader r = {h->from, h->from->decoder_new(), &sink};
    struct sse_sink frames = {read_frame, &r};
    struct sse_parser p;
    struct err e = {.text = ""};
    *out = (struct reading){.answer = answer_new(HARNESS_BYTES)};
    if (!harness_read(h, stream, NULL, &e))
        fail_msg("%s: %.*s", e.text, SLICE_FMT(slice_sub(stream, 0, 4000)));
    assert_int_equal(slice_utf8_valid(stream), stream.len);
    sse_parser_init(&p, NULL);
    assert_int_equal(sse_parser_feed(&p, stream, &frames, NULL), 0);
    assert_int_equal(r.d->decoder_finish(r.decoder, &sink, NULL), 0);
    sse_parser_dispose(&p);
    r.d->decoder_free(r.decoder);
}

static void each_pair(void (*check)(const char *client, const char *upstream)) {
    for (unsigned i = 0; i < N_PAIRS; i++) check(clients[i / 3], upstreams[i % 3]);
}

/* ---- five megabytes of arguments ---- */

#define BIG_DELTAS 10000
#define BIG_BYTES 500

static void big_arguments(const char *client, const char *upstream) {
    static char piece[BIG_BYTES];
    struct harness h;
    struct upstream u;
    struct relay r;
    struct reading seen;
    if (is(client, "completions")) return;
    memset(piece, 'x', sizeof piece);
    open_pair(&h, client, upstream);
    upstream_open(&u, upstream);
    relay_open(&r, &h, (size_t)64 << 10); /* all of it passes: nothing has to wait */
    upstream_begin(&u, 0, BLOCK_TOOL_CALL);
    upstream_delta(&u, 0, BLOCK_TOOL_CALL, SLICE("{\"t\":\""));
    relay_feed(&r, buf_slice(&u.wire));
    uint64_t before = mem_alloc_count();
    for (unsigned i = 0; i < BIG_DELTAS; i++) {
        size_t at = r.out.len;
        buf_reset(&u.wire);
        upstream_delta(&u, 0, BLOCK_TOOL_CALL, slice_make(piece, sizeof piece));
        relay_feed(&r, buf_slice(&u.wire));
        if (r.out.len < at + BIG_BYTES) fail_msg("delta %u is held back", i);
    }
    /* buffers that double, of both sides' encoders and of the output */
    assert_true(mem_alloc_count() - before < 200);
    buf_reset(&u.wire);
    upstream_delta(&u, 0, BLOCK_TOOL_CALL, SLICE("\"}"));
    upstream_end(&u, 0, BLOCK_TOOL_CALL);
    upstream_finish(&u, STOP_TOOL);
    relay_feed(&r, buf_slice(&u.wire));
    assert_true(r.s.is_over);
    read_client(&h, buf_slice(&r.out), &seen);
    const struct answer_block *b;
    assert_int_equal(answer_blocks(seen.answer, &b), 1);
    assert_int_equal(b->text.len, BIG_DELTAS * BIG_BYTES + 8);
    assert_in_range(seen.n_deltas, BIG_DELTAS, BIG_DELTAS + 3);
    answer_free(seen.answer);
    relay_close(&r);
    upstream_close(&u);
    harness_close(&h);
}

static void five_megabytes_of_arguments(void **state) {
    (void)state;
    each_pair(big_arguments);
}

/* ---- calls told in turns ---- */

#define TURN_CALLS 100
#define TURN_DELTAS 100

static void write_turns(struct upstream *u) {
    char text[40];
    for (uint32_t c = 0; c < TURN_CALLS; c++) upstream_begin(u, c, BLOCK_TOOL_CALL);
    for (unsigned i = 0; i < TURN_DELTAS; i++) {
        for (uint32_t c = 0; c < TURN_CALLS; c++) {
            int n = snprintf(text, sizeof text, "%s\"k%u\":%u%s", i == 0 ? "{" : ",", i, c,
                             i + 1 == TURN_DELTAS ? "}" : "");
            upstream_delta(u, c, BLOCK_TOOL_CALL, slice_make(text, (size_t)n));
        }
    }
    for (uint32_t c = 0; c < TURN_CALLS; c++) upstream_end(u, c, BLOCK_TOOL_CALL);
    upstream_finish(u, STOP_TOOL);
}

static void check_turns(const struct reading *seen) {
    const struct answer_block *b;
    assert_int_equal(answer_blocks(seen->answer, &b), TURN_CALLS);
    for (uint32_t c = 0; c < TURN_CALLS; c++) {
        struct buf expected;
        buf_init(&expected, TEST_BYTES);
        for (unsigned i = 0; i < TURN_DELTAS; i++)
            assert_int_equal(buf_appendf(&expected, "%s\"k%u\":%u", i == 0 ? "{" : ",", i, c), 0);
        put(&expected, SLICE("}"));
        assert_slices(b[c].text, buf_slice(&expected));
        buf_dispose(&expected);
    }
}

static void ten_thousand_deltas_of_a_hundred_calls(void **state) {
    (void)state;
    struct upstream u;
    upstream_open(&u, "chat");
    write_turns(&u);
    for (unsigned i = 0; i < 3; i++) {
        struct harness h;
        struct relay r;
        struct reading seen;
        open_pair(&h, clients[i], "chat");
        relay_open(&r, &h, (size_t)4 << 20);
        uint64_t before = mem_alloc_count();
        relay_feed(&r, buf_slice(&u.wire));
        assert_true(mem_alloc_count() - before < 3000); /* each call's queue doubles a few times */
        read_client(&h, buf_slice(&r.out), &seen);
        check_turns(&seen);
        answer_free(seen.answer);
        relay_close(&r);
        /* when they may not wait, the client is told so in its own words */
        relay_open(&r, &h, (size_t)32 << 10);
        relay_feed(&r, buf_slice(&u.wire));
        assert_true(r.s.is_over);
        read_client(&h, buf_slice(&r.out), &seen);
        assert_int_equal(seen.n_errors, i > 0);
        answer_free(seen.answer);
        relay_close(&r);
        harness_close(&h);
    }
    upstream_close(&u);
}

/* ---- Unicode ---- */

static void put_code_point(struct buf *b, uint32_t c) {
    char s[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i > 1; i--, c >>= 6) s[i - 1] = (char)(0x80 | (c & 0x3f));
    s[0] = (char)(marks[n] | c);
    put(b, slice_make(s, n));
}

/* The borders of each length and of every plane. */
static void put_planes(struct buf *b) {
    static const uint32_t borders[] = {0x20,   0x7e,   0x7f,   0x80,   0x7ff,  0x800,
                                       0xd7ff, 0xe000, 0xfeff, 0xfffd, 0xfffe, 0xffff};
    for (size_t i = 0; i < sizeof borders / sizeof *borders; i++) put_code_point(b, borders[i]);
    for (uint32_t plane = 1; plane <= 16; plane++) {
        put_code_point(b, plane << 16);
        put_code_point(b, (plane << 16) + 0x1234);
        put_code_point(b, (plane << 16) + 0xffff);
    }
}

static void all_planes(const char *client, const char *upstream) {
    struct harness h;
    struct upstream u;
    struct reading seen;
    struct buf text, args, out;
    struct buf *const all[] = {&text, &args, &out};
    const struct answer_block *b;
    for (size_t i = 0; i < 3; i++) buf_init(all[i], TEST_BYTES);
    put_planes(&text);
    put(&args, SLICE("{\"t\":"));
    put_quoted(&args, buf_slice(&text));
    put(&args, SLICE("}"));
    open_pair(&h, client, upstream);
    upstream_open(&u, upstream);
    upstream_begin(&u, 0, BLOCK_TEXT);
    upstream_delta(&u, 0, BLOCK_TEXT, buf_slice(&text));
    upstream_end(&u, 0, BLOCK_TEXT);
    upstream_begin(&u, 1, BLOCK_TOOL_CALL);
    upstream_delta(&u, 1, BLOCK_TOOL_CALL, buf_slice(&args));
    upstream_end(&u, 1, BLOCK_TOOL_CALL);
    upstream_finish(&u, STOP_TOOL);
    for (size_t step = 1; step <= 4; step++) {
        buf_reset(&out);
        harness_stream(&h, buf_slice(&u.wire), step, 0, &out);
        read_client(&h, buf_slice(&out), &seen);
        bool has_call = !is(client, "completions");
        assert_int_equal(answer_blocks(seen.answer, &b), has_call ? 2 : 1);
        assert_slices(b[0].text, buf_slice(&text));
        if (has_call) assert_slices(b[1].text, buf_slice(&args));
        answer_free(seen.answer);
    }
    upstream_close(&u);
    harness_close(&h);
    for (size_t i = 0; i < 3; i++) buf_dispose(all[i]);
}

static void every_plane_byte_by_byte(void **state) {
    (void)state;
    each_pair(all_planes);
}

/* In text, reasoning, names, ids and arguments; the last two deltas cut a pair in half. */
#define LONE "a\\ud800b\\udc00\\ud83d"
static const char *const lone_streams[] = {
    "data: {\"id\":\"" LONE "\",\"model\":\"" LONE "\",\"choices\":[{\"index\":0,\"delta\":{\"role\":"
    "\"assistant\",\"reasoning_content\":\"" LONE "\"}}]}\n\n"
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" LONE "\"}}]}\n\n"
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\\ude00.\"}}]}\n\n"
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"" LONE
    "\",\"function\":{\"name\":\"" LONE "\",\"arguments\":\"{\\\"a\\\":\\\"" LONE "\"}}]}}]}\n\n"
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{"
    "\"arguments\":\"\\ude00 \\\\ud800\\\"}\"}}]}}]}\n\n"
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n"
    "data: [DONE]\n\n",
    "data: {\"type\":\"response.created\",\"response\":{\"id\":\"" LONE "\",\"model\":\"" LONE "\"}}\n\n"
    "data: {\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"type\":\"message\","
    "\"id\":\"" LONE "\",\"role\":\"assistant\",\"content\":[]}}\n\n"
    "data: {\"type\":\"response.output_text.delta\",\"output_index\":0,\"content_index\":0,\"item_id\":"
    "\"" LONE "\",\"delta\":\"" LONE "\"}\n\n"
    "data: {\"type\":\"response.output_text.delta\",\"output_index\":0,\"content_index\":0,\"item_id\":"
    "\"" LONE "\",\"delta\":\"\\ude00.\"}\n\n"
    "data: {\"type\":\"response.output_item.done\",\"output_index\":0,\"item\":{\"type\":\"message\","
    "\"id\":\"" LONE "\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\""
    LONE "\\ude00.\"}]}}\n\n"
    "data: {\"type\":\"response.output_item.added\",\"output_index\":1,\"item\":{\"type\":"
    "\"function_call\",\"id\":\"f\",\"call_id\":\"" LONE "\",\"name\":\"" LONE "\",\"arguments\":\"\"}}\n\n"
    "data: {\"type\":\"response.function_call_arguments.delta\",\"output_index\":1,\"item_id\":\"f\","
    "\"delta\":\"{\\\"a\\\":\\\"" LONE "\"}\n\n"
    "data: {\"type\":\"response.function_call_arguments.delta\",\"output_index\":1,\"item_id\":\"f\","
    "\"delta\":\"\\ude00 \\\\ud800\\\"}\"}\n\n"
    "data: {\"type\":\"response.output_item.done\",\"output_index\":1,\"item\":{\"type\":"
    "\"function_call\",\"id\":\"f\",\"call_id\":\"" LONE "\",\"name\":\"" LONE "\",\"arguments\":\"\","
    "\"status\":\"completed\"}}\n\n"
    "data: {\"type\":\"response.completed\",\"response\":{\"id\":\"" LONE "\",\"status\":\"completed\","
    "\"output\":[]}}\n\n",
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"" LONE
    "\",\"model\":\"" LONE "\",\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n"
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
    "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{"
    "\"type\":\"text_delta\",\"text\":\"" LONE "\"}}\n\n"
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{"
    "\"type\":\"text_delta\",\"text\":\"\\ude00.\"}}\n\n"
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,"
    "\"content_block\":{\"type\":\"tool_use\",\"id\":\"" LONE "\",\"name\":\"" LONE
    "\",\"input\":{}}}\n\n"
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{"
    "\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":\\\"" LONE "\"}}\n\n"
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{"
    "\"type\":\"input_json_delta\",\"partial_json\":\"\\ude00 \\\\ud800\\\"}\"}}\n\n"
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n"
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},"
    "\"usage\":{\"output_tokens\":2}}\n\n"
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"};

#define BAD "\xef\xbf\xbd"
static void lone_surrogates_answered(const char *client, const char *upstream) {
    struct harness h;
    struct reading seen;
    struct buf out;
    const struct answer_block *b;
    unsigned which = 0;
    while (!is(upstreams[which], upstream)) which++;
    buf_init(&out, TEST_BYTES);
    open_pair(&h, client, upstream);
    harness_stream(&h, slice_cstr(lone_streams[which]), 3, 0, &out);
    read_client(&h, buf_slice(&out), &seen);
    assert_int_equal(seen.n_errors, 0);
    unsigned n = answer_blocks(seen.answer, &b);
    for (unsigned i = 0; i < n; i++) {
        if (b[i].kind == BLOCK_TEXT) {
            assert_slices(b[i].text, SLICE("a" BAD "b" BAD BAD BAD "."));
        } else if (b[i].kind == BLOCK_TOOL_CALL) {
            assert_slices(b[i].text, SLICE("{\"a\":\"a" BAD "b" BAD BAD BAD " \\ud800\"}"));
            assert_slices(b[i].tool_name, SLICE("a" BAD "b" BAD BAD));
            assert_slices(b[i].tool_id, SLICE("a" BAD "b" BAD BAD));
        } else {
            assert_slices(b[i].text, SLICE("a" BAD "b" BAD BAD));
        }
    }
    answer_free(seen.answer);
    harness_close(&h);
    buf_dispose(&out);
}

static void lone_surrogates_in_answers(void **state) {
    (void)state;
    each_pair(lone_surrogates_answered);
}

/* ---- requests ---- */

#define SCHEMA_OF(x) "{\"type\":\"object\",\"properties\":{\"p\":{\"enum\":[" x "]}}}"
#define NUMBERS "9007199254740993,-0,0.10,1E400,1e-9999,123456789012345678901234567890,1.0e+05"

static const char *const odd_requests[] = {
    "{\"model\":\"m\",\"temperature\":0.50,\"messages\":[{\"role\":\"user\",\"content\":\"" LONE
    "\"},{\"role\":\"assistant\",\"content\":\"" LONE "\",\"tool_calls\":[{\"id\":\"" LONE
    "\",\"type\":\"function\",\"function\":{\"name\":\"" LONE "\",\"arguments\":\"{\\\"n\\\":[" NUMBERS
    "],\\\"s\\\":\\\"\\\\ud800\\\"}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"" LONE
    "\",\"content\":\"" LONE "\"}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"" LONE
    "\",\"description\":\"" LONE "\",\"parameters\":" SCHEMA_OF(NUMBERS) "}}]}",
    "{\"model\":\"m\",\"temperature\":0.50,\"input\":[{\"role\":\"user\",\"content\":\"" LONE
    "\"},{\"role\":\"assistant\",\"content\":\"" LONE "\"},{\"type\":\"function_call\",\"call_id\":"
    "\"" LONE "\",\"name\":\"" LONE "\",\"arguments\":\"{\\\"n\\\":[" NUMBERS
    "],\\\"s\\\":\\\"\\\\ud800\\\"}\"},{\"type\":\"function_call_output\",\"call_id\":\"" LONE
    "\",\"output\":\"" LONE "\"}],\"tools\":[{\"type\":\"function\",\"name\":\"" LONE
    "\",\"description\":\"" LONE "\",\"parameters\":" SCHEMA_OF(NUMBERS) "}]}",
    "{\"model\":\"m\",\"max_tokens\":9,\"temperature\":0.50,\"messages\":[{\"role\":\"user\","
    "\"content\":\"" LONE "\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"" LONE
    "\"},{\"type\":\"tool_use\",\"id\":\"" LONE "\",\"name\":\"" LONE "\",\"input\":{\"n\":[" NUMBERS
    "],\"s\":\"\\ud800\"}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
    "\"tool_use_id\":\"" LONE "\",\"content\":\"" LONE "\"}]}],\"tools\":[{\"name\":\"" LONE
    "\",\"description\":\"" LONE "\",\"input_schema\":" SCHEMA_OF(NUMBERS) "}]}"};

static void sends_odd(const char *client, const char *upstream) {
    struct harness h;
    struct request_fault fault = {.message = ""};
    struct llm_request rq;
    struct buf sent;
    unsigned which = 0;
    if (is(client, "completions") || is(client, upstream)) return;
    while (!is(clients[which], client)) which++;
    buf_init(&sent, TEST_BYTES);
    if (harness_open(&h, client, upstream, upstream, slice_cstr(odd_requests[which]), &sent,
                     &fault))
        fail_msg("%s to %s: %s", client, upstream, fault.message);
    assert_int_equal(slice_utf8_valid(buf_slice(&sent)), sent.len);
    if (h.to->decode_request(buf_slice(&sent), h.arena, &rq, &fault))
        fail_msg("%s to %s: %s: %.*s", client, upstream, fault.message,
                 SLICE_FMT(buf_slice(&sent)));
    /* in the schema and in the arguments, where they are a string, too */
    const char *first = memmem(sent.ptr, sent.len, NUMBERS, strlen(NUMBERS));
    assert_non_null(first);
    size_t left = sent.len - (size_t)(first + 1 - sent.ptr);
    assert_non_null(memmem(first + 1, left, NUMBERS, strlen(NUMBERS)));
    assert_slices(rq.temperature, SLICE("0.50"));
    assert_slices(rq.messages->parts[0].text, SLICE("a" BAD "b" BAD BAD));
    buf_dispose(&sent);
    harness_close(&h);
}

static void odd_strings_and_numbers_in_requests(void **state) {
    (void)state;
    each_pair(sends_odd);
}

/* ---- depth ---- */

static struct slice nested(struct arena *a, unsigned depth) {
    char *s = arena_alloc(a, (size_t)depth * 6 + 2);
    size_t n = 0;
    for (unsigned i = 0; i + 1 < depth; i++, n += 5) memcpy(s + n, "{\"a\":", 5);
    memcpy(s + n, "{}", 2);
    n += 2;
    for (unsigned i = 0; i + 1 < depth; i++) s[n++] = '}';
    return slice_make(s, n);
}

static void write_deep(const char *client, struct slice json, struct buf *out) {
    struct buf q;
    buf_init(&q, TEST_BYTES);
    put_quoted(&q, json);
    struct slice string = buf_slice(&q);
    int rc;
    if (is(client, "chat"))
        rc = buf_appendf(out,
                         "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{"
                         "\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\","
                         "\"function\":{\"name\":\"f\",\"arguments\":%.*s}}]},{\"role\":\"tool\","
                         "\"tool_call_id\":\"c\",\"content\":\"\"}]}",
                         SLICE_FMT(string));
    else if (is(client, "responses"))
        rc = buf_appendf(out,
                         "{\"model\":\"m\",\"input\":[{\"role\":\"user\",\"content\":\"x\"},{\"type\":"
                         "\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":%.*s},{"
                         "\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":\"\"}]}",
                         SLICE_FMT(string));
    else
        rc = buf_appendf(out,
                         "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\","
                         "\"content\":\"x\"},{\"role\":\"assistant\",\"content\":[{\"type\":"
                         "\"tool_use\",\"id\":\"c\",\"name\":\"f\",\"input\":%.*s}]},{\"role\":"
                         "\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"c\"}]}]}",
                         SLICE_FMT(json));
    assert_int_equal(rc, 0);
    buf_dispose(&q);
}

/* Arguments in a string are not our nesting: they pass, or become text where they would be. */
static void deep_request(const char *client, const char *upstream) {
    static const unsigned depths[] = {100, 200, 20000};
    if (is(client, "completions") || is(client, upstream)) return;
    for (size_t i = 0; i < 3; i++) {
        struct arena *a = arena_new();
        struct harness h;
        struct request_fault fault = {.message = ""};
        struct llm_request rq;
        struct buf body, sent;
        buf_init(&body, TEST_BYTES);
        buf_init(&sent, TEST_BYTES);
        struct slice json = nested(a, depths[i]);
        write_deep(client, json, &body);
        int rc = harness_open(&h, client, upstream, upstream, buf_slice(&body), &sent, &fault);
        if (depths[i] == 100 || !is(client, "messages")) {
            if (rc) fail_msg("%s to %s, %u: %s", client, upstream, depths[i], fault.message);
            if (h.to->decode_request(buf_slice(&sent), a, &rq, &fault))
                fail_msg("%s to %s, %u: %s", client, upstream, depths[i], fault.message);
            struct slice args = rq.messages->next->parts[0].text;
            if (depths[i] == 100 || !is(upstream, "messages")) assert_slices(args, json);
            else assert_true(slice_starts_with(args, SLICE("{\"_raw\":")));
        } else {
            assert_int_equal(rc, -ERR_USAGE);
            assert_non_null(strstr(fault.message, "deep"));
        }
        harness_close(&h);
        buf_dispose(&body);
        buf_dispose(&sent);
        arena_free(a);
    }
}

static void write_deep_answer(const char *upstream, struct slice json, struct buf *out) {
    struct buf q;
    buf_init(&q, TEST_BYTES);
    put_quoted(&q, json);
    struct slice string = buf_slice(&q);
    int rc;
    if (is(upstream, "chat"))
        rc = buf_appendf(out,
                         "{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
                         "null,\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{"
                         "\"name\":\"f\",\"arguments\":%.*s}}]},\"finish_reason\":\"tool_calls\"}]}",
                         SLICE_FMT(string));
    else if (is(upstream, "responses"))
        rc = buf_appendf(out,
                         "{\"id\":\"r\",\"object\":\"response\",\"status\":\"completed\",\"output\":[{"
                         "\"type\":\"function_call\",\"id\":\"f\",\"call_id\":\"c\",\"name\":\"f\","
                         "\"arguments\":%.*s}]}",
                         SLICE_FMT(string));
    else
        rc = buf_appendf(out,
                         "{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[{"
                         "\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"f\",\"input\":%.*s}],"
                         "\"stop_reason\":\"tool_use\",\"usage\":{\"input_tokens\":1,"
                         "\"output_tokens\":1}}",
                         SLICE_FMT(json));
    assert_int_equal(rc, 0);
    buf_dispose(&q);
}

static void deep_answer(const char *client, const char *upstream) {
    static const unsigned depths[] = {100, 200, 20000};
    if (is(client, "completions")) return;
    for (size_t i = 0; i < 3; i++) {
        struct arena *a = arena_new();
        struct harness h;
        struct api_error er;
        struct err e = {.text = ""};
        struct buf body, answer;
        struct reading seen = {.answer = answer_new(HARNESS_BYTES)};
        struct event_sink sink = {read_event, &seen};
        const struct answer_block *b;
        buf_init(&body, TEST_BYTES);
        buf_init(&answer, TEST_BYTES);
        struct slice json = nested(a, depths[i]);
        open_pair(&h, client, upstream);
        write_deep_answer(upstream, json, &body);
        int rc = response_translate(h.t, buf_slice(&body), &h.options, HARNESS_BYTES, &answer, NULL,
                                    &er, &e);
        if (depths[i] > 100 && is(upstream, "messages")) {
            assert_int_equal(rc, -ERR_PROTOCOL);
            assert_non_null(strstr(e.text, "deep"));
        } else {
            if (rc) fail_msg("%s to %s, %u: %s", client, upstream, depths[i], e.text);
            if (h.from->decode_response(buf_slice(&answer), &sink, &e))
                fail_msg("%s to %s, %u: %s", client, upstream, depths[i], e.text);
            assert_int_equal(answer_blocks(seen.answer, &b), 1);
            if (depths[i] == 100 || !is(client, "messages")) assert_slices(b->text, json);
            else assert_true(slice_starts_with(b->text, SLICE("{\"_raw\":")));
        }
        answer_free(seen.answer);
        harness_close(&h);
        buf_dispose(&body);
        buf_dispose(&answer);
        arena_free(a);
    }
}

static void deep_requests_and_answers(void **state) {
    (void)state;
    each_pair(deep_request);
    each_pair(deep_answer);
}

/* ---- too many calls, too long an answer ---- */

static void many_calls(const char *upstream, uint32_t n_calls) {
    struct harness h;
    struct upstream u;
    struct reading seen;
    struct buf out;
    const struct answer_block *b;
    buf_init(&out, TEST_BYTES);
    open_pair(&h, "chat", upstream);
    upstream_open(&u, upstream);
    for (uint32_t c = 0; c < n_calls; c++) {
        upstream_begin(&u, c, BLOCK_TOOL_CALL);
        upstream_delta(&u, c, BLOCK_TOOL_CALL, SLICE("{}"));
        upstream_end(&u, c, BLOCK_TOOL_CALL);
    }
    upstream_finish(&u, STOP_TOOL);
    harness_stream(&h, buf_slice(&u.wire), 0, 0, &out);
    read_client(&h, buf_slice(&out), &seen);
    assert_int_equal(answer_blocks(seen.answer, &b), n_calls > 128 ? 128 : n_calls);
    assert_int_equal(seen.n_errors, n_calls > 128);
    const struct api_error *er = answer_error(seen.answer);
    if (n_calls > 128)
        assert_slices(er->message, SLICE("The provider's stream breaks its own rules."));
    answer_free(seen.answer);
    upstream_close(&u);
    harness_close(&h);
    buf_dispose(&out);
}

static void a_hundred_and_twenty_nine_calls(void **state) {
    (void)state;
    for (unsigned i = 1; i < 3; i++) {
        many_calls(upstreams[i], 128);
        many_calls(upstreams[i], 129);
    }
}

#define KEPT_BYTES ((size_t)64 << 10)

static void too_long(const char *upstream, enum block_kind kind) {
    struct harness h;
    struct upstream u;
    struct reading seen;
    struct buf out, body;
    struct api_error er;
    struct err e = {.text = ""};
    buf_init(&out, TEST_BYTES);
    buf_init(&body, TEST_BYTES);
    open_pair(&h, "responses", upstream);
    h.options.max_bytes = KEPT_BYTES;
    upstream_open(&u, upstream);
    upstream_begin(&u, 0, kind);
    for (unsigned i = 0; i < 2000; i++)
        upstream_delta(&u, 0, kind, SLICE("{ forty bytes, and more than a thousand: "));
    upstream_end(&u, 0, kind);
    upstream_finish(&u, STOP_LENGTH);
    harness_stream(&h, buf_slice(&u.wire), 0, 0, &out);
    read_client(&h, buf_slice(&out), &seen);
    assert_int_equal(seen.n_errors, 1);
    const struct api_error *told = answer_error(seen.answer);
    assert_slices(told->code, SLICE("upstream_error"));
    assert_non_null(memmem(told->message.ptr, told->message.len, "longer", 6));
    /* what was given before it is no more than what is kept, once as deltas */
    assert_true(out.len < 40 * KEPT_BYTES);
    int rc = response_translate(h.t,
                                SLICE("{\"choices\":[{\"message\":{\"content\":\"0123456789\"},"
                                      "\"finish_reason\":\"stop\"}]}"),
                                &h.options, 4, &body, NULL, &er, &e);
    if (is(upstream, "chat")) assert_int_equal(rc, -ERR_LIMIT);
    answer_free(seen.answer);
    upstream_close(&u);
    harness_close(&h);
    buf_dispose(&out);
    buf_dispose(&body);
}

static void answers_longer_than_what_is_kept(void **state) {
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        too_long(upstreams[i], BLOCK_TEXT);
        too_long(upstreams[i], BLOCK_REASONING);
        too_long(upstreams[i], BLOCK_TOOL_CALL);
    }
}

/* ---- allocations ---- */

#define STEADY 1000

/* Who repeats the answer at its end (responses) keeps it in storage that doubles. */
static void steady(const char *client, const char *upstream, enum block_kind kind) {
    struct harness h;
    struct upstream u;
    struct relay r;
    struct slice deltas[3] = {SLICE("{\"a\":"), SLICE("\"\xc3\xa9\\n\""), SLICE(",\"b\":[1,2]")};
    open_pair(&h, client, upstream);
    upstream_open(&u, upstream);
    relay_open(&r, &h, (size_t)1 << 20);
    upstream_begin(&u, 0, kind);
    relay_feed(&r, buf_slice(&u.wire));
    uint64_t before = 0, ours = 0;
    for (unsigned i = 0; i < STEADY + 30; i++) {
        buf_reset(&u.wire);
        buf_reset(&r.out);
        upstream_delta(&u, 0, kind, deltas[i % 3]);
        before = mem_alloc_count();
        relay_feed(&r, buf_slice(&u.wire));
        if (i >= 30) ours += mem_alloc_count() - before;
        if (i > 0 && !(is(client, "completions") && kind != BLOCK_TEXT)) assert_true(r.out.len > 0);
    }
    if (ours > (is(client, "responses") ? 8 : 0))
        fail_msg("%s to %s: %llu allocations for %d deltas of %s", client, upstream,
                 (unsigned long long)ours, STEADY, block_kind_name(kind));
    relay_close(&r);
    upstream_close(&u);
    harness_close(&h);
}

static void steady_kinds(const char *client, const char *upstream) {
    steady(client, upstream, BLOCK_TEXT);
    steady(client, upstream, BLOCK_TOOL_CALL);
    steady(client, upstream, BLOCK_REASONING);
}

static void deltas_allocate_nothing(void **state) {
    (void)state;
    each_pair(steady_kinds);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_megabytes_of_arguments),
        cmocka_unit_test(ten_thousand_deltas_of_a_hundred_calls),
        cmocka_unit_test(every_plane_byte_by_byte),
        cmocka_unit_test(lone_surrogates_in_answers),
        cmocka_unit_test(odd_strings_and_numbers_in_requests),
        cmocka_unit_test(deep_requests_and_answers),
        cmocka_unit_test(a_hundred_and_twenty_nine_calls),
        cmocka_unit_test(answers_longer_than_what_is_kept),
        cmocka_unit_test(deltas_allocate_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
