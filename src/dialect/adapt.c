/* SPDX-License-Identifier: Apache-2.0 */
/* The request between two dialects: what is refused, whose proofs of reasoning go along, stops and
 * structured output for upstreams that have no word for them. Names and turns have files of their
 * own. Rules: translation.md 1.4 to 1.10 and 6. */
#include <stdio.h>

#include "dialect/adapt-private.h"

#include "dialect/peek.h"
#include "dialect/proof.h"
#include "dialect/request_read.h"

#define JSON_TOOL SLICE("json_output")
#define CHAT_MAX_STOPS 4
#define MAX_TOOLS 4096
#define MAX_STOPS 64
#define MAX_STOP_BYTES 1024

static bool is_named(const struct dialect *d, const char *name) {
    return strcmp(d->name, name) == 0;
}

/* ---- refused: the answer would silently mean something else ---- */

#define UNSUPPORTED "unsupported_parameter"

static const char *input_param(const struct adapter *ad) {
    return ad->from_responses ? "input" : "messages";
}

static bool is_said(struct slice raw) {
    return raw.len > 0 && !json_text_is_null(raw);
}

static bool is_empty_list(struct slice raw) {
    struct json_walk w = json_walk_begin(raw);
    struct slice first;
    return json_text_is(raw, '[') && !json_walk_element(&w, &first);
}

static int refuse(struct adapter *ad, const char *param, const char *why) {
    return request_refuse(ad->fault, UNSUPPORTED, param,
                          "The parameter '%s' cannot be sent to this model: its provider speaks "
                          "another API (%s), %s",
                          param, ad->t->to->name, why);
}

/* What only a provider that keeps conversations can know. */
static int refuse_references(struct adapter *ad) {
    const struct llm_request *rq = ad->rq;
    const struct {
        const char *name;
        bool is_there;
    } rows[] = {
        {"previous_response_id", is_said(rq->previous_response_id)},
        {"conversation", is_said(rq->conversation)},
        {"prompt", !rq->is_completion && is_said(rq->prompt)},
        {"input", rq->has_item_reference},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].is_there)
            return refuse(ad, rows[i].name, "which has nothing stored that it refers to.");
    }
    if (is_said(rq->thread)) {
        ad->fault->raw = THREAD_UNSUPPORTED;
        return refuse(ad, "thread", "which keeps no conversation: send all of it.");
    }
    if (rq->background) return refuse(ad, "background", "which only answers while one waits.");
    return 0;
}

static bool is_search(struct slice type) {
    return slice_starts_with(type, SLICE("web_search"));
}

/* Of the one hosted tool that has a counterpart (1.5), which bears this name. */
static bool is_search_choice(struct adapter *ad) {
    struct llm_request *rq = ad->rq;
    struct slice type = json_member_string(rq->tool_choice_raw, SLICE("type"), ad->a);
    bool can = ad->from_responses && ad->to_messages && ad->caps->family == PROOF_ANTHROPIC;
    const struct tool *tool = rq->tools;
    while (tool && !is_search(tool->type)) tool = tool->next;
    if (!can || !tool || !is_search(type)) return false;
    rq->tool_choice = TOOL_CHOICE_NAMED;
    rq->tool_choice_name = SLICE("web_search");
    return true;
}

static const char *format_param(const struct adapter *ad) {
    return ad->from_messages ? "output_config.format" : "response_format";
}

/* Choices among tools look each of them up. */
static int refuse_too_many(struct adapter *ad) {
    bool is_choice = ad->rq->n_tools <= MAX_TOOLS;
    if (is_choice && ad->rq->n_allowed <= MAX_TOOLS) return 0;
    const char *param = is_choice ? "tool_choice" : "tools";
    return request_refuse(ad->fault, "array_above_max_length", param,
                          "Invalid '%s': array too long. Expected an array with maximum length %d.",
                          param, MAX_TOOLS);
}

