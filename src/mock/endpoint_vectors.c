/* SPDX-License-Identifier: Apache-2.0 */
/* Embeddings and moderations: small, and the same for the same text. A vector is the sum of one
 * random vector a word, so that texts with the same words are near each other. */
#include <math.h>

#include "dialect/json_text.h"
#include "dialect/json_write.h"
#include "dialect/peek.h"
#include "mock/knobs.h"
#include "mock/piece.h"
#include "mock/seal.h"
#include "mock/smalltalk.h"
#include "mock/worker.h"

enum {
    DIMENSIONS = 64,
    DIMENSIONS_MAX = 4096,
    INPUTS_MAX = 2048,
    WORDS_MAX = 64,                  /* of a text; later ones change nothing */
    ID_BYTES = 32
};

enum key { KEY_MODEL, KEY_INPUT, KEY_ENCODING, KEY_DIMENSIONS, KEY_COUNT };
static const char *const key_names[KEY_COUNT] = {"model", "input", "encoding_format", "dimensions"};

struct ask {
    struct peek peek;
    struct envelope env;
    struct request_fault fault;
    struct slice *inputs;            /* texts, or lists of tokens as they came */
    unsigned n_inputs;
    int64_t dimensions;
    bool is_base64;
};

/* ---- the request ---- */

static int add_input(struct ask *k, struct slice value) {
    struct slice text = json_text_is(value, '"') ? json_text_string(value, k->peek.a) : value;
    if (k->n_inputs == INPUTS_MAX) {
        return request_refuse(&k->fault, "invalid_value", "input",
                              "Invalid 'input': at most %d inputs.", INPUTS_MAX);
    }
    k->inputs[k->n_inputs++] = text;
    return 0;
}

/* The parts of one input: their texts, joined. */
static int add_parts(struct ask *k, struct slice list) {
    struct json_walk w = json_walk_begin(list);
    struct slice part, key, value;
    char *joined = arena_alloc(k->peek.a, list.len + 1);
    size_t at = 0;
    while (json_walk_element(&w, &part)) {
        struct json_walk members = json_walk_begin(part);
        while (json_walk_member(&members, &key, &value)) {
            struct slice text = slice_eq(key, SLICE("text")) ? json_text_string(value, k->peek.a)
                                                             : SLICE_NULL;
            if (text.len > 0 && at + text.len < list.len) {
                memcpy(joined + at, text.ptr, text.len);
                at += text.len;
                joined[at++] = ' ';
            }
        }
    }
    k->inputs[k->n_inputs++] = slice_make(joined, at);
    return 0;
}

static int refuse_input(struct ask *k, struct slice got) {
    return request_refuse_type(&k->fault, "input", "a string or an array of them", got);
}

