/* SPDX-License-Identifier: Apache-2.0 */
/* Settings that exclude each other, need each other, or that a model does not take. */
#include "mock/validate-private.h"

/* ---- models ---- */

static struct slice plain_model(struct slice model) {
    struct slice vendor = SLICE("openai/");
    return slice_starts_with(model, vendor) ? slice_from(model, vendor.len) : model;
}

/* OpenAI's that reason whatever they are told. */
static bool is_reasoning(struct slice model) {
    static const char *const families[] = {"o1", "o3", "o4", "gpt-5"};
    model = plain_model(model);
    if (slice_glob(SLICE("gpt-5*-chat*"), model)) {
        return false;
    }
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        struct slice family = slice_cstr(families[i]);
        struct slice rest = slice_from(model, family.len);
        if (slice_starts_with(model, family) &&
            (rest.len == 0 || rest.ptr[0] == '-' || rest.ptr[0] == '.')) {
            return true;
        }
    }
    return false;
}

/* OpenAI's of which it is known that they do not. */
static bool is_plain(struct slice model) {
    model = plain_model(model);
    return slice_starts_with(model, SLICE("gpt-4")) || slice_starts_with(model, SLICE("gpt-3.5"));
}

static struct slice root_member(struct check *c, const char *name) {
    struct slice body = slice_from(c->in->body, json_text_skip_space(c->in->body, 0));
    return member_of(c, body, name);
}

static void refuse_parameter(struct check *c, enum rule_id rule, const char *path) {
    violate_code(c, rule, "unsupported_parameter", path,
                 "Unsupported parameter: '%s' is not supported with this model.", path);
}

/* Only the usual value, which says nothing. */
static void want_default(struct check *c, const char *path, struct slice value, double usual) {
    if (value.len == 0 || number_of(value) == usual) {
        return;
    }
    if (c->dialect == RULE_RESPONSES) {
        refuse_parameter(c, RULE_REASONING_SAMPLING, path);
        return;
    }
    violate(c, RULE_REASONING_SAMPLING, path,
            "Unsupported value: '%s' does not support %.*s with this model. Only the default (%.15g) "
            "value is supported.",
            path, SHOW(value), usual);
}

static void check_reasoning_model(struct check *c) {
    const struct llm_request *rq = c->in->rq;
    if (is_said(root_member(c, "max_tokens")) && c->dialect == RULE_CHAT) {
        violate(c, RULE_REASONING_MAX_TOKENS, "max_tokens",
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                "'max_completion_tokens' instead.");
    }
    if (slice_eq(rq->reasoning.effort, SLICE("none"))) {
        return;                      /* then some of them take what follows */
    }
    want_default(c, "temperature", rq->temperature, 1);
    want_default(c, "top_p", rq->top_p, 1);
    want_default(c, "presence_penalty", rq->presence_penalty, 0);
    want_default(c, "frequency_penalty", rq->frequency_penalty, 0);
    if (rq->logprobs == 1 && c->dialect == RULE_CHAT) {
        refuse_parameter(c, RULE_REASONING_SAMPLING, "logprobs");
    }
    if (rq->top_logprobs >= 0) refuse_parameter(c, RULE_REASONING_SAMPLING, "top_logprobs");
    if (rq->logit_bias.len > 0) refuse_parameter(c, RULE_REASONING_SAMPLING, "logit_bias");
}

static void check_plain_model(struct check *c) {
    struct slice effort = c->in->rq->reasoning.effort;
    if (effort.len == 0) {
        return;
    }
    if (c->dialect == RULE_RESPONSES) {
        refuse_parameter(c, RULE_NO_REASONING, "reasoning.effort");
    } else if (c->dialect == RULE_CHAT) {
        violate_code(c, RULE_NO_REASONING, NULL, "reasoning_effort",
                     "Unrecognized request argument supplied: reasoning_effort");
    }
}

/* ---- what is asked for together ---- */

