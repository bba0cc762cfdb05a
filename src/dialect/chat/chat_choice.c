/* SPDX-License-Identifier: Apache-2.0 */
/* One choice: deltas (or a whole message) to blocks.
 *
 *   text, reasoning, refusal, audio: one such block is open at a time; a delta of another kind ends
 * it and begins the next. tool calls: keyed by `index`; by id, or the last one, where servers leave
 * it out. They stay open until the choice finishes. A call begins with the first fragment that has
 * its arguments' key; before that its name may come in pieces. */
#include "dialect/chat/chat-private.h"

#include "base/mem.h"
#include "dialect/json_text.h"

#define NAME_MAX_BYTES 4096
#define LEGACY_INDEX UINT32_MAX

struct chat_tool {
    uint32_t wire_index, block;
    uint64_t off, id_hash, name_hash;
    enum block_kind kind;
    bool is_begun, has_args;
};

struct chat_pending {
    unsigned tool; /* in the choice's tools */
    struct buf id, name;
};

/* ---- events ---- */

static struct event *put_of_block(struct chat_feed *x, enum event_kind kind,
                                  const struct chat_choice *c, enum block_kind block_kind,
                                  uint32_t block) {
    struct event *ev = event_out_put(&x->out, kind);
    ev->choice = c->index;
    ev->block_kind = block_kind;
    ev->block = block;
    return ev;
}

static void put_text(struct chat_feed *x, const struct chat_choice *c, enum block_kind kind,
                     uint32_t block, uint64_t *off, struct slice text) {
    struct event *ev = put_of_block(x, EV_DELTA, c, kind, block);
    ev->flags = EVF_CONTENT;
    ev->text = text;
    ev->block_off = *off;
    *off += text.len;
}

void chat_need(struct chat_feed *x, yyjson_val *v, bool fits, const char *otherwise) {
    json_doc_need(&x->problem, v, fits, otherwise);
}

static void need_text(struct chat_feed *x, yyjson_val *v) {
    chat_need(x, v, yyjson_is_str(v), "a text that is not a string");
}

static void need_object(struct chat_feed *x, yyjson_val *v) {
    chat_need(x, v, yyjson_is_obj(v), "a part or a call that is not an object");
}

static void need_list(struct chat_feed *x, yyjson_val *v) {
    chat_need(x, v, yyjson_is_arr(v), "calls or thoughts that are not a list");
}

/* ---- the open block ---- */

static void end_block(struct chat_feed *x, struct chat_choice *c) {
    if (!c->is_open) return;
    c->is_open = false;
    put_of_block(x, EV_BLOCK_END, c, c->kind, c->block)->flags = EVF_SYNTH;
}

static void flush_pending(struct chat_feed *x, struct chat_choice *c);

static struct event *begin_block(struct chat_feed *x, struct chat_choice *c, enum block_kind kind) {
    flush_pending(x, c);
    end_block(x, c);
    c->is_open = true;
    c->kind = kind;
    c->block = (*x->next_block)++;
    c->off = 0;
    c->has_signature = false;
    if (kind == BLOCK_TEXT) c->has_text = true, c->text_block = c->block;
    return put_of_block(x, EV_BLOCK_BEGIN, c, kind, c->block);
}

static void need_block(struct chat_feed *x, struct chat_choice *c, enum block_kind kind) {
    if (!c->is_open || c->kind != kind) begin_block(x, c, kind);
}

static bool has_text(const yyjson_val *v) {
    return v && json_doc_str(v).len > 0;
}

static void put_string(struct chat_feed *x, struct chat_choice *c, enum block_kind kind,
                       const yyjson_val *string) {
    if (c->has_signature && c->is_open && kind == BLOCK_REASONING) end_block(x, c);
    need_block(x, c, kind);
    put_text(x, c, kind, c->block, &c->off, json_doc_str(string));
    x->out.ev.val = json_doc_string_span(&x->doc, string);
}

/* ---- tool calls ---- */

