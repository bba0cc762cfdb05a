/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of other dialects as chat's chunks and bodies, from events made by hand; and the checker
 * of chat's grammar. JSON is written with ' for ". */
#include "dialect_test.h"

static const struct encoder_options options = {
    .id = {"chatcmpl-1", 10}, .model = {"ours", 4}, .created = 1700000000, .include_usage = false};

/* ---- scripts ---- */

struct script {
    struct event events[64];
    unsigned n;
};

static struct event *add(struct script *s, enum event_kind kind) {
    assert_true(s->n < 64);
    s->events[s->n] = (struct event){.kind = kind};
    return &s->events[s->n++];
}

static void start(struct script *s, const char *origin) {
    *s = (struct script){.n = 0};
    add(s, EV_START)->u.start = (struct event_start){.origin = origin,
                                                     .id = SLICE("msg_theirs"),
                                                     .model = SLICE("theirs"),
                                                     .role = SLICE("assistant"),
                                                     .created = -1};
}

static struct event *of_block(struct script *s, enum event_kind kind, uint32_t block,
                              enum block_kind block_kind) {
    struct event *ev = add(s, kind);
    ev->block = block;
    ev->block_kind = block_kind;
    return ev;
}

static struct event *begin(struct script *s, uint32_t block, enum block_kind kind) {
    return of_block(s, EV_BLOCK_BEGIN, block, kind);
}

static void delta(struct script *s, uint32_t block, enum block_kind kind, const char *text) {
    struct event *ev = of_block(s, EV_DELTA, block, kind);
    ev->text = slice_cstr(text);
    ev->flags = EVF_CONTENT;
}

static void end(struct script *s, uint32_t block, enum block_kind kind) {
    of_block(s, EV_BLOCK_END, block, kind);
}

static void text(struct script *s, uint32_t block, const char *what) {
    begin(s, block, BLOCK_TEXT);
    delta(s, block, BLOCK_TEXT, what);
    end(s, block, BLOCK_TEXT);
}

static void call(struct script *s, uint32_t block, const char *id, const char *args) {
    struct event *ev = begin(s, block, BLOCK_TOOL_CALL);
    ev->u.begin = (struct event_begin){
        .id = slice_cstr(id), .name = SLICE("f"), .wire_index = block + 7};
    if (args) delta(s, block, BLOCK_TOOL_CALL, args);
    end(s, block, BLOCK_TOOL_CALL);
}

static void finish(struct script *s, enum stop_reason reason, const char *wire) {
    add(s, EV_FINISH)->u.finish = (struct finish){.reason = reason, .wire = slice_cstr(wire)};
}

static void usage(struct script *s, struct usage u) {
    add(s, EV_USAGE)->u.usage = u;
}

/* ---- what comes out ---- */

/* What is the same in every chunk is left out; one line a frame. */
static void put_frame(struct buf *to, struct slice data, bool include_usage) {
    struct slice head = SLICE("{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\","
                              "\"created\":1700000000,\"model\":\"ours\",\"choices\":["),
                 delta_head = SLICE("{\"index\":0,\"delta\":"),
                 tail = include_usage ? SLICE(",\"logprobs\":null,\"finish_reason\":null}],"
                                              "\"usage\":null}")
                                      : SLICE(",\"logprobs\":null,\"finish_reason\":null}]}");
    if (slice_starts_with(data, head)) data = slice_from(data, head.len);
    if (slice_starts_with(data, delta_head)) data = slice_from(data, delta_head.len);
    if (data.len > tail.len && slice_eq(slice_from(data, data.len - tail.len), tail))
        data.len -= tail.len;
    put(to, data);
    put(to, SLICE("\n"));
}

struct reader {
    struct buf *to;
    struct checker *checker;
    bool include_usage;
};

static int on_frame(void *self, const struct sse_frame *f) {
    struct reader *r = self;
    struct err e;
    if (dialect_chat.checker_frame(r->checker, f, &e)) fail_msg("%s", e.text);
    if (f->flags & SSE_EVENT) put_frame(r->to, f->data, r->include_usage);
    else if (f->flags & SSE_COMMENT) put(r->to, SLICE(":\n"));
    return 0;
}

static void to_double_quotes(struct buf *b, const char *want) {
    buf_init(b, TEST_BYTES);
    put(b, slice_cstr(want));
    for (size_t i = 0; i < b->len; i++) {
        if (b->ptr[i] == '\'') b->ptr[i] = '"';
    }
}

