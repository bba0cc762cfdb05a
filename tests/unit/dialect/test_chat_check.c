/* SPDX-License-Identifier: Apache-2.0 */
/* The grammar of chat's and completions' streams: each rule is broken once. Frames are written with
 * ' for ", and without what all chunks share. */
#include "dialect_test.h"

#define MAX_FRAMES 6

static const struct row {
    const struct dialect *dialect;
    const char *problem; /* at the last frame; "": none; "end": at the end */
    const char *frames[MAX_FRAMES];
} rows[] = {
#define CHAT &dialect_chat
#define COMP &dialect_completions
#define C(delta) "[{'index':0,'delta':{" delta "},'finish_reason':null}]"
#define ROLE "[{'index':0,'delta':{'role':'assistant','content':''},'finish_reason':null}]"
#define END "[{'index':0,'delta':{},'finish_reason':'stop'}]"
#define USAGE "[],'usage':{'prompt_tokens':1,'completion_tokens':2,'total_tokens':3}"
#define DONE "=[DONE]"
#define T(text, finish) "[{'text':'" text "','index':0,'finish_reason':" finish "}]"
#define CALL(members) C("'tool_calls':[{" members "}]")
#define FIRST CALL("'index':0,'id':'a','type':'function','function':{'name':'f','arguments':''}")
    {CHAT, "", {ROLE, C("'content':'a'"), END, USAGE, DONE}},
    {CHAT, "", {ROLE, END ",'usage':null", DONE}},
    {CHAT, "", {ROLE, FIRST, CALL("'index':0,'function':{'arguments':'{}'}"), END, DONE}},
    {CHAT,
     "",
     {ROLE, CALL("'index':0,'id':'a','type':'custom','custom':{'name':'f','input':''}"),
      CALL("'index':0,'custom':{'input':'x'}"), END, DONE}},
    {CHAT, "", {ROLE, "={'error':{'message':'x'}}"}},
    {CHAT, "", {"={'error':{'message':'x'}}"}},
    {CHAT, "", {"={'id':'','object':'','created':0,'model':'','choices':[]}", ROLE, END, DONE}},
    {CHAT, "", {":comment", ROLE, END, DONE}},
    {CHAT, "data that is not JSON", {ROLE, "={"}},
    {CHAT, "data that is not a JSON object", {ROLE, "=[]"}},
    {CHAT, "a chunk without a list of choices", {ROLE, "={'id':'i','type':'ping'}"}},
    {CHAT, "a chunk without a list of choices", {ROLE, "7"}}, /* choices: 7 */
    {CHAT, "a chunk with another id, created or model",
     {ROLE, "={'id':'j','object':'chat.completion.chunk','created':1,'model':'m','choices':[]}"}},
    {CHAT, "a chunk with another id, created or model",
     {ROLE, "={'id':'i','object':'chat.completion.chunk','created':2,'model':'m','choices':[]}"}},
    {CHAT, "a chunk with another id, created or model",
     {ROLE, "={'id':'i','object':'chat.completion.chunk','created':1,'model':'n','choices':[]}"}},
    {CHAT, "a chunk with another object than the dialect's",
     {ROLE, "={'id':'i','object':'chat.completion','created':1,'model':'m','choices':[]}"}},
    {CHAT, "a chunk without an id",
     {"={'object':'chat.completion.chunk','created':1,'model':'m','choices':[]}"}},
    {CHAT, "a chunk whose created is no whole number",
     {"={'id':'i','object':'chat.completion.chunk','created':1.5,'model':'m','choices':[]}"}},
    {CHAT, "a choice without a valid index", {"[{'delta':{'role':'assistant'}}]"}},
    {CHAT, "a choice without a valid index", {"[{'index':128,'delta':{'role':'assistant'}}]"}},
    {CHAT, "a choice without a delta", {ROLE, "[{'index':0,'finish_reason':null}]"}},
    {CHAT, "a choice that begins without its role", {C("'content':'a'")}},
    {CHAT, "a choice's role said again", {ROLE, ROLE}},
    {CHAT, "a role other than assistant", {C("'role':'user'")}},
    {CHAT, "a content that is no string", {ROLE, C("'content':[]")}},
    {CHAT, "a chunk of a choice that has finished", {ROLE, END, C("'content':'a'")}},
    {CHAT, "a chunk of a choice that has finished", {ROLE, END, END}},
    {CHAT, "a finish reason that is no string",
     {ROLE, "[{'index':0,'delta':{},'finish_reason':7}]"}},
    {CHAT, "an empty finish reason", {ROLE, "[{'index':0,'delta':{},'finish_reason':''}]"}},
    {CHAT, "a call's fragment without an index", {ROLE, CALL("'id':'a'")}},
    {CHAT, "a call's fragment without its function", {ROLE, CALL("'index':0,'id':'a'")}},
    {CHAT, "a call's index that leaves others out",
     {ROLE, CALL("'index':1,'id':'a','type':'function','function':{'name':'f','arguments':''}")}},
    {CHAT, "a call opened without an id",
     {ROLE, CALL("'index':0,'type':'function','function':{'name':'f','arguments':''}")}},
    {CHAT, "a call opened without its type",
     {ROLE, CALL("'index':0,'id':'a','function':{'name':'f','arguments':''}")}},
    {CHAT, "a call opened without a name",
     {ROLE, CALL("'index':0,'id':'a','type':'function','function':{'arguments':''}")}},
    {CHAT, "a call's fragment without a string of arguments",
     {ROLE, CALL("'index':0,'id':'a','type':'function','function':{'name':'f','arguments':{}}")}},
    {CHAT, "a call's id, type or name said again", {ROLE, FIRST, FIRST}},
    {CHAT, "a call that changes its type",
     {ROLE, FIRST, CALL("'index':0,'custom':{'input':'x'}")}},
    {CHAT, "a usage chunk before a choice's finish reason", {ROLE, USAGE}},
    {CHAT, "a second usage chunk", {ROLE, END, USAGE, USAGE}},
    {CHAT, "a usage without its counters", {ROLE, END, "[],'usage':{}"}},
    {CHAT, "a usage that is no object", {ROLE, "[],'usage':7"}},
    {CHAT, "a choice behind the usage chunk",
     {ROLE, END, USAGE, "[{'index':1,'delta':{'role':'assistant'},'finish_reason':null}]"}},
    {CHAT, "[DONE] before a choice's finish reason", {ROLE, DONE}},
    {CHAT, "[DONE] before a choice's finish reason", {DONE}},
    {CHAT, "a second [DONE]", {ROLE, END, DONE, DONE}},
    {CHAT, "an event behind [DONE]", {ROLE, END, DONE, USAGE}},
    {CHAT, "an event behind an error", {ROLE, "={'error':{'message':'x'}}", DONE}},
    {CHAT, "an event with a name", {ROLE, "@message_stop"}},
    {CHAT, "end", {ROLE, END}},
    {CHAT, "end", {NULL}},
    {COMP, "", {T("a", "null"), T("", "'stop'"), USAGE, DONE}},
    {COMP, "", {T("a", "'length'"), DONE}},
    {COMP, "a choice without a text", {ROLE}},
    {COMP, "a chunk of a choice that has finished", {T("a", "'stop'"), T("b", "null")}},
    {COMP, "a chunk with another object than the dialect's",
     {"={'id':'i','object':'chat.completion.chunk','created':1,'model':'m','choices':[]}"}},
    {COMP, "[DONE] before a choice's finish reason", {T("a", "null"), DONE}},
    {COMP, "end", {T("a", "'stop'")}},
};

