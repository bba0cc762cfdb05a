/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/json_scan.h"
#include "base/mem.h"
#include "base/random.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct err e;

/* Scans a copy of the exact size, so that the sanitizer sees a byte too far. */
static int scan(struct slice json, unsigned max_depth) {
    char *copy = mem_alloc(json.len);
    if (json.len > 0) memcpy(copy, json.ptr, json.len);
    e = (struct err){0};
    int rc = json_scan_object(slice_make(copy, json.len), max_depth, NULL, NULL, &e);
    mem_free(copy);
    assert_int_equal(e.kind, -rc);
    return rc;
}

static const char *const valid[] = {
    "{}",
    " \t\r\n{ \t\r\n} \t\r\n",
    "{\"\":\"\"}",
    "{\"a\":1}",
    "{\"a\" : 1 , \"b\" : 2}",
    "{\"a\":1,\"a\":2}",
    "{\"a\":{}}",
    "{\"a\":[]}",
    "{\"a\":[ ]}",
    "{\"a\":{ }}",
    "{\"a\":[[],[[]],{}]}",
    "{\"a\":{\"b\":{\"c\":[1,{\"d\":2}]}}}",
    "{\"a\":true,\"b\":false,\"c\":null}",
    "{\"a\":[true,false,null]}",
    "{\"a\":0}",
    "{\"a\":-0}",
    "{\"a\":-0.0}",
    "{\"a\":0e0}",
    "{\"a\":1e5}",
    "{\"a\":1E+5}",
    "{\"a\":1e-05}",
    "{\"a\":1.25e10}",
    "{\"a\":123456789012345678901234567890}",
    "{\"a\":1e999999}",
    "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}",
    "{\"a\":\"\\u0000\\u00e4\\uABCD\\uabcd\"}",
    "{\"a\":\"\\ud83d\\ude00\"}",
    "{\"a\":\"\\ud83d\"}", /* a lone surrogate is well-formed JSON */
    "{\"\\u0061\":1}",
    "{\"a\":\"\x7f \xc2\x80 \xe2\x82\xac \xf0\x9f\x98\x80 \xef\xbf\xbf \xf4\x8f\xbf\xbf\"}",
    "{\"a\":\"[{]},:\"}",
    "{\"a\":\"0123456789abcdef0123456789abcdef\"}",
};

static const char *const invalid[] = {
    "",
    " ",
    "[]",
    "1",
    "\"a\"",
    "null",
    "}",
    "{",
    "{]",
    "{}}",
    "{}{}",
    "{} x",
    "{},",
    "{}\x01",
    "\xef\xbb\xbf{}", /* a byte order mark */
    "{a:1}",
    "{'a':1}",
    "{1:1}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\" 1}",
    "{\"a\"::1}",
    "{\"a\":1,}",
    "{,}",
    "{,\"a\":1}",
    "{\"a\":1,,\"b\":2}",
    "{\"a\":1 \"b\":2}",
    "{\"a\":1;\"b\":2}",
    "{\"a\":1]",
    "{\"a\":[1}",
    "{\"a\":[1]]",
    "{\"a\":{1}}",
    "{\"a\":[1,]}",
    "{\"a\":[,1]}",
    "{\"a\":[1 2]}",
    "{\"a\":[1:2]}",
    "{\"a\":{\"b\":1,}}",
    "{\"a\":[}]}",
    "{\"a\":{]}",
    "{\"a\":{\"b\"}}",
    "{\"a\":tru}",
    "{\"a\":True}",
    "{\"a\":nul}",
    "{\"a\":nulll}",
    "{\"a\":truefalse}",
    "{\"a\":NaN}",
    "{\"a\":Infinity}",
    "{\"a\":-Infinity}",
    "{\"a\":undefined}",
    "{\"a\":01}",
    "{\"a\":-01}",
    "{\"a\":00}",
    "{\"a\":+1}",
    "{\"a\":-}",
    "{\"a\":.5}",
    "{\"a\":1.}",
    "{\"a\":1.e5}",
    "{\"a\":1e}",
    "{\"a\":1e+}",
    "{\"a\":1e5.5}",
    "{\"a\":0x10}",
    "{\"a\":1_000}",
    "{\"a\":--1}",
    "{\"a\":1-}",
    "{\"a\":1.2.3}",
    "{\"a\":- 1}",
    "{\"a\":\"}",
    "{\"a\":\"\\\"}",
    "{\"a\":\"\\x41\"}",
    "{\"a\":\"\\u12\"}",
    "{\"a\":\"\\u12g4\"}",
    "{\"a\":\"\\U1234\"}",
    "{\"a\":\"\\'\"}",
    "{\"a\":\"\\a\"}",
    "{\"a\":\"\\v\"}",
    "{\"a\":\"\\u\x10\x11\x12\x13\"}",
    "{\"a\":\"\n\"}",
    "{\"a\":\"\t\"}",
    "{\"a\":\"\x1f\"}",
    "{\"a\tb\":1}",
    "{\"a\":\"\x80\"}",
    "{\"a\":\"\xc0\xaf\"}",
    "{\"a\":\"\xed\xa0\x80\"}",
    "{\"a\":\"\xf4\x90\x80\x80\"}",
    "{\"a\":\"\xc2\"}",
    "{\"a\":\"\xe2\x82\"}",
    "{\"\xff\":1}",
    "{\"a\":\xff}",
    "{\"a\":1\xc2\xa0}",
    "{\"a\":1}//x",
    "{/**/\"a\":1}",
    "{\"a\":1\f}",
    "{\"a\":1\v}",
};

