/* SPDX-License-Identifier: Apache-2.0 */
/* Input items to messages (translation.md 2.5): what the assistant said and called between two
 * others' words is one message of its. Items that the model has no word for stay as they came, at
 * their place, in the message before them. */
#include "dialect/responses/responses-private.h"

#include <stdio.h>

#include "dialect/peek.h"

#define WHERE_BYTES 96

/* ---- members ---- */

struct field *responses_members(struct responses_reader *r, struct slice object) {
    struct field *list = NULL, **end = &list;
    struct json_walk w = json_walk_begin(object);
    struct slice key, value;
    while (json_walk_member(&w, &key, &value))
        field_add(r->a, &end, json_text_unescape(key, r->a), value);
    return list;
}

struct slice responses_take(struct field **members, const char *name) {
    struct slice key = slice_cstr(name), found = SLICE_NULL;
    while (*members) {
        if (slice_eq((*members)->key, key)) {
            found = (*members)->value;
            *members = (*members)->next;
        } else {
            members = &(*members)->next;
        }
    }
    return found;
}

static const char *place(char *to, const char *where, const char *name) {
    snprintf(to, WHERE_BYTES, "%s%s%s", where, where[0] ? "." : "", name);
    return to;
}

int responses_refuse_type(struct responses_reader *r, const char *where, const char *name,
                          const char *expected, struct slice got) {
    char param[WHERE_BYTES];
    return request_refuse_type(r->fault, place(param, where, name), expected, got);
}

int responses_refuse_missing(struct responses_reader *r, const char *where, const char *name) {
    char param[WHERE_BYTES];
    return request_refuse_missing(r->fault, place(param, where, name));
}

int responses_take_string(struct responses_reader *r, struct field **members, const char *where,
                          const char *name, bool is_required, struct slice *out) {
    struct slice value = responses_take(members, name);
    *out = SLICE_NULL;
    if (!value.ptr && is_required) return responses_refuse_missing(r, where, name);
    if (!value.ptr || (json_text_is_null(value) && !is_required)) return 0;
    if (!json_text_is(value, '"')) return responses_refuse_type(r, where, name, "a string", value);
    *out = json_text_string(value, r->a);
    return 0;
}

/* ---- calls by their id ---- */

enum call_kind { CALL_UNKNOWN, CALL_FUNCTION, CALL_CUSTOM, CALL_HOSTED };

static void calls_note(struct responses_reader *r, struct slice id, enum call_kind kind) {
    if (!id.ptr) return;
    enum call_kind *value = arena_alloc(r->a, sizeof *value);
    *value = kind;
    string_map_put(&r->calls, id, value);
}

static enum call_kind calls_find(const struct responses_reader *r, struct slice id) {
    const enum call_kind *kind = id.ptr ? string_map_get(&r->calls, id) : NULL;
    return kind ? *kind : CALL_UNKNOWN;
}

/* ---- messages that grow ---- */

static struct part *add_part(struct responses_reader *r, enum part_kind kind) {
    struct part *p = parts_add(&r->parts, r->a, kind);
    r->last->parts = r->parts.list;
    r->last->n_parts = r->parts.n;
    return p;
}

static void open_message(struct responses_reader *r, enum role role) {
    struct parts early = r->early;
    r->early = (struct parts){0};
    if (early.n > 0 && role == ROLE_TOOL) { /* a result stands first in its message */
        r->last = message_add(r->rq, r->a, ROLE_ASSISTANT);
        r->last->content_is_null = true;
        r->last->parts = early.list;
        r->last->n_parts = early.n;
        early = (struct parts){0};
    }
    r->last = message_add(r->rq, r->a, role);
    r->parts = early;
    r->last->parts = early.list;
    r->last->n_parts = early.n;
}

/* The assistant's turn that goes on, or a new one. */
static void join_assistant(struct responses_reader *r) {
    if (r->last && r->last->role == ROLE_ASSISTANT) return;
    open_message(r, ROLE_ASSISTANT);
    r->last->content_is_null = true;
}

static void add_opaque(struct responses_reader *r, struct slice raw) {
    struct part *p = r->last ? add_part(r, PART_OPAQUE) : parts_add(&r->early, r->a, PART_OPAQUE);
    p->raw = raw;
}

/* ---- content parts ---- */

static int take_text(struct responses_reader *r, struct part *p, struct field **members,
                     const char *where) {
    return responses_take_string(r, members, where, "text", true, &p->text);
}

