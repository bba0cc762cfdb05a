/* SPDX-License-Identifier: Apache-2.0 */
/* A collected answer to the body of a request that was not streamed: what an SDK would put together
 * from the stream of the same answer. */
#include "dialect/messages/messages-private.h"

#include "dialect/json_text.h"

#define BODY_MAX_BYTES ((size_t)1 << 30)

struct body {
    struct json_writer w;
    struct slice id;
    bool is_native, any_tool, any_refusal;
    unsigned n_written;
};

/* ---- prose ---- */

static void begin_block(struct body *b, struct slice head) {
    if (b->n_written++ > 0) jw(&b->w, SLICE(","));
    jw(&b->w, head);
}

static void w_text(struct body *b, const struct answer_block *k) {
    if (k->text.len == 0 && !b->is_native) return;
    b->any_refusal |= k->kind == BLOCK_REFUSAL && k->text.len > 0;
    begin_block(b, SLICE("{\"type\":\"text\",\"text\":"));
    jw_string(&b->w, k->text);
    if (b->is_native && k->annotations_json.len > 0) {
        jw(&b->w, SLICE(",\"citations\":["));
        jw_raw(&b->w, k->annotations_json);
        jw(&b->w, SLICE("]"));
    }
    jw(&b->w, SLICE("}"));
}

/* A blank line between parts. */
static void w_parts(struct body *b, const struct answer_block *k) {
    size_t from = 0;
    jw(&b->w, SLICE("\""));
    for (unsigned i = 0; i < k->n_parts; i++) {
        if (k->parts[i] == 0 || k->parts[i] < from || k->parts[i] > k->text.len) continue;
        jw_escaped(&b->w, slice_sub(k->text, from, k->parts[i] - from));
        jw(&b->w, SLICE("\\n\\n"));
        from = k->parts[i];
    }
    jw_escaped(&b->w, slice_from(k->text, from));
    jw(&b->w, SLICE("\""));
}

static void w_thinking(struct body *b, const struct answer_block *k) {
    if (k->text.len == 0 && k->signature.len == 0 && !b->is_native) return;
    begin_block(b, SLICE("{\"type\":\"thinking\",\"thinking\":"));
    w_parts(b, k);
    jw(&b->w, SLICE(",\"signature\":"));
    jw_string(&b->w, k->signature);
    jw(&b->w, SLICE("}"));
}

static void w_redacted(struct body *b, const struct answer_block *k) {
    if (k->signature.len == 0) return;
    begin_block(b, SLICE("{\"type\":\"redacted_thinking\",\"data\":"));
    jw_string(&b->w, k->signature);
    jw(&b->w, SLICE("}"));
}

/* ---- calls ---- */

static struct slice trim_json(struct slice s) {
    s = slice_from(s, json_text_skip_space(s, 0));
    while (s.len > 0 && json_text_skip_space(slice_from(s, s.len - 1), 0) == 1)
        s.len--;
    return s;
}

static bool is_value(struct slice text) {
    struct json_doc d;
    bool is = json_doc_parse(&d, text, NULL) == 0;
    json_doc_free(&d);
    return is;
}

/* `input` is an object: other values and what is no JSON (arguments that were cut) are wrapped
 * (translation.md 1.7). */
static void w_input(struct json_writer *w, struct slice args) {
    args = trim_json(args);
    bool is_json = args.len > 0 && is_value(args);
    if (args.len == 0) {
        jw(w, SLICE("{}"));
    } else if (is_json && json_text_is(args, '{')) {
        jw_raw(w, args);
    } else if (is_json) {
        jw(w, SLICE("{\"value\":"));
        jw_raw(w, args);
        jw(w, SLICE("}"));
    } else {
        jw(w, SLICE("{\"_raw\":"));
        jw_string(w, args);
        jw(w, SLICE("}"));
    }
}

