/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/stored-private.h"

#include "base/mem.h"
#include "base/sha256.h"
#include "dialect/json_write.h"
#include "dialect/request_read.h"

enum { TENANT_BYTES = 32 };              /* hex digits of the key's hash */

struct stored *stored_new(uint64_t max_bytes, int64_t ttl_ns, uint64_t seed) {
    struct stored *s = mem_zalloc(sizeof *s);
    s->store = store_memory_new(max_bytes);
    s->ttl_ns = ttl_ns;
    s->seed = seed;
    s->lock = mem_alloc(sizeof *s->lock);
    pthread_mutex_init(s->lock, NULL);
    return s;
}

void stored_free(struct stored **s) {
    if (!*s) {
        return;
    }
    store_free(&(*s)->store);
    pthread_mutex_destroy((*s)->lock);
    mem_free((*s)->lock);
    mem_free(*s);
    *s = NULL;
}

struct stored *stored_of_key(struct stored *s, struct slice key, struct arena *a) {
    struct stored *part = arena_alloc(a, sizeof *part);
    char hash[SHA256_HEX_BYTES + 1];
    sha256_hex(key, hash);
    *part = *s;
    part->tenant = arena_dup(a, slice_make(hash, TENANT_BYTES));
    return part;
}

bool stored_is_same_part(const struct stored *s, const struct stored *other) {
    return slice_eq(s->tenant, other->tenant);
}

void stored_get_stats(struct stored *s, struct store_stats *out) {
    store_get_stats(s->store, out);
}

/* ---- the store in memory answers at once ---- */

struct asked {
    struct store_call call;          /* first */
    struct arena *arena;             /* NULL: the value is of no interest */
    struct slice value;
    bool is_there;
};

static void on_answer(struct store_call *c, enum store_status status, struct slice value) {
    struct asked *asked = (struct asked *)c;
    asked->is_there = status == STORE_OK;
    if (asked->is_there && asked->arena) {
        asked->value = arena_dup(asked->arena, value);
    }
}

bool stored_get(struct stored *s, const char *space, struct slice id, struct arena *a,
                struct slice *out) {
    const struct store_key key = {space, s->tenant, id};
    struct asked asked = {.call = {.done = on_answer}, .arena = a};
    store_get(s->store, &key, 0, &asked.call);
    *out = asked.value;
    return asked.is_there;
}

static void put(struct stored *s, const char *space, struct slice id, struct slice value) {
    const struct store_key key = {space, s->tenant, id};
    store_put(s->store, &key, value, s->ttl_ns, NULL);
}

static bool take(struct stored *s, const char *space, struct slice id) {
    const struct store_key key = {space, s->tenant, id};
    struct asked asked = {.call = {.done = on_answer}};
    store_take(s->store, &key, &asked.call);
    return asked.is_there;
}

static bool append(struct stored *s, const char *space, struct slice id, struct slice value) {
    const struct store_key key = {space, s->tenant, id};
    struct asked asked = {.call = {.done = on_answer}};
    store_append(s->store, &key, value, s->ttl_ns, &asked.call);
    return asked.is_there;
}

/* ---- records ---- */

struct slice stored_inside(struct slice array) {
    struct slice first;
    struct json_walk w = json_walk_begin(array);
    bool has_one = json_text_is(array, '[') && json_walk_element(&w, &first);
    return has_one ? slice_sub(array, 1, array.len - 2) : SLICE_NULL;
}

bool stored_record_get(struct stored *s, struct slice id, struct arena *a,
                       struct stored_record *out) {
    struct slice text;
    if (!stored_get(s, SPACE_RESPONSE, id, a, &text)) {
        return false;
    }
    out->previous = json_member_string(text, SLICE("previous"), a);
    out->input = stored_inside(json_member(text, SLICE("input"), a));
    out->response = json_member(text, SLICE("response"), a);
    out->output = stored_inside(json_member(out->response, SLICE("output"), a));
    out->is_background = json_member_bool(text, SLICE("background"), a) == 1;
    return true;
}

void stored_pieces_add(struct stored_pieces *p, struct slice piece, struct arena *a) {
    if (piece.len == 0) {
        return;
    }
    if (p->n == p->cap) {
        p->cap = p->cap ? p->cap * 2 : 16;
        struct slice *grown = arena_alloc(a, p->cap * sizeof *grown);
        if (p->n) memcpy(grown, p->list, p->n * sizeof *grown);
        p->list = grown;
    }
    p->list[p->n++] = piece;
}

int stored_pieces_join(const struct stored_pieces *p, struct buf *out) {
    int rc = 0;
    for (unsigned i = p->n; i > 0; i--) {
        rc |= i < p->n ? buf_append_byte(out, ',') : 0;
        rc |= buf_append(out, p->list[i - 1]);
    }
    return rc < 0 ? -ERR_LIMIT : 0;
}

