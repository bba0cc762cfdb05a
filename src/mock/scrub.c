/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/scrub-private.h"

#include "base/arena.h"
#include "base/mem.h"
#include "mock/mask.h"

enum {
    MATCH_LIMIT = 5000000,
    DEPTH_LIMIT = 5000,
    HEAP_LIMIT_KB = 32 * 1024,
    VIEW_MAX_BYTES = 1 << 30,
    MAX_LEVELS = 4,               /* JSON in strings of JSON in strings … */
    SECRET_MIN_BYTES = 8,
    PLAIN_SECRET_MIN_BYTES = 12,  /* of one without digits, which may be a word */
    CUT_SECRET_MIN_BYTES = 8,     /* of the client's key at a cut end */
    CUT_MATCH_MIN_BYTES = 12,     /* of the beginning of a match there */
    CUT_LOOK_BYTES = 8192
};

/* ---- rules ---- */

/* What well-known issuers' secrets look like. Behind "Bearer" a word with a digit; a private key
 * ends where its armour does, or where something else begins. */
#define BUILT_IN                                                                                   \
    "(?<![A-Za-z0-9])(?:"                                                                          \
    "sk-[A-Za-z0-9_-]{16,}"                                                                        \
    "|[rsp]k_(?:live|test)_[A-Za-z0-9]{12,}"                                                       \
    "|A(?:KI|SI|RO|ID)A[0-9A-Z]{16}"                                                               \
    "|gh[pousr]_[A-Za-z0-9]{20,}"                                                                  \
    "|github_pat_[A-Za-z0-9_]{20,}"                                                                \
    "|glpat-[A-Za-z0-9_-]{16,}"                                                                    \
    "|xox[a-z]-[A-Za-z0-9-]{10,}"                                                                  \
    "|xapp-[A-Za-z0-9-]{10,}"                                                                      \
    "|AIza[0-9A-Za-z_-]{30,}"                                                                      \
    "|ya29\\.[0-9A-Za-z_-]{20,}"                                                                   \
    "|(?:hf|gsk|r8)_[A-Za-z0-9]{20,}"                                                              \
    "|(?:xai|pplx)-[A-Za-z0-9]{20,}"                                                               \
    "|npm_[A-Za-z0-9]{30,}"                                                                        \
    "|eyJ[A-Za-z0-9_-]{8,}\\.[A-Za-z0-9_-]{8,}\\.[A-Za-z0-9_-]*"                                   \
    "|(?i:bearer)[ \\t]+\\K(?=[A-Za-z._~+/=-]*[0-9])[A-Za-z0-9._~+/=-]{16,}"                       \
    ")"                                                                                            \
    "|-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"                                       \
    "(?:[A-Za-z0-9+/=\\s\\\\:,.]|-(?!----))*+"                                                     \
    "(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)?"

struct scrub {
    unsigned n;
    pcre2_code *rules[];
};

static pcre2_code *compile(const char *pattern, struct err *e) {
    int code;
    PCRE2_SIZE at;
    pcre2_code *rule = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                     PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C,
                                     &code, &at, NULL);
    if (!rule) {
        char why[128];
        pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
        err_set(e, ERR_USAGE, "the pattern \"%.80s\" is wrong at character %zu: %s", pattern,
                at + 1, why);
        return NULL;
    }
    /* where there is no just-in-time compiler, the interpreter does it */
    (void)pcre2_jit_compile(rule, PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_SOFT);
    return rule;
}

int scrub_pattern_check(struct slice text, struct mock_options *o, struct arena *a, struct err *e) {
    (void)o;
    pcre2_code *rule = compile(arena_dup(a, text).ptr, e);
    if (!rule) {
        return -ERR_USAGE;
    }
    pcre2_code_free(rule);
    return 0;
}

