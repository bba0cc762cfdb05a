/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/expect.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "config/suggest.h"
#include "dialect/json_write.h"
#include "dialect/request_read.h"
#include "mock/completion.h"
#include "mock/scenario.h"

enum {
    MAX_ORDER = 64,
    NEAREST = 5,
    WHY_BYTES = 4096,
    MAX_MATCHED_SHOWN = 1000,
    MAX_WITHIN_MS = 600000
};

/* An entry whose request has been looked at, fits `where`, and matches something. */
struct hit {
    uint64_t seq;
    uint64_t bits;                   /* by the number of the match */
};

struct expectation {
    struct arena *arena;             /* of what was parsed */
    struct scenario_match *matches[MAX_ORDER];
    unsigned n_matches;
    bool is_order;
    struct journal_query where;
    uint64_t at_least, at_most;
    int64_t within_ms;
    uint64_t looked_to;              /* entries up to this one have been looked at */
    struct hit *hits;
    unsigned n_hits, cap_hits;
    /* of the last check */
    uint64_t *matched;
    unsigned n_matched, cap_matched;
    unsigned missing;                /* the first of an order that was not found */
    bool holds;
};

/* ---- parsing ---- */

struct parsing {
    struct expectation *x;
    struct report *r;
    bool has_match, has_count, has_bound;
};

static bool read_number(struct parsing *p, const struct node *n, uint64_t max, uint64_t *out) {
    if (n->kind == NODE_SCALAR && slice_to_u64(n->text, max, out)) {
        return true;
    }
    report_fault(p->r, n->at, n->key.ptr, "expected a whole number up to %" PRIu64, max);
    return false;
}

static void add_match(struct parsing *p, const struct node *n) {
    struct expectation *x = p->x;
    if (n->kind != NODE_MAP) {
        report_fault(p->r, n->at, "match", "expected a map of conditions, got %s", node_kind_name(n));
    } else if (x->n_matches == MAX_ORDER) {
        report_fault(p->r, n->at, "order", "more than %d", MAX_ORDER);
    } else {
        x->matches[x->n_matches++] = scenario_match_parse(n, x->arena, p->r);
    }
}

static void read_match(struct parsing *p, const struct node *n) {
    p->has_match = true;
    add_match(p, n);
}

static void read_order(struct parsing *p, const struct node *n) {
    p->x->is_order = true;
    if (n->kind != NODE_LIST || n->n_children == 0) {
        report_fault(p->r, n->at, "order", "expected a list of conditions");
        return;
    }
    for (const struct node *one = n->first; one; one = one->next) {
        add_match(p, one);
    }
}

static bool is_of_a_listing(struct slice filter) {
    return slice_eq(filter, SLICE("limit")) || slice_eq(filter, SLICE("body"));
}

static void read_where(struct parsing *p, const struct node *n) {
    struct err e;
    if (n->kind != NODE_MAP) {
        report_fault(p->r, n->at, "where", "expected a map of the journal's filters");
        return;
    }
    for (const struct node *one = n->first; one; one = one->next) {
        if (one->kind != NODE_SCALAR) {
            report_fault(p->r, one->at, "where", "expected a value, got %s", node_kind_name(one));
        } else if (is_of_a_listing(one->key)) {
            report_fault(p->r, one->key_at, "where", "'%.*s' says what a listing shows, not what is meant",
                         SLICE_FMT(one->key));
        } else if (journal_query_set(&p->x->where, one->key, one->text, &e) < 0) {
            report_fault(p->r, one->key_at, "where", "%s", e.text);
        }
    }
}

static void read_count(struct parsing *p, const struct node *n) {
    p->has_count = read_number(p, n, UINT32_MAX, &p->x->at_least);
    p->x->at_most = p->x->at_least;
}

static void read_at_least(struct parsing *p, const struct node *n) {
    p->has_bound = read_number(p, n, UINT32_MAX, &p->x->at_least);
}

static void read_at_most(struct parsing *p, const struct node *n) {
    if (!p->has_bound) p->x->at_least = 0;
    p->has_bound = read_number(p, n, UINT32_MAX, &p->x->at_most);
}

