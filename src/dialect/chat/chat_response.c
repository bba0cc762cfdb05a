/* SPDX-License-Identifier: Apache-2.0 */
/* A collected answer to the body of a request that was not streamed. */
#include "dialect/chat/chat-private.h"

#include <stdio.h>

#include "dialect/encode_kept.h"
#include "dialect/json_text.h"

struct body {
    struct json_writer w;
    const struct answer_block *blocks;
    unsigned n_blocks;
    int64_t created;
    enum chat_origin origin;
};

/* ---- one choice's blocks ---- */

static bool has_kind(const struct body *b, uint16_t choice, enum block_kind kind) {
    for (unsigned i = 0; i < b->n_blocks; i++) {
        if (b->blocks[i].choice == choice && b->blocks[i].kind == kind) return true;
    }
    return false;
}

/* The body of a JSON string; parts of a summary stand apart. */
static void w_text(struct body *b, const struct answer_block *k) {
    size_t at = 0;
    for (unsigned i = 0; k->kind == BLOCK_REASONING && i < k->n_parts; i++) {
        if (k->parts[i] < at || k->parts[i] > k->text.len) continue;
        jw_escaped(&b->w, slice_sub(k->text, at, k->parts[i] - at));
        jw(&b->w, SLICE("\\n\\n"));
        at = k->parts[i];
    }
    jw_escaped(&b->w, slice_from(k->text, at));
}

/* All texts of this kind, as one JSON string. */
static void w_texts(struct body *b, uint16_t choice, enum block_kind kind) {
    jw(&b->w, SLICE("\""));
    for (unsigned i = 0; i < b->n_blocks; i++) {
        if (b->blocks[i].choice == choice && b->blocks[i].kind == kind) w_text(b, &b->blocks[i]);
    }
    jw(&b->w, SLICE("\""));
}

static void w_content(struct body *b, uint16_t choice) {
    static const enum block_kind instead[] = {BLOCK_TOOL_CALL, BLOCK_CUSTOM_TOOL_CALL,
                                              BLOCK_FUNCTION_CALL, BLOCK_REFUSAL, BLOCK_AUDIO};
    bool is_null = false;
    for (size_t i = 0; i < sizeof instead / sizeof *instead; i++)
        is_null |= has_kind(b, choice, instead[i]);
    jw(&b->w, SLICE("\"content\":"));
    if (is_null && !has_kind(b, choice, BLOCK_TEXT)) {
        jw(&b->w, SLICE("null"));
    } else {
        w_texts(b, choice, BLOCK_TEXT);
    }
    jw(&b->w, SLICE(",\"refusal\":"));
    if (has_kind(b, choice, BLOCK_REFUSAL)) {
        w_texts(b, choice, BLOCK_REFUSAL);
    } else {
        jw(&b->w, SLICE("null"));
    }
}

/* One block's entry, as the stream's add up to (chat_encode.c). */
static void w_thought(struct body *b, const struct answer_block *k, unsigned index) {
    bool is_sealed = k->kind == BLOCK_REDACTED || b->origin == CHAT_FROM_RESPONSES;
    jw(&b->w, is_sealed ? SLICE("{\"type\":\"reasoning.encrypted\"")
                        : SLICE("{\"type\":\"reasoning.text\""));
    if (b->origin == CHAT_FROM_MESSAGES && k->kind == BLOCK_REASONING) {
        jw(&b->w, SLICE(",\"text\":\""));
        w_text(b, k);
        jw(&b->w, SLICE("\""));
    }
    jw_member(&b->w, is_sealed ? SLICE("data") : SLICE("signature"), k->signature);
    if (is_sealed) jw_member(&b->w, SLICE("id"), k->item_id);
    else if (b->origin == CHAT_FROM_MESSAGES && k->signature.len > 0)
        jw_member(&b->w, SLICE("format"), CHAT_SIGNATURE_FORMAT);
    jw(&b->w, SLICE(",\"index\":"));
    jw_int(&b->w, index);
    jw(&b->w, SLICE("}"));
}

static void w_reasoning(struct body *b, uint16_t choice) {
    unsigned n = 0;
    if (has_kind(b, choice, BLOCK_REASONING)) {
        jw(&b->w, SLICE(",\"reasoning_content\":"));
        w_texts(b, choice, BLOCK_REASONING);
    }
    for (unsigned i = 0; i < b->n_blocks; i++) {
        const struct answer_block *k = &b->blocks[i];
        bool is_thought = k->kind == BLOCK_REDACTED || k->kind == BLOCK_REASONING;
        if (k->choice != choice || !is_thought) continue;
        bool is_said = k->signature.len > 0 ||
                       (b->origin == CHAT_FROM_MESSAGES && k->text.len > 0);
        if (is_said) {
            jw(&b->w, n == 0 ? SLICE(",\"reasoning_details\":[") : SLICE(","));
            w_thought(b, k, n++);
        }
    }
    if (n > 0) jw(&b->w, SLICE("]"));
}

