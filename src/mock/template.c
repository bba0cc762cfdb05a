/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/template.h"

#include <stdio.h>

#include "base/json_scan.h"
#include "config/suggest.h"
#include "mock/template-private.h"

enum { MAX_WORDS = 4 };

struct template {
    struct template_piece *pieces;
    unsigned n;
    size_t bytes;                    /* of the texts */
};

struct compiler {
    struct arena *arena;
    struct report *report;
    struct place at;
    const char *path;
    struct template *t;
    unsigned cap;
    struct buf text;                 /* JSON that waits for the next function */
};

static void fault(struct compiler *c, const char *format, ...) PRINTF_LIKE(2, 3);
static void fault(struct compiler *c, const char *format, ...) {
    char text[ERR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    report_fault(c->report, c->at, c->path, "%s", text);
}

/* ---- compiling ---- */

static struct template_piece *add_piece(struct compiler *c) {
    if (c->t->n == c->cap) {
        unsigned cap = c->cap ? c->cap * 2 : 4;
        struct template_piece *more = arena_alloc(c->arena, sizeof *more * cap);
        if (c->t->n) {
            memcpy(more, c->t->pieces, sizeof *more * c->t->n);
        }
        c->t->pieces = more;
        c->cap = cap;
    }
    return &c->t->pieces[c->t->n++];
}

static void add_text(struct compiler *c, struct slice text) {
    if (text.len) {
        add_piece(c)->text = text;
        c->t->bytes += text.len;
    }
}

static const struct template_function *find_function(struct compiler *c, struct slice name) {
    struct suggestion s;
    suggestion_init(&s, name);
    for (unsigned i = 0; i < template_n_functions; i++) {
        if (slice_eq(name, slice_cstr(template_functions[i].name))) {
            return &template_functions[i];
        }
        suggestion_offer(&s, slice_cstr(template_functions[i].name));
    }
    name = slice_sub(name, 0, 60);
    if (s.nearest.ptr) {
        fault(c, "{{%.*s}}: there is no such name; did you mean %.*s?", SLICE_FMT(name),
              SLICE_FMT(s.nearest));
    } else {
        fault(c, "{{%.*s}}: there is no such name (for two braces as they are, write {{\"{{\"}})",
              SLICE_FMT(name));
    }
    return NULL;
}

static unsigned split_words(struct slice text, struct slice words[MAX_WORDS]) {
    unsigned n = 0;
    for (size_t i = 0; i < text.len && n < MAX_WORDS;) {
        size_t start = i;
        if (text.ptr[i] == ' ' || text.ptr[i] == '\t' || text.ptr[i] == '\n') {
            i++;
            continue;
        }
        while (i < text.len && text.ptr[i] != ' ' && text.ptr[i] != '\t' && text.ptr[i] != '\n') {
            i++;
        }
        words[n++] = slice_sub(text, start, i - start);
    }
    return n;
}

static void compile_function(struct compiler *c, struct slice inner, bool escaped, bool is_value) {
    struct slice words[MAX_WORDS] = {SLICE_NULL};
    unsigned n = split_words(inner, words);
    if (n == 0) {
        fault(c, "{{}} has nothing in it");
        return;
    }
    const struct template_function *f = find_function(c, words[0]);
    struct template_piece p = {.function = f, .is_escaped = escaped, .is_value = is_value};
    if (!f) {
        return;
    }
    if (n - 1 < f->min_words || n - 1 > f->max_words) {
        fault(c, "{{%.*s}}: it is written %s", SLICE_FMT(slice_sub(inner, 0, 60)), f->form);
        return;
    }
    const char *why = f->compile ? f->compile(c->arena, words + 1, n - 1, &p) : NULL;
    if (why) {
        fault(c, "%s", why);
    } else {
        *add_piece(c) = p;
    }
}

/* {{"text"}} is the text. */
static bool is_quoted(struct slice inner) {
    return inner.len >= 2 && inner.ptr[0] == '"' && inner.ptr[inner.len - 1] == '"';
}

/* Where the function at text[at] ("{{") ends, behind its braces; 0: nowhere. */
static size_t function_end(struct slice text, size_t at, struct slice *out_inner) {
    bool in_quotes = false;
    for (size_t i = at + 2; i + 1 < text.len; i++) {
        in_quotes ^= text.ptr[i] == '"';
        if (!in_quotes && text.ptr[i] == '}' && text.ptr[i + 1] == '}') {
            struct slice inner = slice_trim(slice_sub(text, at + 2, i - at - 2));
            *out_inner = inner;
            return i + 2;
        }
    }
    return 0;
}

typedef void text_fn(struct compiler *c, struct slice text);

static ptrdiff_t find_open(struct slice text, size_t from) {
    struct slice rest = slice_from(text, from);
    const char *at = rest.len ? memmem(rest.ptr, rest.len, "{{", 2) : NULL;
    return at ? at - text.ptr : -1;
}

/* Texts go to add, functions behind what is there. */
static void compile_pieces(struct compiler *c, struct slice text, text_fn *add, bool escaped,
                           void (*flush)(struct compiler *c)) {
    size_t done = 0;
    for (ptrdiff_t at; (at = find_open(text, done)) >= 0;) {
        struct slice inner;
        size_t end = function_end(text, (size_t)at, &inner);
        add(c, slice_sub(text, done, (size_t)at - done));
        done = end;
        if (end == 0) {
            fault(c, "{{ without its }} (for two braces as they are, write {{\"{{\"}})");
            return;
        }
        if (is_quoted(inner)) {
            add(c, slice_sub(inner, 1, inner.len - 2));
            continue;
        }
        if (flush) {
            flush(c);
        }
        compile_function(c, inner, escaped, false);
    }
    add(c, slice_from(text, done));
}

struct template *template_compile(struct slice text, struct place at, const char *path,
                                  struct arena *a, struct report *r) {
    struct compiler c = {.arena = a, .report = r, .at = at, .path = path,
                         .t = arena_alloc(a, sizeof(struct template))};
    compile_pieces(&c, text, add_text, false, NULL);
    return c.t;
}

/* ---- JSON out of YAML ---- */

static void json_add(struct compiler *c, struct slice text) {
    if (buf_append(&c->text, text) < 0) {
        buf_reset(&c->text);
        fault(c, "more than %zu bytes", c->text.max);
    }
}

static void json_add_escaped(struct compiler *c, struct slice text) {
    if (json_escape(&c->text, text) < 0) {
        buf_reset(&c->text);
        fault(c, "more than %zu bytes", c->text.max);
    }
}

static void json_flush(struct compiler *c) {
    add_text(c, arena_dup(c->arena, buf_slice(&c->text)));
    buf_reset(&c->text);
}

static bool is_json_number(struct slice s) {
    size_t i = slice_starts_with(s, SLICE("-"));
    size_t digits = 0;
    bool leading_zero = i + 1 < s.len && s.ptr[i] == '0' && s.ptr[i + 1] >= '0' &&
                        s.ptr[i + 1] <= '9';
    for (; i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++) {
        digits++;
    }
    if (digits == 0 || leading_zero) {
        return false;
    }
    if (i < s.len && s.ptr[i] == '.') {
        for (digits = 0, i++; i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++) {
            digits++;
        }
    }
    if (digits && i < s.len && (s.ptr[i] | 0x20) == 'e') {
        i++;
        i += i < s.len && (s.ptr[i] == '-' || s.ptr[i] == '+');
        for (digits = 0; i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++) {
            digits++;
        }
    }
    return digits > 0 && i == s.len;
}

static bool is_json_word(const struct node *n) {
    return n->is_plain && (slice_eq(n->text, SLICE("true")) || slice_eq(n->text, SLICE("false")) ||
                           is_json_number(n->text));
}

/* A text that is a single function with a value of its own type. */
static bool json_is_value(struct slice text, struct slice *out_inner) {
    struct slice words[MAX_WORDS];
    size_t end = slice_starts_with(text, SLICE("{{")) ? function_end(text, 0, out_inner) : 0;
    if (end == 0 || end != text.len || is_quoted(*out_inner) ||
        split_words(*out_inner, words) == 0) {
        return false;
    }
    bool now_as_number = slice_eq(words[0], SLICE("now")) && out_inner->len > words[0].len;
    for (unsigned i = 0; i < template_n_functions; i++) {
        if (slice_eq(words[0], slice_cstr(template_functions[i].name))) {
            return template_functions[i].is_number || now_as_number;
        }
    }
    return false;
}

static void json_scalar(struct compiler *c, const struct node *n) {
    struct slice inner;
    if (node_is_null(n)) {
        json_add(c, SLICE("null"));
    } else if (is_json_word(n)) {
        json_add(c, n->text);
    } else if (json_is_value(n->text, &inner)) {
        json_flush(c);
        compile_function(c, inner, false, true);
    } else {
        json_add(c, SLICE("\""));
        compile_pieces(c, n->text, json_add_escaped, true, json_flush);
        json_add(c, SLICE("\""));
    }
}

/* The tree's depth is limited where it is read. */
static void json_node(struct compiler *c, const struct node *n) {
    c->at = n->at;
    if (n->kind == NODE_SCALAR) {
        json_scalar(c, n);
        return;
    }
    json_add(c, n->kind == NODE_MAP ? SLICE("{") : SLICE("["));
    for (const struct node *child = n->first; child; child = child->next) {
        json_add(c, child == n->first ? SLICE("") : SLICE(","));
        if (n->kind == NODE_MAP) {
            json_add(c, SLICE("\""));
            json_add_escaped(c, child->key);
            json_add(c, SLICE("\":"));
        }
        json_node(c, child);
    }
    json_add(c, n->kind == NODE_MAP ? SLICE("}") : SLICE("]"));
}

struct template *template_compile_json(const struct node *n, const char *path, struct arena *a,
                                       struct report *r) {
    struct compiler c = {.arena = a, .report = r, .at = n->at, .path = path,
                         .t = arena_alloc(a, sizeof(struct template))};
    buf_init(&c.text, SCENARIO_ANSWER_BYTES);
    json_node(&c, n);
    json_flush(&c);
    buf_dispose(&c.text);
    return c.t;
}

/* ---- filling ---- */

size_t template_bytes(const struct template *t) {
    return t->bytes;
}

/* What fits of it, cut between characters. False: nothing more does. */
static bool put(struct template_filling *f, struct slice text) {
    size_t room = f->facts->room - f->out.len;
    if (text.len > room) {
        struct slice head = slice_sub(text, 0, room);
        text = slice_sub(head, 0, slice_utf8_valid(head));
        room = text.len;
    }
    return buf_append(&f->out, text) == 0 && room > text.len;
}

static bool put_function(struct template_filling *f, const struct template_piece *p) {
    buf_reset(&f->value);
    if (p->function->write(p, f) < 0) {
        return false;                /* larger than any answer */
    }
    if (!p->is_escaped) {
        return put(f, buf_slice(&f->value));
    }
    struct slice plain = arena_dup(f->facts->arena, buf_slice(&f->value));
    buf_reset(&f->value);
    return json_escape(&f->value, plain) == 0 && put(f, buf_slice(&f->value));
}

struct slice template_fill(const struct template *t, struct template_facts *facts) {
    struct template_filling f = {.facts = facts, .view = {.in = facts->in, .arena = facts->arena}};
    bool has_room = true;
    buf_init(&f.out, facts->room);
    buf_init(&f.value, SCENARIO_ANSWER_BYTES * 6);
    for (unsigned i = 0; i < t->n && has_room; i++) {
        const struct template_piece *p = &t->pieces[i];
        has_room = p->function ? put_function(&f, p) : put(&f, p->text);
    }
    struct slice out = arena_dup(facts->arena, buf_slice(&f.out));
    facts->room -= out.len;
    buf_dispose(&f.out);
    buf_dispose(&f.value);
    return out.ptr ? out : SLICE("");
}