static void read_since(struct parsing *p, const struct node *n) {
    (void)read_number(p, n, UINT64_MAX, &p->x->where.since);
}

static void read_within(struct parsing *p, const struct node *n) {
    uint64_t ms = 0;
    if (read_number(p, n, MAX_WITHIN_MS, &ms)) p->x->within_ms = (int64_t)ms;
}

/* at_least stands before at_most: a bound below does not fall with one above. */
static const struct {
    const char *name;
    void (*read)(struct parsing *p, const struct node *n);
} members[] = {
    {"match", read_match},     {"order", read_order},     {"where", read_where},
    {"count", read_count},     {"at_least", read_at_least}, {"at_most", read_at_most},
    {"since", read_since},     {"within_ms", read_within},
};
#define N_MEMBERS (sizeof members / sizeof members[0])

static void check_known(struct parsing *p, const struct node *root) {
    for (const struct node *n = root->first; n; n = n->next) {
        struct suggestion s;
        bool is_known = false;
        suggestion_init(&s, n->key);
        for (size_t i = 0; i < N_MEMBERS; i++) {
            is_known |= slice_eq(n->key, slice_cstr(members[i].name));
            suggestion_offer(&s, slice_cstr(members[i].name));
        }
        if (!is_known) {
            report_fault(p->r, n->key_at, n->key.ptr, s.nearest.ptr ? "unknown; did you mean %.*s?" : "unknown%.*s",
                         SLICE_FMT(s.nearest));
        }
    }
}

static void check_together(struct parsing *p, const struct node *root) {
    struct expectation *x = p->x;
    bool has_number = p->has_count || p->has_bound;
    if (p->has_count && p->has_bound) {
        report_fault(p->r, root->at, "count", "not together with at_least or at_most");
    }
    if (x->is_order && (p->has_match || has_number)) {
        report_fault(p->r, root->at, "order", "not together with match, count, at_least or at_most");
    }
    if (x->at_most < x->at_least) {
        report_fault(p->r, root->at, "at_most", "below at_least");
    }
}

static void read_root(struct parsing *p, const struct node *root) {
    if (root->kind != NODE_MAP) {
        report_fault(p->r, root->at, NULL, "expected a map with match, count, …");
        return;
    }
    check_known(p, root);
    for (size_t i = 0; i < N_MEMBERS; i++) {
        for (const struct node *n = root->first; n; n = n->next) {
            if (slice_eq(n->key, slice_cstr(members[i].name)) && !node_is_null(n)) {
                members[i].read(p, n);
            }
        }
    }
    check_together(p, root);
}

struct expectation *expectation_parse(struct slice body, struct report *r) {
    struct expectation *x = mem_zalloc(sizeof *x);
    struct parsing p = {.x = x, .r = r};
    x->arena = arena_new();
    x->at_least = 1;
    x->at_most = UINT64_MAX;
    journal_query_init(&x->where);
    struct slice text = arena_dup(x->arena, body);
    const struct node *root = scenario_tree_parse(text, "body", x->arena, r);
    if (root) {
        read_root(&p, root);
    }
    x->looked_to = x->where.since;
    if (r->n_faults > 0) {
        expectation_free(&x);
    }
    return x;
}

void expectation_free(struct expectation **x) {
    if (!*x) {
        return;
    }
    arena_free((*x)->arena);
    mem_free((*x)->hits);
    mem_free((*x)->matched);
    mem_free(*x);
    *x = NULL;
}

int64_t expectation_within_ns(const struct expectation *x) {
    return x->within_ms * NS_PER_MS;
}

/* ---- one entry ---- */

/* The request as it was; an empty one where it cannot be read, which conditions on path, headers
 * and session do without. */
static void decode(const struct journal_view *v, struct arena *a, struct llm_request *rq,
                   struct scenario_request *out) {
    const struct dialect *d = v->dialect ? dialect_find(slice_cstr(v->dialect)) : NULL;
    struct request_fault fault;
    int rc = -ERR_USAGE;
    d = d ? d : &dialect_chat;
    if (!v->body_is_cut && v->body.len > 0) {
        rc = d == &dialect_completions ? completion_decode(v->body, a, rq, &fault)
                                       : d->decode_request(v->body, a, rq, &fault);
    }
    if (rc < 0) {
        request_init(rq, d->name);
    }
    *out = (struct scenario_request){.dialect = d,
                                     .rq = rq,
                                     .headers = &v->headers,
                                     .path = v->path,
                                     .body = rc < 0 ? SLICE("{}") : v->body,
                                     .session = v->session};
}

