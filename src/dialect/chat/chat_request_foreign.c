/* SPDX-License-Identifier: Apache-2.0 */
/* A request that came in another dialect's words as a chat body: the model's typed fields, as the
 * upstream's capabilities want them. What has no place is reported as dropped when that is
 * harmless, and refused when the answer would mean something else. Rules: translation.md 1.3-1.10,
 * 2.1, 2.5. */
#include "dialect/chat/chat-request.h"

#include <stdio.h>

#include "base/json_scan.h"
#include "base/sha256.h"
#include "dialect/peek.h"
#include "dialect/translation.h"

#define USER_MAX_BYTES 64

struct foreign {
    struct chat_writer x;
    struct translation *t;
    const struct capabilities *caps;
    struct request_fault *fault;
    unsigned n_written;  /* messages */
    bool last_is_result; /* the last one of them is a tool's */
};

static bool is_from(const struct foreign *f, const char *origin) {
    return chat_origin_is(f->x.rq, origin);
}

static void drop(struct translation *t, const char *name) {
    if (t) translation_drop(t, name);
}

/* Nothing is written any more. */
static void refuse(struct foreign *f, const char *param, const char *what) {
    struct request_fault own, *fault = f->fault ? f->fault : &own;
    if (f->x.w.rc) return;
    f->x.w.rc = request_refuse(fault, "unsupported_value", param,
                               "%s cannot be sent to the upstream of this model, which speaks Chat "
                               "Completions. Leave it out, or use a model whose upstream takes it.",
                               what);
}

static const char *content_param(const struct foreign *f) {
    return is_from(f, "responses") ? "input" : "messages";
}

/* ---- parts ---- */

static const struct field *find_field(const struct field *f, struct slice name) {
    while (f && !slice_eq(f->key, name)) f = f->next;
    return f;
}

static const struct field *cache_mark(const struct foreign *f, const struct part *p) {
    return f->caps->cache_control ? find_field(p->extras, SLICE("cache_control")) : NULL;
}

static bool has_cache_mark(const struct foreign *f, const struct message *m) {
    for (unsigned i = 0; i < m->n_parts; i++) {
        if (cache_mark(f, &m->parts[i])) return true;
    }
    return false;
}

static void report_extras(struct foreign *f, const struct field *extras) {
    for (; f->t && extras; extras = extras->next) {
        bool is_kept = f->caps->cache_control && slice_eq(extras->key, SLICE("cache_control"));
        if (!extras->is_understood && !is_kept) translation_drop_slice(f->t, extras->key);
    }
}

/* An array of parts that is being written. */
struct list {
    struct foreign *f;
    unsigned n;
};

static void begin_part(struct list *l, const char *type) {
    chat_w_text(&l->f->x, l->n++ == 0 ? "[" : ",");
    chat_w_open(&l->f->x);
    chat_w_string(&l->f->x, "type", slice_cstr(type));
}

static void end_list(struct list *l) {
    chat_w_text(&l->f->x, l->n == 0 ? "[]" : "]");
    l->f->x.has_member = true;
}

static void text_part(struct list *l, struct slice text, const struct field *mark) {
    if (text.len == 0) return;
    begin_part(l, "text");
    chat_w_string(&l->f->x, "text", text);
    if (mark) chat_w_raw(&l->f->x, "cache_control", mark->value);
    chat_w_close(&l->f->x);
}

/* "data:TYPE;base64,…", of base64 or of such a URL. */
static void data_url(struct foreign *f, const char *key, const struct part *p,
                     struct slice otherwise) {
    struct json_writer *w = &f->x.w;
    chat_w_key(&f->x, slice_cstr(key));
    jw(w, SLICE("\""));
    if (!slice_starts_with(p->encoded, SLICE("data:"))) {
        jw(w, SLICE("data:"));
        jw_escaped(w, p->media_type.len > 0 ? p->media_type : otherwise);
        jw(w, SLICE(";base64,"));
    }
    jw_escaped(w, p->encoded);
    jw(w, SLICE("\""));
}

static void image_part(struct list *l, const struct part *p) {
    struct foreign *f = l->f;
    bool is_remote = p->url.ptr && !slice_starts_with(p->url, SLICE("data:"));
    if (is_remote && !f->caps->images_by_url) {
        refuse(f, content_param(f), "An image by URL (this upstream wants them as data)");
        return;
    }
    if (!p->url.ptr && !p->encoded.ptr) {
        refuse(f, content_param(f), "An image by file id");
        return;
    }
    begin_part(l, "image_url");
    chat_w_key(&f->x, SLICE("image_url"));
    chat_w_open(&f->x);
    if (p->url.ptr) chat_w_string(&f->x, "url", p->url);
    else data_url(f, "url", p, SLICE("image/jpeg"));
    if (p->detail.len > 0) chat_w_string(&f->x, "detail", p->detail);
    chat_w_close(&f->x);
    chat_w_close(&f->x);
}

