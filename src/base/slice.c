/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slice.h"

static unsigned char lower(char c) {
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool slice_eq_nocase_bytes(const char *a, const char *b, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (a[i] != b[i] && lower(a[i]) != lower(b[i])) return false;
    }
    return true;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice s) {
    while (s.len > 0 && is_blank(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.ptr[s.len - 1])) s.len--;
    return s;
}

ptrdiff_t slice_index(struct slice s, char byte) {
    const char *hit = s.len > 0 ? memchr(s.ptr, byte, s.len) : NULL;
    return hit ? hit - s.ptr : -1;
}

bool slice_to_u64(struct slice s, uint64_t max, uint64_t *out_value) {
    uint64_t value = 0;
    if (s.len == 0) return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') return false;
        unsigned digit = (unsigned)(s.ptr[i] - '0');
        if (value > max / 10 || digit > max - value * 10) return false;
        value = value * 10 + digit;
    }
    *out_value = value;
    return true;
}

/* ---- glob ----
 * One resume point, at the last star, is enough: an earlier star can take nothing that the last one
 * could not. That bounds the work by pattern bytes times text bytes. */

struct glob {
    struct slice pattern;
    size_t unclosed_at; /* a '[' at or after this offset has no ']' and is literal */
};

/* One byte of a class, escapes resolved; moves *pos past it. */
static unsigned char class_byte(struct slice p, size_t *pos) {
    if (p.ptr[*pos] == '\\' && *pos + 1 < p.len) ++*pos;
    return (unsigned char)p.ptr[(*pos)++];
}

/* Matches the class that opens at *pos, and moves *pos behind its ']'. -1 when it never closes. */
static int class_match(struct slice p, size_t *pos, unsigned char c) {
    size_t i = *pos + 1;
    bool negated = i < p.len && p.ptr[i] == '!', hit = false;
    if (negated) i++;
    for (size_t first = i; i < p.len;) {
        if (p.ptr[i] == ']' && i > first) {
            *pos = i + 1;
            return hit != negated;
        }
        unsigned char low = class_byte(p, &i), high = low;
        if (i + 1 < p.len && p.ptr[i] == '-' && p.ptr[i + 1] != ']') {
            i++;
            high = class_byte(p, &i);
        }
        if (low <= c && c <= high) hit = true;
    }
    return -1;
}

/* Does the pattern element at *pos (not a star) match c? Moves *pos behind the element. */
static bool glob_match_one(struct glob *g, size_t *pos, char c) {
    struct slice p = g->pattern;
    if (p.ptr[*pos] == '?') {
        ++*pos;
        return true;
    }
    if (p.ptr[*pos] == '[' && *pos < g->unclosed_at) {
        int hit = class_match(p, pos, (unsigned char)c);
        if (hit >= 0) return hit;
        g->unclosed_at = *pos;
    }
    if (p.ptr[*pos] == '\\' && *pos + 1 < p.len) ++*pos;
    return p.ptr[(*pos)++] == c;
}

bool slice_glob(struct slice pattern, struct slice text) {
    struct glob g = {pattern, pattern.len};
    size_t p = 0, t = 0, star_p = SIZE_MAX, star_t = 0;
    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star_p = ++p;
            star_t = t;
            continue;
        }
        if (p < pattern.len && glob_match_one(&g, &p, text.ptr[t])) {
            t++;
            continue;
        }
        if (star_p == SIZE_MAX) return false;
        p = star_p;
        t = ++star_t;
    }
    while (p < pattern.len && pattern.ptr[p] == '*') p++;
    return p == pattern.len;
}

/* ---- UTF-8 ---- */

static bool is_tail(unsigned char c) {
    return (c & 0xc0) == 0x80;
}

/* Length of the well-formed sequence at p (Unicode table 3-7), 0 when there is none. */
static size_t utf8_sequence(const unsigned char *p, size_t room) {
    unsigned char lead = p[0];
    if (lead < 0x80) return 1;
    if (lead < 0xc2 || lead > 0xf4) return 0;
    if (lead < 0xe0) return room >= 2 && is_tail(p[1]) ? 2 : 0;
    unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (room < 3 || p[1] < low || p[1] > high || !is_tail(p[2])) return 0;
    if (lead < 0xf0) return 3;
    return room >= 4 && is_tail(p[3]) ? 4 : 0;
}

static size_t ascii_run(const unsigned char *p, size_t len) {
    const uint64_t high_bits = UINT64_C(0x8080808080808080);
    size_t i = 0;
    while (len - i >= 32) {
        uint64_t w[4];
        memcpy(w, p + i, sizeof w);
        if ((w[0] | w[1] | w[2] | w[3]) & high_bits) break;
        i += 32;
    }
    while (len - i >= 8) {
        uint64_t w;
        memcpy(&w, p + i, sizeof w);
        if (w & high_bits) break;
        i += 8;
    }
    while (i < len && p[i] < 0x80) i++;
    return i;
}

size_t slice_utf8_valid(struct slice s) {
    const unsigned char *p = (const unsigned char *)s.ptr;
    size_t i = 0;
    while (i < s.len) {
        if (p[i] < 0x80) {
            i += ascii_run(p + i, s.len - i);
            continue;
        }
        size_t n = utf8_sequence(p + i, s.len - i);
        if (n == 0) return i;
        i += n;
    }
    return s.len;
}
