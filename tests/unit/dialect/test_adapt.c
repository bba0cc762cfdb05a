/* SPDX-License-Identifier: Apache-2.0 */
/* Requests made to fit an upstream of another dialect: decoded by their own, adapted, and shown as
 * lines. */
#include "dialect_test.h"

#include "base/sha256.h"
#include "dialect/proof.h"
#include "dialect/translation.h"

static const struct dialect to_chat = {.name = "chat", .has_choices = true},
                            to_responses = {.name = "responses"},
                            to_messages = {.name = "messages"};

struct trial {
    struct arena *a;
    struct llm_request rq;
    struct translation *t;
    struct request_fault fault;
    struct capabilities caps;
    int rc;
    struct buf shown;
};

static struct trial adapt(const struct dialect *from, const struct dialect *to,
                          struct capabilities caps, const char *body) {
    static struct trial last;
    struct trial x = {.a = arena_new(), .caps = caps};
    buf_init(&x.shown, TEST_BYTES);
    last = x;
    x.t = translation_new(x.a, from, to, &last.caps);
    int rc = from->decode_request(slice_cstr(body), x.a, &x.rq, &x.fault);
    if (rc) fail_msg("not decoded: %s", x.fault.message);
    x.rc = request_adapt(&x.rq, x.t, &x.fault);
    return x;
}

static void close_trial(struct trial *x) {
    buf_dispose(&x->shown);
    arena_free(x->a);
}

/* ---- showing ---- */

static const char *role_names[] = {"system", "developer", "user", "assistant", "tool", "function"};
static const char *part_names[] = {"text",     "image",    "audio", "file",   "refusal", "thought",
                                   "redacted", "call",     "custom", "legacy", "result",  "opaque"};

static void show_parts(struct buf *b, const struct part *parts, unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        const struct part *p = &parts[i];
        assert_int_equal(buf_appendf(b, " %s", part_names[p->kind]), 0);
        if (p->is_error) put(b, SLICE("!"));
        if (p->is_custom) put(b, SLICE("*"));
        if (p->id.len) assert_int_equal(buf_appendf(b, " %.*s", SLICE_FMT(p->id)), 0);
        if (p->name.len) assert_int_equal(buf_appendf(b, " %.*s", SLICE_FMT(p->name)), 0);
        if (p->proof.len) assert_int_equal(buf_appendf(b, " ~%.*s", SLICE_FMT(p->proof)), 0);
        if (p->item_id.len) assert_int_equal(buf_appendf(b, " #%.*s", SLICE_FMT(p->item_id)), 0);
        assert_int_equal(buf_appendf(b, " <%.*s>", SLICE_FMT(p->text)), 0);
        if (p->n_inner) {
            put(b, SLICE(" ("));
            show_parts(b, p->inner, p->n_inner);
            put(b, SLICE(" )"));
        }
    }
}

static void show_messages(struct trial *x) {
    unsigned n = 0;
    const struct message *last = NULL;
    for (const struct message *m = x->rq.messages; m; last = m, m = m->next, n++) {
        put(&x->shown, slice_cstr(role_names[m->role]));
        show_parts(&x->shown, m->parts, m->n_parts);
        put(&x->shown, SLICE("\n"));
    }
    assert_int_equal(n, x->rq.n_messages);
    assert_ptr_equal(last, x->rq.messages_end);
}

static void expect(const struct dialect *from, const struct dialect *to, struct capabilities caps,
                   const char *body, const char *messages) {
    struct trial x = adapt(from, to, caps, body);
    if (x.rc) fail_msg("refused: %s", x.fault.message);
    show_messages(&x);
    assert_slices(buf_slice(&x.shown), slice_cstr(messages));
    close_trial(&x);
}

static void expect_fault(const struct dialect *from, const struct dialect *to,
                         struct capabilities caps, const char *body, const char *param,
                         const char *code) {
    struct trial x = adapt(from, to, caps, body);
    if (x.rc == 0) fail_msg("taken: %s", body);
    assert_int_equal(x.rc, -ERR_USAGE);
    assert_string_equal(x.fault.param, param);
    assert_string_equal(x.fault.code, code);
    assert_true(strlen(x.fault.message) > 20);
    close_trial(&x);
}

static void expect_refused(const struct dialect *from, const struct dialect *to,
                           struct capabilities caps, const char *body, const char *param) {
    expect_fault(from, to, caps, body, param, "unsupported_parameter");
}

static const struct capabilities anthropic = {.family = PROOF_ANTHROPIC,
                                              .tool_id = TOOL_ID_WORD,
                                              .tool_name_max_bytes = 128,
                                              .output_format = true,
                                              .images_by_url = true},
                                 openai = {.family = PROOF_OPENAI,
                                           .openai_fields = true,
                                           .tool_name_max_bytes = 64,
                                           .images_by_url = true},
                                 plain = {.tool_name_max_bytes = 64};

