/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/explain.h"

#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_scan.h"
#include "config/file.h"
#include "dialect/request_read.h"
#include "mock/api.h"
#include "mock/completion.h"
#include "mock/scenario.h"
#include "mock/serial.h"

enum { REQUEST_MAX_BYTES = 32 << 20, OUT_BYTES = 16 << 20, MAX_HEADERS = 128 };

/* All that the question needs while it is answered. */
struct question {
    const struct mock_explain *x;
    FILE *errors;
    struct arena *arena;
    struct buf body;
    struct http_header headers[MAX_HEADERS];
    unsigned n_headers;
    const struct api *api;
    struct llm_request rq;
    struct scenario_set *set;
};

static bool refuse(struct question *q, const char *format, ...) PRINTF_LIKE(2, 3);
static bool refuse(struct question *q, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("penstock mock: ", q->errors);
    vfprintf(q->errors, format, args);
    fputc('\n', q->errors);
    va_end(args);
    return false;
}

/* ---- the request ---- */

static bool read_body(struct question *q) {
    const char *name = q->x->request;
    bool is_stdin = strcmp(name, "-") == 0;
    struct err e = {0};
    int rc = is_stdin ? file_read_fd(STDIN_FILENO, &q->body, &e) : file_read(name, &q->body, &e);
    return rc == 0 || refuse(q, "%s: %s", name, e.text);
}

static bool read_headers(struct question *q) {
    for (unsigned i = 0; i < q->x->n_headers; i++) {
        struct slice line = slice_cstr(q->x->headers[i]);
        ptrdiff_t colon = slice_index(line, ':');
        if (colon <= 0 || q->n_headers == MAX_HEADERS) {
            return refuse(q, "--header is written 'name: value', at most %d times", MAX_HEADERS);
        }
        struct http_header *h = &q->headers[q->n_headers++];
        h->name = slice_sub(line, 0, (size_t)colon);
        h->value = slice_trim(slice_from(line, (size_t)colon + 1));
        if (!http_header_is_valid(h->name, h->value)) {
            return refuse(q, "'%s' is no header", q->x->headers[i]);
        }
    }
    return true;
}

/* What a body without a path looks like. */
static const char *guess_path(struct slice body, struct arena *a) {
    if (json_member(body, SLICE("input"), a).ptr) {
        return "/v1/responses";
    }
    if (json_member(body, SLICE("prompt"), a).ptr &&
        !json_member(body, SLICE("messages"), a).ptr) {
        return "/v1/completions";
    }
    /* Messages must say max_tokens, and has its system text beside the messages. */
    return json_member(body, SLICE("system"), a).ptr ? "/v1/messages" : "/v1/chat/completions";
}

static bool decode(struct question *q, struct slice path) {
    struct request_fault fault;
    struct slice body = buf_slice(&q->body);
    q->api = api_of_path(path);
    if (!q->api) {
        return refuse(q, "no API is called at %.*s", SLICE_FMT(path));
    }
    int rc = q->api->dialect == &dialect_completions
                 ? completion_decode(body, q->arena, &q->rq, &fault)
                 : q->api->dialect->decode_request(body, q->arena, &q->rq, &fault);
    return rc == 0 || refuse(q, "%s: %s", q->x->request, fault.message);
}

static bool load(struct question *q) {
    struct report r;
    struct buf told;
    report_init(&r);
    q->set = scenario_set_load(q->x->scenarios, q->x->n_scenarios, &r);
    buf_init(&told, OUT_BYTES);
    report_write(&r, &told);
    fwrite(told.len ? told.ptr : "", 1, told.len, q->errors);
    buf_dispose(&told);
    report_dispose(&r);
    return q->set != NULL;
}

/* ---- the answer ---- */

static int tell(struct question *q, struct slice path, FILE *out) {
    struct scenario_state *st = scenario_state_new();
    const struct http_headers headers = {q->headers, q->n_headers};
    const struct scenario_request in = {
        .dialect = q->api->dialect, .rq = &q->rq, .headers = &headers, .path = path,
        .body = buf_slice(&q->body), .seed = q->x->seed,
        .serial = serial_of(path, buf_slice(&q->body), 0),      /* the first one of its kind */
        .wall_ns = clock_wall_ns(), .session = scenario_session(&headers, &q->rq, q->arena)};
    struct script script;
    struct buf text;
    buf_init(&text, OUT_BYTES);
    int rc = q->x->json ? scenario_explain_json(q->set, st, &in, &text)
                        : scenario_explain_text(q->set, st, &in, &text);
    fwrite(text.len ? text.ptr : "", 1, text.len, out);
    bool found = scenario_find(q->set, st, &in, q->arena, &script);
    buf_dispose(&text);
    scenario_state_free(&st);
    return rc < 0 ? 2 : found ? 0 : 1;
}

int mock_explain(const struct mock_explain *x, FILE *out, FILE *errors) {
    struct question q = {.x = x, .errors = errors, .arena = arena_new()};
    int code = 2;
    struct err e;
    buf_init(&q.body, REQUEST_MAX_BYTES);
    if (!load(&q) || !read_body(&q) || !read_headers(&q)) {
        goto out;
    }
    if (json_scan_object(buf_slice(&q.body), JSON_DEPTH_MAX, NULL, NULL, &e) < 0) {
        refuse(&q, "%s: %s", x->request, e.text);
        goto out;
    }
    struct slice path = slice_cstr(x->path ? x->path : guess_path(buf_slice(&q.body), q.arena));
    ptrdiff_t query = slice_index(path, '?');
    path = query < 0 ? path : slice_sub(path, 0, (size_t)query);
    if (decode(&q, path)) {
        code = tell(&q, path, out);
    }
out:
    scenario_set_unref(&q.set);
    buf_dispose(&q.body);
    arena_free(q.arena);
    return code;
}
