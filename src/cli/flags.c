/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/flags.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/suggest.h"
#include "config/value.h"

/* ---- what a row says ---- */

static const struct setting_doc *find_setting(const char *name) {
    const struct setting_doc *docs;
    unsigned n = config_setting_docs(&docs);
    for (unsigned i = 0; name && i < n; i++) {
        if (strcmp(docs[i].name, name) == 0) return &docs[i];
    }
    return NULL;
}

void flag_doc(const struct flag *f, struct flag_doc *out) {
    const struct setting_doc *setting = find_setting(f->setting);
    *out = (struct flag_doc){.description = f->description, .default_text = f->default_text};
    if (f->choices) snprintf(out->choices, sizeof out->choices, "%s", f->choices);
    if (!setting) return;
    size_t len = strlen(setting->type);
    if (!f->description) out->description = setting->description;
    out->default_text = setting->default_text;
    out->env = setting->env;
    if (slice_starts_with(slice_cstr(setting->type), SLICE("enum("))) {
        snprintf(out->choices, sizeof out->choices, "%.*s", (int)(len - 6), setting->type + 5);
    }
}

bool flag_is_bool(const struct flag *f) {
    return f->type == FLAG_BOOL || f->type == FLAG_NAMED_BOOL;
}

static bool is_on_by_default(const struct flag *f) {
    return flag_is_bool(f) && f->default_text && strcmp(f->default_text, "true") == 0;
}

const char *flag_spelling(const struct flag *f, char *out, size_t size) {
    snprintf(out, size, "--%s%s", is_on_by_default(f) ? "no-" : "", f->name);
    return out;
}

/* ---- storing ---- */

static bool is_choice(const char *choices, struct slice text) {
    struct slice rest = slice_cstr(choices);
    while (rest.len > 0) {
        ptrdiff_t bar = slice_index(rest, '|');
        struct slice word = bar < 0 ? rest : slice_sub(rest, 0, (size_t)bar);
        if (slice_eq(word, text)) return true;
        rest = bar < 0 ? SLICE_NULL : slice_from(rest, (size_t)bar + 1);
    }
    return false;
}

static int store_count(const struct flag *f, struct slice text, void *field, struct err *e) {
    uint64_t value, max = f->max > 0 ? f->max : INT64_MAX;
    if (!slice_to_u64(text, max, &value)) {
        return err_set(e, ERR_USAGE, "--%s: expected a whole number%s, got \"%.*s\"", f->name,
                       f->max > 0 ? " within bounds" : "", SLICE_FMT(slice_sub(text, 0, 60)));
    }
    unsigned narrow = (unsigned)value;
    if (f->size == sizeof narrow) memcpy(field, &narrow, sizeof narrow);
    else memcpy(field, &value, sizeof value);
    return 0;
}

static int store_real(const struct flag *f, struct slice text, void *field, struct err *e) {
    char *end = NULL;
    double value = text.len > 0 ? strtod(text.ptr, &end) : -1;
    bool is_number = end && *end == '\0' && value >= 0 && value < 1e15;
    if (!is_number) return err_set(e, ERR_USAGE, "--%s: expected a number", f->name);
    memcpy(field, &value, sizeof value);
    return 0;
}

static int store_bool(const struct flag *f, struct slice text, void *field, struct err *e) {
    bool value;
    if (!value_parse_bool(text, &value)) {
        return err_set(e, ERR_USAGE, "--%s: expected true or false", f->name);
    }
    memcpy(field, &value, sizeof value);
    return 0;
}

static int store_duration(const struct flag *f, struct slice text, void *field, struct err *e) {
    int64_t ns;
    if (!value_parse_duration(text, &ns)) {
        return err_set(e, ERR_USAGE, "--%s: expected a duration (10s, 500ms), got \"%.*s\"",
                       f->name, SLICE_FMT(slice_sub(text, 0, 60)));
    }
    memcpy(field, &ns, sizeof ns);
    return 0;
}

