/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and printing laws. A mixture of mixtures is one mixture: a shape is a flat list of
 * parts. */
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "mock/law-private.h"

#define FORMS                                                                                      \
    "write 20ms, 1.5s, 0, 20ms:10%% or a law: uniform, normal, lognormal, gamma, exponential, "     \
    "pareto, mixture, empirical"
#define P99 2.3263478740408408    /* of the standard normal law */

/* ---- words ---- */

static const struct unit {
    const char *name;
    int64_t ns;
} units[] = {
    {"ns", 1},
    {"us", NS_PER_US},
    {"ms", NS_PER_MS},
    {"s", NS_PER_S},
};
enum { UNIT_COUNT = sizeof units / sizeof units[0] };

bool law_number_parse(struct slice *io, double *out_value) {
    double value = 0, scale = 1;
    size_t i = 0;
    bool in_fraction = false, any = false;
    for (; i < io->len && i < 18; i++) {
        char c = io->ptr[i];
        if (c == '.' && !in_fraction) {
            in_fraction = true;
            continue;
        }
        if (c < '0' || c > '9') {
            break;
        }
        any = true;
        value = value * 10 + (c - '0');
        scale = in_fraction ? scale * 10 : scale;
    }
    *io = slice_from(*io, i);
    *out_value = value / scale;
    return any;
}

bool law_duration_parse(struct slice text, double bare_ns, int64_t *out_ns) {
    double value, unit_ns = text.len > 0 ? 0 : -1;
    if (!law_number_parse(&text, &value)) {
        return false;
    }
    unit_ns = text.len == 0 ? bare_ns : 0;
    for (size_t i = 0; i < UNIT_COUNT; i++) {
        unit_ns = slice_eq(text, slice_cstr(units[i].name)) ? (double)units[i].ns : unit_ns;
    }
    double ns = value * unit_ns;
    if (unit_ns <= 0 || ns > (double)LAW_MAX_NS) {
        return false;
    }
    *out_ns = (int64_t)(ns + 0.5);
    return true;
}

static bool percent_parse(struct slice text, double most, double *out_share) {
    double percent;
    if (!law_number_parse(&text, &percent) || !slice_eq(text, SLICE("%")) || percent > most) {
        return false;
    }
    *out_share = percent / 100;
    return true;
}

bool law_argument_next(struct slice *io_rest, struct slice *out) {
    size_t depth = 0, i = 0;
    if (!io_rest->ptr) {
        return false;
    }
    for (; i < io_rest->len; i++) {
        char c = io_rest->ptr[i];
        depth += c == '(';
        depth -= c == ')' && depth > 0;
        if (c == ',' && depth == 0) {
            break;
        }
    }
    *out = slice_trim(slice_sub(*io_rest, 0, i));
    *io_rest = i < io_rest->len ? slice_from(*io_rest, i + 1) : SLICE_NULL;
    return true;
}

struct slice law_argument_name(struct slice *io) {
    size_t i = 0;
    while (i < io->len && (((io->ptr[i] | 32) >= 'a' && (io->ptr[i] | 32) <= 'z') ||
                           (io->ptr[i] >= '0' && io->ptr[i] <= '9'))) {
        i++;
    }
    struct slice name = slice_sub(*io, 0, i), rest = slice_trim(slice_from(*io, i));
    if (i == 0 || rest.len == 0 || rest.ptr[0] != '=') {
        return SLICE_NULL;
    }
    *io = slice_trim(slice_from(rest, 1));
    return name;
}

/* ---- the forms of laws with parameters ---- */

enum param_type { PARAM_NONE, PARAM_TIME, PARAM_NUMBER };

/* Printed and read again, the same. */
static double tidy(double number) {
    return floor(number * 1e9 + 0.5) / 1e9;
}

static double tidy_ns(double ns) {
    return floor(ns + 0.5);
}

static bool is_plain(struct law_part *p, double x, double y) {
    p->a = x;
    p->b = y;
    return true;
}

static bool is_uniform(struct law_part *p, double least, double most) {
    return is_plain(p, least, most) && least <= most;
}

static bool is_lognormal(struct law_part *p, double median, double sigma) {
    p->a = tidy_ns(median);
    p->b = tidy(sigma);
    return p->a >= 1 && p->b >= 0 && p->b <= 10;
}

static bool is_lognormal_cv(struct law_part *p, double mean, double cv) {
    return is_lognormal(p, mean / sqrt(1 + cv * cv), sqrt(log(1 + cv * cv)));
}

static bool is_lognormal_sd(struct law_part *p, double mean, double sd) {
    return mean > 0 && is_lognormal_cv(p, mean, sd / mean);
}

