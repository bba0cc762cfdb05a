/* SPDX-License-Identifier: Apache-2.0 */
/* A collected answer to the body of a request that was not streamed. */
#include "dialect/chat/chat-private.h"

#include <stdio.h>

#include "dialect/json_text.h"

struct body {
    struct chat_writer w;
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
    chat_w(&b->w, SLICE("\""));
    for (unsigned i = 0; i < b->n_blocks; i++) {
        if (b->blocks[i].choice == choice && b->blocks[i].kind == kind)
            chat_w_escaped(&b->w, b->blocks[i].text);
    }
    chat_w(&b->w, SLICE("\""));
}

static void w_content(struct body *b, uint16_t choice) {
    static const enum block_kind instead[] = {BLOCK_TOOL_CALL, BLOCK_CUSTOM_TOOL_CALL,
                                              BLOCK_FUNCTION_CALL, BLOCK_REFUSAL, BLOCK_AUDIO};
    bool is_null = false;
    for (size_t i = 0; i < sizeof instead / sizeof *instead; i++)
        is_null |= has_kind(b, choice, instead[i]);
    chat_w(&b->w, SLICE("\"content\":"));
    if (is_null && !has_kind(b, choice, BLOCK_TEXT)) {
        chat_w(&b->w, SLICE("null"));
    } else {
        w_texts(b, choice, BLOCK_TEXT);
    }
    chat_w(&b->w, SLICE(",\"refusal\":"));
    if (has_kind(b, choice, BLOCK_REFUSAL)) {
        w_texts(b, choice, BLOCK_REFUSAL);
    } else {
        chat_w(&b->w, SLICE("null"));
    }
}

static void w_reasoning(struct body *b, uint16_t choice) {
    unsigned n = 0;
    if (has_kind(b, choice, BLOCK_REASONING)) {
        chat_w(&b->w, SLICE(",\"reasoning_content\":"));
        w_texts(b, choice, BLOCK_REASONING);
    }
    for (unsigned i = 0; i < b->n_blocks; i++) {
        const struct answer_block *k = &b->blocks[i];
        bool is_redacted = k->kind == BLOCK_REDACTED;
        if (k->choice != choice || k->signature.len == 0 ||
            (!is_redacted && k->kind != BLOCK_REASONING))
            continue;
        chat_w(&b->w,
               n++ == 0 ? SLICE(",\"reasoning_details\":[{\"type\":") : SLICE(",{\"type\":"));
        chat_w(&b->w, is_redacted ? SLICE("\"reasoning.encrypted\",\"data\":")
                                  : SLICE("\"reasoning.text\",\"signature\":"));
        chat_w_string(&b->w, k->signature);
        chat_w(&b->w, SLICE("}"));
    }
    if (n > 0) chat_w(&b->w, SLICE("]"));
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
    chat_w(&b->w, SLICE("{\"id\":"));
    chat_w_string(&b->w, id);
    chat_w(&b->w, is_custom ? SLICE(",\"type\":\"custom\",\"custom\":{\"name\":")
                            : SLICE(",\"type\":\"function\",\"function\":{\"name\":"));
    chat_w_string(&b->w, k->tool_name);
    chat_w(&b->w, is_custom ? SLICE(",\"input\":") : SLICE(",\"arguments\":"));
    chat_w_string(&b->w, k->text);
    chat_w(&b->w, SLICE("}}"));
}

static void w_tool_calls(struct body *b, uint16_t choice) {
    unsigned n = 0;
    for (unsigned i = 0; i < b->n_blocks; i++) {
        const struct answer_block *k = &b->blocks[i];
        if (k->choice != choice ||
            (k->kind != BLOCK_TOOL_CALL && k->kind != BLOCK_CUSTOM_TOOL_CALL))
            continue;
        chat_w(&b->w, n++ == 0 ? SLICE(",\"tool_calls\":[") : SLICE(","));
        w_tool_call(b, k);
    }
    if (n > 0) chat_w(&b->w, SLICE("]"));
}

static void w_function_call(struct body *b, const struct answer_block *k) {
    chat_w(&b->w, SLICE(",\"function_call\":{\"name\":"));
    chat_w_string(&b->w, k->tool_name);
    chat_w(&b->w, SLICE(",\"arguments\":"));
    chat_w_string(&b->w, k->text);
    chat_w(&b->w, SLICE("}"));
}

