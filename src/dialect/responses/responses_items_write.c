/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to input items (translation.md 2.2, 2.4). A request in our own words goes out as it came
 * where it was not changed. */
#include "dialect/responses/responses-private.h"

#include <stdio.h>

#include "dialect/peek.h"

static bool goes_raw(const struct responses_writer *x, const struct part *p) {
    return x->is_native && p->raw.len > 0;
}

/* What is an item by itself, not content of a message. */
static bool is_item(const struct part *p, bool is_native) {
    switch (p->kind) {
    case PART_REASONING:
    case PART_REDACTED:
    case PART_TOOL_CALL:
    case PART_CUSTOM_TOOL_CALL:
    case PART_FUNCTION_CALL:
    case PART_TOOL_RESULT: return true;
    case PART_OPAQUE: return is_native && !p->message_item;
    default: return false;
    }
}

static void refuse_part(struct responses_writer *x, const char *what) {
    if (x->rc) return;
    x->rc = request_refuse(x->fault, "unsupported_value", "messages",
                           "This model's upstream takes no %s. Leave it out, or use another model.",
                           what);
}

static void drop_opaque(struct responses_writer *x, const struct part *p) {
    char name[64];
    struct slice type = x->t ? json_member_string(p->raw, SLICE("type"), x->t->arena) : SLICE_NULL;
    snprintf(name, sizeof name, "content[].%.*s", (int)(type.len < 40 ? type.len : 40),
             type.ptr ? type.ptr : "");
    if (x->t) translation_drop(x->t, type.len > 0 ? name : "content[]");
}

/* ---- data URLs ---- */

static void base64(struct json_writer *w, struct slice in) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < in.len; i += 3) {
        size_t left = in.len - i;
        const unsigned char *b = (const unsigned char *)in.ptr + i;
        unsigned bits = (unsigned)b[0] << 16 | (left > 1 ? (unsigned)b[1] << 8 : 0) |
                        (left > 2 ? (unsigned)b[2] : 0);
        char four[4] = {digits[bits >> 18], digits[bits >> 12 & 63],
                        left > 1 ? digits[bits >> 6 & 63] : '=',
                        left > 2 ? digits[bits & 63] : '='};
        jw(w, slice_make(four, 4));
    }
}

static void data_url(struct responses_writer *x, const char *name, struct slice media_type,
                     const char *otherwise, struct slice encoded, struct slice plain) {
    responses_w_key(x, name);
    jw(&x->w, SLICE("\"data:"));
    jw_escaped(&x->w, media_type.len > 0 ? media_type : slice_cstr(otherwise));
    jw(&x->w, SLICE(";base64,"));
    if (encoded.ptr)
        jw_escaped(&x->w, encoded);
    else
        base64(&x->w, plain);
    jw(&x->w, SLICE("\""));
}

/* ---- content parts ---- */

static void text_part(struct responses_writer *x, const char *type, struct slice text) {
    responses_w_element(x);
    responses_w_open(x, '{');
    responses_w_string(x, "type", slice_cstr(type));
    responses_w_string(x, slice_eq(slice_cstr(type), SLICE("refusal")) ? "refusal" : "text", text);
    responses_w_close(x, '}');
}

/* Adapting has refused ids of files that are another provider's. */
static void file_id(struct responses_writer *x, const struct part *p, bool has_content) {
    responses_w_string(x, "file_id", p->file_id);
    if (!has_content && !p->file_id.ptr && !x->is_native) refuse_part(x, "files without content");
}

static void image_value(struct responses_writer *x, const struct part *p) {
    if (p->encoded.ptr) {
        data_url(x, "image_url", p->media_type, "image/jpeg", p->encoded, SLICE_NULL);
    } else {
        responses_w_string(x, "image_url", p->url);
    }
    bool has_content = p->encoded.ptr || p->url.ptr;
    if (x->is_native || !has_content) file_id(x, p, has_content);
    if (p->detail.len > 0 || !x->is_native)
        responses_w_string(x, "detail", p->detail.len > 0 ? p->detail : SLICE("auto"));
}

/* A file that comes inside of the request has to have a name. */
static struct slice file_name(const struct responses_writer *x, const struct part *p) {
    if (p->filename.len > 0 || x->is_native) return p->filename;
    if (p->text.ptr) return SLICE("document.txt");
    bool is_pdf = p->media_type.len == 0 || slice_eq(p->media_type, SLICE("application/pdf"));
    return is_pdf ? SLICE("document.pdf") : SLICE("document");
}

