/* SPDX-License-Identifier: Apache-2.0 */
/* The model's request as a body of this API. One in our own words: member by member as it came, but
 * for the input and the instructions, which are written from the messages. Another's: from the
 * typed fields (translation.md 1.3 to 1.10, 2.2, 2.4). */
#include "dialect/responses/responses-private.h"

#include <stdio.h>

#include "base/sha256.h"
#include "dialect/peek.h"

#define ID_MAX_BYTES      64 /* of user identifiers at OpenAI */
#define MIN_OUTPUT_TOKENS 16

/* ---- pieces ---- */

void responses_w_element(struct responses_writer *x) {
    if (x->has_member) jw(&x->w, SLICE(","));
    x->has_member = true;
}

void responses_w_key(struct responses_writer *x, const char *name) {
    responses_w_element(x);
    jw_string(&x->w, slice_cstr(name));
    jw(&x->w, SLICE(":"));
}

void responses_w_open(struct responses_writer *x, char bracket) {
    jw(&x->w, slice_make(&bracket, 1));
    x->has_member = false;
}

void responses_w_close(struct responses_writer *x, char bracket) {
    jw(&x->w, slice_make(&bracket, 1));
    x->has_member = true;
}

void responses_w_string(struct responses_writer *x, const char *name, struct slice text) {
    if (!text.ptr) return;
    responses_w_key(x, name);
    jw_string(&x->w, text);
}

void responses_w_raw(struct responses_writer *x, const char *name, struct slice json) {
    if (!json.ptr) return;
    responses_w_key(x, name);
    jw_raw(&x->w, json);
}

void responses_w_bool(struct responses_writer *x, const char *name, bool value) {
    responses_w_key(x, name);
    jw(&x->w, value ? SLICE("true") : SLICE("false"));
}

void responses_w_fields(struct responses_writer *x, const struct field *f) {
    for (; f; f = f->next) {
        responses_w_element(x);
        jw_string(&x->w, f->key);
        jw(&x->w, SLICE(":"));
        jw_raw(&x->w, f->value);
    }
}

static bool says_something(struct slice value) {
    struct json_walk w = json_walk_begin(value);
    struct slice first;
    if (json_text_is_null(value)) return false;
    return !json_text_is(value, '[') || json_walk_element(&w, &first);
}

void responses_w_dropped(struct responses_writer *x, const char *prefix, const struct field *f) {
    for (; f && x->t; f = f->next) {
        char name[96];
        if (f->is_understood || !says_something(f->value)) continue;
        snprintf(name, sizeof name, "%s.%.*s", prefix, (int)(f->key.len < 64 ? f->key.len : 64),
                 f->key.ptr);
        translation_drop(x->t, name);
    }
}

/* ---- our own words ---- */

static void native_input(struct responses_writer *x, struct slice came) {
    const struct message *m = x->rq->messages;
    while (m && m->is_instructions)
        m = m->next;
    unsigned n = responses_count_items(x->rq);
    bool is_one = m && n == 1;
    responses_w_key(x, "input");
    if (is_one && json_text_is(came, '"') && m->n_parts == 1 && m->role == ROLE_USER &&
        m->parts->kind == PART_TEXT) {
        jw_string(&x->w, m->parts->text);
    } else if (n == 0 && json_text_is_null(came)) {
        jw(&x->w, came);
    } else {
        bool is_object = is_one && json_text_is(came, '{');
        x->has_member = false;
        if (!is_object) responses_w_open(x, '[');
        responses_w_items(x);
        if (!is_object) responses_w_close(x, ']');
    }
}

static void native_instructions(struct responses_writer *x, struct slice came) {
    bool has_any = x->rq->messages && x->rq->messages->is_instructions;
    if (has_any)
        responses_w_instructions(x);
    else if (json_text_is_null(came))
        responses_w_raw(x, "instructions", came);
}

static void native_body(struct responses_writer *x) {
    const struct llm_request *rq = x->rq;
    bool has_stream = false, has_input = false, has_instructions = false;
    responses_w_string(x, "model", rq->env.model);
    for (const struct field *f = rq->params; f; f = f->next) {
        if (slice_eq(f->key, SLICE("input"))) {
            native_input(x, f->value);
            has_input = true;
        } else if (slice_eq(f->key, SLICE("instructions"))) {
            native_instructions(x, f->value);
            has_instructions = true;
        } else if (slice_eq(f->key, SLICE("stream"))) {
            bool same = slice_eq(f->value, SLICE("true")) == rq->env.stream;
            if (same)
                responses_w_raw(x, "stream", f->value);
            else
                responses_w_bool(x, "stream", rq->env.stream);
            has_stream = true;
        } else {
            struct field one = {.key = f->key, .value = f->value};
            responses_w_fields(x, &one);
        }
    }
    if (!has_instructions) native_instructions(x, SLICE_NULL);
    if (!has_input && responses_count_items(rq) > 0) native_input(x, SLICE_NULL);
    if (!has_stream && rq->env.stream) responses_w_bool(x, "stream", true);
}

/* ---- reasoning (1.3) ---- */

