/* SPDX-License-Identifier: Apache-2.0 */
/* One turn: what its body refers to is put into it. */
#include "base/buf.h"
#include "dialect/peek.h"
#include "dialect/request_read.h"
#include "dialect/responses/responses_state.h"
#include "mock/stored-private.h"

enum {
    SHOWN_BYTES = 128,
    ID_LOOK_BYTES = 4                /* what comparing an id counts as */
};

/* What may be looked through for the references of one body, in bytes: a few hundred milliseconds
 * of the loop's time. */
#define LOOKED_MAX_BYTES ((size_t)256 << 20)

/* ---- references to items ---- */

/* The answer or conversation that was looked into last: most references of a body lead to one. */
struct look {
    struct arena *arena;             /* of what follows; NULL: none yet */
    struct slice whose;
    struct stored_list items[2];
    struct slice *ids[2];
    size_t looked;                   /* in all */
};

static void look_at(struct look *k, unsigned which, struct slice items) {
    struct stored_list list = stored_split(items, k->arena);
    k->items[which] = list;
    k->ids[which] = arena_alloc(k->arena, (list.n + 1) * sizeof(struct slice));
    for (size_t i = 0; i < list.n; i++) {
        k->ids[which][i] = stored_item_id(list.items[i], k->arena);
    }
}

static void look_end(struct look *k) {
    if (k->arena) {
        k->looked += arena_used_bytes(k->arena);
        arena_free(k->arena);
    }
    k->arena = NULL;
}

/* What is not there has no items. */
static void look_into(struct stored *s, struct look *k, struct slice whose) {
    struct slice owner = slice_from(whose, 1), items;
    struct stored_record r;
    look_end(k);
    *k = (struct look){.arena = arena_new(), .looked = k->looked};
    k->whose = arena_dup(k->arena, whose);
    if (whose.ptr[0] == 'c' && stored_items_get(s, owner, k->arena, &items)) {
        look_at(k, 0, items);
    } else if (whose.ptr[0] == 'r' && stored_record_get(s, owner, k->arena, &r)) {
        look_at(k, 0, r.output);
        look_at(k, 1, r.input);
    }
}

static bool look_find(struct look *k, struct slice id, struct slice *out) {
    for (unsigned which = 0; which < 2; which++) {
        k->looked += k->items[which].n * ID_LOOK_BYTES;
        for (size_t i = 0; i < k->items[which].n; i++) {
            if (slice_eq(k->ids[which][i], id)) {
                *out = k->items[which].items[i];
                return true;
            }
        }
    }
    return false;
}

static bool item_get(struct stored *s, struct look *k, struct slice id, struct arena *a,
                     struct slice *out) {
    struct slice whose;
    if (!stored_get(s, SPACE_ITEM, id, a, &whose) || whose.len == 0) {
        return false;
    }
    if (!k->arena || !slice_eq(k->whose, whose)) {
        look_into(s, k, whose);
    }
    return look_find(k, id, out);
}

static bool is_reference(struct slice item, struct arena *a) {
    struct slice type = json_member_string(item, SLICE("type"), a);
    return type.ptr ? slice_eq(type, SLICE("item_reference"))
                    : !json_member(item, SLICE("role"), a).ptr && stored_item_id(item, a).ptr;
}

static int refuse_item(struct request_fault *fault, unsigned *status, struct slice id) {
    *status = 404;
    return request_refuse(fault, NULL, "input", "Item with id '%.*s' not found.",
                          SLICE_FMT(slice_sub(id, 0, SHOWN_BYTES)));
}

static int refuse_length(struct request_fault *fault) {
    return request_refuse(fault, "context_length_exceeded", "input", "The input is too long.");
}

/* The item in its reference's place. */
static int append_item(struct stored *s, struct slice id, struct arena *a, struct buf *made,
                       struct look *k, struct request_fault *fault, unsigned *status) {
    struct slice found;
    if (k->looked > LOOKED_MAX_BYTES) {
        return refuse_length(fault);
    }
    if (!item_get(s, k, id, a, &found)) {
        return refuse_item(fault, status, id);
    }
    return buf_append(made, found) < 0 ? refuse_length(fault) : 0;
}

