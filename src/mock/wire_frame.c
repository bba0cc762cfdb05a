/* SPDX-License-Identifier: Apache-2.0 */
/* What is in the events, and which there are. */
#include "mock/wire-private.h"

#include <inttypes.h>
#include <stdio.h>

#include "mock/fault_errors.h"
#include "mock/wire_edit.h"

#define TERMINAL (WIRE_HAS(EV_FINISH) | WIRE_HAS(EV_END) | WIRE_HAS(EV_ERROR))

/* ---- what it says ---- */

static int note_event(void *self, const struct event *ev) {
    struct wire *w = self;
    w->facts |= WIRE_HAS(ev->kind);
    if (ev->kind == EV_DELTA && ev->text.len > 0 && !(ev->flags & EVF_RECAP)) {
        bool is_call = ev->block_kind == BLOCK_TOOL_CALL ||
                       ev->block_kind == BLOCK_CUSTOM_TOOL_CALL ||
                       ev->block_kind == BLOCK_FUNCTION_CALL;
        w->says_call |= is_call;
        w->says_text |= !is_call;
        w->block = ev->block;
    }
    return 0;
}

static void read_facts(struct wire *w, const struct sse_frame *f) {
    const struct event_sink sink = {note_event, w};
    struct err e;
    w->facts = 0;
    w->says_call = w->says_text = false;
    (void)!w->o.api->dialect->decoder_feed(w->decoder, f, &sink, &e);
}

static bool is_piece(const struct wire *w) {
    return w->says_text || w->says_call;
}

bool wire_is_reached(const struct wire *w) {
    return w->tokens >= (uint64_t)wire_value(w, FAULT_KEY_AFTER) || w->facts & TERMINAL;
}

static bool is_due(const struct wire *w) {
    return !w->has_struck && wire_is_reached(w);
}

/* The same for what changes a piece. */
static bool is_due_piece(const struct wire *w) {
    return is_due(w) && (is_piece(w) || w->facts & TERMINAL);
}

/* ---- changes ---- */

/* Responses counts its events: what is put in moves on the numbers behind it. */
static void put_event(struct wire *w, struct slice name, struct slice data) {
    struct slice value;
    char number[32];
    uint64_t n;
    if (w->put_in == 0 || !json_at(data, "sequence_number", &value) ||
        !slice_to_u64(value, UINT64_C(1000000000000), &n)) {
        wire_form_put(w, name, data);
        return;
    }
    size_t off = (size_t)(value.ptr - data.ptr);
    int len = snprintf(number, sizeof number, "%" PRIu64, n + w->put_in);
    buf_reset(&w->numbered);
    wire_append(w, &w->numbered, slice_sub(data, 0, off));
    wire_append(w, &w->numbered, slice_make(number, (size_t)len));
    wire_append(w, &w->numbered, slice_from(data, off + value.len));
    wire_form_put(w, name, buf_slice(&w->numbered));
}

static void pass(struct wire *w, const struct sse_frame *f) {
    put_event(w, f->name, f->data);
}

/* With other bytes in the place of a value of the data (which may be an empty place in it). */
static void pass_with(struct wire *w, const struct sse_frame *f, struct slice value,
                      struct slice other) {
    size_t off = (size_t)(value.ptr - f->data.ptr);
    buf_reset(&w->scratch);
    wire_append(w, &w->scratch, slice_sub(f->data, 0, off));
    wire_append(w, &w->scratch, other);
    wire_append(w, &w->scratch, slice_from(f->data, off + value.len));
    put_event(w, f->name, buf_slice(&w->scratch));
}

static bool first_at(struct slice json, const char *const *paths, struct slice *out) {
    for (unsigned i = 0; paths[i]; i++) {
        if (json_at(json, paths[i], out)) {
            return true;
        }
    }
    return false;
}

/* The text of the piece as its JSON token. */
static bool find_piece(const struct wire *w, const struct sse_frame *f, struct slice *out) {
    return first_at(f->data, wire_paths_of(w->o.api)->pieces, out) && out->len >= 2 &&
           out->ptr[0] == '"';
}

