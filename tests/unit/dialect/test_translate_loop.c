/* SPDX-License-Identifier: Apache-2.0 */
/* Two turns of a tool loop through a client of another dialect: it sends back what it was given, as
 * its libraries do, and the provider gets its proofs of reasoning byte by byte, beside the text
 * that they prove and with the item's id; a client that keeps nothing of it is served all the same;
 * and no other provider ever sees them (translation.md 6). */
#include "dialect_test.h"

#include "base/json_scan.h"
#include "dialect/json_text.h"
#include "translate_harness.h"

#define THOUGHT_1 "Let me see: \"\xe2\x82\xac\"\n\n  and then \xf0\x9f\x98\x80 "
#define THOUGHT_2 "\n\nSo be it."
#define PROOF_1 "EqQB+/8=/first\"\\\xc3\xa9"
#define PROOF_2 "c2Vjb25k"
#define SEALED "c2VhbGVk+/="

static bool is(const char *name, const char *other) {
    return strcmp(name, other) == 0;
}

/* ---- the provider's answer ---- */

#define MAX_EVENTS 40
struct script {
    struct event events[MAX_EVENTS];
    unsigned n;
    uint32_t next_block;
    enum block_kind kind;
};

static struct event *add(struct script *x, enum event_kind kind) {
    assert_true(x->n < MAX_EVENTS);
    struct event *ev = &x->events[x->n++];
    *ev = (struct event){.kind = kind, .block = x->next_block - 1, .block_kind = x->kind};
    return ev;
}

static struct event_begin *begin(struct script *x, enum block_kind kind) {
    x->kind = kind;
    x->next_block++;
    return &add(x, EV_BLOCK_BEGIN)->u.begin;
}

static void say(struct script *x, const char *text) {
    struct event *ev = add(x, EV_DELTA);
    ev->flags = EVF_CONTENT;
    ev->text = slice_cstr(text);
}

static void think(struct script *x, const char *item_id, const char *text, const char *proof) {
    begin(x, *text || !is(proof, SEALED) ? BLOCK_REASONING : BLOCK_REDACTED)->item_id =
        slice_cstr(item_id);
    if (*text) say(x, text);
    add(x, EV_SIGNATURE)->text = slice_cstr(proof);
    add(x, EV_BLOCK_END);
}

static void write_script(struct script *x, const char *upstream) {
    bool has_items = is(upstream, "responses");
    *x = (struct script){.n = 0};
    add(x, EV_START)->u.start = (struct event_start){
        .origin = upstream, .id = SLICE("up_1"), .model = SLICE("up-model"), .created = 1763700001};
    struct event usage = {.kind = EV_USAGE, .u.usage = {5, 6, 0, 0, 1, {NULL, 0}}};
    if (is(upstream, "messages")) *add(x, EV_USAGE) = usage;
    think(x, has_items ? "rs_1" : NULL, THOUGHT_1, PROOF_1);
    if (!has_items) think(x, NULL, "", SEALED);
    if (has_items) think(x, "rs_2", "", PROOF_2);
    else if (is(upstream, "messages")) think(x, NULL, THOUGHT_2, PROOF_2);
    struct event_begin *b = begin(x, BLOCK_TEXT);
    if (has_items) b->item_id = SLICE("msg_1"), b->group = 1;
    say(x, "I look.");
    add(x, EV_BLOCK_END);
    b = begin(x, BLOCK_TOOL_CALL);
    b->id = SLICE("call_1");
    b->name = SLICE("get_weather");
    if (has_items) b->item_id = SLICE("fc_1");
    say(x, "{\"city\":\"Oslo\"}");
    add(x, EV_BLOCK_END);
    add(x, EV_FINISH)->u.finish = (struct finish){
        .reason = STOP_TOOL,
        .wire = has_items                  ? SLICE("completed")
                : is(upstream, "messages") ? SLICE("tool_use")
                                             : SLICE("tool_calls")};
    *add(x, EV_USAGE) = usage;
    add(x, EV_END);
}

static const struct encoder_options upstream_options = {
    .id = {"up_1", 4}, .model = {"up-model", 8}, .created = 1763700000, .include_usage = true};

static void write_answer(const struct dialect *d, const struct script *x, struct buf *stream,
                         struct buf *body) {
    struct encoder *enc = d->encoder_new(&upstream_options);
    struct answer *an = answer_new(TEST_BYTES);
    for (unsigned i = 0; i < x->n; i++) {
        assert_int_equal(d->encoder_event(enc, &x->events[i], stream), 0);
        assert_int_equal(answer_add(an, &x->events[i]), 0);
    }
    assert_int_equal(d->encode_response(an, &upstream_options, body), 0);
    d->encoder_free(enc);
    answer_free(an);
}

