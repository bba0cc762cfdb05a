/* SPDX-License-Identifier: Apache-2.0 */
/* Random upstreams for the shaper, made of any bytes: what a decoder may say, in any order that its
 * contract allows. What comes out is checked: its order, that no byte of text or arguments is lost
 * or doubled, and that it is the same however the deltas were cut. Violations abort. */
#ifndef PENSTOCK_TESTS_SHAPE_RANDOM_H
#define PENSTOCK_TESTS_SHAPE_RANDOM_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "dialect/translation.h"

#define RANDOM_OPS 300
#define RANDOM_BLOCKS 100
#define RANDOM_TEXT 512

#define REQUIRE(x, ...)                                                                            \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            fprintf(stderr, "%s:%d: not so: %s: ", __FILE__, __LINE__, #x);                        \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fprintf(stderr, "\n");                                                                 \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct random_bytes {
    const uint8_t *p;
    size_t n;
};
static inline unsigned random_next(struct random_bytes *r, unsigned below) {
    if (r->n == 0) return 0;
    r->n--;
    return *r->p++ % below;
}

/* ---- what goes in ---- */

struct random_block {
    enum block_kind kind;
    uint16_t choice;
    bool is_open;
    const char *name;
    char id[16];
    char text[RANDOM_TEXT];          /* said so far */
    size_t len;
    const char *plan;                /* a call's arguments */
    size_t planned;
};
struct random_op {
    struct event ev;
    size_t text_off, text_len;       /* in texts */
};
struct random_script {
    struct random_block blocks[RANDOM_BLOCKS];
    unsigned n_blocks;
    struct random_op ops[RANDOM_OPS + 4 * RANDOM_BLOCKS];
    unsigned n_ops;
    char *texts;
    size_t texts_len;
    bool finished[2];
    struct translation t;
    struct tool_name names[1];
    struct slice stops[2];
    struct capabilities caps;
};

static const struct dialect random_clients[4] = {
    {.name = "chat", .has_choices = true},
    {.name = "completions", .has_choices = true},
    {.name = "responses", .is_sequential = true},
    {.name = "messages", .is_sequential = true},
};
static const struct dialect random_upstream = {.name = "upstream", .has_choices = true};

static inline struct event *random_op(struct random_script *s, enum event_kind kind, int block) {
    struct random_op *op = &s->ops[s->n_ops++];
    *op = (struct random_op){.ev = {.kind = kind}};
    if (block >= 0) {
        op->ev.block = (uint32_t)block;
        op->ev.block_kind = s->blocks[block].kind;
        op->ev.choice = s->blocks[block].choice;
    }
    return &op->ev;
}

static inline void random_begin(struct random_script *s, struct random_bytes *r) {
    static const char *const plans[] = {"{\"a\":1}", "{}", "", " \n", "{\"k\":\"}\\\"{\\\\\"}",
                                        "\n {\"x\":[{\"y\":[]},\"]\"]} ", "[1,\"{\"]", "12",
                                        "{\"input\":\"a\\nb\"}"};
    static const char *const names[] = {"f", "g", "json_output", "patch"};
    static const enum block_kind kinds[] = {
        BLOCK_TEXT,     BLOCK_TEXT,      BLOCK_REASONING, BLOCK_TOOL_CALL, BLOCK_TOOL_CALL,
        BLOCK_REFUSAL,  BLOCK_TOOL_CALL, BLOCK_REDACTED,  BLOCK_OPAQUE,    BLOCK_CUSTOM_TOOL_CALL,
        BLOCK_FUNCTION_CALL};
    /* stops are looked for in answers of one choice only */
    uint16_t choice = random_next(r, 8) == 0 && s->t.n_stops == 0;
    if (s->n_blocks == RANDOM_BLOCKS || s->finished[choice]) return;
    struct random_block *b = &s->blocks[s->n_blocks];
    *b = (struct random_block){.choice = choice, .is_open = true};
    b->kind = kinds[random_next(r, 11)];
    b->plan = plans[random_next(r, 9)];
    b->name = names[random_next(r, 4)];
    snprintf(b->id, sizeof b->id, "id%u", s->n_blocks);
    struct event *ev = random_op(s, EV_BLOCK_BEGIN, (int)s->n_blocks++);
    ev->u.begin.id = slice_cstr(b->id);
    if (ev->block_kind == BLOCK_TOOL_CALL || ev->block_kind == BLOCK_CUSTOM_TOOL_CALL ||
        ev->block_kind == BLOCK_FUNCTION_CALL) {
        ev->u.begin.name = slice_cstr(b->name);
        ev->flags = EVF_CONTENT;
    }
}

