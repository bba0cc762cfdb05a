/* SPDX-License-Identifier: Apache-2.0 */
#include "client/turn.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#include "base/clock.h"
#include "client/render.h"
#include "client/stamp.h"
#include "dialect/dialect.h"

enum { BODY_MAX_BYTES = 64 << 20, FIRST_BYTE_TIMEOUT_S = 600, IDLE_TIMEOUT_S = 600 };

struct turn {
    const struct turn_request *rq;
    struct loop *loop;
    struct http_pool *pool;
    struct http_call *call;
    struct sse_parser sse;
    struct decoder *decoder;
    struct render render;
    struct buf body;               /* whole answers, and error bodies */
    struct buf *text;
    unsigned status;
    bool is_stream;                /* the answer is one */
    bool has_error;
    int exit_code;
    int64_t start_ns, first_ns, last_ns;
    uint64_t frames;
    bool frame_has_content;
    struct stamp stamp;            /* of the comment just read */
    struct hist provider_ns, way_ns;   /* by the stamps: written minus due, here minus written */
    struct usage usage;
};

/* ---- errors and hints ---- */

static void complain(const struct turn *t, const char *what, struct slice text) {
    fflush(stdout);
    fprintf(stderr, "%spenstock chat: %s%s%s%.*s\n", t->rq->color ? "\033[31m" : "", what,
            t->rq->color ? "\033[0m" : "", text.len ? ": " : "", SLICE_FMT(text));
}

static void hint(const char *text) {
    fprintf(stderr, "  hint: %s\n", text);
}

/* Nothing is there; not: what is there has not got what was asked for. */
static bool is_of_the_address(const struct api_error *er) {
    return er->code.len == 0 || slice_eq(er->code, SLICE("unknown_url"));
}

static void complain_api_error(struct turn *t, const struct api_error *er) {
    char what[64] = "the answer is an error";
    if (er->status) {
        snprintf(what, sizeof what, "%u %s", er->status, http_status_text(er->status));
    }
    complain(t, what, er->message);
    if (er->status == 401 || er->status == 403) {
        snprintf(what, sizeof what, t->rq->has_key ? "the key in %s was refused" : "set %s",
                 t->rq->key_name);
        hint(what);
    } else if (slice_eq(er->code, SLICE("model_not_found"))) {
        hint("GET /v1/models lists what there is; choose with --model");
    } else if ((er->status == 404 && is_of_the_address(er)) || er->status == 405) {
        hint("does the base URL end in /v1?");
    }
    t->has_error = true;
    t->exit_code = CLIENT_FAILED;
}

static void complain_transport(struct turn *t, const struct err *e) {
    char what[200];
    snprintf(what, sizeof what, "no answer from %s", t->rq->base_url);
    complain(t, t->status ? "the answer broke off" : what, slice_cstr(e->text));
    if (e->kind == ERR_CONNECT) {
        hint("is penstock serve running there? Start it with: penstock serve");
    } else if (e->kind == ERR_DNS) {
        hint("check the host name in the base URL");
    } else if (e->kind == ERR_TLS) {
        hint("a private certificate authority is given with --ca-file");
    }
    bool never_there = e->kind == ERR_CONNECT || e->kind == ERR_DNS || e->kind == ERR_TLS;
    t->has_error = true;
    t->exit_code = never_there ? CLIENT_UNREACHABLE : CLIENT_FAILED;
}

static void complain_broken(struct turn *t) {
    if (t->has_error) {
        return;
    }
    render_end(&t->render);
    complain(t, "the answer contradicts itself",
             SLICE("pieces of it were lost, doubled or damaged"));
    t->has_error = true;
    t->exit_code = CLIENT_FAILED;
}

/* ---- events ---- */

static int on_event(void *self, const struct event *ev) {
    struct turn *t = self;
    if (ev->kind == EV_ERROR) {
        render_end(&t->render);
        complain_api_error(t, &ev->u.error);
        return 0;
    }
    if (ev->flags & EVF_BROKEN) {
        complain_broken(t);
    }
    if (ev->kind == EV_USAGE) {
        t->usage = ev->u.usage;
        t->usage.wire = SLICE_NULL;
    }
    t->frame_has_content |= (ev->flags & EVF_CONTENT) && !(ev->flags & EVF_RECAP);
    if (!t->rq->json) {
        render_event(&t->render, ev);
    }
    if (ev->kind == EV_DELTA && ev->block_kind == BLOCK_TEXT && ev->choice == 0 &&
        buf_append(t->text, ev->text) < 0) {
        return -ERR_LIMIT;
    }
    return 0;
}

