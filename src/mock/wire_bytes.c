/* SPDX-License-Identifier: Apache-2.0 */
/* How bytes are cut into writes. */
#include "mock/wire-private.h"

static size_t least(int64_t bytes, struct slice rest) {
    return (uint64_t)bytes < rest.len ? (size_t)bytes : rest.len;
}

/* Behind the first byte of the next sequence of several. */
static size_t inside_utf8(struct wire *w, struct slice rest) {
    for (size_t i = 0; i + 1 < rest.len; i++) {
        if ((unsigned char)rest.ptr[i] >= 0xc2) {
            return i + 1;
        }
    }
    w->is_half = !w->is_half;
    return w->is_half && rest.len > 1 ? rest.len / 2 : rest.len;
}

size_t wire_bytes_next(struct wire *w, struct slice rest, int64_t *out_gap_ns) {
    bool is_over = w->end != WIRE_GOES_ON;
    *out_gap_ns = 0;
    switch (w->kind) {
    case FAULT_TRICKLE:
        wire_strike(w);
        *out_gap_ns = wire_value(w, FAULT_KEY_EVERY);
        return least(wire_value(w, FAULT_KEY_BYTES), rest);
    case FAULT_BYTE_BY_BYTE:
        wire_strike(w);
        *out_gap_ns = wire_value(w, FAULT_KEY_EVERY);
        return 1;
    case FAULT_SPLIT_UTF8:
        wire_strike(w);
        *out_gap_ns = wire_value(w, FAULT_KEY_EVERY);
        return inside_utf8(w, rest);
    case FAULT_MERGE:
        if (!is_over && w->events - w->events_out < (uint64_t)wire_value(w, FAULT_KEY_N)) {
            return 0;
        }
        wire_strike(w);
        w->events_out = w->events;
        return rest.len;
    case FAULT_BUFFERED:
        wire_strike(w);
        return is_over ? rest.len : 0;
    default:
        return rest.len;
    }
}