static void check_stream_with(const struct script *s, bool include_usage, const char *want) {
    struct encoder_options o = options;
    struct buf wire, got, expected;
    struct sse_parser p;
    struct err e;
    o.include_usage = include_usage;
    buf_init(&wire, TEST_BYTES);
    buf_init(&got, TEST_BYTES);
    to_double_quotes(&expected, want);
    struct encoder *x = dialect_chat.encoder_new(&o);
    for (unsigned i = 0; i < s->n; i++)
        assert_int_equal(dialect_chat.encoder_event(x, &s->events[i], &wire), 0);
    struct reader r = {&got, dialect_chat.checker_new(), include_usage};
    struct sse_sink sink = {on_frame, &r};
    sse_parser_init(&p, NULL);
    assert_int_equal(sse_parser_feed(&p, buf_slice(&wire), &sink, NULL), 0);
    assert_true(sse_parser_at_border(&p));
    if (dialect_chat.checker_end(r.checker, &e)) fail_msg("%s", e.text);
    assert_slices(buf_slice(&got), buf_slice(&expected));
    sse_parser_dispose(&p);
    dialect_chat.checker_free(r.checker);
    dialect_chat.encoder_free(x);
    buf_dispose(&wire);
    buf_dispose(&got);
    buf_dispose(&expected);
}

static void check_stream(const struct script *s, const char *want) {
    check_stream_with(s, false, want);
}

/* message: what stands in the body's message behind the role; then the finish reason. */
static void check_body(const struct script *s, const char *message, const char *reason,
                       const char *usage_json) {
    struct answer *an = answer_new(TEST_BYTES);
    struct buf got, expected, want;
    buf_init(&got, TEST_BYTES);
    buf_init(&want, TEST_BYTES);
    for (unsigned i = 0; i < s->n; i++) assert_int_equal(answer_add(an, &s->events[i]), 0);
    assert_int_equal(dialect_chat.encode_response(an, &options, &got), 0);
    assert_int_equal(
        buf_appendf(&want,
                    "{'id':'chatcmpl-1','object':'chat.completion','created':1700000000,'model':"
                    "'ours','choices':[{'index':0,'message':{'role':'assistant',%s},'logprobs':"
                    "null,'finish_reason':'%s'}]%s}%c",
                    message, reason, usage_json, 0),
        0);
    to_double_quotes(&expected, want.ptr);
    assert_slices(buf_slice(&got), buf_slice(&expected));
    answer_free(an);
    buf_dispose(&got);
    buf_dispose(&want);
    buf_dispose(&expected);
}

#define ROLE "{'role':'assistant','content':'','refusal':null}\n"
#define FINISH(word)                                                                               \
    "{},'logprobs':null,'finish_reason':'" word "'}]}\n"                                           \
    "[DONE]\n"

/* ---- messages to chat ---- */

static void g41_thinking_text_and_two_tools(void **state) {
    (void)state;
    struct script s;
    start(&s, "messages");
    begin(&s, 0, BLOCK_REASONING);
    delta(&s, 0, BLOCK_REASONING, "think");
    of_block(&s, EV_SIGNATURE, 0, BLOCK_REASONING)->text = SLICE("sig==");
    end(&s, 0, BLOCK_REASONING);
    text(&s, 1, "Hi");
    call(&s, 2, "toolu_A", "{\"x\":1}");
    call(&s, 3, "toolu_B", "{}");
    usage(&s, (struct usage){.in_total = 3, .out_total = 2, .cache_read = -1, .reasoning = -1});
    finish(&s, STOP_TOOL, "tool_use");
    add(&s, EV_END);
    check_stream(
        &s,
        ROLE
        "{'reasoning_content':'think','reasoning_details':[{'type':'reasoning.text','text':"
        "'think','index':0}]}\n"
        "{'reasoning_details':[{'type':'reasoning.text','signature':'sig==','format':"
        "'anthropic-claude-v1','index':0}]}\n"
        "{'content':'Hi'}\n"
        "{'tool_calls':[{'index':0,'id':'toolu_A','type':'function','function':{'name':'f',"
        "'arguments':''}}]}\n"
        "{'tool_calls':[{'index':0,'function':{'arguments':'{\\'x\\':1}'}}]}\n"
        "{'tool_calls':[{'index':1,'id':'toolu_B','type':'function','function':{'name':'f',"
        "'arguments':''}}]}\n"
        "{'tool_calls':[{'index':1,'function':{'arguments':'{}'}}]}\n" FINISH("tool_calls"));
    check_body(&s,
               "'content':'Hi','refusal':null,'reasoning_content':'think','reasoning_details':[{"
               "'type':'reasoning.text','text':'think','signature':'sig==','format':"
               "'anthropic-claude-v1','index':0}],'tool_calls':[{'id':'toolu_A','type':'function',"
               "'function':{'name':'f','arguments':'{\\'x\\':1}'}},{'id':'toolu_B','type':"
               "'function','function':{'name':'f','arguments':'{}'}}],'annotations':[]",
               "tool_calls",
               ",'usage':{'prompt_tokens':3,'completion_tokens':2,'total_tokens':5,"
               "'prompt_tokens_details':{'cached_tokens':0,'audio_tokens':0},"
               "'completion_tokens_details':{'reasoning_tokens':0,'audio_tokens':0,"
               "'accepted_prediction_tokens':0,'rejected_prediction_tokens':0}}");
}

