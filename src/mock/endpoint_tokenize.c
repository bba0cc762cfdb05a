/* SPDX-License-Identifier: Apache-2.0 */
/* POST /tokenize and /detokenize, with or without /penstock or /v1 in front: what a text is in
 * tokens, and back. Members of vLLM's endpoints of these names have their meaning here. */
#include "dialect/json_text.h"
#include "dialect/json_write.h"
#include "dialect/peek.h"
#include "mock/call.h"
#include "mock/reply-private.h"
#include "mock/tokenizer_choice.h"

enum {
    TEXT_MAX_BYTES = 1 << 20,
    IDS_MAX_BYTES = 4 * TEXT_MAX_BYTES,
    TEXT_OF_IDS_MAX_BYTES = 16 << 20,
    CONTEXT_TOKENS = 128000           /* of the models that are played */
};

enum key { KEY_MODEL, KEY_ENCODING, KEY_TEXT, KEY_INPUT, KEY_PROMPT, KEY_MESSAGES, KEY_TOOLS,
           KEY_TOKENS, KEY_COUNT };
static const char *const key_names[KEY_COUNT] = {"model",  "encoding", "text",  "input",
                                                 "prompt", "messages", "tools", "tokens"};

struct ask {
    struct mock_worker *w;
    struct http_exchange *ex;
    struct peek peek;
    struct request_fault fault;
    const struct tokenizer *tokenizer;
    struct slice text;
    uint64_t count;                   /* of messages: with what is around their texts */
    bool is_messages;
};

static struct slice value_of(const struct ask *k, enum key key) {
    struct slice value = k->peek.values[key];
    return json_text_is_null(value) ? SLICE_NULL : value;
}

/* ---- the request ---- */

static int read_encoding(struct ask *k) {
    struct slice name = json_text_string(value_of(k, KEY_ENCODING), k->ex->arena);
    struct slice model = json_text_string(value_of(k, KEY_MODEL), k->ex->arena);
    enum encoding e;
    if (!name.ptr) {
        k->tokenizer = mock_tokenizer(mock_options_now(k->w), model);
        return 0;
    }
    if (!encoding_find(name, &e)) {
        return request_refuse(&k->fault, "invalid_value", "encoding",
                              "Invalid 'encoding': it is one of 'o200k_base', 'cl100k_base', "
                              "'word pieces'.");
    }
    k->tokenizer = tokenizer_get(e);
    return 0;
}

static int begin(struct ask *k, struct mock_worker *w, struct http_exchange *ex) {
    *k = (struct ask){.w = w, .ex = ex};
    k->peek = (struct peek){.body = bytes_slice(ex->body),
                            .a = ex->arena,
                            .fault = &k->fault,
                            .names = key_names,
                            .n_names = KEY_COUNT};
    int rc = peek_scan(&k->peek);
    return rc ? rc : read_encoding(k);
}

/* A chat request of these messages, counted as one; the text is what they say. */
static int read_messages(struct ask *k) {
    struct slice messages = value_of(k, KEY_MESSAGES), tools = value_of(k, KEY_TOOLS);
    struct llm_request rq;
    struct buf body, text;
    buf_init(&body, messages.len + tools.len + 100);
    int rc = buf_append(&body, SLICE("{\"model\":\"mock\",\"messages\":")) |
             buf_append(&body, messages) |
             buf_append(&body, tools.ptr ? SLICE(",\"tools\":") : SLICE_NULL) |
             buf_append(&body, tools) | buf_append_byte(&body, '}');
    struct slice asked = arena_dup(k->ex->arena, buf_slice(&body));
    buf_dispose(&body);
    rc = rc ? rc : dialect_chat.decode_request(asked, k->ex->arena, &rq, &k->fault);
    if (rc) {
        return rc;
    }
    buf_init(&text, TEXT_MAX_BYTES + 1);
    for (const struct message *m = rq.messages; m && rc == 0; m = m->next) {
        rc = buf_append(&text, message_text(m, k->ex->arena));
    }
    k->text = arena_dup(k->ex->arena, buf_slice(&text));
    buf_dispose(&text);
    k->is_messages = true;
    k->count = count_prompt(&rq, k->tokenizer).all;
    return rc ? request_refuse(&k->fault, "string_above_max_length", "messages",
                               "Invalid 'messages': they are longer than %d bytes.", TEXT_MAX_BYTES)
              : 0;
}

static int read_text(struct ask *k) {
    static const enum key texts[] = {KEY_TEXT, KEY_INPUT, KEY_PROMPT};
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct slice value = value_of(k, texts[i]);
        if (!value.ptr) {
            continue;
        }
        if (!json_text_is(value, '"')) {
            return request_refuse_type(&k->fault, key_names[texts[i]], "a string", value);
        }
        k->text = json_text_string(value, k->ex->arena);
        return k->text.len <= TEXT_MAX_BYTES
                   ? 0
                   : request_refuse(&k->fault, "string_above_max_length", key_names[texts[i]],
                                    "Invalid '%s': it is longer than %d bytes.",
                                    key_names[texts[i]], TEXT_MAX_BYTES);
    }
    return value_of(k, KEY_MESSAGES).ptr ? read_messages(k)
                                         : request_refuse_missing(&k->fault, "text");
}

/* ---- tokenize ---- */