/* False: one of the chain is not there (any more). */
bool stored_follow(struct stored *s, struct slice id, struct arena *a, struct stored_pieces *out) {
    for (unsigned depth = 0; id.ptr; depth++) {
        struct stored_record r;
        if (depth == STORED_MAX_DEPTH || !stored_record_get(s, id, a, &r)) {
            return false;
        }
        stored_pieces_add(out, r.output, a);
        stored_pieces_add(out, r.input, a);
        id = r.previous;
    }
    return true;
}

/* ---- keeping ---- */

struct stored_note {
    struct stored *s;
    struct arena *arena;             /* the note itself is in it */
    struct slice input, previous, conversation_id;
    bool is_stored, is_background;
};

struct stored_note *stored_note_new(struct stored *s, const struct stored_turn *t) {
    struct arena *a = arena_new();
    struct stored_note *n = arena_alloc(a, sizeof *n);
    struct stored *part = arena_alloc(a, sizeof *part);
    *part = *s;
    part->tenant = s->tenant.len > 0 ? arena_dup(a, s->tenant) : SLICE_NULL;
    *n = (struct stored_note){.s = part,
                              .arena = a,
                              .input = arena_dup(a, t->input),
                              .is_stored = t->is_stored,
                              .is_background = t->is_background};
    if (t->previous.ptr) n->previous = arena_dup(a, t->previous);
    if (t->conversation.ptr) n->conversation_id = arena_dup(a, t->conversation_id);
    return n;
}

const struct stored *stored_note_part(const struct stored_note *n) {
    return n->s;
}

void stored_note_free(struct stored_note **n) {
    if (*n) arena_free((*n)->arena);
    *n = NULL;
}

static void keep_items(struct stored *s, struct slice items, char kind, struct slice owner,
                       struct arena *a) {
    struct stored_list list = stored_split(items, a);
    struct slice whose = slice_cstr(arena_printf(a, "%c%.*s", kind, SLICE_FMT(owner)));
    for (size_t i = 0; i < list.n; i++) {
        struct slice id = stored_item_id(list.items[i], a);
        if (id.len > 0) put(s, SPACE_ITEM, id, whose);
    }
}

static void keep_record(const struct stored_note *n, struct slice id, struct slice response,
                        struct arena *a) {
    struct buf text;
    buf_init(&text, n->input.len + response.len + n->previous.len * 6 + 128);
    struct json_writer w = jw_begin(&text);
    jw(&w, SLICE("{\"previous\":"));
    if (n->previous.ptr) jw_string(&w, n->previous);
    else jw(&w, SLICE("null"));
    jw(&w, n->is_background ? SLICE(",\"background\":true,\"input\":[")
                            : SLICE(",\"background\":false,\"input\":["));
    jw(&w, n->input);
    jw(&w, SLICE("],\"response\":"));
    jw(&w, response);
    jw(&w, SLICE("}"));
    if (jw_end(&w) == 0) {
        put(n->s, SPACE_RESPONSE, id, buf_slice(&text));
        keep_items(n->s, n->input, 'r', id, a);
        keep_items(n->s, stored_inside(json_member(response, SLICE("output"), a)), 'r', id, a);
    }
    buf_dispose(&text);
}

static bool is_over(struct slice response, struct arena *a) {
    struct slice status = json_member_string(response, SLICE("status"), a);
    return slice_eq(status, SLICE("completed")) || slice_eq(status, SLICE("incomplete"));
}

/* A turn as one: no other's items come between. */
static struct slice items_joined(struct slice first, struct slice second, struct arena *a) {
    if (first.len == 0 || second.len == 0) {
        return first.len > 0 ? first : second;
    }
    return slice_cstr(arena_printf(a, "%.*s,%.*s", SLICE_FMT(first), SLICE_FMT(second)));
}

void stored_keep(const struct stored_note *n, struct slice response, struct slice events) {
    struct arena *a = arena_new();
    struct slice id = json_member_string(response, SLICE("id"), a);
    if (id.len > 0 && n->is_stored) {
        keep_record(n, id, response, a);
        if (events.len > 0) put(n->s, SPACE_EVENTS, id, events);
    }
    if (n->conversation_id.ptr && is_over(response, a)) {
        struct slice output = stored_inside(json_member(response, SLICE("output"), a));
        (void)stored_items_add(n->s, n->conversation_id, items_joined(n->input, output, a), a);
    }
    arena_free(a);
}

/* ---- answers ---- */

bool stored_response_get(struct stored *s, struct slice id, struct arena *a,
                         struct stored_response *out) {
    struct stored_record r;
    *out = (struct stored_response){.is_background = false};
    if (!stored_record_get(s, id, a, &r)) {
        return false;
    }
    out->response = r.response;
    out->is_background = r.is_background;
    (void)stored_get(s, SPACE_EVENTS, id, a, &out->events);
    return true;
}

bool stored_response_delete(struct stored *s, struct slice id) {
    (void)take(s, SPACE_EVENTS, id);
    return take(s, SPACE_RESPONSE, id);
}

