/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/scenario_answer.h"

#include <stdio.h>

#include "mock/fault_errors.h"
#include "mock/given.h"
#include "mock/journal.h"
#include "mock/mock_clock.h"
#include "mock/scenario_book.h"

enum { ERROR_BYTES = (SCENARIO_ANSWER_BYTES * 6) + 4096 };

/* ---- errors ---- */

/* What the provider says of a status that no scenario words. */
static void usual_error(const struct mock_call *c, char space[FAULT_ERROR_TEXT_BYTES],
                        struct api_error *out) {
    struct fault_use use;
    struct err e;
    char spec[8];
    unsigned status = c->script->status;
    snprintf(spec, sizeof spec, "%u", status);
    if (fault_parse(slice_cstr(spec), &use, NULL, &e) == 0) {
        mock_fault_error(&use, c->api, c->rq.env.model, space, out);
        return;
    }
    bool is_ours = status >= 500;
    *out = (struct api_error){.message = slice_cstr(http_status_text(status)),
                              .type = !is_ours             ? SLICE("invalid_request_error")
                                      : c->api->is_anthropic ? SLICE("api_error")
                                                             : SLICE("server_error")};
}

static void respond_error(struct mock_call *c) {
    const struct script *s = c->script;
    char space[FAULT_ERROR_TEXT_BYTES];
    struct api_error er;
    struct header_set set;
    struct buf body;
    usual_error(c, space, &er);
    er.status = s->status;
    er.type = s->error_type.ptr ? s->error_type : er.type;
    er.code = s->error_code.ptr ? s->error_code : er.code;
    er.param = s->error_param.ptr ? s->error_param : er.param;
    er.message = s->error_message.ptr ? s->error_message : er.message;
    header_set_init(c->w, &set, c->api, SLICE("application/json"), &c->facts);
    if (c->api->is_anthropic) {
        er.request_id = slice_make(set.id_space, WORKER_ID_BYTES);
    }
    if (s->retry_after_s > 0) {
        header_set_printf(&set, SLICE("retry-after"), "%u", s->retry_after_s);
        header_set_printf(&set, SLICE("retry-after-ms"), "%u000", s->retry_after_s);
    }
    buf_init(&body, ERROR_BYTES);
    if (c->api->dialect->encode_error(&er, &body) < 0) {
        buf_reset(&body);
    }
    c->status = s->status;
    struct http_response r = {s->status, set.items, set.count};
    http_respond(c->ex, &r, buf_slice(&body));
    buf_dispose(&body);
}

/* ---- the stage ---- */

/* The legacy API has nothing but text. */
static void note_left_out(struct mock_call *c) {
    char text[80];
    unsigned kinds = 0, at = 0;
    size_t len = 0;
    const char *name;
    for (unsigned i = 0; i < c->script->n_blocks; i++) {
        kinds |= 1u << c->script->blocks[i].kind;
    }
    while ((name = script_left_out(kinds, c->api->dialect, &at)) != NULL) {
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", len ? ", " : "", name);
    }
    if (len > 0) {
        head_facts_add(&c->facts, SLICE("x-penstock-left-out"), slice_make(text, len));
    }
}

static void note(struct mock_call *c) {
    const struct script *s = c->script;
    bool says = s->n_blocks > 0 || s->status > 0;
    const struct journal_notes notes = {.answered_by = says ? "scenario" : NULL,
                                        .scenario = s->scenario, .place = s->place};
    journal_note(c->w->hub->journal, c->journal, &notes);
    snprintf(c->facts.scenario, sizeof c->facts.scenario, "%.*s", SLICE_FMT(s->scenario));
    for (unsigned i = 0; i < s->n_headers; i++) {
        head_facts_add(&c->facts, s->headers[2 * i], s->headers[2 * i + 1]);
    }
    note_left_out(c);
}

/* A client that says its answer itself asks nobody. */
static bool says_itself(const struct mock_call *c) {
    bool is_own_text = c->k.text.ptr && c->k.text.ptr != c->o->text;
    return is_own_text || (c->k.fault && c->k.fault->row->kind == FAULT_ECHO_HEADERS);
}

bool scenario_answers(struct mock_call *c) {
    struct arena *a = c->ex->arena;
    if (says_itself(c)) {
        return false;
    }
    struct script *s = arena_alloc(a, sizeof *s);
    const struct scenario_request in = {.dialect = c->api->dialect,
                                        .rq = &c->rq,
                                        .headers = &c->ex->headers,
                                        .path = c->ex->path,
                                        .body = bytes_slice(c->ex->body),
                                        .seed = c->o->seed,
                                        .serial = c->facts.serial,
                                        .wall_ns = mock_wall_ns(c->w),
                                        .session = c->session};
    if (!scenario_book_find(c->w->hub->scenarios, &in, a, s)) {
        return false;
    }
    c->script = s;
    given_add(c->w->hub->given, s);
    note(c);
    if (s->status == 0) {
        return false;
    }
    respond_error(c);
    return true;
}