/* FNV-1a; 0 is "none". Ids are compared by it: they need not be kept. */
static void begin_tool(struct chat_feed *x, struct chat_choice *c, struct chat_tool *t,
                       struct slice id, struct slice name) {
    end_block(x, c);
    t->is_begun = true;
    t->name_hash = slice_hash_id(name);
    t->block = (*x->next_block)++;
    c->any_tool = true;
    struct event *ev = put_of_block(x, EV_BLOCK_BEGIN, c, t->kind, t->block);
    ev->flags = EVF_CONTENT;
    ev->u.begin = (struct event_begin){
        .id = id, .name = name, .wire_index = t->wire_index == LEGACY_INDEX ? 0 : t->wire_index};
}

static void free_pending(struct chat_choice *c) {
    if (!c->pending) return;
    buf_dispose(&c->pending->id);
    buf_dispose(&c->pending->name);
    mem_free(c->pending);
    c->pending = NULL;
}

/* The call that waited for more of its name has all of it. */
static void flush_pending(struct chat_feed *x, struct chat_choice *c) {
    struct chat_pending *w = c->pending;
    if (!w) return;
    begin_tool(x, c, &c->tools[w->tool], buf_slice(&w->id), buf_slice(&w->name));
    event_out_flush(&x->out, 0); /* the event's slices end here */
    free_pending(c);
}

static void wait_for_name(struct chat_feed *x, struct chat_choice *c, const struct chat_tool *t,
                          struct slice id, struct slice name) {
    struct chat_pending *w = c->pending;
    if (!w) {
        w = c->pending = mem_zalloc(sizeof *w);
        w->tool = (unsigned)(t - c->tools);
        buf_init(&w->id, NAME_MAX_BYTES);
        buf_init(&w->name, NAME_MAX_BYTES);
    }
    if (w->id.len == 0 && buf_append(&w->id, id)) x->problem = "a tool call's id is too long";
    if (buf_append(&w->name, name)) x->problem = "a tool call's name is too long";
}

static struct chat_tool *add_tool(struct chat_feed *x, struct chat_choice *c, uint32_t index,
                                  enum block_kind kind) {
    if (c->n_tools == CHAT_MAX_TOOLS) {
        x->problem = "more than 128 tool calls in one choice";
        return NULL;
    }
    if (c->n_tools == c->cap_tools) {
        c->cap_tools = (uint16_t)(c->cap_tools ? c->cap_tools * 2 : 2);
        c->tools = mem_realloc(c->tools, c->cap_tools * sizeof *c->tools);
    }
    struct chat_tool *t = &c->tools[c->n_tools++];
    *t = (struct chat_tool){.wire_index = index, .kind = kind};
    return t;
}

/* What one fragment says. */
struct fragment {
    bool has_index;
    uint32_t index;
    enum block_kind kind;
    struct slice id, name;
    yyjson_val *args; /* NULL: no such key */
};

static struct chat_tool *last_with_index(struct chat_choice *c, uint32_t index) {
    for (unsigned i = c->n_tools; i > 0; i--) {
        if (c->tools[i - 1].wire_index == index) return &c->tools[i - 1];
    }
    return NULL;
}

static struct chat_tool *with_id(struct chat_choice *c, uint64_t id_hash) {
    for (unsigned i = c->n_tools; i > 0; i--) {
        if (c->tools[i - 1].id_hash == id_hash) return &c->tools[i - 1];
    }
    return NULL;
}

/* Some servers give every parallel call the index 0: another id, or another name after arguments,
 * is another call. */
static bool is_another(const struct chat_tool *t, const struct fragment *g) {
    uint64_t id_hash = slice_hash_id(g->id), name_hash = slice_hash_id(g->name);
    if (id_hash && t->id_hash) return id_hash != t->id_hash;
    return t->has_args && name_hash && t->name_hash && name_hash != t->name_hash;
}

static struct chat_tool *find_tool(struct chat_feed *x, struct chat_choice *c,
                                   const struct fragment *g) {
    struct chat_tool *t = NULL;
    uint32_t next_index = 0;
    if (c->n_tools > 0) next_index = c->tools[c->n_tools - 1].wire_index + 1;
    if (g->has_index) t = last_with_index(c, g->index);
    else if (x->is_body) t = NULL;
    else if (g->id.len > 0) t = with_id(c, slice_hash_id(g->id));
    else if (c->n_tools > 0) t = &c->tools[c->n_tools - 1];
    if (t && is_another(t, g)) t = g->id.len > 0 ? with_id(c, slice_hash_id(g->id)) : NULL;
    return t ? t : add_tool(x, c, g->has_index ? g->index : next_index, g->kind);
}

