/* SPDX-License-Identifier: Apache-2.0 */
/* The model's request as a chat body. What came in chat's own words and was not changed since goes
 * out as it came. */
#include "dialect/chat/chat-private.h"

#include "dialect/json_text.h"

struct writer {
    struct json_writer w;
    const struct llm_request *rq;
    bool raws_are_chat;
    bool has_member; /* of the object that is being written: the next one needs a comma */
};

static bool goes_raw(const struct writer *x, struct slice raw) {
    return x->raws_are_chat && raw.len > 0;
}

static void text(struct writer *x, const char *literal) {
    jw(&x->w, slice_cstr(literal));
}

static void open_object(struct writer *x) {
    text(x, "{");
    x->has_member = false;
}

static void close_object(struct writer *x) {
    text(x, "}");
    x->has_member = true;
}

static void key(struct writer *x, struct slice name) {
    if (x->has_member) text(x, ",");
    jw_string(&x->w, name);
    text(x, ":");
    x->has_member = true;
}

/* Nothing when the value is absent (ptr NULL). */
static void string_member(struct writer *x, const char *name, struct slice value) {
    if (!value.ptr) return;
    key(x, slice_cstr(name));
    jw_string(&x->w, value);
}

static void extras(struct writer *x, const struct field *f) {
    for (; f; f = f->next) {
        key(x, f->key);
        jw_raw(&x->w, f->value);
    }
}

/* ---- parts ---- */

