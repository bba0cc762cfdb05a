/* SPDX-License-Identifier: Apache-2.0 */
/* A request that came in chat's own words as a chat body: what was not changed since goes out as it
 * came, what was (its raw is empty) is written from the model. */
#include "dialect/chat/chat-request.h"

static bool goes_raw(struct slice raw) {
    return raw.len > 0;
}

/* ---- parts ---- */

static void part_value(struct chat_writer *x, const struct part *p) {
    switch (p->kind) {
    case PART_IMAGE:
        chat_w_key(x, SLICE("image_url"));
        chat_w_open(x);
        chat_w_string(x, "url", p->url);
        chat_w_string(x, "detail", p->detail);
        chat_w_close(x);
        break;
    case PART_AUDIO:
        chat_w_key(x, SLICE("input_audio"));
        chat_w_open(x);
        chat_w_string(x, "data", p->encoded);
        chat_w_string(x, "format", p->media_type);
        chat_w_close(x);
        break;
    case PART_FILE:
        chat_w_key(x, SLICE("file"));
        chat_w_open(x);
        chat_w_string(x, "file_id", p->file_id);
        chat_w_string(x, "filename", p->filename);
        chat_w_string(x, "file_data", p->encoded);
        chat_w_close(x);
        break;
    case PART_REFUSAL: chat_w_string(x, "refusal", p->text); break;
    default: chat_w_string(x, "text", p->text); break;
    }
}

static const char *part_type(enum part_kind kind) {
    switch (kind) {
    case PART_IMAGE: return "image_url";
    case PART_AUDIO: return "input_audio";
    case PART_FILE: return "file";
    case PART_REFUSAL: return "refusal";
    default: return "text";
    }
}

/* Parts that stand in "content", and have something to say there. */
static bool is_content(const struct part *p) {
    switch (p->kind) {
    case PART_TEXT:
    case PART_IMAGE:
    case PART_FILE: return true;
    case PART_AUDIO:
    case PART_REFUSAL: return !p->name.ptr;
    case PART_OPAQUE: return goes_raw(p->raw) && !p->name.ptr;
    default: return false;
    }
}

static void content_part(struct chat_writer *x, const struct part *p) {
    if (goes_raw(p->raw)) {
        jw_raw(&x->w, p->raw);
        return;
    }
    chat_w_open(x);
    chat_w_key(x, SLICE("type"));
    jw_string(&x->w, slice_cstr(part_type(p->kind)));
    part_value(x, p);
    chat_w_fields(x, p->extras);
    chat_w_close(x);
}

static void content_array(struct chat_writer *x, const struct part *parts, unsigned n_parts) {
    unsigned n = 0;
    chat_w_text(x, "[");
    for (unsigned i = 0; i < n_parts; i++) {
        if (!is_content(&parts[i])) continue;
        if (n++ > 0) chat_w_text(x, ",");
        content_part(x, &parts[i]);
    }
    chat_w_text(x, "]");
    x->has_member = true;
}

static void content_string(struct chat_writer *x, const struct part *parts, unsigned n_parts) {
    chat_w_text(x, "\"");
    for (unsigned i = 0; i < n_parts; i++) {
        if (parts[i].kind == PART_TEXT || parts[i].kind == PART_TOOL_RESULT)
            jw_escaped(&x->w, parts[i].text);
    }
    chat_w_text(x, "\"");
}

static void content(struct chat_writer *x, const struct message *m) {
    bool is_result = m->n_parts > 0 && m->parts[0].kind == PART_TOOL_RESULT;
    if (m->content_is_absent) return;
    chat_w_key(x, SLICE("content"));
    if (m->content_is_null) chat_w_text(x, "null");
    else if (m->content_is_string) content_string(x, m->parts, m->n_parts);
    else if (is_result) content_array(x, m->parts[0].inner, m->parts[0].n_inner);
    else content_array(x, m->parts, m->n_parts);
}

/* ---- calls ---- */

