/* SPDX-License-Identifier: Apache-2.0 */
/* Collects what is wrong with a configuration: every fault, not only the first, a line each.
 *   penstock.yaml:12:5: providers.openai.bas_url: unknown setting; did you mean base_url?
 * Texts never hold the value of a secret: callers pass none. One thread. */
#ifndef PENSTOCK_CONFIG_REPORT_H
#define PENSTOCK_CONFIG_REPORT_H

#include "base/buf.h"

/* Where a value was written: a file with line and column (from 1), or, with line 0, an environment
 * variable or a flag. A source of NULL is the built-in default. Names are borrowed. */
struct place {
    const char *source;
    unsigned line, column;
    /* a ${NAME} was filled in: the value may be a secret, even where none belongs */
    bool is_variable;
};
/* What messages may say of a value that was written there. */
static inline const char *place_quote(struct place at, const char *text) {
    return at.is_variable ? "the value of its variable" : text;
}

struct report {
    struct buf faults, warnings;
    unsigned n_faults;
};

void report_init(struct report *r);
void report_dispose(struct report *r);
/* path: the setting's dotted name, or NULL. The line is cut when it is very long, and its control
 * characters are replaced. After 100 faults the rest is only counted. */
void report_fault(struct report *r, struct place at, const char *path, const char *format, ...)
    PRINTF_LIKE(4, 5);
void report_warning(struct report *r, struct place at, const char *path, const char *format, ...)
    PRINTF_LIKE(4, 5);
/* Will another fault still be written out? */
bool report_has_room(const struct report *r);
/* Appends all faults, or, when there is none, the warnings; what out has no room for is left
 * out. */
void report_write(const struct report *r, struct buf *out);

#endif
