/* SPDX-License-Identifier: Apache-2.0 */
/* A script becomes segments: what has a place in the dialect, in the order it can be said in. */
#include "mock/reply-private.h"

enum { MAX_CALLS = 128 };             /* what chat's encoder takes; more are left out */

/* ---- one block ---- */

static size_t to_code_point(struct slice text, size_t at) {
    while (at < text.len && ((unsigned char)text.ptr[at] & 0xc0) == 0x80) {
        at++;
    }
    return at;
}

/* The pieces one after the other; where each ends, when that matters. */
static void store_pieces(struct plan *p, struct segment *seg, const struct script_block *b) {
    seg->text = (struct span){(uint32_t)p->store.len, 0};
    for (unsigned i = 0; i < b->n_pieces; i++) {
        seg->text.len += plan_store(p, b->pieces[i]).len;
    }
}

static void store_cuts(struct plan *p, struct segment *seg, const struct script_block *b) {
    struct slice text = plan_text(p, seg->text);
    size_t end = 0, before = 0;
    seg->cutting = CUT_PIECES;
    seg->first_cut = p->n_cuts;
    for (unsigned i = 0; i < b->n_pieces; i++) {
        end += b->pieces[i].len;
        size_t at = to_code_point(text, end < text.len ? end : text.len);
        if (at > before) {
            plan_add_cut(p, at);
            before = at;
        }
    }
    seg->n_cuts = p->n_cuts - seg->first_cut;
}

static bool is_call_kind(enum block_kind kind) {
    return kind == BLOCK_TOOL_CALL || kind == BLOCK_CUSTOM_TOOL_CALL || kind == BLOCK_FUNCTION_CALL;
}

static void add_call(struct plan *p, struct segment *seg, const struct script_block *b) {
    seg->name = plan_store(p, b->name.len > 0 ? b->name : SLICE("tool"));
    seg->id = plan_store(p, b->id);
    if (seg->text.len == 0 && seg->kind != BLOCK_CUSTOM_TOOL_CALL) {
        seg->text = plan_store(p, SLICE("{}"));
        seg->cutting = CUT_TOKENS;
    }
}

static void add_notes(struct plan *p, struct segment *seg, const struct script_block *b) {
    seg->first_note = p->n_notes;
    for (unsigned i = 0; i < b->n_annotations; i++) {
        if (b->annotations[i].kind == ANNOTATION_URL && b->annotations[i].url.len > 0) {
            plan_add_note(p, &b->annotations[i]);
        }
    }
    seg->n_notes = p->n_notes - seg->first_note;
}

static void add_block(struct plan *p, const struct script_block *b, enum block_kind kind) {
    struct segment *seg = plan_add(p, kind, SOURCE_FIXED, SLICE_NULL);
    seg->has_proof = b->proof.ptr != NULL;
    seg->proof = plan_store(p, b->proof);
    seg->has_pause = b->has_pause;
    seg->pause = b->has_pause ? law_copy(&b->pause, NULL) : LAW_ZERO;
    if (kind != BLOCK_REDACTED) {
        store_pieces(p, seg, b);
    }
    if (b->as_written) {
        store_cuts(p, seg, b);
    } else if (b->chunk_bytes > 0) {
        seg->cutting = CUT_CHUNKS;
        seg->chunk_bytes = b->chunk_bytes;
    }
    if (is_call_kind(kind)) {
        add_call(p, seg, b);
    } else if (kind == BLOCK_TEXT) {
        add_notes(p, seg, b);
    }
}

/* ---- what has a place ---- */

/* A redacted thought is its data: where that is none, or has no place, nothing is left of it. */
static bool shows_redacted(const struct plan *p, const struct script_block *b) {
    if (b->proof.ptr) {
        return b->proof.len > 0;
    }
    return p->dialect == &dialect_messages || (p->dialect == &dialect_responses && p->proves);
}

static bool kind_has_place(enum block_kind kind, const struct dialect *d) {
    if (d == &dialect_completions) {
        return kind == BLOCK_TEXT || kind == BLOCK_REFUSAL;
    }
    switch (kind) {
    case BLOCK_TEXT:
    case BLOCK_REASONING:
    case BLOCK_REDACTED:
    case BLOCK_REFUSAL:
    case BLOCK_TOOL_CALL:
    case BLOCK_CUSTOM_TOOL_CALL:
    case BLOCK_FUNCTION_CALL:
        return true;
    default:
        return false;
    }
}

static bool has_place(const struct plan *p, const struct script_block *b) {
    return kind_has_place(b->kind, p->dialect) &&
           (b->kind != BLOCK_REDACTED || shows_redacted(p, b));
}

