/* SPDX-License-Identifier: Apache-2.0 */
/* Names of tools (translation.md 1.5): what the upstream's pattern refuses is replaced in
 * definitions, choices and history; the shaper puts it back. */
#include "dialect/adapt-private.h"

#include "base/sha256.h"
#include "dialect/json_write.h"
#include "dialect/request_read.h"

#define NAME_MAX_BYTES 64
#define HASH_BYTES 8

/* ---- names ---- */

struct namer {
    struct adapter *ad;
    struct string_map known;         /* namespace, unit separator, name → entry */
    struct string_map bare;          /* name → the first entry of this name */
    struct string_map sent;          /* what the upstream is told → entry */
    struct tool_name **end;
    size_t max;
};

static struct slice concat(struct arena *a, struct slice x, const char *between, struct slice y) {
    size_t len = x.len + strlen(between) + y.len;
    char *to = arena_alloc(a, len + 1);
    if (x.len > 0) memcpy(to, x.ptr, x.len);
    memcpy(to + x.len, between, strlen(between));
    if (y.len > 0) memcpy(to + x.len + strlen(between), y.ptr, y.len);
    return slice_make(to, len);
}

static bool is_legal(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_' || c == '-';
}

static bool is_legal_name(struct slice name, size_t max) {
    for (size_t i = 0; i < name.len; i++) {
        if (!is_legal(name.ptr[i])) return false;
    }
    return name.len > 0 && name.len <= max;
}

/* Its beginning, made legal, and a hash of all of it (and of salt). */
static struct slice hashed_name(struct arena *a, struct slice full, unsigned salt, size_t max) {
    char hex[SHA256_HEX_BYTES + 1];
    struct slice seed = full;
    if (salt > 0) seed = slice_cstr(arena_printf(a, "%u %.*s", salt, SLICE_FMT(full)));
    sha256_hex(seed, hex);
    size_t n = full.len < max - HASH_BYTES - 1 ? full.len : max - HASH_BYTES - 1;
    char *to = arena_alloc(a, n + HASH_BYTES + 2);
    for (size_t i = 0; i < n; i++) to[i] = is_legal(full.ptr[i]) ? full.ptr[i] : '_';
    to[n] = '_';
    memcpy(to + n + 1, hex, HASH_BYTES);
    return slice_make(to, n + 1 + HASH_BYTES);
}

static struct slice name_to_send(struct namer *nm, const struct tool_name *entry) {
    struct arena *a = nm->ad->a;
    struct slice full = entry->name_space.len > 0
                            ? concat(a, entry->name_space, "__", entry->name)
                            : entry->name;
    struct slice name = is_legal_name(full, nm->max) ? full : hashed_name(a, full, 0, nm->max);
    for (unsigned salt = 0; string_map_get(&nm->sent, name); salt++)
        name = hashed_name(a, full, salt, nm->max);
    return name;
}

/* What the client's name is known by. */
static struct slice key_of(struct namer *nm, struct slice space, struct slice name) {
    return space.len > 0 ? concat(nm->ad->a, space, "\x1f", name) : name;
}

static struct tool_name *find(struct namer *nm, struct slice space, struct slice name) {
    struct tool_name *entry = string_map_get(&nm->known, key_of(nm, space, name));
    return entry || space.len > 0 ? entry : string_map_get(&nm->bare, name);
}

static struct tool_name *add(struct namer *nm, struct slice space, struct slice name,
                             enum tool_kind kind) {
    struct arena *a = nm->ad->a;
    struct tool_name *entry = arena_alloc(a, sizeof *entry);
    *entry = (struct tool_name){.name = name, .name_space = space, .kind = kind};
    entry->is_custom = kind == TOOL_CUSTOM && !nm->ad->takes_custom;
    entry->sent = name_to_send(nm, entry);
    string_map_put(&nm->known, key_of(nm, space, name), entry);
    string_map_put(&nm->sent, entry->sent, entry);
    if (!string_map_get(&nm->bare, name)) string_map_put(&nm->bare, name, entry);
    *nm->end = entry;
    nm->end = &entry->next;
    return entry;
}

/* ---- custom tools as functions ---- */