/* What the first element is decides what the list is. */
static int add_list(struct ask *k, struct slice list) {
    struct json_walk w = json_walk_begin(list);
    struct slice first, element;
    if (!json_walk_element(&w, &first)) {
        return request_refuse(&k->fault, "invalid_value", "input",
                              "Invalid 'input': it must not be empty.");
    }
    if (json_text_is(first, '{')) {
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

static int read_input(struct ask *k) {
    struct slice input = k->peek.values[KEY_INPUT];
    k->inputs = arena_alloc(k->peek.a, INPUTS_MAX * sizeof k->inputs[0]);
    if (!input.ptr) {
        return request_refuse_missing(&k->fault, "input");
    }
    if (json_text_is(input, '"')) {
        return add_input(k, input);
    }
    return json_text_is(input, '[') ? add_list(k, input) : refuse_input(k, input);
}

static int read_ask(struct ask *k, struct http_exchange *ex, const char *default_model) {
    *k = (struct ask){.dimensions = DIMENSIONS, .env = {.model = slice_cstr(default_model)}};
    k->peek = (struct peek){.body = bytes_slice(ex->body),
                            .a = ex->arena,
                            .fault = &k->fault,
                            .names = key_names,
                            .n_names = KEY_COUNT};
    int rc = peek_scan(&k->peek);
    if (rc == 0 && (k->peek.values[KEY_MODEL].ptr || !default_model)) {
        rc = peek_model(&k->peek, KEY_MODEL, &k->env);
    }
    rc = rc ? rc : peek_int(&k->peek, KEY_DIMENSIONS, 1, DIMENSIONS_MAX, &k->dimensions);
    k->is_base64 = slice_eq(k->peek.values[KEY_ENCODING], SLICE("\"base64\""));
    return rc ? rc : read_input(k);
}

/* False: it has been answered. */
static bool take_ask(struct mock_worker *w, struct http_exchange *ex, struct ask *k,
                     const char *default_model) {
    struct llm_request rq = {.origin = dialect_chat.name};
    struct knobs knobs;
    int rc = read_ask(k, ex, default_model);
    rq.env = k->env;
    journal_add(w->hub->journal, ex, rc == 0 ? k->env.model : SLICE_NULL, false);
    if (rc != 0) {
        mock_respond_fault_of_request(w, ex, &k->fault, 400);
        return false;
    }
    return mock_read_knobs(w, ex, &rq, &knobs);
}

/* ---- embeddings ---- */

static bool is_of_word(char c) {
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') ||
           (unsigned char)c >= 0x80;
}

/* Of the next word, letters without case; 0 at the end. */
static uint64_t next_word(struct slice text, size_t *at) {
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    while (*at < text.len && !is_of_word(text.ptr[*at])) {
        (*at)++;
    }
    if (*at == text.len) {
        return 0;
    }
    for (; *at < text.len && is_of_word(text.ptr[*at]); (*at)++) {
        char c = text.ptr[*at];
        h = (h ^ (unsigned char)(c >= 'A' && c <= 'Z' ? c | 32 : c)) * UINT64_C(0x100000001b3);
    }
    return h | 1;
}

static void add_word(float *v, size_t n, uint64_t word) {
    struct rng r;
    rng_seed(&r, word);
    for (size_t i = 0; i < n; i++) {
        v[i] += (float)(rng_unit(&r) - 0.5);
    }
}

static void embed(struct slice text, uint64_t seed, float *v, size_t n) {
    size_t at = 0;
    uint64_t word;
    double square = 0;
    memset(v, 0, n * sizeof v[0]);
    for (unsigned i = 0; i < WORDS_MAX && (word = next_word(text, &at)) != 0; i++) {
        add_word(v, n, word ^ seed);
    }
    if (at == 0 || text.len == 0) {
        add_word(v, n, seed);        /* no words: a direction all the same */
    }
    for (size_t i = 0; i < n; i++) {
        square += (double)v[i] * (double)v[i];
    }
    for (size_t i = 0; i < n && square > 0; i++) {
        v[i] = (float)((double)v[i] / sqrt(square));
    }
}

/* Little endian, whatever the machine is. */
static void w_base64(struct json_writer *j, const float *v, size_t n, struct arena *a) {
    unsigned char *raw = arena_alloc(a, n * 4);
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &v[i], sizeof bits);
        for (unsigned k = 0; k < 4; k++) {
            raw[i * 4 + k] = (unsigned char)(bits >> (8 * k));
        }
    }
    jw(j, SLICE("\""));
    if (j->rc == 0) {
        j->rc = base64_append(j->out, raw, n * 4);
    }
    jw(j, SLICE("\""));
}

static void w_floats(struct json_writer *j, const float *v, size_t n) {
    for (size_t i = 0; i < n && j->rc == 0; i++) {
        j->rc = buf_appendf(j->out, "%c%.9g", i ? ',' : '[', (double)v[i]);
    }
    jw(j, SLICE("]"));
}

static uint64_t count_tokens(struct slice input) {
    uint64_t commas = 1;
    if (!json_text_is(input, '[')) {
        return piece_count(input);
    }
    for (size_t i = 0; i < input.len; i++) {
        commas += input.ptr[i] == ',';
    }
    return commas;
}

