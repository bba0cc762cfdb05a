/* SPDX-License-Identifier: Apache-2.0 */
/* Reading specs, and writing the table for people. */
#include "mock/fault-private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_scan.h"
#include "config/suggest.h"
#include "config/value.h"
#include "mock/mock.h"

const struct fault_key_row fault_keys[FAULT_KEY_COUNT] = {
    [FAULT_KEY_AFTER] = {"after", "N", FAULT_KEY_NUMBER, INT64_C(1000000000),
                         "Pieces of the answer (events with text, thoughts or arguments) that come "
                         "before it strikes. An answer that has fewer is struck before its finish."},
    [FAULT_KEY_HOW] = {"how", NULL, FAULT_KEY_CHOICE, 0,
                       "How the connection ends: `end` the body in good order, `fin` closed in the "
                       "middle of it, `rst` reset."},
    [FAULT_KEY_FOR] = {"for", "TIME", FAULT_KEY_TIME, INT64_MAX, "How long; `ever`: without an end."},
    [FAULT_KEY_TYPE] = {"type", NULL, FAULT_KEY_CHOICE, 0, "Which one."},
    [FAULT_KEY_BODY] = {"body", NULL, FAULT_KEY_CHOICE, 0,
                        "The error's body: the provider's, a proxy's page, a line of text, none."},
    [FAULT_KEY_RETRY] = {"retry", "TIME", FAULT_KEY_TIME, INT64_C(86400) * 1000000000,
                         "What retry-after and retry-after-ms say; 0: they are left out."},
    [FAULT_KEY_STATUS] = {"status", "CODE", FAULT_KEY_NUMBER, 599, "The status."},
    [FAULT_KEY_BYTES] = {"bytes", "SIZE", FAULT_KEY_SIZE, 64 << 20, "How many bytes."},
    [FAULT_KEY_EVERY] = {"every", "TIME", FAULT_KEY_TIME, INT64_C(3600) * 1000000000,
                         "How long passes between two writes."},
    [FAULT_KEY_N] = {"n", "N", FAULT_KEY_NUMBER, 10000, "How many."},
    [FAULT_KEY_LIMIT] = {"limit", "N", FAULT_KEY_NUMBER, INT64_C(1000000000000),
                         "The tokens that the model takes."},
    [FAULT_KEY_TOKENS] = {"tokens", "N", FAULT_KEY_NUMBER, INT64_C(1000000000000),
                          "The tokens that there were."},
};

const struct fault_when_row fault_when_keys[] = {
    {"rate", "SHARE", "Of the requests that fit: `5%` or `0.05`, drawn by seed and request."},
    {"start", "TIME", "Not before so long after it was set: the mock's start, or the change."},
    {"duration", "TIME", "For so long; with `period` so long in each."},
    {"period", "TIME", "Again and again."},
    {"count", "N", "So many times, then never again."},
    {"model", "GLOB", "Of requests for these models."},
    {"path", "GLOB", "Of requests to these paths, as `/v1/chat/*`."},
    {NULL, NULL, NULL},
};
enum {
    WHEN_RATE,
    WHEN_START,
    WHEN_DURATION,
    WHEN_PERIOD,
    WHEN_COUNT,
    WHEN_MODEL,
    WHEN_PATH,
    WHEN_KEYS
};

/* ---- looking up ---- */

const struct mock_fault *fault_find(struct slice name) {
    for (unsigned i = 0; i < fault_count; i++) {
        if (slice_eq(name, slice_cstr(fault_table[i].name))) {
            return &fault_table[i];
        }
    }
    return NULL;
}

bool fault_is_on_the_wire(const struct mock_fault *f) {
    return f->kind > FAULT_ECHO_HEADERS;
}

int64_t fault_head_delay_ns(const struct fault_use *use) {
    return use->row->kind == FAULT_SLOW_HEAD ? use->values[FAULT_KEY_FOR] : 0;
}

/* ---- values ---- */

static int parse_choice(const char *choices, struct slice text, int64_t *out) {
    struct slice rest = slice_cstr(choices);
    for (int64_t i = 0; rest.len > 0; i++) {
        ptrdiff_t bar = slice_index(rest, '|');
        struct slice word = bar < 0 ? rest : slice_sub(rest, 0, (size_t)bar);
        if (slice_eq_nocase(word, text)) {
            *out = i;
            return 0;
        }
        rest = bar < 0 ? SLICE_NULL : slice_from(rest, (size_t)bar + 1);
    }
    return -ERR_USAGE;
}