/* Where the chain is broken, what is left is listed. */
static struct slice input_behind(struct stored *s, struct slice previous, struct slice input,
                                 struct arena *a) {
    struct stored_pieces before = {.n = 0};
    struct buf all;
    stored_pieces_add(&before, input, a);
    (void)stored_follow(s, previous, a, &before);
    buf_init(&all, STORED_MAX_BODY_BYTES);
    int rc = stored_pieces_join(&before, &all);
    input = rc ? input : arena_dup(a, buf_slice(&all));
    buf_dispose(&all);
    return input;
}

bool stored_response_input(struct stored *s, struct slice id, struct arena *a, struct slice *out) {
    struct stored_record r;
    if (!stored_record_get(s, id, a, &r)) {
        return false;
    }
    *out = input_behind(s, r.previous, r.input, a);
    return true;
}

struct slice stored_note_input(const struct stored_note *n, struct arena *a) {
    return input_behind(n->s, n->previous, n->input, a);
}

/* ---- conversations ---- */

static struct slice conversation_text(struct slice id, int64_t created, struct slice metadata,
                                      struct arena *a) {
    metadata = json_text_is(metadata, '{') ? metadata : SLICE("{}");
    return slice_cstr(arena_printf(
        a, "{\"id\":\"%.*s\",\"object\":\"conversation\",\"created_at\":%lld,\"metadata\":%.*s}",
        SLICE_FMT(id), (long long)created, SLICE_FMT(metadata)));
}

struct slice stored_conversation_new(struct stored *s, struct slice id, int64_t created,
                                     struct slice metadata, struct slice items, struct arena *a) {
    struct slice text = conversation_text(id, created, metadata, a);
    put(s, SPACE_CONVERSATION, id, text);
    put(s, SPACE_ITEMS, id, SLICE(""));
    (void)stored_items_add(s, id, items, a);
    return text;
}

bool stored_conversation_get(struct stored *s, struct slice id, struct arena *a,
                             struct slice *out) {
    return stored_get(s, SPACE_CONVERSATION, id, a, out);
}

bool stored_conversation_set(struct stored *s, struct slice id, struct slice metadata,
                             struct arena *a, struct slice *out) {
    struct slice text;
    int64_t created = 0;
    pthread_mutex_lock(s->lock);
    bool is_there = stored_get(s, SPACE_CONVERSATION, id, a, &text);
    if (is_there) {
        (void)json_text_int(json_member(text, SLICE("created_at"), a), &created);
        *out = conversation_text(id, created, metadata, a);
        put(s, SPACE_CONVERSATION, id, *out);
    }
    pthread_mutex_unlock(s->lock);
    return is_there;
}

bool stored_conversation_delete(struct stored *s, struct slice id) {
    pthread_mutex_lock(s->lock);
    (void)take(s, SPACE_ITEMS, id);
    bool is_there = take(s, SPACE_CONVERSATION, id);
    pthread_mutex_unlock(s->lock);
    return is_there;
}

bool stored_items_get(struct stored *s, struct slice conversation, struct arena *a,
                      struct slice *out) {
    bool is_there = stored_get(s, SPACE_ITEMS, conversation, a, out);
    *out = slice_from(*out, 1);
    return is_there;
}

bool stored_items_add(struct stored *s, struct slice conversation, struct slice items,
                      struct arena *a) {
    if (items.len == 0) {
        return true;
    }
    struct slice more = slice_cstr(arena_printf(a, ",%.*s", SLICE_FMT(items)));
    pthread_mutex_lock(s->lock);
    bool is_there = append(s, SPACE_ITEMS, conversation, more);
    pthread_mutex_unlock(s->lock);
    if (is_there) {
        keep_items(s, items, 'c', conversation, a);
    }
    return is_there;
}

static bool delete_item(struct stored *s, struct slice conversation, struct slice item,
                        struct arena *a) {
    struct slice items;
    struct buf rest;
    bool is_there = false;
    int rc = 0;
    if (!stored_items_get(s, conversation, a, &items)) {
        return false;
    }
    struct stored_list list = stored_split(items, a);
    buf_init(&rest, items.len + 1);
    for (size_t i = 0; i < list.n; i++) {
        bool is_it = slice_eq(stored_item_id(list.items[i], a), item);
        is_there |= is_it;
        rc |= is_it ? 0 : buf_append_byte(&rest, ',') | buf_append(&rest, list.items[i]);
    }
    if (is_there && rc == 0) put(s, SPACE_ITEMS, conversation, buf_slice(&rest));
    buf_dispose(&rest);
    return is_there;
}

bool stored_items_delete(struct stored *s, struct slice conversation, struct slice item,
                         struct arena *a) {
    pthread_mutex_lock(s->lock);
    bool is_there = delete_item(s, conversation, item, a);
    pthread_mutex_unlock(s->lock);
    if (is_there) {
        (void)take(s, SPACE_ITEM, item);
    }
    return is_there;
}
