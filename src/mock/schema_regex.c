/* SPDX-License-Identifier: Apache-2.0 */
/* The pattern is read from left to right and said at once: an alternative is chosen before its
 * group is read, the others are skipped; a repeat reads its atom as often as it is said. */
#include "mock/schema_regex.h"

enum {
    MAX_DEPTH = 24,
    MAX_SAID_BYTES = 4096,
    MAX_PATTERN_BYTES = 2048,        /* a longer one is not matched either */
    MAX_STEPS = 20000,               /* atoms, and members of classes */
    ASCII = 128,
    MAX_REPEAT = 512
};

struct saying {
    const struct regex_say *how;
    struct slice text;
    size_t at;
    struct buf *out;
    size_t before;           /* of out, when it began */
    unsigned depth, steps;
    bool is_silent;          /* reading over what is not said */
    int rc;
};

static void say_alternatives(struct saying *s);

static bool is_at_end(const struct saying *s) {
    return s->at >= s->text.len || s->rc != 0;
}

static char peek(const struct saying *s) {
    return s->at < s->text.len ? s->text.ptr[s->at] : '\0';
}

static bool take(struct saying *s, const char *word) {
    if (!slice_starts_with(slice_from(s->text, s->at), slice_cstr(word))) {
        return false;
    }
    s->at += strlen(word);
    return true;
}

static void fail(struct saying *s) {
    s->rc = s->rc ? s->rc : -ERR_USAGE;
}

/* ---- characters ---- */

static void say_point(struct saying *s, uint32_t c) {
    char utf8[4];
    size_t n = 0;
    if (s->is_silent || s->rc) {
        return;
    }
    if (c < 0x80) {
        utf8[n++] = (char)c;
    } else if (c < 0x800) {
        utf8[n++] = (char)(0xc0 | c >> 6);
        utf8[n++] = (char)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        utf8[n++] = (char)(0xe0 | c >> 12);
        utf8[n++] = (char)(0x80 | (c >> 6 & 63));
        utf8[n++] = (char)(0x80 | (c & 63));
    } else {
        utf8[n++] = (char)(0xf0 | c >> 18);
        utf8[n++] = (char)(0x80 | (c >> 12 & 63));
        utf8[n++] = (char)(0x80 | (c >> 6 & 63));
        utf8[n++] = (char)(0x80 | (c & 63));
    }
    s->rc = s->out->len - s->before > MAX_SAID_BYTES ? -ERR_LIMIT
                                                     : buf_append(s->out, slice_make(utf8, n));
}

static uint32_t take_point(struct saying *s) {
    unsigned char lead = (unsigned char)peek(s);
    unsigned more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
    uint32_t c = more == 3 ? lead & 7u : more == 2 ? lead & 15u : more == 1 ? lead & 31u : lead;
    s->at++;
    while (more-- > 0 && s->at < s->text.len) {
        c = c << 6 | ((unsigned char)s->text.ptr[s->at++] & 63u);
    }
    return c;
}

static uint32_t take_hex(struct saying *s, unsigned digits) {
    uint32_t c = 0;
    for (unsigned i = 0; i < digits; i++) {
        char d = peek(s);
        uint32_t v = d >= '0' && d <= '9' ? (uint32_t)(d - '0') : (uint32_t)((d | 32) - 'a' + 10);
        if (v > 15) {
            fail(s);
            return 0;
        }
        c = c << 4 | v;
        s->at++;
    }
    return c;
}

/* A set of characters: those of ASCII, and the first range beyond. */
struct set {
    bool has[ASCII];
    uint32_t low, high;
};

static void set_range(struct set *t, uint32_t from, uint32_t to) {
    for (uint32_t c = from; c <= to && c < ASCII; c++) {
        t->has[c] = true;
    }
    if (to >= ASCII && t->high == 0) {
        t->low = from < ASCII ? ASCII + 0x40 : from;
        t->high = to;
    }
}

static void set_invert(struct set *t) {
    for (uint32_t c = 0; c < ASCII; c++) {
        t->has[c] = c >= ' ' && c < 127 && !t->has[c];
    }
    t->low = t->high = 0;
}

static void set_class(struct set *t, char name) {
    struct set own = {.low = 0};
    char lower = (char)(name | 32);
    if (lower == 'd' || lower == 'w') {
        set_range(&own, '0', '9');
    }
    if (lower == 'w') {
        set_range(&own, 'a', 'z');
        set_range(&own, 'A', 'Z');
        own.has['_'] = true;
    } else if (lower == 's') {
        own.has[' '] = own.has['\t'] = own.has['\n'] = true;
    }
    if (name != lower) {
        set_invert(&own);
    }
    for (uint32_t c = 0; c < ASCII; c++) {
        t->has[c] |= own.has[c];
    }
}

