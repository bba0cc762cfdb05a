/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_scan.h"
#include "dialect/chat/chat-request.h"

void chat_w_text(struct chat_writer *x, const char *literal) {
    jw(&x->w, slice_cstr(literal));
}

void chat_w_open(struct chat_writer *x) {
    jw(&x->w, SLICE("{"));
    x->has_member = false;
}

void chat_w_close(struct chat_writer *x) {
    jw(&x->w, SLICE("}"));
    x->has_member = true;
}

void chat_w_key(struct chat_writer *x, struct slice name) {
    if (x->has_member) jw(&x->w, SLICE(","));
    jw_string(&x->w, name);
    jw(&x->w, SLICE(":"));
    x->has_member = true;
}

void chat_w_string(struct chat_writer *x, const char *name, struct slice value) {
    if (!value.ptr) return;
    chat_w_key(x, slice_cstr(name));
    jw_string(&x->w, value);
}

void chat_w_raw(struct chat_writer *x, const char *name, struct slice json) {
    if (!json.ptr) return;
    chat_w_key(x, slice_cstr(name));
    jw_raw(&x->w, json);
}

void chat_w_bool(struct chat_writer *x, const char *name, bool value) {
    chat_w_key(x, slice_cstr(name));
    jw(&x->w, value ? SLICE("true") : SLICE("false"));
}

void chat_w_int(struct chat_writer *x, const char *name, int64_t value) {
    chat_w_key(x, slice_cstr(name));
    jw_int(&x->w, value);
}

void chat_w_fields(struct chat_writer *x, const struct field *f) {
    for (; f; f = f->next) {
        chat_w_key(x, f->key);
        jw_raw(&x->w, f->value);
    }
}

void chat_w_params(struct chat_writer *x) {
    bool has_stream = false, want = x->rq->env.stream;
    for (const struct field *f = x->rq->params; f; f = f->next) {
        bool is_stream = slice_eq(f->key, SLICE("stream"));
        has_stream |= is_stream;
        if (is_stream && slice_eq(f->value, SLICE("true")) != want) {
            chat_w_bool(x, "stream", want);
            continue;
        }
        chat_w_key(x, f->key);
        jw_raw(&x->w, f->value);
    }
    if (want && !has_stream) chat_w_bool(x, "stream", true);
}

void chat_w_stop(struct chat_writer *x) {
    const struct llm_request *rq = x->rq;
    unsigned n = 0;
    for (unsigned i = 0; i < rq->n_stop; i++) {
        if (rq->stop[i].len == 0) continue; /* stops nothing; upstreams refuse it */
        if (n++ == 0) {
            chat_w_key(x, SLICE("stop"));
            jw(&x->w, SLICE("["));
        } else {
            jw(&x->w, SLICE(","));
        }
        jw_string(&x->w, rq->stop[i]);
    }
    if (n > 0) jw(&x->w, SLICE("]"));
}

/* ---- calls, tools ---- */

void chat_w_call_value(struct chat_writer *x, const struct part *p) {
    chat_w_open(x);
    chat_w_string(x, "name", p->name);
    chat_w_string(x, p->kind == PART_CUSTOM_TOOL_CALL ? "input" : "arguments", p->text);
    chat_w_close(x);
}

void chat_w_call(struct chat_writer *x, const struct part *p, const struct field *extras) {
    const char *type = p->kind == PART_CUSTOM_TOOL_CALL ? "custom" : "function";
    chat_w_open(x);
    chat_w_string(x, "id", p->id);
    chat_w_string(x, "type", slice_cstr(type));
    chat_w_key(x, slice_cstr(type));
    chat_w_call_value(x, p);
    chat_w_fields(x, extras);
    chat_w_close(x);
}

void chat_w_named(struct chat_writer *x, const char *type, struct slice name) {
    chat_w_open(x);
    chat_w_string(x, "type", slice_cstr(type));
    chat_w_key(x, slice_cstr(type));
    chat_w_open(x);
    chat_w_string(x, "name", name);
    chat_w_close(x);
    chat_w_close(x);
}

void chat_w_tool_format(struct chat_writer *x, struct slice flat) {
    struct json_member syntax, definition;
    if (!json_find_member(flat, SLICE("syntax"), &syntax) ||
        !json_find_member(flat, SLICE("definition"), &definition))
        return; /* text, which is what an absent format means */
    chat_w_key(x, SLICE("format"));
    chat_w_open(x);
    chat_w_string(x, "type", SLICE("grammar"));
    chat_w_key(x, SLICE("grammar"));
    chat_w_open(x);
    chat_w_raw(x, "syntax", syntax.value);
    chat_w_raw(x, "definition", definition.value);
    chat_w_close(x);
    chat_w_close(x);
}

/* ---- reasoning ---- */

bool chat_is_thought(const struct part *p) {
    return p->kind == PART_REASONING || p->kind == PART_REDACTED;
}

static void w_thought(struct chat_writer *x, const struct part *p, unsigned index,
                      struct slice format) {
    chat_w_open(x);
    if (p->kind == PART_REDACTED && p->proof.len > 0) {
        chat_w_string(x, "type", SLICE("reasoning.encrypted"));
        chat_w_string(x, "data", p->proof);
    } else {
        chat_w_string(x, "type", SLICE("reasoning.text"));
        chat_w_string(x, "text", p->text.ptr ? p->text : SLICE(""));
        if (p->proof.len > 0) chat_w_string(x, "signature", p->proof);
    }
    if (p->item_id.len > 0) chat_w_string(x, "id", p->item_id);
    chat_w_string(x, "format", format);
    chat_w_int(x, "index", index);
    chat_w_close(x);
}

void chat_w_thoughts(struct chat_writer *x, const struct message *m, struct slice signed_format,
                     struct slice data_format) {
    unsigned n = 0;
    for (unsigned i = 0; i < m->n_parts; i++) {
        const struct part *p = &m->parts[i];
        bool says_nothing = p->text.len == 0 && p->proof.len == 0;
        if (!chat_is_thought(p) || says_nothing) continue;
        if (n == 0) chat_w_key(x, SLICE("reasoning_details"));
        chat_w_text(x, n == 0 ? "[" : ",");
        bool is_signed = p->kind == PART_REASONING && p->proof.len > 0;
        w_thought(x, p, n++, is_signed ? signed_format : data_format);
    }
    if (n > 0) chat_w_text(x, "]");
    if (n > 0) x->has_member = true;
}

bool chat_origin_is(const struct llm_request *rq, const char *name) {
    return rq->origin && strcmp(rq->origin, name) == 0;
}
