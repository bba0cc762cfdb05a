/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that came in another dialect's words as chat bodies. Where it is shorter, the model's
 * request is made by reading a chat body and calling it another's. JSON is written with ' for ". */
#include "request_test.h"

#include "dialect/translation.h"

static const struct capabilities openai = {.family = PROOF_OPENAI,
                                           .max_tokens = MAX_TOKENS_COMPLETION,
                                           .stream_options = true,
                                           .developer_role = true,
                                           .user_after_tool = true,
                                           .parallel_tool_calls = true,
                                           .reasoning_effort = true,
                                           .openai_fields = true,
                                           .images_by_url = true};
static const struct capabilities plain = {.user_after_tool = true, .images_by_url = true};
static const struct capabilities strict = {.stream_options = true,
                                           .one_system_message = true,
                                           .required_is_any = true,
                                           .reasoning_history = REASONING_CONTENT,
                                           .reasoning_effort = true,
                                           .top_k = true};
static const struct capabilities router = {.reasoning_history = REASONING_DETAILS,
                                           .user_after_tool = true,
                                           .reasoning_effort = true,
                                           .top_effort = true,
                                           .minimal_effort = true,
                                           .cache_control = true,
                                           .images_by_url = true};

/* ---- what the wire of another dialect would have said ---- */

typedef void change_fn(struct llm_request *rq, struct arena *a);

static void first_is_instructions(struct llm_request *rq, struct arena *a) {
    (void)a;
    rq->messages->is_instructions = true;
}

static void two_are_instructions(struct llm_request *rq, struct arena *a) {
    first_is_instructions(rq, a);
    rq->messages->next->is_instructions = true;
}

static struct part *last_part(struct llm_request *rq) {
    return &rq->messages_end->parts[rq->messages_end->n_parts - 1];
}

static void result_is_error(struct llm_request *rq, struct arena *a) {
    (void)a;
    last_part(rq)->is_error = true;
}

static void think_31999(struct llm_request *rq, struct arena *a) {
    (void)a;
    rq->reasoning.thinking = THINKING_BUDGET;
    rq->reasoning.budget_tokens = 31999;
}

static void think_2000(struct llm_request *rq, struct arena *a) {
    think_31999(rq, a);
    rq->reasoning.budget_tokens = 2000;
}

static void think_off(struct llm_request *rq, struct arena *a) {
    (void)a;
    rq->reasoning.thinking = THINKING_OFF;
}

static void think_and_effort(struct llm_request *rq, struct arena *a) {
    think_31999(rq, a);
    rq->reasoning.effort = SLICE("low");
}

static void max_50(struct llm_request *rq, struct arena *a) {
    (void)a;
    rq->env.max_tokens = 50;
}

static void max_0(struct llm_request *rq, struct arena *a) {
    (void)a;
    rq->env.max_tokens = 0;
}

static void long_user(struct llm_request *rq, struct arena *a) {
    (void)a;
    rq->user = SLICE("user_0123456789012345678901234567890123456789_account__session_0123456789");
}

static void plain_document(struct llm_request *rq, struct arena *a) {
    (void)a;
    struct part *p = last_part(rq);
    *p = (struct part){.kind = PART_FILE,
                       .text = SLICE("line \"1\""),
                       .media_type = SLICE("text/plain"),
                       .filename = SLICE("notes.txt"),
                       .context = SLICE("of Monday")};
}

static void pdf_document(struct llm_request *rq, struct arena *a) {
    (void)a;
    *last_part(rq) = (struct part){.kind = PART_FILE,
                                   .encoded = SLICE("JVBERg=="),
                                   .media_type = SLICE("application/pdf")};
}

static void file_by_url(struct llm_request *rq, struct arena *a) {
    (void)a;
    *last_part(rq) = (struct part){.kind = PART_FILE, .url = SLICE("https://x/y.pdf")};
}

static void file_by_id(struct llm_request *rq, struct arena *a) {
    (void)a;
    *last_part(rq) = (struct part){.kind = PART_FILE, .file_id = SLICE("file_1")};
}

static void image_by_base64(struct llm_request *rq, struct arena *a) {
    (void)a;
    *last_part(rq) = (struct part){
        .kind = PART_IMAGE, .encoded = SLICE("iVBO"), .media_type = SLICE("image/png")};
}

static void image_by_id(struct llm_request *rq, struct arena *a) {
    (void)a;
    *last_part(rq) = (struct part){.kind = PART_IMAGE, .file_id = SLICE("file_1")};
}