struct scrub *scrub_new(const char *const *patterns, unsigned n, struct err *e) {
    struct scrub *s = mem_zalloc(sizeof *s + (n + 1) * sizeof s->rules[0]);
    for (unsigned i = 0; i <= n; i++) {
        pcre2_code *rule = compile(i == 0 ? BUILT_IN : patterns[i - 1], e);
        if (!rule) {
            scrub_free(&s);
            return NULL;
        }
        s->rules[s->n++] = rule;
    }
    return s;
}

void scrub_free(struct scrub **s) {
    if (!*s) {
        return;
    }
    for (unsigned i = 0; i < (*s)->n; i++) {
        pcre2_code_free((*s)->rules[i]);
    }
    mem_free(*s);
    *s = NULL;
}

static bool has_digit(struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] >= '0' && s.ptr[i] <= '9') {
            return true;
        }
    }
    return false;
}

void scrub_secrets_add(struct scrub_secrets *s, struct slice secret) {
    bool is_taken = secret.len >= PLAIN_SECRET_MIN_BYTES ||
                    (secret.len >= SECRET_MIN_BYTES && has_digit(secret));
    for (unsigned i = 0; i < s->n; i++) {
        is_taken &= !slice_eq(s->items[i], secret);
    }
    s->has_more |= is_taken && s->n == SCRUB_MAX_SECRETS;
    if (is_taken && !s->has_more) {
        s->items[s->n++] = secret;
    }
}

/* ---- a job ---- */

void scrub_job_open(struct scrub_job *j, const struct scrub *s, const struct scrub_secrets *secrets,
                    char *body, size_t len) {
    *j = (struct scrub_job){.rules = s, .secrets = secrets, .body = body, .len = len};
    j->match = pcre2_match_data_create(1, NULL);
    j->limits = pcre2_match_context_create(NULL);
    if (!j->match || !j->limits) {
        mem_exhausted(sizeof *j);
    }
    pcre2_set_match_limit(j->limits, MATCH_LIMIT);
    pcre2_set_depth_limit(j->limits, DEPTH_LIMIT);
    pcre2_set_heap_limit(j->limits, HEAP_LIMIT_KB);
}

int scrub_job_close(struct scrub_job *j) {
    pcre2_match_data_free(j->match);
    pcre2_match_context_free(j->limits);
    mem_free(j->marks);
    return j->rc;
}

void scrub_blank(struct scrub_job *j, size_t off, size_t len, char with) {
    for (size_t i = off; i < off + len && i < j->len; i++) {
        bool is_kept = j->body[i] == '\n' || j->body[i] == '\r' ||
                       (with != '*' && !(j->body[i] >= '0' && j->body[i] <= '9'));
        if (!is_kept) {
            j->body[i] = with;
        }
    }
}

void scrub_hide(struct scrub_job *j, size_t off, size_t len, char with) {
    if (j->n_marks == j->cap_marks) {
        j->cap_marks = j->cap_marks ? 2 * j->cap_marks : 16;
        j->marks = mem_realloc(j->marks, j->cap_marks * sizeof *j->marks);
    }
    j->marks[j->n_marks++] = (struct scrub_mark){(uint32_t)off, (uint32_t)len};
    scrub_blank(j, off, len, with);
}

/* ---- views ---- */

void scrub_view_init(struct scrub_view *v, const struct scrub_view *parent) {
    *v = (struct scrub_view){.parent = parent};
    buf_init(&v->text, VIEW_MAX_BYTES);
}

void scrub_view_reset(struct scrub_view *v) {
    buf_reset(&v->text);
    v->n_runs = 0;
    v->is_number = false;
}

void scrub_view_dispose(struct scrub_view *v) {
    buf_dispose(&v->text);
    mem_free(v->runs);
    *v = (struct scrub_view){0};
}