static inline bool random_is_call(const struct random_block *b) {
    return b->kind == BLOCK_TOOL_CALL || b->kind == BLOCK_FUNCTION_CALL;
}

static inline void random_delta(struct random_script *s, struct random_bytes *r, unsigned i) {
    struct random_block *b = &s->blocks[i];
    char text[64];
    size_t len;
    if (random_is_call(b)) {
        size_t left = strlen(b->plan) - b->planned;
        len = random_next(r, 12);
        if (len > left) len = left;
        memcpy(text, b->plan + b->planned, len);
        b->planned += len;
    } else {
        static const char *const pieces[] = {"E",  "END", "N",  "D",    "\n", "  ",  "xy",
                                             "\xe2\x82\xac", "x",   "hello \"you\"", "EN", "Dxx"};
        const char *piece = pieces[random_next(r, 12)];
        const char *mark = b->len == 0 && random_next(r, 2) ? b->id : "";
        len = (size_t)snprintf(text, sizeof text, "%s%s", mark, piece);
    }
    if (len == 0 || b->len + len > RANDOM_TEXT) return;
    struct random_op *op = &s->ops[s->n_ops];
    struct event *ev = random_op(s, EV_DELTA, (int)i);
    ev->flags = EVF_CONTENT;
    ev->block_off = b->len;
    op->text_off = s->texts_len;
    op->text_len = len;
    memcpy(s->texts + s->texts_len, text, len);
    s->texts_len += len;
    memcpy(b->text + b->len, text, len);
    b->len += len;
}

static inline void random_rest(struct random_script *s, struct random_bytes *r, unsigned i) {
    switch (random_next(r, 6)) {
    case 0: random_op(s, EV_SIGNATURE, (int)i)->text = SLICE("c2ln"); break;
    case 1: random_op(s, EV_PART, (int)i); break;
    case 2: random_op(s, EV_ANNOTATION, (int)i)->raw_json = SLICE("{}"); break;
    case 3: {
        struct event *ev = random_op(s, EV_LOGPROBS, (int)i);
        ev->block_kind = BLOCK_TEXT;
        ev->raw_json = SLICE("[{}]");
        break;
    }
    case 4: random_op(s, EV_OPAQUE, (int)i)->raw_json = SLICE("{}"); break;
    default: {
        struct event *ev = random_op(s, EV_DELTA, (int)i);
        ev->flags = EVF_RECAP;
        ev->text = SLICE("all of it again");
        break;
    }
    }
}

static inline void random_end(struct random_script *s, unsigned i) {
    if (!s->blocks[i].is_open) return;
    s->blocks[i].is_open = false;
    random_op(s, EV_BLOCK_END, (int)i);
}

static inline void random_finish(struct random_script *s, struct random_bytes *r, uint16_t choice) {
    if (s->finished[choice]) return;
    for (unsigned i = 0; i < s->n_blocks; i++) {
        if (s->blocks[i].choice == choice) random_end(s, i);
    }
    s->finished[choice] = true;
    struct event *ev = random_op(s, EV_FINISH, -1);
    ev->choice = choice;
    ev->u.finish.reason = (enum stop_reason)random_next(r, STOP_ERROR);
}

