/* SPDX-License-Identifier: Apache-2.0 */
/* The patterns, with U = Lu Lt Lm Lo M, L = Ll Lm Lo M, W = any letter, S = white space,
 * P = anything but \r, \n, letters and numbers, X = anything but white space, letters and numbers,
 * T = 's 't 're 've 'm 'll 'd in any case; the first alternative that matches wins:
 *
 *   o200k    P? U* L+ T? | P? U+ L* T? | N{1,3} |  ?X+ [\r\n/]* | S* [\r\n]+ | S+(?!\S) | S+
 *   cl100k   T | P? W+ | N{1,3} |  ?X+ [\r\n]* | S+$ | S* [\r\n] | S+(?!\S) | S
 */
#include "token/pretoken.h"

#define BIT(class) (1u << (class))

enum {
    UPPERS = BIT(CLASS_UPPER) | BIT(CLASS_LETTER) | BIT(CLASS_MARK),
    LOWERS = BIT(CLASS_LOWER) | BIT(CLASS_LETTER) | BIT(CLASS_MARK),
    BOTH = BIT(CLASS_LETTER) | BIT(CLASS_MARK),
    LETTERS = BIT(CLASS_UPPER) | BIT(CLASS_LOWER) | BIT(CLASS_LETTER),
    MARKS = BIT(CLASS_OTHER) | BIT(CLASS_MARK),
};

struct cursor {
    const struct class_map *map;
    struct slice text;
    bool is_all;
    bool saw_end;                    /* something was asked about what lies behind the text */
};

static unsigned byte_at(struct slice s, size_t at) {
    return (unsigned char)s.ptr[at];
}

/* Of the sequence that a byte from 0xc2 on begins: its length, and the bounds of its second byte
 * (Unicode table 3-7). 0: it begins none. */
static unsigned sequence_len(unsigned lead, unsigned *out_low, unsigned *out_high) {
    *out_low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    *out_high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    return lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
}

/* As code_point_len, for a byte that is not ASCII; *out_code only for a whole sequence. */
static size_t decode(struct slice s, size_t at, uint32_t *out_code) {
    unsigned low, high, lead = byte_at(s, at);
    unsigned len = sequence_len(lead, &low, &high);
    if (len == 0) {
        return 1;
    }
    uint32_t code = lead & (0x7fu >> len);
    for (unsigned i = 1; i < len; i++) {
        if (at + i >= s.len) {
            return 0;
        }
        unsigned b = byte_at(s, at + i);
        if (b < low || b > high) {
            return 1;
        }
        low = 0x80;
        high = 0xbf;
        code = code << 6 | (b & 0x3f);
    }
    *out_code = code;
    return len;
}

size_t code_point_len(struct slice text) {
    uint32_t code;
    return text.len == 0 ? 0 : byte_at(text, 0) < 0x80 ? 1 : decode(text, 0, &code);
}

static enum class foreign_class(struct cursor *c, size_t at, size_t *out_len) {
    uint32_t code = 0;
    size_t len = decode(c->text, at, &code);
    *out_len = len;
    if (len == 0) {
        *out_len = c->is_all;
        c->saw_end = true;
        return c->is_all ? CLASS_OTHER : CLASS_END;
    }
    return len == 1 ? CLASS_OTHER : class_of(c->map, code);
}

/* Class and length of the code point at a place, which may be the end. */
static inline enum class class_at(struct cursor *c, size_t at, size_t *out_len) {
    if (at >= c->text.len) {
        c->saw_end = true;
        *out_len = 0;
        return CLASS_END;
    }
    unsigned b = byte_at(c->text, at);
    if (b < 0x80) {
        *out_len = 1;
        return (enum class)c->map->blocks[b];
    }
    return foreign_class(c, at, out_len);
}

/* The byte at a place, or 0x100 at the end. */
static unsigned peek(struct cursor *c, size_t at) {
    if (at >= c->text.len) {
        c->saw_end = true;
        return 0x100;
    }
    return byte_at(c->text, at);
}

/* Where a run of these classes ends. */
static size_t run_end(struct cursor *c, size_t at, unsigned classes) {
    size_t len;
    while (BIT(class_at(c, at, &len)) & classes) {
        at += len;
    }
    return at;
}

/* Length of T: 's 't 'm 'd 're 've 'll in any case, 0 when there is none. The long s is an s when
 * case does not count. */
static size_t contraction_len(struct cursor *c, size_t at) {
    if (peek(c, at) != '\'') {
        return 0;
    }
    unsigned b = peek(c, at + 1);
    switch (b < 0x80 ? b | 0x20 : b) {
    case 's':
    case 't':
    case 'm':
    case 'd':
        return 2;
    case 'r':
    case 'v':
        return (peek(c, at + 2) | 0x20) == 'e' ? 3 : 0;
    case 'l':
        return (peek(c, at + 2) | 0x20) == 'l' ? 3 : 0;
    case 0xc5:
        return peek(c, at + 2) == 0xbf ? 3 : 0;
    default:
        return 0;
    }
}

