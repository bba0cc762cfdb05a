/* SPDX-License-Identifier: Apache-2.0 */
/* Items to blocks.
 *
 * Items are found by output_index, else by id; an event of an item that was never added makes it.
 * What the `.done` events, and the terminal one, repeat is a recap while its block is open, nothing
 * later, and the value itself where no delta came. A call begins when its name is known; deltas
 * before that are not kept, since the whole comes at the end.
 *
 * Recaps tell whether all pieces came: what goes on where the deltas ended is said, and nothing is
 * lost; what is another text is EVF_BROKEN, but for arguments that are spelt otherwise, and texts
 * that say less, in a stream whose numbers show that nothing is missing. */
#include "dialect/responses/responses-decode.h"

#include "base/mem.h"

#define MAX_ITEMS 1024
#define MAX_PARTS 4096
#define NO_PLACE UINT32_MAX

/* ---- events ---- */

static struct event *put_of_item(struct feed *x, enum event_kind kind, const struct item *it) {
    struct event *ev = event_out_put(&x->out, kind);
    ev->block_kind = it->block_kind;
    ev->block = it->block;
    return ev;
}

void responses_put_start(struct feed *x, yyjson_val *response) {
    if (x->d->is_started) return;
    x->d->is_started = true;
    yyjson_val *at = yyjson_obj_get(response, "created_at");
    double created = yyjson_is_num(at) ? yyjson_get_num(at) : -1;
    struct event *ev = event_out_put(&x->out, EV_START);
    if (!response) ev->flags = EVF_SYNTH;
    ev->u.start =
        (struct event_start){.origin = dialect_responses.name,
                             .id = responses_member_str(response, "id"),
                             .model = responses_member_str(response, "model"),
                             .role = SLICE("assistant"),
                             .service_tier = responses_member_str(response, "service_tier"),
                             .created = created > 0 && created < 9e15 ? (int64_t)created : -1};
}

static void need_string(struct feed *x, yyjson_val *v) {
    json_doc_need(&x->problem, v, yyjson_is_str(v), "a text that is not a string");
}

static void need_object(struct feed *x, yyjson_val *v) {
    json_doc_need(&x->problem, v, yyjson_is_obj(v), "an item or a part that is not an object");
}

static void need_list(struct feed *x, yyjson_val *v) {
    json_doc_need(&x->problem, v, yyjson_is_arr(v), "output or content that is not a list");
}

/* ---- items ---- */

static uint32_t place(yyjson_val *v) {
    return yyjson_is_uint(v) && yyjson_get_uint(v) < NO_PLACE ? (uint32_t)yyjson_get_uint(v)
                                                              : NO_PLACE;
}

static struct item *find_by_index(struct decoder *d, uint32_t index) {
    for (uint32_t i = d->n_items; i > 0; i--) {
        if (d->items[i - 1].output_index == index) return &d->items[i - 1];
    }
    return NULL;
}

static struct item *find_by_id(struct decoder *d, uint64_t id_hash) {
    for (uint32_t i = id_hash ? d->n_items : 0; i > 0; i--) {
        if (d->items[i - 1].id_hash == id_hash) return &d->items[i - 1];
    }
    return NULL;
}

/* Some servers give a call no id, and call it by its call_id. */
static uint64_t id_hash_of(yyjson_val *item) {
    struct slice id = responses_member_str(item, "id");
    return slice_hash_id(id.len > 0 ? id : responses_member_str(item, "call_id"));
}

/* By index; the id tells which where servers give several items the same one. */
static struct item *find_item(struct decoder *d, uint32_t index, uint64_t id_hash) {
    struct item *by_index = index == NO_PLACE ? NULL : find_by_index(d, index);
    if (by_index && (id_hash == 0 || by_index->id_hash == id_hash)) return by_index;
    struct item *by_id = find_by_id(d, id_hash);
    return by_id ? by_id : by_index;
}

