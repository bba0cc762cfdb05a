/* SPDX-License-Identifier: Apache-2.0 */
/* The legacy dialect: what its golden transcripts do not show. JSON is written with ' for ". */
#include "request_test.h"

#include "dialect/translation.h"

#define R(rest) "{'model':'m'," rest "}"
#define P(rest) "{'model':'m','prompt':'hi'" rest "}"

/* ---- the envelope ---- */

static void prompts_of_every_form_are_accepted(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "{'model':'m'}", R("'prompt':null"), R("'prompt':''"), R("'prompt':'a'"),
        R("'prompt':['a','b']"), R("'prompt':[1,2]"), R("'prompt':[[1],[2,3]]"),
        R("'prompt':'a','echo':true,'max_tokens':0,'suffix':'x','logprobs':5,'best_of':2"),
        R("'prompt':'a','n':2,'best_of':2,'stream':true"),
        R("'prompt':'a','stream':true,'stream_options':{'include_usage':true}"),
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct arena *a = arena_new();
        struct envelope env;
        struct request_fault fault;
        int rc = dialect_completions.peek_request(json(a, bodies[i]), a, &env, &fault);
        if (rc) print_error("%s: %s\n", bodies[i], fault.message);
        assert_int_equal(rc, 0);
        arena_free(a);
    }
}

static void the_envelope_is_found(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct envelope env;
    struct request_fault fault;
    assert_int_equal(dialect_completions.peek_request(json(a, P("")), a, &env, &fault), 0);
    assert_slices(env.model, SLICE("m"));
    assert_int_equal(env.max_tokens, 16);
    assert_int_equal(env.n, 1);
    assert_false(env.stream);
    assert_int_equal(
        dialect_completions.peek_request(
            json(a, P(",'max_tokens':7,'n':3,'stream':true,'stream_options':{'include_usage':true}")),
            a, &env, &fault),
        0);
    assert_int_equal(env.max_tokens, 7);
    assert_int_equal(env.n, 3);
    assert_true(env.stream && env.include_usage && env.has_stream_options);
    arena_free(a);
}

static void check_refusals(const struct refusal *rows, size_t n,
                           int (*read)(struct slice body, struct arena *a,
                                       struct request_fault *fault)) {
    for (size_t i = 0; i < n; i++) {
        struct arena *a = arena_new();
        struct request_fault fault = {.code = NULL};
        int rc = read(json(a, rows[i].body), a, &fault);
        assert_fault(&rows[i], rc, &fault);
        arena_free(a);
    }
}

static int peek(struct slice body, struct arena *a, struct request_fault *fault) {
    struct envelope env;
    return dialect_completions.peek_request(body, a, &env, fault);
}

static int decode(struct slice body, struct arena *a, struct request_fault *fault) {
    struct llm_request rq;
    return dialect_completions.decode_request(body, a, &rq, fault);
}

static void bad_requests_are_refused(void **state) {
    (void)state;
    static const struct refusal rows[] = {
        {"{'model':", NULL, ""},
        {"{'prompt':'a'}", "missing_required_parameter", "model"},
        {R("'prompt':[]"), "empty_array", "prompt"},
        {R("'prompt':7"), "invalid_type", "prompt"},
        {R("'prompt':{}"), "invalid_type", "prompt"},
        {R("'prompt':['a',1]"), "invalid_type", "prompt[1]"},
        {R("'prompt':[1,'a']"), "invalid_type", "prompt[1]"},
        {R("'prompt':[1.5]"), "invalid_type", "prompt[0]"},
        {R("'prompt':[null]"), "invalid_type", "prompt[0]"},
        {R("'prompt':[[1],[]]"), "empty_array", "prompt"},
        {R("'prompt':[['a']]"), "invalid_type", "prompt[0]"},
        {R("'prompt':[[[1]]]"), "invalid_type", "prompt[0]"},
        {P(",'prompt':'b'"), "invalid_value", "prompt"},
        {P(",'n':0"), "integer_below_min_value", "n"},
        {P(",'n':129"), "integer_above_max_value", "n"},
        {P(",'max_tokens':-1"), "integer_below_min_value", "max_tokens"},
        {P(",'n':3,'best_of':2"), "invalid_value", "best_of"},
        {P(",'best_of':2,'stream':true"), "invalid_value", "best_of"},
        {P(",'best_of':'x'"), "invalid_type", "best_of"},
        {P(",'stream_options':{}"), NULL, "stream_options"},
    };
    check_refusals(rows, sizeof rows / sizeof *rows, peek);
}

