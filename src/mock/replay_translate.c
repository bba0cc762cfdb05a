/* SPDX-License-Identifier: Apache-2.0 */
/* A capture in other words: recorded bytes → decoder → (shaper, between dialects) → encoder, or the
 * reducer for whole answers. The result is a capture again, so that one player plays both. */
#include "dialect/estimate.h"
#include "dialect/translation.h"
#include "mock/replay.h"
#include "mock/tokenizer_choice.h"

enum {
    BODY_MAX_BYTES = 16 << 20,       /* it is done in one turn of the loop */
    OUT_MAX_BYTES = 64 << 20,
    ID_BYTES = 24,
    MAX_KEPT_HEADERS = 8
};

struct retelling {
    const struct capture *from;
    struct capture *to;
    struct mock_call *call;
    const struct dialect *theirs, *ours;
    struct translation *t;           /* NULL: of one dialect */
    struct capabilities caps;
    struct shaper *shaper;
    struct decoder *decoder;
    struct encoder *encoder;         /* of a stream */
    struct answer *answer;           /* of a whole */
    struct buf out, echo;
    struct encoder_options options;
    /* of a whole answer that becomes a stream */
    const struct tokenizer *tokenizer;
    uint64_t n_pieces, pieces;
    bool spreads;
    bool has_error;
    struct api_error error;          /* in the capture's arena */
    struct err *e;
};

/* ---- pieces of the result ---- */

static void put_out(struct retelling *x, int64_t t_ns, uint32_t read) {
    capture_add_chunk(x->to, t_ns, read, buf_slice(&x->out));
    buf_reset(&x->out);
}

static void put_header(struct retelling *x, struct slice name, struct slice value) {
    struct capture *c = x->to;
    c->headers[c->n_headers++] = (struct http_header){name, arena_dup(c->arena, value)};
}

/* Who asked may count on them, whatever the dialect. */
static void put_headers(struct retelling *x, struct slice content_type) {
    const struct http_headers all = {x->from->headers, x->from->n_headers};
    static const char *const kept[] = {"retry-after", "retry-after-ms", "x-should-retry"};
    struct slice id = http_headers_get(&all, SLICE("x-request-id"));
    x->to->headers = arena_alloc(x->to->arena, MAX_KEPT_HEADERS * sizeof x->to->headers[0]);
    put_header(x, SLICE("content-type"), content_type);
    id = id.ptr ? id : http_headers_get(&all, SLICE("request-id"));
    if (id.ptr) {
        put_header(x, x->call->api->is_anthropic ? SLICE("request-id") : SLICE("x-request-id"), id);
    }
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        struct slice value = http_headers_get(&all, slice_cstr(kept[i]));
        if (value.ptr) {
            put_header(x, slice_cstr(kept[i]), value);
        }
    }
}

/* ---- events ---- */

static void keep_error(struct retelling *x, const struct api_error *er) {
    struct arena *a = x->to->arena;
    if (!x->has_error) {
        x->has_error = true;
        x->ours->translate_error(er, &x->error);
        struct slice *const texts[] = {&x->error.message, &x->error.type, &x->error.code,
                                       &x->error.param, &x->error.raw, &x->error.request_id};
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
            *texts[i] = texts[i]->ptr ? arena_dup(a, *texts[i]) : SLICE_NULL;
        }
    }
}

static int encode(struct retelling *x, const struct event *ev) {
    struct event theirs = *ev;
    if (ev->kind == EV_ERROR) {
        keep_error(x, &ev->u.error);
        theirs.u.error = x->error;
    }
    if (x->answer) {
        return ev->kind == EV_ERROR ? 0 : answer_add(x->answer, ev);
    }
    return x->encoder ? x->ours->encoder_event(x->encoder, &theirs, &x->out) : 0;
}

static bool is_said(const struct event *ev) {
    return ev->kind == EV_DELTA && ev->text.len > 0 && !(ev->flags & EVF_RECAP) &&
           ev->block_kind != BLOCK_AUDIO;
}

/* The next token of a whole answer's text, empty at its end. */
static struct slice next_piece(struct token_cut *cut, struct slice rest) {
    uint32_t tokens;
    return slice_sub(rest, 0, rest.len ? token_cut_next(cut, rest, true, 1, &tokens) : 0);
}

static int encode_spread(struct retelling *x, const struct event *ev) {
    int64_t all_ns = x->from->end_ns;
    struct slice rest = ev->text;
    struct event one = *ev;
    struct token_cut cut;
    one.val = (struct span){0, 0};
    token_cut_start(&cut, x->tokenizer);
    while ((one.text = next_piece(&cut, rest)).len > 0) {
        int rc = encode(x, &one);
        if (rc < 0) {
            return rc;
        }
        one.block_off += one.text.len;
        rest = slice_from(rest, one.text.len);
        x->pieces++;
        put_out(x, (int64_t)((double)all_ns * (double)x->pieces / (double)(x->n_pieces + 1)),
                (uint32_t)x->pieces);
    }
    return 0;
}