static void sealed_thoughts_have_a_number_of_their_own(void **state) {
    (void)state;
    struct script s;
    start(&s, "messages");
    begin(&s, 0, BLOCK_REDACTED);
    of_block(&s, EV_SIGNATURE, 0, BLOCK_REDACTED)->text = SLICE("sealed");
    end(&s, 0, BLOCK_REDACTED);
    begin(&s, 1, BLOCK_REASONING);
    of_block(&s, EV_SIGNATURE, 1, BLOCK_REASONING)->text = SLICE("sig");
    end(&s, 1, BLOCK_REASONING);
    text(&s, 2, "x");
    finish(&s, STOP_SEQUENCE, "stop_sequence");
    add(&s, EV_END);
    check_stream(&s, ROLE "{'reasoning_details':[{'type':'reasoning.encrypted','data':'sealed',"
                          "'index':0}]}\n"
                          "{'reasoning_details':[{'type':'reasoning.text','signature':'sig',"
                          "'format':'anthropic-claude-v1','index':1}]}\n"
                          "{'content':'x'}\n" FINISH("stop"));
}

static void g42_a_call_without_arguments(void **state) {
    (void)state;
    struct script s;
    start(&s, "messages");
    call(&s, 0, "a", NULL);
    struct event *ev = begin(&s, 1, BLOCK_TOOL_CALL);
    ev->u.begin = (struct event_begin){
        .id = SLICE("b"), .name = SLICE("f"), .input_json = SLICE("{\"y\":2}")};
    end(&s, 1, BLOCK_TOOL_CALL);
    finish(&s, STOP_TOOL, "tool_use");
    add(&s, EV_END);
    check_stream(&s, ROLE
                 "{'tool_calls':[{'index':0,'id':'a','type':'function','function':{'name':'f',"
                 "'arguments':''}}]}\n"
                 "{'tool_calls':[{'index':0,'function':{'arguments':'{}'}}]}\n"
                 "{'tool_calls':[{'index':1,'id':'b','type':'function','function':{'name':'f',"
                 "'arguments':''}}]}\n"
                 "{'tool_calls':[{'index':1,'function':{'arguments':'{\\'y\\':2}'}}]}\n" FINISH(
                     "tool_calls"));
    check_body(&s,
               "'content':null,'refusal':null,'tool_calls':[{'id':'a','type':'function','function':"
               "{'name':'f','arguments':'{}'}},{'id':'b','type':'function','function':{'name':'f',"
               "'arguments':'{\\'y\\':2}'}}],'annotations':[]",
               "tool_calls", "");
}

static void g43_pings_are_comments(void **state) {
    (void)state;
    struct script s;
    start(&s, "messages");
    add(&s, EV_PING);
    begin(&s, 0, BLOCK_TEXT);
    delta(&s, 0, BLOCK_TEXT, "a");
    add(&s, EV_PING);
    end(&s, 0, BLOCK_TEXT);
    finish(&s, STOP_END, "end_turn");
    add(&s, EV_END);
    check_stream(&s, ROLE ":\n{'content':'a'}\n:\n" FINISH("stop"));
}

