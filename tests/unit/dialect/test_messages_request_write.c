/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of other dialects as Anthropic takes them: the encoder alone, with what its chat reader
 * gives (names, ids and proofs are made to fit before, in adapt.c). */
#include "request_test.h"

#include "dialect/capabilities.h"
#include "dialect/messages/messages-request.h"

/* What upstreams differ in: a row of presets, and one change. */
enum caps_kind {
    BUDGET,
    ADAPTIVE,
    NO_THINKING,
    SYSTEM_IN_PLACE,
    NO_PREFILL,
    NO_SAMPLING,
    STRUCTURED,
    STRUCTURED_OTHER,
    TOP_EFFORT,
    NO_URLS,
    UNVERIFIED
};

static struct capabilities caps_of(enum caps_kind kind) {
    struct capabilities c = preset_find("messages")->caps;
    switch (kind) {
    case BUDGET: break;
    case ADAPTIVE: c.thinking = THINKING_STYLE_ADAPTIVE; break;
    case TOP_EFFORT: c.thinking = THINKING_STYLE_ADAPTIVE, c.top_effort = true; break;
    case NO_THINKING: c.thinking = THINKING_STYLE_NONE; break;
    case SYSTEM_IN_PLACE: c.system_in_messages = true; break;
    case NO_PREFILL: c.prefill = false; break;
    case NO_SAMPLING: c.sampling = false; break;
    case STRUCTURED: c.output_format = true; break;
    case STRUCTURED_OTHER: c.output_format = true, c.family = PROOF_NONE; break;
    case NO_URLS: c.images_by_url = false; break;
    case UNVERIFIED: c.family = PROOF_NONE, c.reasoning_history = REASONING_PLAIN; break;
    }
    return c;
}

/* Changes that other files make before, by hand. */
typedef void change_fn(struct llm_request *rq);

struct made {
    int rc;
    struct buf out;
    struct request_fault fault;
    char dropped[DROPPED_BYTES];
};

static void make(struct made *m, const char *body, enum caps_kind kind, change_fn *change) {
    struct arena *a = arena_new();
    struct llm_request rq;
    struct capabilities caps = caps_of(kind);
    struct translation t = {.arena = a, .caps = &caps};
    *m = (struct made){.rc = 0};
    buf_init(&m->out, TEST_BYTES);
    m->rc = dialect_chat.decode_request(slice_cstr(body), a, &rq, &m->fault);
    if (m->rc) print_error("%s\n%s (%s)\n", body, m->fault.message, m->fault.param);
    assert_int_equal(m->rc, 0);
    if (change) change(&rq);
    m->rc = messages_encode_request(&rq, &t, &m->out, &m->fault);
    memcpy(m->dropped, t.dropped, sizeof m->dropped);
    arena_free(a);
}

struct row {
    const char *what, *body, *expected, *dropped;
    enum caps_kind caps;
    change_fn *change;
};

static void check_rows(const struct row *rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct made m;
        make(&m, rows[i].body, rows[i].caps, rows[i].change);
        if (m.rc) print_error("%s: %s\n", rows[i].what, m.fault.message);
        assert_int_equal(m.rc, 0);
        if (strcmp(m.dropped, rows[i].dropped ? rows[i].dropped : "") != 0)
            print_error("%s: dropped %s\n", rows[i].what, m.dropped);
        assert_string_equal(m.dropped, rows[i].dropped ? rows[i].dropped : "");
        assert_same_json(slice_cstr(rows[i].expected), buf_slice(&m.out));
        buf_dispose(&m.out);
    }
}
#define CHECK(rows) check_rows(rows, sizeof rows / sizeof *rows)

#define C(list)    "{\"model\":\"m\",\"messages\":[" list "]}"
#define CR(rest)   "{\"model\":\"m\",\"messages\":[" U("hi") "]," rest "}"
#define M(list)    "{\"model\":\"m\",\"max_tokens\":4096,\"messages\":[" list "]}"
#define MR(rest)   "{\"model\":\"m\",\"max_tokens\":4096,\"messages\":[" U("hi") "]," rest "}"
#define S(text)    "{\"role\":\"system\",\"content\":\"" text "\"}"
#define D(text)    "{\"role\":\"developer\",\"content\":\"" text "\"}"
#define U(text)    "{\"role\":\"user\",\"content\":\"" text "\"}"
#define UB(blocks) "{\"role\":\"user\",\"content\":[" blocks "]}"
#define A(text)    "{\"role\":\"assistant\",\"content\":\"" text "\"}"
#define AB(blocks) "{\"role\":\"assistant\",\"content\":[" blocks "]}"
#define T(text)    "{\"type\":\"text\",\"text\":\"" text "\"}"
#define CALL(id, args)                                                                             \
    "{\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"" args  \
    "\"}}"
#define CALLS(content, calls)                                                                      \
    "{\"role\":\"assistant\",\"content\":" content ",\"tool_calls\":[" calls "]}"
#define TOOL(id, text) "{\"role\":\"tool\",\"tool_call_id\":\"" id "\",\"content\":\"" text "\"}"
#define USE(id, input)                                                                             \
    "{\"type\":\"tool_use\",\"id\":\"" id "\",\"name\":\"f\",\"input\":" input "}"
#define RESULT(id, text)                                                                           \
    "{\"type\":\"tool_result\",\"tool_use_id\":\"" id "\",\"content\":\"" text "\"}"
/* what a history with calls and no tools gets */
#define SEEN                                                                                       \
    "\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\",\"properties\":{}}}],"       \
    "\"tool_choice\":{\"type\":\"none\"}"
#define MS(list) "{\"model\":\"m\",\"max_tokens\":4096," SEEN ",\"messages\":[" list "]}"

/* ---- turns ---- */

static void mark_error(struct llm_request *rq) {
    for (struct message *m = rq->messages; m; m = m->next) {
        if (m->role == ROLE_TOOL) m->parts[0].is_error = true;
    }
}