static void unknown_part(struct llm_request *rq, struct arena *a) {
    (void)a;
    *last_part(rq) = (struct part){.kind = PART_OPAQUE, .raw = SLICE("{\"type\":\"x\"}")};
}

static void nothing_said(struct llm_request *rq, struct arena *a) {
    (void)a;
    rq->messages_end->n_parts = 0;
}

/* ---- the rows ---- */

#define U "{'role':'user','content':'hi'}"
#define M(list) "{'model':'m','messages':[" list "]}"
#define R(rest) "{'model':'m','messages':[" U "]," rest "}"
#define CALL(id) "{'id':'" id "','type':'function','function':{'name':'f','arguments':'{}'}}"
#define ASKED(calls) U ",{'role':'assistant','content':null,'tool_calls':[" calls "]}"
#define RESULT(id, content) "{'role':'tool','tool_call_id':'" id "','content':" content "}"
#define IMAGE "{'type':'image_url','image_url':{'url':'data:image/png;base64,AA=='}}"
#define TEXT(t) "{'type':'text','text':'" t "'}"
#define FN(name) "{'type':'function','function':{'name':'" name "'}}"
#define FN_OUT(name)                                                                               \
    "{'type':'function','function':{'name':'" name                                                 \
    "','parameters':{'type':'object','properties':{}}}}"

