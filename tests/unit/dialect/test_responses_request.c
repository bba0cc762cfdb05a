/* SPDX-License-Identifier: Apache-2.0 */
#include "responses_test.h"

#define R(rest) "{'model':'m','input':'hi'" rest "}"
#define IN(list) "{'model':'m','input':[" list "]}"
#define USER(text) "{'role':'user','content':'" text "'}"
#define TEXT(text) "{'type':'input_text','text':'" text "'}"
#define CALL(id, name) \
    "{'type':'function_call','call_id':'" id "','name':'" name "','arguments':'{}'}"
#define OUT(id, text) "{'type':'function_call_output','call_id':'" id "','output':'" text "'}"

/* ---- decode, encode: the same value ---- */

/* Also when every part is written anew from the model's fields. */
static const char *const plain[] = {
    R(""),
    "{'input':'h\\\"\\u00e9\\ud83d\\ude00\\n','model':'m'}",
    "{'model':'m','input':{'role':'user','content':'hi'}}",
    "{'model':'m','input':[]}",
    "{'model':'m','previous_response_id':'resp_1'}",
    "{'model':'m','input':null,'conversation':{'id':'conv_1'}}",
    "{'model':'m','prompt':{'id':'p','variables':{'a':'b'}},'input':'x'}",
    IN(USER("hi")),
    IN("{'role':'user','content':[" TEXT("hi") "]}"),
    IN("{'type':'message','role':'developer','content':'d'},{'type':null,'role':'system',"
       "'content':[" TEXT("s") "]}"),
    IN("{'type':'message','id':'msg_1','status':'completed','role':'assistant','phase':'commentary',"
       "'content':[{'type':'output_text','text':'a','annotations':[],'logprobs':[]},"
       "{'type':'refusal','refusal':'no'}]}"),
    IN("{'role':'assistant','content':'a'},{'role':'assistant','content':'b'}"),
    IN("{'role':'user','content':[{'type':'input_image','image_url':'https://x/y.png','detail':"
       "'low'},{'type':'input_image','file_id':'f1'},{'type':'input_file','filename':'a.pdf',"
       "'file_data':'data:application/pdf;base64,AA=='},{'type':'input_file','file_url':'https://x'},"
       "{'type':'input_file','file_id':'f2','prompt_cache_breakpoint':{}}]}"),
    IN("{'type':'reasoning','id':'rs_1','summary':[{'type':'summary_text','text':'T'}],"
       "'encrypted_content':'E','status':'completed'}," CALL("c", "f")),
    IN("{'type':'reasoning','id':'rs_1','summary':[]},{'role':'assistant','content':''}"),
    IN("{'type':'function_call','id':'fc_1','call_id':'c','name':'f','namespace':'n','arguments':'',"
       "'status':'completed','caller':{'type':'direct'}}," OUT("c", "r")),
    IN("{'type':'custom_tool_call','call_id':'c','name':'f','input':'*** x'},"
       "{'type':'custom_tool_call_output','call_id':'c','output':[" TEXT("a")
       ",{'type':'input_image','image_url':'u'}],'id':'ctco_1'}"),
    IN("{'type':'function_call_output','output':'no id','name':'f'}"),
    R(",'instructions':'be brief','stream':true,'stream_options':{'include_obfuscation':false}"),
    R(",'instructions':null,'stream':null,'temperature':1.0,'top_p':1e-1,'max_output_tokens':16,"
      "'top_logprobs':20,'store':false,'background':true,'truncation':'auto','max_tool_calls':3,"
      "'metadata':{'a':'b'},'user':'u','safety_identifier':'s','prompt_cache_key':'k',"
      "'service_tier':'flex','parallel_tool_calls':false,'text':{},'reasoning':{'effort':'high',"
      "'summary':'auto','context':'auto'},'include':['reasoning.encrypted_content'],"
      "'context_management':[{'type':'compaction'}],'x\\u0079z':123456789012345678901234567890.10"),
    R(",'text':{'format':{'type':'json_schema','name':'n','schema':{},'strict':true},'verbosity':"
      "'low'},'tools':[{'type':'web_search'},{'type':'function','name':'f','parameters':null,"
      "'strict':null},{'type':'namespace','name':'n','tools':[{'type':'custom','name':'c'}]}],"
      "'tool_choice':{'type':'allowed_tools','mode':'auto','tools':[{'type':'function','name':'f'}]}"),
};

