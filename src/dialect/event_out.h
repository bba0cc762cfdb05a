/* SPDX-License-Identifier: Apache-2.0 */
/* The way out of a decoder: one event is kept back, so that the last of a frame can be marked.
 * After the sink has said stop no event follows. */
#ifndef PENSTOCK_DIALECT_EVENT_OUT_H
#define PENSTOCK_DIALECT_EVENT_OUT_H

#include "dialect/event.h"

struct event_out {
    const struct event_sink *sink;
    struct event ev;             /* kept back when has_ev */
    bool has_ev;
    unsigned n_events;           /* sent so far */
    int rc;                      /* the sink's answer */
};

/* Field by field: an event is large, and this runs for each frame. */
static inline void event_out_begin(struct event_out *o, const struct event_sink *sink) {
    o->sink = sink;
    o->has_ev = false;
    o->n_events = 0;
    o->rc = 0;
}
static inline void event_out_flush(struct event_out *o, uint8_t flags) {
    if (o->has_ev && o->rc == 0) {
        o->ev.flags |= flags;
        o->rc = o->sink->emit(o->sink->self, &o->ev);
        o->n_events++;
    }
    o->has_ev = false;
}
/* Sends the event that is kept back, and keeps a new one, zeroed but for its kind. */
static inline struct event *event_out_put(struct event_out *o, enum event_kind kind) {
    event_out_flush(o, 0);
    o->ev = (struct event){.kind = kind};
    o->has_ev = true;
    return &o->ev;
}

#endif