static void test_valid(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(valid); i++) {
        if (scan(slice_cstr(valid[i]), 64) != 0) fail_msg("%s: %s", valid[i], e.text);
    }
}

static void test_invalid(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(invalid); i++) {
        if (scan(slice_cstr(invalid[i]), 64) != -ERR_PROTOCOL) fail_msg("accepted %s", invalid[i]);
    }
    assert_int_equal(scan(SLICE("{}\0"), 64), -ERR_PROTOCOL);
    assert_int_equal(scan(SLICE("\0"), 64), -ERR_PROTOCOL);
    assert_int_equal(scan(SLICE("{\"a\":\0}"), 64), -ERR_PROTOCOL);
    assert_int_equal(scan(SLICE("{\"a\":\"\0\"}"), 64), -ERR_PROTOCOL);
    assert_int_equal(scan(SLICE("{\"a\":\"\\\0\"}"), 64), -ERR_PROTOCOL);
    assert_int_equal(scan(SLICE_NULL, 64), -ERR_PROTOCOL);
}

static const char document[] =
    " {\"model\":\"gpt-\\u0034\\n\",\"messages\":[{\"role\":\"user\",\"content\":"
    "\"za\xc5\xbc\xc3\xb3\xc5\x82\xc4\x87 \\ud83d\\ude00\"},\n"
    "{\"role\":\"tool\",\"x\":[ ],\"y\":{ }}],\"temperature\" : -0.5e+3 , "
    "\"stream\":true,\"n\":null,\"empty\":\"\"}";

static void test_every_prefix_is_invalid(void **state) {
    (void)state;
    struct slice whole = slice_cstr(document);
    assert_int_equal(scan(whole, 64), 0);
    for (size_t len = 0; len < whole.len; len++) {
        if (scan(slice_sub(whole, 0, len), 64) != -ERR_PROTOCOL)
            fail_msg("accepted %zu bytes", len);
    }
}

/* Every bad byte is found at its own offset, wherever in a 16-byte step it lies. */
static void test_error_offset(void **state) {
    (void)state;
    static const char bad[] = {'\n', '\x01', '\xff', '\\'};
    char json[100], want[40];
    for (size_t at = 6; at < sizeof json - 3; at++) {
        for (size_t i = 0; i < sizeof bad; i++) {
            memset(json, 'x', sizeof json);
            memcpy(json, "{\"a\":\"", 6);
            memcpy(json + sizeof json - 2, "\"}", 2);
            assert_int_equal(scan(slice_make(json, sizeof json), 9), 0);
            json[at] = bad[i];
            assert_int_equal(scan(slice_make(json, sizeof json), 9), -ERR_PROTOCOL);
            snprintf(want, sizeof want, "byte %zu (line 1, column %zu)", at, at + 1);
            if (!strstr(e.text, want)) fail_msg("%s, not %s", e.text, want);
        }
    }
}