/* ln(p99 / mean) = z σ − σ²/2: the smaller root is the law that one means. */
static bool is_lognormal_mean_p99(struct law_part *p, double mean, double p99) {
    double under = mean > 0 && p99 >= mean ? P99 * P99 - 2 * log(p99 / mean) : -1;
    double sigma = under >= 0 ? P99 - sqrt(under) : 0;
    return under >= 0 && is_lognormal(p, mean * exp(-sigma * sigma / 2), sigma);
}

static bool is_lognormal_median_p99(struct law_part *p, double median, double p99) {
    return median > 0 && p99 >= median && is_lognormal(p, median, log(p99 / median) / P99);
}

static bool is_gamma(struct law_part *p, double shape, double scale) {
    p->a = tidy(shape);
    p->b = tidy_ns(scale);
    return p->a >= 0.01 && p->a <= 1e6 && p->b >= 1;
}

static bool is_gamma_mean(struct law_part *p, double mean, double shape) {
    return shape > 0 && is_gamma(p, shape, mean / shape);
}

static bool is_gamma_cv(struct law_part *p, double mean, double cv) {
    return cv > 0 && is_gamma_mean(p, mean, 1 / (cv * cv));
}

static bool is_pareto(struct law_part *p, double least, double alpha) {
    p->a = tidy_ns(least);
    p->b = tidy(alpha);
    return p->a >= 1 && p->b >= 0.1 && p->b <= 1000;
}

static bool is_pareto_mean(struct law_part *p, double mean, double alpha) {
    return alpha > 1 && is_pareto(p, mean * (alpha - 1) / alpha, alpha);
}

/* A law's first row is how it is written without names. */
static const struct form {
    const char *law;
    enum law_kind kind;
    struct {
        const char *name;
        enum param_type type;
    } params[2];
    bool (*make)(struct law_part *p, double x, double y);   /* false: there is no such law */
} forms[] = {
    {"uniform", LAW_UNIFORM, {{"min", PARAM_TIME}, {"max", PARAM_TIME}}, is_uniform},
    {"normal", LAW_NORMAL, {{"mean", PARAM_TIME}, {"sd", PARAM_TIME}}, is_plain},
    {"lognormal", LAW_LOGNORMAL, {{"median", PARAM_TIME}, {"sigma", PARAM_NUMBER}}, is_lognormal},
    {"lognormal", LAW_LOGNORMAL, {{"mean", PARAM_TIME}, {"sd", PARAM_TIME}}, is_lognormal_sd},
    {"lognormal", LAW_LOGNORMAL, {{"mean", PARAM_TIME}, {"cv", PARAM_NUMBER}}, is_lognormal_cv},
    {"lognormal", LAW_LOGNORMAL, {{"mean", PARAM_TIME}, {"p99", PARAM_TIME}},
     is_lognormal_mean_p99},
    {"lognormal", LAW_LOGNORMAL, {{"median", PARAM_TIME}, {"p99", PARAM_TIME}},
     is_lognormal_median_p99},
    {"gamma", LAW_GAMMA, {{"shape", PARAM_NUMBER}, {"scale", PARAM_TIME}}, is_gamma},
    {"gamma", LAW_GAMMA, {{"mean", PARAM_TIME}, {"cv", PARAM_NUMBER}}, is_gamma_cv},
    {"gamma", LAW_GAMMA, {{"mean", PARAM_TIME}, {"shape", PARAM_NUMBER}}, is_gamma_mean},
    {"exponential", LAW_EXPONENTIAL, {{"mean", PARAM_TIME}, {NULL, PARAM_NONE}}, is_plain},
    {"pareto", LAW_PARETO, {{"min", PARAM_TIME}, {"alpha", PARAM_NUMBER}}, is_pareto},
    {"pareto", LAW_PARETO, {{"mean", PARAM_TIME}, {"alpha", PARAM_NUMBER}}, is_pareto_mean},
};
enum { FORM_COUNT = sizeof forms / sizeof forms[0] };

static int form_refused(struct err *e, const struct form *f, const char *why, struct slice got) {
    char known[ERR_TEXT_BYTES];
    size_t at = 0;
    for (const struct form *row = forms; row < forms + FORM_COUNT; row++) {
        if (row->kind != f->kind || at >= sizeof known) {
            continue;
        }
        bool is_first = row == forms || row[-1].kind != row->kind, has_two = row->params[1].name;
        at += (size_t)snprintf(known + at, sizeof known - at, is_first ? "%s(%s%s%s)" : ", or (%s%s%s%s)",
                               is_first ? row->law : "", row->params[0].name,
                               has_two ? is_first ? ", " : "=, " : "",
                               has_two ? row->params[1].name : "");
    }
    return err_set(e, ERR_USAGE, "%s%s '%.*s': write %s", f->law, why, SLICE_FMT(slice_sub(got, 0, 60)),
                   known);
}

