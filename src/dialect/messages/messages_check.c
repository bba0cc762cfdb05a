/* SPDX-License-Identifier: Apache-2.0 */
/* The order of a stream's events, as clients need it.
 *
 *   BEFORE --message_start--> IN_MESSAGE <--> IN_BLOCK      IN_MESSAGE --message_delta--> ENDING
 *   ENDING --message_stop--> DONE      any --error--> FAILED      DONE and FAILED are final
 *
 * Rules: anthropic-messages.md 4.1 and 7. Several message_delta are legal; the last one counts. */
#include "dialect/messages/messages-private.h"

#include "base/mem.h"

enum check_state {
    CHECK_BEFORE,
    CHECK_IN_MESSAGE,
    CHECK_IN_BLOCK,
    CHECK_ENDING,
    CHECK_DONE,
    CHECK_FAILED
};

/* What deltas a block takes; OTHER (server tools, unknown ones): any. */
enum check_kind { CHECK_TEXT, CHECK_THINKING, CHECK_TOOL, CHECK_WHOLE, CHECK_OTHER };

/* Far enough into a call's arguments to know when they are over; not a parser. */
struct json_track {
    bool is_begun, in_string, is_escaped, is_over, is_bad;
    uint32_t depth;
};

struct checker {
    enum check_state state;
    enum check_kind kind;
    bool is_named; /* message_delta told a stop reason */
    bool has_tool; /* a call of a client's tool */
    bool has_cut_tool;
    bool has_signature;
    uint32_t next_index;
    uint64_t n_frames;
    struct json_track args;
};

struct checker *messages_checker_new(void) {
    return mem_zalloc(sizeof(struct checker));
}

void messages_checker_free(struct checker *c) {
    mem_free(c);
}

/* ---- a call's arguments ---- */

static void track_byte(struct json_track *t, char c) {
    bool is_space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    if (t->in_string) {
        if (t->is_escaped)
            t->is_escaped = false;
        else if (c == '\\')
            t->is_escaped = true;
        else if (c == '"')
            t->in_string = false;
    } else if (t->depth == 0) {
        t->is_bad |= t->is_over ? !is_space : !is_space && c != '{';
        t->is_begun = true;
        if (c == '{') t->depth = 1;
    } else if (c == '"') {
        t->in_string = true;
    } else if (c == '{' || c == '[') {
        t->depth++;
    } else if (c == '}' || c == ']') {
        t->depth--;
        t->is_over = t->depth == 0;
    }
}

static void track(struct json_track *t, struct slice text) {
    for (size_t i = 0; i < text.len && !t->is_bad; i++)
        track_byte(t, text.ptr[i]);
}

/* ---- what is wrong ---- */

static int wrong(const struct checker *c, struct err *e, const char *what) {
    return err_set(e, ERR_PROTOCOL, "frame %llu: %s", (unsigned long long)c->n_frames, what);
}

static bool has_string(yyjson_val *object, const char *key) {
    return yyjson_is_str(yyjson_obj_get(object, key));
}

static bool has_text(yyjson_val *object, const char *key) {
    return json_doc_str(yyjson_obj_get(object, key)).len > 0;
}

static bool is(yyjson_val *object, const char *key, const char *value) {
    return slice_eq(json_doc_str(yyjson_obj_get(object, key)), slice_cstr(value));
}

static bool has_count(yyjson_val *object, const char *key) {
    return yyjson_is_uint(yyjson_obj_get(object, key));
}

static const char *check_message(yyjson_val *m) {
    yyjson_val *content = yyjson_obj_get(m, "content"), *usage = yyjson_obj_get(m, "usage");
    if (!yyjson_is_obj(m)) return "message_start without a message";
    if (!has_string(m, "id") || !has_string(m, "model")) return "message_start without id or model";
    if (!is(m, "type", "message") || !is(m, "role", "assistant"))
        return "message_start whose message is not an assistant's";
    if (!yyjson_is_arr(content) || yyjson_arr_size(content) > 0)
        return "message_start whose content is not []";
    if (!has_count(usage, "input_tokens") || !has_count(usage, "output_tokens"))
        return "message_start without input_tokens and output_tokens";
    return NULL;
}

static const char *on_message_start(struct checker *c, yyjson_val *root) {
    if (c->state != CHECK_BEFORE) return "a second message_start";
    c->state = CHECK_IN_MESSAGE;
    return check_message(yyjson_obj_get(root, "message"));
}

/* ---- blocks ---- */

static const char *begin_text(struct checker *c, yyjson_val *block) {
    c->kind = CHECK_TEXT;
    return has_string(block, "text") ? NULL : "a text block without text";
}