static int parse_time(struct slice text, int64_t max, int64_t *out) {
    if (max == INT64_MAX && slice_eq(text, SLICE("ever"))) {
        *out = INT64_MAX;
        return 0;
    }
    return value_parse_duration(text, out) && *out >= 0 && *out <= max && *out < INT64_MAX / 4
               ? 0 : -ERR_USAGE;
}

static int parse_size(struct slice text, int64_t max, int64_t *out) {
    uint64_t n;
    bool ok = value_parse_bytes(text, &n) && n > 0 && n <= (uint64_t)max;
    *out = ok ? (int64_t)n : 0;
    return ok ? 0 : -ERR_USAGE;
}

static int parse_number(struct slice text, int64_t max, int64_t *out) {
    uint64_t n;
    bool ok = slice_to_u64(text, (uint64_t)max, &n);
    *out = ok ? (int64_t)n : 0;
    return ok ? 0 : -ERR_USAGE;
}

static int parse_value(const struct fault_setting *s, struct slice text, int64_t *out) {
    const struct fault_key_row *k = &fault_keys[s->key];
    if (s->choices) {
        return parse_choice(s->choices, text, out);
    }
    switch (k->type) {
    case FAULT_KEY_TIME:
        return parse_time(text, k->max, out);
    case FAULT_KEY_SIZE:
        return parse_size(text, k->max, out);
    case FAULT_KEY_NUMBER:
    case FAULT_KEY_CHOICE:
        break;
    }
    return parse_number(text, k->max, out);
}

static const char *wanted(const struct fault_setting *s) {
    static const char *const texts[] = {
        [FAULT_KEY_NUMBER] = "a whole number", [FAULT_KEY_TIME] = "a time like 500ms or 2s",
        [FAULT_KEY_SIZE] = "a size like 600 or 5MB", [FAULT_KEY_CHOICE] = "a word"};
    return s->choices ? s->choices : texts[fault_keys[s->key].type];
}

static const char *wanted_when(unsigned key) {
    static const char *const texts[] = {
        [WHEN_RATE] = "a share like 5% or 0.05", [WHEN_START] = "a time like 500ms or 2s",
        [WHEN_DURATION] = "a time like 500ms or 2s", [WHEN_PERIOD] = "a time like 500ms or 2s",
        [WHEN_COUNT] = "a whole number", [WHEN_MODEL] = "a pattern like gpt-*",
        [WHEN_PATH] = "a pattern like /v1/chat/*"};
    return texts[key];
}

static int parse_rate(struct slice text, double *out) {
    char copy[32], *end;
    bool is_percent = text.len > 1 && text.ptr[text.len - 1] == '%';
    size_t len = text.len - is_percent;
    if (len == 0 || len >= sizeof copy || text.ptr[0] < '0' || text.ptr[0] > '9') {
        return -ERR_USAGE;
    }
    memcpy(copy, text.ptr, len);
    copy[len] = '\0';
    *out = strtod(copy, &end) / (is_percent ? 100 : 1);
    return end == copy + len && isfinite(*out) && *out <= 1 ? 0 : -ERR_USAGE;
}

static int parse_glob(struct slice text, char out[FAULT_GLOB_BYTES]) {
    if (text.len == 0 || text.len >= FAULT_GLOB_BYTES) {
        return -ERR_USAGE;
    }
    memcpy(out, text.ptr, text.len);
    out[text.len] = '\0';
    return 0;
}

static int parse_when(unsigned which, struct slice text, struct fault_when *w) {
    int64_t n;
    int rc;
    switch (which) {
    case WHEN_RATE:
        return parse_rate(text, &w->rate);
    case WHEN_START:
        return parse_time(text, INT64_MAX / 4, &w->start_ns);
    case WHEN_DURATION:
        return parse_time(text, INT64_MAX / 4, &w->duration_ns);
    case WHEN_PERIOD:
        return parse_time(text, INT64_MAX / 4, &w->period_ns);
    case WHEN_COUNT:
        rc = parse_number(text, INT64_C(1000000000000), &n);
        w->count = (uint64_t)n;
        return rc == 0 && n > 0 ? 0 : -ERR_USAGE;
    case WHEN_MODEL:
        return parse_glob(text, w->model);
    default:
        return parse_glob(text, w->path);
    }
}

/* ---- specs ---- */

static const struct fault_setting *setting_of(const struct mock_fault *f, struct slice key) {
    for (unsigned i = 0; i < FAULT_MAX_SETTINGS && f->settings[i].default_text; i++) {
        if (slice_eq(key, slice_cstr(fault_keys[f->settings[i].key].name))) {
            return &f->settings[i];
        }
    }
    return NULL;
}