static void audio_part(struct list *l, const struct part *p) {
    struct foreign *f = l->f;
    if (!p->encoded.ptr) {
        refuse(f, content_param(f), "This audio");
        return;
    }
    begin_part(l, "input_audio");
    chat_w_key(&f->x, SLICE("input_audio"));
    chat_w_open(&f->x);
    chat_w_string(&f->x, "data", p->encoded);
    chat_w_string(&f->x, "format", p->media_type);
    chat_w_close(&f->x);
    chat_w_close(&f->x);
}

static bool is_plain_text(const struct part *p) {
    return p->kind == PART_FILE && p->text.ptr && !p->encoded.ptr;
}

/* The document's name, then what is in it. */
static void inline_text(struct json_writer *w, const struct part *p) {
    if (p->filename.len > 0) {
        jw_escaped(w, p->filename);
        jw(w, SLICE("\\n"));
    }
    jw_escaped(w, p->text);
}

static void file_part(struct list *l, const struct part *p) {
    struct foreign *f = l->f;
    text_part(l, p->context, NULL);
    if (is_plain_text(p)) {
        begin_part(l, "text");
        chat_w_key(&f->x, SLICE("text"));
        jw(&f->x.w, SLICE("\""));
        inline_text(&f->x.w, p);
        jw(&f->x.w, SLICE("\""));
        chat_w_close(&f->x);
        return;
    }
    /* responses and chat of OpenAI's share their files */
    bool is_shared = p->file_id.len > 0 && is_from(f, "responses") &&
                     f->caps->family == PROOF_OPENAI;
    if (!p->encoded.ptr && !is_shared) {
        refuse(f, content_param(f), p->url.ptr ? "A file by URL" : "A file by id");
        return;
    }
    begin_part(l, "file");
    chat_w_key(&f->x, SLICE("file"));
    chat_w_open(&f->x);
    if (p->encoded.ptr) {
        chat_w_string(&f->x, "filename", p->filename.len > 0 ? p->filename : SLICE("document.pdf"));
        data_url(f, "file_data", p, SLICE("application/pdf"));
    } else {
        chat_w_string(&f->x, "file_id", p->file_id);
    }
    chat_w_close(&f->x);
    chat_w_close(&f->x);
}

static void content_part(struct list *l, const struct part *p) {
    report_extras(l->f, p->extras);
    switch (p->kind) {
    case PART_TEXT:
    case PART_REFUSAL: text_part(l, p->text, cache_mark(l->f, p)); break;
    case PART_IMAGE: image_part(l, p); break;
    case PART_AUDIO: audio_part(l, p); break;
    case PART_FILE: file_part(l, p); break;
    case PART_OPAQUE:
        refuse(l->f, content_param(l->f), "A content part of a type of its own");
        break;
    default: break;
    }
}

/* ---- system and developer ---- */

static bool is_system(const struct message *m) {
    return m->role == ROLE_SYSTEM || m->role == ROLE_DEVELOPER;
}

static bool has_text(const struct message *m) {
    for (unsigned i = 0; i < m->n_parts; i++) {
        if (m->parts[i].kind == PART_TEXT && m->parts[i].text.len > 0) return true;
    }
    return false;
}

/* Messages whose texts become one: from `first`, those that `belongs` takes. */
typedef bool belongs_fn(const struct message *m);

static bool is_leading(const struct message *m) {
    return m->is_instructions;
}

static bool is_this(const struct message *m) {
    (void)m;
    return true;
}

static void system_string(struct foreign *f, const struct message *first,
                          const struct message *end, belongs_fn *belongs) {
    unsigned n = 0;
    jw(&f->x.w, SLICE("\""));
    for (const struct message *m = first; m != end; m = m->next) {
        for (unsigned i = 0; belongs(m) && i < m->n_parts; i++) {
            const struct part *p = &m->parts[i];
            if (p->kind != PART_TEXT || p->text.len == 0) continue;
            if (n++ > 0) jw(&f->x.w, SLICE("\\n"));
            jw_escaped(&f->x.w, p->text);
            report_extras(f, p->extras);
        }
    }
    jw(&f->x.w, SLICE("\""));
}

