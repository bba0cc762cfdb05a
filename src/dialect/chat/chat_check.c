/* SPDX-License-Identifier: Apache-2.0 */
/* The grammar that a client's stream keeps, chat's and completions':
 *
 *   chunk+  usage chunk?  [DONE]          or, at any point:  error chunk, and nothing more
 *
 * A chunk has the id, object, created and model of the first; a list of choices; of each choice the
 * role comes first (chat), then deltas, then one finish reason, then nothing. Calls are numbered
 * from 0 without gaps, each opened by a fragment with its id, type and name, which then are not
 * said again. The usage chunk has no choices and follows every finish. Each rule is one that some
 * SDK fails without.
 *
 * Chunks that say nothing of themselves (Azure's filter results: no id, no model) are let through.
 */
#include "base/mem.h"
#include "dialect/chat/chat-private.h"

enum check_state { CHECK_OPEN, CHECK_USAGE, CHECK_DONE, CHECK_FAILED };

struct check_choice {
    uint16_t index, n_tools;
    bool has_role, is_finished;
    uint64_t custom[2]; /* by call: whether it is a custom tool's */
};

struct checker {
    enum check_state state;
    bool is_completions, has_head;
    uint32_t n_frames;
    uint64_t head; /* hash of what all chunks share */
    struct check_choice *choices;
    unsigned n_choices;
};

struct checker *chat_checker_new(void) {
    return mem_zalloc(sizeof(struct checker));
}

struct checker *chat_checker_new_completions(void) {
    struct checker *c = chat_checker_new();
    c->is_completions = true;
    return c;
}

void chat_checker_free(struct checker *c) {
    if (!c) return;
    mem_free(c->choices);
    mem_free(c);
}

/* What is wrong with a frame; the first thing stays. */
struct verdict {
    const char *problem;
};

static void wrong(struct verdict *v, bool is_wrong, const char *problem) {
    if (is_wrong && !v->problem) v->problem = problem;
}

/* ---- chunks ---- */

static uint64_t mix(uint64_t h, struct slice s) {
    return (slice_hash(h, s) ^ 0xff) * SLICE_HASH_PRIME;
}

static bool is_filler(yyjson_val *root) {
    return json_doc_str(yyjson_obj_get(root, "id")).len == 0 &&
           json_doc_str(yyjson_obj_get(root, "model")).len == 0 &&
           json_doc_str(yyjson_obj_get(root, "object")).len == 0;
}

static void check_head(struct checker *c, struct verdict *v, yyjson_val *root) {
    yyjson_val *id = yyjson_obj_get(root, "id"), *model = yyjson_obj_get(root, "model"),
               *created = yyjson_obj_get(root, "created");
    struct slice object = json_doc_str(yyjson_obj_get(root, "object"));
    wrong(v, !yyjson_is_str(id), "a chunk without an id");
    wrong(v, !yyjson_is_str(model), "a chunk without a model");
    wrong(v, !yyjson_is_uint(created), "a chunk whose created is no whole number");
    wrong(v,
          !slice_eq(object, c->is_completions ? SLICE("text_completion")
                                              : SLICE("chat.completion.chunk")),
          "a chunk with another object than the dialect's");
    uint64_t head = mix(mix(SLICE_HASH_START, json_doc_str(id)), json_doc_str(model));
    head ^= yyjson_get_uint(created);
    wrong(v, c->has_head && head != c->head, "a chunk with another id, created or model");
    c->has_head = true;
    c->head = head;
}

static struct check_choice *find_choice(struct checker *c, uint16_t index) {
    for (unsigned i = 0; i < c->n_choices; i++) {
        if (c->choices[i].index == index) return &c->choices[i];
    }
    c->choices = mem_realloc(c->choices, (c->n_choices + 1) * sizeof *c->choices);
    c->choices[c->n_choices] = (struct check_choice){.index = index};
    return &c->choices[c->n_choices++];
}

/* ---- tool calls ---- */

