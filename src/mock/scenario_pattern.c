/* SPDX-License-Identifier: Apache-2.0 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "mock/scenario_pattern.h"

#include <pcre2.h>

#include "base/buf.h"
#include "base/mem.h"

enum {
    MATCH_STEPS = 1000000,           /* places in the pattern that one test may come by */
    MATCH_HEAP_KIB = 16 << 10,
    NEST_MAX = 100
};

const char *pattern_kind_name(enum pattern_kind k) {
    static const char *const names[] = {"contains", "equals", "glob", "regex"};
    return names[k];
}

/* ---- compiling ---- */

static void *arena_get(size_t bytes, void *arena) {
    return arena_alloc(arena, bytes ? bytes : 1);
}

static void arena_keep(void *memory, void *arena) {
    (void)memory;
    (void)arena;
}

static const char *const glob_letters = "\\.^$|()[]{}*+?";

static int append_letter(struct buf *out, char c) {
    int rc = strchr(glob_letters, c) && c ? buf_append_byte(out, '\\') : 0;
    return rc | buf_append_byte(out, c);
}

/* The class at glob[at] ('['); returns its length, 0 when it is none. */
static size_t append_class(struct buf *out, struct slice glob, size_t at, int *rc) {
    size_t i = at + 1;
    bool negated = i < glob.len && (glob.ptr[i] == '!' || glob.ptr[i] == '^');
    i += negated;
    size_t first = i;
    while (i < glob.len && (glob.ptr[i] != ']' || i == first)) {
        i++;
    }
    if (i >= glob.len) {
        return 0;
    }
    *rc |= buf_append(out, negated ? SLICE("[^") : SLICE("["));
    for (size_t k = first; k < i; k++) {
        bool is_special = strchr("\\[]^", glob.ptr[k]) != NULL;
        *rc |= is_special ? buf_append_byte(out, '\\') : 0;
        *rc |= buf_append_byte(out, glob.ptr[k]);
    }
    *rc |= buf_append_byte(out, ']');
    return i + 1 - at;
}

/* slice_glob knows no case: a glob without it becomes a regex. */
static int append_glob(struct buf *out, struct slice glob) {
    int rc = buf_append(out, SLICE("(?s)"));
    for (size_t i = 0; i < glob.len && rc == 0;) {
        size_t class_len = 0;
        char c = glob.ptr[i];
        if (c == '[' && (class_len = append_class(out, glob, i, &rc)) > 0) {
            i += class_len;
            continue;
        }
        if (c == '\\' && i + 1 < glob.len) {
            c = glob.ptr[++i];
            rc |= append_letter(out, c);
        } else if (c == '*') {
            rc |= buf_append(out, SLICE(".*?"));
        } else {
            rc |= c == '?' ? buf_append_byte(out, '.') : append_letter(out, c);
        }
        i++;
    }
    return rc;
}

static int compile_code(struct slice regex, uint32_t options, struct arena *a, void **out_code,
                        struct err *e) {
    pcre2_general_context *memory = pcre2_general_context_create(arena_get, arena_keep, a);
    pcre2_compile_context *limits = pcre2_compile_context_create(memory);
    int code;
    size_t at;
    pcre2_set_max_pattern_length(limits, (size_t)4 * PATTERN_MAX_BYTES);
    pcre2_set_parens_nest_limit(limits, NEST_MAX);
    *out_code = pcre2_compile((PCRE2_SPTR)(regex.ptr ? regex.ptr : ""), regex.len, options, &code,
                              &at, limits);
    if (*out_code) {
        return 0;
    }
    unsigned char text[160] = "it cannot be compiled";
    (void)pcre2_get_error_message(code, text, sizeof text);
    return err_set(e, ERR_USAGE, "not a regular expression: %s, at character %zu", (char *)text,
                   at + 1);
}