static struct item *add_item(struct feed *x, enum responses_item_kind kind, uint32_t index,
                             uint64_t id_hash) {
    struct decoder *d = x->d;
    if (d->n_items == MAX_ITEMS) {
        x->problem = "more than 1024 output items";
        return NULL;
    }
    if (d->n_items == d->cap_items) {
        d->cap_items = d->cap_items ? d->cap_items * 2 : 4;
        d->items = mem_realloc(d->items, d->cap_items * sizeof *d->items);
    }
    struct item *it = &d->items[d->n_items++];
    *it = (struct item){.output_index = index == NO_PLACE ? d->n_items - 1 : index,
                        .group = d->n_items,
                        .id_hash = id_hash,
                        .kind = kind};
    return it;
}

/* The item that an inner event is of; made when its `added` is missing. NULL: it says nothing that
 * can be taken. */
static struct item *need_item(struct feed *x, enum responses_item_kind kind) {
    uint32_t index = place(x->m.output_index);
    uint64_t id_hash = slice_hash_id(json_doc_str(x->m.item_id));
    struct item *it = find_item(x->d, index, id_hash);
    if (!it && index == NO_PLACE && id_hash == 0 && x->d->n_items > 0)
        it = &x->d->items[x->d->n_items - 1];
    if (!it) it = add_item(x, kind, index, id_hash);
    if (it && it->kind != kind) x->problem = "an event of an item of another type";
    return it && it->kind == kind && !it->is_done ? it : NULL;
}

/* No recap can come for what was said any more. */
static void leave_part(struct feed *x, const struct item *it) {
    if (!it->is_told && (it->has_text || it->kind == RI_CALL || it->kind == RI_CUSTOM_CALL))
        x->d->has_untold = true;
}

static void begin_saying(struct item *it) {
    it->is_told = false;
    responses_said_begin(&it->said, it->block_kind == BLOCK_TOOL_CALL);
}

static void end_block(struct feed *x, struct item *it, uint8_t flags) {
    if (!it->is_open) return;
    it->is_open = false;
    leave_part(x, it);
    put_of_item(x, EV_BLOCK_END, it)->flags = flags;
}

static struct event *begin_block(struct feed *x, struct item *it, enum block_kind kind) {
    responses_put_start(x, NULL);
    end_block(x, it, EVF_SYNTH);
    it->is_open = it->is_begun = true;
    it->has_text = false;
    it->block_kind = kind;
    it->block = x->d->next_block++;
    it->off = it->part_off = 0;
    it->n_annotations = 0;
    begin_saying(it);
    struct event *ev = put_of_item(x, EV_BLOCK_BEGIN, it);
    ev->u.begin.wire_index = it->output_index;
    return ev;
}

static void put_delta(struct feed *x, struct item *it, struct slice text, yyjson_val *string) {
    struct event *ev = put_of_item(x, EV_DELTA, it);
    ev->flags = EVF_CONTENT;
    if (it->is_told) ev->flags |= EVF_BROKEN; /* the recap has not got it */
    ev->text = text;
    ev->block_off = it->off;
    if (string) ev->val = json_doc_string_span(&x->doc, string);
    it->off += text.len;
    it->has_text = true;
    responses_said_add(&it->said, text);
}

/* What no delta said. */
static void put_untold(struct feed *x, struct item *it, struct slice text, yyjson_val *string) {
    put_delta(x, it, text, string);
    it->is_told = true;
}

/* Where the numbers show that all pieces came and none twice: servers write arguments anew, and
 * take out of a text what should not have been in it (marks of citations, what a filter found). */
static bool may_differ(const struct decoder *d, const struct item *it, struct slice text) {
    bool is_whole = d->n_steps >= STEPS_OF_A_COUNT && !d->has_gap;
    return is_whole && (it->kind == RI_CALL || text.len < it->said.len);
}

