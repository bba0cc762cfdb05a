/* SPDX-License-Identifier: Apache-2.0 */
/* Calls and their results (translation.md 1.7): behind the assistant's turn come the results of its
 * calls, one each, then system texts that stood between, then what answers no call, as the user's
 * words. A result that is missing is made up. Ids become such as the upstream takes. */
#include "dialect/adapt-private.h"

#include "base/random.h"
#include "base/sha256.h"
#include "dialect/request_read.h"

#define NINE 9

struct turner {
    struct adapter *ad;
    struct string_map used;          /* ids that calls were sent with */
    struct tool_id **end;
    unsigned n_calls;
    struct message *first, *last;    /* the new list */
    unsigned n;
};

/* A call of the turn under way. */
struct call {
    struct part *part;
    struct slice id;                 /* the client's */
    struct message *result;
    struct call *same;               /* the next one of this id; NULL: none */
};

static void append(struct turner *tn, struct message *m) {
    m->next = NULL;
    if (tn->last) tn->last->next = m;
    else tn->first = m;
    tn->last = m;
    tn->n++;
}

/* ---- ids ---- */

static bool is_word_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_' || c == '-';
}

static bool is_fit(const struct turner *tn, struct slice id) {
    enum tool_id_style style = tn->ad->caps->tool_id;
    for (size_t i = 0; style != TOOL_ID_ANY && i < id.len; i++) {
        bool is_punctuation = id.ptr[i] == '_' || id.ptr[i] == '-';
        if (!is_word_char(id.ptr[i]) || (style == TOOL_ID_NINE && is_punctuation)) return false;
    }
    return id.len > 0 && (style != TOOL_ID_NINE || id.len == NINE);
}

/* Always the same of the same id, at the same place where it has to be another one. */
static struct slice made_id(struct turner *tn, struct slice id, unsigned salt) {
    struct arena *a = tn->ad->a;
    unsigned char digest[SHA256_BYTES];
    struct rng r;
    uint64_t seed;
    char text[NINE + 1], *full;
    sha256(salt || id.len == 0 ? slice_cstr(arena_printf(a, "%u %u %.*s", tn->n_calls, salt,
                                                         SLICE_FMT(id)))
                               : id,
           digest);
    memcpy(&seed, digest, sizeof seed);
    rng_seed(&r, seed);
    rng_base62(&r, text, NINE);
    text[NINE] = 0;
    if (tn->ad->caps->tool_id == TOOL_ID_NINE) return arena_dup(a, slice_make(text, NINE));
    struct slice base = id.len > 0 ? slice_sub(id, 0, 48) : SLICE("call");
    full = arena_printf(a, "%.*s_%s", SLICE_FMT(base), text);
    for (char *c = full; *c; c++) {
        if (!is_word_char(*c)) *c = '_';
    }
    return slice_cstr(full);
}

/* Where a pattern is asked for, ids have to be different, too. */
static bool is_free(const struct turner *tn, struct slice id) {
    return tn->ad->caps->tool_id == TOOL_ID_ANY || !string_map_get(&tn->used, id);
}

static struct slice id_to_send(struct turner *tn, struct slice id) {
    struct slice sent = is_fit(tn, id) ? id : made_id(tn, id, 0);
    for (unsigned salt = 1; !is_free(tn, sent); salt++) sent = made_id(tn, id, salt);
    tn->n_calls++;
    return sent;
}

static void send_id(struct turner *tn, struct call *c) {
    struct slice sent = id_to_send(tn, c->id);
    string_map_put(&tn->used, sent, tn);
    if (slice_eq(sent, c->id)) return;
    c->part->id = sent;
    c->part->raw = SLICE_NULL;
    if (c->id.len == 0) return;
    struct tool_id *entry = arena_alloc(tn->ad->a, sizeof *entry);
    *entry = (struct tool_id){.id = c->id, .sent = sent};
    *tn->end = entry;
    tn->end = &entry->next;
}

/* ---- the assistant's turn ---- */

static bool has_call(const struct message *m) {
    for (unsigned i = 0; i < m->n_parts; i++) {
        if (part_is_call(&m->parts[i])) return true;
    }
    return false;
}

