/* SPDX-License-Identifier: Apache-2.0 */
/* Measured times: a number a line, `quantile value` lines, or a column of a CSV file. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/mem.h"
#include "mock/law-private.h"

enum { FIELDS_MAX = 256, PATH_BYTES = 1024 };

struct file {
    struct slice path, column;         /* column: empty when it was not said */
    double unit_ns;
    /* 0-based; FIELDS_MAX: by the header's name, not yet found */
    unsigned field;
    unsigned line;
    bool is_table;                     /* quantile and value */
    bool has_begun;
    struct law_part *part;
    unsigned room;
};

static int broken(const struct file *f, const char *why, struct err *e) {
    return err_set(e, ERR_USAGE, "empirical(%.*s): line %u: %s", SLICE_FMT(slice_sub(f->path, 0, 80)), f->line,
                   why);
}

/* ---- the file ---- */

static FILE *file_open(const struct file *f, const struct law_scope *scope, struct err *e) {
    char path[PATH_BYTES];
    struct stat st;
    bool is_absolute = f->path.len > 0 && f->path.ptr[0] == '/';
    int n = snprintf(path, sizeof path, "%s%s%.*s", scope->folder && !is_absolute ? scope->folder : "",
                     scope->folder && !is_absolute ? "/" : "", SLICE_FMT(f->path));
    FILE *in = n > 0 && (size_t)n < sizeof path ? fopen(path, "re") : NULL;
    if (!in) {
        err_set(e, ERR_USAGE, "empirical(%.*s): cannot read the file", SLICE_FMT(slice_sub(f->path, 0, 120)));
    } else if (fstat(fileno(in), &st) < 0 || !S_ISREG(st.st_mode) ||
               st.st_size > LAW_FILE_MAX_BYTES) {
        err_set(e, ERR_USAGE, "empirical(%.*s): a plain file of at most %d MiB is wanted",
                SLICE_FMT(slice_sub(f->path, 0, 120)), LAW_FILE_MAX_BYTES >> 20);
        fclose(in);
        in = NULL;
    }
    return in;
}

/* ---- lines ---- */

static struct slice field_of(struct slice line, unsigned wanted, char separator) {
    for (unsigned i = 0;; i++) {
        ptrdiff_t at = slice_index(line, separator);
        struct slice field = slice_trim(at < 0 ? line : slice_sub(line, 0, (size_t)at));
        if (i == wanted || at < 0) {
            bool is_quoted = field.len >= 2 && field.ptr[0] == '"' && field.ptr[field.len - 1] == '"';
            field = is_quoted ? slice_sub(field, 1, field.len - 2) : field;
            return i == wanted ? field : SLICE_NULL;
        }
        line = slice_from(line, (size_t)at + 1);
    }
}

static unsigned column_find(struct slice line, struct slice name) {
    for (unsigned i = 0; i < FIELDS_MAX; i++) {
        struct slice field = field_of(line, i, ',');
        if (!field.ptr || slice_eq(field, name)) {
            return field.ptr ? i : FIELDS_MAX;
        }
    }
    return FIELDS_MAX;
}

static void add(struct file *f, double quantile, double ns) {
    struct law_part *p = f->part;
    if (p->n_points == f->room) {
        f->room = f->room ? f->room * 2 : 256;
        p->values = mem_realloc(p->values, f->room * sizeof *p->values);
        if (f->is_table) {
            p->quantiles = mem_realloc(p->quantiles, f->room * sizeof *p->quantiles);
        }
    }
    if (f->is_table) {
        p->quantiles[p->n_points] = quantile;
    }
    p->values[p->n_points++] = ns;
}

/* "0.5", "50%" or "p50" */
static bool quantile_parse(struct slice text, double *out) {
    bool is_p = text.len > 0 && (text.ptr[0] | 32) == 'p';
    struct slice rest = slice_from(text, is_p);
    if (!law_number_parse(&rest, out)) {
        return false;
    }
    bool is_percent = slice_eq(rest, SLICE("%"));
    *out /= is_p || is_percent ? 100 : 1;
    return (rest.len == 0 || (is_percent && !is_p)) && *out <= 1;
}

static int add_table_line(struct file *f, struct slice line, size_t gap, struct err *e) {
    const struct law_part *p = f->part;
    unsigned n = p->n_points;
    double q;
    int64_t ns;
    if (!quantile_parse(slice_sub(line, 0, gap), &q) ||
        !law_duration_parse(slice_trim(slice_from(line, gap)), f->unit_ns, &ns)) {
        return broken(f, "expected a quantile (0.5, 50% or p50) and a time", e);
    }
    if (n > 0 && (q <= p->quantiles[n - 1] || (double)ns < p->values[n - 1])) {
        return broken(f, "quantiles and their times must ascend", e);
    }
    add(f, q, (double)ns);
    return 0;
}