static int store_override(const struct flag *f, struct slice text, struct override_list *list,
                          struct arena *a, struct err *e) {
    ptrdiff_t equals = slice_index(text, '=');
    bool is_any = f->type == FLAG_ANY_SETTING;
    if (is_any && equals <= 0) {
        return err_set(e, ERR_USAGE, "--%s: expected name=value, such as timeouts.idle=2m", f->name);
    }
    if (list->n == FLAG_LIST_MAX) return err_set(e, ERR_USAGE, "--%s: too often", f->name);
    bool is_named = f->type == FLAG_NAMED || f->type == FLAG_NAMED_BOOL;
    const char *name = is_any     ? arena_dup(a, slice_sub(text, 0, (size_t)equals)).ptr
                       : is_named ? f->name
                                  : f->setting;
    const char *value = is_any ? text.ptr + equals + 1 : text.ptr;
    list->items[list->n++] = (struct config_override){name, value};
    return 0;
}

static int store_text_in_list(const struct flag *f, const char *text, struct text_list *list,
                              struct err *e) {
    if (list->n == FLAG_LIST_MAX) return err_set(e, ERR_USAGE, "--%s: too often", f->name);
    list->items[list->n++] = text;
    return 0;
}

/* text is NUL-terminated. */
static int store(const struct flag *f, struct slice text, void *options, struct arena *a,
                 struct err *e) {
    void *field = (char *)options + f->offset;
    struct flag_doc doc;
    flag_doc(f, &doc);
    if (doc.choices[0] && !is_choice(doc.choices, text)) {
        return err_set(e, ERR_USAGE, "--%s: expected one of %s, got \"%.*s\"", f->name, doc.choices,
                       SLICE_FMT(slice_sub(text, 0, 60)));
    }
    switch (f->type) {
    case FLAG_BOOL: return store_bool(f, text, field, e);
    case FLAG_COUNT: return store_count(f, text, field, e);
    case FLAG_REAL: return store_real(f, text, field, e);
    case FLAG_DURATION: return store_duration(f, text, field, e);
    case FLAG_TEXTS: return store_text_in_list(f, text.ptr, field, e);
    case FLAG_NAMED:
    case FLAG_NAMED_BOOL:
    case FLAG_SETTING:
    case FLAG_ANY_SETTING: return store_override(f, text, field, a, e);
    case FLAG_CUSTOM: {
        struct err why = {0};
        int rc = f->parse(text, field, &why);
        return rc < 0 ? err_set(e, ERR_USAGE, "--%s: %s", f->name, why.text) : rc;
    }
    case FLAG_TEXT: break;
    }
    memcpy(field, &text.ptr, sizeof text.ptr);
    return 0;
}

/* ---- parsing ---- */

struct flags_reader {
    const struct flag *flags;
    unsigned argc, next;
    char **argv;
    void *options;
    struct arena *arena;
    struct arguments *out;
    struct err *err;
    bool wants_help;
};

/* "config", or "no-banner" of a bool: then *out_negated. */
static const struct flag *find_long(const struct flags_reader *in, struct slice name,
                                    bool *out_negated) {
    *out_negated = false;
    for (const struct flag *f = in->flags; f->name; f++) {
        if (slice_eq(slice_cstr(f->name), name)) return f;
    }
    if (!slice_starts_with(name, SLICE("no-"))) return NULL;
    for (const struct flag *f = in->flags; f->name; f++) {
        if (!flag_is_bool(f) || !slice_eq(slice_cstr(f->name), slice_from(name, 3))) continue;
        *out_negated = true;
        return f;
    }
    return NULL;
}

static const struct flag *find_letter(const struct flags_reader *in, char letter) {
    for (const struct flag *f = in->flags; f->name; f++) {
        if (f->letter == letter) return f;
    }
    return NULL;
}

