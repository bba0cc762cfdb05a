/* SPDX-License-Identifier: Apache-2.0 */
/* The whole answer: its start, its voices in turn, its usage, its end. */
#include "mock/reply.h"

#include "base/mem.h"
#include "mock/api.h"
#include "mock/reply-private.h"

enum { ODDS_BYTES = 1 << 20, ID_LETTERS = 20 };

struct slice reply_make_id(struct reply *r, char space[REPLY_ID_BYTES], const char *prefix,
                           size_t letters) {
    size_t len = strlen(prefix);
    memcpy(space, prefix, len);
    rng_base62(&r->rng, space + len, letters);
    return slice_make(space, len + letters);
}

/* ---- making it ---- */

static void start_choice(struct reply *r, unsigned i) {
    const struct plan *p = &r->plan;
    unsigned first_track = i / p->choices_per_prompt * p->tracks_per_prompt;
    struct choice *c = &r->choices[i];
    *c = (struct choice){.first_voice = r->n_voices,
                         .live_voices = p->tracks_per_prompt,
                         .seed = p->seed + i * UINT64_C(0xd1b54a32d192ed03),
                         .stop = p->stop,
                         .stop_sequence = p->stop_sequence};
    for (unsigned k = 0; k < p->tracks_per_prompt; k++) {
        const struct track *t = &p->tracks[first_track + k];
        r->voices[r->n_voices++] = (struct voice){
            .choice = i, .segment = t->first, .end = t->end, .waits = t->waits};
    }
    voice_think_hidden(r, &r->voices[c->first_voice]);
    r->hidden_tokens = c->tokens > r->hidden_tokens ? c->tokens : r->hidden_tokens;
}

struct reply *reply_new(const struct llm_request *rq, const struct reply_options *o) {
    struct plan plan = {.n_segments = 0};
    plan_make(&plan, rq, o);
    unsigned n_voices = plan.n_choices * plan.tracks_per_prompt;
    struct reply *r = mem_zalloc(sizeof *r + n_voices * sizeof r->voices[0]);
    r->plan = plan;
    r->choices = mem_zalloc(plan.n_choices * sizeof r->choices[0]);
    r->live = plan.n_choices;
    r->created = o->created;
    buf_init(&r->odds, ODDS_BYTES);
    rng_seed_nth(&r->rng, plan.seed, o->serial);
    rng_seed(&r->burst_rng, plan.seed + 1);
    r->api = api_of_dialect(plan.dialect);
    r->id = reply_make_id(r, r->id_space, r->api->answer_prefix, ID_LETTERS);
    r->id = plan.id.len > 0 ? plan_text(&r->plan, plan.id) : r->id;
    for (unsigned i = 0; i < plan.n_choices; i++) {
        start_choice(r, i);
    }
    return r;
}

void reply_free(struct reply **r) {
    if (!*r) {
        return;
    }
    for (unsigned i = 0; i < (*r)->n_voices; i++) {
        source_dispose(&(*r)->voices[i].source);
    }
    plan_dispose(&(*r)->plan);
    buf_dispose(&(*r)->odds);
    mem_free((*r)->choices);
    mem_free(*r);
    *r = NULL;
}

/* ---- about it ---- */

struct slice reply_id(const struct reply *r) {
    return r->id;
}

struct slice reply_model(const struct reply *r) {
    return plan_text(&r->plan, r->plan.model);
}

uint64_t reply_tokens(const struct reply *r) {
    return r->tokens;
}

uint64_t reply_prompt_tokens(const struct reply *r) {
    return r->plan.prompt_tokens;
}

void reply_set_cache(struct reply *r, uint64_t read, uint64_t written) {
    r->plan.cache_read = read < r->plan.prompt_tokens ? read : r->plan.prompt_tokens;
    r->plan.cache_write = written;
}

uint64_t reply_hidden_tokens(const struct reply *r) {
    return r->hidden_tokens;
}

uint32_t reply_slot_tokens(const struct reply *r) {
    return r->slot_tokens;
}

bool reply_is_opening(const struct reply *r) {
    return !r->is_started || (r->api->is_anthropic && !r->has_opening_usage);
}