static const struct row {
    const char *name, *origin;
    const struct capabilities *caps;
    change_fn *change;
    const char *in, *out, *dropped;
} rows[] = {
    /* system */
    {"G01 system texts are joined", "messages", &openai, first_is_instructions,
     M("{'role':'system','content':[" TEXT("a") "," TEXT("b") "]}," U),
     M("{'role':'system','content':'a\\nb'}," U), ""},
    {"a later system message stays", "messages", &openai, first_is_instructions,
     M("{'role':'system','content':'a'}," U ",{'role':'system','content':'b'}"),
     M("{'role':'system','content':'a'}," U ",{'role':'system','content':'b'}"), ""},
    {"or is added to the first", "messages", &strict, first_is_instructions,
     M("{'role':'system','content':'a'}," U ",{'role':'system','content':'b'}"),
     M("{'role':'system','content':'a\\nb'}," U), ""},
    {"developer is known", "responses", &openai, first_is_instructions,
     M("{'role':'system','content':'a'},{'role':'developer','content':'b'}," U),
     M("{'role':'system','content':'a'},{'role':'developer','content':'b'}," U), ""},
    {"or becomes system", "responses", &plain, two_are_instructions,
     M("{'role':'system','content':'a'},{'role':'developer','content':'b'}," U),
     M("{'role':'system','content':'a\\nb'}," U), ""},
    {"an empty system text is none", "messages", &openai, first_is_instructions,
     M("{'role':'system','content':''}," U), M(U), ""},
    {"cache marks stay where they are read", "messages", &router, first_is_instructions,
     M("{'role':'system','content':[{'type':'text','text':'a','cache_control':{'type':'e'}}]},"
       "{'role':'user','content':[{'type':'text','text':'hi','cache_control':{'type':'e'}}]}"),
     M("{'role':'system','content':[{'type':'text','text':'a','cache_control':{'type':'e'}}]},"
       "{'role':'user','content':[{'type':'text','text':'hi','cache_control':{'type':'e'}}]}"), ""},
    {"and are left out elsewhere", "messages", &openai, NULL,
     M("{'role':'user','content':[{'type':'text','text':'hi','cache_control':{'type':'e'}}]}"),
     M(U), "cache_control"},

    /* results */
    {"G02 results, then the rest", "messages", &openai, NULL,
     M(ASKED(CALL("a") "," CALL("b")) "," RESULT("a", "'1'") "," RESULT("b", "'2'") "," U),
     M(ASKED(CALL("a") "," CALL("b")) "," RESULT("a", "'1'") "," RESULT("b", "'2'") "," U), ""},
    {"G03 images behind all results", "messages", &openai, NULL,
     M(ASKED(CALL("a") "," CALL("b")) "," RESULT("a", "[" TEXT("1") "," IMAGE "]") ","
       RESULT("b", "[" TEXT("2") "," IMAGE "]")),
     M(ASKED(CALL("a") "," CALL("b")) "," RESULT("a", "'1\\n[image, see below]'") ","
       RESULT("b", "'2\\n[image, see below]'") ",{'role':'user','content':["
       TEXT("Output of tool call a:") "," IMAGE "," TEXT("Output of tool call b:") "," IMAGE "]}"),
     ""},
    {"in one message with the user's own", "messages", &openai, NULL,
     M(ASKED(CALL("a")) "," RESULT("a", "[" IMAGE "]") "," U),
     M(ASKED(CALL("a")) "," RESULT("a", "'[image, see below]'") ",{'role':'user','content':["
       TEXT("Output of tool call a:") "," IMAGE "," TEXT("hi") "]}"), ""},
    {"texts of a result are joined", "responses", &openai, NULL,
     M(ASKED(CALL("a")) "," RESULT("a", "[" TEXT("1") "," TEXT("2") "]")),
     M(ASKED(CALL("a")) "," RESULT("a", "'1\\n2'")), ""},
    {"G04 errors say so", "messages", &openai, result_is_error,
     M(ASKED(CALL("a")) "," RESULT("a", "'boom'")),
     M(ASKED(CALL("a")) "," RESULT("a", "'Error: boom'")), ""},
    {"once", "messages", &openai, result_is_error,
     M(ASKED(CALL("a")) "," RESULT("a", "[" TEXT("Error: boom") "]")),
     M(ASKED(CALL("a")) "," RESULT("a", "'Error: boom'")), ""},
    {"an empty result is an empty string", "messages", &openai, NULL,
     M(ASKED(CALL("a")) "," RESULT("a", "null")), M(ASKED(CALL("a")) "," RESULT("a", "''")), ""},
    {"no user right behind a tool", "messages", &strict, NULL,
     M(ASKED(CALL("a")) "," RESULT("a", "'1'") "," U),
     M(ASKED(CALL("a")) "," RESULT("a", "'1'") ",{'role':'assistant','content':'OK'}," U), ""},

    /* assistant */
    {"G05 content beside calls", "messages", &openai, NULL,
     M(U ",{'role':'assistant','tool_calls':[" CALL("a") "]}"), M(ASKED(CALL("a"))), ""},
    {"G25 calls of one turn", "responses", &openai, NULL,
     M(ASKED(CALL("a") "," CALL("b")) "," RESULT("a", "'1'") "," RESULT("b", "'2'")),
     M(ASKED(CALL("a") "," CALL("b")) "," RESULT("a", "'1'") "," RESULT("b", "'2'")), ""},
    {"G26 calls of two turns", "responses", &openai, NULL,
     M(ASKED(CALL("a")) "," RESULT("a", "'1'") ",{'role':'assistant','content':null,'tool_calls':["
       CALL("b") "]}," RESULT("b", "'2'")),
     M(ASKED(CALL("a")) "," RESULT("a", "'1'") ",{'role':'assistant','content':null,'tool_calls':["
       CALL("b") "]}," RESULT("b", "'2'")), ""},
    {"texts are one string", "responses", &openai, NULL,
     M(U ",{'role':'assistant','content':[" TEXT("a") ",{'type':'refusal','refusal':'b'}]}," U),
     M(U ",{'role':'assistant','content':'ab'}," U), ""},
    {"an empty turn of messages stays", "messages", &openai, nothing_said,
     M(U ",{'role':'assistant','content':'x'}"), M(U ",{'role':'assistant','content':''}"),
     "prefill"},
    {"one of responses does not", "responses", &openai, nothing_said,
     M(U ",{'role':'assistant','content':'x'}"), M(U), ""},
    {"a prefill is sent, and told", "messages", &openai, NULL,
     M(U ",{'role':'assistant','content':'x'}"), M(U ",{'role':'assistant','content':'x'}"),
     "prefill"},
    {"a legacy call is a tool call", "chat2", &openai, NULL,
     M(U ",{'role':'assistant','content':null,'function_call':{'name':'f','arguments':'{}'}},"
       "{'role':'function','name':'f','content':'1'}"),
     M(ASKED(CALL("call_f2")) "," RESULT("call_f2", "'1'")), ""},

    /* reasoning in history */
    {"reasoning is not taken", "messages", &openai, NULL,
     M(U ",{'role':'assistant','content':'a','reasoning_content':'hm'}," U),
     M(U ",{'role':'assistant','content':'a'}," U), ""},
    {"or as text", "messages", &strict, NULL,
     M(U ",{'role':'assistant','content':'a','thinking_blocks':[{'type':'thinking','thinking':'x',"
       "'signature':'s'},{'type':'thinking','thinking':'y'}]}," U),
     M(U ",{'role':'assistant','content':'a','reasoning_content':'x\\n\\ny'}," U), ""},
    {"or with its proofs", "messages", &router, NULL,
     M(U ",{'role':'assistant','content':'a','thinking_blocks':[{'type':'thinking','thinking':'x',"
       "'signature':'s'},{'type':'redacted_thinking','data':'d'}]}," U),
     M(U ",{'role':'assistant','content':'a','reasoning_details':[{'type':'reasoning.text','text':"
       "'x','signature':'s','format':'anthropic-claude-v1','index':0},{'type':"
       "'reasoning.encrypted','data':'d','format':'anthropic-claude-v1','index':1}]}," U), ""},

    /* parts */
    {"plain text is inlined", "messages", &openai, plain_document,
     M("{'role':'user','content':[" TEXT("a") "," TEXT("b") "]}"),
     M("{'role':'user','content':[" TEXT("a") "," TEXT("of Monday") ","
       TEXT("notes.txt\\nline \\'1\\'") "]}"), ""},
    {"a pdf is a file", "messages", &openai, pdf_document, M(U),
     M("{'role':'user','content':[{'type':'file','file':{'filename':'document.pdf','file_data':"
       "'data:application/pdf;base64,JVBERg=='}}]}"), ""},
    {"a file of OpenAI's own", "responses", &openai, file_by_id, M(U),
     M("{'role':'user','content':[{'type':'file','file':{'file_id':'file_1'}}]}"), ""},
    {"! of nobody's", "messages", &openai, file_by_id, M(U), "messages", ""},
    {"an image is a data URL", "messages", &strict, image_by_base64, M(U),
     M("{'role':'user','content':[{'type':'image_url','image_url':{'url':"
       "'data:image/png;base64,iVBO'}}]}"), ""},

    /* tools */
    {"schemas are objects'", "responses", &openai, NULL,
     R("'tools':[{'type':'function','function':{'name':'a','strict':true,'parameters':{}}},"
       "{'type':'function','function':{'name':'b','parameters':{'properties':{'x':{}}}}}]"),
     R("'tools':[{'type':'function','function':{'name':'a','parameters':{'type':'object',"
       "'properties':{}},'strict':true}},{'type':'function','function':{'name':'b','parameters':"
       "{'type':'object','properties':{'x':{}}}}}]"), ""},
    {"a grammar is nested", "responses", &openai, NULL,
     R("'tools':[{'type':'custom','custom':{'name':'c','format':{'type':'grammar','grammar':"
       "{'syntax':'lark','definition':'d'}}}}],'tool_choice':{'type':'custom','custom':{'name':"
       "'c'}}"),
     R("'tools':[{'type':'custom','custom':{'name':'c','format':{'type':'grammar','grammar':"
       "{'syntax':'lark','definition':'d'}}}}],'tool_choice':{'type':'custom','custom':{'name':"
       "'c'}}"), ""},
    {"hosted tools are left out", "responses", &openai, NULL,
     R("'tools':[" FN("a") ",{'type':'web_search'}],'tool_choice':'auto'"),
     R("'tools':[" FN_OUT("a") "],'tool_choice':'auto'"), "tools[].web_search"},
    {"required is spelt any", "messages", &strict, NULL,
     R("'tools':[" FN("a") "],'tool_choice':'required'"),
     R("'tools':[" FN_OUT("a") "],'tool_choice':'any'"), ""},
    {"one call at a time", "messages", &openai, NULL,
     R("'tools':[" FN("a") "],'parallel_tool_calls':false"),
     R("'tools':[" FN_OUT("a") "],'parallel_tool_calls':false"), ""},
    {"where it is known", "messages", &plain, NULL,
     R("'tools':[" FN("a") "],'parallel_tool_calls':false"), R("'tools':[" FN_OUT("a") "]"),
     "parallel_tool_calls"},
    {"not without tools", "responses", &openai, NULL,
     R("'parallel_tool_calls':false,'tool_choice':'auto'"), M(U), ""},
    {"allowed tools", "responses", &openai, NULL,
     R("'tools':[" FN("a") "," FN("b") "],'tool_choice':{'type':'allowed_tools','allowed_tools':"
       "{'mode':'required','tools':[" FN("b") "," FN("c") "]}}"),
     R("'tools':[" FN_OUT("a") "," FN_OUT("b") "],'tool_choice':{'type':'allowed_tools',"
       "'allowed_tools':{'mode':'required','tools':[" FN("b") "]}}"), ""},
    {"allowed tools where they are not known", "responses", &strict, NULL,
     R("'tools':[" FN("a") "," FN("b") "],'tool_choice':{'type':'allowed_tools','allowed_tools':"
       "{'mode':'required','tools':[" FN("b") "]}}"),
     R("'tools':[" FN_OUT("b") "],'tool_choice':'any'"), ""},

    /* settings */
    {"G06 effort is clamped", "messages", &openai, think_31999, M(U),
     R("'reasoning_effort':'high'"), ""},
    {"where it need not be it is not", "messages", &router, think_31999, M(U),
     R("'reasoning_effort':'max'"), ""},
    {"a budget is rounded down", "messages", &openai, think_2000, M(U),
     R("'reasoning_effort':'low'"), ""},
    {"effort wins over budget", "messages", &openai, think_and_effort, M(U),
     R("'reasoning_effort':'low'"), ""},
    {"no thinking says nothing", "messages", &openai, think_off, M(U), M(U), ""},
    {"thinking that is not known", "messages", &plain, think_2000, M(U), M(U), "thinking"},
    {"minimal", "responses", &openai, NULL, R("'reasoning_effort':'minimal'"),
     R("'reasoning_effort':'low'"), ""},
    {"G07 the new name of the limit", "messages", &openai, max_50, M(U),
     R("'max_completion_tokens':50"), ""},
    {"and the old one", "messages", &plain, max_50, M(U), R("'max_tokens':50"), ""},
    {"numbers keep their spelling", "messages", &strict, NULL,
     R("'temperature':0.70,'top_p':1e-1,'top_k':40,'stop':['a','','b']"),
     R("'temperature':0.70,'top_p':1e-1,'top_k':40,'stop':['a','b']"), ""},
    {"what is not known is told", "chat2", &plain, NULL,
     R("'top_k':40,'min_p':0.1,'service_tier':'flex','metadata':{'a':'b'},'prompt_cache_key':'k',"
       "'verbosity':'low','user':'u','stop':null,'prediction':{}"),
     M(U), "top_k,user,min_p,prediction,verbosity,service_tier,prompt_cache_key,metadata"},
    {"OpenAI's own fields", "chat2", &openai, NULL,
     R("'service_tier':'flex','prompt_cache_key':'k','verbosity':'low','user':'u',"
       "'safety_identifier':'s','store':true,'metadata':{'a':'b'}"),
     R("'user':'u','verbosity':'low','service_tier':'flex','prompt_cache_key':'k',"
       "'safety_identifier':'s','store':true,'metadata':{'a':'b'}"), ""},
    {"what responses keeps is not the upstream's", "responses", &openai, NULL,
     R("'store':true,'metadata':{'a':'b'}"), M(U), ""},
    {"a long user id is hashed", "messages", &openai, long_user, M(U),
     R("'user':'1cd28e8e47ad460e69e569dd6f544ff25cac1105b3c8fd28a0660809949288c1'"), ""},
    {"streams tell their usage", "messages", &openai, NULL, R("'stream':true"),
     R("'stream':true,'stream_options':{'include_usage':true}"), ""},
    {"where they can", "messages", &plain, NULL, R("'stream':true"), R("'stream':true"), ""},
    {"a schema without a name", "messages", &openai, NULL,
     R("'response_format':{'type':'json_schema','json_schema':{'schema':{'type':'object'}}}"),
     R("'response_format':{'type':'json_schema','json_schema':{'name':'structured_output',"
       "'schema':{'type':'object'},'strict':false}}"), ""},
    {"a schema with everything", "responses", &openai, NULL,
     R("'response_format':{'type':'json_schema','json_schema':{'name':'n','description':'d',"
       "'schema':{},'strict':true}}"),
     R("'response_format':{'type':'json_schema','json_schema':{'name':'n','description':'d',"
       "'schema':{},'strict':true}}"), ""},
    {"an object of any kind", "responses", &openai, NULL,
     R("'response_format':{'type':'json_object'}"), R("'response_format':{'type':'json_object'}"),
     ""},
    {"probabilities", "responses", &openai, NULL, R("'logprobs':true,'top_logprobs':3"),
     R("'logprobs':true,'top_logprobs':3"), ""},

    /* refused: out is the fault's param */
    {"! a file by URL", "messages", &openai, file_by_url, M(U), "messages", ""},
    {"! an image by id", "responses", &openai, image_by_id, M(U), "input", ""},
    {"! an image by URL", "responses", &strict, NULL,
     M("{'role':'user','content':[{'type':'image_url','image_url':{'url':'https://x/y.png'}}]}"),
     "input", ""},
    {"! a part of its own type", "messages", &openai, unknown_part, M(U), "messages", ""},
    {"! no tokens at all", "messages", &openai, max_0, M(U), "max_tokens", ""},
    {"! a choice of a hosted tool", "responses", &openai, NULL,
     R("'tools':[{'type':'web_search'}],'tool_choice':{'type':'web_search'}"), "tool_choice", ""},
    {"! a call of only hosted tools", "responses", &openai, NULL,
     R("'tools':[{'type':'web_search'}],'tool_choice':'required'"), "tool_choice", ""},
    {"! none of the allowed tools", "responses", &openai, NULL,
     R("'tools':[" FN("a") "],'tool_choice':{'type':'allowed_tools','allowed_tools':{'mode':"
       "'auto','tools':[" FN("b") "]}}"),
     "tool_choice", ""},
};