static void part_value(struct writer *x, const struct part *p) {
    switch (p->kind) {
    case PART_IMAGE:
        key(x, SLICE("image_url"));
        open_object(x);
        string_member(x, "url", p->url);
        string_member(x, "detail", p->detail);
        close_object(x);
        break;
    case PART_AUDIO:
        key(x, SLICE("input_audio"));
        open_object(x);
        string_member(x, "data", p->encoded);
        string_member(x, "format", p->media_type);
        close_object(x);
        break;
    case PART_FILE:
        key(x, SLICE("file"));
        open_object(x);
        string_member(x, "file_id", p->file_id);
        string_member(x, "filename", p->filename);
        string_member(x, "file_data", p->encoded);
        close_object(x);
        break;
    case PART_REFUSAL: string_member(x, "refusal", p->text); break;
    default: string_member(x, "text", p->text); break;
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
static bool is_content(const struct writer *x, const struct part *p) {
    switch (p->kind) {
    case PART_TEXT:
    case PART_IMAGE:
    case PART_AUDIO:
    case PART_FILE: return true;
    case PART_REFUSAL: return !p->name.ptr;
    case PART_TOOL_RESULT: return p->text.ptr;
    case PART_OPAQUE: return goes_raw(x, p->raw) && !p->name.ptr;
    default: return false;
    }
}

static void content_part(struct writer *x, const struct part *p) {
    if (goes_raw(x, p->raw)) {
        jw_raw(&x->w, p->raw);
        return;
    }
    open_object(x);
    key(x, SLICE("type"));
    jw_string(&x->w, slice_cstr(part_type(p->kind)));
    part_value(x, p);
    extras(x, p->extras);
    close_object(x);
}

static void content_array(struct writer *x, const struct message *m) {
    unsigned n = 0;
    text(x, "[");
    for (unsigned i = 0; i < m->n_parts; i++) {
        if (!is_content(x, &m->parts[i])) continue;
        if (n++ > 0) text(x, ",");
        content_part(x, &m->parts[i]);
    }
    text(x, "]");
    x->has_member = true;
}

static void content_string(struct writer *x, const struct message *m) {
    text(x, "\"");
    for (unsigned i = 0; i < m->n_parts; i++) {
        const struct part *p = &m->parts[i];
        if (p->kind == PART_TEXT || p->kind == PART_TOOL_RESULT) jw_escaped(&x->w, p->text);
    }
    text(x, "\"");
}

static void content(struct writer *x, const struct message *m) {
    if (m->content_is_absent) return;
    key(x, SLICE("content"));
    if (m->content_is_null) {
        text(x, "null");
    } else if (m->content_is_string) {
        content_string(x, m);
    } else {
        content_array(x, m);
    }
}

/* ---- calls ---- */

static bool is_call(const struct writer *x, const struct part *p) {
    if (p->kind == PART_OPAQUE)
        return goes_raw(x, p->raw) && slice_eq(p->name, SLICE("tool_calls"));
    return p->kind == PART_TOOL_CALL || p->kind == PART_CUSTOM_TOOL_CALL;
}

static void call_value(struct writer *x, const struct part *p) {
    open_object(x);
    string_member(x, "name", p->name);
    string_member(x, p->kind == PART_CUSTOM_TOOL_CALL ? "input" : "arguments", p->text);
    close_object(x);
}

static void call(struct writer *x, const struct part *p) {
    const char *type = p->kind == PART_CUSTOM_TOOL_CALL ? "custom" : "function";
    if (goes_raw(x, p->raw)) {
        jw_raw(&x->w, p->raw);
        return;
    }
    open_object(x);
    string_member(x, "id", p->id);
    string_member(x, "type", slice_cstr(type));
    key(x, slice_cstr(type));
    call_value(x, p);
    extras(x, p->extras);
    close_object(x);
}

static void tool_calls(struct writer *x, const struct message *m) {
    unsigned n = 0;
    for (unsigned i = 0; i < m->n_parts; i++) {
        if (!is_call(x, &m->parts[i])) continue;
        if (n++ == 0) {
            key(x, SLICE("tool_calls"));
            text(x, "[");
        } else {
            text(x, ",");
        }
        call(x, &m->parts[i]);
    }
    if (n > 0) text(x, "]");
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
static void beside_content(struct writer *x, const struct message *m) {
    for (unsigned i = 0; i < m->n_parts; i++) {
        const struct part *p = &m->parts[i];
        if (p->kind == PART_REASONING) {
            key(x, p->name.ptr ? p->name : SLICE("reasoning_content"));
            jw_string(&x->w, p->text);
        } else if (p->kind == PART_REFUSAL && p->name.ptr) {
            string_member(x, "refusal", p->text);
        } else if (p->kind == PART_FUNCTION_CALL) {
            key(x, SLICE("function_call"));
            if (goes_raw(x, p->raw)) jw_raw(&x->w, p->raw);
            else call_value(x, p);
        }
    }
}

static void message(struct writer *x, const struct message *m) {
    open_object(x);
    string_member(x, "role", slice_cstr(role_name(m->role)));
    string_member(x, "name", m->name);
    if (m->role == ROLE_TOOL && m->n_parts > 0) string_member(x, "tool_call_id", m->parts[0].id);
    content(x, m);
    beside_content(x, m);
    tool_calls(x, m);
    extras(x, m->extras);
    close_object(x);
}

static void messages(struct writer *x) {
    key(x, SLICE("messages"));
    text(x, "[");
    for (const struct message *m = x->rq->messages; m; m = m->next) {
        if (m != x->rq->messages) text(x, ",");
        message(x, m);
    }
    text(x, "]");
    x->has_member = true;
}

/* ---- tools ---- */

static void definition(struct writer *x, const struct tool *t) {
    open_object(x);
    string_member(x, "name", t->name);
    string_member(x, "description", t->description);
    if (t->parameters.len > 0) {
        key(x, SLICE("parameters"));
        jw_raw(&x->w, t->parameters);
    }
    if (t->strict >= 0) {
        key(x, SLICE("strict"));
        text(x, t->strict ? "true" : "false");
    }
    extras(x, t->extras);
    close_object(x);
}

static void tool(struct writer *x, const struct tool *t) {
    const char *type = t->kind == TOOL_CUSTOM ? "custom" : "function";
    if (goes_raw(x, t->raw)) {
        jw_raw(&x->w, t->raw);
    } else if (x->rq->tools_are_functions) {
        definition(x, t);
    } else {
        open_object(x);
        string_member(x, "type", slice_cstr(type));
        key(x, slice_cstr(type));
        definition(x, t);
        close_object(x);
    }
}

static void tools(struct writer *x) {
    unsigned n = 0;
    for (const struct tool *t = x->rq->tools; t; t = t->next) {
        if (t->kind == TOOL_OTHER && !goes_raw(x, t->raw)) continue; /* no word for it here */
        if (n++ == 0) {
            key(x, x->rq->tools_are_functions ? SLICE("functions") : SLICE("tools"));
            text(x, "[");
        } else {
            text(x, ",");
        }
        tool(x, t);
    }
    if (n > 0) text(x, "]");
    if (n > 0) x->has_member = true;
}

static void named_choice(struct writer *x, const char *type) {
    open_object(x);
    if (x->rq->tools_are_functions) {
        string_member(x, "name", x->rq->tool_choice_name);
    } else {
        string_member(x, "type", slice_cstr(type));
        key(x, slice_cstr(type));
        open_object(x);
        string_member(x, "name", x->rq->tool_choice_name);
        close_object(x);
    }
    close_object(x);
}

static void tool_choice(struct writer *x) {
    static const char *const words[] = {[TOOL_CHOICE_AUTO] = "\"auto\"",
                                        [TOOL_CHOICE_NONE] = "\"none\"",
                                        [TOOL_CHOICE_REQUIRED] = "\"required\""};
    const struct llm_request *rq = x->rq;
    bool is_raw = goes_raw(x, rq->tool_choice_raw),
         is_word = rq->tool_choice >= TOOL_CHOICE_AUTO && rq->tool_choice <= TOOL_CHOICE_REQUIRED;
    bool is_named = rq->tool_choice == TOOL_CHOICE_NAMED ||
                    rq->tool_choice == TOOL_CHOICE_NAMED_CUSTOM;
    if (!is_raw && !is_word && !is_named) return;
    key(x, rq->tools_are_functions ? SLICE("function_call") : SLICE("tool_choice"));
    if (is_raw) jw_raw(&x->w, rq->tool_choice_raw);
    else if (is_word) text(x, words[rq->tool_choice]);
    else named_choice(x, rq->tool_choice == TOOL_CHOICE_NAMED ? "function" : "custom");
}

/* ---- top level ---- */

static void stop(struct writer *x) {
    const struct llm_request *rq = x->rq;
    if (rq->n_stop == 0) return;
    key(x, SLICE("stop"));
    if (!rq->stop_is_string) text(x, "[");
    for (unsigned i = 0; i < rq->n_stop; i++) {
        if (i > 0) text(x, ",");
        jw_string(&x->w, rq->stop[i]);
    }
    if (!rq->stop_is_string) text(x, "]");
}

static void params(struct writer *x) {
    bool has_stream = false, want = x->rq->env.stream;
    for (const struct field *f = x->rq->params; f; f = f->next) {
        bool is_stream = slice_eq(f->key, SLICE("stream"));
        key(x, f->key);
        if (is_stream && slice_eq(f->value, SLICE("true")) != want)
            text(x, want ? "true" : "false");
        else jw_raw(&x->w, f->value);
        has_stream |= is_stream;
    }
    if (want && !has_stream) {
        key(x, SLICE("stream"));
        text(x, "true");
    }
}

int chat_encode_request(const struct llm_request *rq, struct translation *t, struct buf *out,
                        struct request_fault *fault) {
    (void)t;
    (void)fault;
    struct writer x = {.w = jw_begin(out), .rq = rq};
    x.raws_are_chat = rq->origin && strcmp(rq->origin, dialect_chat.name) == 0;
    open_object(&x);
    string_member(&x, "model", rq->env.model);
    messages(&x);
    tools(&x);
    tool_choice(&x);
    stop(&x);
    string_member(&x, "user", rq->user);
    params(&x);
    close_object(&x);
    return jw_end(&x.w);
}
