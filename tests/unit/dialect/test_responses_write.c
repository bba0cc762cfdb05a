/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of other dialects in this one's words, echoes, and kept conversations. The requests are
 * decoded from our own words, and then said to be another's: what a row needs beyond that, its
 * `change` does. */
#include "responses_test.h"

#include "dialect/responses/responses_state.h"

/* ---- changes: what only another dialect says ---- */

static struct part *first_part(struct llm_request *rq, enum part_kind kind) {
    for (struct message *m = rq->messages; m; m = m->next) {
        for (unsigned i = 0; i < m->n_parts; i++)
            if (m->parts[i].kind == kind) return &m->parts[i];
    }
    fail();
    return NULL;
}

static void is_error(struct llm_request *rq) {
    first_part(rq, PART_TOOL_RESULT)->is_error = true;
}
static void image_is_encoded(struct llm_request *rq) {
    struct part *p = first_part(rq, PART_IMAGE);
    p->url = SLICE_NULL;
    p->media_type = SLICE("image/png");
    p->encoded = SLICE("AA==");
}
static void file_is_encoded(struct llm_request *rq) {
    struct part *p = first_part(rq, PART_FILE);
    *p = (struct part){.kind = PART_FILE, .encoded = SLICE("AA=="), .context = SLICE("see")};
}
static void file_is_text(struct llm_request *rq) {
    struct part *p = first_part(rq, PART_FILE);
    *p = (struct part){.kind = PART_FILE, .text = SLICE("a\xc3\xa9"), .filename = SLICE("n")};
    p->media_type = SLICE("text/plain");
}
static void thinking_of(struct llm_request *rq, enum thinking thinking, int64_t budget) {
    rq->reasoning.thinking = thinking;
    rq->reasoning.budget_tokens = budget;
}
static void thinks_1023(struct llm_request *rq) {
    thinking_of(rq, THINKING_BUDGET, 1023);
}
static void thinks_2048(struct llm_request *rq) {
    thinking_of(rq, THINKING_BUDGET, 2048);
}
static void thinks_31999(struct llm_request *rq) {
    thinking_of(rq, THINKING_BUDGET, 31999);
}
static void thinks_hidden(struct llm_request *rq) {
    thinking_of(rq, THINKING_BUDGET, 4096);
    rq->reasoning.is_visible = 0;
}
static void thinks_adaptive(struct llm_request *rq) {
    thinking_of(rq, THINKING_ADAPTIVE, -1);
}
static void thinks_not(struct llm_request *rq) {
    thinking_of(rq, THINKING_OFF, -1);
}
static void allows_f_and_c(struct llm_request *rq) {
    static struct slice names[2];
    names[0] = SLICE("f");
    names[1] = SLICE("c");
    rq->tool_choice = TOOL_CHOICE_ALLOWED;
    rq->allowed = names;
    rq->n_allowed = 2;
    rq->allowed_is_required = true;
}
static void has_chat_numbers(struct llm_request *rq) {
    rq->seed = SLICE("1");
    rq->logit_bias = SLICE("{}");
    rq->presence_penalty = SLICE("0.5");
    rq->top_k = SLICE("4");
}
static void result_has_parts(struct llm_request *rq) {
    static struct part parts[2];
    struct part *p = first_part(rq, PART_TOOL_RESULT);
    parts[0] = parts[1] = *p;
    parts[1].text = SLICE("more");
    for (struct message *m = rq->messages; m; m = m->next) {
        if (m->role != ROLE_TOOL) continue;
        m->parts = parts;
        m->n_parts = 2;
    }
}
static void is_redacted(struct llm_request *rq) {
    first_part(rq, PART_REASONING)->kind = PART_REDACTED;
}
static void calls_are_legacy(struct llm_request *rq) {
    struct part *p = first_part(rq, PART_TOOL_CALL);
    p->kind = PART_FUNCTION_CALL;
    p->id = SLICE_NULL;
    for (struct message *m = rq->messages; m; m = m->next) {
        if (m->role != ROLE_TOOL) continue;
        m->role = ROLE_FUNCTION;
        m->name = SLICE("f");
        m->parts->kind = PART_TEXT;
        m->parts->id = SLICE_NULL;
    }
}
static void long_user(struct llm_request *rq) {
    rq->user = SLICE("user_0123456789012345678901234567890123456789012345678901234567890123456789");
}
static void tool_is_of_messages(struct llm_request *rq) {
    rq->tools->type = SLICE("web_search_20250305");
    rq->tools->raw = SLICE("{\"type\":\"web_search_20250305\",\"name\":\"web_search\",\"allowed_"
                           "domains\":[\"a.b\"],\"user_location\":{\"type\":\"approximate\","
                           "\"city\":\"B\"}}");
    rq->tools->name = SLICE("web_search");
}
static void asks_for_nothing(struct llm_request *rq) {
    rq->env.max_tokens = 0;
}
static void image_is_of_nothing(struct llm_request *rq) {
    first_part(rq, PART_IMAGE)->url = SLICE_NULL;
}
static void audio_is_heard(struct llm_request *rq) {
    *first_part(rq, PART_IMAGE) = (struct part){.kind = PART_AUDIO, .encoded = SLICE("AA==")};
}