static void put_frame(struct buf *b, const struct row *row, const char *frame) {
    bool is_chat = row->dialect == &dialect_chat;
    if (frame[0] == ':') {
        put(b, SLICE(": comment\n\n"));
        return;
    }
    if (frame[0] == '@') assert_int_equal(buf_appendf(b, "event: %s\n", frame + 1), 0);
    put(b, SLICE("data: "));
    if (frame[0] == '=') put(b, slice_cstr(frame + 1));
    else {
        put(b, SLICE("{'id':'i','created':1,'model':'m','object':'"));
        put(b, is_chat ? SLICE("chat.completion.chunk") : SLICE("text_completion"));
        put(b, SLICE("','choices':"));
        put(b, frame[0] == '@' ? SLICE("[]") : slice_cstr(frame));
        put(b, SLICE("}"));
    }
    put(b, SLICE("\n\n"));
    for (size_t i = 0; i < b->len; i++) {
        if (b->ptr[i] == '\'') b->ptr[i] = '"';
    }
}

struct run {
    const struct dialect *dialect;
    struct checker *checker;
    unsigned n, n_bad;
    struct err e;
};

static int on_frame(void *self, const struct sse_frame *f) {
    struct run *r = self;
    struct err e;
    int rc = r->dialect->checker_frame(r->checker, f, &e);
    assert_true(rc == 0 || rc == -ERR_PROTOCOL);
    if (rc && r->n_bad++ == 0) r->e = e;
    return 0;
}

static void each_rule_is_checked(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        struct run r = {.dialect = row->dialect, .checker = row->dialect->checker_new()};
        struct sse_sink sink = {on_frame, &r};
        struct sse_parser p;
        struct buf wire;
        unsigned n = 0;
        buf_init(&wire, TEST_BYTES);
        sse_parser_init(&p, NULL);
        for (; n < MAX_FRAMES && row->frames[n]; n++) {
            assert_int_equal(r.n_bad, 0); /* only the last frame may be wrong */
            buf_reset(&wire);
            put_frame(&wire, row, row->frames[n]);
            assert_int_equal(sse_parser_feed(&p, buf_slice(&wire), &sink, NULL), 0);
        }
        bool is_frame = row->problem[0] && strcmp(row->problem, "end") != 0;
        if ((r.n_bad == 1) != is_frame)
            print_error("row %zu (%s): %s\n", i, row->problem, r.n_bad ? r.e.text : "nothing");
        assert_int_equal(r.n_bad, is_frame);
        if (is_frame) {
            const char *text = strstr(r.e.text, ": ");
            assert_non_null(text);
            assert_string_equal(text + 2, row->problem);
        } else {
            struct err e;
            int rc = row->dialect->checker_end(r.checker, &e);
            if ((rc != 0) != (row->problem[0] != '\0')) print_error("row %zu\n", i);
            assert_int_equal(rc, row->problem[0] ? -ERR_PROTOCOL : 0);
        }
        sse_parser_dispose(&p);
        row->dialect->checker_free(r.checker);
        buf_dispose(&wire);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_rule_is_checked)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