static void test_error_text(void **state) {
    (void)state;
    static const struct {
        const char *json, *text;
    } rows[] = {
        {"{\n  \"\xc3\xa4\": x\n}", "expected a value at byte 10 (line 2, column 8)"},
        {"{\"a\":1", "expected ',' or '}' at the end, byte 6 (line 1, column 7)"},
        {"{\"a\":[1", "expected ',' or ']' at the end, byte 7"},
        {"{\"a\"=1}", "expected ':' behind the key at byte 4"},
        {"{a:1}", "expected a key in quotes at byte 1"},
        {"[1]", "expected an object at byte 0"},
        {"{}\n\n x", "more text behind the object at byte 5 (line 3, column 2)"},
        {"{\"a\":\"b", "string without an end at byte 5"},
        {"{\"a\":\"\\q\"}", "bad escape in a string at byte 6"},
        {"{\"a\":\"\n\"}", "unescaped control character in a string at byte 6"},
        {"{\"a\":\"\xff\"}", "string is not valid UTF-8 at byte 6"},
        {"{\"a\":012}", "number with a leading zero at byte 5"},
        {"{\"a\":1.}", "expected a digit at byte 7"},
        {"", "expected an object at the end, byte 0"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(scan(slice_cstr(rows[i].json), 64), -ERR_PROTOCOL);
        if (!strstr(e.text, rows[i].text)) fail_msg("'%s' lacks '%s'", e.text, rows[i].text);
    }
}

static struct slice nested(char *room, unsigned depth, bool close) {
    size_t len = 0;
    memcpy(room, "{\"a\":", len = 5);
    for (unsigned i = 1; i < depth; i++) {
        memcpy(room + len, i % 3 ? "[" : "{\"b\":", i % 3 ? 1 : 5);
        len += i % 3 ? 1 : 5;
    }
    room[len++] = '1';
    for (unsigned i = depth - 1; close && i > 0; i--) room[len++] = i % 3 ? ']' : '}';
    if (close) room[len++] = '}';
    return slice_make(room, len);
}

static void test_depth(void **state) {
    (void)state;
    static char room[20000];
    for (unsigned depth = 1; depth < 200; depth++) {
        struct slice json = nested(room, depth, true);
        assert_int_equal(scan(json, depth), 0);
        assert_int_equal(scan(json, depth - 1), -ERR_LIMIT);
        assert_true(json_depth_ok(json, depth));
        assert_false(json_depth_ok(json, depth - 1));
        assert_int_equal(scan(nested(room, depth, false), depth), -ERR_PROTOCOL);
    }
    assert_int_equal(scan(nested(room, JSON_DEPTH_MAX, true), UINT32_MAX), 0);
    assert_int_equal(scan(nested(room, JSON_DEPTH_MAX + 1, true), UINT32_MAX), -ERR_LIMIT);
    assert_non_null(strstr(e.text, "too deep"));
}

static void test_depth_ok_looks_at_brackets_only(void **state) {
    (void)state;
    assert_true(json_depth_ok(SLICE_NULL, 0));
    assert_true(json_depth_ok(SLICE("\"[[[[\\\"[[[[\""), 0));
    assert_true(json_depth_ok(SLICE("\"[[[["), 0));
    assert_true(json_depth_ok(SLICE("\"\\"), 0));
    assert_true(json_depth_ok(SLICE("[][][]{}{}"), 1));
    assert_true(json_depth_ok(SLICE("]]]]["), 1));
    assert_false(json_depth_ok(SLICE("]]]][["), 1));
    assert_false(json_depth_ok(SLICE("\"a\"{\"b\"[\"c\""), 1));
    size_t len = 10 << 20;
    char *brackets = mem_alloc(len);
    memset(brackets, '[', len);
    for (int i = 0; i < 100000; i++) assert_false(json_depth_ok(slice_make(brackets, len), 64));
    mem_free(brackets);
}

/* ---- members ---- */

struct seen {
    struct slice json;
    unsigned count, stop_after;
    struct json_member members[16];
};

static int on_member(void *self, const struct json_member *m) {
    struct seen *seen = self;
    assert_ptr_equal(m->value.ptr, seen->json.ptr + m->value_off);
    assert_int_equal(m->value.len, m->value_len);
    assert_ptr_equal(m->key.ptr, seen->json.ptr + m->key_off + 1);
    seen->members[seen->count++] = *m;
    return seen->count == seen->stop_after ? 77 : 0;
}

static void test_members(void **state) {
    (void)state;
    static const struct {
        const char *key, *value;
    } want[] = {
        {"model", "\"gpt-\\u0034\\n\""},
        {"messages", NULL},
        {"temperature", "-0.5e+3"},
        {"stream", "true"},
        {"n", "null"},
        {"empty", "\"\""},
    };
    struct seen seen = {.json = slice_cstr(document)};
    assert_int_equal(json_scan_object(seen.json, 9, on_member, &seen, NULL), 0);
    assert_int_equal(seen.count, COUNT(want));
    for (size_t i = 0; i < COUNT(want); i++) {
        assert_true(slice_eq(seen.members[i].key, slice_cstr(want[i].key)));
        if (want[i].value) assert_true(slice_eq(seen.members[i].value, slice_cstr(want[i].value)));
        struct json_member found;
        assert_true(json_find_member(seen.json, slice_cstr(want[i].key), &found));
        assert_true(found.key.ptr == seen.members[i].key.ptr &&
                    found.value.ptr == seen.members[i].value.ptr);
        assert_int_equal(found.key_off, seen.members[i].key_off);
        assert_int_equal(found.value_off, seen.members[i].value_off);
        assert_int_equal(found.value_len, seen.members[i].value_len);
        assert_int_equal(found.cut_off, seen.members[i].cut_off);
        assert_int_equal(found.cut_len, seen.members[i].cut_len);
    }
    seen = (struct seen){.json = slice_cstr(document), .stop_after = 3};
    assert_int_equal(json_scan_object(seen.json, 9, on_member, &seen, NULL), 77);
    assert_int_equal(seen.count, 3);
}

static void test_find(void **state) {
    (void)state;
    struct json_member m;
    struct slice json =
        SLICE("{\"a\":{\"b\":1,\"x\\\"}\":\"}\\\"{\"},\"b\":[\"]\",{\"b\":3}],\"c\":4,\"b\":5}");
    assert_int_equal(scan(json, 9), 0);
    assert_true(json_find_member(json, SLICE("b"), &m));
    assert_true(
        slice_eq(m.value, SLICE("[\"]\",{\"b\":3}]"))); /* the root's first, not the nested one */
    assert_true(json_find_member(json, SLICE("c"), &m));
    assert_true(slice_eq(m.value, SLICE("4")));
    assert_false(json_find_member(json, SLICE("x"), &m));
    assert_false(json_find_member(json, SLICE(""), &m));
    assert_false(json_find_member(SLICE("{}"), SLICE("a"), &m));
    assert_false(json_find_member(SLICE("{\"\\u0061\":1}"), SLICE("a"), &m)); /* as it is written */
    assert_true(json_find_member(SLICE("{\"\\u0061\":1}"), SLICE("\\u0061"), &m));
    assert_true(json_find_member(SLICE("{\"\":1}"), SLICE_NULL, &m));
}

/* Text that is not JSON gives no answer or a place inside; the sanitizer watches. */
static void test_find_in_rubbish(void **state) {
    (void)state;
    static const char alphabet[] = "{}[]\",:\\ab1 \n\x01\xff";
    struct rng r;
    unsigned found = 0;
    rng_seed(&r, 6);
    for (int i = 0; i < 100000; i++) {
        size_t len = (size_t)rng_below(&r, 40);
        char *json = mem_alloc(len);
        for (size_t j = 0; j < len; j++) json[j] = alphabet[rng_below(&r, sizeof alphabet - 1)];
        if (len > 5 && rng_below(&r, 2)) memcpy(json, "{\"a\":", 5);
        struct slice text = slice_make(json, len);
        struct json_member m;
        json_depth_ok(text, 2);
        if (json_find_member(text, SLICE("a"), &m)) {
            found++;
            assert_true(m.value_off <= len && m.value_len <= len - m.value_off);
            assert_true(m.cut_off <= len && m.cut_len <= len - m.cut_off);
        }
        if (json_scan_object(text, 9, NULL, NULL, NULL) < 0) {
            int rc = json_scan_object(text, 9, NULL, NULL, &e);
            assert_int_equal(rc, -(int)e.kind);
        }
        mem_free(json);
    }
    assert_in_range(found, 1000, 90000);
}

static struct slice cut(struct slice json, const char *key, char *room) {
    struct json_member m;
    assert_true(json_find_member(json, slice_cstr(key), &m));
    struct slice rest = slice_from(json, m.cut_off + m.cut_len);
    memcpy(room, json.ptr, m.cut_off);
    if (rest.len > 0) memcpy(room + m.cut_off, rest.ptr, rest.len);
    return slice_make(room, m.cut_off + rest.len);
}

static void test_cut(void **state) {
    (void)state;
    static const struct {
        const char *json, *key, *want;
    } rows[] = {
        {"{\"a\":1}", "a", "{}"},
        {"{ \"a\" : 1 }", "a", "{  }"},
        {"{\"a\":1,\"b\":2}", "a", "{\"b\":2}"},
        {"{\"a\":1,\"b\":2}", "b", "{\"a\":1}"},
        {"{\"a\":1,\"b\":2,\"c\":3}", "b", "{\"a\":1,\"c\":3}"},
        {"{ \"a\" : 1 , \"b\" : 2 }", "a", "{  \"b\" : 2 }"},
        {"{ \"a\" : 1 , \"b\" : 2 }", "b", "{ \"a\" : 1  }"},
        {"{\n  \"a\": 1,\n  \"b\": [1,2],\n  \"c\": 3\n}", "b", "{\n  \"a\": 1,\n  \"c\": 3\n}"},
        {"{\"a\":\",\",\"b\":{\"c\":1,\"d\":2}}", "b", "{\"a\":\",\"}"},
    };
    char room[200];
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct slice got = cut(slice_cstr(rows[i].json), rows[i].key, room);
        if (!slice_eq(got, slice_cstr(rows[i].want))) fail_msg("%.*s", SLICE_FMT(got));
        assert_int_equal(scan(got, 9), 0);
    }
}

