/* SPDX-License-Identifier: Apache-2.0 */
/* A voice says the segments of its track, one after another. */
#include "mock/api.h"
#include "mock/reply-private.h"

enum { ID_LETTERS = 20, CALL_ID_LETTERS = 16 };

static enum reply_step voice_close(struct reply *r, struct voice *v, struct event *out);

static struct choice *choice_of(const struct reply *r, const struct voice *v) {
    return &r->choices[v->choice];
}

static const struct segment *segment_of(const struct reply *r, const struct voice *v) {
    return &r->plan.segments[v->segment];
}

void voice_event(const struct reply *r, const struct voice *v, enum event_kind kind,
                 struct event *out) {
    *out = (struct event){.kind = kind, .choice = (uint16_t)v->choice, .block = v->block};
    if (v->segment < v->end) {
        out->block_kind = segment_of(r, v)->kind;
    }
}

static bool is_call(enum block_kind kind) {
    return kind == BLOCK_TOOL_CALL || kind == BLOCK_CUSTOM_TOOL_CALL || kind == BLOCK_FUNCTION_CALL;
}

static bool is_thought(enum block_kind kind) {
    return kind == BLOCK_REASONING || kind == BLOCK_REDACTED;
}

/* ---- counting ---- */

static void count_tokens(struct reply *r, struct voice *v, uint64_t n) {
    choice_of(r, v)->tokens += n;
    v->block_tokens += n;
    r->tokens += n;
    if (segment_of(r, v)->kind == BLOCK_REASONING) {
        r->reasoning_tokens += n;
    }
}

/* How many tokens may still be said. */
static uint64_t budget_of(const struct reply *r, const struct voice *v) {
    const struct plan *p = &r->plan;
    uint64_t said = choice_of(r, v)->tokens, most = p->max_tokens > said ? p->max_tokens - said : 0;
    bool is_exact = p->exact_tokens > 0 && segment_of(r, v)->kind == BLOCK_TEXT;
    uint64_t left = is_exact ? p->exact_tokens - v->block_tokens : UINT64_MAX;
    return left < most ? left : most;
}

static bool is_at_exact_end(const struct reply *r, const struct voice *v) {
    const struct plan *p = &r->plan;
    return p->exact_tokens > 0 && segment_of(r, v)->kind == BLOCK_TEXT &&
           v->block_tokens >= p->exact_tokens;
}

static void cut_choice(struct reply *r, struct voice *v, enum stop_reason why) {
    struct choice *c = choice_of(r, v);
    c->stop = why;
    c->is_cut = true;
    v->state = VOICE_CLOSE;
}

/* The budget has run out: at the exact length all is well. */
static void end_by_budget(struct reply *r, struct voice *v) {
    if (is_at_exact_end(r, v)) {
        v->state = VOICE_NOTES;
    } else {
        cut_choice(r, v, STOP_LENGTH);
    }
}

/* ---- opening a block ---- */

static void source_for(struct reply *r, struct voice *v) {
    const struct segment *seg = segment_of(r, v);
    struct slice text = plan_text(&r->plan, seg->text);
    bool endless = r->plan.exact_tokens > 0 && seg->kind == BLOCK_TEXT;
    switch (seg->source) {
    case SOURCE_FIXED:
    case SOURCE_REPEAT:
        source_start_fixed(&v->source, text, seg->source == SOURCE_REPEAT);
        break;
    case SOURCE_PROSE:
        source_start_prose(&v->source, seg->prose, choice_of(r, v)->seed + v->segment, text,
                           endless);
        break;
    case SOURCE_COUNT:
        source_start_count(&v->source, text, seg->count_to);
        break;
    }
    token_cut_start(&v->cut, r->plan.tokenizer);
    v->covered = 0;
    v->next_cut = v->next_note = 0;
    v->block_off = v->block_tokens = 0;
}