static void what_cannot_be_translated_is_named(void **state) {
    (void)state;
    static const struct refusal rows[] = {
        {R("'prompt':['a','b']"), "unsupported_parameter", "prompt"},
        {R("'prompt':[1,2]"), "unsupported_parameter", "prompt"},
        {R("'prompt':[[1]]"), "unsupported_parameter", "prompt"},
        {P(",'suffix':'x'"), "unsupported_parameter", "suffix"},
        {P(",'echo':true"), "unsupported_parameter", "echo"},
        {P(",'best_of':2"), "unsupported_parameter", "best_of"},
        {P(",'logprobs':0"), "unsupported_parameter", "logprobs"},
        {P(",'temperature':'x'"), "invalid_type", "temperature"},
        {P(",'stop':7"), "invalid_type", "stop"},
    };
    check_refusals(rows, sizeof rows / sizeof *rows, decode);
}

/* ---- the model, and back ---- */

static void requests_are_understood(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct llm_request rq;
    struct request_fault fault;
    assert_int_equal(
        dialect_completions.decode_request(
            json(a, R("'prompt':['one'],'temperature':0.70,'stop':['a'],'user':'u','seed':1,'odd':1,"
                   "'logprobs':null,'echo':false,'best_of':null,'suffix':null,'n':2,"
                   "'max_tokens':9")),
            a, &rq, &fault),
        0);
    assert_string_equal(rq.origin, "completions");
    assert_true(rq.is_completion);
    assert_int_equal(rq.n_messages, 1);
    assert_int_equal(rq.messages->role, ROLE_USER);
    assert_true(rq.messages->content_is_string);
    assert_slices(rq.messages->parts[0].text, SLICE("one"));
    assert_slices(rq.temperature, SLICE("0.70"));
    assert_slices(rq.stop[0], SLICE("a"));
    assert_slices(rq.user, SLICE("u"));
    assert_slices(rq.seed, SLICE("1"));
    assert_int_equal(rq.logprobs, -1);
    assert_int_equal(rq.env.n, 2);
    assert_int_equal(rq.env.max_tokens, 9);
    for (const struct field *f = rq.params; f; f = f->next)
        assert_int_equal(f->is_understood, !slice_eq(f->key, SLICE("odd")));
    assert_int_equal(dialect_completions.decode_request(json(a, "{'model':'m'}"), a, &rq, &fault), 0);
    assert_slices(rq.messages->parts[0].text, SLICE("<|endoftext|>"));
    arena_free(a);
}

static void requests_round_trip(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "{'model':'m'}", R("'prompt':null"), P(""), R("'prompt':['one']"),
        P(",'temperature':0.70,'stop':['a'],'user':'u','odd':{'x':1.0},'stream':true,"
          "'stream_options':{'include_usage':true},'logprobs':null,'echo':false,'max_tokens':null"),
        P(",'stop':'a','user':7,'stream':false"),
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct arena *a = arena_new();
        struct llm_request rq;
        struct request_fault fault;
        struct buf out;
        buf_init(&out, TEST_BYTES);
        struct slice body = json(a, bodies[i]);
        assert_int_equal(dialect_completions.decode_request(body, a, &rq, &fault), 0);
        assert_int_equal(dialect_completions.encode_request(&rq, NULL, &out, NULL), 0);
        assert_same_json(body, buf_slice(&out));
        buf_reset(&out);
        rq.messages->parts[0].raw = SLICE_NULL; /* as a policy leaves it */
        rq.messages->parts[0].text = SLICE("new");
        assert_int_equal(dialect_completions.encode_request(&rq, NULL, &out, NULL), 0);
        assert_non_null(strstr(slice_cstr(arena_printf(a, "%.*s", SLICE_FMT(buf_slice(&out)))).ptr,
                               "\"prompt\":\"new\""));
        buf_dispose(&out);
        arena_free(a);
    }
}

