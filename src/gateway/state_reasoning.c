/* SPDX-License-Identifier: Apache-2.0 */
/* Reasoning of turns that ended in calls, for clients that drop it: gathered from an answer, found
 * again by the id of any of its calls, and put back in front of them (translation.md 6, rule 6). */
#include "base/json_scan.h"
#include "base/mem.h"
#include "dialect/json_text.h"
#include "dialect/proof.h"
#include "dialect/request_read.h"
#include "gateway/state-private.h"

#define MAX_BLOCKS 64u
#define MAX_CALLS 32u
/* Of one request: more than that are looked up for nobody. */
#define MAX_LOOK_UPS 512u

/* ---- notes ---- */

struct noted_block {
    uint32_t id;
    bool is_redacted, is_after_text;
    struct buf text, proof, item_id;
};
struct reasoning_notes {
    enum proof_family family;
    size_t max_bytes, bytes;
    bool is_lost;                    /* too much of it: nothing is better than a part */
    bool has_text;                   /* the answer has said something */
    struct buf model;
    struct noted_block blocks[MAX_BLOCKS];
    unsigned n_blocks;
    struct buf calls[MAX_CALLS];
    unsigned n_calls;
};

struct reasoning_notes *reasoning_notes_new(enum proof_family family, size_t max_bytes) {
    struct reasoning_notes *n = mem_zalloc(sizeof *n);
    n->family = family;
    n->max_bytes = max_bytes;
    buf_init(&n->model, 256);
    return n;
}

void reasoning_notes_free(struct reasoning_notes *n) {
    if (!n)
        return;
    for (unsigned i = 0; i < n->n_blocks; i++) {
        buf_dispose(&n->blocks[i].text);
        buf_dispose(&n->blocks[i].proof);
        buf_dispose(&n->blocks[i].item_id);
    }
    for (unsigned i = 0; i < n->n_calls; i++)
        buf_dispose(&n->calls[i]);
    buf_dispose(&n->model);
    mem_free(n);
}

static void note(struct reasoning_notes *n, struct buf *to, struct slice text) {
    n->bytes += text.len;
    if (n->bytes > n->max_bytes || buf_append(to, text) < 0)
        n->is_lost = true;
}

static struct noted_block *find_block(struct reasoning_notes *n, uint32_t id) {
    for (unsigned i = n->n_blocks; i-- > 0;) {
        if (n->blocks[i].id == id)
            return &n->blocks[i];
    }
    return NULL;
}

static void begin_block(struct reasoning_notes *n, const struct event *ev) {
    if (n->n_blocks == MAX_BLOCKS) {
        n->is_lost = true;
        return;
    }
    struct noted_block *b = &n->blocks[n->n_blocks++];
    b->id = ev->block;
    b->is_redacted = ev->block_kind == BLOCK_REDACTED;
    b->is_after_text = n->has_text;
    buf_init(&b->text, n->max_bytes);
    buf_init(&b->proof, n->max_bytes);
    buf_init(&b->item_id, 256);
    if (buf_append(&b->item_id, slice_sub(ev->u.begin.item_id, 0, 256)) < 0)
        n->is_lost = true;
}

static void begin_call(struct reasoning_notes *n, const struct event *ev) {
    if (n->n_calls == MAX_CALLS)
        return;                          /* found by the others */
    struct buf *id = &n->calls[n->n_calls++];
    buf_init(id, STORE_KEY_MAX_BYTES);
    note(n, id, slice_sub(ev->u.begin.id, 0, STORE_KEY_MAX_BYTES));
}

static void begin(struct reasoning_notes *n, const struct event *ev) {
    switch (ev->block_kind) {
    case BLOCK_REASONING:
    case BLOCK_REDACTED: begin_block(n, ev); break;
    case BLOCK_TOOL_CALL:
    case BLOCK_CUSTOM_TOOL_CALL: begin_call(n, ev); break;
    default: break;
    }
}