static uint64_t test_all(const struct expectation *x, const struct journal_view *v) {
    struct arena *a = arena_new();
    struct llm_request rq;
    struct scenario_request in;
    uint64_t bits = 0;
    decode(v, a, &rq, &in);
    for (unsigned i = 0; i < x->n_matches; i++) {
        bits |= (uint64_t)scenario_match_test(x->matches[i], &in, NULL) << i;
    }
    arena_free(a);
    return x->n_matches == 0 ? 1 : bits;
}

static void *grow(void *list, unsigned n, unsigned *cap, size_t size) {
    if (n < *cap) {
        return list;
    }
    *cap = *cap ? *cap * 2 : 32;
    void *grown = mem_alloc(*cap * size);
    if (n > 0) memcpy(grown, list, n * size);
    mem_free(list);
    return grown;
}

static void look_at(struct expectation *x, const struct journal_view *v) {
    uint64_t bits = journal_view_asks(v, &x->where) ? test_all(x, v) : 0;
    x->looked_to = v->seq;
    if (bits) {
        x->hits = grow(x->hits, x->n_hits, &x->cap_hits, sizeof *x->hits);
        x->hits[x->n_hits++] = (struct hit){v->seq, bits};
    }
}

/* ---- all of them ---- */

static void add_matched(struct expectation *x, uint64_t seq) {
    x->matched = grow(x->matched, x->n_matched, &x->cap_matched, sizeof *x->matched);
    x->matched[x->n_matched++] = seq;
}

/* Hits and views both rise. */
static void match_views(struct expectation *x, const struct journal_view *views, unsigned n) {
    unsigned at = 0, next = 0;
    x->n_matched = 0;
    for (unsigned i = 0; i < n; i++) {
        while (at < x->n_hits && x->hits[at].seq < views[i].seq) at++;
        uint64_t bits = at < x->n_hits && x->hits[at].seq == views[i].seq ? x->hits[at].bits : 0;
        if (!views[i].answer_fits || next >= MAX_ORDER || !(bits >> next & 1)) {
            continue;
        }
        if (x->is_order && next == x->n_matches) {
            break;
        }
        add_matched(x, views[i].seq);
        next += x->is_order;
    }
    x->missing = next;
    x->holds = x->is_order ? next == x->n_matches
                           : x->n_matched >= x->at_least && x->n_matched <= x->at_most;
}

bool expectation_check(struct expectation *x, struct journal *j) {
    struct arena *a = arena_new();
    struct journal_view *views;
    unsigned n = journal_hold(j, &x->where, a, &views);
    for (unsigned i = 0; i < n; i++) {
        if (views[i].seq > x->looked_to) {
            look_at(x, &views[i]);
        }
    }
    match_views(x, views, n);
    journal_release(views, n);
    arena_free(a);
    return x->holds;
}

/* ---- the nearest misses ---- */

struct miss {
    uint64_t seq;
    unsigned n_lines;                /* conditions that failed */
    struct slice why;
};
struct misses {
    struct miss list[NEAREST];
    unsigned n;
};

/* Fewest failed conditions first; of equals the newest. */
static void misses_add(struct misses *m, struct miss one) {
    unsigned at = m->n < NEAREST ? m->n++ : NEAREST;
    if (at == NEAREST && m->list[NEAREST - 1].n_lines < one.n_lines) {
        return;
    }
    at = at == NEAREST ? NEAREST - 1 : at;
    for (; at > 0 && m->list[at - 1].n_lines >= one.n_lines; at--) {
        m->list[at] = m->list[at - 1];
    }
    m->list[at] = one;
}

static unsigned count_lines(struct slice s) {
    unsigned n = 0;
    for (size_t i = 0; i < s.len; i++) n += s.ptr[i] == '\n';
    return n + (s.len > 0 && s.ptr[s.len - 1] != '\n');
}