static void system_parts(struct foreign *f, const struct message *first,
                         const struct message *end, belongs_fn *belongs) {
    struct list l = {f, 0};
    for (const struct message *m = first; m != end; m = m->next) {
        for (unsigned i = 0; belongs(m) && i < m->n_parts; i++) {
            if (m->parts[i].kind == PART_TEXT) content_part(&l, &m->parts[i]);
        }
    }
    end_list(&l);
}

static void begin_message(struct foreign *f, const char *role) {
    if (f->n_written++ > 0) chat_w_text(&f->x, ",");
    f->last_is_result = strcmp(role, "tool") == 0;
    chat_w_open(&f->x);
    chat_w_string(&f->x, "role", slice_cstr(role));
}

static void system_message(struct foreign *f, const struct message *first,
                           const struct message *end, belongs_fn *belongs) {
    const struct message *spoken = NULL;
    bool is_marked = false, is_developer = true;
    for (const struct message *m = first; m != end; m = m->next) {
        if (!belongs(m) || !has_text(m)) continue;
        if (!spoken) spoken = m;
        is_marked |= has_cache_mark(f, m);
        is_developer &= m->role == ROLE_DEVELOPER;
    }
    if (!spoken) return;
    begin_message(f, is_developer && f->caps->developer_role ? "developer" : "system");
    chat_w_key(&f->x, SLICE("content"));
    if (is_marked) system_parts(f, first, end, belongs);
    else system_string(f, first, end, belongs);
    chat_w_close(&f->x);
}

/* ---- results ---- */

static bool is_result(const struct message *m) {
    return m->role == ROLE_TOOL || m->role == ROLE_FUNCTION;
}

static bool is_attachment(const struct part *p) {
    return p->kind == PART_IMAGE || p->kind == PART_AUDIO ||
           (p->kind == PART_FILE && !is_plain_text(p));
}

static bool has_attachment(const struct part *result) {
    for (unsigned i = 0; i < result->n_inner; i++) {
        if (is_attachment(&result->inner[i])) return true;
    }
    return false;
}

static bool any_attachment(const struct message *first, const struct message *end) {
    for (const struct message *m = first; m != end; m = m->next) {
        for (unsigned i = 0; i < m->n_parts; i++) {
            if (has_attachment(&m->parts[i])) return true;
        }
    }
    return false;
}

static void result_line(struct foreign *f, const struct part *p, unsigned *n) {
    bool is_text = p->kind == PART_TEXT || p->kind == PART_REFUSAL;
    if (p->kind == PART_OPAQUE) drop(f->t, "messages[].content");
    if (!is_text && !is_plain_text(p) && !is_attachment(p)) return;
    if ((*n)++ > 0) jw(&f->x.w, SLICE("\\n"));
    if (is_text) jw_escaped(&f->x.w, p->text);
    else if (is_plain_text(p)) inline_text(&f->x.w, p);
    else jw(&f->x.w, p->kind == PART_IMAGE ? SLICE("[image, see below]")
                                           : SLICE("[file, see below]"));
}

static struct slice first_text(const struct part *result) {
    for (unsigned i = 0; i < result->n_inner; i++) {
        if (result->inner[i].kind == PART_TEXT) return result->inner[i].text;
    }
    return result->text;
}

static void result_message(struct foreign *f, const struct part *p) {
    struct slice mark = SLICE("Error: ");
    unsigned n = 0;
    begin_message(f, "tool");
    chat_w_string(&f->x, "tool_call_id", p->id);
    chat_w_key(&f->x, SLICE("content"));
    jw(&f->x.w, SLICE("\""));
    if (p->is_error && !slice_starts_with(first_text(p), mark)) jw(&f->x.w, mark);
    jw_escaped(&f->x.w, p->text);
    for (unsigned i = 0; i < p->n_inner; i++) {
        report_extras(f, p->inner[i].extras);
        result_line(f, &p->inner[i], &n);
    }
    jw(&f->x.w, SLICE("\""));
    chat_w_close(&f->x);
    report_extras(f, p->extras);
}

/* What results cannot hold goes to the user's message behind them. */
static void attachments(struct list *l, const struct message *first, const struct message *end) {
    struct foreign *f = l->f;
    for (const struct message *m = first; m != end; m = m->next) {
        for (unsigned i = 0; i < m->n_parts; i++) {
            const struct part *p = &m->parts[i];
            if (!has_attachment(p)) continue;
            begin_part(l, "text");
            chat_w_key(&f->x, SLICE("text"));
            jw(&f->x.w, SLICE("\"Output of tool call "));
            jw_escaped(&f->x.w, p->id);
            jw(&f->x.w, SLICE(":\""));
            chat_w_close(&f->x);
            for (unsigned k = 0; k < p->n_inner; k++) {
                if (is_attachment(&p->inner[k])) content_part(l, &p->inner[k]);
            }
        }
    }
}