#define CHAT(messages) "{\"model\":\"m\",\"messages\":[" messages "]}"
#define MESSAGES(messages) "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[" messages "]}"
#define USER "{\"role\":\"user\",\"content\":\"u\"}"

/* ---- results ---- */

#define CALLS                                                                                      \
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"a\",\"type\":\"function\","    \
    "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},{\"id\":\"b\",\"type\":\"function\","       \
    "\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]}"
#define CALL(id) "{\"id\":\"" id "\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}"
#define RESULT(id) "{\"role\":\"tool\",\"tool_call_id\":\"" id "\",\"content\":\"r" id "\"}"

static void results_in_place_stay(void **state) {
    (void)state;
    const char *body = CHAT(USER "," CALLS "," RESULT("a") "," RESULT("b") "," USER);
    const char *same = "user text <u>\nassistant call a f <{}> call b g <{}>\n"
                       "tool result a <ra>\ntool result b <rb>\nuser text <u>\n";
    expect(&dialect_chat, &to_messages, anthropic, body, same);
    expect(&dialect_chat, &to_responses, openai, body, same);
}

/* Ids that come twice are answered in order, whatever stands between; a third result is nobody's.
 * */
static void calls_of_one_id_are_answered_in_order(void **state) {
    (void)state;
    expect(&dialect_chat, &to_responses, openai,
           CHAT(USER ",{\"role\":\"assistant\",\"tool_calls\":[" CALL("x") "," CALL("y") "," CALL("x")
                "]}," RESULT("x") "," RESULT("y") "," RESULT("x") "," RESULT("x")),
           "user text <u>\nassistant call x f <{}> call y f <{}> call x f <{}>\n"
           "tool result x <rx>\ntool result y <ry>\ntool result x <rx>\nuser text <rx>\n");
}

static void results_in_the_order_of_their_calls(void **state) {
    (void)state;
    const char *body = CHAT(USER "," CALLS "," RESULT("b") "," RESULT("a"));
    expect(&dialect_chat, &to_messages, anthropic, body,
           "user text <u>\nassistant call a f <{}> call b g <{}>\n"
           "tool result a <ra>\ntool result b <rb>\n");
    expect(&dialect_chat, &to_responses, openai, body,
           "user text <u>\nassistant call a f <{}> call b g <{}>\n"
           "tool result b <rb>\ntool result a <ra>\n");
}

static void a_missing_result_is_made_up(void **state) {
    (void)state;
    expect(&dialect_chat, &to_messages, anthropic, CHAT(USER "," CALLS "," RESULT("b") "," USER),
           "user text <u>\nassistant call a f <{}> call b g <{}>\n"
           "tool result! a <no result provided>\ntool result b <rb>\nuser text <u>\n");
    expect(&dialect_chat, &to_responses, openai, CHAT(USER "," CALLS),
           "user text <u>\nassistant call a f <{}> call b g <{}>\n"
           "tool result! a <no result provided>\ntool result! b <no result provided>\n");
}

static void an_orphan_becomes_the_users_text(void **state) {
    (void)state;
    expect(&dialect_chat, &to_messages, anthropic,
           CHAT(USER "," RESULT("z") "," CALLS "," RESULT("a") "," RESULT("b") "," RESULT("a")
                "," RESULT("y")),
           "user text <u>\nuser text <rz>\nassistant call a f <{}> call b g <{}>\n"
           "tool result a <ra>\ntool result b <rb>\nuser text <ra>\nuser text <ry>\n");
    /* one that says nothing is gone */
    expect(&dialect_chat, &to_messages, anthropic,
           CHAT(USER ",{\"role\":\"tool\",\"tool_call_id\":\"z\",\"content\":\"\"}"),
           "user text <u>\n");
}

static void system_texts_between_move_behind(void **state) {
    (void)state;
    expect(&dialect_chat, &to_messages, anthropic,
           CHAT(USER "," CALLS ",{\"role\":\"system\",\"content\":\"s1\"}," RESULT("a")
                ",{\"role\":\"developer\",\"content\":\"s2\"}," RESULT("b") "," USER),
           "user text <u>\nassistant call a f <{}> call b g <{}>\ntool result a <ra>\n"
           "tool result b <rb>\nsystem text <s1>\ndeveloper text <s2>\nuser text <u>\n");
}

/* Clients that send each of two parallel calls in a message of its own. */
static void assistants_messages_with_calls_are_one_turn(void **state) {
    (void)state;
    expect(&dialect_chat, &to_messages, anthropic,
           CHAT(USER
                ",{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"a\",\"type\":\"function\","
                "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"
                "{\"role\":\"assistant\",\"content\":\"t\",\"tool_calls\":[{\"id\":\"b\",\"type\":"
                "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}," RESULT(
                    "a") "," RESULT("b")),
           "user text <u>\nassistant text <t> call a f <{}> call b f <{}>\n"
           "tool result a <ra>\ntool result b <rb>\n");
}

