/* SPDX-License-Identifier: Apache-2.0 */
#include "config/report.h"

#include <stdio.h>

#define REPORT_BYTES (256 * 1024)
#define REPORT_FAULTS 100
#define LINE_BYTES 1024

void report_init(struct report *r) {
    *r = (struct report){0};
    buf_init(&r->faults, REPORT_BYTES);
    buf_init(&r->warnings, REPORT_BYTES);
}

void report_dispose(struct report *r) {
    buf_dispose(&r->faults);
    buf_dispose(&r->warnings);
}

bool report_has_room(const struct report *r) {
    return r->n_faults < REPORT_FAULTS;
}

/* Input is quoted in these lines: it must not forge a second one or speak to the terminal. */
static void make_printable(char *text) {
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) text[i] = '?';
        if ((unsigned char)text[i] == 0xc2 && (unsigned char)text[i + 1] < 0xa0) text[i] = '?';
    }
    for (size_t i = 0; (i += slice_utf8_valid(slice_make(text + i, len - i))) < len; i++) {
        text[i] = '?';
    }
}

static void add_text(char *line, const char *format, ...) PRINTF_LIKE(2, 3);
static void add_text(char *line, const char *format, ...) {
    size_t len = strlen(line);
    va_list args;
    va_start(args, format);
    vsnprintf(line + len, LINE_BYTES - len, format, args);
    va_end(args);
}

static void add_line(struct buf *to, const char *prefix, struct place at, const char *path,
                     const char *format, va_list args) {
    char line[LINE_BYTES] = "";
    add_text(line, "%s", prefix);
    if (at.source && at.line > 0) add_text(line, "%s:%u:%u: ", at.source, at.line, at.column);
    else if (at.source) add_text(line, "%s: ", at.source);
    if (path && path[0]) add_text(line, "%s: ", path);
    size_t len = strlen(line);
    vsnprintf(line + len, sizeof line - len, format, args);
    make_printable(line);
    if (buf_appendf(to, "%s\n", line) < 0) return; /* full: more lines would not be read anyway */
}

void report_fault(struct report *r, struct place at, const char *path, const char *format, ...) {
    if (report_has_room(r)) {
        va_list args;
        va_start(args, format);
        add_line(&r->faults, "", at, path, format, args);
        va_end(args);
    }
    r->n_faults++;
}

void report_warning(struct report *r, struct place at, const char *path, const char *format, ...) {
    va_list args;
    va_start(args, format);
    add_line(&r->warnings, "warning: ", at, path, format, args);
    va_end(args);
}

void report_write(const struct report *r, struct buf *out) {
    int rc = buf_append(out, buf_slice(r->n_faults > 0 ? &r->faults : &r->warnings));
    if (rc == 0 && r->n_faults > REPORT_FAULTS) {
        rc = buf_appendf(out, "... and %u more faults\n", r->n_faults - REPORT_FAULTS);
    }
    if (rc < 0 && r->n_faults > 0) rc = buf_append(out, SLICE("too many faults to list\n"));
    (void)rc;
}