/* ---- user ---- */

static const struct part *only_text(const struct foreign *f, const struct message *m) {
    if (m->n_parts != 1 || m->parts[0].kind != PART_TEXT || cache_mark(f, m->parts)) return NULL;
    return m->parts;
}

/* m: the user's own message, or NULL; behind the results [first, end). */
static void user_message(struct foreign *f, const struct message *m, const struct message *first,
                         const struct message *end) {
    const struct part *only = m && first == end ? only_text(f, m) : NULL;
    if (f->last_is_result && !f->caps->user_after_tool) {
        begin_message(f, "assistant");
        chat_w_string(&f->x, "content", SLICE("OK"));
        chat_w_close(&f->x);
    }
    if (m && m->n_parts == 1 && !any_attachment(first, end)) only = only_text(f, m);
    begin_message(f, "user");
    if (m) chat_w_string(&f->x, "name", m->name);
    if (only) {
        chat_w_string(&f->x, "content", only->text);
        report_extras(f, only->extras);
    } else {
        struct list l = {f, 0};
        chat_w_key(&f->x, SLICE("content"));
        attachments(&l, first, end);
        for (unsigned i = 0; m && i < m->n_parts; i++) content_part(&l, &m->parts[i]);
        end_list(&l);
    }
    chat_w_close(&f->x);
}

static bool says_something(const struct message *m) {
    for (unsigned i = 0; i < m->n_parts; i++) {
        if (m->parts[i].kind != PART_TEXT || m->parts[i].text.len > 0) return true;
    }
    return false;
}

/* ---- assistant ---- */

static bool is_call(const struct part *p) {
    return p->kind == PART_TOOL_CALL || p->kind == PART_CUSTOM_TOOL_CALL ||
           p->kind == PART_FUNCTION_CALL;
}

static bool is_said(const struct part *p) {
    return (p->kind == PART_TEXT || p->kind == PART_REFUSAL) && p->text.len > 0;
}

static unsigned count(const struct message *m, bool (*is)(const struct part *)) {
    unsigned n = 0;
    for (unsigned i = 0; i < m->n_parts; i++) n += is(&m->parts[i]);
    return n;
}

static void tool_calls(struct foreign *f, const struct message *m) {
    unsigned n = 0;
    for (unsigned i = 0; i < m->n_parts; i++) {
        struct part call = m->parts[i];
        if (!is_call(&call)) continue;
        if (call.kind == PART_FUNCTION_CALL) call.kind = PART_TOOL_CALL;
        if (n == 0) chat_w_key(&f->x, SLICE("tool_calls"));
        chat_w_text(&f->x, n++ == 0 ? "[" : ",");
        report_extras(f, call.extras);
        chat_w_call(&f->x, &call, NULL);
    }
    if (n > 0) chat_w_text(&f->x, "]");
    if (n > 0) f->x.has_member = true;
}

static void plain_reasoning(struct foreign *f, const struct message *m, const char *key) {
    unsigned n = 0;
    for (unsigned i = 0; i < m->n_parts; i++) {
        const struct part *p = &m->parts[i];
        if (p->kind != PART_REASONING || p->text.len == 0) continue;
        if (n == 0) chat_w_key(&f->x, slice_cstr(key));
        jw(&f->x.w, n++ == 0 ? SLICE("\"") : SLICE("\\n\\n"));
        jw_escaped(&f->x.w, p->text);
    }
    if (n > 0) jw(&f->x.w, SLICE("\""));
}

static void reasoning(struct foreign *f, const struct message *m) {
    switch (f->caps->reasoning_history) {
    case REASONING_NOT_TAKEN: break;
    case REASONING_CONTENT: plain_reasoning(f, m, "reasoning_content"); break;
    case REASONING_PLAIN: plain_reasoning(f, m, "reasoning"); break;
    case REASONING_DETAILS:
        chat_w_thoughts(&f->x, m, CHAT_SIGNATURE_FORMAT,
                        is_from(f, "messages") ? CHAT_SIGNATURE_FORMAT : SLICE_NULL);
        break;
    }
}

static void said(struct foreign *f, const struct message *m) {
    jw(&f->x.w, SLICE("\""));
    for (unsigned i = 0; i < m->n_parts; i++) {
        if (is_said(&m->parts[i])) jw_escaped(&f->x.w, m->parts[i].text);
        if (is_said(&m->parts[i])) report_extras(f, m->parts[i].extras);
    }
    jw(&f->x.w, SLICE("\""));
}