/* ---- what a client keeps of it ---- */

enum keeps { KEEPS_BODY, KEEPS_STREAM, KEEPS_NOTHING };
static const char *const keeps_names[] = {"body", "stream", "nothing"};

static struct slice member(struct slice object, const char *key) {
    struct json_member m;
    bool is_there = json_text_is(object, '{') && json_find_member(object, slice_cstr(key), &m);
    return is_there ? m.value : SLICE_NULL;
}

static struct slice first_element(struct slice list) {
    struct json_walk w = json_walk_begin(list);
    struct slice first = SLICE_NULL;
    return json_walk_element(&w, &first) ? first : SLICE_NULL;
}

/* A client that puts the pieces of a stream together as its library does. */
struct client {
    const char *dialect;
    struct buf history;              /* chat: a message; messages: the content; responses: items */
    struct buf details, content;     /* chat */
    struct buf open;                 /* messages: the block that is open, without its end */
    bool is_thinking, is_input;
};

static void append_string_body(struct buf *b, struct slice token) {
    if (token.len > 2) put(b, slice_sub(token, 1, token.len - 2));
}

/* OpenRouter's library collects the entries as they come. */
static void keep_chunk(struct client *c, struct slice data) {
    struct slice delta = member(first_element(member(data, "choices")), "delta"), one;
    struct json_walk w = json_walk_begin(member(delta, "reasoning_details"));
    while (json_walk_element(&w, &one)) {
        if (c->details.len > 0) put(&c->details, SLICE(","));
        put(&c->details, one);
    }
    if (json_text_is(member(delta, "content"), '"'))
        append_string_body(&c->content, member(delta, "content"));
}

static void close_block(struct client *c) {
    if (c->open.len == 0) return;
    if (c->history.len > 0) put(&c->history, SLICE(","));
    put(&c->history, buf_slice(&c->open));
    put(&c->history, c->is_input ? SLICE("}") : SLICE("\"}"));
    buf_reset(&c->open);
    c->is_input = false;
}

static void open_block(struct client *c, struct slice block) {
    struct slice type = member(block, "type");
    if (slice_eq(type, SLICE("\"thinking\""))) {
        put(&c->open, SLICE("{\"type\":\"thinking\",\"thinking\":\""));
    } else if (slice_eq(type, SLICE("\"text\""))) {
        put(&c->open, SLICE("{\"type\":\"text\",\"text\":\""));
    } else if (slice_eq(type, SLICE("\"redacted_thinking\""))) {
        put(&c->open, SLICE("{\"type\":\"redacted_thinking\",\"data\":\""));
        append_string_body(&c->open, member(block, "data"));
    } else {
        struct slice id = member(block, "id"), name = member(block, "name");
        assert_int_equal(buf_appendf(&c->open,
                                     "{\"type\":\"tool_use\",\"id\":%.*s,\"name\":%.*s,\"input\":",
                                     SLICE_FMT(id), SLICE_FMT(name)),
                         0);
        c->is_input = true;
    }
}

static void keep_event(struct client *c, struct slice data) {
    struct slice type = member(data, "type"), delta = member(data, "delta");
    if (slice_eq(type, SLICE("\"content_block_start\""))) {
        open_block(c, member(data, "content_block"));
    } else if (slice_eq(type, SLICE("\"content_block_stop\""))) {
        close_block(c);
    } else if (slice_eq(type, SLICE("\"content_block_delta\""))) {
        if (member(delta, "signature").len > 0) put(&c->open, SLICE("\",\"signature\":\""));
        append_string_body(&c->open, member(delta, "thinking"));
        append_string_body(&c->open, member(delta, "text"));
        append_string_body(&c->open, member(delta, "signature"));
        if (member(delta, "partial_json").len > 2)
            assert_int_equal(
                json_unescape(&c->open, slice_sub(member(delta, "partial_json"), 1,
                                                  member(delta, "partial_json").len - 2)),
                0);
    }
}

static void keep_items(struct client *c, struct slice data) {
    if (!slice_eq(member(data, "type"), SLICE("\"response.completed\""))) return;
    struct slice output = member(member(data, "response"), "output");
    put(&c->history, slice_sub(output, 1, output.len - 2));
}

