/* SPDX-License-Identifier: Apache-2.0 */
/* One turn of a responses client: what its body refers to is put into it, and the answer is kept.
 *
 *   begin → (previous_response_id) kept? ─yes→ its items in front, then the one before it …
 *                                       └no──→ a provider's own? → passed, or not found
 *         → (conversation) the gateway's? ─yes→ its items in front; no: passed, or not found
 *         → finish → done
 *
 * An answer is kept with its own input and the id of the one before: a conversation of n turns
 * costs n turns, and forks share what they have in common. Who goes through a chain keeps it
 * alive. */
#include "base/json_scan.h"
#include "dialect/peek.h"
#include "dialect/request_read.h"
#include "dialect/responses/responses_state.h"
#include "gateway/state-private.h"

/* ---- outcomes ---- */

static void refuse(struct state_turn *t, unsigned status, const char *code, const char *param,
                   const char *what, struct slice id) {
    t->refused_status = status;
    id = slice_sub(id, 0, 128);
    (void)request_refuse(&t->fault, code, param, "%s with id '%.*s' not found.", what,
                         SLICE_FMT(id));
    t->done(t);
}

static void refuse_previous(struct state_turn *t, struct slice id) {
    refuse(t, 400, "previous_response_not_found", "previous_response_id", "Previous response", id);
}

static void refuse_growth(struct state_turn *t) {
    t->refused_status = 400;
    (void)request_refuse(&t->fault, "context_length_exceeded", "input",
                         "The conversation has grown larger than the gateway takes "
                         "(limits.body).");
    t->done(t);
}

/* Is the answer the provider's to keep? */
static bool is_providers(const struct state_turn *t) {
    return t->is_native && t->state->config->providers[t->provider].keeps_responses;
}

static int make_body(struct state_turn *t) {
    struct buf items;
    buf_init(&items, t->state->max_body_bytes);
    int rc = state_pieces_join(t->pieces, &items);
    if (rc == 0)
        rc = responses_prepend_items(t->original, buf_slice(&items), t->arena, &t->made);
    buf_dispose(&items);
    return rc;
}

static void finish(struct state_turn *t) {
    bool is_made = t->previous.ptr || t->conversation.ptr;
    int rc = is_made ? make_body(t) : 0;
    if (is_made)
        t->body = buf_slice(&t->made);
    t->wants_answer = t->is_stored || t->conversation.ptr || is_providers(t);
    if (rc == 0 && (t->is_stored || t->conversation.ptr))
        rc = responses_input_items(t->original, state_seed(t->arena), t->arena, &t->input);
    if (rc < 0)
        refuse_growth(t);
    else
        t->done(t);
}

/* ---- looking things up ---- */

static void on_answer(struct store_call *c, enum store_status status, struct slice value) {
    struct state_turn *t = c->self;
    t->next(t, status, value);
}

static void look_up(struct state_turn *t, const char *space, struct slice tenant, struct slice id,
                    void (*next)(struct state_turn *t, enum store_status status,
                                 struct slice value)) {
    struct store_key key = {space, tenant, id};
    t->call = (struct store_call){.done = on_answer, .self = t, .loop = t->loop};
    t->next = next;
    store_get(t->state->store, &key, t->state->ttl_ns, &t->call);
}

static void follow_chain(struct state_turn *t);

static struct slice tenant_of(const struct state_turn *t) {
    return slice_cstr(t->tenant.id);
}

static void on_native(struct state_turn *t, enum store_status status, struct slice value) {
    int owner = status == STORE_OK ? state_native_read(t->state, &t->tenant, value) : -1;
    bool passes = is_providers(t) && (owner == -1 || owner == (int)t->provider);
    if (passes)
        finish(t);
    else
        refuse_previous(t, t->previous_id);
}

/* Each one found leads to the one before it. */
static void on_kept(struct state_turn *t, enum store_status status, struct slice value) {
    struct state_record r;
    t->is_broken = status != STORE_OK || !state_record_read(value, t->arena, &r) ||
                   t->depth == STATE_MAX_DEPTH;
    t->is_answered = true;
    t->looked_for = SLICE_NULL;
    if (!t->is_broken) {
        state_piece_push(&t->pieces, r.output, t->arena);
        state_piece_push(&t->pieces, r.input, t->arena);
        t->depth++;
        t->looked_for = r.previous.ptr ? arena_dup(t->arena, r.previous) : SLICE_NULL;
    }
    if (!t->is_stepping)
        follow_chain(t);
}

static void end_of_chain(struct state_turn *t) {
    if (t->is_broken && t->depth == 0) {
        look_up(t, SPACE_NATIVE, SLICE_NULL, t->previous_id, on_native);
    } else if (t->is_broken) {
        refuse_previous(t, t->previous_id);
    } else {
        t->previous = t->previous_id;
        finish(t);
    }
}

/* A loop while answers come at once, so that a long chain is no deep recursion. */
static void follow_chain(struct state_turn *t) {
    t->is_stepping = true;
    while (t->looked_for.ptr) {
        t->is_answered = false;
        look_up(t, SPACE_RESPONSE, tenant_of(t), t->looked_for, on_kept);
        if (!t->is_answered) {
            t->is_stepping = false;
            return;
        }
    }
    t->is_stepping = false;
    end_of_chain(t);
}

static void on_items(struct state_turn *t, enum store_status status, struct slice value) {
    if (status == STORE_OK)
        state_piece_push(&t->pieces, slice_from(value, 1), t->arena);
    t->conversation = t->conversation_id;
    finish(t);
}

