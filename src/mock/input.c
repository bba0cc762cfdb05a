/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/input.h"

#include <inttypes.h>
#include <stdio.h>

#include "dialect/json_text.h"
#include "mock/fault_answer.h"
#include "mock/tokenizer_choice.h"
#include "mock/vector.h"

/* What OpenAI's models of embeddings take. */
enum { INPUT_MAX_TOKENS = 8192, REQUEST_MAX_TOKENS = 300000 };

static const char *const key_names[INPUT_KEYS] = {"model", "input", "encoding_format", "dimensions"};

/* ---- the forms of input ---- */

static int add_input(struct input_ask *k, struct slice value) {
    bool is_text = json_text_is(value, '"');
    if (k->n == INPUTS_MAX) {
        return request_refuse(&k->fault, "invalid_value", "input",
                              "Invalid 'input': at most %d inputs.", INPUTS_MAX);
    }
    k->list[k->n++] = (struct input){.text = is_text ? json_text_string(value, k->peek.a) : value,
                                     .is_tokens = !is_text};
    return 0;
}

static void read_part(struct input_ask *k, struct slice part, struct input *in, char *joined) {
    struct json_walk members = json_walk_begin(part);
    struct slice key, value;
    while (json_walk_member(&members, &key, &value)) {
        in->images += slice_eq(key, SLICE("image_url"));
        struct slice text = slice_eq(key, SLICE("text")) ? json_text_string(value, k->peek.a)
                                                         : SLICE_NULL;
        if (text.len > 0) {
            memcpy(joined + in->text.len, text.ptr, text.len);
            in->text.len += text.len;
            joined[in->text.len++] = ' ';
        }
    }
}

/* The parts of one input: their texts, joined. None is longer decoded than it was as JSON. */
static int add_parts(struct input_ask *k, struct slice list) {
    struct json_walk w = json_walk_begin(list);
    char *joined = arena_alloc(k->peek.a, list.len + 1);
    struct input in = {.text = slice_make(joined, 0)};
    struct slice part;
    while (json_walk_element(&w, &part)) {
        read_part(k, part, &in, joined);
    }
    k->list[k->n++] = in;
    return 0;
}

static int refuse_input(struct input_ask *k, struct slice got) {
    return request_refuse_type(&k->fault, "input", "a string or an array of them", got);
}

