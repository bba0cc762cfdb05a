/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/source.h"

#include <inttypes.h>

/* More than any min_bytes, the longest sentence and a text that repeats together. */
enum { WINDOW_MAX_BYTES = 16 * 1024, REPEAT_WINDOW_BYTES = 8 * 1024 };

static void source_reset(struct source *s, enum source_kind kind) {
    struct buf window = s->window;
    *s = (struct source){.kind = kind, .window = window};
    if (s->window.max == 0) {
        buf_init(&s->window, WINDOW_MAX_BYTES);
    }
    buf_reset(&s->window);
}

void source_start_fixed(struct source *s, struct slice text, bool repeat) {
    bool is_empty = text.len == (size_t)repeat;
    source_reset(s, repeat && !is_empty ? SOURCE_REPEAT : SOURCE_FIXED);
    s->fixed = is_empty ? SLICE("") : text;
    if (s->kind == SOURCE_REPEAT && text.len > REPEAT_WINDOW_BYTES) {
        s->at = 1;
    }
}

void source_start_prose(struct source *s, enum prose_kind kind, uint64_t seed, struct slice topic,
                        bool endless) {
    source_reset(s, SOURCE_PROSE);
    prose_init(&s->prose, kind, seed, topic, endless);
}

void source_start_count(struct source *s, struct slice tag, uint64_t count_to) {
    source_reset(s, SOURCE_COUNT);
    size_t len = 0;
    for (size_t i = 0; i < tag.len && len < SOURCE_TAG_BYTES; i++) {
        char c = tag.ptr[i];
        if ((c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z')) {
            s->tag[len++] = c;
        }
    }
    s->count_to = count_to;
}

void source_dispose(struct source *s) {
    buf_dispose(&s->window);
}

/* Without the blank in front the first time. */
static bool repeat_make(struct source *s) {
    struct slice again = slice_from(s->fixed, s->counted++ == 0);
    return buf_append(&s->window, again) == 0;
}

/* Appends the next stretch to the window; false at the end of the text. */
static bool source_make(struct source *s) {
    switch (s->kind) {
    case SOURCE_PROSE:
        return prose_next(&s->prose, &s->window) > 0;
    case SOURCE_REPEAT:
        return repeat_make(s);
    case SOURCE_COUNT:
        if (s->count_to && s->counted == s->count_to) {
            return false;
        }
        s->counted++;
        return buf_appendf(&s->window, "%s%sn%" PRIu64, s->counted > 1 ? " " : "", s->tag,
                           s->counted) == 0;
    case SOURCE_FIXED:
        break;
    }
    return false;
}

struct slice source_peek(struct source *s, size_t min_bytes) {
    bool is_long = s->kind == SOURCE_REPEAT && s->fixed.len > REPEAT_WINDOW_BYTES;
    if (is_long && s->at == s->fixed.len) {
        s->at = 0;
    }
    if (is_long || s->kind == SOURCE_FIXED) {
        return slice_from(s->fixed, s->at);
    }
    while (s->window.len - s->at < min_bytes && !s->ended) {
        buf_consume(&s->window, s->at);
        s->at = 0;
        s->ended = !source_make(s);
    }
    return slice_from(buf_slice(&s->window), s->at);
}

void source_said(struct source *s, size_t bytes) {
    s->at += bytes;
}

size_t source_item_len(struct slice ahead) {
    ptrdiff_t blank = slice_index(slice_from(ahead, 1), ' ');
    return blank < 0 ? ahead.len : (size_t)blank + 1;
}
