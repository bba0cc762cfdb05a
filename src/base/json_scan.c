/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_scan.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* ---- searching: where the time goes, 16 or 64 bytes a step ---- */

#define BLOCK_BYTES 64

/* Where in a block the bytes of each kind are, one bit a byte. */
struct masks {
    uint64_t quote, backslash, open, close;
};

#ifdef __SSE2__

static __m128i load(const char *p) {
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static __m128i equals(__m128i v, char c) {
    return _mm_cmpeq_epi8(v, _mm_set1_epi8(c));
}

static uint64_t mask(__m128i v) {
    return (uint64_t)(unsigned)_mm_movemask_epi8(v);
}

static unsigned string_stops(__m128i v) {
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
    return (unsigned)mask(_mm_or_si128(_mm_or_si128(equals(v, '"'), equals(v, '\\')), control));
}

static struct masks classify(const char *block) {
    struct masks m = {0};
    for (int i = 0; i < BLOCK_BYTES; i += 16) {
        __m128i v = load(block + i);
        __m128i folded = _mm_or_si128(v, _mm_set1_epi8(0x20)); /* '[' to '{', ']' to '}' */
        m.quote |= mask(equals(v, '"')) << i;
        m.backslash |= mask(equals(v, '\\')) << i;
        m.open |= mask(equals(folded, '{')) << i;
        m.close |= mask(equals(folded, '}')) << i;
    }
    return m;
}

#else

static struct masks classify(const char *block) {
    struct masks m = {0};
    for (int i = 0; i < BLOCK_BYTES; i++) {
        char c = block[i], folded = (char)(c | 0x20); /* '[' to '{', ']' to '}' */
        m.quote |= (uint64_t)(c == '"') << i;
        m.backslash |= (uint64_t)(c == '\\') << i;
        m.open |= (uint64_t)(folded == '{') << i;
        m.close |= (uint64_t)(folded == '}') << i;
    }
    return m;
}

#endif

/* First quote, backslash or control character from `at` on, or s.len. Says whether there is a byte
 * above 0x7f on the way there, or a little behind. */
static size_t find_string_stop(struct slice s, size_t at, bool *out_has_high) {
    unsigned char high = 0;
    *out_has_high = false;
#ifdef __SSE2__
    for (; s.len - at >= 16; at += 16) {
        __m128i v = load(s.ptr + at);
        unsigned hits = string_stops(v);
        if (mask(v)) *out_has_high = true;
        if (hits) return at + (unsigned)__builtin_ctz(hits);
    }
#endif
    for (; at < s.len; at++) {
        unsigned char c = (unsigned char)s.ptr[at];
        if (c == '"' || c == '\\' || c < 0x20) break;
        high |= c;
    }
    if (high >= 0x80) *out_has_high = true;
    return at;
}

/* Walks over text that begins outside of a string, and sees the brackets outside of strings. */
struct bracket_walker {
    struct slice text;
    size_t at;            /* of the next block */
    uint64_t open, close; /* in the block before it */
    uint64_t in_string;   /* all ones while inside one */
    bool is_escaped;      /* the block ended in a backslash that counts */
};

/* The bytes that a backslash before them takes out of the play. */
static uint64_t escaped_bytes(struct bracket_walker *w, uint64_t backslash) {
    uint64_t escaped = w->is_escaped;
    backslash &= ~escaped;
    w->is_escaped = false;
    while (backslash) {
        uint64_t first = backslash & (0 - backslash);
        escaped |= first << 1;
        w->is_escaped = first >> 63;
        backslash &= ~(first | first << 1);
    }
    return escaped;
}

/* Bit i of the result: is the number of set bits up to and with i odd? */
static uint64_t running_parity(uint64_t bits) {
    for (int shift = 1; shift < 64; shift *= 2) bits ^= bits << shift;
    return bits;
}

/* False at the end. */
static bool next_block(struct bracket_walker *w) {
    char padded[BLOCK_BYTES];
    if (w->at >= w->text.len) return false;
    const char *block = w->text.ptr + w->at;
    size_t rest = w->text.len - w->at;
    if (rest < BLOCK_BYTES) {
        memset(padded, ' ', sizeof padded);
        block = memcpy(padded, block, rest);
    }
    struct masks m = classify(block);
    uint64_t quote = m.quote & ~escaped_bytes(w, m.backslash);
    uint64_t in_string = running_parity(quote) ^ w->in_string;
    w->open = m.open & ~in_string;
    w->close = m.close & ~in_string;
    w->in_string = 0 - (in_string >> 63);
    w->at += BLOCK_BYTES;
    return true;
}

static unsigned count_bits(uint64_t bits) {
    return (unsigned)__builtin_popcountll(bits);
}

static bool is_space(char c) {
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static size_t skip_spaces(struct slice s, size_t at) {
    while (at < s.len && is_space(s.ptr[at])) at++;
    return at;
}

/* ---- validating ---- */

struct scanner {
    struct slice json;
    size_t at;
    struct slice key; /* the last one scanned */
    unsigned depth, max_depth;
    uint64_t is_object[JSON_DEPTH_MAX / 64]; /* one bit a level: what its closing bracket must be */
    struct err *e;
};

static int fail(struct scanner *s, enum err_kind kind, const char *what) {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < s->at; i++) {
        char c = s->json.ptr[i];
        if (c == '\n') line++;
        if (c == '\n') column = 1;
        else if (((unsigned char)c & 0xc0) != 0x80) column++;
    }
    const char *where = s->at == s->json.len ? "the end, " : "";
    return err_set(s->e, kind, "invalid JSON: %s at %sbyte %zu (line %zu, column %zu)", what, where,
                   s->at, line, column);
}

static char peek(const struct scanner *s) {
    /* A NUL is no token: it and the end are refused alike. */
    return s->at < s->json.len ? s->json.ptr[s->at] : '\0';
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_hex(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static int scan_escape(struct scanner *s) {
    static const char single[] = "\"\\/bfnrt";
    size_t start = s->at++;
    char c = peek(s);
    s->at++;
    if (c != '\0' && strchr(single, c)) return 0;
    for (int i = 0; c == 'u' && i < 4; i++, s->at++) {
        if (!is_hex(peek(s))) c = '\0';
    }
    if (c == 'u') return 0;
    s->at = start;
    return fail(s, ERR_PROTOCOL, "bad escape in a string");
}

/* Stands on the opening quote; ends behind the closing one. */
static int scan_string(struct scanner *s) {
    size_t start = s->at++;
    for (;;) {
        bool has_high;
        size_t stop = find_string_stop(s->json, s->at, &has_high);
        struct slice run = slice_make(s->json.ptr + s->at, stop - s->at);
        size_t good = has_high ? slice_utf8_valid(run) : run.len;
        s->at += good;
        if (good < run.len) return fail(s, ERR_PROTOCOL, "string is not valid UTF-8");
        if (stop == s->json.len) break;
        if (s->json.ptr[stop] == '"') {
            s->at++;
            return 0;
        }
        if (s->json.ptr[stop] != '\\') {
            return fail(s, ERR_PROTOCOL, "unescaped control character in a string");
        }
        int rc = scan_escape(s);
        if (rc < 0) return rc;
    }
    s->at = start;
    return fail(s, ERR_PROTOCOL, "string without an end");
}

static size_t scan_digits(struct scanner *s) {
    size_t start = s->at;
    while (is_digit(peek(s))) s->at++;
    return s->at - start;
}

static int scan_number(struct scanner *s) {
    if (peek(s) == '-') s->at++;
    bool is_zero = peek(s) == '0';
    size_t whole_at = s->at;
    if (scan_digits(s) == 0) return fail(s, ERR_PROTOCOL, "expected a digit");
    if (is_zero && s->at - whole_at > 1) {
        s->at = whole_at;
        return fail(s, ERR_PROTOCOL, "number with a leading zero");
    }
    if (peek(s) == '.') {
        s->at++;
        if (scan_digits(s) == 0) return fail(s, ERR_PROTOCOL, "expected a digit");
    }
    if (peek(s) == 'e' || peek(s) == 'E') {
        s->at++;
        if (peek(s) == '+' || peek(s) == '-') s->at++;
        if (scan_digits(s) == 0) return fail(s, ERR_PROTOCOL, "expected a digit");
    }
    return 0;
}

static int scan_literal(struct scanner *s, struct slice literal) {
    struct slice rest = slice_from(s->json, s->at);
    if (!slice_starts_with(rest, literal)) return fail(s, ERR_PROTOCOL, "expected a value");
    s->at += literal.len;
    return 0;
}

/* From anywhere before a key to behind its colon. */
static int scan_key(struct scanner *s) {
    s->at = skip_spaces(s->json, s->at);
    if (peek(s) != '"') return fail(s, ERR_PROTOCOL, "expected a key in quotes");
    size_t start = s->at;
    int rc = scan_string(s);
    if (rc < 0) return rc;
    s->key = slice_make(s->json.ptr + start + 1, s->at - start - 2);
    s->at = skip_spaces(s->json, s->at);
    if (peek(s) != ':') return fail(s, ERR_PROTOCOL, "expected ':' behind the key");
    s->at++;
    return 0;
}

static bool in_object(const struct scanner *s) {
    return s->is_object[(s->depth - 1) / 64] >> ((s->depth - 1) % 64) & 1;
}

/* What a step of the scan came to, when it is not an error. */
enum { VALUE_DONE, VALUE_FOLLOWS };

static int open_container(struct scanner *s, bool is_object) {
    if (s->depth >= s->max_depth) return fail(s, ERR_LIMIT, "nesting is too deep");
    uint64_t bit = UINT64_C(1) << (s->depth % 64), *word = &s->is_object[s->depth / 64];
    *word = is_object ? *word | bit : *word & ~bit;
    s->depth++;
    s->at = skip_spaces(s->json, s->at + 1);
    if (peek(s) == (is_object ? '}' : ']')) {
        s->depth--;
        s->at++;
        return VALUE_DONE;
    }
    int rc = is_object ? scan_key(s) : 0;
    return rc < 0 ? rc : VALUE_FOLLOWS;
}

static int begin_value(struct scanner *s) {
    s->at = skip_spaces(s->json, s->at);
    switch (peek(s)) {
    case '{': return open_container(s, true);
    case '[': return open_container(s, false);
    case '"': return scan_string(s);
    case 't': return scan_literal(s, SLICE("true"));
    case 'f': return scan_literal(s, SLICE("false"));
    case 'n': return scan_literal(s, SLICE("null"));
    case '-': return scan_number(s);
    default:
        if (is_digit(peek(s))) return scan_number(s);
        return fail(s, ERR_PROTOCOL, "expected a value");
    }
}

/* Behind a value in a container: another one follows, or the container, itself a value, is done. */
static int continue_container(struct scanner *s) {
    bool is_object = in_object(s);
    s->at = skip_spaces(s->json, s->at);
    if (peek(s) == ',') {
        s->at++;
        int rc = is_object ? scan_key(s) : 0;
        return rc < 0 ? rc : VALUE_FOLLOWS;
    }
    if (peek(s) != (is_object ? '}' : ']')) {
        return fail(s, ERR_PROTOCOL, is_object ? "expected ',' or '}'" : "expected ',' or ']'");
    }
    s->depth--;
    s->at++;
    return VALUE_DONE;
}

static int scan_value(struct scanner *s) {
    unsigned depth = s->depth;
    for (;;) {
        int rc = begin_value(s);
        while (rc == VALUE_DONE && s->depth > depth) rc = continue_container(s);
        if (rc != VALUE_FOLLOWS) return rc;
    }
}

/* ---- members ---- */

#define NO_COMMA SIZE_MAX

/* comma_off: the comma before the member, or NO_COMMA. behind: where the spaces after it end. */
static void set_cut(struct json_member *m, struct slice json, size_t comma_off, size_t behind) {
    size_t end = m->value_off + m->value_len;
    if (comma_off == NO_COMMA && behind < json.len && json.ptr[behind] == ',') end = behind + 1;
    m->cut_off = comma_off == NO_COMMA ? m->key_off : comma_off;
    m->cut_len = end - m->cut_off;
}

static int scan_member(struct scanner *s, size_t comma_off, struct json_member *m) {
    m->key_off = s->at = skip_spaces(s->json, s->at);
    int rc = scan_key(s);
    if (rc < 0) return rc;
    m->key = s->key;
    m->value_off = s->at = skip_spaces(s->json, s->at);
    rc = scan_value(s);
    if (rc < 0) return rc;
    m->value_len = s->at - m->value_off;
    m->value = slice_sub(s->json, m->value_off, m->value_len);
    s->at = skip_spaces(s->json, s->at);
    set_cut(m, s->json, comma_off, s->at);
    return 0;
}

/* Behind the root's '{', to behind its '}'. */
static int scan_members(struct scanner *s, json_member_fn *fn, void *self) {
    struct json_member m;
    size_t comma_off = NO_COMMA;
    s->at = skip_spaces(s->json, s->at);
    while (comma_off != NO_COMMA || peek(s) != '}') {
        int rc = scan_member(s, comma_off, &m);
        if (rc < 0) return rc;
        bool more = peek(s) == ',';
        if (!more && peek(s) != '}') return fail(s, ERR_PROTOCOL, "expected ',' or '}'");
        rc = fn ? fn(self, &m) : 0;
        if (rc != 0) return rc;
        if (!more) break;
        comma_off = s->at++;
    }
    s->at++;
    return 0;
}

int json_scan_object(struct slice json, unsigned max_depth, json_member_fn *fn, void *self,
                     struct err *e) {
    struct scanner s;
    s.json = json;
    s.e = e;
    s.depth = 1; /* the root's bit is never asked for */
    s.max_depth = max_depth < JSON_DEPTH_MAX ? max_depth : JSON_DEPTH_MAX;
    s.at = skip_spaces(json, 0);
    memset(s.is_object, 0, sizeof s.is_object);
    if (peek(&s) != '{') return fail(&s, ERR_PROTOCOL, "expected an object");
    if (max_depth == 0) return fail(&s, ERR_LIMIT, "nesting is too deep");
    s.at++;
    int rc = scan_members(&s, fn, self);
    if (rc != 0) return rc;
    s.at = skip_spaces(json, s.at);
    return s.at == json.len ? 0 : fail(&s, ERR_PROTOCOL, "more text behind the object");
}

/* ---- skipping what is known to be valid ---- */

static bool skip_string(struct slice s, size_t *at) {
    bool has_high;
    for (size_t i = *at + 1; i < s.len;) {
        i = find_string_stop(s, i, &has_high);
        if (i == s.len) return false;
        if (s.ptr[i] == '"') {
            *at = i + 1;
            return true;
        }
        i += s.ptr[i] == '\\' ? 2 : 1;
    }
    return false;
}

/* A block that cannot bring depth down to 0 is passed by counting. */
static bool skip_container(struct slice s, size_t *at) {
    struct bracket_walker w = {.text = s, .at = *at};
    size_t depth = 0;
    while (next_block(&w)) {
        unsigned closes = count_bits(w.close);
        if (depth > closes) {
            depth = depth - closes + count_bits(w.open);
            continue;
        }
        for (uint64_t bits = w.open | w.close; bits; bits &= bits - 1) {
            unsigned i = (unsigned)__builtin_ctzll(bits);
            depth = w.open >> i & 1 ? depth + 1 : depth - 1;
            if (depth > 0) continue;
            *at = w.at - BLOCK_BYTES + i + 1;
            return true;
        }
    }
    return false;
}

static bool ends_scalar(char c) {
    return c == ',' || c == '}' || c == ']' || is_space(c);
}

static bool skip_value(struct slice s, size_t *at) {
    if (*at >= s.len) return false;
    char c = s.ptr[*at];
    if (c == '"') return skip_string(s, at);
    if (c == '{' || c == '[') return skip_container(s, at);
    while (*at < s.len && !ends_scalar(s.ptr[*at])) ++*at;
    return true;
}

/* From before a key to behind its value; only key, key_off and the value's place are filled. */
static bool skip_member(struct slice s, size_t *at, struct json_member *m) {
    *at = skip_spaces(s, *at);
    m->key_off = *at;
    if (*at >= s.len || s.ptr[*at] != '"' || !skip_string(s, at)) return false;
    m->key = slice_make(s.ptr + m->key_off + 1, *at - m->key_off - 2);
    *at = skip_spaces(s, *at);
    if (*at >= s.len || s.ptr[*at] != ':') return false;
    m->value_off = *at = skip_spaces(s, *at + 1);
    if (!skip_value(s, at)) return false;
    m->value_len = *at - m->value_off;
    *at = skip_spaces(s, *at);
    return true;
}

bool json_find_member(struct slice object, struct slice key, struct json_member *out_member) {
    struct json_member m;
    size_t comma_off = NO_COMMA, at = skip_spaces(object, 0);
    if (at >= object.len || object.ptr[at++] != '{') return false;
    while (skip_member(object, &at, &m)) {
        if (slice_eq(m.key, key)) {
            m.value = slice_sub(object, m.value_off, m.value_len);
            set_cut(&m, object, comma_off, at);
            *out_member = m;
            return true;
        }
        if (at >= object.len || object.ptr[at] != ',') return false;
        comma_off = at++;
    }
    return false;
}

bool json_depth_ok(struct slice json, unsigned max_depth) {
    struct bracket_walker w = {.text = json};
    size_t depth = 0;
    while (next_block(&w)) {
        unsigned opens = count_bits(w.open), closes = count_bits(w.close);
        if (depth >= closes && depth + opens <= max_depth) {
            depth = depth - closes + opens;
            continue;
        }
        for (uint64_t bits = w.open | w.close; bits; bits &= bits - 1) {
            bool is_open = w.open >> __builtin_ctzll(bits) & 1;
            if (is_open && ++depth > max_depth) return false;
            if (!is_open && depth > 0) depth--;
        }
    }
    return true;
}

/* ---- string bodies ---- */

#define REPLACEMENT SLICE("\xef\xbf\xbd") /* U+FFFD */

static int append_escape(struct buf *out, char c) {
    switch (c) {
    case '"': return buf_append(out, SLICE("\\\""));
    case '\\': return buf_append(out, SLICE("\\\\"));
    case '\b': return buf_append(out, SLICE("\\b"));
    case '\f': return buf_append(out, SLICE("\\f"));
    case '\n': return buf_append(out, SLICE("\\n"));
    case '\r': return buf_append(out, SLICE("\\r"));
    case '\t': return buf_append(out, SLICE("\\t"));
    default: return buf_appendf(out, "\\u%04x", (unsigned)(unsigned char)c);
    }
}

/* A run that needs no escapes, but may not be UTF-8. */
static int append_run(struct buf *out, struct slice run) {
    int rc = 0;
    while (rc == 0 && run.len > 0) {
        size_t good = slice_utf8_valid(run);
        rc = buf_append(out, slice_sub(run, 0, good));
        if (rc == 0 && good < run.len) rc = buf_append(out, REPLACEMENT);
        run = slice_from(run, good + 1);
    }
    return rc;
}

int json_escape(struct buf *out, struct slice text) {
    size_t len_before = out->len, at = 0;
    int rc = 0;
    while (rc == 0 && at < text.len) {
        bool has_high;
        size_t stop = find_string_stop(text, at, &has_high);
        rc = append_run(out, slice_sub(text, at, stop - at));
        if (rc == 0 && stop < text.len) rc = append_escape(out, text.ptr[stop]);
        at = stop + 1;
    }
    if (rc < 0) out->len = len_before;
    return rc;
}

/* The four digits behind "\u" at `at`; -1 when that is not there. */
static int32_t unicode_escape(struct slice raw, size_t at) {
    int32_t unit = 0;
    if (raw.len < 6 || at > raw.len - 6 || raw.ptr[at] != '\\' || raw.ptr[at + 1] != 'u') return -1;
    for (size_t i = at + 2; i < at + 6; i++) {
        char c = raw.ptr[i];
        if (!is_hex(c)) return -1;
        unit = unit * 16 + (is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return unit;
}

static int append_code_point(struct buf *out, uint32_t c) {
    char bytes[4];
    if (c < 0x80) return buf_append_byte(out, (char)c);
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6) bytes[i] = (char)(0x80 | (c & 0x3f));
    bytes[0] = (char)((0xf00u >> n & 0xf0u) | c);
    return buf_append(out, slice_make(bytes, n));
}

static bool is_high_surrogate(int32_t unit) {
    return unit >= 0xd800 && unit < 0xdc00;
}

static bool is_low_surrogate(int32_t unit) {
    return unit >= 0xdc00 && unit < 0xe000;
}

static int append_unicode(struct buf *out, struct slice raw, size_t *at) {
    int32_t unit = unicode_escape(raw, *at);
    if (unit < 0) return -ERR_PROTOCOL;
    *at += 6;
    int32_t next = is_high_surrogate(unit) ? unicode_escape(raw, *at) : -1;
    if (is_low_surrogate(next)) {
        *at += 6;
        uint32_t high = (uint32_t)unit & 0x3ff, low = (uint32_t)next & 0x3ff;
        return append_code_point(out, 0x10000u + (high << 10 | low));
    }
    if (is_high_surrogate(unit) || is_low_surrogate(unit)) return buf_append(out, REPLACEMENT);
    return append_code_point(out, (uint32_t)unit);
}

/* Stands on a backslash. */
static int append_unescaped(struct buf *out, struct slice raw, size_t *at) {
    static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    if (*at + 1 >= raw.len) return -ERR_PROTOCOL;
    char c = raw.ptr[*at + 1];
    if (c == 'u') return append_unicode(out, raw, at);
    const char *name = c != '\0' ? strchr(names, c) : NULL;
    if (!name) return -ERR_PROTOCOL;
    *at += 2;
    return buf_append_byte(out, meanings[name - names]);
}

int json_unescape(struct buf *out, struct slice raw) {
    size_t len_before = out->len, at = 0;
    int rc = 0;
    while (rc == 0 && at < raw.len) {
        ptrdiff_t run = slice_index(slice_from(raw, at), '\\');
        struct slice plain = run < 0 ? slice_from(raw, at) : slice_sub(raw, at, (size_t)run);
        rc = buf_append(out, plain);
        at += plain.len;
        if (rc == 0 && at < raw.len) rc = append_unescaped(out, raw, &at);
    }
    if (rc < 0) out->len = len_before;
    return rc;
}