/* What the first element is decides what the list is. */
static int add_list(struct input_ask *k, struct slice list, bool has_parts) {
    struct json_walk w = json_walk_begin(list);
    struct slice first, element;
    if (!json_walk_element(&w, &first)) {
        return request_refuse(&k->fault, "invalid_value", "input",
                              "Invalid 'input': it must not be empty.");
    }
    if (has_parts && json_text_is(first, '{')) {
        return add_parts(k, list);
    }
    if (!json_text_is(first, '"') && !json_text_is(first, '[')) {
        int64_t token;
        return json_text_int(first, &token) ? add_input(k, list) : refuse_input(k, first);
    }
    w = json_walk_begin(list);
    while (json_walk_element(&w, &element)) {
        int rc = element.ptr[0] == first.ptr[0] ? add_input(k, element) : refuse_input(k, element);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

static int read_input(struct input_ask *k, bool has_parts) {
    struct slice input = k->peek.values[INPUT_INPUT];
    k->list = arena_alloc(k->peek.a, INPUTS_MAX * sizeof k->list[0]);
    if (!input.ptr) {
        return request_refuse_missing(&k->fault, "input");
    }
    if (json_text_is(input, '"')) {
        return add_input(k, input);
    }
    return json_text_is(input, '[') ? add_list(k, input, has_parts) : refuse_input(k, input);
}

/* ---- the others ---- */

static int read_encoding(struct input_ask *k) {
    struct slice v = k->peek.values[INPUT_ENCODING];
    k->is_base64 = slice_eq(v, SLICE("\"base64\""));
    if (!v.ptr || k->is_base64 || slice_eq(v, SLICE("null")) || slice_eq(v, SLICE("\"float\""))) {
        return 0;
    }
    return request_refuse(&k->fault, "invalid_value", "encoding_format",
                          "Invalid value for 'encoding_format': it must be 'float' or 'base64'.");
}

static bool is_openai_embedding(const struct input_ask *k) {
    return slice_starts_with(k->env.model, SLICE("text-embedding-"));
}

/* As OpenAI's models: the second generation has one length, the third may be shorter. */
static int read_dimensions(struct input_ask *k) {
    int rc = peek_int(&k->peek, INPUT_DIMENSIONS, 1, VECTOR_MAX, &k->dimensions);
    if (rc || k->dimensions == 0 || !is_openai_embedding(k)) {
        return rc;
    }
    if (slice_starts_with(k->env.model, SLICE("text-embedding-ada"))) {
        return request_refuse(&k->fault, NULL, "dimensions",
                              "This model does not support specifying dimensions.");
    }
    unsigned most = vector_dimensions(k->env.model);
    if (k->dimensions > most) {
        return request_refuse(&k->fault, NULL, "dimensions",
                              "Invalid value for 'dimensions' = %lld. Must be less than or equal to "
                              "%u.", (long long)k->dimensions, most);
    }
    return 0;
}

static int read_ask(struct input_ask *k, struct http_exchange *ex, const char *default_model,
                    bool has_parts) {
    *k = (struct input_ask){.env = {.model = slice_cstr(default_model)}};
    k->peek = (struct peek){.body = bytes_slice(ex->body),
                            .a = ex->arena,
                            .fault = &k->fault,
                            .names = key_names,
                            .n_names = INPUT_KEYS};
    int rc = peek_scan(&k->peek);
    if (rc == 0 && (k->peek.values[INPUT_MODEL].ptr || !default_model)) {
        rc = peek_model(&k->peek, INPUT_MODEL, &k->env);
    }
    rc = rc ? rc : read_dimensions(k);
    rc = rc ? rc : read_encoding(k);
    return rc ? rc : read_input(k, has_parts);
}

static uint64_t count_tokens(const struct input *in, const struct tokenizer *t) {
    struct json_walk w = json_walk_begin(in->text);
    struct slice element;
    uint64_t n = 0;
    if (!in->is_tokens) {
        return tokenizer_count(t, in->text);
    }
    while (json_walk_element(&w, &element)) {
        n++;
    }
    return n;
}

static void refuse_tokens(struct mock_call *c, uint64_t of_input, uint64_t of_request) {
    char text[300];
    bool is_input = of_input > INPUT_MAX_TOKENS;
    struct slice code = is_input ? SLICE_NULL : SLICE("max_tokens_per_request");
    struct api_error er = {.status = 400, .code = code,
                           .type = is_input ? SLICE("invalid_request_error") : code};
    if (is_input) {
        snprintf(text, sizeof text,
                 "This model's maximum context length is %d tokens, however you requested %" PRIu64
                 " tokens (%" PRIu64 " in your prompt; 0 for the completion). Please reduce your "
                 "prompt; or completion length.", INPUT_MAX_TOKENS, of_input, of_input);
    } else {
        snprintf(text, sizeof text, "Requested %" PRIu64 " tokens, max %d tokens per request",
                 of_request, REQUEST_MAX_TOKENS);
    }
    er.message = slice_cstr(text);
    mock_respond_error(c->w, c->ex, &er, 0);
}

/* False: it has been answered, since a model that has bounds would not take so much. */
static bool count_inputs(struct mock_call *c, struct input_ask *k) {
    const struct tokenizer *t = mock_tokenizer(c->o, k->env.model);
    uint64_t longest = 0;
    for (unsigned i = 0; i < k->n; i++) {
        uint64_t n = count_tokens(&k->list[i], t);
        longest = n > longest ? n : longest;
        k->tokens += n;
    }
    bool is_taken = !is_openai_embedding(k) ||
                    (longest <= INPUT_MAX_TOKENS && k->tokens <= REQUEST_MAX_TOKENS);
    if (!is_taken) {
        refuse_tokens(c, longest, k->tokens);
    }
    return is_taken;
}

bool input_take(struct mock_call *c, struct input_ask *k, const char *default_model,
                bool has_parts) {
    int rc = read_ask(k, c->ex, default_model, has_parts);
    c->rq = (struct llm_request){.origin = dialect_chat.name, .env = k->env};
    mock_call_journal(c, rc == 0 ? k->env.model : SLICE_NULL, false);
    if (rc != 0) {
        mock_respond_fault_of_request(c->w, c->ex, &k->fault, 400);
        return false;
    }
    return count_inputs(c, k) && mock_call_admit(c, k->tokens) && !fault_strikes_unasked(c);
}