static void put_args(struct chat_feed *x, struct chat_choice *c, struct chat_tool *t,
                     yyjson_val *args) {
    struct slice text = json_doc_str(args);
    bool is_string = yyjson_is_str(args);
    chat_need(x, args, is_string || yyjson_is_ctn(args), "arguments that are not a string");
    if (!is_string && yyjson_is_ctn(args))
        text = json_doc_member_raw(&x->doc, args); /* servers that forget the quotes */
    if (text.len == 0) return;
    t->has_args = true;
    put_text(x, c, t->kind, t->block, &t->off, text);
    if (is_string) x->out.ev.val = json_doc_string_span(&x->doc, args);
}

static void put_fragment(struct chat_feed *x, struct chat_choice *c, const struct fragment *g) {
    struct chat_tool *t = find_tool(x, c, g);
    if (!t) return;
    if (c->pending && &c->tools[c->pending->tool] != t) flush_pending(x, c);
    if (t->id_hash == 0) t->id_hash = slice_hash_id(g->id);
    if (!t->is_begun) {
        bool is_first = !c->pending;
        if (is_first && (g->args || x->is_body)) {
            begin_tool(x, c, t, g->id, g->name);
        } else {
            wait_for_name(x, c, t, g->id, g->name);
            if (g->args) flush_pending(x, c);
        }
    }
    if (g->args && t->is_begun) put_args(x, c, t, g->args);
}

static void read_fragment(struct chat_feed *x, yyjson_val *call, struct fragment *g) {
    yyjson_val *index = yyjson_obj_get(call, "index");
    yyjson_val *inner = yyjson_obj_get(call, "function"), *custom = yyjson_obj_get(call, "custom");
    *g = (struct fragment){.kind = BLOCK_TOOL_CALL, .id = json_doc_str(yyjson_obj_get(call, "id"))};
    if (yyjson_is_uint(index) && yyjson_get_uint(index) < LEGACY_INDEX) {
        g->has_index = true;
        g->index = (uint32_t)yyjson_get_uint(index);
    }
    if (yyjson_is_obj(custom) && !yyjson_is_obj(inner)) {
        g->kind = BLOCK_CUSTOM_TOOL_CALL;
        inner = custom;
    }
    need_object(x, inner);
    need_text(x, yyjson_obj_get(inner, "name"));
    g->name = json_doc_str(yyjson_obj_get(inner, "name"));
    g->args = yyjson_obj_get(inner, g->kind == BLOCK_CUSTOM_TOOL_CALL ? "input" : "arguments");
}

static void put_tool_calls(struct chat_feed *x, struct chat_choice *c, yyjson_val *calls) {
    size_t i, n;
    yyjson_val *call;
    yyjson_arr_foreach(calls, i, n, call) {
        struct fragment g;
        need_object(x, call);
        if (!yyjson_is_obj(call)) continue;
        read_fragment(x, call, &g);
        put_fragment(x, c, &g);
    }
}

static void put_function_call(struct chat_feed *x, struct chat_choice *c, yyjson_val *call) {
    struct fragment g = {.has_index = true, .index = LEGACY_INDEX, .kind = BLOCK_FUNCTION_CALL};
    g.name = json_doc_str(yyjson_obj_get(call, "name"));
    g.args = yyjson_obj_get(call, "arguments");
    put_fragment(x, c, &g);
}

/* ---- reasoning ---- */

static void put_signature(struct chat_feed *x, struct chat_choice *c, const yyjson_val *string) {
    struct event *ev = put_of_block(x, EV_SIGNATURE, c, c->kind, c->block);
    ev->text = json_doc_str(string);
    ev->val = json_doc_string_span(&x->doc, string);
    c->has_signature = true;
}

