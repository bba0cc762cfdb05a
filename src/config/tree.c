/* SPDX-License-Identifier: Apache-2.0 */
#include "config/tree.h"

#include <yaml.h>

struct builder {
    yaml_parser_t parser;
    const char *source;
    struct slice input;
    struct arena *arena;
    struct report *report;
    struct node *root;
    struct node *open[TREE_MAX_DEPTH]; /* the lists and maps that are not closed yet */
    unsigned depth, n_nodes, n_documents;
    bool has_key;                      /* the innermost map's next key is read */
    struct slice key;
    struct place key_at;
    bool is_done, is_broken;
};

bool node_is_null(const struct node *n) {
    return n->kind == NODE_SCALAR && n->is_plain &&
           (n->text.len == 0 || slice_eq(n->text, SLICE("~")) || slice_eq(n->text, SLICE("null")));
}

const char *node_kind_name(const struct node *n) {
    return n->kind == NODE_MAP ? "a map" : n->kind == NODE_LIST ? "a list" : "a value";
}

static struct place place_of(const struct builder *b, yaml_mark_t mark) {
    return (struct place){b->source, (unsigned)mark.line + 1, (unsigned)mark.column + 1, false};
}

/* The document cannot be understood beyond this point. */
static void give_up(struct builder *b, yaml_mark_t mark, const char *text) {
    report_fault(b->report, place_of(b, mark), NULL, "%s", text);
    b->is_broken = true;
}

/* ---- syntax faults ---- */

static struct slice line_at(struct slice text, size_t line) {
    while (line-- > 0) {
        ptrdiff_t end = slice_index(text, '\n');
        if (end < 0) return SLICE_NULL;
        text = slice_from(text, (size_t)end + 1);
    }
    ptrdiff_t end = slice_index(text, '\n');
    return end < 0 ? text : slice_sub(text, 0, (size_t)end);
}

static bool contains(struct slice s, struct slice what) {
    return s.len > 0 && memmem(s.ptr, s.len, what.ptr, what.len) != NULL;
}

static void report_syntax(struct builder *b) {
    const yaml_parser_t *p = &b->parser;
    const char *hint = "";
    struct slice line = line_at(b->input, p->problem_mark.line);
    if (p->error == YAML_READER_ERROR) {
        struct slice before = slice_sub(b->input, 0, p->problem_offset);
        yaml_mark_t mark = {0};
        for (size_t i = 0; i < before.len; i++) {
            mark.column = before.ptr[i] == '\n' ? 0 : mark.column + 1;
            mark.line += before.ptr[i] == '\n';
        }
        report_fault(b->report, place_of(b, mark), NULL, "not valid YAML: %s",
                     p->problem ? p->problem : "unreadable");
        return;
    }
    if (contains(line, SLICE("${"))) hint = "; a value with ${...} inside { } or [ ] needs quotes";
    else if (contains(line, SLICE("\t"))) hint = "; indent with blanks, not tabs";
    report_fault(b->report, place_of(b, p->problem_mark), NULL, "not valid YAML: %s%s%s%s%s",
                 p->problem ? p->problem : "unreadable", p->context ? " (" : "",
                 p->context ? p->context : "", p->context ? ")" : "", hint);
}

/* ---- the tree ---- */

static struct node *innermost(const struct builder *b) {
    return b->depth > 0 ? b->open[b->depth - 1] : NULL;
}

static void check_duplicate(struct builder *b, const struct node *map) {
    for (const struct node *n = map->first; n; n = n->next) {
        if (!slice_eq(n->key, b->key)) continue;
        report_fault(b->report, b->key_at, NULL, "%.*s is given twice, first in line %u",
                     (int)(b->key.len < 64 ? b->key.len : 64), b->key.ptr, n->key_at.line);
        return;
    }
}

static void take_key(struct builder *b, const yaml_event_t *ev) {
    struct slice text = {(const char *)ev->data.scalar.value, ev->data.scalar.length};
    if (slice_eq(text, SLICE("<<"))) {
        give_up(b, ev->start_mark, "merge keys (<<) are not supported: write the keys out");
        return;
    }
    b->key = arena_dup(b->arena, text);
    b->key_at = place_of(b, ev->start_mark);
    b->has_key = true;
    if (innermost(b)->n_children < TREE_MAX_KEYS) check_duplicate(b, innermost(b));
    else give_up(b, ev->start_mark, "too many keys in one map: more than 4096");
}