static void put_recap(struct feed *x, struct item *it, yyjson_val *string, uint64_t off) {
    struct slice text = json_doc_str(string), rest;
    bool is_same = responses_said_is(&it->said, text, &rest);
    if (is_same && rest.len > 0 && !it->is_told) {
        put_untold(x, it, rest, NULL);
        return;
    }
    struct event *ev = put_of_item(x, EV_DELTA, it);
    ev->flags = EVF_RECAP;
    ev->text = text;
    ev->block_off = off;
    ev->val = json_doc_string_span(&x->doc, string);
    if ((is_same && rest.len == 0) || may_differ(x->d, it, text))
        it->is_told = true;
    else
        ev->flags |= EVF_BROKEN;
}

static bool has_text(yyjson_val *v) {
    return json_doc_str(v).len > 0;
}

/* ---- messages ---- */

static void put_logprobs(struct feed *x, const struct item *it, yyjson_val *tokens) {
    if (yyjson_arr_size(tokens) == 0) return;
    event_out_flush(&x->out, 0); /* it may point to the scratch */
    buf_reset(&x->d->scratch);
    struct json_writer w = jw_begin(&x->d->scratch);
    jw(&w, SLICE("["));
    unsigned n = responses_w_tokens(&w, responses_raw_of(x, tokens));
    jw(&w, SLICE("]"));
    if (jw_end(&w) || n == 0) return;
    put_of_item(x, EV_LOGPROBS, it)->raw_json = buf_slice(&x->d->scratch);
}

/* The number of a part, or of the one that is open. */
static uint32_t part_of(struct feed *x, const struct item *it, yyjson_val *number) {
    uint32_t part = place(number);
    if (part == NO_PLACE) return it->part;
    if (part < MAX_PARTS) return part;
    x->problem = "more than 4096 parts in one item";
    return it->part;
}

static bool is_open_part(const struct item *it, enum block_kind kind, uint32_t part) {
    return it->is_open && it->block_kind == kind && it->part == part;
}

static void begin_part(struct feed *x, struct item *it, enum block_kind kind, uint32_t part,
                       struct slice item_id) {
    struct event *ev = begin_block(x, it, kind);
    ev->u.begin.group = it->group;
    ev->u.begin.item_id = item_id;
    it->part = part;
    if (part >= it->n_told) it->n_told = part + 1;
}

static void put_part(struct feed *x, struct item *it, enum block_kind kind, uint32_t part,
                     struct slice item_id, yyjson_val *string, yyjson_val *logprobs) {
    need_string(x, string);
    if (!has_text(string)) return;
    if (!is_open_part(it, kind, part)) begin_part(x, it, kind, part, item_id);
    if (kind == BLOCK_TEXT) put_logprobs(x, it, logprobs);
    put_delta(x, it, json_doc_str(string), string);
}

/* The whole of a part, which usually has been said. */
static void put_whole_part(struct feed *x, struct item *it, enum block_kind kind, uint32_t part,
                           struct slice item_id, yyjson_val *string, yyjson_val *logprobs) {
    need_string(x, string);
    if (!has_text(string)) return;
    if (part >= it->n_told) {
        put_part(x, it, kind, part, item_id, string, logprobs);
        it->is_told = true;
    } else if (is_open_part(it, kind, part)) {
        put_recap(x, it, string, 0);
    }
}

static int64_t annotation_place(yyjson_val *v) {
    return yyjson_is_uint(v) && yyjson_get_uint(v) <= INT64_MAX ? (int64_t)yyjson_get_uint(v) : -1;
}

static void put_annotation(struct feed *x, struct item *it, yyjson_val *a, struct slice raw) {
    struct event *ev = put_of_item(x, EV_ANNOTATION, it);
    bool is_url = slice_eq(responses_member_str(a, "type"), SLICE("url_citation"));
    ev->raw_json = raw;
    ev->u.annotation =
        (struct annotation){.kind = is_url ? ANNOTATION_URL : ANNOTATION_OTHER,
                            .url = responses_member_str(a, "url"),
                            .title = responses_member_str(a, "title"),
                            .start = annotation_place(yyjson_obj_get(a, "start_index")),
                            .end = annotation_place(yyjson_obj_get(a, "end_index"))};
    it->n_annotations++;
}