static void on_conversation(struct state_turn *t, enum store_status status, struct slice value) {
    (void)value;
    if (status == STORE_OK)
        look_up(t, SPACE_ITEMS, tenant_of(t), t->conversation_id, on_items);
    else if (is_providers(t))
        finish(t);
    else
        refuse(t, 404, NULL, "conversation", "Conversation", t->conversation_id);
}

/* ---- begin ---- */

static struct slice kept(struct slice text, struct arena *a) {
    return text.ptr ? arena_dup(a, text) : text;
}

/* The body is gone when the answer comes: ids are copied. */
static void read_body(struct state_turn *t) {
    struct slice body = t->original, value = json_member(body, SLICE("conversation"), t->arena);
    struct slice id = json_text_is(value, '{') ? json_member_string(value, SLICE("id"), t->arena)
                                               : json_text_string(value, t->arena);
    t->conversation_id = kept(id, t->arena);
    id = json_member_string(body, SLICE("previous_response_id"), t->arena);
    t->previous_id = kept(id, t->arena);
    t->is_stored = !is_providers(t) && json_member_bool(body, SLICE("store"), t->arena) != 0;
}

void state_turn_begin(struct state *s, struct state_turn *t, const struct tenant *tenant,
                      struct slice body, unsigned provider, bool is_native) {
    t->state = s;
    t->tenant = *tenant;
    t->body = t->original = body;
    t->provider = provider;
    t->is_native = is_native;
    t->arena = arena_new();
    buf_init(&t->made, s->max_body_bytes);
    buf_init(&t->input, s->max_body_bytes);
    read_body(t);
    if (t->previous_id.ptr && t->conversation_id.ptr) {
        t->refused_status = 400;
        (void)request_refuse(&t->fault, "mutually_exclusive_parameters", "previous_response_id",
                             "Mutually exclusive parameters: 'previous_response_id' and "
                             "'conversation'. Send one of them.");
        t->done(t);
    } else if (t->previous_id.ptr) {
        t->looked_for = t->previous_id;
        follow_chain(t);
    } else if (t->conversation_id.ptr) {
        look_up(t, SPACE_CONVERSATION, tenant_of(t), t->conversation_id, on_conversation);
    } else {
        finish(t);
    }
}

void state_turn_dispose(struct state_turn *t) {
    if (!t->arena)
        return;
    store_cancel(t->state->store, &t->call);
    buf_dispose(&t->made);
    buf_dispose(&t->input);
    arena_free(t->arena);
    t->arena = NULL;
}

/* ---- keep ---- */

static int write_record(const struct state_turn *t, struct slice response, struct buf *out) {
    int rc = buf_append(out, SLICE("{\"previous\":"));
    if (t->previous.ptr) {
        rc |= buf_append_byte(out, '"');
        rc |= json_escape(out, t->previous);
        rc |= buf_append_byte(out, '"');
    } else {
        rc |= buf_append(out, SLICE("null"));
    }
    rc |= buf_append(out, SLICE(",\"input\":["));
    rc |= buf_append(out, buf_slice(&t->input));
    rc |= buf_append(out, SLICE("],\"response\":"));
    rc |= buf_append(out, response);
    return buf_append_byte(out, '}') | rc;
}

static void keep_answer(const struct state_turn *t, struct slice id, struct slice response) {
    struct buf record;
    struct store_key key = {SPACE_RESPONSE, tenant_of(t), id};
    buf_init(&record, t->input.len + response.len + t->previous.len * 6 + 64);
    if (write_record(t, response, &record) == 0)
        store_put(t->state->store, &key, buf_slice(&record), t->state->ttl_ns, NULL);
    buf_dispose(&record);
}

static void keep_in_conversation(const struct state_turn *t, struct slice response) {
    struct slice output = state_inside(json_member(response, SLICE("output"), t->arena));
    struct slice parts[] = {buf_slice(&t->input), output};
    struct store_key key = {SPACE_ITEMS, tenant_of(t), t->conversation};
    struct buf items;
    int rc = 0;
    buf_init(&items, t->input.len + output.len + 2);
    for (unsigned i = 0; i < 2; i++) {
        if (parts[i].len > 0)
            rc |= buf_append_byte(&items, ',') | buf_append(&items, parts[i]);
    }
    if (rc == 0 && items.len > 0)
        store_append(t->state->store, &key, buf_slice(&items), t->state->ttl_ns, NULL);
    buf_dispose(&items);
}

static void note_native(const struct state_turn *t, struct slice id) {
    const struct config_provider *p = &t->state->config->providers[t->provider];
    struct store_key key = {SPACE_NATIVE, SLICE_NULL, id};
    struct slice value = slice_cstr(arena_printf(t->arena, "%s%s", t->tenant.id, p->name));
    store_put(t->state->store, &key, value, t->state->ttl_ns, NULL);
}

/* Only what OpenAI would let a next turn build upon. */
static bool is_complete(struct slice response, struct arena *a) {
    struct slice status = json_member_string(response, SLICE("status"), a);
    return slice_eq(status, SLICE("completed")) || slice_eq(status, SLICE("incomplete"));
}

void state_turn_keep(struct state_turn *t, struct slice response) {
    if (t->is_over || !t->wants_answer || t->refused_status)
        return;
    t->is_over = true;
    struct slice id = json_member_string(response, SLICE("id"), t->arena);
    if (id.len == 0)
        return;
    if (is_providers(t))
        note_native(t, id);
    if (!is_complete(response, t->arena))
        return;
    if (t->is_stored)
        keep_answer(t, id, response);
    if (t->conversation.ptr)
        keep_in_conversation(t, response);
}
