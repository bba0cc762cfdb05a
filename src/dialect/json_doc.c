/* SPDX-License-Identifier: Apache-2.0 */
#include "dialect/json_doc.h"

#include "base/json_scan.h"
#include "base/mem.h"
#include "dialect/json_text.h"
#include "sse/sse.h"

#define SCRATCH_BYTES 32768
/* The parser needs about 3.7 bytes a byte of usual chunks, up to 12 of dense arrays. What does not
 * fit goes to the heap. */
#define SCRATCH_TEXT_BYTES 8192

static _Thread_local _Alignas(16) char scratch[SCRATCH_BYTES];
static _Thread_local bool scratch_is_taken;

static void *heap_alloc(void *ctx, size_t size) {
    (void)ctx;
    return mem_alloc(size);
}

static void *heap_realloc(void *ctx, void *ptr, size_t old_size, size_t size) {
    (void)ctx;
    (void)old_size;
    return mem_realloc(ptr, size);
}

static void heap_free(void *ctx, void *ptr) {
    (void)ctx;
    mem_free(ptr);
}

static const yyjson_alc heap = {heap_alloc, heap_realloc, heap_free, NULL};

static int refuse(struct slice text, const yyjson_read_err *read_err, struct err *e) {
    return err_set(e, ERR_PROTOCOL, "not JSON: %s at byte %zu of %zu",
                   read_err->msg ? read_err->msg : "no text", read_err->pos, text.len);
}

static yyjson_doc *parse(struct slice text, const yyjson_alc *alc, yyjson_read_err *out_err) {
    /* Without YYJSON_READ_INSITU the parser reads a copy and does not write to the text. Numbers
     * that no double holds are JSON, too: arguments may have them, and keep their spelling. */
    return yyjson_read_opts((char *)(uintptr_t)text.ptr, text.len, YYJSON_READ_BIGNUM_AS_RAW, alc,
                            out_err);
}

/* ---- strings that some servers get wrong ---- */

static bool is_hex(char c) {
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* At a backslash: a \uD800 … \uDFFF escape. */
static bool is_surrogate(struct slice s, size_t at, bool *out_is_high) {
    if (at + 6 > s.len || s.ptr[at] != '\\' || s.ptr[at + 1] != 'u' ||
        (s.ptr[at + 2] | 0x20) != 'd' || !is_hex(s.ptr[at + 4]) || !is_hex(s.ptr[at + 5]))
        return false;
    char kind = (char)(s.ptr[at + 3] | 0x20);
    *out_is_high = kind == '8' || kind == '9' || kind == 'a' || kind == 'b';
    return *out_is_high || (kind >= 'c' && kind <= 'f');
}

/* Half characters (an emoji cut between two chunks) become U+FFFD in an escape of the same length,
 * so that places hold. */
static void mend(char *text, size_t len) {
    struct slice s = slice_make(text, len);
    for (size_t at = 0; at + 1 < len; at++) {
        bool is_high, low_is_high;
        if (text[at] != '\\') continue;
        if (!is_surrogate(s, at, &is_high)) {
            at++;
        } else if (is_high && is_surrogate(s, at + 6, &low_is_high) && !low_is_high) {
            at += 11;
        } else {
            memcpy(text + at, "\\ufffd", 6);
            at += 5;
        }
    }
}

static yyjson_doc *parse_mended(struct slice text) {
    yyjson_read_err read_err;
    char *copy = mem_dup_cstr(text);
    mend(copy, text.len);
    yyjson_doc *doc = parse(slice_make(copy, text.len), &heap, &read_err);
    mem_free(copy);
    return doc;
}

/* A body's ill-formed bytes, as every reader has them: an event stream's parser has seen to that.
 * */
static void parse_decoded(struct json_doc *d) {
    struct buf text;
    buf_init(&text, d->text.len * 3);
    bool is_text = sse_decode_utf8(&text, d->text) == 0;
    d->doc = is_text ? parse_mended(buf_slice(&text)) : NULL;
    if (!d->doc) {
        buf_dispose(&text);
        return;
    }
    d->own = text.ptr;
    d->text = buf_slice(&text);
}

/* ---- public ---- */

int json_doc_parse(struct json_doc *d, struct slice text, struct err *e) {
    yyjson_read_err read_err = {0};
    *d = (struct json_doc){.text = text};
    if (text.len == 0) return err_set(e, ERR_PROTOCOL, "not JSON: no text");
    if (text.len <= SCRATCH_TEXT_BYTES && !scratch_is_taken) {
        yyjson_alc pool;
        yyjson_alc_pool_init(&pool, scratch, sizeof scratch);
        d->doc = parse(text, &pool, &read_err);
        /* It cannot be deeper than it has values: the usual frame needs no look. */
        bool is_deep = d->doc && yyjson_doc_get_val_count(d->doc) > WIRE_MAX_DEPTH &&
                       !json_depth_ok(text, WIRE_MAX_DEPTH);
        if (is_deep) d->doc = NULL;
        scratch_is_taken = d->doc != NULL;
        if (d->doc) return 0;
    }
    if (!json_depth_ok(text, WIRE_MAX_DEPTH))
        return err_set(e, ERR_PROTOCOL, "JSON nested deeper than %d", WIRE_MAX_DEPTH);
    d->on_heap = true;
    if (read_err.code == YYJSON_READ_SUCCESS ||
        read_err.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION) {
        d->doc = parse(text, &heap, &read_err);
    }
    if (!d->doc && read_err.code == YYJSON_READ_ERROR_INVALID_STRING) {
        if (slice_utf8_valid(text) == text.len) d->doc = parse_mended(text);
        else parse_decoded(d);
    }
    return d->doc ? 0 : refuse(text, &read_err, e);
}

void json_doc_free(struct json_doc *d) {
    if (d->doc && d->on_heap) yyjson_doc_free(d->doc);
    else if (d->doc) scratch_is_taken = false;
    mem_free(d->own);
    d->doc = NULL;
    d->own = NULL;
}

/* The parser's strings lie where they lie in its copy of the text. */
static size_t text_off(const struct json_doc *d, const yyjson_val *string) {
    return (size_t)(string->uni.str - d->doc->str_pool);
}

struct span json_doc_string_span(const struct json_doc *d, const yyjson_val *string) {
    size_t off = text_off(d, string), len = json_doc_str(string).len;
    bool as_is = off + len < d->text.len && d->text.ptr[off + len] == '"' &&
                 !memchr(d->text.ptr + off, '\\', len);
    if (!as_is) len = json_text_value_end(d->text, off - 1) - 1 - off;
    return (struct span){(uint32_t)off, (uint32_t)len};
}

struct slice json_doc_member_raw(const struct json_doc *d, const yyjson_val *value) {
    const yyjson_val *key = value - 1; /* a member's value follows its key */
    struct span token = json_doc_string_span(d, key);
    size_t at = json_text_skip_space(d->text, token.off + token.len + 1);
    at = json_text_skip_space(d->text, at + 1); /* behind the colon */
    return slice_sub(d->text, at, json_text_value_end(d->text, at) - at);
}