/* Those of a finished part that had no event of their own. */
static void put_annotations(struct feed *x, struct item *it, yyjson_val *list) {
    if (yyjson_arr_size(list) <= it->n_annotations || !it->is_open) return;
    struct json_walk walk = json_walk_begin(responses_raw_of(x, list));
    struct slice raw;
    size_t i, n;
    yyjson_val *a;
    yyjson_arr_foreach(list, i, n, a) {
        if (!json_walk_element(&walk, &raw)) return;
        if (i >= it->n_annotations && yyjson_is_obj(a)) put_annotation(x, it, a, raw);
    }
}

/* False: no part that a message has. */
static bool read_part(yyjson_val *part, enum block_kind *out_kind, yyjson_val **out_string) {
    bool is_refusal = slice_eq(responses_member_str(part, "type"), SLICE("refusal"));
    *out_kind = is_refusal ? BLOCK_REFUSAL : BLOCK_TEXT;
    *out_string = yyjson_obj_get(part, is_refusal ? "refusal" : "text");
    return is_refusal || slice_eq(responses_member_str(part, "type"), SLICE("output_text"));
}

static void put_finished_part(struct feed *x, struct item *it, uint32_t part, struct slice item_id,
                              yyjson_val *value) {
    enum block_kind kind;
    yyjson_val *string;
    need_object(x, value);
    if (!read_part(value, &kind, &string)) return;
    put_whole_part(x, it, kind, part, item_id, string, yyjson_obj_get(value, "logprobs"));
    if (is_open_part(it, kind, part)) put_annotations(x, it, yyjson_obj_get(value, "annotations"));
}

static void put_finished_message(struct feed *x, struct item *it, yyjson_val *item) {
    size_t i, n;
    yyjson_val *part, *content = yyjson_obj_get(item, "content");
    struct slice id = responses_member_str(item, "id");
    need_list(x, content);
    yyjson_arr_foreach(content, i, n, part) {
        if (i < MAX_PARTS) put_finished_part(x, it, (uint32_t)i, id, part);
    }
}

/* ---- reasoning ---- */

static void need_reasoning(struct feed *x, struct item *it, bool is_raw, struct slice item_id) {
    if (it->is_open) return;
    struct event *ev = begin_block(x, it, BLOCK_REASONING);
    ev->u.begin.item_id = item_id;
    ev->u.begin.is_raw = it->is_raw = is_raw;
}

static void turn_to_part(struct feed *x, struct item *it, uint32_t part) {
    if (part != it->part) {
        if (it->has_text) put_of_item(x, EV_PART, it);
        leave_part(x, it);
        begin_saying(it);
        it->part_off = it->off;
    }
    it->part = part;
    if (part >= it->n_told) it->n_told = part + 1;
}

/* A summary, or the thoughts themselves: not both of one item. False: nothing was said. */
static bool put_thought(struct feed *x, struct item *it, bool is_raw, uint32_t part,
                        struct slice item_id, yyjson_val *string) {
    need_string(x, string);
    if (!has_text(string) || (it->is_open && it->has_text && it->is_raw != is_raw)) return false;
    need_reasoning(x, it, is_raw, item_id);
    turn_to_part(x, it, part);
    put_delta(x, it, json_doc_str(string), string);
    return true;
}

static void put_whole_thought(struct feed *x, struct item *it, bool is_raw, uint32_t part,
                              struct slice item_id, yyjson_val *string) {
    if (part >= it->n_told) {
        if (put_thought(x, it, is_raw, part, item_id, string)) it->is_told = true;
    } else if (it->is_open && it->is_raw == is_raw && it->part == part && has_text(string)) {
        put_recap(x, it, string, it->part_off);
    }
}

static void put_thoughts(struct feed *x, struct item *it, bool is_raw, struct slice item_id,
                         yyjson_val *list) {
    size_t i, n;
    yyjson_val *part;
    need_list(x, list);
    yyjson_arr_foreach(list, i, n, part) {
        if (i >= MAX_PARTS) return;
        need_object(x, part);
        put_whole_thought(x, it, is_raw, (uint32_t)i, item_id, yyjson_obj_get(part, "text"));
    }
}