static void g44_an_error_ends_it(void **state) {
    (void)state;
    struct script s;
    start(&s, "messages");
    text(&s, 0, "a");
    add(&s, EV_ERROR)->u.error = (struct api_error){.status = 503,
                                                    .message = SLICE("Overloaded"),
                                                    .type = SLICE("server_error"),
                                                    .code = SLICE("server_overloaded")};
    add(&s, EV_END);
    check_stream(&s, ROLE "{'content':'a'}\n{'error':{'message':'Overloaded','type':"
                          "'server_error','param':null,'code':'server_overloaded'}}\n");
}

static void g45_usage_when_asked(void **state) {
    (void)state;
    struct script s;
    start(&s, "messages");
    usage(&s, (struct usage){.in_total = 100, .out_total = 7, .cache_read = 90, .cache_write = -1,
                             .reasoning = -1, .wire = SLICE("{\"input_tokens\":10}")});
    text(&s, 0, "a");
    usage(&s, (struct usage){.in_total = 100, .out_total = 12, .cache_read = 90, .cache_write = -1,
                             .reasoning = -1, .wire = SLICE("{\"output_tokens\":12}")});
    finish(&s, STOP_END, "end_turn");
    add(&s, EV_END);
    check_stream_with(
        &s, true,
        ROLE "{'content':'a'}\n"
             "{},'logprobs':null,'finish_reason':'stop'}],'usage':null}\n"
             "],'usage':{'prompt_tokens':100,'completion_tokens':12,'total_tokens':112,"
             "'prompt_tokens_details':{'cached_tokens':90,'audio_tokens':0},"
             "'completion_tokens_details':{'reasoning_tokens':0,'audio_tokens':0,"
             "'accepted_prediction_tokens':0,'rejected_prediction_tokens':0}}}\n"
             "[DONE]\n");
    check_stream(&s, ROLE "{'content':'a'}\n" FINISH("stop"));
}

static void unknown_usage_is_not_told(void **state) {
    (void)state;
    struct script s;
    start(&s, "messages");
    text(&s, 0, "a");
    usage(&s, USAGE_NONE);
    finish(&s, STOP_END, "end_turn");
    add(&s, EV_END);
    check_stream_with(&s, true,
                      ROLE "{'content':'a'}\n"
                           "{},'logprobs':null,'finish_reason':'stop'}],'usage':null}\n[DONE]\n");
}

static void g46_a_refusal_without_blocks(void **state) {
    (void)state;
    struct script s;
    start(&s, "messages");
    finish(&s, STOP_FILTER, "refusal");
    add(&s, EV_END);
    check_stream(&s, ROLE FINISH("content_filter"));
    check_body(&s, "'content':'','refusal':null,'annotations':[]", "content_filter", "");
}

/* The shaper has made text of the hidden tool's arguments (1.10). */
static void g47_structured_output_is_content(void **state) {
    (void)state;
    struct script s;
    start(&s, "messages");
    text(&s, 0, "{\"a\":1}");
    finish(&s, STOP_END, "tool_use");
    add(&s, EV_END);
    check_stream(&s, ROLE "{'content':'{\\'a\\':1}'}\n" FINISH("stop"));
}

static void g48_hosted_tools_leave_only_text(void **state) {
    (void)state;
    struct script s;
    start(&s, "messages");
    begin(&s, 0, BLOCK_OPAQUE)->raw_json = SLICE("{\"type\":\"server_tool_use\"}");
    of_block(&s, EV_OPAQUE, 0, BLOCK_OPAQUE)->raw_json = SLICE("{\"type\":\"input_json_delta\"}");
    end(&s, 0, BLOCK_OPAQUE);
    struct event *stray = of_block(&s, EV_OPAQUE, 0, BLOCK_AUDIO);
    stray->raw_json = SLICE("\"AA\"");
    text(&s, 1, "found");
    finish(&s, STOP_PAUSE, "pause_turn");
    add(&s, EV_END);
    check_stream(&s, ROLE "{'content':'found'}\n" FINISH("stop"));
}

