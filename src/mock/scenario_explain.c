/* SPDX-License-Identifier: Apache-2.0 */
/* Why this scenario, and not that one: the search again, without counting. */
#include <inttypes.h>

#include "dialect/json_write.h"
#include "mock/scenario_state.h"

enum { TELL_BYTES = 8192 };

enum outcome { OUTCOME_MATCHED, OUTCOME_CONTINUED, OUTCOME_MISSED, OUTCOME_USED_UP, OUTCOME_ENDED,
               OUTCOME_SESSION, OUTCOME_NOT_REACHED };

/* One scenario against the request. */
struct verdict {
    const struct scenario *scenario;
    const struct pushed *pushed;     /* NULL: of a file */
    enum outcome outcome;
    unsigned held, of;
    struct judge judge;
};

struct verdicts {
    struct verdict *items;
    unsigned n;
    const struct verdict *matched, *nearest;
    struct view view;
};

/* ---- judging ---- */

static struct verdict judge(struct verdicts *vs, const struct scenario_state *st,
                            const struct scenario *s, const struct pushed *p) {
    struct slice key = p ? slice_cstr(p->key) : s->name;
    const struct tally *t = tally_look(st, key, vs->view.in->session);
    struct tally_counts mine = t ? t->counts : (struct tally_counts){0, 0};
    struct verdict v = {.scenario = s, .pushed = p, .of = s->match->n,
                        .judge = {&vs->view, mine.matched + 1, s->name}};
    for (const struct condition *c = s->match->first; c; c = c->next) {
        v.held += condition_judge(c, &v.judge) == TRUTH_YES;
    }
    bool is_used_up = s->has_times && s->times != SCENARIO_FOREVER && !p &&
                      tally_total(st, key).answered >= (uint64_t)s->times;
    bool has_ended = s->is_script && s->after == AFTER_FALL_THROUGH &&
                     mine.answered >= s->n_responses;
    bool is_other = p && p->session && !slice_eq(slice_cstr(p->session), vs->view.in->session);
    v.outcome = v.held < v.of ? OUTCOME_MISSED
                : is_other    ? OUTCOME_SESSION
                : is_used_up  ? OUTCOME_USED_UP
                : has_ended   ? OUTCOME_ENDED
                : s->is_continued ? OUTCOME_CONTINUED
                                  : OUTCOME_MATCHED;
    return v;
}

static bool is_nearer(const struct verdict *a, const struct verdict *b) {
    return !b || a->held > b->held || (a->held == b->held && a->of < b->of);
}

static void add(struct verdicts *vs, struct verdict v) {
    struct verdict *kept = &vs->items[vs->n++];
    *kept = v;
    if (vs->matched) {
        kept->outcome = OUTCOME_NOT_REACHED;
    } else if (v.outcome == OUTCOME_MATCHED) {
        vs->matched = kept;
    } else if (v.outcome != OUTCOME_CONTINUED && is_nearer(kept, vs->nearest)) {
        vs->nearest = kept;
    }
}

/* Under the state's lock, and what it gives is used there. */
static void judge_all(struct verdicts *vs, const struct scenario_set *set,
                      const struct scenario_state *st, const struct scenario_request *in,
                      struct arena *a) {
    *vs = (struct verdicts){.view = {.in = in, .arena = a}};
    vs->items = arena_alloc(a, sizeof *vs->items * (st->n_pushed + scenario_set_count(set) + 1));
    for (const struct pushed *p = st->pushed; p; p = p->next) {
        add(vs, judge(vs, st, p->scenario, p));
    }
    for (unsigned i = 0; i < scenario_set_count(set); i++) {
        add(vs, judge(vs, st, set->items[i], NULL));
    }
}

static const char *place_of(const struct verdict *v) {
    return v->pushed ? "pushed" : v->scenario->place;
}

static const char *const outcome_names[] = {"matched", "continued", "missed", "used up",
                                            "script ended", "other session", "not reached"};

