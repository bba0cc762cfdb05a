/* SPDX-License-Identifier: Apache-2.0 */
/* Frames (and whole bodies) to events.
 *
 *   OPEN --message_stop--> DONE      OPEN --error--> FAILED      both are final: what follows is
 *   ignored
 *
 * Within OPEN: not started; started; has its stop reason (blocks are over, usage may still come).
 * Blocks are found by the wire's index; several may be open at once, although no good server does
 * that. */
#include "dialect/messages/messages-private.h"

#include "base/mem.h"
#include "dialect/error_read.h"
#include "dialect/event_out.h"
#include "dialect/json_text.h"
#include "dialect/mould.h"

#define MAX_OPEN 128

enum decoder_state { DEC_OPEN, DEC_DONE, DEC_FAILED };

struct open_block {
    uint32_t wire_index, block;
    enum block_kind kind;
    bool has_input; /* a call's arguments were told at once */
    bool has_signature;
    uint64_t off;
};

struct decoder {
    enum decoder_state state;
    bool is_started, has_finish, any_tool;
    bool last_was_delta; /* the mould is the last frame's, which was of open[delta_at] */
    uint16_t n_open, cap_open, delta_at;
    uint32_t next_block;
    uint32_t next_index; /* above every index that was begun */
    struct open_block *open;
    struct messages_usage usage;
    struct buf usage_wire;
    struct mould *mould;
};
_Static_assert(sizeof(struct decoder) <= 176, "every open stream has one");

static void decoder_init(struct decoder *d) {
    *d = (struct decoder){.usage = MESSAGES_USAGE_NONE};
    buf_init(&d->usage_wire, 0);
}

struct decoder *messages_decoder_new(void) {
    struct decoder *d = mem_alloc(sizeof *d);
    decoder_init(d);
    return d;
}

static void decoder_dispose(struct decoder *d) {
    buf_dispose(&d->usage_wire);
    mem_free(d->open);
    mem_free(d->mould);
}

void messages_decoder_free(struct decoder *d) {
    if (!d) return;
    decoder_dispose(d);
    mem_free(d);
}

/* ---- events ---- */

/* One frame (or body) on its way to events. */
struct feed {
    struct json_doc doc;
    struct decoder *d;
    struct event_out out;
    const char *problem; /* something in the frame is not what the dialect says */
};

static struct event *put_of_block(struct feed *x, enum event_kind kind,
                                  const struct open_block *b) {
    struct event *ev = event_out_put(&x->out, kind);
    ev->block_kind = b->kind;
    ev->block = b->block;
    return ev;
}

static struct slice member_string(yyjson_val *object, const char *key) {
    return json_doc_str(yyjson_obj_get(object, key));
}

static struct slice member_raw(const struct feed *x, yyjson_val *object, const char *key) {
    yyjson_val *v = yyjson_obj_get(object, key);
    return v ? json_doc_member_raw(&x->doc, v) : SLICE_NULL;
}

/* ---- the start ---- */

static void put_start(struct feed *x, yyjson_val *message, uint8_t flags) {
    yyjson_val *usage = yyjson_obj_get(message, "usage");
    struct slice role = member_string(message, "role");
    x->d->is_started = true;
    struct event *ev = event_out_put(&x->out, EV_START);
    ev->flags = flags;
    ev->u.start = (struct event_start){
        .origin = dialect_messages.name,
        .id = member_string(message, "id"),
        .model = member_string(message, "model"),
        .role = role.len > 0 ? role : SLICE("assistant"),
        .service_tier = messages_tier_to_openai(member_string(usage, "service_tier")),
        .created = -1};
}

static void need_start(struct feed *x) {
    if (!x->d->is_started) put_start(x, NULL, EVF_SYNTH);
}

static void put_usage(struct feed *x, yyjson_val *object) {
    struct decoder *d = x->d;
    if (!yyjson_is_obj(object)) return;
    messages_overlay_usage(&d->usage, object);
    messages_overlay_wire(&d->usage_wire, json_doc_member_raw(&x->doc, object));
    struct event *ev = event_out_put(&x->out, EV_USAGE);
    ev->u.usage = messages_usage_total(&d->usage);
    ev->u.usage.wire = buf_slice(&d->usage_wire);
}

