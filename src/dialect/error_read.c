/* SPDX-License-Identifier: Apache-2.0 */
/* Every form that is known:
 *
 *   {"error":{"message","type","param","code"}}           OpenAI; code may be a number, or a status
 * in a string
 *   {"error":{"code","message","status"}}, [{"error":…}]  Google
 *   {"error":{"code","message","metadata"}}               OpenRouter, on a chunk with choices, too
 *   {"type":"error","error":{"type","message","details"}} Anthropic
 *   {"object":"error","message","type","code"}            vLLM before
 *   {"error":"text"}, {"message","type"}, {"detail":…}    Ollama, Mistral, FastAPI
 *   a page of HTML, or plain text                         proxies */
#include "dialect/error_read.h"

#include <stdio.h>

#include "dialect/json_text.h"

#define TEXT_MAX_BYTES 1024

/* What JavaScript and Python take for true: they decide whether an SDK raises. */
static bool is_truthy(yyjson_val *v) {
    if (!v || yyjson_is_null(v) || yyjson_is_false(v)) return false;
    if (yyjson_is_str(v)) return json_doc_str(v).len > 0;
    return !yyjson_is_num(v) || yyjson_get_num(v) != 0;
}

static yyjson_val *first_object(yyjson_val *root) {
    return yyjson_is_arr(root) ? yyjson_arr_get_first(root) : root;
}

bool error_is_in(yyjson_val *root, const char *answer_key) {
    yyjson_val *top = first_object(root);
    if (!yyjson_is_obj(top)) return false;
    if (is_truthy(yyjson_obj_get(top, "error"))) return true;
    if (yyjson_obj_get(top, answer_key)) return false;
    struct slice object = json_doc_str(yyjson_obj_get(top, "object")),
                 type = json_doc_str(yyjson_obj_get(top, "type"));
    return slice_eq(object, SLICE("error")) || slice_eq(type, SLICE("error")) ||
           is_truthy(yyjson_obj_get(top, "detail"));
}

static const struct {
    const char *part;
    unsigned status;
} statuses[] = {
    {"insufficient_quota", 429},
    {"rate_limit", 429},
    {"RESOURCE_EXHAUSTED", 429},
    {"billing", 402},
    {"authentication", 401},
    {"invalid_api_key", 401},
    {"UNAUTHENTICATED", 401},
    {"permission", 403},
    {"PERMISSION", 403},
    {"not_found", 404},
    {"NOT_FOUND", 404},
    {"context_length", 400},
    {"invalid", 400},
    {"bad_request", 400},
    {"BadRequest", 400},
    {"INVALID", 400},
    {"content_filter", 400},
    {"overload", 503},
    {"slow_down", 503},
    {"unavailable", 503},
    {"UNAVAILABLE", 503},
    {"timeout", 504},
    {"DEADLINE", 504},
    {"server_error", 500},
    {"api_error", 500},
    {"INTERNAL", 500},
};

static unsigned status_of_word(struct slice word) {
    uint64_t number;
    if (word.len == 3 && slice_to_u64(word, 599, &number) && number >= 400) return (unsigned)number;
    for (size_t i = 0; word.len > 0 && i < sizeof statuses / sizeof *statuses; i++) {
        if (memmem(word.ptr, word.len, statuses[i].part, strlen(statuses[i].part)))
            return statuses[i].status;
    }
    return 0;
}

/* "code" may be a number. */
static struct slice code_text(yyjson_val *code, struct error_scratch *scratch) {
    if (!yyjson_is_int(code)) return json_doc_str(code).len > 0 ? json_doc_str(code) : SLICE_NULL;
    int n = snprintf(scratch->code, sizeof scratch->code, "%lld", (long long)yyjson_get_sint(code));
    return slice_make(scratch->code, (size_t)n);
}

static struct slice first_string(yyjson_val *object, const char *const *keys) {
    for (; *keys; keys++) {
        struct slice s = json_doc_str(yyjson_obj_get(object, *keys));
        if (s.len > 0) return s;
    }
    return SLICE_NULL;
}

static void read_fields(const struct json_doc *d, yyjson_val *object, struct error_scratch *scratch,
                        struct api_error *out) {
    static const char *const messages[] = {"message", "detail", "msg", "error_description", NULL};
    static const char *const types[] = {"type", "status", NULL};
    out->message = first_string(object, messages);
    out->type = first_string(object, types);
    yyjson_val *details = yyjson_obj_get(object, "details");
    out->code = code_text(yyjson_obj_get(object, "code"), scratch);
    if (!out->code.ptr) out->code = code_text(yyjson_obj_get(details, "error_code"), scratch);
    struct slice param = json_doc_str(yyjson_obj_get(object, "param"));
    if (param.len > 0) out->param = param;
    yyjson_val *detail = yyjson_obj_get(object, "detail");
    if (out->message.len == 0 && yyjson_is_ctn(detail))
        out->message = json_doc_member_raw(d, detail);
}

static struct slice cut_text(struct slice s, size_t max) {
    if (s.len <= max) return s;
    while (max > 0 && ((unsigned char)s.ptr[max] & 0xc0) == 0x80)
        max--;
    return slice_sub(s, 0, max);
}

void error_read(const struct json_doc *d, unsigned status, struct error_scratch *scratch,
                struct api_error *out) {
    *out = (struct api_error){.status = status, .raw = d->text};
    yyjson_val *top = d->doc ? first_object(d->doc->root) : NULL,
               *error = yyjson_obj_get(top, "error");
    if (yyjson_is_obj(error)) {
        read_fields(d, error, scratch, out);
        out->raw = json_doc_member_raw(d, error);
    } else if (yyjson_is_obj(top)) {
        read_fields(d, top, scratch, out);
        if (json_doc_str(error).len > 0) out->message = json_doc_str(error);
    } else {
        out->raw = SLICE_NULL;
    }
    if (out->message.len == 0) out->message = cut_text(slice_trim(d->text), TEXT_MAX_BYTES);
    if (out->status == 0) out->status = status_of_word(out->code);
    if (out->status == 0) out->status = status_of_word(out->type);
}

/* ---- bodies ---- */

/* The title of a page, else its text as it is. */
static struct slice page_title(struct slice body) {
    const char *from = memmem(body.ptr, body.len, "<title>", 7);
    if (!from) return body;
    struct slice rest = slice_from(body, (size_t)(from - body.ptr) + 7);
    ptrdiff_t end = slice_index(rest, '<');
    return end > 0 ? slice_trim(slice_sub(rest, 0, (size_t)end)) : body;
}

static struct slice dup_set(struct arena *a, struct slice s) {
    return s.ptr ? arena_dup(a, s) : s;
}

void error_read_body(unsigned status, struct slice body, struct arena *a, struct api_error *out) {
    struct json_doc d;
    struct error_scratch scratch;
    body = slice_trim(body);
    if (json_doc_parse(&d, body, NULL)) {
        *out = (struct api_error){.status = status};
        struct slice text = json_text_is(body, '<') ? page_title(body) : body;
        out->message = arena_dup(a, cut_text(text, TEXT_MAX_BYTES));
    } else {
        error_read(&d, status, &scratch, out);
        out->message = dup_set(a, out->message);
        out->type = dup_set(a, out->type);
        out->code = dup_set(a, out->code);
        out->param = dup_set(a, out->param);
        if (d.own) out->raw = dup_set(a, out->raw); /* no part of the body */
        json_doc_free(&d);
    }
    if (out->message.len == 0) {
        out->message = slice_cstr(
            arena_printf(a, "the upstream answered with status %u and no message", status));
    }
}