/* What is not shown takes its tokens all the same. */
static void think_silently(struct reply *r, struct voice *v) {
    for (;;) {
        uint32_t tokens = 0;
        uint64_t budget = budget_of(r, v);
        size_t bytes =
            budget ? token_cut_next(&v->cut, source_peek(&v->source, 1), true, 1, &tokens) : 0;
        if (bytes == 0) {
            return;
        }
        source_said(&v->source, bytes);
        count_tokens(r, v, tokens < budget ? tokens : budget);
    }
}

void voice_think_hidden(struct reply *r, struct voice *v) {
    if (v->segment < v->end && segment_of(r, v)->is_hidden) {
        source_for(r, v);
        think_silently(r, v);
    }
}

static enum reply_step open_call(struct reply *r, struct voice *v, struct event *out) {
    const struct segment *seg = segment_of(r, v);
    uint64_t budget = budget_of(r, v);
    uint64_t tokens = tokenizer_count(r->plan.tokenizer, plan_text(&r->plan, seg->name));
    struct slice made = reply_make_id(r, r->call_id, r->api->call_prefix, CALL_ID_LETTERS);
    out->flags |= EVF_CONTENT;
    out->u.begin.name = plan_text(&r->plan, seg->name);
    out->u.begin.name_space = plan_text(&r->plan, seg->name_space);
    if (seg->kind != BLOCK_FUNCTION_CALL) {       /* the legacy form has none */
        out->u.begin.id = seg->id.len > 0 ? plan_text(&r->plan, seg->id) : made;
    }
    r->slot_tokens = (uint32_t)(tokens < budget ? tokens : budget);
    count_tokens(r, v, r->slot_tokens);
    return REPLY_TOKEN;
}

/* A thought's proof is of its words; encrypted content belongs to its item. */
static void open_thought(struct reply *r, struct voice *v, struct event *out) {
    const struct segment *seg = segment_of(r, v);
    enum seal_kind kind = seg->kind == BLOCK_REDACTED ? SEAL_REDACTED : SEAL_SIGNATURE;
    v->is_sealed = seg->has_proof ? seg->proof.len == 0 : !r->plan.proves;
    if (r->plan.dialect == &dialect_responses) {
        kind = SEAL_ENCRYPTED;
        out->u.begin.item_id = reply_make_id(r, r->call_id, "rs_", ID_LETTERS);
    }
    seal_begin(&v->seal, kind, r->plan.seal_seed);
    seal_feed(&v->seal, out->u.begin.item_id);
}

/* The others of its choice may have something to say yet. */
static enum reply_step voice_leave(struct reply *r, struct voice *v) {
    bool is_last = --choice_of(r, v)->live_voices == 0;
    v->state = is_last ? VOICE_FINISH : VOICE_SILENT;
    return REPLY_OVER;
}

/* They were thought of before. */
static void skip_silent(struct reply *r, struct voice *v) {
    struct choice *c = choice_of(r, v);
    while (v->segment < v->end && segment_of(r, v)->is_silent) {
        v->segment++;
        if (c->tokens >= r->plan.max_tokens) {
            c->stop = STOP_LENGTH;
            c->is_cut = true;
        }
    }
}

static enum reply_step voice_open(struct reply *r, struct voice *v, struct event *out) {
    skip_silent(r, v);
    if (v->segment == v->end || choice_of(r, v)->is_cut) {
        voice_leave(r, v);
        return voice_next(r, v, out);
    }
    const struct segment *seg = segment_of(r, v);
    v->block = r->next_block++;
    v->is_sealed = true;
    source_for(r, v);
    v->state = seg->is_hidden ? VOICE_CLOSE : VOICE_SAY;
    voice_event(r, v, EV_BLOCK_BEGIN, out);
    out->flags = EVF_LAST_IN_FRAME;
    if (is_call(seg->kind)) {
        return open_call(r, v, out);
    }
    if (is_thought(seg->kind)) {
        open_thought(r, v, out);
    }
    return REPLY_EVENT;
}

