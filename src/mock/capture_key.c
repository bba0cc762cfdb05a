/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/capture_key.h"

#include <inttypes.h>
#include <openssl/sha.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_scan.h"
#include "base/mem.h"
#include "dialect/json_doc.h"
#include "mock/api.h"
#include "mock/completion.h"
#include "mock/mask.h"

enum { NORM_MAX_BYTES = 256 << 20, PLACE_BYTES = 128, SHOWN_BYTES = 48 };

struct norm {
    struct capture_norm *out;
    char place[PLACE_BYTES];
    struct slice *ids;             /* of calls, in order of coming */
    unsigned n_ids, cap_ids;
    struct arena *arena;
    int rc;
};

void capture_norm_init(struct capture_norm *n) {
    buf_init(&n->lines, NORM_MAX_BYTES);
    buf_init(&n->soft, NORM_MAX_BYTES);
}

void capture_norm_dispose(struct capture_norm *n) {
    buf_dispose(&n->lines);
    buf_dispose(&n->soft);
}

/* ---- canonical JSON ---- */

static int put_value(struct buf *out, yyjson_val *v);

static int put_string(struct buf *out, struct slice s) {
    return buf_append_byte(out, '"') | json_escape(out, s) | buf_append_byte(out, '"');
}

static int put_real(struct buf *out, double d) {
    if (d > -9e15 && d < 9e15 && d == (double)(int64_t)d) {
        return buf_appendf(out, "%" PRId64, (int64_t)d);
    }
    return buf_appendf(out, "%.17g", d);
}

static int by_key(const void *a, const void *b) {
    const yyjson_val *x = *(yyjson_val *const *)a, *y = *(yyjson_val *const *)b;
    struct slice p = json_doc_str(x), q = json_doc_str(y);
    int order = memcmp(p.ptr, q.ptr, p.len < q.len ? p.len : q.len);
    return order ? order : p.len < q.len ? -1 : p.len > q.len;
}

static int put_object(struct buf *out, yyjson_val *v) {
    size_t i, n, count = yyjson_obj_size(v);
    yyjson_val *key, *value;
    yyjson_val **keys = mem_alloc((count + 1) * sizeof *keys);
    yyjson_obj_foreach(v, i, n, key, value) {
        keys[i] = key;
    }
    qsort(keys, count, sizeof keys[0], by_key);
    int rc = buf_append_byte(out, '{');
    for (i = 0; i < count && rc == 0; i++) {
        rc = (i ? buf_append_byte(out, ',') : 0) | put_string(out, json_doc_str(keys[i])) |
             buf_append_byte(out, ':') | put_value(out, unsafe_yyjson_get_next(keys[i]));
    }
    mem_free(keys);
    return rc | buf_append_byte(out, '}');
}

/* Nesting is limited by json_doc_parse. */
static int put_value(struct buf *out, yyjson_val *v) {
    size_t i, n;
    yyjson_val *item;
    int rc;
    switch (yyjson_get_type(v)) {
    case YYJSON_TYPE_OBJ: return put_object(out, v);
    case YYJSON_TYPE_ARR:
        rc = buf_append_byte(out, '[');
        yyjson_arr_foreach(v, i, n, item) {
            rc |= (i ? buf_append_byte(out, ',') : 0) | put_value(out, item);
        }
        return rc | buf_append_byte(out, ']');
    case YYJSON_TYPE_STR: return put_string(out, json_doc_str(v));
    case YYJSON_TYPE_BOOL:
        return buf_append(out, yyjson_get_bool(v) ? SLICE("true") : SLICE("false"));
    case YYJSON_TYPE_NUM:
        if (yyjson_is_uint(v)) return buf_appendf(out, "%" PRIu64, yyjson_get_uint(v));
        if (yyjson_is_sint(v)) return buf_appendf(out, "%" PRId64, yyjson_get_sint(v));
        return put_real(out, yyjson_get_real(v));
    case YYJSON_TYPE_RAW: return buf_append(out, slice_make(yyjson_get_raw(v), yyjson_get_len(v)));
    default: return buf_append(out, SLICE("null"));
    }
}

