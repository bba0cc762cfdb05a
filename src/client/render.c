/* SPDX-License-Identifier: Apache-2.0 */
#include "client/render.h"

#define DIM "\033[2m"
#define CYAN "\033[36m"
#define OFF "\033[0m"

void render_init(struct render *r, FILE *out, FILE *notes, bool color, bool is_terminal) {
    *r = (struct render){.out = out, .notes = notes, .color = color, .is_terminal = is_terminal,
                         .ends_in_newline = true};
}

static void put(struct render *r, struct slice s) {
    if (s.len == 0) {
        return;
    }
    fwrite(s.ptr, 1, s.len, r->out);
    r->any = true;
    r->ends_in_newline = s.ptr[s.len - 1] == '\n';
}

static void put_style(struct render *r, const char *style) {
    if (r->color) {
        fputs(style, r->out);
    }
}

static bool is_control(unsigned char c) {
    return (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
}

/* C1 controls are two bytes in UTF-8: C2 80 … C2 9F. */
static size_t control_len(struct slice s, size_t at) {
    unsigned char c = (unsigned char)s.ptr[at];
    if (c == 0xc2 && at + 1 < s.len && (unsigned char)s.ptr[at + 1] < 0xa0) {
        return 2;
    }
    return is_control(c) ? 1 : 0;
}

static void put_answer(struct render *r, struct slice s) {
    if (!r->is_terminal) {
        put(r, s);
        return;
    }
    size_t from = 0;
    for (size_t i = 0; i < s.len;) {
        size_t skip = control_len(s, i);
        if (skip > 0) {
            put(r, slice_sub(s, from, i - from));
            put(r, SLICE("?"));
            from = i + skip;
        }
        i += skip ? skip : 1;
    }
    put(r, slice_from(s, from));
}

static void fresh_line(struct render *r) {
    if (!r->ends_in_newline) {
        put(r, SLICE("\n"));
    }
}

static void close_block(struct render *r) {
    switch (r->open) {
    case RENDER_CALL:
        put(r, SLICE(")"));
        put_style(r, OFF);
        put(r, SLICE("\n"));
        break;
    case RENDER_REASONING:
        put_style(r, OFF);
        fresh_line(r);
        put(r, SLICE("\n"));
        break;
    case RENDER_TEXT:
    case RENDER_NOTHING:
        break;
    }
    r->open = RENDER_NOTHING;
}

static void open_block(struct render *r, const struct event *ev) {
    close_block(r);
    r->block = ev->block;
    switch (ev->block_kind) {
    case BLOCK_REASONING:
        r->open = RENDER_REASONING;
        put_style(r, DIM);
        if (!r->color) {
            put(r, SLICE("(thinking) "));
        }
        break;
    case BLOCK_TOOL_CALL:
    case BLOCK_CUSTOM_TOOL_CALL:
    case BLOCK_FUNCTION_CALL:
        r->open = RENDER_CALL;
        fresh_line(r);
        put_style(r, CYAN);
        put(r, SLICE("-> "));
        put_answer(r, ev->u.begin.name);
        put(r, SLICE("("));
        break;
    default:
        r->open = RENDER_TEXT;
        break;
    }
}

static void note(struct render *r, const char *text) {
    fflush(r->out);
    fprintf(r->notes, "%s%s[%s]%s\n", r->ends_in_newline ? "" : "\n", r->color ? DIM : "", text,
            r->color ? OFF : "");
}

static void finish(struct render *r, const struct event *ev) {
    close_block(r);
    if (ev->u.finish.reason == STOP_LENGTH) {
        note(r, "cut: the token bound was reached");
    } else if (ev->u.finish.reason == STOP_FILTER) {
        note(r, "stopped by the provider's content filter");
    }
}

void render_event(struct render *r, const struct event *ev) {
    if (ev->flags & EVF_RECAP) {
        return;
    }
    switch (ev->kind) {
    case EV_BLOCK_BEGIN:
        open_block(r, ev);
        break;
    case EV_DELTA:
        if (r->open == RENDER_NOTHING || ev->block != r->block) {
            open_block(r, ev);        /* calls that interleave: say again whose turn it is */
        }
        put_answer(r, ev->text);
        break;
    case EV_BLOCK_END:
        if (ev->block == r->block) {
            close_block(r);
        }
        break;
    case EV_FINISH:
        finish(r, ev);
        break;
    default:
        break;
    }
    fflush(r->out);
}

void render_end(struct render *r) {
    close_block(r);
    if (r->any) {
        fresh_line(r);
    }
    fflush(r->out);
}