static bool is_call(const struct part *p) {
    if (p->kind == PART_OPAQUE)
        return goes_raw(p->raw) && slice_eq(p->name, SLICE("tool_calls"));
    return p->kind == PART_TOOL_CALL || p->kind == PART_CUSTOM_TOOL_CALL;
}

static void call(struct chat_writer *x, const struct part *p) {
    if (goes_raw(p->raw)) jw_raw(&x->w, p->raw);
    else chat_w_call(x, p, p->extras);
}

static void tool_calls(struct chat_writer *x, const struct message *m) {
    unsigned n = 0;
    for (unsigned i = 0; i < m->n_parts; i++) {
        if (!is_call(&m->parts[i])) continue;
        if (n++ == 0) {
            chat_w_key(x, SLICE("tool_calls"));
            chat_w_text(x, "[");
        } else {
            chat_w_text(x, ",");
        }
        call(x, &m->parts[i]);
    }
    if (n > 0) chat_w_text(x, "]");
    if (n > 0) x->has_member = true;
}

/* ---- messages ---- */

static const char *role_name(enum role role) {
    switch (role) {
    case ROLE_SYSTEM: return "system";
    case ROLE_DEVELOPER: return "developer";
    case ROLE_ASSISTANT: return "assistant";
    case ROLE_TOOL: return "tool";
    case ROLE_FUNCTION: return "function";
    case ROLE_USER: break;
    }
    return "user";
}

/* What stands beside "content". */
static void beside_content(struct chat_writer *x, const struct message *m) {
    for (unsigned i = 0; i < m->n_parts; i++) {
        const struct part *p = &m->parts[i];
        if (p->kind == PART_REFUSAL && p->name.ptr) {
            chat_w_string(x, "refusal", p->text);
        } else if (p->kind == PART_AUDIO && p->name.ptr) {
            chat_w_raw(x, "audio", p->raw);
        } else if (p->kind == PART_FUNCTION_CALL) {
            chat_w_key(x, SLICE("function_call"));
            if (goes_raw(p->raw)) jw_raw(&x->w, p->raw);
            else chat_w_call_value(x, p);
        }
    }
}

/* None of the parts that were made of the extras is gone or changed. */
static bool thoughts_are_as_they_came(const struct message *m) {
    unsigned n = 0;
    for (unsigned i = 0; i < m->n_parts; i++) {
        if (!chat_is_thought(&m->parts[i])) continue;
        if (!goes_raw(m->parts[i].raw)) return false;
        n++;
    }
    return n > 0;
}

static void message_extras(struct chat_writer *x, const struct message *m) {
    bool all = thoughts_are_as_they_came(m);
    for (const struct field *f = m->extras; f; f = f->next) {
        if (f->is_understood && !all && chat_says_something(f->value)) continue;
        chat_w_key(x, f->key);
        jw_raw(&x->w, f->value);
    }
    if (!all) chat_w_thoughts(x, m, SLICE_NULL, SLICE_NULL);
}

static void message(struct chat_writer *x, const struct message *m) {
    chat_w_open(x);
    chat_w_string(x, "role", slice_cstr(role_name(m->role)));
    chat_w_string(x, "name", m->name);
    if (m->role == ROLE_TOOL && m->n_parts > 0) chat_w_string(x, "tool_call_id", m->parts[0].id);
    content(x, m);
    beside_content(x, m);
    tool_calls(x, m);
    message_extras(x, m);
    chat_w_close(x);
}

static void messages(struct chat_writer *x) {
    chat_w_key(x, SLICE("messages"));
    chat_w_text(x, "[");
    for (const struct message *m = x->rq->messages; m; m = m->next) {
        if (m != x->rq->messages) chat_w_text(x, ",");
        message(x, m);
    }
    chat_w_text(x, "]");
    x->has_member = true;
}

/* ---- tools ---- */

static void definition(struct chat_writer *x, const struct tool *t) {
    chat_w_open(x);
    chat_w_string(x, "name", t->name);
    chat_w_string(x, "description", t->description);
    if (t->parameters.len > 0) chat_w_raw(x, "parameters", t->parameters);
    if (t->strict >= 0) chat_w_bool(x, "strict", t->strict);
    if (t->format.len > 0) chat_w_tool_format(x, t->format);
    chat_w_fields(x, t->extras);
    chat_w_close(x);
}