/* What is no JSON as a string. */
static int put_json(struct buf *out, struct slice text) {
    struct json_doc doc;
    struct err ignored;
    if (text.len == 0 || json_doc_parse(&doc, text, &ignored) < 0) {
        return put_string(out, text);
    }
    int rc = put_value(out, doc.doc->root);
    json_doc_free(&doc);
    return rc;
}

/* ---- lines ---- */

static void at(struct norm *n, const char *format, ...) PRINTF_LIKE(2, 3);
static void at(struct norm *n, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(n->place, sizeof n->place, format, args);
    va_end(args);
}

static void line_begin(struct norm *n, struct buf *out, const char *name) {
    n->rc |= buf_appendf(out, "%s%s\t", n->place, name);
}

static void line_text(struct norm *n, const char *name, struct slice text) {
    line_begin(n, &n->out->lines, name);
    n->rc |= put_string(&n->out->lines, text) | buf_append_byte(&n->out->lines, '\n');
}

static void line_json_to(struct norm *n, struct buf *out, const char *name, struct slice json) {
    if (json.len > 0) {
        line_begin(n, out, name);
        n->rc |= put_json(out, json) | buf_append_byte(out, '\n');
    }
}

static void line_json(struct norm *n, const char *name, struct slice json) {
    line_json_to(n, &n->out->lines, name, json);
}

static void line_some(struct norm *n, const char *name, struct slice text) {
    if (text.len > 0) {
        line_text(n, name, text);
    }
}

static void line_int(struct norm *n, struct buf *out, const char *name, int64_t value) {
    line_begin(n, out, name);
    n->rc |= buf_appendf(out, "%" PRId64 "\n", value);
}

/* The first half of the digest. */
static void hash_hex(struct slice bytes, char out[CAPTURE_KEY_BYTES + 1]) {
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)(bytes.ptr ? bytes.ptr : ""), bytes.len, digest);
    for (unsigned i = 0; i < CAPTURE_KEY_BYTES / 2; i++) {
        snprintf(out + (size_t)2 * i, 3, "%02x", digest[i]);
    }
}

static void line_hash(struct norm *n, const char *name, struct slice bytes) {
    char hex[CAPTURE_KEY_BYTES + 1];
    hash_hex(bytes, hex);
    line_text(n, name, slice_cstr(hex));
}

/* ---- messages ---- */

static unsigned id_number(struct norm *n, struct slice id) {
    for (unsigned i = 0; i < n->n_ids; i++) {
        if (slice_eq(n->ids[i], id)) {
            return i;
        }
    }
    if (n->n_ids == n->cap_ids) {
        n->cap_ids = n->cap_ids ? 2 * n->cap_ids : 16;
        n->ids = mem_realloc(n->ids, n->cap_ids * sizeof *n->ids);
    }
    n->ids[n->n_ids] = id;
    return n->n_ids++;
}

/* "data:image/png;base64,…" and the same taken apart are one. */
static void line_media(struct norm *n, const struct part *p) {
    struct slice data = p->encoded.len ? p->encoded : p->url;
    ptrdiff_t comma = slice_starts_with(data, SLICE("data:")) ? slice_index(data, ',') : -1;
    if (comma >= 0) {
        data = slice_from(data, (size_t)comma + 1);
    }
    if (data.len == 0) {
        line_some(n, ".file_id", p->file_id);
        line_some(n, ".text", p->text);
    } else if (data.len > 200 || comma >= 0 || p->encoded.len) {
        line_hash(n, ".data", data);
    } else {
        line_text(n, ".url", data);
    }
}

static void put_call(struct norm *n, const struct part *p) {
    line_int(n, &n->out->lines, ".call", id_number(n, p->id));
    line_text(n, ".name", p->name);
    if (p->kind == PART_CUSTOM_TOOL_CALL) {
        line_text(n, ".input", p->text);
    } else {
        line_json(n, ".arguments", p->text.len ? p->text : SLICE("{}"));
    }
}

static void put_inner(struct norm *n, const struct part *p) {
    switch (p->kind) {
    case PART_TEXT: line_text(n, ".text", p->text); break;
    case PART_REFUSAL: line_text(n, ".refusal", p->text); break;
    case PART_IMAGE:
    case PART_AUDIO:
    case PART_FILE: line_media(n, p); break;
    default: line_json(n, ".part", p->raw); break;
    }
}