static void g65_citations_have_a_place(void **state) {
    (void)state;
    struct script s;
    start(&s, "messages");
    text(&s, 0, "Gr\xc3\xbc\xc3\x9f: "); /* 6 code points */
    begin(&s, 1, BLOCK_TEXT);
    for (int i = 0; i < 2; i++) {
        struct event *ev = of_block(&s, EV_ANNOTATION, 1, BLOCK_TEXT);
        ev->raw_json = SLICE("{\"type\":\"web_search_result_location\"}");
        ev->u.annotation = (struct annotation){.kind = ANNOTATION_URL,
                                               .url = i ? SLICE("https://b") : SLICE("https://a"),
                                               .title = i ? SLICE_NULL : SLICE("A \"1\""),
                                               .start = -1,
                                               .end = -1};
        delta(&s, 1, BLOCK_TEXT, i ? " tide" : "the");
    }
    struct event *other = of_block(&s, EV_ANNOTATION, 1, BLOCK_TEXT);
    other->u.annotation = (struct annotation){.kind = ANNOTATION_OTHER, .start = -1, .end = -1};
    other->raw_json = SLICE("{\"type\":\"char_location\"}");
    end(&s, 1, BLOCK_TEXT);
    finish(&s, STOP_END, "end_turn");
    add(&s, EV_END);
#define BOTH                                                                                       \
    "'annotations':[{'type':'url_citation','url_citation':{'start_index':6,'end_index':14,'url':" \
    "'https://a','title':'A \\'1\\''}},{'type':'url_citation','url_citation':{'start_index':6,"    \
    "'end_index':14,'url':'https://b','title':''}}]"
    check_stream(&s, ROLE "{'content':'Gr\xc3\xbc\xc3\x9f: '}\n{'content':'the'}\n"
                          "{'content':' tide'}\n{" BOTH "}\n" FINISH("stop"));
    check_body(&s, "'content':'Gr\xc3\xbc\xc3\x9f: the tide','refusal':null," BOTH, "stop", "");
}

/* ---- responses to chat ---- */

static void g55_incomplete_without_any_output(void **state) {
    (void)state;
    struct script s;
    start(&s, "responses");
    usage(&s, (struct usage){.in_total = 5, .out_total = 1, .cache_read = 0, .reasoning = 1});
    finish(&s, STOP_LENGTH, "max_output_tokens");
    add(&s, EV_END);
    check_stream_with(
        &s, true,
        ROLE "{},'logprobs':null,'finish_reason':'length'}],'usage':null}\n"
             "],'usage':{'prompt_tokens':5,'completion_tokens':1,'total_tokens':6,"
             "'prompt_tokens_details':{'cached_tokens':0,'audio_tokens':0},"
             "'completion_tokens_details':{'reasoning_tokens':1,'audio_tokens':0,"
             "'accepted_prediction_tokens':0,'rejected_prediction_tokens':0}}}\n"
             "[DONE]\n");
}

static void g71_text_and_refusal(void **state) {
    (void)state;
    struct script s;
    start(&s, "responses");
    text(&s, 0, "a");
    begin(&s, 1, BLOCK_REFUSAL);
    delta(&s, 1, BLOCK_REFUSAL, "no");
    end(&s, 1, BLOCK_REFUSAL);
    finish(&s, STOP_END, "completed");
    add(&s, EV_END);
    check_stream(&s, ROLE "{'content':'a'}\n{'refusal':'no'}\n" FINISH("stop"));
    check_body(&s, "'content':'a','refusal':'no','annotations':[]", "stop", "");
}

static void summaries_and_their_seal(void **state) {
    (void)state;
    struct script s;
    start(&s, "responses");
    begin(&s, 0, BLOCK_REASONING)->u.begin.item_id = SLICE("rs_1");
    delta(&s, 0, BLOCK_REASONING, "one");
    of_block(&s, EV_PART, 0, BLOCK_REASONING);
    delta(&s, 0, BLOCK_REASONING, "two");
    of_block(&s, EV_SIGNATURE, 0, BLOCK_REASONING)->text = SLICE("sealed");
    end(&s, 0, BLOCK_REASONING);
    begin(&s, 1, BLOCK_TEXT);
    delta(&s, 1, BLOCK_TEXT, "a");
    of_block(&s, EV_PART, 1, BLOCK_TEXT);
    delta(&s, 1, BLOCK_TEXT, "b");
    end(&s, 1, BLOCK_TEXT);
    finish(&s, STOP_END, "completed");
    add(&s, EV_END);
    check_stream(&s, ROLE "{'reasoning_content':'one'}\n{'reasoning_content':'\\n\\n'}\n"
                          "{'reasoning_content':'two'}\n"
                          "{'reasoning_details':[{'type':'reasoning.encrypted','data':'sealed',"
                          "'id':'rs_1','index':0}]}\n"
                          "{'content':'a'}\n{'content':'b'}\n" FINISH("stop"));
    check_body(&s,
               "'content':'ab','refusal':null,'reasoning_content':'one\\n\\ntwo',"
               "'reasoning_details':[{'type':'reasoning.encrypted','data':'sealed','id':'rs_1',"
               "'index':0}],'annotations':[]",
               "stop", "");
}