static void add_text(struct reasoning_notes *n, const struct event *ev, struct slice text) {
    if (ev->block_kind != BLOCK_REASONING) {
        n->has_text = n->has_text || ev->block_kind == BLOCK_TEXT;
        return;
    }
    struct noted_block *b = find_block(n, ev->block);
    if (b)
        note(n, &b->text, text);
}

void reasoning_notes_add(struct reasoning_notes *n, const struct event *ev) {
    struct noted_block *b;
    if (n->is_lost || ev->choice > 0 || (ev->flags & EVF_RECAP))
        return;
    switch (ev->kind) {
    case EV_START:
        buf_reset(&n->model);
        note(n, &n->model, slice_sub(ev->u.start.model, 0, 256));
        break;
    case EV_BLOCK_BEGIN: begin(n, ev); break;
    case EV_DELTA: add_text(n, ev, ev->text); break;
    case EV_PART:
        b = find_block(n, ev->block);
        if (b && b->text.len > 0)
            note(n, &b->text, SLICE("\n\n"));
        break;
    case EV_SIGNATURE:
        b = find_block(n, ev->block);
        if (b)
            note(n, &b->proof, ev->text);
        break;
    default: break;
    }
}

/* ---- what is stored: [{"text":…,"proof":…,"item":…,"redacted":…,"late":…}] ---- */

static int put_member(struct buf *out, const char *name, struct slice text) {
    int rc = buf_appendf(out, "\"%s\":\"", name);
    rc |= json_escape(out, text);
    return buf_append(out, SLICE("\",")) | rc;
}

static int put_proof(const struct reasoning_notes *n, const struct noted_block *b,
                     struct buf *out) {
    struct proof p = {
        .family = n->family,
        .kind = n->family == PROOF_OPENAI ? PROOF_ENCRYPTED
                : b->is_redacted          ? PROOF_REDACTED
                                          : PROOF_SIGNATURE,
        .model = buf_slice(&n->model),
        .item_id = buf_slice(&b->item_id),
        .payload = buf_slice(&b->proof),
    };
    int rc = buf_append(out, SLICE("\"proof\":\""));
    rc |= proof_wrap(out, &p);           /* needs no escaping */
    return buf_append(out, SLICE("\",")) | rc;
}

static int put_blocks(const struct reasoning_notes *n, struct buf *out) {
    int rc = buf_append_byte(out, '[');
    for (unsigned i = 0; i < n->n_blocks && rc == 0; i++) {
        const struct noted_block *b = &n->blocks[i];
        if (b->proof.len == 0)
            continue;
        rc |= buf_append(out, out->len > 1 ? SLICE(",{") : SLICE("{"));
        rc |= put_member(out, "text", buf_slice(&b->text));
        rc |= put_member(out, "item", buf_slice(&b->item_id));
        rc |= put_proof(n, b, out);
        rc |= buf_appendf(out, "\"redacted\":%s,\"late\":%s}", b->is_redacted ? "true" : "false",
                          b->is_after_text ? "true" : "false");
    }
    return buf_append_byte(out, ']') | rc;
}

void state_remember_reasoning(struct state *s, const struct tenant *tenant,
                              const struct reasoning_notes *n) {
    struct buf text;
    if (n->is_lost || n->n_calls == 0)
        return;
    buf_init(&text, 8 * n->max_bytes + 4096);
    if (put_blocks(n, &text) == 0 && text.len > 2) {
        for (unsigned i = 0; i < n->n_calls; i++) {
            struct store_key key = {SPACE_REASONING, slice_cstr(tenant->id),
                                    buf_slice(&n->calls[i])};
            store_put(s->store, &key, buf_slice(&text), s->ttl_ns, NULL);
        }
    }
    buf_dispose(&text);
}

/* ---- putting it back ---- */

static bool part_is_call(const struct part *p) {
    return p->kind == PART_TOOL_CALL || p->kind == PART_CUSTOM_TOOL_CALL;
}
static bool part_is_reasoning(const struct part *p) {
    return p->kind == PART_REASONING || p->kind == PART_REDACTED;
}