void mock_endpoint_embeddings(struct mock_worker *w, struct http_exchange *ex) {
    struct ask k;
    uint64_t tokens = 0;
    if (!take_ask(w, ex, &k, NULL)) {
        return;
    }
    size_t n = (size_t)k.dimensions;
    float *v = arena_alloc(ex->arena, n * sizeof *v);
    mock_worker_scratch(&w->body);
    struct json_writer j = jw_begin(&w->body);
    jw(&j, SLICE("{\"object\":\"list\",\"data\":["));
    for (unsigned i = 0; i < k.n_inputs; i++) {
        embed(k.inputs[i], w->hub->options.seed, v, n);
        tokens += count_tokens(k.inputs[i]);
        jw(&j, i ? SLICE(",{\"object\":\"embedding\",\"index\":")
                 : SLICE("{\"object\":\"embedding\",\"index\":"));
        jw_int(&j, i);
        jw(&j, SLICE(",\"embedding\":"));
        if (k.is_base64) {
            w_base64(&j, v, n, ex->arena);
        } else {
            w_floats(&j, v, n);
        }
        jw(&j, SLICE("}"));
    }
    jw(&j, SLICE("],\"model\":"));
    jw_string(&j, k.env.model);
    jw(&j, SLICE(",\"usage\":{\"prompt_tokens\":"));
    jw_int(&j, (int64_t)tokens);
    jw(&j, SLICE(",\"total_tokens\":"));
    jw_int(&j, (int64_t)tokens);
    jw(&j, SLICE("}}"));
    mock_respond_json(w, ex, jw_end(&j) < 0 ? 500 : 200, buf_slice(&w->body));
}

/* ---- moderations ---- */

static const struct category {
    const char *name, *word;         /* the word that it is found by; NULL: never */
} categories[] = {
    {"harassment", "idiot"},
    {"harassment/threatening", NULL},
    {"hate", "hate"},
    {"hate/threatening", NULL},
    {"illicit", "steal"},
    {"illicit/violent", NULL},
    {"self-harm", "suicide"},
    {"self-harm/instructions", NULL},
    {"self-harm/intent", NULL},
    {"sexual", "naked"},
    {"sexual/minors", NULL},
    {"violence", "kill"},
    {"violence/graphic", "blood"},
};
enum { CATEGORY_COUNT = sizeof categories / sizeof categories[0] };

static bool is_found(const struct category *c, struct slice text) {
    return c->word && text_has_word(text, slice_cstr(c->word));
}

/* One object with a member for each category. what: of the three that a result has. */
enum column { COLUMN_FLAG, COLUMN_SCORE, COLUMN_TYPES };

static void w_column(struct json_writer *j, enum column what, struct slice text) {
    static const struct slice words[][2] = {
        [COLUMN_FLAG] = {{"false", 5}, {"true", 4}},
        [COLUMN_SCORE] = {{"0.0001", 6}, {"0.98", 4}},
        [COLUMN_TYPES] = {{"[\"text\"]", 8}, {"[\"text\"]", 8}},
    };
    for (unsigned i = 0; i < CATEGORY_COUNT; i++) {
        jw(j, i ? SLICE(",\"") : SLICE("{\""));
        jw(j, slice_cstr(categories[i].name));
        jw(j, SLICE("\":"));
        jw(j, words[what][is_found(&categories[i], text)]);
    }
    jw(j, SLICE("}"));
}

static void w_result(struct json_writer *j, struct slice text) {
    bool is_flagged = false;
    for (unsigned i = 0; i < CATEGORY_COUNT; i++) {
        is_flagged |= is_found(&categories[i], text);
    }
    jw(j, is_flagged ? SLICE("{\"flagged\":true") : SLICE("{\"flagged\":false"));
    jw(j, SLICE(",\"categories\":"));
    w_column(j, COLUMN_FLAG, text);
    jw(j, SLICE(",\"category_scores\":"));
    w_column(j, COLUMN_SCORE, text);
    jw(j, SLICE(",\"category_applied_input_types\":"));
    w_column(j, COLUMN_TYPES, text);
    jw(j, SLICE("}"));
}

void mock_endpoint_moderations(struct mock_worker *w, struct http_exchange *ex) {
    struct ask k;
    char id[ID_BYTES];
    if (!take_ask(w, ex, &k, "omni-moderation-latest")) {
        return;
    }
    rng_base62(loop_rng(w->loop), id, sizeof id);
    mock_worker_scratch(&w->body);
    struct json_writer j = jw_begin(&w->body);
    jw(&j, SLICE("{\"id\":\"modr-"));
    jw(&j, slice_make(id, sizeof id));
    jw(&j, SLICE("\",\"model\":"));
    jw_string(&j, k.env.model);
    jw(&j, SLICE(",\"results\":["));
    for (unsigned i = 0; i < k.n_inputs; i++) {
        jw(&j, i ? SLICE(",") : SLICE(""));
        w_result(&j, k.inputs[i]);
    }
    jw(&j, SLICE("]}"));
    mock_respond_json(w, ex, jw_end(&j) < 0 ? 500 : 200, buf_slice(&w->body));
}
