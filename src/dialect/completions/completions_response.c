/* SPDX-License-Identifier: Apache-2.0 */
/* A collected answer to the body of a request that was not streamed. */
#include "dialect/completions/completions-private.h"

#include "base/json_scan.h"
#include "dialect/encode_kept.h"
#include "dialect/json_text.h"

struct body {
    struct json_writer w;
    const struct answer_block *blocks;
    unsigned n_blocks;
    bool is_own;
};

static bool is_text(const struct answer_block *k, uint16_t choice) {
    return k->choice == choice && (k->kind == BLOCK_TEXT || k->kind == BLOCK_REFUSAL);
}

static void w_text(struct body *b, uint16_t choice) {
    jw(&b->w, SLICE("{\"text\":\""));
    for (unsigned i = 0; i < b->n_blocks; i++) {
        if (is_text(&b->blocks[i], choice)) jw_escaped(&b->w, b->blocks[i].text);
    }
    jw(&b->w, SLICE("\""));
}

/* ---- probabilities: parallel lists, told piece by piece ---- */

/* The next of the values that stand with commas between; false at the end. */
static bool next_value(struct slice *rest, struct slice *out) {
    size_t at = json_text_skip_space(*rest, 0), end = json_text_value_end(*rest, at);
    if (end == at) return false;
    *out = slice_sub(*rest, at, end - at);
    at = json_text_skip_space(*rest, end);
    *rest = slice_from(*rest, at < rest->len ? at + 1 : at); /* behind the comma */
    return true;
}

/* What is between a list's brackets. */
static struct slice inside(struct slice list) {
    size_t from = json_text_skip_space(list, 1), to = list.len;
    if (!json_text_is(list, '[') || to < 2) return SLICE_NULL;
    for (to--; to > from && json_text_skip_space(slice_sub(list, to - 1, 1), 0) == 1;) to--;
    return to > from ? slice_sub(list, from, to - from) : SLICE_NULL;
}

/* One list of all pieces' lists of this name; null when no piece has one. */
static void w_joined(struct body *b, struct slice pieces, const char *name, bool is_first) {
    struct slice piece;
    struct json_member list;
    bool has_list = false;
    unsigned n = 0;
    jw(&b->w, is_first ? SLICE("{\"") : SLICE(",\""));
    jw(&b->w, slice_cstr(name));
    jw(&b->w, SLICE("\":"));
    while (next_value(&pieces, &piece)) {
        if (!json_find_member(piece, slice_cstr(name), &list) || !json_text_is(list.value, '['))
            continue;
        if (!has_list) jw(&b->w, SLICE("["));
        has_list = true;
        struct slice items = inside(list.value);
        if (items.len > 0 && n++ > 0) jw(&b->w, SLICE(","));
        jw_raw(&b->w, items);
    }
    jw(&b->w, has_list ? SLICE("]") : SLICE("null"));
}

static const struct answer_block *block_with_logprobs(const struct body *b, uint16_t choice) {
    for (unsigned i = 0; b->is_own && i < b->n_blocks; i++) {
        const struct answer_block *k = &b->blocks[i];
        if (is_text(k, choice) && k->opaque_json.len > 0) return k;
    }
    return NULL;
}

static void w_logprobs(struct body *b, uint16_t choice) {
    static const char *const names[] = {"tokens", "token_logprobs", "top_logprobs", "text_offset"};
    const struct answer_block *k = block_with_logprobs(b, choice);
    struct slice rest = k ? k->opaque_json : SLICE_NULL, first, second;
    jw(&b->w, SLICE(",\"logprobs\":"));
    if (!k || !next_value(&rest, &first)) {
        jw(&b->w, SLICE("null"));
    } else if (!next_value(&rest, &second)) {
        jw_raw(&b->w, first); /* as it came */
    } else {
        for (unsigned i = 0; i < 4; i++) w_joined(b, k->opaque_json, names[i], i == 0);
        jw(&b->w, SLICE("}"));
    }
}

/* ---- the body ---- */

static void w_choice(struct body *b, const struct answer_choice *c) {
    w_text(b, c->index);
    jw(&b->w, SLICE(",\"index\":"));
    jw_int(&b->w, c->index);
    w_logprobs(b, c->index);
    jw(&b->w, SLICE(",\"finish_reason\":"));
    jw_string(&b->w, completions_finish_word(c->finish.reason));
    jw(&b->w, SLICE("}"));
}

static void w_head(struct body *b, const struct event_start *told,
                   const struct encoder_options *o) {
    jw(&b->w, SLICE("{\"id\":"));
    jw_string(&b->w, told_or_ours(b->is_own, told->id, o->id));
    jw(&b->w, SLICE(",\"object\":\"text_completion\",\"created\":"));
    jw_int(&b->w, told->created > 0 ? told->created : o->created);
    jw(&b->w, SLICE(",\"model\":"));
    jw_string(&b->w, told_or_ours(b->is_own, told->model, o->model));
    jw(&b->w, SLICE(",\"choices\":["));
}

int completions_encode_response(const struct answer *an, const struct encoder_options *o,
                                struct buf *out) {
    const struct event_start *told = answer_start(an);
    const struct usage *usage = answer_usage(an);
    const struct answer_choice *choices;
    if (!answer_is_whole(an)) return -ERR_PROTOCOL;
    unsigned n = answer_choices(an, &choices);
    struct body b = {.w = jw_begin(out)};
    b.is_own = !told->origin || strcmp(told->origin, dialect_completions.name) == 0;
    b.n_blocks = answer_blocks(an, &b.blocks);
    w_head(&b, told, o);
    for (unsigned i = 0; i < n; i++) {
        if (i > 0) jw(&b.w, SLICE(","));
        w_choice(&b, &choices[i]);
    }
    jw(&b.w, SLICE("]"));
    if (usage && (usage->in_total >= 0 || usage->out_total >= 0)) {
        jw(&b.w, SLICE(",\"usage\":"));
        chat_w_usage(&b.w, usage);
    }
    jw_member(&b.w, SLICE("system_fingerprint"), o->system_fingerprint);
    jw(&b.w, SLICE("}"));
    return jw_end(&b.w);
}