/* ---- the next piece ---- */

/* Adds tokens to the piece; false when the budget does not reach: the text behind stays unsaid. */
static bool take_token(struct reply *r, struct voice *v, struct slice ahead, size_t *io_len,
                       uint64_t budget) {
    uint32_t tokens = 0;
    size_t bytes = token_cut_next(&v->cut, slice_from(ahead, *io_len), true, 1, &tokens);
    if (r->piece_tokens + tokens > budget) {      /* a character of several tokens, half of it */
        r->piece_tokens = (uint32_t)budget;
        return false;
    }
    r->token_lens[r->n_token_lens++] = (uint32_t)bytes;
    r->piece_tokens += tokens;
    *io_len += bytes;
    return bytes > 0;
}

static size_t cut_tokens(struct reply *r, struct voice *v, struct slice ahead, uint64_t budget) {
    uint64_t want = burst_draw(&r->plan.burst, &r->burst_rng);
    size_t len = 0;
    want = want < budget ? want : budget;
    while (r->piece_tokens < want && len < ahead.len && take_token(r, v, ahead, &len, budget)) {
    }
    return len;
}

/* So many bytes, as somebody wants them: each token is counted where it begins. */
static size_t cut_bytes(struct reply *r, struct voice *v, struct slice ahead, size_t len,
                        uint64_t budget) {
    while (v->covered < len) {
        uint32_t tokens = 0;
        if (r->piece_tokens >= budget) {
            return v->covered;
        }
        size_t bytes =
            token_cut_next(&v->cut, slice_from(ahead, v->covered), true, 1, &tokens);
        if (r->piece_tokens + tokens > budget) {
            r->piece_tokens = (uint32_t)budget;
            return v->covered;
        }
        r->piece_tokens += tokens;
        v->covered += bytes;
    }
    return len;
}

static size_t chunk_len(struct slice ahead, size_t bytes) {
    size_t end = bytes < ahead.len ? bytes : ahead.len;
    while (end < ahead.len && ((unsigned char)ahead.ptr[end] & 0xc0) == 0x80) {
        end++;
    }
    return end;
}

static size_t piece_len_of(struct reply *r, struct voice *v, struct slice ahead, uint64_t budget) {
    const struct segment *seg = segment_of(r, v);
    switch (seg->cutting) {
    case CUT_TOKENS:
        break;
    case CUT_ITEMS:
        return cut_bytes(r, v, ahead, source_item_len(ahead), budget);
    case CUT_PIECES: {
        bool has_cut = v->next_cut < seg->n_cuts;
        size_t end = has_cut ? r->plan.cuts[seg->first_cut + v->next_cut++] : seg->text.len;
        return cut_bytes(r, v, ahead, end - v->source.at, budget);
    }
    case CUT_CHUNKS:
        return cut_bytes(r, v, ahead, chunk_len(ahead, seg->chunk_bytes), budget);
    case CUT_NOT:
        return ahead.len;
    }
    return cut_tokens(r, v, ahead, budget);
}

/* Where the earliest stop sequence begins that starts inside the piece; len when none does. */
static size_t find_stop(struct reply *r, struct voice *v, struct slice ahead, size_t len) {
    const struct plan *p = &r->plan;
    for (size_t at = 0; at < len; at++) {
        for (unsigned i = 0; i < p->n_stops; i++) {
            if (slice_starts_with(slice_from(ahead, at), plan_text(p, p->stops[i]))) {
                choice_of(r, v)->stop_sequence = p->stops[i];
                return at;
            }
        }
    }
    return len;
}

/* What is said before a stop counts as what it is. */
static void cut_at_stop(struct reply *r, struct voice *v, size_t len) {
    r->piece.len = len;
    r->n_token_lens = 0;
    r->piece_tokens = (uint32_t)tokenizer_count(r->plan.tokenizer, r->piece);
    cut_choice(r, v, STOP_SEQUENCE);
}

