/* SPDX-License-Identifier: Apache-2.0 */
/* An upstream that sends anything: the decoder keeps the grammar of events, cuts leave JSON, and
 * what is written again is well-formed and keeps the dialect's own grammar. The same bytes are read
 * as a whole answer and as an error, too. Completions is fuzzed by the same code. */
#include "fuzz_dialect.h"

#ifndef DIALECT
#define DIALECT dialect_chat
#endif

#define MAX_BLOCKS 4096
#define MAX_CHOICES 4096

struct run {
    struct decoder *decoder;
    struct encoder *encoder;
    struct answer *answer;
    struct buf wire;
    uint32_t n_blocks;
    enum { UNSEEN, OPEN, ENDED } blocks[MAX_BLOCKS];
    uint64_t offs[MAX_BLOCKS];
    bool is_started, is_over, has_finish[MAX_CHOICES];
    struct checker *checker;
};

static void check_order(struct run *r, const struct event *ev) {
    must(!r->is_over);
    must(ev->choice < MAX_CHOICES);
    must(r->is_started || ev->kind == EV_START || ev->kind == EV_ERROR || ev->kind == EV_END);
    if (ev->kind == EV_START) {
        must(!r->is_started);
        r->is_started = true;
    }
    r->is_over = ev->kind == EV_END || ev->kind == EV_ERROR;
    if (ev->kind == EV_FINISH) {
        must(!r->has_finish[ev->choice]);
        r->has_finish[ev->choice] = true;
    }
}

static void check_block(struct run *r, const struct event *ev) {
    bool of_block = ev->kind == EV_DELTA || ev->kind == EV_SIGNATURE || ev->kind == EV_BLOCK_END ||
                    ev->kind == EV_OPAQUE;
    if (ev->kind == EV_BLOCK_BEGIN) {
        must(ev->block == r->n_blocks++);
        must(!r->has_finish[ev->choice]);
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

static int on_event(void *self, const struct event *ev) {
    struct run *r = self;
    check_order(r, ev);
    check_block(r, ev);
    int rc = DIALECT.encoder_event(r->encoder, ev, &r->wire);
    must(rc == 0 || rc == -ERR_LIMIT);
    rc = answer_add(r->answer, ev);
    must(rc == 0 || rc == -ERR_LIMIT);
    return 0;
}

static void check_cuts(struct run *r, const struct sse_frame *f) {
    struct span cuts[4];
    unsigned n = 0;
    struct buf data;
    size_t at = 0;
    if (DIALECT.strip_usage(r->decoder, f, cuts, 4, &n) != FRAME_CUT) return;
    buf_init(&data, MAX_BYTES);
    for (unsigned i = 0; i < n; i++) {
        must(cuts[i].off >= at && cuts[i].off + cuts[i].len <= f->data.len);
        must(buf_append(&data, slice_sub(f->data, at, cuts[i].off - at)) == 0);
        at = cuts[i].off + cuts[i].len;
    }
    must(buf_append(&data, slice_from(f->data, at)) == 0);
    must_be_object(buf_slice(&data));
    buf_dispose(&data);
}

static int on_frame(void *self, const struct sse_frame *f) {
    struct run *r = self;
    struct event_sink sink = {on_event, r};
    if (!(f->flags & SSE_EVENT)) return 0;
    int rc = DIALECT.decoder_feed(r->decoder, f, &sink, NULL);
    must(rc == 0 || rc == -ERR_PROTOCOL);
    check_cuts(r, f);
    return 0;
}

/* What an upstream left out and the decoder does not make up: a call's name, any choice at all. */
static bool is_upstreams(const char *problem) {
    return strstr(problem, "without a name") || strstr(problem, "before a choice's finish");
}

static int check_written(void *self, const struct sse_frame *f) {
    struct run *r = self;
    struct err e;
    must(DIALECT.checker_frame(r->checker, f, &e) == 0 || is_upstreams(e.text));
    must(sse_frame_verdict(f) == SSE_PASS && f->flags & SSE_DATA && !(f->flags & SSE_MULTILINE));
    if (slice_eq(f->data, SLICE("[DONE]"))) return 0;
    must_be_object(f->data);
    return 0;
}

/* A checker of what the upstream sent: any answer, no crash. */
static int check_sent(void *self, const struct sse_frame *f) {
    struct err e;
    int rc = DIALECT.checker_frame(self, f, &e);
    must(rc == 0 || (rc == -ERR_PROTOCOL && e.text[0]));
    return 0;
}

static void begin(struct run *r) {
    static const struct encoder_options o = {
        .id = {"i", 1}, .model = {"m", 1}, .include_usage = true};
    r->decoder = DIALECT.decoder_new();
    r->encoder = DIALECT.encoder_new(&o);
    r->answer = answer_new(1 << 20);
    r->n_blocks = 0;
    r->is_started = r->is_over = false;
    memset(r->has_finish, 0, sizeof r->has_finish);
    buf_init(&r->wire, MAX_BYTES);
}

static void end(struct run *r) {
    struct encoder_options o = {.id = SLICE("i"), .model = SLICE("m")};
    struct buf body;
    buf_init(&body, MAX_BYTES);
    r->checker = DIALECT.checker_new();
    parse(buf_slice(&r->wire), check_written, r);
    DIALECT.checker_free(r->checker);
    if (DIALECT.encode_response(r->answer, &o, &body) == 0) {
        must_be_object(buf_slice(&body));
    }
    buf_dispose(&body);
    buf_dispose(&r->wire);
    DIALECT.decoder_free(r->decoder);
    DIALECT.encoder_free(r->encoder);
    answer_free(r->answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct run r;
    struct event_sink sink = {on_event, &r};
    struct slice in = slice_make((const char *)data, size);
    begin(&r);
    parse(in, on_frame, &r);
    int rc = DIALECT.decoder_finish(r.decoder, &sink, NULL);
    must(rc == 0 || rc == -ERR_PROTOCOL);
    must(rc != 0 || r.is_over);
    end(&r);
    begin(&r);
    rc = DIALECT.decode_response(in, &sink, NULL);
    must(rc == 0 || rc == -ERR_PROTOCOL);
    end(&r);
    check_error(&DIALECT, in);
    struct checker *sent = DIALECT.checker_new();
    parse(in, check_sent, sent);
    rc = DIALECT.checker_end(sent, NULL);
    must(rc == 0 || rc == -ERR_PROTOCOL);
    DIALECT.checker_free(sent);
    return 0;
}
