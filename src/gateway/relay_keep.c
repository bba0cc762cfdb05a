/* SPDX-License-Identifier: Apache-2.0 */
/* Complete answers of the responses dialect on their way into the gateway's memory. */
#include "base/json_scan.h"
#include "gateway/state.h"

/* The events that end an answer, and carry all of it. */
static bool is_terminal(struct slice data) {
    static const struct slice types[] = {{"\"response.completed\"", 20},
                                         {"\"response.incomplete\"", 21},
                                         {"\"response.failed\"", 17}};
    struct json_member m;
    if (!json_find_member(data, SLICE("type"), &m))
        return false;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (slice_eq(m.value, types[i]))
            return true;
    return false;
}

void relay_keep_frame(struct relay *r, const struct sse_frame *f) {
    struct json_member m;
    if ((f->flags & SSE_DATA) && is_terminal(f->data) &&
        json_find_member(f->data, SLICE("response"), &m))
        state_keep(r, m.value);
}

static int on_frame(void *self, const struct sse_frame *f) {
    relay_keep_frame(self, f);
    return 0;
}

void relay_keep_frames(struct relay *r, struct slice frames) {
    struct sse_parser parser;
    struct sse_sink sink = {on_frame, r};
    struct err e = {0};
    sse_parser_init(&parser, &(struct sse_options){.max_event_bytes = (size_t)1 << 30});
    if (sse_parser_feed(&parser, frames, &sink, &e) < 0)
        log_event(LOG_ERROR, "answer not kept", LOG_CSTR("id", r->request_id), LOG_CSTR("why", e.text));
    sse_parser_dispose(&parser);
}
