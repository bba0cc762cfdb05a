/* SPDX-License-Identifier: Apache-2.0 */
/* GET /penstock: what a test can ask of the mock itself, from the table of routes. */
#include "dialect/json_write.h"
#include "mock/worker.h"

static const struct {
    const char *method, *path, *what;
} notes[] = {
    {"GET", "/penstock", "This list."},
    {"GET", "/health", "Whether it serves."},
    {"GET", "/metrics", "Counters and lateness, as Prometheus reads them."},
    {"POST", "/penstock/step", "?key=KEY&n=1|all[&timeout_ms=…]: stepped streams go on by n tokens."},
    {"GET", "/penstock/wait", "?NAME=N or NAME_max=N[&timeout_ms=…]: answers when a counter has come "
                              "there: requests, started, completed, cancelled, open."},
    {"GET", "/penstock/journal", "The last requests and what became of them. Filters: dialect, model, "
                                 "path, provider, session, request_id, response_id, scenario, fault, "
                                 "answered_by, status, end, contains, since, limit, body."},
    {"GET", "/penstock/journal/", "{seq}: one entry of the journal."},
    {"DELETE", "/penstock/journal", "Empties the journal."},
    {"POST", "/penstock/expect", "{match|order, where, count, at_least, at_most, since, within_ms}: 200 "
                                 "when it holds, 417 with the nearest misses when it does not."},
    {"GET", "/penstock/scenarios", "The scenarios, and how often each has answered."},
    {"POST", "/penstock/scenarios", "Answers for the next requests, first in, first out."},
    {"DELETE", "/penstock/scenarios", "Takes pushed answers back, and forgets counts."},
    {"POST", "/penstock/explain", "Which scenario would answer this request, or why none does."},
    {"GET", "/penstock/config", "The settings as they are."},
    {"POST", "/penstock/config", "Changes settings while it runs."},
    {"GET", "/penstock/self", "How late its own frames left."},
    {"GET", "/penstock/clock", "The mock's time."},
    {"POST", "/penstock/clock", "Moves a manual clock."},
    {"POST", "/penstock/tokenize", "{model, text}: tokens of a text."},
    {"POST", "/penstock/detokenize", "{model, tokens}: the text of tokens."},
};

static const char *what_of(const char *method, const char *path) {
    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++) {
        if (strcmp(notes[i].method, method) == 0 && strcmp(notes[i].path, path) == 0) {
            return notes[i].what;
        }
    }
    return NULL;
}

static bool is_control(const char *path) {
    struct slice p = slice_cstr(path);
    return slice_starts_with(p, SLICE("/penstock")) || slice_eq(p, SLICE("/health")) ||
           slice_eq(p, SLICE("/metrics"));
}

static void w_endpoint(struct json_writer *j, const char *method, const char *path,
                       const char *what) {
    jw(j, SLICE("{\"method\":"));
    jw_string(j, slice_cstr(method));
    jw(j, SLICE(",\"path\":"));
    jw_string(j, slice_cstr(path));
    jw(j, SLICE(",\"what\":"));
    if (what) jw_string(j, slice_cstr(what));
    else jw(j, SLICE("null"));
    jw(j, SLICE("}"));
}

void control_index(struct mock_worker *w, struct http_exchange *ex) {
    const char *name = w->hub->fixed->name, *path;
    enum http_method method;
    bool has_one = false;
    mock_worker_scratch(&w->body);
    struct json_writer j = jw_begin(&w->body);
    jw(&j, SLICE("{\"provider\":"));
    if (name) jw_string(&j, slice_cstr(name));
    else jw(&j, SLICE("null"));
    jw(&j, SLICE(",\"base_url\":"));
    jw_string(&j, slice_cstr(w->hub->base_url));
    jw(&j, SLICE(",\"endpoints\":["));
    for (unsigned i = 0; mock_route_at(i, &method, &path); i++) {
        if (!is_control(path)) continue;
        jw(&j, has_one ? SLICE(",") : SLICE(""));
        w_endpoint(&j, http_method_name(method), path, what_of(http_method_name(method), path));
        has_one = true;
    }
    jw(&j, SLICE("]}\n"));
    mock_respond_json(w, ex, jw_end(&j) < 0 ? 500 : 200, buf_slice(&w->body));
}