static void put_part(struct norm *n, const struct part *p) {
    switch (p->kind) {
    case PART_TOOL_CALL:
    case PART_CUSTOM_TOOL_CALL:
    case PART_FUNCTION_CALL: put_call(n, p); break;
    case PART_TOOL_RESULT:
        line_int(n, &n->out->lines, ".result_of", id_number(n, p->id));
        if (p->is_error) line_text(n, ".is_error", SLICE("true"));
        for (unsigned i = 0; i < p->n_inner; i++) put_inner(n, &p->inner[i]);
        if (p->n_inner == 0) line_text(n, ".text", p->text);
        break;
    case PART_REASONING:
    case PART_REDACTED: break;
    default: put_inner(n, p); break;
    }
}

static const char *role_word(const struct message *m) {
    static const char *const words[] = {
        [ROLE_SYSTEM] = "system",       [ROLE_DEVELOPER] = "system", [ROLE_USER] = "user",
        [ROLE_ASSISTANT] = "assistant", [ROLE_TOOL] = "tool",        [ROLE_FUNCTION] = "tool"};
    return words[m->role];
}

static void put_messages(struct norm *n, const struct llm_request *rq) {
    unsigned i = 0;
    for (const struct message *m = rq->messages; m; m = m->next, i++) {
        at(n, "messages[%u]", i);
        line_text(n, ".role", slice_cstr(role_word(m)));
        for (unsigned k = 0; k < m->n_parts; k++) {
            put_part(n, &m->parts[k]);
        }
    }
}

/* ---- the rest ---- */

static void put_tools(struct norm *n, const struct llm_request *rq) {
    unsigned i = 0;
    for (const struct tool *t = rq->tools; t; t = t->next, i++) {
        at(n, "tools[%u]", i);
        if (t->kind == TOOL_OTHER) {
            line_json(n, "", t->raw);
            continue;
        }
        line_text(n, ".name", t->name);
        line_some(n, ".description", t->description);
        line_json(n, ".parameters", t->parameters);
        line_json(n, ".format", t->format);
    }
    at(n, "tool_choice");
    switch (rq->tool_choice) {
    case TOOL_CHOICE_ABSENT:
    case TOOL_CHOICE_AUTO: break;
    case TOOL_CHOICE_NONE: line_text(n, "", SLICE("none")); break;
    case TOOL_CHOICE_REQUIRED: line_text(n, "", SLICE("required")); break;
    case TOOL_CHOICE_NAMED:
    case TOOL_CHOICE_NAMED_CUSTOM: line_text(n, ".name", rq->tool_choice_name); break;
    case TOOL_CHOICE_ALLOWED:
        for (unsigned k = 0; k < rq->n_allowed; k++) line_text(n, ".allowed", rq->allowed[k]);
        break;
    case TOOL_CHOICE_OTHER: line_json(n, "", rq->tool_choice_raw); break;
    }
}

static void put_sampling(struct norm *n, const struct llm_request *rq) {
    at(n, "%s", "");
    line_json(n, "temperature", rq->temperature);
    line_json(n, "top_p", rq->top_p);
    line_json(n, "top_k", rq->top_k);
    line_json(n, "seed", rq->seed);
    line_json(n, "presence_penalty", rq->presence_penalty);
    line_json(n, "frequency_penalty", rq->frequency_penalty);
    line_json(n, "logit_bias", rq->logit_bias);
    for (unsigned i = 0; i < rq->n_stop; i++) line_text(n, "stop", rq->stop[i]);
    if (rq->env.n != 1) line_int(n, &n->out->lines, "n", rq->env.n);
    if (rq->parallel_tools == 0) line_text(n, "parallel_tool_calls", SLICE("false"));
    if (rq->logprobs == 1) line_int(n, &n->out->lines, "logprobs", rq->top_logprobs);
    if (rq->wants_audio) line_text(n, "modalities", SLICE("audio"));
    if (rq->format.kind == FORMAT_JSON_OBJECT) line_text(n, "format", SLICE("json_object"));
    if (rq->format.kind == FORMAT_JSON_SCHEMA) line_json(n, "format.schema", rq->format.schema);
    line_some(n, "previous_response_id", rq->previous_response_id);
    line_some(n, "conversation", rq->conversation);
    line_json(n, "prompt", rq->prompt);
    line_json(n, "mcp_servers", rq->mcp_servers);
}