static void custom_calls_stay_custom(void **state) {
    (void)state;
    struct script s;
    start(&s, "responses");
    struct event *ev = begin(&s, 0, BLOCK_CUSTOM_TOOL_CALL);
    ev->u.begin = (struct event_begin){.id = SLICE("c"), .name = SLICE("q")};
    delta(&s, 0, BLOCK_CUSTOM_TOOL_CALL, "SELECT");
    end(&s, 0, BLOCK_CUSTOM_TOOL_CALL);
    finish(&s, STOP_TOOL, "completed");
    add(&s, EV_END);
    check_stream(&s, ROLE
                 "{'tool_calls':[{'index':0,'id':'c','type':'custom','custom':{'name':'q',"
                 "'input':''}}]}\n"
                 "{'tool_calls':[{'index':0,'custom':{'input':'SELECT'}}]}\n" FINISH("tool_calls"));
}

/* Asked for with `functions`: the shaper has made a function_call of the call. */
static void legacy_calls_have_arguments(void **state) {
    (void)state;
    struct script s;
    for (int has_input = 0; has_input < 2; has_input++) {
        start(&s, "messages");
        struct event *ev = begin(&s, 0, BLOCK_FUNCTION_CALL);
        ev->u.begin = (struct event_begin){
            .name = SLICE("f"), .input_json = has_input ? SLICE("[1]") : SLICE_NULL};
        end(&s, 0, BLOCK_FUNCTION_CALL);
        finish(&s, STOP_TOOL, "tool_use");
        add(&s, EV_END);
        check_stream(&s, has_input ? ROLE "{'function_call':{'name':'f','arguments':''}}\n"
                                          "{'function_call':{'arguments':'[1]'}}\n" FINISH(
                                              "function_call")
                                   : ROLE "{'function_call':{'name':'f','arguments':''}}\n"
                                          "{'function_call':{'arguments':'{}'}}\n" FINISH(
                                              "function_call"));
        check_body(&s,
                   has_input ? "'content':null,'refusal':null,'function_call':{'name':'f',"
                               "'arguments':'[1]'},'annotations':[]"
                             : "'content':null,'refusal':null,'function_call':{'name':'f',"
                               "'arguments':'{}'},'annotations':[]",
                   "function_call", "");
    }
}

static void calls_may_interleave(void **state) {
    (void)state;
    struct script s;
    start(&s, "responses");
    for (uint32_t i = 0; i < 2; i++) {
        struct event *ev = begin(&s, i, BLOCK_TOOL_CALL);
        ev->u.begin = (struct event_begin){.id = i ? SLICE("b") : SLICE("a"), .name = SLICE("f")};
    }
    delta(&s, 1, BLOCK_TOOL_CALL, "{}");
    delta(&s, 0, BLOCK_TOOL_CALL, "[]");
    end(&s, 0, BLOCK_TOOL_CALL);
    end(&s, 1, BLOCK_TOOL_CALL);
    finish(&s, STOP_TOOL, "completed");
    add(&s, EV_END);
    check_stream(&s, ROLE
                 "{'tool_calls':[{'index':0,'id':'a','type':'function','function':{'name':'f',"
                 "'arguments':''}}]}\n"
                 "{'tool_calls':[{'index':1,'id':'b','type':'function','function':{'name':'f',"
                 "'arguments':''}}]}\n"
                 "{'tool_calls':[{'index':1,'function':{'arguments':'{}'}}]}\n"
                 "{'tool_calls':[{'index':0,'function':{'arguments':'[]'}}]}\n" FINISH(
                     "tool_calls"));
}

