/* SPDX-License-Identifier: Apache-2.0 */
#include "dialect/request_read.h"

struct slice json_member(struct slice object, struct slice name, struct arena *a) {
    struct json_walk w = json_walk_begin(object);
    struct slice key, value, found = SLICE_NULL;
    if (!json_text_is(object, '{')) return SLICE_NULL;
    while (json_walk_member(&w, &key, &value)) {
        if (slice_eq(json_text_unescape(key, a), name)) found = value;
    }
    return found;
}

struct slice json_member_string(struct slice object, struct slice name, struct arena *a) {
    return json_text_string(json_member(object, name, a), a);
}

int json_member_bool(struct slice object, struct slice name, struct arena *a) {
    struct slice v = json_member(object, name, a);
    if (slice_eq(v, SLICE("true"))) return 1;
    return slice_eq(v, SLICE("false")) ? 0 : -1;
}

struct part *parts_add(struct parts *ps, struct arena *a, enum part_kind kind) {
    if (ps->n == ps->cap) {
        ps->cap = ps->cap ? ps->cap * 2 : 2;
        struct part *list = arena_alloc(a, ps->cap * sizeof *list);
        if (ps->n > 0) memcpy(list, ps->list, ps->n * sizeof *list);
        ps->list = list;
    }
    struct part *p = &ps->list[ps->n++];
    *p = (struct part){.kind = kind};
    return p;
}

struct field *field_add(struct arena *a, struct field ***end, struct slice key,
                        struct slice value) {
    struct field *f = arena_alloc(a, sizeof *f);
    *f = (struct field){.key = key, .value = value};
    **end = f;
    *end = &f->next;
    return f;
}

struct message *message_add(struct llm_request *rq, struct arena *a, enum role role) {
    struct message *m = arena_alloc(a, sizeof *m), **end = &rq->messages_end;
    *m = (struct message){.role = role};
    if (*end) (*end)->next = m;
    else rq->messages = m;
    *end = m;
    rq->n_messages++;
    return m;
}

struct tool *tool_add(struct llm_request *rq, struct arena *a) {
    struct tool *t = arena_alloc(a, sizeof *t), **end = &rq->tools_end;
    *t = (struct tool){.kind = TOOL_OTHER, .strict = -1};
    if (*end) (*end)->next = t;
    else rq->tools = t;
    *end = t;
    rq->n_tools++;
    return t;
}

void request_init(struct llm_request *rq, const char *origin) {
    *rq = (struct llm_request){
        .origin = origin,
        .parallel_tools = -1,
        .reasoning = {.budget_tokens = -1, .is_visible = -1},
        .format = {.strict = -1},
        .logprobs = -1,
        .top_logprobs = -1,
        .store = -1,
    };
}