/* What the assistant goes on to say before the results are in belongs to the turn of the calls. */
static struct message *join_assistants(struct turner *tn, struct message *m) {
    struct message *next = m->next, *last_joined = m;
    unsigned extra = 0;
    while (next && next->role == ROLE_ASSISTANT) {
        extra += next->n_parts;
        last_joined = next;
        next = next->next;
    }
    if (last_joined == m) return next;
    struct part *parts = arena_alloc(tn->ad->a, (m->n_parts + extra + 1) * sizeof *parts);
    unsigned n = 0;
    for (const struct message *k = m;; k = k->next) {
        for (unsigned i = 0; i < k->n_parts; i++) parts[n++] = k->parts[i];
        if (k == last_joined) break;
    }
    m->parts = parts;
    m->n_parts = n;
    m->content_is_null = m->content_is_absent = m->content_is_string = false;
    return next;
}

static bool is_words(const struct part *p) {
    return !part_is_call(p) && !part_is_reasoning(p);
}

/* Texts in front of the first call; reasoning stays where it is, since it belongs to what follows
 * it. Responses has items, whose order is free. */
static void put_calls_last(struct turner *tn, struct message *m) {
    unsigned first = 0, n = 0;
    while (first < m->n_parts && !part_is_call(&m->parts[first])) first++;
    bool is_needed = false;
    for (unsigned i = first; i < m->n_parts; i++) is_needed |= is_words(&m->parts[i]);
    if (!is_needed || tn->ad->to_responses) return;
    /* reasoning right before the first call stays with it */
    while (first > 0 && part_is_reasoning(&m->parts[first - 1])) first--;
    bool leads = first == 0; /* the turn begins with it, as thinking has to */
    struct part *parts = arena_alloc(tn->ad->a, m->n_parts * sizeof *parts);
    unsigned keep = first;
    while (leads && part_is_reasoning(&m->parts[keep])) keep++;
    for (unsigned i = 0; i < keep; i++) parts[n++] = m->parts[i];
    for (unsigned i = keep; i < m->n_parts; i++) {
        if (is_words(&m->parts[i])) parts[n++] = m->parts[i];
    }
    for (unsigned i = keep; i < m->n_parts; i++) {
        if (!is_words(&m->parts[i])) parts[n++] = m->parts[i];
    }
    m->parts = parts;
}

/* ---- results ---- */

static struct message *made_up(struct turner *tn, const struct call *c) {
    struct arena *a = tn->ad->a;
    struct message *m = arena_alloc(a, sizeof *m);
    struct part *p = arena_alloc(a, sizeof *p);
    *p = (struct part){.kind = PART_TOOL_RESULT,
                       .id = c->part->id,
                       .text = SLICE("no result provided"),
                       .is_error = true,
                       .is_custom = c->part->kind == PART_CUSTOM_TOOL_CALL};
    *m = (struct message){
        .role = ROLE_TOOL, .content_is_string = true, .parts = p, .n_parts = 1};
    return m;
}

/* What answers no call, as the user's words; NULL when it says nothing. */
static struct message *as_user(struct turner *tn, struct message *m) {
    struct parts ps = {0};
    for (unsigned i = 0; i < m->n_parts; i++) {
        const struct part *p = &m->parts[i];
        if (p->kind != PART_TOOL_RESULT) *parts_add(&ps, tn->ad->a, p->kind) = *p;
        else if (p->n_inner == 0 && p->text.len > 0)
            parts_add(&ps, tn->ad->a, PART_TEXT)->text = p->text;
        for (unsigned k = 0; k < p->n_inner; k++)
            *parts_add(&ps, tn->ad->a, p->inner[k].kind) = p->inner[k];
    }
    m->role = ROLE_USER;
    m->content_is_string = ps.n == 1 && ps.list[0].kind == PART_TEXT;
    m->content_is_null = m->content_is_absent = false;
    m->parts = ps.list;
    m->n_parts = ps.n;
    return ps.n > 0 ? m : NULL;
}

static void append_orphan(struct turner *tn, struct message *m) {
    m = as_user(tn, m);
    if (m) append(tn, m);
}

