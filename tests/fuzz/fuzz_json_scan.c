/* SPDX-License-Identifier: Apache-2.0 */
/* The scanner against yyjson: both must agree on what is a JSON object, every member must be found
 * where the scan saw it, each cut must leave valid JSON, and what is unescaped must survive
 * escaping. */
#include <assert.h>
#include <yyjson.h>

#include "base/json_scan.h"
#include "base/mem.h"
#include "fuzz.h"

#define MAX_DEPTH 64
#define MEMBERS_MAX 64

struct seen {
    struct slice json;
    struct json_member members[MEMBERS_MAX];
    size_t count;
};

static int on_member(void *self, const struct json_member *m) {
    struct seen *seen = self;
    if (seen->count < MEMBERS_MAX) seen->members[seen->count++] = *m;
    return 0;
}

/* yyjson refuses lone surrogate escapes, which the grammar allows: "\ud8…" becomes "\u08…" for it.
 */
static char *without_surrogates(struct slice json) {
    char *copy = mem_dup_cstr(json);
    for (size_t i = 0; i + 2 < json.len; i++) {
        if (copy[i] == '\\' && copy[i + 1] == 'u' && (copy[i + 2] | 0x20) == 'd') copy[i + 2] = '0';
    }
    return copy;
}

static bool yyjson_says_object(struct slice json) {
    char *copy = without_surrogates(json);
    yyjson_doc *doc = yyjson_read_opts(copy, json.len, YYJSON_READ_NUMBER_AS_RAW, NULL, NULL);
    bool is_object = yyjson_is_obj(yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    mem_free(copy);
    return is_object;
}

static void check_string(struct slice raw) {
    struct buf text, again;
    buf_init(&text, raw.len);
    buf_init(&again, raw.len * 6 + 16);
    int rc = json_unescape(&text, raw);
    assert(rc == 0 && slice_utf8_valid(buf_slice(&text)) == text.len);
    rc = json_escape(&again, buf_slice(&text));
    assert(rc == 0);
    struct buf back;
    buf_init(&back, raw.len);
    rc = json_unescape(&back, buf_slice(&again));
    assert(rc == 0 && slice_eq(buf_slice(&back), buf_slice(&text)));
    buf_dispose(&text);
    buf_dispose(&again);
    buf_dispose(&back);
}

static void check_cut(struct slice json, const struct json_member *m) {
    struct buf rest;
    buf_init(&rest, json.len);
    int rc = buf_append(&rest, slice_sub(json, 0, m->cut_off));
    assert(rc == 0);
    rc = buf_append(&rest, slice_from(json, m->cut_off + m->cut_len));
    assert(rc == 0);
    rc = json_scan_object(buf_slice(&rest), MAX_DEPTH, NULL, NULL, NULL);
    assert(rc == 0);
    buf_dispose(&rest);
}

static void check_member(const struct seen *seen, size_t index) {
    const struct json_member *m = &seen->members[index];
    struct json_member found;
    bool is_found = json_find_member(seen->json, m->key, &found);
    assert(is_found && found.key_off <= m->key_off); /* the first of its name */
    if (found.key_off == m->key_off) {
        assert(found.value_off == m->value_off && found.value_len == m->value_len);
        assert(found.cut_off == m->cut_off && found.cut_len == m->cut_len);
    }
    check_cut(seen->json, m);
    check_string(m->key);
    if (m->value.ptr[0] == '"') check_string(slice_sub(m->value, 1, m->value_len - 2));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct seen seen;
    struct slice json = slice_make((const char *)data, size);
    struct json_member m;
    struct err e = {0};
    seen.json = json;
    seen.count = 0;
    int rc = json_scan_object(json, MAX_DEPTH, on_member, &seen, &e);
    bool depth_ok = json_depth_ok(json, MAX_DEPTH);
    json_find_member(json, SLICE("model"), &m); /* must stay inside, whatever the text */
    if (rc != 0) assert(e.kind == (enum err_kind) - rc && e.text[0] != '\0');
    if (rc == -ERR_LIMIT) {
        assert(!depth_ok);
        return 0;
    }
    assert((rc == 0) == yyjson_says_object(json));
    if (rc != 0) return 0;
    assert(depth_ok);
    for (size_t i = 0; i < seen.count; i++) check_member(&seen, i);
    return 0;
}