static struct slice effort_of_budget(int64_t tokens) {
    static const struct {
        int64_t from;
        const char *effort;
    } rows[] = {{16384, "max"}, {8192, "xhigh"}, {4096, "high"}, {2048, "medium"}, {1024, "low"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (tokens >= rows[i].from) return slice_cstr(rows[i].effort);
    return SLICE("minimal");
}

/* Empty: nothing is said of it. */
static struct slice wanted_effort(const struct responses_writer *x) {
    const struct reasoning_ask *ask = &x->rq->reasoning;
    const struct capabilities *caps = x->t->caps;
    struct slice effort = ask->effort;
    /* who knows the highest efforts knows "none", too */
    if (ask->thinking == THINKING_OFF) return caps->top_effort ? SLICE("none") : SLICE_NULL;
    if (effort.len == 0 && ask->thinking == THINKING_BUDGET)
        effort = effort_of_budget(ask->budget_tokens);
    bool is_top = slice_eq(effort, SLICE("xhigh")) || slice_eq(effort, SLICE("max"));
    if (is_top && !caps->top_effort) return SLICE("high");
    if (slice_eq(effort, SLICE("minimal")) && !caps->minimal_effort) return SLICE("low");
    return effort;
}

static bool wants_summary(const struct reasoning_ask *ask) {
    bool thinks = ask->thinking == THINKING_BUDGET || ask->thinking == THINKING_ADAPTIVE;
    return ask->is_visible == 1 || (thinks && ask->is_visible < 0);
}

static void reasoning(struct responses_writer *x) {
    const struct reasoning_ask *ask = &x->rq->reasoning;
    struct slice effort = wanted_effort(x);
    bool summary = wants_summary(ask);
    if (effort.len == 0 && !summary) return;
    if (!x->t->caps->reasoning_effort) {
        if (ask->thinking == THINKING_OFF) return;
        translation_drop(x->t, ask->thinking != THINKING_UNSET ? "thinking" : "reasoning_effort");
        return;
    }
    responses_w_key(x, "reasoning");
    responses_w_open(x, '{');
    if (effort.len > 0) responses_w_string(x, "effort", effort);
    if (summary) responses_w_string(x, "summary", SLICE("auto"));
    responses_w_close(x, '}');
}

/* ---- text (1.10) ---- */

void responses_w_format(struct responses_writer *x) {
    const struct output_format *f = &x->rq->format;
    responses_w_open(x, '{');
    if (f->kind != FORMAT_JSON_SCHEMA) {
        responses_w_string(x, "type",
                           f->kind == FORMAT_JSON_OBJECT ? SLICE("json_object") : SLICE("text"));
    } else {
        responses_w_string(x, "type", SLICE("json_schema"));
        responses_w_string(x, "name", f->name.len > 0 ? f->name : SLICE("structured_output"));
        responses_w_string(x, "description", f->description);
        responses_w_raw(x, "schema",
                        f->schema.len > 0 ? f->schema : SLICE("{\"type\":\"object\"}"));
        responses_w_bool(x, "strict", f->strict == 1);
    }
    responses_w_close(x, '}');
}

static void text(struct responses_writer *x) {
    const struct llm_request *rq = x->rq;
    if (rq->format.kind == FORMAT_UNSET && rq->verbosity.len == 0) return;
    responses_w_key(x, "text");
    responses_w_open(x, '{');
    if (rq->format.kind != FORMAT_UNSET) {
        responses_w_key(x, "format");
        responses_w_format(x);
    }
    if (rq->verbosity.len > 0) responses_w_string(x, "verbosity", rq->verbosity);
    responses_w_close(x, '}');
}

/* ---- who asks ---- */

/* An identifier that is too long is told by its hash: the same for the same user. */
static void identifier(struct responses_writer *x, const char *name, struct slice id) {
    char hex[SHA256_HEX_BYTES + 1];
    if (id.len == 0) return;
    if (id.len > ID_MAX_BYTES) {
        sha256_hex(id, hex);
        id = slice_make(hex, SHA256_HEX_BYTES);
    }
    responses_w_string(x, name, id);
}

static void identifiers(struct responses_writer *x) {
    const struct llm_request *rq = x->rq;
    bool is_of_messages = strcmp(rq->origin, "messages") == 0;
    identifier(x, "safety_identifier",
               rq->safety_identifier.len > 0 ? rq->safety_identifier : rq->user);
    if (rq->safety_identifier.len > 0) identifier(x, "user", rq->user);
    if (rq->prompt_cache_key.len > 0)
        responses_w_string(x, "prompt_cache_key", rq->prompt_cache_key);
    else if (is_of_messages)
        identifier(x, "prompt_cache_key", rq->user);
}

/* ---- another's words ---- */

static void include(struct responses_writer *x) {
    bool proofs = x->t->caps->reasoning_effort, logprobs = x->rq->logprobs == 1;
    if (!proofs && !logprobs) return;
    responses_w_key(x, "include");
    responses_w_open(x, '[');
    if (proofs) {
        responses_w_element(x);
        jw_string(&x->w, SLICE("reasoning.encrypted_content"));
    }
    if (logprobs) {
        responses_w_element(x);
        jw_string(&x->w, SLICE("message.output_text.logprobs"));
    }
    responses_w_close(x, ']');
}

/* A call was asked for: an answer without one would be another than was meant. */
static void refuse_forced_choice(struct responses_writer *x) {
    const struct llm_request *rq = x->rq;
    bool is_forced = rq->tool_choice == TOOL_CHOICE_REQUIRED ||
                     rq->tool_choice == TOOL_CHOICE_NAMED ||
                     rq->tool_choice == TOOL_CHOICE_NAMED_CUSTOM ||
                     (rq->tool_choice == TOOL_CHOICE_ALLOWED && rq->allowed_is_required);
    if (!is_forced || x->rc) return;
    x->rc = request_refuse(x->fault, "invalid_value", "tool_choice",
                           "Invalid 'tool_choice': there is no tool that this model's upstream "
                           "could call. Send 'tools' that it takes, or let it choose.");
}

static void tools(struct responses_writer *x) {
    const struct llm_request *rq = x->rq;
    size_t before = x->w.out->len;
    responses_w_tools(x);
    if (x->w.out->len == before) { /* without tools there is nothing to choose */
        refuse_forced_choice(x);
        return;
    }
    responses_w_tool_choice(x);
    if (rq->parallel_tools == 0 && rq->tool_choice != TOOL_CHOICE_NONE)
        responses_w_bool(x, "parallel_tool_calls", false);
}

static void limits(struct responses_writer *x) {
    int64_t n = x->rq->env.max_tokens;
    if (n == 0 && x->rc == 0) {
        x->rc = request_refuse(x->fault, "unsupported_value", "max_tokens",
                               "Invalid 'max_tokens': this model's upstream cannot be asked for no "
                               "output at all. Ask for %d tokens or more.",
                               MIN_OUTPUT_TOKENS);
    }
    if (n < 0) return;
    responses_w_key(x, "max_output_tokens");
    jw_int(&x->w, n < MIN_OUTPUT_TOKENS ? MIN_OUTPUT_TOKENS : n);
}

/* Known to the model, but to no parameter here. */
static void drop_others(struct responses_writer *x) {
    const struct llm_request *rq = x->rq;
    const struct {
        const char *name;
        struct slice value;
    } rows[] = {
        {"top_k", rq->top_k},
        {"seed", rq->seed},
        {"presence_penalty", rq->presence_penalty},
        {"frequency_penalty", rq->frequency_penalty},
        {"logit_bias", rq->logit_bias},
        {"cache_control", rq->cache_control},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].value.ptr) translation_drop(x->t, rows[i].name);
    for (const struct field *f = rq->params; f; f = f->next) {
        bool is_search =
            slice_eq(f->key, SLICE("web_search_options")) && json_text_is(f->value, '{');
        if (!f->is_understood && !is_search && says_something(f->value))
            translation_drop_slice(x->t, f->key);
    }
}

/* A last message of the assistant's is no beginning of the answer here. */
static void drop_prefill(struct responses_writer *x) {
    const struct message *last = x->rq->messages_end;
    bool is_prefill = last && last->role == ROLE_ASSISTANT && last->n_parts > 0 &&
                      last->parts[last->n_parts - 1].kind == PART_TEXT;
    if (is_prefill && strcmp(x->rq->origin, "messages") == 0) translation_drop(x->t, "prefill");
}

static void foreign_body(struct responses_writer *x) {
    const struct llm_request *rq = x->rq;
    drop_prefill(x);
    responses_w_string(x, "model", rq->env.model);
    responses_w_instructions(x);
    responses_w_key(x, "input");
    responses_w_open(x, '[');
    responses_w_items(x);
    responses_w_close(x, ']');
    tools(x);
    text(x);
    reasoning(x);
    include(x);
    responses_w_bool(x, "store", rq->store == 1);
    limits(x);
    responses_w_raw(x, "temperature", rq->temperature);
    responses_w_raw(x, "top_p", rq->top_p);
    if (rq->logprobs == 1 && rq->top_logprobs >= 0) {
        responses_w_key(x, "top_logprobs");
        jw_int(&x->w, rq->top_logprobs);
    }
    responses_w_raw(x, "metadata", rq->metadata);
    identifiers(x);
    if (rq->service_tier.len > 0) responses_w_string(x, "service_tier", rq->service_tier);
    if (rq->env.stream) responses_w_bool(x, "stream", true);
    drop_others(x);
}

int responses_encode_request(const struct llm_request *rq, struct translation *t, struct buf *out,
                             struct request_fault *fault) {
    struct responses_writer x = {.w = jw_begin(out), .rq = rq, .t = t, .fault = fault};
    x.is_native = rq->origin && strcmp(rq->origin, "responses") == 0;
    responses_w_open(&x, '{');
    if (x.is_native || !t)
        native_body(&x);
    else
        foreign_body(&x);
    responses_w_close(&x, '}');
    int rc = jw_end(&x.w);
    if (rc == 0 && x.rc) out->len = x.w.start;
    return rc ? rc : x.rc;
}