const char *script_left_out(unsigned kinds, const struct dialect *d, unsigned *io_at) {
    static const struct {
        enum block_kind kind, also;
        const char *name;
    } rows[] = {{BLOCK_REASONING, BLOCK_REASONING, "thinking"},
                {BLOCK_REDACTED, BLOCK_REDACTED, "redacted"},
                {BLOCK_TOOL_CALL, BLOCK_CUSTOM_TOOL_CALL, "tool_calls"}};
    while (*io_at < sizeof rows / sizeof rows[0]) {
        unsigned i = (*io_at)++;
        bool is_among = kinds & (1u << rows[i].kind | 1u << rows[i].also);
        if (is_among && !kind_has_place(rows[i].kind, d)) {
            return rows[i].name;
        }
    }
    return NULL;
}

/* The legacy form is asked for by the request, and has one call at most. */
static enum block_kind kind_said(const struct plan *p, enum block_kind kind) {
    if (kind == BLOCK_FUNCTION_CALL && !p->calls_are_functions) {
        return BLOCK_TOOL_CALL;
    }
    return is_call_kind(kind) && p->calls_are_functions ? BLOCK_FUNCTION_CALL : kind;
}

struct adding {
    struct plan *plan;
    const struct script *script;
    unsigned calls;
};

static void add_at(struct adding *g, unsigned i) {
    const struct script_block *b = &g->script->blocks[i];
    enum block_kind kind = kind_said(g->plan, b->kind);
    unsigned most = kind == BLOCK_FUNCTION_CALL ? 1 : MAX_CALLS;
    if (!has_place(g->plan, b) || (is_call_kind(kind) && g->calls == most)) {
        return;
    }
    g->calls += is_call_kind(kind);
    add_block(g->plan, b, kind);
}

/* ---- in what order ---- */

static bool is_thought_kind(enum block_kind kind) {
    return kind == BLOCK_REASONING || kind == BLOCK_REDACTED;
}

static unsigned count_calls(const struct script *s) {
    unsigned n = 0;
    for (unsigned i = 0; i < s->n_blocks; i++) {
        n += is_call_kind(s->blocks[i].kind);
    }
    return n;
}

static void add_in_order(struct adding *g) {
    unsigned first = g->plan->n_segments;
    for (unsigned i = 0; i < g->script->n_blocks; i++) {
        add_at(g, i);
    }
    plan_add_track(g->plan, first, false);
}

/* Each call on a track of its own, everything else on the first one; the thoughts that the script
 * begins with come before all. */
static void add_interleaved(struct adding *g) {
    struct plan *p = g->plan;
    const struct script *s = g->script;
    unsigned first = p->n_segments, lead = 0;
    while (lead < s->n_blocks && is_thought_kind(s->blocks[lead].kind)) {
        add_at(g, lead++);
    }
    p->lead_end = p->n_segments;
    for (unsigned i = lead; i < s->n_blocks; i++) {
        if (!is_call_kind(s->blocks[i].kind)) {
            add_at(g, i);
        }
    }
    plan_add_track(p, first, false);
    for (unsigned i = lead; i < s->n_blocks; i++) {
        first = p->n_segments;
        if (is_call_kind(s->blocks[i].kind)) {
            add_at(g, i);
        }
        if (p->n_segments > first) {
            plan_add_track(p, first, true);
        }
    }
}

/* ---- the script ---- */

static void take_stop(struct plan *p, const struct script *s, unsigned calls) {
    p->stop = s->has_stop ? s->stop : calls > 0 ? STOP_TOOL : STOP_END;
    p->stop_sequence = plan_store(p, s->stop_sequence);
    if (s->has_stop) {            /* all of it is said */
        p->max_tokens = UINT64_MAX;
        p->n_stops = 0;
        p->longest_stop = 0;
    }
}

void plan_script_facts(struct plan *p, const struct script *s) {
    p->usage = s->usage;
    p->id = plan_store(p, s->id);
    p->model = s->model.len > 0 ? plan_store(p, s->model) : p->model;
    if (s->n_blocks == 0 && s->has_stop) {
        p->stop = s->stop;
        p->stop_sequence = plan_store(p, s->stop_sequence);
    }
}

void plan_script(struct plan *p, const struct llm_request *rq, const struct script *s) {
    struct adding g = {p, s, 0};
    unsigned tracks = p->n_tracks;
    bool can_interleave = !p->dialect->is_sequential && !rq->is_completion &&
                          !rq->tools_are_functions &&
                          (count_calls(s) + 1) * p->n_choices <= REPLY_MAX_VOICES;
    p->exact_tokens = 0;
    p->calls_are_functions = rq->tools_are_functions;
    if (s->is_interleaved && can_interleave) {
        add_interleaved(&g);
    } else if (!rq->is_completion) {
        add_in_order(&g);
    } else {
        for (unsigned i = 0; i < s->n_blocks; i++) {     /* its prompt's track is the caller's */
            add_at(&g, i);
        }
    }
    p->tracks_per_prompt = p->n_tracks - tracks;
    take_stop(p, s, g.calls);
}
