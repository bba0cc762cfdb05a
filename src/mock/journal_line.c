/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/journal_line.h"

#include "mock/mock_clock.h"

static const char *finish_word(const struct dialect *d, enum stop_reason reason) {
    static const struct {
        const char *openai, *responses, *messages;
    } words[] = {
        [STOP_END] = {"stop", "completed", "end_turn"},
        [STOP_SEQUENCE] = {"stop", "completed", "stop_sequence"},
        [STOP_LENGTH] = {"length", "max_output_tokens", "max_tokens"},
        [STOP_TOOL] = {"tool_calls", "completed", "tool_use"},
        [STOP_FILTER] = {"content_filter", "content_filter", "refusal"},
        [STOP_PAUSE] = {"stop", "completed", "pause_turn"},
        [STOP_ERROR] = {"error", "failed", "error"},
    };
    if ((size_t)reason >= sizeof words / sizeof words[0]) {
        return NULL;
    }
    return d == &dialect_messages    ? words[reason].messages
           : d == &dialect_responses ? words[reason].responses
                                     : words[reason].openai;
}

void journal_line_begin(struct journal_line *l, const struct mock_call *c,
                        struct slice response_id) {
    *l = (struct journal_line){.seq = c->journal, .start_ns = c->start_ns, .status = 200};
    bool is_scripted = c->script && c->script->n_blocks > 0;
    const struct journal_notes notes = {.answered_by = is_scripted ? NULL : "generator",
                                        .response_id = response_id};
    journal_note(c->w->hub->journal, c->journal, &notes);
}

void journal_line_event(struct journal_line *l, const struct dialect *d, const struct event *ev) {
    if (ev->kind == EV_FINISH && !l->finish) {
        l->finish = finish_word(d, ev->u.finish.reason);
    }
}

void journal_line_end(const struct journal_line *l, struct mock_worker *w, enum journal_end end,
                      int64_t tokens_in, int64_t tokens_out) {
    const struct journal_answer a = {
        .status = l->status,
        .tokens_in = tokens_in,
        .tokens_out = tokens_out,
        .finish_reason = slice_cstr(l->finish),
        .first_token_ns = l->first_ns > 0 ? l->first_ns - l->start_ns : -1,
        .duration_ns = mock_now_ns(w) - l->start_ns,
        .end = end};
    if (l->seq > 0) {
        journal_close(w->hub->journal, l->seq, &a);
    }
}
