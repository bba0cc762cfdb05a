/* SPDX-License-Identifier: Apache-2.0 */
/* Borrowed bytes: a pointer and a length, passed by value. Never NUL-terminated by contract, never
 * owned. */
#ifndef PENSTOCK_BASE_SLICE_H
#define PENSTOCK_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *ptr;
    size_t len;
};

/* A span is a place inside some buffer: it survives the buffer's moving. */
struct span {
    uint32_t off, len;
};

#define SLICE(literal) ((struct slice){"" literal, sizeof(literal) - 1})
#define SLICE_NULL ((struct slice){NULL, 0})
/* For printf's "%.*s". */
#define SLICE_FMT(s) (int)(s).len, (s).ptr

static inline struct slice slice_make(const char *ptr, size_t len) {
    return (struct slice){ptr, len};
}
static inline struct slice slice_cstr(const char *text) {
    return text ? (struct slice){text, strlen(text)} : SLICE_NULL;
}
static inline bool slice_is_empty(struct slice s) {
    return s.len == 0;
}
static inline bool slice_eq(struct slice a, struct slice b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}
static inline bool slice_starts_with(struct slice s, struct slice prefix) {
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}
/* The rest from `off`; empty when off is past the end. */
static inline struct slice slice_from(struct slice s, size_t off) {
    if (s.len == 0) return s; /* a NULL pointer stays one: adding 0 to it is undefined */
    return off >= s.len ? (struct slice){s.ptr + s.len, 0}
                        : (struct slice){s.ptr + off, s.len - off};
}
static inline struct slice slice_sub(struct slice s, size_t off, size_t len) {
    s = slice_from(s, off);
    return (struct slice){s.ptr, len < s.len ? len : s.len};
}

/* ASCII case-insensitive equality (header names, schemes). */
bool slice_eq_nocase_bytes(const char *a, const char *b, size_t len);
static inline bool slice_eq_nocase(struct slice a, struct slice b) {
    return a.len == b.len && slice_eq_nocase_bytes(a.ptr, b.ptr, a.len);
}
/* FNV-1a over the slice, on from h; SLICE_HASH_START for the first. For telling texts apart that
 * nobody gains by confusing: who chooses the text can find two with one hash. */
#define SLICE_HASH_START UINT64_C(0xcbf29ce484222325)
#define SLICE_HASH_PRIME UINT64_C(0x100000001b3)
static inline uint64_t slice_hash(uint64_t h, struct slice s) {
    for (size_t i = 0; i < s.len; i++) h = (h ^ (unsigned char)s.ptr[i]) * SLICE_HASH_PRIME;
    return h;
}
/* The same of an id, for places where 0 means that there is none: an empty one's is 0. */
static inline uint64_t slice_hash_id(struct slice s) {
    uint64_t h = slice_hash(SLICE_HASH_START, s);
    return s.len == 0 ? 0 : h ? h : 1;
}
/* Nothing but ' ', \t, \n, \v, \f, \r. */
static inline bool slice_is_blank(struct slice s) {
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] != ' ' && (s.ptr[i] < '\t' || s.ptr[i] > '\r')) return false;
    return true;
}
/* Without leading and trailing SP and HTAB. */
struct slice slice_trim(struct slice s);
/* Index of the byte, or -1. */
ptrdiff_t slice_index(struct slice s, char byte);
/* Decimal digits only, whole slice, no sign. False when empty, foreign, or above max. */
bool slice_to_u64(struct slice s, uint64_t max, uint64_t *out_value);
/* Shell-like glob: '*' any run, '?' one byte, [a-z] and [!a-z] classes, '\' escapes. Takes at most
 * pattern.len times text.len steps, however many stars there are: who lets others write patterns
 * bounds their length. */
bool slice_glob(struct slice pattern, struct slice text);
/* The same of a filter: an empty one lets everything through. */
static inline bool slice_glob_or_any(struct slice pattern, struct slice text) {
    return pattern.len == 0 || slice_glob(pattern, text);
}
/* Offset of the first byte that is not well-formed UTF-8 (Unicode table 3-7), or len when all is
 * well. A sequence cut by the end counts as ill-formed at its start. */
size_t slice_utf8_valid(struct slice s);

#endif