static struct slice describe(struct arena *a, const struct tool *tool) {
    struct slice grammar = json_member_string(tool->format, SLICE("definition"), a);
    struct slice syntax = json_member_string(tool->format, SLICE("syntax"), a);
    if (grammar.len == 0) return tool->description;
    return slice_cstr(arena_printf(
        a, "%.*s%sThe value of `input` must follow this grammar (%.*s):\n%.*s",
        SLICE_FMT(tool->description), tool->description.len > 0 ? "\n\n" : "",
        SLICE_FMT(syntax.len > 0 ? syntax : SLICE("lark")), SLICE_FMT(grammar)));
}

static void make_function(struct adapter *ad, struct tool *tool) {
    tool->kind = TOOL_FUNCTION;
    tool->type = SLICE("function");
    tool->description = describe(ad->a, tool);
    tool->parameters = SLICE("{\"type\":\"object\",\"properties\":{\"input\":"
                             "{\"type\":\"string\"}},\"required\":[\"input\"]}");
    tool->format = tool->raw = SLICE_NULL;
}

static void make_function_call(struct adapter *ad, struct part *p) {
    struct buf json;
    buf_init(&json, p->text.len * 6 + 64); /* escapes grow six-fold at most */
    struct json_writer w = jw_begin(&json);
    jw(&w, SLICE("{\"input\":"));
    jw_string(&w, p->text);
    jw(&w, SLICE("}"));
    if (jw_end(&w) == 0) p->text = arena_dup(ad->a, buf_slice(&json));
    buf_dispose(&json);
    p->kind = PART_TOOL_CALL;
    p->raw = SLICE_NULL;
}

/* ---- all of them ---- */

static void name_tools(struct namer *nm) {
    for (struct tool *tool = nm->ad->rq->tools; tool; tool = tool->next) {
        if (tool->kind == TOOL_OTHER || tool->name.len == 0) continue;
        struct slice key = key_of(nm, tool->name_space, tool->name);
        struct tool_name *entry = string_map_get(&nm->known, key);
        if (!entry) entry = add(nm, tool->name_space, tool->name, tool->kind);
        if (!slice_eq(entry->sent, tool->name)) tool->raw = SLICE_NULL;
        tool->name = entry->sent;
        tool->name_space = SLICE_NULL;
        if (tool->kind == TOOL_CUSTOM && !nm->ad->takes_custom) make_function(nm->ad, tool);
    }
}

static void rename_one(struct namer *nm, struct slice *name) {
    struct tool_name *entry = name->len > 0 ? find(nm, SLICE_NULL, *name) : NULL;
    if (entry) *name = entry->sent;
}

static void name_choice(struct namer *nm) {
    struct llm_request *rq = nm->ad->rq;
    rename_one(nm, &rq->tool_choice_name);
    for (unsigned i = 0; i < rq->n_allowed; i++) rename_one(nm, &rq->allowed[i]);
    if (rq->tool_choice == TOOL_CHOICE_NAMED_CUSTOM && !nm->ad->takes_custom)
        rq->tool_choice = TOOL_CHOICE_NAMED;
}

static void name_call(struct namer *nm, struct part *p) {
    bool is_custom = p->kind == PART_CUSTOM_TOOL_CALL;
    if (p->name.len == 0) return;
    struct tool_name *entry = find(nm, p->name_space, p->name);
    if (!entry) entry = add(nm, p->name_space, p->name, is_custom ? TOOL_CUSTOM : TOOL_OTHER);
    p->name = entry->sent;
    p->name_space = SLICE_NULL;
    if (is_custom && !nm->ad->takes_custom) make_function_call(nm->ad, p);
}

static void name_history(struct namer *nm) {
    for (struct message *m = nm->ad->rq->messages; m; m = m->next) {
        for (unsigned i = 0; i < m->n_parts; i++) {
            struct part *p = &m->parts[i];
            if (part_is_call(p)) name_call(nm, p);
            else if (p->kind == PART_TOOL_RESULT && !nm->ad->takes_custom) p->is_custom = false;
        }
    }
}

void adapt_names(struct adapter *ad) {
    struct namer nm = {.ad = ad,
                       .known = {.a = ad->a},
                       .bare = {.a = ad->a},
                       .sent = {.a = ad->a},
                       .end = &ad->t->names,
                       .max = ad->caps->tool_name_max_bytes};
    if (nm.max == 0) nm.max = NAME_MAX_BYTES;
    if (nm.max < HASH_BYTES + 2) nm.max = HASH_BYTES + 2;
    name_tools(&nm);
    name_choice(&nm);
    name_history(&nm);
}