static const char *begin_thinking(struct checker *c, yyjson_val *block) {
    c->kind = CHECK_THINKING;
    c->has_signature = has_string(block, "signature");
    return has_string(block, "thinking") ? NULL : "a thinking block without thinking";
}

static const char *begin_tool(struct checker *c, yyjson_val *block) {
    yyjson_val *input = yyjson_obj_get(block, "input");
    c->kind = CHECK_TOOL;
    c->has_tool = true;
    if (!has_text(block, "id") || !has_text(block, "name")) return "a tool_use without id or name";
    if (!yyjson_is_obj(input)) return "a tool_use whose input is not an object";
    if (yyjson_obj_size(input) > 0) c->args.is_over = c->args.is_begun = true;
    return NULL;
}

static const char *begin_redacted(struct checker *c, yyjson_val *block) {
    c->kind = CHECK_WHOLE;
    return has_string(block, "data") ? NULL : "a redacted_thinking block without data";
}

static const struct {
    const char *type;
    const char *(*begin)(struct checker *c, yyjson_val *block);
} block_types[] = {
    {"text", begin_text},
    {"thinking", begin_thinking},
    {"tool_use", begin_tool},
    {"redacted_thinking", begin_redacted},
};

static const char *begin_block(struct checker *c, yyjson_val *block) {
    struct slice type = json_doc_str(yyjson_obj_get(block, "type"));
    c->args = (struct json_track){0};
    c->has_signature = false;
    for (size_t i = 0; i < sizeof block_types / sizeof *block_types; i++) {
        if (slice_eq(type, slice_cstr(block_types[i].type))) return block_types[i].begin(c, block);
    }
    c->kind = CHECK_OTHER;
    return type.len > 0 ? NULL : "a block without a type";
}

static const char *on_block_start(struct checker *c, yyjson_val *root) {
    yyjson_val *index = yyjson_obj_get(root, "index");
    enum check_state before = c->state;
    uint32_t expected = c->next_index;
    if (before == CHECK_BEFORE) return "a block before message_start";
    if (before == CHECK_ENDING) return "a block after message_delta";
    if (yyjson_is_uint(index) && yyjson_get_uint(index) < UINT32_MAX)
        c->next_index = (uint32_t)yyjson_get_uint(index) + 1;
    c->state = CHECK_IN_BLOCK;
    const char *problem = begin_block(c, yyjson_obj_get(root, "content_block"));
    if (before == CHECK_IN_BLOCK) return "a block begins while another is open";
    if (!yyjson_is_uint(index) || yyjson_get_uint(index) != expected)
        return "a block's index is not the next one";
    return problem;
}

static bool is_open_index(const struct checker *c, yyjson_val *root) {
    yyjson_val *index = yyjson_obj_get(root, "index");
    return c->state == CHECK_IN_BLOCK && yyjson_is_uint(index) &&
           yyjson_get_uint(index) == c->next_index - 1;
}

static const struct {
    const char *type, *member;
    enum check_kind kind;
} delta_types[] = {
    {"text_delta", "text", CHECK_TEXT},
    {"citations_delta", NULL, CHECK_TEXT},
    {"thinking_delta", "thinking", CHECK_THINKING},
    {"signature_delta", "signature", CHECK_THINKING},
    {"input_json_delta", "partial_json", CHECK_TOOL},
};

static const char *check_delta(struct checker *c, yyjson_val *delta) {
    struct slice type = json_doc_str(yyjson_obj_get(delta, "type"));
    if (type.len == 0) return "a delta without a type";
    if (c->kind == CHECK_OTHER) return NULL;
    for (size_t i = 0; i < sizeof delta_types / sizeof *delta_types; i++) {
        if (!slice_eq(type, slice_cstr(delta_types[i].type))) continue;
        if (c->kind != delta_types[i].kind) return "a delta of another kind than its block";
        if (delta_types[i].member && !has_string(delta, delta_types[i].member))
            return "a delta without its text";
        return NULL;
    }
    return c->kind == CHECK_WHOLE ? "a delta of a block that has none" : NULL;
}

static const char *on_block_delta(struct checker *c, yyjson_val *root) {
    yyjson_val *delta = yyjson_obj_get(root, "delta");
    if (!is_open_index(c, root)) return "a delta for a block that is not open";
    const char *problem = check_delta(c, delta);
    if (problem) return problem;
    if (is(delta, "type", "signature_delta")) c->has_signature = true;
    if (c->kind != CHECK_TOOL) return NULL;
    track(&c->args, json_doc_str(yyjson_obj_get(delta, "partial_json")));
    return c->args.is_bad ? "a call's arguments are not one JSON object" : NULL;
}