/* Sets the next piece, cut by bounds and stops; empty: the block has ended, and the voice's state
 * says how. */
static void find_piece(struct reply *r, struct voice *v) {
    const struct segment *seg = segment_of(r, v);
    bool has_stops = r->plan.n_stops > 0 && seg->kind == BLOCK_TEXT && seg->cutting != CUT_NOT;
    struct slice ahead = source_peek(&v->source, 1);
    uint64_t budget = budget_of(r, v);
    r->piece = SLICE_NULL;
    r->piece_tokens = r->n_token_lens = 0;
    if (ahead.len == 0 || is_at_exact_end(r, v)) {
        v->state = VOICE_NOTES;
        return;
    }
    if (budget == 0 && v->covered == 0 && seg->cutting != CUT_NOT) {
        end_by_budget(r, v);
        return;
    }
    size_t len = piece_len_of(r, v, ahead, budget);
    ahead = has_stops ? source_peek(&v->source, len + r->plan.longest_stop) : ahead;
    r->piece = slice_sub(ahead, 0, len);
    if (len == 0) {               /* nothing whole fits into the budget: it is used up */
        count_tokens(r, v, r->piece_tokens);
        end_by_budget(r, v);
        return;
    }
    size_t stop = has_stops ? find_stop(r, v, ahead, len) : len;
    if (stop < len) {
        cut_at_stop(r, v, stop);
    }
}

/* ---- saying it ---- */

static enum reply_step voice_delta(struct reply *r, struct voice *v, struct event *out) {
    voice_event(r, v, EV_DELTA, out);
    out->text = r->piece;
    out->block_off = v->block_off;
    out->flags = EVF_CONTENT | EVF_LAST_IN_FRAME;
    v->block_off += r->piece.len;
    if (out->block_kind == BLOCK_REASONING && v->seal.kind == SEAL_SIGNATURE) {
        seal_feed(&v->seal, r->piece);
    }
    source_said(&v->source, r->piece.len);
    v->covered = v->covered > r->piece.len ? v->covered - r->piece.len : 0;
    if (segment_of(r, v)->cutting == CUT_NOT) {
        return REPLY_EVENT;
    }
    r->slot_tokens = r->piece_tokens;
    count_tokens(r, v, r->piece_tokens);
    return REPLY_TOKEN;
}

static enum reply_step voice_notes(struct reply *r, struct voice *v, struct event *out) {
    if (v->next_note < segment_of(r, v)->n_notes) {
        voice_event(r, v, EV_ANNOTATION, out);
        reply_note(r, v, out);
        v->next_note++;
        return REPLY_EVENT;
    }
    v->state = VOICE_CLOSE;
    return voice_close(r, v, out);
}

/* A bound or a stop of another voice's ends this one, too. */
static enum reply_step voice_say(struct reply *r, struct voice *v, struct event *out) {
    if (choice_of(r, v)->is_cut) {
        v->state = VOICE_CLOSE;
        return voice_close(r, v, out);
    }
    find_piece(r, v);
    if (r->piece.len == 0) {
        return voice_next(r, v, out);
    }
    if (!r->plan.logprobs || segment_of(r, v)->kind != BLOCK_TEXT) {
        return voice_delta(r, v, out);
    }
    v->then = v->state;
    v->state = VOICE_ODDS;
    reply_odds(r, v, out);
    return REPLY_EVENT;
}

static enum reply_step voice_prove(struct reply *r, struct voice *v, struct event *out) {
    const struct segment *seg = segment_of(r, v);
    v->is_sealed = true;
    voice_event(r, v, EV_SIGNATURE, out);
    out->text = seg->has_proof ? plan_text(&r->plan, seg->proof)
                               : seal_end(&v->seal, choice_of(r, v)->seed, r->proof);
    return REPLY_EVENT;
}

