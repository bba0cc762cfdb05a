/* SPDX-License-Identifier: Apache-2.0 */
/* `respond` and `script`: an answer's short form and its `blocks` become one list of blocks. */
#include "mock/scenario_schema.h"

struct block_list {
    struct block *first, **end;
    unsigned n;
    bool has_pause;                  /* one that waits for its block */
    struct law pause;
    struct place pause_at;
};

static struct block *add_block(struct reader *rd, struct block_list *list, enum block_kind kind,
                               struct place at) {
    struct block *b = arena_alloc(rd->arena, sizeof *b);
    *b = (struct block){.kind = kind, .at = at, .has_pause = list->has_pause, .pause = list->pause};
    list->has_pause = false;
    *list->end = b;
    list->end = &b->next;
    if (++list->n == SCENARIO_MAX_BLOCKS + 1) {
        reader_fault(rd, at, "more than %d blocks in an answer", SCENARIO_MAX_BLOCKS);
    }
    return b;
}

static struct template *fixed(struct reader *rd, const char *text, struct place at) {
    return template_compile(slice_cstr(text), at, rd->path, rd->arena, rd->report);
}

static void single_piece(struct reader *rd, struct template *t, struct pieces *out) {
    *out = (struct pieces){.items = arena_alloc(rd->arena, sizeof t), .n = 1};
    out->items[0] = t;
}

/* ---- citations ---- */

static void check_citation(struct reader *rd, const struct citation *c) {
    bool has_place = c->start >= 0 || c->end >= 0;
    if (!c->url) {
        reader_fault(rd, c->at, "a citation needs a url");
    }
    if (has_place && (c->quote || c->start < 0 || c->end < c->start)) {
        reader_fault(rd, c->at, "start and end go together, in this order, and without quote");
    }
}

static void read_citations(struct reader *rd, const struct node *list, struct block *out) {
    if (list->kind != NODE_LIST || list->n_children > SCENARIO_MAX_CITATIONS) {
        reader_fault(rd, list->at, "expected a list of at most %d citations",
                     SCENARIO_MAX_CITATIONS);
        return;
    }
    size_t outer = reader_enter(rd, ".citations");
    out->citations = arena_alloc(rd->arena, sizeof *out->citations * (list->n_children + 1));
    for (const struct node *n = list->first; n; n = n->next) {
        struct citation *c = &out->citations[out->n_citations];
        size_t mark = reader_enter(rd, "[%u]", out->n_citations++);
        *c = (struct citation){.start = -1, .end = -1, .at = n->at};
        schema_read_map(rd, SCOPE_CITATION, n, c);
        check_citation(rd, c);
        reader_leave(rd, mark);
    }
    reader_leave(rd, outer);
}

/* ---- kinds of blocks ---- */

static void read_text_block(struct reader *rd, const struct block_draft *d,
                            struct block_list *list) {
    const struct node *n = d->text ? d->text : d->json;
    struct block *b = add_block(rd, list, BLOCK_TEXT, n->at);
    size_t mark = reader_enter(rd, d->text ? ".text" : ".json");
    if (d->text) {
        reader_pieces(rd, n, &b->pieces);
    } else {
        single_piece(rd, template_compile_json(n, rd->path, rd->arena, rd->report), &b->pieces);
    }
    reader_leave(rd, mark);
    b->chunk_bytes = d->chunks;
    if (d->chunks && b->pieces.as_written) {
        reader_fault(rd, n->at, "the texts of a list leave as they are written: without chunks");
    }
    if (d->citations) {
        read_citations(rd, d->citations, b);
    }
}

void read_thought_text(struct reader *rd, const struct schema_row *row, const struct node *n,
                       void *base) {
    (void)row;
    reader_pieces(rd, n, &((struct thought_draft *)base)->text);
}

static void read_thought(struct reader *rd, const struct block_draft *d, struct block_list *list) {
    const struct node *n = d->thinking;
    struct block *b = add_block(rd, list, BLOCK_REASONING, n->at);
    struct thought_draft t = {.signature = d->signature};
    size_t mark = reader_enter(rd, ".thinking");
    if (n->kind == NODE_MAP) {
        schema_read_map(rd, SCOPE_THOUGHT, n, &t);
    } else {
        reader_pieces(rd, n, &t.text);
    }
    reader_leave(rd, mark);
    b->pieces = t.text;
    b->proof = t.signature;
}