/* The model has no word for all of it: at its place, as it came. */
static const char *const strange[] = {
    IN("{'type':'compaction','encrypted_content':'E'}," USER("hi")
       ",{'type':'web_search_call','id':'ws_1','status':'completed','action':{}},{'role':'assistant',"
       "'content':'a'},{'type':'computer_call','call_id':'cu','id':'cu_1'},{'type':"
       "'computer_call_output','call_id':'cu','output':{}},{'type':'brand_new','x':[1]}"),
    IN("{'type':'local_shell_call','call_id':'c','action':{}}," OUT("c", "r")),
    IN("{'type':'compaction','encrypted_content':'E'}," OUT("c", "r")),
    IN("{'type':'compaction','encrypted_content':'E'}"),
    IN("{'type':'item_reference','id':'msg_1'},{'id':'msg_2'},{'id':'msg_3','type':null}"),
    IN("{'type':'additional_tools','tools':[{'type':'function','name':'f'}]}," USER("x")),
    IN("{'role':'user','content':[]},{'role':'assistant','content':null}," USER("x")),
    IN("{'role':'user','content':[{'type':'input_video','video':'v'},{'type':'input_audio',"
       "'input_audio':{'data':'AA==','format':'wav'}}]}"),
    IN("{'role':'user','content':[{'type':'text','text':'chat style'}]}"),
    IN("{'type':'reasoning','id':'rs_1','summary':[{'type':'summary_text','text':'a'},{'type':"
       "'summary_text','text':'b'}],'content':[{'type':'reasoning_text','text':'c'}]}"),
    "{'model':'m','input':{'type':'compaction','encrypted_content':'E'}}",
    R(",'tool_choice':{'type':'web_search'},'tools':[]"),
};

static void empty_raws(struct llm_request *rq) {
    for (struct message *m = rq->messages; m; m = m->next) {
        for (unsigned i = 0; i < m->n_parts; i++) {
            struct part *p = &m->parts[i];
            p->raw = SLICE_NULL;
            for (unsigned k = 0; k < p->n_inner; k++) p->inner[k].raw = SLICE_NULL;
        }
    }
}

static void check_round_trip(const char *text, bool is_rewritten) {
    struct arena *a = arena_new();
    struct slice body = json(a, text);
    struct llm_request rq;
    struct buf out;
    decode(body, a, &rq);
    if (is_rewritten) empty_raws(&rq);
    buf_init(&out, TEST_BYTES);
    assert_int_equal(responses_encode_request(&rq, NULL, &out, NULL), 0);
    assert_same_json(body, buf_slice(&out));
    buf_dispose(&out);
    arena_free(a);
}

static void requests_round_trip(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        check_round_trip(plain[i], false);
        check_round_trip(plain[i], true);
    }
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++)
        check_round_trip(strange[i], false);
}

static void changed_messages_are_written(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct llm_request rq;
    struct buf out;
    decode(json(a, "{'model':'m','instructions':'secret','input':'secret','stream':true}"), a, &rq);
    for (struct message *m = rq.messages; m; m = m->next) m->parts[0].text = SLICE("***");
    rq.env.stream = false;
    buf_init(&out, TEST_BYTES);
    assert_int_equal(responses_encode_request(&rq, NULL, &out, NULL), 0);
    assert_same_json(json(a, "{'model':'m','instructions':'***','input':'***','stream':false}"),
                     buf_slice(&out));
    struct message *more = message_add(&rq, a, ROLE_USER);
    struct parts ps = {0};
    parts_add(&ps, a, PART_TEXT)->text = SLICE("more");
    more->parts = ps.list;
    more->n_parts = ps.n;
    buf_reset(&out);
    assert_int_equal(responses_encode_request(&rq, NULL, &out, NULL), 0);
    assert_same_json(json(a, "{'model':'m','instructions':'***','stream':false,'input':["
                             "{'role':'user','content':'***'},{'role':'user','content':"
                             "[{'type':'input_text','text':'more'}]}]}"),
                     buf_slice(&out));
    buf_dispose(&out);
    arena_free(a);
}

/* ---- the model: one line a message ---- */

