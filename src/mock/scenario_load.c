/* SPDX-License-Identifier: Apache-2.0 */
/* Files and folders of them, and texts, to sets. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "config/file.h"
#include "mock/scenario_schema.h"

struct loader {
    struct scenario_set *set;
    bool reads_files;                /* laws of measured times, beside the file */
    struct report *report;
    unsigned n_files, cap;
};

/* ---- sets ---- */

static struct scenario_set *set_new(void) {
    struct scenario_set *s = mem_zalloc(sizeof *s);
    atomic_store(&s->refs, 1);
    s->arena = arena_new();
    return s;
}

struct scenario_set *scenario_set_ref(struct scenario_set *s) {
    if (s) {
        atomic_fetch_add(&s->refs, 1);
    }
    return s;
}

void scenario_set_unref(struct scenario_set **s) {
    struct scenario_set *set = *s;
    *s = NULL;
    if (set && atomic_fetch_sub(&set->refs, 1) == 1) {
        arena_free(set->arena);
        mem_free(set);
    }
}

unsigned scenario_set_count(const struct scenario_set *s) {
    return s ? s->n : 0;
}

struct slice scenario_set_name(const struct scenario_set *s, unsigned i) {
    return s->items[i]->name;
}

/* ---- text to tree ---- */

static int hex_value(char c) {
    char lower = (char)(c | 0x20);
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The number of a "\uXXXX" at text[at]; -1: there is none. */
static long escape_value(struct slice text, size_t at) {
    long value = 0;
    if (at + 6 > text.len || text.ptr[at] != '\\' || text.ptr[at + 1] != 'u') {
        return -1;
    }
    for (size_t i = at + 2; i < at + 6; i++) {
        int digit = hex_value(text.ptr[i]);
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

static void put_utf8(char out[4], long c) {
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
}

/* A JSON text with escaped pairs of surrogates written out. */
static struct slice join_surrogates(struct slice text, struct arena *a) {
    char *out = arena_alloc(a, text.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < text.len;) {
        long high = escape_value(text, i), low = high < 0 ? -1 : escape_value(text, i + 6);
        if (high >= 0xd800 && high < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
            put_utf8(out + n, 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
            n += 4;
            i += 12;
            continue;
        }
        size_t len = text.ptr[i] == '\\' && i + 1 < text.len ? 2 : 1;
        memcpy(out + n, text.ptr + i, len);
        n += len;
        i += len;
    }
    return slice_make(out, n);
}

static bool is_json(struct slice text) {
    size_t i = 0;
    while (i < text.len && strchr(" \t\r\n", text.ptr[i]) && text.ptr[i]) {
        i++;
    }
    return i < text.len && (text.ptr[i] == '{' || text.ptr[i] == '[');
}

struct node *scenario_tree_parse(struct slice text, const char *source, struct arena *a,
                                 struct report *r) {
    bool has_pairs = text.len > 12 && text.len <= TREE_MAX_BYTES && is_json(text) &&
                     memmem(text.ptr, text.len, "\\u", 2);
    return tree_parse(has_pairs ? join_surrogates(text, a) : text, source, a, r);
}

/* ---- one scenario ---- */

static bool is_name(struct slice name) {
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool is_letter = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!is_letter && !(c && strchr("-_./:+@#", c))) {
            return false;
        }
    }
    return name.len > 0 && name.len <= SCENARIO_NAME_BYTES;
}

/* "greeting" of "tests/greeting.yaml", as far as it makes a name. */
static struct slice stem_of(const char *source, struct arena *a) {
    const char *slash = strrchr(source, '/');
    struct slice base = slice_cstr(slash ? slash + 1 : source);
    struct slice name = arena_dup(a, slice_sub(base, 0, 40));
    char *text = (char *)(uintptr_t)name.ptr, *dot = strrchr(text, '.');
    if (dot && dot != text) {
        name.len = (size_t)(dot - text);
    }
    for (size_t i = 0; i < name.len; i++) {
        text[i] = is_name(slice_make(text + i, 1)) ? text[i] : '-';
    }
    return name;
}

static bool has_terms(const struct terms *t) {
    return t->has_ttft || t->has_itl || t->has_tps || t->has_burst || t->fault.len ||
           t->headers.n;
}

/* faults: how many there were before it was read; what they name is not missed once more. */
static void check_scenario(struct reader *rd, const struct node *n, const struct scenario *s,
                           bool has_after, unsigned faults) {
    if (!is_name(s->name)) {
        reader_fault(rd, n->at, "a name has 1 to %d letters, digits and -_./:+@#",
                     SCENARIO_NAME_BYTES);
    }
    if (s->is_continued && s->responses) {
        reader_fault(rd, n->at, "with continue the search goes on: without respond and script");
    }
    if (!s->responses && !has_terms(&s->terms) && rd->report->n_faults == faults) {
        reader_fault(rd, n->at, s->is_continued
                                    ? "continue alone does nothing: give it ttft, itl, tps, burst, "
                                      "fault or headers"
                                    : "it says nothing: give it respond, script, or timing, fault "
                                      "or headers for the generator's answer");
    }
    if (has_after && !s->is_script) {
        reader_fault(rd, n->at, "after is of a script");
    }
}

static bool has_key(const struct node *map, struct slice key) {
    for (const struct node *n = map->first; n; n = n->next) {
        if (slice_eq(n->key, key)) {
            return true;
        }
    }
    return false;
}

static void add_scenario(struct loader *ld, struct scenario *s) {
    struct scenario_set *set = ld->set;
    if (set->n == ld->cap) {
        ld->cap = ld->cap ? ld->cap * 2 : 16;
        struct scenario **more = arena_alloc(set->arena, sizeof *more * ld->cap);
        if (set->n) {
            memcpy(more, set->items, sizeof *more * set->n);
        }
        set->items = more;
    }
    set->items[set->n++] = s;
}

static void check_unique(struct reader *rd, const struct loader *ld, const struct scenario *s,
                         const struct node *n) {
    for (unsigned i = 0; i < ld->set->n; i++) {
        if (slice_eq(ld->set->items[i]->name, s->name)) {
            reader_fault(rd, n->at, "the name %.*s is taken, by %s", SLICE_FMT(s->name),
                         ld->set->items[i]->place);
            return;
        }
    }
}

static void read_scenario(struct loader *ld, struct reader *rd, const struct node *n,
                          const struct file_defaults *defaults, unsigned number) {
    struct scenario *s = arena_alloc(rd->arena, sizeof *s);
    unsigned faults = rd->report->n_faults;
    if (ld->set->n == SCENARIO_MAX) {
        reader_fault(rd, n->at, "more than %d scenarios", SCENARIO_MAX);
        return;
    }
    s->after = defaults->after;
    s->times = SCENARIO_FOREVER;
    schema_read_map(rd, SCOPE_SCENARIO, n, s);
    if (n->kind != NODE_MAP) {
        return;
    }
    if (!s->name.ptr) {
        struct slice stem = stem_of(n->at.source, rd->arena);
        s->name = slice_cstr(arena_printf(rd->arena, "%.*s#%u", SLICE_FMT(stem), number));
    }
    if (!s->match) {
        s->match = arena_alloc(rd->arena, sizeof *s->match);
    }
    s->place = arena_printf(rd->arena, "%s:%u", n->at.source, n->at.line);
    check_scenario(rd, n, s, has_key(n, SLICE("after")), faults);
    check_unique(rd, ld, s, n);
    terms_inherit(&s->terms, &defaults->terms);
    add_scenario(ld, s);
}

/* ---- one document ---- */

static bool has_row_of(const struct node *map, enum schema_scope scope) {
    for (const struct node *n = map->first; n; n = n->next) {
        if (schema_find(scope, n->key)) {
            return true;
        }
    }
    return false;
}

static void read_scenarios(struct loader *ld, struct reader *rd, const struct node *list,
                           const struct file_defaults *defaults, const char *name) {
    unsigned i = 0;
    if (list->kind != NODE_LIST) {
        reader_fault(rd, list->at, "expected a list of scenarios, got %s", node_kind_name(list));
        return;
    }
    for (const struct node *n = list->first; n; n = n->next, i++) {
        size_t mark = reader_enter(rd, "%s[%u]", name, i);
        read_scenario(ld, rd, n, defaults, i + 1);
        reader_leave(rd, mark);
    }
}

static const char *folder_of(const char *source, struct arena *a) {
    const char *slash = strrchr(source, '/');
    return slash ? arena_dup(a, slice_make(source, (size_t)(slash - source) + 1)).ptr : NULL;
}

static void read_document(struct loader *ld, const struct node *root) {
    struct arena *a = ld->set->arena;
    struct reader rd = {.arena = a, .report = ld->report,
                        .laws = {a, ld->reads_files, folder_of(root->at.source, a)}};
    struct file_draft d = {.version = 1};
    if (root->kind == NODE_LIST) {
        read_scenarios(ld, &rd, root, &d.defaults, "");
        return;
    }
    bool is_scenario = root->kind == NODE_MAP && !has_row_of(root, SCOPE_FILE) &&
                       has_row_of(root, SCOPE_SCENARIO);
    if (is_scenario) {
        read_scenario(ld, &rd, root, &d.defaults, 1);
        return;
    }
    unsigned faults = ld->report->n_faults;
    schema_read_map(&rd, SCOPE_FILE, root, &d);
    rd.ignore_case = d.defaults.ignore_case;
    if (d.scenarios) {
        read_scenarios(ld, &rd, d.scenarios, &d.defaults, "scenarios");
    } else if (root->kind == NODE_MAP && ld->report->n_faults == faults) {
        reader_fault(&rd, root->at, "no scenarios in it");
    }
}

static void load_text(struct loader *ld, struct slice text, const char *source) {
    unsigned before = ld->report->n_faults;
    const char *kept = arena_dup(ld->set->arena, slice_cstr(source)).ptr;
    const struct node *root = scenario_tree_parse(text, kept, ld->set->arena, ld->report);
    if (root) {
        read_document(ld, root);
    } else if (ld->report->n_faults == before) {
        report_warning(ld->report, (struct place){.source = kept}, NULL, "nothing in it");
    }
}

/* ---- files ---- */

static void fault_os(struct loader *ld, const char *path, int code) {
    report_fault(ld->report, (struct place){.source = path}, NULL, "%s", strerror(code));
}

static void load_file(struct loader *ld, const char *path) {
    struct place at = {.source = path};
    struct buf text;
    struct err e;
    if (++ld->n_files > SCENARIO_MAX_FILES) {
        report_fault(ld->report, at, NULL, "more than %d files", SCENARIO_MAX_FILES);
        return;
    }
    buf_init(&text, TREE_MAX_BYTES);
    if (file_read(path, &text, &e) < 0) {
        report_fault(ld->report, at, NULL, "%s", e.text);
    } else {
        load_text(ld, buf_slice(&text), path);
    }
    buf_dispose(&text);
}

int scenario_is_file(const struct dirent *entry) {
    const char *name = entry->d_name, *dot = strrchr(name, '.');
    return name[0] != '.' && dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void load_folder(struct loader *ld, const char *path) {
    struct dirent **entries;
    int n = scandir(path, &entries, scenario_is_file, by_name);
    if (n < 0) {
        fault_os(ld, path, errno);
        return;
    }
    if (n == 0) {
        report_warning(ld->report, (struct place){.source = path}, NULL, "no *.yaml in it");
    }
    size_t len = strlen(path);
    for (int i = 0; i < n; i++) {
        const char *between = len && path[len - 1] == '/' ? "" : "/";
        load_file(ld, arena_printf(ld->set->arena, "%s%s%s", path, between, entries[i]->d_name));
        free(entries[i]);
    }
    free(entries);
}

static struct scenario_set *finish(struct loader *ld) {
    if (ld->report->n_faults > 0) {
        scenario_set_unref(&ld->set);
    }
    return ld->set;
}

struct scenario_set *scenario_set_load(const char *const *paths, unsigned n, struct report *r) {
    struct loader ld = {.set = set_new(), .report = r, .reads_files = true};
    for (unsigned i = 0; i < n; i++) {
        struct stat st;
        if (stat(paths[i], &st) < 0) {
            fault_os(&ld, paths[i], errno);
        } else if (S_ISDIR(st.st_mode)) {
            load_folder(&ld, paths[i]);
        } else {
            load_file(&ld, paths[i]);
        }
    }
    return finish(&ld);
}

struct scenario_set *scenario_set_parse(struct slice text, const char *source, struct report *r) {
    struct loader ld = {.set = set_new(), .report = r};
    load_text(&ld, text, source);
    return finish(&ld);
}
