/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/reply.h"

#include <stdio.h>

#include "base/json_scan.h"
#include "base/mem.h"
#include "base/random.h"
#include "mock/api.h"
#include "mock/piece.h"
#include "mock/reply-private.h"
#include "mock/seal.h"

/* Enough text ahead that a piece does not depend on where the window ends. */
enum { PEEK_BYTES = 64, LOGPROB_BYTES = 16 * 1024, ID_LETTERS = 20, CALL_ID_LETTERS = 16 };

/* A choice's states:
 *
 *   OPEN ──begin──▶ SAY ──text at its end──▶ CLOSE ──more segments──▶ OPEN
 *                  │   ▲                      (a thought's proof, if any, then its end)
 *         logprobs ▼   │ their text            │ last one, a bound or a stop was met
 *                  ODDS                        ▼
 *                                            FINISH ──▶ SILENT */
enum choice_state {
    CHOICE_OPEN,
    CHOICE_SAY,
    CHOICE_ODDS,
    CHOICE_CLOSE,
    CHOICE_FINISH,
    CHOICE_SILENT
};

struct choice {
    enum choice_state state;
    enum choice_state then;         /* ODDS: where the text leads */
    unsigned segment, last_segment;
    uint32_t block;
    uint64_t block_off;
    uint64_t tokens;                /* all that were said */
    uint64_t block_tokens;
    uint64_t seed;
    enum stop_reason stop;
    bool is_cut;                    /* a bound or a stop was met: no more segments */
    bool is_sealed;                 /* the thought has its proof, or needs none */
    struct seal seal;               /* of the thought */
    struct span stop_sequence;
    struct source source;
};

struct reply {
    struct plan plan;
    struct rng rng;                 /* ids and odds */
    struct buf odds;                /* one token's logprobs */
    struct slice piece;             /* about to be said, or said */
    unsigned turn, live;
    uint32_t next_block;
    bool is_started, has_opening_usage, has_pinged, has_usage, is_ended;
    uint64_t tokens, reasoning_tokens;
    int64_t created;
    const struct api *api;
    char id[REPLY_ID_BYTES];
    char call_id[REPLY_ID_BYTES];   /* of the call, or item, about to begin */
    char proof[SEAL_BYTES];
    struct choice choices[];
};

/* prefix and so many letters and digits. */
static struct slice make_id(struct reply *r, char space[REPLY_ID_BYTES], const char *prefix,
                            size_t letters) {
    size_t len = strlen(prefix);
    memcpy(space, prefix, len);
    rng_base62(&r->rng, space + len, letters);
    return slice_make(space, len + letters);
}

static unsigned first_segment(const struct plan *p, unsigned choice) {
    return p->choices_per_prompt ? choice / p->choices_per_prompt * p->segments_per_prompt : 0;
}

struct reply *reply_new(const struct llm_request *rq, const struct reply_options *o) {
    struct plan plan = {.n_segments = 0};
    plan_make(&plan, rq, o);
    struct reply *r = mem_zalloc(sizeof *r + plan.n_choices * sizeof r->choices[0]);
    r->plan = plan;
    r->live = plan.n_choices;
    r->created = o->created;
    buf_init(&r->odds, LOGPROB_BYTES);
    rng_seed(&r->rng, plan.seed ^ (o->serial * UINT64_C(0x9e3779b97f4a7c15)));
    r->api = api_of_dialect(plan.dialect);
    make_id(r, r->id, r->api->answer_prefix, ID_LETTERS);
    for (unsigned i = 0; i < plan.n_choices; i++) {
        r->choices[i].seed = plan.seed + i * UINT64_C(0xd1b54a32d192ed03);
        r->choices[i].stop = plan.stop;
        r->choices[i].segment = first_segment(&plan, i);
        r->choices[i].last_segment = first_segment(&plan, i) + plan.segments_per_prompt - 1;
    }
    return r;
}

void reply_free(struct reply **r) {
    if (!*r) {
        return;
    }
    for (unsigned i = 0; i < (*r)->plan.n_choices; i++) {
        source_dispose(&(*r)->choices[i].source);
    }
    plan_dispose(&(*r)->plan);
    buf_dispose(&(*r)->odds);
    mem_free(*r);
    *r = NULL;
}

struct slice reply_id(const struct reply *r) {
    return slice_cstr(r->id);
}

uint64_t reply_tokens(const struct reply *r) {
    return r->tokens;
}

/* ---- one choice ---- */

