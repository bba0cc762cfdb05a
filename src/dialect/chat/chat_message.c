/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to the model's normal form.
 *
 * Reasoning may stand in four members beside the content, often in copies of each other. The parts
 * are made of the best of them (blocks with proofs, then plain text); all four stay in the
 * message's extras, marked as understood. What a legacy function_call and its result have no id for
 * is made up here. */
#include "dialect/chat/chat-request.h"

#include <stdio.h>

#include "dialect/peek.h"

static int refuse_type(struct chat_reader *r, const char *param, const char *expected,
                       struct slice got) {
    return request_refuse_type(r->fault, param, expected, got);
}

static struct slice string_of(struct chat_reader *r, struct slice token) {
    return json_text_string(token, r->a);
}

static struct slice member(struct chat_reader *r, struct slice object, struct slice name) {
    return json_member(object, name, r->a);
}

static struct slice string_member(struct chat_reader *r, struct slice object, const char *name) {
    return json_member_string(object, slice_cstr(name), r->a);
}

/* ---- content parts ---- */

/* Each takes the member named after the part's type; false: not in a form that the model knows. */
static bool take_text(struct chat_reader *r, struct part *p, struct slice value) {
    p->text = string_of(r, value);
    return p->text.ptr;
}

static bool take_image(struct chat_reader *r, struct part *p, struct slice value) {
    p->url = json_text_is(value, '"') ? string_of(r, value) : string_member(r, value, "url");
    p->detail = string_member(r, value, "detail");
    return p->url.ptr;
}

static bool take_audio(struct chat_reader *r, struct part *p, struct slice value) {
    p->encoded = string_member(r, value, "data");
    p->media_type = string_member(r, value, "format");
    return p->encoded.ptr && p->media_type.ptr;
}

/* "data:application/pdf;base64,…" */
static struct slice data_url_type(struct slice url) {
    struct slice prefix = SLICE("data:");
    size_t n = 0;
    if (!slice_starts_with(url, prefix)) return SLICE_NULL;
    url = slice_from(url, prefix.len);
    while (n < url.len && url.ptr[n] != ';' && url.ptr[n] != ',') n++;
    return slice_sub(url, 0, n);
}

static bool take_file(struct chat_reader *r, struct part *p, struct slice value) {
    p->file_id = string_member(r, value, "file_id");
    p->filename = string_member(r, value, "filename");
    p->encoded = string_member(r, value, "file_data");
    p->media_type = data_url_type(p->encoded);
    return json_text_is(value, '{');
}

static const struct part_type {
    const char *name; /* of the type, and of the member that holds the value */
    enum part_kind kind;
    bool (*take)(struct chat_reader *r, struct part *p, struct slice value);
} part_types[] = {
    {"text", PART_TEXT, take_text},          {"image_url", PART_IMAGE, take_image},
    {"input_audio", PART_AUDIO, take_audio}, {"file", PART_FILE, take_file},
    {"refusal", PART_REFUSAL, take_text},
};

static const struct part_type *find_part_type(struct slice name) {
    for (size_t i = 0; i < sizeof part_types / sizeof *part_types; i++) {
        if (slice_eq(name, slice_cstr(part_types[i].name))) return &part_types[i];
    }
    return NULL;
}

static void read_part(struct chat_reader *r, struct slice raw, struct parts *ps) {
    struct part *p = parts_add(ps, r->a, PART_OPAQUE);
    const struct part_type *type = find_part_type(string_member(r, raw, "type"));
    struct field **end = &p->extras;
    bool known = false;
    p->raw = raw;
    if (!type) return;
    struct json_walk w = json_walk_begin(raw);
    struct slice key, value;
    while (json_walk_member(&w, &key, &value)) {
        key = json_text_unescape(key, r->a);
        if (slice_eq(key, SLICE("type"))) continue;
        if (slice_eq(key, slice_cstr(type->name))) known = type->take(r, p, value);
        else field_add(r->a, &end, key, value);
    }
    if (known) p->kind = type->kind;
}

