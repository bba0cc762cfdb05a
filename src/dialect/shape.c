/* SPDX-License-Identifier: Apache-2.0 */
/* The shaper: see shape-private.h for lanes and slots.
 *
 * Ordinary: a text lane takes the slot at its first text, its deltas go to the sink as they are;
 * the upstream ends it, BLOCK_END, the slot is free. A chat upstream's calls stay open until the
 * finish: the second one waits, the first one's arguments are complete, so it is closed and the
 * second one takes the slot. At the finish whatever waits is given in order.
 * Failure: an error of the upstream's passes at once, whatever waits is left out. */
#include "dialect/shape-private.h"

#include "base/mem.h"

/* A lane's storage that is worth keeping for the next one. */
#define KEEP_BYTES ((size_t)64 << 10)
#define MODEL_MAX_BYTES 256

/* ---- new and free ---- */

static enum client client_of(const struct dialect *d) {
    static const char *const names[] = {[CLIENT_CHAT] = "chat",
                                        [CLIENT_COMPLETIONS] = "completions",
                                        [CLIENT_RESPONSES] = "responses",
                                        [CLIENT_MESSAGES] = "messages"};
    for (int i = 0; i < 4; i++) {
        if (strcmp(d->name, names[i]) == 0) return (enum client)i;
    }
    return CLIENT_CHAT;
}

/* Whose proofs the client's dialect carries as they are. */
static enum proof_family native_family(enum client c) {
    return c == CLIENT_MESSAGES    ? PROOF_ANTHROPIC
           : c == CLIENT_RESPONSES ? PROOF_OPENAI
                                   : PROOF_NONE;
}

static void settle_proofs(struct shaper *s) {
    const struct capabilities *caps = s->t->caps;
    bool is_carried = caps->family != PROOF_NONE || caps->reasoning_history == REASONING_DETAILS;
    s->proofs = is_carried ? PROOFS_WRAP : PROOFS_DROP;
    if (s->is_native || (caps->family != PROOF_NONE && caps->family == native_family(s->client)))
        s->proofs = PROOFS_PASS;
}

struct shaper *shaper_new(const struct translation *t, size_t max_held_bytes) {
    struct shaper *s = mem_zalloc(sizeof *s);
    s->t = t;
    s->client = client_of(t->from);
    s->is_sequential = t->from->is_sequential;
    s->is_native = strcmp(t->from->name, t->to->name) == 0;
    s->max_held_bytes = max_held_bytes;
    s->current = -1;
    stop_set_init(&s->stops, t->stops, t->n_stops);
    buf_init(&s->model, MODEL_MAX_BYTES);
    buf_init(&s->logprobs, max_held_bytes);
    settle_proofs(s);
    return s;
}

void shaper_free(struct shaper *s) {
    if (!s) return;
    for (unsigned i = 0; i < s->n_lanes; i++) {
        buf_dispose(&s->lanes[i].names);
        buf_dispose(&s->lanes[i].queue);
        buf_dispose(&s->lanes[i].hold);
    }
    buf_dispose(&s->model);
    buf_dispose(&s->logprobs);
    mem_free(s->lanes);
    mem_free(s->choices);
    mem_free(s);
}

bool shaper_is_over(const struct shaper *s) {
    return s->is_over;
}

/* ---- storage ---- */

int shape_hold(struct shaper *s, struct buf *b, struct slice bytes) {
    if (bytes.len > s->max_held_bytes - s->held_bytes || buf_append(b, bytes))
        return err_set(s->e, ERR_LIMIT, "more than %zu bytes wait behind an open block",
                       s->max_held_bytes);
    s->held_bytes += bytes.len;
    return 0;
}

void shape_release(struct shaper *s, struct buf *b) {
    s->held_bytes -= b->len;
    if (b->cap > KEEP_BYTES) buf_dispose(b);
    else buf_reset(b);
}

static void free_lane(struct shaper *s, struct lane *l) {
    shape_release(s, &l->names);
    shape_release(s, &l->queue);
    shape_release(s, &l->hold);
    l->state = LANE_FREE;
}

