/* SPDX-License-Identifier: Apache-2.0 */
/* The grammar of a stream, as the strictest of its readers wants it:
 *
 *   response.created (queued | in_progress)* item* (completed | incomplete | failed | error)
 *
 * with numbers from 0 in steps of one, items opened densely and finished before a whole answer
 * ends, parts opened before their deltas, `.done` values that are what the deltas made, and a
 * terminal event that lists the finished items. Texts are compared by length and hash: nothing is
 * kept. */
#include "dialect/responses/responses-stream.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

#define MAX_ITEMS 4096
#define MAX_PARTS 4096

struct value {
    uint64_t hash, len;
    bool is_done; /* its own `.done` came */
};

enum part_type { PT_TEXT, PT_REFUSAL, PT_THOUGHT, PT_SUMMARY };

struct checked_part {
    enum part_type type;
    bool is_done;
    uint32_t n_annotations;
    struct value value;
};

struct part_list {
    struct checked_part *at;
    uint32_t n, cap;
};

struct checked_item {
    enum responses_item_kind kind;
    bool is_done;
    uint64_t id, type, call_id; /* hashes */
    struct part_list content, summary;
    struct value value; /* of a call */
};

struct checker {
    uint64_t n_frames, next_sequence;
    bool has_sequence, is_created, is_over;
    uint64_t response_id;
    struct checked_item *items;
    uint32_t n_items, cap_items;
    /* of the frame that is looked at */
    struct slice type;
    yyjson_val *root;
    struct err *e;
    int rc;
};

struct checker *responses_checker_new(void) {
    return mem_zalloc(sizeof(struct checker));
}

void responses_checker_free(struct checker *c) {
    if (!c) return;
    for (uint32_t i = 0; i < c->n_items; i++) {
        mem_free(c->items[i].content.at);
        mem_free(c->items[i].summary.at);
    }
    mem_free(c->items);
    mem_free(c);
}

/* ---- saying what is wrong: the first thing of a frame ---- */

static void PRINTF_LIKE(2, 3) fault(struct checker *c, const char *format, ...) {
    char text[ERR_TEXT_BYTES];
    va_list args;
    if (c->rc) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    c->rc =
        err_set(c->e, ERR_PROTOCOL, "event %llu (%.*s): %s", (unsigned long long)c->n_frames - 1,
                SLICE_FMT(slice_sub(c->type, 0, 64)), text);
}

/* ---- values ---- */

static uint64_t hash(struct slice s) {
    return slice_hash(SLICE_HASH_START, s);
}

static struct value empty_value(void) {
    return (struct value){.hash = SLICE_HASH_START};
}

static void add_to_value(struct value *v, struct slice s) {
    v->hash = slice_hash(v->hash, s);
    v->len += s.len;
}

static bool is_value(const struct value *v, struct slice s) {
    return v->len == s.len && v->hash == hash(s);
}

static yyjson_val *member(yyjson_val *obj, const char *key) {
    return yyjson_obj_get(obj, key);
}

static struct slice word(yyjson_val *obj, const char *key) {
    return json_doc_str(member(obj, key));
}

static struct slice need_string(struct checker *c, yyjson_val *obj, const char *key) {
    if (!yyjson_is_str(member(obj, key))) fault(c, "%s is not a string", key);
    return word(obj, key);
}

static void need_word(struct checker *c, yyjson_val *obj, const char *key) {
    if (need_string(c, obj, key).len == 0) fault(c, "%s is empty", key);
}

static void need_this(struct checker *c, yyjson_val *obj, const char *key,
                      struct slice word_wanted) {
    if (!slice_eq(word(obj, key), word_wanted))
        fault(c, "%s is not \"%.*s\"", key, SLICE_FMT(word_wanted));
}

static yyjson_val *need_object(struct checker *c, yyjson_val *obj, const char *key) {
    if (!yyjson_is_obj(member(obj, key))) fault(c, "%s is not an object", key);
    return member(obj, key);
}

static yyjson_val *need_array(struct checker *c, yyjson_val *obj, const char *key) {
    if (!yyjson_is_arr(member(obj, key))) fault(c, "%s is not an array", key);
    return member(obj, key);
}

static void need_empty(struct checker *c, yyjson_val *obj, const char *key) {
    if (yyjson_arr_size(need_array(c, obj, key)) > 0) fault(c, "%s is not empty", key);
}

static uint32_t need_index(struct checker *c, const char *key) {
    yyjson_val *v = member(c->root, key);
    if (yyjson_is_uint(v) && yyjson_get_uint(v) < UINT32_MAX) return (uint32_t)yyjson_get_uint(v);
    fault(c, "%s is not a number", key);
    return UINT32_MAX;
}