static void texts_stand_before_calls(void **state) {
    (void)state;
    const char *body =
        MESSAGES(USER ",{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"one\"},"
                      "{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":{}},"
                      "{\"type\":\"text\",\"text\":\"two\"}]},"
                      "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":"
                      "\"a\",\"content\":\"r\"}]}");
    expect(&dialect_messages, &to_chat, plain, body,
           "user text <u>\nassistant text <one> text <two> call a f <{}>\ntool result a <r>\n");
    expect(&dialect_messages, &to_responses, openai, body,
           "user text <u>\nassistant text <one> call a f <{}> text <two>\ntool result a <r>\n");
}

static void a_legacy_call_is_a_call(void **state) {
    (void)state;
    struct trial x =
        adapt(&dialect_chat, &to_messages, anthropic,
              "{\"model\":\"m\",\"functions\":[{\"name\":\"f\",\"parameters\":{}}],\"messages\":[" USER
              ",{\"role\":\"assistant\",\"content\":null,\"function_call\":{\"name\":\"f\","
              "\"arguments\":\"{}\"}},{\"role\":\"function\",\"name\":\"f\",\"content\":\"r\"}]}");
    assert_int_equal(x.rc, 0);
    assert_true(x.t->legacy_functions);
    const struct message *m = x.rq.messages->next;
    assert_int_equal(m->parts[0].kind, PART_TOOL_CALL);
    assert_true(m->parts[0].id.len > 0);
    assert_int_equal(m->next->role, ROLE_TOOL);
    assert_slices(m->next->parts[0].id, m->parts[0].id);
    assert_null(m->next->next);
    close_trial(&x);
}

/* ---- ids ---- */