static struct lane *find_lane(struct shaper *s, uint32_t block) {
    if (s->last_lane < s->n_lanes) {
        struct lane *l = &s->lanes[s->last_lane];
        if (l->state != LANE_FREE && l->block_in == block) return l;
    }
    for (unsigned i = 0; i < s->n_lanes; i++) {
        struct lane *l = &s->lanes[i];
        if (l->state == LANE_FREE || l->block_in != block) continue;
        s->last_lane = i;
        return l;
    }
    return NULL;
}

/* Zeroed but for its buffers. NULL at the limit. */
static struct lane *new_lane(struct shaper *s) {
    unsigned i = 0;
    while (i < s->n_lanes && s->lanes[i].state != LANE_FREE) i++;
    if (i == LANES_MAX) return NULL;
    if (i == s->n_lanes) {
        s->n_lanes = s->n_lanes ? s->n_lanes * 2 : 4;
        s->lanes = mem_realloc(s->lanes, s->n_lanes * sizeof *s->lanes);
        for (unsigned j = i; j < s->n_lanes; j++) {
            s->lanes[j] = (struct lane){.state = LANE_FREE};
            buf_init(&s->lanes[j].names, s->max_held_bytes);
            buf_init(&s->lanes[j].queue, s->max_held_bytes);
            buf_init(&s->lanes[j].hold, s->max_held_bytes);
        }
    }
    struct lane *l = &s->lanes[i], fresh = {.names = l->names, .queue = l->queue, .hold = l->hold};
    *l = fresh;
    l->state = LANE_IDLE;
    l->last_delta = SIZE_MAX;
    l->order = s->next_order++;
    s->last_lane = i;
    return l;
}

/* NULL: the client has no such choice, or it is finished. */
static struct choice_state *open_choice(struct shaper *s, uint16_t index) {
    if (index >= (s->t->from->has_choices ? CHOICES_MAX : 1)) return NULL;
    if (index >= s->n_choices) {
        s->choices = mem_realloc(s->choices, (index + 1u) * sizeof *s->choices);
        memset(&s->choices[s->n_choices], 0, (index + 1u - s->n_choices) * sizeof *s->choices);
        s->n_choices = index + 1u;
    }
    return s->choices[index].is_finished ? NULL : &s->choices[index];
}

/* ---- out ---- */

int shape_emit(struct shaper *s, const struct event *ev) {
    return s->sink->emit(s->sink->self, ev);
}

static struct event event_of(const struct lane *l, enum event_kind kind) {
    return (struct event){
        .kind = kind, .choice = l->choice, .block_kind = l->kind, .block = l->block};
}

int shape_emit_text(struct shaper *s, struct lane *l, struct slice text) {
    if (text.len == 0) return 0;
    struct event ev = event_of(l, EV_DELTA);
    ev.flags = EVF_CONTENT;
    ev.text = text;
    ev.block_off = l->off;
    l->off += text.len;
    return shape_emit(s, &ev);
}

/* As it came, where nothing of it changes: then its place in the frame stays true. */
static int pass_text(struct shaper *s, struct lane *l, const struct event *ev) {
    if (l->is_tool && !l->has_content) l->has_content = !shape_is_blank(ev->text);
    if (l->block != ev->block || l->kind != ev->block_kind || l->off != ev->block_off)
        return shape_emit_text(s, l, ev->text);
    l->off += ev->text.len;
    return shape_emit(s, ev);
}

static int emit_begin(struct shaper *s, struct lane *l) {
    struct event ev = event_of(l, EV_BLOCK_BEGIN);
    ev.flags = l->begin_flags;
    ev.raw_json = lane_string(l, LANE_RAW);
    ev.u.begin = (struct event_begin){.id = lane_string(l, LANE_ID),
                                      .name = lane_string(l, LANE_NAME),
                                      .name_space = lane_string(l, LANE_SPACE),
                                      .item_id = lane_string(l, LANE_ITEM),
                                      .wire_index = l->wire_index,
                                      .group = l->group,
                                      .is_raw = l->is_raw};
    return shape_emit(s, &ev);
}

