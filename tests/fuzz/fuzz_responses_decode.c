/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes as an upstream's stream, as a whole answer, and as an error body. Whatever they are:
 * the events keep their order, what is written from them keeps the dialect's own grammar (as long
 * as blocks come one after the other: a shaper sees to that), says what the events said, and ends
 * as a body would. */
#include "dialect/responses/responses_state.h"
#include "fuzz_dialect.h"

#define MAX_BLOCKS 2048

enum block_state { UNKNOWN, OPEN, ENDED };

struct run {
    struct decoder *decoder;
    struct encoder *encoder;
    struct checker *checker;
    struct answer *answer;
    struct buf wire;
    uint32_t n_blocks, n_open;
    bool is_started, is_over, has_finish, is_unshaped, has_tokens;
    uint8_t blocks[MAX_BLOCKS];
    uint64_t offs[MAX_BLOCKS];
};

static void check_order(struct run *r, const struct event *ev) {
    must(!r->is_over && ev->choice == 0);
    must(r->is_started || ev->kind == EV_START || ev->kind == EV_ERROR || ev->kind == EV_PING);
    if (ev->kind == EV_START) {
        must(!r->is_started);
        r->is_started = true;
    }
    r->is_over = ev->kind == EV_END || ev->kind == EV_ERROR;
    if (ev->kind == EV_FINISH) {
        must(!r->has_finish && r->n_open == 0);
        r->has_finish = true;
    }
    must(ev->kind != EV_END || r->has_finish);
}

static void check_delta(struct run *r, const struct event *ev) {
    must(ev->text.len > 0 && slice_utf8_valid(ev->text) == ev->text.len);
    if (ev->flags & EVF_RECAP) return;
    must(ev->block_off == r->offs[ev->block]);
    r->offs[ev->block] += ev->text.len;
}

static void check_block(struct run *r, const struct event *ev) {
    bool of_block = ev->kind == EV_DELTA || ev->kind == EV_SIGNATURE || ev->kind == EV_BLOCK_END ||
                    ev->kind == EV_PART || ev->kind == EV_ANNOTATION || ev->kind == EV_LOGPROBS ||
                    (ev->kind == EV_OPAQUE && ev->block != BLOCK_NONE);
    if (ev->kind == EV_BLOCK_BEGIN) {
        must(ev->block == r->n_blocks++ && !r->has_finish && ev->block < MAX_BLOCKS);
        r->blocks[ev->block] = OPEN;
        r->offs[ev->block] = 0;
        r->n_open++;
    }
    if (!of_block) return;
    must(ev->block < r->n_blocks && r->blocks[ev->block] == OPEN);
    if (ev->kind == EV_DELTA) check_delta(r, ev);
    if (ev->kind != EV_BLOCK_END) return;
    r->blocks[ev->block] = ENDED;
    r->n_open--;
}

/* What a shaper would refuse. */
static bool is_nameless(const struct event *ev) {
    bool is_call = ev->block_kind == BLOCK_TOOL_CALL || ev->block_kind == BLOCK_CUSTOM_TOOL_CALL;
    return ev->kind == EV_BLOCK_BEGIN && is_call && ev->u.begin.name.len == 0;
}

static void encode(struct run *r, const struct event *ev) {
    if (is_nameless(ev)) r->is_unshaped = true;
    if (r->is_unshaped) return;
    size_t before = r->wire.len;
    int rc = dialect_responses.encoder_event(r->encoder, ev, &r->wire);
    must(rc == 0 || rc == -ERR_LIMIT || rc == -ERR_PROTOCOL);
    if (rc == 0) return;
    r->is_unshaped = true;
    must(rc == -ERR_LIMIT || r->wire.len == before);
}

static int on_event(void *self, const struct event *ev) {
    struct run *r = self;
    check_order(r, ev);
    check_block(r, ev);
    r->has_tokens |= ev->kind == EV_LOGPROBS;
    encode(r, ev);
    int rc = answer_add(r->answer, ev);
    must(rc == 0 || rc == -ERR_LIMIT);
    return 0;
}

static int on_frame(void *self, const struct sse_frame *f) {
    struct run *r = self;
    struct event_sink sink = {on_event, r};
    if (!(f->flags & SSE_EVENT)) return 0;
    int rc = dialect_responses.decoder_feed(r->decoder, f, &sink, NULL);
    must(rc == 0 || rc == -ERR_PROTOCOL);
    return 0;
}

static int check_written(void *self, const struct sse_frame *f) {
    struct run *r = self;
    struct err e;
    must(sse_frame_verdict(f) == SSE_PASS && !(f->flags & SSE_MULTILINE));
    must(dialect_responses.checker_frame(r->checker, f, &e) == 0);
    return 0;
}

static int check_nothing(void *self, const struct sse_frame *f) {
    struct checker *c = self;
    int rc = dialect_responses.checker_frame(c, f, NULL);
    must(rc == 0 || rc == -ERR_PROTOCOL);
    return 0;
}

static const struct encoder_options options = {
    .id = {"resp_i", 6}, .model = {"m", 1}, .max_bytes = 1 << 20};

static void begin(struct run *r) {
    *r = (struct run){.decoder = dialect_responses.decoder_new(),
                      .encoder = dialect_responses.encoder_new(&options),
                      .checker = dialect_responses.checker_new(),
                      .answer = answer_new(1 << 20)};
    buf_init(&r->wire, MAX_BYTES);
}

/* The whole answer's body is the object that the stream ended with (but that tokens, which belong
 * to a choice there, may be of another part). */
static void check_body(struct run *r) {
    struct buf body, last;
    buf_init(&body, MAX_BYTES);
    buf_init(&last, MAX_BYTES);
    int rc = dialect_responses.encode_response(r->answer, &options, &body);
    must(rc == 0 || rc == -ERR_PROTOCOL || rc == -ERR_LIMIT);
    if (rc == 0) must_be_object(buf_slice(&body));
    if (rc == 0 && !r->is_unshaped) {
        must(responses_encoder_write_response(r->encoder, &last) == 0);
        must(r->has_tokens || slice_eq(buf_slice(&last), buf_slice(&body)));
    }
    buf_dispose(&body);
    buf_dispose(&last);
}

static void end(struct run *r) {
    parse(buf_slice(&r->wire), check_written, r);
    if (r->is_over && !r->is_unshaped) must(dialect_responses.checker_end(r->checker, NULL) == 0);
    check_body(r);
    buf_dispose(&r->wire);
    dialect_responses.decoder_free(r->decoder);
    dialect_responses.encoder_free(r->encoder);
    dialect_responses.checker_free(r->checker);
    answer_free(r->answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct run r;
    struct event_sink sink = {on_event, &r};
    struct slice in = slice_make((const char *)data, size);
    begin(&r);
    parse(in, on_frame, &r);
    int rc = dialect_responses.decoder_finish(r.decoder, &sink, NULL);
    must(rc == 0 || rc == -ERR_PROTOCOL);
    must((rc == 0) == r.is_over);
    end(&r);
    begin(&r);
    rc = dialect_responses.decode_response(in, &sink, NULL);
    must(rc == 0 || rc == -ERR_PROTOCOL);
    end(&r);
    struct checker *c = dialect_responses.checker_new();
    parse(in, check_nothing, c);
    dialect_responses.checker_free(c);
    check_error(&dialect_responses, in);
    return 0;
}
