/* SPDX-License-Identifier: Apache-2.0 */
/* The reducer: a stream's events become one answer. */
#include "dialect/dialect.h"

#include "base/arena.h"
#include "base/mem.h"
#include "dialect/json_text.h"

/* What a block or choice costs beside its text. */
#define OVERHEAD_BYTES 256

struct block_store {
    struct answer_block view;
    struct buf text, signature, audio, annotations_json, opaque;
    size_t *parts;
    struct annotation *annotations;
    unsigned cap_parts, cap_annotations;
};

struct choice_store {
    struct answer_choice view;
    struct buf logprobs, refusal_logprobs, annotations;
};

struct answer {
    size_t max_bytes, used_bytes;
    struct arena *arena; /* what is said once */
    struct event_start start;
    bool has_start, has_usage, has_error;
    struct usage usage;
    struct buf usage_wire;
    struct api_error error;
    struct block_store *blocks;
    struct choice_store *choices;
    unsigned n_blocks, cap_blocks, n_choices;
    /* made when asked for: storage moves while it grows, and only then */
    struct answer_block *block_views;
    struct answer_choice *choice_views;
    unsigned n_block_views, n_choice_views;
};

struct answer *answer_new(size_t max_bytes) {
    struct answer *an = mem_zalloc(sizeof *an);
    an->max_bytes = max_bytes;
    an->arena = arena_new();
    buf_init(&an->usage_wire, max_bytes);
    return an;
}

void answer_free(struct answer *an) {
    if (!an) return;
    for (unsigned i = 0; i < an->n_blocks; i++) {
        struct block_store *b = &an->blocks[i];
        buf_dispose(&b->text);
        buf_dispose(&b->signature);
        buf_dispose(&b->audio);
        buf_dispose(&b->annotations_json);
        buf_dispose(&b->opaque);
        mem_free(b->parts);
        mem_free(b->annotations);
    }
    for (unsigned i = 0; i < an->n_choices; i++) {
        buf_dispose(&an->choices[i].logprobs);
        buf_dispose(&an->choices[i].refusal_logprobs);
        buf_dispose(&an->choices[i].annotations);
    }
    buf_dispose(&an->usage_wire);
    mem_free(an->blocks);
    mem_free(an->choices);
    mem_free(an->block_views);
    mem_free(an->choice_views);
    arena_free(an->arena);
    mem_free(an);
}

/* ---- storage, counted ---- */

static int charge(struct answer *an, size_t bytes) {
    if (bytes > an->max_bytes - an->used_bytes) return -ERR_LIMIT;
    an->used_bytes += bytes;
    return 0;
}

static int append(struct answer *an, struct buf *b, struct slice s) {
    int rc = charge(an, s.len);
    return rc ? rc : buf_append(b, s);
}

/* Comma-separated JSON values. */
static int append_item(struct answer *an, struct buf *b, struct slice json) {
    if (json.len == 0) return 0;
    int rc = b->len > 0 ? append(an, b, SLICE(",")) : 0;
    return rc ? rc : append(an, b, json);
}

static int keep(struct answer *an, struct slice s, struct slice *out) {
    int rc = charge(an, s.len);
    if (rc) return rc;
    *out = s.ptr ? arena_dup(an->arena, s) : s;
    return 0;
}

static struct block_store *find_block(struct answer *an, uint32_t id) {
    if (id < an->n_blocks && an->blocks[id].view.id == id) return &an->blocks[id]; /* as a rule */
    for (unsigned i = an->n_blocks; i > 0; i--) {
        if (an->blocks[i - 1].view.id == id) return &an->blocks[i - 1];
    }
    return NULL;
}

/* NULL at the limit. */
static struct choice_store *need_choice(struct answer *an, uint16_t index) {
    unsigned at = 0;
    while (at < an->n_choices && an->choices[at].view.index < index) at++;
    if (at < an->n_choices && an->choices[at].view.index == index) return &an->choices[at];
    if (charge(an, OVERHEAD_BYTES)) return NULL;
    an->choices = mem_realloc(an->choices, (an->n_choices + 1) * sizeof *an->choices);
    memmove(&an->choices[at + 1], &an->choices[at], (an->n_choices - at) * sizeof *an->choices);
    an->n_choices++;
    struct choice_store *c = &an->choices[at];
    *c = (struct choice_store){.view = {.index = index}};
    buf_init(&c->logprobs, an->max_bytes);
    buf_init(&c->refusal_logprobs, an->max_bytes);
    buf_init(&c->annotations, an->max_bytes);
    return c;
}

/* ---- events ---- */

static int add_start(struct answer *an, const struct event_start *s) {
    if (an->has_start) return 0;
    an->has_start = true;
    an->start.origin = s->origin;
    an->start.created = s->created;
    int rc = keep(an, s->id, &an->start.id);
    if (rc == 0) rc = keep(an, s->model, &an->start.model);
    if (rc == 0) rc = keep(an, s->service_tier, &an->start.service_tier);
    return rc ? rc : keep(an, s->role, &an->start.role);
}