static const struct row turns[] = {
    {"G11: results of one turn together, first",
     C(U("q") "," CALLS("null", CALL("a", "{}") "," CALL("b", "{}")) "," TOOL("a", "1") "," TOOL(
         "b", "2") "," U("go on")),
     MS(U("q") "," AB(USE("a", "{}") "," USE("b", "{}")) "," UB(
         RESULT("a", "1") "," RESULT("b", "2") "," T("go on"))),
     NULL, BUDGET, NULL},
    {"results in the order of the calls",
     C(U("q") "," CALLS("null", CALL("a", "{}") "," CALL("b", "{}") "," CALL("c", "{}")) "," TOOL(
         "c", "3") "," TOOL("b", "2") "," TOOL("a", "1")),
     MS(U("q") "," AB(USE("a", "{}") "," USE("b", "{}") "," USE("c", "{}")) "," UB(
         RESULT("a", "1") "," RESULT("b", "2") "," RESULT("c", "3"))),
     NULL, BUDGET, NULL},
    {"G12: default max_tokens", C(U("hi")), M(U("hi")), NULL, BUDGET, NULL},
    {"G19: empty content beside a call, empty arguments",
     C(U("q") "," CALLS("\"\"", CALL("a", "")) "," TOOL("a", "")),
     MS(U("q") "," AB(USE("a", "{}")) "," UB(RESULT("a", ""))), NULL, BUDGET, NULL},
    {"G20: the first run is system, a later one stays a text at its place",
     C(S("a") "," D("b") "," S(" ") "," U("q") "," A("r") "," D("c") "," U("s")),
     "{\"model\":\"m\",\"max_tokens\":4096,\"system\":[" T("a") "," T("b") "],\"messages\":[" U(
         "q") "," A("r") "," UB(T("<system>c</system>") "," T("s")) "]}",
     NULL, BUDGET, NULL},
    {"G20: where the upstream takes it, as a system message",
     C(S("a") "," U("q") "," A("r") "," D("c") "," U("s")),
     "{\"model\":\"m\",\"max_tokens\":4096,\"system\":[" T("a") "],\"messages\":[" U("q") "," A(
         "r") ",{\"role\":\"system\",\"content\":[" T("c") "]}," U("s") "]}",
     NULL, SYSTEM_IN_PLACE, NULL},
    {"system between call and result moves behind the result",
     C(U("q") "," CALLS("null", CALL("a", "{}")) "," S("s") "," TOOL("a", "1")),
     MS(U("q") "," AB(USE("a", "{}")) "," UB(RESULT("a", "1") "," T("<system>s</system>"))), NULL,
     BUDGET, NULL},
    {"and stays behind it as a message",
     C(U("q") "," CALLS("null", CALL("a", "{}")) "," S("s") "," TOOL("a", "1") "," U("u")),
     MS(U("q") "," AB(USE("a", "{}")) "," UB(
         RESULT("a", "1")) ",{\"role\":\"system\",\"content\":[" T("s") "]}," U("u")),
     NULL, SYSTEM_IN_PLACE, NULL},
    {"G21: an answer that was made up is marked and comes first",
     C(U("q") "," CALLS("null",
                        CALL("a", "{}")) "," U("never mind") "," TOOL("a", "no result provided")),
     MS(U("q") "," AB(USE("a", "{}")) "," UB(
         "{\"type\":\"tool_result\",\"tool_use_id\":\"a\","
         "\"content\":\"no result provided\",\"is_error\":true}," T("never mind"))),
     NULL, BUDGET, mark_error},
    {"neighbours of one role are one turn", C(U("a") "," U("b") "," A("c") "," A("d") "," U("e")),
     M(UB(T("a") "," T("b")) "," AB(T("c") "," T("d")) "," U("e")), NULL, BUDGET, NULL},
    {"an assistant that says nothing is left out, its neighbours meet",
     C(U("a") "," A(" \\n") "," U("b")), M(UB(T("a") "," T("b"))), NULL, BUDGET, NULL},
    {"a blank system text does not part anybody",
     C(U("a") "," A("b") "," S("") "," A("c") "," U("d")),
     M(U("a") "," AB(T("b") "," T("c")) "," U("d")), NULL, BUDGET, NULL},
    {"blank texts go, a user's turn stays",
     C(U("") "," A("x") ","
                        "{\"role\":\"user\",\"content\":"
                        "[" T(" ") "," T("y") "," T("") "]}"),
     M(UB(T(".")) "," A("x") "," UB(T("y"))), NULL, BUDGET, NULL},
    {"the assistant cannot begin", C(A("x") "," U("y")), M(U("(continue)") "," A("x") "," U("y")),
     NULL, BUDGET, NULL},
    {"only system texts: the last one is asked", C(S("a") "," S("b")),
     "{\"model\":\"m\",\"max_tokens\":4096,\"system\":[" T("a") "],\"messages\":[" UB(T("b")) "]}",
     NULL, BUDGET, NULL},
    {"only blank ones", C(S(" ")), M(U(".")), NULL, BUDGET, NULL},
    {"prefill: no white space at its end", C(U("q") "," A("It is \\n")), M(U("q") "," A("It is")),
     NULL, BUDGET, NULL},
    {"prefill of parts",
     C(U("q") ",{\"role\":\"assistant\",\"content\":[" T("a ") "," T("b ") "]}"),
     M(U("q") "," AB(T("a ") "," T("b"))), NULL, BUDGET, NULL},
    {"no prefill: the user says so", C(U("q") "," A("It is ")),
     M(U("q") "," A("It is ") "," U("Continue.")), NULL, NO_PREFILL, NULL},
    {"texts before calls, a refusal is a text",
     C(U("q") ",{\"role\":\"assistant\",\"content\":\"x\",\"refusal\":\"no\"}," CALLS(
         "\"y\"", CALL("a", "{}")) "," A("z") "," TOOL("a", "1")),
     MS(U("q") "," AB(T("x") "," T("no") "," T("y") "," T("z") "," USE("a", "{}")) "," UB(
         RESULT("a", "1"))),
     NULL, BUDGET, NULL},
    {"results of parts",
     C(U("q") "," CALLS("null", CALL("a", "{}")) ",{\"role\":\"tool\",\"tool_"
                                                 "call_id\":\"a\",\"content\":[" T("1") "," T(
                                                     "") "," T("2") "]}"),
     MS(U("q") "," AB(USE("a", "{}")) "," UB("{\"type\":\"tool_result\",\"tool_use_id\":\"a\","
                                             "\"content\":[" T("1") "," T("2") "]}")),
     NULL, BUDGET, NULL},
    {"a legacy call and its result",
     C(U("q") ",{\"role\":\"assistant\",\"content\":null,\"function_"
              "call\":{\"name\":\"f\",\"arguments\":\"{}\"}},{\"role\":\"function\",\"name\":\"f\","
              "\"content\":\"r\"}"),
     MS(U("q") "," AB(USE("call_legacy_0", "{}")) "," UB(RESULT("call_legacy_0", "r"))), NULL,
     BUDGET, NULL},
    {"names and hints are told as dropped",
     C("{\"role\":\"user\",\"name\":\"bob\",\"content\":\"x\""
       ",\"odd\":1,\"null\":null,\"none\":[]}"),
     M(U("x")), "messages[].odd,messages[].name", BUDGET, NULL},
    {"cache_control of parts and messages",
     C("{\"role\":\"system\",\"content\":[" T(
         "s") ",{\"type\":\"text\",\"text\":\"t\",\"cache_"
              "control\":{\"type\":\"ephemeral\"}}]},{\"role\":\"user\",\"content\":\"u\",\"cache_control"
              "\":{\"type\":\"ephemeral\"}}"),
     "{\"model\":\"m\",\"max_tokens\":4096,\"system\":[" T(
         "s") ",{\"type\":\"text\",\"text\":\"t\""
              ",\"cache_control\":{\"type\":\"ephemeral\"}}],\"messages\":[" UB(
                  "{\"type\":\"text\",\"text"
                  "\":\"u\",\"cache_control\":{\"type\":\"ephemeral\"}}") "]}",
     NULL, BUDGET, NULL},
};