/* Whichever members go, in whichever order, one after the other: always valid, and the others
 * untouched. */
static void test_cut_all_orders(void **state) {
    (void)state;
    static const char *const keys[] = {"a", "b", "c"};
    for (int order = 0; order < 27; order++) {
        char rooms[2][100];
        struct slice json = SLICE(" { \"a\" : [1,2] ,\n \"b\":\"x,y\" , \"c\" : {} } ");
        struct json_member m;
        unsigned gone = 0, cuts = 0;
        for (int i = 0, rest = order; i < 3; i++, rest /= 3) {
            if (gone & 1u << (rest % 3)) continue;
            gone |= 1u << (rest % 3);
            json = cut(json, keys[rest % 3], rooms[cuts++ % 2]);
            assert_int_equal(scan(json, 9), 0);
            for (unsigned k = 0; k < 3; k++) {
                assert_int_equal(json_find_member(json, slice_cstr(keys[k]), &m), !(gone >> k & 1));
            }
        }
    }
}

/* ---- random documents: the fast search must see what the scan sees ---- */

static void append(struct buf *out, struct slice s) {
    assert_int_equal(buf_append(out, s), 0);
}

static void random_string(struct rng *r, struct buf *out) {
    static const char *const parts[] = {"[", "]",    "{",       "}",   "\\\"",
                                        ",", "\\\\", "\\u007b", "\\n", "plain"};
    append(out, SLICE("\""));
    for (uint64_t n = rng_below(r, 12); n > 0; n--) {
        append(out, slice_cstr(parts[rng_below(r, COUNT(parts))]));
    }
    append(out, SLICE("\""));
}