/* ---- blocks ---- */

static struct open_block *find_open(struct decoder *d, uint32_t wire_index) {
    for (unsigned i = d->n_open; i > 0; i--) {
        if (d->open[i - 1].wire_index == wire_index) return &d->open[i - 1];
    }
    return NULL;
}

static void end_block(struct feed *x, struct open_block *b, uint8_t flags) {
    struct decoder *d = x->d;
    size_t at = (size_t)(b - d->open);
    put_of_block(x, EV_BLOCK_END, b)->flags = flags;
    d->n_open--;
    memmove(b, b + 1, (d->n_open - at) * sizeof *b);
}

static void end_all_blocks(struct feed *x) {
    while (x->d->n_open > 0)
        end_block(x, &x->d->open[0], EVF_SYNTH);
}

static struct open_block *begin_block(struct feed *x, uint32_t wire_index, enum block_kind kind) {
    struct decoder *d = x->d;
    if (d->n_open == d->cap_open) {
        d->cap_open = (uint16_t)(d->cap_open ? d->cap_open * 2 : 2);
        d->open = mem_realloc(d->open, d->cap_open * sizeof *d->open);
    }
    struct open_block *b = &d->open[d->n_open++];
    *b = (struct open_block){.wire_index = wire_index, .block = d->next_block++, .kind = kind};
    if (wire_index >= d->next_index) d->next_index = wire_index + 1;
    put_of_block(x, EV_BLOCK_BEGIN, b)->u.begin.wire_index = wire_index;
    return b;
}

/* What is empty is as good as nothing, whatever its type. What else does not fit breaks the frame:
 * its text would be lost. */
static void need_string(struct feed *x, yyjson_val *v) {
    if (!yyjson_is_str(v) && !json_doc_is_empty(v)) x->problem = "a text that is not a string";
}

static void put_text(struct feed *x, struct open_block *b, yyjson_val *string) {
    struct slice text = json_doc_str(string);
    need_string(x, string);
    if (text.len == 0) return;
    struct event *ev = put_of_block(x, EV_DELTA, b);
    ev->flags = EVF_CONTENT;
    ev->text = text;
    ev->block_off = b->off;
    ev->val = json_doc_string_span(&x->doc, string);
    b->off += text.len;
}

/* A signature replaces the one before it, which cannot be taken back: servers send one. */
static void put_signature(struct feed *x, struct open_block *b, yyjson_val *string) {
    struct slice text = json_doc_str(string);
    need_string(x, string);
    if (text.len == 0) return;
    if (b->has_signature) {
        x->problem = "a second signature in one block";
        return;
    }
    struct event *ev = put_of_block(x, EV_SIGNATURE, b);
    ev->text = text;
    ev->val = json_doc_string_span(&x->doc, string);
    b->has_signature = true;
}

static void put_citation(struct feed *x, const struct open_block *b, yyjson_val *citation,
                         struct slice raw) {
    if (!yyjson_is_obj(citation)) return;
    struct slice url = member_string(citation, "url");
    struct event *ev = put_of_block(x, EV_ANNOTATION, b);
    ev->raw_json = raw;
    ev->u.annotation = (struct annotation){.kind = url.len > 0 ? ANNOTATION_URL : ANNOTATION_OTHER,
                                           .url = url,
                                           .title = member_string(citation, "title"),
                                           .start = -1,
                                           .end = -1};
}

/* ---- what a block begins with ---- */

static void begin_text(struct feed *x, struct open_block *b, yyjson_val *block) {
    yyjson_val *citations = yyjson_obj_get(block, "citations"), *one;
    put_text(x, b, yyjson_obj_get(block, "text"));
    if (!yyjson_is_arr(citations)) return;
    struct json_walk raws = json_walk_begin(json_doc_member_raw(&x->doc, citations));
    struct slice raw;
    size_t i, n;
    yyjson_arr_foreach(citations, i, n, one) {
        if (json_walk_element(&raws, &raw)) put_citation(x, b, one, raw);
    }
}

