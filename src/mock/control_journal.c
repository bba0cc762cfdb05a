/* SPDX-License-Identifier: Apache-2.0 */
/* GET, DELETE /penstock/journal and GET /penstock/journal/{seq}. */
#include "mock/worker.h"

void control_journal(struct mock_worker *w, struct http_exchange *ex) {
    struct journal_query q;
    struct err e;
    journal_query_init(&q);
    if (journal_query_read(ex->query, ex->arena, &q, &e) < 0) {
        mock_respond_simple_error(w, ex, 400, "invalid_value", "%s", e.text);
        return;
    }
    mock_worker_scratch(&w->body);
    if (journal_write(w->hub->journal, &q, &w->body) < 0) {
        mock_respond_simple_error(w, ex, 413, "too_large",
                                  "So much of the journal is too large for one answer: ask with "
                                  "limit=N or body=0.");
        return;
    }
    mock_respond_json(w, ex, 200, buf_slice(&w->body));
}

void control_journal_entry(struct mock_worker *w, struct http_exchange *ex) {
    struct slice text = slice_from(api_path(ex->path), sizeof "/penstock/journal/" - 1);
    uint64_t seq;
    mock_worker_scratch(&w->body);
    if (!slice_to_u64(text, UINT64_MAX, &seq) ||
        !journal_write_one(w->hub->journal, seq, &w->body)) {
        mock_respond_simple_error(w, ex, 404, NULL, "The journal has no entry %.*s (any more).",
                                  SLICE_FMT(slice_sub(text, 0, 20)));
        return;
    }
    mock_respond_json(w, ex, 200, buf_slice(&w->body));
}

void control_journal_clear(struct mock_worker *w, struct http_exchange *ex) {
    journal_clear(w->hub->journal);
    mock_respond_json(w, ex, 200, SLICE("{\"cleared\":true}\n"));
}
