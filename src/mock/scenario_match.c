/* SPDX-License-Identifier: Apache-2.0 */
/* Does a request meet the conditions? One row a kind of condition. */
#include <inttypes.h>
#include <stdio.h>

#include "mock/scenario-private.h"

enum { SHOWN_BYTES = 120 };

/* ---- texts against patterns ---- */

static enum pattern_result test_patterns(const struct patterns *ps, struct slice text) {
    enum pattern_result best = ps->n ? PATTERN_MISSES : PATTERN_FITS;
    for (unsigned i = 0; i < ps->n && best != PATTERN_FITS; i++) {
        enum pattern_result r = pattern_test(&ps->items[i], text);
        best = r == PATTERN_MISSES ? best : r;
    }
    return best;
}

static bool fits(const struct condition *c, struct slice text) {
    return test_patterns(&c->patterns, text) == PATTERN_FITS;
}

static bool has_word(const struct condition *c, unsigned i) {
    return c->words >> i & 1;
}

/* ---- the conditions ---- */

static unsigned dialect_number(const struct dialect *d) {
    static const struct dialect *const order[] = {&dialect_chat, &dialect_completions,
                                                  &dialect_responses, &dialect_messages};
    for (unsigned i = 0; i < 4; i++) {
        if (order[i] == d) {
            return i;
        }
    }
    return 0;
}

static bool test_dialect(const struct condition *c, const struct judge *j) {
    return has_word(c, dialect_number(j->view->in->dialect));
}

static int got_dialect(const struct condition *c, const struct judge *j, struct buf *out) {
    (void)c;
    return buf_append(out, slice_cstr(j->view->in->dialect->name));
}

static int show(struct buf *out, struct slice text) {
    struct slice head = slice_sub(text, 0, SHOWN_BYTES);
    if (head.len < text.len) {
        head = slice_sub(head, 0, slice_utf8_valid(head));
    }
    int rc = buf_append_byte(out, '"');
    for (size_t i = 0; i < head.len && rc == 0; i++) {
        unsigned char ch = (unsigned char)head.ptr[i];
        rc |= ch == '\n' ? buf_append(out, SLICE("\\n"))
              : ch == '"' || ch == '\\' ? buf_appendf(out, "\\%c", ch)
              : ch < 0x20 || ch == 0x7f ? buf_append_byte(out, '?')
                                        : buf_append_byte(out, (char)ch);
    }
    rc |= buf_append_byte(out, '"');
    return head.len < text.len ? rc | buf_appendf(out, "… (%zu bytes)", text.len) : rc;
}

static bool test_model(const struct condition *c, const struct judge *j) {
    return fits(c, j->view->in->rq->env.model);
}

static int got_model(const struct condition *c, const struct judge *j, struct buf *out) {
    (void)c;
    return show(out, j->view->in->rq->env.model);
}

static bool test_role(const struct condition *c, const struct judge *j) {
    const struct message *last = view_last(j->view);
    return last && has_word(c, (unsigned)last->role);
}

static int got_role(const struct condition *c, const struct judge *j, struct buf *out) {
    const struct message *last = view_last(j->view);
    return buf_append(out, last ? choice_word(c->choices, (unsigned)last->role)
                                : SLICE("no message"));
}

static int show_tested(const struct condition *c, struct slice text, struct buf *out) {
    int rc = show(out, text);
    bool costly = test_patterns(&c->patterns, text) == PATTERN_TOO_COSTLY;
    return costly ? rc | buf_append(out, SLICE(", on which the regex took too many steps and was "
                                               "given up"))
                  : rc;
}

static bool test_user(const struct condition *c, const struct judge *j) {
    return fits(c, view_user(j->view));
}

static int got_user(const struct condition *c, const struct judge *j, struct buf *out) {
    return show_tested(c, view_user(j->view), out);
}

static bool test_message(const struct condition *c, const struct judge *j) {
    for (const struct message *m = j->view->in->rq->messages; m; m = m->next) {
        if (fits(c, view_message_text(j->view, m))) {
            return true;
        }
    }
    return false;
}

static int got_message(const struct condition *c, const struct judge *j, struct buf *out) {
    int rc = buf_appendf(out, "%u messages, none like it, the last one ",
                         j->view->in->rq->n_messages);
    const struct message *last = view_last(j->view);
    return rc | show_tested(c, last ? view_message_text(j->view, last) : SLICE(""), out);
}

static bool test_system(const struct condition *c, const struct judge *j) {
    return fits(c, view_system(j->view));
}

static int got_system(const struct condition *c, const struct judge *j, struct buf *out) {
    return show_tested(c, view_system(j->view), out);
}

static bool test_tool(const struct condition *c, const struct judge *j) {
    for (const struct tool *t = j->view->in->rq->tools; t; t = t->next) {
        if (fits(c, t->name.len ? t->name : t->type)) {
            return true;
        }
    }
    return false;
}

