/* SPDX-License-Identifier: Apache-2.0 */
/* Frames (and whole bodies) to events.
 *
 *   OPEN --[DONE]--> DONE      OPEN --error--> FAILED      both are final: what follows is ignored
 *
 * A chunk may carry everything at once; it is taken in this order: START, each choice's deltas and
 * its finish, usage. */
#include "dialect/chat/chat-private.h"

#include "base/mem.h"
#include "dialect/json_text.h"

#define MAX_USAGE_KEYS 4

enum decoder_state { DEC_OPEN, DEC_DONE, DEC_FAILED };

struct decoder {
    enum decoder_state state;
    uint32_t next_block;
    bool is_completions;
    bool is_started, last_was_delta; /* the mould is the last frame's, and its usage keys are */
    /* The last frame, for strip_usage. */
    bool is_usage_only;
    uint8_t n_usage_keys;
    uint32_t usage_keys[MAX_USAGE_KEYS]; /* offsets of the keys' opening quotes */
    uint16_t n_choices, n_finished;
    struct chat_choice first;
    struct chat_choice *others; /* n_choices - 1 of them */
    struct mould *mould;   /* of the first choice's last text delta */
    uint32_t mould_data_len;    /* of the frame that made it: usage_keys are its */
};
_Static_assert(sizeof(struct decoder) <= 176, "every open stream has one");

struct decoder *chat_decoder_new(void) {
    return mem_zalloc(sizeof(struct decoder));
}

struct decoder *chat_decoder_new_completions(void) {
    struct decoder *d = chat_decoder_new();
    d->is_completions = true;
    return d;
}

static void decoder_dispose(struct decoder *d) {
    chat_choice_dispose(&d->first);
    for (unsigned i = 1; i < d->n_choices; i++) chat_choice_dispose(&d->others[i - 1]);
    mem_free(d->others);
    mem_free(d->mould);
}

void chat_decoder_free(struct decoder *d) {
    if (!d) return;
    decoder_dispose(d);
    mem_free(d);
}

/* ---- chunks ---- */

struct chunk {
    yyjson_val *id, *model, *created, *choices, *usage, *error, *service_tier, *x_groq;
};

static void take_usage_key(struct decoder *d, const struct json_doc *doc, const yyjson_val *key) {
    struct span token = json_doc_string_span(doc, key);
    if (d->n_usage_keys < MAX_USAGE_KEYS) d->usage_keys[d->n_usage_keys++] = token.off - 1;
}

/* The member of `k` that a key names; NULL for what means nothing here. */
static yyjson_val **chunk_member(struct chunk *k, struct slice key) {
#define IS(name) (memcmp(key.ptr, name, sizeof(name) - 1) == 0)
    switch (key.len) {
    case 2: return IS("id") ? &k->id : NULL;
    case 5:
        return IS("model") ? &k->model : IS("usage") ? &k->usage : IS("error") ? &k->error : NULL;
    case 6: return IS("x_groq") ? &k->x_groq : NULL;
    case 7: return IS("created") ? &k->created : IS("choices") ? &k->choices : NULL;
    case 12: return IS("service_tier") ? &k->service_tier : NULL;
    default: return NULL;
    }
#undef IS
}

static void read_chunk(struct decoder *d, const struct json_doc *doc, struct chunk *out) {
    size_t i, n;
    yyjson_val *key, *value;
    *out = (struct chunk){0};
    yyjson_obj_foreach(doc->doc->root, i, n, key, value) {
        yyjson_val **member = chunk_member(out, json_doc_str(key));
        if (!member) continue;
        *member = value;
        if (member == &out->usage) take_usage_key(d, doc, key);
    }
}

static struct chat_choice *find_choice(struct decoder *d, uint16_t index) {
    if (d->n_choices > 0 && d->first.index == index) return &d->first;
    for (unsigned i = 1; i < d->n_choices; i++) {
        if (d->others[i - 1].index == index) return &d->others[i - 1];
    }
    struct chat_choice *c = &d->first;
    if (d->n_choices > 0) {
        d->others = mem_realloc(d->others, d->n_choices * sizeof *d->others);
        c = &d->others[d->n_choices - 1];
    }
    *c = (struct chat_choice){.index = index};
    d->n_choices++;
    return c;
}

static void put_start(struct chat_feed *x, struct decoder *d, const struct chunk *k,
                      struct slice role) {
    if (d->is_started) return;
    d->is_started = true;
    double created = yyjson_is_num(k->created) ? yyjson_get_num(k->created) : -1;
    struct event *ev = event_out_put(&x->out, EV_START);
    ev->flags = role.len == 0 ? EVF_SYNTH : 0;
    ev->u.start = (struct event_start){
        .origin = d->is_completions ? dialect_completions.name : dialect_chat.name,
        .id = json_doc_str(k->id),
        .model = json_doc_str(k->model),
        .role = role.len ? role : SLICE("assistant"),
        .service_tier = json_doc_str(k->service_tier),
        .created = created > 0 && created < 9e15 ? (int64_t)created : -1};
}