static void w_tool_call(struct body *b, const struct answer_block *k) {
    bool is_custom = k->kind == BLOCK_CUSTOM_TOOL_CALL;
    char made[48];
    struct slice id = k->tool_id;
    if (id.len == 0) {
        int n = snprintf(made, sizeof made, CHAT_TOOL_ID_FORMAT, (unsigned long long)b->created,
                         k->id);
        id = slice_make(made, (size_t)n);
    }
    jw(&b->w, SLICE("{\"id\":"));
    jw_string(&b->w, id);
    jw(&b->w, is_custom ? SLICE(",\"type\":\"custom\",\"custom\":{\"name\":")
                            : SLICE(",\"type\":\"function\",\"function\":{\"name\":"));
    jw_string(&b->w, k->tool_name);
    jw(&b->w, is_custom ? SLICE(",\"input\":") : SLICE(",\"arguments\":"));
    bool must_say = b->origin != CHAT_FROM_CHAT && !is_custom && k->text.len == 0;
    jw_string(&b->w, must_say ? SLICE("{}") : k->text);
    jw(&b->w, SLICE("}}"));
}

static void w_tool_calls(struct body *b, uint16_t choice) {
    unsigned n = 0;
    for (unsigned i = 0; i < b->n_blocks; i++) {
        const struct answer_block *k = &b->blocks[i];
        if (k->choice != choice ||
            (k->kind != BLOCK_TOOL_CALL && k->kind != BLOCK_CUSTOM_TOOL_CALL))
            continue;
        jw(&b->w, n++ == 0 ? SLICE(",\"tool_calls\":[") : SLICE(","));
        w_tool_call(b, k);
    }
    if (n > 0) jw(&b->w, SLICE("]"));
}

static void w_function_call(struct body *b, const struct answer_block *k) {
    bool must_say = b->origin != CHAT_FROM_CHAT && k->text.len == 0;
    jw(&b->w, SLICE(",\"function_call\":{\"name\":"));
    jw_string(&b->w, k->tool_name);
    jw(&b->w, SLICE(",\"arguments\":"));
    jw_string(&b->w, must_say ? SLICE("{}") : k->text);
    jw(&b->w, SLICE("}"));
}

/* Pieces of base64 as they came in the stream: each a JSON string; the bodies of which, joined, are
 * one. */
static void w_joined(struct body *b, struct slice strings) {
    jw(&b->w, SLICE("\""));
    while (strings.len > 1) {
        size_t end = json_text_value_end(strings, 0);
        jw_raw(&b->w, slice_sub(strings, 1, end - 2));
        strings = slice_from(strings, end + 1); /* behind the comma */
    }
    jw(&b->w, SLICE("\""));
}

static void w_audio(struct body *b, const struct answer_block *k) {
    jw(&b->w, SLICE(",\"audio\":{\"id\":"));
    jw_string(&b->w, k->tool_id);
    jw(&b->w, SLICE(",\"data\":"));
    w_joined(b, k->audio_data_json);
    jw(&b->w, SLICE(",\"expires_at\":"));
    jw_int(&b->w, k->audio_expires_at >= 0 ? k->audio_expires_at : 0);
    jw(&b->w, SLICE(",\"transcript\":"));
    jw_string(&b->w, k->text);
    jw(&b->w, SLICE("}"));
}

/* Of these a message has one at most: the first. */
static void w_single(struct body *b, uint16_t choice, enum block_kind kind,
                     void (*write)(struct body *, const struct answer_block *)) {
    for (unsigned i = 0; i < b->n_blocks; i++) {
        if (b->blocks[i].choice != choice || b->blocks[i].kind != kind) continue;
        write(b, &b->blocks[i]);
        return;
    }
}

/* ---- annotations ---- */

static int64_t code_points(struct slice text) {
    int64_t n = 0;
    for (size_t i = 0; i < text.len; i++) n += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    return n;
}