static int keep_frame(void *self, const struct sse_frame *f) {
    struct client *c = self;
    if (!(f->flags & SSE_EVENT) || slice_eq(f->data, SLICE("[DONE]"))) return 0;
    if (is(c->dialect, "chat")) keep_chunk(c, f->data);
    else if (is(c->dialect, "messages")) keep_event(c, f->data);
    else keep_items(c, f->data);
    return 0;
}

#define CHAT_CALL                                                                                  \
    "\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":\"get_weather\","\
    "\"arguments\":\"{\\\"city\\\":\\\"Oslo\\\"}\"}}]"

static void keep_stream(struct client *c, struct slice stream) {
    struct sse_sink frames = {keep_frame, c};
    struct sse_parser p;
    sse_parser_init(&p, NULL);
    assert_int_equal(sse_parser_feed(&p, stream, &frames, NULL), 0);
    sse_parser_dispose(&p);
    if (!is(c->dialect, "chat")) return;
    assert_int_equal(
        buf_appendf(&c->history,
                    "{\"role\":\"assistant\",\"content\":\"%.*s\",\"reasoning_details\":[%.*s]," CHAT_CALL
                    "}",
                    SLICE_FMT(buf_slice(&c->content)), SLICE_FMT(buf_slice(&c->details))),
        0);
}

static void keep_body(struct client *c, struct slice body) {
    struct slice list = member(body, is(c->dialect, "messages") ? "content" : "output");
    if (is(c->dialect, "chat"))
        put(&c->history, member(first_element(member(body, "choices")), "message"));
    else put(&c->history, slice_sub(list, 1, list.len - 2));
}

static void keep_nothing(struct client *c) {
    if (is(c->dialect, "chat"))
        put(&c->history, SLICE("{\"role\":\"assistant\",\"content\":\"I look.\"," CHAT_CALL "}"));
    else if (is(c->dialect, "messages"))
        put(&c->history, SLICE("{\"type\":\"text\",\"text\":\"I look.\"},{\"type\":\"tool_use\",\"id\":"
                               "\"call_1\",\"name\":\"get_weather\",\"input\":{\"city\":\"Oslo\"}}"));
    else
        put(&c->history,
            SLICE("{\"role\":\"assistant\",\"content\":\"I look.\"},{\"type\":\"function_call\","
                  "\"call_id\":\"call_1\",\"name\":\"get_weather\",\"arguments\":\"{\\\"city\\\":"
                  "\\\"Oslo\\\"}\"}"));
}

/* ---- what it sends ---- */

#define CHAT_HEAD                                                                                  \
    "{\"model\":\"m\",\"stream\":true,\"tools\":[{\"type\":\"function\",\"function\":{\"name\":"  \
    "\"get_weather\"}}],\"messages\":[{\"role\":\"user\",\"content\":\"Weather?\"}"
#define MESSAGES_HEAD                                                                              \
    "{\"model\":\"m\",\"stream\":true,\"max_tokens\":9000,\"tools\":[{\"name\":\"get_weather\","  \
    "\"input_schema\":{\"type\":\"object\"}}],\"messages\":[{\"role\":\"user\",\"content\":"      \
    "\"Weather?\"}"
#define RESPONSES_HEAD                                                                             \
    "{\"model\":\"m\",\"stream\":true,\"tools\":[{\"type\":\"function\",\"name\":\"get_weather\"}],"\
    "\"input\":[{\"role\":\"user\",\"content\":\"Weather?\"}"

static void write_request(const char *dialect, const struct buf *history, struct buf *out) {
    struct slice h = history ? buf_slice(history) : SLICE_NULL;
    if (is(dialect, "chat"))
        assert_int_equal(buf_appendf(out, CHAT_HEAD "%s%.*s%s]}", h.len ? "," : "", SLICE_FMT(h),
                                     h.len ? ",{\"role\":\"tool\",\"tool_call_id\":\"call_1\","
                                             "\"content\":\"rain\"}"
                                           : ""),
                         0);
    else if (is(dialect, "messages"))
        assert_int_equal(
            buf_appendf(out, MESSAGES_HEAD "%s%.*s%s]}",
                        h.len ? ",{\"role\":\"assistant\",\"content\":[" : "", SLICE_FMT(h),
                        h.len ? "]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
                                "\"tool_use_id\":\"call_1\",\"content\":\"rain\"}]}"
                              : ""),
            0);
    else
        assert_int_equal(buf_appendf(out, RESPONSES_HEAD "%s%.*s%s]}", h.len ? "," : "",
                                     SLICE_FMT(h),
                                     h.len ? ",{\"type\":\"function_call_output\",\"call_id\":"
                                             "\"call_1\",\"output\":\"rain\"}"
                                           : ""),
                         0);
}