static void put_usage(struct chat_feed *x, struct decoder *d, const struct chunk *k,
                      yyjson_val *usage) {
    if (!yyjson_is_obj(usage)) return;
    put_start(x, d, k, SLICE_NULL);
    chat_read_usage(&x->doc, usage, &event_out_put(&x->out, EV_USAGE)->u.usage);
}

struct choice_members {
    yyjson_val *index, *delta, *message, *text, *finish_reason, *logprobs, *stop_reason, *usage;
};

static yyjson_val **choice_member(struct choice_members *m, struct slice key) {
#define IS(name) (memcmp(key.ptr, name, sizeof(name) - 1) == 0)
    switch (key.len) {
    case 4: return IS("text") ? &m->text : NULL;
    case 5:
        return IS("index") ? &m->index : IS("delta") ? &m->delta : IS("usage") ? &m->usage : NULL;
    case 7: return IS("message") ? &m->message : NULL;
    case 8: return IS("logprobs") ? &m->logprobs : NULL;
    case 11: return IS("stop_reason") ? &m->stop_reason : NULL;
    case 13: return IS("finish_reason") ? &m->finish_reason : NULL;
    default: return NULL;
    }
#undef IS
}

static void read_choice(yyjson_val *choice, struct choice_members *m) {
    size_t i, n;
    yyjson_val *key, *value;
    *m = (struct choice_members){0};
    yyjson_obj_foreach(choice, i, n, key, value) {
        yyjson_val **member = choice_member(m, json_doc_str(key));
        if (member) *member = value;
    }
}

/* Some servers put an empty one of these beside the other. */
static yyjson_val *delta_of(const struct choice_members *m) {
    bool has_delta = !json_doc_is_empty(m->delta) || json_doc_is_empty(m->message);
    return has_delta && m->delta ? m->delta : m->message;
}

/* Of a whole answer. What was filtered has a reason, and may have nothing else. */
static bool is_without_message(const struct decoder *d, const struct choice_members *m) {
    const yyjson_val *own = d->is_completions ? m->text : delta_of(m),
                     *other = d->is_completions ? delta_of(m) : m->text;
    return !own && (other || json_doc_str(m->finish_reason).len == 0);
}

static void put_choice(struct chat_feed *x, struct decoder *d, const struct chunk *k,
                       yyjson_val *choice, size_t position) {
    struct choice_members m;
    read_choice(choice, &m);
    uint64_t index = yyjson_is_uint(m.index) ? yyjson_get_uint(m.index) : position;
    if (index >= (d->is_completions ? COMPLETIONS_MAX_CHOICES : CHAT_MAX_CHOICES)) {
        x->problem = d->is_completions ? "a choice's index is 4096 or more"
                                       : "a choice's index is 128 or more";
        return;
    }
    yyjson_val *delta = delta_of(&m);
    put_start(x, d, k, json_doc_str(yyjson_obj_get(d->is_started ? NULL : delta, "role")));
    struct chat_choice *c = find_choice(d, (uint16_t)index);
    if (c->is_finished) {
        /* a message is a recap */
        if (!slice_is_blank(json_doc_str(m.text)) || chat_delta_says(m.delta))
            x->problem = "a piece behind its choice's finish";
        return;
    }
    chat_need(x, delta, yyjson_is_obj(delta), "a delta that is not an object");
    if (x->is_body && is_without_message(d, &m)) x->problem = "a choice without a message";
    if (d->is_completions) chat_put_completion(x, c, m.text, m.logprobs);
    else if (yyjson_is_obj(delta)) chat_put_delta(x, c, delta, m.logprobs);
    struct slice wire = json_doc_str(m.finish_reason);
    if (wire.len > 0) {
        chat_put_finish(x, c, wire, m.stop_reason, 0);
        d->n_finished++;
    }
    if (yyjson_is_obj(m.usage) && !yyjson_is_obj(k->usage)) put_usage(x, d, k, m.usage);
}

static void put_chunk(struct chat_feed *x, struct decoder *d, const struct chunk *k) {
    size_t i, n;
    yyjson_val *choice;
    chat_need(x, k->choices, yyjson_is_arr(k->choices), "choices that are not a list");
    yyjson_arr_foreach(k->choices, i, n, choice) {
        chat_need(x, choice, yyjson_is_obj(choice), "a choice that is not an object");
        if (yyjson_is_obj(choice)) put_choice(x, d, k, choice, i);
    }
    put_usage(x, d, k, yyjson_is_obj(k->usage) ? k->usage : yyjson_obj_get(k->x_groq, "usage"));
    d->is_usage_only = yyjson_is_obj(k->usage) && yyjson_arr_size(k->choices) == 0;
}