static void file_value(struct responses_writer *x, const struct part *p) {
    bool url_is_data = slice_starts_with(p->url, SLICE("data:"));
    bool has_content = p->encoded.ptr || p->text.ptr || p->url.ptr;
    if (x->is_native || !has_content) file_id(x, p, has_content);
    if (p->encoded.ptr || p->text.ptr || url_is_data)
        responses_w_string(x, "filename", file_name(x, p));
    if (x->is_native || slice_starts_with(p->encoded, SLICE("data:"))) {
        responses_w_string(x, "file_data", p->encoded);
    } else if (p->encoded.ptr) {
        data_url(x, "file_data", p->media_type, "application/pdf", p->encoded, SLICE_NULL);
    } else if (p->text.ptr) {
        data_url(x, "file_data", p->media_type, "text/plain", SLICE_NULL, p->text);
    }
    if (p->url.ptr)
        responses_w_string(x, url_is_data && !x->is_native ? "file_data" : "file_url", p->url);
    if (x->is_native) responses_w_string(x, "detail", p->detail);
}

static void audio_value(struct responses_writer *x, const struct part *p) {
    if (!x->is_native) refuse_part(x, "audio");
    responses_w_key(x, "input_audio");
    responses_w_open(x, '{');
    responses_w_string(x, "data", p->encoded);
    responses_w_string(x, "format", p->media_type);
    responses_w_close(x, '}');
}

static const char *type_of_part(const struct part *p, bool is_assistant) {
    switch (p->kind) {
    case PART_IMAGE: return "input_image";
    case PART_FILE: return "input_file";
    case PART_AUDIO: return "input_audio";
    case PART_REFUSAL: return is_assistant ? "refusal" : "input_text";
    default: return is_assistant ? "output_text" : "input_text";
    }
}

static bool is_text(const struct part *p) {
    return p->kind == PART_TEXT || p->kind == PART_REFUSAL;
}

/* Whether the part has something to say here. */
static bool is_content(const struct part *p) {
    return (is_text(p) && p->text.len > 0) || p->kind == PART_IMAGE || p->kind == PART_FILE ||
           p->kind == PART_AUDIO;
}

static void content_part(struct responses_writer *x, const struct part *p, bool is_assistant) {
    const char *type = type_of_part(p, is_assistant);
    if (p->kind == PART_FILE && p->context.len > 0) text_part(x, "input_text", p->context);
    responses_w_element(x);
    responses_w_open(x, '{');
    responses_w_string(x, "type", slice_cstr(type));
    if (p->kind == PART_IMAGE)
        image_value(x, p);
    else if (p->kind == PART_FILE)
        file_value(x, p);
    else if (p->kind == PART_AUDIO)
        audio_value(x, p);
    else
        responses_w_string(x, slice_eq(slice_cstr(type), SLICE("refusal")) ? "refusal" : "text",
                           p->text);
    if (x->is_native)
        responses_w_fields(x, p->extras);
    else
        responses_w_dropped(x, "content[]", p->extras);
    responses_w_close(x, '}');
}

static void content_parts(struct responses_writer *x, const struct part *p, unsigned n,
                          bool is_assistant) {
    for (unsigned i = 0; i < n; i++) {
        if (goes_raw(x, &p[i])) {
            responses_w_element(x);
            jw_raw(&x->w, p[i].raw);
        } else if (p[i].kind == PART_OPAQUE) {
            drop_opaque(x, &p[i]);
        } else if (x->is_native || is_content(&p[i])) {
            content_part(x, &p[i], is_assistant);
        }
    }
}

/* ---- message items ---- */

static const char *role_name(const struct responses_writer *x, enum role role) {
    switch (role) {
    case ROLE_SYSTEM: return x->is_native ? "system" : "developer";
    case ROLE_DEVELOPER: return "developer";
    case ROLE_ASSISTANT: return "assistant";
    default: return "user";
    }
}

/* The texts of a run as one string. */
static void text_member(struct responses_writer *x, const char *name, const struct part *p,
                        unsigned n) {
    responses_w_key(x, name);
    jw(&x->w, SLICE("\""));
    for (unsigned i = 0; i < n; i++)
        if (is_text(&p[i])) jw_escaped(&x->w, p[i].text);
    jw(&x->w, SLICE("\""));
}