/* ---- the response object ---- */

static yyjson_val *need_response(struct checker *c) {
    yyjson_val *r = need_object(c, c->root, "response");
    need_word(c, r, "id");
    need_this(c, r, "object", SLICE("response"));
    if (!yyjson_is_num(member(r, "created_at"))) fault(c, "created_at is not a number");
    need_string(c, r, "model");
    need_array(c, r, "output");
    uint64_t id = hash(word(r, "id"));
    if (c->is_created && id != c->response_id) fault(c, "the response's id changed");
    c->response_id = id;
    return r;
}

static void check_usage(struct checker *c, yyjson_val *response) {
    static const char *const counters[] = {"input_tokens", "output_tokens", "total_tokens"};
    static const char *const details[] = {"input_tokens_details", "output_tokens_details"};
    yyjson_val *usage = member(response, "usage");
    if (!usage) fault(c, "usage is missing");
    if (!usage || yyjson_is_null(usage)) return;
    for (unsigned i = 0; i < 3; i++) {
        if (!yyjson_is_num(member(usage, counters[i])))
            fault(c, "usage.%s is not a number", counters[i]);
    }
    for (unsigned i = 0; i < 2; i++)
        need_object(c, usage, details[i]);
}

static void on_lifecycle(struct checker *c, enum responses_event event) {
    yyjson_val *r = need_response(c);
    struct slice status = word(r, "status");
    if (event == RE_CREATED && c->is_created) fault(c, "a second response.created");
    if (c->n_items > 0) fault(c, "it comes after output items");
    c->is_created = true;
    if (slice_eq(status, SLICE("queued")) && event != RE_IN_PROGRESS) return;
    if (event == RE_QUEUED) fault(c, "status is not \"queued\"");
    need_this(c, r, "status", SLICE("in_progress"));
    need_empty(c, r, "output");
}

/* The finished items, in order. */
static void check_output(struct checker *c, yyjson_val *output) {
    size_t i, n;
    yyjson_val *item;
    if (yyjson_arr_size(output) != c->n_items) {
        fault(c, "output has %zu items, the stream had %u", yyjson_arr_size(output), c->n_items);
        return;
    }
    yyjson_arr_foreach(output, i, n, item) {
        const struct checked_item *it = &c->items[i];
        if (!it->is_done) fault(c, "item %zu has no output_item.done", i);
        if (hash(word(item, "id")) != it->id) fault(c, "output[%zu].id is another", i);
        if (hash(word(item, "type")) != it->type) fault(c, "output[%zu].type is another", i);
        if (hash(word(item, "call_id")) != it->call_id)
            fault(c, "output[%zu].call_id is another", i);
    }
}

static void on_terminal(struct checker *c, enum responses_event event) {
    yyjson_val *r = need_response(c), *why = member(r, "incomplete_details");
    c->is_over = true;
    if (event == RE_FAILED) {
        need_this(c, r, "status", SLICE("failed"));
        need_string(c, need_object(c, r, "error"), "message");
        return;
    }
    check_output(c, member(r, "output"));
    check_usage(c, r);
    if (event == RE_INCOMPLETE) {
        need_this(c, r, "status", SLICE("incomplete"));
        need_word(c, why, "reason");
    } else {
        need_this(c, r, "status", SLICE("completed"));
        if (why && !yyjson_is_null(why)) fault(c, "incomplete_details is not null");
    }
}

static void on_error(struct checker *c) {
    yyjson_val *error = member(c->root, "error");
    c->is_over = true;
    need_string(c, yyjson_is_obj(error) ? error : c->root, "message");
    if (!member(c->root, "sequence_number")) fault(c, "sequence_number is missing");
}

/* ---- items ---- */

static struct checked_item *add_item(struct checker *c) {
    if (c->n_items == MAX_ITEMS) {
        fault(c, "more than 4096 output items");
        return NULL;
    }
    if (c->n_items == c->cap_items) {
        c->cap_items = c->cap_items ? c->cap_items * 2 : 4;
        c->items = mem_realloc(c->items, c->cap_items * sizeof *c->items);
    }
    struct checked_item *it = &c->items[c->n_items++];
    *it = (struct checked_item){.value = empty_value()};
    return it;
}

static void check_new_item(struct checker *c, const struct checked_item *it, yyjson_val *item) {
    switch (it->kind) {
    case RI_MESSAGE:
        need_this(c, item, "role", SLICE("assistant"));
        need_empty(c, item, "content");
        break;
    case RI_REASONING: need_empty(c, item, "summary"); return;
    case RI_CALL:
    case RI_CUSTOM_CALL:
        need_word(c, item, "call_id");
        need_word(c, item, "name");
        if (need_string(c, item, it->kind == RI_CALL ? "arguments" : "input").len > 0)
            fault(c, "the item has its value already");
        break;
    case RI_OPAQUE: return;
    }
    need_this(c, item, "status", SLICE("in_progress"));
}

