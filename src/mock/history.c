/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/history.h"

#include <stdio.h>
#include <stdlib.h>

#include "dialect/peek.h"
#include "dialect/request_read.h"
#include "mock/given.h"
#include "mock/seal.h"

/* Longer conversations are believed: every result is looked for among all calls. */
enum {
    SHOWN_BYTES = 64,
    PARAM_BYTES = 64,
    NUMBER_BYTES = 40,
    MAX_MESSAGES = 20000,
    MIN_BUDGET_TOKENS = 1024
};

struct check {
    const struct llm_request *rq;
    const struct dialect *dialect;
    uint64_t seed;
    struct given *given;
    struct request_fault *fault;
    unsigned status;
};

#define SHOWN(s) (int)((s).len < SHOWN_BYTES ? (s).len : SHOWN_BYTES), (s).len ? (s).ptr : ""

static bool is_call(const struct part *p) {
    return p->kind == PART_TOOL_CALL || p->kind == PART_CUSTOM_TOOL_CALL;
}

static bool is_proof(const struct check *c, const struct seal *s, struct slice proof) {
    return seal_fits(s, proof) || (c->given && given_knows(c->given, proof));
}

static bool is_thought(const struct part *p) {
    return p->kind == PART_REASONING || p->kind == PART_REDACTED;
}

/* Of a message in the list that the client sent: what stood before it is not counted, and results
 * with what the user says behind them are one. */
static unsigned wire_index(const struct check *c, const struct message *m) {
    unsigned n = 0;
    const struct message *before = NULL;
    for (const struct message *at = c->rq->messages; at && at != m; before = at, at = at->next) {
        bool is_joined = before && before->role == ROLE_TOOL && at->role != ROLE_ASSISTANT;
        n += !at->is_instructions && !is_joined;
    }
    bool is_joined = before && before->role == ROLE_TOOL && m->role != ROLE_ASSISTANT;
    return is_joined ? n - 1 : n;
}

/* ---- messages: thoughts ---- */

static int refuse_thought(struct check *c, const struct message *m, unsigned part,
                          const char *format) {
    char param[PARAM_BYTES];
    snprintf(param, sizeof param, "messages.%u.content.%u", wire_index(c, m), part);
    return request_refuse(c->fault, "invalid_value", param, format, param);
}

static int check_thought(struct check *c, const struct message *m, unsigned i) {
    const struct part *p = &m->parts[i];
    struct seal s;
    if (p->kind == PART_REDACTED) {
        seal_begin(&s, SEAL_REDACTED, c->seed);
        return is_proof(c, &s, p->proof)
                   ? 0
                   : refuse_thought(c, m, i, "%s: Invalid `data` in `redacted_thinking` block");
    }
    if (p->proof.len == 0) {
        return refuse_thought(c, m, i, "%s.thinking.signature: Field required");
    }
    seal_begin(&s, SEAL_SIGNATURE, c->seed);
    seal_feed(&s, p->text);
    return is_proof(c, &s, p->proof)
               ? 0
               : refuse_thought(c, m, i, "%s: Invalid `signature` in `thinking` block");
}

static int check_thoughts(struct check *c, const struct message *m) {
    for (unsigned i = 0; i < m->n_parts; i++) {
        int rc = is_thought(&m->parts[i]) ? check_thought(c, m, i) : 0;
        if (rc) {
            return rc;
        }
    }
    return 0;
}

/* With manual thinking on, what called the tools whose results come last began with a thought. */
static int check_last_turn(struct check *c) {
    const struct message *asker = NULL;
    for (const struct message *m = c->rq->messages; m; m = m->next) {
        if (m->role == ROLE_ASSISTANT) {
            asker = m->next && m->next->role == ROLE_TOOL ? m : NULL;
        }
    }
    if (c->rq->reasoning.thinking != THINKING_BUDGET || !asker || asker->n_parts == 0 ||
        is_thought(&asker->parts[0])) {
        return 0;
    }
    const char *found = is_call(&asker->parts[0]) ? "tool_use" : "text";
    return request_refuse(c->fault, "invalid_value", "messages",
                          "messages.%u.content.0.type: Expected `thinking` or `redacted_thinking`, "
                          "but found `%s`. When `thinking` is enabled, a final `assistant` message "
                          "must start with a thinking block.",
                          wire_index(c, asker), found);
}

/* ---- messages: settings ---- */

static int refuse_setting(struct check *c, const char *param, const char *why) {
    return request_refuse(c->fault, "invalid_value", param, "%s", why);
}

/* Of a number as it is spelt; otherwise, when there is none. */
static double number_or(struct slice spelt, double otherwise) {
    char text[NUMBER_BYTES];
    if (spelt.len == 0) {
        return otherwise;
    }
    snprintf(text, sizeof text, "%.*s", (int)(spelt.len < NUMBER_BYTES ? spelt.len : NUMBER_BYTES - 1),
             spelt.ptr);
    return strtod(text, NULL);
}