static void count_stamp(struct turn *t) {
    if (t->stamp.sent_ns > 0) {
        hist_record(&t->way_ns, t->last_ns - t->stamp.sent_ns);
    }
    if (t->stamp.due_ns > 0) {
        hist_record(&t->provider_ns, t->stamp.sent_ns - t->stamp.due_ns);
    }
}

static void count_frame(struct turn *t) {
    if (t->frame_has_content) {
        t->last_ns = loop_now_ns(t->loop);
        t->first_ns = t->frames++ ? t->first_ns : t->last_ns;
        count_stamp(t);
    }
    t->stamp = (struct stamp){0, 0};
}

static int on_frame(void *self, const struct sse_frame *f) {
    struct turn *t = self;
    struct err e;
    if (f->flags & SSE_COMMENT) {
        (void)stamp_parse(f->raw, &t->stamp);
        return 0;
    }
    if (!(f->flags & SSE_EVENT) || !(f->flags & SSE_DATA)) {
        return 0;
    }
    if (t->rq->json) {
        printf("%.*s\n", SLICE_FMT(f->data));
        fflush(stdout);
    }
    const struct event_sink sink = {on_event, t};
    t->frame_has_content = false;
    if (t->rq->dialect->decoder_feed(t->decoder, f, &sink, &e) < 0) {
        render_end(&t->render);
        complain(t, "an event of the stream makes no sense", slice_cstr(e.text));
        t->has_error = true;
        t->exit_code = CLIENT_FAILED;
    }
    count_frame(t);
    return 0;
}

/* ---- the call ---- */

static void turn_over(struct turn *t) {
    t->call = NULL;
    loop_stop(t->loop);
}

static void on_head(void *self, const struct http_answer *a) {
    struct turn *t = self;
    struct slice type = http_headers_get(&a->headers, SLICE("content-type"));
    t->status = a->status;
    t->is_stream = a->status == 200 && slice_starts_with(type, SLICE("text/event-stream"));
}

static void on_body(void *self, struct slice bytes) {
    struct turn *t = self;
    struct err e = {.kind = ERR_LIMIT, .text = "the answer is larger than 64 MiB"};
    const struct sse_sink sink = {on_frame, t};
    int rc =
        t->is_stream ? sse_parser_feed(&t->sse, bytes, &sink, &e) : buf_append(&t->body, bytes);
    if (rc < 0) {
        http_call_cancel(&t->call);
        complain_transport(t, &e);
        turn_over(t);
    }
}

static void end_stream(struct turn *t) {
    struct err e;
    const struct sse_sink frames = {on_frame, t};
    const struct event_sink events = {on_event, t};
    bool whole = sse_parser_finish(&t->sse, &frames, &e) == 0;
    whole = whole && t->rq->dialect->decoder_finish(t->decoder, &events, &e) == 0;
    render_end(&t->render);
    if (!whole && !t->has_error) {
        complain(t, "the stream ended before the answer was finished", slice_cstr(e.text));
        t->exit_code = CLIENT_FAILED;
    }
}

static void end_whole(struct turn *t) {
    struct err e;
    const struct event_sink events = {on_event, t};
    struct slice body = buf_slice(&t->body);
    if (t->rq->json) {
        printf("%.*s\n", SLICE_FMT(body));
    }
    if (t->status != 200) {
        struct arena *a = arena_new();
        struct api_error er;
        t->rq->dialect->decode_error(t->status, body, a, &er);
        complain_api_error(t, &er);
        arena_free(a);
        return;
    }
    t->frame_has_content = false;
    if (t->rq->dialect->decode_response(body, &events, &e) < 0 && !t->has_error) {
        complain(t, "the answer is none of its dialect", slice_cstr(e.text));
        t->exit_code = CLIENT_FAILED;
    }
    count_frame(t);
    render_end(&t->render);
}

static void on_end(void *self) {
    struct turn *t = self;
    if (t->is_stream) {
        end_stream(t);
    } else {
        end_whole(t);
    }
    turn_over(t);
}

static void on_fail(void *self, const struct err *e, bool any_answer_byte) {
    struct turn *t = self;
    (void)any_answer_byte;
    render_end(&t->render);
    complain_transport(t, e);
    turn_over(t);
}