static void encode(const struct row *row, struct arena *a, struct translation *t,
                   struct request_fault *fault, struct buf *out, int *rc) {
    struct llm_request rq;
    *t = (struct translation){
        .arena = a, .from = &dialect_chat, .to = &dialect_chat, .caps = row->caps};
    assert_int_equal(dialect_chat.decode_request(json(a, row->in), a, &rq, fault), 0);
    rq.origin = row->origin;
    if (row->change) row->change(&rq, a);
    buf_init(out, TEST_BYTES);
    *rc = dialect_chat.encode_request(&rq, t, out, fault);
}

static void foreign_requests_are_written(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        struct arena *a = arena_new();
        struct translation t;
        struct request_fault fault = {.code = NULL};
        struct buf out;
        int rc;
        encode(row, a, &t, &fault, &out, &rc);
        if (row->name[0] == '!') {
            if (rc != -ERR_USAGE) print_error("%s\n", row->name);
            assert_int_equal(rc, -ERR_USAGE);
            assert_string_equal(fault.param, row->out);
            assert_string_equal(fault.code, "unsupported_value");
            assert_true(fault.message[0]);
            assert_int_equal(out.len, 0);
        } else {
            struct slice want = json(a, row->out);
            if (rc || !slice_eq(buf_slice(&out), want)) print_error("%s\n", row->name);
            assert_int_equal(rc, 0);
            assert_slices(buf_slice(&out), want);
            if (strcmp(t.dropped, row->dropped) != 0) print_error("%s\n", row->name);
            assert_string_equal(t.dropped, row->dropped);
        }
        buf_dispose(&out);
        arena_free(a);
    }
}