static void a_prompt_becomes_a_conversation(void **state) {
    (void)state;
    static const struct capabilities caps = {.user_after_tool = true, .stream_options = true};
    struct arena *a = arena_new();
    struct translation t = {.arena = a, .caps = &caps};
    struct llm_request rq;
    struct request_fault fault;
    struct buf out;
    buf_init(&out, TEST_BYTES);
    assert_int_equal(dialect_completions.decode_request(
                         json(a, P(",'temperature':0.70,'stop':'END','n':2,'seed':3,'user':'u',"
                                "'stream':true,'odd':1")),
                         a, &rq, &fault),
                     0);
    assert_int_equal(dialect_chat.encode_request(&rq, &t, &out, &fault), 0);
    assert_slices(buf_slice(&out),
                  json(a, "{'model':'m','messages':[{'role':'user','content':'hi'}],'max_tokens':16,"
                       "'temperature':0.70,'seed':3,'n':2,'stop':['END'],'stream':true,"
                       "'stream_options':{'include_usage':true}}"));
    assert_string_equal(t.dropped, "user,odd");
    buf_dispose(&out);
    arena_free(a);
}

/* ---- a conversation as a prompt ---- */

static void only_one_text_is_a_prompt(void **state) {
    (void)state;
#define MSG(list) "{'model':'m','messages':[" list "]"
#define U "{'role':'user','content':'hi'}"
    static const struct {
        const char *body, *out, *param;
    } rows[] = {
        {MSG(U) ",'max_tokens':5,'temperature':0.5,'stop':'a','user':'u'}",
         "{'model':'m','prompt':'hi','max_tokens':5,'temperature':0.5,'stop':['a'],'user':'u'}",
         NULL},
        {MSG(U "," U) "}", NULL, "messages"},
        {MSG("{'role':'system','content':'s'}," U) "}", NULL, "messages"},
        {MSG("{'role':'assistant','content':'s'}") "}", NULL, "messages"},
        {MSG("{'role':'user','content':[{'type':'image_url','image_url':{'url':'u'}}]}") "}", NULL,
         "messages"},
        {MSG(U) ",'tools':[{'type':'function','function':{'name':'f'}}]}", NULL, "tools"},
        {MSG(U) ",'response_format':{'type':'json_object'}}", NULL, "response_format"},
        {MSG(U) ",'logprobs':true}", NULL, "logprobs"},
    };
    static const struct capabilities caps = {.user_after_tool = true};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena *a = arena_new();
        struct translation t = {.arena = a, .caps = &caps};
        struct llm_request rq;
        struct request_fault fault;
        struct buf out;
        buf_init(&out, TEST_BYTES);
        assert_int_equal(dialect_chat.decode_request(json(a, rows[i].body), a, &rq, &fault), 0);
        int rc = dialect_completions.encode_request(&rq, &t, &out, &fault);
        assert_int_equal(rc, rows[i].param ? -ERR_USAGE : 0);
        if (rows[i].param) assert_string_equal(fault.param, rows[i].param);
        if (rows[i].param) assert_non_null(strstr(fault.message, "'completions'"));
        else assert_slices(buf_slice(&out), json(a, rows[i].out));
        buf_dispose(&out);
        arena_free(a);
    }
}

/* ---- answers of other dialects ---- */

static struct event *at(struct event *ev, enum event_kind kind, uint32_t block,
                        enum block_kind block_kind) {
    *ev = (struct event){.kind = kind, .block = block, .block_kind = block_kind};
    return ev;
}

static unsigned make_script(struct event *e) {
    unsigned n = 0;
    at(&e[n++], EV_START, 0, 0)->u.start = (struct event_start){
        .origin = "messages", .id = SLICE("msg_1"), .model = SLICE("theirs"), .created = -1};
    at(&e[n++], EV_BLOCK_BEGIN, 0, BLOCK_REASONING);
    at(&e[n++], EV_DELTA, 0, BLOCK_REASONING)->text = SLICE("hm");
    at(&e[n++], EV_SIGNATURE, 0, BLOCK_REASONING)->text = SLICE("sig");
    at(&e[n++], EV_BLOCK_END, 0, BLOCK_REASONING);
    at(&e[n++], EV_PING, 0, 0);
    at(&e[n++], EV_BLOCK_BEGIN, 1, BLOCK_TEXT);
    at(&e[n++], EV_OPAQUE, 1, BLOCK_TEXT)->raw_json = SLICE("{}");
    at(&e[n++], EV_DELTA, 1, BLOCK_TEXT)->text = SLICE("a\"b");
    at(&e[n++], EV_BLOCK_END, 1, BLOCK_TEXT);
    at(&e[n++], EV_BLOCK_BEGIN, 2, BLOCK_TOOL_CALL)->u.begin.name = SLICE("f");
    at(&e[n++], EV_DELTA, 2, BLOCK_TOOL_CALL)->text = SLICE("{}");
    at(&e[n++], EV_BLOCK_END, 2, BLOCK_TOOL_CALL);
    at(&e[n++], EV_FINISH, 0, 0)->u.finish = (struct finish){
        .reason = STOP_TOOL, .wire = SLICE("tool_use")};
    at(&e[n++], EV_USAGE, 0, 0)->u.usage = (struct usage){
        .in_total = 3, .out_total = 2, .cache_read = -1, .cache_write = -1, .reasoning = -1};
    at(&e[n++], EV_END, 0, 0);
    return n;
}