static enum proof_kind proof_kind_of(const struct shaper *s, const struct lane *l) {
    if (s->t->caps->family == PROOF_OPENAI) return PROOF_ENCRYPTED;
    return l->kind_in == BLOCK_REDACTED ? PROOF_REDACTED : PROOF_SIGNATURE;
}

static int emit_proof(struct shaper *s, struct lane *l) {
    struct proof p = {.family = s->t->caps->family,
                      .kind = proof_kind_of(s, l),
                      .model = buf_slice(&s->model),
                      .item_id = lane_string(l, LANE_ITEM),
                      .payload = buf_slice(&l->hold)};
    if (p.payload.len == 0) return 0;
    if (proof_wrap(&l->queue, &p))
        return err_set(s->e, ERR_LIMIT, "a proof of reasoning of %zu bytes", p.payload.len);
    struct event ev = event_of(l, EV_SIGNATURE);
    ev.text = buf_slice(&l->queue);
    int rc = shape_emit(s, &ev);
    buf_reset(&l->queue);
    return rc;
}

/* ---- the queue of a lane ---- */

struct record {
    enum event_kind kind;
    enum annotation_kind annotation;
    int64_t start, end;
    size_t text_len, url_len, title_len;   /* what follows; text is raw_json, where that is told */
    enum block_kind block_kind;
};

static int append_record(struct shaper *s, struct lane *l, const struct event *ev,
                         struct slice text) {
    struct record r = {.kind = ev->kind, .text_len = text.len, .block_kind = ev->block_kind};
    struct slice url = SLICE_NULL, title = SLICE_NULL;
    if (ev->kind == EV_ANNOTATION) {
        r.annotation = ev->u.annotation.kind;
        r.start = ev->u.annotation.start;
        r.end = ev->u.annotation.end;
        url = ev->u.annotation.url;
        title = ev->u.annotation.title;
        r.url_len = url.len;
        r.title_len = title.len;
    }
    l->last_delta = ev->kind == EV_DELTA ? l->queue.len : SIZE_MAX;
    int rc = shape_hold(s, &l->queue, slice_make((const char *)&r, sizeof r));
    if (rc == 0) rc = shape_hold(s, &l->queue, text);
    if (rc == 0) rc = shape_hold(s, &l->queue, url);
    return rc ? rc : shape_hold(s, &l->queue, title);
}

static int enqueue(struct shaper *s, struct lane *l, const struct event *ev) {
    bool is_text = ev->kind == EV_DELTA || ev->kind == EV_SIGNATURE;
    struct slice text = is_text ? ev->text : ev->raw_json;
    if (ev->kind != EV_DELTA || l->last_delta == SIZE_MAX) return append_record(s, l, ev, text);
    struct record r;
    int rc = shape_hold(s, &l->queue, text);
    if (rc) return rc;
    memcpy(&r, l->queue.ptr + l->last_delta, sizeof r);
    r.text_len += text.len;
    memcpy(l->queue.ptr + l->last_delta, &r, sizeof r);
    return 0;
}

static struct slice take(struct slice *rest, size_t len) {
    struct slice s = slice_sub(*rest, 0, len);
    *rest = slice_from(*rest, len);
    return s;
}

static int apply(struct shaper *s, struct lane *l, const struct event *ev);

static int replay(struct shaper *s, struct lane *l) {
    struct slice rest = buf_slice(&l->queue);
    int rc = 0;
    while (rest.len > 0 && rc == 0 && !s->is_over) {
        struct record r;
        struct slice head = take(&rest, sizeof r);
        memcpy(&r, head.ptr, sizeof r);
        struct event ev = event_of(l, r.kind);
        struct slice text = take(&rest, r.text_len);
        ev.block_kind = r.block_kind;
        if (r.kind == EV_DELTA || r.kind == EV_SIGNATURE) ev.text = text;
        else ev.raw_json = text;
        if (r.kind == EV_ANNOTATION) {
            ev.u.annotation = (struct annotation){
                .kind = r.annotation, .start = r.start, .end = r.end,
                .url = take(&rest, r.url_len), .title = take(&rest, r.title_len)};
        }
        rc = apply(s, l, &ev);
    }
    if (rc == 0 && !s->is_over) shape_release(s, &l->queue);
    l->last_delta = SIZE_MAX;
    return rc;
}