static void a_full_buffer_is_told(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena *a = arena_new();
        struct translation t = {.arena = a, .caps = rows[i].caps};
        struct request_fault fault;
        struct llm_request rq;
        struct buf out;
        if (rows[i].name[0] == '!') {
            arena_free(a);
            continue;
        }
        assert_int_equal(dialect_chat.decode_request(json(a, rows[i].in), a, &rq, &fault), 0);
        rq.origin = rows[i].origin;
        for (size_t max = 0; max < 60; max += 13) {
            buf_init(&out, max);
            assert_int_equal(dialect_chat.encode_request(&rq, &t, &out, &fault), -ERR_LIMIT);
            assert_int_equal(out.len, 0);
            buf_dispose(&out);
        }
        arena_free(a);
    }
}

/* ---- the typed fields that other dialects' encoders look at ---- */

static void decode(struct arena *a, const char *body, struct llm_request *rq) {
    struct request_fault fault;
    int rc = dialect_chat.decode_request(json(a, body), a, rq, &fault);
    if (rc) print_error("%s: %s\n", body, fault.message);
    assert_int_equal(rc, 0);
}

static void typed_fields_are_filled(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct llm_request rq;
    decode(a,
           R("'temperature':0.70,'top_p':1,'top_k':40,'seed':12345678901234567890,"
             "'presence_penalty':-1,'frequency_penalty':0.5,'logit_bias':{'1':2},'verbosity':'low',"
             "'service_tier':'flex','metadata':{'a':'b'},'prompt_cache_key':'k',"
             "'safety_identifier':'s','logprobs':true,'top_logprobs':5,'store':false,"
             "'parallel_tool_calls':true,'reasoning_effort':'high','modalities':['text','audio'],"
             "'audio':{'voice':'x'},'max_tokens':3,'max_completion_tokens':4,'odd':1,'null':null"),
           &rq);
    assert_slices(rq.temperature, SLICE("0.70"));
    assert_slices(rq.top_p, SLICE("1"));
    assert_slices(rq.top_k, SLICE("40"));
    assert_slices(rq.seed, SLICE("12345678901234567890"));
    assert_slices(rq.presence_penalty, SLICE("-1"));
    assert_slices(rq.frequency_penalty, SLICE("0.5"));
    assert_slices(rq.logit_bias, SLICE("{\"1\":2}"));
    assert_slices(rq.verbosity, SLICE("low"));
    assert_slices(rq.service_tier, SLICE("flex"));
    assert_slices(rq.metadata, SLICE("{\"a\":\"b\"}"));
    assert_slices(rq.prompt_cache_key, SLICE("k"));
    assert_slices(rq.safety_identifier, SLICE("s"));
    assert_int_equal(rq.logprobs, 1);
    assert_int_equal(rq.top_logprobs, 5);
    assert_int_equal(rq.store, 0);
    assert_int_equal(rq.parallel_tools, 1);
    assert_slices(rq.reasoning.effort, SLICE("high"));
    assert_int_equal(rq.reasoning.thinking, THINKING_UNSET);
    assert_int_equal(rq.reasoning.is_visible, -1);
    assert_true(rq.wants_audio);
    assert_int_equal(rq.env.max_tokens, 4);
    for (const struct field *f = rq.params; f; f = f->next)
        assert_int_equal(f->is_understood, !slice_eq(f->key, SLICE("odd")));
    arena_free(a);
}