static int take_refusal(struct responses_reader *r, struct part *p, struct field **members,
                        const char *where) {
    return responses_take_string(r, members, where, "refusal", true, &p->text);
}

static int take_image(struct responses_reader *r, struct part *p, struct field **members,
                      const char *where) {
    int rc = responses_take_string(r, members, where, "image_url", false, &p->url);
    if (rc == 0) rc = responses_take_string(r, members, where, "file_id", false, &p->file_id);
    if (rc == 0) rc = responses_take_string(r, members, where, "detail", false, &p->detail);
    if (rc == 0 && !p->url.ptr && !p->file_id.ptr)
        rc = responses_refuse_missing(r, where, "image_url");
    return rc;
}

static int take_file(struct responses_reader *r, struct part *p, struct field **members,
                     const char *where) {
    int rc = responses_take_string(r, members, where, "file_id", false, &p->file_id);
    if (rc == 0) rc = responses_take_string(r, members, where, "filename", false, &p->filename);
    if (rc == 0) rc = responses_take_string(r, members, where, "file_data", false, &p->encoded);
    if (rc == 0) rc = responses_take_string(r, members, where, "file_url", false, &p->url);
    if (rc == 0) rc = responses_take_string(r, members, where, "detail", false, &p->detail);
    return rc;
}

/* Not a part of this API, but of servers that speak it. */
static int take_audio(struct responses_reader *r, struct part *p, struct field **members,
                      const char *where) {
    struct slice audio = responses_take(members, "input_audio");
    (void)where;
    p->encoded = json_member_string(audio, SLICE("data"), r->a);
    p->media_type = json_member_string(audio, SLICE("format"), r->a);
    return 0;
}

static const struct part_type {
    const char *name;
    enum part_kind kind;
    int (*take)(struct responses_reader *r, struct part *p, struct field **members,
                const char *where);
} part_types[] = {
    {"input_text", PART_TEXT, take_text},    {"output_text", PART_TEXT, take_text},
    {"text", PART_TEXT, take_text},          {"refusal", PART_REFUSAL, take_refusal},
    {"input_image", PART_IMAGE, take_image}, {"input_file", PART_FILE, take_file},
    {"input_audio", PART_AUDIO, take_audio},
};

static const struct part_type *find_part_type(struct slice name) {
    for (size_t i = 0; i < sizeof part_types / sizeof *part_types; i++) {
        if (slice_eq(name, slice_cstr(part_types[i].name))) return &part_types[i];
    }
    return NULL;
}

static int read_part(struct responses_reader *r, struct part *p, struct slice raw,
                     const char *where) {
    struct field *members = responses_members(r, raw);
    struct slice type;
    p->raw = raw;
    int rc = responses_take_string(r, &members, where, "type", true, &type);
    if (rc) return rc;
    const struct part_type *known = find_part_type(type);
    if (!known) return 0;
    p->kind = known->kind;
    rc = known->take(r, p, &members, where);
    p->extras = members;
    return rc;
}

/* Each element of a list of parts; `next` gives the place for it. */
static int read_parts(struct responses_reader *r, struct slice list, const char *where,
                      struct part *(*next)(struct responses_reader *r, void *self), void *self) {
    struct json_walk w = json_walk_begin(list);
    struct slice raw;
    for (unsigned i = 0; json_walk_element(&w, &raw); i++) {
        char at[WHERE_BYTES];
        snprintf(at, sizeof at, "%s[%u]", where, i);
        if (!json_text_is(raw, '{')) return request_refuse_type(r->fault, at, "an object", raw);
        int rc = read_part(r, next(r, self), raw, at);
        if (rc) return rc;
    }
    return 0;
}

static struct part *next_of_message(struct responses_reader *r, void *self) {
    const struct responses_item *item = self;
    struct part *p = add_part(r, PART_OPAQUE);
    p->message_item = item;
    return p;
}

static struct part *next_of_list(struct responses_reader *r, void *self) {
    return parts_add(self, r->a, PART_OPAQUE);
}

/* ---- message items ---- */

static const struct {
    const char *name;
    enum role role;
} roles[] = {
    {"user", ROLE_USER},
    {"assistant", ROLE_ASSISTANT},
    {"system", ROLE_SYSTEM},
    {"developer", ROLE_DEVELOPER},
};