static void dump_part(struct buf *b, const struct part *p) {
    static const char *const kinds[] = {"text", "image", "audio", "file", "refusal", "reasoning",
                                        "redacted", "call", "custom", "function_call", "result",
                                        "opaque"};
    put(b, SLICE(" "));
    put(b, slice_cstr(kinds[p->kind]));
    put_named(b, "id", p->id);
    put_named(b, "name", p->name);
    put_named(b, "space", p->name_space);
    put_named(b, "item", p->item_id);
    put_named(b, "proof", p->proof);
    put_named(b, "url", p->url);
    put_named(b, "detail", p->detail);
    put_named(b, "filename", p->filename);
    put_named(b, "file_id", p->file_id);
    put_named(b, "encoded", p->encoded);
    if (p->text.ptr) {
        put(b, SLICE(" "));
        put_quoted(b, p->text);
    }
    if (p->is_custom) put(b, SLICE(" is_custom"));
    if (p->n_inner == 0) return;
    put(b, SLICE(" ("));
    for (unsigned i = 0; i < p->n_inner; i++) dump_part(b, &p->inner[i]);
    put(b, SLICE(" )"));
}

static void dump(struct buf *b, const struct llm_request *rq) {
    static const char *const roles[] = {"system",    "developer", "user",
                                        "assistant", "tool",      "function"};
    for (const struct message *m = rq->messages; m; m = m->next) {
        put(b, slice_cstr(roles[m->role]));
        if (m->is_instructions) put(b, SLICE("!"));
        if (m->content_is_string) put(b, SLICE("$"));
        if (m->content_is_null) put(b, SLICE("0"));
        for (unsigned i = 0; i < m->n_parts; i++) {
            if (i > 0) put(b, SLICE(","));
            dump_part(b, &m->parts[i]);
        }
        put(b, SLICE("\n"));
    }
}

static const struct {
    const char *body, *messages;
} understood[] = {
    {R(""), "user$ text 'hi'\n"},
    {"{'model':'m','instructions':'be','input':{'role':'user','content':'x'}}",
     "system!$ text 'be'\nuser$ text 'x'\n"},
    /* every role, parts or string, typed or not */
    {IN("{'type':'message','role':'system','content':'s'},{'role':'developer','content':[" TEXT(
         "d") "]},{'role':'user','content':[{'type':'input_image','image_url':'u','detail':'low'},"
         "{'type':'input_file','filename':'n','file_data':'data:x'},{'type':'input_file','file_id':"
         "'f'},{'type':'input_file','file_url':'https://f'}]}"),
     "system$ text 's'\ndeveloper text 'd'\nuser image url='u' detail='low', file filename='n' "
     "encoded='data:x', file file_id='f', file url='https://f'\n"},
    /* G25 */
    {IN(USER("q") "," CALL("c1", "f") "," CALL("c2", "g") "," OUT("c1", "r1") "," OUT("c2", "r2")),
     "user$ text 'q'\nassistant0 call id='c1' name='f' '{}', call id='c2' name='g' '{}'\n"
     "tool$ result id='c1' 'r1'\ntool$ result id='c2' 'r2'\n"},
    /* G26 */
    {IN(CALL("c1", "f") "," OUT("c1", "r1") "," CALL("c2", "g") "," OUT("c2", "r2")),
     "assistant0 call id='c1' name='f' '{}'\ntool$ result id='c1' 'r1'\n"
     "assistant0 call id='c2' name='g' '{}'\ntool$ result id='c2' 'r2'\n"},
    /* a turn: reasoning, text, call, and text before the output comes */
    {IN("{'type':'reasoning','id':'rs_1','summary':[{'type':'summary_text','text':'a'},{'type':"
        "'summary_text','text':'b'}],'encrypted_content':'E'},{'type':'message','id':'msg_1','role':"
        "'assistant','content':[{'type':'output_text','text':'x','annotations':[]},{'type':'refusal',"
        "'refusal':'n'}]}," CALL("c", "f") ",{'role':'assistant','content':'late'}," OUT("c", "r")),
     "assistant reasoning item='rs_1' proof='E' 'a\\n\\nb', text 'x', refusal 'n', call id='c' "
     "name='f' '{}', text 'late'\ntool$ result id='c' 'r'\n"},
    {IN("{'type':'reasoning','id':'rs','summary':[],'content':[{'type':'reasoning_text','text':'raw'"
        "},{'type':'other','text':'no'}],'encrypted_content':null}"),
     "assistant0 reasoning item='rs' 'raw'\n"},
    {IN("{'type':'reasoning','summary':null}"), "assistant0 reasoning ''\n"},
    /* custom tools: by the matching call, whatever the output is called */
    {IN("{'type':'custom_tool_call','call_id':'c','name':'p','input':'I'}," OUT("c", "r") ","
        "{'type':'custom_tool_call_output','call_id':'c','output':'s'},{'type':"
        "'custom_tool_call_output','call_id':'?','output':'t'}," OUT("!", "u")),
     "assistant0 custom id='c' name='p' 'I'\ntool$ result id='c' 'r' is_custom\n"
     "tool$ result id='c' 's' is_custom\ntool$ result id='?' 't' is_custom\n"
     "tool$ result id='!' 'u'\n"},
    {IN("{'type':'function_call','id':'fc','call_id':'c','name':'f','namespace':'n','arguments':''}"),
     "assistant0 call id='c' name='f' space='n' item='fc' ''\n"},
    /* outputs that are lists */
    {IN(CALL("c", "f") ",{'type':'function_call_output','call_id':'c','output':[" TEXT("a")
        ",{'type':'input_image','image_url':'u'}]},{'type':'function_call_output','call_id':'c',"
        "'output':[]}"),
     "assistant0 call id='c' name='f' '{}'\ntool result id='c' ( text 'a' image url='u' )\n"
     "tool result id='c' ''\n"},
    /* hosted tools: the output goes the way of its call */
    {IN("{'type':'local_shell_call','call_id':'c','action':{}}," OUT("c", "r") "," USER("x")),
     "user$ opaque, opaque, text 'x'\n"},
    {IN("{'type':'compaction','encrypted_content':'E'}," USER("x") ",{'type':'brand_new'}"),
     "user$ opaque, text 'x', opaque\n"},
    /* a result stays first in its message, results stay together */
    {IN("{'type':'compaction','encrypted_content':'E'}," OUT("c", "r")
        ",{'type':'mcp_list_tools','id':'m'}," OUT("d", "s")),
     "assistant0 opaque\ntool$ result id='c' 'r', opaque\ntool$ result id='d' 's'\n"},
    {IN("{'role':'user','content':[]}," USER("x")), "user$ opaque, text 'x'\n"},
    {IN("{'role':'user','content':[{'type':'input_video'}]}"), "user opaque\n"},
    {"{'model':'m','previous_response_id':'r'}", ""},
};

