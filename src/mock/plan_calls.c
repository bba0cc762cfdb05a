/* SPDX-License-Identifier: Apache-2.0 */
/* Which tools are called, and with what: arguments that satisfy their schema. */
#include "mock/reply-private.h"
#include "mock/schema.h"
#include "mock/smalltalk.h"

enum {
    MAX_CALLS = 8,
    CALL_NAME_PART_BYTES = 3,
    CUSTOM_INPUT_BYTES = 200,
    LOOK_BYTES = 16 << 10             /* of the user's text are looked into for words */
};

struct call_list {
    const struct tool *tools[MAX_CALLS];
    unsigned count;
};

static void call_add(struct call_list *calls, const struct tool *t) {
    if (calls->count < MAX_CALLS) {
        calls->tools[calls->count++] = t;
    }
}

/* Does the text speak of the tool: one part of its name ("weather" of get_weather), or all of
 * it? */
static bool tool_is_mentioned(const struct tool *t, struct slice text) {
    static const char *const verbs[] = {"get", "set", "run", "make", "find", "list", "fetch", "do",
                                        "call", "the", "tool", "create"};
    for (size_t i = 0; i < t->name.len;) {
        size_t end = i;
        while (end < t->name.len && is_ascii_letter(t->name.ptr[end]) &&
               (end == i || t->name.ptr[end] >= 'a')) {
            end++;
        }
        struct slice part = slice_sub(t->name, i, end - i);
        bool is_verb = false;
        for (size_t v = 0; v < sizeof verbs / sizeof verbs[0]; v++) {
            is_verb |= slice_eq_nocase(part, slice_cstr(verbs[v]));
        }
        if (!is_verb && part.len >= CALL_NAME_PART_BYTES && text_has_word(text, part)) {
            return true;
        }
        i = end + 1 - (end > i && end < t->name.len && is_ascii_letter(t->name.ptr[end]) ? 1 : 0);
    }
    return t->name.len && text_has_word(text, t->name);
}

static bool tool_is_allowed(const struct llm_request *rq, const struct tool *t) {
    for (unsigned i = 0; i < rq->n_allowed; i++) {
        if (slice_eq(rq->allowed[i], t->name)) {
            return true;
        }
    }
    return false;
}

static bool tool_is_callable(const struct llm_request *rq, const struct tool *t) {
    if (t->kind == TOOL_OTHER) {
        return false;
    }
    switch (rq->tool_choice) {
    case TOOL_CHOICE_NAMED:
    case TOOL_CHOICE_NAMED_CUSTOM:
        return slice_eq(t->name, rq->tool_choice_name);
    case TOOL_CHOICE_ALLOWED:
        return tool_is_allowed(rq, t);
    default:
        return true;
    }
}

static bool choice_is_binding(const struct llm_request *rq) {
    if (rq->tool_choice == TOOL_CHOICE_ALLOWED) {
        return rq->allowed_is_required;
    }
    return rq->tool_choice == TOOL_CHOICE_REQUIRED || rq->tool_choice == TOOL_CHOICE_NAMED ||
           rq->tool_choice == TOOL_CHOICE_NAMED_CUSTOM;
}

static void choose_calls(const struct llm_request *rq, struct slice text, struct call_list *calls) {
    const struct tool *first = NULL;
    for (const struct tool *t = rq->tools; t; t = t->next) {
        if (!tool_is_callable(rq, t)) {
            continue;
        }
        first = first ? first : t;
        if (tool_is_mentioned(t, text)) {
            call_add(calls, t);
        }
    }
    if (calls->count == 0 && first && choice_is_binding(rq)) {
        call_add(calls, first);
    }
    bool parallel = rq->parallel_tools != 0 && !rq->tools_are_functions;
    if (!parallel && calls->count > 1) {
        calls->count = 1;
    }
    if (parallel && calls->count == 1 && text_has_word(text, SLICE("both"))) {
        call_add(calls, calls->tools[0]);
    }
}

/* The arguments of several calls to one tool take different hints from the text: each call looks at
 * the part behind the last " and ". */
static struct slice call_hint(struct slice text, const struct call_list *calls, unsigned i) {
    if (i == 0 || calls->tools[i] != calls->tools[i - 1]) {
        return text;
    }
    for (size_t at = text.len; at-- > 0;) {
        if (slice_starts_with(slice_from(text, at), SLICE(" and "))) {
            return slice_from(text, at);
        }
    }
    return text;
}

static void plan_add_call(struct plan *p, const struct llm_request *rq, const struct tool *t,
                          struct slice hint, unsigned nth) {
    enum block_kind kind = rq->tools_are_functions      ? BLOCK_FUNCTION_CALL
                           : t->kind == TOOL_CUSTOM ? BLOCK_CUSTOM_TOOL_CALL
                                                    : BLOCK_TOOL_CALL;
    struct segment *seg = plan_add(p, kind, SOURCE_FIXED, SLICE_NULL);
    seg->name = plan_store(p, t->name);
    seg->name_space = plan_store(p, t->name_space);
    if (t->kind == TOOL_CUSTOM) {
        seg->text = plan_store(p, hint.len ? slice_sub(hint, 0, CUSTOM_INPUT_BYTES) : SLICE("sample input"));
        return;
    }
    size_t before = p->store.len;
    if (schema_fill(t->parameters, SCHEMA_SENSIBLE, hint, p->seed + nth, &p->store) < 0) {
        p->store.len = before;
        seg->text = plan_store(p, SLICE("{}"));
        return;
    }
    seg->text = (struct span){(uint32_t)before, (uint32_t)(p->store.len - before)};
}

/* True when the answer is tool calls. Once a result is in, the answer is text: agent loops end. */
bool plan_calls(struct plan *p, const struct llm_request *rq, struct slice user_text) {
    if (!rq->tools || rq->tool_choice == TOOL_CHOICE_NONE || request_has_results(rq)) {
        return false;
    }
    struct call_list calls = {.count = 0};
    user_text = slice_sub(user_text, 0, LOOK_BYTES);
    choose_calls(rq, user_text, &calls);
    for (unsigned i = 0; i < calls.count; i++) {
        plan_add_call(p, rq, calls.tools[i], call_hint(user_text, &calls, i), i);
    }
    p->calls_are_functions = rq->tools_are_functions;
    if (calls.count > 0) {
        p->stop = STOP_TOOL;
    }
    return calls.count > 0;
}