static int read_role(struct responses_reader *r, struct field **members, const char *where,
                     enum role *out) {
    char param[WHERE_BYTES];
    struct slice name;
    int rc = responses_take_string(r, members, where, "role", true, &name);
    if (rc) return rc;
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        if (!slice_eq(name, slice_cstr(roles[i].name))) continue;
        *out = roles[i].role;
        return 0;
    }
    return request_refuse(r->fault, "invalid_value", place(param, where, "role"),
                          "Invalid value for '%s': '%.*s'. Supported values are: 'user', "
                          "'assistant', 'system' and 'developer'.",
                          param, (int)(name.len < 32 ? name.len : 32), name.ptr);
}

static bool says_something(struct slice content) {
    struct json_walk w = json_walk_begin(content);
    struct slice first;
    return json_text_is(content, '"') || json_walk_element(&w, &first);
}

static void open_for_content(struct responses_reader *r, enum role role, bool is_string) {
    bool is_new = role != ROLE_ASSISTANT || !r->last || r->last->role != ROLE_ASSISTANT ||
                  r->last->content_is_null;
    if (role == ROLE_ASSISTANT)
        join_assistant(r);
    else
        open_message(r, role);
    r->last->content_is_null = false;
    if (is_new) r->last->content_is_string = is_string;
}

static int read_message(struct responses_reader *r, struct slice raw, struct field *members,
                        const char *where) {
    char at[WHERE_BYTES];
    enum role role = ROLE_USER;
    int rc = read_role(r, &members, where, &role);
    if (rc) return rc;
    struct slice content = responses_take(&members, "content");
    bool is_string = json_text_is(content, '"');
    if (!content.ptr) return responses_refuse_missing(r, where, "content");
    if (!is_string && !json_text_is(content, '[') && !json_text_is_null(content)) {
        return responses_refuse_type(r, where, "content", "one of a string or array of objects",
                                     content);
    }
    if (!says_something(content)) {
        add_opaque(r, raw);
        return 0;
    }
    struct responses_item *item = arena_alloc(r->a, sizeof *item);
    *item = (struct responses_item){members, is_string};
    open_for_content(r, role, is_string);
    if (!is_string)
        return read_parts(r, content, place(at, where, "content"), next_of_message, item);
    struct part *p = next_of_message(r, item);
    p->kind = PART_TEXT;
    p->text = json_text_string(content, r->a);
    p->raw = content;
    return 0;
}

/* ---- calls and their results ---- */

static int read_call_of(struct responses_reader *r, struct slice raw, struct field *members,
                        const char *where, enum part_kind kind) {
    struct part p = {.kind = kind, .raw = raw};
    bool is_custom = kind == PART_CUSTOM_TOOL_CALL;
    (void)responses_take(&members, "type");
    int rc = responses_take_string(r, &members, where, "call_id", true, &p.id);
    if (rc == 0) rc = responses_take_string(r, &members, where, "name", true, &p.name);
    if (rc == 0)
        rc = responses_take_string(r, &members, where, is_custom ? "input" : "arguments", true,
                                   &p.text);
    if (rc == 0) rc = responses_take_string(r, &members, where, "id", false, &p.item_id);
    if (rc == 0) rc = responses_take_string(r, &members, where, "namespace", false, &p.name_space);
    if (rc) return rc;
    p.extras = members;
    join_assistant(r);
    *add_part(r, kind) = p;
    calls_note(r, p.id, is_custom ? CALL_CUSTOM : CALL_FUNCTION);
    return 0;
}

static int read_call(struct responses_reader *r, struct slice raw, struct field *members,
                     const char *where) {
    return read_call_of(r, raw, members, where, PART_TOOL_CALL);
}

static int read_custom_call(struct responses_reader *r, struct slice raw, struct field *members,
                            const char *where) {
    return read_call_of(r, raw, members, where, PART_CUSTOM_TOOL_CALL);
}

static int read_output(struct responses_reader *r, struct part *p, struct slice output,
                       const char *where) {
    char at[WHERE_BYTES];
    struct parts inner = {0};
    if (!output.ptr) return responses_refuse_missing(r, where, "output");
    if (json_text_is(output, '"')) {
        p->text = json_text_string(output, r->a);
        return 0;
    }
    if (!json_text_is(output, '[')) {
        return responses_refuse_type(r, where, "output", "one of a string or array of objects",
                                     output);
    }
    int rc = read_parts(r, output, place(at, where, "output"), next_of_list, &inner);
    p->inner = inner.list;
    p->n_inner = inner.n;
    if (inner.n == 0) p->text = SLICE("");
    return rc;
}

