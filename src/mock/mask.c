/* SPDX-License-Identifier: Apache-2.0 */
#include "mock/mask.h"

#include <openssl/sha.h>

#include "dialect/json_text.h"

enum { SHOWN_BYTES = 4, SHOWN_MIN_BYTES = 16, HASH_BYTES = 8, NAME_BYTES = 64 };

/* ---- one secret ---- */

static bool is_token_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

/* What RFC 6750 lets a bearer token be made of. */
static bool is_bearer_char(char c) {
    return is_token_char(c) || c == '.' || c == '/' || c == '+' || c == '=' || c == '~';
}

static int append_hash(struct buf *out, struct slice secret) {
    unsigned char hash[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)(secret.ptr ? secret.ptr : ""), secret.len, hash);
    int rc = buf_append(out, SLICE("*** sha256:"));
    for (unsigned i = 0; i < HASH_BYTES; i++) {
        rc |= buf_appendf(out, "%02x", (unsigned)hash[i]);
    }
    return rc;
}

static int append_masked(struct buf *out, struct slice secret) {
    bool shows = secret.len >= SHOWN_MIN_BYTES;
    for (unsigned i = 0; shows && i < SHOWN_BYTES; i++) {
        shows = is_token_char(secret.ptr[i]);
    }
    int rc = shows ? buf_append(out, slice_sub(secret, 0, SHOWN_BYTES)) : 0;
    return append_hash(out, secret) | rc;
}

static bool is_scheme(struct slice word) {
    static const char *const schemes[] = {"bearer", "basic", "digest", "token", "apikey"};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (slice_eq_nocase(word, slice_cstr(schemes[i]))) {
            return true;
        }
    }
    return false;
}

/* "Bearer KEY": the scheme stays. */
static int append_credential(struct buf *out, struct slice value) {
    ptrdiff_t blank = slice_index(value, ' ');
    int rc = 0;
    if (blank > 0 && is_scheme(slice_sub(value, 0, (size_t)blank))) {
        rc = buf_append(out, slice_sub(value, 0, (size_t)blank + 1));
        value = slice_trim(slice_from(value, (size_t)blank));
    }
    return (append_masked(out, value) | rc) < 0 ? -ERR_LIMIT : 0;
}

/* ---- by name ---- */

bool mask_is_secret_name(struct slice name) {
    static const char *const endings[] = {"api_key",       "apikey",       "authorization",
                                          "secret",        "password",     "passwd",
                                          "access_token",  "auth_token",   "refresh_token",
                                          "bearer_token",  "api_token",    "authorization_token",
                                          "secret_key",    "private_key",  "cookie",
                                          "security_token"};
    char plain[NAME_BYTES];
    if (name.len > NAME_BYTES) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        plain[i] = c == '-' ? '_' : (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    }
    struct slice all = slice_make(plain, name.len);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        struct slice end = slice_cstr(endings[i]);
        bool fits = all.len >= end.len && slice_eq(slice_from(all, all.len - end.len), end);
        if (fits && (all.len == end.len || plain[all.len - end.len - 1] == '_')) {
            return true;
        }
    }
    return slice_eq(all, SLICE("x_goog_api_key"));
}

/* ---- by form ---- */

static const struct form {
    const char *prefix;
    unsigned min_bytes;              /* behind the prefix */
} forms[] = {
    {"sk-", 12},   {"sk_live_", 12}, {"sk_test_", 12},    {"pk-", 20},     {"rk-", 20},
    {"gsk_", 20},  {"xai-", 20},     {"pplx-", 20},       {"AIza", 30},    {"AKIA", 16},
    {"ghp_", 20},  {"gho_", 20},     {"ghs_", 20},        {"ghu_", 20},    {"github_pat_", 20},
    {"glpat-", 16}, {"xoxb-", 16},   {"xoxp-", 16},       {"hf_", 20},     {"r8_", 20},
    {"eyJ", 40},
};

static size_t run_of(struct slice s, bool (*is_char)(char c)) {
    size_t n = 0;
    while (n < s.len && is_char(s.ptr[n])) n++;
    return n;
}

/* Bytes of the key that s begins with; 0: with none. */
static size_t key_at(struct slice s) {
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct slice prefix = slice_cstr(forms[i].prefix);
        if (!slice_starts_with(s, prefix)) {
            continue;
        }
        bool is_jwt = forms[i].prefix[0] == 'e';
        size_t run = run_of(s, is_jwt ? is_bearer_char : is_token_char);
        if (run >= prefix.len + forms[i].min_bytes) {
            return run;
        }
    }
    return 0;
}

static bool has_digit(struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] >= '0' && s.ptr[i] <= '9') return true;
    }
    return false;
}

