/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>

#include "base/json_scan.h"
#include "mock/schema-private.h"
#include "mock/schema_regex.h"

enum { HINT_MAX_BYTES = 80, MADE_BYTES = 160, LONG_SAID_STEPS = 4096 };

int append_quoted(struct buf *out, struct slice text) {
    int rc = buf_append_byte(out, '"');
    rc = rc ? rc : json_escape(out, text);
    return rc ? rc : buf_append_byte(out, '"');
}

/* ---- hints from the user's text ---- */

static bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}

static bool is_word_byte(char c) {
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') ||
           (unsigned char)c >= 0x80;
}

/* The next capitalised word that does not begin the text: names of people and places mostly. */
static struct slice hint_name(struct filler *f) {
    struct slice t = f->text;
    for (size_t i = f->names_at ? f->names_at : 1; i < t.len; i++) {
        if (is_upper(t.ptr[i]) && !is_word_byte(t.ptr[i - 1])) {
            size_t end = i;
            while (end < t.len && is_word_byte(t.ptr[end])) {
                end++;
            }
            f->names_at = end;
            if (end - i > 1) {
                return slice_sub(t, i, end - i);
            }
            i = end;
        }
    }
    return SLICE_NULL;
}

static bool contains_nocase(struct slice text, struct slice part) {
    for (size_t i = 0; i + part.len <= text.len; i++) {
        if (slice_eq_nocase(slice_sub(text, i, part.len), part)) {
            return true;
        }
    }
    return false;
}

static bool wants_whole_text(struct slice name) {
    static const char *const names[] = {"query", "question", "prompt", "message", "input", "text", "q"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (slice_eq_nocase(name, slice_cstr(names[i]))) {
            return true;
        }
    }
    return false;
}

/* ---- formats ---- */

static unsigned below(struct filler *f, unsigned n) {
    return (unsigned)rng_below(&f->rng, n);
}

static unsigned between(struct filler *f, unsigned low, unsigned high) {
    return low + below(f, high - low + 1);
}

static const char *a_word(struct filler *f) {
    static const char *const words[] = {"ada", "corin", "harbour", "lantern", "mill", "river",
                                        "stone", "window", "garden", "bell", "sail", "kettle"};
    return words[below(f, sizeof words / sizeof words[0])];
}

static void make_date(struct filler *f, char *to, size_t size) {
    snprintf(to, size, "%04u-%02u-%02u", between(f, 1970, 2037), between(f, 1, 12), between(f, 1, 28));
}

static void make_time(struct filler *f, char *to, size_t size) {
    static const char *const zones[] = {"Z", "Z", "+02:00", "-05:30"};
    snprintf(to, size, "%02u:%02u:%02u%s", below(f, 24), below(f, 60), below(f, 60),
             zones[f->is_wild ? below(f, 4) : 0]);
}

static void make_date_time(struct filler *f, char *to, size_t size) {
    make_date(f, to, size);
    to[10] = 'T';
    make_time(f, to + 11, size - 11);
}

static void make_duration(struct filler *f, char *to, size_t size) {
    static const char *const units[] = {"PT%uM", "P%uD", "PT%uH", "P%uW", "PT%uS"};
    unsigned pick = below(f, 5), n = between(f, 1, 48);
    const char *unit = units[pick];
    const char *number = strchr(unit, '%');
    snprintf(to, size, "%.*s%u%s", (int)(number - unit), unit, n, number + 2);
}

static void make_email(struct filler *f, char *to, size_t size) {
    snprintf(to, size, "%s.%s@example.%s", a_word(f), a_word(f), below(f, 2) ? "com" : "org");
}

static void make_hostname(struct filler *f, char *to, size_t size) {
    snprintf(to, size, "%s.example.%s", a_word(f), below(f, 2) ? "com" : "org");
}

static void make_ipv4(struct filler *f, char *to, size_t size) {
    snprintf(to, size, "192.0.2.%u", below(f, 256));
}

static void make_ipv6(struct filler *f, char *to, size_t size) {
    snprintf(to, size, "2001:db8::%x:%x", between(f, 1, 65535), below(f, 65536));
}

/* Version 4, variant 1. */
static void make_uuid(struct filler *f, char *to, size_t size) {
    uint64_t a = rng_next(&f->rng), b = rng_next(&f->rng);
    snprintf(to, size, "%08x-%04x-4%03x-%x%03x-%012llx", (unsigned)(a >> 32), (unsigned)(a >> 16 & 0xffff),
             (unsigned)(a & 0xfff), (unsigned)(8 + (b >> 62)), (unsigned)(b >> 48 & 0xfff),
             (unsigned long long)(b & 0xffffffffffff));
}

static void make_uri(struct filler *f, char *to, size_t size) {
    snprintf(to, size, "https://example.%s/%s/%u", below(f, 2) ? "com" : "org", a_word(f), below(f, 1000));
}

