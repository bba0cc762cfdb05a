/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"

/* PIPE_BUF: a pipe that polls writable takes this much without blocking, and whole. */
#define LINE_BYTES 4096
/* A longer value is cut, so that one value cannot push the others out of the line. */
#define VALUE_BYTES 1024
/* Kept for what closes a line that is full. */
#define CLOSING_BYTES 32

#define ANSI_RESET "\033[0m"
#define ANSI_DIM "\033[2m"

static struct log_options config = {.level = LOG_INFO, .format = LOG_HUMAN, .fd = STDERR_FILENO};
static bool color_is_decided; /* until then, the default: colour if stderr is a terminal */
static _Atomic uint64_t dropped;

static const struct level_row {
    const char *name, *human, *color;
} levels[] = {
    [LOG_DEBUG] = {"debug", "DEBUG", "\033[36m"},
    [LOG_INFO] = {"info", "INFO ", "\033[32m"},
    [LOG_WARN] = {"warn", "WARN ", "\033[33m"},
    [LOG_ERROR] = {"error", "ERROR", "\033[31m"},
    [LOG_OFF] = {"off", "OFF  ", ""},
};

/* A line in the making. Once something did not fit, nothing more is added. */
struct line {
    size_t len, cap;
    bool is_full;
    char text[LINE_BYTES];
};

void log_setup(const struct log_options *options) {
    if (options) {
        config = *options;
    } else {
        config = (struct log_options){.level = LOG_INFO, .format = LOG_HUMAN, .fd = STDERR_FILENO};
        config.color = isatty(STDERR_FILENO);
    }
    color_is_decided = true;
}

static bool use_color(void) {
    return color_is_decided ? config.color : isatty(config.fd) == 1;
}

bool log_enabled(enum log_level level) {
    return level >= config.level && level < LOG_OFF;
}

uint64_t log_dropped(void) {
    return atomic_load_explicit(&dropped, memory_order_relaxed);
}

/* ---- line ---- */

static void put(struct line *l, struct slice s) {
    if (l->is_full || s.len > l->cap - l->len) {
        l->is_full = true;
        return;
    }
    if (s.len > 0) memcpy(l->text + l->len, s.ptr, s.len);
    l->len += s.len;
}

static void put_cstr(struct line *l, const char *text) {
    put(l, slice_cstr(text));
}

static void put_format(struct line *l, const char *format, ...) PRINTF_LIKE(2, 3);
static void put_format(struct line *l, const char *format, ...) {
    char text[80];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n > 0 && (size_t)n < sizeof text) put(l, slice_make(text, (size_t)n));
}

/* ---- values ---- */

/* Characters that could forge a line, move a cursor or turn the reading direction: C1 controls
 * (U+0080 … U+009F), U+2028 … U+202E, U+2066 … U+2069. The code point when the sequence at p is
 * one of them, else 0. */
static unsigned unsafe_character(const unsigned char *p, size_t len) {
    if (len == 2 && p[0] == 0xc2 && p[1] < 0xa0) return p[1];
    if (len != 3 || p[0] != 0xe2) return 0;
    unsigned c = 0x2000u | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    return (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) ? c : 0;
}

static size_t sequence_length(struct slice s) {
    unsigned char lead = (unsigned char)s.ptr[0];
    size_t n = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    return n <= s.len && slice_utf8_valid(slice_make(s.ptr, n)) == n ? n : 0;
}

static const char *short_escape(unsigned char c) {
    switch (c) {
    case '"': return "\\\"";
    case '\\': return "\\\\";
    case '\n': return "\\n";
    case '\r': return "\\r";
    case '\t': return "\\t";
    default: return NULL;
    }
}

/* One character, escaped as in JSON: people read that, too. Returns how many bytes of s it took. */
static size_t put_character(struct line *l, struct slice s) {
    unsigned char c = (unsigned char)s.ptr[0];
    size_t n = sequence_length(s);
    const char *escape = short_escape(c);
    bool is_control = n == 1 && (c < 0x20 || c == 0x7f);
    unsigned unsafe = is_control ? c : unsafe_character((const unsigned char *)s.ptr, n);
    if (n == 0) put_cstr(l, "\xef\xbf\xbd"); /* U+FFFD */
    else if (escape) put_cstr(l, escape);
    else if (is_control || unsafe) put_format(l, "\\u%04x", unsafe);
    else put(l, slice_make(s.ptr, n));
    return n > 0 ? n : 1;
}

static void put_escaped(struct line *l, struct slice s) {
    bool is_cut = s.len > VALUE_BYTES;
    size_t end = is_cut ? VALUE_BYTES : s.len;
    for (size_t i = 0; i < end && !l->is_full;) i += put_character(l, slice_from(s, i));
    if (is_cut) put_cstr(l, "…");
}

static void put_quoted(struct line *l, struct slice s) {
    put_cstr(l, "\"");
    put_escaped(l, s);
    put_cstr(l, "\"");
}

static bool needs_quotes(struct slice s) {
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '=') return true;
    }
    return s.len == 0;
}

static uint64_t magnitude(int64_t value) {
    return value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
}