/* ---- lanes ---- */

/* One event of a lane that is open. */
static int apply(struct shaper *s, struct lane *l, const struct event *ev) {
    if (ev->kind == EV_DELTA) {
        switch (l->mode) {
        case LANE_PASS: return pass_text(s, l, ev);
        case LANE_STOPS: return shape_stop_text(s, l, ev->text);
        case LANE_ARGS: return shape_tool_args(s, l, ev->text);
        case LANE_WHOLE: return shape_hold(s, &l->hold, ev->text);
        }
    }
    struct event out = *ev;
    out.block = l->block;
    out.block_kind = l->kind;
    return shape_emit(s, &out);
}

static bool is_complete(const struct lane *l) {
    return l->is_tool && l->track.is_complete;
}

static struct lane *next_waiting(struct shaper *s) {
    struct lane *first = NULL;
    for (unsigned i = 0; i < s->n_lanes; i++) {
        struct lane *l = &s->lanes[i];
        if (l->state == LANE_WAITING && (!first || l->order < first->order)) first = l;
    }
    return first;
}

static int open_lane(struct shaper *s, struct lane *l) {
    struct choice_state *c = &s->choices[l->choice];
    l->state = LANE_OPEN;
    l->block = s->next_block++;
    if (l->is_tool && !l->is_hidden_tool) {
        if (++c->n_calls > CALLS_MAX && s->client == CLIENT_CHAT)
            return err_set(s->e, ERR_PROTOCOL, "more than %d tool calls", CALLS_MAX);
        c->any_tool = true;
        if (c->n_calls == 1 && l->kind == BLOCK_TOOL_CALL && s->client == CLIENT_CHAT &&
            s->t->legacy_functions)
            l->kind = BLOCK_FUNCTION_CALL;
    }
    int rc = emit_begin(s, l);
    return rc || l->queue.len == 0 ? rc : replay(s, l);
}

static int emit_end(struct shaper *s, const struct lane *l) {
    struct event ev = event_of(l, EV_BLOCK_END);
    ev.flags = l->is_ended ? 0 : EVF_SYNTH;
    return shape_emit(s, &ev);
}

static int close_lane(struct shaper *s, struct lane *l) {
    int rc = 0;
    if (l->is_tool) {
        bool is_cut = l->mode == LANE_ARGS && l->track.is_begun && !l->track.is_complete;
        if (l->choice < s->n_choices) s->choices[l->choice].has_cut_call |= is_cut;
        rc = shape_tool_end(s, l);
    } else if (l->mode == LANE_STOPS) rc = shape_stop_end(s, l);
    else if (s->proofs == PROOFS_WRAP) rc = emit_proof(s, l);
    if (rc || s->is_over) return rc;
    rc = emit_end(s, l);
    l->state = LANE_CLOSED;
    if (s->current == l - s->lanes) s->current = -1;
    if (l->is_ended) free_lane(s, l);
    return rc;
}

/* Lets lanes through the one slot until one has to stay open, or nothing waits. */
static int pump(struct shaper *s) {
    int rc = 0;
    while (rc == 0 && !s->is_over) {
        struct lane *l = s->current >= 0 ? &s->lanes[s->current] : NULL;
        struct lane *next = l && !l->is_ended && !is_complete(l) ? NULL : next_waiting(s);
        if (l && !l->is_ended && !next) return 0;
        if (l) {
            rc = close_lane(s, l);
        } else if (next) {
            s->current = (int)(next - s->lanes);
            rc = open_lane(s, next);
        } else {
            return 0;
        }
    }
    return rc;
}

/* The lane has something to show. */
static int make_ready(struct shaper *s, struct lane *l) {
    l->order = s->next_order++;
    if (!s->is_sequential) return open_lane(s, l);
    l->state = LANE_WAITING;
    return pump(s);
}

static int need_ready(struct shaper *s, struct lane *l) {
    return l->state == LANE_IDLE && !l->is_suspended ? make_ready(s, l) : 0;
}