/* ---- what arrives ---- */

static void tell_part(const struct part *p, struct buf *out) {
    int rc = 0;
    if (p->kind == PART_REASONING || p->kind == PART_REDACTED) {
        rc = buf_appendf(out, "%s item=%.*s proof=%.*s text=%.*s\n",
                         p->kind == PART_REASONING ? "thought" : "sealed", SLICE_FMT(p->item_id),
                         SLICE_FMT(p->proof), SLICE_FMT(p->text));
    } else if (p->kind == PART_TEXT || p->kind == PART_TOOL_RESULT) {
        rc = buf_appendf(out, "%s %.*s%.*s\n", p->kind == PART_TEXT ? "text" : "result",
                         SLICE_FMT(p->id), SLICE_FMT(p->text));
    } else {
        rc = buf_appendf(out, "call %.*s %.*s %.*s\n", SLICE_FMT(p->id), SLICE_FMT(p->name),
                         SLICE_FMT(p->text));
    }
    assert_int_equal(rc, 0);
}

static void tell_request(const struct dialect *d, struct slice sent, struct buf *out) {
    struct arena *a = arena_new();
    struct llm_request rq;
    struct request_fault fault = {.message = ""};
    if (d->decode_request(sent, a, &rq, &fault))
        fail_msg("%s: %.*s", fault.message, SLICE_FMT(sent));
    for (const struct message *m = rq.messages; m; m = m->next) {
        for (unsigned i = 0; i < m->n_parts; i++) tell_part(&m->parts[i], out);
    }
    arena_free(a);
}

#define REST "text I look.\ncall call_1 get_weather {\"city\":\"Oslo\"}\nresult call_1rain\n"

static const char *expected_at(const char *upstream) {
    if (is(upstream, "responses")) /* the summary is not proved, and chat keeps it elsewhere */
        return "text Weather?\nthought item=rs_1 proof=" PROOF_1 " text=\n"
               "thought item=rs_2 proof=" PROOF_2 " text=\n" REST;
    if (is(upstream, "chat")) /* which does not say of several which text is whose */
        return "text Weather?\nthought item= proof=" PROOF_1 " text=" THOUGHT_1 "\n"
               "sealed item= proof=" SEALED " text=\n" REST;
    return "text Weather?\nthought item= proof=" PROOF_1 " text=" THOUGHT_1 "\n"
           "sealed item= proof=" SEALED " text=\n"
           "thought item= proof=" PROOF_2 " text=" THOUGHT_2 "\n" REST;
}

static void drop_summaries(struct buf *told) {
    char *at = told->len > 0
                   ? memmem(told->ptr, told->len, " text=" THOUGHT_1, strlen(" text=" THOUGHT_1))
                   : NULL;
    if (!at) return;
    size_t from = (size_t)(at - told->ptr) + strlen(" text="), to = from + strlen(THOUGHT_1);
    memmove(told->ptr + from, told->ptr + to, told->len - to);
    told->len -= to - from;
}

static void send(const char *client, const char *upstream, const char *preset, struct slice body,
                 struct buf *sent) {
    struct request_fault fault = {.message = ""};
    struct harness h;
    if (harness_open(&h, client, upstream, preset, body, sent, &fault))
        fail_msg("%s to %s: %s: %.*s", client, upstream, fault.message, SLICE_FMT(body));
    harness_close(&h);
}

static void check_arrival(const struct client *c, const char *upstream, const char *preset,
                          enum keeps keeps) {
    struct buf body, sent, told;
    buf_init(&body, TEST_BYTES);
    buf_init(&sent, TEST_BYTES);
    buf_init(&told, TEST_BYTES);
    write_request(c->dialect, &c->history, &body);
    send(c->dialect, upstream, preset, buf_slice(&body), &sent);
    tell_request(dialect_find(slice_cstr(upstream)), buf_slice(&sent), &told);
    if (is(upstream, "responses")) drop_summaries(&told);
    const char *expected = keeps == KEEPS_NOTHING ? "text Weather?\n" REST : expected_at(upstream);
    if (!slice_eq(buf_slice(&told), slice_cstr(expected)))
        print_error("client %s keeps %s, upstream %s: %.*s\n", c->dialect, keeps_names[keeps],
                    upstream, SLICE_FMT(buf_slice(&body)));
    assert_slices(buf_slice(&told), slice_cstr(expected));
    buf_dispose(&body);
    buf_dispose(&sent);
    buf_dispose(&told);
}