static int add_block(struct answer *an, const struct event *ev) {
    int rc = charge(an, OVERHEAD_BYTES);
    if (rc) return rc;
    if (an->n_blocks == an->cap_blocks) {
        an->cap_blocks = an->cap_blocks ? an->cap_blocks * 2 : 4;
        an->blocks = mem_realloc(an->blocks, an->cap_blocks * sizeof *an->blocks);
    }
    const struct event_begin *begin = &ev->u.begin;
    struct block_store *b = &an->blocks[an->n_blocks++];
    *b = (struct block_store){.view = {.id = ev->block,
                                       .choice = ev->choice,
                                       .kind = ev->block_kind,
                                       .group = begin->group,
                                       .is_raw = begin->is_raw,
                                       .audio_expires_at = -1}};
    buf_init(&b->text, an->max_bytes);
    buf_init(&b->signature, an->max_bytes);
    buf_init(&b->audio, an->max_bytes);
    buf_init(&b->annotations_json, an->max_bytes);
    buf_init(&b->opaque, an->max_bytes);
    rc = keep(an, begin->id, &b->view.tool_id);
    if (rc == 0) rc = keep(an, begin->name, &b->view.tool_name);
    if (rc == 0) rc = keep(an, begin->name_space, &b->view.name_space);
    if (rc == 0) rc = keep(an, begin->item_id, &b->view.item_id);
    if (rc == 0) rc = append(an, &b->text, begin->input_json);
    return rc ? rc : keep(an, ev->raw_json, &b->view.raw_json);
}

static int add_audio(struct answer *an, struct block_store *b, struct slice json) {
    if (json_text_is(json, '"')) return append_item(an, &b->audio, json);
    int64_t when;
    if (json_text_int(json, &when)) b->view.audio_expires_at = when;
    return 0;
}

/* What is of the stream, and of no block, is nothing of the answer's. */
static int add_opaque(struct answer *an, const struct event *ev) {
    struct block_store *b = find_block(an, ev->block);
    if (!b || b->view.kind != ev->block_kind || b->view.closed) return 0;
    if (ev->block_kind == BLOCK_AUDIO) return add_audio(an, b, ev->raw_json);
    return append_item(an, &b->opaque, ev->raw_json);
}

static int add_part(struct answer *an, struct block_store *b) {
    int rc = charge(an, sizeof *b->parts);
    if (rc) return rc;
    if (b->view.n_parts == b->cap_parts) {
        b->cap_parts = b->cap_parts ? b->cap_parts * 2 : 4;
        b->parts = mem_realloc(b->parts, b->cap_parts * sizeof *b->parts);
    }
    b->parts[b->view.n_parts++] = b->text.len;
    return 0;
}

static int add_to_block(struct answer *an, const struct event *ev) {
    struct block_store *b = find_block(an, ev->block);
    if (!b) return -ERR_PROTOCOL;
    if (ev->kind == EV_BLOCK_END) b->view.closed = true;
    if (ev->kind == EV_PART) return add_part(an, b);
    if (ev->kind == EV_SIGNATURE) return append(an, &b->signature, ev->text);
    if (ev->kind == EV_DELTA && !(ev->flags & EVF_RECAP)) return append(an, &b->text, ev->text);
    return 0;
}

static int add_tokens(struct answer *an, const struct event *ev) {
    struct choice_store *c = need_choice(an, ev->choice);
    struct json_walk w = json_walk_begin(ev->raw_json);
    struct slice token;
    int rc = c ? 0 : -ERR_LIMIT;
    while (rc == 0 && json_walk_element(&w, &token)) {
        rc = append_item(an, ev->block_kind == BLOCK_REFUSAL ? &c->refusal_logprobs : &c->logprobs,
                         token);
    }
    return rc;
}

static int add_block_annotation(struct answer *an, struct block_store *b, const struct event *ev) {
    struct annotation copy = ev->u.annotation;
    int rc = charge(an, sizeof copy);
    if (rc == 0) rc = keep(an, copy.url, &copy.url);
    if (rc == 0) rc = keep(an, copy.title, &copy.title);
    if (rc == 0) rc = append_item(an, &b->annotations_json, ev->raw_json);
    if (rc) return rc;
    if (b->view.n_annotations == b->cap_annotations) {
        b->cap_annotations = b->cap_annotations ? b->cap_annotations * 2 : 4;
        b->annotations = mem_realloc(b->annotations, b->cap_annotations * sizeof *b->annotations);
    }
    b->annotations[b->view.n_annotations++] = copy;
    return 0;
}

/* Of its block, and, as it came, of the choice. */
static int add_annotation(struct answer *an, const struct event *ev) {
    struct choice_store *c = need_choice(an, ev->choice);
    struct block_store *b = find_block(an, ev->block);
    int rc = c ? append_item(an, &c->annotations, ev->raw_json) : -ERR_LIMIT;
    return rc == 0 && b && b->view.choice == ev->choice ? add_block_annotation(an, b, ev) : rc;
}