/* To the client when it is open, else behind what it has said. */
static int give(struct shaper *s, struct lane *l, const struct event *ev) {
    if (l->state == LANE_OPEN) return apply(s, l, ev);
    return l->state == LANE_CLOSED ? 0 : enqueue(s, l, ev);
}

/* ---- BLOCK_BEGIN ---- */

/* Blocks that the client's dialect has no place for. */
static bool is_left_out(const struct shaper *s, const struct event *ev) {
    switch (ev->block_kind) {
    case BLOCK_TEXT: return s->json_tool_seen;
    case BLOCK_OPAQUE:
    case BLOCK_AUDIO: return !s->is_native;
    case BLOCK_REDACTED: return s->proofs == PROOFS_DROP;
    case BLOCK_TOOL_CALL:
    case BLOCK_FUNCTION_CALL:
        return s->json_tool_seen && slice_eq(ev->u.begin.name, s->t->json_tool);
    default: return false;
    }
}

static int keep_strings(struct shaper *s, struct lane *l, const struct event_begin *b,
                        struct slice raw) {
    const struct slice strings[LANE_STRINGS] = {b->id,      b->name,       b->name_space,
                                                b->item_id, b->input_json, raw};
    for (int i = 0; i < LANE_STRINGS; i++) {
        l->lens[i] = strings[i].len;
        int rc = strings[i].len ? shape_hold(s, &l->names, strings[i]) : 0;
        if (rc) return rc;
    }
    return 0;
}

/* Text that stood before the hidden tool's call is no part of the answer. */
static void drop_preamble(struct shaper *s) {
    s->json_tool_seen = true;
    for (unsigned i = 0; i < s->n_lanes; i++) {
        if (s->lanes[i].state == LANE_IDLE && s->lanes[i].is_suspended)
            free_lane(s, &s->lanes[i]);
    }
}

static int settle_lane(struct shaper *s, struct lane *l, const struct event *ev) {
    char made[MADE_ID_BYTES];
    struct event_begin begin = ev->u.begin;
    l->kind = l->kind_in = ev->block_kind;
    l->block_in = ev->block;
    l->choice = ev->choice;
    l->begin_flags = ev->flags & EVF_CONTENT;
    l->wire_index = begin.wire_index;
    l->group = begin.group;
    l->is_raw = begin.is_raw;
    l->is_tool = ev->block_kind == BLOCK_TOOL_CALL || ev->block_kind == BLOCK_FUNCTION_CALL ||
                 ev->block_kind == BLOCK_CUSTOM_TOOL_CALL;
    if (l->is_tool) shape_tool_begin(s, l, &begin, made);
    if (l->kind == BLOCK_REFUSAL && s->client == CLIENT_MESSAGES) l->kind = BLOCK_TEXT;
    if (l->kind_in == BLOCK_TEXT) {
        l->mode = s->stops.n > 0 ? LANE_STOPS : LANE_PASS;
        l->is_suspended = s->t->json_tool.len > 0;
    }
    return keep_strings(s, l, &begin, ev->raw_json);
}

static int take_logprobs(struct shaper *s, struct lane *l) {
    if (s->logprobs.len == 0 || s->logprobs_choice != l->choice || s->logprobs_kind != l->kind_in)
        return 0;
    struct event ev = {
        .kind = EV_LOGPROBS, .block_kind = l->kind_in, .raw_json = buf_slice(&s->logprobs)};
    int rc = append_record(s, l, &ev, ev.raw_json);
    shape_release(s, &s->logprobs);
    return rc;
}

static int on_begin(struct shaper *s, const struct event *ev) {
    if (is_left_out(s, ev) || !open_choice(s, ev->choice)) return 0;
    struct lane *l = new_lane(s);
    if (!l) return err_set(s->e, ERR_PROTOCOL, "more than %d blocks are open", LANES_MAX);
    int rc = settle_lane(s, l, ev);
    if (rc == 0) rc = take_logprobs(s, l);
    if (rc) return rc;
    if (l->is_hidden_tool) drop_preamble(s);
    bool shows = (l->is_tool && !l->is_nameless) || l->kind == BLOCK_OPAQUE ||
                 l->kind == BLOCK_AUDIO || (s->is_native && !l->is_tool);
    return shows ? need_ready(s, l) : 0;
}