static void on_added(struct checker *c) {
    yyjson_val *item = need_object(c, c->root, "item");
    uint32_t index = need_index(c, "output_index");
    need_word(c, item, "id");
    need_word(c, item, "type");
    if (index != c->n_items) fault(c, "output_index is %u, the next one is %u", index, c->n_items);
    struct checked_item *it = add_item(c);
    if (!it) return;
    it->kind = responses_item_kind_of(word(item, "type"));
    it->id = hash(word(item, "id"));
    it->type = hash(word(item, "type"));
    it->call_id = hash(word(item, "call_id"));
    check_new_item(c, it, item);
}

/* The open item that the frame is of. */
static struct checked_item *need_item(struct checker *c) {
    uint32_t index = need_index(c, "output_index");
    struct checked_item *it = index < c->n_items ? &c->items[index] : NULL;
    if (!it)
        fault(c, "output_index %u was never added", index);
    else if (it->is_done)
        fault(c, "item %u is done already", index);
    return c->rc ? NULL : it;
}

static struct checked_item *need_inner(struct checker *c, bool has_id) {
    struct checked_item *it = need_item(c);
    yyjson_val *id = member(c->root, "item_id");
    if (!it || (!has_id && !id)) return it;
    if (!yyjson_is_str(id) || hash(json_doc_str(id)) != it->id)
        fault(c, "item_id is not the item's id");
    return c->rc ? NULL : it;
}

/* ---- parts ---- */

static const struct {
    struct slice type;
    const char *key;
} part_types[] = {
    [PT_TEXT] = {{"output_text", 11}, "text"},
    [PT_REFUSAL] = {{"refusal", 7}, "refusal"},
    [PT_THOUGHT] = {{"reasoning_text", 14}, "text"},
    [PT_SUMMARY] = {{"summary_text", 12}, "text"},
};

static bool find_part_type(yyjson_val *part, enum part_type *out_type) {
    for (unsigned i = 0; i < sizeof part_types / sizeof *part_types; i++) {
        *out_type = (enum part_type)i;
        if (slice_eq(word(part, "type"), part_types[i].type)) return true;
    }
    return false;
}

static bool may_have(const struct checked_item *it, enum part_type type) {
    if (type == PT_TEXT || type == PT_REFUSAL) return it->kind == RI_MESSAGE;
    return it->kind == RI_REASONING;
}

static void on_part_added(struct checker *c, bool is_summary) {
    enum part_type type = PT_TEXT;
    struct checked_item *it = need_inner(c, true);
    uint32_t index = need_index(c, is_summary ? "summary_index" : "content_index");
    yyjson_val *part = need_object(c, c->root, "part");
    if (!it || c->rc) return;
    struct part_list *list = is_summary ? &it->summary : &it->content;
    if (!find_part_type(part, &type) || (type == PT_SUMMARY) != is_summary || !may_have(it, type))
        fault(c, "the item has no parts of this type");
    if (index != list->n || index >= MAX_PARTS)
        fault(c, "the part's index is %u, the next one is %u", index, list->n);
    if (need_string(c, part, part_types[type].key).len > 0)
        fault(c, "the part has its value already");
    if (c->rc) return;
    if (list->n == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 2;
        list->at = mem_realloc(list->at, list->cap * sizeof *list->at);
    }
    list->at[list->n++] = (struct checked_part){.type = type, .value = empty_value()};
}

static struct checked_part *need_part(struct checker *c, enum part_type type) {
    bool is_summary = type == PT_SUMMARY;
    struct checked_item *it = need_inner(c, true);
    uint32_t index = need_index(c, is_summary ? "summary_index" : "content_index");
    if (!it || c->rc) return NULL;
    struct part_list *list = is_summary ? &it->summary : &it->content;
    if (index >= list->n)
        fault(c, "part %u was never opened", index);
    else if (list->at[index].type != type)
        fault(c, "part %u is of another type", index);
    return c->rc ? NULL : &list->at[index];
}

static void check_delta(struct checker *c, struct value *v) {
    struct slice delta = need_string(c, c->root, "delta");
    if (v->is_done) fault(c, "a delta behind its value's end");
    add_to_value(v, delta);
}