static void input_is_understood(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof understood / sizeof *understood; i++) {
        struct arena *a = arena_new();
        struct llm_request rq;
        struct buf out;
        decode(json(a, understood[i].body), a, &rq);
        buf_init(&out, TEST_BYTES);
        dump(&out, &rq);
        assert_slices(buf_slice(&out), json(a, understood[i].messages));
        buf_dispose(&out);
        arena_free(a);
    }
}

static void many_calls_find_their_results(void **state) {
    (void)state;
    enum { CALLS = 20000 };
    struct arena *a = arena_new();
    struct llm_request rq;
    struct buf body;
    buf_init(&body, TEST_BYTES);
    put(&body, SLICE("{\"model\":\"m\",\"input\":["));
    for (int i = 0; i < CALLS; i++) {
        assert_int_equal(buf_appendf(&body,
                                     "{\"type\":\"%s\",\"call_id\":\"c%d\",\"name\":\"f\",\"%s\":"
                                     "\"\"},",
                                     i % 2 ? "custom_tool_call" : "function_call", i,
                                     i % 2 ? "input" : "arguments"),
                         0);
    }
    for (int i = 0; i < CALLS; i++) {
        assert_int_equal(buf_appendf(&body,
                                     "%s{\"type\":\"function_call_output\",\"call_id\":\"c%d\","
                                     "\"output\":\"\"}",
                                     i ? "," : "", i),
                         0);
    }
    put(&body, SLICE("]}"));
    decode(buf_slice(&body), a, &rq);
    assert_int_equal(rq.n_messages, CALLS + 1);
    const struct message *m = rq.messages->next;
    for (int i = 0; i < CALLS; i++, m = m->next) assert_int_equal(m->parts->is_custom, i % 2);
    buf_dispose(&body);
    arena_free(a);
}

/* ---- tools and parameters ---- */