static enum reply_step voice_close(struct reply *r, struct voice *v, struct event *out) {
    struct choice *c = choice_of(r, v);
    if (!v->is_sealed) {
        return voice_prove(r, v, out);
    }
    voice_event(r, v, EV_BLOCK_END, out);
    bool more = v->segment + 1 < v->end && !c->is_cut;
    if (more && c->tokens >= r->plan.max_tokens) {      /* no block is opened in vain */
        c->stop = STOP_LENGTH;
        c->is_cut = true;
        more = false;
    }
    v->segment = more ? v->segment + 1 : v->end;
    v->state = VOICE_OPEN;
    return REPLY_EVENT;
}

/* The others' words follow from the reason. */
static struct slice finish_wire(const struct reply *r, enum stop_reason stop) {
    if (r->plan.dialect != &dialect_chat) {
        return SLICE_NULL;
    }
    switch (stop) {
    case STOP_LENGTH:
        return SLICE("length");
    case STOP_TOOL:
        return r->plan.calls_are_functions ? SLICE("function_call") : SLICE("tool_calls");
    case STOP_FILTER:
        return SLICE("content_filter");
    default:
        return SLICE("stop");
    }
}

static enum reply_step voice_finish(struct reply *r, struct voice *v, struct event *out) {
    const struct choice *c = choice_of(r, v);
    v->state = VOICE_SILENT;
    r->live--;
    voice_event(r, v, EV_FINISH, out);
    out->flags = EVF_LAST_IN_FRAME;
    out->u.finish = (struct finish){.reason = c->stop, .wire = finish_wire(r, c->stop)};
    if (c->stop == STOP_SEQUENCE) {
        out->u.finish.stop_sequence = plan_text(&r->plan, c->stop_sequence);
    }
    return REPLY_EVENT;
}

/* ---- turns ---- */

bool voice_waits(const struct reply *r, const struct voice *v) {
    const struct choice *c = choice_of(r, v);
    return v->waits && !c->is_cut && r->voices[c->first_voice].segment < r->plan.lead_end;
}

enum reply_step voice_next(struct reply *r, struct voice *v, struct event *out) {
    switch (v->state) {
    case VOICE_OPEN:
        return voice_waits(r, v) ? REPLY_OVER : voice_open(r, v, out);
    case VOICE_SAY:
        return voice_say(r, v, out);
    case VOICE_ODDS:
        v->state = v->then;
        return voice_delta(r, v, out);
    case VOICE_NOTES:
        return voice_notes(r, v, out);
    case VOICE_CLOSE:
        return voice_close(r, v, out);
    case VOICE_FINISH:
        return voice_finish(r, v, out);
    case VOICE_SILENT:
        break;
    }
    return REPLY_OVER;
}

/* ---- what comes next ---- */

/* Whether what the voice says is over. Only of texts that are there as a whole: others have
 * nobody's pause behind them. */
static bool ends_segment(const struct reply *r, const struct voice *v) {
    bool is_said = segment_of(r, v)->source == SOURCE_FIXED && v->source.at == v->source.fixed.len;
    return v->state == VOICE_NOTES || v->state == VOICE_CLOSE ||
           (v->state == VOICE_SAY && is_said);
}

enum voice_prospect voice_prospect(const struct reply *r, const struct voice *v,
                                   const struct segment **out_next) {
    const struct choice *c = choice_of(r, v);
    bool is_over = v->segment >= v->end || c->is_cut;
    unsigned next = v->segment + (v->state == VOICE_OPEN ? 0 : 1);
    if (is_over) {
        return VOICE_HAS_NOTHING;
    }
    if (v->state != VOICE_OPEN && !ends_segment(r, v)) {
        return VOICE_GOES_ON;
    }
    *out_next = next < v->end ? &r->plan.segments[next] : NULL;
    return *out_next && c->tokens < r->plan.max_tokens ? VOICE_OPENS : VOICE_HAS_NOTHING;
}
