/* SPDX-License-Identifier: Apache-2.0 */
/* `match`: each key becomes a condition; a condition on a text that says several things becomes one
 * for each of them. */
#include <math.h>
#include <stdlib.h>

#include "mock/scenario_schema.h"

enum { MAX_PATTERNS = 1000, MAX_GROUPS = 100, MAX_RANGES = 100 };

static struct condition *add_condition(struct reader *rd, const struct schema_row *row,
                                       const struct node *n, struct scenario_match *m) {
    struct condition *c = arena_alloc(rd->arena, sizeof *c);
    *c = (struct condition){.kind = row->condition, .name = row->name, .at = n->key_at,
                            .choices = row->choices};
    if (m->last) {
        m->last->next = c;
    } else {
        m->first = c;
    }
    m->last = c;
    m->n++;
    return c;
}

/* ---- patterns ---- */

static void add_pattern(struct reader *rd, const struct node *n, enum pattern_kind kind,
                        bool ignore_case, struct patterns *out) {
    struct err e;
    if (!reader_scalar(rd, n, "a text")) {
        return;
    }
    if (pattern_compile(kind, n->text, ignore_case, rd->arena, &out->items[out->n], &e) < 0) {
        reader_fault(rd, n->at, "%s", e.text);
        return;
    }
    out->n++;
}

static bool make_patterns(struct reader *rd, const struct node *n, struct patterns *out) {
    unsigned count = n->kind == NODE_LIST ? n->n_children : 1;
    if (count == 0 || count > MAX_PATTERNS) {
        reader_fault(rd, n->at, "a list of 1 to %d patterns is wanted", MAX_PATTERNS);
        return false;
    }
    out->items = arena_alloc(rd->arena, sizeof *out->items * count);
    return true;
}

static void read_patterns(struct reader *rd, const struct node *n, enum pattern_kind kind,
                          bool ignore_case, struct patterns *out) {
    if (!make_patterns(rd, n, out)) {
        return;
    }
    if (n->kind != NODE_LIST) {
        add_pattern(rd, n, kind, ignore_case, out);
        return;
    }
    for (const struct node *item = n->first; item; item = item->next) {
        add_pattern(rd, item, kind, ignore_case, out);
    }
}

static struct text_draft new_text_draft(const struct reader *rd) {
    return (struct text_draft){.ignore_case = rd->ignore_case};
}

/* One of a list: a text, or a map that says one thing. */
static void read_list_pattern(struct reader *rd, const struct node *n, enum pattern_kind alone,
                              struct patterns *out) {
    struct text_draft d = new_text_draft(rd);
    unsigned said = 0;
    if (n->kind == NODE_SCALAR) {
        add_pattern(rd, n, alone, rd->ignore_case, out);
        return;
    }
    schema_read_map(rd, SCOPE_TEXT, n, &d);
    for (unsigned k = 0; k < 4; k++) {
        if (d.patterns[k] && said++ == 0) {
            add_pattern(rd, d.patterns[k], (enum pattern_kind)k, d.ignore_case, out);
        }
    }
    if (said > 1) {
        reader_fault(rd, n->at, "in a list, each map says one thing");
    }
}

/* One condition for each kind of pattern in the draft; made for a copy of `model`. */
static unsigned add_draft(struct reader *rd, const struct schema_row *row, const struct node *n,
                          const struct text_draft *d, const struct condition *model,
                          struct scenario_match *m) {
    unsigned said = 0;
    for (unsigned k = 0; k < 4; k++) {
        if (!d->patterns[k]) {
            continue;
        }
        struct condition *c = add_condition(rd, row, n, m), *next = c->next;
        if (model) {
            *c = *model;
            c->next = next;
        }
        c->at = d->patterns[k]->key_at;
        read_patterns(rd, d->patterns[k], (enum pattern_kind)k, d->ignore_case, &c->patterns);
        said++;
    }
    return said;
}

static void read_text(struct reader *rd, const struct schema_row *row, const struct node *n,
                      enum pattern_kind alone, const struct condition *model,
                      struct scenario_match *m) {
    struct text_draft d = new_text_draft(rd);
    unsigned faults = rd->report->n_faults;
    if (n->kind == NODE_MAP) {
        schema_read_map(rd, SCOPE_TEXT, n, &d);
        if (add_draft(rd, row, n, &d, model, m) == 0 && rd->report->n_faults == faults) {
            reader_fault(rd, n->at, "one of contains, equals, glob and regex is wanted");
        }
        return;
    }
    struct condition *c = add_condition(rd, row, n, m);
    if (model) {
        *c = *model;
    }
    if (!make_patterns(rd, n, &c->patterns)) {
        return;
    }
    if (n->kind == NODE_SCALAR) {
        add_pattern(rd, n, alone, rd->ignore_case, &c->patterns);
        return;
    }
    for (const struct node *item = n->first; item; item = item->next) {
        read_list_pattern(rd, item, alone, &c->patterns);
    }
}

