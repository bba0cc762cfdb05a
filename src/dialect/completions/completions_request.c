/* SPDX-License-Identifier: Apache-2.0 */
/* A request to the model: its prompt is one user's message; and the model's request as a body.
 * What only a completions server can do (several prompts, tokens, suffix, echo, best_of, logprobs)
 * is refused by name: the model is needed only where another dialect shall answer. */
#include "dialect/completions/completions-private.h"

#include "dialect/chat/chat-request.h"
#include "dialect/peek.h"
#include "dialect/translation.h"

/* What a missing prompt means. */
#define DEFAULT_PROMPT SLICE("<|endoftext|>")

struct reader {
    struct chat_reader c;
    struct slice prompt, stop, user;
};

static int refuse(struct reader *r, const char *param, const char *what) {
    return request_refuse(r->c.fault, "unsupported_parameter", param,
                          "Unsupported parameter: '%s'. The upstream of this model does not speak "
                          "Completions, and %s cannot be translated. Leave it out.",
                          param, what);
}

/* ---- reading ---- */

static int read_prompt(struct reader *r) {
    struct slice v = r->prompt, text = DEFAULT_PROMPT, first, second;
    if (json_text_is(v, '"')) text = json_text_string(v, r->c.a);
    if (json_text_is(v, '[')) {
        struct json_walk w = json_walk_begin(v);
        bool has_first = json_walk_element(&w, &first);
        if (!has_first || !json_text_is(first, '"'))
            return refuse(r, "prompt", "a prompt of token ids");
        if (json_walk_element(&w, &second)) return refuse(r, "prompt", "more than one prompt");
        text = json_text_string(first, r->c.a);
    }
    struct message *m = message_add(r->c.rq, r->c.a, ROLE_USER);
    struct parts ps = {0};
    struct part *p = parts_add(&ps, r->c.a, PART_TEXT);
    p->text = text;
    p->raw = v;
    m->content_is_string = true;
    m->parts = ps.list;
    m->n_parts = ps.n;
    return 0;
}

/* Only null, false, 0 and 1 ask for nothing. */
static bool asks_for(struct slice value) {
    int64_t n;
    if (json_text_int(value, &n)) return n > 1;
    return !json_text_is_null(value) && !slice_eq(value, SLICE("false"));
}

static int refuse_untranslatable(struct reader *r) {
    for (struct field *f = r->c.rq->params; f; f = f->next) {
        if (slice_eq(f->key, SLICE("logprobs"))) {
            if (!json_text_is_null(f->value)) return refuse(r, "logprobs", "probabilities");
            f->is_understood = true;
        } else if (slice_eq(f->key, SLICE("suffix"))) {
            if (chat_says_something(f->value) && !slice_eq(f->value, SLICE("\"\"")))
                return refuse(r, "suffix", "a text behind the gap");
            f->is_understood = true;
        } else if (slice_eq(f->key, SLICE("echo"))) {
            if (asks_for(f->value)) return refuse(r, "echo", "the prompt in the answer");
            f->is_understood = true;
        } else if (slice_eq(f->key, SLICE("best_of"))) {
            if (asks_for(f->value)) return refuse(r, "best_of", "a choice among several answers");
            f->is_understood = true;
        }
    }
    return 0;
}

static struct slice *root_slot(struct reader *r, struct slice key, struct slice value) {
    if (slice_eq(key, SLICE("prompt"))) return &r->prompt;
    if (slice_eq(key, SLICE("stop"))) return chat_says_something(value) ? &r->stop : NULL;
    return slice_eq(key, SLICE("user")) && json_text_is(value, '"') ? &r->user : NULL;
}

/* Every member but model and prompt goes through params as it came. */
static void read_root(struct reader *r, struct slice body) {
    struct json_walk w = json_walk_begin(slice_from(body, r->c.rq->env.root_open));
    struct slice key, value;
    while (json_walk_member(&w, &key, &value)) {
        key = json_text_unescape(key, r->c.a);
        struct slice *slot = root_slot(r, key, value);
        if (slot) *slot = value;
        if (slot == &r->prompt || slice_eq(key, SLICE("model"))) continue;
        field_add(r->c.a, &r->c.params_end, key, value)->is_understood = slot != NULL;
    }
}