static void hold(struct wire *w, const struct sse_frame *f) {
    buf_reset(&w->held);
    wire_append(w, &w->held, f->raw);
}

static void release(struct wire *w) {
    wire_form_put_raw(w, buf_slice(&w->held));
    buf_reset(&w->held);
}

/* ---- ends ---- */

static enum wire_end how_of(const struct wire *w) {
    static const enum wire_end ends[] = {WIRE_WELL, WIRE_FIN, WIRE_RST};
    static const enum wire_end cuts[] = {WIRE_RST, WIRE_FIN};
    int64_t how = wire_value(w, FAULT_KEY_HOW);
    return w->kind == FAULT_CUT ? cuts[how] : ends[how];
}

/* In the place of f, whose number it takes: the decoder has counted f already. */
static void put_error_event(struct wire *w, const struct sse_frame *f) {
    static const char key[] = "\"sequence_number\":";
    struct api_error er;
    struct buf out;
    struct slice own;
    buf_init(&out, 16 << 10);
    mock_fault_error_event(&w->use, w->o.api, &er);
    er.request_id = slice_cstr(w->request_id);
    if (w->o.api->dialect->encode_error_event(&er, w->decoder, &out) == 0) {
        const char *at = memmem(out.ptr, out.len, key, sizeof key - 1);
        size_t before = at ? (size_t)(at - out.ptr) + sizeof key - 1 : out.len, after = before;
        while (after < out.len && out.ptr[after] >= '0' && out.ptr[after] <= '9') {
            after++;
        }
        wire_form_put_raw(w, slice_make(out.ptr, before));
        if (at && json_at(f->data, "sequence_number", &own)) {
            wire_form_put_raw(w, own);
        }
        wire_form_put_raw(w, slice_from(buf_slice(&out), after));
    }
    buf_dispose(&out);
}

static void end_here(struct wire *w, const struct sse_frame *f) {
    if (!is_due(w)) {
        pass(w, f);
        return;
    }
    wire_strike(w);
    switch (w->kind) {
    case FAULT_CUT:
        wire_finish_with(w, how_of(w));
        break;
    case FAULT_TLS_ABORT:
        wire_finish_with(w, WIRE_DROP);
        break;
    case FAULT_ERROR_EVENT:
        put_error_event(w, f);
        wire_finish_with(w, WIRE_WELL);
        break;
    default:
        wire_finish_with(w, WIRE_WELL);
        break;
    }
}

static void stall(struct wire *w, const struct sse_frame *f) {
    int64_t for_ns = wire_value(w, FAULT_KEY_FOR);
    if (is_due(w)) {
        wire_strike(w);
        if (for_ns == INT64_MAX) {
            wire_finish_with(w, WIRE_HANG);
            return;
        }
        wire_pause_here(w, for_ns);
    }
    pass(w, f);
}

/* ---- bytes that end or break inside an event ---- */

static void cut_event(struct wire *w, const struct sse_frame *f) {
    struct slice text, part = slice_sub(f->raw, 0, f->raw.len / 2);
    const char *lead = NULL;
    if (!is_due_piece(w)) {
        pass(w, f);
        return;
    }
    wire_strike(w);
    if (w->kind != FAULT_CUT_EVENT && find_piece(w, f, &text)) {
        part = slice_sub(f->raw, 0, (size_t)(text.ptr - f->raw.ptr) + (text.len > 2 ? 2 : 1));
        for (size_t i = 0; i < text.len && !lead; i++) {
            lead = (unsigned char)text.ptr[i] >= 0xc2 ? text.ptr + i : NULL;
        }
        if (lead) {                          /* never behind half a sequence by chance */
            bool is_inside = w->kind == FAULT_CUT_UTF8;
            part = slice_sub(f->raw, 0, (size_t)(lead - f->raw.ptr) + is_inside);
        }
    }
    wire_form_put_raw(w, part);
    if (w->kind == FAULT_CUT_UTF8 && !lead) {
        wire_form_put_raw(w, SLICE("\xc3"));
    }
    wire_finish_with(w, how_of(w));
}

