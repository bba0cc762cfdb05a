/* SPDX-License-Identifier: Apache-2.0 */
/* Shapers under test: events from short scripts, what comes out as short lines.
 *
 * A script has one event a line: "start", "begin N KIND [ID [NAME]]", "input N JSON" (a call told at
 * once), "delta N TEXT", "recap N TEXT", "sig N TEXT", "part N", "note N TEXT", "logprobs KIND JSON",
 * "opaque N JSON", "end N", "finish REASON", "usage", "ping", "error", "over". In texts '|' is a line
 * break and '_' a blank. "choice N" makes N the choice of what follows.
 *
 * What comes out: "N KIND ID NAME {" … "}" for blocks, texts of one block that follow each other
 * joined. */
#ifndef PENSTOCK_TESTS_SHAPE_SCRIPT_H
#define PENSTOCK_TESTS_SHAPE_SCRIPT_H

#include "dialect_test.h"

#include "dialect/translation.h"

static const struct dialect test_chat = {.name = "chat", .has_choices = true};
static const struct dialect test_responses = {.name = "responses", .is_sequential = true};
static const struct dialect test_messages = {.name = "messages", .is_sequential = true};

/* ---- out ---- */

struct shown {
    struct buf out, text;
    uint32_t block;
    bool has_text;
    unsigned n_events;
};

static inline void shown_flush(struct shown *s) {
    if (!s->has_text) return;
    assert_int_equal(buf_appendf(&s->out, "%u ", s->block), 0);
    put(&s->out, SLICE("\""));
    put(&s->out, buf_slice(&s->text));
    put(&s->out, SLICE("\"\n"));
    buf_reset(&s->text);
    s->has_text = false;
}

static inline int shown_event(void *self, const struct event *ev) {
    struct shown *s = self;
    s->n_events++;
    if (ev->kind == EV_DELTA) {
        assert_true(ev->text.len > 0);
        if (s->has_text && s->block != ev->block) shown_flush(s);
        s->has_text = true;
        s->block = ev->block;
        put(&s->text, ev->text);
        return 0;
    }
    shown_flush(s);
    switch (ev->kind) {
    case EV_BLOCK_BEGIN:
        assert_int_equal(buf_appendf(&s->out, "%u %s", ev->block, block_kind_name(ev->block_kind)),
                         0);
        if (ev->choice) assert_int_equal(buf_appendf(&s->out, "/%u", ev->choice), 0);
        if (ev->u.begin.id.len)
            assert_int_equal(buf_appendf(&s->out, " %.*s", SLICE_FMT(ev->u.begin.id)), 0);
        if (ev->u.begin.name_space.len)
            assert_int_equal(buf_appendf(&s->out, " %.*s.", SLICE_FMT(ev->u.begin.name_space)), 0);
        if (ev->u.begin.name.len)
            assert_int_equal(buf_appendf(&s->out, " %.*s", SLICE_FMT(ev->u.begin.name)), 0);
        put(&s->out, SLICE(" {\n"));
        break;
    case EV_BLOCK_END: assert_int_equal(buf_appendf(&s->out, "%u }\n", ev->block), 0); break;
    case EV_SIGNATURE:
        assert_int_equal(buf_appendf(&s->out, "%u sig %.*s\n", ev->block, SLICE_FMT(ev->text)), 0);
        break;
    case EV_PART: assert_int_equal(buf_appendf(&s->out, "%u part\n", ev->block), 0); break;
    case EV_ANNOTATION:
        assert_int_equal(buf_appendf(&s->out, "%u note %.*s %.*s %.*s\n", ev->block,
                                     SLICE_FMT(ev->u.annotation.url),
                                     SLICE_FMT(ev->u.annotation.title), SLICE_FMT(ev->raw_json)),
                         0);
        break;
    case EV_LOGPROBS:
        assert_int_equal(buf_appendf(&s->out, "logprobs %.*s\n", SLICE_FMT(ev->raw_json)), 0);
        break;
    case EV_OPAQUE:
        assert_int_equal(buf_appendf(&s->out, "%u opaque %.*s\n", ev->block,
                                     SLICE_FMT(ev->raw_json)),
                         0);
        break;
    case EV_FINISH:
        assert_int_equal(
            buf_appendf(&s->out, "finish %s", stop_reason_name(ev->u.finish.reason)), 0);
        if (ev->choice) assert_int_equal(buf_appendf(&s->out, "/%u", ev->choice), 0);
        if (ev->u.finish.stop_sequence.len)
            assert_int_equal(
                buf_appendf(&s->out, " %.*s", SLICE_FMT(ev->u.finish.stop_sequence)), 0);
        put(&s->out, SLICE("\n"));
        break;
    default:
        put(&s->out, slice_cstr(event_kind_name(ev->kind)));
        put(&s->out, SLICE("\n"));
        break;
    }
    return 0;
}

/* ---- in ---- */

static inline struct slice next_word(struct slice *rest) {
    *rest = slice_trim(*rest);
    ptrdiff_t blank = slice_index(*rest, ' ');
    struct slice word = blank < 0 ? *rest : slice_sub(*rest, 0, (size_t)blank);
    *rest = slice_from(*rest, word.len);
    return word;
}

static inline uint32_t next_number(struct slice *rest) {
    uint64_t n;
    assert_true(slice_to_u64(next_word(rest), UINT32_MAX, &n));
    return (uint32_t)n;
}

static inline enum block_kind kind_named(struct slice name) {
    for (int k = 0; k < BLOCK_KIND_COUNT; k++) {
        if (slice_eq(name, slice_cstr(block_kind_name((enum block_kind)k))))
            return (enum block_kind)k;
    }
    fail_msg("no kind %.*s", SLICE_FMT(name));
    return BLOCK_TEXT;
}