/* ---- frames ---- */

static void put_error(struct chat_feed *x, struct decoder *d) {
    struct error_scratch scratch;
    error_read(&x->doc, 0, &scratch, &event_out_put(&x->out, EV_ERROR)->u.error);
    event_out_flush(&x->out, EVF_LAST_IN_FRAME); /* before the scratch goes */
    d->state = DEC_FAILED;
}

/* `[DONE]` says that the answer is whole; a choice that did not say why it stopped has ended as it
 * looks. */
static void put_done(struct chat_feed *x, struct decoder *d, uint8_t flags) {
    for (unsigned i = 0; i < d->n_choices; i++) {
        struct chat_choice *c = i == 0 ? &d->first : &d->others[i - 1];
        if (!c->is_finished) chat_put_finish(x, c, SLICE(""), NULL, EVF_SYNTH);
    }
    d->n_finished = d->n_choices;
    event_out_put(&x->out, EV_END)->flags = flags;
    d->state = DEC_DONE;
}

static bool is_done_mark(struct slice data) {
    if (data.len < 6 || (data.ptr[0] != '[' && data.ptr[0] != ' ' && data.ptr[0] != '\t'))
        return false;
    return slice_eq(slice_trim(data), SLICE("[DONE]"));
}

static void put_object(struct chat_feed *x, struct decoder *d) {
    struct chunk k;
    read_chunk(d, &x->doc, &k);
    if ((k.error || !k.choices) && error_is_in(x->doc.doc->root, "choices")) {
        put_error(x, d);
    } else {
        put_chunk(x, d, &k);
    }
}

static int feed_json(struct chat_feed *x, struct decoder *d, const struct sse_frame *f,
                     struct err *e) {
    bool is_named_error = slice_eq(f->name, SLICE("error"));
    int rc = json_doc_parse(&x->doc, f->data, e);
    if (rc && !is_named_error) return rc;
    yyjson_val *root = rc ? NULL : x->doc.doc->root;
    if (is_named_error || (yyjson_is_arr(root) && error_is_in(root, "choices"))) {
        put_error(x, d);
    } else if (yyjson_is_obj(root)) {
        put_object(x, d);
    } else {
        x->problem = "a chunk is not a JSON object";
    }
    event_out_flush(&x->out, EVF_LAST_IN_FRAME);
    json_doc_free(&x->doc);
    if (x->out.rc) return x->out.rc;
    return x->problem ? err_set(e, ERR_PROTOCOL, "%s", x->problem) : 0;
}

/* ---- the short cut ---- */

static bool has_open_text(const struct chat_choice *c) {
    return c->is_open && !c->is_finished && !c->pending;
}

/* The frame was one DELTA of the first choice's open block, and nothing else. */
static bool was_one_delta(const struct chat_feed *x, const struct decoder *d) {
    const struct event *ev = &x->out.ev;
    return x->out.n_events == 1 && ev->kind == EV_DELTA && ev->val.len > 0 && d->n_choices > 0 &&
           has_open_text(&d->first) && ev->choice == d->first.index && ev->block == d->first.block;
}

/* Keys in front of the string keep their place, those behind it keep their distance from the
 * end. */
static void move_usage_keys(struct decoder *d, struct span string, size_t data_len) {
    for (unsigned i = 0; i < d->n_usage_keys; i++) {
        if (d->usage_keys[i] >= string.off) {
            d->usage_keys[i] += (uint32_t)data_len - d->mould_data_len;
        }
    }
    d->mould_data_len = (uint32_t)data_len;
}

static int put_delta(struct decoder *d, struct slice data, struct span string,
                     const struct event_sink *sink) {
    struct chat_choice *c = &d->first;
    struct event ev = {.kind = EV_DELTA,
                       .flags = EVF_CONTENT | EVF_LAST_IN_FRAME,
                       .choice = c->index,
                       .block_kind = c->kind,
                       .block = c->block,
                       .text = slice_sub(data, string.off, string.len),
                       .block_off = c->off,
                       .val = string};
    c->off += string.len;
    return sink->emit(sink->self, &ev);
}

static bool is_quick(const struct decoder *d, const struct sse_frame *f, struct span *out_string) {
    return d->mould && d->last_was_delta && has_open_text(&d->first) &&
           !(f->flags & SSE_NAME) && mould_fits(d->mould, f->data, out_string);
}