#define HEAD(object) "{'id':'cmpl-1','object':'" object "','created':7,'model':'ours','choices':["
#define CHUNK(text, finish)                                                                        \
    "data: " HEAD("text_completion") "{'text':'" text                                              \
    "','index':0,'logprobs':null,'finish_reason':" finish "}]"

static void only_text_comes_out(void **state) {
    (void)state;
    struct event e[32];
    unsigned n = make_script(e);
    for (int asked = 0; asked < 2; asked++) {
        struct encoder_options o = {.id = SLICE("cmpl-1"),
                                    .model = SLICE("ours"),
                                    .created = 7,
                                    .include_usage = asked};
        struct arena *a = arena_new();
        struct buf out;
        buf_init(&out, TEST_BYTES);
        struct encoder *x = dialect_completions.encoder_new(&o);
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(dialect_completions.encoder_event(x, &e[i], &out), 0);
        assert_slices(
            buf_slice(&out),
            asked ? json(a, ": keep-alive\n\n" CHUNK("a\\'b", "null") ",'usage':null}\n\n" CHUNK(
                             "", "'stop'") ",'usage':null}\n\ndata: " HEAD(
                             "text_completion") "],'usage':{'prompt_tokens':3,"
                                                "'completion_tokens':2,'total_tokens':5,"
                                                "'prompt_tokens_details':{'cached_tokens':0,"
                                                "'audio_tokens':0},'completion_tokens_details':{"
                                                "'reasoning_tokens':0,'audio_tokens':0,"
                                                "'accepted_prediction_tokens':0,"
                                                "'rejected_prediction_tokens':0}}}\n\n"
                                                "data: [DONE]\n\n")
                  : json(a, ": keep-alive\n\n" CHUNK("a\\'b", "null") "}\n\n" CHUNK(
                             "", "'stop'") "}\n\ndata: [DONE]\n\n"));
        dialect_completions.encoder_free(x);
        buf_dispose(&out);
        arena_free(a);
    }
}

static int reduce(void *self, const struct event *ev) {
    return answer_add(self, ev);
}

static void whole_answers_are_written(void **state) {
    (void)state;
    struct event e[32];
    unsigned n = make_script(e);
    struct encoder_options o = {.id = SLICE("cmpl-1"), .model = SLICE("ours"), .created = 7};
    struct arena *a = arena_new();
    struct buf out;
    buf_init(&out, TEST_BYTES);
    struct answer *an = answer_new(TEST_BYTES);
    for (unsigned i = 0; i < n; i++) {
        if (e[i].kind != EV_USAGE) assert_int_equal(answer_add(an, &e[i]), 0);
    }
    assert_int_equal(dialect_completions.encode_response(an, &o, &out), 0);
    assert_slices(buf_slice(&out), json(a, HEAD("text_completion") "{'text':'a\\'b','index':0,"
                                                               "'logprobs':null,'finish_reason':"
                                                               "'stop'}]}"));
    answer_free(an);
    buf_dispose(&out);
    arena_free(a);
}

/* A body is its own stream's events, and is written again as it was; pieces of probabilities become
 * one object. */
static void whole_answers_round_trip(void **state) {
    (void)state;
    static const char *const body =
        "{'id':'cmpl-1','object':'text_completion','created':7,'model':'ours','choices':[{'text':"
        "' a','index':0,'logprobs':{'tokens':[' a'],'token_logprobs':[-0.10],'top_logprobs':null,"
        "'text_offset':[4]},'finish_reason':'length'},{'text':'','index':1,'logprobs':null,"
        "'finish_reason':'stop'}],'usage':{'prompt_tokens':4,'completion_tokens':2,"
        "'total_tokens':6}}";
    struct encoder_options o = {.id = SLICE("x"), .model = SLICE("y"), .created = 1};
    struct arena *a = arena_new();
    struct answer *an = answer_new(TEST_BYTES);
    struct event_sink sink = {reduce, an};
    struct buf out;
    buf_init(&out, TEST_BYTES);
    assert_int_equal(dialect_completions.decode_response(json(a, body), &sink, NULL), 0);
    assert_int_equal(dialect_completions.encode_response(an, &o, &out), 0);
    assert_slices(buf_slice(&out), json(a, body));
    answer_free(an);
    buf_dispose(&out);
    arena_free(a);
}

