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

/* From what the options are to what they become, without another change between. */
static int change(struct mock_worker *w, struct slice body, struct buf *report) {
    struct arena *a = arena_new();
    pthread_mutex_lock(&w->hub->change_lock);
    struct snapshot *now = hub_snapshot(w->hub);
    struct mock_options changed = now->o;
    int rc = mock_settings_read(body, "body", false, &changed, a, report);
    if (rc == 0) {
        hub_set_snapshot(w->hub, snapshot_new(&changed));
        fault_book_set(w->hub->faults, changed.faults, changed.n_faults, mock_now_ns(w));
    }
    pthread_mutex_unlock(&w->hub->change_lock);
    snapshot_unref(&now);
    arena_free(a);
    return rc;
}

void control_configure(struct mock_worker *w, struct http_exchange *ex) {
    struct buf report;
    buf_init(&report, REPORT_BYTES);
    if (change(w, bytes_slice(ex->body), &report) == 0) {
        respond_settings(w, ex, mock_options_now(w));
    } else {
        struct slice text = buf_slice(&report);
        text.len -= text.len > 0 && text.ptr[text.len - 1] == '\n';
        mock_respond_simple_error(w, ex, 400, "invalid_value", "%.*s", SLICE_FMT(text));
    }
    buf_dispose(&report);
}