static int refuse_parameters(struct adapter *ad) {
    const struct llm_request *rq = ad->rq;
    if (rq->env.n > 1 && !(ad->t->to->has_choices && ad->t->from->has_choices))
        return refuse(ad, "n", "which gives one answer to a request: send n requests.");
    if (ad->to_messages && rq->logprobs == 1)
        return refuse(ad, ad->from_responses ? "top_logprobs" : "logprobs",
                      "which has no token probabilities.");
    if (ad->to_messages && rq->top_logprobs > 0)
        return refuse(ad, "top_logprobs", "which has no token probabilities.");
    if (rq->wants_audio) return refuse(ad, "modalities", "which does not answer in audio.");
    if (rq->env.max_tokens == 0)
        return refuse(ad, "max_tokens", "which cannot be asked for no output at all.");
    if (is_said(rq->mcp_servers) && !is_empty_list(rq->mcp_servers))
        return refuse(ad, "mcp_servers", "which does not call servers of yours.");
    if (rq->format.kind == FORMAT_OTHER)
        return refuse(ad, format_param(ad), "which does not have that format.");
    if (rq->tool_choice == TOOL_CHOICE_OTHER && !is_search_choice(ad))
        return refuse(ad, "tool_choice", "which does not have that tool.");
    return 0;
}

static bool is_url(struct slice s) {
    return s.len > 0 && !slice_eq_nocase(slice_sub(s, 0, 5), SLICE("data:"));
}

/* chat and responses share OpenAI's store of files, if it is OpenAI's. */
static bool takes_file_id(const struct adapter *ad, const struct part *p) {
    bool is_openai = ad->caps->family == PROOF_OPENAI && !ad->from_messages && !ad->to_messages;
    return is_openai && (p->kind == PART_FILE || ad->to_responses);
}

static bool is_container_upload(const struct adapter *ad, const struct part *p) {
    return p->kind == PART_OPAQUE && ad->from_messages &&
           slice_eq(json_member_string(p->raw, SLICE("type"), ad->a), SLICE("container_upload"));
}

static int refuse_part(struct adapter *ad, const struct part *p) {
    const char *param = input_param(ad);
    if (p->kind == PART_AUDIO && !ad->to_chat)
        return refuse(ad, param, "which takes no audio.");
    if (is_container_upload(ad, p))
        return refuse(ad, param, "which has no containers to upload files to.");
    if ((p->kind == PART_IMAGE || p->kind == PART_FILE) && p->file_id.len > 0 &&
        p->url.len == 0 && p->encoded.len == 0 && !takes_file_id(ad, p))
        return refuse(ad, param, "which cannot read files by the id of another provider: send "
                                 "their content.");
    if (p->kind == PART_IMAGE && is_url(p->url) && !ad->caps->images_by_url)
        return refuse(ad, param, "which does not fetch images: send them as data: URLs.");
    for (unsigned i = 0; i < p->n_inner; i++) {
        int rc = refuse_part(ad, &p->inner[i]);
        if (rc) return rc;
    }
    return 0;
}

static int refuse_parts(struct adapter *ad) {
    for (const struct message *m = ad->rq->messages; m; m = m->next) {
        for (unsigned i = 0; i < m->n_parts; i++) {
            int rc = refuse_part(ad, &m->parts[i]);
            if (rc) return rc;
        }
    }
    return 0;
}

/* ---- proofs (translation.md 6, rule 3) ---- */

static enum proof_family family_of_shape(const struct adapter *ad) {
    return ad->from_messages ? PROOF_ANTHROPIC : ad->from_responses ? PROOF_OPENAI : PROOF_NONE;
}

/* Nobody's family is that of a server that takes its details back unchanged. */
static bool takes_proofs_of(const struct adapter *ad, enum proof_family family) {
    if (family == PROOF_NONE)
        return ad->caps->family == PROOF_NONE && ad->caps->reasoning_history == REASONING_DETAILS;
    return family == ad->caps->family;
}

static void unwrap(struct part *p, const struct proof *own) {
    p->proof = own->payload;
    p->item_id = own->item_id;
    p->kind = own->kind == PROOF_REDACTED ? PART_REDACTED : PART_REASONING;
    p->raw = SLICE_NULL;
}