static void check_together(struct check *c) {
    const struct llm_request *rq = c->in->rq;
    if (c->dialect == RULE_CHAT && is_said(root_member(c, "max_tokens")) &&
        is_said(root_member(c, "max_completion_tokens"))) {
        violate(c, RULE_TWO_MAX_TOKENS, "max_tokens",
                "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not "
                "supported.");
    }
    if (c->dialect == RULE_CHAT && rq->top_logprobs >= 0 && rq->logprobs != 1) {
        violate(c, RULE_TOP_LOGPROBS, "top_logprobs",
                "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.");
    }
    if (c->dialect == RULE_RESPONSES && rq->env.has_stream_options && !rq->env.stream) {
        violate(c, RULE_STREAM_OPTIONS, "stream_options",
                "The 'stream_options' parameter is only allowed when 'stream' is enabled.");
    }
    if (c->dialect == RULE_MESSAGES && rq->temperature.len > 0 && rq->top_p.len > 0) {
        violate(c, RULE_SAMPLING_TWICE, "temperature",
                "`temperature` and `top_p` cannot both be specified for this model. Please use only "
                "one.");
    }
}

/* ---- the form of the answer ---- */

static bool has_json_word(struct slice text) {
    for (size_t i = 0; i + 4 <= text.len; i++) {
        if (slice_eq_nocase(slice_sub(text, i, 4), SLICE("json"))) return true;
    }
    return false;
}

static bool says_json(const struct llm_request *rq) {
    for (const struct message *m = rq->messages; m; m = m->next) {
        for (unsigned i = 0; i < m->n_parts; i++) {
            if (has_json_word(m->parts[i].text)) return true;
            for (unsigned k = 0; k < m->parts[i].n_inner; k++) {
                if (has_json_word(m->parts[i].inner[k].text)) return true;
            }
        }
    }
    return false;
}

static void check_json_word(struct check *c) {
    if (says_json(c->in->rq)) {
        return;
    }
    if (c->dialect == RULE_RESPONSES) {
        violate(c, RULE_JSON_WORD, "input",
                "Response input messages must contain the word 'json' in some form to use "
                "'text.format' of type 'json_object'.");
    } else {
        violate(c, RULE_JSON_WORD, "messages",
                "'messages' must contain the word 'json' in some form, to use 'response_format' of "
                "type 'json_object'.");
    }
}

static void check_schema_format(struct check *c) {
    const struct output_format *f = &c->in->rq->format;
    bool is_flat = c->dialect == RULE_RESPONSES;
    const char *path = c->is_anthropic ? "output_config.format"
                       : is_flat       ? "text.format"
                                       : "response_format.json_schema";
    const char *name_path = place_of(c, path, "name");
    if (!c->is_anthropic && !f->name.ptr) {
        violate_missing(c, name_path);
    } else if (!c->is_anthropic && !rule_name_fits(f->name, 64)) {
        violate_code(c, RULE_STRICT_SCHEMA, "invalid_value", name_path,
                     "Invalid '%s': string does not match pattern. Expected a string that matches "
                     "the pattern '^[a-zA-Z0-9_-]+$'.",
                     name_path);
    }
    if (f->strict == 1 || c->is_anthropic) {
        const char *what = c->is_anthropic
                               ? "output_config.format"
                               : arena_printf(c->a, "%s '%.*s'",
                                              is_flat ? "text.format" : "response_format",
                                              SHOW(f->name));
        check_strict_schema(c, is_flat ? "text.format.schema" : path, NULL, what, f->schema);
    }
}

void check_settings(struct check *c) {
    const struct llm_request *rq = c->in->rq;
    if (c->dialect & (RULE_CHAT | RULE_RESPONSES)) {
        if (is_reasoning(rq->env.model)) check_reasoning_model(c);
        else if (is_plain(rq->env.model)) check_plain_model(c);
    }
    check_together(c);
    if (rq->format.kind == FORMAT_JSON_OBJECT && !c->is_anthropic) check_json_word(c);
    if (rq->format.kind == FORMAT_JSON_SCHEMA) check_schema_format(c);
}
