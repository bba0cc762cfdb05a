/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/settings.h"

#include <stdio.h>

#include "config/suggest.h"
#include "config/tree.h"
#include "config/value.h"
#include "dialect/json_write.h"


struct reader {
    struct report report;
    struct law_scope scope;
    bool use_fixed, in_provider;
};

/* ---- one value ---- */

static void unknown(struct reader *r, const struct node *n) {
    struct suggestion s;
    suggestion_init(&s, n->key);
    for (unsigned i = 0; i < mock_n_settings; i++) {
        suggestion_offer(&s, slice_cstr(mock_settings[i].name));
    }
    if (s.nearest.ptr) {
        report_fault(&r->report, n->key_at, n->key.ptr, "unknown setting; did you mean %.*s?",
                     SLICE_FMT(s.nearest));
    } else {
        report_fault(&r->report, n->key_at, n->key.ptr, "unknown setting");
    }
}

static void read_scalar(struct reader *r, const struct mock_setting *row, const struct node *n,
                        struct mock_options *o) {
    struct err e;
    if (n->kind != NODE_SCALAR) {
        report_fault(&r->report, n->at, row->name, "expected a value, got %s", node_kind_name(n));
    } else if (mock_setting_store(row, n->text, o, &r->scope, &e) < 0) {
        report_fault(&r->report, n->at, row->name, "%s", e.text);
    }
}

static bool is_list(const struct mock_setting *row) {
    return row->type == MOCK_SET_TEXTS || row->type == MOCK_SET_OWN;
}

static void read_setting(struct reader *r, const struct node *n, struct mock_options *o) {
    const struct mock_setting *row = mock_setting_find(n->key);
    if (!row) {
        unknown(r, n);
        return;
    }
    if (row->use != MOCK_USE_PROVIDER && !r->use_fixed) {
        report_fault(&r->report, n->key_at, row->name, "cannot change while the mock is running");
        return;
    }
    if (row->use == MOCK_USE_PROCESS && r->in_provider) {
        report_fault(&r->report, n->key_at, row->name, "is for all providers: write it at the top");
        return;
    }
    mock_setting_reset(row, o);
    if (node_is_null(n)) {
        return;
    }
    if (n->kind == NODE_LIST && is_list(row)) {
        for (const struct node *item = n->first; item; item = item->next) {
            read_scalar(r, row, item, o);
        }
        return;
    }
    read_scalar(r, row, n, o);
}

/* skip: a key that is no setting; NULL: none. */
static void read_map(struct reader *r, const struct node *map, const char *skip,
                     struct mock_options *o) {
    if (map->kind != NODE_MAP) {
        report_fault(&r->report, map->at, NULL, "expected a map of settings, got %s",
                     node_kind_name(map));
        return;
    }
    for (const struct node *n = map->first; n; n = n->next) {
        if (!skip || !slice_eq(n->key, slice_cstr(skip))) {
            read_setting(r, n, o);
        }
    }
}

/* ---- documents ---- */

static const struct node *begin(struct reader *r, struct slice text, const char *source,
                                bool use_fixed, struct arena *a) {
    *r = (struct reader){.scope = {.arena = a, .reads_files = use_fixed}, .use_fixed = use_fixed};
    report_init(&r->report);
    return tree_parse(text, source, a, &r->report);
}

static int finish(struct reader *r, struct buf *report) {
    bool is_bad = r->report.n_faults > 0;
    if (is_bad) {
        report_write(&r->report, report);
    }
    report_dispose(&r->report);
    return is_bad ? -ERR_USAGE : 0;
}

int mock_settings_read(struct slice text, const char *source, bool use_fixed,
                       struct mock_options *o, struct arena *a, struct buf *report) {
    struct reader r;
    const struct node *root = begin(&r, text, source, use_fixed, a);
    if (root) {
        read_map(&r, root, NULL, o);
    }
    return finish(&r, report);
}

static const struct node *child(const struct node *map, const char *key) {
    for (const struct node *n = map->kind == NODE_MAP ? map->first : NULL; n; n = n->next) {
        if (slice_eq(n->key, slice_cstr(key))) {
            return n;
        }
    }
    return NULL;
}