static void source_for(struct reply *r, struct choice *c, const struct segment *seg) {
    struct slice text = plan_text(&r->plan, seg->text);
    bool endless = r->plan.exact_tokens > 0 && seg->kind == BLOCK_TEXT;
    switch (seg->source) {
    case SOURCE_FIXED:
    case SOURCE_REPEAT:
        source_start_fixed(&c->source, text, seg->source == SOURCE_REPEAT);
        break;
    case SOURCE_PROSE:
        source_start_prose(&c->source, seg->prose, c->seed + c->segment, text, endless);
        break;
    case SOURCE_COUNT:
        source_start_count(&c->source, text, seg->count_to);
        break;
    }
}

static void choice_event(const struct reply *r, const struct choice *c, enum event_kind kind,
                         struct event *out) {
    *out = (struct event){.kind = kind,
                          .choice = (uint16_t)(c - r->choices),
                          .block = c->block,
                          .block_kind = r->plan.segments[c->segment].kind};
}

static bool is_call(enum block_kind kind) {
    return kind == BLOCK_TOOL_CALL || kind == BLOCK_CUSTOM_TOOL_CALL || kind == BLOCK_FUNCTION_CALL;
}

static void count_token(struct reply *r, struct choice *c, enum block_kind kind) {
    c->tokens++;
    c->block_tokens++;
    r->tokens++;
    r->reasoning_tokens += kind == BLOCK_REASONING;
}

static void choice_cut(struct choice *c, enum stop_reason why) {
    c->stop = why;
    c->is_cut = true;
    c->state = CHOICE_CLOSE;
}

static enum reply_step open_call(struct reply *r, struct choice *c, struct event *out) {
    const struct segment *seg = &r->plan.segments[c->segment];
    struct slice id = make_id(r, r->call_id, r->api->call_prefix, CALL_ID_LETTERS);
    out->flags |= EVF_CONTENT;
    out->u.begin.name = plan_text(&r->plan, seg->name);
    out->u.begin.name_space = plan_text(&r->plan, seg->name_space);
    if (seg->kind != BLOCK_FUNCTION_CALL) {       /* the legacy form has none */
        out->u.begin.id = id;
    }
    count_token(r, c, seg->kind);
    return REPLY_TOKEN;
}

/* What is not shown takes its tokens all the same. */
static void think_silently(struct reply *r, struct choice *c) {
    for (;;) {
        size_t piece = piece_len(source_peek(&c->source, PEEK_BYTES));
        if (piece == 0 || c->tokens >= r->plan.max_tokens) {
            return;
        }
        source_said(&c->source, piece);
        count_token(r, c, BLOCK_REASONING);
    }
}

/* A thought's proof is of its words; encrypted content belongs to its item. */
static void open_thought(struct reply *r, struct choice *c, struct event *out) {
    const struct segment *seg = &r->plan.segments[c->segment];
    enum seal_kind kind = seg->kind == BLOCK_REDACTED ? SEAL_REDACTED : SEAL_SIGNATURE;
    c->is_sealed = !r->plan.proves;
    if (r->plan.dialect == &dialect_responses) {
        kind = SEAL_ENCRYPTED;
        out->u.begin.item_id = make_id(r, r->call_id, "rs_", ID_LETTERS);
    }
    seal_begin(&c->seal, kind, r->plan.seal_seed);
    seal_feed(&c->seal, out->u.begin.item_id);
    if (seg->is_hidden) {
        think_silently(r, c);
    }
}

static enum reply_step choice_open(struct reply *r, struct choice *c, struct event *out) {
    const struct segment *seg = &r->plan.segments[c->segment];
    c->block = r->next_block++;
    c->block_off = c->block_tokens = 0;
    c->state = CHOICE_SAY;
    c->is_sealed = true;
    source_for(r, c, seg);
    choice_event(r, c, EV_BLOCK_BEGIN, out);
    out->flags = EVF_LAST_IN_FRAME;
    if (is_call(seg->kind)) {
        return open_call(r, c, out);
    }
    if (seg->kind == BLOCK_REASONING || seg->kind == BLOCK_REDACTED) {
        open_thought(r, c, out);
    }
    return REPLY_EVENT;
}

/* Where the earliest stop sequence begins that starts inside the piece; piece.len when none
 * does. */