static void check_opening(struct check_choice *k, struct verdict *v, yyjson_val *call,
                          yyjson_val *inner, bool is_custom, uint64_t index) {
    struct slice type = json_doc_str(yyjson_obj_get(call, "type"));
    wrong(v, json_doc_str(yyjson_obj_get(call, "id")).len == 0, "a call opened without an id");
    wrong(v, !slice_eq(type, is_custom ? SLICE("custom") : SLICE("function")),
          "a call opened without its type");
    wrong(v, json_doc_str(yyjson_obj_get(inner, "name")).len == 0, "a call opened without a name");
    if (is_custom) k->custom[index / 64] |= UINT64_C(1) << index % 64;
    k->n_tools++;
}

static void check_call(struct check_choice *k, struct verdict *v, yyjson_val *call) {
    yyjson_val *at = yyjson_obj_get(call, "index"), *custom = yyjson_obj_get(call, "custom");
    yyjson_val *inner = custom ? custom : yyjson_obj_get(call, "function");
    wrong(v, !yyjson_is_uint(at), "a call's fragment without an index");
    wrong(v, !yyjson_is_obj(inner), "a call's fragment without its function");
    uint64_t index = yyjson_get_uint(at);
    wrong(v, index > k->n_tools, "a call's index that leaves others out");
    wrong(v, index >= CHAT_MAX_TOOLS, "more than 128 calls");
    if (v->problem) return;
    wrong(v, !yyjson_is_str(yyjson_obj_get(inner, custom ? "input" : "arguments")),
          "a call's fragment without a string of arguments");
    if (index == k->n_tools) {
        check_opening(k, v, call, inner, custom != NULL, index);
        return;
    }
    bool was_custom = k->custom[index / 64] >> index % 64 & 1;
    wrong(v, was_custom != (custom != NULL), "a call that changes its type");
    wrong(v, yyjson_obj_get(call, "id") || yyjson_obj_get(call, "type") ||
                 yyjson_obj_get(inner, "name"),
          "a call's id, type or name said again");
}

/* ---- choices ---- */

static void check_delta(struct check_choice *k, struct verdict *v, yyjson_val *delta) {
    yyjson_val *role = yyjson_obj_get(delta, "role"), *content = yyjson_obj_get(delta, "content");
    yyjson_val *calls = yyjson_obj_get(delta, "tool_calls");
    bool has_role = yyjson_is_str(role);
    wrong(v, role && !slice_eq(json_doc_str(role), SLICE("assistant")),
          "a role other than assistant");
    wrong(v, has_role && k->has_role, "a choice's role said again");
    wrong(v, !has_role && !k->has_role, "a choice that begins without its role");
    wrong(v, content && !yyjson_is_str(content) && !yyjson_is_null(content),
          "a content that is no string");
    wrong(v, calls && !yyjson_is_arr(calls), "tool_calls that are no list");
    k->has_role = true;
    size_t i, n;
    yyjson_val *call;
    yyjson_arr_foreach(calls, i, n, call) check_call(k, v, call);
}

static void check_choice(struct checker *c, struct verdict *v, yyjson_val *choice) {
    yyjson_val *at = yyjson_obj_get(choice, "index"), *delta = yyjson_obj_get(choice, "delta"),
               *finish = yyjson_obj_get(choice, "finish_reason");
    uint64_t max = c->is_completions ? COMPLETIONS_MAX_CHOICES : CHAT_MAX_CHOICES;
    wrong(v, !yyjson_is_uint(at) || yyjson_get_uint(at) >= max, "a choice without a valid index");
    if (v->problem) return;
    struct check_choice *k = find_choice(c, (uint16_t)yyjson_get_uint(at));
    wrong(v, k->is_finished, "a chunk of a choice that has finished");
    wrong(v, c->state == CHECK_USAGE, "a choice behind the usage chunk");
    if (c->is_completions)
        wrong(v, !yyjson_is_str(yyjson_obj_get(choice, "text")), "a choice without a text");
    else if (yyjson_is_obj(delta)) check_delta(k, v, delta);
    else wrong(v, true, "a choice without a delta");
    wrong(v, finish && !yyjson_is_str(finish) && !yyjson_is_null(finish),
          "a finish reason that is no string");
    wrong(v, yyjson_is_str(finish) && json_doc_str(finish).len == 0, "an empty finish reason");
    k->is_finished |= yyjson_is_str(finish);
}