/* Of the first voice from the turn on that has a slot to say. */
static enum voice_prospect next_slot(const struct reply *r, bool with_waiting,
                                     const struct segment **out_next) {
    for (unsigned i = 0; i < r->n_voices; i++) {
        const struct voice *v = &r->voices[(r->turn + i) % r->n_voices];
        enum voice_prospect prospect = VOICE_HAS_NOTHING;
        if (with_waiting || !voice_waits(r, v)) {
            prospect = voice_prospect(r, v, out_next);
        }
        if (prospect != VOICE_HAS_NOTHING) {
            return prospect;
        }
    }
    return VOICE_HAS_NOTHING;
}

/* Those who wait are next when those they wait for have no more to say. */
const struct law *reply_pause(const struct reply *r) {
    const struct segment *next = NULL;
    enum voice_prospect prospect = next_slot(r, false, &next);
    if (prospect == VOICE_HAS_NOTHING) {
        prospect = next_slot(r, true, &next);
    }
    return prospect == VOICE_OPENS && next->has_pause ? &next->pause : NULL;
}

/* ---- its events ---- */

static enum reply_step reply_start(struct reply *r, struct event *out) {
    r->is_started = true;
    *out = (struct event){.kind = EV_START, .flags = EVF_LAST_IN_FRAME};
    if (r->api->is_anthropic) {
        out->flags = 0;                   /* its frame tells the tokens of the prompt, too */
    }
    out->u.start = (struct event_start){.origin = r->plan.dialect->name,
                                        .id = reply_id(r),
                                        .model = reply_model(r),
                                        .role = SLICE("assistant"),
                                        .created = r->created};
    return REPLY_EVENT;
}

static int64_t told_or(int64_t told, uint64_t counted) {
    return told >= 0 ? told : (int64_t)counted;
}

uint64_t reply_cached_tokens(const struct reply *r) {
    return (uint64_t)told_or(r->plan.usage.cache_read, r->plan.cache_read);
}

static enum reply_step reply_usage(struct reply *r, struct event *out) {
    bool is_anthropic = r->api->is_anthropic;
    const struct script_usage *told = &r->plan.usage;
    *out = (struct event){.kind = EV_USAGE, .flags = EVF_LAST_IN_FRAME, .u.usage = USAGE_NONE};
    struct usage *u = &out->u.usage;
    u->in_total = told_or(told->in_total, r->plan.prompt_tokens);
    u->out_total = told_or(told->out_total, r->tokens);
    u->cache_read = told_or(told->cache_read, r->plan.cache_read);
    if (is_anthropic || told->cache_write >= 0) {
        u->cache_write = told_or(told->cache_write, r->plan.cache_write);
    }
    if (!is_anthropic || r->reasoning_tokens > 0 || told->reasoning >= 0) {
        u->reasoning = told_or(told->reasoning, r->reasoning_tokens);
    }
    return REPLY_EVENT;
}

/* Of what has been said so far: nothing. */
static enum reply_step reply_opening_usage(struct reply *r, struct event *out) {
    r->has_opening_usage = true;
    reply_usage(r, out);
    out->u.usage.out_total = 0;
    out->u.usage.reasoning = -1;
    return REPLY_EVENT;
}

static enum reply_step reply_ping(struct reply *r, struct event *out) {
    r->has_pinged = true;
    *out = (struct event){.kind = EV_PING, .flags = EVF_LAST_IN_FRAME};
    return REPLY_EVENT;
}

/* Voices take turns, a slot each; the first one begins, so that unseen choices come in order. */
static enum reply_step reply_turns(struct reply *r, struct event *out) {
    for (;;) {
        enum reply_step step = voice_next(r, &r->voices[r->turn], out);
        if (step != REPLY_EVENT) {
            r->turn = (r->turn + 1) % r->n_voices;
        }
        if (step != REPLY_OVER) {
            return step;
        }
    }
}

enum reply_step reply_next(struct reply *r, struct event *out) {
    if (!r->is_started) {
        return reply_start(r, out);
    }
    if (reply_is_opening(r)) {
        return reply_opening_usage(r, out);
    }
    if (r->api->is_anthropic && r->next_block > 0 && !r->has_pinged) {
        /* as Anthropic does, behind the first block's beginning */
        return reply_ping(r, out);
    }
    if (r->live > 0) {
        return reply_turns(r, out);
    }
    if (!r->has_usage) {
        r->has_usage = true;
        return reply_usage(r, out);
    }
    if (!r->is_ended) {
        r->is_ended = true;
        *out = (struct event){.kind = EV_END, .flags = EVF_LAST_IN_FRAME};
        return REPLY_EVENT;
    }
    return REPLY_OVER;
}