static void assistant_message(struct foreign *f, const struct message *m) {
    unsigned n_calls = count(m, is_call), n_said = count(m, is_said);
    /* of responses, an item that says nothing is none */
    if (n_calls + n_said == 0 && is_from(f, "responses")) return;
    begin_message(f, "assistant");
    chat_w_string(&f->x, "name", m->name);
    chat_w_key(&f->x, SLICE("content")); /* templates of some servers fail without it */
    if (n_said == 0 && n_calls > 0) chat_w_text(&f->x, "null");
    else said(f, m);
    reasoning(f, m);
    tool_calls(f, m);
    chat_w_close(&f->x);
}

/* ---- messages ---- */

/* Writes the run of results that begins at m, and the user's message behind it when there is one or
 * must be. Returns the last message that was written. */
static const struct message *results(struct foreign *f, const struct message *m) {
    const struct message *first = m, *last = m;
    for (; m && is_result(m); m = m->next) {
        last = m;
        for (unsigned i = 0; i < m->n_parts; i++) {
            if (m->parts[i].kind == PART_TOOL_RESULT) result_message(f, &m->parts[i]);
        }
    }
    bool has_user = m && m->role == ROLE_USER && says_something(m);
    if (!has_user && !any_attachment(first, m)) return last;
    user_message(f, has_user ? m : NULL, first, m);
    return has_user ? m : last;
}

static const struct message *one_message(struct foreign *f, const struct message *m) {
    report_extras(f, m->extras);
    if (is_result(m)) return results(f, m);
    if (m->role == ROLE_ASSISTANT) assistant_message(f, m);
    else if (!is_system(m) && says_something(m)) user_message(f, m, NULL, NULL);
    else if (is_system(m) && !m->is_instructions && !f->caps->one_system_message)
        system_message(f, m, m->next, is_this);
    return m;
}

/* A last message of the assistant's is not continued by this dialect's servers. */
static void report_prefill(struct foreign *f) {
    const struct message *last = f->x.rq->messages_end;
    if (last && last->role == ROLE_ASSISTANT && count(last, is_call) == 0 && is_from(f, "messages"))
        drop(f->t, "prefill");
}

static void messages(struct foreign *f) {
    const struct message *all = f->x.rq->messages;
    chat_w_key(&f->x, SLICE("messages"));
    chat_w_text(&f->x, "[");
    system_message(f, all, NULL, f->caps->one_system_message ? is_system : is_leading);
    for (const struct message *m = all; m; m = m->next) m = one_message(f, m);
    chat_w_text(&f->x, "]");
    f->x.has_member = true;
    report_prefill(f);
}

/* ---- tools ---- */

static bool is_allowed(const struct llm_request *rq, const struct tool *tool) {
    for (unsigned i = 0; i < rq->n_allowed; i++) {
        if (slice_eq(rq->allowed[i], tool->name)) return true;
    }
    return false;
}

/* Who does not know allowed_tools gets only those. */
static bool is_offered(const struct foreign *f, const struct tool *tool) {
    if (tool->kind == TOOL_OTHER) return false;
    return f->x.rq->tool_choice != TOOL_CHOICE_ALLOWED || f->caps->openai_fields ||
           is_allowed(f->x.rq, tool);
}

/* A schema must say that it is an object's. */
static void parameters(struct foreign *f, struct slice schema) {
    struct json_member type;
    size_t inside = json_text_skip_space(schema, 1);
    chat_w_key(&f->x, SLICE("parameters"));
    if (!json_text_is(schema, '{') || inside >= schema.len || schema.ptr[inside] == '}') {
        chat_w_text(&f->x, "{\"type\":\"object\",\"properties\":{}}");
    } else if (!json_find_member(schema, SLICE("type"), &type)) {
        chat_w_text(&f->x, "{\"type\":\"object\",");
        jw_raw(&f->x.w, slice_from(schema, inside));
    } else if (json_text_is_null(type.value)) {
        jw_raw(&f->x.w, slice_make(schema.ptr, (size_t)(type.value.ptr - schema.ptr)));
        chat_w_text(&f->x, "\"object\"");
        jw_raw(&f->x.w, slice_from(schema, (size_t)(type.value.ptr - schema.ptr) + 4));
    } else {
        jw_raw(&f->x.w, schema);
    }
}