static int read_result_of(struct responses_reader *r, struct slice raw, struct field *members,
                          const char *where, bool is_custom) {
    struct part p = {.kind = PART_TOOL_RESULT, .raw = raw};
    (void)responses_take(&members, "type");
    struct slice output = responses_take(&members, "output");
    int rc = responses_take_string(r, &members, where, "call_id", is_custom, &p.id);
    if (rc == 0) rc = responses_take_string(r, &members, where, "id", false, &p.item_id);
    if (rc == 0) rc = read_output(r, &p, output, where);
    if (rc) return rc;
    enum call_kind kind = calls_find(r, p.id);
    if (kind == CALL_HOSTED) { /* it goes the way of its call */
        add_opaque(r, raw);
        return 0;
    }
    p.is_custom = kind == CALL_CUSTOM || (kind == CALL_UNKNOWN && is_custom);
    p.extras = members;
    open_message(r, ROLE_TOOL);
    r->last->content_is_string = json_text_is(output, '"');
    *add_part(r, PART_TOOL_RESULT) = p;
    return 0;
}

static int read_result(struct responses_reader *r, struct slice raw, struct field *members,
                       const char *where) {
    return read_result_of(r, raw, members, where, false);
}

static int read_custom_result(struct responses_reader *r, struct slice raw, struct field *members,
                              const char *where) {
    return read_result_of(r, raw, members, where, true);
}

/* Tools that only this API has: nobody else is told of the call, nor of its result. */
static int read_hosted_call(struct responses_reader *r, struct slice raw, struct field *members,
                            const char *where) {
    struct slice id;
    int rc = responses_take_string(r, &members, where, "call_id", false, &id);
    if (rc == 0) add_opaque(r, raw);
    if (rc == 0) calls_note(r, id, CALL_HOSTED);
    return rc;
}

/* ---- reasoning ---- */

/* Appends the texts of a list's elements of one type, a blank line between. */
static int join_texts(struct responses_reader *r, struct slice list, const char *type,
                      const char *where, struct buf *out, unsigned *n) {
    struct json_walk w = json_walk_begin(list);
    struct slice raw, text, found;
    for (unsigned i = 0; json_walk_element(&w, &raw); i++) {
        char at[WHERE_BYTES];
        snprintf(at, sizeof at, "%s[%u]", where, i);
        if (!json_text_is(raw, '{')) return request_refuse_type(r->fault, at, "an object", raw);
        struct field *members = responses_members(r, raw);
        int rc = responses_take_string(r, &members, at, "type", false, &found);
        if (rc == 0 && !slice_eq(found, slice_cstr(type))) continue;
        if (rc == 0) rc = responses_take_string(r, &members, at, "text", true, &text);
        if (rc == 0 && (*n)++ > 0) rc = buf_append(out, SLICE("\n\n"));
        if (rc == 0) rc = buf_append(out, text);
        if (rc) return rc;
    }
    return 0;
}

static int read_thought(struct responses_reader *r, struct slice summary, struct slice content,
                        const char *where, struct slice *out) {
    char at[WHERE_BYTES];
    struct buf text;
    unsigned n = 0;
    buf_init(&text, 2 * (summary.len + content.len)); /* escapes shrink, a joint takes less */
    int rc = join_texts(r, summary, "summary_text", place(at, where, "summary"), &text, &n);
    if (rc == 0 && n == 0)
        rc = join_texts(r, content, "reasoning_text", place(at, where, "content"), &text, &n);
    if (rc == 0) *out = arena_dup(r->a, buf_slice(&text));
    buf_dispose(&text);
    return rc;
}

static int take_list(struct responses_reader *r, struct field **members, const char *where,
                     const char *name, struct slice *out) {
    *out = responses_take(members, name);
    if (!out->ptr || json_text_is_null(*out) || json_text_is(*out, '[')) return 0;
    return responses_refuse_type(r, where, name, "an array of objects", *out);
}