static void w_call(struct body *b, const struct answer_block *k) {
    b->any_tool = true;
    begin_block(b, SLICE("{\"type\":\"tool_use\",\"id\":"));
    messages_w_tool_id(&b->w, k->tool_id, b->id, k->id);
    jw(&b->w, SLICE(",\"name\":"));
    jw_string(&b->w, k->tool_name);
    jw(&b->w, SLICE(",\"input\":"));
    if (k->kind == BLOCK_CUSTOM_TOOL_CALL) {
        jw(&b->w, SLICE("{\"input\":"));
        jw_string(&b->w, k->text);
        jw(&b->w, SLICE("}"));
    } else {
        w_input(&b->w, k->text);
    }
    jw(&b->w, SLICE("}"));
}

/* ---- blocks as they came, with their deltas ----
 *
 * input_json_delta: the pieces make `input`. Any other: its strings are appended to the block's of
 * the same name, its other members take their place. */

#define MAX_CHANGES 16 /* names; what goes beyond is left out */

struct change {
    struct slice key;
    struct buf text;  /* pieces of a string, decoded */
    struct slice raw; /* else the value */
    bool is_written;
};

struct changes {
    struct change list[MAX_CHANGES];
    unsigned n;
    struct arena *a;
    int rc;
};

static struct change *find_change(struct changes *g, struct slice key) {
    for (unsigned i = 0; i < g->n; i++) {
        if (slice_eq(g->list[i].key, key)) return &g->list[i];
    }
    return NULL;
}

static struct change *need_change(struct changes *g, struct slice key) {
    struct change *c = find_change(g, key);
    if (c || g->n == MAX_CHANGES) return c;
    c = &g->list[g->n++];
    *c = (struct change){.key = key};
    buf_init(&c->text, BODY_MAX_BYTES);
    return c;
}

static void add_change(struct changes *g, struct slice key, struct slice value) {
    if (slice_eq(key, SLICE("type"))) return;
    if (slice_eq(key, SLICE("partial_json"))) key = SLICE("input");
    struct change *c = need_change(g, key);
    if (!c) return;
    if (!json_text_is(value, '"')) {
        c->raw = value;
        buf_reset(&c->text);
    } else if (g->rc == 0) {
        c->raw = SLICE_NULL;
        g->rc = buf_append(&c->text, json_text_string(value, g->a));
    }
}

static void read_changes(struct changes *g, struct slice deltas) {
    struct json_walk walk = {deltas, 0};
    struct slice delta, key, value;
    while (json_walk_element(&walk, &delta)) {
        struct json_walk members = json_walk_begin(delta);
        while (json_walk_member(&members, &key, &value))
            add_change(g, json_text_unescape(key, g->a), value);
    }
}

/* own: the block's value; empty when it has none */
static void w_changed(struct json_writer *w, struct changes *g, struct change *c,
                      struct slice own) {
    c->is_written = true;
    if (c->raw.ptr) {
        jw_raw(w, c->raw);
    } else if (slice_eq(c->key, SLICE("input"))) {
        bool is_told = trim_json(buf_slice(&c->text)).len > 0;
        w_input(w, is_told ? buf_slice(&c->text) : own);
    } else {
        jw(w, SLICE("\""));
        jw_escaped(w, json_text_string(own, g->a));
        jw_escaped(w, buf_slice(&c->text));
        jw(w, SLICE("\""));
    }
}

static void w_key(struct json_writer *w, unsigned *n, struct slice key) {
    jw(w, (*n)++ > 0 ? SLICE(",\"") : SLICE("{\""));
    jw_raw(w, key);
    jw(w, SLICE("\":"));
}

static void w_merged_block(struct json_writer *w, struct changes *g, struct slice block) {
    struct json_walk members = json_walk_begin(block);
    struct slice key, value;
    unsigned n = 0;
    while (json_walk_member(&members, &key, &value)) {
        struct change *c = find_change(g, json_text_unescape(key, g->a));
        w_key(w, &n, key);
        if (c && !c->is_written)
            w_changed(w, g, c, value);
        else
            jw_raw(w, value);
    }
    for (unsigned i = 0; i < g->n; i++) {
        if (g->list[i].is_written) continue;
        jw(w, n++ > 0 ? SLICE(",") : SLICE("{"));
        jw_string(w, g->list[i].key);
        jw(w, SLICE(":"));
        w_changed(w, g, &g->list[i], SLICE(""));
    }
    jw(w, n > 0 ? SLICE("}") : SLICE("{}"));
    if (g->rc) w->rc = g->rc;
}