/* Providers of other families get none of it, and nothing is refused. */
static void check_strangers(const struct client *c, const char *own) {
    static const struct {
        const char *dialect, *preset, *family;
    } rows[] = {{"chat", "openai", "responses"},   {"chat", "vllm", ""},   {"chat", "mistral", ""},
                {"responses", "responses", "responses"}, {"messages", "anthropic", "messages"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf body, sent;
        if (is(rows[i].family, own)) continue;
        buf_init(&body, TEST_BYTES);
        buf_init(&sent, TEST_BYTES);
        write_request(c->dialect, &c->history, &body);
        send(c->dialect, rows[i].dialect, rows[i].preset, buf_slice(&body), &sent);
        static const char *const secrets[] = {"penstock1.", PROOF_2, SEALED};
        for (size_t k = 0; k < 3; k++) {
            if (memmem(sent.ptr, sent.len, secrets[k], strlen(secrets[k])))
                fail_msg("%s was sent to %s: %.*s", secrets[k], rows[i].preset,
                         SLICE_FMT(buf_slice(&sent)));
        }
        buf_dispose(&body);
        buf_dispose(&sent);
    }
}

static void client_init(struct client *c, const char *dialect) {
    *c = (struct client){.dialect = dialect};
    buf_init(&c->history, TEST_BYTES);
    buf_init(&c->details, TEST_BYTES);
    buf_init(&c->content, TEST_BYTES);
    buf_init(&c->open, TEST_BYTES);
}

static void client_dispose(struct client *c) {
    buf_dispose(&c->history);
    buf_dispose(&c->details);
    buf_dispose(&c->content);
    buf_dispose(&c->open);
}

static void answer_client(struct client *c, const struct harness *h, struct slice stream,
                          struct slice body, enum keeps keeps) {
    struct buf out;
    struct api_error er;
    struct err e = {.text = ""};
    buf_init(&out, TEST_BYTES);
    if (keeps == KEEPS_STREAM) {
        harness_stream(h, stream, 7, 0, &out);
        keep_stream(c, buf_slice(&out));
    } else if (keeps == KEEPS_BODY) {
        if (response_translate(h->t, body, &h->options, TEST_BYTES, &out, NULL, &er, &e))
            fail_msg("%s", e.text);
        keep_body(c, buf_slice(&out));
    } else {
        keep_nothing(c);
    }
    buf_dispose(&out);
}

static void check_loop(const char *client, const char *upstream, const char *preset,
                       enum keeps keeps) {
    struct script x;
    struct client c;
    struct harness h;
    struct request_fault fault = {.message = ""};
    struct buf first, sent, stream, body;
    struct buf *const all[] = {&first, &sent, &stream, &body};
    for (size_t i = 0; i < 4; i++) buf_init(all[i], TEST_BYTES);
    client_init(&c, client);
    write_request(client, NULL, &first);
    if (harness_open(&h, client, upstream, preset, buf_slice(&first), &sent, &fault))
        fail_msg("%s", fault.message);
    write_script(&x, upstream);
    write_answer(h.to, &x, &stream, &body);
    answer_client(&c, &h, buf_slice(&stream), buf_slice(&body), keeps);
    check_arrival(&c, upstream, preset, keeps);
    check_strangers(&c, upstream);
    harness_close(&h);
    client_dispose(&c);
    for (size_t i = 0; i < 4; i++) buf_dispose(all[i]);
}

static void proofs_come_back(void **state) {
    static const char *const loops[][3] = {
        {"chat", "messages", "anthropic"},      {"responses", "messages", "anthropic"},
        {"chat", "responses", "responses"},     {"messages", "responses", "responses"},
        {"messages", "chat", "openrouter"},     {"responses", "chat", "openrouter"}};
    (void)state;
    for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) {
        check_loop(loops[i][0], loops[i][1], loops[i][2], KEEPS_BODY);
        check_loop(loops[i][0], loops[i][1], loops[i][2], KEEPS_STREAM);
        check_loop(loops[i][0], loops[i][1], loops[i][2], KEEPS_NOTHING);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(proofs_come_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