static void on_interrupt(void *self, int signo) {
    struct turn *t = self;
    (void)signo;
    http_call_cancel(&t->call);
    render_end(&t->render);
    t->exit_code = CLIENT_INTERRUPTED;
    loop_stop(t->loop);
}

/* ---- figures ---- */

static void print_stamp_hist(const char *name, const struct hist *h) {
    fprintf(stderr, "%s %.3f ms p50, %.3f ms p99", name, (double)hist_quantile(h, 0.5) / 1e6,
            (double)hist_quantile(h, 0.99) / 1e6);
}

/* Who took how long, when the provider stamps its frames. */
static void print_stamps(const struct turn *t) {
    if (atomic_load(&t->way_ns.count) == 0) {
        return;
    }
    fputs("by the provider's stamps (one machine's clock): ", stderr);
    if (atomic_load(&t->provider_ns.count) > 0) {
        print_stamp_hist("provider late by", &t->provider_ns);
        fputs("; ", stderr);
    }
    print_stamp_hist("on the way for", &t->way_ns);
    fputc('\n', stderr);
}

static void print_stats(const struct turn *t) {
    if (t->frames == 0) {
        fprintf(stderr, "ttft n/a\n");
        return;
    }
    double total_s = (double)(t->last_ns - t->start_ns) / 1e9;
    double stream_s = (double)(t->last_ns - t->first_ns) / 1e9;
    fprintf(stderr, "ttft %.1f ms", (double)(t->first_ns - t->start_ns) / 1e6);
    if (t->frames > 1) {
        fprintf(stderr, ", itl %.2f ms, %" PRIu64 " content frames, %.1f frames/s",
                stream_s * 1e3 / (double)(t->frames - 1), t->frames, (double)t->frames / total_s);
    }
    if (t->usage.out_total >= 0) {
        fprintf(stderr, ", %" PRId64 " tokens in, %" PRId64 " out, %.1f tokens/s", t->usage.in_total,
                t->usage.out_total, (double)t->usage.out_total / total_s);
    }
    fprintf(stderr, ", %.2f s\n", total_s);
    print_stamps(t);
}

/* ---- one turn ---- */

static void start_call(struct turn *t) {
    static const struct http_call_callbacks callbacks = {
        .on_head = on_head, .on_body = on_body, .on_end = on_end, .on_fail = on_fail};
    const struct client_target *target = t->rq->target;
    struct http_call_request call = {.method = HTTP_METHOD_POST,
                                     .target = target->path,
                                     .headers = target->headers,
                                     .n_headers = target->n_headers,
                                     .body = &t->rq->body,
                                     .n_body = 1,
                                     .first_byte_timeout_ns = FIRST_BYTE_TIMEOUT_S * NS_PER_S,
                                     .idle_timeout_ns = IDLE_TIMEOUT_S * NS_PER_S};
    t->start_ns = clock_mono_ns();
    t->call = http_call_start(t->pool, &call, &callbacks, t);
}

static void turn_dispose(struct turn *t) {
    http_pool_close(&t->pool);
    t->rq->dialect->decoder_free(t->decoder);
    sse_parser_dispose(&t->sse);
    buf_dispose(&t->body);
    loop_turn(t->loop, false);
    dial_forget(t->loop);
    loop_free(t->loop);
}

int turn_run(const struct turn_request *rq, struct buf *out_text) {
    struct err e;
    struct turn t = {.rq = rq, .text = out_text, .usage = USAGE_NONE};
    struct http_pool_options options;
    t.loop = loop_new(&e);
    if (!t.loop) {
        complain(&t, "cannot start", slice_cstr(e.text));
        return CLIENT_FAILED;
    }
    http_pool_options_default(&options);
    t.pool = http_pool_new(t.loop, &rq->target->origin, &options);
    t.decoder = rq->dialect->decoder_new();
    sse_parser_init(&t.sse, NULL);
    buf_init(&t.body, BODY_MAX_BYTES);
    hist_init(&t.provider_ns);
    hist_init(&t.way_ns);
    render_init(&t.render, stdout, stderr, rq->color, rq->out_is_terminal);
    if (loop_on_signal(t.loop, SIGINT, on_interrupt, &t) < 0) {
        complain(&t, "Ctrl-C will not be heard", SLICE(""));
    }
    start_call(&t);
    loop_run(t.loop);
    if (rq->stats && t.exit_code != CLIENT_UNREACHABLE) {
        print_stats(&t);
    }
    turn_dispose(&t);
    return t.exit_code;
}