static void native_message(struct responses_writer *x, const struct message *m,
                           const struct part *p, unsigned n) {
    const struct responses_item *item = p->message_item;
    bool is_string = item ? item->content_is_string : m->content_is_string;
    responses_w_element(x);
    responses_w_open(x, '{');
    if (item) responses_w_fields(x, item->fields);
    responses_w_string(x, "role", slice_cstr(role_name(x, m->role)));
    if (is_string && n == 1 && p->kind == PART_TEXT) {
        text_member(x, "content", p, n);
    } else {
        responses_w_key(x, "content");
        responses_w_open(x, '[');
        content_parts(x, p, n, m->role == ROLE_ASSISTANT);
        responses_w_close(x, ']');
    }
    responses_w_close(x, '}');
}

/* An item of this dialect without a word in the model, not a part of what somebody says. */
static bool is_own_item(const struct responses_writer *x, const struct part *p) {
    return !p->message_item && x->rq->origin && strcmp(x->rq->origin, dialect_responses.name) == 0;
}

static void foreign_message(struct responses_writer *x, const struct message *m,
                            const struct part *p, unsigned n) {
    bool says_something = false, is_assistant = m->role == ROLE_ASSISTANT;
    for (unsigned i = 0; i < n; i++) {
        says_something |= is_content(&p[i]) && (!is_assistant || is_text(&p[i]));
        if (p[i].kind == PART_OPAQUE && m->role == ROLE_USER && !is_own_item(x, &p[i]))
            refuse_part(x, "content of a type of its own");
        else if (p[i].kind == PART_OPAQUE)
            drop_opaque(x, &p[i]);
    }
    if (!says_something) return;
    responses_w_element(x);
    responses_w_open(x, '{');
    if (!is_assistant) responses_w_string(x, "type", SLICE("message"));
    responses_w_string(x, "role", slice_cstr(role_name(x, m->role)));
    if (is_assistant) {
        text_member(x, "content", p, n);
    } else {
        responses_w_key(x, "content");
        responses_w_open(x, '[');
        content_parts(x, p, n, false);
        responses_w_close(x, ']');
    }
    responses_w_close(x, '}');
}

/* ---- calls and results ---- */

static bool is_blank(struct slice text) {
    return json_text_skip_space(text, 0) == text.len;
}

static void call_id(struct responses_writer *x, struct slice id) {
    char made[32];
    snprintf(made, sizeof made, "call_%u", x->n_legacy);
    responses_w_string(x, "call_id", id.len > 0 ? id : slice_cstr(made));
}

static void call_item(struct responses_writer *x, const struct part *p, bool keeps_id) {
    bool is_custom = p->kind == PART_CUSTOM_TOOL_CALL;
    if (p->id.len == 0) x->n_legacy++;
    responses_w_open(x, '{');
    responses_w_string(x, "type", slice_cstr(is_custom ? "custom_tool_call" : "function_call"));
    if (keeps_id && p->item_id.len > 0) responses_w_string(x, "id", p->item_id);
    call_id(x, p->id);
    if (p->name_space.len > 0) responses_w_string(x, "namespace", p->name_space);
    responses_w_string(x, "name", p->name.ptr ? p->name : SLICE(""));
    if (is_custom)
        responses_w_string(x, "input", p->text.ptr ? p->text : SLICE(""));
    else
        responses_w_string(x, "arguments",
                           is_blank(p->text) && !x->is_native ? SLICE("{}") : p->text);
    if (x->is_native)
        responses_w_fields(x, p->extras);
    else
        responses_w_dropped(x, "tool_calls[]", p->extras);
    responses_w_close(x, '}');
}

static bool is_media(const struct part *p) {
    return p->kind == PART_IMAGE || p->kind == PART_FILE || p->kind == PART_AUDIO;
}

/* A result's texts and media, whether they stand in it or beside it in its message. */
struct result {
    const struct part *parts;
    unsigned n;
    bool has_media, is_error, is_custom, needs_prefix;
    unsigned n_texts;
};

static struct result result_of(const struct part *p, unsigned n) {
    struct result res = {.parts = p, .n = n};
    for (unsigned i = 0; i < n; i++) {
        res.has_media |= is_media(&p[i]);
        res.is_error |= p[i].is_error;
        res.is_custom |= p[i].is_custom;
        for (unsigned k = 0; k < p[i].n_inner; k++)
            res.has_media |= is_media(&p[i].inner[k]);
    }
    res.needs_prefix = res.is_error;
    return res;
}

