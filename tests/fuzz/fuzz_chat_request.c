/* SPDX-License-Identifier: Apache-2.0 */
/* A client that sends anything: what is accepted is spliced and written again as JSON that says the
 * same in the envelope; what is refused is refused with words. */
#include <stdlib.h>

#include "base/json_scan.h"
#include "dialect/dialect.h"
#include "dialect/splice.h"

#define MAX_BYTES ((size_t)256 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds) {
    if (!holds) abort();
}

static void check_fault(const struct request_fault *fault) {
    must(fault->message[0] != '\0');
    must(slice_utf8_valid(slice_cstr(fault->message)) == strlen(fault->message));
}

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
    must(dialect_chat.peek_request(buf_slice(&out), a, &again, &fault) == 0);
    must(slice_eq(again.model, SLICE("new \"model\"")));
    must(again.stream == env->stream && again.n == env->n && again.max_tokens == env->max_tokens);
    must(!again.stream || again.include_usage);
    must(request_splice(body, env, SLICE_NULL, false, a, pieces, &n) == 0 && n == 1 &&
         slice_eq(pieces[0], body));
    buf_dispose(&out);
}

static void check_written(const struct llm_request *rq, struct arena *a) {
    struct envelope again;
    struct request_fault fault;
    struct buf out;
    buf_init(&out, MAX_BYTES);
    must(dialect_chat.encode_request(rq, NULL, &out, NULL) == 0);
    must(json_scan_object(buf_slice(&out), JSON_DEPTH_MAX, NULL, NULL, NULL) == 0);
    must(dialect_chat.peek_request(buf_slice(&out), a, &again, &fault) == 0);
    must(slice_eq(again.model, rq->env.model) && again.stream == rq->env.stream &&
         again.n == rq->env.n);
    buf_dispose(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice body = slice_make((const char *)data, size);
    struct arena *a = arena_new();
    struct envelope env;
    struct llm_request rq;
    struct request_fault fault;
    if (dialect_chat.peek_request(body, a, &env, &fault) == 0) {
        check_splice(body, &env, a);
    } else {
        check_fault(&fault);
    }
    if (dialect_chat.decode_request(body, a, &rq, &fault) == 0) {
        check_written(&rq, a);
        rq.origin = "another";
        check_written(&rq, a);
    } else {
        check_fault(&fault);
    }
    arena_free(a);
    return 0;
}