static inline void random_make(struct random_script *s, struct random_bytes *r) {
    unsigned client = random_next(r, 4), how = random_next(r, 64);
    memset(s, 0, sizeof *s);
    s->texts = mem_alloc(RANDOM_OPS * 80);
    s->caps.family = (enum proof_family)(how & 3 ? (how & 3) - 1 : 0);
    s->names[0] = (struct tool_name){.name = SLICE("apply.patch"),
                                     .sent = SLICE("patch"),
                                     .kind = TOOL_CUSTOM,
                                     .is_custom = true};
    s->stops[0] = SLICE("END");
    s->stops[1] = SLICE("Dxxy");
    s->t = (struct translation){
        .from = &random_clients[client], .to = &random_upstream, .caps = &s->caps};
    if (how & 4) s->t.names = s->names;
    if (how & 8) {
        s->t.stops = s->stops;
        s->t.n_stops = 2;
    }
    if (how & 16) s->t.json_tool = SLICE("json_output");
    struct event *start = random_op(s, EV_START, -1);
    start->u.start = (struct event_start){.origin = "upstream", .id = SLICE("u1"), .created = 1};
    while (r->n > 0 && s->n_ops < RANDOM_OPS) {
        unsigned what = random_next(r, 16);
        unsigned i = s->n_blocks ? random_next(r, s->n_blocks) : 0;
        bool is_open = i < s->n_blocks && s->blocks[i].is_open;
        if (what < 4 || !is_open) random_begin(s, r);
        else if (what < 11) random_delta(s, r, i);
        else if (what < 13) random_end(s, i);
        else if (what < 14) random_rest(s, r, i);
        else if (what < 15) random_op(s, random_next(r, 2) ? EV_PING : EV_USAGE, -1);
        else if (random_next(r, 8) == 0) random_finish(s, r, 1);
    }
    random_finish(s, r, 1);
    random_finish(s, r, 0);
    random_op(s, EV_END, -1);
}

/* ---- what comes out ---- */

struct seen_block {
    enum block_kind kind;
    uint16_t choice;
    bool is_open;
    char id[64];
    char *text;
    size_t len;
};
struct seen {
    bool is_sequential, has_start, is_over, finished[2];
    struct seen_block *blocks;
    unsigned n_blocks, n_open;
    enum stop_reason reasons[2];
};

static inline int seen_event(void *self, const struct event *ev) {
    struct seen *v = self;
    REQUIRE(!v->is_over, "%s after the end", event_kind_name(ev->kind));
    REQUIRE(v->has_start == (ev->kind != EV_START), "%s", event_kind_name(ev->kind));
    v->has_start = true;
    bool is_of_block = ev->kind == EV_DELTA || ev->kind == EV_SIGNATURE || ev->kind == EV_PART ||
                       ev->kind == EV_ANNOTATION || ev->kind == EV_BLOCK_END ||
                       ev->kind == EV_OPAQUE;
    struct seen_block *b = NULL;
    if (is_of_block) {
        REQUIRE(ev->block < v->n_blocks, "block %u", ev->block);
        b = &v->blocks[ev->block];
        REQUIRE(b->is_open && b->kind == ev->block_kind && b->choice == ev->choice, "%s of %u",
                event_kind_name(ev->kind), ev->block);
    }
    if (ev->kind == EV_BLOCK_BEGIN) {
        REQUIRE(ev->block == v->n_blocks, "ids are dense");
        REQUIRE(!v->is_sequential || v->n_open == 0, "one is open");
        REQUIRE(ev->choice < 2 && !v->finished[ev->choice], "finished");
        v->blocks = mem_realloc(v->blocks, (v->n_blocks + 1) * sizeof *v->blocks);
        b = &v->blocks[v->n_blocks++];
        *b = (struct seen_block){.kind = ev->block_kind, .choice = ev->choice, .is_open = true};
        REQUIRE(ev->u.begin.id.len < sizeof b->id, "id");
        snprintf(b->id, sizeof b->id, "%.*s", SLICE_FMT(ev->u.begin.id));
        b->text = mem_alloc(1);
        v->n_open++;
    } else if (ev->kind == EV_DELTA) {
        REQUIRE(ev->text.len > 0 && ev->block_off == b->len, "offset");
        b->text = mem_realloc(b->text, b->len + ev->text.len);
        memcpy(b->text + b->len, ev->text.ptr, ev->text.len);
        b->len += ev->text.len;
    } else if (ev->kind == EV_BLOCK_END) {
        b->is_open = false;
        v->n_open--;
    } else if (ev->kind == EV_FINISH) {
        for (unsigned i = 0; i < v->n_blocks; i++)
            REQUIRE(v->blocks[i].choice != ev->choice || !v->blocks[i].is_open, "open at finish");
        REQUIRE(ev->choice < 2 && !v->finished[ev->choice], "finished twice");
        v->finished[ev->choice] = true;
        v->reasons[ev->choice] = ev->u.finish.reason;
    } else if (ev->kind == EV_END || ev->kind == EV_ERROR) {
        v->is_over = true;
    }
    return 0;
}