static void explain(const struct expectation *x, const struct journal_view *v, struct arena *keep,
                    struct misses *m) {
    struct arena *a = arena_new();
    struct llm_request rq;
    struct scenario_request in;
    struct buf why;
    unsigned which = x->is_order ? x->missing : 0;
    bool is_where = v->answer_fits && journal_view_asks(v, &x->where);
    bool fits = which >= x->n_matches;
    buf_init(&why, WHY_BYTES);
    decode(v, a, &rq, &in);
    if (!fits) {
        fits = scenario_match_test(x->matches[which], &in, &why);
    }
    if (v->body_is_cut && buf_append(&why, SLICE("body: longer than the journal keeps\n")) < 0) {
        why.len = 0;
    }
    if (fits && !is_where && buf_append(&why, SLICE("where: the entry does not fit\n")) < 0) {
        why.len = 0;
    }
    if (!fits || !is_where) {
        struct slice text = arena_dup(keep, buf_slice(&why));
        misses_add(m, (struct miss){v->seq, count_lines(text), text});
    }
    buf_dispose(&why);
    arena_free(a);
}

static void w_lines(struct json_writer *w, struct slice text) {
    bool has_one = false;
    jw(w, SLICE("["));
    while (text.len > 0) {
        ptrdiff_t end = slice_index(text, '\n');
        struct slice line = end < 0 ? text : slice_sub(text, 0, (size_t)end);
        text = end < 0 ? SLICE_NULL : slice_from(text, (size_t)end + 1);
        if (line.len == 0) continue;
        jw(w, has_one ? SLICE(",") : SLICE(""));
        jw_string(w, line);
        has_one = true;
    }
    jw(w, SLICE("]"));
}

static void w_nearest(struct json_writer *w, const struct expectation *x, struct journal *j) {
    struct arena *a = arena_new();
    struct journal_view *views;
    struct misses m = {.n = 0};
    unsigned n = journal_hold(j, &x->where, a, &views);
    for (unsigned i = 0; i < n; i++) {
        explain(x, &views[i], a, &m);
    }
    jw(w, SLICE(",\"nearest\":["));
    for (unsigned i = 0; i < m.n; i++) {
        jw(w, i ? SLICE(",{\"seq\":") : SLICE("{\"seq\":"));
        jw_int(w, (int64_t)m.list[i].seq);
        jw(w, SLICE(",\"why_not\":"));
        w_lines(w, m.list[i].why);
        jw(w, SLICE("}"));
    }
    jw(w, SLICE("]"));
    journal_release(views, n);
    arena_free(a);
}

/* ---- writing ---- */

static void w_wanted(struct json_writer *w, const struct expectation *x) {
    char text[80];
    if (x->is_order)
        snprintf(text, sizeof text, "%u requests in order", x->n_matches);
    else if (x->at_least == x->at_most)
        snprintf(text, sizeof text, "exactly %" PRIu64, x->at_least);
    else if (x->at_most == UINT64_MAX)
        snprintf(text, sizeof text, "at least %" PRIu64, x->at_least);
    else
        snprintf(text, sizeof text, "%" PRIu64 " to %" PRIu64, x->at_least, x->at_most);
    jw(w, SLICE(",\"wanted\":"));
    jw_string(w, slice_cstr(text));
}

int expectation_write(struct expectation *x, struct journal *j, struct buf *out) {
    struct json_writer w = jw_begin(out);
    jw(&w, x->holds ? SLICE("{\"ok\":true") : SLICE("{\"ok\":false"));
    if (!x->holds) w_wanted(&w, x);
    jw(&w, SLICE(",\"count\":"));
    jw_int(&w, x->n_matched);
    jw(&w, SLICE(",\"matched\":["));
    for (unsigned i = 0; i < x->n_matched && i < MAX_MATCHED_SHOWN; i++) {
        jw(&w, i ? SLICE(",") : SLICE(""));
        jw_int(&w, (int64_t)x->matched[i]);
    }
    jw(&w, SLICE("]"));
    if (!x->holds) w_nearest(&w, x, j);
    jw(&w, SLICE("}\n"));
    return jw_end(&w);
}