/* The body with what its input refers to in the references' places. */
static int resolve(struct stored *s, struct slice body, struct arena *a, struct slice *out,
                   struct request_fault *fault, unsigned *status) {
    struct slice root = slice_from(body, json_text_skip_space(body, 0));
    struct slice input = json_member(root, SLICE("input"), a);
    struct json_walk w = json_walk_begin(input);
    struct slice item;
    struct buf made;
    struct look k = {.looked = 0};
    size_t from = 0;
    int rc = 0;
    buf_init(&made, STORED_MAX_BODY_BYTES);
    while (rc == 0 && json_text_is(input, '[') && json_walk_element(&w, &item)) {
        if (!is_reference(item, a)) {
            continue;
        }
        struct slice id = stored_item_id(item, a);
        size_t at = (size_t)(item.ptr - body.ptr);
        rc = buf_append(&made, slice_sub(body, from, at - from)) < 0
                 ? refuse_length(fault)
                 : append_item(s, id, a, &made, &k, fault, status);
        from = at + item.len;
    }
    if (rc == 0 && from > 0) {
        rc = buf_append(&made, slice_from(body, from)) < 0 ? refuse_length(fault) : 0;
        body = arena_dup(a, buf_slice(&made));
    }
    look_end(&k);
    buf_dispose(&made);
    *out = body;
    return rc;
}

/* ---- a turn ---- */

static void read_wishes(struct slice body, struct arena *a, struct stored_turn *out) {
    struct slice root = slice_from(body, json_text_skip_space(body, 0));
    struct slice talk = json_member(root, SLICE("conversation"), a);
    out->previous = json_member_string(root, SLICE("previous_response_id"), a);
    out->is_stored = json_member_bool(root, SLICE("store"), a) != 0;
    out->is_background = json_member_bool(root, SLICE("background"), a) == 1;
    if (json_text_is(talk, '"') || json_text_is(talk, '{')) {
        out->conversation = talk;
        out->conversation_id = json_text_is(talk, '{') ? json_member_string(talk, SLICE("id"), a)
                                                       : json_text_string(talk, a);
    }
}

static int refuse_previous(struct request_fault *fault, struct slice id) {
    return request_refuse(fault, "previous_response_not_found", "previous_response_id",
                          "Previous response with id '%.*s' not found.",
                          SLICE_FMT(slice_sub(id, 0, SHOWN_BYTES)));
}

static int refuse_conversation(struct request_fault *fault, unsigned *status, struct slice id) {
    *status = 404;
    return request_refuse(fault, NULL, "conversation", "Conversation with id '%.*s' not found.",
                          SLICE_FMT(slice_sub(id, 0, SHOWN_BYTES)));
}

/* What was said before. */
static int gather(struct stored *s, const struct stored_turn *t, struct arena *a,
                  struct stored_pieces *out, struct request_fault *fault, unsigned *status) {
    struct slice items;
    if (t->previous.ptr && !stored_follow(s, t->previous, a, out)) {
        return refuse_previous(fault, t->previous);
    }
    if (t->conversation.ptr) {
        if (!stored_items_get(s, t->conversation_id, a, &items)) {
            return refuse_conversation(fault, status, t->conversation_id);
        }
        stored_pieces_add(out, items, a);
    }
    return 0;
}

static int make_body(struct stored_turn *t, const struct stored_pieces *before, struct slice own,
                     struct arena *a, struct request_fault *fault) {
    struct buf items, made;
    buf_init(&items, STORED_MAX_BODY_BYTES);
    buf_init(&made, STORED_MAX_BODY_BYTES);
    int rc = stored_pieces_join(before, &items);
    rc = rc ? rc : responses_prepend_items(own, buf_slice(&items), a, &made);
    t->body = rc ? SLICE_NULL : arena_dup(a, buf_slice(&made));
    buf_dispose(&items);
    buf_dispose(&made);
    return rc ? request_refuse(fault, "context_length_exceeded", "input",
                               "The conversation has grown too long.")
              : 0;
}

int stored_turn_read(struct stored *s, struct slice body, struct slice seed, struct arena *a,
                     struct stored_turn *out, struct request_fault *fault, unsigned *out_status) {
    struct stored_pieces before = {.n = 0};
    struct slice own;
    *out = (struct stored_turn){.body = body};
    *out_status = 400;
    read_wishes(body, a, out);
    if (out->is_background && !out->is_stored) {
        return request_refuse(fault, NULL, "background",
                              "Background responses must be stored: 'store' is false.");
    }
    int rc = gather(s, out, a, &before, fault, out_status);
    rc = rc ? rc : resolve(s, body, a, &own, fault, out_status);
    if (rc) {
        return rc;
    }
    out->body = own;
    if (out->previous.ptr || out->conversation.ptr) {
        rc = make_body(out, &before, own, a, fault);
    }
    if (rc == 0 && stored_turn_is_kept(out) && stored_items_of(own, seed, a, &out->input) < 0) {
        rc = request_refuse(fault, "invalid_value", "input", "Invalid 'input'.");
    }
    return rc;
}

bool stored_turn_is_kept(const struct stored_turn *t) {
    return t->is_stored || t->conversation.ptr;
}