static void one_tool(struct foreign *f, const struct tool *tool) {
    bool is_custom = tool->kind == TOOL_CUSTOM;
    const char *type = is_custom ? "custom" : "function";
    chat_w_open(&f->x);
    chat_w_string(&f->x, "type", slice_cstr(type));
    chat_w_key(&f->x, slice_cstr(type));
    chat_w_open(&f->x);
    chat_w_string(&f->x, "name", tool->name);
    if (tool->description.len > 0) chat_w_string(&f->x, "description", tool->description);
    if (!is_custom) parameters(f, tool->parameters);
    if (!is_custom && tool->strict >= 0) chat_w_bool(&f->x, "strict", tool->strict);
    if (is_custom && tool->format.len > 0) chat_w_tool_format(&f->x, tool->format);
    chat_w_close(&f->x);
    const struct field *mark = find_field(tool->extras, SLICE("cache_control"));
    if (mark && f->caps->cache_control) chat_w_raw(&f->x, "cache_control", mark->value);
    chat_w_close(&f->x);
    report_extras(f, tool->extras);
}

/* A tool that the provider itself would have run. */
static void report_hosted(struct foreign *f, const struct tool *tool) {
    char name[64];
    int len = tool->type.len < 40 ? (int)tool->type.len : 40;
    snprintf(name, sizeof name, "tools[].%.*s", len, tool->type.ptr ? tool->type.ptr : "");
    drop(f->t, name);
}

static unsigned tools(struct foreign *f) {
    unsigned n = 0;
    for (const struct tool *tool = f->x.rq->tools; tool; tool = tool->next) {
        if (tool->kind == TOOL_OTHER) report_hosted(f, tool);
        if (!is_offered(f, tool)) continue;
        if (n == 0) chat_w_key(&f->x, SLICE("tools"));
        chat_w_text(&f->x, n++ == 0 ? "[" : ",");
        one_tool(f, tool);
    }
    if (n > 0) chat_w_text(&f->x, "]");
    if (n > 0) f->x.has_member = true;
    return n;
}

static void choice_word(struct foreign *f, const char *word) {
    chat_w_string(&f->x, "tool_choice", slice_cstr(word));
}

static const char *required_word(const struct foreign *f) {
    return f->caps->required_is_any ? "any" : "required";
}

static void allowed_tools(struct foreign *f) {
    const struct llm_request *rq = f->x.rq;
    unsigned n = 0;
    chat_w_key(&f->x, SLICE("tool_choice"));
    chat_w_open(&f->x);
    chat_w_string(&f->x, "type", SLICE("allowed_tools"));
    chat_w_key(&f->x, SLICE("allowed_tools"));
    chat_w_open(&f->x);
    chat_w_string(&f->x, "mode", rq->allowed_is_required ? SLICE("required") : SLICE("auto"));
    chat_w_key(&f->x, SLICE("tools"));
    chat_w_text(&f->x, "[");
    for (const struct tool *tool = rq->tools; tool; tool = tool->next) {
        if (tool->kind == TOOL_OTHER || !is_allowed(rq, tool)) continue;
        if (n++ > 0) chat_w_text(&f->x, ",");
        chat_w_named(&f->x, tool->kind == TOOL_CUSTOM ? "custom" : "function", tool->name);
    }
    chat_w_text(&f->x, "]");
    f->x.has_member = true;
    chat_w_close(&f->x);
    chat_w_close(&f->x);
    if (n == 0) refuse(f, "tool_choice", "A choice among tools of which none is there");
}

/* The choice is of a tool that was left out. */
static bool names_hosted(const struct llm_request *rq) {
    bool is_hosted = false;
    for (const struct tool *tool = rq->tools; tool; tool = tool->next) {
        if (!slice_eq(tool->name, rq->tool_choice_name)) continue;
        if (tool->kind != TOOL_OTHER) return false;
        is_hosted = true;
    }
    return is_hosted;
}

static void named_tool(struct foreign *f, const char *type) {
    if (names_hosted(f->x.rq)) {
        refuse(f, "tool_choice", "A choice of a tool that the provider runs itself");
        return;
    }
    chat_w_key(&f->x, SLICE("tool_choice"));
    chat_w_named(&f->x, type, f->x.rq->tool_choice_name);
}

static void tool_choice(struct foreign *f, unsigned n_tools) {
    const struct llm_request *rq = f->x.rq;
    bool is_lost = n_tools == 0 && rq->n_tools > 0;
    switch (rq->tool_choice) {
    case TOOL_CHOICE_ABSENT: break;
    case TOOL_CHOICE_AUTO:
        if (n_tools > 0) choice_word(f, "auto");
        break;
    case TOOL_CHOICE_NONE:
        if (n_tools > 0) choice_word(f, "none");
        break;
    case TOOL_CHOICE_REQUIRED:
        if (is_lost) refuse(f, "tool_choice", "A call that must be made, of tools that it lacks,");
        else choice_word(f, required_word(f));
        break;
    case TOOL_CHOICE_NAMED: named_tool(f, "function"); break;
    case TOOL_CHOICE_NAMED_CUSTOM: named_tool(f, "custom"); break;
    case TOOL_CHOICE_ALLOWED:
        if (f->caps->openai_fields) allowed_tools(f);
        else if (n_tools == 0)
            refuse(f, "tool_choice", "A choice among tools of which none is there");
        else choice_word(f, rq->allowed_is_required ? required_word(f) : "auto");
        break;
    case TOOL_CHOICE_OTHER:
        refuse(f, "tool_choice", "A choice of a tool that the provider runs itself");
        break;
    }
}