static void begin_thinking(struct feed *x, struct open_block *b, yyjson_val *block) {
    put_text(x, b, yyjson_obj_get(block, "thinking"));
    put_signature(x, b, yyjson_obj_get(block, "signature"));
}

static void begin_redacted(struct feed *x, struct open_block *b, yyjson_val *block) {
    put_signature(x, b, yyjson_obj_get(block, "data"));
}

static void begin_tool(struct feed *x, struct open_block *b, yyjson_val *block) {
    yyjson_val *input = yyjson_obj_get(block, "input");
    x->d->any_tool = true;
    b->has_input = yyjson_is_obj(input) && yyjson_obj_size(input) > 0;
    if (!yyjson_is_obj(input) && !json_doc_is_empty(input))
        x->problem = "a call's input that is not an object";
    x->out.ev.flags = EVF_CONTENT;
    x->out.ev.u.begin.id = member_string(block, "id");
    x->out.ev.u.begin.name = member_string(block, "name");
    if (b->has_input) x->out.ev.u.begin.input_json = json_doc_member_raw(&x->doc, input);
}

static const struct {
    const char *type;
    enum block_kind kind;
    void (*begin)(struct feed *x, struct open_block *b, yyjson_val *block);
} block_types[] = {
    {"text", BLOCK_TEXT, begin_text},
    {"thinking", BLOCK_REASONING, begin_thinking},
    {"redacted_thinking", BLOCK_REDACTED, begin_redacted},
    {"tool_use", BLOCK_TOOL_CALL, begin_tool},
};

/* raw: of the block */
static void put_block(struct feed *x, uint32_t wire_index, yyjson_val *block, struct slice raw) {
    struct slice type = member_string(block, "type");
    for (size_t i = 0; i < sizeof block_types / sizeof *block_types; i++) {
        if (!slice_eq(type, slice_cstr(block_types[i].type))) continue;
        struct open_block *b = begin_block(x, wire_index, block_types[i].kind);
        block_types[i].begin(x, b, block);
        return;
    }
    if (type.len == 0) {
        x->problem = "a block without a type";
        return;
    }
    begin_block(x, wire_index, BLOCK_OPAQUE);
    x->out.ev.raw_json = raw;
}

/* ---- the wire's events ---- */

static bool read_index(yyjson_val *root, uint32_t *out_index) {
    yyjson_val *v = yyjson_obj_get(root, "index");
    if (!yyjson_is_uint(v) || yyjson_get_uint(v) >= UINT32_MAX) return false;
    *out_index = (uint32_t)yyjson_get_uint(v);
    return true;
}

static void on_message_start(struct feed *x, yyjson_val *root) {
    yyjson_val *message = yyjson_obj_get(root, "message");
    if (x->d->is_started) return;
    put_start(x, message, 0);
    put_usage(x, yyjson_obj_get(message, "usage"));
}

static void on_block_start(struct feed *x, yyjson_val *root) {
    struct decoder *d = x->d;
    yyjson_val *block = yyjson_obj_get(root, "content_block");
    uint32_t index = d->next_index;
    read_index(root, &index);
    struct open_block *same = find_open(d, index);
    if (!yyjson_is_obj(block)) {
        x->problem = "content_block_start without a block";
    } else if (d->has_finish) {
        x->problem = "a block after the stop reason";
    } else if (d->n_open == MAX_OPEN && !same) {
        x->problem = "more than 128 blocks are open";
    } else {
        need_start(x);
        if (same) end_block(x, same, EVF_SYNTH);
        put_block(x, index, block, json_doc_member_raw(&x->doc, block));
    }
}

static void on_text_delta(struct feed *x, struct open_block *b, yyjson_val *delta) {
    put_text(x, b, yyjson_obj_get(delta, "text"));
}

static void on_thinking_delta(struct feed *x, struct open_block *b, yyjson_val *delta) {
    put_text(x, b, yyjson_obj_get(delta, "thinking"));
}

static void on_signature_delta(struct feed *x, struct open_block *b, yyjson_val *delta) {
    put_signature(x, b, yyjson_obj_get(delta, "signature"));
}