static inline void seen_dispose(struct seen *v) {
    for (unsigned i = 0; i < v->n_blocks; i++) mem_free(v->blocks[i].text);
    mem_free(v->blocks);
}

/* step: of deltas; 0: as they are. */
static inline int random_run(const struct random_script *s, size_t step, size_t max_held,
                             struct seen *out) {
    *out = (struct seen){.is_sequential = s->t.from->is_sequential};
    struct event_sink sink = {seen_event, out};
    struct shaper *sh = shaper_new(&s->t, max_held);
    struct err e = {0};
    int rc = 0;
    for (unsigned i = 0; i < s->n_ops && rc == 0; i++) {
        struct event ev = s->ops[i].ev;
        size_t done = 0, len = s->ops[i].text_len;
        if (len == 0) rc = shaper_event(sh, &ev, &sink, &e);
        while (done < len && rc == 0) {
            size_t n = step && step < len - done ? step : len - done;
            char *copy = mem_alloc(n); /* exactly as long, and gone right after */
            memcpy(copy, s->texts + s->ops[i].text_off + done, n);
            ev.text = slice_make(copy, n);
            ev.block_off = s->ops[i].ev.block_off + done;
            rc = shaper_event(sh, &ev, &sink, &e);
            mem_free(copy);
            done += n;
        }
    }
    REQUIRE(rc == 0 || e.text[0], "an error without text");
    shaper_free(sh);
    return rc;
}

/* ---- checks ---- */

static inline bool random_is_space(char c) {
    return c == ' ' || c == '\n';
}

/* What a call's arguments become. */
static inline struct slice random_expected(const struct random_script *s,
                                           const struct random_block *b, char *room) {
    bool is_chat = !s->t.from->is_sequential, is_messages = s->t.from == &random_clients[3];
    size_t from = 0, to = b->len;
    while (from < to && random_is_space(b->text[from])) from++;
    while (to > from && random_is_space(b->text[to - 1])) to--;
    struct slice trimmed = slice_make(b->text + from, to - from);
    if (trimmed.len == 0) {
        if (!s->t.from->is_sequential)
            return slice_make(room, (size_t)snprintf(room, 600, "%.*s{}", (int)b->len, b->text));
        return is_messages ? SLICE("{}") : SLICE("");
    }
    if (is_chat) return slice_make(b->text, b->len);
    if (trimmed.ptr[0] == '{') return trimmed;
    trimmed = slice_make(b->text + from, b->len - from);
    if (!is_messages) return trimmed;
    bool is_value = b->planned == strlen(b->plan) || slice_eq(trimmed, SLICE("1"));
    int n = is_value ? snprintf(room, 600, "{\"value\":%.*s}", SLICE_FMT(trimmed)) : -1;
    return n < 0 ? SLICE_NULL : slice_make(room, (size_t)n);
}

static inline const struct seen_block *seen_find(const struct seen *v, const char *id) {
    for (unsigned i = 0; i < v->n_blocks; i++) {
        if (strcmp(v->blocks[i].id, id) == 0) return &v->blocks[i];
    }
    return NULL;
}

static inline bool seen_has_text(const struct seen *v, struct slice text) {
    for (unsigned i = 0; i < v->n_blocks; i++) {
        if (slice_eq(slice_make(v->blocks[i].text, v->blocks[i].len), text)) return true;
    }
    return false;
}

static inline void random_check_block(const struct random_script *s, const struct random_block *b,
                                      const struct seen *v) {
    char room[700];
    bool is_shown = b->choice == 0 || s->t.from->has_choices;
    if (!is_shown) return;
    if (random_is_call(b)) {
        bool is_custom = s->t.names && strcmp(b->name, "patch") == 0;
        bool is_hidden = s->t.json_tool.len > 0 && strcmp(b->name, "json_output") == 0;
        if (is_custom || is_hidden) return;
        const struct seen_block *out = seen_find(v, b->id);
        REQUIRE(out, "a call was lost: %s", b->id);
        struct slice expected = random_expected(s, b, room);
        struct slice got = slice_make(out->text, out->len);
        REQUIRE(!expected.ptr || slice_eq(got, expected), "%.*s is not %.*s", SLICE_FMT(got),
                SLICE_FMT(expected));
    } else if (b->kind == BLOCK_REASONING || b->kind == BLOCK_REFUSAL) {
        REQUIRE(b->len == 0 || seen_has_text(v, slice_make(b->text, b->len)), "lost: %.*s",
                (int)b->len, b->text);
    } else if (b->kind == BLOCK_TEXT && s->t.json_tool.len == 0) {
        bool is_blank = true;
        for (size_t i = 0; i < b->len; i++) is_blank &= random_is_space(b->text[i]);
        REQUIRE(is_blank || seen_has_text(v, slice_make(b->text, b->len)), "lost: %.*s",
                (int)b->len, b->text);
    }
}

