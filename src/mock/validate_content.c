/* SPDX-License-Identifier: Apache-2.0 */
/* Messages: who says what, in which order. Whether calls and results fit each other, history.c
 * looks at. */
#include "mock/validate-private.h"

#include <stdlib.h>

#include "base/json_scan.h"
#include "dialect/json_doc.h"

enum { MAX_IDS = 4096, CACHE_POINTS = 4 };

static struct slice root_member(struct check *c, const char *name) {
    struct slice body = slice_from(c->in->body, json_text_skip_space(c->in->body, 0));
    return member_of(c, body, name);
}

/* ---- ids that must not come twice ---- */

struct seen {
    uint64_t hash;
    unsigned order;
    const char *path;
    struct slice id;
};
struct ids {
    struct seen *list;
    unsigned n, cap;
};

static void ids_add(struct check *c, struct ids *ids, struct slice id, const char *path) {
    if (!id.ptr || ids->n == MAX_IDS) {
        return;
    }
    if (ids->n == ids->cap) {
        unsigned cap = ids->cap ? ids->cap * 2 : 16;
        struct seen *grown = arena_alloc(c->a, cap * sizeof *grown);
        if (ids->n) memcpy(grown, ids->list, ids->n * sizeof *grown);
        ids->list = grown;
        ids->cap = cap;
    }
    ids->list[ids->n] = (struct seen){slice_hash_id(id), ids->n, path, id};
    ids->n++;
}

