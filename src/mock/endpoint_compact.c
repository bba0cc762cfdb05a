/* SPDX-License-Identifier: Apache-2.0 */
/* POST /responses/compact: what the user said, and one sealed item in place of all the rest. The
 * item says nothing: that it came back unchanged is what is looked at (history.c). */
#include <inttypes.h>

#include "base/clock.h"
#include "dialect/json_write.h"
#include "dialect/peek.h"
#include "dialect/request_read.h"
#include "mock/call.h"
#include "mock/fault_answer.h"
#include "mock/history.h"
#include "mock/mock_clock.h"
#include "mock/replay.h"
#include "mock/seal.h"
#include "mock/tokenizer_choice.h"

static bool is_of_user(struct slice item, struct arena *a) {
    return slice_eq(json_member_string(item, SLICE("type"), a), SLICE("message")) &&
           slice_eq(json_member_string(item, SLICE("role"), a), SLICE("user"));
}

static void w_users(struct json_writer *w, struct slice items, struct arena *a) {
    struct stored_list list = stored_split(items, a);
    for (size_t i = 0; i < list.n; i++) {
        if (is_of_user(list.items[i], a)) {
            jw_raw(w, list.items[i]);
            jw(w, SLICE(","));
        }
    }
}

static void w_usage(struct json_writer *w, uint64_t in, uint64_t out) {
    if (w->rc == 0) {
        w->rc = buf_appendf(w->out,
                            "{\"input_tokens\":%" PRIu64 ",\"input_tokens_details\":{"
                            "\"cached_tokens\":0,\"cache_write_tokens\":0},\"output_tokens\":%" PRIu64
                            ",\"output_tokens_details\":{\"reasoning_tokens\":0},"
                            "\"total_tokens\":%" PRIu64 "}",
                            in, out, in + out);
    }
}

static void answer(struct mock_call *c, struct slice items) {
    struct arena *a = c->ex->arena;
    const struct tokenizer *t = mock_tokenizer(c->o, c->rq.env.model);
    struct slice id = stored_id(c->stored, "resp_", c->facts.serial, a);
    char space[SEAL_BYTES];
    struct seal seal;
    seal_begin(&seal, SEAL_COMPACTION, c->o->seed);
    struct slice content = seal_end(&seal, c->facts.serial, space);
    mock_worker_scratch(&c->w->body);
    struct json_writer w = jw_begin(&c->w->body);
    jw(&w, SLICE("{\"id\":"));
    jw_string(&w, id);
    jw(&w, SLICE(",\"object\":\"response.compaction\",\"created_at\":"));
    jw_int(&w, mock_wall_ns(c->w) / NS_PER_S);
    jw(&w, SLICE(",\"output\":["));
    w_users(&w, items, a);
    jw(&w, SLICE("{\"id\":"));
    jw_string(&w, stored_id(c->stored, "cmp_", c->facts.serial, a));
    jw(&w, SLICE(",\"type\":\"compaction\",\"encrypted_content\":"));
    jw_string(&w, content);
    jw(&w, SLICE("}],\"usage\":"));
    w_usage(&w, mock_call_prompt(c)->all, tokenizer_count(t, content));
    jw(&w, SLICE("}"));
    mock_call_note_response(c, id);
    mock_respond_json(c->w, c->ex, jw_end(&w) < 0 ? 500 : 200, buf_slice(&c->w->body));
}

/* c->rq and c->turn are there. */
static void serve(struct mock_call *c) {
    struct arena *a = c->ex->arena;
    struct request_fault fault;
    struct slice items;
    unsigned status = 400;
    uint64_t tokens = mock_call_prompt(c)->all;
    if (!mock_call_validate(c) || !mock_call_admit(c, tokens)) {
        return;
    }
    int rc = replay_is_on(c->w) ? 0
                                : history_check(&c->rq, c->api, c->o->seed, c->w->hub->given,
                                                &fault, &status);
    if (rc == 0 && stored_items_of(c->turn.body, stored_id(c->stored, "", c->facts.serial, a), a,
                                   &items) < 0) {
        rc = request_refuse(&fault, "invalid_value", "input", "Invalid 'input'.");
    }
    if (rc < 0) {
        mock_call_refuse(c, RULE_HISTORY, &fault, status);
    } else if (!fault_strikes_unasked(c)) {
        answer(c, items);
    }
}

void mock_endpoint_compact(struct mock_worker *w, struct http_exchange *ex) {
    mock_endpoint_of_request(w, ex, serve);
}
