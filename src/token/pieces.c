/* SPDX-License-Identifier: Apache-2.0 */
#include "token/pieces.h"

enum { WORD_BYTES = 12, MARK_BYTES = 3 };

static bool is_blank(unsigned char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static bool is_word(unsigned char c) {
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c >= 0x80;
}

/* Whole code points only: a limit inside a UTF-8 sequence moves to its end. */
static size_t to_code_point_end(struct slice text, size_t at) {
    while (at < text.len && ((unsigned char)text.ptr[at] & 0xc0) == 0x80) {
        at++;
    }
    return at;
}

static size_t word_len(struct slice text, size_t at) {
    size_t end = at;
    while (end < text.len && end - at < WORD_BYTES && is_word((unsigned char)text.ptr[end])) {
        end++;
    }
    return to_code_point_end(text, end);
}

static size_t mark_len(struct slice text, size_t at) {
    size_t end = at;
    while (end < text.len && end - at < MARK_BYTES && text.ptr[end] == text.ptr[at]) {
        end++;
    }
    return end;
}

static size_t blank_len(struct slice text) {
    size_t end = 0;
    while (end < text.len && is_blank((unsigned char)text.ptr[end])) {
        end++;
    }
    /* The space right before a word belongs to the word. */
    bool leads_word = end < text.len && end > 1 && text.ptr[end - 1] == ' ';
    return leads_word ? end - 1 : end;
}

size_t piece_len(struct slice text) {
    if (text.len == 0) {
        return 0;
    }
    size_t at = text.ptr[0] == ' ' ? 1 : 0;
    if (at == text.len || is_blank((unsigned char)text.ptr[at])) {
        return blank_len(text);
    }
    return is_word((unsigned char)text.ptr[at]) ? word_len(text, at) : mark_len(text, at);
}