static void random_value(struct rng *r, struct buf *out, unsigned depth) {
    uint64_t kind = rng_below(r, depth > 0 ? 6 : 3);
    if (kind == 0) {
        append(out, SLICE("-1.5e3"));
        return;
    }
    if (kind < 3) {
        random_string(r, out);
        return;
    }
    append(out, kind == 3 ? SLICE("{") : SLICE("["));
    for (uint64_t i = 0, n = rng_below(r, 4); i < n; i++) {
        if (i > 0) append(out, SLICE(" , "));
        if (kind == 3) random_string(r, out);
        if (kind == 3) append(out, SLICE(" : "));
        random_value(r, out, depth - 1);
    }
    append(out, kind == 3 ? SLICE("}") : SLICE("]"));
}

/* A backslash takes the meaning from a quote outside of strings, too: no JSON has one there. */
static bool depth_ok_model(struct slice json, unsigned max_depth) {
    unsigned depth = 0;
    bool in_string = false, is_escaped = false;
    for (size_t i = 0; i < json.len; i++) {
        char c = json.ptr[i];
        if (c == '"' && !is_escaped) in_string = !in_string;
        if (!in_string && (c == '[' || c == '{') && ++depth > max_depth) return false;
        if (!in_string && (c == ']' || c == '}') && depth > 0) depth--;
        is_escaped = c == '\\' && !is_escaped;
    }
    return true;
}