#define CALL_AND_RESULT(id)                                                                        \
    "{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"" id                                        \
    "\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]},"              \
    "{\"role\":\"tool\",\"tool_call_id\":\"" id "\",\"content\":\"r\"}"

static void ids_become_such_as_are_taken(void **state) {
    (void)state;
    static const struct {
        enum tool_id_style style;
        const char *letters;
    } styles[] = {
        {TOOL_ID_WORD, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"},
        {TOOL_ID_NINE, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"}};
    const char *body = CHAT(USER "," CALL_AND_RESULT("call:1") "," CALL_AND_RESULT("same")
                            "," CALL_AND_RESULT("same") "," CALL_AND_RESULT("abcDEF123"));
    for (size_t s = 0; s < 2; s++) {
        struct capabilities caps = plain;
        struct slice seen[4];
        unsigned n = 0;
        caps.tool_id = styles[s].style;
        struct trial x = adapt(&dialect_chat, &to_messages, caps, body),
                     again = adapt(&dialect_chat, &to_messages, caps, body);
        show_messages(&x);
        show_messages(&again);
        assert_slices(buf_slice(&x.shown), buf_slice(&again.shown)); /* the same every time */
        for (const struct message *m = x.rq.messages; m; m = m->next) {
            if (m->role != ROLE_ASSISTANT) continue;
            struct slice id = m->parts[0].id;
            assert_slices(m->next->parts[0].id, id);
            for (size_t i = 0; i < id.len; i++)
                assert_non_null(memchr(styles[s].letters, id.ptr[i], strlen(styles[s].letters)));
            if (styles[s].style == TOOL_ID_NINE) assert_int_equal(id.len, 9);
            for (unsigned i = 0; i < n; i++) assert_false(slice_eq(seen[i], id));
            seen[n++] = id;
        }
        assert_int_equal(n, 4);
        assert_slices(seen[3], SLICE("abcDEF123")); /* fits as it is */
        /* what was changed can be put back */
        const struct tool_id *back = x.t->ids;
        assert_slices(back->id, SLICE("call:1"));
        assert_slices(back->sent, seen[0]);
        close_trial(&x);
        close_trial(&again);
    }
    struct trial x = adapt(&dialect_chat, &to_responses, openai, body);
    assert_null(x.t->ids);
    close_trial(&x);
}

/* ---- names ---- */

#define LONG_NAME                                                                                  \
    "mcp__a_server_with_a_long_name__a_tool_with_a_name_that_is_even_longer_than_that"

static void names_that_are_not_taken_are_replaced(void **state) {
    (void)state;
    char hex[SHA256_HEX_BYTES + 1], expected[80];
    struct trial x = adapt(
        &dialect_messages, &to_chat, plain,
        "{\"model\":\"m\",\"max_tokens\":9,\"tools\":[{\"name\":\"" LONG_NAME
        "\",\"input_schema\":{}},{\"name\":\"fine\",\"input_schema\":{}}],"
        "\"tool_choice\":{\"type\":\"tool\",\"name\":\"" LONG_NAME "\"},\"messages\":[" USER
        ",{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"a\",\"name\":"
        "\"" LONG_NAME "\",\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":"
        "\"tool_result\",\"tool_use_id\":\"a\",\"content\":\"r\"}]}]}");
    assert_int_equal(x.rc, 0);
    sha256_hex(SLICE(LONG_NAME), hex);
    snprintf(expected, sizeof expected, "%.55s_%.8s", LONG_NAME, hex);
    assert_int_equal(strlen(expected), 64);
    assert_slices(x.rq.tools->name, slice_cstr(expected));
    assert_slices(x.rq.tools->next->name, SLICE("fine"));
    assert_slices(x.rq.tool_choice_name, slice_cstr(expected));
    assert_slices(x.rq.messages->next->parts[0].name, slice_cstr(expected));
    assert_slices(x.t->names->name, SLICE(LONG_NAME));
    assert_slices(x.t->names->sent, slice_cstr(expected));
    assert_slices(x.t->names->next->sent, SLICE("fine"));
    assert_null(x.t->names->next->next);
    close_trial(&x);
}

static struct slice tool_named(const struct trial *x, const char *name) {
    for (const struct tool_name *n = x->t->names; n; n = n->next) {
        if (slice_eq(n->name, slice_cstr(name))) return n->sent;
    }
    fail_msg("no tool %s", name);
    return SLICE_NULL;
}

static void names_never_meet(void **state) {
    (void)state;
    struct trial x = adapt(&dialect_chat, &to_messages, anthropic,
                           "{\"model\":\"m\",\"tools\":["
                           "{\"type\":\"function\",\"function\":{\"name\":\"a.b\"}},"
                           "{\"type\":\"function\",\"function\":{\"name\":\"a b\"}},"
                           "{\"type\":\"function\",\"function\":{\"name\":\"a_b\"}},"
                           "{\"type\":\"function\",\"function\":{\"name\":\"a_b\"}}],"
                           "\"messages\":[" USER "]}");
    assert_int_equal(x.rc, 0);
    struct slice dot = tool_named(&x, "a.b"), blank = tool_named(&x, "a b"),
                 fine = tool_named(&x, "a_b");
    assert_true(slice_starts_with(dot, SLICE("a_b_")) && dot.len == 12);
    assert_true(slice_starts_with(blank, SLICE("a_b_")) && blank.len == 12);
    assert_false(slice_eq(dot, blank));
    assert_slices(fine, SLICE("a_b"));
    assert_slices(x.rq.tools->next->next->next->name, SLICE("a_b"));
    close_trial(&x);
}

#define RESPONSES(more) "{\"model\":\"m\"," more "}"

static void namespaces_become_prefixes(void **state) {
    (void)state;
    struct trial x = adapt(
        &dialect_responses, &to_messages, anthropic,
        RESPONSES("\"input\":[{\"role\":\"user\",\"content\":\"u\"},{\"type\":\"function_call\","
                  "\"call_id\":\"a\",\"name\":\"open\",\"namespace\":\"files\",\"arguments\":\"{}\"},"
                  "{\"type\":\"function_call_output\",\"call_id\":\"a\",\"output\":\"r\"}],"
                  "\"tools\":[{\"type\":\"namespace\",\"name\":\"files\",\"tools\":[{\"type\":"
                  "\"function\",\"name\":\"open\",\"parameters\":{}}]}]"));
    assert_int_equal(x.rc, 0);
    assert_slices(x.rq.tools->name, SLICE("files__open"));
    show_messages(&x);
    assert_slices(buf_slice(&x.shown), SLICE("user text <u>\nassistant call a files__open <{}>\n"
                                             "tool result a <r>\n"));
    assert_slices(x.t->names->name, SLICE("open"));
    assert_slices(x.t->names->name_space, SLICE("files"));
    close_trial(&x);
}

/* ---- custom tools ---- */

static const char custom_body[] = RESPONSES(
    "\"input\":[{\"role\":\"user\",\"content\":\"u\"},{\"type\":\"custom_tool_call\",\"call_id\":"
    "\"a\",\"name\":\"patch\",\"input\":\"say \\\"x\\\"\\n\"},{\"type\":\"custom_tool_call_output\","
    "\"call_id\":\"a\",\"output\":\"r\"}],\"tools\":[{\"type\":\"custom\",\"name\":\"patch\","
    "\"description\":\"Edits.\",\"format\":{\"type\":\"grammar\",\"syntax\":\"lark\","
    "\"definition\":\"start: A\"}}],\"tool_choice\":{\"type\":\"custom\",\"name\":\"patch\"}");

static void custom_tools_become_functions(void **state) {
    (void)state;
    struct trial x = adapt(&dialect_responses, &to_chat, plain, custom_body);
    assert_int_equal(x.rc, 0);
    const struct tool *tool = x.rq.tools;
    assert_int_equal(tool->kind, TOOL_FUNCTION);
    assert_slices(tool->parameters, SLICE("{\"type\":\"object\",\"properties\":{\"input\":{\"type\":"
                                          "\"string\"}},\"required\":[\"input\"]}"));
    assert_slices(tool->description, SLICE("Edits.\n\nThe value of `input` must follow this grammar "
                                           "(lark):\nstart: A"));
    assert_int_equal(tool->raw.len + tool->format.len, 0);
    assert_int_equal(x.rq.tool_choice, TOOL_CHOICE_NAMED);
    assert_true(x.t->names->is_custom);
    show_messages(&x);
    assert_slices(buf_slice(&x.shown),
                  SLICE("user text <u>\nassistant call a patch <{\"input\":\"say \\\"x\\\"\\n\"}>\n"
                        "tool result a <r>\n"));
    close_trial(&x);
}

static void custom_tools_stay_where_they_are_known(void **state) {
    (void)state;
    struct trial x = adapt(&dialect_responses, &to_chat, openai, custom_body);
    assert_int_equal(x.rc, 0);
    assert_int_equal(x.rq.tools->kind, TOOL_CUSTOM);
    assert_int_equal(x.rq.tool_choice, TOOL_CHOICE_NAMED_CUSTOM);
    assert_false(x.t->names->is_custom);
    assert_int_equal(x.t->names->kind, TOOL_CUSTOM);
    show_messages(&x);
    assert_slices(buf_slice(&x.shown),
                  SLICE("user text <u>\nassistant custom a patch <say \"x\"\n>\n"
                        "tool result* a <r>\n"));
    close_trial(&x);
}

/* ---- proofs ---- */

static void thought_body(struct buf *out, const char *before, const struct proof *p,
                         const char *after) {
    put(out, slice_cstr(before));
    if (p) assert_int_equal(proof_wrap(out, p), 0);
    put(out, slice_cstr(after));
    assert_int_equal(buf_append_byte(out, 0), 0);
}

#define THOUGHT_BEGIN                                                                              \
    "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[" USER                                        \
    ",{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"t\",\"signature\":\""
#define THOUGHT_END "\"},{\"type\":\"text\",\"text\":\"a\"}]}," USER "]}"

static void proofs_go_to_their_own_family(void **state) {
    (void)state;
    struct proof own = {PROOF_OPENAI, PROOF_ENCRYPTED, SLICE("m"), SLICE("rs_1"), SLICE("gAA")};
    struct buf b;
    buf_init(&b, TEST_BYTES);
    thought_body(&b, THOUGHT_BEGIN, &own, THOUGHT_END);
    expect(&dialect_messages, &to_responses, openai, b.ptr,
           "user text <u>\nassistant thought ~gAA #rs_1 <t> text <a>\nuser text <u>\n");
    expect(&dialect_messages, &to_chat, plain, b.ptr,
           "user text <u>\nassistant thought <t> text <a>\nuser text <u>\n");
    /* a native one is Anthropic's */
    buf_reset(&b);
    thought_body(&b, THOUGHT_BEGIN "EqoB", NULL, THOUGHT_END);
    expect(&dialect_messages, &to_responses, openai, b.ptr,
           "user text <u>\nassistant thought <t> text <a>\nuser text <u>\n");
    expect(&dialect_messages, &to_chat, anthropic, b.ptr,
           "user text <u>\nassistant thought ~EqoB <t> text <a>\nuser text <u>\n");
    buf_dispose(&b);
}

static void redacted_thoughts_come_back_as_such(void **state) {
    (void)state;
    struct proof own = {PROOF_ANTHROPIC, PROOF_REDACTED, SLICE("m"), SLICE(""), SLICE("data")};
    struct buf b;
    buf_init(&b, TEST_BYTES);
    thought_body(&b,
                 "{\"model\":\"m\",\"input\":[{\"role\":\"user\",\"content\":\"u\"},{\"type\":"
                 "\"reasoning\",\"id\":\"rs_9\",\"summary\":[],\"encrypted_content\":\"",
                 &own, "\"},{\"role\":\"assistant\",\"content\":\"a\"}]}");
    expect(&dialect_responses, &to_messages, anthropic, b.ptr,
           "user text <u>\nassistant redacted ~data <> text <a>\n");
    buf_dispose(&b);
}

/* An upstream of the client's own dialect is told nothing of envelopes that it could not read. */
static void envelopes_do_not_reach_the_same_dialect(void **state) {
    (void)state;
    struct proof own = {PROOF_OPENAI, PROOF_ENCRYPTED, SLICE("m"), SLICE("rs_1"), SLICE("gAA")};
    struct buf b;
    buf_init(&b, TEST_BYTES);
    thought_body(&b, THOUGHT_BEGIN, &own, THOUGHT_END);
    expect(&dialect_messages, &to_messages, anthropic, b.ptr,
           "user text <u>\nassistant text <a>\nuser text <u>\n");
    own.family = PROOF_ANTHROPIC;
    own.kind = PROOF_SIGNATURE;
    own.item_id = SLICE("");
    buf_reset(&b);
    thought_body(&b, THOUGHT_BEGIN, &own, THOUGHT_END);
    expect(&dialect_messages, &to_messages, anthropic, b.ptr,
           "user text <u>\nassistant thought ~gAA <t> text <a>\nuser text <u>\n");
    buf_reset(&b);
    thought_body(&b, THOUGHT_BEGIN "EqoB", NULL, THOUGHT_END);
    expect(&dialect_messages, &to_messages, anthropic, b.ptr,
           "user text <u>\nassistant thought ~EqoB <t> text <a>\nuser text <u>\n");
    /* of a server that signs nothing: to Anthropic it would be a wrong signature */
    buf_reset(&b);
    thought_body(&b, THOUGHT_BEGIN, NULL, THOUGHT_END);
    expect(&dialect_messages, &to_messages, anthropic, b.ptr,
           "user text <u>\nassistant text <a>\nuser text <u>\n");
    expect(&dialect_messages, &to_messages, (struct capabilities){.family = PROOF_NONE}, b.ptr,
           "user text <u>\nassistant thought <t> text <a>\nuser text <u>\n");
    buf_dispose(&b);
}

/* ---- the rest ---- */

static void a_billing_header_is_stripped(void **state) {
    (void)state;
    expect(&dialect_messages, &to_chat, plain,
           "{\"model\":\"m\",\"max_tokens\":9,\"system\":[{\"type\":\"text\",\"text\":"
           "\"x-anthropic-billing-header: cc=1\"},{\"type\":\"text\",\"text\":\"s\"}],"
           "\"messages\":[" USER "]}",
           "system text <s>\nuser text <u>\n");
    expect(&dialect_messages, &to_chat, plain,
           "{\"model\":\"m\",\"max_tokens\":9,\"system\":\"x-anthropic-billing-header: cc=1\","
           "\"messages\":[" USER "]}",
           "user text <u>\n");
}

static void stops_without_a_parameter(void **state) {
    (void)state;
    const char *body = "{\"model\":\"m\",\"messages\":[" USER
                       "],\"stop\":[\"a\",\"\",\" \",\"b\",\"c\",\"d\",\"e\"]}";
    struct trial x = adapt(&dialect_chat, &to_responses, openai, body);
    assert_int_equal(x.rq.n_stop, 0);
    assert_int_equal(x.t->n_stops, 6);
    assert_slices(x.t->stops[5], SLICE("e"));
    close_trial(&x);
    x = adapt(&dialect_chat, &to_messages, anthropic, body);
    assert_int_equal(x.rq.n_stop, 5);
    assert_int_equal(x.t->n_stops, 0);
    assert_slices(x.rq.stop[1], SLICE("b"));
    close_trial(&x);
    /* OpenAI takes four */
    x = adapt(&dialect_messages, &to_chat, openai,
              "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[" USER
              "],\"stop_sequences\":[\"a\",\"b\",\"c\",\"d\",\"e\"]}");
    assert_int_equal(x.rq.n_stop, 4);
    assert_int_equal(x.t->n_stops, 1);
    assert_slices(x.t->stops[0], SLICE("e"));
    close_trial(&x);
}

#define SCHEMA                                                                                     \
    "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\",\"schema\":"    \
    "{\"type\":\"object\",\"properties\":{}}}}"

static void structured_output_as_a_tool(void **state) {
    (void)state;
    struct capabilities old = anthropic;
    old.output_format = false;
    struct trial x = adapt(&dialect_chat, &to_messages, old,
                           "{\"model\":\"m\",\"messages\":[" USER "]," SCHEMA "}");
    assert_slices(x.t->json_tool, SLICE("json_output"));
    assert_int_equal(x.rq.n_tools, 1);
    assert_slices(x.rq.tools->name, SLICE("json_output"));
    assert_slices(x.rq.tools->parameters, SLICE("{\"type\":\"object\",\"properties\":{}}"));
    assert_int_equal(x.rq.tool_choice, TOOL_CHOICE_NAMED);
    assert_slices(x.rq.tool_choice_name, SLICE("json_output"));
    close_trial(&x);
    /* not where it could not be forced, or is not needed */
    static const char *const more[] = {
        ",\"reasoning_effort\":\"high\"", ",\"tool_choice\":\"auto\"",
        ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]"};
    for (size_t i = 0; i < 3; i++) {
        char body[400];
        snprintf(body, sizeof body, "{\"model\":\"m\",\"messages\":[" USER "]," SCHEMA "%s}",
                 more[i]);
        x = adapt(&dialect_chat, &to_messages, old, body);
        assert_int_equal(x.rc, 0);
        assert_int_equal(x.t->json_tool.len, 0);
        close_trial(&x);
    }
    x = adapt(&dialect_chat, &to_messages, anthropic,
              "{\"model\":\"m\",\"messages\":[" USER "]," SCHEMA "}");
    assert_int_equal(x.t->json_tool.len, 0);
    close_trial(&x);
}

static void what_cannot_be_meant_is_refused(void **state) {
    (void)state;
    struct capabilities no_url = anthropic;
    no_url.images_by_url = false;
    expect_refused(&dialect_chat, &to_messages, anthropic,
                   "{\"model\":\"m\",\"n\":2,\"messages\":[" USER "]}", "n");
    expect_refused(&dialect_chat, &to_responses, openai,
                   "{\"model\":\"m\",\"n\":2,\"messages\":[" USER "]}", "n");
    expect_refused(&dialect_chat, &to_messages, anthropic,
                   "{\"model\":\"m\",\"logprobs\":true,\"messages\":[" USER "]}", "logprobs");
    expect_refused(&dialect_chat, &to_messages, anthropic,
                   "{\"model\":\"m\",\"modalities\":[\"text\",\"audio\"],\"audio\":{\"voice\":\"x\","
                   "\"format\":\"wav\"},\"messages\":[" USER "]}",
                   "modalities");
    expect_refused(&dialect_chat, &to_messages, anthropic,
                   CHAT("{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\",\"input_audio\":"
                        "{\"data\":\"AA\",\"format\":\"wav\"}}]}"),
                   "messages");
    expect_refused(&dialect_chat, &to_messages, no_url,
                   CHAT("{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":"
                        "{\"url\":\"https://e.example/i.png\"}}]}"),
                   "messages");
    expect_refused(&dialect_chat, &to_messages, anthropic,
                   CHAT("{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"file_id\":"
                        "\"file-1\"}}]}"),
                   "messages");
    expect_refused(&dialect_messages, &to_chat, openai,
                   "{\"model\":\"m\",\"max_tokens\":0,\"messages\":[" USER "]}", "max_tokens");
    expect_refused(&dialect_messages, &to_chat, openai,
                   "{\"model\":\"m\",\"max_tokens\":1,\"mcp_servers\":[{}],\"messages\":[" USER "]}",
                   "mcp_servers");
    expect_refused(&dialect_messages, &to_responses, openai,
                   MESSAGES("{\"role\":\"user\",\"content\":[{\"type\":\"container_upload\","
                            "\"file_id\":\"f\"}]}"),
                   "messages");
    expect_refused(&dialect_responses, &to_chat, openai,
                   RESPONSES("\"input\":\"u\",\"previous_response_id\":\"resp_1\""),
                   "previous_response_id");
    expect_refused(&dialect_responses, &to_chat, openai,
                   RESPONSES("\"input\":\"u\",\"conversation\":\"conv_1\""), "conversation");
    expect_refused(&dialect_responses, &to_chat, openai,
                   RESPONSES("\"input\":\"u\",\"prompt\":{\"id\":\"p\"}"), "prompt");
    expect_refused(&dialect_responses, &to_chat, openai,
                   RESPONSES("\"input\":\"u\",\"background\":true"), "background");
    expect_refused(&dialect_responses, &to_chat, openai,
                   RESPONSES("\"input\":[{\"type\":\"item_reference\",\"id\":\"x\"},{\"role\":"
                             "\"user\",\"content\":\"u\"}]"),
                   "input");
    expect_refused(&dialect_responses, &to_chat, openai,
                   RESPONSES("\"input\":\"u\",\"tools\":[{\"type\":\"file_search\"}],"
                             "\"tool_choice\":{\"type\":\"file_search\"}"),
                   "tool_choice");
}

/* So many that looking each of them up would take the gateway's time from everybody. */
static void too_much_is_refused(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, (size_t)16 << 20);
    put(&b, SLICE("{\"model\":\"m\",\"input\":\"u\",\"tools\":[{\"type\":\"web_search\"}"));
    for (unsigned i = 0; i < 4096; i++) put(&b, SLICE(",{\"type\":\"web_search\"}"));
    put(&b, SLICE("]}"));
    put(&b, slice_make("", 1));
    expect_fault(&dialect_responses, &to_messages, anthropic, b.ptr, "tools",
                 "array_above_max_length");
    buf_reset(&b);
    put(&b, SLICE("{\"model\":\"m\",\"messages\":[" USER "],\"tools\":[],\"tool_choice\":{\"type\":"
                  "\"allowed_tools\",\"allowed_tools\":{\"mode\":\"auto\",\"tools\":[{\"name\":\"f\"}"));
    for (unsigned i = 0; i < 4096; i++) put(&b, SLICE(",{\"name\":\"f\"}"));
    put(&b, SLICE("]}}}"));
    put(&b, slice_make("", 1));
    expect_fault(&dialect_chat, &to_messages, anthropic, b.ptr, "tool_choice",
                 "array_above_max_length");
    buf_dispose(&b);
}

/* What a decoder keeps of an object is more than its two bytes. */
static void bodies_of_nothing_but_objects_are_refused(void **state) {
    static const struct dialect *const all[] = {&dialect_chat, &dialect_messages,
                                                &dialect_responses};
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct arena *a = arena_new();
        struct request_fault fault = {.message = ""};
        struct llm_request rq;
        struct buf b;
        buf_init(&b, (size_t)16 << 20);
        put(&b, SLICE("{\"model\":\"m\",\"max_tokens\":1,\"input\":\"u\",\"messages\":[" USER
                      "],\"metadata\":{\"user_id\":\"{{{\"},\"x\":[{}"));
        for (unsigned n = 0; n < 1u << 19; n++) put(&b, SLICE(",{}"));
        put(&b, SLICE("]}"));
        assert_int_equal(all[i]->decode_request(buf_slice(&b), a, &rq, &fault), -ERR_USAGE);
        assert_non_null(strstr(fault.message, "JSON objects"));
        buf_dispose(&b);
        arena_free(a);
    }
}

static void what_means_nothing_is_taken(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "{\"model\":\"m\",\"n\":1,\"logprobs\":false,\"messages\":[" USER "]}",
        "{\"model\":\"m\",\"n\":null,\"modalities\":[\"text\"],\"messages\":[" USER "]}",
        CHAT("{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
             "\"https://e.example/i.png\"}},{\"type\":\"image_url\",\"image_url\":{\"url\":"
             "\"data:image/png;base64,AA\"}}]}"),
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct trial x = adapt(&dialect_chat, &to_messages, anthropic, bodies[i]);
        if (x.rc) fail_msg("refused: %s", x.fault.message);
        close_trial(&x);
    }
    struct trial x = adapt(&dialect_messages, &to_chat, openai,
                           "{\"model\":\"m\",\"max_tokens\":1,\"mcp_servers\":[],\"messages\":[" USER
                           "]}");
    assert_int_equal(x.rc, 0);
    close_trial(&x);
    x = adapt(&dialect_responses, &to_chat, openai,
              RESPONSES("\"input\":\"u\",\"previous_response_id\":null,\"conversation\":null,"
                        "\"prompt\":null,\"background\":false"));
    assert_int_equal(x.rc, 0);
    close_trial(&x);
    /* files of OpenAI's own store, between its two APIs */
    x = adapt(&dialect_chat, &to_responses, openai,
              CHAT("{\"role\":\"user\",\"content\":[{\"type\":\"file\",\"file\":{\"file_id\":"
                   "\"file-1\"}}]}"));
    assert_int_equal(x.rc, 0);
    close_trial(&x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_in_place_stay),
        cmocka_unit_test(results_in_the_order_of_their_calls),
        cmocka_unit_test(calls_of_one_id_are_answered_in_order),
        cmocka_unit_test(a_missing_result_is_made_up),
        cmocka_unit_test(an_orphan_becomes_the_users_text),
        cmocka_unit_test(system_texts_between_move_behind),
        cmocka_unit_test(assistants_messages_with_calls_are_one_turn),
        cmocka_unit_test(texts_stand_before_calls),
        cmocka_unit_test(a_legacy_call_is_a_call),
        cmocka_unit_test(ids_become_such_as_are_taken),
        cmocka_unit_test(names_that_are_not_taken_are_replaced),
        cmocka_unit_test(names_never_meet),
        cmocka_unit_test(namespaces_become_prefixes),
        cmocka_unit_test(custom_tools_become_functions),
        cmocka_unit_test(custom_tools_stay_where_they_are_known),
        cmocka_unit_test(proofs_go_to_their_own_family),
        cmocka_unit_test(redacted_thoughts_come_back_as_such),
        cmocka_unit_test(envelopes_do_not_reach_the_same_dialect),
        cmocka_unit_test(a_billing_header_is_stripped),
        cmocka_unit_test(stops_without_a_parameter),
        cmocka_unit_test(structured_output_as_a_tool),
        cmocka_unit_test(what_cannot_be_meant_is_refused),
        cmocka_unit_test(too_much_is_refused),
        cmocka_unit_test(bodies_of_nothing_but_objects_are_refused),
        cmocka_unit_test(what_means_nothing_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
