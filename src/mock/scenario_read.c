/* SPDX-License-Identifier: Apache-2.0 */
/* Values that are the same wherever they stand. */
#include <math.h>
#include <stdlib.h>

#include "config/suggest.h"
#include "config/value.h"
#include "mock/fault.h"
#include "mock/scenario_schema.h"

static void *field(const struct schema_row *row, void *base) {
    return (char *)base + row->offset;
}

struct slice choice_word(const char *choices, unsigned i) {
    struct slice rest = slice_cstr(choices);
    for (;; i--) {
        ptrdiff_t end = slice_index(rest, '|');
        struct slice word = end < 0 ? rest : slice_sub(rest, 0, (size_t)end);
        if (i == 0 || end < 0) {
            return i == 0 ? word : SLICE_NULL;
        }
        rest = slice_from(rest, (size_t)end + 1);
    }
}

/* ---- scalars ---- */

bool reader_scalar(struct reader *rd, const struct node *n, const char *wanted) {
    if (n->kind == NODE_SCALAR) {
        return true;
    }
    reader_fault(rd, n->at, "expected %s, got %s", wanted, node_kind_name(n));
    return false;
}

/* What a message repeats of a value. */
static struct slice quoted(struct slice text) {
    return slice_sub(text, 0, 60);
}

bool reader_int(struct reader *rd, const struct node *n, int64_t min, int64_t max, int64_t *out) {
    uint64_t value;
    bool is_bounded = max > 0;
    if (!reader_scalar(rd, n, "a whole number")) {
        return false;
    }
    if (slice_to_u64(n->text, is_bounded ? (uint64_t)max : INT64_MAX, &value) &&
        (int64_t)value >= min) {
        *out = (int64_t)value;
        return true;
    }
    if (min == max && is_bounded) {
        reader_fault(rd, n->at, "expected %lld, got '%.*s'", (long long)min,
                     SLICE_FMT(quoted(n->text)));
    } else if (is_bounded) {
        reader_fault(rd, n->at, "expected a whole number from %lld to %lld, got '%.*s'",
                     (long long)min, (long long)max, SLICE_FMT(quoted(n->text)));
    } else {
        reader_fault(rd, n->at, "expected a whole number, got '%.*s'", SLICE_FMT(quoted(n->text)));
    }
    return false;
}

struct template *reader_template(struct reader *rd, const struct node *n) {
    if (!reader_scalar(rd, n, "a text")) {
        return template_compile(SLICE(""), n->at, rd->path, rd->arena, rd->report);
    }
    if (n->text.len > SCENARIO_ANSWER_BYTES) {
        reader_fault(rd, n->at, "longer than %zu bytes", SCENARIO_ANSWER_BYTES);
    }
    return template_compile(n->text, n->at, rd->path, rd->arena, rd->report);
}

void read_template(struct reader *rd, const struct schema_row *row, const struct node *n,
                   void *base) {
    *(struct template **)field(row, base) = reader_template(rd, n);
}

void read_slice(struct reader *rd, const struct schema_row *row, const struct node *n,
                void *base) {
    if (!reader_scalar(rd, n, "a text")) {
        return;
    }
    if (row->max > 0 && n->text.len > (size_t)row->max) {
        reader_fault(rd, n->at, "longer than %lld bytes", (long long)row->max);
        return;
    }
    *(struct slice *)field(row, base) = n->text;
}

static bool parse_bool(struct reader *rd, const struct node *n, bool *out) {
    if (!reader_scalar(rd, n, "true or false")) {
        return false;
    }
    if (!value_parse_bool(n->text, out)) {
        reader_fault(rd, n->at, "expected true or false, got '%.*s'", SLICE_FMT(quoted(n->text)));
        return false;
    }
    return true;
}

void read_bool(struct reader *rd, const struct schema_row *row, const struct node *n, void *base) {
    (void)parse_bool(rd, n, field(row, base));
}