static inline void random_check_same(const struct seen *a, const struct seen *b) {
    REQUIRE(a->n_blocks == b->n_blocks, "%u blocks, and %u", a->n_blocks, b->n_blocks);
    for (unsigned i = 0; i < a->n_blocks; i++) {
        const struct seen_block *x = &a->blocks[i], *y = &b->blocks[i];
        REQUIRE(x->kind == y->kind && strcmp(x->id, y->id) == 0, "block %u", i);
        REQUIRE(x->len == y->len && memcmp(x->text, y->text, x->len) == 0, "%.*s, and %.*s",
                (int)x->len, x->text, (int)y->len, y->text);
    }
    for (int c = 0; c < 2; c++)
        REQUIRE(a->finished[c] == b->finished[c] && a->reasons[c] == b->reasons[c], "finish");
}

/* Arguments that begin an object and do not end it. */
static inline bool random_is_cut(const struct random_block *b) {
    unsigned depth = 0;
    bool in_string = false;
    size_t i = 0;
    while (i < b->len && random_is_space(b->text[i])) i++;
    if (!random_is_call(b) || b->choice != 0 || i == b->len || b->text[i] != '{') return false;
    for (; i < b->len; i++) {
        char c = b->text[i];
        if (in_string && c == '\\') i++;
        else if (c == '"') in_string = !in_string;
        else if (!in_string && (c == '{' || c == '[')) depth++;
        else if (!in_string && (c == '}' || c == ']')) depth--;
    }
    return depth > 0;
}

/* To messages' clients a cut call with a reason that says it is whole is an error. */
static inline void random_check_result(const struct random_script *s, int rc) {
    bool has_cut = false;
    enum stop_reason told = STOP_END;
    for (unsigned i = 0; i < s->n_blocks; i++) has_cut |= random_is_cut(&s->blocks[i]);
    for (unsigned i = 0; i < s->n_ops; i++) {
        const struct event *ev = &s->ops[i].ev;
        if (ev->kind == EV_FINISH && ev->choice == 0) told = ev->u.finish.reason;
    }
    bool may_fail = has_cut && s->t.from == &random_clients[3] &&
                    (told == STOP_END || told == STOP_TOOL);
    bool must_fail = may_fail && s->t.n_stops == 0 && s->t.json_tool.len == 0;
    REQUIRE(rc == 0 ? !must_fail : may_fail && rc == -ERR_PROTOCOL, "%d", rc);
}

static inline void shape_random_check(const uint8_t *data, size_t size) {
    static struct random_script s;
    struct random_bytes r = {data, size};
    static const size_t steps[] = {1, 2, 5};
    struct seen whole;
    random_make(&s, &r);
    int rc = random_run(&s, 0, (size_t)1 << 22, &whole);
    random_check_result(&s, rc);
    REQUIRE(whole.n_open == 0 && (rc || (whole.is_over && whole.finished[0])), "the end");
    for (unsigned i = 0; s.t.n_stops == 0 && i < s.n_blocks; i++)
        random_check_block(&s, &s.blocks[i], &whole);
    for (size_t i = 0; i < 3; i++) {
        struct seen cut;
        int same = random_run(&s, steps[i], (size_t)1 << 22, &cut);
        REQUIRE(rc == same, "%d, and %d", rc, same);
        random_check_same(&whole, &cut);
        seen_dispose(&cut);
    }
    seen_dispose(&whole);
    /* at the limit it may fail, but in order */
    int limited = random_run(&s, 0, size * 8, &whole);
    REQUIRE(limited == rc || limited == -ERR_LIMIT, "%d", limited);
    seen_dispose(&whole);
    mem_free(s.texts);
}

#endif