static int unknown_flag(struct flags_reader *in, struct slice name) {
    struct suggestion s;
    suggestion_init(&s, name);
    suggestion_offer(&s, SLICE("help"));
    for (const struct flag *f = in->flags; f->name; f++) {
        char text[64];
        suggestion_offer(&s, slice_cstr(f->name));
        flag_spelling(f, text, sizeof text);
        if (is_on_by_default(f)) {
            suggestion_offer(&s, arena_dup(in->arena, slice_cstr(text + 2)));
        }
    }
    if (!s.nearest.ptr) {
        return err_set(in->err, ERR_USAGE, "unknown flag --%.*s",
                       SLICE_FMT(slice_sub(name, 0, 60)));
    }
    return err_set(in->err, ERR_USAGE, "unknown flag --%.*s; did you mean --%.*s?",
                   SLICE_FMT(slice_sub(name, 0, 60)), SLICE_FMT(s.nearest));
}

static int take_value(struct flags_reader *in, const struct flag *f, struct slice *out) {
    if (in->next == in->argc) {
        struct flag_doc doc;
        flag_doc(f, &doc);
        return err_set(in->err, ERR_USAGE, "--%s needs a value: %s", f->name,
                       doc.choices[0] ? doc.choices
                       : f->argument  ? f->argument
                                      : "VALUE");
    }
    *out = slice_cstr(in->argv[in->next++]);
    return 0;
}

/* "name" or "name=value", behind the dashes. */
static int parse_long(struct flags_reader *in, struct slice text) {
    ptrdiff_t equals = slice_index(text, '=');
    struct slice name = equals < 0 ? text : slice_sub(text, 0, (size_t)equals);
    struct slice value = SLICE("");
    bool is_negated;
    const struct flag *f = find_long(in, name, &is_negated);
    if (!f && slice_eq(name, SLICE("help"))) {
        in->wants_help = true;
        return 0;
    }
    if (!f) return unknown_flag(in, name);
    if (is_negated && equals >= 0) {
        return err_set(in->err, ERR_USAGE, "--no-%s takes no value", f->name);
    }
    if (equals >= 0) value = slice_from(text, (size_t)equals + 1);
    else if (flag_is_bool(f)) value = is_negated ? SLICE("false") : SLICE("true");
    else if (take_value(in, f, &value) < 0) return -ERR_USAGE;
    return store(f, value, in->options, in->arena, in->err);
}

/* "c", "cFILE" or several bools, behind the dash. */
static int parse_letters(struct flags_reader *in, struct slice text) {
    for (size_t i = 0; i < text.len; i++) {
        const struct flag *f = find_letter(in, text.ptr[i]);
        if (!f && text.ptr[i] == 'h') {
            in->wants_help = true;
            continue;
        }
        if (!f) return err_set(in->err, ERR_USAGE, "unknown flag -%c", text.ptr[i]);
        struct slice value = slice_from(text, i + 1);
        bool is_bool = flag_is_bool(f);
        if (is_bool) value = SLICE("true");
        else if (value.len > 0 && value.ptr[0] == '=') value = slice_from(value, 1);
        else if (value.len == 0 && take_value(in, f, &value) < 0) return -ERR_USAGE;
        int rc = store(f, value, in->options, in->arena, in->err);
        if (rc < 0 || !is_bool) return rc;
    }
    return 0;
}

int flags_parse(const struct flag *flags, unsigned argc, char **argv, void *options,
                struct arena *a, struct arguments *out, struct err *e) {
    struct flags_reader in = {flags, argc, 0, argv, options, a, out, e, false};
    *out = (struct arguments){arena_alloc(a, (argc + 1) * sizeof *out->items), 0};
    bool is_over = false;
    while (in.next < argc) {
        struct slice text = slice_cstr(argv[in.next++]);
        int rc = 0;
        if (is_over || text.len < 2 || text.ptr[0] != '-') out->items[out->n++] = text.ptr;
        else if (slice_eq(text, SLICE("--"))) is_over = true;
        else if (text.ptr[1] == '-') rc = parse_long(&in, slice_from(text, 2));
        else rc = parse_letters(&in, slice_from(text, 1));
        if (rc < 0) return rc;
    }
    return in.wants_help ? FLAGS_HELP : FLAGS_OK;
}