/* Places in the block become places in the message; who has none gets its block's. */
static void w_block_annotations(struct body *b, const struct answer_block *k, int64_t start,
                                unsigned *n) {
    int64_t end = start + code_points(k->text);
    for (unsigned i = 0; i < k->n_annotations; i++) {
        struct annotation a = k->annotations[i];
        if (a.kind != ANNOTATION_URL || a.url.len == 0) continue;
        bool has_place = a.start >= 0 && a.end >= a.start;
        a.start = has_place ? start + a.start : start;
        a.end = has_place ? start + a.end : end;
        if ((*n)++ > 0) jw(&b->w, SLICE(","));
        chat_w_citation(&b->w, &a);
    }
}

static void w_annotations(struct body *b, const struct answer_choice *c) {
    int64_t start = 0;
    unsigned n = 0;
    jw(&b->w, SLICE(",\"annotations\":["));
    if (b->origin == CHAT_FROM_CHAT) jw_raw(&b->w, c->annotations_json);
    for (unsigned i = 0; b->origin != CHAT_FROM_CHAT && i < b->n_blocks; i++) {
        const struct answer_block *k = &b->blocks[i];
        if (k->choice != c->index || k->kind != BLOCK_TEXT) continue;
        w_block_annotations(b, k, start, &n);
        start += code_points(k->text);
    }
    jw(&b->w, SLICE("]"));
}

/* ---- the body ---- */

static void w_token_list(struct body *b, struct slice tokens) {
    if (tokens.len == 0) {
        jw(&b->w, SLICE("null"));
        return;
    }
    if (b->origin != CHAT_FROM_CHAT) {
        chat_w_tokens(&b->w, tokens);
        return;
    }
    jw(&b->w, SLICE("["));
    jw_raw(&b->w, tokens);
    jw(&b->w, SLICE("]"));
}

static void w_logprobs(struct body *b, const struct answer_choice *c) {
    jw(&b->w, SLICE(",\"logprobs\":"));
    if (c->logprobs_json.len == 0 && c->refusal_logprobs_json.len == 0) {
        jw(&b->w, SLICE("null"));
        return;
    }
    jw(&b->w, SLICE("{\"content\":"));
    w_token_list(b, c->logprobs_json);
    jw(&b->w, SLICE(",\"refusal\":"));
    w_token_list(b, c->refusal_logprobs_json);
    jw(&b->w, SLICE("}"));
}

static void w_choice(struct body *b, const struct answer_choice *c) {
    jw(&b->w, SLICE("{\"index\":"));
    jw_int(&b->w, c->index);
    jw(&b->w, SLICE(",\"message\":{\"role\":\"assistant\","));
    w_content(b, c->index);
    w_reasoning(b, c->index);
    w_tool_calls(b, c->index);
    w_single(b, c->index, BLOCK_FUNCTION_CALL, w_function_call);
    w_single(b, c->index, BLOCK_AUDIO, w_audio);
    w_annotations(b, c);
    jw(&b->w, SLICE("}"));
    w_logprobs(b, c);
    jw(&b->w, SLICE(",\"finish_reason\":"));
    jw_string(&b->w, chat_finish_word(&c->finish, has_kind(b, c->index, BLOCK_FUNCTION_CALL)));
    jw(&b->w, SLICE("}"));
}

static void w_head(struct body *b, const struct event_start *told,
                   const struct encoder_options *o) {
    jw(&b->w, SLICE("{\"id\":"));
    jw_string(&b->w, told_or_ours(b->origin == CHAT_FROM_CHAT, told->id, o->id));
    jw(&b->w, SLICE(",\"object\":\"chat.completion\",\"created\":"));
    jw_int(&b->w, b->created);
    jw(&b->w, SLICE(",\"model\":"));
    jw_string(&b->w, told_or_ours(b->origin == CHAT_FROM_CHAT, told->model, o->model));
    jw(&b->w, SLICE(",\"choices\":["));
}

int chat_encode_response(const struct answer *an, const struct encoder_options *o,
                         struct buf *out) {
    const struct event_start *told = answer_start(an);
    const struct usage *usage = answer_usage(an);
    const struct answer_choice *choices;
    if (!answer_is_whole(an)) return -ERR_PROTOCOL;
    unsigned n = answer_choices(an, &choices);
    struct body b = {.w = jw_begin(out),
                     .origin = chat_origin_of(told),
                     .created = told->created > 0 ? told->created : o->created};
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
    jw_member(&b.w, SLICE("service_tier"),
              o->service_tier.len > 0 ? o->service_tier : told->service_tier);
    jw_member(&b.w, SLICE("system_fingerprint"), o->system_fingerprint);
    jw(&b.w, SLICE("}"));
    return jw_end(&b.w);
}