static void on_citations_delta(struct feed *x, struct open_block *b, yyjson_val *delta) {
    put_citation(x, b, yyjson_obj_get(delta, "citation"), member_raw(x, delta, "citation"));
}

static void on_input_delta(struct feed *x, struct open_block *b, yyjson_val *delta) {
    if (!b->has_input) put_text(x, b, yyjson_obj_get(delta, "partial_json"));
}

static const struct delta_type {
    const char *type;
    enum block_kind kind;
    void (*read)(struct feed *x, struct open_block *b, yyjson_val *delta);
    bool can_begin; /* what it is a delta of is clear without its start */
} delta_types[] = {
    {"text_delta", BLOCK_TEXT, on_text_delta, true},
    {"input_json_delta", BLOCK_TOOL_CALL, on_input_delta, false},
    {"thinking_delta", BLOCK_REASONING, on_thinking_delta, true},
    {"signature_delta", BLOCK_REASONING, on_signature_delta, true},
    {"citations_delta", BLOCK_TEXT, on_citations_delta, true},
};

static const struct delta_type *find_delta_type(struct slice type) {
    for (size_t i = 0; i < sizeof delta_types / sizeof *delta_types; i++) {
        if (slice_eq(type, slice_cstr(delta_types[i].type))) return &delta_types[i];
    }
    return NULL;
}

/* The block that a delta is for; begun when its start is missing. NULL: there is none. */
static struct open_block *block_of_delta(struct feed *x, yyjson_val *root,
                                         const struct delta_type *type) {
    struct decoder *d = x->d;
    uint32_t index = d->n_open > 0 ? d->open[d->n_open - 1].wire_index : d->next_index;
    read_index(root, &index);
    struct open_block *b = find_open(d, index);
    if (b || !type) return b;
    if (d->has_finish || index < d->next_index) {
        x->problem = "a delta for a block that is over";
    } else if (!type->can_begin) {
        x->problem = "arguments for a call that never began";
    } else if (d->n_open == MAX_OPEN) {
        x->problem = "more than 128 blocks are open";
    } else {
        need_start(x);
        b = begin_block(x, index, type->kind);
        x->out.ev.flags = EVF_SYNTH;
    }
    return b;
}

static void on_block_delta(struct feed *x, yyjson_val *root) {
    yyjson_val *delta = yyjson_obj_get(root, "delta");
    if (!yyjson_is_obj(delta)) {
        x->problem = "content_block_delta without a delta";
        return;
    }
    struct slice word = member_string(delta, "type");
    const struct delta_type *type = find_delta_type(word);
    struct open_block *b = block_of_delta(x, root, type);
    if (word.len == 0) x->problem = "a delta without a type";
    if (word.len == 0 || !b) return;
    x->d->delta_at = (uint16_t)(b - x->d->open);
    if (b->kind == BLOCK_OPAQUE) {
        put_of_block(x, EV_OPAQUE, b)->raw_json = json_doc_member_raw(&x->doc, delta);
    } else if (type && type->kind == b->kind) {
        type->read(x, b, delta);
    } else if (type) {
        x->problem = "a delta of another kind than its block";
    }
}

static void on_block_stop(struct feed *x, yyjson_val *root) {
    struct decoder *d = x->d;
    if (d->n_open == 0) return;
    uint32_t index = d->open[d->n_open - 1].wire_index;
    read_index(root, &index);
    struct open_block *b = find_open(d, index);
    if (b) end_block(x, b, 0);
}

static void put_finish(struct feed *x, yyjson_val *delta, uint8_t flags) {
    struct decoder *d = x->d;
    yyjson_val *details = yyjson_obj_get(delta, "stop_details");
    struct finish f = {.wire = member_string(delta, "stop_reason"),
                       .stop_sequence = member_string(delta, "stop_sequence")};
    f.reason = messages_stop_reason(f.wire);
    /* Several servers say "end_turn" after tool calls. */
    if (f.reason == STOP_END && d->any_tool) f.reason = STOP_TOOL;
    if (yyjson_is_obj(details)) f.details = json_doc_member_raw(&x->doc, details);
    struct event *ev = event_out_put(&x->out, EV_FINISH);
    ev->flags = x->problem ? flags | EVF_BROKEN : flags;
    ev->u.finish = f;
    d->has_finish = true;
}