void read_unsigned(struct reader *rd, const struct schema_row *row, const struct node *n,
                   void *base) {
    int64_t value;
    if (reader_int(rd, n, row->min, row->max, &value)) {
        *(unsigned *)field(row, base) = (unsigned)value;
    }
}

void read_int64(struct reader *rd, const struct schema_row *row, const struct node *n,
                void *base) {
    (void)reader_int(rd, n, row->min, row->max, field(row, base));
}

void read_node(struct reader *rd, const struct schema_row *row, const struct node *n, void *base) {
    (void)rd;
    *(const struct node **)field(row, base) = n;
}

void read_inner(struct reader *rd, const struct schema_row *row, const struct node *n,
                void *base) {
    schema_read_map(rd, row->inner, n, field(row, base));
}

int reader_word(struct reader *rd, const struct node *n, const char *choices) {
    struct suggestion s;
    struct slice word;
    if (!reader_scalar(rd, n, "a word")) {
        return -1;
    }
    suggestion_init(&s, n->text);
    for (unsigned i = 0; (word = choice_word(choices, i)).ptr; i++) {
        if (slice_eq(word, n->text)) {
            return (int)i;
        }
        suggestion_offer(&s, word);
    }
    if (s.nearest.ptr) {
        reader_fault(rd, n->at, "expected one of %s, got '%.*s'; did you mean %.*s?", choices,
                     SLICE_FMT(quoted(n->text)), SLICE_FMT(s.nearest));
    } else {
        reader_fault(rd, n->at, "expected one of %s, got '%.*s'", choices,
                     SLICE_FMT(quoted(n->text)));
    }
    return -1;
}

void read_choice(struct reader *rd, const struct schema_row *row, const struct node *n,
                 void *base) {
    int i = reader_word(rd, n, row->choices);
    if (i >= 0) {
        *(enum script_after *)field(row, base) = (enum script_after)i;
    }
}

/* ---- texts in pieces ---- */

static void read_list_pieces(struct reader *rd, const struct node *list, struct pieces *out) {
    unsigned i = 0;
    if (list->n_children > SCENARIO_MAX_PIECES) {
        reader_fault(rd, list->at, "more than %d pieces", SCENARIO_MAX_PIECES);
        return;
    }
    out->items = arena_alloc(rd->arena, sizeof(struct template *) * (list->n_children + 1));
    for (const struct node *n = list->first; n; n = n->next, i++) {
        size_t mark = reader_enter(rd, "[%u]", i);
        out->items[out->n++] = reader_template(rd, n);
        reader_leave(rd, mark);
    }
    out->as_written = true;
}

void reader_pieces(struct reader *rd, const struct node *n, struct pieces *out) {
    *out = (struct pieces){.n = 0};
    if (n->kind == NODE_LIST) {
        read_list_pieces(rd, n, out);
        return;
    }
    if (!reader_scalar(rd, n, "a text or a list of texts")) {
        return;
    }
    out->items = arena_alloc(rd->arena, sizeof(struct template *));
    out->items[out->n++] = reader_template(rd, n);
}

/* ---- timing, fault, headers ---- */

bool reader_law(struct reader *rd, const struct node *n, struct law *out) {
    struct err e;
    if (!reader_scalar(rd, n, "a time")) {
        return false;
    }
    if (law_parse(n->text, &rd->laws, out, &e) < 0) {
        reader_fault(rd, n->at, "%s", e.text);
        return false;
    }
    return true;
}

void read_terms_ttft(struct reader *rd, const struct schema_row *row, const struct node *n,
                     void *base) {
    struct terms *t = field(row, base);
    t->has_ttft = reader_law(rd, n, &t->ttft);
}

static void fault_twice(struct reader *rd, const struct node *n, const struct terms *t) {
    if (t->has_itl && t->has_tps) {
        reader_fault(rd, n->key_at, "itl and tps say the same: give one of them");
    }
}

void read_terms_itl(struct reader *rd, const struct schema_row *row, const struct node *n,
                    void *base) {
    struct terms *t = field(row, base);
    t->has_itl = reader_law(rd, n, &t->itl);
    fault_twice(rd, n, t);
}