static size_t find_stop(const struct reply *r, struct choice *c, struct slice ahead, size_t piece) {
    for (size_t at = 0; at < piece; at++) {
        for (unsigned i = 0; i < r->plan.n_stops; i++) {
            if (slice_starts_with(slice_from(ahead, at), plan_text(&r->plan, r->plan.stops[i]))) {
                c->stop_sequence = r->plan.stops[i];
                return at;
            }
        }
    }
    return piece;
}

/* The next piece, cut by bounds and stops; empty: the block has ended, and the choice's state says
 * so. */
static struct slice choice_piece(struct reply *r, struct choice *c) {
    const struct plan *p = &r->plan;
    bool is_text = p->segments[c->segment].kind == BLOCK_TEXT;
    if (p->segments[c->segment].is_echo) {
        return source_peek(&c->source, SIZE_MAX);
    }
    struct slice ahead = source_peek(&c->source, PEEK_BYTES + p->longest_stop);
    size_t piece = piece_len(ahead);
    if (piece == 0 || (is_text && p->exact_tokens && c->block_tokens >= p->exact_tokens)) {
        c->state = CHOICE_CLOSE;
        return SLICE_NULL;
    }
    if (c->tokens >= p->max_tokens) {
        choice_cut(c, STOP_LENGTH);
        return SLICE_NULL;
    }
    size_t stop = is_text ? find_stop(r, c, ahead, piece) : piece;
    if (stop < piece) {
        choice_cut(c, STOP_SEQUENCE);
    }
    return slice_sub(ahead, 0, stop);
}

static enum reply_step choice_close(struct reply *r, struct choice *c, struct event *out);

static enum reply_step choice_delta(struct reply *r, struct choice *c, struct event *out) {
    choice_event(r, c, EV_DELTA, out);
    out->text = r->piece;
    out->block_off = c->block_off;
    out->flags = EVF_CONTENT | EVF_LAST_IN_FRAME;
    c->block_off += r->piece.len;
    if (out->block_kind == BLOCK_REASONING && c->seal.kind == SEAL_SIGNATURE) {
        seal_feed(&c->seal, r->piece);
    }
    source_said(&c->source, r->piece.len);
    if (r->plan.segments[c->segment].is_echo) {
        return REPLY_EVENT;
    }
    count_token(r, c, out->block_kind);
    return REPLY_TOKEN;
}

static int append_odds(struct reply *r, struct slice token, double logprob, bool with_top) {
    struct buf *b = &r->odds;
    int rc = buf_append(b, SLICE("{\"token\":\"")) | json_escape(b, token) |
             buf_appendf(b, "\",\"logprob\":%.6f,\"bytes\":[", logprob);
    for (size_t i = 0; i < token.len; i++) {
        rc |= buf_appendf(b, i ? ",%u" : "%u", (unsigned)(unsigned char)token.ptr[i]);
    }
    return rc | buf_append(b, with_top ? SLICE("],\"top_logprobs\":[") : SLICE("]}"));
}

static int append_all_odds(struct reply *r, struct slice token) {
    static const char *const others[] = {" the", " a",  " and", ",",   " of",  " to", " in",
                                         ".",    " it", " as",  " is", " was", " so", " by",
                                         " on",  "\n",  " or",  "!",   " at",  " be"};
    double logprob = -rng_unit(&r->rng) * 1.5;
    buf_reset(&r->odds);
    int rc = buf_append_byte(&r->odds, '[') | append_odds(r, token, logprob, true);
    for (unsigned i = 0; i < r->plan.top_logprobs && rc == 0; i++) {
        rc |= i ? buf_append_byte(&r->odds, ',') : 0;
        rc |= append_odds(r, i ? slice_cstr(others[i - 1]) : token, logprob, false);
        logprob -= 0.25 + rng_unit(&r->rng);
    }
    return rc | buf_append(&r->odds, SLICE("]}]"));
}

/* The odds come before the text that they belong to, in the same frame. */
static enum reply_step choice_odds(struct reply *r, struct choice *c, struct event *out) {
    c->then = c->state;
    c->state = CHOICE_ODDS;
    choice_event(r, c, EV_LOGPROBS, out);
    out->raw_json = append_all_odds(r, r->piece) == 0 ? buf_slice(&r->odds) : SLICE("[]");
    return REPLY_EVENT;
}

static enum reply_step choice_close(struct reply *r, struct choice *c, struct event *out);

static enum reply_step choice_say(struct reply *r, struct choice *c, struct event *out) {
    r->piece = choice_piece(r, c);
    if (r->piece.len == 0) {
        return choice_close(r, c, out);
    }
    bool is_text = r->plan.segments[c->segment].kind == BLOCK_TEXT;
    return r->plan.logprobs && is_text ? choice_odds(r, c, out) : choice_delta(r, c, out);
}