static int read_content(struct chat_reader *r, struct message *m, struct slice raw,
                        struct parts *ps, const char *where) {
    char param[64];
    struct slice item;
    snprintf(param, sizeof param, "%s.content", where);
    m->content_is_absent = !raw.ptr;
    m->content_is_null = json_text_is_null(raw);
    m->content_is_string = json_text_is(raw, '"');
    if (m->content_is_absent || m->content_is_null) return 0;
    if (m->content_is_string) {
        parts_add(ps, r->a, PART_TEXT)->text = string_of(r, raw);
        return 0;
    }
    if (!json_text_is(raw, '['))
        return refuse_type(r, param, "one of a string or array of objects", raw);
    struct json_walk w = json_walk_begin(raw);
    for (unsigned i = 0; json_walk_element(&w, &item); i++) {
        if (!json_text_is(item, '{')) {
            snprintf(param, sizeof param, "%s.content[%u]", where, i);
            return refuse_type(r, param, "an object", item);
        }
        read_part(r, item, ps);
    }
    return 0;
}

/* ---- calls and results ---- */

/* Some clients leave them out, or forget the quotes around them. */
static struct slice unquoted_arguments(struct chat_reader *r, struct slice function) {
    struct slice args = member(r, function, SLICE("arguments"));
    if (!args.ptr || json_text_is_null(args)) return SLICE("");
    return json_text_is(args, '{') ? args : SLICE_NULL;
}

static void read_tool_call(struct chat_reader *r, struct slice raw, struct parts *ps) {
    struct part *p = parts_add(ps, r->a, PART_OPAQUE);
    struct slice key, value, inner = SLICE_NULL;
    struct field **end = &p->extras;
    enum part_kind kind = PART_OPAQUE;
    p->raw = raw;
    p->name = SLICE("tool_calls");
    struct json_walk w = json_walk_begin(raw);
    while (json_walk_member(&w, &key, &value)) {
        key = json_text_unescape(key, r->a);
        if (slice_eq(key, SLICE("id"))) p->id = string_of(r, value);
        else if (slice_eq(key, SLICE("function"))) kind = PART_TOOL_CALL, inner = value;
        else if (slice_eq(key, SLICE("custom"))) kind = PART_CUSTOM_TOOL_CALL, inner = value;
        else if (!slice_eq(key, SLICE("type"))) field_add(r->a, &end, key, value);
    }
    struct slice name = string_member(r, inner, "name");
    p->text = string_member(r, inner, kind == PART_CUSTOM_TOOL_CALL ? "input" : "arguments");
    if (!p->text.ptr && kind == PART_TOOL_CALL) p->text = unquoted_arguments(r, inner);
    if (!name.ptr || !p->text.ptr || !p->id.ptr) return;
    p->name = name;
    p->kind = kind;
}

static void read_calls(struct chat_reader *r, struct slice calls, struct slice function_call,
                       struct parts *ps) {
    struct json_walk w = json_walk_begin(calls);
    struct slice call;
    while (json_walk_element(&w, &call)) read_tool_call(r, call, ps);
    if (!function_call.ptr) return;
    struct part *p = parts_add(ps, r->a, PART_FUNCTION_CALL);
    p->raw = function_call;
    p->id = slice_cstr(arena_printf(r->a, "call_f%u", r->rq->n_messages));
    p->name = string_member(r, p->raw, "name");
    p->text = string_member(r, p->raw, "arguments");
}

/* Among a message's first parts: each result asks, and a request may have as many results as
 * calls. */
#define SEARCHED_PARTS 512

static const struct part *find_call(const struct message *m, enum part_kind kind,
                                    struct slice id) {
    for (unsigned i = 0; m && i < m->n_parts && i < SEARCHED_PARTS; i++) {
        const struct part *p = &m->parts[i];
        if (p->kind == kind && (!id.ptr || slice_eq(p->id, id))) return p;
    }
    return NULL;
}

/* A string is the result's text; parts are its inner parts. */
static int read_result(struct chat_reader *r, struct message *m, struct slice content,
                       struct part *result, const char *where) {
    struct parts inner = {0};
    int rc = read_content(r, m, content, &inner, where);
    if (m->content_is_string) {
        result->text = inner.list[0].text;
    } else {
        result->inner = inner.list;
        result->n_inner = inner.n;
    }
    return rc;
}