static int on_shaped(void *self, const struct event *ev) {
    struct retelling *x = self;
    return x->spreads && is_said(ev) ? encode_spread(x, ev) : encode(x, ev);
}

static int on_decoded(void *self, const struct event *ev) {
    struct retelling *x = self;
    struct event_sink sink = {on_shaped, x};
    return x->shaper ? shaper_event(x->shaper, ev, &sink, x->e) : on_shaped(x, ev);
}

static int count_pieces(void *self, const struct event *ev) {
    struct retelling *x = self;
    struct token_cut cut;
    struct slice rest = is_said(ev) ? ev->text : SLICE_NULL;
    token_cut_start(&cut, x->tokenizer);
    for (struct slice one; (one = next_piece(&cut, rest)).len > 0; x->n_pieces++) {
        rest = slice_from(rest, one.len);
    }
    return 0;
}

/* ---- a recorded stream ---- */

static int on_frame(void *self, const struct sse_frame *f) {
    struct retelling *x = self;
    struct event_sink sink = {on_decoded, x};
    struct err ignored;
    if (!(f->flags & SSE_DATA) || x->has_error) {
        return 0;
    }
    int rc = x->theirs->decoder_feed(x->decoder, f, &sink, &ignored);
    return rc == -ERR_LIMIT ? rc : 0;    /* a frame that is none of the dialect's is passed over */
}

static int feed_stream(struct retelling *x) {
    const struct capture *c = x->from;
    const struct sse_sink frames = {on_frame, x};
    const struct event_sink events = {on_decoded, x};
    struct sse_parser parser;
    struct err ignored;
    int rc = 0;
    sse_parser_init(&parser, NULL);
    for (unsigned i = 0; i < c->n_chunks && rc == 0; i++) {
        const struct capture_chunk *k = &c->chunks[i];
        bool is_last = i + 1 == c->n_chunks || c->chunks[i + 1].read != k->read;
        rc = sse_parser_feed(&parser, slice_sub(capture_body(c), k->off, k->len), &frames, x->e);
        if (is_last && !x->answer) {
            put_out(x, k->t_ns, k->read);
        }
    }
    if (rc == 0 && c->end == CAPTURE_COMPLETE) {
        rc = sse_parser_finish(&parser, &frames, x->e);
        if (rc == 0 && !x->has_error) {
            rc = x->theirs->decoder_finish(x->decoder, &events, &ignored);
            rc = rc == -ERR_PROTOCOL ? 0 : rc;           /* it ends as it did */
        }
    }
    sse_parser_dispose(&parser);
    return rc;
}

/* ---- the forms of the result ---- */

static int end_whole(struct retelling *x) {
    struct capture *to = x->to;
    int rc = 0;
    to->head_ns = to->end_ns;
    if (x->has_error) {
        to->status = x->error.status >= 400 ? x->error.status : 500;
        rc = x->ours->encode_error(&x->error, &x->out);
    } else if (to->end == CAPTURE_COMPLETE) {
        rc = x->ours->encode_response(x->answer, &x->options, &x->out);
    }
    if (rc == 0) {
        put_out(x, to->end_ns, 1);
    }
    return rc;
}

static int retell_to_stream(struct retelling *x) {
    int rc = 0;
    put_headers(x, SLICE("text/event-stream; charset=utf-8"));
    x->encoder = x->ours->encoder_new(&x->options);
    if (capture_is_stream(x->from)) {
        rc = feed_stream(x);
    } else {
        struct event_sink count = {count_pieces, x}, sink = {on_decoded, x};
        rc = x->theirs->decode_response(capture_body(x->from), &count, x->e);
        x->spreads = true;
        rc = rc < 0 ? rc : x->theirs->decode_response(capture_body(x->from), &sink, x->e);
        x->to->head_ns = x->to->n_chunks > 0 ? x->to->chunks[0].t_ns : x->to->end_ns;
    }
    put_out(x, x->to->end_ns, UINT32_MAX);
    return rc;
}

static int retell_to_whole(struct retelling *x) {
    struct event_sink sink = {on_decoded, x};
    put_headers(x, SLICE("application/json"));
    x->answer = answer_new(OUT_MAX_BYTES);
    int rc = capture_is_stream(x->from)
                 ? feed_stream(x)
                 : x->theirs->decode_response(capture_body(x->from), &sink, x->e);
    return rc < 0 ? rc : end_whole(x);
}