static int unknown_fault(struct slice name, struct err *e) {
    struct suggestion s;
    suggestion_init(&s, name);
    for (unsigned i = 0; i < fault_count; i++) {
        suggestion_offer(&s, slice_cstr(fault_table[i].name));
    }
    struct slice shown = slice_sub(name, 0, 60);
    if (s.nearest.ptr) {
        return err_set(e, ERR_USAGE, "there is no fault '%.*s': did you mean '%.*s'? See penstock "
                       "mock --list-faults", SLICE_FMT(shown), SLICE_FMT(s.nearest));
    }
    return err_set(e, ERR_USAGE, "there is no fault '%.*s': see penstock mock --list-faults",
                   SLICE_FMT(shown));
}

static int unknown_key(const struct mock_fault *f, struct slice key, bool has_when, struct err *e) {
    struct slice shown = slice_sub(key, 0, 40);
    char list[160];
    size_t len = 0;
    for (unsigned i = 0; i < FAULT_MAX_SETTINGS && f->settings[i].default_text; i++) {
        len += (size_t)snprintf(list + len, sizeof list - len, "%s%s", len ? ", " : "",
                                fault_keys[f->settings[i].key].name);
    }
    for (unsigned i = 0; i < WHEN_KEYS; i++) {
        if (slice_eq(key, slice_cstr(fault_when_keys[i].name)) && !has_when) {
            return err_set(e, ERR_USAGE, "fault '%s': '%.*s' is for faults of the whole provider "
                           "(--fault)", f->name, SLICE_FMT(shown));
        }
        if (has_when) {
            len += (size_t)snprintf(list + len, sizeof list - len, "%s%s", len ? ", " : "",
                                    fault_when_keys[i].name);
        }
    }
    return err_set(e, ERR_USAGE, "fault '%s': there is no parameter '%.*s'; there %s %s", f->name,
                   SLICE_FMT(shown), len ? "are" : "is", len ? list : "none");
}

static int take_pair(struct slice pair, struct fault_use *out, struct fault_when *when,
                     struct err *e) {
    const struct mock_fault *f = out->row;
    ptrdiff_t eq = slice_index(pair, '=');
    struct slice key = slice_trim(eq < 0 ? pair : slice_sub(pair, 0, (size_t)eq));
    struct slice value = eq < 0 ? SLICE_NULL : slice_trim(slice_from(pair, (size_t)eq + 1));
    struct slice shown = slice_sub(value, 0, 40);
    const struct fault_setting *s = setting_of(f, key);
    for (unsigned i = 0; !s && when && i < WHEN_KEYS; i++) {
        if (slice_eq(key, slice_cstr(fault_when_keys[i].name))) {
            return parse_when(i, value, when) == 0 ? 0 :
                   err_set(e, ERR_USAGE, "fault '%s': %s=%.*s: %s is wanted", f->name,
                           fault_when_keys[i].name, SLICE_FMT(shown), wanted_when(i));
        }
    }
    if (!s) {
        return unknown_key(f, key, when != NULL, e);
    }
    return parse_value(s, value, &out->values[s->key]) == 0 ? 0 :
           err_set(e, ERR_USAGE, "fault '%s': %s=%.*s: %s is wanted", f->name, fault_keys[s->key].name,
                   SLICE_FMT(shown), wanted(s));
}

static void set_defaults(struct fault_use *u) {
    for (unsigned i = 0; i < FAULT_MAX_SETTINGS && u->row->settings[i].default_text; i++) {
        const struct fault_setting *s = &u->row->settings[i];
        (void)!parse_value(s, slice_cstr(s->default_text), &u->values[s->key]);
    }
}

static int check_when(const struct fault_use *u, const struct fault_when *w, struct err *e) {
    if (w->period_ns > 0 && (w->duration_ns == 0 || w->duration_ns > w->period_ns)) {
        return err_set(e, ERR_USAGE, "fault '%s': period wants a duration that is shorter",
                       u->row->name);
    }
    return 0;
}

static bool is_text(struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.ptr[i] < ' ') {
            return false;
        }
    }
    return slice_utf8_valid(s) == s.len;
}