/* Of an item of reasoning_details: its block's, plus 1; 0: not told. */
static uint32_t thought_of(yyjson_val *item) {
    yyjson_val *index = yyjson_obj_get(item, "index");
    return yyjson_is_uint(index) && yyjson_get_uint(index) < UINT32_MAX
               ? (uint32_t)yyjson_get_uint(index) + 1
               : 0;
}

/* A proof behind the text that it proves. In a whole answer each block is told once; in a stream a
 * proof may come in pieces, if they are not told to be of different thoughts. */
static void put_block_signature(struct chat_feed *x, struct chat_choice *c,
                                const yyjson_val *signature, uint32_t thought) {
    bool is_another = x->is_body || (thought && c->thought && thought != c->thought);
    if (c->has_signature && is_another) end_block(x, c);
    need_block(x, c, BLOCK_REASONING);
    put_signature(x, c, signature);
    c->thought = thought;
}

static void put_redacted(struct chat_feed *x, struct chat_choice *c, const yyjson_val *sealed,
                         yyjson_val *id) {
    begin_block(x, c, BLOCK_REDACTED)->u.begin.item_id = json_doc_str(id);
    put_signature(x, c, sealed);
}

/* One item of reasoning_details. Its text often repeats `reasoning`, which then has been taken. */
static void put_reasoning_detail(struct chat_feed *x, struct chat_choice *c, yyjson_val *item,
                                 bool take_text) {
    yyjson_val *text = yyjson_obj_get(item, "text"), *signature = yyjson_obj_get(item, "signature");
    yyjson_val *sealed = yyjson_obj_get(item, "data");
    need_text(x, text);
    if (!has_text(text)) text = yyjson_obj_get(item, "summary");
    need_text(x, text);
    need_text(x, sealed);
    if (take_text && has_text(text)) put_string(x, c, BLOCK_REASONING, text);
    if (has_text(signature)) put_block_signature(x, c, signature, thought_of(item));
    if (has_text(sealed)) put_redacted(x, c, sealed, yyjson_obj_get(item, "id"));
}

/* One item of thinking_blocks. In a stream the one with the signature may repeat the whole text. */
static void put_thinking_block(struct chat_feed *x, struct chat_choice *c, yyjson_val *item,
                               bool take_text) {
    yyjson_val *text = yyjson_obj_get(item, "thinking"),
               *signature = yyjson_obj_get(item, "signature"),
               *sealed = yyjson_obj_get(item, "data");
    need_text(x, text);
    need_text(x, sealed);
    bool is_snapshot = !x->is_body && has_text(signature) && c->is_open &&
                       c->kind == BLOCK_REASONING && c->off > 0;
    if (take_text && !is_snapshot && has_text(text)) put_string(x, c, BLOCK_REASONING, text);
    if (has_text(signature)) put_block_signature(x, c, signature, 0);
    if (has_text(sealed)) put_redacted(x, c, sealed, NULL);
}

/* ---- content in parts, as some servers send it ---- */

static void put_parts(struct chat_feed *x, struct chat_choice *c, yyjson_val *parts,
                      enum block_kind kind) {
    size_t i, n;
    yyjson_val *part;
    yyjson_arr_foreach(parts, i, n, part) {
        yyjson_val *text = yyjson_obj_get(part, "text"),
                   *thinking = yyjson_obj_get(part, "thinking");
        yyjson_val *refusal = yyjson_obj_get(part, "refusal");
        need_object(x, part);
        need_text(x, text);
        need_text(x, refusal);
        chat_need(x, thinking, yyjson_is_str(thinking) || yyjson_is_arr(thinking),
                  "a thought that is not a string");
        if (has_text(text)) put_string(x, c, kind, text);
        if (has_text(thinking)) put_string(x, c, BLOCK_REASONING, thinking);
        if (has_text(refusal)) put_string(x, c, BLOCK_REFUSAL, refusal);
        size_t j, m;
        yyjson_val *inner;
        yyjson_arr_foreach(thinking, j, m, inner) {
            text = yyjson_obj_get(inner, "text");
            need_text(x, text);
            if (has_text(text)) put_string(x, c, BLOCK_REASONING, text);
        }
    }
}

/* ---- audio, annotations, logprobs ---- */