/* Pieces of base64 as they came in the stream: each a JSON string; the bodies of which, joined, are
 * one. */
static void w_joined(struct body *b, struct slice strings) {
    chat_w(&b->w, SLICE("\""));
    while (strings.len > 1) {
        size_t end = json_text_value_end(strings, 0);
        chat_w_raw(&b->w, slice_sub(strings, 1, end - 2));
        strings = slice_from(strings, end + 1); /* behind the comma */
    }
    chat_w(&b->w, SLICE("\""));
}

static void w_audio(struct body *b, const struct answer_block *k) {
    chat_w(&b->w, SLICE(",\"audio\":{\"id\":"));
    chat_w_string(&b->w, k->tool_id);
    chat_w(&b->w, SLICE(",\"data\":"));
    w_joined(b, k->audio_data_json);
    chat_w(&b->w, SLICE(",\"expires_at\":"));
    chat_w_int(&b->w, k->audio_expires_at >= 0 ? k->audio_expires_at : 0);
    chat_w(&b->w, SLICE(",\"transcript\":"));
    chat_w_string(&b->w, k->text);
    chat_w(&b->w, SLICE("}"));
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
        chat_w(&b->w, SLICE("null"));
        return;
    }
    chat_w(&b->w, SLICE("["));
    chat_w_raw(&b->w, tokens);
    chat_w(&b->w, SLICE("]"));
}

static void w_logprobs(struct body *b, const struct answer_choice *c) {
    chat_w(&b->w, SLICE(",\"logprobs\":"));
    if (c->logprobs_json.len == 0 && c->refusal_logprobs_json.len == 0) {
        chat_w(&b->w, SLICE("null"));
        return;
    }
    chat_w(&b->w, SLICE("{\"content\":"));
    w_token_list(b, c->logprobs_json);
    chat_w(&b->w, SLICE(",\"refusal\":"));
    w_token_list(b, c->refusal_logprobs_json);
    chat_w(&b->w, SLICE("}"));
}

static void w_choice(struct body *b, const struct answer_choice *c) {
    chat_w(&b->w, SLICE("{\"index\":"));
    chat_w_int(&b->w, c->index);
    chat_w(&b->w, SLICE(",\"message\":{\"role\":\"assistant\","));
    w_content(b, c->index);
    w_reasoning(b, c->index);
    w_tool_calls(b, c->index);
    w_single(b, c->index, BLOCK_FUNCTION_CALL, w_function_call);
    w_single(b, c->index, BLOCK_AUDIO, w_audio);
    chat_w(&b->w, SLICE(",\"annotations\":["));
    chat_w_raw(&b->w, c->annotations_json);
    chat_w(&b->w, SLICE("]}"));
    w_logprobs(b, c);
    chat_w(&b->w, SLICE(",\"finish_reason\":"));
    chat_w_string(&b->w, chat_finish_word(&c->finish, has_kind(b, c->index, BLOCK_FUNCTION_CALL)));
    chat_w(&b->w, SLICE("}"));
}

static void w_head(struct body *b, const struct event_start *told,
                   const struct encoder_options *o) {
    chat_w(&b->w, SLICE("{\"id\":"));
    chat_w_string(&b->w, told->id.len > 0 ? told->id : o->id);
    chat_w(&b->w, SLICE(",\"object\":\"chat.completion\",\"created\":"));
    chat_w_int(&b->w, b->created);
    chat_w(&b->w, SLICE(",\"model\":"));
    chat_w_string(&b->w, told->model.len > 0 ? told->model : o->model);
    chat_w(&b->w, SLICE(",\"choices\":["));
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
    struct body b = {.w = chat_begin(out),
                     .created = told->created > 0 ? told->created : o->created};
    b.n_blocks = answer_blocks(an, &b.blocks);
    w_head(&b, told, o);
    for (unsigned i = 0; i < n; i++) {
        if (i > 0) chat_w(&b.w, SLICE(","));
        w_choice(&b, &choices[i]);
    }
    chat_w(&b.w, SLICE("]"));
    if (usage) {
        chat_w(&b.w, SLICE(",\"usage\":"));
        chat_w_usage(&b.w, usage);
    }
    chat_w_member(&b.w, SLICE("service_tier"), o->service_tier);
    chat_w_member(&b.w, SLICE("system_fingerprint"), o->system_fingerprint);
    chat_w(&b.w, SLICE("}"));
    return chat_end(&b.w);
}