/* Calls, and no proof of reasoning beside them, or one that cannot be relied upon: helpers of
 * chat's SDKs put fields that they do not know together by their last piece, so that the text is
 * not what was signed. */
static bool needs_recall(const struct message *m, bool is_chat) {
    bool has_call = false;
    for (unsigned i = 0; i < m->n_parts; i++) {
        if (!is_chat && part_is_reasoning(&m->parts[i]) && m->parts[i].proof.len > 0)
            return false;
        has_call = has_call || part_is_call(&m->parts[i]);
    }
    return m->role == ROLE_ASSISTANT && has_call;
}

static void add_kept(struct parts *to, struct slice kept, bool late, struct arena *a) {
    struct slice item;
    for (struct json_walk w = json_walk_begin(kept); json_walk_element(&w, &item);) {
        if ((json_member_bool(item, SLICE("late"), a) == 1) != late)
            continue;
        bool is_redacted = json_member_bool(item, SLICE("redacted"), a) == 1;
        struct part *p = parts_add(to, a, is_redacted ? PART_REDACTED : PART_REASONING);
        p->text = json_member_string(item, SLICE("text"), a);
        p->item_id = json_member_string(item, SLICE("item"), a);
        p->proof = json_member_string(item, SLICE("proof"), a);
    }
}

/* In front of everything, what was thought before any text; what was thought later right before the
 * first call. Reasoning without a proof, which the client may have kept, gives way. */
static void put_back(struct message *m, struct slice kept, struct arena *a) {
    struct parts all = {0};
    bool is_before_calls = true;
    add_kept(&all, kept, false, a);
    for (unsigned i = 0; i < m->n_parts; i++) {
        if (part_is_reasoning(&m->parts[i]))
            continue;
        if (is_before_calls && part_is_call(&m->parts[i])) {
            add_kept(&all, kept, true, a);
            is_before_calls = false;
        }
        struct part *p = parts_add(&all, a, m->parts[i].kind);
        *p = m->parts[i];
    }
    m->parts = all.list;
    m->n_parts = all.n;
}

static void step(struct state_recall *r);

static void next_message(struct state_recall *r) {
    r->message = r->message->next;
    r->part = 0;
}

static void on_found(struct store_call *c, enum store_status status, struct slice value) {
    struct state_recall *r = c->self;
    if (status == STORE_OK) {
        put_back(r->message, arena_dup(r->arena, value), r->arena);
        next_message(r);
    }
    r->is_answered = true;
    if (!r->is_stepping)
        step(r);
}

/* The next call that may be known; NULL: none is left. */
static const struct part *next_call(struct state_recall *r) {
    for (; r->message && r->n_asked < MAX_LOOK_UPS; next_message(r)) {
        if (r->part == 0 && !needs_recall(r->message, r->is_chat))
            continue;
        while (r->part < r->message->n_parts) {
            const struct part *p = &r->message->parts[r->part++];
            if (part_is_call(p) && p->id.len > 0)
                return p;
        }
    }
    return NULL;
}

/* A loop while answers come at once. */
static void step(struct state_recall *r) {
    const struct part *p;
    r->is_stepping = true;
    while ((p = next_call(r)) != NULL) {
        struct store_key key = {SPACE_REASONING, slice_cstr(r->tenant.id), p->id};
        r->n_asked++;
        r->is_answered = false;
        r->call = (struct store_call){.done = on_found, .self = r, .loop = r->loop};
        store_get(r->state->store, &key, r->state->ttl_ns, &r->call);
        if (!r->is_answered) {
            r->is_stepping = false;
            return;
        }
    }
    r->is_stepping = false;
    r->done(r);
}

void state_recall_begin(struct state *s, struct state_recall *r, const struct tenant *tenant,
                        struct llm_request *rq, struct arena *a) {
    r->state = s;
    r->tenant = *tenant;
    r->arena = a;
    r->message = rq->messages;
    r->is_chat = rq->origin && strcmp(rq->origin, dialect_chat.name) == 0;
    step(r);
}

void state_recall_dispose(struct state_recall *r) {
    if (r->state)
        store_cancel(r->state->store, &r->call);
}