static bool is_forced(const struct llm_request *rq) {
    return rq->tool_choice == TOOL_CHOICE_REQUIRED || rq->tool_choice == TOOL_CHOICE_NAMED;
}

static int check_budget(struct check *c) {
    const struct llm_request *rq = c->rq;
    if (rq->reasoning.thinking != THINKING_BUDGET) {
        return 0;
    }
    if (rq->reasoning.budget_tokens < MIN_BUDGET_TOKENS) {
        return refuse_setting(c, "thinking", "thinking.enabled.budget_tokens: Input should be greater "
                                             "than or equal to 1024");
    }
    if (rq->reasoning.budget_tokens >= rq->env.max_tokens) {
        return refuse_setting(c, "max_tokens",
                              "`max_tokens` must be greater than `thinking.budget_tokens`.");
    }
    return 0;
}

static int check_thinking(struct check *c) {
    const struct llm_request *rq = c->rq;
    double temperature = number_or(rq->temperature, 1), top_p = number_or(rq->top_p, 1);
    if (temperature < 1) {
        return refuse_setting(c, "temperature",
                              "`temperature` may only be set to 1 when thinking is enabled.");
    }
    if (top_p < 0.95) {
        return refuse_setting(c, "top_p", "`top_p` must be greater than or equal to 0.95 or unset "
                                          "when thinking is enabled.");
    }
    if (rq->top_k.len > 0) {
        return refuse_setting(c, "top_k", "`top_k` must be unset when thinking is enabled.");
    }
    if (is_forced(rq)) {
        return refuse_setting(c, "tool_choice",
                              "Thinking may not be enabled when tool_choice forces tool use.");
    }
    return check_budget(c);
}

static int check_settings(struct check *c) {
    const struct llm_request *rq = c->rq;
    enum thinking thinking = rq->reasoning.thinking;
    double temperature = number_or(rq->temperature, 1);
    if (temperature < 0 || temperature > 1) {
        return refuse_setting(c, "temperature", "temperature: range: 0..1");
    }
    if (is_forced(rq) && !rq->tools) {
        return refuse_setting(c, "tool_choice",
                              "tool_choice: may only be specified while providing tools");
    }
    bool thinks = thinking == THINKING_BUDGET || thinking == THINKING_ADAPTIVE;
    return thinks ? check_thinking(c) : 0;
}

/* ---- responses: items ---- */

static int refuse_unstored(struct check *c, struct slice id) {
    c->status = 404;
    return request_refuse(c->fault, NULL, "input",
                          "Item with id '%.*s' not found. Items are not persisted when `store` is set "
                          "to false. Try again with `store` set to true, or remove this item from your "
                          "input.",
                          SHOWN(id));
}

static int refuse_content(struct check *c, struct slice id) {
    return request_refuse(c->fault, "invalid_encrypted_content", "input",
                          "The encrypted content for item %.*s could not be verified.", SHOWN(id));
}

/* An item that the model has no word for: a compaction's content has to be one that we made. */
static int check_opaque(struct check *c, const struct part *p) {
    struct arena *a = arena_new();
    bool is_compaction = !p->message_item && slice_eq(json_member_string(p->raw, SLICE("type"), a),
                                                      SLICE("compaction"));
    struct seal s;
    int rc = 0;
    seal_begin(&s, SEAL_COMPACTION, c->seed);
    if (is_compaction &&
        !is_proof(c, &s, json_member_string(p->raw, SLICE("encrypted_content"), a))) {
        rc = refuse_content(c, json_member_string(p->raw, SLICE("id"), a));
    }
    arena_free(a);
    return rc;
}

/* Encrypted content belongs to its item; an item without is one that was stored. */
static int check_item(struct check *c, const struct part *p) {
    struct seal s;
    if (p->kind == PART_OPAQUE) {
        return check_opaque(c, p);
    }
    if (!is_thought(p)) {
        return 0;
    }
    if (p->proof.len == 0) {
        bool is_of_ours = c->rq->previous_response_id.len > 0 || c->rq->conversation.len > 0;
        return c->rq->store == 0 && !is_of_ours ? refuse_unstored(c, p->item_id) : 0;
    }
    seal_begin(&s, SEAL_ENCRYPTED, c->seed);
    seal_feed(&s, p->item_id);
    return is_proof(c, &s, p->proof) ? 0 : refuse_content(c, p->item_id);
}

