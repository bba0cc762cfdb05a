/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the mock on the simulated loop share: a loop with a mock on it, and askers,
 * each of which makes one HTTP request and keeps what comes, with the time of every SSE frame. */
#ifndef PENSTOCK_TESTS_SIM_MOCK_WORLD_H
#define PENSTOCK_TESTS_SIM_MOCK_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/clock.h"
#include "dialect/dialect.h"
#include "http/client.h"
#include "http/url.h"
#include "mock/api.h"
#include "mock/mock.h"
#include "net/loop_sim.h"

#define MOCK_LONG_NS (3600 * NS_PER_S)
#define ASKER_MAX_FRAMES 4096

struct asker {
    struct http_call *call;
    struct slice body;                       /* of the request; must outlive the call */
    char body_text[4096];
    char target[256];
    unsigned status;
    bool has_head, is_over, has_failed;
    struct err error;
    struct buf bytes;                        /* of the answer's body */
    struct buf text;                         /* decoded */
    struct sse_parser sse;
    const struct dialect *dialect;           /* of the endpoint; chat when it is none */
    struct decoder *decoder;
    struct checker *checker;
    unsigned broken_rules;                   /* that the checker found */
    unsigned bad_forms;                      /* frames that are no UTF-8, or without an end */
    char request_id[64], date[64];
    char head_text[2048];                    /* the answer's headers, "name: value" lines */
    int64_t start_ns, head_ns, end_ns;
    int64_t stamps[ASKER_MAX_FRAMES];        /* of content frames; 0 when they have none */
    int64_t dues[ASKER_MAX_FRAMES];
    int64_t received[ASKER_MAX_FRAMES];
    unsigned frames;                         /* content frames */
    unsigned broken_frames, error_events;
    int64_t stamp_ns, due_ns;
    bool frame_has_content;
    bool is_complete;                        /* the decoder's word */
    bool has_done;
    char finish[32];
    int64_t tokens_out;
};

static struct loop *loop;
static struct mock *mock;
static struct http_pool *pool;

static inline int asker_event(void *self, const struct event *ev) {
    struct asker *a = self;
    if (ev->flags & EVF_CONTENT) {
        a->frame_has_content = true;
    }
    if (ev->kind == EV_DELTA && ev->choice == 0 && ev->block_kind == BLOCK_TEXT &&
        !(ev->flags & EVF_RECAP)) {
        assert_int_equal(buf_append(&a->text, ev->text), 0);
    } else if (ev->kind == EV_FINISH) {
        snprintf(a->finish, sizeof a->finish, "%.*s", SLICE_FMT(ev->u.finish.wire));
    } else if (ev->kind == EV_USAGE) {
        a->tokens_out = ev->u.usage.out_total;
    } else if (ev->kind == EV_ERROR) {
        a->error_events++;
    } else if (ev->kind == EV_END && !(ev->flags & EVF_SYNTH)) {
        a->has_done = true;
    }
    return 0;
}

static inline int asker_frame(void *self, const struct sse_frame *f) {
    struct asker *a = self;
    const struct event_sink sink = {asker_event, a};
    struct err e;
    long long stamp = 0, due = 0;
    char raw[64];
    if (f->flags & SSE_COMMENT) {
        snprintf(raw, sizeof raw, "%.*s", SLICE_FMT(f->raw));
        a->stamp_ns = sscanf(raw, ": t=%lld due=%lld", &stamp, &due) >= 1 ? stamp : 0;
        a->due_ns = due;
        return 0;
    }
    if (!(f->flags & SSE_DATA)) {
        return 0;
    }
    a->frame_has_content = false;
    a->bad_forms += (f->flags & (SSE_BAD_UTF8 | SSE_UNTERMINATED)) != 0;
    a->broken_frames += a->dialect->decoder_feed(a->decoder, f, &sink, &e) < 0;
    a->broken_rules += a->dialect->checker_frame(a->checker, f, &e) < 0;
    if (a->frame_has_content && a->frames < ASKER_MAX_FRAMES) {
        a->stamps[a->frames] = a->stamp_ns;
        a->dues[a->frames] = a->due_ns;
        a->received[a->frames++] = loop_now_ns(loop);
    }
    a->stamp_ns = 0;
    return 0;
}

static inline void asker_on_head(void *self, const struct http_answer *answer) {
    struct asker *a = self;
    a->status = answer->status;
    a->has_head = true;
    a->head_ns = loop_now_ns(loop);
    struct slice id = http_headers_get(&answer->headers, SLICE("request-id"));
    snprintf(a->request_id, sizeof a->request_id, "%.*s", (int)id.len, id.ptr ? id.ptr : "");
    for (unsigned i = 0; i < answer->headers.count; i++) {
        const struct http_header *h = &answer->headers.items[i];
        size_t at = strlen(a->head_text);
        snprintf(a->head_text + at, sizeof a->head_text - at, "%.*s: %.*s\n", SLICE_FMT(h->name),
                 SLICE_FMT(h->value));
    }
    struct slice date = http_headers_get(&answer->headers, SLICE("date"));
    snprintf(a->date, sizeof a->date, "%.*s", (int)date.len, date.ptr ? date.ptr : "");
    assert_true(slice_eq(http_headers_get(&answer->headers, SLICE("x-penstock-mock")), SLICE("1")));
}