/* ---- other dialects' requests ---- */

#define R(rest) "{'model':'m','input':'hi'" rest "}"
#define IN(list) "{'model':'m','input':[" list "]}"
#define USER(text) "{'role':'user','content':'" text "'}"
#define CALL(id, name) \
    "{'type':'function_call','call_id':'" id "','name':'" name "','arguments':'{}'}"
#define OUT(id, text) "{'type':'function_call_output','call_id':'" id "','output':'" text "'}"
/* what comes out */
#define TEXT(text) "{'type':'input_text','text':'" text "'}"
#define SAID(text) "{'type':'message','role':'user','content':[" TEXT(text) "]}"
#define DEVELOPER(text) "{'type':'message','role':'developer','content':[" TEXT(text) "]}"
#define E(list) "{'model':'m','input':[" list "],'store':false,'include':['reasoning.encrypted_content']}"
#define ER(rest) \
    "{'model':'m','input':[" SAID("hi") "],'store':false,'include':" \
    "['reasoning.encrypted_content']" rest "}"
#define SCHEMA "{'type':'object','properties':{}}"

enum { TOP = 1, MINIMAL = 2, NO_REASONING = 4 };

static const struct foreign {
    const char *body, *expected, *dropped;
    void (*change)(struct llm_request *rq);
    const char *origin;
    unsigned caps;
} foreign[] = {
    /* G08, rule 6.11: reasoning with both its halves, and the item's id of the call behind it */
    {.body = "{'model':'m','instructions':'S','input':[" USER("hi")
         ",{'type':'reasoning','id':'rs_1','summary':[{'type':'summary_text','text':'T'}],"
         "'encrypted_content':'E'},{'role':'assistant','content':'a'},{'type':'function_call','id':"
         "'fc_1','call_id':'c','name':'f','arguments':'{}'}," OUT("c", "r") "]}",
     "{'model':'m','instructions':'S','input':[" SAID("hi")
         ",{'type':'reasoning','id':'rs_1','summary':[{'type':'summary_text','text':'T'}],"
         "'encrypted_content':'E'},{'role':'assistant','content':'a'},{'type':'function_call','id':"
         "'fc_1','call_id':'c','name':'f','arguments':'{}'}," OUT("c", "r")
         "],'store':false,'include':['reasoning.encrypted_content']}",
     .origin = "messages"},
    {.body = IN("{'type':'reasoning','id':'rs_1','summary':[{'type':'summary_text','text':'T'}]},{'type':"
        "'function_call','id':'fc_1','call_id':'c','name':'f','arguments':'{}'}"),
     E(CALL("c", "f"))},
    {.body = IN("{'type':'reasoning','summary':[{'type':'summary_text','text':'T'}],'encrypted_content':"
        "'E'},{'role':'assistant','content':'a'}"),
     E("{'role':'assistant','content':'a'}")},
    {.body = IN("{'type':'reasoning','id':'rs_1','summary':[],'encrypted_content':'E'}"),
     E("{'type':'reasoning','id':'rs_1','summary':[],'encrypted_content':'E'}"),
     .change = is_redacted},
    /* a run of one item's reasoning */
    {.body = IN("{'type':'reasoning','id':'rs_1','summary':[{'type':'summary_text','text':'a'}]},{'type':"
        "'reasoning','id':'rs_1','summary':[{'type':'summary_text','text':'b'}],"
        "'encrypted_content':'E'}"),
     E("{'type':'reasoning','id':'rs_1','summary':[{'type':'summary_text','text':'a'},{'type':"
       "'summary_text','text':'b'}],'encrypted_content':'E'}")},

    /* system texts: the leading run joined, later ones at their place */
    {.body = "{'model':'m','instructions':'A','input':[{'role':'developer','content':[" TEXT("B") "," TEXT(
         "C") "]}," USER("q") ",{'role':'system','content':'D'}," USER("r") "]}",
     "{'model':'m','instructions':'A\\nB\\nC','input':[" SAID("q") "," DEVELOPER("D") "," SAID("r")
         "],'store':false,'include':['reasoning.encrypted_content']}"},
    {.body = IN("{'role':'system','content':'only'}"), E(DEVELOPER("only"))},
    {.body = IN("{'role':'system','content':''}," USER("q")), E(SAID("q"))},

    /* messages: empty ones are no items, the assistant's in the easy form */
    {.body = IN(USER("") ",{'role':'assistant','content':''}," USER("q")), E(SAID("q"))},
    {.body = IN("{'role':'assistant','content':[{'type':'output_text','text':'a','annotations':[]},{'type':"
        "'refusal','refusal':'b'}]}"),
     E("{'role':'assistant','content':'ab'}")},
    {.body = IN("{'role':'assistant','content':'a'}," CALL("c", "f") ",{'role':'assistant','content':'b'},"
        OUT("c", "r")),
     E("{'role':'assistant','content':'a'}," CALL("c", "f") ",{'role':'assistant','content':'b'},"
       OUT("c", "r"))},
    {.body = IN("{'role':'user','content':[{'type':'input_text','text':'q','cache_control':{'type':"
        "'ephemeral'},'citations':null}]}"),
     E(SAID("q")), "content[].cache_control"},

    /* images and files */
    {.body = IN("{'role':'user','content':[{'type':'input_image','image_url':'https://x','detail':'low'},"
        "{'type':'input_image','image_url':'data:image/png;base64,AA=='}]}"),
     E("{'type':'message','role':'user','content':[{'type':'input_image','image_url':'https://x',"
       "'detail':'low'},{'type':'input_image','image_url':'data:image/png;base64,AA==','detail':"
       "'auto'}]}")},
    {.body = IN("{'role':'user','content':[{'type':'input_image','image_url':'x'}]}"),
     E("{'type':'message','role':'user','content':[{'type':'input_image','image_url':"
       "'data:image/png;base64,AA==','detail':'auto'}]}"),
     .change = image_is_encoded},
    {.body = IN("{'role':'user','content':[{'type':'input_file','filename':'n','file_data':'data:x'},"
        "{'type':'input_file','file_url':'https://x'},{'type':'input_file','file_data':'data:y'}]}"),
     E("{'type':'message','role':'user','content':[{'type':'input_file','filename':'n','file_data':"
       "'data:x'},{'type':'input_file','file_url':'https://x'},{'type':'input_file','filename':"
       "'document.pdf','file_data':'data:y'}]}")},
    {.body = IN("{'role':'user','content':[{'type':'input_file','file_data':''}]}"),
     E("{'type':'message','role':'user','content':[" TEXT("see") ",{'type':'input_file','filename':"
       "'document.pdf','file_data':'data:application/pdf;base64,AA=='}]}"),
     .change = file_is_encoded},
    {.body = IN("{'role':'user','content':[{'type':'input_file','file_data':''}]}"),
     E("{'type':'message','role':'user','content':[{'type':'input_file','filename':'n','file_data':"
       "'data:text/plain;base64,YcOp'}]}"),
     .change = file_is_text},

    /* adapting lets ids go on only where they are known */
    {.body = IN("{'role':'user','content':[{'type':'input_image','file_id':'f'},{'type':"
                "'input_file','file_id':'g'}]}"),
     E("{'type':'message','role':'user','content':[{'type':'input_image','file_id':'f','detail':"
       "'auto'},{'type':'input_file','file_id':'g'}]}")},

    /* calls and results */
    {.body = IN("{'type':'function_call','call_id':'c','name':'f','arguments':' '}," OUT("c", "")),
     E(CALL("c", "f") "," OUT("c", ""))},
    {.body = IN("{'type':'custom_tool_call','call_id':'c','name':'p','input':'I'}," OUT("c", "r")),
     E("{'type':'custom_tool_call','call_id':'c','name':'p','input':'I'},{'type':"
       "'custom_tool_call_output','call_id':'c','output':'r'}")},
    {.body = IN(CALL("c", "f") "," OUT("c", "boom")), E(CALL("c", "f") "," OUT("c", "Error: boom")),
     .change = is_error},
    {.body = IN(CALL("c", "f") "," OUT("c", "Error: boom")), E(CALL("c", "f") "," OUT("c", "Error: boom")),
     .change = is_error},
    {.body = IN(CALL("c", "f") "," OUT("c", "")), E(CALL("c", "f") "," OUT("c", "Error: ")),
     .change = is_error},
    {.body = IN(CALL("c", "f") ",{'type':'function_call_output','call_id':'c','output':[{'type':"
                       "'input_image','image_url':'u'}," TEXT("a") "]}"),
     E(CALL("c", "f") ",{'type':'function_call_output','call_id':'c','output':[" TEXT(
         "Error: ") ",{'type':'input_image','image_url':'u','detail':'auto'}," TEXT("a") "]}"),
     .change = is_error},
    {.body = IN(CALL("c", "f") ",{'type':'function_call_output','call_id':'c','output':[" TEXT("a") "," TEXT(
         "b") "]}"),
     E(CALL("c", "f") "," OUT("c", "a\\nb"))},
    {.body = IN(CALL("c", "f") "," OUT("c", "one")), E(CALL("c", "f") "," OUT("c", "one\\nmore")),
     .change = result_has_parts},
    {.body = IN(CALL("c", "f") "," OUT("c", "r")), E(CALL("call_1", "f") "," OUT("call_1", "r")),
     .change = calls_are_legacy},
    {.body = IN(CALL("c1", "f") "," CALL("c2", "g") "," OUT("c1", "1") "," OUT("c2", "2") "," USER("q")),
     E(CALL("c1", "f") "," CALL("c2", "g") "," OUT("c1", "1") "," OUT("c2", "2") "," SAID("q"))},

    /* tools (G09, G68) */
    {.body = R(",'tools':[{'type':'function','name':'f','description':'d','parameters':{'properties':{'a':"
       "{}}}},{'type':'function','name':'g','parameters':{},'strict':true,'cache_control':{}},"
       "{'type':'function','name':'h','parameters':{'type':'object'}}]"),
     ER(",'tools':[{'type':'function','name':'f','description':'d','parameters':{'type':'object',"
        "'properties':{'a':{}}},'strict':false},{'type':'function','name':'g','parameters':" SCHEMA
        ",'strict':true},{'type':'function','name':'h','parameters':{'type':'object'},'strict':"
        "false}]"),
     "tools[].cache_control", .origin = "messages"},
    {.body = R(",'tools':[{'type':'function','name':'f'},{'type':'custom','name':'c','format':{'type':"
       "'grammar','syntax':'lark','definition':'g'}}],'parallel_tool_calls':false"),
     ER(",'tools':[{'type':'function','name':'f','parameters':" SCHEMA ",'strict':false},{'type':"
        "'custom','name':'c','format':{'type':'grammar','syntax':'lark','definition':'g'}}],"
        "'tool_choice':{'type':'allowed_tools','mode':'required','tools':[{'type':'function','name':"
        "'f'},{'type':'custom','name':'c'}]},'parallel_tool_calls':false"),
     .change = allows_f_and_c},
    {.body = R(",'tools':[{'type':'bash_20250124','name':'bash'}],'tool_choice':'auto'"), ER(""),
     "tools[].bash_20250124"},
    {.body = R(",'tools':[],'tool_choice':'auto','parallel_tool_calls':false"), ER("")},
    {.body = R(",'tools':[{'type':'custom','name':'c'}],'tool_choice':'none','parallel_tool_calls':false"),
     ER(",'tools':[{'type':'custom','name':'c'}],'tool_choice':'none'")},
    {.body = R(",'tools':[{'type':'custom','name':'c'}],'tool_choice':'auto','parallel_tool_calls':true"),
     ER(",'tools':[{'type':'custom','name':'c'}],'tool_choice':'auto'")},
    {.body = R(",'tools':[{'type':'custom','name':'c'}],'tool_choice':'required'"),
     ER(",'tools':[{'type':'custom','name':'c'}],'tool_choice':'required'")},
    {.body = R(",'tools':[{'type':'function','name':'f'}],'tool_choice':{'type':'function','name':'f'}"),
     ER(",'tools':[{'type':'function','name':'f','parameters':" SCHEMA ",'strict':false}],"
        "'tool_choice':{'type':'function','name':'f'}")},
    {.body = R(",'tools':[{'type':'custom','name':'c'}],'tool_choice':{'type':'custom','name':'c'}"),
     ER(",'tools':[{'type':'custom','name':'c'}],'tool_choice':{'type':'custom','name':'c'}")},
    {.body = R(",'tools':[{'type':'web_search'}],'tool_choice':{'type':'function','name':'web_search'}"),
     ER(",'tools':[{'type':'web_search','filters':{'allowed_domains':['a.b']},'user_location':"
        "{'type':'approximate','city':'B'}}],'tool_choice':{'type':'web_search'}"),
     .change = tool_is_of_messages, .origin = "messages"},
    {.body = R(",'web_search_options':{'search_context_size':'low','user_location':{'type':'approximate',"
       "'approximate':{'city':'B'}}}"),
     ER(",'tools':[{'type':'web_search','search_context_size':'low','user_location':{'type':"
        "'approximate','city':'B'}}]")},

    /* structured output and verbosity */
    {.body = R(",'text':{'format':{'type':'json_schema','schema':{'a':1}}}"),
     ER(",'text':{'format':{'type':'json_schema','name':'structured_output','schema':{'a':1},"
        "'strict':false}}"),
     .origin = "messages"},
    {.body = R(",'text':{'format':{'type':'json_schema','name':'n','description':'d','schema':{'a':1},"
       "'strict':true},'verbosity':'low'}"),
     ER(",'text':{'format':{'type':'json_schema','name':'n','description':'d','schema':{'a':1},"
        "'strict':true},'verbosity':'low'}")},
    {.body = R(",'text':{'format':{'type':'json_object'}}"), ER(",'text':{'format':{'type':'json_object'}}")},
    {.body = R(",'text':{'format':{'type':'text'}}"), ER(",'text':{'format':{'type':'text'}}")},

    /* reasoning (1.3) */
    {.body = R(",'reasoning':{'effort':'medium'}"), ER(",'reasoning':{'effort':'medium'}")},
    {.body = R(",'reasoning':{'effort':'none'}"), ER(",'reasoning':{'effort':'none'}")},
    {.body = R(",'reasoning':{'effort':'xhigh'}"), ER(",'reasoning':{'effort':'high'}")},
    {.body = R(",'reasoning':{'effort':'max'}"), ER(",'reasoning':{'effort':'max'}"), .caps = TOP},
    {.body = R(",'reasoning':{'effort':'minimal'}"), ER(",'reasoning':{'effort':'low'}")},
    {.body = R(",'reasoning':{'effort':'minimal'}"), ER(",'reasoning':{'effort':'minimal'}"),
     .caps = MINIMAL},
    {.body = R(""), ER(",'reasoning':{'effort':'low','summary':'auto'}"), .change = thinks_1023},
    {.body = R(""), ER(",'reasoning':{'effort':'minimal','summary':'auto'}"), .change = thinks_1023,
     .caps = MINIMAL},
    {.body = R(""), ER(",'reasoning':{'effort':'medium','summary':'auto'}"), .change = thinks_2048},
    {.body = R(""), ER(",'reasoning':{'effort':'high','summary':'auto'}"), .change = thinks_31999},
    {.body = R(""), ER(",'reasoning':{'effort':'max','summary':'auto'}"), .change = thinks_31999,
     .caps = TOP},
    {.body = R(",'reasoning':{'effort':'low'}"), ER(",'reasoning':{'effort':'low','summary':'auto'}"),
     .change = thinks_31999},
    {.body = R(""), ER(",'reasoning':{'effort':'high'}"), .change = thinks_hidden},
    {.body = R(""), ER(",'reasoning':{'summary':'auto'}"), .change = thinks_adaptive},
    {.body = R(""), ER(""), .change = thinks_not},
    {.body = R(""), ER(",'reasoning':{'effort':'none'}"), .change = thinks_not, .caps = TOP},
    {.body = R(",'reasoning':{'effort':'low'}"), "{'model':'m','input':[" SAID("hi") "],'store':false}",
     "reasoning_effort", .caps = NO_REASONING},
    {.body = R(""), "{'model':'m','input':[" SAID("hi") "],'store':false}", "thinking",
     .change = thinks_2048, .caps = NO_REASONING},
    {.body = R(""), "{'model':'m','input':[" SAID("hi") "],'store':false}", .change = thinks_not,
     .caps = NO_REASONING},

    /* parameters (1.8) */
    {.body = R(",'max_output_tokens':5"), ER(",'max_output_tokens':16")},
    {.body = R(",'max_output_tokens':500"), ER(",'max_output_tokens':500")},
    {.body = R(",'temperature':0.50,'top_p':1e-1,'metadata':{'a':'b'},'service_tier':'flex','stream':true"),
     ER(",'temperature':0.50,'top_p':1e-1,'metadata':{'a':'b'},'service_tier':'flex','stream':true")},
    {.body = R(",'store':true"),
     "{'model':'m','input':[" SAID("hi") "],'store':true,'include':['reasoning.encrypted_content']}"},
    {.body = R(",'include':['message.output_text.logprobs'],'top_logprobs':2"),
     "{'model':'m','input':[" SAID("hi") "],'store':false,'include':['reasoning.encrypted_content',"
     "'message.output_text.logprobs'],'top_logprobs':2}"},
    {.body = R(",'top_logprobs':2"), ER("")},
    {.body = R(",'user':'u'"), ER(",'safety_identifier':'u'")},
    {.body = R(",'user':'u','prompt_cache_key':'k'"), ER(",'safety_identifier':'u','prompt_cache_key':'k'"),
     .origin = "messages"},
    {.body = R(",'user':'u'"), ER(",'safety_identifier':'u','prompt_cache_key':'u'"), .origin = "messages"},
    {.body = R(",'user':'u','safety_identifier':'s'"), ER(",'safety_identifier':'s','user':'u'")},
    {.body = R(""),
     ER(",'safety_identifier':"
        "'4db1ecb7244a048a7073d7f75ca8b6aaaba82482545456932171da7aaa113249'"
        ",'prompt_cache_key':"
        "'4db1ecb7244a048a7073d7f75ca8b6aaaba82482545456932171da7aaa113249'"),
     .change = long_user, .origin = "messages"},
    {.body = R(",'max_tool_calls':1,'moderation':{'a':1},'x':null,'y':[]"), ER(""),
     "max_tool_calls,moderation"},
    {.body = R(""), ER(""), "top_k,seed,presence_penalty,logit_bias", .change = has_chat_numbers},
};

