/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of an answer: its segments, and the bounds they are said within. */
#include "base/mem.h"
#include "mock/reply-private.h"

/* ---- storage ---- */

struct span plan_store(struct plan *p, struct slice text) {
    struct span s = {(uint32_t)p->store.len, 0};
    if (buf_append(&p->store, text) == 0) {
        s.len = (uint32_t)text.len;
    }
    return s;
}

/* Room for one more; returns the list, which may have moved. */
static void *grow(void *list, unsigned n, unsigned *cap, size_t item_bytes) {
    if (n < *cap) {
        return list;
    }
    *cap = *cap ? *cap * 2 : 4;
    return mem_realloc(list, *cap * item_bytes);
}

struct segment *plan_add(struct plan *p, enum block_kind kind, enum source_kind source,
                         struct slice text) {
    p->segments = grow(p->segments, p->n_segments, &p->cap_segments, sizeof *p->segments);
    struct segment *seg = &p->segments[p->n_segments++];
    *seg = (struct segment){.kind = kind, .source = source, .text = plan_store(p, text)};
    return seg;
}

void plan_add_track(struct plan *p, unsigned first, bool waits) {
    p->tracks = grow(p->tracks, p->n_tracks, &p->cap_tracks, sizeof *p->tracks);
    p->tracks[p->n_tracks++] = (struct track){first, p->n_segments, waits};
}

void plan_add_cut(struct plan *p, size_t end) {
    p->cuts = grow(p->cuts, p->n_cuts, &p->cap_cuts, sizeof *p->cuts);
    p->cuts[p->n_cuts++] = (uint32_t)end;
}

void plan_add_note(struct plan *p, const struct annotation *a) {
    p->notes = grow(p->notes, p->n_notes, &p->cap_notes, sizeof *p->notes);
    p->notes[p->n_notes++] = (struct note){.kind = a->kind,
                                           .url = plan_store(p, a->url),
                                           .title = plan_store(p, a->title),
                                           .start = a->start,
                                           .end = a->end};
}

void plan_dispose(struct plan *p) {
    for (unsigned i = 0; i < p->n_segments; i++) {
        law_release(&p->segments[i].pause);
    }
    mem_free(p->segments);
    mem_free(p->tracks);
    mem_free(p->cuts);
    mem_free(p->notes);
    buf_dispose(&p->store);
}

/* ---- bounds ---- */

static void plan_stops(struct plan *p, const struct llm_request *rq) {
    for (unsigned i = 0; i < rq->n_stop && p->n_stops < REPLY_MAX_STOPS; i++) {
        struct slice stop = rq->stop[i];
        if (stop.len == 0 || stop.len > REPLY_MAX_STOP_BYTES) {
            continue;
        }
        p->stops[p->n_stops++] = plan_store(p, stop);
        p->longest_stop = stop.len > p->longest_stop ? stop.len : p->longest_stop;
    }
}

static void plan_logprobs(struct plan *p, const struct llm_request *rq) {
    p->logprobs = rq->logprobs == 1;
    if (rq->top_logprobs > 0) {
        p->top_logprobs = rq->top_logprobs < 20 ? (unsigned)rq->top_logprobs : 20;
    }
}

static void plan_bounds(struct plan *p, const struct llm_request *rq,
                        const struct reply_options *o) {
    bool may_be_none = rq->is_completion || p->dialect == &dialect_messages;
    bool is_bounded = rq->env.max_tokens > 0 || (rq->env.max_tokens == 0 && may_be_none);
    p->max_tokens = is_bounded ? (uint64_t)rq->env.max_tokens : UINT64_MAX;
    p->exact_tokens = o->tokens;
    p->n_choices = rq->env.n < 1 || !p->dialect->has_choices ? 1
                   : rq->env.n > REPLY_MAX_CHOICES           ? REPLY_MAX_CHOICES
                                                             : (unsigned)rq->env.n;
    plan_stops(p, rq);
    plan_logprobs(p, rq);
    p->burst = o->burst;
}

/* ---- the plan ---- */

static void plan_turn(struct plan *p, const struct llm_request *rq, const struct reply_options *o,
                      struct arena *scratch) {
    struct slice user_text = message_text(request_last_user_message(rq), scratch);
    bool is_told = !o->is_echo && slice_starts_with(user_text, SLICE("think: "));
    user_text = is_told ? slice_from(user_text, 7) : user_text;
    plan_thought(p, rq, o->thinking, is_told, user_text);
    if (o->is_echo || !plan_calls(p, rq, user_text)) {
        plan_text_answer(p, rq, o, user_text, scratch);
    }
    plan_add_track(p, 0, false);
    p->tracks_per_prompt = 1;
    p->choices_per_prompt = p->n_choices;
}

static bool says_something(const struct script *s) {
    return s && s->n_blocks > 0;
}

/* Completions: choices of its own for each prompt, in the order of the prompts. */
static void plan_prompts(struct plan *p, const struct llm_request *rq,
                         const struct reply_options *o, struct arena *scratch) {
    bool echoes = completion_echoes(rq);
    unsigned prompts = 0, n = p->n_choices;
    for (const struct message *m = rq->messages; m; m = m->next, prompts++) {
        struct slice prompt = message_text(m, scratch);
        unsigned first = p->n_segments;
        if (echoes) {
            plan_add(p, BLOCK_TEXT, SOURCE_FIXED, prompt)->cutting = CUT_NOT;
        }
        if (says_something(o->script)) {
            plan_script(p, rq, o->script);
        } else {
            plan_text_answer(p, rq, o, prompt, scratch);
        }
        plan_add_track(p, first, false);
    }
    p->tracks_per_prompt = 1;
    p->choices_per_prompt = n * prompts > REPLY_MAX_CHOICES ? REPLY_MAX_CHOICES / prompts : n;
    p->n_choices = p->choices_per_prompt * prompts;
}

static void plan_all(struct plan *p, const struct llm_request *rq, const struct reply_options *o) {
    struct arena *scratch = arena_new();
    if (rq->is_completion) {
        plan_prompts(p, rq, o, scratch);
    } else if (says_something(o->script)) {
        p->choices_per_prompt = p->n_choices;
        plan_script(p, rq, o->script);
    } else {
        plan_turn(p, rq, o, scratch);
    }
    if (o->script) {
        plan_script_facts(p, o->script);
    }
    arena_free(scratch);
}

void plan_make(struct plan *p, const struct llm_request *rq, const struct reply_options *o) {
    buf_init(&p->store, REPLY_STORE_BYTES);
    p->dialect = o->dialect ? o->dialect : &dialect_chat;
    p->tokenizer = o->tokenizer ? o->tokenizer : tokenizer_get(encoding_of_model(rq->env.model));
    p->seed = request_seed(rq, o->seed);
    p->seal_seed = o->seed;
    p->proves = p->dialect == &dialect_messages || rq->wants_encrypted_reasoning;
    p->stop = STOP_END;
    p->usage = SCRIPT_USAGE_NONE;
    p->model = plan_store(p, rq->env.model);
    struct prompt_count prompt = o->prompt ? *o->prompt : count_prompt(rq, p->tokenizer);
    p->prompt_tokens = prompt.all;
    plan_cache(p, rq, &prompt, o->cached);
    plan_bounds(p, rq, o);
    plan_all(p, rq, o);
}
