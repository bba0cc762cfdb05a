/* SPDX-License-Identifier: Apache-2.0 */
/* One turn: what its body refers to is put into it. */
#include "base/buf.h"
#include "dialect/peek.h"
#include "dialect/request_read.h"
#include "dialect/responses/responses_state.h"
#include "mock/stored-private.h"

enum { SHOWN_BYTES = 128 };

/* What may be looked through for the references of one body: each may cost a whole record. */
#define LOOKED_MAX_BYTES ((size_t)1 << 30)

/* ---- references to items ---- */

static bool find_in(struct slice items, struct slice id, struct arena *a, struct slice *out) {
    struct stored_list list = stored_split(items, a);
    for (size_t i = 0; i < list.n; i++) {
        if (slice_eq(stored_item_id(list.items[i], a), id)) {
            *out = list.items[i];
            return true;
        }
    }
    return false;
}

static bool item_get(struct stored *s, struct slice id, struct arena *a, struct slice *out) {
    struct slice whose, items;
    struct stored_record r;
    if (!stored_get(s, SPACE_ITEM, id, a, &whose) || whose.len == 0) {
        return false;
    }
    struct slice owner = slice_from(whose, 1);
    if (whose.ptr[0] == 'c') {
        return stored_items_get(s, owner, a, &items) && find_in(items, id, a, out);
    }
    return stored_record_get(s, owner, a, &r) &&
           (find_in(r.output, id, a, out) || find_in(r.input, id, a, out));
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

/* The item in its reference's place. What it takes to find it is not kept. */
static int append_item(struct stored *s, struct slice id, struct buf *made, size_t *looked,
                       struct request_fault *fault, unsigned *status) {
    struct arena *look = arena_new();
    struct slice found;
    int rc = 0;
    if (*looked > LOOKED_MAX_BYTES) {
        rc = refuse_length(fault);
    } else if (!item_get(s, id, look, &found)) {
        rc = refuse_item(fault, status, id);
    } else if (buf_append(made, found) < 0) {
        rc = refuse_length(fault);
    }
    *looked += arena_used_bytes(look);
    arena_free(look);
    return rc;
}

/* The body with what its input refers to in the references' places. */
static int resolve(struct stored *s, struct slice body, struct arena *a, struct slice *out,
                   struct request_fault *fault, unsigned *status) {
    struct slice root = slice_from(body, json_text_skip_space(body, 0));
    struct slice input = json_member(root, SLICE("input"), a);
    struct json_walk w = json_walk_begin(input);
    struct slice item;
    struct buf made;
    size_t from = 0, looked = 0;
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
                 : append_item(s, id, &made, &looked, fault, status);
        from = at + item.len;
    }
    if (rc == 0 && from > 0) {
        rc = buf_append(&made, slice_from(body, from)) < 0 ? refuse_length(fault) : 0;
        body = arena_dup(a, buf_slice(&made));
    }
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