static void test_turns(void **state) {
    (void)state;
    CHECK(turns);
}

/* ---- arguments ---- */

static const char *const arguments[][2] = {
    {"", "{}"},
    {"  \n", "{}"},
    {"{}", "{}"},
    {"{ \"z\" : 1.50 , \"a\" : [ 1e400, 123456789012345678901 ] }",
     "{\"z\":1.50,\"a\":[1e400,123456789012345678901]}"},
    {" {\"a b\": \" c \\\" d \"}\n", "{\"a b\":\" c \\\" d \"}"},
    {"[1, 2]", "{\"value\":[1,2]}"},
    {"\"x\"", "{\"value\":\"x\"}"},
    {"null", "{\"value\":null}"},
    {"12.0", "{\"value\":12.0}"},
    {"{\"a\":", "{\"_raw\":\"{\\\"a\\\":\"}"},
    {"{} {}", "{\"_raw\":\"{} {}\"}"},
    {"1,\"b\":2", "{\"_raw\":\"1,\\\"b\\\":2\"}"},
    {"1}", "{\"_raw\":\"1}\"}"},
    {"hello", "{\"_raw\":\"hello\"}"},
    {"{\"a\":\"\\ud800x\\udc00\"}", "{\"a\":\"\\ufffdx\\ufffd\"}"},
    {"{\"a\":\"\\ud83d\\ude00\\\\ud800\"}", "{\"a\":\"\\ud83d\\ude00\\\\ud800\"}"},
    {"\xff{", "{\"_raw\":\"\xef\xbf\xbd{\"}"},
};

static void test_arguments(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof arguments / sizeof *arguments; i++) {
        struct arena *a = arena_new();
        struct buf out;
        buf_init(&out, TEST_BYTES);
        struct json_writer w = jw_begin(&out);
        messages_w_arguments(&w, slice_cstr(arguments[i][0]), a);
        assert_int_equal(jw_end(&w), 0);
        assert_slices(buf_slice(&out), slice_cstr(arguments[i][1]));
        buf_dispose(&out);
        arena_free(a);
    }
}

static void test_deep_arguments(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct buf in, out;
    buf_init(&in, TEST_BYTES);
    buf_init(&out, TEST_BYTES);
    for (int i = 0; i < 100000; i++)
        put(&in, SLICE("{\"a\":"));
    put(&in, SLICE("1"));
    for (int i = 0; i < 100000; i++)
        put(&in, SLICE("}"));
    struct json_writer w = jw_begin(&out);
    messages_w_arguments(&w, buf_slice(&in), a);
    assert_int_equal(jw_end(&w), 0);
    assert_true(slice_starts_with(buf_slice(&out), SLICE("{\"_raw\":\"{")));
    buf_dispose(&in);
    buf_dispose(&out);
    arena_free(a);
}

/* ---- images and files ---- */

#define IMG(url) UB("{\"type\":\"image_url\",\"image_url\":{\"url\":\"" url "\"}}")
#define B64(kind, type, data)                                                                      \
    "{\"type\":\"" kind "\",\"source\":{\"type\":\"base64\",\"media_type\":\"" type                \
    "\",\"data\":\"" data "\"}}"
#define FILE_PART(name, data)                                                                      \
    UB("{\"type\":\"file\",\"file\":{\"filename\":\"" name "\",\"file_data\":\"" data "\"}}")
#define DOC_TEXT(title, text)                                                                      \
    "{\"type\":\"document\",\"source\":{\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":" \
    "\"" text "\"},\"title\":\"" title "\"}"

static const struct row media[] = {
    {"G22", C(IMG("data:image/png;base64,iVBORw0=") "," IMG("https://x/y.png")),
     M(UB(B64("image", "image/png", "iVBORw0=") ",{\"type\":\"image\",\"source\":{\"type\":\"url\","
                                                "\"url\":\"https://x/y.png\"}}")),
     NULL, BUDGET, NULL},
    {"no type is jpeg; parameters go",
     C(IMG("data:;base64,AAAA") "," IMG("DATA:Image/PNG;a=b;BASE64,"
                                        "AAAA") "," IMG("data:image/jpg;base64,AAAA")),
     M(UB(B64("image", "image/jpeg", "AAAA") "," B64("image", "image/png", "AAAA") "," B64(
         "image", "image/jpeg", "AAAA"))),
     NULL, BUDGET, NULL},
    {"percent-encoded bytes, percent-encoded base64, lines",
     C(IMG("data:image/gif,%47IF%00%ff%zz") "," IMG("data:image/gif;base64,AA%2BA%3D%3D") "," IMG(
         "data:image/gif;base64,AA\\r\\nAA ")),
     M(UB(B64("image", "image/gif", "R0lGAP8leno=") "," B64("image", "image/gif", "AA+A==") "," B64(
         "image", "image/gif", "AAAA"))),
     NULL, BUDGET, NULL},
    {"detail is told",
     C(UB("{\"type\":\"image_url\",\"image_url\":{\"url\":\"https://x\",\"detail\""
          ":\"low\"}}")),
     M(UB("{\"type\":\"image\",\"source\":{\"type\":\"url\",\"url\":\"https://x\"}}")),
     "messages[].content[].detail", BUDGET, NULL},
    {"pdf", C(FILE_PART("a.pdf", "data:application/pdf;base64,JVBE")),
     M(UB("{\"type\":\"document\",\"source\":{\"type\":\"base64\",\"media_type\":\"application/pdf"
          "\",\"data\":\"JVBE\"},\"title\":\"a.pdf\"}")),
     NULL, BUDGET, NULL},
    {"pdf without a type", C(FILE_PART("a.pdf", "JVBE")),
     M(UB("{\"type\":\"document\",\"source\":{\"type\":\"base64\",\"media_type\":\"application/pdf"
          "\",\"data\":\"JVBE\"},\"title\":\"a.pdf\"}")),
     NULL, BUDGET, NULL},
    {"text files are read",
     C(FILE_PART("a.txt", "data:text/plain;base64,aMOp") "," FILE_PART(
         "b.md", "data:text/markdown,a%20b") "," FILE_PART("c.json", "data:application/octet-stream"
                                                                     ";base64,e30=")),
     M(UB(DOC_TEXT("a.txt", "h\\u00e9") "," DOC_TEXT("b.md", "a b") "," DOC_TEXT("c.json", "{}"))),
     NULL, BUDGET, NULL},
    {"a file that is an image", C(FILE_PART("a.png", "data:image/png;base64,AAAA")),
     M(UB(B64("image", "image/png", "AAAA"))), NULL, BUDGET, NULL},
};