/* False: what it has cannot be sent. */
static bool adapt_proof(const struct adapter *ad, struct part *p) {
    struct proof own;
    enum proof_family native = family_of_shape(ad);
    if (p->proof.len == 0) return true;
    if (proof_unwrap(p->proof, ad->a, &own)) {
        if (takes_proofs_of(ad, own.family)) {
            unwrap(p, &own);
            return true;
        }
    } else if (native != PROOF_NONE && takes_proofs_of(ad, native)) {
        return true;
    }
    p->proof = p->item_id = p->raw = SLICE_NULL;
    return false;
}

/* Chat tells them side by side, as members of the message: all as they came, or none. */
static void rewrite_thoughts(struct message *m) {
    for (unsigned i = 0; i < m->n_parts; i++) {
        if (part_is_reasoning(&m->parts[i])) m->parts[i].raw = SLICE_NULL;
    }
}

/* Thoughts of a server that signs none, which Anthropic refuses. */
static bool is_unsigned(const struct adapter *ad, const struct part *p) {
    return ad->to_messages && ad->caps->family == PROOF_ANTHROPIC && part_is_reasoning(p) &&
           p->proof.len == 0;
}

/* is_native: the upstream speaks the client's dialect, and would be told of parts without proof. */
static void adapt_proofs(struct adapter *ad, bool is_native) {
    for (struct message *m = ad->rq->messages; m; m = m->next) {
        unsigned n = 0, before = m->n_parts;
        for (unsigned i = 0; i < before; i++) {
            struct part *p = &m->parts[i];
            if (!is_native && part_is_call(p)) p->item_id = SLICE_NULL;
            bool can_go = !part_is_reasoning(p) || (adapt_proof(ad, p) && !is_unsigned(ad, p));
            if (can_go || !is_native) m->parts[n++] = *p;
        }
        m->n_parts = n;
        if (ad->to_chat && n < before) rewrite_thoughts(m);
    }
}

/* ---- what only the client's own API has ---- */

static bool is_billing(const struct adapter *ad, const struct message *m, const struct part *p) {
    return ad->from_messages && message_is_system(m) && p->kind == PART_TEXT &&
           slice_starts_with(p->text, SLICE("x-anthropic-billing-header"));
}

/* An item of the responses API that the model has no word for: a hosted tool's call, a list of
 * tools (which was read). */
static bool is_own_item(const struct adapter *ad, const struct part *p) {
    return ad->from_responses && p->kind == PART_OPAQUE && !p->message_item;
}

static void tell_item(struct adapter *ad, const struct part *p) {
    char name[64];
    struct slice type = json_member_string(p->raw, SLICE("type"), ad->a);
    /* tools were read; a message without its type said nothing */
    if (slice_eq(type, SLICE("additional_tools")) || type.len == 0) return;
    snprintf(name, sizeof name, "input[].%.*s", SLICE_FMT(slice_sub(type, 0, 40)));
    translation_drop(ad->t, name);
}

static void strip_own(struct adapter *ad) {
    struct message **at = &ad->rq->messages, *last = NULL;
    while (*at) {
        struct message *m = *at;
        unsigned n = 0, before = m->n_parts;
        for (unsigned i = 0; i < before; i++) {
            const struct part *p = &m->parts[i];
            bool is_item = is_own_item(ad, p);
            if (is_item) tell_item(ad, p);
            if (!is_item && !is_billing(ad, m, p)) m->parts[n++] = *p;
        }
        m->n_parts = n;
        if (before > 0 && n == 0) {
            *at = m->next;
            ad->rq->n_messages--;
        } else {
            last = m;
            at = &m->next;
        }
    }
    ad->rq->messages_end = last;
}

/* ---- stops (1.8, 1.9) ---- */

/* Each byte of the answer may begin each of them. */
static int refuse_slow_stops(struct adapter *ad) {
    const char *param = ad->from_messages ? "stop_sequences" : "stop";
    bool is_long = false;
    for (unsigned i = 0; i < ad->t->n_stops; i++) is_long |= ad->t->stops[i].len > MAX_STOP_BYTES;
    if (!is_long && ad->t->n_stops <= MAX_STOPS) return 0;
    return request_refuse(ad->fault, "invalid_value", param,
                          "Invalid '%s': at most %d of at most %d bytes each can be looked for in "
                          "this model's answers.",
                          param, MAX_STOPS, MAX_STOP_BYTES);
}