static void nothing_said_is_nothing(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct llm_request rq;
    decode(a, R("'temperature':null,'store':null,'tools':null,'reasoning_effort':null"), &rq);
    assert_null(rq.temperature.ptr);
    assert_int_equal(rq.store, -1);
    assert_int_equal(rq.logprobs, -1);
    assert_int_equal(rq.parallel_tools, -1);
    assert_null(rq.reasoning.effort.ptr);
    for (const struct field *f = rq.params; f; f = f->next) assert_true(f->is_understood);
    arena_free(a);
}

static void extensions_ask_for_reasoning(void **state) {
    (void)state;
    static const struct {
        const char *body, *effort;
        enum thinking thinking;
        int64_t budget;
        int is_visible;
    } asks[] = {
        {R("'reasoning':{'effort':'low'}"), "low", THINKING_UNSET, -1, 1},
        {R("'reasoning':{'effort':'low'},'reasoning_effort':'high'"), "high",
         THINKING_UNSET, -1, 1},
        {R("'reasoning':{'max_tokens':2000,'exclude':true}"), "", THINKING_BUDGET, 2000, 0},
        {R("'reasoning':{'enabled':true}"), "", THINKING_ADAPTIVE, -1, 1},
        {R("'thinking':{'type':'enabled','budget_tokens':4096}"), "", THINKING_BUDGET, 4096, 1},
        {R("'thinking':{'type':'enabled'}"), "", THINKING_ADAPTIVE, -1, 1},
        {R("'thinking':{'type':'adaptive'}"), "", THINKING_ADAPTIVE, -1, 1},
        {R("'thinking':{'type':'disabled'}"), "", THINKING_OFF, -1, -1},
        {R("'thinking':{'type':'between_tools'}"), "", THINKING_OTHER, -1, 1},
        {R("'include_reasoning':false"), "", THINKING_UNSET, -1, 0},
    };
    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) {
        struct arena *a = arena_new();
        struct llm_request rq;
        decode(a, asks[i].body, &rq);
        assert_slices(rq.reasoning.effort, slice_cstr(asks[i].effort));
        assert_int_equal(rq.reasoning.thinking, asks[i].thinking);
        assert_int_equal(rq.reasoning.budget_tokens, asks[i].budget);
        assert_int_equal(rq.reasoning.is_visible, asks[i].is_visible);
        arena_free(a);
    }
}

