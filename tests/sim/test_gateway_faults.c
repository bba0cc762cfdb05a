/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway in front of the mock with every fault, for every pair of dialects, streamed and
 * whole: a client gets an answer that is right, or one that it can see to be wrong, unless nobody
 * could see it in the provider's own answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gateway_rig.c"
#include "mock/api.h"
#include "mock/fault.h"
#include "mock/mock.h"
#include "sse/sse.h"

#define TEXT "h\xc3\xa9llo w\xc3\xb6rld one two three four five six seven eight nine ten"

struct got {
    const struct dialect *dialect;
    struct decoder *decoder;
    struct checker *checker;
    struct buf text;
    char finish[32];
    bool is_whole;               /* as HTTP says */
    unsigned status;
    unsigned broken_frames, broken_rules, bad_forms, errors;
    bool is_complete;
    int64_t tokens_out;
    struct err why;
};

static struct rig rig;
static struct mock *upstream;

/* ---- the world ---- */

static void open_world(const struct dialect *up, const char *fault) {
    const char *const listen[] = {"127.0.0.1:9000"}, *const faults[] = {fault};
    const struct sim_options sim = {.seed = 1};
    struct mock_options o;
    struct err e;
    rig_start_dialect(&rig, &sim, up->name, NULL, NULL);
    listener_close(&rig.upstream);
    mock_options_default(&o);
    o.ttft = o.itl = LAW_ZERO;
    o.listen = listen;
    o.n_listen = 1;
    o.faults = faults;
    o.n_faults = 1;
    upstream = mock_attach(rig.loop, &o, &e);
    assert_non_null(upstream);
}

static void close_world(void) {
    mock_stop(&upstream);
    loop_turn(rig.loop, false);
    rig_stop(&rig);
}

/* ---- the client ---- */

static void post(struct rig_client *c, const struct dialect *d, bool stream) {
    char path[64], body[1024];
    bool has_options = stream && (d == &dialect_chat || d == &dialect_completions);
    /* OpenAI's base URLs have a /v1, Anthropic's have none */
    snprintf(path, sizeof path, "%s%s", d == &dialect_messages ? "" : "/v1", d->path);
    snprintf(body, sizeof body, "{\"model\":\"m\",\"stream\":%s,%s%s%s}", stream ? "true" : "false",
             has_options ? "\"stream_options\":{\"include_usage\":true}," : "",
             d == &dialect_messages ? "\"max_tokens\":4000," : "",
             d == &dialect_completions ? "\"prompt\":\"echo: " TEXT "\""
             : d == &dialect_responses ? "\"input\":\"echo: " TEXT "\""
             : "\"messages\":[{\"role\":\"user\",\"content\":\"echo: " TEXT "\"}]");
    rig_client_post_to(c, path, "Authorization: Bearer client-secret\r\n", body);
}

static int on_event(void *self, const struct event *ev) {
    struct got *g = self;
    if (ev->kind == EV_DELTA && ev->block_kind == BLOCK_TEXT && !(ev->flags & EVF_RECAP)) {
        must(buf_append(&g->text, ev->text));
    } else if (ev->kind == EV_FINISH) {
        snprintf(g->finish, sizeof g->finish, "%.*s", SLICE_FMT(ev->u.finish.wire));
    } else if (ev->kind == EV_USAGE) {
        g->tokens_out = ev->u.usage.out_total;
    } else if (ev->kind == EV_ERROR) {
        g->errors++;
    }
    return 0;
}

static int on_frame(void *self, const struct sse_frame *f) {
    struct got *g = self;
    const struct event_sink sink = {on_event, g};
    struct err e;
    if (!(f->flags & SSE_DATA)) {
        return 0;
    }
    g->bad_forms += (f->flags & (SSE_BAD_UTF8 | SSE_UNTERMINATED)) != 0;
    if (g->dialect->decoder_feed(g->decoder, f, &sink, &e) < 0) {
        g->broken_frames++;
    }
    if (g->dialect->checker_frame(g->checker, f, &e) < 0) {
        g->broken_rules++;
        g->why = e;
    }
    return 0;
}

static void read_stream(struct got *g, struct slice body) {
    const struct sse_sink frames = {on_frame, g};
    const struct event_sink events = {on_event, g};
    struct sse_parser p;
    struct err e;
    sse_parser_init(&p, &(struct sse_options){.max_event_bytes = 64 << 20});
    g->decoder = g->dialect->decoder_new();
    g->checker = g->dialect->checker_new();
    must(sse_parser_feed(&p, body, &frames, &e));
    must(sse_parser_finish(&p, &frames, &e));
    g->is_complete = g->dialect->decoder_finish(g->decoder, &events, &e) == 0;
    g->broken_rules += g->dialect->checker_end(g->checker, &e) < 0;
    g->dialect->decoder_free(g->decoder);
    g->dialect->checker_free(g->checker);
    sse_parser_dispose(&p);
}

static void read_answer(struct got *g, struct slice head, struct slice body) {
    struct event_sink sink = {on_event, g};
    struct err e;
    struct slice type = rig_header(head, "content-type");
    if (slice_starts_with(type, SLICE("text/event-stream"))) {
        read_stream(g, body);
    } else if (slice_utf8_valid(body) < body.len) {
        g->bad_forms++;
    } else if (g->dialect->decode_response(body, &sink, &e) < 0) {
        g->broken_frames++;
    } else {
        g->is_complete = true;
    }
}

