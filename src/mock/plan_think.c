/* SPDX-License-Identifier: Apache-2.0 */
/* Who thinks before the answer, and who sees it. */
#include "mock/reply-private.h"

/* ---- by the model's name ---- */

enum thinker { THINKS_IF_ASKED, THINKS_HIDDEN, THINKS_ALOUD };

static bool ends_with(struct slice text, struct slice end) {
    return text.len >= end.len && slice_eq(slice_from(text, text.len - end.len), end);
}

/* "o3" and "o4-mini", but neither "o30" nor "olmo". */
static bool is_o_series(struct slice name) {
    bool has_number = name.len >= 2 && name.ptr[0] == 'o' && strchr("134", name.ptr[1]);
    return has_number && (name.len == 2 || name.ptr[2] == '-');
}

static enum thinker thinker_of(struct slice model) {
    struct slice name = model;
    for (ptrdiff_t at; (at = slice_index(name, '/')) >= 0;) {      /* "openai/o3" */
        name = slice_from(name, (size_t)at + 1);
    }
    bool is_chatty = slice_starts_with(name, SLICE("gpt-5-chat"));
    if (is_o_series(name) || (slice_starts_with(name, SLICE("gpt-5")) && !is_chatty)) {
        return THINKS_HIDDEN;
    }
    bool is_aloud = slice_starts_with(name, SLICE("deepseek-r")) ||
                    ends_with(name, SLICE("-thinking")) || ends_with(name, SLICE("-reasoning"));
    return is_aloud ? THINKS_ALOUD : THINKS_IF_ASKED;
}

/* ---- by what is asked ---- */

static bool thinks_by_name(const struct plan *p, const struct llm_request *rq, enum thinker t) {
    bool is_quick = slice_eq(rq->reasoning.effort, SLICE("none")) ||
                    slice_eq(rq->reasoning.effort, SLICE("minimal"));
    return t != THINKS_IF_ASKED && !is_quick &&
           (t == THINKS_ALOUD || p->dialect != &dialect_messages);
}

/* Anthropic's effort is of everything; thinking is asked for on its own. */
static bool wants_thinking(const struct plan *p, const struct llm_request *rq, enum thinker t) {
    const struct reasoning_ask *ask = &rq->reasoning;
    bool by_effort = ask->effort.len > 0 && !slice_eq(ask->effort, SLICE("none"));
    if (ask->thinking != THINKING_UNSET) {
        return ask->thinking == THINKING_BUDGET || ask->thinking == THINKING_ADAPTIVE;
    }
    if (thinks_by_name(p, rq, t)) {
        return true;
    }
    if (p->dialect == &dialect_responses) {
        return by_effort || ask->summary.len > 0;
    }
    return by_effort && p->dialect == &dialect_chat;
}

static bool is_hidden(const struct plan *p, const struct llm_request *rq, enum thinker t) {
    bool has_no_summary = p->dialect == &dialect_responses && rq->reasoning.summary.len == 0;
    bool is_secret = p->dialect == &dialect_chat && t == THINKS_HIDDEN;
    return has_no_summary || is_secret || rq->reasoning.is_visible == 0;
}

/* As the knob says, as the text says ("think: QUESTION"), or as the request asks. */
void plan_thought(struct plan *p, const struct llm_request *rq, enum reply_thinking how,
                  bool is_told, struct slice user_text) {
    enum thinker t = thinker_of(rq->env.model);
    bool is_redacted = how == REPLY_THINK_REDACTED && p->dialect == &dialect_messages;
    bool is_forced = is_told || how == REPLY_THINK_ALOUD || how == REPLY_THINK_REDACTED;
    if (how == REPLY_THINK_NOT || p->dialect == &dialect_completions ||
        (!is_forced && !wants_thinking(p, rq, t))) {
        return;
    }
    if (is_redacted) {
        plan_add(p, BLOCK_REDACTED, SOURCE_FIXED, SLICE_NULL);
        return;
    }
    struct segment *seg = plan_add(p, BLOCK_REASONING, SOURCE_PROSE, guess_topic(user_text));
    seg->prose = PROSE_THOUGHT;
    seg->is_hidden = !is_forced && is_hidden(p, rq, t);
    seg->is_silent = seg->is_hidden && p->dialect == &dialect_chat;
}