static bool is_ignored(struct slice key) {
    static const char *const keys[] = {
        "stream", "stream_options", "user", "metadata", "store", "service_tier",
        "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "cache_control",
        "betas", "include", "truncation", "background", "anthropic_version", "thinking", "output_config", "reasoning",
        "max_tokens", "max_completion_tokens", "max_output_tokens", "model", "messages", "input",
        "tools", "tool_choice", "system", "instructions", "stop", "stop_sequences"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (slice_eq(key, slice_cstr(keys[i]))) {
            return true;
        }
    }
    return false;
}

static int by_field_key(const void *a, const void *b) {
    const struct field *x = *(const struct field *const *)a, *y = *(const struct field *const *)b;
    size_t len = x->key.len < y->key.len ? x->key.len : y->key.len;
    int order = len ? memcmp(x->key.ptr, y->key.ptr, len) : 0;
    return order ? order : x->key.len < y->key.len ? -1 : x->key.len > y->key.len;
}

/* Members that no typed field says. */
static void put_extras(struct norm *n, const struct llm_request *rq) {
    size_t count = 0;
    for (const struct field *f = rq->params; f; f = f->next) count++;
    const struct field **list = mem_alloc((count + 1) * sizeof *list);
    count = 0;
    for (const struct field *f = rq->params; f; f = f->next) {
        if (!f->is_understood && !is_ignored(f->key)) list[count++] = f;
    }
    qsort(list, count, sizeof list[0], by_field_key);
    for (size_t i = 0; i < count; i++) {
        at(n, "%.*s", SLICE_FMT(slice_sub(list[i]->key, 0, 60)));
        line_json(n, "", list[i]->value);
    }
    mem_free(list);
}

static void put_soft(struct norm *n, const struct llm_request *rq) {
    struct buf *soft = &n->out->soft;
    at(n, "%s", "");
    line_int(n, soft, "max_tokens", rq->env.max_tokens);
    line_int(n, soft, "thinking", (int64_t)rq->reasoning.thinking);
    bool has_budget = rq->reasoning.thinking == THINKING_BUDGET;
    line_int(n, soft, "budget", has_budget ? rq->reasoning.budget_tokens : -1);
    line_begin(n, soft, "effort");
    n->rc |= put_string(soft, rq->reasoning.effort) | buf_append_byte(soft, '\n');
    line_begin(n, soft, "verbosity");
    n->rc |= put_string(soft, rq->verbosity) | buf_append_byte(soft, '\n');
}

int capture_norm_request(struct capture_norm *out, const struct llm_request *rq) {
    struct norm n = {.out = out};
    at(&n, "%s", "");
    line_text(&n, "model", rq->env.model);
    put_messages(&n, rq);
    put_tools(&n, rq);
    put_sampling(&n, rq);
    put_extras(&n, rq);
    put_soft(&n, rq);
    mem_free(n.ids);
    return n.rc < 0 ? -ERR_LIMIT : 0;
}

int capture_norm_plain(struct capture_norm *out, struct slice method, struct slice path,
                       struct slice query, struct slice body) {
    struct norm n = {.out = out};
    at(&n, "%s", "");
    line_text(&n, "method", method);
    line_text(&n, "path", path);
    while (query.len > 0) {
        ptrdiff_t amp = slice_index(query, '&');
        struct slice pair = slice_sub(query, 0, amp < 0 ? query.len : (size_t)amp);
        ptrdiff_t equals = slice_index(pair, '=');
        struct slice name = slice_sub(pair, 0, equals < 0 ? pair.len : (size_t)equals);
        if (!mask_is_secret_name(name) && !slice_eq(name, SLICE("key"))) {
            line_text(&n, "query", pair);
        }
        query = slice_from(query, pair.len + 1);
    }
    if (body.len > 0 && (body.ptr[0] == '{' || body.ptr[0] == '[')) {
        line_json(&n, "body", body);
    } else if (body.len > 0) {
        line_hash(&n, "body", body);
    }
    return n.rc < 0 ? -ERR_LIMIT : 0;
}

