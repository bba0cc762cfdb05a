/* SPDX-License-Identifier: Apache-2.0 */
/* "penstock1." and base64url of {"v":1,"p":family,"m":model,"id":item,"k":kind,"d":payload}. Read
 * strictly: what somebody else wrote, or cut, or changed in its coding, is none of ours. */
#include "dialect/proof.h"

#include "dialect/json_doc.h"
#include "dialect/json_write.h"

#define PREFIX SLICE(PROOF_PREFIX)
#define PROOF_MAX_BYTES ((size_t)4 << 20)
#define VERSION 1

static const char *const family_words[] = {
    [PROOF_NONE] = "other", [PROOF_OPENAI] = "openai", [PROOF_ANTHROPIC] = "anthropic"};
static const char *const kind_words[] = {
    [PROOF_SIGNATURE] = "sig", [PROOF_REDACTED] = "red", [PROOF_ENCRYPTED] = "enc"};

/* ---- base64url, without padding ---- */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static int append_base64url(struct buf *out, struct slice bytes) {
    char *to = buf_reserve(out, bytes.len / 3 * 4 + 4);
    if (!to) return -ERR_LIMIT;
    size_t n = 0;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        unsigned v = (unsigned)(unsigned char)bytes.ptr[i] << 16;
        if (left > 1) v |= (unsigned)(unsigned char)bytes.ptr[i + 1] << 8;
        if (left > 2) v |= (unsigned char)bytes.ptr[i + 2];
        to[n++] = digits[v >> 18];
        to[n++] = digits[v >> 12 & 63];
        if (left > 1) to[n++] = digits[v >> 6 & 63];
        if (left > 2) to[n++] = digits[v & 63];
    }
    buf_commit(out, n);
    return 0;
}

static int digit_value(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* NULL when it is not exactly what append_base64url writes. */
static struct slice read_base64url(struct slice text, struct arena *a) {
    if (text.len % 4 == 1) return SLICE_NULL;
    char *out = arena_alloc(a, text.len / 4 * 3 + 3);
    size_t n = 0;
    unsigned bits = 0, value = 0;
    for (size_t i = 0; i < text.len; i++) {
        int digit = digit_value(text.ptr[i]);
        if (digit < 0) return SLICE_NULL;
        value = value << 6 | (unsigned)digit;
        bits += 6;
        if (bits < 8) continue;
        bits -= 8;
        out[n++] = (char)(value >> bits & 0xff);
        value &= (1u << bits) - 1;
    }
    return value ? SLICE_NULL : slice_make(out, n);
}

/* ---- the envelope ---- */

static int write_json(struct buf *out, const struct proof *p) {
    struct json_writer w = jw_begin(out);
    jw(&w, SLICE("{\"v\":1,\"p\":"));
    jw_string(&w, slice_cstr(family_words[p->family]));
    jw(&w, SLICE(",\"m\":"));
    jw_string(&w, p->model);
    jw(&w, SLICE(",\"id\":"));
    jw_string(&w, p->item_id);
    jw(&w, SLICE(",\"k\":"));
    jw_string(&w, slice_cstr(kind_words[p->kind]));
    jw(&w, SLICE(",\"d\":"));
    jw_string(&w, p->payload);
    jw(&w, SLICE("}"));
    return jw_end(&w);
}

int proof_wrap(struct buf *out, const struct proof *p) {
    struct buf json;
    size_t start = out->len;
    buf_init(&json, PROOF_MAX_BYTES / 4 * 3 - 16);
    int rc = write_json(&json, p);
    if (rc == 0) rc = buf_append(out, PREFIX);
    if (rc == 0) rc = append_base64url(out, buf_slice(&json));
    if (rc) out->len = start;
    buf_dispose(&json);
    return rc;
}

/* -1: none of the words. */
static int word_index(const char *const *words, int n, struct slice s) {
    for (int i = 0; i < n; i++) {
        if (slice_eq(s, slice_cstr(words[i]))) return i;
    }
    return -1;
}

static bool dup_member(yyjson_val *root, const char *key, struct arena *a, struct slice *out) {
    yyjson_val *v = yyjson_obj_get(root, key);
    if (!yyjson_is_str(v)) return false;
    *out = arena_dup(a, json_doc_str(v));
    return true;
}

static bool read_members(yyjson_val *root, struct arena *a, struct proof *out) {
    int family = word_index(family_words, 3, json_doc_str(yyjson_obj_get(root, "p")));
    int kind = word_index(kind_words, 3, json_doc_str(yyjson_obj_get(root, "k")));
    if (yyjson_obj_size(root) != 6 || family < 0 || kind < 0) return false;
    if (yyjson_get_uint(yyjson_obj_get(root, "v")) != VERSION) return false;
    *out = (struct proof){.family = (enum proof_family)family, .kind = (enum proof_kind)kind};
    return dup_member(root, "m", a, &out->model) && dup_member(root, "id", a, &out->item_id) &&
           dup_member(root, "d", a, &out->payload) && out->payload.len > 0;
}

bool proof_unwrap(struct slice text, struct arena *a, struct proof *out) {
    if (text.len > PROOF_MAX_BYTES || !slice_starts_with(text, PREFIX)) return false;
    struct slice json = read_base64url(slice_from(text, PREFIX.len), a);
    struct json_doc d;
    if (!json.ptr || json_doc_parse(&d, json, NULL)) return false;
    bool is_ours = yyjson_is_obj(d.doc->root) && read_members(d.doc->root, a, out);
    json_doc_free(&d);
    return is_ours;
}