static struct capabilities caps_of(unsigned bits) {
    return (struct capabilities){.reasoning_effort = !(bits & NO_REASONING),
                                 .top_effort = bits & TOP,
                                 .minimal_effort = bits & MINIMAL};
}

static int encode(struct llm_request *rq, const struct foreign *row, struct translation *t,
                  struct capabilities *caps, struct buf *out, struct request_fault *fault) {
    rq->origin = row->origin ? row->origin : "chat";
    if (row->change) row->change(rq);
    *caps = caps_of(row->caps);
    t->caps = caps;
    buf_init(out, TEST_BYTES);
    return responses_encode_request(rq, t, out, fault);
}

static void foreign_requests_are_written(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        struct arena *a = arena_new();
        struct translation t = {.arena = a};
        struct capabilities caps;
        struct request_fault fault;
        struct llm_request rq;
        struct buf out;
        decode(json(a, foreign[i].body), a, &rq);
        if (encode(&rq, &foreign[i], &t, &caps, &out, &fault))
            fail_msg("%s: %s", foreign[i].body, fault.message);
        assert_same_json(json(a, foreign[i].expected), buf_slice(&out));
        assert_string_equal(t.dropped, foreign[i].dropped ? foreign[i].dropped : "");
        buf_dispose(&out);
        arena_free(a);
    }
}