struct argument {
    struct slice name, value;
};

static bool form_fits(const struct form *f, const struct argument *args, unsigned n) {
    unsigned wanted = f->params[1].name ? 2 : 1;
    bool fits = n == wanted;
    for (unsigned i = 0; i < n && fits; i++) {
        fits = !args[i].name.ptr || slice_eq(args[i].name, slice_cstr(f->params[i].name));
    }
    return fits;
}

/* Names may come in any order: they are put in the form's. */
static bool form_fits_swapped(const struct form *f, struct argument *args, unsigned n) {
    struct argument swapped[2] = {args[1], args[0]};
    if (n != 2 || !args[0].name.ptr || !args[1].name.ptr || !form_fits(f, swapped, n)) {
        return false;
    }
    memcpy(args, swapped, sizeof swapped);
    return true;
}

static bool param_parse(enum param_type type, struct slice text, double *out) {
    int64_t ns = 0;
    struct slice rest = text;
    if (type == PARAM_TIME) {
        bool ok = law_duration_parse(text, (double)NS_PER_MS, &ns);
        *out = (double)ns;
        return ok;
    }
    return (law_number_parse(&rest, out) && rest.len == 0) || percent_parse(text, 1e6, out);
}

static int form_read(const struct form *first, struct slice inside, struct law_part *out,
                     struct err *e) {
    struct slice rest = inside, value;
    struct argument args[2] = {{SLICE_NULL, SLICE_NULL}, {SLICE_NULL, SLICE_NULL}};
    unsigned n = 0;
    while (law_argument_next(&rest, &value)) {
        if (n == 2) {
            return form_refused(e, first, " does not take", inside);
        }
        args[n].name = law_argument_name(&value);
        args[n++].value = value;
    }
    const struct form *f = first, *end = forms + FORM_COUNT;
    while (f < end && f->kind == first->kind && !form_fits(f, args, n) &&
           !form_fits_swapped(f, args, n)) {
        f++;
    }
    if (f == end || f->kind != first->kind) {
        return form_refused(e, first, " does not take", inside);
    }
    double given[2] = {0, 0};
    for (unsigned i = 0; i < n; i++) {
        if (!param_parse(f->params[i].type, args[i].value, &given[i])) {
            return form_refused(e, first, " does not take", args[i].value);
        }
    }
    out->kind = f->kind;
    return f->make(out, given[0], given[1]) ? 0 : form_refused(e, first, ": there is no law with", inside);
}

/* ---- reading ---- */

struct builder {
    const struct law_scope *scope;
    struct law_part parts[LAW_MAX_PARTS];
    unsigned n;
};

static int refused(struct slice text, struct err *e) {
    return err_set(e, ERR_USAGE, "'%.*s' is not a time: " FORMS, SLICE_FMT(slice_sub(text, 0, 60)));
}

static int plain_read(struct slice text, struct law *out, struct err *e) {
    ptrdiff_t colon = slice_index(text, ':');
    struct slice mean = colon < 0 ? text : slice_sub(text, 0, (size_t)colon);
    struct law law = LAW_ZERO;
    if (!law_duration_parse(mean, (double)NS_PER_MS, &law.mean_ns) ||
        (colon >= 0 && !percent_parse(slice_from(text, (size_t)colon + 1), 100, &law.spread))) {
        return refused(text, e);
    }
    *out = law;
    return 0;
}

static int part_new(struct builder *b, double weight, struct law_part **out, struct err *e) {
    if (b->n == LAW_MAX_PARTS) {
        return err_set(e, ERR_USAGE, "a mixture has at most %d laws", LAW_MAX_PARTS);
    }
    *out = &b->parts[b->n++];
    **out = (struct law_part){.weight = weight};
    return 0;
}

/* "name(inside)": ptr NULL when it is not of that form. */
static struct slice call_parse(struct slice text, struct slice *out_inside) {
    ptrdiff_t open = slice_index(text, '(');
    if (open <= 0 || text.ptr[text.len - 1] != ')') {
        return SLICE_NULL;
    }
    *out_inside = slice_trim(slice_sub(text, (size_t)open + 1, text.len - (size_t)open - 2));
    return slice_trim(slice_sub(text, 0, (size_t)open));
}

static int build(struct builder *b, struct slice text, double weight, unsigned depth,
                 struct err *e);