static int add_finish(struct answer *an, const struct event *ev) {
    struct choice_store *c = need_choice(an, ev->choice);
    if (!c) return -ERR_LIMIT;
    if (c->view.has_finish) return 0;
    c->view.has_finish = true;
    c->view.finish.reason = ev->u.finish.reason;
    int rc = keep(an, ev->u.finish.wire, &c->view.finish.wire);
    if (rc == 0) rc = keep(an, ev->u.finish.stop_sequence, &c->view.finish.stop_sequence);
    return rc ? rc : keep(an, ev->u.finish.details, &c->view.finish.details);
}

static int add_usage(struct answer *an, const struct usage *u) {
    an->usage = *u;
    an->usage.wire = SLICE_NULL;
    an->has_usage = true;
    buf_reset(&an->usage_wire); /* the last one wins: not charged, but under the same limit */
    return buf_append(&an->usage_wire, u->wire);
}

static int add_error(struct answer *an, const struct api_error *er) {
    if (an->has_error) return 0;
    an->has_error = true;
    an->error.status = er->status;
    int rc = keep(an, er->message, &an->error.message);
    if (rc == 0) rc = keep(an, er->type, &an->error.type);
    if (rc == 0) rc = keep(an, er->code, &an->error.code);
    if (rc == 0) rc = keep(an, er->param, &an->error.param);
    if (rc == 0) rc = keep(an, er->request_id, &an->error.request_id);
    return rc ? rc : keep(an, er->raw, &an->error.raw);
}

int answer_add(struct answer *an, const struct event *ev) {
    switch (ev->kind) {
    case EV_START: return add_start(an, &ev->u.start);
    case EV_BLOCK_BEGIN: return need_choice(an, ev->choice) ? add_block(an, ev) : -ERR_LIMIT;
    case EV_DELTA:
    case EV_SIGNATURE:
    case EV_PART:
    case EV_BLOCK_END: return add_to_block(an, ev);
    case EV_LOGPROBS: return add_tokens(an, ev);
    case EV_ANNOTATION: return add_annotation(an, ev);
    case EV_FINISH: return add_finish(an, ev);
    case EV_USAGE: return add_usage(an, &ev->u.usage);
    case EV_ERROR: return add_error(an, &ev->u.error);
    case EV_OPAQUE: return add_opaque(an, ev);
    case EV_PING:
    case EV_END:
    case EV_KIND_COUNT: break;
    }
    return 0;
}

/* ---- reading ---- */

/* The views are the reader's scratch, not the answer's value: const for callers, and made here. */
unsigned answer_blocks(const struct answer *an, const struct answer_block **out) {
    struct answer *mutable = (struct answer *)(uintptr_t)an;
    if (an->n_block_views < an->n_blocks + 1) {
        mutable->n_block_views = an->n_blocks + 1;
        mutable->block_views = mem_realloc(an->block_views,
                                           mutable->n_block_views * sizeof *an->block_views);
    }
    for (unsigned i = 0; i < an->n_blocks; i++) {
        struct answer_block *v = &mutable->block_views[i];
        *v = an->blocks[i].view;
        v->text = buf_slice(&an->blocks[i].text);
        v->signature = buf_slice(&an->blocks[i].signature);
        v->audio_data_json = buf_slice(&an->blocks[i].audio);
        v->annotations_json = buf_slice(&an->blocks[i].annotations_json);
        v->opaque_json = buf_slice(&an->blocks[i].opaque);
        v->parts = an->blocks[i].parts;
        v->annotations = an->blocks[i].annotations;
    }
    *out = an->block_views;
    return an->n_blocks;
}

unsigned answer_choices(const struct answer *an, const struct answer_choice **out) {
    struct answer *mutable = (struct answer *)(uintptr_t)an;
    if (an->n_choice_views < an->n_choices + 1) {
        mutable->n_choice_views = an->n_choices + 1;
        mutable->choice_views = mem_realloc(an->choice_views,
                                            mutable->n_choice_views * sizeof *an->choice_views);
    }
    for (unsigned i = 0; i < an->n_choices; i++) {
        struct answer_choice *v = &mutable->choice_views[i];
        *v = an->choices[i].view;
        v->logprobs_json = buf_slice(&an->choices[i].logprobs);
        v->refusal_logprobs_json = buf_slice(&an->choices[i].refusal_logprobs);
        v->annotations_json = buf_slice(&an->choices[i].annotations);
    }
    *out = an->choice_views;
    return an->n_choices;
}

bool answer_is_whole(const struct answer *an) {
    const struct answer_choice *choices;
    unsigned n = answer_choices(an, &choices);
    for (unsigned i = 0; i < n; i++) {
        if (!choices[i].has_finish || choices[i].finish.reason == STOP_ERROR) return false;
    }
    return n > 0 && !answer_error(an);
}

const struct usage *answer_usage(const struct answer *an) {
    struct answer *mutable = (struct answer *)(uintptr_t)an;
    mutable->usage.wire = buf_slice(&an->usage_wire);
    return an->has_usage ? &an->usage : NULL;
}

const struct event_start *answer_start(const struct answer *an) {
    return &an->start;
}

const struct api_error *answer_error(const struct answer *an) {
    return an->has_error ? &an->error : NULL;
}
