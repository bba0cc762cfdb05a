/* SPDX-License-Identifier: Apache-2.0 */
/* Counts, sessions, and answers that tests pushed; and the search, which needs them. */
#include "mock/scenario_state.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"

enum { BUCKETS = 4096, SESSION_KEPT_BYTES = 256 };

/* ---- counts ---- */

static uint64_t tally_hash(struct slice name, struct slice session) {
    uint64_t h = slice_hash(SLICE_HASH_START, name);
    return slice_hash((h ^ session.len) * SLICE_HASH_PRIME, session);
}

static void unlink_oldest(struct scenario_state *st) {
    struct tally *t = st->oldest, **at = &st->buckets[t->hash % BUCKETS];
    while (*at != t) {
        at = &(*at)->next;
    }
    *at = t->next;
    st->oldest = t->newer;
    if (st->oldest) {
        st->oldest->older = NULL;
    } else {
        st->newest = NULL;
    }
    st->n_tallies--;
    mem_free(t);
}

static void make_newest(struct scenario_state *st, struct tally *t) {
    t->older = st->newest;
    t->newer = NULL;
    if (st->newest) {
        st->newest->newer = t;
    } else {
        st->oldest = t;
    }
    st->newest = t;
}

static void touch(struct scenario_state *st, struct tally *t) {
    if (st->newest == t) {
        return;
    }
    t->newer->older = t->older;
    if (t->older) {
        t->older->newer = t->newer;
    } else {
        st->oldest = t->newer;
    }
    make_newest(st, t);
}

/* A session's name of any length is told apart by its beginning and its hash. */
static struct slice tally_session(struct slice session) {
    return slice_sub(session, 0, SESSION_KEPT_BYTES);
}

const struct tally *tally_look(const struct scenario_state *st, struct slice name,
                               struct slice session) {
    uint64_t h = tally_hash(name, session);
    session = tally_session(session);
    for (const struct tally *t = st->buckets[h % BUCKETS]; t; t = t->next) {
        if (t->hash == h && t->name_len == name.len && t->session_len == session.len &&
            memcmp(t->text, name.ptr, name.len) == 0 &&
            (session.len == 0 || memcmp(t->text + name.len, session.ptr, session.len) == 0)) {
            return t;
        }
    }
    return NULL;
}

static struct tally *tally_get(struct scenario_state *st, struct slice name,
                               struct slice session) {
    struct tally *t = (struct tally *)(uintptr_t)tally_look(st, name, session);
    if (t) {
        touch(st, t);
        return t;
    }
    if (st->n_tallies == SCENARIO_MAX_TALLIES) {
        unlink_oldest(st);
    }
    uint64_t h = tally_hash(name, session);
    session = tally_session(session);
    t = mem_zalloc(sizeof *t + name.len + session.len);
    t->hash = h;
    t->name_len = name.len;
    t->session_len = session.len;
    memcpy(t->text, name.ptr, name.len);
    if (session.len) {
        memcpy(t->text + name.len, session.ptr, session.len);
    }
    t->next = st->buckets[h % BUCKETS];
    st->buckets[h % BUCKETS] = t;
    make_newest(st, t);
    st->n_tallies++;
    return t;
}

/* The sum over all sessions is kept under a name that no scenario has: with a blank in it. */
struct total_name {
    char text[SCENARIO_NAME_BYTES + 8];
};

static struct slice name_of_total(struct slice name, struct total_name *space) {
    int n = snprintf(space->text, sizeof space->text, "%.*s *", SLICE_FMT(name));
    return slice_make(space->text, (size_t)n < sizeof space->text ? (size_t)n
                                                                  : sizeof space->text - 1);
}

struct tally_counts tally_total(const struct scenario_state *st, struct slice name) {
    struct total_name space;
    const struct tally *t = tally_look(st, name_of_total(name, &space), SLICE(""));
    return t ? t->counts : (struct tally_counts){0, 0};
}

static void drop_tallies(struct scenario_state *st) {
    while (st->oldest) {
        unlink_oldest(st);
    }
}

/* ---- states ---- */

struct scenario_state *scenario_state_new(void) {
    struct scenario_state *st = mem_zalloc(sizeof *st);
    pthread_mutex_init(&st->lock, NULL);
    st->buckets = mem_zalloc(sizeof *st->buckets * BUCKETS);
    st->pushed_end = &st->pushed;
    return st;
}

static struct pushed *unlink_pushed(struct scenario_state *st, struct pushed **at) {
    struct pushed *p = *at;
    *at = p->next;
    if (!p->next) {
        st->pushed_end = at;
    }
    st->n_pushed--;
    if (--p->push->n == 0) {
        st->pushed_bytes -= p->push->bytes;
        mem_free(p->push);
    }
    p->push = NULL;
    return p;
}

static void pushed_free(struct pushed *p) {
    scenario_set_unref(&p->set);
    mem_free(p->session);
    mem_free(p);
}