static int build_mixture(struct builder *b, struct slice inside, double weight, unsigned depth,
                         struct err *e) {
    struct slice rest = inside, item;
    unsigned first = b->n;
    double sum = 0;
    if (depth == LAW_MAX_DEPTH) {
        return err_set(e, ERR_USAGE, "a mixture of mixtures goes %d deep at most", LAW_MAX_DEPTH);
    }
    while (law_argument_next(&rest, &item)) {
        double w = 0;
        struct slice at = item;
        if (!law_number_parse(&at, &w) || at.len == 0 || at.ptr[0] != ':' || w <= 0) {
            return err_set(e, ERR_USAGE, "mixture: '%.*s' wants a weight in front: 5:20ms",
                           SLICE_FMT(slice_sub(item, 0, 60)));
        }
        sum += w;
        int rc = build(b, slice_trim(slice_from(at, 1)), w, depth + 1, e);
        if (rc < 0) {
            return rc;
        }
    }
    for (unsigned i = first; i < b->n; i++) {
        b->parts[i].weight *= depth > 0 ? weight / sum : 1;
    }
    return 0;
}

static int build_empirical(struct builder *b, struct slice inside, double weight, struct err *e) {
    struct law_part *p = NULL;
    int rc = part_new(b, weight, &p, e);
    if (rc < 0) {
        return rc;
    }
    p->kind = LAW_EMPIRICAL;
    if (!b->scope || !b->scope->reads_files) {
        return err_set(e, ERR_USAGE, "empirical() reads a file, and may not do so here: give it to "
                                     "penstock mock at its start");
    }
    return law_file_read(inside, b->scope, p, e);
}

static int build_plain(struct builder *b, struct slice text, double weight, struct err *e) {
    struct law law;
    struct law_part *p = NULL;
    int rc = plain_read(text, &law, e);
    rc = rc < 0 ? rc : part_new(b, weight, &p, e);
    if (rc == 0) {
        double swing = (double)law.mean_ns * law.spread;
        p->kind = law.spread > 0 ? LAW_UNIFORM : LAW_CONSTANT;
        p->a = tidy_ns((double)law.mean_ns - swing);
        p->b = tidy_ns((double)law.mean_ns + swing);
    }
    return rc;
}

static int build(struct builder *b, struct slice text, double weight, unsigned depth,
                 struct err *e) {
    struct slice inside, name = call_parse(text, &inside);
    if (!name.ptr) {
        return build_plain(b, text, weight, e);
    }
    if (slice_eq(name, SLICE("mixture"))) {
        return build_mixture(b, inside, weight, depth, e);
    }
    if (slice_eq(name, SLICE("empirical"))) {
        return build_empirical(b, inside, weight, e);
    }
    for (const struct form *f = forms; f < forms + FORM_COUNT; f++) {
        struct law_part *p = NULL;
        if (slice_eq(name, slice_cstr(f->law))) {
            int rc = part_new(b, weight, &p, e);
            return rc < 0 ? rc : form_read(f, inside, p, e);
        }
    }
    return refused(text, e);
}

/* ---- printing ---- */

struct printer {
    char *out;
    size_t at;
    bool is_full;
};

static void print(struct printer *p, const char *format, ...) PRINTF_LIKE(2, 3);

static void print(struct printer *p, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(p->out + p->at, LAW_TEXT_BYTES - p->at, format, args);
    va_end(args);
    size_t end = p->at + (size_t)(n > 0 ? n : 0);
    p->is_full |= end >= LAW_TEXT_BYTES;
    p->at = p->is_full ? LAW_TEXT_BYTES - 1 : end;
}

const char *law_number_print(double value, char out[LAW_NUMBER_BYTES]) {
    int n = snprintf(out, LAW_NUMBER_BYTES, "%.9f", value);
    n = n < LAW_NUMBER_BYTES ? n : LAW_NUMBER_BYTES - 1;
    while (n > 0 && out[n - 1] == '0') {
        n--;
    }
    n -= n > 0 && out[n - 1] == '.';
    out[n] = '\0';
    return out;
}

static void print_number(struct printer *p, double value) {
    char text[LAW_NUMBER_BYTES];
    print(p, "%s", law_number_print(value, text));
}

/* The largest unit that is not larger than the time. */
static void print_time(struct printer *p, double ns) {
    unsigned u = UNIT_COUNT - 1;
    while (u > 0 && ns < (double)units[u].ns) {
        u--;
    }
    if (ns <= 0) {
        print(p, "0");
        return;
    }
    print_number(p, ns / (double)units[u].ns);
    print(p, "%s", units[u].name);
}