static size_t find_gap(struct slice line) {
    size_t i = 0;
    while (i < line.len && line.ptr[i] != ' ' && line.ptr[i] != '\t') {
        i++;
    }
    return i;
}

/* The first line of a table of columns may name them. */
static bool is_header(struct file *f, struct slice line) {
    int64_t ns;
    if (f->field == FIELDS_MAX) {
        f->field = column_find(line, f->column);
        return true;
    }
    return !law_duration_parse(field_of(line, f->field, ','), f->unit_ns, &ns);
}

static int add_line(struct file *f, struct slice line, struct err *e) {
    int64_t ns;
    bool is_first = !f->has_begun, is_csv = slice_index(line, ',') >= 0 || f->column.len > 0;
    size_t gap = is_csv ? line.len : find_gap(line);
    f->has_begun = true;
    f->is_table = is_first ? gap < line.len : f->is_table;
    if (f->is_table) {
        return add_table_line(f, line, gap, e);
    }
    if (is_csv && is_first && is_header(f, line)) {
        return f->field < FIELDS_MAX ? 0 : broken(f, "no column of that name", e);
    }
    if (!law_duration_parse(field_of(line, f->field, ','), f->unit_ns, &ns)) {
        return broken(f, "expected a time of at most 24 hours", e);
    }
    add(f, 0, (double)ns);
    return 0;
}

static int read_lines(struct file *f, FILE *in, struct err *e) {
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    int rc = 0;
    while (rc == 0 && (n = getline(&line, &room, in)) >= 0) {
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r')) {
            n--;
        }
        struct slice text = slice_trim(slice_make(line, (size_t)n));
        f->line++;
        if (text.len == 0 || text.ptr[0] == '#') {
            continue;
        }
        rc = f->part->n_points == LAW_MAX_POINTS ? broken(f, "more than 100,000 values", e)
                                                 : add_line(f, text, e);
    }
    free(line);
    return rc;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* ---- arguments ---- */

static int unit_parse(struct slice text, double *out_ns, struct err *e) {
    static const struct {
        const char *name;
        int64_t ns;
    } known[] = {{"ns", 1}, {"us", NS_PER_US}, {"ms", NS_PER_MS}, {"s", NS_PER_S}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (slice_eq(text, slice_cstr(known[i].name))) {
            *out_ns = (double)known[i].ns;
            return 0;
        }
    }
    return err_set(e, ERR_USAGE, "empirical: unit is one of ns, us, ms, s");
}

static int column_parse(struct slice text, struct file *f, struct err *e) {
    uint64_t n;
    if (text.len == 0) {
        return err_set(e, ERR_USAGE, "empirical: column wants a name or a number from 1");
    }
    f->column = text;
    f->field = FIELDS_MAX;
    if (slice_to_u64(text, FIELDS_MAX, &n)) {
        if (n == 0) {
            return err_set(e, ERR_USAGE, "empirical: columns are numbered from 1");
        }
        f->field = (unsigned)n - 1;
    }
    return 0;
}

static int arguments_read(struct slice arguments, struct file *f, struct err *e) {
    struct slice rest = arguments, value;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && law_argument_next(&rest, &value); i++) {
        struct slice name = i > 0 ? law_argument_name(&value) : SLICE_NULL;
        if (i == 0) {
            f->path = value;
        } else if (slice_eq(name, SLICE("column"))) {
            rc = column_parse(value, f, e);
        } else if (slice_eq(name, SLICE("unit"))) {
            rc = unit_parse(value, &f->unit_ns, e);
        } else {
            rc = err_set(e, ERR_USAGE, "empirical takes a file, column= and unit=");
        }
    }
    if (rc == 0 && f->path.len == 0) {
        return err_set(e, ERR_USAGE, "empirical wants a file: empirical(ttft.txt)");
    }
    return rc;
}

int law_file_read(struct slice arguments, const struct law_scope *scope, struct law_part *part,
                  struct err *e) {
    struct file f = {.unit_ns = (double)NS_PER_MS, .part = part};
    int rc = arguments_read(arguments, &f, e);
    FILE *in = rc == 0 ? file_open(&f, scope, e) : NULL;
    if (!in) {
        return -ERR_USAGE;
    }
    part->arguments = mem_dup_cstr(arguments);
    rc = read_lines(&f, in, e);
    fclose(in);
    if (rc == 0 && part->n_points == 0) {
        return err_set(e, ERR_USAGE, "empirical(%.*s): no values in it", SLICE_FMT(slice_sub(f.path, 0, 120)));
    }
    if (rc == 0 && !f.is_table) {
        qsort(part->values, part->n_points, sizeof *part->values, compare);
    }
    return rc;
}

void law_part_dispose(struct law_part *part) {
    mem_free(part->values);
    mem_free(part->quantiles);
    mem_free(part->arguments);
    *part = (struct law_part){.kind = LAW_CONSTANT};
}