/* U* L+ and U+ L* from a place: where they end, 0 when they do not match. */
struct word_ends {
    size_t lower, upper;
};

static struct word_ends o200k_word(struct cursor *c, size_t start) {
    struct word_ends ends = {0, 0};
    size_t at = start, len;
    enum class class;
    while (BIT(class = class_at(c, at, &len)) & UPPERS) {
        at += len;
        if (BIT(class) & BOTH) {
            ends.lower = at;         /* U* gives back what L+ needs at least */
        }
    }
    if (class == CLASS_LOWER) {
        ends.lower = run_end(c, at, LOWERS);
    }
    ends.upper = at > start ? at : 0;
    return ends;
}

/* The first two alternatives of o200k but for T; 0: neither matches. */
static size_t o200k_words_end(struct cursor *c, enum class first, size_t first_len) {
    struct word_ends bare = {0, 0}, led = {0, 0};
    if (BIT(first) & LETTERS) {
        bare = o200k_word(c, 0);
    } else if (first != CLASS_NUMBER && peek(c, 0) != '\r' && peek(c, 0) != '\n') {
        led = o200k_word(c, first_len);
    }
    if (led.lower == 0 && first == CLASS_MARK) {
        bare = o200k_word(c, 0);     /* a mark both leads and belongs to a word */
    }
    return led.lower ? led.lower : bare.lower ? bare.lower : led.upper ? led.upper : bare.upper;
}

/* P? W+ of cl100k; 0: it does not match. */
static size_t cl100k_word_end(struct cursor *c, enum class first, size_t first_len) {
    if (BIT(first) & LETTERS) {
        return run_end(c, first_len, LETTERS);
    }
    if (first == CLASS_NUMBER || peek(c, 0) == '\r' || peek(c, 0) == '\n') {
        return 0;
    }
    size_t end = run_end(c, first_len, LETTERS);
    return end > first_len ? end : 0;
}

static size_t number_end(struct cursor *c, size_t at) {
    size_t len;
    for (unsigned n = 1; n < 3 && class_at(c, at, &len) == CLASS_NUMBER; n++) {
        at += len;
    }
    return at;
}

/* ' '? X+ and the line ends behind it; 0: it does not match. */
static size_t marks_end(struct cursor *c, bool with_slash) {
    size_t start = peek(c, 0) == ' ';
    size_t at = run_end(c, start, MARKS);
    if (at == start) {
        return 0;
    }
    for (unsigned b; (b = peek(c, at)) == '\r' || b == '\n' || (with_slash && b == '/');) {
        at++;
    }
    return at;
}

/* A run of white space goes to its last line end; without one, the last blank belongs to what
 * follows. */
static size_t space_end(struct cursor *c, bool is_cl100k) {
    size_t at = 0, last = 0, line_end = 0, len;
    while (class_at(c, at, &len) == CLASS_SPACE) {
        last = at;
        at += len;
        if (byte_at(c->text, last) == '\n' || byte_at(c->text, last) == '\r') {
            line_end = at;
        }
    }
    bool is_last = at == c->text.len;
    if (line_end && !(is_cl100k && is_last)) {
        return line_end;
    }
    return is_last || last == 0 ? at : last;
}

static size_t o200k_len(struct cursor *c) {
    size_t len, end;
    enum class first = class_at(c, 0, &len);
    if ((end = o200k_words_end(c, first, len)) > 0) {
        return end + contraction_len(c, end);
    }
    if (first == CLASS_NUMBER) {
        return number_end(c, len);
    }
    return (end = marks_end(c, true)) > 0 ? end : space_end(c, false);
}

static size_t cl100k_len(struct cursor *c) {
    size_t len, end = contraction_len(c, 0);
    enum class first = class_at(c, 0, &len);
    if (end > 0 || (end = cl100k_word_end(c, first, len)) > 0) {
        return end;
    }
    if (first == CLASS_NUMBER) {
        return number_end(c, len);
    }
    return (end = marks_end(c, false)) > 0 ? end : space_end(c, true);
}

size_t pretoken_len(const struct pretokenizer *p, struct slice text, bool is_all,
                    bool *out_is_sure) {
    struct cursor c = {.map = p->map, .text = text, .is_all = is_all};
    size_t len = p->is_cl100k ? cl100k_len(&c) : o200k_len(&c);
    *out_is_sure = is_all || !c.saw_end;
    return len;
}