static int read_tool(struct chat_reader *r, struct message *m, struct slice id,
                     struct slice content, struct parts *ps, const char *where) {
    char param[64];
    snprintf(param, sizeof param, "%s.tool_call_id", where);
    if (!id.ptr) return request_refuse_missing(r->fault, param);
    struct part *p = parts_add(ps, r->a, PART_TOOL_RESULT);
    p->id = string_of(r, id);
    p->is_custom = find_call(r->assistant, PART_CUSTOM_TOOL_CALL, p->id);
    return read_result(r, m, content, p, where);
}

/* Of a legacy function_call: answers the last one. */
static int read_function(struct chat_reader *r, struct message *m, struct slice content,
                         struct parts *ps, const char *where) {
    const struct part *call = find_call(r->assistant, PART_FUNCTION_CALL, SLICE_NULL);
    struct part *p = parts_add(ps, r->a, PART_TOOL_RESULT);
    if (call) p->id = call->id;
    return read_result(r, m, content, p, where);
}

/* ---- reasoning ---- */

enum { FROM_BLOCKS, FROM_DETAILS, FROM_CONTENT, FROM_PLAIN, N_SOURCES };
static const char *const sources[N_SOURCES] = {"thinking_blocks", "reasoning_details",
                                               "reasoning_content", "reasoning"};

static int source_of(struct slice key) {
    for (int i = 0; i < N_SOURCES; i++) {
        if (slice_eq(key, slice_cstr(sources[i]))) return i;
    }
    return -1;
}

static struct part *add_thought(struct chat_reader *r, struct parts *ps, enum part_kind kind,
                                int source, struct slice raw) {
    struct part *p = parts_add(ps, r->a, kind);
    p->name = slice_cstr(sources[source]);
    p->raw = raw;
    return p;
}

/* {"type":"thinking","thinking","signature"}, {"type":"redacted_thinking","data"} */
static void read_thinking_block(struct chat_reader *r, struct slice raw, struct parts *ps) {
    struct slice thinking = string_member(r, raw, "thinking"),
                 signature = string_member(r, raw, "signature"),
                 data = string_member(r, raw, "data");
    if (thinking.ptr) {
        struct part *p = add_thought(r, ps, PART_REASONING, FROM_BLOCKS, raw);
        p->text = thinking;
        p->proof = signature;
    } else if (data.len > 0) {
        add_thought(r, ps, PART_REDACTED, FROM_BLOCKS, raw)->proof = data;
    }
}

/* Where a string that comes in pieces grows. */
struct growing {
    char *at;
    size_t cap;
};

/* Details may come as they were streamed, piece by piece. */
struct details {
    struct part *open; /* a REASONING that further pieces may belong to */
    int64_t index;     /* of its details; -1: not told */
    struct growing text, proof;
};

static void join(struct chat_reader *r, struct growing *g, struct slice *to, struct slice piece) {
    size_t len = to->len + piece.len;
    if (to->len == 0) *to = piece;
    if (to->len == len) return;
    if (g->at != to->ptr || g->cap < len) {
        *g = (struct growing){arena_alloc(r->a, 2 * len), 2 * len};
        memcpy(g->at, to->ptr, to->len);
    }
    memcpy(g->at + to->len, piece.ptr, piece.len);
    *to = slice_make(g->at, len);
}

/* {"type":"reasoning.text","text","signature"}, {"type":"reasoning.summary","summary"},
 * {"type":"reasoning.encrypted","data","id"}; each with "index" and "format", sometimes. */