static void make_path(struct filler *f, char *to, size_t size) {
    snprintf(to, size, "/%s/%u", a_word(f), below(f, 1000));
}

static void make_regex(struct filler *f, char *to, size_t size) {
    snprintf(to, size, "^%s[0-9]+$", a_word(f));
}

static void make_template(struct filler *f, char *to, size_t size) {
    snprintf(to, size, "https://example.com/%s/{id}", a_word(f));
}

static void make_relative_pointer(struct filler *f, char *to, size_t size) {
    snprintf(to, size, "%u/%s", below(f, 3), a_word(f));
}

static const struct format {
    const char *name;
    void (*make)(struct filler *f, char *to, size_t size);
} formats[] = {
    {"date-time", make_date_time}, {"date", make_date},         {"time", make_time},
    {"duration", make_duration},   {"email", make_email},       {"idn-email", make_email},
    {"hostname", make_hostname},   {"idn-hostname", make_hostname}, {"ipv4", make_ipv4},
    {"ipv6", make_ipv6},           {"uuid", make_uuid},         {"uri", make_uri},
    {"url", make_uri},             {"iri", make_uri},           {"uri-reference", make_path},
    {"iri-reference", make_path},  {"json-pointer", make_path}, {"regex", make_regex},
    {"uri-template", make_template}, {"relative-json-pointer", make_relative_pointer},
};

static bool make_format(struct filler *f, struct slice format, struct buf *to) {
    char made[MADE_BYTES];
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (slice_eq(format, slice_cstr(formats[i].name))) {
            formats[i].make(f, made, sizeof made);
            return buf_append(to, slice_cstr(made)) == 0;
        }
    }
    return false;
}

/* ---- plain texts ---- */

static const struct sample {
    const char *key;          /* a part of the property's name */
    const char *values[3];
} samples[] = {
    {"date", {"2025-03-14", "2024-11-05", "2026-01-31"}},
    {"time", {"09:26", "18:00", "23:59"}},
    {"email", {"ada@example.com", "corin@example.org", "mara@example.net"}},
    {"url", {"https://example.com/a", "https://example.org/b", "https://example.net/c"}},
    {"city", {"Brest", "Lisbon", "Bergen"}},
    {"location", {"Brest", "Lisbon", "Bergen"}},
    {"place", {"Brest", "Lisbon", "Bergen"}},
    {"port", {"Brest", "Lisbon", "Bergen"}},
    {"country", {"France", "Portugal", "Norway"}},
    {"name", {"Ada", "Corin", "Mara"}},
    {"unit", {"metric", "celsius", "imperial"}},
    {"lang", {"en", "fr", "no"}},
    {"color", {"teal", "amber", "slate"}},
    {"title", {"A quiet morning", "The second bridge", "Letters from the mill"}},
    {"", {"sample", "example", "specimen"}},
};

static struct slice sample_for(struct filler *f, struct slice name) {
    size_t last = sizeof samples / sizeof samples[0] - 1, i = 0;
    while (i < last && !contains_nocase(name, slice_cstr(samples[i].key))) {
        i++;
    }
    return slice_cstr(samples[i].values[below(f, 3)]);
}

/* What has broken clients before. */
static struct slice edge_text(struct filler *f) {
    static const struct slice edges[] = {
        {"", 0}, {" ", 1}, {"\"quoted\"", 8}, {"back\\slash", 10}, {"two\nlines\tand a tab", 19},
        {"Gr\xc3\xbc\xc3\x9f""e", 7}, {"\xe4\xb8\x96\xe7\x95\x8c", 6}, {"\xf0\x9f\x98\x80 smile", 10},
        {"null", 4}, {"{}", 2}, {"\x01\x1f", 2}, {"line\xe2\x80\xa8separator", 16}, {"</script>", 9},
        {"a\xcc\x81", 3}, {"\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d", 8}, {"-0.0", 4}};
    return edges[below(f, sizeof edges / sizeof edges[0])];
}

static bool make_plain(struct filler *f, struct slice name, struct buf *to) {
    struct slice hint = f->salt == 0 ? hint_name(f) : SLICE_NULL;
    if (f->is_wild && !f->is_lean && one_in(f, 4)) {
        return buf_append(to, edge_text(f)) == 0;
    }
    if (wants_whole_text(name) && f->text.len && f->salt == 0) {
        struct slice cut = slice_sub(f->text, 0, HINT_MAX_BYTES);
        return buf_append(to, slice_sub(cut, 0, slice_utf8_valid(cut))) == 0;
    }
    int rc = buf_append(to, hint.len ? hint : sample_for(f, name));
    return (rc || f->salt == 0 ? rc : buf_appendf(to, " %u", f->salt + below(f, 1000))) == 0;
}