static inline void asker_on_body(void *self, struct slice bytes) {
    struct asker *a = self;
    struct err e;
    const struct sse_sink sink = {asker_frame, a};
    assert_int_equal(buf_append(&a->bytes, bytes), 0);
    assert_int_equal(sse_parser_feed(&a->sse, bytes, &sink, &e), 0);
}

static inline void asker_over(struct asker *a) {
    const struct sse_sink frames = {asker_frame, a};
    const struct event_sink events = {asker_event, a};
    struct err e;
    a->call = NULL;
    a->is_over = true;
    a->end_ns = loop_now_ns(loop);
    assert_int_equal(sse_parser_finish(&a->sse, &frames, &e), 0);
    a->is_complete = a->dialect->decoder_finish(a->decoder, &events, &e) == 0;
    a->broken_rules += a->dialect->checker_end(a->checker, &e) < 0;
}

static inline void asker_on_end(void *self) {
    asker_over(self);
}

static inline void asker_on_fail(void *self, const struct err *e, bool any_answer_byte) {
    struct asker *a = self;
    (void)any_answer_byte;
    a->has_failed = true;
    a->error = *e;
    asker_over(a);
}

/* Sent as anthropic-version with every request; NULL: none. */
static const char *asker_anthropic_version;
/* Further headers of every request: name, value, … NULL */
static const char *asker_headers[17];

static inline void asker_send(struct asker *a, enum http_method method, const char *target,
                              const char *body) {
    static const struct http_call_callbacks callbacks = {.on_head = asker_on_head,
                                                         .on_body = asker_on_body,
                                                         .on_end = asker_on_end,
                                                         .on_fail = asker_on_fail};
    struct http_header headers[11] = {{SLICE("content-type"), SLICE("application/json")}};
    unsigned n_headers = 1;
    if (asker_anthropic_version) {
        headers[n_headers++] = (struct http_header){SLICE("anthropic-version"),
                                                    slice_cstr(asker_anthropic_version)};
    }
    for (unsigned i = 0; i < 16 && asker_headers[i]; i += 2) {
        headers[n_headers++] = (struct http_header){slice_cstr(asker_headers[i]),
                                                    slice_cstr(asker_headers[i + 1])};
    }
    const struct api *api = api_of_path(slice_cstr(target));
    *a = (struct asker){.tokens_out = -1, .dialect = api ? api->dialect : &dialect_chat};
    buf_init(&a->bytes, (size_t)64 << 20);
    buf_init(&a->text, (size_t)64 << 20);
    sse_parser_init(&a->sse, NULL);
    a->decoder = a->dialect->decoder_new();
    a->checker = a->dialect->checker_new();
    snprintf(a->body_text, sizeof a->body_text, "%s", body);
    snprintf(a->target, sizeof a->target, "%s", target);
    a->body = slice_cstr(a->body_text);
    a->start_ns = sim_now_ns();
    struct http_call_request rq = {.method = method,
                                   .target = slice_cstr(a->target),
                                   .headers = headers,
                                   .n_headers = n_headers,
                                   .body = &a->body,
                                   .n_body = a->body.len > 0};
    a->call = http_call_start(pool, &rq, &callbacks, a);
}

/* extra: further members, like "\"max_tokens\":5,". */
static inline void asker_chat(struct asker *a, bool stream, const char *model, const char *user,
                              const char *extra) {
    char body[4096];
    snprintf(body, sizeof body,
             "{\"model\":\"%s\",\"stream\":%s,%s\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}", model,
             stream ? "true" : "false", extra, user);
    asker_send(a, HTTP_METHOD_POST, "/v1/chat/completions", body);
}

static inline void asker_dispose(struct asker *a) {
    http_call_cancel(&a->call);
    buf_dispose(&a->bytes);
    buf_dispose(&a->text);
    sse_parser_dispose(&a->sse);
    a->dialect->decoder_free(a->decoder);
    a->dialect->checker_free(a->checker);
}

static inline bool asker_is_over(void *self) {
    return ((struct asker *)self)->is_over;
}

static inline void asker_finish(struct asker *a) {
    assert_true(sim_run(asker_is_over, a, sim_now_ns() + MOCK_LONG_NS));
}

/* Lets everything happen that can without time passing much. */
static inline void settle(void) {
    sim_run(NULL, NULL, sim_now_ns() + NS_PER_MS);
}

static inline void world_open(const struct sim_options *sim, const struct mock_options *o) {
    struct err e;
    struct url url;
    struct http_pool_options po;
    struct arena *a = arena_new();
    sim_start(sim);
    loop = loop_new(&e);
    assert_non_null(loop);
    mock = mock_attach(loop, o, &e);
    assert_non_null(mock);
    assert_int_equal(url_parse(slice_cstr(mock_base_url(mock)), a, &url, &e), 0);
    const struct http_origin origin = {
        .scheme_host = url.authority, .host = url.host, .port = url.port};
    http_pool_options_default(&po);
    pool = http_pool_new(loop, &origin, &po);
    arena_free(a);
}

static inline void world_close(void) {
    http_pool_close(&pool);
    mock_stop(&mock);
    loop_turn(loop, false);
    dial_forget(loop);
    loop_free(loop);
    sim_stop();
}

#endif