void read_condition_text(struct reader *rd, const struct schema_row *row, const struct node *n,
                         void *base) {
    read_text(rd, row, n, PATTERN_CONTAINS, NULL, base);
}

void read_condition_globs(struct reader *rd, const struct schema_row *row, const struct node *n,
                          void *base) {
    struct condition *c = add_condition(rd, row, n, base);
    read_patterns(rd, n, PATTERN_GLOB, false, &c->patterns);
}

void read_condition_headers(struct reader *rd, const struct schema_row *row, const struct node *n,
                            void *base) {
    if (n->kind != NODE_MAP) {
        reader_fault(rd, n->at, "expected a map of headers, got %s", node_kind_name(n));
        return;
    }
    for (const struct node *h = n->first; h; h = h->next) {
        size_t mark = reader_enter(rd, ".%.*s", SLICE_FMT(slice_sub(h->key, 0, 40)));
        const struct condition model = {.kind = row->condition, .name = row->name,
                                        .at = h->key_at, .header = h->key};
        if (!http_header_is_valid(h->key, SLICE("x"))) {
            reader_fault(rd, h->key_at, "no name for a header");
        }
        read_text(rd, row, h, PATTERN_GLOB, &model, base);
        reader_leave(rd, mark);
    }
}

/* ---- results of tools ---- */

void read_result_tool(struct reader *rd, const struct schema_row *row, const struct node *n,
                      void *base) {
    struct result_draft *d = base;
    (void)row;
    read_patterns(rd, n, PATTERN_GLOB, false, &d->tool);
}

void read_result_present(struct reader *rd, const struct schema_row *row, const struct node *n,
                         void *base) {
    struct result_draft *d = base;
    d->has_present = true;
    read_bool(rd, row, n, d);
}

static bool is_bool_word(const struct node *n, bool *out) {
    *out = slice_eq(n->text, SLICE("true"));
    return n->kind == NODE_SCALAR && n->is_plain && (*out || slice_eq(n->text, SLICE("false")));
}

void read_condition_result(struct reader *rd, const struct schema_row *row, const struct node *n,
                           void *base) {
    struct result_draft d = {.text = new_text_draft(rd), .present = true};
    struct condition model = {.kind = row->condition, .name = row->name, .at = n->key_at,
                              .flag = true};
    if (n->kind != NODE_MAP) {
        if (is_bool_word(n, &model.flag)) {
            *add_condition(rd, row, n, base) = model;
            return;
        }
        model.flag = true;
        read_text(rd, row, n, PATTERN_CONTAINS, &model, base);
        return;
    }
    schema_read_map(rd, SCOPE_RESULT, n, &d);
    model.flag = d.present;
    model.is_anywhere = d.anywhere;
    model.result_of = d.tool;
    if (add_draft(rd, row, n, &d.text, &model, base) == 0) {
        *add_condition(rd, row, n, base) = model;
    }
}

/* ---- words, flags, numbers ---- */

void read_condition_words(struct reader *rd, const struct schema_row *row, const struct node *n,
                          void *base) {
    struct condition *c = add_condition(rd, row, n, base);
    const struct node *item = n->kind == NODE_LIST ? n->first : n;
    for (; item; item = n->kind == NODE_LIST ? item->next : NULL) {
        int i = reader_word(rd, item, row->choices);
        c->words |= i < 0 ? 0 : 1u << i;
    }
}

void read_condition_flag(struct reader *rd, const struct schema_row *row, const struct node *n,
                         void *base) {
    struct condition *c = add_condition(rd, row, n, base);
    struct schema_row own = *row;
    own.offset = offsetof(struct condition, flag);
    read_bool(rd, &own, n, c);
}