static int compile_caseless_glob(struct pattern *p, struct arena *a, struct err *e) {
    struct buf regex;
    buf_init(&regex, (size_t)4 * PATTERN_MAX_BYTES);
    int rc = append_glob(&regex, p->text);
    rc = rc < 0 ? err_set(e, ERR_USAGE, "the pattern is too long")
                : compile_code(buf_slice(&regex),
                               PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_CASELESS |
                                   PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_AUTO_CALLOUT |
                                   PCRE2_DOLLAR_ENDONLY,
                               a, &p->code, e);
    buf_dispose(&regex);
    return rc;
}

/* Neither \C (half a character) nor patterns that change what they are bounded by. */
#define REGEX_OPTIONS                                                                              \
    (PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_AUTO_CALLOUT | PCRE2_NEVER_BACKSLASH_C)

int pattern_compile(enum pattern_kind kind, struct slice text, bool ignore_case, struct arena *a,
                    struct pattern *out, struct err *e) {
    uint32_t caseless = ignore_case ? PCRE2_CASELESS : 0;
    *out = (struct pattern){.kind = kind, .ignore_case = ignore_case, .text = text};
    bool is_literal = kind == PATTERN_CONTAINS || kind == PATTERN_EQUALS;
    if (is_literal && !ignore_case) {
        return 0;
    }
    if (text.len > PATTERN_MAX_BYTES) {
        return err_set(e, ERR_USAGE, "longer than %d bytes", PATTERN_MAX_BYTES);
    }
    if (kind == PATTERN_GLOB && !ignore_case) {
        return 0;
    }
    switch (kind) {
    case PATTERN_GLOB:
        return compile_caseless_glob(out, a, e);
    case PATTERN_REGEX:
        return compile_code(text, REGEX_OPTIONS | caseless, a, &out->code, e);
    case PATTERN_CONTAINS:
    case PATTERN_EQUALS:
    default:
        return compile_code(text,
                            PCRE2_LITERAL | PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | caseless |
                                (kind == PATTERN_EQUALS ? PCRE2_ANCHORED | PCRE2_ENDANCHORED : 0),
                            a, &out->code, e);
    }
}

/* ---- testing ---- */

/* PCRE2's own limit counts from anew at each place where a match may begin; this one does not. */
static int count_step(pcre2_callout_block *block, void *steps) {
    (void)block;
    uint32_t *left = steps;
    return (*left)-- == 0 ? PCRE2_ERROR_MATCHLIMIT : 0;
}

static enum pattern_result test_code(const pcre2_code *code, struct slice subject) {
    uint32_t steps = MATCH_STEPS;
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    if (!limits || !match) {
        mem_exhausted(sizeof steps);
    }
    pcre2_set_match_limit(limits, MATCH_STEPS);
    pcre2_set_heap_limit(limits, MATCH_HEAP_KIB);
    pcre2_set_callout(limits, count_step, &steps);
    int rc = pcre2_match(code, (PCRE2_SPTR)(subject.ptr ? subject.ptr : ""), subject.len, 0, 0,
                         match, limits);
    pcre2_match_data_free(match);
    pcre2_match_context_free(limits);
    return rc >= 0 ? PATTERN_FITS : rc == PCRE2_ERROR_NOMATCH ? PATTERN_MISSES : PATTERN_TOO_COSTLY;
}

enum pattern_result pattern_test(const struct pattern *p, struct slice subject) {
    bool fits;
    if (p->code) {
        return test_code(p->code, subject);
    }
    switch (p->kind) {
    case PATTERN_EQUALS:
        fits = slice_eq(p->text, subject);
        break;
    case PATTERN_GLOB:
        fits = slice_glob(p->text, subject);
        break;
    case PATTERN_CONTAINS:
    case PATTERN_REGEX:
    default:
        fits = p->text.len == 0 ||
               (subject.len && memmem(subject.ptr, subject.len, p->text.ptr, p->text.len));
        break;
    }
    return fits ? PATTERN_FITS : PATTERN_MISSES;
}