static void test_media(void **state) {
    (void)state;
    CHECK(media);
}

/* ---- tools ---- */

#define TOOLS "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]"
#define MTOOLS                                                                                     \
    "\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\",\"properties\":{}}}]"
#define CHOICE(json)  CR(TOOLS ",\"tool_choice\":" json)
#define MCHOICE(json) MR(MTOOLS ",\"tool_choice\":" json)

static void allow(struct llm_request *rq) {
    static struct slice names[] = {{"g", 1}, {"gone", 4}};
    rq->tool_choice = TOOL_CHOICE_ALLOWED;
    rq->tool_choice_raw = SLICE_NULL;
    rq->allowed = names;
    rq->n_allowed = 2;
    rq->allowed_is_required = true;
}

static void search(struct llm_request *rq) {
    static struct tool t = {.kind = TOOL_OTHER,
                            .type = {"web_search", 10},
                            .strict = -1,
                            .raw = {"{\"type\":\"web_search\",\"user_location\":{\"type\":"
                                    "\"approximate\",\"city\":\"Oslo\"},\"search_context_size\":"
                                    "\"low\"}",
                                    100}};
    t.raw.len = strlen(t.raw.ptr);
    rq->origin = "responses";
    rq->tools = rq->tools_end = &t;
    rq->n_tools = 1;
}

static const struct row tools[] = {
    {"a function with everything",
     CR("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\","
        "\"parameters\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"number\",\"maximum\":"
        "1.0}}},\"strict\":true},\"cache_control\":{\"type\":\"ephemeral\"}}]"),
     MR("\"tools\":[{\"name\":\"f\",\"description\":\"d\",\"input_schema\":{\"type\":\"object\","
        "\"properties\":{\"a\":{\"type\":\"number\",\"maximum\":1.0}}},\"strict\":true,\"cache_"
        "control\":{\"type\":\"ephemeral\"}}]"),
     NULL, BUDGET, NULL},
    {"free text is a function of one string",
     CR("\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":\"q\",\"description\":\"d\"}}]"),
     MR("\"tools\":[{\"name\":\"q\",\"description\":\"d\",\"input_schema\":{\"type\":\"object\","
        "\"properties\":{\"input\":{\"type\":\"string\"}},\"required\":[\"input\"]}}]"),
     NULL, BUDGET, NULL},
    {"legacy functions", CR("\"functions\":[{\"name\":\"f\"}],\"function_call\":{\"name\":\"f\"}"),
     MCHOICE("{\"type\":\"tool\",\"name\":\"f\"}"), NULL, BUDGET, NULL},
    {"auto", CHOICE("\"auto\""), MCHOICE("{\"type\":\"auto\"}"), NULL, BUDGET, NULL},
    {"required", CHOICE("\"required\""), MCHOICE("{\"type\":\"any\"}"), NULL, BUDGET, NULL},
    {"named", CHOICE("{\"type\":\"function\",\"function\":{\"name\":\"f\"}}"),
     MCHOICE("{\"type\":\"tool\",\"name\":\"f\"}"), NULL, BUDGET, NULL},
    {"named custom", CHOICE("{\"type\":\"custom\",\"custom\":{\"name\":\"f\"}}"),
     MCHOICE("{\"type\":\"tool\",\"name\":\"f\"}"), NULL, BUDGET, NULL},
    {"no choice", CR(TOOLS), MR(MTOOLS), NULL, BUDGET, NULL},
    {"G16: serial without a choice", CR(TOOLS ",\"parallel_tool_calls\":false"),
     MCHOICE("{\"type\":\"auto\",\"disable_parallel_tool_use\":true}"), NULL, BUDGET, NULL},
    {"parallel is what happens anyway", CR(TOOLS ",\"parallel_tool_calls\":true"), MR(MTOOLS), NULL,
     BUDGET, NULL},
    {"serial and forced", CHOICE("\"required\",\"parallel_tool_calls\":false"),
     MCHOICE("{\"type\":\"any\",\"disable_parallel_tool_use\":true}"), NULL, BUDGET, NULL},
    {"G18", CHOICE("\"none\",\"parallel_tool_calls\":false"), MCHOICE("{\"type\":\"none\"}"), NULL,
     BUDGET, NULL},
    {"no tools: neither", CR("\"tool_choice\":\"none\",\"parallel_tool_calls\":false,\"tools\":[]"),
     M(U("hi")), NULL, BUDGET, NULL},
    {"G17: thinking forbids force", CHOICE("\"required\",\"reasoning_effort\":\"high\""),
     "{\"model\":\"m\",\"max_tokens\":8192,\"messages\":[" U(
         "hi") "]," MTOOLS ",\"tool_choice\":{"
               "\"type\":\"auto\"},\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":4096}}",
     "tool_choice", BUDGET, NULL},
    {"G17: adaptive, too",
     CHOICE("{\"type\":\"function\",\"function\":{\"name\":\"f\"}},\"reasoning"
            "_effort\":\"low\""),
     MR(MTOOLS ",\"tool_choice\":{\"type\":\"auto\"},\"thinking\":{\"type\":\"adaptive\"},"
               "\"output_config\":{\"effort\":\"low\"}"),
     "tool_choice", ADAPTIVE, NULL},
    {"allowed tools: only those",
     CR("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}},{\"type\":\"function\","
        "\"function\":{\"name\":\"g\"}}]"),
     MR("\"tools\":[{\"name\":\"g\",\"input_schema\":{\"type\":\"object\",\"properties\":{}}}],"
        "\"tool_choice\":{\"type\":\"any\"}"),
     NULL, BUDGET, allow},
    {"web search is hosted there, too", C(U("hi")),
     MR("\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_search\",\"user_location\":{"
        "\"type\":\"approximate\",\"city\":\"Oslo\"}}]"),
     NULL, BUDGET, search},
    {"not on servers of other kinds", C(U("hi")), M(U("hi")), "tools[].web_search", UNVERIFIED,
     search},
};

static void test_tools(void **state) {
    (void)state;
    CHECK(tools);
}