int fault_parse(struct slice spec, struct fault_use *out, struct fault_when *when, struct err *e) {
    spec = slice_trim(spec);
    ptrdiff_t colon = slice_index(spec, ':');
    colon = colon < 0 ? slice_index(spec, '?') : colon;
    struct slice name = colon < 0 ? spec : slice_sub(spec, 0, (size_t)colon);
    struct slice rest = colon < 0 ? SLICE_NULL : slice_from(spec, (size_t)colon + 1);
    *out = (struct fault_use){.row = fault_find(slice_trim(name))};
    if (!out->row) {
        return unknown_fault(name, e);
    }
    if (!is_text(spec)) {
        return err_set(e, ERR_USAGE, "fault '%s': a spec is one line of text", out->row->name);
    }
    if (spec.len >= sizeof out->spec) {
        return err_set(e, ERR_USAGE, "fault '%s': a spec has at most %zu bytes", out->row->name,
                       sizeof out->spec - 1);
    }
    memcpy(out->spec, spec.ptr, spec.len);
    set_defaults(out);
    if (when) {
        *when = (struct fault_when){.rate = 1};
    }
    while (rest.len > 0) {
        ptrdiff_t comma = slice_index(rest, ',');
        struct slice pair = comma < 0 ? rest : slice_sub(rest, 0, (size_t)comma);
        int rc = take_pair(pair, out, when, e);
        if (rc < 0) {
            return rc;
        }
        rest = comma < 0 ? SLICE_NULL : slice_from(rest, (size_t)comma + 1);
    }
    return when ? check_when(out, when, e) : 0;
}

int fault_check(struct slice spec, struct mock_options *o, struct arena *a, struct err *e) {
    struct fault_use use;
    struct fault_when when;
    (void)o;
    (void)a;
    return fault_parse(spec, &use, &when, e);
}

/* ---- for people ---- */

static int put_settings(const struct mock_fault *f, const char *open, const char *close,
                        struct buf *out) {
    int rc = 0;
    for (unsigned i = 0; i < FAULT_MAX_SETTINGS && f->settings[i].default_text; i++) {
        const struct fault_setting *s = &f->settings[i];
        rc |= buf_appendf(out, "%s%s%s=%s%s", i ? " " : "", open, fault_keys[s->key].name,
                          s->default_text, close);
    }
    return rc;
}

int fault_list(struct buf *out) {
    int rc = 0;
    for (unsigned i = 0; i < fault_count; i++) {
        const struct mock_fault *f = &fault_table[i];
        rc |= buf_appendf(out, "fault/%-20s %s", f->name, f->description);
        if (f->settings[0].default_text) {
            rc |= buf_append(out, SLICE(" (")) | put_settings(f, "", "", out) |
                  buf_append(out, SLICE(")"));
        }
        rc |= buf_append_byte(out, '\n');
    }
    return rc < 0 ? -ERR_LIMIT : 0;
}

static int put_json(struct buf *out, const char *name, const char *text) {
    int rc = buf_appendf(out, "\"%s\":", name);
    if (!text) {
        return rc | buf_append(out, SLICE("null"));
    }
    return rc | buf_append_byte(out, '"') | json_escape(out, slice_cstr(text)) |
           buf_append_byte(out, '"');
}

static int put_json_settings(const struct mock_fault *f, struct buf *out) {
    int rc = buf_append(out, SLICE("\"parameters\":{"));
    for (unsigned i = 0; i < FAULT_MAX_SETTINGS && f->settings[i].default_text; i++) {
        const struct fault_setting *s = &f->settings[i];
        rc |= buf_appendf(out, "%s\"%s\":{", i ? "," : "", fault_keys[s->key].name) |
              put_json(out, "default", s->default_text) | buf_append_byte(out, ',') |
              put_json(out, "choices", s->choices) | buf_append_byte(out, '}');
    }
    return rc | buf_append_byte(out, '}');
}

int fault_list_json(struct buf *out) {
    int rc = buf_append_byte(out, '[');
    for (unsigned i = 0; i < fault_count; i++) {
        const struct mock_fault *f = &fault_table[i];
        rc |= buf_appendf(out, "%s{", i ? ",\n" : "") | put_json(out, "name", f->name) |
              buf_append_byte(out, ',') | put_json(out, "level", fault_level_names[f->level]) |
              buf_append_byte(out, ',') | put_json_settings(f, out) | buf_append_byte(out, ',') |
              put_json(out, "description", f->description) | buf_append_byte(out, ',') |
              put_json(out, "whole", f->whole ? f->whole : f->description) |
              buf_append_byte(out, ',') | put_json(out, "rule", f->rule) |
              buf_append_byte(out, ',') | put_json(out, "seen", f->seen) |
              buf_append_byte(out, ',') | put_json(out, "seen_whole", f->seen_whole) |
              buf_append_byte(out, ',') | put_json(out, "sdk", f->sdk) |
              buf_append_byte(out, '}');
    }
    rc |= buf_append(out, SLICE("]\n"));
    return rc < 0 ? -ERR_LIMIT : 0;
}

const char *mock_fault_name(unsigned i) {
    return i < fault_count ? fault_table[i].name : NULL;
}

const char *mock_fault_description(unsigned i) {
    return i < fault_count ? fault_table[i].description : NULL;
}