static void put_audio_value(struct chat_feed *x, struct chat_choice *c, const yyjson_val *value,
                            uint8_t flags) {
    struct event *ev = put_of_block(x, EV_OPAQUE, c, BLOCK_AUDIO, c->block);
    ev->flags = flags;
    ev->raw_json = json_doc_member_raw(&x->doc, value);
}

static void put_audio(struct chat_feed *x, struct chat_choice *c, yyjson_val *audio) {
    yyjson_val *transcript = yyjson_obj_get(audio, "transcript"),
               *sound = yyjson_obj_get(audio, "data");
    need_text(x, transcript);
    need_text(x, sound);
    yyjson_val *expires_at = yyjson_obj_get(audio, "expires_at");
    if (!c->is_open || c->kind != BLOCK_AUDIO) {
        begin_block(x, c, BLOCK_AUDIO)->u.begin.id = json_doc_str(yyjson_obj_get(audio, "id"));
    }
    if (has_text(transcript)) put_string(x, c, BLOCK_AUDIO, transcript);
    if (has_text(sound)) put_audio_value(x, c, sound, EVF_CONTENT);
    if (yyjson_is_num(expires_at)) put_audio_value(x, c, expires_at, 0);
}

static int64_t code_points(yyjson_val *n) {
    return yyjson_is_uint(n) && yyjson_get_uint(n) <= INT64_MAX ? (int64_t)yyjson_get_uint(n) : -1;
}

static struct annotation read_annotation(yyjson_val *item) {
    yyjson_val *url = yyjson_obj_get(item, "url_citation");
    struct annotation out = {.kind = ANNOTATION_OTHER, .start = -1, .end = -1};
    if (!yyjson_is_obj(url)) return out;
    out.kind = ANNOTATION_URL;
    out.url = json_doc_str(yyjson_obj_get(url, "url"));
    out.title = json_doc_str(yyjson_obj_get(url, "title"));
    out.start = code_points(yyjson_obj_get(url, "start_index"));
    out.end = code_points(yyjson_obj_get(url, "end_index"));
    return out;
}

/* They are of the message's text, whatever has been opened since. */
static void put_annotations(struct chat_feed *x, struct chat_choice *c, yyjson_val *annotations) {
    struct json_walk w = json_walk_begin(json_doc_member_raw(&x->doc, annotations));
    struct slice one;
    size_t i, n;
    yyjson_val *item;
    yyjson_arr_foreach(annotations, i, n, item) {
        if (!json_walk_element(&w, &one)) return;
        if (!yyjson_is_obj(item)) continue;
        if (!c->has_text) need_block(x, c, BLOCK_TEXT);
        struct event *ev = put_of_block(x, EV_ANNOTATION, c, BLOCK_TEXT, c->text_block);
        ev->raw_json = one;
        ev->u.annotation = read_annotation(item);
    }
}

static void put_logprobs(struct chat_feed *x, const struct chat_choice *c, yyjson_val *tokens,
                         enum block_kind kind) {
    if (!yyjson_is_arr(tokens) || yyjson_arr_size(tokens) == 0) return;
    struct event *ev = event_out_put(&x->out, EV_LOGPROBS);
    ev->choice = c->index;
    ev->block_kind = kind;
    ev->raw_json = json_doc_member_raw(&x->doc, tokens);
}

/* ---- a delta ---- */

/* The members that mean something; the usual delta has one. */
struct delta {
    yyjson_val *content, *refusal, *reasoning_content, *reasoning, *reasoning_details,
        *thinking_blocks, *tool_calls, *function_call, *audio, *annotations;
};

static yyjson_val **member_of(struct delta *d, struct slice key) {
#define IS(name) (key.len == sizeof(name) - 1 && memcmp(key.ptr, name, sizeof(name) - 1) == 0)
    switch (key.len) {
    case 5: return IS("audio") ? &d->audio : NULL;
    case 7: return IS("content") ? &d->content : IS("refusal") ? &d->refusal : NULL;
    case 9: return IS("reasoning") ? &d->reasoning : NULL;
    case 10: return IS("tool_calls") ? &d->tool_calls : NULL;
    case 11: return IS("annotations") ? &d->annotations : NULL;
    case 13: return IS("function_call") ? &d->function_call : NULL;
    case 15: return IS("thinking_blocks") ? &d->thinking_blocks : NULL;
    case 17:
        return IS("reasoning_content")   ? &d->reasoning_content
               : IS("reasoning_details") ? &d->reasoning_details
                                         : NULL;
    default: return NULL;
    }
#undef IS
}

