/* SPDX-License-Identifier: Apache-2.0 */
/* `system` and `messages` of a request.
 *
 * From our own dialect they go out as they came: results, which the model has as messages, back
 * into the user's turn.
 *
 * From another one they are made into what Anthropic accepts (translation.md 2.3): messages become
 * turns of alternating roles. Between two assistant's turns, results come first, in the order of
 * their calls, then what the user said, and system texts at their place behind. */
#include "dialect/messages/messages-request.h"
#include "dialect/peek.h"
#include "dialect/request_read.h"

/* A legacy call, which has no id on the wire it came from. */
struct legacy_call {
    struct slice name, id;
    bool is_answered;
};

struct turns {
    struct messages_writer *x;
    const struct message **list; /* in the order of writing, silent ones left out */
    unsigned n;
    const struct message **lead; /* what becomes `system` */
    unsigned n_lead;
    const struct part *prefill; /* the text that is to be continued */
    struct legacy_call *legacy;
    unsigned n_legacy;
};

/* ---- what is said ---- */

static bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct slice without_tail(struct slice s) {
    while (s.len > 0 && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

static bool is_blank(struct slice s) {
    return without_tail(s).len == 0;
}

static bool is_system(const struct message *m) {
    return m->role == ROLE_SYSTEM || m->role == ROLE_DEVELOPER;
}

static bool is_result(const struct message *m) {
    return m->role == ROLE_TOOL || m->role == ROLE_FUNCTION;
}

static bool is_reasoning(const struct part *p) {
    return p->kind == PART_REASONING || p->kind == PART_REDACTED;
}

static bool is_call(const struct part *p) {
    return p->kind == PART_TOOL_CALL || p->kind == PART_CUSTOM_TOOL_CALL ||
           p->kind == PART_FUNCTION_CALL;
}

/* Unsigned reasoning is for servers that do not verify it and want it back. */
static bool takes_unsigned(const struct messages_writer *x) {
    return x->caps->family == PROOF_NONE && x->caps->reasoning_history != REASONING_NOT_TAKEN;
}

/* Whether a block comes of it. */
static bool is_said(const struct messages_writer *x, const struct part *p) {
    switch (p->kind) {
    case PART_TEXT:
    case PART_REFUSAL: return !is_blank(p->text);
    case PART_REASONING: return p->proof.len > 0 || (takes_unsigned(x) && !is_blank(p->text));
    case PART_REDACTED: return p->proof.len > 0;
    case PART_OPAQUE: return x->is_native && p->raw.len > 0;
    default: return true;
    }
}

static bool says_something(const struct messages_writer *x, const struct message *m) {
    for (unsigned i = 0; i < m->n_parts; i++) {
        const struct part *p = &m->parts[i];
        if (is_said(x, p) && !(is_reasoning(p) && !x->is_native)) return true;
    }
    return false;
}

/* ---- faults ---- */

static void refuse(struct messages_writer *x, const char *code, const char *why,
                   struct slice what) {
    bool is_responses = x->rq->origin && strcmp(x->rq->origin, "responses") == 0;
    if (x->refused) return;
    x->refused = request_refuse(x->fault, code, is_responses ? "input" : "messages", why,
                                (int)(what.len < 64 ? what.len : 64), what.ptr ? what.ptr : "");
}

/* ---- blocks ---- */

static void begin_block(struct messages_writer *x, const char *type) {
    messages_w_element(x);
    messages_w_open(x, "{");
    messages_w_string(x, "type", slice_cstr(type));
}

static void note_extras(struct messages_writer *x, const char *where, const struct field *f) {
    for (; f; f = f->next) {
        if (f->is_understood || !messages_is_said(f->value) ||
            slice_eq(f->key, SLICE("cache_control"))) {
            continue;
        }
        messages_drop(x, arena_printf(x->a, "%s.%.*s", where,
                                      (int)(f->key.len < 64 ? f->key.len : 64), f->key.ptr));
    }
}

/* cache: of the message around it, for its last block. */
static void end_block(struct messages_writer *x, const struct part *p, struct slice cache) {
    struct slice own = messages_cache_control(p->extras);
    if (x->is_native) {
        messages_w_fields(x, p->extras);
    } else {
        note_extras(x, "messages[].content[]", p->extras);
        if (own.ptr || cache.ptr) {
            messages_w_key(x, "cache_control");
            jw_raw(&x->w, own.ptr ? own : cache);
        }
    }
    messages_w_close(x, "}");
}

static void w_text(struct messages_writer *x, const struct part *p, struct slice text,
                   struct slice cache) {
    begin_block(x, "text");
    messages_w_string(x, "text", text);
    end_block(x, p, cache);
}

static void begin_source(struct messages_writer *x, const char *type) {
    messages_w_key(x, "source");
    messages_w_open(x, "{");
    messages_w_string(x, "type", slice_cstr(type));
}

static void w_source_base64(struct messages_writer *x, struct slice media_type, struct slice data) {
    begin_source(x, "base64");
    messages_w_string(x, "media_type", media_type);
    messages_w_string(x, "data", data);
    messages_w_close(x, "}");
}

static void w_source_one(struct messages_writer *x, const char *type, const char *name,
                         struct slice value) {
    begin_source(x, type);
    messages_w_string(x, name, value);
    messages_w_close(x, "}");
}

static void w_source_text(struct messages_writer *x, struct slice text) {
    begin_source(x, "text");
    messages_w_string(x, "media_type", SLICE("text/plain"));
    messages_w_string(x, "data", text);
    messages_w_close(x, "}");
}

static void w_file_id(struct messages_writer *x, struct slice id) {
    if (!x->is_native) {
        refuse(x, "unsupported_parameter",
               "The file '%.*s' lies at another provider: send its content instead of its id.", id);
    }
    w_source_one(x, "file", "file_id", id);
}

static void w_url(struct messages_writer *x, struct slice url) {
    if (!x->is_native && !x->caps->images_by_url) {
        refuse(x, "unsupported_parameter",
               "This model's provider does not fetch URLs ('%.*s'): send the content as a data: "
               "URL.",
               url);
    }
    w_source_one(x, "url", "url", url);
}

static bool is_data_url(struct slice s) {
    return slice_eq_nocase(slice_sub(s, 0, 5), SLICE("data:"));
}

static bool ends_with(struct slice s, const char *suffix) {
    struct slice end = slice_cstr(suffix);
    return s.len >= end.len && slice_eq_nocase(slice_from(s, s.len - end.len), end);
}

static bool is_text_type(struct slice type) {
    return slice_starts_with(type, SLICE("text/")) || slice_eq(type, SLICE("application/json")) ||
           slice_eq(type, SLICE("application/xml")) || slice_eq(type, SLICE("application/yaml")) ||
           ends_with(type, "+json") || ends_with(type, "+xml");
}

static struct slice type_by_name(struct slice filename) {
    static const char *const texts[] = {".txt", ".md", ".csv", ".json", ".xml", ".html", ".yaml"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (ends_with(filename, texts[i])) return SLICE("text/plain");
    }
    return SLICE("application/pdf");
}

static void end_document(struct messages_writer *x, const struct part *p, struct slice cache) {
    if (p->filename.len > 0) messages_w_string(x, "title", p->filename);
    if (p->context.len > 0) messages_w_string(x, "context", p->context);
    end_block(x, p, cache);
}

/* The content itself: an image, a PDF, or text. */
static void w_data(struct messages_writer *x, const struct part *p, const struct messages_data *d,
                   struct slice cache) {
    if (slice_starts_with(d->media_type, SLICE("image/"))) {
        begin_block(x, "image");
        w_source_base64(x, d->media_type, messages_data_base64(d, x->a));
        end_block(x, p, cache);
        return;
    }
    begin_block(x, "document");
    if (slice_eq(d->media_type, SLICE("application/pdf"))) {
        w_source_base64(x, d->media_type, messages_data_base64(d, x->a));
    } else if (is_text_type(d->media_type)) {
        struct slice text = messages_data_bytes(d, x->a);
        if (!text.ptr)
            refuse(x, "invalid_value", "The content of the file '%.*s' is no base64.", p->filename);
        w_source_text(x, text);
    } else {
        refuse(x, "unsupported_parameter",
               "Files of type '%.*s' cannot be sent to this model's provider: send a PDF, an image "
               "or plain text.",
               d->media_type);
    }
    end_document(x, p, cache);
}

static bool read_data(struct messages_writer *x, struct slice url, struct messages_data *out) {
    if (messages_data_read(url, x->a, out)) return true;
    refuse(x, "invalid_value", "Not a data: URL: '%.*s'.", url);
    return false;
}

static void w_image(struct messages_writer *x, const struct part *p, struct slice cache) {
    struct messages_data d;
    if (p->detail.len > 0) messages_drop(x, "messages[].content[].detail");
    if (is_data_url(p->url)) {
        if (!read_data(x, p->url, &d)) return;
        if (d.media_type.len == 0) d.media_type = SLICE("image/jpeg");
        w_data(x, p, &d, cache);
        return;
    }
    begin_block(x, "image");
    if (p->encoded.ptr)
        w_source_base64(x, p->media_type, p->encoded);
    else if (p->url.ptr)
        w_url(x, p->url);
    else
        w_file_id(x, p->file_id);
    end_block(x, p, cache);
}

static void w_file(struct messages_writer *x, const struct part *p, struct slice cache) {
    struct messages_data d = {.media_type = p->media_type, .data = p->encoded, .is_base64 = true};
    struct slice inline_url = is_data_url(p->encoded) ? p->encoded : p->url;
    bool is_inline = is_data_url(inline_url);
    if (is_inline && !read_data(x, inline_url, &d)) return;
    if (is_inline || p->encoded.ptr) {
        bool is_unsaid =
            d.media_type.len == 0 || slice_eq(d.media_type, SLICE("application/octet-stream"));
        if (is_unsaid) d.media_type = type_by_name(p->filename);
        w_data(x, p, &d, cache);
        return;
    }
    begin_block(x, "document");
    if (p->text.ptr)
        w_source_text(x, p->text);
    else if (p->url.ptr)
        w_url(x, p->url);
    else
        w_file_id(x, p->file_id);
    end_document(x, p, cache);
}

static void w_reasoning(struct messages_writer *x, const struct part *p) {
    begin_block(x, "thinking");
    messages_w_string(x, "thinking", p->text.ptr ? p->text : SLICE(""));
    messages_w_string(x, "signature", p->proof.ptr ? p->proof : SLICE(""));
    messages_w_close(x, "}");
}

static void w_redacted(struct messages_writer *x, const struct part *p) {
    begin_block(x, "redacted_thinking");
    messages_w_string(x, "data", p->proof);
    messages_w_close(x, "}");
}

static void w_call(struct messages_writer *x, const struct part *p, struct slice id,
                   struct slice cache) {
    begin_block(x, "tool_use");
    messages_w_string(x, "id", id);
    messages_w_string(x, "name", p->name.ptr ? p->name : SLICE(""));
    messages_w_key(x, "input");
    if (p->kind == PART_CUSTOM_TOOL_CALL) {
        messages_w_open(x, "{");
        messages_w_string(x, "input", p->text.ptr ? p->text : SLICE(""));
        messages_w_close(x, "}");
    } else {
        messages_w_arguments(&x->w, p->text, x->a);
    }
    end_block(x, p, cache);
}

/* Any part but calls and results. */
static void w_part(struct messages_writer *x, const struct part *p, struct slice cache) {
    switch (p->kind) {
    case PART_TEXT:
    case PART_REFUSAL: w_text(x, p, p->text, cache); break;
    case PART_IMAGE: w_image(x, p, cache); break;
    case PART_FILE: w_file(x, p, cache); break;
    case PART_REASONING: w_reasoning(x, p); break;
    case PART_REDACTED: w_redacted(x, p); break;
    case PART_AUDIO:
        refuse(x, "unsupported_parameter", "Audio cannot be sent to this model's provider.%.*s",
               SLICE(""));
        break;
    default: break;
    }
}

/* ---- our own dialect ---- */

static bool is_inside(struct slice inner, struct slice outer) {
    return inner.len > 0 && inner.len < outer.len && inner.ptr >= outer.ptr &&
           inner.ptr + inner.len <= outer.ptr + outer.len;
}

static void native_parts(struct messages_writer *x, const struct part *parts, unsigned n);

static void native_result(struct messages_writer *x, const struct part *p) {
    begin_block(x, "tool_result");
    messages_w_string(x, "tool_use_id", p->id);
    messages_w_key(x, "content");
    if (p->n_inner > 0) {
        messages_w_open(x, "[");
        native_parts(x, p->inner, p->n_inner);
        messages_w_close(x, "]");
    } else {
        jw_string(&x->w, p->text);
    }
    if (p->is_error) {
        messages_w_key(x, "is_error");
        messages_w_text(x, "true");
    }
    end_block(x, p, SLICE_NULL);
}

static void native_parts(struct messages_writer *x, const struct part *parts, unsigned n) {
    struct slice written = SLICE_NULL;
    for (unsigned i = 0; i < n; i++) {
        const struct part *p = &parts[i];
        if (is_inside(p->raw, written)) continue; /* an image of the document before it */
        if (p->raw.len > 0) {
            messages_w_element(x);
            jw_raw(&x->w, p->raw);
            written = p->raw;
        } else if (p->kind == PART_TOOL_RESULT) {
            native_result(x, p);
        } else if (is_call(p)) {
            w_call(x, p, p->id, SLICE_NULL);
        } else {
            w_part(x, p, SLICE_NULL);
        }
    }
}

static void native_string(struct messages_writer *x, const struct message *m) {
    messages_w_text(x, "\"");
    for (unsigned i = 0; i < m->n_parts; i++)
        jw_escaped(&x->w, m->parts[i].text);
    messages_w_text(x, "\"");
}

static void native_system(struct messages_writer *x) {
    const struct message *only = NULL;
    unsigned n = 0;
    for (const struct message *m = x->rq->messages; m; m = m->next) {
        if (!m->is_instructions) continue;
        only = m;
        n++;
    }
    if (n == 0) return;
    messages_w_key(x, "system");
    if (n == 1 && only->content_is_string) {
        native_string(x, only);
        return;
    }
    messages_w_open(x, "[");
    for (const struct message *m = x->rq->messages; m; m = m->next) {
        if (m->is_instructions) native_parts(x, m->parts, m->n_parts);
    }
    messages_w_close(x, "]");
}

static const char *native_role(const struct message *m) {
    if (m->role == ROLE_ASSISTANT) return "assistant";
    return is_system(m) ? "system" : "user";
}

/* One turn of the wire; returns its last message. */
static const struct message *native_turn(struct messages_writer *x, const struct message *m) {
    messages_w_element(x);
    messages_w_open(x, "{");
    messages_w_string(x, "role", slice_cstr(native_role(m)));
    messages_w_key(x, "content");
    if (m->content_is_string && m->role != ROLE_TOOL) {
        native_string(x, m);
        messages_w_fields(x, m->extras);
        messages_w_close(x, "}");
        return m;
    }
    const struct field *extras = m->extras;
    messages_w_open(x, "[");
    native_parts(x, m->parts, m->n_parts);
    for (const struct message *next = m->next; next && m->role == ROLE_TOOL; next = m->next) {
        bool is_rest = next->role == ROLE_USER && !next->content_is_string;
        if (next->extras || !(next->role == ROLE_TOOL || is_rest)) break;
        m = next;
        native_parts(x, m->parts, m->n_parts);
    }
    messages_w_close(x, "]");
    messages_w_fields(x, extras);
    messages_w_close(x, "}");
    return m;
}

static void native_turns(struct messages_writer *x) {
    native_system(x);
    messages_w_key(x, "messages");
    messages_w_open(x, "[");
    for (const struct message *m = x->rq->messages; m; m = m->next) {
        if (!m->is_instructions) m = native_turn(x, m);
    }
    messages_w_close(x, "]");
}

/* ---- from other dialects: the order ---- */

/* Parts that no block can say. Of the assistant's they were its provider's own affair, of the
 * others' they are what the question is about. */
static void check_opaque(struct messages_writer *x, enum role role, const struct part *parts,
                         unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        check_opaque(x, role, parts[i].inner, parts[i].n_inner);
        if (parts[i].kind != PART_OPAQUE || parts[i].raw.len == 0) continue;
        if (role == ROLE_ASSISTANT) {
            messages_drop(x, "messages[].content");
            continue;
        }
        refuse(x, "unsupported_parameter",
               "Content of type '%.*s' cannot be sent to this model's provider.",
               json_member_string(parts[i].raw, SLICE("type"), x->a));
    }
}

static void note_message(struct messages_writer *x, const struct message *m) {
    check_opaque(x, m->role, m->parts, m->n_parts);
    note_extras(x, "messages[]", m->extras);
    if (m->name.len > 0 && !is_result(m)) messages_drop(x, "messages[].name");
}

/* A run of the assistant's that says nothing (reasoning alone cannot end a turn) is left out. */
static const struct message *take_assistant(struct turns *t, const struct message *m) {
    const struct message *last = m;
    bool is_heard = false;
    for (const struct message *n = m; n && n->role == ROLE_ASSISTANT; n = n->next) {
        is_heard |= says_something(t->x, n);
        last = n;
    }
    for (; is_heard; m = m->next) {
        t->list[t->n++] = m;
        if (m == last) break;
    }
    return last;
}

/* Positions of calls, by which results are put in order. Many are left as they came: looking each
 * up would take too long. */
#define ORDERED_MAX 256

static bool answers(const struct message *m, const struct part *call) {
    return m->role == ROLE_TOOL && m->n_parts > 0 && call->id.len > 0 &&
           slice_eq(m->parts[0].id, call->id);
}

/* list[from, to): results; the calls are in the run of the assistant's before. */
static void order_results(struct turns *t, unsigned from, unsigned to) {
    unsigned first = from, done = from;
    if (to - from < 2 || to - from > ORDERED_MAX) return;
    while (first > 0 && t->list[first - 1]->role == ROLE_ASSISTANT)
        first--;
    for (unsigned i = first; i < from; i++) {
        for (unsigned p = 0; p < t->list[i]->n_parts && done < to; p++) {
            if (!is_call(&t->list[i]->parts[p])) continue;
            unsigned at = done;
            while (at < to && !answers(t->list[at], &t->list[i]->parts[p]))
                at++;
            if (at == to) continue;
            const struct message *m = t->list[at];
            memmove(&t->list[done + 1], &t->list[done], (at - done) * sizeof *t->list);
            t->list[done++] = m;
        }
    }
}

/* Between two turns of the assistant's: results, then the rest in its order. */
static const struct message *take_others(struct turns *t, const struct message *m) {
    const struct message *first = m, *last = m;
    unsigned from = t->n;
    for (; m && m->role != ROLE_ASSISTANT; m = m->next) {
        if (is_result(m)) t->list[t->n++] = m;
        last = m;
    }
    order_results(t, from, t->n);
    for (m = first;; m = m->next) {
        bool is_silent = is_system(m) && !says_something(t->x, m);
        if (!is_result(m) && !is_silent) t->list[t->n++] = m;
        if (m == last) return last;
    }
}

/* A system text that says nothing does not part two turns of the assistant's either. */
static void collect(struct turns *t) {
    struct messages_writer *x = t->x;
    const struct message *m = x->rq->messages;
    t->list = arena_alloc(x->a, (x->rq->n_messages + 1) * sizeof *t->list);
    t->lead = arena_alloc(x->a, (x->rq->n_messages + 1) * sizeof *t->lead);
    t->legacy = arena_alloc(x->a, (x->rq->n_messages + 1) * sizeof *t->legacy);
    for (const struct message *n = m; n; n = n->next)
        note_message(x, n);
    for (; m && (is_system(m) || (m->role == ROLE_ASSISTANT && !says_something(x, m)));
         m = m->next) {
        if (is_system(m) && says_something(x, m)) t->lead[t->n_lead++] = m;
    }
    while (m) {
        m = m->role == ROLE_ASSISTANT ? take_assistant(t, m) : take_others(t, m);
        m = m->next;
    }
}

/* ---- from other dialects: turns ---- */

/* `cache`: for the last block of the message. */
static struct slice cache_for(const struct messages_writer *x, const struct message *m,
                              unsigned i) {
    for (unsigned later = i + 1; later < m->n_parts; later++) {
        if (is_said(x, &m->parts[later])) return SLICE_NULL;
    }
    return messages_cache_control(m->extras);
}

static void w_system_texts(struct messages_writer *x, const struct message *m) {
    for (unsigned i = 0; i < m->n_parts; i++) {
        const struct part *p = &m->parts[i];
        if (p->kind == PART_TEXT && is_said(x, p)) w_text(x, p, p->text, cache_for(x, m, i));
    }
}

static void w_system_as_user(struct messages_writer *x, const struct message *m) {
    struct buf b;
    for (unsigned i = 0; i < m->n_parts; i++) {
        const struct part *p = &m->parts[i];
        if (p->kind != PART_TEXT || !is_said(x, p)) continue;
        buf_init(&b, p->text.len + 32);
        if (buf_append(&b, SLICE("<system>")) || buf_append(&b, p->text) ||
            buf_append(&b, SLICE("</system>"))) {
            x->w.rc = -ERR_LIMIT;
        }
        w_text(x, p, buf_slice(&b), cache_for(x, m, i));
        buf_dispose(&b);
    }
}

static struct slice legacy_id(struct turns *t, const struct part *call) {
    struct legacy_call *c = &t->legacy[t->n_legacy];
    if (t->n_legacy >= t->x->rq->n_messages) return SLICE("call_legacy");
    c->name = call->name;
    c->id = slice_cstr(arena_printf(t->x->a, "call_legacy_%u", t->n_legacy));
    t->n_legacy++;
    return c->id;
}

/* The newest call of that name that has no answer yet. */
static struct slice legacy_answered(struct turns *t, struct slice name) {
    for (unsigned i = t->n_legacy; i > 0 && i + 64 > t->n_legacy; i--) {
        struct legacy_call *c = &t->legacy[i - 1];
        if (c->is_answered || !slice_eq(c->name, name)) continue;
        c->is_answered = true;
        return c->id;
    }
    return SLICE_NULL;
}

static struct slice result_id(struct turns *t, const struct message *m) {
    if (m->role == ROLE_FUNCTION) return legacy_answered(t, m->name);
    return m->n_parts > 0 ? m->parts[0].id : SLICE_NULL;
}

static bool is_text_result(const struct part *p) {
    return p->n_inner == 0 && (p->kind == PART_TOOL_RESULT || p->kind == PART_TEXT);
}

static void w_result_blocks(struct messages_writer *x, const struct message *m) {
    messages_w_open(x, "[");
    for (unsigned i = 0; i < m->n_parts; i++) {
        const struct part *p = &m->parts[i];
        if (is_text_result(p) && !is_blank(p->text))
            w_text(x, p, p->text, SLICE_NULL);
        else if (p->kind != PART_TOOL_RESULT && is_said(x, p))
            w_part(x, p, SLICE_NULL);
        for (unsigned k = 0; k < p->n_inner; k++) {
            if (is_said(x, &p->inner[k])) w_part(x, &p->inner[k], SLICE_NULL);
        }
    }
    messages_w_close(x, "]");
}

static void w_result(struct messages_writer *x, const struct message *m, struct slice id,
                     struct slice cache) {
    const struct part none = {.kind = PART_TOOL_RESULT};
    const struct part *only = m->n_parts > 0 ? &m->parts[0] : &none;
    bool is_one = m->n_parts <= 1 && is_text_result(only), is_error = false;
    for (unsigned i = 0; i < m->n_parts; i++)
        is_error |= m->parts[i].is_error;
    begin_block(x, "tool_result");
    messages_w_string(x, "tool_use_id", id.ptr ? id : SLICE(""));
    messages_w_key(x, "content");
    if (is_one)
        jw_string(&x->w, only->text);
    else
        w_result_blocks(x, m);
    if (is_error) {
        messages_w_key(x, "is_error");
        messages_w_text(x, "true");
    }
    end_block(x, is_one ? only : &none, cache);
}

/* A function's answer that no call asked for. */
static void w_orphan(struct messages_writer *x, const struct message *m) {
    for (unsigned i = 0; i < m->n_parts; i++) {
        if (is_said(x, &m->parts[i])) w_part(x, &m->parts[i], SLICE_NULL);
    }
}

static void w_user_message(struct turns *t, const struct message *m) {
    struct messages_writer *x = t->x;
    if (is_system(m)) {
        w_system_as_user(x, m);
    } else if (is_result(m)) {
        struct slice id = result_id(t, m);
        if (m->role == ROLE_FUNCTION && !id.ptr)
            w_orphan(x, m);
        else
            w_result(x, m, id, messages_cache_control(m->extras));
    } else {
        for (unsigned i = 0; i < m->n_parts; i++) {
            if (is_said(x, &m->parts[i])) w_part(x, &m->parts[i], cache_for(x, m, i));
        }
    }
}

static void w_assistant_part(struct turns *t, const struct message *m, unsigned i) {
    struct messages_writer *x = t->x;
    const struct part *p = &m->parts[i];
    struct slice cache = cache_for(x, m, i);
    if (p->kind == PART_FUNCTION_CALL)
        w_call(x, p, legacy_id(t, p), cache);
    else if (is_call(p))
        w_call(x, p, p->id, cache);
    else if (p == t->prefill)
        w_text(x, p, without_tail(p->text), cache);
    else
        w_part(x, p, cache);
}

/* Texts first, calls last (1.7). */
static void w_assistant_turn(struct turns *t, unsigned from, unsigned to) {
    for (unsigned calls = 0; calls < 2; calls++) {
        for (unsigned k = from; k < to; k++) {
            const struct message *m = t->list[k];
            for (unsigned i = 0; i < m->n_parts; i++) {
                const struct part *p = &m->parts[i];
                if (is_call(p) == (calls == 1) && is_said(t->x, p)) w_assistant_part(t, m, i);
            }
        }
    }
}

static const char *role_of(const struct turns *t, const struct message *m) {
    if (m->role == ROLE_ASSISTANT) return "assistant";
    return is_system(m) && t->x->caps->system_in_messages ? "system" : "user";
}

static void w_literal_turn(struct messages_writer *x, const char *text) {
    messages_w_element(x);
    messages_w_open(x, "{");
    messages_w_string(x, "role", SLICE("user"));
    messages_w_string(x, "content", slice_cstr(text));
    messages_w_close(x, "}");
}

/* The turn's only text, which came as a string; NULL: it is something else. */
static const struct part *plain_text(const struct turns *t, unsigned from, unsigned to) {
    const struct message *m = t->list[from];
    bool is_plain = to - from == 1 && m->content_is_string && m->n_parts == 1 &&
                    (m->role == ROLE_USER || m->role == ROLE_ASSISTANT) &&
                    m->parts[0].kind == PART_TEXT && is_said(t->x, &m->parts[0]) &&
                    !messages_cache_control(m->extras).ptr;
    return is_plain ? &m->parts[0] : NULL;
}

static void w_turn(struct turns *t, const char *role, unsigned from, unsigned to) {
    struct messages_writer *x = t->x;
    const struct part *plain = plain_text(t, from, to);
    messages_w_element(x);
    messages_w_open(x, "{");
    messages_w_string(x, "role", slice_cstr(role));
    messages_w_key(x, "content");
    if (plain) {
        jw_string(&x->w, plain == t->prefill ? without_tail(plain->text) : plain->text);
        messages_w_close(x, "}");
        return;
    }
    messages_w_open(x, "[");
    if (*role == 'a') w_assistant_turn(t, from, to);
    for (unsigned k = from; k < to && *role == 'u'; k++)
        w_user_message(t, t->list[k]);
    for (unsigned k = from; k < to && *role == 's'; k++)
        w_system_texts(x, t->list[k]);
    if (!x->has_member) messages_w_text(x, "{\"type\":\"text\",\"text\":\".\"}");
    messages_w_close(x, "]");
    messages_w_close(x, "}");
}

/* The last text of a last turn of the assistant's, when the upstream goes on from it. */
static void settle_prefill(struct turns *t) {
    struct messages_writer *x = t->x;
    bool is_thinking = x->thinking >= MESSAGES_THINKING_ADAPTIVE;
    if (!x->caps->prefill || is_thinking || x->sends_format) return;
    for (unsigned k = t->n; k > 0 && t->list[k - 1]->role == ROLE_ASSISTANT; k--) {
        const struct message *m = t->list[k - 1];
        for (unsigned i = m->n_parts; i > 0; i--) {
            const struct part *p = &m->parts[i - 1];
            if (is_call(p)) return; /* a turn that ends in a call is no beginning of a text */
            if (!t->prefill && is_said(x, p) && !is_reasoning(p)) t->prefill = p;
        }
    }
}

static void w_system(struct turns *t) {
    struct messages_writer *x = t->x;
    if (t->n_lead == 0 && x->format_line.len == 0) return;
    messages_w_key(x, "system");
    messages_w_open(x, "[");
    for (unsigned i = 0; i < t->n_lead; i++)
        w_system_texts(x, t->lead[i]);
    if (x->format_line.len > 0) {
        begin_block(x, "text");
        messages_w_string(x, "text", x->format_line);
        messages_w_close(x, "}");
    }
    messages_w_close(x, "]");
}

/* Nothing but system texts: the last of them is the question. */
static void w_question(struct turns *t, const struct message *m) {
    struct messages_writer *x = t->x;
    if (!m) {
        w_literal_turn(x, ".");
        return;
    }
    messages_w_element(x);
    messages_w_open(x, "{");
    messages_w_string(x, "role", SLICE("user"));
    messages_w_key(x, "content");
    messages_w_open(x, "[");
    w_system_texts(x, m);
    messages_w_close(x, "]");
    messages_w_close(x, "}");
}

static void foreign_turns(struct messages_writer *x) {
    struct turns t = {.x = x};
    const struct message *question = NULL;
    collect(&t);
    if (t.n == 0 && t.n_lead > 0) question = t.lead[--t.n_lead];
    settle_prefill(&t);
    w_system(&t);
    messages_w_key(x, "messages");
    messages_w_open(x, "[");
    if (t.n == 0)
        w_question(&t, question);
    else if (t.list[0]->role == ROLE_ASSISTANT)
        w_literal_turn(x, "(continue)");
    for (unsigned from = 0, to; from < t.n; from = to) {
        const char *role = role_of(&t, t.list[from]);
        for (to = from + 1; to < t.n && *role_of(&t, t.list[to]) == *role;)
            to++;
        w_turn(&t, role, from, to);
    }
    if (t.n > 0 && t.list[t.n - 1]->role == ROLE_ASSISTANT && !t.prefill)
        w_literal_turn(x, "Continue.");
    messages_w_close(x, "]");
}

/* ---- public ---- */

void messages_w_turns(struct messages_writer *x) {
    if (x->is_native)
        native_turns(x);
    else
        foreign_turns(x);
}

/* What the run of the assistant's that starts at m begins with. */
static bool begins_with_reasoning(const struct messages_writer *x, const struct message *m) {
    for (; m && m->role == ROLE_ASSISTANT; m = m->next) {
        for (unsigned i = 0; i < m->n_parts; i++) {
            if (is_said(x, &m->parts[i])) return is_reasoning(&m->parts[i]);
        }
    }
    return true;
}

bool messages_lacks_reasoning(const struct messages_writer *x) {
    const struct message *run = NULL, *before = NULL;
    bool has_result = false;
    for (const struct message *m = x->rq->messages; m; before = m, m = m->next) {
        if (m->role == ROLE_ASSISTANT) {
            if (!before || before->role != ROLE_ASSISTANT) run = m;
            has_result = false;
        }
        has_result |= is_result(m);
    }
    return has_result && run && !begins_with_reasoning(x, run);
}