int mock_config_read(struct slice text, const char *source, const struct mock_options *base,
                     struct mock_options *out, unsigned *out_n, struct arena *a,
                     struct buf *report) {
    struct reader r;
    struct mock_options all = *base;
    const struct node *root = begin(&r, text, source, true, a);
    const struct node *providers = root ? child(root, "providers") : NULL;
    if (root) {
        read_map(&r, root, "providers", &all);
    }
    *out_n = 0;
    r.in_provider = true;
    for (const struct node *n = providers ? providers->first : NULL; n; n = n->next) {
        if (*out_n == MOCK_MAX_PROVIDERS) {
            report_fault(&r.report, n->at, "providers", "at most %d", MOCK_MAX_PROVIDERS);
            break;
        }
        struct mock_options *o = &out[(*out_n)++];
        *o = all;
        o->name = n->key.len > 0 ? arena_dup(a, n->key).ptr : o->name;
        read_map(&r, n, NULL, o);
    }
    if (providers && providers->kind == NODE_SCALAR) {
        report_fault(&r.report, providers->at, "providers", "expected a map or a list of providers");
    }
    if (*out_n == 0) {
        out[(*out_n)++] = all;
    }
    return finish(&r, report);
}

/* ---- writing ---- */

static struct slice choice_word(const struct mock_setting *row, unsigned at) {
    struct slice rest = slice_cstr(row->choices);
    for (;;) {
        ptrdiff_t bar = slice_index(rest, '|');
        if (at-- == 0 || bar < 0) {
            return bar < 0 ? rest : slice_sub(rest, 0, (size_t)bar);
        }
        rest = slice_from(rest, (size_t)bar + 1);
    }
}

static void w_value(struct json_writer *j, const struct mock_setting *row,
                    const struct mock_options *o) {
    const void *field = (const char *)o + row->offset;
    switch (row->type) {
    case MOCK_SET_BOOL:
        jw(j, *(const bool *)field ? SLICE("true") : SLICE("false"));
        return;
    case MOCK_SET_COUNT:
        jw_int(j, row->size == sizeof(unsigned) ? (int64_t) * (const unsigned *)field
                                                : (int64_t) * (const uint64_t *)field);
        return;
    case MOCK_SET_CHOICE:
        jw_string(j, choice_word(row, *(const unsigned *)field));
        return;
    case MOCK_SET_LAW: {
        char text[LAW_TEXT_BYTES];
        jw_string(j, slice_cstr(law_print(field, text)));
        return;
    }
    case MOCK_SET_BURST: {
        char text[BURST_TEXT_BYTES];
        struct slice law = slice_cstr(burst_print(field, text));
        if (burst_is_constant(field)) {
            jw(j, law);
        } else {
            jw_string(j, law);
        }
        return;
    }
    case MOCK_SET_DURATION: {
        char text[VALUE_TEXT_BYTES];
        jw_string(j, slice_cstr(value_format_duration(*(const int64_t *)field, text)));
        return;
    }
    case MOCK_SET_REAL: {
        char text[32];
        snprintf(text, sizeof text, "%.15g", *(const double *)field);
        jw(j, slice_cstr(text));
        return;
    }
    case MOCK_SET_TEXT:
        if (*(const char *const *)field) {
            jw_string(j, slice_cstr(*(const char *const *)field));
            return;
        }
        break;
    case MOCK_SET_TEXTS:
    case MOCK_SET_OWN:
        break;
    }
    jw(j, SLICE("null"));
}

int mock_settings_write(const struct mock_options *o, struct buf *out) {
    struct json_writer j = jw_begin(out);
    bool any = false;
    jw(&j, SLICE("{"));
    for (unsigned i = 0; i < mock_n_settings; i++) {
        if (is_list(&mock_settings[i]) || mock_settings[i].use != MOCK_USE_PROVIDER) {
            continue;
        }
        jw(&j, any ? SLICE(",") : SLICE(""));
        jw_string(&j, slice_cstr(mock_settings[i].name));
        jw(&j, SLICE(":"));
        w_value(&j, &mock_settings[i], o);
        any = true;
    }
    jw(&j, SLICE("}"));
    return jw_end(&j) < 0 ? -ERR_LIMIT : 0;
}