static enum reply_step choice_prove(struct reply *r, struct choice *c, struct event *out) {
    c->is_sealed = true;
    c->state = CHOICE_CLOSE;
    choice_event(r, c, EV_SIGNATURE, out);
    out->text = seal_end(&c->seal, c->seed, r->proof);
    return REPLY_EVENT;
}

static enum reply_step choice_close(struct reply *r, struct choice *c, struct event *out) {
    if (!c->is_sealed) {
        return choice_prove(r, c, out);
    }
    choice_event(r, c, EV_BLOCK_END, out);
    bool more = c->segment < c->last_segment && !c->is_cut;
    if (more && c->tokens >= r->plan.max_tokens) {      /* no block is opened in vain */
        c->stop = STOP_LENGTH;
        more = false;
    }
    c->segment += more;
    c->state = more ? CHOICE_OPEN : CHOICE_FINISH;
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
    default:
        return SLICE("stop");
    }
}

static enum reply_step choice_finish(struct reply *r, struct choice *c, struct event *out) {
    c->state = CHOICE_SILENT;
    r->live--;
    choice_event(r, c, EV_FINISH, out);
    out->flags = EVF_LAST_IN_FRAME;
    out->u.finish = (struct finish){.reason = c->stop, .wire = finish_wire(r, c->stop)};
    if (c->stop == STOP_SEQUENCE) {
        out->u.finish.stop_sequence = plan_text(&r->plan, c->stop_sequence);
    }
    return REPLY_EVENT;
}

static enum reply_step choice_next(struct reply *r, struct choice *c, struct event *out) {
    switch (c->state) {
    case CHOICE_OPEN:
        return choice_open(r, c, out);
    case CHOICE_SAY:
        return choice_say(r, c, out);
    case CHOICE_ODDS:
        c->state = c->then;
        return choice_delta(r, c, out);
    case CHOICE_CLOSE:
        return choice_close(r, c, out);
    case CHOICE_FINISH:
        return choice_finish(r, c, out);
    case CHOICE_SILENT:
        break;
    }
    return REPLY_OVER;
}

/* ---- the whole answer ---- */

static enum reply_step reply_start(struct reply *r, struct event *out) {
    r->is_started = true;
    *out = (struct event){.kind = EV_START, .flags = EVF_LAST_IN_FRAME};
    if (r->api->is_anthropic) {
        out->flags = 0;                   /* its frame tells the tokens of the prompt, too */
    }
    out->u.start = (struct event_start){.origin = r->plan.dialect->name,
                                        .id = reply_id(r),
                                        .model = plan_text(&r->plan, r->plan.model),
                                        .role = SLICE("assistant"),
                                        .created = r->created};
    return REPLY_EVENT;
}

static enum reply_step reply_usage(struct reply *r, struct event *out) {
    bool is_anthropic = r->api->is_anthropic;
    *out = (struct event){.kind = EV_USAGE, .flags = EVF_LAST_IN_FRAME, .u.usage = USAGE_NONE};
    out->u.usage.in_total = (int64_t)r->plan.prompt_tokens;
    out->u.usage.out_total = (int64_t)r->tokens;
    out->u.usage.cache_read = (int64_t)r->plan.cache_read;
    if (is_anthropic) {
        out->u.usage.cache_write = (int64_t)r->plan.cache_write;
    }
    if (!is_anthropic || r->reasoning_tokens > 0) {
        out->u.usage.reasoning = (int64_t)r->reasoning_tokens;
    }
    return REPLY_EVENT;
}

static enum reply_step reply_ping(struct reply *r, struct event *out) {
    r->has_pinged = true;
    *out = (struct event){.kind = EV_PING, .flags = EVF_LAST_IN_FRAME};
    return REPLY_EVENT;
}

bool reply_is_opening(const struct reply *r) {
    return !r->is_started || (r->api->is_anthropic && !r->has_opening_usage);
}

/* Choices take turns, a token each; the first one begins, so that unseen choices come in order. */
static enum reply_step reply_turns(struct reply *r, struct event *out) {
    for (;;) {
        struct choice *c = &r->choices[r->turn];
        enum reply_step step = choice_next(r, c, out);
        if (step != REPLY_EVENT) {
            r->turn = (r->turn + 1) % r->plan.n_choices;
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
        r->has_opening_usage = true;
        return reply_usage(r, out);
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