static void wrong_types_are_refused(void **state) {
    (void)state;
    static const char *const bodies[][2] = {
        {R("'temperature':'hot'"), "temperature"}, {R("'metadata':7"), "metadata"},
        {R("'store':'yes'"), "store"},             {R("'top_logprobs':1.5"), "top_logprobs"},
        {R("'reasoning_effort':7"), "reasoning_effort"},
        {R("'response_format':'json'"), "response_format"},
        {R("'response_format':{'type':'json_schema'}"), "response_format.json_schema"},
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct arena *a = arena_new();
        struct llm_request rq;
        struct request_fault fault;
        assert_int_equal(dialect_chat.decode_request(json(a, bodies[i][0]), a, &rq, &fault),
                         -ERR_USAGE);
        assert_string_equal(fault.param, bodies[i][1]);
        arena_free(a);
    }
}

/* What comes back of reasoning, from whichever member says most. */
static void reasoning_of_history_is_read(void **state) {
    (void)state;
#define TURN(members) M(U ",{'role':'assistant','content':'a'," members "}," U)
    static const struct {
        const char *body, *parts;
    } turns[] = {
        {TURN("'reasoning_content':'hm'"), "T hm/;"},
        {TURN("'reasoning':'hm'"), "T hm/;"},
        {TURN("'reasoning_content':'hm','reasoning':'hm'"), "T hm/;"},
        {TURN("'reasoning_content':'AB','reasoning_details':[{'type':'reasoning.text','text':'A',"
              "'signature':'s','index':0},{'type':'reasoning.text','text':'B','signature':'t',"
              "'index':1}]"),
         "T A/s;T B/t;"},
        {TURN("'reasoning_details':[{'type':'reasoning.text','text':'A','index':0},{'type':"
              "'reasoning.text','text':'B','index':0},{'type':'reasoning.text','signature':'s1',"
              "'index':0},{'type':'reasoning.text','signature':'s2','index':0},{'type':"
              "'reasoning.text','text':'C','index':0}]"),
         "T AB/s1s2;T C/;"},
        {TURN("'reasoning_content':'sum','reasoning_details':[{'type':'reasoning.encrypted','data':"
              "'e','id':'rs_1','index':0}]"),
         "T sum/e rs_1;"},
        {TURN("'reasoning_content':'sum','reasoning_details':[{'type':'reasoning.encrypted','data':"
              "'e','index':0},{'type':'reasoning.encrypted','data':'f','index':1}]"),
         "T sum/;R /e;R /f;"},
        {TURN("'reasoning_details':[{'type':'reasoning.summary','summary':'S','index':0},{'type':"
              "'reasoning.encrypted','data':'e','id':'rs_1','index':0}]"),
         "T S/e rs_1;"},
        {TURN("'reasoning_details':[{'type':'reasoning.encrypted','data':'e'}]"), "R /e;"},
        {TURN("'reasoning_content':'AB','thinking_blocks':[{'type':'thinking','thinking':'A',"
              "'signature':'s'},{'type':'redacted_thinking','data':'d'},{'type':'thinking',"
              "'thinking':'','signature':'t'}]"),
         "T A/s;R /d;T /t;"},
        {TURN("'reasoning_details':[{'x':1},7],'thinking_blocks':7"), ""},
    };
    for (size_t i = 0; i < sizeof turns / sizeof *turns; i++) {
        struct arena *a = arena_new();
        struct llm_request rq;
        struct buf got;
        decode(a, turns[i].body, &rq);
        buf_init(&got, TEST_BYTES);
        const struct message *m = rq.messages->next;
        for (unsigned k = 0; k < m->n_parts; k++) {
            const struct part *p = &m->parts[k];
            if (p->kind != PART_REASONING && p->kind != PART_REDACTED) continue;
            assert_int_equal(buf_appendf(&got, "%c %.*s/%.*s%s%.*s;",
                                         p->kind == PART_REASONING ? 'T' : 'R', SLICE_FMT(p->text),
                                         SLICE_FMT(p->proof), p->item_id.len > 0 ? " " : "",
                                         SLICE_FMT(p->item_id)),
                             0);
        }
        assert_slices(buf_slice(&got), slice_cstr(turns[i].parts));
        buf_dispose(&got);
        arena_free(a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(foreign_requests_are_written),
        cmocka_unit_test(a_full_buffer_is_told),
        cmocka_unit_test(typed_fields_are_filled),
        cmocka_unit_test(nothing_said_is_nothing),
        cmocka_unit_test(extensions_ask_for_reasoning),
        cmocka_unit_test(wrong_types_are_refused),
        cmocka_unit_test(reasoning_of_history_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