static void parallel_tools(struct foreign *f, unsigned n_tools) {
    const struct llm_request *rq = f->x.rq;
    if (rq->parallel_tools != 0 || n_tools == 0 || rq->tool_choice == TOOL_CHOICE_NONE) return;
    if (f->caps->parallel_tool_calls) chat_w_bool(&f->x, "parallel_tool_calls", false);
    else drop(f->t, "parallel_tool_calls");
}

/* ---- settings ---- */

static void user_id(struct chat_writer *x, const char *key, struct slice id) {
    char hex[SHA256_HEX_BYTES + 1];
    if (id.len == 0) return;
    if (id.len > USER_MAX_BYTES) {
        sha256_hex(id, hex);
        id = slice_make(hex, SHA256_HEX_BYTES);
    }
    chat_w_string(x, key, id);
}

static void length_limit(struct chat_writer *x, const struct translation *t, bool is_chat) {
    bool is_new = is_chat && t && t->caps->max_tokens == MAX_TOKENS_COMPLETION;
    if (x->rq->env.max_tokens > 0)
        chat_w_int(x, is_new ? "max_completion_tokens" : "max_tokens", x->rq->env.max_tokens);
}

static void sampling(struct chat_writer *x, struct translation *t) {
    const struct llm_request *rq = x->rq;
    chat_w_raw(x, "temperature", rq->temperature);
    chat_w_raw(x, "top_p", rq->top_p);
    if (t && t->caps->top_k) chat_w_raw(x, "top_k", rq->top_k);
    else if (rq->top_k.ptr) drop(t, "top_k");
    chat_w_raw(x, "presence_penalty", rq->presence_penalty);
    chat_w_raw(x, "frequency_penalty", rq->frequency_penalty);
    chat_w_raw(x, "logit_bias", rq->logit_bias);
    chat_w_raw(x, "seed", rq->seed);
    if (rq->env.n > 1) chat_w_int(x, "n", rq->env.n);
}

static void stream(struct chat_writer *x, const struct translation *t) {
    if (!x->rq->env.stream) return;
    chat_w_bool(x, "stream", true);
    if (!t || !t->caps->stream_options) return;
    chat_w_key(x, SLICE("stream_options"));
    chat_w_text(x, "{\"include_usage\":true}");
}

void chat_w_settings(struct chat_writer *x, struct translation *t, bool is_chat) {
    const struct llm_request *rq = x->rq;
    length_limit(x, t, is_chat);
    sampling(x, t);
    chat_w_stop(x);
    stream(x, t);
    const char *user_name = chat_origin_is(rq, "messages") ? "metadata.user_id" : "user";
    if (!is_chat || (t && t->caps->openai_fields)) user_id(x, "user", rq->user);
    else if (rq->user.len > 0) drop(t, user_name);
    for (const struct field *p = rq->params; t && p; p = p->next) {
        if (!p->is_understood) translation_drop_slice(t, p->key);
    }
}

/* ---- what only chat has ---- */

/* translation.md 1.3: lower bounds. */
static struct slice effort_of_budget(int64_t tokens) {
    if (tokens < 1024) return SLICE("minimal");
    if (tokens < 2048) return SLICE("low");
    if (tokens < 4096) return SLICE("medium");
    if (tokens < 8192) return SLICE("high");
    return tokens < 16384 ? SLICE("xhigh") : SLICE("max");
}

static void effort(struct foreign *f) {
    const struct reasoning_ask *ask = &f->x.rq->reasoning;
    const struct capabilities *caps = f->caps;
    struct slice word = ask->effort;
    /* who knows the highest efforts knows "none", too */
    if (ask->thinking == THINKING_OFF) word = caps->top_effort ? SLICE("none") : SLICE_NULL;
    if (word.len == 0 && ask->thinking == THINKING_BUDGET)
        word = effort_of_budget(ask->budget_tokens);
    if (!caps->reasoning_effort) {
        bool is_budget = ask->thinking != THINKING_UNSET && ask->thinking != THINKING_OFF;
        if (word.len > 0 || is_budget)
            drop(f->t, is_from(f, "messages") ? "thinking" : "reasoning");
        return;
    }
    bool is_top = slice_eq(word, SLICE("xhigh")) || slice_eq(word, SLICE("max"));
    if (is_top && !caps->top_effort) word = SLICE("high");
    if (slice_eq(word, SLICE("minimal")) && !caps->minimal_effort) word = SLICE("low");
    if (word.len > 0) chat_w_string(&f->x, "reasoning_effort", word);
}