static void tools_are_understood(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct llm_request rq;
    /* G27, and what Codex sends */
    decode(json(a, IN("{'type':'additional_tools','tools':[{'type':'custom','name':'apply_patch',"
                      "'description':'d','format':{'type':'grammar','syntax':'lark','definition':'g'}"
                      "}]}," USER("x")) ),
           a, &rq);
    assert_int_equal(rq.n_tools, 1);
    assert_int_equal(rq.tools->kind, TOOL_CUSTOM);
    assert_slices(rq.tools->name, SLICE("apply_patch"));
    assert_slices(rq.tools->format,
                  json(a, "{'type':'grammar','syntax':'lark','definition':'g'}"));
    assert_int_equal(rq.n_messages, 1);
    decode(json(a, R(",'tools':[{'type':'function','name':'f','description':'d','parameters':{'a':1},"
                     "'strict':false,'defer_loading':true},{'type':'namespace','name':'ns',"
                     "'description':'D','tools':[{'type':'function','name':'g','parameters':{}},"
                     "{'type':'custom','name':'h','format':{'type':'text'}}]},{'type':'web_search'},"
                     "{'type':'function','name':'i','strict':null}]")),
           a, &rq);
    assert_int_equal(rq.n_tools, 5);
    const struct tool *t = rq.tools;
    assert_int_equal(t->kind, TOOL_FUNCTION);
    assert_slices(t->description, SLICE("d"));
    assert_slices(t->parameters, json(a, "{'a':1}"));
    assert_int_equal(t->strict, 0);
    assert_slices(t->extras->key, SLICE("defer_loading"));
    t = t->next;
    assert_slices(t->name, SLICE("g"));
    assert_slices(t->name_space, SLICE("ns"));
    assert_int_equal(t->strict, -1);
    t = t->next;
    assert_int_equal(t->kind, TOOL_CUSTOM);
    assert_slices(t->name_space, SLICE("ns"));
    assert_int_equal(t->format.len, 0);
    t = t->next;
    assert_int_equal(t->kind, TOOL_OTHER);
    assert_slices(t->type, SLICE("web_search"));
    assert_null(t->name_space.ptr);
    assert_int_equal(t->next->strict, -1);
    arena_free(a);
}