/* A tool's schema in and out. */
static const char *const schemas[][2] = {
    {"", "{\"type\":\"object\",\"properties\":{}}"},
    {"null", "{\"type\":\"object\",\"properties\":{}}"},
    {"{}", "{\"type\":\"object\",\"properties\":{}}"},
    {"{\"type\":null}", "{\"type\":\"object\",\"properties\":{}}"},
    {"{ \"type\": \"object\" }", "{\"type\":\"object\"}"},
    {"{\"properties\":{\"a\":{}},\"x\":1.0}",
     "{\"type\":\"object\",\"properties\":{\"a\":{}},\"x\":1.0}"},
    {"{\"type\":[\"object\",\"null\"]}", "{\"type\":\"object\",\"properties\":{}}"},
    {"{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{}}}",
     "{\"type\":\"object\",\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{}}}"},
    /* alternatives: what all want is required, what one name means in several is either */
    {"{\"description\":\"d\",\"oneOf\":[{\"properties\":{\"k\":{\"const\":1},\"a\":{\"type\":"
     "\"string\"}},\"required\":[\"k\",\"a\"]},{\"properties\":{\"k\":{\"const\":2},\"b\":{}},"
     "\"required\":[\"k\"]}]}",
     "{\"type\":\"object\",\"description\":\"d\",\"properties\":{\"k\":{\"anyOf\":[{\"const\":1},{"
     "\"const\":2}]},\"a\":{\"type\":\"string\"},\"b\":{}},\"required\":[\"k\"]}"},
    {"{\"type\":\"object\",\"properties\":{\"x\":{}},\"required\":[\"x\"],\"anyOf\":[{\"required\":["
     "\"a\"]},{\"required\":[\"b\"]}],\"additionalProperties\":false}",
     "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"x\":{}},\"required\":["
     "\"x\"]}"},
    /* all of them hold */
    {"{\"allOf\":[{\"$ref\":\"#/$defs/p\"},{\"properties\":{\"b\":{}},\"required\":[\"b\"]}],"
     "\"$defs\":{\"p\":{\"properties\":{\"a\":{}},\"required\":[\"a\"]}}}",
     "{\"type\":\"object\",\"$defs\":{\"p\":{\"properties\":{\"a\":{}},\"required\":[\"a\"]}},"
     "\"properties\":{\"a\":{},\"b\":{}},\"required\":[\"a\",\"b\"]}"},
    /* references in circles end */
    {"{\"anyOf\":[{\"$ref\":\"#/$defs/a\"}],\"$defs\":{\"a\":{\"$ref\":\"#/$defs/a\"}}}",
     "{\"type\":\"object\",\"$defs\":{\"a\":{\"$ref\":\"#/$defs/a\"}},\"properties\":{}}"},
    {"{\"allOf\":[{\"$ref\":\"#/$defs/a\"}],\"$defs\":{\"a\":{\"properties\":{\"x\":{}},\"allOf\":[{"
     "\"$ref\":\"#/$defs/a\"},{\"$ref\":\"#/$defs/a\"}]}}}",
     "{\"type\":\"object\",\"$defs\":{\"a\":{\"properties\":{\"x\":{}},\"allOf\":[{\"$ref\":\"#/"
     "$defs/a\"},{\"$ref\":\"#/$defs/a\"}]}},\"properties\":{\"x\":{}}}"},
};

/* The output's. */
static const char *const output_schemas[][2] = {
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":5."
     "0},\"b\":{\"type\":[\"object\",\"null\"],\"additionalProperties\":{\"type\":\"string\"}}},"
     "\"required\":[\"a\"],\"$schema\":\"s\"}",
     "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\",\"description\":\"(minimum: "
     "1, maximum: 5.0)\"},\"b\":{\"type\":[\"object\",\"null\"],\"additionalProperties\":false,"
     "\"description\":\"(additionalProperties: {\\\"type\\\":\\\"string\\\"})\"}},\"required\":["
     "\"a\"],\"additionalProperties\":false}"},
    {"{\"type\":\"array\",\"items\":{\"properties\":{}},\"maxItems\":3,\"description\":\"d\"}",
     "{\"type\":\"array\",\"items\":{\"properties\":{},\"additionalProperties\":false},"
     "\"description\":\"d (maxItems: 3)\"}"},
    {"{\"oneOf\":[{\"type\":\"string\",\"format\":\"uuid\"},{\"type\":\"string\",\"format\":"
     "\"odd\"}],\"$defs\":{\"x\":{\"enum\":[1.0,\"a\"]}}}",
     "{\"anyOf\":[{\"type\":\"string\",\"format\":\"uuid\"},{\"type\":\"string\",\"description\":"
     "\"(format: \\\"odd\\\")\"}],\"$defs\":{\"x\":{\"enum\":[1.0,\"a\"]}}}"},
    {"{\"anyOf\":[true],\"oneOf\":[{}]}", "{\"anyOf\":[true],\"description\":\"(oneOf: [{}])\"}"},
    {"{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"description\":{\"type\":"
     "\"string\",\"default\":\"x\"}}}",
     "{\"type\":\"object\",\"properties\":{\"description\":{\"type\":\"string\",\"description\":"
     "\"(default: \\\"x\\\")\"}},\"additionalProperties\":false}"},
};

typedef void write_schema_fn(struct json_writer *w, struct slice schema, struct arena *a);

static void check_schema(const char *const pair[2], write_schema_fn *write) {
    struct arena *a = arena_new();
    struct buf out;
    buf_init(&out, TEST_BYTES);
    struct json_writer w = jw_begin(&out);
    write(&w, slice_cstr(pair[0]), a);
    assert_int_equal(jw_end(&w), 0);
    assert_slices(buf_slice(&out), slice_cstr(pair[1]));
    buf_dispose(&out);
    arena_free(a);
}

static void test_schemas(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++)
        check_schema(schemas[i], messages_w_input_schema);
    for (size_t i = 0; i < sizeof output_schemas / sizeof *output_schemas; i++)
        check_schema(output_schemas[i], messages_w_output_schema);
}

/* Every reference doubles the work: there is an end to it. */
static void test_schema_bomb(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct buf in, out;
    buf_init(&in, TEST_BYTES);
    buf_init(&out, TEST_BYTES);
    put(&in, SLICE("{\"allOf\":["));
    for (int i = 0; i < 3000; i++)
        put(&in, SLICE("{\"$ref\":\"#/$defs/a\"},"));
    put(&in, SLICE("{}],\"$defs\":{\"a\":{\"allOf\":["));
    for (int i = 0; i < 3000; i++)
        put(&in, SLICE("{\"$ref\":\"#/$defs/a\"},"));
    put(&in, SLICE("{}]}}}"));
    struct json_writer w = jw_begin(&out);
    messages_w_input_schema(&w, buf_slice(&in), a);
    assert_int_equal(jw_end(&w), 0);
    assert_int_equal(json_scan_object(buf_slice(&out), 128, NULL, NULL, NULL), 0);
    buf_dispose(&in);
    buf_dispose(&out);
    arena_free(a);
}

/* ---- thinking ---- */

#define EFFORT(e) CR("\"reasoning_effort\":\"" e "\"")
#define THINK(max, budget)                                                                         \
    "{\"model\":\"m\",\"max_tokens\":" max                                                         \
    ",\"messages\":[" U("hi") "],\"thinking\":{\"type\":"                                          \
                              "\"enabled\",\"budget_tokens\":" budget "}}"
#define ADAPT(e) MR("\"thinking\":{\"type\":\"adaptive\"},\"output_config\":{\"effort\":\"" e "\"}")