static struct node *add_node(struct builder *b, enum node_kind kind, const yaml_event_t *ev) {
    if (++b->n_nodes > TREE_MAX_NODES) {
        give_up(b, ev->start_mark, "too many values: more than 50000");
        return NULL;
    }
    struct node *n = arena_alloc(b->arena, sizeof *n), *parent = innermost(b);
    *n = (struct node){.kind = kind, .at = place_of(b, ev->start_mark), .key = b->key,
                       .key_at = b->key_at};
    b->key = SLICE_NULL;
    b->has_key = false;
    if (!parent) b->root = n;
    else if (parent->last) parent->last->next = n;
    else parent->first = n;
    if (parent) {
        parent->last = n;
        parent->n_children++;
    }
    return n;
}

static void open_node(struct builder *b, enum node_kind kind, const yaml_event_t *ev) {
    struct node *parent = innermost(b);
    if (parent && parent->kind == NODE_MAP && !b->has_key) {
        give_up(b, ev->start_mark, "a key must be a plain word, not a list or map");
        return;
    }
    if (b->depth == TREE_MAX_DEPTH) {
        give_up(b, ev->start_mark, "nested too deep: more than 32 levels");
        return;
    }
    struct node *n = add_node(b, kind, ev);
    if (n) b->open[b->depth++] = n;
}

static void take_scalar(struct builder *b, const yaml_event_t *ev) {
    struct slice text = {(const char *)ev->data.scalar.value, ev->data.scalar.length};
    struct node *parent = innermost(b);
    if (text.len > 0 && memchr(text.ptr, '\0', text.len)) {
        give_up(b, ev->start_mark, "a NUL character cannot stand in a value");
        return;
    }
    if (parent && parent->kind == NODE_MAP && !b->has_key) {
        take_key(b, ev);
        return;
    }
    struct node *n = add_node(b, NODE_SCALAR, ev);
    if (!n) return;
    n->is_plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    n->text = arena_dup(b->arena, text);
}

/* What YAML offers and a configuration does without. NULL: nothing of it in this event. */
static const char *refused_feature(const yaml_event_t *ev) {
    const yaml_char_t *anchor = NULL, *tag = NULL;
    switch (ev->type) {
    case YAML_ALIAS_EVENT: return "aliases (*name) are not supported: write the value out";
    case YAML_SCALAR_EVENT:
        anchor = ev->data.scalar.anchor;
        tag = ev->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = ev->data.sequence_start.anchor;
        tag = ev->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = ev->data.mapping_start.anchor;
        tag = ev->data.mapping_start.tag;
        break;
    default: break;
    }
    if (anchor) return "anchors (&name) are not supported: write the value out";
    return tag ? "tags (!name) are not supported: the setting knows its type" : NULL;
}

static void take_event(struct builder *b, const yaml_event_t *ev) {
    const char *refused = refused_feature(ev);
    if (refused) {
        give_up(b, ev->start_mark, refused);
        return;
    }
    switch (ev->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (++b->n_documents > 1) give_up(b, ev->start_mark, "a second document (---): only one");
        break;
    case YAML_SCALAR_EVENT: take_scalar(b, ev); break;
    case YAML_SEQUENCE_START_EVENT: open_node(b, NODE_LIST, ev); break;
    case YAML_MAPPING_START_EVENT: open_node(b, NODE_MAP, ev); break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: b->depth--; break;
    case YAML_STREAM_END_EVENT: b->is_done = true; break;
    default: break;
    }
}

static void build(struct builder *b) {
    while (!b->is_done && !b->is_broken) {
        yaml_event_t ev;
        if (!yaml_parser_parse(&b->parser, &ev)) {
            report_syntax(b);
            b->is_broken = true;
            return;
        }
        take_event(b, &ev);
        yaml_event_delete(&ev);
    }
}

struct node *tree_parse(struct slice text, const char *source, struct arena *a, struct report *r) {
    struct builder b = {.source = source, .input = text, .arena = a, .report = r};
    if (text.len > TREE_MAX_BYTES) {
        report_fault(r, (struct place){.source = source}, NULL, "larger than 4 MiB");
        return NULL;
    }
    if (!yaml_parser_initialize(&b.parser)) {
        report_fault(r, (struct place){.source = source}, NULL, "the YAML parser has no memory");
        return NULL;
    }
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)(text.ptr ? text.ptr : ""),
                                 text.len);
    build(&b);
    yaml_parser_delete(&b.parser);
    return b.is_broken ? NULL : b.root;
}