static void citations_of_responses_keep_their_place(void **state) {
    (void)state;
    struct script s;
    start(&s, "responses");
    text(&s, 0, "ab");
    begin(&s, 1, BLOCK_TEXT);
    delta(&s, 1, BLOCK_TEXT, "cde");
    of_block(&s, EV_ANNOTATION, 1, BLOCK_TEXT)->u.annotation = (struct annotation){
        .kind = ANNOTATION_URL, .url = SLICE("u"), .title = SLICE("t"), .start = 1, .end = 3};
    end(&s, 1, BLOCK_TEXT);
    finish(&s, STOP_END, "completed");
    add(&s, EV_END);
    check_stream(&s, ROLE "{'content':'ab'}\n{'content':'cde'}\n"
                          "{'annotations':[{'type':'url_citation','url_citation':{'start_index':3,"
                          "'end_index':5,'url':'u','title':'t'}}]}\n" FINISH("stop"));
}

static void tokens_get_what_clients_need(void **state) {
    (void)state;
    struct script s;
    start(&s, "responses");
    begin(&s, 0, BLOCK_TEXT);
    struct event *ev = add(&s, EV_LOGPROBS);
    ev->block_kind = BLOCK_TEXT;
    ev->raw_json = SLICE("[{\"token\":\"a\",\"logprob\":-0.10}, {\"token\":\"b\",\"logprob\":-1,"
                         "\"bytes\":[98],\"top_logprobs\":[{}]}]");
    delta(&s, 0, BLOCK_TEXT, "ab");
    end(&s, 0, BLOCK_TEXT);
    finish(&s, STOP_END, "completed");
    add(&s, EV_END);
    check_stream(&s,
                 ROLE "{'content':'ab'},'logprobs':{'content':[{'token':'a','logprob':-0.10,"
                      "'bytes':null,'top_logprobs':[]},{'token':'b','logprob':-1,'bytes':[98],"
                      "'top_logprobs':[{}]}],'refusal':null},'finish_reason':null}]}\n" FINISH(
                          "stop"));
}

static void an_end_in_error_is_an_error(void **state) {
    (void)state;
    struct script s;
    start(&s, "responses");
    text(&s, 0, "a");
    finish(&s, STOP_ERROR, "cancelled");
    add(&s, EV_END);
    check_stream(&s, ROLE "{'content':'a'}\n{'error':{'message':'the upstream ended the answer "
                          "with an error','type':'server_error','param':null,'code':"
                          "'upstream_error'}}\n");
}

static void steady_state_does_not_allocate(void **state) {
    (void)state;
    struct script s;
    struct buf wire;
    buf_init(&wire, TEST_BYTES);
    start(&s, "messages");
    begin(&s, 0, BLOCK_TEXT);
    delta(&s, 0, BLOCK_TEXT, "token");
    struct encoder *x = dialect_chat.encoder_new(&options);
    for (unsigned i = 0; i < s.n; i++)
        assert_int_equal(dialect_chat.encoder_event(x, &s.events[i], &wire), 0);
    uint64_t before = mem_alloc_count();
    for (unsigned i = 0; i < 1000; i++) {
        buf_reset(&wire);
        assert_int_equal(dialect_chat.encoder_event(x, &s.events[s.n - 1], &wire), 0);
    }
    assert_int_equal(mem_alloc_count(), before);
    dialect_chat.encoder_free(x);
    buf_dispose(&wire);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(g41_thinking_text_and_two_tools),
        cmocka_unit_test(sealed_thoughts_have_a_number_of_their_own),
        cmocka_unit_test(g42_a_call_without_arguments),
        cmocka_unit_test(g43_pings_are_comments),
        cmocka_unit_test(g44_an_error_ends_it),
        cmocka_unit_test(g45_usage_when_asked),
        cmocka_unit_test(unknown_usage_is_not_told),
        cmocka_unit_test(g46_a_refusal_without_blocks),
        cmocka_unit_test(g47_structured_output_is_content),
        cmocka_unit_test(g48_hosted_tools_leave_only_text),
        cmocka_unit_test(g65_citations_have_a_place),
        cmocka_unit_test(g55_incomplete_without_any_output),
        cmocka_unit_test(g71_text_and_refusal),
        cmocka_unit_test(summaries_and_their_seal),
        cmocka_unit_test(custom_calls_stay_custom),
        cmocka_unit_test(legacy_calls_have_arguments),
        cmocka_unit_test(calls_may_interleave),
        cmocka_unit_test(citations_of_responses_keep_their_place),
        cmocka_unit_test(tokens_get_what_clients_need),
        cmocka_unit_test(an_end_in_error_is_an_error),
        cmocka_unit_test(steady_state_does_not_allocate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
