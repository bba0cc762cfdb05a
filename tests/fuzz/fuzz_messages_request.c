/* SPDX-License-Identifier: Apache-2.0 */
/* A client that sends anything to /v1/messages: what is accepted is written again as JSON that says
 * the same, and reads the same; what is refused is refused with words. The same bytes as a request
 * of another dialect, for upstreams of several kinds: what is written is a request that Anthropic's
 * rules hold for. */
#include "dialect/estimate.h"
#include "dialect/messages/messages-private.h"
#include "dialect/request_read.h"
#include "fuzz_dialect.h"

static void check_same(const struct llm_request *rq, struct arena *a) {
    struct llm_request again;
    struct request_fault fault;
    struct buf out, twice;
    buf_init(&out, MAX_BYTES);
    buf_init(&twice, MAX_BYTES);
    must(messages_encode_request(rq, NULL, &out, NULL) == 0);
    must(messages_decode_request(buf_slice(&out), a, &again, &fault) == 0);
    must(slice_eq(again.env.model, rq->env.model) && again.env.stream == rq->env.stream &&
         again.env.max_tokens == rq->env.max_tokens);
    must(again.n_messages == rq->n_messages && again.n_tools == rq->n_tools);
    must(messages_encode_request(&again, NULL, &twice, NULL) == 0);
    must(slice_eq(buf_slice(&out), buf_slice(&twice)));
    buf_dispose(&out);
    buf_dispose(&twice);
}

/* Turns of user and assistant take turns, begin with the user's, and none is empty. */
static void check_turns(struct slice body, struct arena *a) {
    struct slice list = json_member(body, SLICE("messages"), a), turn, last = SLICE_NULL;
    struct json_walk w = json_walk_begin(list);
    unsigned n = 0;
    for (; json_walk_element(&w, &turn); n++) {
        struct slice role = json_member_string(turn, SLICE("role"), a), first;
        struct slice content = json_member(turn, SLICE("content"), a);
        must(n > 0 || slice_eq(role, SLICE("user")));
        must(!slice_eq(role, last));
        must(json_text_is(content, '"') || json_text_is(content, '['));
        struct json_walk blocks = json_walk_begin(content);
        must(json_text_is(content, '"') ? content.len > 2 : json_walk_element(&blocks, &first));
        last = role;
    }
    must(n > 0);
}

static void check_foreign(struct llm_request *rq, const struct capabilities *caps,
                          struct arena *a) {
    struct translation t = {.arena = a, .caps = caps};
    struct request_fault fault = {.code = NULL};
    struct envelope env;
    struct buf out;
    buf_init(&out, MAX_BYTES);
    int rc = messages_encode_request(rq, &t, &out, &fault);
    must(rc == 0 || rc == -ERR_USAGE);
    if (rc) {
        check_fault(&fault);
        must(out.len == 0);
    } else {
        must_be_object(buf_slice(&out));
        must(messages_peek_request(buf_slice(&out), a, &env, &fault) == 0);
        must(slice_eq(env.model, rq->env.model) && env.stream == rq->env.stream);
        check_turns(buf_slice(&out), a);
    }
    buf_dispose(&out);
}

static void check_all_foreign(struct llm_request *rq, struct arena *a) {
    static const char *const origins[] = {"chat", "responses"};
    unsigned n;
    const struct preset *rows = presets(&n);
    for (unsigned i = 0; i < n; i++) {
        bool is_messages = slice_eq(slice_cstr(rows[i].dialect), SLICE("messages"));
        struct capabilities caps = rows[i].caps;
        if (!is_messages) continue;
        rq->origin = origins[i % 2];
        check_foreign(rq, &caps, a);
        caps.family = PROOF_NONE;
        caps.system_in_messages = false;
        caps.thinking = THINKING_STYLE_ADAPTIVE;
        check_foreign(rq, &caps, a);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice body = slice_make((const char *)data, size);
    struct arena *a = arena_new();
    struct envelope env;
    struct llm_request rq;
    struct request_fault fault;
    if (messages_peek_count(body, a, &env, &fault)) check_fault(&fault);
    if (messages_decode_request(body, a, &rq, &fault) == 0) {
        must(request_estimate_tokens(&rq) > 0);
        check_same(&rq, a);
        check_all_foreign(&rq, a);
    } else {
        check_fault(&fault);
    }
    if (dialect_chat.decode_request(body, a, &rq, &fault) == 0) check_all_foreign(&rq, a);
    arena_free(a);
    return 0;
}