/* value / 1000 with `digits` (1 or 3) behind the point, without a double and its locale. */
static void put_thousandths(struct line *l, int64_t sign, uint64_t value, int digits,
                            const char *unit) {
    unsigned rest = (unsigned)(value % 1000);
    put_format(l, "%s%llu.%0*u%s", sign < 0 ? "-" : "", (unsigned long long)(value / 1000), digits,
               digits == 1 ? rest / 100 : rest, unit);
}

static void put_duration_human(struct line *l, int64_t ns) {
    uint64_t n = magnitude(ns);
    if (n < 1000) put_format(l, "%lldns", (long long)ns);
    else if (n < 1000000) put_thousandths(l, ns, n, 1, "us");
    else if (n < 1000000000) put_thousandths(l, ns, n / 1000, 1, "ms");
    else put_thousandths(l, ns, n / 1000000, 3, "s");
}

static void put_value(struct line *l, const struct log_field *f, bool is_json) {
    switch (f->type) {
    case LOG_F_STR:
        if (is_json || needs_quotes(f->str)) put_quoted(l, f->str);
        else put_escaped(l, f->str);
        break;
    case LOG_F_INT: put_format(l, "%lld", (long long)f->num); break;
    case LOG_F_UINT: put_format(l, "%llu", (unsigned long long)f->num); break;
    case LOG_F_DUR_NS:
        if (is_json) put_thousandths(l, f->num, magnitude(f->num) / 1000, 3, "");
        else put_duration_human(l, f->num);
        break;
    case LOG_F_BOOL: put_cstr(l, f->num ? "true" : "false"); break;
    case LOG_F_SECRET: put_cstr(l, is_json ? "\"***\"" : "***"); break;
    }
}

/* ---- entries ---- */

static void write_human(struct line *l, enum log_level level, const char *event,
                        const struct log_field *fields, unsigned n) {
    bool color = use_color();
    int64_t wall_ns = clock_wall_ns();
    time_t seconds = (time_t)(wall_ns / NS_PER_S);
    struct tm t;
    localtime_r(&seconds, &t);
    put_format(l, "%s%02d:%02d:%02d.%03d%s ", color ? ANSI_DIM : "", t.tm_hour, t.tm_min, t.tm_sec,
               (int)(wall_ns % NS_PER_S / NS_PER_MS), color ? ANSI_RESET : "");
    put_format(l, "%s%s%s ", color ? levels[level].color : "", levels[level].human,
               color ? ANSI_RESET : "");
    put_escaped(l, slice_cstr(event));
    for (unsigned i = 0; i < n && !l->is_full; i++) {
        size_t start = l->len;
        put_format(l, " %s", color ? ANSI_DIM : "");
        put_escaped(l, slice_cstr(fields[i].name));
        put_format(l, "=%s", color ? ANSI_RESET : "");
        put_value(l, &fields[i], false);
        if (l->is_full) l->len = start;
    }
    l->cap = sizeof l->text;
    if (l->is_full) {
        l->is_full = false;
        put_cstr(l, color ? ANSI_RESET " …" : " …");
    }
    put_cstr(l, "\n");
}

static void write_json(struct line *l, enum log_level level, const char *event,
                       const struct log_field *fields, unsigned n) {
    int64_t wall_ns = clock_wall_ns();
    time_t seconds = (time_t)(wall_ns / NS_PER_S);
    struct tm t;
    gmtime_r(&seconds, &t);
    put_format(l, "{\"ts\":\"%04d-%02d-%02dT%02d:%02d:%02d.%03dZ\"", t.tm_year + 1900, t.tm_mon + 1,
               t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, (int)(wall_ns % NS_PER_S / NS_PER_MS));
    put_format(l, ",\"level\":\"%s\",\"event\":", levels[level].name);
    put_quoted(l, slice_cstr(event));
    for (unsigned i = 0; i < n && !l->is_full; i++) {
        size_t start = l->len;
        put_cstr(l, ",\"");
        put_escaped(l, slice_cstr(fields[i].name));
        put_cstr(l, fields[i].type == LOG_F_DUR_NS ? "_ms\":" : "\":");
        put_value(l, &fields[i], true);
        if (l->is_full) l->len = start;
    }
    l->cap = sizeof l->text;
    bool is_cut = l->is_full;
    l->is_full = false;
    put_cstr(l, is_cut ? ",\"cut\":true}\n" : "}\n");
}

static bool send_line(const struct line *l) {
    struct pollfd p = {.fd = config.fd, .events = POLLOUT};
    if (poll(&p, 1, 0) != 1 || p.revents != POLLOUT) return false;
    ssize_t n;
    do n = write(config.fd, l->text, l->len);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)l->len;
}

void log_write(enum log_level level, const char *event, const struct log_field *fields,
               unsigned n_fields) {
    if (!log_enabled(level)) return;
    int saved_errno = errno;
    struct line l; /* its text is not initialised: that would be 4 KiB a line */
    l.len = 0;
    l.is_full = false;
    l.cap = sizeof l.text - CLOSING_BYTES;
    if (config.format == LOG_JSON) write_json(&l, level, event, fields, n_fields);
    else write_human(&l, level, event, fields, n_fields);
    if (!send_line(&l)) atomic_fetch_add_explicit(&dropped, 1, memory_order_relaxed);
    errno = saved_errno;
}