static void w_opaque(struct body *b, const struct answer_block *k) {
    if (!b->is_native || !json_text_is(k->raw_json, '{')) return;
    if (k->opaque_json.len == 0) {
        begin_block(b, SLICE(""));
        jw_raw(&b->w, k->raw_json);
        return;
    }
    struct changes g = {.a = arena_new()};
    read_changes(&g, k->opaque_json);
    begin_block(b, SLICE(""));
    w_merged_block(&b->w, &g, k->raw_json);
    for (unsigned i = 0; i < g.n; i++)
        buf_dispose(&g.list[i].text);
    arena_free(g.a);
}

/* ---- the body ---- */

static void w_block(struct body *b, const struct answer_block *k) {
    switch (k->kind) {
    case BLOCK_TEXT:
    case BLOCK_REFUSAL: w_text(b, k); break;
    case BLOCK_REASONING: w_thinking(b, k); break;
    case BLOCK_REDACTED: w_redacted(b, k); break;
    case BLOCK_TOOL_CALL:
    case BLOCK_CUSTOM_TOOL_CALL:
    case BLOCK_FUNCTION_CALL: w_call(b, k); break;
    case BLOCK_OPAQUE: w_opaque(b, k); break;
    case BLOCK_AUDIO:
    case BLOCK_KIND_COUNT: break;
    }
}

static void w_content(struct body *b, const struct answer *an, uint16_t choice) {
    const struct answer_block *blocks;
    unsigned n = answer_blocks(an, &blocks);
    for (unsigned i = 0; i < n; i++) {
        if (blocks[i].choice == choice) w_block(b, &blocks[i]);
    }
}

static void w_end(struct body *b, const struct finish *told) {
    struct finish f = *told;
    if (f.reason == STOP_END && b->any_tool)
        f.reason = STOP_TOOL;
    else if (f.reason == STOP_END && b->any_refusal)
        f.reason = STOP_FILTER;
    messages_w_stop(&b->w, &f, b->is_native);
}

static struct slice choose(const struct body *b, struct slice option, struct slice told) {
    bool prefers_told = b->is_native || option.len == 0;
    return prefers_told && told.len > 0 ? told : option;
}

int messages_encode_response(const struct answer *an, const struct encoder_options *o,
                             struct buf *out) {
    const struct event_start *told = answer_start(an);
    const struct answer_choice *choices;
    unsigned n = answer_choices(an, &choices);
    if (answer_error(an) || n == 0 || !choices[0].has_finish ||
        choices[0].finish.reason == STOP_ERROR)
        return -ERR_PROTOCOL;
    struct body b = {.w = jw_begin(out), .is_native = messages_is_native(told)};
    struct slice tier = messages_tier_from_openai(o->service_tier);
    if (tier.len == 0) tier = messages_tier_from_openai(told->service_tier);
    b.id = choose(&b, o->id, told->id);
    jw(&b.w, SLICE("{\"id\":"));
    jw_string(&b.w, b.id);
    jw(&b.w, SLICE(",\"type\":\"message\",\"role\":\"assistant\",\"model\":"));
    jw_string(&b.w, choose(&b, o->model, told->model));
    jw(&b.w, SLICE(",\"content\":["));
    w_content(&b, an, choices[0].index);
    jw(&b.w, SLICE("],"));
    w_end(&b, &choices[0].finish);
    jw(&b.w, SLICE(",\"usage\":"));
    messages_w_usage(&b.w, answer_usage(an), b.is_native, tier, USAGE_BODY);
    jw(&b.w, SLICE("}"));
    return jw_end(&b.w);
}