/* ---- what comes for a block ---- */

static bool tool_is_open(const struct shaper *s) {
    return s->current >= 0 && s->lanes[s->current].is_tool;
}

static int on_delta(struct shaper *s, const struct event *ev) {
    if (ev->text.len == 0 || ev->flags & EVF_RECAP) return 0;
    struct lane *l = find_lane(s, ev->block);
    if (!l) return 0;
    if (l->state == LANE_OPEN) return apply(s, l, ev);
    if (l->state == LANE_CLOSED) return l->is_tool ? shape_tool_late(s, l, ev->text) : 0;
    if (l->state == LANE_IDLE && l->is_nameless) return 0; /* an error at its end */
    /* Line breaks between calls are no text, unless some follows. */
    bool is_nothing_yet = l->state == LANE_IDLE && l->kind_in == BLOCK_TEXT && tool_is_open(s) &&
                          !l->has_content && shape_is_blank(ev->text);
    if (is_nothing_yet) return enqueue(s, l, ev);
    l->has_content = l->has_content || !l->is_tool;
    int rc = need_ready(s, l);
    return rc || s->is_over ? rc : give(s, l, ev);
}

/* After a delta of the open call its end may be known, and another may go on. */
static int after_delta(struct shaper *s, const struct event *ev) {
    if (ev->block_kind == BLOCK_REFUSAL && ev->text.len > 0 && ev->choice < s->n_choices)
        s->choices[ev->choice].any_refusal = true;
    return s->current >= 0 && is_complete(&s->lanes[s->current]) ? pump(s) : 0;
}

static int on_signature(struct shaper *s, const struct event *ev) {
    struct lane *l = find_lane(s, ev->block);
    bool is_thought = l && (l->kind_in == BLOCK_REASONING || l->kind_in == BLOCK_REDACTED);
    if (!is_thought || ev->text.len == 0 || s->proofs == PROOFS_DROP) return 0;
    int rc = s->proofs == PROOFS_WRAP ? shape_hold(s, &l->hold, ev->text) : 0;
    if (rc == 0) rc = need_ready(s, l);
    return rc || s->is_over || s->proofs == PROOFS_WRAP ? rc : give(s, l, ev);
}

/* EV_PART, EV_ANNOTATION: they say nothing by themselves. */
static int on_mark(struct shaper *s, const struct event *ev) {
    struct lane *l = find_lane(s, ev->block);
    if (!l || l->choice != ev->choice || l->is_tool) return 0;
    return ev->kind == EV_PART && l->state == LANE_IDLE && !l->has_content ? 0 : give(s, l, ev);
}

static int on_opaque(struct shaper *s, const struct event *ev) {
    if (!s->is_native) return 0;
    if (ev->block == BLOCK_NONE) return shape_emit(s, ev);
    struct lane *l = find_lane(s, ev->block);
    return l && l->state != LANE_IDLE ? give(s, l, ev) : 0;
}

static int on_logprobs(struct shaper *s, const struct event *ev) {
    struct lane *last = NULL;
    if (s->client == CLIENT_MESSAGES || !open_choice(s, ev->choice)) return 0;
    for (unsigned i = 0; i < s->n_lanes; i++) {
        struct lane *l = &s->lanes[i];
        bool fits = l->state != LANE_FREE && !l->is_ended && l->choice == ev->choice &&
                    l->kind_in == ev->block_kind;
        if (fits && (!last || l->block_in > last->block_in)) last = l;
    }
    if (last) return give(s, last, ev);
    shape_release(s, &s->logprobs);
    s->logprobs_kind = ev->block_kind;
    s->logprobs_choice = ev->choice;
    return shape_hold(s, &s->logprobs, ev->raw_json);
}

static int end_idle(struct shaper *s, struct lane *l) {
    if (l->is_nameless)
        return err_set(s->e, ERR_PROTOCOL, "the upstream sent a tool call without a name");
    free_lane(s, l);
    return 0;
}