static int got_tool(const struct condition *c, const struct judge *j, struct buf *out) {
    const struct tool *t = j->view->in->rq->tools;
    int rc = t ? 0 : buf_append(out, SLICE("no tools"));
    (void)c;
    for (unsigned i = 0; t && i < 8; t = t->next, i++) {
        rc |= i ? buf_append(out, SLICE(", ")) : 0;
        rc |= show(out, t->name.len ? t->name : t->type);
    }
    return t ? rc | buf_append(out, SLICE(", …")) : rc;
}

static struct slice part_text(struct view *v, const struct part *p) {
    struct part one = *p;
    struct message m = {.role = ROLE_TOOL, .parts = &one, .n_parts = 1};
    return view_message_text(v, &m);
}

static bool has_result(const struct condition *c, const struct judge *j) {
    struct view *v = j->view;
    const struct message *m = c->is_anywhere ? v->in->rq->messages : view_news(v);
    for (; m; m = m->next) {
        for (unsigned i = 0; i < m->n_parts; i++) {
            const struct part *p = &m->parts[i];
            if (p->kind == PART_TOOL_RESULT &&
                test_patterns(&c->result_of, view_result_tool(v, m, p)) == PATTERN_FITS &&
                fits(c, part_text(v, p))) {
                return true;
            }
        }
    }
    return false;
}

static bool test_result(const struct condition *c, const struct judge *j) {
    return has_result(c, j) == c->flag;
}

static int got_result(const struct condition *c, const struct judge *j, struct buf *out) {
    struct slice result = view_result(j->view);
    if (c->is_anywhere || !result.ptr) {
        return buf_append(out, c->flag ? SLICE("no such result") : SLICE("such a result"));
    }
    return show_tested(c, result, out);
}

static bool test_image(const struct condition *c, const struct judge *j) {
    return view_has_image(j->view) == c->flag;
}

static int got_image(const struct condition *c, const struct judge *j, struct buf *out) {
    (void)j;
    return buf_append(out, c->flag ? SLICE("no image") : SLICE("an image"));
}

static unsigned format_number(const struct llm_request *rq) {
    switch (rq->format.kind) {
    case FORMAT_JSON_OBJECT:
        return 1;
    case FORMAT_JSON_SCHEMA:
        return 2;
    case FORMAT_OTHER:
        return 3;
    case FORMAT_UNSET:
    case FORMAT_TEXT:
    default:
        return 0;
    }
}

static bool test_format(const struct condition *c, const struct judge *j) {
    return has_word(c, format_number(j->view->in->rq));
}

static int got_format(const struct condition *c, const struct judge *j, struct buf *out) {
    return buf_append(out, choice_word(c->choices, format_number(j->view->in->rq)));
}

static bool test_schema(const struct condition *c, const struct judge *j) {
    const struct output_format *f = &j->view->in->rq->format;
    return f->kind == FORMAT_JSON_SCHEMA && fits(c, f->name);
}

static int got_schema(const struct condition *c, const struct judge *j, struct buf *out) {
    const struct output_format *f = &j->view->in->rq->format;
    (void)c;
    return f->kind == FORMAT_JSON_SCHEMA ? show(out, f->name) : buf_append(out, SLICE("no schema"));
}

static bool test_stream(const struct condition *c, const struct judge *j) {
    return j->view->in->rq->env.stream == c->flag;
}

static int got_stream(const struct condition *c, const struct judge *j, struct buf *out) {
    (void)c;
    return buf_append(out, j->view->in->rq->env.stream ? SLICE("true") : SLICE("false"));
}

static bool test_header(const struct condition *c, const struct judge *j) {
    const struct http_headers *h = j->view->in->headers;
    for (unsigned i = 0; i < h->count; i++) {
        if (slice_eq_nocase(h->items[i].name, c->header) && fits(c, h->items[i].value)) {
            return true;
        }
    }
    return false;
}

/* Values of credentials are nobody's business. */
static bool is_secret_header(struct slice name) {
    return slice_eq_nocase(name, SLICE("authorization")) ||
           slice_eq_nocase(name, SLICE("x-api-key")) || slice_eq_nocase(name, SLICE("api-key")) ||
           slice_eq_nocase(name, SLICE("cookie"));
}

static int got_header(const struct condition *c, const struct judge *j, struct buf *out) {
    struct slice value = http_headers_get(j->view->in->headers, c->header);
    if (!value.ptr) {
        return buf_append(out, SLICE("no such header"));
    }
    return is_secret_header(c->header) ? buf_append(out, SLICE("another value"))
                                       : show_tested(c, value, out);
}

static bool test_path(const struct condition *c, const struct judge *j) {
    return fits(c, j->view->in->path);
}