static int read_reasoning(struct responses_reader *r, struct slice raw, struct field *members,
                          const char *where) {
    struct part p = {.kind = PART_REASONING, .raw = raw};
    struct slice summary, content;
    (void)responses_take(&members, "type");
    int rc = take_list(r, &members, where, "summary", &summary);
    if (rc == 0) rc = take_list(r, &members, where, "content", &content);
    if (rc == 0) rc = responses_take_string(r, &members, where, "id", false, &p.item_id);
    if (rc == 0)
        rc = responses_take_string(r, &members, where, "encrypted_content", false, &p.proof);
    if (rc == 0) rc = read_thought(r, summary, content, where, &p.text);
    if (rc) return rc;
    p.extras = members;
    join_assistant(r);
    *add_part(r, PART_REASONING) = p;
    return 0;
}

/* ---- other items ---- */

static int read_reference(struct responses_reader *r, struct slice raw, struct field *members,
                          const char *where) {
    struct slice id;
    int rc = responses_take_string(r, &members, where, "id", true, &id);
    if (rc) return rc;
    r->rq->has_item_reference = true;
    add_opaque(r, raw);
    return 0;
}

static int read_more_tools(struct responses_reader *r, struct slice raw, struct field *members,
                           const char *where) {
    char at[WHERE_BYTES];
    struct slice list = responses_take(&members, "tools");
    if (!list.ptr) return responses_refuse_missing(r, where, "tools");
    int rc = responses_read_tools(r, list, SLICE_NULL, place(at, where, "tools"));
    if (rc == 0) add_opaque(r, raw);
    return rc;
}

static const struct item_type {
    const char *name;
    int (*read)(struct responses_reader *r, struct slice raw, struct field *members,
                const char *where);
} item_types[] = {
    {"message", read_message},
    {"function_call", read_call},
    {"function_call_output", read_result},
    {"custom_tool_call", read_custom_call},
    {"custom_tool_call_output", read_custom_result},
    {"reasoning", read_reasoning},
    {"item_reference", read_reference},
    {"additional_tools", read_more_tools},
    {"local_shell_call", read_hosted_call},
    {"shell_call", read_hosted_call},
    {"computer_call", read_hosted_call},
    {"apply_patch_call", read_hosted_call},
    {"tool_search_call", read_hosted_call},
};

static struct slice find_member(const struct field *list, const char *name) {
    struct slice found = SLICE_NULL;
    for (; list; list = list->next)
        if (slice_eq(list->key, slice_cstr(name))) found = list->value;
    return found;
}

/* Clients leave the type of messages and references out. */
static int item_type(struct responses_reader *r, const struct field *members, const char *where,
                     struct slice *out) {
    struct slice raw = find_member(members, "type");
    *out = json_text_string(raw, r->a);
    if (out->ptr) return 0;
    if (raw.ptr && !json_text_is_null(raw))
        return responses_refuse_type(r, where, "type", "a string", raw);
    if (find_member(members, "role").ptr)
        *out = SLICE("message");
    else if (find_member(members, "id").ptr)
        *out = SLICE("item_reference");
    else
        return responses_refuse_missing(r, where, "type");
    return 0;
}

static int read_item(struct responses_reader *r, struct slice raw, unsigned i) {
    char where[WHERE_BYTES];
    struct slice type;
    snprintf(where, sizeof where, "input[%u]", i);
    if (!json_text_is(raw, '{')) return request_refuse_type(r->fault, where, "an object", raw);
    struct field *members = responses_members(r, raw);
    int rc = item_type(r, members, where, &type);
    if (rc) return rc;
    for (size_t k = 0; k < sizeof item_types / sizeof *item_types; k++) {
        if (slice_eq(type, slice_cstr(item_types[k].name)))
            return item_types[k].read(r, raw, members, where);
    }
    add_opaque(r, raw);
    return 0;
}

int responses_read_input(struct responses_reader *r, struct slice input) {
    struct json_walk w = json_walk_begin(input);
    struct slice raw;
    int rc = 0;
    if (json_text_is(input, '"')) {
        open_message(r, ROLE_USER);
        r->last->content_is_string = true;
        add_part(r, PART_TEXT)->text = json_text_string(input, r->a);
        return 0;
    }
    if (json_text_is(input, '{')) rc = read_item(r, input, 0);
    if (json_text_is(input, '['))
        for (unsigned i = 0; rc == 0 && json_walk_element(&w, &raw); i++)
            rc = read_item(r, raw, i);
    if (rc == 0 && r->early.n > 0) join_assistant(r);
    return rc;
}