static const char *on_block_stop(struct checker *c, yyjson_val *root) {
    if (!is_open_index(c, root)) return "content_block_stop for a block that is not open";
    c->state = CHECK_IN_MESSAGE;
    if (c->kind == CHECK_THINKING && !c->has_signature) return "a thinking block without signature";
    if (c->kind == CHECK_TOOL && c->args.is_begun && !c->args.is_over) {
        if (c->args.depth == 0) return "a call's arguments are blank";
        c->has_cut_tool = true; /* legal if the answer was cut */
    }
    return NULL;
}

/* ---- the end ---- */

static bool is_cut(struct slice reason) {
    enum stop_reason r = messages_stop_reason(reason);
    return r == STOP_LENGTH || r == STOP_FILTER || r == STOP_PAUSE;
}

static const char *on_message_delta(struct checker *c, yyjson_val *root) {
    yyjson_val *delta = yyjson_obj_get(root, "delta");
    struct slice reason = json_doc_str(yyjson_obj_get(delta, "stop_reason"));
    enum check_state before = c->state;
    if (before == CHECK_BEFORE) return "message_delta before message_start";
    c->state = CHECK_ENDING;
    c->is_named = reason.len > 0;
    if (before == CHECK_IN_BLOCK) return "message_delta while a block is open";
    if (!yyjson_is_obj(delta)) return "message_delta without a delta";
    if (!has_count(yyjson_obj_get(root, "usage"), "output_tokens"))
        return "message_delta without output_tokens";
    if (!c->is_named) return NULL;
    if (c->has_cut_tool && !is_cut(reason)) return "a call's arguments are cut, the answer is not";
    if (c->has_tool && slice_eq(reason, SLICE("end_turn"))) return "end_turn after a call";
    return NULL;
}

static const char *on_message_stop(struct checker *c, yyjson_val *root) {
    (void)root;
    enum check_state before = c->state;
    c->state = CHECK_DONE;
    if (before != CHECK_ENDING) return "message_stop before message_delta";
    return c->is_named ? NULL : "message_stop without a stop reason";
}

static const char *on_ping(struct checker *c, yyjson_val *root) {
    (void)c;
    (void)root;
    return NULL;
}

static const char *on_error(struct checker *c, yyjson_val *root) {
    yyjson_val *error = yyjson_obj_get(root, "error");
    c->state = CHECK_FAILED;
    return has_string(error, "type") && has_string(error, "message")
               ? NULL
               : "an error without type or message";
}

static const struct {
    const char *type;
    const char *(*check)(struct checker *c, yyjson_val *root);
} events[] = {
    {"content_block_delta", on_block_delta}, {"content_block_start", on_block_start},
    {"content_block_stop", on_block_stop},   {"ping", on_ping},
    {"message_start", on_message_start},     {"message_delta", on_message_delta},
    {"message_stop", on_message_stop},       {"error", on_error},
};

static const char *check_event(struct checker *c, const struct sse_frame *f, yyjson_val *root) {
    struct slice type = json_doc_str(yyjson_obj_get(root, "type"));
    const char *problem = NULL;
    if (!yyjson_is_obj(root) || type.len == 0) return "an event without a type";
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        if (slice_eq(type, slice_cstr(events[i].type))) problem = events[i].check(c, root);
    }
    if (problem) return problem;
    if (!(f->flags & SSE_NAME)) return "an event without its name";
    return slice_eq(f->name, type) ? NULL : "an event's name is not its type";
}

int messages_checker_frame(struct checker *c, const struct sse_frame *f, struct err *e) {
    struct json_doc d;
    if (!(f->flags & SSE_EVENT)) return 0;
    c->n_frames++;
    if (!(f->flags & SSE_DATA)) return wrong(c, e, "an event without data");
    if (c->state == CHECK_DONE) return wrong(c, e, "an event after message_stop");
    if (c->state == CHECK_FAILED) return wrong(c, e, "an event after an error");
    if (f->flags & SSE_MULTILINE) return wrong(c, e, "data on several lines");
    if (json_doc_parse(&d, f->data, NULL)) return wrong(c, e, "data that is not JSON");
    const char *problem = check_event(c, f, d.doc->root);
    json_doc_free(&d);
    return problem ? wrong(c, e, problem) : 0;
}

int messages_checker_end(struct checker *c, struct err *e) {
    if (c->state == CHECK_DONE || c->state == CHECK_FAILED) return 0;
    return err_set(e, ERR_PROTOCOL, "the stream ended before message_stop");
}