static void put_finished_reasoning(struct feed *x, struct item *it, yyjson_val *item) {
    struct slice id = responses_member_str(item, "id");
    yyjson_val *proof = yyjson_obj_get(item, "encrypted_content");
    yyjson_val *summary = yyjson_obj_get(item, "summary");
    put_thoughts(x, it, false, id, summary);
    if (!it->has_text || it->is_raw) put_thoughts(x, it, true, id, yyjson_obj_get(item, "content"));
    if (!has_text(proof)) return;
    need_reasoning(x, it, false, id);
    struct event *ev = put_of_item(x, EV_SIGNATURE, it);
    ev->text = json_doc_str(proof);
    ev->val = json_doc_string_span(&x->doc, proof);
}

/* ---- calls ---- */

static const char *value_key(const struct item *it) {
    return it->kind == RI_CUSTOM_CALL ? "input" : "arguments";
}

static void begin_call(struct feed *x, struct item *it, yyjson_val *item) {
    struct slice call_id = responses_member_str(item, "call_id");
    struct slice id = responses_member_str(item, "id");
    x->d->any_call = true;
    struct event *ev =
        begin_block(x, it, it->kind == RI_CUSTOM_CALL ? BLOCK_CUSTOM_TOOL_CALL : BLOCK_TOOL_CALL);
    ev->flags = EVF_CONTENT;
    ev->u.begin.id = call_id.len > 0 ? call_id : id;
    ev->u.begin.name = responses_member_str(item, "name");
    ev->u.begin.name_space = responses_member_str(item, "namespace");
    ev->u.begin.item_id = id;
}

static void put_call_delta(struct feed *x, struct item *it, yyjson_val *string) {
    need_string(x, string);
    if (!has_text(string)) return;
    if (it->is_open && !it->is_owed)
        put_delta(x, it, json_doc_str(string), string);
    else
        it->is_owed = true;
}

static void put_whole_call(struct feed *x, struct item *it, yyjson_val *value) {
    json_doc_need(&x->problem, value, yyjson_is_str(value) || yyjson_is_ctn(value), "arguments that are not a string");
    if (!it->is_open) return;
    if (yyjson_is_ctn(value) && !it->has_text) {
        put_untold(x, it, responses_raw_of(x, value), NULL); /* servers that forget the quotes */
    } else if (has_text(value) && !it->has_text) {
        put_untold(x, it, json_doc_str(value), value);
    } else if (has_text(value)) {
        put_recap(x, it, value, 0);
    } else if (yyjson_is_str(value) && !it->has_text) {
        it->is_told = true;
    }
    if (it->is_told) it->is_owed = false;
}

/* ---- hosted tools ---- */

static void begin_opaque(struct feed *x, struct item *it, yyjson_val *item, struct slice raw) {
    struct event *ev = begin_block(x, it, BLOCK_OPAQUE);
    ev->flags = EVF_CONTENT;
    ev->u.begin.item_id = responses_member_str(item, "id");
    ev->raw_json = raw;
}

static void put_opaque(struct feed *x, const struct item *it, struct slice raw) {
    put_of_item(x, EV_OPAQUE, it)->raw_json = raw;
}

/* ---- items as wholes ---- */

/* An item that was made by an inner event, and is told now. */
static struct item *find_untold(struct decoder *d, enum responses_item_kind kind, uint32_t index,
                                uint64_t id_hash) {
    struct item *it = find_item(d, index, id_hash);
    if (!it || it->kind != kind || it->is_done) return NULL;
    if (it->id_hash == 0) it->id_hash = id_hash;
    return it->id_hash == id_hash || id_hash == 0 ? it : NULL;
}

