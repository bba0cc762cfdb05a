/* SPDX-License-Identifier: Apache-2.0 */
/* JSON values that have to change on their way to Anthropic: arguments that are no object, schemas
 * of tools and of the output. All of it works on text that a parser has accepted; depth is limited
 * by that parser. */
#include <stdlib.h>

#include "base/json_scan.h"
#include "dialect/messages/messages-request.h"
#include "dialect/request_read.h"

/* ---- compact ---- */

static bool is_space(char c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Well-formed as it is, ill-formed bytes as U+FFFD. */
static void w_utf8(struct json_writer *w, struct slice s) {
    while (s.len > 0) {
        size_t good = slice_utf8_valid(s);
        jw(w, slice_sub(s, 0, good));
        if (good < s.len) jw(w, SLICE("\xef\xbf\xbd"));
        s = slice_from(s, good + 1);
    }
}

/* The code unit of the \u escape at `at`; -1: there is none. */
static int code_unit(struct slice s, size_t at) {
    int unit = 0;
    if (at + 6 > s.len || s.ptr[at] != '\\' || s.ptr[at + 1] != 'u') return -1;
    for (size_t i = at + 2; i < at + 6; i++) {
        char c = (char)(s.ptr[i] | 0x20);
        bool is_digit = s.ptr[i] >= '0' && s.ptr[i] <= '9';
        if (!is_digit && !(c >= 'a' && c <= 'f')) return -1;
        unit = unit * 16 + (is_digit ? s.ptr[i] - '0' : c - 'a' + 10);
    }
    return unit;
}

/* Bytes of the escape at `at`; 0: half of a surrogate pair. */
static size_t escape_len(struct slice s, size_t at) {
    int unit = code_unit(s, at);
    if (unit < 0xd800 || unit > 0xdfff) return unit < 0 ? 2 : 6;
    int low = unit <= 0xdbff ? code_unit(s, at + 6) : -1;
    return low >= 0xdc00 && low <= 0xdfff ? 12 : 0;
}

/* From the opening quote; returns where the string has ended. */
static size_t w_string_token(struct json_writer *w, struct slice s, size_t at) {
    size_t from = at++;
    while (at < s.len && s.ptr[at] != '"') {
        size_t len = s.ptr[at] == '\\' ? escape_len(s, at) : 1;
        if (len == 0) {
            w_utf8(w, slice_sub(s, from, at - from));
            jw(w, SLICE("\\ufffd"));
            from = at + 6;
            len = 6;
        }
        at += len;
    }
    if (at < s.len) at++;
    if (at > s.len) at = s.len;
    w_utf8(w, slice_sub(s, from, at - from));
    return at;
}

/* JSON (of any kind, accepted by a parser before) without insignificant white space, numbers as
 * spelt; halves of surrogate pairs and ill-formed bytes in strings become U+FFFD. */
static void w_compact(struct json_writer *w, struct slice json) {
    size_t at = 0;
    while (at < json.len) {
        size_t from = at;
        if (json.ptr[at] == '"') {
            at = w_string_token(w, json, at);
            continue;
        }
        while (at < json.len && json.ptr[at] != '"' && !is_space(json.ptr[at]))
            at++;
        w_utf8(w, slice_sub(json, from, at - from));
        while (at < json.len && is_space(json.ptr[at]))
            at++;
    }
}

struct slice messages_compact(struct slice json, struct arena *a) {
    struct buf b;
    buf_init(&b, json.len * 3); /* an ill-formed byte becomes three */
    struct json_writer w = jw_begin(&b);
    w_compact(&w, json);
    struct slice s = arena_dup(a, buf_slice(&b));
    buf_dispose(&b);
    return s;
}

/* ---- arguments ---- */

/* Room for what stands around them: our own requests can be read by ourselves. */
#define ARGUMENTS_MAX_DEPTH (WIRE_MAX_DEPTH - 16)

static struct slice trim(struct slice s) {
    s = slice_from(s, json_text_skip_space(s, 0));
    while (s.len > 0 && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

static bool is_object(struct slice s) {
    return json_text_is(s, '{') && json_scan_object(s, ARGUMENTS_MAX_DEPTH, NULL, NULL, NULL) == 0;
}

/* A value of any kind, told by making it a member. NULL: none. */
static struct slice wrapped(struct slice s, struct arena *a) {
    struct slice open = SLICE("{\"value\":");
    if (s.len == 0 || json_text_value_end(s, 0) != s.len) return SLICE_NULL;
    char *to = arena_alloc(a, open.len + s.len + 1);
    memcpy(to, open.ptr, open.len);
    memcpy(to + open.len, s.ptr, s.len);
    to[open.len + s.len] = '}';
    struct slice object = slice_make(to, open.len + s.len + 1);
    return is_object(object) ? object : SLICE_NULL;
}

void messages_w_arguments(struct json_writer *w, struct slice text, struct arena *a) {
    struct slice s = trim(text), object = is_object(s) ? s : wrapped(s, a);
    if (s.len == 0) {
        jw(w, SLICE("{}"));
    } else if (object.ptr) {
        w_compact(w, object);
    } else {
        jw(w, SLICE("{\"_raw\":"));
        jw_string(w, text);
        jw(w, SLICE("}"));
    }
}

/* ---- objects ---- */

struct members {
    struct json_writer *w;
    bool has_one;
};

static void member_key(struct members *m, struct slice key) {
    if (m->has_one) jw(m->w, SLICE(","));
    jw_string(m->w, key);
    jw(m->w, SLICE(":"));
    m->has_one = true;
}

static void member_raw(struct members *m, struct slice key, struct slice value) {
    member_key(m, key);
    w_compact(m->w, value);
}

/* ---- a tool's schema ---- */

/* Which of the schema's parts says it: those of the last two hold one at a time. */
enum source { FROM_ALL, FROM_ANY, FROM_ONE };

struct named {
    struct slice name, value;
    enum source source;
    unsigned index;     /* order of coming */
    struct named *same; /* the next one of this name */
    bool is_first;
};
struct named_list {
    struct named *list;
    unsigned n, cap;
};
struct merge {
    struct arena *a;
    struct slice root;
    struct named_list properties, required;
    unsigned n_any, n_one; /* alternatives */
    size_t walked_bytes;
};

/* References may name a large schema again and again: what is beyond these is not merged. */
#define MERGE_MAX   4096
#define MERGE_BYTES ((size_t)16 << 20)

static void named_add(struct merge *m, struct named_list *l, struct slice name, struct slice value,
                      enum source source) {
    if (l->n >= MERGE_MAX) return;
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 16;
        struct named *list = arena_alloc(m->a, l->cap * sizeof *list);
        if (l->n > 0) memcpy(list, l->list, l->n * sizeof *list);
        l->list = list;
    }
    l->list[l->n] = (struct named){.name = name, .value = value, .source = source, .index = l->n};
    l->n++;
}

static int compare_named(const void *a, const void *b) {
    const struct named *x = *(struct named *const *)a, *y = *(struct named *const *)b;
    size_t n = x->name.len < y->name.len ? x->name.len : y->name.len;
    int order = n > 0 ? memcmp(x->name.ptr, y->name.ptr, n) : 0;
    if (order != 0) return order;
    if (x->name.len != y->name.len) return x->name.len < y->name.len ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

/* Links entries of one name, in order. */
static void named_group(struct merge *m, struct named_list *l) {
    struct named **sorted = arena_alloc(m->a, (l->n + 1) * sizeof *sorted);
    for (unsigned i = 0; i < l->n; i++)
        sorted[i] = &l->list[i];
    qsort(sorted, l->n, sizeof *sorted, compare_named);
    for (unsigned i = 0; i < l->n; i++) {
        bool is_same = i > 0 && slice_eq(sorted[i - 1]->name, sorted[i]->name);
        sorted[i]->is_first = !is_same;
        if (is_same) sorted[i - 1]->same = sorted[i];
    }
}

/* "#/$defs/x" and "#/definitions/x" of the root; other schemas are themselves. */
static struct slice resolve(struct merge *m, struct slice schema) {
    for (int hops = 0; hops < 8 && m->walked_bytes < MERGE_BYTES; hops++) {
        struct slice ref = json_member_string(schema, SLICE("$ref"), m->a), defs;
        m->walked_bytes += schema.len + m->root.len;
        if (slice_starts_with(ref, SLICE("#/$defs/"))) {
            defs = json_member(m->root, SLICE("$defs"), m->a);
            ref = slice_from(ref, 8);
        } else if (slice_starts_with(ref, SLICE("#/definitions/"))) {
            defs = json_member(m->root, SLICE("definitions"), m->a);
            ref = slice_from(ref, 14);
        } else {
            return schema;
        }
        schema = json_member(defs, ref, m->a);
    }
    return SLICE_NULL;
}

static void merge_schema(struct merge *m, struct slice schema, enum source source, int depth);

static unsigned merge_list(struct merge *m, struct slice list, enum source source, int depth) {
    struct json_walk w = json_walk_begin(list);
    struct slice item;
    unsigned n = 0;
    if (!json_text_is(list, '[')) return 0;
    for (; json_walk_element(&w, &item); n++)
        merge_schema(m, resolve(m, item), source, depth + 1);
    return n;
}

static void merge_schema(struct merge *m, struct slice schema, enum source source, int depth) {
    if (depth > 4 || m->walked_bytes >= MERGE_BYTES) return;
    m->walked_bytes += schema.len;
    struct slice properties = json_member(schema, SLICE("properties"), m->a), key, value;
    struct slice required = json_member(schema, SLICE("required"), m->a);
    struct json_walk w = json_walk_begin(properties);
    while (json_text_is(properties, '{') && json_walk_member(&w, &key, &value))
        named_add(m, &m->properties, json_text_unescape(key, m->a), value, source);
    w = json_walk_begin(required);
    while (json_text_is(required, '[') && json_walk_element(&w, &value)) {
        if (json_text_is(value, '"'))
            named_add(m, &m->required, json_text_string(value, m->a), value, source);
    }
    merge_list(m, json_member(schema, SLICE("allOf"), m->a), source, depth);
    if (depth > 0) return; /* what alternatives of alternatives want is not told apart */
    m->n_any = merge_list(m, json_member(schema, SLICE("anyOf"), m->a), FROM_ANY, depth);
    m->n_one = merge_list(m, json_member(schema, SLICE("oneOf"), m->a), FROM_ONE, depth);
}

static void w_property(struct json_writer *w, const struct named *p) {
    bool differs = false;
    for (const struct named *o = p->same; o; o = o->same)
        differs |= !slice_eq(o->value, p->value);
    if (!differs) {
        w_compact(w, p->value);
        return;
    }
    jw(w, SLICE("{\"anyOf\":["));
    w_compact(w, p->value);
    for (const struct named *o = p->same; o; o = o->same) {
        if (slice_eq(o->value, p->value)) continue;
        jw(w, SLICE(","));
        w_compact(w, o->value);
    }
    jw(w, SLICE("]}"));
}

/* One that every schema wants that has to hold. */
static bool is_required(const struct merge *m, const struct named *r) {
    unsigned n_any = 0, n_one = 0;
    for (; r; r = r->same) {
        if (r->source == FROM_ALL) return true;
        n_any += r->source == FROM_ANY;
        n_one += r->source == FROM_ONE;
    }
    return (n_any > 0 && n_any >= m->n_any) || (n_one > 0 && n_one >= m->n_one);
}

static void w_merged(struct json_writer *w, struct slice schema, struct arena *a) {
    static const char *const replaced[] = {"type",  "properties", "required",
                                           "anyOf", "oneOf",      "allOf"};
    struct merge m = {.a = a, .root = schema};
    struct members out = {w, false};
    struct slice key, value;
    bool has_one = false;
    merge_schema(&m, schema, FROM_ALL, 0);
    named_group(&m, &m.properties);
    named_group(&m, &m.required);
    jw(w, SLICE("{"));
    member_raw(&out, SLICE("type"), SLICE("\"object\""));
    struct json_walk walk = json_walk_begin(schema);
    while (json_walk_member(&walk, &key, &value)) {
        bool is_replaced = false;
        key = json_text_unescape(key, a);
        for (size_t i = 0; i < sizeof replaced / sizeof *replaced; i++)
            is_replaced |= slice_eq(key, slice_cstr(replaced[i]));
        if (!is_replaced) member_raw(&out, key, value);
    }
    member_key(&out, SLICE("properties"));
    jw(w, SLICE("{"));
    struct members properties = {w, false};
    for (unsigned i = 0; i < m.properties.n; i++) {
        if (!m.properties.list[i].is_first) continue;
        member_key(&properties, m.properties.list[i].name);
        w_property(w, &m.properties.list[i]);
    }
    jw(w, SLICE("}"));
    for (unsigned i = 0; i < m.required.n; i++) {
        if (!m.required.list[i].is_first || !is_required(&m, &m.required.list[i])) continue;
        if (has_one)
            jw(w, SLICE(","));
        else
            member_key(&out, SLICE("required")), jw(w, SLICE("["));
        jw_string(w, m.required.list[i].name);
        has_one = true;
    }
    jw(w, has_one ? SLICE("]}") : SLICE("}"));
}

static bool has_union(struct slice schema, struct arena *a) {
    return json_member(schema, SLICE("anyOf"), a).ptr ||
           json_member(schema, SLICE("oneOf"), a).ptr || json_member(schema, SLICE("allOf"), a).ptr;
}

/* With "type":"object" where it had none, or a list of types. */
static void w_typed(struct json_writer *w, struct slice schema, struct arena *a) {
    struct members out = {w, false};
    struct json_walk walk = json_walk_begin(schema);
    struct slice key, value;
    bool has_properties = false;
    jw(w, SLICE("{"));
    member_raw(&out, SLICE("type"), SLICE("\"object\""));
    while (json_walk_member(&walk, &key, &value)) {
        key = json_text_unescape(key, a);
        has_properties |= slice_eq(key, SLICE("properties")) || slice_eq(key, SLICE("$ref"));
        if (!slice_eq(key, SLICE("type"))) member_raw(&out, key, value);
    }
    if (!has_properties) member_raw(&out, SLICE("properties"), SLICE("{}"));
    jw(w, SLICE("}"));
}

void messages_w_input_schema(struct json_writer *w, struct slice schema, struct arena *a) {
    if (!json_text_is(schema, '{')) schema = SLICE("{}");
    struct slice type = json_member(schema, SLICE("type"), a);
    if (has_union(schema, a)) {
        w_merged(w, schema, a);
    } else if (json_text_is(type, '"')) {
        w_compact(w, schema);
    } else {
        w_typed(w, schema, a);
    }
}

/* ---- the output's schema ---- */

enum keyword { KEYWORD_KEPT, KEYWORD_SCHEMA, KEYWORD_LIST, KEYWORD_MAP };
static const struct keyword_row {
    const char *name, *written; /* NULL: the same */
    enum keyword kind;
} keywords[] = {
    {"$defs", NULL, KEYWORD_MAP},     {"$ref", NULL, KEYWORD_KEPT},
    {"allOf", NULL, KEYWORD_LIST},    {"anyOf", NULL, KEYWORD_LIST},
    {"const", NULL, KEYWORD_KEPT},    {"definitions", NULL, KEYWORD_MAP},
    {"enum", NULL, KEYWORD_KEPT},     {"items", NULL, KEYWORD_SCHEMA},
    {"oneOf", "anyOf", KEYWORD_LIST}, {"properties", NULL, KEYWORD_MAP},
    {"required", NULL, KEYWORD_KEPT}, {"title", NULL, KEYWORD_KEPT},
    {"type", NULL, KEYWORD_KEPT},
};

static const struct keyword_row *find_keyword(struct slice name) {
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
        if (slice_eq(name, slice_cstr(keywords[i].name))) return &keywords[i];
    }
    return NULL;
}

static bool is_known_format(struct slice name) {
    static const char *const formats[] = {"date-time", "time", "date", "duration", "email",
                                          "hostname",  "uri",  "ipv4", "ipv6",     "uuid"};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (slice_eq(name, slice_cstr(formats[i]))) return true;
    }
    return false;
}

static bool is_object_schema(struct slice schema, struct arena *a) {
    struct slice type = json_member(schema, SLICE("type"), a), item;
    struct json_walk w = json_walk_begin(type);
    if (json_text_is(type, '"')) return slice_eq(json_text_string(type, a), SLICE("object"));
    while (json_text_is(type, '[') && json_walk_element(&w, &item)) {
        if (slice_eq(json_text_string(item, a), SLICE("object"))) return true;
    }
    return json_text_is(json_member(schema, SLICE("properties"), a), '{');
}

static void w_keyword(struct members *out, const struct keyword_row *row, struct slice value,
                      struct arena *a) {
    struct json_writer *w = out->w;
    struct json_walk walk = json_walk_begin(value);
    struct members inner = {w, false};
    struct slice key, item;
    bool is_list = row->kind == KEYWORD_LIST && json_text_is(value, '[');
    bool is_map = row->kind == KEYWORD_MAP && json_text_is(value, '{');
    member_key(out, slice_cstr(row->written ? row->written : row->name));
    if (is_list) {
        jw(w, SLICE("["));
        while (json_walk_element(&walk, &item)) {
            if (inner.has_one) jw(w, SLICE(","));
            inner.has_one = true;
            messages_w_output_schema(w, item, a);
        }
        jw(w, SLICE("]"));
    } else if (is_map) {
        jw(w, SLICE("{"));
        while (json_walk_member(&walk, &key, &item)) {
            member_key(&inner, json_text_unescape(key, a));
            messages_w_output_schema(w, item, a);
        }
        jw(w, SLICE("}"));
    } else if (row->kind == KEYWORD_SCHEMA) {
        messages_w_output_schema(w, value, a);
    } else {
        w_compact(w, value);
    }
}

/* A keyword that is only told: `, name: value`. */
static void tell(struct json_writer *told, struct slice key, struct slice value) {
    if (told->out->len > 0) jw(told, SLICE(", "));
    jw(told, key);
    jw(told, SLICE(": "));
    w_compact(told, value);
}

static void w_description(struct members *out, struct slice description, struct slice told,
                          struct arena *a) {
    if (!description.ptr && told.len == 0) return;
    member_key(out, SLICE("description"));
    jw(out->w, SLICE("\""));
    jw_escaped(out->w, json_text_string(description, a));
    if (told.len > 0) {
        jw(out->w, description.ptr ? SLICE(" (") : SLICE("("));
        jw_escaped(out->w, told);
        jw(out->w, SLICE(")"));
    }
    jw(out->w, SLICE("\""));
}

void messages_w_output_schema(struct json_writer *w, struct slice schema, struct arena *a) {
    struct slice key, value, description = SLICE_NULL;
    struct json_walk walk = json_walk_begin(schema);
    struct members out = {w, false};
    struct buf text;
    if (!json_text_is(schema, '{')) {
        w_compact(w, schema);
        return;
    }
    buf_init(&text, schema.len * 4 + 64);
    struct json_writer told = jw_begin(&text);
    bool is_closed = is_object_schema(schema, a);
    bool has_any = json_member(schema, SLICE("anyOf"), a).ptr;
    jw(w, SLICE("{"));
    while (json_walk_member(&walk, &key, &value)) {
        key = json_text_unescape(key, a);
        const struct keyword_row *row = find_keyword(key);
        bool is_false = slice_eq(value, SLICE("false"));
        if (row && row->written && has_any) row = NULL; /* one anyOf is enough */
        if (row)
            w_keyword(&out, row, value, a);
        else if (slice_eq(key, SLICE("description")) && json_text_is(value, '"'))
            description = value;
        else if (slice_eq(key, SLICE("format")) && is_known_format(json_text_string(value, a)))
            member_raw(&out, key, value);
        else if (slice_eq(key, SLICE("additionalProperties")) && is_false)
            continue;
        else if (!slice_starts_with(key, SLICE("$")))
            tell(&told, key, value);
    }
    if (is_closed) member_raw(&out, SLICE("additionalProperties"), SLICE("false"));
    w_description(&out, description, buf_slice(&text), a);
    jw(w, SLICE("}"));
    buf_dispose(&text);
}