static void remove_pushed(struct scenario_state *st, struct pushed **at) {
    pushed_free(unlink_pushed(st, at));
}

void scenario_state_free(struct scenario_state **st) {
    struct scenario_state *s = *st;
    *st = NULL;
    if (!s) {
        return;
    }
    while (s->pushed) {
        remove_pushed(s, &s->pushed);
    }
    drop_tallies(s);
    pthread_mutex_destroy(&s->lock);
    mem_free(s->buckets);
    mem_free(s);
}

void scenario_state_reset(struct scenario_state *st) {
    pthread_mutex_lock(&st->lock);
    while (st->pushed) {
        remove_pushed(st, &st->pushed);
    }
    drop_tallies(st);
    pthread_mutex_unlock(&st->lock);
}

/* ---- pushed answers ---- */

static int64_t pushed_times(const struct scenario *s) {
    return s->has_times ? s->times : s->n_responses > 1 ? (int64_t)s->n_responses : 1;
}

static int check_room(const struct scenario_state *st, unsigned n, size_t bytes, struct err *e) {
    if (st->n_pushed + n > SCENARIO_MAX_PUSHED) {
        return err_set(e, ERR_LIMIT, "%u pushed answers are waiting; at most %d may",
                       st->n_pushed, SCENARIO_MAX_PUSHED);
    }
    if (bytes > SCENARIO_MAX_PUSHED_BYTES - st->pushed_bytes) {
        return err_set(e, ERR_LIMIT,
                       "the pushed answers that are waiting hold %zu bytes, and these %zu; together "
                       "%zu may (DELETE /penstock/scenarios takes them back)",
                       st->pushed_bytes, bytes, SCENARIO_MAX_PUSHED_BYTES);
    }
    return 0;
}

static void add_pushed(struct scenario_state *st, struct scenario_set *s, unsigned i,
                       struct push *push, struct slice session) {
    struct pushed *p = mem_zalloc(sizeof *p);
    *p = (struct pushed){.push = push,
                         .set = scenario_set_ref(s),
                         .scenario = s->items[i],
                         .left = pushed_times(s->items[i]),
                         .id = ++st->last_pushed,
                         .session = session.len ? mem_dup_cstr(session) : NULL};
    snprintf(p->key, sizeof p->key, "pushed %" PRIu64, p->id);   /* no name has a blank */
    *st->pushed_end = p;
    st->pushed_end = &p->next;
    st->n_pushed++;
}

int scenario_push(struct scenario_state *st, struct scenario_set *s, struct slice session,
                  struct err *e) {
    size_t bytes = arena_used_bytes(s->arena) + s->n * (sizeof(struct pushed) + session.len);
    pthread_mutex_lock(&st->lock);
    int rc = check_room(st, s->n, bytes, e);
    if (rc == 0 && s->n > 0) {
        struct push *push = mem_zalloc(sizeof *push);
        *push = (struct push){.bytes = bytes, .n = s->n};
        st->pushed_bytes += bytes;
        for (unsigned i = 0; i < s->n; i++) {
            add_pushed(st, s, i, push, session);
        }
    }
    pthread_mutex_unlock(&st->lock);
    return rc;
}

unsigned scenario_unpush(struct scenario_state *st, struct slice name) {
    unsigned n = 0;
    pthread_mutex_lock(&st->lock);
    for (struct pushed **at = &st->pushed; *at;) {
        if (name.len == 0 || slice_eq((*at)->scenario->name, name)) {
            remove_pushed(st, at);
            n++;
        } else {
            at = &(*at)->next;
        }
    }
    pthread_mutex_unlock(&st->lock);
    return n;
}

/* ---- the search ---- */

struct search {
    struct scenario_state *st;
    struct view view;
    struct terms kept;               /* of scenarios that let the search go on */
    struct slice kept_name;          /* the last one's */
    const char *kept_place;
    uint64_t kept_n;
    struct pushed *used_up;          /* what was kept may be theirs */
    struct arena *arena;
    struct script *out;
};

/* Which of its answers it is the turn of; false: it has none left. */
static bool take_turn(const struct scenario *s, const struct tally_counts *before,
                      unsigned *out_which) {
    uint64_t done = before->answered;
    *out_which = 0;
    if (s->n_responses > 1 || (s->is_script && s->after == AFTER_FALL_THROUGH)) {
        if (done >= s->n_responses && s->after == AFTER_FALL_THROUGH) {
            return false;
        }
        *out_which = done < s->n_responses         ? (unsigned)done
                     : s->after == AFTER_WRAP ? (unsigned)(done % s->n_responses)
                                              : s->n_responses - 1;
    }
    return true;
}

static bool is_used_up(const struct scenario *s, const struct scenario_state *st,
                       struct slice key) {
    return s->has_times && s->times != SCENARIO_FOREVER &&
           tally_total(st, key).answered >= (uint64_t)s->times;
}