static int got_path(const struct condition *c, const struct judge *j, struct buf *out) {
    (void)c;
    return show(out, j->view->in->path);
}

static bool test_session(const struct condition *c, const struct judge *j) {
    return fits(c, j->view->in->session);
}

static int got_session(const struct condition *c, const struct judge *j, struct buf *out) {
    struct slice session = j->view->in->session;
    (void)c;
    return session.len ? show(out, session) : buf_append(out, SLICE("no session"));
}

static bool in_ranges(const struct condition *c, int64_t n) {
    for (unsigned i = 0; i < c->n_ranges; i++) {
        if (n >= c->ranges[i].first && n <= c->ranges[i].last) {
            return true;
        }
    }
    return false;
}

static bool test_turn(const struct condition *c, const struct judge *j) {
    return in_ranges(c, view_turn(j->view));
}

static int got_turn(const struct condition *c, const struct judge *j, struct buf *out) {
    (void)c;
    return buf_appendf(out, "%" PRId64, view_turn(j->view));
}

static bool test_call(const struct condition *c, const struct judge *j) {
    return in_ranges(c, (int64_t)j->call);
}

static int got_call(const struct condition *c, const struct judge *j, struct buf *out) {
    (void)c;
    return buf_appendf(out, "%" PRIu64, j->call);
}

static double draw(const struct condition *c, const struct judge *j) {
    struct rng r;
    char use[48];
    snprintf(use, sizeof use, "probability %u:%u", c->at.line, c->at.column);
    scenario_rng(&r, j->view->in, j->scenario, use);
    return rng_unit(&r);
}

static bool test_probability(const struct condition *c, const struct judge *j) {
    return draw(c, j) < c->probability;
}

static int got_probability(const struct condition *c, const struct judge *j, struct buf *out) {
    return buf_appendf(out, "the draw %.4f", draw(c, j));
}

static int got_group(const struct condition *c, const struct judge *j, struct buf *out) {
    (void)j;
    return buf_append(out, c->kind == MATCH_NOT ? SLICE("all of these hold")
                                                : SLICE("none of these holds"));
}

static const struct {
    bool (*test)(const struct condition *c, const struct judge *j);
    int (*got)(const struct condition *c, const struct judge *j, struct buf *out);
} kinds[MATCH_KIND_COUNT] = {
    [MATCH_DIALECT] = {test_dialect, got_dialect},
    [MATCH_MODEL] = {test_model, got_model},
    [MATCH_ROLE] = {test_role, got_role},
    [MATCH_USER] = {test_user, got_user},
    [MATCH_MESSAGE] = {test_message, got_message},
    [MATCH_SYSTEM] = {test_system, got_system},
    [MATCH_TOOL] = {test_tool, got_tool},
    [MATCH_TOOL_RESULT] = {test_result, got_result},
    [MATCH_IMAGE] = {test_image, got_image},
    [MATCH_FORMAT] = {test_format, got_format},
    [MATCH_SCHEMA] = {test_schema, got_schema},
    [MATCH_STREAM] = {test_stream, got_stream},
    [MATCH_HEADER] = {test_header, got_header},
    [MATCH_PATH] = {test_path, got_path},
    [MATCH_SESSION] = {test_session, got_session},
    [MATCH_TURN] = {test_turn, got_turn},
    [MATCH_CALL] = {test_call, got_call},
    [MATCH_PROBABILITY] = {test_probability, got_probability},
    [MATCH_NOT] = {NULL, got_group},
    [MATCH_ANY_OF] = {NULL, got_group},
};

/* ---- judging ---- */

static enum truth judge_any(const struct condition *c, const struct judge *j) {
    enum truth best = TRUTH_NO;
    for (const struct scenario_match *m = c->groups; m && best != TRUTH_YES; m = m->next) {
        enum truth t = match_judge(m, j);
        best = t > best ? t : best;
    }
    return best;
}

enum truth condition_judge(const struct condition *c, const struct judge *j) {
    switch (c->kind) {
    case MATCH_NOT:
        return (enum truth)(TRUTH_YES - match_judge(c->groups, j));
    case MATCH_ANY_OF:
        return judge_any(c, j);
    case MATCH_CALL:
        if (j->call == 0) {
            return TRUTH_MAYBE;
        }
        break;
    default:
        break;
    }
    return kinds[c->kind].test(c, j) ? TRUTH_YES : TRUTH_NO;
}

enum truth match_judge(const struct scenario_match *m, const struct judge *j) {
    enum truth all = TRUTH_YES;
    for (const struct condition *c = m->first; c && all != TRUTH_NO; c = c->next) {
        enum truth t = condition_judge(c, j);
        all = t < all ? t : all;
    }
    return all;
}

/* ---- in words ---- */