static void what_cannot_be_said_is_refused(void **state) {
    (void)state;
    static const struct {
        struct foreign row;
        const char *param;
    } rows[] = {
        {{.body = R(""), .change = asks_for_nothing}, "max_tokens"},
        {{.body = R(",'tools':[],'tool_choice':'required'")}, "tool_choice"},
        {{.body = IN("{'role':'user','content':[{'type':'input_image','image_url':'u'}]}"),
          .change = image_is_of_nothing},
         "messages"},
        {{.body = IN("{'role':'user','content':[{'type':'input_file'}]}")}, "messages"},
        {{.body = IN("{'role':'user','content':[{'type':'input_video'}," TEXT("q") "]}")}, "messages"},
        {{.body = IN("{'role':'user','content':[{'type':'input_image','image_url':'u'}]}"),
          .change = audio_is_heard},
         "messages"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena *a = arena_new();
        struct translation t = {.arena = a};
        struct capabilities caps;
        struct request_fault fault;
        struct llm_request rq;
        struct buf out;
        decode(json(a, rows[i].row.body), a, &rq);
        assert_int_equal(encode(&rq, &rows[i].row, &t, &caps, &out, &fault), -ERR_USAGE);
        assert_string_equal(fault.param, rows[i].param);
        assert_true(fault.message[0]);
        assert_int_equal(out.len, 0);
        buf_dispose(&out);
        arena_free(a);
    }
}

/* ---- the echo ---- */

#define DEFAULTS_BUT(rest) \
    "{'background':false,'max_tool_calls':null,'parallel_tool_calls':true,'prompt_cache_key':null," \
    "'safety_identifier':null,'service_tier':'default','top_logprobs':0,'top_p':1,'user':null," \
    "'previous_response_id':null,'truncation':'disabled'," rest "}"

static const struct {
    const char *body, *expected;
} echoes[] = {
    {R(""), DEFAULTS_BUT("'instructions':null,'max_output_tokens':null,'metadata':{},'reasoning':"
                         "{'effort':null,'summary':null},'store':false,'temperature':1,'text':"
                         "{'format':{'type':'text'}},'tool_choice':'auto','tools':[]")},
    {R(",'instructions':'be','max_output_tokens':9,'metadata':{'a':'b'},'reasoning':{'effort':'low',"
       "'summary':'auto'},'store':true,'temperature':0.50,'text':{'verbosity':'low'},'tool_choice':"
       "{'type':'web_search'},'tools':[{'type':'web_search'},{'type':'namespace','name':'n','tools':"
       "[]}],'conversation':'conv_1'"),
     DEFAULTS_BUT("'instructions':'be','max_output_tokens':9,'metadata':{'a':'b'},'reasoning':"
                  "{'effort':'low','summary':'auto'},'store':true,'temperature':0.50,'text':{'format'"
                  ":{'type':'text'},'verbosity':'low'},'tool_choice':{'type':'web_search'},'tools':"
                  "[{'type':'web_search'},{'type':'namespace','name':'n','tools':[]}],'conversation':"
                  "{'id':'conv_1'}")},
    {"{'model':'m','input':'x','background':true,'max_tool_calls':2,'parallel_tool_calls':false,"
     "'prompt_cache_key':'k','safety_identifier':'s','service_tier':'flex','top_logprobs':3,'top_p':"
     "0.1,'user':'u','previous_response_id':'r','truncation':'auto','store':false,'instructions':"
     "null,'tools':null,'prompt':{'id':'p'},'text':{'format':{'type':'json_schema','name':'n',"
     "'schema':{'a':1}}}}",
     "{'background':true,'max_tool_calls':2,'parallel_tool_calls':false,'prompt_cache_key':'k',"
     "'safety_identifier':'s','service_tier':'flex','top_logprobs':3,'top_p':0.1,'user':'u',"
     "'previous_response_id':'r','truncation':'auto','store':false,'instructions':null,'tools':[],"
     "'max_output_tokens':null,'metadata':{},'reasoning':{'effort':null,'summary':null},"
     "'temperature':1,'tool_choice':'auto','prompt':{'id':'p'},'text':{'format':{'type':"
     "'json_schema','name':'n','schema':{'a':1},'strict':false}}}"},
};

static void check_echo(const struct llm_request *rq, struct slice expected) {
    struct buf out;
    buf_init(&out, TEST_BYTES);
    put(&out, SLICE("{"));
    assert_int_equal(responses_encode_echo(rq, &out), 0);
    put(&out, SLICE("}"));
    assert_same_json(expected, buf_slice(&out));
    buf_dispose(&out);
}

static void requests_are_repeated(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof echoes / sizeof *echoes; i++) {
        struct arena *a = arena_new();
        struct llm_request rq;
        decode(json(a, echoes[i].body), a, &rq);
        check_echo(&rq, json(a, echoes[i].expected));
        arena_free(a);
    }
    struct arena *a = arena_new();
    struct llm_request rq;
    decode(json(a, "{'model':'m','instructions':'S','input':'x','tools':[{'type':'function','name':"
                   "'f','parameters':{}}],'tool_choice':'required','metadata':{'a':'b'}}"),
           a, &rq);
    rq.origin = "chat";
    check_echo(&rq, json(a, DEFAULTS_BUT(
                                "'instructions':'S','max_output_tokens':null,'metadata':{'a':'b'},"
                                "'reasoning':{'effort':null,'summary':null},'store':false,"
                                "'temperature':1,'text':{'format':{'type':'text'}},'tool_choice':"
                                "'required','tools':[{'type':'function','name':'f','parameters':"
                                SCHEMA ",'strict':false}]")));
    arena_free(a);
}