static void finish(struct search *f, const struct scenario *s, unsigned which, uint64_t n,
                   struct slice name, const char *place) {
    struct rng rng;
    struct template_facts facts = {.in = f->view.in, .arena = f->arena, .scenario = name, .n = n,
                                   .rng = &rng, .room = SCENARIO_ANSWER_BYTES};
    scenario_rng(&rng, f->view.in, name, "template");
    scenario_respond(s, which, &f->kept, &facts, f->out);
    f->out->place = place ? arena_dup(f->arena, slice_cstr(place)) : SLICE_NULL;
}

/* The last step, under the lock: the count that `call` goes by, then the turn. key: its tallies. */
static bool claim(struct search *f, const struct scenario *s, enum truth t, struct slice key,
                  unsigned *out_which, uint64_t *out_n) {
    struct scenario_state *st = f->st;
    struct judge j = {.view = &f->view, .scenario = s->name};
    struct total_name space;
    struct tally *mine = tally_get(st, key, f->view.in->session);
    struct tally_counts before = mine->counts;
    j.call = before.matched + 1;
    *out_n = j.call;
    mine->counts.matched++;
    bool holds = t == TRUTH_YES || match_judge(s->match, &j) == TRUTH_YES;
    holds = holds && !is_used_up(s, st, key) && take_turn(s, &before, out_which);
    if (holds) {
        mine->counts.answered++;
    }
    struct tally *all = tally_get(st, name_of_total(key, &space), SLICE(""));
    all->counts.matched++;
    all->counts.answered += holds;
    return holds;
}

static bool try_file(struct search *f, const struct scenario *s, unsigned *out_which,
                     uint64_t *out_n) {
    const struct judge j = {.view = &f->view, .scenario = s->name};
    enum truth t = match_judge(s->match, &j);
    if (t == TRUTH_NO) {
        return false;
    }
    pthread_mutex_lock(&f->st->lock);
    bool holds = claim(f, s, t, s->name, out_which, out_n);
    pthread_mutex_unlock(&f->st->lock);
    return holds;
}

static void keep_terms(struct search *f, const struct scenario *s, const char *place, uint64_t n) {
    struct terms mine = s->terms;
    terms_inherit(&mine, &f->kept);  /* the later one wins */
    f->kept = mine;
    f->kept_name = s->name;
    f->kept_place = place;
    f->kept_n = n;
}

static bool pushed_fits(const struct pushed *p, const struct search *f) {
    const struct judge j = {.view = (struct view *)(uintptr_t)&f->view,
                            .scenario = p->scenario->name};
    return (!p->session || slice_eq(slice_cstr(p->session), f->view.in->session)) &&
           match_judge(p->scenario->match, &j) != TRUTH_NO;
}

/* Under the lock all the while: two requests never get the same answer. Its set outlives it. */
static bool find_pushed(struct search *f) {
    bool found = false;
    pthread_mutex_lock(&f->st->lock);
    for (struct pushed **at = &f->st->pushed; *at && !found;) {
        struct pushed *p = *at;
        unsigned which = 0;
        uint64_t n;
        bool holds = pushed_fits(p, f) &&
                     claim(f, p->scenario, TRUTH_MAYBE, slice_cstr(p->key), &which, &n);
        if (!holds) {
            at = &p->next;
            continue;
        }
        p->answered++;
        if (p->scenario->is_continued) {
            keep_terms(f, p->scenario, NULL, n);
        } else {
            finish(f, p->scenario, which, n, p->scenario->name, NULL);
            found = true;
        }
        if (p->left != SCENARIO_FOREVER && --p->left == 0) {
            unlink_pushed(f->st, at);
            p->next = f->used_up;
            f->used_up = p;
        } else {
            at = &p->next;
        }
    }
    pthread_mutex_unlock(&f->st->lock);
    return found;
}

static bool find_in_files(struct search *f, const struct scenario_set *set) {
    for (unsigned i = 0; set && i < set->n; i++) {
        const struct scenario *s = set->items[i];
        unsigned which = 0;
        uint64_t n = 0;
        if (!try_file(f, s, &which, &n)) {
            continue;
        }
        if (!s->is_continued) {
            finish(f, s, which, n, s->name, s->place);
            return true;
        }
        keep_terms(f, s, s->place, n);
    }
    return false;
}

bool scenario_find(const struct scenario_set *set, struct scenario_state *st,
                   const struct scenario_request *in, struct arena *a, struct script *out) {
    struct search f = {.st = st, .view = {.in = in, .arena = a}, .arena = a, .out = out};
    bool found = find_pushed(&f) || find_in_files(&f, set);
    if (!found && f.kept_name.ptr) {
        finish(&f, NULL, 0, f.kept_n, f.kept_name, f.kept_place);
        found = true;
    }
    while (f.used_up) {
        struct pushed *p = f.used_up;
        f.used_up = p->next;
        pushed_free(p);
    }
    return found;
}