/* chat's table knows `logprobs` as a boolean: here it has been refused or says nothing. */
static int read_params(struct reader *r) {
    int rc = refuse_untranslatable(r);
    if (rc == 0) rc = chat_read_params(&r->c);
    return rc ? rc : chat_read_stop(&r->c, r->stop);
}

int completions_decode_request(struct slice body, struct arena *a, struct llm_request *out,
                               struct request_fault *fault) {
    request_init(out, dialect_completions.name);
    struct reader r = {
        .c = {.a = a, .rq = out, .fault = fault, .params_end = &out->params}};
    int rc = completions_peek_request(body, a, &out->env, fault);
    if (rc) return rc;
    out->is_completion = true;
    read_root(&r, body);
    rc = read_prompt(&r);
    if (rc == 0) rc = read_params(&r);
    out->user = json_text_string(r.user, a);
    return rc;
}

/* ---- writing ---- */

static int encode(const struct llm_request *rq, struct buf *out) {
    struct chat_writer x = {.w = jw_begin(out), .rq = rq};
    const struct part *prompt = rq->messages && rq->messages->n_parts > 0 ? rq->messages->parts
                                                                         : NULL;
    chat_w_open(&x);
    chat_w_string(&x, "model", rq->env.model);
    if (prompt && prompt->raw.len > 0) chat_w_raw(&x, "prompt", prompt->raw);
    else if (prompt && !slice_eq(prompt->text, DEFAULT_PROMPT))
        chat_w_string(&x, "prompt", prompt->text);
    chat_w_params(&x);
    chat_w_close(&x);
    return jw_end(&x.w);
}

/* The only conversation that is a prompt: one text of the user's. */
static const struct part *only_text(const struct llm_request *rq) {
    const struct message *m = rq->messages;
    if (!m || m->next || m->role != ROLE_USER || m->n_parts != 1) return NULL;
    return m->parts[0].kind == PART_TEXT ? m->parts : NULL;
}

static const char *what_is_too_much(const struct llm_request *rq) {
    bool has_format = rq->format.kind == FORMAT_JSON_OBJECT ||
                      rq->format.kind == FORMAT_JSON_SCHEMA;
    if (rq->n_tools > 0) return "tools";
    if (has_format) return "response_format";
    if (rq->logprobs == 1) return "logprobs";
    if (rq->wants_audio) return "modalities";
    return only_text(rq) ? NULL : "messages";
}

/* Meant for a user's own text put to a base model; nobody's conversation is pressed into it. */
static int encode_foreign(const struct llm_request *rq, struct translation *t, struct buf *out,
                          struct request_fault *fault) {
    struct request_fault own;
    const char *param = what_is_too_much(rq);
    if (param) {
        return request_refuse(fault ? fault : &own, "unsupported_parameter", param,
                              "Unsupported parameter: '%s'. The upstream of this model speaks only "
                              "the dialect 'completions', which takes one text of the user's and "
                              "nothing else. Use a model whose upstream speaks another.",
                              param);
    }
    struct chat_writer x = {.w = jw_begin(out), .rq = rq};
    chat_w_open(&x);
    chat_w_string(&x, "model", rq->env.model);
    chat_w_string(&x, "prompt", only_text(rq)->text);
    chat_w_settings(&x, t, false);
    chat_w_close(&x);
    if (t && (rq->reasoning.effort.len > 0 || rq->reasoning.thinking != THINKING_UNSET))
        translation_drop(t, "reasoning");
    return jw_end(&x.w);
}

int completions_encode_request(const struct llm_request *rq, struct translation *t,
                               struct buf *out, struct request_fault *fault) {
    bool is_own = chat_origin_is(rq, dialect_completions.name);
    return is_own ? encode(rq, out) : encode_foreign(rq, t, out, fault);
}