static void read_redacted(struct reader *rd, const struct node *n, struct block_list *list) {
    bool is_no = slice_eq(n->text, SLICE("false"));
    if (!reader_scalar(rd, n, "true or the data") || (n->is_plain && is_no)) {
        return;
    }
    struct block *b = add_block(rd, list, BLOCK_REDACTED, n->at);
    if (!n->is_plain || !slice_eq(n->text, SLICE("true"))) {
        b->proof = reader_template(rd, n);
    }
}

static void read_arguments(struct reader *rd, const struct call_draft *d, const struct node *call,
                           struct block *b) {
    const struct node *n = d->arguments;
    bool as_written = d->chunks && d->chunks->kind == NODE_LIST;
    if (as_written) {
        reader_pieces(rd, d->chunks, &b->pieces);
        if (n) {
            reader_fault(rd, d->chunks->at, "a list of chunks stands in place of arguments");
        }
    } else if (!n) {
        single_piece(rd, fixed(rd, "{}", call->at), &b->pieces);
    } else if (n->kind == NODE_SCALAR) {
        single_piece(rd, reader_template(rd, n), &b->pieces);
    } else {
        single_piece(rd, template_compile_json(n, rd->path, rd->arena, rd->report), &b->pieces);
    }
}

static void read_call(struct reader *rd, const struct node *n, struct block_list *list) {
    struct call_draft d = {.name = NULL};
    int64_t bytes;
    schema_read_map(rd, SCOPE_CALL, n, &d);
    struct block *b =
        add_block(rd, list, d.input ? BLOCK_CUSTOM_TOOL_CALL : BLOCK_TOOL_CALL, n->at);
    if (!d.name) {
        reader_fault(rd, n->at, "a call needs the name of its tool");
        d.name = fixed(rd, "", n->at);
    }
    b->name = d.name;
    b->id = d.id;
    if (d.input) {
        reader_pieces(rd, d.input, &b->pieces);
        if (d.arguments || (d.chunks && d.chunks->kind == NODE_LIST)) {
            reader_fault(rd, n->at, "a call has either input or arguments");
        }
    } else {
        read_arguments(rd, &d, n, b);
    }
    if (d.chunks && d.chunks->kind != NODE_LIST &&
        reader_int(rd, d.chunks, 1, 1000000, &bytes)) {
        b->chunk_bytes = (unsigned)bytes;
    }
}

static void read_pause(struct reader *rd, const struct node *n, struct block_list *list) {
    if (list->has_pause) {
        reader_fault(rd, n->at, "a pause behind a pause: write one");
    }
    list->has_pause = reader_law(rd, n, &list->pause);
    list->pause_at = n->at;
}

static void read_refusal(struct reader *rd, const struct node *n, struct block_list *list) {
    size_t mark = reader_enter(rd, ".refusal");
    reader_pieces(rd, n, &add_block(rd, list, BLOCK_REFUSAL, n->at)->pieces);
    reader_leave(rd, mark);
}

/* ---- lists ---- */

static unsigned count_said(const struct block_draft *d) {
    const struct node *const said[] = {d->text,    d->json,      d->thinking, d->redacted,
                                       d->refusal, d->tool_call, d->pause};
    unsigned n = 0;
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        n += said[i] != NULL;
    }
    return n;
}

static void read_block(struct reader *rd, const struct node *n, struct block_list *list) {
    struct block_draft d = {.text = NULL};
    schema_read_map(rd, SCOPE_BLOCK, n, &d);
    if (count_said(&d) != 1) {
        if (n->kind == NODE_MAP) {
            reader_fault(rd, n->at, "a block is one of text, json, thinking, redacted, refusal, "
                                    "tool_call and pause");
        }
        return;
    }
    if (d.text || d.json) {
        read_text_block(rd, &d, list);
    } else if (d.thinking) {
        read_thought(rd, &d, list);
    } else if (d.redacted) {
        read_redacted(rd, d.redacted, list);
    } else if (d.refusal) {
        read_refusal(rd, d.refusal, list);
    } else if (d.pause) {
        read_pause(rd, d.pause, list);
    } else {
        read_call(rd, d.tool_call, list);
    }
}