static void put_times(struct buf *b, const char *text, unsigned n) {
    while (n-- > 0) put(b, slice_cstr(text));
}

/* What is too large or too deep for every event of a stream is left out. */
static void echoes_are_bounded(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct llm_request rq;
    struct buf body, out;
    buf_init(&body, TEST_BYTES);
    put(&body, SLICE("{\"model\":\"m\",\"input\":\"x\",\"instructions\":\""));
    put_times(&body, "0123456789", 60000);
    put(&body, SLICE("\",\"user\":\""));
    put_times(&body, "0123456789", 60000);
    put(&body, SLICE("\",\"tools\":[{\"type\":\"custom\",\"name\":\""));
    put_times(&body, "0123456789", 60000);
    put(&body, SLICE("\"}],\"metadata\":{\"a\":"));
    put_times(&body, "[", 110);
    put_times(&body, "]", 110);
    put(&body, SLICE("},\"tool_choice\":{\"type\":\"x\",\"y\":"));
    put_times(&body, "[", 110);
    put_times(&body, "]", 110);
    put(&body, SLICE("}}"));
    decode(buf_slice(&body), a, &rq);
    check_echo(&rq, json(a, DEFAULTS_BUT("'instructions':null,'max_output_tokens':null,'metadata':{}"
                                         ",'reasoning':{'effort':null,'summary':null},'store':false,"
                                         "'temperature':1,'text':{'format':{'type':'text'}},"
                                         "'tool_choice':'auto','tools':[]")));
    buf_init(&out, 100);
    assert_int_equal(responses_encode_echo(&rq, &out), -ERR_LIMIT);
    assert_int_equal(out.len, 0);
    buf_dispose(&out);
    buf_dispose(&body);
    arena_free(a);
}