static int by_hash(const void *a, const void *b) {
    const struct seen *x = a, *y = b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static void ids_check(struct check *c, struct ids *ids) {
    if (ids->n < 2) {
        return;
    }
    qsort(ids->list, ids->n, sizeof *ids->list, by_hash);
    for (unsigned i = 1; i < ids->n; i++) {
        const struct seen *one = &ids->list[i];
        if (one->hash != one[-1].hash || !slice_eq(one->id, one[-1].id)) {
            continue;
        }
        if (c->is_anthropic) {
            violate(c, RULE_USE_IDS, one->path, "%s: `tool_use` ids must be unique",
                    dotted(c, one->path));
        } else {
            violate(c, RULE_CALL_IDS, one->path, "Duplicate value for '%s': '%.*s'", one->path,
                    SHOW(one->id));
        }
    }
}

static void check_arguments(struct check *c, const char *path, struct slice arguments) {
    struct slice text = json_text_string(arguments, c->a);
    if (text.len > 0 && json_scan_object(text, WIRE_MAX_DEPTH, NULL, NULL, NULL) < 0) {
        violate(c, RULE_ARGUMENTS, path, "Invalid '%s': the arguments are no JSON object.", path);
    }
}

/* ---- chat ---- */

static void check_call(struct check *c, const char *path, struct slice call, struct ids *ids) {
    struct slice type = string_in(c, call, "type"), id = string_in(c, call, "id");
    bool is_custom = slice_eq(type, SLICE("custom"));
    const char *inner_path = place_of(c, path, is_custom ? "custom" : "function");
    struct slice inner = member_of(c, call, is_custom ? "custom" : "function");
    const char *text_name = is_custom ? "input" : "arguments";
    if (!id.ptr) violate_missing(c, place_of(c, path, "id"));
    if (!type.ptr) violate_missing(c, place_of(c, path, "type"));
    else if (!is_word("function|custom", type))
        violate_choice(c, RULE_PART_TYPE, place_of(c, path, "type"), type, "function|custom");
    ids_add(c, ids, id, place_of(c, path, "id"));
    if (!json_text_is(inner, '{')) {
        violate_missing(c, inner_path);
        return;
    }
    struct slice text = member_of(c, inner, text_name);
    const char *text_path = place_of(c, inner_path, text_name);
    if (!string_in(c, inner, "name").ptr) violate_missing(c, place_of(c, inner_path, "name"));
    if (!is_said(text)) violate_missing(c, text_path);
    else if (!json_text_is(text, '"')) violate_type(c, text_path, "a string", text);
    else if (!is_custom) check_arguments(c, text_path, text);
}

static void violate_empty_array(struct check *c, const char *path) {
    violate_code(c, RULE_EMPTY_CONTENT, "empty_array", path,
                 "Invalid '%s': empty array. Expected an array with minimum length 1, but got an "
                 "empty array instead.",
                 path);
}

static void check_calls(struct check *c, const char *path, struct slice calls, struct ids *ids) {
    struct json_walk w = json_walk_begin(calls);
    const char *at = place_of(c, path, "tool_calls");
    struct slice one;
    unsigned i = 0;
    if (!is_said(calls)) {
        return;
    }
    if (!json_text_is(calls, '[')) {
        violate_type(c, at, "an array of objects", calls);
        return;
    }
    for (; json_walk_element(&w, &one); i++) check_call(c, place_at(c, at, i), one, ids);
    if (i == 0) violate_empty_array(c, at);
}

/* What stands in for content. */
static bool says_otherwise(struct check *c, struct slice message) {
    return is_said(member_of(c, message, "tool_calls")) ||
           is_said(member_of(c, message, "function_call")) ||
           is_said(member_of(c, message, "refusal")) || is_said(member_of(c, message, "audio"));
}

static void check_chat_content(struct check *c, const char *path, struct slice message,
                               struct slice role) {
    struct slice content = member_of(c, message, "content"), one;
    const char *at = place_of(c, path, "content");
    struct json_walk w = json_walk_begin(content);
    bool may_lack = slice_eq(role, SLICE("assistant")) ? says_otherwise(c, message)
                                                       : slice_eq(role, SLICE("function"));
    if (!is_said(content)) {
        if (!may_lack) {
            violate_code(c, RULE_EMPTY_CONTENT, NULL, at,
                         "Invalid value for 'content': expected a string, got null.");
        }
        return;
    }
    for (unsigned i = 0; json_text_is(content, '[') && json_walk_element(&w, &one); i++) {
        check_chat_part(c, place_at(c, at, i), one, role);
    }
    if (json_text_is(content, '[') && count_elements(content) == 0) violate_empty_array(c, at);
}

static void check_members(struct check *c, const char *path, struct slice object,
                          const char *words) {
    struct json_walk w = json_walk_begin(object);
    struct slice key, value;
    while (json_walk_member(&w, &key, &value)) {
        if (is_word(words, key) || !is_said(value)) {
            continue;
        }
        const char *at = place_of(c, path, arena_printf(c->a, "%.*s", SHOW(key)));
        if (c->is_anthropic)
            violate(c, RULE_UNKNOWN_PARAMETER, at, "%s: Extra inputs are not permitted",
                    dotted(c, at));
        else violate(c, RULE_UNKNOWN_PARAMETER, at, "Unknown parameter: '%s'.", at);
    }
}

void check_chat_messages(struct check *c) {
    struct slice list = root_member(c, "messages"), one;
    struct json_walk w = json_walk_begin(list);
    struct ids ids = {0};
    for (unsigned i = 0; json_walk_element(&w, &one); i++) {
        const char *path = place_at(c, "messages", i);
        struct slice role = string_in(c, one, "role");
        check_members(c, path, one,
                      "role|content|name|tool_calls|tool_call_id|function_call|refusal|audio");
        check_chat_content(c, path, one, role);
        check_calls(c, path, member_of(c, one, "tool_calls"), &ids);
    }
    ids_check(c, &ids);
}

/* ---- messages ---- */

#define USER_BLOCKS                                                                                \
    "text|image|document|search_result|tool_result|container_upload|tool_addition|tool_removal|"   \
    "mcp_tool_listing"
#define ASSISTANT_BLOCKS                                                                           \
    "text|thinking|redacted_thinking|tool_use|server_tool_use|web_search_tool_result|"             \
    "web_fetch_tool_result|code_execution_tool_result|bash_code_execution_tool_result|"            \
    "text_editor_code_execution_tool_result|tool_search_tool_result|mcp_tool_use|mcp_tool_result|" \
    "compaction|fallback|advisor_tool_result|container_upload"

/* One message's walk over its blocks. */
struct turn {
    const char *path;                /* of the message */
    struct slice role;
    bool is_user, is_last;
    unsigned n_blocks, n_texts, n_blank;
    bool has_other;                  /* than results, so far */
    struct slice last_text;          /* of the last block, when it is a text */
};

static void check_text_block(struct check *c, struct turn *t, const char *path, struct slice text) {
    t->n_texts++;
    t->n_blank += slice_is_blank(text);
    t->last_text = text;
    if (text.ptr && text.len == 0) {
        violate(c, RULE_EMPTY_CONTENT, path, "messages: text content blocks must be non-empty");
    }
}

static bool is_id(struct slice id) {
    for (size_t i = 0; i < id.len; i++) {
        char ch = id.ptr[i];
        bool is_ok = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
                     (ch >= '0' && ch <= '9') || ch == '_' || ch == '-';
        if (!is_ok) return false;
    }
    return id.len > 0;
}

static void check_use(struct check *c, const char *path, struct slice block, struct ids *ids) {
    struct slice id = string_in(c, block, "id");
    if (id.ptr && !is_id(id)) {
        violate(c, RULE_USE_IDS, place_of(c, path, "id"),
                "%s.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'", dotted(c, path));
    }
    ids_add(c, ids, id, place_of(c, path, "id"));
}

static void check_block(struct check *c, struct turn *t, const char *path, struct slice block,
                        struct ids *ids, unsigned *points) {
    struct slice type = string_in(c, block, "type");
    check_messages_block(c, path, block, t->is_user ? USER_BLOCKS : ASSISTANT_BLOCKS);
    *points += is_said(member_of(c, block, "cache_control"));
    t->last_text = SLICE_NULL;
    if (slice_eq(type, SLICE("text"))) {
        check_text_block(c, t, place_of(c, path, "text"), string_in(c, block, "text"));
    }
    if (slice_eq(type, SLICE("tool_use"))) check_use(c, path, block, ids);
    if (slice_eq(type, SLICE("tool_result")) && t->has_other) {
        violate(c, RULE_RESULTS_FIRST, path,
                "%s: `tool_result` blocks must come before any other block of their message: "
                "`tool_use` ids were found without `tool_result` blocks immediately after.",
                dotted(c, t->path));
    }
    t->has_other |= !slice_eq(type, SLICE("tool_result"));
    t->n_blocks++;
}

static void check_turn_end(struct check *c, const struct turn *t, const char *path) {
    enum thinking thinking = c->in->rq->reasoning.thinking;
    struct slice text = t->last_text;
    if (t->is_user && t->n_blocks == 0) {
        violate(c, RULE_EMPTY_CONTENT, path, "%s: user messages must have non-empty content",
                dotted(c, t->path));
    } else if (t->n_blocks == 1 && t->n_blank == 1 && text.len > 0) {
        violate(c, RULE_EMPTY_CONTENT, path,
                "messages: text content blocks must contain non-whitespace text");
    }
    if (!t->is_last || t->is_user || text.len == 0) {
        return;
    }
    if (memchr(" \t\r\n", text.ptr[text.len - 1], 4)) {
        violate(c, RULE_PREFILL, path,
                "messages: final assistant content cannot end with trailing whitespace");
    }
    if (thinking == THINKING_BUDGET || thinking == THINKING_ADAPTIVE) {
        violate(c, RULE_PREFILL, path,
                "This model does not support assistant message prefill. The conversation must end "
                "with a user message.");
    }
}

static void check_turn(struct check *c, struct turn *t, struct slice message, struct ids *ids,
                       unsigned *points) {
    struct slice content = member_of(c, message, "content"), one;
    const char *at = place_of(c, t->path, "content");
    struct json_walk w = json_walk_begin(content);
    if (json_text_is(content, '"')) {
        t->last_text = json_text_string(content, c->a);
        t->n_blocks = t->n_texts = t->last_text.len > 0;
        t->n_blank = t->n_texts && slice_is_blank(t->last_text);
    }
    for (unsigned i = 0; json_text_is(content, '[') && json_walk_element(&w, &one); i++) {
        check_block(c, t, place_at(c, at, i), one, ids, points);
    }
    check_turn_end(c, t, at);
}

static unsigned count_points(struct check *c, struct slice list) {
    struct json_walk w = json_walk_begin(list);
    struct slice one;
    unsigned n = 0;
    while (json_text_is(list, '[') && json_walk_element(&w, &one)) {
        n += is_said(member_of(c, one, "cache_control"));
    }
    return n;
}

static void check_system(struct check *c, struct slice system) {
    struct json_walk w = json_walk_begin(system);
    struct slice one;
    for (unsigned i = 0; json_text_is(system, '[') && json_walk_element(&w, &one); i++) {
        const char *path = place_at(c, "system", i);
        struct slice text = string_in(c, one, "text");
        check_messages_block(c, path, one, "text");
        if (text.ptr && text.len == 0) {
            violate(c, RULE_EMPTY_CONTENT, path, "system: text content blocks must be non-empty");
        }
    }
}

void check_messages_messages(struct check *c) {
    struct slice list = root_member(c, "messages"), one;
    struct json_walk w = json_walk_begin(list);
    struct ids ids = {0};
    unsigned n = count_elements(list);
    unsigned points = count_points(c, root_member(c, "system")) +
                      count_points(c, root_member(c, "tools"));
    check_system(c, root_member(c, "system"));
    for (unsigned i = 0; json_walk_element(&w, &one); i++) {
        struct turn t = {.path = place_at(c, "messages", i), .role = string_in(c, one, "role")};
        t.is_user = !slice_eq(t.role, SLICE("assistant"));
        t.is_last = i + 1 == n;
        check_members(c, t.path, one, "role|content");
        if (i == 0 && !t.is_user) {
            violate(c, RULE_FIRST_MESSAGE, t.path,
                    "messages: first message must use the \"user\" role");
        }
        check_turn(c, &t, one, &ids, &points);
    }
    if (points > CACHE_POINTS) {
        violate(c, RULE_CACHE_POINTS, "",
                "A maximum of %d blocks with cache_control may be provided. Found %u.", CACHE_POINTS,
                points);
    }
    ids_check(c, &ids);
}

/* ---- responses ---- */

static const char item_types[] =
    "message|function_call|function_call_output|custom_tool_call|custom_tool_call_output|reasoning|"
    "item_reference|file_search_call|web_search_call|computer_call|computer_call_output|"
    "image_generation_call|code_interpreter_call|local_shell_call|local_shell_call_output|"
    "shell_call|shell_call_output|apply_patch_call|apply_patch_call_output|mcp_list_tools|"
    "mcp_approval_request|mcp_approval_response|mcp_call|tool_search_call|tool_search_output|"
    "compaction|compaction_trigger|configuration_update|additional_tools|program|program_output";

static void check_item_content(struct check *c, const char *path, struct slice item) {
    struct slice content = member_of(c, item, "content"), role = string_in(c, item, "role"), one;
    struct json_walk w = json_walk_begin(content);
    for (unsigned i = 0; json_text_is(content, '[') && json_walk_element(&w, &one); i++) {
        check_responses_part(c, place_at(c, place_of(c, path, "content"), i), one, role);
    }
}

static void check_item(struct check *c, const char *path, struct slice item, struct ids *ids) {
    struct slice type = string_in(c, item, "type"), id = string_in(c, item, "call_id");
    bool is_message = type.ptr ? slice_eq(type, SLICE("message"))
                               : is_said(member_of(c, item, "role"));
    if (type.ptr && !is_word(item_types, type)) {
        violate_choice(c, RULE_PART_TYPE, place_of(c, path, "type"), type, item_types);
    } else if (is_message) {
        check_item_content(c, path, item);
    } else if (slice_eq(type, SLICE("function_call"))) {
        check_arguments(c, place_of(c, path, "arguments"), member_of(c, item, "arguments"));
        ids_add(c, ids, id, place_of(c, path, "call_id"));
    } else if (slice_eq(type, SLICE("custom_tool_call"))) {
        ids_add(c, ids, id, place_of(c, path, "call_id"));
    }
}

void check_responses_items(struct check *c) {
    struct slice list = root_member(c, "input"), one;
    struct json_walk w = json_walk_begin(list);
    struct ids ids = {0};
    for (unsigned i = 0; json_text_is(list, '[') && json_walk_element(&w, &one); i++) {
        check_item(c, place_at(c, "input", i), one, &ids);
    }
    ids_check(c, &ids);
}