struct script_state {
    enum block_kind kinds[64];
    uint64_t offs[64];
    uint16_t choice;
    size_t step;   /* deltas are cut into pieces of so many bytes; 0: whole */
};

static inline struct slice script_text(struct slice rest, char *room) {
    rest = slice_trim(rest);
    for (size_t i = 0; i < rest.len; i++)
        room[i] = rest.ptr[i] == '|' ? '\n' : rest.ptr[i] == '_' ? ' ' : rest.ptr[i];
    return slice_make(room, rest.len);
}

static inline int script_line(struct shaper *sh, struct script_state *st, struct slice line,
                              const struct event_sink *sink, struct err *e) {
    static char room[4096];
    struct slice rest = line, word = next_word(&rest);
    struct event ev = {.choice = st->choice};
#define IS(name) slice_eq(word, SLICE(name))
    if (IS("choice")) {
        st->choice = (uint16_t)next_number(&rest);
        return 0;
    }
    if (IS("begin") || IS("input") || IS("delta") || IS("recap") || IS("sig") || IS("part") ||
        IS("note") || IS("opaque") || IS("end")) {
        ev.block = next_number(&rest);
        if (IS("begin")) {
            st->kinds[ev.block] = kind_named(next_word(&rest));
            st->offs[ev.block] = 0;
        }
        ev.block_kind = st->kinds[ev.block];
    }
    if (IS("start")) {
        ev.kind = EV_START;
        ev.u.start = (struct event_start){
            .origin = "test", .id = SLICE("up_1"), .model = SLICE("m"), .created = 7};
    } else if (IS("begin")) {
        ev.kind = EV_BLOCK_BEGIN;
        ev.u.begin.id = next_word(&rest);
        ev.u.begin.name = next_word(&rest);
        if (slice_eq(ev.u.begin.id, SLICE("-"))) ev.u.begin.id = SLICE_NULL;
        ev.u.begin.input_json = slice_trim(rest);
        if (ev.block_kind == BLOCK_REASONING || ev.block_kind == BLOCK_REDACTED) {
            ev.u.begin.item_id = ev.u.begin.id;
            ev.u.begin.id = SLICE_NULL;
        }
    } else if (IS("delta") || IS("recap")) {
        ev.kind = EV_DELTA;
        ev.flags = IS("delta") ? EVF_CONTENT : EVF_RECAP;
        struct slice text = script_text(rest, room);
        size_t step = st->step ? st->step : text.len;
        do {
            ev.text = slice_sub(text, 0, step);
            /* of its own storage, so that a slice that is kept shows */
            char *copy = mem_dup_cstr(ev.text);
            ev.text.ptr = copy;
            ev.block_off = st->offs[ev.block];
            st->offs[ev.block] += ev.text.len;
            int rc = shaper_event(sh, &ev, sink, e);
            mem_free(copy);
            if (rc) return rc;
            text = slice_from(text, step);
        } while (text.len > 0);
        return 0;
    } else if (IS("sig")) {
        ev.kind = EV_SIGNATURE;
        ev.text = slice_trim(rest);
    } else if (IS("part")) {
        ev.kind = EV_PART;
    } else if (IS("note")) {
        ev.kind = EV_ANNOTATION;
        ev.u.annotation = (struct annotation){.url = SLICE("u"), .title = SLICE("t")};
        ev.raw_json = slice_trim(rest);
    } else if (IS("logprobs")) {
        ev.kind = EV_LOGPROBS;
        ev.block_kind = kind_named(next_word(&rest));
        ev.raw_json = slice_trim(rest);
    } else if (IS("opaque")) {
        ev.kind = EV_OPAQUE;
        ev.raw_json = slice_trim(rest);
    } else if (IS("end")) {
        ev.kind = EV_BLOCK_END;
    } else if (IS("finish")) {
        ev.kind = EV_FINISH;
        struct slice reason = next_word(&rest);
        for (int r = 0; r <= STOP_ERROR; r++) {
            if (slice_eq(reason, slice_cstr(stop_reason_name((enum stop_reason)r))))
                ev.u.finish.reason = (enum stop_reason)r;
        }
    } else if (IS("usage")) {
        ev.kind = EV_USAGE;
    } else if (IS("ping")) {
        ev.kind = EV_PING;
    } else if (IS("error")) {
        ev.kind = EV_ERROR;
    } else if (IS("over")) {
        ev.kind = EV_END;
    } else {
        fail_msg("what is %.*s", SLICE_FMT(line));
    }
#undef IS
    return shaper_event(sh, &ev, sink, e);
}

/* What a shaper makes of the script, and what it returned at last. */
static inline int script_run(const struct translation *t, const char *script, size_t step,
                             size_t max_held, struct shown *out, struct err *e) {
    struct script_state st = {.step = step};
    struct event_sink sink = {shown_event, out};
    struct shaper *sh = shaper_new(t, max_held);
    struct slice rest = slice_cstr(script);
    int rc = 0;
    *out = (struct shown){0};
    buf_init(&out->out, TEST_BYTES);
    buf_init(&out->text, TEST_BYTES);
    while (rest.len > 0 && rc == 0) {
        ptrdiff_t nl = slice_index(rest, '\n');
        struct slice line = nl < 0 ? rest : slice_sub(rest, 0, (size_t)nl);
        if (line.len > 0) rc = script_line(sh, &st, line, &sink, e);
        rest = slice_from(rest, line.len + 1);
    }
    shown_flush(out);
    shaper_free(sh);
    return rc;
}

static inline void shown_dispose(struct shown *s) {
    buf_dispose(&s->out);
    buf_dispose(&s->text);
}

#endif