static void response_format(struct foreign *f) {
    const struct output_format *format = &f->x.rq->format;
    struct chat_writer *x = &f->x;
    if (format->kind != FORMAT_JSON_OBJECT && format->kind != FORMAT_JSON_SCHEMA) return;
    chat_w_key(x, SLICE("response_format"));
    if (format->kind == FORMAT_JSON_OBJECT) {
        chat_w_text(x, "{\"type\":\"json_object\"}");
        return;
    }
    chat_w_open(x);
    chat_w_string(x, "type", SLICE("json_schema"));
    chat_w_key(x, SLICE("json_schema"));
    chat_w_open(x);
    chat_w_string(x, "name", format->name.len > 0 ? format->name : SLICE("structured_output"));
    if (format->description.len > 0) chat_w_string(x, "description", format->description);
    chat_w_raw(x, "schema", format->schema.len > 0 ? format->schema : SLICE("{}"));
    chat_w_bool(x, "strict", format->strict == 1);
    chat_w_close(x);
    chat_w_close(x);
}

static void logprobs(struct foreign *f) {
    const struct llm_request *rq = f->x.rq;
    if (rq->logprobs != 1 && rq->top_logprobs < 0) return;
    chat_w_bool(&f->x, "logprobs", true);
    if (rq->top_logprobs >= 0) chat_w_int(&f->x, "top_logprobs", rq->top_logprobs);
}

/* Answers are kept by the gateway for clients that speak responses: their store and metadata are
 * not the upstream's. Metadata goes with what is stored. */
static void keeping(struct foreign *f) {
    const struct llm_request *rq = f->x.rq;
    bool is_ours = is_from(f, "responses");
    bool is_stored = f->caps->openai_fields && rq->store == 1 && !is_ours;
    if (is_stored) chat_w_bool(&f->x, "store", true);
    if (is_stored) chat_w_raw(&f->x, "metadata", rq->metadata);
    else if (rq->metadata.ptr && !is_ours) drop(f->t, "metadata");
    if (rq->store == 1 && !is_stored && !is_ours) drop(f->t, "store");
}

static void known_or_dropped(struct foreign *f, const char *name, struct slice value,
                             bool is_known) {
    if (value.len == 0) return;
    if (is_known) chat_w_string(&f->x, name, value);
    else drop(f->t, name);
}

static void openai_fields(struct foreign *f) {
    const struct llm_request *rq = f->x.rq;
    bool is_known = f->caps->openai_fields;
    known_or_dropped(f, "verbosity", rq->verbosity, is_known);
    known_or_dropped(f, "service_tier", rq->service_tier,
                     is_known && !slice_eq(rq->service_tier, SLICE("ultrafast")));
    known_or_dropped(f, "prompt_cache_key", rq->prompt_cache_key, is_known);
    if (is_known) user_id(&f->x, "safety_identifier", rq->safety_identifier);
    else if (rq->safety_identifier.len > 0) drop(f->t, "safety_identifier");
    if (f->caps->cache_control) chat_w_raw(&f->x, "cache_control", rq->cache_control);
    else if (rq->cache_control.ptr) drop(f->t, "cache_control");
    keeping(f);
}

int chat_encode_foreign(const struct llm_request *rq, struct translation *t, struct buf *out,
                        struct request_fault *fault) {
    static const struct capabilities unknown = {.user_after_tool = true, .images_by_url = true};
    struct foreign f = {.x = {.w = jw_begin(out), .rq = rq},
                        .t = t,
                        .caps = t ? t->caps : &unknown,
                        .fault = fault};
    chat_w_open(&f.x);
    chat_w_string(&f.x, "model", rq->env.model);
    messages(&f);
    if (f.n_written == 0) refuse(&f, content_param(&f), "A request without any message");
    unsigned n_tools = tools(&f);
    tool_choice(&f, n_tools);
    parallel_tools(&f, n_tools);
    if (rq->env.max_tokens == 0) refuse(&f, "max_tokens", "A limit of 0 tokens");
    chat_w_settings(&f.x, t, true);
    logprobs(&f);
    effort(&f);
    response_format(&f);
    openai_fields(&f);
    chat_w_close(&f.x);
    return jw_end(&f.x.w);
}