static void check_done(struct checker *c, struct value *v, const char *key) {
    struct slice text = need_string(c, c->root, key);
    if (v->is_done) fault(c, "the value ended before");
    if (!is_value(v, text)) fault(c, "%s is not what the deltas made", key);
    v->is_done = true;
}

static void on_delta(struct checker *c, enum part_type type) {
    struct checked_part *p = need_part(c, type);
    if (p) check_delta(c, &p->value);
}

static void on_value_done(struct checker *c, enum part_type type) {
    struct checked_part *p = need_part(c, type);
    if (p) check_done(c, &p->value, part_types[type].key);
}

static void on_annotation(struct checker *c) {
    struct checked_part *p = need_part(c, PT_TEXT);
    uint32_t index = need_index(c, "annotation_index");
    yyjson_val *a = need_object(c, c->root, "annotation");
    if (!p) return;
    if (p->value.is_done) fault(c, "an annotation behind its text's end");
    if (index != p->n_annotations++)
        fault(c, "annotation_index is %u, the next one is %u", index, p->n_annotations - 1);
    if (!slice_eq(word(a, "type"), SLICE("url_citation"))) return;
    if (!yyjson_is_num(member(a, "start_index")) || !yyjson_is_num(member(a, "end_index")))
        fault(c, "a url_citation without start_index and end_index");
}

/* A finished part, in its own event or in its item's. */
static void check_part(struct checker *c, const struct checked_part *p, yyjson_val *part) {
    need_this(c, part, "type", part_types[p->type].type);
    if (!is_value(&p->value, need_string(c, part, part_types[p->type].key)))
        fault(c, "the part's %s is not what the deltas made", part_types[p->type].key);
    if (p->type != PT_TEXT) return;
    if (yyjson_arr_size(need_array(c, part, "annotations")) != p->n_annotations)
        fault(c, "the part has %zu annotations, %u were added",
              yyjson_arr_size(member(part, "annotations")), p->n_annotations);
}

static void on_part_done(struct checker *c, bool is_summary) {
    enum part_type type = PT_TEXT;
    yyjson_val *part = need_object(c, c->root, "part");
    if (!find_part_type(part, &type) || (type == PT_SUMMARY) != is_summary) {
        fault(c, "a part of an unknown type");
        return;
    }
    struct checked_part *p = need_part(c, type);
    if (!p) return;
    if (p->is_done) fault(c, "the part is done already");
    p->is_done = true;
    check_part(c, p, part);
}

/* ---- finished items ---- */

static void check_parts(struct checker *c, const struct part_list *list, yyjson_val *item,
                        const char *key) {
    size_t i, n;
    yyjson_val *part, *parts = member(item, key);
    if (yyjson_arr_size(parts) != list->n) {
        fault(c, "%s has %zu parts, %u were opened", key, yyjson_arr_size(parts), list->n);
        return;
    }
    yyjson_arr_foreach(parts, i, n, part) {
        if (!list->at[i].is_done || !list->at[i].value.is_done)
            fault(c, "%s[%zu] has no .done event", key, i);
        check_part(c, &list->at[i], part);
    }
}

static void check_call(struct checker *c, const struct checked_item *it, yyjson_val *item) {
    const char *key = it->kind == RI_CALL ? "arguments" : "input";
    if (!it->value.is_done) fault(c, "the call's %s had no .done event", key);
    if (!is_value(&it->value, need_string(c, item, key)))
        fault(c, "the item's %s is not what the deltas made", key);
    need_word(c, item, "name");
}

static void on_item_done(struct checker *c) {
    struct checked_item *it = need_item(c);
    yyjson_val *item = need_object(c, c->root, "item");
    if (!it || c->rc) return;
    it->is_done = true;
    if (hash(word(item, "id")) != it->id) fault(c, "the item's id changed");
    if (hash(word(item, "type")) != it->type) fault(c, "the item's type changed");
    if (hash(word(item, "call_id")) != it->call_id) fault(c, "the item's call_id changed");
    switch (it->kind) {
    case RI_MESSAGE: check_parts(c, &it->content, item, "content"); break;
    case RI_REASONING:
        need_array(c, item, "summary");
        check_parts(c, &it->summary, item, "summary");
        check_parts(c, &it->content, item, "content");
        return;
    case RI_CALL:
    case RI_CUSTOM_CALL: check_call(c, it, item); break;
    case RI_OPAQUE: return;
    }
    if (slice_eq(need_string(c, item, "status"), SLICE("in_progress")))
        fault(c, "status is still \"in_progress\"");
}

static void on_call(struct checker *c, enum responses_item_kind kind, bool is_done) {
    struct checked_item *it = need_inner(c, true);
    if (!it) return;
    if (it->kind != kind)
        fault(c, "the item is no such call");
    else if (is_done)
        check_done(c, &it->value, kind == RI_CALL ? "arguments" : "input");
    else
        check_delta(c, &it->value);
}