static int on_end_of_block(struct shaper *s, const struct event *ev) {
    struct lane *l = find_lane(s, ev->block);
    if (!l) return 0;
    l->is_ended = true;
    switch (l->state) {
    case LANE_IDLE: return l->is_suspended ? 0 : end_idle(s, l);
    case LANE_OPEN: return s->is_sequential ? pump(s) : close_lane(s, l);
    case LANE_CLOSED: free_lane(s, l); return 0;
    case LANE_WAITING:
    case LANE_FREE: break;
    }
    return 0;
}

/* ---- the finish ---- */

static bool is_of(const struct lane *l, enum lane_state state, uint16_t choice) {
    return l->state == state && l->choice == choice;
}

/* The hidden tool was not called: the text was the answer. */
static int resume_texts(struct shaper *s, uint16_t choice) {
    for (int rc;;) {
        struct lane *first = NULL;
        for (unsigned i = 0; i < s->n_lanes; i++) {
            struct lane *l = &s->lanes[i];
            if (is_of(l, LANE_IDLE, choice) && l->is_suspended &&
                (!first || l->order < first->order))
                first = l;
        }
        if (!first || s->is_over) return 0;
        first->is_suspended = false;
        rc = first->has_content ? make_ready(s, first) : 0;
        if (rc == 0 && first->state == LANE_OPEN && !s->is_sequential) rc = close_lane(s, first);
        if (rc) return rc;
    }
}

static int close_all(struct shaper *s, uint16_t choice) {
    for (int rc;;) {
        struct lane *first = NULL;
        for (unsigned i = 0; i < s->n_lanes; i++) {
            struct lane *l = &s->lanes[i];
            if (is_of(l, LANE_OPEN, choice) && (!first || l->block < first->block)) first = l;
        }
        if (!first || s->is_over) return 0;
        if ((rc = close_lane(s, first))) return rc;
    }
}

/* Gives what waits, in order, and ends it. */
static int flush(struct shaper *s, uint16_t choice) {
    int rc = 0;
    for (unsigned i = 0; i < s->n_lanes; i++) {
        struct lane *l = &s->lanes[i];
        if (l->state != LANE_FREE && l->choice == choice) l->is_ended = true;
    }
    rc = resume_texts(s, choice);
    if (rc == 0 && !s->is_over) rc = s->is_sequential ? pump(s) : close_all(s, choice);
    for (unsigned i = 0; rc == 0 && !s->is_over && i < s->n_lanes; i++) {
        struct lane *l = &s->lanes[i];
        if (is_of(l, LANE_IDLE, choice)) rc = end_idle(s, l);
        else if (is_of(l, LANE_CLOSED, choice)) free_lane(s, l);
    }
    return rc;
}

static int emit_broken(struct shaper *s, const char *message) {
    struct event ev = {.kind = EV_ERROR,
                       .u.error = {.status = 502,
                                   .message = slice_cstr(message),
                                   .type = SLICE("server_error"),
                                   .code = SLICE("upstream_error")}};
    s->is_over = true;
    return shape_emit(s, &ev);
}

/* What the upstream says, and what the answer shows (translation.md 1.1). */
static enum stop_reason reason_of(const struct shaper *s, const struct choice_state *c,
                                  enum stop_reason told) {
    if (told == STOP_TOOL && !c->any_tool) told = STOP_END;
    if (told == STOP_END && c->any_tool) return STOP_TOOL;
    if (told == STOP_END && c->any_refusal && s->client == CLIENT_MESSAGES) return STOP_FILTER;
    return told;
}

static int on_finish(struct shaper *s, const struct event *ev) {
    struct choice_state *c = open_choice(s, ev->choice);
    if (!c) return 0;
    if (ev->u.finish.reason == STOP_ERROR)
        return emit_broken(s, "the upstream ended the answer with an error");
    int rc = flush(s, ev->choice);
    if (rc || s->is_over) return rc;
    struct event out = *ev;
    c = &s->choices[ev->choice];
    out.u.finish.reason = reason_of(s, c, ev->u.finish.reason);
    /* its SDK would complete the JSON and run half a call */
    if (c->has_cut_call && out.u.finish.reason == STOP_TOOL && s->client == CLIENT_MESSAGES)
        return err_set(s->e, ERR_PROTOCOL, "the upstream cut a tool call's arguments");
    c->is_finished = true;
    return shape_emit(s, &out);
}