/* raw: of the item. index NO_PLACE: not told. */
static void put_added(struct feed *x, yyjson_val *item, uint32_t index, struct slice raw) {
    enum responses_item_kind kind = responses_item_kind_of(responses_member_str(item, "type"));
    uint64_t id_hash = id_hash_of(item);
    struct item *it = find_untold(x->d, kind, index, id_hash);
    if (!it) it = add_item(x, kind, index, id_hash);
    if (!it || it->is_begun) return;
    if (kind == RI_OPAQUE)
        begin_opaque(x, it, item, raw);
    else if (kind >= RI_CALL && responses_member_str(item, "name").len > 0)
        begin_call(x, it, item);
}

/* event: the frame's data; empty: the item was found in the terminal event, or in a body. */
static void put_done(struct feed *x, struct item *it, yyjson_val *item, struct slice raw,
                     struct slice event) {
    bool is_new = !it->is_begun;
    switch (it->kind) {
    case RI_MESSAGE: put_finished_message(x, it, item); break;
    case RI_REASONING: put_finished_reasoning(x, it, item); break;
    case RI_CALL:
    case RI_CUSTOM_CALL:
        if (is_new) begin_call(x, it, item);
        put_whole_call(x, it, yyjson_obj_get(item, value_key(it)));
        break;
    case RI_OPAQUE:
        if (is_new) begin_opaque(x, it, item, raw);
        if (event.len > 0 || !is_new) put_opaque(x, it, event.len > 0 ? event : raw);
        break;
    }
    end_block(x, it, event.len > 0 ? 0 : EVF_SYNTH);
    it->is_done = true;
}

static struct item *find_finished(struct decoder *d, enum responses_item_kind kind, uint32_t index,
                                  uint64_t id_hash) {
    struct item *it = find_by_id(d, id_hash);
    if (!it && index != NO_PLACE) it = find_by_index(d, index);
    return it && it->kind == kind ? it : NULL;
}

static void put_finished(struct feed *x, yyjson_val *item, uint32_t index, struct slice raw,
                         struct slice event) {
    enum responses_item_kind kind = responses_item_kind_of(responses_member_str(item, "type"));
    uint64_t id_hash = id_hash_of(item);
    struct item *it = find_finished(x->d, kind, index, id_hash);
    if (!it) it = add_item(x, kind, index, id_hash);
    if (it && !it->is_done) put_done(x, it, item, raw, event);
}

void responses_put_output(struct feed *x, yyjson_val *output) {
    size_t i, n;
    yyjson_val *item;
    need_list(x, output);
    if (yyjson_arr_size(output) == 0) return;
    struct json_walk walk = json_walk_begin(responses_raw_of(x, output));
    struct slice raw;
    yyjson_arr_foreach(output, i, n, item) {
        if (!json_walk_element(&walk, &raw)) break;
        need_object(x, item);
        if (yyjson_is_obj(item)) put_finished(x, item, (uint32_t)i, raw, SLICE_NULL);
    }
}

void responses_end_blocks(struct feed *x) {
    for (uint32_t i = 0; i < x->d->n_items; i++)
        end_block(x, &x->d->items[i], EVF_SYNTH);
}

/* ---- one event ---- */

/* A piece for an item that is over. */
static void refuse_late(struct feed *x, bool is_whole) {
    if (!is_whole && has_text(x->m.delta) && !x->problem)
        x->problem = "a piece behind its item's end";
}

static void on_text(struct feed *x, enum block_kind kind, bool is_whole) {
    struct members *m = &x->m;
    struct item *it = need_item(x, RI_MESSAGE);
    if (!it) {
        refuse_late(x, is_whole);
        return;
    }
    uint32_t part = part_of(x, it, m->content_index);
    struct slice id = json_doc_str(m->item_id);
    if (is_whole)
        put_whole_part(x, it, kind, part, id, m->text, m->logprobs);
    else
        put_part(x, it, kind, part, id, m->delta, m->logprobs);
}

static void on_thought(struct feed *x, bool is_raw, bool is_whole) {
    struct members *m = &x->m;
    struct item *it = need_item(x, RI_REASONING);
    if (!it) {
        refuse_late(x, is_whole);
        return;
    }
    uint32_t part = part_of(x, it, is_raw ? m->content_index : m->summary_index);
    struct slice id = json_doc_str(m->item_id);
    if (is_whole)
        put_whole_thought(x, it, is_raw, part, id, m->text);
    else
        put_thought(x, it, is_raw, part, id, m->delta);
}