/* ---- frames ---- */

static void check_sequence(struct checker *c, enum responses_event event) {
    yyjson_val *v = member(c->root, "sequence_number");
    if (!v) {
        if (c->has_sequence && event != RE_KEEPALIVE) fault(c, "sequence_number is missing");
        return;
    }
    if (!yyjson_is_uint(v)) {
        fault(c, "sequence_number is not a number");
        return;
    }
    if (yyjson_get_uint(v) != c->next_sequence)
        fault(c, "sequence_number is %llu, the next one is %llu",
              (unsigned long long)yyjson_get_uint(v), (unsigned long long)c->next_sequence);
    c->next_sequence = yyjson_get_uint(v) + 1;
    c->has_sequence = true;
}

static void on_event(struct checker *c, enum responses_event event) {
    switch (event) {
    case RE_CREATED:
    case RE_QUEUED:
    case RE_IN_PROGRESS: on_lifecycle(c, event); break;
    case RE_COMPLETED:
    case RE_INCOMPLETE:
    case RE_FAILED: on_terminal(c, event); break;
    case RE_ERROR: on_error(c); break;
    case RE_ITEM_ADDED: on_added(c); break;
    case RE_ITEM_DONE: on_item_done(c); break;
    case RE_PART_ADDED: on_part_added(c, false); break;
    case RE_PART_DONE: on_part_done(c, false); break;
    case RE_SUMMARY_ADDED: on_part_added(c, true); break;
    case RE_SUMMARY_PART_DONE: on_part_done(c, true); break;
    case RE_TEXT_DELTA: on_delta(c, PT_TEXT); break;
    case RE_TEXT_DONE: on_value_done(c, PT_TEXT); break;
    case RE_REFUSAL_DELTA: on_delta(c, PT_REFUSAL); break;
    case RE_REFUSAL_DONE: on_value_done(c, PT_REFUSAL); break;
    case RE_SUMMARY_DELTA: on_delta(c, PT_SUMMARY); break;
    case RE_SUMMARY_DONE: on_value_done(c, PT_SUMMARY); break;
    case RE_THOUGHT_DELTA: on_delta(c, PT_THOUGHT); break;
    case RE_THOUGHT_DONE: on_value_done(c, PT_THOUGHT); break;
    case RE_ANNOTATION: on_annotation(c); break;
    case RE_ARGS_DELTA: on_call(c, RI_CALL, false); break;
    case RE_ARGS_DONE: on_call(c, RI_CALL, true); break;
    case RE_INPUT_DELTA: on_call(c, RI_CUSTOM_CALL, false); break;
    case RE_INPUT_DONE: on_call(c, RI_CUSTOM_CALL, true); break;
    case RE_HOSTED: need_inner(c, false); break;
    case RE_ASIDE:
    case RE_KEEPALIVE: break;
    case RE_CANCELLED:
    case RE_UNKNOWN: fault(c, "an event that clients do not know"); break;
    }
}

static void check_object(struct checker *c, const struct sse_frame *f) {
    c->type = word(c->root, "type");
    enum responses_event event = responses_event_of(c->type);
    if (!yyjson_is_obj(c->root))
        fault(c, "not a JSON object");
    else if (c->type.len == 0)
        fault(c, "type is missing");
    else if (c->is_over)
        fault(c, "it comes after the terminal event");
    if (f->flags & SSE_NAME && !slice_eq(f->name, c->type)) fault(c, "the event's name is another");
    if (!c->is_created && event != RE_CREATED && event != RE_ERROR && event != RE_KEEPALIVE)
        fault(c, "it comes before response.created");
    check_sequence(c, event);
    on_event(c, event);
}

int responses_checker_frame(struct checker *c, const struct sse_frame *f, struct err *e) {
    struct json_doc doc;
    if (!(f->flags & SSE_EVENT) || !(f->flags & SSE_DATA)) return 0;
    c->n_frames++;
    c->e = e;
    c->rc = 0;
    c->type = SLICE("?");
    int rc = json_doc_parse(&doc, f->data, e);
    if (rc) return rc;
    c->root = doc.doc->root;
    check_object(c, f);
    c->root = NULL;
    c->type = SLICE_NULL;
    json_doc_free(&doc);
    return c->rc;
}

int responses_checker_end(struct checker *c, struct err *e) {
    if (c->is_over) return 0;
    return err_set(e, ERR_PROTOCOL, "the stream ended without a terminal event, after %llu events",
                   (unsigned long long)c->n_frames);
}