/* Whether an item of the list has text of its own, beside what says it again. */
static bool any_text(yyjson_val *list, const char *key) {
    size_t i, n;
    yyjson_val *item;
    yyjson_arr_foreach(list, i, n, item) {
        if (has_text(yyjson_obj_get(item, key))) return true;
    }
    return false;
}

/* Several servers send two copies, or three: plain text in a stream, where blocks begin with their
 * proofs; in a whole answer the list that says which text has which proof. */
static void put_reasoning(struct chat_feed *x, struct chat_choice *c, const struct delta *d) {
    yyjson_val *text = has_text(d->reasoning_content) ? d->reasoning_content : d->reasoning;
    bool has_blocks = any_text(d->thinking_blocks, "thinking") ||
                      any_text(d->thinking_blocks, "signature") ||
                      any_text(d->thinking_blocks, "data"),
         has_details = any_text(d->reasoning_details, "text") ||
                       any_text(d->reasoning_details, "summary");
    bool is_listed = x->is_body && (has_details || any_text(d->thinking_blocks, "thinking"));
    bool take_text = is_listed || !has_text(text);
    size_t i, n;
    yyjson_val *item;
    if (!take_text) put_string(x, c, BLOCK_REASONING, text);
    if (has_blocks) {
        yyjson_arr_foreach(d->thinking_blocks, i, n, item)
            put_thinking_block(x, c, item, take_text);
    } else {
        yyjson_arr_foreach(d->reasoning_details, i, n, item)
            put_reasoning_detail(x, c, item, take_text);
    }
}

static void read_delta(yyjson_val *delta, struct delta *d) {
    size_t i, n;
    yyjson_val *key, *value;
    *d = (struct delta){0};
    if (!yyjson_is_obj(delta)) return;
    yyjson_obj_foreach(delta, i, n, key, value) {
        yyjson_val **member = member_of(d, json_doc_str(key));
        if (member) *member = value;
    }
}

/* What is under `reasoning` may be an object with other things than a thought's text. */
static void check_delta(struct chat_feed *x, const struct delta *d) {
    chat_need(x, d->content, yyjson_is_str(d->content) || yyjson_is_arr(d->content),
              "content that is not a string");
    need_text(x, d->refusal);
    need_text(x, d->reasoning_content);
    chat_need(x, d->reasoning, yyjson_is_str(d->reasoning) || yyjson_is_ctn(d->reasoning),
              "reasoning that is not a string");
    need_list(x, d->reasoning_details);
    need_list(x, d->thinking_blocks);
    need_list(x, d->tool_calls);
    chat_need(x, d->function_call, yyjson_is_obj(d->function_call),
              "a function_call that is not an object");
    chat_need(x, d->audio, yyjson_is_obj(d->audio), "audio that is not an object");
}

/* Blanks are none: some servers end a stream with a line end. */
static bool has_words(const yyjson_val *v) {
    return v && !slice_is_blank(json_doc_str(v));
}

static bool part_says(yyjson_val *part) {
    yyjson_val *thinking = yyjson_obj_get(part, "thinking");
    return has_words(yyjson_obj_get(part, "text")) || has_words(yyjson_obj_get(part, "refusal")) ||
           has_words(thinking) || yyjson_is_ctn(thinking);
}

static bool call_says(yyjson_val *call) {
    yyjson_val *args = yyjson_obj_get(call, "arguments"), *input = yyjson_obj_get(call, "input");
    return has_words(yyjson_obj_get(call, "name")) || !json_doc_is_empty(args) ||
           !json_doc_is_empty(input);
}