/* ---- kept conversations ---- */

static const struct {
    const char *body, *items;
} inputs[] = {
    {R(""), "{'id':'msg_s-1_0','type':'message','role':'user','content':[" TEXT("hi") "]}"},
    {"{'model':'m'}", ""},
    {"{'model':'m','input':null}", ""},
    {"{'model':'m','input':[]}", ""},
    {" {'model':'m','input':{'role':'user','content':'x'}}",
     "{'id':'msg_s-1_0','type':'message','role':'user','content':'x'}"},
    {IN("{'id':'msg_1','type':'message','role':'user','content':'x','n':1.0}," CALL("c", "f") "," OUT(
         "c", "r")),
     "{'id':'msg_1','type':'message','role':'user','content':'x','n':1.0},{'id':'fc_s-1_1','type':"
     "'function_call','call_id':'c','name':'f','arguments':'{}'},{'id':'fco_s-1_2','type':"
     "'function_call_output','call_id':'c','output':'r'}"},
    {IN("{'type':null,'id':null,'role':'user','content':''},{'id':'x'},{'type':'brand_new'},{'type':"
        "'custom_tool_call'},{'type':'custom_tool_call_output'},{'type':'reasoning','id':''}"),
     "{'id':'msg_s-1_0','type':'message','role':'user','content':''},{'id':'x','type':"
     "'item_reference'},{'id':'item_s-1_2','type':'brand_new'},{'id':'ctc_s-1_3','type':"
     "'custom_tool_call'},{'id':'ctco_s-1_4','type':'custom_tool_call_output'},{'id':'rs_s-1_5',"
     "'type':'reasoning'}"},
};