static int write_patterns(const struct patterns *ps, struct buf *out) {
    int rc = 0;
    for (unsigned i = 0; i < ps->n && i < 5; i++) {
        const struct pattern *p = &ps->items[i];
        rc |= i ? buf_append(out, SLICE(" or ")) : 0;
        rc |= buf_appendf(out, "%s ", pattern_kind_name(p->kind)) | show(out, p->text);
        rc |= p->ignore_case ? buf_append(out, SLICE(" without case")) : 0;
    }
    return ps->n > 5 ? rc | buf_append(out, SLICE(" or …")) : rc;
}

static int write_words(const struct condition *c, struct buf *out) {
    int rc = 0;
    struct slice word;
    bool any = false;
    for (unsigned i = 0; (word = choice_word(c->choices, i)).ptr; i++) {
        if (has_word(c, i)) {
            rc |= any ? buf_append(out, SLICE(" or ")) : 0;
            rc |= buf_append(out, word);
            any = true;
        }
    }
    return rc;
}

static int write_ranges(const struct condition *c, struct buf *out) {
    int rc = 0;
    for (unsigned i = 0; i < c->n_ranges && i < 5; i++) {
        const struct range *r = &c->ranges[i];
        rc |= i ? buf_append(out, SLICE(" or ")) : 0;
        rc |= buf_appendf(out, "%" PRId64, r->first);
        rc |= r->last == INT64_MAX ? buf_append(out, SLICE(" or more"))
              : r->last > r->first ? buf_appendf(out, " to %" PRId64, r->last)
                                   : 0;
    }
    return rc;
}

static int write_group(const struct scenario_match *m, struct buf *out) {
    int rc = 0;
    for (const struct condition *c = m->first; c && rc == 0; c = c->next) {
        rc |= c == m->first ? 0 : buf_append(out, SLICE(" and "));
        rc |= buf_appendf(out, "%s ", c->name) | condition_wanted(c, out);
    }
    return rc;
}

static int write_groups(const struct condition *c, struct buf *out) {
    int rc = buf_append(out, c->kind == MATCH_NOT ? SLICE("not (") : SLICE("("));
    for (const struct scenario_match *m = c->groups; m && rc == 0; m = m->next) {
        rc |= m == c->groups ? 0 : buf_append(out, SLICE(") or ("));
        rc |= write_group(m, out);
    }
    return rc | buf_append_byte(out, ')');
}

static int write_result(const struct condition *c, struct buf *out) {
    int rc = buf_append(out, c->flag ? SLICE("a result") : SLICE("no result"));
    if (c->result_of.n) {
        rc |= buf_append(out, SLICE(" of a tool like ")) | write_patterns(&c->result_of, out);
    }
    if (c->patterns.n) {
        rc |= buf_append(out, SLICE(" that ")) | write_patterns(&c->patterns, out);
    }
    return rc;
}

int condition_wanted(const struct condition *c, struct buf *out) {
    switch (c->kind) {
    case MATCH_DIALECT:
    case MATCH_ROLE:
    case MATCH_FORMAT:
        return write_words(c, out);
    case MATCH_IMAGE:
    case MATCH_STREAM:
        return buf_append(out, c->flag ? SLICE("true") : SLICE("false"));
    case MATCH_TURN:
    case MATCH_CALL:
        return write_ranges(c, out);
    case MATCH_PROBABILITY:
        return buf_appendf(out, "a draw below %g", c->probability);
    case MATCH_NOT:
    case MATCH_ANY_OF:
        return write_groups(c, out);
    case MATCH_TOOL_RESULT:
        return write_result(c, out);
    case MATCH_HEADER:
        return show(out, c->header) | buf_append_byte(out, ' ') | write_patterns(&c->patterns, out);
    default:
        return write_patterns(&c->patterns, out);
    }
}

int condition_got(const struct condition *c, const struct judge *j, struct buf *out) {
    return kinds[c->kind].got(c, j, out);
}

static int write_failed(const struct condition *c, const struct judge *j, struct buf *out) {
    int rc = buf_appendf(out, "%s: wanted ", c->name) | condition_wanted(c, out);
    return rc | buf_append(out, SLICE(", got ")) | condition_got(c, j, out) |
           buf_append_byte(out, '\n');
}

bool scenario_match_test(const struct scenario_match *m, const struct scenario_request *in,
                         struct buf *why_not) {
    struct view v = {.in = in, .arena = arena_new()};
    const struct judge j = {.view = &v, .call = 1};
    bool holds = match_judge(m, &j) == TRUTH_YES;
    for (const struct condition *c = m->first; c && why_not && !holds; c = c->next) {
        if (condition_judge(c, &j) != TRUTH_YES && write_failed(c, &j, why_not) < 0) {
            break;                   /* full: more lines would not be read anyway */
        }
    }
    arena_free(v.arena);
    return holds;
}