static bool all_finished(const struct checker *c) {
    for (unsigned i = 0; i < c->n_choices; i++) {
        if (!c->choices[i].is_finished) return false;
    }
    return c->n_choices > 0;
}

static void check_usage(struct checker *c, struct verdict *v, yyjson_val *usage) {
    yyjson_val *in = yyjson_obj_get(usage, "prompt_tokens"),
               *answer = yyjson_obj_get(usage, "completion_tokens");
    wrong(v, !yyjson_is_num(in) || !yyjson_is_num(answer), "a usage without its counters");
    wrong(v, !all_finished(c), "a usage chunk before a choice's finish reason");
    wrong(v, c->state == CHECK_USAGE, "a second usage chunk");
    c->state = CHECK_USAGE;
}

static void check_chunk(struct checker *c, struct verdict *v, yyjson_val *root) {
    yyjson_val *choices = yyjson_obj_get(root, "choices"), *usage = yyjson_obj_get(root, "usage");
    wrong(v, !yyjson_is_arr(choices), "a chunk without a list of choices");
    if (is_filler(root)) return;
    check_head(c, v, root);
    size_t i, n;
    yyjson_val *choice;
    yyjson_arr_foreach(choices, i, n, choice) check_choice(c, v, choice);
    if (yyjson_is_obj(usage) && yyjson_arr_size(choices) == 0) check_usage(c, v, usage);
    wrong(v, usage && !yyjson_is_obj(usage) && !yyjson_is_null(usage), "a usage that is no object");
}

/* ---- frames ---- */

static void check_done(struct checker *c, struct verdict *v) {
    wrong(v, !all_finished(c), "[DONE] before a choice's finish reason");
    c->state = CHECK_DONE;
}

static void check_object(struct checker *c, struct verdict *v, struct slice data) {
    struct json_doc doc;
    if (json_doc_parse(&doc, data, NULL)) {
        wrong(v, true, "data that is not JSON");
        return;
    }
    yyjson_val *root = doc.doc->root;
    if (!yyjson_is_obj(root)) wrong(v, true, "data that is not a JSON object");
    else if (error_is_in(root, "choices")) c->state = CHECK_FAILED;
    else check_chunk(c, v, root);
    json_doc_free(&doc);
}

int chat_checker_frame(struct checker *c, const struct sse_frame *f, struct err *e) {
    struct verdict v = {NULL};
    if (!(f->flags & SSE_EVENT)) return 0;
    c->n_frames++;
    bool is_done = slice_eq(f->data, SLICE("[DONE]")),
         is_error = slice_eq(f->name, SLICE("error"));
    wrong(&v, !(f->flags & SSE_DATA) || f->data.len == 0, "an event without data");
    wrong(&v, f->name.len > 0 && !is_error, "an event with a name");
    wrong(&v, c->state == CHECK_DONE, is_done ? "a second [DONE]" : "an event behind [DONE]");
    wrong(&v, c->state == CHECK_FAILED, "an event behind an error");
    if (!v.problem && is_done) check_done(c, &v);
    else if (!v.problem) check_object(c, &v, f->data);
    if (!v.problem) return 0;
    return err_set(e, ERR_PROTOCOL, "event %u: %s", c->n_frames, v.problem);
}

int chat_checker_end(struct checker *c, struct err *e) {
    if (c->state == CHECK_DONE || c->state == CHECK_FAILED) return 0;
    return err_set(e, ERR_PROTOCOL, "the stream ended without [DONE] behind %u events",
                   c->n_frames);
}