bool chat_delta_says(yyjson_val *delta) {
    struct delta d;
    read_delta(delta, &d);
    size_t i, n;
    yyjson_val *item;
    yyjson_arr_foreach(d.content, i, n, item) {
        if (part_says(item)) return true;
    }
    yyjson_arr_foreach(d.tool_calls, i, n, item) {
        if (call_says(yyjson_obj_get(item, "function"))) return true;
        if (call_says(yyjson_obj_get(item, "custom"))) return true;
    }
    return has_words(d.content) || has_words(d.refusal) || has_words(d.reasoning_content) ||
           has_words(d.reasoning) || call_says(d.function_call);
}

void chat_put_delta(struct chat_feed *x, struct chat_choice *c, yyjson_val *delta,
                    yyjson_val *logprobs) {
    struct delta d;
    read_delta(delta, &d);
    check_delta(x, &d);
    if (yyjson_is_obj(logprobs)) {
        put_logprobs(x, c, yyjson_obj_get(logprobs, "content"), BLOCK_TEXT);
        put_logprobs(x, c, yyjson_obj_get(logprobs, "refusal"), BLOCK_REFUSAL);
    }
    if (d.reasoning || d.reasoning_content || d.reasoning_details || d.thinking_blocks)
        put_reasoning(x, c, &d);
    if (has_text(d.content)) put_string(x, c, BLOCK_TEXT, d.content);
    else if (yyjson_is_arr(d.content)) put_parts(x, c, d.content, BLOCK_TEXT);
    if (yyjson_is_arr(d.annotations)) put_annotations(x, c, d.annotations); /* of the text */
    if (has_text(d.refusal)) put_string(x, c, BLOCK_REFUSAL, d.refusal);
    if (yyjson_is_obj(d.audio)) put_audio(x, c, d.audio);
    if (yyjson_is_arr(d.tool_calls)) put_tool_calls(x, c, d.tool_calls);
    if (yyjson_is_obj(d.function_call)) put_function_call(x, c, d.function_call);
}

/* ---- completions ---- */

void chat_put_completion(struct chat_feed *x, struct chat_choice *c, yyjson_val *text,
                         yyjson_val *logprobs) {
    if (yyjson_is_obj(logprobs)) {
        need_block(x, c, BLOCK_TEXT);
        put_of_block(x, EV_OPAQUE, c, BLOCK_TEXT, c->block)->raw_json =
            json_doc_member_raw(&x->doc, logprobs);
    }
    need_text(x, text);
    if (has_text(text)) put_string(x, c, BLOCK_TEXT, text);
}

/* ---- the end of a choice ---- */

static void end_tools_before(struct chat_feed *x, struct chat_choice *c, unsigned *from,
                             uint32_t block) {
    for (; *from < c->n_tools && c->tools[*from].block < block; ++*from) {
        const struct chat_tool *t = &c->tools[*from];
        if (t->is_begun) put_of_block(x, EV_BLOCK_END, c, t->kind, t->block)->flags = EVF_SYNTH;
    }
}

void chat_put_finish(struct chat_feed *x, struct chat_choice *c, struct slice wire,
                     yyjson_val *stop_string, uint8_t flags) {
    unsigned from = 0;
    flush_pending(x, c);
    end_tools_before(x, c, &from, c->is_open ? c->block : UINT32_MAX);
    end_block(x, c);
    end_tools_before(x, c, &from, UINT32_MAX);
    c->is_finished = true;
    struct event *ev = event_out_put(&x->out, EV_FINISH);
    ev->choice = c->index;
    ev->flags = x->problem ? flags | EVF_BROKEN : flags;
    ev->u.finish = (struct finish){
        .reason = chat_stop_reason(wire), .wire = wire, .stop_sequence = json_doc_str(stop_string)};
    /* Several servers say "stop" after tool calls. */
    if (ev->u.finish.reason == STOP_END && c->any_tool) ev->u.finish.reason = STOP_TOOL;
    else if (ev->u.finish.reason == STOP_END && ev->u.finish.stop_sequence.len > 0)
        ev->u.finish.reason = STOP_SEQUENCE;
    chat_choice_dispose(c); /* nothing but the fact that it finished is needed any more */
}

void chat_choice_dispose(struct chat_choice *c) {
    free_pending(c);
    mem_free(c->tools);
    c->tools = NULL;
    c->n_tools = c->cap_tools = 0;
}