static void add_run(struct scrub_view *v, struct slice text, size_t from, size_t from_len) {
    struct scrub_run *last = v->n_runs > 0 ? &v->runs[v->n_runs - 1] : NULL;
    size_t at = v->text.len;
    if (text.len == 0) {
        return;
    }
    if (buf_append(&v->text, text) < 0) {
        mem_exhausted(text.len);
    }
    if (last && last->len == last->from_len && text.len == from_len &&
        last->from + last->from_len == from) {
        last->len += (uint32_t)text.len;
        last->from_len += (uint32_t)text.len;
        return;
    }
    if (v->n_runs == v->cap_runs) {
        v->cap_runs = v->cap_runs ? 2 * v->cap_runs : 8;
        v->runs = mem_realloc(v->runs, v->cap_runs * sizeof *v->runs);
    }
    v->runs[v->n_runs++] = (struct scrub_run){(uint32_t)at, (uint32_t)text.len, (uint32_t)from,
                                              (uint32_t)from_len};
}

void scrub_view_add(struct scrub_view *v, struct slice text, size_t from) {
    add_run(v, text, from, text.len);
}

void scrub_view_add_gap(struct scrub_view *v, char byte) {
    add_run(v, slice_make(&byte, 1), 0, 0);
}

static int hex4(struct slice s, size_t at) {
    int value = 0;
    if (at + 4 > s.len) {
        return -1;
    }
    for (size_t i = at; i < at + 4; i++) {
        char c = s.ptr[i];
        int digit = c >= '0' && c <= '9' ? c - '0'
                    : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

static size_t put_utf8(char out[4], uint32_t c) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* raw[at] is a backslash. Returns the escape's length, 0 when it is none. */
static size_t read_escape(struct slice raw, size_t at, char out[4], size_t *out_len) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (at + 1 >= raw.len) {
        return 0;
    }
    const char *plain = memchr(from, raw.ptr[at + 1], sizeof from - 1);
    if (plain) {
        out[0] = to[plain - from];
        *out_len = 1;
        return 2;
    }
    int first = raw.ptr[at + 1] == 'u' ? hex4(raw, at + 2) : -1;
    if (first < 0) {
        return 0;
    }
    bool is_high = first >= 0xd800 && first < 0xdc00;
    int second = is_high && at + 7 < raw.len && raw.ptr[at + 6] == '\\' && raw.ptr[at + 7] == 'u'
                     ? hex4(raw, at + 8) : -1;
    if (second >= 0xdc00 && second < 0xe000) {
        *out_len = put_utf8(out, 0x10000u + (((uint32_t)first - 0xd800u) << 10) +
                                     ((uint32_t)second - 0xdc00u));
        return 12;
    }
    *out_len = put_utf8(out, first >= 0xd800 && first < 0xe000 ? 0xfffd : (uint32_t)first);
    return 6;
}

size_t scrub_plain(struct slice raw, char *out, size_t size) {
    size_t n = 0;
    for (size_t at = 0; at < raw.len && n + 4 < size;) {
        size_t decoded = 0, len = raw.ptr[at] == '\\' ? read_escape(raw, at, out + n, &decoded) : 0;
        if (len == 0) {
            out[n] = raw.ptr[at];
            len = decoded = 1;
        }
        n += decoded;
        at += len;
    }
    out[n] = '\0';
    return n;
}

/* An escape that the end of the text has cut. */
static bool is_half_escape(struct slice raw, size_t at) {
    size_t left = raw.len - at;
    return left == 1 || (raw.ptr[at + 1] == 'u' && left < 6);
}

void scrub_view_add_json(struct scrub_view *v, struct slice raw, size_t from) {
    size_t start = 0, at = 0;
    while (at < raw.len) {
        char decoded[4];
        size_t decoded_len = 0;
        const char *found = memchr(raw.ptr + at, '\\', raw.len - at);
        if (!found) {
            break;
        }
        at = (size_t)(found - raw.ptr);
        size_t len = read_escape(raw, at, decoded, &decoded_len);
        if (len == 0 && is_half_escape(raw, at)) {
            raw.len = at;
            break;
        }
        if (len == 0) {
            at++;
            continue;
        }
        scrub_view_add(v, slice_sub(raw, start, at - start), from + start);
        add_run(v, slice_make(decoded, decoded_len), from + at, len);
        at += len;
        start = at;
    }
    scrub_view_add(v, slice_from(raw, start), from + start);
}

/* ---- hiding what a view shows ---- */

static size_t first_run(const struct scrub_view *v, size_t at) {
    size_t low = 0, high = v->n_runs;
    while (low + 1 < high) {
        size_t middle = low + (high - low) / 2;
        if (v->runs[middle].at <= at) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

static void hide_view(struct scrub_job *j, const struct scrub_view *v, size_t start, size_t end) {
    size_t i = v->n_runs > 0 ? first_run(v, start) : 0;
    for (; i < v->n_runs && v->runs[i].at < end; i++) {
        const struct scrub_run *r = &v->runs[i];
        size_t from = r->from, len = r->from_len;
        if (r->len == r->from_len) {
            size_t a = start > r->at ? start - r->at : 0;
            size_t b = end - r->at < r->len ? end - r->at : r->len;
            if (a >= b) {
                continue;
            }
            from += a;
            len = b - a;
        }
        if (len > 0 && v->parent) {
            hide_view(j, v->parent, from, from + len);
        } else if (len > 0) {
            scrub_hide(j, from, len, v->is_number ? '1' : '*');
        }
    }
}

static void found(struct scrub_job *j, const struct scrub_view *v, size_t start, size_t end) {
    if (start < end) {
        hide_view(j, v, start, end);
        j->n_hidden++;
    }
}

/* ---- finding ---- */

static size_t next_char(struct slice s, size_t at) {
    at++;
    while (at < s.len && ((unsigned char)s.ptr[at] & 0xc0) == 0x80) {
        at++;
    }
    return at;
}

/* A secret of which only the beginning came. */
static void scan_cut_end(struct scrub_job *j, const struct scrub_view *v, const pcre2_code *rule,
                         size_t from) {
    struct slice text = buf_slice(&v->text);
    if (text.len - from > CUT_LOOK_BYTES) {
        from = next_char(text, text.len - CUT_LOOK_BYTES);
    }
    int rc = pcre2_match(rule, (PCRE2_SPTR)text.ptr, text.len, from, PCRE2_PARTIAL_SOFT, j->match,
                         j->limits);
    size_t start = pcre2_get_ovector_pointer(j->match)[0];
    if (rc == PCRE2_ERROR_PARTIAL && text.len - start >= CUT_MATCH_MIN_BYTES) {
        found(j, v, start, text.len);
    }
}

static void scan_rule(struct scrub_job *j, const struct scrub_view *v, const pcre2_code *rule,
                      bool may_be_cut) {
    struct slice text = buf_slice(&v->text);
    size_t at = 0;
    while (at < text.len && j->rc == 0) {
        int rc = pcre2_match(rule, (PCRE2_SPTR)text.ptr, text.len, at, 0, j->match, j->limits);
        if (rc == PCRE2_ERROR_NOMATCH) {
            break;
        }
        if (rc < 0) {
            j->rc = -ERR_LIMIT;
            return;
        }
        const PCRE2_SIZE *span = pcre2_get_ovector_pointer(j->match);
        size_t start = span[0], end = span[1];
        found(j, v, start, end);
        at = end > at && end > start ? end : next_char(text, at > end ? at : end);
    }
    if (may_be_cut && j->rc == 0 && at < text.len) {
        scan_cut_end(j, v, rule, at);
    }
}

static void scan_secret(struct scrub_job *j, const struct scrub_view *v, struct slice secret,
                        bool may_be_cut) {
    struct slice text = buf_slice(&v->text);
    for (size_t at = 0; at + secret.len <= text.len;) {
        const char *hit = memmem(text.ptr + at, text.len - at, secret.ptr, secret.len);
        if (!hit) {
            break;
        }
        at = (size_t)(hit - text.ptr);
        found(j, v, at, at + secret.len);
        at += secret.len;
    }
    for (size_t n = secret.len - 1; may_be_cut && n >= CUT_SECRET_MIN_BYTES; n--) {
        if (n <= text.len && memcmp(text.ptr + text.len - n, secret.ptr, n) == 0) {
            found(j, v, text.len - n, text.len);
            break;
        }
    }
}

static void scan_level(struct scrub_job *j, const struct scrub_view *v, bool may_be_cut,
                       unsigned level) {
    if (v->text.len == 0 || j->rc < 0) {
        return;
    }
    for (unsigned i = 0; i < j->rules->n; i++) {
        scan_rule(j, v, j->rules->rules[i], may_be_cut);
    }
    for (unsigned i = 0; i < j->secrets->n; i++) {
        scan_secret(j, v, j->secrets->items[i], may_be_cut);
    }
    if (level + 1 < MAX_LEVELS && memchr(v->text.ptr, '\\', v->text.len)) {
        struct scrub_view inner;
        scrub_view_init(&inner, v);
        scrub_view_add_json(&inner, buf_slice(&v->text), 0);
        if (inner.text.len < v->text.len) {
            scan_level(j, &inner, may_be_cut, level + 1);
        }
        scrub_view_dispose(&inner);
    }
}

void scrub_scan(struct scrub_job *j, const struct scrub_view *v, bool may_be_cut) {
    scan_level(j, v, may_be_cut, 0);
}

/* ---- lines ---- */

int scrub_text(const struct scrub *s, const struct scrub_secrets *secrets, char *text, size_t len) {
    struct scrub_job j;
    struct scrub_view v;
    scrub_job_open(&j, s, secrets, text, len);
    scrub_view_init(&v, NULL);
    scrub_view_add(&v, slice_make(text, len), 0);
    scrub_scan(&j, &v, false);
    scrub_view_dispose(&v);
    return scrub_job_close(&j);
}

/* Who pays, rather than a key; not for others to read all the same. */
static bool is_account(struct slice name) {
    static const char *const names[] = {"openai-organization", "openai-project",
                                        "anthropic-organization-id", "x-amz-security-token"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (slice_eq_nocase(name, slice_cstr(names[i]))) {
            return true;
        }
    }
    return false;
}

int scrub_header(const struct scrub *s, const struct scrub_secrets *secrets, struct slice name,
                 char *value, size_t len) {
    if (!mask_is_secret_name(name) && !is_account(name)) {
        return scrub_target(s, secrets, value, len);     /* it may be a URL: Location */
    }
    size_t from = 0;
    if (slice_eq_nocase(slice_sub(slice_make(value, len), 0, 7), SLICE("bearer ")) ||
        slice_eq_nocase(slice_sub(slice_make(value, len), 0, 6), SLICE("basic "))) {
        from = (size_t)slice_index(slice_make(value, len), ' ') + 1;
    }
    memset(value + from, '*', len - from);
    return 0;
}

int scrub_target(const struct scrub *s, const struct scrub_secrets *secrets, char *target,
                 size_t len) {
    ptrdiff_t mark = slice_index(slice_make(target, len), '?');
    for (size_t at = mark < 0 ? len : (size_t)mark + 1; at < len;) {
        struct slice pair = slice_from(slice_make(target, len), at);
        ptrdiff_t amp = slice_index(pair, '&');
        pair.len = amp < 0 ? pair.len : (size_t)amp;
        ptrdiff_t equals = slice_index(pair, '=');
        struct slice name = slice_sub(pair, 0, equals < 0 ? pair.len : (size_t)equals);
        if (equals >= 0 && (mask_is_secret_name(name) || slice_eq(name, SLICE("key")) ||
                            slice_eq(name, SLICE("sig")) || slice_eq(name, SLICE("token")))) {
            memset(target + at + equals + 1, '*', pair.len - (size_t)equals - 1);
        }
        at += pair.len + 1;
    }
    return scrub_text(s, secrets, target, len);
}