static void break_piece(struct wire *w, const struct sse_frame *f) {
    struct slice text;
    if (!is_due_piece(w)) {
        pass(w, f);
        return;
    }
    wire_strike(w);
    switch (w->kind) {
    case FAULT_TRUNCATED_JSON:
        wire_form_put(w, f->name, slice_sub(f->data, 0, f->data.len / 2));
        return;
    case FAULT_BAD_LINE:
        wire_form_put_raw(w, slice_sub(f->raw, 0, f->data_off >= 6 ? f->data_off - 2 : 0));
        wire_form_put_raw(w, SLICE(" "));
        wire_form_put_raw(w, f->data);
        wire_form_put_raw(w, SLICE("\n\n"));
        return;
    case FAULT_BAD_UTF8:
        if (find_piece(w, f, &text)) {
            pass_with(w, f, slice_make(text.ptr + text.len - 1, 0), SLICE("\xff"));
            return;
        }
        break;
    case FAULT_WRONG_JSON_TYPE:
        if (find_piece(w, f, &text)) {
            pass_with(w, f, text, SLICE("7"));
            return;
        }
        break;
    default:
        break;
    }
    pass(w, f);
}

/* ---- events that are too many, too few, in the wrong place ---- */

static void insert_unknown(struct wire *w, const struct sse_frame *f) {
    const struct dialect *d = w->o.api->dialect;
    struct slice number;
    if (d == &dialect_messages) {
        put_event(w, SLICE("surprise"), SLICE("{\"type\":\"surprise\"}"));
    } else if (d == &dialect_responses && json_at(f->data, "sequence_number", &number)) {
        char data[128];
        int len = snprintf(data, sizeof data,
                           "{\"type\":\"response.surprise\",\"sequence_number\":%.*s}",
                           SLICE_FMT(slice_sub(number, 0, 20)));
        put_event(w, SLICE("response.surprise"), slice_make(data, (size_t)len));
        w->put_in++;
    } else {
        put_event(w, SLICE(""), SLICE("{\"object\":\"surprise\",\"choices\":[]}"));
    }
}

static void insert_empty(struct wire *w, const struct sse_frame *f) {
    struct slice text;
    for (int64_t i = 0; i < wire_value(w, FAULT_KEY_N) && find_piece(w, f, &text); i++) {
        pass_with(w, f, text, SLICE("\"\""));
        w->put_in++;
    }
}

static void insert(struct wire *w, const struct sse_frame *f) {
    if (is_due_piece(w)) {
        wire_strike(w);
        switch (w->kind) {
        case FAULT_MALFORMED:
            wire_form_put_raw(w, w->o.api->malformed);
            break;
        case FAULT_EMPTY_DATA:
            wire_form_put_raw(w, SLICE("data: \n\n"));
            break;
        case FAULT_UNKNOWN_EVENT:
            for (int64_t i = 0; i < wire_value(w, FAULT_KEY_N); i++) {
                insert_unknown(w, f);
            }
            break;
        case FAULT_EMPTY_DELTAS:
            insert_empty(w, f);
            break;
        case FAULT_DUPLICATE:
            pass(w, f);
            break;
        case FAULT_DROP:
            return;
        default:
            break;
        }
    }
    pass(w, f);
}

static void reorder(struct wire *w, const struct sse_frame *f) {
    if (w->held.len > 0) {
        pass(w, f);
        release(w);
    } else if (is_due(w) && is_piece(w)) {
        wire_strike(w);
        hold(w, f);
    } else {
        pass(w, f);
    }
}