static int retell_error(struct retelling *x) {
    struct api_error er;
    put_headers(x, SLICE("application/json"));
    x->theirs->decode_error(x->from->status, capture_body(x->from), x->to->arena, &er);
    keep_error(x, &er);
    int rc = x->ours->encode_error(&x->error, &x->out);
    x->to->status = x->error.status ? x->error.status : x->from->status;
    put_out(x, x->to->end_ns, 1);
    return rc;
}

/* ---- preparing ---- */

/* Who it is comes from the capture and the dialect: the same every time. */
static struct slice make_id(struct retelling *x) {
    struct arena *a = x->to->arena;
    struct slice prefix = slice_cstr(x->call->api->answer_prefix);
    struct rng rng;
    char *id = arena_alloc(a, prefix.len + ID_BYTES);
    rng_seed(&rng, slice_hash(SLICE_HASH_START, slice_cstr(x->from->file)) ^
                       slice_hash(SLICE_HASH_START, slice_cstr(x->from->key)));
    memcpy(id, prefix.ptr, prefix.len);
    rng_base62(&rng, id + prefix.len, ID_BYTES);
    return slice_make(id, prefix.len + ID_BYTES);
}

static void set_options(struct retelling *x) {
    struct llm_request *rq = &x->call->rq;
    struct llm_request unkept = *rq;
    unkept.store = 0;
    if (x->ours->encode_echo && x->ours->encode_echo(&unkept, &x->echo) < 0) {
        buf_reset(&x->echo);
    }
    x->options = (struct encoder_options){
        .id = make_id(x),
        .model = arena_dup(x->to->arena, rq->env.model),
        .created = x->from->created_s,
        .include_usage = rq->env.include_usage,
        .echo = buf_slice(&x->echo),
        .input_estimate = x->ours == &dialect_messages ? request_estimate_tokens(rq) : 0,
        .max_bytes = OUT_MAX_BYTES};
}

/* What adapting the request teaches the shaper: names, ids, stops. */
static int open_translation(struct retelling *x) {
    struct arena *a = x->call->ex->arena;
    struct request_fault fault = {.code = NULL};
    const struct preset *p = preset_find(x->theirs->name);
    if (x->theirs == x->ours) {
        return 0;
    }
    if (p) {
        x->caps = p->caps;
    }
    x->t = translation_new(a, x->ours, x->theirs, &x->caps);
    if (request_adapt(&x->call->rq, x->t, &fault) < 0) {
        return err_set(x->e, ERR_USAGE, "%s", fault.message);
    }
    x->shaper = shaper_new(x->t, OUT_MAX_BYTES);
    return 0;
}

static void retelling_dispose(struct retelling *x) {
    shaper_free(x->shaper);
    if (x->decoder) {
        x->theirs->decoder_free(x->decoder);
    }
    if (x->encoder) {
        x->ours->encoder_free(x->encoder);
    }
    answer_free(x->answer);
    buf_dispose(&x->out);
    buf_dispose(&x->echo);
}

static struct capture *result_new(const struct capture *from) {
    struct capture *to = capture_new();
    to->status = from->status;
    to->head_ns = from->head_ns;
    to->end = from->end;
    to->end_ns = from->end_ns;
    return to;
}

static int retell(struct retelling *x) {
    if (x->from->body_len > BODY_MAX_BYTES) {
        return err_set(x->e, ERR_LIMIT, "it is larger than %d MiB", BODY_MAX_BYTES >> 20);
    }
    if (x->from->status >= 400) {
        return retell_error(x);
    }
    set_options(x);
    int rc = open_translation(x);
    if (rc < 0) {
        return rc;
    }
    return x->call->rq.env.stream ? retell_to_stream(x) : retell_to_whole(x);
}

struct capture *replay_translate(const struct capture *from, struct mock_call *call,
                                 struct err *e) {
    struct retelling x = {.from = from, .to = result_new(from), .call = call,
                          .theirs = from->dialect, .ours = call->api->dialect, .e = e};
    *e = (struct err){.kind = ERR_NONE};
    buf_init(&x.out, OUT_MAX_BYTES);
    buf_init(&x.echo, BODY_MAX_BYTES);
    x.decoder = x.theirs->decoder_new();
    x.tokenizer = mock_tokenizer(call->o, call->rq.env.model);
    int rc = retell(&x);
    if (rc < 0 && e->text[0] == '\0') {
        err_set(e, ERR_PROTOCOL, "its events make no answer of that dialect");
    }
    retelling_dispose(&x);
    if (rc < 0) {
        capture_unref(&x.to);
    }
    return x.to;
}
