/* SPDX-License-Identifier: Apache-2.0 */
/* A collected answer to the body of a request that was not streamed. */
#include "dialect/chat/chat-private.h"

#include <stdio.h>

#include "dialect/json_text.h"

struct body {
    struct json_writer w;
    const struct answer_block *blocks;
    unsigned n_blocks;
    int64_t created;
};

/* ---- one choice's blocks ---- */

static bool has_kind(const struct body *b, uint16_t choice, enum block_kind kind) {
    for (unsigned i = 0; i < b->n_blocks; i++) {
        if (b->blocks[i].choice == choice && b->blocks[i].kind == kind) return true;
    }
    return false;
}

/* All texts of this kind, as one JSON string. */
static void w_texts(struct body *b, uint16_t choice, enum block_kind kind) {
    jw(&b->w, SLICE("\""));
    for (unsigned i = 0; i < b->n_blocks; i++) {
        if (b->blocks[i].choice == choice && b->blocks[i].kind == kind)
            jw_escaped(&b->w, b->blocks[i].text);
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

static void w_reasoning(struct body *b, uint16_t choice) {
    unsigned n = 0;
    if (has_kind(b, choice, BLOCK_REASONING)) {
        jw(&b->w, SLICE(",\"reasoning_content\":"));
        w_texts(b, choice, BLOCK_REASONING);
    }
    for (unsigned i = 0; i < b->n_blocks; i++) {
        const struct answer_block *k = &b->blocks[i];
        bool is_redacted = k->kind == BLOCK_REDACTED;
        if (k->choice != choice || k->signature.len == 0 ||
            (!is_redacted && k->kind != BLOCK_REASONING))
            continue;
        jw(&b->w,
               n++ == 0 ? SLICE(",\"reasoning_details\":[{\"type\":") : SLICE(",{\"type\":"));
        jw(&b->w, is_redacted ? SLICE("\"reasoning.encrypted\",\"data\":")
                                  : SLICE("\"reasoning.text\",\"signature\":"));
        jw_string(&b->w, k->signature);
        jw(&b->w, SLICE("}"));
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
    jw_string(&b->w, k->text);
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
    jw(&b->w, SLICE(",\"function_call\":{\"name\":"));
    jw_string(&b->w, k->tool_name);
    jw(&b->w, SLICE(",\"arguments\":"));
    jw_string(&b->w, k->text);
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

/* ---- the body ---- */

static void w_token_list(struct body *b, struct slice tokens) {
    if (tokens.len == 0) {
        jw(&b->w, SLICE("null"));
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
    jw(&b->w, SLICE(",\"annotations\":["));
    jw_raw(&b->w, c->annotations_json);
    jw(&b->w, SLICE("]}"));
    w_logprobs(b, c);
    jw(&b->w, SLICE(",\"finish_reason\":"));
    jw_string(&b->w, chat_finish_word(&c->finish, has_kind(b, c->index, BLOCK_FUNCTION_CALL)));
    jw(&b->w, SLICE("}"));
}

static void w_head(struct body *b, const struct event_start *told,
                   const struct encoder_options *o) {
    jw(&b->w, SLICE("{\"id\":"));
    jw_string(&b->w, told->id.len > 0 ? told->id : o->id);
    jw(&b->w, SLICE(",\"object\":\"chat.completion\",\"created\":"));
    jw_int(&b->w, b->created);
    jw(&b->w, SLICE(",\"model\":"));
    jw_string(&b->w, told->model.len > 0 ? told->model : o->model);
    jw(&b->w, SLICE(",\"choices\":["));
}

static bool is_whole(const struct answer_choice *choices, unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        if (!choices[i].has_finish || choices[i].finish.reason == STOP_ERROR) return false;
    }
    return n > 0;
}

int chat_encode_response(const struct answer *an, const struct encoder_options *o,
                         struct buf *out) {
    const struct event_start *told = answer_start(an);
    const struct usage *usage = answer_usage(an);
    const struct answer_choice *choices;
    unsigned n = answer_choices(an, &choices);
    if (answer_error(an) || !is_whole(choices, n)) return -ERR_PROTOCOL;
    struct body b = {.w = jw_begin(out),
                     .created = told->created > 0 ? told->created : o->created};
    b.n_blocks = answer_blocks(an, &b.blocks);
    w_head(&b, told, o);
    for (unsigned i = 0; i < n; i++) {
        if (i > 0) jw(&b.w, SLICE(","));
        w_choice(&b, &choices[i]);
    }
    jw(&b.w, SLICE("]"));
    if (usage) {
        jw(&b.w, SLICE(",\"usage\":"));
        chat_w_usage(&b.w, usage);
    }
    jw_member(&b.w, SLICE("service_tier"), o->service_tier);
    jw_member(&b.w, SLICE("system_fingerprint"), o->system_fingerprint);
    jw(&b.w, SLICE("}"));
    return jw_end(&b.w);
}
