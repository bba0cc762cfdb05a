/* SPDX-License-Identifier: Apache-2.0 */
#include "config/env.h"

#include <stdlib.h>

#define EXPANDED_BYTES ((size_t)64 * 1024)

static bool is_name_byte(char c, bool is_first) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           (!is_first && c >= '0' && c <= '9');
}

static size_t name_run(struct slice s) {
    size_t n = 0;
    while (n < s.len && is_name_byte(s.ptr[n], n == 0)) n++;
    return n;
}

/* ---- .env ---- */

struct env_reader {
    struct slice text;
    size_t pos;
    unsigned line;
    size_t line_start;
};

static struct place reader_place(const struct env_reader *in, const char *source) {
    return (struct place){source, in->line, (unsigned)(in->pos - in->line_start) + 1, false};
}

static struct slice rest_of(const struct env_reader *in) {
    return slice_from(in->text, in->pos);
}

static bool at_line_end(const struct env_reader *in) {
    return in->pos >= in->text.len || in->text.ptr[in->pos] == '\n';
}

static void skip_blanks(struct env_reader *in) {
    while (!at_line_end(in) && strchr(" \t\r", in->text.ptr[in->pos])) in->pos++;
}

static void next_line(struct env_reader *in) {
    while (!at_line_end(in)) in->pos++;
    in->pos++;
    in->line++;
    in->line_start = in->pos;
}

static char unescape(char c) {
    return c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
}

/* From the opening quote to behind the closing one. False when it never closes. */
static bool read_quoted(struct env_reader *in, struct arena *a, struct slice *out) {
    char quote = in->text.ptr[in->pos++];
    struct buf value;
    buf_init(&value, in->text.len);
    int rc = 0;
    while (in->pos < in->text.len && in->text.ptr[in->pos] != quote) {
        char c = in->text.ptr[in->pos++];
        if (c == '\\' && quote == '"' && in->pos < in->text.len) {
            c = unescape(in->text.ptr[in->pos++]);
        } else if (c == '\n') {
            in->line++;
            in->line_start = in->pos;
        }
        rc |= buf_append_byte(&value, c); /* never full: it may hold the whole text */
    }
    *out = arena_dup(a, buf_slice(&value));
    buf_dispose(&value);
    return rc == 0 && in->pos++ < in->text.len;
}

static struct slice read_bare(struct env_reader *in, struct arena *a) {
    size_t start = in->pos;
    while (!at_line_end(in)) {
        bool is_comment = in->text.ptr[in->pos] == '#' &&
                          (in->pos == start || strchr(" \t", in->text.ptr[in->pos - 1]));
        if (is_comment) break;
        in->pos++;
    }
    size_t end = in->pos;
    while (end > start && strchr(" \t\r", in->text.ptr[end - 1])) end--;
    return arena_dup(a, slice_make(in->text.ptr + start, end - start));
}

/* One assignment at the reader. NULL when all is well, else what is wrong. */
static const char *read_assignment(struct env *e, struct env_reader *in) {
    if (slice_starts_with(rest_of(in), SLICE("export "))) {
        in->pos += 7;
        skip_blanks(in);
    }
    size_t n = name_run(rest_of(in));
    struct slice name = slice_sub(rest_of(in), 0, n), value;
    in->pos += n;
    skip_blanks(in);
    if (n == 0 || at_line_end(in) || in->text.ptr[in->pos] != '=') return "not NAME=VALUE";
    in->pos++;
    skip_blanks(in);
    if (!at_line_end(in) && strchr("'\"", in->text.ptr[in->pos])) {
        if (!read_quoted(in, e->arena, &value)) return "a quote is never closed";
        skip_blanks(in);
        if (!at_line_end(in) && in->text.ptr[in->pos] != '#') return "text behind the closing quote";
    } else {
        value = read_bare(in, e->arena);
    }
    if (value.len > 0 && memchr(value.ptr, '\0', value.len)) return "a NUL character in the value";
    struct env_var *var = arena_alloc(e->arena, sizeof *var);
    *var = (struct env_var){e->vars, arena_dup(e->arena, name), value};
    e->vars = var;
    return NULL;
}