int chat_decoder_feed(struct decoder *d, const struct sse_frame *f, const struct event_sink *sink,
                      struct err *e) {
    struct span string;
    if (d->state == DEC_OPEN && is_quick(d, f, &string)) {
        move_usage_keys(d, string, f->data.len);
        return put_delta(d, f->data, string, sink);
    }
    d->n_usage_keys = 0;
    d->is_usage_only = d->last_was_delta = false;
    if (!(f->flags & SSE_DATA) || f->data.len == 0 || d->state != DEC_OPEN) return 0;
    struct chat_feed x;
    event_out_begin(&x.out, sink);
    x.next_block = &d->next_block;
    x.is_body = false;
    x.problem = NULL;
    if (!is_done_mark(f->data)) {
        int rc = feed_json(&x, d, f, e);
        if (rc == 0 && was_one_delta(&x, d)) {
            d->last_was_delta = mould_make(&d->mould, f->data, x.out.ev.val);
            d->mould_data_len = (uint32_t)f->data.len;
        }
        return rc;
    }
    put_done(&x, d, 0);
    event_out_flush(&x.out, EVF_LAST_IN_FRAME);
    return x.out.rc;
}

int chat_decoder_finish(struct decoder *d, const struct event_sink *sink, struct err *e) {
    if (d->state != DEC_OPEN) return 0;
    if (d->n_choices == 0) return err_set(e, ERR_PROTOCOL, "the stream ended before any choice");
    if (d->n_finished < d->n_choices)
        return err_set(e, ERR_PROTOCOL, "the stream ended before its finish reason");
    struct chat_feed x = {.out.sink = sink, .next_block = &d->next_block};
    put_done(&x, d, EVF_SYNTH);
    event_out_flush(&x.out, 0);
    return x.out.rc;
}

/* ---- usage that the client did not ask for ---- */

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The member whose key opens at `key`, with one comma. What was cut before ends at `cut_end`: its
 * comma is gone. */
static struct span member_cut(struct slice text, size_t key, size_t cut_end) {
    size_t value = json_text_skip_space(text, json_text_value_end(text, key));
    value = json_text_skip_space(text, value + 1);
    size_t start = key, end = json_text_value_end(text, value), before = key;
    while (before > cut_end && is_space(text.ptr[before - 1])) before--;
    if (before > cut_end && text.ptr[before - 1] == ',') {
        start = before - 1;
    } else {
        size_t comma = json_text_skip_space(text, end);
        if (comma < text.len && text.ptr[comma] == ',') end = comma + 1;
    }
    return (struct span){(uint32_t)start, (uint32_t)(end - start)};
}

enum frame_edit chat_strip_usage(const struct decoder *d, const struct sse_frame *f,
                                 struct span *out_cuts, unsigned max_cuts, unsigned *out_n) {
    *out_n = 0;
    if (d->n_usage_keys == 0) return FRAME_AS_IS;
    if (d->is_usage_only) return FRAME_DROP;
    size_t cut_end = 0;
    for (unsigned i = 0; i < d->n_usage_keys && *out_n < max_cuts; i++) {
        struct span cut = member_cut(f->data, d->usage_keys[i], cut_end);
        out_cuts[(*out_n)++] = cut;
        cut_end = cut.off + cut.len;
    }
    return FRAME_CUT;
}

/* ---- whole answers ---- */

static void put_body(struct chat_feed *x, struct decoder *d) {
    struct chunk k;
    yyjson_val *root = x->doc.doc->root;
    if (error_is_in(root, "choices")) {
        put_error(x, d);
        return;
    }
    read_chunk(d, &x->doc, &k);
    if (yyjson_arr_size(k.choices) == 0) {
        x->problem = "an answer without choices";
        return;
    }
    put_chunk(x, d, &k);
    put_done(x, d, 0);
}

static int decode_body(struct decoder *d, struct slice body, const struct event_sink *sink,
                       struct err *e) {
    struct chat_feed x = {.out.sink = sink, .next_block = &d->next_block, .is_body = true};
    int rc = json_doc_parse(&x.doc, body, e);
    if (rc) return rc;
    put_body(&x, d);
    event_out_flush(&x.out, EVF_LAST_IN_FRAME);
    json_doc_free(&x.doc);
    decoder_dispose(d);
    if (x.out.rc) return x.out.rc;
    return x.problem ? err_set(e, ERR_PROTOCOL, "%s", x.problem) : 0;
}

int chat_decode_response(struct slice body, const struct event_sink *sink, struct err *e) {
    struct decoder d = {.state = DEC_OPEN};
    return decode_body(&d, body, sink, e);
}

int chat_decode_completion(struct slice body, const struct event_sink *sink, struct err *e) {
    struct decoder d = {.state = DEC_OPEN, .is_completions = true};
    return decode_body(&d, body, sink, e);
}