/* Of all that the scenario may answer. */
static unsigned kinds_of(const struct response *r) {
    unsigned kinds = 0;
    for (const struct block *b = r->blocks; b; b = b->next) {
        kinds |= 1u << b->kind;
    }
    for (unsigned i = 0; i < r->n_choices; i++) {
        kinds |= kinds_of(&r->choices[i]);
    }
    return kinds;
}

static const char *left_out(const struct verdicts *vs, unsigned *io_at) {
    unsigned kinds = 0;
    for (unsigned i = 0; vs->matched && i < vs->matched->scenario->n_responses; i++) {
        kinds |= kinds_of(&vs->matched->scenario->responses[i]);
    }
    return script_left_out(kinds, vs->view.in->dialect, io_at);
}

/* ---- JSON ---- */

static void write_told(struct json_writer *w, struct slice name,
                       int (*tell)(const struct condition *c, const struct judge *j,
                                   struct buf *out),
                       const struct condition *c, const struct judge *j) {
    struct buf text;
    buf_init(&text, TELL_BYTES);
    int rc = tell(c, j, &text);
    (void)rc;                        /* a longer one is cut */
    jw(w, SLICE(",\""));
    jw(w, name);
    jw(w, SLICE("\":"));
    jw_string(w, buf_slice(&text));
    buf_dispose(&text);
}

static int tell_wanted(const struct condition *c, const struct judge *j, struct buf *out) {
    (void)j;
    return condition_wanted(c, out);
}

static void write_failed(struct json_writer *w, const struct verdict *v) {
    bool any = false;
    jw(w, SLICE(",\"failed\":["));
    for (const struct condition *c = v->scenario->match->first; c; c = c->next) {
        if (condition_judge(c, &v->judge) == TRUTH_YES) {
            continue;
        }
        jw(w, any ? SLICE(",{\"condition\":") : SLICE("{\"condition\":"));
        jw_string(w, slice_cstr(c->name));
        jw(w, SLICE(",\"line\":"));
        jw_int(w, c->at.line);
        jw(w, SLICE(",\"column\":"));
        jw_int(w, c->at.column);
        write_told(w, SLICE("wanted"), tell_wanted, c, &v->judge);
        write_told(w, SLICE("got"), condition_got, c, &v->judge);
        jw(w, SLICE("}"));
        any = true;
    }
    jw(w, SLICE("]"));
}

static void write_verdict(struct json_writer *w, const struct verdict *v) {
    jw(w, SLICE("{\"name\":"));
    jw_string(w, v->scenario->name);
    jw(w, SLICE(",\"place\":"));
    jw_string(w, slice_cstr(place_of(v)));
    jw(w, SLICE(",\"outcome\":"));
    jw_string(w, slice_cstr(outcome_names[v->outcome]));
    jw(w, SLICE(",\"held\":"));
    jw_int(w, v->held);
    jw(w, SLICE(",\"of\":"));
    jw_int(w, v->of);
    if (v->outcome == OUTCOME_MISSED) {
        write_failed(w, v);
    }
    jw(w, SLICE("}"));
}

static void write_left_out(struct json_writer *w, const struct verdicts *vs) {
    const char *name;
    unsigned at = 0, n = 0;
    jw(w, SLICE(",\"left_out\":["));
    while ((name = left_out(vs, &at)) != NULL) {
        jw(w, n++ ? SLICE(",") : SLICE(""));
        jw_string(w, slice_cstr(name));
    }
    jw(w, SLICE("]"));
}