static void pieces_of_probabilities_become_one(void **state) {
    (void)state;
    static const char *const pieces[] = {
        "{'tokens':[' a'],'token_logprobs':[-0.10],'top_logprobs':null,'text_offset':[4]}",
        "{'tokens':['b', 'c'],'token_logprobs':[ ],'text_offset':[6,7 ]}"};
    struct encoder_options o = {.id = SLICE("cmpl-1"), .model = SLICE("ours"), .created = 7};
    struct arena *a = arena_new();
    struct answer *an = answer_new(TEST_BYTES);
    struct event e[8];
    unsigned n = 0;
    struct buf out;
    buf_init(&out, TEST_BYTES);
    at(&e[n++], EV_START, 0, 0)->u.start.origin = "completions";
    at(&e[n++], EV_BLOCK_BEGIN, 0, BLOCK_TEXT);
    for (unsigned i = 0; i < 2; i++) {
        at(&e[n++], EV_OPAQUE, 0, BLOCK_TEXT)->raw_json = json(a, pieces[i]);
        at(&e[n++], EV_DELTA, 0, BLOCK_TEXT)->text = i ? SLICE("bc") : SLICE(" a");
    }
    at(&e[n++], EV_BLOCK_END, 0, BLOCK_TEXT);
    at(&e[n++], EV_FINISH, 0, 0)->u.finish = (struct finish){.reason = STOP_END};
    for (unsigned i = 0; i < n; i++) assert_int_equal(answer_add(an, &e[i]), 0);
    assert_int_equal(dialect_completions.encode_response(an, &o, &out), 0);
    assert_slices(buf_slice(&out),
                  json(a, HEAD("text_completion") "{'text':' abc','index':0,'logprobs':{'tokens':["
                                               "' a','b', 'c'],'token_logprobs':[-0.10],"
                                               "'top_logprobs':"
                                               "null,'text_offset':[4,6,7]},'finish_reason':"
                                               "'stop'}]}"));
    answer_free(an);
    buf_dispose(&out);
    arena_free(a);
}

static void what_is_no_answer_is_none(void **state) {
    (void)state;
    struct encoder_options o = {.id = SLICE("x")};
    struct answer *an = answer_new(TEST_BYTES);
    struct event_sink sink = {reduce, an};
    struct buf out;
    struct err e;
    buf_init(&out, TEST_BYTES);
    assert_int_equal(dialect_completions.decode_response(SLICE("{\"choices\":[]}"), &sink, &e),
                     -ERR_PROTOCOL);
    assert_int_equal(dialect_completions.encode_response(an, &o, &out), -ERR_PROTOCOL);
    assert_int_equal(
        dialect_completions.decode_response(SLICE("{\"error\":\"no\"}"), &sink, &e), 0);
    assert_non_null(answer_error(an));
    assert_int_equal(dialect_completions.encode_response(an, &o, &out), -ERR_PROTOCOL);
    assert_int_equal(out.len, 0);
    answer_free(an);
    buf_dispose(&out);
}

static void the_dialect_is_listed(void **state) {
    (void)state;
    assert_ptr_equal(dialect_find(SLICE("completions")), &dialect_completions);
    assert_string_equal(dialect_completions.path, "/completions");
    assert_true(dialect_completions.has_choices && !dialect_completions.is_sequential);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompts_of_every_form_are_accepted),
        cmocka_unit_test(the_envelope_is_found),
        cmocka_unit_test(bad_requests_are_refused),
        cmocka_unit_test(what_cannot_be_translated_is_named),
        cmocka_unit_test(requests_are_understood),
        cmocka_unit_test(requests_round_trip),
        cmocka_unit_test(a_prompt_becomes_a_conversation),
        cmocka_unit_test(only_one_text_is_a_prompt),
        cmocka_unit_test(only_text_comes_out),
        cmocka_unit_test(whole_answers_are_written),
        cmocka_unit_test(whole_answers_round_trip),
        cmocka_unit_test(pieces_of_probabilities_become_one),
        cmocka_unit_test(what_is_no_answer_is_none),
        cmocka_unit_test(the_dialect_is_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