static void on_call(struct feed *x, enum responses_item_kind kind, bool is_whole) {
    struct item *it = need_item(x, kind);
    if (!it)
        refuse_late(x, is_whole);
    else if (is_whole)
        put_whole_call(x, it, x->m.text);
    else
        put_call_delta(x, it, x->m.delta);
}

static void on_part_done(struct feed *x) {
    struct members *m = &x->m;
    struct item *it =
        find_item(x->d, place(m->output_index), slice_hash_id(json_doc_str(m->item_id)));
    if (it && it->kind == RI_MESSAGE && !it->is_done)
        put_finished_part(x, it, part_of(x, it, m->content_index), json_doc_str(m->item_id),
                          m->part);
}

static void on_annotation(struct feed *x) {
    struct members *m = &x->m;
    struct item *it =
        find_item(x->d, place(m->output_index), slice_hash_id(json_doc_str(m->item_id)));
    if (it && it->is_open && it->block_kind == BLOCK_TEXT && yyjson_is_obj(m->annotation) &&
        part_of(x, it, m->content_index) == it->part)
        put_annotation(x, it, m->annotation, responses_raw_of(x, m->annotation));
}

/* Events that we have no word for: of an item that we do not understand either, or of nothing. */
static void on_strange(struct feed *x) {
    struct members *m = &x->m;
    struct item *it =
        find_item(x->d, place(m->output_index), slice_hash_id(json_doc_str(m->item_id)));
    responses_put_start(x, NULL);
    if (it && it->kind == RI_OPAQUE && it->is_open) {
        put_opaque(x, it, x->doc.text);
        return;
    }
    struct event *ev = event_out_put(&x->out, EV_OPAQUE);
    ev->block_kind = BLOCK_OPAQUE;
    ev->block = BLOCK_NONE;
    ev->raw_json = x->doc.text;
}

static void on_item(struct feed *x, bool is_done) {
    struct members *m = &x->m;
    uint32_t index = place(m->output_index);
    if (!yyjson_is_obj(m->item)) {
        x->problem = "an output_item event without its item";
        return;
    }
    responses_put_start(x, NULL);
    if (is_done)
        put_finished(x, m->item, index, responses_raw_of(x, m->item), x->doc.text);
    else
        put_added(x, m->item, index, responses_raw_of(x, m->item));
}

void responses_put_item_event(struct feed *x, enum responses_event event) {
    switch (event) {
    case RE_TEXT_DELTA: on_text(x, BLOCK_TEXT, false); break;
    case RE_TEXT_DONE: on_text(x, BLOCK_TEXT, true); break;
    case RE_REFUSAL_DELTA: on_text(x, BLOCK_REFUSAL, false); break;
    case RE_REFUSAL_DONE: on_text(x, BLOCK_REFUSAL, true); break;
    case RE_ARGS_DELTA: on_call(x, RI_CALL, false); break;
    case RE_ARGS_DONE: on_call(x, RI_CALL, true); break;
    case RE_INPUT_DELTA: on_call(x, RI_CUSTOM_CALL, false); break;
    case RE_INPUT_DONE: on_call(x, RI_CUSTOM_CALL, true); break;
    case RE_SUMMARY_DELTA: on_thought(x, false, false); break;
    case RE_SUMMARY_DONE: on_thought(x, false, true); break;
    case RE_THOUGHT_DELTA: on_thought(x, true, false); break;
    case RE_THOUGHT_DONE: on_thought(x, true, true); break;
    case RE_ITEM_ADDED: on_item(x, false); break;
    case RE_ITEM_DONE: on_item(x, true); break;
    case RE_PART_DONE: on_part_done(x); break;
    case RE_ANNOTATION: on_annotation(x); break;
    default: on_strange(x); break;
    }
}