static void write_json(struct json_writer *w, const struct verdicts *vs) {
    bool any = false;
    jw(w, SLICE("{\"matched\":"));
    if (vs->matched) {
        jw_string(w, vs->matched->scenario->name);
        jw(w, SLICE(",\"place\":"));
        jw_string(w, slice_cstr(place_of(vs->matched)));
    } else {
        jw(w, SLICE("null,\"place\":null"));
    }
    jw(w, SLICE(",\"continued\":["));
    for (unsigned i = 0; i < vs->n; i++) {
        if (vs->items[i].outcome == OUTCOME_CONTINUED) {
            jw(w, any ? SLICE(",") : SLICE(""));
            jw_string(w, vs->items[i].scenario->name);
            any = true;
        }
    }
    jw(w, SLICE("],\"nearest\":"));
    if (!vs->matched && vs->nearest) {
        write_verdict(w, vs->nearest);
    } else {
        jw(w, SLICE("null"));
    }
    write_left_out(w, vs);
    jw(w, SLICE(",\"scenarios\":["));
    for (unsigned i = 0; i < vs->n; i++) {
        jw(w, i ? SLICE(",") : SLICE(""));
        write_verdict(w, &vs->items[i]);
    }
    jw(w, SLICE("]}\n"));
}

int scenario_explain_json(const struct scenario_set *set, struct scenario_state *st,
                          const struct scenario_request *in, struct buf *out) {
    struct arena *a = arena_new();
    struct verdicts vs;
    struct json_writer w = jw_begin(out);
    pthread_mutex_lock(&st->lock);
    judge_all(&vs, set, st, in, a);
    write_json(&w, &vs);
    pthread_mutex_unlock(&st->lock);
    arena_free(a);
    return jw_end(&w);
}

/* ---- text ---- */

static int tell_failed(const struct verdict *v, const char *indent, struct buf *out) {
    int rc = 0;
    for (const struct condition *c = v->scenario->match->first; c && rc == 0; c = c->next) {
        if (condition_judge(c, &v->judge) == TRUTH_YES) {
            continue;
        }
        rc |= buf_appendf(out, "%s%s", indent, c->name);
        rc |= v->pushed ? 0 : buf_appendf(out, " (line %u, column %u)", c->at.line, c->at.column);
        rc |= buf_append(out, SLICE(": wanted ")) | condition_wanted(c, out);
        rc |= buf_append(out, SLICE(", got ")) | condition_got(c, &v->judge, out);
        rc |= buf_append_byte(out, '\n');
    }
    return rc;
}

static int tell_scenario(const struct verdict *v, struct buf *out) {
    return buf_appendf(out, "%.*s (%s)", SLICE_FMT(v->scenario->name), place_of(v));
}

static int tell_nearest(const struct verdict *v, struct buf *out) {
    int rc = buf_append(out, SLICE("nearest: ")) | tell_scenario(v, out);
    if (v->outcome == OUTCOME_MISSED) {
        rc |= buf_appendf(out, ", %u of %u conditions hold\n", v->held, v->of);
        return rc | tell_failed(v, "  ", out);
    }
    return rc | buf_appendf(out, ", all conditions hold, but: %s\n", outcome_names[v->outcome]);
}

static int tell_other(const struct verdict *v, struct buf *out) {
    int rc = buf_append(out, SLICE("  ")) | tell_scenario(v, out);
    if (v->outcome != OUTCOME_MISSED) {
        return rc | buf_appendf(out, ": %s\n", outcome_names[v->outcome]);
    }
    rc |= buf_appendf(out, ": %u of %u\n", v->held, v->of);
    return rc | tell_failed(v, "    ", out);
}

static int tell_request(const struct scenario_request *in, struct view *view, struct buf *out) {
    struct slice user = slice_sub(view_user(view), 0, 80);
    user = slice_sub(user, 0, slice_utf8_valid(user));
    ptrdiff_t line_end = slice_index(user, '\n');
    user = line_end < 0 ? user : slice_sub(user, 0, (size_t)line_end);
    int rc = buf_appendf(out, "request: %s, model %.*s, turn %" PRId64, in->dialect->name,
                         SLICE_FMT(in->rq->env.model), view_turn(view));
    rc |= in->session.len ? buf_appendf(out, ", session %.*s", SLICE_FMT(in->session)) : 0;
    return rc | buf_appendf(out, ", user \"%.*s\"\n", SLICE_FMT(user));
}