static void read_each(struct reader *rd, const struct node *n, const char *name,
                      struct block_list *list,
                      void (*read)(struct reader *rd, const struct node *n,
                                   struct block_list *list)) {
    unsigned i = 0;
    if (n->kind != NODE_LIST) {
        reader_fault(rd, n->at, "%s: expected a list, got %s", name, node_kind_name(n));
        return;
    }
    for (const struct node *item = n->first; item; item = item->next, i++) {
        size_t mark = reader_enter(rd, ".%s[%u]", name, i);
        read(rd, item, list);
        reader_leave(rd, mark);
    }
}

static void check_short_form(struct reader *rd, const struct response_draft *d,
                             const struct node *n) {
    const struct block_draft *s = &d->short_form;
    bool is_short = s->text || s->json || s->thinking || s->redacted || s->refusal ||
                    d->tool_calls || s->pause;
    if (d->blocks && is_short) {
        reader_fault(rd, n->at, "blocks say everything: text, tool_calls and the like go in there");
    }
    if (s->text && s->json) {
        reader_fault(rd, s->json->key_at, "either text or json");
    }
    if (s->citations && !s->text) {
        reader_fault(rd, s->citations->key_at, "citations belong to a text");
    }
    if (s->chunks && !s->text && !s->json) {
        reader_fault(rd, n->at, "chunks is of a text or of json");
    }
}

static void read_blocks(struct reader *rd, const struct response_draft *d,
                        struct block_list *list) {
    const struct block_draft *s = &d->short_form;
    if (d->blocks) {
        read_each(rd, d->blocks, "blocks", list, read_block);
    }
    if (s->pause) {
        read_pause(rd, s->pause, list);
    }
    if (s->thinking) {
        read_thought(rd, s, list);
    }
    if (s->redacted) {
        read_redacted(rd, s->redacted, list);
    }
    if (s->refusal) {
        read_refusal(rd, s->refusal, list);
    }
    if (s->text || s->json) {
        read_text_block(rd, s, list);
    }
    if (d->tool_calls) {
        read_each(rd, d->tool_calls, "tool_calls", list, read_call);
    }
    if (list->has_pause) {
        reader_fault(rd, list->pause_at, "a pause, and nothing behind it");
    }
}

/* ---- answers ---- */

static size_t response_bytes(const struct response *r) {
    size_t bytes = 0;
    for (const struct block *b = r->blocks; b; b = b->next) {
        for (unsigned i = 0; i < b->pieces.n; i++) {
            bytes += template_bytes(b->pieces.items[i]);
        }
    }
    return bytes;
}

static void read_response(struct reader *rd, const struct node *n, bool in_choices,
                          struct response *out);

static void read_choices(struct reader *rd, const struct response_draft *d, struct response *out) {
    const struct node *list = d->choices;
    if (list->kind != NODE_LIST || list->n_children == 0 ||
        list->n_children > SCENARIO_MAX_CHOICES) {
        reader_fault(rd, list->at, "choices: expected a list of 1 to %d answers",
                     SCENARIO_MAX_CHOICES);
        return;
    }
    if (out->n_blocks || out->error.status) {
        reader_fault(rd, list->key_at, "choices are the answer: text, error and the like go in "
                                       "there");
    }
    out->choices = arena_alloc(rd->arena, sizeof *out->choices * list->n_children);
    for (const struct node *n = list->first; n; n = n->next) {
        size_t mark = reader_enter(rd, ".choices[%u]", out->n_choices);
        struct response *choice = &out->choices[out->n_choices++];
        read_response(rd, n, true, choice);
        terms_inherit(&choice->terms, &out->terms);
        out->total_weight += choice->weight;
        reader_leave(rd, mark);
    }
    if (out->total_weight == 0) {
        reader_fault(rd, list->at, "choices: all weights are 0");
    }
}

static void finish_response(struct reader *rd, struct response_draft *d, const struct node *n,
                            bool in_choices, struct response *out) {
    struct block_list list = {.end = &list.first};
    check_short_form(rd, d, n);
    read_blocks(rd, d, &list);
    *out = d->r;
    out->blocks = list.first;
    out->n_blocks = list.n;
    out->weight = d->weight < 0 ? 1 : (uint64_t)d->weight;
    if (out->error.status && out->n_blocks) {
        reader_fault(rd, n->at, "either an error or an answer");
    }
    if (d->weight >= 0 && !in_choices) {
        reader_fault(rd, n->at, "weight has a meaning in choices alone");
    }
    if (d->choices && in_choices) {
        reader_fault(rd, d->choices->key_at, "no choices within choices");
    } else if (d->choices) {
        read_choices(rd, d, out);
    }
    if (response_bytes(out) > SCENARIO_ANSWER_BYTES) {
        reader_fault(rd, n->at, "an answer of more than %zu bytes", SCENARIO_ANSWER_BYTES);
    }
}