static void test_random_documents(void **state) {
    (void)state;
    struct rng r;
    struct buf json;
    size_t longest = 0;
    rng_seed(&r, 31);
    buf_init(&json, 1 << 20);
    for (int i = 0; i < 4000; i++) {
        buf_reset(&json);
        append(&json, SLICE("{\"a\":"));
        random_value(&r, &json, 6);
        append(&json, SLICE(" ,\"b\":"));
        random_value(&r, &json, 6);
        append(&json, SLICE(",\"c\":0}"));
        struct seen seen = {.json = buf_slice(&json)};
        assert_int_equal(json_scan_object(seen.json, 9, on_member, &seen, &e), 0);
        assert_int_equal(seen.count, 3);
        for (size_t k = 0; k < 3; k++) {
            struct json_member found;
            assert_true(json_find_member(seen.json, seen.members[k].key, &found));
            assert_memory_equal(&found, &seen.members[k], sizeof found);
        }
        if (json.len > longest) longest = json.len;
        for (unsigned depth = 0; depth < 8; depth++) {
            bool too_deep = json_scan_object(seen.json, depth, NULL, NULL, NULL) == -ERR_LIMIT;
            assert_int_equal(json_depth_ok(seen.json, depth), !too_deep);
        }
    }
    assert_true(longest > 1000);
    buf_dispose(&json);
}

/* Backslashes before, on and behind the border of a 64-byte step. */
static void test_escapes_across_steps(void **state) {
    (void)state;
    for (size_t pad = 0; pad < 140; pad++) {
        for (size_t slashes = 0; slashes < 8; slashes += 2) {
            char json[200];
            size_t len = (size_t)snprintf(json, sizeof json, "{\"a\":[\"%0*d", (int)pad, 0);
            for (size_t i = 0; i < slashes; i++) json[len++] = '\\';
            len += (size_t)snprintf(json + len, sizeof json - len, "\\\"]}\"],\"b\":7}");
            struct json_member m;
            struct slice text = slice_make(json, len);
            assert_int_equal(scan(text, 2), 0);
            assert_true(json_find_member(text, SLICE("b"), &m));
            assert_true(slice_eq(m.value, SLICE("7")));
        }
    }
}