static void choices_are_understood(void **state) {
    (void)state;
    static const struct {
        const char *choice;
        enum tool_choice_kind kind;
        const char *name;
    } rows[] = {
        {"'auto'", TOOL_CHOICE_AUTO, NULL},
        {"'none'", TOOL_CHOICE_NONE, NULL},
        {"'required'", TOOL_CHOICE_REQUIRED, NULL},
        {"null", TOOL_CHOICE_ABSENT, NULL},
        {"{'type':'function','name':'f'}", TOOL_CHOICE_NAMED, "f"},
        {"{'type':'custom','name':'c'}", TOOL_CHOICE_NAMED_CUSTOM, "c"},
        {"{'type':'web_search'}", TOOL_CHOICE_OTHER, NULL},
        {"{'type':'mcp','server_label':'s','name':'n'}", TOOL_CHOICE_OTHER, NULL},
        {"'sometimes'", TOOL_CHOICE_OTHER, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena *a = arena_new();
        struct llm_request rq;
        decode(json(a, arena_printf(a, R(",'tool_choice':%s"), rows[i].choice)), a, &rq);
        assert_int_equal(rq.tool_choice, rows[i].kind);
        assert_slices(rq.tool_choice_name, slice_cstr(rows[i].name));
        arena_free(a);
    }
    struct arena *a = arena_new();
    struct llm_request rq;
    decode(json(a, R(",'tool_choice':{'type':'allowed_tools','mode':'required','tools':[{'type':"
                     "'function','name':'f'},{'type':'web_search'},{'type':'custom','name':'c'}]}")),
           a, &rq);
    assert_int_equal(rq.tool_choice, TOOL_CHOICE_ALLOWED);
    assert_true(rq.allowed_is_required);
    assert_int_equal(rq.n_allowed, 2);
    assert_slices(rq.allowed[1], SLICE("c"));
    arena_free(a);
}

static void parameters_are_understood(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct llm_request rq;
    decode(json(a, R(",'temperature':0.50,'top_p':1,'max_output_tokens':100,'top_logprobs':3,"
                     "'include':['message.output_text.logprobs','reasoning.encrypted_content'],"
                     "'metadata':{'a':'b'},'user':'u','safety_identifier':'s','prompt_cache_key':'k',"
                     "'service_tier':'flex','store':true,'background':true,'truncation':'auto',"
                     "'previous_response_id':'resp_1','parallel_tool_calls':false,'text':{'format':"
                     "{'type':'json_schema','name':'n','description':'d','schema':{'x':1},'strict':"
                     "true},'verbosity':'low'},'reasoning':{'effort':'xhigh','summary':'detailed'},"
                     "'stream':true,'max_tool_calls':1,'moderation':null,'context_management':[]")),
           a, &rq);
    assert_slices(rq.temperature, SLICE("0.50"));
    assert_slices(rq.top_p, SLICE("1"));
    assert_int_equal(rq.env.max_tokens, 100);
    assert_int_equal(rq.top_logprobs, 3);
    assert_int_equal(rq.logprobs, 1);
    assert_true(rq.wants_encrypted_reasoning);
    assert_slices(rq.metadata, json(a, "{'a':'b'}"));
    assert_slices(rq.user, SLICE("u"));
    assert_slices(rq.safety_identifier, SLICE("s"));
    assert_slices(rq.prompt_cache_key, SLICE("k"));
    assert_slices(rq.service_tier, SLICE("flex"));
    assert_int_equal(rq.store, 1);
    assert_true(rq.background);
    assert_slices(rq.truncation, SLICE("auto"));
    assert_slices(rq.previous_response_id, SLICE("resp_1")); /* G28 */
    assert_true(rq.env.has_previous);
    assert_int_equal(rq.parallel_tools, 0);
    assert_int_equal(rq.format.kind, FORMAT_JSON_SCHEMA);
    assert_slices(rq.format.name, SLICE("n"));
    assert_slices(rq.format.schema, json(a, "{'x':1}"));
    assert_int_equal(rq.format.strict, 1);
    assert_slices(rq.verbosity, SLICE("low"));
    assert_slices(rq.reasoning.effort, SLICE("xhigh"));
    assert_slices(rq.reasoning.summary, SLICE("detailed"));
    assert_int_equal(rq.reasoning.is_visible, 1);
    assert_int_equal(rq.reasoning.thinking, THINKING_UNSET);
    for (const struct field *f = rq.params; f; f = f->next)
        assert_int_equal(f->is_understood, !slice_eq(f->key, SLICE("max_tool_calls")));
    decode(json(a, R(",'conversation':'conv_1','prompt':null,'reasoning':{'effort':null,"
                     "'generate_summary':'concise'},'text':{'format':{'type':'json_object'}}")),
           a, &rq);
    assert_slices(rq.conversation, json(a, "'conv_1'"));
    assert_null(rq.prompt.ptr);
    assert_null(rq.reasoning.effort.ptr);
    assert_slices(rq.reasoning.summary, SLICE("concise"));
    assert_int_equal(rq.format.kind, FORMAT_JSON_OBJECT);
    assert_int_equal(rq.store, -1);
    assert_int_equal(rq.logprobs, -1);
    assert_int_equal(rq.parallel_tools, -1);
    decode(json(a, R(",'text':{},'reasoning':null")), a, &rq);
    assert_int_equal(rq.format.kind, FORMAT_UNSET);
    assert_int_equal(rq.reasoning.is_visible, -1);
    decode(json(a, IN("{'id':'msg_1'}")), a, &rq);
    assert_true(rq.has_item_reference);
    arena_free(a);
}

/* ---- refusals ---- */

static const struct refusal refusals[] = {
    {"{'model':", NULL, ""},
    {"{'input':'x'}", "missing_required_parameter", "model"},
    {"{'prompt':{'id':'p'}}", "missing_required_parameter", "model"},
    {"{'model':'m'}", "missing_required_parameter", "input"},
    {"{'model':'m','input':null}", "invalid_type", "input"},
    {"{'model':'m','input':7}", "invalid_type", "input"},
    {"{'model':'m','input':['x']}", "invalid_type", "input[0]"},
    {IN(USER("x") ",7"), "invalid_type", "input[1]"},
    {IN("{}"), "missing_required_parameter", "input[0].type"},
    {IN("{'type':7}"), "invalid_type", "input[0].type"},
    {IN("{'type':'message','content':'x'}"), "missing_required_parameter", "input[0].role"},
    {IN(USER("x") ",{'role':'robot','content':'x'}"), "invalid_value", "input[1].role"},
    {IN("{'role':'user'}"), "missing_required_parameter", "input[0].content"},
    {IN("{'role':'user','content':7}"), "invalid_type", "input[0].content"},
    {IN("{'role':'user','content':['x']}"), "invalid_type", "input[0].content[0]"},
    {IN("{'role':'user','content':[{'text':'x'}]}"), "missing_required_parameter",
     "input[0].content[0].type"},
    {IN(USER("a") "," USER("b") "," USER("c") ",{'role':'user','content':[{'type':'input_text',"
        "'text':7}]}"),
     "invalid_type", "input[3].content[0].text"},
    {IN("{'role':'user','content':[{'type':'input_text'}]}"), "missing_required_parameter",
     "input[0].content[0].text"},
    {IN("{'role':'user','content':[{'type':'input_image','image_url':{'url':'x'}}]}"),
     "invalid_type", "input[0].content[0].image_url"},
    {IN("{'role':'user','content':[{'type':'input_image'}]}"), "missing_required_parameter",
     "input[0].content[0].image_url"},
    {IN("{'type':'function_call','name':'f','arguments':''}"), "missing_required_parameter",
     "input[0].call_id"},
    {IN("{'type':'function_call','call_id':'c','name':'f','arguments':{}}"), "invalid_type",
     "input[0].arguments"},
    {IN("{'type':'custom_tool_call','call_id':'c','name':'f'}"), "missing_required_parameter",
     "input[0].input"},
    {IN("{'type':'function_call_output','call_id':'c'}"), "missing_required_parameter",
     "input[0].output"},
    {IN("{'type':'function_call_output','call_id':7,'output':''}"), "invalid_type",
     "input[0].call_id"},
    {IN("{'type':'function_call_output','call_id':'c','output':{}}"), "invalid_type",
     "input[0].output"},
    {IN("{'type':'function_call_output','call_id':'c','output':[{'type':'input_text','text':1}]}"),
     "invalid_type", "input[0].output[0].text"},
    {IN("{'type':'custom_tool_call_output','output':'x'}"), "missing_required_parameter",
     "input[0].call_id"},
    {IN("{'type':'reasoning','summary':'x'}"), "invalid_type", "input[0].summary"},
    {IN("{'type':'reasoning','summary':[{'type':'summary_text','text':1}]}"), "invalid_type",
     "input[0].summary[0].text"},
    {IN("{'type':'reasoning','summary':[],'encrypted_content':1}"), "invalid_type",
     "input[0].encrypted_content"},
    {IN("{'type':'item_reference'}"), "missing_required_parameter", "input[0].id"},
    {IN("{'type':'additional_tools'}"), "missing_required_parameter", "input[0].tools"},
    {IN("{'type':'additional_tools','tools':[{'type':'function'}]}"), "missing_required_parameter",
     "input[0].tools[0].name"},
    {R(",'instructions':7"), "invalid_type", "instructions"},
    {R(",'tools':{}"), "invalid_type", "tools"},
    {R(",'tools':[7]"), "invalid_type", "tools[0]"},
    {R(",'tools':[{'name':'f'}]"), "missing_required_parameter", "tools[0].type"},
    {R(",'tools':[{'type':'function','function':{'name':'f'}}]"), "missing_required_parameter",
     "tools[0].name"},
    {R(",'tools':[{'type':'function','name':'f','parameters':7}]"), "invalid_type",
     "tools[0].parameters"},
    {R(",'tools':[{'type':'function','name':'f','strict':1}]"), "invalid_type", "tools[0].strict"},
    {R(",'tools':[{'type':'namespace','name':'n','tools':[{'type':'custom'}]}]"),
     "missing_required_parameter", "tools[0].tools[0].name"},
    {R(",'tools':[{'type':'namespace','name':'n'}]"), "missing_required_parameter",
     "tools[0].tools"},
    {R(",'tool_choice':7"), "invalid_type", "tool_choice"},
    {R(",'tool_choice':{}"), "missing_required_parameter", "tool_choice.type"},
    {R(",'tool_choice':{'type':'function'}"), "missing_required_parameter", "tool_choice.name"},
    {R(",'tool_choice':{'type':'allowed_tools'}"), "missing_required_parameter",
     "tool_choice.tools"},
    {R(",'text':7"), "invalid_type", "text"},
    {R(",'text':{'format':7}"), "invalid_type", "text.format"},
    {R(",'text':{'format':{'type':'yaml'}}"), "invalid_value", "text.format.type"},
    {R(",'text':{'format':{'type':'json_schema'}}"), "missing_required_parameter",
     "text.format.schema"},
    {R(",'text':{'verbosity':7}"), "invalid_type", "text.verbosity"},
    {R(",'reasoning':'high'"), "invalid_type", "reasoning"},
    {R(",'reasoning':{'effort':7}"), "invalid_type", "reasoning.effort"},
    {R(",'include':'x'"), "invalid_type", "include"},
    {R(",'include':[7]"), "invalid_type", "include[0]"},
    {R(",'top_logprobs':21"), "integer_above_max_value", "top_logprobs"},
    {R(",'top_logprobs':-1"), "integer_below_min_value", "top_logprobs"},
    {R(",'top_logprobs':'x'"), "invalid_type", "top_logprobs"},
    {R(",'max_output_tokens':0"), "integer_below_min_value", "max_output_tokens"},
    {R(",'max_output_tokens':'9'"), "invalid_type", "max_output_tokens"},
    {R(",'stream':'yes'"), "invalid_type", "stream"},
    {R(",'stream_options':7"), "invalid_type", "stream_options"},
    {R(",'store':1"), "invalid_type", "store"},
    {R(",'background':1"), "invalid_type", "background"},
    {R(",'parallel_tool_calls':1"), "invalid_type", "parallel_tool_calls"},
    {R(",'previous_response_id':7"), "invalid_type", "previous_response_id"},
    {R(",'conversation':7"), "invalid_type", "conversation"},
    {R(",'conversation':{}"), "missing_required_parameter", "conversation.id"},
    {R(",'conversation':'c','previous_response_id':'r'"), "mutually_exclusive_parameters",
     "previous_response_id"},
    {R(",'metadata':7"), "invalid_type", "metadata"},
    {R(",'temperature':'1'"), "invalid_type", "temperature"},
    {R(",'user':7"), "invalid_type", "user"},
    {R(",'prompt':'p'"), "invalid_type", "prompt"},
    {R(",'us\\u0065r':'a','user':'b'"), "invalid_value", "user"},
    {R(",'input':'b'"), "invalid_value", "input"},
};

static void bad_requests_are_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        assert_refused(&dialect_responses, &refusals[i]);
}