static void input_items_have_ids(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        struct arena *a = arena_new();
        struct buf out;
        buf_init(&out, TEST_BYTES);
        put(&out, SLICE("["));
        assert_int_equal(responses_input_items(json(a, inputs[i].body), SLICE("s\"-1"), a, &out), 0);
        put(&out, SLICE("]"));
        assert_same_json(json(a, arena_printf(a, "[%s]", inputs[i].items)), buf_slice(&out));
        buf_dispose(&out);
        arena_free(a);
    }
}

static const struct {
    const char *body, *items, *expected;
} prepended[] = {
    {"{'model':'m','input':'q','previous_response_id':'r','stream':true}", USER("a"),
     "{'model':'m','stream':true,'input':[" USER("a") "," SAID("q") "]}"},
    {IN(USER("b") "," USER("c")), USER("a"), IN(USER("a") "," USER("b") "," USER("c"))},
    {"{'model':'m','input':{'role':'user','content':'b'},'conversation':{'id':'c'}}", USER("a"),
     IN(USER("a") "," USER("b"))},
    {"{'model':'m','previous\\u005fresponse_id':'r','x':1.50}", USER("a"),
     "{'model':'m','x':1.50,'input':[" USER("a") "]}"},
    {"{'model':'m','input':[ ],'store':null}", USER("a"),
     "{'model':'m','store':null,'input':[" USER("a") "]}"},
    {"{'model':'m','input':null}", "", "{'model':'m','input':[]}"},
    {R(""), "", IN(SAID("hi"))},
};

