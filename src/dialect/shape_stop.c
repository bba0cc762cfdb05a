/* SPDX-License-Identifier: Apache-2.0 */
/* Stop sequences for upstreams that have no parameter for them (translation.md 1.9): the earliest
 * match wins, then the longest. Only what may still become a stop is held back. */
#include "dialect/shape-private.h"

void stop_set_init(struct stop_set *set, const struct slice *stops, unsigned n) {
    *set = (struct stop_set){.stops = stops, .n = n};
    for (unsigned i = 0; i < n; i++) {
        if (stops[i].len == 0) continue;
        unsigned char c = (unsigned char)stops[i].ptr[0];
        set->first[c / 64] |= UINT64_C(1) << c % 64;
    }
}

static bool may_begin(const struct stop_set *set, char c) {
    return set->first[(unsigned char)c / 64] >> (unsigned char)c % 64 & 1;
}

/* What begins at the first byte of text: the longest stop, and whether a longer one may. */
static struct slice match_here(const struct stop_set *set, struct slice text, bool *out_may_grow) {
    struct slice best = SLICE_NULL;
    *out_may_grow = false;
    for (unsigned i = 0; i < set->n; i++) {
        struct slice stop = set->stops[i];
        size_t n = stop.len < text.len ? stop.len : text.len;
        if (n == 0 || memcmp(stop.ptr, text.ptr, n) != 0) continue;
        if (n < stop.len) *out_may_grow = true;
        else if (stop.len > best.len) best = stop;
    }
    return best;
}

/* Back to the first byte of the character that contains it. */
static size_t character_at(struct slice text, size_t at) {
    while (at > 0 && at < text.len && ((unsigned char)text.ptr[at] & 0xc0) == 0x80) at--;
    return at;
}

enum stop_verdict stop_scan(const struct stop_set *set, struct slice text, bool is_end,
                            size_t *out_at, struct slice *out_stop) {
    for (size_t at = 0; at < text.len; at++) {
        bool may_grow;
        if (!may_begin(set, text.ptr[at])) continue;
        struct slice stop = match_here(set, slice_from(text, at), &may_grow);
        if (stop.len == 0 && (!may_grow || is_end)) continue;
        *out_at = character_at(text, at);
        *out_stop = stop;
        return may_grow && !is_end ? STOP_SCAN_HOLD : STOP_SCAN_MATCH;
    }
    *out_at = text.len;
    return STOP_SCAN_CLEAR;
}

/* ---- in a lane ---- */

static int scan(struct shaper *s, struct lane *l, struct slice text, bool is_end) {
    size_t at;
    struct slice stop;
    enum stop_verdict verdict = stop_scan(&s->stops, text, is_end, &at, &stop);
    int rc = shape_emit_text(s, l, slice_sub(text, 0, at));
    if (rc) return rc;
    if (verdict == STOP_SCAN_MATCH) return shape_stopped(s, l, stop);
    if (text.ptr == l->hold.ptr) {
        buf_consume(&l->hold, at);
        s->held_bytes -= at;
        return 0;
    }
    return shape_hold(s, &l->hold, slice_from(text, at));
}

int shape_stop_text(struct shaper *s, struct lane *l, struct slice text) {
    if (l->hold.len == 0) return scan(s, l, text, false);
    int rc = shape_hold(s, &l->hold, text);
    return rc ? rc : scan(s, l, buf_slice(&l->hold), false);
}

/* The beginning of a stop that never came is text. */
int shape_stop_end(struct shaper *s, struct lane *l) {
    return l->hold.len == 0 ? 0 : scan(s, l, buf_slice(&l->hold), true);
}