static void prove(struct llm_request *rq) {
    static struct part parts[2] = {
        {.kind = PART_REASONING, .text = {"hm ", 3}, .proof = {"sig", 3}}};
    struct message *m = rq->messages->next;
    parts[1] = m->parts[m->n_parts - 1];
    m->parts = parts;
    m->n_parts = 2;
}

#define LOOP_EFFORT                                                                                \
    "{\"model\":\"m\",\"reasoning_effort\":\"low\",\"messages\":[" U("q") "," CALLS(               \
        "null", CALL("a", "{}")) "," TOOL("a", "1") "]}"

static const struct row thinking[] = {
    {"G14", CR("\"reasoning_effort\":\"high\",\"max_tokens\":2000,\"temperature\":0.5"),
     THINK("2000", "1999"), "temperature", BUDGET, NULL},
    {"G15", CR("\"reasoning_effort\":\"high\",\"max_tokens\":800"),
     "{\"model\":\"m\",\"max_tokens\":800,\"messages\":[" U("hi") "]}", "reasoning_effort", BUDGET,
     NULL},
    {"1024 leaves nothing to answer with", CR("\"reasoning_effort\":\"low\",\"max_tokens\":1024"),
     "{\"model\":\"m\",\"max_tokens\":1024,\"messages\":[" U("hi") "]}", "reasoning_effort", BUDGET,
     NULL},
    {"1025 does", CR("\"reasoning_effort\":\"low\",\"max_tokens\":1025"), THINK("1025", "1024"),
     NULL, BUDGET, NULL},
    {"a default makes room", EFFORT("minimal"), THINK("5120", "1024"), NULL, BUDGET, NULL},
    {"medium", EFFORT("medium"), THINK("6144", "2048"), NULL, BUDGET, NULL},
    {"xhigh", EFFORT("xhigh"), THINK("12288", "8192"), NULL, BUDGET, NULL},
    {"max", EFFORT("max"), THINK("20480", "16384"), NULL, BUDGET, NULL},
    {"none", EFFORT("none"), MR("\"thinking\":{\"type\":\"disabled\"}"), NULL, BUDGET, NULL},
    {"nothing asked, nothing said", C(U("hi")), M(U("hi")), NULL, ADAPTIVE, NULL},
    {"adaptive: minimal is low", EFFORT("minimal"), ADAPT("low"), NULL, ADAPTIVE, NULL},
    {"adaptive: medium", EFFORT("medium"), ADAPT("medium"), NULL, ADAPTIVE, NULL},
    {"adaptive: no top", EFFORT("xhigh"), ADAPT("high"), NULL, ADAPTIVE, NULL},
    {"adaptive: top", EFFORT("xhigh"), ADAPT("xhigh"), NULL, TOP_EFFORT, NULL},
    {"adaptive: max", EFFORT("max"), ADAPT("max"), NULL, TOP_EFFORT, NULL},
    {"a model that does not think", EFFORT("high"), M(U("hi")), "reasoning_effort", NO_THINKING,
     NULL},
    {"the extension",
     CR("\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":3000},\"max_tokens\":"
        "9000"),
     THINK("9000", "3000"), NULL, BUDGET, NULL},
    {"the extension, on a model that measures itself",
     CR("\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":5000,\"display\":\"summarized\"}"),
     MR("\"thinking\":{\"type\":\"adaptive\",\"display\":\"summarized\"},\"output_config\":{"
        "\"effort\":\"high\"}"),
     NULL, ADAPTIVE, NULL},
    {"sampling while thinking",
     CR("\"reasoning_effort\":\"low\",\"temperature\":1,\"top_p\":0.5,\"max_tokens\":9000"),
     "{\"model\":\"m\",\"max_tokens\":9000,\"messages\":[" U(
         "hi") "],\"thinking\":{\"type\":"
               "\"enabled\",\"budget_tokens\":1024},\"temperature\":1}",
     "top_p", BUDGET, NULL},
    {"no prefill while thinking",
     "{\"model\":\"m\",\"reasoning_effort\":\"low\",\"messages\":[" U("q") "," A("It ") "]}",
     "{\"model\":\"m\",\"max_tokens\":5120,\"messages\":[" U("q") "," A("It ") "," U(
         "Continue.") "],\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}}",
     NULL, BUDGET, NULL},
    {"results whose call lost its thinking: without", LOOP_EFFORT,
     MS(U("q") "," AB(USE("a", "{}")) "," UB(RESULT("a", "1"))), "reasoning_effort", BUDGET, NULL},
    {"with it", LOOP_EFFORT,
     "{\"model\":\"m\",\"max_tokens\":5120," SEEN ",\"thinking\":{\"type\":\"enabled\",\"budget_"
     "tokens\":1024},\"messages\":[" U("q") "," AB(
         "{\"type\":\"thinking\",\"thinking\":\"hm \","
         "\"signature\":\"sig\"}," USE("a", "{}")) "," UB(RESULT("a", "1")) "]}",
     NULL, BUDGET, prove},
    {"adaptive models do not mind", LOOP_EFFORT,
     "{\"model\":\"m\",\"max_tokens\":4096," SEEN ",\"thinking\":{\"type\":\"adaptive\"},\"output_"
     "config\":{\"effort\":\"low\"},\"messages\":[" U("q") "," AB(USE("a", "{}")) "," UB(
         RESULT("a", "1")) "]}",
     NULL, ADAPTIVE, NULL},
};

static void test_thinking(void **state) {
    (void)state;
    CHECK(thinking);
}

/* ---- reasoning of earlier turns ---- */

#define REASONED                                                                                   \
    C(U("q") ",{\"role\":\"assistant\",\"content\":\"a\",\"reasoning_content\":\"hm\"}," U("r"))

static void redact(struct llm_request *rq) {
    rq->messages->next->parts[0].kind = PART_REDACTED;
    rq->messages->next->parts[0].proof = SLICE("data");
}

static void sign(struct llm_request *rq) {
    rq->messages->next->parts[0].proof = SLICE("sig");
    rq->messages->next->parts[0].text = SLICE("");
}

static const struct row reasoning[] = {
    {"unsigned thinking is never sent", REASONED, M(U("q") "," AB(T("a")) "," U("r")), NULL, BUDGET,
     NULL},
    {"but where nobody verifies it", REASONED,
     M(U("q") "," AB(
         "{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"\"}," T("a")) "," U("r")),
     NULL, UNVERIFIED, NULL},
    {"a signature alone is kept", REASONED,
     M(U("q") "," AB(
         "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"sig\"}," T("a")) "," U("r")),
     NULL, BUDGET, sign},
    {"redacted", REASONED,
     M(U("q") "," AB("{\"type\":\"redacted_thinking\",\"data\":\"data\"}," T("a")) "," U("r")),
     NULL, BUDGET, redact},
    {"reasoning alone is no turn",
     C(U("q") ",{\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"hm\"}," U("r")),
     M(UB(T("q") "," T("r"))), NULL, BUDGET, sign},
};