/* "3", "3-5", "3-". */
static void read_range(struct reader *rd, const struct schema_row *row, const struct node *n,
                       struct condition *c) {
    uint64_t first = 0, last = 0;
    if (!reader_scalar(rd, n, "a number or a range")) {
        return;
    }
    ptrdiff_t dash = slice_index(n->text, '-');
    struct slice low = dash < 0 ? n->text : slice_trim(slice_sub(n->text, 0, (size_t)dash));
    struct slice high = dash < 0 ? low : slice_trim(slice_from(n->text, (size_t)dash + 1));
    uint64_t max = (uint64_t)row->max;
    bool ok = slice_to_u64(low, max, &first);
    bool is_open = dash > 0 && high.len == 0;
    ok = ok && (is_open || slice_to_u64(high, max, &last));
    last = is_open ? INT64_MAX : last;
    if (!ok || first < (uint64_t)row->min || last < first) {
        reader_fault(rd, n->at, "expected a number from %lld on, a range such as 2-4, or 2- for "
                                "all from 2 on", (long long)row->min);
        return;
    }
    c->ranges[c->n_ranges++] = (struct range){(int64_t)first, (int64_t)last};
}

void read_condition_ranges(struct reader *rd, const struct schema_row *row, const struct node *n,
                           void *base) {
    struct scenario_match *m = base;
    struct condition *c = add_condition(rd, row, n, m);
    unsigned count = n->kind == NODE_LIST ? n->n_children : 1;
    m->has_call |= row->condition == MATCH_CALL;
    if (count == 0 || count > MAX_RANGES) {
        reader_fault(rd, n->at, "1 to %d numbers or ranges are wanted", MAX_RANGES);
        return;
    }
    c->ranges = arena_alloc(rd->arena, sizeof *c->ranges * count);
    const struct node *item = n->kind == NODE_LIST ? n->first : n;
    for (; item; item = n->kind == NODE_LIST ? item->next : NULL) {
        read_range(rd, row, item, c);
    }
}

void read_condition_probability(struct reader *rd, const struct schema_row *row,
                                const struct node *n, void *base) {
    struct condition *c = add_condition(rd, row, n, base);
    char *end;
    if (!reader_scalar(rd, n, "a number")) {
        return;
    }
    double value = strtod(n->text.ptr, &end);
    if (end != n->text.ptr && *end == '%') {
        value /= 100;
        end++;
    }
    if (n->text.len == 0 || *end || !isfinite(value) || value < 0 || value > 1) {
        reader_fault(rd, n->at, "expected a number from 0 to 1, or from 0%% to 100%%");
        return;
    }
    c->probability = value;
}

/* ---- groups ---- */

static struct scenario_match *read_group(struct reader *rd, const struct node *n) {
    struct scenario_match *m = arena_alloc(rd->arena, sizeof *m);
    schema_read_map(rd, SCOPE_MATCH, n, m);
    if (n->kind == NODE_MAP && n->n_children == 0) {
        reader_fault(rd, n->at, "no condition: it always holds");
    }
    return m;
}

void read_condition_not(struct reader *rd, const struct schema_row *row, const struct node *n,
                        void *base) {
    struct scenario_match *m = base;
    struct condition *c = add_condition(rd, row, n, m);
    c->groups = read_group(rd, n);
    c->n_groups = 1;
    m->has_call |= c->groups->has_call;
}

void read_condition_any_of(struct reader *rd, const struct schema_row *row, const struct node *n,
                           void *base) {
    struct scenario_match *m = base, **end;
    struct condition *c = add_condition(rd, row, n, m);
    if (n->kind != NODE_LIST || n->n_children == 0 || n->n_children > MAX_GROUPS) {
        reader_fault(rd, n->at, "a list of 1 to %d maps of conditions is wanted", MAX_GROUPS);
        return;
    }
    end = &c->groups;
    for (const struct node *item = n->first; item; item = item->next) {
        size_t mark = reader_enter(rd, "[%u]", c->n_groups++);
        *end = read_group(rd, item);
        m->has_call |= (*end)->has_call;
        end = &(*end)->next;
        reader_leave(rd, mark);
    }
}

void read_match(struct reader *rd, const struct schema_row *row, const struct node *n,
                void *base) {
    struct scenario_match *m = arena_alloc(rd->arena, sizeof *m);
    schema_read_map(rd, SCOPE_MATCH, n, m);
    *(struct scenario_match **)((char *)base + row->offset) = m;
}

struct scenario_match *scenario_match_parse(const struct node *n, struct arena *a,
                                            struct report *r) {
    struct reader rd = {.arena = a, .report = r};
    struct scenario_match *m = arena_alloc(a, sizeof *m);
    schema_read_map(&rd, SCOPE_MATCH, n, m);
    return m;
}