static void items_are_put_in_front(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof prepended / sizeof *prepended; i++) {
        struct arena *a = arena_new();
        struct llm_request rq;
        struct buf out;
        buf_init(&out, TEST_BYTES);
        assert_int_equal(responses_prepend_items(json(a, prepended[i].body),
                                                 json(a, prepended[i].items), a, &out),
                         0);
        assert_same_json(json(a, prepended[i].expected), buf_slice(&out));
        decode(buf_slice(&out), a, &rq);
        assert_false(rq.env.has_previous);
        buf_dispose(&out);
        arena_free(a);
    }
}

static void bad_bodies_and_full_buffers_are_told(void **state) {
    (void)state;
    static const char *const bad[] = {"", "[]", "{'model'", "{'input':[7]}"};
    struct arena *a = arena_new();
    struct buf out;
    buf_init(&out, TEST_BYTES);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(responses_input_items(json(a, bad[i]), SLICE("s"), a, &out),
                         -ERR_PROTOCOL);
        if (i < 3) {
            assert_int_equal(responses_prepend_items(json(a, bad[i]), SLICE_NULL, a, &out),
                             -ERR_PROTOCOL);
        }
        assert_int_equal(out.len, 0);
    }
    buf_dispose(&out);
    for (size_t max = 0; max < 30; max++) {
        buf_init(&out, max);
        assert_int_equal(responses_input_items(json(a, R("")), SLICE("s"), a, &out), -ERR_LIMIT);
        assert_int_equal(responses_prepend_items(json(a, R("")), SLICE_NULL, a, &out), -ERR_LIMIT);
        assert_int_equal(out.len, 0);
        buf_dispose(&out);
    }
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(foreign_requests_are_written),
        cmocka_unit_test(what_cannot_be_said_is_refused),
        cmocka_unit_test(requests_are_repeated),
        cmocka_unit_test(echoes_are_bounded),
        cmocka_unit_test(input_items_have_ids),
        cmocka_unit_test(items_are_put_in_front),
        cmocka_unit_test(bad_bodies_and_full_buffers_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