static void read_response(struct reader *rd, const struct node *n, bool in_choices,
                          struct response *out) {
    struct response_draft d = {.r = {.usage = SCRIPT_USAGE_NONE}, .weight = -1};
    if (n->kind == NODE_SCALAR) {
        d.short_form.text = n;
    } else if (n->kind == NODE_LIST) {
        reader_fault(rd, n->at, "expected a text or a map, got a list: pieces of a text go to "
                                "text, answers one after the other to script");
        return;
    } else {
        schema_read_map(rd, SCOPE_RESPONSE, n, &d);
    }
    finish_response(rd, &d, n, in_choices, out);
}

/* base is the scenario. */
static bool begins_answer(struct reader *rd, const struct node *n, const struct scenario *s) {
    if (s->responses) {
        reader_fault(rd, n->key_at, "either respond or script");
    }
    return !s->responses;
}

void read_respond(struct reader *rd, const struct schema_row *row, const struct node *n,
                  void *base) {
    struct scenario *s = base;
    (void)row;
    if (begins_answer(rd, n, s)) {
        s->responses = arena_alloc(rd->arena, sizeof *s->responses);
        s->n_responses = 1;
        read_response(rd, n, false, s->responses);
    }
}

void read_script(struct reader *rd, const struct schema_row *row, const struct node *n,
                 void *base) {
    struct scenario *s = base;
    (void)row;
    if (n->kind != NODE_LIST || n->n_children == 0 || n->n_children > SCENARIO_MAX_RESPONSES) {
        reader_fault(rd, n->at, "expected a list of 1 to %d answers", SCENARIO_MAX_RESPONSES);
        return;
    }
    if (!begins_answer(rd, n, s)) {
        return;
    }
    s->is_script = true;
    s->responses = arena_alloc(rd->arena, sizeof *s->responses * n->n_children);
    for (const struct node *item = n->first; item; item = item->next) {
        size_t mark = reader_enter(rd, "[%u]", s->n_responses);
        read_response(rd, item, false, &s->responses[s->n_responses++]);
        reader_leave(rd, mark);
    }
}

void read_times(struct reader *rd, const struct schema_row *row, const struct node *n,
                void *base) {
    struct scenario *s = base;
    if (n->kind == NODE_SCALAR && slice_eq(n->text, SLICE("forever"))) {
        s->times = SCENARIO_FOREVER;
        s->has_times = true;
        return;
    }
    s->has_times = reader_int(rd, n, row->min, row->max, &s->times);
}

/* ---- stop, error ---- */

void read_stop_sequence(struct reader *rd, const struct schema_row *row, const struct node *n,
                        void *base) {
    struct response *r = base;
    (void)row;
    if (reader_scalar(rd, n, "a text")) {
        r->has_stop = true;
        r->stop = STOP_SEQUENCE;
        r->stop_sequence = n->text;
    }
}

void read_stop(struct reader *rd, const struct schema_row *row, const struct node *n, void *base) {
    static const enum stop_reason reasons[] = {STOP_END, STOP_LENGTH, STOP_TOOL, STOP_FILTER,
                                               STOP_PAUSE};
    struct response *r = (struct response *)((char *)base + row->offset);
    if (n->kind == NODE_MAP) {
        schema_read_map(rd, SCOPE_STOP, n, r);
        return;
    }
    int i = reader_word(rd, n, row->choices);
    if (i >= 0) {
        r->has_stop = true;
        r->stop = reasons[i];
    }
}

void read_error(struct reader *rd, const struct schema_row *row, const struct node *n,
                void *base) {
    struct error_answer *e = (struct error_answer *)((char *)base + row->offset);
    int64_t status;
    if (n->kind == NODE_SCALAR) {
        e->status = reader_int(rd, n, 400, 599, &status) ? (unsigned)status : 0;
        return;
    }
    schema_read_map(rd, SCOPE_ERROR, n, e);
    if (n->kind == NODE_MAP && e->status == 0) {
        reader_fault(rd, n->at, "an error needs its status");
    }
}