void env_parse_file(struct env *e, struct slice text, const char *source, bool is_strict,
                    struct report *r) {
    struct env_reader in = {.text = text, .line = 1};
    if (slice_starts_with(text, SLICE("\xef\xbb\xbf"))) in.pos = in.line_start = 3;
    e->file = source;
    for (; in.pos < text.len; next_line(&in)) {
        skip_blanks(&in);
        if (at_line_end(&in) || text.ptr[in.pos] == '#') continue;
        struct place at = reader_place(&in, source);
        const char *wrong = read_assignment(e, &in);
        if (!wrong) continue;
        if (is_strict) report_fault(r, at, NULL, "%s", wrong);
        else report_warning(r, at, NULL, "%s: the line is left out", wrong);
    }
}

const char *env_get(const struct env *e, const char *name) {
    const char *value = e->get ? e->get(name) : getenv(name);
    if (value) return value;
    for (const struct env_var *v = e->vars; v; v = v->next) {
        if (slice_eq(v->name, slice_cstr(name))) return v->value.ptr;
    }
    return NULL;
}

/* ---- ${NAME} ---- */

/* The reference whose "${" stands at *pos; moves *pos behind its "}". */
static const char *expand_reference(const struct env *e, struct slice text, size_t *pos,
                                    struct buf *to) {
    struct slice rest = slice_from(text, *pos + 2);
    ptrdiff_t end = slice_index(rest, '}');
    if (end < 0) return "\"${\" without its \"}\"";
    struct slice inside = slice_sub(rest, 0, (size_t)end);
    size_t n = name_run(inside);
    struct slice name = arena_dup(e->arena, slice_sub(inside, 0, n)), after = slice_from(inside, n);
    bool has_default = slice_starts_with(after, SLICE(":-"));
    if (n == 0 || (after.len > 0 && !has_default)) {
        return "\"${...}\" must be ${NAME} or ${NAME:-default}";
    }
    if (has_default && memmem(after.ptr, after.len, "${", 2)) {
        return arena_printf(e->arena, "the default of ${%s} cannot hold another ${...}", name.ptr);
    }
    const char *value = env_get(e, name.ptr);
    if (has_default && (!value || !value[0])) value = NULL;
    if (!value && !has_default) {
        return arena_printf(e->arena,
                            "the environment variable %s is not set (write ${%s:-...} for a default)",
                            name.ptr, name.ptr);
    }
    *pos += 2 + (size_t)end + 1;
    int rc = buf_append(to, value ? slice_cstr(value) : slice_from(after, 2));
    return rc < 0 ? "longer than 64 KiB once its variables are filled in" : NULL;
}

/* One byte or reference at *pos. NULL when all is well, else what is wrong. */
static const char *expand_step(const struct env *e, struct slice text, size_t *pos, struct buf *to,
                               bool *has_reference) {
    char c = text.ptr[*pos], next = *pos + 1 < text.len ? text.ptr[*pos + 1] : '\0';
    if (c == '$' && next == '{') {
        *has_reference = true;
        return expand_reference(e, text, pos, to);
    }
    if (c == '$' && is_name_byte(next, true)) {
        return "a lone \"$\": write ${NAME} for a variable, $$ for a dollar";
    }
    *pos += c == '$' && next == '$' ? 2 : 1;
    return buf_append_byte(to, c) < 0 ? "longer than 64 KiB" : NULL;
}

enum expand_result env_expand(const struct env *e, struct slice text, struct slice *out,
                              const char **out_message) {
    if (slice_index(text, '$') < 0) {
        *out = text;
        return EXPAND_SAME;
    }
    struct buf expanded;
    buf_init(&expanded, EXPANDED_BYTES);
    bool has_reference = false;
    const char *wrong = NULL;
    for (size_t i = 0; i < text.len && !wrong;) {
        wrong = expand_step(e, text, &i, &expanded, &has_reference);
    }
    if (wrong) *out_message = wrong;
    else *out = arena_dup(e->arena, buf_slice(&expanded));
    buf_dispose(&expanded);
    return wrong ? EXPAND_FAILED : has_reference ? EXPAND_DONE : EXPAND_SAME;
}