static void test_depth_ok_against_model(void **state) {
    (void)state;
    struct rng r;
    unsigned ok = 0;
    rng_seed(&r, 32);
    for (int i = 0; i < 20000; i++) {
        char text[200];
        const char *alphabet = i % 2 ? "[]{}\"\\ab" : "[]]] ";
        size_t len = (size_t)rng_below(&r, sizeof text), n = strlen(alphabet);
        for (size_t j = 0; j < len; j++) text[j] = alphabet[rng_below(&r, n)];
        struct slice json = slice_make(text, len);
        unsigned max_depth = (unsigned)rng_below(&r, 5);
        bool want = depth_ok_model(json, max_depth);
        assert_int_equal(json_depth_ok(json, max_depth), want);
        ok += want;
    }
    assert_in_range(ok, 2000, 18000);
}

/* ---- string bodies ---- */

static void test_escape(void **state) {
    (void)state;
    static const struct {
        struct slice text;
        const char *want;
    } rows[] = {
        {{"", 0}, ""},
        {{NULL, 0}, ""},
        {{"plain text, long enough for a step of sixteen", 45},
         "plain text, long enough for a step of sixteen"},
        {{"a\"b\\c/d", 7}, "a\\\"b\\\\c/d"},
        {{"\b\f\n\r\t\x01\x1f\0|\x7f", 10}, "\\b\\f\\n\\r\\t\\u0001\\u001f\\u0000|\x7f"},
        {{"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9}, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
        {{"a\xff"
          "b",
          3},
         "a\xef\xbf\xbd"
         "b"},
        {{"\xc3", 1}, "\xef\xbf\xbd"},
        {{"\xed\xa0\x80", 3}, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {{"\xc3\"", 2}, "\xef\xbf\xbd\\\""},
    };
    struct buf out;
    buf_init(&out, 1000);
    for (size_t i = 0; i < COUNT(rows); i++) {
        buf_reset(&out);
        assert_int_equal(json_escape(&out, rows[i].text), 0);
        if (!slice_eq(buf_slice(&out), slice_cstr(rows[i].want)))
            fail_msg("row %zu: %.*s", i, SLICE_FMT(out));
    }
    buf_dispose(&out);
}

static void test_unescape(void **state) {
    (void)state;
    static const struct {
        const char *raw, *want;
    } rows[] = {
        {"", ""},
        {"plain \xc3\xa4", "plain \xc3\xa4"},
        {"\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t"},
        {"\\u0041\\u00e4\\u20ac\\uFFFF", "A\xc3\xa4\xe2\x82\xac\xef\xbf\xbf"},
        {"\\u007f\\u0080\\u07ff\\u0800", "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80"},
        {"\\ud83d\\ude00", "\xf0\x9f\x98\x80"},
        {"\\uD800\\uDC00\\uDBFF\\uDFFF", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"},
        {"\\ud83d", "\xef\xbf\xbd"},
        {"\\ud83dx", "\xef\xbf\xbdx"},
        {"\\ude00", "\xef\xbf\xbd"},
        {"\\ude00\\ud83d", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\\ud83d\\u0041", "\xef\xbf\xbd"
                           "A"},
        {"\\ud83d\\n", "\xef\xbf\xbd\n"},
        {"\\ud83d\\ud83d\\ude00", "\xef\xbf\xbd\xf0\x9f\x98\x80"},
    };
    static const char *const bad[] = {"\\",      "x\\",       "\\q",          "\\u",    "\\u123",
                                      "\\u12g4", "\\ud83d\\", "\\ud83d\\u12", "\\U0041"};
    struct buf out;
    buf_init(&out, 1000);
    for (size_t i = 0; i < COUNT(rows); i++) {
        buf_reset(&out);
        assert_int_equal(json_unescape(&out, slice_cstr(rows[i].raw)), 0);
        if (!slice_eq(buf_slice(&out), slice_cstr(rows[i].want))) fail_msg("%s", rows[i].raw);
    }
    buf_reset(&out);
    assert_int_equal(json_unescape(&out, SLICE("\\u0000")), 0);
    assert_true(slice_eq(buf_slice(&out), SLICE("\0")));
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(json_unescape(&out, slice_cstr(bad[i])), -ERR_PROTOCOL);
        assert_int_equal(out.len, 1); /* nothing appended */
    }
    assert_int_equal(json_unescape(&out, SLICE("\\\0")), -ERR_PROTOCOL);
    buf_dispose(&out);
}

static void test_limits_are_all_or_nothing(void **state) {
    (void)state;
    struct slice text = SLICE("ab\"c\x01\xff"
                              "d\n"),
                 body = SLICE("ab\\\"c\\u0001\\ud83d\\ude00d\\n");
    for (size_t max = 1; max < 30; max++) {
        struct buf out;
        buf_init(&out, max);
        assert_int_equal(buf_append(&out, SLICE("x")), 0);
        int rc = json_escape(&out, text);
        assert_int_equal(rc, max >= 1 + 17 ? 0 : -ERR_LIMIT);
        if (rc < 0) assert_int_equal(out.len, 1);
        out.len = 1;
        rc = json_unescape(&out, body);
        assert_int_equal(rc, max >= 1 + 11 ? 0 : -ERR_LIMIT);
        if (rc < 0) assert_int_equal(out.len, 1);
        buf_dispose(&out);
    }
}

/* Any bytes, escaped, are a valid string; unescaped again they are the bytes, but for what was no
 * UTF-8. */
static void test_round_trip(void **state) {
    (void)state;
    struct rng r;
    struct buf json, back;
    rng_seed(&r, 12);
    buf_init(&json, 100000);
    buf_init(&back, 100000);
    for (int i = 0; i < 20000; i++) {
        char text[100];
        size_t len = (size_t)rng_below(&r, sizeof text);
        for (size_t j = 0; j < len; j++) text[j] = (char)rng_below(&r, i % 2 ? 128 : 256);
        struct slice s = slice_make(text, len);
        buf_reset(&json);
        buf_reset(&back);
        assert_int_equal(buf_append(&json, SLICE("{\"k\":\"")), 0);
        assert_int_equal(json_escape(&json, s), 0);
        assert_int_equal(buf_append(&json, SLICE("\"}")), 0);
        assert_int_equal(scan(buf_slice(&json), 1), 0);
        struct slice raw = slice_sub(buf_slice(&json), 6, json.len - 8);
        assert_int_equal(json_unescape(&back, raw), 0);
        if (slice_utf8_valid(s) == len) assert_true(slice_eq(buf_slice(&back), s));
        assert_int_equal(slice_utf8_valid(buf_slice(&back)), back.len);
    }
    buf_dispose(&json);
    buf_dispose(&back);
}

static void test_nothing_is_allocated(void **state) {
    (void)state;
    struct slice json = slice_cstr(document);
    struct json_member m;
    uint64_t before = mem_alloc_count();
    assert_int_equal(json_scan_object(json, 9, NULL, NULL, &e), 0);
    assert_int_equal(json_scan_object(slice_from(json, 3), 9, NULL, NULL, &e), -ERR_PROTOCOL);
    assert_true(json_find_member(json, SLICE("empty"), &m));
    assert_true(json_depth_ok(json, 9));
    assert_true(mem_alloc_count() == before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_every_prefix_is_invalid),
        cmocka_unit_test(test_error_offset),
        cmocka_unit_test(test_error_text),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_depth_ok_looks_at_brackets_only),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_find_in_rubbish),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_cut_all_orders),
        cmocka_unit_test(test_random_documents),
        cmocka_unit_test(test_escapes_across_steps),
        cmocka_unit_test(test_depth_ok_against_model),
        cmocka_unit_test(test_escape),
        cmocka_unit_test(test_unescape),
        cmocka_unit_test(test_limits_are_all_or_nothing),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_nothing_is_allocated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