int shape_stopped(struct shaper *s, struct lane *l, struct slice stop) {
    struct event ev = {.kind = EV_FINISH,
                       .choice = l->choice,
                       .flags = EVF_SYNTH,
                       .u.finish = {.reason = STOP_SEQUENCE, .stop_sequence = stop}};
    struct event end = {.kind = EV_END, .flags = EVF_SYNTH};
    int rc = 0;
    s->is_over = true;
    for (unsigned i = 0; i < s->n_lanes && rc == 0; i++) {
        if (s->lanes[i].state == LANE_OPEN) rc = emit_end(s, &s->lanes[i]);
    }
    if (rc == 0) rc = shape_emit(s, &ev);
    return rc ? rc : shape_emit(s, &end);
}

/* An end mark with nothing before it is no answer. */
static bool is_answered(const struct shaper *s) {
    for (unsigned i = 0; i < s->n_choices; i++) {
        if (s->choices[i].is_finished) return true;
    }
    return false;
}

static int on_end(struct shaper *s, const struct event *ev) {
    int rc = 0;
    if (!is_answered(s)) return emit_broken(s, "the upstream ended its stream without an answer");
    for (unsigned i = 0; i < s->n_choices && rc == 0 && !s->is_over; i++)
        rc = s->choices[i].is_finished ? 0 : flush(s, (uint16_t)i);
    if (rc || s->is_over) return rc;
    s->is_over = true;
    return shape_emit(s, ev);
}

/* ---- the beginning ---- */

static int on_start(struct shaper *s, const struct event *ev) {
    const struct event_start *told = &ev->u.start;
    if (s->has_start) return 0;
    s->has_start = true;
    s->seed = slice_hash(slice_hash(SLICE_HASH_START, told->id), told->model) ^
              (uint64_t)told->created;
    if (buf_append(&s->model, slice_sub(told->model, 0, MODEL_MAX_BYTES)))
        buf_reset(&s->model); /* cannot be */
    return shape_emit(s, ev);
}

/* ---- events ---- */

static int on_error(struct shaper *s, const struct event *ev) {
    s->is_over = true;
    return shape_emit(s, ev);
}

static int dispatch(struct shaper *s, const struct event *ev) {
    int rc;
    switch (ev->kind) {
    case EV_DELTA: rc = on_delta(s, ev); return rc || s->is_over ? rc : after_delta(s, ev);
    case EV_BLOCK_BEGIN: return on_begin(s, ev);
    case EV_BLOCK_END: return on_end_of_block(s, ev);
    case EV_SIGNATURE: return on_signature(s, ev);
    case EV_PART:
    case EV_ANNOTATION: return on_mark(s, ev);
    case EV_LOGPROBS: return on_logprobs(s, ev);
    case EV_OPAQUE: return on_opaque(s, ev);
    case EV_START: return on_start(s, ev);
    case EV_FINISH: return on_finish(s, ev);
    case EV_USAGE:
    case EV_PING: return shape_emit(s, ev);
    case EV_ERROR: return on_error(s, ev);
    case EV_END: return on_end(s, ev);
    case EV_KIND_COUNT: break;
    }
    return 0;
}

static int refuse_broken(struct err *e) {
    return err_set(e, ERR_PROTOCOL, "the upstream contradicts itself: "
                                    "pieces of its answer were lost, doubled or damaged");
}

int shaper_event(struct shaper *s, const struct event *ev, const struct event_sink *sink,
                 struct err *e) {
    if (s->is_over || s->failed) return s->failed;
    s->sink = sink;
    s->e = e;
    s->failed = ev->flags & EVF_BROKEN ? refuse_broken(e) : dispatch(s, ev);
    return s->failed;
}