static int check_items(struct check *c, const struct message *m) {
    for (unsigned i = 0; i < m->n_parts; i++) {
        int rc = check_item(c, &m->parts[i]);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

/* ---- calls and results ---- */

static bool message_calls(const struct message *m, struct slice id) {
    for (unsigned i = 0; i < m->n_parts; i++) {
        if (is_call(&m->parts[i]) && slice_eq(m->parts[i].id, id)) {
            return true;
        }
    }
    return false;
}

static bool message_answers(const struct message *m, struct slice id) {
    for (unsigned i = 0; m->role == ROLE_TOOL && i < m->n_parts; i++) {
        if (m->parts[i].kind == PART_TOOL_RESULT && slice_eq(m->parts[i].id, id)) {
            return true;
        }
    }
    return false;
}

/* Responses lets results stand anywhere behind their call; the others want them right there. */
static bool is_answered(const struct check *c, const struct message *asker, struct slice id) {
    bool is_anywhere = c->dialect == &dialect_responses;
    for (const struct message *m = asker->next; m; m = m->next) {
        if (m->role != ROLE_TOOL && !is_anywhere) {
            return false;
        }
        if (message_answers(m, id)) {
            return true;
        }
    }
    return false;
}

static bool is_asked_for(const struct check *c, const struct message *result, struct slice id) {
    const struct message *asker = NULL;
    for (const struct message *m = c->rq->messages; m != result; m = m->next) {
        if (c->dialect == &dialect_responses && message_calls(m, id)) {
            return true;
        }
        asker = m->role == ROLE_ASSISTANT ? m : m->role == ROLE_TOOL ? asker : NULL;
    }
    return asker && message_calls(asker, id);
}

static int refuse_unanswered(struct check *c, const struct message *m, struct slice id) {
    if (c->dialect == &dialect_responses) {
        return request_refuse(c->fault, NULL, "input",
                              "No tool output found for function call %.*s.", SHOWN(id));
    }
    if (c->dialect == &dialect_messages) {
        return request_refuse(c->fault, "invalid_value", "messages",
                              "messages.%u: `tool_use` ids were found without `tool_result` blocks "
                              "immediately after: %.*s.",
                              wire_index(c, m), SHOWN(id));
    }
    return request_refuse(c->fault, NULL, "messages",
                          "An assistant message with 'tool_calls' must be followed by tool messages "
                          "responding to each 'tool_call_id'. Without a response: %.*s",
                          SHOWN(id));
}

static int refuse_unasked(struct check *c, const struct message *m, struct slice id) {
    if (c->dialect == &dialect_responses) {
        return request_refuse(c->fault, NULL, "input",
                              "No tool call found for function call output with call_id %.*s.",
                              SHOWN(id));
    }
    if (c->dialect == &dialect_messages) {
        return request_refuse(c->fault, "invalid_value", "messages",
                              "messages.%u: unexpected `tool_use_id` found in `tool_result` blocks: "
                              "%.*s.",
                              wire_index(c, m), SHOWN(id));
    }
    return request_refuse(c->fault, NULL, "messages",
                          "Messages with role 'tool' must be a response to a preceding message with "
                          "'tool_calls'. Not asked for: %.*s",
                          SHOWN(id));
}

static int check_pairs(struct check *c, const struct message *m) {
    for (unsigned i = 0; i < m->n_parts; i++) {
        const struct part *p = &m->parts[i];
        bool is_result = m->role == ROLE_TOOL && p->kind == PART_TOOL_RESULT;
        if (is_result && !is_asked_for(c, m, p->id)) {
            return refuse_unasked(c, m, p->id);
        }
        if (m->role == ROLE_ASSISTANT && is_call(p) && !is_answered(c, m, p->id)) {
            return refuse_unanswered(c, m, p->id);
        }
    }
    return 0;
}

/* ---- all of it ---- */

/* Nothing is kept: the client has to send all of it. */
static int check_thread(struct check *c) {
    if (c->rq->thread.len == 0) return 0;
    c->fault->raw = THREAD_UNSUPPORTED;
    return request_refuse(c->fault, "unsupported_parameter", "thread",
                          "thread: this server keeps no conversations.");
}

static int check_all(struct check *c) {
    int rc = c->dialect == &dialect_messages ? check_settings(c) : 0;
    if (rc == 0) rc = check_thread(c);
    for (const struct message *m = c->rq->messages; m && rc == 0; m = m->next) {
        if (c->dialect == &dialect_messages) {
            rc = check_thoughts(c, m);
        } else if (c->dialect == &dialect_responses) {
            rc = check_items(c, m);
        }
        if (rc == 0 && c->rq->n_messages <= MAX_MESSAGES) {
            rc = check_pairs(c, m);
        }
    }
    return rc == 0 && c->dialect == &dialect_messages ? check_last_turn(c) : rc;
}

int history_check(const struct llm_request *rq, const struct api *api, uint64_t seed,
                  struct given *given, struct request_fault *fault, unsigned *out_status) {
    struct check c = {.rq = rq,
                      .dialect = api->dialect,
                      .seed = seed,
                      .given = given,
                      .fault = fault,
                      .status = 400};
    int rc = check_all(&c);
    *out_status = c.status;
    return rc;
}