static void read_detail(struct chat_reader *r, struct slice raw, struct details *d,
                        struct parts *ps) {
    struct slice words = string_member(r, raw, "text"), id = string_member(r, raw, "id"),
                 signature = string_member(r, raw, "signature"),
                 data = string_member(r, raw, "data");
    int64_t index = -1;
    if (!words.ptr) words = string_member(r, raw, "summary");
    if (!json_text_int(member(r, raw, SLICE("index")), &index)) index = -1;
    if (!words.ptr && signature.len == 0 && data.len == 0) return;
    bool is_same = d->open && index == d->index;
    if (data.len > 0 && !(is_same && index >= 0 && d->open->proof.len == 0)) {
        struct part *p = add_thought(r, ps, PART_REDACTED, FROM_DETAILS, raw);
        p->proof = data;
        p->item_id = id;
        d->open = NULL;
        return;
    }
    if (!is_same || (words.len > 0 && d->open->proof.len > 0)) {
        d->open = add_thought(r, ps, PART_REASONING, FROM_DETAILS, raw);
        d->index = index;
    }
    join(r, &d->text, &d->open->text, words);
    join(r, &d->proof, &d->open->proof, data.len > 0 ? data : signature);
    if (id.len > 0) d->open->item_id = id;
}

static void read_thoughts(struct chat_reader *r, int source, struct slice list, struct parts *ps) {
    struct json_walk w = json_walk_begin(list);
    struct details d = {.index = -1};
    struct slice one;
    while (json_text_is(list, '[') && json_walk_element(&w, &one)) {
        if (!json_text_is(one, '{')) continue;
        if (source == FROM_BLOCKS) read_thinking_block(r, one, ps);
        else read_detail(r, one, &d, ps);
    }
}

static bool has_words(const struct parts *ps) {
    for (unsigned i = 0; i < ps->n; i++) {
        if (ps->list[i].text.len > 0) return true;
    }
    return false;
}

/* Plain text, and what details there are: of one, it is the proof; more stay by themselves. */
static void read_plain(struct chat_reader *r, int source, struct slice raw, struct parts *details,
                       struct parts *ps) {
    struct part *p = add_thought(r, ps, PART_REASONING, source, raw);
    p->text = string_of(r, raw);
    if (details->n == 1) {
        p->proof = details->list[0].proof;
        p->item_id = details->list[0].item_id;
    }
    for (unsigned i = 0; details->n > 1 && i < details->n; i++)
        *parts_add(ps, r->a, details->list[i].kind) = details->list[i];
}

static void read_reasoning(struct chat_reader *r, struct field *const found[N_SOURCES],
                           struct parts *ps) {
    struct parts details = {0};
    int plain = found[FROM_CONTENT] ? FROM_CONTENT : FROM_PLAIN;
    bool has_plain = found[plain] && json_text_is(found[plain]->value, '"');
    if (found[FROM_BLOCKS]) read_thoughts(r, FROM_BLOCKS, found[FROM_BLOCKS]->value, ps);
    if (ps->n == 0 && found[FROM_DETAILS])
        read_thoughts(r, FROM_DETAILS, found[FROM_DETAILS]->value, &details);
    if (ps->n == 0 && has_plain && !has_words(&details))
        read_plain(r, plain, found[plain]->value, &details, ps);
    else if (ps->n == 0) *ps = details;
    for (int i = 0; ps->n > 0 && i < N_SOURCES; i++) {
        if (found[i]) found[i]->is_understood = true;
    }
}

/* ---- messages ---- */

static const struct {
    const char *name;
    enum role role;
} roles[] = {
    {"system", ROLE_SYSTEM},       {"developer", ROLE_DEVELOPER}, {"user", ROLE_USER},
    {"assistant", ROLE_ASSISTANT}, {"tool", ROLE_TOOL},           {"function", ROLE_FUNCTION},
};

static int read_role(struct chat_reader *r, struct message *m, struct slice raw,
                     const char *where) {
    char param[64];
    snprintf(param, sizeof param, "%s.role", where);
    if (!raw.ptr) return request_refuse_missing(r->fault, param);
    if (!json_text_is(raw, '"')) return refuse_type(r, param, "a string", raw);
    struct slice name = string_of(r, raw);
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        if (!slice_eq(name, slice_cstr(roles[i].name))) continue;
        m->role = roles[i].role;
        return 0;
    }
    return request_refuse(r->fault, "invalid_value", param,
                          "Invalid value for '%s': '%.*s'. Supported values are: 'system', "
                          "'developer', 'user', 'assistant', 'tool' and 'function'.",
                          param, (int)(name.len < 32 ? name.len : 32), name.ptr);
}