int capture_norm_body(struct capture_norm *n, const struct dialect *d, struct slice body) {
    struct arena *a = arena_new();
    struct llm_request rq;
    struct request_fault fault;
    int rc = d == &dialect_completions ? completion_decode(body, a, &rq, &fault)
                                       : d->decode_request(body, a, &rq, &fault);
    rc = rc < 0 ? -ERR_USAGE : capture_norm_request(n, &rq);
    arena_free(a);
    return rc;
}

int capture_norm_of(struct capture_norm *n, const struct capture *c) {
    if (c->dialect) {
        return capture_norm_body(n, c->dialect, c->request_body);
    }
    ptrdiff_t mark = slice_index(c->target, '?');
    struct slice path = slice_sub(c->target, 0, mark < 0 ? c->target.len : (size_t)mark);
    struct slice query = mark < 0 ? SLICE_NULL : slice_from(c->target, (size_t)mark + 1);
    return capture_norm_plain(n, c->method, api_path(path), query, c->request_body);
}

void capture_norm_key(const struct capture_norm *n, char out[CAPTURE_KEY_BYTES + 1]) {
    hash_hex(buf_slice(&n->lines), out);
}

uint64_t capture_norm_soft(const struct capture_norm *n) {
    return slice_hash(SLICE_HASH_START, buf_slice(&n->soft));
}

/* ---- comparing ---- */

static bool next_line(struct slice *text, struct slice *out) {
    ptrdiff_t end = slice_index(*text, '\n');
    if (end < 0) {
        return false;
    }
    *out = slice_sub(*text, 0, (size_t)end);
    *text = slice_from(*text, (size_t)end + 1);
    return true;
}

static struct slice place_of(struct slice line) {
    ptrdiff_t tab = slice_index(line, '\t');
    return slice_sub(line, 0, tab < 0 ? line.len : (size_t)tab);
}

unsigned capture_norm_likeness(struct slice a, struct slice b) {
    struct slice x, y;
    unsigned n = 0;
    bool is_prefix = true;
    while (next_line(&a, &x) && next_line(&b, &y)) {
        if (slice_eq(x, y)) {
            n += is_prefix ? 4 : 2;
        } else {
            n += slice_eq(place_of(x), place_of(y));
            is_prefix = false;
        }
    }
    return n;
}

static int show_value(char *out, size_t size, struct slice line) {
    struct slice value = slice_from(line, place_of(line).len + 1);
    if (value.len <= SHOWN_BYTES) {
        return snprintf(out, size, "%.*s", SLICE_FMT(value));
    }
    struct slice head = slice_sub(value, 0, SHOWN_BYTES);
    head.len = slice_utf8_valid(head);
    return snprintf(out, size, "%.*s…", SLICE_FMT(head));
}

void capture_norm_difference(struct slice here, struct slice there, char *out, size_t size) {
    struct slice x = SLICE_NULL, y = SLICE_NULL;
    char a[SHOWN_BYTES + 8], b[SHOWN_BYTES + 8];
    bool more_here, more_there;
    do {
        more_here = next_line(&here, &x);
        more_there = next_line(&there, &y);
    } while (more_here && more_there && slice_eq(x, y));
    if (!more_here && !more_there) {
        snprintf(out, size, "nothing that is kept in it");
    } else if (more_here && more_there && slice_eq(place_of(x), place_of(y))) {
        show_value(a, sizeof a, x);
        show_value(b, sizeof b, y);
        snprintf(out, size, "%.*s is %s, there %s", SLICE_FMT(slice_sub(place_of(x), 0, 80)), a, b);
    } else if (more_here) {
        show_value(a, sizeof a, x);
        snprintf(out, size, "%.*s is %s, there is none", SLICE_FMT(slice_sub(place_of(x), 0, 80)),
                 a);
    } else {
        show_value(b, sizeof b, y);
        snprintf(out, size, "%.*s is missing, there %s", SLICE_FMT(slice_sub(place_of(y), 0, 80)),
                 b);
    }
}
