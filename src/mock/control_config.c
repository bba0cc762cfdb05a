/* SPDX-License-Identifier: Apache-2.0 */
/* GET and POST /penstock/config: settings of a running provider. */
#include "mock/fault_book.h"
#include "mock/mock_clock.h"
#include "mock/settings.h"
#include "mock/worker.h"

enum { REPORT_BYTES = 16 << 10 };

static void respond_settings(struct mock_worker *w, struct http_exchange *ex,
                             const struct mock_options *o) {
    mock_worker_scratch(&w->body);
    int rc = mock_settings_write(o, &w->body) | buf_append_byte(&w->body, '\n');
    mock_respond_json(w, ex, rc < 0 ? 500 : 200, buf_slice(&w->body));
}

void control_config(struct mock_worker *w, struct http_exchange *ex) {
    respond_settings(w, ex, mock_options_now(w));
}

void control_configure(struct mock_worker *w, struct http_exchange *ex) {
    struct snapshot *now = hub_snapshot(w->hub), *next;
    struct mock_options changed = now->o;
    struct arena *a = arena_new();
    struct buf report;
    buf_init(&report, REPORT_BYTES);
    int rc = mock_settings_read(bytes_slice(ex->body), "body", false, &changed, a, &report);
    if (rc == 0) {
        next = snapshot_new(&changed);
        hub_set_snapshot(w->hub, next);
        fault_book_set(w->hub->faults, changed.faults, changed.n_faults, mock_now_ns(w));
        respond_settings(w, ex, mock_options_now(w));
    } else {
        struct slice text = buf_slice(&report);
        text.len -= text.len > 0 && text.ptr[text.len - 1] == '\n';
        mock_respond_simple_error(w, ex, 400, "invalid_value", "%.*s", SLICE_FMT(text));
    }
    snapshot_unref(&now);
    buf_dispose(&report);
    arena_free(a);
}
