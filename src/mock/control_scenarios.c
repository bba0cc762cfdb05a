/* SPDX-License-Identifier: Apache-2.0 */
/* /penstock/scenarios and /penstock/explain. */
#include "mock/control_scenarios.h"

#include "dialect/json_write.h"
#include "http/url.h"
#include "mock/completion.h"
#include "mock/mock_clock.h"
#include "mock/scenario_book.h"

enum { FAULT_BYTES = 64 << 10, ANSWER_BYTES = 64 << 10 };

/* ---- faults of a text ---- */

static void write_lines(struct json_writer *w, struct slice text) {
    bool any = false;
    while (text.len) {
        ptrdiff_t end = slice_index(text, '\n');
        struct slice line = end < 0 ? text : slice_sub(text, 0, (size_t)end);
        jw(w, any ? SLICE(",") : SLICE(""));
        jw_string(w, line);
        text = end < 0 ? SLICE("") : slice_from(text, (size_t)end + 1);
        any = true;
    }
}

static void respond_faults(struct mock_worker *w, struct http_exchange *ex,
                           const struct report *r) {
    struct buf told, body;
    buf_init(&told, FAULT_BYTES);
    buf_init(&body, (size_t)8 * FAULT_BYTES);
    report_write(r, &told);
    struct json_writer jwr = jw_begin(&body);
    jw(&jwr, SLICE("{\"error\":{\"message\":\"the scenarios have faults\",\"faults\":["));
    write_lines(&jwr, buf_slice(&told));
    jw(&jwr, SLICE("]}}\n"));
    mock_respond_json(w, ex, jw_end(&jwr) < 0 ? 500 : 400, buf_slice(&body));
    buf_dispose(&told);
    buf_dispose(&body);
}

/* ---- scenarios ---- */

static void respond_pushed(struct mock_worker *w, struct http_exchange *ex,
                           const struct scenario_set *set) {
    struct buf body;
    buf_init(&body, (size_t)SCENARIO_MAX_PUSHED * (SCENARIO_NAME_BYTES + 8));
    struct json_writer jwr = jw_begin(&body);
    jw(&jwr, SLICE("{\"pushed\":["));
    for (unsigned i = 0; i < scenario_set_count(set); i++) {
        jw(&jwr, i ? SLICE(",") : SLICE(""));
        jw_string(&jwr, scenario_set_name(set, i));
    }
    jw(&jwr, SLICE("]}\n"));
    mock_respond_json(w, ex, jw_end(&jwr) < 0 ? 500 : 200, buf_slice(&body));
    buf_dispose(&body);
}

void control_scenarios_push(struct mock_worker *w, struct http_exchange *ex) {
    struct report r;
    struct err e;
    struct slice session = url_query_get(ex->query, SLICE("session"), ex->arena);
    report_init(&r);
    struct scenario_set *set = scenario_set_parse(bytes_slice(ex->body), "body", &r);
    if (!set) {
        respond_faults(w, ex, &r);
    } else if (scenario_set_count(set) == 0) {
        mock_respond_simple_error(w, ex, 400, "invalid_value",
                                  "the body is a scenario, or a list of them, YAML or JSON");
    } else if (scenario_push(scenario_book_state(w->hub->scenarios), set, session, &e) < 0) {
        mock_respond_simple_error(w, ex, 409, "too_many", "%s", e.text);
    } else {
        respond_pushed(w, ex, set);
    }
    scenario_set_unref(&set);
    report_dispose(&r);
}

void control_scenarios(struct mock_worker *w, struct http_exchange *ex) {
    mock_worker_scratch(&w->body);
    int rc = scenario_book_write(w->hub->scenarios, &w->body);
    mock_respond_json(w, ex, rc < 0 ? 500 : 200, buf_slice(&w->body));
}

/* DELETE: the pushed ones, of one name when it is given; ?reset=1: counts and sessions, too. */
void control_scenarios_clear(struct mock_worker *w, struct http_exchange *ex) {
    struct scenario_state *st = scenario_book_state(w->hub->scenarios);
    struct slice name = url_query_get(ex->query, SLICE("name"), ex->arena);
    bool reset = slice_eq(url_query_get(ex->query, SLICE("reset"), ex->arena), SLICE("1"));
    struct buf body;
    unsigned n = scenario_unpush(st, name);
    if (reset) {
        scenario_state_reset(st);
    }
    buf_init(&body, ANSWER_BYTES);
    int rc = buf_appendf(&body, "{\"removed\":%u,\"reset\":%s}\n", n, reset ? "true" : "false");
    mock_respond_json(w, ex, rc < 0 ? 500 : 200, buf_slice(&body));
    buf_dispose(&body);
}

/* ---- explain ---- */

/* POST a request's own body, to /penstock/explain?path=/v1/chat/completions; headers are those of
 * this very request. */
void control_explain(struct mock_worker *w, struct http_exchange *ex) {
    struct slice path = url_query_get(ex->query, SLICE("path"), ex->arena);
    struct request_fault fault;
    struct llm_request rq;
    struct slice body = bytes_slice(ex->body);
    path = path.len ? path : SLICE("/v1/chat/completions");
    const struct api *api = api_of_path(path);
    if (!api) {
        mock_respond_simple_error(w, ex, 400, "invalid_value",
                                  "POST /penstock/explain?path=/v1/chat/completions");
        return;
    }
    int rc = api->dialect == &dialect_completions
                 ? completion_decode(body, ex->arena, &rq, &fault)
                 : api->dialect->decode_request(body, ex->arena, &rq, &fault);
    if (rc != 0) {
        mock_respond_fault_of_request(w, ex, &fault, 400);
        return;
    }
    const struct scenario_request in = {
        .dialect = api->dialect, .rq = &rq, .headers = &ex->headers, .path = path, .body = body,
        .seed = w->hub->fixed->seed, .serial = serials_next(&w->hub->serials, path, body),
        .wall_ns = mock_wall_ns(w), .session = scenario_session(&ex->headers, &rq, ex->arena)};
    struct scenario_set *set = scenario_book_set(w->hub->scenarios);
    mock_worker_scratch(&w->body);
    rc = scenario_explain_json(set, scenario_book_state(w->hub->scenarios), &in, &w->body);
    scenario_set_unref(&set);
    mock_respond_json(w, ex, rc < 0 ? 500 : 200, buf_slice(&w->body));
}
