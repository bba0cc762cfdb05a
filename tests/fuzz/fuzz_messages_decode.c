/* SPDX-License-Identifier: Apache-2.0 */
/* An upstream that sends anything: the decoder keeps the grammar of events, and what a shaper and
 * the encoder make of it keeps the wire's. The same bytes are read as a whole answer, as an error,
 * and by the checker, too. */
#include "dialect/translation.h"
#include "fuzz_dialect.h"

#define MAX_BLOCKS 4096

struct run {
    struct decoder *decoder;
    struct encoder *encoder, *direct;
    struct shaper *shaper;
    struct arena *arena;
    struct answer *answer;
    struct checker *reader; /* of what comes in: it may complain, no more */
    struct buf wire, direct_wire;
    uint32_t n_blocks;
    enum { UNSEEN, OPEN, ENDED } blocks[MAX_BLOCKS];
    uint64_t offs[MAX_BLOCKS];
    bool is_started, is_over, has_finish, is_cut;
};

static void check_order(struct run *r, const struct event *ev) {
    must(!r->is_over);
    must(ev->choice == 0);
    must(r->is_started || ev->kind == EV_START || ev->kind == EV_ERROR || ev->kind == EV_PING);
    if (ev->kind == EV_START) {
        must(!r->is_started);
        r->is_started = true;
    }
    r->is_over = ev->kind == EV_END || ev->kind == EV_ERROR;
    must(ev->kind != EV_END || r->has_finish);
    if (ev->kind == EV_FINISH) {
        must(!r->has_finish);
        r->has_finish = true;
        for (uint32_t i = 0; i < r->n_blocks && i < MAX_BLOCKS; i++)
            must(r->blocks[i] == ENDED);
    }
}

static void check_block(struct run *r, const struct event *ev) {
    bool of_block = ev->kind == EV_DELTA || ev->kind == EV_SIGNATURE || ev->kind == EV_BLOCK_END ||
                    ev->kind == EV_OPAQUE || ev->kind == EV_ANNOTATION;
    if (ev->kind == EV_BLOCK_BEGIN) {
        must(ev->block == r->n_blocks++);
        must(!r->has_finish);
        if (ev->block < MAX_BLOCKS) r->blocks[ev->block] = OPEN;
        if (ev->block < MAX_BLOCKS) r->offs[ev->block] = 0;
    }
    if (!of_block || ev->block >= MAX_BLOCKS) return;
    must(r->blocks[ev->block] == OPEN);
    if (ev->kind == EV_BLOCK_END) r->blocks[ev->block] = ENDED;
    if (ev->kind != EV_DELTA) return;
    must(ev->text.len > 0 && ev->block_off == r->offs[ev->block]);
    must(slice_utf8_valid(ev->text) == ev->text.len);
    r->offs[ev->block] += ev->text.len;
}

static int on_shaped(void *self, const struct event *ev) {
    struct run *r = self;
    must(dialect_messages.encoder_event(r->encoder, ev, &r->wire) == 0);
    return 0;
}

static int on_event(void *self, const struct event *ev) {
    struct run *r = self;
    struct event_sink shaped = {on_shaped, r};
    check_order(r, ev);
    check_block(r, ev);
    if (!r->is_cut) {
        int rc = shaper_event(r->shaper, ev, &shaped, NULL);
        must(rc == 0 || rc == -ERR_LIMIT || rc == -ERR_PROTOCOL);
        r->is_cut = rc != 0;
    }
    int rc = dialect_messages.encoder_event(r->direct, ev, &r->direct_wire);
    must(rc == 0 || rc == -ERR_LIMIT || rc == -ERR_PROTOCOL);
    rc = answer_add(r->answer, ev);
    must(rc == 0 || rc == -ERR_LIMIT);
    return 0;
}

static int on_frame(void *self, const struct sse_frame *f) {
    struct run *r = self;
    struct event_sink sink = {on_event, r};
    int rc = dialect_messages.checker_frame(r->reader, f, NULL);
    must(rc == 0 || rc == -ERR_PROTOCOL);
    if (!(f->flags & SSE_EVENT)) return 0;
    rc = dialect_messages.decoder_feed(r->decoder, f, &sink, NULL);
    must(rc == 0 || rc == -ERR_PROTOCOL);
    return 0;
}

static int check_written(void *self, const struct sse_frame *f) {
    must(sse_frame_verdict(f) == SSE_PASS && f->flags & SSE_DATA && !(f->flags & SSE_MULTILINE));
    must_be_object(f->data);
    if (!self) return 0;
    struct err e;
    /* Arguments that the upstream itself left incomplete cannot be mended. */
    must(dialect_messages.checker_frame(self, f, &e) == 0 || strstr(e.text, "arguments are cut"));
    return 0;
}

static void begin(struct run *r) {
    static const struct encoder_options o = {.id = {"i", 1}, .model = {"m", 1}};
    static const struct capabilities caps = {.family = PROOF_ANTHROPIC};
    r->decoder = dialect_messages.decoder_new();
    r->encoder = dialect_messages.encoder_new(&o);
    r->direct = dialect_messages.encoder_new(&o);
    r->reader = dialect_messages.checker_new();
    r->arena = arena_new();
    r->shaper =
        shaper_new(translation_new(r->arena, &dialect_messages, &dialect_messages, &caps), 1 << 20);
    r->answer = answer_new(1 << 20);
    r->n_blocks = 0;
    r->is_started = r->is_over = r->has_finish = r->is_cut = false;
    buf_init(&r->wire, MAX_BYTES);
    buf_init(&r->direct_wire, MAX_BYTES);
}

static void end(struct run *r) {
    static const struct encoder_options o = {.id = {"i", 1}, .model = {"m", 1}};
    struct checker *c = dialect_messages.checker_new();
    struct buf body;
    buf_init(&body, MAX_BYTES);
    parse(buf_slice(&r->wire), check_written, c);
    if (r->is_over && !r->is_cut) must(dialect_messages.checker_end(c, NULL) == 0);
    parse(buf_slice(&r->direct_wire), check_written, NULL);
    if (dialect_messages.encode_response(r->answer, &o, &body) == 0)
        must_be_object(buf_slice(&body));
    int rc = dialect_messages.checker_end(r->reader, NULL);
    must(rc == 0 || rc == -ERR_PROTOCOL);
    buf_dispose(&body);
    buf_dispose(&r->wire);
    buf_dispose(&r->direct_wire);
    dialect_messages.checker_free(c);
    dialect_messages.checker_free(r->reader);
    dialect_messages.decoder_free(r->decoder);
    dialect_messages.encoder_free(r->encoder);
    dialect_messages.encoder_free(r->direct);
    shaper_free(r->shaper);
    arena_free(r->arena);
    answer_free(r->answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct run r;
    struct event_sink sink = {on_event, &r};
    struct slice in = slice_make((const char *)data, size);
    begin(&r);
    parse(in, on_frame, &r);
    int rc = dialect_messages.decoder_finish(r.decoder, &sink, NULL);
    must(rc == 0 || rc == -ERR_PROTOCOL);
    must(rc != 0 || r.is_over);
    end(&r);
    begin(&r);
    rc = dialect_messages.decode_response(in, &sink, NULL);
    must(rc == 0 || rc == -ERR_PROTOCOL);
    end(&r);
    check_error(&dialect_messages, in);
    return 0;
}