static void tool(struct chat_writer *x, const struct tool *t) {
    const char *type = t->kind == TOOL_CUSTOM ? "custom" : "function";
    if (goes_raw(t->raw)) {
        jw_raw(&x->w, t->raw);
    } else if (x->rq->tools_are_functions) {
        definition(x, t);
    } else {
        chat_w_open(x);
        chat_w_string(x, "type", slice_cstr(type));
        chat_w_key(x, slice_cstr(type));
        definition(x, t);
        chat_w_close(x);
    }
}

static void tools(struct chat_writer *x) {
    unsigned n = 0;
    for (const struct tool *t = x->rq->tools; t; t = t->next) {
        if (t->kind == TOOL_OTHER && !goes_raw(t->raw)) continue; /* no word for it here */
        if (n++ == 0) {
            chat_w_key(x, x->rq->tools_are_functions ? SLICE("functions") : SLICE("tools"));
            chat_w_text(x, "[");
        } else {
            chat_w_text(x, ",");
        }
        tool(x, t);
    }
    if (n > 0) chat_w_text(x, "]");
    if (n > 0) x->has_member = true;
}

static void named_function(struct chat_writer *x) {
    chat_w_open(x);
    chat_w_string(x, "name", x->rq->tool_choice_name);
    chat_w_close(x);
}

static void tool_choice(struct chat_writer *x) {
    static const char *const words[] = {[TOOL_CHOICE_AUTO] = "\"auto\"",
                                        [TOOL_CHOICE_NONE] = "\"none\"",
                                        [TOOL_CHOICE_REQUIRED] = "\"required\""};
    const struct llm_request *rq = x->rq;
    bool is_raw = goes_raw(rq->tool_choice_raw),
         is_word = rq->tool_choice >= TOOL_CHOICE_AUTO && rq->tool_choice <= TOOL_CHOICE_REQUIRED;
    bool is_custom = rq->tool_choice == TOOL_CHOICE_NAMED_CUSTOM,
         is_named = rq->tool_choice == TOOL_CHOICE_NAMED || is_custom;
    if (!is_raw && !is_word && !is_named) return;
    chat_w_key(x, rq->tools_are_functions ? SLICE("function_call") : SLICE("tool_choice"));
    if (is_raw) jw_raw(&x->w, rq->tool_choice_raw);
    else if (is_word) chat_w_text(x, words[rq->tool_choice]);
    else if (rq->tools_are_functions) named_function(x);
    else chat_w_named(x, is_custom ? "custom" : "function", rq->tool_choice_name);
}

/* ---- top level ---- */

static void stop(struct chat_writer *x) {
    const struct llm_request *rq = x->rq;
    if (rq->n_stop == 0) return;
    chat_w_key(x, SLICE("stop"));
    if (!rq->stop_is_string) chat_w_text(x, "[");
    for (unsigned i = 0; i < rq->n_stop; i++) {
        if (i > 0) chat_w_text(x, ",");
        jw_string(&x->w, rq->stop[i]);
    }
    if (!rq->stop_is_string) chat_w_text(x, "]");
}

static int encode(const struct llm_request *rq, struct buf *out) {
    struct chat_writer x = {.w = jw_begin(out), .rq = rq};
    chat_w_open(&x);
    chat_w_string(&x, "model", rq->env.model);
    messages(&x);
    tools(&x);
    tool_choice(&x);
    stop(&x);
    chat_w_string(&x, "user", rq->user);
    chat_w_params(&x);
    chat_w_close(&x);
    return jw_end(&x.w);
}

int chat_encode_request(const struct llm_request *rq, struct translation *t, struct buf *out,
                        struct request_fault *fault) {
    if (chat_origin_is(rq, dialect_chat.name)) return encode(rq, out);
    return chat_encode_foreign(rq, t, out, fault);
}