/* Bytes of the token behind "Bearer ", where there is one that is no word of a sentence. */
static size_t bearer_at(struct slice s) {
    struct slice scheme = SLICE("bearer ");
    if (s.len <= scheme.len || !slice_eq_nocase(slice_sub(s, 0, scheme.len), scheme)) {
        return 0;
    }
    struct slice rest = slice_from(s, scheme.len);
    struct slice token = slice_sub(rest, 0, run_of(rest, is_bearer_char));
    return token.len >= 20 || (token.len >= 8 && has_digit(token)) ? token.len : 0;
}

/* Where a key may begin: letters that other than few keys begin with are passed over quickly. */
static bool may_begin(char c) {
    return memchr("sprgxAhebBE", c, 11) != NULL;
}

/* is_json: a backslash begins an escape, which is no part of a word. */
static int mask_run(struct buf *out, struct slice s, bool is_json) {
    size_t from = 0, at = 0;
    bool is_border = true;
    int rc = 0;
    while (at < s.len) {
        char c = s.ptr[at];
        struct slice rest = slice_from(s, at);
        size_t bearer = is_border && may_begin(c) ? bearer_at(rest) : 0;
        size_t skipped = bearer > 0 ? sizeof "bearer " - 1 : 0;
        size_t secret = bearer > 0 ? bearer : is_border && may_begin(c) ? key_at(rest) : 0;
        if (secret > 0) {
            rc |= buf_append(out, slice_sub(s, from, at + skipped - from)) |
                  append_masked(out, slice_sub(s, at + skipped, secret));
            at += skipped + secret;
            from = at;
            continue;
        }
        if (is_json && c == '\\') {
            at += rest.len > 1 && rest.ptr[1] == 'u' ? 6 : 2;
            is_border = true;
            continue;
        }
        is_border = !is_token_char(c);
        at++;
    }
    return rc | buf_append(out, slice_from(s, from));
}

int mask_text(struct buf *out, struct slice text) {
    return mask_run(out, text, false) < 0 ? -ERR_LIMIT : 0;
}

int mask_header(struct buf *out, struct slice name, struct slice value) {
    return mask_is_secret_name(name) ? append_credential(out, value) : mask_text(out, value);
}

/* ---- JSON ---- */

static bool is_key(struct slice json, size_t end) {
    end = json_text_skip_space(json, end);
    return end < json.len && json.ptr[end] == ':';
}

/* A string with its quotes; the last one may be cut off. */
static int mask_string(struct buf *out, struct slice token, bool is_secret) {
    bool is_closed = token.len > 1 && token.ptr[token.len - 1] == '"';
    struct slice inner = slice_sub(token, 1, token.len - (is_closed ? 2 : 1));
    int rc = buf_append_byte(out, '"');
    rc |= is_secret && inner.len > 0 ? append_credential(out, inner) : mask_run(out, inner, true);
    return rc | (is_closed ? buf_append_byte(out, '"') : 0);
}

int mask_json(struct buf *out, struct slice json) {
    bool is_secret = false;
    size_t from = 0, at = 0;
    int rc = 0;
    while (at < json.len && rc == 0) {
        if (json.ptr[at] != '"') {
            is_secret &= json.ptr[at] == ' ' || json.ptr[at] == ':' || json.ptr[at] == '\n' ||
                         json.ptr[at] == '\t' || json.ptr[at] == '\r';
            at++;
            continue;
        }
        size_t end = json_text_value_end(json, at);
        struct slice token = slice_sub(json, at, end - at);
        bool names = is_key(json, end);
        rc = buf_append(out, slice_sub(json, from, at - from)) |
             mask_string(out, token, is_secret && !names);
        is_secret = names && token.len > 2 &&
                    mask_is_secret_name(slice_sub(token, 1, token.len - 2));
        at = from = end;
    }
    rc |= buf_append(out, slice_from(json, from));
    return rc < 0 ? -ERR_LIMIT : 0;
}

/* ---- queries ---- */

int mask_query(struct buf *out, struct slice query) {
    int rc = 0;
    while (query.len > 0) {
        ptrdiff_t amp = slice_index(query, '&');
        struct slice pair = amp < 0 ? query : slice_sub(query, 0, (size_t)amp);
        ptrdiff_t equals = slice_index(pair, '=');
        struct slice name = equals < 0 ? pair : slice_sub(pair, 0, (size_t)equals);
        struct slice value = equals < 0 ? SLICE_NULL : slice_from(pair, (size_t)equals + 1);
        bool is_secret = slice_eq(name, SLICE("key")) || mask_is_secret_name(name);
        rc |= buf_append(out, slice_sub(pair, 0, pair.len - value.len));
        rc |= is_secret && value.len > 0 ? append_masked(out, value) : mask_text(out, value);
        rc |= amp < 0 ? 0 : buf_append_byte(out, '&');
        query = amp < 0 ? SLICE_NULL : slice_from(query, (size_t)amp + 1);
    }
    return rc < 0 ? -ERR_LIMIT : 0;
}