static void test_reasoning(void **state) {
    (void)state;
    CHECK(reasoning);
}

/* ---- the other fields ---- */

#define SCHEMA(name, schema)                                                                       \
    "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"" name              \
    "\",\"strict\":true,\"schema\":" schema "}}"
#define LINE "Answer with one JSON object and nothing else: no text around it, no code fence."

static void tier_flex(struct llm_request *rq) {
    rq->service_tier = SLICE("flex");
}

static void complete(struct llm_request *rq) {
    rq->is_completion = true;
}

static const struct row fields[] = {
    {"G13", CR("\"temperature\":1.7"), MR("\"temperature\":1.0"), NULL, BUDGET, NULL},
    {"G13: where it is not known", CR("\"temperature\":1.7,\"top_p\":0.5"), M(U("hi")),
     "temperature,top_p", NO_SAMPLING, NULL},
    {"as it was spelt", CR("\"temperature\":0.70"), MR("\"temperature\":0.70"), NULL, BUDGET, NULL},
    {"below", CR("\"temperature\":-1"), MR("\"temperature\":0"), NULL, BUDGET, NULL},
    {"top_p alone", CR("\"top_p\":0.5"), MR("\"top_p\":0.5"), NULL, BUDGET, NULL},
    {"top_p beside temperature", CR("\"temperature\":0.1,\"top_p\":0.5"), MR("\"temperature\":0.1"),
     "top_p", BUDGET, NULL},
    {"top_k", CR("\"top_k\":7"), MR("\"top_k\":7"), NULL, BUDGET, NULL},
    {"stop", CR("\"stop\":[\"a\",\"\",\" \\n\",\"b\"]"), MR("\"stop_sequences\":[\"a\",\"b\"]"),
     NULL, BUDGET, NULL},
    {"stop as a string", CR("\"stop\":\"END\""), MR("\"stop_sequences\":[\"END\"]"), NULL, BUDGET,
     NULL},
    {"blank stops only", CR("\"stop\":[\" \"]"), M(U("hi")), NULL, BUDGET, NULL},
    {"user", CR("\"user\":\"u\""), MR("\"metadata\":{\"user_id\":\"u\"}"), NULL, BUDGET, NULL},
    {"safety_identifier", CR("\"safety_identifier\":\"s\""), MR("\"metadata\":{\"user_id\":\"s\"}"),
     NULL, BUDGET, NULL},
    {"tier auto", CR("\"service_tier\":\"auto\""), MR("\"service_tier\":\"auto\""), NULL, BUDGET,
     NULL},
    {"tier default", CR("\"service_tier\":\"default\""), MR("\"service_tier\":\"standard_only\""),
     NULL, BUDGET, NULL},
    {"other tiers", C(U("hi")), M(U("hi")), "service_tier", BUDGET, tier_flex},
    {"stream", CR("\"stream\":true,\"stream_options\":{\"include_usage\":true}"),
     MR("\"stream\":true"), NULL, BUDGET, NULL},
    {"max_completion_tokens", CR("\"max_completion_tokens\":5"),
     "{\"model\":\"m\",\"max_tokens\":5,\"messages\":[" U("hi") "]}", NULL, BUDGET, NULL},
    {"completions have a default of their own", C(U("hi")),
     "{\"model\":\"m\",\"max_tokens\":16,\"messages\":[" U("hi") "]}", NULL, BUDGET, complete},
    {"G23", CR(SCHEMA("n", "{\"type\":\"object\",\"additionalProperties\":false}")),
     MR("\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\","
        "\"additionalProperties\":false}}}"),
     NULL, STRUCTURED, NULL},
    {"a schema in Anthropic's subset", CR(SCHEMA("n", "{\"type\":\"object\",\"minProperties\":1}")),
     MR("\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\","
        "\"additionalProperties\":false,\"description\":\"(minProperties: 1)\"}}}"),
     NULL, STRUCTURED, NULL},
    {"as it is elsewhere", CR(SCHEMA("n", "{\"type\":\"object\",\"minProperties\":1}")),
     MR("\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\","
        "\"minProperties\":1}}}"),
     NULL, STRUCTURED_OTHER, NULL},
    {"a schema in words", CR(SCHEMA("n", "{ \"a\": 1.0 }")),
     MR("\"system\":[" T(LINE " It must match this JSON Schema:\\n{\\\"a\\\":1.0}") "]"), NULL,
     BUDGET, NULL},
    {"any object, in words", CR("\"response_format\":{\"type\":\"json_object\"}"),
     MR("\"system\":[" T(LINE) "]"), NULL, STRUCTURED, NULL},
    {"text is what it is anyway", CR("\"response_format\":{\"type\":\"text\"}"), M(U("hi")), NULL,
     STRUCTURED, NULL},
    {"no prefill beside a format",
     "{\"model\":\"m\"," SCHEMA("n", "{}") ",\"messages\":[" U("q") "," A("{") "]}",
     "{\"model\":\"m\",\"max_tokens\":4096,\"messages\":[" U("q") "," A("{") "," U(
         "Continue.") "],\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{}}}}",
     NULL, STRUCTURED, NULL},
};

static void test_fields(void **state) {
    (void)state;
    CHECK(fields);
}

static void test_dropped(void **state) {
    (void)state;
    static const char *const names[] = {
        "frequency_penalty", "presence_penalty", "logit_bias", "seed",      "verbosity",
        "metadata",          "prompt_cache_key", "store",      "prediction"};
    struct made m;
    make(&m,
         CR("\"frequency_penalty\":1,\"presence_penalty\":0.5,\"logit_bias\":{\"5\":1},\"seed\":1,"
            "\"verbosity\":\"low\",\"metadata\":{\"a\":\"b\"},\"prompt_cache_key\":\"k\",\"store\":"
            "true,\"prediction\":{\"type\":\"content\"},\"unset\":null,\"n\":1"),
         BUDGET, NULL);
    assert_int_equal(m.rc, 0);
    assert_same_json(SLICE(M(U("hi"))), buf_slice(&m.out));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!strstr(m.dropped, names[i])) print_error("%s not in %s\n", names[i], m.dropped);
        assert_non_null(strstr(m.dropped, names[i]));
    }
    assert_null(strstr(m.dropped, "unset"));
    assert_null(strstr(m.dropped, "n,"));
    buf_dispose(&m.out);
}

/* ---- refused ---- */

static void foreign_file(struct llm_request *rq) {
    static struct part p = {.kind = PART_IMAGE, .file_id = {"file-1", 6}};
    rq->messages->parts = &p;
    rq->messages->n_parts = 1;
    rq->messages->content_is_string = false;
}

static void effort_odd(struct llm_request *rq) {
    rq->reasoning.effort = SLICE("much");
    rq->origin = "responses";
}

static void choose_hosted(struct llm_request *rq) {
    rq->tool_choice = TOOL_CHOICE_OTHER;
}