static void ask(struct got *g, const struct dialect *client, bool stream) {
    struct rig_client c;
    struct slice head;
    struct buf body;
    *g = (struct got){.dialect = client, .tokens_out = -1};
    buf_init(&g->text, RIG_BUF_BYTES);
    buf_init(&body, RIG_BUF_BYTES);
    rig_client_open(&rig, &c);
    post(&c, client, stream);
    if (!rig_run_response(&rig, &c)) {
        fail_msg("no answer within an hour");
    }
    g->is_whole = rig_response(&c, &g->status, &head, &body);
    if (g->status == 200 && (g->is_whole || stream)) {
        read_answer(g, head, buf_slice(&body));
    }
    rig_client_dispose(&c);
    buf_dispose(&body);
    sim_run(NULL, NULL, sim_now_ns());
}

/* Right, or seen to be wrong. */
static bool looks_well(const struct got *g) {
    return g->status == 200 && g->is_whole &&
           g->broken_frames + g->broken_rules + g->bad_forms + g->errors == 0 && g->is_complete;
}

/* The byte that bad-utf8 puts in is U+FFFD to every reader of event streams: their standard decodes
 * them so, and the damage stays to be seen. In a whole answer it may be in another string. */
static unsigned take_out_replacements(struct buf *text) {
    static const char replacement[] = "\xef\xbf\xbd";
    unsigned n = 0;
    for (char *at; text->len && (at = memmem(text->ptr, text->len, replacement, 3)); n++) {
        memmove(at, at + 3, text->len - (size_t)(at - text->ptr) - 3);
        text->len -= 3;
    }
    return n;
}

static bool is_right(struct got *g, const struct mock_fault *f, bool stream) {
    if (f->kind == FAULT_BAD_UTF8) {
        unsigned n = take_out_replacements(&g->text);
        if (n > 1 || (stream && n == 0)) {
            return false;
        }
    }
    return slice_eq(buf_slice(&g->text), SLICE(TEXT)) && g->finish[0];
}

/* ---- over all ---- */

static bool show_all;

static bool look(const struct mock_fault *f, unsigned up, unsigned client, bool stream,
                 bool is_seen) {
    struct got g;
    open_world(api_at(up)->dialect, f->name);
    ask(&g, api_at(client)->dialect, stream);
    assert_true(g.status != 404 || strcmp(f->name, "404") == 0);   /* or nothing is tested */
    bool ok = !looks_well(&g) || is_right(&g, f, stream) || !is_seen;
    if (!ok || show_all) {
        print_error("%s, %s upstream, %s client, %s: %u %s, %zu bytes of text, %u %u %u %u%s\n", f->name,
                    api_at(up)->dialect->name, api_at(client)->dialect->name,
                    stream ? "streamed" : "whole", g.status, g.is_whole ? "whole" : "cut",
                    g.text.len, g.broken_frames, g.broken_rules, g.bad_forms, g.errors,
                    ok ? "" : ": LOOKS WELL AND IS NOT");
    }
    buf_dispose(&g.text);
    close_world();
    return ok;
}

static void test_no_client_is_fooled(void **state) {
    unsigned fooled = 0;
    (void)state;
    show_all = getenv("SHOW_ALL") != NULL;
    const char *only = getenv("ONLY");
    for (unsigned i = 0; i < fault_count; i++) {
        const struct mock_fault *f = &fault_table[i];
        if (only && strcmp(only, f->name) != 0) {
            continue;
        }
        for (unsigned k = 0; k < API_COUNT * API_COUNT * 2; k++) {
            unsigned up = k % API_COUNT, client = k / API_COUNT % API_COUNT;
            bool stream = k / API_COUNT / API_COUNT == 0;
            /* what is seen of the provider's own answer, streamed or whole as the gateway asked */
            bool is_seen = f->kind != FAULT_ECHO_HEADERS && f->seen[up] != '-' &&
                           f->seen_whole[up] != '-';
            fooled += !look(f, up, client, stream, is_seen);
        }
    }
    assert_int_equal(fooled, 0);
}

/* In the provider's dialect and in others. */
static void test_a_repair_is_counted(void **state) {
    (void)state;
    for (unsigned k = 0; k < API_COUNT * API_COUNT; k++) {
        struct got g;
        open_world(api_at(k % API_COUNT)->dialect, "bad-utf8");
        ask(&g, api_at(k / API_COUNT)->dialect, true);
        assert_int_equal(g.status, 200);
        assert_int_equal(take_out_replacements(&g.text), 1);
        assert_int_equal(meter_get(&rig.worker->meter->providers[0].frames_repaired), 1);
        buf_dispose(&g.text);
        close_world();
    }
}

/* A stream that contradicts itself is an upstream's protocol error, with a count of its own. */
static void test_a_contradiction_is_counted(void **state) {
    (void)state;
    static const char *const faults[] = {"drop", "duplicate", "reorder", "bad-line"};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct got g;
        open_world(&dialect_responses, faults[i]);
        ask(&g, &dialect_messages, true);
        assert_int_equal(g.errors, 1);
        assert_int_equal(meter_get(&rig.worker->meter->providers[0].order_broken), 1);
        assert_int_equal(rig_ended(&rig, END_UPSTREAM_PROTOCOL, true), 1);
        buf_dispose(&g.text);
        close_world();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_client_is_fooled),
        cmocka_unit_test(test_a_repair_is_counted),
        cmocka_unit_test(test_a_contradiction_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