static void giant(struct wire *w, const struct sse_frame *f) {
    static const char xs[] = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    if (!is_due_piece(w) || f->data.len < 2 || f->data.ptr[0] != '{') {
        pass(w, f);
        return;
    }
    wire_strike(w);
    buf_reset(&w->scratch);
    wire_append(w, &w->scratch, SLICE("{\"padding\":\""));
    for (int64_t left = wire_value(w, FAULT_KEY_BYTES); left > 0; left -= 64) {
        wire_append(w, &w->scratch, slice_make(xs, left < 64 ? (size_t)left : 64));
    }
    wire_append(w, &w->scratch, SLICE("\","));
    wire_append(w, &w->scratch, slice_from(f->data, 1));
    wire_form_put(w, f->name, buf_slice(&w->scratch));
    buf_dispose(&w->scratch);
}

/* ---- the dialect's own marks ---- */

static void marks(struct wire *w, const struct sse_frame *f) {
    bool is_end = w->facts & WIRE_HAS(EV_END), drops = false, doubles = false;
    switch (w->kind) {
    case FAULT_NO_DONE:
        drops = is_end;
        break;
    case FAULT_DOUBLE_DONE:
        doubles = is_end;
        break;
    case FAULT_NO_START:
        drops = w->facts & WIRE_HAS(EV_START);
        break;
    case FAULT_NO_FINISH:
        drops = w->facts & WIRE_HAS(EV_FINISH);
        break;
    case FAULT_DOUBLE_USAGE:
        doubles =
            w->facts & WIRE_HAS(EV_USAGE) && !(w->facts & (WIRE_HAS(EV_START) | WIRE_HAS(EV_END)));
        break;
    default:
        break;
    }
    if (drops || doubles) {
        wire_strike(w);
    }
    if (!drops) {
        pass(w, f);
    }
    if (doubles) {
        pass(w, f);
    }
}

static void after_end(struct wire *w, const struct sse_frame *f) {
    pass(w, f);
    if (is_piece(w)) {
        hold(w, f);
    } else if (w->facts & WIRE_HAS(EV_END) && w->held.len > 0) {
        wire_strike(w);
        release(w);
    }
}

/* ---- members ---- */

static void wrong_index(struct wire *w, const struct sse_frame *f) {
    struct slice value;
    if (wire_is_reached(w) && is_piece(w) &&
        json_at(f->data, wire_paths_of(w->o.api)->index, &value)) {
        wire_strike(w);
        pass_with(w, f, value, SLICE("7"));
    } else {
        pass(w, f);
    }
}

/* Messages has its id in the first event alone: a second one, with another. */
static void second_start(struct wire *w, const struct sse_frame *f) {
    struct slice value;
    if (w->facts & WIRE_HAS(EV_START)) {
        wire_append(w, &w->held, f->data);
    } else if (is_due_piece(w) && json_at(buf_slice(&w->held), "message.id", &value)) {
        const struct sse_frame start = {.name = SLICE("message_start"), .data = buf_slice(&w->held)};
        wire_strike(w);
        pass_with(w, &start, value, SLICE("\"msg_another\""));
    }
    pass(w, f);
}

static void changed_id(struct wire *w, const struct sse_frame *f) {
    struct slice value;
    if (w->o.api->dialect == &dialect_messages) {
        second_start(w, f);
    } else if (wire_is_reached(w) && json_at(f->data, wire_paths_of(w->o.api)->id, &value)) {
        wire_strike(w);
        pass_with(w, f, value, SLICE("\"another-id\""));
    } else {
        pass(w, f);
    }
}

static void usage(struct wire *w, const struct sse_frame *f) {
    const struct wire_paths *p = wire_paths_of(w->o.api);
    bool is_late = w->facts & WIRE_HAS(EV_USAGE) && !(w->facts & WIRE_HAS(EV_START));
    struct slice value;
    char number[32];
    uint64_t n;
    if (is_late && w->kind == FAULT_WRONG_USAGE && first_at(f->data, p->tokens, &value) &&
        slice_to_u64(value, UINT64_C(1000000000000), &n)) {
        int len = snprintf(number, sizeof number, "%" PRIu64, n + 1000000);
        wire_strike(w);
        pass_with(w, f, value, slice_make(number, (size_t)len));
    } else if (is_late && w->kind == FAULT_NO_USAGE && first_at(f->data, p->usage, &value)) {
        wire_strike(w);
        if (w->facts & TERMINAL) {
            pass_with(w, f, value, SLICE("null"));
        }
    } else {
        pass(w, f);
    }
}

