/* SPDX-License-Identifier: Apache-2.0 */
/* Probabilities of tokens, made up: one object a token (chat, responses), or parallel lists
 * (completions). */
#include "base/json_scan.h"
#include "mock/reply-private.h"

enum { MAX_TOP = 20 };

struct odds {
    struct reply *r;
    struct buf *out;
    uint64_t seed;                 /* of this piece; a token's odds go by its place */
    struct rng rng;
    int rc;
};

/* Not always the same alternatives, and never the token itself. */
static struct slice other_token(unsigned i, struct slice token) {
    static const char *const others[] = {" the", " a",  " and", ",",   " of", " to", " in",
                                         ".",    " it", " as",  " is", " was", " so", " by",
                                         " on",  "\n",  " or",  "!",   " at",  " be", " we"};
    struct slice other = slice_cstr(others[i]);
    return slice_eq(other, token) ? slice_cstr(others[MAX_TOP]) : other;
}

static double first_logprob(struct odds *o, size_t at) {
    rng_seed(&o->rng, o->seed + at);
    return -rng_unit(&o->rng) * 1.5;
}

static double next_logprob(struct odds *o, double logprob) {
    return logprob - 0.25 - rng_unit(&o->rng);
}

/* ---- tokens, one after another ---- */

/* The next token of the piece; its length is 0 at the end. */
static struct slice next_token(struct reply *r, struct token_cut *c, unsigned *io_n, size_t at) {
    struct slice rest = slice_from(r->piece, at);
    uint32_t tokens = 0;
    if (r->n_token_lens > 0) {
        return *io_n < r->n_token_lens ? slice_sub(rest, 0, r->token_lens[(*io_n)++]) : SLICE_NULL;
    }
    return slice_sub(rest, 0, token_cut_next(c, rest, true, 1, &tokens));
}

static void each_token(struct odds *o, void (*fn)(struct odds *o, struct slice token, size_t at)) {
    struct token_cut c;
    unsigned n = 0;
    struct slice token;
    token_cut_start(&c, o->r->plan.tokenizer);
    for (size_t at = 0; (token = next_token(o->r, &c, &n, at)).len > 0; at += token.len) {
        fn(o, token, at);
    }
}

/* ---- chat, responses ---- */

static void w_token(struct odds *o, struct slice token, double logprob, bool with_top) {
    struct buf *b = o->out;
    o->rc |= buf_append(b, SLICE("{\"token\":\"")) | json_escape(b, token) |
             buf_appendf(b, "\",\"logprob\":%.6f,\"bytes\":[", logprob);
    for (size_t i = 0; i < token.len; i++) {
        o->rc |= buf_appendf(b, i ? ",%u" : "%u", (unsigned)(unsigned char)token.ptr[i]);
    }
    o->rc |= buf_append(b, with_top ? SLICE("],\"top_logprobs\":[") : SLICE("]}"));
}

static void w_object(struct odds *o, struct slice token, size_t at) {
    double logprob = first_logprob(o, at);
    o->rc |= at > 0 ? buf_append_byte(o->out, ',') : 0;
    w_token(o, token, logprob, true);
    for (unsigned i = 0; i < o->r->plan.top_logprobs && o->rc == 0; i++) {
        o->rc |= i ? buf_append_byte(o->out, ',') : 0;
        w_token(o, i ? other_token(i - 1, token) : token, logprob, false);
        logprob = next_logprob(o, logprob);
    }
    o->rc |= buf_append(o->out, SLICE("]}"));
}

/* ---- completions ---- */

static void w_quoted(struct odds *o, struct slice text) {
    o->rc |= buf_append_byte(o->out, '"') | json_escape(o->out, text) |
             buf_append_byte(o->out, '"');
}

static void w_text(struct odds *o, struct slice token, size_t at) {
    o->rc |= at > 0 ? buf_append_byte(o->out, ',') : 0;
    w_quoted(o, token);
}

static bool is_of_prompt(const struct reply *r) {
    const struct voice *v = &r->voices[r->turn];
    return r->plan.segments[v->segment].cutting == CUT_NOT;
}

/* The first token of a prompt follows nothing. */
static bool has_no_odds(const struct reply *r, size_t at) {
    return at == 0 && is_of_prompt(r);
}

static void w_logprob(struct odds *o, struct slice token, size_t at) {
    (void)token;
    o->rc |= at > 0 ? buf_append_byte(o->out, ',') : 0;
    double logprob = first_logprob(o, at);
    o->rc |= has_no_odds(o->r, at) ? buf_append(o->out, SLICE("null"))
                                   : buf_appendf(o->out, "%.6f", logprob);
}

static void w_top(struct odds *o, struct slice token, size_t at) {
    double logprob = first_logprob(o, at);
    o->rc |= at > 0 ? buf_append_byte(o->out, ',') : 0;
    if (has_no_odds(o->r, at)) {
        o->rc |= buf_append(o->out, SLICE("null"));
        return;
    }
    for (unsigned i = 0; i < o->r->plan.top_logprobs && o->rc == 0; i++) {
        o->rc |= buf_append_byte(o->out, i ? ',' : '{');
        w_quoted(o, i ? other_token(i - 1, token) : token);
        o->rc |= buf_appendf(o->out, ":%.6f", logprob);
        logprob = next_logprob(o, logprob);
    }
    o->rc |= buf_append_byte(o->out, '}');
}

/* Of the choice's text, in code points. */
static void w_offset(struct odds *o, struct slice token, size_t at) {
    struct choice *c = &o->r->choices[o->r->voices[o->r->turn].choice];
    o->rc |= buf_appendf(o->out, at > 0 ? ",%zu" : "%zu", c->text_points);
    for (size_t i = 0; i < token.len; i++) {
        c->text_points += ((unsigned char)token.ptr[i] & 0xc0) != 0x80;
    }
}

static void w_lists(struct odds *o) {
    o->rc |= buf_append(o->out, SLICE("{\"tokens\":["));
    each_token(o, w_text);
    o->rc |= buf_append(o->out, SLICE("],\"token_logprobs\":["));
    each_token(o, w_logprob);
    if (o->r->plan.top_logprobs > 0) {
        o->rc |= buf_append(o->out, SLICE("],\"top_logprobs\":["));
        each_token(o, w_top);
        o->rc |= buf_append(o->out, SLICE("],\"text_offset\":["));
    } else {
        o->rc |= buf_append(o->out, SLICE("],\"top_logprobs\":null,\"text_offset\":["));
    }
    each_token(o, w_offset);
    o->rc |= buf_append(o->out, SLICE("]}"));
}

void reply_odds(struct reply *r, struct voice *v, struct event *out) {
    struct odds o = {.r = r, .out = &r->odds, .seed = rng_next(&r->rng)};
    bool is_completion = r->plan.dialect == &dialect_completions;
    buf_reset(&r->odds);
    voice_event(r, v, is_completion ? EV_OPAQUE : EV_LOGPROBS, out);
    if (is_completion) {
        w_lists(&o);
    } else {
        o.rc |= buf_append_byte(o.out, '[');
        each_token(&o, w_object);
        o.rc |= buf_append_byte(o.out, ']');
    }
    out->raw_json = o.rc == 0 ? buf_slice(&r->odds) : is_completion ? SLICE("null") : SLICE("[]");
}
