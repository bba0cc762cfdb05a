/* SPDX-License-Identifier: Apache-2.0 */
/* A collected answer to the body of a request that was not streamed: its blocks go through the
 * encoder as the events that they came from, so that the body is what a stream would have ended
 * with. */
#include "dialect/responses/responses-stream.h"

#include "base/json_scan.h"
#include "dialect/json_text.h"
#include "dialect/responses/responses_state.h"

struct replay {
    struct encoder *x;
    struct json_walk tokens; /* of the choice's texts, not yet given to one */
    bool has_texts_left;     /* another text block follows */
    int rc;
};

static struct event of_block(const struct answer_block *k, enum event_kind kind) {
    return (struct event){.kind = kind, .block_kind = k->kind, .block = k->id};
}

static void send(struct replay *r, const struct event *ev) {
    if (r->rc == 0) r->rc = responses_encoder_event(r->x, ev, NULL);
}

static void send_text(struct replay *r, const struct answer_block *k, size_t from, size_t to) {
    struct event ev = of_block(k, EV_DELTA);
    ev.text = slice_sub(k->text, from, to - from);
    ev.block_off = from;
    if (to > from) send(r, &ev);
}

static void send_parts(struct replay *r, const struct answer_block *k) {
    size_t from = 0;
    struct event part = of_block(k, EV_PART);
    for (unsigned i = 0; i < k->n_parts; i++) {
        send_text(r, k, from, k->parts[i]);
        send(r, &part);
        from = k->parts[i];
    }
    send_text(r, k, from, k->text.len);
}

/* Whether a token object stands for what `text` begins with, as far as it says; out_len: how
 * much. */
static bool is_token_of(struct slice token, struct slice text, size_t *out_len) {
    struct json_member m;
    struct buf said;
    *out_len = 0;
    if (!json_find_member(token, SLICE("token"), &m) || !json_text_is(m.value, '"')) return true;
    buf_init(&said, m.value.len * 3);
    bool is_told = json_unescape(&said, slice_sub(m.value, 1, m.value.len - 2)) == 0;
    if (is_told) *out_len = said.len;
    bool is_here = !is_told || slice_starts_with(text, buf_slice(&said));
    buf_dispose(&said);
    return is_here;
}

static void send_token_list(struct replay *r, const struct answer_block *k, struct slice tokens) {
    struct event ev = of_block(k, EV_LOGPROBS);
    struct buf list; /* as an array */
    buf_init(&list, tokens.len + 2);
    struct json_writer w = jw_begin(&list);
    jw(&w, SLICE("["));
    jw(&w, tokens);
    jw(&w, SLICE("]"));
    ev.raw_json = buf_slice(&list);
    if (tokens.len > 0) send(r, &ev);
    buf_dispose(&list);
}

/* The choice's tokens belong to its texts in order: each takes as many as make up its length, none
 * when the first is not what it begins with; the last one takes what is left. */
static void send_tokens(struct replay *r, const struct answer_block *k) {
    struct slice token, all = r->tokens.text;
    size_t from = 0, to = 0, len = 0, said;
    while (!r->has_texts_left || len < k->text.len) {
        struct json_walk before = r->tokens;
        if (!json_walk_element(&r->tokens, &token)) break;
        if (r->has_texts_left && !is_token_of(token, k->text, &said) && to == 0) {
            r->tokens = before;
            break;
        }
        if (r->has_texts_left) len += said;
        if (to == 0) from = (size_t)(token.ptr - all.ptr);
        to = (size_t)(token.ptr - all.ptr) + token.len;
    }
    send_token_list(r, k, slice_sub(all, from, to - from));
}

static void send_annotations(struct replay *r, const struct answer_block *k) {
    struct slice rest = k->annotations_json;
    for (unsigned i = 0; i < k->n_annotations; i++) {
        struct event ev = of_block(k, EV_ANNOTATION);
        ev.u.annotation = k->annotations[i];
        if (rest.len > 0) {
            size_t end = json_text_value_end(rest, 0);
            ev.raw_json = slice_sub(rest, 0, end);
            rest = slice_from(rest, end + 1);
        }
        send(r, &ev);
    }
}