/* Those from `keep` on are looked for in the answer. */
static int adapt_stops(struct adapter *ad) {
    struct llm_request *rq = ad->rq;
    unsigned n = 0, keep = ad->to_responses ? 0 : UINT32_MAX;
    /* a stop that we find ends the whole answer: of several choices it would be one's */
    if (ad->to_chat && ad->caps->openai_fields && rq->env.n <= 1) keep = CHAT_MAX_STOPS;
    for (unsigned i = 0; i < rq->n_stop; i++) {
        if (rq->stop[i].len > 0 && !(ad->to_messages && slice_is_blank(rq->stop[i])))
            rq->stop[n++] = rq->stop[i];
    }
    rq->n_stop = n < keep ? n : keep;
    ad->t->stops = n > rq->n_stop ? rq->stop + rq->n_stop : NULL;
    ad->t->n_stops = n - rq->n_stop;
    return refuse_slow_stops(ad);
}

/* ---- structured output as a tool (1.10) ---- */

static bool asks_for_reasoning(const struct reasoning_ask *r) {
    bool has_effort = r->effort.len > 0 && !slice_eq(r->effort, SLICE("none"));
    return has_effort || (r->thinking != THINKING_UNSET && r->thinking != THINKING_OFF);
}

/* Only where it can be forced and nothing else could be called; elsewhere a system text asks. */
static void adapt_format(struct adapter *ad) {
    struct llm_request *rq = ad->rq;
    bool is_wanted = ad->to_messages && !ad->caps->output_format &&
                     rq->format.kind == FORMAT_JSON_SCHEMA && rq->n_tools == 0 &&
                     rq->tool_choice == TOOL_CHOICE_ABSENT && !asks_for_reasoning(&rq->reasoning);
    struct slice type = json_member_string(rq->format.schema, SLICE("type"), ad->a);
    if (!is_wanted || !slice_eq(type, SLICE("object"))) return;
    struct tool *tool = tool_add(rq, ad->a);
    tool->kind = TOOL_FUNCTION;
    tool->type = SLICE("function");
    tool->name = JSON_TOOL;
    tool->description = rq->format.description.len > 0
                            ? rq->format.description
                            : SLICE("Gives the answer in the form that was asked for.");
    tool->parameters = rq->format.schema;
    rq->tool_choice = TOOL_CHOICE_NAMED;
    rq->tool_choice_name = JSON_TOOL;
    ad->t->json_tool = JSON_TOOL;
}

/* ---- all of it ---- */

int request_adapt(struct llm_request *rq, struct translation *t, struct request_fault *fault) {
    struct adapter ad = {
        .rq = rq,
        .t = t,
        .a = t->arena,
        .caps = t->caps,
        .fault = fault,
        .from_messages = is_named(t->from, "messages"),
        .from_responses = is_named(t->from, "responses"),
        .to_chat = is_named(t->to, "chat"),
        .to_messages = is_named(t->to, "messages"),
        .to_responses = is_named(t->to, "responses"),
    };
    bool is_native = strcmp(t->from->name, t->to->name) == 0;
    if (is_native) {
        adapt_proofs(&ad, true);
        return 0;
    }
    ad.takes_custom = ad.to_responses || (ad.to_chat && t->caps->openai_fields);
    int rc = refuse_references(&ad);
    if (rc == 0) rc = refuse_too_many(&ad);
    if (rc == 0) rc = refuse_parameters(&ad);
    if (rc == 0) rc = refuse_parts(&ad);
    if (rc) return rc;
    strip_own(&ad);
    adapt_proofs(&ad, false);
    adapt_names(&ad);
    adapt_turns(&ad);
    adapt_format(&ad);
    t->legacy_functions = rq->tools_are_functions;
    return adapt_stops(&ad);
}
