/* SPDX-License-Identifier: Apache-2.0 */
/* A client that sends anything: what is accepted is spliced and written again as JSON that says the
 * same in the envelope; what is refused is refused with words. As if it had come from another
 * dialect, it is written from the typed fields alone, or refused. Completions is fuzzed by the same
 * code. */
#include "dialect/splice.h"
#include "dialect/translation.h"
#include "fuzz_dialect.h"

#ifndef DIALECT
#define DIALECT dialect_chat
#endif

static void check_splice(struct slice body, const struct envelope *env, struct arena *a) {
    struct slice pieces[SPLICE_PIECES];
    struct envelope again;
    struct request_fault fault;
    struct buf out;
    unsigned n;
    buf_init(&out, MAX_BYTES);
    must(request_splice(body, env, SLICE("new \"model\""), true, a, pieces, &n) == 0 &&
         n <= SPLICE_PIECES);
    for (unsigned i = 0; i < n; i++) must(buf_append(&out, pieces[i]) == 0);
    must(DIALECT.peek_request(buf_slice(&out), a, &again, &fault) == 0);
    must(slice_eq(again.model, SLICE("new \"model\"")));
    must(again.stream == env->stream && again.n == env->n && again.max_tokens == env->max_tokens);
    must(!again.stream || again.include_usage);
    must(request_splice(body, env, SLICE_NULL, false, a, pieces, &n) == 0 && n == 1 &&
         slice_eq(pieces[0], body));
    buf_dispose(&out);
}

static void check_body(const struct buf *out, const struct llm_request *rq, struct arena *a) {
    struct envelope again;
    struct request_fault fault;
    must_be_object(buf_slice(out));
    must(dialect_chat.peek_request(buf_slice(out), a, &again, &fault) == 0);
    must(slice_eq(again.model, rq->env.model) && again.stream == rq->env.stream &&
         again.n == rq->env.n);
}

static void check_written(const struct llm_request *rq, struct arena *a) {
    struct envelope again;
    struct request_fault fault;
    struct buf out;
    buf_init(&out, MAX_BYTES);
    must(DIALECT.encode_request(rq, NULL, &out, NULL) == 0);
    must_be_object(buf_slice(&out));
    must(DIALECT.peek_request(buf_slice(&out), a, &again, &fault) == 0);
    must(slice_eq(again.model, rq->env.model) && again.stream == rq->env.stream &&
         again.n == rq->env.n);
    buf_dispose(&out);
}

/* Every bit of the capabilities is one of the input's. */
static struct capabilities some_capabilities(size_t seed) {
    return (struct capabilities){.max_tokens = seed & 1,
                                 .reasoning_history = seed >> 1 & 3,
                                 .stream_options = seed >> 3 & 1,
                                 .developer_role = seed >> 4 & 1,
                                 .one_system_message = seed >> 5 & 1,
                                 .required_is_any = seed >> 6 & 1,
                                 .user_after_tool = seed >> 7 & 1,
                                 .parallel_tool_calls = seed >> 8 & 1,
                                 .reasoning_effort = seed >> 9 & 1,
                                 .openai_fields = seed >> 10 & 1,
                                 .top_k = seed >> 11 & 1,
                                 .cache_control = seed >> 12 & 1,
                                 .images_by_url = seed >> 13 & 1};
}

static void check_foreign(struct llm_request *rq, struct arena *a, size_t seed) {
    static const char *const origins[] = {"messages", "responses", "another"};
    struct capabilities caps = some_capabilities(seed);
    const struct dialect *const targets[] = {&dialect_chat, &dialect_completions};
    for (unsigned i = 0; i < 6; i++) {
        struct translation t = {.arena = a, .caps = &caps};
        struct request_fault fault = {.message = ""};
        struct buf out;
        rq->origin = origins[i % 3];
        buf_init(&out, MAX_BYTES);
        int rc = targets[i / 3]->encode_request(rq, &t, &out, &fault);
        must(rc == 0 || rc == -ERR_USAGE);
        if (rc) check_fault(&fault);
        else if (i < 3) check_body(&out, rq, a);
        else must_be_object(buf_slice(&out));
        must(rc == 0 || out.len == 0);
        buf_dispose(&out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice body = slice_make((const char *)data, size);
    struct arena *a = arena_new();
    struct envelope env;
    struct llm_request rq;
    struct request_fault fault;
    if (DIALECT.peek_request(body, a, &env, &fault) == 0) {
        check_splice(body, &env, a);
    } else {
        check_fault(&fault);
    }
    if (DIALECT.decode_request(body, a, &rq, &fault) == 0) {
        check_written(&rq, a);
        size_t seed = size;
        for (size_t i = 0; i < size; i++) seed = seed * 31 + data[i];
        check_foreign(&rq, a, seed);
    } else {
        check_fault(&fault);
    }
    arena_free(a);
    return 0;
}
