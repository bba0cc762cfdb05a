/* SPDX-License-Identifier: Apache-2.0 */
/* A client that sends anything: what is accepted is written again as JSON that is accepted and says
 * the same in the envelope, as our own and as another's; its echo is members of an object; its
 * items can be kept and put in front. What is refused is refused with words. */
#include "dialect/responses/responses-private.h"
#include "dialect/responses/responses_state.h"
#include "fuzz_dialect.h"

static void check_written(struct slice body, const struct llm_request *rq, struct arena *a) {
    struct llm_request again;
    struct request_fault fault;
    must_be_object(body);
    must(responses_decode_request(body, a, &again, &fault) == 0);
    must(slice_eq(again.env.model, rq->env.model) && again.env.stream == rq->env.stream);
}

static void check_native(const struct llm_request *rq, struct arena *a) {
    struct buf out;
    buf_init(&out, MAX_BYTES);
    must(responses_encode_request(rq, NULL, &out, NULL) == 0);
    check_written(buf_slice(&out), rq, a);
    buf_dispose(&out);
}

static void check_foreign(struct llm_request *rq, const char *origin, struct arena *a) {
    struct capabilities caps = {.reasoning_effort = true};
    struct translation t = {.arena = a, .caps = &caps};
    struct request_fault fault;
    struct buf out;
    rq->origin = origin;
    buf_init(&out, MAX_BYTES);
    int rc = responses_encode_request(rq, &t, &out, &fault);
    must(rc == 0 || rc == -ERR_USAGE);
    if (rc) check_fault(&fault);
    else must_be_object(buf_slice(&out));
    buf_dispose(&out);
}

static void check_echo(const struct llm_request *rq) {
    struct buf out;
    buf_init(&out, MAX_BYTES);
    must(buf_append_byte(&out, '{') == 0 && responses_encode_echo(rq, &out) == 0);
    must(buf_append_byte(&out, '}') == 0);
    must(json_scan_object(buf_slice(&out), WIRE_MAX_DEPTH, NULL, NULL, NULL) == 0);
    buf_dispose(&out);
}

static void check_kept(struct slice body, const struct llm_request *rq, struct arena *a) {
    struct buf items, out;
    buf_init(&items, MAX_BYTES);
    buf_init(&out, MAX_BYTES);
    must(responses_input_items(body, SLICE("x"), a, &items) == 0);
    must(responses_prepend_items(body, buf_slice(&items), a, &out) == 0);
    if (json_depth_ok(body, WIRE_MAX_DEPTH - 2)) check_written(buf_slice(&out), rq, a);
    buf_dispose(&items);
    buf_dispose(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice body = slice_make((const char *)data, size);
    struct arena *a = arena_new();
    struct envelope env;
    struct llm_request rq;
    struct request_fault fault;
    if (responses_peek_request(body, a, &env, &fault)) check_fault(&fault);
    if (responses_decode_request(body, a, &rq, &fault) == 0) {
        check_native(&rq, a);
        check_echo(&rq);
        check_kept(body, &rq, a);
        check_foreign(&rq, "messages", a);
        check_foreign(&rq, "chat", a);
        check_echo(&rq);
    } else {
        check_fault(&fault);
    }
    arena_free(a);
    return 0;
}