void read_terms_tps(struct reader *rd, const struct schema_row *row, const struct node *n,
                    void *base) {
    struct terms *t = field(row, base);
    if (!reader_scalar(rd, n, "a number")) {
        return;
    }
    char *end;
    double tps = strtod(n->text.ptr, &end);
    if (n->text.len == 0 || *end || !isfinite(tps) || tps < 1e-3 || tps > 1e9) {
        reader_fault(rd, n->at, "expected tokens a second, from 0.001 on, got '%.*s'",
                     SLICE_FMT(quoted(n->text)));
        return;
    }
    t->tps = tps;
    t->has_tps = true;
    fault_twice(rd, n, t);
}

void read_terms_burst(struct reader *rd, const struct schema_row *row, const struct node *n,
                      void *base) {
    struct terms *t = field(row, base);
    struct err e;
    if (!reader_scalar(rd, n, "a number of tokens")) {
        return;
    }
    t->has_burst = burst_parse(n->text, &t->burst, &e) == 0;
    if (!t->has_burst) {
        reader_fault(rd, n->at, "%s", e.text);
    }
}

void read_terms_fault(struct reader *rd, const struct schema_row *row, const struct node *n,
                      void *base) {
    struct terms *t = field(row, base);
    if (!reader_scalar(rd, n, "a fault")) {
        return;
    }
    struct fault_use use;
    struct err e;
    if (fault_parse(n->text, &use, NULL, &e) < 0) {
        reader_fault(rd, n->at, "%s", e.text);
        return;
    }
    t->fault = n->text;
}

/* Of the connection, or of the body's own form: the server writes those. */
static bool is_reserved_header(struct slice name) {
    static const char *const names[] = {"content-length", "transfer-encoding", "connection",
                                        "content-type", "content-encoding", "date"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (slice_eq_nocase(name, slice_cstr(names[i]))) {
            return true;
        }
    }
    return false;
}

static void read_header(struct reader *rd, const struct node *n, struct header_line *out) {
    bool is_valid = http_header_is_valid(n->key, SLICE("x"));
    out->name = n->key;
    out->value = reader_template(rd, n);
    if (!is_valid || is_reserved_header(n->key)) {
        reader_fault(rd, n->key_at,
                     is_valid ? "this header is the server's own" : "no name for a header");
    } else if (n->kind == NODE_SCALAR && !http_header_is_valid(n->key, n->text)) {
        reader_fault(rd, n->at, "a header's value has no line ends");
    }
}

void read_terms_headers(struct reader *rd, const struct schema_row *row, const struct node *n,
                        void *base) {
    struct terms *t = field(row, base);
    if (n->kind != NODE_MAP || n->n_children > SCENARIO_MAX_HEADERS) {
        reader_fault(rd, n->at, "expected a map of at most %d headers", SCENARIO_MAX_HEADERS);
        return;
    }
    t->headers.items = arena_alloc(rd->arena, sizeof(struct header_line) * (n->n_children + 1));
    for (const struct node *h = n->first; h; h = h->next) {
        size_t mark = reader_enter(rd, ".%.*s", SLICE_FMT(slice_sub(h->key, 0, 40)));
        read_header(rd, h, &t->headers.items[t->headers.n++]);
        reader_leave(rd, mark);
    }
}

void terms_inherit(struct terms *inner, const struct terms *outer) {
    if (!inner->has_ttft) {
        inner->has_ttft = outer->has_ttft;
        inner->ttft = outer->ttft;
    }
    if (!inner->has_itl && !inner->has_tps) {
        inner->has_itl = outer->has_itl;
        inner->has_tps = outer->has_tps;
        inner->itl = outer->itl;
        inner->tps = outer->tps;
    }
    if (!inner->has_burst) {
        inner->has_burst = outer->has_burst;
        inner->burst = outer->burst;
    }
    if (!inner->fault.len) {
        inner->fault = outer->fault;
    }
    if (!inner->headers.n) {
        inner->headers = outer->headers;
    }
}