/* ---- lengths ---- */

static void cut_to(struct buf *text, size_t most) {
    size_t n = 0, i = 0;
    while (i < text->len && n < most) {
        i++;
        while (i < text->len && ((unsigned char)text->ptr[i] & 0xc0) == 0x80) {
            i++;
        }
        n++;
    }
    text->len = i;
}

static bool pad_to(struct buf *text, size_t least) {
    for (size_t n = schema_code_points(buf_slice(text)); n < least; n++) {
        if (buf_append_byte(text, "abcdefghijklmnop"[n % 16]) < 0) {
            return false;
        }
    }
    return true;
}

struct lengths {
    size_t least, most;
};

static struct lengths lengths_of(const struct view *v) {
    double least = view_least(v, "minLength", 0), most = view_most(v, "maxLength", HUGE_VAL);
    least = fmin(least, FILL_MAX_STRING);
    most = fmax(0, fmin(most, FILL_MAX_STRING));
    return (struct lengths){(size_t)least, (size_t)most};
}

static bool make_by_pattern(struct filler *f, struct slice pattern, const struct lengths *len,
                            unsigned nth, struct buf *to) {
    const struct regex_say how = {.rng = &f->rng,
                                  .reach = nth < 4   ? 3
                                           : nth % 4 ? nth
                                                     : (unsigned)len->least % 200 + 1,
                                  .is_wild = f->is_wild && !f->is_lean && one_in(f, 3)};
    size_t before = to->len;
    int rc = regex_say(pattern, &how, to);
    charge_steps(f, rc == -ERR_LIMIT ? LONG_SAID_STEPS : (unsigned)(to->len - before));
    if (rc < 0) {
        return false;
    }
    bool is_open = pattern.len == 0 || pattern.ptr[pattern.len - 1] != '$';
    return !is_open || pad_to(to, len->least);
}

static bool holds(struct filler *f, const struct view *v, struct slice text,
                  struct buf *scratch) {
    buf_reset(scratch);
    if (append_quoted(scratch, text) < 0) {
        return false;
    }
    yyjson_doc *doc = yyjson_read(scratch->ptr, scratch->len, 0);
    bool does = doc && view_holds(f, v, yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
    return does;
}

/* Formats, then patterns, then whatever it may be: the one more exact is the one that is tried
 * longer. */
static bool make_text(struct filler *f, const struct view *v, struct slice name, unsigned nth,
                      struct buf *to) {
    struct slice format = schema_text(view_get(v, "format"));
    struct slice pattern = schema_text(view_get(v, "pattern"));
    struct lengths len = lengths_of(v);
    bool by_format = format.len > 0 && (!pattern.ptr || nth % 3 == 0);
    if (by_format && make_format(f, format, to)) {
        return true;
    }
    if (pattern.ptr && make_by_pattern(f, pattern, &len, nth, to)) {
        return true;
    }
    buf_reset(to);
    if (!make_plain(f, name, to)) {
        return false;
    }
    cut_to(to, len.most);
    return pad_to(to, len.least);
}

/* In ASCII alone, as some servers write. */
static int append_in_ascii(struct buf *out, struct slice text) {
    int rc = buf_append_byte(out, '"');
    for (size_t i = 0; i < text.len && rc == 0;) {
        unsigned char lead = (unsigned char)text.ptr[i];
        size_t n = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
        uint32_t c = n == 4 ? lead & 7u : n == 3 ? lead & 15u : n == 2 ? lead & 31u : lead;
        for (size_t k = 1; k < n && i + k < text.len; k++) {
            c = c << 6 | ((unsigned char)text.ptr[i + k] & 63u);
        }
        if (n == 1) {
            rc = json_escape(out, slice_sub(text, i, 1));
        } else if (c < 0x10000) {
            rc = buf_appendf(out, "\\u%04x", c);
        } else {
            rc = buf_appendf(out, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + (c & 0x3ff));
        }
        i += n;
    }
    return rc ? rc : buf_append_byte(out, '"');
}

int fill_string(struct filler *f, const struct view *v, struct slice name) {
    struct buf text = {.max = 2 * FILL_MAX_STRING}, scratch = {.max = 16 * FILL_MAX_STRING};
    for (unsigned i = 0; i == 0 || (i < FILL_TRIES && may_work(f)); i++) {
        buf_reset(&text);
        if (make_text(f, v, name, i, &text) && holds(f, v, buf_slice(&text), &scratch)) {
            break;
        }
    }
    bool escapes = f->is_wild && one_in(f, 3);
    int rc = escapes ? append_in_ascii(f->out, buf_slice(&text))
                     : append_quoted(f->out, buf_slice(&text));
    buf_dispose(&text);
    buf_dispose(&scratch);
    return rc;
}