static bool is_class_name(char c) {
    return c != '\0' && strchr("dDwWsS", c) != NULL;
}

/* Behind a backslash that is no class. */
static uint32_t take_escaped(struct saying *s) {
    static const char names[] = "tnrfv0", means[] = {'\t', '\n', '\r', '\f', '\v', '\0'};
    char c = peek(s);
    const char *name = c ? strchr(names, c) : NULL;
    if (name) {
        s->at++;
        return (unsigned char)means[name - names];
    }
    if (take(s, "x")) {
        return take_hex(s, 2);
    }
    if (take(s, "u")) {
        return take_hex(s, 4);
    }
    bool is_strange = (c >= '1' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
    if (is_strange || s->at >= s->text.len) {      /* back references, \p{…}, \b inside */
        fail(s);
    }
    return take_point(s);
}

/* Plain ones first: letters and digits, when the set has any. */
static unsigned count_of(const struct set *t, bool plain_only) {
    unsigned n = 0;
    for (uint32_t c = 0; c < ASCII; c++) {
        bool is_plain = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
        n += t->has[c] && (is_plain || !plain_only);
    }
    return n;
}

static void say_one_of(struct saying *s, const struct set *t) {
    unsigned plain = count_of(t, true), all = count_of(t, false);
    bool plain_only = plain > 0 && !s->how->is_wild;
    unsigned n = plain_only ? plain : all;
    if (s->is_silent || s->rc) {
        return;
    }
    if (n == 0) {
        bool is_range =
            t->high >= t->low && t->low >= ASCII && !(t->low >= 0xd800 && t->low < 0xe000);
        if (is_range) {
            uint32_t most = t->low < 0xd800 && t->high >= 0xd800 ? 0xd7ff : t->high;
            say_point(s, t->low + (uint32_t)rng_below(s->how->rng, most - t->low + 1));
        } else {
            fail(s);
        }
        return;
    }
    unsigned pick = (unsigned)rng_below(s->how->rng, n);
    for (uint32_t c = 0; c < ASCII; c++) {
        bool is_plain = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
        if (t->has[c] && (is_plain || !plain_only) && pick-- == 0) {
            say_point(s, c);
            return;
        }
    }
}

/* One member of a class in brackets, and whether it was one that names several. */
static uint32_t take_member(struct saying *s, struct set *t, bool *out_is_class) {
    *out_is_class = false;
    if (!take(s, "\\")) {
        return take_point(s);
    }
    if (is_class_name(peek(s))) {
        set_class(t, peek(s));
        s->at++;
        *out_is_class = true;
        return 0;
    }
    if (take(s, "b")) {
        return '\b';
    }
    return peek(s) == '-' ? take_point(s) : take_escaped(s);
}

static void say_brackets(struct saying *s) {
    struct set t = {.low = 0};
    bool is_inverse = take(s, "^"), is_class;
    while (!is_at_end(s) && peek(s) != ']') {
        s->steps++;
        uint32_t from = take_member(s, &t, &is_class), to = from;
        if (is_class) {
            continue;
        }
        bool is_range = peek(s) == '-' && s->at + 1 < s->text.len && s->text.ptr[s->at + 1] != ']';
        if (is_range) {
            s->at++;
            to = take_member(s, &t, &is_class);
        }
        if (to < from) {
            fail(s);
        }
        set_range(&t, from, to);
    }
    if (!take(s, "]")) {
        fail(s);
    }
    if (is_inverse) {
        set_invert(&t);
    }
    say_one_of(s, &t);
}

/* ---- atoms ---- */

/* Looking around says nothing: whether it holds is seen when the text is matched. */
static bool take_look(struct saying *s) {
    return take(s, "=") || take(s, "!") || take(s, "<=") || take(s, "<!");
}

static void say_group(struct saying *s) {
    bool was_silent = s->is_silent;
    if (take(s, "?") && !take(s, ":")) {
        if (take_look(s)) {
            s->is_silent = true;
        } else if (take(s, "<")) {                   /* a name */
            while (!is_at_end(s) && peek(s) != '>') {
                s->at++;
            }
            s->at++;
        } else {
            fail(s);
        }
    }
    say_alternatives(s);
    s->is_silent = was_silent;
    if (!take(s, ")")) {
        fail(s);
    }
}

static void say_dot(struct saying *s) {
    struct set t = {.low = 0};
    set_range(&t, ' ', '~');
    say_one_of(s, &t);
}

static void say_atom(struct saying *s) {
    if (s->steps++ > MAX_STEPS) {
        s->rc = -ERR_LIMIT;
    } else if (take(s, "(")) {
        say_group(s);
    } else if (take(s, "[")) {
        say_brackets(s);
    } else if (take(s, ".")) {
        say_dot(s);
    } else if (take(s, "^") || take(s, "$") || take(s, "\\b") || take(s, "\\B")) {
        return;
    } else if (take(s, "\\")) {
        struct set t = {.low = 0};
        if (!is_class_name(peek(s))) {
            say_point(s, take_escaped(s));
            return;
        }
        set_class(&t, peek(s));
        s->at++;
        say_one_of(s, &t);
    } else {
        say_point(s, take_point(s));
    }
}

/* ---- repeats ---- */

struct times {
    unsigned least, most;
};

static bool take_number(struct saying *s, unsigned *out) {
    size_t from = s->at;
    *out = 0;
    while (peek(s) >= '0' && peek(s) <= '9') {
        *out = *out * 10 + (unsigned)(peek(s) - '0');
        *out = *out < MAX_REPEAT ? *out : MAX_REPEAT;
        s->at++;
    }
    return s->at > from;
}

static unsigned reach_from(const struct saying *s, unsigned least) {
    return least + s->how->reach;
}

static struct times take_times(struct saying *s) {
    struct times t = {1, 1};
    size_t from = s->at;
    if (take(s, "*")) {
        t = (struct times){0, reach_from(s, 0)};
    } else if (take(s, "+")) {
        t = (struct times){1, reach_from(s, 1)};
    } else if (take(s, "?")) {
        t = (struct times){0, 1};
    } else if (take(s, "{") && take_number(s, &t.least)) {
        t.most = t.least;
        if (take(s, ",") && !take_number(s, &t.most)) {
            t.most = reach_from(s, t.least);
        }
        if (!take(s, "}") || t.most < t.least) {
            fail(s);
        }
    } else {
        s->at = from;               /* a brace that stands for itself */
        return (struct times){1, 1};
    }
    (void)take(s, "?");
    return t;
}

/* Reads an atom without a word, to where its repeat stands; then says it. */
static void say_repeated(struct saying *s) {
    size_t from = s->at;
    bool was_silent = s->is_silent;
    s->is_silent = true;
    say_atom(s);
    struct times t = take_times(s);
    size_t behind = s->at;
    s->is_silent = was_silent;
    if (was_silent || s->rc) {
        return;
    }
    unsigned n = t.least + (unsigned)rng_below(s->how->rng, t.most - t.least + 1);
    for (unsigned i = 0; i < n && s->rc == 0; i++) {
        s->at = from;
        say_atom(s);
    }
    s->at = behind;
}

static void say_sequence(struct saying *s) {
    while (!is_at_end(s) && peek(s) != '|' && peek(s) != ')') {
        say_repeated(s);
    }
}

static unsigned count_alternatives(struct saying *s) {
    struct saying ahead = *s;
    unsigned n = 1;
    ahead.is_silent = true;
    say_sequence(&ahead);
    while (!is_at_end(&ahead) && take(&ahead, "|")) {
        say_sequence(&ahead);
        n++;
    }
    s->steps = ahead.steps;
    s->rc = ahead.rc;
    return n;
}

static void say_alternatives(struct saying *s) {
    if (++s->depth > MAX_DEPTH) {
        fail(s);
    }
    bool was_silent = s->is_silent;
    unsigned pick =
        was_silent || s->rc ? 0 : (unsigned)rng_below(s->how->rng, count_alternatives(s));
    for (unsigned i = 0; s->rc == 0; i++) {
        s->is_silent = was_silent || i != pick;
        say_sequence(s);
        if (!take(s, "|")) {
            break;
        }
    }
    s->is_silent = was_silent;
    s->depth--;
}

int regex_say(struct slice pattern, const struct regex_say *how, struct buf *out) {
    struct saying s = {.how = how, .text = pattern, .out = out, .before = out->len};
    if (pattern.len > MAX_PATTERN_BYTES) {
        return -ERR_LIMIT;
    }
    say_alternatives(&s);
    if (s.rc == 0 && s.at < pattern.len) {
        fail(&s);
    }
    if (s.rc) {
        out->len = s.before;
    }
    return s.rc;
}