static void send_opaques(struct replay *r, const struct answer_block *k) {
    for (struct slice rest = k->opaque_json; rest.len > 0;) {
        struct event ev = of_block(k, EV_OPAQUE);
        size_t end = json_text_value_end(rest, 0);
        ev.raw_json = slice_sub(rest, 0, end);
        rest = slice_from(rest, end + 1);
        send(r, &ev);
    }
}

static void send_block(struct replay *r, const struct answer_block *k) {
    struct event begin = of_block(k, EV_BLOCK_BEGIN), end = of_block(k, EV_BLOCK_END);
    bool has_proof = k->kind == BLOCK_REASONING || k->kind == BLOCK_REDACTED;
    begin.raw_json = k->raw_json;
    begin.u.begin = (struct event_begin){.id = k->tool_id,
                                         .name = k->tool_name,
                                         .name_space = k->name_space,
                                         .item_id = k->item_id,
                                         .group = k->group,
                                         .is_raw = k->is_raw};
    send(r, &begin);
    if (k->kind == BLOCK_TEXT) send_tokens(r, k);
    if (k->kind == BLOCK_OPAQUE)
        send_opaques(r, k);
    else
        send_parts(r, k);
    if (has_proof && k->signature.len > 0) {
        struct event proof = of_block(k, EV_SIGNATURE);
        proof.text = k->signature;
        send(r, &proof);
    }
    send_annotations(r, k);
    send(r, &end);
}

static void send_blocks(struct replay *r, const struct answer *an) {
    const struct answer_block *blocks;
    unsigned n = answer_blocks(an, &blocks), n_texts = 0;
    for (unsigned i = 0; i < n; i++)
        n_texts += blocks[i].choice == 0 && blocks[i].kind == BLOCK_TEXT;
    for (unsigned i = 0; i < n; i++) {
        if (blocks[i].choice > 0) continue;
        n_texts -= blocks[i].kind == BLOCK_TEXT;
        r->has_texts_left = n_texts > 0;
        send_block(r, &blocks[i]);
    }
}

static void send_ends(struct replay *r, const struct answer *an, const struct finish *f) {
    const struct usage *usage = answer_usage(an);
    struct event finish = {.kind = EV_FINISH, .u.finish = *f}, end = {.kind = EV_END};
    send(r, &finish);
    if (usage) {
        struct event ev = {.kind = EV_USAGE, .u.usage = *usage};
        send(r, &ev);
    }
    send(r, &end);
}

int responses_encode_response(const struct answer *an, const struct encoder_options *o,
                              struct buf *out) {
    const struct answer_choice *choices;
    unsigned n = answer_choices(an, &choices);
    bool is_whole = n > 0 && choices[0].index == 0 && choices[0].has_finish &&
                    choices[0].finish.reason != STOP_ERROR;
    if (answer_error(an) || !is_whole) return -ERR_PROTOCOL;
    struct replay r = {.x = responses_encoder_new(o)};
    struct event start = {.kind = EV_START, .u.start = *answer_start(an)};
    struct buf tokens; /* the walk wants an array */
    buf_init(&tokens, choices[0].logprobs_json.len + 2);
    struct json_writer w = jw_begin(&tokens);
    jw(&w, SLICE("["));
    jw(&w, choices[0].logprobs_json);
    jw(&w, SLICE("]"));
    r.tokens = json_walk_begin(buf_slice(&tokens));
    struct finish finish = choices[0].finish;
    responses_encoder_set_quiet(r.x);
    send(&r, &start);
    send_blocks(&r, an);
    send_ends(&r, an, &finish);
    int rc = r.rc ? r.rc : responses_encoder_write_response(r.x, out);
    responses_encoder_free(r.x);
    buf_dispose(&tokens);
    return rc;
}

struct slice responses_body_output(struct slice body) {
    struct json_member m;
    if (!json_text_is(body, '{') || !json_find_member(body, SLICE("output"), &m) ||
        !json_text_is(m.value, '['))
        return SLICE_NULL;
    size_t at = json_text_skip_space(m.value, 1);
    return slice_sub(m.value, at, m.value.len - 1 - at);
}