static void on_message_delta(struct feed *x, yyjson_val *root) {
    yyjson_val *delta = yyjson_obj_get(root, "delta");
    bool ends = member_string(delta, "stop_reason").len > 0 && !x->d->has_finish;
    need_start(x);
    if (ends) end_all_blocks(x);
    put_usage(x, yyjson_obj_get(root, "usage"));
    if (ends) put_finish(x, delta, 0);
}

static void put_end(struct feed *x, uint8_t flags) {
    event_out_put(&x->out, EV_END)->flags = flags;
    x->d->state = DEC_DONE;
}

/* It says that the answer is whole; one that did not say why it stopped has ended as it looks. */
static void on_message_stop(struct feed *x, yyjson_val *root) {
    (void)root;
    if (!x->d->is_started) {
        x->problem = "message_stop before message_start";
        return;
    }
    end_all_blocks(x);
    if (!x->d->has_finish) put_finish(x, NULL, EVF_SYNTH);
    put_end(x, 0);
}

static void on_ping(struct feed *x, yyjson_val *root) {
    (void)root;
    event_out_put(&x->out, EV_PING);
}

static void on_error(struct feed *x, yyjson_val *root) {
    struct error_scratch scratch;
    (void)root;
    error_read(&x->doc, 0, &scratch, &event_out_put(&x->out, EV_ERROR)->u.error);
    event_out_flush(&x->out, EVF_LAST_IN_FRAME); /* before the scratch goes */
    x->d->state = DEC_FAILED;
}

/* The usual ones first. */
static const struct {
    const char *type;
    void (*read)(struct feed *x, yyjson_val *root);
} readers[] = {
    {"content_block_delta", on_block_delta}, {"content_block_start", on_block_start},
    {"content_block_stop", on_block_stop},   {"ping", on_ping},
    {"message_start", on_message_start},     {"message_delta", on_message_delta},
    {"message_stop", on_message_stop},       {"error", on_error},
};

/* ---- frames ---- */

static void put_object(struct feed *x, yyjson_val *root, struct slice name) {
    struct slice type = member_string(root, "type");
    if (type.len == 0 && error_is_in(root, "type")) type = SLICE("error");
    if (type.len == 0) type = name;
    if (type.len == 0) x->problem = "an event without a type";
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
        if (slice_eq(type, slice_cstr(readers[i].type))) {
            readers[i].read(x, root);
            return;
        }
    }
}

static int feed_json(struct feed *x, const struct sse_frame *f, struct err *e) {
    bool is_named_error = slice_eq(f->name, SLICE("error"));
    int rc = json_doc_parse(&x->doc, f->data, e);
    if (rc && !is_named_error) return rc;
    yyjson_val *root = rc ? NULL : x->doc.doc->root;
    if (is_named_error || (yyjson_is_arr(root) && error_is_in(root, "type"))) {
        on_error(x, root);
    } else if (yyjson_is_obj(root)) {
        put_object(x, root, f->name);
    } else {
        x->problem = "an event is not a JSON object";
    }
    event_out_flush(&x->out, EVF_LAST_IN_FRAME);
    json_doc_free(&x->doc);
    if (x->out.rc) return x->out.rc;
    return x->problem ? err_set(e, ERR_PROTOCOL, "%s", x->problem) : 0;
}

/* ---- the short cut ---- */

static bool was_one_delta(const struct feed *x) {
    return x->out.n_events == 1 && x->out.ev.kind == EV_DELTA && x->out.ev.val.len > 0;
}

static bool is_quick(const struct decoder *d, const struct sse_frame *f, struct span *out_string) {
    if (!d->last_was_delta) return false;
    if (f->flags & SSE_NAME && !slice_eq(f->name, SLICE("content_block_delta"))) return false;
    return mould_fits(d->mould, f->data, out_string);
}