static void print_part(struct printer *p, const struct law_part *part) {
    const struct form *f = forms;
    if (part->kind == LAW_CONSTANT) {
        print_time(p, part->a);
        return;
    }
    if (part->kind == LAW_EMPIRICAL) {
        print(p, "empirical(%s)", part->arguments);
        return;
    }
    while (f->kind != part->kind) {
        f++;
    }
    print(p, "%s(", f->law);
    for (unsigned i = 0; i < 2 && f->params[i].name; i++) {
        double value = i == 0 ? part->a : part->b;
        print(p, i ? ", " : "");
        if (f->params[i].type == PARAM_TIME) {
            print_time(p, value);
        } else {
            print_number(p, value);
        }
    }
    print(p, ")");
}

static bool print_parts(const struct builder *b, char out[LAW_TEXT_BYTES]) {
    struct printer p = {.out = out};
    if (b->n == 1) {
        print_part(&p, &b->parts[0]);
        return !p.is_full;
    }
    print(&p, "mixture(");
    for (unsigned i = 0; i < b->n; i++) {
        print(&p, i ? ", " : "");
        print_number(&p, b->parts[i].weight);
        print(&p, ":");
        print_part(&p, &b->parts[i]);
    }
    print(&p, ")");
    return !p.is_full;
}

const char *law_print(const struct law *law, char out[LAW_TEXT_BYTES]) {
    struct printer p = {.out = out};
    if (law->shape) {
        print(&p, "%s", law->shape->text);
        return out;
    }
    print_time(&p, (double)law->mean_ns);
    if (law->spread > 0) {
        print(&p, ":");
        print_number(&p, law->spread * 100);
        print(&p, "%%");
    }
    return out;
}

/* ---- life ---- */

static void shape_unref(void *self) {
    struct law_shape *s = self;
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) > 1) {
        return;
    }
    for (unsigned i = 0; i < s->n_parts; i++) {
        law_part_dispose(&s->parts[i]);
    }
    mem_free(s);
}

static struct law_shape *shape_of(const struct law *law) {
    union {
        const struct law_shape *fixed;
        struct law_shape *counted;
    } shape = {law->shape};
    return shape.counted;
}

struct law law_copy(const struct law *law, struct arena *a) {
    if (law->shape) {
        atomic_fetch_add_explicit(&shape_of(law)->refs, 1, memory_order_relaxed);
        if (a) {
            arena_defer(a, shape_unref, shape_of(law));
        }
    }
    return *law;
}

void law_release(struct law *law) {
    if (law->shape) {
        shape_unref(shape_of(law));
    }
    *law = LAW_ZERO;
}

/* Takes over what the parts own. */
static int shape_make(struct builder *b, struct law *out, struct err *e) {
    char text[LAW_TEXT_BYTES];
    double sum = 0, mean = 0, before = 0;
    for (unsigned i = 0; i < b->n; i++) {
        sum += b->parts[i].weight;
    }
    for (unsigned i = 0; i < b->n; i++) {
        before += b->parts[i].weight;
        b->parts[i].up_to = i + 1 == b->n ? 1 : before / sum;
        mean += law_part_mean(&b->parts[i]) * b->parts[i].weight / sum;
    }
    if (!print_parts(b, text)) {
        return err_set(e, ERR_USAGE, "a law's text has at most %d bytes", LAW_TEXT_BYTES - 1);
    }
    struct law_shape *s = mem_zalloc(sizeof *s + b->n * sizeof s->parts[0]);
    atomic_init(&s->refs, 1);
    s->n_parts = b->n;
    memcpy(s->text, text, sizeof text);
    memcpy(s->parts, b->parts, b->n * sizeof s->parts[0]);
    arena_defer(b->scope->arena, shape_unref, s);
    *out = (struct law){.mean_ns = mean < 1 ? 1 : (int64_t)(mean + 0.5), .shape = s};
    return 0;
}

int law_parse(struct slice text, const struct law_scope *scope, struct law *out_law,
              struct err *e) {
    struct slice given = slice_trim(text), inside;
    if (!call_parse(given, &inside).ptr) {
        return plain_read(given, out_law, e);
    }
    struct builder b = {.scope = scope};
    int rc = scope && scope->arena ? build(&b, given, 1, 0, e)
                                   : err_set(e, ERR_USAGE, "only times such as 20ms or 20ms:10%% can be "
                                                           "said here");
    rc = rc < 0 ? rc : shape_make(&b, out_law, e);
    for (unsigned i = 0; i < b.n && rc < 0; i++) {
        law_part_dispose(&b.parts[i]);
    }
    return rc;
}
