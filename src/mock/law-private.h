/* SPDX-License-Identifier: Apache-2.0 */
/* Inside a law: law.c reads and prints it, law_file.c reads what was measured, law_draw.c draws and
 * knows the theory. */
#ifndef PENSTOCK_MOCK_LAW_PRIVATE_H
#define PENSTOCK_MOCK_LAW_PRIVATE_H

#include <stdatomic.h>

#include "mock/law.h"

enum {
    LAW_MAX_PARTS = 16,
    LAW_MAX_DEPTH = 4,
    LAW_MAX_POINTS = 100000,
    LAW_FILE_MAX_BYTES = 16 << 20,
    LAW_NUMBER_BYTES = 64
};

enum law_kind {
    LAW_CONSTANT,       /* a */
    LAW_UNIFORM,        /* a … b */
    LAW_NORMAL,         /* mean a, deviation b */
    LAW_LOGNORMAL,      /* median a, sigma b */
    LAW_GAMMA,          /* shape a, scale b */
    LAW_EXPONENTIAL,    /* mean a */
    LAW_PARETO,         /* least a, alpha b */
    LAW_EMPIRICAL       /* points */
};

/* One law of a mixture, or the only one. Times in nanoseconds. */
struct law_part {
    enum law_kind kind;
    double weight, up_to;           /* as given; this and all before it, of 1 */
    double a, b;
    unsigned n_points;
    double *values;                 /* ascending; owned, with the next two */
    double *quantiles;              /* ascending; NULL: evenly over 0 … 1 */
    char *arguments;                /* of empirical(), as they were given */
};

struct law_shape {
    _Atomic unsigned refs;
    unsigned n_parts;
    char text[LAW_TEXT_BYTES];
    struct law_part parts[];
};

/* Reads the measured times of a file into part, whose memory is then the caller's to dispose of. */
int law_file_read(struct slice arguments, const struct law_scope *scope, struct law_part *part,
                  struct err *e) MUST_CHECK;
void law_part_dispose(struct law_part *part);

/* "20ms", "1.5s", "20": from the front of nothing else. bare_ns: of a number without a unit. */
bool law_duration_parse(struct slice text, double bare_ns, int64_t *out_ns);
/* Digits with an optional fraction, from the front of *io. */
bool law_number_parse(struct slice *io, double *out_value);
/* Read again, the same to nine places; returns out. */
const char *law_number_print(double value, char out[LAW_NUMBER_BYTES]);
/* The next of a list of arguments, split at top-level commas; false at its end. */
bool law_argument_next(struct slice *io_rest, struct slice *out);
/* "name=value": takes the name off; ptr NULL when there is none. */
struct slice law_argument_name(struct slice *io);

double law_part_mean(const struct law_part *p);

#endif