/* A piece of a call's arguments is held back until it is known not to be the last; a piece of text
 * until another piece or the end, with what comes between. */
static void cut_arguments(struct wire *w, const struct sse_frame *f) {
    bool holds = w->held.len > 0;
    bool goes_on = holds && w->says_call && w->block == w->held_block;
    bool drops = holds && !w->has_struck &&
                 (w->held_is_call ? !goes_on : (w->facts & TERMINAL) != 0);
    if (drops) {
        wire_strike(w);
        buf_consume(&w->held, w->held_piece_len);
    }
    if (!w->has_struck && is_piece(w)) {
        release(w);
        hold(w, f);
        w->held_piece_len = w->held.len;
        w->held_is_call = w->says_call;
        w->held_block = w->block;
    } else if (!w->has_struck && holds) {
        wire_append(w, &w->held, f->raw);
    } else {
        release(w);
        pass(w, f);
    }
}

/* ---- in and out ---- */

typedef void frame_fn(struct wire *w, const struct sse_frame *f);

static frame_fn *const frame_fns[FAULT_KIND_COUNT] = {
    [FAULT_CUT] = end_here,           [FAULT_FIN] = end_here,
    [FAULT_TLS_ABORT] = end_here,     [FAULT_ERROR_EVENT] = end_here,
    [FAULT_STALL] = stall,            [FAULT_CUT_EVENT] = cut_event,
    [FAULT_CUT_STRING] = cut_event,   [FAULT_CUT_UTF8] = cut_event,
    [FAULT_TRUNCATED_JSON] = break_piece, [FAULT_BAD_LINE] = break_piece,
    [FAULT_BAD_UTF8] = break_piece,   [FAULT_WRONG_JSON_TYPE] = break_piece,
    [FAULT_MALFORMED] = insert,       [FAULT_EMPTY_DATA] = insert,
    [FAULT_UNKNOWN_EVENT] = insert,   [FAULT_EMPTY_DELTAS] = insert,
    [FAULT_DUPLICATE] = insert,       [FAULT_DROP] = insert,
    [FAULT_REORDER] = reorder,        [FAULT_GIANT_FRAME] = giant,
    [FAULT_NO_DONE] = marks,          [FAULT_DOUBLE_DONE] = marks,
    [FAULT_NO_START] = marks,         [FAULT_NO_FINISH] = marks,
    [FAULT_DOUBLE_USAGE] = marks,     [FAULT_AFTER_END] = after_end,
    [FAULT_WRONG_INDEX] = wrong_index, [FAULT_CHANGED_ID] = changed_id,
    [FAULT_NO_USAGE] = usage,         [FAULT_WRONG_USAGE] = usage,
    [FAULT_CUT_ARGUMENTS] = cut_arguments,
};

void wire_frame_take(struct wire *w, const struct sse_frame *f) {
    if (!(f->flags & SSE_DATA)) {
        wire_form_put_raw(w, f->raw);
        return;
    }
    read_facts(w, f);
    frame_fn *fn = frame_fns[w->kind] ? frame_fns[w->kind] : pass;
    fn(w, f);
    w->tokens += is_piece(w);
}

void wire_frame_over(struct wire *w) {
    if (w->kind == FAULT_REORDER || w->kind == FAULT_CUT_ARGUMENTS) {
        release(w);
    }
}

void wire_frame_dispose(struct wire *w) {
    if (w->decoder) {
        w->o.api->dialect->decoder_free(w->decoder);
    }
    sse_parser_dispose(&w->parser);
    buf_dispose(&w->held);
    buf_dispose(&w->scratch);
    buf_dispose(&w->numbered);
}