static void w_tokenizer(struct json_writer *j, const struct tokenizer *t) {
    jw(j, SLICE("{\"encoding\":"));
    jw_string(j, slice_cstr(tokenizer_name(t)));
    jw(j, tokenizer_is_exact(t) ? SLICE(",\"exact\":true") : SLICE(",\"exact\":false"));
}

/* Each token's text; bytes that are a part of a character only as U+FFFD. */
static void w_strings(struct json_writer *j, const struct ask *k, const uint32_t *ids, size_t n) {
    struct token_cut cut;
    struct slice rest = k->text;
    token_cut_start(&cut, k->tokenizer);
    jw(j, SLICE(",\"strings\":["));
    for (size_t i = 0; i < n && j->rc == 0; i++) {
        struct slice s = tokenizer_bytes(k->tokenizer, ids[i]);
        if (!s.ptr) {                 /* word pieces: the text tells */
            uint32_t one;
            s = slice_sub(rest, 0, token_cut_next(&cut, rest, true, 1, &one));
            rest = slice_from(rest, s.len);
        }
        jw(j, i ? SLICE(",") : SLICE(""));
        jw_string(j, s);
    }
    jw(j, SLICE("]"));
}

static void answer_tokens(struct ask *k, const uint32_t *ids, size_t n) {
    mock_worker_scratch(&k->w->body);
    struct json_writer j = jw_begin(&k->w->body);
    w_tokenizer(&j, k->tokenizer);
    jw(&j, SLICE(",\"count\":"));
    jw_int(&j, (int64_t)(k->is_messages ? k->count : n));
    jw(&j, SLICE(",\"max_model_len\":"));
    jw_int(&j, CONTEXT_TOKENS);
    jw(&j, SLICE(",\"tokens\":["));
    for (size_t i = 0; i < n && j.rc == 0; i++) {
        j.rc = buf_appendf(j.out, i ? ",%u" : "%u", ids[i]);
    }
    jw(&j, SLICE("]"));
    w_strings(&j, k, ids, n);
    jw(&j, SLICE("}\n"));
    mock_respond_json(k->w, k->ex, jw_end(&j) < 0 ? 500 : 200, buf_slice(&k->w->body));
}

void mock_endpoint_tokenize(struct mock_worker *w, struct http_exchange *ex) {
    struct ask k;
    struct buf ids;
    int rc = begin(&k, w, ex);
    rc = rc ? rc : read_text(&k);
    if (rc) {
        mock_respond_fault_of_request(w, ex, &k.fault, 400);
        return;
    }
    buf_init(&ids, IDS_MAX_BYTES);
    if (tokenizer_encode(k.tokenizer, k.text, &ids) < 0) {
        mock_respond_simple_error(w, ex, 500, "internal", "The tokens do not fit.");
    } else {
        answer_tokens(&k, (const void *)ids.ptr, ids.len / sizeof(uint32_t));
    }
    buf_dispose(&ids);
}

/* ---- detokenize ---- */

static int refuse_token(struct ask *k, struct slice element) {
    return request_refuse(&k->fault, "invalid_value", "tokens",
                          "Invalid 'tokens': %.*s is no token of %s.",
                          (int)(element.len < 40 ? element.len : 40), element.ptr,
                          tokenizer_name(k->tokenizer));
}

static int read_ids(struct ask *k, struct buf *out) {
    struct slice list = value_of(k, KEY_TOKENS), element;
    if (!list.ptr) {
        return request_refuse_missing(&k->fault, "tokens");
    }
    if (!json_text_is(list, '[')) {
        return request_refuse_type(&k->fault, "tokens", "an array of integers", list);
    }
    if (!tokenizer_is_exact(k->tokenizer)) {
        return request_refuse(&k->fault, "unsupported_value", "encoding",
                              "Word pieces have no ids to go back from: the data of the "
                              "tokenizers is missing (make ranks).");
    }
    struct json_walk walk = json_walk_begin(list);
    while (json_walk_element(&walk, &element)) {
        int64_t id;
        bool is_id = json_text_int(element, &id) && id >= 0 && id < UINT32_MAX;
        struct slice bytes = is_id ? tokenizer_bytes(k->tokenizer, (uint32_t)id) : SLICE_NULL;
        if (!bytes.ptr) {
            return refuse_token(k, element);
        }
        if (buf_append(out, bytes) < 0) {
            return request_refuse(&k->fault, "array_above_max_length", "tokens",
                                  "Invalid 'tokens': their text is longer than %d bytes.",
                                  TEXT_OF_IDS_MAX_BYTES);
        }
    }
    return 0;
}

void mock_endpoint_detokenize(struct mock_worker *w, struct http_exchange *ex) {
    struct ask k;
    struct buf text;
    buf_init(&text, TEXT_OF_IDS_MAX_BYTES);
    int rc = begin(&k, w, ex);
    rc = rc ? rc : read_ids(&k, &text);
    if (rc) {
        mock_respond_fault_of_request(w, ex, &k.fault, 400);
    } else {
        mock_worker_scratch(&w->body);
        struct json_writer j = jw_begin(&w->body);
        w_tokenizer(&j, k.tokenizer);
        jw(&j, SLICE(",\"prompt\":"));
        jw_string(&j, buf_slice(&text));
        jw(&j, SLICE(",\"text\":"));
        jw_string(&j, buf_slice(&text));
        jw(&j, SLICE("}\n"));
        mock_respond_json(w, ex, jw_end(&j) < 0 ? 500 : 200, buf_slice(&w->body));
    }
    buf_dispose(&text);
}