static void allow_none(struct llm_request *rq) {
    allow(rq);
    rq->n_allowed = 0;
}

static void ask_logprobs(struct llm_request *rq) {
    rq->logprobs = 1;
}

static void ask_audio(struct llm_request *rq) {
    rq->wants_audio = true;
}

static const struct {
    const char *what, *body, *param;
    enum caps_kind caps;
    change_fn *change;
} refused[] = {
    {"G24", CR("\"n\":2"), "n", BUDGET, NULL},
    {"logprobs", C(U("hi")), "logprobs", BUDGET, ask_logprobs},
    {"audio out", C(U("hi")), "modalities", BUDGET, ask_audio},
    {"audio in",
     C(UB("{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"AA==\",\"format\":"
          "\"wav\"}}")),
     "messages", BUDGET, NULL},
    {"strange content", C(UB("{\"type\":\"video_url\",\"video_url\":{\"url\":\"x\"}}")), "messages",
     BUDGET, NULL},
    {"a file that lies elsewhere", C(UB("{\"type\":\"file\",\"file\":{\"file_id\":\"f1\"}}")),
     "messages", BUDGET, NULL},
    {"an image that lies elsewhere", C(U("x")), "messages", BUDGET, foreign_file},
    {"a URL for a server that fetches none", C(IMG("https://x")), "messages", NO_URLS, NULL},
    {"no data URL", C(IMG("data:image/png")), "messages", BUDGET, NULL},
    {"a file of no known type", C(FILE_PART("a.zip", "data:application/zip;base64,AAAA")),
     "messages", BUDGET, NULL},
    {"a text file of no base64", C(FILE_PART("a.txt", "data:text/plain;base64,\\u00e9")),
     "messages", BUDGET, NULL},
    {"a hosted tool by name", CR(TOOLS), "tool_choice", BUDGET, choose_hosted},
    {"no tool allowed", CR(TOOLS), "tool_choice", BUDGET, allow_none},
    {"an unknown effort", C(U("hi")), "reasoning.effort", BUDGET, effort_odd},
};

static void test_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct made m;
        make(&m, refused[i].body, refused[i].caps, refused[i].change);
        if (m.rc != -ERR_USAGE || strcmp(m.fault.param, refused[i].param) != 0)
            print_error("%s: %d %s\n%.*s\n", refused[i].what, m.rc, m.fault.param,
                        SLICE_FMT(buf_slice(&m.out)));
        assert_int_equal(m.rc, -ERR_USAGE);
        assert_string_equal(m.fault.param, refused[i].param);
        assert_true(m.fault.message[0] != '\0' && m.fault.code);
        assert_int_equal(m.out.len, 0);
        buf_dispose(&m.out);
    }
}

/* ---- behind adapt.c, as the gateway does it ---- */

static const struct {
    const char *what, *body, *expected;
} translated[] = {
    {"G21: a call that nobody answered",
     C(U("q") "," CALLS("null", CALL("a", "{}") "," CALL("b", "{}")) "," TOOL("b",
                                                                              "2") "," U("on")),
     MS(U("q") "," AB(USE("a", "{}") "," USE("b", "{}")) "," UB(
         "{\"type\":\"tool_result\",\"tool_use_id\":\"a\",\"content\":\"no result provided\","
         "\"is_error\":true}," RESULT("b", "2") "," T("on")))},
    {"a custom tool, its call and its result",
     "{\"model\":\"m\",\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":\"f\"}}],\"messages\":[" U(
         "q") ",{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"a\",\"type\":"
              "\"custom\",\"custom\":{\"name\":\"f\",\"input\":\"say \\\"x\\\"\"}}]}," TOOL(
                  "a", "1") "]}",
     "{\"model\":\"m\",\"max_tokens\":4096,\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":"
     "\"object\",\"properties\":{\"input\":{\"type\":\"string\"}},\"required\":[\"input\"]}}],"
     "\"messages\":[" U("q") "," AB(USE("a", "{\"input\":\"say \\\"x\\\"\"}")) "," UB(
         RESULT("a", "1")) "]}"},
    {"structured output by a tool", CR(SCHEMA("n", "{\"type\":\"object\",\"properties\":{}}")),
     MR("\"tools\":[{\"name\":\"json_output\",\"description\":\"Gives the answer in the form that "
        "was asked for.\",\"input_schema\":{\"type\":\"object\",\"properties\":{}}}],\"tool_choice\":"
        "{\"type\":\"tool\",\"name\":\"json_output\"}")},
    {"only some of the tools",
     CR("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}},{\"type\":\"function\","
        "\"function\":{\"name\":\"g\"}}],\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{"
        "\"mode\":\"auto\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"g\"}}]}}"),
     MR("\"tools\":[{\"name\":\"g\",\"input_schema\":{\"type\":\"object\",\"properties\":{}}}],"
        "\"tool_choice\":{\"type\":\"auto\"}")},
};

static void test_translated(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof translated / sizeof *translated; i++) {
        struct arena *a = arena_new();
        struct capabilities caps = caps_of(BUDGET);
        struct translation *t = translation_new(a, &dialect_chat, &dialect_messages, &caps);
        struct llm_request rq;
        struct request_fault fault;
        struct buf out;
        buf_init(&out, TEST_BYTES);
        int rc = dialect_chat.decode_request(slice_cstr(translated[i].body), a, &rq, &fault);
        if (rc == 0) rc = request_translate(&rq, t, &out, &fault);
        if (rc) print_error("%s: %s\n", translated[i].what, fault.message);
        assert_int_equal(rc, 0);
        assert_same_json(slice_cstr(translated[i].expected), buf_slice(&out));
        buf_dispose(&out);
        arena_free(a);
    }
}

/* Without a translation (tests, tools) nothing is noted, and the rest is the same. */
static void test_without_translation(void **state) {
    (void)state;
    struct arena *a = arena_new();
    struct llm_request rq;
    struct request_fault fault;
    struct buf out;
    assert_int_equal(dialect_chat.decode_request(SLICE(CR("\"seed\":1")), a, &rq, &fault), 0);
    buf_init(&out, TEST_BYTES);
    assert_int_equal(messages_encode_request(&rq, NULL, &out, NULL), 0);
    assert_same_json(SLICE(M(U("hi"))), buf_slice(&out));
    rq.env.n = 2;
    assert_int_equal(messages_encode_request(&rq, NULL, &out, NULL), -ERR_USAGE);
    buf_dispose(&out);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turns),          cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_deep_arguments), cmocka_unit_test(test_media),
        cmocka_unit_test(test_tools),          cmocka_unit_test(test_schemas),
        cmocka_unit_test(test_schema_bomb),    cmocka_unit_test(test_thinking),
        cmocka_unit_test(test_reasoning),      cmocka_unit_test(test_fields),
        cmocka_unit_test(test_dropped),        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_translated),     cmocka_unit_test(test_without_translation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