static void result_text(struct responses_writer *x, struct result *res, struct slice text) {
    bool prefix = res->needs_prefix && !slice_starts_with(text, SLICE("Error: "));
    res->needs_prefix = false;
    if (res->has_media) {
        if (!prefix && text.len == 0) return;
        responses_w_element(x);
        responses_w_open(x, '{');
        responses_w_string(x, "type", SLICE("input_text"));
        responses_w_key(x, "text");
        jw(&x->w, SLICE("\""));
    } else if (res->n_texts++ > 0) {
        jw(&x->w, SLICE("\\n"));
    }
    if (prefix) jw(&x->w, SLICE("Error: "));
    jw_escaped(&x->w, text);
    if (!res->has_media) return;
    jw(&x->w, SLICE("\""));
    responses_w_close(x, '}');
}

static void result_piece(struct responses_writer *x, struct result *res, const struct part *p) {
    if (is_media(p)) {
        if (res->needs_prefix) result_text(x, res, SLICE(""));
        content_part(x, p, false);
    } else if (p->kind == PART_OPAQUE) {
        drop_opaque(x, p);
    } else if (p->text.ptr) {
        result_text(x, res, p->text);
    }
}

static void foreign_output(struct responses_writer *x, struct result *res) {
    responses_w_key(x, "output");
    if (res->has_media)
        responses_w_open(x, '[');
    else
        jw(&x->w, SLICE("\""));
    for (unsigned i = 0; i < res->n; i++) {
        const struct part *p = &res->parts[i];
        if (p->kind != PART_TOOL_RESULT || p->n_inner == 0) result_piece(x, res, p);
        for (unsigned k = 0; k < p->n_inner; k++)
            result_piece(x, res, &p->inner[k]);
    }
    if (res->needs_prefix) result_text(x, res, SLICE(""));
    if (res->has_media)
        responses_w_close(x, ']');
    else
        jw(&x->w, SLICE("\""));
}

/* A tool's message: one result, whatever number of parts it has. */
static void foreign_result(struct responses_writer *x, const struct part *p, unsigned n) {
    struct result res = result_of(p, n);
    responses_w_element(x);
    responses_w_open(x, '{');
    responses_w_string(
        x, "type", slice_cstr(res.is_custom ? "custom_tool_call_output" : "function_call_output"));
    call_id(x, n > 0 ? p->id : SLICE_NULL);
    foreign_output(x, &res);
    for (unsigned i = 0; i < n; i++)
        if (p[i].kind == PART_TOOL_RESULT) responses_w_dropped(x, "content[]", p[i].extras);
    responses_w_close(x, '}');
}

static void native_result(struct responses_writer *x, const struct part *p) {
    responses_w_open(x, '{');
    responses_w_string(
        x, "type", slice_cstr(p->is_custom ? "custom_tool_call_output" : "function_call_output"));
    if (p->item_id.len > 0) responses_w_string(x, "id", p->item_id);
    responses_w_string(x, "call_id", p->id);
    if (p->n_inner > 0) {
        responses_w_key(x, "output");
        responses_w_open(x, '[');
        content_parts(x, p->inner, p->n_inner, false);
        responses_w_close(x, ']');
    } else {
        responses_w_string(x, "output", p->text.ptr ? p->text : SLICE(""));
    }
    responses_w_fields(x, p->extras);
    responses_w_close(x, '}');
}

/* ---- reasoning ---- */

/* Neither goes without the other: an id alone is looked up where nothing was stored. */
static bool is_proven(const struct part *p) {
    return p->proof.len > 0 && p->item_id.len > 0;
}

static bool is_reasoning(const struct part *p) {
    return p->kind == PART_REASONING || p->kind == PART_REDACTED;
}

static void reasoning_item(struct responses_writer *x, const struct part *p, unsigned n) {
    struct slice proof = SLICE_NULL;
    responses_w_open(x, '{');
    responses_w_string(x, "type", SLICE("reasoning"));
    responses_w_string(x, "id", p->item_id);
    responses_w_key(x, "summary");
    responses_w_open(x, '[');
    for (unsigned i = 0; i < n; i++) {
        if (p[i].proof.len > 0) proof = p[i].proof;
        if (p[i].text.len > 0) text_part(x, "summary_text", p[i].text);
    }
    responses_w_close(x, ']');
    responses_w_string(x, "encrypted_content", proof);
    if (x->is_native) responses_w_fields(x, p->extras);
    responses_w_close(x, '}');
}