/* The members of a message that are not carried as they came. */
struct message_members {
    struct slice role, content, name, tool_call_id, tool_calls, function_call, refusal, audio;
};

static struct slice *message_slot(struct message_members *x, struct slice key, struct slice value) {
    bool is_string = json_text_is(value, '"'), is_object = json_text_is(value, '{');
    if (slice_eq(key, SLICE("role"))) return &x->role;
    if (slice_eq(key, SLICE("content"))) return &x->content;
    if (slice_eq(key, SLICE("name"))) return is_string ? &x->name : NULL;
    if (slice_eq(key, SLICE("tool_call_id"))) return is_string ? &x->tool_call_id : NULL;
    if (slice_eq(key, SLICE("refusal"))) return is_string ? &x->refusal : NULL;
    if (slice_eq(key, SLICE("audio"))) return is_object ? &x->audio : NULL;
    if (slice_eq(key, SLICE("function_call"))) return is_object ? &x->function_call : NULL;
    if (!slice_eq(key, SLICE("tool_calls")) || !json_text_is(value, '[')) return NULL;
    return chat_says_something(value) ? &x->tool_calls : NULL;
}

/* What stands beside "content". */
static void read_beside(struct chat_reader *r, const struct message_members *x, struct parts *ps) {
    if (x->refusal.ptr) {
        struct part *p = parts_add(ps, r->a, PART_REFUSAL);
        p->text = string_of(r, x->refusal);
        p->name = SLICE("refusal");
    }
    if (x->audio.ptr) {
        struct part *p = parts_add(ps, r->a, PART_AUDIO);
        p->raw = x->audio;
        p->id = string_member(r, x->audio, "id");
        p->name = SLICE("audio");
    }
    read_calls(r, x->tool_calls, x->function_call, ps);
}

static int read_message(struct chat_reader *r, struct message *m, struct slice raw, unsigned i) {
    struct message_members x = {.role = SLICE_NULL};
    struct field **end = &m->extras, *reasoning[N_SOURCES] = {NULL};
    struct parts ps = {0};
    char where[32];
    snprintf(where, sizeof where, "messages[%u]", i);
    if (!json_text_is(raw, '{')) return refuse_type(r, where, "an object", raw);
    struct json_walk w = json_walk_begin(raw);
    struct slice key, value;
    while (json_walk_member(&w, &key, &value)) {
        key = json_text_unescape(key, r->a);
        struct slice *slot = message_slot(&x, key, value);
        int source = source_of(key);
        if (slot) {
            *slot = value;
            continue;
        }
        struct field *f = field_add(r->a, &end, key, value);
        if (!chat_says_something(value)) f->is_understood = true;
        else if (source >= 0) reasoning[source] = f;
    }
    int rc = read_role(r, m, x.role, where);
    if (rc) return rc;
    m->name = string_of(r, x.name);
    if (m->role == ROLE_ASSISTANT) read_reasoning(r, reasoning, &ps);
    if (x.tool_call_id.ptr && m->role != ROLE_TOOL)
        field_add(r->a, &end, SLICE("tool_call_id"), x.tool_call_id);
    if (m->role == ROLE_TOOL) rc = read_tool(r, m, x.tool_call_id, x.content, &ps, where);
    else if (m->role == ROLE_FUNCTION) rc = read_function(r, m, x.content, &ps, where);
    else rc = read_content(r, m, x.content, &ps, where);
    read_beside(r, &x, &ps);
    m->parts = ps.list;
    m->n_parts = ps.n;
    if (m->role == ROLE_ASSISTANT) r->assistant = m;
    return rc;
}

int chat_read_messages(struct chat_reader *r, struct slice list) {
    struct json_walk w = json_walk_begin(list);
    struct slice raw;
    while (json_walk_element(&w, &raw)) {
        unsigned i = r->rq->n_messages;
        int rc = read_message(r, message_add(r->rq, r->a, ROLE_USER), raw, i);
        if (rc) return rc;
    }
    return 0;
}