static struct part *result_of(struct message *m) {
    for (unsigned i = 0; i < m->n_parts; i++) {
        if (m->parts[i].kind == PART_TOOL_RESULT) return &m->parts[i];
    }
    return NULL;
}

/* The calls of a turn. Ids that come twice are answered in order. */
struct open_calls {
    struct call *list;
    unsigned n;
    struct string_map by_id;         /* → the first open call of this id, or `none` */
    struct call none;
};

static struct call *find_open(struct open_calls *oc, struct slice id) {
    struct call *c = string_map_get(&oc->by_id, id);
    if (!c || c == &oc->none) return NULL;
    string_map_put(&oc->by_id, id, c->same ? c->same : &oc->none);
    return c;
}

/* False: it answers none. */
static bool take_result(struct open_calls *oc, struct message *m) {
    struct part *p = result_of(m);
    struct call *c = p ? find_open(oc, p->id) : NULL;
    if (!c) return false;
    c->result = m;
    m->role = ROLE_TOOL;
    if (!slice_eq(p->id, c->part->id)) p->raw = SLICE_NULL;
    p->id = c->part->id;
    p->is_custom = c->part->kind == PART_CUSTOM_TOOL_CALL;
    return true;
}

static void collect_calls(struct turner *tn, struct message *m, struct open_calls *oc) {
    *oc = (struct open_calls){.by_id = {.a = tn->ad->a}};
    oc->list = arena_alloc(tn->ad->a, (m->n_parts + 1) * sizeof *oc->list);
    for (unsigned i = 0; i < m->n_parts; i++) {
        struct part *p = &m->parts[i];
        if (!part_is_call(p)) continue;
        if (p->kind == PART_FUNCTION_CALL) {
            p->kind = PART_TOOL_CALL;
            p->raw = SLICE_NULL;
        }
        struct call *c = &oc->list[oc->n++];
        *c = (struct call){.part = p, .id = p->id};
        send_id(tn, c);
    }
    for (unsigned i = oc->n; i > 0; i--) {
        struct call *c = &oc->list[i - 1];
        c->same = string_map_get(&oc->by_id, c->id);
        string_map_put(&oc->by_id, c->id, c);
    }
}

/* A list of messages that were taken out of the request's. */
struct aside {
    struct message *first, **end;
};

static void set_aside(struct aside *l, struct message *m) {
    if (!l->first) l->end = &l->first;
    m->next = NULL;
    *l->end = m;
    l->end = &m->next;
}

/* From the assistant's message with calls to behind its results; returns what follows. */
static struct message *take_turn(struct turner *tn, struct message *m) {
    struct message *next = join_assistants(tn, m), *following;
    struct aside systems = {0}, orphans = {0}, results = {0};
    struct open_calls oc;
    put_calls_last(tn, m);
    collect_calls(tn, m, &oc);
    append(tn, m);
    for (; next && (message_is_result(next) || message_is_system(next)); next = following) {
        following = next->next;
        if (message_is_system(next)) set_aside(&systems, next);
        else set_aside(take_result(&oc, next) ? &results : &orphans, next);
    }
    for (struct message *r = results.first; r && !tn->ad->to_messages; r = following) {
        following = r->next;
        append(tn, r);
    }
    for (unsigned i = 0; i < oc.n; i++) {
        struct call *c = &oc.list[i];
        if (!c->result) append(tn, made_up(tn, c));
        else if (tn->ad->to_messages) append(tn, c->result);
    }
    for (struct message *s = systems.first; s; s = following) {
        following = s->next;
        append(tn, s);
    }
    for (struct message *o = orphans.first; o; o = following) {
        following = o->next;
        append_orphan(tn, o);
    }
    return next;
}

void adapt_turns(struct adapter *ad) {
    struct turner tn = {.ad = ad, .used = {.a = ad->a}, .end = &ad->t->ids};
    for (struct message *m = ad->rq->messages, *next; m; m = next) {
        next = m->next;
        if (m->role == ROLE_ASSISTANT && has_call(m)) next = take_turn(&tn, m);
        else if (message_is_result(m)) append_orphan(&tn, m);
        else append(&tn, m);
    }
    ad->rq->messages = tn.first;
    ad->rq->messages_end = tn.last;
    ad->rq->n_messages = tn.n;
}