/* ---- messages ---- */

/* One item from parts[i] on; returns how many parts it took. `lost` becomes true when reasoning was
 * left out: calls that were made with it then lose their item's id, too. */
static unsigned item(struct responses_writer *x, const struct message *m, unsigned i, bool *lost) {
    const struct part *p = &m->parts[i];
    unsigned n = 1;
    if (is_item(p, x->is_native) && goes_raw(x, p)) {
        responses_w_element(x);
        jw_raw(&x->w, p->raw);
    } else if (is_reasoning(p)) {
        while (i + n < m->n_parts && is_reasoning(&p[n]) && p->item_id.len > 0 &&
               slice_eq(p[n].item_id, p->item_id) && !goes_raw(x, &p[n]))
            n++;
        *lost |= !x->is_native && !is_proven(&p[n - 1]);
        if (!x->is_native && !is_proven(&p[n - 1])) return n;
        responses_w_element(x);
        reasoning_item(x, p, n);
    } else if (p->kind == PART_TOOL_RESULT && x->is_native) {
        responses_w_element(x);
        native_result(x, p);
    } else if (p->kind == PART_TOOL_RESULT) {
        foreign_result(x, p, 1);
    } else if (is_item(p, x->is_native)) {
        if (p->kind == PART_OPAQUE) return 1; /* emptied */
        responses_w_element(x);
        call_item(x, p, !*lost);
    } else {
        while (i + n < m->n_parts && !is_item(&p[n], x->is_native) &&
               p[n].message_item == p->message_item)
            n++;
        if (x->is_native)
            native_message(x, m, p, n);
        else
            foreign_message(x, m, p, n);
    }
    return n;
}

static bool is_system(const struct message *m) {
    return m->role == ROLE_SYSTEM || m->role == ROLE_DEVELOPER;
}

/* Where the items begin: behind the leading system texts, unless there is nothing else. */
static const struct message *first_of_items(const struct llm_request *rq, bool is_native) {
    const struct message *m = rq->messages;
    while (m && (is_native ? m->is_instructions : is_system(m)))
        m = m->next;
    return m || is_native ? m : rq->messages;
}

void responses_w_items(struct responses_writer *x) {
    const struct message *m = first_of_items(x->rq, x->is_native);
    for (; m && x->rc == 0; m = m->next) {
        bool lost = false;
        if (!x->is_native) {
            if (m->name.len > 0 && x->t && m->role != ROLE_FUNCTION)
                translation_drop(x->t, "messages[].name");
            responses_w_dropped(x, "messages[]", m->extras);
        }
        if (!x->is_native && (m->role == ROLE_TOOL || m->role == ROLE_FUNCTION)) {
            foreign_result(x, m->parts, m->n_parts);
            continue;
        }
        for (unsigned i = 0; i < m->n_parts;)
            i += item(x, m, i, &lost);
    }
}

unsigned responses_count_items(const struct llm_request *rq) {
    unsigned n = 0;
    for (const struct message *m = first_of_items(rq, true); m; m = m->next) {
        for (unsigned i = 0; i < m->n_parts; i++) {
            const struct part *p = &m->parts[i];
            n += is_item(p, true) || i == 0 || is_item(p - 1, true) ||
                 p->message_item != p[-1].message_item;
        }
    }
    return n;
}

void responses_w_instructions(struct responses_writer *x) {
    const struct message *end = first_of_items(x->rq, x->is_native);
    bool has_any = false;
    if (end == x->rq->messages) return;
    for (const struct message *m = x->rq->messages; m != end; m = m->next) {
        for (unsigned i = 0; i < m->n_parts; i++) {
            const struct part *p = &m->parts[i];
            if (!is_text(p) || (p->text.len == 0 && !x->is_native)) continue;
            if (has_any)
                jw(&x->w, SLICE("\\n"));
            else
                responses_w_key(x, "instructions");
            if (!has_any) jw(&x->w, SLICE("\""));
            jw_escaped(&x->w, p->text);
            has_any = true;
        }
        if (!x->is_native) responses_w_dropped(x, "messages[]", m->extras);
    }
    if (has_any) jw(&x->w, SLICE("\""));
}