/* ---- the envelope ---- */

static void the_envelope_is_found(void **state) {
    (void)state;
    static const struct {
        const char *body;
        int64_t max_tokens;
        int store;
        bool stream, has_previous, has_options;
    } rows[] = {
        {R(""), -1, -1, false, false, false},
        {R(",'stream':true,'max_output_tokens':7.0,'store':false"), 7, 0, true, false, false},
        {R(",'stream_options':{'include_obfuscation':false},'store':true"), -1, 1, false, false,
         true},
        {R(",'stream_options':null,'store':null,'stream':null"), -1, -1, false, false, false},
        {"{'model':'m','previous_response_id':'r'}", -1, -1, false, true, false},
        {"{'model':'m','conversation':{'id':'c'},'input':[]}", -1, -1, false, true, false},
        {"{'model':'m','conversation':null,'previous_response_id':null,'input':{}}", -1, -1, false,
         false, false},
        {"{'model':'m','prompt':{'id':'p'}}", -1, -1, false, false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena *a = arena_new();
        struct slice body = json(a, rows[i].body);
        struct envelope env;
        struct request_fault fault;
        assert_int_equal(responses_peek_request(body, a, &env, &fault), 0);
        assert_slices(env.model, SLICE("m"));
        assert_slices(slice_sub(body, env.model_token.off, env.model_token.len),
                      SLICE("\"m\""));
        assert_int_equal(env.n, 1);
        assert_int_equal(env.max_tokens, rows[i].max_tokens);
        assert_int_equal(env.store, rows[i].store);
        assert_int_equal(env.stream, rows[i].stream);
        assert_int_equal(env.has_previous, rows[i].has_previous);
        assert_int_equal(env.has_stream_options, rows[i].has_options);
        assert_false(env.include_usage);
        arena_free(a);
    }
}

static void a_full_buffer_is_told(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct llm_request rq;
    struct buf out;
    decode(json(a, plain[13]), a, &rq);
    for (size_t max = 0; max < 200; max += 7) {
        buf_init(&out, max);
        assert_int_equal(responses_encode_request(&rq, NULL, &out, NULL), -ERR_LIMIT);
        assert_int_equal(out.len, 0);
        assert_int_equal(responses_encode_echo(&rq, &out), -ERR_LIMIT);
        assert_int_equal(out.len, 0);
        buf_dispose(&out);
    }
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_round_trip),
        cmocka_unit_test(changed_messages_are_written),
        cmocka_unit_test(input_is_understood),
        cmocka_unit_test(many_calls_find_their_results),
        cmocka_unit_test(tools_are_understood),
        cmocka_unit_test(choices_are_understood),
        cmocka_unit_test(parameters_are_understood),
        cmocka_unit_test(bad_requests_are_refused),
        cmocka_unit_test(the_envelope_is_found),
        cmocka_unit_test(a_full_buffer_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