static int tell_others(const struct verdicts *vs, struct buf *out) {
    const struct verdict *told = vs->matched ? vs->matched : vs->nearest;
    unsigned behind = 0, n = 0;
    int rc = 0;
    for (unsigned i = 0; i < vs->n && rc == 0; i++) {
        const struct verdict *v = &vs->items[i];
        behind += v->outcome == OUTCOME_NOT_REACHED;
        if (v != told && v->outcome != OUTCOME_NOT_REACHED) {
            rc |= n++ == 0 ? buf_append(out, SLICE("the others:\n")) : 0;
            rc |= tell_other(v, out);
        }
    }
    return behind ? rc | buf_appendf(out, "not reached: %u behind it\n", behind) : rc;
}

static int tell_left_out(const struct verdicts *vs, struct buf *out) {
    const char *name;
    unsigned at = 0, n = 0;
    int rc = 0;
    while ((name = left_out(vs, &at)) != NULL) {
        rc |= buf_appendf(out, "%s%s", n++ ? ", " : "left out: ", name);
    }
    return n ? rc | buf_appendf(out, ", which %s has no place for\n", vs->view.in->dialect->name) : rc;
}

static int tell(struct verdicts *vs, struct buf *out) {
    int rc = tell_request(vs->view.in, &vs->view, out);
    if (vs->matched) {
        rc |= buf_append(out, SLICE("matched: ")) | tell_scenario(vs->matched, out) |
              buf_append_byte(out, '\n') | tell_left_out(vs, out);
    } else {
        rc |= buf_append(out, SLICE("nothing matched: the generator answers\n"));
        rc |= vs->nearest ? tell_nearest(vs->nearest, out) : 0;
    }
    return rc | tell_others(vs, out);
}

int scenario_explain_text(const struct scenario_set *set, struct scenario_state *st,
                          const struct scenario_request *in, struct buf *out) {
    struct arena *a = arena_new();
    struct verdicts vs;
    pthread_mutex_lock(&st->lock);
    judge_all(&vs, set, st, in, a);
    int rc = tell(&vs, out);
    pthread_mutex_unlock(&st->lock);
    arena_free(a);
    return rc;
}

/* ---- lists ---- */

static void write_counts(struct json_writer *w, struct tally_counts n) {
    jw(w, SLICE(",\"matched\":"));
    jw_int(w, (int64_t)n.matched);
    jw(w, SLICE(",\"answered\":"));
    jw_int(w, (int64_t)n.answered);
}

int scenario_list_files(const struct scenario_set *set, struct scenario_state *st,
                        struct buf *out) {
    struct json_writer w = jw_begin(out);
    pthread_mutex_lock(&st->lock);
    for (unsigned i = 0; i < scenario_set_count(set); i++) {
        const struct scenario *s = set->items[i];
        jw(&w, i ? SLICE(",{\"name\":") : SLICE("{\"name\":"));
        jw_string(&w, s->name);
        jw(&w, SLICE(",\"place\":"));
        jw_string(&w, slice_cstr(s->place));
        jw_member(&w, SLICE("about"), s->about);
        jw(&w, s->is_continued ? SLICE(",\"continue\":true") : SLICE(""));
        write_counts(&w, tally_total(st, s->name));
        jw(&w, SLICE("}"));
    }
    pthread_mutex_unlock(&st->lock);
    return jw_end(&w);
}

int scenario_list_pushed(struct scenario_state *st, struct buf *out) {
    struct json_writer w = jw_begin(out);
    pthread_mutex_lock(&st->lock);
    for (const struct pushed *p = st->pushed; p; p = p->next) {
        jw(&w, p == st->pushed ? SLICE("{\"name\":") : SLICE(",{\"name\":"));
        jw_string(&w, p->scenario->name);
        jw_member(&w, SLICE("session"), slice_cstr(p->session));
        jw(&w, SLICE(",\"left\":"));
        if (p->left == SCENARIO_FOREVER) {
            jw(&w, SLICE("\"forever\""));
        } else {
            jw_int(&w, p->left);
        }
        write_counts(&w, tally_total(st, slice_cstr(p->key)));
        jw(&w, SLICE("}"));
    }
    pthread_mutex_unlock(&st->lock);
    return jw_end(&w);
}