/* The frame before was a delta of this block, and nothing else: the block is still open. */
static int put_quick(struct decoder *d, struct slice data, struct span string,
                     const struct event_sink *sink) {
    struct open_block *b = &d->open[d->delta_at];
    struct event ev = {.kind = EV_DELTA,
                       .flags = EVF_CONTENT | EVF_LAST_IN_FRAME,
                       .block_kind = b->kind,
                       .block = b->block,
                       .text = slice_sub(data, string.off, string.len),
                       .block_off = b->off,
                       .val = string};
    b->off += string.len;
    return sink->emit(sink->self, &ev);
}

/* What OpenAI's streams end with; some servers put it behind everything. */
static bool is_done_mark(struct slice data) {
    return slice_eq(slice_trim(data), SLICE("[DONE]"));
}

static void feed_init(struct feed *x, struct decoder *d, const struct event_sink *sink) {
    x->d = d;
    event_out_begin(&x->out, sink);
    x->problem = NULL;
}

int messages_decoder_feed(struct decoder *d, const struct sse_frame *f,
                          const struct event_sink *sink, struct err *e) {
    struct span string;
    struct feed x;
    if (d->state != DEC_OPEN) return 0;
    if (is_quick(d, f, &string)) return put_quick(d, f->data, string, sink);
    d->last_was_delta = false;
    if (!(f->flags & SSE_DATA) || f->data.len == 0) return 0;
    feed_init(&x, d, sink);
    if (d->has_finish && is_done_mark(f->data)) return 0;
    int rc = feed_json(&x, f, e);
    if (rc == 0 && was_one_delta(&x))
        d->last_was_delta = mould_make(&d->mould, f->data, x.out.ev.val);
    return rc;
}

int messages_decoder_finish(struct decoder *d, const struct event_sink *sink, struct err *e) {
    struct feed x;
    if (d->state != DEC_OPEN) return 0;
    if (!d->is_started) return err_set(e, ERR_PROTOCOL, "the stream ended before message_start");
    if (!d->has_finish) return err_set(e, ERR_PROTOCOL, "the stream ended before its stop reason");
    feed_init(&x, d, sink);
    put_end(&x, EVF_SYNTH);
    event_out_flush(&x.out, 0);
    return x.out.rc;
}

/* ---- whole answers ---- */

static void put_content(struct feed *x, yyjson_val *content) {
    struct json_walk raws = json_walk_begin(json_doc_member_raw(&x->doc, content));
    struct slice raw;
    size_t i, n;
    yyjson_val *block;
    yyjson_arr_foreach(content, i, n, block) {
        if (!json_walk_element(&raws, &raw)) break;
        if (yyjson_is_null(block)) continue;
        if (!yyjson_is_obj(block)) {
            x->problem = "a block that is not an object";
            return;
        }
        put_block(x, (uint32_t)i, block, raw);
        if (x->d->n_open > 0) end_block(x, &x->d->open[0], 0);
    }
}

static void put_body(struct feed *x) {
    yyjson_val *root = x->doc.doc->root, *content = yyjson_obj_get(root, "content");
    bool is_error = slice_eq(member_string(root, "type"), SLICE("error")) ||
                    (!yyjson_is_arr(content) && error_is_in(root, "content"));
    if (is_error) {
        on_error(x, root);
    } else if (!yyjson_is_arr(content)) {
        x->problem = "an answer without content";
    } else if (member_string(root, "stop_reason").len == 0) {
        x->problem = "an answer without a stop reason";
    } else {
        put_start(x, root, 0);
        put_content(x, content);
        put_usage(x, yyjson_obj_get(root, "usage"));
        put_finish(x, root, 0);
        put_end(x, 0);
    }
}

int messages_decode_response(struct slice body, const struct event_sink *sink, struct err *e) {
    struct decoder d;
    struct feed x;
    decoder_init(&d);
    feed_init(&x, &d, sink);
    int rc = json_doc_parse(&x.doc, body, e);
    if (rc) return rc;
    put_body(&x);
    event_out_flush(&x.out, EVF_LAST_IN_FRAME);
    json_doc_free(&x.doc);
    decoder_dispose(&d);
    if (x.out.rc) return x.out.rc;
    return x.problem ? err_set(e, ERR_PROTOCOL, "%s", x.problem) : 0;
}
